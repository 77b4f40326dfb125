"""Write a part of a project as a project of its own: its rows numbered anew, and everything that speaks of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import CHANGE_ID, CONTENT_HASH, ITEM, ITEM_ID, KEY, LABEL_ID, LABEL_LEVELS, ORDINAL, PREDICTION_ID, URI
from ..store.folder import ProjectFolder
from ..store.translate import Map, translate

if TYPE_CHECKING:
    from ..project import Project
    from ..store.tables import Table

_PAIRS = ("pair", "duplicates")
_OTHER = "other"

Rows = NDArray[np.uint32]


def write_part(project: Project, rows: Rows, home: Path) -> None:
    """Write items and all that is on them into an empty folder.

    Labels, tags, notes, predictions, metrics, embeddings and the log of edits come along; what edits say of other
    rows is left out of them. Snapshots do not: they name versions of the tables as they were.

    Parameters
    ----------
    project : Project
        Its lock must be held.
    rows : ndarray of uint32
        Ordinals of the items, ascending.
    home : Path
        The folder.
    """
    _Part(project, rows, home).write()


class _Part:
    def __init__(self, project: Project, rows: Rows, home: Path) -> None:
        self.project = project
        self.old = project._folder
        self.new = ProjectFolder(home)
        self.items = project._reader.raw_items[rows]
        self.ids = self.items[ITEM_ID]
        self.hashes = self.items[CONTENT_HASH]
        self.maps: dict[str, Map] = {ITEM: _map(rows, project._snapshot().items.n)}
        self.keys: dict[str, pl.Series] = {}

    def write(self) -> None:
        self.new.write_git_files()
        part = {"part": True} if self.ids.len() < self.maps[ITEM].size else {}
        self.new.write_card({**self.project._card, **part})
        self.new.changes.append(self.old.changes.read())
        headers = self.old.path / "sources"
        if headers.is_dir():
            shutil.copytree(headers, self.new.path / "sources", ignore=shutil.ignore_patterns("*.tmp"))
        fresh = pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL)
        self.new.items.append(self.items.with_columns(fresh))
        self._labels()
        self._runs()
        self._values()
        self._embeddings()
        self.new.problems.append(self._problems())
        self.new.edit_table.append(translate(self.project._reader.log.frame(), self.maps))
        self._maps_of_embeddings()

    def _labels(self) -> None:
        committed = self.old.changes.read().select(CHANGE_ID)
        labels = self.old.labels.read().join(committed, on=CHANGE_ID, how="semi", maintain_order="left")
        mine = labels.filter(pl.col(ITEM_ID).is_in(self.ids.implode()))
        self.new.labels.append(mine.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL)))
        for level in LABEL_LEVELS:
            ids = self.project._reader._base[level][0][LABEL_ID]
            kept = ids.is_in(mine[LABEL_ID].implode())
            self.maps[level] = _map(kept.arg_true().to_numpy(), ids.len())
            self.keys[level] = ids.filter(kept)

    def _runs(self) -> None:
        table = self.old.runs.read()
        kept = []
        for run in self.project._snapshot().runs.values():
            rows = self.old.predictions(run.name).read().filter(pl.col(CHANGE_ID) == run.change_id)
            here = rows[ITEM_ID].is_in(self.ids.implode())
            mine = rows.filter(here)
            self.maps[run.stored] = _map(here.arg_true().to_numpy(), rows.height)
            self.keys[run.stored] = mine[PREDICTION_ID]
            fresh = pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL)
            self.new.predictions(run.name).append(mine.with_columns(fresh))
            counts = [pl.lit(mine.height, pl.Int64).alias("predictions"), pl.lit(mine[ITEM_ID].n_unique(), pl.Int64)]
            row = table.filter(pl.col(CHANGE_ID) == run.change_id, pl.col("run") == run.name).head(1)
            kept.append(row.with_columns(counts[0], counts[1].alias("items")))
        if kept:
            self.new.runs.append(pl.concat(kept))

    def _values(self) -> None:
        pixels = self.old.pixels.read()
        self.new.pixels.append(pixels.filter(pl.col(CONTENT_HASH).is_in(self.hashes.implode())))
        for level, place in self.maps.items():
            for family in self.old.families(level):
                _carry(self.old.values(family, level), self.new.values(family, level), place, (ORDINAL,))
        level, family = _PAIRS
        if family in self.old.families(level):
            pairs = (self.old.values(family, level), self.new.values(family, level))
            _carry(*pairs, self.maps[ITEM], (ORDINAL, _OTHER))

    def _embeddings(self) -> None:
        keys = {ITEM: pl.concat([self.ids, self.hashes.drop_nulls().alias(ITEM_ID)]), **self.keys}
        for level, known in keys.items():
            for name in self.old.embeddings(level):
                table, new = self.old.embedding(name, level), self.new.embedding(name, level)
                new.append(table.read().filter(pl.col(KEY).is_in(known.implode())))
                record = table.path / "_embedder.json"
                if record.exists() and new.exists():
                    shutil.copy2(record, new.path / record.name)

    def _maps_of_embeddings(self) -> None:
        """Carry the maps over: the points stay where they were."""
        part = type(self.project)(self.new)
        for name in self.old.embeddings(ITEM):
            whole, mine = self.project.embeddings[name], part.embeddings.get(name)
            if mine is None or not len(mine):
                continue
            new_rows = self.maps[ITEM][whole.rows]
            places = np.flatnonzero(new_rows >= 0)
            if np.array_equal(new_rows[places], mine.rows):
                for layout in whole.layouts:
                    mine._keep(layout, whole.layout(layout)[places])

    def _problems(self) -> pl.DataFrame:
        ours = pl.col("where").is_in(self.items[URI].implode()) | pl.col(KEY).is_in(self.hashes.implode())
        return self.old.problems.read().filter(ours)


def _map(rows: NDArray[np.integer], n: int) -> Map:
    """Return the new number of each of `n` rows; -1 of those that are not among `rows`."""
    out = np.full(n, -1, np.int64)
    out[rows] = np.arange(len(rows))
    return out


def _carry(old: Table, new: Table, place: Map, columns: tuple[str, ...]) -> None:
    """Copy the values of the rows that are there, under their new numbers."""
    frame = old.read().filter(pl.col(ORDINAL) < place.size)
    numbers = pl.Series(place)
    frame = frame.with_columns(numbers.gather(frame[c].cast(pl.UInt32)).alias(c) for c in columns)
    frame = frame.filter(pl.all_horizontal(pl.col(c) >= 0 for c in columns))
    new.replace(frame.with_columns(pl.col(ORDINAL).cast(pl.UInt32)).sort(columns[0], maintain_order=True))
