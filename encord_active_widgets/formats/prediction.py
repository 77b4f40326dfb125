"""Predictions from Python: one object an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, nearest
from ..schema import CLASS_NAME, CONFIDENCE, KIND_KEYPOINTS, PROBABILITIES
from .poses import VISIBILITIES, are_scores, seen
from .probabilities import judge_column
from .run import IMAGE, PLACE, Context, RunSource
from .run_source import HELD, run_source

_NAME = "the predictions"


@dataclass
class Prediction:
    """One answer of a model.

    Attributes
    ----------
    image : str
        The image's address, file name or stem.
    class_name : str
    confidence : float
        From 0 to 1.
    box : sequence of 4 numbers, optional
        x, y, w, h in pixels.
    angle : float
        Turn of the box in degrees clockwise.
    polygon : (n, 2) or flat numbers, optional
    mask : (h, w) array, optional
        Not 0 inside.
    keypoints : (n, 2) or (n, 3) numbers, or flat x, y, v, …, optional
        x, y and visibility (0 absent, 1 hidden, 2 visible) or score: where any of the third values of a list of
        predictions is no whole number, all are scores from 0 to 1; above 0.5 is visible, above 0 hidden.
    probabilities : mapping of str to float, or sequence, optional
        Of a classifier: by class, or in the order of the project's classes. They sum to 1.
    extra : dict
        Kept beside it.
    """

    image: str
    class_name: str
    confidence: float = 1.0
    box: Sequence[float] | None = None
    angle: float = 0.0
    polygon: Any = None
    mask: Any = None
    keypoints: Any = None
    probabilities: Mapping[str, float] | Sequence[float] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def read_predictions(predictions: Sequence[Prediction], context: Context, *, box_format: str = "xywh") -> RunSource:
    """Read a list of `Prediction`.

    Raises
    ------
    InputError
        Keypoints or probabilities are none; nothing fits the project.
    """
    rows: list[dict[str, Any]] = []
    poses: dict[int, NDArray[np.float64]] = {}
    classes = _probability_classes(predictions, context)
    for i, p in enumerate(predictions):
        row: dict[str, Any] = {
            IMAGE: str(p.image),
            CLASS_NAME: p.class_name,
            CONFIDENCE: p.confidence,
            PLACE: f"prediction {i}",
        }
        if p.box is not None:
            box = np.asarray(p.box, dtype=object).ravel().tolist()
            row.update(dict(zip("xywh", box if len(box) == 4 else [None] * 4, strict=True)))
            row["angle"] = p.angle
        if p.polygon is not None:
            row["points"] = p.polygon
        if p.mask is not None:
            row["mask"] = p.mask
        if p.keypoints is not None:
            poses[i] = _pose(p.keypoints, i)
            row["kind"] = KIND_KEYPOINTS
            row["points"] = poses[i][:, :2].ravel().tolist()
        if p.probabilities is not None:
            row[PROBABILITIES] = _shares(p.probabilities, classes, i)
        if p.extra:
            row["extra"] = json.dumps(p.extra, default=str)
        rows.append(row)
    scores = any(pose.shape[1] > 2 and are_scores(pose[:, 2]) for pose in poses.values())
    for i, pose in poses.items():
        rows[i]["visibility"] = _visibility(pose, i, scores=scores)
    frame = rows_frame(rows)
    if PROBABILITIES in frame.columns:
        judge_column(frame[PROBABILITIES], frame[PLACE], classes)
        return run_source(frame, context, _NAME, box_format=box_format, classes=classes)
    return run_source(frame, context, _NAME, box_format=box_format)


def _pose(given: Any, i: int) -> NDArray[np.float64]:
    """Return keypoints as a table of x, y, and of a third value where there is one."""
    try:
        points = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim == 1 and points.size % 3 == 0:
        points = points.reshape(-1, 3)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or not len(points) or not np.isfinite(points).all():
        raise InputError(
            f"The keypoints of prediction {i} are no x, y pairs and no x, y, visibility triples.",
            "Give (n, 2) or (n, 3) numbers, or x, y, v, … in one list.",
        )
    return points


def _visibility(pose: NDArray[np.float64], i: int, *, scores: bool) -> list[int]:
    if pose.shape[1] == 2:
        return [2] * len(pose)
    third = pose[:, 2]
    wrong = third[(third < 0) | (third > 1)] if scores else third[~np.isin(third, VISIBILITIES)]
    if wrong.size:
        raise InputError(
            f"Prediction {i} has a keypoint with the third value {wrong[0]:g}"
            + (", where others have scores." if scores else "."),
            "Give a visibility (0 absent, 1 hidden, 2 visible) for all, or a score from 0 to 1 for all.",
        )
    return seen(third, scores=scores)


def _probability_classes(predictions: Sequence[Prediction], context: Context) -> list[str]:
    """Return what the columns of probabilities are; by default those that a project without classes is given."""
    if context.classes:
        return list(context.classes)
    return list(dict.fromkeys(n for p in predictions if isinstance(p.probabilities, Mapping) for n in p.probabilities))


def _shares(given: Any, classes: Sequence[str], i: int) -> list[float]:
    if isinstance(given, Mapping):
        odd = next((n for n in given if n not in classes), None)
        if odd is not None:
            raise InputError(
                f'Prediction {i} has a probability of "{odd}", which is no class.', nearest(str(odd), classes)
            )
        given = [given.get(n, 0.0) for n in classes]
    try:
        return [float(v) for v in given]
    except (TypeError, ValueError) as error:
        raise InputError(f"The probabilities of prediction {i} are no numbers.", "Give one number a class.") from error


def rows_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Put rows with different keys side by side; shapes stay objects until they are judged."""
    columns: dict[str, pl.Series] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name) for row in rows]
        if name in ("mask", "points"):
            columns[name] = pl.Series(name, values, dtype=pl.Object)
        elif name == PROBABILITIES:
            columns[name] = pl.Series(name, values, dtype=pl.List(pl.Float64))
        elif name in ("x", "y", "w", "h", "angle", CONFIDENCE):
            numbers = [_number(v) for v in values]
            columns[name] = pl.Series(name, numbers, dtype=pl.Float64)
            if name == CONFIDENCE:
                held = [repr(v) if n is None else None for v, n in zip(values, numbers, strict=True)]
                columns[HELD] = pl.Series(HELD, held, dtype=pl.String)
        elif name in (IMAGE, CLASS_NAME, PLACE):
            columns[name] = pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String)
        else:
            columns[name] = pl.Series(name, values, strict=False)
    return pl.DataFrame(columns)


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, (bool, np.bool_)) else float(value)
    except (TypeError, ValueError):
        return None
