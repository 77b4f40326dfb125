"""Snapshots of a project: take one, look at it, go back to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from .. import schema
from ..content.state import newest_runs
from ..schema import CHANGE_ID, CLASS_NAME, CLASSIFICATION, ITEM, LABEL_LEVELS, OBJECT, ORDINAL, SUGGESTED_SOURCE
from ..store import snapshots
from ..store.between import or_none, parts_between
from ..store.durable import write_json
from ..store.edits import EditLog
from ..store.fold import Edit, Folded, LevelEdits
from ..store.folder import ProjectFolder
from ..store.rows import encode_rows
from ..store.snapshots import PastFolder, Record

if TYPE_CHECKING:
    from ..project import Project
    from ..store.tables import Table

_COUNTS = ("items", "objects", "classifications", "runs", "edits")
_COUNTED_UNREAD = 100_000
_RUNS = "runs"
_DERIVED = ("metrics/", "embeddings/")
_OF = "rows_of"
"""What a commit says that brings the rows of an earlier version back: which one."""


def take(project: Project, name: str, note: str) -> None:
    """Name the present versions of all tables; see `Project.snapshot`."""
    with project._lock, project._folder.lock():
        snapshots.take(project._folder, name, note, _counts(project))


def _counts(project: Project) -> dict[str, int]:
    """Count what there is; nothing where a large project was not read in this session, for that takes seconds."""
    if not project._reader.is_read and project._folder.items.rows() > _COUNTED_UNREAD:
        return {}
    now = project._snapshot()
    levels = {f"{n}s": now.levels[n] for n in (ITEM, *LABEL_LEVELS)}
    counts = {k: v.n if v.alive is None else int(v.alive.sum()) for k, v in levels.items()}
    return counts | {"runs": len(now.runs), "edits": len(project._reader.log.state.done)}


def table(project: Project) -> pl.DataFrame:
    """List the snapshots; see `Project.snapshots`."""
    found = snapshots.records(project._folder)
    columns: dict[str, Any] = {"name": pl.String, "at": schema.UTC_MICROSECONDS, "note": pl.String}
    rows = [{"name": r.name, "at": r.time, "note": r.note, **{c: r.counts.get(c) for c in _COUNTS}} for r in found]
    return pl.DataFrame(rows, schema=columns | dict.fromkeys(_COUNTS, pl.Int64))


def at(project: Project, name: str) -> Project:
    """Open the project as it was; see `Project.at`."""
    past = type(project)(PastFolder(project.path, snapshots.record(project._folder, name)))
    past._card = {**past._card, "name": f"{project.name} at {name}"}
    past.seed = project.seed
    return past


def restore(project: Project, name: str) -> bool:
    """Bring a project back to a snapshot, as one edit; return whether anything was different."""
    with project._lock, project._folder.lock():
        project._snapshot()
        past = PastFolder(project.path, snapshots.record(project._folder, name))
        before, log, old = _sizes(past), project._reader.log, EditLog(past.edit_table)
        old.refresh(before)
        now, then, sizes = log.state, old.state, {**before, **log.sizes}
        wanted = Folded({n: then.level(n, sizes.get(n, 0)) for n in then.levels}, then.filters)
        for level in (ITEM, *LABEL_LEVELS):
            wanted.levels[level] = _without_later(project, level, wanted, before.get(level, 0))
        for level in now.levels.keys() - wanted.levels.keys():
            wanted.levels[level] = LevelEdits(sizes.get(level, 0))
        parts = parts_between(now, wanted, sizes)
        tables = _other_tables(project, past.of)
        if not parts and not tables:
            return False
        payload = {"name": name, "tables": tables, "also": parts}
        code = f"p.restore({name!r})"
        edit = log.append(ITEM, "revert", rows=encode_rows(np.empty(0, np.uint32)), payload=payload, code=code)
        _give_records(project, past.of)
        swap_tables(project, [edit], redo=True, first=True)
        project._reader.publish()
    return True


def _sizes(folder: ProjectFolder) -> dict[str, int]:
    """Count the rows of each level of a folder, without reading what is in them."""
    committed = folder.changes.read().select(CHANGE_ID)
    items = folder.items.pick(ORDINAL, CHANGE_ID).join(committed, on=CHANGE_ID, how="semi")
    labels = folder.labels.pick("kind", CHANGE_ID).join(committed, on=CHANGE_ID, how="semi")
    answers = int((labels["kind"] == schema.KIND_CLASSIFICATION).sum())
    runs = newest_runs(folder.runs.read().join(committed, on=CHANGE_ID, how="semi", maintain_order="left"))
    counts = {ITEM: items[ORDINAL].n_unique(), OBJECT: labels.height - answers, CLASSIFICATION: answers}
    return counts | {run.stored: run.predictions for run in runs.values()}


def _without_later(project: Project, name: str, wanted: Folded, n_then: int) -> LevelEdits:
    """Take out the rows that came after the snapshot.

    Labels that wait for an answer are not there as long as no edit says so: these are left to be answered again.
    """
    frame = project._reader._base[name][0]
    level = wanted.level(name, frame.height).copied()
    later = np.arange(frame.height) >= n_then
    if name == OBJECT and "source" in frame.columns:
        later &= ~frame["source"].str.starts_with(SUGGESTED_SOURCE).fill_null(value=False).to_numpy()
    if name == CLASSIFICATION:
        later &= frame[CLASS_NAME].is_not_null().to_numpy()
    level.removed = or_none(level.removed, level.n) | later
    return level


# -- what is no edit: metrics, embeddings, runs -----------------------------------------------------------


def _other_tables(project: Project, record: Record) -> dict[str, list[int]]:
    """Return the tables that hold something else than then: their version now, and the one to go back to.

    Sets of embeddings that were made since then stay: they say nothing about what is in the project.
    """
    folder = project._folder
    now = {place: t for place, t in folder.tables().items() if place == _RUNS or place.startswith(_DERIVED)}
    found = {}
    for place in dict.fromkeys([*now, *(p for p in record.versions if p == _RUNS or p.startswith(_DERIVED))]):
        current, then = folder.table_at(place), record.versions.get(place, -1)
        version = current.version()
        if version == then or (then < 0 and place.startswith("embeddings/")):
            continue
        if not current.read().equals(_rows(current, then)):
            found[place] = [version, then]
    return found


def _rows(table: Table, version: int) -> pl.DataFrame:
    return table.schema.empty() if version < 0 else table.read(version)


def swap_tables(project: Project, edits: Iterable[Edit], *, redo: bool, first: bool = False) -> None:
    """Bring the tables of a restored snapshot to what they were before it (undo) or then (redo).

    A table that was written since then by something else is left as it is: nothing computed is lost.
    """
    folder = project._folder
    for edit in edits:
        for place, (before, then) in edit.payload.get("tables", {}).items():
            current, wanted = folder.table_at(place), then if redo else before
            if place == _RUNS:
                _swap_runs(current, leave=_rows(current, before if redo else then), take=_rows(current, wanted))
            elif first or _content(current, current.version()) == _content(current, before if redo else then):
                kept = {"key": key} if (key := _commit(current, wanted).get("key")) is not None else {}
                current.replace(_rows(current, wanted), cause={**kept, _OF: str(_content(current, wanted))})
    project._snapshot()


def _swap_runs(table: Table, leave: pl.DataFrame, take: pl.DataFrame) -> None:
    """Put the runs of one time in place of those of another; runs that were added besides stay."""
    added = table.read().join(leave, on=[CHANGE_ID, "run", "kind"], how="anti", maintain_order="left")
    table.replace(pl.concat([take, added.join(take, on=[CHANGE_ID, "run", "kind"], how="anti", maintain_order="left")]))


def _content(table: Table, version: int) -> int:
    """Return the version that first held the rows of a version: another one where these were brought back."""
    return int(_commit(table, version).get(_OF, version))


def _commit(table: Table, version: int) -> dict[str, Any]:
    """Return what Delta keeps of one commit."""
    return next((h for h in table.history() if h.get("version") == version), {})


def _give_records(project: Project, record: Record) -> None:
    """Say again what made the sets of embeddings that come back."""
    for place, made in record.embedders.items():
        file = project._folder.table_at(place).path / "_embedder.json"
        if file.parent.is_dir():
            write_json(file, made)
