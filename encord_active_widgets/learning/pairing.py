"""Who belongs to whom among boxes of the same image: overlaps as a flat table, and what can be asked of it.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..evaluation.matching import NEAR, NOBODY, Boxes, Pairs, by_item, pair

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

SAME_OBJECT = 0.6
"""IoU from which two predictions of whatever class are of one object."""


class Table(NamedTuple):
    """Overlapping rows of two sets, an entry a pair."""

    a: I64
    b: I64
    iou: F64

    def only(self, keep: Flags) -> Table:
        """Return the entries that are kept."""
        return Table(self.a[keep], self.b[keep], self.iou[keep])


def ranks(pairs: Pairs, n: int) -> I64:
    """Return the place of each prediction among those of its image, the surest 0."""
    starts = np.repeat(pairs.prediction_starts[:-1], np.diff(pairs.prediction_starts))
    out = np.zeros(n, np.int64)
    out[pairs.prediction_order] = np.arange(n) - starts
    return out


def entries(pairs: Pairs) -> Table:
    """List the pairs that overlap at all."""
    at = np.flatnonzero(pairs.iou > 0)
    image = np.searchsorted(pairs.iou_starts, at, side="right") - 1
    inside = at - pairs.iou_starts[image]
    width = np.maximum(np.diff(pairs.label_starts)[image], 1)
    a = pairs.prediction_order[pairs.prediction_starts[image] + inside // width]
    b = pairs.label_order[pairs.label_starts[image] + inside % width]
    return Table(a, b, pairs.iou[at])


def among(boxes: Boxes, chosen: Flags, n_items: int, least: float) -> Table:
    """List the pairs of chosen boxes of one image with at least an IoU, each in both orders."""
    rows = np.flatnonzero(chosen)
    columns: list[Any] = [np.ascontiguousarray(column[rows]) for column in boxes]
    part = Boxes(*columns)._replace(ignored=np.zeros(rows.size, np.bool_))
    found = entries(pair(part, part, by_item(part, part, n_items)))
    keep = (found.a != found.b) & (found.iou >= least)
    return Table(rows[found.a[keep]], rows[found.b[keep]], found.iou[keep])


def surest_of_each_object(predictions: Boxes, seen: Flags, n_items: int) -> Flags:
    """Keep predictions that lie on no surer one that was kept (non-maximum suppression, whatever the class)."""
    table = among(predictions, seen, n_items, SAME_OBJECT)
    sure = predictions.confidence
    surer = (sure[table.b] > sure[table.a]) | ((sure[table.b] == sure[table.a]) & (table.b < table.a))
    a, b = table.a[surer], table.b[surer]
    kept, open_ = np.zeros(sure.size, np.bool_), seen.copy()
    while open_.any():
        waits = np.zeros(sure.size, np.bool_)
        waits[a] = True
        new = open_ & ~waits
        kept |= new
        open_ &= ~new
        open_[a[new[b]]] = False
        left = open_[a] & open_[b]
        a, b = a[left], b[left]
    return kept


def one_to_one(near: Table, first: Flags, n: int, m: int) -> tuple[I64, I64]:
    """Pair predictions with labels, the highest IoU first; return the prediction of each label, and the reverse.

    In each round the pairs are fixed that are the best of both their sides: what is left has lost nothing better.
    """
    taken_by, takes = np.full(m, NOBODY), np.full(n, NOBODY)
    keep = first[near.a] & (near.iou >= NEAR)
    # By IoU, then by row: the first entry of a row is its best one.
    order = np.lexsort((near.b[keep], near.a[keep], -near.iou[keep]))
    a, b = near.a[keep][order], near.b[keep][order]
    while a.size:
        best_a, best_b = np.full(n, NOBODY), np.full(m, NOBODY)
        at = np.arange(a.size)[::-1]
        best_a[a[::-1]], best_b[b[::-1]] = at, at
        fixed = np.flatnonzero((best_a[a] == best_b[b]) & (best_a[a] == np.arange(a.size)))
        taken_by[b[fixed]], takes[a[fixed]] = a[fixed], b[fixed]
        left = (takes[a] == NOBODY) & (taken_by[b] == NOBODY)
        a, b = a[left], b[left]
    return taken_by, takes


def greatest(table: Table, keep: Flags, n: int, *, of: str, values: F64 | None = None) -> tuple[F64, I64]:
    """Return the greatest value (IoU by default) of each row of a side, and the row of the other side; 0 and -1."""
    mine, other = (table.a, table.b) if of == "a" else (table.b, table.a)
    mine, other = mine[keep], other[keep]
    chosen = (table.iou if values is None else values)[keep]
    order = np.lexsort((-other, chosen))  # the last one written stays: the greatest, of equals the earlier row
    best, row = np.zeros(n), np.full(n, NOBODY)
    best[mine[order]], row[mine[order]] = chosen[order], other[order]
    return best, row


def iou_of(near: Table, by: I64, m: int) -> F64:
    """Return the IoU of each label with a prediction; 0 for none."""
    out = np.zeros(m)
    own = by[near.b] == near.a
    out[near.b[own]] = near.iou[own]
    return out
