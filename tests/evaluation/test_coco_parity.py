"""Scores and matches are those of pycocotools."""

import numpy as np
from hypothesis import given, settings

from .coco_sets import ours, problems, reference


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


@settings(max_examples=60, deadline=None)
@given(problems())
def test_every_match_equals_pycocotools(problem):
    truth, results = problem
    found, expected = ours(truth, results), reference(truth, results)
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
    beyond = int((found.matches.rank >= 100).sum())
    assert seen + beyond == len(results)
    assert (found.matches.label_of[:, found.matches.rank >= 100] == -1).all()
