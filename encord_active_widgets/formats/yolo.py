"""YOLO datasets as Ultralytics writes them: `data.yaml`, `images/`, `labels/`; in and out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import polars as pl

from ..errors import EawError, InputError, unknown
from ..schema import (
    CLASS_NAME,
    GROUP,
    ITEM_ID,
    KIND_BOX,
    KIND_KEYPOINTS,
    KIND_POLYGON,
    KIND_ROTATED_BOX,
    LABELS,
    URI,
)  # fmt: skip
from .folder import IMAGE_SUFFIXES, within
from .source import Fault, Source, existing, valid_text

FORMAT = "yolo"
DATA_FILE = "data.yaml"
TASKS = ("detect", "segment", "obb", "pose")
SPLITS = ("train", "val", "test")
_OWN_KEYS = frozenset({"path", "train", "val", "test", "names", "nc", "kpt_shape", "task"})
_OUTSIDE = 1e-3
"""How far beyond the image a number may lie: annotation tools round. Further out the row is skipped."""
_MOST_YAML_BYTES = 16 * 1024 * 1024
_MOST_YAML_VALUES = 1_000_000
_BOX_NUMBERS = 4
_OBB_NUMBERS = 8
_SHOWN = 80

Numbers = list[float]


def read_yolo(data: str | os.PathLike[str], *, task: str | None = None) -> Source:
    """Read a YOLO dataset.

    Parameters
    ----------
    data : path
        `data.yaml`, or the folder that holds it.
    task : {"detect", "segment", "obb", "pose"}, optional
        What the rows are. By default what the file says (`task`, or `kpt_shape` for poses), else
        rows of five numbers are boxes and longer ones polygons.

    Returns
    -------
    Source
        Items with `group` (the split). Class numbers are kept in the header, so that an export
        uses the same.

    Raises
    ------
    InputError
        No YAML that can be used, no images, or no names of classes.
    UnknownNameError
        An unknown task.
    """
    if task is not None and task not in TASKS:
        raise unknown("task", task, TASKS)
    file = _data_file(Path(data))
    config = _config(file)
    names = _names(config, file)
    shape = config.get("kpt_shape")
    points = _points_shape(shape)
    said = config.get("task")
    task = task or (str(said) if said in TASKS else "pose" if points else None)
    faults: list[Fault] = []
    rows: dict[str, list[Any]] = {
        k: [] for k in (URI, "kind", CLASS_NAME, "x", "y", "w", "h", "angle", "points", "visibility")
    }
    groups: dict[str, str] = {}
    for split in SPLITS:
        for uri in _images(file, config, split, faults):
            if uri in groups:
                continue
            groups[uri] = split
            _label_file(uri, names, task, points, rows, faults)
    if not groups:
        raise InputError(f'"{file}" names no images that exist.', 'Check its "path", "train" and "val".')
    labels = pl.DataFrame(rows, schema={k: LABELS.columns.get(k, pl.String) for k in rows})
    extra = {k: v for k, v in config.items() if k not in _OWN_KEYS and _is_json(v)}
    header = {
        "format": FORMAT,
        "names": {str(k): v for k, v in names.items()},
        "task": task,
        "kpt_shape": shape if points else None,
        "extra": extra,
    }
    card = {"format": FORMAT, "annotations": os.fspath(file), "task": task}
    items = pl.DataFrame({URI: list(groups), GROUP: list(groups.values())}, schema={URI: pl.String, GROUP: pl.String})
    return Source(items, file.resolve().parent.name, card, labels=labels, faults=faults, header=header)


def _data_file(path: Path) -> Path:
    existing(path, "YOLO dataset")
    if not path.is_dir():
        return path
    for name in (DATA_FILE, "dataset.yaml", "data.yml"):
        if (path / name).is_file():
            return path / name
    found = sorted(path.glob("*.y*ml"))
    if len(found) == 1:
        return found[0]
    raise InputError(f'There is no {DATA_FILE} in "{path}".', "Give the file itself.")


def _config(file: Path) -> dict[str, Any]:
    """Read the YAML by its safe loader: no tag builds an object."""
    import yaml

    try:
        if file.stat().st_size > _MOST_YAML_BYTES:
            raise InputError(f'"{file}" is larger than a data.yaml can be.', "Give the right file.")
        text = file.read_text("utf-8")
        if text.count("&") > 1000:
            raise InputError(f'"{file}" has too many anchors.', "Write the values out.")
        loader = yaml.SafeLoader(text)  # what yaml.safe_load uses
        node = loader.get_single_node()
        if node is not None and _expanded(node, {}) > _MOST_YAML_VALUES:
            raise InputError(f'"{file}" repeats values by its anchors without end.', "Write the values out.")
        config = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, OSError, ValueError, RecursionError, LookupError, AttributeError, TypeError) as error:
        if isinstance(error, EawError):
            raise
        meant = isinstance(error, (yaml.YAMLError, OSError, ValueError, RecursionError))
        reason = str(error).split("\n")[0][:200] if meant else "a value does not fit its tag"
        raise InputError(
            f'"{file}" is not a YAML file that can be used: {reason}.', "Expected plain values."
        ) from error
    if not isinstance(config, dict):
        raise InputError(f'"{file}" holds no names and values.', "Expected path, train, val and names.")
    return config


def _expanded(node: Any, known: dict[int, float]) -> float:
    """Count the values below a node with every alias written out; infinite where one holds itself."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = math.inf  # until it is counted: whoever meets it now is inside of it
    total = 1.0
    if isinstance(node.value, list):
        for entry in node.value:
            total += sum(_expanded(one, known) for one in (entry if isinstance(entry, tuple) else (entry,)))
    known[id(node)] = total
    return total


def _names(config: dict[str, Any], file: Path) -> dict[int, str]:
    names = config.get("names")
    given = list(names.values()) if isinstance(names, dict) else names if isinstance(names, list) else []
    if not all(valid_text(str(n)) for n in given):
        raise InputError(f'"{file}" has a name of a class that is not Unicode.', "Correct its names.")
    if isinstance(names, list) and names:
        return {i: str(n) for i, n in enumerate(names)}
    if (
        isinstance(names, dict)
        and names
        and all(isinstance(k, int) and not isinstance(k, bool) and k >= 0 for k in names)
    ):
        return {int(k): str(v) for k, v in names.items()}
    if isinstance(config.get("nc"), int) and 0 < config["nc"] < 100_000 and names is None:
        return {i: str(i) for i in range(config["nc"])}
    raise InputError(f'"{file}" has no names of classes.', 'Write "names:" as a list, or as numbers and names.')


def _points_shape(shape: Any) -> tuple[int, int] | None:
    good = isinstance(shape, (list, tuple)) and len(shape) == 2 and all(isinstance(v, int) for v in shape)
    return (int(shape[0]), int(shape[1])) if good and 0 < shape[0] < 10_000 and shape[1] in (2, 3) else None


def _is_json(value: Any) -> bool:
    import json

    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _images(file: Path, config: dict[str, Any], split: str, faults: list[Fault]) -> Iterable[str]:
    """Yield the images of a split: a folder, a text file that lists them, or several of both."""
    entries = config.get(split)
    if entries is None and split == "val":
        entries = config.get("valid")
    given = entries if isinstance(entries, list) else [] if entries is None else [entries]
    for entry in given:
        if not isinstance(entry, str) or not valid_text(entry):
            faults.append(Fault(f"{file}: {split}", "skipped", f"{entry!r:.80} is no path", "give a folder or a list"))
            continue
        place = _place(file, config, entry)
        if place is None:
            faults.append(Fault(f"{file}: {split}", "skipped", f'"{entry}" does not exist', "correct the path"))
        elif place.is_dir():
            yield from _walk(place, faults)
        else:
            yield from _listed(place, faults)


def _place(file: Path, config: dict[str, Any], entry: str) -> Path | None:
    """Find an entry below `path`, beside the YAML, or where it says it is."""
    root = config.get("path")
    bases = [file.parent]
    if isinstance(root, str):
        bases = [file.parent / root, Path(root), file.parent, file.parent / PurePath(root).name]
    stripped = entry.removeprefix("../")
    for base in bases:
        for name in (entry, stripped):
            candidate = base / name
            try:
                if candidate.exists():
                    return Path(os.path.normpath(candidate))
            except (OSError, ValueError):
                continue
    return None


def _walk(folder: Path, faults: list[Fault]) -> Iterable[str]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if PurePath(name).suffix.lower() not in IMAGE_SUFFIXES:
                continue
            uri = os.path.join(place, name)  # noqa: PTH118 - addresses are text
            if valid_text(uri):
                yield uri
            else:
                shown = os.fsencode(uri).decode("utf-8", "backslashreplace")
                faults.append(Fault(shown, "skipped", "the file name is not UTF-8", "rename the file"))


def _listed(file: Path, faults: list[Fault]) -> Iterable[str]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(str(file), "skipped", f"it is no list of images: {error}", "give one path a line"))
        return
    for number, line in enumerate(lines, 1):
        name = line.strip()
        path = os.path.normpath(file.parent / name)
        if name and PurePath(path).name and "\0" not in path:
            yield path
        elif name:
            faults.append(Fault(f"{file}:{number}", "skipped", "the line is no path of an image", "remove the line"))


# -- label files -------------------------------------------------------------------------------------


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


def _label_file(
    uri: str,
    names: dict[int, str],
    task: str | None,
    points: tuple[int, int] | None,
    rows: dict[str, list[Any]],
    faults: list[Fault],
) -> None:
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
    return all(-_OUTSIDE <= v <= 1 + _OUTSIDE for v in values)


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


# -- out ---------------------------------------------------------------------------------------------


@dataclass
class Written:
    """What was written: the files, and what the format has no words for."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_yolo(
    items: pl.DataFrame,
    labels: pl.DataFrame,
    folder: Path,
    *,
    names: dict[int, str],
    task: str | None = None,
    kpt_shape: Sequence[int] | None = None,
) -> Written:
    """Write `data.yaml` and one label file an image; images are placed by the caller.

    Parameters
    ----------
    items : pl.DataFrame
        `item_id`, `file_name` (relative, below `images/<split>`), `width`, `height`, `split`
        (null counts as train).
    labels : pl.DataFrame
        Objects on these items.
    names : dict of int to str
        Class numbers and names.
    task : str, optional
        By default what most of the labels are.

    Raises
    ------
    InputError
        The size of an image is not known: shares cannot be computed. A class has no number, a path
        leaves the folder, or two images would share a label file that cannot hold both.
    """
    import yaml

    kinds = labels["kind"].to_list()
    task = task or _task_of(kinds)
    if task == "pose" and kpt_shape is None:
        counts = [len(v) for v in labels["visibility"].drop_nulls()] if "visibility" in labels.columns else []
        kpt_shape = [max(counts, default=1), 3]
    out = Written()
    numbers = {name: code for code, name in names.items()}
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in labels.iter_rows(named=True):
        by_item.setdefault(row[ITEM_ID], []).append(row)
    lost: dict[str, int] = {}
    splits: set[str] = set()
    written: dict[Path, tuple[str, str]] = {}
    for item in items.iter_rows(named=True):
        split = item.get("split") or SPLITS[0]
        splits.add(split)
        mine = by_item.get(item[ITEM_ID], [])
        if mine and not (item["width"] and item["height"]):
            raise InputError(f'The size of "{item["file_name"]}" is not known.', "Call p.compute() first.")
        size = (item["width"], item["height"])
        lines = [_line(row, numbers, task, size, kpt_shape, lost) for row in mine]
        file = _target(folder / "labels", split, item["file_name"])
        text = "".join(f"{line}\n" for line in lines)
        other, there = written.setdefault(file, (item["file_name"], text))
        if there != text:
            raise InputError(
                f'"{other}" and "{item["file_name"]}" share the label file "{file}" but not their labels.',
                "Give one of the images another name, or write COCO.",
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        if other == item["file_name"]:
            out.files.append(file)
    out.notes += [f"{n:,} of kind {kind}: written as their bounding box" for kind, n in lost.items()]
    config: dict[str, Any] = {"path": ".", **{s: f"images/{s}" for s in sorted(splits, key=_split_order)}}
    for needed in SPLITS[:2]:
        config.setdefault(needed, f"images/{min(splits, key=_split_order)}" if splits else f"images/{needed}")
    config |= {
        "task": task,
        **({"kpt_shape": list(kpt_shape)} if kpt_shape and task == "pose" else {}),
        "names": dict(sorted(names.items())),
    }
    file = folder / DATA_FILE
    file.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "utf-8")
    out.files.append(file)
    return out


def _target(folder: Path, split: str, name: str) -> Path:
    """Return the label file of an image; a split is one folder, and nothing is written elsewhere."""
    if split in (".", "..") or any(c in split for c in "/\\\0"):
        raise InputError(f'"{split}" cannot be the folder of a split.', "Name splits train, val and test.")
    if within(folder, [name])[0][0] is None:
        raise InputError(f'The file name "{name}" leaves the folder "{folder}".', "Write images under relative names.")
    return folder / split / PurePath(name).with_suffix(".txt")


def _split_order(name: str) -> tuple[int, str]:
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)


def _task_of(kinds: list[str]) -> str:
    for kind, task in ((KIND_KEYPOINTS, "pose"), (KIND_ROTATED_BOX, "obb"), (KIND_POLYGON, "segment")):
        if kinds.count(kind) * 2 > len(kinds):
            return task
    return "segment" if KIND_POLYGON in kinds else "detect"


def _line(
    row: dict[str, Any],
    numbers: dict[str, int],
    task: str,
    size: tuple[int, int],
    shape: Sequence[int] | None,
    lost: dict[str, int],
) -> str:
    from .coco_writer import corners_of

    if row[CLASS_NAME] not in numbers:
        raise InputError(f"The class {row[CLASS_NAME]!r} has no number.", "Give every object a class that names holds.")
    code = numbers[row[CLASS_NAME]]
    box = [row[k] for k in "xywh"]
    angle = (row.get("angle") or 0.0) if row["kind"] == KIND_ROTATED_BOX else 0.0
    corners = corners_of(box[0], box[1], box[2], box[3], angle)
    low, high = corners.min(axis=0), corners.max(axis=0)
    whole = row.get("points") is not None and len(row.get("rings") or ()) <= 1
    values: list[float] = []
    if task == "obb":
        values = (corners / size).ravel().tolist()
        if row["kind"] not in (KIND_BOX, KIND_ROTATED_BOX):
            lost[row["kind"]] = lost.get(row["kind"], 0) + 1
    elif task == "segment" and row["kind"] == KIND_POLYGON and whole:
        values = [min(max(v / size[i % 2], 0.0), 1.0) for i, v in enumerate(row["points"])]
    elif task == "segment":  # trainers read a file as segments or as boxes: a box is a segment of four corners
        values = np.clip(corners / size, 0.0, 1.0).ravel().tolist()
        if row["kind"] not in (KIND_BOX, KIND_ROTATED_BOX):
            lost[row["kind"]] = lost.get(row["kind"], 0) + 1
    else:
        centre, sides = (low + high) / 2, high - low
        if not angle:
            centre, sides = np.array([box[0] + box[2] / 2, box[1] + box[3] / 2]), np.array(box[2:])
        first, last = centre - sides / 2, centre + sides / 2
        if (first < 0).any() or (last > size).any():  # what lies outside is no part of the picture
            first, last = np.clip(first, 0, size), np.clip(last, 0, size)
            centre, sides = (first + last) / 2, last - first
        values = [*(centre / size).tolist(), *(sides / size).tolist()]
        if task == "pose":
            values += _pose_values(row, size, shape or (0, 3))
        fits = row["kind"] == KIND_BOX or (task == "pose" and row["kind"] == KIND_KEYPOINTS)
        if not fits:
            lost[row["kind"]] = lost.get(row["kind"], 0) + 1
    return f"{code} {' '.join(_short(v) for v in values)}"


def _pose_values(row: dict[str, Any], size: tuple[int, int], shape: Sequence[int]) -> list[float]:
    points, seen = row.get("points") or [], row.get("visibility") or []
    if row["kind"] != KIND_KEYPOINTS:
        points, seen = [], []
    out: list[float] = []
    for i in range(shape[0]):
        visible = seen[i] if i < len(seen) else 0
        x, y = (points[2 * i] / size[0], points[2 * i + 1] / size[1]) if visible else (0.0, 0.0)
        out += [x, y, float(visible)][: shape[1]]
    return out


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
