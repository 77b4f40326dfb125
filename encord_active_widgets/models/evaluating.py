"""Evaluate a run: collect its predictions and the labels of the items looked at, and compare them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..errors import InputError, unknown
from ..schema import (
    CLASS_NAME,
    CLASSIFICATION,
    CONFIDENCE,
    EXTRA,
    GEOMETRY,
    ITEM,
    KIND_KEYPOINTS,
    OBJECT,
    prediction_level,
)
from ..view import View
from .evaluated import Evaluation
from .evaluated_classes import ClassificationEvaluation
from .evaluated_objects import DetectionEvaluation

if TYPE_CHECKING:
    from ..content.state import Run, Snapshot
    from ..project import Project

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

log = logging.getLogger("encord_active_widgets")

_NEEDED = ("kind", CLASS_NAME, *GEOMETRY)


def evaluate(
    project: Project,
    run: Run,
    *,
    iou: float | Sequence[float] | None = None,
    view: View | None = None,
    shape: str | None = None,
    class_aware: bool = True,
    confidence: float = 0.0,
    max_detections: int | None = None,
    sigmas: Sequence[float] | None = None,
) -> Evaluation:
    """Evaluate a run; see `Project.evaluate`.

    Images are scored in the order of their COCO ids, as COCO's own tools do: it decides which of two predictions
    with the same confidence comes first. Where the ids are not known it is the order of the items.

    Labels that were skipped when they were added (boxes without width, say) are not there, so they are not missed;
    COCO's tools count them. `p.problems` lists them.

    Parameters
    ----------
    max_detections : int, optional
        By default 100, of keypoints 20, as COCO has it.
    sigmas : sequence of float, optional
        How far each keypoint may be off, for OKS; see `evaluation.keypoints`.
    """
    _check(view, iou, confidence, max_detections, class_aware)
    snapshot = project._snapshot()
    if view is not None and view.project.path != project.path:
        raise InputError("The view is of another project.", "Make it from this one.")
    chosen = View(project, ITEM) if view is None else view.items()
    if not len(chosen):
        raise InputError("The view holds no images.", "Look at its filter and its tags, or evaluate another one.")
    items = _scoring_order(snapshot.items, chosen.rows)
    codes = np.full(snapshot.items.n, -1, np.int64)
    codes[items] = np.arange(items.size)
    level = snapshot.levels[prediction_level(run.name)]
    if run.kind == "classification":
        return _classification(project, run, chosen, snapshot, codes, level, float(confidence))
    return _detection(
        project, run, chosen, snapshot, items, codes, level, iou=iou, shape=shape, class_aware=bool(class_aware),
        confidence=float(confidence), max_detections=max_detections, sigmas=sigmas,
    )  # fmt: skip


def _check(view: Any, iou: Any, confidence: Any, max_detections: Any, class_aware: Any) -> None:
    """Refuse arguments of the wrong type or range, by name.

    Raises
    ------
    InputError
    """
    if view is not None and not isinstance(view, View):
        raise InputError(f"view={view!r:.80} is no view.", 'Give one, such as p.filter(ea.tagged("night")).')
    _thresholds(iou)
    if not _is_number(confidence) or not 0 <= confidence <= 1:
        raise InputError(f"confidence={confidence!r:.80} is no number from 0 to 1.", "Give a share, such as 0.5.")
    whole = isinstance(max_detections, Integral) and not isinstance(max_detections, bool)
    if not isinstance(class_aware, (bool, np.bool_)):
        raise InputError(f"class_aware={class_aware!r:.80} is neither True nor False.", "Give one of the two.")
    if max_detections is not None and not (whole and max_detections >= 1):
        raise InputError(f"max_detections={max_detections!r:.80} is no number of detections.", "Give 1 or more.")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _scoring_order(items: Level, given: NDArray[np.integer]) -> I64:
    """Return rows by the COCO id of their image, those without an id last; else in the order of the items.

    Numbers are sorted as numbers, texts as texts.
    """
    rows: I64 = np.unique(given).astype(np.int64)
    if EXTRA not in items.frame.columns:
        return rows
    extra = items.frame[EXTRA].gather(rows)
    ids = extra.str.json_path_match("$.id")
    some = ids.is_not_null().arg_max()
    if some is None or ids[some] is None:
        return rows
    numbers = ids.cast(pl.Int64, strict=False)
    texts = numbers.null_count() > ids.null_count() or isinstance(json.loads(extra[some])["id"], str)
    table = pl.DataFrame({"id": ids if texts else numbers, "row": rows})
    return np.asarray(table.sort("id", nulls_last=True, maintain_order=True)["row"].to_numpy(), np.int64)


def _detection(
    project: Project,
    run: Run,
    view: View,
    snapshot: Snapshot,
    items: I64,
    codes: I64,
    level: Level,
    *,
    iou: float | Sequence[float] | None,
    shape: str | None,
    class_aware: bool,
    confidence: float,
    max_detections: int | None,
    sigmas: Sequence[float] | None,
) -> DetectionEvaluation:
    from ..evaluation.detection import KEYPOINTS, SHAPES, best_shape, detect, usable

    thresholds = _thresholds(iou)
    truth = snapshot.levels[OBJECT]
    if truth.n == 0:
        raise InputError("There are no objects to compare the predictions with.", "Add them: p.add_labels(…).")
    p_rows, predictions = _on_items(level, codes)
    l_rows, labels = _on_items(truth, codes)
    kinds = (level.frame["kind"], truth.frame["kind"])
    chosen = best_shape(*kinds) if shape is None else shape
    if chosen not in SHAPES:
        raise unknown("shape", str(chosen), SHAPES)
    if chosen == KEYPOINTS and not (kinds[1] == KIND_KEYPOINTS).any():
        raise InputError("No label has keypoints.", 'Compare boxes: shape="box".')
    keep = usable(labels, chosen).to_numpy()
    l_rows, labels = (l_rows, labels) if keep.all() else (l_rows[keep], labels.filter(pl.Series(keep)))
    keep = usable(predictions, chosen).to_numpy()
    p_rows, predictions = (p_rows, predictions) if keep.all() else (p_rows[keep], predictions.filter(pl.Series(keep)))
    flattened = chosen != KEYPOINTS and bool((kinds[0] == KIND_KEYPOINTS).any())
    if flattened and shape is None:
        log.warning("%r: keypoints are compared by their boxes, not by OKS.", run.name)
    used = {*predictions[CLASS_NAME].fill_null("").unique(), *labels[CLASS_NAME].fill_null("").unique()}
    classes = [*(c for c in dict.fromkeys(run.classes) if c in used), *sorted(used - set(run.classes))]
    frame = snapshot.items.frame.select(pl.col("width", "height").fill_null(0).cast(pl.Int64))
    sizes = frame.to_numpy()[items]
    if chosen == "mask" and (sizes <= 0).any():
        raise InputError("The size of some images is not known, so masks cannot be drawn.", "Call p.compute() first.")
    if sigmas is not None and chosen != KEYPOINTS:
        raise InputError(f'sigmas are of keypoints; what is compared here is the "{chosen}".', "Leave them out.")
    if max_detections is None:
        max_detections = 20 if chosen == KEYPOINTS else 100
    found = detect(
        predictions, labels, sizes, classes, thresholds, shape=chosen, class_aware=class_aware,
        max_detections=int(max_detections), sigmas=sigmas,
    )  # fmt: skip
    return DetectionEvaluation(
        project, run, view, (level, truth), (p_rows, l_rows), found, confidence, flattened=flattened
    )


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
    sure = level.frame[CONFIDENCE].fill_null(1.0)
    given = pl.DataFrame({"item": codes[level.item_rows.to_numpy()], "row": np.arange(level.n), "sure": sure}).filter(
        pl.Series(np.ones(level.n, np.bool_) if level.alive is None else level.alive), pl.col("item") >= 0
    )
    surest = given.sort("sure", descending=True, maintain_order=True).unique("item", keep="first", maintain_order=True)
    p_rows = surest.sort("row").join(l_rows, on="item", how="semi", maintain_order="left")
    names = truth.frame[CLASS_NAME].gather(l_rows["row"]).unique().to_list()
    predicted = level.frame[CLASS_NAME].gather(p_rows["row"]).unique().to_list()
    used = {n for n in (*names, *predicted) if n is not None}
    classes = [*(c for c in run.classes if c in used), *sorted(used - set(run.classes))]
    rows = (p_rows["row"].to_numpy(), l_rows["row"].to_numpy())
    return ClassificationEvaluation(project, run, view, (level, truth), rows, classes, confidence)


def _thresholds(iou: Any) -> tuple[float, ...]:
    from ..evaluation.average_precision import COCO_THRESHOLDS

    if iou is None:
        return COCO_THRESHOLDS
    listed = np.atleast_1d(iou) if isinstance(iou, np.ndarray) else iou
    given = tuple(listed) if isinstance(listed, (list, tuple, np.ndarray)) else (iou,)
    fine = all(_is_number(t) and 0 < t <= 1 for t in given)
    if not given or not fine or sorted(set(given)) != list(given):
        raise InputError(f"iou={iou!r:.80} are no IoU thresholds.", "Give numbers above 0, at most 1, in rising order.")
    return tuple(float(t) for t in given)
