"""The edit log: what a user loses if an edit, an undo or another process's edit is not kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.store.edits import EditLog
from encord_active_widgets.store.fold import Edit, Folded, apply, effective, fold
from encord_active_widgets.store.rows import encode_rows

N = 50
SIZES = {"item": N}


def _tags(log: EditLog) -> dict[str, list[int]]:
    return {k: np.flatnonzero(v).tolist() for k, v in log.state.level("item", N).tags.items() if v.any()}


def _log(path: Path) -> EditLog:
    log = EditLog(path)
    log.refresh(SIZES)
    return log


def test_a_tag_is_there_after_reopening(tmp_path: Path) -> None:
    _log(tmp_path / "edits").append("item", "tag", rows=encode_rows(np.array([3, 4])), payload={"add": ["night"]})
    assert _tags(_log(tmp_path / "edits")) == {"night": [3, 4]}


def test_undo_brings_back_exactly_what_was_and_redo_returns(tmp_path: Path) -> None:
    log = _log(tmp_path / "edits")
    log.append("item", "tag", rows=encode_rows(np.array([1, 2, 3])), payload={"add": ["a"]})
    log.append("item", "tag", rows=encode_rows(np.array([2, 3, 4])), payload={"add": ["a"]})
    log.undo(1, cause="test")
    assert _tags(log) == {"a": [1, 2, 3]}
    log.redo(1, cause="test")
    assert _tags(log) == {"a": [1, 2, 3, 4]}
    log.undo(2, cause="test")
    assert _tags(log) == {}
    assert _tags(_log(tmp_path / "edits")) == {}
    log.redo(2, cause="test")
    assert _tags(_log(tmp_path / "edits")) == {"a": [1, 2, 3, 4]}


def test_an_edit_of_labels_that_another_process_has_just_written_waits_for_their_rows(tmp_path: Path) -> None:
    writer = EditLog(tmp_path / "edits")
    writer.refresh({"object": 8})
    links = {"replaces": {"5": 2, "7": 5}}
    writer.append("object", "add", rows=encode_rows(np.array([5, 7])), payload=links)
    writer.append("object", "withdraw", rows=encode_rows(np.array([7])))
    reader = EditLog(tmp_path / "edits")
    reader.refresh({"object": 4})  # it has read the edits before the rows
    assert reader.state.level("object", 4).replaces == {}
    reader.refresh({"object": 8})
    assert reader.state.level("object", 8).replaces == {5: 2}
    added = reader.state.level("object", 8).added
    assert added is not None
    assert np.flatnonzero(added).tolist() == [5]


def test_a_fresh_edit_ends_redo(tmp_path: Path) -> None:
    log = _log(tmp_path / "edits")
    log.append("item", "tag", rows=encode_rows(np.array([1])), payload={"add": ["a"]})
    log.undo(1, cause="test")
    log.append("item", "tag", rows=encode_rows(np.array([2])), payload={"add": ["b"]})
    assert log.redo(1, cause="test") == []
    assert _tags(log) == {"b": [2]}


def test_renaming_merging_and_deleting_keep_rows_and_colours(tmp_path: Path) -> None:
    log = _log(tmp_path / "edits")
    log.append("item", "tag", rows=encode_rows(np.array([1])), payload={"add": ["a"]})
    log.append("item", "tag", rows=encode_rows(np.array([2])), payload={"add": ["b"]})
    log.append("item", "color_tag", payload={"name": "a", "color": "#ff0000"})
    log.append("item", "rename_tag", payload={"from": "a", "to": "c"})
    assert list(log.state.level("item", N).tags) == ["c", "b"]
    assert log.state.level("item", N).colors == {"c": "#ff0000"}
    log.append("item", "rename_tag", payload={"from": "b", "to": "c", "merge": True})
    assert _tags(log) == {"c": [1, 2]}
    log.append("item", "delete_tag", payload={"name": "c"})
    assert _tags(log) == {}
    log.undo(2, cause="test")
    assert _tags(log) == {"c": [1], "b": [2]}


def test_two_logs_on_one_folder_follow_each_other(tmp_path: Path) -> None:
    one, two = _log(tmp_path / "edits"), _log(tmp_path / "edits")
    one.append("item", "tag", rows=encode_rows(np.array([1])), payload={"add": ["a"]})
    assert two.refresh(SIZES)
    two.append("item", "tag", rows=encode_rows(np.array([2])), payload={"add": ["a"]})
    one.refresh(SIZES)
    assert _tags(one) == _tags(two) == {"a": [1, 2]}


_WRITER = """
import sys, numpy as np
from pathlib import Path
from encord_active_widgets.store.edits import EditLog
from encord_active_widgets.store.rows import encode_rows
log = EditLog(Path(sys.argv[1]))
for i in range(15):
    log.refresh({"item": 100})
    log.append("item", "tag", rows=encode_rows(np.array([i])), payload={"add": [sys.argv[2]]})
"""


def test_two_processes_tagging_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = str(tmp_path / "edits")
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, folder, name]) for name in ("a", "b")]
    assert [w.wait(120) for w in writers] == [0, 0]
    log = EditLog(Path(folder))
    log.refresh({"item": 100})
    tags = log.state.level("item", 100).tags
    assert {k: int(v.sum()) for k, v in tags.items()} == {"a": 15, "b": 15}


_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("tag"), st.sampled_from("abc"), st.lists(st.integers(0, N - 1), min_size=1, max_size=5)),
        st.tuples(st.just("untag"), st.sampled_from("abc"), st.lists(st.integers(0, N - 1), min_size=1, max_size=5)),
        st.tuples(st.just("undo"), st.just(""), st.just([])),
        st.tuples(st.just("redo"), st.just(""), st.just([])),
    ),
    max_size=30,
)


@given(_ACTIONS)
@settings(max_examples=150, deadline=None)
def test_undo_and_redo_behave_like_a_stack_of_states(actions: list[tuple[str, str, list[int]]]) -> None:
    """The model: a list of whole states and a pointer, as an editor keeps them."""
    states: list[dict[str, set[int]]] = [{}]
    at = 0
    edits: list[Edit] = []
    for i, (kind, name, rows) in enumerate(actions):
        done, undone = effective(edits)
        if kind in ("undo", "redo"):
            source = done if kind == "undo" else undone
            if not source:
                continue
            edits.append(Edit(str(i), i, "item", kind, "ids", b"", 0, {}, source[-1].edit_id))
            at += -1 if kind == "undo" else 1
            continue
        encoded = encode_rows(np.array(rows))
        key = "add" if kind == "tag" else "remove"
        edits.append(Edit(str(i), i, "item", "tag", encoded.encoding, encoded.data, encoded.n, {key: [name]}, None))
        new = {k: set(v) for k, v in states[at].items()}
        current = new.setdefault(name, set())
        new[name] = current | set(rows) if kind == "tag" else current - set(rows)
        states = [*states[: at + 1], new]
        at += 1
    got = {k: set(np.flatnonzero(v).tolist()) for k, v in fold(edits, SIZES).level("item", N).tags.items()}
    assert {k: v for k, v in got.items() if v} == {k: v for k, v in states[at].items() if v}


def test_readers_of_an_older_state_do_not_see_it_change() -> None:
    state = Folded()
    encoded = encode_rows(np.array([1]))
    apply(state, Edit("x", 1, "item", "tag", encoded.encoding, encoded.data, 1, {"add": ["a"]}, None), {"item": N})
    before = state.levels["item"].tags["a"]
    apply(state, Edit("y", 2, "item", "tag", *encode_rows(np.array([2]))[::2], 1, {"add": ["a"]}, None), {"item": N})
    assert np.flatnonzero(before).tolist() == [1]
