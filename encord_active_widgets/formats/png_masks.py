"""Predictions as pictures: a PNG an image whose values are class numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError
from ..schema import CLASS_NAME, URI
from .run import IMAGE, PLACE, Context, RunSource, Skipped, find_items
from .run_classes import by_number
from .run_source import run_source

BACKGROUND, VOID = 0, 255


def read_png_masks(folder: Path, context: Context) -> RunSource:
    """Read a folder of `<image>.png`, grey or with a palette: 0 is nothing, 255 is not judged, else a class number.

    Each class on an image becomes one mask, with the confidence 1. The number 1 is the second of the classes
    that were passed: the background is the first.

    Raises
    ------
    InputError
        No PNG files, or none of an image of the project; nothing says what class numbers mean.
    """
    from PIL import Image, UnidentifiedImageError

    from ..metrics import masks

    files = sorted(folder.glob("*.png")) if folder.is_dir() else []
    if not files:
        raise InputError(f'"{folder}" holds no .png files.', "Give the folder of the masks.")
    found = find_items(context, pl.Series([f.stem for f in files], dtype=pl.String)).to_list()
    sizes = {uri: (w, h) for uri, w, h in context.items.select(URI, "width", "height").iter_rows()}
    skipped = Skipped()
    rows: list[dict[str, Any]] = []
    for file, uri in zip(files, found, strict=True):
        try:
            with Image.open(file) as picture:
                values = np.asarray(picture)
        except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            skipped.add(str(file), f"it is no picture that can be read: {error}", "write it again")
            continue
        if values.ndim != 2 or values.dtype.kind not in "bui":
            skipped.add(str(file), "it is a colour picture", "write class numbers as one channel")
            continue
        height, width = values.shape
        size = sizes.get(uri) if uri is not None else None
        if size is not None and all(size) and size != (width, height):
            why = f"it has {width} × {height} px, its image {size[0]} × {size[1]}"
            skipped.add(str(file), why, "write masks of the image's size")
            continue
        for code in np.unique(values).tolist():
            if code in (BACKGROUND, VOID):
                continue
            rle = masks.encode(values == code)
            rows.append(
                {
                    IMAGE: uri or file.stem,
                    "code": int(code),
                    "rle": rle,
                    "mask_h": height,
                    "mask_w": width,
                    PLACE: f"{file.name}: {code}",
                }
            )
    if not rows:
        why = skipped.faults[0].why if skipped.faults else "They are empty."
        raise InputError(f'"{folder}" holds no masks that can be used.', why)
    frame = pl.DataFrame(rows, schema_overrides={"rle": pl.Binary})
    frame = frame.with_columns(by_number(frame["code"], context, folder.name).alias(CLASS_NAME)).drop("code")
    return run_source(frame, context, folder.name, skipped=skipped)
