"""What a project holds right now, as immutable frames: tables, metrics and edits joined by row.

Row i of every level's frame is ordinal i, also for removed items, so that a bitset or an
array of ordinals means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from . import schema
from .expressions import UNTAGGED_COLUMN, tag_column
from .schema import CHANGE_ID, CLASS_NAME, CONTENT_HASH, ITEM, ITEM_ID, LABEL_ID, ORDINAL, REVISION, TAGS, URI
from .store.edits import EditLog
from .store.fold import LevelEdits
from .store.folder import ProjectFolder
from .store.tables import Table

Mask = NDArray[np.bool_]

LABEL_LEVELS = (schema.OBJECT, schema.CLASSIFICATION)
FILE_METRICS = ("width", "height", "area", "aspect_ratio", "file_size")
_FEW_ROWS = 2000
_LATE_COLUMNS = ("mode", "group", "added_at", CONTENT_HASH)


@dataclass(frozen=True)
class Level:
    """One level (items, objects, classifications) at one moment.

    Attributes
    ----------
    frame : pl.DataFrame
        All columns a user sees but `tags`; n rows in ordinal order.
    key : str
        The id column.
    edits : LevelEdits
        Tags and removals.
    metrics : tuple of str
        Which columns are metrics.
    """

    name: str
    frame: pl.DataFrame
    key: str
    edits: LevelEdits
    metrics: tuple[str, ...] = ()
    phash: pl.Series | None = None

    @property
    def n(self) -> int:
        """Number of rows, removed ones included."""
        return self.frame.height

    @property
    def tag_names(self) -> list[str]:
        """The tags of this level, oldest first."""
        return list(self.edits.tags)

    @cached_property
    def alive(self) -> Mask | None:
        """Rows that were not removed; None when no row was."""
        removed = self.edits.removed
        return None if removed is None or not removed.any() else ~removed

    @cached_property
    def tag_frame(self) -> pl.DataFrame:
        """A Boolean column a tag, and one for rows without any."""
        masks = self.edits.tags
        columns = {tag_column(k): pl.Series(v) for k, v in masks.items()}
        any_tag = np.logical_or.reduce(list(masks.values())) if masks else np.zeros(self.n, np.bool_)
        return pl.DataFrame({**columns, UNTAGGED_COLUMN: pl.Series(~any_tag, dtype=pl.Boolean)})

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names a filter may use."""
        return frozenset([*self.frame.columns, TAGS])

    @cached_property
    def query_frame(self) -> pl.DataFrame:
        """The frame and the Boolean tag columns side by side; no copy."""
        return pl.concat([self.frame, self.tag_frame], how="horizontal")

    def has_nan(self, name: str) -> bool:
        """Tell whether a float column holds NaN; looked up once a column."""
        known = self._nan_columns
        if name not in known:
            is_float = name in self.frame.columns and self.frame.schema[name].is_float()
            known[name] = is_float and bool(self.frame[name].is_nan().any())
        return known[name]

    @cached_property
    def _nan_columns(self) -> dict[str, bool]:
        return {}

    def alive_rows(self) -> NDArray[np.uint32]:
        """Ordinals of the rows that were not removed."""
        if self.alive is None:
            return np.arange(self.n, dtype=np.uint32)
        return np.flatnonzero(self.alive).astype(np.uint32)

    def tags_of(self, rows: NDArray[np.integer]) -> pl.Series:
        """Build the list column `tags` for some rows."""
        names = self.tag_names
        if not names or rows.size == 0:
            return pl.Series(TAGS, [[] for _ in range(rows.size)], dtype=pl.List(pl.String))
        hits = np.stack([self.edits.tags[n][rows] for n in names], axis=1)
        if rows.size <= _FEW_ROWS:
            lists = [[n for n, hit in zip(names, row, strict=True) if hit] for row in hits.tolist()]
            return pl.Series(TAGS, lists, dtype=pl.List(pl.String))
        row, tag = np.nonzero(hits)
        offsets = np.concatenate([[0], np.cumsum(hits.sum(axis=1))])
        flat = pl.Series(names, dtype=pl.String).gather(tag) if tag.size else pl.Series([], dtype=pl.String)
        lengths = np.diff(offsets)
        grouped = pl.DataFrame({"row": row, "tag": flat}).group_by("row", maintain_order=True).agg("tag")
        out = pl.DataFrame({"row": np.arange(lengths.size)}).join(grouped, on="row", how="left", maintain_order="left")
        return out["tag"].fill_null([]).cast(pl.List(pl.String)).alias(TAGS)


@dataclass(frozen=True)
class Snapshot:
    """All levels at one moment, and a number that grows with every change."""

    revision: int
    levels: Mapping[str, Level]
    filters: Mapping[str, Any] = field(default_factory=dict)
    undo: str | None = None
    redo: str | None = None

    @property
    def items(self) -> Level:
        """The item level."""
        return self.levels[ITEM]


class StateReader:
    """Follows the tables of a project and builds snapshots; called under the project's lock."""

    def __init__(self, folder: ProjectFolder) -> None:
        self._folder = folder
        self._log = EditLog(folder.edits)
        self._frames: dict[str, tuple[int, pl.DataFrame]] = {}
        self._parts: tuple[Any, ...] = ()
        self._base: dict[str, tuple[pl.DataFrame, str, tuple[str, ...], pl.Series | None]] = {}
        self._snapshot: Snapshot | None = None

    @property
    def log(self) -> EditLog:
        """The edit log."""
        return self._log

    def snapshot(self) -> Snapshot:
        """Return the current state, reading only what changed since the last call."""
        old = self._snapshot
        families = self._folder.families()
        tables: dict[str, Table] = {
            "items": self._folder.items,
            "labels": self._folder.labels,
            "changes": self._folder.changes,
            "pixels": self._folder.pixels,
            **{f"values/{f}": self._folder.values(f) for f in families},
        }
        stamps = tuple((k, t.stamp()) for k, t in tables.items())
        changed = stamps != self._parts
        if changed:
            self._rebuild(tables)
            self._parts = stamps
        sizes = {k: v[0].height for k, v in self._base.items()}
        edited = self._log.refresh(sizes)
        if old is not None and not changed and not edited:
            return old
        return self._publish()

    def publish(self) -> Snapshot:
        """Return a new snapshot after an edit this process appended."""
        return self._publish()

    def _publish(self) -> Snapshot:
        state = self._log.state
        levels: dict[str, Level] = {}
        for name, (frame, key, metrics, phash) in self._base.items():
            edits = state.level(name, frame.height)
            if name != ITEM:
                edits = self._without_removed_items(frame, edits, levels[ITEM])
            levels[name] = Level(name, frame, key, edits, metrics, phash)
        self._snapshot = Snapshot(
            revision=(self._snapshot.revision if self._snapshot else 0) + 1,
            levels=levels,
            filters=dict(state.filters),
            undo=state.done[-1].text if state.done else None,
            redo=state.undone[-1].text if state.undone else None,
        )
        return self._snapshot

    @staticmethod
    def _without_removed_items(frame: pl.DataFrame, edits: LevelEdits, items: Level) -> LevelEdits:
        """Labels leave the project together with their item."""
        removed = items.edits.removed
        if removed is None or not removed.any():
            return edits
        gone = items.frame[ITEM_ID].filter(pl.Series(removed))
        mask = frame[ITEM_ID].is_in(gone.implode()).to_numpy()
        own = edits.removed
        return LevelEdits(edits.n, edits.tags, edits.colors, mask if own is None else mask | own)

    def _read(self, name: str, table: Table) -> pl.DataFrame:
        stamp = table.stamp()
        cached = self._frames.get(name)
        if cached is not None and cached[0] == stamp:
            return cached[1]
        frame = table.read()
        self._frames[name] = (stamp, frame)
        return frame

    def _rebuild(self, tables: Mapping[str, Table]) -> None:
        frames = {name: self._read(name, table) for name, table in tables.items()}
        committed = frames["changes"].select(CHANGE_ID)
        items = newest_rows(frames["items"].join(committed, on=CHANGE_ID, how="semi"))
        labels = frames["labels"].join(committed, on=CHANGE_ID, how="semi").sort(ORDINAL)
        values = {k.split("/", 1)[1]: v for k, v in frames.items() if k.startswith("values/")}
        frame, metrics, phash = _item_frame(items, labels, frames["pixels"], values)
        self._base = {ITEM: (frame, ITEM_ID, metrics, phash)}
        self._items = items
        for level in LABEL_LEVELS:
            is_object = pl.col("kind") != schema.KIND_CLASSIFICATION
            part = labels.filter(is_object if level == schema.OBJECT else ~is_object)
            self._base[level] = (_label_frame(part, frame), LABEL_ID, (), None)

    @property
    def raw_items(self) -> pl.DataFrame:
        """The items table in `schema.ITEMS`, one row an item."""
        return self._items


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


def _item_frame(
    items: pl.DataFrame, labels: pl.DataFrame, pixels: pl.DataFrame, values: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, tuple[str, ...], pl.Series | None]:
    meta = [c for c in items.columns if c not in schema.ITEMS.columns]
    base = items.with_columns(
        (pl.col("width").cast(pl.Float32) * pl.col("height").cast(pl.Float32)).alias("area"),
        (pl.col("width").cast(pl.Float32) / pl.col("height").cast(pl.Float32)).alias("aspect_ratio"),
        pl.col("bytes").alias("file_size"),
    )
    classes = (
        labels.filter(pl.col("kind") == schema.KIND_CLASSIFICATION)
        .group_by(ITEM_ID, maintain_order=True)
        .agg(pl.col(CLASS_NAME).first())
    )
    objects = labels.filter(pl.col("kind") != schema.KIND_CLASSIFICATION)
    if not classes.is_empty():
        base = base.join(classes, on=ITEM_ID, how="left", maintain_order="left")
    if not objects.is_empty():
        counts = objects.group_by(ITEM_ID).agg(pl.len().cast(pl.Int64).alias("object_count"))
        base = base.join(counts, on=ITEM_ID, how="left", maintain_order="left").with_columns(
            pl.col("object_count").fill_null(0)
        )
    metrics = [c for c in FILE_METRICS if base[c].null_count() < base.height]
    base, pixel_names, phash = _join_pixels(base, pixels)
    metrics += pixel_names
    for family in values.values():
        names = [c for c in family.columns if c != ORDINAL]
        current = family.filter(pl.col(ORDINAL) < base.height)
        shared = [c for c in names if c in base.columns]
        base = base.drop(shared).join(current, on=ORDINAL, how="left", maintain_order="left")
        metrics += [c for c in names if c != schema.DUPLICATE_GROUP and c not in metrics]
    front = [ITEM_ID, URI, *([CLASS_NAME] if CLASS_NAME in base.columns else []), *meta]
    hidden = {*schema.HIDDEN_ITEM_COLUMNS, "bytes"}
    counts_columns = [c for c in ("object_count", schema.DUPLICATE_GROUP) if c in base.columns]
    late = [c for c in _LATE_COLUMNS if c in base.columns]
    rest = [c for c in ("frame",) if base[c].null_count() < base.height]
    order = [*front, *rest, *metrics, *counts_columns, *late, ORDINAL]
    extra = [c for c in base.columns if c not in order and c not in hidden and c != "frame"]
    frame = base.select(list(dict.fromkeys([*order, *extra])))
    return frame.rechunk(), tuple(metrics), phash


def _join_pixels(base: pl.DataFrame, pixels: pl.DataFrame) -> tuple[pl.DataFrame, list[str], pl.Series | None]:
    if pixels.is_empty():
        return base, [], None
    newest = newest_values(pixels)
    names = [c for c in newest.columns if c not in schema.PIXEL_METRICS.columns and c not in base.columns]
    joined = base.join(
        newest.select(CONTENT_HASH, schema.PHASH, *names), on=CONTENT_HASH, how="left", maintain_order="left"
    )
    return joined.drop(schema.PHASH), names, joined[schema.PHASH]


def newest_values(pixels: pl.DataFrame) -> pl.DataFrame:
    """One row a content: of each column the value written last."""
    if pixels[CONTENT_HASH].n_unique() == pixels.height:
        return pixels
    ordered = pixels.sort(CONTENT_HASH, "written_ns")
    return ordered.group_by(CONTENT_HASH, maintain_order=True).agg(pl.all().drop_nulls().last())


def _label_frame(labels: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Renumber the labels of one level from 0; carry the item's address along."""
    hidden = [c for c in (CHANGE_ID,) if c in labels.columns]
    present = [
        c for c in labels.columns if c not in hidden and (labels[c].null_count() < labels.height or c == CLASS_NAME)
    ]
    base = labels.select(list(dict.fromkeys([LABEL_ID, ITEM_ID, *present, "kind", ORDINAL])))
    base = base.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL))
    return base.join(items.select(ITEM_ID, URI), on=ITEM_ID, how="left", maintain_order="left").rechunk()
