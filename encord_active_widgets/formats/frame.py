"""Any data frame with a column of image paths becomes a project."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..errors import InputError, nearest
from ..schema import CLASS_NAME, ITEMS, KIND_BOX, KIND_CLASSIFICATION, LABELS, RESERVED_COLUMNS, URI
from .source import Fault, Source, as_polars

BOX_COLUMNS = ("x", "y", "w", "h")
_RENAMED_SUFFIX = "_source"


def read_frame(frame: Any, *, path: str = "path") -> Source:
    """Read items from a frame.

    Parameters
    ----------
    frame : data frame
        Polars, pandas, Arrow, or any frame that narwhals knows. One row is an image, or,
        with the columns `x`, `y`, `w`, `h` (pixels), one box on an image. `class_name`
        names the class of the image or of the box. `group` names a split or a video.
        Other columns are kept as metadata of the image.
    path : str
        The column of image addresses.

    Raises
    ------
    InputError
        No such column, or no rows.
    """
    data = as_polars(frame)
    if path not in data.columns:
        if path == "path" and URI in data.columns:
            path = URI
        else:
            raise InputError(f'The frame has no column "{path}".', nearest(path, data.columns))
    if data.schema[path] != pl.String:
        data = data.with_columns(pl.col(path).map_elements(str, return_dtype=pl.String))
    faults = [
        Fault(f"row {row}", "skipped", f'"{path}" is empty', "give the image's address")
        for row in data.with_row_index("row").filter(pl.col(path).is_null())["row"]
    ]
    if path != URI and URI in data.columns:
        data = data.rename({URI: f"{URI}{_RENAMED_SUFFIX}"})
    data = data.rename({path: URI}).drop_nulls(URI)
    if data.is_empty():
        raise InputError("The frame has no rows with an address.", f'Fill the column "{path}".')
    boxes = all(c in data.columns for c in BOX_COLUMNS)
    labels = _labels(data, boxes)
    meta = data.drop(
        [c for c in (*BOX_COLUMNS, CLASS_NAME, "angle") if c in data.columns and (boxes or c == CLASS_NAME)]
    )
    meta = rename_reserved(meta).unique(URI, keep="first", maintain_order=True)
    return Source(meta, "frame", {"format": "frame"}, labels=labels, faults=faults)


def rename_reserved(frame: pl.DataFrame) -> pl.DataFrame:
    """Give metadata columns whose names the tables need another name."""
    allowed = {URI, "group", "frame"}
    taken = {
        c: f"{c}{_RENAMED_SUFFIX}"
        for c in frame.columns
        if (c in RESERVED_COLUMNS or c in ITEMS.columns) and c not in allowed
    }
    return frame.rename(taken)


def _labels(data: pl.DataFrame, boxes: bool) -> pl.DataFrame | None:
    if boxes:
        columns = [URI, *BOX_COLUMNS, *(c for c in (CLASS_NAME, "angle") if c in data.columns)]
        found = data.select(columns).drop_nulls([*BOX_COLUMNS])
        return found.with_columns(
            pl.lit(KIND_BOX).alias("kind"), *(pl.col(c).cast(LABELS.columns[c]) for c in BOX_COLUMNS)
        )
    if CLASS_NAME not in data.columns:
        return None
    return (
        data.select(URI, pl.col(CLASS_NAME).cast(pl.String))
        .drop_nulls(CLASS_NAME)
        .unique(URI, keep="first", maintain_order=True)
        .with_columns(pl.lit(KIND_CLASSIFICATION).alias("kind"))
    )
