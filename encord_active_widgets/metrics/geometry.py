"""Area, perimeter, aspect ratio, closeness to the border and true bounds of labels of every kind.

Boxes, turned or not, are measured in Polars expressions; polygons and masks by the compiled loops of `rotated.py`
and `masks.py`, which load only if there are such labels.

==============  ================================================================================================
kind            measured as
==============  ================================================================================================
box, rotated    its own sides; its bounds are those of the turned corners
keypoints       its box
polygon         union of its rings without its holes; where a ring crosses itself, the even-odd rule
mask            its pixels; the perimeter is the length of their outline in pixel sides
polyline        its length; no area, no aspect
point           its place alone
classification  nothing
==============  ================================================================================================

A label whose geometry cannot be used (not finite, negative sides, rings that do not fit the points, a mask whose
runs do not fit its size) has nulls, as has a label of an image of unknown size where the size counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, ShapeError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

GEOMETRY_METRICS = ("area", "relative_area", "aspect_ratio", "perimeter", "border_closeness")
BOUNDS = ("x0", "y0", "x1", "y1")
BOX_KINDS = ("box", "rotated_box", "keypoints")
POINT_KINDS = ("polygon", "polyline", "point")
MASK_KIND = "mask"

MOST_SIDE_PX = 2**20
"""Height or width of the largest mask that is measured."""
MOST_PX = 1e9
"""Coordinates beyond this are mistakes."""
LEAST_SIDE_PX = 1e-9
"""A box less high than this has no aspect."""
ROUNDING = 1e-9
"""Margins smaller than this share of the image are none."""

# What a row of `Shapes` is.
NOTHING, BOX, CONVEX, POLYGON, LINE, KEYPOINTS, MASK = range(7)

_BOX_COLUMNS: dict[str, Any] = {"kind": pl.String, **dict.fromkeys(("x", "y", "w", "h", "angle"), pl.Float64)}
_COLUMNS: dict[str, Any] = {
    **_BOX_COLUMNS,
    "points": pl.List(pl.Float64),
    "rings": pl.List(pl.UInt32),
    "holes": pl.List(pl.UInt32),
    "rle": pl.Binary,
    "mask_h": pl.Int32,
    "mask_w": pl.Int32,
}


class Shapes(NamedTuple):
    """Labels as arrays for compiled loops.

    Attributes
    ----------
    form : (n,) int8
        NOTHING, BOX (not turned), CONVEX (a turned box), POLYGON, LINE (polylines and points), KEYPOINTS
        (its box), MASK.
    bounds : (n, 4) float64
        x0, y0, x1, y1; zeros where there is nothing.
    area : (n,) float64
    points : (m, 2) float64
    ring_starts : (r + 1,) int64
    holes : (r,) bool
    ring_first, ring_end : (n,) int64
        Rings of each row.
    runs : (k,) uint32
    run_first, run_end : (n,) int64
        Run lengths of each row.
    heights : (n,) int64
        Of masks.
    """

    form: NDArray[np.int8]
    bounds: F64
    area: F64
    points: F64
    ring_starts: I64
    holes: NDArray[np.bool_]
    ring_first: I64
    ring_end: I64
    runs: NDArray[np.uint32]
    run_first: I64
    run_end: I64
    heights: I64


# -- metrics --------------------------------------------------------------------------------------


def geometry_metrics(labels: pl.DataFrame, sizes: pl.DataFrame) -> pl.DataFrame:
    """Measure labels: `area`, `relative_area`, `aspect_ratio`, `perimeter`, `border_closeness`, Float32.

    Parameters
    ----------
    labels : pl.DataFrame
        The labels frame; columns that are missing count as null.
    sizes : pl.DataFrame
        `width` and `height` of each label's image, row by row.

    Returns
    -------
    pl.DataFrame
        A row a label, in order; null where a metric has no meaning.

    Raises
    ------
    InputError, ShapeError
        A column has another type, or the frames do not fit together.

    Notes
    -----
    `border_closeness` is, on each axis, |left margin - right margin| / (left + right) of the true bounds within
    the image: 1 where the label touches or leaves the border, 0 in the centre. The larger axis counts.
    `aspect_ratio` of polygons and masks is that of the smallest rectangle about them, however turned; its width
    is the side nearer to horizontal.

    Examples
    --------
    >>> box = pl.DataFrame({"kind": ["box"], "x": [10.0], "y": [0.0], "w": [20.0], "h": [10.0]})
    >>> geometry_metrics(box, pl.DataFrame({"width": [100], "height": [50]})).row(0)
    (200.0, 0.03999999910593033, 2.0, 60.0, 1.0)
    """
    if len(sizes) != len(labels):
        raise ShapeError(f"{len(sizes):,} sizes do not fit {len(labels):,} labels.", "Give the size of each label's image.")
    size = _select(sizes, {"width": pl.Float64, "height": pl.Float64}, "sizes")
    frame, plain, turned = _boxes_and_measured(labels)
    found = frame.with_columns(size.get_columns()).lazy().with_columns(**_bounds(plain=plain, turned=turned))
    return found.select(**_metrics(plain=plain)).collect()


def true_bounds(labels: pl.DataFrame) -> pl.DataFrame:
    """Return `x0`, `y0`, `x1`, `y1` of labels of every kind in pixels, turned boxes by their corners.

    Returns
    -------
    pl.DataFrame
        A row a label, in order, Float64; null where there is no place.
    """
    frame, plain, turned = _boxes_and_measured(labels)
    return frame.lazy().select(**_bounds(plain=plain, turned=turned)).collect()


def _boxes_and_measured(labels: pl.DataFrame) -> tuple[pl.DataFrame, bool, bool]:
    """Return the columns to measure with, and whether all labels are boxes, and whether any is turned.

    Boxes that cannot be used have no sides: all else follows from them, null or not. Of other labels the
    columns `_x0` … `_aspect` say what compiled loops found.
    """
    frame = _select(labels, _BOX_COLUMNS, "labels")
    plain = _all_boxes(frame)
    turned = frame["angle"].null_count() < len(frame)
    x, y, w, h = (pl.col(name) for name in "xywh")
    # Polars sorts NaN above all numbers: it fails here as infinity does.
    usable = (w >= 0) & (h >= 0) & (w + h <= MOST_PX) & (x.abs() + y.abs() <= MOST_PX)
    if turned:
        usable &= pl.col("angle").fill_null(0.0).is_finite()
    if not plain:
        usable &= pl.col("kind").is_in(BOX_KINDS)
        frame = frame.with_columns(_measured(_select(labels, _COLUMNS, "labels")).get_columns())
    if not frame.select(usable.fill_null(value=False).all()).item():
        frame = frame.with_columns(pl.when(usable).then(pl.col("w", "h")))
    return frame, plain, turned


def _select(frame: pl.DataFrame, columns: dict[str, Any], what: str) -> pl.DataFrame:
    """Return the columns with their types; those that are missing as nulls."""
    try:
        return pl.DataFrame(
            {
                name: frame[name].cast(dtype)
                if name in frame.columns
                else pl.repeat(None, len(frame), dtype=dtype, eager=True)
                for name, dtype in columns.items()
            }
        )
    except pl.exceptions.PolarsError as error:
        raise InputError(f"The {what} have a column of the wrong type: {error}.", "Pass a labels frame.") from error


def _all_boxes(frame: pl.DataFrame) -> bool:
    kind = pl.col("kind")
    return all(frame.select(pl.any_horizontal(kind == k for k in BOX_KINDS).all(ignore_nulls=False)).row(0))


def _bounds(*, plain: bool, turned: bool) -> dict[str, pl.Expr]:
    x, y, w, h = (pl.col(name) for name in "xywh")
    if turned:
        angle = pl.col("angle").fill_null(0.0).radians()
        c, s = angle.cos().abs(), angle.sin().abs()
        wide, high = (w * c + h * s) / 2, (w * s + h * c) / 2
        cx, cy = x + w / 2, y + h / 2
        boxes = {"x0": cx - wide, "y0": cy - high, "x1": cx + wide, "y1": cy + high}
    else:
        boxes = {"x0": x + 0 * w, "y0": y + 0 * h, "x1": x + w, "y1": y + h}  # null where the sides are
    return boxes if plain else {name: pl.coalesce(e, f"_{name}") for name, e in boxes.items()}


def _metrics(*, plain: bool) -> dict[str, pl.Expr]:
    w, h, width, height = (pl.col(name) for name in ("w", "h", "width", "height"))
    area, perimeter, aspect = w * h, (w + h) * 2, pl.when((w > 0) & (h > LEAST_SIDE_PX)).then(w / h)
    if not plain:
        area, perimeter = pl.coalesce(area, "_area"), pl.coalesce(perimeter, "_perimeter")
        aspect = pl.coalesce(aspect, "_aspect")
    known = (width > 0) & (height > 0)
    across, down = _closeness("x0", "x1", width), _closeness("y0", "y1", height)
    found = {
        "area": area,
        "relative_area": pl.when(known).then(area / (width * height)),
        "aspect_ratio": aspect,
        "perimeter": perimeter,
        "border_closeness": pl.when(known).then(pl.when(across > down).then(across).otherwise(down)),
    }
    return {name: e.cast(pl.Float32) for name, e in found.items()}


def _closeness(low: str, high: str, size: pl.Expr) -> pl.Expr:
    before, after = pl.col(low).clip(0.0), (size - pl.col(high)).clip(0.0)
    both = before + after
    return pl.when(both <= ROUNDING * size).then(1.0).otherwise((before - after).abs() / both)


# -- shapes ---------------------------------------------------------------------------------------


def shapes_of(labels: pl.DataFrame) -> Shapes:
    """Return labels as arrays; rows without a usable shape are NOTHING."""
    frame = _select(labels, _COLUMNS, "labels")
    n = len(frame)
    box = frame.select("x", "y", "w", "h", angle=pl.col("angle").fill_null(0.0)).fill_null(np.nan).to_numpy()
    usable = frame.select((_usable() & pl.col("angle").fill_null(0.0).is_finite()).fill_null(value=False)).to_series().to_numpy()
    form = np.zeros(n, np.int8)
    plain = frame.select(pl.col("kind").is_in(BOX_KINDS[:2]).fill_null(value=False)).to_series().to_numpy()
    form[plain & usable] = BOX
    form[(frame["kind"] == "keypoints").fill_null(value=False).to_numpy() & usable] = KEYPOINTS
    bounds = np.zeros((n, 4))
    held = form > NOTHING
    bounds[held, :2] = box[held, :2]
    bounds[held, 2:] = box[held, :2] + box[held, 2:4]
    area = np.where(held, box[:, 2] * box[:, 3], 0.0)
    area[~np.isfinite(area)] = 0.0
    empty = _no_shapes(n)._replace(form=form, bounds=bounds, area=area)
    turned = np.flatnonzero(held & (box[:, 4] % 180.0 != 0.0))
    if not len(turned) and _all_boxes(frame):
        return empty
    return _with_masks(frame, _with_rings(frame, empty, box, turned))


def _with_rings(frame: pl.DataFrame, shapes: Shapes, box: F64, turned: I64) -> Shapes:
    """Add the rings of turned boxes, polygons and lines."""
    from . import rotated

    form, bounds, area = shapes.form, shapes.bounds, shapes.area
    rows, points, ring_sizes, ring_counts, holes = _rings(frame)
    kinds = frame["kind"].gather(rows)
    closed = (kinds == "polygon").to_numpy()
    form[rows] = np.where(closed, POLYGON, LINE)
    form[turned] = np.where(form[turned] == BOX, CONVEX, form[turned])
    ring_ends = np.cumsum(ring_counts)
    ring_starts = np.concatenate([[0], np.cumsum(ring_sizes)]).astype(np.int64)
    first, end = shapes.ring_first, shapes.ring_end
    first[rows], end[rows] = ring_ends - ring_counts, ring_ends
    found, values = np.zeros((len(rows), 4)), np.full((len(rows), 3), -1.0)
    if len(rows):
        rotated.measure_rings(points, ring_starts, holes, first[rows], end[rows], closed, found, values)
    bounds[rows], area[rows] = found, np.maximum(values[:, 0], 0.0)
    corners = rotated.corners_of_all(box[turned])
    at = len(ring_starts) - 1
    first[turned], end[turned] = np.arange(at, at + len(turned)), np.arange(at + 1, at + 1 + len(turned))
    quads = corners.reshape(-1, 4, 2)
    bounds[turned, :2], bounds[turned, 2:] = quads.min(axis=1), quads.max(axis=1)
    return shapes._replace(
        points=np.concatenate([points, corners]),
        ring_starts=np.concatenate([ring_starts, ring_starts[-1] + 4 * np.arange(1, len(turned) + 1)]),
        holes=np.concatenate([holes, np.zeros(len(turned), np.bool_)]),
    )


def _with_masks(frame: pl.DataFrame, shapes: Shapes) -> Shapes:
    """Add the runs of masks."""
    rows = frame.select(pl.arg_where((pl.col("kind") == MASK_KIND) & pl.col("rle").is_not_null())).to_series().to_numpy()
    if not len(rows):
        return shapes
    from . import masks

    part = frame.select("rle", pl.col("mask_h", "mask_w").fill_null(-1))[rows]
    high, wide = part["mask_h"].to_numpy(), part["mask_w"].to_numpy()
    too_large = (high > MOST_SIDE_PX) | (wide > MOST_SIDE_PX)
    runs = masks.parse(part["rle"], np.where(too_large, -1, high), wide, strict=False)
    inside = masks.areas(runs.counts, runs.starts)
    good = (runs.faults == 0) & (inside > 0)
    shapes.form[rows] = np.where(good, MASK, NOTHING)
    shapes.bounds[rows], shapes.area[rows] = masks.all_bounds(runs.counts, runs.starts, runs.heights), inside
    shapes.run_first[rows], shapes.run_end[rows] = runs.starts[:-1], runs.starts[1:]
    shapes.heights[rows] = runs.heights
    return shapes._replace(runs=runs.counts)


def _rings(frame: pl.DataFrame) -> tuple[I64, F64, I64, I64, NDArray[np.bool_]]:
    """Return the rows with usable points, their points, the size of each ring, rings a row, and which are holes."""
    part = (
        frame.with_row_index("row")
        .filter(pl.col("kind").is_in(POINT_KINDS), pl.col("points").list.len() > 0)
        .select("row", "points", "rings", "holes")
        .with_columns(
            rings=pl.when(pl.col("rings").list.len() > 0)
            .then("rings")
            .otherwise(pl.concat_list((pl.col("points").list.len() // 2).cast(pl.UInt32)))
        )
        .filter(
            pl.col("points").list.len() % 2 == 0,
            pl.col("rings").list.sum() * 2 == pl.col("points").list.len(),
            pl.col("holes").list.max().is_null() | (pl.col("holes").list.max() < pl.col("rings").list.len()),
            pl.col("points").list.eval(pl.element().is_finite().fill_null(value=False)).list.all(),
        )
    )
    counts = part["rings"].list.len().to_numpy().astype(np.int64)
    starts = np.cumsum(counts) - counts
    holes = np.zeros(int(counts.sum()), np.bool_)
    marked = part.select(pl.Series("at", starts), "holes").explode("holes").drop_nulls()
    holes[marked["at"].to_numpy() + marked["holes"].to_numpy()] = True
    points = part["points"].explode().drop_nulls().to_numpy().astype(np.float64).reshape(-1, 2)
    sizes = part["rings"].explode().drop_nulls().to_numpy().astype(np.int64)
    return part["row"].to_numpy().astype(np.int64), np.ascontiguousarray(points), sizes, counts, holes


def _measured(frame: pl.DataFrame) -> pl.DataFrame:
    """Measure polygons, lines, points and masks; null for all other rows."""
    from . import masks, rotated

    n = len(frame)
    values = np.full((n, 7), np.nan)
    rows, points, sizes, counts, holes = _rings(frame)
    if len(rows):
        kinds = frame["kind"].gather(rows)
        starts, ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), np.cumsum(counts)
        bounds, found = np.zeros((len(rows), 4)), np.full((len(rows), 3), -1.0)
        closed = (kinds == "polygon").to_numpy()
        rotated.measure_rings(points, starts, holes, ends - counts, ends, closed, bounds, found)
        found[found < 0] = np.nan
        found[(kinds == "point").to_numpy(), 1] = np.nan
        values[rows] = np.hstack([bounds, found])
    held = _with_masks(frame, _no_shapes(n))
    rows = np.flatnonzero(held.form == MASK)
    if len(rows):
        lengths, aspects = masks.outlines(held.runs, held.run_first[rows], held.run_end[rows], held.heights[rows])
        values[rows] = np.column_stack([held.bounds[rows], held.area[rows], lengths, aspects])
    names = [f"_{name}" for name in (*BOUNDS, "area", "perimeter", "aspect")]
    return pl.DataFrame(values, schema=dict.fromkeys(names, pl.Float64)).fill_nan(None)


def _no_shapes(n: int) -> Shapes:
    def none() -> I64:
        return np.zeros(n, np.int64)

    return Shapes(
        np.zeros(n, np.int8), np.zeros((n, 4)), np.zeros(n), np.empty((0, 2)), np.zeros(1, np.int64),
        np.zeros(0, np.bool_), none(), none(), np.empty(0, np.uint32), none(), none(), none(),
    )  # fmt: skip
