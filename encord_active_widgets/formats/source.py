"""What a reader hands to a project: addresses, labels and what it could not use."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError
from ..schema import CLASS_NAME, URI

_DIGEST_HEX = 16


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

    def digest(self) -> str:
        """Return a short name for what the labels say, the same wherever and whenever they are read."""
        if self.labels is None:
            return ""
        digest = hashlib.sha1(usedforsecurity=False)
        for name in (URI, "kind", CLASS_NAME, "x", "y", "w", "h", "angle", "points", "rle"):
            if name not in self.labels.columns:
                continue
            column = self.labels[name]
            if isinstance(column.dtype, pl.List):
                column = column.explode(empty_as_null=False, keep_nulls=False)
            if column.dtype.is_numeric():
                digest.update(column.cast(pl.Float64).fill_null(float("nan")).to_numpy().tobytes())
            elif column.dtype == pl.Binary:
                digest.update(b"\0".join(column.drop_nulls().to_list()))
            else:  # addresses by their last part: the folder may have moved
                texts = column.cast(pl.String).fill_null("").to_list()
                digest.update("\0".join(map(os.path.basename, texts) if name == URI else texts).encode())
        return digest.hexdigest()[:_DIGEST_HEX]


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
