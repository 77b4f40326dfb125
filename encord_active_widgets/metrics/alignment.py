"""Do two small pictures show the same scene? One is laid over the other, then their edges are compared.

A crop moves and stretches what is left, which takes the bits of a perceptual hash apart long before the eye
sees a difference. So the move is estimated and undone: scale and shift of each axis, and gain and offset of
the brightness, by Gauss-Newton steps on the squared difference (Lucas & Kanade, "An Iterative Image
Registration Technique with an Application to Stereo Vision", 1981), first at half the size.

What is compared then is the direction of edges: the correlation of gradients, each divided by the square root
of its length, so that a frame around two different pictures does not outvote them. What agrees least
is looked at by itself: the same sea with another boat on it is another picture.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from ..images._numba import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ALIGNED_SIDE_PX = 32
"""Pictures are compared at this size, stretched to a square."""

SAME_SCENE = 0.75
"""Correlation from which two pictures show the same scene."""

SAME_EVERYWHERE = 0.4
"""Correlation, in the part that agrees least, from which nothing else stands in the scene."""

_HALF_PX = ALIGNED_SIDE_PX // 2
_HOPELESS = 0.35
"""Pictures that agree less than this at half the size are not looked at closer."""
_STEPS_HALF = 4
_STEPS_FULL = 4
_LEAST_OVERLAP = 0.6
_MOST_STRETCH = 0.25
_MOST_SHIFT = 0.15
"""Of the side: beyond this the estimate has run away."""
_LEAST_GAIN = 0.2
_BLOCKS = 4
_WORST_SHARE = 0.15
_UNKNOWNS = 6
_DAMPING = 1e-3
_TINY = 1e-6
_FEW_PAIRS = 64


def edge_correlation(first: F32, second: F32, *, threads: int = 1) -> F32:
    """Lay pictures over each other pair by pair, and correlate their edges.

    Parameters
    ----------
    first, second : (m, 32, 32) float32
        Luma, 0 to 255.
    threads : int
        Parts worked on at the same time.

    Returns
    -------
    (m, 2) float32
        Correlation of the whole, and of the blocks that agree least: those that hold 15 % of the edges. 1 for
        equal pictures, about 0 for different ones; the better of laying the second over the first and the first
        over the second. -1 where they never overlap by 60 %, or are hopeless at half the size.

    Examples
    --------
    >>> picture = np.random.default_rng(0).uniform(0, 255, (1, 32, 32)).astype(np.float32)
    >>> edge_correlation(picture, 0.5 * picture + 20).round(2).tolist()
    [[1.0, 1.0]]
    """
    out = np.empty((len(first), 2), np.float32)
    parts = max(1, min(threads, len(first) // _FEW_PAIRS))
    edges = [len(first) * i // parts for i in range(parts + 1)]
    a, b = np.ascontiguousarray(first, np.float32), np.ascontiguousarray(second, np.float32)
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(lambda low, high: compare(a[low:high], b[low:high], out[low:high]), edges[:-1], edges[1:]))
    return out


@kernel
def compare(first: F32, second: F32, out: F32) -> None:
    """Write the correlations of each pair of pictures."""
    agreed = np.empty(2, np.float32)
    small_a = np.empty((_HALF_PX, _HALF_PX), np.float32)
    small_b = np.empty((_HALF_PX, _HALF_PX), np.float32)
    moved, shared = (
        np.empty((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX), np.float32),
        np.zeros((ALIGNED_SIDE_PX, ALIGNED_SIDE_PX), np.bool_),
    )
    move = np.empty(4, np.float64)
    for i in range(first.shape[0]):
        halve(first[i], small_a)
        halve(second[i], small_b)
        out[i] = np.float32(-1.0)
        for turn in range(2):
            a, b = (first[i], second[i]) if turn == 0 else (second[i], first[i])
            small, other = (small_a, small_b) if turn == 0 else (small_b, small_a)
            move[0] = move[1] = 1.0
            move[2] = move[3] = 0.0
            lay_over(small, other, move, _STEPS_HALF, moved, shared, agreed)
            if agreed[0] < np.float32(_HOPELESS):
                continue
            move[2] *= 2.0
            move[3] *= 2.0
            lay_over(a, b, move, _STEPS_FULL, moved, shared, agreed)
            if agreed[0] > out[i, 0]:
                out[i] = agreed
            if out[i, 0] >= np.float32(SAME_SCENE) and out[i, 1] >= np.float32(SAME_EVERYWHERE):
                break


@kernel
def halve(source: F32, target: F32) -> None:
    """Average squares of 2 x 2."""
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            i, j = 2 * y, 2 * x
            total = source[i, j] + source[i, j + 1] + source[i + 1, j] + source[i + 1, j + 1]
            target[y, x] = np.float32(0.25) * total


@kernel
def lay_over(a: F32, b: F32, move: F64, steps: int, moved: F32, shared: Mask, agreed: F32) -> None:
    """Estimate the move that makes `a` look like `b`, from the one given; write the correlations of edges then.

    `move` is the scale across and down about the middle, then the shift across and down in pixels.
    """
    n = a.shape[0]
    agreed[:] = np.float32(-1.0)
    middle = (n - 1) / 2.0
    normal = np.empty((_UNKNOWNS, _UNKNOWNS), np.float64)
    right = np.empty(_UNKNOWNS, np.float64)
    row = np.empty(_UNKNOWNS, np.float64)
    for step in range(steps + 1):
        normal[:] = 0.0
        right[:] = 0.0
        count = 0
        for y in range(n):
            v = move[1] * (y - middle) + move[3] + middle
            for x in range(n):
                u = move[0] * (x - middle) + move[2] + middle
                inside = 0.0 <= u <= n - 1 and 0.0 <= v <= n - 1
                shared[y, x] = inside
                if not inside:
                    continue
                i, j = min(int(v), n - 2), min(int(u), n - 2)
                fv, fu = v - i, u - j
                top, bottom = a[i, j + 1] - a[i, j], a[i + 1, j + 1] - a[i + 1, j]
                left, right_side = a[i + 1, j] - a[i, j], a[i + 1, j + 1] - a[i, j + 1]
                value = (1.0 - fv) * (a[i, j] + fu * top) + fv * (a[i + 1, j] + fu * bottom)
                moved[y, x] = value
                count += 1
                if step == steps:
                    continue
                across, down = (1.0 - fv) * top + fv * bottom, (1.0 - fu) * left + fu * right_side
                row[0], row[1] = across * (x - middle), down * (y - middle)
                row[2], row[3] = across, down
                row[4], row[5] = value, 1.0
                for q in range(_UNKNOWNS):
                    right[q] += row[q] * b[y, x]
                    for r in range(q + 1):
                        normal[q, r] += row[q] * row[r]
        if count < n * n * _LEAST_OVERLAP:
            return
        if step < steps and not improve(normal, right, move, n):
            return
    edges_agree(moved, b, shared, agreed)


@kernel
def improve(normal: F64, right: F64, move: F64, n: int) -> bool:
    """Solve the normal equations (lower half given) and change the move; tell whether it is still likely."""
    for q in range(_UNKNOWNS):
        normal[q, q] += (_DAMPING * normal[q, q] if q < 4 else 0.0) + _TINY
        for r in range(q):
            normal[r, q] = normal[q, r]
    for k in range(_UNKNOWNS):  # positive definite by the damping: no pivots needed
        for q in range(k + 1, _UNKNOWNS):
            factor = normal[q, k] / normal[k, k]
            right[q] -= factor * right[k]
            for r in range(k, _UNKNOWNS):
                normal[q, r] -= factor * normal[k, r]
    for k in range(_UNKNOWNS - 1, -1, -1):
        for r in range(k + 1, _UNKNOWNS):
            right[k] -= normal[k, r] * right[r]
        right[k] /= normal[k, k]
    gain = right[4]
    if not gain > _LEAST_GAIN:
        return False
    for k in range(4):
        move[k] += right[k] / gain
    limit = n * _MOST_SHIFT
    stretched = max(abs(move[0] - 1.0), abs(move[1] - 1.0)) > _MOST_STRETCH
    return not (stretched or max(abs(move[2]), abs(move[3])) > limit)


@kernel
def edges_agree(a: F32, b: F32, shared: Mask, agreed: F32) -> None:
    """Correlate gradients where both pictures are, each divided by the square root of its length.

    Written are the correlation of the whole and that of the blocks that agree least.
    """
    n = b.shape[0]
    block = n // _BLOCKS
    both = np.zeros(_BLOCKS * _BLOCKS, np.float32)
    own, other = np.zeros(both.shape[0], np.float32), np.zeros(both.shape[0], np.float32)
    for y in range(n - 1):
        for x in range(n - 1):
            if shared[y, x] and shared[y + 1, x] and shared[y, x + 1]:
                k = y // block * _BLOCKS + x // block
                ax, ay = a[y, x + 1] - a[y, x], a[y + 1, x] - a[y, x]
                bx, by = b[y, x + 1] - b[y, x], b[y + 1, x] - b[y, x]
                la = np.float32(math.sqrt(ax * ax + ay * ay + np.float32(_TINY)))
                lb = np.float32(math.sqrt(bx * bx + by * by + np.float32(_TINY)))
                both[k] += (ax * bx + ay * by) / np.float32(math.sqrt(la * lb))
                own[k] += la
                other[k] += lb
    agreed[0] = both.sum() / np.float32(math.sqrt(max(own.sum() * other.sum(), np.float32(_TINY))))
    contrast = own.sum() / max(other.sum(), np.float32(_TINY))
    weight = np.maximum(own, contrast * other)
    agreement = np.float32(math.sqrt(contrast)) * both / np.maximum(weight, np.float32(_TINY))
    room = np.float32(_WORST_SHARE) * weight.sum()
    left, total = room, np.float32(0.0)
    for k in np.argsort(agreement):
        part = min(weight[k], left)
        total += part * agreement[k]
        left -= part
    agreed[1] = total / max(room, np.float32(_TINY))
