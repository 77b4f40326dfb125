"""Hand a selection to annotators: files for Label Studio and CVAT, and an upload to Encord."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from ..content.class_list import class_list
from ..content.image_names import mark_of, names_by_uri
from ..errors import InputError, unknown
from ..schema import CLASSIFICATION, GEOMETRY, ITEM_ID, LABELS, OBJECT, URI, run_of
from ..store.folder import resolve_address
from ..store.writing import Writing
from .exporting import IMAGE_MODES, Exported, contents, place_images, refuse_without_class

if TYPE_CHECKING:
    from ..formats.encord import Sent
    from ..formats.label_studio_writer import Written
    from ..project import Project
    from ..view import View

_IMAGES = "images"
_LOCAL_FILES = "/data/local-files/?d="

Runs = dict[str, pl.DataFrame]


def to_label_studio(
    view: View,
    path: str | os.PathLike[str],
    *,
    predictions: str | Sequence[str] | None,
    root: str | os.PathLike[str] | None,
    images: str,
    verify: bool,
) -> Exported:
    """Write tasks and their labeling interface; see `View.to_label_studio`."""
    from ..formats.label_studio_writer import write_label_studio

    project, target = view.project, _target(path, ".json", images)
    items, labels, runs = _handed(view, predictions)
    named = items.with_columns(pl.Series("file_name", _names(project, items), dtype=pl.String))
    notes: list[str] = []
    base = Path(root).expanduser().resolve() if root is not None else Path(target.anchor or "/")
    addresses = {}
    for item_id, uri, name in named.select(ITEM_ID, URI, "file_name").iter_rows():
        file = target.parent / _IMAGES / name if images != "reference" else None
        addresses[item_id] = _served(resolve_address(uri, project._bases) if file is None else str(file), base)
    if images == "reference" and items[URI].str.contains("#pts=", literal=True).any():
        notes.append('frames of videos are no files: images="copy" writes them')
    classes = (class_list(project, OBJECT), class_list(project, CLASSIFICATION))
    with Writing(f'"{target}"') as writing:
        if images != "reference":
            place_images(project, named, target.parent / _IMAGES, images, writing)
        written = write_label_studio(
            items, labels, target, project=mark_of(project), moment=_moment(project), addresses=addresses, runs=runs,
            classes=classes, writing=writing,
        )  # fmt: skip
    return _done(project, "label_studio", items, labels, written, notes, verify=verify)


def to_cvat(
    view: View,
    path: str | os.PathLike[str],
    *,
    predictions: str | Sequence[str] | None,
    images: str,
    verify: bool,
) -> Exported:
    """Write CVAT's XML and the labels of the task; see `View.to_cvat`."""
    from ..formats.cvat_writer import write_cvat

    project, target = view.project, _target(path, ".xml", images)
    items, labels, runs = _handed(view, predictions)
    items = items.with_columns(pl.Series("file_name", _names(project, items), dtype=pl.String))
    classes = [*class_list(project, OBJECT), *class_list(project, CLASSIFICATION)]
    with Writing(f'"{target}"') as writing:
        if images != "reference":
            place_images(project, items, target.parent / _IMAGES, images, writing)
        written = write_cvat(
            items, labels, target, name=project.name, project=mark_of(project), moment=_moment(project),
            classes=classes, runs=runs, writing=writing,
        )  # fmt: skip
    return _done(project, "cvat", items, labels, written, [], verify=verify)


def to_encord(
    view: View,
    *,
    dataset_hash: str | None,
    title: str | None,
    project_hash: str | None,
    predictions: str | None,
    client: Any,
    ssh_key: str | os.PathLike[str] | None,
) -> Sent:
    """Upload images, and labels for the classes that the project's ontology has; see `View.to_encord`."""
    from ..formats.encord import connect, send

    project = view.project
    items, labels, runs = _handed(view, predictions)
    if predictions is not None:
        labels = pl.concat([labels, *runs.values()], how="diagonal_relaxed")
    items = items.with_columns(pl.Series("file_name", _names(project, items), dtype=pl.String))
    addresses = {i: resolve_address(u, project._bases) for i, u in items.select(ITEM_ID, URI).iter_rows()}
    connection = client if client is not None else connect(ssh_key)
    return send(
        items, labels, connection, addresses=addresses, dataset_hash=dataset_hash, title=title,
        project_hash=project_hash,
    )  # fmt: skip


def _moment(project: Project) -> int:
    """Return the place of the last edit in the log."""
    edits = project._reader.log.edits
    return edits[-1].seq if edits else 0


def _target(path: str | os.PathLike[str], suffix: str, images: str) -> Path:
    if images not in IMAGE_MODES:
        raise unknown("way to place images", images, IMAGE_MODES)
    target = Path(path).expanduser()
    if target.is_dir() or target.suffix.lower() != suffix:
        raise InputError(
            f'"{target}" is no name of a {suffix} file.', f'Give a file, such as "{target / "labels"}{suffix}".'
        )
    return target.resolve()


def _handed(view: View, predictions: str | Sequence[str] | None) -> tuple[pl.DataFrame, pl.DataFrame, Runs]:
    """Return the items, their labels, and predictions on them by run.

    Raises
    ------
    InputError
        There are no items, objects have no class, or images cannot be read for their size.
    UnknownNameError
        There is no such run.
    """
    view = view.items() if run_of(view.level) is not None else view
    project = view.project
    items, labels = contents(view)
    if items.is_empty():
        raise InputError("The view holds no items: there is nothing to hand over.", "Check its filter.")
    refuse_without_class(labels)
    if items["width"].null_count():
        project._read_pending()
        items, labels = contents(view)
    unread = items.filter(pl.col("width").is_null() | pl.col("height").is_null())
    if unread.height:
        raise InputError(
            f'{unread.height:,} images have no size (the first is "{unread[URI][0]}").',
            "They could not be read: p.problems says why; leave them out of the view.",
        )
    names = [predictions] if isinstance(predictions, str) else list(predictions or [])
    runs = {name: _whole(view.items().predictions(name).df) for name in names}
    return items, labels, runs


def _whole(frame: pl.DataFrame) -> pl.DataFrame:
    """Bring all columns of geometry."""
    missing = [pl.lit(None, dtype=LABELS.columns[c]).alias(c) for c in GEOMETRY if c not in frame.columns]
    return frame.with_columns(missing)


def _names(project: Project, items: pl.DataFrame) -> list[str]:
    """Return the names of images: those they have among all of the project, so that they mean the same in any view."""
    names = names_by_uri(project)
    return [names[uri] for uri in items[URI]]


def _served(address: str, base: Path) -> str:
    """Return the address that Label Studio opens: a remote one as it is, a file below what it serves."""
    if "://" in address:
        return address
    file = Path(os.path.abspath(address))  # noqa: PTH100 - links stay links: they may lie outside of what is served
    try:
        inside = file.relative_to(base)
    except ValueError as error:
        raise InputError(
            f'"{file}" does not lie in "{base}".', "Give the folder that Label Studio serves as root=…."
        ) from error
    return f"{_LOCAL_FILES}{quote(inside.as_posix())}"


def _done(
    project: Project,
    kind: str,
    items: pl.DataFrame,
    labels: pl.DataFrame,
    written: Written,
    notes: list[str],
    *,
    verify: bool,
) -> Exported:
    target = written.files[0]
    if verify:
        from ..importing.labelling import read_labels
        from .verifying import compare_returned

        compare_returned(target, read_labels(project, target, images=None, kind=kind), items, labels)
    return Exported(target, items.height, labels.height, [*notes, *written.notes], verify)
