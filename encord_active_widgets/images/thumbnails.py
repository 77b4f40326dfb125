"""Small pictures for the grid: how they are encoded, and the store that hands them out.

A store is a folder of parts. Each part is one uncompressed Arrow IPC file of three columns
(two halves of the content hash as UInt64, sorted, and the encoded bytes), read by memory
mapping: opening costs the hashes, a thumbnail costs the pages it lies on. Parts are written
under a temporary name, flushed and renamed, so a reader never sees half of one, and
processes that append at the same time write parts of their own. The store is a cache: any
part, or the folder, may be deleted at any time.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from ..errors import DiskFullError, ImageError, ProjectError, ShapeError
from ..store.writing import room_for
from .decode import decode, encode_jpeg, shrink

THUMBNAIL_SIDE_PX = 128
"""Long side: sharp on a 96 px tile at 1.3x, and about 4 kB (README of benchmarks/)."""

THUMBNAIL_QUALITY = 80
"""JPEG quality; WebP would be a fifth smaller and cost some ten times the encoding."""

MOST_PASSED_BYTES = 12 * 1024
"""A small web image up to this size is its own thumbnail."""

_METADATA = (b"Exif\0\0", b"http://ns.adobe.com/xap", b"Photoshop 3.0", b"eXIf", b"tEXt", b"iTXt", b"zTXt", b"EXIF")
"""Marks of what cameras and editors write into a file; places and names are not handed on with a page."""

_PART_SUFFIX = ".arrow"
_HASH_HEX_CHARS = 32
_MOST_PARTS = 64
"""More parts than this are merged by the next `append`."""

Hashes = npt.NDArray[np.uint64]


def encode_thumbnail(pixels: npt.NDArray[np.uint8], side: int = THUMBNAIL_SIDE_PX) -> bytes:
    """Encode (h, w, 3) uint8 pixels as a JPEG whose long side is at most `side`."""
    return encode_jpeg(shrink(pixels, side), THUMBNAIL_QUALITY)


def without_metadata(blob: bytes) -> bytes:
    """Return a picture without what its file says besides pixels; small web images are their own thumbnails."""
    if not any(mark in blob for mark in _METADATA):
        return blob
    try:
        return encode_thumbnail(decode(blob))
    except ImageError:
        return b""


def sniff_mime(data: bytes) -> str:
    r"""Return the MIME type of a stored thumbnail by its first bytes.

    >>> sniff_mime(b"\xff\xd8\xff\xe0")
    'image/jpeg'
    """
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return "image/jpeg"


class _Part:
    """One file of the store, memory-mapped: sorted hashes and the bytes beside them."""

    def __init__(self, path: Path) -> None:
        frame = pl.read_ipc(path)
        self.path = path
        self.high: Hashes = frame["high"].to_numpy()
        self.low: Hashes = frame["low"].to_numpy()
        self.blobs = frame["blob"]

    def find(self, high: Hashes, low: Hashes) -> npt.NDArray[np.int64]:
        """Return the row of each hash, or -1."""
        at = np.searchsorted(self.high, high)
        rows = np.full(len(high), -1, np.int64)
        for k in np.flatnonzero(at < len(self.high)):
            row = int(at[k])
            while row < len(self.high) and self.high[row] == high[k]:
                if self.low[row] == low[k]:
                    rows[k] = row
                    break
                row += 1
        return rows


class ThumbnailStore:
    """Thumbnails of a project by content hash.

    Parameters
    ----------
    path : str or Path
        The folder; made at the first `append`.

    Notes
    -----
    Memory: 16 bytes an image stay mapped (not copied) for the lookup; blobs are read from
    the page cache when asked for.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.RLock()
        self._parts: dict[str, _Part] = {}

    def append(self, hashes: Sequence[str], blobs: Sequence[bytes]) -> None:
        """Add thumbnails as a new part; empty blobs are skipped. Safe beside other processes."""
        if len(hashes) != len(blobs):
            raise ShapeError(f"{len(hashes)} hashes do not fit {len(blobs)} thumbnails.", "Pass one for each.")
        kept = {h: b for h, b in zip(hashes, blobs, strict=True) if b}
        if not kept:
            return
        high, low = _split(list(kept))
        frame = pl.DataFrame({"high": high, "low": low, "blob": pl.Series(list(kept.values()))})
        with self._lock:
            self._write(frame)
            self._refresh()
            if len(self._parts) > _MOST_PARTS:
                self._merge()

    def get(self, hashes: Sequence[str]) -> list[bytes | None]:
        """Return the thumbnails of content hashes; None where there is none (yet)."""
        found: list[bytes | None] = [None] * len(hashes)
        if not hashes:
            return found
        high, low = _split(hashes)
        with self._lock:
            missing = self._fill(found, high, low, np.arange(len(hashes)))
            # Another process may have appended since this one looked.
            if len(missing) and self._refresh():
                self._fill(found, high, low, missing)
        return found

    def known(self) -> set[str]:
        """Return all content hashes that have a thumbnail."""
        with self._lock:
            self._refresh()
            parts = list(self._parts.values())
        return {
            f"{high:016x}{low:016x}"
            for part in parts
            for high, low in zip(part.high.tolist(), part.low.tolist(), strict=True)
        }

    def _fill(
        self,
        found: list[bytes | None],
        high: Hashes,
        low: Hashes,
        missing: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Fill `found` where a part has the hash; return the places still missing."""
        for part in self._parts.values():
            if not len(missing):
                break
            rows = part.find(high[missing], low[missing])
            for place, row in zip(missing.tolist(), rows.tolist(), strict=True):
                if row >= 0:
                    found[place] = part.blobs[row]
            missing = missing[rows < 0]
        return missing

    def _refresh(self) -> bool:
        """Open new parts and drop deleted ones; return whether anything changed."""
        try:
            names = {f.name for f in self._path.iterdir() if f.suffix == _PART_SUFFIX}
        except OSError:  # deleted, or never made: a cache may vanish
            names = set()
        gone, new = self._parts.keys() - names, names - self._parts.keys()
        for name in gone:
            del self._parts[name]
        opened = False
        for name in sorted(new):
            try:
                self._parts[name] = _Part(self._path / name)
                opened = True
            except (OSError, pl.exceptions.PolarsError):
                continue  # deleted meanwhile, or damaged: its images count as missing
        return opened or bool(gone)

    def _write(self, frame: pl.DataFrame) -> str:
        """Write a part under a temporary name, flush it, and give it its own."""
        name = f"{uuid.uuid4().hex}{_PART_SUFFIX}"
        target = self._path / name
        temporary = target.with_suffix(".tmp")
        try:
            with room_for("a part of the thumbnails"):
                self._path.mkdir(parents=True, exist_ok=True)
                frame.sort("high", "low").rechunk().write_ipc(temporary, compression="uncompressed")
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                temporary.replace(target)
        except DiskFullError:
            raise
        except OSError as error:
            raise ProjectError(
                f"Thumbnails cannot be written to {str(self._path)!r}: {error}.",
                "Correct the folder's permissions; they are made again.",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return name

    def _merge(self) -> None:
        """Write all small parts as one, then delete them.

        A reader that sees both finds the same bytes twice; one that loses a part under its
        hands still has it mapped.
        """
        parts = sorted(self._parts.values(), key=lambda p: len(p.high))[: _MOST_PARTS // 2 + 1]
        frame = pl.concat(
            [pl.DataFrame({"high": part.high, "low": part.low, "blob": part.blobs}) for part in parts]
        ).unique(subset=["high", "low"], keep="any")
        self._write(frame)
        for part in parts:
            part.path.unlink(missing_ok=True)
        self._refresh()


def _split(hashes: Sequence[str]) -> tuple[Hashes, Hashes]:
    """Return the upper and lower 64 bits of 32-character hexadecimal hashes."""
    try:
        raw = bytes.fromhex("".join(hashes))
    except ValueError:
        raw = b""
    if len(raw) * 2 != len(hashes) * _HASH_HEX_CHARS:
        raise ShapeError(
            f"A content hash has {_HASH_HEX_CHARS} hexadecimal characters.",
            "Pass the column content_hash as it is.",
        )
    both = np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])
