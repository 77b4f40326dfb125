"""Encord: images into a dataset, labels into the label rows of a project, by Encord's own SDK.

This module is the only one that imports `encord`, inside the calls that need it; nothing leaves the machine but by
`View.to_encord`. The SDK is described at https://docs.encord.com/sdk-documentation/.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputError
from ..schema import (
    CLASS_NAME,
    CONFIDENCE,
    ITEM_ID,
    KIND_BOX,
    KIND_CLASSIFICATION,
    KIND_MASK,
    KIND_POINT,
    KIND_POLYGON,
    KIND_POLYLINE,
    KIND_ROTATED_BOX,
)

_SHAPES = {
    KIND_BOX: "bounding_box", KIND_ROTATED_BOX: "rotatable_bounding_box", KIND_POLYGON: "polygon",
    KIND_POLYLINE: "polyline", KIND_POINT: "point", KIND_MASK: "bitmask",
}  # fmt: skip
"""Encord's shape of each kind; a pose would need the ontology's own skeleton."""
_ROWS_AT_ONCE = 100

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """What an upload did.

    Attributes
    ----------
    dataset_hash : str
        The dataset the images are in.
    project_hash : str or None
        The project that got the labels.
    uploaded, there_already : int
        Images.
    labels : int
        Labels and classes that were written.
    notes : list of str
        What was not written, and why.
    """

    dataset_hash: str
    project_hash: str | None
    uploaded: int
    there_already: int
    labels: int = 0
    notes: list[str] = field(default_factory=list)


def connect(ssh_key: str | os.PathLike[str] | None) -> Any:
    """Return a client of the SDK; without a key the SDK looks for one in its environment.

    Raises
    ------
    InputError
        The SDK is not installed, or the key is no file.
    """
    sdk = _sdk()
    if ssh_key is None:
        return sdk.EncordUserClient.create_with_ssh_private_key()
    key = Path(ssh_key).expanduser()
    if not key.is_file():
        raise InputError(f'The key "{key}" is no file.', "Give the private key that is registered with Encord.")
    return sdk.EncordUserClient.create_with_ssh_private_key(ssh_private_key_path=key)


def send(
    items: pl.DataFrame,
    labels: pl.DataFrame,
    client: Any,
    *,
    addresses: Mapping[str, str],
    dataset_hash: str | None,
    title: str | None,
    project_hash: str | None,
) -> Sent:
    """Upload images that a dataset lacks, then write labels into a project.

    Parameters
    ----------
    items : pl.DataFrame
        `item_id`, `file_name`, `width`, `height`.
    labels : pl.DataFrame
        Labels of these items; with a `confidence` they are predictions.
    client : encord.EncordUserClient
    addresses : mapping
        Where each image is, by item id.
    dataset_hash, title : str, optional
        The dataset, or the title of a new one.
    project_hash : str, optional
        The project that gets the labels.

    Raises
    ------
    InputError
        Neither or both of dataset and title, or the SDK is not installed.
    """
    if (dataset_hash is None) == (title is None):
        raise InputError(
            "An upload needs one dataset.", "Give dataset_hash=… of one that is there, or title=… of a new one."
        )
    _sdk()
    if dataset_hash is None:
        from encord.orm.dataset import StorageLocation

        dataset_hash = client.create_dataset(title, StorageLocation.CORD_STORAGE).dataset_hash
    dataset = client.get_dataset(dataset_hash)
    there = {row.title: str(row.uid) for row in dataset.list_data_rows()}
    data_hashes: dict[str, str] = {}
    uploaded = 0
    for item_id, name in items.select(ITEM_ID, "file_name").iter_rows():
        named = title_of(name, item_id)
        if named not in there:
            with _as_file(addresses[item_id]) as file:
                there[named] = str(dataset.upload_image(file_path=file, title=named)["data_hash"])
            uploaded += 1
        data_hashes[item_id] = there[named]
    sent = Sent(str(dataset_hash), project_hash, uploaded, len(data_hashes) - uploaded)
    if project_hash is None:
        notes = [f"{labels.height:,} labels are not written: give project_hash=…"] if labels.height else []
        return Sent(**{**sent.__dict__, "notes": notes})
    project = client.get_project(project_hash)
    if str(dataset_hash) not in {str(d.dataset_hash) for d in project.list_datasets()}:
        project.add_datasets([str(dataset_hash)])
    written, notes = _Labels(project, items).write(labels, data_hashes)
    return Sent(**{**sent.__dict__, "labels": written, "notes": notes})


def title_of(name: str, item_id: str) -> str:
    """Return the title of an image: its name and its item, so that it is found again."""
    path = PurePath(name)
    return f"{path.stem}.{item_id}{path.suffix}"


class _Labels:
    """Writes labels into the label rows of one project."""

    def __init__(self, project: Any, items: pl.DataFrame) -> None:
        self._project = project
        self._sizes = {i: (w, h) for i, w, h in items.select(ITEM_ID, "width", "height").iter_rows()}
        structure = project.ontology_structure
        self._objects = {(o.title, _text(o.shape)): o for o in structure.objects}
        self._answers = {
            option.title: (classification, option)
            for classification in reversed(structure.classifications)
            for attribute in classification.attributes[:1]
            for option in reversed(getattr(attribute, "options", []))
        }
        self._lost: dict[str, int] = {}

    def write(self, labels: pl.DataFrame, data_hashes: Mapping[str, str]) -> tuple[int, list[str]]:
        by_item: dict[str, list[Row]] = {}
        for row in labels.iter_rows(named=True):
            by_item.setdefault(row[ITEM_ID], []).append(row)
        owners = {data_hashes[i]: i for i in by_item}
        written = 0
        hashes = list(owners)
        for at in range(0, len(hashes), _ROWS_AT_ONCE):
            rows = list(self._project.list_label_rows_v2(data_hashes=hashes[at : at + _ROWS_AT_ONCE]))
            with self._project.create_bundle() as bundle:
                for row in rows:
                    row.initialise_labels(bundle=bundle)
            with self._project.create_bundle() as bundle:
                for row in rows:
                    found = self._fill(row, by_item[owners[str(row.data_hash)]])
                    if found:
                        row.save(bundle=bundle)
                    written += found
            missing = len(hashes[at : at + _ROWS_AT_ONCE]) - len(rows)
            if missing:
                self._lose("images have no label row in the project: their labels are not written", missing)
        return written, [f"{n:,} {why}" for why, n in self._lost.items()]

    def _fill(self, label_row: Any, rows: list[Row]) -> int:
        if label_row.get_object_instances() or label_row.get_classification_instances():
            self._lose("images have labels in the project already: theirs are left as they are")
            return 0
        answered: set[int] = set()
        return sum(self._add(label_row, row, answered) for row in rows)

    def _add(self, label_row: Any, row: Row, answered: set[int]) -> bool:
        sure = row.get(CONFIDENCE)
        how = {} if sure is None else {"confidence": float(sure), "manual_annotation": False}
        name, kind = row[CLASS_NAME], row["kind"]
        if kind == KIND_CLASSIFICATION:
            if name not in self._answers:
                self._lose(f'classes "{name}": no classification of the ontology has this option')
                return False
            classification, option = self._answers[name]
            if id(classification) in answered:
                self._lose("further answers to one classification: a row holds one")
                return False
            answered.add(id(classification))
            answer = classification.create_instance()
            answer.set_answer(option)
            answer.set_for_frames(0, **how)
            label_row.add_classification_instance(answer)
            return True
        shape = _SHAPES.get(kind, "")
        found = self._objects.get((name, shape))
        if found is None:
            self._lose(f'labels "{name}": the ontology has no object of this name with the shape of a {kind}')
            return False
        instance = found.create_instance()
        instance.set_for_frames(coordinates(row, self._sizes[row[ITEM_ID]]), 0, **how)
        label_row.add_object_instance(instance)
        return True

    def _lose(self, why: str, n: int = 1) -> None:
        self._lost[why] = self._lost.get(why, 0) + n


def coordinates(row: Row, size: tuple[int, int]) -> Any:
    """Return a label's shape as the SDK's coordinates: shares of the image; a mask in pixels."""
    from encord.objects import coordinates as sdk

    width, height = size
    if row["kind"] == KIND_MASK:
        from encord.objects.bitmask import BitmaskCoordinates

        from ..metrics import masks

        return BitmaskCoordinates(masks.decode(row["rle"], row["mask_h"], row["mask_w"]).astype(np.bool_))
    if row["kind"] in (KIND_BOX, KIND_ROTATED_BOX):
        place = {"top_left_x": row["x"] / width, "top_left_y": row["y"] / height}
        sides = {"width": row["w"] / width, "height": row["h"] / height}
        if row["kind"] == KIND_BOX:
            return sdk.BoundingBoxCoordinates(**place, **sides)
        return sdk.RotatableBoundingBoxCoordinates(**place, **sides, theta=float(row["angle"] or 0.0))
    points = [
        sdk.PointCoordinate(x=x / width, y=y / height)
        for x, y in zip(row["points"][0::2], row["points"][1::2], strict=True)
    ]
    if row["kind"] == KIND_POINT:
        return points[0]
    if row["kind"] == KIND_POLYLINE:
        return sdk.PolylineCoordinates(values=points)
    return sdk.PolygonCoordinates(polygons=_contours(row, points))


def _contours(row: Row, points: list[Any]) -> list[list[list[Any]]]:
    """Return the parts of a polygon, each with the holes in it."""
    cuts = np.cumsum([0, *(row.get("rings") or [len(points)])]).tolist()
    rings = [points[a:b] for a, b in pairwise(cuts)]
    holes = set(row.get("holes") or [])
    parts = [[ring] for i, ring in enumerate(rings) if i not in holes]
    for i in sorted(holes):
        around = next((p for p in parts if _holds(p[0], rings[i][0])), parts[0])
        around.append(rings[i])
    return parts


def _holds(ring: list[Any], point: Any) -> bool:
    """Tell whether a point lies in a ring: a ray from it crosses the ring an odd number of times."""
    inside = False
    for a, b in zip(ring, [*ring[1:], ring[0]], strict=True):
        if (a.y > point.y) != (b.y > point.y) and point.x < a.x + (point.y - a.y) * (b.x - a.x) / (b.y - a.y):
            inside = not inside
    return inside


@contextmanager
def _as_file(address: str) -> Iterator[str]:
    """Give a file: frames of videos and remote images are written into one for as long as they are sent."""
    from ..images.address import is_frame, read_bytes

    if not is_frame(address) and "://" not in address:
        yield address
        return
    suffix = ".png" if is_frame(address) else PurePath(address.partition("?")[0]).suffix
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"image{suffix}"
        file.write_bytes(read_bytes(address))
        yield str(file)


def _text(shape: Any) -> str:
    return str(getattr(shape, "value", shape))


def _sdk() -> Any:
    try:
        import encord
    except ImportError as error:
        raise InputError("The Encord SDK is not installed.", 'pip install "encord_active_widgets[encord]".') from error
    return encord
