"""Predictions from Python: objects, frames, arrays of probabilities, and what detection libraries return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, ShapeError
from ..schema import CLASS_NAME, CONFIDENCE, ITEM_ID, KIND_KEYPOINTS, PROBABILITIES, URI
from .run import Context
from .run_source import IMAGE, PLACE, run_source
from .source import Source

_SUMS_TO = 1e-3
_IMAGE_COLUMNS = ("path", URI, "image", "file_name", ITEM_ID)


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
    keypoints : (n, 2) or (n, 3) numbers, optional
        x, y and visibility (0 absent, 1 hidden, 2 visible).
    probabilities : mapping of str to float, or sequence, optional
        Of a classifier: by class, or in the order of the project's classes.
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


def read_predictions(predictions: Sequence[Prediction], context: Context, *, box_format: str = "xywh") -> Source:
    """Read a list of `Prediction`."""
    import json

    names = context.classes
    rows: list[dict[str, Any]] = []
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
            points = np.asarray(p.keypoints, dtype=np.float64)
            row["kind"] = KIND_KEYPOINTS
            row["points"] = points[:, :2].ravel().tolist()
            row["visibility"] = points[:, 2].astype(int).tolist() if points.shape[1] > 2 else [2] * len(points)
        if p.probabilities is not None:
            given = p.probabilities
            row[PROBABILITIES] = (
                [float(given.get(n, 0.0)) for n in names] if isinstance(given, Mapping) else list(given)
            )
        if p.extra:
            row["extra"] = json.dumps(p.extra, default=str)
        rows.append(row)
    return run_source(_frame(rows), context, "the predictions", box_format=box_format)


def _frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Put rows with different keys side by side; shapes stay objects until they are judged."""
    columns: dict[str, pl.Series] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name) for row in rows]
        if name in ("mask", "points"):
            columns[name] = pl.Series(name, values, dtype=pl.Object)
        elif name == PROBABILITIES:
            columns[name] = pl.Series(name, values, dtype=pl.List(pl.Float32))
        elif name in ("x", "y", "w", "h", "angle", CONFIDENCE):
            columns[name] = pl.Series(name, [_number(v) for v in values], dtype=pl.Float64)
        elif name in (IMAGE, CLASS_NAME, PLACE):
            columns[name] = pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String)
        else:
            columns[name] = pl.Series(name, values, strict=False)
    return pl.DataFrame(columns)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def read_prediction_frame(frame: pl.DataFrame, context: Context, *, box_format: str = "xywh") -> Source:
    """Read a data frame: an image, `class_name`, `confidence`, and a shape as `Project.from_frame` takes it.

    The image is `path` (or `uri`, `image`, `file_name`), or `item_id`.

    Raises
    ------
    InputError
        No column names the image, or the class.
    """
    image = next((c for c in _IMAGE_COLUMNS if c in frame.columns), None)
    if image is None:
        raise InputError(
            f"The frame has no column of images among {frame.columns}.", 'Add "path": addresses or file names.'
        )
    if CLASS_NAME not in frame.columns and "category_id" not in frame.columns:
        raise InputError('The frame has no column "class_name".', "Name the class of each prediction.")
    if CLASS_NAME not in frame.columns:
        from .run_source import by_code

        frame = frame.with_columns(by_code(frame["category_id"], context).alias(CLASS_NAME))
    if CONFIDENCE not in frame.columns and "score" in frame.columns:
        frame = frame.rename({"score": CONFIDENCE})
    named = frame[image].cast(pl.String, strict=False)
    if image == ITEM_ID and ITEM_ID in context.items.columns:
        uris = context.items.select(ITEM_ID, URI)
        named = pl.DataFrame({ITEM_ID: named}).join(uris, on=ITEM_ID, how="left", maintain_order="left")[URI]
        named = named.fill_null(frame[image])
    places = pl.format("row {}", pl.int_range(pl.len())).alias(PLACE)
    data = frame.drop(image).with_columns(named.alias(IMAGE), places)
    return run_source(data, context, "the frame", box_format=box_format)


def read_probabilities(
    values: NDArray[Any], context: Context, uris: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> Source:
    """Read a classifier's probabilities.

    Parameters
    ----------
    values : (n, k) float
        A row an item, a column a class; rows sum to 1.
    context : Context
    uris : sequence of str, optional
        The images of the rows; by default the project's items in their order.
    classes : sequence of str, optional
        The classes of the columns; by default the project's.

    Raises
    ------
    ShapeError
        The rows are not those of the items, or the columns not those of the classes.
    InputError
        A value is negative or no number, or a row does not sum to 1.
    """
    names = list(classes or context.classes)
    addresses = list(uris) if uris is not None else context.items[URI].to_list()
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise ShapeError(
            f"Probabilities of shape {array.shape} ({array.dtype}) are no table.", "Give (items, classes)."
        )
    if len(array) != len(addresses):
        raise ShapeError(
            f"{len(array):,} rows of probabilities do not fit {len(addresses):,} images.", "Give a row an item."
        )
    if array.shape[1] != len(names):
        raise ShapeError(
            f"Probabilities of {array.shape[1]} classes do not fit {len(names)} classes ({', '.join(names[:5])} …).",
            "Pass classes=[…] in the order of the columns.",
        )
    table = array.astype(np.float64)
    if not np.isfinite(table).all() or (table < 0).any():
        row = int(np.flatnonzero(~(np.isfinite(table) & (table >= 0)).all(axis=1))[0])
        raise InputError(
            f"Row {row} of the probabilities has a value that is negative or no number.", "Apply a softmax."
        )
    sums = table.sum(axis=1)
    odd = np.abs(sums - 1) > _SUMS_TO
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise InputError(
            f"{int(odd.sum()):,} rows of the probabilities do not sum to 1; row {row} sums to {sums[row]:.4g}.",
            "Apply a softmax, or divide by the sums.",
        )
    best = table.argmax(axis=1)
    frame = pl.DataFrame(
        {
            IMAGE: addresses,
            CLASS_NAME: pl.Series(names, dtype=pl.String).gather(best),
            CONFIDENCE: np.minimum(table[np.arange(len(table)), best], 1.0),
            PROBABILITIES: pl.Series(table.astype(np.float32), dtype=pl.Array(pl.Float32, len(names))).arr.to_list(),
        }
    ).with_columns(pl.format("row {}", pl.int_range(pl.len())).alias(PLACE))
    source = run_source(frame, context, "the probabilities")
    source.header["classes"] = names
    return source


def read_detections(found: Any, context: Context) -> Source:
    """Read `{image: supervision.Detections}`, or a list of Ultralytics results; neither library is imported."""
    rows: list[dict[str, Any]] = []
    if isinstance(found, Mapping):
        for image, detections in found.items():
            rows += _supervision(str(image), detections, context)
    else:
        for result in found:
            rows += _ultralytics(result)
    if not rows:
        raise InputError("The detections are all empty.", "Check the confidence threshold of the model.")
    return run_source(_frame(rows), context, "the detections")


def _array(value: Any) -> NDArray[Any]:
    """Take an array, or a tensor on any device."""
    for name in ("detach", "cpu", "numpy"):
        if hasattr(value, name):
            value = getattr(value, name)()
    return np.asarray(value)


def _supervision(image: str, detections: Any, context: Context) -> list[dict[str, Any]]:
    boxes = _array(detections.xyxy).reshape(-1, 4)
    n = len(boxes)
    data = getattr(detections, "data", None) or {}
    sure = getattr(detections, "confidence", None)
    codes = getattr(detections, "class_id", None)
    masks = getattr(detections, "mask", None)
    names = data.get("class_name") if isinstance(data, Mapping) else None
    rows = []
    for i in range(n):
        code = None if codes is None else int(codes[i])
        name = str(names[i]) if names is not None else context.categories.get(code) if code is not None else None
        rows.append(
            {
                IMAGE: image,
                CLASS_NAME: name,
                CONFIDENCE: 1.0 if sure is None else float(sure[i]),
                PLACE: f"{image}: detection {i}",
                **_corners(boxes[i]),
                **({} if masks is None else {"mask": _array(masks[i])}),
            }
        )
    return rows


def _corners(box: NDArray[Any]) -> dict[str, float]:
    x0, y0, x1, y1 = (float(v) for v in box)
    return {"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0}


def _ultralytics(result: Any) -> list[dict[str, Any]]:
    image, names = str(result.path), result.names
    probs = getattr(result, "probs", None)
    if probs is not None:
        values = _array(probs.data).astype(np.float64)
        best = int(values.argmax())
        return [
            {
                IMAGE: image,
                CLASS_NAME: str(names[best]),
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
            IMAGE: image, CLASS_NAME: str(names[int(codes[i])]), CONFIDENCE: float(sure[i]),
            PLACE: f"{image}: result {i}",
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
            row["visibility"] = (
                [2 if s > 0.5 else 1 if s > 0 else 0 for s in pose[:, 2]] if pose.shape[1] > 2 else [2] * len(pose)
            )
        rows.append(row)
    return rows
