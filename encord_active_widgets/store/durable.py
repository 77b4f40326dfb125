"""Make writes survive a power cut: delta-rs and Python do not call fsync by themselves."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.parse
from collections.abc import Iterable
from pathlib import Path


def sync_file(path: Path) -> None:
    """Flush one file to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries, where the system allows it (Windows does not)."""
    with contextlib.suppress(PermissionError, OSError):
        sync_file(path)


def write_json(path: Path, value: object) -> None:
    """Replace a small JSON file atomically and durably."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk: nothing half-written stays
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_commits(table: Path, versions: Iterable[int]) -> None:
    """Flush the data files and log entries of some Delta commits."""
    log = table / "_delta_log"
    for version in versions:
        entry = log / f"{version:020d}.json"
        if not entry.exists():  # another process compacted the log meanwhile: it is in a checkpoint
            continue
        for line in entry.read_text("utf-8").split("\n"):  # not splitlines: texts may hold other line separators
            added = json.loads(line).get("add") if line.strip() else None
            if added:
                data = table / urllib.parse.unquote(added["path"])
                if data.exists():
                    sync_file(data)
        sync_file(entry)
    sync_folder(log)
    sync_folder(table)
