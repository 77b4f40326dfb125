"""Performance by metric: buckets of equal count, each with an interval for what it shows."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

CONFIDENCE = 0.95
SAMPLES = 2_000
"""Resamples of a bootstrap: the ends of a 95 % interval are then known to about a sixtieth of its width."""
BOOTSTRAP_ROWS = 2_000
"""Rows from which the mean of resamples is taken for normal, and not drawn."""


def wilson(successes: ArrayLike, n: ArrayLike, confidence: float = CONFIDENCE) -> tuple[F64, F64]:
    """Return the ends of Wilson's score interval of a share; unlike the textbook's it never leaves [0, 1].

    Parameters
    ----------
    successes, n : (...) int
        Of the same shape, or one of them a number.
    confidence : float
        In (0, 1).

    Returns
    -------
    low, high : (...) float64
        0 and 1 for no trial: any share is possible.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Examples
    --------
    >>> [round(float(end), 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    """
    hits, trials = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(n, np.float64))
    if not ((hits >= 0) & (hits <= trials)).all():
        raise InputError("There are more successes than trials, or fewer than none.", "Pass 0 <= successes <= n.")
    z2 = _normal_quantile(confidence) ** 2
    safe = np.maximum(trials, 1)
    share = hits / safe
    centre = (share + z2 / (2 * safe)) / (1 + z2 / safe)
    half = np.sqrt(z2) / (1 + z2 / safe) * np.sqrt(share * (1 - share) / safe + z2 / (4 * safe**2))
    # the ends of "none" and "all" are 0 and 1 but for rounding
    low = np.where(hits == 0, 0.0, np.maximum(centre - half, 0))
    high = np.where(hits == trials, 1.0, np.minimum(centre + half, 1))
    return low, high


def bootstrap_mean(
    values: ArrayLike, confidence: float = CONFIDENCE, *, samples: int = SAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    """Return a mean and the ends of its percentile bootstrap interval.

    Parameters
    ----------
    values : (n,) float
        Numbers that are not finite are left out.
    confidence : float
        In (0, 1).
    samples : int
        Resamples. From 2,000 rows none are drawn: the mean of resamples is normal with the deviation of the
        values divided by the square root of their number.
    seed : int

    Returns
    -------
    mean, low, high : float
        NaN without values.

    References
    ----------
    Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    found = np.asarray(values, np.float64).ravel()
    found = found[np.isfinite(found)]
    z = _normal_quantile(confidence)
    if len(found) == 0:
        return np.nan, np.nan, np.nan
    mean = float(found.mean())
    if len(found) >= BOOTSTRAP_ROWS:
        half = z * float(found.std()) / len(found) ** 0.5
        return mean, mean - half, mean + half
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    part = max(1, 1_000_000 // len(found))
    for at in range(0, samples, part):
        size = (min(part, samples - at), len(found))
        means[at : at + part] = found[rng.integers(0, len(found), size)].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return mean, min(mean, float(low)), max(mean, float(high))


def _normal_quantile(confidence: float) -> float:
    """Return how many standard deviations either side hold that share of a normal distribution."""
    if not 0 < confidence < 1:
        raise InputError(f"A confidence of {confidence} is no share.", "Pass a number between 0 and 1, like 0.95.")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def equal_count_codes(values: F64, n: int) -> I64:
    """Return the bucket of each finite value, from 0: about equal counts, equal values together, none empty."""
    return np.searchsorted(_cuts(values, n), values, side="right")


def _cuts(values: F64, n: int) -> F64:
    """Return the lower edges of all buckets but the first, ascending: distinct values, nearest to equal counts."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 2:
        return np.empty(0)
    below = np.cumsum(counts)[:-1]  # rows below each distinct value but the first
    wanted = np.arange(1, n) * (len(values) / n)
    after = np.clip(np.searchsorted(below, wanted), 1, max(1, len(below) - 1))
    before = after - 1
    after = np.minimum(after, len(below) - 1)
    nearest = np.where(wanted - below[before] <= below[after] - wanted, before, after)
    edges: F64 = distinct[1:][np.unique(nearest)]
    return edges


def buckets(
    x: ArrayLike, success: ArrayLike, n: int = 10, *, confidence: float = CONFIDENCE, seed: int = 0
) -> pl.DataFrame:
    """Return the performance by bucket of a metric.

    Parameters
    ----------
    x : (rows,) float
        Metric.
    success : (rows,) bool or float
        Outcome: truth values (or 0 and 1) give a share with Wilson's interval, other numbers a mean with a
        bootstrap interval. Rows whose outcome is not finite are left out.
    n : int
        Most buckets. Fewer are made where values repeat; a constant metric has one.
    confidence : float
        Of the intervals.
    seed : int
        Seeds the bootstrap.

    Returns
    -------
    pl.DataFrame
        A row a bucket, ascending; none is empty.

        ``lower``, ``upper``
            Float64: values from lower up to, but without, upper; the last bucket has its upper edge, too. Edges
            are values that occur. Null in the last row, which is there only if `x` has numbers that are not finite.
        ``count``
            UInt32.
        ``rate``, ``rate_low``, ``rate_high``
            Float64: mean outcome and the ends of its interval.

    Raises
    ------
    ShapeError
        `x` and `success` have other lengths.
    InputError
        `n` is not positive.

    Examples
    --------
    >>> found = buckets([1, 1, 2, 2], [True, True, True, False], n=2)
    >>> found.select("lower", "upper", "count", "rate").rows()
    [(1.0, 2.0, 2, 1.0), (2.0, 2.0, 2, 0.5)]
    """
    values, outcome = np.asarray(x, np.float64), np.asarray(success, np.float64)
    if values.ndim != 1 or values.shape != outcome.shape:
        raise ShapeError(f"A metric of shape {values.shape} has outcomes of {outcome.shape}.", "Pass one a row.")
    if n < 1:
        raise InputError(f"{n} buckets are none.", "Pass a positive number.")
    values, outcome = values[np.isfinite(outcome)], outcome[np.isfinite(outcome)]
    finite = np.isfinite(values)
    known = values[finite]
    cuts = _cuts(known, n)
    codes = np.full(len(values), len(cuts) + 1, np.int64)
    codes[finite] = np.searchsorted(cuts, known, side="right")
    lower: list[float | None] = []
    upper: list[float | None] = []
    if len(known):
        lower, upper = [known.min(), *cuts], [*cuts, known.max()]
    if len(known) < len(values):
        lower, upper = [*lower, None], [*upper, None]
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=len(cuts) + 2)
    groups = np.split(outcome[order], np.cumsum(counts)[:-1])
    rates = _rates([group for group in groups if len(group)], confidence, seed)
    return pl.DataFrame(
        {"lower": lower, "upper": upper, "count": counts[counts > 0], **rates},
        schema={
            "lower": pl.Float64,
            "upper": pl.Float64,
            "count": pl.UInt32,
            **dict.fromkeys(("rate", "rate_low", "rate_high"), pl.Float64),
        },
    )


def _rates(groups: list[F64], confidence: float, seed: int) -> dict[str, F64]:
    """Return the mean and interval of each group."""
    if all(np.isin(group, (0.0, 1.0)).all() for group in groups):
        hits = np.array([group.sum() for group in groups])
        sizes = np.array([len(group) for group in groups])
        low, high = wilson(hits, sizes, confidence)
        return {"rate": hits / np.maximum(sizes, 1), "rate_low": low, "rate_high": high}
    ends = np.array([bootstrap_mean(group, confidence, seed=seed) for group in groups])
    return {"rate": ends[:, 0], "rate_low": ends[:, 1], "rate_high": ends[:, 2]}
