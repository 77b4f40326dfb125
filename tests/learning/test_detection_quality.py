"""Label errors of objects: every kind in closed form, and what must not be called an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.evaluation.matching import Boxes
from encord_active_widgets.learning.detection_quality import KINDS, detection_errors, duplicate_labels


def boxes(*rows: tuple, crowd: tuple[int, ...] = ()) -> Boxes:
    """Boxes (image, class, x, y, w, h[, confidence])."""
    n = len(rows)
    table = np.array([(*r, 1.0)[:7] for r in rows], float).reshape(n, 7)
    crowds = np.isin(np.arange(n), crowd)
    return Boxes(
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), np.ascontiguousarray(table[:, 2:6]), crowds, crowds,
        np.ascontiguousarray(table[:, 6]),
    )  # fmt: skip


def found(predictions: Boxes, labels: Boxes, images: int = 1) -> list[tuple]:
    """Likely errors: kind, label, prediction, score."""
    e = detection_errors(predictions, labels, images)
    rows = zip(e.kind, e.label, e.prediction, e.score.round(4), e.likely, strict=True)
    return [(KINDS[k], int(a), int(b), float(s)) for k, a, b, s, likely in rows if likely]


RIGHT = (0, 0, 10, 10, 40, 40)


def test_a_sure_prediction_on_no_label_is_a_missed_one():
    assert found(boxes((*RIGHT, 0.9), (0, 1, 100, 100, 20, 20, 0.8)), boxes(RIGHT)) == [("missed", -1, 1, 0.8)]


def test_a_missed_object_scores_less_where_a_label_covers_part_of_it():
    beside = (0, 0, 40, 10, 40, 40, 0.8)  # IoU of 1/7 with the label
    assert found(boxes((*RIGHT, 0.9), beside), boxes(RIGHT)) == [("missed", -1, 1, round(0.8 * 6 / 7, 4))]


def test_a_label_without_a_prediction_is_spurious_as_far_as_the_model_finds_its_class():
    others = [(0, 0, 60 * i, 0, 40, 40) for i in range(9)]
    alone = (0, 0, 0, 300, 40, 40)
    assert found(boxes(*((*o, 0.9) for o in others)), boxes(*others, alone)) == [("spurious", 9, -1, 0.9)]


def test_a_model_that_overlooks_much_says_little_by_overlooking_a_label():
    labels = boxes(*((0, 0, 60 * i, 0, 40, 40) for i in range(10)))
    assert found(boxes((0, 0, 0, 0, 40, 40, 0.9)), labels) == []


def test_a_label_beside_its_prediction_is_badly_located():
    good = [(0, 0, 60 * i, 0, 40, 40) for i in range(24)]
    shifted = (0, 0, 60 * 24 + 40 / 3, 0, 40, 40)  # by a third: IoU of 1/2
    true = (0, 0, 60 * 24, 0, 40, 40, 1.0)
    (error,) = found(boxes(*((*g, 0.9) for g in good), true), boxes(*good, shifted))
    assert error == ("location", 24, 24, round(0.5 / 0.9, 4))


def test_a_prediction_of_another_class_on_a_label_is_a_class_error():
    assert found(boxes((0, 1, 10, 10, 40, 40, 0.9)), boxes(RIGHT)) == [("class", 0, 0, 0.9)]


def test_a_model_that_says_both_classes_speaks_less_against_the_label():
    both = boxes((0, 1, 10, 10, 40, 40, 0.9), (0, 0, 10, 10, 40, 40, 0.8))
    assert found(both, boxes(RIGHT)) == []
    e = detection_errors(both, boxes(RIGHT), 1)
    assert (KINDS[e.kind[0]], e.score[0], e.support[0]) == ("class", pytest.approx(0.9 * 0.2), pytest.approx(0.8))


def test_of_two_labels_on_one_object_the_one_that_fits_worse_is_the_duplicate():
    labels = boxes((0, 0, 12, 10, 40, 40), RIGHT)
    ((kind, label, prediction, score),) = found(boxes((*RIGHT, 0.9)), labels)
    assert (kind, label, prediction) == ("duplicate", 0, 0)
    assert score == pytest.approx(38 / 42, abs=1e-4)
    e = duplicate_labels(labels, 1)
    assert (e.label.tolist(), e.partner.tolist(), e.likely.tolist()) == ([1], [0], [True])


def test_two_objects_that_the_model_sees_as_two_are_no_duplicates():
    near = (0, 0, 18, 10, 40, 40)  # IoU of 2/3
    two = boxes((0, 0, 8, 10, 40, 40, 0.9), (0, 0, 20, 10, 40, 40, 0.9))
    assert found(two, boxes(RIGHT, near)) == []


def test_labels_of_different_classes_on_one_object_are_no_duplicates_but_one_is_wrong():
    assert found(boxes((*RIGHT, 0.9)), boxes(RIGHT, (0, 1, 10, 10, 40, 40))) == [("class", 1, 0, 0.9)]


def test_predictions_on_each_other_are_one_object():
    twice = boxes((0, 0, 100, 100, 40, 40, 0.9), (0, 1, 102, 100, 40, 40, 0.8), (0, 0, 101, 100, 40, 40, 0.85))
    assert found(twice, boxes(RIGHT)) == [("missed", -1, 0, 0.9)]


def test_suppression_is_by_those_that_were_kept_alone():
    """A chain: the second lies on the first, the third on the second but not on the first."""
    chain = boxes((0, 0, 0, 0, 40, 40, 0.9), (0, 0, 9, 0, 40, 40, 0.8), (0, 0, 18, 0, 40, 40, 0.7))
    assert [f[2] for f in found(chain, boxes((0, 0, 300, 300, 5, 5)))] == [0, 2]


def test_a_weak_prediction_is_no_missed_object():
    assert found(boxes((*RIGHT, 0.9), (0, 0, 100, 100, 20, 20, 0.3)), boxes(RIGHT)) == []


def test_crowds_have_no_errors_and_hide_what_they_cover():
    inside = boxes((0, 0, 120, 120, 20, 20, 0.9), (*RIGHT, 0.9))
    labels = boxes(RIGHT, (0, 0, 100, 100, 100, 100), (0, 0, 100, 100, 100, 100), crowd=(1, 2))
    assert found(inside, labels) == []


def test_images_are_kept_apart():
    assert found(boxes((0, 0, 10, 10, 40, 40, 0.9)), boxes((1, 0, 10, 10, 40, 40), (0, 0, 10, 10, 40, 40)), 2) == [
        ("spurious", 0, -1, 0.5)
    ]


def test_a_prediction_without_a_confidence_counts_as_sure():
    assert found(boxes((0, 1, 100, 100, 20, 20, np.nan)), boxes(RIGHT)) == [("missed", -1, 0, 1.0)]


def test_nothing_in_nothing_out():
    none = boxes()
    assert len(detection_errors(none, none, 0).kind) == 0
    assert len(detection_errors(none, boxes(RIGHT), 1).kind) == 0, "a model that finds nothing says nothing"
    assert found(boxes((*RIGHT, 0.9)), none) == [("missed", -1, 0, 0.9)]
    assert len(duplicate_labels(none, 0).kind) == 0


def test_more_than_three_hundred_predictions_of_an_image_are_not_looked_at():
    many = boxes((*RIGHT, 1.0), *((0, 0, 50 * (i % 40), 100 + 50 * (i // 40), 20, 20, 0.9) for i in range(400)))
    assert sum(f[0] == "missed" for f in found(many, boxes(RIGHT))) == 299


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_labels_and_predictions_does_not_matter(seed):
    rng = np.random.default_rng(seed)

    def some(n: int) -> list[tuple]:
        return [
            (int(rng.integers(3)), int(rng.integers(2)), *rng.uniform(0, 60, 2), *rng.uniform(10, 40, 2), rng.random())
            for _ in range(n)
        ]

    predictions, labels = some(25), some(15)
    p, q = rng.permutation(25), rng.permutation(15)
    straight = detection_errors(boxes(*predictions), boxes(*labels), 3)
    mixed = detection_errors(boxes(*(predictions[i] for i in p)), boxes(*(labels[i] for i in q)), 3)
    place, number = np.append(p, -1), np.append(q, -1)

    def rows(e, by_label, by_prediction):
        table = zip(e.kind.tolist(), by_label[e.label], by_prediction[e.prediction], e.score.round(9), strict=True)
        # Of two labels that nothing tells apart the later one is the duplicate: there the order is what decides.
        return sorted((k, -2 if k == 4 else int(a), int(b), float(s)) for k, a, b, s in table)

    ours = rows(straight, np.append(np.arange(15), -1), np.append(np.arange(25), -1))
    assert rows(mixed, number, place) == ours
    assert ((straight.score >= 0.05) & (straight.score <= 1)).all()
    assert (np.diff(straight.score) <= 0).all()
