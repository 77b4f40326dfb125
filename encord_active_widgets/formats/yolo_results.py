"""Predictions as YOLO writes them: a text file an image, a row an object, its confidence last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError, unknown
from ..schema import CLASS_NAME, CONFIDENCE, URI
from .run import IMAGE, PLACE, Context, RunSource, Skipped, find_items
from .run_boxes import MOST_SHARE
from .run_classes import by_number
from .run_source import run_source

TASKS = ("detect", "segment")
_BOX_NUMBERS = 6
_LEAST_SEGMENT = 8
_KITTI_WORDS = (15, 16)


def read_yolo_results(folder: Path, context: Context, *, task: str = "detect") -> RunSource:
    """Read a folder of `<image>.txt`: `class x y w h confidence`, or `class x1 y1 x2 y2 … confidence`.

    Numbers are shares of the image; boxes are given by their centre. Classes are numbers of the classes that
    were passed, or of the project's YOLO data.

    Raises
    ------
    InputError
        No text files, or none of an image of the project; pixels; nothing says what class numbers mean.
    """
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    files = text_files(folder)
    found = find_items(context, pl.Series([f.stem for f in files], dtype=pl.String)).to_list()
    sizes = {uri: (w, h) for uri, w, h in context.items.select(URI, "width", "height").iter_rows()}
    skipped = Skipped()
    rows: list[dict[str, Any]] = []
    for file, uri in zip(files, found, strict=True):
        size = sizes.get(uri) if uri is not None else None
        for i, parts in enumerate(text_rows(file, skipped)):
            if uri is not None and (size is None or not all(size)):
                skipped.add(str(file), "the size of its image is not known", "call p.compute() first")
                break
            values = _values(parts, task, f"{file}:{i + 1}")
            if isinstance(values, str):
                skipped.add(f"{file}:{i + 1}", values, "correct the row")
                continue
            rows.append({**_row(values, size or (1, 1), task), IMAGE: uri or file.stem, PLACE: f"{file.name}:{i + 1}"})
    if not rows:
        why = skipped.faults[0].why if skipped.faults else ""
        raise InputError(f'"{folder}" holds no predictions that can be read.', why)
    columns = {k: [r.get(k) for r in rows] for k in dict.fromkeys(k for r in rows for k in r)}
    frame = pl.DataFrame(columns, schema_overrides={"points": pl.List(pl.Float64)} if "points" in columns else None)
    frame = frame.with_columns(by_number(frame["code"], context, folder.name).alias(CLASS_NAME)).drop("code")
    return run_source(frame, context, folder.name, skipped=skipped)


def text_files(folder: Path) -> list[Path]:
    """Return the text files of a folder, by name."""
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    if not files:
        raise InputError(f'"{folder}" holds no .txt files.', "Give the folder of the files with one row an object.")
    return files


def text_rows(file: Path, skipped: Skipped) -> list[list[str]]:
    """Return the words of the rows of a file."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        skipped.add(str(file), f"it cannot be read: {error}", "write it again")
        return []
    return [line.split() for line in text.splitlines() if line.strip()]


def _values(parts: list[str], task: str, where: str) -> list[float] | str:
    """Return the numbers of a row, or why it cannot be used.

    Raises
    ------
    InputError
        The files are of another format: KITTI, or in pixels.
    """
    try:
        values = [float(p) for p in parts]
    except ValueError:
        if len(parts) in _KITTI_WORDS and parts[0][:1].isalpha():
            raise InputError(f'"{where}" looks like KITTI, not YOLO.', 'Pass format="kitti".') from None
        return "it has something that is no number"
    if not values[0].is_integer():
        return f"its class {parts[0][:20]} is no whole number"
    if task == "detect" and len(values) != _BOX_NUMBERS:
        return f"it has {len(values)} numbers, not 6 (class x y w h confidence)"
    if task == "segment" and (len(values) < _LEAST_SEGMENT or len(values) % 2):
        return f"it has {len(values)} numbers: a segment needs a class, three points or more, and a confidence"
    most = max(values[1:-1])
    if most > MOST_SHARE:
        raise InputError(
            f'"{where}" is in pixels (one number is {most:g}); YOLO has shares of the image, from 0 to 1.',
            "Divide by the image's width and height, or give a data frame of boxes in pixels.",
        )
    return values


def _row(values: list[float], size: tuple[int, int], task: str) -> dict[str, Any]:
    width, height = size
    start = {"code": int(values[0]), CONFIDENCE: values[-1]}
    if task == "detect":
        x, y, w, h = (values[1] * width, values[2] * height, values[3] * width, values[4] * height)
        return {**start, "x": x - w / 2, "y": y - h / 2, "w": w, "h": h}
    return {**start, "points": [v * (height if i % 2 else width) for i, v in enumerate(values[1:-1])]}
