"""What users give for vectors: arrays aligned by row, frames with ids, images, queries; checked, with what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, ShapeError, unknown
from ..formats.source import as_polars

if TYPE_CHECKING:
    from ..content.levels import Level

Vectors = NDArray[np.float32]

_MATRIX_NDIM = 2


def image_vector(image: Any) -> Vectors:
    """Embed one image (path, bytes, or (h, w, 3) uint8) with the built-in descriptor.

    Raises
    ------
    ShapeError
        An array of another shape or dtype.
    ImageError
        An image that cannot be read.
    """
    from ..embeddings.descriptor import descriptor

    return descriptor(image_pixels(image))


def image_pixels(image: Any) -> NDArray[np.uint8]:
    """Return an image given as a path, bytes, or (h, w, 3) uint8 as upright RGB pixels; see `image_vector`."""
    from ..images.address import read_bytes
    from ..images.decode import decode

    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ShapeError(
                f"The image has shape {image.shape} and dtype {image.dtype}.", "Give (h, w, 3) uint8, RGB."
            )
        return np.ascontiguousarray(image)
    if not isinstance(image, (bytes, bytearray, memoryview, str, os.PathLike)):
        raise InputError(
            f"A {type(image).__name__} is no image.", "Give a path, its bytes, or an array (h, w, 3) of uint8."
        )
    data = bytes(image) if isinstance(image, (bytes, bytearray, memoryview)) else read_bytes(os.fspath(image))
    return decode(data)


def queries(vectors: Any) -> Vectors:
    """Return what is searched for as (m, d) float32."""
    try:
        query = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise InputError(f"{vectors!r:.80} is no vector.", "Give numbers of shape (d,) or (m, d).") from error
    if query.ndim != _MATRIX_NDIM:
        raise ShapeError(f"The query has shape {query.shape}.", "Give one vector (d,), or several (m, d).")
    if not np.isfinite(query).all():
        raise InputError("The vector to search for holds NaN or infinity.", "Give finite numbers.")
    if query.size and not query.any(axis=1).all():
        raise InputError("The vector to search for holds only zeros: it has no direction.", "Embed the query again.")
    return query


def aligned(vectors: Any, level: Level) -> tuple[pl.Series, Vectors]:
    """Return ids and a float32 matrix from an array aligned by row, or a frame with ids."""
    if hasattr(vectors, "columns") or isinstance(vectors, (pl.LazyFrame, dict)):
        return _from_frame(as_polars(vectors, "embedding"), level)
    matrix = np.asarray(vectors)
    if matrix.ndim != _MATRIX_NDIM or matrix.dtype.kind not in "fiu":
        raise ShapeError(
            f"The array has shape {matrix.shape} and dtype {matrix.dtype}.", "Give a numeric array of shape (n, d)."
        )
    rows = level.alive_rows()
    if matrix.shape[0] != rows.size:
        raise ShapeError(
            f"The array has {matrix.shape[0]:,} rows; the project has {rows.size:,} {level.name}s.",
            f"Give one row for each, in the order of df, or a frame with the columns {level.key} and vector.",
        )
    _finite(matrix)
    return level.frame[level.key].gather(rows), matrix


def _from_frame(frame: pl.DataFrame, level: Level) -> tuple[pl.Series, Vectors]:
    names = [c for c in frame.columns if c != level.key and isinstance(frame.schema[c], (pl.List, pl.Array))]
    if level.key not in frame.columns or len(names) != 1:
        raise ShapeError(
            f"The frame has the columns {frame.columns}.", f"Give {level.key} and one column of lists of numbers."
        )
    frame = frame.drop_nulls([level.key, names[0]])
    strange = frame.filter(~pl.col(level.key).is_in(level.frame[level.key].implode()))
    if strange.height:
        raise unknown(
            f"{level.name} with the id", str(strange[level.key][0]), level.frame[level.key].head(1000).to_list()
        )
    lengths = frame[names[0]].cast(pl.List(pl.Float32)).list.len().unique()
    if lengths.len() != 1:
        raise ShapeError(f"The vectors have different lengths: {sorted(lengths.to_list())[:5]}.", "Give one length.")
    matrix = frame[names[0]].cast(pl.List(pl.Float32)).explode().to_numpy().reshape(frame.height, -1)
    _finite(matrix)
    return frame[level.key], matrix


def _finite(matrix: NDArray[Any]) -> None:
    bad = ~np.isfinite(matrix).all(axis=1) if matrix.size else np.zeros(0, bool)
    if bad.any():
        raise InputError(
            f"{int(bad.sum()):,} vectors hold NaN or infinity, the first in row {int(np.argmax(bad))}.",
            "Leave these rows out by passing a frame with ids and vectors.",
        )
