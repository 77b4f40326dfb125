"""Label Studio in: exports "JSON" and "JSON-MIN", and single tasks.

The format is https://labelstud.io/guide/task_format: `value` is in per cent of the image, a turned rectangle is
given by its turned upper left corner, `lead_time` is the seconds an annotation took.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError
from ..schema import ITEM_ID, KIND_CLASSIFICATION, LABEL_ID, URI
from .known import Known
from .label_studio_addresses import addresses_of, image_of, is_image, text_of
from .label_studio_shapes import LABEL_KEYS, class_names, is_away, pose, shape
from .regions import Found, number
from .returned_rows import AT, SENT, Rows, clean
from .source import Fault, Source, existing

FORMAT = "label_studio"
_OUR_REGION = re.compile(r"^([0-9a-f]+)_([0-9a-f]{16})_(\d+)(?:-([0-9a-f]+-[0-9a-f]{8}))?(?:\.\d+)?$")
_SHOWN = 60
_NO_SIZE = 'export as JSON, with "original_width" and "original_height"'
_ABOUT = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time", "id", "agreement")
"""Keys that JSON-MIN puts beside the data and the answers."""

Json = dict[str, Any]


def read_label_studio(
    file: str | os.PathLike[str], *, known: Known | None = None, images: str | os.PathLike[str] | None = None
) -> Source:
    """Read an export of Label Studio.

    Every annotation of a task is read, but cancelled ones; predictions are not. What cannot be used is listed.

    Parameters
    ----------
    file : path
        The JSON file.
    known : Known, optional
        The images of the project the labels are for; without it addresses stay as they are.
    images : path, optional
        The folder that names start from.

    Returns
    -------
    Source
        Labels with `label_id` where they are labels that were handed out, with `annotator`, and with `seconds`:
        the lead time of an annotation divided by its labels. `card["sent"]` has the ids handed out with tasks
        that have an annotation, and what those labels were then; `card["damaged"]` those of them that may be among
        what cannot be read.

    Raises
    ------
    InputError
        The file is not JSON, or holds no tasks.
    """
    path = existing(Path(file), "file of labels")
    tasks = _tasks(path)
    reader = _Reader(path, known or Known(), Path(images) if images is not None else None)
    for i, task in enumerate(tasks):
        reader.task(i, task)
    if not reader.uris:
        first = f" The first: {reader.rows.faults[0].why}." if reader.rows.faults else ""
        raise InputError(f'"{path}" holds no task with an image.{first}', "Export as JSON or JSON-MIN.")
    labels, faults = reader.rows.frame()
    damaged = sorted(i for i in reader.rows.damaged if i is not None)
    card = {"format": FORMAT, "annotations": os.fspath(file), "sent": reader.sent, "damaged": damaged}
    items = pl.DataFrame({URI: list(reader.uris)}, schema={URI: pl.String})
    return Source(items, path.stem, card, labels=labels, faults=faults)


def _tasks(path: Path) -> list[Any]:
    if path.is_dir():
        raise InputError(f'"{path}" is a folder.', "Give the JSON file that Label Studio exported.")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f'"{path}" is not JSON: {str(error)[:_SHOWN]}.', "Check that the file is complete.") from error
    except OSError as error:
        raise InputError(f'"{path}" cannot be read: {error.strerror}.', "Check the file.") from error
    tasks = [content] if isinstance(content, dict) else content
    if not isinstance(tasks, list) or not tasks:
        raise InputError(f'"{path}" holds no tasks.', "Export as JSON or JSON-MIN.")
    if isinstance(tasks[0], dict) and "image_id" in tasks[0] and "score" in tasks[0]:
        raise InputError(f'"{path}" holds COCO results, which are predictions.', "Call p.add_predictions(name, file).")
    return tasks


class _Reader:
    """One file: its tasks one by one."""

    def __init__(self, path: Path, known: Known, images: Path | None) -> None:
        self._name = path.name
        self._known = known
        self._images = images
        self.rows = Rows()
        self.uris: dict[str, None] = {}
        self.sent: dict[str, str] = {}
        self._lost = False
        """Whether the task holds what may be a label and cannot be read."""

    def task(self, i: int, task: Any) -> None:
        """Read one task of an export, or one row of JSON-MIN."""
        if not isinstance(task, dict):
            self._skip(f"{self._name}: task {i + 1}", "it is no object", "export as JSON or JSON-MIN")
            return
        where = f"{self._name}: task {text_of(task.get('id')) or i + 1}"
        data = task["data"] if isinstance(task.get("data"), dict) else task
        uri = self._address(data, where)
        if uri is None:
            return
        self.uris[uri] = None
        self._lost = False
        annotations = list(self._annotations(task, data, where))
        sent = data.get("label_ids") if annotations else None
        told = ((self._known.label(s), self._known.sent(s)) for s in sent) if isinstance(sent, list) else ()
        own = {label_id: known or "" for label_id, known in told if label_id is not None}
        self.sent |= own
        newest = max(annotations, key=lambda a: text_of(a.get("updated_at")), default=None)
        for annotation in annotations:
            self._annotation(annotation, uri, where, data, newest=annotation is newest)
        if self._lost:  # which labels these were is not known
            self.rows.damaged |= own.keys()

    def _skip(self, where: str, why: str, remedy: str, what: str = "skipped", *, label: bool = True) -> None:
        """List what cannot be used; `label` says that it may have been one."""
        self._lost |= label and what == "skipped"
        self.rows.faults.append(Fault(clean(where), what, clean(why), remedy))

    # -- which image --------------------------------------------------------------------------

    def _address(self, data: Json, where: str) -> str | None:
        own = data.get(ITEM_ID)
        if isinstance(own, str) and own in self._known.uris:
            return self._known.uris[own]
        given = image_of(data)
        if given is None:
            self._skip(where, "it names no image", 'put the address into "data": {"image": …}')
            return None
        for name in addresses_of(given):
            found = self._known.find(name)
            if found is not None:
                return found
            if self._images is not None and (self._images / name.lstrip("/")).exists():
                return str(self._images / name.lstrip("/"))
        return clean(addresses_of(given)[0])

    # -- what is on it ------------------------------------------------------------------------

    def _annotations(self, task: Json, data: Json, where: str) -> Iterator[Json]:
        if data is task:
            yield from self._least(task)
            return
        listed = task.get("annotations", task.get("completions"))
        if not isinstance(listed, list):
            if listed is not None:
                self._skip(where, '"annotations" is no list', "export the task again")
            return
        for annotation in listed:
            if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
                self._skip(where, 'one of its annotations has no list "result"', "export the task again")
            elif annotation.get("was_cancelled") or annotation.get("skipped"):
                who = _who(annotation.get("completed_by"))
                self._skip(
                    where, f"an annotation was cancelled{f' by {who}' if who else ''}", "annotate it again", label=False
                )
            else:
                yield annotation

    def _least(self, task: Json) -> Iterator[Json]:
        """Read a row of JSON-MIN as an annotation: answers stand beside the data, by the name of their control."""
        result: list[Any] = []
        for name, value in task.items():
            if name in _ABOUT or name in ("image", ITEM_ID, URI, "label_ids", "class_label_id"):
                continue
            regions = [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
            result += [{"from_name": name, "value": v, **_sizes(v)} for v in regions if _has_label(v)]
            if name == "class" and isinstance(value, str):
                result.append({"from_name": name, "type": "choices", "value": {"choices": [value]}})
            elif isinstance(value, dict) and isinstance(value.get("choices"), list):
                result.append({"from_name": name, "type": "choices", "value": value})
            elif isinstance(value, str) and not is_image(value) and "annotation_id" in task:
                self._skip(
                    f"{self._name}: task {text_of(task.get('id'))}",
                    f'"{name}" may be a class or a text: JSON-MIN does not say which',
                    'export as JSON, or call the Choices "class"',
                )
        yield {**{k: task.get(k) for k in ("lead_time", "updated_at")}, "completed_by": task.get("annotator"),
               "id": task.get("annotation_id"), "result": result}  # fmt: skip

    def _annotation(self, annotation: Json, uri: str, where: str, data: Json, *, newest: bool) -> None:
        found: list[tuple[Json, str]] = []
        poses: dict[str, list[Json]] = {}
        beside: dict[str, Json] = {}
        regions = [r for r in annotation["result"] if isinstance(r, dict)]
        if len(regions) < len(annotation["result"]):
            self._skip(where, "one of its results is no object", "export the task again")
        drawn = {text_of(r.get("id")) for r in regions if _is_region(r)} - {""}
        for r in regions:
            place = f"{where}, {text_of(r.get('id')) or r.get('from_name') or 'result'}"
            meta = r["meta"] if isinstance(r.get("meta"), dict) else {}
            own = meta.get(LABEL_ID, meta.get("prediction_id"))
            if "point" in meta and isinstance(own, str):
                poses.setdefault(own, []).append(r)
            elif not _is_region(r) and text_of(r.get("id")) in drawn:
                beside.setdefault(text_of(r["id"]), {})[text_of(r.get("from_name"))] = r.get("value")
            else:
                found += [(row, place) for row in self._rows(r, uri, place, data, newest=newest)]
        for own, parts in poses.items():
            size = self._size(parts[0], uri)
            row = pose(parts, size) if size else Found("its image has no size", _NO_SIZE)
            if isinstance(row, Found):
                self._skip(f"{where}, {own}", row.why, row.remedy)
            else:
                named = row[LABEL_ID]
                row |= {LABEL_ID: self._known.label(named), SENT: self._known.sent(named), "meta": parts[0]["meta"]}
                found.append((row, f"{where}, {own}"))
        self._keep(found, annotation, uri, beside)

    def _keep(self, found: list[tuple[Json, str]], annotation: Json, uri: str, beside: dict[str, Json]) -> None:
        """Take the labels of one annotation, with who drew them and what stands beside them."""
        who, at = _who(annotation.get("completed_by")), text_of(annotation.get("updated_at"))
        took, number_of = number(annotation.get("lead_time")), annotation.get("id")
        for row, place in found:
            meta = row.pop("meta", {})
            mark = row.pop("region", None)
            kept = {"id": mark, "annotation": number_of, **({"beside": beside[mark]} if mark in beside else {})}
            extra = {**row.pop("more", {}), **{k: v for k, v in kept.items() if v is not None}}
            seconds = took / len(found) if took is not None and took >= 0 else None
            row |= {URI: uri, "annotator": who or text_of(meta.get("annotator")) or None, "seconds": seconds, AT: at}
            row["track_id"] = text_of(meta.get("track_id")) or None
            self.rows.add(row, {FORMAT: extra}, place)

    def _rows(self, r: Json, uri: str, place: str, data: Json, *, newest: bool) -> Iterator[Json]:
        value = r.get("value")
        if not isinstance(value, dict) or not ("choices" in value or _has_label(value)):
            tool = text_of(r.get("type")) or "of it"
            self._skip(place, f"the tool {tool} draws no label", "keep it in Label Studio", label=False)
            return
        own = _own_label(r)
        if self._known.label(own) is None:
            own = None
        meta = r["meta"] if isinstance(r.get("meta"), dict) else {}
        mark: Json = {"region": text_of(r.get("id")) or None, "meta": meta}
        if "choices" in value:
            choices = value["choices"]
            names = [c for c in choices if isinstance(c, str) and c] if isinstance(choices, list) else []
            if not names or len(names) < len(choices):
                self._skip(place, "its choice is no list of texts", "answer it again")
            fallback = data.get("class_label_id") if newest and r.get("from_name") in ("class", None) else None
            for i, name in enumerate(names):
                given = (own or fallback) if i == 0 else None
                which = {LABEL_ID: self._known.label(given), SENT: self._known.sent(given)}
                yield {"kind": KIND_CLASSIFICATION, "class_name": clean(name), **which, **mark}
            return
        size = self._size(r, uri)
        found = shape(r, value, size) if size else Found("its image has no size", _NO_SIZE)
        if isinstance(found, Found):
            self._skip(place, found.why, found.remedy)
            return
        assert size is not None
        if is_away(found, size):
            self._skip(place, "it lies outside its image", "draw it again, or delete it in Label Studio")
            return
        if found.pop("outside", False):
            self._skip(place, "it lies partly outside its image", "check it", what="kept")
        note = found.pop("note", None)
        if note:
            self._skip(place, note, "draw it with another tool to have it exact", what="kept")
        names = class_names(value)
        if not names:
            self._skip(place, "it has no class", "choose one for it in Label Studio")
            return
        more = {"labels": names} if len(names) > 1 else {}
        which = {LABEL_ID: self._known.label(own), SENT: self._known.sent(own)}
        yield {**found, "class_name": clean(names[0]), **which, "more": more, **mark}

    def _size(self, r: Json, uri: str) -> tuple[float, float] | None:
        """Return the size that per cent are of: the result's own, else that of the image."""
        width, height = number(r.get("original_width")), number(r.get("original_height"))
        if width and height and width > 0 and height > 0:
            return width, height
        return self._known.sizes.get(uri)


def _own_label(r: Json) -> str | None:
    """Return the id of the label that a result was handed out as."""
    meta = r.get("meta")
    if isinstance(meta, dict) and isinstance(meta.get(LABEL_ID), str):
        return str(meta[LABEL_ID])
    match = _OUR_REGION.match(text_of(r.get("id")))
    return (
        f"{match[1]}/{match[2]}:{match[3]}" + (f"~{match[4]}" if match[4] else "")
        if match and not (isinstance(meta, dict) and "prediction_id" in meta)
        else None
    )


def _is_region(r: Json) -> bool:
    value = r.get("value")
    return isinstance(value, dict) and _has_label(value)


def _has_label(value: Mapping[str, Any]) -> bool:
    shapes = ("points", "vertices", "rle")
    return any(k in value for k in (*LABEL_KEYS, *shapes)) or ("x" in value and "y" in value)


def _sizes(value: Json) -> Json:
    return {k: value[k] for k in ("original_width", "original_height") if k in value}


def _who(value: Any) -> str | None:
    """Return who annotated: the address of a mailbox, else a number."""
    if isinstance(value, dict):
        value = value.get("email") or value.get("username") or value.get("id")
    text = text_of(value)
    return text or None
