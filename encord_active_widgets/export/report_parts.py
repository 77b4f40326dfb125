"""What a report is made of: sections of facts, sentences, charts, tables and pictures, and what they are about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from ..charts.offline import OfflineChart
from ..checking.subject import THRESHOLDS
from ..pages.html import Column, percent
from ..pages.pictures import Tile
from ..schema import CLASS_NAME, CLASSIFICATION, ITEM, ITEM_ID, LABEL, OBJECT, ORDINAL, run_of
from ..view import View

if TYPE_CHECKING:
    from ..project import Project

WARN, GOOD, PLAIN = "warn", "good", ""
MOST_TILES = 8
"""Examples of one kind: two lines of pictures on a wide page."""
MOST_CLASS_ROWS = 15
LEAST_SHARPNESS_SIDE_PX = 256
"""Sharpness of smaller images is another scale; see `p.metrics()`."""


@dataclass(frozen=True)
class Charts:
    """Charts side by side: the name of each, and what makes it."""

    charts: Sequence[tuple[str, Callable[[], OfflineChart]]]
    title: str = ""
    wide: bool = False
    """Two in a row, not four."""


@dataclass(frozen=True)
class Rows:
    """A table; folded away where it is long or for the few who ask."""

    title: str
    frame: pl.DataFrame
    columns: Sequence[Column]
    most: int = MOST_CLASS_ROWS
    folded: bool = False


@dataclass(frozen=True)
class Pictures:
    """The worst examples of one thing, made when the page is."""

    title: str
    note: str
    make: Callable[[], list[Tile]]


@dataclass(frozen=True)
class Stacks:
    """Groups of pictures that belong together."""

    title: str
    note: str
    make: Callable[[], list[tuple[str, list[Tile]]]]


Block = Charts | Rows | Pictures | Stacks


@dataclass
class Section:
    """One part of a report.

    Attributes
    ----------
    key, title : str
        Of the section: "data", "Data".
    facts : list of (str, str, str)
        Large numbers: name, value, remark.
    sentences : list of (str, str)
        What the summary says of it, and the kind: "warn", "good" or "".
    notes : list of str
        What is missing, and which call makes it.
    remarks : list of str
        How to read what is there.
    blocks : list
        Charts, tables and pictures, in order.
    frames : dict of str to pl.DataFrame
        All that the tables show, whole.
    """

    key: str
    title: str
    facts: list[tuple[str, str, str]] = field(default_factory=list)
    sentences: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    drawn: str = field(default="", repr=False)

    def say(self, text: str, kind: str = PLAIN) -> None:
        """Add a sentence to the summary."""
        self.sentences.append((text, kind))


class Subject:
    """What a report is about; what several sections look at is read once.

    Parameters
    ----------
    view : View
        Images; or labels or predictions, whose images it is then about, with these labels alone.
    run : str, optional
        The only run to report on.
    """

    def __init__(self, view: View, run: str | None) -> None:
        self.project: Project = view.project
        self.given = view
        named = run_of(view.level)
        if run is not None:
            self.project._run_named(run)
        known = list(self.project._snapshot().runs)
        self.runs: list[str] = [run] if run is not None else [named] if named is not None else known
        rows = (view if view.level == ITEM else view.items()).rows
        self.items: View = self.project.items.at(rows)
        self.whole = view.level == ITEM and len(rows) == len(self.project.items)
        self.thresholds = {name: value for name, (value, _) in THRESHOLDS.items()}

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The images."""
        return self.items.df

    @cached_property
    def objects_view(self) -> View:
        """The objects: those of the view, else all on its images."""
        return self._labels(OBJECT)

    @cached_property
    def answers_view(self) -> View:
        """The class answers: those of the view, else all on its images."""
        return self._labels(CLASSIFICATION)

    def _labels(self, name: str) -> View:
        view = self.given
        if view.level == name:
            return View(self.project, name).at(view.rows)
        if view.level == LABEL:
            ids = view.ids
            level = self.project._snapshot().levels[name]
            rows = level.frame.filter(pl.col(level.key).is_in(ids.implode()))[ORDINAL]
            return View(self.project, name).at(rows.to_numpy())
        if view.level in (OBJECT, CLASSIFICATION):
            return View(self.project, name).at([])
        return self.items.objects() if name == OBJECT else self.items.classifications()

    @cached_property
    def objects(self) -> pl.DataFrame:
        """The objects as a frame."""
        return self.objects_view.df

    @cached_property
    def answers(self) -> pl.DataFrame:
        """The class answers as a frame."""
        return self.answers_view.df

    @property
    def n(self) -> int:
        """How many images there are."""
        return self.frame.height

    @property
    def measured(self) -> bool:
        """Whether the images have metrics."""
        return "brightness" in self.frame.columns

    @cached_property
    def classes_of_items(self) -> pl.DataFrame:
        """`item_id` and `class_name`: what is on each image, each class once."""
        parts = [f.select(ITEM_ID, CLASS_NAME) for f in (self.answers, self.objects) if f.height]
        if not parts:
            return pl.DataFrame(schema={ITEM_ID: pl.String, CLASS_NAME: pl.String})
        return pl.concat(parts).drop_nulls().unique(maintain_order=True)


def share(n: int, total: int, noun: str = "") -> str:
    """Return "7 % of the images (14 of 200)".

    >>> share(14, 200, "images"), share(200, 200, "images")
    ('7.0 % of the images (14 of 200)', 'All 200 images')
    """
    if n == total:
        return f"All {total:,} {noun}".rstrip()
    of = f" of the {noun}" if noun else ""
    return f"{percent(n, total)}{of} ({n:,} of {total:,})"


def mostly(faulty: pl.DataFrame, subject: Subject) -> str:
    """Say in which class, or split, faulty images are, where that says something.

    A class is named where it has more than half of them and more than its share, or at least three of them and
    twice its share.
    """
    for column, table in _groupings(faulty, subject):
        among = faulty.select(ITEM_ID).unique().join(table, on=ITEM_ID)
        counts = among[column].value_counts(sort=True)
        if counts.is_empty() or table[column].n_unique() < 2:
            continue
        counts = counts.sort("count", column, descending=[True, False])
        name, n = counts.row(0)
        in_all = table.filter(pl.col(column) == name)[ITEM_ID].n_unique() / max(subject.n, 1)
        lift = n / faulty.height / in_all if in_all else 0.0
        what = "class " if column == CLASS_NAME else "the split "
        if n * 2 > faulty.height and lift > 1.05:
            return f'; most are in {what}"{name}" ({n:,} of {faulty.height:,})'
        if n >= 3 and lift >= 2:
            return f'; {what}"{name}" has {n:,} of them, {lift:.1f} times its share'
    return ""


def _groupings(faulty: pl.DataFrame, subject: Subject) -> list[tuple[str, pl.DataFrame]]:
    from ..curation.duplicates import split_column

    out: list[tuple[str, pl.DataFrame]] = []
    if faulty.height:
        out.append((CLASS_NAME, subject.classes_of_items))
        split = split_column(subject.frame)
        if split is not None:
            out.append((split, subject.frame.select(ITEM_ID, split).drop_nulls()))
    return out


def rounded(values: pl.Series) -> str:
    """Return the median as a whole number."""
    return f"{float(values.cast(pl.Float64).median() or 0):,.0f}"  # type: ignore[arg-type]


def spread(values: pl.Series) -> dict[str, Any]:
    """Return how many values there are, how many are missing, and their quantiles."""
    known = values.cast(pl.Float64, strict=False)
    known = known.filter(known.is_finite().fill_null(value=False))
    names = ("p05", "median", "p95")
    quantiles = (
        {k: known.quantile(q, "linear") for k, q in zip(names, (0.05, 0.5, 0.95), strict=True)}
        if known.len()
        else dict.fromkeys(names)
    )
    return {"values": known.len(), "missing": values.len() - known.len(), **quantiles}
