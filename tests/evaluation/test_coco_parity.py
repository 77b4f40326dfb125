"""Scores and matches are those of pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings

from encord_active_widgets.errors import InputError

from .coco_sets import our_people, ours, people, problems, reference


@settings(max_examples=60, deadline=None)
@given(problems())
def test_precision_recall_and_confidences_equal_pycocotools(problem):
    truth, results = problem
    found, expected = ours(truth, results), reference(truth, results)
    np.testing.assert_allclose(found.scores.precision, expected.eval["precision"], atol=1e-9)
    np.testing.assert_allclose(found.scores.recall, expected.eval["recall"], atol=1e-9)
    np.testing.assert_allclose(found.scores.confidence, expected.eval["scores"], atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(problems())
def test_without_classes_too(problem):
    truth, results = problem
    found, expected = ours(truth, results, class_aware=False), reference(truth, results, class_aware=False)
    np.testing.assert_allclose(found.scores.precision, expected.eval["precision"], atol=1e-9)


def same_matches(found, expected, truth, results, *, limit=100):
    """Hold every match to pycocotools."""
    label_row = {a["id"]: i for i, a in enumerate(truth["annotations"])}
    seen = 0
    for image in expected.evalImgs:
        if image is None or image["aRng"][1] < 1e9 or image["aRng"][0] > 0:
            continue
        for d, prediction in enumerate(image["dtIds"]):
            seen += 1
            taken = [label_row.get(int(g), -1) for g in image["dtMatches"][:, d]]
            assert found.matches.label_of[:, prediction - 1].tolist() == taken
            assert found.matches.spared[:, prediction - 1].tolist() == image["dtIgnore"][:, d].astype(bool).tolist()
        for g, label in enumerate(image["gtIds"]):
            if not image["gtIgnore"][g]:
                taker = (image["gtMatches"][:, g].astype(int) - 1).tolist()
                assert found.matches.prediction_of[:, label_row[label]].tolist() == taker
    beyond = int((found.matches.rank >= limit).sum())
    assert seen + beyond == len(results)
    assert (found.matches.label_of[:, found.matches.rank >= limit] == -1).all()


@settings(max_examples=60, deadline=None)
@given(problems())
def test_every_match_equals_pycocotools(problem):
    truth, results = problem
    same_matches(ours(truth, results), reference(truth, results), truth, results)


@settings(max_examples=25, deadline=None)
@given(problems())
def test_every_match_without_classes_equals_pycocotools(problem):
    truth, results = problem
    found, expected = ours(truth, results, class_aware=False), reference(truth, results, class_aware=False)
    same_matches(found, expected, truth, results)


def sigmas_for(truth):
    k = len(truth["annotations"][0]["keypoints"]) // 3
    return None if k == 17 else [0.05] * k


@settings(max_examples=80, deadline=None)
@given(people())
def test_keypoints_are_scored_and_matched_by_oks_as_pycocotools_does(problem):
    truth, results = problem
    found, expected = our_people(truth, results), reference(truth, results, kind="keypoints", sigmas=sigmas_for(truth))
    areas = [0, 2, 3]  # COCO has no small people
    for ours_, theirs in zip(found.scores, (expected.eval[k] for k in ("precision", "recall", "scores")), strict=True):
        np.testing.assert_allclose(ours_[..., areas, -1], theirs[..., 0], atol=1e-9)
    same_matches(found, expected, truth, results, limit=20)


@settings(max_examples=10, deadline=None)
@given(people(most_predictions=30))
def test_more_than_twenty_people_on_an_image_are_cut_as_pycocotools_does(problem):
    truth, results = problem
    found, expected = our_people(truth, results), reference(truth, results, kind="keypoints", sigmas=sigmas_for(truth))
    np.testing.assert_allclose(
        found.scores.precision[..., [0, 2, 3], -1], expected.eval["precision"][..., 0], atol=1e-9
    )
    same_matches(found, expected, truth, results, limit=20)


@settings(max_examples=20, deadline=None)
@given(people())
def test_keypoints_without_classes_are_scored_as_one_class(problem):
    truth, results = problem
    one = {**truth, "annotations": [{**a, "category_id": 2} for a in truth["annotations"]]}
    expected = reference(one, [{**r, "category_id": 2} for r in results], kind="keypoints", sigmas=sigmas_for(truth))
    found = our_people(truth, results, class_aware=False)
    np.testing.assert_allclose(
        found.scores.precision[:, :, :, [0, 2, 3], -1], expected.eval["precision"][:, :, :1, :, 0]
    )
    same_matches(found, expected, one, results, limit=20)


def test_keypoints_that_do_not_fit_say_so_instead_of_scoring_nonsense():
    def person(k, **more):
        return {"image_id": 1, "category_id": 1, "keypoints": [10, 10, 2] * k, **more}

    label = person(5, id=1, bbox=[5, 5, 10, 10], area=80, iscrowd=0, num_keypoints=5)
    truth = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}], "annotations": [label]}
    with pytest.raises(InputError, match="Predictions have 17 keypoints, labels 5"):
        our_people(truth, [person(17, score=0.5)])
    with pytest.raises(InputError, match="do not fit 5 keypoints"):
        our_people(truth, [person(5, score=0.5)], sigmas=[0.1])
    tight, loose = (our_people(truth, [person(5, score=0.5)], sigmas=[s] * 5).pairs.iou[0] for s in (0.01, 0.1))
    assert tight == loose == 1.0
