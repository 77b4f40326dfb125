"""Loops compiled by numba, with the compiled code cached on disk.

They release the interpreter lock and are called from plain threads on disjoint ranges: numba's own
parallel layers either need a system library or end the process when two Python threads meet in them.
Import this module only inside functions: it loads numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

_F = TypeVar("_F", bound=Callable[..., Any])

_FAST = {"reassoc", "contract", "arcp", "nsz", "nnan"}
"""Fast mathematics without "ninf": infinite distances mark what is not known yet."""

_SCAN = 64
"""Cells compared at once before looking closer: one or two vector registers' worth of work a test."""


def _compiled(function: _F, *, fastmath: bool = False, inline: bool = False) -> _F:
    """Compile without the interpreter lock; cache where a folder for that can be written."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _FAST if fastmath else False}
    if inline:
        return numba.njit(inline="always", **options)(function)  # type: ignore[no-any-return]
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # "no locator available": neither the package nor the home folder is writable
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


# -- k nearest by blocks --------------------------------------------------------------------------


_STRIP = 1024
"""Columns looked at before the next."""


def _push(worst_first: Any, ids: Any, value: Any, row: Any) -> None:
    """Replace the worst entry of a max-heap."""
    size = worst_first.shape[0]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and worst_first[child + 1] > worst_first[child]:
            child += 1
        if worst_first[child] <= value:
            break
        worst_first[at] = worst_first[child]
        ids[at] = ids[child]
        at = child
    worst_first[at] = value
    ids[at] = row


_push = _compiled(_push)


def _scan_rows(block: Any, row0: int, col0: int, heap: Any, ids: Any, start: int, stop: int) -> None:
    """Offer the cells of some rows of a block to the rows' heaps."""
    width = block.shape[1]
    for i in range(start, stop):
        row = row0 + i
        worst = heap[row, 0]
        for left in range(0, width, _SCAN):
            right = min(left + _SCAN, width)
            low = np.float32(np.inf)
            for j in range(left, right):
                low = min(low, block[i, j])
            if low < worst:
                for j in range(left, right):
                    if block[i, j] < worst and col0 + j != row:
                        _push(heap[row], ids[row], block[i, j], col0 + j)
                        worst = heap[row, 0]


scan_rows = _compiled(_scan_rows, fastmath=True)


def _scan_columns(block: Any, row0: int, col0: int, heap: Any, ids: Any, worst: Any, start: int, stop: int) -> None:
    """Offer the cells of some columns of a block to the heaps of the rows they stand for."""
    for j in range(start, stop):
        worst[col0 + j] = heap[col0 + j, 0]
    for first in range(start, stop, _STRIP):  # so that the heaps in use stay in the processor's cache
        last = min(first + _STRIP, stop)
        for i in range(block.shape[0]):
            for left in range(first, last, _SCAN):
                right = min(left + _SCAN, last)
                below = 0
                for j in range(left, right):
                    below |= block[i, j] < worst[col0 + j]
                if below:
                    for j in range(left, right):
                        row = col0 + j
                        if block[i, j] < worst[row]:
                            _push(heap[row], ids[row], block[i, j], row0 + i)
                            worst[row] = heap[row, 0]


scan_columns = _compiled(_scan_columns)


def _rerank(unit: Any, candidates: Any, rows: Any, distances: Any, start: int, stop: int) -> None:
    """Order candidates by exact cosine distance, equal distances by row, and keep the nearest."""
    count = candidates.shape[1]
    k = rows.shape[1]
    dim = unit.shape[1]
    for i in range(start, stop):
        filled = 0
        for c in range(count):
            row = candidates[i, c]
            if row < 0:
                continue
            total = np.float32(0.0)
            for d in range(dim):
                gap = unit[i, d] - unit[row, d]
                total += gap * gap
            value = total * np.float32(0.5)
            at = filled
            while at > 0 and (
                distances[i, at - 1] > value or (distances[i, at - 1] == value and rows[i, at - 1] > row)
            ):
                if at < k:
                    distances[i, at] = distances[i, at - 1]
                    rows[i, at] = rows[i, at - 1]
                at -= 1
            if at < k:
                distances[i, at] = value
                rows[i, at] = row
                filled = min(filled + 1, k)


rerank = _compiled(_rerank, fastmath=True)


# -- stochastic layout ----------------------------------------------------------------------------

TABLE_SHIFT = 15
"""Bits of a float32 dropped to look a force up: 8 bits of mantissa stay, a relative step of 0.4 %."""
TABLE_LOW = (127 - 30) << 8
"""First entry of a table: squared distance 2**-30."""
TABLE_SIZE = 60 << 8
"""Entries of a table: squared distances up to 2**30."""


def _entry(squared: Any) -> Any:
    """Return the place of a squared distance in a force table."""
    place = (np.float32(squared).view(np.int32) >> TABLE_SHIFT) - TABLE_LOW
    return min(max(place, 0), TABLE_SIZE - 1)


_entry = _compiled(_entry, inline=True)


def _clip(value: Any, limit: Any) -> Any:
    return min(max(value, -limit), limit)


_clip = _compiled(_clip, inline=True)


def _layout_epoch(
    old: Any,
    new: Any,
    starts: Any,
    tails: Any,
    period: Any,
    due: Any,
    attraction: Any,
    repulsion: Any,
    alpha: Any,
    epoch: Any,
    seed: Any,
    negatives: int,
    step: int,
    start: int,
    stop: int,
) -> None:
    """Move every `step`-th item of a range for one epoch: read positions from `old`, write to `new`."""
    n = np.uint64(old.shape[0])
    limit = np.float32(4.0)
    for i in range(start, stop, step):
        x = old[i, 0]
        y = old[i, 1]
        # A random stream of its own for every item and epoch (splitmix64): the map does not depend on
        # how items are divided among threads.
        state = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * (np.uint64(epoch) * n + np.uint64(i) + np.uint64(1))
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
        for e in range(starts[i], starts[i + 1]):
            if due[e] > epoch:
                continue
            due[e] += period[e]
            j = tails[e]
            dx = x - old[j, 0]
            dy = y - old[j, 1]
            force = attraction[_entry(dx * dx + dy * dy)]
            x += alpha * _clip(force * dx, limit)
            y += alpha * _clip(force * dy, limit)
            for _ in range(negatives):
                state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                j = np.int64(((state >> np.uint64(32)) * n) >> np.uint64(32))
                dx = x - old[j, 0]
                dy = y - old[j, 1]
                force = repulsion[_entry(dx * dx + dy * dy)]
                x += alpha * _clip(force * dx, limit)
                y += alpha * _clip(force * dy, limit)
        new[i, 0] = x
        new[i, 1] = y


layout_epoch = _compiled(_layout_epoch, fastmath=True)


# -- farthest-point order -------------------------------------------------------------------------


_STRIDE = 32
"""Coordinates summed in single precision before asking whether a row is too far already."""


def _exact(points: Any, i: Any, j: Any) -> Any:
    """Return the squared distance of two rows in double precision."""
    total = 0.0
    for d in range(points.shape[1]):
        gap = np.float64(points[i, d]) - np.float64(points[j, d])
        total += gap * gap
    return total


_exact = _compiled(_exact)


def _nearer(points: Any, short: Any, squared: Any, slack: Any, centres: Any, rows: Any, start: int, stop: int) -> None:
    """Bring some rows nearer to new centres; `short` never exaggerates a distance, `slack` allows for rounding.

    Rows whose squared distance is not above 0 stay as they are: they are centres, or lie on one.
    """
    dim = points.shape[1]
    width = short.shape[1]
    for r in range(start, stop):
        i = rows[r]
        left = squared[i]
        if left <= 0:
            continue
        limit = np.float32(left) * np.float32(1.00001) + slack
        for c in range(centres.shape[0]):
            at = centres[c]
            total = np.float32(0.0)
            for d in range(width):
                gap = short[i, d] - short[at, d]
                total += gap * gap
            if total > limit:
                continue
            total = np.float32(0.0)
            d = 0
            while d < dim and total <= limit:
                end = min(d + _STRIDE, dim)
                for e in range(d, end):
                    gap = points[i, e] - points[at, e]
                    total += gap * gap
                d = end
            if total <= limit:
                left = min(left, _exact(points, i, at))
                limit = np.float32(left) * np.float32(1.00001) + slack
        squared[i] = left


nearer = _compiled(_nearer, fastmath=True)


def _nearer_by_block(points: Any, norms: Any, products: Any, squared: Any, slack: Any, rows: Any, centres: Any) -> None:
    """Bring rows nearer to many new centres, given -2 times their products (rows, centres) and all squared lengths."""
    for r in range(rows.shape[0]):
        i = rows[r]
        limit = np.float32(squared[i]) * np.float32(1.00001) + slack
        for c in range(centres.shape[0]):
            if norms[i] + norms[centres[c]] + products[r, c] <= limit:
                squared[i] = min(squared[i], _exact(points, i, centres[c]))
                limit = np.float32(squared[i]) * np.float32(1.00001) + slack


nearer_by_block = _compiled(_nearer_by_block)


def _sift(tree: Any, leaf: Any, value: Any) -> None:
    """Set a leaf of a tournament tree whose inner nodes hold the index of their larger leaf."""
    half = tree.shape[0] // 2
    at = leaf + half
    tree[at] = value
    while at > 1:
        at //= 2
        tree[at] = max(tree[2 * at], tree[2 * at + 1])


_sift = _compiled(_sift)


def _cover_by_graph(tree: Any, neighbours: Any, squared: Any, order: Any, picked: int) -> int:
    """Go on picking the farthest point, where only its graph neighbours come nearer.

    `tree` is a tournament tree of reaches, leaves in its second half. Returns how many are picked.
    """
    half = tree.shape[0] // 2
    while tree[1] > 0:
        at = 1
        while at < half:
            at = 2 * at if tree[2 * at] >= tree[2 * at + 1] else 2 * at + 1
        point = at - half
        order[picked] = point
        picked += 1
        _sift(tree, point, np.float32(-1.0))
        for c in range(neighbours.shape[1]):
            other = neighbours[point, c]
            if other >= 0 and squared[point, c] < tree[half + other]:
                _sift(tree, np.int64(other), squared[point, c])
    return picked


cover_by_graph = _compiled(_cover_by_graph)
