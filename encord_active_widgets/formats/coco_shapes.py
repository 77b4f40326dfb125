"""Shapes of COCO annotations: box, polygon, keypoints or mask, read by columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import EawError, InputError
from ..schema import KIND_BOX, KIND_KEYPOINTS, KIND_MASK, KIND_POLYGON, LABELS, OBJECT_KINDS
from .geometry_columns import MOST_PX, bounds_of_points, lists
from .json_columns import Rows

if TYPE_CHECKING:
    from .coco import _Reader

MARK = "~"
"""The key of `extra` that says how an annotation was written: what it lacked, how its counts and numbers stood."""
DOTTABLE = ("bbox", "segmentation", "keypoints")
"""Values of annotations whose whole numbers may be written as 10 or as 10.0."""
_BOTH = 3
OWN = "encord_active_widgets"
"""The key of an annotation under which `to_coco` keeps shapes that COCO has no words for."""
MOST_FAULTS_PER_REASON = 1000
_LEAST_RING_NUMBERS = 6
_UNKNOWN = np.full(2, np.nan)

Mask = NDArray[np.bool_]


class Shapes:
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
                counts, height, width = read_mask(value, self._sides[i])
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
        for i in np.flatnonzero(flat).tolist()[:MOST_FAULTS_PER_REASON]:
            width, height = self.box[i, 2:].tolist()
            reader._note(
                "annotations", _only(i, flat.size), f"its box has no area (width {width:g}, height {height:g})",
                "draw the box again or remove it", rows=rows,
            )  # fmt: skip
        left = np.flatnonzero(flat)[MOST_FAULTS_PER_REASON:]
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
            skip = 3 if name == "keypoints" else 0  # the visibility is plain, by rule
            found = self._text.spellings(self._rows.start[name][present], self._rows.end[name][present], skip=skip)
            if name == "segmentation":
                found[self._kinds[present] == KIND_MASK] = 0  # sizes and counts
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


def is_own(value: Any) -> bool:
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


def with_own(frame: pl.DataFrame, own: dict[int, dict[str, Any]]) -> pl.DataFrame:
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


def read_mask(value: Any, sides: NDArray[np.float64] = _UNKNOWN) -> tuple[bytes, int, int]:
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
        or not all(is_id(v) and not isinstance(v, str) for v in size)
        or "counts" not in value
    ):
        raise InputError("it has no counts and size [height, width].", "Write both.")
    height, width = size
    counts = value["counts"]
    if isinstance(counts, str):
        data = counts.encode("ascii", "replace")
    elif isinstance(counts, list) and all(is_id(v) and not isinstance(v, str) and 0 <= v < 2**32 for v in counts):
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


def is_id(value: Any) -> bool:
    """Tell whether a value can be an id: a whole number or a text."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)
