"""Read an export again and compare it, label by label, with what is in the project."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import ProjectError
from ..formats.source import Source
from ..schema import CLASS_NAME, ITEM_ID, KIND_CLASSIFICATION, KIND_KEYPOINTS, KIND_ROTATED_BOX, LABEL_ID, URI

if TYPE_CHECKING:
    from ..project import Project

F64 = NDArray[np.float64]

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
    if kind == "yolo":  # images of one name may lie in several folders
        items = items.with_columns(pl.concat_str("split", "file_name", separator="/").alias("file_name"))
    names = dict(zip(items[ITEM_ID], items["file_name"], strict=True))
    here = labels.filter(pl.col("kind") != KIND_CLASSIFICATION).with_columns(
        pl.col(ITEM_ID).replace_strict(names, return_dtype=pl.String).alias("name")
    )
    ends = {PurePath(name).as_posix(): name for name in names.values()}  # "./a.png" is "a.png"
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
    off = _off(a, b, near)
    if kind != "coco" and off.any():
        # What stands for a polygon there is the box around its points, and a picture ends at its border.
        sizes = pl.DataFrame({"name": items["file_name"], "w": items["width"], "h": items["height"]})
        room = here.filter(exact).select("name").join(sizes, on="name", how="left", maintain_order="left")
        around = _around(here.filter(exact))
        off &= _off(around, b, near) & _off(_within(a, room), b, near) & _off(_within(around, room), b, near)
    if off.any():
        where = here.filter(exact)["name"].filter(pl.Series(off))[0]
        raise _differs(target, f"the boxes of {int(off.sum()):,} labels, the first on {where}")
    if not notes and kind == "coco":
        _same_shapes(target, here, there)


def compare_returned(target: Path, source: Source, items: pl.DataFrame, labels: pl.DataFrame) -> None:
    """Raise unless a file for annotators holds the same images, and every label with its id, class and shape.

    What the format has no words for counts as it is written: a polygon of several parts as one ring.

    Raises
    ------
    ProjectError
        How many labels differ, and the first one.
    """
    from ..importing.handed_labels import same_place

    if set(source.items[URI]) != set(items[URI]):
        raise _differs(target, f"it holds {source.items.height:,} images instead of {items.height:,}")
    found = source.labels if source.labels is not None else labels.clear()
    there = {row[LABEL_ID]: row for row in found.iter_rows(named=True) if row[LABEL_ID] is not None}
    wrong = []
    for row in labels.iter_rows(named=True):
        other = there.get(row[LABEL_ID])
        if other is None or other[CLASS_NAME] != row[CLASS_NAME] or not same_place(row, other, near=_NEAR_PX["yolo"]):
            wrong.append(row[LABEL_ID])
    if wrong:
        first = source.faults[0].why if source.faults else ""
        raise _differs(target, f'{len(wrong):,} labels, the first is "{wrong[0]}" {first}'.strip())


def _off(a: F64, b: F64, near: float) -> NDArray[np.bool_]:
    """Tell which boxes are further apart than rounding explains."""
    if not len(a):
        return np.zeros(0, np.bool_)
    far: NDArray[np.bool_] = np.abs(a - b).max(axis=1) > near * np.maximum(1.0, np.abs(a).max(axis=1))
    return far


def _around(labels: pl.DataFrame) -> F64:
    """Return the box around the points of each label, its own box where it has none."""
    from ..formats.geometry_columns import bounds_of_points

    own: F64 = labels.select(_BOX).to_numpy()
    if "points" not in labels.columns:
        return own
    of_all = pl.when(pl.col("kind") == KIND_KEYPOINTS).then(None).otherwise("points")  # a pose has a box of its own
    points = labels.select(of_all.alias("points"))["points"]
    sizes = points.list.len().fill_null(0).to_numpy().astype(np.int64)
    values = points.explode(empty_as_null=False, keep_nulls=False).to_numpy().astype(np.float64)
    bounds = bounds_of_points(values, sizes)
    return np.where(np.isfinite(bounds).all(axis=1, keepdims=True) & (sizes > 0)[:, None], bounds, own)


def _within(boxes: F64, room: pl.DataFrame) -> F64:
    """Return what of the boxes lies in their images."""
    size = room.select(pl.col("w", "h").cast(pl.Float64).fill_null(np.inf)).to_numpy()
    low = np.clip(boxes[:, :2], 0, size)
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    out: F64 = np.hstack([low, high - low])
    return out


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
        from ..formats.coco import read_coco

        folder = (
            target.parent / "images"
            if images != "reference"
            else Path(project._card.get("source", {}).get("images") or target.parent)
        )
        return read_coco(target, images=folder if folder.is_dir() else target.parent)
    if kind == "voc":
        from ..formats.voc import read_voc

        return read_voc(target / "Annotations", images=target if images == "reference" else target / "JPEGImages")
    from ..formats.yolo import read_yolo

    return read_yolo(target / "data.yaml")


def _ending(uri: str, names: dict[str, str]) -> str:
    """Return the name, among those written, that an address ends with."""
    parts = PurePath(uri).parts
    for i in range(len(parts)):
        name = "/".join(parts[i:])
        if name in names:
            return names[name]
    return uri


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Sort by image and then keep the order on it: formats with one file an image know no other."""
    return frame.with_columns(pl.int_range(pl.len()).over("name").alias("k")).sort("name", "k")


def _differs(target: Path, what: str) -> ProjectError:
    return ProjectError(f'"{target}" differs from the project: {what}.', "Write it again; if it stays, report it.")
