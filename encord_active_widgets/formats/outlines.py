"""One ring for what has several: outlines of masks, parts and holes of polygons, joined by bridges without width.

Formats whose polygons are a single list of corners take a shape of several parts as one ring that walks from
part to part and back on the same lines: it encloses what the parts enclose, and nothing between them. Holes are
walked the other way round, so that they stay cut out.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_MOST_PAIRS = 1_000_000
"""Distances computed at once to find where two parts are nearest; of longer parts every k-th corner is tried."""


def mask_rings(rle: bytes, height: int, width: int) -> list[F64]:
    """Trace the outline of a mask along the sides of its pixels.

    Pixels that touch at a corner belong to one part, as in OpenCV's contours.

    Parameters
    ----------
    rle : bytes
        COCO's compressed counts.
    height, width : int
        Of the mask.

    Returns
    -------
    list of (k, 2) float64
        The rings, only the corners where they turn: clockwise as seen, those of holes the other way round.
    """
    from ..metrics import masks

    x, y, w, h = masks.bounds([rle], height, width)[0].astype(int).tolist()
    if not w or not h:
        return []
    inside = np.zeros((h + 2, w + 2), np.bool_)
    inside[1:-1, 1:-1] = masks.decode(rle, height, width)[y : y + h, x : x + w]
    corners, across, down = _corners(inside)
    rings: list[F64] = []
    seen = np.zeros(len(corners), np.bool_)
    for start in range(len(corners)):
        if seen[start]:
            continue
        walk = _walk(start, across, down)
        seen[walk] = True
        row, column = corners[start]  # the first corner from above: to its right runs the upper side
        ring = (corners[walk][:, ::-1] + (x, y)).astype(np.float64)
        rings.append(ring if inside[row + 1, column + 1] else ring[::-1])
    return rings


def _corners(inside: NDArray[np.bool_]) -> tuple[I64, list[int], list[int]]:
    """Return where the outline turns, (row, column) in reading order, and each corner's neighbour across and down.

    On a line of the grid the first corner is joined to the second, the third to the fourth: between them runs
    a side. Where two pixels touch there are two corners on one spot.
    """
    a, b, c, d = inside[:-1, :-1], inside[:-1, 1:], inside[1:, :-1], inside[1:, 1:]
    touching = (a == d) & (b == c) & (a != b)
    times = (a ^ b ^ c ^ d).astype(np.int64) + 2 * touching
    spots = np.argwhere(times > 0)
    repeated = np.repeat(np.arange(len(spots)), times[times > 0])
    corners = spots[repeated]
    n = len(corners)
    across = np.arange(n) ^ 1  # reading order: row by row
    # Of two corners on one spot the left side has the first. With pixels at the lower left and the upper right it
    # goes on upwards, else downwards: so both pixels lie in one ring.
    second = np.zeros(n, np.int64)
    second[1:] = repeated[1:] == repeated[:-1]
    falls = a[corners[:, 0], corners[:, 1]] & touching[corners[:, 0], corners[:, 1]]
    order = np.lexsort((np.where(falls, 1 - second, second), corners[:, 0], corners[:, 1]))
    down = np.empty(n, np.int64)
    down[order] = order[np.arange(n) ^ 1]
    return corners, across.tolist(), down.tolist()


def _walk(start: int, across: list[int], down: list[int]) -> list[int]:
    """Follow the sides, one across and one down in turn, until they are back."""
    walk = []
    at = start
    while True:
        walk.append(at)
        at = across[at]
        walk.append(at)
        at = down[at]
        if at == start:
            return walk


def polygon_rings(points: list[float], rings: list[int] | None, holes: list[int] | None) -> list[F64]:
    """Return the rings of a polygon: clockwise as seen, those of holes the other way round.

    >>> polygon_rings([0, 0, 9, 0, 9, 9, 7, 1, 8, 1, 8, 2], [3, 3], [1])[1].tolist()
    [[8.0, 2.0], [8.0, 1.0], [7.0, 1.0]]
    """
    pairs = np.asarray(points, np.float64).reshape(-1, 2)
    if not rings or len(rings) == 1:
        return [pairs]
    parts = enumerate(np.split(pairs, np.cumsum(rings)[:-1]))
    return [p if _clockwise(p) != (i in (holes or ())) else p[::-1] for i, p in parts if len(p)]


def joined(parts: list[F64]) -> F64:
    """Join rings into one: from each to the next at their nearest corners, and back the same way.

    Parameters
    ----------
    parts : list of (k, 2) float64
        At least one; holes turned the other way.

    Returns
    -------
    (m, 2) float64
        The one ring as it is; of several one whose area is the sum of theirs.

    Examples
    --------
    >>> square = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
    >>> len(joined([square, square + (3, 0)]))
    10
    """
    if len(parts) == 1:
        return parts[0]
    bridges = [_nearest(a, b) for a, b in pairwise(parts)]
    leave = [i for i, _ in bridges]
    enter = [leave[0], *(j for _, j in bridges)]
    leave.append(enter[-1])
    there = [_arc(p, i, j) for p, i, j in zip(parts, enter, leave, strict=True)]
    back = [_rest(p, i, j) for p, i, j in zip(parts, leave, enter, strict=True)]
    ring = np.concatenate([*there[:-1], *back[::-1]])
    return ring[:-1]  # it ends where it began


def _clockwise(ring: F64) -> bool:
    following = np.roll(ring, -1, axis=0)
    return bool((ring[:, 0] * following[:, 1] - following[:, 0] * ring[:, 1]).sum() >= 0)


def _nearest(a: F64, b: F64) -> tuple[int, int]:
    """Return the corners of two parts that are nearest to each other."""
    step = max(1, int(np.ceil(np.sqrt(len(a) * len(b) / _MOST_PAIRS))))
    near = ((a[::step, None] - b[None, ::step]) ** 2).sum(axis=2)
    i, j = np.unravel_index(int(near.argmin()), near.shape)
    return int(i) * step, int(j) * step


def _arc(ring: F64, start: int, end: int) -> F64:
    """Return the corners from one to another, both included."""
    return np.roll(ring, -start, axis=0)[: (end - start) % len(ring) + 1]


def _rest(ring: F64, start: int, end: int) -> F64:
    """Return the corners from one on to another; all of them, and the first again, where both are one."""
    if start != end:
        return _arc(ring, start, end)
    turned = np.roll(ring, -start, axis=0)
    return np.concatenate([turned, turned[:1]])
