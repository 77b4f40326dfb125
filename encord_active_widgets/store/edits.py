"""The edit log of a project: append an edit durably, follow what other processes append."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ..schema import EDITS, UTC_MICROSECONDS
from .fold import REDO, TOOK, UNDO, Edit, Folded, apply, fold, parse_payload, parts
from .rows import RowSet
from .tables import Table

_NO_ROWS = RowSet("ids", 0, b"")
_SETTLED_NS = 100_000_000
"""A log folder touched more recently than this is read again: the clock of file times is coarse."""
_COMPACT_EVERY = 100


class EditLog:
    """Append-only edits and the state they lead to.

    Not thread-safe by itself: the project calls it under its lock. Safe across processes.
    """

    def __init__(self, table: Table | Path) -> None:
        self._table = table if isinstance(table, Table) else Table(table, EDITS)
        self._edits: list[Edit] = []
        self._times: dict[str, tuple[dt.datetime, str, str]] = {}
        self._stamp = -1
        self._sizes: dict[str, int] = {}
        self._folded = Folded()
        self._since_compaction = 0

    @property
    def state(self) -> Folded:
        """What the edits read so far say."""
        return self._folded

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Every entry read so far, in the order they count."""
        return tuple(self._edits)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The number of rows of each level."""
        return self._sizes

    def frame(self) -> pl.DataFrame:
        """Return the entries as they are stored, in the order they count."""
        return self._table.read().sort("seq", "edit_id")

    def refresh(self, sizes: Mapping[str, int]) -> bool:
        """Read what other processes committed; tell whether anything changed."""
        stamp = self._table.stamp()
        grown = dict(sizes) != self._sizes
        if stamp == self._stamp and not grown:
            return False
        changed = grown
        self._sizes = dict(sizes)
        if stamp != self._stamp:
            settled = time.time_ns() - stamp > _SETTLED_NS
            self._stamp = stamp if settled else -1
            known = {e.edit_id for e in self._edits}
            edits = self._read()
            changed = changed or {e.edit_id for e in edits} != known
            self._edits = edits
        if changed:
            self._folded = fold(self._edits, self._sizes)
        return changed

    def append(
        self,
        level: str,
        kind: str,
        *,
        rows: RowSet = _NO_ROWS,
        payload: Mapping[str, Any] | None = None,
        undoes: str | None = None,
        cause: str = "python",
        code: str = "",
    ) -> Edit:
        """Commit one edit and return it once it is on the disk."""
        return self.append_many([(level, kind, rows, dict(payload or {}), undoes)], cause=cause, code=code)[0]

    def append_many(
        self, entries: Sequence[tuple[str, str, RowSet, dict[str, Any], str | None]], *, cause: str, code: str
    ) -> list[Edit]:
        """Commit several edits as one: all of them or none."""
        now = dt.datetime.now(dt.UTC)
        seq = self._edits[-1].seq if self._edits else 0
        edits = [
            Edit(new_id(now), seq + 1 + i, level, kind, rows.encoding, rows.data, rows.n, payload, undoes)
            for i, (level, kind, rows, payload, undoes) in enumerate(entries)
        ]
        self._table.append(_frame(edits, now, cause, code), cause={"cause": cause, "code": code}, durable=True)
        newest = not self._edits or all(e.seq > self._edits[-1].seq for e in edits)
        for edit in edits:
            self._times[edit.edit_id] = (now, cause, code)
        self._edits = [*self._edits, *edits]
        plain = all(e.kind not in (UNDO, REDO) for e in edits)
        if newest and plain:
            self._extend(edits)
        else:
            self._folded = fold(self._edits, self._sizes)
        self._since_compaction += 1
        if self._since_compaction >= _COMPACT_EVERY:
            self._since_compaction = 0
            self._table.compact()
        return edits

    def take(self, frame: pl.DataFrame) -> None:
        """Commit entries of another log as they are, ids and places included; all of them or none."""
        self._table.append(frame, cause={"cause": "merge"}, durable=True)
        self._edits = self._read()
        self._folded = fold(self._edits, self._sizes)

    def time_of(self, edit_id: str) -> tuple[dt.datetime | None, str, str]:
        """Return when an edit was made, its cause and its code."""
        return self._times.get(edit_id, (None, "", ""))

    def undo(self, n: int, *, cause: str) -> list[Edit]:
        """Undo the last `n` edits in force; return them, newest first. All that one merge brought counts as one."""
        targets: list[Edit] = []
        taken: set[str] = set()
        for edit in reversed(self._folded.done):
            if len(targets) < n and edit.edit_id not in taken:
                targets.append(edit)
                taken |= set(edit.payload["edits"]) if edit.kind == TOOK else set()
        if targets:
            entries = [(t.level, UNDO, _NO_ROWS, {"text": t.text}, t.edit_id) for t in targets]
            self.append_many(entries, cause=cause, code=f"p.undo({n})")
        return targets

    def redo(self, n: int, *, cause: str) -> list[Edit]:
        """Bring back the last `n` undone edits; return them."""
        targets = self._folded.undone[::-1][:n]
        if targets:
            entries = [(t.level, REDO, _NO_ROWS, {"text": t.text}, t.edit_id) for t in targets]
            self.append_many(entries, cause=cause, code=f"p.redo({n})")
        return targets

    def history(self) -> pl.DataFrame:
        """Return every entry with its time, cause and what it did, oldest first."""
        active = {e.edit_id for e in self._folded.done}
        rows = []
        for edit in self._edits:
            at, cause, code = self.time_of(edit.edit_id)
            is_step = edit.kind in (UNDO, REDO)
            text = f"{edit.kind}: {edit.payload.get('text', '')}" if is_step else edit.text
            rows.append(
                {
                    "edit_id": edit.edit_id,
                    "at": at,
                    "level": edit.level,
                    "kind": edit.kind,
                    "what": text,
                    "n": edit.total,
                    "in_force": None if is_step else edit.edit_id in active,
                    "cause": cause,
                    "code": code,
                }
            )
        return pl.DataFrame(
            rows,
            schema={
                "edit_id": pl.String,
                "at": UTC_MICROSECONDS,
                "level": pl.String,
                "kind": pl.String,
                "what": pl.String,
                "n": pl.Int64,
                "in_force": pl.Boolean,
                "cause": pl.String,
                "code": pl.String,
            },
        )

    def _extend(self, edits: Sequence[Edit]) -> None:
        state = self._folded
        fresh = Folded(dict(state.levels), dict(state.filters), [*state.done, *edits], [])
        for edit in edits:
            for part in parts(edit):
                old = fresh.levels.get(part.level)
                if old is not None:  # readers keep the old value: copy before writing
                    fresh.levels[part.level] = old.copied()
            apply(fresh, edit, self._sizes)
        self._folded = fresh

    def _read(self) -> list[Edit]:
        frame = self._table.read().sort("seq", "edit_id")
        edits = []
        for r in frame.iter_rows(named=True):
            edits.append(
                Edit(
                    r["edit_id"], r["seq"], r["level"], r["kind"], r["encoding"] or "ids", r["rows"] or b"",
                    r["n"] or 0, parse_payload(r["payload"]), r["undoes"],
                )
            )  # fmt: skip
            self._times[r["edit_id"]] = (r["at"], r["cause"] or "", r["code"] or "")
        return edits


def new_id(now: dt.datetime) -> str:
    """Return an id that sorts by time and is unique across processes."""
    return f"{int(now.timestamp() * 1e6):014x}-{os.getpid():x}-{uuid.uuid4().hex[:8]}"


def _frame(edits: Sequence[Edit], at: dt.datetime, cause: str, code: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "edit_id": [e.edit_id for e in edits],
            "seq": [e.seq for e in edits],
            "at": [at] * len(edits),
            "level": [e.level for e in edits],
            "kind": [e.kind for e in edits],
            "encoding": [e.encoding for e in edits],
            "rows": [e.rows for e in edits],
            "n": [e.n for e in edits],
            "payload": [json.dumps(e.payload, ensure_ascii=False) for e in edits],
            "undoes": [e.undoes for e in edits],
            "cause": [cause] * len(edits),
            "code": [code] * len(edits),
        },
        schema=dict(EDITS.columns),
    )
