"""Objects as the page draws them: coordinates in one buffer, masks as runs, outlines for tiles."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..project import Project
from ..schema import (
    CLASS_NAME,
    CLASSIFICATION,
    KIND_CLASSIFICATION,
    KIND_KEYPOINTS,
    KIND_MASK,
    KIND_POINT,
    KIND_POLYLINE,
    KIND_ROTATED_BOX,
    OBJECT,
    ORDINAL,
)

_MOST_OBJECTS = 5000
_MASK_CELLS = 48
"""Rows and columns at most of a mask whose outline is drawn on a tile."""
_POINT_PX = 3.0


def has_shapes(level: Level) -> bool:
    """Tell whether rows are objects; the classes of images, given or predicted, have no place on them."""
    if level.item_rows is None or level.name == CLASSIFICATION:
        return False
    return level.name == OBJECT or bool(level.n and level.frame["kind"][0] != KIND_CLASSIFICATION)


def drawn_objects(level: Level, item_row: int) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return the objects on an item and the buffers their coordinates and masks lie in."""
    if level.item_rows is None or level.n == 0:
        return [], [b""]
    mask = (level.item_rows == item_row).to_numpy()
    if level.alive is not None:
        mask = mask & level.alive
    return drawn(level, level.frame.filter(pl.Series(mask)).head(_MOST_OBJECTS))


def drawn(level: Level, frame: pl.DataFrame) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return rows of a level as the page draws them, and the buffers their coordinates and masks lie in."""
    if frame.is_empty():  # it may lack the columns of shapes
        return [], [b""]
    more = [c for c in ("confidence", "outcome", "reason") if c in frame.columns]
    key = level.key
    wanted = ("angle", "track_id", "points", "rings", "holes", "visibility", "rle", "mask_h", "mask_w")
    frame = frame.with_columns(pl.lit(None).alias(c) for c in wanted if c not in frame.columns)
    coordinates: list[NDArray[np.float32]] = []
    buffers: list[bytes] = [b""]
    out: list[dict[str, Any]] = []
    at = 0
    for row in frame.select(key, ORDINAL, "kind", CLASS_NAME, "x", "y", "w", "h", *wanted, *more).iter_rows(named=True):
        points = np.asarray(row["points"] or [], np.float32)
        coordinates.append(points)
        out.append(
            {
                "id": row[key],
                "row": row[ORDINAL],
                **{k: row[k] for k in ("kind", CLASS_NAME, "x", "y", "w", "h", "angle", "track_id")},
                "at": at,
                "n": int(points.size),
                **{k: row[k] for k in ("rings", "holes", "visibility")},
                "mask": _mask(row, buffers),
                **{k: row[k] for k in more},
            }
        )
        at += points.size
    buffers[0] = np.concatenate(coordinates).astype("<f4").tobytes() if coordinates else b""
    return out, buffers


def _mask(row: Mapping[str, Any], buffers: list[bytes]) -> dict[str, int] | None:
    if row["rle"] is None:
        return None
    from ..metrics import masks

    buffers.append(masks.counts(row["rle"]).astype("<u4").tobytes())
    return {"b": len(buffers) - 1, "w": row["mask_w"], "h": row["mask_h"]}


def outline(row: Mapping[str, Any], origin: tuple[float, float], scale: tuple[float, float]) -> dict[str, Any]:
    """Return an object's outline as an SVG path in the pixels of a crop, and whether it encloses an area."""
    move, stretch = np.asarray(origin, np.float64), np.asarray(scale, np.float64)

    def path(points: NDArray[np.float64], *, closed: bool) -> str:
        placed = (points - move) * stretch
        steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in placed.tolist())
        return f"M{steps}{'Z' if closed else ''}"

    kind = row["kind"]
    points = np.asarray(row.get("points") or [], np.float64).reshape(-1, 2)
    if kind == KIND_MASK and row.get("rle") is not None:
        loops = _mask_loops(row)
        return {"d": "".join(path(loop, closed=True) for loop in loops), "closed": True}
    if kind in (KIND_POINT, KIND_KEYPOINTS):
        seen = row.get("visibility") or [2] * len(points)
        placed = [(p - move) * stretch for p, s in zip(points, seen, strict=True) if s]
        marks = "".join(
            f"M{x - _POINT_PX:.1f} {y:.1f}h{2 * _POINT_PX:g}M{x:.1f} {y - _POINT_PX:.1f}v{2 * _POINT_PX:g}"
            for x, y in placed
        )
        return {"d": marks, "closed": False}
    if len(points):
        cuts = np.concatenate([[0], np.cumsum(row.get("rings") or [len(points)])]).tolist()
        rings = [points[a:b] for a, b in pairwise(cuts)]
        closed = kind != KIND_POLYLINE
        return {"d": "".join(path(ring, closed=closed) for ring in rings), "closed": closed}
    return {"d": path(box_corners(row), closed=True), "closed": True}


def box_corners(row: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the corners (4, 2) of a row's box, turned where it is."""
    from ..formats.coco_writer import corners_of

    angle = (row.get("angle") or 0.0) if row["kind"] == KIND_ROTATED_BOX else 0.0
    return corners_of(row["x"], row["y"], row["w"], row["h"], angle)


def _mask_loops(row: Mapping[str, Any]) -> list[NDArray[np.float64]]:
    """Return the outlines of a mask, in pixels of the image, from at most 48 × 48 cells."""
    from ..metrics import masks

    h, w = row["mask_h"], row["mask_w"]
    x, y = max(int(row["x"]), 0), max(int(row["y"]), 0)
    x1, y1 = min(int(np.ceil(row["x"] + row["w"])), w), min(int(np.ceil(row["y"] + row["h"])), h)
    part = masks.decode(row["rle"], h, w)[y:y1, x:x1]
    if not part.size:
        return []
    step = max(1, -(-max(part.shape) // _MASK_CELLS))
    cells = part[step // 2 :: step, step // 2 :: step] != 0
    return [loop * step + (x, y) for loop in trace(cells)]


def trace(cells: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return the closed outlines of the true cells, corner by corner; the inside lies on the right.

    >>> [loop.tolist() for loop in trace(np.array([[True]]))]
    [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]]
    """
    padded = np.pad(cells, 1)
    inside = padded[1:-1, 1:-1]
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    sides = (
        (inside & ~padded[:-2, 1:-1], (0, 0), (1, 0)),
        (inside & ~padded[1:-1, 2:], (1, 0), (1, 1)),
        (inside & ~padded[2:, 1:-1], (1, 1), (0, 1)),
        (inside & ~padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for edge, (ax, ay), (bx, by) in sides:
        for y, x in np.argwhere(edge).tolist():
            steps.setdefault((x + ax, y + ay), []).append((x + bx, y + by))
    loops = []
    while steps:
        start = next(iter(steps))
        at, loop = start, []
        while True:
            following = steps[at]
            loop.append(at)
            step = following.pop()
            if not following:
                del steps[at]
            at = step
            if at == start:
                break
        loops.append(_corners(np.array(loop, np.float64)))
    return loops


def _corners(loop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out points on straight lines."""
    before, after = np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0)
    turn = (loop - before)[:, 0] * (after - loop)[:, 1] - (loop - before)[:, 1] * (after - loop)[:, 0]
    kept: NDArray[np.float64] = loop[turn != 0]
    return kept


def skeletons(project: Project) -> dict[str, Any]:
    """Return the names and bones of each class's keypoints, as COCO's categories give them."""
    found: dict[str, Any] = {}
    for header in project._folder.headers():
        for c in header.get("categories") or []:
            if isinstance(c, dict) and isinstance(c.get("keypoints"), list):
                bones = [b for b in c.get("skeleton") or [] if isinstance(b, list) and len(b) == 2]
                edges = [[int(i) - 1 for i in b] for b in bones if all(isinstance(i, int) and i > 0 for i in b)]
                found[str(c.get("name"))] = {"names": [str(k) for k in c["keypoints"]], "edges": edges}
    return found
