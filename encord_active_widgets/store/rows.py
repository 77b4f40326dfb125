"""Compact sets of rows: the smallest of sorted ids, ranges or a bitset.

The same three encodings travel to the browser and lie in the edit log. No compression:
a set never takes more than n/8 bytes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Encoding = Literal["ids", "ranges", "bitset"]
Rows = NDArray[np.uint32]
Mask = NDArray[np.bool_]

_ID_BYTES = 4
_RANGE_BYTES = 8


class RowSet(NamedTuple):
    """An encoded set: `n` rows, little-endian `data`."""

    encoding: Encoding
    n: int
    data: bytes


def encode_rows(rows: NDArray[np.integer]) -> RowSet:
    """Encode a set of ordinals; order and repetition are not kept.

    >>> encode_rows(np.array([5, 3, 4])).encoding
    'ranges'
    """
    ids = np.unique(np.asarray(rows)).astype("<u4")
    if ids.size == 0:
        return RowSet("ids", 0, b"")
    starts = np.flatnonzero(np.diff(ids.astype(np.int64), prepend=-2) != 1)
    bitset_bytes = int(ids[-1]) // 8 + 1
    sizes: dict[Encoding, int] = {
        "ids": ids.size * _ID_BYTES,
        "ranges": starts.size * _RANGE_BYTES,
        "bitset": bitset_bytes,
    }
    best = min(sizes, key=lambda k: sizes[k])
    if best == "ids":
        return RowSet("ids", ids.size, ids.tobytes())
    if best == "ranges":
        first = ids[starts]
        last = ids[np.append(starts[1:] - 1, ids.size - 1)] + np.uint32(1)
        return RowSet("ranges", ids.size, np.stack([first, last], axis=1).astype("<u4").tobytes())
    mask = np.zeros(int(ids[-1]) + 1, dtype=np.bool_)
    mask[ids] = True
    return RowSet("bitset", ids.size, pack_mask(mask))


def encode_mask(mask: Mask) -> RowSet:
    """Encode the rows where `mask` is true."""
    return encode_rows(np.flatnonzero(mask))


def decode_rows(encoding: str, data: bytes | memoryview) -> Rows:
    """Return the sorted ordinals of an encoded set.

    Raises
    ------
    InputError
        An unknown encoding, or data of a length the encoding cannot have.
    """
    raw = bytes(data)
    if encoding == "ids":
        if len(raw) % _ID_BYTES:
            raise InputError(f"A row set of {len(raw)} bytes is not a list of 4-byte ids.")
        return np.unique(np.frombuffer(raw, "<u4")).astype(np.uint32)
    if encoding == "ranges":
        if len(raw) % _RANGE_BYTES:
            raise InputError(f"A row set of {len(raw)} bytes is not a list of 8-byte ranges.")
        return _expand(np.frombuffer(raw, "<u4").reshape(-1, 2).astype(np.int64))
    if encoding == "bitset":
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
        return np.flatnonzero(bits).astype(np.uint32)
    raise InputError(f'Unknown row encoding "{encoding}".', "Use ids, ranges or bitset.")


def decode_mask(encoding: str, data: bytes | memoryview, n: int) -> Mask:
    """Return a Boolean mask of `n` rows; rows at or beyond `n` are dropped."""
    mask = np.zeros(n, dtype=np.bool_)
    if encoding == "bitset":
        bits = np.unpackbits(np.frombuffer(bytes(data), np.uint8), bitorder="little", count=None)
        mask[: min(n, bits.size)] = bits[:n]
        return mask
    rows = decode_rows(encoding, data)
    mask[rows[rows < n]] = True
    return mask


def pack_mask(mask: Mask) -> bytes:
    """Pack a mask LSB-first into ceil(n/8) bytes."""
    return np.packbits(mask, bitorder="little").tobytes()


def _expand(ranges: NDArray[np.int64]) -> Rows:
    """Expand [start, end) pairs, bounded by the largest u32 ordinal."""
    lengths = np.maximum(ranges[:, 1] - ranges[:, 0], 0)
    total = int(lengths.sum())
    if total > 2**28:
        raise InputError(f"A row set names {total:,} rows.", "At most 268,435,456 rows are supported.")
    offsets = np.repeat(ranges[:, 0] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.unique(offsets + np.arange(total)).astype(np.uint32)
