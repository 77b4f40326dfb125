"""Reviews: what an answer changes, that it can be taken back, and that nothing answered is asked again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.curation.answering import answer
from encord_active_widgets.curation.reviewing import Queue, queue_of
from encord_active_widgets.errors import InputError, UnknownNameError
from encord_active_widgets.protocol.reviewing import Review
from encord_active_widgets.protocol.service import Service
from encord_active_widgets.view import View

CLASSES = ["cat", "dog", "frog"]


def decide(queue: Queue, places: Sequence[int], decision: str, class_name: str | None = None) -> None:
    """Answer questions; none of them may be left as it is."""
    assert not answer(queue, places, decision, class_name).left


def pictures(folder: Path, n: int) -> list[str]:
    folder.mkdir(exist_ok=True)
    paths = [str(folder / f"{i:02d}.png") for i in range(n)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((60, 80, 3), 20 * i % 256, np.uint8)).save(path)
    return paths


@pytest.fixture
def answers(tmp_path: Path) -> ea.Project:
    """Twelve images with a class each."""
    paths = pictures(tmp_path / "images", 12)
    frame = pl.DataFrame({"path": paths, "class_name": [CLASSES[i % 3] for i in range(12)]})
    return ea.Project.from_frame(frame, path=tmp_path / "answers.eaw")


@pytest.fixture
def boxes(tmp_path: Path) -> ea.Project:
    """Four images with two boxes each, and a run that found them and two more."""
    paths = pictures(tmp_path / "images", 4)
    rows = [
        {"path": p, "class_name": CLASSES[(i + j) % 2], "x": 5.0 + 30 * j, "y": 5.0, "w": 20.0, "h": 20.0}
        for i, p in enumerate(paths)
        for j in range(2)
    ]
    p = ea.Project.from_frame(pl.DataFrame(rows), path=tmp_path / "boxes.eaw")
    found = [{**r, "confidence": 0.9, "x": r["x"] + 1} for r in rows]
    found += [
        {"path": q, "class_name": "frog", "x": 50.0, "y": 35.0, "w": 15.0, "h": 15.0, "confidence": 0.8}
        for q in paths[:2]
    ]
    p.add_predictions("m", pl.DataFrame(found))
    return p


def suggesting(view: View, suggested: list[str | None]) -> View:
    """The rows of a view with a suggestion each, as `p.label_errors` gives them."""
    frame = view.df
    extra = pl.DataFrame(
        {
            "ordinal": frame["ordinal"],
            "given": frame["class_name"],
            "suggested": pl.Series(suggested, dtype=pl.String),
            "score": np.linspace(0.9, 0.1, frame.height),
            "reason": [f"the model says {s}" for s in suggested],
        }
    )
    return View(view.project, view.level, View(view.project, view.level).at(view.rows)._ops, extra)


def edits_of(p: ea.Project) -> pl.DataFrame:
    """The history without what was added to the project."""
    return p.history().filter(pl.col("kind") != "add")


def labels_of(p: ea.Project) -> pl.DataFrame:
    return p.labels.df.select("label_id", "item_id", "class_name", "kind").sort("label_id")


def seen_of(p: ea.Project) -> list[tuple]:
    frame = p.objects.df.select("item_id", "class_name", "x", "y", "w", "h")
    return frame.sort(frame.columns).rows()


def test_an_accepted_suggestion_is_a_relabel_that_is_listed_exported_and_undone(
    answers: ea.Project, tmp_path: Path
) -> None:
    before = labels_of(answers)
    suggesting(answers.items.head(3), ["frog", "frog", "dog"]).accept()
    assert answers.df["class_name"][:3].to_list() == ["frog", "frog", "dog"]
    listed = answers.changes()
    assert listed.select("change", "before", "after").rows() == [
        ("relabelled", "cat", "frog"), ("relabelled", "dog", "frog"), ("relabelled", "frog", "dog")
    ]  # fmt: skip
    assert listed["reason"].to_list() == ["the model says frog", "the model says frog", "the model says dog"]
    assert listed["score"][0] == pytest.approx(0.9)
    assert edits_of(answers).height == 1
    answers.undo()
    assert labels_of(answers).equals(before)
    assert answers.changes().is_empty()
    assert "reviewed" not in answers.df.columns
    answers.redo()
    assert answers.df["class_name"][:3].to_list() == ["frog", "frog", "dog"]
    listed.write_csv(tmp_path / "changes.csv")
    assert pl.read_csv(tmp_path / "changes.csv").height == 3


def test_what_was_rejected_keeps_its_class_and_is_known_after_reopening(answers: ea.Project) -> None:
    view = suggesting(answers.items.head(4), ["frog"] * 4)
    view.head(2).reject()
    view.filter(pl.col("score") < 0.2).accept()
    again = ea.open(answers.path)
    assert again.df["class_name"][:4].to_list() == ["cat", "dog", "frog", "frog"]
    assert again.df["reviewed"][:4].to_list() == ["rejected", "rejected", None, "accepted"]
    assert len(again.filter(pl.col("reviewed") == "rejected")) == 2
    fresh = queue_of(suggesting(again.items.head(4), ["frog"] * 4))
    assert fresh.decisions().tolist() == [2, 2, 0, 1]


def test_only_likely_errors_are_accepted_unless_all_are_asked_for(answers: ea.Project) -> None:
    view = suggesting(answers.items.head(4), ["frog", "frog", "cat", "frog"])
    view._extra = view._extra.with_columns(likely=pl.Series([True, False, False, True]))
    view.accept()
    assert answers.df["class_name"][:4].to_list() == ["frog", "dog", "frog", "frog"]
    view.accept(likely_only=False)
    assert answers.df["class_name"][:4].to_list() == ["frog", "frog", "cat", "frog"]


def test_a_prediction_that_is_accepted_becomes_a_label_once(boxes: ea.Project, tmp_path: Path) -> None:
    extra = boxes.predictions["m"].filter(pl.col("class_name") == "frog")
    extra.accept()
    assert len(boxes.objects) == 10
    new = boxes.objects.filter(pl.col("class_name") == "frog").df
    assert new.select("x", "y", "w", "h").unique().rows() == [(50.0, 35.0, 15.0, 15.0)]
    assert boxes.changes()["change"].to_list() == ["added", "added"]
    boxes.items.to_coco(tmp_path / "out.json", verify=True)
    assert sum(1 for a in json.loads((tmp_path / "out.json").read_text())["annotations"] if a["bbox"][0] == 50) == 2
    boxes.undo()
    assert len(boxes.objects) == 8
    assert boxes.changes().is_empty()
    extra.accept()  # the same labels again, not others beside them
    boxes.undo()
    boxes.redo()
    extra.accept()
    assert len(boxes.objects) == 10
    assert boxes._folder.labels.read().height == 10
    extra.reject()  # what was answered is not answered again by the way
    assert len(boxes.objects) == 10
    extra.reject(answered=True)
    assert len(boxes.objects) == 8
    assert boxes.predictions["m"].df["reviewed"].drop_nulls().to_list() == ["rejected", "rejected"]


def test_suggestions_of_a_run_that_was_replaced_are_not_mistaken_for_the_new_ones(boxes: ea.Project) -> None:
    boxes.predictions["m"].filter(pl.col("class_name") == "frog").accept()
    paths = boxes.df["uri"].to_list()
    moved = [
        {"path": q, "class_name": "frog", "x": 1.0, "y": 40.0, "w": 9.0, "h": 9.0, "confidence": 0.8} for q in paths
    ]
    boxes.add_predictions("m", pl.DataFrame(moved), replace=True)
    boxes.predictions["m"].accept()
    assert boxes.objects.filter(pl.col("class_name") == "frog").df["x"].sort().to_list() == [1, 1, 1, 1, 50, 50]


def test_labels_that_wait_for_an_answer_are_nowhere(boxes: ea.Project, tmp_path: Path) -> None:
    boxes.predictions["m"].filter(pl.col("class_name") == "frog").accept()
    boxes.undo()
    assert boxes.df["object_count"].to_list() == [2, 2, 2, 2]
    assert "frog" not in boxes.labels.df["class_name"]
    boxes.items.to_yolo(tmp_path / "yolo")
    lines = [line for f in (tmp_path / "yolo").rglob("*.txt") for line in f.read_text().splitlines()]
    assert len(lines) == 8


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["accept", "reject", "class", "remove", "clear"])), max_size=7
    )
)
def test_the_last_answer_to_a_question_counts_and_undo_takes_all_back(boxes: ea.Project, answers: list) -> None:
    if "fresh" not in boxes.predictions:
        places = [(p, x) for p in boxes.df["uri"].head(2) for x in (0.0, 15.0, 30.0, 45.0, 60.0)]
        rows = [{"path": p, "class_name": "cat", "x": x, "y": 40.0, "w": 12.0, "h": 12.0} for p, x in places]
        boxes.add_predictions("fresh", pl.DataFrame(rows).with_columns(confidence=0.9))
    start = labels_of(boxes)
    queue = queue_of(boxes.predictions["fresh"])

    def answer_all(steps: list) -> None:
        for place, verb in steps:
            decide(queue, [place], verb, "dog" if verb == "class" else None)

    def shown() -> pl.DataFrame:
        return boxes.objects.df.select("item_id", "class_name", "x", "y").sort("item_id", "x", "class_name")

    answer_all(answers)
    after = shown()
    codes = queue.decisions()
    boxes.undo(len(answers))
    assert labels_of(boxes).equals(start)
    last = dict(answers)
    answer_all(list(last.items()))
    assert shown().equals(after)
    assert (queue.decisions() == codes).all()
    boxes.undo(len(last))
    assert labels_of(boxes).equals(start)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([(3, "accept"), (3, "class"), (3, "class"), (3, "accept"), (3, "clear")])
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["accept", "reject", "class", "clear"])), max_size=7))
def test_the_last_answer_about_a_class_counts(answers: ea.Project, steps: list) -> None:
    start = labels_of(answers)
    queue = queue_of(suggesting(answers.items.head(6), ["frog", "cat", "dog", "dog", "cat", "cat"]))
    for place, verb in steps:
        decide(queue, [place], verb, "newt" if verb == "class" else None)
    after = labels_of(answers)
    answers.undo(len(steps))
    assert labels_of(answers).equals(start)
    for place, verb in dict(steps).items():
        decide(queue, [place], verb, "newt" if verb == "class" else None)
    assert labels_of(answers).equals(after)
    answers.undo(len(dict(steps)))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([(1, "remove"), (1, "remove"), (1, "accept"), (1, "clear")])
@example([(0, "accept"), (0, "remove"), (0, "clear"), (1, "class"), (1, "remove"), (1, "reject")])
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["accept", "reject", "class", "remove", "clear"])), max_size=6
    )
)
@pytest.mark.parametrize("kind", ["plain", "class", "location", "spurious", "missed"])
def test_the_last_answer_about_an_object_counts(faulty: ea.Project, kind: str, steps: list) -> None:
    faulty.undo(100)  # what an example that failed left behind
    start = labels_of(faulty)
    view = faulty.objects if kind == "plain" else faulty.label_errors("m").filter(pl.col("kind") == kind)
    queue = queue_of(view, likely_only=False)
    # A row without a suggestion that is said to be right is right as it is, also where it was given another class.
    asked = [(p, {"accept": "clear", "reject": "remove"}.get(v, v) if kind == "plain" else v) for p, v in steps]
    for place, verb in asked:
        decide(queue, [place], verb, "newt" if verb == "class" else None)
    after, codes = seen_of(faulty), queue.decisions()
    faulty.undo(len(asked))
    assert labels_of(faulty).equals(start)
    for place, verb in dict(asked).items():
        decide(queue, [place], verb, "newt" if verb == "class" else None)
    assert seen_of(faulty) == after
    assert (queue.decisions() == codes).all()
    faulty.undo(len(dict(asked)))
    assert labels_of(faulty).equals(start)


def test_rows_without_a_suggestion_are_right_wrong_relabelled_or_deleted(boxes: ea.Project) -> None:
    queue = queue_of(boxes.objects)
    decide(queue, [0], "accept")
    decide(queue, [1], "reject")
    decide(queue, [2], "class", "newt")
    decide(queue, [3], "remove")
    df = boxes.objects.df
    assert df["reviewed"].to_list() == ["accepted", "rejected", "changed", None, None, None, None]
    assert df["class_name"][2] == "newt"
    assert queue.decisions().tolist() == [1, 2, 3, 4, 0, 0, 0, 0]
    assert boxes.changes()["change"].to_list() == ["relabelled", "removed"]
    decide(queue, [3], "clear")
    assert len(boxes.objects) == 8


def test_an_image_without_a_class_gets_one_and_loses_it_again(tmp_path: Path) -> None:
    p = ea.Project.from_folder(pictures(tmp_path / "images", 3), path=tmp_path / "p.eaw")
    queue = queue_of(p.items)
    decide(queue, [0, 2], "class", "cat")
    assert p.df["class_name"].to_list() == ["cat", None, "cat"]
    assert p.changes()["change"].to_list() == ["added", "added"]
    decide(queue, [0], "clear")
    assert p.df["class_name"].to_list() == [None, None, "cat"]


def test_answers_that_do_not_fit_say_so_and_change_nothing(answers: ea.Project, boxes: ea.Project) -> None:
    queue = queue_of(suggesting(answers.items.head(3), ["frog", "frog", "dog"]))
    with pytest.raises(UnknownNameError, match="accept"):
        decide(queue, [0], "acept")
    with pytest.raises(InputError, match="name"):
        decide(queue, [0], "class", " ")
    with pytest.raises(InputError, match="no label to delete"):
        decide(queue, [0], "remove")
    with pytest.raises(InputError, match="no question 7"):
        decide(queue, [7], "accept")
    with pytest.raises(InputError, match=r"p\.items"):
        boxes.labels.review()
    assert edits_of(answers).is_empty()
    assert answer(queue, [], "accept").places.size == 0
    assert edits_of(answers).is_empty()


def test_the_list_of_changes_compares_with_what_was_read(boxes: ea.Project) -> None:
    first = boxes.objects.head(1)
    old = first.df["class_name"][0]
    first.relabel("newt")
    first.relabel("frog")
    assert boxes.changes().select("before", "after").rows() == [(old, "frog")]
    first.relabel(old)
    assert boxes.changes().is_empty()
    boxes.objects.head(2).delete_label()
    boxes.items.head(1).remove()
    listed = boxes.changes()
    assert listed.select("change", "level").rows() == [
        ("removed", "object"),
        ("removed", "object"),
        ("removed", "item"),
    ]
    assert listed["x_before"][0] == 5.0
    assert listed["x"].null_count() == 3
    assert listed["at"].is_sorted()


# -- what the page asks ---------------------------------------------------------------------------


def attached(view: View) -> dict:
    panel = Review(queue_of(view))
    return {**panel.attach(Service(panel._queue.view)), "panel": panel}


def test_the_page_gets_shapes_of_label_suggestion_and_neighbours(boxes: ea.Project) -> None:
    asked = attached(boxes.predictions["m"].filter(pl.col("class_name") == "frog"))
    reply = asked["review.get"]({"at": 0, "count": 10}, [])
    assert [e["i"] for e in reply.head["entries"]] == [0, 1]
    first = reply.head["entries"][0]
    assert (first["kind"], first["given"], first["suggested"]) == ("missed", None, "frog")
    assert (first["suggestion"]["x"], first["suggestion"]["w"]) == (50.0, 15.0)
    assert first["label"] is None
    assert len(first["others"]) == 2
    assert first["score"] == pytest.approx(0.8)
    assert json.dumps(reply.head)
    pictures_ = asked["review.thumbs"]({"is": [1, 0], "gen": 3}, [])
    offsets = np.frombuffer(pictures_.buffers[0], "<u4")
    assert len(offsets) == 3
    assert (np.diff(offsets) > 100).all()
    assert pictures_.head["shapes"][0]["cls"] == "frog"


def test_answers_of_the_page_are_on_the_disk_when_it_hears_of_them(answers: ea.Project) -> None:
    asked = attached(suggesting(answers.items.head(6), ["frog"] * 6))
    reply = asked["review.decide"]({"is": [0, 1], "decision": "accept"}, [])
    assert reply.head["done"] == 2
    assert reply.head["decisions"] == [1, 1]
    assert ea.open(answers.path).df["class_name"][:2].to_list() == ["frog", "frog"]
    assert asked["review.decide"]({"is": [4], "decision": "class", "class_name": "newt"}, []).head["decisions"] == [3]
    codes = np.frombuffer(asked["review.state"]({}, []).buffers[0], np.uint8)
    assert codes.tolist() == [1, 1, 0, 0, 3, 0]
    undone = asked["review.undo"]({}, [])
    assert (undone.head["at"], undone.head["done"]) == (4, 2)
    assert "undone" in undone.head["text"]
    assert asked["review.redo"]({}, []).head["at"] == 4
    assert asked["panel"].describe()["done"] == 3
    history = edits_of(answers)
    assert history["cause"].to_list()[:2] == ["review", "review"]
    with pytest.raises(InputError, match="no questions"):
        asked["review.decide"]({"is": "all", "decision": "accept"}, [])
    with pytest.raises(InputError, match="no question 99"):
        asked["review.decide"]({"is": [99], "decision": "accept"}, [])


def test_review_opens_an_explorer_that_knows_the_queue(answers: ea.Project) -> None:
    w = suggesting(answers.items.head(6), ["frog"] * 6).review(height=500)
    panel = w._spec["panels"]["review"]
    assert (panel["total"], panel["done"], panel["kinds"], panel["level"]) == (6, 0, ["class"], "item")
    assert len(w.view) == 6
    w.close()


# -- errors that a detector speaks of -------------------------------------------------------------


@pytest.fixture
def faulty(tmp_path: Path) -> ea.Project:
    """Six images: on each one right box, and by turns one missed, spurious, double, shifted or of another class."""
    paths = pictures(tmp_path / "images", 10)
    truth, found = [], []
    for i, path in enumerate(paths):
        box = {"path": path, "x": 5.0, "y": 5.0, "w": 20.0, "h": 20.0, "class_name": "cat"}
        other = {**box, "x": 45.0, "y": 30.0, "class_name": "dog"}
        found += [{**box, "confidence": 0.95}, {**other, "confidence": 0.9}]
        shown = [[], [other, {**other, "x": 30.0, "y": 5.0}], [other, {**other, "x": 46.0}], [{**other, "x": 52.0}],
                 [{**other, "class_name": "frog"}]]  # fmt: skip
        truth += [box, *shown[i % 5]]
    p = ea.Project.from_frame(pl.DataFrame(truth), path=tmp_path / "faulty.eaw")
    p.add_predictions("m", pl.DataFrame(found))
    return p


def test_accepting_all_errors_of_a_detector_makes_its_labels_right(faulty: ea.Project, tmp_path: Path) -> None:
    start = labels_of(faulty)
    errors = faulty.label_errors("m")
    likely = errors.filter(pl.col("likely"))
    assert set(likely.df["kind"]) == {"missed", "spurious", "duplicate", "location", "class"}
    errors.accept()
    right = faulty.objects.df.select("item_id", "class_name", "x", "y", "w", "h").sort("item_id", "x")
    assert right.filter(pl.col("class_name") == "cat").height == 10
    dogs = right.filter(pl.col("class_name") == "dog")
    assert dogs["item_id"].n_unique() == dogs.height == 10
    assert dogs["x"].is_between(44.0, 46.5).all()
    assert set(faulty.changes()["change"]) == {"added", "removed", "moved", "relabelled"}
    moved = faulty.changes().filter(pl.col("change") == "moved")
    assert moved.select("x_before", "x").unique().rows() == [(52.0, 45.0)]
    faulty.items.to_coco(tmp_path / "corrected.json", verify=True)
    faulty.undo()
    assert labels_of(faulty).equals(start)


def test_a_box_does_not_take_the_place_of_a_polygon(tmp_path: Path, caplog) -> None:
    paths = pictures(tmp_path / "images", 8)
    ring = [10.0, 10.0, 40.0, 10.0, 40.0, 40.0, 10.0, 40.0]
    p = ea.Project.from_frame(
        pl.DataFrame([{"path": q, "class_name": "cat", "points": ring} for q in paths]), path=tmp_path / "p.eaw"
    )
    p.add_predictions(
        "m",
        pl.DataFrame(
            [
                {
                    "path": q,
                    "class_name": "cat",
                    "x": 18.0 if i < 2 else 10.5,
                    "y": 10.0,
                    "w": 30.0,
                    "h": 30.0,
                    "confidence": 0.99,
                }
                for i, q in enumerate(paths)
            ]
        ),
    )
    moved = p.label_errors("m").filter(pl.col("kind") == "location").head(2)
    assert len(moved) == 2
    with pytest.raises(InputError, match="polygon"):
        moved.accept(likely_only=False)
    assert p.changes().is_empty()
    caplog.clear()
    box = {"path": paths[0], "class_name": "cat", "x": 50.0, "y": 40.0, "w": 9.0, "h": 9.0, "confidence": 0.99}
    found = [box, *p.predictions["m"].df.select(pl.col("uri").alias("path"), *list(box)[1:]).to_dicts()]
    p.add_predictions("m", pl.DataFrame(found), replace=True)
    errors = p.label_errors("m")
    assert set(errors.df["kind"]) == {"location", "missed"}
    assert errors.accept(likely_only=False).df["kind"].to_list() == ["missed"]  # the others do not hold it up
    assert "left 2 of 3 rows as they are: 2 whose label has a shape of another kind" in caplog.text
    assert p.changes()["change"].to_list() == ["added"]
    p.label_errors("m").filter(pl.col("kind") == "location").reject(likely_only=False)
    assert p.objects.df["reviewed"].to_list()[:8] == ["rejected"] * 2 + [None] * 6


def test_a_class_that_was_answered_is_not_asked_again_when_the_ranking_has_no_better_one(answers: ea.Project) -> None:
    view = suggesting(answers.items.head(4), ["frog", "frog", "frog", "frog"])
    view.head(1).accept()
    view.filter(pl.col("score").is_between(0.6, 0.7)).reject()
    again = queue_of(suggesting(answers.items.head(4), [None, None, "frog", "frog"]))
    assert again.frame["kind"].to_list() == ["", "", "class", "class"]
    assert again.decisions().tolist() == [1, 1, 0, 0]
