"""Label errors of objects as a view: one row an error, with the label and the prediction that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..curation.reviewing import OPEN, asked_by, check_run, decisions_on
from ..errors import InputError
from ..schema import (
    CLASS_NAME,
    CONFIDENCE,
    ITEM,
    ITEM_ID,
    LABEL_ID,
    OBJECT,
    ORDINAL,
    PREDICTION_ID,
    REVIEWED,
    URI,
    prediction_level,
)
from ..store.fold import DECISIONS
from ..verbs.view_query import Op
from ..view import View

if TYPE_CHECKING:
    from ..computing.vectors import EmbeddingSets
    from ..content.state import Run
    from ..learning.detection_quality import DetectionErrors
    from ..project import Project

LABEL_ERROR = "label_error"
ERROR_ID = "error_id"
_BOX = ("x", "y", "w", "h")
_REMEDY = "accept() takes the suggestions over, review() asks about each; or go on with .objects() or .items()."


class LabelErrors(View):
    """What is wrong with the labels of objects: one row an error, worst first.

    It is a view: `df`, `filter`, `sort`, `head`, `sample`, `by_ids`, `to_csv` … work on errors. `items()`, `objects()`
    and `predictions()` give the images, labels and predictions concerned. Tags and notes are those of the items:
    `tag`, `untag` and `note` act on the items concerned, and `ea.tagged` asks for their tags. An error is not shown any
    more once its label or its item was deleted. What was answered in a review is not called likely; once anything was,
    the column `reviewed` says what ("accepted", "rejected", "changed", "removed").

    Attributes
    ----------
    run : str
        The run that was compared with.
    by_kind : pl.DataFrame
        `kind`, `errors`, `likely`: how many of each.

    Examples
    --------
    >>> errors = p.label_errors("yolo")                       # doctest: +SKIP
    >>> errors.by_kind                                        # doctest: +SKIP
    >>> errors.filter(pl.col("kind") == "spurious").objects() # doctest: +SKIP
    """

    __slots__ = ("_found", "_run")

    def __init__(self, project: Project, run: Run, found: pl.DataFrame, ops: tuple[Op, ...] = ()) -> None:
        super().__init__(project, LABEL_ERROR, ops)
        self._run, self._found = run, found

    @property
    def run(self) -> str:
        """The run that was compared with."""
        return self._run.name

    @property
    def by_kind(self) -> pl.DataFrame:
        """How many errors of each kind there are, and how many of them are likely: `kind`, `errors`, `likely`."""
        from ..learning.detection_quality import KINDS

        counts = self.df.group_by("kind").agg(pl.len().cast(pl.Int64).alias("errors"), pl.col("likely").sum())
        whole = pl.DataFrame({"kind": KINDS}).join(counts, on="kind", how="left", maintain_order="left")
        return whole.with_columns(pl.col("errors", "likely").fill_null(0).cast(pl.Int64))

    def __repr__(self) -> str:
        counts = ", ".join(f"{n:,} {kind}" for kind, n, _ in self.by_kind.iter_rows() if n)
        return f"{len(self):,} label errors found by {self.run!r}: {counts or 'none'}\n{self.df}"

    # -- what they are about --------------------------------------------------------------------

    def items(self) -> View:
        """Return the items concerned, each once, in the order of their worst error."""
        return View(self._project, ITEM).at(_distinct(self.df["item_row"]))

    def objects(self) -> View:
        """Return the labels concerned, each once; missed ones have none."""
        return View(self._project, OBJECT).at(_distinct(self.df["label_row"]))

    def predictions(self, run: str | None = None) -> View:
        """Return the predictions that show the errors, each once; of another run, what it predicts on the items.

        Parameters
        ----------
        run : str, optional
            The run that was asked, by default.

        Returns
        -------
        View
            Of the level of that run.

        Raises
        ------
        InputError
            The run was replaced or removed since the errors were found.
        """
        if run is not None and run != self.run:
            return super().predictions(run)
        check_run(self._project, self._run)
        return View(self._project, prediction_level(self.run)).at(_distinct(self.df["prediction_row"]))

    # -- edits ----------------------------------------------------------------------------------

    def tag(self, *names: str) -> View:
        """Add tags to the items concerned; see `View.tag`."""
        return self._through(View.tag, *names)

    def untag(self, *names: str) -> View:
        """Take tags off the items concerned; see `View.untag`."""
        return self._through(View.untag, *names)

    def note(self, text: str) -> View:
        """Write a note on the items concerned; see `View.note`."""
        return self._through(View.note, text)

    def relabel(self, class_name: str) -> NoReturn:
        """Refuse: errors of several kinds have no class in common; see `accept` and `review`."""
        raise InputError(f"Label errors are not relabelled together as {class_name!r}.", _REMEDY)

    def delete_label(self) -> NoReturn:
        """Refuse: an error is no label; see `accept` and `review`."""
        raise InputError("Label errors are no labels that could be deleted.", _REMEDY)

    def remove(self) -> NoReturn:
        """Refuse: an error is no item; see `items`."""
        raise InputError("Label errors cannot be removed from the project.", _REMEDY)

    def split(self, **options: Any) -> View:
        """Divide the items concerned; see `View.split`."""
        return self.items().split(**options)

    def explore(self, **options: Any) -> Any:
        """Open an explorer on the items concerned; see `Project.explore`."""
        return self.items().explore(**options)

    @property
    def embeddings(self) -> EmbeddingSets:
        """Embedding sets of the items."""
        return self._project.embeddings

    def _through(self, verb: Any, *arguments: str) -> View:
        chosen = self._fixed()
        verb(self.items(), *arguments)
        return chosen

    # -- inside ---------------------------------------------------------------------------------

    def _made(self, ops: tuple[Op, ...]) -> LabelErrors:
        return LabelErrors(self._project, self._run, self._found, ops)

    def _exported(self) -> View:
        return self.items()

    def _state(self) -> Level:
        """Return a level made of the errors, whose tags, notes and removals are those of items and labels now."""
        snapshot = self._project._snapshot()
        items, objects = snapshot.items, snapshot.levels[OBJECT]
        owners = self._found["item_row"].to_numpy()
        tags = {name: mask[owners] for name, mask in items.edits.tags.items()}
        gone = np.zeros(owners.size, np.bool_)
        if items.alive is not None:
            gone |= ~items.alive[owners]
        if objects.alive is not None:
            has_label = self._found["label_row"].is_not_null().to_numpy()
            gone |= has_label & ~objects.alive[self._found["label_row"].fill_null(0).to_numpy()] if objects.n else False
        edits = replace(
            items.edits.copied(), n=owners.size, tags=tags, removed=gone, notes={}, replaces={}, verdicts={}
        )
        codes = _decisions(self._project, self._run, self._found)
        names = pl.Series([None, *DECISIONS[1:]], dtype=pl.String)
        found = self._found.with_columns(names.gather(codes).alias(REVIEWED)) if codes.any() else self._found
        return Level(LABEL_ERROR, found, ERROR_ID, edits, item_rows=self._found["item_row"])


def _decisions(project: Project, run: Run, found: pl.DataFrame) -> NDArray[np.uint8]:
    """Return what reviews said of errors; of missed ones nothing once their run was replaced or removed."""
    codes = decisions_on(project, found.select(*asked_by(run.name), "kind"))
    now = project._snapshot().runs.get(run.name)
    if now is None or now.change_id != run.change_id:
        codes[(found["kind"] == "missed").to_numpy()] = OPEN
    return codes


def _distinct(rows: pl.Series) -> NDArray[np.int64]:
    return rows.drop_nulls().unique(maintain_order=True).cast(pl.Int64).to_numpy()


def object_errors(project: Project, run: Run, view: View | None) -> LabelErrors:
    """Compare the labels of objects with a run's predictions; see `Project.label_errors`."""
    from ..learning.detection_quality import ON_IT, detection_errors
    from .evaluated_objects import DetectionEvaluation
    from .evaluating import evaluate

    found = evaluate(project, run, iou=ON_IT, view=view, shape="box")
    assert isinstance(found, DetectionEvaluation)
    match = found.found
    n_items = len(match.pairs.label_starts) - 1
    errors = detection_errors(match.predictions, match.labels, n_items, match.pairs)
    frame = _frame(errors, found._levels, found._rows)
    if view is not None and view.level == OBJECT:
        mine = pl.Series(view.rows).implode()
        frame = frame.filter(pl.col("label_row").is_in(mine))
    fresh = pl.Series(_decisions(project, run, frame) == OPEN)
    frame = frame.with_columns(pl.col("likely") & fresh, pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL))
    return LabelErrors(project, run, frame)


def _frame(
    errors: DetectionErrors, levels: tuple[Level, Level], rows: tuple[NDArray[np.integer], NDArray[np.integer]]
) -> pl.DataFrame:
    from ..learning.detection_quality import KINDS

    (predicted, truth), (p_rows, l_rows) = levels, rows
    assert predicted.item_rows is not None
    assert truth.item_rows is not None
    label_row, prediction_row, partner_row = (
        _rows(own, at) for own, at in ((l_rows, errors.label), (p_rows, errors.prediction), (l_rows, errors.partner))
    )
    kind = pl.Series("kind", KINDS).gather(errors.kind)
    frame = pl.DataFrame(
        {
            "kind": kind,
            LABEL_ID: truth.frame[LABEL_ID].gather(label_row),
            PREDICTION_ID: predicted.frame[PREDICTION_ID].gather(prediction_row),
            "given": truth.frame[CLASS_NAME].gather(label_row),
            "says": predicted.frame[CLASS_NAME].gather(prediction_row),
            "partner": truth.frame[LABEL_ID].gather(partner_row),
            "score": errors.score,
            "likely": errors.likely,
            CONFIDENCE: predicted.frame[CONFIDENCE].gather(prediction_row),
            "iou": errors.iou,
            "support": errors.support,
            "item_row": truth.item_rows.gather(label_row).fill_null(predicted.item_rows.gather(prediction_row)),
            "label_row": label_row,
            "prediction_row": prediction_row,
        }
    )
    of_prediction = kind.is_in(["missed", "location"])
    boxes = [
        predicted.frame[c].gather(prediction_row).zip_with(of_prediction, truth.frame[c].gather(label_row)).alias(c)
        for c in _BOX
    ]
    out = frame.with_columns(boxes).with_columns(_SUGGESTED, _REASON)
    out = out.with_columns(pl.concat_str("kind", pl.lit(":"), pl.coalesce(LABEL_ID, PREDICTION_ID)).alias(ERROR_ID))
    owner = pl.coalesce(truth.frame[ITEM_ID].gather(label_row), predicted.frame[ITEM_ID].gather(prediction_row))
    uri = pl.coalesce(truth.frame[URI].gather(label_row), predicted.frame[URI].gather(prediction_row))
    out = out.with_columns(owner.alias(ITEM_ID), uri.alias(URI))
    return out.select(
        ERROR_ID, "kind", ITEM_ID, URI, LABEL_ID, PREDICTION_ID, "given", "suggested", "score", "likely", "reason",
        CONFIDENCE, "iou", *_BOX, "item_row", "label_row", "prediction_row",
    )  # fmt: skip


def _rows(own: NDArray[np.integer], at: NDArray[np.integer]) -> pl.Series:
    """Return ordinals of places; null for none."""
    if not len(own):
        return pl.repeat(None, len(at), dtype=pl.UInt32, eager=True)
    return pl.select(pl.when(pl.Series(at) >= 0).then(pl.Series(own[np.maximum(at, 0)].astype(np.uint32)))).to_series()


def _words(kinds: Sequence[tuple[str, pl.Expr]]) -> pl.Expr:
    out: Any = pl
    for kind, words in kinds:
        out = out.when(pl.col("kind") == kind).then(words)
    return out  # type: ignore[no-any-return]


def _name(column: str) -> pl.Expr:
    return pl.col(column).fill_null("something without a class")


def _number(column: str | pl.Expr) -> pl.Expr:
    value = pl.col(column) if isinstance(column, str) else column
    return value.fill_null(1.0).round(2)


_SUGGESTED = _words([("missed", pl.col("says")), ("class", pl.col("says")), ("location", pl.col("given"))]).alias(
    "suggested"
)
_NEAR = (
    pl.when(pl.col("iou") > 0)
    .then(pl.format("the label nearest to it has an IoU of {}", _number("iou")))
    .otherwise(pl.lit("no label is near"))
)
_REASON = _words(
    [
        ("missed", pl.format("the model sees {} here ({}); {}", _name("says"), _number(CONFIDENCE), _NEAR)),
        (
            "spurious",
            pl.when(pl.col("says").is_null())
            .then(pl.format("labelled {}; the model sees nothing here", _name("given")))
            .otherwise(
                pl.format(
                    "labelled {}; no prediction belongs to it, the nearest is {} ({}) with an IoU of {}",
                    _name("given"), _name("says"), _number(CONFIDENCE), _number("iou"),
                )
            ),
        ),
        (
            "location",
            pl.format(
                "labelled {}; the model sees {} ({}) elsewhere, with an IoU of {}",
                _name("given"), _name("says"), _number(CONFIDENCE), _number("iou"),
            ),
        ),
        (
            "class",
            pl.format(
                "labelled {}; the model says {} ({}) with an IoU of {}; {}",
                _name("given"), _name("says"), _number(CONFIDENCE), _number("iou"),
                pl.when(pl.col("support") > 0)
                .then(pl.format("what it says for the label counts {} (confidence times IoU)", _number("support")))
                .otherwise(pl.lit("it says nothing for the label")),
            ),
        ),
        (
            "duplicate",
            pl.format(
                "labelled {}; the label {} is on the same object, with an IoU of {}",
                _name("given"), pl.col("partner"), _number("iou"),
            ),
        ),
    ]
).alias("reason")  # fmt: skip
