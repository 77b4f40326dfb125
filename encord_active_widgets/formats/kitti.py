"""Predictions as KITTI writes them: a text file an image, sixteen words an object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError
from ..schema import CLASS_NAME, CONFIDENCE, EXTRA
from .run import IMAGE, PLACE, Context, RunSource, Skipped, find_items
from .run_source import run_source
from .yolo_results import text_files, text_rows

_WORDS = 16
_BEFORE, _AFTER = ("truncated", "occluded", "alpha"), ("height", "width", "length", "x", "y", "z", "rotation_y")
_NOTHING = "DontCare"


def read_kitti(folder: Path, context: Context) -> RunSource:
    """Read a folder of `<image>.txt` with rows of type, truncation, occlusion, angle, box, size, place, score.

    The box is left, top, right, bottom in pixels; what is not drawn is kept in `extra`. Scores beyond 0 to 1
    are listed, as all confidences are.

    Raises
    ------
    InputError
        No text files, or none of an image of the project.
    """
    files = text_files(folder)
    found = find_items(context, pl.Series([f.stem for f in files], dtype=pl.String)).to_list()
    skipped = Skipped()
    rows: list[dict[str, Any]] = []
    for file, uri in zip(files, found, strict=True):
        for i, words in enumerate(text_rows(file, skipped)):
            if words[0] == _NOTHING:
                continue
            try:
                values = [float(w) for w in words[1:]]
            except ValueError:
                values = []
            if len(values) != _WORDS - 1:
                why = f"it has {len(words)} words, not 16 numbers after a type"
                skipped.add(f"{file}:{i + 1}", why, "the last one is the score")
                continue
            rest = dict(zip((*_BEFORE, *_AFTER), (*values[:3], *values[7:14]), strict=True))
            left, top, right, bottom = values[3:7]
            rows.append(
                {
                    IMAGE: uri or file.stem, CLASS_NAME: words[0], "x": left, "y": top, "w": right - left,
                    "h": bottom - top, CONFIDENCE: values[14], EXTRA: json.dumps(rest), PLACE: f"{file.name}:{i + 1}",
                }
            )  # fmt: skip
    if not rows:
        why = skipped.faults[0].why if skipped.faults else ""
        raise InputError(f'"{folder}" holds no predictions that can be read.', why)
    return run_source(pl.DataFrame(rows), context, folder.name, skipped=skipped)
