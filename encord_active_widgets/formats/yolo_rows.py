"""The label files of YOLO datasets: a row an object, numbers as shares of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ..errors import EawError
from ..schema import CLASS_NAME, KIND_BOX, KIND_KEYPOINTS, KIND_POLYGON, KIND_ROTATED_BOX, URI
from .source import Fault

OUTSIDE = 1e-3
"""How far beyond the image a number may lie: annotation tools round. Further out the row is skipped."""
_BOX_NUMBERS = 4
_OBB_NUMBERS = 8
_SHOWN = 80

Numbers = list[float]


def label_file(uri: str) -> Path:
    """Return where the labels of an image lie: `images` becomes `labels`, the suffix `.txt`.

    >>> label_file("set/images/train/a.jpg").as_posix()
    'set/labels/train/a.txt'
    """
    parts = list(PurePath(uri).parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def read_label_file(
    uri: str,
    names: dict[int, str],
    task: str | None,
    points: tuple[int, int] | None,
    rows: dict[str, list[Any]],
    faults: list[Fault],
) -> None:
    """Append the rows of the label file of an image, and list those that cannot be used."""
    file = label_file(uri)
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return  # an image without labels
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(str(file), "skipped", f"it cannot be read: {error}", "check the file"))
        return
    if not text.strip():
        return
    size = _size(uri)
    if size is None:
        return  # the importer lists the image
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = _row(line, names, task, points, size)
        if isinstance(found, str):
            faults.append(Fault(f"{file}:{number}", "skipped", found, "correct the row or remove it"))
            continue
        row = {"angle": None, "points": None, "visibility": None, **found, URI: uri}
        for key, values in rows.items():
            values.append(row[key])


def _size(uri: str) -> tuple[int, int] | None:
    from ..images.address import read_bytes
    from ..images.decode import probe

    try:
        header = probe(read_bytes(uri))
    except EawError:
        return None
    return header.width, header.height


def _row(
    line: str, names: dict[int, str], task: str | None, points: tuple[int, int] | None, size: tuple[int, int]
) -> dict[str, Any] | str:
    """Read one row: class and geometry, or why it cannot be used."""
    parts = line.split()
    try:
        number = float(parts[0])
        values = [float(p) for p in parts[1:]]
    except (ValueError, OverflowError):
        return f"it has something that is no number ({line.strip()[:_SHOWN]})"
    code = int(number) if number.is_integer() else None
    if code is None or code not in names:
        return f"there is no class {parts[0][:_SHOWN]}"
    name = {CLASS_NAME: names[code]}
    if not all(math.isfinite(v) for v in values):
        return "it has numbers that are not finite"
    kind = task or ("detect" if len(values) == _BOX_NUMBERS else "segment")
    if kind == "detect" or (kind == "segment" and len(values) == _BOX_NUMBERS):
        return _with(name, _box(values, size))
    if kind == "obb":
        return _with(name, _turned(values, size))
    if kind == "pose":
        return _with(name, _pose(values, points or (max((len(values) - 4) // 3, 1), 3), size))
    return _with(name, _polygon(values, size))


def _with(name: dict[str, str], shape: dict[str, Any] | str) -> dict[str, Any] | str:
    return shape if isinstance(shape, str) else {**name, **shape}


def _inside(values: Sequence[float]) -> bool:
    return all(-OUTSIDE <= v <= 1 + OUTSIDE for v in values)


def _box(values: Numbers, size: tuple[int, int]) -> dict[str, Any] | str:
    if len(values) != _BOX_NUMBERS:
        return f"a box has four numbers after the class, this row has {len(values)}"
    cx, cy, w, h = values
    if w <= 0 or h <= 0:
        return f"its box has no area (width {w:g}, height {h:g})"
    if not _inside((cx, cy, w, h)):
        return "its box lies outside of the image: numbers are shares of the image, from 0 to 1"
    width, height = size
    return {"kind": KIND_BOX, "x": (cx - w / 2) * width, "y": (cy - h / 2) * height, "w": w * width, "h": h * height}


def _scaled(values: Numbers, size: tuple[int, int]) -> Numbers:
    return [v * size[i % 2] for i, v in enumerate(values)]


def _polygon(values: Numbers, size: tuple[int, int]) -> dict[str, Any] | str:
    if len(values) < 6 or len(values) % 2:
        return f"a polygon has at least three pairs of numbers, this row has {len(values)} numbers"
    if not _inside(values):
        return "its polygon lies outside of the image: numbers are shares of the image, from 0 to 1"
    points = _scaled([min(max(v, 0.0), 1.0) for v in values], size)
    return {"kind": KIND_POLYGON, "points": points, **_bounds(points)}


def _bounds(points: Numbers) -> dict[str, float]:
    xs, ys = points[0::2], points[1::2]
    return {"x": min(xs), "y": min(ys), "w": max(xs) - min(xs), "h": max(ys) - min(ys)}


def _turned(values: Numbers, size: tuple[int, int]) -> dict[str, Any] | str:
    if len(values) != _OBB_NUMBERS:
        return f"a rotated box has four corners, eight numbers; this row has {len(values)}"
    if not all(-1 <= v <= 2 for v in values):
        return "its rotated box lies far outside of the image: numbers are shares of the image"
    corners = np.array(_scaled(values, size)).reshape(4, 2)
    side = corners[1] - corners[0]
    w, h = float(np.hypot(*side)), float(np.hypot(*(corners[2] - corners[1])))
    if w <= 0 or h <= 0:
        return "its rotated box has no area"
    cx, cy = corners.mean(axis=0).tolist()
    angle = math.degrees(math.atan2(side[1], side[0]))
    return {"kind": KIND_ROTATED_BOX, "x": cx - w / 2, "y": cy - h / 2, "w": w, "h": h, "angle": angle}


def _pose(values: Numbers, shape: tuple[int, int], size: tuple[int, int]) -> dict[str, Any] | str:
    k, numbers = shape
    if len(values) != 4 + k * numbers:
        return f"a pose has a box and {k} points of {numbers} numbers; this row has {len(values)} numbers"
    box = _box(values[:4], size)
    if isinstance(box, str):
        return box
    triples = [values[4 + i * numbers : 4 + (i + 1) * numbers] for i in range(k)]
    stated = [t[2] if numbers == 3 else 2 for t in triples]
    if not all(s in (0, 1, 2) for s in stated):
        return "its visibility is not 0, 1 or 2"
    seen = [int(s) for s in stated]
    points = [v for t, s in zip(triples, seen, strict=True) for v in ((t[0], t[1]) if s else (0.0, 0.0))]
    if not _inside(points):
        return "its points lie outside of the image: numbers are shares of the image, from 0 to 1"
    return {**box, "kind": KIND_KEYPOINTS, "points": _scaled(points, size), "visibility": seen}
