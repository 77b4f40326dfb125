"""In which direction a metric goes with an outcome, whether two groups differ, and what many questions do to p-values.

=====================  ====================================================================================
question               function
=====================  ====================================================================================
in which direction     `rank_correlation`
do two groups differ   `ks_2samp`
among many questions   `benjamini_hochberg`
=====================  ====================================================================================

Rows where the metric or the outcome is not a finite number are left out, column by column.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError
from ..images._numba import exact_kernel
from .information import checked, column_of

_MOST_EXACT_PAIRS = 1_000_000
"""Of rows of two samples; each is one step, so this takes some milliseconds."""
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


# -- rank correlation -----------------------------------------------------------------------------


def rank_correlation(x: ArrayLike, y: ArrayLike) -> tuple[F64, F64]:
    r"""Return Spearman's rank correlation of each column with `y`, and its two-sided p-value.

    Ties have their average rank. The p-value is that of :math:`t = r \sqrt{(n - 2) / (1 - r^2)}` by Student's
    distribution, as `scipy.stats.spearmanr` has it.

    Parameters
    ----------
    x : (n,) or (n, m) float
    y : (n,) bool, integer or float

    Returns
    -------
    correlation, p : (m,) float64
        NaN where either side is constant or fewer than two rows are left; p is NaN for two rows.

    References
    ----------
    Kendall & Stuart, The Advanced Theory of Statistics, volume 2 (1973), section 31.19.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 4], [1, 4, 9, 16])[0].tolist()
    [1.0]
    """
    columns, outcome, _ = checked(x, y)
    known = np.isfinite(outcome)
    whole = _ranks(outcome) if known.all() else None
    correlation, p = np.full((2, columns.shape[1]), np.nan)
    for j in range(columns.shape[1]):
        column = column_of(columns, j)
        fine = np.isfinite(column) & known
        n = int(fine.sum())
        if n < 2:
            continue
        a = _ranks(column[fine])
        b = whole if whole is not None and n == len(outcome) else _ranks(outcome[fine])
        spread = math.sqrt(np.dot(a, a) * np.dot(b, b))
        if spread > 0:
            correlation[j] = np.clip(np.dot(a, b) / spread, -1, 1)
            p[j] = _student(correlation[j], n - 2)
    return correlation, p


def _ranks(values: F64) -> F64:
    """Return average ranks less their mean."""
    order = np.argsort(values)
    return _average_ranks(values[order], order)


# -- two samples ----------------------------------------------------------------------------------


def ks_2samp(x: ArrayLike, y: ArrayLike) -> tuple[F64, F64]:
    """Return the Kolmogorov–Smirnov distance of two samples, column by column, and its two-sided p-value.

    The p-value is exact where a times b is at most a million, conservative where values are tied; beyond, it is that of
    one sample of :math:`ab / (a + b)` rows against its distribution. `scipy.stats.ks_2samp` has the same by
    `method="exact"` and `method="asymp"`.

    Parameters
    ----------
    x : (a,) or (a, m) float
    y : (b,) or (b, m) float

    Returns
    -------
    statistic, p : (m,) float64
        The largest distance between the two distribution functions, in [0, 1]. NaN where a sample is empty.

    References
    ----------
    Hodges, "The significance probability of the Smirnov two-sample test", Arkiv för Matematik 3 (1958).
    """
    first, second = (np.asarray(values, np.float64) for values in (x, y))
    first, second = (values[:, None] if values.ndim == 1 else values for values in (first, second))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ShapeError(f"Samples of shape {first.shape} and {second.shape} have other columns.", "Pass the same.")
    statistic, p = np.full((2, first.shape[1]), np.nan)
    for j, (a, b) in enumerate(zip(first.T, second.T, strict=True)):
        left, right = np.sort(a[np.isfinite(a)]), np.sort(b[np.isfinite(b)])
        if len(left) and len(right):
            statistic[j] = _largest_gap(left, right)
            more, less = max(len(left), len(right)), min(len(left), len(right))
            if more * less <= _MOST_EXACT_PAIRS:
                p[j] = min(1.0, _path_leaves(more, less, statistic[j]))
            else:
                p[j] = _kolmogorov(round(more * less / (more + less)), statistic[j])
    return statistic, p


def _kolmogorov(n: int, d: float) -> float:
    """Return the probability that the two-sided distance of n rows exceeds d.

    Exact, but for more than 140 rows and medium distances, where it is Pelz and Good's series. The choice is that
    of Simard & L'Ecuyer, "Computing the Two-Sided Kolmogorov-Smirnov Distribution", J. Stat. Softw. 39 (2011).
    """
    if n < 1:
        return math.nan
    square = n * d * d
    if d >= 1 or square >= 370:
        return 0.0
    if n * d <= 0.5:
        return 1.0
    if d >= 0.5 or square >= (4.0 if n <= 140 else 2.2):
        return min(1.0, 2 * _smirnov(n, d))
    if n <= 140 or (n <= 100_000 and n * d**1.5 <= 1.4):
        return min(1.0, max(0.0, 1 - _durbin(n, d)))
    return min(1.0, max(0.0, _pelz_good(n, d)))


def _smirnov(n: int, d: float) -> float:
    """Return the probability that the one-sided distance exceeds d (Birnbaum & Tingey 1951)."""
    j = np.arange(math.floor(n * (1 - d)) + 1, dtype=np.float64)
    j = j[1 - d - j / n > 0]
    logs = np.cumsum(np.log(np.arange(1, n + 1)))
    logs = np.r_[0.0, logs]
    i = j.astype(np.int64)
    with np.errstate(divide="ignore"):  # rounding can make the last one the logarithm of 0
        terms = logs[n] - logs[i] - logs[n - i] + (j - 1) * np.log(d + j / n) + (n - j) * np.log1p(-d - j / n)
    return float(d * np.exp(terms).sum())


def _durbin(n: int, d: float) -> float:
    """Return the probability of a distance of at most d by powers of Durbin's matrix (Marsaglia et al. 2003)."""
    k = math.ceil(n * d)
    h, m = k - n * d, 2 * k - 1
    i = np.arange(1, m + 1)
    factorial = np.cumprod(np.r_[1.0, i])
    lag = i[:, None] - i + 1
    matrix = np.where(lag >= 0, 1 / factorial[np.maximum(lag, 0)], 0.0)
    edge = (1 - h**i) / factorial[i]
    edge[-1] = (1 - 2 * h**m + max(0.0, 2 * h - 1) ** m) / factorial[m]
    matrix[:, 0], matrix[-1] = edge, edge[::-1]
    power, exponent, base, shift, left = np.eye(m), 0, matrix, 0, n
    while left:
        if left % 2:
            power, exponent = power @ base, exponent + shift
            _, e = math.frexp(power.max())
            power, exponent = np.ldexp(power, -e), exponent + e
        base, shift = base @ base, 2 * shift
        _, e = math.frexp(base.max())
        base, shift = np.ldexp(base, -e), shift + e
        left //= 2
    middle = power[k - 1, k - 1]
    if middle <= 0:
        return 0.0
    scale = math.lgamma(n + 1) - n * math.log(n) + exponent * math.log(2)
    return float(math.exp(math.log(middle) + scale))


def _pelz_good(n: int, d: float) -> float:
    """Return the probability of a distance above d by four terms in 1 / sqrt(n) (Pelz & Good 1976)."""
    z = math.sqrt(n) * d
    z2, z4, z6, pi2 = z**2, z**4, z**6, math.pi**2
    if pi2 / 8 / z2 > 700:
        return 1.0
    i = np.arange(1, math.ceil(16 * z / math.pi) + 1, dtype=np.float64)
    u = np.square(i - 0.5) * pi2  # of the half-integers
    v = np.square(i) * pi2  # of the integers
    half, whole = np.exp(-u / (2 * z2)), np.exp(-v / (2 * z2))
    root = math.sqrt(2 * math.pi)
    k0 = root / z * half.sum()
    k1 = root / (6 * z4) * ((u - z2) * half).sum()
    k2 = root / (72 * z**7) * ((6 * z6 + 2 * z4 + (2 * z4 - 5 * z2) * u + (1 - 2 * z2) * u**2) * half).sum()
    k2 -= root / (36 * z**3) * (v * whole).sum()
    k3 = (5 - 30 * z2) * u**3 + (-60 * z2 + 212 * z4) * u**2 + (135 * z4 - 96 * z6) * u - 30 * z6 - 90 * z**8
    third = root / (6480 * z**10) * (k3 * half).sum() + root / (216 * z6) * ((3 * z2 - v) * v * whole).sum()
    return float(1 - k0 - k1 / math.sqrt(n) - k2 / n - third / n**1.5)


# -- many tests -----------------------------------------------------------------------------------


def benjamini_hochberg(p: ArrayLike) -> F64:
    """Return p-values adjusted for the number of tests: those up to q hold at a false discovery rate of q.

    Parameters
    ----------
    p : (m,) float in [0, 1]
        NaN = no test: not counted, NaN again.

    References
    ----------
    Benjamini & Hochberg, "Controlling the false discovery rate", J. R. Stat. Soc. B 57 (1995).

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or ((values < 0) | (values > 1)).any():
        raise InputError("These are no p-values.", "Pass a list of numbers in [0, 1].")
    out = np.full(len(values), np.nan)
    places = np.flatnonzero(~np.isnan(values))
    order = places[np.argsort(values[places], kind="stable")]
    raised = values[order] * len(order) / np.arange(1, len(order) + 1)
    out[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1)
    return out


# -- compiled -------------------------------------------------------------------------------------


@exact_kernel
def _average_ranks(ordered: F64, order: I64) -> F64:
    n = ordered.shape[0]
    out = np.empty(n, np.float64)
    middle = (n - 1) / 2
    start = 0
    while start < n:
        end = start + 1
        while end < n and ordered[end] == ordered[start]:
            end += 1
        for i in range(start, end):
            out[order[i]] = (start + end - 1) / 2 - middle
        start = end
    return out


@exact_kernel
def _largest_gap(a: F64, b: F64) -> float:
    """Return the largest distance of two distribution functions, by merging the sorted samples."""
    n, m = a.shape[0], b.shape[0]
    i = j = 0
    gap = 0.0
    while i < n and j < m:
        value = min(a[i], b[j])
        while i < n and a[i] == value:
            i += 1
        while j < m and b[j] == value:
            j += 1
        gap = max(gap, abs(i / n - j / m))
    return gap


@exact_kernel
def _path_leaves(n: int, m: int, d: float) -> float:
    """Return the probability that two samples of n and m rows lie at least d apart, all orders being as likely.

    An order is a path of n steps one way and m the other. The last step to (i, j) is of the first kind with probability
    i / (i + j); only what is positive is added, so small probabilities keep their digits (Hodges 1958, section 4).
    """
    least = d - 1e-9
    left = np.zeros(m + 1, np.float64)
    for i in range(n + 1):
        for j in range(m + 1):
            if abs(i / n - j / m) >= least:
                left[j] = 1.0
            elif i + j > 0:
                above = left[j] * i if i > 0 else 0.0
                before = left[j - 1] * j if j > 0 else 0.0
                left[j] = (above + before) / (i + j)
    return float(left[m])


@exact_kernel
def _student(correlation: float, freedom: int) -> float:
    """Return the two-sided p-value of a correlation by Student's distribution.

    It is the regularised incomplete beta function at 1 - r² (Abramowitz & Stegun 26.5.27), here by Lentz's
    continued fraction (Press et al., Numerical Recipes, section 6.4).
    """
    if freedom < 1:
        return np.nan
    square = correlation * correlation
    if square >= 1:
        return 0.0
    a, b, at, other = freedom / 2, 0.5, 1 - square, square
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log1p(-square)
    front = math.exp(front) * math.sqrt(square)
    swapped = at > (a + 1) / (a + b + 2)
    if swapped:
        a, b, at = b, a, other
    c, d = 1.0, 1 - (a + b) * at / (a + 1)
    d = 1 / d if abs(d) > 1e-300 else 1e300
    fraction = d
    for i in range(1, 100_000):
        term = i * (b - i) * at / ((a + 2 * i - 1) * (a + 2 * i))
        for step in range(2):
            if step:
                term = -(a + i) * (a + b + i) * at / ((a + 2 * i) * (a + 2 * i + 1))
            d = 1 + term * d
            c = 1 + term / c
            d = 1 / (d if abs(d) > 1e-300 else 1e-300)
            c = c if abs(c) > 1e-300 else 1e-300
            fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    tail = front * fraction / a
    return 1 - tail if swapped else tail
