"""Measure a project, and say which limits are broken."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ..errors import InputError, unknown
from .limits import AT_LEAST, AT_MOST, Limits, read_limits
from .measures import MEASURES, Found, Subject

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View

OK, BROKEN, NOT_MEASURED, PASSED_OVER = "ok", "broken", "not measured", "nothing to measure"
_NEEDS_LABEL_METRICS = ("double_labels", "label_errors")
_DIRECTIONS = {AT_MOST: "at most", AT_LEAST: "at least"}
_ROUNDING = 1e-9
"""Relative slack: 3 of 60 images are at most 0.05."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes
    ----------
    df : pl.DataFrame
        One row a limit: `measure`, `value` (Float64, null where there is none), `unit`, `direction` ("at most",
        "at least"), `limit`, `verdict` ("ok", "broken", "not measured", "nothing to measure"), `what` and `note`.
    project : str
        Its name.
    limits : Limits
        What it was held against.
    """

    df: pl.DataFrame
    project: str
    limits: Limits
    _subject: Project = field(repr=False, compare=False)
    _worst: Mapping[str, View] = field(repr=False, compare=False, default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every limit is kept."""
        return not self.broken

    @property
    def broken(self) -> list[str]:
        """The measures whose limit is broken, or that could not be measured."""
        return self.df.filter(pl.col("verdict").is_in([BROKEN, NOT_MEASURED]))["measure"].to_list()

    def worst(self, measure: str) -> View:
        """Return the rows behind a measure, the worst first.

        Parameters
        ----------
        measure : str
            A name of `df`.

        Returns
        -------
        View
            Fixed.

        Raises
        ------
        UnknownNameError
            The measure was not checked, or no rows are behind it.
        """
        if measure not in self._worst:
            raise unknown("measure with rows behind it", measure, self._worst)
        return self._worst[measure]

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the result as one HTML file: the table, and the worst examples as small pictures.

        It needs no network, runs no script, and follows the light or dark theme of its reader.

        Parameters
        ----------
        path : path
            The file to write; its folder is made.

        Returns
        -------
        Path
            The file that was written.
        """
        from .page import write_page

        return write_page(self, self._subject, self._worst, Path(path).expanduser())

    def __repr__(self) -> str:
        checked = self.df.filter(pl.col("verdict") != PASSED_OVER)
        state = "all limits are kept" if self.ok else f"{len(self.broken)} broken: {', '.join(self.broken)}"
        return f"Check of {self.project!r} against {checked.height} limits: {state}\n{table(self.df)}"


def table(frame: pl.DataFrame) -> str:
    """Return the rows of a result as aligned text."""
    rows = [("measure", "value", "limit", "verdict", "")]
    for row in frame.iter_rows(named=True):
        unit = f" {row['unit']}" if row["unit"] else ""
        value = "–" if row["value"] is None else f"{row['value']:.4g}{unit}"
        rows.append((row["measure"], value, f"{row['direction']} {row['limit']:g}", row["verdict"], row["note"]))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join([*(c.ljust(w) for c, w in zip(row[:4], widths, strict=True)), row[4]]).rstrip() for row in rows]
    return "\n".join(lines)


def check(
    project: Project, limits: str | os.PathLike[str] | Mapping[str, Any] | Limits | None = None, run: str | None = None
) -> CheckResult:
    """Hold a project against limits; see `Project.check`."""
    chosen = read_limits(limits)
    run = run if run is not None else chosen.run
    if run is not None:
        project._run_named(run)
    wanted = [(key, name, value) for key, part in _parts(chosen) for name, value in part.items()]
    wanted.sort(key=lambda w: list(MEASURES).index(w[1]))
    _fresh(project, [name for _, name, _ in wanted])
    subject, found = Subject(project, run, chosen.thresholds), dict[str, Found]()
    rows = []
    for key, name, limit in wanted:
        measure = MEASURES[name]
        if name not in found:
            found[name] = measure.measure(subject)
        one = found[name]
        rows.append({
            "measure": name, "value": one.value, "unit": measure.unit, "direction": _DIRECTIONS[key], "limit": limit,
            "verdict": _verdict(key, one.value, limit, named=chosen.named), "what": measure.what, "note": one.note,
        })  # fmt: skip
    schema = {
        "measure": pl.String, "value": pl.Float64, "unit": pl.String, "direction": pl.String, "limit": pl.Float64,
        "verdict": pl.String, "what": pl.String, "note": pl.String,
    }  # fmt: skip
    worst = {name: one.worst for name, one in found.items() if one.worst is not None and len(one.worst)}
    return CheckResult(pl.DataFrame(rows, schema=schema), project.name, chosen, project, worst)


def _parts(limits: Limits) -> list[tuple[str, Mapping[str, float]]]:
    return [(AT_MOST, limits.at_most), (AT_LEAST, limits.at_least)]


def _verdict(key: str, value: float | None, limit: float, *, named: bool) -> str:
    if value is None:
        return NOT_MEASURED if named else PASSED_OVER
    slack = _ROUNDING * max(abs(limit), abs(value))
    kept = value <= limit + slack if key == AT_MOST else value >= limit - slack
    return OK if kept else BROKEN


def _fresh(project: Project, names: list[str]) -> None:
    """Refuse to judge labels by metrics of what they were before.

    Raises
    ------
    InputError
        Labels have changed since their metrics were computed.
    """
    from ..computing.label_stage import is_behind

    if any(name in names for name in _NEEDS_LABEL_METRICS) and is_behind(project):
        raise InputError("Labels have changed since their metrics were computed.", "Call p.compute().")
