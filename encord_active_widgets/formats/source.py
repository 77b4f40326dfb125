"""What a reader hands to a project: addresses, labels and what it could not use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError


@dataclass(frozen=True)
class Fault:
    """Something a reader skipped: where, what, why, and what to do."""

    where: str
    what: str
    why: str
    remedy: str


@dataclass
class Source:
    """Items and labels as found, before anything was read or written.

    Attributes
    ----------
    items : pl.DataFrame
        `uri` (the address as given, unique) and any metadata columns.
    labels : pl.DataFrame or None
        Columns of `schema.LABELS` with `uri` in place of ids.
    faults : list of Fault
        What was skipped.
    name : str
        A short name for the project.
    card : dict
        What is needed to read the same source again.
    header : dict
        What belongs to the whole source and is written back with it: categories, licences, names of classes.
    sizes : pl.DataFrame or None
        `uri`, `width`, `height` in pixels as the source states them; compared with the images.
    """

    items: pl.DataFrame
    name: str
    card: dict[str, Any]
    labels: pl.DataFrame | None = None
    faults: list[Fault] = field(default_factory=list)
    header: dict[str, Any] = field(default_factory=dict)
    sizes: pl.DataFrame | None = None

    def strict(self) -> Source:
        """Return the source if nothing had to be skipped, else raise what was.

        Raises
        ------
        InputError
            The first fault, and how many more there are.
        """
        refuse(self.faults)
        return self


def refuse(faults: Sequence[Fault]) -> None:
    """Raise what had to be skipped or was odd, for those who want nothing to be.

    Raises
    ------
    InputError
        The first fault, and how many more there are.
    """
    if faults:
        first, more = faults[0], len(faults) - 1
        raise InputError(
            f"{first.where}: {first.why.rstrip('.')}{f' (and {more:,} more)' if more else ''}.",
            f"{first.remedy[:1].upper()}{first.remedy[1:].rstrip('.')}, "
            "or leave out strict=True to have it listed in p.problems.",
        )


def as_polars(frame: Any, what: str = "frame") -> pl.DataFrame:
    """Take a Polars, pandas, Arrow or any data frame with an Arrow stream.

    Raises
    ------
    InputError
        The object is no data frame.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if hasattr(frame, "__arrow_c_stream__"):
        return pl.DataFrame(frame)
    if hasattr(frame, "__dataframe__") or hasattr(frame, "__narwhals_dataframe__"):
        try:
            import narwhals as nw
        except ImportError as error:
            raise InputError(
                f"A {type(frame).__name__} needs narwhals to become a Polars frame.",
                'pip install "encord_active_widgets[interchange]", or pass a Polars frame.',
            ) from error
        converted: pl.DataFrame = nw.from_native(frame, eager_only=True).to_polars()
        return converted
    if isinstance(frame, dict):
        return pl.DataFrame(frame)
    raise InputError(
        f"The {what} is a {type(frame).__name__}, not a data frame.", "Pass a Polars, pandas or Arrow frame."
    )


def valid_text(name: str) -> bool:
    """Tell whether a file name is Unicode; Arrow strings can hold nothing else."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def existing(path: Path, what: str) -> Path:
    """Return `path` if it exists, else say what is missing and what lies nearby."""
    if path.exists():
        return path
    from ..errors import EmptyFolderError, nearest

    parent = path.parent
    try:
        siblings = [p.name for p in parent.iterdir()] if parent.is_dir() else []
    except OSError:
        siblings = []
    hint = nearest(path.name, siblings) if siblings else f'"{parent}" does not exist either.'
    raise EmptyFolderError(f'The {what} "{path}" does not exist.', hint)
