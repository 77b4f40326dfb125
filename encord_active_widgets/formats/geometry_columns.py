"""Helpers to build the geometry columns of labels from flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import KIND_KEYPOINTS, KIND_POINT, KIND_POLYGON, KIND_POLYLINE

BOX_COLUMNS = ("x", "y", "w", "h")
LEAST_NUMBERS = {KIND_POLYGON: 6, KIND_POLYLINE: 4, KIND_POINT: 2, KIND_KEYPOINTS: 2}
"""How many numbers the points of a kind have at least."""
MOST_PX = 1e9
"""A coordinate beyond this is a mistake: no image is that large."""


def lists(values: NDArray[Any], sizes: NDArray[np.integer], dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    """Cut a flat array into one list a row; null where a row has none.

    Parameters
    ----------
    values : ndarray (m,)
        All values, row after row.
    sizes : ndarray (n,)
        How many of them each row has; they sum to m.
    dtype : Polars dtype
        Of the values.
    """
    n = len(sizes)
    if not len(values):
        return (
            pl.Series([None] * n, dtype=pl.List(dtype))
            if n < 2
            else pl.repeat(None, n, dtype=pl.List(dtype), eager=True)
        )
    flat = pl.DataFrame({"row": np.repeat(np.arange(n, dtype=np.uint32), sizes), "v": pl.Series(values).cast(dtype)})
    grouped = flat.group_by("row", maintain_order=True).agg("v")
    frame = pl.DataFrame({"row": pl.int_range(n, dtype=pl.UInt32, eager=True)})
    return frame.join(grouped, on="row", how="left", maintain_order="left")["v"]


def bounds_of_points(values: NDArray[np.float64], sizes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return x, y, w, h (n, 4) of flat x, y pairs, `sizes` numbers a row; NaN for rows without points."""
    out = np.full((len(sizes), 4), np.nan)
    some = np.flatnonzero(np.asarray(sizes) > 0)
    if not some.size:
        return out
    cuts = np.concatenate([[0], np.cumsum(np.asarray(sizes)[some])[:-1]]) // 2
    xs, ys = values[0::2], values[1::2]
    left, top = np.minimum.reduceat(xs, cuts), np.minimum.reduceat(ys, cuts)
    right, bottom = np.maximum.reduceat(xs, cuts), np.maximum.reduceat(ys, cuts)
    out[some] = np.stack([left, top, right - left, bottom - top], axis=1)
    return out
