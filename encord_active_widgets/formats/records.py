"""Labels that a user's own function reads: one call an image, any of a few simple answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError
from ..schema import KIND_CLASSIFICATION, LABELS, URI
from .frame import WHOLE, label_columns
from .source import Fault, Source

_LONGEST = 200
_BOX = ("x", "y", "w", "h")
_SHAPES = (*_BOX, "points", "mask", "rle")
_NEARLY = (
    "bbox",
    "box",
    "width",
    "height",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "x0",
    "x1",
    "left",
    "top",
    "polygon",
    "segmentation",
)
"""Keys that look like a shape, and are none here."""


def read_records(source: Source, function: Callable[[str], Any]) -> None:
    """Ask `function` what is on each image of `source`, and put it there.

    Parameters
    ----------
    source : Source
        The images; its labels are replaced.
    function : callable
        Called with an image's address. It returns None (nothing known), a class name, one
        label or a list of labels. A label is a class name or a dict with `class_name` and
        either `x, y, w, h` (px; with `angle` in degrees clockwise), or `points` (pairs or flat
        numbers; with `kind` "polygon", "polyline", "point" or "keypoints"; `rings`, `holes`,
        `visibility` as in `p.objects.df`), or `mask` ((h, w) array, not 0 inside). Further keys:
        `track_id`, `annotator`, `seconds`; all others are kept in `extra`.
        What it raises is listed with the image, and the image is left without labels.

    Raises
    ------
    InputError
        `function` cannot be called.
    """
    if not callable(function):
        raise InputError(
            f"labels={function!r:.60} cannot be called.",
            "Pass a function of an image's path; for a file of labels, call p.add_labels(file) afterwards.",
        )
    rows: list[dict[str, Any]] = []
    for uri in source.items[URI]:
        try:
            answer = function(uri)
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises
            why = f"the label function raised {type(error).__name__}: {error}"
            source.faults.append(Fault(uri, "skipped", why[:_LONGEST], "correct the function for this image"))
            continue
        given = [] if answer is None else answer if isinstance(answer, (list, tuple)) else [answer]
        for i, one in enumerate(given):
            row = {"class_name": one, "kind": KIND_CLASSIFICATION} if isinstance(one, str) else one
            if not isinstance(row, Mapping):
                why = f"label {i} is a {type(one).__name__}, not a class name or a dict"
                source.faults.append(Fault(uri, "skipped", why, 'return {"class_name": …, "x": …, …}'))
                continue
            fault = _fault(row)
            if fault is not None:
                source.faults.append(Fault(f"{uri}: label {i}", "skipped", *fault))
                continue
            if not any(row.get(k) is not None for k in _SHAPES):
                row = {**row, "kind": KIND_CLASSIFICATION}
            rows.append({**row, URI: uri})
    labels, faults = label_columns(_frame(rows))
    source.labels = labels
    source.faults.extend(faults)


def _fault(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Say why a label cannot be used as it is: no numbers, a box that is not whole, or neither class nor shape."""
    for name in ("rings", "holes", "visibility"):
        if any(isinstance(v, (bool, np.bool_)) for v in _values(row.get(name))):
            return f'"{name}" holds True and False', WHOLE[name]
    if any(row.get(k) is not None for k in ("points", "mask", "rle")):
        return None
    values = [row.get(k) for k in _BOX]
    there = [v is not None and not (isinstance(v, float) and math.isnan(v)) for v in values]
    if all(there):
        return None
    if row.get("class_name") is None:
        return f"it has no class_name and no shape (its keys: {', '.join(map(str, row))})", 'write {"class_name": …, …}'
    if row.get("kind") != KIND_CLASSIFICATION and any(k in row for k in (*_BOX, *_NEARLY)):
        given = ", ".join(f"{k}={v!r:.20}" for k, v in row.items() if k != "class_name")
        return f"its box is not whole ({given})", "write x, y, w, h in pixels: left, top, width, height"
    return None


def _values(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple, np.ndarray, pl.Series)) else []


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Put dicts with different keys side by side; keys without a column become JSON text in `extra`."""
    import json

    known = (*LABELS.columns, "mask", URI)
    names = list(dict.fromkeys(k for row in rows for k in row if k in known))
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        columns[name] = pl.Series(name, values, dtype=pl.Object) if name in ("mask", "points") else values
    rest = [{k: v for k, v in row.items() if k not in known} for row in rows]
    frame = pl.DataFrame(columns, strict=False) if rows else pl.DataFrame(schema={URI: pl.String})
    if any(rest):
        texts = [json.dumps(r, default=str) if r else None for r in rest]
        frame = frame.with_columns(pl.Series("extra", texts, dtype=pl.String))
    return frame
