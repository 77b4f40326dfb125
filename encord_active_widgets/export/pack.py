"""Binary data inside an HTML page: a JSON head and buffers, in one block of text that no page can break out of.

A pack is: one byte (0 stored, 1 deflated), then the head's length (u32, little-endian), the head as UTF-8 JSON, zeros
up to a multiple of eight, and the buffers, each from a multiple of eight on. The head's key `buffers` lists the place
and the length of each. `js/src/offline/pack.ts` reads it.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNED = 8
_LEVEL = 6


class Pack:
    """Buffers that are collected one by one, and the head that says what they are."""

    def __init__(self) -> None:
        self._buffers: list[bytes] = []

    def add(self, data: bytes | NDArray[Any]) -> int:
        """Keep a buffer and return its number."""
        self._buffers.append(data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes())
        return len(self._buffers) - 1

    def encode(self, head: dict[str, Any], *, deflate: bool = True) -> bytes:
        """Return the whole pack.

        Raises
        ------
        ValueError
            The head holds a number that JSON cannot carry.
        """
        places, at = [], 0
        for buffer in self._buffers:
            places.append([at, len(buffer)])
            at += _padded(len(buffer))
        text = json.dumps({**head, "buffers": places}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        first = text.encode()
        parts = [struct.pack("<I", len(first)), first, _zeros(4 + len(first))]
        for buffer in self._buffers:
            parts += [buffer, _zeros(len(buffer))]
        body = b"".join(parts)
        return b"\1" + zlib.compress(body, _LEVEL, -zlib.MAX_WBITS) if deflate else b"\0" + body


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _zeros(size: int) -> bytes:
    return bytes(_padded(size) - size)


def block(name: str, data: bytes) -> str:
    """Return the element that carries a pack: a script that is never run, whose text is base64 only."""
    text = base64.b64encode(data).decode("ascii")
    return f'<script type="application/octet-stream" data-eaw="{name}">{text}</script>\n'


def block_bytes(n: int) -> int:
    """Return about how many bytes of a page `n` bytes of data take."""
    return -(-n // 3) * 4
