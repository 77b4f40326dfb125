"""Predictions as a data frame."""

from __future__ import annotations

import polars as pl

from ..errors import InputError
from ..schema import CLASS_NAME, CONFIDENCE, ITEM_ID, PROBABILITIES, URI
from .frame import _refuse_odd_boxes
from .probabilities import judge_column
from .run import IMAGE, PLACE, Context, RunSource
from .run_classes import by_category
from .run_source import HELD, run_source

_NAME = "the frame"
_IMAGE_COLUMNS = ("path", URI, "image", "file_name", ITEM_ID)


def read_prediction_frame(frame: pl.DataFrame, context: Context, *, box_format: str = "xywh") -> RunSource:
    """Read a data frame: an image, `class_name`, `confidence`, and a shape as `Project.from_frame` takes it.

    The image is `path` (or `uri`, `image`, `file_name`), or `item_id`. `category_id` in place of `class_name`
    is the id of a COCO category.

    Raises
    ------
    InputError
        No column names the image, or the class; or boxes are in columns of other names.
    """
    image = next((c for c in _IMAGE_COLUMNS if c in frame.columns), None)
    if image is None:
        raise InputError(
            f"The frame has no column of images among {frame.columns}.", 'Add "path": addresses or file names.'
        )
    if CLASS_NAME not in frame.columns and "category_id" not in frame.columns:
        raise InputError('The frame has no column "class_name".', "Name the class of each prediction.")
    _refuse_odd_boxes(frame)
    frame = frame.drop(HELD, PLACE, strict=False)
    if CLASS_NAME not in frame.columns and not frame.is_empty():
        frame = frame.with_columns(by_category(frame["category_id"], context, _NAME).alias(CLASS_NAME))
    if CONFIDENCE not in frame.columns and "score" in frame.columns:
        frame = frame.rename({"score": CONFIDENCE})
    named = frame[image].cast(pl.String, strict=False)
    if image == ITEM_ID and ITEM_ID in context.items.columns:
        uris = context.items.select(ITEM_ID, URI)
        named = pl.DataFrame({ITEM_ID: named}).join(uris, on=ITEM_ID, how="left", maintain_order="left")[URI]
        named = named.fill_null(frame[image])
    places = pl.format("row {}", pl.int_range(pl.len())).alias(PLACE)
    data = frame.drop(image).with_columns(named.alias(IMAGE), places)
    if PROBABILITIES not in data.columns:
        return run_source(data, context, _NAME, box_format=box_format)
    try:
        data = data.with_columns(pl.col(PROBABILITIES).cast(pl.List(pl.Float64)))
    except pl.exceptions.PolarsError as error:
        raise InputError(f'"{PROBABILITIES}" holds no lists of numbers.', "Give one number a class.") from error
    judge_column(data[PROBABILITIES], data[PLACE], context.classes)
    return run_source(data, context, _NAME, box_format=box_format, classes=context.classes)
