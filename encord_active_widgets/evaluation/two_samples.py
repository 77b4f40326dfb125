"""Whether two sets of rows are drawn alike: vectors, classes, and how far numbers lie apart.

=========================  ==========================================================================
question                   function
=========================  ==========================================================================
do vectors differ          `mmd_test`, and `neighbours_of_own_set` for how much
do classes differ          `shares_test`
which set has higher ones  `cliffs_delta`
=========================  ==========================================================================

Numbers one by one are compared by `statistics.ks_2samp`. Each p-value here is that of a permutation test: how often
sets that were mixed at random lie as far apart. It counts the sets as they are as one of the mixtures (Phipson & Smyth,
"Permutation P-values Should Never Be Zero", Stat. Appl. Genet. Mol. Biol. 9, 2010), so it is never 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError

F64 = NDArray[np.float64]

PERMUTATIONS = 999
_LEAST_ROWS = 2
_BLOCK_CELLS = 20_000_000
"""Of the matrix of mixtures: 160 MB at a time."""
_SAME = 1e-12
"""Sums that are equal but for rounding."""


@dataclass(frozen=True)
class MMD:
    """What `mmd_test` finds.

    Attributes
    ----------
    squared : float
        The unbiased estimate of the squared discrepancy: about 0, also below it, where both sets are drawn alike.
    p_value : float
        By permutation.
    bandwidth : float
        Of the kernel: the median distance of two different rows.
    """

    squared: float
    p_value: float
    bandwidth: float


def mmd_test(a: ArrayLike, b: ArrayLike, *, permutations: int = PERMUTATIONS, seed: int = 0) -> MMD:
    r"""Test whether two sets of vectors are drawn from one distribution, by their maximum mean discrepancy.

    The kernel is :math:`\exp(-|x - y|^2 / (2 s^2))`, with s the median distance of two rows of both sets together. The
    estimate is the unbiased one (equation 3 of the paper). Memory and time grow with the square of the rows.

    Parameters
    ----------
    a : (n, d) float
    b : (m, d) float
    permutations : int
        Mixtures to compare with: the smallest p-value is 1 / (permutations + 1).
    seed : int
        Of the mixtures.

    Raises
    ------
    ShapeError
        The vectors have other lengths.
    InputError
        A set has fewer than two rows.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schölkopf & Smola, "A Kernel Two-Sample Test", J. Mach. Learn. Res. 13 (2012): lemma 6,
    and section 8 for the bandwidth.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(60, 3)), rng.normal(size=(50, 3))
    >>> mmd_test(a, b).p_value > 0.05, mmd_test(a, b + 1).p_value
    (True, 0.001)
    """
    first, second = _matrices(a, b)
    n, m = len(first), len(second)
    if min(n, m) < _LEAST_ROWS:
        raise InputError(f"{n:,} and {m:,} rows are too few to compare.", "Compare sets of two rows or more.")
    squares = squared_distances(np.concatenate([first, second]))
    upper = squares[np.triu_indices(n + m, 1)]
    bandwidth = float(np.sqrt(np.median(upper)))
    if bandwidth == 0:  # more than half of all pairs are equal
        bandwidth = float(np.sqrt(upper.mean())) or 1.0
    kernel = np.exp(squares / (-2 * bandwidth**2))
    np.fill_diagonal(kernel, 0)
    whole, rows = kernel.sum(), kernel.sum(axis=0)

    def estimates(in_a: F64) -> F64:
        """Return the estimate of each mixture, from an (rows, mixtures) matrix of 0 and 1."""
        inside: F64 = np.einsum("ij,ij->j", in_a, kernel @ in_a)
        across = rows @ in_a - inside
        other = whole - inside - 2 * across
        out: F64 = inside / (n * (n - 1)) + other / (m * (m - 1)) - 2 * across / (n * m)
        return out

    observed = float(estimates(_indicator(n, m))[0])
    as_far = 1
    for mixed in _mixtures(n, m, permutations, seed):
        as_far += int((estimates(mixed) >= observed - _SAME).sum())
    return MMD(observed, as_far / (permutations + 1), bandwidth)


def squared_distances(rows: F64) -> F64:
    """Return the squared Euclidean distances of all pairs of rows, (n, n)."""
    lengths = np.square(rows).sum(axis=1)
    out: F64 = lengths[:, None] + lengths - 2 * (rows @ rows.T)
    np.maximum(out, 0, out=out)
    np.fill_diagonal(out, 0)
    return out


def neighbours_of_own_set(a: ArrayLike, b: ArrayLike, k: int = 5) -> float:
    """Return which share of the k nearest rows of a row are of its own set: 0.5 where nothing tells the sets apart.

    It is the statistic of Schilling, "Multivariate Two-Sample Tests Based on Nearest Neighbors", J. Am. Stat. Assoc. 81
    (1986), here of as many rows from each set: the first ones of the larger.

    Parameters
    ----------
    a : (n, d) float
    b : (m, d) float
    k : int

    Returns
    -------
    float
        In [0, 1]; 1 = no row is near one of the other set, 0 = each row has a twin in the other set.
    """
    first, second = _matrices(a, b)
    n = min(len(first), len(second))
    if n < _LEAST_ROWS:
        raise InputError(f"{len(first):,} and {len(second):,} rows are too few to compare.", "Compare larger sets.")
    squares = squared_distances(np.concatenate([first[:n], second[:n]]))
    np.fill_diagonal(squares, np.inf)
    near = np.argpartition(squares, min(k, 2 * n - 1) - 1, axis=1)[:, : min(k, 2 * n - 1)]
    own = (near >= n) == (np.arange(2 * n) >= n)[:, None]
    share = float(own.mean())
    expected = (n - 1) / (2 * n - 1)  # a row is no neighbour of itself, so its own set has one row less
    return share * 0.5 / expected if share <= expected else 0.5 + (share - expected) * 0.5 / (1 - expected)


def shares_test(
    counts: ArrayLike, in_b: ArrayLike, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> tuple[float, float]:
    """Return how far the shares of classes lie apart in two sets of images, and the p-value of that.

    The distance is the total variation: half the sum of the differences, the share of labels that would have to change
    class. Whole images are mixed, with all labels they have: labels of one image are no independent draws, and a test
    that counts them as such finds differences that are none.

    Parameters
    ----------
    counts : (images, classes) float
        How many labels of each class are on each image.
    in_b : (images,) bool
        Which images are of the second set.

    Returns
    -------
    distance : float
        In [0, 1]; NaN where a set has no label.
    p_value : float
    """
    table, second = np.asarray(counts, np.float64), np.asarray(in_b, np.bool_)
    if table.ndim != 2 or second.shape != table.shape[:1]:
        raise ShapeError(f"Counts {table.shape} and sets {second.shape} do not fit.", "Pass a row an image.")
    # Images with the same labels are alike: a mixture is how many of each kind the first set gets.
    kinds, kind_of = np.unique(table, axis=0, return_inverse=True)
    in_all = np.bincount(kind_of.ravel(), minlength=len(kinds))
    in_a = np.bincount(kind_of.ravel()[~second], minlength=len(kinds))
    total = in_all @ kinds

    def distances(drawn: NDArray[np.int64]) -> F64:
        a = drawn @ kinds
        b = total - a
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = a / a.sum(axis=1, keepdims=True) - b / b.sum(axis=1, keepdims=True)
        out: F64 = np.abs(shares).sum(axis=1) / 2
        return out

    observed = float(distances(in_a[None])[0])
    if not np.isfinite(observed):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    mixed = rng.multivariate_hypergeometric(in_all, int(in_a.sum()), size=permutations)
    # A mixture with no label on one side (NaN) is not as far.
    return observed, (1 + int((distances(mixed) >= observed - _SAME).sum())) / (permutations + 1)


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """Return how much more often a value of b is above one of a than below: 1 = always, -1 = never, 0 = as often.

    Parameters
    ----------
    a : (n,) float
    b : (m,) float
        Values that are not finite are left out; NaN where a set has no other.

    References
    ----------
    Cliff, "Dominance statistics: Ordinal analyses to answer ordinal questions", Psychol. Bull. 114 (1993).

    Examples
    --------
    >>> cliffs_delta([1, 2, 3], [4, 5]), cliffs_delta([1, 2], [1, 2]), cliffs_delta([4, 5], [1, 5])
    (1.0, 0.0, -0.25)
    """
    first, second = (np.asarray(v, np.float64).ravel() for v in (a, b))
    first, second = np.sort(first[np.isfinite(first)]), second[np.isfinite(second)]
    if not first.size or not second.size:
        return float("nan")
    below, up_to = (np.searchsorted(first, second, side=side).sum(dtype=np.int64) for side in ("left", "right"))
    return float((below + up_to) / (first.size * second.size) - 1)


# -- mixtures ---------------------------------------------------------------------------------------


def _matrices(a: ArrayLike, b: ArrayLike) -> tuple[F64, F64]:
    first, second = (np.asarray(values, np.float64) for values in (a, b))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ShapeError(f"Vectors of shape {first.shape} and {second.shape} do not fit.", "Pass (n, d) and (m, d).")
    return first, second


def _indicator(n: int, m: int) -> F64:
    """Return the sets as they are, (n + m, 1): 1 in the first."""
    out: F64 = np.r_[np.ones(n), np.zeros(m)][:, None]
    return out


def _mixtures(n: int, m: int, count: int, seed: int) -> Iterator[F64]:
    """Yield blocks of mixtures, (n + m, some): 1 in the first set, which has n rows in each."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _BLOCK_CELLS // (n + m))
    for start in range(0, count, at_once):
        some = min(at_once, count - start)
        block = np.repeat(_indicator(n, m).T, some, axis=0)
        yield np.ascontiguousarray(rng.permuted(block, axis=1).T)
