"""What became of every prediction and every label at a threshold, and why.

=============  ==========================================================================================
prediction     why it is wrong (checked in this order; t is the IoU threshold)
=============  ==========================================================================================
duplicate      a surer prediction took the label of its class that it lies on (IoU at least t)
class          it lies on a label of another class (IoU at least t)
location       it is near a label of its class (IoU from 0.1 to t)
both           it is near a label of another class (IoU from 0.1 to t)
background     it is near nothing (IoU below 0.1)
=============  ==========================================================================================

=============  ==========================================================================================
label          why it was missed
=============  ==========================================================================================
confidence     its prediction is below the confidence that counts
shared         the prediction that lies on it took another label
class          only predictions of other classes lie on it
location       a prediction of its class is near
both           a prediction of another class is near
nothing        no prediction is near
=============  ==========================================================================================

The kinds are those of TIDE (Bolya et al. 2020, https://arxiv.org/abs/2008.08115), which asks for a place error
before a class error; here a prediction that lies squarely on a label of another class is a class error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .detection import Detection
from .matching import NEAR, NOBODY, nearest_predictions

Codes = NDArray[np.uint8]
Flags = NDArray[np.bool_]

TRUE_POSITIVE, FALSE_POSITIVE, IGNORED = 0, 1, 2
FALSE_NEGATIVE = 1
OUTCOMES = ("TP", "FP", "ignored")
"""Ignored: on a crowd, beyond the limit of detections, or below the confidence that counts."""
PREDICTION_REASONS = ("", "background", "location", "class", "both", "duplicate", "crowd", "limit", "confidence")
LABEL_OUTCOMES = ("TP", "FN", "ignored")
LABEL_REASONS = ("", "nothing", "location", "class", "both", "shared", "confidence", "crowd")

_P = {name: code for code, name in enumerate(PREDICTION_REASONS)}
_L = {name: code for code, name in enumerate(LABEL_REASONS)}


def of_predictions(found: Detection, t: int, confidence: float = 0.0) -> tuple[Codes, Codes]:
    """Return outcome and reason of every prediction at the t-th threshold.

    Returns
    -------
    outcomes, reasons : (p,) uint8
        Places in `OUTCOMES` and `PREDICTION_REASONS`.
    """
    m = found.matches
    limit = np.float32(min(found.thresholds[t], 1.0))
    right = (m.label_of[t] != NOBODY) & ~m.spared[t]
    wrong = [
        ("confidence", found.predictions.confidence < confidence),
        ("limit", m.rank >= found.max_detections),
        ("crowd", m.spared[t]),
        ("", right),
        ("duplicate", m.same_iou >= limit),
        ("class", m.other_iou >= limit),
        ("location", m.same_iou >= NEAR),
        ("both", m.other_iou >= NEAR),
    ]
    reasons = np.full(right.size, _P["background"], np.uint8)
    for name, which in reversed(wrong):
        reasons[which] = _P[name]
    outcomes = np.full(right.size, FALSE_POSITIVE, np.uint8)
    outcomes[reasons == 0] = TRUE_POSITIVE
    outcomes[reasons >= _P["crowd"]] = IGNORED
    return outcomes, reasons


def of_labels(found: Detection, t: int, confidence: float = 0.0) -> tuple[Codes, Codes, NDArray[Any], NDArray[Any]]:
    """Return outcome and reason of every label at the t-th threshold, and the prediction that tells it.

    Returns
    -------
    outcomes, reasons : (l,) uint8
        Places in `LABEL_OUTCOMES` and `LABEL_REASONS`.
    partner : (l,) int64
        Row of the prediction that found it, or came nearest; -1 for none.
    iou : (l,) float32
        IoU with it.
    """
    m = found.matches
    sure = found.predictions.confidence >= confidence
    counted = sure & (m.rank < found.max_detections)
    same, same_row, other, other_row = nearest_predictions(
        found.predictions, found.labels, found.pairs, counted, class_aware=found.class_aware
    )
    limit = np.float32(found.thresholds[t])
    taker = m.prediction_of[t].astype(np.int64)
    taken = taker != NOBODY
    seen = taken & sure[np.maximum(taker, 0)] if sure.size else taken
    missed = [
        ("crowd", found.labels.ignored),
        ("", seen),
        ("confidence", taken),
        ("shared", same >= limit),
        ("class", other >= limit),
        ("location", same >= NEAR),
        ("both", other >= NEAR),
    ]
    reasons = np.full(seen.size, _L["nothing"], np.uint8)
    for name, which in reversed(missed):
        reasons[which] = _L[name]
    outcomes = np.full(seen.size, FALSE_NEGATIVE, np.uint8)
    outcomes[reasons == 0] = TRUE_POSITIVE
    outcomes[reasons == _L["crowd"]] = IGNORED
    by_other = np.isin(reasons, [_L["class"], _L["both"]])
    partner = np.where(by_other, other_row, same_row).astype(np.int64)
    iou = np.where(by_other, other, same)
    known = taken & (reasons != _L["crowd"])
    partner[known] = taker[known]
    iou[known] = m.iou[t][taker[known]]
    partner[reasons == _L["nothing"]] = NOBODY
    return outcomes, reasons, partner, iou
