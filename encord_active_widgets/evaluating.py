"""Evaluate a run: collect its predictions and the labels of the items looked at, and compare them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .errors import InputError, unknown
from .evaluated import Evaluation
from .evaluated_classes import ClassificationEvaluation
from .evaluated_objects import DetectionEvaluation
from .levels import Level
from .schema import (
    CLASS_NAME,
    CLASSIFICATION,
    CONFIDENCE,
    EXTRA,
    GEOMETRY,
    ITEM,
    OBJECT,
    prediction_level,
)
from .view import View

if TYPE_CHECKING:
    from .project import Project
    from .state import Run, Snapshot

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NEEDED = ("kind", CLASS_NAME, *GEOMETRY)


def evaluate(
    project: Project,
    run: Run,
    *,
    iou: float | Sequence[float] | None,
    view: View | None,
    shape: str | None,
    class_aware: bool,
    confidence: float,
    max_detections: int,
) -> Evaluation:
    """Evaluate a run; see `Project.evaluate`."""
    snapshot = project._snapshot()
    if view is not None and view.project.path != project.path:
        raise InputError("The view is of another project.", "Make it from this one.")
    if not 0 <= confidence <= 1:
        raise InputError(f"A confidence of {confidence:g} is not between 0 and 1.", "Give a share.")
    chosen = View(project, ITEM) if view is None else view.items()
    items = chosen.rows
    codes = np.full(snapshot.items.n, -1, np.int64)
    codes[items] = np.arange(items.size)
    level = snapshot.levels[prediction_level(run.name)]
    if run.kind == "classification":
        return _classification(project, run, chosen, snapshot, codes, level, confidence)
    return _detection(
        project, run, chosen, snapshot, codes, level, iou=iou, shape=shape, class_aware=class_aware,
        confidence=confidence, max_detections=max_detections,
    )  # fmt: skip


def _detection(
    project: Project,
    run: Run,
    view: View,
    snapshot: Snapshot,
    codes: I64,
    level: Level,
    *,
    iou: float | Sequence[float] | None,
    shape: str | None,
    class_aware: bool,
    confidence: float,
    max_detections: int,
) -> DetectionEvaluation:
    from .evaluation.detection import SHAPES, best_shape, detect, usable

    thresholds = _thresholds(iou)
    if max_detections < 1:
        raise InputError(f"max_detections={max_detections} leaves nothing.", "Give 1 or more.")
    truth = snapshot.levels[OBJECT]
    if truth.n == 0:
        raise InputError("There are no objects to compare the predictions with.", "Add them: p.add_labels(…).")
    p_rows, predictions = _on_items(level, codes)
    l_rows, labels = _on_items(truth, codes)
    keep = usable(labels).to_numpy()
    l_rows, labels = (l_rows, labels) if keep.all() else (l_rows[keep], labels.filter(pl.Series(keep)))
    keep = usable(predictions).to_numpy()
    p_rows, predictions = (p_rows, predictions) if keep.all() else (p_rows[keep], predictions.filter(pl.Series(keep)))
    chosen = shape or best_shape(predictions)
    if chosen not in SHAPES:
        raise unknown("shape", chosen, SHAPES)
    used = {*predictions[CLASS_NAME].fill_null("").unique(), *labels[CLASS_NAME].fill_null("").unique()}
    classes = [*(c for c in dict.fromkeys(run.classes) if c in used), *sorted(used - set(run.classes))]
    frame = snapshot.items.frame.select(pl.col("width", "height").fill_null(0).cast(pl.Int64))
    sizes = frame.to_numpy()[view.rows]
    if chosen == "mask" and (sizes <= 0).any():
        raise InputError("The size of some images is not known, so masks cannot be drawn.", "Call p.compute() first.")
    found = detect(
        predictions, labels, sizes, classes, thresholds, shape=chosen, class_aware=class_aware,
        max_detections=max_detections,
    )  # fmt: skip
    return DetectionEvaluation(project, run, view, (level, truth), (p_rows, l_rows), found, confidence)


def _on_items(level: Level, codes: I64) -> tuple[I64, pl.DataFrame]:
    """Return the rows of a level that lie on the items looked at, with `item`, the code of each one's."""
    assert level.item_rows is not None
    of_item = codes[level.item_rows.to_numpy()]
    keep = of_item >= 0
    if level.alive is not None:
        keep &= level.alive
    names = [c for c in (*_NEEDED, CONFIDENCE, EXTRA) if c in level.frame.columns]
    frame = level.frame.select(names)
    rows = np.flatnonzero(keep)
    if rows.size < level.n:
        frame, of_item = frame[rows], of_item[rows]
    return rows, frame.with_columns(pl.Series("item", of_item))


def _classification(
    project: Project, run: Run, view: View, snapshot: Snapshot, codes: I64, level: Level, confidence: float
) -> ClassificationEvaluation:
    truth = snapshot.levels[CLASSIFICATION]
    if truth.n == 0:
        raise InputError("The images have no classes to compare the predictions with.", "Add them: p.add_labels(…).")
    assert level.item_rows is not None
    assert truth.item_rows is not None
    alive = np.ones(truth.n, np.bool_) if truth.alive is None else truth.alive
    answers = pl.DataFrame({"item": codes[truth.item_rows.to_numpy()], "row": np.arange(truth.n)}).filter(
        pl.Series(alive), pl.col("item") >= 0
    )
    l_rows = answers.unique("item", keep="first", maintain_order=True)
    given = pl.DataFrame({"item": codes[level.item_rows.to_numpy()], "row": np.arange(level.n)}).filter(
        pl.Series(np.ones(level.n, np.bool_) if level.alive is None else level.alive), pl.col("item") >= 0
    )
    p_rows = given.unique("item", keep="first", maintain_order=True).join(l_rows, on="item", how="semi")
    names = truth.frame[CLASS_NAME].gather(l_rows["row"]).unique().to_list()
    predicted = level.frame[CLASS_NAME].gather(p_rows["row"]).unique().to_list()
    used = {n for n in (*names, *predicted) if n is not None}
    classes = [*(c for c in run.classes if c in used), *sorted(used - set(run.classes))]
    rows = (p_rows["row"].to_numpy(), l_rows["row"].to_numpy())
    return ClassificationEvaluation(project, run, view, (level, truth), rows, classes, confidence)


def _thresholds(iou: float | Sequence[float] | None) -> tuple[float, ...]:
    from .evaluation.average_precision import COCO_THRESHOLDS

    if iou is None:
        return COCO_THRESHOLDS
    given = (iou,) if isinstance(iou, (int, float)) else tuple(iou)
    if not given or not all(0 < t <= 1 for t in given) or sorted(set(given)) != list(given):
        raise InputError(f"{iou!r:.80} are no IoU thresholds.", "Give numbers above 0, at most 1, in rising order.")
    return tuple(float(t) for t in given)
