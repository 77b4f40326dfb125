"""Merging: what a user loses if the work of two people on one project does not come together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError
from encord_active_widgets.history.merging import merged_state
from encord_active_widgets.store.between import parts_between
from encord_active_widgets.store.fold import Edit, Folded, apply, fold
from encord_active_widgets.store.rows import encode_rows

WORDS = ("cat", "dog", "owl")
N = 12
SIZES = {"item": N, "object": N}


@pytest.fixture
def animals(pictures: Path, tmp_path: Path) -> ea.Project:
    """Twelve images with two boxes; half of them with a class of their own."""
    files = sorted(str(f) for f in pictures.iterdir())
    boxes = [{"x": 1.0, "y": 2.0, "w": 20.0, "h": 30.0}, {"x": 30.0, "y": 20.0, "w": 9.0, "h": 8.0}]
    objects = [{"path": f, "class_name": "cell", **box} for f in files for box in boxes]
    p = ea.Project.from_frame(pl.DataFrame(objects), tmp_path / "animals.eaw")
    p.add_labels(pl.DataFrame({"path": files[:6], "class_name": [WORDS[i % 3] for i in range(6)]}))
    p.items.head(4).tag("common")
    return p


def seen(p: ea.Project) -> dict[str, Any]:
    """Return everything that can be seen of a project, whatever the order of its rows."""
    out: dict[str, Any] = {}
    for name in ("items", "objects", "classifications"):
        frame = getattr(p, name).df.drop("ordinal")
        out[name] = frame.select(sorted(frame.columns)).sort(frame.columns[0]).to_dicts()
    return {**out, "tags": p.tags.to_dicts(), "filters": dict(p._snapshot().filters)}


def both_ways(a: ea.Project, b: ea.Project, home: Path) -> tuple[ea.Project, ea.Project, pl.DataFrame, pl.DataFrame]:
    """Merge two projects in either order, each in copies of them."""
    paths = [Path(shutil.copytree(p.path, home / f"{n}.eaw")) for n, p in (("a1", a), ("b1", b), ("a2", a), ("b2", b))]
    first, second = ea.open(paths[0]), ea.open(paths[3])
    return first, second, first.merge(paths[1]), second.merge(ea.open(paths[2]))


def test_the_work_of_two_people_comes_together(animals: ea.Project, tmp_path: Path) -> None:
    other = animals.clone(tmp_path / "other.eaw")
    animals.items.head(2).tag("ours")
    animals.objects.head(2).relabel("wolf")
    animals.items.by_ids(animals.ids[7:8]).relabel("cat")  # an image without a class gets one
    other.items.head(3).tag("theirs")
    other.items.by_ids(other.ids[8:10]).relabel("dog")
    other.objects.by_ids(other.objects.ids[4:6]).delete_label()
    other.items.by_ids(other.ids[11:]).note("odd")
    a, b, left, right = both_ways(animals, other, tmp_path)
    assert left.is_empty()
    assert right.is_empty()
    assert seen(a) == seen(b)
    assert a.tags["tag"].to_list() == ["common", "ours", "theirs"]
    assert a.df["tags"].to_list()[0] == ["common", "ours", "theirs"]
    assert a.df["class_name"].to_list() == [*[WORDS[i % 3] for i in range(6)], None, "cat", "dog", "dog", None, None]
    assert len(a.objects) == 22
    assert a.df["note"][11] == "odd"
    assert a.objects.df["class_name"].to_list().count("wolf") == 2
    steps = a._reader.log.history()
    told = pl.col("kind") == "took"  # which entries a merge brought is each project's own matter
    assert steps.filter(~told)["edit_id"].to_list() == b._reader.log.history().filter(~told)["edit_id"].to_list()
    assert a.merge(tmp_path / "b1.eaw").is_empty()
    assert a._reader.log.history()["edit_id"].to_list() == steps["edit_id"].to_list()  # nothing is taken twice


def test_a_merge_is_taken_back_by_one_undo_and_comes_again(animals: ea.Project, tmp_path: Path) -> None:
    other = animals.clone(tmp_path / "other.eaw")
    animals.items.head(2).tag("ours")
    animals.objects.head(1).relabel("wolf")
    before = seen(animals)
    for i in range(3):
        other.items.at([i]).tag("theirs")
    other.undo()
    other.objects.head(1).relabel("fox")  # a conflict
    animals.undo()
    animals.redo()
    assert animals.merge(other).height == 1
    merged = seen(animals)
    assert merged != before
    assert animals.undo() == ["merged 5 edits of another copy"]
    assert seen(animals) == before
    assert animals.history()["in_force"].drop_nulls().sum() == 3
    assert animals.redo() == ["merged 5 edits of another copy"]
    assert seen(ea.open(animals.path)) == merged
    assert animals.undo(2) == ["merged 5 edits of another copy", 'relabelled 1 object "wolf"']
    animals.redo(2)
    assert seen(animals) == merged
    animals.undo()
    animals.items.at([5]).tag("later")
    assert animals.merge(other).height == 1
    assert animals.tags["tag"].to_list() == ["common", "ours", "theirs", "later"]
    animals.undo()
    assert animals.tags["tag"].to_list() == ["common", "ours", "later"]
    # What was taken back here is not taken from the other, who has it of its own.
    assert other.merge(animals).height == 1
    assert set(other.tags["tag"]) == {"common", "ours", "theirs", "later"}
    other.undo()
    assert set(other.tags["tag"]) == {"common", "theirs"}


def test_two_who_disagree_are_told_and_neither_is_believed(animals: ea.Project, tmp_path: Path) -> None:
    other = animals.clone(tmp_path / "other.eaw")
    ids = animals.ids
    boxes = animals.objects.ids
    animals.items.by_ids(ids[:3]).relabel("wolf")
    other.items.by_ids(ids[2:4]).relabel("fox")  # image 2 is a conflict
    animals.items.by_ids(ids[7:8]).relabel("wolf")
    other.items.by_ids(ids[7:8]).relabel("fox")  # an image that had no class
    animals.items.by_ids(ids[4:5]).relabel("same")
    other.items.by_ids(ids[4:5]).relabel("same")  # both say the same
    animals.objects.by_ids(boxes[:1]).delete_label()
    other.objects.by_ids(boxes[:1]).relabel("thing")
    animals.items.by_ids(ids[9:10]).note("mine")
    other.items.by_ids(ids[9:10]).note("theirs")
    animals.items.by_ids(ids[10:12]).split(train=1, val=0, test=0)
    other.items.by_ids(ids[11:12]).split(train=0, val=0, test=1)
    a, b, left, right = both_ways(animals, other, tmp_path)
    assert seen(a) == seen(b)
    told = left.sort("kind", "uri").select("kind", "item_id", "before", "ours", "theirs").rows()
    assert told == [
        ("class", ids[2], "owl", "wolf", "fox"),
        ("class", ids[7], None, "wolf", "fox"),
        ("deleted", ids[0], "cell", "deleted", "thing"),
        ("note", ids[9], None, "mine", "theirs"),
        ("split", ids[11], None, "train", "test"),
    ]
    swapped = right.rename({"ours": "theirs", "theirs": "ours"}).select(left.columns)
    assert swapped.sort("kind", "uri").equals(left.sort("kind", "uri"))
    classes = dict(a.df.select("item_id", "class_name").iter_rows())
    assert [classes[i] for i in ids[:5]] == ["wolf", "wolf", "owl", "fox", "same"]
    assert classes[ids[7]] is None
    assert boxes[0] in a.objects.ids.to_list()
    a.items.by_ids(ids[2:3]).relabel("wolf")  # somebody decides, and that counts from then on
    assert b.merge(a).is_empty()
    assert dict(b.df.select("item_id", "class_name").iter_rows())[ids[2]] == "wolf"


def test_a_part_given_away_comes_back(animals: ea.Project, tmp_path: Path) -> None:
    chosen = animals.ids.gather([1, 5, 8])
    part = animals.items.by_ids(chosen).clone(tmp_path / "part.eaw")
    animals.items.head(5).tag("meanwhile")
    part.items.tag("seen")
    part.objects.head(3).relabel("wolf")
    part.items.by_ids(chosen[2:]).relabel("fox")
    part.undo()
    part.redo()
    assert animals.merge(part).is_empty()
    assert animals.filter(ea.tagged("seen")).ids.to_list() == chosen.to_list()
    wolves = animals.objects.filter(pl.col("class_name") == "wolf")
    assert wolves.ids.sort().to_list() == part.objects.filter(pl.col("class_name") == "wolf").ids.sort().to_list()
    assert animals.filter(pl.col("class_name") == "fox").ids.to_list() == [chosen[2]]
    part.merge(animals)  # and the part learns what happened, without the images that were left out of it
    assert set(part.ids) == set(chosen)
    assert part.filter(ea.tagged("meanwhile")).ids.to_list() == [chosen[0]]


def test_images_and_labels_that_were_added_come_along(animals: ea.Project, tmp_path: Path) -> None:
    other = animals.clone(tmp_path / "other.eaw")
    new = tmp_path / "new.png"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(new)
    other.add_images([str(new)])
    box = {"x": 1.0, "y": 1.0, "w": 4.0, "h": 4.0}
    other.add_labels(pl.DataFrame([{"path": str(new), "class_name": "moth", **box}]))
    first = animals.df["uri"][0]
    animals.add_labels(pl.DataFrame([{"path": first, "class_name": "ours", **box}]))
    other.add_labels(pl.DataFrame([{"path": first, "class_name": "theirs", **box}]))
    other.filter(pl.col("uri") == str(new)).tag("new")
    other.objects.filter(pl.col("class_name") == "theirs").tag("drawn")
    assert animals.merge(other).is_empty()
    assert len(animals) == 13
    assert animals.filter(ea.tagged("new")).df["uri"].to_list() == [str(new)]
    assert sorted(animals.objects.filter(pl.col("item_id") == animals.ids[0]).df["class_name"]) == [
        "cell", "cell", "ours", "theirs",
    ]  # fmt: skip
    assert animals.objects.filter(ea.tagged("drawn")).df["class_name"].to_list() == ["theirs"]
    assert animals.objects.ids.n_unique() == len(animals.objects)
    n = len(animals.objects)
    animals.merge(other)
    assert (len(animals), len(animals.objects)) == (13, n)


def test_tags_on_predictions_come_along(animals: ea.Project, tmp_path: Path) -> None:
    f = animals.objects.df.select("item_id", "class_name", "x", "y", "w", "h", confidence=pl.lit(0.5))
    animals.add_predictions("yolo", f)
    part = animals.items.head(6).clone(tmp_path / "part.eaw")
    part.predictions["yolo"].head(3).tag("doubtful")
    animals.merge(part)
    tagged = animals.predictions["yolo"].filter(ea.tagged("doubtful")).ids
    assert tagged.to_list() == part.predictions["yolo"].head(3).ids.to_list()


def test_accepted_suggestions_come_along_with_their_labels(animals: ea.Project, tmp_path: Path) -> None:
    f = animals.objects.df.select("item_id", "class_name", pl.col("x") + 12, "y", "w", "h", confidence=pl.lit(0.5))
    animals.add_predictions("yolo", f)
    other = animals.clone(tmp_path / "other.eaw")
    other.predictions["yolo"].head(3).accept()
    animals.predictions["yolo"].at([20, 21]).accept()
    a, b, *_ = both_ways(animals, other, tmp_path)
    assert len(a.objects) == 24 + 5
    assert len(b.objects) == 24 + 5
    key = ["item_id", "x", "y"]
    assert a.objects.df.select(key).sort(key).equals(b.objects.df.select(key).sort(key))


def test_edits_of_another_project_are_refused(animals: ea.Project, pictures: Path, tmp_path: Path) -> None:
    stranger = ea.Project.from_folder(pictures, tmp_path / "stranger.eaw")
    stranger.items.tag("x")
    before = seen(animals)
    with pytest.raises(InputError, match="another project"):
        animals.merge(stranger)
    with pytest.raises(InputError, match="this project itself"):
        animals.merge(animals.path)
    assert seen(animals) == before


# -- laws --------------------------------------------------------------------------------------------------

_ROWS = st.lists(st.integers(0, N - 1), min_size=1, max_size=5, unique=True)
_TAG = st.sampled_from(["a", "b", "c"])
_KINDS = st.sampled_from(
    [
        *("tag", "untag", "rename_tag", "delete_tag", "remove", "restore", "relabel", "relabel", "unlabel", "note"),
        *("split", "split", "unsplit", "review", "add", "withdraw", "save_filter", "delete_filter", "undo", "redo"),
    ]
)


@st.composite
def logs(draw: Any) -> tuple[list[Edit], list[Edit], list[Edit]]:
    """Draw what two logs have in common, and how each goes on."""
    common = _draw_edits(draw, [], "c")
    return common, _draw_edits(draw, common, draw(st.sampled_from("ax"))), _draw_edits(draw, common, "b")


def _draw_edits(draw: Any, before: list[Edit], who: str) -> list[Edit]:
    log = list(before)
    for _ in range(draw(st.integers(0, 8))):
        kind, rows, word = draw(_KINDS), encode_rows(np.array(draw(_ROWS))), draw(_TAG)
        seq = log[-1].seq + 1 if log else 1
        state = fold(log, SIZES)
        undoes = None
        if kind in ("undo", "redo"):
            targets = state.done if kind == "undo" else state.undone
            if not targets:
                continue
            undoes = targets[-1].edit_id
        payload: dict[str, Any] = {
            "tag": {"add": [word]},
            "untag": {"remove": [word]},
            "rename_tag": {"from": word, "to": draw(_TAG)},
            "delete_tag": {"name": word},
            "relabel": {"class_name": word},
            "split": {"split": word},
            "note": {"text": draw(st.sampled_from(["x", "y", ""]))},
            "review": {"decision": draw(st.sampled_from(["open", "accepted", "rejected"])), "about": draw(_TAG)},
            "save_filter": {"name": word, "filter": draw(_TAG)},
            "delete_filter": {"name": word},
        }.get(kind, {})
        level, name = draw(st.sampled_from(["item", "object"])), "tag" if kind == "untag" else kind
        log.append(Edit(f"{who}{seq:03d}", seq, level, name, rows.encoding, rows.data, rows.n, payload, undoes))
    return log


def _plain(state: Folded) -> dict[tuple[str, ...], Any]:
    """Write a state as one value a thing that can be changed."""
    out: dict[tuple[str, ...], Any] = {("filter", k): v for k, v in state.filters.items()}
    for name in SIZES:
        e = state.level(name, N)
        for row in range(N):
            out["class", name, str(row)] = (
                e.class_names[e.classes[row]] if e.classes is not None and e.classes[row] >= 0 else None
            )
            out["split", name, str(row)] = (
                e.split_names[e.splits[row]] if e.splits is not None and e.splits[row] >= 0 else None
            )
            out["note", name, str(row)] = e.notes.get(row)
            out["removed", name, str(row)] = e.removed is not None and bool(e.removed[row])
            out["added", name, str(row)] = e.added is not None and bool(e.added[row])
            for tag in "abc":
                out["tag", name, tag, str(row)] = tag in e.tags and bool(e.tags[tag][row])
                out["review", name, tag, str(row)] = int(e.verdicts[tag][row]) if tag in e.verdicts else 0
    return out


def _merged(common: list[Edit], ours: list[Edit], theirs: list[Edit]) -> tuple[Folded, list[Any]]:
    union = sorted({e.edit_id: e for e in [*ours, *theirs]}.values(), key=lambda e: (e.seq, e.edit_id))
    together = fold(union, SIZES)
    wanted, conflicts = merged_state(common, ours, theirs, together, SIZES)
    also = parts_between(together, wanted, SIZES)
    apply(together, Edit("z", 999, "item", "merge", "ids", b"", 0, {"conflicts": 0, "also": also}, None), SIZES)
    return together, conflicts


@given(logs())
@settings(max_examples=200, deadline=None)
def test_merging_is_the_same_in_either_order_and_takes_what_one_side_changed(
    drawn: tuple[list[Edit], list[Edit], list[Edit]],
) -> None:
    common, ours, theirs = drawn
    left, told_left = _merged(common, ours, theirs)
    right, told_right = _merged(common, theirs, ours)
    got = _plain(left)
    assert got == _plain(right)
    assert list(left.level("item", N).tags) == list(right.level("item", N).tags)
    base, a, b = (_plain(fold(log, SIZES)) for log in (common, ours, theirs))
    keys = base.keys() | a.keys() | b.keys()
    deleted = {(c.level, str(c.row)) for c in told_left if c.kind == "deleted"}
    clashes = set()
    for key in keys:
        x, y, z = base.get(key), a.get(key), b.get(key)
        if len(key) > 2 and key[0] in ("class", "removed") and (key[1], key[-1]) in deleted:
            assert got.get(key) == x
        elif y in (x, z):
            assert got.get(key) == z, key
        elif z == x:
            assert got.get(key) == y, key
        else:
            assert got.get(key) == x, key
            clashes.add(key[0])
    assert clashes <= {"class", "note", "review", "split", "filter"}
    assert clashes == {c.kind for c in told_left} - {"deleted"}
    assert [(c.kind, c.row, c.ours, c.theirs) for c in told_left] == [
        (c.kind, c.row, c.theirs, c.ours) for c in told_right
    ]


@given(data=st.data())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_two_people_do_their_projects_agree_after_merging(
    animals: ea.Project, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    home = tmp_path_factory.mktemp("merge")
    a, b = animals.clone(home / "a.eaw"), animals.clone(home / "b.eaw")
    for p in (a, b):
        for what, rows, word in data.draw(st.lists(ACTIONS, max_size=4)):
            act(p, what, rows, word)
    one, two, left, right = both_ways(a, b, home)
    assert seen(one) == seen(two)
    assert left.height == right.height
    assert ea.open(one.path).merge(two).is_empty()
    assert seen(ea.open(one.path)) == seen(two)


ACTIONS = st.tuples(
    st.sampled_from(
        ["tag", "untag", "note", "relabel", "relabel objects", "delete", "remove", "split", "undo", "redo"]
    ),
    _ROWS,
    st.sampled_from(WORDS),
)


def act(p: ea.Project, what: str, rows: list[int], word: str) -> None:
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
    elif what == "delete":
        items.objects().head(2).delete_label()
    elif what == "remove" and len(items) < 3:
        items.remove()
    elif what == "split":
        items.split(train=1, val=0, test=1, seed=WORDS.index(word))
    elif what == "undo":
        p.undo()
    elif what == "redo":
        p.redo()
