"""What is laid over each other: boxes as they are, turned boxes as they lie, or pixel masks drawn as COCO draws them.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..images._numba import exact_kernel
from ..metrics import masks
from ..metrics.geometry import BOX, CONVEX, KEYPOINTS, MASK, POLYGON, Shapes, shapes_of
from ..metrics.overlap import _common_area
from ..schema import KIND_MASK, KIND_POLYGON
from .matching import Boxes, Orders, Pairs, table_starts

log = logging.getLogger("encord_active_widgets")

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Rle = dict[str, Any]


def drawn(frame: pl.DataFrame, sizes: I64) -> list[Rle]:
    """Draw every row as a mask of its image's size, by the rules of COCO: `size` and `counts`.

    Parameters
    ----------
    frame : pl.DataFrame
        `item` and geometry. Polygons are drawn ring by ring and united, holes are cut out; what is
        neither polygon nor mask of the image's size is drawn as its box. A warning tells of masks of another size.
    sizes : (n, 2) int64
        Width and height of each item.
    """
    from hotcoco import mask as coco

    wanted = ("points", "rings", "holes", "rle", "mask_h", "mask_w")
    table = frame.with_columns(pl.lit(None).alias(c) for c in wanted if c not in frame.columns)
    out: list[Rle] = []
    misfits = 0
    for row in table.select("item", "kind", "x", "y", "w", "h", *wanted).iter_rows(named=True):
        width, height = sizes[row["item"]].tolist()
        if row["kind"] == KIND_MASK and (row["mask_h"], row["mask_w"]) == (height, width):
            out.append({"size": [height, width], "counts": row["rle"]})
            continue
        if row["kind"] != KIND_POLYGON:
            misfits += row["kind"] == KIND_MASK
            out.append(coco.fr_bbox([row[k] for k in "xywh"], height, width))
            continue
        points = row["points"]
        cuts = np.concatenate([[0], 2 * np.cumsum(row["rings"] or [len(points) // 2])]).tolist()
        holes = set(row["holes"] or ())
        rings = [points[a:b] for a, b in pairwise(cuts)]
        solid = coco.fr_py_objects([r for i, r in enumerate(rings) if i not in holes], height, width)
        whole = coco.merge(solid) if len(solid) > 1 else solid[0]
        if holes:
            cut = coco.merge(coco.fr_py_objects([r for i, r in enumerate(rings) if i in holes], height, width))
            left = coco.decode(whole) & ~coco.decode(cut).astype(bool)
            whole = coco.encode(np.asfortranarray(left.astype(np.uint8)))
        out.append(whole)
    if misfits:
        log.warning("%d masks are not of the size of their image: their boxes are compared.", misfits)
    return out


def mask_areas(rles: list[Rle]) -> F64:
    """Return the pixels of each mask."""
    sides = np.array([r["size"] for r in rles], np.int64).reshape(-1, 2)
    return masks.area(_counts(rles), sides[:, 0], sides[:, 1]).astype(np.float64) if rles else np.empty(0)


def _counts(rles: list[Rle]) -> pl.Series:
    texts = [c if isinstance(c, bytes) else c.encode() for c in (r["counts"] for r in rles)]
    return pl.Series(texts, dtype=pl.Binary)


def mask_frame(rles: list[Rle]) -> pl.DataFrame:
    """Return masks as rows of geometry."""
    sides = np.array([r["size"] for r in rles], np.int64).reshape(-1, 2)
    kinds = pl.repeat(KIND_MASK, len(rles), dtype=pl.String, eager=True)
    return pl.DataFrame({"kind": kinds, "rle": _counts(rles), "mask_h": sides[:, 0], "mask_w": sides[:, 1]})


def pair_shapes(prediction_frame: pl.DataFrame, label_frame: pl.DataFrame, labels: Boxes, orders: Orders) -> Pairs:
    """Return the IoU of all predictions with all labels of the same image, whatever their shape."""
    frames = [prediction_frame, label_frame]
    shapes = shapes_of(pl.concat(frames, how="diagonal_relaxed"))
    starts = table_starts(orders[2], orders[3])
    iou = np.zeros(int(starts[-1]))
    _shape_tables(shapes, len(prediction_frame), labels.ignored, *orders, starts, iou)
    return Pairs(*orders, starts, iou)


@exact_kernel
def _shape_tables(
    s: Shapes,
    n_predictions: int,
    ignored: Flags,
    a_order: I64,
    b_order: I64,
    a_starts: I64,
    b_starts: I64,
    starts: I64,
    out: F64,
) -> None:
    for g in range(a_starts.shape[0] - 1):
        n = b_starts[g + 1] - b_starts[g]
        for p in range(a_starts[g], a_starts[g + 1]):
            i = a_order[p]
            base = starts[g] + (p - a_starts[g]) * n
            for q in range(n):
                row = b_order[b_starts[g] + q]
                j = n_predictions + row
                if not (_covers(s.form[i]) and _covers(s.form[j])):
                    continue
                wide = min(s.bounds[i, 2], s.bounds[j, 2]) - max(s.bounds[i, 0], s.bounds[j, 0])
                high = min(s.bounds[i, 3], s.bounds[j, 3]) - max(s.bounds[i, 1], s.bounds[j, 1])
                if wide <= 0 or high <= 0 or s.measures[i, 0] <= 0 or s.measures[j, 0] <= 0:
                    continue
                both = _common_area(s, i, j)
                whole = s.measures[i, 0] if ignored[row] else s.measures[i, 0] + s.measures[j, 0] - both
                out[base + q] = min(both / whole, 1.0)


@exact_kernel
def _covers(form: int) -> bool:
    return form in (BOX, CONVEX, POLYGON, KEYPOINTS, MASK)
