"""Average precision and recall of a part of what was evaluated, and the table of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import CLASS_NAME
from .average_precision import Scores, mean
from .curves import rates
from .detection import Detection
from .outcomes import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

Codes = NDArray[np.uint8]

ALL_CLASSES = "all classes"
_HALF = 0.5
_SHARES = dict.fromkeys(("ap", "ap50", "ar", "precision", "recall", "f1"), pl.Float64)


def precision(scores: Scores, *, t: int | None = None, area: int = 0, k: int | None = None) -> float | None:
    """Return mean average precision, of one IoU threshold, area range or class."""
    values = scores.precision[:, :, :, area, -1]
    values = values if t is None else values[t : t + 1]
    return mean(values if k is None else values[:, :, k])


def recall(scores: Scores, *, area: int = 0, limit: int = -1, k: int | None = None) -> float | None:
    """Return mean average recall, of one area range, limit of detections or class."""
    values = scores.recall[:, :, area, limit]
    return mean(values if k is None else values[:, k])


def each_class(found: Detection, outcomes: Codes, missed: Codes) -> pl.DataFrame:
    """Return a row a class that has labels or predictions.

    Parameters
    ----------
    outcomes, missed : (p,) and (l,) uint8
        Of predictions and labels.
    """
    k = len(found.classes)
    p, truth = found.predictions, found.labels
    tp = np.bincount(p.code[outcomes == TRUE_POSITIVE], minlength=k)
    fp = np.bincount(p.code[outcomes == FALSE_POSITIVE], minlength=k)
    fn = np.bincount(truth.code[missed == FALSE_NEGATIVE], minlength=k)
    labels = np.bincount(truth.code[~truth.ignored], minlength=k)
    table = _table(found, list(found.classes), list(range(k)), labels, tp, fp, fn)
    return table.filter((pl.col("labels") > 0) | (pl.col("predictions") > 0))


def whole_and_recalls(found: Detection, outcomes: Codes, missed: Codes) -> pl.DataFrame:
    """Return all classes together, and the recall of each: what there is where predictions answer for no class."""
    k, truth = len(found.classes), found.labels
    labels = np.bincount(truth.code[~truth.ignored], minlength=k)
    fn = np.bincount(truth.code[missed == FALSE_NEGATIVE], minlength=k)
    tp, fp = (np.array([(outcomes == code).sum()]) for code in (TRUE_POSITIVE, FALSE_POSITIVE))
    whole = _table(found, [ALL_CLASSES], [None], labels[:, None].sum(axis=0), tp, fp, fn[:, None].sum(axis=0))
    each = pl.DataFrame({CLASS_NAME: found.classes, "labels": labels, "tp": labels - fn, "fn": fn})
    each = each.filter(pl.col("labels") > 0).with_columns(recall=pl.col("tp") / pl.col("labels"))
    return pl.concat([whole, each], how="diagonal_relaxed")


def _table(
    found: Detection, names: list[str], places: list[Any], labels: Any, tp: Any, fp: Any, fn: Any
) -> pl.DataFrame:
    """Return the columns of the table; a place is a class, None all together."""
    scores = found.scores
    at50 = found.thresholds.index(_HALF) if _HALF in found.thresholds else None
    shares = [rates(*counts) for counts in zip(tp.tolist(), fp.tolist(), fn.tolist(), strict=True)]
    columns = {
        CLASS_NAME: names,
        "ap": [precision(scores, k=k) for k in places],
        "ap50": [None if at50 is None else precision(scores, t=at50, k=k) for k in places],
        "ar": [recall(scores, k=k) for k in places],
        "precision": [r["precision"] for r in shares],
        "recall": [r["recall"] for r in shares],
        "f1": [r["F1"] for r in shares],
        "labels": labels,
        "predictions": tp + fp,
        "tp": tp,
        "fp": fp,
        "fn": fn,
    }
    return pl.DataFrame(columns, schema_overrides=_SHARES)
