r"""The probability that a label is right, given what models say of its row and how labels of this set are confused.

The model behind it, from known parts:

1. *Calibration.* Probabilities of networks are too sure. They are raised to a power and scaled to sum to 1 again
   (temperature scaling: Guo et al. 2017, https://arxiv.org/abs/1706.04599). A second opinion, the classes around the
   row in an embedding, is multiplied in with a power of its own (a logarithmic opinion pool: Heskes 1998). The powers
   are those under which the labels are most likely, when a share :math:`\epsilon` of labels is drawn at random:
   without that share a few wrong labels would make the best model look unsure.
2. *Noise.* The probability :math:`Q_{cg}` that a row of class c was labelled g is found by expectation maximisation
   (Dawid and Skene 1979, with the model in the place of the other annotators). Each of its rows is shrunk towards
   noise that is the same for all classes, more where labels show no pattern: the posterior mean under Dirichlet priors
   of many strengths, each weighed by its marginal likelihood.
3. *Posterior.* The label of row i is right with the probability
   :math:`p_i(g) Q_{gg} / \sum_c p_i(c) Q_{cg}` (Bayes).

With noise that is the same for all classes the ranking is that of the calibrated self-confidence; with noise between
certain classes it finds what self-confidence cannot see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LEAST_NOISE = 0.01
"""Share of random labels that is always expected. Test sets of ten well-kept benchmarks have 0.15 % to 10 % label
errors (Northcutt, Athalye and Mueller 2021, https://arxiv.org/abs/2103.14749): one in a hundred is their order."""
MOST_NOISE = 0.9
TINY = 1e-30
_POWER_SPREAD = 0.5
"""Standard deviation of the prior of the logarithm of the first power: it matters below about 100 rows."""
_POWERS = (0.05, 5.0)
_SECOND_POWERS = (0.0, 3.0)
_STRENGTHS = 10.0 ** np.arange(-1, 3.01, 0.5)
"""Of the priors, in rows a class, as shares of the mean number of rows a class. None is weaker than a tenth: where
labels show no confusion between two classes, random labels stay possible."""
_STEPS = 10
_CLOSE = 1e-6
_FIT_ROWS, _FIT_CELLS = 100_000, 20_000_000
_POWER_ROWS, _POWER_CELLS = 20_000, 4_000_000
_FEWEST_ROWS = 2_000
_BLOCK_CELLS = 200_000
"""Values worked on at once: they stay in the cache of a core."""


class NoiseModel(NamedTuple):
    """What was learnt of a set of labels.

    Attributes
    ----------
    powers : tuple of float
        Of each opinion; the first is 1 / temperature.
    random : float
        Share of labels drawn at random that was fitted with the powers.
    confusion : (k, k) float64
        Probability of each label (column) of rows of each true class (row).
    """

    powers: tuple[float, ...]
    random: float
    confusion: F64


class Posterior(NamedTuple):
    """What is believed of each row.

    Attributes
    ----------
    right : (n,) float64
        Probability that the label is the true class.
    other : (n,) int64
        The most probable class that is not the label.
    other_right : (n,) float64
        Its probability.
    """

    right: F64
    other: I64
    other_right: F64


def learn(codes: I64, opinions: Sequence[F64]) -> NoiseModel:
    """Fit the powers and the noise.

    Beyond 100,000 rows (20,000 with a thousand classes) it is fitted on evenly spaced ones.

    Parameters
    ----------
    codes : (n,) int64
    opinions : sequence of (n, k) float64
        Probabilities by a model and, optionally, by the neighbours.
    """
    k = opinions[0].shape[1]
    chosen = _spaced(len(codes), max(min(_POWER_ROWS, _POWER_CELLS // k), _FEWEST_ROWS))
    powers, random = _powers(codes[chosen], [_logs(o[chosen]) for o in opinions])
    chosen = _spaced(len(codes), min(_FIT_ROWS, max(_FIT_CELLS // k, _POWER_ROWS)))
    pooled = _pooled([o[chosen] for o in opinions], powers)
    return NoiseModel(powers, random, _confusion(codes[chosen], pooled, random))


def judge_labels(codes: I64, opinions: Sequence[F64], model: NoiseModel) -> Posterior:
    """Return how probable each label is, and the best other class.

    Parameters
    ----------
    codes : (n,) int64
    opinions : sequence of (n, k) float64
        Those the model was learnt from, of these rows.
    """
    n, k = opinions[0].shape
    right, other, other_right = np.empty(n), np.empty(n, np.int64), np.empty(n)
    of_label = np.ascontiguousarray(model.confusion.T)
    step = max(_BLOCK_CELLS // k, 1)
    for at in range(0, n, step):
        part = slice(at, at + step)
        belief = _pooled([o[part] for o in opinions], model.powers)
        belief *= of_label[codes[part]]
        rows = np.arange(len(belief))
        own = belief[rows, codes[part]]
        sums = np.einsum("ij->i", belief)
        belief[rows, codes[part]] = -1.0
        best = belief.argmax(axis=1)
        np.maximum(sums, TINY, out=sums)
        right[part], other[part], other_right[part] = own / sums, best, belief[rows, best] / sums
    return Posterior(right, other, other_right)


def _spaced(n: int, most: int) -> I64 | slice:
    return slice(None) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def _logs(opinion: F64) -> F64:
    logs = np.log(np.maximum(opinion, TINY))
    return np.asarray(logs - logs.max(axis=1, keepdims=True))


def _pooled(opinions: Sequence[F64], powers: Sequence[float]) -> F64:
    """Multiply opinions, each raised to its power, and scale rows to sum to 1."""
    total = np.maximum(opinions[0], TINY)
    np.log(total, out=total)
    total *= powers[0]
    for opinion, power in zip(opinions[1:], powers[1:], strict=True):
        if power:
            total += power * np.log(np.maximum(opinion, TINY))
    # A probability of 1e-30 to the power of 5 is still a number; the product of two opinions may not be.
    if len(opinions) > 1:
        total -= total.max(axis=1, keepdims=True)
    np.exp(total, out=total)
    total /= np.einsum("ij->i", total)[:, None]
    return total


def _powers(codes: I64, logs: Sequence[F64]) -> tuple[tuple[float, ...], float]:
    """Find the powers and the share of random labels under which the labels are most likely."""
    from scipy.optimize import minimize

    n, k = logs[0].shape
    rows = np.arange(n)
    own = [part[rows, codes] for part in logs]

    def loss(at: F64) -> tuple[float, F64]:
        first, random = float(np.exp(at[0])), float(1 / (1 + np.exp(-at[1])))
        powers = [first, *at[2:]]
        table = powers[0] * logs[0]
        for power, part in zip(powers[1:], logs[1:], strict=True):
            table = table + power * part
        table -= table.max(axis=1, keepdims=True)
        np.exp(table, out=table)
        table /= np.einsum("ij->i", table)[:, None]
        label = table[rows, codes]
        likely = (1 - random) * label + random / k
        share = (1 - random) * label / likely
        slopes = [
            float((share * (mine - np.einsum("ij,ij->i", table, part))).sum())
            for mine, part in zip(own, logs, strict=True)
        ]
        of_random = float(((1 / k - label) / likely).sum()) * random * (1 - random)
        prior = at[0] / _POWER_SPREAD**2
        value = -float(np.log(likely).sum()) + at[0] * prior / 2
        return value / n, np.array([-slopes[0] * first + prior, -of_random, *(-s for s in slopes[1:])]) / n

    bounds = [tuple(np.log(_POWERS)), (-12.0, float(np.log(MOST_NOISE / (1 - MOST_NOISE))))]
    found = minimize(
        loss,
        np.array([0.0, -3.0, *([0.2] * (len(logs) - 1))]),
        jac=True,
        method="L-BFGS-B",
        bounds=[*bounds, *([_SECOND_POWERS] * (len(logs) - 1))],
    )
    powers = (float(np.exp(found.x[0])), *(float(v) for v in found.x[2:]))
    return powers, float(1 / (1 + np.exp(-found.x[1])))


def _confusion(codes: I64, pooled: F64, random: float) -> F64:
    """Find the probability of each label given the true class, by expectation maximisation."""
    n, k = pooled.shape
    order = np.argsort(codes, kind="stable")
    table = pooled[order]
    present, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    random = min(max(random, LEAST_NOISE), MOST_NOISE)
    confusion = _alike(random, k)
    for _ in range(_STEPS):
        belief = table * np.repeat(confusion.T[present], counts, axis=0)
        belief /= np.maximum(np.einsum("ij->i", belief), TINY)[:, None]
        seen = np.zeros((k, k))
        seen[:, present] = np.add.reduceat(belief, starts, axis=0).T
        share = (1 - np.trace(seen) / n) * k / (k - 1)
        shrunk = _shrunk(seen, _alike(min(max(share, LEAST_NOISE), MOST_NOISE), k), n / k)
        moved = float(np.abs(shrunk - confusion).max())
        confusion = shrunk
        if moved < _CLOSE:
            break
    return confusion


def _alike(random: float, k: int) -> F64:
    """Return the confusion of labels of which a share is drawn at random from all classes."""
    out = np.full((k, k), random / k)
    np.fill_diagonal(out, 1 - random + random / k)
    return out


def _shrunk(seen: F64, centre: F64, unit: float) -> F64:
    """Return posterior means of the rows under Dirichlet priors around `centre`, averaged over their strengths."""
    from scipy.special import gammaln

    totals = seen.sum(axis=1)
    strengths = _STRENGTHS * unit
    # What does not depend on the strength cancels; cells without counts add nothing.
    rows, columns = np.nonzero(seen)
    cells, means = seen[rows, columns], centre[rows, columns]
    evidence = np.array(
        [
            (gammaln(s) - gammaln(s + totals)).sum() + (gammaln(cells + s * means) - gammaln(s * means)).sum()
            for s in strengths
        ]
    )
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    out = np.zeros_like(seen)
    for weight, s in zip(weights, strengths, strict=True):
        out += weight * (seen + s * centre) / (totals + s)[:, None]
    return out
