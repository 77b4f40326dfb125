"""COCO instance annotations: images, categories and boxes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError
from ..schema import CLASS_NAME, KIND_BOX, URI
from .folder import within
from .source import Fault, Source, existing, valid_text

_SHOWN_FAULTS_PER_REASON = 1000
_MOST_PX = float.fromhex("0x1.fffffep+127")
"""The largest coordinate that a box, stored in single precision, can have."""
_LEAST_SIDE_PX = 2.0**-126


def read_coco(annotations: str | os.PathLike[str], *, images: str | os.PathLike[str]) -> Source:
    """Read a COCO file: `images`, `categories` and the `bbox` of each annotation.

    `info`, `licenses` and `iscrowd` may be missing. What cannot be used is skipped and
    listed: unknown image or category ids, boxes with no area, non-finite or missing numbers.

    Raises
    ------
    InputError
        Not JSON, or not COCO's shape.
    """
    file = existing(Path(annotations), "annotation file")
    folder = existing(Path(images), "image folder")
    try:
        data = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f'"{file}" is not JSON: {error}.', "Check that the file is complete.") from error
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise InputError(f'"{file}" has no list "images".', "Expected the COCO instances format.")
    for key in ("annotations", "categories"):
        if not isinstance(data.get(key) or [], list):
            raise InputError(f'"{file}" has no list "{key}".', "Expected the COCO instances format.")
    faults: list[Fault] = []
    names = _images(data["images"], str(file), faults)
    uris, climbing = within(os.fspath(images), names.values())
    faults.extend(climbing)
    address = {key: uri for key, uri in zip(names, uris, strict=True) if uri is not None}
    items = pl.DataFrame({URI: list(address.values())}, schema={URI: pl.String}).unique(maintain_order=True)
    if items.is_empty():
        raise InputError(f'"{file}" names no image that can be used.', "Check its list of images.")
    labels = _boxes(data, address, str(file), faults)
    card = {"format": "coco", "annotations": os.fspath(annotations), "images": os.fspath(images)}
    return Source(items, file.parent.resolve().name or folder.name, card, labels=labels, faults=faults)


def _images(rows: list[Any], file: str, faults: list[Fault]) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str) or not _is_id(row.get("id")):
            faults.append(_fault(file, f"images[{i}]", "it has no id and file_name", "add both"))
        elif not valid_text(row["file_name"]):
            faults.append(_fault(file, f"images[{i}]", "its file_name is not Unicode", "rename the file"))
        elif row["id"] in names:
            faults.append(
                _fault(file, f"images[{i}]", f"its id {row['id']!r:.80} was used before", "give every image its own id")
            )
        else:
            names[row["id"]] = row["file_name"]
    return names


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _fault(file: str, place: str, why: str, remedy: str) -> Fault:
    return Fault(f"{file}: {place}", "skipped", why, remedy)


def _boxes(data: dict[str, Any], address: dict[Any, str], file: str, faults: list[Fault]) -> pl.DataFrame:
    categories = {
        c["id"]: str(c["name"])
        for c in data.get("categories") or []
        if isinstance(c, dict) and _is_id(c.get("id")) and "name" in c and valid_text(str(c["name"]))
    }
    columns: dict[str, list[Any]] = {k: [] for k in (URI, CLASS_NAME, "x", "y", "w", "h", "extra")}
    seen: set[Any] = set()
    reasons: dict[str, int] = {}
    for i, row in enumerate(data.get("annotations") or []):
        why, remedy, box = _why_not(row, address, categories, seen)
        if why:
            reasons[why] = reasons.get(why, 0) + 1
            if reasons[why] <= _SHOWN_FAULTS_PER_REASON:
                where = f"annotations[{i}]" + (
                    f" (id {row['id']!r:.80})" if isinstance(row, dict) and "id" in row else ""
                )
                faults.append(_fault(file, where, why, remedy))
            continue
        seen.add(row.get("id", f"#{i}"))
        for name, value in zip(("x", "y", "w", "h"), box, strict=True):
            columns[name].append(value)
        columns[URI].append(address[row["image_id"]])
        columns[CLASS_NAME].append(categories[row["category_id"]])
        columns["extra"].append(json.dumps({"id": row["id"]}) if "id" in row else None)
    return pl.DataFrame(
        columns,
        schema={
            URI: pl.String, CLASS_NAME: pl.String, "x": pl.Float32, "y": pl.Float32,
            "w": pl.Float32, "h": pl.Float32, "extra": pl.String,
        },
    ).with_columns(pl.lit(KIND_BOX).alias("kind"))  # fmt: skip


def _why_not(
    row: Any, address: dict[Any, str], categories: dict[Any, str], seen: set[Any]
) -> tuple[str, str, list[float]]:
    """Return why an annotation cannot be used (empty: it can), a remedy, and its box."""
    if not isinstance(row, dict):
        return "it is not an object", "remove it", []
    image, category = row.get("image_id"), row.get("category_id")
    if not _is_id(image) or image not in address:
        return f"its image_id {image!r} is not in images", "add the image or remove the annotation", []
    if not _is_id(category) or category not in categories:
        return f"its category_id {category!r} is not in categories", "add the category", []
    if "id" in row and (not _is_id(row["id"]) or row["id"] in seen):
        return f"its id {row['id']!r} was used before", "give every annotation its own id", []
    box = row.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(v) for v in box):
        return f"its bbox {box!r:.80} is not four finite numbers", "write [x, y, width, height] in pixels", []
    if box[2] <= _LEAST_SIDE_PX or box[3] <= _LEAST_SIDE_PX:
        return f"its box has no area (width {box[2]:g}, height {box[3]:g})", "draw the box again or remove it", []
    return "", "", [float(v) for v in box]


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return abs(float(value)) <= _MOST_PX
    except OverflowError:
        return False
