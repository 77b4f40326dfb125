"""Labels that come back from annotators: which are new, which were changed, and which were taken away.

A label that was handed out brings its id back (`view.to_label_studio`, `view.to_cvat`). One that is as it was adds
nothing; another class, or another shape, is an edit: with another shape a new label takes the place of the old one. All
corrections of a file are one edit, so one undo takes them back. Labels that never had an id are compared with what
is on their image.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from .formats.label_studio_writer import as_held
from .formats.returned_rows import AT
from .formats.source import Fault, Source
from .schema import (
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
    URI,
)
from .store.rows import RowSet, encode_rows

if TYPE_CHECKING:
    from .project import Project

RETURNING = ("label_studio", "cvat")
"""Formats whose labels may be ones that were handed out."""
REPLACES = "replaces"
"""The key in `extra` that names the label a corrected one took the place of."""
_SOURCE = f"{SUGGESTED_SOURCE}returned"
_CORRECT = "correct"
"""The kind of the edit; what it does is in its other parts."""
_NEAR_PX = 0.01
"""Nearer than this is the same place: CVAT writes two digits after the point."""
_NEAR_DEGREES = 0.01
_PLACE = ("x", "y", "w", "h")

Row = dict[str, Any]


@dataclass
class Moved:
    """A label that came back with another shape: what it was, what it is, and the row that waits for it already."""

    old: Row
    row: Row
    waiting: int | None = None


@dataclass
class Returned:
    """What came back, sorted: rows of labels to add, and edits to make."""

    new: list[Row] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    renamed: list[tuple[Row, str]] = field(default_factory=list)
    unchanged: int = 0
    gone: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """How many labels have another class or shape."""
        return len(self.moved) + len(self.renamed)

    def frame(self, labels: pl.DataFrame) -> pl.DataFrame:
        """Return the labels to add, as rows of `labels`; last those of another shape, which wait for their edit."""
        waiting = [
            {**m.row, EXTRA: _replacing(m.row, m.old), "source": _SOURCE} for m in self.moved if m.waiting is None
        ]
        columns = {c: t for c, t in labels.schema.items() if c not in (LABEL_ID, AT)} | {"source": pl.String}
        return pl.DataFrame([{c: r.get(c) for c in columns} for r in (*self.new, *waiting)], schema=columns)


def sort_out(project: Project, source: Source, owners: pl.DataFrame) -> Returned:
    """Compare what came back with what is there.

    Parameters
    ----------
    project : Project
        Its lock must be held.
    source : Source
        Labels with `uri`, and `label_id` where they have one; `card["sent"]` lists the ids that were handed out.
    owners : pl.DataFrame
        `uri` and `item_id`.
    """
    assert source.labels is not None
    out = Returned()
    there = _There(project, owners[ITEM_ID].unique())
    back = source.labels.join(owners, on=URI, how="inner", maintain_order="left")
    rows = back.to_dicts()
    _claim(rows, there, [s for s in source.card.get("sent", []) if isinstance(s, str)])
    by_id: dict[str, list[Row]] = {}
    for row in rows:
        old = there.named(row)
        if old is None:
            _unnamed(row, there, out)
        else:
            by_id.setdefault(old[LABEL_ID], []).append(row)
    for label_id, answers in by_id.items():
        _answered(there.by_id[label_id], answers, there, out)
    seen = {*by_id, *(r[LABEL_ID] for r in rows)}
    for label_id in source.card.get("sent", []):
        old = there.by_id.get(there.newest(label_id))
        if label_id not in seen and old is not None and old["alive"] and old[LABEL_ID] not in seen:
            out.gone.append(old)
    return out


def apply_edits(project: Project, returned: Returned, added: pl.Series, *, delete_gone: bool, code: str) -> None:
    """Write what is no addition as one edit: other classes, and labels that take the place of others.

    Parameters
    ----------
    project : Project
        Its lock must be held.
    returned : Returned
        What came back.
    added : pl.Series
        Ids of the labels that were added for those of another shape, in their order.
    delete_gone : bool
        Delete what annotators took away.
    code : str
        The call, for the history.
    """
    corrected = [*(m.old for m in returned.moved), *(old for old, _ in returned.renamed)]
    removed = [*(m.old for m in returned.moved), *(returned.gone if delete_gone else [])]
    parts: list[dict[str, Any]] = []
    for level in LABEL_LEVELS:
        _part(parts, level, _CORRECT, [old for old in corrected if old["level"] == level])
    for level in LABEL_LEVELS:
        _part(parts, level, "remove", [old for old in removed if old["level"] == level])
        names = dict.fromkeys(name for old, name in returned.renamed if old["level"] == level)
        for name in names:
            mine = [old for old, given in returned.renamed if old["level"] == level and given == name]
            _part(parts, level, "relabel", mine, {"class_name": name})
    rows = _rows_of(project, returned, added)
    links = {str(row): m.old[ORDINAL] for row, m in zip(rows, returned.moved, strict=True)}
    _part(parts, OBJECT, "add", [{ORDINAL: row} for row in rows], {"replaces": links})
    if parts:
        first, *others = parts
        encoded = RowSet(first["encoding"], first["n"], base64.b64decode(first["rows"]))
        payload = {**first["payload"], "also": others}
        project._edit(first["level"], first["kind"], rows=encoded, payload=payload, code=code)


def _part(
    parts: list[dict[str, Any]], level: str, kind: str, rows: list[Row], payload: dict[str, Any] | None = None
) -> None:
    if rows:
        encoded = encode_rows(np.array(sorted({r[ORDINAL] for r in rows}), np.uint32))
        text = base64.b64encode(encoded.data).decode()
        said = {"encoding": encoded.encoding, "rows": text, "n": encoded.n, "payload": payload or {}}
        parts.append({"level": level, "kind": kind, **said})


def _rows_of(project: Project, returned: Returned, added: pl.Series) -> list[int]:
    """Return the rows, among the objects, of labels that take the place of others."""
    frame = project._level(OBJECT).frame.select(LABEL_ID, ORDINAL)
    fresh = iter(added.to_frame(LABEL_ID).join(frame, on=LABEL_ID, how="left", maintain_order="left")[ORDINAL])
    return [next(fresh) if m.waiting is None else m.waiting for m in returned.moved]


class _There:
    """The labels of some items, by id and by item; removed ones are known by id alone."""

    def __init__(self, project: Project, items: pl.Series) -> None:
        self.by_id: dict[str, Row] = {}
        self.on_item: dict[str, list[Row]] = {}
        self._replaced: dict[str, str] = {}
        self._marks: dict[tuple[str, str], str] = {}
        for name in LABEL_LEVELS:
            level = project._level(name)
            alive = np.ones(level.n, np.bool_) if level.alive is None else level.alive
            frame = level.frame.with_columns(pl.Series("alive", alive), pl.lit(name).alias("level"))
            self._take(frame.filter(pl.col(ITEM_ID).is_in(items.implode())))

    def _take(self, frame: pl.DataFrame) -> None:
        wanted = [c for c in (*_SHAPE, CLASS_NAME, "annotator", "source", EXTRA) if c in frame.columns]
        if EXTRA in frame.columns:
            marks = [pl.col(EXTRA).str.json_path_match(f"$.{k}").alias(a) for k, a in _MARKS.items()]
            frame = frame.with_columns(marks)
            wanted += list(_MARKS.values())
        for row in frame.select(LABEL_ID, ITEM_ID, ORDINAL, "alive", "level", *wanted).iter_rows(named=True):
            self.by_id[row[LABEL_ID]] = row
            if row.get("replaces") is not None:
                self._replaced[row["replaces"]] = row[LABEL_ID]
            if row.get("region") is not None:
                self._marks[row.get("annotation") or "", row["region"]] = row[LABEL_ID]
            if row["alive"]:
                self.on_item.setdefault(row[ITEM_ID], []).append(row)

    def newest(self, label_id: str) -> str:
        """Return the label that took the place of one, itself where none did."""
        first, seen = label_id, {label_id}
        while (
            not self._alive(label_id)
            and (following := self._replaced.get(label_id)) is not None
            and following not in seen
        ):
            seen.add(following)
            label_id = following
        return label_id if self._alive(label_id) else first

    def _alive(self, label_id: str) -> bool:
        return label_id in self.by_id and bool(self.by_id[label_id]["alive"])

    def waiting(self, old: Row, row: Row) -> int | None:
        """Return the row of a correction that was taken back: it is used again."""
        other = self.by_id.get(self._replaced.get(old[LABEL_ID], ""))
        same = other is not None and other[CLASS_NAME] == row[CLASS_NAME] and same_place(other, row)
        waits = same and other is not None and str(other.get("source") or "").startswith(SUGGESTED_SOURCE)
        return int(other[ORDINAL]) if waits and other is not None and not other["alive"] else None

    def named(self, row: Row) -> Row | None:
        """Return the label that a row says it is, by our id or by its region in the tool."""
        found = self.by_id.get(self.newest(row[LABEL_ID])) if row.get(LABEL_ID) is not None else None
        if found is None and row.get("region") is not None:
            found = self.by_id.get(self.newest(self._marks.get((row.get("annotation") or "", row["region"]), "")))
        return found if found is not None and found[ITEM_ID] == row[ITEM_ID] else None

    def like(self, row: Row, but: Row | None = None) -> Row | None:
        """Return a label of the same class at the same place that nobody else drew."""
        for other in self.on_item.get(row[ITEM_ID], []):
            who, drew = row.get("annotator"), other.get("annotator")
            theirs = who is not None and drew is not None and who != drew
            if other is not but and not theirs and other[CLASS_NAME] == row[CLASS_NAME] and same_place(other, row):
                return other
        return None


_SHAPE = ("kind", "x", "y", "w", "h", "angle", "points", "rings", "holes", "visibility", "rle")
_MARKS = {"replaces": "replaces", "label_studio.id": "region", "label_studio.annotation": "annotation"}


def _claim(rows: list[Row], there: _There, sent: list[str]) -> None:
    """Give rows without an id that of the one label of their place that was handed out and did not come back."""
    marks = pl.DataFrame({EXTRA: [r.get(EXTRA) for r in rows]}, schema={EXTRA: pl.String})
    found = marks.select(pl.col(EXTRA).str.json_path_match(f"$.{k}").alias(a) for k, a in _MARKS.items())
    for row, said in zip(rows, found.iter_rows(named=True), strict=True):
        row |= {k: said[k] for k in ("region", "annotation")}
    have = {r[LABEL_ID] for r in rows}
    missing: dict[str, list[Row]] = {}
    for label_id in sent:
        old = there.by_id.get(there.newest(label_id))
        if old is not None and old["alive"] and label_id not in have and old["kind"] != KIND_CLASSIFICATION:
            missing.setdefault(old[ITEM_ID], []).append(old)
    for row in rows if missing else []:
        if row[LABEL_ID] is None and row["kind"] != KIND_CLASSIFICATION:
            here = [old for old in missing.get(row[ITEM_ID], []) if same_place(old, row)]
            if here:
                best = next((o for o in here if o[CLASS_NAME] == row[CLASS_NAME]), here[0])
                row[LABEL_ID] = best[LABEL_ID]
                missing[row[ITEM_ID]].remove(best)


def _unnamed(row: Row, there: _There, out: Returned) -> None:
    if there.like(row) is not None:
        out.unchanged += 1
    else:
        out.new.append(row)


def _answered(old: Row, answers: list[Row], there: _There, out: Returned) -> None:
    """Take what annotators say of one label: the last answer counts, another annotator's is a label of its own."""
    if not old["alive"]:
        out.unchanged += len(answers)
        changed = [a for a in answers if not (a[CLASS_NAME] == old[CLASS_NAME] and same_place(old, a))]
        if changed:
            why = "it was deleted here meanwhile, and came back with another class or shape"
            out.faults.append(Fault(old[LABEL_ID], "skipped", why, "p.undo() the deletion, and add the labels again"))
        return
    last = max(answers, key=lambda a: a.get(AT) or "")
    kept = last[CLASS_NAME] == old[CLASS_NAME] and same_place(old, last)
    for answer in answers:
        if answer is last:
            continue
        same = answer[CLASS_NAME] == last[CLASS_NAME] and same_place(answer, last)
        others = answer.get("annotator") is not None and answer.get("annotator") != last.get("annotator")
        if same or there.like(answer, but=None if kept else old) is not None:
            out.unchanged += 1
        elif others:
            out.new.append(answer)
        else:
            why = f'there is a later answer for it ("{last[CLASS_NAME]}") than this one ("{answer[CLASS_NAME]}")'
            out.faults.append(Fault(old[LABEL_ID], "skipped", why, "keep one of them in the tool"))
    if not same_place(old, last):
        if there.like(last) is not None:
            out.unchanged += 1
        else:
            out.moved.append(Moved(old, last, there.waiting(old, last)))
    elif last[CLASS_NAME] != old[CLASS_NAME]:
        out.renamed.append((old, last[CLASS_NAME]))
    else:
        out.unchanged += 1


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


def _replacing(row: Row, old: Row) -> str:
    extra = json.loads(row[EXTRA]) if row.get(EXTRA) else {}
    return json.dumps({**extra, REPLACES: old[LABEL_ID]})


def gone_faults(returned: Returned) -> list[Fault]:
    """List the labels that annotators took away, and that stay until they are deleted here."""
    return [
        Fault(
            old[LABEL_ID],
            "kept",
            f'the annotators took it away ("{old[CLASS_NAME]}")',
            f'p.labels.by_ids(["{old[LABEL_ID]}"]).delete_label(), or add the labels with delete_gone=True',
        )
        for old in returned.gone
    ]
