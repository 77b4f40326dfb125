"""Label Studio's brush masks: the run lengths of RGBA pixels, packed bit by bit.

The packing is that of thi.ng's rle-pack (https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack):
32 bits with the number of values, 5 with the size of a value, four times 4 with the sizes of run lengths, then
runs. A run is one bit (repeated, or not), two that choose the size of its length, the length less 1, and its
value, or values. A pixel is inside where its fourth value, the opacity, is not 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..images._numba import kernel
from ..metrics.masks import MOST_DECODED_PIXELS, wide

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

CHANNELS = 4
_HEAD_BITS = 53
_LENGTH_BITS = (3, 4, 8, 16)
_VALUE_BITS = 8
_LONGEST_RUN = 1 << 16
_SHORT, _LONG = 1, 2
_WHY = {_SHORT: "ends too early", _LONG: "has more pixels than its image"}


def decode_brush(packed: list[int] | U8, height: int, width: int) -> U8:
    """Unpack a mask.

    Parameters
    ----------
    packed : list of int, or (n,) uint8
        The bytes.
    height, width : int
        Of the image, in pixels.

    Returns
    -------
    (height, width) uint8
        1 inside.

    Raises
    ------
    InputError
        The bytes are no mask of this size.
    """
    remedy = "Give the rle of a brush, and the size of its image."
    try:
        given = np.asarray(packed)
    except (TypeError, ValueError, OverflowError):
        given = np.empty(0, np.object_)
    data = given.astype(np.uint8) if given.dtype.kind in "iu" else np.empty(0, np.uint8)
    if given.ndim != 1 or given.dtype.kind not in "iu" or not (given == data).all():
        raise InputError("The mask is no list of bytes.", remedy)
    if not 0 < height * width <= MOST_DECODED_PIXELS:
        raise InputError(f"A mask of {height:,} x {width:,} pixels cannot be drawn.", remedy)
    if len(data) * 8 < _HEAD_BITS:
        raise InputError("The mask ends too early.", remedy)
    if int.from_bytes(data[:4].tobytes(), "big") != height * width * CHANNELS:
        raise InputError(f"The mask is not of {width:,} x {height:,} pixels.", remedy)
    out = np.zeros(height * width, np.uint8)
    fault = _unpack(data, out)
    if fault:
        raise InputError(f"The mask {_WHY[fault]}.", remedy)
    return out.reshape(height, width)


def encode_brush(mask: U8) -> list[int]:
    """Pack an (h, w) mask; what is not 0 becomes white and opaque.

    Examples
    --------
    >>> decode_brush(encode_brush(np.eye(3, dtype=np.uint8)), 3, 3).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    """
    inside = (np.asarray(mask) != 0).ravel()
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [inside.size]])) * CHANNELS
    parts = -(-lengths // _LONGEST_RUN)
    pieces = np.full(int(parts.sum()), _LONGEST_RUN, np.int64)
    pieces[np.cumsum(parts) - 1] = lengths - (parts - 1) * _LONGEST_RUN
    values = np.repeat(np.where(inside[starts], 255, 0), parts).astype(np.int64)
    head = (inside.size * CHANNELS << 21) | (_VALUE_BITS - 1 << 16)
    for i, size in enumerate(_LENGTH_BITS):
        head |= size - 1 << 4 * (3 - i)
    packed: list[int] = _pack(pieces, values, head).tolist()
    return packed


@kernel
def _bits(data: U8, at: int, n: int) -> Any:
    value = wide(0)
    for i in range(at, at + n):
        value = (value << 1) | ((wide(data[i >> 3]) >> (7 - (i & 7))) & 1)
    return value


@kernel
def _unpack(data: U8, out: U8) -> int:
    end = len(data) * 8
    n = out.shape[0] * 4
    word = _bits(data, 32, 5) + 1
    at = 53
    i = 0
    while i < n:
        if at + 3 > end:
            return 1
        repeated = _bits(data, at, 1)
        size = _bits(data, 37 + 4 * _bits(data, at + 1, 2), 4) + 1
        at += 3
        if at + size > end:
            return 1
        j = i + 1 + _bits(data, at, size)
        at += size
        if j > n:
            return 2
        if at + word * (1 if repeated else j - i) > end:
            return 1
        if repeated:
            if _bits(data, at, word) != 0:
                for k in range(i >> 2, (j + 3) >> 2):
                    if i <= 4 * k + 3 < j:
                        out[k] = 1
            at += word
        else:
            for k in range(i, j):
                if (k & 3) == 3 and _bits(data, at, word) != 0:
                    out[k >> 2] = 1
                at += word
        i = j
    return 0


@kernel
def _put(out: U8, at: int, value: int, n: int) -> int:
    for i in range(n):
        if (value >> (n - 1 - i)) & 1:
            out[at >> 3] |= np.uint8(1 << (7 - (at & 7)))
        at += 1
    return at


@kernel
def _pack(lengths: I64, values: I64, head: int) -> U8:
    out = np.zeros((53 + lengths.shape[0] * 27) // 8 + 1, np.uint8)
    at = _put(out, 0, head, 53)
    for i in range(lengths.shape[0]):
        less = lengths[i] - 1
        kind, size = 3, 16
        if less < 8:
            kind, size = 0, 3
        elif less < 16:
            kind, size = 1, 4
        elif less < 256:
            kind, size = 2, 8
        at = _put(out, at, 4 | kind, 3)
        at = _put(out, at, less, size)
        at = _put(out, at, values[i], 8)
    return out[: (at >> 3) + 1]
