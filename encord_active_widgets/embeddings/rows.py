"""Vectors made ready for search: unit length, copies folded together, unusable rows set aside."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.errors import ShapeError

_DIGEST_BYTES = 8
_CHUNK_ROWS = 16_384
_EXPAND_CELLS = 2_000_000
NO_ROW = -1
"""Marks a place in a neighbour list that holds no neighbour; its distance is infinite."""


def available_threads() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def as_matrix(vectors: ArrayLike) -> NDArray[np.float32]:
    """Return `vectors` as a C-ordered (n, d) float32 array, or raise `ShapeError`."""
    matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    if matrix.ndim != 2:
        shape = "x".join(map(str, matrix.shape)) or "scalar"
        raise ShapeError(
            f"Vectors must be a table of shape (rows, dimensions); this one is {shape}.",
            "For a single vector pass vector[None, :].",
        )
    return matrix


def unit_rows(matrix: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scale every row to unit length.

    Parameters
    ----------
    matrix : (n, d) float32

    Returns
    -------
    unit : (n, d) float32
        Rows of Euclidean length 1; zero and missing rows are all zero.
    state : (n,) int8
        1 = usable, 0 = the zero vector (it has no direction), -1 = missing (a value that is not finite).
    """
    unit = np.zeros_like(matrix)
    state = np.ones(len(matrix), np.int8)
    if matrix.shape[1] == 0:
        return unit, np.zeros_like(state)
    for at in range(0, len(matrix), _CHUNK_ROWS):
        part = matrix[at : at + _CHUNK_ROWS]
        finite = np.asarray(np.isfinite(part).all(axis=1))
        # Dividing by the largest entry first keeps squares of huge or tiny values in range.
        peak = np.where(finite, np.abs(part, where=finite[:, None], out=np.zeros_like(part)).max(axis=1), 0.0)
        state[at : at + _CHUNK_ROWS] = np.where(finite, np.where(peak > 0, 1, 0), -1)
        good = np.flatnonzero(peak > 0)
        scaled = part[good] / peak[good, None]
        unit[at + good] = scaled / np.sqrt(np.square(scaled).sum(axis=1))[:, None]
    return unit, state


def row_digests(matrix: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a 64-bit digest of the bytes of each row; equal rows have equal digests.

    Two different rows among 1,000,000 share a digest with probability 3e-8.
    """
    width = matrix.shape[1] * matrix.itemsize
    if matrix.size == 0:
        return np.zeros(len(matrix), np.uint64)
    data = memoryview(matrix.tobytes()).cast("B")
    joined = b"".join(
        hashlib.blake2b(data[at : at + width], digest_size=_DIGEST_BYTES).digest() for at in range(0, len(data), width)
    )
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)


@dataclass(frozen=True, slots=True)
class Members:
    """Which rows hold each distinct vector, as a compressed list of lists.

    Rows of distinct vector `u` are ``rows[starts[u]:starts[u + 1]]``, ascending.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, owner: NDArray[np.int64], count: int) -> Members:
        """Group the rows by `owner` (the distinct vector of each row; `NO_ROW` is left out)."""
        order = np.argsort(owner, kind="stable")
        order = order[np.searchsorted(owner[order], 0) :]
        starts = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(owner[order], minlength=count), out=starts[1:])
        return cls(starts, order.astype(np.int64))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of rows of each distinct vector."""
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class DistinctRows:
    """The distinct usable vectors of a matrix, and which row holds which.

    Attributes
    ----------
    unit : (u, d) float32
        Distinct vectors of unit length, in order of first appearance. The zero vector is not among them.
    owner : (n,) int64
        Index into `unit` of each row; `u` for zero vectors, `NO_ROW` for missing ones.
    digests : (u,) uint64
        Digest of the bytes each distinct vector was given as.
    """

    unit: NDArray[np.float32]
    owner: NDArray[np.int64]
    digests: NDArray[np.uint64]

    @property
    def members(self) -> Members:
        """Rows of each distinct vector; the last list holds the zero vectors."""
        return Members.of(self.owner, len(self.unit) + 1)


def distinct_rows(vectors: ArrayLike) -> DistinctRows:
    """Fold byte-equal rows together and scale the distinct ones to unit length.

    Copies are folded before any search, so that their distance is exactly zero however many there are: a
    neighbour graph with k places would otherwise hold nothing but copies, and an approximate index could
    lose its way among them.
    """
    matrix = as_matrix(vectors)
    unit, state = unit_rows(matrix)
    usable = np.flatnonzero(state == 1)
    digests = row_digests(matrix[usable] if len(usable) < len(matrix) else matrix)
    known, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    owner = np.full(len(matrix), NO_ROW, np.int64)
    owner[state == 0] = len(known)
    owner[usable] = rank[inverse]
    firsts = usable[first[order]]
    kept = unit if len(firsts) == len(matrix) else unit[firsts]
    return DistinctRows(kept, owner, known[order])


def expand(
    near: NDArray[np.int64],
    distances: NDArray[np.float32],
    members: Members,
    k: int,
    exclude: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Turn neighbours among distinct vectors into neighbours among rows.

    Parameters
    ----------
    near : (m, q) int64
        Distinct vectors, nearest first; `NO_ROW` where there is none.
    distances : (m, q) float32
    members : Members
    k : int
        Places in the answer.
    exclude : (m,) int64, optional
        A row to leave out of each list (the item itself).

    Returns
    -------
    rows : (m, k) int64
        `NO_ROW` where a list has fewer than k entries.
    distances : (m, k) float32
        Infinite there.
    """
    rows = np.full((len(near), k), NO_ROW, np.int64)
    out = np.full((len(near), k), np.inf, np.float32)
    sizes = members.sizes
    step = max(1, _EXPAND_CELLS // max(1, near.shape[1] * min(k + 1, int(sizes.max(initial=1)))))
    for at in range(0, len(near), step):
        part = near[at : at + step]
        count = np.where(part >= 0, np.minimum(sizes[part], k + 1), 0).ravel()
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        cell = np.repeat(np.arange(part.size), count)
        found = members.rows[members.starts[part.ravel()[cell]] + place]
        line = cell // max(1, part.shape[1])
        if exclude is not None:
            keep = found != exclude[at : at + step][line]
            found, cell, line = found[keep], cell[keep], line[keep]
        rank = np.arange(len(line)) - np.searchsorted(line, line)
        keep = rank < k
        rows[at + line[keep], rank[keep]] = found[keep]
        out[at + line[keep], rank[keep]] = distances[at : at + step].ravel()[cell[keep]]
    return rows, out
