"""An evaluation of objects: matched by IoU, scored as COCO does."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .errors import InputError, unknown
from .evaluated import Confusion, Evaluation, gathered, named, rates, unlike
from .levels import Level
from .schema import (
    CLASS_NAME,
    CONFIDENCE,
    ITEM_ID,
    LABEL_ID,
    OBJECT,
    PREDICTION_ID,
    prediction_level,
)
from .view import View

if TYPE_CHECKING:
    from .evaluation.detection import Detection
    from .project import Project
    from .state import Run

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

_HALF = 0.5
_THREE_QUARTERS = 0.75


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
        return {"TP": tp, "FP": fp, "FN": fn, **rates(tp, fp, fn)}

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
        shares = [rates(*counts) for counts in zip(tp.tolist(), fp.tolist(), fn.tolist(), strict=True)]
        columns = {
            CLASS_NAME: self.classes,
            "ap": [self._ap(k=i) for i in range(k)],
            "ap50": [None if at50 is None else self._ap(t=at50, k=i) for i in range(k)],
            "ar": [self._ar(k=i) for i in range(k)],
            "precision": [r["precision"] for r in shares],
            "recall": [r["recall"] for r in shares],
            "f1": [r["F1"] for r in shares],
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
        frame = pl.DataFrame({"label": names, **{n: counts[:, i] for i, n in enumerate(unlike(names))}})
        table = Confusion(frame)
        table._make = self._confusion
        return table

    def _cells(self, t: int, confidence: float) -> tuple[I64, I64, I64, I64]:
        """Return the row and column of every prediction that counts and of every label nothing was predicted for.

        Also the places, among predictions and labels, of what each came from: predictions, then labels.
        """
        p, truth, m = self.found.predictions, self.found.labels, self.found.matches
        k = len(self.classes)
        rows = self.label_codes(t)
        counted = (p.confidence >= confidence) & (rows <= k)
        seen = np.zeros(truth.item.size, np.bool_)
        seen[m.any_label_of[t][counted & (rows < k)]] = True
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
        frame = pl.DataFrame(
            {
                "outcome": named(OUTCOMES, outcomes),
                "reason": named(PREDICTION_REASONS, reasons),
                "label_class": self._label_classes,
                "iou": self.found.matches.same_iou,
            }
        )
        return self._rows[0], frame

    def _judged_labels(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        from .evaluation.outcomes import LABEL_OUTCOMES, LABEL_REASONS

        outcomes, reasons, partner, iou = self._l_codes
        frame = pl.DataFrame(
            {
                "outcome": named(LABEL_OUTCOMES, outcomes),
                "reason": named(LABEL_REASONS, reasons),
                "iou": iou,
                "predicted_class": gathered(self._class_names[0], partner),
            }
        )
        return self._rows[1], frame

    @property
    def _class_names(self) -> tuple[pl.Series, pl.Series]:
        return tuple(level.frame[CLASS_NAME].gather(rows) for level, rows in zip(self._levels, self._rows, strict=True))  # type: ignore[return-value]

    @property
    def _label_classes(self) -> pl.Series:
        """The class of the label in the same place, `background` where there is none, null where none counts."""
        from .evaluation.curves import BACKGROUND

        names = pl.Series([*self.classes, BACKGROUND, None], dtype=pl.String)
        codes = self.label_codes(0)
        codes[self.found.predictions.confidence < self.confidence] = len(self.classes) + 1
        return names.gather(pl.Series(codes.astype(np.uint32)))

    def label_codes(self, t: int) -> I64:
        """Return the class of the label in the place of each prediction at the t-th threshold.

        The code of the class; the number of classes where there is nothing, one more where the prediction
        does not count.
        """
        from .evaluation.matching import NOBODY

        truth, m, k = self.found.labels, self.found.matches, len(self.classes)
        partner = m.any_label_of[t].astype(np.int64)
        alone = partner == NOBODY
        there = np.maximum(partner, 0)
        codes = np.where(alone, k, truth.code[there] if truth.item.size else k)
        spared = ~alone & truth.ignored[there] if truth.item.size else np.zeros(partner.size, np.bool_)
        codes[spared | (m.rank >= self.found.max_detections)] = k + 1
        return codes

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
        partners, ious = (self._partners[0], self._l_codes[2]), (self._partners[1], self._l_codes[3])
        names = self._class_names
        partner_classes = (gathered(names[1], partners[0]), gathered(names[0], partners[1]))
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
                    pl.Series("iou", ious[i]),
                    gathered(theirs, partners[i]).alias("partner"),
                    partner_classes[i].alias("partner_class"),
                )
            )
        return pl.concat(parts)
