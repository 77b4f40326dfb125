"""Masks as run lengths in COCO's form: columns from top to bottom, zeros first, a compressed text of counts.

Everything works on runs, never on pixels, and on all masks of a batch in one compiled loop; only `decode` makes
an image. Held in tests to pycocotools, byte for byte.

Why not pycocotools or hotcoco: they want a Python dict a mask and know no outline, hull or moments, so the runs
must be read here anyway; given the runs, areas, bounds and overlaps cost less than making the dicts. pycocotools
measures counts that do not fit their size without a word, hotcoco ends the process where a size fits no memory.
`benchmarks/bench_labels.py` prints the times.

Sources: the format and its compression are those of `maskApi.c` in COCO's own tools.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError
from ..images._numba import kernel
from .rotated import upright_aspect

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]

MOST_PIXELS = 2**32 - 1
"""Pixels of the largest mask: COCO's counts have 32 bits."""
MOST_DECODED_PIXELS = 2**28
"""Pixels of the largest mask that is made an image (a byte a pixel)."""

# The text: 6 bits a character from "0", the highest says that more follow, 5 carry the number.
FIRST_CHARACTER = 48
DIGIT_BITS = 5
MORE, SIGN, DIGIT = 0x20, 0x10, 0x1F
MOST_DIGITS = 7
MOST_BITS = DIGIT_BITS * MOST_DIGITS
"""Enough for every difference of two 32-bit counts; 64-bit sums of such numbers cannot overflow."""

# What can be wrong with one mask.
FINE, NO_CHARACTER, CUT_SHORT, NEGATIVE, WRONG_SUM, WRONG_SIZE = range(6)
_WHY = {
    NO_CHARACTER: "has characters that no compressed counts contain",
    CUT_SHORT: "ends in the middle of a number",
    NEGATIVE: "has a negative run length",
    WRONG_SUM: "has run lengths that do not add up to its height x width",
    WRONG_SIZE: "has no usable size (height and width from 1, fewer than 2^32 pixels)",
}
_REMEDY = "Pass COCO's compressed \"counts\" (bytes or str) and the mask's own height and width."


class Runs(NamedTuple):
    """Run lengths of many masks, one after another.

    Attributes
    ----------
    counts : (m,) uint32
        Run lengths, zeros first; those of mask i are `counts[starts[i]:starts[i + 1]]`.
    starts : (n + 1,) int64
    heights, widths : (n,) int64
    faults : (n,) int64
        0 where the mask is fine; the others have no runs.
    """

    counts: U32
    starts: I64
    heights: I64
    widths: I64
    faults: I64


@kernel
def wide(number: Any) -> Any:
    """Return a number as 64 bits with a sign: differences of unsigned ones would wrap."""
    return np.int64(number)


# -- text and counts ------------------------------------------------------------------------------


def counts(rle: bytes | str) -> U32:
    """Return the run lengths of one compressed text.

    Raises
    ------
    InputError
        The text is no compressed counts.

    Examples
    --------
    >>> counts(b"5223").tolist()
    [5, 2, 2, 5]
    """
    text = np.frombuffer(_text(rle), np.uint8)
    out = np.empty(len(text), np.uint32)
    n, fault = _read(text, -1, out)
    if fault:
        raise InputError(f"The mask {_WHY[fault]}.", _REMEDY)
    return out[:n]


def compress(counts: ArrayLike) -> bytes:
    """Return COCO's compressed text of run lengths.

    Raises
    ------
    InputError
        The counts are no whole numbers from 0 to 2^32 - 1.

    Examples
    --------
    >>> compress([5, 2, 2, 5])
    b'5223'
    """
    try:
        given = np.asarray(counts)
        values = given.astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("The counts of a mask are no list of numbers.", "Pass whole numbers from 0 up.") from error
    whole = given.dtype.kind in "iu" or (given.dtype.kind == "f" and bool((given == values).all()))
    if values.ndim != 1 or not (whole or values.size == 0):
        raise InputError("The counts of a mask are no list of whole numbers.", "Pass whole numbers from 0 up.")
    if values.size and (values.min() < 0 or values.max() > MOST_PIXELS):
        raise InputError("The counts of a mask are negative or beyond 32 bits.", "Pass whole numbers from 0 up.")
    runs = Runs(values.astype(np.uint32), np.array([0, len(values)]), *(np.zeros(1, np.int64) for _ in range(3)))
    text, _ = _write_all(runs.counts, runs.starts)
    return text.tobytes()


def parse(rles: Sequence[bytes | str] | pl.Series, height: ArrayLike, width: ArrayLike, *, strict: bool = True) -> Runs:
    """Read compressed masks into run lengths and check them.

    Parameters
    ----------
    rles : sequence of bytes, or Series
        Nulls are faults.
    height, width : int or (n,) ints
        Size of the masks.
    strict : bool
        Raise for the first bad mask; otherwise it gets no runs and a fault.

    Raises
    ------
    InputError
        A mask is junk, or its runs do not add up to its size (only if strict).
    """
    texts = [r if type(r) is bytes else b"" if r is None else _text(r) for r in rles]
    n = len(texts)
    heights, widths = _sizes(height, n), _sizes(width, n)
    data = np.frombuffer(b"".join(texts), np.uint8)
    starts = np.concatenate([[0], np.cumsum(np.fromiter(map(len, texts), np.int64, n))]).astype(np.int64)
    out, out_starts, faults = _read_all(data, starts, heights, widths)
    bad = np.flatnonzero(faults)
    if strict and bad.size:
        more = f" ({bad.size - 1:,} more are bad)" if bad.size > 1 else ""
        raise InputError(f"Mask {bad[0]} {_WHY[int(faults[bad[0]])]}{more}.", _REMEDY)
    return Runs(out, out_starts, heights, widths, faults)


def _text(rle: Any) -> bytes:
    if isinstance(rle, str):
        return rle.encode("utf-8", "replace")
    if isinstance(rle, bytes | bytearray | memoryview):
        return bytes(rle)
    raise InputError(f"A mask's counts are {type(rle).__name__}, not text.", _REMEDY)


def _sizes(value: ArrayLike, n: int) -> I64:
    """Return one size a mask; -1 where it is no usable number."""
    numbers = np.asarray(value, np.float64)
    if numbers.ndim > 1 or (numbers.ndim == 1 and len(numbers) != n):
        raise ShapeError(f"{numbers.size:,} sizes do not fit {n:,} masks.", "Give one size, or one a mask.")
    usable = (numbers >= 1) & (numbers <= MOST_PIXELS) & (numbers == np.floor(numbers))
    return np.ascontiguousarray(np.broadcast_to(np.where(usable, numbers, -1).astype(np.int64), (n,)))


@kernel
def _read(text: U8, pixels: int, out: U32) -> tuple[int, int]:
    """Read one text into `out`; return how many counts, and what is wrong. `pixels` -1: any sum."""
    n, total, low = 0, 0, 0
    value, shift = 0, 0
    for i in range(text.shape[0]):
        c = wide(text[i]) - FIRST_CHARACTER
        if (c & ~(MORE | DIGIT)) | (shift >= MOST_BITS):
            return 0, NO_CHARACTER
        value |= (c & DIGIT) << shift
        shift += DIGIT_BITS
        if c & MORE:
            continue
        value -= ((c & SIGN) >> (DIGIT_BITS - 1)) << shift
        if n > 2:
            value += wide(out[n - 2])
        low |= value  # negative if any was
        total += value
        out[n] = value
        n += 1
        value, shift = 0, 0
    if shift:
        return 0, CUT_SHORT
    if low < 0:
        return 0, NEGATIVE
    if low > MOST_PIXELS or (pixels >= 0 and total != pixels):
        return 0, WRONG_SUM
    return n, FINE


@kernel
def _read_all(text: U8, starts: I64, heights: I64, widths: I64) -> tuple[U32, I64, I64]:
    n = heights.shape[0]
    out = np.empty(text.shape[0], np.uint32)
    out_starts = np.zeros(n + 1, np.int64)
    faults = np.zeros(n, np.int64)
    at = 0
    for i in range(n):
        h, w = heights[i], widths[i]
        if h < 1 or w < 1 or h > MOST_PIXELS // w:
            faults[i] = WRONG_SIZE
        else:
            m, faults[i] = _read(text[starts[i] : starts[i + 1]], h * w, out[at:])
            at += m
        out_starts[i + 1] = at
    return out[:at].copy(), out_starts, faults


@kernel
def _write_all(runs: U32, starts: I64) -> tuple[U8, I64]:
    n = starts.shape[0] - 1
    out = np.empty(runs.shape[0] * MOST_DIGITS, np.uint8)
    ends = np.zeros(n + 1, np.int64)
    at = 0
    for i in range(n):
        for j in range(starts[i], starts[i + 1]):
            value = wide(runs[j])
            if j - starts[i] > 2:
                value -= wide(runs[j - 2])
            more = True
            while more:
                c = value & DIGIT
                value >>= DIGIT_BITS
                more = value != -1 if c & SIGN else value != 0
                out[at] = FIRST_CHARACTER + (c | MORE if more else c)
                at += 1
        ends[i + 1] = at
    return out[:at].copy(), ends


# -- pixels ---------------------------------------------------------------------------------------


def encode(mask: ArrayLike) -> bytes:
    """Return the compressed text of an (h, w) mask; what is not 0 is inside.

    Raises
    ------
    InputError
        The mask has not two dimensions, or no pixels.
    """
    image = np.asarray(mask)
    if image.ndim != 2 or image.size == 0:
        raise InputError(f"A mask of shape {image.shape} is no image.", "Pass an array of height x width.")
    if image.dtype.kind not in "biuf":
        raise InputError(f"A mask of {image.dtype} has no pixels.", "Pass booleans or numbers.")
    if image.size > MOST_PIXELS:
        raise InputError(f"A mask of {image.size:,} pixels is too large.", "Cut it into tiles.")
    inside = image if image.dtype == bool else image != 0
    runs = _runs_of(inside.ravel(order="F").view(np.uint8))
    return _write_all(runs, np.array([0, len(runs)]))[0].tobytes()


def decode(rle: bytes | str, h: int, w: int) -> U8:
    """Return the (h, w) mask of one compressed text: uint8, 1 inside, columns contiguous.

    Raises
    ------
    InputError
        The text is no mask of this size, or the mask has more than 2^28 pixels.
    """
    runs = parse([rle], h, w)
    if int(h) * int(w) > MOST_DECODED_PIXELS:
        raise InputError(f"A mask of {int(h):,} x {int(w):,} pixels is too large to draw.", "Draw a part of it.")
    return _draw(runs.counts, int(h) * int(w)).reshape(int(w), int(h)).T


@kernel
def _runs_of(inside: U8) -> U32:
    n = 1
    before = np.uint8(0)
    for i in range(inside.shape[0]):
        n += inside[i] != before
        before = inside[i]
    out = np.empty(n, np.uint32)
    k, start = 0, 0
    before = np.uint8(0)
    for i in range(inside.shape[0]):
        if inside[i] != before:
            out[k] = i - start
            k, start = k + 1, i
            before = inside[i]
    out[k] = inside.shape[0] - start
    return out


@kernel
def _draw(runs: U32, pixels: int) -> U8:
    out = np.zeros(pixels, np.uint8)
    at = 0
    for j in range(runs.shape[0]):
        end = at + wide(runs[j])
        if j % 2:
            out[at:end] = 1
        at = end
    return out


# -- many masks -----------------------------------------------------------------------------------


def area(rles: Sequence[bytes | str] | pl.Series, h: ArrayLike, w: ArrayLike) -> I64:
    """Return the pixels inside each mask."""
    runs = parse(rles, h, w)
    return areas(runs.counts, runs.starts)


def bounds(rles: Sequence[bytes | str] | pl.Series, h: ArrayLike, w: ArrayLike) -> F64:
    """Return x, y, w, h of each mask (n, 4); zeros for an empty one, as pycocotools' `toBbox`."""
    runs = parse(rles, h, w)
    box = all_bounds(runs.counts, runs.starts, runs.heights)
    box[:, 2:] -= box[:, :2]
    return box


def iou(rles_a: Sequence[bytes | str] | pl.Series, rles_b: Sequence[bytes | str] | pl.Series, h: int, w: int) -> F64:
    """Return the intersection over union of every mask of `a` with every mask of `b`, (n, m); 0 if both are empty."""
    a, b = parse(rles_a, h, w), parse(rles_b, h, w)
    return _iou_table(a.counts, a.starts, b.counts, b.starts, a.heights)


def merge(rles: Sequence[bytes | str] | pl.Series, h: int, w: int, *, intersect: bool = False) -> bytes:
    """Return the union of masks of one size, or what they have in common; without masks an empty one."""
    runs = parse(rles, h, w)
    if not len(runs.faults):
        return compress([_pixels(h, w)])
    merged = _merge(runs.counts, runs.starts, intersect)
    return _write_all(merged, np.array([0, len(merged)]))[0].tobytes()


def _pixels(h: int, w: int) -> int:
    if min(h, w) < 1 or h * w > MOST_PIXELS:
        raise InputError(f"A mask of {h} x {w} pixels {_WHY[WRONG_SIZE]}.", _REMEDY)
    return h * w


@kernel
def area_of(runs: U32) -> int:
    """Return the pixels inside one mask."""
    total = 0
    for j in range(1, runs.shape[0], 2):
        total += wide(runs[j])
    return total


@kernel
def bounds_of(runs: U32, h: int) -> tuple[int, int, int, int]:
    """Return the first and the last-plus-one column and row of one mask: x0, y0, x1, y1; zeros if empty."""
    x0, y0, x1, y1 = -1, h, 0, 0
    at = 0
    for j in range(runs.shape[0]):
        n = wide(runs[j])
        if j % 2 and n:
            first, last = at // h, (at + n - 1) // h
            if x0 < 0:
                x0 = first
            x1 = last + 1
            if last > first:
                y0, y1 = 0, h
            else:
                y0, y1 = min(y0, at - first * h), max(y1, at + n - first * h)
        at += n
    if x0 < 0:
        return 0, 0, 0, 0
    return x0, y0, x1, y1


@kernel
def outline_of(runs: U32, h: int) -> int:
    """Return the number of pixel sides between inside and outside (beyond the image is outside).

    A run has a top and a bottom in each column it passes; sides across are counted as the pixels whose
    neighbour in the column before is missing: the runs against themselves, moved by one column.
    """
    tops, total = 0, 0
    at = 0
    for j in range(runs.shape[0]):
        n = wide(runs[j])
        if j % 2 and n:
            tops += (at + n - 1) // h - at // h + 1
            total += n
        at += n
    if total == 0:
        return 0
    # Zero-length runs of zeros would count a touching top and bottom: they are no sides.
    at = 0
    for j in range(runs.shape[0]):
        n = wide(runs[j])
        if j % 2 == 0 and n == 0 and j > 0 and at % h and j + 1 < runs.shape[0] and runs[j - 1] and runs[j + 1]:
            tops -= 1
        at += n
    return 2 * tops + 2 * (total - common_pixels(runs, runs, h))


@kernel
def common_pixels(a: U32, b: U32, shift: int) -> int:
    """Return the pixels inside both masks, `b` moved on by `shift` pixels."""
    total = 0
    i, j = 0, 0
    a_at, b_at = 0, shift
    while True:
        while i < a.shape[0] and (i % 2 == 0 or a[i] == 0):
            a_at += wide(a[i])
            i += 1
        while j < b.shape[0] and (j % 2 == 0 or b[j] == 0):
            b_at += wide(b[j])
            j += 1
        if i >= a.shape[0] or j >= b.shape[0]:
            return total
        a_end, b_end = a_at + wide(a[i]), b_at + wide(b[j])
        total += max(min(a_end, b_end) - max(a_at, b_at), 0)
        if a_end <= b_end:
            a_at = a_end
            i += 1
        else:
            b_at = b_end
            j += 1


@kernel
def corners_of(runs: U32, h: int) -> F64:
    """Return pixel corners, x ascending, whose convex hull is that of one mask: (k, 2).

    A column counts by its top and bottom; of a run over many columns the first and the last two tell all.
    """
    columns = np.empty((2 * runs.shape[0] + 4, 3), np.int64)
    k, at = 0, 0
    for j in range(runs.shape[0]):
        n = wide(runs[j])
        if j % 2 and n:
            first, last = at // h, (at + n - 1) // h
            top, bottom = at - first * h, at + n - last * h
            if first == last:
                k = _widen(columns, k, first, top, bottom)
            else:
                k = _widen(columns, k, first, top, h)
                if last - first > 1:
                    k = _widen(columns, k, first + 1, 0, h)
                    k = _widen(columns, k, last - 1, 0, h)
                k = _widen(columns, k, last, 0, bottom)
        at += n
    out = np.empty((4 * k, 2), np.float64)
    for i in range(k):
        for side in range(2):
            for end in range(2):
                out[4 * i + 2 * side + end, 0] = columns[i, 0] + side
                out[4 * i + 2 * side + end, 1] = columns[i, 1 + end]
    return out


@kernel
def _widen(columns: I64, k: int, column: int, top: int, bottom: int) -> int:
    """Add a column, or widen the last if it is the same; return how many there are."""
    if k and columns[k - 1, 0] == column:
        columns[k - 1, 1] = min(columns[k - 1, 1], top)
        columns[k - 1, 2] = max(columns[k - 1, 2], bottom)
        return k
    columns[k, 0], columns[k, 1], columns[k, 2] = column, top, bottom
    return k + 1


@kernel
def areas(runs: U32, starts: I64) -> I64:
    """Return the pixels inside each of many masks."""
    out = np.empty(starts.shape[0] - 1, np.int64)
    for i in range(out.shape[0]):
        out[i] = area_of(runs[starts[i] : starts[i + 1]])
    return out


@kernel
def all_bounds(runs: U32, starts: I64, heights: I64) -> F64:
    """Return x0, y0, x1, y1 of each of many masks (n, 4)."""
    out = np.empty((heights.shape[0], 4), np.float64)
    for i in range(heights.shape[0]):
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = bounds_of(runs[starts[i] : starts[i + 1]], heights[i])
    return out


@kernel
def measure_masks(runs: U32, starts: I64, heights: I64) -> tuple[F64, F64]:
    """Return x0, y0, x1, y1 of each of many masks, and area, outline and aspect ratio (-1 without pixels)."""
    n = heights.shape[0]
    measures = np.full((n, 3), -1.0)
    for i in range(n):
        mask = runs[starts[i] : starts[i + 1]]
        inside = area_of(mask)
        if inside:
            measures[i, 0], measures[i, 1] = inside, outline_of(mask, heights[i])
            measures[i, 2] = upright_aspect(corners_of(mask, heights[i]))
    return all_bounds(runs, starts, heights), measures


@kernel
def _iou_table(a: U32, a_starts: I64, b: U32, b_starts: I64, heights: I64) -> F64:
    n, m = a_starts.shape[0] - 1, b_starts.shape[0] - 1
    out = np.zeros((n, m), np.float64)
    if n == 0 or m == 0:
        return out
    tall = np.full(max(n, m), heights[0])
    a_box, b_box = all_bounds(a, a_starts, tall[:n]), all_bounds(b, b_starts, tall[:m])
    a_area, b_area = areas(a, a_starts), areas(b, b_starts)
    for i in range(n):
        for j in range(m):
            if min(a_box[i, 2], b_box[j, 2]) <= max(a_box[i, 0], b_box[j, 0]):
                continue
            if min(a_box[i, 3], b_box[j, 3]) <= max(a_box[i, 1], b_box[j, 1]):
                continue
            both = common_pixels(a[a_starts[i] : a_starts[i + 1]], b[b_starts[j] : b_starts[j + 1]], 0)
            if both:
                out[i, j] = both / (a_area[i] + b_area[j] - both)
    return out


@kernel
def _merge(runs: U32, starts: I64, intersect: bool) -> U32:
    merged = runs[starts[0] : starts[1]].copy()
    for i in range(1, starts.shape[0] - 1):
        merged = _combine(merged, runs[starts[i] : starts[i + 1]], intersect)
    return merged


@kernel
def _combine(a: U32, b: U32, intersect: bool) -> U32:
    out = np.empty(a.shape[0] + b.shape[0] + 1, np.uint32)
    i, j, k = 0, 0, 0
    a_left, b_left = wide(a[0]), wide(b[0])
    inside, length = False, 0
    while True:
        while a_left == 0 and i + 1 < a.shape[0]:
            i += 1
            a_left = wide(a[i])
        while b_left == 0 and j + 1 < b.shape[0]:
            j += 1
            b_left = wide(b[j])
        step = min(a_left, b_left)
        if step == 0:
            break
        now = (i % 2 == 1 and j % 2 == 1) if intersect else (i % 2 == 1 or j % 2 == 1)
        if now != inside:
            out[k] = length
            k, length, inside = k + 1, 0, now
        length += step
        a_left -= step
        b_left -= step
    out[k] = length
    return out[: k + 1].copy()
