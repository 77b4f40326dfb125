"""One Delta table of a project, with what Delta does to a frame hidden behind it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from ..errors import ProjectError
from ..schema import TableSchema
from .durable import sync_commits
from .writing import room_for

if TYPE_CHECKING:
    from deltalake import DeltaTable

_COMPACT_ABOVE_FILES = 64
_COMMIT_TRIES = 8
_RETRY_PAUSE_S = 0.05
_KEPT = {"delta.enableExpiredLogCleanup": "false"}
"""Delta would forget versions of more than 30 days ago when it writes a checkpoint; snapshots read them."""


class Table:
    """A Delta table in a folder; reads and writes whole frames.

    The folder need not exist: a table without commits reads as no rows.
    """

    def __init__(self, path: Path, schema: TableSchema) -> None:
        self.path = path
        self.schema = schema

    def stamp(self) -> int:
        """Return a number that changes with every commit of any process, in microseconds.

        It is the modification time of the log folder in nanoseconds; 0 where there is no table.
        """
        try:
            return (self.path / "_delta_log").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def exists(self) -> bool:
        """Tell whether anything was ever committed."""
        return self.stamp() != 0

    def version(self) -> int:
        """Return the newest version, -1 for a table without commits."""
        table = self._open()
        return -1 if table is None else int(table.version())

    def read(self, version: int | None = None) -> pl.DataFrame:
        """Read all rows, sorted by the key, in the schema's dtypes."""
        table = self._open(version)
        if table is None:
            return self.schema.empty()
        frame = self.schema.from_disk(_collect(table))
        if frame[self.schema.key].is_sorted():  # as it is where one commit wrote it: a copy less
            return frame
        return frame.sort(self.schema.key, maintain_order=True)

    def pick(self, *columns: str) -> pl.DataFrame:
        """Read some columns, in no order; far less work than all of them."""
        table = self._open()
        if table is None or not table.file_uris():
            return self.schema.empty().select(columns)
        return pl.scan_delta(table).select(columns).collect()

    def rows(self) -> int:
        """Return the number of rows from the log of the table alone."""
        table = self._open()
        return 0 if table is None else int(table.count())

    def append(self, frame: pl.DataFrame, *, cause: Mapping[str, str] | None = None, durable: bool = False) -> None:
        """Commit some rows; with `durable`, return only when they are on the disk."""
        self._write(frame, "append", cause, durable)

    def replace(self, frame: pl.DataFrame, *, cause: Mapping[str, str] | None = None) -> None:
        """Commit a new version that holds exactly these rows; the past stays readable."""
        self._write(frame, "overwrite", cause, durable=False)

    def history(self) -> list[dict[str, Any]]:
        """Return Delta's own commit history, newest first."""
        table = self._open()
        return [] if table is None else table.history()

    def compact(self) -> None:
        """Join small files when they pile up; losing the race to a writer is harmless."""
        from deltalake.exceptions import CommitFailedError, DeltaError

        table = self._open()
        if table is None or len(table.file_uris()) <= _COMPACT_ABOVE_FILES:
            return
        try:
            if not _KEPT.items() <= dict(table.metadata().configuration).items():  # made by an earlier version
                table.alter.set_table_properties(_KEPT)
            table.optimize.compact()  # the files that were joined stay
        except (CommitFailedError, DeltaError):
            return  # the next append tries again

    def _write(self, frame: pl.DataFrame, mode: Any, cause: Mapping[str, str] | None, durable: bool) -> None:
        from deltalake import CommitProperties, PostCommitHookProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError

        if frame.is_empty() and (mode == "append"):
            return
        before = self.version() if durable else -1
        data = self.schema.to_disk(frame)
        properties = CommitProperties(custom_metadata=dict(cause)) if cause else None
        keep_log = PostCommitHookProperties(cleanup_expired_logs=False)
        schema_mode: Any = "merge" if mode == "append" else "overwrite"
        for attempt in range(_COMMIT_TRIES):
            try:
                with room_for(f'"{self.path.name}"'):
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    write_deltalake(
                        str(self.path), data, mode=mode, schema_mode=schema_mode, commit_properties=properties,
                        post_commithook_properties=keep_log, configuration=None if self.exists() else _KEPT,
                    )  # fmt: skip
                break
            except CommitFailedError as error:
                # Two processes created the table, or its columns, at the same moment.
                if attempt == _COMMIT_TRIES - 1:
                    raise ProjectError(
                        f'The table "{self.path.name}" could not be committed: {error}.',
                        "Another process writes to this project all the time; try again.",
                    ) from error
                time.sleep(_RETRY_PAUSE_S * (attempt + 1))
        if durable:
            sync_commits(self.path, range(before + 1, self.version() + 1))

    def _open(self, version: int | None = None) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if not self.exists():
            return None
        try:
            return DeltaTable(str(self.path), version=version)
        except TableNotFoundError:
            return None  # the first commit of another process is under way
        except Exception as error:
            raise ProjectError(
                f'The table "{self.path}" cannot be read: {error}.',
                "Restore the folder from a copy; derived tables (metrics, embeddings) may be deleted and recomputed.",
            ) from error


class GivenTable(Table):
    """Rows that are shown like a table's and stored nowhere."""

    def __init__(self, frame: pl.DataFrame, schema: TableSchema) -> None:
        super().__init__(Path(), schema)
        self._frame = frame

    def stamp(self) -> int:
        """Return the same number always."""
        return 1

    def read(self, version: int | None = None) -> pl.DataFrame:  # noqa: ARG002 - there is one version
        """Return the rows."""
        return self._frame

    def _write(self, *_: Any, **__: Any) -> None:
        raise AssertionError("nothing writes here")


def _collect(table: DeltaTable) -> pl.DataFrame:
    files = table.file_uris()
    if not files:
        return pl.DataFrame(schema=pl.scan_delta(table).collect_schema())
    if not any("%" in file for file in files):
        return pl.scan_delta(table).collect()
    # Addresses come percent-encoded (a space is %20), and Polars' reader of Delta takes them as they stand.
    schema = pl.scan_delta(table).collect_schema()
    return pl.scan_parquet(
        [unquote(file) for file in files], schema=schema, missing_columns="insert", glob=False
    ).collect()
