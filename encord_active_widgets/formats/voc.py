"""Pascal VOC: one XML file an image, in and out."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

import polars as pl

from ..errors import EmptyFolderError, InputError
from ..schema import (
    CLASS_NAME,
    EXTRA,
    ITEM_ID,
    KIND_BOX,
    KIND_CLASSIFICATION,
    KIND_POLYGON,
    KIND_ROTATED_BOX,
    LABELS,
    URI,
)
from .folder import IMAGE_SUFFIXES, within
from .geometry_columns import MOST_PX
from .source import Fault, Source, existing, valid_text

FORMAT = "voc"
_FOLDER = "Annotations"
_SHAPES = ("bndbox", "rotated_bndbox", "robndbox", "polygon")
_KNOWN = frozenset({"name", "track_id", *_SHAPES})
_DEEPEST = 32
_MOST_CHARACTERS = 1_000_000
_GLOB_CHARACTERS = frozenset("*?[")
_SHOWN = 60

Node = dict[str, Any]


def read_voc(
    annotations: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, images: str | os.PathLike[str]
) -> Source:
    """Read a folder (with its sub-folders), a pattern or a list of VOC files.

    A box is `x = xmin, y = ymin, w = xmax - xmin, h = ymax - ymin`: no pixel is added, so that
    numbers are those of other formats of the same set. `rotated_bndbox` (centre, width, height,
    angle in radians) and `polygon` (`x1, y1, x2, …`) are read as well; all else on an object
    (`difficult`, `truncated`, `pose`, parts …) is kept as JSON in `extra`.

    Parameters
    ----------
    annotations : path, pattern or list
        The XML files.
    images : path
        The folder that `filename` starts from.

    Raises
    ------
    EmptyFolderError
        There is no XML file, or no image folder.
    InputError
        None of the files can be used.
    """
    files = _files(annotations)
    folder = existing(Path(images), "image folder")
    faults: list[Fault] = []
    columns: dict[str, list[Any]] = {
        k: [] for k in (URI, "kind", CLASS_NAME, "x", "y", "w", "h", "angle", "points", "track_id", EXTRA)
    }
    uris: dict[str, None] = {}
    sizes: list[tuple[str, float | None, float | None]] = []
    images_there = _Images(folder)
    for file in files:
        shown = os.fsencode(file).decode("utf-8", "backslashreplace")
        try:
            root = parse_xml(file)
        except InputError as error:
            faults.append(Fault(shown, "skipped", error.message, error.remedy))
            continue
        uri = _address(root, file, shown, images_there, faults)
        if uri is None:
            continue
        if uri in uris:
            faults.append(Fault(shown, "skipped", "another file describes the same image", "keep one of them"))
            continue
        uris[uri] = None
        size = _one(root, "size") or {}
        sizes.append((uri, _number(_text(size, "width")), _number(_text(size, "height"))))
        for i, node in enumerate(_all(root, "object")):
            _object(node, uri, f"{shown}: object {i + 1}", columns, faults)
    if not uris:
        first = f" The first: {faults[0].why}" if faults else ""
        raise InputError(
            f'None of the {len(files):,} files of "{annotations}" can be used.{first}', "Expected VOC XML."
        )
    labels = pl.DataFrame(columns, schema={k: LABELS.columns.get(k, pl.String) for k in columns})
    name = folder.resolve().name if folder.name not in ("images", "JPEGImages") else folder.resolve().parent.name
    place = os.fspath(annotations) if isinstance(annotations, (str, os.PathLike)) else None
    card = {"format": FORMAT, "annotations": place, "images": os.fspath(images)}
    return Source(
        pl.DataFrame({URI: list(uris)}),
        name,
        card,
        labels=labels,
        faults=faults,
        header={"format": FORMAT},
        sizes=pl.DataFrame(sizes, schema={URI: pl.String, "width": pl.Float64, "height": pl.Float64}, orient="row"),
    )


def _files(annotations: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    if not isinstance(annotations, (str, os.PathLike)):
        return [Path(a) for a in annotations]
    text = os.fspath(annotations)
    path = Path(text)
    if not path.exists() and any(c in _GLOB_CHARACTERS for c in text):
        root = Path(path.anchor) if path.is_absolute() else Path()
        found = sorted(root.glob(str(path.relative_to(path.anchor)) if path.is_absolute() else text))
    else:
        existing(path, "annotation folder")
        found = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
    if not found:
        raise EmptyFolderError(f'There is no XML file in "{annotations}".', "Give the folder that holds them.")
    return found


# -- XML ---------------------------------------------------------------------------------------------


def parse_xml(file: Path) -> Node:
    """Read a small XML file as nested dicts: `{"#": text, "child": [dict, …]}`.

    Declarations of entities are refused, so that nothing expands and nothing is fetched.

    Raises
    ------
    InputError
        The file cannot be read, is not XML, declares entities, or is nested too deep.
    """
    parser = expat.ParserCreate()
    stack: list[Node] = [{}]
    texts: list[list[str]] = [[]]
    lengths = [0]

    def start(name: str, _: Any) -> None:
        if len(stack) > _DEEPEST:
            raise InputError(f"it is nested more than {_DEEPEST} deep.", "Is it an annotation?")
        node: Node = {"#": ""}
        stack[-1].setdefault(name, []).append(node)
        stack.append(node)
        texts.append([])
        lengths.append(0)

    def end(_: str) -> None:
        stack.pop()["#"] = "".join(texts.pop())
        lengths.pop()

    def text(data: str) -> None:
        texts[-1].append(data)  # joined once at the end: adding piece to piece copies the whole each time
        lengths[-1] += len(data)
        if lengths[-1] > _MOST_CHARACTERS:
            raise InputError("one of its values has more than a million characters.", "Is it an annotation?")

    def refuse(*_: Any) -> Any:
        raise InputError("it declares entities, which are not read.", "Remove its DOCTYPE.")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        raise InputError(f"it is not XML: {error}.", "Check that the file is complete.") from error
    except (OSError, UnicodeError, ValueError, LookupError) as error:
        raise InputError(f"it cannot be read: {error}.", "Check the file and its encoding.") from error
    roots = [nodes[0] for nodes in stack[0].values()]
    return roots[0] if roots else {}


def _all(node: Node, name: str) -> list[Node]:
    found = node.get(name, [])
    return found if isinstance(found, list) else []


def _one(node: Node, name: str) -> Node | None:
    found = _all(node, name)
    return found[0] if found else None


def _text(node: Node, name: str) -> str | None:
    child = _one(node, name)
    return None if child is None else str(child["#"]).strip()


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None and len(text) < _MOST_CHARACTERS else math.nan
    except (ValueError, OverflowError):
        return None
    return value if abs(value) <= MOST_PX else None


def _plain(node: Node) -> Any:
    """Return a node as plain JSON: its text, or its children by name."""
    children = {k: [_plain(n) for n in v] for k, v in node.items() if k != "#"}
    if not children:
        return str(node["#"]).strip()
    return {k: v[0] if len(v) == 1 else v for k, v in children.items()}


# -- what a file says --------------------------------------------------------------------------------


class _Images:
    """The image folder: listed once, when a file does not name its image as it is called there."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.fspath(folder)
        self._by_stem: dict[str, str] | None = None

    def named_like(self, stem: str) -> str | None:
        """Return the first image, in name order, whose name is `stem` and a suffix."""
        if self._by_stem is None:
            try:
                names = [p.name for p in Path(self.folder).iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
            except OSError:
                names = []
            self._by_stem = {PurePath(n).stem: n for n in sorted(names, reverse=True) if valid_text(n)}
        return self._by_stem.get(stem)


def _is_there(uri: str) -> bool:
    try:
        return Path(uri).exists()
    except (OSError, ValueError):  # a name longer than any file's
        return False


def _address(root: Node, file: Path, shown: str, images: _Images, faults: list[Fault]) -> str | None:
    """Return the image a file is about: the one it names, else one with the file's own name."""
    name = _text(root, "filename")
    if name and valid_text(name):
        uris, climbing = within(images.folder, [name])
        faults.extend(climbing)
        if uris[0] is None:
            return None
        if _is_there(uris[0]):
            return uris[0]
    beside = images.named_like(file.stem)
    if beside is not None:
        return os.path.join(images.folder, beside)  # noqa: PTH118 - addresses are text
    if not name:
        faults.append(Fault(shown, "skipped", "it names no image", "add <filename>"))
        return None
    return os.path.join(images.folder, name)  # noqa: PTH118


def _object(node: Node, uri: str, where: str, columns: dict[str, list[Any]], faults: list[Fault]) -> None:
    name = _text(node, "name")
    shape = _shape(node)
    if not name:
        faults.append(Fault(where, "skipped", "it has no name", "add <name>"))
        return
    if isinstance(shape, str):
        faults.append(Fault(where, "skipped", shape, "draw it again or remove it"))
        return
    extra = {k: [_plain(n) for n in v] for k, v in node.items() if k not in _KNOWN and k != "#"}
    flat = {k: v[0] if len(v) == 1 else v for k, v in extra.items()}
    row = {URI: uri, CLASS_NAME: name, "angle": None, "points": None, "track_id": _text(node, "track_id"),
           EXTRA: json.dumps(flat, ensure_ascii=False) if flat else None, **shape}  # fmt: skip
    for key, values in columns.items():
        values.append(row[key])


def _shape(node: Node) -> dict[str, Any] | str:
    """Return an object's geometry, or why it has none."""
    turned = _one(node, "rotated_bndbox") or _one(node, "robndbox")
    if turned is not None:
        values = [_number(_text(turned, k)) for k in ("cx", "cy", "w", "h", "angle")]
        if any(v is None for v in values):
            return "its rotated box is not five finite numbers"
        cx, cy, w, h, angle = (float(v or 0) for v in values)
        if w <= 0 or h <= 0:
            return f"its box has no area (width {w:g}, height {h:g})"
        degrees = math.degrees(angle)
        return {"kind": KIND_ROTATED_BOX, "x": cx - w / 2, "y": cy - h / 2, "w": w, "h": h, "angle": degrees}
    polygon = _one(node, "polygon")
    if polygon is not None:
        return _polygon(polygon)
    box = _one(node, "bndbox")
    if box is None:
        return "it has no bndbox"
    corners = [_number(_text(box, k)) for k in ("xmin", "ymin", "xmax", "ymax")]
    if any(v is None for v in corners):
        shown = ", ".join(str(_text(box, k))[:_SHOWN] for k in ("xmin", "ymin", "xmax", "ymax"))
        return f"its bndbox is not four finite numbers ({shown})"
    x0, y0, x1, y1 = (float(v or 0) for v in corners)
    if x1 <= x0 or y1 <= y0:
        return f"its box has no area (width {x1 - x0:g}, height {y1 - y0:g})"
    return {"kind": KIND_BOX, "x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0}


def _polygon(node: Node) -> dict[str, Any] | str:
    points: list[float] = []
    k = 1
    while f"x{k}" in node:
        pair = (_number(_text(node, f"x{k}")), _number(_text(node, f"y{k}")))
        if pair[0] is None or pair[1] is None:
            return "its polygon has numbers that are none"
        points += [pair[0], pair[1]]
        k += 1
    if len(points) < 6:
        return "its polygon has fewer than three points"
    xs, ys = points[0::2], points[1::2]
    x, y = min(xs), min(ys)
    return {"kind": KIND_POLYGON, "points": points, "x": x, "y": y, "w": max(xs) - x, "h": max(ys) - y}


# -- out ---------------------------------------------------------------------------------------------


@dataclass
class Written:
    """What was written: the files, and what the format has no words for."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_voc(items: pl.DataFrame, labels: pl.DataFrame, folder: Path) -> Written:
    """Write one XML an image below `folder/Annotations`.

    Parameters
    ----------
    items : pl.DataFrame
        `item_id`, `file_name` (relative), `width`, `height`.
    labels : pl.DataFrame
        Labels of these items.

    Raises
    ------
    InputError
        A file name leaves the folder.
    """
    out = Written()
    objects = labels.filter(pl.col("kind") != KIND_CLASSIFICATION)
    if objects.height < labels.height:
        out.notes.append(f"{labels.height - objects.height:,} classes of whole images: VOC has no place for them")
    parts = (pl.col("kind") == KIND_POLYGON) & (pl.col("rings").list.len() > 1)
    several = objects.filter(parts).height if "rings" in objects.columns else 0
    if several:
        out.notes.append(f"{several:,} polygons of several parts: written as their bounding box")
    others = objects.filter(~pl.col("kind").is_in([KIND_BOX, KIND_ROTATED_BOX, KIND_POLYGON]))
    for kind, n in others["kind"].value_counts(sort=True).iter_rows():
        out.notes.append(f"{n:,} of kind {kind}: written as their bounding box")
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in objects.iter_rows(named=True):
        by_item.setdefault(row[ITEM_ID], []).append(row)
    taken: set[Path] = set()
    dropped: dict[str, int] = {}
    for item in items.iter_rows(named=True):
        file = _xml_file(folder / _FOLDER, item["file_name"], taken)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(_lines(item, by_item.get(item[ITEM_ID], []), dropped)), "utf-8")
        out.files.append(file)
    out.notes += [f"{n:,} of {key}: VOC cannot hold it" for key, n in dropped.items()]
    return out


def _xml_file(folder: Path, name: str, taken: set[Path]) -> Path:
    """Return where an image's XML goes: images that differ in their suffix only get a file each."""
    if within(folder, [name])[0][0] is None:
        raise InputError(f'The file name "{name}" leaves the folder "{folder}".', "Write images under relative names.")
    file = folder / PurePath(name).with_suffix(".xml")
    n = 0
    while file in taken:
        file = folder / f"{name}{f'.{n}' if n else ''}.xml"
        n += 1
    taken.add(file)
    return file


def _extra(row: dict[str, Any], dropped: dict[str, int]) -> dict[str, Any]:
    """Return what else an object says, as far as it can stand in XML beside the shape."""
    try:
        extra = json.loads(row[EXTRA]) if row.get(EXTRA) else {}
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        dropped["extra that is no JSON object"] = dropped.get("extra that is no JSON object", 0) + 1
        return {}
    kept = {}
    for key, value in extra.items():
        if key not in _KNOWN and _is_name(key) and _levels(value) < _DEEPEST - 4:
            kept[key] = value
        else:
            said = f'extra "{key[:_SHOWN]}"'
            dropped[said] = dropped.get(said, 0) + 1
    return kept


def _levels(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_levels, inner), default=0)


def _one_ring(row: dict[str, Any]) -> bool:
    return row["kind"] == KIND_POLYGON and len(row.get("rings") or ()) <= 1


def _lines(item: dict[str, Any], rows: Iterable[dict[str, Any]], dropped: dict[str, int]) -> Iterable[str]:
    yield f"<annotation>\n\t<filename>{_safe(item['file_name'])}</filename>\n"
    yield f"\t<size>\n\t\t<width>{item['width']}</width>\n\t\t<height>{item['height']}</height>\n"
    yield "\t\t<depth>3</depth>\n\t</size>\n"
    for row in rows:
        yield f"\t<object>\n\t\t<name>{_safe(row[CLASS_NAME] or '')}</name>\n"
        extra = _extra(row, dropped)
        if row["kind"] not in (KIND_BOX, KIND_ROTATED_BOX) and not _one_ring(row):
            extra.setdefault("kind", row["kind"])
        yield from _elements(extra, 2)
        if row.get("track_id") is not None:
            yield f"\t\t<track_id>{_safe(row['track_id'])}</track_id>\n"
        yield from _geometry(row)
        yield "\t</object>\n"
    yield "</annotation>\n"


def _geometry(row: dict[str, Any]) -> Iterable[str]:
    x, y, w, h = row["x"], row["y"], row["w"], row["h"]
    if row["kind"] == KIND_ROTATED_BOX:
        values = {"cx": x + w / 2, "cy": y + h / 2, "w": w, "h": h, "angle": math.radians(row.get("angle") or 0.0)}
        yield "\t\t<rotated_bndbox>" + "".join(f"<{k}>{v!r}</{k}>" for k, v in values.items()) + "</rotated_bndbox>\n"
        return
    if _one_ring(row):
        pairs = zip(row["points"][0::2], row["points"][1::2], strict=True)
        inner = "".join(f"<x{i}>{_short(a)}</x{i}><y{i}>{_short(b)}</y{i}>" for i, (a, b) in enumerate(pairs, 1))
        yield f"\t\t<polygon>{inner}</polygon>\n"
    corners = {"xmin": x, "ymin": y, "xmax": _sum(x, w), "ymax": _sum(y, h)}
    yield "\t\t<bndbox>" + "".join(f"<{k}>{_short(v)}</{k}>" for k, v in corners.items()) + "</bndbox>\n"


def _sum(start: float, size: float) -> float:
    """Return an end whose distance from the start is the size again, to the last bit where that exists."""
    end = start + size
    for candidate in (end, math.nextafter(end, math.inf), math.nextafter(end, -math.inf)):
        if candidate - start == size:
            return candidate
    return end


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _safe(text: Any) -> str:
    """Escape text; characters that no XML can hold are left out."""
    held = (
        c
        for c in str(text)
        if (c in "\t\n\r" or c >= " ") and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff"
    )
    return escape("".join(held), {"\r": "&#13;"})


@lru_cache(maxsize=4096)
def _is_name(key: str) -> bool:
    """Tell whether the parser takes `key` as the name of an element."""
    if not key or any(c in "<>/&'\"=!?" or c.isspace() for c in key):
        return False
    try:
        expat.ParserCreate().Parse(f"<{key}/>", True)
    except (expat.ExpatError, UnicodeError):
        return False
    return True


def _elements(values: dict[str, Any], depth: int) -> Iterable[str]:
    pad = "\t" * depth
    for key, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield f"{pad}<{key}>\n"
                yield from _elements({k: v for k, v in one.items() if _is_name(k)}, depth + 1)
                yield f"{pad}</{key}>\n"
            else:
                yield f"{pad}<{key}>{_safe(one)}</{key}>\n"
