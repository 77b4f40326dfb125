"""One level of a project at one moment: its frame, its metrics and what the edits say of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..expressions import UNTAGGED_COLUMN, inner_of_has, tag_column, with_tag_columns
from ..schema import ITEM_ID, TAGS
from ..store.fold import LevelEdits

Mask = NDArray[np.bool_]

_FEW_ROWS = 2000


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
    below : tuple of Level
        Of items: the objects and the classifications on them.
    item_rows : pl.Series or None
        Of labels: the ordinal of each one's item.
    stored_as : str
        The name that edits, values and embeddings are kept under, where it is not `name`: a run that
        takes the place of another begins without its tags.
    """

    name: str
    frame: pl.DataFrame
    key: str
    edits: LevelEdits
    metrics: tuple[str, ...] = ()
    phash: pl.Series | None = None
    below: tuple[Level, ...] = ()
    item_rows: pl.Series | None = None
    stored_as: str = ""

    @property
    def stored(self) -> str:
        """The name that this level is stored under."""
        return self.stored_as or self.name

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

    def alive_frame(self) -> pl.DataFrame:
        """Return the rows that were not removed."""
        return self.frame if self.alive is None else self.frame.filter(pl.Series(self.alive))

    def evaluate(self, expr: pl.Expr) -> pl.Series:
        """Evaluate a condition on every row, removed ones included: true, false or null.

        It may speak of tags, and (of items) of what is on them; see `ea.tagged` and `ea.has`.
        """
        rewritten = with_tag_columns(expr, self.tag_names)
        frame = self.query_frame
        names = rewritten.meta.root_names()
        if TAGS in names:
            frame = frame.with_columns(self.tags_of(np.arange(self.n)))
        frame = frame.with_columns(self.has_columns([rewritten]))
        return frame.select(rewritten.alias("keep"))["keep"]

    def has_columns(self, exprs: list[pl.Expr]) -> list[pl.Series]:
        """Return a Boolean column for each `ea.has(…)` that expressions speak of."""
        names = dict.fromkeys(name for e in exprs for name in e.meta.root_names())
        found = [(name, inner) for name in names if (inner := inner_of_has(name)) is not None]
        return [self._has(inner).alias(name) for name, inner in found]

    def _has(self, inner: pl.Expr) -> pl.Series:
        """Tell which items carry an object (or classification) that meets a condition."""
        ids = []
        for level in self.below:
            if all(name in level.columns for name in inner.meta.root_names()):
                keep = level.evaluate(inner).fill_null(value=False)
                if level.alive is not None:
                    keep = keep & pl.Series(level.alive)
                ids.append(level.frame[ITEM_ID].filter(keep))
        if not ids:
            return pl.repeat(value=False, n=self.n, dtype=pl.Boolean, eager=True)
        return self.frame[ITEM_ID].is_in(pl.concat(ids).unique().implode())

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
