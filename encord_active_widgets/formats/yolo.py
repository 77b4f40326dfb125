"""YOLO datasets as Ultralytics writes them: `data.yaml`, `images/`, `labels/`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import polars as pl

from ..errors import EawError, InputError, unknown
from ..schema import (
    CLASS_NAME,
    GROUP,
    LABELS,
    SPLIT,
    URI,
)  # fmt: skip
from .folder import IMAGE_SUFFIXES
from .source import Fault, Source, existing, valid_text
from .yolo_rows import read_label_file

FORMAT = "yolo"
DATA_FILE = "data.yaml"
TASKS = ("detect", "segment", "obb", "pose")
SPLITS = ("train", "val", "test")
_OWN_KEYS = frozenset({"path", "train", "val", "test", "names", "nc", "kpt_shape", "task"})
_MOST_YAML_BYTES = 16 * 1024 * 1024
_MOST_YAML_VALUES = 1_000_000


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
        Items with `split`, and the same as `group`. Class numbers and the folders of images are kept
        in the header, so that an export uses the same.

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
    splits: dict[str, str] = {}
    folders: dict[str, None] = {}
    for split in SPLITS:
        for folder, uri in _images(file, config, split, faults):
            if uri in splits:
                continue
            splits[uri] = split
            folders[folder] = None
            read_label_file(uri, names, task, points, rows, faults)
    if not splits:
        raise InputError(f'"{file}" names no images that exist.', 'Check its "path", "train" and "val".')
    labels = pl.DataFrame(rows, schema={k: LABELS.columns.get(k, pl.String) for k in rows})
    extra = {k: v for k, v in config.items() if k not in _OWN_KEYS and _is_json(v)}
    header = {
        "format": FORMAT,
        "names": {str(k): v for k, v in names.items()},
        "task": task,
        "kpt_shape": shape if points else None,
        "extra": extra,
        "folders": list(folders),
    }
    card = {"format": FORMAT, "annotations": os.fspath(file), "task": task}
    items = pl.DataFrame(
        {URI: list(splits), GROUP: list(splits.values()), SPLIT: list(splits.values())},
        schema=dict.fromkeys((URI, GROUP, SPLIT), pl.String),
    )
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
    if isinstance(names, list):
        return {i: str(n) for i, n in enumerate(names)}
    if isinstance(names, dict) and all(isinstance(k, int) and not isinstance(k, bool) and k >= 0 for k in names):
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


def _images(file: Path, config: dict[str, Any], split: str, faults: list[Fault]) -> Iterable[tuple[str, str]]:
    """Yield the images of a split, and the folder their names start from.

    A split is a folder, a text file that lists images, or several of both.
    """
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
            yield from ((os.fspath(place), uri) for uri in _walk(place, faults))
        else:
            listed = list(_listed(place, faults))
            folder = os.path.commonpath([os.path.dirname(uri) for uri in listed]) if listed else ""  # noqa: PTH120
            yield from ((folder, uri) for uri in listed)


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
