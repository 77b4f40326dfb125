"""Duplicate groups: exact hash, perceptual hash and embedding distance, joined as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings.graph import Graph
from encord_active_widgets.errors import ShapeError

PHASH_BITS = 64
PHASH_RADIUS = 4
"""Differing bits at which the perceptual hash alone says duplicate."""
DISTANCE_THRESHOLD = 0.25
"""Cosine distance at which the embedding says duplicate, if the hash agrees by and large."""
PHASH_AGREES = 8
"""Differing bits up to which the hash agrees by and large."""
CONTRADICTION = 2.0
"""The embedding objects to a pair of near hashes beyond this many times the distance threshold."""
_PLAIN_BITS = 16
"""A hash with fewer bits set, or clear, than this says that the image has hardly any structure."""
ALONE = -1
_CHUNK_PAIRS = 65_536

Rows = NDArray[np.int64]
Pairs = tuple[Rows, Rows]


def duplicate_groups(
    content_hash: Sequence[str] | pl.Series,
    phash: ArrayLike,
    graph: Graph | None,
    *,
    phash_radius: int = PHASH_RADIUS,
    distance_threshold: float = DISTANCE_THRESHOLD,
) -> Rows:
    """Group items that show the same picture.

    Parameters
    ----------
    content_hash : (n,) strings
        Equal hashes are duplicates whatever else is said. Nulls and empty strings equal nothing.
    phash : (n,) uint64
        Perceptual hashes of 64 bits. Hashes with fewer than 16 bits set or clear (flat images; 0 where
        there is none) are evidence of nothing.
    graph : Graph or None
        Neighbours by embedding; without it hashes decide alone.
    phash_radius : int
        Two items are duplicates if their hashes differ in at most this many bits, and the graph shows them
        (or shows both beside a third item) within twice `distance_threshold`.
    distance_threshold : float
        Two neighbours are duplicates if their cosine distance is at most this and their hashes differ in
        at most 8 bits.

    Returns
    -------
    (n,) int64
        Group of each item, numbered from 0 in the order of first appearance; -1 = alone. Groups are
        connected components: a chain of duplicates is one group.

    Raises
    ------
    ShapeError
        The arguments have different lengths.

    Notes
    -----
    Measured with the built-in descriptor on 200 photographs (ImageNet) and the 10,000 images of the
    CIFAR-10 test set (`benchmarks/bench_index.py` prints it again):

    ============================== ============= ================ ======
    planted copy                   hash bits     distance         found
    ============================== ============= ================ ======
    photograph, cropped by 2 %     2, at most 7  0.03, 0.21       100 %
    photograph, JPEG quality 30    0, at most 2  0.001, 0.016     100 %
    photograph, half size          0, at most 1  0.000, 0.020     100 %
    ============================== ============= ================ ======

    No two different photographs come nearer than 16 bits. Among the 50 million pairs of CIFAR images
    these rules join 53 images to 25 groups, each of which shows one picture; the nearest pair that does
    not lies at 8 bits and distance 0.32.
    """
    hashes = np.ascontiguousarray(phash, dtype=np.uint64)
    n = len(hashes)
    if len(content_hash) != n or (graph is not None and len(graph) != n):
        raise ShapeError(
            f"{len(content_hash):,} content hashes, {n:,} perceptual hashes"
            + (f" and a graph of {len(graph):,} rows" if graph is not None else "")
            + " do not fit together.",
            "Give one value a row.",
        )
    telling = _telling(hashes)
    pairs = [_equal(content_hash), _near_hashes(hashes, telling, graph, phash_radius, distance_threshold)]
    if graph is not None:
        pairs.append(_near_vectors(hashes, telling, graph, distance_threshold))
    return connected_groups(n, np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs]))


def connected_groups(n: int, left: Rows, right: Rows) -> Rows:
    """Give numbers to the connected components of a graph that have at least two members.

    Parameters
    ----------
    n : int
        Number of nodes.
    left, right : (m,) int64
        Ends of the edges.

    Returns
    -------
    (n,) int64
        Component of each node, numbered from 0 by its first node; -1 for nodes without an edge.

    Examples
    --------
    >>> connected_groups(5, np.array([3, 1]), np.array([1, 4])).tolist()
    [-1, 0, -1, 0, 0]
    """
    label = np.arange(n)
    while True:
        a, b = label[left], label[right]
        low, high = np.minimum(a, b), np.maximum(a, b)
        open_ = low != high
        if not open_.any():
            break
        np.minimum.at(label, high[open_], low[open_])
        while True:
            shorter = label[label]
            if (shorter == label).all():
                break
            label = shorter
    sizes = np.bincount(label, minlength=n)
    roots = np.flatnonzero(sizes > 1)
    number = np.full(n, ALONE, np.int64)
    number[roots] = np.arange(len(roots))
    groups: Rows = number[label]
    return groups


# -- three kinds of evidence ----------------------------------------------------------------------


def _equal(content_hash: Sequence[str] | pl.Series) -> Pairs:
    """Pair every item with the first of equal content."""
    frame = pl.DataFrame({"hash": pl.Series("hash", content_hash, dtype=pl.String)}).with_row_index("row")
    joined = (
        frame.filter(pl.col("hash").is_not_null(), pl.col("hash") != "")
        .with_columns(first=pl.col("row").min().over("hash"))
        .filter(pl.col("first") != pl.col("row"))
    )
    return joined["first"].to_numpy().astype(np.int64), joined["row"].to_numpy().astype(np.int64)


def _telling(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    bits = np.bitwise_count(hashes)
    return (bits >= _PLAIN_BITS) & (bits <= PHASH_BITS - _PLAIN_BITS)


def _near_hashes(
    hashes: NDArray[np.uint64], telling: NDArray[np.bool_], graph: Graph | None, radius: int, threshold: float
) -> Pairs:
    """Pair items by perceptual hash, unless their embeddings object."""
    rows = np.flatnonzero(telling)
    order = rows[np.argsort(hashes[rows], kind="stable")]
    same = hashes[order[1:]] == hashes[order[:-1]]
    first = order[np.concatenate([[True], ~same])] if len(order) else order
    a, b = pairs_within(hashes[first], radius)
    left = np.concatenate([order[:-1][same], first[a]])
    right = np.concatenate([order[1:][same], first[b]])
    if graph is not None and graph.k > 0 and len(left):
        keep = np.concatenate(
            [
                _not_denied(
                    graph, left[at : at + _CHUNK_PAIRS], right[at : at + _CHUNK_PAIRS], CONTRADICTION * threshold
                )
                for at in range(0, len(left), _CHUNK_PAIRS)
            ]
        )
        left, right = left[keep], right[keep]
    return left, right


def _near_vectors(hashes: NDArray[np.uint64], telling: NDArray[np.bool_], graph: Graph, threshold: float) -> Pairs:
    """Pair graph neighbours by distance, unless their hashes object or say nothing."""
    rows, places = np.nonzero((graph.distances <= threshold) & (graph.rows >= 0))
    others = graph.rows[rows, places].astype(np.int64)
    keep = telling[rows] & telling[others]
    rows, others = rows[keep], others[keep]
    keep = np.bitwise_count(hashes[rows] ^ hashes[others]) <= PHASH_AGREES
    return rows[keep], others[keep]


def _not_denied(graph: Graph, left: Rows, right: Rows, limit: float) -> NDArray[np.bool_]:
    """Tell which pairs the graph allows: near neighbours, or items that share a near neighbour.

    Among more copies than the graph has places, two need not list each other, but they list the same.
    An item without neighbours has no vector to object with.
    """
    lists = [np.where(graph.distances[rows] <= limit, graph.rows[rows], ALONE) for rows in (left, right)]
    listed = (lists[0] == right[:, None]).any(axis=1) | (lists[1] == left[:, None]).any(axis=1)
    shared = ((lists[0][:, :, None] == lists[1][:, None, :]) & (lists[0] != ALONE)[:, :, None]).any(axis=(1, 2))
    silent = (graph.rows[left, 0] == ALONE) | (graph.rows[right, 0] == ALONE)
    allowed: NDArray[np.bool_] = listed | shared | silent
    return allowed


def pairs_within(hashes: NDArray[np.uint64], radius: int) -> Pairs:
    """Find all pairs of distinct hashes that differ in at most `radius` bits.

    Parameters
    ----------
    hashes : (m,) uint64
        Without repeats.
    radius : int

    Returns
    -------
    left, right : int64
        Positions in `hashes`, left < right, each pair once.

    Notes
    -----
    Multi-index hashing (Norouzi, Punjani & Fleet, "Fast Search in Hamming Space with Multi-Index
    Hashing", 2012): cut into radius + 1 bands, two near hashes agree in at least one of them. Only hashes
    that share a band are compared; at 1,000,000 random hashes and radius 4 this takes a few seconds.
    """
    found = [np.empty((0, 2), np.int64)]
    edges = np.linspace(0, PHASH_BITS, max(radius, 0) + 2).astype(int)
    for low, high in pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        band, sorted_hashes = band[order], hashes[order]
        at = np.arange(len(hashes))
        step = 0
        while True:
            step += 1
            at = at[at + step < len(hashes)]
            at = at[band[at] == band[at + step]]
            if len(at) == 0:
                break
            near = at[np.bitwise_count(sorted_hashes[at] ^ sorted_hashes[at + step]) <= radius]
            found.append(np.sort(np.stack([order[near], order[near + step]], axis=1), axis=1))
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1]
