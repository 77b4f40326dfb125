"""The boxes of predictions: what their numbers mean, and whether they and masks lie on their image."""

from __future__ import annotations

import polars as pl

from ..errors import InputError
from ..schema import KIND_BOX, KIND_MASK, KIND_ROTATED_BOX, URI
from .frame import BOX_COLUMNS
from .run import Context, Skipped

BOX_FORMATS = ("xywh", "xyxy", "cxcywh", "xywhn", "xyxyn", "cxcywhn")
MOST_SHARE = 1.5
"""Above, a number is no share of an image: boxes may reach a little beyond it."""
_MOST = 0.5
_ALMOST_ALL = 0.95
_SOME = 0.2
_SLACK = 1.02
_LEAST_BOXES = 5
_FEWEST_BOXES = 3
"""So few are judged only where all of them say the same."""
_LEAST_SIDE_PX = 16


def as_pixels(frame: pl.DataFrame, context: Context, name: str, box_format: str) -> pl.DataFrame:
    """Bring boxes to x, y, w, h in pixels.

    Raises
    ------
    InputError
        They are plainly written in another way than `box_format` says.
    """
    sized = frame.join(_sizes(context), on=URI, how="left", maintain_order="left")
    finite = pl.all_horizontal(pl.col(BOX_COLUMNS).is_finite().fill_null(value=False))
    others = [pl.col(c).is_null() for c in ("points", "rle", "mask") if c in frame.columns]
    boxes = sized.filter(finite, *others)
    boxes = boxes.select(*BOX_COLUMNS, "_w", "_h")
    base, shares = box_format.removesuffix("n"), box_format.endswith("n")
    _check_units(boxes, name, box_format)
    if base == "xyxy":
        _check_corners(boxes, name, "xywhn" if shares else "xywh")
    elif box_format == "xywh":
        _check_reach(boxes, name)
    if shares:
        if sized["_w"].null_count():
            raise InputError(
                "The size of some images is not known, so shares cannot become pixels.", "Call p.compute() first."
            )
        sized = sized.with_columns(pl.col("x", "w") * pl.col("_w"), pl.col("y", "h") * pl.col("_h"))
    if base == "xyxy":
        sized = sized.with_columns(pl.col("w") - pl.col("x"), pl.col("h") - pl.col("y"))
    elif base == "cxcywh":
        sized = sized.with_columns(pl.col("x") - pl.col("w") / 2, pl.col("y") - pl.col("h") / 2)
    return sized.drop("_w", "_h")


def _sizes(context: Context) -> pl.DataFrame:
    sides = (pl.col(c).cast(pl.Float64).alias(f"_{c[0]}") for c in ("width", "height"))
    return context.items.select(URI, *sides)


def _check_units(boxes: pl.DataFrame, name: str, box_format: str) -> None:
    """Tell pixels from shares."""
    if box_format.endswith("n"):
        most = boxes.select(pl.max_horizontal(pl.col(BOX_COLUMNS).abs().max())).item()
        if most is not None and most > MOST_SHARE:
            raise InputError(
                f'The boxes of "{name}" are pixels, not shares of the image: one number is {most:g}.',
                f'Pass box_format="{box_format.removesuffix("n")}".',
            )
        return
    known = boxes.drop_nulls(["_w", "_h"])
    most, side = known.select(
        pl.max_horizontal(pl.col(BOX_COLUMNS).abs().max()), pl.min_horizontal(pl.col("_w", "_h").min()).alias("side")
    ).row(0)
    if most is not None and 0 < most <= MOST_SHARE and side > _LEAST_SIDE_PX:
        others = " or ".join(f'"{f}"' for f in BOX_FORMATS if f.endswith("n") and f != f"{box_format}n")
        raise InputError(
            f'The boxes of "{name}" are shares of the image, not pixels: no number is above {most:g}.',
            f'Pass box_format="{box_format}n" (or {others}).',
        )


def _check_corners(boxes: pl.DataFrame, name: str, other: str) -> None:
    """Refuse sizes that are given as second corners."""
    before = boxes.select((pl.col("w") <= pl.col("x")) | (pl.col("h") <= pl.col("y"))).to_series()
    if before.len() >= _LEAST_BOXES and before.sum() >= _SOME * before.len():
        raise InputError(
            f'{before.sum():,} of the {before.len():,} boxes of "{name}" end before they begin when read as corners.',
            f'Pass box_format="{other}".',
        )


def _check_reach(boxes: pl.DataFrame, name: str) -> None:
    """Refuse second corners that are given as sizes."""
    known = boxes.drop_nulls(["_w", "_h"])
    if known.height < _FEWEST_BOXES:
        return
    x, y, w, h, width, height = (known[c].to_numpy() for c in (*BOX_COLUMNS, "_w", "_h"))
    beyond = (x + w > width * _SLACK) | (y + h > height * _SLACK)
    corners = (w > x) & (h > y) & (w <= width * _SLACK) & (h <= height * _SLACK)
    plainly = beyond.all() and corners.all()
    if plainly or (len(x) >= _LEAST_BOXES and beyond.mean() > _MOST and corners.mean() > _ALMOST_ALL):
        raise InputError(
            f'{int(beyond.sum()):,} of the {len(x):,} boxes of "{name}" reach beyond their image when read as x, y, '
            "width, height; read as two corners they fit.",
            'Pass box_format="xyxy".',
        )


def on_image(labels: pl.DataFrame, context: Context, skipped: Skipped) -> pl.DataFrame:
    """Leave out masks of another size than their image and empty ones; list what lies beside the image.

    That stays: it is a wrong prediction, and COCO counts it as one.
    """
    sized = labels.join(_sizes(context), on=URI, how="left", maintain_order="left")
    if "rle" in sized.columns:
        masked = pl.col("kind") == KIND_MASK
        empty = sized.select(masked & ((pl.col("w") == 0) | (pl.col("h") == 0)).fill_null(value=True)).to_series()
        sized = skipped.without(sized, empty, "its mask is empty", "leave it out")
        other = (pl.col("mask_w") != pl.col("_w")) | (pl.col("mask_h") != pl.col("_h"))
        wrong = sized.select((masked & other).fill_null(value=False)).to_series()
        sides = (pl.col(c).cast(pl.Int64) for c in ("mask_w", "mask_h", "_w", "_h"))
        shown = pl.format("mask {} × {}, image {} × {} px", *sides)
        remedy = "write masks of the image's size"
        sized = skipped.without(sized, wrong, "its mask is not of the image's size", remedy, shown)
    beside = sized.select(_beside(turned="angle" in sized.columns).fill_null(value=False)).to_series()
    shown = pl.format("x {} y {} w {} h {}", *(pl.col(c).round(1) for c in BOX_COLUMNS))
    skipped.mention(sized.filter(beside), "it lies beside its image", "check the units and the image", shown)
    return sized.select(labels.columns)


def _beside(*, turned: bool) -> pl.Expr:
    """Tell which shapes have nothing in common with their image."""
    boxes = pl.col("kind").is_in([KIND_BOX, KIND_ROTATED_BOX])
    angle = pl.col("angle").fill_null(0).radians() if turned else pl.lit(0.0)
    angle = pl.when(pl.col("kind") == KIND_ROTATED_BOX).then(angle).otherwise(0.0)
    cos, sin = angle.cos().abs(), angle.sin().abs()
    beside = pl.lit(value=False)
    for at, size, across, side in (("x", "w", "h", "_w"), ("y", "h", "w", "_h")):
        centre, half = pl.col(at) + pl.col(size) / 2, (pl.col(size) * cos + pl.col(across) * sin) / 2
        common = pl.min_horizontal(centre + half, side) - pl.max_horizontal(centre - half, pl.lit(0.0))
        beside = beside | (common < 0) | (boxes & (common == 0))
    return beside & pl.col("_w").is_not_null()
