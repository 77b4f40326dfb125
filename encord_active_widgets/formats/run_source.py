"""What all readers of predictions share: find the images, judge every row, list what cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import polars as pl

from ..errors import InputError, unknown
from ..schema import CLASS_NAME, CONFIDENCE, KIND_CLASSIFICATION, PROBABILITIES, URI
from .frame import BOX_COLUMNS, has_shapes, label_columns
from .run import IMAGE, PLACE, Context, RunSource, Skipped, find_ids, find_items
from .run_boxes import BOX_FORMATS, as_pixels, on_image
from .run_classes import judge_names

log = logging.getLogger("encord_active_widgets")

PIXELS = "pixels"
"""The box format of what is x, y, w, h in pixels beyond doubt."""
HELD = "held"
_FEW = 0.5
_SHAPES = ("points", "rle", "mask")


def run_source(
    frame: pl.DataFrame,
    context: Context,
    name: str,
    *,
    box_format: str = PIXELS,
    ids: bool = False,
    classes: Sequence[str] | None = None,
    skipped: Skipped | None = None,
) -> RunSource:
    """Make predictions of rows.

    Parameters
    ----------
    frame : pl.DataFrame
        `image` (String: an address, a file name, a stem; with `ids` an id of COCO's images), `class_name`,
        `confidence`, a shape as `label_columns` takes it, and `place`: where the row stands, for problems.
        `held` (String), where it is there, is what the source has for a confidence that is no number.
    context : Context
    name : str
        What the source is called in messages.
    box_format : str
        What x, y, w and h hold; see `BOX_FORMATS`.
    ids : bool
        `image` holds ids.
    classes : sequence of str, optional
        What the columns of probabilities are.
    skipped : Skipped, optional
        What the reader could not use.

    Raises
    ------
    InputError
        Nothing fits the project, or the boxes are written in another way than `box_format` says.
    """
    if box_format not in (*BOX_FORMATS, PIXELS):
        raise unknown("box format", box_format, BOX_FORMATS)
    if frame.is_empty():
        raise InputError(f'"{name}" holds no predictions.', "Check that it was written to its end.")
    found = Skipped()
    uris = _found(frame[IMAGE], context, name, ids=ids)
    frame = frame.drop(URI, strict=False).with_columns(uris.alias(URI))
    frame = found.without(
        frame, frame[URI].is_null(), "its image is not in the project", "add the image first", pl.col(IMAGE)
    )
    frame = _sure(frame, found)
    frame = _classed(frame, found)
    judge_names(frame[CLASS_NAME], context, name)
    carry = [PLACE, CONFIDENCE, *([PROBABILITIES] if PROBABILITIES in frame.columns else [])]
    if has_shapes(frame):
        labels = _shaped(frame, context, name, box_format, carry, found)
    else:
        if context.only_objects and PROBABILITIES not in frame.columns:
            raise InputError(
                f'The predictions of "{name}" have no shape, and the labels of the project are objects.',
                "Give x, y, w, h (or points, or masks); classes of images need labels of images to compare with.",
            )
        labels = frame.select(URI, CLASS_NAME, pl.lit(KIND_CLASSIFICATION).alias("kind"), *carry)
        labels = _one_answer(labels, found)
    if skipped is not None:
        found.rows += skipped.rows
    faults = [*(skipped.faults if skipped is not None else []), *found.named(name)]
    if labels.is_empty():
        first = f" The first: {faults[0].where}: {faults[0].why}." if faults else ""
        raise InputError(f'No prediction of "{name}" can be used.{first}', faults[0].remedy if faults else "")
    items = labels.select(URI).unique(maintain_order=True)
    header = {"classes": list(classes)} if classes is not None else {}
    return RunSource(items, name, {}, labels=labels.drop(PLACE), faults=faults, header=header, skipped=found.rows)


def _sure(frame: pl.DataFrame, skipped: Skipped) -> pl.DataFrame:
    """Leave out what has no confidence from 0 to 1; where there is no column of them, all are sure."""
    if CONFIDENCE not in frame.columns:
        return frame.with_columns(pl.lit(1.0).alias(CONFIDENCE))
    given = frame[CONFIDENCE]
    if not given.dtype.is_numeric() and given.dtype != pl.String:
        given = pl.Series([None if v is None else str(v) for v in given], dtype=pl.String)
    wanted = given.cast(pl.Float64, strict=False)
    wrong = ~wanted.is_between(0, 1).fill_null(value=False)
    if HELD not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(HELD))
    frame = frame.with_columns(wanted.alias(CONFIDENCE), pl.col(HELD).fill_null(given.cast(pl.String)))
    remedy = "give a share from 0 to 1: apply a sigmoid or softmax"
    shown = pl.col(HELD).fill_null("none")
    return skipped.without(frame, wrong, "its confidence is no number from 0 to 1", remedy, shown).drop(HELD)


def _classed(frame: pl.DataFrame, skipped: Skipped) -> pl.DataFrame:
    if CLASS_NAME not in frame.columns:
        frame = frame.with_columns(pl.lit(None).alias(CLASS_NAME))
    frame = frame.with_columns(pl.col(CLASS_NAME).cast(pl.String))
    remedy = "name the class, or pass classes=…"
    return skipped.without(frame, frame[CLASS_NAME].is_null(), "its class is not known", remedy)


def _shaped(
    frame: pl.DataFrame, context: Context, name: str, box_format: str, carry: list[str], skipped: Skipped
) -> pl.DataFrame:
    """Make objects of rows."""
    if all(c in frame.columns for c in BOX_COLUMNS):
        frame = frame.with_columns(pl.col(c).cast(pl.Float64, strict=False) for c in BOX_COLUMNS)
        if box_format != PIXELS:
            frame = as_pixels(frame, context, name, box_format)
    frame = skipped.without(frame, _shapeless(frame), "it has no box of four numbers, and no other shape", "give one")
    labels, more = label_columns(frame, carry)
    places = frame[PLACE].to_list()
    for fault in more:
        skipped.add(str(places[int(fault.where.split()[1])]), fault.why, fault.remedy)
    return on_image(labels, context, skipped)


def _shapeless(frame: pl.DataFrame) -> pl.Series:
    """Tell which rows hold nothing that could be a shape."""
    there = [pl.col(c).is_not_null() for c in _SHAPES if c in frame.columns]
    if all(c in frame.columns for c in BOX_COLUMNS):
        there.append(pl.all_horizontal(pl.col(c).is_not_null() & pl.col(c).is_not_nan() for c in BOX_COLUMNS))
    return frame.select(~pl.any_horizontal(there)).to_series()


def _one_answer(labels: pl.DataFrame, skipped: Skipped) -> pl.DataFrame:
    """Keep of several classes of an image the surest."""
    numbered = labels.with_row_index("n")
    best = numbered.sort(CONFIDENCE, descending=True, maintain_order=True).unique(URI, keep="first")["n"]
    again = ~numbered["n"].is_in(best.implode())
    return skipped.without(labels, again, "its image has a surer class", "give one class an image", pl.col(CLASS_NAME))


def _found(images: pl.Series, context: Context, name: str, *, ids: bool) -> pl.Series:
    """Return the address of each row's image; null where it is not in the project."""
    wanted = images.cast(pl.String)
    distinct = wanted.unique(maintain_order=True)
    known = find_ids(context, distinct) if ids else find_items(context, distinct)
    matched = known.len() - known.null_count()
    what = "image ids" if ids else "images"
    if not matched:
        raise InputError(
            f'0 of the {known.len():,} {what} in "{name}" are in the project, which has '
            f"{context.items.height:,} images (the first is {distinct[0]!r}).",
            "This looks like the results of another dataset.",
        )
    if matched < _FEW * known.len():
        log.warning('Only %s of the %s %s in "%s" are in the project.', f"{matched:,}", f"{known.len():,}", what, name)
    table = pl.DataFrame({"image": distinct, "found": known})
    return pl.DataFrame({"image": wanted}).join(table, on="image", how="left", maintain_order="left")["found"]
