"""Thumbnails and full images for the page, read from the store or made when asked for."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import EawError
from ..schema import CONTENT_HASH, URI
from ..state import Level
from ..store.folder import resolve_address

if TYPE_CHECKING:
    from ..project import Project

_MOST_KEPT = 2048
_MOST_SIDE_PX = 4096
_WORKERS = 4


class Pictures:
    """Pictures of a project's items."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._made: OrderedDict[str, bytes] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None

    def thumbnails(self, level: Level, rows: NDArray[np.uint32]) -> list[bytes]:
        """Return a small JPEG a row; empty where the image cannot be read."""
        known = rows < level.n
        valid = rows[known]
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
