"""Reviews: a queue of questions about rows, and what was answered to them; see `answering` for what answers change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .. import schema
from ..errors import InputError
from ..schema import CLASS_NAME, ITEM, OBJECT, ORDINAL, prediction_level, run_of
from ..store.fold import DECISIONS, LevelEdits
from ..view import View

if TYPE_CHECKING:
    from ..content.state import Run
    from ..project import Project

OPEN, ACCEPTED, REJECTED, CHANGED, REMOVED = range(len(DECISIONS))
CLASS, MISSED, SPURIOUS, LOCATION, DUPLICATE = "class", "missed", "spurious", "location", "duplicate"
PLAIN = ""
"""A row without a suggestion: the question is whether it is right as it is."""
_COLUMNS = {
    "level": pl.String, "row": pl.UInt32, "item_row": pl.UInt32, "shown_row": pl.UInt32, "kind": pl.String,
    "given": pl.String, "suggested": pl.String, "score": pl.Float64, "reason": pl.String, "label_row": pl.UInt32,
    "prediction_row": pl.UInt32, "view_row": pl.UInt32,
}  # fmt: skip

Places = NDArray[np.int64]
Codes = NDArray[np.uint8]
_RIGHT = np.array([OPEN, REJECTED, OPEN, OPEN, OPEN], np.uint8)
_ELSEWHERE = {
    PLAIN: (CLASS, np.array([OPEN, ACCEPTED, ACCEPTED, CHANGED, REMOVED], np.uint8)),
    CLASS: (PLAIN, np.array([OPEN, REJECTED, OPEN, CHANGED, OPEN], np.uint8)),
    **dict.fromkeys((SPURIOUS, LOCATION, DUPLICATE), (PLAIN, _RIGHT)),
}
"""Another question that answers one, and what its answers mean: a label that is right as it is needs no suggestion."""


@dataclass(frozen=True)
class Queue:
    """Questions in the order they are asked.

    Attributes
    ----------
    view : View
        What an explorer shows beside the review: one row of it belongs to each question.
    frame : pl.DataFrame
        A row a question: `level` and `row` of what is asked about, `item_row`, `shown_row` (in the explorer),
        `kind`, `given`, `suggested`, `score`, `reason`, `label_row` and `prediction_row`, and `view_row` in the view
        that was asked for.
    run : str or None
        The run whose predictions are suggested.
    bound : Run, optional
        The same with its identity: a run of the same name that took its place has other predictions.
    """

    view: View
    frame: pl.DataFrame
    run: str | None = None
    bound: Run | None = None

    def __len__(self) -> int:
        return self.frame.height

    def check(self) -> None:
        """Refuse to go on where the run that the questions are of is another one now.

        Raises
        ------
        InputError
            It was replaced or removed.
        """
        if self.bound is not None:
            check_run(self.project, self.bound)

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
        return _grouped(self.frame)

    def decisions(self) -> Codes:
        """Return what was answered so far: places in `DECISIONS`.

        Raises
        ------
        InputError
            The run was replaced or removed.
        """
        self.check()
        return decisions_on(self.project, self.frame)


def decisions_on(project: Project, frame: pl.DataFrame) -> Codes:
    """Return what was answered so far to questions, given by `level`, `row` and `kind`: places in `DECISIONS`.

    Questions about predictions of a run that is not there have no answer.
    """
    out = np.zeros(frame.height, np.uint8)
    rows = frame["row"].to_numpy()
    levels = project._snapshot().levels
    for level, kind, places in _grouped(frame):
        if (run := run_of(level)) is not None and run not in project._snapshot().runs:
            continue
        verdicts = levels[level].edits.verdicts
        if kind in verdicts:
            out[places] = verdicts[kind][rows[places]]
        other, means = _ELSEWHERE.get(kind, ("", _RIGHT))
        if kind in _ELSEWHERE and other in verdicts:
            told = means[verdicts[other][rows[places]]]
            out[places] = np.where(out[places] == OPEN, told, out[places])
    return out


def answered_elsewhere(kind: str) -> str | None:
    """Return the kind of question whose answers may answer those of another kind too."""
    return _ELSEWHERE[kind][0] if kind in _ELSEWHERE else None


def _grouped(frame: pl.DataFrame) -> list[tuple[str, str, Places]]:
    indexed = frame.select("level", "kind").with_row_index("place")
    parts = indexed.group_by("level", "kind", maintain_order=True).agg("place")
    return [(level, kind, np.asarray(places, np.int64)) for level, kind, places in parts.iter_rows()]


def check_run(project: Project, run: Run) -> None:
    """Refuse what was found by a run that is not there any more.

    Raises
    ------
    InputError
        It was replaced or removed.
    """
    now = project._snapshot().runs.get(run.name)
    if now is None or now.change_id != run.change_id:
        raise InputError(
            f'The run "{run.name}" was replaced or removed since this was found.',
            f'Call p.label_errors("{run.name}") again, or review the predictions that are there now.',
        )


def answered_classes(edits: LevelEdits, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell of which rows of a level a person has said what their class is, or that it is right."""
    blank = np.zeros(edits.n, np.uint8)
    about, plain = edits.verdicts.get(CLASS, blank)[rows], edits.verdicts.get(PLAIN, blank)[rows]
    return np.asarray((about != OPEN) | (plain == ACCEPTED) | (plain == CHANGED))


def queue_of(view: View, *, likely_only: bool = True) -> Queue:
    """Make the questions of a view: one a row, in its order.

    Rows with a column `suggested` (`p.label_errors`) ask whether the suggestion is right; predictions of a detector
    ask whether they should become labels; others ask whether the row is right as it is.

    Raises
    ------
    InputError
        The view holds nothing that can be reviewed, or the run that found it was replaced or removed.
    """
    found, run = getattr(view, "_run", None), run_of(view.level)
    bound = view.project._run_named(run) if run is not None else found
    if bound is not None:
        check_run(view.project, bound)
    frame, level = view.df, view.level
    if likely_only and "likely" in frame.columns:
        frame = frame.filter(pl.col("likely"))
        view = view.at(frame[ORDINAL].to_numpy())
    if found is not None:
        return _of_errors(view, frame, found)
    if level == schema.LABEL:
        raise InputError("Objects and classes together are not reviewed.", "Review p.objects or p.items.")
    if run is not None and frame.height and frame["kind"][0] == schema.KIND_CLASSIFICATION:
        raise InputError(
            "Classes that a model gave to images are not reviewed by themselves.",
            f'Call p.label_errors("{run}").review(), or view.items().review().',
        )
    kind = MISSED if run is not None else CLASS if "suggested" in frame.columns else PLAIN
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
        numbers.alias("view_row"),
    )
    return Queue(_bare(view), asked.select(pl.col(c).cast(t) for c, t in _COLUMNS.items()), run, bound)


def _of_errors(view: View, frame: pl.DataFrame, run: Run) -> Queue:
    asked = frame.select(
        *asked_by(run.name),
        "item_row",
        pl.col("item_row").alias("shown_row"),
        *("kind", "given", "suggested", "score", "reason", "label_row", "prediction_row"),
        pl.col(ORDINAL).alias("view_row"),
    )
    return Queue(view.items(), asked.select(pl.col(c).cast(t) for c, t in _COLUMNS.items()), run.name, run)


def asked_by(run: str) -> tuple[pl.Expr, pl.Expr]:
    """Return `level` and `row` that the errors found by a detector are about."""
    missed = pl.col("kind") == MISSED
    return (
        pl.when(missed).then(pl.lit(prediction_level(run))).otherwise(pl.lit(OBJECT)).alias("level"),
        pl.when(missed).then("prediction_row").otherwise("label_row").alias("row"),
    )


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
