"""Runs: named sets of predictions beside the labels, each a view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from .. import schema
from ..content.state import Run
from ..schema import prediction_level
from ..view import View

if TYPE_CHECKING:
    from ..project import Project

DETECTION, CLASSIFYING = "detection", "classification"


@dataclass(frozen=True, repr=False)
class AddedRun(Run):
    """A run as it was just added.

    Attributes
    ----------
    skipped : int
        How many rows (or files) of the source could not be used; `p.problems` says why.
    """

    skipped: int = 0

    def __repr__(self) -> str:
        what = f"{self.predictions:,} predictions on {self.items:,} images ({self.kind})"
        skipped = f", {self.skipped:,} skipped: see p.problems" if self.skipped else ""
        return f"Run({self.name!r}: {what}{skipped})"


class Runs(Mapping[str, View]):
    """`project.predictions`: the runs by name, each a view of its predictions.

    Examples
    --------
    >>> p.predictions["yolo"].filter(pl.col("confidence") > 0.9)  # doctest: +SKIP
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    def __iter__(self) -> Iterator[str]:
        return iter(self._project._snapshot().runs)

    def __len__(self) -> int:
        return len(self._project._snapshot().runs)

    def __contains__(self, name: object) -> bool:
        return name in self._project._snapshot().runs

    def __getitem__(self, name: str) -> View:
        self._project._run_named(name)
        return View(self._project, prediction_level(name))

    @property
    def df(self) -> pl.DataFrame:
        """One row a run: `run`, `kind`, `predictions`, `items`, `classes`, `source`, `at`."""
        rows = [
            (r.name, r.kind, r.predictions, r.items, len(r.classes), r.source, r.at)
            for r in self._project._snapshot().runs.values()
        ]
        names = ("run", "kind", "predictions", "items", "classes", "source", "at")
        types = (pl.String, pl.String, pl.Int64, pl.Int64, pl.Int64, pl.String, schema.UTC_MICROSECONDS)
        return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")

    def __repr__(self) -> str:
        if not len(self):
            return 'no predictions yet: p.add_predictions("my model", "results.json")'
        return repr(self.df)
