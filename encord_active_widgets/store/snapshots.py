"""Snapshots: a name for the versions that the tables had, and the folder as it was at one of them.

A snapshot is a small JSON file. It copies no rows: Delta keeps every version of a table, and nothing
here deletes files of older ones.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from .._version import __version__
from ..errors import DiskFullError, InputError, ProjectError, known_name
from ..schema import TableSchema
from .durable import sync_folder, write_json
from .folder import ProjectFolder
from .tables import Table
from .writing import room_for

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from filelock import BaseFileLock

_FOLDER = "snapshots"
_LONGEST_NAME = 120
_LONGEST_NOTE = 10_000
_SHOWN_OF_NAME = 40
_FIRST = ("edits", "changes", "runs")
"""Their versions are taken first: rows that another process adds meanwhile belong to no change that counts then."""


@dataclass(frozen=True)
class Record:
    """What is kept of one snapshot.

    Attributes
    ----------
    versions : dict of str to int
        The Delta version of each table, by its place in the project folder.
    counts : dict of str to int
        How many items, objects, classifications, runs and edits there were.
    embedders : dict of str to dict
        What made each set of embeddings, by its place.
    """

    name: str
    at: str
    note: str
    versions: dict[str, int]
    counts: dict[str, int] = field(default_factory=dict)
    embedders: dict[str, Any] = field(default_factory=dict)
    made_by: str = __version__

    @property
    def time(self) -> dt.datetime:
        """When it was taken."""
        return dt.datetime.fromisoformat(self.at)


def take(folder: ProjectFolder, name: str, note: str, counts: Mapping[str, int]) -> Record:
    """Keep the present version of every table under a name; the folder's lock must be held.

    Raises
    ------
    InputError
        The name is taken or cannot be one.
    """
    file = _file(folder, _checked(name))
    if len(note) > _LONGEST_NOTE:
        raise InputError(f"A note is a text of at most {_LONGEST_NOTE:,} characters.", "Shorten it.")
    if file.exists():
        raise InputError(
            f'There is a snapshot "{name}" already.',
            f'Give another name, or take that one away first: p.delete_snapshot("{name}").',
        )
    first = {place: folder.table_at(place).version() for place in _FIRST}
    versions = first | {place: t.version() for place, t in folder.tables().items() if place not in first}
    now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    record = Record(name, now, note, versions, dict(counts), _embedders(folder))
    try:
        with room_for(f'the snapshot "{name}"'):
            file.parent.mkdir(exist_ok=True)
            write_json(file, asdict(record))
    except DiskFullError:
        raise
    except OSError as error:
        raise ProjectError(
            f'The snapshot "{name}" could not be written: {error.strerror or error}.',
            "Make the folder writable, and take it again.",
        ) from error
    return record


def records(folder: ProjectFolder) -> list[Record]:
    """Read all snapshots, oldest first.

    Raises
    ------
    ProjectError
        One of their files is damaged.
    """
    found = []
    for file in (folder.path / _FOLDER).glob("*.json"):
        try:
            found.append(Record(**json.loads(file.read_text("utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise ProjectError(
                f'The snapshot "{file}" cannot be read: {error}.', "Restore this small file from a copy, or delete it."
            ) from error
    return sorted(found, key=lambda r: (r.at, r.name))


def record(folder: ProjectFolder, name: str) -> Record:
    """Return one snapshot.

    Raises
    ------
    UnknownNameError
        There is none of this name.
    """
    known = {r.name: r for r in records(folder)}
    known_name("snapshot", name, known)
    return known[name]


def delete(folder: ProjectFolder, name: str) -> None:
    """Forget a snapshot; the rows it named stay."""
    record(folder, name)
    _file(folder, name).unlink()
    sync_folder(folder.path / _FOLDER)


class PastTable(Table):
    """A table as it was at one version; -1 where it did not exist yet."""

    def __init__(self, path: Path, columns: TableSchema, version: int, snapshot: str) -> None:
        super().__init__(path, columns)
        self._at = version
        self._snapshot = snapshot

    def stamp(self) -> int:
        """Return the same number always: 0 for a table that did not exist yet."""
        return self._at + 1

    def version(self) -> int:
        """Return the version it is read at."""
        return self._at

    def read(self, version: int | None = None) -> pl.DataFrame:
        """Read the rows of that version, or of an earlier one."""
        return super().read(self._at if version is None else min(version, self._at))

    def history(self) -> list[dict[str, Any]]:
        """Return the commits up to then, newest first."""
        table = self._open()
        return [] if table is None else table.history()

    def _open(self, version: int | None = None) -> DeltaTable | None:
        table = super()._open(self._at if version is None else version)
        place = self.path.parts[-3:-1]
        if table is None and self._at >= 0 and not {"metrics", "embeddings"} & set(place):
            raise ProjectError(
                f'The snapshot "{self._snapshot}" needs version {self._at} of the table "{self.path}", which is gone.',
                "Restore the project folder from a copy. Old files of its tables must not be cleaned away (vacuumed).",
            )
        return table

    def compact(self) -> None:
        """Do nothing: the past has the files it has."""

    def _write(self, frame: pl.DataFrame, mode: Any, cause: Mapping[str, str] | None, durable: bool) -> None:  # noqa: ARG002
        raise read_only(self._snapshot)


class PastFolder(ProjectFolder):
    """A project folder as it was at a snapshot; it is read and not written."""

    def __init__(self, path: Path, of: Record) -> None:
        self.of = of
        super().__init__(path)

    def _table(self, place: str, columns: TableSchema) -> Table:
        return PastTable(self.path / place, columns, self.of.versions.get(place, -1), self.of.name)

    def _names(self, place: str) -> list[str]:
        start = f"{place}/"
        versions = self.of.versions.items()
        return sorted(p.removeprefix(start) for p, v in versions if p.startswith(start) and v >= 0)

    def tables(self) -> dict[str, Table]:
        """Return every table there was, by its place in the folder."""
        return {place: self.table_at(place) for place, version in self.of.versions.items() if version >= 0}

    def keep_up(self, card: dict[str, Any]) -> dict[str, Any]:
        """Return the card with an id."""
        return {**card, "id": card.get("id") or self._first_id(card)}

    def writable(self) -> None:
        """Raise: the past is not changed."""
        raise read_only(self.of.name)

    def lock(self) -> BaseFileLock:
        """Raise: what takes the lock wants to write."""
        raise read_only(self.of.name)

    def write_card(self, card: dict[str, Any]) -> None:  # noqa: ARG002 - as in ProjectFolder
        """Raise: the past is not changed."""
        raise read_only(self.of.name)

    def write_header(self, change_id: str, header: dict[str, Any]) -> None:  # noqa: ARG002
        """Raise: the past is not changed."""
        raise read_only(self.of.name)


def read_only(name: str) -> ProjectError:
    """Build the error for an attempt to change the past."""
    return ProjectError(
        f'This is the project as it was at the snapshot "{name}": it can be looked at and not changed.',
        f'Change the project itself, bring it back to this state with p.restore("{name}"), or take a copy to work on: '
        f'p.at("{name}").clone("…").',
    )


def _embedders(folder: ProjectFolder) -> dict[str, Any]:
    found = {}
    for file in sorted(folder.path.glob("embeddings/*/*/_embedder.json")):
        try:
            found[file.parent.relative_to(folder.path).as_posix()] = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):  # it says where vectors come from, no more
            continue
    return found


def _checked(name: Any) -> str:
    text = name if isinstance(name, str) else ""
    if not text.strip() or text != text.strip() or len(text) > _LONGEST_NAME or any(ord(c) < 32 for c in text):
        raise InputError(
            f"{name!r:.150} cannot name a snapshot.",
            f"Give a text of 1 to {_LONGEST_NAME} characters, without blanks at its ends.",
        )
    return text


def _file(folder: ProjectFolder, name: str) -> Path:
    """Return a file of a name that every system takes, readable as far as it goes."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return folder.path / _FOLDER / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:_SHOWN_OF_NAME]}-{digest}.json"
