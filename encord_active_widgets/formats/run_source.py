"""What all readers of predictions share: find the images, judge confidences and boxes, list what cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ..errors import InputError, unknown
from ..schema import CLASS_NAME, CONFIDENCE, KIND_CLASSIFICATION, PROBABILITIES, URI
from .frame import BOX_COLUMNS, has_shapes, label_columns
from .run import Context, find_items
from .source import Fault, Source

BOX_FORMATS = ("xywh", "xyxy", "cxcywh", "xywhn", "xyxyn", "cxcywhn")
IMAGE = "image"
PLACE = "place"
_SHOWN = 20
_MOST = 0.5
_ALMOST_ALL = 0.95
_SLACK = 1.02
_LEAST_BOXES = 5
_LEAST_SIDE_PX = 8


def run_source(
    frame: pl.DataFrame, context: Context, name: str, *, box_format: str = "xywh", ids: bool = False
) -> Source:
    """Make predictions of rows.

    Parameters
    ----------
    frame : pl.DataFrame
        `image` (String: an address, a file name, a stem; with `ids` an id of COCO's images), `class_name`,
        `confidence`, a shape as `label_columns` takes it, and `place`: where the row stands, for problems.
    context : Context
    name : str
        What the source is called in messages.
    box_format : str
        What x, y, w and h hold; see `BOX_FORMATS`.
    ids : bool
        `image` holds ids.

    Raises
    ------
    InputError
        Nothing fits the project, or the boxes are written in another way than `box_format` says.
    """
    if box_format not in BOX_FORMATS:
        raise unknown("box format", box_format, BOX_FORMATS)
    if frame.is_empty():
        raise InputError(f'"{name}" holds no predictions.', "Check that it was written to its end.")
    faults: list[Fault] = []
    if CONFIDENCE not in frame.columns:
        frame = frame.with_columns(pl.lit(1.0).alias(CONFIDENCE))
    uris = _found(frame[IMAGE], context, name, ids=ids)
    frame = frame.drop(URI, strict=False).with_columns(uris.alias(URI))
    frame = without(
        frame, frame[URI].is_null(), faults, "its image is not in the project", "add the image first", IMAGE
    )
    wanted = frame[CONFIDENCE].cast(pl.Float64, strict=False)
    wrong = ~wanted.is_between(0, 1).fill_null(value=False)
    remedy = "give a share from 0 to 1: apply a sigmoid or softmax"
    frame = without(frame, wrong, faults, "its confidence is no number from 0 to 1", remedy, CONFIDENCE)
    frame = frame.with_columns(pl.col(CONFIDENCE).cast(pl.Float64))
    if CLASS_NAME in frame.columns:
        frame = frame.with_columns(pl.col(CLASS_NAME).cast(pl.String))
    else:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(CLASS_NAME))
    frame = without(
        frame, frame[CLASS_NAME].is_null(), faults, "its class is not known", "name the class, or pass classes=…"
    )
    shaped = has_shapes(frame)
    if all(c in frame.columns for c in BOX_COLUMNS):
        frame = frame.with_columns(pl.col(c).cast(pl.Float64, strict=False) for c in BOX_COLUMNS)
        frame = _as_xywh(frame, context, name, box_format)
    carry = [CONFIDENCE, *([PROBABILITIES] if PROBABILITIES in frame.columns else [])]
    if shaped:
        frame = without(
            frame, _shapeless(frame), faults, "it has no box of four numbers, and no other shape", "give one"
        )
        labels, more = label_columns(frame, carry)
        places = frame[PLACE].to_list()
        faults += [Fault(f"{name}: {places[_row_of(f)]}", f.what, f.why, f.remedy) for f in more]
    else:
        labels = frame.select(URI, CLASS_NAME, pl.lit(KIND_CLASSIFICATION).alias("kind"), *carry)
    named = [
        Fault(f.where if f.where.startswith(name) else f"{name}: {f.where}", f.what, f.why, f.remedy) for f in faults
    ]
    if labels.is_empty():
        first = f" The first: {named[0].where}: {named[0].why}." if named else ""
        raise InputError(f'No prediction of "{name}" can be used.{first}', named[0].remedy if named else "")
    return Source(labels.select(URI).unique(maintain_order=True), name, {}, labels=labels, faults=named)


def _shapeless(frame: pl.DataFrame) -> pl.Series:
    """Tell which rows hold nothing that could be a shape."""
    there = [pl.col(c).is_not_null() for c in ("points", "rle", "mask") if c in frame.columns]
    if all(c in frame.columns for c in BOX_COLUMNS):
        there.append(pl.all_horizontal(pl.col(c).is_not_null() & pl.col(c).is_not_nan() for c in BOX_COLUMNS))
    return frame.select(~pl.any_horizontal(there)).to_series()


def _row_of(fault: Fault) -> int:
    return int(fault.where.split()[1])


def without(
    frame: pl.DataFrame, wrong: pl.Series, faults: list[Fault], why: str, remedy: str, show: str = ""
) -> pl.DataFrame:
    """Leave out rows and list them: some by name, the others by their number."""
    if not wrong.any():
        return frame
    bad = frame.filter(wrong)
    faults.extend(
        Fault(str(row[PLACE]), "skipped", f"{why} ({row[show]!r:.60})" if show else why, remedy)
        for row in bad.head(_SHOWN).iter_rows(named=True)
    )
    if bad.height > _SHOWN:
        faults.append(Fault("further rows", "skipped", f"{why} ({bad.height - _SHOWN:,} more)", remedy))
    return frame.filter(~wrong)


def _found(images: pl.Series, context: Context, name: str, *, ids: bool) -> pl.Series:
    """Return the address of each row's image; null where it is not in the project."""
    wanted = images.cast(pl.String)
    distinct = wanted.unique(maintain_order=True)
    known = find_ids(context, distinct) if ids else find_items(context, distinct)
    matched = known.len() - known.null_count()
    if not matched:
        what = "image ids" if ids else "images"
        raise InputError(
            f'0 of the {known.len():,} {what} in "{name}" are in the project, which has '
            f"{context.items.height:,} images (the first is {distinct[0]!r}).",
            "This looks like the results of another dataset.",
        )
    table = pl.DataFrame({"image": distinct, "found": known})
    return pl.DataFrame({"image": wanted}).join(table, on="image", how="left", maintain_order="left")["found"]


def find_ids(context: Context, ids: pl.Series) -> pl.Series:
    """Return the address of each id: that of COCO's images, else a file name, else a stem of the same number."""
    table = context.items.select(pl.col("image_id").alias("id"), URI).drop_nulls("id").unique("id", keep="none")
    found = pl.DataFrame({"id": ids}).join(table, on="id", how="left", maintain_order="left")[URI]
    if found.null_count() == found.len():
        found = find_items(context, ids)
    if found.null_count() == found.len():  # 139 is the image 000000000139.jpg
        stem = context.items.select(
            URI, pl.col(URI).str.extract(r"([0-9]+)\.[A-Za-z0-9]+$").str.strip_chars_start("0").alias("id")
        )
        table = stem.drop_nulls("id").unique("id", keep="none")
        found = pl.DataFrame({"id": ids.str.strip_chars_start("0")}).join(
            table, on="id", how="left", maintain_order="left"
        )[URI]
    return found


def _as_xywh(frame: pl.DataFrame, context: Context, name: str, box_format: str) -> pl.DataFrame:
    """Bring boxes to x, y, w, h in pixels; refuse what is plainly written in another way."""
    sizes = context.items.select(
        URI, pl.col("width").cast(pl.Float64).alias("_w"), pl.col("height").cast(pl.Float64).alias("_h")
    )
    sized = frame.join(sizes, on=URI, how="left", maintain_order="left")
    base = box_format.removesuffix("n")
    if box_format.endswith("n"):
        if sized["_w"].null_count():
            raise InputError(
                "The size of some images is not known, so shares cannot become pixels.", "Call p.compute() first."
            )
        sized = sized.with_columns(pl.col("x", "w") * pl.col("_w"), pl.col("y", "h") * pl.col("_h"))
    if base == "xyxy":
        sized = sized.with_columns(pl.col("w") - pl.col("x"), pl.col("h") - pl.col("y"))
    elif base == "cxcywh":
        sized = sized.with_columns(pl.col("x") - pl.col("w") / 2, pl.col("y") - pl.col("h") / 2)
    elif box_format == "xywh":
        _check_convention(sized, name)
    return sized.drop("_w", "_h")


def _check_convention(sized: pl.DataFrame, name: str) -> None:
    known = sized.drop_nulls(["_w", "_h", *BOX_COLUMNS])
    if known.height < _LEAST_BOXES:
        return
    x, y, w, h, width, height = (known[c].to_numpy() for c in (*BOX_COLUMNS, "_w", "_h"))
    if max(np.abs(v).max() for v in (x, y, w, h)) <= 1 and min(width.min(), height.min()) > _LEAST_SIDE_PX:
        raise InputError(
            f'The boxes of "{name}" are shares of the image, not pixels: no number is above 1.',
            'Pass box_format="xywhn" (or "xyxyn", "cxcywhn").',
        )
    beyond = (x + w > width * _SLACK) | (y + h > height * _SLACK)
    corners = (w > x) & (h > y) & (w <= width * _SLACK) & (h <= height * _SLACK)
    if beyond.mean() > _MOST and corners.mean() > _ALMOST_ALL:
        raise InputError(
            f'{int(beyond.sum()):,} of the {len(x):,} boxes of "{name}" reach beyond their image when read as x, y, '
            "width, height; read as two corners they fit.",
            'Pass box_format="xyxy".',
        )


def by_code(codes: pl.Series, context: Context, names: Sequence[str] | None = None) -> pl.Series:
    """Return the class of each number; null where there is none."""
    numbered = dict(enumerate(names)) if names is not None else dict(context.categories)
    keys = [str(k) for k in numbered]
    return codes.cast(pl.String).replace_strict(keys, list(numbered.values()), default=None, return_dtype=pl.String)
