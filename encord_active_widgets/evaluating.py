"""Evaluations of a run: what `p.evaluate` gives back, as frames and views."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .errors import InputError, unknown
from .levels import Level
from .schema import (
    CLASS_NAME,
    CLASSIFICATION,
    CONFIDENCE,
    EXTRA,
    GEOMETRY,
    ITEM,
    ITEM_ID,
    LABEL_ID,
    OBJECT,
    ORDINAL,
    PREDICTION_ID,
    PROBABILITIES,
    prediction_level,
)
from .view import View

if TYPE_CHECKING:
    from .charts import ModelCharts
    from .evaluation.detection import Detection
    from .explaining import Explanation
    from .project import Project
    from .state import Run, Snapshot

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NEEDED = ("kind", CLASS_NAME, *GEOMETRY)
NO_PREDICTION = "no prediction"
_HALF = 0.5
_THREE_QUARTERS = 0.75


class Confusion(pl.DataFrame):
    """The confusion matrix: a row a label's class, a column a predicted class; call it for another confidence."""

    _make: Any = None

    def __call__(self, *, confidence: float | None = None, iou: float | None = None) -> Confusion:
        """Return the matrix of another confidence or IoU threshold."""
        if self._make is None or (confidence is None and iou is None):
            return self
        found: Confusion = self._make(confidence=confidence, iou=iou)
        return found


class Evaluation:
    """How a run compares with the labels. All shares go from 0 (worst) to 1 (best).

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
        `class_name` (null: all classes together), `iou`, `confidence`, `precision`, `recall`, `f1`.
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

    def _scores(self) -> list[tuple[str, float | None]]:
        raise NotImplementedError

    @property
    def best(self) -> pl.DataFrame:
        """The confidence with the highest F1 of each class; null is all classes together."""
        from .evaluation.curves import best

        return best(self.curves)

    @property
    def curves(self) -> pl.DataFrame:
        """Precision, recall and F1 by confidence, one row a distinct confidence."""
        raise NotImplementedError

    @property
    def confusion_frame(self) -> pl.DataFrame:
        """The confusion matrix as rows: `label`, `prediction`, `count`."""
        return self._long(self.confusion)

    @property
    def confusion(self) -> Confusion:
        """The confusion matrix."""
        raise NotImplementedError

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
    def _calibration(self) -> tuple[pl.DataFrame, float | None]:
        raise NotImplementedError

    @property
    def matches(self) -> pl.DataFrame:
        """Every prediction and every label, with outcome, reason, IoU and partner."""
        raise NotImplementedError

    # -- views ------------------------------------------------------------------------------

    @property
    def predictions(self) -> View:
        """All predictions, with the columns `outcome`, `reason`, `iou` and `label_class`."""
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
        """Return what is behind a cell of the confusion matrix: predictions, or labels where nothing was predicted."""
        raise NotImplementedError

    def _view(self, level: str, rows: NDArray[np.integer], extra: pl.DataFrame) -> View:
        whole = View(self._project, level).at(rows)
        return View(self._project, level, whole._ops, extra.with_columns(pl.Series(ORDINAL, rows, dtype=pl.UInt32)))

    @property
    def _label_level(self) -> str:
        raise NotImplementedError

    def _judged_predictions(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        raise NotImplementedError

    def _judged_labels(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        raise NotImplementedError

    # -- further ----------------------------------------------------------------------------

    def explain(self, *, by_class: bool = False) -> Explanation:
        """Find which metrics of images, labels and predictions go with failure; see `Explanation`."""
        from .explaining import explain

        return explain(self, by_class=by_class)

    @property
    def plot(self) -> ModelCharts:
        """Charts of this evaluation, drawn without a network: `ev.plot.curves()`; needs the extra `charts`."""
        from .charts import ModelCharts

        return ModelCharts(self)

    def __repr__(self) -> str:
        lines = [f"Evaluation of {self.run!r} on {len(self.view):,} images: {self._what()}"]
        width = max(len(name) for name, _ in self._scores())
        for name, value in self._scores():
            lines.append(f"  {name:<{width}}  {'–' if value is None else f'{value:.3f}'}")
        return "\n".join([*lines, f"  ({self._note()})"])

    def _what(self) -> str:
        raise NotImplementedError

    def _note(self) -> str:
        return "1 is best, – where there is nothing to find"


class DetectionEvaluation(Evaluation):
    """Objects: matched by IoU, scored as COCO does."""

    kind = "detection"

    def __init__(
        self,
        project: Project,
        run: Run,
        view: View,
        levels: tuple[Level, Level],
        rows: tuple[I64, I64],
        found: Detection,
        confidence: float,
    ) -> None:
        super().__init__(project, run, view)
        self._levels, self._rows, self.found = levels, rows, found
        self.confidence = confidence
        self.iou = found.thresholds[0]
        self.thresholds = found.thresholds
        self.classes = found.classes

    def _what(self) -> str:
        n, m = len(self.found.predictions.item), len(self.found.labels.item)
        return (
            f"{n:,} predictions, {m:,} labels, {len(self.classes)} classes, compared as {self.found.shape}es".replace(
                "maskes", "masks"
            )
        )

    def _note(self) -> str:
        sure = f", confidence of at least {self.confidence:g}" if self.confidence else ""
        return f"{super()._note()}; precision, recall and F1 at IoU {self.iou:g}{sure}"

    # -- scores -----------------------------------------------------------------------------

    @property
    def map(self) -> float | None:
        """Mean average precision over classes and IoU thresholds."""
        return self._ap()

    def _ap(self, *, t: int | None = None, area: int = 0, k: int | None = None) -> float | None:
        from .evaluation.average_precision import mean

        values = self.found.scores.precision[:, :, :, area, -1]
        values = values if t is None else values[t : t + 1]
        return mean(values if k is None else values[:, :, k])

    def _ar(self, *, area: int = 0, limit: int = -1, k: int | None = None) -> float | None:
        from .evaluation.average_precision import mean

        values = self.found.scores.recall[:, :, area, limit]
        return mean(values if k is None else values[:, k])

    def _scores(self) -> list[tuple[str, float | None]]:
        from .evaluation.average_precision import AREAS, COCO_THRESHOLDS

        t = self.thresholds
        usual = t == COCO_THRESHOLDS
        name = "mAP@[.5:.95]" if usual else f"mAP@{t[0]:g}" if len(t) == 1 else f"mAP@[{t[0]:g}:{t[-1]:g}]"
        out: list[tuple[str, float | None]] = [(name, self._ap())]
        if len(t) > 1:
            out += [
                (f"mAP@{v:.3g}".replace("0.", "."), self._ap(t=i))
                for i, v in enumerate(t)
                if v in (_HALF, _THREE_QUARTERS)
            ]
        out += [(f"mAP {a}", self._ap(area=i)) for i, a in enumerate(AREAS) if i]
        most = self.found.max_detections
        limits = [min(n, most) for n in (1, 10)] + [most]
        out += [(f"AR@{n}", self._ar(limit=i)) for i, n in enumerate(limits) if n not in limits[:i]]
        out += [(f"AR {a}", self._ar(area=i)) for i, a in enumerate(AREAS) if i]
        counts = self.counts
        out += [(k, counts[k]) for k in ("precision", "recall", "F1", "FN rate")]
        return [*out, ("ECE", self.ece)]

    @cached_property
    def counts(self) -> dict[str, Any]:
        """TP, FP, FN at `iou` and `confidence`; precision, recall, F1 and FN rate = FN / (TP + FN)."""
        from .evaluation.outcomes import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

        outcomes = self._p_codes[0]
        tp, fp = int((outcomes == TRUE_POSITIVE).sum()), int((outcomes == FALSE_POSITIVE).sum())
        fn = int((self._l_codes[0] == FALSE_NEGATIVE).sum())
        return {"TP": tp, "FP": fp, "FN": fn, **_rates(tp, fp, fn)}

    @property
    def per_class(self) -> pl.DataFrame:
        """One row a class: `ap`, `ap50`, `ar`, `precision`, `recall`, `f1`, and counts of labels, TP, FP and FN."""
        from .evaluation.outcomes import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

        k = len(self.classes)
        p, truth = self.found.predictions, self.found.labels
        outcomes, missed = self._p_codes[0], self._l_codes[0]
        tp = np.bincount(p.code[outcomes == TRUE_POSITIVE], minlength=k)
        fp = np.bincount(p.code[outcomes == FALSE_POSITIVE], minlength=k)
        fn = np.bincount(truth.code[missed == FALSE_NEGATIVE], minlength=k)
        at50 = self.thresholds.index(_HALF) if _HALF in self.thresholds else None
        rates = [_rates(*counts) for counts in zip(tp.tolist(), fp.tolist(), fn.tolist(), strict=True)]
        columns = {
            CLASS_NAME: self.classes,
            "ap": [self._ap(k=i) for i in range(k)],
            "ap50": [None if at50 is None else self._ap(t=at50, k=i) for i in range(k)],
            "ar": [self._ar(k=i) for i in range(k)],
            "precision": [r["precision"] for r in rates],
            "recall": [r["recall"] for r in rates],
            "f1": [r["F1"] for r in rates],
            "labels": np.bincount(truth.code[~truth.ignored], minlength=k),
            "predictions": tp + fp,
            "tp": tp,
            "fp": fp,
            "fn": fn,
        }
        floats = ("ap", "ap50", "ar", "precision", "recall", "f1")
        return pl.DataFrame(columns, schema_overrides=dict.fromkeys(floats, pl.Float64)).filter(
            (pl.col("labels") > 0) | (pl.col("predictions") > 0)
        )

    @cached_property
    def curves(self) -> pl.DataFrame:
        """Precision, recall and F1 by confidence at the first IoU threshold."""
        return self.curves_at(self.iou)

    def curves_at(self, iou: float) -> pl.DataFrame:
        """Return the curves at another of the thresholds."""
        from .evaluation.curves import curves
        from .evaluation.outcomes import IGNORED, TRUE_POSITIVE, of_predictions

        outcomes, _ = of_predictions(self.found, self._threshold(iou))
        kept = outcomes != IGNORED
        p, truth = self.found.predictions, self.found.labels
        totals = np.bincount(truth.code[~truth.ignored], minlength=len(self.classes))
        table = curves(p.code[kept], p.confidence[kept], outcomes[kept] == TRUE_POSITIVE, totals, self.classes)
        return table.insert_column(1, pl.lit(iou).alias("iou"))

    @cached_property
    def confusion(self) -> Confusion:
        """Rows: a label's class, `background` last; columns: predicted classes, `background` for nothing predicted.

        Predictions and labels are paired by place alone, the surest prediction first.
        """
        return self._confusion()

    def _confusion(self, *, confidence: float | None = None, iou: float | None = None) -> Confusion:
        from .evaluation.curves import BACKGROUND, confusion_table

        t = self._threshold(self.iou if iou is None else iou)
        rows, columns = self._cells(t, self.confidence if confidence is None else confidence)[:2]
        names = [*self.classes, BACKGROUND]
        counts = confusion_table(rows, columns, len(names), len(names))
        frame = pl.DataFrame({"label": names, **{n: counts[:, i] for i, n in enumerate(_unlike(names))}})
        table = Confusion(frame)
        table._make = self._confusion
        return table

    def _cells(self, t: int, confidence: float) -> tuple[I64, I64, I64, I64]:
        """Return the row and column of every prediction that counts and of every label nothing was predicted for.

        Also the places, among predictions and labels, of what each came from: predictions, then labels.
        """
        from .evaluation.matching import NOBODY

        p, truth, m = self.found.predictions, self.found.labels, self.found.matches
        k = len(self.classes)
        partner = m.any_label_of[t].astype(np.int64)
        alone = partner == NOBODY
        crowd = ~alone & truth.ignored[np.maximum(partner, 0)] if truth.item.size else np.zeros(alone.size, np.bool_)
        counted = (p.confidence >= confidence) & (m.rank < self.found.max_detections) & ~crowd
        rows = np.where(alone, k, truth.code[np.maximum(partner, 0)] if truth.item.size else k)
        seen = np.zeros(truth.item.size, np.bool_)
        seen[partner[counted & ~alone]] = True
        missed = np.flatnonzero(~seen & ~truth.ignored)
        chosen = np.flatnonzero(counted)
        return (
            np.concatenate([rows[chosen], truth.code[missed]]),
            np.concatenate([p.code[chosen], np.full(missed.size, k)]),
            chosen,
            missed,
        )

    def cell(self, label: str, prediction: str) -> View:
        """Return what is behind a cell of the confusion matrix: predictions, or labels where nothing was predicted."""
        from .evaluation.curves import BACKGROUND

        names = [*self.classes, BACKGROUND]
        for name in (label, prediction):
            if name not in names:
                raise unknown("class", name, names)
        rows, columns, chosen, missed = self._cells(self._threshold(self.iou), self.confidence)
        hit = (rows == names.index(label)) & (columns == names.index(prediction))
        if prediction == BACKGROUND:
            return View(self._project, OBJECT).at(self._rows[1][missed[hit[chosen.size :]]])
        return View(self._project, prediction_level(self.run)).at(self._rows[0][chosen[hit[: chosen.size]]])

    @cached_property
    def _calibration(self) -> tuple[pl.DataFrame, float | None]:
        from .evaluation.curves import calibration
        from .evaluation.outcomes import IGNORED, TRUE_POSITIVE

        outcomes = self._p_codes[0]
        kept = outcomes != IGNORED
        return calibration(self.found.predictions.confidence[kept], outcomes[kept] == TRUE_POSITIVE)

    def _threshold(self, iou: float) -> int:
        """Return the place of a threshold.

        Raises
        ------
        InputError
            It is not one of those evaluated.
        """
        for i, t in enumerate(self.thresholds):
            if abs(t - iou) < 1e-9:
                return i
        raise InputError(
            f"IoU {iou:g} was not evaluated (there are {', '.join(f'{t:g}' for t in self.thresholds)}).",
            "Call p.evaluate(run, iou=…).",
        )

    # -- outcomes ---------------------------------------------------------------------------

    @cached_property
    def _p_codes(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        from .evaluation.outcomes import of_predictions

        return of_predictions(self.found, 0, self.confidence)

    @cached_property
    def _l_codes(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], I64, NDArray[np.float32]]:
        from .evaluation.outcomes import of_labels

        return of_labels(self.found, 0, self.confidence)

    @property
    def _label_level(self) -> str:
        return OBJECT

    def _judged_predictions(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        from .evaluation.outcomes import OUTCOMES, PREDICTION_REASONS

        outcomes, reasons = self._p_codes
        partner, iou = self._partners
        frame = pl.DataFrame(
            {
                "outcome": _named(OUTCOMES, outcomes),
                "reason": _named(PREDICTION_REASONS, reasons),
                "iou": iou,
                "label_class": _gathered(self._class_names[1], partner),
            }
        )
        return self._rows[0], frame

    def _judged_labels(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        from .evaluation.outcomes import LABEL_OUTCOMES, LABEL_REASONS

        outcomes, reasons, partner, iou = self._l_codes
        frame = pl.DataFrame(
            {
                "outcome": _named(LABEL_OUTCOMES, outcomes),
                "reason": _named(LABEL_REASONS, reasons),
                "iou": iou,
                "predicted_class": _gathered(self._class_names[0], partner),
            }
        )
        return self._rows[1], frame

    @property
    def _class_names(self) -> tuple[pl.Series, pl.Series]:
        return tuple(level.frame[CLASS_NAME].gather(rows) for level, rows in zip(self._levels, self._rows, strict=True))  # type: ignore[return-value]

    @cached_property
    def _partners(self) -> tuple[I64, NDArray[np.float32]]:
        """The label each prediction was matched with, or lies nearest to, and the IoU."""
        m = self.found.matches
        taken = m.label_of[0].astype(np.int64)
        by_other = m.other_iou > m.same_iou
        near = np.where(by_other, m.other_label, m.same_label).astype(np.int64)
        matched = taken >= 0
        iou = np.where(matched, m.iou[0], np.maximum(m.same_iou, m.other_iou))
        return np.where(matched, taken, near), iou

    @cached_property
    def matches(self) -> pl.DataFrame:
        """Every prediction and label at the first IoU threshold.

        `row` ("prediction" or "label"), `id`, `item_id`, `class_name`, `confidence`, `outcome` (TP, FP, FN,
        ignored), `reason`, `iou`, `partner` (the id of the label or prediction it was matched with, or came
        nearest to) and `partner_class`.
        """
        parts = []
        keys = (PREDICTION_ID, LABEL_ID)
        judged = (self._judged_predictions()[1], self._judged_labels()[1])
        partners = (self._partners[0], self._l_codes[2])
        for i, word in enumerate(("prediction", "label")):
            level, rows = self._levels[i], self._rows[i]
            other, other_rows = self._levels[1 - i], self._rows[1 - i]
            frame = level.frame
            ids = frame[keys[i]].gather(rows)
            theirs = other.frame[keys[1 - i]].gather(other_rows)
            confidence = self.found.predictions.confidence if i == 0 else None
            parts.append(
                judged[i].select(
                    pl.lit(word).alias("row"),
                    ids.alias("id"),
                    frame[ITEM_ID].gather(rows),
                    frame[CLASS_NAME].gather(rows),
                    pl.lit(confidence, dtype=pl.Float64).alias(CONFIDENCE)
                    if confidence is None
                    else pl.Series(CONFIDENCE, confidence),
                    "outcome",
                    "reason",
                    "iou",
                    _gathered(theirs, partners[i]).alias("partner"),
                    judged[i].to_series(3).alias("partner_class"),
                )
            )
        return pl.concat(parts)


class ClassificationEvaluation(Evaluation):
    """Classes of whole images: the predicted class beside the label's."""

    kind = "classification"

    def __init__(
        self,
        project: Project,
        run: Run,
        view: View,
        levels: tuple[Level, Level],
        rows: tuple[I64, I64],
        classes: Sequence[str],
        confidence: float,
    ) -> None:
        super().__init__(project, run, view)
        self._levels, self._rows, self.classes = levels, rows, tuple(classes)
        self.confidence = confidence
        codes = {name: i for i, name in enumerate(classes)}
        level, truth = levels
        self._truth = _codes(truth.frame[CLASS_NAME].gather(rows[1]), codes)
        of_label = {item: i for i, item in enumerate(truth.frame[ITEM_ID].gather(rows[1]).to_list())}
        items = level.frame[ITEM_ID].gather(rows[0]).to_list()
        self._partner = np.array([of_label[i] for i in items], np.int64)
        self._sure = level.frame[CONFIDENCE].gather(rows[0]).fill_null(1.0).to_numpy()
        self._answer = _codes(level.frame[CLASS_NAME].gather(rows[0]), codes)
        self._right: Flags = self._answer == self._truth[self._partner]
        self._counted: Flags = self._sure >= confidence

    def _what(self) -> str:
        return f"{len(self._answer):,} predictions, {len(self._truth):,} labels, {len(self.classes)} classes"

    @property
    def accuracy(self) -> float | None:
        """Share of labels whose image got the right class."""
        return float((self._right & self._counted).sum() / self._truth.size) if self._truth.size else None

    def _scores(self) -> list[tuple[str, float | None]]:
        table = self.per_class.filter(pl.col("labels") > 0)

        def macro(name: str) -> float | None:
            value = table[name].mean()
            return float(value) if isinstance(value, (int, float)) else None

        return [
            ("accuracy", self.accuracy),
            ("macro precision", macro("precision")),
            ("macro recall", macro("recall")),
            ("macro F1", macro("f1")),
            ("log loss (0 is best)", self.log_loss),
            ("ECE (0 is best)", self.ece),
        ]

    @property
    def log_loss(self) -> float | None:
        """Mean of -ln p(label), where the run gives probabilities; p is kept at least 1e-15."""
        level, rows = self._levels[0], self._rows[0]
        if PROBABILITIES not in level.frame.columns:
            return None
        lists = level.frame[PROBABILITIES].gather(rows)
        if lists.null_count():
            return None
        places = {name: i for i, name in enumerate(self._run.classes)}
        at = np.array([places.get(self.classes[c], -1) for c in range(len(self.classes))])[self._truth[self._partner]]
        p = lists.list.get(pl.Series(np.maximum(at, 0)), null_on_oob=True).fill_null(0.0).to_numpy().astype(np.float64)
        p = np.where(at < 0, 0.0, p)
        return float(-np.log(np.maximum(p, 1e-15)).mean()) if p.size else None

    @property
    def per_class(self) -> pl.DataFrame:
        """One row a class: `precision`, `recall`, `f1`, `labels`, `predictions`, `tp`, `fp`, `fn`."""
        k, on = len(self.classes), self._counted
        tp = np.bincount(self._answer[self._right & on], minlength=k)
        n = np.bincount(self._answer[on], minlength=k)
        labels = np.bincount(self._truth, minlength=k)
        rates = [_rates(a, b - a, c - a) for a, b, c in zip(tp.tolist(), n.tolist(), labels.tolist(), strict=True)]
        columns = {
            CLASS_NAME: self.classes,
            "precision": [r["precision"] for r in rates],
            "recall": [r["recall"] for r in rates],
            "f1": [r["F1"] for r in rates],
            "labels": labels,
            "predictions": n,
            "tp": tp,
            "fp": n - tp,
            "fn": labels - tp,
        }
        frame = pl.DataFrame(columns, schema_overrides=dict.fromkeys(("precision", "recall", "f1"), pl.Float64))
        return frame.filter((pl.col("labels") > 0) | (pl.col("predictions") > 0))

    @cached_property
    def curves(self) -> pl.DataFrame:
        """Precision, recall and F1 by confidence."""
        from .evaluation.curves import curves

        totals = np.bincount(self._truth, minlength=len(self.classes))
        table = curves(self._answer, self._sure, self._right, totals, self.classes)
        return table.insert_column(1, pl.lit(None, dtype=pl.Float64).alias("iou"))

    @cached_property
    def confusion(self) -> Confusion:
        """Rows: a label's class; columns: predicted classes, and `no prediction` where some are missing."""
        return self._confusion()

    def _confusion(self, *, confidence: float | None = None, iou: float | None = None) -> Confusion:
        from .evaluation.curves import confusion_table

        if iou is not None:
            raise InputError("Classes of images have no IoU.", "Give confidence= only.")
        rows, columns = self._cells(self.confidence if confidence is None else confidence)[:2]
        names = [*self.classes, NO_PREDICTION]
        counts = confusion_table(rows, columns, len(names), len(names))
        shown = names if counts[:, -1].any() else list(self.classes)
        table = Confusion(
            pl.DataFrame({"label": self.classes, **{n: counts[:-1, i] for i, n in enumerate(_unlike(shown))}})
        )
        table._make = self._confusion
        return table

    def _cells(self, confidence: float) -> tuple[I64, I64, I64, I64]:
        chosen = np.flatnonzero(self._sure >= confidence)
        missed = np.setdiff1d(np.arange(self._truth.size), self._partner[chosen])
        return (
            np.concatenate([self._truth[self._partner[chosen]], self._truth[missed]]),
            np.concatenate([self._answer[chosen], np.full(missed.size, len(self.classes))]),
            chosen,
            missed,
        )

    def cell(self, label: str, prediction: str) -> View:
        """Return the predictions behind a cell of the confusion matrix, or the labels without one."""
        names = [*self.classes, NO_PREDICTION]
        for name in (label, prediction):
            if name not in names:
                raise unknown("class", name, names)
        rows, columns, chosen, missed = self._cells(self.confidence)
        hit = (rows == names.index(label)) & (columns == names.index(prediction))
        if prediction == NO_PREDICTION:
            return View(self._project, CLASSIFICATION).at(self._rows[1][missed[hit[chosen.size :]]])
        return View(self._project, prediction_level(self.run)).at(self._rows[0][chosen[hit[: chosen.size]]])

    @cached_property
    def _calibration(self) -> tuple[pl.DataFrame, float | None]:
        from .evaluation.curves import calibration

        return calibration(self._sure[self._counted], self._right[self._counted])

    @property
    def _label_level(self) -> str:
        return CLASSIFICATION

    def _judged_predictions(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        outcome = np.where(self._counted, (~self._right).astype(np.uint8), 2)
        reason = np.select([~self._counted, self._right], [2, 0], 1)
        frame = pl.DataFrame(
            {
                "outcome": _named(("TP", "FP", "ignored"), outcome),
                "reason": _named(("", "class", "confidence"), reason),
                "iou": pl.repeat(None, outcome.size, dtype=pl.Float32, eager=True),
                "label_class": _gathered(self._levels[1].frame[CLASS_NAME].gather(self._rows[1]), self._partner),
            }
        )
        return self._rows[0], frame

    def _judged_labels(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        of_label = np.full(self._truth.size, -1, np.int64)
        of_label[self._partner] = np.arange(self._partner.size)
        there = of_label >= 0
        counted = there & self._counted[np.maximum(of_label, 0)] if self._counted.size else there
        right = counted & self._right[np.maximum(of_label, 0)] if self._right.size else there
        frame = pl.DataFrame(
            {
                "outcome": _named(("TP", "FN"), (~right).astype(np.uint8)),
                "reason": _named(
                    ("", "class", "confidence", "nothing"), np.select([right, counted, there], [0, 1, 2], 3)
                ),
                "iou": pl.repeat(None, right.size, dtype=pl.Float32, eager=True),
                "predicted_class": _gathered(self._levels[0].frame[CLASS_NAME].gather(self._rows[0]), of_label),
            }
        )
        return self._rows[1], frame

    @cached_property
    def matches(self) -> pl.DataFrame:
        """Every prediction and label: `row`, `id`, `item_id`, `class_name`, `confidence`, `outcome`, `reason`, …."""
        (p_rows, p), (l_rows, q) = self._judged_predictions(), self._judged_labels()
        predictions, labels = (level.frame for level in self._levels)
        of_label = np.full(self._truth.size, -1, np.int64)
        of_label[self._partner] = np.arange(self._partner.size)
        p_ids, l_ids = predictions[PREDICTION_ID].gather(p_rows), labels[LABEL_ID].gather(l_rows)
        parts = [
            p.select(
                pl.lit("prediction").alias("row"), p_ids.alias("id"), predictions[ITEM_ID].gather(p_rows),
                predictions[CLASS_NAME].gather(p_rows), pl.Series(CONFIDENCE, self._sure), "outcome", "reason", "iou",
                _gathered(l_ids, self._partner).alias("partner"), pl.col("label_class").alias("partner_class"),
            ),
            q.select(
                pl.lit("label").alias("row"), l_ids.alias("id"), labels[ITEM_ID].gather(l_rows),
                labels[CLASS_NAME].gather(l_rows), pl.lit(None, dtype=pl.Float64).alias(CONFIDENCE), "outcome",
                "reason", "iou", _gathered(p_ids, of_label).alias("partner"),
                pl.col("predicted_class").alias("partner_class"),
            ),
        ]  # fmt: skip
        return pl.concat(parts)


# -- making one ---------------------------------------------------------------------------------


def evaluate(
    project: Project,
    run: Run,
    *,
    iou: float | Sequence[float] | None,
    view: View | None,
    shape: str | None,
    class_aware: bool,
    confidence: float,
    max_detections: int,
) -> Evaluation:
    """Evaluate a run; see `Project.evaluate`."""
    snapshot = project._snapshot()
    if view is not None and view.project.path != project.path:
        raise InputError("The view is of another project.", "Make it from this one.")
    if not 0 <= confidence <= 1:
        raise InputError(f"A confidence of {confidence:g} is not between 0 and 1.", "Give a share.")
    chosen = View(project, ITEM) if view is None else view.items()
    items = chosen.rows
    codes = np.full(snapshot.items.n, -1, np.int64)
    codes[items] = np.arange(items.size)
    level = snapshot.levels[prediction_level(run.name)]
    if run.kind == "classification":
        return _classification(project, run, chosen, snapshot, codes, level, confidence)
    return _detection(
        project, run, chosen, snapshot, codes, level, iou=iou, shape=shape, class_aware=class_aware,
        confidence=confidence, max_detections=max_detections,
    )  # fmt: skip


def _detection(
    project: Project,
    run: Run,
    view: View,
    snapshot: Snapshot,
    codes: I64,
    level: Level,
    *,
    iou: float | Sequence[float] | None,
    shape: str | None,
    class_aware: bool,
    confidence: float,
    max_detections: int,
) -> DetectionEvaluation:
    from .evaluation.detection import SHAPES, best_shape, detect, usable

    thresholds = _thresholds(iou)
    if max_detections < 1:
        raise InputError(f"max_detections={max_detections} leaves nothing.", "Give 1 or more.")
    truth = snapshot.levels[OBJECT]
    if truth.n == 0:
        raise InputError("There are no objects to compare the predictions with.", "Add them: p.add_labels(…).")
    p_rows, predictions = _on_items(level, codes)
    l_rows, labels = _on_items(truth, codes)
    keep = usable(labels).to_numpy()
    l_rows, labels = (l_rows, labels) if keep.all() else (l_rows[keep], labels.filter(pl.Series(keep)))
    keep = usable(predictions).to_numpy()
    p_rows, predictions = (p_rows, predictions) if keep.all() else (p_rows[keep], predictions.filter(pl.Series(keep)))
    chosen = shape or best_shape(predictions)
    if chosen not in SHAPES:
        raise unknown("shape", chosen, SHAPES)
    used = {*predictions[CLASS_NAME].fill_null("").unique(), *labels[CLASS_NAME].fill_null("").unique()}
    classes = [*(c for c in dict.fromkeys(run.classes) if c in used), *sorted(used - set(run.classes))]
    frame = snapshot.items.frame.select(pl.col("width", "height").fill_null(0).cast(pl.Int64))
    sizes = frame.to_numpy()[view.rows]
    if chosen == "mask" and (sizes <= 0).any():
        raise InputError("The size of some images is not known, so masks cannot be drawn.", "Call p.compute() first.")
    found = detect(
        predictions, labels, sizes, classes, thresholds, shape=chosen, class_aware=class_aware,
        max_detections=max_detections,
    )  # fmt: skip
    return DetectionEvaluation(project, run, view, (level, truth), (p_rows, l_rows), found, confidence)


def _on_items(level: Level, codes: I64) -> tuple[I64, pl.DataFrame]:
    """Return the rows of a level that lie on the items looked at, with `item`, the code of each one's."""
    assert level.item_rows is not None
    of_item = codes[level.item_rows.to_numpy()]
    keep = of_item >= 0
    if level.alive is not None:
        keep &= level.alive
    names = [c for c in (*_NEEDED, CONFIDENCE, EXTRA) if c in level.frame.columns]
    frame = level.frame.select(names)
    rows = np.flatnonzero(keep)
    if rows.size < level.n:
        frame, of_item = frame[rows], of_item[rows]
    return rows, frame.with_columns(pl.Series("item", of_item))


def _classification(
    project: Project, run: Run, view: View, snapshot: Snapshot, codes: I64, level: Level, confidence: float
) -> ClassificationEvaluation:
    truth = snapshot.levels[CLASSIFICATION]
    if truth.n == 0:
        raise InputError("The images have no classes to compare the predictions with.", "Add them: p.add_labels(…).")
    assert level.item_rows is not None
    assert truth.item_rows is not None
    alive = np.ones(truth.n, np.bool_) if truth.alive is None else truth.alive
    answers = pl.DataFrame({"item": codes[truth.item_rows.to_numpy()], "row": np.arange(truth.n)}).filter(
        pl.Series(alive), pl.col("item") >= 0
    )
    l_rows = answers.unique("item", keep="first", maintain_order=True)
    given = pl.DataFrame({"item": codes[level.item_rows.to_numpy()], "row": np.arange(level.n)}).filter(
        pl.Series(np.ones(level.n, np.bool_) if level.alive is None else level.alive), pl.col("item") >= 0
    )
    p_rows = given.unique("item", keep="first", maintain_order=True).join(l_rows, on="item", how="semi")
    names = truth.frame[CLASS_NAME].gather(l_rows["row"]).unique().to_list()
    predicted = level.frame[CLASS_NAME].gather(p_rows["row"]).unique().to_list()
    used = {n for n in (*names, *predicted) if n is not None}
    classes = [*(c for c in run.classes if c in used), *sorted(used - set(run.classes))]
    rows = (p_rows["row"].to_numpy(), l_rows["row"].to_numpy())
    return ClassificationEvaluation(project, run, view, (level, truth), rows, classes, confidence)


def _thresholds(iou: float | Sequence[float] | None) -> tuple[float, ...]:
    from .evaluation.average_precision import COCO_THRESHOLDS

    if iou is None:
        return COCO_THRESHOLDS
    given = (iou,) if isinstance(iou, (int, float)) else tuple(iou)
    if (
        not given
        or not all(isinstance(t, (int, float)) and 0 < t <= 1 for t in given)
        or sorted(set(given)) != list(given)
    ):
        raise InputError(f"{iou!r:.80} are no IoU thresholds.", "Give numbers above 0, at most 1, in rising order.")
    return tuple(float(t) for t in given)


def _rates(tp: int, fp: int, fn: int) -> dict[str, float | None]:
    return {
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
        "F1": 2 * tp / (2 * tp + fp + fn) if tp + fn else None,
        "FN rate": fn / (tp + fn) if tp + fn else None,
    }


def _codes(names: pl.Series, codes: dict[str, int]) -> I64:
    return names.replace_strict(list(codes), list(codes.values()), return_dtype=pl.Int64).to_numpy()


def _named(names: Sequence[str], codes: NDArray[Any]) -> pl.Series:
    """Return the names of codes; null for the empty name."""
    texts = pl.Series([n or None for n in names], dtype=pl.String)
    return texts.gather(pl.Series(codes.astype(np.uint32)))


def _gathered(values: pl.Series, rows: I64) -> pl.Series:
    """Return values by row, null where the row is below 0."""
    return values.gather(pl.Series(rows, dtype=pl.Int64).set(pl.Series(rows < 0), None))


def _unlike(names: Sequence[str]) -> list[str]:
    """Return names that differ from each other and from the first column's."""
    out: list[str] = []
    for name in names:
        text = name
        while text == "label" or text in out:
            text += "_"
        out.append(text)
    return out
