"""Any data frame with a column of image paths becomes a project; its columns become labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError, nearest
from ..schema import (
    CLASS_NAME,
    GEOMETRY,
    ITEMS,
    KIND_BOX,
    KIND_CLASSIFICATION,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POLYGON,
    KIND_ROTATED_BOX,
    KINDS,
    LABELS,
    RESERVED_COLUMNS,
    URI,
)  # fmt: skip
from .geometry_columns import BOX_COLUMNS as BOX_COLUMNS  # noqa: PLC0414 - runs take it from here
from .geometry_columns import LEAST_NUMBERS, MOST_PX, lists
from .shape_judging import judged
from .source import Fault, Source, as_polars

_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"), ("x0", "y0", "x1", "y1"), ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)  # fmt: skip
_BOXES = ("bbox", "box", "bounding_box")
_SHAPES = ("points", "rle", "mask")
_MINE = (*GEOMETRY, "mask", "kind", CLASS_NAME, "track_id", "annotator", "seconds")
_TEXTS = (CLASS_NAME, "kind", "track_id", "annotator", "source", "extra")
_RENAMED_SUFFIX = "_source"
WHOLE = {
    "mask_h": "give the number of its rows",
    "mask_w": "give the number of its columns",
    "rings": "give the number of vertices of each part",
    "holes": "give the places of holes in rings, from 0",
    "visibility": "give 0, 1 or 2 for each point: not labelled, hidden, visible",
}
"""Columns of whole numbers, and what they should hold."""
_UNITS = {"angle": "degrees", "seconds": "seconds"}


def read_frame(frame: Any, *, path: str = "path") -> Source:
    """Read items from a frame.

    Parameters
    ----------
    frame : data frame
        Polars, pandas, Arrow, or any frame that narwhals knows. One row is an image, or,
        with the columns `x`, `y`, `w`, `h` (pixels), `points` or `rle`, one object on an image.
        `class_name` names the class of the image or of the object. `group` names a split or
        a video. Other columns are kept as metadata of the image.
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
    _refuse_odd_boxes(data)
    shaped = has_shapes(data)
    labels: pl.DataFrame | None = None
    if shaped:
        labels, more = label_columns(data.select(c for c in data.columns if c == URI or c in (*_MINE, "extra")))
        faults += more
    elif CLASS_NAME in data.columns:
        labels = _classes(data)
    mine = _MINE if shaped else (CLASS_NAME,)
    meta = data.drop([c for c in (*mine, *(("extra",) if shaped else ())) if c in data.columns])
    meta = rename_reserved(meta).unique(URI, keep="first", maintain_order=True)
    return Source(meta, "frame", {"format": "frame"}, labels=labels, faults=faults)


def has_shapes(data: pl.DataFrame) -> bool:
    """Tell whether the rows of a frame are labels with a shape, not images."""
    return all(c in data.columns for c in BOX_COLUMNS) or any(c in data.columns for c in _SHAPES)


def _refuse_odd_boxes(data: pl.DataFrame) -> None:
    """Refuse columns that look like boxes and would be taken for metadata of images.

    Raises
    ------
    InputError
        Corners, a list of four numbers, or three of x, y, w and h.
    """
    names = {c.lower(): c for c in data.columns}
    listed = next((names[b] for b in _BOXES if b in names and _is_list(data[names[b]])), None)
    if listed is not None and not all(c in data.columns for c in BOX_COLUMNS):
        raise InputError(
            f'The column "{listed}" looks like boxes; boxes are four columns x, y, w, h.',
            f'Add them: frame.with_columns(pl.col("{listed}").list.get(i).alias(c) for i, c in enumerate("xywh")); '
            "of corners, w = x1 - x0 and h = y1 - y0.",
        )
    for corners in _CORNERS:
        if all(c in names for c in corners) and not all(c in data.columns for c in BOX_COLUMNS):
            a, b, c, d = (names[k] for k in corners)
            raise InputError(
                f'The columns "{a}", "{b}", "{c}", "{d}" look like corners of boxes; boxes are x, y, w, h.',
                f'Rename "{a}" to x and "{b}" to y, and add w = {c} - {a}, h = {d} - {b}.',
            )
    some = [c for c in BOX_COLUMNS if c in data.columns]
    if len(some) == 3:
        missing = next(c for c in BOX_COLUMNS if c not in some)
        raise InputError(
            f'The frame has {", ".join(some)}, but no "{missing}".', "Boxes need x, y, w and h, in pixels."
        )


def _is_list(column: pl.Series) -> bool:
    """Tell whether a column holds several numbers a row, as lists or as their text."""
    if column.dtype == pl.String:
        first = column.drop_nulls().head(1)
        return bool(first.str.contains(r"^\s*[\[(].*,.*[\])]\s*$").any())
    return column.dtype.is_nested() or column.dtype == pl.Object


def rename_reserved(frame: pl.DataFrame) -> pl.DataFrame:
    """Give metadata columns whose names the tables need another name."""
    allowed = {URI, "group", "frame"}
    taken = {
        c: f"{c}{_RENAMED_SUFFIX}"
        for c in frame.columns
        if (c in RESERVED_COLUMNS or c in ITEMS.columns) and c not in allowed
    }
    return frame.rename(taken)


def _classes(data: pl.DataFrame) -> pl.DataFrame:
    return (
        data.select(URI, pl.col(CLASS_NAME).cast(pl.String))
        .drop_nulls(CLASS_NAME)
        .unique(URI, keep="first", maintain_order=True)
        .with_columns(pl.lit(KIND_CLASSIFICATION).alias("kind"))
    )


def label_columns(data: pl.DataFrame, carry: Sequence[str] = ()) -> tuple[pl.DataFrame, list[Fault]]:
    """Make labels of rows: types made right, kinds found out, bounds filled in.

    Parameters
    ----------
    data : pl.DataFrame
        `uri` and columns of `schema.LABELS`; also `mask` ((h, w) arrays), and `points` as pairs.
    carry : sequence of str
        Further columns to keep beside the labels, as they are.

    Returns
    -------
    labels : pl.DataFrame
        The rows that can be used.
    faults : list of Fault
        The others, with their row number.
    """
    bad: dict[int, tuple[str, str]] = {}
    frame = _from_text(data.with_row_index("row"), bad)
    frame = _numbers(frame, bad)
    frame = _typed(_texts(frame), bad)
    if "mask" in frame.columns:
        frame = _masks(frame, bad)
    if "points" in frame.columns:
        frame = _points(frame, bad)
    frame = _kinds(frame, bad)
    frame = judged(frame, bad)
    faults = []
    for row, (why, remedy) in sorted(bad.items()):
        faults.append(Fault(f"row {row} ({data[URI][row]})", "skipped", why, remedy))
    kept = frame.filter(~pl.col("row").is_in(pl.Series(list(bad), dtype=pl.UInt32).implode()), pl.col("kind") != "")
    return kept.select(URI, *(c for c in frame.columns if c in LABELS.columns), *carry), faults


def _from_text(frame: pl.DataFrame, bad: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """Read lists that a CSV holds as JSON text."""
    for name in ("points", "rings", "holes", "visibility"):
        if name in frame.columns and frame.schema[name] == pl.String:
            for row in frame.filter(pl.col(name).str.contains("true|false"))["row"]:
                bad.setdefault(row, (f'"{name}" holds true and false', WHOLE.get(name, "give numbers")))
            try:
                lists_of = frame[name].str.json_decode(LABELS.columns[name])
            except pl.exceptions.PolarsError:
                continue  # it is listed, row by row, as no list
            frame = frame.with_columns(lists_of)
    return frame


def _numbers(frame: pl.DataFrame, bad: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """Cast coordinates; what was there and is no finite number is listed."""
    for name in (*BOX_COLUMNS, "angle", "seconds"):
        if name not in frame.columns:
            continue
        before = frame[name]
        after = _cast(before, pl.Float64)
        wrong = (after.is_null() & before.is_not_null()) | (~(after.abs() <= MOST_PX)).fill_null(value=False)
        if before.dtype.is_float():
            # How pandas says "nothing": a row without any box is an image without labels.
            missing = after.is_nan()
            wrong &= ~missing
            after = after.fill_nan(None)
        for row in frame["row"].filter(wrong):
            bad.setdefault(
                row,
                (f'"{name}" is no finite number ({str(before[row])[:40]})', f"give it in {_UNITS.get(name, 'pixels')}"),
            )
        frame = frame.with_columns(after.alias(name))
    some = [c for c in BOX_COLUMNS if c in frame.columns]
    if len(some) == len(BOX_COLUMNS):
        there = pl.sum_horizontal(pl.col(c).is_not_null() for c in some)
        for row in frame.filter(there.is_between(1, 3))["row"]:
            bad.setdefault(row, ("its box is not whole: of x, y, w, h some are missing", "give all four, in pixels"))
    return frame


def _cast(column: pl.Series, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    """Cast a column; what cannot be cast, value or type, becomes null."""
    try:
        return column.cast(dtype, strict=False)
    except (pl.exceptions.PolarsError, TypeError):
        return pl.repeat(None, column.len(), dtype=dtype, eager=True).alias(column.name)


def _typed(frame: pl.DataFrame, bad: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """Bring the columns that are neither coordinates nor texts to their types; list what does not fit."""
    for name, remedy in WHOLE.items():
        if name not in frame.columns:
            continue
        before = frame[name]
        after = _cast(before, LABELS.columns[name])
        inner = before.dtype.inner if isinstance(before.dtype, (pl.List, pl.Array)) else before.dtype
        if inner == pl.Boolean:
            wrong, why = before.is_not_null(), f'"{name}" holds True and False'
        else:
            numbers = pl.List(pl.Float64) if isinstance(LABELS.columns[name], pl.List) else pl.Float64
            wrong = _cast(before, numbers).ne_missing(after.cast(numbers)) | (after.is_null() & before.is_not_null())
            why = f'"{name}" is not {LABELS.columns[name]}'
        for row in frame["row"].filter(wrong):
            bad.setdefault(row, (why, remedy))
        frame = frame.with_columns(after.alias(name))
    if "rle" in frame.columns and frame.schema["rle"] != pl.Binary:
        texts = frame["rle"].cast(pl.Binary) if frame.schema["rle"] == pl.String else None
        for row in frame["row"].filter(frame["rle"].is_not_null()) if texts is None else []:
            bad.setdefault(row, ('"rle" is neither text nor bytes', "give COCO's compressed counts"))
        none = pl.repeat(None, frame.height, dtype=pl.Binary, eager=True)
        frame = frame.with_columns((none if texts is None else texts).alias("rle"))
    return frame


def _texts(frame: pl.DataFrame) -> pl.DataFrame:
    for name in _TEXTS:
        if name in frame.columns and frame.schema[name] != pl.String:
            column = frame[name]
            text = (
                pl.Series(name, [None if v is None else str(v) for v in column], dtype=pl.String)
                if column.dtype == pl.Object or column.dtype.is_nested()
                else _cast(column, pl.String)
            )
            frame = frame.with_columns(text)
    return frame


def _masks(frame: pl.DataFrame, bad: dict[int, tuple[str, str]]) -> pl.DataFrame:
    from ..metrics import masks

    codes: list[bytes | None] = []
    heights: list[int | None] = []
    widths: list[int | None] = []
    for row, mask in enumerate(frame["mask"]):
        code = height = width = None
        if mask is not None:
            array = np.asarray(mask)
            if array.ndim == 2 and array.size and array.dtype.kind in "biuf":
                height, width = array.shape
                code = masks.encode(array != 0)
            else:
                bad.setdefault(row, (f"its mask has shape {array.shape}", "give an (h, w) array"))
        codes.append(code)
        heights.append(height)
        widths.append(width)
    drawn = pl.DataFrame(
        {"rle": codes, "mask_h": heights, "mask_w": widths},
        schema={c: LABELS.columns[c] for c in ("rle", "mask_h", "mask_w")},
    )
    given = [pl.coalesce(drawn[c], c).alias(c) if c in frame.columns else drawn[c] for c in drawn.columns]
    return frame.drop("mask").with_columns(given)


def _points(frame: pl.DataFrame, bad: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """Make flat lists of points, given as flat lists, as pairs, or as arrays."""
    column = frame["points"]
    dtype = column.dtype
    if isinstance(dtype, pl.Array):
        column = column.arr.to_list()
        dtype = column.dtype
    if isinstance(dtype, pl.List) and dtype.inner.is_numeric():
        return frame.with_columns(column.cast(pl.List(pl.Float64)))
    values: list[np.ndarray[Any, Any]] = []
    for row, given in enumerate(column):
        flat = np.empty(0)
        if given is not None:
            try:
                array = np.asarray(given.to_list() if isinstance(given, pl.Series) else given, dtype=np.float64)
                flat = array.ravel() if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 2) else flat
            except (TypeError, ValueError):
                flat = np.empty(0)  # ragged, or no numbers: listed with the other shapes that are none
            if not flat.size:
                bad.setdefault(row, ("its points are no pairs of numbers", "give [(x, y), …] in pixels"))
        values.append(flat)
    sizes = np.array([v.size for v in values], np.int64)
    return frame.with_columns(
        lists(np.concatenate(values) if values else np.empty(0), sizes, pl.Float64).alias("points")
    )


def _kinds(frame: pl.DataFrame, bad: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """Find out what a row is, where it does not say; "" where it holds no label."""

    def there(name: str) -> pl.Expr:
        return pl.col(name).is_not_null() if name in frame.columns else pl.lit(value=False)

    boxed = pl.all_horizontal(*(there(c) for c in BOX_COLUMNS))
    turned = (pl.col("angle").fill_null(0) != 0) if "angle" in frame.columns else pl.lit(value=False)
    guess = (
        pl.when(there("rle")).then(pl.lit(KIND_MASK))
        .when(there("visibility")).then(pl.lit(KIND_KEYPOINTS))
        .when(there("points")).then(pl.lit(KIND_POLYGON))
        .when(boxed & turned).then(pl.lit(KIND_ROTATED_BOX))
        .when(boxed).then(pl.lit(KIND_BOX))
        .otherwise(pl.lit(""))
    )  # fmt: skip
    if "kind" not in frame.columns:
        return frame.with_columns(guess.alias("kind"))
    frame = frame.with_columns(pl.coalesce(pl.col("kind").cast(pl.String), guess).alias("kind"))
    for row, kind in frame.filter(~pl.col("kind").is_in([*KINDS, ""])).select("row", "kind").iter_rows():
        bad.setdefault(row, (f'there is no kind "{kind}"', nearest(kind, KINDS)))
    needs = {KIND_BOX: boxed, KIND_ROTATED_BOX: boxed, KIND_MASK: there("rle")} | dict.fromkeys(
        LEAST_NUMBERS, there("points")
    )
    for kind, has in needs.items():
        for row in frame.filter(pl.col("kind") == kind, ~has)["row"]:
            bad.setdefault(row, (f"it is a {kind} without its shape", "give x, y, w, h, points or rle"))
    return frame
