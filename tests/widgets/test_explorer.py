"""The explorer from Python: what a cell reads and sets."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, UnknownNameError

N = 200


@pytest.fixture
def project(tmp_path: Path) -> ea.Project:
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "path": [f"{i}.jpg" for i in range(N)],
            "class_name": rng.choice(["cat", "dog"], N),
            "brightness": rng.random(N).astype(np.float32),
        }
    )
    return ea.Project.from_frame(table, tmp_path / "p.eaw", read=False)


DARK = pl.col("brightness") < 0.2


def test_a_selection_set_in_any_way_reads_back_as_the_same_rows(project: ea.Project) -> None:
    w = project.explore()
    dark = project.filter(DARK)
    for value in (dark, dark.ids, dark.ids.to_list(), dark.rows, dark.rows.tolist(), DARK, dark.df):
        w.selection = value
        assert w.selection.ids.to_list() == dark.ids.to_list()
    w.selection = dark.ids[0]
    assert len(w.selection) == 1
    w.selection = None
    assert len(w.selection) == 0
    assert w.selection.df.height == 0


def test_a_filter_reads_back_as_the_same_rows_and_its_code_runs(project: ea.Project) -> None:
    project.filter(DARK).tag("dark")
    w = project.explore(sort="brightness", descending=True)
    for expr in (
        DARK,
        ~ea.tagged("dark"),
        (DARK & (pl.col("class_name") == "cat")) | ea.untagged(),
        pl.col("brightness").rank() > 50,
        "brightness < 0.2",
    ):
        w.filter = expr
        expected = project.filter(expr).sort("brightness", descending=True).ids.to_list()
        assert project.filter(w.filter).sort("brightness", descending=True).ids.to_list() == expected
        assert w.filtered.ids.to_list() == expected
        scope: dict[str, Any] = {"p": project}
        exec(w.code, scope)  # what the user would paste
        assert scope["view"].ids.to_list() == expected
    w.filter = None
    assert len(w.filtered) == N


def test_frames_of_videos_are_sorted_by_their_number(tmp_path: Path) -> None:
    table = pl.DataFrame({"path": [f"{i}.jpg" for i in range(6)], "group": ["a", "b"] * 3, "frame": [2, 0, 1, 2, 0, 1]})
    project = ea.Project.from_frame(table, tmp_path / "clips.eaw", read=False)
    w = project.explore(sort="frame")
    assert w.filtered.df["frame"].to_list() == [0, 0, 1, 1, 2, 2]
    shown = {c["name"]: c["kind"] for c in w._spec["columns"]}
    assert shown["frame"] == "number", "the page can name what it is sorted by"


def test_misspelt_names_offer_the_right_ones_and_change_nothing(project: ea.Project) -> None:
    w = project.explore(color="class_name")
    for change in (
        lambda: setattr(w, "color", "clas_name"),
        lambda: setattr(w, "sort", "brightnes"),
        lambda: setattr(w, "filter", pl.col("brightnes") < 1),
        lambda: setattr(w, "selection", ["no such id"]),
        lambda: project.explore(color="clas_name"),
        lambda: project.explore(embedding="dino"),
    ):
        with pytest.raises(ea.EawError):
            change()
    assert w.color == "class_name"
    with pytest.raises(ea.EawError, match="320"):
        project.explore(height=10)


def test_a_callback_hears_every_selection_and_its_errors_are_not_ours(
    project: ea.Project, caplog: pytest.LogCaptureFixture
) -> None:
    w = project.explore()
    heard: list[int] = []
    stop = w.on_selection(lambda view: heard.append(len(view)))
    w.on_selection(lambda _: 1 / 0)
    w.selection = [1, 2, 3]
    w.selection = []
    assert heard == [3, 0]
    assert "division by zero" in caplog.text
    stop()
    w.selection = [1]
    assert heard == [3, 0]


def test_a_closed_explorer_is_freed(project: ea.Project) -> None:
    w = project.explore()
    w.on_selection(print)
    gone = weakref.ref(w)
    w.close()
    del w
    gc.collect()
    assert gone() is None


def test_nothing_binary_travels_before_the_page_asks(project: ea.Project) -> None:
    def binary(value: Any) -> bool:
        if isinstance(value, dict):
            return any(binary(v) for v in value.values())
        return isinstance(value, (bytes, memoryview, bytearray))

    assert not binary(project.explore(color="brightness").get_state())


def test_linked_explorers_share_selection_and_filter(project: ea.Project) -> None:
    one = project.explore()
    two = project.explore(link=one)
    three = project.explore()
    one.selection = [1, 2]
    assert two.selection.rows.tolist() == [1, 2]
    two.filter = pl.col("brightness").rank() > 20
    assert one.filtered.ids.to_list() == two.filtered.ids.to_list()
    assert len(three.selection) == 0
    assert len(three.filtered) == N


def test_two_kernels_on_one_project_follow_each_others_edits(project: ea.Project) -> None:
    here, there = project.explore(), ea.open(project.path).explore()
    there.view.project.items.head(5).tag("from there")
    replies: list[dict[str, Any]] = []
    here._reply = lambda content, buffers: replies.append(content)  # type: ignore[method-assign]
    revision = here._spec["revision"]
    here._on_message(None, {"v": 1, "id": "a:1", "op": "sync", "revision": revision}, [])
    assert "tags" in replies[0]["what"]
    assert here._spec["tags"][0]["name"] == "from there"
    assert here._spec["tags"][0]["count"] == 5


def test_eight_writers_and_eight_readers_on_one_project_lose_nothing(project: ea.Project) -> None:
    errors: list[BaseException] = []

    def write(k: int) -> None:
        try:
            for i in range(5):
                project.items.at([k * 5 + i]).tag(f"t{k}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
            errors.append(error)

    def read() -> None:
        try:
            for _ in range(20):
                frame = project.df
                assert frame.height == N
                project.filter(ea.untagged()).ids  # noqa: B018
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
            errors.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(8)]
    threads += [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(project.tags.select("tag", "count").rows()) == [(f"t{k}", 5) for k in range(8)]
    assert sorted(ea.open(project.path).tags.select("tag", "count").rows()) == [(f"t{k}", 5) for k in range(8)]


def test_a_quiet_project_sends_nothing_of_its_own_accord(project: ea.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A description that differs by the moment would be sent, read and asked for again without end."""
    monkeypatch.setattr("encord_active_widgets.computing.pipeline.run", lambda *_: None)
    project.compute()
    w = project.explore()
    described: list[Any] = []
    w.observe(described.append, names="_spec")
    for op in ("hello", "tags.get", "sync", "tags.get", "edits.redo"):
        w._on_message(None, {"v": 1, "id": "a:1", "op": op, "revision": w._spec["revision"]}, [])
    assert [{k: (c["old"][k], v) for k, v in c["new"].items() if c["old"].get(k) != v} for c in described] == []


def test_what_names_the_map_is_checked_and_remembered(project: ea.Project) -> None:
    assert project.explore().labels == "color"
    for labels in ("class_name", "tags", None):
        w = project.explore(labels=labels, pictures=False)
        assert (w.labels, w.pictures) == (labels, False)
        assert w._ui["labels"] == labels  # what the page reads
        assert w._ui["pictures"] is False
    w.labels, w.pictures = "tags", True
    w.color = "class_name"
    assert (w.labels, w.pictures, w.color) == ("tags", True, "class_name")
    with pytest.raises(InputError, match="no few values"):
        w.labels = "brightness"
    with pytest.raises(UnknownNameError, match="class_name"):
        project.explore(labels="class_nam")
    assert w.labels == "tags"
