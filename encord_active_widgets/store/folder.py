"""The folder of a project: where each table lies, its identity card, its locks."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from .. import schema
from .._version import __version__
from ..errors import InputError, ProjectError
from .durable import write_json
from .tables import GivenTable, Table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from filelock import BaseFileLock
    from numpy.typing import NDArray

CARD = "project.json"
_PIXELS = "metrics/item/pixels"
_OPEN_PLACES = {"metrics/*/*": schema.VALUES, "embeddings/*/*": schema.EMBEDDING, "predictions/*": schema.PREDICTIONS}
_HEADERS = "sources"
_FRAME_MARK = "#pts="
"""What divides a video's path from the time of one of its frames."""
SUFFIX = ".eaw"
_LOCK_WAIT_S = 600.0
_GITIGNORE = """\
# Caches: rebuilt when missing. Copies of images: too large for git.
/cache/
/images/
*.lock
*.tmp
"""
_OLDER_GITIGNORES = ("# Caches: rebuilt when missing.\ncache/\n*.lock\n*.tmp\n",)
_GITATTRIBUTES = """\
# Tables are written once and never joined line by line: p.merge(other) joins the edits of two clones.
* -text -merge
"""
_ID_HEX = 32
_UNSPELT = "[]^|"
"""Marks that the Delta library panics on in a path."""


class ProjectFolder:
    """Paths and tables of one project."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.items = self._table("items", schema.ITEMS)
        self.labels = self._table("labels", schema.LABELS)
        self.runs = self._table("runs", schema.RUNS)
        self.changes = self._table("changes", schema.CHANGES)
        self.problems = self._table("problems", schema.PROBLEMS)
        self.pixels = self._table(_PIXELS, schema.PIXEL_METRICS)
        self.shown: dict[tuple[str, str], pl.DataFrame] = {}
        """Columns that are shown and not stored, by level and family."""
        self.shown_again: dict[str, NDArray[np.int64]] = {}
        """Rows that are shown although they were removed, by level."""

    def _table(self, place: str, columns: schema.TableSchema) -> Table:
        return Table(self.path / place, columns)

    def writable(self) -> None:
        """Raise where nothing may be changed: a project as it was at a snapshot."""

    @property
    def edit_table(self) -> Table:
        """The table of the edit log."""
        return self._table("edits", schema.EDITS)

    def tables(self) -> dict[str, Table]:
        """Return every table there is, by its place in the folder."""
        fixed = (self.items, self.labels, self.runs, self.changes, self.problems, self.pixels, self.edit_table)
        found = {t.path.relative_to(self.path).as_posix(): t for t in fixed if t.exists()}
        for pattern, columns in _OPEN_PLACES.items():
            for log in sorted(self.path.glob(f"{pattern}/_delta_log")):
                place = log.parent.relative_to(self.path).as_posix()
                found.setdefault(place, self._table(place, columns))
        return found

    def table_at(self, place: str) -> Table:
        """Return the table at a place in the folder, whether it is there yet or not.

        Raises
        ------
        ProjectError
            A place that leads out of the folder: the file that names it is damaged, or meant ill.
        """
        if Path(place).is_absolute() or ".." in Path(place).parts or "\\" in place:
            raise ProjectError(f'"{place}" is no table of "{self.path}".', "Delete the snapshot that names it.")
        fixed = {t.path.relative_to(self.path).as_posix(): t for t in (self.items, self.labels, self.runs,
                 self.changes, self.problems, self.pixels, self.edit_table)}  # fmt: skip
        root = place.partition("/")[0]
        columns = next((c for pattern, c in _OPEN_PLACES.items() if pattern.startswith(f"{root}/")), schema.VALUES)
        return fixed.get(place) or self._table(place, columns)

    @property
    def edits(self) -> Path:
        """The edit log's folder."""
        return self.path / "edits"

    @property
    def cache(self) -> Path:
        """What may be deleted at any time."""
        return self.path / "cache"

    def write_header(self, change_id: str, header: dict[str, Any]) -> None:
        """Keep what belongs to a whole source (categories, licences) beside the change that read it."""
        folder = self.path / _HEADERS
        folder.mkdir(exist_ok=True)
        write_json(folder / f"{change_id}.json", header)

    def headers(self) -> list[dict[str, Any]]:
        """Read the headers of all sources whose change was committed, oldest first."""
        folder = self.path / _HEADERS
        if not folder.is_dir():
            return []
        ids = self.changes.read()[schema.CHANGE_ID].to_list()
        files = [folder / f"{i}.json" for i in ids]
        return [json.loads(f.read_text("utf-8")) for f in files if f.exists()]

    def migrate(self) -> None:
        """Bring the tables of an older version to today's columns."""
        if self.labels.exists():
            self.labels.replace(self.labels.read())
        self.write_card({**self.card(), "format": schema.FORMAT_VERSION, "version": __version__})

    def values(self, family: str, level: str = schema.ITEM) -> Table:
        """Return the table of one family of row-wise metrics."""
        if (level, family) in self.shown:
            return GivenTable(self.shown[level, family], schema.VALUES)
        return self._table(f"metrics/{level}/{family}", schema.VALUES)

    def families(self, level: str = schema.ITEM) -> list[str]:
        """List the row-wise metric families that exist."""
        given = [family for shown_level, family in self.shown if shown_level == level]
        return sorted({*self._names(f"metrics/{level}"), *given} - {"pixels"})

    def _names(self, place: str) -> list[str]:
        root = self.path / place
        return sorted(p.name for p in root.iterdir() if (p / "_delta_log").is_dir()) if root.is_dir() else []

    def embedding(self, name: str, level: str = schema.ITEM) -> Table:
        """Return the table of one embedding set."""
        return self._table(f"embeddings/{level}/{name}", schema.EMBEDDING)

    def embeddings(self, level: str = schema.ITEM) -> list[str]:
        """List the embedding sets that exist."""
        return self._names(f"embeddings/{level}")

    def predictions(self, run: str) -> Table:
        """Return the table of one run's predictions; a run that was replaced keeps its old rows in it."""
        # Delta takes per cent signs for escapes of its own.
        folder = quote(run, safe="").replace("~", "%7E").replace("%", "~")
        return self._table(f"predictions/{folder}", schema.PREDICTIONS)

    def lock(self) -> BaseFileLock:
        """Return the lock that importers hold, so that ordinals are given out once."""
        from filelock import FileLock

        return FileLock(str(self.path / "import.lock"), timeout=_LOCK_WAIT_S)

    def card(self) -> dict[str, Any]:
        """Read the identity card.

        Raises
        ------
        ProjectError
            No project here, a damaged card, or a project made by a newer version.
        """
        file = self.path / CARD
        try:
            card = json.loads(file.read_text("utf-8"))
        except FileNotFoundError as error:
            raise ProjectError(
                f'"{self.path}" is not a project folder: it has no {CARD}.',
                f'Create one with Project.from_folder("images/", path="{self.path}").',
            ) from error
        except (ValueError, OSError) as error:
            raise ProjectError(
                f'"{file}" cannot be read: {error}.', "Restore this small file from a copy of the project."
            ) from error
        if not isinstance(card, dict) or not isinstance(card.get("format"), int):
            raise ProjectError(f'"{file}" is not a project card.', "Restore this file from a copy of the project.")
        if card["format"] > schema.FORMAT_VERSION:
            raise ProjectError(
                f'The project "{self.path}" has format {card["format"]}; this version reads up to '
                f"{schema.FORMAT_VERSION} (it was made by version {card.get('version', '?')}).",
                "Upgrade: pip install --upgrade encord_active_widgets.",
            )
        return card

    def is_project(self) -> bool:
        """Tell whether a project lies here."""
        return (self.path / CARD).exists()

    def create(self, name: str, source: dict[str, Any]) -> None:
        """Make the folder and its card; nothing that exists is overwritten."""
        _check_path(self.path)
        if self.path.exists() and not self.path.is_dir():
            raise ProjectError(f'"{self.path}" is a file.', "Give another path for the project folder.")
        if self.path.is_dir() and any(p.name != "import.lock" for p in self.path.iterdir()):
            raise ProjectError(
                f'"{self.path}" exists, is not empty and holds no project.',
                "Give another path for the project folder; nothing was written.",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProjectError(
                f'The project folder "{self.path}" cannot be made: {error.strerror or error}.',
                "Give a writable place with path=….",
            ) from error
        self.write_git_files()
        self.write_card(
            {
                "format": schema.FORMAT_VERSION,
                "id": uuid.uuid4().hex,
                "name": name,
                "version": __version__,
                "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "source": source,
            }
        )

    def write_git_files(self) -> None:
        """Let the folder go into git as it is: what to leave out, and that tables are no texts. Yours are kept."""
        files = ((".gitignore", _GITIGNORE, _OLDER_GITIGNORES), (".gitattributes", _GITATTRIBUTES, ()))
        for name, text, older in files:
            file = self.path / name
            if not file.exists() or file.read_text("utf-8", errors="replace") in older:
                file.write_text(text, "utf-8")

    def keep_up(self, card: dict[str, Any]) -> dict[str, Any]:
        """Give a project of an earlier version what it lacks: an id, and the files for git."""
        with contextlib.suppress(OSError):  # a folder that may only be read is read
            self.write_git_files()
            if "id" not in card:
                card = {**card, "id": self._first_id(card)}
                self.write_card(card)
        return {**card, "id": card.get("id") or self._first_id(card)}

    def _first_id(self, card: dict[str, Any]) -> str:
        """Make an id from how the project began: copies of it that were made before it had one get the same."""
        changes = self.changes.read()[schema.CHANGE_ID]
        text = f"{card.get('created')} {changes[0] if changes.len() else card.get('name')}"
        return hashlib.blake2b(text.encode(), digest_size=_ID_HEX // 2).hexdigest()

    def write_card(self, card: dict[str, Any]) -> None:
        """Replace the identity card atomically."""
        write_json(self.path / CARD, card)


def resolve_address(uri: str, bases: list[Path]) -> str:
    """Turn an address as the user gave it into one that opens.

    Absolute paths and remote addresses stay; a relative path is looked for under each
    base in turn, so that images moved together with the project are still found.
    """
    if "://" in uri or Path(uri).is_absolute():
        return uri
    file = uri.partition(_FRAME_MARK)[0]
    for base in bases:
        if (base / file).exists():
            return str(base / uri)
    return str(bases[0] / uri) if bases else uri


def _check_path(path: Path) -> None:
    """Refuse a path that the Delta library cannot spell: it panics on some marks, and takes %20 for a space."""
    text = str(path.absolute())
    bad = next((c for c in _UNSPELT if c in text), None) or (unquote(text) != text and "%")
    if bad:
        raise InputError(
            f'A project cannot be kept under "{text}": its tables cannot be written where a name holds "{bad}".',
            "Give path= another folder.",
        )
