"""How unsure a model is: acquisition scores from probabilities, row by row; high = label this first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.errors import InputError, ShapeError, unknown

from .probabilities import SUMS_TO

Scores = NDArray[np.float64]

AGGREGATES = ("mean", "max", "sum")


def entropy(probabilities: ArrayLike) -> Scores:
    """Return the entropy of each row in nats: -sum p ln p, from 0 (sure) to ln k (knows nothing).

    Parameters
    ----------
    probabilities : (n, k) float
        Rows that sum to 1.

    Returns
    -------
    (n,) float64

    Raises
    ------
    ShapeError, InputError
        It is no table of probabilities.

    References
    ----------
    Shannon, "A Mathematical Theory of Communication", 1948; Settles, "Active Learning Literature Survey", 2009,
    section 3.1.

    Examples
    --------
    >>> entropy([[0.5, 0.5], [1.0, 0.0]]).round(3).tolist()
    [0.693, 0.0]
    """
    p = _table(probabilities)
    logs = np.log(p, where=p > 0, out=np.zeros_like(p))
    found: Scores = np.maximum(-np.einsum("nk,nk->n", p, logs), 0)
    return found


def least_confidence(probabilities: ArrayLike) -> Scores:
    """Return 1 - max p of each row, from 0 to 1 - 1/k (Lewis & Gale 1994; Settles 2009, section 3.1).

    Parameters
    ----------
    probabilities : (n, k) float
        Rows that sum to 1.

    Examples
    --------
    >>> least_confidence([[0.5, 0.3, 0.2]]).tolist()
    [0.5]
    """
    found: Scores = np.maximum(1 - _table(probabilities).max(axis=1), 0)
    return found


def margin(probabilities: ArrayLike) -> Scores:
    """Return 1 - (p1 - p2) of each row, p1 and p2 its two largest, in [0, 1]: a small margin scores high.

    With one class there is no second: the score is 1 - p1. Scheffer, Decomain & Wrobel 2001 ("Active Hidden
    Markov Models for Information Extraction").

    Parameters
    ----------
    probabilities : (n, k) float
        Rows that sum to 1.

    Examples
    --------
    >>> margin([[0.5, 0.25, 0.25]]).tolist()
    [0.75]
    """
    p = _table(probabilities)
    if p.shape[1] == 1:
        return np.maximum(1 - p[:, 0], 0)
    top = np.partition(p, p.shape[1] - 2, axis=1)[:, -2:]
    return np.clip(1 - (top[:, 1] - top[:, 0]), 0, 1)


def variance(probabilities: ArrayLike) -> Scores:
    """Return 1 - v / v_max of each row, v the variance of its k probabilities, in [0, 1].

    The variance is largest, v_max = (k - 1) / k^2, when the model is sure, and 0 when all classes are alike. The
    score equals (1 - sum p^2) k / (k - 1), Gini's impurity scaled to 1.

    Parameters
    ----------
    probabilities : (n, k) float
        Rows that sum to 1. With one class nothing is unsure: 0.

    Examples
    --------
    >>> variance([[0.5, 0.5], [1.0, 0.0]]).tolist()
    [1.0, 0.0]
    """
    p = _table(probabilities)
    k = p.shape[1]
    if k == 1:
        return np.zeros(len(p))
    found: Scores = np.clip(1 - p.var(axis=1) * k**2 / (k - 1), 0, 1)
    return found


def bernoulli(confidences: ArrayLike) -> NDArray[np.float64]:
    """Return the probabilities (p, 1 - p) of predictions of which only a confidence is known, (n, 2).

    A detector's confidence is the probability that the box is right, the rest that it is not.

    Raises
    ------
    InputError
        A confidence is not in [0, 1].
    """
    p = np.asarray(confidences, np.float64)
    bad = ~((p >= 0) & (p <= 1))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(f"The confidence of row {row} is {p[row]:g}.", "Give numbers from 0 to 1.")
    return np.stack([p, 1 - p], axis=1)


@dataclass(frozen=True)
class Uncertainty:
    """One way to score probabilities.

    Attributes
    ----------
    score : callable
        From (n, k) probabilities to (n,) scores.
    most : callable
        The highest score there is, given k.
    unit : str
        What a score is counted in, with a blank before it; empty where it has no unit.
    """

    score: Callable[[ArrayLike], Scores]
    most: Callable[[int], float]
    unit: str = ""


UNCERTAINTIES = {
    "entropy": Uncertainty(entropy, lambda k: float(np.log(k)), " nats"),
    "least_confidence": Uncertainty(least_confidence, lambda k: 1 - 1 / k),
    "margin": Uncertainty(margin, lambda k: 1.0 if k > 1 else 0.0),
    "variance": Uncertainty(variance, lambda k: 1.0 if k > 1 else 0.0),
}


def aggregate(scores: ArrayLike, owners: ArrayLike, n: int, how: str = "mean", *, empty: float = 0.0) -> Scores:
    """Bring the scores of predictions together item by item.

    Parameters
    ----------
    scores : (m,) float
        Of predictions; NaN counts for nothing.
    owners : (m,) int
        The item of each, from 0 to n - 1.
    n : int
        Number of items.
    how : {"mean", "max", "sum"}
        The sum favours crowded images, the maximum one doubtful object among many sure ones.
    empty : float
        What an item without a prediction gets.

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> aggregate([0.2, 0.4, 0.9], [0, 0, 2], 3, "mean").round(3).tolist()
    [0.3, 0.0, 0.9]
    """
    if how not in AGGREGATES:
        raise unknown("aggregate", str(how), AGGREGATES)
    values, places = np.asarray(scores, np.float64), np.asarray(owners, np.int64)
    known = ~np.isnan(values)
    values, places = values[known], places[known]
    counts = np.bincount(places, minlength=n)
    if how == "max":
        out = np.full(n, -np.inf)
        np.maximum.at(out, places, values)
    else:
        out = np.bincount(places, weights=values, minlength=n)
        if how == "mean":
            out = out / np.maximum(counts, 1)
    return np.where(counts > 0, out, empty)


def _table(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities in double precision, rows divided by their sums (stored ones are single precision)."""
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or p.shape[1] == 0:
        raise ShapeError(f"Probabilities of shape {p.shape} are no table.", "Give (rows, classes).")
    sums = p.sum(axis=1)
    bad = ~np.isfinite(sums) | (p < 0).any(axis=1) | (sums <= 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"The probabilities of row {row} are {np.array2string(p[row], precision=3, threshold=5)}.",
            "Give numbers from 0 that sum to 1: apply a softmax.",
        )
    if np.abs(sums - 1).max(initial=0) > SUMS_TO:
        row = int(np.abs(sums - 1).argmax())
        raise InputError(
            f"The probabilities of row {row} sum to {sums[row]:.4g}.", "Apply a softmax, or divide by the sums."
        )
    table: NDArray[np.float64] = p / sums[:, None]
    return table


__all__ = [
    "AGGREGATES",
    "UNCERTAINTIES",
    "Uncertainty",
    "aggregate",
    "bernoulli",
    "entropy",
    "least_confidence",
    "margin",
    "variance",
]
