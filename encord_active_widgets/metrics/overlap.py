"""How labels of one image overlap: highest IoU, near duplicates, and the share of the image they cover.

==================================  ============================================================================
pair                                area in common
==================================  ============================================================================
box, box                            exact, from their sides
turned boxes, box                   exact, by convex clipping
polygon, any of these               exact, by strips between all vertices and crossings (`rotated.covered_area`)
mask, mask                          exact, from their runs
mask, anything else                 pixels whose centre lies in both, column by column
keypoints, keypoints                that of their boxes
==================================  ============================================================================

Keypoints overlap keypoints only: a pose on top of the box of the same person is no duplicate. Points, lines and
classifications overlap nothing.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError
from ..images._numba import kernel
from . import masks, rotated
from .geometry import BOX, CONVEX, KEYPOINTS, LINE, MASK, NOTHING, POINT, POLYGON, Shapes, shapes_of

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

DUPLICATE_IOU = 0.8
"""IoU from which two labels of one class are duplicates.

A box drawn again, off by a tenth of its width, has 0.82. Among the 4,888 boxes of BCCD, whose cells touch and lie
on each other, 8 pairs of one class reach 0.6, and those 8 reach 0.8, too; at 0.5 there are five more, at 0.95 none.
"""

ROUNDING = 1e-9
"""An IoU this little below the threshold reaches it."""
ALONE = -1
SORT_FROM = 24
"""Labels in an image from which sorting them by place is cheaper than comparing all."""


def box_iou(a: ArrayLike, b: ArrayLike) -> F64:
    """Return the IoU of the i-th box of `a` and of `b`: x, y, w, h, (n, 4); 0 where both have no area.

    Examples
    --------
    >>> box_iou([[0, 0, 2, 1]], [[1, 0, 2, 1]]).round(3).tolist()
    [0.333]
    """
    first, second = _boxes(a, 4), _boxes(b, 4)
    return rotated.rotated_iou(*(np.hstack([box, np.zeros((len(box), 1))]) for box in _paired(first, second)))


def rotated_iou(a: ArrayLike, b: ArrayLike) -> F64:
    """Return the IoU of the i-th turned box of `a` and of `b`: x, y, w, h, degrees clockwise, (n, 5)."""
    return rotated.rotated_iou(*_paired(_boxes(a, 5), _boxes(b, 5)))


def _boxes(boxes: ArrayLike, columns: int) -> F64:
    array = np.ascontiguousarray(boxes, np.float64)
    if array.ndim != 2 or array.shape[1] != columns:
        raise ShapeError(f"Boxes of shape {array.shape} have not {columns} columns.", "Pass one box a row.")
    if not np.isfinite(array).all() or (array[:, 2:4] < 0).any():
        raise InputError("Boxes have numbers that are not finite, or negative sides.", "Leave such boxes out.")
    return array


def _paired(a: F64, b: F64) -> tuple[F64, F64]:
    if len(a) != len(b):
        raise ShapeError(f"{len(a):,} boxes cannot be paired with {len(b):,}.", "Pass the same number twice.")
    return a, b


# -- labels ---------------------------------------------------------------------------------------


def label_overlaps(labels: pl.DataFrame, threshold: float = DUPLICATE_IOU) -> pl.DataFrame:
    """Find, for each label, the highest IoU with another label of its image, and near duplicates.

    Parameters
    ----------
    labels : pl.DataFrame
        The labels frame with `item` (UInt32, code of the image). Classes are told by `class_code` (integers) where
        it exists, else by `class_name`; a label without a class is of its own class.
    threshold : float
        IoU from which labels of one class are duplicates.

    Returns
    -------
    pl.DataFrame
        A row a label, in order: `max_iou_same_class` and `max_iou_other_class` (Float32; 0 if alone, null for
        labels that cover nothing), `duplicate_group` (Int64, from 0 in order of appearance; null if alone). Groups
        are connected: a chain of duplicates is one.

    Raises
    ------
    InputError
        The threshold is not in (0, 1], or `item` is missing.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"A threshold of {threshold} is no IoU.", "Pass a number above 0, at most 1.")
    if "item" not in labels.columns or labels["item"].null_count():
        raise InputError("The labels do not say of which item they are.", 'Add a column "item" of integer codes.')
    shapes, classes = shapes_of(labels), _classes(labels)
    order, starts = _by_item(labels["item"].to_numpy())
    n = len(labels)
    same, other = np.zeros(n, np.float32), np.zeros(n, np.float32)
    parents = np.arange(n)
    _overlaps(shapes, order, starts, classes, float(threshold), same, other, parents)
    covers = pl.Series((shapes.form != NOTHING) & (shapes.form != LINE) & (shapes.form != POINT))
    groups = pl.Series("duplicate_group", _groups(parents))
    found = pl.DataFrame({"max_iou_same_class": same, "max_iou_other_class": other})
    if not covers.all():
        found = found.select(pl.when(covers).then(pl.all()))
    return found.with_columns(pl.when(groups != ALONE).then(groups).alias("duplicate_group"))


def object_density(labels: pl.DataFrame, sizes: pl.DataFrame, item: ArrayLike | pl.Series) -> pl.Series:
    """Return the share of each image that its labels cover together, overlaps once.

    Parameters
    ----------
    labels : pl.DataFrame
        The labels frame.
    sizes : pl.DataFrame
        `width` and `height` of each item.
    item : (n,) integers
        Row of `sizes` that each label is of.

    Returns
    -------
    pl.Series
        `object_density`, Float32, a value an item: 0 without labels that cover anything, null where the size is
        unknown. Exact for boxes, turned boxes and polygons; images with masks are counted in pixels whose centre is
        covered.

    Raises
    ------
    InputError, ShapeError
        A label is of no item.
    """
    codes = np.ascontiguousarray(item.to_numpy() if isinstance(item, pl.Series) else item)
    if len(codes) != len(labels):
        raise ShapeError(f"{len(codes):,} items do not fit {len(labels):,} labels.", "Give the item of each label.")
    n = len(sizes)
    if len(codes) and (codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= n):
        raise InputError("Some labels are of an item that has no size.", "Give a size for each item.")
    frame = sizes.select(pl.col("width", "height").cast(pl.Float64).fill_null(-1.0).fill_nan(-1.0))
    extent = np.ascontiguousarray(frame.to_numpy())
    order, starts = _by_item(codes)
    covered = np.zeros(n)
    _densities(shapes_of(labels), order, starts, codes.astype(np.int64), extent, covered)
    share = pl.Series("object_density", covered.astype(np.float32))
    return share.to_frame().select(pl.when(pl.Series((extent > 0).all(axis=1))).then("object_density")).to_series()


def _classes(labels: pl.DataFrame) -> I64:
    """Return a code a class; labels without one get codes of their own, below 0."""
    if "class_code" in labels.columns:
        codes = labels["class_code"].cast(pl.Int64)
    elif "class_name" in labels.columns:
        codes = labels["class_name"].cast(pl.Categorical).to_physical().cast(pl.Int64)
    else:
        codes = pl.repeat(None, len(labels), dtype=pl.Int64, eager=True)
    if codes.null_count():
        own = -1 - pl.int_range(len(labels), dtype=pl.Int64, eager=True)
        codes = codes.zip_with(codes.is_not_null(), own)
    return np.ascontiguousarray(codes.to_numpy())


def _by_item(codes: NDArray[np.integer]) -> tuple[I64, I64]:
    """Return the rows sorted by item, and where each item starts among them (with the end)."""
    n = len(codes)
    ordered = bool((codes[1:] >= codes[:-1]).all())
    order = np.arange(n) if ordered else np.argsort(codes, kind="stable")
    sorted_codes = codes if ordered else codes[order]
    starts = np.flatnonzero(sorted_codes[1:] != sorted_codes[:-1]) + 1
    return order, np.concatenate([[0], starts, [n]]).astype(np.int64) if n else np.zeros(1, np.int64)


def _groups(parents: I64) -> I64:
    """Give numbers to the trees that have at least two members, by their first rows."""
    roots = parents
    while True:
        above = roots[roots]
        if (above == roots).all():
            break
        roots = above
    sizes = np.bincount(roots, minlength=len(roots))
    number = np.full(len(roots), ALONE, np.int64)
    several = np.flatnonzero(sizes > 1)  # a root is its tree's first row
    number[several] = np.arange(len(several))
    groups: I64 = number[roots]
    return groups


# -- compiled -------------------------------------------------------------------------------------


@kernel
def _overlaps(
    s: Shapes, order: I64, starts: I64, classes: I64, threshold: float, same: F32, other: F32, parents: I64
) -> None:
    for g in range(starts.shape[0] - 1):
        low, n = starts[g], starts[g + 1] - starts[g]
        rows = order[low : low + n]
        if n >= SORT_FROM:
            rows = rows[np.argsort(s.bounds[:, 0][rows])]
        for p in range(n):
            i = rows[p]
            x0, y0, x1, y1 = s.bounds[i, 0], s.bounds[i, 1], s.bounds[i, 2], s.bounds[i, 3]
            area, form = s.measures[i, 0], s.form[i]
            upright = _upright(form)
            for q in range(p + 1, n):
                j = rows[q]
                if n >= SORT_FROM and s.bounds[j, 0] >= x1:
                    break
                wide = min(x1, s.bounds[j, 2]) - max(x0, s.bounds[j, 0])
                high = min(y1, s.bounds[j, 3]) - max(y0, s.bounds[j, 1])
                if wide <= 0 or high <= 0 or area <= 0 or s.measures[j, 0] <= 0:
                    continue
                if (form == KEYPOINTS) != (s.form[j] == KEYPOINTS):
                    continue
                alike = classes[i] == classes[j]
                best = same if alike else other
                both = wide * high
                if not (upright and _upright(s.form[j])):
                    # What the bounds share is a limit: often no more need be known.
                    most = min(both, area, s.measures[j, 0])
                    limit = most / (area + s.measures[j, 0] - most)
                    if limit <= min(best[i], best[j]) and not (alike and limit >= threshold):
                        continue
                    both = min(_common_area(s, i, j), area, s.measures[j, 0])
                share = min(both / (area + s.measures[j, 0] - both), 1.0)
                best[i], best[j] = max(best[i], np.float32(share)), max(best[j], np.float32(share))
                if alike and share >= threshold - ROUNDING:
                    _join(parents, i, j)


@kernel
def _upright(form: int) -> bool:
    return form in (BOX, KEYPOINTS)


@kernel
def _join(parents: I64, a: int, b: int) -> None:
    """Join two trees; the earlier root becomes the root of both."""
    while parents[a] != a:
        parents[a] = parents[parents[a]]
        a = parents[a]
    while parents[b] != b:
        parents[b] = parents[parents[b]]
        b = parents[b]
    if a < b:
        parents[b] = a
    else:
        parents[a] = b


@kernel
def _common_area(s: Shapes, i: int, j: int) -> float:
    a, b = s.form[i], s.form[j]
    if a == MASK and b == MASK and s.heights[i] == s.heights[j]:
        return masks.common_pixels(s.runs[s.run_first[i] : s.run_end[i]], s.runs[s.run_first[j] : s.run_end[j]], 0)
    rows = np.array([i, j])
    if MASK in (a, b):
        x0, x1 = max(s.bounds[i, 0], s.bounds[j, 0]), min(s.bounds[i, 2], s.bounds[j, 2])
        y0, y1 = max(s.bounds[i, 1], s.bounds[j, 1]), min(s.bounds[i, 3], s.bounds[j, 3])
        return _pixels(s, rows, 2, x0, y0, x1, y1)
    points, ends, shapes, holes = _rings_of(s, rows)
    if POLYGON not in (a, b):
        return rotated.convex_overlap(points[: ends[0]], points[ends[0] :])
    return rotated.covered_area(points, ends, shapes, holes, 2)


@kernel
def _rings_of(s: Shapes, rows: I64) -> tuple[F64, I64, I64, NDArray[np.bool_]]:
    """Return the rings of several shapes (boxes as rings, masks without any) as `rotated.covered_area` takes them."""
    n_points, n_rings = 0, 0
    for i in rows:
        if _upright(s.form[i]):
            n_points, n_rings = n_points + 4, n_rings + 1
        elif s.form[i] == CONVEX or s.form[i] == POLYGON:
            n_points += s.ring_starts[s.ring_end[i]] - s.ring_starts[s.ring_first[i]]
            n_rings += s.ring_end[i] - s.ring_first[i]
    points = np.empty((n_points, 2), np.float64)
    ends, shapes = np.empty(n_rings, np.int64), np.empty(n_rings, np.int64)
    holes = np.zeros(n_rings, np.bool_)
    at, r = 0, 0
    for k in range(rows.shape[0]):
        i = rows[k]
        if _upright(s.form[i]):
            _box_ring(s.bounds[i, 0], s.bounds[i, 1], s.bounds[i, 2], s.bounds[i, 3], points[at : at + 4])
            at += 4
            ends[r], shapes[r] = at, k
            r += 1
        elif s.form[i] == CONVEX or s.form[i] == POLYGON:
            for ring in range(s.ring_first[i], s.ring_end[i]):
                size = s.ring_starts[ring + 1] - s.ring_starts[ring]
                points[at : at + size] = s.points[s.ring_starts[ring] : s.ring_starts[ring + 1]]
                at += size
                ends[r], shapes[r], holes[r] = at, k, s.holes[ring]
                r += 1
    return points, ends, shapes, holes


@kernel
def _box_ring(x0: float, y0: float, x1: float, y1: float, out: F64) -> None:
    out[0, 0], out[0, 1] = x0, y0
    out[1, 0], out[1, 1] = x1, y0
    out[2, 0], out[2, 1] = x1, y1
    out[3, 0], out[3, 1] = x0, y1


@kernel
def _pixels(s: Shapes, rows: I64, needed: int, x0: float, y0: float, x1: float, y1: float) -> float:
    """Return the pixels of a window whose centre lies in at least `needed` of several shapes."""
    points, ends, owners, holes = _rings_of(s, rows)
    at_run, at_pixel = s.run_first[rows], np.zeros(rows.shape[0], np.int64)
    # A mask has at most a start and an end a run in a column; rings cross it at most once a side.
    most = 2 * points.shape[0]
    for i in rows:
        if s.form[i] == MASK:
            most += 2 * min(s.run_end[i] - s.run_first[i] + 1, s.heights[i] + 2)
    ys, what = np.empty(most + 4, np.float64), np.empty(most + 4, np.int64)
    inside = np.zeros(ends.shape[0], np.bool_)
    solid, void = np.zeros(rows.shape[0], np.int64), np.zeros(rows.shape[0], np.int64)
    total = 0.0
    first_row, end_row = np.ceil(y0 - 0.5), np.ceil(y1 - 0.5)
    for column in range(int(np.ceil(x0 - 0.5)), int(np.ceil(x1 - 0.5))):
        n = _crossings(points, ends, column + 0.5, ys, what)
        n = _mask_ends(s, rows, column, at_run, at_pixel, ys, what, n)
        turn = np.argsort(ys[:n])
        covering, since = 0, 0.0
        inside[:] = False
        solid[:] = 0
        void[:] = 0
        for t in turn:
            y = min(max(ys[t], first_row), end_row)
            ring = what[t]
            if ring >= 0:
                change = rotated.cross_ring(ring, owners[ring], holes[ring], inside, solid, void)
            else:  # -1 - 2k: the k-th shape, a mask, begins; -2 - 2k: it ends
                shape = (-1 - ring) // 2
                step = 1 if (-1 - ring) % 2 == 0 else -1
                change = step if max(solid[shape], solid[shape] + step) == 1 else 0
                solid[shape] += step
            if change > 0 and covering == needed - 1:
                since = y
            if change < 0 and covering == needed:
                total += y - since
            covering += change
    return total


@kernel
def _crossings(points: F64, ends: I64, x: float, ys: F64, what: I64) -> int:
    """Write the pixel rows at which rings are crossed at `x`, from above, and the rings; return how many."""
    n, start = 0, 0
    for r in range(ends.shape[0]):
        for i in range(start, ends[r]):
            j = i + 1 if i + 1 < ends[r] else start
            if (points[i, 0] <= x) != (points[j, 0] <= x):
                t = (x - points[i, 0]) / (points[j, 0] - points[i, 0])
                ys[n] = np.ceil(points[i, 1] + t * (points[j, 1] - points[i, 1]) - 0.5)
                what[n] = r
                n += 1
        start = ends[r]
    return n


@kernel
def _mask_ends(s: Shapes, rows: I64, column: int, at_run: I64, at_pixel: I64, ys: F64, what: I64, n: int) -> int:
    """Add the first and last rows of the runs of masks in a column; columns must ascend."""
    for k in range(rows.shape[0]):
        i = rows[k]
        if s.form[i] != MASK:
            continue
        top, bottom = column * s.heights[i], (column + 1) * s.heights[i]
        while at_run[k] < s.run_end[i]:
            end = at_pixel[k] + np.int64(s.runs[at_run[k]])
            low, high = max(at_pixel[k], top), min(end, bottom)
            if low < high and (at_run[k] - s.run_first[i]) % 2 == 1:
                ys[n], ys[n + 1] = low - top, high - top
                what[n], what[n + 1] = -1 - 2 * k, -2 - 2 * k
                n += 2
            if end > bottom:
                break
            at_pixel[k] = end
            at_run[k] += 1
    return n


@kernel
def _densities(s: Shapes, order: I64, starts: I64, items: I64, sizes: F64, out: F64) -> None:
    for g in range(starts.shape[0] - 1):
        rows = order[starts[g] : starts[g + 1]]
        item = items[rows[0]]
        width, height = sizes[item, 0], sizes[item, 1]
        if width > 0 and height > 0:
            out[item] = min(_covered(s, rows, width, height) / (width * height), 1.0)


@kernel
def _covered(s: Shapes, rows: I64, width: float, height: float) -> Any:
    """Return the area of an image that shapes cover."""
    kept = np.empty(rows.shape[0], np.int64)
    n = 0
    upright, raster, within = True, False, True
    x0, y0, x1, y1 = width, height, 0.0, 0.0
    for i in rows:
        left, top = max(s.bounds[i, 0], 0.0), max(s.bounds[i, 1], 0.0)
        right, bottom = min(s.bounds[i, 2], width), min(s.bounds[i, 3], height)
        if s.measures[i, 0] <= 0 or left >= right or top >= bottom:
            continue
        kept[n] = i
        n += 1
        x0, y0, x1, y1 = min(x0, left), min(y0, top), max(x1, right), max(y1, bottom)
        upright = upright and _upright(s.form[i])
        raster = raster or s.form[i] == MASK
        within = within and left == s.bounds[i, 0] and top == s.bounds[i, 1]
        within = within and right == s.bounds[i, 2] and bottom == s.bounds[i, 3]
    if n == 0:
        return 0.0
    kept = kept[:n]
    if upright:
        return _boxes_union(s.bounds, kept, width, height)
    if raster:
        return _pixels(s, kept, 1, x0, y0, x1, y1)
    points, ends, shapes, holes = _rings_of(s, kept)
    area = rotated.covered_area(points, ends, shapes, holes, 1)
    if within:
        return area
    # What lies beyond the image is what the image adds less than itself.
    framed = np.empty((points.shape[0] + 4, 2), np.float64)
    framed[:-4] = points
    _box_ring(0.0, 0.0, width, height, framed[points.shape[0] :])
    ends, shapes = np.append(ends, framed.shape[0]), np.append(shapes, n)
    holes = np.append(holes, np.zeros(1, np.bool_))
    return area + width * height - rotated.covered_area(framed, ends, shapes, holes, 1)


@kernel
def _boxes_union(bounds: F64, rows: I64, width: float, height: float) -> Any:
    """Return the area of boxes together within the image: strips between all left and right sides."""
    n = rows.shape[0]
    cuts = np.empty(2 * n, np.float64)
    boxes = np.empty((n, 4), np.float64)
    tops = np.empty(n, np.float64)
    for k in range(n):
        tops[k] = bounds[rows[k], 1]
    by_top = np.argsort(tops)
    for k in range(n):
        i = rows[by_top[k]]
        boxes[k, 0], boxes[k, 1] = max(bounds[i, 0], 0.0), max(bounds[i, 1], 0.0)
        boxes[k, 2], boxes[k, 3] = min(bounds[i, 2], width), min(bounds[i, 3], height)
        cuts[2 * k], cuts[2 * k + 1] = boxes[k, 0], boxes[k, 2]
    if n == 1:
        return (boxes[0, 2] - boxes[0, 0]) * (boxes[0, 3] - boxes[0, 1])
    cuts.sort()
    area = 0.0
    for c in range(2 * n - 1):
        wide = cuts[c + 1] - cuts[c]
        if wide <= 0:
            continue
        length, reached = 0.0, 0.0
        for k in range(n):
            if boxes[k, 0] <= cuts[c] and boxes[k, 2] >= cuts[c + 1]:
                length += max(boxes[k, 3] - max(boxes[k, 1], reached), 0.0)
                reached = max(reached, boxes[k, 3])
        area += wide * length
    return area
