"""Area, perimeter, aspect ratio, closeness to the border and true bounds of labels of every kind.

Boxes are measured in one compiled loop over the columns, a third of the time of Polars expressions that say the
same; polygons and masks by the loops of `rotated.py` and `masks.py`. Numba loads when the first label is measured.

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
MOST_PX = 1e9
"""Coordinates beyond this are mistakes."""
BOUNDS = ("x0", "y0", "x1", "y1")
BOX_KINDS = ("box", "rotated_box", "keypoints")
MASK_KIND = "mask"

MOST_SIDE_PX = 2**20
"""Height or width of the largest mask that is measured."""

# What a row of `Shapes` is.
NOTHING, BOX, CONVEX, POLYGON, LINE, KEYPOINTS, MASK, POINT = range(8)
_FORMS = {
    "box": BOX,
    "rotated_box": BOX,
    "keypoints": KEYPOINTS,
    "polygon": POLYGON,
    "polyline": LINE,
    "point": POINT,
    MASK_KIND: MASK,
}

_BOX_COLUMNS: dict[str, Any] = {"kind": pl.String, **dict.fromkeys(("x", "y", "w", "h", "angle"), pl.Float64)}
_POINT_COLUMNS: dict[str, Any] = {
    "points": pl.List(pl.Float64),
    "rings": pl.List(pl.UInt32),
    "holes": pl.List(pl.UInt32),
}
_MASK_COLUMNS: dict[str, Any] = {"rle": pl.Binary, "mask_h": pl.Int32, "mask_w": pl.Int32}


class Shapes(NamedTuple):
    """Labels as arrays for compiled loops.

    Attributes
    ----------
    form : (n,) int8
        NOTHING, BOX (not turned), CONVEX (a turned box), POLYGON, LINE, POINT, KEYPOINTS (its box), MASK.
    bounds : (n, 4) float64
        x0, y0, x1, y1; zeros where there is nothing.
    measures : (n, 3) float64
        Area, perimeter and aspect ratio; -1 where there is none.
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
    measures: F64
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
        raise ShapeError(
            f"{len(sizes):,} sizes do not fit {len(labels):,} labels.", "Give the size of each label's image."
        )
    from . import rotated

    size = _select(sizes, {"width": pl.Float64, "height": pl.Float64}, "sizes")
    width, height = (_numbers(size[name]) for name in ("width", "height"))
    frame = _select(labels, _BOX_COLUMNS, "labels")
    values = np.empty((len(GEOMETRY_METRICS), len(labels)), np.float32)
    if _all_boxes(frame):
        gaps = rotated.box_metrics(_columns(frame), width, height, values)
    else:
        shapes = shapes_of(labels)
        gaps = rotated.shape_metrics(shapes.form, shapes.bounds, shapes.measures, width, height, values)
    series = (pl.Series(name, row) for name, row in zip(GEOMETRY_METRICS, values, strict=True))
    return pl.DataFrame([s.fill_nan(None) if gaps else s for s in series])


def true_bounds(labels: pl.DataFrame) -> pl.DataFrame:
    """Return `x0`, `y0`, `x1`, `y1` of labels of every kind in pixels, turned boxes by their corners.

    Returns
    -------
    pl.DataFrame
        A row a label, in order, Float64; null where there is no place.
    """
    shapes = shapes_of(labels)
    found = pl.DataFrame(shapes.bounds, schema=dict.fromkeys(BOUNDS, pl.Float64))
    return found.select(pl.when(pl.Series(shapes.form != NOTHING)).then(pl.all()))


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


def _numbers(column: pl.Series) -> F64:
    """Return a column as an array, nulls as NaN."""
    return np.ascontiguousarray(column.cast(pl.Float64).to_numpy())


def _columns(frame: pl.DataFrame) -> tuple[F64, F64, F64, F64, F64]:
    """Return x, y, w, h and angle; an empty array for no angles."""
    angle = frame["angle"]
    turned = np.empty(0) if angle.null_count() == len(angle) else _numbers(angle.fill_null(0.0))
    return (_numbers(frame["x"]), _numbers(frame["y"]), _numbers(frame["w"]), _numbers(frame["h"]), turned)


# -- shapes ---------------------------------------------------------------------------------------


def shapes_of(labels: pl.DataFrame) -> Shapes:
    """Return labels as arrays and measure them; rows without a usable shape are NOTHING."""
    from . import rotated

    frame = _select(labels, _BOX_COLUMNS, "labels")
    n = len(frame)
    if _all_boxes(frame) and not (frame["kind"] == "keypoints").any():
        form = np.full(n, BOX, np.int8)
    else:
        form = frame["kind"].replace_strict(_FORMS, default=NOTHING, return_dtype=pl.Int8).to_numpy().copy()
    none = np.zeros(n, np.int64)
    shapes = Shapes(
        form=form,
        bounds=np.zeros((n, 4)),
        measures=np.full((n, 3), -1.0),
        points=np.empty((0, 2)),
        ring_starts=np.zeros(1, np.int64),
        holes=np.zeros(0, np.bool_),
        ring_first=none,
        ring_end=none.copy(),
        runs=np.empty(0, np.uint32),
        run_first=none.copy(),
        run_end=none.copy(),
        heights=none.copy(),
    )
    columns = _columns(frame)
    rotated.measure_boxes(columns, form, shapes.bounds, shapes.measures)
    shapes = _with_rings(labels, shapes, columns)
    return _with_masks(labels, shapes)


def _with_rings(labels: pl.DataFrame, shapes: Shapes, box: tuple[F64, F64, F64, F64, F64]) -> Shapes:
    """Add the rings of turned boxes, polygons and lines."""
    from . import rotated

    form = shapes.form
    turned = np.flatnonzero(form == CONVEX)
    wanted = np.flatnonzero((form == POLYGON) | (form == LINE) | (form == POINT))
    if not len(turned) and not len(wanted):
        return shapes
    rows, points, ring_sizes, ring_counts, holes = _rings(_select(labels[wanted], _POINT_COLUMNS, "labels"))
    rows = wanted[rows]
    was = form[rows]
    form[wanted] = NOTHING
    form[rows] = was
    ring_ends = np.cumsum(ring_counts)
    ring_starts = np.concatenate([[0], np.cumsum(ring_sizes)]).astype(np.int64)
    first, end = shapes.ring_first, shapes.ring_end
    first[rows], end[rows] = ring_ends - ring_counts, ring_ends
    bounds, measures = np.zeros((len(rows), 4)), np.full((len(rows), 3), -1.0)
    rotated.measure_rings(points, ring_starts, holes, first[rows], end[rows], was == POLYGON, bounds, measures)
    measures[was == POINT] = -1.0
    shapes.bounds[rows], shapes.measures[rows] = bounds, measures
    corners = (
        rotated.corners_of_all(np.stack([column[turned] for column in box], axis=1)) if len(turned) else points[:0]
    )
    at = len(ring_starts) - 1 + np.arange(len(turned))
    first[turned], end[turned] = at, at + 1
    return shapes._replace(
        points=np.concatenate([points, corners]),
        ring_starts=np.concatenate([ring_starts, ring_starts[-1] + 4 * np.arange(1, len(turned) + 1)]),
        holes=np.concatenate([holes, np.zeros(len(turned), np.bool_)]),
    )


def _rings(part: pl.DataFrame) -> tuple[I64, F64, I64, I64, NDArray[np.bool_]]:
    """Return the rows with usable points, their points, the size of each ring, rings a row, and which are holes."""
    n_points = pl.col("points").list.len()
    part = (
        part.with_row_index("row")
        .filter(n_points > 0)
        .with_columns(
            rings=pl.when(pl.col("rings").list.len() > 0)
            .then("rings")
            .otherwise(pl.concat_list((n_points // 2).cast(pl.UInt32)))
        )
        .filter(
            n_points % 2 == 0,
            pl.col("rings").list.sum().cast(pl.Int64) * 2 == n_points,
            pl.col("rings").list.eval(pl.element().is_null()).list.any().not_(),
            pl.col("holes").list.max().is_null() | (pl.col("holes").list.max() < pl.col("rings").list.len()),
            # Polars sorts NaN above all numbers: it fails here as infinity does.
            pl.col("points").list.eval((pl.element().abs() <= MOST_PX).fill_null(value=False)).list.all(),
        )
    )
    counts = part["rings"].list.len().to_numpy().astype(np.int64)
    starts = np.cumsum(counts) - counts
    holes = np.zeros(int(counts.sum()), np.bool_)
    marked = part.select(pl.Series("at", starts, dtype=pl.Int64), "holes").explode("holes").drop_nulls()
    holes[marked["at"].to_numpy() + marked["holes"].to_numpy()] = True
    points = part["points"].explode().drop_nulls().to_numpy().astype(np.float64).reshape(-1, 2)
    sizes = part["rings"].explode().drop_nulls().to_numpy().astype(np.int64)
    return part["row"].to_numpy().astype(np.int64), np.ascontiguousarray(points), sizes, counts, holes


def _with_masks(labels: pl.DataFrame, shapes: Shapes) -> Shapes:
    """Add the runs of masks."""
    rows = np.flatnonzero(shapes.form == MASK)
    if not len(rows):
        return shapes
    from . import masks

    part = _select(labels[rows], _MASK_COLUMNS, "labels").with_columns(pl.col("mask_h", "mask_w").fill_null(-1))
    high, wide = part["mask_h"].to_numpy(), part["mask_w"].to_numpy()
    too_large = (high > MOST_SIDE_PX) | (wide > MOST_SIDE_PX)
    runs = masks.parse(part["rle"], np.where(too_large, -1, high), wide, strict=False)
    bounds, measures = masks.measure_masks(runs.counts, runs.starts, runs.heights)
    shapes.form[rows] = np.where((runs.faults == 0) & (measures[:, 0] > 0), MASK, NOTHING)
    shapes.bounds[rows], shapes.measures[rows] = bounds, measures
    shapes.run_first[rows], shapes.run_end[rows] = runs.starts[:-1], runs.starts[1:]
    shapes.heights[rows] = runs.heights
    return shapes._replace(runs=runs.counts)
