"""How alike two sets of keypoints are: object keypoint similarity (OKS), as COCO defines it.

OKS = Σ exp(-d² / (2 (2σ)² s²)) / n over the n keypoints that the label marks (visibility above 0), where d is the
distance in pixels, s² the label's area and σ how far people put that keypoint apart. A label that marks none, or a
crowd, counts neither as found nor as missed; to a label without marked keypoints d is how far a keypoint lies outside
its box, doubled about the centre on each side by its width and height (`COCOeval.computeOks`, pycocotools).

Sources: https://cocodataset.org/#keypoints-eval; Ronchi & Perona, "Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation" (2017), https://arxiv.org/abs/1707.05388.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError
from ..images._numba import exact_kernel
from ..schema import KIND_KEYPOINTS
from .matching import Boxes, Orders, Pairs, table_starts

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089,
)  # fmt: skip
"""Of COCO's 17 keypoints of a person: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles."""
OTHER_SIGMA = 0.05
"""Of each keypoint where there are not 17 and none are given."""


class Poses(NamedTuple):
    """The keypoints of predictions or labels.

    Attributes
    ----------
    points : (n, k, 2) float64
        0 where a row has none.
    marked : (n, k) bool
        Keypoints that are there: visibility above 0.
    """

    points: F64
    marked: Flags


class Keypoints(NamedTuple):
    """What is compared.

    Attributes
    ----------
    predictions, labels : Poses
    areas : (l,) float64
        Of the labels, in px².
    sigmas : (k,) float64
    """

    predictions: Poses
    labels: Poses
    areas: F64
    sigmas: F64


def keypoints(
    predictions: pl.DataFrame, labels: pl.DataFrame, areas: F64, sigmas: Sequence[float] | None = None
) -> Keypoints:
    """Collect the keypoints of predictions and labels.

    Parameters
    ----------
    predictions, labels : pl.DataFrame
        `kind`, `points` and `visibility`. Labels of other kinds have no marked keypoints.
    areas : (l,) float64
        Of the labels.
    sigmas : sequence of float, optional
        One a keypoint; by default COCO's for 17, and 0.05 each for another number.

    Raises
    ------
    InputError
        Predictions have no keypoints, or not as many as the labels; sigmas do not fit.
    """
    bare = predictions.filter(pl.col("kind") != KIND_KEYPOINTS).height
    if bare:
        raise InputError(f"{bare:,} predictions have no keypoints.", 'Compare boxes: shape="box".')
    posed = [frame.filter(pl.col("kind") == KIND_KEYPOINTS) for frame in (predictions, labels)]
    counts = [(frame["points"].list.len() // 2).unique().sort().to_list() for frame in posed]
    found = sorted({*counts[0], *counts[1]})
    if len(found) > 1:
        raise InputError(
            f"Predictions have {_listed(counts[0])} keypoints, labels {_listed(counts[1])}.",
            'Give both the same ones in the same order, or compare boxes: shape="box".',
        )
    k = found[0] if found else len(COCO_SIGMAS)
    return Keypoints(_poses(predictions, k), _poses(labels, k), areas, _sigmas(k, sigmas))


def _listed(counts: Sequence[int]) -> str:
    return " or ".join(map(str, counts)) or "no"


def _sigmas(k: int, given: Sequence[float] | None) -> F64:
    if given is None:
        return np.array(COCO_SIGMAS if k == len(COCO_SIGMAS) else [OTHER_SIGMA] * k)
    sigmas = np.asarray(given, np.float64)
    if sigmas.shape != (k,) or not (sigmas > 0).all():
        raise InputError(f"sigmas={given!r:.80} do not fit {k} keypoints.", "Give a number above 0 for each.")
    return sigmas


def _poses(frame: pl.DataFrame, k: int) -> Poses:
    points, marked = np.zeros((frame.height, k, 2)), np.zeros((frame.height, k), np.bool_)
    rows = np.flatnonzero((frame["kind"] == KIND_KEYPOINTS).to_numpy())
    if rows.size:
        posed = frame[rows]
        points[rows] = posed["points"].explode().to_numpy().reshape(-1, k, 2)
        marked[rows] = True
        if "visibility" in frame.columns:
            known = (posed["visibility"].list.len() == k).fill_null(value=False)
            seen = posed["visibility"].filter(known).explode().to_numpy()
            marked[rows[known.to_numpy()]] = seen.reshape(-1, k) > 0
    return Poses(points, marked)


def pair_keypoints(what: Keypoints, labels: Boxes, orders: Orders) -> Pairs:
    """Return the OKS of all predictions with all labels of the same image."""
    starts = table_starts(orders[2], orders[3])
    oks = np.zeros(int(starts[-1]))
    marked, spread = what.labels.marked, np.square(2 * what.sigmas)
    _oks_tables(
        what.predictions.points, what.labels.points, marked, labels.box, what.areas, spread, *orders, starts, oks
    )
    return Pairs(*orders, starts, oks)


@exact_kernel
def _oks_tables(
    a: F64,
    b: F64,
    marked: Flags,
    box: F64,
    areas: F64,
    spread: F64,
    a_order: I64,
    b_order: I64,
    a_starts: I64,
    b_starts: I64,
    starts: I64,
    out: F64,
) -> None:
    k = spread.shape[0]
    for g in range(a_starts.shape[0] - 1):
        n = b_starts[g + 1] - b_starts[g]
        for p in range(a_starts[g], a_starts[g + 1]):
            i = a_order[p]
            base = starts[g] + (p - a_starts[g]) * n
            for q in range(n):
                j = b_order[b_starts[g] + q]
                count = 0
                for c in range(k):
                    count += marked[j, c]
                size = areas[j] + 2.0**-52  # as pycocotools: nothing is divided by 0
                total = 0.0
                for c in range(k):
                    if count and not marked[j, c]:
                        continue
                    x, y = a[i, c, 0], a[i, c, 1]
                    if count:
                        dx, dy = x - b[j, c, 0], y - b[j, c, 1]
                    else:
                        left, top, wide, high = box[j, 0], box[j, 1], box[j, 2], box[j, 3]
                        dx = max(0.0, left - wide - x) + max(0.0, x - (left + wide * 2))
                        dy = max(0.0, top - high - y) + max(0.0, y - (top + high * 2))
                    total += math.exp(-((dx * dx + dy * dy) / spread[c] / size / 2))
                out[base + q] = total / (count or k)
