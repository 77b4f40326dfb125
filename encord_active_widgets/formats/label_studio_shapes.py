"""The regions of Label Studio as shapes in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError
from ..schema import (
    KIND_BOX,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POINT,
    KIND_POLYGON,
    KIND_POLYLINE,
    KIND_ROTATED_BOX,
    LABEL_ID,
)
from .coco_writer import corners_of
from .regions import Found, ellipse, number

LABEL_KEYS = (
    "rectanglelabels", "polygonlabels", "keypointlabels", "brushlabels", "ellipselabels", "vectorlabels", "labels"
)  # fmt: skip
_MOST_PERCENT = 1000.0
"""Beyond this a number is no share of an image."""
_OUTSIDE_PERCENT = 1e-6
_MOST_POINTS = 1_000_000
_MOST_SIDE_PX = 1_000_000

Size = tuple[float, float]
Row = dict[str, Any]


def is_away(row: Mapping[str, Any], size: Size) -> bool:
    """Tell whether a shape in pixels lies beside its image altogether."""
    if row["kind"] == KIND_MASK:
        return False
    if row["kind"] == KIND_ROTATED_BOX:
        corners = corners_of(row["x"], row["y"], row["w"], row["h"], row["angle"])
        xs, ys = corners[:, 0].tolist(), corners[:, 1].tolist()
    elif row["kind"] == KIND_BOX:
        xs, ys = [row["x"], row["x"] + row["w"]], [row["y"], row["y"] + row["h"]]
    else:
        xs, ys = row["points"][0::2], row["points"][1::2]
    edge = _OUTSIDE_PERCENT * max(size)
    return any(max(at) < -edge or min(at) > side + edge for at, side in ((xs, size[0]), (ys, size[1])))


def class_names(value: Mapping[str, Any]) -> list[str]:
    """Return the classes of a region; most have one."""
    for key in LABEL_KEYS:
        names = value.get(key)
        if isinstance(names, list):
            return [n for n in names if isinstance(n, str) and n]
    return []


def shape(result: Mapping[str, Any], value: Mapping[str, Any], size: Size) -> Row | Found:
    """Return a region's geometry in pixels, with `outside` where it leaves the image.

    Parameters
    ----------
    result : mapping
        The whole result, for its type and `meta`.
    value : mapping
        Its value, in per cent.
    size : (float, float)
        Width and height of the image in pixels.
    """
    if number(result.get("image_rotation", 0)) not in (0.0, 360.0):
        return Found("its image was turned in Label Studio", "turn it back there, and export again")
    if "rle" in value:
        return _mask(value, size)
    if "points" in value or "vertices" in value:
        return _line(value, size)
    if "radiusX" in value:
        return _ellipse(value, size)
    if "keypointlabels" in value or result.get("type") in ("keypointlabels", "keypoint"):
        return _dot(value, size)
    if "x" in value and "width" in value:
        return _box(result, value, size)
    kind = result.get("type")
    return Found(f"the tool {kind!s:.40} draws no label", "keep it in Label Studio")


_NO_NUMBERS = Found("its coordinates are no per cent of the image", "draw it again")


def _percent(value: Mapping[str, Any], *keys: str) -> list[float] | None:
    found = [number(value.get(k)) for k in keys]
    if any(v is None or abs(v) > _MOST_PERCENT for v in found):
        return None
    return [float(v or 0) for v in found]


def _box(result: Mapping[str, Any], value: Mapping[str, Any], size: Size) -> Row | Found:
    found = _percent(value, "x", "y", "width", "height")
    angle = number(value.get("rotation", 0.0))
    if found is None or angle is None:
        return _NO_NUMBERS
    x, w = (v * size[0] / 100 for v in found[0::2])
    y, h = (v * size[1] / 100 for v in found[1::2])
    if w <= 0 or h <= 0:
        return Found(f"its box has no area (width {w:g}, height {h:g})", "draw it again")
    meta = result.get("meta")
    turned = angle % 360 != 0 or (isinstance(meta, dict) and meta.get("kind") == KIND_ROTATED_BOX)
    if not turned:
        edge = _OUTSIDE_PERCENT
        left, top, right, bottom = found[0], found[1], found[0] + found[2], found[1] + found[3]
        outside = min(left, top) < -edge or max(right, bottom) > 100 + edge
        return {"kind": KIND_BOX, "x": x, "y": y, "w": w, "h": h, "outside": outside}
    turn = math.radians(angle)
    cos, sin = math.cos(turn), math.sin(turn)
    centre = (x + (w * cos - h * sin) / 2, y + (w * sin + h * cos) / 2) if angle else (x + w / 2, y + h / 2)
    place = {"x": centre[0] - w / 2, "y": centre[1] - h / 2} if angle else {"x": x, "y": y}
    return {"kind": KIND_ROTATED_BOX, **place, "w": w, "h": h, "angle": angle}


def _pairs(points: Any, size: Size) -> tuple[list[float], bool] | None:
    if not isinstance(points, list) or len(points) > _MOST_POINTS:
        return None
    flat: list[float] = []
    outside = False
    for pair in points:
        if not isinstance(pair, list) or len(pair) != 2:
            return None
        x, y = number(pair[0]), number(pair[1])
        if x is None or y is None or max(abs(x), abs(y)) > _MOST_PERCENT:
            return None
        outside |= not (min(x, y) >= -_OUTSIDE_PERCENT and max(x, y) <= 100 + _OUTSIDE_PERCENT)
        flat += [x * size[0] / 100, y * size[1] / 100]
    return flat, outside


def _line(value: Mapping[str, Any], size: Size) -> Row | Found:
    points = value.get("points")
    closed = value.get("closed", "vertices" not in value) is not False
    if points is None:
        vertices = value.get("vertices")
        if not isinstance(vertices, list) or any(not isinstance(v, dict) for v in vertices):
            return _NO_NUMBERS
        if any(v.get("isBezier") for v in vertices):
            return Found("it is drawn with curves", "draw it with straight lines")
        points = [[v.get("x"), v.get("y")] for v in vertices]
    found = _pairs(points, size)
    if found is None:
        return _NO_NUMBERS
    least = 3 if closed else 2
    if len(found[0]) < 2 * least:
        return Found(f"it has fewer than {'three' if closed else 'two'} points", "draw it again")
    return {"kind": KIND_POLYGON if closed else KIND_POLYLINE, "points": found[0], "outside": found[1]}


def _dot(value: Mapping[str, Any], size: Size) -> Row | Found:
    found = _pairs([[value.get("x"), value.get("y")]], size)
    if found is None:
        return _NO_NUMBERS
    return {"kind": KIND_POINT, "points": found[0], "outside": found[1]}


def _ellipse(value: Mapping[str, Any], size: Size) -> Row | Found:
    found = _percent(value, "x", "y", "radiusX", "radiusY")
    angle = number(value.get("rotation", 0.0))
    if found is None or angle is None:
        return _NO_NUMBERS
    centre = (found[0] * size[0] / 100, found[1] * size[1] / 100)
    radii = (found[2] * size[0] / 100, found[3] * size[1] / 100)
    return ellipse(centre, radii, angle)


def _mask(value: Mapping[str, Any], size: Size) -> Row | Found:
    from ..metrics import masks
    from .brush import decode_brush

    width, height = int(size[0]), int(size[1])
    if max(width, height) > _MOST_SIDE_PX:
        return Found("its image is too large for a mask", "cut it into tiles")
    try:
        mask = decode_brush(value["rle"], height, width)
    except InputError as error:
        return Found(error.message[:1].lower() + error.message[1:].rstrip("."), "draw it again")
    if not mask.any():
        return Found("its mask is empty", "draw it again")
    return {"kind": KIND_MASK, "rle": masks.encode(mask), "mask_h": height, "mask_w": width}


def pose(parts: Sequence[Mapping[str, Any]], size: Size) -> Row | Found:
    """Put the points of one pose together; one that was taken away is not labelled."""
    first = parts[0]["meta"]
    n = first.get("of")
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n <= _MOST_POINTS:
        return Found("its pose does not say how many points it has", "draw it again")
    points, seen = [0.0] * (2 * n), [0] * n
    names: list[str] = []
    for part in parts:
        i, visible = part["meta"].get("point"), part["meta"].get("visibility", 2)
        value = part.get("value")
        found = _pairs([[value.get("x"), value.get("y")]], size) if isinstance(value, dict) else None
        whole = isinstance(i, int) and not isinstance(i, bool) and 0 <= i < n
        if found is None or not whole or visible not in (0, 1, 2):
            return _NO_NUMBERS
        points[2 * i : 2 * i + 2], seen[i] = found[0], int(visible)
        names += class_names(value or {})
    if not names:
        return Found("it has no class", "choose one for it in Label Studio")
    own = first.get(LABEL_ID)
    row = {"kind": KIND_KEYPOINTS, "points": points, "visibility": seen, "class_name": names[0]}
    return {**row, LABEL_ID: own if isinstance(own, str) else None}
