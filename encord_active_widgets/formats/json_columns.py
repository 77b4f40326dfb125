"""Large JSON arrays of objects as columns: the file is scanned once, without a Python object a row."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError

Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

_BOM = b"\xef\xbb\xbf"
_FIRST_ROWS = 65_536
_MOST_ROWS = 524_288
"""Rows scanned at a time at most: what a scan needs for a moment does not grow with the file."""
_GROWTH = 2
_EXTRA_A_ROW = 64
_SHOWN = 60


Wanted = tuple[Sequence[str], Sequence[str]]
"""The keys whose values are wanted, and those of them that stay in `extra` as well."""
_NO_ARRAYS: Mapping[str, Wanted] = {}


@dataclass
class Rows:
    """The objects of one array: spans of the values of known keys, and the text of all else.

    Attributes
    ----------
    start, end : dict of str to ndarray (n,) int64
        Where the value of a key lies; start == end where the key is absent.
    extra : pl.Series of String
        The other keys of each object, as JSON text; null where there are none.
    broken : ndarray (n,) bool
        Elements that are no objects.
    """

    start: dict[str, Longs]
    end: dict[str, Longs]
    extra: pl.Series
    broken: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.broken.size)


class JsonText:
    """The text of a JSON file, mapped into memory.

    Raises
    ------
    InputError
        The file is empty, or not text in UTF-8.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with file.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            if size == 0:
                raise InputError(f'"{file}" is empty.', "Check that the file was written to its end.")
            self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes = np.frombuffer(self._map, np.uint8)
        if self._map[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f'"{file}" is not UTF-8.', "Save it as UTF-8.")
        self._begin = 3 if self._map[:3] == _BOM else 0

    def members(self, arrays: Mapping[str, Wanted] = _NO_ARRAYS) -> tuple[dict[str, tuple[int, int]], dict[str, Rows]]:
        """Return where the values of the outermost object lie, by key, and the rows of some arrays of objects.

        Parameters
        ----------
        arrays : mapping
            What to read of arrays, by their key: they are scanned only once.

        Raises
        ------
        InputError
            The file is not JSON, or holds no object.
        """
        from . import json_kernels as k

        stack = np.zeros(k.DEEPEST, np.uint8)
        at = int(k.blank(self.bytes, self._begin))
        if at >= self.bytes.size or self.bytes[at] != ord("{"):
            raise self.error(at, "expected an object")
        found: dict[str, tuple[int, int]] = {}
        rows: dict[str, Rows] = {}
        at = int(k.blank(self.bytes, at + 1))
        while at < self.bytes.size and self.bytes[at] != ord("}"):
            start = int(k.key_end(self.bytes, at))
            if start < 0:
                raise self.error(-start - 1)
            key = self.value(at, int(k.string_end(self.bytes, at)))
            start = int(k.blank(self.bytes, start))
            if key in arrays and start < self.bytes.size and self.bytes[start] == ord("["):
                rows[key], end = self._rows(start, *arrays[key])
            else:
                end = int(k.value_end(self.bytes, start, k.WORDS, stack))
            if end < 0:
                raise self.error(-end - 1)
            found[key] = (start, end)
            at = int(k.blank(self.bytes, end))
            if at < self.bytes.size and self.bytes[at] == ord(","):
                at = int(k.blank(self.bytes, at + 1))
                if at < self.bytes.size and self.bytes[at] == ord("}"):
                    raise self.error(at)
            elif at >= self.bytes.size or self.bytes[at] != ord("}"):
                raise self.error(at)
        if at >= self.bytes.size:
            raise self.error(at)
        rest = int(k.blank(self.bytes, at + 1))
        if rest < self.bytes.size:
            raise self.error(rest, "there is more after the end")
        return found, rows

    def array(self, keys: Sequence[str], kept: Sequence[str] = ()) -> Rows | None:
        """Return the rows of a file that is one array of objects; None where it is something else.

        Raises
        ------
        InputError
            The array is not JSON.
        """
        from . import json_kernels as k

        at = int(k.blank(self.bytes, self._begin))
        if at >= self.bytes.size or self.bytes[at] != ord("["):
            return None
        rows, end = self._rows(at, keys, kept)
        rest = int(k.blank(self.bytes, end))
        if rest < self.bytes.size:
            raise self.error(rest, "there is more after the end")
        return rows

    def value(self, start: int, end: int) -> Any:
        """Read one value as Python objects.

        Raises
        ------
        InputError
            It is not JSON.
        """
        try:
            return json.loads(self._map[start:end])
        except (ValueError, RecursionError) as error:
            raise self.error(start) from error

    def text(self, start: int, end: int) -> str:
        """Return a piece of the file as it stands."""
        return self._map[start:end].decode("utf-8", "replace")

    def _rows(self, start: int, keys: Sequence[str], kept: Sequence[str] = ()) -> tuple[Rows, int]:
        """Read the array of objects at `start`; returns its rows and the place after it."""
        from . import json_kernels as k

        flat = np.frombuffer("".join(keys).encode(), np.uint8)
        offsets = np.cumsum([0, *(len(key.encode()) for key in keys)], dtype=np.int64)
        keep = np.array([key in kept for key in keys], np.uint8)
        stack = np.zeros(k.DEEPEST, np.uint8)
        at = int(k.blank(self.bytes, start + 1))
        empty = at < self.bytes.size and self.bytes[at] == ord("]")
        room = _FIRST_ROWS
        extra_room = room * _EXTRA_A_ROW
        parts: list[Rows] = []
        while not empty:
            spans = np.empty((room, 2 * len(keys)), np.int64)
            extra = np.empty(extra_room, np.uint8)
            status, n, at, used = k.objects(self.bytes, at, flat, offsets, keep, spans, extra, k.WORDS, stack)
            if status == k.BROKEN:
                raise self.error(int(at))
            if n:
                parts.append(_part(keys, spans[:n], extra[:used].tobytes()))
            elif status == k.FULL:
                extra_room *= 4
            if status == k.DONE:
                break
            room = min(room * _GROWTH, _MOST_ROWS)
            extra_room = min(extra_room * _GROWTH, max(extra_room, _MOST_ROWS * _EXTRA_A_ROW))
        return _whole(keys, parts), int(at) + empty

    # -- values -------------------------------------------------------------------------------

    def numbers(self, start: Longs, end: Longs) -> Floats:
        """Read one number a row; NaN where there is none."""
        from . import json_kernels as k

        n = start.size
        mantissa, power, how = np.zeros(n, np.int64), np.zeros(n, np.int16), np.zeros(n, np.uint8)
        k.scalars(self.bytes, start, end, mantissa, power, how)
        return self._floats(mantissa, power, how)

    def integers(self, start: Longs, end: Longs) -> tuple[Longs, NDArray[np.bool_]]:
        """Read one whole number a row, and whether there is one that 53 bits hold."""
        from . import json_kernels as k

        n = start.size
        mantissa, power, how = np.zeros(n, np.int64), np.zeros(n, np.int16), np.zeros(n, np.uint8)
        k.scalars(self.bytes, start, end, mantissa, power, how)
        return mantissa, (how == k.FAST) & (power == 0)

    def any_text(self, start: Longs, end: Longs) -> bool:
        """Tell whether any of the values is a text."""
        present = end > start
        return bool((self.bytes[start[present]] == ord('"')).any())

    def second_byte(self, start: Longs, end: Longs) -> NDArray[np.uint8]:
        """Return the first byte inside each array that is no white space; 0 where there is none."""
        out = np.zeros(start.size, np.uint8)
        at = start + 1
        while True:
            inside = at < end
            out = np.where(inside, self.bytes[np.minimum(at, self.bytes.size - 1)], 0).astype(np.uint8)
            white = inside & np.isin(out, (32, 10, 13, 9))
            if not white.any():
                return out
            at = np.where(white, at + 1, at)

    def vectors(self, start: Longs, end: Longs, size: int) -> tuple[Floats, Longs]:
        """Read an array of numbers a row: the first `size` of each, and how many there are (-1 where it is none)."""
        from . import json_kernels as k

        n = start.size
        mantissa, power, how = (
            np.zeros(n * size, np.int64),
            np.zeros(n * size, np.int16),
            np.zeros(n * size, np.uint8),
        )
        sizes = np.empty(n, np.int64)
        k.vectors(self.bytes, start, end, size, mantissa, power, how, sizes)
        return self._floats(mantissa, power, how).reshape(n, size), sizes

    def spellings(self, start: Longs, end: Longs, *, skip: int = 0) -> NDArray[np.uint8]:
        """Tell how whole numbers are written in each value: bits 1 for 10, and 2 for 10.0; 0 where there are none.

        Every `skip`-th number does not count.
        """
        from . import json_kernels as k

        out = np.zeros(start.size, np.uint8)
        k.spellings(self.bytes, start, end, skip, out)
        return out

    def ragged(self, start: Longs, end: Longs) -> tuple[Floats, Longs, Longs, Longs]:
        """Read arrays of numbers, or of arrays of numbers.

        Returns
        -------
        values : ndarray of float64
            All numbers, row after row.
        rings : ndarray of int64
            How many numbers each inner array has.
        row_numbers, row_rings : ndarray of int64, (n,)
            How many numbers and inner arrays each row has; -1 numbers where a row is something else.
        """
        from . import json_kernels as k

        n = start.size
        most, most_rings = k.count_rings(self.bytes, start, end)
        mantissa, power, how = (
            np.zeros(most + 1, np.int64),
            np.zeros(most + 1, np.int16),
            np.zeros(most + 1, np.uint8),
        )
        rings = np.zeros(most_rings + 1, np.int64)
        row_numbers, row_rings = np.zeros(n, np.int64), np.zeros(n, np.int64)
        k.ragged(self.bytes, start, end, mantissa, power, how, rings, row_numbers, row_rings)
        total = int(np.maximum(row_numbers, 0).sum())
        return (
            self._floats(mantissa[:total], power[:total], how[:total]),
            rings[: int(row_rings.sum())],
            row_numbers,
            row_rings,
        )

    def _floats(self, mantissa: Longs, power: NDArray[np.int16], how: NDArray[np.uint8]) -> Floats:
        """Make numbers of mantissas: exact, as both factors are whole numbers that doubles can hold."""
        from . import json_kernels as k

        scale = 10.0 ** np.arange(23)
        values: Floats = mantissa / scale[np.where(how == k.FAST, -power, 0)]
        values[how == k.NOT_A_NUMBER] = np.nan
        slow = np.flatnonzero(how == k.SLOW)
        if slow.size:
            short = slow[power[slow] <= k.DIGITS]
            cells = np.zeros((short.size, k.DIGITS), np.uint8)
            k.cells(self.bytes, mantissa[short], power[short], cells)
            values[short] = cells.view(f"S{k.DIGITS}")[:, 0].astype(np.float64)
            for i in slow[power[slow] > k.DIGITS].tolist():
                values[i] = self._long_number(int(mantissa[i]))
        return values

    def _long_number(self, at: int) -> float:
        from . import json_kernels as k

        try:
            return float(self._map[at : int(k.number_end(self.bytes, at))])
        except (ValueError, OverflowError):
            return float("nan")

    def strings(self, start: Longs, end: Longs) -> list[str | None]:
        """Read one text a row; None where the value is something else."""
        from . import json_kernels as k

        sizes = np.maximum(end - start, 0)
        out = np.zeros(int(sizes.sum()) + start.size, np.uint8)
        plain = np.zeros(start.size, np.uint8)
        used = int(k.plain_strings(self.bytes, start, end, out, plain))
        texts: list[Any] = _pieces(out[:used].tobytes()).to_list() if start.size else []
        for i in np.flatnonzero(plain == 0).tolist():
            value = _loaded(self._map[start[i] : end[i]]) if end[i] > start[i] else None
            texts[i] = value if isinstance(value, str) else None
        for i in np.flatnonzero((plain == 1) & (sizes == 2)).tolist():
            texts[i] = ""
        return texts

    def objects(self, start: Longs, end: Longs) -> list[Any]:
        """Read one value a row as Python objects; None where it is absent or broken."""
        return [_loaded(self._map[a:b]) if b > a else None for a, b in zip(start.tolist(), end.tolist(), strict=True)]

    def error(self, at: int, why: str = "") -> InputError:
        """Say where the file stops being JSON."""
        line = self._map[:at].count(b"\n") + 1
        near = self._map[at : at + _SHOWN].decode("utf-8", "replace").split("\n")[0]
        what = why or ("it ends too early" if at >= self.bytes.size else f"unexpected {near!r}")
        return InputError(
            f'"{self.file}" is not JSON: {what} (line {line}, byte {at:,}).', "Check that it is complete."
        )


def _part(keys: Sequence[str], spans: Longs, data: bytes) -> Rows:
    """Keep of some scanned rows what is there: most files lack most keys."""
    broken = spans[:, 0] < 0
    spans[broken] = 0
    present = [bool(spans[:, 2 * i + 1].any()) for i in range(len(keys))]
    none = np.broadcast_to(np.int64(0), broken.shape)
    return Rows(
        {key: spans[:, 2 * i].copy() if present[i] else none for i, key in enumerate(keys)},
        {key: spans[:, 2 * i + 1].copy() if present[i] else none for i, key in enumerate(keys)},
        _pieces(data),
        broken,
    )


def _whole(keys: Sequence[str], parts: list[Rows]) -> Rows:
    """Put parts together, key by key, and let go of them on the way."""
    if len(parts) == 1:
        return parts[0]
    n = sum(map(len, parts))
    none = np.broadcast_to(np.int64(0), (n,))
    found = Rows(
        {},
        {},
        pl.concat([part.extra for part in parts], rechunk=True) if parts else pl.Series([], dtype=pl.String),
        np.concatenate([np.zeros(0, bool), *(part.broken for part in parts)]),
    )
    for key in keys:
        for whole, pieces in (
            (found.start, [part.start.pop(key) for part in parts]),
            (found.end, [part.end.pop(key) for part in parts]),
        ):
            there = any(piece.strides[0] for piece in pieces)
            whole[key] = np.concatenate(pieces) if there else none
    return found


def _loaded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _decoded(piece: bytes) -> str | None:
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _pieces(data: bytes) -> pl.Series:
    """Cut text at its zero bytes, one piece a row; null where a row has none or it is not UTF-8."""
    try:
        pieces = pl.Series([data[:-1].decode("utf-8")]).str.split("\0").explode()
    except UnicodeDecodeError:
        pieces = pl.Series([_decoded(piece) for piece in data[:-1].split(b"\0")], dtype=pl.String)
    return pieces.set(pieces == "", None)
