"""Images for a model: decoded in threads ahead of it, cut and brought to its size, each decoded once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import EawError
from ..images.address import read_bytes
from ..images.decode import Decoder, Pixels
from ..images.fit import fit_to
from ..metrics.batch import Problem, identity
from .embedder import Bound

IMAGE, OBJECTS = "image", "objects"
"""What a problem is about."""

_BYTES_AHEAD = 256 * 1024 * 1024
"""Decoded images waiting for the model take about this much memory at most: of whole photos fewer wait."""


@dataclass(frozen=True, slots=True)
class Work:
    """One image to decode: the rows that want it whole, or the boxes of those that want a part."""

    address: str
    content_hash: str
    keys: list[str]
    boxes: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Cut:
    """One image for the model, and the rows its vector belongs to."""

    pixels: Pixels
    keys: list[str]
    work: Work


Read = tuple[list[Cut], list[Problem], int]
"""What came of one image: parts for the model, what went wrong, and how many rows get no vector for it."""


class Reader:
    """Decodes images in order, a batch or two ahead of who takes them."""

    def __init__(self, bound: Bound, batch_size: int) -> None:
        self._bound, self._batch_size = bound, batch_size
        self._decoder = Decoder()

    def read(self, works: Sequence[Work]) -> Generator[Read]:
        """Decode ahead of the model, in order, no more than a few batches."""
        workers = os.cpu_count() or 1
        flying, held, ahead = deque[Future[Read]](), 1, 2 * workers
        left = iter(works)
        with ThreadPoolExecutor(workers, "eaw-embed") as pool:
            try:
                for work in left:
                    flying.append(pool.submit(self._read, work))
                    if len(flying) >= ahead:
                        found = flying.popleft().result()
                        held = max(held, sum(cut.pixels.nbytes for cut in found[0]))
                        ahead = max(workers, min(self._batch_size + 2 * workers, _BYTES_AHEAD // held))
                        yield found
                    while len(flying) > ahead:
                        yield flying.popleft().result()
                while flying:
                    yield flying.popleft().result()
            finally:
                for future in flying:
                    future.cancel()

    def _read(self, work: Work) -> Read:
        """Read and decode one image, and cut out what is wanted of it."""
        try:
            data = read_bytes(work.address)
            if work.content_hash and identity(work.address, data, work.content_hash) != work.content_hash:
                why, remedy = "The file has changed since it was added to the project.", "Call p.refresh()."
                return [], [Problem(work.content_hash, work.address, IMAGE, why, remedy)], len(work.keys)
            pixels, _ = self._decoder.decode(data)
            return self._cut(work, pixels)
        except EawError as error:
            why, remedy = error.message, error.remedy
        except MemoryError:
            why, remedy = "There is not enough memory to decode it.", "Close other programs and embed again."
        return [], [Problem(work.content_hash, work.address, IMAGE, why, remedy)], len(work.keys)

    def _cut(self, work: Work, pixels: Pixels) -> Read:
        if work.boxes is None:
            return [Cut(self._fitted(pixels), work.keys, work)], [], 0
        height, width = pixels.shape[:2]
        boxes = np.nan_to_num(work.boxes, nan=0.0, posinf=1e9, neginf=-1e9)
        low = np.clip(np.floor(boxes[:, :2]), 0, [width, height]).astype(np.int64)
        high = np.clip(np.ceil(boxes[:, 2:]), 0, [width, height]).astype(np.int64)
        inside = (high > low).all(axis=1)
        cuts = [
            Cut(self._fitted(pixels[low[k, 1] : high[k, 1], low[k, 0] : high[k, 0]]), [work.keys[k]], work)
            for k in np.flatnonzero(inside)
        ]
        outside = int((~inside).sum())
        if not outside:
            return cuts, [], 0
        why = f"{outside} of its objects lie outside of it ({width} × {height} px)."
        problem = Problem(work.content_hash, work.address, OBJECTS, why, "Correct or delete these labels.")
        return cuts, [problem], outside

    def _fitted(self, pixels: Pixels) -> Pixels:
        """Return an array of its own: the decoder's buffer is used again."""
        return pixels.copy() if self._bound.size is None else fit_to(pixels, self._bound.size, self._bound.fit)
