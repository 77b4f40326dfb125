"""Frames of local videos: found by their presentation time, decoded one after another where they follow.

A frame's address is `clip.mp4#pts=1024`: the file, and the frame's time in units of the stream's
time base. Needs PyAV (the extra `video`).

A seek may land on a key frame that is shown after the wanted one (MP4's index goes by decoding time,
and open groups of pictures show some before their key frame), or where a stream must first be refreshed.
So a frame counts as found only behind a key frame that is shown no later; else reading starts further
back, at last from the first byte. AVI and MPEG program streams have no presentation times where frames
are stored out of order: there the k-th frame shown has the time of the k-th packet, and is found by
counting.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import ImageError
from .address import is_frame, shown

if TYPE_CHECKING:
    from av.container import InputContainer

MARK = "#pts="
FRAME_TABLE = {"frame": pl.Int32, "pts": pl.Int64, "time_s": pl.Float64, "key": pl.Boolean}
_MOST_OPEN = 4
_MOST_AHEAD = 64
"""Frames ahead up to which decoding on is cheaper than seeking."""
_MOST_STEPS_BACK = 10
"""Seeks, each further back than the last, before a video is read from its start."""
_CHECKED_FRAMES = 8
"""First frames that are decoded to see whether the packets tell which frames are shown."""
_USUAL_RATE = 25
_HASH_BYTES = 16
_BLOCK_BYTES = 1 << 20

_UNTIMED_FORMATS = frozenset({"avi", "mpeg", "mpegvideo", "h264", "hevc", "m4v"})
"""Containers without presentation times; FFmpeg's guesses of them repeat or are out of order."""
_REORDERED_CODECS = frozenset({"h264", "hevc"})
_FRAME_A_PACKET = frozenset({"h264", "hevc", "vp9", "av1", "mjpeg", "ffv1", "prores"})
"""Codecs whose packets are a shown frame each; packets of others may show nothing."""

_NEVER_ASKS_FROM = 19
"""The version of PyAV that has no such option any more."""
_RESTORE = "Restore it or move it back, then call p.refresh()."
_CONVERT = "Convert it, for example to MP4."


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

    Raises
    ------
    ImageError
        The address names no frame.
    """
    if not is_frame(address):
        raise ImageError(f"{shown(address)} is no frame of a video.", f"Write it as clip.mp4{MARK}1024.")
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
    except (OSError, ValueError) as error:
        raise ImageError(f"There is no video at {shown(path)}.", _RESTORE) from error
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
    """List the frames of a video in the order they are shown; decodes them only where packets do not tell.

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
    reader = _Reader(path)
    try:
        height, width = reader.first().shape[:2]
    finally:
        reader.close()
    return width, height


def _about_tags(av: Any) -> dict[str, Any]:
    """Say that damaged tags are no concern of ours, to the versions of PyAV that ask: from 19 on none does."""
    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < _NEVER_ASKS_FROM else {}


class _Reader:
    """One open video, and where its decoder stands."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.stamp = _stamp(path)
        self._frames: Iterator[tuple[int, Any]] | None = None
        self._at = 0
        self._open()

    def _open(self) -> None:
        av = pyav()
        if self.stamp is None:
            raise ImageError(f"There is no video at {shown(self.path)}.", _RESTORE)
        try:
            # Behind its protocol a name such as "cam-10:30.mp4" stays a name.
            self._container: InputContainer = av.open(f"file:{self.path}", **_about_tags(av))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ImageError(
                f"{shown(self.path)} is not a video that can be read: {error}.", "Check the file."
            ) from error
        covers = av.stream.Disposition.attached_pic
        self._stream: Any = next((s for s in self._container.streams.video if not s.disposition & covers), None)
        if self._stream is None or self._stream.codec_context is None:
            self.close()
            raise ImageError(f"{shown(self.path)} has no moving pictures that can be decoded.", _CONVERT)
        self._stream.thread_type = "SLICE"  # frame threads would hold frames back after a seek
        codec, form = self._stream.codec_context, self._container.format.name
        timed = form == "avi" and codec.name not in _REORDERED_CODECS and not codec.has_b_frames
        self._counted = form in _UNTIMED_FORMATS and not timed

    def close(self) -> None:
        self._frames = None
        self._container.close()

    # -- all frames -------------------------------------------------------------------------------

    def table(self) -> pl.DataFrame:
        """List the frames, by their packets or by decoding."""
        av = pyav()
        try:
            found = self._by_packets()
            if found is None:
                found = [(time, bool(frame.key_frame)) for time, frame in self._from_start()]
        except (av.error.FFmpegError, OSError) as error:
            raise ImageError(f"{shown(self.path)} cannot be decoded: {error}.", "Check the file.") from error
        if not found:
            raise ImageError(f"{shown(self.path)} has no frames with a time.", _CONVERT)
        pts = np.array([time for time, _ in found], np.int64)
        if (np.diff(pts) <= 0).any():
            raise ImageError(f"The frames of {shown(self.path)} have times that are out of order.", _CONVERT)
        seconds = (pts - pts[0]) * float(self._stream.time_base or 1)
        columns = {"frame": np.arange(pts.size), "pts": pts, "time_s": seconds, "key": [key for _, key in found]}
        return pl.DataFrame(columns, schema=FRAME_TABLE)

    def _by_packets(self) -> list[tuple[int, bool]] | None:
        """List times and keys from packets alone; None where they do not tell which frames are shown."""
        if self._counted or self._stream.codec_context.name not in _FRAME_A_PACKET:
            return None
        first = [time for time, _ in islice(self._from_start(), _CHECKED_FRAMES)]
        if not first:
            return None
        self._reopen()
        times: dict[int, bool] = {}
        for packet in self._container.demux(self._stream):
            if not packet.size or packet.is_discard:
                continue  # an edit list starts the video later
            if packet.pts is None or packet.pts in times:
                return None
            times[packet.pts] = packet.is_keyframe
        # Pictures before the first that can be decoded are of a group whose start was cut off.
        listed = sorted((time, key) for time, key in times.items() if time >= first[0])
        return listed if [time for time, _ in listed[: len(first)]] == first else None

    # -- one frame --------------------------------------------------------------------------------

    def first(self) -> NDArray[np.uint8]:
        """Decode the first frame."""
        av = pyav()
        try:
            for _, frame in self._from_start():
                return _upright(frame)
        except (av.error.FFmpegError, OSError) as error:
            raise ImageError(f"{shown(self.path)} cannot be decoded: {error}.", "Check the file.") from error
        raise ImageError(f"{shown(self.path)} has no frames with a time.", _CONVERT)

    def frame(self, pts: int) -> NDArray[np.uint8]:
        """Decode the frame at a time; decodes on where it lies a little ahead, else seeks."""
        av = pyav()
        try:
            for frames in self._starts(pts):
                found, passed = self._forward(frames, pts)
                if found is not None:
                    return _upright(found)
                if passed:
                    break
        except (av.error.FFmpegError, OSError, OverflowError) as error:
            self._frames = None
            raise ImageError(f"{shown(self.path)} cannot be decoded at {pts}: {error}.", "Check the file.") from error
        raise ImageError(
            f"{shown(self.path)} has no frame at the time {pts} that can be decoded.",
            "If the video changed call p.refresh(), else check the file.",
        )

    def _forward(self, frames: Iterator[tuple[int, Any]], pts: int) -> tuple[Any, bool]:
        """Decode up to a time: the frame if it is there, and whether one before and one after it were seen."""
        before = False
        for time, frame in frames:
            self._frames, self._at = frames, time
            if time == pts:
                return frame, True
            if time > pts:
                return None, before
            before = True
        self._frames = None
        return None, False

    def _starts(self, pts: int) -> Iterator[Iterator[tuple[int, Any]]]:
        """Yield frames from places before a time, the nearest first, the start of the video last."""
        ahead = pts - self._at
        if self._frames is not None and ahead > 0 and (self._counted or ahead <= self._ticks(_MOST_AHEAD)):
            yield self._frames
        wanted, back = pts, 1
        for _ in range(0 if self._counted else _MOST_STEPS_BACK):
            landing, frames = self._seek(wanted)
            if frames is None:
                break
            if landing <= pts:
                yield frames
            # The index may go by decoding time: a tick before a key frame leads to the key frame before it.
            wanted = min(wanted, landing) - back
            back = max(2 * back, self._ticks(_USUAL_RATE))
        yield self._from_start()

    def _seek(self, pts: int) -> tuple[int, Iterator[tuple[int, Any]] | None]:
        """Go to a key frame: its time, and the frames from there; None where that leads nowhere."""
        av = pyav()
        self._frames = None
        try:
            self._container.seek(pts, stream=self._stream, backward=True, any_frame=False)
            packets = iter(self._container.demux(self._stream))
            landing = next((p for p in packets if p.size and p.is_keyframe), None)
        except (av.error.FFmpegError, OSError):
            return 0, None  # some containers refuse to seek before their first key frame
        if landing is None or landing.pts is None:
            return 0, None
        return int(landing.pts), self._decoded(chain([landing], packets))

    def _from_start(self) -> Iterator[tuple[int, Any]]:
        self._reopen()
        return self._decoded(self._container.demux(self._stream))

    def _reopen(self) -> None:
        """Stand before the first packet; a seek to the start is not the same in every container."""
        self.close()
        self._open()

    def _decoded(self, packets: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Decode packets to times and frames; what is damaged is left out."""
        av = pyav()
        stored: deque[int] = deque()
        last = -1
        for packet in packets:
            if packet.size:
                last = last + 1 if packet.dts is None else max(last + 1, packet.dts)
                stored.append(last)
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            for frame in frames:
                if not self._counted and frame.pts is not None:
                    yield frame.pts, frame
                elif self._counted and stored:
                    yield stored.popleft(), frame

    def _ticks(self, frames: int) -> int:
        """Return the time that a number of frames takes on average."""
        rate = self._stream.average_rate or _USUAL_RATE
        return max(1, int(frames / (rate * (self._stream.time_base or 1))))


def _upright(frame: Any) -> NDArray[np.uint8]:
    """Return a frame's pixels, turned and mirrored by right angles as its display matrix says."""
    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    # A point (x, y) is shown at (a x + c y, b x + d y): ISO/IEC 14496-12, section 6.2.2.
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(b) > abs(a):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _stamp(path: str) -> int | None:
    """Return when a file was modified; None if there is no file."""
    try:
        return Path(path).stat().st_mtime_ns if Path(path).is_file() else None
    except (OSError, ValueError):
        return None


class _Readers(threading.local):
    """A few open videos a thread; PyAV's containers must not be shared between threads."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Reader] = OrderedDict()

    def of(self, path: str) -> _Reader:
        reader = self._open.pop(path, None)
        if reader is not None and _stamp(path) != reader.stamp:
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


def pyav() -> Any:
    """Return PyAV.

    Raises
    ------
    ImageError
        It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImageError(
            "Reading frames of videos needs PyAV.", 'Install it with: pip install "encord_active_widgets[video]"'
        ) from error
    return av
