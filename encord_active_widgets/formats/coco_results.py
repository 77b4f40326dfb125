"""COCO results: a list of detections with `score`, read into columns."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import EawError, InputError
from ..schema import CLASS_NAME, CONFIDENCE, KIND_KEYPOINTS, LABELS
from .coco_shapes import read_mask
from .json_columns import JsonText, Rows
from .poses import VISIBILITIES, are_scores, seen
from .run import IMAGE, PLACE, Context, RunSource, Skipped
from .run_classes import by_category
from .run_source import HELD, run_source

_KEYS = ("image_id", "category_id", "score", "bbox", "segmentation", "keypoints", "id")


def read_coco_results(file: Path, context: Context, *, box_format: str = "xywh", name: str = "") -> RunSource:
    """Read detections as COCO's evaluation takes them, or a COCO file whose annotations have a `score`.

    Each has `image_id`, `category_id`, `score` and one of `bbox`, `segmentation` (run lengths or polygons)
    or `keypoints`. No Python object is made a box. The third values of keypoints are visibilities (0, 1, 2),
    unless any in the file is no whole number: then all are scores, see `poses.seen`.

    Raises
    ------
    InputError
        Not JSON, not of this form, or of another dataset.
    """
    text = JsonText(file)
    rows = text.array(_KEYS)
    if rows is None:
        _, arrays = text.members({"annotations": (_KEYS, ())})
        rows = arrays.get("annotations")
    if rows is None:
        raise InputError(
            f'"{name or file}" is no list of results.', 'Expected [{"image_id": …, "category_id": …, "score": …, …}].'
        )
    if not len(rows):
        raise InputError(f'"{name or file}" holds no predictions.', "Check that it was written to its end.")
    if not (rows.end["score"] > rows.start["score"]).any():
        raise InputError(f'The entries of "{name or file}" have no "score".', "Labels are added by p.add_labels(…).")
    name = name or file.name
    skipped = Skipped()
    scores = text.numbers(rows.start["score"], rows.end["score"])
    frame = pl.DataFrame(
        {
            PLACE: pl.int_range(len(rows), eager=True),
            IMAGE: _ids(text, rows, "image_id"),
            "category": _ids(text, rows, "category_id"),
            CONFIDENCE: scores,
            HELD: _held(text, rows, ~((scores >= 0) & (scores <= 1))),
        }
    )
    frame = frame.with_columns(by_category(frame["category"], context, name).alias(CLASS_NAME))
    frame, bad = _shapes(text, rows, frame)
    frame = frame.with_columns(pl.format("[{}]", PLACE).alias(PLACE), pl.Series("bad", bad, dtype=pl.String))
    frame = skipped.without(frame, pl.Series(rows.broken), "it is not an object", "remove it")
    remedy = "pass classes={number: name, …}"
    frame = skipped.without(frame, frame[CLASS_NAME].is_null(), "its category is not known", remedy, pl.col("category"))
    odd = frame["bad"].is_not_null()
    frame = skipped.without(frame, odd, "its shape cannot be used", "write it as COCO defines it", pl.col("bad"))
    skipped.faults = skipped.named(name)
    rest = frame.drop("category", "bad")
    return run_source(rest, context, name, box_format=box_format, ids=True, skipped=skipped)


def read_coco_list(results: Any, context: Context, *, box_format: str = "xywh") -> RunSource:
    """Read results that are in memory: a list of dicts, or a dict with "annotations".

    Raises
    ------
    InputError
        As for a file; or a value has no form in JSON.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "results.json"
        try:
            file.write_text(json.dumps(results, default=_plain), "utf-8")
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The results hold something that is no JSON: {error}.", "Give numbers and lists."
            ) from error
        return read_coco_results(file, context, box_format=box_format, name="the results")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


def _ids(text: JsonText, rows: Rows, key: str) -> pl.Series:
    """Read ids as texts: 7, 7.0 and "7" are the same."""
    start, end = rows.start[key], rows.end[key]
    whole, good = text.integers(start, end)
    if good.all():
        return pl.Series(key, whole).cast(pl.String)
    return pl.Series(key, [_id(v) for v in text.objects(start, end)], dtype=pl.String)


def _id(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _held(text: JsonText, rows: Rows, wrong: np.ndarray[Any, Any]) -> pl.Series:
    """Return what the file holds for scores that are none."""
    found: list[str | None] = [None] * len(rows)
    for i in np.flatnonzero(wrong).tolist():
        found[i] = text.text(int(rows.start["score"][i]), int(rows.end["score"][i])) or "none"
    return pl.Series(HELD, found, dtype=pl.String)


def _shapes(text: JsonText, rows: Rows, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str | None]]:
    """Add boxes, masks, polygons and keypoints; and say, row by row, what is wrong with them."""
    box, sizes = text.vectors(rows.start["bbox"], rows.end["bbox"], 4)
    box[sizes != 4] = np.nan
    frame = frame.with_columns(pl.Series(c, box[:, i]) for i, c in enumerate("xywh"))
    shaped = np.flatnonzero(rows.end["segmentation"] > rows.start["segmentation"])
    poses = np.flatnonzero(rows.end["keypoints"] > rows.start["keypoints"])
    n = frame.height
    bad: list[str | None] = [None] * n
    if not shaped.size and not poses.size:
        return frame, bad
    columns: dict[str, list[Any]] = {
        k: [None] * n for k in ("points", "rings", "rle", "mask_h", "mask_w", "kind", "visibility")
    }
    found = text.objects(rows.start["segmentation"][shaped], rows.end["segmentation"][shaped])
    for i, value in zip(shaped.tolist(), found, strict=True):
        if isinstance(value, dict):
            try:
                columns["rle"][i], columns["mask_h"][i], columns["mask_w"][i] = read_mask(value)
            except EawError as error:
                bad[i] = error.message
        elif isinstance(value, list) and value:
            rings = value if isinstance(value[0], list) else [value]
            if not _numbers(rings):
                bad[i] = "its segmentation has something that is no number"
                continue
            columns["points"][i] = [float(v) for ring in rings for v in ring]
            columns["rings"][i] = [len(ring) // 2 for ring in rings] if len(rings) > 1 else None
    values = text.objects(rows.start["keypoints"][poses], rows.end["keypoints"][poses])
    _poses(poses.tolist(), values, columns, bad)
    there = {k: v for k, v in columns.items() if any(x is not None for x in v)}
    return frame.with_columns(pl.Series(k, v, dtype=LABELS.columns[k]) for k, v in there.items()), bad


def _poses(rows: Sequence[int], values: Sequence[Any], columns: dict[str, list[Any]], bad: list[str | None]) -> None:
    """Fill in the keypoints; whether they have scores is asked of all of them together."""
    thirds: dict[int, np.ndarray[Any, Any]] = {}
    for i, value in zip(rows, values, strict=True):
        if value is None or value == []:
            continue
        if not isinstance(value, list) or len(value) % 3 or not _numbers([value]) or not np.isfinite(value).all():
            bad[i] = "its keypoints are no list of x, y and visibility or score"
            continue
        columns["kind"][i] = KIND_KEYPOINTS
        columns["points"][i] = [float(v) for j, v in enumerate(value) if j % 3 != 2]
        columns["rle"][i] = columns["rings"][i] = None
        thirds[i] = np.asarray(value[2::3], np.float64)
    scores = any(are_scores(v) for v in thirds.values())
    for i, third in thirds.items():
        if scores or np.isin(third, VISIBILITIES).all():
            columns["visibility"][i] = seen(third, scores=scores)
        else:
            bad[i] = f"a visibility is {third[~np.isin(third, VISIBILITIES)][0]:g}, not 0, 1 or 2"


def _numbers(rings: list[Any]) -> bool:
    return all(
        isinstance(r, list) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in r) for r in rings
    )
