"""COCO annotations in: images, categories, boxes, polygons, masks and keypoints."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError
from ..schema import CLASS_NAME, EXTRA, LABELS, URI
from .coco_shapes import MARK, MOST_FAULTS_PER_REASON, OWN, Mask, Shapes, is_id, is_own, with_own
from .folder import within
from .json_columns import JsonText, Rows
from .source import Fault, Source, existing, valid_text

FORMAT = "coco"
_ANNOTATION_KEYS = ("image_id", "category_id", "bbox", "segmentation", "keypoints", "id", "track_id", OWN)
_KEPT = ("id", "track_id")
_IMAGE_KEYS = ("id", "file_name", "width", "height")
_KEPT_OF_IMAGES = ("id", "width", "height")
_SHOWN_CHARS = 80


def read_coco(annotations: str | os.PathLike[str], *, images: str | os.PathLike[str] | None = None) -> Source:
    """Read a COCO file: `images`, `categories` and `annotations`.

    The file is scanned once and read into columns, without a Python object an annotation. Memory at
    its peak: 200 MiB and five times the size of the file, so 2 GB of JSON want 10 GB (`json.load`
    wants as much for what it makes of it). `info`, `licenses`, `iscrowd` and `bbox` may be missing. What cannot be
    used is skipped and listed: unknown image or category ids, ids used twice, boxes with no area,
    numbers that are none. A segmentation that cannot be used leaves its box, and is listed.

    Parameters
    ----------
    annotations : path
        The JSON file.
    images : path, optional
        The folder that `file_name` starts from; by default a folder `images` beside the file, or
        the file's own folder.

    Raises
    ------
    InputError
        Not JSON, or not COCO's shape.
    """
    file = existing(Path(annotations), "annotation file")
    if file.is_dir():
        raise InputError(f'"{file}" is a folder.', "Give the JSON file with the annotations.")
    folder = existing(Path(images), "image folder") if images is not None else None
    text = JsonText(file)
    members, arrays = text.members({"images": (_IMAGE_KEYS, _KEPT_OF_IMAGES), "annotations": (_ANNOTATION_KEYS, _KEPT)})
    for key in ("images", "annotations", "categories"):
        start, end = members.get(key, (0, 0))
        empty = text.text(start, end).strip() in ("", "null")
        if (key == "images" and empty) or (not empty and text.bytes[start] != ord("[")):
            raise InputError(f'"{file}" has no list "{key}".', "Expected the COCO instances format.")
    if folder is None:
        folder = _image_folder(file, text, arrays["images"])
    reader = _Reader(text, members, arrays, folder)
    items, sizes = reader.items()
    if items.is_empty():
        raise InputError(f'"{file}" names no image that can be used.', "Check its list of images.")
    labels = reader.labels()
    card = {"format": FORMAT, "annotations": os.fspath(annotations), "images": os.fspath(folder)}
    return Source(
        items,
        file.parent.resolve().name or folder.name,
        card,
        labels=labels,
        faults=reader.faults,
        header=reader.header(),
        sizes=sizes,
    )


def _image_folder(file: Path, text: JsonText, rows: Rows) -> Path:
    """Guess where the images lie: beside the file, in `images`."""
    names = [n for n in text.strings(rows.start["file_name"][:1], rows.end["file_name"][:1]) if n]
    for folder in (file.parent / "images", file.parent):
        if folder.is_dir() and (not names or (folder / names[0]).exists()):
            return folder
    raise InputError(f'The images of "{file}" were not found in "{file.parent}".', "Give their folder with images=….")


class _Reader:
    """One file: what its annotations become, and what had to be left out."""

    def __init__(
        self, text: JsonText, members: dict[str, tuple[int, int]], arrays: dict[str, Rows], folder: Path
    ) -> None:
        self._text = text
        self._arrays = arrays
        self._members = members
        self._folder = folder
        self._file = str(text.file)
        self.faults: list[Fault] = []
        self._reasons: dict[str, int] = {}
        self._uris: pl.DataFrame = pl.DataFrame()
        self._image_ids: pl.Series = pl.Series()
        self._sides: NDArray[np.float64] = np.empty((0, 2))
        """Height and width of each image as the file states them; NaN where it does not."""
        start, end = members.get("categories", (0, 0))
        self._categories: list[Any] = (text.value(start, end) if end > start else None) or []

    # -- what belongs to the whole file -------------------------------------------------------

    def header(self) -> dict[str, Any]:
        """Return all of the file but images and annotations."""
        rest = {
            key: self._text.value(*span)
            for key, span in self._members.items()
            if key not in ("images", "annotations", "categories")
        }
        absent = [key for key in ("annotations", "categories") if key not in self._members]
        return {
            "format": FORMAT,
            "order": list(self._members),
            "categories": self._categories,
            "rest": rest,
            **({"absent": absent} if absent else {}),
        }

    # -- images -------------------------------------------------------------------------------

    def items(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the images in the file's order, and their sizes as it states them."""
        text = self._text
        rows = self._arrays["images"]
        n = len(rows)
        names = text.strings(rows.start["file_name"], rows.end["file_name"])
        ids = self._keys(rows, "id")
        bad = ids.is_null().to_numpy() | np.array([not isinstance(name, str) for name in names], bool)
        self._note("images", bad, "it has no id and file_name", "add both")
        odd = np.array([isinstance(name, str) and not valid_text(name) for name in names], bool) & ~bad
        self._note("images", odd, "its file_name is not Unicode", "rename the file")
        again = _repeated(ids) & ~bad & ~odd
        self._note("images", again, "its id was used before", "give every image its own id")
        good = ~(bad | odd | again)
        chosen = np.flatnonzero(good)
        uris, climbing = within(os.fspath(self._folder), [names[i] or "" for i in chosen.tolist()])
        self.faults.extend(climbing)
        address: list[str | None] = [None] * n
        for i, uri in zip(chosen.tolist(), uris, strict=True):
            address[i] = uri
        frame = pl.DataFrame(
            {
                URI: pl.Series(address, dtype=pl.String),
                EXTRA: rows.extra,
                "width": text.numbers(rows.start["width"], rows.end["width"]),
                "height": text.numbers(rows.start["height"], rows.end["height"]),
            }
        )
        self._uris = frame.select(URI)
        self._sides = frame.select("height", "width").to_numpy()
        self._image_ids = ids.set(pl.Series(~good), None)
        twice = _repeated(frame[URI]) & good
        self._note("images", twice, "its file_name stands there before", "list every file once", what="repaired")
        frame = frame.drop_nulls(URI).unique(URI, keep="first", maintain_order=True)
        return frame.select(URI, EXTRA), frame.select(URI, "width", "height").fill_nan(None)

    # -- annotations --------------------------------------------------------------------------

    def labels(self) -> pl.DataFrame:
        """Return the annotations that can be used, in the file's order."""
        if "annotations" not in self._arrays:
            return pl.DataFrame(schema={URI: pl.String, **{k: v for k, v in LABELS.columns.items() if k != "item_id"}})
        rows = self._arrays["annotations"]
        skipped = rows.broken.copy()
        self._note("annotations", skipped, "it is not an object", "remove it")
        image = self._images(rows, skipped)
        classes, category = self._classes(rows, skipped)
        ids = self._keys(rows, "id")
        present = rows.end["id"] > rows.start["id"]
        wrong = ids.is_null().to_numpy() & present & ~skipped
        self._skip(rows, skipped, wrong, "its id is no number or text", "give every annotation its own id")
        again = _repeated(ids.set(pl.Series(skipped), None))
        self._skip(rows, skipped, again & ~skipped, "its id was used before", "give every annotation its own id")
        own = self._own(rows, skipped)
        shapes = Shapes(self, rows, skipped, own, self._sides[np.maximum(image, 0)])
        frame = pl.DataFrame(
            {
                URI: self._uris[URI].gather(np.maximum(image, 0)),
                "kind": shapes.kind,
                CLASS_NAME: classes,
                **{name: shapes.box[:, i] for i, name in enumerate("xywh")},
                "points": shapes.points,
                "rings": shapes.rings,
                "visibility": shapes.visibility,
                "rle": shapes.rle,
                "mask_h": shapes.mask_h,
                "mask_w": shapes.mask_w,
                "track_id": self._tracks(rows),
                EXTRA: _joined(rows.extra, shapes.added, shapes.dotted, category),
            }
        )
        return with_own(frame, own).filter(pl.Series(~shapes.skipped))

    def _own(self, rows: Rows, skipped: Mask) -> dict[int, dict[str, Any]]:
        """Read the shapes that `to_coco` wrote for kinds that COCO lacks."""
        some = np.flatnonzero((rows.end[OWN] > rows.start[OWN]) & ~skipped)
        values = self._text.objects(rows.start[OWN][some], rows.end[OWN][some])
        return {i: value for i, value in zip(some.tolist(), values, strict=True) if is_own(value)}

    def _images(self, rows: Rows, skipped: Mask) -> NDArray[np.int64]:
        """Return each annotation's image as a row of `images`."""
        wanted = pl.DataFrame({"key": self._keys(rows, "image_id", like=self._image_ids)})
        ids = self._image_ids
        if wanted["key"].dtype == pl.String and ids.dtype != pl.String:
            ids = pl.Series([None if v is None else _key(v) for v in ids], dtype=pl.String)
        known = pl.DataFrame(
            {"key": ids, "at": pl.int_range(self._image_ids.len(), eager=True), URI: self._uris[URI]}
        ).drop_nulls()
        at = wanted.join(known, on="key", how="left", maintain_order="left")["at"].fill_null(-1).to_numpy()
        self._skip(
            rows, skipped, (at < 0) & ~skipped, "its image_id is not in images",
            "add the image or remove the annotation", show="image_id",
        )  # fmt: skip
        return np.asarray(at, np.int64)

    def _classes(self, rows: Rows, skipped: Mask) -> tuple[pl.Series, pl.Series | None]:
        """Return each annotation's class, and its category's id where names are not unique."""
        listed = [c if not isinstance(c, dict) else {**c, "id": _whole(c.get("id"))} for c in self._categories]
        known = [c for c in listed if isinstance(c, dict) and is_id(c.get("id")) and "name" in c]
        known = [c for c in known if valid_text(str(c["name"]))]
        for i, c in enumerate(listed):
            if c not in known:
                self._add(f"categories[{i}]", "it has no id and name", "add both")
        self._same(known)
        texts = any(isinstance(c["id"], str) for c in known)
        keys = self._keys(rows, "category_id", like=pl.Series(["s"]) if texts else None)
        of_ids = pl.Series(
            [_key(c["id"]) for c in known] if keys.dtype == pl.String else [c["id"] for c in known],
            dtype=keys.dtype, strict=False,
        )  # fmt: skip
        names = [str(c["name"]) for c in known]
        table = pl.DataFrame({"key": of_ids, CLASS_NAME: pl.Series(names, dtype=pl.String)})
        table = table.drop_nulls("key").unique("key", keep="first")
        found = pl.DataFrame({"key": keys}).join(table, on="key", how="left", maintain_order="left")[CLASS_NAME]
        missing = found.is_null().to_numpy() & ~skipped
        self._skip(
            rows, skipped, missing, "its category_id is not in categories", "add the category", show="category_id"
        )
        return found, None if len(set(names)) == len(names) else keys

    def _same(self, categories: list[dict[str, Any]]) -> None:
        """List categories that share an id, or a name: those are one class here."""
        ids: dict[str, str] = {}
        names: dict[str, str] = {}
        for c in categories:
            key, name = _key(c["id"]), str(c["name"])
            where = f"{self._file}: category {c['id']}"
            if key in ids:
                why = f'its id was used before, for "{ids[key]}", which its annotations get'
                self.faults.append(Fault(where, "skipped", why, "give every category its own id"))
            elif name in names:
                why = f'it has the name "{name}" of category {names[name]}: they are one class here'
                self.faults.append(Fault(where, "kept", why, "rename one of them; exports keep both ids"))
            ids.setdefault(key, name)
            names.setdefault(name, str(c["id"]))

    def _tracks(self, rows: Rows) -> pl.Series:
        some = rows.end["track_id"] > rows.start["track_id"]
        if not some.any():
            return pl.repeat(None, len(rows), dtype=pl.String, eager=True)
        values = self._text.objects(rows.start["track_id"], rows.end["track_id"])
        return pl.Series([str(v) if is_id(v) else None for v in values], dtype=pl.String)

    def _keys(self, rows: Rows, name: str, *, like: pl.Series | None = None) -> pl.Series:
        """Read ids: whole numbers, or texts where any is one; null where there is none."""
        start, end = rows.start[name], rows.end[name]
        whole, good = self._text.integers(start, end)
        texts = like is not None and like.dtype == pl.String
        if not texts and not self._text.any_text(start, end) and (good | (end <= start)).all():
            return pl.Series(name, whole).set(pl.Series(~good), None)
        values = [_whole(v) for v in self._text.objects(start, end)]
        if not texts and not any(isinstance(v, str) for v in values):
            inside = [v if is_id(v) and abs(v) < 2**63 else None for v in values]
            return pl.Series(name, inside, dtype=pl.Int64)
        return pl.Series(name, [_key(v) if is_id(v) else None for v in values], dtype=pl.String)

    # -- what is wrong ------------------------------------------------------------------------

    def _skip(self, rows: Rows, skipped: Mask, bad: Mask, why: str, remedy: str, *, show: str = "") -> None:
        """List rows and mark them as skipped."""
        self._note("annotations", bad, why, remedy, rows=rows, show=show)
        skipped |= bad

    def _note(
        self, where: str, bad: Mask, why: str, remedy: str, *, what: str = "skipped", rows: Rows | None = None,
        show: str = "",
    ) -> None:  # fmt: skip
        found = np.flatnonzero(bad)
        for i in found[:MOST_FAULTS_PER_REASON].tolist():
            place = f"{where}[{i}]"
            if rows is not None and rows.end["id"][i] > rows.start["id"][i]:
                place += f" (id {self._shown(rows, 'id', i)})"
            told = f"{why} ({show} {self._shown(rows, show, i)})" if rows is not None and show else why
            self.faults.append(Fault(f"{self._file}: {place}", what, told, remedy))
        if found.size > MOST_FAULTS_PER_REASON:
            more = found.size - MOST_FAULTS_PER_REASON
            self.faults.append(Fault(f"{self._file}: {where}", what, f"{why} ({more:,} more)", remedy))

    def _shown(self, rows: Rows, name: str, i: int) -> str:
        start, end = int(rows.start[name][i]), int(rows.end[name][i])
        return self._text.text(start, min(end, start + _SHOWN_CHARS)) if end > start else "missing"

    def _add(self, place: str, why: str, remedy: str) -> None:
        self.faults.append(Fault(f"{self._file}: {place}", "skipped", why, remedy))


def _repeated(keys: pl.Series) -> Mask:
    """Tell which values stand there before; nulls do not count."""
    return (~keys.is_first_distinct() & keys.is_not_null()).to_numpy()


def _whole(value: Any) -> Any:
    """Return an id that is written as 1.0 as 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _key(value: int | str) -> str:
    """Return an id as text that keeps 1 and "1" apart."""
    return f"i:{value}" if isinstance(value, int) else f"s:{value}"


def _joined(extra: pl.Series, added: dict[int, dict[str, Any]], dotted: Mask, category: pl.Series | None) -> pl.Series:
    """Put further keys into the JSON text of some rows."""
    if category is not None:
        ids = [None if v is None else (v if isinstance(v, int) else _plain_key(v)) for v in category]
        for i, value in enumerate(ids):
            if value is not None:
                added.setdefault(i, {})["category_id"] = value
    for i, more in added.items():
        if dotted[i]:
            more.setdefault(MARK, {})["dotted"] = True
    plainly = dotted.copy()
    plainly[list(added)] = False
    if plainly.any():
        mark = f'{{"{MARK}": {{"dotted": true}}}}'
        joined = extra.str.strip_suffix("}") + f", {mark[1:]}"
        extra = joined.fill_null(mark).zip_with(pl.Series(plainly), extra)
    if not added:
        return extra
    texts = extra.to_list()
    for i, more in added.items():
        text = json.dumps(more, ensure_ascii=False)
        texts[i] = text if not texts[i] else f"{texts[i][:-1]}, {text[1:]}"
    return pl.Series(texts, dtype=pl.String)


def _plain_key(text: str) -> int | str:
    return int(text[2:]) if text.startswith("i:") else text[2:]
