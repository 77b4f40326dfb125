"""Duplicate groups: exact hash, perceptual hash, embedding distance and edges, joined as a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings.graph import Graph

from .duplicate_pairs import ALONE, DISTANCE_THRESHOLD, PHASH_RADIUS, DuplicatePairs, Pictures, Rows, find_pairs


def duplicate_groups(
    content_hash: Sequence[str] | pl.Series,
    phash: ArrayLike,
    graph: Graph | None,
    *,
    vectors: NDArray[np.float32] | None = None,
    mirror: NDArray[np.integer] | None = None,
    pictures: Pictures | None = None,
    phash_radius: int = PHASH_RADIUS,
    distance_threshold: float = DISTANCE_THRESHOLD,
    apart: Sequence[Rows] = (),
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
    vectors : (n, d) float32, optional
        What the graph was made of: distances of pairs that it does not list, and of mirrored images.
    mirror : (d,) integers, optional
        Where the values of a mirrored image's vector stand in the image's own, as `mirrored_order` gives it
        for the built-in descriptor. Without it mirrored copies are found by `pictures` alone.
    pictures : function, optional
        Takes rows (m,) and returns their luma stretched to (m, 32, 32) float32, NaN where there is none.
        With it crops are found by their edges.
    phash_radius : int
        Two items are duplicates if their hashes differ in at most this many bits, and their distance (or
        that of both to a third item, where there are no vectors) is at most twice `distance_threshold`. The
        same holds of the hash and the vector of the mirrored image.
    distance_threshold : float
        Two neighbours are duplicates if their cosine distance is at most this and their hashes differ in
        at most 8 bits; or if it is at most twice this (and 0.5), the hashes differ in at most 20, and the
        edges of one picture laid over the other agree; beyond 12 bits in every part of it (see `alignment`).
    apart : sequence of (k,) int64
        Sets of rows that are not duplicates of each other, whatever the evidence says.

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
    Every limit was chosen on 200 photographs (ImageNet) with planted copies and on the 50 million pairs of
    the CIFAR-10 test set, whose joined pairs were looked at one by one; `benchmarks/bench_duplicates.py`
    prints recall and false pairs again, beside CleanVision's.
    """
    pairs = find_pairs(
        content_hash, phash, graph, vectors=vectors, mirror=mirror, pictures=pictures, phash_radius=phash_radius
    )
    return groups_at(len(content_hash), pairs, distance_threshold, apart)


def groups_at(n: int, pairs: DuplicatePairs, threshold: float, apart: Sequence[Rows] = ()) -> Rows:
    """Group `n` items by the pairs that count at a threshold.

    Parameters
    ----------
    n : int
    pairs : DuplicatePairs
    threshold : float
        Cosine distance, 0 to 2.
    apart : sequence of (k,) int64
        Sets of rows no two of which may be in one group. Where a chain would join them, pairs are taken
        nearest first and those that would are left out: what lies between goes to the nearer side.

    Returns
    -------
    (n,) int64
        As `duplicate_groups` gives them.
    """
    chosen = pairs.at(threshold)
    groups = connected_groups(n, chosen.left, chosen.right)
    sets = [np.asarray(rows, np.int64) for rows in apart]
    torn = _torn(groups, [rows[(rows >= 0) & (rows < n)] for rows in sets])
    if not torn:
        return groups
    kept = _nearest_first(chosen, groups, torn)
    return connected_groups(n, kept.left, kept.right)


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


def _torn(groups: Rows, apart: Sequence[Rows]) -> dict[int, list[Rows]]:
    """Return by group the sets of which it joins two members or more."""
    found: dict[int, list[Rows]] = {}
    for rows in apart:
        mine = rows[groups[rows] != ALONE]
        numbers, counts = np.unique(groups[mine], return_counts=True)
        for group in numbers[counts > 1].tolist():
            found.setdefault(group, []).append(mine[groups[mine] == group])
    return found


def _nearest_first(pairs: DuplicatePairs, groups: Rows, torn: dict[int, list[Rows]]) -> DuplicatePairs:
    """Leave out the pairs that would bring members of one set together."""
    where = groups[pairs.left]
    open_ = np.isin(where, list(torn))
    order = np.lexsort((pairs.right, pairs.left, np.nan_to_num(pairs.distance, nan=0.0)))
    order = order[open_[order]]
    sets: dict[int, set[int]] = {}
    for number, rows in enumerate(rows for found in torn.values() for rows in found):
        for row in rows.tolist():
            sets.setdefault(row, set()).add(number)
    root: dict[int, int] = {}

    def find(row: int) -> int:
        while (above := root.get(row, row)) != row:
            root[row] = root.get(above, above)
            row = root[row]
        return row

    keep = ~open_
    for i, left, right in zip(order.tolist(), pairs.left[order].tolist(), pairs.right[order].tolist(), strict=True):
        a, b = find(left), find(right)
        if a == b:
            continue
        mine, others = sets.get(a, set()), sets.get(b, set())
        if mine & others:
            continue
        root[b] = a
        sets[a] = mine | others
        keep[i] = True
    return pairs[keep]
