"""The labels of some images as annotators had them, and as they are now: what a file that comes back is compared with.

Three states of a label count: what it is now, what the file says, and what both started from. That is what was handed
out, or what the annotators gave back after it: only what differs from it was changed by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..content.succession import RETURNED_SOURCE
from ..formats.known import class_digest
from ..formats.label_studio_writer import as_held
from ..formats.returned_rows import SENT
from ..schema import (
    CLASS_NAME,
    EXTRA,
    ITEM_ID,
    KIND_BOX,
    KIND_CLASSIFICATION,
    KIND_MASK,
    KIND_ROTATED_BOX,
    LABEL_ID,
    LABEL_LEVELS,
    OBJECT,
    ORDINAL,
    SUGGESTED_SOURCE,
)
from ..store.fold import parts
from ..store.rows import decode_rows

if TYPE_CHECKING:
    from ..project import Project

CORRECT = "correct"
"""The kind of the edit that takes corrections over; what it does is in its other parts."""
OURS = "ours"
"""Marks the part of it that gives a label the class it has here, not one of the annotators."""
_NEAR_PX = 0.01
"""Nearer than this is the same place: CVAT writes two digits after the point."""
_NEAR_DEGREES = 0.01
_PLACE = ("x", "y", "w", "h")
_SHAPE = ("kind", *_PLACE, "angle", "points", "rings", "holes", "visibility", "rle")
_READ = "read_class"

Row = dict[str, Any]


@dataclass(frozen=True)
class Base:
    """What a label was before the annotators looked at it last.

    Attributes
    ----------
    row : dict
        The label with the shape it had.
    class_name : str or None
        Its class, where that is known by name.
    digest : str or None
        Else what the file tells of it.
    """

    row: Row
    class_name: str | None = None
    digest: str | None = None

    def has_class(self, name: str | None) -> bool:
        """Tell whether this is the class it had."""
        return class_digest(name) == self.digest if self.digest is not None else name == self.class_name

    def is_now(self, row: Row) -> bool:
        """Tell whether a label of the project is still what it was."""
        return bool(row[LABEL_ID] == self.row[LABEL_ID]) and self.has_class(row[CLASS_NAME])

    def is_said(self, answer: Row) -> bool:
        """Tell whether annotators left it as it was."""
        return self.has_class(answer[CLASS_NAME]) and same_place(self.row, answer)


class HandedLabels:
    """The labels of some items, by id and by item; removed ones are known by id alone."""

    def __init__(self, project: Project, items: pl.Series) -> None:
        self.by_id: dict[str, Row] = {}
        self._on_item: dict[str, list[Row]] = {}
        self._waiting: dict[str, str] = {}
        self._marks: dict[tuple[str, str], str] = {}
        for name in LABEL_LEVELS:
            level = project._level(name)
            alive = np.ones(level.n, np.bool_) if level.alive is None else level.alive
            read = project._reader._base[name][0][CLASS_NAME].alias(_READ)
            frame = level.frame.with_columns(pl.Series("alive", alive), read, pl.lit(name).alias("level"))
            self._take(frame.filter(pl.col(ITEM_ID).is_in(items.implode())))
        self._next = self._links(project)
        self._given = _classes_given(project)

    def _take(self, frame: pl.DataFrame) -> None:
        wanted = (*_SHAPE, CLASS_NAME, _READ, "track_id", "annotator", "seconds", "source", EXTRA)
        columns = [c for c in wanted if c in frame.columns]
        if EXTRA in frame.columns:
            frame = frame.with_columns(marks_of(pl.col(EXTRA)))
            columns += list(_MARKS.values())
        for row in frame.select(LABEL_ID, ITEM_ID, ORDINAL, "alive", "level", *columns).iter_rows(named=True):
            self.by_id[row[LABEL_ID]] = row
            if row.get("replaces") is not None:
                self._waiting[row["replaces"]] = row[LABEL_ID]
            if row.get("region") is not None:
                self._marks[row.get("annotation") or "", row["region"]] = row[LABEL_ID]
            if row["alive"]:
                self._on_item.setdefault(row[ITEM_ID], []).append(row)

    def _links(self, project: Project) -> dict[str, str]:
        """Return which label took the place of which, in force."""
        level = project._level(OBJECT)
        ids, added = level.frame[LABEL_ID], level.edits.added
        links = level.edits.replaces.items()
        return {ids[old]: ids[new] for new, old in links if added is not None and added[new]}

    def _chain(self, label_id: str) -> list[Row]:
        """Return a label and those that took its place one after another."""
        rows = [self.by_id[label_id]] if label_id in self.by_id else []
        seen = {label_id}
        while (label_id := self._next.get(label_id, "")) in self.by_id and label_id not in seen:
            seen.add(label_id)
            rows.append(self.by_id[label_id])
        return rows

    def now(self, label_id: str) -> Row | None:
        """Return the label that stands where one was; itself where none does."""
        rows = self._chain(label_id)
        return None if not rows else rows[-1] if rows[-1]["alive"] else rows[0]

    def _first(self, answer: Row) -> str:
        """Return the id of the label that an answer says it is: by our id, else by its region in the tool."""
        own = answer.get(LABEL_ID)
        if own in self.by_id or answer.get("region") is None:
            return own or ""
        return self._marks.get((answer.get("annotation") or "", answer["region"]), "")

    def named(self, answer: Row) -> Row | None:
        """Return the label that an answer is about, as it is now."""
        found = self.now(self._first(answer))
        return found if found is not None and found[ITEM_ID] == answer[ITEM_ID] else None

    def base(self, answer: Row) -> Base:
        """Return what the label of an answer was before the annotators had it last."""
        first = self._first(answer)
        rows = self._chain(first)
        at = max((i for i, row in enumerate(rows) if i and row.get("source") == RETURNED_SOURCE), default=0)
        sent = answer.get(SENT) if first == answer.get(LABEL_ID) else None
        moment, digest = _moment(sent)
        given = [self._given[key] for r in rows[at:] if (key := (r["level"], r[ORDINAL])) in self._given]
        last = max(given, default=(-1, None))
        if last[0] > (moment if not at else -1):
            return Base(rows[at], last[1])
        if at or first != answer.get(LABEL_ID):
            return Base(rows[at], rows[at][_READ])
        if digest is None:  # handed out before files told it: what comes back counts
            return Base(rows[at], (rows[-1] if rows[-1]["alive"] else rows[0])[CLASS_NAME])
        return Base(rows[at], digest=digest)

    def waiting(self, old: Row, answer: Row) -> int | None:
        """Return the row of a correction that was taken back: it is used again."""
        other = self.by_id.get(self._waiting.get(old[LABEL_ID], ""))
        if other is None or other["alive"] or not str(other.get("source") or "").startswith(SUGGESTED_SOURCE):
            return None
        same = other[_READ] == answer[CLASS_NAME] and same_place(other, answer)
        return int(other[ORDINAL]) if same else None

    def like(self, answer: Row, but: Row | None = None) -> Row | None:
        """Return a label of the same class at the same place that nobody else drew."""
        for other in self._on_item.get(answer[ITEM_ID], []):
            who, drew = answer.get("annotator"), other.get("annotator")
            theirs = who is not None and drew is not None and who != drew
            if (
                other is not but
                and not theirs
                and other[CLASS_NAME] == answer[CLASS_NAME]
                and same_place(other, answer)
            ):
                return other
        return None


_MARKS = {"replaces": "replaces", "label_studio.id": "region", "label_studio.annotation": "annotation"}


def marks_of(extra: pl.Expr) -> list[pl.Expr]:
    """Return what the column `extra` says of a label: which one it replaces, its region and annotation in the tool."""
    return [extra.str.json_path_match(f"$.{path}").alias(name) for path, name in _MARKS.items()]


def _moment(sent: str | None) -> tuple[int, str | None]:
    """Read `known.as_sent`: the edit after which a label was handed out, and a digest of its class."""
    head, _, digest = (sent or "").partition("-")
    try:
        return int(head, 16), digest
    except ValueError:
        return -1, None


def _classes_given(project: Project) -> dict[tuple[str, int], tuple[int, str | None]]:
    """Return, by level and row, the last class that annotators gave a label, and by which edit."""
    found: dict[tuple[str, int], tuple[int, str | None]] = {}
    for edit in project._reader.log.state.done:
        for part in parts(edit) if edit.kind == CORRECT else []:
            if part.kind == "relabel" and not part.payload.get(OURS):
                rows = decode_rows(part.encoding, part.rows).tolist()
                found |= {(part.level, row): (edit.seq, part.payload["class_name"]) for row in rows}
    return found


def same_place(a: Mapping[str, Any], b: Mapping[str, Any], near: float = _NEAR_PX) -> bool:
    """Tell whether two labels have the same shape: of one kind, and nowhere further apart than tools round.

    What a format of single rings cannot hold counts as it is written there.
    """
    turned = (KIND_BOX, KIND_ROTATED_BOX)
    if a["kind"] != b["kind"] and not (a["kind"] in turned and b["kind"] in turned):
        return False
    if a["kind"] == KIND_CLASSIFICATION:
        return True
    if a["kind"] == KIND_MASK:
        return bool(a["rle"] == b["rle"])
    if a["kind"] in turned:
        off = (float(a.get("angle") or 0) - float(b.get("angle") or 0) + 180) % 360 - 180
        return abs(off) <= _NEAR_DEGREES and _near((a[k] for k in _PLACE), (b[k] for k in _PLACE), near)
    first, second = as_held(a), as_held(b)
    seen = [v.get("visibility") or [2] * (len(v["points"]) // 2) for v in (first, second)]
    if list(seen[0]) != list(seen[1]):
        return False
    counts = [2 * [s > 0] for s in seen[0]]
    used = [u for pair in counts for u in pair]
    places = [[p for p, u in zip(v["points"], used, strict=False) if u] for v in (first, second)]
    return len(first["points"]) == len(second["points"]) and _near(places[0], places[1], near)


def _near(a: Iterable[float], b: Iterable[float], near: float) -> bool:
    return all(abs(p - q) <= near for p, q in zip(a, b, strict=True))
