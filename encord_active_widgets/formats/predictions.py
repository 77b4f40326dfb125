"""Find out what a source of predictions is, and read it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError, unknown
from .run import Context, RunSource
from .source import existing

FORMATS = ("coco", "yolo", "yolo-segment", "kitti", "masks", "pickle", "frame", "probabilities")
_ENDINGS = {
    ".json": "coco", ".pkl": "pickle", ".pickle": "pickle", ".csv": "frame", ".parquet": "frame",
    ".npy": "probabilities",
}  # fmt: skip
_ACCEPTED = (
    "Pass a path, a data frame, a list of ea.Prediction, a list of COCO results, Ultralytics results, "
    "{image: supervision.Detections}, or an array (items, classes) of probabilities."
)


def read(source: Any, context: Context, *, format: str | None = None, box_format: str = "xywh") -> RunSource:  # noqa: A002
    """Read predictions of any kind; see `Project.add_predictions`.

    Raises
    ------
    InputError
        The source is of no kind that is known, or nothing in it fits the project.
    """
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if isinstance(source, (str, os.PathLike)):
        place = existing(Path(source), "file of predictions")
        found = _read_path(place, context, format, box_format)
        found.card.setdefault("source", os.fspath(place))
        return found
    from .prediction import Prediction

    if isinstance(source, Iterator):
        source = list(source)
    if isinstance(source, np.ndarray):
        from .probabilities import read_probabilities

        return read_probabilities(source, context)
    if isinstance(source, Prediction) or _is_result(source):
        source = [source]
    if hasattr(source, "xyxy"):
        raise InputError("The detections do not say which image they are of.", "Pass {image: detections}.")
    if isinstance(source, Mapping) and source and all(hasattr(v, "xyxy") for v in source.values()):
        from .detections import read_detections

        return read_detections(source, context)
    if isinstance(source, Mapping) and isinstance(source.get("annotations"), Sequence):
        from .coco_results import read_coco_list

        return read_coco_list(source, context, box_format=box_format)
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        return _read_list(source, context, box_format)
    from .prediction_frame import read_prediction_frame
    from .source import as_polars

    try:
        frame = as_polars(source, "source of predictions")
    except (InputError, pl.exceptions.PolarsError) as error:
        raise InputError(f"A {type(source).__name__} is no source of predictions.", _ACCEPTED) from error
    return read_prediction_frame(frame, context, box_format=box_format)


def _read_list(source: Sequence[Any], context: Context, box_format: str) -> RunSource:
    from .prediction import Prediction, read_predictions

    if not source:
        raise InputError("The list of predictions is empty.", "Pass at least one.")
    if all(isinstance(p, Prediction) for p in source):
        return read_predictions(source, context, box_format=box_format)
    if all(map(_is_result, source)):
        from .detections import read_detections

        return read_detections(source, context)
    if all(isinstance(r, Mapping) and "image_id" in r for r in source):
        from .coco_results import read_coco_list

        return read_coco_list(source, context, box_format=box_format)
    if all(isinstance(r, (list, tuple)) for r in source):
        from .probabilities import read_probabilities

        try:
            table = np.asarray(source, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError("The lists are no table of probabilities.", _ACCEPTED) from error
        return read_probabilities(table, context)
    raise InputError(f"A list of {type(source[0]).__name__} is no list of predictions.", _ACCEPTED)


def _is_result(value: Any) -> bool:
    """Tell whether something is a result of Ultralytics."""
    return hasattr(value, "path") and hasattr(value, "names") and hasattr(value, "boxes")


def _read_path(place: Path, context: Context, kind: str | None, box_format: str) -> RunSource:
    chosen = kind or _ENDINGS.get(place.suffix.lower())
    if chosen is None and place.is_dir():
        endings = {p.suffix.lower() for p in place.iterdir()}
        chosen = "masks" if ".png" in endings else "yolo" if ".txt" in endings else None
    if chosen is None:
        raise InputError(f'"{place}" is of no known format.', f"Say which with format=: {', '.join(FORMATS)}.")
    if chosen == "coco":
        from .coco_results import read_coco_results

        return read_coco_results(place, context, box_format=box_format)
    if chosen in ("yolo", "yolo-segment"):
        from .yolo_results import read_yolo_results

        return read_yolo_results(place, context, task="segment" if chosen == "yolo-segment" else "detect")
    if chosen == "kitti":
        from .kitti import read_kitti

        return read_kitti(place, context)
    if chosen == "masks":
        from .png_masks import read_png_masks

        return read_png_masks(place, context)
    if chosen == "pickle":
        from .pickled import load_predictions
        from .prediction import read_predictions

        return read_predictions(load_predictions(place), context, box_format=box_format)
    if chosen == "probabilities":
        from .probabilities import read_probabilities

        return read_probabilities(_array(place), context)
    from .prediction_frame import read_prediction_frame

    return read_prediction_frame(_frame(place), context, box_format=box_format)


def _array(place: Path) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(np.load(place, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f'"{place}" is no array that can be read: {error}.', "Save it with numpy.save.") from error


def _frame(place: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(place) if place.suffix.lower() == ".parquet" else pl.read_csv(place)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f'"{place}" is no table that can be read: {error}.', "Write it again.") from error
