"""What changed between two states of a project, as frames.

Rows are never renumbered: row i of a level is the same image or label in every state that has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import (
    CHANGE,
    CLASS_NAME,
    CONTENT_HASH,
    ITEM,
    ITEM_ID,
    LABEL_ID,
    LABEL_LEVELS,
    NOTE,
    REVIEWED,
    SPLIT,
    TAGS,
    URI,
)
from .drift import METRICS, SAME, compared_runs, drift

if TYPE_CHECKING:
    from ..content.levels import Level
    from ..project import Project
    from ..view import View
    from ..widgets.explorer import Explorer

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

ADDED, REMOVED, RELABELLED, MOVED = "added", "removed", "relabelled", "moved"
CHANGED, RENAMED = "changed", "renamed"
NOW = "now"
_BOX = ("x", "y", "w", "h")
_LEVELS = (ITEM, *LABEL_LEVELS)
_SHOWN = 5

_ITEMS = {CHANGE: pl.String, ITEM_ID: pl.String, URI: pl.String, "uri_before": pl.String}
_LABELS: dict[str, Any] = {
    CHANGE: pl.String, "level": pl.String, LABEL_ID: pl.String, "label_id_before": pl.String, ITEM_ID: pl.String,
    URI: pl.String, "before": pl.String, "after": pl.String, **{f"{c}_before": pl.Float64 for c in _BOX},
    **dict.fromkeys(_BOX, pl.Float64),
}  # fmt: skip
_TEXTS = dict.fromkeys(("level", "id", ITEM_ID, URI, "before", "after"), pl.String)
_LIST = pl.List(pl.String)


@dataclass(frozen=True)
class _Sides:
    """One level in both states: `was` and `is_` say which of its rows were there, and are."""

    name: str
    old: Level
    new: Level
    was: Mask
    is_: Mask

    @classmethod
    def of(cls, name: str, old: Level, new: Level) -> _Sides:
        n = max(old.n, new.n)
        return cls(name, old, new, _there(old, n), _there(new, n))

    @property
    def both(self) -> Mask:
        return self.was & self.is_

    def before(self, column: str, rows: Rows) -> pl.Series:
        """Return values of some rows as they were; null of those that were not there."""
        return _values(self.old, column, rows, self.was)

    def after(self, column: str, rows: Rows) -> pl.Series:
        """Return values of some rows as they are; null of those that are not there."""
        return _values(self.new, column, rows, self.is_)

    def either(self, column: str, rows: Rows) -> pl.Series:
        """Return values of some rows as they are, else as they were."""
        now, then = self.after(column, rows), self.before(column, rows)
        return now.zip_with(now.is_not_null(), then)

    def differs(self, column: str) -> Mask:
        """Find the rows that are there on both sides with other values."""
        m, out = min(self.old.n, self.new.n), np.zeros(self.was.size, np.bool_)
        a, b = (f[column].head(m) if column in f.columns else None for f in (self.old.frame, self.new.frame))
        if a is not None and b is not None:
            out[:m] = a.ne_missing(b).to_numpy()
        elif a is not None or b is not None:
            one = a if a is not None else b
            assert one is not None
            out[:m] = one.is_not_null().to_numpy()
        return out & self.both

    def alone(self, column: str) -> Mask:
        """Find the rows that are on one side alone and have a value."""
        out = np.zeros(self.was.size, np.bool_)
        for level, there in ((self.old, self.was & ~self.is_), (self.new, self.is_ & ~self.was)):
            if column in level.frame.columns:
                out[: level.n] |= level.frame[column].is_not_null().to_numpy() & there[: level.n]
        return out

    def named(self, rows: Rows) -> pl.DataFrame:
        """Return level, id, item and address of some rows."""
        key = self.old.key
        columns = {"id": self.either(key, rows), ITEM_ID: self.either(ITEM_ID, rows), URI: self.either(URI, rows)}
        return pl.DataFrame({"level": _said(self.name, rows.size), **columns})


class Difference:
    """What changed from one state of a project to another; made by `Project.diff`.

    Each frame is made when it is first asked for, and holds the rows that changed. Rows that are on one side alone
    are listed in `items` and `labels`; what was tagged or noted on them is listed too, against nothing.

    Attributes
    ----------
    before, after : Project
        The two states; all verbs that change nothing work on them.
    """

    def __init__(self, project: Project, before: str, after: str | None = None) -> None:
        self.names = (before, NOW if after is None else after)
        self.before = project.at(before)
        self.after = project if after is None else project.at(after)
        self._project = project
        # The present goes on: all frames of this difference look at one moment of it.
        self._states = (self.before._snapshot(), self.after._snapshot())
        self._levels = {n: _Sides.of(n, *(s.levels[n] for s in self._states)) for n in _LEVELS}

    @cached_property
    def items(self) -> pl.DataFrame:
        """Images: `change` ("added", "removed", "changed": another file content, "renamed"), `item_id`, `uri`."""
        s = self._levels[ITEM]
        masks = {ADDED: ~s.was & s.is_, REMOVED: s.was & ~s.is_, CHANGED: s.differs(CONTENT_HASH)}
        rows, change = _chosen({**masks, RENAMED: s.differs(URI)})
        found = {ITEM_ID: s.either(ITEM_ID, rows), URI: s.either(URI, rows), "uri_before": s.before(URI, rows)}
        return _typed(pl.DataFrame({CHANGE: change, **found}), _ITEMS)

    @cached_property
    def labels(self) -> pl.DataFrame:
        """Labels: `change` ("added", "removed", "relabelled", "moved"), ids, classes and boxes before and after."""
        return pl.concat([self._labels_of(self._levels[name]) for name in LABEL_LEVELS])

    def _labels_of(self, s: _Sides) -> pl.DataFrame:
        masks = {ADDED: ~s.was & s.is_, REMOVED: s.was & ~s.is_, RELABELLED: s.differs(CLASS_NAME)}
        rows, change = _chosen(masks)
        # A label that went, and the one that an accepted suggestion put in its place, are one that moved.
        new_of = {
            new: old
            for new, old in s.new.edits.replaces.items()
            if s.is_[new] and not s.was[new] and s.was[old] and not s.is_[old]
        }
        old_rows = np.array([new_of.get(r, r) for r in rows.tolist()], np.int64) if new_of else rows
        frame = pl.DataFrame(
            {
                CHANGE: change,
                "level": _said(s.name, rows.size),
                LABEL_ID: s.either(LABEL_ID, rows),
                "label_id_before": s.before(LABEL_ID, old_rows),
                ITEM_ID: s.either(ITEM_ID, rows),
                URI: s.either(URI, rows),
                "before": s.before(CLASS_NAME, old_rows),
                "after": s.after(CLASS_NAME, rows),
                **{f"{c}_before": s.before(c, old_rows) for c in _BOX},
                **{c: s.after(c, rows) for c in _BOX},
            }
        )
        if new_of:
            moved, gone = np.isin(rows, list(new_of)), np.isin(rows, list(new_of.values()))
            words = _said(MOVED, rows.size)
            frame = frame.with_columns(words.zip_with(pl.Series(moved), change).alias(CHANGE)).filter(pl.Series(~gone))
        return _typed(frame, _LABELS)

    @cached_property
    def tags(self) -> pl.DataFrame:
        """Rows with other tags: `level`, `id`, tags `before` and `after`, those `added` and `removed`."""
        frames = []
        for s in self._levels.values():
            changed = np.zeros(s.was.size, np.bool_)
            for tag in dict.fromkeys([*s.old.tag_names, *s.new.tag_names]):
                changed |= _tagged(s.old, tag, s.was) != _tagged(s.new, tag, s.is_)
            rows = np.flatnonzero(changed)
            before, after = _tags(s.old, rows, s.was), _tags(s.new, rows, s.is_)
            frames.append(s.named(rows).with_columns(before.alias("before"), after.alias("after")))
        found = pl.concat(frames, how="vertical_relaxed").with_columns(pl.col("before", "after").cast(_LIST))
        return found.with_columns(
            pl.col("after").list.set_difference("before").alias("added"),
            pl.col("before").list.set_difference("after").alias("removed"),
        )

    @cached_property
    def notes(self) -> pl.DataFrame:
        """Rows with another note: `level`, `id`, `before`, `after`."""
        return self._texts(NOTE)

    @cached_property
    def reviews(self) -> pl.DataFrame:
        """Rows that a review answered otherwise: `level`, `id`, `before`, `after`."""
        return self._texts(REVIEWED)

    @cached_property
    def splits(self) -> pl.DataFrame:
        """Images that are in another split: `level`, `id`, `before`, `after`."""
        s = self._levels[ITEM]
        rows = np.flatnonzero(s.differs(SPLIT))
        values = {"before": s.before(SPLIT, rows), "after": s.after(SPLIT, rows)}
        return _typed(s.named(rows).with_columns(**values), _TEXTS)

    def _texts(self, column: str) -> pl.DataFrame:
        """Return the rows where a column differs; a row that is not there has no value."""
        frames = []
        for s in self._levels.values():
            rows = np.flatnonzero(s.differs(column) | s.alone(column))
            values = {"before": s.before(column, rows), "after": s.after(column, rows)}
            frames.append(_typed(s.named(rows).with_columns(**values), _TEXTS))
        return pl.concat(frames)

    @cached_property
    def metrics(self) -> pl.DataFrame:
        """How metrics drifted, the largest drift first.

        `ks` is the two-sample Kolmogorov–Smirnov statistic, the largest distance of the two distribution functions,
        0 to 1; `rows_changed` counts the rows that are there on both sides with other values.
        """
        rows = []
        for s in self._levels.values():
            for metric in dict.fromkeys([*s.old.metrics, *s.new.metrics]):
                row = drift(metric, s.old, s.new, s.was, s.is_)
                if row is not None:
                    rows.append({"level": s.name, "metric": metric, **row})
        return pl.DataFrame(rows, schema=METRICS).sort("ks", "rows_changed", descending=True, nulls_last=True)

    @cached_property
    def runs(self) -> pl.DataFrame:
        """Runs: `change` ("added", "removed", "replaced", "same"), and mAP, or accuracy, before and after.

        Each run is evaluated against the labels of its time. A measure is null where there is nothing to compare.
        """
        return compared_runs(self.before, self.after, *(s.runs for s in self._states))

    @cached_property
    def summary(self) -> pl.DataFrame:
        """How many rows changed in which way: `what`, `change`, `count`."""
        parts = [self.items.select(pl.lit("image").alias("what"), CHANGE)]
        parts.append(self.labels.select(pl.col("level").alias("what"), CHANGE))
        edited = {"retagged": self.tags, "noted": self.notes, "reviewed": self.reviews, "divided anew": self.splits}
        for word, frame in edited.items():
            parts.append(frame.select(pl.col("level").replace(ITEM, "image").alias("what"), pl.lit(word).alias(CHANGE)))
        counted = pl.concat(parts).group_by("what", CHANGE, maintain_order=True)
        return counted.agg(pl.len().cast(pl.Int64).alias("count"))

    def __bool__(self) -> bool:
        """Tell whether any image, label, tag, note, answer or split differs."""
        return self.summary.height > 0

    @property
    def changed(self) -> View:
        """The images that are there after, and on which anything changed, as a view."""
        frames = (self.items, self.labels, self.tags, self.notes, self.reviews, self.splits)
        ids = pl.concat([f[ITEM_ID] for f in frames]).unique()
        have = self.after.items.df.select(ITEM_ID).filter(pl.col(ITEM_ID).is_in(ids.implode()))
        return self.after.items.by_ids(have[ITEM_ID])

    def view(self, level: str = ITEM, *, metric: str | None = None) -> View:
        """Return the rows that changed as a view: added, changed and also removed ones.

        It has the columns `change` (for an image also what happened to its labels), `before` and `after`: the
        classes, tags, notes, answers and splits that differ, and "not there" on the side where there was no such row.
        Metrics whose values of the same rows changed (three at most, the largest changes first) have a column
        `<metric>_before` beside their own.
        All verbs of views work on it. What is tagged on a removed row shows when its removal is undone.

        Parameters
        ----------
        level : str
            "item", "object" or "classification".
        metric : str, optional
            Bring also every row that has another value of this metric than before.

        Returns
        -------
        View

        Raises
        ------
        UnknownNameError
            There is no such level or metric.

        Examples
        --------
        >>> d = p.diff("v1")                                                       # doctest: +SKIP
        >>> d.view("object").filter(pl.col("change") == "relabelled").tag("look")  # doctest: +SKIP
        """
        from .difference_view import difference_view

        return difference_view(self, level, metric)

    def explore(self, level: str = ITEM, *, metric: str | None = None, **options: Any) -> Explorer:
        """Open an explorer on what changed, removed rows included, with how it was `before` and is `after`.

        Parameters
        ----------
        level : str
            "item", "object" (crops) or "classification".
        metric : str, optional
            As for `view`.
        **options
            As for `Project.explore`.

        Returns
        -------
        Explorer
            The last line of the cell shows it.
        """
        return self.view(level, metric=metric).explore(**{"color": CHANGE, **options})

    def __repr__(self) -> str:
        head = f"{self._project.name}: from {self.names[0]!r} to {self.names[1]!r}"
        lines = [f"  {n:,} {what}{'' if n == 1 else 's'} {change}" for what, change, n in self.summary.iter_rows()]
        drifted = self.metrics.filter((pl.col("ks") > 0) | (pl.col("rows_changed") > 0)).head(_SHOWN)
        lines += [
            f"  {row['metric']} of {row['level']}s: mean {_number(row['mean_before'])} → "
            f"{_number(row['mean_after'])} (KS {_number(row['ks'])})"
            for row in drifted.iter_rows(named=True)
        ]
        for row in self.runs.iter_rows(named=True):
            if row[CHANGE] != SAME or row["difference"]:
                values = f"{_number(row['before'])} → {_number(row['after'])}"
                lines.append(f"  run {row['run']!r} {row[CHANGE]}: {row['measure'] or 'not measured'} {values}")
        return "\n".join([head, *(lines or ["  nothing changed"])])


def _said(word: str, n: int) -> pl.Series:
    return pl.repeat(word, n, dtype=pl.String, eager=True)


def _there(level: Level, n: int) -> Mask:
    out = np.zeros(n, np.bool_)
    out[: level.n] = True if level.alive is None else level.alive
    return out


def _values(level: Level, column: str, rows: Rows, there: Mask) -> pl.Series:
    if column not in level.frame.columns:
        return pl.Series([None] * rows.size, dtype=pl.String if column not in _BOX else pl.Float64)
    places = pl.Series(rows, dtype=pl.Int64).zip_with(pl.Series(there[rows]), pl.Series([None], dtype=pl.Int64))
    return level.frame[column].gather(places)


def _tagged(level: Level, tag: str, there: Mask) -> Mask:
    out = np.zeros(there.size, np.bool_)
    if tag in level.edits.tags:
        out[: level.n] = level.edits.tags[tag]
    return out & there


def _tags(level: Level, rows: Rows, there: Mask) -> pl.Series:
    """Return the tags of some rows; none of those that are not there."""
    here = there[rows]
    known = level.tags_of(rows[here])
    places = pl.Series(np.where(here, np.cumsum(here) - 1, 0), dtype=pl.Int64)
    if not known.len():
        return pl.Series(TAGS, [[] for _ in range(rows.size)], dtype=_LIST)
    nobody = pl.Series([[]], dtype=_LIST)
    return known.cast(_LIST).gather(places).zip_with(pl.Series(here), nobody)


def _chosen(masks: dict[str, Mask]) -> tuple[Rows, pl.Series]:
    """Return the rows of some masks, and of each the first word that is true of it."""
    codes = np.select(list(masks.values()), list(range(len(masks))), default=-1)
    rows = np.flatnonzero(codes >= 0)
    return rows, pl.Series(list(masks), dtype=pl.String).gather(codes[rows])


def _typed(frame: pl.DataFrame, columns: dict[str, Any]) -> pl.DataFrame:
    return frame.select(pl.col(c).cast(t) for c, t in columns.items())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
