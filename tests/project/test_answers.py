"""Answers of reviews: what they leave alone, what a label keeps, and that they are bound to what was asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.curation.answering import answer
from encord_active_widgets.curation.reviewing import queue_of
from encord_active_widgets.errors import InputError
from encord_active_widgets.protocol.reviewing import Review
from encord_active_widgets.protocol.service import Service

CAT = {"x": 5.0, "y": 5.0, "w": 20.0, "h": 20.0, "class_name": "cat"}
DOG = {"x": 45.0, "y": 30.0, "w": 20.0, "h": 20.0, "class_name": "dog"}
N = 10


def project(folder: Path, truth: list[list[dict]], name: str = "p") -> ea.Project:
    """One image a list of labels."""
    paths = []
    for i in range(len(truth)):
        paths.append(str(folder / f"{i:02d}.png"))
        Image.fromarray(np.full((60, 80, 3), 20 * i % 256, np.uint8)).save(paths[-1])
    rows = [{"path": p, **label} for p, labels in zip(paths, truth, strict=True) for label in labels]
    return ea.Project.from_frame(pl.DataFrame(rows), path=folder / f"{name}.eaw")


def predict(p: ea.Project, rows: list[list[dict]], run: str = "m", *, replace: bool = False) -> None:
    found = [{"path": u, "confidence": 0.95, **r} for u, some in zip(p.df["uri"], rows, strict=True) for r in some]
    p.add_predictions(run, pl.DataFrame(found), replace=replace)


@pytest.fixture
def faulty(tmp_path: Path) -> ea.Project:
    """A cat on each image is right; the dog is missed, too many, double, shifted or called a frog, by turns."""
    wrong = [[], [DOG, {**DOG, "x": 30.0, "y": 5.0}], [DOG, {**DOG, "x": 46.0}], [{**DOG, "x": 52.0}],
             [{**DOG, "class_name": "frog"}]]  # fmt: skip
    p = project(tmp_path, [[CAT, *wrong[i % 5]] for i in range(N)])
    predict(p, [[CAT, DOG]] * N)
    return p


def shown(p: ea.Project) -> list[tuple]:
    return p.objects.df.select("item_id", "class_name", "x", "y", "w", "h").sort("item_id", "x", "y").rows()


def of_kind(p: ea.Project, kind: str) -> ea.LabelErrors:
    return p.label_errors("m").filter(pl.col("kind") == kind)


# -- bound to what was asked ----------------------------------------------------------------------


def test_errors_of_a_run_that_was_replaced_touch_no_label(faulty: ea.Project) -> None:
    errors = faulty.label_errors("m")
    queue = queue_of(errors)
    widget = Review(queue)
    asked = widget.attach(Service(queue.view))
    before = shown(faulty)
    predict(faulty, [[{**DOG, "x": 0.0}, CAT]] * N, replace=True)
    for verb in (errors.accept, errors.reject, errors.review, errors.head(2).accept, errors.predictions):
        with pytest.raises(InputError, match="replaced or removed"):
            verb()
    for request in ("review.get", "review.thumbs", "review.decide", "review.state"):
        with pytest.raises(InputError, match="replaced or removed"):
            asked[request]({"at": 0, "is": [0], "decision": "accept"}, [])
    assert shown(faulty) == before
    assert errors.df.height == len(queue)  # what was found can still be looked at
    faulty.label_errors("m").accept()  # and asked again
    faulty.remove_predictions("m")
    with pytest.raises(InputError, match="replaced or removed"):
        errors.accept()


def test_a_queue_of_predictions_that_were_replaced_makes_no_labels(faulty: ea.Project) -> None:
    queue = queue_of(faulty.predictions["m"])
    predict(faulty, [[{**DOG, "x": 0.0}]] * N, replace=True)
    with pytest.raises(InputError, match="replaced or removed"):
        answer(queue, [0], "accept")
    assert faulty.changes().is_empty()


# -- what was answered stays answered -------------------------------------------------------------


def test_an_answer_given_before_is_not_lost_to_accepting_all(faulty: ea.Project, caplog) -> None:
    moved = of_kind(faulty, "location")
    moved.head(1).reject()
    spurious = of_kind(faulty, "spurious")
    spurious.head(1).reject()
    kept = spurious.df["label_id"][0]
    fresh = faulty.label_errors("m")
    assert fresh.df["reviewed"].drop_nulls().to_list() == ["rejected", "rejected"]
    assert not fresh.df.filter(pl.col("reviewed").is_not_null())["likely"].any()
    caplog.clear()
    done = fresh.accept(likely_only=False)
    assert len(done) == len(fresh) - 2
    assert "2 answered before" in caplog.text
    assert kept in faulty.objects.ids.to_list()
    assert 52.0 in faulty.objects.df["x"]
    assert fresh.filter(pl.col("reviewed") == "rejected").df.height == 2
    fresh.accept(likely_only=False, answered=True)
    assert kept not in faulty.objects.ids.to_list()
    assert 52.0 not in faulty.objects.df["x"].to_list()


def test_a_class_that_was_answered_is_told_beside_the_ranking_and_not_called_likely(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    codes = np.where(rng.random(300) < 0.1, (truth + 1) % 3, truth)
    table = 0.9 * np.eye(3)[truth] + 0.1 / 3
    path = tmp_path / "one.png"
    Image.new("RGB", (8, 8)).save(path)
    uris = [str(path.with_name(f"{i:03d}.png")) for i in range(300)]
    for uri in uris:
        path.with_name(Path(uri).name).write_bytes(path.read_bytes())
    names = pl.Series(["a", "b", "c"])
    p = ea.Project.from_frame(pl.DataFrame({"path": uris, "class_name": names.gather(codes)}), path=tmp_path / "p.eaw")
    p.add_predictions("m", table, classes=names.to_list())
    errors = p.label_errors("m")
    likely = errors.filter(pl.col("likely"))
    assert set(likely.df["ordinal"]) == set(np.flatnonzero(codes != truth).tolist())
    assert likely.df["suggested"].null_count() == 0
    assert (likely.df["suggested"] == names.gather(truth[likely.df["ordinal"].to_numpy()])).all()
    likely.head(3).reject()
    again = p.label_errors("m")
    assert again.df.filter(pl.col("reviewed") == "rejected")["ordinal"].sort().to_list() == (
        likely.df["ordinal"][:3].sort().to_list()
    )
    assert int(again.df["likely"].sum()) == len(likely) - 3
    again.accept()
    assert (p.df["class_name"] == names.gather(truth)).sum() == 300 - 3


# -- stale answers --------------------------------------------------------------------------------


def test_what_was_changed_by_hand_since_outlives_every_answer(faulty: ea.Project, caplog) -> None:
    errors = faulty.label_errors("m")
    frogs = errors.filter(pl.col("kind") == "class").df["label_id"].to_list()
    extra = errors.filter(pl.col("kind") == "spurious").df["label_id"].to_list()
    shifted = errors.filter(pl.col("kind") == "location").df["label_id"].to_list()
    faulty.objects.by_ids(frogs[:1]).relabel("newt")
    faulty.objects.by_ids(extra[:1]).relabel("newt")
    faulty.objects.by_ids(shifted[:1]).relabel("newt")
    faulty.objects.by_ids(frogs[1:2]).delete_label()
    done = errors.accept()
    newts = faulty.objects.filter(pl.col("class_name") == "newt").df
    assert set(newts["label_id"]) == {frogs[0], extra[0], shifted[0]}
    assert newts.filter(pl.col("label_id") == shifted[0])["x"].to_list() == [52.0]
    assert frogs[1] not in faulty.objects.ids.to_list()
    # Of the deleted one there is no question any more; the three that were changed are counted.
    assert len(done) == len(errors) - 3
    assert "3 whose label was changed or deleted since" in caplog.text


def test_taking_an_answer_back_leaves_what_was_done_after_it(faulty: ea.Project) -> None:
    queue = queue_of(of_kind(faulty, "class"), likely_only=False)
    label = queue.frame["label_row"].to_list()
    answer(queue, [0, 1], "accept")
    faulty.objects.at([label[0]]).relabel("newt")
    answer(queue, [0, 1], "clear")
    classes = faulty.objects.df.filter(pl.col("ordinal").is_in(label)).sort("ordinal")["class_name"].to_list()
    assert classes == ["newt", "frog"]
    answer(queue, [0, 1], "reject")
    assert faulty.objects.df.filter(pl.col("ordinal") == label[0])["class_name"].to_list() == ["newt"]


def test_a_suggestion_for_a_class_that_was_corrected_elsewhere_is_refused_in_the_panel(faulty: ea.Project) -> None:
    queue = queue_of(of_kind(faulty, "class"), likely_only=False)
    panel = Review(queue)
    asked = panel.attach(Service(queue.view))
    faulty.objects.at([queue.frame["label_row"][0]]).relabel("newt")
    with pytest.raises(InputError, match="1 whose label was changed"):
        asked["review.decide"]({"is": [0], "decision": "accept"}, [])
    both = asked["review.decide"]({"is": [0, 1], "decision": "accept"}, [])
    assert both.head["decisions"] == [0, 1]
    assert "left as they are: 1 whose label" in both.head["text"]
    assert asked["review.decide"]({"is": [0], "decision": "reject"}, []).head["decisions"] == [2]


# -- what comes back, and what is kept ------------------------------------------------------------


def test_a_label_made_of_a_prediction_and_deleted_comes_back_when_asked_for(faulty: ea.Project) -> None:
    missed = of_kind(faulty, "missed")
    missed.accept(likely_only=False)
    made = faulty.changes().filter(pl.col("change") == "added")["label_id"].to_list()
    assert len(made) == 2
    faulty.objects.by_ids(made[:1]).delete_label()
    assert len(missed.accept(likely_only=False)) == 0  # it was answered
    assert made[0] not in faulty.objects.ids.to_list()
    missed.accept(likely_only=False, answered=True)
    assert set(made) <= set(faulty.objects.ids.to_list())
    assert faulty._folder.labels.read().height == len(faulty.objects)  # the same label, not another one


def test_a_moved_label_keeps_all_but_its_shape(tmp_path: Path) -> None:
    paths = []
    images, annotations = [], []
    for i in range(8):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (80, 60)).save(paths[-1])
        images.append({"id": 10 + i, "file_name": f"{i}.png", "width": 80, "height": 60})
        x = 52.0 if i == 0 else 45.0
        annotations.append({"id": 700 + i, "image_id": 10 + i, "category_id": 3, "bbox": [x, 30, 20, 20], "area": 400,
                            "iscrowd": 0, "attributes": {"occluded": True}, "score": 0.5})  # fmt: skip
    coco = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "dog"}]}
    (tmp_path / "c.json").write_text(json.dumps(coco))
    p = ea.Project.from_coco(tmp_path / "c.json", tmp_path, tmp_path / "p.eaw")
    predict(p, [[DOG]] * 8)
    label = p.objects.df["label_id"][0]
    p.objects.by_ids([label]).tag("odd")
    p.objects.by_ids([label]).note("look again")
    error = of_kind(p, "location")
    assert error.df["label_id"].to_list() == [label]
    error.accept(likely_only=False)
    new = (
        p.objects.filter(pl.col("label_id") != label)
        .df.filter(pl.col("x") == 45.0)
        .filter(pl.col("note").is_not_null())
    )
    assert new.select("x", "y", "w", "h", "class_name", "note").rows() == [(45, 30, 20, 20, "dog", "look again")]
    assert new["tags"].to_list() == [["odd"]]
    p.items.to_coco(tmp_path / "out.json", verify=True)
    out = {a["id"]: a for a in json.loads((tmp_path / "out.json").read_text())["annotations"]}
    assert set(out) == set(range(700, 708))
    assert out[700]["bbox"] == [45, 30, 20, 20]
    assert out[700]["attributes"] == {"occluded": True}
    assert out[700]["area"] == pytest.approx(400)
    p.undo()
    assert p.objects.by_ids([label]).df["x"].to_list() == [52.0]
    assert p.objects.by_ids([label]).df["note"].to_list() == ["look again"]


def test_a_moved_label_keeps_who_drew_it_how_long_it_took_and_its_track(tmp_path: Path) -> None:
    about = {"annotator": "bob", "seconds": 12.0, "track_id": "7"}
    p = project(tmp_path, [[{**DOG, **about, "x": 52.0 if i == 0 else 45.0}] for i in range(8)])
    predict(p, [[DOG]] * 8)
    of_kind(p, "location").accept(likely_only=False)
    assert p.objects.df["x"].to_list() == [45.0] * 8
    assert p.objects.df.select("annotator", "seconds", "track_id").unique().rows() == [("bob", 12.0, "7")]
    assert p.annotators()["labels"].to_list() == [8]
    assert p.annotators()["seconds_total"].to_list() == [96.0]


def test_one_object_gets_one_label_when_suggestions_of_two_runs_are_accepted(faulty: ea.Project, caplog) -> None:
    predict(faulty, [[{**CAT, "x": 6.0}, {**DOG, "x": 46.0}]] * N, run="n")
    first, second = (faulty.label_errors(run).filter(pl.col("kind") == "missed") for run in "mn")
    assert len(first) == len(second) == 2
    first.accept(likely_only=False)
    caplog.clear()
    assert len(second.accept(likely_only=False)) == 0
    assert "2 where a label of the class is already" in caplog.text
    assert faulty.changes()["change"].to_list() == ["added", "added"]
    faulty.predictions["n"].accept()  # predictions of what has a label make no second one either
    by_item = faulty.objects.filter(pl.col("class_name") == "cat").df.group_by("item_id").len()
    assert by_item["len"].to_list() == [1] * N


def test_of_several_predictions_of_one_object_the_surest_becomes_a_label(tmp_path: Path) -> None:
    p = project(tmp_path, [[CAT]] * 2)
    boxes = [(45.0, 0.6), (46.0, 0.9), (47.0, 0.7), (58.0, 0.5)]  # the last lies half on the others
    found = [[{**DOG, "x": x, "confidence": c} for x, c in boxes], [{**DOG, "confidence": 0.3}]]
    predict(p, found)
    done = p.predictions["m"].accept()
    dogs = p.objects.filter(pl.col("class_name") == "dog").df.sort("item_id", "x")
    assert sorted(dogs["x"]) == [45.0, 46.0, 58.0]
    assert len(done) == 3
    assert p.predictions["m"].df["reviewed"].null_count() == 2


# -- why a label was changed ----------------------------------------------------------------------


def test_the_list_of_changes_says_why_however_many_there_are(tmp_path: Path) -> None:
    n = 260
    path = tmp_path / "one.png"
    Image.new("RGB", (8, 8)).save(path)
    uris = [str(tmp_path / f"{i:03d}.png") for i in range(n)]
    for uri in uris:
        Path(uri).write_bytes(path.read_bytes())
    p = ea.Project.from_frame(pl.DataFrame({"path": uris, "class_name": ["a"] * n}), path=tmp_path / "p.eaw")
    frame = p.df
    extra = frame.select("ordinal", pl.col("class_name").alias("given"), pl.lit("b").alias("suggested")).with_columns(
        pl.Series("score", np.linspace(0.9, 0.1, n)), pl.format("because of {}", "ordinal").alias("reason")
    )
    ea.view.View(p, "item", (), extra).accept()
    told = p.changes()
    assert told.height == n
    assert told.sort("reason")["reason"].to_list() == sorted(f"because of {i}" for i in range(n))
    np.testing.assert_allclose(np.sort(told["score"]), np.sort(np.linspace(0.9, 0.1, n)), atol=1e-4)
    assert ea.open(p.path).changes().equals(told)
