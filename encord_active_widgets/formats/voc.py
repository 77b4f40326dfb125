"""Pascal VOC: one XML file an image."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any
from xml.parsers import expat

import polars as pl

from ..errors import EmptyFolderError, InputError
from ..schema import (
    CLASS_NAME,
    EXTRA,
    KIND_BOX,
    KIND_POLYGON,
    KIND_ROTATED_BOX,
    LABELS,
    URI,
)
from .folder import IMAGE_SUFFIXES, within
from .geometry_columns import MOST_PX
from .source import Fault, Source, existing, valid_text

FORMAT = "voc"
FOLDER = "Annotations"
"""Where XML files lie in a VOC dataset."""
_SHAPES = ("bndbox", "rotated_bndbox", "robndbox", "polygon")
OF_OBJECT = frozenset({"name", "track_id", *_SHAPES})
OF_IMAGE = frozenset({"#", "filename", "size", "object"})
"""Elements with columns of their own: all others are kept in `extra`."""
DEEPEST = 32
_MOST_CHARACTERS = 1_000_000
_GLOB_CHARACTERS = frozenset("*?[")
SHOWN = 60

Node = dict[str, Any]


def read_voc(
    annotations: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, images: str | os.PathLike[str]
) -> Source:
    """Read a folder (with its sub-folders), a pattern or a list of VOC files.

    A box is `x = xmin, y = ymin, w = xmax - xmin, h = ymax - ymin`: no pixel is added, so that
    numbers are those of other formats of the same set. `rotated_bndbox` (centre, width, height,
    angle in radians) and `polygon` (`x1, y1, x2, …`) are read as well; all else on an object
    (`difficult`, `truncated`, `pose`, parts …) and on an image (`folder`, `source`, `segmented` …) is
    kept as JSON in `extra`.

    Parameters
    ----------
    annotations : path, pattern or list
        The XML files.
    images : path
        The folder that `filename` starts from; of a file in a sub-folder of `annotations`, the
        sub-folder of the same name.

    Raises
    ------
    EmptyFolderError
        There is no XML file, or no image folder.
    InputError
        None of the files can be used.
    """
    files, top = _files(annotations)
    folder = existing(Path(images), "image folder")
    faults: list[Fault] = []
    columns: dict[str, list[Any]] = {
        k: [] for k in (URI, "kind", CLASS_NAME, "x", "y", "w", "h", "angle", "points", "track_id", EXTRA)
    }
    uris: dict[str, str | None] = {}
    sizes: list[tuple[str, float | None, float | None]] = []
    images_there = _Images(folder)
    for file in files:
        shown = os.fsencode(file).decode("utf-8", "backslashreplace")
        try:
            root = parse_xml(file)
        except InputError as error:
            faults.append(Fault(shown, "skipped", error.message, error.remedy))
            continue
        uri = _address(root, file, _below(file, top), shown, images_there, faults)
        if uri is None:
            continue
        if uri in uris:
            faults.append(Fault(shown, "skipped", "another file describes the same image", "keep one of them"))
            continue
        uris[uri] = _about(root)
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
    items = pl.DataFrame({URI: list(uris), EXTRA: list(uris.values())}, schema={URI: pl.String, EXTRA: pl.String})
    return Source(
        items if any(uris.values()) else items.select(URI),
        name,
        card,
        labels=labels,
        faults=faults,
        header={"format": FORMAT},
        sizes=pl.DataFrame(sizes, schema={URI: pl.String, "width": pl.Float64, "height": pl.Float64}, orient="row"),
    )


def _files(
    annotations: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> tuple[list[Path], Path | None]:
    """Return the XML files, and the folder that their sub-folders start from."""
    if not isinstance(annotations, (str, os.PathLike)):
        return [Path(a) for a in annotations], None
    text = os.fspath(annotations)
    path = Path(text)
    top: Path | None = path
    if not path.exists() and any(c in _GLOB_CHARACTERS for c in text):
        plain = next(i for i, part in enumerate(path.parts) if any(c in _GLOB_CHARACTERS for c in part))
        top = Path(*path.parts[:plain])
        root = Path(path.anchor) if path.is_absolute() else Path()
        found = sorted(root.glob(str(path.relative_to(path.anchor)) if path.is_absolute() else text))
    else:
        existing(path, "annotation folder")
        found = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
        top = path if path.is_dir() else None
    if not found:
        raise EmptyFolderError(f'There is no XML file in "{annotations}".', "Give the folder that holds them.")
    return found, top


def _below(file: Path, top: Path | None) -> str:
    """Return the sub-folder that an XML file lies in; "" for none."""
    if top is None or not file.is_relative_to(top):
        return ""
    below = os.fspath(file.parent.relative_to(top))
    return "" if below == "." or not valid_text(below) else below


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
        if len(stack) > DEEPEST:
            raise InputError(f"it is nested more than {DEEPEST} deep.", "Is it an annotation?")
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
    """The image folder: a part of it is listed once, when a file does not name its image as it is called there."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.fspath(folder)
        self._by_stem: dict[str, dict[str, str]] = {}

    def named_like(self, below: str, stem: str) -> str | None:
        """Return the first image of a sub-folder, in name order, whose name is `stem` and a suffix."""
        if below not in self._by_stem:
            try:
                names = [p.name for p in Path(self.folder, below).iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
            except OSError:
                names = []
            ordered = sorted(names, reverse=True)
            self._by_stem[below] = {PurePath(n).stem: os.path.join(below, n) for n in ordered if valid_text(n)}  # noqa: PTH118
        return self._by_stem[below].get(stem)


def _is_there(uri: str) -> bool:
    try:
        return Path(uri).exists()
    except (OSError, ValueError):  # a name longer than any file's
        return False


def _address(root: Node, file: Path, below: str, shown: str, images: _Images, faults: list[Fault]) -> str | None:
    """Return the image a file is about: the one it names, else one with the file's own name.

    Both are looked for in the sub-folder the file itself lies in, then in the folder of all images.
    """
    name = _text(root, "filename")
    if name and valid_text(name):
        named, climbing = within(images.folder, [name])
        faults.extend(climbing)
        if named[0] is None:
            return None
        near = os.path.join(images.folder, below, name)  # noqa: PTH118 - addresses are text
        there = next((uri for uri in dict.fromkeys((near, named[0])) if _is_there(uri)), None)
        if there is not None:
            return there
    found = (images.named_like(place, file.stem) for place in dict.fromkeys((below, "")))
    beside = next((n for n in found if n is not None), None)
    if beside is not None:
        if name and name != file.stem:
            why = f'it names "{name[:SHOWN]}", which does not exist; "{beside}", named like the file, is taken for it'
            faults.append(Fault(shown, "kept", why, "check that it is the right image, and correct <filename>"))
        return os.path.join(images.folder, beside)  # noqa: PTH118
    if not name:
        faults.append(Fault(shown, "skipped", "it names no image", "add <filename>"))
        return None
    return os.path.join(images.folder, name)  # noqa: PTH118


def _about(root: Node) -> str | None:
    """Return what else a file says of its image, as JSON; None for nothing."""
    about = {k: [_plain(n) for n in v] for k, v in root.items() if k not in OF_IMAGE}
    if not about:
        return None
    return json.dumps({FORMAT: {k: v[0] if len(v) == 1 else v for k, v in about.items()}}, ensure_ascii=False)


def _object(node: Node, uri: str, where: str, columns: dict[str, list[Any]], faults: list[Fault]) -> None:
    name = _text(node, "name")
    shape = _shape(node)
    if not name:
        faults.append(Fault(where, "skipped", "it has no name", "add <name>"))
        return
    if isinstance(shape, str):
        faults.append(Fault(where, "skipped", shape, "draw it again or remove it"))
        return
    extra = {k: [_plain(n) for n in v] for k, v in node.items() if k not in OF_OBJECT and k != "#"}
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
        shown = ", ".join(str(_text(box, k))[:SHOWN] for k in ("xmin", "ymin", "xmax", "ymax"))
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
