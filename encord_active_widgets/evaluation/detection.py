"""One evaluation of object predictions: columns in, matches and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import (
    CLASS_NAME,
    CONFIDENCE,
    EXTRA,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POINT,
    KIND_POLYGON,
    KIND_POLYLINE,
    KIND_ROTATED_BOX,
)
from .average_precision import Masks, Scores, coco_scores
from .matching import Boxes, Matches, Pairs, by_item, match, pair

if TYPE_CHECKING:
    from .keypoints import Keypoints

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

BOX, MASK, KEYPOINTS = "box", "mask", "keypoints"
SHAPES = (BOX, MASK, KEYPOINTS)
_FLAT = (KIND_POINT, KIND_POLYLINE)


@dataclass(frozen=True)
class Detection:
    """What an evaluation found; row i of everything is row i of the frames it was given.

    Attributes
    ----------
    predictions, labels : Boxes
        Codes of images and classes.
    classes : tuple of str
        Names by code.
    thresholds : tuple of float
        IoU.
    pairs : Pairs
    matches : Matches
    scores : Scores
    shape : str
        What was compared.
    class_aware : bool
    """

    predictions: Boxes
    labels: Boxes
    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    pairs: Pairs
    matches: Matches
    scores: Scores
    shape: str
    class_aware: bool
    max_detections: int


def usable(frame: pl.DataFrame, shape: str) -> pl.Series:
    """Tell which rows have an area that can be found: not points, lines, or boxes without sides."""
    there = ~pl.col("kind").is_in(_FLAT) & (pl.col("w").fill_null(0) > 0) & (pl.col("h").fill_null(0) > 0)
    whole = (KIND_MASK, KIND_KEYPOINTS) if shape == KEYPOINTS else (KIND_MASK,)
    return frame.select(there | pl.col("kind").is_in(whole)).to_series()


def best_shape(predictions: pl.Series, labels: pl.Series) -> str:
    """Choose by their kinds what to compare: masks where all predictions have them, keypoints where labels have, too.

    Parameters
    ----------
    predictions, labels : pl.Series of String
        `kind`.
    """
    kinds = set(predictions.unique().to_list())
    if kinds == {KIND_KEYPOINTS} and (labels == KIND_KEYPOINTS).any():
        return KEYPOINTS
    return MASK if kinds and kinds <= {KIND_MASK, KIND_POLYGON} else BOX


def detect(
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    sizes: I64,
    classes: Sequence[str],
    thresholds: Sequence[float],
    *,
    shape: str,
    class_aware: bool = True,
    max_detections: int = 100,
    sigmas: Sequence[float] | None = None,
) -> Detection:
    """Match and score.

    Parameters
    ----------
    predictions, labels : pl.DataFrame
        `item` (code of the image), `class_name` and geometry; predictions `confidence`, labels `extra`
        where COCO's `iscrowd` and `area` are. Labels must be `usable`.
    sizes : (n, 2) int64
        Width and height of each item, in pixels.
    classes : sequence of str
        All classes.
    thresholds : sequence of float
        IoU.
    shape : {"box", "mask", "keypoints"}
    class_aware : bool
    max_detections : int
    sigmas : sequence of float, optional
        Of keypoints.
    """
    found, truth = _boxes(predictions, classes), _boxes(labels, classes, are_labels=True)
    areas = _stated_areas(labels)
    drawn: Masks | None = None
    turned = shape == BOX and any(_any_turned(f) for f in (predictions, labels))
    if shape == MASK:
        from .shapes import drawn as draw
        from .shapes import mask_areas

        masks = draw(predictions, sizes)
        drawn = Masks(masks, draw(labels, sizes), mask_areas(masks))
        areas = np.where(np.isnan(areas), mask_areas(list(drawn.labels)), areas)
    else:
        areas = np.where(np.isnan(areas), truth.box[:, 2] * truth.box[:, 3], areas)
    posed: Keypoints | None = None
    if shape == KEYPOINTS:
        from .keypoints import keypoints

        posed = keypoints(predictions, labels, areas, sigmas)
        nothing = (_stated(labels, "num_keypoints") == 0) | ~posed.labels.marked.any(axis=1)
        truth = truth._replace(ignored=truth.crowd | nothing)

    def pairs_and_matches() -> tuple[Pairs, Matches]:
        orders = by_item(found, truth, len(sizes), by_class=not class_aware and posed is None)
        if posed is not None:
            from .keypoints import pair_keypoints

            pairs = pair_keypoints(posed, truth, orders)
        elif drawn is not None or turned:
            from .shapes import mask_frame, pair_shapes

            frames = (
                (mask_frame(list(drawn.predictions)), mask_frame(list(drawn.labels)))
                if drawn is not None
                else (_as_boxes(predictions), _as_boxes(labels))
            )
            pairs = pair_shapes(*frames, truth, orders)
        else:
            pairs = pair(found, truth, orders)
        limits = np.asarray(thresholds, np.float64)
        return pairs, match(found, truth, pairs, limits, class_aware=class_aware, max_detections=max_detections)

    with ThreadPoolExecutor(1) as pool:  # neither side holds the interpreter's lock
        matching = pool.submit(pairs_and_matches)
        scores = coco_scores(
            found,
            truth,
            areas,
            sizes,
            len(classes),
            thresholds,
            max_detections=max_detections,
            class_aware=class_aware,
            masks=drawn,
            angles=(_angles(predictions), _angles(labels)) if turned else None,
            keypoints=posed,
        )
        pairs, matches = matching.result()
    return Detection(
        found, truth, tuple(classes), tuple(thresholds), pairs, matches, scores, shape, class_aware, max_detections
    )


def _boxes(frame: pl.DataFrame, classes: Sequence[str], *, are_labels: bool = False) -> Boxes:
    n = frame.height
    codes = (
        frame[CLASS_NAME].fill_null("").replace_strict(list(classes), list(range(len(classes))), return_dtype=pl.Int64)
    )
    crowd = np.ascontiguousarray(_stated(frame, "iscrowd") == 1 if are_labels else np.zeros(n, np.bool_))
    confidence = np.zeros(n) if are_labels else frame[CONFIDENCE].fill_null(1.0).to_numpy()
    box = frame.select(pl.col(c).cast(pl.Float64) for c in "xywh").fill_null(0.0).to_numpy()
    return Boxes(
        frame["item"].cast(pl.Int64).to_numpy(),
        codes.to_numpy(),
        np.ascontiguousarray(box),
        crowd,
        crowd,
        np.ascontiguousarray(confidence, np.float64),
    )


def _stated(frame: pl.DataFrame, key: str) -> F64:
    """Read a number that COCO's annotations state besides; NaN where there is none."""
    if EXTRA not in frame.columns or not frame[EXTRA].str.contains(f'"{key}"', literal=True).any():
        return np.full(frame.height, np.nan)
    return frame[EXTRA].str.json_path_match(f"$.{key}").cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()


def _stated_areas(labels: pl.DataFrame) -> F64:
    return _stated(labels, "area")


def _any_turned(frame: pl.DataFrame) -> bool:
    return "angle" in frame.columns and bool(((frame["kind"] == KIND_ROTATED_BOX) & (frame["angle"] != 0)).any())


def _angles(frame: pl.DataFrame) -> F64:
    """Return the turn of each box in degrees, 0 where it is not a turned one."""
    if "angle" not in frame.columns:
        return np.zeros(frame.height)
    angle = pl.when(pl.col("kind") == KIND_ROTATED_BOX).then(pl.col("angle").fill_null(0.0)).otherwise(0.0)
    return frame.select(angle.cast(pl.Float64)).to_series().to_numpy()


def _as_boxes(frame: pl.DataFrame) -> pl.DataFrame:
    """Take every row as its box, turned where it is a turned one."""
    kind = pl.when(pl.col("kind") == KIND_ROTATED_BOX).then("kind").otherwise(pl.lit("box"))
    angle = pl.col("angle") if "angle" in frame.columns else pl.lit(None, dtype=pl.Float64).alias("angle")
    return frame.select(kind.alias("kind"), "x", "y", "w", "h", angle)
