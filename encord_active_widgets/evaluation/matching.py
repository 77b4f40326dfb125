"""Pair predictions with labels as COCO does, at many IoU thresholds at once, and keep what explains each failure.

An image's predictions take labels in the order of their confidence. At a threshold t each prediction takes, of the
labels of its class that are still free, the one with the highest IoU, if that is at least t; labels that are to be
ignored are taken only where no other label is, and crowds by any number of predictions. This is the matching of
`COCOeval.evaluateImg` (pycocotools, area range "all"), which a test holds it to. Of predictions with the same
confidence the one of the earlier row comes first. A lower confidence never changes what a higher one took, so a cut at
any confidence needs no new matching. IoU stands for OKS where keypoints are compared.

A second matching takes no notice of classes: it fills the confusion matrix.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..images._numba import exact_kernel

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
Flags = NDArray[np.bool_]

Orders = tuple[I64, I64, I64, I64]
"""Of predictions and labels by image, and where each image begins in both: the first fields of `Pairs`."""

NOBODY = -1
NEARLY_ONE = 1 - 1e-10
"""Thresholds above this are lowered to it, as pycocotools does."""
NEAR = 0.1
"""IoU below which a prediction and a label have nothing to do with each other (TIDE's background threshold)."""


class Boxes(NamedTuple):
    """Labels or predictions of many images as columns.

    Attributes
    ----------
    item : (n,) int64
        Code of the image.
    code : (n,) int64
        Code of the class.
    box : (n, 4) float64
        x, y, w, h in pixels.
    ignored : (n,) bool
        Labels that count neither as found nor as missed: crowds, and people without keypoints.
    crowd : (n,) bool
        Those of them that any number of predictions may take.
    confidence : (n,) float64
        Of predictions.
    """

    item: I64
    code: I64
    box: F64
    ignored: Flags
    crowd: Flags
    confidence: F64


class Pairs(NamedTuple):
    """IoU of all predictions with all labels of the same image: rows of `labels` x `predictions` tables, flat.

    Attributes
    ----------
    prediction_order, label_order : (n,) int64
        Rows by image; predictions of an image by falling confidence.
    prediction_starts, label_starts : (m + 1,) int64
        Where each image begins in them.
    iou_starts : (m + 1,) int64
        Where each image's table (predictions x labels, by row) begins in `iou`.
    iou : (k,) float64
    """

    prediction_order: I64
    label_order: I64
    prediction_starts: I64
    label_starts: I64
    iou_starts: I64
    iou: F64


class Matches(NamedTuple):
    """Who took whom, by threshold, and what else was near.

    Attributes
    ----------
    label_of : (t, p) int32
        The label that each prediction took among those of its class; -1 for none.
    prediction_of : (t, l) int32
        The prediction that took each label; -1 for none.
    spared : (t, p) bool
        The prediction took a label that is ignored, so that it counts neither way.
    any_label_of : (t, p) int32
        The label taken in the matching without classes.
    iou : (t, p) float32
        IoU with the label taken among those of its class; 0 for none.
    rank : (p,) int32
        Place of a prediction among those of its class on its image, by confidence, from 0.
    same_iou, other_iou : (p,) float32
        Highest IoU with a label of its class, and of another class.
    same_label, other_label : (p,) int32
        Those labels; -1 where nothing overlaps.
    """

    label_of: I32
    prediction_of: I32
    spared: Flags
    any_label_of: I32
    iou: NDArray[np.float32]
    rank: I32
    same_iou: NDArray[np.float32]
    other_iou: NDArray[np.float32]
    same_label: I32
    other_label: I32


def pair(predictions: Boxes, labels: Boxes, orders: Orders) -> Pairs:
    """Return the IoU of the boxes of all predictions with those of all labels of the same image.

    With an ignored label it is the share of the prediction that the label covers, as in COCO.
    """
    iou_starts = table_starts(orders[2], orders[3])
    iou = np.zeros(int(iou_starts[-1]))
    _box_tables(predictions.box, labels.box, labels.ignored, *orders, iou_starts, iou)
    return Pairs(*orders, iou_starts, iou)


def by_item(predictions: Boxes, labels: Boxes, n_items: int, *, by_class: bool = False) -> Orders:
    """Return predictions by image and falling confidence, labels by image, and where images begin in both.

    Equal ones keep their order; with `by_class`, as COCO has it without classes, those of the lower code come first.
    """
    order = np.lexsort((*([predictions.code] if by_class else []), -predictions.confidence, predictions.item))
    label_order = np.lexsort((*([labels.code] if by_class else []), labels.item))
    edges = np.arange(n_items + 1)
    return (
        order.astype(np.int64),
        label_order.astype(np.int64),
        np.searchsorted(predictions.item[order], edges).astype(np.int64),
        np.searchsorted(labels.item[label_order], edges).astype(np.int64),
    )


def table_starts(prediction_starts: I64, label_starts: I64) -> I64:
    """Return where the table of each image begins."""
    sizes = np.diff(prediction_starts) * np.diff(label_starts)
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def match(
    predictions: Boxes,
    labels: Boxes,
    pairs: Pairs,
    thresholds: F64,
    *,
    class_aware: bool = True,
    max_detections: int = 100,
) -> Matches:
    """Match at every threshold.

    Parameters
    ----------
    predictions, labels : Boxes
    pairs : Pairs
        Their IoU.
    thresholds : (t,) float64
        IoU.
    class_aware : bool
        Predictions take labels of their own class only.
    max_detections : int
        Predictions of a class on an image beyond so many take nothing.
    """
    t, n, m = len(thresholds), len(predictions.item), len(labels.item)
    found = Matches(
        np.full((t, n), NOBODY, np.int32),
        np.full((t, m), NOBODY, np.int32),
        np.zeros((t, n), np.bool_),
        np.full((t, n), NOBODY, np.int32),
        np.zeros((t, n), np.float32),
        np.zeros(n, np.int32),
        np.zeros(n, np.float32),
        np.zeros(n, np.float32),
        np.full(n, NOBODY, np.int32),
        np.full(n, NOBODY, np.int32),
    )
    codes = (predictions.code, labels.code)
    if not class_aware:
        codes = (np.zeros(n, np.int64), np.zeros(m, np.int64))
    limits = np.minimum(np.asarray(thresholds, np.float64), NEARLY_ONE)
    match_all: Any = _match_all
    match_all(*codes, labels.ignored, labels.crowd, *pairs, limits, max_detections, found)
    return found


def nearest_predictions(
    predictions: Boxes, labels: Boxes, pairs: Pairs, counted: Flags, *, class_aware: bool = True
) -> tuple[NDArray[np.float32], I32, NDArray[np.float32], I32]:
    """Find the predictions that each label overlaps most: of its class, and of others.

    Parameters
    ----------
    counted : (p,) bool
        Predictions to look at.

    Returns
    -------
    same_iou, same_prediction, other_iou, other_prediction : (l,) arrays
        IoU float32, row int32; -1 where nothing overlaps.
    """
    m = len(labels.item)
    same, other = np.zeros(m, np.float32), np.zeros(m, np.float32)
    same_row, other_row = np.full(m, NOBODY, np.int32), np.full(m, NOBODY, np.int32)
    codes = (predictions.code, labels.code)
    if not class_aware:
        codes = (np.zeros(len(predictions.item), np.int64), np.zeros(m, np.int64))
    nearest: Any = _nearest_to_labels
    nearest(*codes, *pairs, counted, same, same_row, other, other_row)
    return same, same_row, other, other_row


# -- compiled -------------------------------------------------------------------------------------


@exact_kernel
def _box_tables(
    a: F64, b: F64, ignored: Flags, a_order: I64, b_order: I64, a_starts: I64, b_starts: I64, starts: I64, out: F64
) -> None:
    for g in range(a_starts.shape[0] - 1):
        n = b_starts[g + 1] - b_starts[g]
        for p in range(a_starts[g], a_starts[g + 1]):
            i = a_order[p]
            base = starts[g] + (p - a_starts[g]) * n
            area = a[i, 2] * a[i, 3]
            for q in range(n):
                j = b_order[b_starts[g] + q]
                wide = min(a[i, 0] + a[i, 2], b[j, 0] + b[j, 2]) - max(a[i, 0], b[j, 0])
                if wide <= 0:
                    continue
                high = min(a[i, 1] + a[i, 3], b[j, 1] + b[j, 3]) - max(a[i, 1], b[j, 1])
                if high <= 0:
                    continue
                both = wide * high
                whole = area if ignored[j] else area + b[j, 2] * b[j, 3] - both
                out[base + q] = both / whole


@exact_kernel
def _match_all(
    p_codes: I64,
    l_codes: I64,
    ignored: Flags,
    crowd: Flags,
    p_order: I64,
    l_order: I64,
    p_starts: I64,
    l_starts: I64,
    starts: I64,
    iou: F64,
    limits: F64,
    most_detections: int,
    out: Matches,
) -> None:
    most = 0
    for g in range(l_starts.shape[0] - 1):
        most = max(most, l_starts[g + 1] - l_starts[g])
    by, near = np.empty((limits.shape[0], 2, most), np.int32), np.empty(most, np.int64)
    least = limits.min()
    for g in range(p_starts.shape[0] - 1):
        rows = p_order[p_starts[g] : p_starts[g + 1]]
        labels = l_order[l_starts[g] : l_starts[g + 1]]
        n = labels.shape[0]
        by[:, :, :n] = NOBODY
        for k in range(rows.shape[0]):
            i = rows[k]
            for earlier in range(k):
                out.rank[i] += p_codes[rows[earlier]] == p_codes[i]
            table = iou[starts[g] + k * n : starts[g] + (k + 1) * n]
            _nearest(i, p_codes[i], l_codes, ignored, labels, table, out)
            count = 0
            for q in range(n):  # most labels are too far away at any threshold
                if table[q] >= least:
                    near[count] = q
                    count += 1
            if count and out.rank[i] < most_detections:
                _take(i, p_codes[i], l_codes, ignored, crowd, labels, near, count, table, limits, by, out)


@exact_kernel
def _take(
    i: int,
    code: int,
    l_codes: I64,
    ignored: Flags,
    crowd: Flags,
    labels: I64,
    near: I64,
    count: int,
    table: F64,
    limits: F64,
    by: I32,
    out: Matches,
) -> None:
    """Let a prediction take a label at every threshold: of its class, and of any."""
    for t in range(limits.shape[0]):
        for which in range(2):
            at, spare = NOBODY, NOBODY
            best, best_spare = limits[t], limits[t]
            for c in range(count):
                q = near[c]
                j = labels[q]
                if which == 0 and l_codes[j] != code:
                    continue
                if by[t, which, q] != NOBODY and not crowd[j]:
                    continue
                if ignored[j]:
                    if table[q] >= best_spare:
                        best_spare, spare = table[q], q
                elif table[q] >= best:
                    best, at = table[q], q
            if at == NOBODY:
                at = spare
            if at == NOBODY:
                continue
            by[t, which, at] = i
            if which == 1:
                out.any_label_of[t, i] = labels[at]
                continue
            out.label_of[t, i] = labels[at]
            out.iou[t, i] = table[at]
            out.spared[t, i] = ignored[labels[at]]
            out.prediction_of[t, labels[at]] = i


@exact_kernel
def _nearest(i: int, code: int, l_codes: I64, ignored: Flags, labels: I64, table: F64, out: Matches) -> None:
    """Find the labels of its class and of others that a prediction overlaps most."""
    same, other = 0.0, 0.0
    for q in range(labels.shape[0]):
        j = labels[q]
        if ignored[j] or table[q] <= 0:
            continue
        if l_codes[j] == code:
            if table[q] > same:
                same = table[q]
                out.same_label[i] = j
        elif table[q] > other:
            other = table[q]
            out.other_label[i] = j
    out.same_iou[i], out.other_iou[i] = same, other


@exact_kernel
def _nearest_to_labels(
    p_codes: I64,
    l_codes: I64,
    p_order: I64,
    l_order: I64,
    p_starts: I64,
    l_starts: I64,
    starts: I64,
    iou: F64,
    counted: Flags,
    same: NDArray[np.float32],
    same_row: I32,
    other: NDArray[np.float32],
    other_row: I32,
) -> None:
    for g in range(p_starts.shape[0] - 1):
        n = l_starts[g + 1] - l_starts[g]
        for p in range(p_starts[g], p_starts[g + 1]):
            i = p_order[p]
            if not counted[i]:
                continue
            base = starts[g] + (p - p_starts[g]) * n
            for q in range(n):
                share = np.float32(iou[base + q])
                if share <= 0:
                    continue
                j = l_order[l_starts[g] + q]
                if p_codes[i] == l_codes[j]:
                    if share > same[j]:
                        same[j], same_row[j] = share, i
                elif share > other[j]:
                    other[j], other_row[j] = share, i
