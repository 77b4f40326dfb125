"""The k-nearest-neighbour graph that uniqueness, duplicates, diversity and the map share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings import exact
from encord_active_widgets.embeddings.index import EXACT_INDEX_ROWS, NeighbourIndex
from encord_active_widgets.embeddings.rows import (
    NO_ROW,
    DistinctRows,
    as_matrix,
    available_threads,
    distinct_rows,
    expand,
)

EXACT_GRAPH_ROWS = 100_000
"""Up to here the graph is found by blocked search and is deterministic; beyond it the index is asked."""
_NUMPY_ROWS = EXACT_INDEX_ROWS
"""Up to here plain NumPy is faster than loading compiled loops."""
_BLOCK_ROWS = 512
_BLOCK_COLUMNS = 8_192
_CANDIDATES = 3
"""Candidates kept a neighbour before the exact distances decide."""
_SPARE_CANDIDATES = 8
_PROBE_ROWS = 256
_PROBE_RECALL = 0.995
_FEWEST_COMPONENTS = 64


@dataclass(frozen=True, slots=True)
class Graph:
    """The k nearest other rows of every row.

    Attributes
    ----------
    rows : (n, k) int32
        Nearest first, the row itself left out; -1 where there is no neighbour (the row's vector is
        missing, or zero: a zero vector has only other zero vectors as neighbours).
    distances : (n, k) float32
        Cosine distances in [0, 2], exactly 0 for byte-equal vectors; infinite where the row is -1.
    """

    rows: NDArray[np.int32]
    distances: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def k(self) -> int:
        """Neighbours a row."""
        return int(self.rows.shape[1])


def knn_graph(vectors: ArrayLike, k: int = 15, index: NeighbourIndex | None = None, seed: int = 0) -> Graph:
    """Find the k nearest other rows of every row.

    Parameters
    ----------
    vectors : (n, d) float32
    k : int
        Cut to the number of other rows that have a vector.
    index : NeighbourIndex, optional
        Asked only beyond `EXACT_GRAPH_ROWS` rows; built there if not given.
    seed : int
        Seeds the sample that chooses the number of components to search in.

    Returns
    -------
    Graph

    Notes
    -----
    Up to 100,000 distinct vectors the search looks at every pair: products of the first principal
    components (as many as a sample of 256 rows needs to keep 99.5 % of its neighbours, or all
    dimensions) choose candidates, exact distances rank them. The answer depends only on the vectors and
    the seed (on one machine: the last bits of matrix products are the library's). Beyond, it is as
    deterministic as the index: see `NeighbourIndex.build`.
    """
    matrix = as_matrix(vectors)
    distinct = distinct_rows(matrix)
    with_vector = int((distinct.owner != NO_ROW).sum())
    k = max(0, min(int(k), with_vector - 1))
    count = len(distinct.unit)
    near_k = max(0, min(k, count - 1))
    if count > EXACT_GRAPH_ROWS:
        return _from_index(matrix, k, index or NeighbourIndex.build(matrix, seed=seed))
    if near_k == 0:
        near, distances = np.empty((count, 0), np.int64), np.empty((count, 0), np.float32)
    elif count <= _NUMPY_ROWS:
        near, distances = exact.search(distinct.unit, distinct.unit, near_k, exclude=np.arange(count))
    else:
        near, distances = blocked_search(distinct.unit, near_k, seed)
    return _with_copies(distinct, near, distances, k)


def _with_copies(distinct: DistinctRows, near: NDArray[np.int64], distances: NDArray[np.float32], k: int) -> Graph:
    """Put every row's copies before the neighbours of their shared vector."""
    n, count = len(distinct.owner), len(distinct.unit)
    if count == n:
        return Graph(near.astype(np.int32), distances)
    # One more list, for the zero vectors, and an empty one that missing rows point at (owner -1).
    lists = np.full((count + 2, near.shape[1] + 1), NO_ROW, np.int64)
    values = np.full(lists.shape, np.inf, np.float32)
    lists[:count, 1:], values[:count, 1:] = near, distances
    lists[: count + 1, 0], values[: count + 1, 0] = np.arange(count + 1), 0.0
    rows, spread = expand(lists[distinct.owner], values[distinct.owner], distinct.members, k, exclude=np.arange(n))
    return Graph(rows.astype(np.int32), spread)


def _from_index(matrix: NDArray[np.float32], k: int, index: NeighbourIndex) -> Graph:
    rows = np.full((len(matrix), k), NO_ROW, np.int32)
    distances = np.full((len(matrix), k), np.inf, np.float32)
    for at in range(0, len(matrix), _BLOCK_COLUMNS):
        part = np.arange(at, min(at + _BLOCK_COLUMNS, len(matrix)))
        found, gap = index.query(matrix[part], k + 1)
        # Drop the row itself, or the last one where a row is lost among its copies.
        itself = found == part[:, None]
        itself[~itself.any(axis=1), -1] = True
        rows[part] = found[~itself].reshape(len(part), -1)[:, :k]
        distances[part] = gap[~itself].reshape(len(part), -1)[:, :k]
    return Graph(rows, distances)


# -- every pair, by blocks ------------------------------------------------------------------------


def blocked_search(unit: NDArray[np.float32], k: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the k nearest other rows of every row by looking at every pair once, in compiled loops.

    Parameters
    ----------
    unit : (n, d) float32
        Distinct rows of unit length; n > k.
    k, seed : int

    Returns
    -------
    rows : (n, k) int64
    distances : (n, k) float32
    """
    from encord_active_widgets.embeddings import kernels

    n = len(unit)
    left, right = _factors(unit, k, seed)
    width = _width(k, n)
    heap = np.full((n, width), np.inf, np.float32)
    ids = np.full((n, width), NO_ROW, np.int32)
    worst = np.empty(n, np.float32)
    memory = np.empty(_BLOCK_ROWS * _BLOCK_COLUMNS, np.float32)  # fresh pages would cost as much as the product
    threads = available_threads()
    rows = np.full((n, k), NO_ROW, np.int64)
    distances = np.full((n, k), np.inf, np.float32)
    with ThreadPoolExecutor(threads) as pool:

        def split(start: int, stop: int, work: Callable[[int, int], None]) -> None:
            edges = [start + (stop - start) * i // threads for i in range(threads + 1)]
            list(pool.map(work, edges[:-1], edges[1:]))

        for row0 in range(0, n, _BLOCK_ROWS):
            row1 = min(row0 + _BLOCK_ROWS, n)
            for col0 in range(row0, n, _BLOCK_COLUMNS):
                col1 = min(col0 + _BLOCK_COLUMNS, n)
                block = memory[: (row1 - row0) * (col1 - col0)].reshape(row1 - row0, col1 - col0)
                np.matmul(left[row0:row1], right[col0:col1].T, out=block)
                split(0, row1 - row0, partial(kernels.scan_rows, block, row0, col0, heap, ids))
                # Cells of the square on the diagonal have been offered to both their rows already.
                other = max(0, row1 - col0)
                split(other, block.shape[1], partial(kernels.scan_columns, block, row0, col0, heap, ids, worst))
        split(0, n, partial(kernels.rerank, unit, ids, rows, distances))
    return rows, distances


def _width(k: int, n: int) -> int:
    return min(_CANDIDATES * k + _SPARE_CANDIDATES, n - 1)


def _factors(unit: NDArray[np.float32], k: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two matrices whose product estimates all squared distances."""
    n, dim = unit.shape
    centre = unit.mean(axis=0)
    centred = unit - centre
    norms = np.square(centred).sum(axis=1)
    sample = np.sort(np.random.default_rng(seed).choice(n, min(n, _PROBE_ROWS), replace=False))
    axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, ::-1].astype(np.float32)
    truth, _ = exact.search(unit, unit[sample], k, exclude=sample)
    projected = centred
    components = _FEWEST_COMPONENTS
    while components < dim:
        projected = centred @ axes[:, :components]
        if _kept(projected, norms, sample, truth) >= _PROBE_RECALL:
            break
        components, projected = components * 3 // 2, centred
    ones = np.ones((n, 1), np.float32)
    # |x - y|^2 = |x|^2 + |y|^2 - 2 x.y, with the full lengths: what the left-out components add on average.
    left = np.hstack([-2 * projected, norms[:, None], ones])
    right = np.hstack([projected, ones, norms[:, None]])
    return left, right


def _kept(
    projected: NDArray[np.float32], norms: NDArray[np.float32], sample: NDArray[np.int64], truth: NDArray[np.int64]
) -> float:
    """Return which share of true neighbours a projection would keep among its candidates."""
    estimate = norms - 2 * (projected[sample] @ projected.T)
    estimate[np.arange(len(sample)), sample] = np.inf
    width = _width(truth.shape[1], len(norms))
    limit = np.partition(estimate, width - 1, axis=1)[:, width - 1]
    return float((np.take_along_axis(estimate, truth, axis=1) <= limit[:, None]).mean())
