"""Compiled geometry of rings: rotated boxes, convex clipping, and the area that any set of shapes covers.

Rings are closed: the last vertex is joined to the first. Coordinates are finite (callers see to that).

Sources: Sutherland & Hodgman, "Reentrant Polygon Clipping", 1974, for convex shapes. Everything else is cut
into vertical strips between all vertices and crossings, in which sides do not cross: the area of a strip is its
width times the covered length at its middle. That is exact for straight sides, needs no clean topology (crossed
sides, repeated vertices, shared sides) and cannot fail, unlike an overlay. Held in tests to shapely.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images._numba import kernel
from .geometry import BOX, CONVEX, KEYPOINTS, MOST_PX, NOTHING

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_TESTS = 20_000_000
"""Pairs of sides looked at for crossings, and sides looked at in strips; beyond it areas are sampled."""
SAMPLES = 2048
"""Least number of strips of a sampled area."""
LEAST_SIDE_PX = 1e-9
"""A box less high than this has no aspect, and overlaps nothing."""
ROUNDING = 1e-9
"""Margins smaller than this share of the image are none."""

# Floats by their bits: without the sign they sort as integers do, NaN and infinity last.
MAGNITUDE = 0x7FFF_FFFF_FFFF_FFFF
MOST_PX_BITS = int(np.float64(MOST_PX).view(np.int64))
NAN_BITS = 0x7FC0_0000


# -- convex shapes --------------------------------------------------------------------------------


@kernel
def corners(x: float, y: float, w: float, h: float, angle: float, out: F64) -> None:
    """Write the four corners of a rectangle turned by `angle` degrees about its centre to `out` (4, 2)."""
    quarter = angle / 90.0
    turns = math.floor(quarter + 0.5)
    if quarter == turns:  # exact where it can be
        whole = np.int64(turns % 4)
        c, s = float((1, 0, -1, 0)[whole]), float((0, 1, 0, -1)[whole])
    else:
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    cx, cy, a, b = x + w / 2, y + h / 2, w / 2, h / 2
    out[0, 0], out[0, 1] = cx - c * a + s * b, cy - s * a - c * b
    out[1, 0], out[1, 1] = cx + c * a + s * b, cy + s * a - c * b
    out[2, 0], out[2, 1] = cx + c * a - s * b, cy + s * a + c * b
    out[3, 0], out[3, 1] = cx - c * a - s * b, cy - s * a + c * b


@kernel
def corners_of_all(boxes: F64) -> F64:
    """Return the corners of rectangles x, y, w, h, angle (n, 5) one after another: (4n, 2)."""
    out = np.empty((4 * boxes.shape[0], 2), np.float64)
    for i in range(boxes.shape[0]):
        corners(boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3], boxes[i, 4], out[4 * i : 4 * i + 4])
    return out


@kernel
def convex_overlap(a: F64, b: F64) -> float:
    """Return the area common to two convex rings (n, 2), at most 8 corners each, corners clockwise (y down)."""
    now, then = np.empty((24, 2), np.float64), np.empty((24, 2), np.float64)
    n = a.shape[0]
    ox, oy = a[0, 0], a[0, 1]
    for i in range(n):
        now[i, 0], now[i, 1] = a[i, 0] - ox, a[i, 1] - oy
    for j in range(b.shape[0]):
        k = (j + 1) % b.shape[0]
        px, py = b[j, 0] - ox, b[j, 1] - oy
        dx, dy = b[k, 0] - b[j, 0], b[k, 1] - b[j, 1]
        m = 0
        for i in range(n):
            e = (i + 1) % n
            here = dx * (now[i, 1] - py) - dy * (now[i, 0] - px)
            there = dx * (now[e, 1] - py) - dy * (now[e, 0] - px)
            if here >= 0:
                then[m, 0], then[m, 1] = now[i, 0], now[i, 1]
                m += 1
            if (here > 0 and there < 0) or (here < 0 and there > 0):
                t = here / (here - there)
                then[m, 0] = now[i, 0] + t * (now[e, 0] - now[i, 0])
                then[m, 1] = now[i, 1] + t * (now[e, 1] - now[i, 1])
                m += 1
        now, then, n = then, now, m
        if n < 3:
            return 0.0
    return abs(ring_area(now[:n]))


@kernel
def ring_area(ring: F64) -> float:
    """Return the signed area of a ring (n, 2): the shoelace formula about its first vertex."""
    total = 0.0
    ox, oy = ring[0, 0], ring[0, 1]
    for i in range(1, ring.shape[0] - 1):
        ax, ay = ring[i, 0] - ox, ring[i, 1] - oy
        bx, by = ring[i + 1, 0] - ox, ring[i + 1, 1] - oy
        total += ax * by - bx * ay
    return total / 2


@kernel
def rotated_iou(a: F64, b: F64) -> F64:
    """Return the intersection over union of the i-th box of `a` and of `b`: x, y, w, h, degrees, (n, 5)."""
    out = np.zeros(a.shape[0], np.float64)
    ring_a, ring_b = np.empty((4, 2), np.float64), np.empty((4, 2), np.float64)
    for i in range(a.shape[0]):
        corners(a[i, 0], a[i, 1], a[i, 2], a[i, 3], a[i, 4], ring_a)
        corners(b[i, 0], b[i, 1], b[i, 2], b[i, 3], b[i, 4], ring_b)
        area_a, area_b = a[i, 2] * a[i, 3], b[i, 2] * b[i, 3]
        least = min(a[i, 2], a[i, 3], b[i, 2], b[i, 3])
        if least >= LEAST_SIDE_PX:  # thinner ones cover nothing: clipping by them is rounding alone
            both = min(convex_overlap(ring_a, ring_b), area_a, area_b)  # no side may be too short to clip by
            out[i] = min(both / (area_a + area_b - both), 1.0)
    return out


# -- boxes ----------------------------------------------------------------------------------------


@kernel
def _bits(number: float) -> Any:
    return np.float64(number).view(np.int64)


@kernel
def _usable(x: float, y: float, w: float, h: float) -> Any:
    """Tell whether a box has finite, sensible numbers. By their bits: compiled floats may not ask for NaN."""
    sane = (_bits(x) & MAGNITUDE) <= MOST_PX_BITS and (_bits(y) & MAGNITUDE) <= MOST_PX_BITS
    return sane and 0 <= _bits(w + 0.0) <= MOST_PX_BITS and 0 <= _bits(h + 0.0) <= MOST_PX_BITS


@kernel
def _extent(w: float, h: float, angle: float) -> tuple[float, float]:
    """Return the sides of the bounds of a turned rectangle."""
    turn = angle - 180.0 * math.floor(angle / 180.0)
    if turn == 0.0:
        return w, h
    if turn == 90.0:
        return h, w
    c, s = abs(math.cos(math.radians(turn))), math.sin(math.radians(turn))
    return w * c + h * s, w * s + h * c


@kernel
def _closeness(low: float, high: float, size: float) -> float:
    before, after = max(low, 0.0), max(size - high, 0.0)
    nothing = size * ROUNDING  # two margins of 0 are a touch
    return (abs(before - after) + nothing) / (before + after + nothing)


@kernel
def box_metrics(columns: tuple[F64, F64, F64, F64, F64], width: F64, height: F64, out: NDArray[np.float32]) -> int:
    """Fill area, relative area, aspect ratio, perimeter and border closeness (5, n) of boxes; count gaps (NaN)."""
    xs, ys, ws, hs, angles = columns
    bits = out.view(np.int32)
    gaps = 0
    for i in range(xs.shape[0]):
        x, y, w, h = xs[i], ys[i], ws[i], hs[i]
        angle = angles[i] if angles.shape[0] else 0.0
        if not (_usable(x, y, w, h) and (_bits(angle) & MAGNITUDE) <= MOST_PX_BITS):
            for k in range(5):
                bits[k, i] = NAN_BITS
            gaps += 1
            continue
        out[0, i] = w * h
        out[3, i] = 2 * (w + h)
        if w > 0 and h > LEAST_SIDE_PX:
            out[2, i] = w / h
        else:
            bits[2, i] = NAN_BITS
            gaps += 1
        if not (_sized(width[i]) and _sized(height[i])):
            bits[1, i] = NAN_BITS
            bits[4, i] = NAN_BITS
            gaps += 1
            continue
        out[1, i] = w * h / (width[i] * height[i])
        x0, y0, x1, y1 = x, y, x + w, y + h
        if angle != 0.0:
            wide, high = _extent(w, h, angle)
            x0, y0 = x + w / 2 - wide / 2, y + h / 2 - high / 2
            x1, y1 = x + w / 2 + wide / 2, y + h / 2 + high / 2
        out[4, i] = max(_closeness(x0, x1, width[i]), _closeness(y0, y1, height[i]))
    return gaps


@kernel
def measure_boxes(columns: tuple[F64, F64, F64, F64, F64], form: NDArray[np.int8], bounds: F64, measures: F64) -> None:
    """Fill `bounds` (n, 4) and `measures` (area, perimeter, aspect) of rows that are boxes.

    In `form`, boxes that cannot be used become NOTHING, turned ones CONVEX.
    """
    xs, ys, ws, hs, angles = columns
    for i in range(xs.shape[0]):
        if form[i] != BOX and form[i] != KEYPOINTS:
            continue
        x, y, w, h = xs[i], ys[i], ws[i], hs[i]
        angle = angles[i] if angles.shape[0] else 0.0
        if not (_usable(x, y, w, h) and (_bits(angle) & MAGNITUDE) <= MOST_PX_BITS):
            form[i] = NOTHING
            continue
        bounds[i, 0], bounds[i, 1], bounds[i, 2], bounds[i, 3] = x, y, x + w, y + h
        if angle != 0.0:
            wide, high = _extent(w, h, angle)
            bounds[i, 0], bounds[i, 1] = x + w / 2 - wide / 2, y + h / 2 - high / 2
            bounds[i, 2], bounds[i, 3] = x + w / 2 + wide / 2, y + h / 2 + high / 2
            if form[i] == BOX and angle % 180.0 != 0.0:
                form[i] = CONVEX
        measures[i, 0], measures[i, 1] = w * h, 2 * (w + h)
        if w > 0 and h > LEAST_SIDE_PX:
            measures[i, 2] = w / h


@kernel
def shape_metrics(
    form: NDArray[np.int8], bounds: F64, measures: F64, width: F64, height: F64, out: NDArray[np.float32]
) -> int:
    """Do as `box_metrics` for shapes that are measured already."""
    bits = out.view(np.int32)
    gaps = 0
    for i in range(form.shape[0]):
        for k in range(5):
            bits[k, i] = NAN_BITS
        if form[i] == NOTHING:
            gaps += 1
            continue
        sized = _sized(width[i]) and _sized(height[i])
        for k, at in ((0, 0), (1, 3), (2, 2)):
            if measures[i, k] >= 0:
                out[at, i] = measures[i, k]
            else:
                gaps += 1
        if not sized:
            gaps += 1
            continue
        if measures[i, 0] >= 0:
            out[1, i] = measures[i, 0] / (width[i] * height[i])
        out[4, i] = max(
            _closeness(bounds[i, 0], bounds[i, 2], width[i]), _closeness(bounds[i, 1], bounds[i, 3], height[i])
        )
    return gaps


@kernel
def _sized(size: float) -> Any:
    return 0 < _bits(size) <= MOST_PX_BITS


# -- any shapes -----------------------------------------------------------------------------------


@kernel
def is_simple(ring: F64) -> bool:
    """Tell whether no two sides of a ring cross (touching is no crossing). Gives up, saying no, on giants."""
    n = ring.shape[0]
    if n < 4:
        return True
    low = np.empty(n, np.float64)
    for i in range(n):
        low[i] = min(ring[i, 0], ring[(i + 1) % n, 0])
    order = np.argsort(low)
    tests = 0
    for p in range(n):
        i = order[p]
        ax, ay = ring[i, 0], ring[i, 1]
        bx, by = ring[(i + 1) % n, 0], ring[(i + 1) % n, 1]
        right, top, bottom = max(ax, bx), min(ay, by), max(ay, by)
        for q in range(p + 1, n):
            j = order[q]
            if low[j] > right:
                break
            tests += 1
            if tests > MOST_TESTS:
                return False
            cx, cy = ring[j, 0], ring[j, 1]
            dx, dy = ring[(j + 1) % n, 0], ring[(j + 1) % n, 1]
            if min(cy, dy) > bottom or max(cy, dy) < top:
                continue
            c = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            d = (bx - ax) * (dy - ay) - (by - ay) * (dx - ax)
            a = (dx - cx) * (ay - cy) - (dy - cy) * (ax - cx)
            b = (dx - cx) * (by - cy) - (dy - cy) * (bx - cx)
            if ((c > 0 and d < 0) or (c < 0 and d > 0)) and ((a > 0 and b < 0) or (a < 0 and b > 0)):
                return False
    return True


@kernel
def covered_area(points: F64, ring_ends: I64, ring_shapes: I64, ring_holes: Flags, needed: int) -> float:
    """Return the area that lies in at least `needed` of several shapes.

    Parameters
    ----------
    points : (m, 2) float64
        Vertices, ring after ring.
    ring_ends : (r,) int64
        Where each ring ends in `points`.
    ring_shapes : (r,) int64
        Which shape, from 0, a ring belongs to; ascending.
    ring_holes : (r,) bool
        A shape is the union of its rings that are no holes, without its holes. What is inside a ring that
        crosses itself is told by the even-odd rule.
    needed : int
        1: the union, 2 with two shapes: what they share.
    """
    sides, owners = _sides(points, ring_ends)
    n = sides.shape[0]
    if n == 0:
        return 0.0
    cuts = _cuts(sides)
    shapes = ring_shapes[ring_shapes.shape[0] - 1] + 1
    inside = np.zeros(ring_ends.shape[0], np.bool_)
    solid, void = np.zeros(shapes, np.int64), np.zeros(shapes, np.int64)
    active = np.empty(n, np.int64)
    ys = np.empty(n, np.float64)
    alive, following = 0, 0
    area = 0.0
    for k in range(cuts.shape[0] - 1):
        width = cuts[k + 1] - cuts[k]
        if width <= 0:
            continue
        x = cuts[k] + width / 2
        while following < n and sides[following, 0] <= x:
            active[alive] = following
            alive += 1
            following += 1
        alive = _cross(sides, x, active, ys, alive)
        covering, since = 0, 0.0
        for i in range(alive):
            ring = owners[active[i]]
            shape = ring_shapes[ring]
            change = cross_ring(ring, shape, ring_holes[ring], inside, solid, void)
            if change > 0 and covering == needed - 1:
                since = ys[i]
            if change < 0 and covering == needed:
                area += width * (ys[i] - since)
            covering += change
    return area


@kernel
def _cross(sides: F64, x: float, active: I64, ys: F64, alive: int) -> int:
    """Drop the sides that end before `x`, and sort the others by where they cross it; return how many."""
    kept = 0
    for i in range(alive):
        s = active[i]
        if sides[s, 2] > x:
            active[kept] = s
            t = (x - sides[s, 0]) / (sides[s, 2] - sides[s, 0])
            ys[kept] = sides[s, 1] + t * (sides[s, 3] - sides[s, 1])
            kept += 1
    for i in range(1, kept):  # nearly sorted from the strip before
        y, s, j = ys[i], active[i], i - 1
        while j >= 0 and ys[j] > y:
            ys[j + 1], active[j + 1] = ys[j], active[j]
            j -= 1
        ys[j + 1], active[j + 1] = y, s
    return kept


@kernel
def cross_ring(ring: int, shape: int, hole: bool, inside: Flags, solid: I64, void: I64) -> int:
    """Step across a side of a ring; return 1 if that leads into its shape, -1 if out of it, else 0.

    `inside` tells which rings one is in; `solid` and `void` count, for each shape, those that are no holes and
    those that are.
    """
    before = solid[shape] > 0 and void[shape] == 0
    step = -1 if inside[ring] else 1
    inside[ring] = not inside[ring]
    if hole:
        void[shape] += step
    else:
        solid[shape] += step
    after = solid[shape] > 0 and void[shape] == 0
    if before == after:
        return 0
    return 1 if after else -1


@kernel
def _sides(points: F64, ring_ends: I64) -> tuple[F64, I64]:
    """Return the sides that are not upright, left end first, sorted by it: x0, y0, x1, y1, and their rings."""
    found = np.empty((points.shape[0], 4), np.float64)
    rings = np.empty(points.shape[0], np.int64)
    n, start = 0, 0
    for r in range(ring_ends.shape[0]):
        end = ring_ends[r]
        for i in range(start, end):
            j = i + 1 if i + 1 < end else start
            if points[i, 0] == points[j, 0]:
                continue
            left, right = (i, j) if points[i, 0] < points[j, 0] else (j, i)
            found[n, 0], found[n, 1] = points[left, 0], points[left, 1]
            found[n, 2], found[n, 3] = points[right, 0], points[right, 1]
            rings[n] = r
            n += 1
        start = end
    order = np.argsort(found[:n, 0])
    sides, owners = np.empty((n, 4), np.float64), np.empty(n, np.int64)
    for i in range(n):
        sides[i] = found[order[i]]
        owners[i] = rings[order[i]]
    return sides, owners


@kernel
def _cuts(sides: F64) -> F64:
    """Return the borders of the strips: the x of all ends and crossings, or even steps if there are too many."""
    n = sides.shape[0]
    cuts = np.empty(4 * n + 64, np.float64)
    m, tests, crowd = 0, 0, 0
    for i in range(n):
        cuts[m], cuts[m + 1] = sides[i, 0], sides[i, 2]
        m += 2
    for i in range(n):
        ax, ay, bx, by = sides[i, 0], sides[i, 1], sides[i, 2], sides[i, 3]
        slope = (by - ay) / (bx - ax)
        top, bottom = min(ay, by), max(ay, by)
        for j in range(i + 1, n):
            cx, cy, dx, dy = sides[j, 0], sides[j, 1], sides[j, 2], sides[j, 3]
            if cx >= bx:
                break
            crowd += 1
            if min(cy, dy) >= bottom or max(cy, dy) <= top:
                continue
            tests += 1
            # Gaps between the two lines where both begin and where the first of them ends.
            start, end = cx, min(bx, dx)
            other = (dy - cy) / (dx - cx)
            g0 = cy - (ay + slope * (cx - ax))
            g1 = (cy + other * (end - cx)) - (ay + slope * (end - ax))
            if (g0 > 0 and g1 < 0) or (g0 < 0 and g1 > 0):
                if m == cuts.shape[0]:
                    grown = np.empty(2 * m, np.float64)
                    grown[:m] = cuts
                    cuts = grown
                cuts[m] = start + (end - start) * (g0 / (g0 - g1))
                m += 1
        # On average 2 * crowd / n sides live in a strip, and each strip walks through them.
        if crowd > MOST_TESTS or m * (1 + crowd // (i + 1)) > MOST_TESTS:
            low, high = sides[0, 0], sides[:, 2].max()
            strips = max(SAMPLES, min(m, MOST_TESTS // n))
            return np.linspace(low, high, strips + 1)
    return np.sort(cuts[:m])


# -- the smallest rectangle -----------------------------------------------------------------------


@kernel
def hull(points: F64) -> F64:
    """Return the corners of the convex hull, without those on its sides (Andrew's monotone chain, 1979)."""
    n = points.shape[0]
    by_y = np.argsort(points[:, 1], kind="mergesort")
    order = by_y[np.argsort(points[:, 0][by_y], kind="mergesort")]
    out = np.empty((2 * n + 2, 2), np.float64)
    k = 0
    for turn in range(2):
        floor = k + 1 if turn == 0 else k  # a chain may not eat the one before
        for step in range(n):
            i = order[step] if turn == 0 else order[n - 1 - step]
            x, y = points[i, 0], points[i, 1]
            while k > floor:
                dx, dy = out[k - 1, 0] - out[k - 2, 0], out[k - 1, 1] - out[k - 2, 1]
                if dx * (y - out[k - 2, 1]) - dy * (x - out[k - 2, 0]) > 0:
                    break
                k -= 1
            if k == 0 or x != out[k - 1, 0] or y != out[k - 1, 1]:
                out[k, 0], out[k, 1] = x, y
                k += 1
    if k > 1 and out[k - 1, 0] == out[0, 0] and out[k - 1, 1] == out[0, 1]:
        k -= 1
    return out[:k].copy()


@kernel
def upright_aspect(points: F64) -> float:
    """Return width / height of the smallest rectangle about points, turned as it likes; -1 if it has no area.

    The width is the side nearer to horizontal. Among rectangles of one area the most upright counts.
    Source: Toussaint, "Solving geometric problems with the rotating calipers", 1983.
    """
    ring = hull(points)
    n = ring.shape[0]
    if n < 3:
        return -1.0
    best, best_tilt, aspect = 1e300, 2.0, -1.0
    far, last, first = 0, 0, 0
    for i in range(n):
        e = (i + 1) % n
        ux, uy = ring[e, 0] - ring[i, 0], ring[e, 1] - ring[i, 1]
        norm = math.sqrt(ux * ux + uy * uy)
        ux, uy = ux / norm, uy / norm
        if i == 0:
            for j in range(1, n):
                if ux * (ring[j, 0] - ring[last, 0]) + uy * (ring[j, 1] - ring[last, 1]) > 0:
                    last = j
                if ux * (ring[j, 0] - ring[first, 0]) + uy * (ring[j, 1] - ring[first, 1]) < 0:
                    first = j
                if -uy * (ring[j, 0] - ring[far, 0]) + ux * (ring[j, 1] - ring[far, 1]) > 0:
                    far = j
        last = _advance(ring, last, ux, uy)
        far = _advance(ring, far, -uy, ux)
        first = _advance(ring, first, -ux, -uy)
        along = ux * (ring[last, 0] - ring[first, 0]) + uy * (ring[last, 1] - ring[first, 1])
        across = -uy * (ring[far, 0] - ring[i, 0]) + ux * (ring[far, 1] - ring[i, 1])
        if along <= 0 or across <= 0:
            continue
        size, tilt = along * across, min(abs(ux), abs(uy))
        if size < best * (1 - 1e-9) or (size <= best * (1 + 1e-9) and tilt < best_tilt):
            best, best_tilt = size, tilt
            aspect = along / across if abs(ux) >= abs(uy) else across / along
    return aspect


@kernel
def _advance(ring: F64, at: int, dx: float, dy: float) -> int:
    """Walk on along a hull as long as that leads further in a direction."""
    n = ring.shape[0]
    for _ in range(n):
        following = (at + 1) % n
        if dx * (ring[following, 0] - ring[at, 0]) + dy * (ring[following, 1] - ring[at, 1]) < 0:
            break
        at = following
    return at


@kernel
def measure_rings(
    points: F64, ring_starts: I64, holes: Flags, first: I64, end: I64, closed: Flags, bounds: F64, values: F64
) -> None:
    """Measure shapes of rings `first[i]` to `end[i]`: `bounds` x0, y0, x1, y1; `values` area, perimeter, aspect.

    Lines that are not `closed` have no area (-1) and no aspect (-1).
    """
    for i in range(first.shape[0]):
        start, stop = ring_starts[first[i]], ring_starts[end[i]]
        if stop <= start:
            continue
        bounds[i, 0], bounds[i, 1] = points[start, 0], points[start, 1]
        bounds[i, 2], bounds[i, 3] = points[start, 0], points[start, 1]
        for j in range(start, stop):
            bounds[i, 0], bounds[i, 1] = min(bounds[i, 0], points[j, 0]), min(bounds[i, 1], points[j, 1])
            bounds[i, 2], bounds[i, 3] = max(bounds[i, 2], points[j, 0]), max(bounds[i, 3], points[j, 1])
        length = 0.0
        for r in range(first[i], end[i]):
            low, high = ring_starts[r], ring_starts[r + 1]
            for j in range(low, high):
                if j + 1 < high or closed[i]:
                    k = j + 1 if j + 1 < high else low
                    length += math.hypot(points[k, 0] - points[j, 0], points[k, 1] - points[j, 1])
        values[i, 1] = length
        if not closed[i]:
            continue
        values[i, 0] = rings_area(points, ring_starts, holes, first[i], end[i])
        values[i, 2] = upright_aspect(points[start:stop])


@kernel
def rings_area(points: F64, ring_starts: I64, holes: Flags, first: int, end: int) -> float:
    """Return the area of one shape: the union of its rings without its holes."""
    start, stop = ring_starts[first], ring_starts[end]
    if end - first == 1 and not holes[first] and is_simple(points[start:stop]):
        return abs(ring_area(points[start:stop]))
    one = np.zeros(end - first, np.int64)
    return covered_area(points[start:stop], ring_starts[first + 1 : end + 1] - start, one, holes[first:end], 1)
