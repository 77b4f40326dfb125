"""What a check looks at: the project, what counts as faulty, and how a measure is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from ..errors import InputError
from ..schema import ORDINAL

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View

IMAGES, LABELS_SHARE, PLAIN = "share of images", "share of labels", ""
WORST = 12
"""Examples that are kept of each measure."""

THRESHOLDS: Mapping[str, tuple[float, str]] = {
    "sharpness": (0.65, "images below are blurred (long side of at least 256 px)"),
    "dark": (0.2, "images of a lower brightness are dark"),
    "overexposed": (0.9, "images of a higher brightness are overexposed"),
    "duplicate_distance": (0.25, "cosine distance up to which images are duplicates"),
    "double_iou": (0.8, "two labels of one class that overlap more are one object drawn twice"),
    "least_side": (1.0, "px; labels with a shorter side are degenerate"),
}
"""What the measures call faulty: the value, and what it means."""


@dataclass
class Found:
    """What one measure found.

    Attributes
    ----------
    value : float or None
        None: there is nothing to measure.
    note : str
        How many of how many, or why there is no value.
    worst : View or None
        The rows behind it, the worst first.
    """

    value: float | None
    note: str = ""
    worst: View | None = field(default=None, repr=False)


class Subject:
    """The project that is measured; what several measures look at is made once.

    Parameters
    ----------
    project : Project
    run : str or None
        The run that `map`, `accuracy` and `label_errors` look at.
    thresholds : mapping
        See `THRESHOLDS`.
    """

    def __init__(self, project: Project, run: str | None, thresholds: Mapping[str, float]) -> None:
        self.project = project
        self.run = run
        self.at = {name: value for name, (value, _) in THRESHOLDS.items()} | dict(thresholds)

    @cached_property
    def items(self) -> pl.DataFrame:
        """The images."""
        return self.project.items.df

    @cached_property
    def objects(self) -> pl.DataFrame:
        """The objects."""
        return self.project.objects.df

    @cached_property
    def duplicates(self) -> Any:
        """Groups of duplicates."""
        return self.project.duplicates(self.at["duplicate_distance"])

    @cached_property
    def evaluation(self) -> Any:
        """The run beside the labels, or None without a run."""
        return None if self.run is None else self.project.evaluate(self.run)

    def needs(self, *columns: str, of: pl.DataFrame) -> None:
        """Raise where metrics were never computed."""
        missing = [c for c in columns if c not in of.columns]
        if missing:
            raise InputError(f'"{missing[0]}" was not computed yet, so it cannot be checked.', "Call p.compute().")

    def share_of_items(self, faulty: pl.DataFrame, *, by: str, descending: bool = False) -> Found:
        """Return the share of images that are in `faulty`, and the worst of them."""
        total = self.items.height
        if not total:
            return Found(None, "there are no images")
        worst = faulty.sort(by, descending=descending).head(WORST)
        return Found(faulty.height / total, f"{faulty.height:,} of {total:,} images", self.rows("item", worst))

    def share_of_objects(self, faulty: pl.DataFrame, *, by: str, descending: bool = False) -> Found:
        """Return the share of objects that are in `faulty`, and the worst of them."""
        total = self.objects.height
        if not total:
            return Found(None, "there are no objects")
        worst = faulty.sort(by, descending=descending).head(WORST)
        return Found(faulty.height / total, f"{faulty.height:,} of {total:,} objects", self.rows("object", worst))

    def rows(self, level: str, frame: pl.DataFrame) -> View:
        """Return the view of a frame's rows."""
        view = self.project.items if level == "item" else self.project.objects
        return view.at(frame[ORDINAL].to_numpy())


Measuring = Callable[[Subject], Found]


@dataclass(frozen=True)
class Measure:
    """One thing that a limit can be set on.

    Attributes
    ----------
    name : str
        As in the file of limits.
    what : str
        What the value is, in a few words.
    unit : str
        Of the value; empty for a score from 0 to 1.
    at_most, at_least : float or None
        The shipped limit, in the direction that makes sense.
    measure : callable
        Gives the value.
    """

    name: str
    what: str
    unit: str
    measure: Measuring
    at_most: float | None = None
    at_least: float | None = None


_found: dict[str, Measure] = {}
MEASURES: Mapping[str, Measure] = _found
"""All measures by name, in the order they are shown."""


def measure(
    what: str, unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> Callable[[Measuring], Measuring]:
    """Add a function as the measure of its name; limits are the shipped ones."""

    def add(function: Measuring) -> Measuring:
        name = function.__name__
        _found[name] = Measure(name, what, unit, function, at_most, at_least)
        return function

    return add
