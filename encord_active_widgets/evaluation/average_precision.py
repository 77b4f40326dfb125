"""Average precision and recall as COCO defines them, by hotcoco, which tests hold to pycocotools.

hotcoco takes columns and answers in columns; what it cannot give without a Python object a detection (who was
matched with whom) is in `matching.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

if TYPE_CHECKING:
    from .keypoints import Keypoints, Poses
    from .matching import Boxes

F64 = NDArray[np.float64]

COCO_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
AREAS = ("all", "small", "medium", "large")
"""small: below 32² px, medium: below 96² px, large: the rest."""
_AREA_RANGES = ((0, 1e5**2), (0, 32**2), (32**2, 96**2), (96**2, 1e5**2))
NONE = -1.0
"""What COCO says where there is nothing to find."""


class Scores(NamedTuple):
    """What COCO accumulates; -1 where a class has no label in an area range.

    Attributes
    ----------
    precision : (t, 101, k, 4, 3) float64
        By IoU, recall (0, 0.01, … 1), class, area range and limit of detections.
    recall : (t, k, 4, 3) float64
        The highest recall.
    confidence : (t, 101, k, 4, 3) float64
        The confidence at each recall.
    """

    precision: F64
    recall: F64
    confidence: F64


class Masks(NamedTuple):
    """Pixel masks in place of boxes, as COCO writes them: a `size` and `counts`."""

    predictions: Sequence[dict[str, Any]]
    labels: Sequence[dict[str, Any]]
    areas: F64
    """Pixels of the predictions."""


def coco_scores(
    predictions: Boxes,
    labels: Boxes,
    label_areas: F64,
    sizes: NDArray[np.int64],
    n_classes: int,
    thresholds: Sequence[float],
    *,
    max_detections: int = 100,
    class_aware: bool = True,
    masks: Masks | None = None,
    angles: tuple[F64, F64] | None = None,
    keypoints: Keypoints | None = None,
) -> Scores:
    """Evaluate as `COCOeval` does.

    Parameters
    ----------
    predictions, labels : Boxes
        Codes of images from 0, of classes from 0. Of predictions with the same confidence the one on the image of
        the lower code comes first, and on one image the earlier row.
    label_areas : (l,) float64
        Area of each label in px², by which it is small, medium or large.
    sizes : (n, 2) int64
        Width and height of each image; of masks they must be true.
    thresholds : sequence of float
        IoU.
    max_detections : int
        The largest limit; the others are 1 and 10.
    masks : Masks, optional
        Compare these, not the boxes.
    angles : pair of (p,) and (l,) float64, optional
        Turn of the boxes of predictions and labels, in degrees clockwise.
    keypoints : Keypoints, optional
        Compare these, not the boxes.
    """
    import hotcoco

    images = [{"id": i + 1, "width": w, "height": h} for i, (w, h) in enumerate(sizes.tolist())]
    categories = [{"id": i + 1, "name": str(i)} for i in range(n_classes)]
    if keypoints is not None:
        # pycocotools cannot score keypoints without classes: here all get one
        only = None if class_aware else 1
        truth = _listed(images, categories[:only], labels, label_areas, class_aware, _posed(keypoints.labels, labels))
        more = _posed(keypoints.predictions, predictions)
        answers = _listed(images, categories[:only], predictions, _extents(keypoints.predictions), class_aware, more)
    elif angles is not None:
        w, h = predictions.box[:, 2:].T
        truth = _listed(images, categories, labels, label_areas, True, _turned(labels, angles[1]))
        answers = _listed(images, categories, predictions, w * h, True, _turned(predictions, angles[0]))
    else:
        truth = hotcoco.COCO.from_arrays(
            images,
            categories,
            labels.item + 1,
            labels.code + 1,
            labels.box,
            area=label_areas,
            iscrowd=labels.ignored.astype(np.int64),
            segmentation=None if masks is None else list(masks.labels),
        )
        answers = _answers(truth, predictions, masks)
    kind = "obb" if angles is not None else "bbox" if masks is None else "segm"
    kind = kind if keypoints is None else "keypoints"
    run = hotcoco.COCOeval(truth, answers, kind)
    settings = run.params
    settings.iou_thrs = [float(t) for t in thresholds]
    settings.max_dets = [min(limit, max_detections) for limit in (1, 10)] + [max_detections]
    settings.use_cats = class_aware or keypoints is not None
    if keypoints is not None:
        settings.kpt_oks_sigmas = keypoints.sigmas.tolist()
        settings.area_rng, settings.area_rng_lbl = [list(r) for r in _AREA_RANGES], list(AREAS)
    run.evaluate()
    run.accumulate()
    found = run.eval
    if found is None:
        raise InputError("The predictions could not be evaluated.", "Check that labels and predictions have boxes.")
    return Scores(*(np.asarray(found[k], np.float64) for k in ("precision", "recall", "scores")))


def _answers(truth: Any, predictions: Boxes, masks: Masks | None) -> Any:
    import hotcoco

    table = np.column_stack(
        [predictions.item + 1, predictions.box, predictions.confidence, predictions.code + 1]
    ).astype(np.float64)
    if not len(table):
        empty = {"images": truth.dataset["images"], "categories": truth.dataset["categories"], "annotations": []}
        return hotcoco.COCO(empty)
    if masks is None:
        return truth.load_res(table)
    answers = truth.load_res(table, segmentation=list(masks.predictions))
    # Given boxes beside masks, it would take those for the areas that make a prediction small or large.
    answers.update_anns(ids=np.arange(1, len(table) + 1), area=masks.areas)
    return answers


def _turned(boxes: Boxes, angles: F64) -> dict[str, list[Any]]:
    """Return turned boxes: centre, sides and turn in radians."""
    x, y, w, h = boxes.box.T
    return {"obb": np.column_stack([x + w / 2, y + h / 2, w, h, np.deg2rad(angles)]).tolist()}


def _posed(poses: Poses, boxes: Boxes) -> dict[str, list[Any]]:
    """Return keypoints as COCO writes them; one that is ignored, but no crowd, has none that count."""
    triples = np.concatenate([poses.points, 2.0 * poses.marked[:, :, None]], axis=2)
    counts = np.where(boxes.ignored & ~boxes.crowd, 0, np.maximum(poses.marked.sum(axis=1), 1))
    return {"keypoints": triples.reshape(len(triples), 3 * triples.shape[1]).tolist(), "num_keypoints": counts.tolist()}


def _extents(poses: Poses) -> F64:
    """Return the areas by which predictions are medium or large: of the bounds of all their keypoints."""
    if not len(poses.points):
        return np.empty(0)
    area: F64 = np.prod(poses.points.max(axis=1) - poses.points.min(axis=1), axis=1)
    return area


def _listed(
    images: list[dict[str, int]],
    categories: list[dict[str, Any]],
    boxes: Boxes,
    areas: F64,
    class_aware: bool,
    more: dict[str, list[Any]],
) -> Any:
    """Make a dataset of what hotcoco does not take as columns."""
    import hotcoco

    codes = boxes.code + 1 if class_aware else np.ones_like(boxes.code)
    columns: dict[str, list[Any]] = {
        "id": list(range(1, len(codes) + 1)),
        "image_id": (boxes.item + 1).tolist(),
        "category_id": codes.tolist(),
        "bbox": boxes.box.tolist(),
        "area": areas.tolist(),
        "iscrowd": boxes.crowd.astype(int).tolist(),
        "score": boxes.confidence.tolist(),
        **more,
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return hotcoco.COCO({"images": images, "categories": categories, "annotations": rows})


def mean(values: F64) -> float | None:
    """Return the mean of what is there; None where nothing is."""
    present = values[values > NONE]
    return float(present.mean()) if present.size else None
