"""Pascal VOC out: one XML file an image; what was read from VOC comes out with all it said."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

import polars as pl

from ..errors import InputError
from ..schema import (
    CLASS_NAME,
    EXTRA,
    ITEM_ID,
    KIND_BOX,
    KIND_CLASSIFICATION,
    KIND_POLYGON,
    KIND_ROTATED_BOX,
)
from ..store.writing import Writing
from .folder import within
from .voc import DEEPEST, FOLDER, FORMAT, OF_IMAGE, OF_OBJECT, SHOWN


@dataclass
class Written:
    """What was written: the files, and what the format has no words for."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_voc(items: pl.DataFrame, labels: pl.DataFrame, folder: Path, *, writing: Writing | None = None) -> Written:
    """Write one XML an image below `folder/Annotations`.

    Parameters
    ----------
    items : pl.DataFrame
        `item_id`, `file_name` (relative), `width`, `height`.
    labels : pl.DataFrame
        Labels of these items.
    writing : Writing, optional
        What takes the files away again if the export fails.

    Raises
    ------
    InputError
        A file name leaves the folder.
    """
    out, writing = Written(), writing or Writing(f'"{folder}"')
    objects = labels.filter(pl.col("kind") != KIND_CLASSIFICATION)
    if objects.height < labels.height:
        out.notes.append(f"{labels.height - objects.height:,} classes of whole images: VOC has no place for them")
    parts = (pl.col("kind") == KIND_POLYGON) & (pl.col("rings").list.len() > 1)
    several = objects.filter(parts).height if "rings" in objects.columns else 0
    if several:
        out.notes.append(f"{several:,} polygons of several parts: written as their bounding box")
    others = objects.filter(~pl.col("kind").is_in([KIND_BOX, KIND_ROTATED_BOX, KIND_POLYGON]))
    for kind, n in others["kind"].value_counts(sort=True).iter_rows():
        out.notes.append(f"{n:,} of kind {kind}: written as their bounding box")
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in objects.iter_rows(named=True):
        by_item.setdefault(row[ITEM_ID], []).append(row)
    taken: set[Path] = set()
    dropped: dict[str, int] = {}
    for item in items.iter_rows(named=True):
        file = _xml_file(folder / FOLDER, item["file_name"], taken)
        writing.text(file, "".join(_lines(item, by_item.get(item[ITEM_ID], []), dropped)))
        out.files.append(file)
    out.notes += [f"{n:,} of {key}: VOC cannot hold it" for key, n in dropped.items()]
    return out


def _xml_file(folder: Path, name: str, taken: set[Path]) -> Path:
    """Return where an image's XML goes: images that differ in their suffix only get a file each."""
    if within(folder, [name])[0][0] is None:
        raise InputError(f'The file name "{name}" leaves the folder "{folder}".', "Write images under relative names.")
    file = folder / PurePath(name).with_suffix(".xml")
    n = 0
    while file in taken:
        file = folder / f"{name}{f'.{n}' if n else ''}.xml"
        n += 1
    taken.add(file)
    return file


def _extra(row: dict[str, Any], dropped: dict[str, int]) -> dict[str, Any]:
    """Return what else an object says, as far as it can stand in XML beside the shape."""
    try:
        extra = json.loads(row[EXTRA]) if row.get(EXTRA) else {}
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        dropped["extra that is no JSON object"] = dropped.get("extra that is no JSON object", 0) + 1
        return {}
    return _held(extra, OF_OBJECT, dropped)


def _held(extra: dict[str, Any], known: frozenset[str], dropped: dict[str, int]) -> dict[str, Any]:
    """Return what XML can hold beside the elements that are written anyway; count the rest."""
    kept = {}
    for key, value in extra.items():
        if key not in known and _is_name(key) and _levels(value) < DEEPEST - 4:
            kept[key] = value
        else:
            said = f'extra "{key[:SHOWN]}"'
            dropped[said] = dropped.get(said, 0) + 1
    return kept


def _of_image(item: dict[str, Any], dropped: dict[str, int]) -> dict[str, Any]:
    """Return what the VOC file that an image was read with said of it."""
    try:
        extra = json.loads(item[EXTRA]) if item.get(EXTRA) else {}
    except (ValueError, RecursionError):
        return {}
    about = extra.get(FORMAT) if isinstance(extra, dict) else None
    return _held(about, OF_IMAGE, dropped) if isinstance(about, dict) else {}


def _levels(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_levels, inner), default=0)


def _one_ring(row: dict[str, Any]) -> bool:
    return row["kind"] == KIND_POLYGON and len(row.get("rings") or ()) <= 1


def _lines(item: dict[str, Any], rows: Iterable[dict[str, Any]], dropped: dict[str, int]) -> Iterable[str]:
    about = _of_image(item, dropped)
    yield "<annotation>\n"
    yield from _elements({k: about.pop(k) for k in ("folder",) if k in about}, 1)
    yield f"\t<filename>{_safe(item['file_name'])}</filename>\n"
    yield from _elements(about, 1)
    yield f"\t<size>\n\t\t<width>{item['width']}</width>\n\t\t<height>{item['height']}</height>\n"
    yield "\t\t<depth>3</depth>\n\t</size>\n"
    for row in rows:
        yield f"\t<object>\n\t\t<name>{_safe(row[CLASS_NAME] or '')}</name>\n"
        extra = _extra(row, dropped)
        if row["kind"] not in (KIND_BOX, KIND_ROTATED_BOX) and not _one_ring(row):
            extra.setdefault("kind", row["kind"])
        yield from _elements(extra, 2)
        if row.get("track_id") is not None:
            yield f"\t\t<track_id>{_safe(row['track_id'])}</track_id>\n"
        yield from _geometry(row)
        yield "\t</object>\n"
    yield "</annotation>\n"


def _geometry(row: dict[str, Any]) -> Iterable[str]:
    x, y, w, h = row["x"], row["y"], row["w"], row["h"]
    if row["kind"] == KIND_ROTATED_BOX:
        values = {"cx": x + w / 2, "cy": y + h / 2, "w": w, "h": h, "angle": math.radians(row.get("angle") or 0.0)}
        yield "\t\t<rotated_bndbox>" + "".join(f"<{k}>{v!r}</{k}>" for k, v in values.items()) + "</rotated_bndbox>\n"
        return
    if _one_ring(row):
        pairs = zip(row["points"][0::2], row["points"][1::2], strict=True)
        inner = "".join(f"<x{i}>{_short(a)}</x{i}><y{i}>{_short(b)}</y{i}>" for i, (a, b) in enumerate(pairs, 1))
        yield f"\t\t<polygon>{inner}</polygon>\n"
    corners = {"xmin": x, "ymin": y, "xmax": _sum(x, w), "ymax": _sum(y, h)}
    yield "\t\t<bndbox>" + "".join(f"<{k}>{_short(v)}</{k}>" for k, v in corners.items()) + "</bndbox>\n"


def _sum(start: float, size: float) -> float:
    """Return an end whose distance from the start is the size again, to the last bit where that exists."""
    end = start + size
    for candidate in (end, math.nextafter(end, math.inf), math.nextafter(end, -math.inf)):
        if candidate - start == size:
            return candidate
    return end


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _safe(text: Any) -> str:
    """Escape text; characters that no XML can hold are left out."""
    held = (
        c
        for c in str(text)
        if (c in "\t\n\r" or c >= " ") and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff"
    )
    return escape("".join(held), {"\r": "&#13;"})


@lru_cache(maxsize=4096)
def _is_name(key: str) -> bool:
    """Tell whether the parser takes `key` as the name of an element."""
    if not key or any(c in "<>/&'\"=!?" or c.isspace() for c in key):
        return False
    try:
        expat.ParserCreate().Parse(f"<{key}/>", True)
    except (expat.ExpatError, UnicodeError):
        return False
    return True


def _elements(values: dict[str, Any], depth: int) -> Iterable[str]:
    pad = "\t" * depth
    for key, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield f"{pad}<{key}>\n"
                yield from _elements({k: v for k, v in one.items() if _is_name(k)}, depth + 1)
                yield f"{pad}</{key}>\n"
            else:
                yield f"{pad}<{key}>{_safe(one)}</{key}>\n"
