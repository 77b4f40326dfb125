"""The table of duplicate pairs, and the groups they form at a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import DUPLICATE_GROUP, ORDINAL
from ..store.folder import ProjectFolder
from ..store.tables import Table

if TYPE_CHECKING:
    from ..metrics.duplicate_pairs import DuplicatePairs

_FAMILY, _LEVEL = "duplicates", "pair"
_OTHER, _THRESHOLD, _DISTANCE, _KIND = "other", "threshold", "distance", "kind"

Rows = NDArray[np.int64]


def pairs_table(folder: ProjectFolder) -> Table:
    """Return the table of pairs; a row is a pair of ordinals and the threshold from which it counts."""
    return folder.values(_FAMILY, _LEVEL)


def write_pairs(table: Table, pairs: DuplicatePairs) -> None:
    """Keep the pairs in place of those that were there."""
    frame = pl.DataFrame(
        {
            ORDINAL: pl.Series(pairs.left, dtype=pl.UInt32),
            _OTHER: pairs.right,
            _THRESHOLD: pairs.threshold,
            _DISTANCE: pl.Series(pairs.distance).fill_nan(None),
            _KIND: pairs.kind.astype(np.int64),
        }
    )
    table.replace(frame)


def read_pairs(table: Table) -> DuplicatePairs:
    """Read the pairs that were kept."""
    from ..metrics.duplicate_pairs import DuplicatePairs

    frame = table.read()
    return DuplicatePairs(
        frame[ORDINAL].to_numpy().astype(np.int64),
        frame[_OTHER].to_numpy().astype(np.int64),
        frame[_THRESHOLD].to_numpy().astype(np.float32),
        frame[_DISTANCE].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        frame[_KIND].to_numpy().astype(np.uint8),
    )


def grouped_column(pairs: DuplicatePairs, n: int, apart: Sequence[Rows]) -> pl.Series:
    """Return the column `duplicate_group` of `n` items, with what was said not to be duplicates."""
    from ..metrics.duplicate_pairs import DISTANCE_THRESHOLD
    from ..metrics.duplicates import groups_at

    return nullable_groups(groups_at(n, within(pairs, n), DISTANCE_THRESHOLD, apart))


def within(pairs: DuplicatePairs, n: int) -> DuplicatePairs:
    """Leave out pairs of rows that are not among `n`: a table read a moment earlier or later than its frame."""
    return pairs[(pairs.left < n) & (pairs.right < n)]


def nullable_groups(groups: NDArray[np.integer]) -> pl.Series:
    """Return group numbers with null where an item is alone (-1)."""
    series = pl.Series(DUPLICATE_GROUP, groups.astype(np.int64))
    return series.set(series < 0, None)
