"""Compiled loops over JSON text: where the values of objects lie, and the numbers in them.

Nothing here makes a Python object a row. A value is a span of the text; a number is a mantissa
and a power of ten, or, where that would round, its digits. A negative place means broken JSON
at `-place - 1`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..images._numba import kernel

Bytes = NDArray[np.uint8]
Longs = NDArray[np.int64]

DEEPEST = 512
"""Nested deeper than this is refused."""
DIGITS = 40
"""Bytes kept of a number that is read the slow way."""
DONE, FULL, BROKEN = 0, 1, 2
FAST, SLOW, NOT_A_NUMBER = 0, 1, 2
WORDS = np.frombuffer(b"truefalsenullNaNInfinity", np.uint8)
PLAIN, DOTTED = 1, 2
"""Whole numbers written as 10, and as 10.0 or 1e1."""
_EXACT = 9_007_199_254_740_991  # 2**53 - 1


@kernel
def blank(text: Bytes, at: int) -> int:
    """Return the place of the next byte that is no white space."""
    n = len(text)
    while at < n and (text[at] == 32 or text[at] == 10 or text[at] == 13 or text[at] == 9):
        at += 1
    return at


@kernel
def string_end(text: Bytes, at: int) -> int:
    """Return the place after the string that begins at `at`."""
    n = len(text)
    at += 1
    while at < n:
        c = text[at]
        if c == 34:
            return at + 1
        if c == 92:
            at += 1
        elif c < 32:
            return -at - 1
        at += 1
    return -n - 1


@kernel
def digits_end(text: Bytes, at: int) -> int:
    """Return the place after a run of digits, which may be empty."""
    n = len(text)
    while at < n and 48 <= text[at] <= 57:
        at += 1
    return at


@kernel
def number_end(text: Bytes, at: int) -> int:
    """Return the place after the number that begins at `at`."""
    n = len(text)
    start = at
    if text[at] == 45:
        at += 1
    end = digits_end(text, at)
    if end == at or (end > at + 1 and text[at] == 48):
        return -start - 1
    at = end
    if at < n and text[at] == 46:
        end = digits_end(text, at + 1)
        if end == at + 1:
            return -start - 1
        at = end
    if at < n and (text[at] == 101 or text[at] == 69):
        at += 1
        if at < n and (text[at] == 43 or text[at] == 45):
            at += 1
        end = digits_end(text, at)
        if end == at:
            return -start - 1
        at = end
    return at


@kernel
def word_end(text: Bytes, at: int, word: Bytes) -> int:
    """Return the place after a literal word."""
    if at + len(word) > len(text):
        return -at - 1
    for i in range(len(word)):
        if text[at + i] != word[i]:
            return -at - 1
    return at + len(word)


@kernel
def scalar_end(text: Bytes, at: int, words: Bytes) -> int:
    """Return the place after a string, number, true, false, null, NaN or (-)Infinity."""
    if at >= len(text):
        return -at - 1
    c = text[at]
    if c == 34:
        return string_end(text, at)
    if c == 45 and at + 1 < len(text) and text[at + 1] == 73:
        return word_end(text, at + 1, words[16:24])
    if c == 45 or 48 <= c <= 57:
        return number_end(text, at)
    if c == 116:
        return word_end(text, at, words[0:4])
    if c == 102:
        return word_end(text, at, words[4:9])
    if c == 110:
        return word_end(text, at, words[9:13])
    if c == 78:
        return word_end(text, at, words[13:16])
    if c == 73:
        return word_end(text, at, words[16:24])
    return -at - 1


@kernel
def key_end(text: Bytes, at: int) -> int:
    """Return the place after a key and its colon; `at` is the key's quote."""
    if at >= len(text) or text[at] != 34:
        return -at - 1
    at = string_end(text, at)
    if at < 0:
        return at
    at = blank(text, at)
    if at >= len(text) or text[at] != 58:
        return -at - 1
    return at + 1


@kernel
def value_end(text: Bytes, at: int, words: Bytes, stack: Bytes) -> int:
    """Return the place after any value; `at` is its first byte."""
    n = len(text)
    depth = 0
    while True:
        at = blank(text, at)
        if at >= n:
            return -n - 1
        c = text[at]
        opened = False
        if c == 123 or c == 91:
            if depth >= len(stack):
                return -at - 1
            close = c + 2
            stack[depth] = close
            depth += 1
            at = blank(text, at + 1)
            if at < n and text[at] == close:
                depth -= 1
                at += 1
            else:
                opened = True
                if c == 123:
                    at = key_end(text, at)
                    if at < 0:
                        return at
        else:
            at = scalar_end(text, at, words)
            if at < 0:
                return at
        if opened:
            continue
        while depth > 0:
            at = blank(text, at)
            if at >= n:
                return -n - 1
            c = text[at]
            if c == 44:
                at = blank(text, at + 1)
                if stack[depth - 1] == 125:
                    at = key_end(text, at)
                    if at < 0:
                        return at
                break
            if c != stack[depth - 1]:
                return -at - 1
            depth -= 1
            at += 1
        if depth == 0:
            return at


@kernel
def known_key(text: Bytes, start: int, end: int, keys: Bytes, offsets: Longs) -> int:
    """Return which of the keys lies between two places of the text, -1 for none."""
    for k in range(len(offsets) - 1):
        first = offsets[k]
        if offsets[k + 1] - first != end - start:
            continue
        same = True
        for i in range(end - start):
            if text[start + i] != keys[first + i]:
                same = False
                break
        if same:
            return k
    return -1


@kernel
def one_object(
    text: Bytes, at: int, keys: Bytes, offsets: Longs, kept: Bytes, spans: Longs, extra: Bytes, used: int,
    words: Bytes, stack: Bytes,
) -> tuple[int, int]:  # fmt: skip
    """Read the object at `at`: spans of known keys; the text of the others and of `kept` ones goes to `extra`.

    Returns the place after it and how many bytes of `extra` are used, or -1 where they do not suffice.
    """
    n = len(text)
    extra_start = used
    at = blank(text, at + 1)
    if at < n and text[at] == 125:
        return at + 1, used
    while True:
        key = at
        at = key_end(text, at)
        if at < 0:
            return at, used
        which = known_key(text, key + 1, string_end(text, key) - 1, keys, offsets)
        value = blank(text, at)
        at = value_end(text, value, words, stack)
        if at < 0:
            return at, used
        if which >= 0:
            spans[2 * which] = value
            spans[2 * which + 1] = at
        if which < 0 or kept[which]:
            size = at - key
            if used + size + 3 > len(extra):
                return at, -1
            extra[used] = 44 if used > extra_start else 123
            extra[used + 1 : used + 1 + size] = text[key:at]
            used += 1 + size
        at = blank(text, at)
        if at >= n:
            return -n - 1, used
        if text[at] == 125:
            if used > extra_start:
                extra[used] = 125
                used += 1
            return at + 1, used
        if text[at] != 44:
            return -at - 1, used
        at = blank(text, at + 1)


@kernel
def objects(
    text: Bytes, at: int, keys: Bytes, offsets: Longs, kept: Bytes, spans: NDArray[np.int64],
    extra: Bytes, words: Bytes, stack: Bytes,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Read objects of an array until it ends or a buffer is full.

    `at` is the place of the first element's first byte. Row i of `spans` holds start and end of each
    known key's value (0, 0 where absent; -1 in the first cell where the element is no object); the
    text kept of each row in `extra` ends with a zero byte, which no JSON holds. Returns a status, the
    number of rows, the place to go on (or of the mistake) and the bytes of `extra` used.
    """
    n = len(text)
    row, used = 0, 0
    while True:
        at = blank(text, at)
        if at >= n:
            return BROKEN, row, n, used
        if row == len(spans):
            return FULL, row, at, used
        spans[row, :] = 0
        if text[at] == 123:
            after, now = one_object(text, at, keys, offsets, kept, spans[row], extra, used, words, stack)
            if now < 0:
                return FULL, row, at, used
            used = now
        else:
            after = value_end(text, at, words, stack)
            spans[row, 0] = -1
        if after < 0:
            return BROKEN, row, -after - 1, used
        if used >= len(extra):
            return FULL, row, at, used
        extra[used] = 0
        used += 1
        row += 1
        at = blank(text, after)
        if at >= n:
            return BROKEN, row, n, used
        if text[at] == 93:
            return DONE, row, at + 1, used
        if text[at] != 44:
            return BROKEN, row, at, used
        at += 1


@kernel
def number(text: Bytes, at: int, end: int, mantissa: Longs, power: NDArray[np.int16], how: Bytes, k: int) -> int:
    """Read one number into place `k`; returns the place after it, or `at` where there is none."""
    start = at
    sign = 1
    if at < end and text[at] == 45:
        sign = -1
        at += 1
    value = 0
    exponent = 0
    digits = 0
    exact = True
    whole = at
    while at < end and 48 <= text[at] <= 57:
        if digits < 18:
            value = value * 10 + (text[at] - 48)
            digits += 1 if value > 0 else 0
        else:
            exact = False
        at += 1
    if at == whole:
        how[k] = NOT_A_NUMBER
        return start
    if at < end and text[at] == 46:
        at += 1
        while at < end and 48 <= text[at] <= 57:
            if digits < 18:
                value = value * 10 + (text[at] - 48)
                digits += 1 if value > 0 else 0
                exponent -= 1
            else:
                exact = False
            at += 1
    if at < end and (text[at] == 101 or text[at] == 69):
        exact = False
        at += 1
        if at < end and (text[at] == 43 or text[at] == 45):
            at += 1
        while at < end and 48 <= text[at] <= 57:
            at += 1
    if exact and value <= _EXACT and exponent >= -22:
        mantissa[k] = sign * value
        power[k] = exponent
        how[k] = FAST
    else:
        mantissa[k] = start
        power[k] = min(at - start, 32767)
        how[k] = SLOW
    return at


@kernel
def vectors(
    text: Bytes, starts: Longs, ends: Longs, k: int, mantissa: Longs, power: NDArray[np.int16], how: Bytes, sizes: Longs
) -> None:
    """Read arrays of numbers, the first `k` of each; `sizes` gets how many there are, -1 where it is no such array."""
    for row in range(len(starts)):
        at, end = starts[row], ends[row]
        base = row * k
        for j in range(k):
            how[base + j] = NOT_A_NUMBER
        sizes[row] = -1
        if end <= at or text[at] != 91:
            continue
        at = blank(text, at + 1)
        count = 0
        good = True
        spare_m = np.zeros(1, np.int64)
        spare_p = np.zeros(1, np.int16)
        spare_h = np.zeros(1, np.uint8)
        while at < end and text[at] != 93:
            if count < k:
                after = number(text, at, end, mantissa, power, how, base + count)
            else:
                after = number(text, at, end, spare_m, spare_p, spare_h, 0)
            if after == at:
                good = False
                break
            count += 1
            at = blank(text, after)
            if at < end and text[at] == 44:
                at = blank(text, at + 1)
        if good:
            sizes[row] = count


@kernel
def spellings(text: Bytes, starts: Longs, ends: Longs, skip: int, out: Bytes) -> None:
    """Tell of each value how the whole numbers in it are written: `PLAIN`, `DOTTED`, both or neither.

    Every `skip`-th number does not count; 0 counts all.
    """
    for row in range(len(starts)):
        at, end = starts[row], ends[row]
        found, place = 0, 0
        while at < end:
            if not 48 <= text[at] <= 57:
                at += 1
                continue
            whole, dotted = True, False
            while at < end and (48 <= text[at] <= 57 or text[at] == 46 or text[at] == 101 or text[at] == 69):
                if dotted and 49 <= text[at] <= 57:
                    whole = False
                if not 48 <= text[at] <= 57:
                    dotted = True
                if (text[at] == 101 or text[at] == 69) and at + 1 < end:
                    at += 1 + (text[at + 1] == 43)  # past the minus sign of the power, or its first digit
                    whole = True
                at += 1
            place += 1
            if whole and (skip == 0 or place % skip):
                found |= DOTTED if dotted else PLAIN
        out[row] = found


@kernel
def scalars(text: Bytes, starts: Longs, ends: Longs, mantissa: Longs, power: NDArray[np.int16], how: Bytes) -> None:
    """Read one number a row."""
    for row in range(len(starts)):
        how[row] = NOT_A_NUMBER
        if ends[row] > starts[row]:
            after = number(text, starts[row], ends[row], mantissa, power, how, row)
            if after != ends[row]:
                how[row] = NOT_A_NUMBER


@kernel
def count_rings(text: Bytes, starts: Longs, ends: Longs) -> tuple[int, int]:
    """Return upper bounds for the numbers and the rings in arrays of arrays."""
    numbers, rings = 0, 0
    for row in range(len(starts)):
        for at in range(starts[row], ends[row]):
            if text[at] == 44:
                numbers += 1
            elif text[at] == 91:
                rings += 1
                numbers += 1
    return numbers, rings


@kernel
def ragged(
    text: Bytes, starts: Longs, ends: Longs, mantissa: Longs, power: NDArray[np.int16], how: Bytes,
    rings: Longs, row_numbers: Longs, row_rings: Longs,
) -> None:  # fmt: skip
    """Read `[[n, …], …]` or `[n, …]` a row, all numbers one after another.

    `rings` gets the numbers of each inner array, `row_numbers` and `row_rings` how many of both a row
    has; -1 numbers where a row is not of this form (it then takes no place).
    """
    k, r = 0, 0
    for row in range(len(starts)):
        at, end = starts[row], ends[row]
        first_k, first_r = k, r
        good = end > at and text[at] == 91
        at = blank(text, at + 1)
        nested = good and at < end and text[at] == 91
        if not nested and good and at < end and text[at] != 93:
            at -= 1  # a flat array is its own only ring
        while good and at < end and text[at] != 93:
            if nested and text[at] != 91:
                good = False
                break
            at = blank(text, at + 1)
            inner = k
            while at < end and text[at] != 93:
                after = number(text, at, end, mantissa, power, how, k)
                if after == at:
                    good = False
                    break
                k += 1
                at = blank(text, after)
                if at < end and text[at] == 44:
                    at = blank(text, at + 1)
            if not good:
                break
            rings[r] = k - inner
            r += 1
            if not nested:
                break
            at = blank(text, at + 1)
            if at < end and text[at] == 44:
                at = blank(text, at + 1)
        if good:
            row_numbers[row] = k - first_k
            row_rings[row] = r - first_r
        else:
            k, r = first_k, first_r
            row_numbers[row] = -1
            row_rings[row] = 0


@kernel
def plain_strings(text: Bytes, starts: Longs, ends: Longs, out: Bytes, plain: Bytes) -> int:
    """Copy the insides of texts without escapes to `out`, each followed by a zero; returns how much is used.

    `plain` tells which rows are such texts; the others have a zero alone.
    """
    used = 0
    for row in range(len(starts)):
        first, last = starts[row] + 1, ends[row] - 1
        good = last >= first and text[first - 1] == 34
        if good:
            for at in range(first, last):
                if text[at] == 92:
                    good = False
                    break
        plain[row] = 1 if good else 0
        if good:
            out[used : used + last - first] = text[first:last]
            used += last - first
        out[used] = 0
        used += 1
    return used


@kernel
def cells(text: Bytes, starts: Longs, sizes: NDArray[np.int16], out: NDArray[np.uint8]) -> None:
    """Copy short pieces of text into rows of equal length, filled up with zeros."""
    for row in range(len(starts)):
        for i in range(min(sizes[row], out.shape[1])):
            out[row, i] = text[starts[row] + i]
