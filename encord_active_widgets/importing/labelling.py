"""Add labels to images that a project has: from files, from frames, and answers that are still open."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .. import schema
from ..errors import InputError
from ..formats.shape_judging import misfit_masks
from ..formats.source import Fault, Source
from ..schema import CLASS_NAME, CLASSIFICATION, ITEM_ID, KIND_CLASSIFICATION, ORDINAL, URI
from ..store.folder import resolve_address
from .ingest import Ingested, commit, label_rows, write_problems
from .returning import RETURNING, apply_edits, gone_faults, sort_out

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View

_HEAD_BYTES = 4096
_SAME = ("kind", CLASS_NAME, "x", "y", "w", "h", "angle", "points", "rle", "track_id")


def add_labels(project: Project, source: Source, *, code: str, delete_gone: bool = False) -> Ingested:
    """Give a source's labels to the project's items; what is there already is not added again.

    Items are found by address, else by the same file under another spelling, else by a file
    name that only one of them has. Labels of tools that bring ids back may be corrections: see `returning`.

    Raises
    ------
    InputError
        The source has no labels, or none of its images is in the project.
    """
    if source.labels is None or (source.labels.is_empty() and not source.card.get("sent")):
        first = source.faults[0] if source.faults else None
        why = f" The first of {len(source.faults):,} problems: {first.where}: {first.why}." if first else ""
        raise InputError(f"There are no labels to add.{why}", first.remedy if first else "Check the file.")
    with project._lock, project._folder.lock():
        items = project._snapshot().items
        owners = _owners(source, items.alive_frame().select(URI, ITEM_ID), project._bases)
        if owners.is_empty():
            first = source.items[URI][0]
            raise InputError(
                f'No image with labels is in the project: {source.items.height:,} looked for, the first "{first}".',
                "Add the images with p.add_images(…), or give images= so that the addresses agree.",
            )
        lost = source.items.join(owners, on=URI, how="anti")[URI]
        faults = [
            *source.faults,
            *(Fault(u, "skipped", "it has labels, but is not in the project", "p.add_images(…) first") for u in lost),
        ]
        labels, misfits = _fitting(source.labels, owners, items.alive_frame())
        faults += misfits
        if misfits and schema.LABEL_ID in labels.columns:
            unread = set(source.labels[schema.LABEL_ID].drop_nulls()) - set(labels[schema.LABEL_ID])
            source.card["damaged"] = [*source.card.get("damaged", []), *sorted(unread)]
        if source.card.get("format") in RETURNING:
            source.labels, source.faults = labels, faults
            return _take_back(project, source, owners, code=code, delete_gone=delete_gone)
        table = project._folder.labels.read()
        counts = table.group_by(ITEM_ID).agg(pl.len().alias("have"))
        change_id = uuid.uuid4().hex
        rows = label_rows(labels, owners, change_id, _next(table), counts)
        fresh = rows.filter(~_content(rows).is_in(_content(table).implode()))
        if fresh.height < rows.height:
            new = fresh.drop(schema.LABEL_ID, ORDINAL, schema.CHANGE_ID).rename({ITEM_ID: URI})
            same = owners.select(pl.col(ITEM_ID).alias(URI), ITEM_ID).unique()
            rows = label_rows(new, same, change_id, _next(table), counts)
        write_problems(project._folder, faults, whole=False)
        if rows.height:
            project._folder.labels.append(rows, durable=True)
            if source.header:
                project._folder.write_header(change_id, source.header)
            commit(project._folder, change_id, code, items=0, labels=rows.height, problems=len(faults))
    return Ingested(labels=rows.height, faults=len(faults))


def _take_back(project: Project, source: Source, owners: pl.DataFrame, *, code: str, delete_gone: bool) -> Ingested:
    """Add what is new of labels that come back from annotators; what they corrected is an edit."""
    assert source.labels is not None
    folder = project._folder
    back = sort_out(project, source, owners)
    faults = [*source.faults, *back.faults, *([] if delete_gone else gone_faults(back))]
    table = folder.labels.read()
    counts = table.group_by(ITEM_ID).agg(pl.len().alias("have"))
    change_id = uuid.uuid4().hex
    rows = label_rows(back.frame(source.labels), owners, change_id, _next(table), counts)
    write_problems(folder, faults, whole=False)
    if rows.height:
        folder.labels.append(rows, durable=True)
        commit(folder, change_id, code, items=0, labels=len(back.new), problems=len(faults))
        project._snapshot()
    apply_edits(project, back, rows[schema.LABEL_ID][len(back.new) :], delete_gone=delete_gone, code=code)
    return Ingested(
        labels=len(back.new),
        labels_changed=back.changed,
        labels_unchanged=back.unchanged,
        labels_gone=len(back.gone),
        faults=len(faults),
    )


def _fitting(labels: pl.DataFrame, owners: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
    """Part labels from masks that are not of the size of their image, where it is known."""
    if "width" not in items.columns:
        return labels, []
    return misfit_masks(labels, owners.join(items.select(ITEM_ID, "width", "height"), on=ITEM_ID))


def open_answers(project: Project, view: View) -> NDArray[np.uint32]:
    """Return one classification an item of a view; items without one get one whose class is open.

    An open answer is a row without a class: it counts for nothing until an edit gives it one,
    and again when that edit is undone.
    """
    ids = view.ids
    with project._lock, project._folder.lock():
        rows = _answers(project, ids)
        missing = ids.filter(~ids.is_in(rows[ITEM_ID].implode()))
        if missing.len():
            table = project._folder.labels.read()
            counts = table.group_by(ITEM_ID).agg(pl.len().alias("have"))
            change_id = uuid.uuid4().hex
            blank = pl.DataFrame(
                {URI: missing, "kind": [KIND_CLASSIFICATION] * missing.len(), "source": ["edit"] * missing.len()}
            )
            owners = pl.DataFrame({URI: missing, ITEM_ID: missing})
            new = label_rows(blank, owners, change_id, _next(table), counts)
            project._folder.labels.append(new, durable=True)
            commit(project._folder, change_id, "view.relabel(…)", items=0, labels=new.height, problems=0)
            rows = _answers(project, ids)
    return rows[ORDINAL].to_numpy().astype(np.uint32)


def _answers(project: Project, ids: pl.Series) -> pl.DataFrame:
    """Find the first classification of each item that is there or open; deleted ones do not count."""
    project._snapshot()
    level = project._level(CLASSIFICATION)
    deleted = project._reader.log.state.level(CLASSIFICATION, level.n).removed
    frame = level.frame.select(ITEM_ID, ORDINAL, CLASS_NAME)
    if deleted is not None:
        frame = frame.filter(pl.Series(~deleted))
    mine = frame.filter(pl.col(ITEM_ID).is_in(ids.implode()))
    return mine.sort(pl.col(CLASS_NAME).is_null(), ORDINAL).unique(ITEM_ID, keep="first", maintain_order=True)


def _content(labels: pl.DataFrame) -> pl.Series:
    """Return a number that says what a label is and on which item."""
    return labels.select(pl.struct(ITEM_ID, *_SAME).hash(seed=0)).to_series()


def _next(table: pl.DataFrame) -> int:
    return int(table[ORDINAL].max() or 0) + 1 if table.height else 0  # type: ignore[arg-type]


def _owners(source: Source, items: pl.DataFrame, bases: Sequence[Path]) -> pl.DataFrame:
    """Find the item of each address of a source: `uri` as the source spells it, `item_id`."""
    wanted = source.items.select(URI).unique(maintain_order=True)
    found = wanted.join(items, on=URI, how="inner", maintain_order="left")
    rest = wanted.join(found, on=URI, how="anti")
    if rest.is_empty():
        return found
    places = {_place(u, bases): i for u, i in items.iter_rows()}
    names: dict[str, list[str]] = {}
    for uri, item_id in items.iter_rows():
        names.setdefault(PurePath(uri).name, []).append(item_id)
    more = []
    for uri in rest[URI]:
        item_id = places.get(_place(uri, bases))
        if item_id is None:
            same = names.get(PurePath(uri).name, [])
            item_id = same[0] if len(same) == 1 else None
        if item_id is not None:
            more.append((uri, item_id))
    return pl.concat([found, pl.DataFrame(more, schema={URI: pl.String, ITEM_ID: pl.String}, orient="row")])


def _place(uri: str, bases: Sequence[Path]) -> str:
    return uri if "://" in uri else os.path.realpath(resolve_address(uri, list(bases)))


def read_labels(project: Project, labels: Any, *, images: str | os.PathLike[str] | None, kind: str | None) -> Source:
    """Read what `p.add_labels` was given.

    Raises
    ------
    InputError
        A file of no known format.
    """
    from ..formats.frame import read_frame

    items = project._snapshot().items.alive_frame().select(URI, ITEM_ID)
    if callable(labels):
        from ..formats.records import read_records

        source = Source(items.select(URI), project.name, {})
        read_records(source, labels)
        return source
    if not isinstance(labels, (str, os.PathLike)):
        from ..formats.source import as_polars

        frame = as_polars(labels)
        if ITEM_ID in frame.columns and "path" not in frame.columns:
            if URI in frame.columns:
                frame = frame.drop(URI)
            frame = frame.join(items, on=ITEM_ID, how="left", maintain_order="left").drop(ITEM_ID)
        return read_frame(frame)
    path = Path(labels)
    kind = kind or _kind_of(path)
    if kind in RETURNING:
        return _read_returned(project, path, images=images, kind=kind)
    if kind == "coco":
        from ..formats.coco import read_coco

        return read_coco(path, images=images or path.parent)
    if kind == "voc":
        from ..formats.voc import read_voc

        return read_voc(path, images=images or path.parent)
    if kind == "yolo":
        from ..formats.yolo import read_yolo

        return read_yolo(path)
    raise InputError(
        f'"{path}" is of no known format.', 'Say which with format="coco", "voc", "yolo", "label_studio" or "cvat".'
    )


def _kind_of(path: Path) -> str | None:
    """Tell the format of a file or folder: by its ending, and where two share it by its first characters."""
    from ..formats.cvat_xml import is_cvat

    suffix = path.suffix.lower()
    if suffix == ".json":
        return "label_studio" if _holds_tasks(path) else "coco"
    if suffix == ".zip" or ((suffix == ".xml" or path.is_dir()) and is_cvat(path)):
        return "cvat"
    if path.is_dir():
        return "voc" if any(path.rglob("*.xml")) else "yolo"
    return {".yaml": "yolo", ".yml": "yolo", ".xml": "voc"}.get(suffix)


def _holds_tasks(path: Path) -> bool:
    """Tell whether a JSON file is Label Studio's: a list of tasks, or one task; COCO's is an object of lists."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False
    return head.startswith(b"[") or (head.startswith(b"{") and b'"data"' in head and b'"images"' not in head)


def _read_returned(project: Project, path: Path, *, images: str | os.PathLike[str] | None, kind: str) -> Source:
    from ..content.image_names import known_images

    known = known_images(project)
    if kind == "cvat":
        from ..formats.cvat import read_cvat

        return read_cvat(path, known=known, images=images)
    from ..formats.label_studio import read_label_studio

    return read_label_studio(path, known=known, images=images)
