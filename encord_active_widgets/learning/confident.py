"""Confident learning: estimate from out-of-sample probabilities how labels are confused, and which ones are wrong.

A row counts as confidently of class j where its probability of j is at least the mean probability of j among the
rows labelled j. The counts of (label, confident class) are the confident joint; scaled to the number of labels of each
class they estimate how many labels of class i belong to class j. (Northcutt, Jiang and Chuang, "Confident Learning:
Estimating Uncertainty in Dataset Labels", JAIR 70 (2021), https://arxiv.org/abs/1911.00068, sections 3.1 to 3.3.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

PRUNING = ("noise rate", "class", "both")
_SLACK = 1e-6
"""A probability this little below the threshold of its class reaches it: a constant column equals its mean."""


def class_thresholds(codes: I64, probabilities: F64) -> F64:
    """Return the mean probability of each class among the rows labelled so; 1 for a class without labels.

    >>> class_thresholds(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])).tolist()
    [0.8, 0.8]
    """
    k = probabilities.shape[1]
    own = probabilities[np.arange(len(codes)), codes]
    counts = np.bincount(codes, minlength=k)
    sums = np.bincount(codes, own, minlength=k)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def confident_joint(codes: I64, probabilities: F64, thresholds: F64 | None = None) -> I64:
    """Count (label, confident class); where several classes reach their thresholds the most probable one counts.

    Parameters
    ----------
    codes : (n,) int64
    probabilities : (n, k) float64
    thresholds : (k,) float64, optional

    Returns
    -------
    (k, k) int64
        Row: label. The diagonal also counts, so that no class with labels has an empty row.
    """
    k = probabilities.shape[1]
    limits = class_thresholds(codes, probabilities) if thresholds is None else thresholds
    best = probabilities.argmax(axis=1)
    top = probabilities[np.arange(len(codes)), best]
    # The most probable class usually reaches its threshold itself; only the others need a second look.
    sure = top >= limits[best] - _SLACK
    rest = np.flatnonzero(~sure)
    if rest.size:
        part = probabilities[rest]
        reached = np.where(part >= limits - _SLACK, part, -1.0)
        best[rest] = reached.argmax(axis=1)
        sure[rest] = reached[np.arange(rest.size), best[rest]] >= 0
    joint = np.bincount(codes[sure] * k + best[sure], minlength=k * k).reshape(k, k)
    empty = np.diag(joint) == 0
    joint[empty, empty] = 1
    return joint


def calibrated_joint(joint: NDArray[Any], codes: I64) -> F64:
    """Return the share of all rows with each (label, true class): the joint, scaled to how many have each label."""
    counts = np.bincount(codes, minlength=len(joint)).astype(np.float64)
    sums = joint.sum(axis=1, keepdims=True)
    scaled = np.divide(joint, sums, out=np.zeros(joint.shape), where=sums > 0) * counts[:, None]
    return np.asarray(scaled / max(counts.sum(), 1.0))


def confident_errors(codes: I64, probabilities: F64, *, prune: str = "noise rate") -> Flags:
    """Choose the labels that are wrong, as many as the calibrated joint says.

    Parameters
    ----------
    codes : (n,) int64
    probabilities : (n, k) float64
    prune : {"noise rate", "class", "both"}
        "noise rate": of the rows labelled i those with the largest margin p(j) - p(i), as many as belong to j, for
        each j. "class": of the rows labelled i those with the least p(i), as many as do not belong to i. "both": what
        both choose.

    Returns
    -------
    (n,) bool
        Never a row whose label is its most probable class.
    """
    joint = confident_joint(codes, probabilities)
    wanted = calibrated_joint(joint, codes) * len(codes)
    np.fill_diagonal(wanted, 0.0)
    own = probabilities[np.arange(len(codes)), codes]
    doubtful = np.flatnonzero(probabilities.max(axis=1) > own)
    chosen = np.zeros(len(codes), np.bool_)
    # Rows whose label is the most probable class are never chosen: only the others are sorted.
    by_class = _by_class(codes[doubtful], probabilities.shape[1])
    for label, places in enumerate(by_class):
        rows = doubtful[places]
        if not rows.size:
            continue
        picked = np.zeros(rows.size, np.bool_)
        if prune in ("noise rate", "both"):
            for other in np.flatnonzero(np.rint(wanted[label]) > 0):
                margin = probabilities[rows, other] - own[rows]
                picked |= _largest(margin, int(np.rint(wanted[label, other])))
        if prune in ("class", "both"):
            least = _largest(-own[rows], int(np.rint(wanted[label].sum())))
            picked = picked & least if prune == "both" else least
        chosen[rows[picked]] = True
    return chosen


def _by_class(codes: I64, k: int) -> list[I64]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.searchsorted(codes[order], np.arange(1, k)))


def _largest(values: F64, n: int) -> Flags:
    """Mark the n largest values, and all that equal the least of them."""
    if n <= 0:
        return np.zeros(values.size, np.bool_)
    if n >= values.size:
        return np.ones(values.size, np.bool_)
    limit = np.partition(values, values.size - n)[values.size - n]
    return np.asarray(values >= limit)
