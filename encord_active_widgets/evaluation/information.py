"""How much a metric tells about failure: mutual information, and its share beyond chance.

=====================  ====================================================================================
question               function
=====================  ====================================================================================
how much it tells      `mutual_information`, in nats, whatever the form of the dependence
beyond chance          `association`, the share of the outcome's entropy, after a permutation baseline
=====================  ====================================================================================

Rows where the metric or the outcome is not a finite number are left out, column by column.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError
from ..images._numba import exact_kernel
from .buckets import equal_count_codes

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NOISE = 1e-10
"""Noise that breaks ties, in standard deviations (Kraskov et al. 2004, section III; scikit-learn's size)."""
DISCRETE_VALUES = 64
"""A column of at most so many distinct values is a count or a code …"""
ROWS_A_VALUE = 5
"""… if each has at least so many rows on average (two distinct values always are)."""
_PROBE_ROWS = 1_024
"""Rows that show that a column has too many distinct values, before all are sorted."""
BASELINE_ROWS = 20_000
"""Rows of the permutation baseline. Fewer rows mean more noise, so the baseline errs on the safe side."""
BASELINE_ROUNDS = 20
CHANCE = 0.95
"""Quantile of the permuted values that a metric must exceed."""
OUTCOME_GROUPS = 8
"""Groups of equal count that `association` cuts a continuous outcome into."""
_MOST_NEIGHBOURS = 100
_CLASS_SHARE = 10
_SMALLEST = 2.3e-308
"""Radius that holds only points at distance 0."""


# -- mutual information ---------------------------------------------------------------------------


class _Variable(NamedTuple):
    """One side of a dependence: classes, or scaled numbers and their order."""

    codes: I64 | None
    values: F64
    order: I64


def mutual_information(
    x: ArrayLike, y: ArrayLike, k: int = 3, seed: int = 0, *, noise: NDArray[np.floating] | None = None
) -> F64:
    r"""Return the mutual information of each column and the outcome, in nats; 0 = independent.

    ================  ================  ========================================================================
    column            outcome           estimator
    ================  ================  ========================================================================
    continuous        classes           :math:`\psi(n) - \langle\psi(n_y)\rangle + \langle\psi(k)\rangle
                                        - \langle\psi(m)\rangle`, Ross 2014 (equation 2)
    continuous        continuous        :math:`\psi(n) + \psi(k) - \langle\psi(n_x + 1) + \psi(n_y + 1)\rangle`,
                                        Kraskov et al. 2004 (equation 8)
    few values        classes           :math:`\sum p_{xy} \ln (p_{xy} / p_x p_y)`, exact for the sample
    few values        continuous        Ross 2014, sides changed
    ================  ================  ========================================================================

    Equal to scikit-learn's `mutual_info_classif` and `mutual_info_regression` (with `discrete_features` for the
    columns of few values): columns are divided by their standard deviation, get normal noise of 1e-10 that breaks
    ties, and negative estimates become 0.

    Parameters
    ----------
    x : (n,) or (n, m) float
        Metrics. A column of at most 64 distinct values with five rows each on average is taken for discrete.
    y : (n,) bool, integer or float
        Outcome. Truth values and integers are classes, of any number; floats are continuous unless they have few
        values.
    k : int
        Neighbours; less where a class is smaller. More neighbours: less variance, more bias.
    seed : int
        Seeds the noise. A column's value does not depend on the other columns.
    noise : (n, m + 1) float, optional
        Standard normal numbers to use instead, a column for each of `x` and one for `y`; zeros for none.

    Returns
    -------
    (m,) float64
        NaN where fewer than two rows are left. Classes of one row are left out.

    Raises
    ------
    ShapeError
        `x`, `y` and `noise` do not fit.
    InputError
        `k` is not positive.

    References
    ----------
    Kraskov, Stögbauer & Grassberger, "Estimating mutual information", Phys. Rev. E 69, 066138 (2004).
    Ross, "Mutual Information between Discrete and Continuous Data Sets", PLoS ONE 9(2): e87357 (2014).

    Examples
    --------
    >>> count = np.repeat([1.0, 2.0], 50)
    >>> mutual_information(count, count > 1).round(3).tolist()  # the whole entropy: ln 2
    [0.693]
    """
    _check_neighbours(k)
    columns, outcome, classes = checked(x, y)
    draws = _draws(len(outcome), seed) if noise is None else noise
    m = columns.shape[1]
    if noise is not None and noise.shape != (len(outcome), m + 1):
        raise ShapeError(f"Noise of shape {noise.shape} is not of shape {(len(outcome), m + 1)}.", "Add that of `y`.")
    out = np.full(m, np.nan)
    known = np.isfinite(outcome)
    whole = _variable(outcome, draws[:, -1], classes) if len(outcome) and known.all() else None
    for j in range(m):
        column, draw = column_of(columns, j), draws[:, j % (draws.shape[1] - 1)]
        places = np.flatnonzero(np.isfinite(column) & known)
        if whole is not None and len(places) == len(column):
            out[j] = _information(_variable(column, draw), whole, k)
        elif len(places):
            out[j] = _information(*_sides(column, outcome, classes, np.stack([draw, draws[:, -1]], 1), places), k)
    return out


def permuted(
    x: ArrayLike,
    y: ArrayLike,
    k: int = 3,
    seed: int = 0,
    *,
    rounds: int = BASELINE_ROUNDS,
    rows: int = BASELINE_ROWS,
) -> tuple[F64, F64]:
    """Return what `mutual_information` finds by chance: its mean and 95 % quantile over shuffled outcomes.

    Parameters
    ----------
    x, y, k, seed
        As of `mutual_information`; the seed also shuffles.
    rounds : int
        Shuffles.
    rows : int
        Rows to work on; a seeded sample of a column's rows if it has more.

    Returns
    -------
    mean, quantile : (m,) float64
        In nats; NaN where fewer than two rows are left.

    References
    ----------
    François et al., "The permutation test for feature selection by mutual information", ESANN 2006.
    """
    _check_neighbours(k)
    columns, outcome, classes = checked(x, y)
    draws = _draws(len(outcome), seed)
    mean, high = np.full((2, columns.shape[1]), np.nan)
    for j in range(columns.shape[1]):
        column = column_of(columns, j)
        places = np.flatnonzero(np.isfinite(column) & np.isfinite(outcome))
        if len(places) > 1:
            few = _sample(places, rows, seed)
            found = _shuffled(*_sides(column, outcome, classes, draws, few), k, seed, rounds)
            mean[j], high[j] = found.mean(), np.quantile(found, CHANCE)
    return mean, high


def _sample(places: I64, rows: int, seed: int) -> I64:
    if len(places) <= rows:
        return places
    return np.sort(np.random.default_rng(seed).choice(places, rows, replace=False))


def _shuffled(a: _Variable, b: _Variable, k: int | None, seed: int, rounds: int) -> F64:
    """Return the information about shuffled outcomes, (rounds,); nothing is sorted again."""
    rng = np.random.default_rng(seed)
    found = np.empty(rounds)
    for i in range(rounds):
        places = rng.permutation(len(b.values))
        if b.codes is not None:
            other = b._replace(codes=b.codes[places])
        else:
            back = np.empty_like(places)
            back[places] = np.arange(len(places))
            other = b._replace(values=b.values[places], order=back[b.order])
        found[i] = _information(a, other, k)
    return found


class Association(NamedTuple):
    """How much each metric tells about an outcome; arrays of (m,).

    Attributes
    ----------
    score : float64
        Share of the outcome's entropy in [0, 1] that the metric takes away beyond chance:
        ``max(0, information - chance) / entropy``. NaN where nothing can be said: fewer than two rows, or
        an outcome that never changes.
    information : float64
        Mutual information, in nats.
    baseline, chance : float64
        Mean and 95 % quantile of the same for shuffled outcomes.
    entropy : float64
        Entropy of the outcome over the rows used, in nats.
    rows : int64
        Rows with both numbers.
    """

    score: F64
    information: F64
    baseline: F64
    chance: F64
    entropy: F64
    rows: I64


def association(
    x: ArrayLike,
    y: ArrayLike,
    k: int | None = None,
    seed: int = 0,
    *,
    rounds: int = BASELINE_ROUNDS,
    rows: int = BASELINE_ROWS,
) -> Association:
    """Score how much of the outcome's entropy each metric explains beyond chance; noise scores about 0.

    This is Theil's uncertainty coefficient, with the chance part taken off. It sees any dependence, also one that
    rises and falls, and says nothing of direction: see `rank_correlation` and `buckets.buckets` for that.

    Parameters
    ----------
    x, y
        As of `mutual_information`; a continuous outcome is cut into 8 groups of equal count, so that it has an
        entropy to share.
    k : int, optional
        Neighbours. By default the square root of the rows, at most 100 and a tenth of the smallest class, at
        least 3. Of 59 columns of noise (20,000 rows; 1, 5 and 30 % failures) the highest then scores 0.001 to
        0.004; with 3 neighbours 0.004 to 0.015.
    seed, rounds, rows
        As of `permuted`.

    References
    ----------
    Theil, "On the estimation of relationships involving qualitative variables", Am. J. Sociol. 76 (1970).
    """
    if k is not None:
        _check_neighbours(k)
    columns, outcome, classes = checked(x, y)
    known = np.isfinite(outcome)
    if classes is None:
        classes = np.full(len(outcome), -1, np.int64)
        classes[known] = equal_count_codes(outcome[known], OUTCOME_GROUPS)
    draws = _draws(len(outcome), seed)
    found = np.full((5, columns.shape[1]), np.nan)
    counts = np.zeros(columns.shape[1], np.int64)
    for j in range(columns.shape[1]):
        column = column_of(columns, j)
        places = np.flatnonzero(np.isfinite(column) & known)
        counts[j] = len(places)
        if len(places) < 2:
            continue
        a, b = _sides(column, outcome, classes, draws, places)
        told, entropy = _information(a, b, k), _entropy(np.bincount(classes[places]))
        if len(places) > rows:
            a, b = _sides(column, outcome, classes, draws, _sample(places, rows, seed))
        shuffled = _shuffled(a, b, k, seed, rounds)
        chance = np.quantile(shuffled, CHANCE)
        score = min(1.0, max(0.0, told - chance) / entropy) if entropy > 0 else np.nan
        found[:, j] = score, told, shuffled.mean(), chance, entropy
    return Association(found[0], found[1], found[2], found[3], found[4], counts)


def _check_neighbours(k: int) -> None:
    if k < 1:
        raise InputError(f"{k} neighbours are none.", "Pass k=3 or more.")


def checked(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], F64, I64 | None]:
    """Return the columns (n, m), the outcome (n,) and its classes if it has such (-1 = none)."""
    columns = np.asarray(x)
    if columns.ndim == 1:
        columns = columns[:, None]
    outcome = np.asarray(y)
    if columns.ndim != 2 or outcome.shape != columns.shape[:1]:
        raise ShapeError(
            f"Metrics of shape {columns.shape} do not fit an outcome of shape {outcome.shape}.", "Pass one a row."
        )
    if outcome.dtype.kind in "biu":
        codes = np.unique(outcome, return_inverse=True)[1].astype(np.int64)
        return columns, outcome.astype(np.float64), codes
    outcome = outcome.astype(np.float64)
    fine = np.isfinite(outcome)
    found = _few_values(outcome[fine])
    if found is None:
        return columns, outcome, None
    classes = np.full(len(outcome), -1, np.int64)
    classes[fine] = found
    return columns, outcome, classes


def column_of(columns: NDArray[Any], j: int) -> F64:
    """Return one column, contiguous and in double precision."""
    return np.ascontiguousarray(columns[:, j], np.float64)


def _draws(n: int, seed: int) -> F64:
    """Return standard normal numbers for any column and for the outcome, (n, 2)."""
    return np.random.default_rng(seed).standard_normal((2, n)).T


def _sides(
    column: F64, outcome: F64, classes: I64 | None, draws: NDArray[np.floating], places: I64
) -> tuple[_Variable, _Variable]:
    """Return a column and the outcome over some rows."""
    codes = None if classes is None else classes[places]
    return _variable(column[places], draws[places, 0]), _variable(outcome[places], draws[places, 1], codes)


def _few_values(values: F64) -> I64 | None:
    """Return the codes of a column of few distinct values, None for others."""
    if len(np.unique(values[:_PROBE_ROWS])) > DISCRETE_VALUES:
        return None
    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) > max(2, min(DISCRETE_VALUES, len(values) // ROWS_A_VALUE)):
        return None
    return codes.astype(np.int64)


def _variable(values: F64, draws: NDArray[np.floating], codes: I64 | None = None) -> _Variable:
    """Scale to a standard deviation of 1, add noise and sort; columns of few values are coded."""
    if codes is None:
        codes = _few_values(values)
    if codes is not None:
        return _Variable(codes, values, np.empty(0, np.int64))
    deviation = values.std()
    scaled = values / (deviation if deviation >= 10 * np.finfo(np.float64).eps else 1.0)
    scaled += NOISE * max(1.0, np.abs(scaled).mean()) * draws
    return _Variable(None, scaled, np.argsort(scaled))


def _information(a: _Variable, b: _Variable, k: int | None) -> float:
    """Return the mutual information of two variables of the same rows, in nats, not below 0."""
    if a.codes is not None and b.codes is not None:
        return _plug_in(a.codes, b.codes)
    if a.codes is not None:
        a, b = b, a
    if b.codes is not None:
        return _of_classes(a.values[a.order], b.codes[a.order], k)
    n = len(a.values)
    if n < 2:
        return math.nan
    neighbours = min(3 if k is None else k, n - 1)
    found = _kraskov(a.values, b.values, a.order, b.order, neighbours, _digamma(n))
    return max(0.0, float(found))


def _of_classes(ordered: F64, codes: I64, k: int | None) -> float:
    """Return Ross's estimate from sorted numbers and their classes; classes of one row are left out."""
    counts = np.bincount(codes)
    alone = counts == 1
    if alone.any():
        keep = ~alone[codes]
        ordered, codes = ordered[keep], codes[keep]
        counts[alone] = 0
    if len(ordered) < 2:
        return math.nan
    if k is None:
        most = min(_MOST_NEIGHBOURS, math.isqrt(len(ordered)), int(counts[counts > 0].min()) // _CLASS_SHARE)
        k = max(3, most)
    neighbours = np.clip(counts - 1, 0, k)
    return max(0.0, float(_ross(ordered, codes, counts, neighbours, _digamma(len(ordered)))))


def _plug_in(a: I64, b: I64) -> float:
    """Return the mutual information of two columns of codes: H(a) + H(b) - H(a, b)."""
    if len(a) < 2:
        return math.nan
    both = np.bincount(a * (int(b.max()) + 1) + b)
    return max(0.0, _entropy(np.bincount(a)) + _entropy(np.bincount(b)) - _entropy(both))


def _entropy(counts: NDArray[np.integer]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _digamma(n: int) -> F64:
    r"""Return :math:`\psi(i)` for i = 0 … n (NaN at 0): Abramowitz & Stegun 6.3.2 up to 15, 6.3.18 from there."""
    i = np.arange(n + 1, dtype=np.float64)
    out = np.full(n + 1, np.nan)
    few = min(n, 15)
    out[1 : few + 1] = np.cumsum(np.r_[-np.euler_gamma, 1 / i[1:few]])
    square = 1 / np.square(i[16:])
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    out[16:] = np.log(i[16:]) - 0.5 / i[16:] - series
    return out


# -- compiled -------------------------------------------------------------------------------------


@exact_kernel
def _first_within(ordered: F64, at: int, radius: float, step: int) -> int:
    """Return the first of the sorted numbers nearer than the radius: steps are doubled, then halved."""
    inside = at
    while inside - step >= 0 and ordered[at] - ordered[inside - step] < radius:
        inside -= step
        step *= 2
    outside = max(inside - step, -1)
    while inside - outside > 1:
        middle = (inside + outside) // 2
        if ordered[at] - ordered[middle] < radius:
            inside = middle
        else:
            outside = middle
    return inside


@exact_kernel
def _last_within(ordered: F64, at: int, radius: float, step: int) -> int:
    inside, n = at, ordered.shape[0]
    while inside + step < n and ordered[inside + step] - ordered[at] < radius:
        inside += step
        step *= 2
    outside = min(inside + step, n)
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if ordered[middle] - ordered[at] < radius:
            inside = middle
        else:
            outside = middle
    return inside


@exact_kernel
def _ross(ordered: F64, codes: I64, counts: I64, neighbours: I64, psi: F64) -> float:
    n = ordered.shape[0]
    starts = np.zeros(counts.shape[0] + 1, np.int64)
    for c in range(counts.shape[0]):
        starts[c + 1] = starts[c] + counts[c]
    filled = starts.copy()
    places, own = np.empty(n, np.int64), np.empty(n, np.float64)
    for p in range(n):
        slot = filled[codes[p]]
        places[slot], own[slot] = p, ordered[p]
        filled[codes[p]] += 1
    total = 0.0
    for c in range(counts.shape[0]):
        if counts[c] < 2:
            continue
        k = neighbours[c]
        a, end = starts[c], starts[c + 1]
        near, within = 1, 0.0
        for i in range(starts[c], end):
            value = own[i]
            # the k + 1 nearest of the class, itself among them: a window that only moves up
            while a + k + 1 < end and own[a + k + 1] - value < value - own[a]:
                a += 1
            radius = max(value - own[a], own[a + k] - value, _SMALLEST)
            near = _count_within(ordered, places[i], radius, near)
            within += psi[near]
        total += counts[c] * (psi[k] - psi[counts[c]]) - within
    return float(psi[n] + total / n)


@exact_kernel
def _kraskov(x: F64, y: F64, x_order: I64, y_order: I64, k: int, psi: F64) -> float:
    """Cut the points into strips by x, sort each by y, and look for neighbours up and down, strip by strip."""
    n = x.shape[0]
    rank = np.empty(n, np.int64)
    xs, ys = np.empty(n, np.float64), np.empty(n, np.float64)
    for i in range(n):
        rank[x_order[i]] = i
        xs[i], ys[i] = x[x_order[i]], y[y_order[i]]
    strip_of, starts = _strips(xs, k)
    strips = starts.shape[0] - 1
    filled = starts.copy()
    slot_x, slot_y = np.empty(n, np.float64), np.empty(n, np.float64)
    x_rank, y_rank = np.empty(n, np.int64), np.empty(n, np.int64)
    for j in range(n):
        at = rank[y_order[j]]
        slot = filled[strip_of[at]]
        slot_x[slot], slot_y[slot], x_rank[slot], y_rank[slot] = xs[at], ys[j], at, j
        filled[strip_of[at]] += 1
    best = np.empty(k, np.float64)
    near_x = near_y = 1
    total = 0.0
    for home in range(strips):
        for i in range(starts[home], starts[home + 1]):
            px, py = slot_x[i], slot_y[i]
            best[:] = np.inf
            _search(slot_x, slot_y, starts[home], starts[home + 1], i, i + 1, px, py, best)
            s = home - 1
            while s >= 0 and px - xs[starts[s + 1] - 1] < best[k - 1]:
                _enter(slot_x, slot_y, starts[s], starts[s + 1], px, py, best)
                s -= 1
            s = home + 1
            while s < strips and xs[starts[s]] - px < best[k - 1]:
                _enter(slot_x, slot_y, starts[s], starts[s + 1], px, py, best)
                s += 1
            radius = max(best[k - 1], _SMALLEST)
            near_x = _count_within(xs, x_rank[i], radius, near_x)
            near_y = _count_within(ys, y_rank[i], radius, near_y)
            total += psi[near_x] + psi[near_y]
    return float(psi[n] + psi[k] - total / n)


@exact_kernel
def _enter(slot_x: F64, slot_y: F64, start: int, end: int, x: float, y: float, best: F64) -> None:
    """Search a strip from where the point's y would be."""
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        if slot_y[middle] < y:
            low = middle + 1
        else:
            high = middle
    _search(slot_x, slot_y, start, end, low, low, x, y, best)


@exact_kernel
def _search(
    slot_x: F64, slot_y: F64, start: int, end: int, below: int, above: int, x: float, y: float, best: F64
) -> None:
    """Keep the smallest distances (the larger of |dx| and |dy|) on both ways from a place of a strip, sorted."""
    k = best.shape[0]
    q = above
    while q < end and slot_y[q] - y < best[k - 1]:
        _keep(max(abs(slot_x[q] - x), slot_y[q] - y), best)
        q += 1
    q = below - 1
    while q >= start and y - slot_y[q] < best[k - 1]:
        _keep(max(abs(slot_x[q] - x), y - slot_y[q]), best)
        q -= 1


@exact_kernel
def _keep(distance: float, best: F64) -> None:
    place = best.shape[0] - 1
    if distance >= best[place]:
        return
    while place > 0 and best[place - 1] > distance:
        best[place] = best[place - 1]
        place -= 1
    best[place] = distance


@exact_kernel
def _count_within(ordered: F64, at: int, radius: float, guess: int) -> int:
    """Count the sorted numbers nearer than the radius, itself too; the count of the point before is a good guess."""
    step = guess // 4 + 1
    return _last_within(ordered, at, radius, step) - _first_within(ordered, at, radius, step) + 1


@exact_kernel
def _strips(xs: F64, k: int) -> tuple[I64, I64]:
    """Return the strip of each place of the sorted x, and where strips start.

    A strip is as wide as the neighbourhoods of evenly spread points, so that a search enters two or three. Where
    many x are all but equal the neighbours are told by y alone (spread over about 1): one strip takes them all.
    """
    n = xs.shape[0]
    least = max(k + 1, int(math.sqrt(k * n) / 2))
    strip_of, starts = np.empty(n, np.int64), np.empty(n + 1, np.int64)
    starts[0] = strips = start = 0
    for i in range(n):
        if i - start >= least and (xs[i] - xs[start]) * (i - start) > k:
            strips += 1
            starts[strips] = start = i
        strip_of[i] = strips
    starts[strips + 1] = n
    return strip_of, starts[: strips + 2]
