"""Label Studio out: tasks with annotations and pre-annotations, and the labeling interface that goes with them.

The format is https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions: coordinates are
per cent of the image, and a turned rectangle is given by its turned upper left corner.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import polars as pl

from ..schema import (
    CLASS_NAME,
    CONFIDENCE,
    ITEM_ID,
    KIND_CLASSIFICATION,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POINT,
    KIND_POLYGON,
    KIND_POLYLINE,
    KIND_ROTATED_BOX,
    LABEL_ID,
    PREDICTION_ID,
    URI,
)
from ..store.writing import Writing
from .coco_writer import corners_of
from .known import as_sent, reference
from .outlines import joined, polygon_rings

IMAGE = "image"
BOXES, POLYGONS, POINTS, BRUSH, CLASSES = "box", "polygon", "keypoint", "brush", "class"
_CONTROLS = {
    BOXES: ("RectangleLabels", "rectanglelabels"),
    POLYGONS: ("PolygonLabels", "polygonlabels"),
    POINTS: ("KeyPointLabels", "keypointlabels"),
    BRUSH: ("BrushLabels", "brushlabels"),
}
_IN_REGIONS = str.maketrans(":/~", "__-")
_DOT_PERCENT = 0.75
"""How large a point is drawn, in per cent of the image's width."""
_NO_XML = frozenset([*map(chr, (*range(9), 11, 12, *range(14, 32))), "\ufffe", "\uffff"])


@dataclass
class Written:
    """What was written: the files, and what the format has no words for."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_label_studio(
    items: pl.DataFrame,
    labels: pl.DataFrame,
    path: Path,
    *,
    project: str,
    moment: int,
    addresses: Mapping[str, str],
    runs: Mapping[str, pl.DataFrame],
    classes: tuple[list[str], list[str]],
    writing: Writing | None = None,
) -> Written:
    """Write tasks as JSON, and beside them the labeling interface as XML.

    Parameters
    ----------
    items : pl.DataFrame
        `item_id`, `uri`, `width`, `height`: a task each.
    labels : pl.DataFrame
        Labels of these items: one annotation a task.
    path : Path
        The JSON file; the interface goes to the same name with `.interface.xml`.
    project : str
        What the ids of labels are marked with.
    moment : int
        The last edit of the project.
    addresses : mapping
        What Label Studio opens, by item id.
    runs : mapping
        Predictions by the name of their model, with `confidence`.
    classes : two lists of str
        The classes of objects, and those of whole images.
    writing : Writing, optional
        What takes the files away again if the export fails.
    """
    out = Written()
    mine = by_item(marked(labels, project, moment))
    theirs = {name: by_item(frame) for name, frame in runs.items()}
    used: set[str] = set()
    writing = writing or Writing(f'"{path}"')
    with writing.file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for i, item in enumerate(items.select(ITEM_ID, URI, "width", "height").iter_rows(named=True)):
            rows = mine.get(item[ITEM_ID], [])
            predicted = {name: found.get(item[ITEM_ID], []) for name, found in theirs.items()}
            task = _task(item, rows, predicted, addresses[item[ITEM_ID]])
            used.update(r["from_name"] for part in (*task["annotations"], *task["predictions"]) for r in part["result"])
            file.write(f"{',' if i else '['}\n{json.dumps(task, ensure_ascii=False, separators=(',', ':'))}")
        file.write("\n]\n")
    interface = path.with_suffix(".interface.xml")
    writing.text(interface, labeling_interface(used, *classes))
    out.files = [path, interface]
    out.notes = shape_notes([labels, *runs.values()])
    if not classes[0] and not classes[1]:
        out.notes.append(f"the project knows no classes yet: write them into {interface.name}")
    return out


def labeling_interface(used: Iterable[str], objects: list[str], images: list[str]) -> str:
    """Return the labeling interface: a control for each tool in use; rectangles where there is none."""
    wanted = [k for k in _CONTROLS if k in set(used)] or ([] if images and not objects else [BOXES])
    lines = ["<View>", f'  <Image name="{IMAGE}" value="$image" zoom="true"/>']
    for name in wanted:
        lines.append(f'  <{_CONTROLS[name][0]} name="{name}" toName="{IMAGE}">')
        lines += [f"    <Label value={quoteattr(held_text(c))}/>" for c in objects]
        lines.append(f"  </{_CONTROLS[name][0]}>")
    if images:
        lines.append(f'  <Choices name="{CLASSES}" toName="{IMAGE}" choice="single">')
        lines += [f"    <Choice value={quoteattr(held_text(c))}/>" for c in images]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])


def as_held(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a label as a format of single rings holds it: a polygon of several parts becomes one ring."""
    held = dict(row)
    if row["kind"] == KIND_POLYGON and len(row.get("rings") or ()) > 1:
        rings = polygon_rings(list(row["points"]), list(row["rings"]), list(row.get("holes") or []))
        held |= {"points": joined(rings).ravel().tolist(), "rings": None, "holes": None}
    return held


def marked(labels: pl.DataFrame, project: str, moment: int) -> pl.DataFrame:
    """Give labels the names by which a file speaks of them."""
    rows = labels.select(LABEL_ID, CLASS_NAME).iter_rows()
    names = [reference(project, label_id, as_sent(moment, name)) for label_id, name in rows]
    return labels.with_columns(pl.Series(LABEL_ID, names, dtype=pl.String))


def by_item(rows: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return rows as dicts, by item id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        found.setdefault(row[ITEM_ID], []).append(row)
    return found


def _task(
    item: Mapping[str, Any],
    rows: list[dict[str, Any]],
    predicted: Mapping[str, list[dict[str, Any]]],
    address: str,
) -> dict[str, Any]:
    classes = [r[LABEL_ID] for r in rows if r["kind"] == KIND_CLASSIFICATION]
    data = {"image": address, ITEM_ID: item[ITEM_ID], URI: item[URI], "label_ids": [r[LABEL_ID] for r in rows]}
    if len(classes) == 1:
        data["class_label_id"] = classes[0]
    size = (item["width"], item["height"])
    results = [r for row in rows for r in _results(row, size)]
    predictions = []
    for name, found in predicted.items():
        if found:
            score = sum(r[CONFIDENCE] for r in found) / len(found)
            regions = [r for row in found for r in _results(row, size)]
            predictions.append({"model_version": name, "score": score, "result": regions})
    return {"data": data, "annotations": [{"result": results}] if results else [], "predictions": predictions}


def _results(row: Mapping[str, Any], size: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the regions of one label: one, or of a pose one a point."""
    key = LABEL_ID if row.get(LABEL_ID) is not None else PREDICTION_ID
    width, height = size
    base = {"to_name": IMAGE, "original_width": width, "original_height": height, "image_rotation": 0}
    kept = {key: row[key], **{k: row[k] for k in ("track_id", "annotator") if row.get(k) is not None}}
    if row.get(CONFIDENCE) is not None:
        base["score"] = row[CONFIDENCE]
    mark = str(row[key]).translate(_IN_REGIONS)
    if row["kind"] == KIND_CLASSIFICATION:
        value = {"choices": [row[CLASS_NAME]]}
        return [{"id": mark, "type": "choices", "from_name": CLASSES, **base, "value": value, "meta": kept}]
    if row["kind"] == KIND_KEYPOINTS:
        seen = row.get("visibility") or [2] * (len(row["points"]) // 2)
        pairs = zip(row["points"][0::2], row["points"][1::2], strict=True)
        return [
            _region(f"{mark}.{i}", POINTS, _dot(x, y, size), row, base)
            | {"meta": {**kept, "point": i, "of": len(seen), "visibility": seen[i]}}
            for i, (x, y) in enumerate(pairs)
        ]
    control, value, more = _value(row, size)
    return [_region(mark, control, value, row, base) | {"meta": kept | more}]


def _region(
    mark: str, control: str, value: dict[str, Any], row: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Any]:
    kind = _CONTROLS[control][1]
    return {"id": mark, "type": kind, "from_name": control, **base, "value": {**value, kind: [row[CLASS_NAME]]}}


def _value(row: Mapping[str, Any], size: tuple[int, int]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the tool, the value and what else is said of one shape."""
    width, height = size
    x, y, w, h = row["x"], row["y"], row["w"], row["h"]
    if row["kind"] == KIND_MASK:
        from ..metrics import masks
        from .brush import encode_brush

        mask = masks.decode(row["rle"], row["mask_h"], row["mask_w"])
        return BRUSH, {"format": "rle", "rle": encode_brush(mask)}, {}
    if row["kind"] in (KIND_POLYGON, KIND_POLYLINE):
        points = as_held(row)["points"]
        pairs = [[percent(a, width), percent(b, height)] for a, b in zip(points[0::2], points[1::2], strict=True)]
        return POLYGONS, {"points": pairs, "closed": row["kind"] == KIND_POLYGON}, {}
    if row["kind"] == KIND_POINT:
        return POINTS, _dot(row["points"][0], row["points"][1], size), {}
    angle = float(row.get("angle") or 0.0) if row["kind"] == KIND_ROTATED_BOX else 0.0
    if angle:
        x, y = corners_of(x, y, w, h, angle)[0].tolist()
    more = {"kind": KIND_ROTATED_BOX} if row["kind"] == KIND_ROTATED_BOX else {}
    value = {"x": percent(x, width), "y": percent(y, height), "width": percent(w, width), "height": percent(h, height)}
    return BOXES, {**value, "rotation": angle}, more


def _dot(x: float, y: float, size: tuple[int, int]) -> dict[str, Any]:
    return {"x": percent(x, size[0]), "y": percent(y, size[1]), "width": _DOT_PERCENT}


def percent(value: float, side: int) -> float:
    """Return a coordinate in per cent of a side, so that it comes back to the last bit where that exists.

    >>> percent(33.3, 640) * 640 / 100
    33.3
    """
    found = value * 100 / side
    for candidate in (found, math.nextafter(found, math.inf), math.nextafter(found, -math.inf)):
        if candidate * side / 100 == value:
            return candidate
    return found


def shape_notes(frames: list[pl.DataFrame]) -> list[str]:
    """Say what is written otherwise than it is."""
    parts = sum(f.filter(pl.col("rings").list.len() > 1).height for f in frames if "rings" in f.columns)
    kinds = [f["kind"].value_counts() for f in frames if f.height]
    counts = {} if not kinds else dict(pl.concat(kinds).group_by("kind").agg(pl.col("count").sum()).iter_rows())
    said = [
        (parts, "polygons of several parts: written as one ring that joins them"),
        (counts.get(KIND_POLYLINE, 0), "lines: written as polygons that are not closed, which old versions close"),
        (counts.get(KIND_KEYPOINTS, 0), "poses: written as their points, each with its place in the pose"),
    ]
    return [f"{n:,} {text}" for n, text in said if n]


def held_text(text: str) -> str:
    """Leave out characters that no XML can hold."""
    return "".join(c for c in text if c not in _NO_XML and not "\ud800" <= c <= "\udfff")
