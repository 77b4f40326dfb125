"""A notebook without a kernel still shows what an explorer showed: a small picture, its counts, and what to do."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import polars as pl
import pytest
from nbclient import NotebookClient
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.widgets.still import MOST_ROWS

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
MOST_PICTURE_BYTES = 48_000
MOST_STATE_BYTES = 200_000


@pytest.fixture(scope="module")
def photos(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    p = ea.Project.from_folder(shared_data / "photos", tmp_path_factory.mktemp("photos") / "photos.eaw")
    p.compute()
    return p


def shown(w: Any) -> tuple[dict[str, Any], Image.Image]:
    data, metadata = w._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == data["text/plain"]
    return data, Image.open(io.BytesIO(base64.b64decode(data["image/png"])))


def test_the_picture_holds_the_first_images_as_they_are_sorted(photos: ea.Project) -> None:
    w = photos.explore(sort="brightness", descending=True)
    data, bright = shown(w)
    assert len(base64.b64decode(data["image/png"])) < MOST_PICTURE_BYTES
    assert data[WIDGET]["model_id"] == w.model_id, "the live widget is still there"
    w.sort = ("brightness", False)
    _, dark = shown(w)
    tiles = (14, 40, 490, 190)
    means = [np.asarray(i.convert("L").crop(tiles), np.float64).mean() for i in (bright, dark)]
    assert means[0] > means[1] + 60
    assert "200 images" in data["text/plain"]
    assert "run this cell" in data["text/plain"]
    w.close()


def test_the_map_has_the_explorers_colours_of_the_classes(tmp_path: Path, repository: Path) -> None:
    source = (repository / "js" / "src" / "views" / "palette.ts").read_text("utf-8")
    hues = re.findall(r'"#(\w{6})"', next(line for line in source.splitlines() if line.startswith("const LIGHT")))
    first, second = (tuple(bytes.fromhex(hue)) for hue in hues[:2])
    rng = np.random.default_rng(0)
    n = 300
    table = pl.DataFrame({"path": [f"{i}.jpg" for i in range(n)], "class_name": [["a", "b"][i % 2] for i in range(n)]})
    p = ea.Project.from_frame(table, tmp_path / "p.eaw", read=False)
    p.embeddings["two"] = (rng.normal(0, 0.1, (n, 8)) + np.arange(n)[:, None] % 2 * [[3, *[0] * 7]]).astype(np.float32)
    w = p.explore(color="class_name")
    _, picture = shown(w)
    colours = {c for _, c in picture.convert("RGB").getcolors(1000) or []}
    assert {first, second} <= colours
    w.close()


def test_of_very_many_rows_only_counts_are_drawn_so_that_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = MOST_ROWS + 1
    table = pl.DataFrame({"path": pl.int_range(n, eager=True).cast(pl.String) + ".jpg"})
    w = ea.Project.from_frame(table, tmp_path / "m.eaw", read=False).explore(sort="item_id")

    def sorted_(_: object) -> None:
        raise AssertionError("all rows were sorted for twelve pictures")

    monkeypatch.setattr(type(w), "filtered", property(sorted_))
    data, picture = shown(w)
    assert f"{n:,} images" in data["text/plain"]
    assert picture.height < 120, "no pictures, no map"
    assert len(base64.b64decode(data["image/png"])) < 8_000
    w.close()


def test_a_picture_that_cannot_be_drawn_does_not_keep_the_widget_from_being_shown(
    photos: ea.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError("no space for a picture")

    monkeypatch.setattr("encord_active_widgets.widgets.explorer.draw", broken)
    w = photos.explore()
    data, _ = w._repr_mimebundle_()
    assert WIDGET in data
    assert "image/png" not in data
    w.close()


def test_an_object_explorer_and_hostile_names_are_drawn_too(tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), "teal").save(tmp_path / "a.png")
    table = pl.DataFrame({"path": [str(tmp_path / "a.png")], "class_name": ["<b>\u2028名\x00" * 30],
                          "x": [3.0], "y": [3.0], "w": [9.0], "h": [9.0]})  # fmt: skip
    p = ea.Project.from_frame(table, tmp_path / "p.eaw", name="<script>" * 40)
    for view in (p.items, p.objects):
        w = view.explore()
        _, picture = shown(w)
        assert picture.width == 760
        w.close()


def test_a_saved_notebook_shows_the_picture_and_stays_small(photos: ea.Project, tmp_path: Path) -> None:
    """Executed and saved as `jupyter nbconvert --execute` does, state included."""
    shutil.copytree(photos.path, tmp_path / "photos.eaw")
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell("import encord_active_widgets as ea\np = ea.open('photos.eaw')"),
        nbformat.v4.new_code_cell("w = p.explore(sort='sharpness'); w"),
    ]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = notebook.cells[1]["outputs"]
    assert WIDGET in output["data"]
    picture = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"])))
    assert picture.width == output["metadata"]["image/png"]["width"]
    states = notebook.metadata["widgets"][STATE]["state"]
    sizes = [len(json.dumps(s)) for s in states.values()]
    assert max(sizes) > 50_000, "the explorer's state was saved"
    assert sum(sizes) < MOST_STATE_BYTES
    nbformat.validate(notebook)
    page = _html(notebook)
    assert f"data:image/png;base64,{output['data']['image/png'][:200]}" in page.replace("\n", "")
    assert 'alt="Explorer of photos: 200 images' in page, "and is told to those who do not see it"


def _html(notebook: Any) -> str:
    """Convert as a code host's viewer does: it knows no widgets."""
    from nbconvert import HTMLExporter

    bare = nbformat.from_dict(json.loads(json.dumps(notebook)))
    bare.metadata.pop("widgets", None)
    page, _ = HTMLExporter(template_name="classic", mathjax_url="", require_js_url="").from_notebook_node(bare)
    return str(page)
