"""What is drawn over the images of a page: their labels, and the predictions of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..protocol.overlays import drawn
from ..schema import KIND_KEYPOINTS
from .pack import Pack

MOST_OBJECTS = 2_000
"""Of one image and level; the live explorer draws up to 5,000."""


class Overlays:
    """The objects on some items, found by item."""

    def __init__(self, level: Level, item_rows: NDArray[np.integer]) -> None:
        self._level = level
        self.cut = 0
        """On how many items there are more objects than are drawn."""
        self._frames = self._by_item(level, item_rows)

    def _by_item(self, level: Level, item_rows: NDArray[np.integer]) -> dict[int, pl.DataFrame]:
        if level.item_rows is None or not level.n:
            return {}
        keep = level.item_rows.is_in(pl.Series(item_rows, dtype=level.item_rows.dtype).implode())
        if level.alive is not None:
            keep = keep & pl.Series(level.alive)
        mine = level.frame.filter(keep).with_columns(level.item_rows.filter(keep).alias("__item"))
        parts = mine.partition_by("__item", as_dict=True, include_key=False, maintain_order=True)
        out = {}
        for (row,), part in parts.items():
            self.cut += part.height > MOST_OBJECTS
            out[int(row)] = part.head(MOST_OBJECTS)
        return out

    def __len__(self) -> int:
        return sum(f.height for f in self._frames.values())

    @property
    def has_keypoints(self) -> bool:
        """Whether any of them has a skeleton."""
        return any((f["kind"] == KIND_KEYPOINTS).any() for f in self._frames.values())

    def of(self, item_row: int, pack: Pack) -> tuple[list[dict[str, Any]], list[int]]:
        """Return the objects on an item, and the numbers of the buffers that their coordinates and masks lie in."""
        frame = self._frames.get(item_row)
        if frame is None:
            return [], []
        found, buffers = drawn(self._level, frame)
        for entry in found:
            entry.pop("row")  # a number in the project: it says nothing here
        return [_short(e) for e in found], [pack.add(b) for b in buffers]


def _short(entry: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null."""
    return {k: v for k, v in entry.items() if v is not None}


def chunks(n: int, size: int) -> Iterator[range]:
    """Cut `n` places into runs of at most `size`."""
    for start in range(0, n, size):
        yield range(start, min(n, start + size))
