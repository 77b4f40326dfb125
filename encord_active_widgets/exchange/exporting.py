"""Write a view in another tool's format, and check what was written by reading it again."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import polars as pl

from ..content.class_list import class_list
from ..content.image_names import file_names
from ..errors import InputError, ProjectError, unknown
from ..schema import (
    CLASS_NAME,
    CLASSIFICATION,
    EXTRA,
    GEOMETRY,
    GROUP,
    ITEM,
    ITEM_ID,
    KIND_CLASSIFICATION,
    LABEL_ID,
    LABELS,
    OBJECT,
    ORDINAL,
    SPLIT,
    URI,
    run_of,
)  # fmt: skip
from ..store.folder import resolve_address
from ..store.writing import Writing

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View

IMAGE_MODES = ("reference", "copy", "link")
_TABLES = ("csv", "parquet")
_NO_SPLIT = "rest"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    path : Path
        The file or folder.
    items, labels : int
        How many rows went into it.
    notes : list of str
        What the format has no words for, and how it was written.
    verified : bool
        Whether it was read again and found to be the same.
    """

    path: Path
    items: int
    labels: int
    notes: list[str] = field(default_factory=list)
    verified: bool = False


def export(
    view: View,
    kind: str,
    path: str | os.PathLike[str],
    *,
    images: str = "reference",
    verify: bool = False,
    task: str | None = None,
) -> Exported:
    """Write a view; see `View.to_coco` and its like.

    Raises
    ------
    InputError
        An unknown way to place images, a folder that holds something else, objects without a class, or predictions.
    ProjectError
        With `verify`, what was written differs from what is here.
    DiskFullError
        There is no room: what was written is taken away again.
    """
    if images not in IMAGE_MODES:
        raise unknown("way to place images", images, IMAGE_MODES)
    target = Path(path).expanduser()
    if kind in _TABLES:
        return _table(view, kind, target, verify=verify)
    if run_of(view.level) is not None:
        raise InputError(
            "Predictions are no labels: formats of annotations have no confidence.",
            "view.to_csv(…) and view.to_parquet(…) write them; view.items() are their images with their labels.",
        )
    items, labels = contents(view)
    if items.is_empty():
        raise InputError("The view holds no items: there is nothing to write.", "Check its filter.")
    project = view.project
    if kind == "lists":
        return _lists(project, items, target)
    refuse_without_class(labels)
    items = _placed(project, items, kind)
    with Writing(f'"{target}"') as writing:
        if kind == "coco":
            notes = _coco(project, items, labels, target, images, writing)
        elif kind == "voc":
            notes = _voc(project, items, labels, target, images, writing)
        else:
            notes, left_out = _yolo(project, items, labels, target, images, task, writing)
            labels = labels.filter(~pl.col(LABEL_ID).is_in(left_out))
    if kind == "coco" and images == "reference" and items[URI].str.contains("#pts=", literal=True).any():
        notes.append('frames of videos are no files: images="copy" writes them')
    if verify:
        from .verifying import compare

        compare(project, kind, target, items, labels, images=images, notes=notes)
    written = labels.filter(pl.col("kind") != KIND_CLASSIFICATION).height
    return Exported(target, items.height, written, notes, verify)


def contents(view: View) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the items and labels that a view stands for.

    Items bring all that is on them; objects or classifications bring themselves and their items.
    """
    snapshot, view = view.project._snapshot(), view._exported()
    chosen = view.items() if view.level != ITEM else view
    items = chosen.df
    if view.level == ITEM:
        frames = [snapshot.levels[name].alive_frame() for name in (OBJECT, CLASSIFICATION)]
        labels = pl.concat(frames, how="diagonal_relaxed").filter(pl.col(ITEM_ID).is_in(items[ITEM_ID].implode()))
    else:
        labels = view.df
    order = items.select(ITEM_ID).with_row_index("place")
    wanted = [
        c
        for c in (LABEL_ID, ITEM_ID, CLASS_NAME, "kind", *GEOMETRY, "area", "track_id", "annotator", "seconds", EXTRA)
        if c in labels.columns
    ]
    missing = [
        pl.lit(None, dtype=LABELS.columns[c]).alias(c) for c in (CLASS_NAME, *GEOMETRY) if c not in labels.columns
    ]
    labels = labels.with_columns(missing)
    numbered = view.project._folder.labels.read().select(LABEL_ID, pl.col(ORDINAL).alias("given"))
    labels = (
        labels.select(list(dict.fromkeys([*wanted, CLASS_NAME, *GEOMETRY])))
        .join(numbered, on=LABEL_ID, how="left")
        .join(order, on=ITEM_ID, how="inner")
    )
    return items, labels.sort("given").with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL)).drop(
        "given", "place"
    )


def refuse_without_class(labels: pl.DataFrame) -> None:
    """Refuse objects without a class: no format of annotations can hold them.

    Raises
    ------
    InputError
        How many there are.
    """
    n = labels.filter(pl.col("kind") != KIND_CLASSIFICATION, pl.col(CLASS_NAME).is_null()).height
    if n:
        raise InputError(
            f"{n:,} {'objects have' if n > 1 else 'object has'} no class.",
            'Relabel them, or filter them out: p.objects.filter(pl.col("class_name").is_null()).relabel("…").',
        )


def _placed(project: Project, items: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Add where images go: `file_name`, and for YOLO `split`, the folder it is in."""
    split = pl.lit(None, dtype=pl.String)
    if kind == "yolo":
        from_yolo = any(h.get("format") == "yolo" for h in project._folder.headers())
        columns = [c for c in (SPLIT, *([GROUP] if from_yolo else [])) if c in items.columns]
        split = pl.coalesce(*(pl.col(c).cast(pl.String) for c in columns), pl.lit("train"))
    items = items.with_columns(split.alias("split"))
    names = file_names(project, items[URI].to_list(), items["split"].to_list())
    return items.with_columns(pl.Series("file_name", names, dtype=pl.String))


def place_images(
    project: Project, items: pl.DataFrame, folder: Path, mode: str, writing: Writing | None = None
) -> None:
    """Copy or link images into a folder, under their names; nothing that exists is overwritten with other content."""
    writing = writing or Writing(f'"{folder}"')
    for uri, name in items.select(URI, "file_name").iter_rows():
        target = folder / name
        if target.exists() or target.is_symlink():
            continue
        writing.new(target)
        address = resolve_address(uri, project._bases)
        if "#pts=" in uri or "://" in uri:
            _write_bytes(address, target)
        elif mode == "link":
            target.symlink_to(Path(address).resolve())
        else:
            shutil.copy2(address, target)


def _write_bytes(address: str, target: Path) -> None:
    """Write an image that is no file of its own: a video frame as PNG, a remote file as it is."""
    from ..images.address import is_frame, read_bytes

    data = read_bytes(address)
    if is_frame(address):
        import io

        from PIL import Image

        Image.open(io.BytesIO(data)).save(target)
    else:
        target.write_bytes(data)


def _coco(
    project: Project, items: pl.DataFrame, labels: pl.DataFrame, target: Path, images: str, writing: Writing
) -> list[str]:
    from ..formats.coco_writer import write_coco

    if images != "reference":
        place_images(project, items, target.parent / "images", images, writing)
    return write_coco(items, labels, target, list(project._folder.headers()), name=project.name, writing=writing)


def _voc(
    project: Project, items: pl.DataFrame, labels: pl.DataFrame, target: Path, images: str, writing: Writing
) -> list[str]:
    from ..formats.voc_writer import write_voc

    names = {f"{PurePath(n).with_suffix('.xml')}" for n in items["file_name"]}
    _nothing_else(target, "Annotations", names, strict=False)
    if images != "reference":
        place_images(project, items, target / "JPEGImages", images, writing)
    return list(write_voc(items, labels, target, writing=writing).notes)


def _yolo(
    project: Project,
    items: pl.DataFrame,
    labels: pl.DataFrame,
    target: Path,
    images: str,
    task: str | None,
    writing: Writing,
) -> tuple[list[str], list[str]]:
    """Write YOLO; return notes, and the ids of labels that are left out."""
    from ..formats.yolo_writer import write_yolo

    header = next((h for h in project._folder.headers() if h.get("format") == "yolo"), {})
    names = {int(k): str(v) for k, v in header.get("names", {}).items()}
    for name in class_list(project, OBJECT):  # of the whole project: a filter must not change the numbers
        if name not in names.values():
            names[max(names, default=-1) + 1] = name
    objects = labels.filter(pl.col("kind") != KIND_CLASSIFICATION)
    places = list(items.select("split", "file_name").iter_rows())
    _nothing_else(target, "labels", {f"{s}/{PurePath(n).with_suffix('.txt')}" for s, n in places})
    _nothing_else(target, "images", {f"{s}/{n}" for s, n in places})
    result = write_yolo(
        items,
        objects,
        target,
        names=names,
        task=task or header.get("task"),
        kpt_shape=header.get("kpt_shape"),
        extra=header.get("extra"),
        writing=writing,
    )
    for (split,), part in items.group_by("split"):
        place_images(project, part, target / "images" / str(split), "copy" if images == "copy" else "link", writing)
    notes = list(result.notes)
    if objects.height < labels.height:
        notes.append(f"{labels.height - objects.height:,} classes of whole images are not written")
    return notes, result.left_out


def _nothing_else(target: Path, name: str, expected: set[str], *, strict: bool = True) -> None:
    """Refuse a folder that holds files of another export: they would be read together with these.

    Raises
    ------
    InputError
        How many there are, and the first one.
    """
    folder = target / name
    if not folder.is_dir():
        return
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    others = sorted(there - expected) if strict else sorted(n for n in there - expected if n.endswith(".xml"))
    if others:
        raise InputError(
            f'"{folder}" holds {len(others):,} files of another export (the first is "{others[0]}").',
            "Write into another folder, or take this one away first.",
        )


def _lists(project: Project, items: pl.DataFrame, target: Path) -> Exported:
    """Write the addresses of each split as a text file."""
    split = pl.col(SPLIT).fill_null(_NO_SPLIT) if SPLIT in items.columns else pl.lit(_NO_SPLIT)
    with Writing(f'"{target}"') as writing:
        for (name,), part in items.group_by(split.alias(SPLIT), maintain_order=True):
            lines = [resolve_address(uri, project._bases) for uri in part[URI]]
            writing.text(target / f"{name}.txt", "".join(f"{line}\n" for line in lines))
    return Exported(target, items.height, 0)


def _table(view: View, kind: str, target: Path, *, verify: bool) -> Exported:
    if target.is_dir():
        raise InputError(f'"{target}" is a folder.', f'Give a file, such as "{target / "rows"}.{kind}".')
    frame = view.df
    with Writing(f'"{target}"') as writing, writing.file(target) as temporary:
        if kind == "parquet":
            frame.write_parquet(temporary)
        else:
            flat(frame).write_csv(temporary)
    if verify:
        same = pl.read_parquet(target).equals(frame) if kind == "parquet" else _same_csv(target, flat(frame))
        if not same:
            raise ProjectError(f'"{target}" does not hold what was written.', "Check the disk and write it again.")
    n_items = frame.height if view.level == ITEM else frame[ITEM_ID].n_unique()
    return Exported(target, n_items, 0 if view.level == ITEM else frame.height, [], verify)


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Write lists as JSON text and bytes as base64 text: a CSV holds nothing else."""
    import base64

    changes = []
    for name, dtype in frame.schema.items():
        if isinstance(dtype, (pl.List, pl.Array)):
            texts = [None if v is None else json.dumps(v.to_list()) for v in frame[name]]
            changes.append(pl.Series(name, texts, dtype=pl.String))
        elif dtype == pl.Binary:
            codes = [None if v is None else base64.b64encode(v).decode() for v in frame[name]]
            changes.append(pl.Series(name, codes, dtype=pl.String))
    return frame.with_columns(changes)


def _same_csv(target: Path, frame: pl.DataFrame) -> bool:
    dates = [c for c, t in frame.schema.items() if t.is_temporal()]
    text = {c: pl.String for c, t in frame.schema.items() if t == pl.String}
    read = pl.read_csv(target, schema_overrides={**{c: t for c, t in frame.schema.items() if c not in dates}, **text})
    return read.drop(dates).equals(frame.drop(dates))
