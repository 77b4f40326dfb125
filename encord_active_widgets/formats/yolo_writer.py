"""YOLO datasets out: `data.yaml`, and a label file an image, as trainers read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError
from ..schema import (
    CLASS_NAME,
    ITEM_ID,
    KIND_BOX,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POLYGON,
    KIND_ROTATED_BOX,
    LABEL_ID,
)
from ..store.writing import Writing
from .folder import within
from .yolo import DATA_FILE, SPLITS
from .yolo_rows import OUTSIDE

F64 = NDArray[np.float64]

_VISIBLE = 2
_ROUNDING_PX = 1e-6
"""A shape that reaches this little over the border lies on it."""
_ROUNDING_SHARE = 1e-6
_BOXES = (KIND_BOX, KIND_ROTATED_BOX)
_OF_POSES = ("flip_idx", "kpt_names")
"""What a data.yaml says of keypoints besides their number; true only while that stays the same."""
_NOTES = {
    "cut": "{n} {boxes} over the border and {are} cut there",
    "moved": "{n} {outlines} over the border: points outside of the image are moved onto it",
    "traced": "{n} of kind mask: written as the outline of their pixels",
    "joined": "{n} of several parts or with holes: joined into one ring by lines without width",
    "twice": "{n} of parts that lie on each other: what they share counts twice",
    "outside": "{n} outside of their images: left out",
    "flat": "{n} without area: left out",
    "unseen": "{n} points of poses outside of their images: written as not labelled",
    "padded": "{n} poses of another number of points than kpt_shape says: filled up or cut",
}
_WORDS = {
    "boxes": ("box reaches", "boxes reach"),
    "outlines": ("outline reaches", "outlines reach"),
    "are": ("is", "are"),
}


def _numbered(value: Any) -> Any:
    """Return a mapping with numbers for keys, as data.yaml had it before JSON made texts of them."""
    if not isinstance(value, dict):
        return value
    return {int(k) if str(k).isdecimal() else k: v for k, v in value.items()}


@dataclass
class Written:
    """What was written: the files, what the format has no words for, and the ids of labels that are left out."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def write_yolo(
    items: pl.DataFrame,
    labels: pl.DataFrame,
    folder: Path,
    *,
    names: dict[int, str],
    task: str | None = None,
    kpt_shape: Sequence[int] | None = None,
    extra: Mapping[str, Any] | None = None,
    writing: Writing | None = None,
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
    kpt_shape : sequence of int, optional
        Points of a pose, and numbers a point; by default as many points as the labels have.
    extra : mapping, optional
        What the data.yaml that was read said besides; what it says of keypoints is kept.
    writing : Writing, optional
        What takes the files away again if the export fails.

    Raises
    ------
    InputError
        The size of an image is not known: shares cannot be computed. A class has no number, a path
        leaves the folder, or two images would share a label file that cannot hold both.
    """
    task = task or _task_of(labels["kind"].to_list())
    if task == "pose" and kpt_shape is None:
        points = labels.filter(pl.col("kind") == KIND_KEYPOINTS)["points"].list.len().max()
        kpt_shape = [int(points) // 2 if isinstance(points, int) else 1, 3]
    out, writing = Written(), writing or Writing(f'"{folder}"')
    rows = _Rows({name: code for code, name in names.items()}, task, kpt_shape or (0, 3))
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in labels.iter_rows(named=True):
        by_item.setdefault(row[ITEM_ID], []).append(row)
    splits: set[str] = set()
    written: dict[Path, tuple[str, str]] = {}
    for item in items.iter_rows(named=True):
        split = item.get("split") or SPLITS[0]
        splits.add(split)
        mine = by_item.get(item[ITEM_ID], [])
        if mine and not (item["width"] and item["height"]):
            raise InputError(f'The size of "{item["file_name"]}" is not known.', "Call p.compute() first.")
        text = rows.text(mine, (item["width"], item["height"]), out.left_out)
        file = _target(folder / "labels", split, item["file_name"])
        other, there = written.setdefault(file, (item["file_name"], text))
        if there != text:
            raise InputError(
                f'"{other}" and "{item["file_name"]}" share the label file "{file}" but not their labels.',
                "Give one of the images another name, or write COCO.",
            )
        writing.text(file, text)
        if other == item["file_name"]:
            out.files.append(file)
    out.notes += rows.notes()
    if not names:
        out.notes.append("there are no classes: trainers want at least one name")
    kept = {k: _numbered(v) for k, v in (extra or {}).items() if k in _OF_POSES}
    about_points = {"kpt_shape": list(kpt_shape), **kept} if kpt_shape and task == "pose" else {}
    config = {**_places(splits, out.notes), "task": task, **about_points, "names": dict(sorted(names.items()))}
    writing.text(folder / DATA_FILE, _yaml_text(config))
    out.files.append(folder / DATA_FILE)
    return out


def _yaml_text(config: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _places(splits: set[str], notes: list[str]) -> dict[str, Any]:
    """Return what data.yaml says of folders; it needs train and val, be they one folder."""
    ordered = sorted(splits, key=_split_order)
    places = {"path": ".", **{s: f"images/{s}" for s in ordered}}
    missing = []
    for needed in SPLITS[:2]:
        if needed not in splits:
            places[needed] = f"images/{ordered[0] if ordered else needed}"
            missing.append(needed)
    if missing and splits:
        notes.append(
            f"no images are in {' and '.join(missing)}: validation would be on the images of training; "
            "divide them first with view.split(train=0.8, val=0.2, test=0)"
        )
    return places


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
    counts = Counter(kinds)
    outlines = counts[KIND_POLYGON] + counts[KIND_MASK]
    for n, task in ((counts[KIND_KEYPOINTS], "pose"), (counts[KIND_ROTATED_BOX], "obb"), (outlines, "segment")):
        if n * 2 > len(kinds):
            return task
    return "segment" if outlines else "detect"


class _Rows:
    """Writes objects as rows of a task, and counts what had to be changed for it."""

    def __init__(self, numbers: dict[str, int], task: str, shape: Sequence[int]) -> None:
        self._numbers, self._task, self._shape = numbers, task, shape
        self._done: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    def text(self, rows: list[dict[str, Any]], size: tuple[int, int], left_out: list[str]) -> str:
        """Return the label file of one image."""
        lines = []
        for row in rows:
            if row[CLASS_NAME] not in self._numbers:
                raise InputError(
                    f"The class {row[CLASS_NAME]!r} has no number.", "Give every object a class that names holds."
                )
            values = self._values(row, size)
            if isinstance(values, str):
                self._done[values] += 1
                left_out.append(row.get(LABEL_ID, ""))
                continue
            lines.append(f"{self._numbers[row[CLASS_NAME]]} {' '.join(map(_short, values))}\n")
        return "".join(lines)

    def notes(self) -> list[str]:
        """Say what had to be changed."""
        lost = [f"{n:,} of kind {kind}: written as their bounding box" for kind, n in self._lost.items()]
        done = [
            _NOTES[key].format(n=f"{self._done[key]:,}", **{k: v[self._done[key] > 1] for k, v in _WORDS.items()})
            for key in _NOTES
            if self._done[key]
        ]
        return lost + done

    def _values(self, row: dict[str, Any], size: tuple[int, int]) -> list[float] | str:
        """Return the numbers of a row after its class, as shares of the image, or why it has none."""
        kind = row["kind"]
        if self._task == "segment":
            return self._segment(row, size)
        if kind != KIND_BOX and (self._task, kind) not in (("obb", KIND_ROTATED_BOX), ("pose", KIND_KEYPOINTS)):
            self._lost[kind] += 1
        if self._task == "obb":
            corners = _corners(row)
            flat = min(row["w"], row["h"]) <= 0
            if flat or (corners.max(axis=0) <= 0).any() or (corners.min(axis=0) >= size).any():
                return "flat" if flat else "outside"
            return _listed(corners / size)
        box = self._box(row, size)
        return box if isinstance(box, str) or self._task != "pose" else box + self._points(row, size)

    def _segment(self, row: dict[str, Any], size: tuple[int, int]) -> list[float] | str:
        """Return one ring; trainers read a file as segments or as boxes, so a box is a segment of four corners."""
        from .outlines import joined, mask_rings, polygon_rings

        kind = row["kind"]
        rings: list[F64] = []
        if kind == KIND_MASK:
            rings = mask_rings(row["rle"], row["mask_h"], row["mask_w"])
        elif kind == KIND_POLYGON and row.get("points") is not None:
            rings = polygon_rings(row["points"], row.get("rings"), row.get("holes"))
        ring = joined(rings) if rings else _corners(row)
        inside = np.clip(ring / size, 0.0, 1.0)
        if np.ptp(inside, axis=0).min() <= 0:
            return "flat" if np.ptp(ring, axis=0).min() <= 0 else "outside"
        self._done["traced"] += kind == KIND_MASK
        self._done["joined"] += len(rings) > 1
        self._done["twice"] += kind == KIND_POLYGON and len(rings) > 1 and _overlap(rings, row.get("holes") or [])
        if kind not in _BOXES and not rings:
            self._lost[kind] += 1
        if (np.abs(inside * size - ring) > _ROUNDING_PX).any():
            self._done["cut" if kind in _BOXES else "moved"] += 1
        return _listed(inside)

    def _box(self, row: dict[str, Any], size: tuple[int, int]) -> list[float] | str:
        """Return centre and sides of what of the box lies in the image, or why there is nothing."""
        first, sides = np.array([row["x"], row["y"]]), np.array([row["w"], row["h"]])
        if row["kind"] == KIND_ROTATED_BOX and row.get("angle"):
            corners = _corners(row)
            first, sides = corners.min(axis=0), np.ptp(corners, axis=0)
        centre = first + sides / 2
        if (sides <= 0).any():
            return "flat"
        if (first < -_ROUNDING_PX).any() or (first + sides > np.add(size, _ROUNDING_PX)).any():
            low, high = np.clip(first, 0, size), np.clip(first + sides, 0, size)
            if (high <= low).any():
                return "outside"
            self._done["cut"] += 1
            centre, sides = (low + high) / 2, high - low
        return [*(centre / size).tolist(), *np.minimum(sides / size, 1.0).tolist()]

    def _points(self, row: dict[str, Any], size: tuple[int, int]) -> list[float]:
        points = row.get("points") or []
        seen = row.get("visibility") or [_VISIBLE] * (len(points) // 2)
        if row["kind"] != KIND_KEYPOINTS:
            points, seen = [], []
        elif len(seen) != self._shape[0]:
            self._done["padded"] += 1
        out: list[float] = []
        for i in range(self._shape[0]):
            visible = seen[i] if i < len(seen) else 0
            x, y = (points[2 * i] / size[0], points[2 * i + 1] / size[1]) if visible else (0.0, 0.0)
            if not (-OUTSIDE <= x <= 1 + OUTSIDE and -OUTSIDE <= y <= 1 + OUTSIDE):
                self._done["unseen"] += 1
                x, y, visible = 0.0, 0.0, 0
            out += [min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0), float(visible)][: self._shape[1]]
        return out


def _overlap(rings: list[F64], holes: list[int]) -> bool:
    """Tell whether the parts of a polygon cover less together than each by itself."""
    from ..metrics.rotated import ring_area, rings_area

    starts = np.concatenate([[0], np.cumsum([len(r) for r in rings])]).astype(np.int64)
    flags = np.isin(np.arange(len(rings)), holes)
    united = rings_area(np.concatenate(rings), starts, flags, 0, len(rings))
    alone = sum(abs(ring_area(r)) * (-1 if hole else 1) for r, hole in zip(rings, flags, strict=True))
    return bool(united < alone * (1 - _ROUNDING_SHARE))


def _corners(row: dict[str, Any]) -> F64:
    from .coco_writer import corners_of

    angle = (row.get("angle") or 0.0) if row["kind"] == KIND_ROTATED_BOX else 0.0
    return corners_of(row["x"], row["y"], row["w"], row["h"], angle)


def _listed(points: F64) -> list[float]:
    found: list[float] = points.ravel().tolist()
    return found


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
