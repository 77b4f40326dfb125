"""What every evaluation gives: frames, views and charts of how a run compares with the labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import unknown
from ..schema import ORDINAL, prediction_level
from ..view import View

if TYPE_CHECKING:
    from ..charts import ModelCharts
    from ..content.state import Run
    from ..project import Project
    from .explaining import Explanation

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Confusion(pl.DataFrame):
    """The confusion matrix: a row a label's class, a column a predicted class; call it for another confidence."""

    _make: Any = None

    def __call__(self, *, confidence: float | None = None, iou: float | None = None) -> Confusion:
        """Return the matrix of another confidence or IoU threshold."""
        if self._make is None or (confidence is None and iou is None):
            return self
        found: Confusion = self._make(confidence=confidence, iou=iou)
        return found


LOW = ("FN rate", "ECE", "log loss")
"""Scores of which 0 is best; of all others 1 is."""


def marked(metric: str) -> str:
    """Return a score's name as it is shown: with its direction where that is not the usual one."""
    return f"{metric} (0 is best)" if metric in LOW else metric


class Evaluation(ABC):
    """How a run compares with the labels.

    Scores go from 0 (worst) to 1 (best), but for three of which 0 is best: the share of labels missed (FN rate),
    the calibration error (ECE) and log loss. Labels that were skipped when they were added (`p.problems` lists
    them) are not seen; COCO's tools count them as missed.

    Attributes
    ----------
    run : str
        The name of the run.
    view : View
        The items looked at.
    summary : pl.DataFrame
        `metric`, `value`.
    per_class : pl.DataFrame
        One row a class.
    curves : pl.DataFrame
        `class_name` (null: all classes together), `iou`, `confidence`, `precision`, `recall`, `f1`. They are
        of all predictions, whatever confidence was evaluated.
    best : pl.DataFrame
        The row of `curves` with the highest F1 of each class.
    confusion : Confusion
        A row a label's class, a column a predicted class.
    matches : pl.DataFrame
        Every prediction and every label: `outcome`, `reason`, `iou`, and the `partner` it was matched with.
    calibration : pl.DataFrame
        Confidence beside accuracy, by bin; `ece` is the expected calibration error.
    """

    kind = ""
    confidence: float = 0.0
    classes: tuple[str, ...]
    _rows: tuple[NDArray[np.integer], NDArray[np.integer]]
    """Rows, in their levels, of the predictions and the labels that were compared."""

    def __init__(self, project: Project, run: Run, view: View) -> None:
        self._project = project
        self._run = run
        self.run = run.name
        self.view = view

    # -- frames that both kinds have --------------------------------------------------------

    @property
    def summary(self) -> pl.DataFrame:
        """The scores: `metric`, `value`."""
        names, values = zip(*self._scores(), strict=True)
        return pl.DataFrame({"metric": names, "value": values}, schema={"metric": pl.String, "value": pl.Float64})

    @abstractmethod
    def _scores(self) -> list[tuple[str, float | None]]:
        """Name and value of each score, in the order they are shown."""

    @property
    def best(self) -> pl.DataFrame:
        """The confidence with the highest F1 of each class; null is all classes together.

        Of all predictions: the `confidence` that was evaluated leaves none out.
        """
        from ..evaluation.curves import best

        return best(self.curves)

    @property
    @abstractmethod
    def curves(self) -> pl.DataFrame:
        """Precision, recall and F1 by confidence, one row a distinct confidence.

        Of all predictions: the `confidence` that was evaluated leaves none out.
        """

    @property
    def confusion_frame(self) -> pl.DataFrame:
        """The confusion matrix as rows: `label`, `prediction`, `count`."""
        return self._long(self.confusion)

    @property
    @abstractmethod
    def confusion(self) -> Confusion:
        """The confusion matrix."""

    @staticmethod
    def _long(table: pl.DataFrame) -> pl.DataFrame:
        return table.unpivot(index="label", variable_name="prediction", value_name="count")

    @property
    def ece(self) -> float | None:
        """Expected calibration error, 0 is best."""
        return self._calibration[1]

    @property
    def calibration(self) -> pl.DataFrame:
        """How sure the model is, and how often it is right, by bin of confidence."""
        return self._calibration[0]

    @cached_property
    @abstractmethod
    def _calibration(self) -> tuple[pl.DataFrame, float | None]:
        """The table of calibration, and the expected calibration error."""

    @property
    @abstractmethod
    def matches(self) -> pl.DataFrame:
        """Every prediction and every label, with outcome, reason, IoU and partner."""

    @property
    @abstractmethod
    def per_class(self) -> pl.DataFrame:
        """One row a class."""

    # -- views ------------------------------------------------------------------------------

    @property
    def predictions(self) -> View:
        """All predictions, with the columns `outcome`, `reason`, `label_class` and `iou`.

        `label_class` is that of the label in the same place, as in `confusion`; `iou` the highest with a
        label of the prediction's own class.
        """
        rows, extra = self._judged_predictions()
        return self._view(prediction_level(self.run), rows, extra)

    @property
    def labels(self) -> View:
        """All labels, with the columns `outcome`, `reason`, `iou` and `predicted_class`."""
        rows, extra = self._judged_labels()
        return self._view(self._label_level, rows, extra)

    @property
    def true_positives(self) -> View:
        """The predictions that are right."""
        return self.predictions.filter(pl.col("outcome") == "TP")

    @property
    def false_positives(self) -> View:
        """The predictions that are wrong, with a reason each."""
        return self.predictions.filter(pl.col("outcome") == "FP")

    @property
    def false_negatives(self) -> View:
        """The labels that were missed, with a reason each."""
        return self.labels.filter(pl.col("outcome") == "FN")

    def cell(self, label: str, prediction: str) -> View:
        """Return what is behind a cell of the confusion matrix: predictions, or labels where nothing was predicted.

        Parameters
        ----------
        label : str
            Class of the labels: a row of the matrix.
        prediction : str
            Class of the predictions: a column of the matrix.

        Returns
        -------
        View
            Rows to look at, tag or export.
        """
        row, column = (place_of(name, self._axis, self.classes) for name in (label, prediction))
        rows, columns, chosen, missed = self._cells(self.confidence)
        hit = (rows == row) & (columns == column)
        if column == len(self.classes):
            return View(self._project, self._label_level).at(self._rows[1][missed[hit[chosen.size :]]])
        return View(self._project, prediction_level(self.run)).at(self._rows[0][chosen[hit[: chosen.size]]])

    @property
    @abstractmethod
    def _axis(self) -> list[str]:
        """The names of the columns of the confusion matrix; those of the rows, or of all but the last."""

    @abstractmethod
    def _cells(self, confidence: float) -> tuple[I64, I64, I64, I64]:
        """Return the row and column of every prediction that counts and of every label nothing was predicted for.

        Also the places, among predictions and labels, of what each came from: predictions, then labels.
        """

    def _view(self, level: str, rows: NDArray[np.integer], extra: pl.DataFrame) -> View:
        whole = View(self._project, level).at(rows)
        return View(self._project, level, whole._ops, extra.with_columns(pl.Series(ORDINAL, rows, dtype=pl.UInt32)))

    @property
    @abstractmethod
    def _label_level(self) -> str:
        """The level that labels are at: objects, or classes of images."""

    @abstractmethod
    def _judged_predictions(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        """Rows of predictions, and what was found of each."""

    @abstractmethod
    def _judged_labels(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        """Rows of labels, and what was found of each."""

    # -- further ----------------------------------------------------------------------------

    def explain(self, *, by_class: bool = False) -> Explanation:
        """Find which metrics of images, labels and predictions go with failure; see `Explanation`.

        Parameters
        ----------
        by_class : bool
            Ask class by class.

        Returns
        -------
        Explanation
            With `.df`, `.top`, `.buckets`, `.view`.
        """
        from .explaining import explain

        return explain(self, by_class=by_class)

    @property
    def plot(self) -> ModelCharts:
        """Charts of this evaluation, drawn without a network: `ev.plot.curves()`; needs the extra `charts`."""
        from ..charts import ModelCharts

        return ModelCharts(self)

    def __repr__(self) -> str:
        lines = [f"Evaluation of {self.run!r} on {len(self.view):,} images: {self._what()}"]
        scores = [(marked(name), value) for name, value in self._scores()]
        width = max(len(name) for name, _ in scores)
        for name, value in scores:
            lines.append(f"  {name:<{width}}  {'–' if value is None else f'{value:.3f}'}")
        return "\n".join([*lines, f"  ({self._note()})"])

    @abstractmethod
    def _what(self) -> str:
        """Say what was compared."""

    def _note(self) -> str:
        return "1 is best unless marked, – where there is nothing to find"


def codes_of(names: pl.Series, codes: dict[str, int]) -> I64:
    """Return the code of each name."""
    return names.replace_strict(list(codes), list(codes.values()), return_dtype=pl.Int64).to_numpy()


def named(names: Sequence[str], codes: NDArray[Any]) -> pl.Series:
    """Return the names of codes; null for the empty name."""
    texts = pl.Series([n or None for n in names], dtype=pl.String)
    return texts.gather(pl.Series(codes.astype(np.uint32)))


def gathered(values: pl.Series, rows: I64) -> pl.Series:
    """Return values by row, null where the row is below 0."""
    return values.gather(pl.Series(rows, dtype=pl.Int64).set(pl.Series(rows < 0), None))


def unlike(names: Sequence[str]) -> list[str]:
    """Return names that differ from each other and from the first column's, `label`; `_` is added where needed."""
    out: list[str] = []
    for name in names:
        text = name
        while text == "label" or text in out or (text != name and text in names):
            text += "_"
        out.append(text)
    return out


def place_of(name: str, shown: Sequence[str], classes: Sequence[str]) -> int:
    """Return the place of a row or column of the confusion matrix, by the name shown or by the class's own.

    Raises
    ------
    UnknownNameError
    """
    for names in (shown, classes):
        if name in names:
            return names.index(name)
    raise unknown("class", str(name), shown)
