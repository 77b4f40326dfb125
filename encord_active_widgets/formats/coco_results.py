"""COCO results: a list of detections with `score`, read into columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import EawError, InputError
from ..schema import CLASS_NAME, CONFIDENCE, KIND_KEYPOINTS, LABELS
from .coco import _mask
from .json_columns import JsonText, Rows
from .run import Context
from .run_source import IMAGE, PLACE, by_code, run_source, without
from .source import Fault, Source

_KEYS = ("image_id", "category_id", "score", "bbox", "segmentation", "keypoints", "id")


def read_coco_results(file: Path, context: Context, *, box_format: str = "xywh") -> Source:
    """Read detections as COCO's evaluation takes them, or a COCO file whose annotations have a `score`.

    Each has `image_id`, `category_id`, `score` and one of `bbox`, `segmentation` (run lengths or polygons)
    or `keypoints`. No Python object is made a box.

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
            f'"{file}" is no list of results.', 'Expected [{"image_id": …, "category_id": …, "score": …, …}].'
        )
    if not len(rows):
        raise InputError(f'"{file}" holds no predictions.', "Check that it was written to its end.")
    if not (rows.end["score"] > rows.start["score"]).any():
        raise InputError(f'The entries of "{file}" have no "score".', "Labels are added by p.add_labels(…).")
    name = file.name
    faults: list[Fault] = []
    frame = pl.DataFrame(
        {
            PLACE: pl.int_range(len(rows), eager=True),
            IMAGE: _ids(text, rows, "image_id"),
            "category": _ids(text, rows, "category_id"),
            CONFIDENCE: text.numbers(rows.start["score"], rows.end["score"]),
        }
    )
    frame = frame.with_columns(by_code(frame["category"], context).alias(CLASS_NAME))
    frame = _shapes(text, rows, frame)
    frame = frame.with_columns(pl.format("[{}]", PLACE).alias(PLACE), pl.col(CONFIDENCE).fill_nan(None))
    frame = without(frame, pl.Series(rows.broken), faults, "it is not an object", "remove it")
    unknown = frame[CLASS_NAME].is_null()
    if unknown.all():
        raise InputError(
            f'0 of the {frame["category"].n_unique():,} category ids in "{name}" are known (the first is '
            f"{frame['category'][0]}; the project has {', '.join(map(str, list(context.categories)[:5])) or 'none'}).",
            "Pass classes={number: name, …}.",
        )
    remedy = "pass classes={number: name, …}"
    frame = without(frame, unknown, faults, "its category is not known", remedy, "category")
    source = run_source(frame.drop("category"), context, name, box_format=box_format, ids=True)
    source.faults[:0] = [Fault(f"{name}: {f.where}", f.what, f.why, f.remedy) for f in faults]
    return source


def _ids(text: JsonText, rows: Rows, key: str) -> pl.Series:
    """Read ids as texts: 7 and "7" are the same."""
    start, end = rows.start[key], rows.end[key]
    whole, good = text.integers(start, end)
    if good.all():
        return pl.Series(key, whole).cast(pl.String)
    values = text.objects(start, end)
    return pl.Series(
        key,
        [str(v) if isinstance(v, (int, str)) and not isinstance(v, bool) else None for v in values],
        dtype=pl.String,
    )


def _shapes(text: JsonText, rows: Rows, frame: pl.DataFrame) -> pl.DataFrame:
    """Add boxes, masks, polygons and keypoints; what cannot be read is left out, and judged as missing."""
    box, sizes = text.vectors(rows.start["bbox"], rows.end["bbox"], 4)
    box[sizes != 4] = np.nan
    frame = frame.with_columns(pl.Series(c, box[:, i]) for i, c in enumerate("xywh"))
    shaped = np.flatnonzero(rows.end["segmentation"] > rows.start["segmentation"])
    poses = np.flatnonzero(rows.end["keypoints"] > rows.start["keypoints"])
    if not shaped.size and not poses.size:
        return frame
    n = frame.height
    columns: dict[str, list[Any]] = {
        k: [None] * n for k in ("points", "rings", "rle", "mask_h", "mask_w", "kind", "visibility")
    }
    found = text.objects(rows.start["segmentation"][shaped], rows.end["segmentation"][shaped])
    for i, value in zip(shaped.tolist(), found, strict=True):
        if isinstance(value, dict):
            try:
                columns["rle"][i], columns["mask_h"][i], columns["mask_w"][i] = _mask(value)
            except EawError:
                columns["rle"][i], columns["mask_h"][i], columns["mask_w"][i] = b"", 0, 0
        elif isinstance(value, list) and value:
            rings = value if isinstance(value[0], list) else [value]
            columns["points"][i] = [float(v) for ring in rings for v in ring] if _numbers(rings) else [float("nan")] * 6
            columns["rings"][i] = [len(ring) // 2 for ring in rings] if len(rings) > 1 and _numbers(rings) else None
    for i, value in zip(
        poses.tolist(), text.objects(rows.start["keypoints"][poses], rows.end["keypoints"][poses]), strict=True
    ):
        if not isinstance(value, list) or not value or len(value) % 3 or not _numbers([value]):
            continue
        columns["kind"][i] = KIND_KEYPOINTS
        columns["points"][i] = [float(v) for j, v in enumerate(value) if j % 3 != 2]
        columns["visibility"][i] = [min(max(int(v), 0), 2) for v in value[2::3]]
    there = {k: v for k, v in columns.items() if any(x is not None for x in v)}
    return frame.with_columns(pl.Series(k, v, dtype=LABELS.columns[k]) for k, v in there.items())


def _numbers(rings: list[Any]) -> bool:
    return all(
        isinstance(r, list) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in r) for r in rings
    )
