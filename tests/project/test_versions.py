"""Snapshots: what a user loses if a version is not kept, is not comparable, or does not come back whole."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets import schema
from encord_active_widgets.errors import InputError, ProjectError, UnknownNameError
from encord_active_widgets.protocol.router import Router
from encord_active_widgets.store.between import parts_between
from encord_active_widgets.store.fold import Edit, Folded, apply, fold
from encord_active_widgets.store.rows import decode_rows, encode_rows
from encord_active_widgets.store.snapshots import PastTable
from encord_active_widgets.store.tables import Table

LEVELS = ("items", "objects", "classifications")
WORDS = ("cat", "dog", "owl")


def _frames(p: ea.Project) -> dict[str, pl.DataFrame]:
    return {name: getattr(p, name).df for name in LEVELS}


def _same(now: dict[str, pl.DataFrame], then: dict[str, pl.DataFrame]) -> None:
    """What was there is there again; a column that came since then may stay, without a value."""
    for name, frame in then.items():
        assert now[name].select(frame.columns).equals(frame), name
        more = [c for c in now[name].columns if c not in frame.columns]
        assert all(now[name][c].null_count() == now[name].height for c in more), more


@pytest.fixture
def animals(pictures: Path, tmp_path: Path) -> ea.Project:
    """Twelve images with a class and two boxes each."""
    files = sorted(str(f) for f in pictures.iterdir())
    boxes = [{"x": 1.0, "y": 2.0, "w": 20.0, "h": 30.0}, {"x": 30.0, "y": 20.0, "w": 9.0, "h": 8.0}]
    objects = [{"path": f, "class_name": "cell", **box} for f in files for box in boxes]
    p = ea.Project.from_frame(pl.DataFrame(objects), tmp_path / "animals.eaw")
    p.add_labels(pl.DataFrame({"path": files, "class_name": [WORDS[i % 3] for i in range(len(files))]}))
    return p


def test_a_snapshot_copies_no_rows_and_is_listed_with_what_there_was(animals: ea.Project) -> None:
    animals.items.head(3).tag("seen")

    def size() -> int:
        return sum(f.stat().st_size for f in animals.path.rglob("*.parquet"))

    before = size()
    animals.snapshot("v1", note="before the review")
    animals.snapshot("v 2/ü")
    assert size() == before
    row = animals.snapshots().row(0, named=True)
    assert (row["name"], row["note"], row["items"], row["edits"]) == ("v1", "before the review", 12, 1)
    assert ea.open(animals.path).snapshots().equals(animals.snapshots())
    assert sum(f.stat().st_size for f in (animals.path / "snapshots").iterdir()) < 10_000


def test_a_name_that_is_taken_or_unknown_or_none_says_what_to_do(animals: ea.Project) -> None:
    animals.snapshot("v1")
    with pytest.raises(InputError, match=r'delete_snapshot\("v1"\)'):
        animals.snapshot("v1")
    with pytest.raises(UnknownNameError, match='Did you mean "v1"'):
        animals.restore("v11")
    for call in (animals.at, animals.diff, animals.delete_snapshot):
        with pytest.raises(UnknownNameError):
            call("other")
    for name in ("", " v", "a\nb", "x" * 200, None):
        with pytest.raises(InputError, match="cannot name a snapshot"):
            animals.snapshot(name)  # type: ignore[arg-type]
    animals.delete_snapshot("v1")
    assert animals.snapshots().is_empty()
    animals.snapshot("v1")


def test_the_past_can_be_looked_at_while_the_present_goes_on(animals: ea.Project) -> None:
    animals.items.head(2).tag("a")
    then = _frames(animals)
    animals.snapshot("v1")
    animals.items.head(5).tag("b")
    animals.objects.head(4).relabel("wolf")
    animals.items.head(1).remove()
    animals.items.split()
    past = animals.at("v1")
    _same(_frames(past), then)
    assert past.items.filter(ea.tagged("a")).df.height == 2
    assert past.classifications.df["class_name"].to_list() == then["classifications"]["class_name"].to_list()


def test_every_verb_that_changes_something_refuses_the_past_and_says_how(animals: ea.Project) -> None:
    animals.items.head(2).tag("a")
    animals.embeddings["mine"] = np.eye(12)
    animals.snapshot("v1")
    past, present = animals.at("v1"), _frames(animals)
    vectors = np.random.default_rng(0).normal(size=(12, 3))
    verbs: dict[str, Any] = {
        "tag": lambda: past.items.tag("x"),
        "untag": lambda: past.items.untag("a"),
        "note": lambda: past.items.note("x"),
        "relabel": lambda: past.items.relabel("x"),
        "relabel objects": lambda: past.objects.relabel("x"),
        "remove": past.items.remove,
        "delete": past.objects.delete_label,
        "accept": past.items.accept,
        "undo": past.undo,
        "redo": past.redo,
        "rename": lambda: past.rename_tag("a", "b"),
        "delete tag": lambda: past.delete_tag("a"),
        "color": lambda: past.color_tag("a", "#ff0000"),
        "split": past.items.split,
        "compute": past.compute,
        "embeddings": lambda: past.embeddings.__setitem__("mine", vectors),
        "embed": lambda: past.embed("e", lambda b: np.ones((len(b), 2)), size=8),
        "add images": lambda: past.add_images(pl.DataFrame({"path": ["new.png"]})),
        "add labels": lambda: past.add_labels(pl.DataFrame({"item_id": past.ids[:1], "class_name": ["x"]})),
        "refresh": past.refresh,
        "snapshot": lambda: past.snapshot("v2"),
        "delete snapshot": lambda: past.delete_snapshot("v1"),
        "restore": lambda: past.restore("v1"),
        "merge": lambda: past.merge(animals.clone(animals.path.parent / "c.eaw")),
        "apart": lambda: past.not_duplicates(past.items.head(2)),
    }
    for name, verb in verbs.items():
        refused = ""
        try:
            verb()
        except ProjectError as error:
            refused = error.remedy
        assert 'p.restore("v1")' in refused, name
    _same(_frames(animals), present)
    assert animals.embeddings["mine"].dim == 12


def test_restoring_brings_everything_back_and_undo_and_redo_go_both_ways(photos: ea.Project) -> None:
    photos.items.head(20).tag("a", "b")
    photos.items.head(4).relabel("day")
    photos.color_tag("a", "#112233")
    photos.items.split(seed=1)
    photos.snapshot("v1")
    then, tags, columns = _frames(photos), photos.tags, photos.items.columns
    photos.rename_tag("a", "c")
    photos.items.head(10).untag("b")
    photos.items.head(10).relabel("night")
    photos.items.head(3).note("odd")
    photos.filter(pl.col("width") > 400).remove()
    photos.items.split(seed=2)
    photos.embeddings["mine"] = np.random.default_rng(0).normal(size=(len(photos), 4))
    later = _frames(photos)
    assert photos.restore("v1")
    _same(_frames(photos), then)
    assert photos.tags.equals(tags)
    assert photos.items.columns == columns
    assert not photos.restore("v1")
    assert photos.history().row(-1, named=True)["what"] == 'restored snapshot "v1"'
    _same(_frames(ea.open(photos.path)), then)
    assert photos.undo() == ['restored snapshot "v1"']
    _same(_frames(photos), later)
    photos.redo()
    _same(_frames(photos), then)


def test_two_restores_are_undone_one_after_the_other(animals: ea.Project) -> None:
    states = []
    for i, name in enumerate("abc"):
        animals.items.split(seed=i)
        animals.items.head(i + 1).tag(name)
        animals.snapshot(name)
        states.append(_frames(animals))
    animals.restore("a")
    animals.restore("b")
    _same(_frames(animals), states[1])
    animals.undo()
    _same(_frames(animals), states[0])
    animals.undo()
    _same(_frames(animals), states[2])
    animals.redo(2)
    _same(_frames(animals), states[1])


def test_what_was_added_later_is_taken_out_and_comes_back(animals: ea.Project, tmp_path: Path) -> None:
    from PIL import Image

    animals.snapshot("v1")
    then = _frames(animals)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "new.png")
    animals.add_images(pl.DataFrame({"path": [str(tmp_path / "new.png")]}))
    box = {"x": 1.0, "y": 2.0, "w": 3.0, "h": 2.0, "class_name": "cat"}
    animals.add_labels(pl.DataFrame([{"path": u, **box} for u in (str(tmp_path / "new.png"), then["items"]["uri"][0])]))
    later = _frames(animals)
    assert later["items"].height == 13
    assert later["objects"].height == then["objects"].height + 2
    d = animals.diff("v1")
    assert d.items.filter(pl.col("change") == "added").height == 1
    animals.restore("v1")
    _same(_frames(animals), then)
    animals.undo()
    _same(_frames(animals), later)


def test_runs_come_back_as_they_were_and_one_added_after_a_restore_survives_its_undo(
    animals: ea.Project,
) -> None:
    def predictions(shift: float) -> pl.DataFrame:
        f = animals.objects.df.select("item_id", "class_name", pl.col("x") + shift, "y", "w", "h")
        return f.with_columns(confidence=pl.lit(0.9))

    animals.objects.relabel("cell")
    animals.add_predictions("good", predictions(0.0))
    animals.snapshot("v1")
    animals.add_predictions("bad", predictions(40.0))
    animals.add_predictions("good", predictions(4.0), replace=True)
    d = animals.diff("v1").runs.sort("run")
    assert d["change"].to_list() == ["added", "replaced"]
    good = d.row(1, named=True)
    assert good["measure"] == "mAP@[.5:.95]"
    assert good["before"] == pytest.approx(1.0)
    assert good["difference"] == pytest.approx(animals.evaluate("good").map - 1.0)
    assert good["difference"] < -0.1
    animals.restore("v1")
    assert list(animals.predictions) == ["good"]
    assert animals.evaluate("good").map == pytest.approx(1.0)
    animals.add_predictions("third", predictions(1.0))
    animals.undo()
    assert set(animals.predictions) == {"good", "bad", "third"}
    assert animals.evaluate("good").map < 0.9


def test_a_review_is_taken_back_by_a_restore(animals: ea.Project) -> None:
    animals.snapshot("v1")
    then = _frames(animals)
    animals.items.head(5).accept()
    animals.objects.head(3).reject()
    assert animals.diff("v1").reviews.height == 8
    animals.restore("v1")
    _same(_frames(animals), then)
    assert "reviewed" not in animals.items.columns


# -- what changed ------------------------------------------------------------------------------------------


def test_the_difference_names_each_change_once(photos: ea.Project) -> None:
    photos.items.head(6).relabel("day")
    photos.items.head(4).tag("a")
    photos.snapshot("v1")
    ids = photos.ids
    photos.items.by_ids(ids[:2]).relabel("night")
    photos.items.by_ids(ids[3:6]).tag("b")
    photos.items.by_ids(ids[3:4]).untag("a")
    photos.items.by_ids(ids[9:10]).remove()
    photos.items.by_ids(ids[5:6]).note("look")
    d = photos.diff("v1")
    assert d.items.rows() == [("removed", ids[9], d.items["uri"][0], d.items["uri"][0])]
    assert sorted(d.labels.select("item_id", "change", "before", "after").rows()) == sorted(
        [(i, "relabelled", "day", "night") for i in ids[:2]]
    )
    assert {r["id"]: (r["added"], r["removed"]) for r in d.tags.iter_rows(named=True)} == {
        ids[3]: (["b"], ["a"]), ids[4]: (["b"], []), ids[5]: (["b"], []),
    }  # fmt: skip
    assert d.notes.select("id", "before", "after").rows() == [(ids[5], None, "look")]
    assert "2 classifications relabelled" in repr(d)
    assert "1 image removed" in repr(d)
    assert set(d.changed.ids) == {*ids[:2], *ids[3:6]}
    assert not photos.diff("v1", "v1")
    assert "nothing changed" in repr(photos.diff("v1", "v1"))


def test_metric_drift_is_that_of_scipy(photos: ea.Project) -> None:
    from scipy.stats import ks_2samp

    photos.snapshot("all")
    before = photos.df["brightness"].drop_nulls().to_numpy()
    photos.filter(pl.col("brightness") > 0.5).remove()
    after = photos.df["brightness"].drop_nulls().to_numpy()
    row = (
        photos.diff("all")
        .metrics.filter(pl.col("metric") == "brightness", pl.col("level") == "item")
        .row(0, named=True)
    )
    assert row["ks"] == pytest.approx(ks_2samp(before, after).statistic)
    assert (row["mean_before"], row["n_after"]) == (pytest.approx(before.mean(), rel=1e-6), after.size)
    assert row["rows_changed"] == 0


def test_the_explorer_of_a_difference_shows_what_changed_and_the_class_before(animals: ea.Project) -> None:
    animals.snapshot("v1")
    animals.items.head(3).relabel("wolf")
    animals.items.head(2).tag("odd")
    w = animals.diff("v1").explore()
    shown = w._service.view.df
    assert shown["change"].to_list() == ["relabelled, retagged", "relabelled, retagged", "relabelled"]
    assert shown["class_before"].to_list() == ["cat", "dog", "owl"]
    assert {"change", "class_before"} <= {c["name"] for c in w._service.spec()["columns"]}
    w._service.view.head(1).tag("from the explorer")
    assert animals.filter(ea.tagged("from the explorer")).df.height == 1
    assert "change" not in animals.items.columns
    assert shown["before"].to_list() == ["cat", "dog", "owl"]
    assert shown["after"].to_list() == ["wolf; tags odd", "wolf; tags odd", "wolf"]
    w.close()
    animals.snapshot("v2")
    animals.items.untag("odd")
    w = animals.diff("v1", "v2").explore()
    assert w._service.view.df.height == 3
    with pytest.raises(ProjectError, match="not changed"):
        w._service.view.tag("x")
    w.close()


def test_what_was_removed_is_shown_with_the_rest_and_stays_removed(animals: ea.Project, tmp_path: Path) -> None:
    animals.items.head(4).tag("old")
    animals.snapshot("v1")
    ids, boxes = animals.ids, animals.objects.ids
    animals.items.by_ids(ids[1:3]).remove()
    animals.objects.by_ids(boxes[:1]).delete_label()
    animals.objects.by_ids(boxes[6:8]).relabel("thing")
    animals.items.by_ids(ids[3:4]).untag("old")
    animals.items.by_ids(ids[5:6]).note("look")
    Image.new("RGB", (9, 9)).save(tmp_path / "new.png")
    animals.add_images([str(tmp_path / "new.png")])
    d = animals.diff("v1")
    rows = d.view().df.select("item_id", "change", "before", "after").rows()
    assert rows == [
        (ids[0], "label removed", "cell", None),
        (ids[1], "removed", "tags old", "not there"),
        (ids[2], "removed", "tags old", "not there"),
        (ids[3], "relabelled, retagged", "2 × cell; tags old", "2 × thing"),
        (ids[5], "noted", None, "note look"),
        (animals.ids[-1], "added", "not there", None),
    ]
    told = dict.fromkeys(boxes.gather([0, 2, 3, 4, 5]), ("removed", "cell", "not there"))
    told |= dict.fromkeys(boxes[6:8], ("relabelled", "cell", "thing"))
    seen = d.view("object").df.select("label_id", "change", "before", "after")
    assert {r[0]: r[1:] for r in seen.rows()} == told
    w = d.explore()
    row = next(i for i, item in enumerate(w._service.view.df["item_id"]) if item == ids[1])
    ordinal = int(w._service.view.rows[row])
    replies: list[Any] = []
    router = Router(w._service.handlers())
    router.dispatch({"id": "t:1", "op": "row.detail", "row": ordinal, "k": 0}, [], lambda c, _: replies.append(c))
    assert replies[0]["ok"], replies
    assert "not there" in json.dumps(replies[0])
    w.close()
    assert (len(animals), len(ea.open(animals.path))) == (11, 11)
    d.view().filter(pl.col("change") == "removed").tag("gone")  # said of what is not there, and kept for later
    assert animals.filter(ea.tagged("gone")).df.is_empty()
    animals.undo(6)
    assert len(animals) == 13
    with pytest.raises(UnknownNameError, match='Did you mean "object"'):
        d.view("objects")


def test_a_difference_backwards_shows_what_came_as_gone(animals: ea.Project, tmp_path: Path) -> None:
    animals.snapshot("v1")
    Image.new("RGB", (9, 9)).save(tmp_path / "new.png")
    animals.add_images([str(tmp_path / "new.png")])
    animals.items.head(1).remove()
    animals.snapshot("v2")
    forth, back = animals.diff("v1", "v2").view(), animals.diff("v2", "v1").view()
    assert forth.df["change"].to_list() == ["removed", "added"]
    assert back.df["change"].to_list() == ["added", "removed"]
    assert back.df["item_id"].to_list() == forth.df["item_id"].to_list()
    with pytest.raises(ProjectError, match="not changed"):
        back.tag("x")


# -- laws --------------------------------------------------------------------------------------------------

N = 12
_ROWS = st.lists(st.integers(0, N - 1), min_size=1, max_size=5, unique=True)
_TAG = st.sampled_from(["a", "b", "c"])
ACTIONS = st.one_of(
    st.tuples(st.just("tag"), _ROWS, _TAG),
    st.tuples(st.just("untag"), _ROWS, _TAG),
    st.tuples(st.just("note"), _ROWS, st.sampled_from(["x", "y", ""])),
    st.tuples(st.just("relabel"), _ROWS, st.sampled_from(WORDS)),
    st.tuples(st.just("relabel objects"), _ROWS, st.sampled_from(WORDS)),
    st.tuples(st.just("add label"), _ROWS, st.sampled_from(WORDS)),
    st.tuples(st.just("delete"), _ROWS, st.just("")),
    st.tuples(st.just("remove"), _ROWS, st.just("")),
    st.tuples(st.just("accept"), _ROWS, st.just("")),
    st.tuples(st.just("rename"), st.just([]), _TAG),
    st.tuples(st.just("split"), _ROWS, st.sampled_from(["1", "2"])),
    st.tuples(st.just("undo"), st.just([]), st.just("")),
    st.tuples(st.just("redo"), st.just([]), st.just("")),
)


def act(p: ea.Project, what: str, rows: list[int], word: str) -> None:  # noqa: C901 - a branch a kind
    """Do one thing to a project, as far as it can be done."""
    items = p.items.by_ids(p.ids.gather([r for r in rows if r < len(p)]))
    if what == "tag":
        items.tag(word)
    elif what == "untag" and word in p.tags["tag"]:
        items.untag(word)
    elif what == "note":
        items.note(word)
    elif what == "relabel":
        items.relabel(word)
    elif what == "relabel objects":
        items.objects().relabel(word)
    elif what == "add label" and len(items):
        box = {"x": float(rows[0]), "y": 1.0, "w": 5.0, "h": 4.0}
        p.add_labels(items.df.select("item_id", class_name=pl.lit(word), **{k: pl.lit(v) for k, v in box.items()}))
    elif what == "delete":
        items.objects().head(2).delete_label()
    elif what == "remove" and len(items) < 3:
        items.remove()
    elif what == "accept":
        items.accept()
    elif what == "split":
        items.split(train=1, val=0, test=1, seed=int(word))
    elif what == "rename" and word in p.tags["tag"] and f"{word}2" not in p.tags["tag"]:
        p.rename_tag(word, f"{word}2")
    elif what == "undo":
        p.undo()
    elif what == "redo":
        p.redo()


@pytest.fixture
def copies(animals: ea.Project, tmp_path: Path) -> Any:
    """Return fresh copies of one small project, one an example."""
    made: list[Path] = []

    def copy() -> ea.Project:
        path = tmp_path / f"copy{len(made)}.eaw"
        made.append(path)
        return ea.open(shutil.copytree(animals.path, path))

    return copy


_FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(before=st.lists(ACTIONS, max_size=4), after=st.lists(ACTIONS, max_size=6))
@_FEW
def test_restoring_a_snapshot_gives_what_was_seen_then(copies: Any, before: list[Any], after: list[Any]) -> None:
    p = copies()
    for action in before:
        act(p, *action)
    p.snapshot("then")
    then, tags = _frames(p), p.tags
    for action in after:
        act(p, *action)
    later = _frames(p)
    changed = p.restore("then")
    _same(_frames(p), then)
    assert p.tags.equals(tags)
    if changed:
        p.undo()
    _same(_frames(p), later)


def _seen(p: ea.Project) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what can be seen of a project: items with tags and notes, labels with class and box."""
    items = {
        r["item_id"]: (frozenset(r["tags"]), r.get("note"), r.get("reviewed"), r.get("split"))
        for r in p.items.df.iter_rows(named=True)
    }
    labels = {}
    for level in ("objects", "classifications"):
        for r in getattr(p, level).df.iter_rows(named=True):
            box = tuple(r.get(c) for c in "xywh")
            labels[r["label_id"]] = (r["item_id"], r["class_name"], box, frozenset(r["tags"]), r.get("note"))
    return items, labels


@given(before=st.lists(ACTIONS, max_size=3), after=st.lists(ACTIONS, max_size=6))
@_FEW
def test_a_difference_applied_to_the_old_state_gives_the_new_one(  # noqa: C901 - the story is told in one piece
    copies: Any, before: list[Any], after: list[Any]
) -> None:
    p = copies()
    for action in before:
        act(p, *action)
    p.snapshot("then")
    items, labels = _seen(p)
    for action in after:
        act(p, *action)
    d, now = p.diff("then"), _seen(p)[0]
    for row in d.items.iter_rows(named=True):
        if row["change"] == "removed":
            del items[row["item_id"]]
        else:
            assert row["change"] == "added"
            items[row["item_id"]] = (frozenset(), None, None, now[row["item_id"]][3])  # what it has of itself
    for r in d.labels.iter_rows(named=True):
        if r["change"] in ("removed", "moved"):
            assert labels.pop(r["label_id_before"])[1] == r["before"]
        if r["change"] in ("added", "moved"):
            labels[r["label_id"]] = (r["item_id"], r["after"], tuple(r[c] for c in "xywh"), frozenset(), None)
        if r["change"] == "relabelled":
            old = labels[r["label_id"]]
            assert old[1] == r["before"]
            labels[r["label_id"]] = (old[0], r["after"], *old[2:])
    for place, frame in ((0, d.tags), (1, d.notes), (2, d.reviews), (3, d.splits)):
        for r in frame.iter_rows(named=True):
            value = frozenset(r["after"]) if place == 0 else r["after"]
            if r["level"] == "item" and r["id"] in items:
                items[r["id"]] = (*items[r["id"]][:place], value, *items[r["id"]][place + 1 :])
            elif r["level"] != "item" and r["id"] in labels and place < 2:
                old = labels[r["id"]]
                labels[r["id"]] = (*old[: 3 + place], value, *old[4 + place :])
    assert (items, labels) == _seen(p)


_KINDS = st.sampled_from(
    [
        *("tag", "untag", "rename_tag", "delete_tag", "color_tag", "remove", "restore", "relabel", "unlabel", "note"),
        *("split", "unsplit", "review", "add", "withdraw", "apart", "save_filter", "delete_filter"),
    ]
)


@st.composite
def edits(draw: Any) -> list[Edit]:
    """Draw a log of every kind of edit at two levels."""
    out = []
    for i in range(draw(st.integers(0, 12))):
        kind, rows, word = draw(_KINDS), encode_rows(np.array(draw(_ROWS))), draw(_TAG)
        payload: dict[str, Any] = {
            "tag": {"add": [word]}, "untag": {"remove": [word]}, "rename_tag": {"from": word, "to": draw(_TAG)},
            "delete_tag": {"name": word},
            "color_tag": {"name": word, "color": draw(st.sampled_from(["#1", "#2", None]))},
            "relabel": {"class_name": word}, "split": {"split": word},
            "note": {"text": draw(st.sampled_from(["x", "y", ""]))},
            "review": {"decision": draw(st.sampled_from(["open", "accepted", "rejected"])), "about": draw(_TAG)},
            "add": {"replaces": {str(row): draw(st.integers(0, N - 1)) for row in decode_rows(*rows[::2])}},
            "save_filter": {"name": word, "filter": draw(_TAG)}, "delete_filter": {"name": word},
        }.get(kind, {})  # fmt: skip
        level = draw(st.sampled_from(["item", "object"]))
        name = "tag" if kind == "untag" else kind
        out.append(Edit(f"{i:03d}", i, level, name, rows.encoding, rows.data, rows.n, payload, None))
    return out


def _plain(state: Folded) -> Any:
    """Write a state as values that can be compared."""

    def level(name: str) -> Any:
        e = state.level(name, N)
        classes = [None] * N if e.classes is None else [None if c < 0 else e.class_names[c] for c in e.classes]
        splits = [None] * N if e.splits is None else [None if c < 0 else e.split_names[c] for c in e.splits]
        removed, added = ([] if m is None else np.flatnonzero(m).tolist() for m in (e.removed, e.added))
        verdicts = {k: v.tolist() for k, v in e.verdicts.items() if v.any()}
        links = {k: v for k, v in e.replaces.items() if k in added}
        tags = [(k, np.flatnonzero(v).tolist()) for k, v in e.tags.items()]
        colors = {k: v for k, v in e.colors.items() if k in e.tags}
        return tags, colors, removed, added, links, classes, splits, e.notes, verdicts, [a.tolist() for a in e.apart]

    return level("item"), level("object"), state.filters


@given(edits(), edits())
@settings(max_examples=300, deadline=None)
def test_the_edits_between_two_states_lead_from_one_to_the_other(first: list[Edit], second: list[Edit]) -> None:
    sizes = {"item": N, "object": N}
    now, then = fold(first, sizes), fold(second, sizes)
    parts = parts_between(now, then, sizes)
    apply(now, Edit("z", 99, "item", "revert", "ids", b"", 0, {"name": "x", "also": parts}, None), sizes)
    assert _plain(now) == _plain(then)
    assert parts_between(now, then, sizes) == []


# -- kept --------------------------------------------------------------------------------------------------


def test_a_version_is_read_after_files_were_joined_and_the_log_grew_old(tmp_path: Path) -> None:
    table = Table(tmp_path / "changes", schema.CHANGES)

    def grow(n: int, start: int) -> None:
        for i in range(start, start + n):
            at = pl.Series([dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(i)], dtype=schema.UTC_MICROSECONDS)
            table.append(pl.DataFrame({"change_id": [str(i)], "at": at}))

    grow(3, 0)
    then, version = table.read(), table.version()
    grow(100, 3)  # beyond a checkpoint, which is when Delta cleans its log of what is older than 30 days
    table.compact()
    for entry in (table.path / "_delta_log").iterdir():
        os.utime(entry, (0, 0))
    grow(100, 103)
    assert table.read().height == 203
    assert PastTable(table.path, schema.CHANGES, version, "v1").read().equals(then)
    shutil.rmtree(table.path)
    with pytest.raises(ProjectError, match="is gone"):
        PastTable(table.path, schema.CHANGES, version, "v1").read()


def test_the_project_goes_into_git_as_it_is(animals: ea.Project, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    animals.items.head(2).tag("a")
    animals.compute("pixels")
    (animals.path / "images").mkdir()
    (animals.path / "images" / "copy.png").write_bytes(b"large")
    animals.snapshot("v1")
    animals.items.head(3).relabel("wolf")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.autocrlf=true"]

    def git(*args: str, cwd: Path) -> str:
        done = subprocess.run(["git", *identity, *args], cwd=cwd, check=True, capture_output=True, text=True)
        return done.stdout

    git("init", "-q", cwd=animals.path)
    git("add", ".", cwd=animals.path)
    git("commit", "-q", "-m", "all", cwd=animals.path)
    files = git("ls-files", cwd=animals.path).split("\n")
    assert not [f for f in files if f.startswith(("cache/", "images/")) or f.endswith((".lock", ".tmp"))]
    assert (animals.path / "cache").is_dir()
    git("clone", "-q", str(animals.path), str(tmp_path / "other.eaw"), cwd=tmp_path)
    other = ea.open(tmp_path / "other.eaw")
    _same(_frames(other), _frames(animals))
    assert other.snapshots().equals(animals.snapshots())
    other.items.head(1).tag("theirs")
    animals.items.head(1).tag("ours")
    assert animals.merge(other).is_empty()
    assert set(animals.df["tags"][0]) >= {"ours", "theirs"}


def test_an_older_project_gets_an_id_and_a_gitignore_and_your_own_is_kept(animals: ea.Project) -> None:
    card = animals.path / "project.json"
    text = json.loads(card.read_text())
    del text["id"]
    card.write_text(json.dumps(text))
    (animals.path / ".gitignore").write_text("# Caches: rebuilt when missing.\ncache/\n*.lock\n*.tmp\n")
    twin = shutil.copytree(animals.path, animals.path.parent / "twin.eaw")
    assert ea.open(animals.path)._card["id"] == ea.open(twin)._card["id"]
    assert "/images/" in (animals.path / ".gitignore").read_text()
    assert json.loads(card.read_text())["id"]
    (animals.path / ".gitignore").write_text("mine\n")
    ea.open(animals.path)
    assert (animals.path / ".gitignore").read_text() == "mine\n"


def test_a_snapshot_file_from_elsewhere_cannot_reach_out_of_the_folder(animals: ea.Project, tmp_path: Path) -> None:
    animals.snapshot("v1")
    (file,) = (animals.path / "snapshots").iterdir()
    record = json.loads(file.read_text())
    for place in ("metrics/../../outside/x", str(tmp_path / "outside")):
        file.write_text(json.dumps({**record, "versions": {**record["versions"], place: 0}}))
        with pytest.raises(ProjectError, match="no table"):
            animals.restore("v1") if place.startswith("metrics") else animals.at("v1")._folder.tables()
    assert not (tmp_path / "outside").exists()


def test_a_project_of_a_newer_version_is_refused_saying_which(animals: ea.Project) -> None:
    card = animals.path / "project.json"
    text = json.loads(card.read_text())
    card.write_text(json.dumps({**text, "format": 99, "version": "7.8.9"}))
    with pytest.raises(ProjectError, match=r"format 99.*made by version 7\.8\.9"):
        ea.open(animals.path)
