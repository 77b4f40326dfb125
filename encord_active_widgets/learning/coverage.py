"""Which rows stand for all others: orders that cover an embedding, given rows that are covered already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings.farthest import Reach, central_row
from encord_active_widgets.embeddings.graph import Graph
from encord_active_widgets.embeddings.rows import as_matrix
from encord_active_widgets.errors import InputError, ShapeError

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Points = NDArray[np.float32]

EXACT_FACILITY_ROWS = 4_096
"""Up to here facility location looks at every pair; beyond it takes the neighbour graph."""
_BATCH = 32
_BLOCK_ROWS = 256


@dataclass(frozen=True)
class Picks:
    """Rows in the order they were picked.

    Attributes
    ----------
    rows : (m,) int64
    gains : (m,) float64
        What each added when it was picked; in what, the function says.
    """

    rows: Rows
    gains: NDArray[np.float64]


def k_center(points: ArrayLike, n: int, covered: ArrayLike | None = None, *, first: int | None = None) -> Picks:
    """Pick rows greedily, each the farthest from all picked and covered ones before it.

    The largest distance of any row to the nearest pick is then at most twice the least possible.

    Parameters
    ----------
    points : (m, d) float32
        Finite Euclidean coordinates; pass unit vectors to compare by angle.
    n : int
        How many; cut to the rows that are not covered.
    covered : (m,) bool, optional
        Rows that are centres from the start and are never picked: what is labelled already.
    first : int, optional
        Where to begin if nothing is covered; by default at the row nearest to the mean.

    Returns
    -------
    Picks
        Gains are Euclidean distances to the nearest centre before; infinite for the first of all. Of equally far
        rows the first in order is picked.

    References
    ----------
    Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985; Sener & Savarese, "Active Learning
    for Convolutional Neural Networks: A Core-Set Approach", 2018, algorithm 1.

    Examples
    --------
    >>> k_center([[0.0], [1.0], [2.0], [10.0]], 3, first=0).rows.tolist()
    [0, 3, 2]
    """
    matrix, mask, n = _judged(points, covered, n)
    if n == 0:
        return Picks(np.empty(0, np.int64), np.empty(0))
    reach = Reach(matrix)
    begin: list[int] = []
    if mask.any():
        reach.add_all(np.flatnonzero(mask))
    else:
        begin = [central_row(matrix) if first is None else int(first)]
        reach.add(begin[0])
    rows, gaps = reach.take_farthest(n - len(begin))
    rows = np.concatenate([np.array(begin, np.int64), rows])
    gaps = np.concatenate([np.full(len(begin), np.inf), np.sqrt(gaps)])
    if rows.size < n:  # all others lie on a centre
        left = ~mask
        left[rows] = False
        more = np.flatnonzero(left)[: n - rows.size]
        rows, gaps = np.concatenate([rows, more]), np.concatenate([gaps, np.zeros(more.size)])
    return Picks(rows, gaps)


def facility_location(
    points: ArrayLike, n: int, covered: ArrayLike | None = None, *, graph: Graph | None = None
) -> Picks:
    """Pick rows greedily so that every row has a similar one among the picks.

    The sum over all rows of the similarity to the most similar pick is monotone and submodular, so the greedy sum
    is at least 1 - 1/e = 63 % of the best possible (Nemhauser, Wolsey & Fisher 1978).

    Parameters
    ----------
    points : (m, d) float32
        Unit vectors. Without a graph every pair counts, with the similarity (1 + cos) / 2; gains are looked up only
        where an old bound on them is still the largest (Minoux 1978), a block of rows at a time.
    n : int
        How many; cut to the rows that are not covered.
    covered : (m,) bool, optional
        Rows that stand for others from the start and are never picked.
    graph : Graph, optional
        Of the same rows. Only neighbours in it (either way) are similar at all, by max(0, cos); a row is similar to
        itself by 1 (Wei, Iyer & Bilmes 2015 on sparse graphs of neighbours). Every gain is kept exact.

    Returns
    -------
    Picks
        Gains are sums of similarity: about how many rows a pick is the first to stand for.

    References
    ----------
    Mirzasoleiman, Karbasi, Sarkar & Krause, "Distributed Submodular Maximization", 2013; Wei, Iyer & Bilmes,
    "Submodularity in Data Subset Selection and Active Learning", 2015.
    """
    matrix, mask, n = _judged(points, covered, n)
    if graph is None:
        return _facility_exact(matrix, n, mask)
    if len(graph) != len(matrix):
        raise ShapeError(f"The graph has {len(graph):,} rows; there are {len(matrix):,}.", "Make the graph again.")
    standing = GraphFacility(graph, mask)
    rows, gains = np.empty(n, np.int64), np.empty(n)
    left = ~mask
    for i in range(n):
        rows[i] = np.where(left, standing.gains, -1).argmax()
        gains[i] = standing.gains[rows[i]]
        standing.pick(int(rows[i]))
        left[rows[i]] = False
    return Picks(rows, gains)


class GraphFacility:
    """Gains of facility location on a neighbour graph, kept exact as rows are picked.

    Attributes
    ----------
    gains : (m,) float64
        What picking each row would add now.
    """

    def __init__(self, graph: Graph, covered: Mask) -> None:
        m = len(graph)
        known = graph.rows >= 0
        tails = np.repeat(np.arange(m), known.sum(axis=1))
        heads = graph.rows[known].astype(np.int64)
        similar = np.maximum(1 - graph.distances[known].astype(np.float64), 0)
        pairs = np.concatenate([np.arange(m) * m + np.arange(m), tails * m + heads, heads * m + tails])
        pairs, at = np.unique(pairs, return_index=True)  # sorted by row; an edge that goes both ways counts once
        self._similar = np.concatenate([np.ones(m), similar, similar])[at]
        self._others = pairs % max(m, 1)
        owners = pairs // max(m, 1)
        self._starts = np.searchsorted(owners, np.arange(m + 1))
        self._served = np.zeros(m)
        first = covered[self._others]
        np.maximum.at(self._served, owners[first], self._similar[first])
        missing = np.maximum(self._similar - self._served[owners], 0)
        self.gains = np.bincount(self._others, weights=missing, minlength=m)

    def pick(self, row: int) -> None:
        """Let a row stand for its neighbours."""
        mine = slice(self._starts[row], self._starts[row + 1])
        better = self._similar[mine] > self._served[self._others[mine]]
        changed = self._others[mine][better]
        old, new = self._served[changed], self._similar[mine][better]
        self._served[changed] = new
        counts = self._starts[changed + 1] - self._starts[changed]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        cells = np.repeat(self._starts[changed], counts) + offsets
        similar = self._similar[cells]
        lost = np.maximum(similar - np.repeat(old, counts), 0) - np.maximum(similar - np.repeat(new, counts), 0)
        np.subtract.at(self.gains, self._others[cells], lost)
        np.maximum(self.gains, 0, out=self.gains)


def _facility_exact(points: Points, n: int, covered: Mask) -> Picks:
    """Do it over all pairs."""
    m = len(points)
    whole = _similarity(points, points) if m <= EXACT_FACILITY_ROWS else None

    def similar(rows: Rows) -> Points:
        return _similarity(points[rows], points) if whole is None else whole[rows]

    served = np.zeros(m, np.float32)

    def gain(rows: Rows) -> NDArray[np.float64]:
        out = np.empty(rows.size)
        for at in range(0, rows.size, _BLOCK_ROWS):
            more = similar(rows[at : at + _BLOCK_ROWS]) - served
            out[at : at + _BLOCK_ROWS] = np.maximum(more, 0, out=more).sum(axis=1, dtype=np.float64)
        return out

    mine, left = np.flatnonzero(covered), np.flatnonzero(~covered)
    for at in range(0, mine.size, _BLOCK_ROWS):
        np.maximum(served, similar(mine[at : at + _BLOCK_ROWS]).max(axis=0), out=served)
    bounds = np.full(m, -1.0)
    bounds[left] = gain(left)
    fresh = ~covered
    rows, gains = np.empty(n, np.int64), np.empty(n)
    for i in range(n):
        while not fresh[best := int(bounds.argmax())]:
            top = np.argpartition(bounds, max(m - _BATCH, 0))[-_BATCH:]
            top = np.union1d(top[~fresh[top] & (bounds[top] >= 0)], [best])
            bounds[top] = np.minimum(bounds[top], gain(top))
            fresh[top] = True
        rows[i], gains[i] = best, bounds[best]
        np.maximum(served, similar(rows[i : i + 1])[0], out=served)
        bounds[best] = -1
        fresh[:] = False
    return Picks(rows, gains)


def _similarity(a: Points, b: Points) -> Points:
    product: Points = a @ b.T
    product += 1
    product *= 0.5
    return product


def in_rounds(
    groups: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None, *, weight: ArrayLike | None = None
) -> Rows:
    """Order rows group by group in turns: each time one of the group that has had the fewest.

    Parameters
    ----------
    groups : (m,) int
        From 0.
    scores : (m,) float
        Within a group the highest comes first; of equal ones the first row.
    counts : (g,) int, optional
        What each group has had before.
    weight : (g,) float, optional
        Of groups that have had equally many the heaviest comes first; by default that with the highest score.

    Returns
    -------
    (m,) int64
        All rows, in order.

    Examples
    --------
    >>> in_rounds([0, 0, 0, 1], [0.9, 0.8, 0.7, 0.1]).tolist()
    [0, 3, 1, 2]
    """
    group, score = np.asarray(groups, np.int64), np.asarray(scores, np.float64)
    order = np.lexsort((np.arange(group.size), -score, group))
    sizes = np.bincount(group, minlength=1)
    turn = np.empty(group.size, np.int64)
    turn[order] = np.arange(group.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    if counts is not None:
        turn += np.asarray(counts, np.int64)[group]
    second = score if weight is None else np.asarray(weight, np.float64)[group]
    return np.lexsort((np.arange(group.size), -score, -second, turn)).astype(np.int64)


def typical_first(typicality: ArrayLike, clusters: ArrayLike, n: int, covered: ArrayLike | None = None) -> Picks:
    """Pick the most typical row of each cluster, those clusters first that hold the fewest covered rows.

    Parameters
    ----------
    typicality : (m,) float
        Inverse mean distance to the nearest neighbours; see `metrics.neighbours.typicality`.
    clusters : (m,) int
        From 0; as many as there are covered rows and picks, as the paper has it.
    n : int
        How many; cut to the rows that are not covered.
    covered : (m,) bool, optional

    Returns
    -------
    Picks
        Gains are typicalities. Of clusters with equally many covered or picked rows the largest comes first.

    References
    ----------
    Hacohen, Dekel & Weinshall, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets", 2022,
    algorithm 1 (TypiClust).
    """
    values = np.asarray(typicality, np.float64)
    return _by_cluster(values, clusters, n, covered)


def cluster_balance(
    clusters: ArrayLike, n: int, covered: ArrayLike | None = None, *, rng: np.random.Generator | None = None
) -> Picks:
    """Pick rows cluster by cluster in turns, each time of the cluster with the fewest covered or picked rows.

    Parameters
    ----------
    clusters : (m,) int
        From 0.
    n : int
        How many; cut to the rows that are not covered.
    covered : (m,) bool, optional
    rng : Generator, optional
        Draws the rows within a cluster; without it they come in their order.

    Returns
    -------
    Picks
        Gains are 1 / (1 + rows of the cluster that were covered or picked before).
    """
    group = np.asarray(clusters, np.int64)
    picks = _by_cluster(-np.arange(group.size) if rng is None else rng.random(group.size), clusters, n, covered)
    mask = np.zeros(group.size, bool) if covered is None else np.asarray(covered, bool)
    before = np.bincount(group[mask], minlength=int(group.max(initial=0)) + 1)
    gains = np.empty(picks.rows.size)
    for i, cluster in enumerate(group[picks.rows].tolist()):
        gains[i] = 1 / (1 + before[cluster])
        before[cluster] += 1
    return Picks(picks.rows, gains)


def _by_cluster(values: ArrayLike, clusters: ArrayLike, n: int, covered: ArrayLike | None) -> Picks:
    score, group = np.asarray(values, np.float64), np.asarray(clusters, np.int64)
    if score.shape != group.shape:
        raise ShapeError(f"{score.size:,} values do not fit {group.size:,} clusters.", "Give one of each a row.")
    mask = np.zeros(group.size, bool) if covered is None else np.asarray(covered, bool)
    left = np.flatnonzero(~mask)
    sizes = np.bincount(group, minlength=1)
    had = np.bincount(group[mask], minlength=sizes.size)
    rows = left[in_rounds(group[left], score[left], had, weight=sizes)][: max(n, 0)]
    return Picks(rows, score[rows])


def _judged(points: ArrayLike, covered: ArrayLike | None, n: int) -> tuple[Points, Mask, int]:
    matrix = as_matrix(points)
    if not np.isfinite(matrix).all():
        raise InputError("Some points hold NaN or infinity.", "Leave these rows out.")
    mask = np.zeros(len(matrix), bool) if covered is None else np.array(covered, bool)
    if mask.shape != (len(matrix),):
        raise ShapeError(f"covered has shape {mask.shape}; there are {len(matrix):,} points.", "Give one a row.")
    if n < 0:
        raise InputError(f"{n} rows cannot be picked.", "Give a number from 0.")
    return matrix, mask, min(int(n), int((~mask).sum()))


__all__ = [
    "EXACT_FACILITY_ROWS",
    "GraphFacility",
    "Picks",
    "cluster_balance",
    "facility_location",
    "in_rounds",
    "k_center",
    "typical_first",
]
