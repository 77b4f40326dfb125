"""Hugging Face image datasets that are at hand: images, classes, boxes, metadata. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import polars as pl

from ..errors import InputError, nearest
from ..schema import CLASS_NAME, GROUP, KIND_BOX, KIND_CLASSIFICATION, URI
from .frame import label_columns, rename_reserved
from .geometry_columns import MOST_PX
from .source import Fault, Source

FORMAT = "huggingface"
BOX_FORMATS = ("xywh", "xyxy")
_CLASS_COLUMNS = ("label", "labels", "class", "fine_label", "category")
_OBJECT_COLUMNS = ("objects", "annotations", "faces")
_BOX_KEYS = ("bbox", "bboxes", "boxes")
_CATEGORY_KEYS = ("category", "categories", "label", "labels", "category_id", "class")
_NAME_BYTES = 12
_SUFFIXES = {
    b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif",
}  # fmt: skip


def read_huggingface(dataset: Any, *, folder: str | os.PathLike[str], box_format: str = "xywh") -> Source:
    """Read a `datasets.Dataset` or `DatasetDict`.

    Parameters
    ----------
    dataset : Dataset or DatasetDict
        With a column of images. `label` (a class label or a text) becomes the class of the image;
        `objects` with `bbox` and `category` becomes boxes; other plain columns become metadata.
        The parts of a `DatasetDict` become `group`.
    folder : path
        Where images that are no files are written, once each, under the hash of their bytes.
    box_format : {"xywh", "xyxy"}
        How boxes are given; COCO's way by default.

    Raises
    ------
    InputError
        No column of images, or no dataset.
    """
    if box_format not in BOX_FORMATS:
        raise InputError(f'There is no box format "{box_format}".', nearest(box_format, BOX_FORMATS))
    parts = dict(dataset) if isinstance(dataset, Mapping) else {"": dataset}
    reader = _Reader(Path(folder), box_format)
    for name, part in parts.items():
        if not hasattr(part, "features") or not hasattr(part, "column_names"):
            raise InputError(f"A {type(part).__name__} is no Hugging Face dataset.", "Pass what load_dataset returns.")
        reader.read(part, str(name))
    return reader.source()


class _Reader:
    """Rows of all parts, as columns."""

    def __init__(self, folder: Path, box_format: str) -> None:
        self._folder = folder
        self._corners = box_format == "xyxy"
        self._items: list[dict[str, Any]] = []
        self._labels: list[dict[str, Any]] = []
        self._faults: list[Fault] = []
        self._names: dict[str, str] = {}

    def read(self, part: Any, name: str) -> None:
        if not isinstance(part.features, Mapping):
            raise InputError("The dataset does not say what its columns are.", "Call dataset.cast(features) first.")
        image = _image_column(part.features)
        label = next((c for c in _CLASS_COLUMNS if c in part.features and c != image), None)
        objects = next((c for c in _OBJECT_COLUMNS if c in part.features), None)
        plain = [c for c in part.column_names if c not in (image, label, objects) and _is_plain(part.features[c])]
        class_names = _names_of(part.features[label]) if label else None
        object_names = _object_names(part.features[objects]) if objects else None
        for i, row in enumerate(_undecoded(part, image)):
            where = f"{name or 'dataset'}[{i}]"
            if not isinstance(row, Mapping):
                self._faults.append(Fault(where, "skipped", "it is no row of columns", "remove it"))
                continue
            uri = self._address(row.get(image), where)
            if uri is None:
                continue
            self._items.append({URI: uri, **({GROUP: name} if name else {}), **{c: row.get(c) for c in plain}})
            if label is not None:
                self._class(uri, row.get(label), class_names)
            if objects is not None and row.get(objects):
                self._boxes(uri, row[objects], object_names, where)

    def source(self) -> Source:
        if not self._items:
            why = f" The first: {self._faults[0].why}." if self._faults else ""
            raise InputError(f"The dataset has no image that can be used.{why}", "Check its column of images.")
        items = pl.DataFrame(self._items, infer_schema_length=None, strict=False).unique(
            URI, keep="first", maintain_order=True
        )
        boxes = [r for r in self._labels if r["kind"] == KIND_BOX]
        classes = [r for r in self._labels if r["kind"] != KIND_BOX]
        frames = [pl.DataFrame(classes, schema={URI: pl.String, "kind": pl.String, CLASS_NAME: pl.String})]
        if boxes:
            columns = {k: [r.get(k) for r in boxes] for k in (URI, "kind", CLASS_NAME, "x", "y", "w", "h")}
            found, faults = label_columns(pl.DataFrame(columns, strict=False))
            frames.append(found)
            self._faults += faults
        labels = pl.concat(frames, how="diagonal")
        return Source(
            rename_reserved(items), "dataset", {"format": FORMAT}, labels=labels, faults=self._faults,
            header={"format": FORMAT, "names": self._names},
        )  # fmt: skip

    def _address(self, value: Any, where: str) -> str | None:
        """Return where an image lies; one that is no file is written."""
        if hasattr(value, "save") and hasattr(value, "size"):  # decoded already: a Pillow image
            name = getattr(value, "filename", "")
            if name and _is_file(name):
                return os.fspath(name)
            buffer = io.BytesIO()
            value.save(buffer, "PNG")
            return self._write(buffer.getvalue(), ".png")
        if isinstance(value, str) and _is_file(value):
            return value
        if isinstance(value, Mapping):
            path, data = value.get("path"), value.get("bytes")
            if isinstance(path, str) and _is_file(path):
                return path
            if isinstance(data, bytes) and data:
                return self._write(data, _suffix(data))
        self._faults.append(Fault(where, "skipped", "it has no image", "remove the row"))
        return None

    def _write(self, data: bytes, suffix: str) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{hashlib.blake2b(data, digest_size=_NAME_BYTES).hexdigest()}{suffix}"
        if not file.exists():
            temporary = file.with_name(f".{file.name}.tmp")
            temporary.write_bytes(data)
            temporary.replace(file)
        return str(file)

    def _class(self, uri: str, value: Any, names: list[str] | None) -> None:
        values = value if isinstance(value, list) else [value]
        for one in values:
            name = _named(one, names)
            if name is not None:
                self._labels.append({URI: uri, "kind": KIND_CLASSIFICATION, CLASS_NAME: name})

    def _boxes(self, uri: str, value: Any, names: list[str] | None, where: str) -> None:
        """Read boxes given as one dict of lists or a list of dicts."""
        rows = value if isinstance(value, list) else _turned(value)
        for row in rows:
            if not isinstance(row, Mapping):
                continue
            box = next((row[k] for k in _BOX_KEYS if row.get(k) is not None), None)
            category = next((row[k] for k in _CATEGORY_KEYS if row.get(k) is not None), None)
            if not _is_box(box):
                self._faults.append(
                    Fault(
                        f"{where} ({uri})", "skipped", f"its box {box!r:.60} is not four finite numbers", "correct it"
                    )
                )
                continue
            x, y, w, h = (float(v) for v in box)
            if self._corners:
                w, h = w - x, h - y
            self._labels.append(
                {URI: uri, "kind": KIND_BOX, CLASS_NAME: _named(category, names), "x": x, "y": y, "w": w, "h": h}
            )


def _image_column(features: Mapping[str, Any]) -> str:
    for name, feature in features.items():
        if type(feature).__name__ == "Image":
            return name
    for name in ("image", "img", "picture"):
        if name in features:
            return name
    raise InputError(f"The dataset has no column of images among {list(features)}.", "Cast one to datasets.Image().")


def _undecoded(part: Any, image: str) -> Iterator[Any]:
    """Yield rows with images as path and bytes, where the library can: decoding them here would lose their files.

    Columns come as plain values: a dataset in NumPy's format would give numbers that name no class.
    """
    if hasattr(part, "with_format"):
        part = part.with_format(None)
    if type(part.features.get(image)).__name__ == "Image":
        try:
            from datasets import Image
        except ImportError:
            yield from part
            return
        part = part.cast_column(image, Image(decode=False))
    yield from part


def _is_plain(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in {
        "string", "large_string", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float16",
        "float32", "float64",
    }  # fmt: skip


def _names_of(feature: Any) -> list[str] | None:
    inner = getattr(feature, "feature", feature)
    names = getattr(inner, "names", None)
    return [str(n) for n in names] if names else None


def _object_names(feature: Any) -> list[str] | None:
    """Find the class names inside a feature of objects, however it nests dicts and lists."""
    inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", feature)
    if isinstance(inner, Mapping):
        for key in _CATEGORY_KEYS:
            if key in inner:
                entry = inner[key]
                return _names_of(entry[0] if isinstance(entry, list) and entry else entry)
    return None


def _named(value: Any, names: list[str] | None) -> str | None:
    if value is None or (isinstance(value, int) and value < 0):
        return None
    if names is not None and isinstance(value, int):
        return names[value] if value < len(names) else str(value)
    return str(value).encode("utf-8", "backslashreplace").decode()


def _turned(value: Any) -> list[dict[str, Any]]:
    """Turn a dict of lists into a list of dicts."""
    if not isinstance(value, Mapping):
        return []
    lists = {k: v for k, v in value.items() if isinstance(v, list)}
    n = max((len(v) for v in lists.values()), default=0)
    return [{k: v[i] for k, v in lists.items() if i < len(v)} for i in range(n)]


def _suffix(data: bytes) -> str:
    """Tell the format by its first bytes: opening a bomb is the importer's matter."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for mark, suffix in _SUFFIXES.items() if data.startswith(mark)), ".bin")


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # a text longer than any path
        return False


def _is_box(box: Any) -> TypeGuard[Sequence[float]]:
    """Tell whether a value is four numbers; how large they are is looked at later."""
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        return False
    return all(isinstance(v, (int, float)) and abs(v) <= MOST_PX for v in box)
