"""Read a JPEG's header by its markers: size, components and EXIF orientation in microseconds.

Opening tiny files with Pillow costs several times their decode; simplejpeg knows neither
EXIF nor Adobe's colour transforms. Source of the layout: ITU-T T.81 Annex B (markers),
CIPA DC-008 (EXIF in APP1), TIFF 6.0 (its directory of tags).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SOI = b"\xff\xd8"
_MARKER = 0xFF
_APP1 = 0xE1
_START_OF_SCAN = 0xDA
_START_OF_FRAME = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC)))
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_EXIF = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
_UNSIGNED_SHORT = 3
_TIFF_ENTRY_BYTES = 12
_MOST_TIFF_ENTRIES = 512

UPRIGHT = 1
"""EXIF orientation of an image that is stored as it is shown."""

TRANSPOSED = frozenset((5, 6, 7, 8))
"""EXIF orientations that swap width and height."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG's markers say before its first scan; width and height as stored."""

    width: int
    height: int
    components: int
    bits: int
    orientation: int


def read_header(data: bytes) -> JpegHeader | None:
    """Return the header of a JPEG, or None where the bytes are not one this can read."""
    if data[:2] != _SOI:
        return None
    at, end, orientation = 2, len(data) - 4, UPRIGHT
    while at < end:
        if data[at] != _MARKER:
            return None
        marker = data[at + 1]
        if marker == _MARKER:  # fill byte
            at += 1
            continue
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        length = (data[at + 2] << 8) | data[at + 3]
        if marker in _START_OF_FRAME:
            if length < 8 or at + 10 > len(data):
                return None
            height = (data[at + 5] << 8) | data[at + 6]
            width = (data[at + 7] << 8) | data[at + 8]
            return JpegHeader(width, height, data[at + 9], data[at + 4], orientation)
        if marker == _START_OF_SCAN or length < 2:
            return None
        if marker == _APP1 and data[at + 4 : at + 10] == _EXIF:
            orientation = exif_orientation(data[at + 10 : at + 2 + length])
        at += 2 + length
    return None


def exif_orientation(tiff: bytes) -> int:
    """Return the orientation (1 to 8) an EXIF block gives; 1 where it gives none or nonsense."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return UPRIGHT
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    if directory + 2 > len(tiff):
        return UPRIGHT
    (count,) = struct.unpack_from(order + "H", tiff, directory)
    for k in range(min(count, _MOST_TIFF_ENTRIES)):
        at = directory + 2 + k * _TIFF_ENTRY_BYTES
        if at + _TIFF_ENTRY_BYTES > len(tiff):
            break
        tag, kind = struct.unpack_from(order + "HH", tiff, at)
        if tag == _ORIENTATION_TAG:
            (value,) = struct.unpack_from(order + "H", tiff, at + 8)
            return int(value) if kind == _UNSIGNED_SHORT and 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
