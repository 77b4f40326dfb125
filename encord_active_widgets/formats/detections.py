"""Predictions as detection libraries return them; neither library is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError
from ..schema import CLASS_NAME, CONFIDENCE, KIND_KEYPOINTS, PROBABILITIES
from .poses import seen
from .prediction import rows_frame
from .probabilities import judge_column
from .run import IMAGE, PLACE, Context, RunSource
from .run_classes import by_number
from .run_source import run_source

_NAME = "the detections"
_NUMBER = "number"


def read_detections(found: Any, context: Context) -> RunSource:
    """Read `{image: supervision.Detections}`, or a list of Ultralytics results.

    Names of classes are those passed for the numbers, else those that come with the detections.

    Raises
    ------
    InputError
        There are none, or nothing says what class numbers mean.
    """
    rows: list[dict[str, Any]] = []
    if isinstance(found, Mapping):
        for image, detections in found.items():
            rows += _supervision(str(image), detections)
    else:
        for result in found:
            rows += _ultralytics(result)
    if not rows:
        raise InputError("The detections are all empty.", "Check the confidence threshold of the model.")
    frame = rows_frame(rows).with_columns(pl.col(_NUMBER).cast(pl.Int64))
    numbers, names = frame[_NUMBER], frame[CLASS_NAME]
    if context.given or (names.is_null() & numbers.is_not_null()).any():
        wanted = numbers if context.given else numbers.zip_with(names.is_null(), numbers.clear(frame.height))
        coded = by_number(wanted, context, _NAME)
        known = names.zip_with(numbers.is_null(), coded) if context.given else names.fill_null(coded)
        frame = frame.with_columns(known.alias(CLASS_NAME))
    frame = frame.drop(_NUMBER)
    if PROBABILITIES not in frame.columns:
        return run_source(frame, context, _NAME)
    columns = _names(next(iter(found)))
    if context.given or not columns:
        columns = list(context.classes)
    judge_column(frame[PROBABILITIES], frame[PLACE], columns)
    return run_source(frame, context, _NAME, classes=columns)


def _names(result: Any) -> list[str]:
    """Return the classes of an Ultralytics model in the order of their numbers."""
    names = result.names or ()
    return [str(names[k]) for k in (sorted(names) if isinstance(names, Mapping) else range(len(names)))]


def _name(result: Any, number: int) -> str | None:
    names = result.names
    if isinstance(names, Mapping):
        return None if number not in names else str(names[number])
    return str(names[number]) if names is not None and 0 <= number < len(names) else None


def _array(value: Any) -> NDArray[Any]:
    """Take an array, or a tensor on any device."""
    for name in ("detach", "cpu", "numpy"):
        if hasattr(value, name):
            value = getattr(value, name)()
    return np.asarray(value)


def _supervision(image: str, detections: Any) -> list[dict[str, Any]]:
    boxes = _array(detections.xyxy).reshape(-1, 4)
    data = getattr(detections, "data", None) or {}
    sure = getattr(detections, "confidence", None)
    codes = getattr(detections, "class_id", None)
    masks = getattr(detections, "mask", None)
    names = data.get("class_name") if isinstance(data, Mapping) else None
    return [
        {
            IMAGE: image,
            CLASS_NAME: None if names is None else str(names[i]),
            _NUMBER: None if codes is None or codes[i] is None else int(codes[i]),
            CONFIDENCE: 1.0 if sure is None else float(sure[i]),
            PLACE: f"{image}: detection {i}",
            **_corners(box),
            **({} if masks is None else {"mask": _array(masks[i])}),
        }
        for i, box in enumerate(boxes)
    ]


def _corners(box: NDArray[Any]) -> dict[str, float]:
    x0, y0, x1, y1 = (float(v) for v in box)
    return {"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0}


def _ultralytics(result: Any) -> list[dict[str, Any]]:
    image = str(result.path)
    probs = getattr(result, "probs", None)
    if probs is not None:
        values = _array(probs.data).astype(np.float64)
        best = int(values.argmax())
        return [
            {
                IMAGE: image,
                CLASS_NAME: _name(result, best),
                _NUMBER: best,
                CONFIDENCE: float(values[best]),
                PLACE: image,
                PROBABILITIES: values.tolist(),
            }
        ]
    turned = getattr(result, "obb", None)
    boxes = turned if turned is not None else result.boxes
    if boxes is None:
        return []
    sure, codes = _array(boxes.conf).ravel(), _array(boxes.cls).ravel().astype(int)
    outlines = getattr(getattr(result, "masks", None), "xy", None)
    points = getattr(getattr(result, "keypoints", None), "data", None)
    rows = []
    for i in range(len(sure)):
        row: dict[str, Any] = {
            IMAGE: image, CLASS_NAME: _name(result, int(codes[i])), _NUMBER: int(codes[i]),
            CONFIDENCE: float(sure[i]), PLACE: f"{image}: result {i}",
        }  # fmt: skip
        if turned is not None:
            x, y, w, h, angle = (float(v) for v in _array(boxes.xywhr)[i])
            row |= {"x": x - w / 2, "y": y - h / 2, "w": w, "h": h, "angle": float(np.rad2deg(angle))}
        else:
            row |= _corners(_array(boxes.xyxy)[i])
        if outlines is not None and len(outlines[i]) >= 3:
            row["points"] = _array(outlines[i]).astype(np.float64).ravel().tolist()
        elif points is not None:
            pose = _array(points)[i].astype(np.float64)
            row["kind"] = KIND_KEYPOINTS
            row["points"] = pose[:, :2].ravel().tolist()
            row["visibility"] = seen(pose[:, 2], scores=True) if pose.shape[1] > 2 else [2] * len(pose)
        rows.append(row)
    return rows
