"""Values by row: the tables that metrics of a level are kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from ..project import Project


def replace_values(project: Project, level: str, family: str, frame: pl.DataFrame) -> None:
    """Commit values unless they are there already."""
    table = project._folder.values(family, level)
    if not table.exists() or not table.read().equals(frame):
        table.replace(frame)


def replace_if_stale(project: Project, level: str, family: str, key: str, frame: pl.DataFrame) -> None:
    """Commit values together with a key that says what they were made from."""
    project._folder.values(family, level).replace(frame, cause={"key": key})


def is_fresh(project: Project, level: str, family: str, key: str) -> bool:
    """Tell whether values were made from what `key` says."""
    table = project._folder.values(family, level)
    return table.exists() and table.history()[0].get("key") == key
