"""Maps: 2-D positions of vectors by PCA at once, by UMAP on the shared graph after, and of newcomers.

The layout loop of UMAP is ours (`kernels.layout_epoch`), with compiled code cached on disk. umap-learn
compiles its own in every process (about 40 s), and its parallel loop is not deterministic. umap-learn
stays the reference: tests compare edge weights and trustworthiness with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings.farthest import Reach
from encord_active_widgets.embeddings.fuzzy import Edges, fuzzy_edges, membership
from encord_active_widgets.embeddings.graph import Graph, knn_graph
from encord_active_widgets.embeddings.index import NeighbourIndex
from encord_active_widgets.embeddings.rows import NO_ROW, as_matrix, available_threads, unit_rows
from encord_active_widgets.errors import ShapeError

Positions = NDArray[np.float32]

CURVE_A = 1.5769434604
CURVE_B = 0.8950608781
"""Low-dimensional curve 1 / (1 + a d^2b) of UMAP for min_dist 0.1, spread 1 (umap-learn's `find_ab_params`)."""
_NEAR_GUARD = 0.001
EPOCHS = 200
EPOCHS_SMALL = 500
SMALL_ROWS = 10_000
"""Numbers of epochs, and where they change, as in umap-learn."""
NEGATIVE_SAMPLES = 5
_BATCHES = 4
"""Each epoch moves a fourth of the items at a time, so that few see their neighbours' old positions."""
_SERIAL_ROWS = 2_000
_EXTENT = 10.0
_NOISE = 1e-3
_FEWEST_ROWS = 3
_PLACE_NEIGHBOURS = 15
_CHUNK_ROWS = 65_536


def pca_layout(vectors: ArrayLike, seed: int = 0) -> Positions:
    """Project vectors of unit length on their first two principal components.

    Parameters
    ----------
    vectors : (n, d) float32
    seed : int
        Not used: the projection is exact. Accepted so that layouts are called alike.

    Returns
    -------
    (n, 2) float32
        NaN for rows that are not finite. Each axis points to where its largest loading is positive.
    """
    del seed
    unit, state = unit_rows(as_matrix(vectors))
    out = np.full((len(unit), 2), np.nan, np.float32)
    present = state >= 0
    count = int(present.sum())
    if count == 0:
        return out
    dim = unit.shape[1]
    mean = unit.sum(axis=0, dtype=np.float64) / count  # missing rows are zero here
    moments = np.zeros((dim, dim))
    for at in range(0, len(unit), _CHUNK_ROWS):
        part = unit[at : at + _CHUNK_ROWS]
        moments += part.T @ part
    axes = np.linalg.eigh(moments / count - np.outer(mean, mean))[1][:, ::-1][:, :2]
    if axes.shape[1]:
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    flat = np.zeros((count, 2), np.float32)
    flat[:, : axes.shape[1]] = unit[present] @ axes.astype(np.float32) - (mean @ axes).astype(np.float32)
    out[present] = flat
    return out


def umap_layout(
    vectors: ArrayLike,
    graph: Graph,
    *,
    seed: int = 0,
    init: ArrayLike | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: threading.Event | None = None,
) -> Positions:
    """Lay a neighbour graph out by UMAP.

    Parameters
    ----------
    vectors : (n, d) float32
        What the graph was made from; places the items at first (PCA).
    graph : Graph
    seed : int
        The same seed gives the same map, on any number of threads.
    init : (n, 2), optional
        First positions, instead of PCA; rows that are not finite start from PCA.
    progress : callable, optional
        Called with (epochs done, epochs in all), on the calling thread.
    cancel : threading.Event, optional
        Checked every epoch; when set, the positions reached so far are returned.

    Returns
    -------
    (n, 2) float32
        NaN for rows whose vector is not finite.

    Raises
    ------
    ShapeError
        The graph or `init` has another number of rows than `vectors`.

    Notes
    -----
    Edge weights, forces, learning rate and numbers of epochs are umap-learn's (n_neighbors from the graph,
    min_dist 0.1). Where umap-learn moves both ends of an edge at once, here each item moves by itself: it
    reads the others' positions of the batch before, so that items move in parallel with the same result.

    References
    ----------
    McInnes, Healy & Melville, "UMAP", 2018, sections 3.2 and 4.2, algorithm 5.
    """
    matrix = as_matrix(vectors)
    positions = pca_layout(matrix)
    if len(graph) != len(matrix):
        raise ShapeError(
            f"The graph has {len(graph):,} rows; there are {len(matrix):,} vectors.", "Make the graph again."
        )
    present = np.flatnonzero(np.isfinite(positions[:, 0]))
    if len(present) < _FEWEST_ROWS or graph.k == 0:
        return positions
    rng = np.random.default_rng(seed)
    start = _spread(positions[present], rng)
    if init is not None:
        given = np.asarray(init, np.float32)
        if given.shape != positions.shape:
            raise ShapeError(f"init has shape {given.shape}; it must be {positions.shape}.", "Give one x, y a row.")
        start = np.where(_finite_rows(given[present])[:, None], given[present], start)
    edges = fuzzy_edges(graph if len(present) == len(matrix) else _without_missing(graph, present))
    positions[present] = _optimise(start, edges, seed=int(rng.integers(2**31)), progress=progress, cancel=cancel)
    return positions


def place(new_vectors: ArrayLike, index: NeighbourIndex, layout: ArrayLike) -> Positions:
    """Place new items on a map without moving the old ones.

    Parameters
    ----------
    new_vectors : (m, d) float32
    index : NeighbourIndex
        Of the items on the map.
    layout : (n, 2) float32
        Their positions.

    Returns
    -------
    (m, 2) float32
        The mean of the 15 nearest old items' positions, weighted by UMAP's membership strength; exactly
        on an old item for its copy; in the middle of the map where nothing is near (the zero vector);
        NaN where the vector is not finite.
    """
    old = np.asarray(layout, np.float32).reshape(-1, 2)
    if len(old) != len(index):
        raise ShapeError(f"The map has {len(old):,} rows; the index has {len(index):,}.", "Give the index of this map.")
    matrix = as_matrix(new_vectors)
    out = np.full((len(matrix), 2), np.nan, np.float32)
    on_map = _finite_rows(old)
    finite = _finite_rows(matrix)
    if not on_map.any():
        out[finite] = 0.0
        return out
    out[finite] = old[on_map].mean(axis=0)
    rows, distances = index.query(matrix, _PLACE_NEIGHBOURS)
    distances = np.where((rows >= 0) & on_map[rows], distances, np.inf).astype(np.float32)
    weights = membership(distances)
    copies = distances == 0
    some = copies.any(axis=1)
    weights[some] = copies[some]
    # A copy lands on the first of its twins, where several lie apart.
    weights[some] *= np.cumsum(copies[some], axis=1) == 1
    total = weights.sum(axis=1)
    near = total > 0
    spots = np.where(np.isfinite(old), old, 0.0)[rows[near]]
    out[near] = np.einsum("mk,mkc->mc", weights[near], spots) / total[near, None]
    return out


def warm_up() -> threading.Thread:
    """Load numba and compile (or read from its cache) what graphs and maps need, in the background.

    Returns
    -------
    threading.Thread
        Started; joining it is optional.
    """
    thread = threading.Thread(target=_warm_up_unless_leaving, name="encord-active-widgets-warm-up")
    thread.start()
    return thread


def _warm_up_unless_leaving() -> None:
    try:
        _warm_up()
    except RuntimeError:
        if threading.main_thread().is_alive():
            raise  # else the interpreter is leaving: no pool takes work any more, and nobody waits for it


def _warm_up() -> None:
    from encord_active_widgets.embeddings import kernels
    from encord_active_widgets.embeddings.graph import blocked_search

    vectors = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    blocked_search(unit_rows(vectors)[0], k=2, seed=0)
    graph = knn_graph(vectors, k=3)
    umap_layout(vectors, graph)
    # The loops of metrics/neighbours.py, which a finished graph is for next.
    order, reach = np.zeros(len(vectors), np.int64), Reach(vectors)
    reach.add(0)
    reach.add_all(np.arange(1, 3))
    kernels.cover_by_graph(np.ones(2 * len(vectors), np.float32), graph.rows, graph.distances, order, 0)


# -- inside ---------------------------------------------------------------------------------------


def _finite_rows(table: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(table).all(axis=1))


def _spread(positions: Positions, rng: np.random.Generator) -> Positions:
    """Scale first positions to the extent UMAP starts from, and keep equal ones apart."""
    centred = positions - positions.mean(axis=0)
    reach = float(np.abs(centred).max())
    noise: Positions = rng.standard_normal(centred.shape).astype(np.float32)
    if reach < np.finfo(np.float32).eps:
        return noise
    spread: Positions = (centred * (_EXTENT / reach) + noise * _NOISE).astype(np.float32)
    return spread


def _without_missing(graph: Graph, present: NDArray[np.int64]) -> Graph:
    renamed = np.full(len(graph) + 1, NO_ROW, np.int32)  # the last one answers for NO_ROW
    renamed[present] = np.arange(len(present), dtype=np.int32)
    return Graph(renamed[graph.rows[present]], graph.distances[present])


def _optimise(
    start: Positions,
    edges: Edges,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None,
    cancel: threading.Event | None,
) -> Positions:
    from encord_active_widgets.embeddings import kernels

    n = len(start)
    epochs = EPOCHS if n > SMALL_ROWS else EPOCHS_SMALL
    if len(edges.weights) == 0:
        return start
    # An edge pulls once in `period` epochs; those too weak to pull at all are left out.
    with np.errstate(over="ignore"):  # of an edge next to nothing: it is left out below
        period = edges.weights.max() / edges.weights
    strong = period <= epochs
    starts = np.concatenate([[0], np.cumsum(strong)])[edges.starts]
    tails, period = edges.tails[strong], period[strong].astype(np.float32)
    due = period.copy()
    attraction, repulsion = force_tables(kernels.TABLE_LOW, kernels.TABLE_SIZE, kernels.TABLE_SHIFT)
    threads = available_threads() if n > _SERIAL_ROWS else 1
    cuts = [n * i // threads // _BATCHES * _BATCHES for i in range(threads)] + [n]
    now, then = start.astype(np.float32), start.astype(np.float32)
    with ThreadPoolExecutor(threads) as pool:
        for epoch in range(epochs):
            if cancel is not None and cancel.is_set():
                break
            rate = np.float32(1 - epoch / epochs)
            work = partial(
                kernels.layout_epoch,
                *(now, then, starts, tails, period, due, attraction, repulsion),
                *(rate, epoch, seed, NEGATIVE_SAMPLES, _BATCHES),
            )
            for batch in range(_BATCHES):
                begins = [cut + batch for cut in cuts[:-1]]
                if threads == 1:
                    work(begins[0], n)
                else:
                    list(pool.map(work, begins, cuts[1:]))
                now[batch::_BATCHES] = then[batch::_BATCHES]
            if progress is not None:
                progress(epoch + 1, epochs)
    return now


def force_tables(low: int, size: int, shift: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return UMAP's force coefficients by squared distance, for look-up by the bits of a float32.

    Parameters
    ----------
    low, size, shift : int
        Entry `i` stands for the squared distances whose bits, shifted right by `shift`, are ``low + i``.

    Returns
    -------
    attraction, repulsion : (size,) float32
        What the difference of two positions is multiplied by.
    """
    bits = ((np.arange(size, dtype=np.int64) + low) << shift) + (1 << (shift - 1))
    squared = bits.astype(np.int32).view(np.float32).astype(np.float64)
    curve = 1 + CURVE_A * squared**CURVE_B
    attraction = -2 * CURVE_A * CURVE_B * squared ** (CURVE_B - 1) / curve
    repulsion = 2 * CURVE_B / ((_NEAR_GUARD + squared) * curve)
    return attraction.astype(np.float32), repulsion.astype(np.float32)
