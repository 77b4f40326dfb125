"""Exact nearest neighbours by blocked matrix products: for small sets, and where hnswlib is missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from encord_active_widgets.embeddings.rows import NO_ROW

_BLOCK_QUERIES = 512
_BLOCK_BASE = 16_384
_SPARE = 8
"""Extra candidates kept by the product, whose float32 rounding can swap near ties."""
_RERANK_CELLS = 8_000_000


def search(
    base: NDArray[np.float32], queries: NDArray[np.float32], k: int, *, exclude: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the k nearest rows of `base` for each query, all of unit length.

    Parameters
    ----------
    base : (n, d) float32
    queries : (m, d) float32
    k : int
        At most n places are filled.
    exclude : (m,) int64, optional
        A row of `base` to leave out for each query.

    Returns
    -------
    rows : (m, k) int64
        Nearest first, equal distances in row order; `NO_ROW` where there is none.
    distances : (m, k) float32
        Cosine distance, infinite where there is none.
    """
    rows = np.full((len(queries), k), NO_ROW, np.int64)
    distances = np.full((len(queries), k), np.inf, np.float32)
    if len(base) == 0 or k == 0:
        return rows, distances
    spare = k + _SPARE + (exclude is not None)
    for at in range(0, len(queries), _BLOCK_QUERIES):
        part = queries[at : at + _BLOCK_QUERIES]
        found = _candidates(base, part, spare)
        exact = cosine_distances(base, part, found)
        if exclude is not None:
            exact[found == exclude[at : at + _BLOCK_QUERIES, None]] = np.inf
        order = np.lexsort((found, exact), axis=1)[:, :k]
        near = np.take_along_axis(exact, order, axis=1)
        rows[at : at + len(part), : order.shape[1]] = np.where(
            np.isfinite(near), np.take_along_axis(found, order, axis=1), NO_ROW
        )
        distances[at : at + len(part), : order.shape[1]] = near
    return rows, distances


def cosine_distances(
    base: NDArray[np.float32], queries: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the cosine distance of each query to the rows listed for it.

    Half the squared Euclidean distance of unit vectors is their cosine distance; unlike one minus the
    product it is exactly zero for equal vectors and keeps its digits near zero.
    """
    out = np.empty(rows.shape, np.float32)
    step = max(1, _RERANK_CELLS // max(1, rows.shape[1] * base.shape[1]))
    for at in range(0, len(rows), step):
        gap = base[rows[at : at + step]] - queries[at : at + step, None, :]
        out[at : at + step] = np.einsum("mkd,mkd->mk", gap, gap) / 2
    return out


def _candidates(base: NDArray[np.float32], part: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the `count` rows of largest product with each query, in no order."""
    best_rows: list[NDArray[np.int64]] = []
    best: list[NDArray[np.float32]] = []
    for at in range(0, len(base), _BLOCK_BASE):
        product = part @ base[at : at + _BLOCK_BASE].T
        if product.shape[1] > count:
            top = np.argpartition(product, product.shape[1] - count, axis=1)[:, -count:]
        else:
            top = np.broadcast_to(np.arange(product.shape[1]), product.shape)
        best_rows.append(top.astype(np.int64) + at)
        best.append(np.take_along_axis(product, top, axis=1))
    rows, values = np.concatenate(best_rows, axis=1), np.concatenate(best, axis=1)
    if rows.shape[1] > count:
        top = np.argpartition(values, rows.shape[1] - count, axis=1)[:, -count:]
        rows = np.take_along_axis(rows, top, axis=1)
    return rows
