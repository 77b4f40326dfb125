"""The folder of a project: where each table lies, its identity card, its locks."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .. import schema
from .._version import __version__
from ..errors import ProjectError
from .durable import write_json
from .tables import Table

if TYPE_CHECKING:
    from filelock import BaseFileLock

CARD = "project.json"
_HEADERS = "sources"
_FRAME_MARK = "#pts="
"""What divides a video's path from the time of one of its frames."""
SUFFIX = ".eaw"
_LOCK_WAIT_S = 600.0
_GITIGNORE = "# Caches: rebuilt when missing.\ncache/\n*.lock\n*.tmp\n"


class ProjectFolder:
    """Paths and tables of one project."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.items = Table(path / "items", schema.ITEMS)
        self.labels = Table(path / "labels", schema.LABELS)
        self.runs = Table(path / "runs", schema.RUNS)
        self.changes = Table(path / "changes", schema.CHANGES)
        self.problems = Table(path / "problems", schema.PROBLEMS)
        self.pixels = Table(path / "metrics" / "item" / "pixels", schema.PIXEL_METRICS)

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
        self.write_card({**self.card(), "format": schema.FORMAT_VERSION})

    def values(self, family: str, level: str = schema.ITEM) -> Table:
        """Return the table of one family of row-wise metrics."""
        return Table(self.path / "metrics" / level / family, schema.VALUES)

    def families(self, level: str = schema.ITEM) -> list[str]:
        """List the row-wise metric families that exist."""
        root = self.path / "metrics" / level
        if not root.is_dir():
            return []
        return sorted(p.name for p in root.iterdir() if (p / "_delta_log").is_dir() and p.name != "pixels")

    def embedding(self, name: str, level: str = schema.ITEM) -> Table:
        """Return the table of one embedding set."""
        return Table(self.path / "embeddings" / level / name, schema.EMBEDDING)

    def embeddings(self, level: str = schema.ITEM) -> list[str]:
        """List the embedding sets that exist."""
        root = self.path / "embeddings" / level
        return sorted(p.name for p in root.iterdir() if (p / "_delta_log").is_dir()) if root.is_dir() else []

    def predictions(self, run: str) -> Table:
        """Return the table of one run's predictions; a run that was replaced keeps its old rows in it."""
        # Delta takes per cent signs for escapes of its own.
        folder = quote(run, safe="").replace("~", "%7E").replace("%", "~")
        return Table(self.path / "predictions" / folder, schema.PREDICTIONS)

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
        (self.path / ".gitignore").write_text(_GITIGNORE, "utf-8")
        self.write_card(
            {
                "format": schema.FORMAT_VERSION,
                "name": name,
                "version": __version__,
                "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "source": source,
            }
        )

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
