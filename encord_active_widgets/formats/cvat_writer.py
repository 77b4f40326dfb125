"""CVAT out: "CVAT for images 1.1", https://docs.cvat.ai/docs/manual/advanced/xml_format/."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import (
    CLASS_NAME,
    EXTRA,
    ITEM_ID,
    KIND_CLASSIFICATION,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POINT,
    KIND_POLYGON,
    KIND_POLYLINE,
    KIND_ROTATED_BOX,
    LABEL_ID,
)
from ..store.writing import Writing
from .label_studio_writer import Written, as_held, by_item, held_text, marked, shape_notes

FORMAT = "cvat"
OWN_ATTRIBUTES = ("label_id", "track_id", "visibility", "confidence", "model")
"""What we put into attributes of shapes; `label_id` says which label of the project a shape is."""
_POINT_SHAPES = {KIND_POLYGON: "polygon", KIND_POLYLINE: "polyline", KIND_POINT: "points", KIND_KEYPOINTS: "points"}


@dataclass
class _Task:
    name: str
    labels: list[str]
    attributes: dict[str, dict[str, None]] = field(default_factory=dict)


def write_cvat(
    items: pl.DataFrame,
    labels: pl.DataFrame,
    path: Path,
    *,
    name: str,
    project: str,
    moment: int,
    classes: list[str],
    runs: Mapping[str, pl.DataFrame],
    writing: Writing | None = None,
) -> Written:
    """Write one XML file, and beside it the labels for CVAT's constructor.

    Parameters
    ----------
    items : pl.DataFrame
        `item_id`, `file_name`, `width`, `height`: an image each.
    labels : pl.DataFrame
        Labels of these items.
    path : Path
        The XML file; the labels go to the same name with `.labels.json`.
    name : str
        Of the task.
    project : str
        What the ids of labels are marked with.
    moment : int
        The last edit of the project.
    classes : list of str
        All classes of the project.
    runs : mapping
        Predictions by the name of their model, written as shapes of the source "auto".
    writing : Writing, optional
        What takes the files away again if the export fails.
    """
    mine = by_item(marked(labels, project, moment))
    theirs = [(run, by_item(frame)) for run, frame in runs.items()]
    used = [c for f in (labels, *runs.values()) for c in f[CLASS_NAME].drop_nulls().unique(maintain_order=True)]
    task = _Task(name, list(dict.fromkeys([*classes, *sorted(set(used))])))
    images: list[str] = []
    for i, item in enumerate(items.select(ITEM_ID, "file_name", "width", "height").iter_rows(named=True)):
        shapes = [_shape(row, task) for row in mine.get(item[ITEM_ID], [])]
        for run, found in theirs:
            shapes += [_shape({**row, "model": run}, task) for row in found.get(item[ITEM_ID], [])]
        about = {"id": i, "name": item["file_name"], "width": item["width"], "height": item["height"]}
        images.append(f"  <image{_attributes(about)}>\n{''.join(shapes)}  </image>\n")
    writing = writing or Writing(f'"{path}"')
    with writing.file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(_head(task, items.height))
        file.writelines(images)
        file.write("</annotations>\n")
    beside = path.with_suffix(".labels.json")
    writing.text(beside, json.dumps(_constructor(task), ensure_ascii=False, indent=1))
    notes = [n for n in shape_notes([labels, *runs.values()]) if "lines" not in n and "poses" not in n]
    return Written([path, beside], notes)


def _head(task: _Task, size: int) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
    yield f"      <name>{_safe(task.name)}</name>\n      <size>{size}</size>\n      <mode>annotation</mode>\n"
    yield "      <overlap>0</overlap>\n      <flipped>False</flipped>\n      <labels>\n"
    for label in task.labels:
        yield f"        <label>\n          <name>{_safe(label)}</name>\n          <type>any</type>\n"
        yield "          <attributes>\n"
        for attribute in _attributes_of(task, label):
            yield f"            <attribute>\n              <name>{_safe(attribute)}</name>\n"
            yield "              <mutable>False</mutable>\n              <input_type>text</input_type>\n"
            yield "              <default_value></default_value>\n              <values></values>\n"
            yield "            </attribute>\n"
        yield "          </attributes>\n        </label>\n"
    yield "      </labels>\n    </task>\n  </meta>\n"


def _attributes_of(task: _Task, label: str) -> list[str]:
    return list(dict.fromkeys([LABEL_ID, *task.attributes.get(label, {})]))


def _constructor(task: _Task) -> list[dict[str, Any]]:
    """Return the labels as CVAT's raw constructor takes them: with the attributes that bring ids back."""
    return [
        {
            "name": label,
            "type": "any",
            "attributes": [
                {"name": a, "input_type": "text", "mutable": False, "values": [""]} for a in _attributes_of(task, label)
            ],
        }
        for label in task.labels
    ]


def _shape(row: Mapping[str, Any], task: _Task) -> str:
    """Return one element, and note the attributes its label needs."""
    said = _said(row)
    about: dict[str, Any] = {"label": row[CLASS_NAME], "source": "auto" if "model" in row else "manual"}
    if row["kind"] != KIND_CLASSIFICATION:
        about["occluded"] = int(bool(said.get("occluded")))
    element, geometry = _geometry(row)
    about |= geometry
    if row["kind"] != KIND_CLASSIFICATION:
        about["z_order"] = said.get("z_order", 0)
    if said.get("group_id"):
        about["group_id"] = said["group_id"]
    own = {k: row[k] for k in ("label_id", "track_id", "model", "confidence") if row.get(k) is not None}
    if row["kind"] == KIND_KEYPOINTS and row.get("visibility"):
        own["visibility"] = " ".join(map(str, row["visibility"]))
    theirs = said.get("attributes")
    attributes = {**(theirs if isinstance(theirs, dict) else {}), **own}
    task.attributes.setdefault(str(row[CLASS_NAME]), {}).update(dict.fromkeys(attributes))
    inner = "".join(f"      <attribute name={_quoted(k)}>{_safe(v)}</attribute>\n" for k, v in attributes.items())
    return f"    <{element}{_attributes(about)}>\n{inner}    </{element}>\n"


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what CVAT said of a label when it was read."""
    try:
        extra = json.loads(row[EXTRA]) if row.get(EXTRA) else {}
    except (ValueError, RecursionError):
        return {}
    said = extra.get(FORMAT) if isinstance(extra, dict) else None
    return said if isinstance(said, dict) else {}


def _geometry(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    kind = row["kind"]
    if kind == KIND_CLASSIFICATION:
        return "tag", {}
    if kind == KIND_MASK:
        return "mask", _mask(row)
    if kind in _POINT_SHAPES:
        points = as_held(row)["points"]
        pairs = ";".join(f"{_short(a)},{_short(b)}" for a, b in zip(points[0::2], points[1::2], strict=True))
        return _POINT_SHAPES[kind], {"points": pairs}
    x, y, w, h = row["x"], row["y"], row["w"], row["h"]
    box = {"xtl": _short(x), "ytl": _short(y), "xbr": _short(x + w), "ybr": _short(y + h)}
    turned = {"rotation": _short(float(row.get("angle") or 0.0))} if kind == KIND_ROTATED_BOX else {}
    return "box", box | turned


def _mask(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mask as the run lengths of the rows in the box around it, those outside it first."""
    from ..metrics import masks

    mask = masks.decode(row["rle"], row["mask_h"], row["mask_w"])
    x, y, w, h = masks.bounds([row["rle"]], row["mask_h"], row["mask_w"])[0].astype(int).tolist()
    runs = row_runs(mask[y : y + h, x : x + w])
    return {"rle": ", ".join(map(str, runs)), "left": x, "top": y, "width": w, "height": h}


def row_runs(mask: NDArray[np.uint8]) -> list[int]:
    """Return the lengths of runs of a mask's pixels, row by row; the first is of pixels that are not inside.

    >>> row_runs(np.array([[1, 1, 0], [0, 1, 1]], np.uint8))
    [0, 2, 2, 2]
    """
    flat = np.concatenate([[False], mask.ravel() != 0])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs: list[int] = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    return runs


def _attributes(values: Mapping[str, Any]) -> str:
    return "".join(f" {k}={_quoted(v)}" for k, v in values.items())


def _quoted(value: Any) -> str:
    return quoteattr(held_text(str(value)), {"\r": "&#13;"})


def _safe(value: Any) -> str:
    return escape(held_text(str(value)), {"\r": "&#13;"})


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
