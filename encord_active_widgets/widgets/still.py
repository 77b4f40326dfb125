"""The picture that stands in for an explorer where no kernel runs: a saved notebook, a code host, a printed page.

It travels beside the live widget as `image/png`: hosts that can show widgets rank those first, all others know PNG.
(ipympl puts a picture beside its widget in the same way: its pull request 343.)
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..protocol.filters import EMPTY
from ..schema import CLASS_NAME, CONTENT_HASH, ITEM

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

    from .explorer import Explorer

MOST_ROWS = 200_000
"""Above, only counts are drawn: the first display of a large view must not wait for its picture."""
WIDTH_PX = 760
_TILE_PX, _COLUMNS, _ROWS, _GAP_PX = 76, 6, 2, 4
_MAP_PX = _ROWS * (_TILE_PX + _GAP_PX) - _GAP_PX
_EDGE_PX, _LINE_PX = 14, 19
_MOST_POINTS, _FEW_POINTS = 4_000, 1_000
_MOST_NAMED = 6
_COLOURS = 40
"""Of the photos: they stay recognisable, and the file is a third."""
_SHOWN_SHARE = 0.005
"""Of the points the share at either end of an axis that is drawn on the map's edge: one far off leaves room for all."""
_HUES = ("#346f9f", "#d2752e", "#71b85e", "#c99bd3", "#c82c41", "#42a2a0", "#a17962", "#d1a523", "#e377a2", "#6b7f2a")
_INK, _SOFT, _PAPER, _LINE, _EMPTY = "#1b1e24", "#5d6673", "#ffffff", "#e2e5e9", "#eceef1"
_GREYS = ("#3a3e45", "#8b919a", "#b9bdc4", "#dcdfe3")
HOW = "A picture of an explorer. To use it: pip install encord_active_widgets, and run this cell."


@dataclass(frozen=True)
class Words:
    """What is said of an explorer."""

    title: str
    counts: str
    named: tuple[str, ...]

    def text(self) -> str:
        """Return all of it, for readers without pictures."""
        return "\n".join([f"Explorer of {self.title}: {self.counts}", *self.named, HOW])


def words(explorer: Explorer) -> Words:
    """Say what an explorer shows, in numbers."""
    spec = explorer._spec
    shown = spec["base"]["n"] if spec.get("base") else spec["alive"]
    noun = spec["noun"] + ("" if shown == 1 else "es" if spec["noun"].endswith("s") else "s")
    counts = f"{shown:,} {noun}" + (f" of {spec['alive']:,}" if shown != spec["alive"] else "")
    if explorer._filter.get("spec", EMPTY) != EMPTY:
        counts += ", filtered"
    named = []
    classes = next((c for c in spec["columns"] if c["name"] == CLASS_NAME and c.get("levels")), None)
    if classes is not None:
        named.append(_listed("classes", list(zip(classes["levels"], classes["counts"], strict=True))))
    if spec["tags"]:
        named.append(_listed("tags", [(t["name"], t["count"]) for t in spec["tags"]]))
    return Words(spec["project"]["name"], counts, tuple(named))


def _listed(title: str, counts: list[tuple[str, int]]) -> str:
    shown = ", ".join(f"{name[:40]} {n:,}" for name, n in counts[:_MOST_NAMED])
    more = len(counts) - _MOST_NAMED
    return f"{title}: {shown}{f' and {more:,} more' if more > 0 else ''}"


def draw(explorer: Explorer) -> bytes:
    """Draw the picture of an explorer as it stands: the first images, its map, its counts. Return a PNG."""
    from PIL import Image, ImageDraw, ImageFont

    said = words(explorer)
    small = explorer._service.level.n <= MOST_ROWS
    tiles = _tiles(explorer) if small else []
    points = _map(explorer) if small else None
    has_pictures = bool(tiles) or points is not None
    lines = len(said.named) + 2
    height = 2 * _EDGE_PX + lines * _LINE_PX + (_MAP_PX + _EDGE_PX if has_pictures else 0)
    image = Image.new("RGB", (WIDTH_PX, height), _PAPER)
    pen = ImageDraw.Draw(image)
    fonts = (ImageFont.load_default(15), ImageFont.load_default(13))
    pen.rectangle((0, 0, WIDTH_PX - 1, height - 1), outline=_LINE)
    y = _EDGE_PX
    pen.text((_EDGE_PX, y), said.title[:50], _INK, fonts[0])
    pen.text((_EDGE_PX + pen.textlength(said.title[:50], fonts[0]) + 10, y + 1), said.counts, _SOFT, fonts[1])
    y += _LINE_PX + 4
    if has_pictures:
        _paste(image, pen, tiles, points, y)
        y += _MAP_PX + 10
    for line in (*said.named, HOW):
        pen.text((_EDGE_PX, y), _cut(pen, line, fonts[1]), _SOFT, fonts[1])
        y += _LINE_PX
    out = io.BytesIO()
    _reduced(image, tiles).save(out, "PNG", compress_level=6)
    return out.getvalue()


def _reduced(image: Image.Image, tiles: list[Image.Image | None]) -> Image.Image:
    """Return the picture in few colours: those of text and map as they are, and some that suit the photos."""
    from PIL import Image, ImageColor

    fixed = [ImageColor.getrgb(c)[:3] for c in (_PAPER, _INK, _SOFT, _LINE, _EMPTY, *_GREYS, *_HUES)]
    palette = [value for colour in fixed for value in colour]
    photos = [t for t in tiles if t is not None]
    if photos:
        strip = Image.new("RGB", (_TILE_PX // 2, _TILE_PX // 2 * len(photos)))
        for i, tile in enumerate(photos):
            strip.paste(tile.reduce(2), (0, i * (_TILE_PX // 2)))
        palette += (strip.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT).getpalette() or [])[: 3 * _COLOURS]
    wanted = Image.new("P", (1, 1))
    wanted.putpalette(palette)
    return image.quantize(palette=wanted, dither=Image.Dither.NONE)


def _cut(pen: ImageDraw.ImageDraw, line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Shorten a line to the picture's width."""
    room = WIDTH_PX - 2 * _EDGE_PX
    while len(line) > 1 and pen.textlength(line, font) > room:
        line = f"{line[:-2].rstrip()}…"
    return line


def _paste(image: Image.Image, pen: ImageDraw.ImageDraw, tiles: list[Image.Image | None], points: Any, y: int) -> None:
    x = _EDGE_PX
    step = _TILE_PX + _GAP_PX
    for i, tile in enumerate(tiles):
        at = (x + i % _COLUMNS * step, y + i // _COLUMNS * step)
        if tile is None:
            pen.rectangle((*at, at[0] + _TILE_PX - 1, at[1] + _TILE_PX - 1), _EMPTY)
        else:
            image.paste(tile, at)
    if points is not None:
        start = x + (_COLUMNS * step if tiles else 0) + (10 if tiles else 0)
        image.paste(points(WIDTH_PX - _EDGE_PX - start), (start, y))


def _tiles(explorer: Explorer) -> list[Image.Image | None]:
    """Return the first pictures of the grid, of those that are stored already."""
    from PIL import Image, ImageOps

    if explorer.level != ITEM:
        return []  # objects would have to be cut out of their images
    level = explorer._service.level
    rows = explorer.filtered.rows[: _COLUMNS * _ROWS]
    hashes = level.frame[CONTENT_HASH].gather(rows).fill_null("0" * 32).to_list()
    stored = explorer.view.project._thumbnails.get(hashes)
    if not any(stored):
        return []
    size = (_TILE_PX, _TILE_PX)
    return [ImageOps.fit(Image.open(io.BytesIO(b)).convert("RGB"), size) if b else None for b in stored]


def _map(explorer: Explorer) -> Any:
    """Return what draws the map at a width, or None where there is none."""
    known = explorer._spec["embeddings"]
    if not known:
        return None
    chosen = next((e for e in known if e["name"] == explorer._ui.get("embedding")), known[0])
    vectors = explorer._service._sets()[chosen["name"]]
    asked = explorer._ui.get("layout")
    layout = asked if asked in vectors.layouts else vectors.layouts[-1]
    step = max(1, len(vectors) // _MOST_POINTS)
    places, rows = vectors.layout(layout)[::step], vectors.rows[::step]
    if not len(places):
        return None
    colours = _colours(explorer, rows)

    def drawn(width: int) -> Image.Image:
        from PIL import Image

        pixels = np.full((_MAP_PX, width, 3), 255, np.uint8)
        low, high = np.quantile(places, [_SHOWN_SHARE, 1 - _SHOWN_SHARE], axis=0)
        share = np.clip((places - low) / np.where(high > low, high - low, 1), 0, 1)
        x = np.rint(3 + share[:, 0] * (width - 7)).astype(np.int64)
        y = np.rint(3 + (1 - share[:, 1]) * (_MAP_PX - 7)).astype(np.int64)
        size = 3 if len(places) < _FEW_POINTS else 2
        for dx in range(size):
            for dy in range(size):
                pixels[y + dy, x + dx] = colours
        return Image.fromarray(pixels)

    return drawn


def _colours(explorer: Explorer, rows: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return a colour a row: of its class where classes colour the map, else all alike."""
    hues = np.array([[int(h[i : i + 2], 16) for i in (1, 3, 5)] for h in _HUES], np.uint8)
    service, name = explorer._service, explorer.color
    level = service.level
    columns = service._columns(level)
    if name is None or name not in columns or columns[name].kind != "category":
        return np.broadcast_to(hues[0], (rows.size, 3))
    codes = np.frombuffer(service._cache().encoded(level, name, "codes8"), np.uint8)[rows]
    return np.asarray(hues[codes % len(hues)])
