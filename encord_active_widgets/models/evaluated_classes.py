"""An evaluation of the classes of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..errors import InputError
from ..evaluation.curves import rates
from ..schema import (
    CLASS_NAME,
    CLASSIFICATION,
    CONFIDENCE,
    ITEM_ID,
    LABEL_ID,
    PREDICTION_ID,
    PROBABILITIES,
)
from ..view import View
from .evaluated import Confusion, Evaluation, codes_of, gathered, named, unlike

if TYPE_CHECKING:
    from ..content.state import Run
    from ..project import Project

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_PREDICTION = "no prediction"


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
        self._truth = codes_of(truth.frame[CLASS_NAME].gather(rows[1]), codes)
        of_label = {item: i for i, item in enumerate(truth.frame[ITEM_ID].gather(rows[1]).to_list())}
        items = level.frame[ITEM_ID].gather(rows[0]).to_list()
        self._partner = np.array([of_label[i] for i in items], np.int64)
        self._sure = level.frame[CONFIDENCE].gather(rows[0]).fill_null(1.0).to_numpy()
        self._answer = codes_of(level.frame[CLASS_NAME].gather(rows[0]), codes)
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
            ("log loss", self.log_loss),
            ("ECE", self.ece),
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
        shares = [rates(a, b - a, c - a) for a, b, c in zip(tp.tolist(), n.tolist(), labels.tolist(), strict=True)]
        columns = {
            CLASS_NAME: self.classes,
            "precision": [r["precision"] for r in shares],
            "recall": [r["recall"] for r in shares],
            "f1": [r["F1"] for r in shares],
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
        """Precision, recall and F1 by confidence; `confidence=` of the evaluation leaves none out."""
        from ..evaluation.curves import curves

        totals = np.bincount(self._truth, minlength=len(self.classes))
        table = curves(self._answer, self._sure, self._right, totals, self.classes)
        return table.insert_column(1, pl.lit(None, dtype=pl.Float64).alias("iou"))

    @cached_property
    def confusion(self) -> Confusion:
        """Rows: a label's class; columns: predicted classes, and `no prediction` where some are missing."""
        return self._confusion()

    def _confusion(self, *, confidence: float | None = None, iou: float | None = None) -> Confusion:
        from ..evaluation.curves import confusion_table

        if iou is not None:
            raise InputError("Classes of images have no IoU.", "Give confidence= only.")
        rows, columns = self._cells(self.confidence if confidence is None else confidence)[:2]
        names = self._axis
        counts = confusion_table(rows, columns, len(names), len(names))
        shown = names if counts[:, -1].any() else names[:-1]
        table = Confusion(pl.DataFrame({"label": names[:-1], **{n: counts[:-1, i] for i, n in enumerate(shown)}}))
        table._make = self._confusion
        return table

    @property
    def _axis(self) -> list[str]:
        """The names of the columns of the confusion matrix; those of the rows but the last."""
        return unlike([*self.classes, NO_PREDICTION])

    def _cells(self, confidence: float) -> tuple[I64, I64, I64, I64]:
        chosen = np.flatnonzero(self._sure >= confidence)
        missed = np.setdiff1d(np.arange(self._truth.size), self._partner[chosen])
        return (
            np.concatenate([self._truth[self._partner[chosen]], self._truth[missed]]),
            np.concatenate([self._answer[chosen], np.full(missed.size, len(self.classes))]),
            chosen,
            missed,
        )

    @cached_property
    def _calibration(self) -> tuple[pl.DataFrame, float | None]:
        from ..evaluation.curves import calibration

        return calibration(self._sure[self._counted], self._right[self._counted])

    @property
    def _label_level(self) -> str:
        return CLASSIFICATION

    def _judged_predictions(self) -> tuple[NDArray[np.integer], pl.DataFrame]:
        outcome = np.where(self._counted, (~self._right).astype(np.uint8), 2)
        reason = np.select([~self._counted, self._right], [2, 0], 1)
        frame = pl.DataFrame(
            {
                "outcome": named(("TP", "FP", "ignored"), outcome),
                "reason": named(("", "class", "confidence"), reason),
                "label_class": gathered(self._levels[1].frame[CLASS_NAME].gather(self._rows[1]), self._partner),
                "iou": pl.repeat(None, outcome.size, dtype=pl.Float32, eager=True),
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
                "outcome": named(("TP", "FN"), (~right).astype(np.uint8)),
                "reason": named(
                    ("", "class", "confidence", "nothing"), np.select([right, counted, there], [0, 1, 2], 3)
                ),
                "iou": pl.repeat(None, right.size, dtype=pl.Float32, eager=True),
                "predicted_class": gathered(self._levels[0].frame[CLASS_NAME].gather(self._rows[0]), of_label),
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
                gathered(l_ids, self._partner).alias("partner"), pl.col("label_class").alias("partner_class"),
            ),
            q.select(
                pl.lit("label").alias("row"), l_ids.alias("id"), labels[ITEM_ID].gather(l_rows),
                labels[CLASS_NAME].gather(l_rows), pl.lit(None, dtype=pl.Float64).alias(CONFIDENCE), "outcome",
                "reason", "iou", gathered(p_ids, of_label).alias("partner"),
                pl.col("predicted_class").alias("partner_class"),
            ),
        ]  # fmt: skip
        return pl.concat(parts)
