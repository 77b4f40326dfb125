"""Small pictures on pages: an image, or an object cut out with its surroundings and a frame around it."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import EawError
from ..schema import CONTENT_HASH, ITEM_ID, URI
from ..store.folder import resolve_address
from .html import Html, marked_up

if TYPE_CHECKING:
    from ..project import Project

Pixels = NDArray[np.uint8]

SIDE_PX = 192
"""Long side of a picture that has a frame; a tile is 136 px wide, sharp at 1.4x."""
_QUALITY = 78
_SURROUNDINGS = 3.0
"""How many times its own size is shown around an object."""
_LEAST_PX = 96
_MOST_BYTES = 40_000
_LONGEST_NAME = 16
_FRAME, _EDGE = (255, 149, 0), (20, 20, 20)


@dataclass(frozen=True)
class Tile:
    """One picture and what is said of it.

    Attributes
    ----------
    blob : bytes
        JPEG, PNG or WebP; empty where the image cannot be read.
    name : str
        In bold below it.
    why : str
        Why it is shown.
    whole : str
        The name where `name` is but its end; shown where one points at it.
    """

    blob: bytes
    name: str
    why: str = ""
    whole: str = ""

    def html(self) -> Html:
        """Return the picture as an item of a list."""
        name = self.whole or self.name
        said = f"{name}: {self.why}" if self.why else name
        picture = f'<div class="none" role="img" aria-label="{escape(said)} (cannot be read)"></div>'
        if self.blob:
            picture = f'<img src="{address(self.blob)}" alt="{escape(said)}" title="{escape(said)}">'
        why = f"<span>{marked_up(_unbroken(self.why))}</span>" if self.why else ""
        caption = f"<b>{escape(_unbroken(self.name))}</b>{why}"
        return Html(f"<li><figure>{picture}<figcaption>{caption}</figcaption></figure></li>\n")


def _unbroken(text: str) -> str:
    """Keep the end of a name on the line of the dots before it."""
    return re.sub(r"…(?=\S)", "…\u2060", text)


def address(blob: bytes) -> str:
    """Return a picture as an address that holds it."""
    from ..images.thumbnails import sniff_mime

    return f"data:{sniff_mime(blob)};base64,{base64.b64encode(blob).decode()}"


def tiles_of(
    project: Project,
    frame: pl.DataFrame,
    why: Sequence[str],
    *,
    boxes: bool = False,
    names: Sequence[str] | None = None,
) -> list[Tile]:
    """Make a tile of each row.

    Parameters
    ----------
    project : Project
    frame : pl.DataFrame
        `item_id` and `uri`; with boxes also `x`, `y`, `w`, `h` in pixels, null where there is no place.
    why : sequence of str
        Of each row.
    boxes : bool
        Cut the rows' boxes out, and frame them.
    names : sequence of str, optional
        By default the names of the files.
    """
    from ..images.thumbnails import without_metadata

    columns = [c for c in (ITEM_ID, CONTENT_HASH) if c in project.items.columns]
    known = project.items.df.select(columns).unique(ITEM_ID, keep="first")
    hashes = frame.select(ITEM_ID).join(known, on=ITEM_ID, how="left", maintain_order="left")[CONTENT_HASH]
    stored = [without_metadata(b or b"") for b in project._thumbnails.get(hashes.fill_null("0" * 32).to_list())]
    shown = names or [file_name(str(uri)) for uri in frame[URI]]
    out = []
    for row, blob, name, reason in zip(frame.iter_rows(named=True), stored, shown, why, strict=True):
        box = _box(row) if boxes else None
        made = (_framed(project, row[URI], box) if box else b"") or blob or _whole(project, row[URI])
        whole = "" if names else PurePath(str(row[URI])).name
        out.append(Tile(made if len(made) <= _MOST_BYTES else _smaller(made), name, reason, whole))
    return out


def file_name(uri: str) -> str:
    """Return the name of a file, its end where it is long: there files of a set differ.

    >>> file_name("/images/BloodImage_00224_jpg.rf.jpg")
    '…0224_jpg.rf.jpg'
    """
    name = PurePath(uri).name
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _box(row: dict[str, Any]) -> tuple[float, float, float, float] | None:
    sides = [row.get(c) for c in ("x", "y", "w", "h")]
    if any(v is None or not np.isfinite(v) for v in sides):
        return None
    x, y, w, h = (float(v) for v in sides if v is not None)
    return x, y, w, h


def _pixels(project: Project, uri: str) -> Pixels | None:
    from ..images.address import read_bytes
    from ..images.decode import decode

    try:
        return decode(read_bytes(resolve_address(uri, project._bases)))
    except (EawError, OSError):
        return None


def _whole(project: Project, uri: str) -> bytes:
    """Make a picture of an image that has none yet; empty where it cannot be read."""
    from ..images.thumbnails import encode_thumbnail

    pixels = _pixels(project, uri)
    return b"" if pixels is None else encode_thumbnail(pixels)


def _smaller(blob: bytes) -> bytes:
    from ..images.decode import decode
    from ..images.thumbnails import encode_thumbnail

    try:
        return encode_thumbnail(decode(blob))
    except EawError:
        return b""


def _framed(project: Project, uri: str, box: tuple[float, float, float, float]) -> bytes:
    """Cut a box out with what lies around it, and draw its frame; empty where the image cannot be read."""
    from PIL import Image, ImageDraw

    from ..images.decode import encode_jpeg

    pixels = _pixels(project, uri)
    if pixels is None:
        return b""
    x, y, w, h = box
    height, width = pixels.shape[:2]
    side = max(_SURROUNDINGS * max(w, h), _LEAST_PX)
    left, top = (int(np.clip(c - side / 2, 0, max(s - side, 0))) for c, s in ((x + w / 2, width), (y + h / 2, height)))
    right, bottom = min(width, int(left + side)), min(height, int(top + side))
    if right - left < 2 or bottom - top < 2:
        return b""
    cut = Image.fromarray(pixels[top:bottom, left:right])
    scale = min(SIDE_PX / max(cut.size), 3.0)
    cut = cut.resize((max(2, round(cut.width * scale)), max(2, round(cut.height * scale))), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(cut)
    corners = [(x - left) * scale, (y - top) * scale, (x + w - left) * scale, (y + h - top) * scale]
    corners = [min(max(v, -4), SIDE_PX * 3 + 4) for v in corners]
    for grow, colour in ((2, _EDGE), (-1, _EDGE), (1, _FRAME), (0, _FRAME)):
        ends = (corners[0] - grow, corners[1] - grow, corners[2] + grow, corners[3] + grow)
        if ends[2] > ends[0] and ends[3] > ends[1]:
            pen.rectangle(ends, outline=colour)
    return encode_jpeg(np.asarray(cut), _QUALITY)


def gallery(tiles: Sequence[Tile]) -> Html:
    """Return tiles side by side."""
    return Html(f'<ul class="tiles">\n{"".join(t.html() for t in tiles)}</ul>\n') if tiles else Html("")
