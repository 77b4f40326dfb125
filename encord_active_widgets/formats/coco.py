"""COCO annotations in: images, categories, boxes, polygons, masks and keypoints."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import EawError, InputError
from ..schema import (
    CLASS_NAME,
    EXTRA,
    KIND_BOX,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POLYGON,
    LABELS,
    OBJECT_KINDS,
    URI,
)  # fmt: skip
from .folder import within
from .geometry_columns import MOST_PX, bounds_of_points, lists
from .json_columns import JsonText, Rows
from .source import Fault, Source, existing, valid_text

FORMAT = "coco"
MARK = "~"
"""The key of `extra` that says how an annotation was written: what it lacked, how its counts stood."""
DOTTABLE = ("bbox", "segmentation", "keypoints")
"""Values of annotations whose whole numbers may be written as 10 or as 10.0."""
_BOTH = 3
OWN = "encord_active_widgets"
"""The key of an annotation under which `to_coco` keeps shapes that COCO has no words for."""
_SHOWN_FAULTS_PER_REASON = 1000
_ANNOTATION_KEYS = ("image_id", "category_id", "bbox", "segmentation", "keypoints", "id", "track_id", OWN)
_KEPT = ("id", "track_id")
_IMAGE_KEYS = ("id", "file_name", "width", "height")
_KEPT_OF_IMAGES = ("id", "width", "height")
_LEAST_RING_NUMBERS = 6
_SHOWN_CHARS = 80

_UNKNOWN = np.full(2, np.nan)

Mask = NDArray[np.bool_]


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
        shapes = _Shapes(self, rows, skipped, own, self._sides[np.maximum(image, 0)])
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
        return _with_own(frame, own).filter(pl.Series(~shapes.skipped))

    def _own(self, rows: Rows, skipped: Mask) -> dict[int, dict[str, Any]]:
        """Read the shapes that `to_coco` wrote for kinds that COCO lacks."""
        some = np.flatnonzero((rows.end[OWN] > rows.start[OWN]) & ~skipped)
        values = self._text.objects(rows.start[OWN][some], rows.end[OWN][some])
        return {i: value for i, value in zip(some.tolist(), values, strict=True) if _is_own(value)}

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
        known = [c for c in self._categories if isinstance(c, dict) and _is_id(c.get("id")) and "name" in c]
        known = [c for c in known if valid_text(str(c["name"]))]
        for i, c in enumerate(self._categories):
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
        return pl.Series([str(v) if _is_id(v) else None for v in values], dtype=pl.String)

    def _keys(self, rows: Rows, name: str, *, like: pl.Series | None = None) -> pl.Series:
        """Read ids: whole numbers, or texts where any is one; null where there is none."""
        start, end = rows.start[name], rows.end[name]
        whole, good = self._text.integers(start, end)
        texts = like is not None and like.dtype == pl.String
        if not texts and not self._text.any_text(start, end) and (good | (end <= start)).all():
            return pl.Series(name, whole).set(pl.Series(~good), None)
        values = self._text.objects(start, end)
        if not texts and not any(isinstance(v, str) for v in values):
            inside = [v if _is_id(v) and abs(v) < 2**63 else None for v in values]
            return pl.Series(name, inside, dtype=pl.Int64)
        return pl.Series(name, [_key(v) if _is_id(v) else None for v in values], dtype=pl.String)

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
        for i in found[:_SHOWN_FAULTS_PER_REASON].tolist():
            place = f"{where}[{i}]"
            if rows is not None and rows.end["id"][i] > rows.start["id"][i]:
                place += f" (id {self._shown(rows, 'id', i)})"
            told = f"{why} ({show} {self._shown(rows, show, i)})" if rows is not None and show else why
            self.faults.append(Fault(f"{self._file}: {place}", what, told, remedy))
        if found.size > _SHOWN_FAULTS_PER_REASON:
            more = found.size - _SHOWN_FAULTS_PER_REASON
            self.faults.append(Fault(f"{self._file}: {where}", what, f"{why} ({more:,} more)", remedy))

    def _shown(self, rows: Rows, name: str, i: int) -> str:
        start, end = int(rows.start[name][i]), int(rows.end[name][i])
        return self._text.text(start, min(end, start + _SHOWN_CHARS)) if end > start else "missing"

    def _add(self, place: str, why: str, remedy: str) -> None:
        self.faults.append(Fault(f"{self._file}: {place}", "skipped", why, remedy))


class _Shapes:
    """The geometry of all annotations: box, polygon, keypoints or mask."""

    def __init__(
        self,
        reader: _Reader,
        rows: Rows,
        skipped: Mask,
        own: dict[int, dict[str, Any]],
        sides: NDArray[np.float64],
    ) -> None:
        self._reader, self._rows, self._text = reader, rows, reader._text
        self._sides = sides
        n = len(rows)
        self.skipped = skipped
        self.added: dict[int, dict[str, Any]] = {}
        """What goes to `extra` besides: by row, JSON values; under `MARK` how the row was written."""
        self.raw: dict[int, list[str]] = {}
        kinds = self._kinds = np.full(n, KIND_BOX, dtype=object)
        self.box, sizes = self._text.vectors(rows.start["bbox"], rows.end["bbox"], 4)
        with np.errstate(invalid="ignore"):
            numbers = (sizes == 4) & (np.abs(self.box) <= MOST_PX).all(axis=1)
            boxed = numbers & (self.box[:, 2] > 0) & (self.box[:, 3] > 0)
        none = pl.repeat(None, n, dtype=pl.Null, eager=True)
        self.points = self.rings = self.visibility = self.rle = self.mask_h = self.mask_w = none
        shaped = self._segments(boxed) | self._keypoints()
        shaped[list(own)] = True
        for i in own:  # the shape is given whole: how COCO's words put it need not be kept
            self.added.pop(i, None)
        self._judge_boxes(boxed, numbers, shaped, own)
        self.dotted = self._spellings(own)
        self.kind = pl.Series(kinds.tolist(), dtype=pl.String)

    def _present(self, name: str) -> Mask:
        return (self._rows.end[name] > self._rows.start[name]) & ~self.skipped

    def _first(self, name: str, present: Mask) -> NDArray[np.uint8]:
        """Return the first byte of each value, 0 where there is none."""
        out = np.zeros(present.size, np.uint8)
        out[present] = self._text.bytes[self._rows.start[name][present]]
        return out

    def _segments(self, boxed: Mask) -> Mask:
        """Read polygons and masks; what cannot be used leaves the box, and stays as it was in `extra`."""
        present = self._present("segmentation")
        first = self._first("segmentation", present)
        polygons = first == ord("[")
        done = self._polygons(np.flatnonzero(polygons), boxed) if polygons.any() else np.zeros(present.size, bool)
        masks = first == ord("{")
        if masks.any():
            done |= self._masks(np.flatnonzero(masks), boxed)
        for i in np.flatnonzero(present & ~polygons & ~masks).tolist():
            self._keep(i, "segmentation")
        return done

    def _polygons(self, rows: NDArray[np.int64], boxed: Mask) -> Mask:
        n = self.skipped.size
        start, end = self._rows.start["segmentation"][rows], self._rows.end["segmentation"][rows]
        values, ring_sizes, row_numbers, row_rings = self._text.ragged(start, end)
        owner = np.repeat(np.arange(rows.size), row_rings)
        cuts = np.concatenate([[0], np.cumsum(ring_sizes)])
        fine = np.isfinite(values) & (np.abs(values) <= MOST_PX)
        running = np.concatenate([[0], np.cumsum(fine)])
        finite = running[cuts[1:]] - running[cuts[:-1]]
        good_ring = (ring_sizes % 2 == 0) & (ring_sizes >= _LEAST_RING_NUMBERS) & (finite == ring_sizes)
        bad_rings = np.bincount(owner[~good_ring], minlength=rows.size)
        good_rings = np.bincount(owner[good_ring], minlength=rows.size)
        empty = (row_numbers == 0) & (row_rings == 0)
        flat = (row_rings == 1) & (self._text.second_byte(start, end) != ord("["))
        why = "its polygon has fewer than three points, an odd count of numbers, or numbers that are none"
        some = (bad_rings > 0) | (row_numbers < 0)
        if some.any():
            what = np.zeros(n, bool)
            what[rows[some & (good_rings > 0)]] = True
            self._tell(what, f"a part of {why}", "draw the part again; the other parts are used")
            what[:] = False
            what[rows[some & (good_rings == 0)]] = True
            self._tell(what & boxed, why, "draw it again; its box is used")
        for i in np.flatnonzero(some | empty | flat).tolist():
            self._keep(int(rows[i]), "segmentation")
        keep = np.repeat(good_ring, ring_sizes)
        values, ring_sizes, owner = values[keep], ring_sizes[good_ring], owner[good_ring]
        numbers = np.bincount(owner, weights=ring_sizes, minlength=rows.size).astype(np.int64)
        all_numbers, all_rings = np.zeros(n, np.int64), np.zeros(n, np.int64)
        all_numbers[rows], all_rings[rows] = numbers, good_rings
        self.points = lists(values, all_numbers, pl.Float64)
        several = all_rings > 1
        self.rings = lists(
            ring_sizes[np.repeat(several[rows], good_rings)] // 2, np.where(several, all_rings, 0), pl.UInt32
        )
        bounds = bounds_of_points(values, all_numbers)
        done = all_numbers > 0
        self._kinds[done] = KIND_POLYGON
        self._take_bounds(done & ~boxed, bounds)
        return done

    def _masks(self, rows: NDArray[np.int64], boxed: Mask) -> Mask:
        from ..metrics import masks

        n = self.skipped.size
        done = np.zeros(n, bool)
        broken: dict[str, list[int]] = {}
        found: list[tuple[int, bytes, int, int]] = []
        values = self._text.objects(self._rows.start["segmentation"][rows], self._rows.end["segmentation"][rows])
        for i, value in zip(rows.tolist(), values, strict=True):
            try:
                counts, height, width = _mask(value, self._sides[i])
            except EawError as error:
                broken.setdefault(error.message, []).append(i)
                self._keep(i, "segmentation")
                continue
            found.append((i, counts, height, width))
            if isinstance(value["counts"], list):
                self.added.setdefault(i, {}).setdefault(MARK, {})["counts"] = "list"
            if any(k not in ("counts", "size") for k in value):
                self._keep(i, "segmentation")
        at = np.array([f[0] for f in found], np.int64)
        rle = pl.Series([f[1] for f in found], dtype=pl.Binary)
        sides = np.array([f[2:] for f in found], np.int64).reshape(-1, 2)
        bounds = masks.bounds(rle, sides[:, 0], sides[:, 1]) if found else np.empty((0, 4))
        done[at] = True
        unboxed = ~boxed[at]
        self.box[at[unboxed]] = bounds[unboxed]
        frame = pl.DataFrame({"at": at, "rle": rle, "mask_h": sides[:, 0], "mask_w": sides[:, 1]})
        placed = pl.DataFrame({"at": np.arange(n)}).join(frame, on="at", how="left", maintain_order="left")
        self.rle = placed["rle"]
        self.mask_h, self.mask_w = placed["mask_h"].cast(pl.Int32), placed["mask_w"].cast(pl.Int32)
        for why, places in broken.items():
            bad = np.zeros(n, bool)
            bad[places] = True
            self._tell(bad & boxed, f"its mask cannot be used: {why}", "draw it again; its box is used")
        self._kinds[done] = KIND_MASK
        return done

    def _keypoints(self) -> Mask:
        """Read keypoints with visibility; an object that has them is of that kind, its outline stays in `extra`."""
        present = self._present("keypoints")
        done = np.zeros(present.size, bool)
        if not present.any():
            return done
        rows = np.flatnonzero(present)
        start, end = self._rows.start["keypoints"][rows], self._rows.end["keypoints"][rows]
        values, _, row_numbers, row_rings = self._text.ragged(start, end)
        right = (row_numbers > 0) & (row_numbers % 3 == 0) & (row_rings == 1)
        usable = np.repeat(right, np.maximum(row_numbers, 0))
        triples = values[usable].reshape(-1, 3)
        counts = np.where(right, row_numbers // 3, 0)
        seen = np.isin(triples[:, 2], (0, 1, 2)) & (np.abs(triples[:, :2]) <= MOST_PX).all(axis=1)
        owner = np.repeat(np.arange(rows.size), counts)
        right &= np.bincount(owner[~seen], minlength=rows.size) == 0
        labelled = np.bincount(owner[seen & (triples[:, 2] > 0)], minlength=rows.size) > 0
        wrong = np.zeros(present.size, bool)
        wrong[rows[~right]] = True
        self._tell(wrong, "its keypoints are not x, y, visibility (0, 1, 2) each", "write three numbers a point")
        use = right & labelled
        for i in rows[~use].tolist():
            self._keep(i, "keypoints")
        chosen = np.repeat(use, counts)
        done[rows[use]] = True
        points, sizes = triples[chosen], np.zeros(present.size, np.int64)
        sizes[rows[use]] = counts[use]
        mine = pl.DataFrame(
            {"p": lists(points[:, :2].ravel(), sizes * 2, pl.Float64), "old": self.points.cast(pl.List(pl.Float64))}
        )
        for i in np.flatnonzero(done & (self._kinds != KIND_BOX)).tolist():
            self._keep(i, "segmentation")
        self.points = mine.select(pl.coalesce("p", "old"))["p"]
        self.visibility = lists(points[:, 2].astype(np.uint8), sizes, pl.UInt8)
        at = pl.Series(done)
        self.rings = self.rings.cast(pl.List(pl.UInt32)).zip_with(~at, pl.Series([None], dtype=pl.List(pl.UInt32)))
        for name, dtype in (("rle", pl.Binary), ("mask_h", pl.Int32), ("mask_w", pl.Int32)):
            column = getattr(self, name).cast(dtype)
            setattr(self, name, column.zip_with(~at, pl.Series([None], dtype=dtype)))
        self._kinds[done] = KIND_KEYPOINTS
        placed = points[points[:, 2] > 0][:, :2]
        placed_sizes = np.zeros(present.size, np.int64)
        owner = np.repeat(np.flatnonzero(done), counts[use])
        np.add.at(placed_sizes, owner[points[:, 2] > 0], 2)
        unboxed = np.isnan(self.box).any(axis=1) | ~((self.box[:, 2] > 0) & (self.box[:, 3] > 0))
        self._take_bounds(done & unboxed, bounds_of_points(placed.ravel(), placed_sizes))
        return done

    def _take_bounds(self, rows: Mask, bounds: NDArray[np.float64]) -> None:
        self.box[rows] = bounds[rows]

    def _judge_boxes(self, boxed: Mask, numbers: Mask, shaped: Mask, own: dict[int, dict[str, Any]]) -> None:
        """Skip what has no shape at all; list boxes that were made from the shape."""
        present = self._present("bbox")
        for i in np.flatnonzero(shaped & ~present & ~self.skipped).tolist():
            self.added.setdefault(i, {}).setdefault(MARK, {})["absent"] = ["bbox"]
        mended = present & ~boxed & shaped
        mended[list(own)] = False
        self._tell(mended, "its bbox cannot be used", "nothing to do: its box was made from its shape", "repaired")
        lost = ~boxed & ~shaped & ~self.skipped
        flat = lost & numbers
        reader, rows = self._reader, self._rows
        for i in np.flatnonzero(flat).tolist()[:_SHOWN_FAULTS_PER_REASON]:
            width, height = self.box[i, 2:].tolist()
            reader._note(
                "annotations", _only(i, flat.size), f"its box has no area (width {width:g}, height {height:g})",
                "draw the box again or remove it", rows=rows,
            )  # fmt: skip
        left = np.flatnonzero(flat)[_SHOWN_FAULTS_PER_REASON:]
        if left.size:
            reader._add("annotations", f"their boxes have no area ({left.size:,} more)", "draw them again")
        reader._skip(
            rows, self.skipped, lost & ~flat & present, "its bbox is not four finite numbers",
            "write [x, y, width, height] in pixels", show="bbox",
        )  # fmt: skip
        reader._skip(
            rows, self.skipped, lost & ~flat & ~present, "it has no bbox and no shape that can be used", "add one"
        )
        self.skipped |= flat

    def _spellings(self, own: dict[int, dict[str, Any]]) -> Mask:
        """Find rows that write whole numbers as 10.0; where a value mixes both ways it is kept as it stands."""
        bits = np.zeros(self.skipped.size, np.uint8)
        for name in DOTTABLE:
            present = np.flatnonzero(self._present(name))
            found = self._text.spellings(self._rows.start[name][present], self._rows.end[name][present])
            if name == "segmentation":
                found[self._kinds[present] == KIND_MASK] = 0  # sizes and counts
            if name == "keypoints":
                found[found == _BOTH] = 2  # the visibility is plain, by rule
            bits[present] |= found
        mixed = np.flatnonzero(bits == _BOTH)
        for i in mixed[~np.isin(mixed, list(own))].tolist():
            for name in DOTTABLE:
                if self._rows.end[name][i] > self._rows.start[name][i] and name not in self.added.get(i, {}):
                    self._keep(i, name)
        out: Mask = bits == 2
        return out

    def _keep(self, i: int, name: str) -> None:
        """Keep a value as it stands in the file."""
        start, end = int(self._rows.start[name][i]), int(self._rows.end[name][i])
        value = self._text.value(start, end)
        self.added.setdefault(i, {})[name] = value

    def _tell(self, bad: Mask, why: str, remedy: str, what: str = "repaired") -> None:
        self._reader._note("annotations", bad & ~self.skipped, why, remedy, what=what, rows=self._rows)


def _is_own(value: Any) -> bool:
    """Tell whether a shape is as `to_coco` writes it."""
    if not isinstance(value, dict) or value.get("kind") not in OBJECT_KINDS:
        return False
    numbers = [value.get(k) for k in "xywh"] + ([value["angle"]] if "angle" in value else [])
    lists = [value.get(k, []) for k in ("points", "rings", "holes")]
    return (
        all(isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) <= MOST_PX for v in numbers)
        and all(isinstance(part, list) for part in lists)
        and all(isinstance(v, (int, float)) and abs(v) <= MOST_PX for v in lists[0])
        and len(lists[0]) % 2 == 0
        and all(isinstance(v, int) and 0 <= v <= len(lists[0]) for part in lists[1:] for v in part)
        and (not lists[1] or 2 * sum(lists[1]) == len(lists[0]))
    )


def _with_own(frame: pl.DataFrame, own: dict[int, dict[str, Any]]) -> pl.DataFrame:
    """Put shapes that are given whole in the place of what COCO's words gave."""
    if not own:
        return frame
    names = ("kind", "x", "y", "w", "h", "angle", "points", "rings", "holes")
    types = {k: LABELS.columns[k] for k in names}
    given = pl.DataFrame([{k: v.get(k) for k in names} for v in own.values()], schema=types, strict=False)
    given = given.with_columns(pl.Series("at", list(own), dtype=pl.UInt32)).rename({k: f"own_{k}" for k in names})
    joined = frame.with_row_index("at").join(given, on="at", how="left", maintain_order="left")
    hit = pl.col("own_kind").is_not_null()
    chosen = [
        pl.when(hit)
        .then(pl.col(f"own_{k}"))
        .otherwise(pl.col(k).cast(types[k]) if k in frame.columns else pl.lit(None, dtype=types[k]))
        .alias(k)
        for k in names
    ]
    return joined.with_columns(chosen).drop("at", *(f"own_{k}" for k in names))


def _mask(value: Any, sides: NDArray[np.float64] = _UNKNOWN) -> tuple[bytes, int, int]:
    """Return a segmentation's compressed counts, height and width.

    Raises
    ------
    InputError
        The counts are none, or do not sum to the size; the size is not that of the image (`sides`,
        NaN where unknown); no pixel is set.
    """
    from ..metrics import masks

    size = value.get("size") if isinstance(value, dict) else None
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(_is_id(v) and not isinstance(v, str) for v in size)
        or "counts" not in value
    ):
        raise InputError("it has no counts and size [height, width].", "Write both.")
    height, width = size
    counts = value["counts"]
    if isinstance(counts, str):
        data = counts.encode("ascii", "replace")
    elif isinstance(counts, list) and all(_is_id(v) and not isinstance(v, str) and 0 <= v < 2**32 for v in counts):
        data = masks.compress(counts)
    else:
        raise InputError("its counts are no text and no list of run lengths.", "Write one of the two.")
    masks.parse([data], height, width)
    if not np.isnan(sides).any() and (height, width) != tuple(sides):
        raise InputError(
            f"it is {height} × {width} px (height × width), its image {sides[0]:g} × {sides[1]:g}.", "Draw it again."
        )
    if not masks.area([data], height, width)[0]:
        raise InputError("no pixel is set.", "Draw it again.")
    return data, height, width


def _only(i: int, n: int) -> Mask:
    out = np.zeros(n, bool)
    out[i] = True
    return out


def _repeated(keys: pl.Series) -> Mask:
    """Tell which values stand there before; nulls do not count."""
    return (~keys.is_first_distinct() & keys.is_not_null()).to_numpy()


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


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
