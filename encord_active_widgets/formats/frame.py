"""Any data frame with a column of image paths becomes a project; its columns become labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ..errors import EawError, InputError, nearest
from ..schema import (
    CLASS_NAME,
    GEOMETRY,
    ITEMS,
    KIND_BOX,
    KIND_CLASSIFICATION,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POINT,
    KIND_POLYGON,
    KIND_POLYLINE,
    KIND_ROTATED_BOX,
    KINDS,
    LABELS,
    RESERVED_COLUMNS,
    URI,
)  # fmt: skip
from .geometry_columns import MOST_PX, bounds_of_points, lists
from .source import Fault, Source, as_polars

BOX_COLUMNS = ("x", "y", "w", "h")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"), ("x0", "y0", "x1", "y1"), ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)  # fmt: skip
_SHAPES = ("points", "rle", "mask")
_MINE = (*GEOMETRY, "mask", "kind", CLASS_NAME, "track_id", "annotator", "seconds")
_TEXTS = (CLASS_NAME, "kind", "track_id", "annotator", "source", "extra")
_RENAMED_SUFFIX = "_source"
_LEAST_NUMBERS = {KIND_POLYGON: 6, KIND_POLYLINE: 4, KIND_POINT: 2, KIND_KEYPOINTS: 2}


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
        Corners, or three of x, y, w and h.
    """
    names = {c.lower(): c for c in data.columns}
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
    frame = _from_text(data).with_row_index("row")
    bad: dict[int, tuple[str, str]] = {}
    frame = _numbers(frame, bad)
    frame = _typed(_texts(frame), bad)
    if "mask" in frame.columns:
        frame = _masks(frame, bad)
    if "points" in frame.columns:
        frame = _points(frame, bad)
    frame = _kinds(frame, bad)
    frame = _judged(frame, bad)
    faults = []
    for row, (why, remedy) in sorted(bad.items()):
        faults.append(Fault(f"row {row} ({data[URI][row]})", "skipped", why, remedy))
    kept = frame.filter(~pl.col("row").is_in(pl.Series(list(bad), dtype=pl.UInt32).implode()), pl.col("kind") != "")
    return kept.select(URI, *(c for c in frame.columns if c in LABELS.columns), *carry), faults


def _from_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Read lists that a CSV holds as JSON text."""
    for name in ("points", "rings", "holes", "visibility"):
        if name in frame.columns and frame.schema[name] == pl.String:
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
            bad.setdefault(row, (f'"{name}" is no finite number ({str(before[row])[:40]})', "give it in pixels"))
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
    for name in ("mask_h", "mask_w", "rings", "holes", "visibility"):
        if name not in frame.columns:
            continue
        before = frame[name]
        after = _cast(before, LABELS.columns[name])
        for row in frame["row"].filter(after.is_null() & before.is_not_null()):
            bad.setdefault(row, (f'"{name}" is not {LABELS.columns[name]}', "see the columns of p.objects.df"))
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
    return frame.drop("mask").with_columns(
        pl.Series("rle", codes, dtype=pl.Binary),
        pl.Series("mask_h", heights, dtype=pl.Int32),
        pl.Series("mask_w", widths, dtype=pl.Int32),
    )


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
                pass
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
        _LEAST_NUMBERS, there("points")
    )
    for kind, has in needs.items():
        for row in frame.filter(pl.col("kind") == kind, ~has)["row"]:
            bad.setdefault(row, (f"it is a {kind} without its shape", "give x, y, w, h, points or rle"))
    return frame


def _judged(frame: pl.DataFrame, bad: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """List shapes that are none; fill in the bounds of points and masks."""
    if all(c in frame.columns for c in BOX_COLUMNS):
        flat = frame.filter(
            pl.col("kind").is_in([KIND_BOX, KIND_ROTATED_BOX]), ~((pl.col("w") > 0) & (pl.col("h") > 0))
        )
        for row, w, h in flat.select("row", "w", "h").iter_rows():
            if w is not None and h is not None:
                bad.setdefault(row, (f"its box has no area (width {w:g}, height {h:g})", "draw the box again"))
    bounds = np.full((frame.height, 4), np.nan)
    if "points" in frame.columns:
        column = frame["points"]
        sizes = column.list.len().fill_null(0).to_numpy().astype(np.int64)
        values = column.explode(empty_as_null=False, keep_nulls=False).to_numpy().astype(np.float64)
        owner = np.repeat(np.arange(frame.height), sizes)
        odd = np.bincount(owner[~(np.abs(values) <= MOST_PX)], minlength=frame.height) > 0
        few = np.array([sizes[i] < _LEAST_NUMBERS.get(k, 0) for i, k in enumerate(frame["kind"])], bool)
        for row in np.flatnonzero((sizes % 2 == 1) | odd | few).tolist():
            bad.setdefault(row, ("its points are too few, an odd count, or not finite", "give x, y pairs in pixels"))
        _judge_parts(frame, sizes, bad)
        good = ~((sizes % 2 == 1) | odd)
        bounds = bounds_of_points(values[np.repeat(good, sizes)], np.where(good, sizes, 0))
    if "rle" in frame.columns:
        _judge_masks(frame, bounds, bad)
    filled = pl.DataFrame(bounds, schema=list(BOX_COLUMNS), orient="row").fill_nan(None)
    shaped = pl.Series(np.isfinite(bounds).all(axis=1))
    for name in BOX_COLUMNS:
        own = frame[name] if name in frame.columns else pl.repeat(None, frame.height, dtype=pl.Float64, eager=True)
        frame = frame.with_columns(filled[name].zip_with(shaped, own.cast(pl.Float64)).alias(name))
    return frame


def _judge_parts(frame: pl.DataFrame, sizes: np.ndarray[Any, Any], bad: dict[int, tuple[str, str]]) -> None:
    """List rings, holes and visibilities that do not fit the points."""
    for name, remedy in (
        ("rings", "give the number of vertices of each part"),
        ("visibility", "give one number a point"),
        ("holes", "give places in rings"),
    ):
        if name not in frame.columns:
            continue
        lists_of = frame[name]
        if name == "holes":
            parts = frame["rings"].list.len() if "rings" in frame.columns else pl.repeat(1, frame.height, eager=True)
            wrong = lists_of.list.max() >= parts.fill_null(1)
        else:
            held = lists_of.list.sum() if name == "rings" else lists_of.list.len()
            wrong = held.cast(pl.Int64) * 2 != pl.Series(sizes)
        for row in frame["row"].filter(wrong.fill_null(value=False) & lists_of.is_not_null()):
            bad.setdefault(row, (f"its {name} do not fit its points", remedy))


def _judge_masks(frame: pl.DataFrame, bounds: np.ndarray[Any, Any], bad: dict[int, tuple[str, str]]) -> None:
    from ..metrics import masks

    for row, rle in enumerate(frame["rle"]):
        if rle is None or row in bad:
            continue
        try:
            height, width = frame["mask_h"][row], frame["mask_w"][row]
            data = bytes(rle)
            masks.parse([data], height or 0, width or 0)
            bounds[row] = masks.bounds([data], height, width)[0]
        except (EawError, pl.exceptions.ColumnNotFoundError) as error:
            why = error.message if isinstance(error, EawError) else "mask_h and mask_w are missing"
            bad.setdefault(row, (f"its mask cannot be used: {why}", "give COCO's counts, mask_h and mask_w"))
