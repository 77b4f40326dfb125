"""Tables joined to the frames users see: items with metrics, labels with their item's address."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .. import schema
from ..schema import CHANGE_ID, CLASS_NAME, CONTENT_HASH, ITEM_ID, LABEL_ID, NOTE, ORDINAL, REVISION, URI
from ..store.fold import DECISIONS, LevelEdits

FILE_METRICS = ("width", "height", "area", "aspect_ratio", "file_size")
OBJECT_COUNT = "object_count"
VERSION_OF = "version:"
"""Begins the column that says by which definition a value of a custom metric of pixels was made."""
_LATE_COLUMNS = ("mode", "group", "added_at", schema.EXTRA, CONTENT_HASH)
_ITEM_CONTEXT = (URI, schema.GROUP, schema.FRAME, schema.SPLIT)
_NO_METRICS = (schema.DUPLICATE_GROUP, schema.SPLIT)

Mask = NDArray[np.bool_]


def newest_rows(items: pl.DataFrame) -> pl.DataFrame:
    """Keep the newest revision of each item, in ordinal order.

    A later revision carries only what changed: the metadata of the first row stays.
    """
    if items[ORDINAL].n_unique() == items.height:
        return items.sort(ORDINAL)
    last = items.sort(ORDINAL, REVISION).group_by(ORDINAL, maintain_order=True)
    keep_first = ["added_at"]
    others = [c for c in items.columns if c not in (ORDINAL, *keep_first)]
    return last.agg(*(pl.col(c).drop_nulls().last() for c in others), *(pl.col(c).first() for c in keep_first)).select(
        items.columns
    )


def item_frame(
    items: pl.DataFrame, pixels: pl.DataFrame, values: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, tuple[str, ...], pl.Series | None]:
    """Join items with their metrics; returns the frame, the names of its metrics and the perceptual hashes."""
    meta = [c for c in items.columns if c not in schema.ITEMS.columns and c != schema.EXTRA]
    base = items.with_columns(
        (pl.col("width").cast(pl.Float32) * pl.col("height").cast(pl.Float32)).alias("area"),
        (pl.col("width").cast(pl.Float32) / pl.col("height").cast(pl.Float32)).alias("aspect_ratio"),
        pl.col("bytes").alias("file_size"),
    )
    metrics = [c for c in FILE_METRICS if base[c].null_count() < base.height]
    base, pixel_names, phash = _join_pixels(base, pixels)
    base, value_names = _join_values(base, values)
    metrics += pixel_names + [c for c in value_names if c not in metrics]
    rest = [c for c in (schema.FRAME,) if base[c].null_count() < base.height]
    late = [c for c in (schema.DUPLICATE_GROUP, *_LATE_COLUMNS) if c in base.columns]
    order = [ITEM_ID, URI, *meta, *rest, *metrics, *late, ORDINAL]
    hidden = {*schema.HIDDEN_ITEM_COLUMNS, "bytes", schema.FRAME}
    extra = [c for c in base.columns if c not in order and c not in hidden]
    frame = base.select(list(dict.fromkeys([*order, *extra])))
    return frame.rechunk(), tuple(metrics), phash


def _join_values(base: pl.DataFrame, values: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, list[str]]:
    """Join families of row-wise values; of two with one name the later family counts."""
    metrics: list[str] = []
    for family in values.values():
        names = [c for c in family.columns if c != ORDINAL]
        current = family.filter(pl.col(ORDINAL) < base.height)
        shared = [c for c in names if c in base.columns]
        base = base.drop(shared).join(current, on=ORDINAL, how="left", maintain_order="left")
        numbers = [c for c in names if family.schema[c] != pl.String]  # texts are no metrics
        metrics += [c for c in numbers if c not in _NO_METRICS and c not in metrics]
    return base, metrics


def label_columns(
    items: pl.DataFrame, classes: pl.DataFrame, classes_alive: Mask | None, objects: pl.DataFrame, alive: Mask | None
) -> pl.DataFrame:
    """Return `items` with what their labels say of them: `class_name` and `object_count`."""
    shown = classes if classes_alive is None else classes.filter(pl.Series(classes_alive))
    out = items
    if classes.height:
        first = shown.unique(ITEM_ID, keep="first", maintain_order=True).select(ITEM_ID, CLASS_NAME)
        out = out.join(first, on=ITEM_ID, how="left", maintain_order="left")
    if objects.height:
        kept = objects if alive is None else objects.filter(pl.Series(alive))
        counts = kept.group_by(ITEM_ID).agg(pl.len().cast(pl.Int64).alias(OBJECT_COUNT))
        out = out.join(counts, on=ITEM_ID, how="left", maintain_order="left").with_columns(
            pl.col(OBJECT_COUNT).fill_null(0)
        )
    front = [ITEM_ID, URI, *([CLASS_NAME] if CLASS_NAME in out.columns else [])]
    at_end = [c for c in (OBJECT_COUNT, *_LATE_COLUMNS, ORDINAL) if c in out.columns]
    middle = [c for c in out.columns if c not in front and c not in at_end]
    return out.select([*front, *middle, *at_end])


def label_frame(
    labels: pl.DataFrame, items: pl.DataFrame, values: Mapping[str, pl.DataFrame], *, key: str = LABEL_ID
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Renumber the labels of one level from 0, join their metrics; carry the item's address along."""
    context = items.select(ITEM_ID, *(c for c in _ITEM_CONTEXT if c in items.columns))
    base = labels.drop(CHANGE_ID).with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL))
    base = base.drop([c for c in context.columns if c != ITEM_ID], strict=False)
    base = base.join(context, on=ITEM_ID, how="left", maintain_order="left")
    base, metrics = _join_values(base, values)
    first = [key, ITEM_ID, URI, CLASS_NAME, *(c for c in (schema.CONFIDENCE,) if c in base.columns), "kind"]
    some = [c for c in base.columns if c not in first and base[c].null_count() < base.height]
    last = [c for c in (schema.EXTRA, ORDINAL) if c in some or c == ORDINAL]
    geometry = [c for c in schema.GEOMETRY if c in some]
    shown = [c for c in metrics if c in some]
    rest = [c for c in some if c not in (*geometry, *shown, *last)]
    return base.select([*first, *geometry, *shown, *rest, *last]).rechunk(), tuple(shown)


def edited_frame(frame: pl.DataFrame, edits: LevelEdits) -> pl.DataFrame:
    """Return a frame with the classes, notes and verdicts that edits gave to its rows."""
    changes: list[pl.Series] = []
    if edits.classes is not None and CLASS_NAME in frame.columns and (edits.classes >= 0).any():
        names = pl.Series(edits.class_names, dtype=pl.String)
        given = names.gather(np.maximum(edits.classes, 0))
        changes.append(given.zip_with(pl.Series(edits.classes >= 0), frame[CLASS_NAME]).alias(CLASS_NAME))
    if edits.notes:
        notes = pl.DataFrame(
            {ORDINAL: list(edits.notes), NOTE: list(edits.notes.values())},
            schema={ORDINAL: pl.UInt32, NOTE: pl.String},
        )
        changes.append(frame.select(ORDINAL).join(notes, on=ORDINAL, how="left", maintain_order="left")[NOTE])
    if edits.verdicts:
        changes.append(_reviewed(edits))
    return frame.with_columns(changes) if changes else frame


def divided_frame(items: pl.DataFrame, edits: LevelEdits) -> pl.DataFrame:
    """Return the items with the parts that edits put them into as their `split`."""
    if edits.splits is None or not (edits.splits >= 0).any():
        return items
    names = pl.Series(edits.split_names, dtype=pl.String)
    given = names.gather(np.maximum(edits.splits, 0))
    had = schema.SPLIT in items.columns
    own = items[schema.SPLIT].cast(pl.String) if had else pl.repeat(None, items.height, dtype=pl.String, eager=True)
    out = items.with_columns(given.zip_with(pl.Series(edits.splits >= 0), own).alias(schema.SPLIT))
    return out.rechunk()


def with_split(labels: pl.DataFrame, items: pl.DataFrame, item_rows: pl.Series | None) -> pl.DataFrame:
    """Return labels with the split of the item that each is on."""
    if schema.SPLIT not in items.columns or item_rows is None:
        return labels
    return labels.with_columns(items[schema.SPLIT].gather(item_rows).alias(schema.SPLIT))


def _reviewed(edits: LevelEdits) -> pl.Series:
    """Return what reviews said of each row; of several answers the one that counts most: a change before a no."""
    codes = np.zeros(edits.n, np.uint8)
    for given in edits.verdicts.values():
        codes = np.where((codes == 0) | (given == 1) | (given >= 3), np.where(given > 0, given, codes), codes)
    names = pl.Series([None, *DECISIONS[1:]], dtype=pl.String)
    return names.gather(codes).alias(schema.REVIEWED)


def _join_pixels(base: pl.DataFrame, pixels: pl.DataFrame) -> tuple[pl.DataFrame, list[str], pl.Series | None]:
    if pixels.is_empty():
        return base, [], None
    newest = newest_values(pixels)
    names = [c for c in newest.columns if c not in schema.PIXEL_METRICS.columns and c not in base.columns]
    names = [c for c in names if not c.startswith(VERSION_OF)]
    joined = base.join(
        newest.select(CONTENT_HASH, schema.PHASH, *names), on=CONTENT_HASH, how="left", maintain_order="left"
    )
    return joined.drop(schema.PHASH), names, joined[schema.PHASH]


def newest_values(pixels: pl.DataFrame) -> pl.DataFrame:
    """One row a content: of each column the value written last, without values of an older definition."""
    if pixels[CONTENT_HASH].n_unique() == pixels.height:
        return pixels
    ordered = pixels.sort(CONTENT_HASH, "written_ns")
    defined = [c for c in ordered.columns if c.startswith(VERSION_OF)]
    ordered = ordered.with_columns(
        pl.when(pl.col(c).fill_null(1) == pl.col(c).drop_nulls().last().over(CONTENT_HASH).fill_null(1))
        .then(pl.col(c.removeprefix(VERSION_OF)))
        .alias(c.removeprefix(VERSION_OF))
        for c in defined
    )
    return ordered.group_by(CONTENT_HASH, maintain_order=True).agg(pl.all().drop_nulls().last())
