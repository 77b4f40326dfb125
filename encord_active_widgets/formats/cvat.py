"""CVAT in: "CVAT for images 1.1", as XML or in the archive that CVAT exports.

The format is https://docs.cvat.ai/docs/manual/advanced/xml_format/. A box is turned about its centre, in degrees
clockwise; a mask is the run lengths of the rows in its box, those of pixels that are not inside first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError
from ..schema import (
    CLASS_NAME,
    KIND_BOX,
    KIND_CLASSIFICATION,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POINT,
    KIND_POLYGON,
    KIND_POLYLINE,
    KIND_ROTATED_BOX,
    LABEL_ID,
    URI,
)
from .cvat_writer import FORMAT, OWN_ATTRIBUTES
from .cvat_xml import ANNOTATIONS, Node, children, parse_elements, text_of
from .known import Known
from .regions import Found, ellipse, number
from .returned_rows import SENT, Rows, clean
from .source import Fault, Source, existing, valid_text

_MOST_SIDE_PX = 1_000_000
_MOST_MASK_PIXELS = 2**28
_SHAPES = ("box", "polygon", "polyline", "points", "mask", "ellipse", "tag", "skeleton", "cuboid")
_KEPT = ("occluded", "outside", "z_order", "source", "group_id", "keyframe", "subset")

Row = dict[str, Any]


def read_cvat(
    file: str | os.PathLike[str], *, known: Known | None = None, images: str | os.PathLike[str] | None = None
) -> Source:
    """Read an export of CVAT.

    What a shape says besides (`occluded`, `z_order`, its attributes …) is kept as JSON in `extra`.

    Parameters
    ----------
    file : path
        The XML file, the archive with it, or a folder that holds `annotations.xml`.
    known : Known, optional
        The images of the project the labels are for; without it names stay as they are.
    images : path, optional
        The folder that names start from.

    Raises
    ------
    InputError
        The file is no XML of CVAT, declares entities, or names no image.
    """
    path = existing(Path(file), "file of labels")
    if path.is_dir():
        path = existing(path / ANNOTATIONS, "file of labels")
    reader = _Reader(path, known or Known(), Path(images) if images is not None else None)
    parse_elements(path, reader.element)
    if reader.tracks:
        why = f"{reader.tracks:,} tracks of a video are not read"
        reader.rows.faults.append(Fault(path.name, "skipped", why, 'export as "CVAT for images 1.1"'))
    if not reader.uris:
        first = f" The first problem: {reader.rows.faults[0].why}." if reader.rows.faults else ""
        raise InputError(f'"{path}" names no image.{first}', 'Export as "CVAT for images 1.1".')
    labels, faults = reader.rows.frame()
    items = pl.DataFrame({URI: list(reader.uris)}, schema={URI: pl.String})
    card = {"format": FORMAT, "annotations": os.fspath(file), "sent": {}}
    return Source(items, path.stem, card, labels=labels, faults=faults)


def is_cvat(path: Path) -> bool:
    """Tell whether a file, or a folder's `annotations.xml`, is CVAT's: its root is `annotations`."""
    if path.suffix.lower() == ".zip":
        return True
    file = path / ANNOTATIONS if path.is_dir() else path
    try:
        with file.open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        return False
    for mark in (b"\xff\xfe", b"\xfe\xff"):
        if head.startswith(mark):
            head = head.decode("utf-16", "ignore").encode()
    return b"<annotations>" in head or b"<annotations " in head


# -- what a file says --------------------------------------------------------------------------------


class _Reader:
    """One file: its images one by one."""

    def __init__(self, path: Path, known: Known, images: Path | None) -> None:
        self._name = path.name
        self._known = known
        self._images = images
        self.rows = Rows()
        self.uris: dict[str, None] = {}
        self.tracks = 0

    def element(self, node: Node) -> None:
        """Take one element below the root."""
        if node[0] == "track":
            self.tracks += 1
        if node[0] != "image":
            return
        name = node[1].get("name", "")
        where = f"{self._name}: image {name[:80] or node[1].get('id', '')[:20]}"
        if not name or not valid_text(name):
            self._skip(where, "it has no name", "add the attribute name")
            return
        uri = self._address(name)
        if uri in self.uris:
            self._skip(where, "the image stands in the file twice", "keep one of them")
            return
        self.uris[uri] = None
        size = (number_of(node[1].get("width")), number_of(node[1].get("height")))
        for i, part in enumerate(p for p in node[2] if not isinstance(p, str)):
            self._shape(part, uri, f"{where}, {part[0][:20]} {i + 1}", size)

    def _skip(self, where: str, why: str, remedy: str, what: str = "skipped") -> None:
        self.rows.faults.append(Fault(clean(where), what, clean(why), remedy))

    def _address(self, name: str) -> str:
        found = self._known.find(name)
        if found is not None:
            return found
        if self._images is not None:
            return str(self._images / name.lstrip("/"))
        return name

    def _shape(self, node: Node, uri: str, where: str, size: tuple[float | None, float | None]) -> None:
        element, said, _ = node
        if element not in _SHAPES:
            self._skip(where, f'there is no shape "{element[:40]}"', "export it again")
            return
        attributes = {a[1].get("name", ""): text_of(a) for a in children(node, "attribute")}
        name = said.get("label")
        if not name:
            self._skip(where, "it has no label", "choose one for it in CVAT")
            return
        row = _geometry(node, attributes, size)
        if isinstance(row, Found):
            self._skip(where, row.why, row.remedy)
            return
        note = row.pop("note", None)
        if note:
            self._skip(where, note, "draw it as a polygon to have it exact", what="kept")
        kept: dict[str, Any] = {k: said[k] for k in _KEPT if k in said}
        own = {k: attributes.pop(k) for k in OWN_ATTRIBUTES if k in attributes}
        extra = {**kept, "attributes": attributes, **row.pop("more", {})}
        row |= {URI: uri, CLASS_NAME: name, LABEL_ID: self._known.label(own.get("label_id"))}
        row[SENT] = self._known.sent(own.get("label_id"))
        row["track_id"] = own.get("track_id") or None
        plain = {"occluded": "0", "z_order": "0", "source": "manual"}
        self.rows.add(row, {FORMAT: {k: v for k, v in extra.items() if v and plain.get(k) != v}}, where)


def number_of(text: str | None) -> float | None:
    """Return the finite number that a text is."""
    try:
        return number(float(text)) if text is not None and len(text) < 64 else None
    except ValueError:
        return None


_NO_NUMBERS = Found("its coordinates are no finite numbers", "draw it again")


def _numbers(said: dict[str, str], *keys: str) -> list[float] | None:
    found = [number_of(said.get(k)) for k in keys]
    return None if any(v is None for v in found) else [float(v or 0) for v in found]


def _geometry(node: Node, attributes: dict[str, str], size: tuple[float | None, float | None]) -> Row | Found:
    element, said, _ = node
    if element == "tag":
        return {"kind": KIND_CLASSIFICATION}
    if element == "box":
        return _box(said)
    if element == "mask":
        return _mask(said, size)
    if element == "ellipse":
        found, angle = _numbers(said, "cx", "cy", "rx", "ry"), number_of(said.get("rotation", "0"))
        if found is None or angle is None:
            return _NO_NUMBERS
        return ellipse((found[0], found[1]), (found[2], found[3]), angle)
    if element == "cuboid":
        return Found("a cuboid is no shape of a label", "draw it as a polygon")
    if element == "skeleton":
        return _skeleton(node)
    return _line(element, said, attributes)


def _box(said: dict[str, str]) -> Row | Found:
    found = _numbers(said, "xtl", "ytl", "xbr", "ybr")
    angle = number_of(said.get("rotation", "0"))
    if found is None or angle is None:
        return _NO_NUMBERS
    x0, y0, x1, y1 = found
    if x1 <= x0 or y1 <= y0:
        return Found(f"its box has no area (width {x1 - x0:g}, height {y1 - y0:g})", "draw it again")
    box = {"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0}
    if "rotation" in said:
        return {"kind": KIND_ROTATED_BOX, **box, "angle": angle}
    return {"kind": KIND_BOX, **box}


def _points(text: str) -> list[float] | None:
    flat: list[float] = []
    for pair in text.split(";"):
        parts = pair.split(",")
        found = [number_of(p) for p in parts]
        if len(parts) != 2 or any(v is None for v in found):
            return None
        flat += [float(v or 0) for v in found]
    return flat


def _line(element: str, said: dict[str, str], attributes: dict[str, str]) -> Row | Found:
    points = _points(said.get("points", ""))
    if points is None:
        return _NO_NUMBERS
    if element == "points":
        seen = attributes.get("visibility", "").split()
        if len(points) == 2 and not seen:
            return {"kind": KIND_POINT, "points": points}
        whole = len(seen) == len(points) // 2 and all(s in ("0", "1", "2") for s in seen)
        visible = [int(s) for s in seen] if whole else [2] * (len(points) // 2)
        return {"kind": KIND_KEYPOINTS, "points": points, "visibility": visible}
    least = 3 if element == "polygon" else 2
    if len(points) < 2 * least:
        return Found(f"it has fewer than {'three' if least == 3 else 'two'} points", "draw it again")
    return {"kind": KIND_POLYGON if element == "polygon" else KIND_POLYLINE, "points": points}


def _skeleton(node: Node) -> Row | Found:
    points: list[float] = []
    seen: list[int] = []
    for part in children(node, "points"):
        found = _points(part[1].get("points", ""))
        if found is None or len(found) != 2:
            return _NO_NUMBERS
        points += found
        seen.append(0 if part[1].get("outside") == "1" else 1 if part[1].get("occluded") == "1" else 2)
    if not points:
        return Found("its skeleton has no points", "draw it again")
    names = [p[1].get("label", "") for p in children(node, "points")]
    return {"kind": KIND_KEYPOINTS, "points": points, "visibility": seen, "more": {"points": names}}


def _mask(said: dict[str, str], size: tuple[float | None, float | None]) -> Row | Found:
    from ..metrics import masks

    place = _numbers(said, "left", "top", "width", "height")
    if place is None or any(v != int(v) for v in place):
        return Found("its mask does not say where it lies", "export it again")
    left, top, w, h = (int(v) for v in place)
    if size[0] is None or size[1] is None or max(size[0], size[1]) > _MOST_SIDE_PX:
        return Found("its image has no size that a mask can have", "export it with width and height")
    width, height = int(size[0]), int(size[1])
    inside = min(left, top) >= 0 and w > 0 and h > 0 and left + w <= width and top + h <= height
    if not inside or width * height > _MOST_MASK_PIXELS:
        return Found(f"its mask does not lie in its image of {width} × {height} px", "draw it again")
    try:
        runs = np.array([int(v) for v in said.get("rle", "").split(",")], np.int64)
    except (ValueError, OverflowError):
        return Found("its mask is no list of whole numbers", "draw it again")
    if runs.min() < 0 or runs.max() > w * h or int(runs.sum()) != w * h:
        return Found(f"its mask has {int(runs.sum()):,} pixels, its box {w * h:,}", "draw it again")
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + h, left : left + w] = np.repeat(np.arange(len(runs)) % 2, runs).reshape(h, w)
    if not mask.any():
        return Found("its mask is empty", "draw it again")
    return {"kind": KIND_MASK, "rle": masks.encode(mask), "mask_h": height, "mask_w": width}
