"""Whether two sets are drawn alike: against scipy, and against definitions written down slowly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from encord_active_widgets.errors import InputError, ShapeError
from encord_active_widgets.evaluation.two_samples import cliffs_delta, mmd_test, neighbours_of_own_set, shares_test


def slow_mmd(a, b):
    """Equation 3 of Gretton et al. 2012, pair by pair."""
    width = np.median(pdist(np.concatenate([a, b])))

    def k(x, y):
        return np.exp(-np.sum((x - y) ** 2) / (2 * width**2))

    def within(rows):
        pairs = list(itertools.permutations(range(len(rows)), 2))
        return sum(k(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    return within(a) + within(b) - 2 * np.mean([k(x, y) for x in a for y in b]), width


def test_the_discrepancy_is_the_unbiased_one_of_the_paper():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(14, 4)), rng.normal(0.4, 1.3, size=(9, 4))
    found = mmd_test(a, b, permutations=19)
    wanted, width = slow_mmd(a, b)
    assert found.squared == pytest.approx(wanted, abs=1e-12)
    assert found.bandwidth == pytest.approx(width)


def test_a_shift_is_significant_and_none_is_not():
    rng = np.random.default_rng(2)
    a, same = rng.normal(size=(150, 20)), rng.normal(size=(120, 20))
    assert mmd_test(a, same).p_value > 0.05
    assert mmd_test(a, same + 0.4).p_value == 0.001
    assert mmd_test(a, same * 1.6).p_value == 0.001, "another spread about the same middle"
    assert mmd_test(a, same + 0.4) == mmd_test(a, same + 0.4), "the same seed gives the same"


def test_of_sets_drawn_alike_one_in_twenty_is_called_different():
    rng = np.random.default_rng(3)
    p = np.array(
        [
            mmd_test(rng.normal(size=(25, 2)), rng.normal(size=(18, 2)), permutations=99, seed=i).p_value
            for i in range(400)
        ]
    )
    assert stats.binomtest(int((p <= 0.05).sum()), 400, 0.05).pvalue > 0.001
    assert stats.kstest(p, "uniform").statistic < 0.1


def test_the_p_value_is_that_of_all_mixtures_where_these_are_few():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(5, 2)), rng.normal(0.8, 1, size=(4, 2))
    both = np.concatenate([a, b])
    width = np.median(pdist(both))
    kernel = np.exp(-cdist(both, both, "sqeuclidean") / (2 * width**2))
    np.fill_diagonal(kernel, 0)

    def squared(first):
        second = [i for i in range(9) if i not in first]
        inner = kernel[np.ix_(first, first)].sum() / 20 + kernel[np.ix_(second, second)].sum() / 12
        return inner - 2 * kernel[np.ix_(first, second)].mean()

    every = np.array([squared(list(c)) for c in itertools.combinations(range(9), 5)])
    exact = (every >= squared([0, 1, 2, 3, 4]) - 1e-12).mean()
    assert mmd_test(a, b, permutations=9_999).p_value == pytest.approx(exact, abs=0.02)


def test_equal_vectors_do_not_divide_by_nothing():
    same = np.ones((6, 3))
    assert mmd_test(same, same).p_value == 1
    assert mmd_test(same, same).squared == pytest.approx(0)
    assert mmd_test(np.ones((20, 3)), np.zeros((4, 3))).p_value == 0.001


def test_vectors_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="too few"):
        mmd_test(np.ones((1, 3)), np.ones((5, 3)))
    with pytest.raises(ShapeError, match="do not fit"):
        mmd_test(np.ones((4, 3)), np.ones((4, 2)))
    with pytest.raises(InputError, match="too few"):
        neighbours_of_own_set(np.ones((1, 3)), np.ones((5, 3)))


def test_neighbours_tell_sets_apart_as_far_as_they_are_apart():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(300, 6)), rng.normal(size=(250, 6))
    assert neighbours_of_own_set(a, b) == pytest.approx(0.5, abs=0.03)
    shifts = [neighbours_of_own_set(a, b + shift) for shift in (0, 0.5, 1, 5)]
    assert shifts == sorted(shifts)
    assert shifts[-1] == 1
    assert neighbours_of_own_set(a, a + 1e-9, k=1) == 0, "each has a twin in the other set"


def test_neighbours_are_those_that_a_slow_search_finds():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(40, 3)), rng.normal(0.6, 1, size=(40, 3))
    both = np.concatenate([a, b])
    far = cdist(both, both)
    np.fill_diagonal(far, np.inf)
    own = np.mean([[(j < 40) == (i < 40) for j in np.argsort(far[i])[:5]] for i in range(80)])
    expected = 39 / 79
    wanted = 0.5 + (own - expected) * 0.5 / (1 - expected) if own > expected else own * 0.5 / expected
    assert neighbours_of_own_set(a, b) == pytest.approx(wanted)


# -- classes ----------------------------------------------------------------------------------------


def test_one_label_an_image_and_two_classes_is_fishers_exact_test():
    table = np.array([[30, 12], [22, 25]])
    images = np.repeat(np.eye(2)[[0, 1, 0, 1]], table.ravel(), axis=0)
    in_b = np.repeat([False, True], table.sum(axis=1))
    distance, p = shares_test(images, in_b, permutations=19_999)
    assert distance == pytest.approx(30 / 42 - 22 / 47)
    assert p == pytest.approx(stats.fisher_exact(table).pvalue, abs=0.01)


def test_crowded_images_do_not_make_a_difference_significant():
    """Each image has 40 labels of one class: 20 images say as little as 20 labels, and chi-square thinks of 800."""
    rng = np.random.default_rng(7)
    called, by_labels = 0, 0
    for i in range(60):
        classes = rng.integers(0, 3, 40)
        counts = np.eye(3)[classes] * 40
        in_b = np.arange(40) >= 20
        called += shares_test(counts, in_b, permutations=199, seed=i)[1] <= 0.05
        by_labels += stats.chi2_contingency([counts[~in_b].sum(axis=0), counts[in_b].sum(axis=0)]).pvalue <= 0.05
    assert called <= 9
    assert by_labels > 50


def test_a_set_without_labels_has_no_shares():
    assert np.isnan(shares_test(np.zeros((4, 2)), [False, False, True, True])).all()
    with pytest.raises(ShapeError, match="do not fit"):
        shares_test(np.zeros((4, 2)), [True])


# -- numbers ----------------------------------------------------------------------------------------

numbers = st.lists(st.integers(-5, 5), min_size=1, max_size=40)


@settings(deadline=None)
@given(numbers, numbers)
def test_cliffs_delta_is_the_share_of_pairs_above_less_those_below(a, b):
    slow = np.mean([[np.sign(y - x) for y in b] for x in a])
    assert cliffs_delta(a, b) == pytest.approx(slow)
    assert cliffs_delta(b, a) == pytest.approx(-slow)
    assert cliffs_delta([*a, np.nan], [*b, np.inf, np.nan]) == pytest.approx(slow)


def test_cliffs_delta_is_what_mann_whitneys_u_says_and_nothing_of_nothing():
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=80), rng.normal(0.4, 1, size=60)
    assert cliffs_delta(a, b) == pytest.approx(2 * stats.mannwhitneyu(b, a).statistic / (80 * 60) - 1)
    assert np.isnan(cliffs_delta([], [1.0]))
