"""Read an export again and compare it, label by label, with what is in the project."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from .errors import ProjectError
from .formats.source import Source
from .schema import CLASS_NAME, ITEM_ID, KIND_CLASSIFICATION, KIND_ROTATED_BOX, URI

if TYPE_CHECKING:
    from .project import Project

_NEAR_PX = {"coco": 0.0, "voc": 1e-9, "yolo": 1e-6}
_BOX = ("x", "y", "w", "h")


def compare(
    project: Project,
    kind: str,
    target: Path,
    items: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    images: str,
    notes: list[str],
) -> None:
    """Raise unless the export holds the same images with the same classes and shapes.

    What the format has no words for (`notes`) is compared by its bounding box.

    Raises
    ------
    ProjectError
        How many labels differ, and where the first one is.
    """
    source = _read(project, kind, target, images)
    written = source.items.select(URI)
    if written.height != items.height:
        raise _differs(target, f"it holds {written.height:,} images instead of {items.height:,}")
    names = dict(zip(items[ITEM_ID], items["file_name"], strict=True))
    here = labels.filter(pl.col("kind") != KIND_CLASSIFICATION).with_columns(
        pl.col(ITEM_ID).replace_strict(names, return_dtype=pl.String).alias("name")
    )
    ends = {name: name for name in names.values()}
    there = source.labels if source.labels is not None else here.clear().rename({"name": URI})
    there = there.filter(pl.col("kind") != KIND_CLASSIFICATION).with_columns(
        pl.Series(
            "name",
            [_ending(u, ends) for u in there.filter(pl.col("kind") != KIND_CLASSIFICATION)[URI]],
            dtype=pl.String,
        )
    )
    if here.height != there.height:
        first = source.faults[0].why if source.faults else ""
        raise _differs(target, f"it holds {there.height:,} labels instead of {here.height:,} {first}".strip())
    here, there = _ordered(here), _ordered(there)
    near = _NEAR_PX[kind]
    for column in ("name", CLASS_NAME):
        wrong = ~here[column].eq_missing(there[column])
        if wrong.any():
            raise _differs(
                target, f"{column} of {int(wrong.sum()):,} labels, the first on {here['name'].filter(wrong)[0]}"
            )
    exact = (here["kind"] == there["kind"]) | (here["kind"] != KIND_ROTATED_BOX)
    a, b = (frame.filter(exact).select(_BOX).to_numpy() for frame in (here, there))
    off = np.abs(a - b).max(axis=1) > near * np.maximum(1.0, np.abs(a).max(axis=1)) if len(a) else np.zeros(0, bool)
    if off.any():
        where = here.filter(exact)["name"].filter(pl.Series(off))[0]
        raise _differs(target, f"the boxes of {int(off.sum()):,} labels, the first on {where}")
    if not notes and kind == "coco":
        _same_shapes(target, here, there)


def _same_shapes(target: Path, here: pl.DataFrame, there: pl.DataFrame) -> None:
    for column in ("kind", "angle", "points", "rings", "holes", "visibility", "rle"):
        if column in here.columns and column in there.columns:
            a, b = here[column], there[column]
            same = [
                _plain(v) == _plain(w) for v, w in zip(a, b.cast(a.dtype) if b.dtype == pl.Null else b, strict=True)
            ]
            if not all(same):
                where = here["name"][same.index(False)]
                raise _differs(target, f"{column} of {same.count(False):,} labels, the first on {where}")


def _plain(value: object) -> object:
    return value.to_list() if isinstance(value, pl.Series) else value


def _read(project: Project, kind: str, target: Path, images: str) -> Source:
    if kind == "coco":
        from .formats.coco import read_coco

        folder = (
            target.parent / "images"
            if images != "reference"
            else Path(project._card.get("source", {}).get("images") or target.parent)
        )
        return read_coco(target, images=folder if folder.is_dir() else target.parent)
    if kind == "voc":
        from .formats.voc import read_voc

        return read_voc(target / "Annotations", images=target if images == "reference" else target / "JPEGImages")
    from .formats.yolo import read_yolo

    return read_yolo(target / "data.yaml")


def _ending(uri: str, names: dict[str, str]) -> str:
    """Return the name, among those written, that an address ends with."""
    parts = PurePath(uri).parts
    for i in range(len(parts)):
        name = "/".join(parts[i:])
        if name in names:
            return name
    return uri


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Sort by image and then keep the order on it: formats with one file an image know no other."""
    return frame.with_columns(pl.int_range(pl.len()).over("name").alias("k")).sort("name", "k")


def _differs(target: Path, what: str) -> ProjectError:
    return ProjectError(f'"{target}" differs from the project: {what}.', "Write it again; if it stays, report it.")
