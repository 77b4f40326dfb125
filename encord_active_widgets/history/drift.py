"""How the values of metrics, and the measures of runs, went from one state of a project to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import EawError
from ..schema import CHANGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..content.levels import Level
    from ..content.state import Run
    from ..project import Project

Mask = NDArray[np.bool_]

ADDED, REMOVED, REPLACED, SAME = "added", "removed", "replaced", "same"
METRICS: dict[str, Any] = {
    "level": pl.String, "metric": pl.String, "n_before": pl.Int64, "n_after": pl.Int64, "mean_before": pl.Float64,
    "mean_after": pl.Float64, "median_before": pl.Float64, "median_after": pl.Float64, "ks": pl.Float64,
    "rows_changed": pl.Int64,
}  # fmt: skip
RUNS: dict[str, Any] = {
    "run": pl.String, CHANGE: pl.String, "predictions_before": pl.Int64, "predictions_after": pl.Int64,
    "measure": pl.String, "before": pl.Float64, "after": pl.Float64, "difference": pl.Float64,
}  # fmt: skip
_FIRST = ("mAP@[.5:.95]", "accuracy")


def drift(metric: str, old: Level, new: Level, before: Mask, after: Mask) -> dict[str, Any] | None:
    """Compare one metric; None where it is no number, or nobody has a value.

    Parameters
    ----------
    before, after : ndarray of bool, shape (n,)
        Which rows were there, and are.
    """
    sides = [level.frame[metric] if metric in level.frame.columns else None for level in (old, new)]
    if any(s is not None and not (s.dtype.is_numeric() or s.dtype == pl.Boolean) for s in sides):
        return None
    changed = None
    if sides[0] is not None and sides[1] is not None:
        m = min(old.n, new.n)
        differs = sides[0].head(m).ne_missing(sides[1].head(m)).to_numpy()
        changed = int((differs & before[:m] & after[:m]).sum())
    values = [_sorted(sides[0], before)]
    values.append(values[0] if changed == 0 and np.array_equal(before, after) else _sorted(sides[1], after))
    if not values[0].size and not values[1].size:
        return None
    told: dict[str, Any] = {"ks": ks_statistic(*values), "rows_changed": changed}
    for side, v in zip(("before", "after"), values, strict=True):
        told |= {
            f"n_{side}": v.size,
            f"mean_{side}": float(v.mean()) if v.size else None,
            f"median_{side}": float((v[(v.size - 1) // 2] + v[v.size // 2]) / 2) if v.size else None,
        }
    return told


def _sorted(values: pl.Series | None, there: Mask) -> NDArray[np.float64]:
    """Return the finite values of the rows that are there, in order."""
    if values is None:
        return np.empty(0)
    array: NDArray[np.float64] = (
        values.filter(pl.Series(there[: values.len()])).drop_nulls().sort().cast(pl.Float64).to_numpy()
    )
    finite = np.isfinite(array)
    return array if finite.all() else array[finite]


def ks_statistic(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Return the largest distance of two distribution functions (Kolmogorov–Smirnov); None where one has no value.

    Parameters
    ----------
    a, b : ndarray of float64
        Sorted.
    """
    if not a.size or not b.size:
        return None
    if a is b or np.array_equal(a, b):
        return 0.0
    # Both functions step at the values alone, so the largest distance is at one of them.
    at_a = np.searchsorted(a, a, side="right") / a.size - np.searchsorted(b, a, side="right") / b.size
    at_b = np.searchsorted(a, b, side="right") / a.size - np.searchsorted(b, b, side="right") / b.size
    return float(max(np.abs(at_a).max(), np.abs(at_b).max()))


def compared_runs(before: Project, after: Project, old: Mapping[str, Run], new: Mapping[str, Run]) -> pl.DataFrame:
    """Evaluate each run against the labels of its time; see `Difference.runs`."""
    rows = []
    for name in dict.fromkeys([*old, *new]):
        a, b = old.get(name), new.get(name)
        same = a is not None and b is not None and a.change_id == b.change_id
        change = ADDED if a is None else REMOVED if b is None else SAME if same else REPLACED
        measure, was = _measured(before, name) if a is not None else (None, None)
        other, is_ = _measured(after, name) if b is not None else (None, None)
        rows.append(
            {
                "run": name,
                CHANGE: change,
                "predictions_before": None if a is None else a.predictions,
                "predictions_after": None if b is None else b.predictions,
                "measure": measure or other,
                "before": was,
                "after": is_,
                "difference": is_ - was if was is not None and is_ is not None and measure == other else None,
            }
        )
    return pl.DataFrame(rows, schema=RUNS)


def _measured(project: Project, run: str) -> tuple[str | None, float | None]:
    """Return the first measure of a run's evaluation; nothing where there are no labels to compare with."""
    try:
        summary = project.evaluate(run).summary
    except EawError:
        return None, None
    known = dict(summary.select("metric", "value").iter_rows())
    name = next((n for n in _FIRST if n in known), next(iter(known), None))
    value = None if name is None else known[name]
    return name, None if value is None or not np.isfinite(value) else float(value)
