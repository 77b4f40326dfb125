"""Frames of local videos: found by their presentation time, decoded one after another where they follow.

A frame's address is `clip.mp4#pts=1024`: the file, and the frame's time in units of the stream's
time base. Needs PyAV (the extra `video`).
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import ImageError

if TYPE_CHECKING:
    from av.container import InputContainer

MARK = "#pts="
FRAME_TABLE = {"frame": pl.Int32, "pts": pl.Int64, "time_s": pl.Float64, "key": pl.Boolean}
_MOST_OPEN = 4
_MOST_AHEAD = 64
"""Frames ahead up to which decoding on is cheaper than seeking."""
_HASH_BYTES = 16
_BLOCK_BYTES = 1 << 20
_QUARTERS = {90: 1, 180: 2, 270: 3}


def frame_address(path: str, pts: int) -> str:
    """Return the address of the frame at a time.

    >>> frame_address("clip.mp4", 1024)
    'clip.mp4#pts=1024'
    """
    return f"{path}{MARK}{pts}"


def split_frame(address: str) -> tuple[str, int]:
    """Return the file and the time of a frame's address.

    >>> split_frame("a#b.mp4#pts=-3")
    ('a#b.mp4', -3)
    """
    path, _, pts = address.rpartition(MARK)
    return path, int(pts)


def frame_hash(video_hash: str, pts: int) -> str:
    """Return what stands for a frame's content: the video's hash and the frame's time, 32 hex characters."""
    return hashlib.blake2b(f"{video_hash}:{pts}".encode(), digest_size=_HASH_BYTES).hexdigest()


@dataclass(frozen=True)
class FrameFacts:
    """What a project keeps of a frame: identity, size, and the file it lies in."""

    content_hash: str
    width: int
    height: int
    file_bytes: int
    modified_ns: int


def probe_frame(address: str) -> FrameFacts:
    """Return what is known of a frame; its video is read once for all of its frames.

    Raises
    ------
    ImageError
        As for `frame_bytes`.
    """
    path, pts = split_frame(address)
    try:
        status = Path(path).stat()
    except OSError as error:
        raise ImageError(
            f'There is no video at "{path}".', "Restore it or move it back, then call p.refresh()."
        ) from error
    video_hash, width, height = _video(path, status.st_size, status.st_mtime_ns)
    return FrameFacts(frame_hash(video_hash, pts), width, height, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _video(path: str, _size: int, _modified_ns: int) -> tuple[str, int, int]:
    """Return a video's hash and the size of its frames; read again when size or time changed."""
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return (digest.hexdigest(), *video_size(path))


def frame_bytes(address: str) -> bytes:
    """Return a frame as an uncompressed BMP.

    Raises
    ------
    ImageError
        PyAV is missing, the file is no video, or it has no frame at this time.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame_pixels(address)).save(buffer, "BMP")
    return buffer.getvalue()


def frame_pixels(address: str) -> NDArray[np.uint8]:
    """Decode one frame: (h, w, 3) uint8 RGB, turned as its video says."""
    path, pts = split_frame(address)
    return _readers.of(path).frame(pts)


def frame_table(path: str) -> pl.DataFrame:
    """List the frames of a video in the order they are shown.

    Returns
    -------
    pl.DataFrame
        `frame` (from 0), `pts` (in the stream's time base), `time_s` (seconds from the first
        frame), `key` (whether it can be decoded by itself).

    Raises
    ------
    ImageError
        PyAV is missing, or the file has no video that can be read.
    """
    reader = _Reader(path)
    try:
        return reader.table()
    finally:
        reader.close()


def video_size(path: str) -> tuple[int, int]:
    """Return width and height of a video's frames in pixels, as they are shown."""
    first = frame_table(path)["pts"]
    height, width = frame_pixels(frame_address(path, int(first[0]))).shape[:2]
    return width, height


class _Reader:
    """One open video, and where its decoder stands."""

    def __init__(self, path: str) -> None:
        av = _av()
        self.path = path
        if not Path(path).is_file():
            raise ImageError(f'There is no video at "{path}".', "Restore it or move it back, then call p.refresh().")
        try:
            self._container: InputContainer = av.open(path)
            self._stream = self._container.streams.video[0]
        except (av.error.FFmpegError, IndexError, OSError, ValueError) as error:
            raise ImageError(f'"{path}" is not a video that can be read: {error}.', "Check the file.") from error
        self._stream.thread_type = "SLICE"  # frame threads would hold frames back after a seek
        self._frames: Any = None
        self._at: int | None = None
        self._table: pl.DataFrame | None = None
        self.stamp = Path(path).stat().st_mtime_ns

    def close(self) -> None:
        self._container.close()

    def table(self) -> pl.DataFrame:
        """List the frames, by decoding: a container's own index may name frames that are never shown."""
        if self._table is None:
            av = _av()
            found: list[tuple[int, bool]] = []
            self._container.seek(0, stream=self._stream, backward=True) if self._at is not None else None
            try:
                found.extend(
                    (frame.pts, bool(frame.key_frame))
                    for frame in self._container.decode(self._stream)
                    if frame.pts is not None
                )
            except (av.error.FFmpegError, OSError) as error:
                if not found:
                    raise ImageError(f'"{self.path}" cannot be decoded: {error}.', "Check the file.") from error
            if not found:
                raise ImageError(f'"{self.path}" has no frames with a time.', "Convert it, for example to MP4.")
            times = dict(sorted(found))
            base = float(self._stream.time_base or 1)
            pts = np.fromiter(times, np.int64)
            self._table = pl.DataFrame(
                {
                    "frame": np.arange(pts.size),
                    "pts": pts,
                    "time_s": (pts - pts[0]) * base,
                    "key": list(times.values()),
                },
                schema=FRAME_TABLE,
            )
            self._frames = self._at = None
        return self._table

    def frame(self, pts: int) -> NDArray[np.uint8]:
        """Decode the frame at a time; decodes on where it lies a little ahead, else seeks."""
        av = _av()
        try:
            if self._frames is not None and self._at is not None and self._at < pts:
                found = self._forward(pts, _MOST_AHEAD)
                if found is not None:
                    return found
            self._seek(pts)
            found = self._forward(pts, None)
        except (av.error.FFmpegError, OSError) as error:
            raise ImageError(f'"{self.path}" cannot be decoded at {pts}: {error}.', "Check the file.") from error
        if found is None:
            raise ImageError(f'"{self.path}" has no frame at the time {pts}.', "Call p.refresh(): the video changed.")
        return found

    def _seek(self, pts: int) -> None:
        self._container.seek(pts, stream=self._stream, backward=True, any_frame=False)
        self._frames = self._container.decode(self._stream)
        self._at = None

    def _forward(self, pts: int, most: int | None) -> NDArray[np.uint8] | None:
        seen = 0
        for frame in self._frames:
            if frame.pts is None:
                continue
            self._at = frame.pts
            if frame.pts == pts:
                return _upright(frame)
            seen += 1
            if frame.pts > pts or (most is not None and seen >= most):
                return None
        self._frames = None
        return None


def _upright(frame: Any) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turn = _QUARTERS.get(int(getattr(frame, "rotation", 0) or 0) % 360, 0)
    return np.ascontiguousarray(np.rot90(pixels, turn))


class _Readers(threading.local):
    """A few open videos a thread; PyAV's containers must not be shared between threads."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Reader] = OrderedDict()

    def of(self, path: str) -> _Reader:
        reader = self._open.pop(path, None)
        if reader is not None and (not Path(path).exists() or Path(path).stat().st_mtime_ns != reader.stamp):
            reader.close()
            reader = None
        if reader is None:
            reader = _Reader(path)
        self._open[path] = reader
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return reader


# Open decoders; a cache, not state that anything depends on.
_readers = _Readers()


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ImageError(
            "Reading frames of videos needs PyAV.", 'Install it with: pip install "encord_active_widgets[video]"'
        ) from error
    return av
