"""Why a model fails: which metrics of images, labels and predictions go with it, and how it fares along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, unknown
from ..schema import CLASS_NAME, ITEM, ORDINAL
from ..view import View

if TYPE_CHECKING:
    from ..content.levels import Level
    from .evaluated import Evaluation

F64 = NDArray[np.float64]

IMAGE, PREDICTION, LABEL = "image", "prediction", "label"
TARGETS = ("precision", "recall", "localisation")
_LEAST_ROWS = 20
_SHOWN = 5


@dataclass(frozen=True)
class _Question:
    """One target: rows of a level, what became of them, and the metrics beside it."""

    target: str
    level: str
    rows: NDArray[np.integer]
    outcome: F64
    classes: pl.Series
    metrics: tuple[tuple[str, str], ...]
    """Of what, and which."""
    values: F64
    """(rows, metrics)."""

    @property
    def whose(self) -> str:
        """Whose metrics they are, besides the image's."""
        return LABEL if self.target == "recall" else PREDICTION

    @property
    def verdict(self) -> str:
        """What there is to say where all rows have the same outcome."""
        if np.ptp(self.outcome) > 0:
            return ""
        n, good = self.rows.size, self.outcome[0] > 0
        if self.target == "localisation":
            said = f"all {n:,} right predictions have IoU {self.outcome[0]:.3g}"
        elif self.target == "recall":
            said = f"all {n:,} labels were {'found' if good else 'missed'}"
        else:
            said = f"all {n:,} predictions are {'right' if good else 'wrong'}"
        return f": {said}, so nothing can explain a difference"


class Explanation:
    """What `evaluation.explain()` gives.

    Attributes
    ----------
    df : pl.DataFrame
        A row a target and metric that is not constant, the most telling first: `target` (precision: is the
        prediction right? recall: was the label found? localisation: the IoU of right predictions), `of`
        (image, prediction, label), `metric`, `score` (share of the outcome's entropy that the metric explains
        beyond chance, 0 to 1; null where all outcomes are the same), `correlation` (Spearman's, -1 to 1: above
        0, high values go with success), `p_value` (two-sided, corrected for the number of questions by Benjamini
        and Hochberg), `rows`; with `by_class=True` also `class_name`, null for all classes together.
    """

    def __init__(self, evaluation: Evaluation, questions: Sequence[_Question], df: pl.DataFrame) -> None:
        self._evaluation = evaluation
        self._questions = {q.target: q for q in questions}
        self.df = df

    @property
    def targets(self) -> list[str]:
        """What was asked."""
        return list(self._questions)

    def top(self, target: str | None = None, n: int = 10) -> pl.DataFrame:
        """Return the most telling metrics of a target.

        Parameters
        ----------
        target : str, optional
            One of `targets`; the first by default.
        n : int
            How many.

        Returns
        -------
        pl.DataFrame
            The largest score first.
        """
        question = self._question(target)
        found = self.df.filter(pl.col("target") == question.target)
        if CLASS_NAME in found.columns:
            found = found.filter(pl.col(CLASS_NAME).is_null())
        return found.head(n)

    def buckets(
        self,
        metric: str,
        target: str | None = None,
        *,
        of: str | None = None,
        class_name: str | None = None,
        n: int = 10,
    ) -> pl.DataFrame:
        """Return the performance by bucket of a metric.

        Parameters
        ----------
        metric : str
            Its name.
        target : {"precision", "recall", "localisation"}, optional
            The first by default that knows such metrics: of labels it is recall.
        of : {"image", "prediction", "label"}, optional
            Whose metric, where several have it.
        class_name : str, optional
            Only this class.
        n : int
            Most buckets; they hold about the same number of rows.

        Returns
        -------
        pl.DataFrame
            `metric`, `bucket` (its number, for `view`), `low`, `high` (edges; null for rows without a value),
            `count`, `rate` (share, or mean IoU), `lower` and `upper` (its 95 % interval: Wilson's for
            shares, by bootstrap for IoU).
        """
        from ..evaluation.buckets import buckets

        question, values, rows = self._column(metric, target, of, class_name)
        table = buckets(values, question.outcome[rows], n)
        named = table.rename({"lower": "low", "upper": "high", "rate_low": "lower", "rate_high": "upper"})
        return named.select(
            pl.lit(metric).alias("metric"),
            pl.int_range(pl.len()).alias("bucket"),
            "low", "high", "count", "rate", "lower", "upper",
        )  # fmt: skip

    def view(
        self,
        metric: str,
        bucket: int,
        target: str | None = None,
        *,
        of: str | None = None,
        class_name: str | None = None,
        n: int = 10,
    ) -> View:
        """Return the predictions (of recall: the labels) in a bucket, to look at them.

        Parameters
        ----------
        metric : str
            A metric of `df`.
        bucket : int
            Which bucket, from 0: the lowest values.
        target : str, optional
            As for `buckets`.
        of : str, optional
            Whose metric it is: image, label or prediction.
        class_name : str, optional
            This class alone.
        n : int
            Most buckets, as for `buckets`.

        Returns
        -------
        View
            Fixed.

        Raises
        ------
        InputError
            There is no such bucket.
        """
        table = self.buckets(metric, target, of=of, class_name=class_name, n=n)
        if not 0 <= bucket < table.height:
            raise InputError(f"There is no bucket {bucket} of {table.height}.", "Take a number of `bucket`.")
        question, values, rows = self._column(metric, target, of, class_name)
        low, high = table["low"][bucket], table["high"][bucket]
        if low is None:
            inside = ~np.isfinite(values)
        else:
            known = table.drop_nulls("low").height
            inside = (values >= low) & ((values <= high) if bucket == known - 1 else (values < high))
        chosen = question.rows[rows[inside]]
        return View(self._evaluation._project, question.level).at(chosen)

    def _question(self, target: str | None) -> _Question:
        name = next(iter(self._questions)) if target is None else target
        if name not in self._questions:
            raise unknown("target", name, self._questions)
        return self._questions[name]

    def _column(
        self, metric: str, target: str | None, of: str | None, class_name: str | None
    ) -> tuple[_Question, F64, NDArray[np.integer]]:
        if target is None and of is not None:
            target = next((name for name, q in self._questions.items() if of in (IMAGE, q.whose)), None)
        question = self._question(target)
        if of is not None and of not in (IMAGE, question.whose):
            raise InputError(
                f'of="{of!s:.80}" has no metrics here.', f'Give of="{IMAGE}" or of="{question.whose}" for this target.'
            )
        places = [i for i, (whose, name) in enumerate(question.metrics) if name == metric and of in (None, whose)]
        if not places:
            known = [name for whose, name in question.metrics if of in (None, whose)]
            raise unknown("metric" if of is None else f"metric of the {of}", metric, known)
        rows = np.arange(question.rows.size)
        if class_name is not None:
            rows = rows[(question.classes == class_name).fill_null(value=False).to_numpy()]
            if not rows.size:
                raise unknown("class", class_name, question.classes.unique().drop_nulls())
        return question, question.values[rows, places[0]], rows

    def __repr__(self) -> str:
        lines = [f"What goes with failure of {self._evaluation.run!r} (share of the outcome explained, 0 to 1):"]
        for target in self._questions:
            lines.append(f"  {target}{self._questions[target].verdict}")
            if self._questions[target].verdict:
                continue
            for row in self.top(target, _SHOWN).iter_rows(named=True):
                score = "–" if row["score"] is None else f"{row['score']:.3f}"
                way = "–" if row["correlation"] is None else f"{row['correlation']:+.2f}"
                lines.append(f"    {row['metric']:<24} of the {row['of']:<10}  {score}  correlation {way}")
        return "\n".join(
            [*lines, "  .buckets(metric) shows how it fares along one, .view(metric, bucket) who is in it"]
        )


def explain(evaluation: Evaluation, *, by_class: bool = False) -> Explanation:
    """Ask which metrics go with failure.

    Raises
    ------
    InputError
        There are too few predictions, or no metrics yet.
    """
    questions = [q for q in _questions(evaluation) if q.rows.size >= _LEAST_ROWS]
    if not questions:
        raise InputError(
            f"There are fewer than {_LEAST_ROWS} predictions and labels to explain.", "Evaluate more images."
        )
    if not any(q.metrics for q in questions):
        raise InputError("There are no metrics to explain failure by.", "Call p.compute() first.")
    frames = []
    for question in questions:
        frames.append(_answer(question, np.arange(question.rows.size), None, by_class=by_class))
        if by_class:
            for name in question.classes.unique().drop_nulls().sort():
                rows = np.flatnonzero((question.classes == name).fill_null(value=False).to_numpy())
                if rows.size >= _LEAST_ROWS:
                    frames.append(_answer(question, rows, name, by_class=True))
    table = pl.concat(frames)
    from ..evaluation.statistics import benjamini_hochberg

    p = table["p_value"].fill_null(float("nan")).to_numpy()
    corrected = pl.Series("p_value", benjamini_hochberg(p)).fill_nan(None)
    order = pl.Series("place", [list(TARGETS).index(t) for t in table["target"]])
    table = table.with_columns(corrected, order).sort(["place", "score"], descending=[False, True], nulls_last=True)
    return Explanation(evaluation, questions, table.drop("place"))


def _answer(question: _Question, rows: NDArray[np.integer], name: str | None, *, by_class: bool) -> pl.DataFrame:
    from ..evaluation.information import association
    from ..evaluation.statistics import rank_correlation

    values, outcome = question.values[rows], question.outcome[rows]
    told = _varied(values)
    values, metrics = values[:, told], [key for key, kept in zip(question.metrics, told, strict=True) if kept]
    found = association(values, outcome.astype(np.int64) if question.target != "localisation" else outcome)
    correlation, p = rank_correlation(values, outcome)
    columns: dict[str, Any] = {
        "target": [question.target] * len(metrics),
        **({CLASS_NAME: pl.Series([name] * len(metrics), dtype=pl.String)} if by_class else {}),
        "of": [whose for whose, _ in metrics],
        "metric": [metric for _, metric in metrics],
        "score": found.score,
        "correlation": correlation,
        "p_value": p,
        "rows": found.rows,
    }
    return pl.DataFrame(columns).with_columns(pl.col("score", "correlation", "p_value").fill_nan(None))


def _varied(values: F64) -> NDArray[np.bool_]:
    """Tell which columns have more than one finite value: a constant cannot tell outcomes apart."""
    finite = np.isfinite(values)
    low, high = (f(np.where(finite, values, e), 0) for f, e in ((np.min, np.inf), (np.max, -np.inf)))
    varied: NDArray[np.bool_] = high > low
    return varied


def _questions(evaluation: Evaluation) -> list[_Question]:
    """Collect the rows and metrics of every target."""
    snapshot = evaluation._project._snapshot()
    items = snapshot.levels[ITEM]
    predictions, labels = evaluation.predictions, evaluation.labels
    judged = [(PREDICTION, predictions), (LABEL, labels)]
    out = []
    for whose, view in judged:
        level = snapshot.levels[view.level]
        frame = view.df.select(ORDINAL, CLASS_NAME, "outcome", "iou")
        counted = frame.filter(pl.col("outcome") != "ignored")
        out.append(
            _question(
                "precision" if whose == PREDICTION else "recall",
                whose,
                level,
                items,
                counted,
                counted["outcome"] == "TP",
            )
        )
    if evaluation.kind == "detection":
        right = predictions.df.select(ORDINAL, CLASS_NAME, "outcome", "iou").filter(pl.col("outcome") == "TP")
        level = snapshot.levels[predictions.level]
        out.append(_question("localisation", PREDICTION, level, items, right, right["iou"]))
    return out


def _question(
    target: str, whose: str, level: Level, items: Level, frame: pl.DataFrame, outcome: pl.Series
) -> _Question:
    rows = frame[ORDINAL].to_numpy()
    assert level.item_rows is not None
    of_item = level.item_rows.gather(rows)
    parts = [((whose, name), level.frame[name].gather(rows)) for name in level.metrics]
    parts += [((IMAGE, name), items.frame[name].gather(of_item)) for name in items.metrics]
    kept = [(key, s) for key, s in parts if s.dtype.is_numeric() and s.null_count() < s.len()]
    values = np.empty((rows.size, len(kept)), np.float64, order="F")
    for i, (_, series) in enumerate(kept):
        values[:, i] = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return _Question(
        target,
        level.name,
        rows,
        outcome.cast(pl.Float64).to_numpy(),
        frame[CLASS_NAME],
        tuple(k for k, _ in kept),
        values,
    )
