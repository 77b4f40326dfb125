"""CVAT's XML, element by element: an export of any size is read without being held."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from ..errors import InputError

ANNOTATIONS = "annotations.xml"
"""The file in the archive that CVAT exports."""
_DEEPEST = 16
_MOST_CHARACTERS = 1_000_000
_MOST_UNPACKED_BYTES = 4 * 2**30
_CHUNK_BYTES = 1 << 20
_ROOT = "annotations"

Node = tuple[str, dict[str, str], list[Any]]
"""An element: its name, its attributes, and the texts and elements in it."""


def parse_elements(path: Path, take: Callable[[Node], None]) -> None:
    """Call `take` with each element right below the root, once it is whole.

    Declarations of entities are refused, so that nothing expands and nothing is fetched.

    Raises
    ------
    InputError
        The file cannot be read, is not CVAT's XML, declares entities, or is nested too deep.
    """
    elements = _Elements(path, take)
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(_inside(path, archive)) as stream:
                elements.feed(stream)
        else:
            with path.open("rb") as stream:
                elements.feed(stream)
    except InputError:
        raise
    except expat.ExpatError as error:
        raise InputError(f'"{path}" is not XML: {error}.', "Check that the file is complete.") from error
    except zipfile.BadZipFile as error:
        raise InputError(f'"{path}" is no archive: {error}.', "Export it again.") from error
    except (OSError, ValueError, LookupError, RuntimeError, zlib.error) as error:
        raise InputError(f'"{path}" cannot be read: {error}.', "Check the file and its encoding.") from error


def is_cvat(path: Path) -> bool:
    """Tell whether a file, an archive or a folder is CVAT's: its root is `annotations`."""
    if path.suffix.lower() == ".zip":
        return True
    file = path / ANNOTATIONS if path.is_dir() else path
    try:
        with file.open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        return False
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode("utf-8", "ignore")
    return b"<annotations>" in head or b"<annotations " in head


def text_of(node: Node) -> str:
    """Return the text in an element."""
    return "".join(part for part in node[2] if isinstance(part, str)).strip()


def children(node: Node, name: str) -> list[Node]:
    """Return the elements of a name in an element."""
    return [part for part in node[2] if not isinstance(part, str) and part[0] == name]


def _inside(path: Path, archive: zipfile.ZipFile) -> str:
    found = next((n for n in archive.namelist() if n.rpartition("/")[2] == ANNOTATIONS), None)
    if found is None:
        raise InputError(f'"{path}" holds no {ANNOTATIONS}.', 'Export as "CVAT for images 1.1".')
    return found


class _Elements:
    """Builds one element below the root at a time."""

    def __init__(self, path: Path, take: Callable[[Node], None]) -> None:
        self._path = path
        self._take = take
        self._stack: list[Node] = []
        self._depth = self._length = 0
        parser = self._parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse

    def feed(self, stream: IO[bytes]) -> None:
        size = 0
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > _MOST_UNPACKED_BYTES:
                raise InputError(f'"{self._path}" has more than {_MOST_UNPACKED_BYTES >> 30} GiB.', "Export less.")
            self._parser.Parse(chunk, False)
        self._parser.Parse(b"", True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._length = 0
        if self._depth == 1 and name != _ROOT:
            raise InputError(f'"{self._path}" is no XML of CVAT: its root is "{name[:40]}".', "Export it from CVAT.")
        if self._depth > _DEEPEST:
            raise InputError(f'"{self._path}" is nested more than {_DEEPEST} deep.', "Is it an export of CVAT?")
        if self._depth > 1:
            self._stack.append((name, attributes, []))

    def _end(self, _: str) -> None:
        self._depth -= 1
        if not self._stack:
            return
        node = self._stack.pop()
        if self._stack:
            self._stack[-1][2].append(node)
        else:
            self._take(node)

    def _text(self, data: str) -> None:
        self._length += len(data)
        if self._length > _MOST_CHARACTERS:
            raise InputError(f'"{self._path}" has a value of more than a million characters.', "Is it CVAT's?")
        if self._stack:
            self._stack[-1][2].append(data)

    def _refuse(self, *_: Any) -> Any:
        raise InputError(f'"{self._path}" declares entities, which are not read.', "Remove its DOCTYPE.")
