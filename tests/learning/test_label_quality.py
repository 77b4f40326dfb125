"""Label errors of classes: closed forms against cleanlab, laws, human-verified and planted errors, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from encord_active_widgets.errors import InputError, ShapeError, UnknownNameError
from encord_active_widgets.learning import confident, label_quality
from encord_active_widgets.learning.label_quality import METHODS, neighbour_probabilities, neighbour_quality
from encord_active_widgets.learning.noise import judge_labels, learn
from encord_active_widgets.learning.probabilities import judge

from .conftest import flipped

BY_MODEL = [m for m in METHODS if m != "neighbours"]
CLEANLAB = [
    ("self_confidence", False), ("self_confidence", True), ("normalized_margin", False), ("normalized_margin", True),
    ("confidence_weighted_entropy", False),
]  # fmt: skip


def ranks(found: label_quality.LabelQuality) -> np.ndarray:
    """How high each row is ranked: high is worse."""
    out = np.full(len(found.quality), -np.inf)
    out[found.order] = -np.arange(len(found.order))
    return out


def drawn(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(k, 0.3), n)
    codes = (table.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(0, k - 1)
    codes[:k] = np.arange(k)
    return codes, table


# -- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["self_confidence", "normalized_margin", "confidence_weighted_entropy"])
def test_scores_are_those_of_cleanlab(cifar, method):
    codes, table = cifar
    ours = label_quality.label_quality(codes, table, method=method).quality
    np.testing.assert_allclose(ours, get_label_quality_scores(codes, table, method=method), atol=1e-9)


def test_thresholds_and_the_confident_joint_are_those_of_cleanlab(cifar):
    codes, table = flipped(cifar[0], 0.1, 0), cifar[1]
    np.testing.assert_allclose(confident.class_thresholds(codes, table), get_confident_thresholds(codes, table))
    joint = confident.confident_joint(codes, table)
    np.testing.assert_array_equal(joint, compute_confident_joint(codes, table, calibrate=False))
    shares = confident.calibrated_joint(joint, codes)
    np.testing.assert_allclose(shares.sum(axis=1), np.bincount(codes) / len(codes))


@pytest.mark.parametrize(
    ("prune", "theirs"), [("noise rate", "prune_by_noise_rate"), ("class", "prune_by_class"), ("both", "both")]
)
def test_the_chosen_errors_are_those_of_cleanlab_but_for_its_rounding(cifar, prune, theirs):
    codes, table = flipped(cifar[0], 0.05, 1), cifar[1]
    ours = confident.confident_errors(codes, table, prune=prune)
    reference = find_label_issues(codes, table, filter_by=theirs, n_jobs=1)
    assert (ours & reference).sum() / (ours | reference).sum() > 0.98
    assert not (ours & (table.argmax(axis=1) == codes)).any()


def test_the_posterior_is_bayes_rule():
    codes, table = drawn(400, 4)
    model = learn(codes, [table])
    calibrated = table ** model.powers[0]
    calibrated /= calibrated.sum(axis=1, keepdims=True)
    joint = calibrated * model.confusion[:, codes].T
    joint /= joint.sum(axis=1, keepdims=True)
    believed = judge_labels(codes, [table], model)
    np.testing.assert_allclose(believed.right, joint[np.arange(400), codes], atol=1e-12)
    joint[np.arange(400), codes] = -1
    np.testing.assert_array_equal(believed.other, joint.argmax(axis=1))
    np.testing.assert_allclose(model.confusion.sum(axis=1), 1)


def test_the_share_of_wrong_labels_is_estimated(cifar):
    """A few wrong labels must not make the model look unsure."""
    for share in (0.05, 0.2):
        assert learn(flipped(cifar[0], share, 3), [cifar[1]]).random == pytest.approx(share * 10 / 9, abs=0.02)


def test_confusion_between_classes_is_learnt(cifar):
    codes = cifar[0].copy()
    cats = np.flatnonzero(codes == 3)[:200]
    codes[cats] = 8
    confusion = learn(codes, [cifar[1]]).confusion
    assert confusion[3, 8] == pytest.approx(0.2, abs=0.03)
    assert confusion[8, 3] < 0.01


# -- human-verified errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "adjusted"), CLEANLAB)
def test_errors_that_people_confirmed_rank_at_least_as_high_as_by_cleanlab(mnist, method, adjusted):
    codes, table, rows, wrong = mnist
    assert wrong.sum() == 15
    theirs = -get_label_quality_scores(codes, table, method=method, adjust_pred_probs=adjusted)[rows]
    found = label_quality.label_quality(codes, table)
    for ours in (ranks(found)[rows], 1 - found.quality[rows]):
        assert roc_auc_score(wrong, ours) >= roc_auc_score(wrong, theirs)
        assert average_precision_score(wrong, ours) >= average_precision_score(wrong, theirs)


# -- planted errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_of_as_many_as_were_flipped_more_are_found_than_by_cleanlab(cifar, seed):
    codes, table = flipped(cifar[0], 0.05, seed), cifar[1]
    wrong = codes != cifar[0]
    found = label_quality.label_quality(codes, table)
    chosen = find_label_issues(codes, table, n_jobs=1)
    ranked = find_label_issues(codes, table, n_jobs=1, return_indices_ranked_by="self_confidence")
    n = int(wrong.sum())
    assert wrong[found.order[:n]].mean() >= wrong[chosen].mean()
    assert wrong[found.order[: chosen.sum()]].mean() >= wrong[chosen].mean()
    assert wrong[found.order[:n]].mean() >= wrong[ranked[:n]].mean() - 0.01
    assert wrong[found.likely].mean() >= wrong[chosen].mean()
    assert wrong[found.quality < 0.5].mean() >= 0.9


@pytest.mark.parametrize(("how", "gain"), [("uniform", -0.003), ("classes", 0.0), ("pairs", 0.01)])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_the_combination_loses_nothing_where_errors_are_random_and_gains_where_they_are_not(cifar, how, gain, share):
    ours, best = [], []
    for seed in range(3):
        codes, table = flipped(cifar[0], share, seed, how), cifar[1]
        wrong = codes != cifar[0]
        ours.append(average_precision_score(wrong, 1 - label_quality.label_quality(codes, table).quality))
        theirs = (get_label_quality_scores(codes, table, method=m, adjust_pred_probs=a) for m, a in CLEANLAB)
        best.append(max(average_precision_score(wrong, -scores) for scores in theirs))
    assert np.mean(ours) >= np.mean(best) + (gain if share < 0.1 else min(gain, 0.003))


# -- laws -------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(12, 80), k=st.integers(2, 6), method=st.sampled_from(BY_MODEL))
def test_the_order_of_rows_does_not_matter(seed, n, k, method):
    codes, table = drawn(n, k, seed)
    order = np.random.default_rng(seed).permutation(n)
    straight = label_quality.label_quality(codes, table, method=method)
    mixed = label_quality.label_quality(codes[order], table[order], method=method)
    np.testing.assert_allclose(mixed.quality, straight.quality[order], atol=1e-5)
    assert ((straight.quality >= 0) & (straight.quality <= 1)).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(3, 6), method=st.sampled_from(BY_MODEL))
def test_the_numbers_of_classes_do_not_matter(seed, k, method):
    codes, table = drawn(60, k, seed)
    new = np.random.default_rng(seed).permutation(k)
    other = np.empty_like(table)
    other[:, new] = table
    straight = label_quality.label_quality(codes, table, method=method).quality
    np.testing.assert_allclose(
        label_quality.label_quality(new[codes], other, method=method).quality, straight, atol=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 5), method=st.sampled_from(BY_MODEL))
def test_a_class_that_is_neither_labelled_nor_predicted_changes_nothing(seed, k, method):
    codes, table = drawn(60, k, seed)
    wider = np.hstack([table, np.zeros((60, 1))])
    straight = label_quality.label_quality(codes, table, method=method)
    widened = label_quality.label_quality(codes, wider, method=method)
    np.testing.assert_allclose(widened.quality, straight.quality, atol=1e-9)
    np.testing.assert_array_equal(widened.suggested, straight.suggested)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), method=st.sampled_from(["self_confidence", "normalized_margin", "combined"]))
def test_more_probability_for_its_label_never_ranks_a_row_higher(seed, method):
    codes, table = drawn(60, 4, seed)
    lift = table[5].copy()
    lift[codes[5]] += 0.2
    more = table.copy()
    more[5] = lift / lift.sum()
    if method == "combined":  # of one and the same model
        model = learn(codes, [table])
        before, after = judge_labels(codes, [table], model).right[5], judge_labels(codes, [more], model).right[5]
    else:
        before, after = (label_quality.label_quality(codes, t, method=method).quality[5] for t in (table, more))
    assert after >= before - 1e-12


def test_large_sets_are_learnt_from_a_sample_and_ranked_whole(cifar):
    codes, table = np.tile(flipped(cifar[0], 0.05, 0), 13), np.tile(cifar[1], (13, 1))
    small = label_quality.label_quality(codes[:10_000], table[:10_000])
    large = label_quality.label_quality(codes, table)
    assert len(large.order) == 130_000
    wrong = codes[:10_000] != cifar[0]
    one, other = (average_precision_score(wrong, 1 - found.quality[:10_000]) for found in (small, large))
    assert one == pytest.approx(other, abs=0.01)


@pytest.mark.parametrize("method", BY_MODEL)
def test_every_label_that_is_called_wrong_brings_the_best_other_class_along(cifar, method):
    truth, table = cifar
    codes = flipped(truth, 0.05, 0)
    found = label_quality.label_quality(codes, table, method=method)
    likely = np.flatnonzero(found.likely)
    assert (found.suggested[likely] != codes[likely]).all()
    wrong = likely[codes[likely] != truth[likely]]
    assert (found.suggested[wrong] == truth[wrong]).mean() > 0.9, "and it is the right one"
    others = np.where(np.arange(10) == codes[:, None], -1, table).argmax(axis=1)
    if method != "combined":  # of equally sure ones the best other class, whatever the label's own probability is
        np.testing.assert_array_equal(found.suggested[likely], others[likely])


def test_a_label_that_the_model_rules_out_is_the_worst_by_entropy_too():
    table = np.array(
        [[0, 1.0, 0], [1, 0, 0], [0.9, 0.1, 0], [1e-9, 1 - 1e-9, 0], [0.001, 0.998, 0.001], [0.1, 0.1, 0.8]]
    )
    codes = np.zeros(6, int)
    ours = label_quality.confidence_weighted_entropy(codes, table)
    theirs = get_label_quality_scores(codes, table, method="confidence_weighted_entropy")
    assert ours[0] == theirs[0] == 0
    assert ours[1] == pytest.approx(1)
    assert ours[3] < 0.01 < ours[4], "nearly certain of another class is no better than certain"
    np.testing.assert_allclose(ours[[2, 4, 5]], theirs[[2, 4, 5]])
    found = label_quality.label_quality(codes, table, method="confidence_weighted_entropy")
    assert found.order[0] == 0


# -- neighbours -------------------------------------------------------------------------------------------------------


def test_neighbours_disagree_with_wrong_labels_and_suggest_their_own():
    codes = np.repeat([0, 1], 20)
    codes[3] = 1
    near = np.array([[(i + s) % 20 + 20 * (i // 20) for s in (1, 2, 3, 4)] for i in range(40)])
    found = neighbour_quality(codes, near, np.full(near.shape, 0.1))
    assert found.order[0] == 3
    assert found.suggested[3] == 0
    assert found.likely[3]
    assert found.quality[3] == 0
    shares = neighbour_probabilities(codes, near, 2)
    np.testing.assert_allclose(shares[3], [(4 + 19 / 40) / 5, (21 / 40) / 5])


def test_a_second_opinion_counts_as_much_as_it_is_worth():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 2000)
    weak = rng.dirichlet(np.ones(3), 2000) + 0.4 * np.eye(3)[truth]
    weak /= weak.sum(axis=1, keepdims=True)
    good, useless = np.eye(3)[truth] * 0.7 + 0.1, rng.dirichlet(np.ones(3), 2000)
    codes = flipped(truth, 0.1, 0)
    wrong = codes != truth

    def precision(other: np.ndarray | None) -> float:
        return average_precision_score(wrong, 1 - label_quality.label_quality(codes, weak, neighbours=other).quality)

    assert precision(good) > 0.95 > precision(None)
    assert precision(useless) == pytest.approx(precision(None), abs=0.02)
    assert learn(codes, [weak, useless]).powers[1] < 0.1


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", BY_MODEL)
def test_rows_that_cannot_be_ranked_are_left_out_and_listed(method):
    codes, table = drawn(60, 3)
    table[2, 1], table[5, 0], table[9], table[11] = np.nan, -0.1, 0.0, [3, 3, 3]
    table[13, 2] = np.inf
    codes[20] = -1
    found = label_quality.label_quality(codes, table, method=method)
    assert np.flatnonzero(np.isnan(found.quality)).tolist() == [2, 5, 9, 13, 20]
    assert sorted(found.order.tolist()) == [i for i in range(60) if i not in (2, 5, 9, 13, 20)]
    assert (found.suggested[[2, 5, 9, 13, 20]] == -1).all()
    assert {f.why.split(";")[0]: f.rows.tolist() for f in found.findings} == {
        "a probability is no number": [2, 13],
        "a probability is negative": [5],
        "the probabilities sum to 0": [9],
        "the probabilities do not sum to 1": [11],
    }
    assert "row 2, 13" in str(found.findings[0])
    assert all(f.remedy for f in found.findings)


def test_a_row_that_does_not_sum_to_1_is_divided_by_its_sum():
    found = judge([0, 1], [[2, 6], [0.5, 0.5]])
    np.testing.assert_allclose(found.probabilities, [[0.25, 0.75], [0.5, 0.5]])
    assert [f.what for f in found.findings] == ["repaired"]


def test_labels_of_a_class_that_the_model_never_predicts_are_left_out():
    codes, table = drawn(30, 3)
    table = np.hstack([table, np.zeros((30, 1))])
    codes[[4, 7]] = 3
    found = label_quality.label_quality(codes, table)
    assert np.flatnonzero(np.isnan(found.quality)).tolist() == [4, 7]
    assert "no probability anywhere" in found.findings[0].why


def test_a_class_that_is_never_the_best_one_is_still_ranked():
    codes, table = drawn(60, 3)
    table[:, 2] = 0.01
    table /= table.sum(axis=1, keepdims=True)
    for method in BY_MODEL:
        assert np.isfinite(label_quality.label_quality(codes, table, method=method).quality).all()


def test_what_cannot_be_used_is_refused_with_a_remedy():
    codes, table = drawn(10, 3)
    with pytest.raises(InputError, match="1 class tell no class"):
        label_quality.label_quality(np.zeros(10, int), np.ones((10, 1)))
    with pytest.raises(InputError, match="on one class"):
        label_quality.label_quality(np.zeros(10, int), np.eye(3)[np.zeros(10, int)])
    with pytest.raises(InputError, match="there are 3 columns"):
        label_quality.label_quality(codes + 2, table)
    with pytest.raises(ShapeError, match="do not fit 10 rows"):
        label_quality.label_quality(codes[:4], table)
    with pytest.raises(ShapeError, match="are no table"):
        label_quality.label_quality(codes, table[:, 0])
    with pytest.raises(InputError, match="no class codes"):
        label_quality.label_quality(codes.astype(float), table)
    with pytest.raises(InputError, match=r"No row has both .*no number"):
        label_quality.label_quality(codes, np.full((10, 3), np.nan))
    with pytest.raises(InputError, match="No row has both"):
        label_quality.label_quality(np.full(10, -1), table)
    with pytest.raises(UnknownNameError, match='mean "self_confidence"'):
        label_quality.label_quality(codes, table, method="self_confidense")
    with pytest.raises(InputError, match="fewer than two classes"):
        neighbour_quality(np.zeros(4, int), np.array([[1], [0], [3], [2]]), np.ones((4, 1)))


def test_probabilities_that_are_0_or_1_are_ranked():
    codes = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 1])
    table = np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]]
    for method in BY_MODEL:
        found = label_quality.label_quality(codes, table, method=method)
        assert found.order[0] == 9
        assert np.isfinite(found.quality).all()
        assert found.suggested[9] == 0
