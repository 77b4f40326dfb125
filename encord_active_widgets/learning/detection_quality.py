r"""Label errors of objects, found by the predictions of a detector: missed, spurious, location, class, duplicate.

With :math:`s` the confidence of a prediction and IoU its overlap with a label:

=========  =======================================================================  ===============================
kind       what is wrong                                                            score
=========  =======================================================================  ===============================
missed     a sure prediction lies on no label                                       :math:`s (1 - \max IoU)`
spurious   no prediction belongs to a label                                         :math:`r (1 - \max s)`
location   the prediction that belongs to a label lies elsewhere                    :math:`s \cdot m`
class      a prediction of another class lies on a label, none of its own           :math:`o (1 - a)`
duplicate  two labels of one class on one object; the one that fits worse           IoU :math:`(1 - a)`
=========  =======================================================================  ===============================

where r is the share of labels of the class that the model finds at all, m how much lower the IoU is than the usual one
of the class (1 at the edge of having nothing to do with each other), o the greatest :math:`s \cdot IoU` of predictions
of other classes, and a that of predictions of the label's class (of duplicates: of a prediction that it has to itself).
Each label is paired with at most one prediction, and each prediction with one label, the pair of the highest IoU first,
whatever their classes. Of predictions on each other (IoU of 0.6) only the surest is paired and can be missed.

The kinds are those of TIDE (Bolya et al. 2020, https://arxiv.org/abs/2008.08115), with labels and predictions in turned
roles; comparable scores for detection are those of ObjectLab (Tkachenko et al. 2023, https://arxiv.org/abs/2309.00832).

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..evaluation.matching import NEAR, NOBODY, Boxes, Pairs, by_item, pair
from ..metrics.overlap import DUPLICATE_IOU
from .pairing import Table, among, entries, greatest, iou_of, one_to_one, ranks, surest_of_each_object

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Flags = NDArray[np.bool_]

KINDS = ("missed", "spurious", "location", "class", "duplicate")
MISSED, SPURIOUS, LOCATION, CLASS, DUPLICATE = range(len(KINDS))
ON_IT = 0.5
"""IoU from which a prediction lies on a label, or two labels may be of one object."""
AS_WELL = 0.1
"""Difference of IoU below which a prediction fits two labels equally well."""
LEAST_SCORE = 0.05
"""Findings below are no findings."""
MOST_PREDICTIONS = 300
"""The surest predictions of an image that are looked at."""
_LIKELY = 0.5
_FENCE_IQR = 1.5
_WORST_FENCE, _BEST_FENCE = 0.5, 0.75
"""A label may always differ from its prediction as much as an IoU of 0.75, and never more than one of 0.5."""
_FEWEST_PAIRS = 20
"""Pairs of a class below which those of all classes say what is usual."""


class DetectionErrors(NamedTuple):
    """One entry an error, worst first.

    Attributes
    ----------
    kind : (n,) uint8
        Place in `KINDS`.
    score : (n,) float64
        In [0, 1], high where an error is more likely.
    likely : (n,) bool
    label, prediction : (n,) int64
        Rows of what was given; -1 for none.
    partner : (n,) int64
        Of a duplicate the label that it doubles; -1 for the others.
    iou : (n,) float64
        Of label and prediction; of a missed one the highest with any label, of a duplicate that of both labels.
    support : (n,) float64
        Evidence for the label as it is: the greatest confidence times IoU of predictions of its class on it.
    """

    kind: U8
    score: F64
    likely: Flags
    label: I64
    prediction: I64
    partner: I64
    iou: F64
    support: F64

    def only(self, keep: Flags | I64) -> DetectionErrors:
        """Return some of the errors, in the order asked for."""
        columns: list[Any] = [part[keep] for part in self]
        return DetectionErrors(*columns)


def detection_errors(predictions: Boxes, labels: Boxes, n_items: int, pairs: Pairs | None = None) -> DetectionErrors:
    """Find label errors.

    Parameters
    ----------
    predictions, labels : Boxes
        Without confidence (NaN) a prediction counts as sure. Crowds (`labels.crowd`) have no errors of their own; what
        they cover for the most part is not missed.
    n_items : int
        Number of images.
    pairs : Pairs, optional
        Their overlaps, where they are known.

    Returns
    -------
    DetectionErrors
    """
    sure = np.nan_to_num(predictions.confidence, nan=1.0).clip(0, 1)
    predictions = predictions._replace(confidence=sure)
    known = pair(predictions, labels, by_item(predictions, labels, n_items)) if pairs is None else pairs
    seen = ranks(known, len(sure)) < MOST_PREDICTIONS
    near = entries(known)
    near = near.only(seen[near.a])
    plain = ~labels.ignored
    covered = greatest(near, ~plain[near.b], len(sure), of="a")[0] >= ON_IT
    near = near.only(plain[near.b])
    first = surest_of_each_object(predictions, seen, n_items)
    taken_by, takes = one_to_one(near, first, len(sure), len(plain))
    twins = _twins(labels, plain, n_items)
    support, _ = _support(near, predictions, labels, taken_by, same=True)
    doubles = _duplicates(twins, near, predictions, labels, taken_by, support)
    doubled = np.zeros(len(plain), np.bool_)
    doubled[doubles.label[doubles.likely]] = True
    found = [
        _missed(near, predictions, first & ~covered, takes),
        _spurious(near, predictions, labels, plain & ~doubled, taken_by, support),
        _location(near, predictions, labels, taken_by, ~doubled, support),
        _classes(near, predictions, labels, taken_by, ~doubled, support),
        doubles,
    ]
    columns: list[Any] = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    whole = DetectionErrors(*columns)
    return _ordered(whole.only(whole.score >= LEAST_SCORE))


def duplicate_labels(labels: Boxes, n_items: int) -> DetectionErrors:
    """Find duplicates alone, which needs no predictions: of two equal labels the later one is too much."""
    plain = ~labels.ignored
    nobody, nothing = np.full(len(plain), NOBODY), np.zeros(len(plain))
    none = Table(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    found = _duplicates(_twins(labels, plain, n_items), none, labels, labels, nobody, nothing)
    return _ordered(found)


def _ordered(found: DetectionErrors) -> DetectionErrors:
    return found.only(np.lexsort((found.prediction, found.label, found.kind, -found.score)))


# -- each kind ------------------------------------------------------------------------------------


def _missed(near: Table, predictions: Boxes, first: Flags, takes: I64) -> DetectionErrors:
    rows = np.flatnonzero(first & (takes == NOBODY))
    overlap = greatest(near, np.ones(near.a.size, np.bool_), len(first), of="a")[0][rows]
    score = predictions.confidence[rows] * (1 - overlap)
    return _errors(MISSED, score, NOBODY, rows, overlap, likely=score >= _LIKELY)


def _spurious(
    near: Table, predictions: Boxes, labels: Boxes, judged: Flags, taken_by: I64, support: F64
) -> DetectionErrors:
    """Find labels that no prediction is paired with: a model that overlooks many says little by overlooking one."""
    weight = predictions.confidence[near.a] * np.minimum(near.iou / ON_IT, 1.0)
    seen, by = greatest(near, np.ones(near.a.size, np.bool_), len(judged), of="b", values=weight)
    overlap = greatest(near, np.ones(near.a.size, np.bool_), len(judged), of="b")[0]
    found = np.bincount(labels.code[judged & (taken_by != NOBODY)], minlength=int(labels.code.max(initial=0)) + 1)
    whole = np.bincount(labels.code[judged], minlength=len(found))
    recall = found / np.maximum(whole, 1)
    rows = np.flatnonzero(judged & (taken_by == NOBODY))
    score = recall[labels.code[rows]] * (1 - seen[rows])
    return _errors(SPURIOUS, score, rows, by[rows], overlap[rows], likely=score >= _LIKELY, support=support[rows])


def _location(
    near: Table, predictions: Boxes, labels: Boxes, taken_by: I64, judged: Flags, support: F64
) -> DetectionErrors:
    """Find labels whose prediction lies further off than those of their class usually do (Tukey's lower fence)."""
    rows = np.flatnonzero((taken_by != NOBODY) & judged)
    overlap = iou_of(near, taken_by, len(judged))[rows]
    by = taken_by[rows]
    usual, fence = _usual(overlap, labels.code[rows])
    lower = np.clip((usual - overlap) / np.maximum(usual - NEAR, NEAR), 0, 1)
    sure = predictions.confidence[by]
    likely = (overlap < fence) & (sure >= _LIKELY)
    return _errors(LOCATION, sure * lower, rows, by, overlap, likely=likely, support=support[rows])


def _classes(
    near: Table, predictions: Boxes, labels: Boxes, taken_by: I64, judged: Flags, support: F64
) -> DetectionErrors:
    against, by = _support(near, predictions, labels, taken_by, same=False)
    rows = np.flatnonzero(judged & (by != NOBODY))
    score = against[rows] * (1 - support[rows])
    overlap = iou_of(near, by, len(judged))[rows]
    return _errors(CLASS, score, rows, by[rows], overlap, likely=score >= _LIKELY, support=support[rows])


def _duplicates(
    twins: Table, near: Table, predictions: Boxes, labels: Boxes, taken_by: I64, support: F64
) -> DetectionErrors:
    """Find, of each two labels of a class on each other, the one that fits worse; the later one of equals."""
    own = iou_of(near, taken_by, len(labels.item))
    held = np.flatnonzero(taken_by != NOBODY)
    own[held] *= predictions.confidence[taken_by[held]]
    later = (own[twins.b] < own[twins.a]) | ((own[twins.b] == own[twins.a]) & (twins.b > twins.a))
    worse = Table(*(part[later] for part in (twins.b, twins.a, twins.iou)))
    overlap, partner = greatest(worse, np.ones(worse.a.size, np.bool_), len(own), of="a")
    rows = np.flatnonzero(partner != NOBODY)
    score = overlap[rows] * (1 - own[rows])
    by = taken_by[np.maximum(partner[rows], 0)] if rows.size else rows
    likely = (overlap[rows] >= DUPLICATE_IOU) & (score >= _LIKELY)
    return _errors(
        DUPLICATE, score, rows, by, overlap[rows], likely=likely, support=support[rows], partner=partner[rows]
    )


def _errors(
    kind: int, score: F64, label: I64 | int, prediction: I64, iou: F64, *, likely: Flags, partner: I64 | int = NOBODY,
    support: F64 | float = 0.0,
) -> DetectionErrors:  # fmt: skip
    n = score.size
    return DetectionErrors(
        np.full(n, kind, np.uint8),
        np.clip(score, 0, 1),
        likely,
        np.broadcast_to(np.asarray(label, np.int64), n),
        np.broadcast_to(np.asarray(prediction, np.int64), n),
        np.broadcast_to(np.asarray(partner, np.int64), n),
        iou,
        np.broadcast_to(np.asarray(support, np.float64), n),
    )


# -- who belongs to whom --------------------------------------------------------------------------


def _support(near: Table, predictions: Boxes, labels: Boxes, taken_by: I64, *, same: bool) -> tuple[F64, I64]:
    """Return the greatest confidence times IoU of predictions on each label, of its class or of others.

    A prediction speaks against a label only if it does not clearly fit a label of its own class better.
    """
    equal = predictions.code[near.a] == labels.code[near.b]
    on_it = near.iou >= ON_IT
    weight = predictions.confidence[near.a] * near.iou
    if same:
        # The prediction that a label is paired with supports its class wherever it lies.
        return greatest(near, equal & (on_it | (taken_by[near.b] == near.a)), len(labels.item), of="b", values=weight)
    own = greatest(near, equal, len(predictions.item), of="a")[0]
    return greatest(near, ~equal & on_it & (near.iou > own[near.a] - AS_WELL), len(labels.item), of="b", values=weight)


def _twins(labels: Boxes, plain: Flags, n_items: int) -> Table:
    """List pairs of labels of one class on each other, in both orders."""
    found = among(labels, plain, n_items, ON_IT)
    same = labels.code[found.a] == labels.code[found.b]
    return found.only(same)


def _usual(overlap: F64, codes: I64) -> tuple[F64, F64]:
    """Return the median IoU of each one's class, and the fence below which one is far off."""
    if not overlap.size:
        return overlap, overlap

    def measure(values: F64) -> tuple[float, float]:
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        return float(middle), float(np.clip(low - _FENCE_IQR * (high - low), _WORST_FENCE, _BEST_FENCE))

    usual, fence = np.empty(overlap.size), np.empty(overlap.size)
    usual[:], fence[:] = measure(overlap)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        if rows.size >= _FEWEST_PAIRS:
            usual[rows], fence[rows] = measure(overlap[rows])
    return usual, fence
