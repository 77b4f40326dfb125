"""What the page needs to recount a model's hits and misses by itself: verdicts at every threshold, as bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..content.state import Snapshot
from ..errors import EawError
from ..evaluation.curves import BACKGROUND
from ..models.evaluated import unlike
from ..schema import CLASS_NAME, CONFIDENCE, OBJECT, ORDINAL, run_of
from ..view import View
from .columns import MOST_LEVELS, Column

if TYPE_CHECKING:
    from ..models.evaluated_classes import ClassificationEvaluation
    from ..models.evaluated_objects import DetectionEvaluation

Bytes = NDArray[np.uint8]

OUTCOME_LEVELS = ("TP", "FP", "ignored")
COLUMNS = ("outcome", "reason", "label_class", "iou")
_CLASS_REASONS = ("class", "confidence")
_REASON_SHIFT = 2
_START = (0.5, 0.0)


class Judge:
    """Verdicts on one run's predictions, for one explorer."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._project = view.project
        self.run = str(run_of(view.level))
        self.state = _START
        """IoU threshold and confidence, as the sliders stand."""
        self._key: tuple[Any, ...] = ()
        self._found: DetectionEvaluation | ClassificationEvaluation | None = None
        self._verdicts: tuple[Bytes, NDArray[np.uint16]] | None = None
        self._level: tuple[tuple[Any, ...], Level] | None = None
        self._count = 0

    def set_state(self, iou: Any, confidence: Any) -> None:
        """Move the sliders; what is no number, or not evaluated, leaves them."""
        found = self._found
        now = list(self.state)
        if isinstance(confidence, (int, float)) and 0 <= confidence <= 1:
            now[1] = float(confidence)
        known = getattr(found, "thresholds", ()) if found is not None else ()
        if isinstance(iou, (int, float)) and any(abs(iou - t) < 1e-9 for t in known):
            now[0] = float(iou)
        self.state = (now[0], now[1])

    def evaluation(self, snapshot: Snapshot) -> DetectionEvaluation | ClassificationEvaluation | None:
        """Return the evaluation of what is there now; None where there is nothing to compare with."""
        raw, truth = snapshot.levels[self._view.level], snapshot.levels[OBJECT]
        items = snapshot.items
        key = (
            id(raw.frame), id(truth.frame), _bytes(truth.alive), _bytes(items.alive), self._classes(snapshot)
        )  # fmt: skip
        if key != self._key:
            try:
                view = None if not self._view._ops else self._view.items()
                self._found = self._project.evaluate(self.run, view=view)  # type: ignore[assignment]
            except EawError:
                self._found = None
            self._key, self._verdicts, self._level = key, None, None
            self._frames = (raw.frame, truth.frame)  # kept alive: their ids must stay their own
            self._count += 1
        return self._found

    @staticmethod
    def _classes(snapshot: Snapshot) -> int:
        frame = snapshot.items.frame
        return int(frame[CLASS_NAME].hash(seed=0).sum() or 0) if CLASS_NAME in frame.columns else 0

    def describe(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return what the page is told of the model."""
        found = self.evaluation(snapshot)
        if found is None:
            return None
        classes = list(found.classes)
        labels = dict(found.per_class.select(CLASS_NAME, "labels").iter_rows())
        return {
            "run": self.run,
            "kind": found.kind,
            "key": f"{self._count}",
            "thresholds": list(getattr(found, "thresholds", ())),
            "state": {"iou": self.state[0], "confidence": self.state[1]},
            "classes": classes,
            "nothing": _nothing(found),
            "labels": [int(labels.get(c, 0)) for c in classes],
            "outcomes": list(OUTCOME_LEVELS),
            "reasons": list(self.reasons()),
            "scores": [{"name": n, "value": v} for n, v in found._scores()],
        }

    def reasons(self) -> tuple[str, ...]:
        """Return why a prediction may be wrong, in the order of their codes."""
        from ..evaluation.outcomes import PREDICTION_REASONS

        return _CLASS_REASONS if getattr(self._found, "kind", "") == "classification" else PREDICTION_REASONS[1:]

    def fixed_columns(self, snapshot: Snapshot) -> dict[str, Column]:
        """Describe the columns the page recounts: their levels keep an order, whatever the sliders say."""
        found = self.evaluation(snapshot)
        if found is None:
            return {}
        verdict, label_class = self._tables(snapshot.levels[self._view.level])
        levels = {
            "outcome": (OUTCOME_LEVELS, verdict[0] & 3),
            "reason": (self.reasons(), (verdict[0] >> _REASON_SHIFT).astype(np.int64) - 1),
            "label_class": ((*found.classes, _nothing(found))[:MOST_LEVELS], label_class[0]),
        }
        out = {}
        for name, (names, codes) in levels.items():
            counts = np.bincount(codes[(codes >= 0) & (codes < len(names))], minlength=len(names))
            out[name] = Column(name, "category", 0, None, tuple(names), tuple(counts.tolist()))
        return out

    def tables(self, snapshot: Snapshot) -> tuple[dict[str, Any], list[bytes]]:
        """Return the buffers of `model.get`: confidence, class, verdicts and label classes by threshold."""
        found = self.evaluation(snapshot)
        level = snapshot.levels[self._view.level]
        if found is None:
            return {"n": level.n, "label_bytes": 1}, [b"", b"", b"", b""]
        verdict, label_class = self._tables(level)
        codes = np.full(level.n, len(found.classes), np.uint16)
        codes[found._rows[0]] = found.found.predictions.code if found.kind == "detection" else found._answer  # type: ignore[union-attr]
        sure = level.frame[CONFIDENCE].fill_null(1.0).to_numpy().astype("<f4")
        narrow = len(found.classes) < MOST_LEVELS
        wide = label_class.astype(np.uint8 if narrow else "<u2")
        return {"n": level.n, "label_bytes": 1 if narrow else 2}, [
            sure.tobytes(), codes.astype("<u2").tobytes(), verdict.tobytes(), wide.tobytes()
        ]  # fmt: skip

    def _tables(self, level: Level) -> tuple[Bytes, NDArray[np.uint16]]:
        if self._verdicts is None:
            assert self._found is not None
            found, rows = self._found, self._found._rows[0]
            thresholds = range(max(1, len(getattr(found, "thresholds", ()))))
            verdict = np.full((len(thresholds), level.n), OUTCOME_LEVELS.index("ignored"), np.uint8)
            classes = np.full((len(thresholds), level.n), len(found.classes) + 1, np.uint16)
            for t in thresholds:
                outcomes, reasons, labels = _verdict(found, t)
                verdict[t, rows] = outcomes | (reasons << _REASON_SHIFT)
                classes[t, rows] = labels
            self._verdicts = (verdict, classes)
        return self._verdicts

    def judged(self, snapshot: Snapshot) -> Level:
        """Return the level with the columns `outcome`, `reason`, `label_class` and `iou` as the sliders stand."""
        level = snapshot.levels[self._view.level]
        found = self.evaluation(snapshot)
        if found is None:
            return level
        key = (self._count, self.state, id(level.frame), snapshot.revision)
        if self._level is None or self._level[0] != key:
            more = self._columns(level)
            self._level = (key, replace(level, frame=level.frame.with_columns(more)))
        return self._level[1]

    def more(self, snapshot: Snapshot) -> pl.DataFrame | None:
        """Return those columns by ordinal, as a view carries them."""
        level = self.judged(snapshot)
        return None if self._found is None else level.frame.select(ORDINAL, *COLUMNS)

    def _columns(self, level: Level) -> list[pl.Series]:
        assert self._found is not None
        found = self._found
        verdict, label_class = self._tables(level)
        t = next((i for i, v in enumerate(getattr(found, "thresholds", ())) if abs(v - self.state[0]) < 1e-9), 0)
        unsure = level.frame[CONFIDENCE].fill_null(1.0).to_numpy() < self.state[1]
        outcome = np.where(unsure, OUTCOME_LEVELS.index("ignored"), verdict[t] & 3)
        reasons = self.reasons()
        reason = np.where(unsure, reasons.index("confidence") + 1, verdict[t] >> _REASON_SHIFT)
        names = pl.Series([*found.classes, _nothing(found), None], dtype=pl.String)
        places = np.where(unsure, len(found.classes) + 1, label_class[t]).astype(np.uint32)
        iou = np.full(level.n, np.nan, np.float32)
        if found.kind == "detection":
            iou[found._rows[0]] = found.found.matches.same_iou  # type: ignore[union-attr]
        return [
            _text("outcome", OUTCOME_LEVELS, outcome),
            _text("reason", (None, *reasons), reason),
            names.gather(places).alias("label_class"),
            pl.Series("iou", iou).fill_nan(None),
        ]

    def missed(self, snapshot: Snapshot, class_name: str | None) -> View:
        """Return the labels that were missed, as the sliders stand (of classes of images: the images)."""
        found = self.evaluation(snapshot)
        if found is None:
            return View(self._project, OBJECT).at([])
        options: dict[str, Any] = {"confidence": self.state[1]}
        if found.kind == "detection":
            options["iou"] = self.state[0]
        view = None if not self._view._ops else self._view.items()
        missed = self._project.evaluate(self.run, view=view, **options).false_negatives
        kept = missed if class_name is None else missed.filter(pl.col(CLASS_NAME) == class_name)
        return kept if found.kind == "detection" else kept.items()


def _verdict(found: DetectionEvaluation | ClassificationEvaluation, t: int) -> tuple[Bytes, Bytes, NDArray[np.integer]]:
    """Return outcome, reason and the label's class of every prediction, at confidence 0."""
    if found.kind == "classification":
        wrong = ~found._right  # type: ignore[union-attr]
        return wrong.astype(np.uint8), wrong.astype(np.uint8), found._truth[found._partner]  # type: ignore[union-attr]
    from ..evaluation.outcomes import of_predictions

    return *of_predictions(found.found, t), found.label_codes(t)  # type: ignore[union-attr]


def _nothing(found: DetectionEvaluation | ClassificationEvaluation) -> str:
    """Return the name of what is no class: `background`, told from a class of that name."""
    return unlike([*found.classes, BACKGROUND])[-1]


def _text(name: str, names: tuple[str | None, ...], codes: NDArray[np.integer]) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(codes.astype(np.uint32)).alias(name)


def _bytes(mask: NDArray[np.bool_] | None) -> bytes | None:
    return None if mask is None else mask.tobytes()
