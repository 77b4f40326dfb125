"""Reviews: a queue of questions about rows, their answers as edits, and what an accepted answer changes."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from . import schema
from .errors import InputError, unknown
from .ingest import commit
from .schema import (
    CHANGE_ID,
    CLASS_NAME,
    CLASSIFICATION,
    ITEM,
    ITEM_ID,
    LABEL_ID,
    OBJECT,
    ORDINAL,
    PREDICTION_ID,
    SUGGESTED_SOURCE,
    prediction_level,
    run_of,
)  # fmt: skip
from .store.fold import DECISIONS
from .store.rows import RowSet, encode_rows
from .view import View

if TYPE_CHECKING:
    from .levels import Level
    from .project import Project

OPEN, ACCEPTED, REJECTED, CHANGED, REMOVED = range(len(DECISIONS))
VERBS = {"accept": ACCEPTED, "reject": REJECTED, "class": CHANGED, "remove": REMOVED, "clear": OPEN}
CLASS, MISSED, SPURIOUS, LOCATION, DUPLICATE = "class", "missed", "spurious", "location", "duplicate"
PLAIN = ""
"""A row without a suggestion: the question is whether it is right as it is."""
_CAUSE = "review"
_MOST_REASONS = 200
"""Reasons that are kept with one edit; a bulk answer to more rows keeps none."""
_COLUMNS = {
    "level": pl.String, "row": pl.UInt32, "item_row": pl.UInt32, "shown_row": pl.UInt32, "kind": pl.String,
    "given": pl.String, "suggested": pl.String, "score": pl.Float64, "reason": pl.String, "label_row": pl.UInt32,
    "prediction_row": pl.UInt32,
}  # fmt: skip

Places = NDArray[np.int64]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Queue:
    """Questions in the order they are asked.

    Attributes
    ----------
    view : View
        What an explorer shows beside the review: one row of it belongs to each question.
    frame : pl.DataFrame
        A row a question: `level` and `row` of what is asked about, `item_row`, `shown_row` (in the explorer),
        `kind`, `given`, `suggested`, `score`, `reason`, `label_row` and `prediction_row`.
    run : str or None
        The run whose predictions are suggested.
    """

    view: View
    frame: pl.DataFrame
    run: str | None = None

    def __len__(self) -> int:
        return self.frame.height

    @property
    def project(self) -> Project:
        """The project asked about."""
        return self.view.project

    @cached_property
    def id(self) -> str:
        """Say which questions these are: the same ones have the same id."""
        return f"{int(self.frame.select('level', 'row', 'kind').hash_rows(seed=1).sum() or 0):016x}-{len(self)}"

    @cached_property
    def kinds(self) -> list[str]:
        """The kinds of questions, in the order in which they appear."""
        return self.frame["kind"].unique(maintain_order=True).to_list()

    @cached_property
    def groups(self) -> list[tuple[str, str, Places]]:
        """Level, kind and places of the questions that are answered alike."""
        indexed = self.frame.select("level", "kind").with_row_index("place")
        parts = indexed.group_by("level", "kind", maintain_order=True).agg("place")
        return [(level, kind, np.asarray(places, np.int64)) for level, kind, places in parts.iter_rows()]

    def decisions(self) -> Codes:
        """Return what was answered so far: places in `DECISIONS`."""
        out = np.zeros(len(self), np.uint8)
        rows = self.frame["row"].to_numpy()
        for level, kind, places in self.groups:
            verdicts = self.project._level(level).edits.verdicts
            if kind in verdicts:
                out[places] = verdicts[kind][rows[places]]
            if kind == PLAIN and CLASS in verdicts:
                # Whether a class is right was answered when another was suggested, and rejected then means right.
                told = verdicts[CLASS][rows[places]]
                told = np.where(told == REJECTED, np.uint8(ACCEPTED), told)
                out[places] = np.where(out[places] == OPEN, told, out[places])
        return out


def queue_of(view: View, *, likely_only: bool = True) -> Queue:
    """Make the questions of a view: one a row, in its order.

    Rows with a column `suggested` (`p.label_errors`) ask whether the suggestion is right; predictions of a detector
    ask whether they should become labels; others ask whether the row is right as it is.

    Raises
    ------
    InputError
        The view holds nothing that can be reviewed.
    """
    frame, level = view.df, view.level
    if likely_only and "likely" in frame.columns:
        frame = frame.filter(pl.col("likely"))
        view = view.at(frame[ORDINAL].to_numpy())
    run = getattr(view, "run", None) or run_of(level)
    if "error_id" in frame.columns:
        return _of_errors(view, frame, str(run))
    if level == schema.LABEL:
        raise InputError("Objects and classes together are not reviewed.", "Review p.objects or p.items.")
    if run_of(level) is not None and frame.height and frame["kind"][0] == schema.KIND_CLASSIFICATION:
        raise InputError(
            "Classes that a model gave to images are not reviewed by themselves.",
            f'Call p.label_errors("{run}").review(), or view.items().review().',
        )
    kind = MISSED if run_of(level) is not None else CLASS if "suggested" in frame.columns else PLAIN
    given = CLASS_NAME if CLASS_NAME in frame.columns else None
    numbers = pl.col(ORDINAL).cast(pl.UInt32)
    asked = frame.select(
        pl.lit(level).alias("level"),
        numbers.alias("row"),
        _item_rows(view, frame),
        numbers.alias("shown_row"),
        # A row whose label has no better one is asked about as it is.
        pl.when(pl.col("suggested").is_not_null() if kind == CLASS else pl.lit(value=True))
        .then(pl.lit(kind))
        .otherwise(pl.lit(PLAIN))
        .alias("kind"),
        _text(frame, "given" if "given" in frame.columns else None if kind == MISSED else given, "given"),
        _text(frame, "suggested" if kind == CLASS else given if kind == MISSED else None, "suggested"),
        _number(frame, "score" if "score" in frame.columns else "confidence" if kind == MISSED else None),
        _text(frame, "reason", "reason"),
        (numbers if level == OBJECT else pl.lit(None, dtype=pl.UInt32)).alias("label_row"),
        (numbers if kind == MISSED else pl.lit(None, dtype=pl.UInt32)).alias("prediction_row"),
    )
    return Queue(_bare(view), asked.select(pl.col(c).cast(t) for c, t in _COLUMNS.items()), run)


def _of_errors(view: View, frame: pl.DataFrame, run: str) -> Queue:
    missed = pl.col("kind") == MISSED
    asked = frame.select(
        pl.when(missed).then(pl.lit(prediction_level(run))).otherwise(pl.lit(OBJECT)).alias("level"),
        pl.when(missed).then("prediction_row").otherwise("label_row").alias("row"),
        "item_row",
        pl.col("item_row").alias("shown_row"),
        *("kind", "given", "suggested", "score", "reason", "label_row", "prediction_row"),
    )
    return Queue(view.items(), asked.select(pl.col(c).cast(t) for c, t in _COLUMNS.items()), run)


def _bare(view: View) -> View:
    """Return the rows without the columns that belong to the view alone."""
    return View(view.project, view.level).at(view.rows)


def _item_rows(view: View, frame: pl.DataFrame) -> pl.Expr | pl.Series:
    if view.level == ITEM:
        return pl.col(ORDINAL).cast(pl.UInt32).alias("item_row")
    owners = view._state().item_rows
    assert owners is not None
    return owners.gather(frame[ORDINAL]).cast(pl.UInt32).alias("item_row")


def _text(frame: pl.DataFrame, column: str | None, name: str) -> pl.Expr:
    known = column is not None and column in frame.columns
    return (pl.col(str(column)).cast(pl.String) if known else pl.lit(None, dtype=pl.String)).alias(name)


def _number(frame: pl.DataFrame, column: str | None) -> pl.Expr:
    known = column is not None and column in frame.columns
    return (pl.col(str(column)).cast(pl.Float64) if known else pl.lit(None, dtype=pl.Float64)).alias("score")


# -- answers ------------------------------------------------------------------------------------------


def decide(
    queue: Queue, places: Sequence[int] | Places, decision: str, class_name: str | None = None, *, cause: str = "python"
) -> int:
    """Answer questions, as one edit; an earlier answer to them is taken back by it. Returns how many were answered.

    Parameters
    ----------
    queue : Queue
    places : sequence of int
        Which questions.
    decision : {"accept", "reject", "class", "remove", "clear"}
        Accept the suggestion; keep the label and do not ask again; give it another class; delete the label; or open
        the question again.
    class_name : str, optional
        The class, for "class".

    Raises
    ------
    InputError
        The answer does not fit what is asked; nothing is changed then.
    """
    if decision not in VERBS:
        raise unknown("decision", decision, VERBS)
    chosen = np.unique(np.asarray(places, np.int64))
    if chosen.size and (chosen[0] < 0 or chosen[-1] >= len(queue)):
        raise InputError(f"There is no question {int(chosen[-1])}.", f"They go from 0 to {len(queue) - 1:,}.")
    name = class_name.strip() if isinstance(class_name, str) else ""
    if decision == "class" and not name:
        raise InputError("Another class needs a name.", "Give one that is not empty.")
    if not chosen.size:
        return 0
    with queue.project._lock:
        entries = _Answer(queue, chosen, VERBS[decision], name).entries()
        first, *others = entries
        payload = {**first["payload"], "also": others}
        rows = base64.b64decode(first["rows"])
        queue.project._edit(
            first["level"], "review", rows=RowSet(first["encoding"], first["n"], rows), payload=payload, cause=cause,
            code=f"view.{decision}()" if decision in ("accept", "reject") else f"view.review(): {decision}",
        )  # fmt: skip
    return int(chosen.size)


class _Answer:
    """Works out what an answer changes: the parts of one edit."""

    def __init__(self, queue: Queue, places: Places, code: int, name: str) -> None:
        self.queue = queue
        self.project = queue.project
        self.asked = queue.frame[places]
        self.code = code
        self.name = name
        self.parts: list[dict[str, Any]] = []

    def entries(self) -> list[dict[str, Any]]:
        for (level, kind), part in self.asked.group_by("level", "kind", maintain_order=True):
            rows = part["row"].to_numpy()
            self._part(str(level), "review", rows, {"decision": DECISIONS[self.code], "about": kind, **_why(part)})
        for (kind,), part in self.asked.group_by("kind", maintain_order=True):
            if kind == MISSED:
                self._missed(part)
            elif kind == LOCATION:
                self._moved(part)
            else:
                self._same_place(part, str(kind))
        # All reviews first: they are what the edit is called after.
        return sorted(self.parts, key=lambda p: p["kind"] != "review")

    def _part(self, level: str, kind: str, rows: NDArray[np.integer], payload: dict[str, Any] | None = None) -> None:
        if not len(rows):
            return
        encoded = encode_rows(np.asarray(rows))
        stored = self.project._level(level).stored if run_of(level) is not None else level
        self.parts.append(
            {
                "level": stored,
                "kind": kind,
                "encoding": encoded.encoding,
                "rows": base64.b64encode(encoded.data).decode(),
                "n": encoded.n,
                "payload": payload or {},
            }
        )

    def _same_place(self, part: pl.DataFrame, kind: str) -> None:
        """Answer about a class, a label that may be too many, or a row as it is."""
        level = str(part["level"][0])
        if self.code == REMOVED and level == ITEM:
            raise InputError(
                "An image has no label to delete here.", "Reject it, tag it, or take it out: view.remove()."
            )
        if level != ITEM:
            gone = self.code == REMOVED or (self.code == ACCEPTED and kind in (SPURIOUS, DUPLICATE))
            self._set_removed(level, part["row"].to_numpy(), gone=gone)
            if gone:
                return
        if kind == PLAIN and self.code in (ACCEPTED, REJECTED):
            return
        self._set_class(level, part, self._wanted(part, kind))

    def _wanted(self, part: pl.DataFrame, kind: str) -> pl.Series:
        """Return the class each label should have after the answer."""
        if self.code == CHANGED:
            return pl.Series([self.name] * part.height, dtype=pl.String)
        if self.code == ACCEPTED and kind == CLASS:
            if part["suggested"].null_count():
                raise InputError("A question has no suggestion to accept.", "Give a class, or reject it.")
            return part["suggested"]
        return part["given"]

    def _set_class(self, level: str, part: pl.DataFrame, wanted: pl.Series) -> None:
        named = part.select("row").with_columns(wanted.alias("class"))
        target = level
        if level == ITEM:
            frame = self._level(ITEM).frame
            is_ = frame[CLASS_NAME].gather(named["row"]) if CLASS_NAME in frame.columns else pl.Series([None])
            named = named.filter(is_.cast(pl.String).ne_missing(named["class"]))
            rows = self.project._answers(View(self.project, ITEM).at(named["row"].to_numpy()))
            target = CLASSIFICATION
            owners = self._level(CLASSIFICATION).item_rows
            assert owners is not None
            mine = pl.DataFrame({"row": owners.gather(rows).cast(pl.UInt32), "label": rows})
            named = named.join(mine, on="row", how="inner").select(pl.col("label").alias("row"), "class")
        now = self._level(target).frame[CLASS_NAME].gather(named["row"])
        changed = named.filter(now.ne_missing(named["class"]))
        for (name,), rows_of in changed.group_by("class", maintain_order=True):
            verb, payload = ("unlabel", None) if name is None else ("relabel", {"class_name": name})
            self._part(target, verb, rows_of["row"].to_numpy(), payload)

    def _set_removed(self, level: str, rows: NDArray[np.integer], *, gone: bool) -> None:
        removed = self.project._reader.log.state.level(level, self._level(level).n).removed
        now = np.zeros(len(rows), np.bool_) if removed is None else removed[rows]
        self._part(level, "remove" if gone else "restore", rows[now != gone])

    def _missed(self, part: pl.DataFrame) -> None:
        if self.code in (ACCEPTED, CHANGED):
            wanted = part["suggested"] if self.code == ACCEPTED else pl.Series([self.name] * part.height)
            rows = self._suggested_rows(part, wanted)
            self._part(OBJECT, "add", rows, _why(part.with_columns(pl.Series("row", rows))))
            self._withdraw(part, but=rows)
        else:
            self._withdraw(part)

    def _moved(self, part: pl.DataFrame) -> None:
        old = part["label_row"].to_numpy()
        if self.code == ACCEPTED:
            self._same_shapes(part)
            rows = self._suggested_rows(part, part["given"])
            self._set_removed(OBJECT, old, gone=True)
            links = {str(new): int(was) for new, was in zip(rows.tolist(), old.tolist(), strict=True)}
            self._part(OBJECT, "add", rows, {"replaces": links})
            return
        self._withdraw(part)
        self._set_removed(OBJECT, old, gone=self.code == REMOVED)
        if self.code != REMOVED:
            self._set_class(OBJECT, part.with_columns(pl.col("label_row").alias("row")), self._wanted(part, LOCATION))

    def _same_shapes(self, part: pl.DataFrame) -> None:
        labels = self._level(OBJECT).frame["kind"].gather(part["label_row"])
        found = self._predictions.frame["kind"].gather(part["prediction_row"])
        unlike = (labels != found).arg_true()
        if unlike.len():
            i = unlike[0]
            raise InputError(
                f"The label is a {labels[i]} and the suggestion a {found[i]}: it cannot take its place.",
                "Reject it, or have it drawn again: view.to_label_studio(…), view.to_cvat(…).",
            )

    def _withdraw(self, part: pl.DataFrame, but: NDArray[np.integer] | None = None) -> None:
        """Take labels back that were accepted of these suggestions."""
        added = self.project._reader.log.state.level(OBJECT, self._level(OBJECT).n).added
        if added is None:
            return
        sources = self._sources(part)
        frame = self._level(OBJECT).frame
        mine = frame.filter(pl.Series(added), pl.col("source").is_in(sources.implode()))[ORDINAL].to_numpy()
        self._part(OBJECT, "withdraw", mine if but is None else np.setdiff1d(mine, but))

    def _suggested_rows(self, part: pl.DataFrame, names: pl.Series) -> NDArray[np.uint32]:
        """Return the label rows of suggestions, in their order; those that are not there yet are written."""
        wanted = pl.DataFrame({"source": self._sources(part), CLASS_NAME: names.cast(pl.String)})
        if names.null_count():
            raise InputError("A label needs a class.", "Give it another class instead of accepting it.")
        rows = self._known_rows(wanted)
        if rows.null_count():
            fresh = rows.is_null().arg_true()
            _write(self.project, self._predictions.frame[part["prediction_row"].gather(fresh)], wanted[fresh])
            self.project._snapshot()
            rows = self._known_rows(wanted)
        return rows.to_numpy().astype(np.uint32)

    def _known_rows(self, wanted: pl.DataFrame) -> pl.Series:
        frame = self._level(OBJECT).frame
        if "source" not in frame.columns:
            return pl.repeat(None, wanted.height, dtype=pl.UInt32, eager=True)
        own = self.project._reader._base[OBJECT][0]  # its class when it was written, not what it was changed to
        known = own.select("source", CLASS_NAME, ORDINAL).unique(["source", CLASS_NAME], keep="first")
        return wanted.join(known, on=["source", CLASS_NAME], how="left", maintain_order="left")[ORDINAL]

    def _sources(self, part: pl.DataFrame) -> pl.Series:
        ids = self._predictions.frame[PREDICTION_ID].gather(part["prediction_row"])
        change = self._predictions.stored.rsplit("-", 1)[-1]  # a run that takes the place of another has other shapes
        return f"{SUGGESTED_SOURCE}{self._run}/{change}/" + ids

    @property
    def _run(self) -> str:
        return str(self.queue.run)

    @property
    def _predictions(self) -> Level:
        return self._level(prediction_level(self._run))

    def _level(self, name: str) -> Level:
        return self.project._level(name)


def _why(part: pl.DataFrame) -> dict[str, Any]:
    """Keep the reasons of a few rows with the edit, for the list of changes."""
    if part.height > _MOST_REASONS:
        return {}
    told = part.filter(pl.col("reason").is_not_null() | pl.col("score").is_not_null())
    rows = told.select("row", pl.col("score").round(4), "reason").iter_rows()
    return {"why": {str(row): [score, reason] for row, score, reason in rows}} if told.height else {}


def _write(project: Project, predictions: pl.DataFrame, named: pl.DataFrame) -> None:
    """Append predictions to the labels; they count once an edit says so."""
    folder = project._folder
    with folder.lock():
        table = folder.labels.read()
        first = int(table[ORDINAL].max() or 0) + 1 if table.height else 0  # type: ignore[arg-type]
        counts = dict(table.group_by(ITEM_ID).len().iter_rows())
        ids = []
        for item in predictions[ITEM_ID]:
            ids.append(f"{item}:{counts.get(item, 0)}")
            counts[item] = counts.get(item, 0) + 1
        change_id = uuid.uuid4().hex
        shape = [c for c in ("kind", *schema.GEOMETRY) if c in predictions.columns]
        rows = predictions.select(ITEM_ID, *shape).with_columns(
            pl.Series(LABEL_ID, ids, dtype=pl.String),
            named["source"],
            named[CLASS_NAME],
            pl.int_range(first, first + predictions.height, dtype=pl.Int64, eager=True).cast(pl.UInt32).alias(ORDINAL),
            pl.lit(change_id).alias(CHANGE_ID),
        )
        empty = [pl.lit(None, dtype=t).alias(c) for c, t in schema.LABELS.columns.items() if c not in rows.columns]
        folder.labels.append(rows.with_columns(empty).select(*schema.LABELS.columns), durable=True)
        commit(folder, change_id, "view.accept()", items=0, labels=rows.height, problems=0, cause=_CAUSE)
