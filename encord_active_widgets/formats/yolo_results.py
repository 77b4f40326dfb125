"""Predictions as YOLO writes them: a text file an image, a row an object, its confidence last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError, unknown
from ..schema import CLASS_NAME, CONFIDENCE, URI
from .run import Context, find_items
from .run_source import IMAGE, PLACE, by_code, run_source
from .source import Fault, Source

TASKS = ("detect", "segment")
_BOX_NUMBERS = 6
_LEAST_SEGMENT = 8


def read_yolo_results(folder: Path, context: Context, *, task: str = "detect") -> Source:
    """Read a folder of `<image>.txt`: `class x y w h confidence`, or `class x1 y1 x2 y2 … confidence`.

    Numbers are shares of the image; boxes are given by their centre.

    Raises
    ------
    InputError
        No text files, or none of an image of the project.
    """
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    files = text_files(folder)
    found = find_items(context, pl.Series([f.stem for f in files], dtype=pl.String)).to_list()
    sizes = {uri: (w, h) for uri, w, h in context.items.select(URI, "width", "height").iter_rows()}
    faults: list[Fault] = []
    rows: list[dict[str, Any]] = []
    for file, uri in zip(files, found, strict=True):
        size = sizes.get(uri) if uri is not None else None
        for i, parts in enumerate(text_rows(file, faults)):
            if uri is not None and (size is None or not all(size)):
                faults.append(
                    Fault(str(file), "skipped", "the size of its image is not known", "call p.compute() first")
                )
                break
            row = _row(parts, size or (1, 1), task)
            if isinstance(row, str):
                faults.append(Fault(f"{file}:{i + 1}", "skipped", row, "correct the row"))
                continue
            rows.append({**row, IMAGE: uri or file.stem, PLACE: f"{file.name}:{i + 1}"})
    if not rows:
        raise InputError(f'"{folder}" holds no predictions that can be read.', faults[0].why if faults else "")
    columns = {k: [r.get(k) for r in rows] for k in dict.fromkeys(k for r in rows for k in r)}
    frame = pl.DataFrame(columns, schema_overrides={"points": pl.List(pl.Float64)} if "points" in columns else None)
    frame = frame.with_columns(by_code(frame["code"], context).alias(CLASS_NAME)).drop("code")
    source = run_source(frame, context, folder.name)
    source.faults[:0] = faults
    return source


def text_files(folder: Path) -> list[Path]:
    """Return the text files of a folder, by name."""
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    if not files:
        raise InputError(f'"{folder}" holds no .txt files.', "Give the folder of the files with one row an object.")
    return files


def text_rows(file: Path, faults: list[Fault]) -> list[list[str]]:
    """Return the words of the rows of a file."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(str(file), "skipped", f"it cannot be read: {error}", "write it again"))
        return []
    return [line.split() for line in text.splitlines() if line.strip()]


def _row(parts: list[str], size: tuple[int, int], task: str) -> dict[str, Any] | str:
    try:
        values = [float(p) for p in parts]
    except ValueError:
        return "it has something that is no number"
    width, height = size
    if not values[0].is_integer():
        return f"its class {parts[0][:20]} is no whole number"
    start = {"code": int(values[0]), CONFIDENCE: values[-1]}
    if task == "detect":
        if len(values) != _BOX_NUMBERS:
            return f"it has {len(values)} numbers, not 6 (class x y w h confidence)"
        x, y, w, h = (values[1] * width, values[2] * height, values[3] * width, values[4] * height)
        return {**start, "x": x - w / 2, "y": y - h / 2, "w": w, "h": h}
    if len(values) < _LEAST_SEGMENT or len(values) % 2:
        return f"it has {len(values)} numbers: a segment needs a class, three points or more, and a confidence"
    return {**start, "points": [v * (height if i % 2 else width) for i, v in enumerate(values[1:-1])]}
