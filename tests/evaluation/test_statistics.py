"""What a user would lose: the cause of failures overlooked, or noise shown as one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.errors import InputError, ShapeError
from encord_active_widgets.evaluation import buckets as by
from encord_active_widgets.evaluation import information
from encord_active_widgets.evaluation import statistics as ours

feature_selection = pytest.importorskip("sklearn.feature_selection")
stats = pytest.importorskip("scipy.stats")
digamma = pytest.importorskip("scipy.special").digamma


def sklearn_noise(n: int, m: int, *, outcome: bool) -> np.ndarray:
    """Draw what scikit-learn draws for `random_state=0`: first for the columns, then for a continuous outcome."""
    state = np.random.RandomState(0)
    return np.c_[state.standard_normal((n, m)), state.standard_normal(n) if outcome else np.zeros(n)]


def metrics(n: int) -> np.ndarray:
    """Return continuous, tied, zero-inflated and skewed columns."""
    rng = np.random.default_rng(n)
    found = rng.normal(size=(n, 5))
    found[:, 1] = found[:, 1].round(2)
    found[:, 2] = np.where(rng.random(n) < 0.6, 0, found[:, 2])
    found[:, 3] = np.exp(3 * found[:, 3])
    found[:, 4] = 1e4 + found[:, 4]
    return found.astype(np.float32)


def ross_by_hand(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """Count all pairs: Ross 2014, classes of one row left out."""
    keep = np.isin(y, [c for c in np.unique(y) if (y == c).sum() > 1])
    x, y = x[keep], y[keep]
    distance = np.abs(x[:, None] - x)
    terms = []
    for i in range(len(x)):
        own = np.sort(np.delete(distance[i], i)[np.delete(y, i) == y[i]])
        near = min(k, len(own))
        radius = own[near - 1]
        within = (distance[i] < radius).sum() if radius > 0 else (distance[i] == 0).sum()
        terms.append(digamma(near) - digamma(len(own) + 1) - digamma(within))
    return max(0.0, digamma(len(x)) + np.mean(terms))


def kraskov_by_hand(x: np.ndarray, y: np.ndarray, k: int) -> float:
    dx, dy = np.abs(x[:, None] - x), np.abs(y[:, None] - y)
    both = np.maximum(dx, dy)
    np.fill_diagonal(both, np.inf)
    radius = np.sort(both, axis=1)[:, [k - 1]]
    counts = [np.where(radius > 0, d < radius, d == 0).sum(axis=1) for d in (dx, dy)]
    return max(0.0, digamma(len(x)) + digamma(k) - sum(digamma(c).mean() for c in counts))


# -- mutual information ---------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("n", [100, 1_000, 5_000])
def test_information_about_classes_is_that_of_scikit_learn(n: int, k: int) -> None:
    x = metrics(n)
    y = np.digitize(x[:, 0] + np.random.default_rng(1).normal(size=n), [-0.5, 1])
    for column in x.T:  # one by one: over several, scikit-learn's deviation differs in the last digit
        wanted = feature_selection.mutual_info_classif(column[:, None], y, n_neighbors=k, random_state=0)
        found = information.mutual_information(column, y, k, noise=sklearn_noise(n, 1, outcome=False))
        assert found[0] == pytest.approx(wanted[0], abs=1e-9)
    assert information.mutual_information(x, y, k)[0] > 0.1


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("n", [50, 1_000, 5_000])
def test_information_about_numbers_is_that_of_scikit_learn(n: int, k: int) -> None:
    x = metrics(n)
    rng = np.random.default_rng(1)
    first = x[:, 0].astype(np.float64)
    for y in (np.abs(first) + rng.normal(size=n), np.sin(9 * first), np.round(first, 2), rng.random(n) ** 9):
        for column in x.T:
            wanted = feature_selection.mutual_info_regression(column[:, None], y, n_neighbors=k, random_state=0)
            found = information.mutual_information(column, y, k, noise=sklearn_noise(n, 1, outcome=True))
            assert found[0] == pytest.approx(wanted[0], abs=1e-9)


def test_information_of_many_columns_at_once_is_that_of_scikit_learn() -> None:
    x = np.random.default_rng(0).normal(size=(3_000, 20))
    y = x[:, 3] + np.random.default_rng(1).normal(size=3_000)
    wanted = feature_selection.mutual_info_regression(x, y, random_state=0)
    np.testing.assert_allclose(
        information.mutual_information(x, y, noise=sklearn_noise(3_000, 20, outcome=True)), wanted
    )
    wanted = feature_selection.mutual_info_classif(x, y > 1, random_state=0)
    np.testing.assert_allclose(
        information.mutual_information(x, y > 1, noise=sklearn_noise(3_000, 20, outcome=False)), wanted, atol=1e-9
    )


def test_counts_of_objects_are_discrete_as_scikit_learn_has_them() -> None:
    rng = np.random.default_rng(0)
    count = rng.poisson(4, 3_000)
    y, iou = rng.random(3_000) < 0.1 * count, rng.random(3_000) / (1 + count)
    found = information.mutual_information(count.astype(float), y)
    wanted = feature_selection.mutual_info_classif(count[:, None], y, discrete_features=True)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    state = np.random.RandomState(0)
    noise = np.c_[np.zeros(3_000), state.standard_normal(3_000)]
    found = information.mutual_information(count.astype(float), iou, noise=noise)
    wanted = feature_selection.mutual_info_regression(count[:, None], iou, discrete_features=True, random_state=0)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 2), st.integers(-9, 9)), min_size=4, max_size=40),
    st.integers(1, 5),
)
def test_tiny_and_tied_data_agree_with_counting_all_pairs(rows: list[tuple[int, int, int]], k: int) -> None:
    x, y, z = (np.array(column, float) for column in zip(*rows, strict=True))
    sides = [information._Variable(None, values, np.argsort(values)) for values in (x, z)]
    by_hand = kraskov_by_hand(x, z, min(k, len(x) - 1))
    assert information._information(sides[0], sides[1], k) == pytest.approx(by_hand, abs=1e-12)
    codes = y.astype(np.int64)
    found = information._information(sides[0], information._Variable(codes, y, codes[:0]), k)
    if (np.bincount(codes) > 1).any():
        assert found == pytest.approx(ross_by_hand(x, y, k), abs=1e-12)
    else:
        assert math.isnan(found)


def test_normal_numbers_have_the_information_of_their_correlation() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 50_000).T
    assert information.mutual_information(x, y)[0] == pytest.approx(-0.5 * np.log(1 - 0.64), abs=0.01)


def test_missing_numbers_are_left_out_column_by_column() -> None:
    x = metrics(2_000)
    y = x[:, 0] > 0.3
    x[::3, 0], x[1::4, 1], x[5, 2] = np.nan, np.inf, -np.inf
    found = information.mutual_information(x, y)
    draws = information._draws(2_000, 0)
    for j, column in enumerate(x.T):
        fine = np.isfinite(column)
        alone = information.mutual_information(column[fine], y[fine], noise=draws[fine])
        assert found[j] == pytest.approx(alone[0], abs=1e-12)
    iou = np.where(np.arange(2_000) % 7 == 0, np.nan, x[:, 4] - 1e4)
    fine = np.isfinite(iou)
    found = information.mutual_information(x[:, 4], iou)
    assert found[0] == information.mutual_information(x[fine, 4], iou[fine], noise=draws[fine])[0]


def test_a_column_scores_the_same_whatever_stands_beside_it() -> None:
    x = metrics(500)
    y = x[:, 0] > 0
    assert information.mutual_information(x, y)[3] == information.mutual_information(x[:, 3], y)[0]
    assert information.association(x, y).score[3] == information.association(x[:, 3], y).score[0]


def test_nothing_is_said_about_nothing() -> None:
    nothing = np.full(20, np.nan)
    some = np.arange(20) % 2 == 0
    assert np.isnan(information.mutual_information(np.c_[nothing, nothing], some)).all()
    assert information.mutual_information(np.ones(20), some).tolist() == [0]
    assert information.mutual_information(np.arange(20.0), np.ones(20, bool))[0] == pytest.approx(0, abs=1e-12)
    assert information.mutual_information(np.empty((0, 3)), np.empty(0)).shape == (3,)
    assert np.isnan(information.permuted(nothing, some)).all()
    found = information.association(np.c_[nothing, np.arange(20.0)], np.ones(20, bool))
    assert np.isnan(found.score).all()
    assert found.rows.tolist() == [0, 20]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ShapeError, match="do not fit"):
        information.mutual_information(np.zeros((5, 2)), np.zeros(4))
    with pytest.raises(ShapeError, match="Noise"):
        information.mutual_information(np.zeros((5, 2)), np.zeros(5), noise=np.zeros((5, 2)))
    for function in (information.mutual_information, information.permuted, information.association):
        with pytest.raises(InputError, match="neighbours"):
            function(np.zeros(5), np.zeros(5), 0)


def test_the_digamma_table_is_that_of_scipy() -> None:
    np.testing.assert_allclose(information._digamma(5_000)[1:], digamma(np.arange(1, 5_001)), rtol=1e-14, atol=1e-15)
    for n in (1, 2, 15, 16):
        np.testing.assert_allclose(information._digamma(n)[1:], digamma(np.arange(1, n + 1)), rtol=1e-14)


# -- beyond chance --------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [0.05, 0.3, 0.5])
def test_the_planted_cause_ranks_first_and_noise_scores_nothing(failures: float) -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(20_000, 30)).astype(np.float32)
    x[:, 1] = rng.poisson(5, 20_000)
    x[:, 2] = np.where(rng.random(20_000) < 0.8, 0, x[:, 2])
    rank = np.argsort(np.argsort(x[:, 12])) / 20_000
    y = rng.random(20_000) < failures * 2 * rank
    found = information.association(x, y)
    assert found.score.argmax() == 12
    assert found.score[12] > 0.05
    assert np.delete(found.score, 12).max() < 0.005
    assert (found.chance >= found.baseline).all()


def test_a_cause_that_rises_and_falls_is_found_where_rank_correlation_sees_none() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 10))
    iou = np.exp(-np.square(x[:, 4])) + 0.1 * rng.normal(size=20_000)
    found = information.association(x, iou)
    assert found.score[4] > 0.4
    assert np.delete(found.score, 4).max() < 0.005
    assert abs(ours.rank_correlation(x, iou)[0][4]) < 0.03


def test_the_whole_cause_scores_one() -> None:
    x = np.random.default_rng(0).normal(size=20_000)
    assert information.association(x, x > 1).score[0] == pytest.approx(1, abs=0.02)
    assert information.association((x > 1).astype(float), x > 1).score[0] == pytest.approx(1, abs=0.002)


def test_the_outcome_shuffled_without_sorting_is_the_outcome_sorted_again() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 300))
    a, b = (information._variable(values, np.zeros(300)) for values in (x, y))
    found = information._shuffled(a, b, 3, 5, 4)
    rng = np.random.default_rng(5)
    again = [
        information._information(a, information._variable(y[rng.permutation(300)], np.zeros(300)), 3) for _ in range(4)
    ]
    np.testing.assert_allclose(found, again, atol=1e-12)


# -- tests of significance ------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 4, 5, 10, 30, 1_000, 50_000])
def test_rank_correlation_is_that_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, 6))
    x[:, 1] = rng.integers(0, 4, n) + (np.arange(n) == 0)
    y = x[:, 0] + 30 * rng.normal(size=n) / math.sqrt(n)
    x[:, 2], x[:, 3] = np.exp(y), -y
    x[:, 4] = y + 0.2 * rng.normal(size=n)
    for outcome in (y, y > y.mean()):
        correlation, p = ours.rank_correlation(x, outcome)
        for j, column in enumerate(x.T):
            wanted = stats.spearmanr(column, outcome)
            assert correlation[j] == pytest.approx(wanted.statistic, abs=1e-12)
            if abs(correlation[j]) < 1 - 1e-12:  # else scipy's p depends on the rounding of a perfect 1
                assert p[j] == pytest.approx(wanted.pvalue, rel=1e-7, abs=1e-300)


def test_rank_correlation_leaves_out_what_is_missing_and_says_nothing_of_constants() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    x[::5, 0], x[:, 1], y[3], x[2:, 2] = np.nan, 4, np.nan, np.nan
    correlation, p = ours.rank_correlation(x, y)
    fine = np.isfinite(x[:, 0]) & np.isfinite(y)
    wanted = stats.spearmanr(x[fine, 0], y[fine])
    assert (correlation[0], p[0]) == pytest.approx((wanted.statistic, wanted.pvalue))
    assert np.isnan([correlation[1], p[1], p[2]]).all()
    assert abs(correlation[2]) == 1


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 500, 200_000])
def test_students_tail_is_that_of_scipy_from_one_half_to_nothing(freedom: int) -> None:
    for t in (0, 1e-6, 0.1, 0.9, 1.4, 2, 5, 30):
        r = t / math.sqrt(freedom + t * t)
        assert ours._student(r, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("sizes", [(1, 2), (4, 7), (20, 30), (200, 250), (280, 290), (2_000, 900), (300, 90_000)])
def test_the_two_sample_test_is_that_of_scipy(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    x, y = (rng.normal(size=(size, 8)) for size in sizes)
    y += np.array([0, 0.02, 0.05, 0.1, 0.3, 1, 5, 0])
    x[:, 7], y[:, 7] = x[:, 7].round(), y[:, 7].round()
    statistic, p = ours.ks_2samp(x, y)
    for j in range(8):
        method = "exact" if sizes[0] * sizes[1] <= 1_000_000 else "asymp"
        wanted = stats.ks_2samp(x[:, j], y[:, j], method=method)
        assert statistic[j] == pytest.approx(wanted.statistic, abs=1e-15)
        assert p[j] == pytest.approx(wanted.pvalue, rel=1e-6, abs=1e-12)


def test_two_tiny_samples_are_never_called_different_on_the_strength_of_their_size() -> None:
    assert ours.ks_2samp([1], [2, 3, 4])[1].tolist() == pytest.approx([0.5])
    assert ours.ks_2samp(np.arange(10), np.arange(20, 30))[1].tolist() == pytest.approx([2 / math.comb(20, 10)])


@pytest.mark.parametrize("n", [1, 2, 5, 50, 140, 141, 500, 5_000, 120_000])
def test_kolmogorovs_distribution_is_that_of_scipy_at_every_distance(n: int) -> None:
    for d in (*np.linspace(0.001, 1, 20), *(np.linspace(0.05, 8, 40) / math.sqrt(n))):
        if d < 1:
            assert ours._kolmogorov(n, d) == pytest.approx(stats.kstwo.sf(d, n), rel=1e-6, abs=1e-9)


def test_the_two_sample_test_leaves_out_what_is_missing() -> None:
    x, y = np.array([[1, np.nan], [2, np.nan], [np.nan, np.nan]]), np.array([[2, 1], [3, 2], [np.inf, 3]])
    statistic, p = ours.ks_2samp(x, y)
    wanted = stats.ks_2samp([1, 2], [2, 3], method="exact")
    assert (statistic[0], p[0]) == pytest.approx((wanted.statistic, wanted.pvalue))
    assert np.isnan([statistic[1], p[1]]).all()
    assert ours.ks_2samp([3, 3], [3, 3])[0].tolist() == [0]
    with pytest.raises(ShapeError, match="columns"):
        ours.ks_2samp(np.zeros((2, 2)), np.zeros((2, 3)))


@given(st.lists(st.floats(0, 1), max_size=30))
def test_adjusted_p_values_are_those_of_scipy(p: list[float]) -> None:
    found = ours.benjamini_hochberg(p)
    np.testing.assert_allclose(found, stats.false_discovery_control(p) if p else [], atol=1e-12)
    with_missing = ours.benjamini_hochberg([np.nan, *p, np.nan])
    np.testing.assert_array_equal(with_missing[1:-1], found)
    assert np.isnan(with_missing[[0, -1]]).all()


def test_what_is_no_p_value_is_refused() -> None:
    with pytest.raises(InputError):
        ours.benjamini_hochberg([0.5, 1.5])


# -- buckets --------------------------------------------------------------------------------------


@given(st.integers(0, 400), st.integers(1, 400), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_intervals_of_shares_are_those_of_scipy(successes: int, n: int, confidence: float) -> None:
    successes = min(successes, n)
    wanted = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    found = by.wilson(successes, n, confidence)
    assert [float(end) for end in found] == pytest.approx([wanted.low, wanted.high], abs=1e-12)


def test_no_trial_leaves_every_share_possible_and_nonsense_is_refused() -> None:
    assert [end.tolist() for end in by.wilson([0, 1], [0, 1])] == [[0, pytest.approx(0.2065, abs=1e-4)], [1, 1]]
    for arguments in ((2, 1), (-1, 5), (1, 2, 1.0)):
        with pytest.raises(InputError):
            by.wilson(*arguments)


@pytest.mark.parametrize("n", [30, 500, 5_000])
def test_the_bootstrap_of_a_mean_is_that_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).exponential(size=n)
    wanted = stats.bootstrap((values,), np.mean, method="percentile", rng=1, batch=500).confidence_interval
    mean, low, high = by.bootstrap_mean(values)
    assert mean == values.mean()
    assert [low, high] == pytest.approx([wanted.low, wanted.high], abs=0.2 * values.std() / math.sqrt(n))
    assert by.bootstrap_mean(np.r_[values, np.nan]) == (mean, low, high)
    assert np.isnan(by.bootstrap_mean([])).all()


@given(
    st.lists(st.tuples(st.floats(-5, 5).map(lambda v: round(v, 1)) | st.just(math.nan), st.booleans()), max_size=80),
    st.integers(1, 12),
)
def test_buckets_hold_every_row_once_between_their_edges(rows: list[tuple[float, bool]], n: int) -> None:
    x, success = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], bool)
    found = by.buckets(x, success, n)
    known = found.filter(found["lower"].is_not_null())
    assert len(known) <= n
    assert found["count"].sum() == len(rows)
    assert len(rows) == 0 or found["count"].min() > 0
    assert len(found) - len(known) == int(np.isnan(x).any())
    for i, (lower, upper, count, rate, low, high) in enumerate(known.iter_rows()):
        inside = (x >= lower) & ((x <= upper) if i == len(known) - 1 else (x < upper))
        assert inside.sum() == count
        assert rate == pytest.approx(success[inside].mean())
        assert (low, high) == pytest.approx([float(end) for end in by.wilson(success[inside].sum(), count)])
    assert known["upper"].to_list()[:-1] == known["lower"].to_list()[1:]


def test_buckets_have_equal_counts_where_values_differ_and_one_where_they_do_not() -> None:
    x = np.random.default_rng(0).permutation(1_000).astype(float)
    assert by.buckets(x, x > 500)["count"].to_list() == [100] * 10
    one = by.buckets(np.full(9, 3.0), np.arange(9) < 6)
    assert one.select("lower", "upper", "count").rows() == [(3.0, 3.0, 9)]
    mostly_zero = np.r_[np.zeros(950), np.arange(1, 51)]
    assert by.buckets(mostly_zero, mostly_zero > 0)["count"].to_list() == [950, 50]


def test_numbers_as_outcomes_have_means_and_missing_outcomes_are_left_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(2_000)
    iou = np.clip(x + 0.1 * rng.normal(size=2_000), 0.01, 0.99)
    x[:50], iou[50:60] = np.nan, np.nan
    found = by.buckets(x, iou, 5)
    assert found["count"].sum() == 1_990
    assert found["count"][-1] == 50
    assert found["rate"][-1] == pytest.approx(iou[:50].mean())
    assert (found["rate_low"] < found["rate"]).all()
    assert (found["rate"] < found["rate_high"]).all()
    with pytest.raises(ShapeError):
        by.buckets(x, iou[1:])
    with pytest.raises(InputError):
        by.buckets(x, iou, 0)
