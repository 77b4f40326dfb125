"""Outliers by Tukey's fences: what lies far outside the middle half of a metric's values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ..errors import unknown

MODERATE_IQR = 1.5
SEVERE_IQR = 2.5
"""Widths of the fences in interquartile ranges (Tukey, "Exploratory Data Analysis", 1977)."""

_ROUNDING = 1e-6
"""Relative slack of a fence: float32 values of one number differ in their last digits."""

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "ordinal": pl.UInt32,
    "item_id": pl.String,
    "severity": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def fences(values: pl.Series, width: float) -> tuple[float, float] | None:
    """Return `(q1 - width * iqr, q3 + width * iqr)` of the finite values; None without any.

    Quartiles are numpy's default (linear interpolation). Where the IQR is 0 no width tells
    outliers from the rest, so there is no fence either: `(-inf, inf)`.

    >>> fences(pl.Series([0.0, 1, 2, 3, 4]), 1.5)
    (-2.0, 6.0)
    """
    finite = _finite(values)
    if not len(finite):
        return None
    low, high = (float(q) for q in np.quantile(finite, (0.25, 0.75)))
    spread = high - low
    if spread <= 0:
        return float("-inf"), float("inf")
    return low - width * spread, high + width * spread


def outliers(frame: pl.DataFrame, metrics: Sequence[str]) -> pl.DataFrame:
    """List the rows that lie outside a fence, each once, by its worst metric.

    Parameters
    ----------
    frame : pl.DataFrame
        Columns `ordinal`, `item_id` and the metrics.
    metrics : sequence of str
        Numeric columns to look at.

    Returns
    -------
    pl.DataFrame
        `ordinal`, `item_id`, `severity` ("moderate" beyond 1.5 IQR, "severe" beyond 2.5),
        the `metric` it is furthest out in, its `value` and the moderate fences `low` and
        `high`; the worst first.
    """
    parts = [p for p in (_of_metric(frame, m) for m in metrics) if p is not None]
    if not parts:
        return pl.DataFrame(schema=_SCHEMA)
    return (
        pl.concat(parts)
        .sort("excess", "ordinal", descending=[True, False], maintain_order=True)
        .unique(subset="ordinal", keep="first", maintain_order=True)
        .select([pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items()])
    )


def outlier_summary(frame: pl.DataFrame, metrics: Sequence[str]) -> pl.DataFrame:
    """Count outliers for each metric: an item counts once in every metric it is out in.

    Returns
    -------
    pl.DataFrame
        `metric`, `moderate` (beyond 1.5 but not 2.5 IQR), `severe`, the moderate fences
        `low` and `high` (null where there is none); the most outliers first.
    """
    rows = []
    for name in metrics:
        part = _of_metric(frame, name)
        limits = fences(frame[name], MODERATE_IQR) if part is not None else None
        bounded = limits is not None and np.isfinite(limits[0])
        rows.append(
            {
                "metric": name,
                "moderate": 0 if part is None else int((part["severity"] == "moderate").sum()),
                "severe": 0 if part is None else int((part["severity"] == "severe").sum()),
                "low": limits[0] if limits is not None and bounded else None,
                "high": limits[1] if limits is not None and bounded else None,
            }
        )
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "metric": pl.String,
        "moderate": pl.Int64,
        "severe": pl.Int64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
    found = pl.DataFrame(rows, schema=schema)
    return found.sort("severe", "moderate", "metric", descending=[True, True, False])


def _finite(values: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers = values.cast(pl.Float64).drop_nulls()
    return numbers.filter(numbers.is_finite()).to_numpy()


def _of_metric(frame: pl.DataFrame, name: str) -> pl.DataFrame | None:
    """Return the outliers of one metric with how far out they are, in IQRs."""
    if name not in frame.columns:
        raise unknown("metric", name, frame.columns)
    finite = _finite(frame[name])
    if not len(finite):
        return None
    low, high = (float(q) for q in np.quantile(finite, (0.25, 0.75)))
    spread = high - low
    if spread <= _ROUNDING * max(abs(low), abs(high)):
        return None  # IQR 0: "far" has no measure
    value = pl.col(name).cast(pl.Float64)
    excess = pl.max_horizontal(low - value, value - high) / spread
    return (
        frame.lazy()
        .filter(value.is_finite(), excess > MODERATE_IQR)
        .select(
            "ordinal",
            "item_id",
            severity=pl.when(excess > SEVERE_IQR).then(pl.lit("severe")).otherwise(pl.lit("moderate")),
            metric=pl.lit(name),
            value=value,
            low=pl.lit(low - MODERATE_IQR * spread),
            high=pl.lit(high + MODERATE_IQR * spread),
            excess=excess,
        )
        .collect()
    )
