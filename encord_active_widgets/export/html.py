"""An explorer as one HTML file: opened by a double click, without Python and without a network."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .._version import __version__
from ..errors import InputError, unknown
from ..exchange.exporting import Exported
from ..protocol import PROTOCOL_VERSION
from ..protocol.filters import EMPTY, Spec
from ..protocol.overlays import has_shapes, skeletons
from ..protocol.router import finite
from ..protocol.service import Service
from ..schema import CLASS_NAME, ITEM, OBJECT, run_of
from ..store.rows import encode_rows
from ..store.writing import room_for
from . import contents, pictures
from .overlays import Overlays, chunks
from .pack import Pack, block, block_bytes
from .template import offline_script, page

if TYPE_CHECKING:
    from ..view import View

TAGS = ("collect", "read-only")
ADDRESSES = ("short", "full")
DEFAULT_MB = 40.0
_VERSION = 1
_CHUNK = 256
"""Pictures or images a block: what the page unpacks at once."""
_CROP_SHARE = 0.6
"""Of a page of objects, what their crops may take of the room for pictures; their images get the rest."""
_TEMPLATE_BYTES = 8_000
_MB = 1e6

Rows = NDArray[np.uint32]


class Look(TypedDict):
    """How an explorer stands: what a page begins with."""

    filter: Spec
    expressions: Mapping[str, pl.Expr]
    selected: Rows
    ui: Mapping[str, Any]


def write_html(
    view: View,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    thumbnails: int | None = None,
    tags: str = "collect",
    color: str | None = None,
    sort: str | None = None,
    descending: bool = False,
    addresses: str = "short",
    max_mb: float = DEFAULT_MB,
    look: Look | None = None,
) -> Exported:
    """Write a view as a page; see `View.to_html`. `look` is how an open explorer stands."""
    target = Path(path).expanduser()
    _check(target, thumbnails, tags, addresses, max_mb)
    offline_script()
    service = Service(view)
    if look is not None:
        service.expressions = dict(look["expressions"])
        sliders = look["ui"].get("model")
        if sliders and service.judge is not None:
            service.judge.describe(service.snapshot())
            service.judge.set_state(sliders.get("iou"), sliders.get("confidence"))
    rows = view.rows
    if rows.size == 0:
        raise InputError("The view holds no rows: there is nothing to show.", "Check its filter.")
    for name in (color, sort):
        if name is not None and name not in service.level.frame.columns:
            raise unknown("column", name, service.level.frame.columns)
    ui = {**(_kept(look["ui"]) if look else {}), **_ui(service, color, sort, descending, fresh=look is None)}
    made = _Page(service, rows, look, ui, collects=tags == "collect", full=addresses == "full")
    return made.write(target, title or view.project.name, thumbnails, int(max_mb * _MB))


def _check(target: Path, thumbnails: Any, tags: str, addresses: str, max_mb: float) -> None:
    if target.is_dir():
        raise InputError(f'"{target}" is a folder.', f'Give a file, such as "{target / "review.html"}".')
    if tags not in TAGS:
        raise unknown("way to treat tags", str(tags), TAGS)
    if addresses not in ADDRESSES:
        raise unknown("way to write addresses", str(addresses), ADDRESSES)
    allowed = thumbnails is None or thumbnails == 0 or (
        isinstance(thumbnails, int) and pictures.LEAST_SIDE_PX <= thumbnails <= pictures.MOST_SIDE_PX
    )  # fmt: skip
    if not allowed or isinstance(thumbnails, bool):
        raise InputError(
            f"thumbnails={thumbnails!r} is no size of a picture.",
            f"Give {pictures.LEAST_SIDE_PX} to {pictures.MOST_SIDE_PX} pixels, 0 for none, or nothing for what fits.",
        )
    if not max_mb > 0:
        raise InputError(f"max_mb={max_mb!r} leaves no room.", "Give a size in megabytes, such as 40.")


def _ui(
    service: Service, color: str | None, sort: str | None, descending: bool, *, fresh: bool
) -> dict[str, Any]:  # fmt: skip
    """Return what the page's look begins with, as far as it is asked for."""
    names = service.level.frame.columns
    if color is None and fresh:
        color = next((c for c in ("outcome", CLASS_NAME) if c in names and (c != "outcome" or service.judge)), None)
    ui: dict[str, Any] = {"rev": 1, "by": "py"}
    return ui | ({"color": color} if color else {}) | ({"sort": {"by": sort, "desc": descending}} if sort else {})


def _kept(ui: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in ui.items() if k not in ("rev", "by")}


class _Page:
    def __init__(
        self, service: Service, rows: Rows, look: Look | None, ui: dict[str, Any], *, collects: bool, full: bool
    ) -> None:
        self.service, self.rows, self.collects, self.look, self.ui = service, rows, collects, look, ui
        self.project = service.project
        self.chosen = contents.choose(service, rows, full_addresses=full)
        self.items = service.snapshot().items
        whole = self.chosen.whole
        self.item_rows = rows if whole.item_rows is None else whole.item_rows.gather(rows).to_numpy().astype(np.uint32)
        self.cropped = has_shapes(whole)
        # Pictures of whole images: one an image, however many rows lie on it.
        self.images, self.image_of = np.unique(self.item_rows, return_inverse=True)
        if service.name == ITEM:
            self.images, self.image_of = rows, np.arange(rows.size)
        self.notes: list[str] = []
        self.pack = Pack()

    def write(self, target: Path, title: str, side: int | None, limit: int) -> Exported:
        overlays, more, head = self._overlays()
        head |= self._data(title)
        size = len(offline_script().encode()) + _TEMPLATE_BYTES + sum(map(len, overlays))
        size += block_bytes(len(Pack.encode(self.pack, head)))
        if size > limit:
            raise InputError(
                f"Without any picture the page of {self.rows.size:,} rows takes {size / _MB:,.1f} MB; max_mb is "
                f"{limit / _MB:g}.",
                f"Export fewer rows, such as view.sample({max(1, int(self.rows.size * limit / size / 2))}), or raise "
                "max_mb.",
            )
        tiles, images, shapes = self._albums(side, limit - size)
        head["albums"] = {
            "tiles": {"n": len(tiles.blobs), "of": None},
            "images": None
            if images is None
            else {"n": len(images.blobs), "of": self.pack.add(self.image_of.astype("<u4"))},
        }
        if tiles is images:  # pictures of images, for rows that are classes of them
            head["albums"]["tiles"]["of"] = head["albums"]["images"]["of"]
        heights = self.items.frame.select("width", "height")[self.images]
        head["sizes"] = [self.pack.add(heights[c].fill_null(0).to_numpy().astype("<u4")) for c in ("width", "height")]
        text = [block("data", self.pack.encode(head)), *overlays]

        def blocks() -> Iterator[str]:
            yield from text
            yield from _album_blocks("tiles", tiles, shapes)
            if images is not None and images is not tiles:
                yield from _album_blocks("images", images, None)

        written = _write(target, page(title=title, told=self._told(title), blocks=blocks()))
        self.notes[:0] = self._chosen(written, tiles, images)
        return Exported(target, int(self.images.size), more, self.notes)

    def _chosen(self, written: int, tiles: pictures.Album, images: pictures.Album | None) -> list[str]:
        """Say how large the file and its pictures are."""
        shown = tiles if images is None else images
        out = [f"{written / _MB:.1f} MB: {shown.told()}"]
        if tiles is not shown:
            out.append(f"crops: {tiles.told()}")
        sides = self.items.frame[self.images].select(pl.max_horizontal("width", "height").max())
        if 0 < shown.side < min(pictures.SMALL_SIDE_PX, int(sides.item() or 0)):
            out.append(f"{shown.side} px is small: fewer rows, or a larger max_mb, give larger pictures")
        return out

    # -- data ---------------------------------------------------------------------------------

    def _data(self, title: str) -> dict[str, Any]:
        chosen, pack, service = self.chosen, self.pack, self.service
        told, maps, near = contents.packed_maps(chosen, pack)
        spec = contents.described(chosen, title=self.project.name, collects=self.collects)
        spec["embeddings"] = told
        moved, answers = contents.moved_filter(chosen, self.look["filter"] if self.look else EMPTY, pack)
        rows = self.look["selected"] if self.look else np.empty(0, np.uint32)
        selected = encode_rows(contents.moved_rows(chosen, rows))
        frame = chosen.part.frame
        return {
            "version": _VERSION,
            "page": {"id": uuid.uuid4().hex, "title": title, "made": _now()},
            "project": {"id": self.project._card["id"], "name": self.project.name},
            "level": service.name,
            "key": chosen.part.key,
            "spec": spec,
            "session": {"proto": PROTOCOL_VERSION, "id": service.session, "version": __version__},
            "filter": moved,
            "answers": answers,
            "selected": {"enc": selected.encoding, "n": selected.n, "data": pack.add(selected.data)},
            "ui": finite(self.ui),
            "columns": contents.packed_columns(chosen, pack),
            "searched": contents.searched(frame),
            "tags": contents.packed_tags(chosen.part, pack),
            "maps": maps,
            "near": near,
            "verdicts": contents.packed_verdicts(chosen, pack),
            "chunk": _CHUNK,
        }

    def _overlays(self) -> tuple[list[str], int, dict[str, Any]]:
        """Return the blocks of what is drawn over images, how many objects those are, and what the head says."""
        snapshot, service = self.service.snapshot(), self.service
        labels = Overlays(snapshot.levels[OBJECT], self.images)
        run = run_of(service.name)
        predicted = None
        if run is not None and service.judge is not None and self.cropped:
            predicted = Overlays(service.judge.judged(snapshot), self.images)
        elif run is None and snapshot.runs:
            self.notes.append("predictions are left out: export p.predictions[run] to show those of a run")
        cut = labels.cut + (predicted.cut if predicted else 0)
        if cut:
            self.notes.append(f"only the first objects are drawn on {cut:,} crowded images")
        n = len(labels) + (len(predicted) if predicted else 0)
        blocks = []
        for number, places in enumerate(chunks(self.images.size, _CHUNK) if n else ()):
            pack = Pack()
            found = []
            for place in places:
                objects, buffers = labels.of(int(self.images[place]), pack)
                entry: dict[str, Any] = {"objects": objects, "buffers": buffers}
                if predicted is not None:
                    entry["predictions"], entry["predicted_buffers"] = predicted.of(int(self.images[place]), pack)
                found.append(entry)
            blocks.append(block(f"overlays-{number}", pack.encode(finite({"found": found}))))
        bones = skeletons(self.project) if labels.has_keypoints or (predicted and predicted.has_keypoints) else {}
        return blocks, n, {"overlays": bool(n), "run": run, "skeletons": bones}

    def _albums(
        self, side: int | None, room: int
    ) -> tuple[pictures.Album, pictures.Album | None, list[dict[str, Any] | None] | None]:
        """Return the pictures of rows, those of whole images where they are others, and outlines on the former."""
        frame = self.items.frame[self.images]
        shapes = None
        if side == 0:
            tiles = pictures.no_pictures(self.rows.size)
            return tiles, None, None
        if not self.cropped:
            album = pictures.fitted(self.project, frame, room, side)
            self._count_missing(album)
            return album, (None if self.service.name == ITEM else album), None
        tiles, shapes = pictures.crops(
            self.service._pictures, self.chosen.whole, self.items, self.rows, int(room * _CROP_SHARE)
        )
        album = pictures.fitted(self.project, frame, room - tiles.bytes - _shape_bytes(shapes), side)
        self._count_missing(album)
        return tiles, album, shapes

    def _count_missing(self, album: pictures.Album) -> None:
        missing = sum(not blob for blob in album.blobs)
        if missing:
            self.notes.append(f"{missing:,} images cannot be read; their tiles are empty")

    def _told(self, title: str) -> str:
        """Say below the heading what the explorer itself does not."""
        spec = self.service.spec()
        parts = [] if title == self.project.name else [f"project {self.project.name}"]
        if self.rows.size < spec["alive"]:
            nouns = f"{spec['noun']}{'es' if spec['noun'].endswith('s') else 's'}"
            parts.append(f"{self.rows.size:,} of {spec['alive']:,} {nouns}")
        return " · ".join([*parts, f"{_now()[:16].replace('T', ' ')} UTC"])


def _shape_bytes(shapes: list[dict[str, Any] | None]) -> int:
    return sum(60 + len(str(s["d"])) for s in shapes if s) // 2


def _album_blocks(name: str, album: pictures.Album, shapes: list[dict[str, Any] | None] | None) -> Iterator[str]:
    """Yield the blocks of an album: sizes, pictures end to end, and outlines."""
    if not album.side:
        return
    for number, places in enumerate(chunks(len(album.blobs), _CHUNK)):
        pack, blobs = Pack(), album.blobs[places.start : places.stop]
        head: dict[str, Any] = {"ends": pack.add(np.cumsum([len(b) for b in blobs]).astype("<u4"))}
        head["pictures"] = pack.add(b"".join(blobs))
        if shapes is not None:
            inner = Pack().encode({"shapes": shapes[places.start : places.stop]})
            yield block(f"{name}-shapes-{number}", inner)
        yield block(f"{name}-{number}", pack.encode(head, deflate=False))


def _write(target: Path, parts: Iterator[str]) -> int:
    """Write the file; it is whole or not there. Return its size in bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with room_for(f'"{target}"'):
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(parts)
            size = temporary.stat().st_size
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return size


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


__all__ = ["ADDRESSES", "DEFAULT_MB", "TAGS", "Look", "write_html"]
