"""The duplicate pairs of a project: found once after the neighbours, and compared by their pictures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..content.duplicate_pairs import Rows, pairs_table, read_pairs, write_pairs
from ..errors import EawError, InputError
from ..schema import CONTENT_HASH, DUPLICATE_GROUP, URI
from ..store.folder import resolve_address
from .embedding_set import DESCRIPTOR, EmbeddingSet

if TYPE_CHECKING:
    from ..content.levels import Level
    from ..metrics.duplicate_pairs import DuplicatePairs
    from ..project import Project

_WORKERS = 4
_NO_HASH = "0" * 32
"""Stands in for content that was never read: there is no thumbnail of it."""


def find_pairs(project: Project, vectors: EmbeddingSet) -> DuplicatePairs:
    """Find the pairs among the items that have a vector, and keep them; rows are ordinals."""
    from ..metrics import duplicate_pairs
    from ..metrics.mirroring import mirrored_order

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
    write_pairs(pairs_table(project._folder), found)
    return found


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


def _pictures(project: Project, level: Level, ordinals: NDArray[np.uint32], rows: Rows) -> NDArray[np.float32]:
    """Return the luma of some images at the size that is compared; NaN where one cannot be read."""
    from ..metrics.alignment import ALIGNED_SIDE_PX

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
    from ..images.address import read_bytes
    from ..images.decode import decode
    from ..metrics.alignment import ALIGNED_SIDE_PX
    from ..metrics.pixels import planes

    try:
        pixels = decode(thumbnail or read_bytes(resolve_address(uri, bases)))
    except (EawError, OSError):
        return None
    red, green, blue = planes(pixels, ALIGNED_SIDE_PX)
    luma: NDArray[np.float32] = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return luma
