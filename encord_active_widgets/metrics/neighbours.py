"""Metrics of an item among its neighbours: uniqueness, typicality, diversity, difficulty."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings.farthest import Reach, central_row
from encord_active_widgets.embeddings.graph import Graph
from encord_active_widgets.embeddings.rows import as_matrix, unit_rows
from encord_active_widgets.errors import ShapeError

UNRELATED = 1.0
"""Cosine distance of vectors at right angles; what an item without neighbours is given."""
_COMPONENTS = 64
_SAMPLE_ROWS = 20_000
_EXACT_PAIRS = 100_000_000
"""Distances that the exact part of the farthest-point order may look at (about 2 s on one core)."""
_ITEMS_A_CLUSTER = 50
_MOST_CLUSTERS = 100
_KMEANS_STEPS = 25
_BLOCK_ROWS = 65_536

Values = NDArray[np.float32]


def neighbour_metrics(vectors: ArrayLike, graph: Graph, *, seed: int = 0) -> dict[str, Values]:
    """Compute the metrics that say how an item lies among the others.

    Parameters
    ----------
    vectors : (n, d) float32
    graph : Graph
        Of the same rows.
    seed : int
        Seeds the clusters of `difficulty`. The same seed gives the same values.

    Returns
    -------
    dict of (n,) float32
        NaN for rows whose vector is not finite.

        ``uniqueness``
            Cosine distance to the nearest other item, in [0, 2]; exactly 0 for byte-equal vectors.
            High = unlike anything else; low = has a near copy. 1 where there is no other item.
        ``typicality``
            1 / (1 + mean Euclidean distance of unit vectors to the k nearest other items), in (0, 1].
            High = amid many alike; low = an outlier. The order is that of Hacohen, Dekel & Weinshall 2022
            ("Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets", section 3.2),
            who use the inverse mean alone; the 1 keeps copies finite.
        ``diversity``
            Place in a farthest-point order, in [0, 1]: 1 = picked first, 0 = last; see `diversity_rank`.
            The items with the highest values cover the data best.
        ``difficulty``
            Cosine distance to the centre of the item's k-means cluster, in [0, 2].
            High = far from what its cluster looks like (hard, or odd); low = a prototype (easy). Sorscher
            et al. 2022 ("Beyond neural scaling laws: beating power law scaling via data pruning",
            section 5), spherical k-means with one cluster for 50 items, at most 100.

    Raises
    ------
    ShapeError
        The graph has another number of rows than `vectors`.
    """
    matrix = as_matrix(vectors)
    n = len(matrix)
    if len(graph) != n:
        raise ShapeError(f"The graph has {len(graph):,} rows; there are {n:,} vectors.", "Make the graph again.")
    unit, state = unit_rows(matrix)
    present = np.flatnonzero(state >= 0)
    names = ("uniqueness", "typicality", "diversity", "difficulty")
    out = {name: np.full(n, np.nan, np.float32) for name in names}
    if len(present) == 0:
        return out
    distances = np.where(graph.rows[present] >= 0, graph.distances[present], np.nan)
    out["uniqueness"][present] = _filled(distances[:, :1])[:, 0]
    out["typicality"][present] = typicality(graph)[present]
    points = projected(unit[present], np.random.default_rng(seed))
    renamed = np.full(n + 1, -1, np.int32)
    renamed[present] = np.arange(len(present), dtype=np.int32)
    out["diversity"][present] = diversity_rank(points, renamed[graph.rows[present]], graph.distances[present])
    out["difficulty"][present] = _difficulty(unit[present], points, np.random.default_rng(seed))
    return out


def typicality(graph: Graph) -> Values:
    """Return 1 / (1 + mean Euclidean distance to the neighbours in a graph), (n,); see `neighbour_metrics`."""
    distances = np.where(graph.rows >= 0, graph.distances, np.nan)
    values: Values = 1 / (1 + np.sqrt(2 * _filled(distances)).mean(axis=1))
    return values


def _filled(distances: Values) -> Values:
    """Give items without any neighbour the distance of the unrelated; others the mean of what is there."""
    if distances.shape[1] == 0:
        return np.full((len(distances), 1), UNRELATED, np.float32)
    known = np.isfinite(distances)
    mean = np.where(known, distances, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    mean = np.where(known.any(axis=1), mean, UNRELATED)
    filled: Values = np.where(known, distances, mean[:, None]).astype(np.float32)
    return filled


def projected(unit: Values, rng: np.random.Generator) -> Values:
    """Project on the first principal components of a sample: fewer numbers for the same distances."""
    if unit.shape[1] <= _COMPONENTS:
        return np.ascontiguousarray(unit)
    sample = unit
    if len(unit) > _SAMPLE_ROWS:
        sample = unit[np.sort(rng.choice(len(unit), _SAMPLE_ROWS, replace=False))]
    centred = sample - sample.mean(axis=0)
    axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, ::-1][:, :_COMPONENTS]
    return np.ascontiguousarray(unit @ axes.astype(np.float32))


def diversity_rank(points: Values, neighbours: NDArray[np.int32], distances: Values) -> Values:
    """Rank items by a farthest-point order: each is the farthest from all picked before it.

    Parameters
    ----------
    points : (n, p) float32
        Euclidean coordinates.
    neighbours : (n, k) int32
        Neighbour graph; -1 where there is none.
    distances : (n, k) float32
        Cosine distances along it.

    Returns
    -------
    (n,) float32
        1 = picked first, 0 = picked last. Copies of a picked item come last, in row order.

    Notes
    -----
    The first item is the one nearest to the mean, so there is no chance in it. The greedy order is exact
    while it looks at no more than 100,000,000 distances (all of 10,000 items, the first 1,666 of 60,000);
    from there a picked item only brings its graph neighbours nearer, in n log n steps.

    References
    ----------
    Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985; Sener & Savarese, "Active
    Learning for Convolutional Neural Networks: A Core-Set Approach", 2018, algorithm 1.
    """
    from encord_active_widgets.embeddings import kernels

    n = len(points)
    if n <= 1:
        return np.ones(n, np.float32)
    order = np.full(n, -1, np.int64)
    squared = np.where(neighbours >= 0, 2 * distances, np.inf).astype(np.float32)
    exact = Reach(points)
    order[0] = central_row(points)
    exact.add(int(order[0]))
    found, _ = exact.take_farthest(min(n, max(1, _EXACT_PAIRS // n)) - 1, whole=True)
    picked = found.size + 1
    order[1:picked] = found
    if picked < n:
        reach = _nearer_by_graph(exact.squared.astype(np.float32), neighbours, squared, order[:picked])
        leaves = 1 << (n - 1).bit_length()
        tree = np.full(2 * leaves, -1, np.float32)
        tree[leaves : leaves + n] = reach
        for level in range(leaves.bit_length() - 2, -1, -1):
            low = 1 << level
            tree[low : 2 * low] = tree[2 * low : 4 * low].reshape(low, 2).max(axis=1)
        picked = int(kernels.cover_by_graph(tree, neighbours, squared, order, picked))
    left = np.ones(n, bool)
    left[order[:picked]] = False
    order[picked:] = np.flatnonzero(left)
    rank = np.empty(n, np.float32)
    rank[order] = 1 - np.arange(n) / (n - 1)
    return rank


def _nearer_by_graph(
    reach: Values, neighbours: NDArray[np.int32], squared: Values, picked: NDArray[np.int64]
) -> Values:
    """Let the picked items cover their graph neighbours: copies of a picked item get reach 0."""
    reach = reach.copy()
    tails, gaps = neighbours[picked].ravel(), squared[picked].ravel()
    known = tails >= 0
    np.minimum.at(reach, tails[known], gaps[known])
    reach[picked] = -1
    return reach


def _difficulty(unit: Values, points: Values, rng: np.random.Generator) -> Values:
    """Return the cosine distance of every item to the centre of its cluster."""
    owner = spherical_kmeans(points, rng)
    clusters = int(owner.max()) + 1
    order = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[order], np.arange(clusters))
    centres = np.add.reduceat(unit[order], cuts, axis=0).astype(np.float32)
    length = np.sqrt(np.square(centres).sum(axis=1))[:, None]
    centres = np.divide(centres, length, out=np.zeros_like(centres), where=length > 0)
    out = np.empty(len(unit), np.float32)
    for at in range(0, len(unit), _BLOCK_ROWS):
        part = unit[at : at + _BLOCK_ROWS]
        cosine = np.einsum("nd,nd->n", part, centres[owner[at : at + _BLOCK_ROWS]])
        out[at : at + _BLOCK_ROWS] = np.clip(1 - cosine, 0, 2)
    return out


def spherical_kmeans(points: Values, rng: np.random.Generator, clusters: int | None = None) -> NDArray[np.int64]:
    """Return the cluster of every point; clusters without points are numbered away.

    Parameters
    ----------
    points : (n, d) float32
    rng : Generator
        Draws the points that are the first centres.
    clusters : int, optional
        At most this many; by default one for 50 points, at most 100.
    """
    n = len(points)
    clusters = int(np.clip(n // _ITEMS_A_CLUSTER, 1, _MOST_CLUSTERS)) if clusters is None else min(clusters, n)
    centres = points[np.sort(rng.choice(n, clusters, replace=False))]
    owner = np.full(n, -1, np.int64)
    for _ in range(_KMEANS_STEPS):
        length = np.sqrt(np.square(centres).sum(axis=1))[:, None]
        centres = np.divide(centres, length, out=np.zeros_like(centres), where=length > 0)
        nearest = np.concatenate(
            [(points[at : at + _BLOCK_ROWS] @ centres.T).argmax(axis=1) for at in range(0, n, _BLOCK_ROWS)]
        )
        if (nearest == owner).all():
            break
        owner = nearest
        sums = np.zeros_like(centres)
        used = np.unique(owner)
        order = np.argsort(owner, kind="stable")
        sums[used] = np.add.reduceat(points[order], np.searchsorted(owner[order], used), axis=0)
        centres = np.where(np.isin(np.arange(len(centres)), used)[:, None], sums, centres)
    return np.unique(owner, return_inverse=True)[1].astype(np.int64)
