"""An evaluation of objects: matched by IoU, scored as COCO does."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..errors import InputError
from ..evaluation.curves import rates
from ..schema import (
    CLASS_NAME,
    CONFIDENCE,
    ITEM_ID,
    LABEL_ID,
    OBJECT,
    PREDICTION_ID,
)
from ..view import View
from .evaluated import Confusion, Evaluation, gathered, named, unlike

if TYPE_CHECKING:
    from ..content.state import Run
    from ..evaluation.detection import Detection
    from ..project import Project

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

_HALF = 0.5
_THREE_QUARTERS = 0.75
_COMPARED = {"box": "boxes", "mask": "masks", "keypoints": "keypoints"}


class DetectionEvaluation(Evaluation):
    """Objects: matched by IoU, scored as COCO does; keypoints by OKS (`evaluation.keypoints`), which `iou` then means.

    By OKS labels without keypoints count neither as found nor as missed.

    Where only predictions have keypoints, or some, keypoints are compared by their boxes, not by OKS.
    """

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
        *,
        flattened: bool = False,
    ) -> None:
        super().__init__(project, run, view)
        self._flattened = flattened
        self._levels, self._rows, self.found = levels, rows, found
        self.confidence = confidence
        self.iou = found.thresholds[0]
        self.thresholds = found.thresholds
        self.classes = found.classes

    def _what(self) -> str:
        n, m = len(self.found.predictions.item), len(self.found.labels.item)
        return (
            f"{n:,} predictions, {m:,} labels, {len(self.classes)} classes, compared as {_COMPARED[self.found.shape]}"
        )

    def _note(self) -> str:
        sure = f", confidence of at least {self.confidence:g}" if self.confidence else ""
        measure = "OKS" if self.found.shape == "keypoints" else "IoU"
        warning = "; keypoints are compared by their boxes, not by OKS" if self._flattened else ""
        return f"{super()._note()}; precision, recall and F1 at {measure} {self.iou:g}{sure}{warning}"

    # -- scores -----------------------------------------------------------------------------

    @property
    def map(self) -> float | None:
        """Mean average precision over classes and IoU thresholds."""
        from ..evaluation.by_class import precision

        return precision(self.found.scores)

    def _scores(self) -> list[tuple[str, float | None]]:
        from ..evaluation.average_precision import AREAS, COCO_THRESHOLDS
        from ..evaluation.by_class import precision, recall

        scores, t = self.found.scores, self.thresholds
        usual = t == COCO_THRESHOLDS
        name = "mAP@[.5:.95]" if usual else f"mAP@{t[0]:g}" if len(t) == 1 else f"mAP@[{t[0]:g}:{t[-1]:g}]"
        out: list[tuple[str, float | None]] = [(name, precision(scores))]
        if len(t) > 1:
            out += [
                (f"mAP@{v:.3g}".replace("0.", "."), precision(scores, t=i))
                for i, v in enumerate(t)
                if v in (_HALF, _THREE_QUARTERS)
            ]
        posed = self.found.shape == "keypoints"  # of these COCO has neither small ones nor lower limits
        areas = [(i, a) for i, a in enumerate(AREAS) if i > posed]
        out += [(f"mAP {a}", precision(scores, area=i)) for i, a in areas]
        most = self.found.max_detections
        limits = [min(n, most) for n in (1, 10)] + [most]
        shown = {n: i for i, n in enumerate(limits) if not posed or n == most}
        out += [(f"AR@{n}", recall(scores, limit=i)) for n, i in shown.items()]
        out += [(f"AR {a}", recall(scores, area=i)) for i, a in areas]
        counts = self.counts
        out += [(k, counts[k]) for k in ("precision", "recall", "F1")]
        return [*out, ("FN rate", counts["FN rate"]), ("ECE", self.ece)]

    @cached_property
    def counts(self) -> dict[str, Any]:
        """TP, FP, FN at `iou` and `confidence`; precision, recall, F1 and FN rate = FN / (TP + FN)."""
        from ..evaluation.outcomes import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

        outcomes = self._p_codes[0]
        tp, fp = int((outcomes == TRUE_POSITIVE).sum()), int((outcomes == FALSE_POSITIVE).sum())
        fn = int((self._l_codes[0] == FALSE_NEGATIVE).sum())
        return {"TP": tp, "FP": fp, "FN": fn, **rates(tp, fp, fn)}

    @property
    def per_class(self) -> pl.DataFrame:
        """One row a class: `ap`, `ap50`, `ar`, `precision`, `recall`, `f1`, and counts of labels, TP, FP and FN.

        Without `class_aware` a prediction answers for no class: the first row is "all classes", and those of the
        classes tell how many of their labels were found.
        """
        from ..evaluation.by_class import each_class, whole_and_recalls

        make = each_class if self.found.class_aware else whole_and_recalls
        return make(self.found, self._p_codes[0], self._l_codes[0])

    @cached_property
    def curves(self) -> pl.DataFrame:
        """Precision, recall and F1 by confidence at the first IoU threshold; `confidence=` leaves none out.

        Without `class_aware` all classes together alone.
        """
        return self.curves_at(self.iou)

    def curves_at(self, iou: float) -> pl.DataFrame:
        """Return the curves at another of the thresholds.

        Parameters
        ----------
        iou : float
            One of the thresholds, such as 0.75.

        Returns
        -------
        pl.DataFrame
            As `curves`.
        """
        from ..evaluation.curves import curves
        from ..evaluation.outcomes import IGNORED, TRUE_POSITIVE, of_predictions

        outcomes, _ = of_predictions(self.found, self._threshold(iou))
        kept = outcomes != IGNORED
        p, truth = self.found.predictions, self.found.labels
        totals = np.bincount(truth.code[~truth.ignored], minlength=len(self.classes))
        table = curves(p.code[kept], p.confidence[kept], outcomes[kept] == TRUE_POSITIVE, totals, self.classes)
        table = table if self.found.class_aware else table.filter(pl.col(CLASS_NAME).is_null())
        return table.insert_column(1, pl.lit(iou).alias("iou"))

    @cached_property
    def confusion(self) -> Confusion:
        """Rows: a label's class, `background` last; columns: predicted classes, `background` for nothing predicted.

        Predictions and labels are paired by place alone, the surest prediction first.
        """
        return self._confusion()

    def _confusion(self, *, confidence: float | None = None, iou: float | None = None) -> Confusion:
        from ..evaluation.curves import confusion_table

        t = self._threshold(self.iou if iou is None else iou)
        rows, columns = self._cells(self.confidence if confidence is None else confidence, t)[:2]
        names = self._axis
        counts = confusion_table(rows, columns, len(names), len(names))
        frame = pl.DataFrame({"label": names, **{n: counts[:, i] for i, n in enumerate(names)}})
        table = Confusion(frame)
        table._make = self._confusion
        return table

    @property
    def _axis(self) -> list[str]:
        """The names of rows and columns of the confusion matrix."""
        from ..evaluation.curves import BACKGROUND

        return unlike([*self.classes, BACKGROUND])

    def _cells(self, confidence: float, t: int | None = None) -> tuple[I64, I64, I64, I64]:
        t = self._threshold(self.iou) if t is None else t
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

    @cached_property
    def _calibration(self) -> tuple[pl.DataFrame, float | None]:
        from ..evaluation.curves import calibration
        from ..evaluation.outcomes import IGNORED, TRUE_POSITIVE

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
        from ..evaluation.outcomes import of_predictions

        return of_predictions(self.found, 0, self.confidence)

    @cached_property
    def _l_codes(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], I64, NDArray[np.float32]]:
        from ..evaluation.outcomes import of_labels

        return of_labels(self.found, 0, self.confidence)

    @property
    def _label_level(self) -> str:
        return OBJECT

    def _judged_predictions(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        from ..evaluation.outcomes import OUTCOMES, PREDICTION_REASONS

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
        from ..evaluation.outcomes import LABEL_OUTCOMES, LABEL_REASONS

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
        names = pl.Series([*self.classes, self._axis[-1], None], dtype=pl.String)
        codes = self.label_codes(0)
        codes[self.found.predictions.confidence < self.confidence] = len(self.classes) + 1
        return names.gather(pl.Series(codes.astype(np.uint32)))

    def label_codes(self, t: int) -> I64:
        """Return the class of the label in the place of each prediction at the t-th threshold.

        The code of the class; the number of classes where there is nothing, one more where the prediction
        does not count.
        """
        from ..evaluation.matching import NOBODY

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
