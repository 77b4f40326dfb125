"""Labels that come back from annotators: which are new, which were changed, and which were taken away.

A label that was handed out brings its id back, and what it was then (`view.to_label_studio`, `view.to_cvat`). Only what
the annotators changed is taken over; what was changed here meanwhile stays, and where both changed the same it is
listed. Another class, or another shape, is an edit: with another shape a new label takes the place of the old one. All
corrections of a file are one edit, so one undo takes them back. Labels that never had an id are compared with what
is on their image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..content.succession import RETURNED_SOURCE, handed_on, inherited
from ..formats.returned_rows import AT, SENT
from ..formats.source import Fault, Source
from ..schema import CLASS_NAME, EXTRA, ITEM_ID, KIND_CLASSIFICATION, LABEL_ID, LABEL_LEVELS, OBJECT, ORDINAL, URI
from ..store.parts import Part, edit_part
from .handed_labels import CORRECT, OURS, HandedLabels, Row, marks_of, same_place

if TYPE_CHECKING:
    from ..project import Project

RETURNING = ("label_studio", "cvat")
"""Formats whose labels may be ones that were handed out."""
REPLACES = "replaces"
"""The key in `extra` that names the label a corrected one took the place of."""


@dataclass
class Moved:
    """A label that came back with another shape.

    Attributes
    ----------
    old, row : dict
        What it is now, and what came back.
    class_name : str or None
        The class it should have: that of the annotators, or the one it was given here meanwhile.
    waiting : int or None
        The row that waits for it already.
    """

    old: Row
    row: Row
    class_name: str | None
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
        fresh = [m for m in self.moved if m.waiting is None]
        handed = inherited([(m.old, m.row) for m in fresh])
        waiting = [
            {**m.row, **kept, EXTRA: _replacing(kept[EXTRA], m.old), "source": RETURNED_SOURCE}
            for m, kept in zip(fresh, handed, strict=True)
        ]
        columns = {c: t for c, t in labels.schema.items() if c not in (LABEL_ID, AT, SENT)} | {"source": pl.String}
        return pl.DataFrame([{c: r.get(c) for c in columns} for r in (*self.new, *waiting)], schema=columns)


def sort_out(project: Project, source: Source, owners: pl.DataFrame) -> Returned:
    """Compare what came back with what is there.

    Parameters
    ----------
    project : Project
        Its lock must be held.
    source : Source
        Labels with `uri`, and `label_id` and `sent` where they have one; `card["sent"]` has the ids that were handed
        out, and what those labels were; `card["damaged"]` those that may be among what cannot be read.
    owners : pl.DataFrame
        `uri` and `item_id`.
    """
    assert source.labels is not None
    out = Returned()
    there = HandedLabels(project, owners[ITEM_ID].unique())
    sent: dict[str, str] = source.card.get("sent", {})
    back = source.labels.join(owners, on=URI, how="inner", maintain_order="left")
    rows = back.to_dicts()
    _claim(rows, there, sent)
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
    damaged = set(source.card.get("damaged", []))
    for label_id, told in sent.items():
        old = there.now(label_id)
        if label_id in seen or old is None or not old["alive"] or old[LABEL_ID] in seen:
            continue
        if label_id in damaged:
            why = "it may be one of the labels of its image that cannot be read in the file"
            out.faults.append(Fault(old[LABEL_ID], "kept", why, "see the other problems of this file"))
        elif not there.base({LABEL_ID: label_id, SENT: told}).is_now(old):
            why = "the annotators took it away, and it was given another class or shape here meanwhile"
            out.faults.append(Fault(old[LABEL_ID], "kept", why, _DELETE.format(old[LABEL_ID])))
        else:
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
    entries: list[Part] = []
    for level in LABEL_LEVELS:
        _part(entries, level, CORRECT, [old for old in corrected if old["level"] == level])
    for level in LABEL_LEVELS:
        _part(entries, level, "remove", [old for old in removed if old["level"] == level])
        names = dict.fromkeys(name for old, name in returned.renamed if old["level"] == level)
        for name in names:
            mine = [old for old, given in returned.renamed if old["level"] == level and given == name]
            _part(entries, level, "relabel", mine, {"class_name": name})
    entries += _moved_parts(project, returned, added)
    if entries:
        project._edit_parts(entries, code=code)


def _moved_parts(project: Project, returned: Returned, added: pl.Series) -> list[Part]:
    """Put the labels of another shape into the places of the old ones, with the class they should have."""
    if not returned.moved:
        return []
    rows = _rows_of(project, returned, added)
    level = project._level(OBJECT)
    links = {str(row): m.old[ORDINAL] for row, m in zip(rows, returned.moved, strict=True)}
    out: list[Part] = []
    _part(out, OBJECT, "add", [{ORDINAL: row} for row in rows], {"replaces": links})
    classes = level.frame[CLASS_NAME].gather(rows).to_list()
    for row, name, moved in zip(rows, classes, returned.moved, strict=True):
        if moved.class_name not in (None, name):
            _part(out, OBJECT, "relabel", [{ORDINAL: row}], {"class_name": moved.class_name, OURS: True})
    return [*out, *handed_on(level, [m.old[ORDINAL] for m in returned.moved], rows)]


def _part(entries: list[Part], level: str, kind: str, rows: list[Row], payload: dict[str, Any] | None = None) -> None:
    if rows:
        ordinals = np.array(sorted({r[ORDINAL] for r in rows}), np.uint32)
        entries.append(edit_part(level, kind, ordinals, payload))


def _rows_of(project: Project, returned: Returned, added: pl.Series) -> list[int]:
    """Return the rows, among the objects, of labels that take the place of others."""
    frame = project._level(OBJECT).frame.select(LABEL_ID, ORDINAL)
    fresh = iter(added.to_frame(LABEL_ID).join(frame, on=LABEL_ID, how="left", maintain_order="left")[ORDINAL])
    return [next(fresh) if m.waiting is None else m.waiting for m in returned.moved]


def _claim(rows: list[Row], there: HandedLabels, sent: dict[str, str]) -> None:
    """Give rows without an id that of the one label of their place that was handed out and did not come back."""
    marks = pl.DataFrame({EXTRA: [r.get(EXTRA) for r in rows]}, schema={EXTRA: pl.String})
    found = marks.select(marks_of(pl.col(EXTRA)))
    for row, said in zip(rows, found.iter_rows(named=True), strict=True):
        row |= {k: said[k] for k in ("region", "annotation")}
    have = {r[LABEL_ID] for r in rows}
    missing: dict[str, list[Row]] = {}
    for label_id in sent:
        now = there.now(label_id)
        if now is not None and now["alive"] and label_id not in have and now["kind"] != KIND_CLASSIFICATION:
            missing.setdefault(now[ITEM_ID], []).append(there.by_id[label_id])
    for row in rows if missing else []:
        if row[LABEL_ID] is None and row["kind"] != KIND_CLASSIFICATION and there.named(row) is None:
            here = [
                old
                for old in missing.get(row[ITEM_ID], [])
                if same_place(old, row) or same_place(there.now(old[LABEL_ID]) or old, row)
            ]
            if here:
                best = next((o for o in here if o[CLASS_NAME] == row[CLASS_NAME]), here[0])
                row |= {LABEL_ID: best[LABEL_ID], SENT: sent[best[LABEL_ID]]}
                missing[row[ITEM_ID]].remove(best)


def _unnamed(row: Row, there: HandedLabels, out: Returned) -> None:
    if there.like(row) is not None:
        out.unchanged += 1
    else:
        out.new.append(row)


def _answered(old: Row, answers: list[Row], there: HandedLabels, out: Returned) -> None:
    """Take what annotators say of one label: the last answer counts, another annotator's is a label of its own."""
    if not old["alive"]:
        out.unchanged += len(answers)
        if not all(there.base(a).is_said(a) for a in answers):
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
        like = there.like(answer, but=None if kept else old) is not None
        base = there.base(answer)
        left = base.is_said(answer) and (base.is_said(last) or not base.is_now(old))
        if same or like or left:
            out.unchanged += 1
        elif others:
            out.new.append(answer)
        else:
            why = f'there is a later answer for it ("{last[CLASS_NAME]}") than this one ("{answer[CLASS_NAME]}")'
            out.faults.append(Fault(old[LABEL_ID], "skipped", why, "keep one of them in the tool"))
    _merged(old, last, there, out)


def _merged(old: Row, last: Row, there: HandedLabels, out: Returned) -> None:
    """Take over what the annotators changed of a label, unless it was changed here meanwhile too."""
    base, label_id = there.base(last), old[LABEL_ID]
    moved = not same_place(base.row, last) and not same_place(old, last)
    named = not base.has_class(last[CLASS_NAME]) and last[CLASS_NAME] != old[CLASS_NAME]
    faults = len(out.faults)
    if moved and base.row[LABEL_ID] != label_id:
        moved = False
        why = "its shape was changed both here and by the annotators: it stays as it is here"
        out.faults.append(Fault(label_id, "kept", why, "draw it again in the tool, and hand it out anew before that"))
    if named and not base.has_class(old[CLASS_NAME]):
        named = False
        why = f'its class was changed both here ("{old[CLASS_NAME]}") and by the annotators ("{last[CLASS_NAME]}")'
        remedy = f'for theirs: p.labels.by_ids(["{label_id}"]).relabel("{last[CLASS_NAME]}")'
        out.faults.append(Fault(label_id, "kept", why, remedy))
    if moved and there.like(last, but=old) is None:
        name = last[CLASS_NAME] if named else old[CLASS_NAME]
        out.moved.append(Moved(old, last, name, there.waiting(old, last)))
    elif named and not moved:
        out.renamed.append((old, last[CLASS_NAME]))
    elif len(out.faults) == faults:
        out.unchanged += 1


def _replacing(extra: str | None, old: Row) -> str:
    return json.dumps({**(json.loads(extra) if extra else {}), REPLACES: old[LABEL_ID]}, ensure_ascii=False)


_DELETE = 'p.labels.by_ids(["{}"]).delete_label()'


def gone_faults(returned: Returned) -> list[Fault]:
    """List the labels that annotators took away, and that stay until they are deleted here."""
    return [
        Fault(
            old[LABEL_ID],
            "kept",
            f'the annotators took it away ("{old[CLASS_NAME]}")',
            f"{_DELETE.format(old[LABEL_ID])}, or add the labels with delete_gone=True",
        )
        for old in returned.gone
    ]
