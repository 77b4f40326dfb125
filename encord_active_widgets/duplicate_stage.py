"""The duplicate pairs of a project: found once after the neighbours, kept as a table, read for every threshold."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .errors import EawError, InputError
from .schema import CONTENT_HASH, DUPLICATE_GROUP, ORDINAL, URI
from .store.folder import ProjectFolder, resolve_address
from .store.tables import Table
from .vectors import DESCRIPTOR, EmbeddingSet

if TYPE_CHECKING:
    from .levels import Level
    from .metrics.duplicate_pairs import DuplicatePairs
    from .project import Project

_FAMILY, _LEVEL = "duplicates", "pair"
_OTHER, _THRESHOLD, _DISTANCE, _KIND = "other", "threshold", "distance", "kind"
_WORKERS = 4
_NO_HASH = "0" * 32
"""Stands in for content that was never read: there is no thumbnail of it."""

Rows = NDArray[np.int64]


def pairs_table(folder: ProjectFolder) -> Table:
    """Return the table of pairs; a row is a pair of ordinals and the threshold from which it counts."""
    return folder.values(_FAMILY, _LEVEL)


def find_pairs(project: Project, vectors: EmbeddingSet) -> DuplicatePairs:
    """Find the pairs among the items that have a vector, and keep them; rows are ordinals."""
    from .metrics import duplicate_pairs
    from .metrics.mirroring import mirrored_order

    level = project._snapshot().items
    hashes = (
        np.zeros(len(vectors), np.uint64)
        if level.phash is None
        else level.phash.gather(vectors.rows).fill_null(0).to_numpy()
    )
    found = duplicate_pairs.find_pairs(
        level.frame[CONTENT_HASH].gather(vectors.rows),
        hashes,
        vectors.graph,
        vectors=np.asarray(vectors.vectors),
        mirror=mirrored_order() if vectors.name == DESCRIPTOR else None,
        pictures=partial(_pictures, project, level, vectors.rows),
    )
    ordinals = vectors.rows.astype(np.int64)
    found = duplicate_pairs.DuplicatePairs(
        ordinals[found.left], ordinals[found.right], found.threshold, found.distance, found.kind
    )
    frame = pl.DataFrame(
        {
            ORDINAL: pl.Series(found.left, dtype=pl.UInt32),
            _OTHER: found.right,
            _THRESHOLD: found.threshold,
            _DISTANCE: pl.Series(found.distance).fill_nan(None),
            _KIND: found.kind.astype(np.int64),
        }
    )
    pairs_table(project._folder).replace(frame)
    return found


def read_pairs(table: Table) -> DuplicatePairs:
    """Read the pairs that were kept."""
    from .metrics.duplicate_pairs import DuplicatePairs

    frame = table.read()
    return DuplicatePairs(
        frame[ORDINAL].to_numpy().astype(np.int64),
        frame[_OTHER].to_numpy().astype(np.int64),
        frame[_THRESHOLD].to_numpy().astype(np.float32),
        frame[_DISTANCE].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        frame[_KIND].to_numpy().astype(np.uint8),
    )


def pairs_of(project: Project) -> DuplicatePairs:
    """Return the pairs of a project; of one that an older version computed they are found now.

    Raises
    ------
    InputError
        Nothing was computed yet.
    """
    level = project._snapshot().items
    if DUPLICATE_GROUP not in level.frame.columns or level.phash is None:
        raise InputError("Duplicates were not computed yet.", "Call p.compute() first.")
    table = pairs_table(project._folder)
    if table.exists():
        return read_pairs(table)
    name = project.embeddings.default
    if name is None:
        raise InputError("There are no embeddings yet.", "Call p.compute() first.")
    return find_pairs(project, project.embeddings[name])


def grouped_column(pairs: DuplicatePairs, n: int, apart: Sequence[Rows]) -> pl.Series:
    """Return the column `duplicate_group` of `n` items, with what was said not to be duplicates."""
    from .metrics.duplicate_pairs import DISTANCE_THRESHOLD
    from .metrics.duplicates import groups_at

    return nullable_groups(groups_at(n, within(pairs, n), DISTANCE_THRESHOLD, apart))


def within(pairs: DuplicatePairs, n: int) -> DuplicatePairs:
    """Leave out pairs of rows that are not among `n`: a table read a moment earlier or later than its frame."""
    return pairs[(pairs.left < n) & (pairs.right < n)]


def nullable_groups(groups: NDArray[np.integer]) -> pl.Series:
    """Return group numbers with null where an item is alone (-1)."""
    series = pl.Series(DUPLICATE_GROUP, groups.astype(np.int64))
    return series.set(series < 0, None)


def _pictures(project: Project, level: Level, ordinals: NDArray[np.uint32], rows: Rows) -> NDArray[np.float32]:
    """Return the luma of some images at the size that is compared; NaN where one cannot be read."""
    from .metrics.alignment import ALIGNED_SIDE_PX

    chosen = level.frame[ordinals[rows]].select(CONTENT_HASH, URI)
    stored = project._thumbnails.get([h or _NO_HASH for h in chosen[CONTENT_HASH]])
    out = np.full((len(rows), ALIGNED_SIDE_PX, ALIGNED_SIDE_PX), np.nan, np.float32)

    def fill(work: tuple[int, bytes | None, str]) -> None:
        place, thumbnail, uri = work
        luma = _luma(thumbnail, uri, project._bases)
        if luma is not None:
            out[place] = luma

    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(fill, zip(range(len(rows)), stored, chosen[URI].to_list(), strict=True)))
    return out


def _luma(thumbnail: bytes | None, uri: str, bases: list[Path]) -> NDArray[np.float32] | None:
    """Decode a thumbnail, or the image where there is none, and shrink its luma (ITU-R BT.601)."""
    from .images.address import read_bytes
    from .images.decode import decode
    from .metrics.alignment import ALIGNED_SIDE_PX
    from .metrics.pixels import planes

    try:
        pixels = decode(thumbnail or read_bytes(resolve_address(uri, bases)))
    except (EawError, OSError):
        return None
    red, green, blue = planes(pixels, ALIGNED_SIDE_PX)
    luma: NDArray[np.float32] = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return luma
