r"""Scores of class labels: how well each agrees with the probabilities of a model, and with its neighbours.

Every score is a *quality* in [0, 1], low where the label is likely to be wrong. With p the probabilities of a row, g
its label, k the number of classes and :math:`h = -\sum_c p_c \ln p_c / \ln k`:

============================  =====================================================================================
`self_confidence`             :math:`p_g`
`normalized_margin`           :math:`(1 + p_g - \max_{c \ne g} p_c) / 2`
`confidence_weighted_entropy` :math:`\ln(1 + r) / r` with :math:`r = h / p_g`
`neighbours`                  weighted share of the nearest rows that have the label (`metrics.quality.class_quality`)
`confident_learning`          the self-confidence; which labels are wrong says `learning.confident`
`combined`                    the probability that the label is right (`learning.noise`)
============================  =====================================================================================

The first two are of Northcutt et al. 2021 (https://arxiv.org/abs/1911.00068), the third divides the entropy of the
prediction by the self-confidence, and is brought to [0, 1] as the package cleanlab does it. Of a prediction without
any doubt the ratio is 0 by 0: there the score falls with :math:`p_g` below 1e-6, to 0 where the model rules the label
out, and is 1 where it is sure of it.

`combined` is the default because of what it is, and of what was measured. On calibrated probabilities it is the
self-confidence, corrected for which classes of this set are confused with which, so it loses nothing where errors are
random and gains where they are not; and it is a probability. `benchmarks/README.md` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, unknown
from .confident import confident_errors
from .noise import judge_labels, learn
from .probabilities import NO_CLASS, Finding, judge

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

COMBINED = "combined"
NEIGHBOURS = "neighbours"
METHODS = (
    COMBINED,
    "self_confidence",
    "normalized_margin",
    "confidence_weighted_entropy",
    "confident_learning",
    NEIGHBOURS,
)
_HALF = 0.5
_BLOCK_CELLS = 200_000
_PRIOR_NEIGHBOURS = 1.0
"""Weight, in neighbours, of how frequent the classes are everywhere."""


@dataclass(frozen=True)
class LabelQuality:
    """The judgement of every label; row i of everything is row i of what was given.

    Attributes
    ----------
    quality : (n,) float64
        In [0, 1], low where the label is likely to be wrong; NaN for rows that could not be judged.
    likely : (n,) bool
        The labels that the method calls wrong.
    suggested : (n,) int64
        The best class; -1 for rows that could not be judged. Where it is the label itself there is nothing better. Of a
        label that is called wrong it is the best other class.
    order : (m,) int64
        The judged rows, worst first; of equal ones the earlier row comes first.
    findings : tuple of Finding
        Rows that were left out or repaired, and why.
    """

    quality: F64
    likely: Flags
    suggested: I64
    order: I64
    findings: tuple[Finding, ...] = ()


def label_quality(
    codes: ArrayLike, probabilities: ArrayLike, *, method: str = COMBINED, neighbours: ArrayLike | None = None
) -> LabelQuality:
    """Rank labels by the probabilities of a model.

    Parameters
    ----------
    codes : (n,) int
        Class of each row; -1 where it has none.
    probabilities : (n, k) float
        Out-of-sample probabilities: of a model that did not see the row's label.
    method : str
        One of `METHODS` but "neighbours".
    neighbours : (n, k) float, optional
        A second opinion, from `neighbour_probabilities`; "combined" alone uses it.

    Returns
    -------
    LabelQuality
        The methods but "combined" call the labels wrong that confident learning chooses, pruned by noise rate.
        "combined" calls those wrong that are more likely wrong than right, and those that confident learning chooses
        by both prunings: from labels alone the errors of people and of the model cannot be told apart where both are
        rare, so this is the set to look at. Quality below 0.5 is the stricter choice.

    Raises
    ------
    InputError, ShapeError, UnknownNameError
        See `learning.probabilities.judge`; no such method.

    Examples
    --------
    >>> found = label_quality([0, 0, 1, 1], [[0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], method="self_confidence")
    >>> found.order.tolist(), found.suggested.tolist()
    ([1, 3, 2, 0], [0, 1, 1, 1])
    """
    if method == NEIGHBOURS or method not in METHODS:
        raise unknown("method", method, [m for m in METHODS if m != NEIGHBOURS])
    fit = judge(codes, probabilities)
    labels, table = fit.codes, fit.probabilities
    if method == COMBINED:
        opinions = [table]
        if neighbours is not None:
            opinions.append(np.asarray(neighbours, np.float64)[np.ix_(fit.rows, fit.classes)])
        believed = judge_labels(labels, opinions, learn(labels, opinions))
        quality = believed.right
        likely = (quality < _HALF) | confident_errors(labels, table, prune="both")
        # A label may be among those to look at and still be the most probable class.
        best = np.where(
            (believed.other_right > quality) | (likely & (believed.other_right > 0)), believed.other, labels
        )
    else:
        scores = {
            "self_confidence": self_confidence,
            "normalized_margin": normalized_margin,
            "confidence_weighted_entropy": confidence_weighted_entropy,
            "confident_learning": self_confidence,
        }
        quality, likely = scores[method](labels, table), confident_errors(labels, table)
        best = table.argmax(axis=1)
    suggested = np.full(fit.n, NO_CLASS, np.int64)
    suggested[fit.rows] = fit.classes[best]
    order = fit.rows[np.argsort(quality, kind="stable")]
    return LabelQuality(fit.spread(np.clip(quality, 0, 1)), fit.flagged(likely), suggested, order, fit.findings)


def self_confidence(codes: I64, probabilities: F64) -> F64:
    """Return the probability of each label.

    >>> self_confidence(np.array([1]), np.array([[0.7, 0.3]])).tolist()
    [0.3]
    """
    return np.asarray(probabilities[np.arange(len(codes)), codes])


def normalized_margin(codes: I64, probabilities: F64) -> F64:
    """Return by how much each label is more probable than the best other class, from [-1, 1] brought to [0, 1].

    >>> normalized_margin(np.array([1]), np.array([[0.75, 0.25]])).tolist()
    [0.25]
    """
    out = np.empty(len(codes))
    for part in _blocks(probabilities):
        table, rows = probabilities[part].copy(), np.arange(len(codes[part]))
        own = table[rows, codes[part]]
        table[rows, codes[part]] = -1.0
        out[part] = (1 + own - table.max(axis=1)) / 2
    return out


def confidence_weighted_entropy(codes: I64, probabilities: F64) -> F64:
    """Return ln(1 + r) / r, where r is the entropy of the prediction (1 for equal ones) by the label's probability.

    >>> probabilities = np.array([[0.5, 0.5], [0.0, 1.0], [0.0, 1.0]])
    >>> confidence_weighted_entropy(np.array([0, 0, 1]), probabilities).round(4).tolist()
    [0.5493, 0.0, 1.0]
    """
    out = np.empty(len(codes))
    for part in _blocks(probabilities):
        table = probabilities[part]
        entropy = -np.einsum("ij,ij->i", table, np.log(np.maximum(table, np.finfo(np.float64).tiny)))
        out[part] = np.maximum(entropy, 0) / np.log(table.shape[1])
    own = self_confidence(codes, probabilities)
    ratio = np.maximum(out, _LEAST_ENTROPY) / np.maximum(own, _LEAST_CONFIDENCE)
    # Beside a sure prediction of another class entropy and probability vanish together: then the probability decides.
    return np.asarray(np.minimum(np.log1p(ratio) / ratio, own / _LEAST_CONFIDENCE))


_LEAST_CONFIDENCE = 1e-6
"""A probability below it weighs as this one in the ratio; cleanlab has the same."""
_LEAST_ENTROPY = 1e-12
"""So that nothing is divided by 0."""


# -- neighbours -----------------------------------------------------------------------------------


def neighbour_quality(
    codes: ArrayLike, neighbours: NDArray[np.integer], distances: NDArray[np.floating]
) -> LabelQuality:
    """Rank labels by those of the nearest rows, without any model.

    Parameters
    ----------
    codes : (n,) int
        Class of each row; -1 where it has none.
    neighbours : (n, k) int
        Nearest rows, self left out; -1 where there is none.
    distances : (n, k) float
        Their cosine distances.

    Returns
    -------
    LabelQuality
        Those are called wrong that confident learning chooses by both prunings, with the weights of the classes in
        the neighbourhood as probabilities.

    Raises
    ------
    InputError
        No label, or all of one class.
    """
    from ..metrics.quality import class_quality, class_weights

    labels = np.asarray(codes, np.int64)
    if np.unique(labels[labels != NO_CLASS]).size < 2:
        raise InputError("The labels have fewer than two classes.", "There is nothing to confuse: add other classes.")
    quality = class_quality(labels, neighbours, distances).astype(np.float64)
    weights = class_weights(labels, neighbours, distances)
    best = weights.argmax(axis=1)
    judged = np.flatnonzero(~np.isnan(quality))
    own = weights[np.arange(len(labels)), np.maximum(labels, 0)]
    likely = np.zeros(len(labels), np.bool_)
    likely[judged] = confident_errors(labels[judged], weights[judged], prune="both")
    suggested = np.where(np.isnan(quality), NO_CLASS, np.where(weights.max(axis=1) > own, best, labels))
    order = judged[np.argsort(quality[judged], kind="stable")]
    return LabelQuality(quality, likely, suggested, order)


def neighbour_probabilities(codes: ArrayLike, neighbours: NDArray[np.integer], k: int) -> F64:
    """Return how frequent each class is among the nearest rows, with one more neighbour that is any row.

    Parameters
    ----------
    codes : (n,) int
        -1 where a row has no class.
    neighbours : (n, m) int
        -1 where there is none.
    k : int
        Number of classes.

    Returns
    -------
    (n, k) float64
        Rows sum to 1. They are the opinion of rows about another: the row's own label is not used.
    """
    labels = np.asarray(codes, np.int64)
    n, m = neighbours.shape
    around = np.where(neighbours >= 0, labels[np.maximum(neighbours, 0)], NO_CLASS)
    flat = np.repeat(np.arange(n), m) * k + around.ravel()
    counts = np.bincount(flat[around.ravel() >= 0], minlength=n * k).reshape(n, k).astype(np.float64)
    shares = np.bincount(labels[labels >= 0], minlength=k).astype(np.float64)
    counts += _PRIOR_NEIGHBOURS * shares / max(shares.sum(), 1.0)
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.full_like(counts, 1 / k), where=total > 0))


def _blocks(table: F64) -> list[slice]:
    """Part the rows so that a block stays in the cache of a core."""
    step = max(_BLOCK_CELLS // table.shape[1], 1)
    return [slice(at, at + step) for at in range(0, len(table), step)]
