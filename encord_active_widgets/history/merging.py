"""Join the edits of two clones of one project: the union of two logs, and what is settled where they disagree."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from .. import schema
from ..errors import InputError
from ..importing.ingest import commit
from ..schema import CHANGE_ID, CLASS_NAME, ITEM, ITEM_ID, LABEL_ID, LABEL_LEVELS, ORDINAL, REVISION, URI, run_of
from ..store.between import parts_between
from ..store.edits import new_id
from ..store.fold import TOOK, Edit, Folded, fold, left_out, parse_payload
from ..store.folder import resolve_address
from ..store.parts import Part
from ..store.threeway import CLASS, Conflict, settle
from ..store.threeway import SPLIT as DIVIDED
from ..store.translate import Map, translate

if TYPE_CHECKING:
    from ..project import Project

CONFLICTS: dict[str, Any] = {
    "kind": pl.String, "level": pl.String, "id": pl.String, ITEM_ID: pl.String, URI: pl.String, "before": pl.String,
    "ours": pl.String, "theirs": pl.String,
}  # fmt: skip
_CAUSE = "merge"
_CODE = "p.merge(other)"
_CONTENT = [c for c in schema.LABELS.columns if c not in (LABEL_ID, ORDINAL, CHANGE_ID)]


def merge(project: Project, other: Project | str | os.PathLike[str]) -> pl.DataFrame:
    """Take over the edits of a clone; see `Project.merge`."""
    theirs = type(project).open(other) if isinstance(other, (str, os.PathLike)) else other
    if not isinstance(theirs, type(project)):
        raise InputError(f"A {type(other).__name__} is no project.", "Give a project, or the path of its folder.")
    _refuse(project, theirs)
    project._folder.writable()
    with theirs._lock:
        theirs._snapshot()
        entries = theirs._reader.log.frame()
        hidden = left_out(theirs._reader.log.edits) | _own(theirs._reader.log.edits)
        with project._lock, project._folder.lock():
            project._snapshot()
            labels = _labels(theirs)
            pairs = _paired(labels, _labels(project))
            if _bring(project, theirs, pairs):
                project._snapshot()
                pairs = _paired(labels, _labels(project))
            entries = entries.filter(~pl.col("edit_id").is_in(pl.Series(list(hidden), dtype=pl.String).implode()))
            return _join(project, translate(entries, _maps(project, theirs, pairs)))


def _refuse(project: Project, theirs: Project) -> None:
    if theirs._card["id"] != project._card["id"]:
        raise InputError(
            f'"{theirs.path}" is another project, no clone of "{project.path}".',
            "Merge what p.clone(…), view.clone(…) or a copy of the project folder (by git, say) was made of. Labels of "
            "another project come by view.to_coco(…) and p.add_labels(…).",
        )
    if theirs.path.resolve() == project.path.resolve():
        raise InputError(f'"{theirs.path}" is this project itself.', "Give the folder of a clone.")


# -- the logs ---------------------------------------------------------------------------------------------


def _join(project: Project, entries: pl.DataFrame) -> pl.DataFrame:
    """Append the entries that are new, and one that settles what they contradict; return the conflicts.

    A last entry says which these are, so that one undo takes the merge back. It is this project's own.
    """
    log = project._reader.log
    out = left_out(log.edits) | _own(log.edits)
    ours = [e for e in log.edits if e.edit_id not in out]
    known = {e.edit_id for e in ours}
    fresh = entries.filter(~pl.col("edit_id").is_in(pl.Series(list(known), dtype=pl.String).implode()))
    if fresh.is_empty():
        return pl.DataFrame(schema=CONFLICTS)
    added = [_edit(row) for row in fresh.iter_rows(named=True)]
    common_ids = known & set(entries["edit_id"])
    common = [e for e in ours if e.edit_id in common_ids]
    union = _ordered([*ours, *added])
    together = fold(union, log.sizes)
    wanted, conflicts = merged_state(common, ours, _ordered([*common, *added]), together, log.sizes)
    parts = parts_between(together, wanted, log.sizes)
    rows = fresh
    if parts or conflicts:
        rows = pl.concat([fresh, _settling(union, parts, len(conflicts), entries)])
    stored = pl.Series([e.edit_id for e in log.edits], dtype=pl.String)  # some may be of a merge that was undone
    last = max(int(rows["seq"].max() or 0), *(e.seq for e in log.edits), 0)  # type: ignore[arg-type]
    took = _took(rows["edit_id"].to_list(), fresh.height, last + 1)
    log.take(pl.concat([rows.filter(~pl.col("edit_id").is_in(stored.implode())), took]))
    project._reader.publish()
    return _table(project, conflicts)


def _own(edits: Sequence[Edit]) -> set[str]:
    """Return the ids of the entries that tell what was merged into one project, which no other is told."""
    merges = {e.edit_id for e in edits if e.kind == TOOK}
    return merges | {e.edit_id for e in edits if e.undoes in merges}


def _took(ids: list[str], n: int, seq: int) -> pl.DataFrame:
    now = dt.datetime.now(dt.UTC)
    row = {
        "edit_id": new_id(now), "seq": seq, "at": now, "level": ITEM, "kind": TOOK, "encoding": "ids", "rows": b"",
        "n": 0, "payload": json.dumps({"edits": ids, "n": n}), "undoes": None, "cause": _CAUSE, "code": _CODE,
    }  # fmt: skip
    return pl.DataFrame([row], schema=dict(schema.EDITS.columns), orient="row")


def merged_state(
    common: Sequence[Edit], ours: Sequence[Edit], theirs: Sequence[Edit], together: Folded, sizes: Any
) -> tuple[Folded, list[Conflict]]:
    """Return what two logs lead to together; see `store.threeway`."""
    return settle(fold(common, sizes), fold(ours, sizes), fold(theirs, sizes), together, sizes)


def _ordered(edits: Sequence[Edit]) -> list[Edit]:
    return sorted(edits, key=lambda e: (e.seq, e.edit_id))


def _edit(row: dict[str, Any]) -> Edit:
    return Edit(
        row["edit_id"], row["seq"], row["level"], row["kind"], row["encoding"] or "ids", row["rows"] or b"",
        row["n"] or 0, parse_payload(row["payload"]), row["undoes"],
    )  # fmt: skip


def _settling(union: Sequence[Edit], parts: list[Part], conflicts: int, entries: pl.DataFrame) -> pl.DataFrame:
    """Make the entry that settles a merge. Both sides make the same one: its id follows from what was merged."""
    seq = union[-1].seq + 1
    digest = hashlib.blake2b(" ".join(e.edit_id for e in union).encode(), digest_size=8).hexdigest()
    row = {
        "edit_id": f"{seq:014x}-merge-{digest}", "seq": seq, "at": entries["at"].max(), "level": ITEM, "kind": "merge",
        "encoding": "ids", "rows": b"", "n": 0,
        "payload": json.dumps({"conflicts": conflicts, "also": parts}, ensure_ascii=False), "undoes": None,
        "cause": _CAUSE, "code": _CODE,
    }  # fmt: skip
    return pl.DataFrame([row], schema=dict(schema.EDITS.columns), orient="row")


def _table(project: Project, conflicts: Sequence[Conflict]) -> pl.DataFrame:
    rows = []
    snapshot = project._snapshot()
    stored = {run.stored: schema.prediction_level(run.name) for run in snapshot.runs.values()}
    for c in conflicts:
        told = {"before": c.before, "ours": c.ours, "theirs": c.theirs}
        name = stored.get(c.level, c.level)
        if c.row is None or (name != ITEM and name not in LABEL_LEVELS and run_of(name) is None):
            rows.append({"kind": c.kind, "level": name, **told})
            continue
        level = snapshot.levels[name]
        row = level.frame.row(c.row, named=True)
        if c.kind in (CLASS, "deleted"):  # a class that no edit gave is the label's own
            own = project._reader._base[c.level][0][CLASS_NAME][c.row]
            told = {k: own if v is None else v for k, v in told.items()}
        elif c.kind == DIVIDED:
            base = project._reader._base[c.level][0]
            own = base[schema.SPLIT][c.row] if schema.SPLIT in base.columns else None
            told = {k: own if v is None else v for k, v in told.items()}
        ids = {"id": row[level.key], ITEM_ID: row[ITEM_ID], URI: row[URI]}
        rows.append({"kind": c.kind, "level": name, **ids, **told})
    return pl.DataFrame(rows, schema=CONFLICTS)


# -- the rows they speak of -------------------------------------------------------------------------------


def _maps(project: Project, theirs: Project, pairs: pl.DataFrame) -> dict[str, Map]:
    """Return, by level, the number here of each of their rows."""
    now, then = project._snapshot(), theirs._snapshot()
    here = now.items.frame.select(ITEM_ID, pl.col(ORDINAL).cast(pl.Int64).alias("new"))
    maps = {ITEM: _found(then.items.frame.select(ITEM_ID), here, [ITEM_ID])}
    for level in LABEL_LEVELS:
        is_level = pl.col("level") == level
        mine = pairs.filter(is_level).sort("row")
        maps[level] = mine["new"].fill_null(-1).to_numpy().astype(np.int64)
    for run in then.runs.values():
        same = [r for r in now.runs.values() if r.stored == run.stored]
        if same:
            columns = [schema.PREDICTION_ID]
            place = f"{schema.PREDICTION}:"
            old = then.levels[f"{place}{run.name}"].frame.select(columns)
            new = now.levels[f"{place}{same[0].name}"].frame.select(
                *columns, pl.col(ORDINAL).cast(pl.Int64).alias("new")
            )
            if not old.equals(new.select(columns)):
                maps[run.stored] = _found(_numbered(old, columns), _numbered(new, columns), [*columns, "nth"])
    return maps


def _found(old: pl.DataFrame, new: pl.DataFrame, keys: list[str]) -> Map:
    joined = old.join(new, on=keys, how="left", maintain_order="left")["new"]
    return joined.fill_null(-1).to_numpy().astype(np.int64)


def _numbered(frame: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return frame.with_columns(pl.int_range(pl.len()).over(keys).alias("nth"))


def _labels(project: Project) -> pl.DataFrame:
    """Return the labels that count, as they were read: level, row in it, id, and a number that says what they are."""
    folder = project._folder
    committed = folder.changes.read().select(CHANGE_ID)
    table = folder.labels.read().join(committed, on=CHANGE_ID, how="semi", maintain_order="left")
    level = (
        pl.when(pl.col("kind") == schema.KIND_CLASSIFICATION)
        .then(pl.lit(LABEL_LEVELS[1]))
        .otherwise(pl.lit(LABEL_LEVELS[0]))
    )
    return (
        table.with_columns(level.alias("level"), pl.struct(_CONTENT).hash(seed=0).alias("content"))
        .with_columns(pl.int_range(pl.len()).over("level").alias("row"))
        .select("level", "row", LABEL_ID, ITEM_ID, "content", ORDINAL)
    )


def _paired(theirs: pl.DataFrame, ours: pl.DataFrame) -> pl.DataFrame:
    """Find each of their labels here: of the same id and content, else of the same content, else not (null)."""
    keys = ["level", "content"]
    exact = ours.select(*keys, LABEL_ID, pl.col("row").alias("new"))
    found = theirs.join(exact, on=[*keys, LABEL_ID], how="left", maintain_order="left")
    rest = _numbered(found.filter(pl.col("new").is_null()).drop("new"), keys)
    if rest.is_empty():
        return found
    used = found.drop_nulls("new").select("level", pl.col("new").alias("row"))
    alike = ours.join(rest, on=keys, how="semi", maintain_order="left")
    free = _numbered(alike.join(used, on=["level", "row"], how="anti", maintain_order="left"), keys)
    like = rest.join(free.select(*keys, "nth", pl.col("row").alias("new")), on=[*keys, "nth"], how="left").drop("nth")
    return pl.concat([found.drop_nulls("new"), like.select(found.columns)])


def _bring(project: Project, theirs: Project, pairs: pl.DataFrame) -> bool:
    """Add the images and labels that the clone has and this project has not; tell whether there were any."""
    folder, change_id = project._folder, uuid.uuid4().hex
    items = theirs._reader.raw_items.join(project._reader.raw_items.select(ITEM_ID), on=ITEM_ID, how="anti",
                                          maintain_order="left")  # fmt: skip
    known = project._reader.raw_items
    if project._card.get("part"):  # what was left out of it stays out
        items = items.clear()
    if items.height:
        first = int(known[ORDINAL].max() or 0) + 1 if known.height else 0  # type: ignore[arg-type]
        addresses = pl.Series([_address(project, theirs, u) for u in items[URI]], dtype=pl.String)
        folder.items.append(
            items.with_columns(
                (pl.int_range(pl.len(), dtype=pl.Int64) + first).cast(pl.UInt32).alias(ORDINAL),
                addresses.alias(URI),
                pl.lit(change_id).alias(CHANGE_ID),
                pl.lit(0, pl.Int32).alias(REVISION),
            ),
            durable=True,
        )
    mine = pl.concat([known[ITEM_ID], items[ITEM_ID]])
    wanted = pairs.filter(pl.col("new").is_null(), pl.col(ITEM_ID).is_in(mine.implode())).select(LABEL_ID, ORDINAL)
    n_labels = 0
    if wanted.height:
        rows = theirs._folder.labels.read().join(wanted, on=[LABEL_ID, ORDINAL], how="semi", maintain_order="left")
        folder.labels.append(_renumbered(folder.labels.read(), rows, change_id), durable=True)
        n_labels = rows.height
    if items.height or n_labels:
        commit(folder, change_id, _CODE, items=items.height, labels=n_labels, problems=0, cause=_CAUSE)
    return bool(items.height or n_labels)


def _renumbered(table: pl.DataFrame, rows: pl.DataFrame, change_id: str) -> pl.DataFrame:
    """Give labels places after those that are there, and other ids where theirs are taken."""
    first = int(table[ORDINAL].max() or 0) + 1 if table.height else 0  # type: ignore[arg-type]
    taken = set(table[LABEL_ID])
    ids = []
    for label_id, item in rows.select(LABEL_ID, ITEM_ID).iter_rows():
        new, n = label_id, 0
        while new in taken:
            new, n = f"{item}:{n}", n + 1
        taken.add(new)
        ids.append(new)
    return rows.with_columns(
        pl.Series(LABEL_ID, ids, dtype=pl.String),
        (pl.int_range(pl.len(), dtype=pl.Int64) + first).cast(pl.UInt32).alias(ORDINAL),
        pl.lit(change_id).alias(CHANGE_ID),
    )


def _address(project: Project, theirs: Project, uri: str) -> str:
    """Return an address of theirs as it is found from here."""
    there = resolve_address(uri, theirs._bases)
    return uri if resolve_address(uri, project._bases) == there else os.path.realpath(there)
