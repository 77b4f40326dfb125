"""Thumbnails and full images for the page, read from the store or made when asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..errors import EawError
from ..schema import CLASS_NAME, CONTENT_HASH, URI
from ..store.folder import resolve_address

if TYPE_CHECKING:
    from ..project import Project

_CONTEXT = 0.25
"""How much of an object's longer side its picture shows around it."""
_LEAST_CONTEXT_PX = 4
_MOST_KEPT = 2048
_MOST_SIDE_PX = 4096
_WORKERS = 4


class Pictures:
    """Pictures of a project's items."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._made: OrderedDict[str, bytes] = OrderedDict()
        self._crops: OrderedDict[tuple[str, ...], tuple[bytes, dict[str, Any] | None]] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None

    def thumbnails(self, level: Level, items: Level, rows: NDArray[np.uint32]) -> list[bytes]:
        """Return a small JPEG a row, of its image; empty where that cannot be read."""
        known = rows < level.n
        valid = rows[known]
        if level.item_rows is not None:
            valid, level = level.item_rows.gather(valid).to_numpy(), items
        hashes = (
            level.frame[CONTENT_HASH].gather(valid).to_list()
            if CONTENT_HASH in level.frame.columns
            else [None] * valid.size
        )
        uris = level.frame[URI].gather(valid).to_list()
        keys = [h or u or "" for h, u in zip(hashes, uris, strict=True)]
        stored = self._project._thumbnails.get([h or "" for h in hashes])
        out = [blob or self._made.get(key, b"") for blob, key in zip(stored, keys, strict=True)]
        missing = [i for i, (blob, key) in enumerate(zip(out, keys, strict=True)) if not blob and key not in self._made]
        if missing:
            made = self._workers().map(self._make, [uris[i] for i in missing])
            for i, blob in zip(missing, made, strict=True):
                out[i] = blob
                self._remember(keys[i], blob)
        blobs = iter(out)
        return [next(blobs) if k else b"" for k in known]

    def crops(
        self, level: Level, items: Level, rows: NDArray[np.uint32]
    ) -> tuple[list[bytes], list[dict[str, Any] | None]]:
        """Return a picture of each object with some of its surroundings, and its outline in that picture's pixels.

        Each image is decoded once for all objects on it.
        """
        from ..metrics.geometry import true_bounds

        known = np.flatnonzero(rows < level.n)
        blobs: list[bytes] = [b""] * rows.size
        shapes: list[dict[str, Any] | None] = [None] * rows.size
        if not known.size or level.item_rows is None:
            return blobs, shapes
        frame = level.frame[rows[known]]
        places: dict[int, list[int]] = {}
        for k, item_row in enumerate(level.item_rows.gather(rows[known]).to_list()):
            key = self._key_of(level, frame, k)
            if key in self._crops:
                blobs[known[k]], shapes[known[k]] = self._crops[key]
            else:
                places.setdefault(item_row, []).append(k)
        addresses = items.frame[URI].gather(list(places)).to_list()
        bounds = true_bounds(frame).to_numpy()
        work = [
            (resolve_address(address, self._project._bases), frame[mine], bounds[mine])
            for address, mine in zip(addresses, places.values(), strict=True)
        ]
        for mine, made in zip(places.values(), self._workers().map(_cut_all, work), strict=True):
            for k, (blob, shape) in zip(mine, made, strict=True):
                blobs[known[k]], shapes[known[k]] = blob, shape
                self._crops[self._key_of(level, frame, k)] = (blob, shape)
        while len(self._crops) > _MOST_KEPT:
            self._crops.popitem(last=False)
        return blobs, shapes

    @staticmethod
    def _key_of(level: Level, frame: pl.DataFrame, k: int) -> tuple[str, ...]:
        """Name a picture: labels and predictions count their ids alike."""
        return level.stored, frame[level.key][k], frame[CLASS_NAME][k] or ""

    def warm_up(self) -> None:
        """Load what crops need, on a thread: the first page of them comes at once."""
        threading.Thread(target=_load, name="eaw-crops", daemon=True).start()

    def image(self, level: Level, row: int, max_side: int) -> tuple[bytes, str, int, int]:
        """Return a full image: bytes, MIME type, width and height in pixels."""
        from ..images.address import read_bytes
        from ..images.decode import encode_view

        address = resolve_address(str(level.frame[URI][row]), self._project._bases)
        try:
            data = read_bytes(address)
        except OSError as error:
            raise EawError(
                f'"{address}" cannot be read: {error.strerror or error}.', "Is the file still there?"
            ) from error
        return encode_view(data, min(max_side or _MOST_SIDE_PX, _MOST_SIDE_PX))

    def _make(self, uri: str) -> bytes:
        from ..images.address import read_bytes
        from ..images.decode import decode
        from ..images.thumbnails import encode_thumbnail

        try:
            return encode_thumbnail(decode(read_bytes(resolve_address(uri, self._project._bases))))
        except (EawError, OSError):
            return b""

    def _remember(self, key: str, blob: bytes) -> None:
        self._made[key] = blob
        while len(self._made) > _MOST_KEPT:
            self._made.popitem(last=False)

    def _workers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="eaw-thumbs")
        return self._pool


def _cut_all(work: tuple[str, pl.DataFrame, NDArray[np.float64]]) -> list[tuple[bytes, dict[str, Any] | None]]:
    """Decode one image and cut all the wanted objects out of it."""
    from ..images.address import read_bytes
    from ..images.decode import decode, encode_jpeg, shrink
    from ..images.thumbnails import THUMBNAIL_QUALITY, THUMBNAIL_SIDE_PX
    from .overlays import outline

    address, objects, places = work
    try:
        pixels = decode(read_bytes(address))
    except (EawError, OSError):
        return [(b"", None)] * objects.height
    height, width = pixels.shape[:2]
    out: list[tuple[bytes, dict[str, Any] | None]] = []
    for bounds, row in zip(places, objects.iter_rows(named=True), strict=True):
        x0, y0, x1, y1 = _window(bounds, width, height)
        small = shrink(np.ascontiguousarray(pixels[y0:y1, x0:x1]), THUMBNAIL_SIDE_PX)
        scale = small.shape[1] / (x1 - x0), small.shape[0] / (y1 - y0)
        shape = {"w": small.shape[1], "h": small.shape[0], "cls": row[CLASS_NAME], **outline(row, (x0, y0), scale)}
        out.append((encode_jpeg(small, THUMBNAIL_QUALITY), shape))
    return out


def _window(bounds: NDArray[np.float64], width: int, height: int) -> tuple[int, int, int, int]:
    """Return the square around an object with some of its surroundings, pushed into the image where it fits."""
    size = np.maximum(bounds[2:] - bounds[:2], 1.0)
    side = float(size.max()) + 2 * max(_LEAST_CONTEXT_PX, _CONTEXT * float(size.max()))
    room = np.array([width, height], np.float64)
    span = np.minimum(side, room)
    low = np.clip((bounds[:2] + bounds[2:]) / 2 - span / 2, 0, room - span)
    x0, y0 = np.floor(low).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(low + span), room).astype(int).tolist()
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _load() -> None:
    from ..metrics.geometry import true_bounds

    true_bounds(pl.DataFrame({"kind": ["rotated_box"], "x": [0.0], "y": [0.0], "w": [1.0], "h": [1.0], "angle": [1.0]}))
