"""The pictures of a page: as large as its size allows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import EawError, InputError
from ..images.thumbnails import THUMBNAIL_QUALITY, THUMBNAIL_SIDE_PX, without_metadata
from ..schema import CONTENT_HASH, URI
from ..store.folder import resolve_address
from .pack import block_bytes

if TYPE_CHECKING:
    from ..content.levels import Level
    from ..project import Project
    from ..protocol.pictures import Pictures

T = TypeVar("T")
R = TypeVar("R")

STEPS = (
    (768, 82), (640, 82), (512, 82), (384, 80), (320, 80), (256, 80), (192, 80),
    (THUMBNAIL_SIDE_PX, THUMBNAIL_QUALITY), (96, 75), (64, 70), (48, 60), (32, 60),
)  # fmt: skip
"""Long sides in pixels and JPEG qualities, from the best on; the first that fits is taken."""
LEAST_SIDE_PX, MOST_SIDE_PX = 16, 2048
SMALL_SIDE_PX = 96
"""Below, a tile is blurred at the size it has at first."""
_GIVEN_QUALITY = 80
_WHOLE_QUALITY = 85
_SAMPLED = 32
_SLACK = 1.08
"""How much larger than the sample all pictures may turn out before the next step is tried."""
_CROP_BATCH = 64
_SHOWN_AFTER_S = 0.7


@dataclass(frozen=True)
class Album:
    """Encoded pictures and how large they were made; `side` 0 where there are none."""

    blobs: list[bytes]
    side: int
    quality: int

    @property
    def bytes(self) -> int:
        """What they take in a page."""
        return block_bytes(sum(map(len, self.blobs)))

    def told(self) -> str:
        """Say what was chosen."""
        if not self.side:
            return "without pictures"
        return f"pictures of at most {self.side} px, JPEG quality {self.quality}, {self.bytes / 1e6:.1f} MB"


def no_pictures(n: int) -> Album:
    """Return an album of `n` missing pictures."""
    return Album([b""] * n, 0, 0)


def fitted(project: Project, items: pl.DataFrame, room: int, side: int | None = None) -> Album:
    """Make a picture of each item, as large as fits.

    Parameters
    ----------
    project : Project
    items : pl.DataFrame
        Rows of the level of items, one a picture.
    room : int
        Bytes of the page that all of them may take.
    side : int, optional
        The long side in pixels; by default the largest of `STEPS` that fits.

    Raises
    ------
    InputError
        They do not fit at that side, or at none.
    """
    largest = int(items.select(pl.max_horizontal("width", "height").max()).item() or 0)
    steps = _steps(largest) if side is None else [(side, _GIVEN_QUALITY)]
    sample = _sampled(project, items)
    if not sample:  # the images are not at hand: what is stored of them is shown
        stored = Album(_stored(project, items), THUMBNAIL_SIDE_PX, THUMBNAIL_QUALITY)
        if stored.bytes > room:
            raise _too_large(items.height, stored.bytes, room, None)
        return stored
    for px, quality in steps:
        guess = block_bytes(int(np.mean([len(encode(p, px, quality)) for p in sample]) * items.height))
        if guess > room and side is None:
            continue
        album = Album(_all(project, items, px, quality), px, quality)
        if album.bytes <= room:
            return replace(album, side=min(px, largest or px))
        if side is not None:
            best = next((s for s, q in STEPS if s < side and _guess(sample, s, q, items.height) <= room), None)
            raise _too_large(items.height, album.bytes, room, best)
    raise _too_large(items.height, _guess(sample, *STEPS[-1], items.height), room, None)


def _steps(largest: int) -> list[tuple[int, int]]:
    """Return the sizes to try: one that leaves every pixel, then smaller ones."""
    stored = (THUMBNAIL_SIDE_PX, THUMBNAIL_QUALITY)  # small images are their own thumbnails
    first = stored if 0 < largest <= THUMBNAIL_SIDE_PX else (largest, _WHOLE_QUALITY)
    smaller = [step for step in STEPS if step[0] < largest] if largest else list(STEPS)
    return [first, *smaller] if 0 < largest <= STEPS[0][0] else smaller


def _too_large(n: int, size: int, room: int, best: int | None) -> InputError:
    fewer = f"Export fewer rows, such as view.sample({max(1, int(n * room / max(size, 1) / _SLACK))}); "
    smaller = f"thumbnails={best} fits; " if best else ""
    return InputError(
        f"{n:,} pictures take {size / 1e6:,.1f} MB; the page has room for {max(room, 0) / 1e6:,.1f} MB.",
        f"{smaller}{fewer}or raise max_mb, or leave pictures out with thumbnails=0.",
    )


def _guess(sample: list[NDArray[np.uint8]], side: int, quality: int, n: int) -> int:
    return block_bytes(int(np.mean([len(encode(p, side, quality)) for p in sample]) * n * _SLACK))


def encode(pixels: NDArray[np.uint8], side: int, quality: int) -> bytes:
    """Encode (h, w, 3) uint8 pixels as a JPEG whose long side is at most `side`."""
    from ..images.decode import encode_jpeg, shrink

    return encode_jpeg(shrink(pixels, side), quality)


def _sampled(project: Project, items: pl.DataFrame) -> list[NDArray[np.uint8]]:
    """Decode some images, evenly from first to last."""
    places = np.unique(np.linspace(0, items.height - 1, min(_SAMPLED, items.height)).round().astype(int))
    found = _each(lambda uri: _pixels(project, uri), items[URI].gather(places).to_list(), "")
    return [p for p in found if p is not None]


def _all(project: Project, items: pl.DataFrame, side: int, quality: int) -> list[bytes]:
    uris = items[URI].to_list()
    at_hand = (side, quality) == (THUMBNAIL_SIDE_PX, THUMBNAIL_QUALITY)
    out = _stored(project, items) if at_hand else [b""] * items.height
    missing = [i for i, blob in enumerate(out) if not blob]

    def make(uri: str) -> bytes:
        pixels = _pixels(project, uri)
        return b"" if pixels is None else encode(pixels, side, quality)

    for i, blob in zip(missing, _each(make, [uris[i] for i in missing], "pictures"), strict=True):
        out[i] = blob
    return out


def _stored(project: Project, items: pl.DataFrame) -> list[bytes]:
    """Return the thumbnails that the project keeps; empty where it has none."""
    hashes = items[CONTENT_HASH].fill_null("0" * 32).to_list()
    return [without_metadata(blob) if blob else b"" for blob in project._thumbnails.get(hashes)]


def _pixels(project: Project, uri: str) -> NDArray[np.uint8] | None:
    from ..images.address import read_bytes
    from ..images.decode import decode

    try:
        return decode(read_bytes(resolve_address(uri, project._bases)))
    except (EawError, OSError):
        return None


def crops(
    pictures: Pictures, level: Level, items: Level, rows: NDArray[np.uint32], room: int
) -> tuple[Album, list[dict[str, Any] | None]]:
    """Cut each object out of its image; return the pictures and the outlines in them.

    Raises
    ------
    InputError
        They do not fit at any side.
    """
    blobs: list[bytes] = [b""] * rows.size
    shapes: list[dict[str, Any] | None] = [None] * rows.size
    # Those of one image together: it is decoded once.
    lies_on = rows if level.item_rows is None else level.item_rows.gather(rows).to_numpy()
    order = np.argsort(lies_on, kind="stable")
    parts = [order[i : i + _CROP_BATCH] for i in range(0, len(order), _CROP_BATCH)]
    for part, (made, outlines) in zip(
        parts, _shown((pictures.crops(level, items, rows[p]) for p in parts), len(parts), "crops"), strict=True
    ):
        for place, blob, outline in zip(part.tolist(), made, outlines, strict=True):
            blobs[place], shapes[place] = blob, outline
    album = Album(blobs, THUMBNAIL_SIDE_PX, THUMBNAIL_QUALITY)
    for side, quality in STEPS:
        if album.bytes <= room:
            return album, shapes
        if side < THUMBNAIL_SIDE_PX:
            smaller = _each(lambda blob, s=side, q=quality: _again(blob, s, q), blobs, "smaller crops")  # type: ignore[misc]
            album = Album(smaller, side, quality)
    if album.bytes <= room:
        return album, shapes
    raise _too_large(rows.size, album.bytes, room, None)


def _again(blob: bytes, side: int, quality: int) -> bytes:
    from ..images.decode import decode

    return encode(decode(blob), side, quality) if blob else b""


def _each(work: Callable[[T], R], values: list[T], title: str) -> list[R]:
    """Work on each value, in threads."""
    with ThreadPoolExecutor(os.cpu_count() or 2, thread_name_prefix="eaw-export") as pool:
        return list(_shown(pool.map(work, values), len(values), title))


def _shown(values: Iterable[T], n: int, title: str) -> Iterable[T]:
    """Show progress where it takes longer than a moment."""
    if not title or n == 0:
        return values
    from tqdm.auto import tqdm

    bar: Iterable[T] = tqdm(values, total=n, desc=title, unit="", delay=_SHOWN_AFTER_S, leave=False)
    return bar
