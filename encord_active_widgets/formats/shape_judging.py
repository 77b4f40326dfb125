"""Which shapes of labels can be used, and the box around those that bring none."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import EawError
from ..schema import KIND_BOX, KIND_KEYPOINTS, KIND_MASK, KIND_ROTATED_BOX, URI
from .geometry_columns import BOX_COLUMNS, LEAST_NUMBERS, MOST_PX, bounds_of_points
from .source import Fault

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bad = dict[int, tuple[str, str]]

_MOST_VISIBLE = 2


def judged(frame: pl.DataFrame, bad: Bad) -> pl.DataFrame:
    """List shapes that are none; fill in the box around points and masks where a row brings none.

    Parameters
    ----------
    frame : pl.DataFrame
        Columns of `schema.LABELS` with their types, `kind` of every row, and `row`, its number.
    bad : dict of int to (str, str)
        Gets why a row cannot be used, and what to do.
    """
    for name in BOX_COLUMNS:
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name))
    _judge_boxes(frame, bad)
    bounds = np.full((frame.height, len(BOX_COLUMNS)), np.nan)
    if "points" in frame.columns:
        bounds = _judge_points(frame, bad)
    if "rle" in frame.columns:
        _judge_masks(frame, bounds, bad)
    found = pl.DataFrame(bounds, schema=list(BOX_COLUMNS), orient="row").fill_nan(None)
    boxed = pl.all_horizontal(pl.col(BOX_COLUMNS).is_not_null())
    frame = frame.with_columns(pl.when(boxed).then(pl.col(c)).otherwise(found[c]).alias(c) for c in BOX_COLUMNS)
    for row in frame.filter(pl.col("kind") == KIND_KEYPOINTS, pl.col("x").is_null())["row"]:
        bad.setdefault(row, ("none of its points is labelled and it has no box", "give x, y, w, h or leave it out"))
    return frame


def _judge_boxes(frame: pl.DataFrame, bad: Bad) -> None:
    sides = frame.filter(pl.col("w").is_not_null(), pl.col("h").is_not_null()).select("row", "kind", "w", "h")
    whole = pl.col("kind").is_in([KIND_BOX, KIND_ROTATED_BOX])
    none = pl.when(whole).then((pl.col("w") <= 0) | (pl.col("h") <= 0)).otherwise((pl.col("w") < 0) | (pl.col("h") < 0))
    for row, _, w, h in sides.filter(none).iter_rows():
        bad.setdefault(row, (f"its box has no area (width {w:g}, height {h:g})", "draw the box again"))


def _judge_points(frame: pl.DataFrame, bad: Bad) -> F64:
    """List points that make no shape; return the box around the others, of poses around what is labelled."""
    column = frame["points"]
    sizes = column.list.len().fill_null(0).to_numpy().astype(np.int64)
    values = column.explode(empty_as_null=False, keep_nulls=False).to_numpy().astype(np.float64)
    owner = np.repeat(np.arange(frame.height), sizes)
    odd = (sizes % 2 == 1) | (np.bincount(owner[~(np.abs(values) <= MOST_PX)], minlength=frame.height) > 0)
    least = frame["kind"].replace_strict(LEAST_NUMBERS, default=0, return_dtype=pl.Int64).to_numpy()
    for row in np.flatnonzero(odd | (sizes < least)).tolist():
        bad.setdefault(row, ("its points are too few, an odd count, or not finite", "give x, y pairs in pixels"))
    _judge_parts(frame, sizes, bad)
    used = ~odd[owner]
    if "visibility" in frame.columns:
        used &= _labelled(frame, sizes)
    return bounds_of_points(values[used], np.bincount(owner[used], minlength=frame.height))


def _labelled(frame: pl.DataFrame, sizes: I64) -> NDArray[np.bool_]:
    """Tell of every coordinate whether it counts: those of points with visibility 0 stand anywhere."""
    seen = frame["visibility"]
    counts = seen.list.len().fill_null(0).to_numpy().astype(np.int64)
    poses = (frame["kind"] == KIND_KEYPOINTS).to_numpy() & (counts * 2 == sizes)
    of_points = seen.filter(pl.Series(poses)).explode(empty_as_null=False, keep_nulls=False)
    out = np.ones(int(sizes.sum()), np.bool_)
    out[np.repeat(poses, sizes)] = np.repeat(of_points.fill_null(1).to_numpy() > 0, 2)
    return out


def _judge_parts(frame: pl.DataFrame, sizes: I64, bad: Bad) -> None:
    """List rings, holes and visibilities that do not fit the points."""
    points = pl.Series(sizes // 2)
    parts = frame["rings"].list.len().fill_null(1) if "rings" in frame.columns else pl.repeat(1, len(sizes), eager=True)
    checks: list[tuple[str, pl.Series, str, str]] = []
    if "rings" in frame.columns:
        wrong = frame["rings"].list.sum().cast(pl.Int64) != points
        checks.append(("rings", wrong, "its rings do not fit its points", "give the number of vertices of each part"))
    if "visibility" in frame.columns:
        seen = frame["visibility"]
        wrong = seen.list.len().cast(pl.Int64) != points
        checks.append(("visibility", wrong, "its visibility does not fit its points", "give one number a point"))
        over = seen.list.max() > _MOST_VISIBLE
        checks.append(("visibility", over, "its visibility is not 0, 1 or 2", "0: not labelled, 1: hidden, 2: visible"))
    if "holes" in frame.columns:
        holes = frame["holes"]
        beyond = holes.list.max() >= parts
        checks.append(("holes", beyond, "its holes do not fit its points", "give places in rings, from 0"))
        every = (holes.list.n_unique() >= parts) & (holes.list.len() > 0)
        checks.append(("holes", every, "all of its parts are holes", "leave out of holes what is no hole"))
    for name, wrong, why, remedy in checks:
        for row in frame["row"].filter(wrong.fill_null(value=False) & frame[name].is_not_null()):
            bad.setdefault(row, (why, remedy))


def _judge_masks(frame: pl.DataFrame, bounds: F64, bad: Bad) -> None:
    """List masks that cannot be read or hold nothing; put the boxes around the others into `bounds`."""
    from ..metrics import masks

    rows = np.array([r for r in frame["row"].filter(frame["rle"].is_not_null()) if r not in bad], np.int64)
    if not rows.size:
        return
    remedy = "give COCO's counts, mask_h and mask_w"
    if "mask_h" not in frame.columns or "mask_w" not in frame.columns:
        for row in rows.tolist():
            bad.setdefault(row, ("its mask cannot be used: mask_h and mask_w are missing", remedy))
        return
    part = frame[rows].select("rle", pl.col("mask_h", "mask_w").fill_null(-1))
    high, wide = part["mask_h"].to_numpy(), part["mask_w"].to_numpy()
    runs = masks.parse(part["rle"], high, wide, strict=False)
    corners = masks.all_bounds(runs.counts, runs.starts, runs.heights)
    corners[:, 2:] -= corners[:, :2]
    for i in np.flatnonzero(runs.faults).tolist():
        try:
            masks.parse([part["rle"][i]], high[i], wide[i])
        except EawError as error:
            bad.setdefault(int(rows[i]), (f"its mask cannot be used: {error.message}", remedy))
    for row in rows[(runs.faults == 0) & (corners[:, 2] <= 0)].tolist():
        bad.setdefault(row, ("its mask is empty", "leave the object out, or draw it again"))
    fine = (runs.faults == 0) & (corners[:, 2] > 0)
    bounds[rows[fine]] = corners[fine]


def misfit_masks(labels: pl.DataFrame, sizes: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
    """Part the labels from masks that are not of their image's size.

    Parameters
    ----------
    labels : pl.DataFrame
        As a reader gives them, with `uri`.
    sizes : pl.DataFrame
        `uri`, `width` and `height` of images; where a size is not known, its masks stay.

    Returns
    -------
    labels : pl.DataFrame
        Without these masks.
    faults : list of Fault
        One a mask that was taken out.
    """
    if not {"mask_h", "mask_w"} <= set(labels.columns) or labels["mask_h"].null_count() == labels.height:
        return labels, []
    known = sizes.select(URI, pl.col("width").alias("_width"), pl.col("height").alias("_height")).unique(URI)
    both = labels.join(known, on=URI, how="left", maintain_order="left")
    same = (pl.col("mask_w") == pl.col("_width")) & (pl.col("mask_h") == pl.col("_height"))
    odd = both.select(((pl.col("kind") == KIND_MASK) & ~same).fill_null(value=False)).to_series()
    shown = [URI, "mask_w", "mask_h", "_width", "_height"]
    faults = [
        Fault(
            uri, "skipped", f"its mask has {mask_w} × {mask_h} px, the image {w} × {h}",
            "give masks of the size of their image",
        )
        for uri, mask_w, mask_h, w, h in both.filter(odd).select(shown).iter_rows()
    ]  # fmt: skip
    return labels.filter(~odd), faults
