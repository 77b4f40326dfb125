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
    from .matching import Boxes

F64 = NDArray[np.float64]

COCO_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
AREAS = ("all", "small", "medium", "large")
"""small: below 32² px, medium: below 96² px, large: the rest."""
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
) -> Scores:
    """Evaluate as `COCOeval` does.

    Parameters
    ----------
    predictions, labels : Boxes
        Codes of images from 0, of classes from 0.
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
    """
    import hotcoco

    images = [{"id": i + 1, "width": w, "height": h} for i, (w, h) in enumerate(sizes.tolist())]
    categories = [{"id": i + 1, "name": str(i)} for i in range(n_classes)]
    if angles is not None:
        truth = _turned(images, categories, labels, angles[1], areas=label_areas)
        answers = _turned(images, categories, predictions, angles[0])
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
    run = hotcoco.COCOeval(truth, answers, kind)
    settings = run.params
    settings.iou_thrs = [float(t) for t in thresholds]
    settings.max_dets = [min(limit, max_detections) for limit in (1, 10)] + [max_detections]
    settings.use_cats = class_aware
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


def _turned(
    images: list[dict[str, int]], categories: list[dict[str, Any]], boxes: Boxes, angles: F64, areas: F64 | None = None
) -> Any:
    """Make a dataset of turned boxes: centre, sides and turn in radians."""
    import hotcoco

    x, y, w, h = boxes.box.T
    turned = np.column_stack([x + w / 2, y + h / 2, w, h, np.deg2rad(angles)]).tolist()
    area = w * h if areas is None else areas
    annotations = [
        {
            "id": i + 1, "image_id": item, "category_id": code, "bbox": box, "obb": obb, "area": size,
            "iscrowd": int(crowd), **({"score": score} if areas is None else {}),
        }
        for i, (item, code, box, obb, size, crowd, score) in enumerate(
            zip(
                (boxes.item + 1).tolist(), (boxes.code + 1).tolist(), boxes.box.tolist(), turned, area.tolist(),
                boxes.ignored.tolist(), boxes.confidence.tolist(), strict=True,
            )
        )
    ]  # fmt: skip
    return hotcoco.COCO({"images": images, "categories": categories, "annotations": annotations})


def mean(values: F64) -> float | None:
    """Return the mean of what is there; None where nothing is."""
    present = values[values > NONE]
    return float(present.mean()) if present.size else None
