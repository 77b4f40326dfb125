"""What an explorer shows: its level and view, their columns, maps and verdicts, and what changed since."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..computing.vectors import EmbeddingSets
from ..content.levels import Level
from ..content.state import Snapshot
from ..errors import unknown
from ..project import Project
from ..schema import ITEM, OBJECT, prediction_level, run_of
from ..view import View
from .columns import Column, ColumnCache
from .judged import Judge
from .pictures import Pictures

Mask = NDArray[np.bool_]

_MOST_NEWS = 400


class Shown:
    """The view of one explorer as it is now, at the level that is switched to."""

    def __init__(self, view: View) -> None:
        self._name = view.level
        self._views = {view.level: view}
        self._judges: dict[str, Judge] = {}
        self.project: Project = view.project
        self.session = uuid.uuid4().hex
        self.expressions: dict[str, pl.Expr] = {}
        self.panels: dict[str, Callable[[], dict[str, Any]]] = {}
        self._caches: dict[str, ColumnCache] = {}
        self._pictures = Pictures(self.project)
        self._base: tuple[int, Mask | None, NDArray[np.uint32] | None] | None = None
        self._revision = 0
        self._seen: tuple[Any, ...] = ()
        self._news: list[tuple[int, str]] = []
        self._lock = threading.RLock()

    def _cache(self) -> ColumnCache:
        return self._caches.setdefault(self._name, ColumnCache())

    def set_level(self, name: str) -> None:
        """Show another level: of a view's items the objects or the predictions on them, and back.

        Raises
        ------
        UnknownNameError
            There is no such level.
        """
        known = self._switched(self.snapshot())
        if name not in known and name != self._name:
            raise unknown("level", name, known)
        with self._lock:
            if name not in self._views:
                first = next(iter(self._views.values()))
                whole = not first._ops
                self._views[name] = (
                    View(self.project, name) if whole else first.items() if name == ITEM else first._on_items(name)
                )
            self._name = name
            if name != ITEM:
                self._pictures.warm_up()
            self._base = None
            self.expressions = {}

    @property
    def name(self) -> str:
        """The level this explorer shows, by name."""
        return self._name

    @property
    def view(self) -> View:
        """The view this explorer shows; one of predictions carries what became of them."""
        view, judge = self._views[self._name], self.judge
        extra = None if judge is None else judge.more(self.snapshot())
        return view if extra is None else View(self.project, self._name, view._ops, extra)

    @property
    def judge(self) -> Judge | None:
        """The verdicts on the predictions shown; None at other levels."""
        run = run_of(self._name)
        return None if run is None else self.judge_of(run)

    def judge_of(self, run: str) -> Judge:
        """Return the verdicts on the predictions of a run, shown or not."""
        name = prediction_level(run)
        with self._lock:
            if name not in self._judges:
                self._judges[name] = Judge(self._views[name] if name in self._views else self._on_level(name))
            return self._judges[name]

    @property
    def level(self) -> Level:
        """The level this explorer shows, as it is now."""
        return self._level_of(self.snapshot())

    def _level_of(self, snapshot: Snapshot) -> Level:
        judge = self.judge
        return snapshot.levels[self._name] if judge is None else judge.judged(snapshot)

    def _columns(self, level: Level) -> dict[str, Column]:
        judge = self.judge
        fixed = {} if judge is None else judge.fixed_columns(self.snapshot())
        return self._cache().columns(level, fixed)

    def snapshot(self) -> Snapshot:
        """All levels, as they are now."""
        return self.project._snapshot()

    def revise(self) -> int:
        """Notice what changed since the last call; return the revision this explorer counts."""
        with self._lock:
            snapshot = self.snapshot()
            level = snapshot.levels[self._name]
            maps = tuple((e["name"], e["key"], *e["layouts"]) for e in self._embeddings())
            job = self.project._job
            seen = {
                "columns": id(level.frame),
                "tags": (id(level.edits.tags), snapshot.revision),
                "layout": maps,
                "jobs": None if job is None else (job.id, job.state),
            }
            if not self._seen or self._seen[0] != seen:
                old = self._seen[0] if self._seen else {}
                self._revision += 1
                self._news += [(self._revision, k) for k, v in seen.items() if old.get(k) != v]
                self._news = self._news[-_MOST_NEWS:]
                self._seen = (seen, level.frame)  # the frame is kept alive: its id must stay its own
            return self._revision

    @staticmethod
    def _switched(snapshot: Snapshot) -> list[str]:
        return [ITEM, OBJECT, *(prediction_level(run) for run in snapshot.runs)]

    def _metric_specs(self) -> dict[str, Any]:
        from ..metrics.registry import registered

        return {m.name: m for m in registered(OBJECT if run_of(self._name) is not None else self._name)}

    def _embeddings(self) -> list[dict[str, Any]]:
        sets = self._sets()
        job = self.project._job
        running = job is not None and job.state == "running"
        at_hand = sets.loaded() if running else [sets[n] for n in sets]
        return [{"name": v.name, "dim": v.dim, "layouts": v.layouts, "key": v.key} for v in at_hand if v.layouts]

    def _sets(self) -> EmbeddingSets:
        return self.project._embedding_sets(self._name)

    def _base_mask(self, snapshot: Snapshot) -> Mask | None:
        """Rows of the view this explorer was opened on; None when that is everything."""
        level = self._level_of(snapshot)
        if self._base is None or self._base[0] != snapshot.revision:
            rows = None
            mask: Mask | None = level.alive
            if self._views[self._name]._ops:
                rows = self._views[self._name].rows
                mask = np.zeros(level.n, np.bool_)
                mask[rows] = True
            self._base = (snapshot.revision, mask, rows)
        return self._base[1]

    def _given_order(self, snapshot: Snapshot, level: Level) -> NDArray[np.uint32]:
        """Rows in the order of the view first, then the others."""
        self._base_mask(snapshot)
        rows = self._base[2] if self._base is not None else None
        everything = np.arange(level.n, dtype=np.uint32)
        if rows is None:
            return everything
        rest = np.ones(level.n, np.bool_)
        rest[rows] = False
        return np.concatenate([rows, everything[rest]])

    def _on_level(self, name: str) -> View:
        first = next(iter(self._views.values()))
        return first._on_items(name) if first._ops else View(self.project, name)

    @staticmethod
    def _item_row(level: Level, row: int) -> int:
        return row if level.item_rows is None else int(level.item_rows[row])
