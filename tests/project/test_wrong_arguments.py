"""Arguments of a wrong type or sign: an error of this package with a remedy, and nothing changed."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EawError, InputError

ODD = (None, 5, -1, "x", 1.5, math.nan, True, [1], ("a",), {}, b"x", object(), pl.DataFrame(), np.ones(2))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images with a tag, vectors and a run."""
    home = tmp_path_factory.mktemp("wrong")
    for i in range(12):
        Image.new("RGB", (16, 16), (20 * i, 0, 0)).save(home / f"{i:02d}.png")
    frame = pl.DataFrame({"path": sorted(map(str, home.glob("*.png"))), "class_name": ["a", "b", "c"] * 4})
    p = ea.Project.from_frame(frame, path=home / "p.eaw")
    p.embeddings["v"] = np.random.default_rng(0).random((12, 8), np.float32)
    p.add_predictions("m", np.full((12, 3), 1 / 3), classes=["a", "b", "c"])
    p.items.head(2).tag("t")
    return p.path


@pytest.fixture
def drawn(made: Path, tmp_path: Path) -> ea.Project:
    return ea.open(shutil.copytree(made, tmp_path / "p.eaw"))


CALLS: dict[str, Callable[[ea.Project, Any], object]] = {
    "undo": lambda p, v: p.undo(v),
    "redo": lambda p, v: p.redo(v),
    "merge": lambda p, v: p.merge(v),
    "restore": lambda p, v: p.restore(v),
    "at a snapshot": lambda p, v: p.at(v),
    "diff": lambda p, v: p.diff(v),
    "apply_edits": lambda p, v: p.apply_edits(v),
    "rename_tag": lambda p, v: p.rename_tag(v, "u"),
    "merge_tags": lambda p, v: p.merge_tags("t", v),
    "delete_tag": lambda p, v: p.delete_tag(v),
    "color_tag": lambda p, v: p.color_tag(v, "#ff0000"),
    "tag": lambda p, v: p.items.tag(v),
    "untag": lambda p, v: p.items.untag(v),
    "note": lambda p, v: p.items.note(v),
    "relabel": lambda p, v: p.items.relabel(v),
    "label_errors": lambda p, v: p.label_errors(v),
    "label_errors by a method": lambda p, v: p.label_errors("m", method=v),
    "label_errors of a view": lambda p, v: p.label_errors("m", view=v),
    "evaluate": lambda p, v: p.evaluate(v),
    "remove_predictions": lambda p, v: p.remove_predictions(v),
    "predictions": lambda p, v: p.items.predictions(v),
    "head": lambda p, v: p.items.head(v),
    "sample": lambda p, v: p.items.sample(v),
    "at rows": lambda p, v: p.items.at(v),
    "by_ids": lambda p, v: p.items.by_ids(v),
    "sort": lambda p, v: p.items.sort(v),
    "similar": lambda p, v: p.items.head(1).similar(v),
    "similar in a set": lambda p, v: p.items.head(1).similar(3, embedding=v),
    "search": lambda p, v: p.search(v),
    "search a text": lambda p, v: p.search(text=v),
    "search a vector": lambda p, v: p.search(vector=v),
    "search k": lambda p, v: p.search(vector=np.ones(8), k=v),
    "duplicates": lambda p, v: p.duplicates(v),
    "embed": lambda p, v: p.embed("e", v),
    "embed in a size": lambda p, v: p.embed("e", lambda images: [np.ones(3)] * len(images), size=v),
    "embed in batches": lambda p, v: p.embed("e", lambda images: [np.ones(3)] * len(images), batch_size=v),
    "an explorer's height": lambda p, v: p.explore(height=v).close(),
    "a review's height": lambda p, v: p.items.review(height=v).close(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_argument_is_named_and_no_python_error_escapes(drawn: ea.Project, call: str) -> None:
    refused = []
    for value in ODD:
        try:
            CALLS[call](drawn, value)
        except EawError as error:
            refused.append(error)
    assert len(refused) >= 6
    assert all(error.remedy for error in refused)


@pytest.mark.parametrize("step", ["undo", "redo"])
def test_a_negative_number_of_steps_takes_nothing_back(drawn: ea.Project, step: str) -> None:
    before = drawn.history().height
    with pytest.raises(InputError, match="n=-1"):
        getattr(drawn, step)(-1)
    assert drawn.history().height == before
    assert drawn.tags["count"].to_list() == [2]


@pytest.mark.parametrize(
    ("vector", "message"),
    [(np.zeros(8), "only zeros"), (np.full(8, np.nan), "NaN"), ([1e39] * 8, "infinity"), ("eight", "no vector")],
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_a_vector_without_a_direction_has_no_neighbours_to_show(drawn: ea.Project, vector: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        drawn.search(vector=vector)


def test_rows_whose_vectors_are_zero_are_near_to_nothing(drawn: ea.Project) -> None:
    vectors = np.random.default_rng(0).random((12, 8), np.float32)
    vectors[0] = 0
    drawn.embeddings["z"] = vectors
    with pytest.raises(InputError, match="only zeros"):
        drawn.items.head(1).similar(3, embedding="z")
    assert len(drawn.items.head(2).similar(3, embedding="z")) == 3


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_search_says_so(drawn: ea.Project, text: str) -> None:
    with pytest.raises(InputError, match="text is empty"):
        drawn.search(text)
