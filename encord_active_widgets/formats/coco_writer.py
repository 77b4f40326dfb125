"""COCO annotations out: what was read from COCO comes out as it was, all else in COCO's own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..schema import (
    CLASS_NAME,
    EXTRA,
    ITEM_ID,
    KIND_BOX,
    KIND_CLASSIFICATION,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POLYGON,
    KIND_ROTATED_BOX,
    ORDINAL,
)  # fmt: skip
from ..store.writing import Writing
from .coco import FORMAT
from .coco_shapes import MARK, OWN

_SEPARATORS = (",", ":")
Number = Callable[[float], float | int]
"""How a coordinate is written: whole ones as 10 or as 10.0, as they were read."""


def write_coco(
    items: pl.DataFrame,
    labels: pl.DataFrame,
    path: Path,
    headers: list[Mapping[str, Any]],
    *,
    name: str,
    writing: Writing | None = None,
) -> list[str]:
    """Write one JSON file, under another name first.

    Parameters
    ----------
    items : pl.DataFrame
        `item_id`, `file_name`, `width`, `height` and `extra`, in the order of the file.
    labels : pl.DataFrame
        Labels of these items, `area` where it is known, in the order of the file.
    path : Path
        The file.
    headers : list of dict
        What the project's sources said of themselves; COCO's categories, info and licences.
    name : str
        What the file is about, where no source says it.
    writing : Writing, optional
        What takes the files away again if the export fails.

    Returns
    -------
    list of str
        What COCO has no words for, and how it was written.
    """
    notes: list[str] = []
    objects = labels.filter(pl.col("kind") != KIND_CLASSIFICATION)
    if objects.height < labels.height:
        notes.append(f"{labels.height - objects.height:,} classes of whole images: COCO has no place for them")
    names = objects[CLASS_NAME].drop_nulls().unique(maintain_order=True).to_list()
    categories, ids = _categories(headers, names)
    images, image_ids = _images(items)
    base = next((h for h in headers if h.get("format") == FORMAT), None)
    rest: dict[str, Any] = dict(base.get("rest", {})) if base else {"info": {"description": name}, "licenses": []}
    absent = set(base.get("absent", [])) if base else set()
    own = objects.filter(~pl.col("kind").is_in([KIND_BOX, KIND_POLYGON, KIND_MASK, KIND_KEYPOINTS]))
    for kind, n in own["kind"].value_counts(sort=True).iter_rows():
        notes.append(f'{n:,} of kind {kind}: their exact shape is in the key "{OWN}", which other tools ignore')
    order = list(base.get("order", [])) if base else []
    order += [key for key in (*rest, "images", "annotations", "categories") if key not in order]
    if "annotations" in absent and not objects.height:
        order.remove("annotations")
    writing = writing or Writing(f'"{path}"')
    with writing.file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("{")
        for i, key in enumerate(order):
            file.write(f"{',' if i else ''}\n{_text(key)}:")
            if key == "images":
                _write_list(file, images)
            elif key == "annotations":
                _write_list(file, _annotations(objects, image_ids, ids))
            else:
                file.write(_text(categories if key == "categories" else rest[key]))
        file.write("\n}\n")
    return notes


def _write_list(file: Any, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    file.write("[")
    for i, row in enumerate(rows):
        file.write(f"{',' if i else ''}\n{_text(row)}")
    file.write("]")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=_SEPARATORS)


def _categories(headers: list[Mapping[str, Any]], names: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return the sources' categories, extended by classes they lack, and the id of each class."""
    listed: list[Any] = []
    ids: dict[str, Any] = {}
    for header in headers:
        if header.get("format") == FORMAT:
            fresh = [c for c in header.get("categories") or [] if not (listed and _name(c) in ids)]
            taken = {c.get("id") for c in listed if isinstance(c, dict)}
            for c in fresh:
                if isinstance(c, dict) and c.get("id") in taken:
                    c = {**c, "id": _next_id(listed)}  # noqa: PLW2901 - the same category under a free number
                listed.append(c)
                if isinstance(c, dict) and "id" in c and "name" in c:
                    ids[_name(c)] = c["id"]
        elif isinstance(header.get("names"), Mapping):
            for key, name in header["names"].items():
                if str(name) not in ids and int(key) not in ids.values():
                    listed.append({"id": int(key), "name": str(name)})
                    ids[str(name)] = int(key)
    for name in sorted(n for n in names if n not in ids):
        ids[name] = _next_id(listed)
        listed.append({"id": ids[name], "name": name})
    return listed, ids


def _name(category: Any) -> str:
    return str(category.get("name")) if isinstance(category, dict) else ""


def _next_id(categories: list[Any]) -> int:
    numbers = [c["id"] for c in categories if isinstance(c, dict) and isinstance(c.get("id"), int)]
    return max(numbers, default=0) + 1


def _images(items: pl.DataFrame) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    images: list[dict[str, Any]] = []
    ids: dict[str, Any] = {}
    extras = [json.loads(e) if e else {} for e in items[EXTRA]] if EXTRA in items.columns else [{}] * items.height
    numbers = _Ids([e.get("id") for e in extras])
    columns = zip(items[ITEM_ID], items["file_name"], items["width"], items["height"], extras, strict=True)
    for item_id, file_name, width, height, extra in columns:
        own = numbers.take(extra.get("id"))
        row = {"id": own, "file_name": file_name, **{k: v for k, v in extra.items() if k != "id"}}
        if "id" not in extra:
            row |= {k: v for k, v in (("width", width), ("height", height)) if v is not None}
        images.append(row)
        ids[item_id] = own
    return images, ids


class _Ids:
    """Gives ids out once: the source's own where it is free, else the next number."""

    def __init__(self, wanted: list[Any]) -> None:
        numbers = [w for w in wanted if isinstance(w, int)]
        self._next = max(numbers, default=0) + 1
        self._taken: set[Any] = set()

    def take(self, own: Any) -> Any:
        if own is None or own in self._taken:
            own = self._next
            self._next += 1
        self._taken.add(own)
        return own


def _annotations(
    objects: pl.DataFrame, image_ids: Mapping[str, Any], category_ids: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    wanted = ("points", "rings", "holes", "visibility", "rle", "mask_h", "mask_w", "angle", EXTRA, "area", "track_id")
    missing = [pl.lit(None).alias(c) for c in wanted if c not in objects.columns]
    ordered = objects.sort(ORDINAL).with_columns(missing)
    marks = pl.Series([None if e is None else _own_id(e) for e in ordered[EXTRA]], dtype=pl.Object).to_list()
    numbers = _Ids(marks)
    for row in ordered.select(ITEM_ID, "kind", CLASS_NAME, "x", "y", "w", "h", *wanted).iter_rows(named=True):
        extra = json.loads(row[EXTRA]) if row[EXTRA] else {}
        mark = extra.pop(MARK, {})
        from_coco = "id" in extra or "iscrowd" in extra
        out: dict[str, Any] = {
            "id": numbers.take(extra.pop("id", None)),
            "image_id": image_ids[row[ITEM_ID]],
            "category_id": extra.pop("category_id", None),
        }
        if out["category_id"] is None:
            out["category_id"] = category_ids.get(row[CLASS_NAME])
        box = _bounds(row)
        number = float if mark.get("dotted") else _short
        if "bbox" not in mark.get("absent", []):
            out["bbox"] = [number(v) for v in box]
        if "segmentation" not in extra:
            segmentation = _segmentation(row, mark, number)
            if segmentation is not None:
                out["segmentation"] = segmentation
        if row["kind"] == KIND_KEYPOINTS and "keypoints" not in extra:
            out["keypoints"] = _keypoints(row, number)
        if not from_coco:
            out |= _defaults(row, box)
        yield {**out, **extra}


def _own_id(extra: str) -> Any:
    return json.loads(extra).get("id")


def _short(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _bounds(row: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Return the axis-aligned box of a row; a turned box is larger than its own sides."""
    x, y, w, h = row["x"], row["y"], row["w"], row["h"]
    if row["kind"] != KIND_ROTATED_BOX:
        return x, y, w, h
    corners = corners_of(x, y, w, h, row["angle"] or 0.0)
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x0, y0, x1 - x0, y1 - y0


def corners_of(x: float, y: float, w: float, h: float, angle: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the corners (4, 2) of a box turned by `angle` degrees clockwise about its centre."""
    turn = np.deg2rad(angle)
    cos, sin = np.cos(turn), np.sin(turn)
    local = np.array([(-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)])
    turned = local @ np.array([[cos, sin], [-sin, cos]])
    centre = np.array([x + w / 2, y + h / 2])
    return np.asarray(turned + centre)


def _segmentation(row: Mapping[str, Any], mark: Mapping[str, Any], number: Number) -> Any:
    if row["kind"] == KIND_MASK:
        from ..metrics import masks

        counts: Any = row["rle"].decode("ascii")
        if mark.get("counts") == "list":
            counts = masks.counts(row["rle"]).tolist()
        return {"counts": counts, "size": [row["mask_h"], row["mask_w"]]}
    if row["kind"] == KIND_POLYGON:
        parts = _parts(row, number)
        return [part for i, part in enumerate(parts) if i not in (row["holes"] or [])]
    if row["kind"] == KIND_ROTATED_BOX:
        return [corners_of(row["x"], row["y"], row["w"], row["h"], row["angle"] or 0.0).ravel().tolist()]
    return None


def _parts(row: Mapping[str, Any], number: Number) -> list[list[float | int]]:
    numbers = [number(v) for v in row["points"]]
    if not row["rings"]:
        return [numbers]
    cuts = np.concatenate([[0], np.cumsum(row["rings"])]) * 2
    return [numbers[a:b] for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)]


def _keypoints(row: Mapping[str, Any], number: Number) -> list[float | int]:
    points = row["points"] or []
    seen = row["visibility"] or [2] * (len(points) // 2)
    return [v for i, s in enumerate(seen) for v in (number(points[2 * i]), number(points[2 * i + 1]), s)]


def _defaults(row: Mapping[str, Any], box: tuple[float, float, float, float]) -> dict[str, Any]:
    """Return what COCO's tools expect of an annotation that did not come from COCO."""
    area = row["area"] if row["area"] is not None else box[2] * box[3]
    out: dict[str, Any] = {"area": _short(area), "iscrowd": 0}
    if row["kind"] == KIND_KEYPOINTS:
        out["num_keypoints"] = sum(1 for s in row["visibility"] or [] if s > 0)
    if row["track_id"] is not None:
        out["track_id"] = row["track_id"]
    plain = (KIND_BOX, KIND_POLYGON, KIND_MASK, KIND_KEYPOINTS)
    if row["kind"] not in plain or row["holes"]:
        keys = ("kind", "x", "y", "w", "h", "angle", "points", "rings", "holes")
        out[OWN] = {k: row[k] for k in keys if row[k] is not None}
    return out
