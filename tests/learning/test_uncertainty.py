"""Acquisition scores of probabilities: closed forms, bounds, and how items of many detections are scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import entr

from encord_active_widgets.errors import InputError, ShapeError, UnknownNameError
from encord_active_widgets.learning.uncertainty import (
    UNCERTAINTIES,
    aggregate,
    bernoulli,
    entropy,
    least_confidence,
    margin,
    variance,
)


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.vstack([rng.dirichlet(np.full(7, a), 200) for a in (0.05, 1.0, 20.0)])


def test_scores_are_those_of_scipy_and_the_plain_formulas(table):
    np.testing.assert_allclose(entropy(table), entr(table).sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(least_confidence(table), [1 - max(p) for p in table], atol=1e-12)
    two = [sorted(p)[-2:] for p in table]
    np.testing.assert_allclose(margin(table), [1 - (b - a) for a, b in two], atol=1e-12)
    gini = [(1 - sum(x * x for x in p)) * 7 / 6 for p in table]
    np.testing.assert_allclose(variance(table), gini, atol=1e-12)


@pytest.mark.parametrize("name", UNCERTAINTIES)
@pytest.mark.parametrize("k", [2, 3, 10])
def test_the_surest_score_nothing_and_the_least_sure_the_most_there_is(name, k):
    one = UNCERTAINTIES[name]
    sure, unsure = np.eye(k)[[0]], np.full((1, k), 1 / k)
    assert one.score(sure)[0] == pytest.approx(0, abs=1e-12)
    assert one.score(unsure)[0] == pytest.approx(one.most(k))


@pytest.mark.parametrize("name", UNCERTAINTIES)
def test_with_one_class_nothing_is_unsure(name):
    assert UNCERTAINTIES[name].score(np.ones((3, 1))).tolist() == [0, 0, 0]
    assert UNCERTAINTIES[name].most(1) == 0


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=6), st.randoms())
def test_the_order_of_classes_does_not_matter(values, random):
    p = np.array(values) / sum(values)
    other = list(p)
    random.shuffle(other)
    for one in UNCERTAINTIES.values():
        assert one.score([other])[0] == pytest.approx(one.score([p])[0], abs=1e-9)


def test_a_confidence_alone_is_a_class_and_its_rest():
    p = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    pair = bernoulli(p)
    np.testing.assert_allclose(entropy(pair), entr(p) + entr(1 - p), atol=1e-12)
    np.testing.assert_allclose(least_confidence(pair), np.minimum(p, 1 - p), atol=1e-12)
    np.testing.assert_allclose(margin(pair), 1 - np.abs(2 * p - 1), atol=1e-12)
    np.testing.assert_allclose(variance(pair), 4 * p * (1 - p), atol=1e-12)


@pytest.mark.parametrize(("how", "function"), [("mean", np.mean), ("max", np.max), ("sum", np.sum)])
def test_items_are_scored_by_their_own_predictions_alone(how, function):
    rng = np.random.default_rng(1)
    scores, owners = rng.random(300), rng.integers(0, 40, 300)
    owners[owners == 7] = 8
    found = aggregate(scores, owners, 40, how, empty=0.25)
    wanted = [function(scores[owners == i]) if (owners == i).any() else 0.25 for i in range(40)]
    np.testing.assert_allclose(found, wanted)
    assert found[7] == 0.25


def test_a_prediction_without_a_score_counts_for_nothing():
    assert aggregate([np.nan, 0.5, np.nan], [0, 0, 1], 3, "mean", empty=0.1).tolist() == [0.5, 0.1, 0.1]
    assert aggregate([], [], 2, "max").tolist() == [0, 0]


def test_what_is_no_probability_is_refused_with_its_row():
    for bad in ([[0.5, 0.5], [np.nan, 1]], [[0.5, 0.5], [-0.1, 1.1]], [[0.5, 0.5], [0, 0]], [[0.5, 0.5], [0.4, 0.4]]):
        with pytest.raises(InputError, match=r"row 1.*softmax"):
            entropy(bad)
    with pytest.raises(ShapeError, match="table"):
        margin([0.5, 0.5])
    with pytest.raises(InputError, match=r"row 1 is 1\.5"):
        bernoulli([0.5, 1.5])
    with pytest.raises(UnknownNameError, match='"max"'):
        aggregate([0.5], [0], 1, "maxi")
