"""What a project holds right now, as immutable frames: tables, metrics and edits joined by row.

Row i of every level's frame is ordinal i, also for removed items, so that a bitset or an
array of ordinals means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .. import schema
from ..schema import (
    CHANGE_ID,
    CLASS_NAME,
    CLASSIFICATION,
    ITEM,
    ITEM_ID,
    LABEL,
    LABEL_ID,
    LABEL_LEVELS,
    OBJECT,
    ORDINAL,
    PREDICTION_ID,
)  # fmt: skip
from ..store.edits import EditLog
from ..store.fold import Folded, LevelEdits
from ..store.folder import ProjectFolder
from ..store.tables import Table
from .frames import divided_frame, edited_frame, item_frame, label_columns, label_frame, newest_rows, with_split
from .levels import Level

Mask = NDArray[np.bool_]

_DIVIDED = "divided"
"""What the items are kept under once edits gave them their splits."""
REMOVED_RUN = "removed"
SOURCE = "source"
_LAST_FAMILIES = ("crops", "neighbours")
"""What is special to labels comes before what images have too."""


@dataclass(frozen=True)
class Run:
    """One set of predictions: a model's answers on the project's items.

    Attributes
    ----------
    kind : str
        `"detection"` or `"classification"`.
    classes : tuple of str
        The classes the model knows, in the order of its probabilities.
    """

    change_id: str
    name: str
    at: Any
    kind: str
    classes: tuple[str, ...]
    predictions: int
    items: int
    source: str

    @property
    def stored(self) -> str:
        """What edits, values and embeddings of these predictions are kept under."""
        return f"{schema.PREDICTION}-{self.change_id[:16]}"


class Levels(dict[str, Level]):
    """Levels by name; that of all labels together, and those of predictions, are made when asked for."""

    def __init__(self, levels: Mapping[str, Level], late: Mapping[str, Callable[[], Level]]) -> None:
        super().__init__(levels)
        self._late = late

    def __missing__(self, name: str) -> Level:
        if name == LABEL:
            self[name] = all_labels(self[OBJECT], self[CLASSIFICATION])
        else:
            self[name] = self._late[name]()
        return self[name]


@dataclass(frozen=True)
class Snapshot:
    """All levels at one moment, and a number that grows with every change."""

    revision: int
    levels: Mapping[str, Level]
    filters: Mapping[str, Any] = field(default_factory=dict)
    undo: str | None = None
    redo: str | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)

    @property
    def items(self) -> Level:
        """The item level."""
        return self.levels[ITEM]


def all_labels(objects: Level, classes: Level) -> Level:
    """Put objects and classifications into one level: objects first, each in its own order."""
    frames = [
        level.frame.with_columns(pl.lit(level.name).alias("level"), pl.col(ORDINAL).alias("level_row"))
        for level in (objects, classes)
    ]
    frame = pl.concat(frames, how="diagonal_relaxed").with_columns(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL)
    )
    tags = {}
    for name in dict.fromkeys([*objects.tag_names, *classes.tag_names]):
        masks = [level.edits.tags.get(name, np.zeros(level.n, np.bool_)) for level in (objects, classes)]
        tags[name] = np.concatenate(masks)
    removed = [
        level.edits.removed if level.edits.removed is not None else np.zeros(level.n, np.bool_)
        for level in (objects, classes)
    ]
    edits = LevelEdits(frame.height, tags, {**classes.edits.colors, **objects.edits.colors}, np.concatenate(removed))
    metrics = tuple(dict.fromkeys([*objects.metrics, *classes.metrics]))
    return Level(LABEL, frame, LABEL_ID, edits, metrics)


class StateReader:
    """Follows the tables of a project and builds snapshots; called under the project's lock."""

    def __init__(self, folder: ProjectFolder) -> None:
        self._folder = folder
        self._log = EditLog(folder.edit_table)
        self._frames: dict[str, tuple[int, pl.DataFrame]] = {}
        self._parts: tuple[Any, ...] = ()
        self._base: dict[str, tuple[pl.DataFrame, tuple[str, ...], pl.Series | None]] = {}
        self._edited: dict[str, tuple[tuple[Any, ...], pl.DataFrame]] = {}
        self._snapshot: Snapshot | None = None
        self._runs: dict[str, Run] = {}
        self._predicted: dict[str, tuple[tuple[Any, ...], tuple[pl.DataFrame, tuple[str, ...], pl.Series]]] = {}

    @property
    def log(self) -> EditLog:
        """The edit log."""
        return self._log

    @property
    def is_read(self) -> bool:
        """Whether the tables were read before."""
        return self._snapshot is not None

    def snapshot(self) -> Snapshot:
        """Return the current state, reading only what changed since the last call."""
        old = self._snapshot
        tables: dict[str, Table] = {
            "items": self._folder.items,
            "labels": self._folder.labels,
            "changes": self._folder.changes,
            "pixels": self._folder.pixels,
            "runs": self._folder.runs,
        }
        for level in (ITEM, *LABEL_LEVELS):
            families = sorted(self._folder.families(level), key=lambda f: (f in _LAST_FAMILIES, f))
            tables |= {f"values/{level}/{f}": self._folder.values(f, level) for f in families}
        stamps = tuple((k, t.stamp()) for k, t in tables.items()) + self._run_stamps()
        changed = stamps != self._parts
        if changed:
            self._rebuild(tables)
            self._parts = stamps[: len(tables)] + self._run_stamps()
        sizes = {k: v[0].height for k, v in self._base.items()}
        sizes |= {run.stored: run.predictions for run in self._runs.values()}
        edited = self._log.refresh(sizes)
        if old is not None and not changed and not edited:
            return old
        return self.publish()

    def publish(self) -> Snapshot:
        """Return a new snapshot of the tables as read and the edits as they are."""
        state = self._log.state
        items_frame, metrics, phash = self._base[ITEM]
        item_edits = self._shown_again(ITEM, state.level(ITEM, items_frame.height))
        items_frame = self._kept(
            _DIVIDED,
            (items_frame, item_edits.splits, item_edits.split_names),
            partial(divided_frame, items_frame, item_edits),
        )
        below = tuple(self._label_level(name, state, item_edits, items_frame) for name in LABEL_LEVELS)
        late = {
            schema.prediction_level(run.name): self._late_level(
                run, state.level(run.stored, run.predictions), item_edits, items_frame
            )
            for run in self._runs.values()
        }
        levels = Levels({level.name: level for level in below}, late)
        frame = self._item_level_frame(items_frame, item_edits, below)
        levels[ITEM] = Level(ITEM, frame, ITEM_ID, item_edits, metrics, phash, below)
        self._snapshot = Snapshot(
            revision=(self._snapshot.revision if self._snapshot else 0) + 1,
            levels=levels,
            filters=dict(state.filters),
            undo=state.done[-1].text if state.done else None,
            redo=state.undone[-1].text if state.undone else None,
            runs=dict(self._runs),
        )
        return self._snapshot

    # -- predictions ------------------------------------------------------------------------

    def _run_stamps(self) -> tuple[tuple[str, int], ...]:
        """Say what values predictions have; their frames are read only when asked for."""
        return tuple(
            (f"{run.stored}/{family}", self._folder.values(family, run.stored).stamp())
            for run in self._runs.values()
            for family in self._folder.families(run.stored)
        )

    def _late_level(self, run: Run, edits: LevelEdits, items: LevelEdits, base: pl.DataFrame) -> Callable[[], Level]:
        stamps = tuple(s for s in self._run_stamps() if s[0].startswith(f"{run.stored}/"))

        def make() -> Level:
            frame, metrics, item_rows = self._prediction_frame(run, base, stamps)
            kept = self._without_removed_items(item_rows, edits, items)
            noted = self._kept(
                run.stored, (frame, edits.notes, *edits.verdicts.values()), lambda: edited_frame(frame, kept)
            )
            name = schema.prediction_level(run.name)
            return Level(name, noted, PREDICTION_ID, kept, metrics, item_rows=item_rows, stored_as=run.stored)

        return make

    def _prediction_frame(
        self, run: Run, items: pl.DataFrame, stamps: tuple[Any, ...]
    ) -> tuple[pl.DataFrame, tuple[str, ...], pl.Series]:
        known = self._predicted.get(run.stored)
        if known is not None and known[0][0] is items and known[0][1] == stamps:
            return known[1]
        rows = self._folder.predictions(run.name).read()  # kept below with its metrics, and not twice
        mine = rows[CHANGE_ID] == run.change_id
        if not mine.all():
            rows = rows.filter(mine)
        values = {f: self._folder.values(f, run.stored).read() for f in self._folder.families(run.stored)}
        owners = rows.select(ITEM_ID).join(
            items.select(ITEM_ID, ORDINAL), on=ITEM_ID, how="left", maintain_order="left"
        )
        made = (*label_frame(rows, items, values, key=PREDICTION_ID), owners[ORDINAL])
        self._predicted[run.stored] = ((items, stamps), made)
        return made

    def _label_level(self, name: str, state: Folded, items: LevelEdits, divided: pl.DataFrame) -> Level:
        base, metrics, item_rows = self._base[name]
        edits = self._without_removed_items(item_rows, state.level(name, base.height), items)
        frame = self._kept(
            name,
            (base, divided, edits.classes, edits.class_names, edits.notes, *edits.verdicts.values()),
            lambda: edited_frame(with_split(base, divided, item_rows), edits),
        )
        if name == OBJECT and SOURCE in base.columns:
            edits = _without_waiting(base[SOURCE], edits)
        if name == CLASSIFICATION and frame[CLASS_NAME].null_count():
            # A class that was taken back: the row waits for an answer, and is none meanwhile.
            unanswered = frame[CLASS_NAME].is_null().to_numpy()
            edits = edits.copied()
            edits.removed = unanswered if edits.removed is None else edits.removed | unanswered
        return Level(name, frame, LABEL_ID, self._shown_again(name, edits), metrics, item_rows=item_rows)

    def _shown_again(self, name: str, edits: LevelEdits) -> LevelEdits:
        """Bring back the removed rows that a view of a difference shows."""
        rows = self._folder.shown_again.get(name)
        if rows is None or not rows.size or edits.removed is None:
            return edits
        out, removed = edits.copied(), edits.removed.copy()
        removed[rows[rows < removed.size]] = False
        out.removed = removed
        return out

    def _item_level_frame(self, base: pl.DataFrame, edits: LevelEdits, below: tuple[Level, ...]) -> pl.DataFrame:
        objects, classes = below
        key = (base, objects.frame, _bytes(objects.alive), classes.frame, _bytes(classes.alive), edits.notes,
               *edits.verdicts.values(), *edits.apart)  # fmt: skip

        def make() -> pl.DataFrame:
            frame = label_columns(base, classes.frame, classes.alive, objects.frame, objects.alive)
            return edited_frame(self._regrouped(frame, edits), edits).rechunk()

        return self._kept(ITEM, key, make)

    def _regrouped(self, frame: pl.DataFrame, edits: LevelEdits) -> pl.DataFrame:
        """Form the groups of duplicates again where somebody said what is none."""
        from .duplicate_pairs import grouped_column, pairs_table, read_pairs

        table = pairs_table(self._folder)
        if not edits.apart or schema.DUPLICATE_GROUP not in frame.columns or not table.exists():
            return frame
        return frame.with_columns(grouped_column(read_pairs(table), frame.height, edits.apart))

    def _kept(self, name: str, key: tuple[Any, ...], make: Any) -> pl.DataFrame:
        """Make a frame again only when what it is made of is another."""
        known = self._edited.get(name)
        if known is not None and len(known[0]) == len(key) and all(map(_same, known[0], key)):
            return known[1]
        frame: pl.DataFrame = make()
        self._edited[name] = (key, frame)
        return frame

    @staticmethod
    def _without_removed_items(item_rows: pl.Series | None, edits: LevelEdits, items: LevelEdits) -> LevelEdits:
        """Labels leave the project together with their item."""
        removed = items.removed
        if removed is None or not removed.any() or item_rows is None or not item_rows.len():
            return edits
        mask = removed[item_rows.to_numpy()]
        out = edits.copied()
        out.removed = mask if edits.removed is None else mask | edits.removed
        return out

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

        def values(level: str) -> dict[str, pl.DataFrame]:
            start = f"values/{level}/"
            return {k.removeprefix(start): v for k, v in frames.items() if k.startswith(start)}

        frame, metrics, phash = item_frame(items, frames["pixels"], values(ITEM))
        self._base = {ITEM: (frame, metrics, phash)}
        self._items = items
        for level in LABEL_LEVELS:
            is_object = pl.col("kind") != schema.KIND_CLASSIFICATION
            part = labels.filter(is_object if level == OBJECT else ~is_object)
            rows = part.select(ITEM_ID).join(
                frame.select(ITEM_ID, ORDINAL), on=ITEM_ID, how="left", maintain_order="left"
            )
            self._base[level] = (*label_frame(part, frame, values(level)), rows[ORDINAL])
        self._runs = newest_runs(frames["runs"].join(committed, on=CHANGE_ID, how="semi", maintain_order="left"))

    @property
    def raw_items(self) -> pl.DataFrame:
        """The items table in `schema.ITEMS`, one row an item."""
        return self._items


def newest_runs(table: pl.DataFrame) -> dict[str, Run]:
    """Return the runs that are there: of each name the last, unless that says it was removed."""
    found: dict[str, Run] = {}
    for row in table.iter_rows(named=True):
        found.pop(row["run"], None)
        if row["kind"] != REMOVED_RUN:
            found[row["run"]] = Run(
                row[CHANGE_ID], row["run"], row["at"], row["kind"], tuple(row["classes"] or ()), row["predictions"],
                row["items"], row["source"],
            )  # fmt: skip
    return found


def _without_waiting(source: pl.Series, edits: LevelEdits) -> LevelEdits:
    """Leave out labels that a model suggested and no review accepted."""
    waiting = source.str.starts_with(schema.SUGGESTED_SOURCE).fill_null(value=False).to_numpy()
    if edits.added is not None:
        waiting = waiting & ~edits.added
    if not waiting.any():
        return edits
    out = edits.copied()
    out.removed = waiting if edits.removed is None else edits.removed | waiting
    return out


def _bytes(mask: Mask | None) -> bytes | None:
    return None if mask is None else mask.tobytes()


def _same(a: Any, b: Any) -> bool:
    """Tell whether two parts of a key are the same: frames and arrays by identity, small values by content."""
    if isinstance(a, (pl.DataFrame, np.ndarray)) or isinstance(b, (pl.DataFrame, np.ndarray)):
        return a is b
    return bool(a == b)
