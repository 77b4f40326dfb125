"""What edits changed in the labels, row by row: the list that goes with a corrected export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .. import schema
from ..schema import CLASS_NAME, ITEM, ITEM_ID, LABEL_ID, LABEL_LEVELS, SUGGESTED_SOURCE, URI
from ..store.fold import Edit, LevelEdits, parts
from ..store.reasons import reasons_of
from ..store.rows import decode_mask

if TYPE_CHECKING:
    from ..project import Project

RELABELLED, REMOVED, ADDED, MOVED = "relabelled", "removed", "added", "moved"
_BOX = ("x", "y", "w", "h")
_KINDS = ("relabel", "unlabel", "remove", "restore", "add", "withdraw")
CHANGES: dict[str, pl.DataType | type[pl.DataType]] = {
    "change": pl.String, "level": pl.String, LABEL_ID: pl.String, ITEM_ID: pl.String, URI: pl.String,
    "before": pl.String, "after": pl.String, **{f"{c}_before": pl.Float64 for c in _BOX},
    **dict.fromkeys(_BOX, pl.Float64), "score": pl.Float64, "reason": pl.String, "at": schema.UTC_MICROSECONDS,
    "cause": pl.String,
}  # fmt: skip


def changes(project: Project) -> pl.DataFrame:
    """Compare the labels as they were read with what they are now; see `Project.changes`."""
    with project._lock:
        project._snapshot()
        found = [_of_level(project, level) for level in LABEL_LEVELS]
        gone = _removed_items(project)
    table = pl.concat([*found, gone], how="diagonal")
    typed = [pl.col(c).cast(t) if c in table.columns else pl.lit(None, t).alias(c) for c, t in CHANGES.items()]
    return table.select(typed).sort("at", nulls_last=True, maintain_order=True)


def _of_level(project: Project, name: str) -> pl.DataFrame:
    base = project._reader._base[name][0]
    edits: LevelEdits = project._reader.log.state.level(name, base.height)
    none = np.zeros(base.height, np.bool_)
    removed = none if edits.removed is None else edits.removed
    suggested = none
    if "source" in base.columns:
        suggested = base["source"].str.starts_with(SUGGESTED_SOURCE).fill_null(value=False).to_numpy()
    here = suggested & ~removed & (none if edits.added is None else edits.added)
    was = base[CLASS_NAME]
    names = pl.Series(edits.class_names, dtype=pl.String)
    codes = np.full(base.height, -1, np.int32) if edits.classes is None else edits.classes
    is_ = names.gather(np.maximum(codes, 0)).zip_with(pl.Series(codes >= 0), was) if len(names) else was
    moved = {new: old for new, old in edits.replaces.items() if here[new] and removed[old]}
    replaced = none.copy()
    replaced[list(moved.values())] = True
    # An answer that was open is one that an edit gave.
    open_ = was.is_null().to_numpy() & (base["kind"] == schema.KIND_CLASSIFICATION).to_numpy()
    gone = removed & ~suggested & ~replaced & ~open_
    other = (is_.ne_missing(was)).to_numpy() & ~removed & ~suggested & ~open_
    new = (here | (open_ & is_.is_not_null().to_numpy() & ~removed)).copy()
    change = np.select([gone, other, new], [0, 1, 2], default=-1)
    change[list(moved)] = 3
    rows = np.flatnonzero(change >= 0)
    before_rows = np.array([moved.get(int(r), int(r)) for r in rows], np.int64)
    words = pl.Series([REMOVED, RELABELLED, ADDED, MOVED], dtype=pl.String)
    told = _told(project, name, base.height, rows, before_rows)
    frame = base[rows].select(LABEL_ID, ITEM_ID, URI)
    old, now = _boxes(base, before_rows), _boxes(base, rows)
    kinds = change[rows]
    return frame.with_columns(
        words.gather(kinds).alias("change"),
        pl.lit(name).alias("level"),
        was.gather(before_rows).zip_with(pl.Series(kinds != 2), pl.Series([None], dtype=pl.String)).alias("before"),
        is_.gather(rows).zip_with(pl.Series(kinds != 0), pl.Series([None], dtype=pl.String)).alias("after"),
        *(pl.Series(f"{c}_before", np.where(kinds != 2, old[c], np.nan)).fill_nan(None) for c in _BOX),
        *(pl.Series(c, np.where(kinds != 0, now[c], np.nan)).fill_nan(None) for c in _BOX),
        *told,
    )


def _boxes(base: pl.DataFrame, rows: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    empty = np.full(len(rows), np.nan)
    return {
        c: base[c].gather(rows).cast(pl.Float64).fill_null(np.nan).to_numpy() if c in base.columns else empty
        for c in _BOX
    }


def _removed_items(project: Project) -> pl.DataFrame:
    base = project._reader._base[ITEM][0]
    removed = project._reader.log.state.level(ITEM, base.height).removed
    rows = np.flatnonzero(removed) if removed is not None else np.empty(0, np.int64)
    told = _told(project, ITEM, base.height, rows, rows)
    return (
        base[rows]
        .select(ITEM_ID, URI)
        .with_columns(pl.lit(REMOVED).alias("change"), pl.lit(ITEM).alias("level"), *told)
    )


def _told(
    project: Project, name: str, n: int, rows: NDArray[np.integer], before: NDArray[np.integer]
) -> list[pl.Series]:
    """Say of rows when and by whom they were changed last, and why where a review knew."""
    log = project._reader.log
    last = np.full(n, -1, np.int64)
    asked: dict[int, dict[tuple[str, int], Any]] = {}
    done = log.state.done
    for i, edit in enumerate(done):
        for part in parts(edit):
            if part.level == name and part.kind in _KINDS:
                last[decode_mask(part.encoding, part.rows, n)] = i
        if edit.kind == "review":
            asked[i] = _reasons(edit)
    at, cause, score, reason = [], [], [], []
    for row, old in zip(rows.tolist(), before.tolist(), strict=True):
        i = int(max(last[row], last[old]))
        when, who, _ = log.time_of(done[i].edit_id) if i >= 0 else (None, "", "")
        why = asked.get(i, {})
        told = why.get((name, row)) or why.get((name, old)) or why.get((ITEM, _item(project, name, old)))
        at.append(when)
        cause.append(who)
        score.append(told[0] if told else None)
        reason.append(told[1] if told else None)
    return [
        pl.Series("at", at, dtype=schema.UTC_MICROSECONDS),
        pl.Series("cause", cause, dtype=pl.String),
        pl.Series("score", score, dtype=pl.Float64),
        pl.Series("reason", reason, dtype=pl.String),
    ]


def _reasons(edit: Edit) -> dict[tuple[str, int], Any]:
    """Return the reasons that an answer keeps, by level and row of what was asked about or added."""
    found: dict[tuple[str, int], Any] = {}
    for part in parts(edit):
        found |= {(part.level, row): told for row, told in reasons_of(part.payload).items()}
    return found


def _item(project: Project, name: str, row: int) -> int:
    owners = project._level(name).item_rows
    return row if owners is None else int(owners[row])
