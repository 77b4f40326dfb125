"""The fuzzy simplicial set of UMAP in NumPy: neighbour distances become edge weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encord_active_widgets.embeddings.graph import Graph

_SEARCH_STEPS = 64
_SEARCH_TOLERANCE = 1e-5
_SMALLEST_SCALE = 1e-3
_CHUNK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Edges:
    """A symmetric weighted graph, compressed by rows.

    Neighbours of row `i` are ``tails[starts[i]:starts[i + 1]]``, ascending, with `weights` in (0, 1].
    """

    starts: NDArray[np.int64]
    tails: NDArray[np.int32]
    weights: NDArray[np.float32]


def membership(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the membership strength of each neighbour.

    Parameters
    ----------
    distances : (n, k) float32
        Ascending; infinite where there is no neighbour.

    Returns
    -------
    (n, k) float32
        ``exp(-(d - rho) / sigma)``: rho is the smallest positive distance of the row, and sigma makes the
        strengths of the row and of the item itself add up to log2(k + 1).

    References
    ----------
    McInnes, Healy & Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction", 2018, algorithm 3; umap-learn's `smooth_knn_dist`, whose tolerance and floor are used
    here. umap-learn counts the item itself among its k neighbours, so k here is its k - 1.
    """
    out = np.empty(distances.shape, np.float32)
    known = distances[np.isfinite(distances)]
    overall = float(known.mean()) if known.size else 0.0
    for at in range(0, len(distances), _CHUNK_ROWS):
        out[at : at + _CHUNK_ROWS] = _membership(distances[at : at + _CHUNK_ROWS], overall)
    return out


def _membership(distances: NDArray[np.float32], overall: float) -> NDArray[np.float32]:
    n, k = distances.shape
    if k == 0:
        return np.zeros((n, 0), np.float32)
    target = np.log2(k + 1)
    rho = np.where(distances > 0, distances, np.inf).min(axis=1)
    rho = np.where(np.isfinite(rho), rho, 0.0)
    gap = np.maximum(distances - rho[:, None], 0.0)
    sigma, low, high = np.ones(n), np.zeros(n), np.full(n, np.inf)
    left = np.arange(n)
    for _ in range(_SEARCH_STEPS):
        # The item itself, at distance 0, adds nothing to the sum in umap-learn: it starts at column 1.
        total = np.exp(-gap[left] / sigma[left, None]).sum(axis=1)
        over = total > target
        settled = np.abs(total - target) < _SEARCH_TOLERANCE
        high[left[over]] = sigma[left[over]]
        low[left[~over]] = sigma[left[~over]]
        open_ended = np.isinf(high[left])
        step = np.where(open_ended, sigma[left] * 2, (low[left] + np.where(open_ended, 0, high[left])) / 2)
        sigma[left] = np.where(settled, sigma[left], step)
        left = left[~settled]
        if left.size == 0:
            break
    finite = np.isfinite(distances)
    mean = np.where(finite, distances, 0).sum(axis=1) / np.maximum(finite.sum(axis=1) + 1, 1)
    floor = _SMALLEST_SCALE * np.where(rho > 0, mean, overall)
    sigma = np.maximum(sigma, np.maximum(floor, np.finfo(np.float32).tiny))
    strength: NDArray[np.float32] = np.where(finite, np.exp(-gap / sigma[:, None]), 0).astype(np.float32)
    return strength


def fuzzy_edges(graph: Graph) -> Edges:
    """Join the memberships seen from both ends of every edge: a + b - ab.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    Edges
        Both directions of every edge, of equal weight.
    """
    n, k = graph.rows.shape
    weights = membership(graph.distances).ravel()
    heads = np.repeat(np.arange(n, dtype=np.int64), k)
    tails = graph.rows.ravel().astype(np.int64)
    keep = (tails >= 0) & (weights > 0)
    heads, tails, weights = heads[keep], tails[keep], weights[keep]
    # Each edge is listed under both directions; the two listings of one edge become neighbours when sorted.
    keys = np.concatenate([heads * n + tails, tails * n + heads])
    order = np.argsort(keys, kind="stable")
    keys, both = keys[order], np.concatenate([weights, weights])[order]
    twice = np.zeros(len(keys), bool)
    twice[1:] = keys[1:] == keys[:-1]
    first = np.flatnonzero(~twice)
    joined = both[first]
    second = np.flatnonzero(twice)
    other = np.zeros_like(joined)
    other[np.searchsorted(first, second) - 1] = both[second]
    joined = joined + other - joined * other
    starts = np.searchsorted(keys[first], np.arange(n + 1, dtype=np.int64) * n)
    return Edges(starts, (keys[first] % n).astype(np.int32), joined.astype(np.float32))
