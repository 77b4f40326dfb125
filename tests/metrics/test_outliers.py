"""What a user would lose: an outlier missed, counted twice, or invented."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.errors import UnknownNameError
from encord_active_widgets.metrics.outliers import outlier_summary, outliers


def table(**columns) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    frame = pl.DataFrame(columns, strict=False)
    return frame.with_columns(
        ordinal=pl.int_range(n, dtype=pl.UInt32),
        item_id=pl.int_range(n).cast(pl.String),
    )


numbers = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, width=32), st.just(float("nan"))), min_size=1)


@settings(max_examples=200, deadline=None)
@given(numbers)
def test_outliers_are_those_outside_numpys_quartile_fences(values) -> None:
    found = outliers(table(m=values), ["m"])
    finite = np.array([v for v in values if v is not None and np.isfinite(v)])
    if not len(finite):
        assert found.is_empty()
        return
    low, high = np.quantile(finite, (0.25, 0.75))
    spread = high - low
    if spread <= 1e-5 * max(abs(low), abs(high)):
        return
    excess = np.maximum(low - finite, finite - high) / spread
    assert sorted(found["value"]) == pytest.approx(sorted(finite[excess > 1.5]))
    assert (found["severity"] == "severe").sum() == (excess > 2.5).sum()
    assert found["low"].to_list() == pytest.approx([low - 1.5 * spread] * len(found))


def test_each_item_counts_once_by_its_worst_metric() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=1000), rng.normal(size=1000)
    a[7], b[7], a[9] = 50, 500, 5
    found = outliers(table(a=a, b=b), ["a", "b"])
    assert found["ordinal"].is_unique().all()
    assert found.row(0, named=True)["ordinal"] == 7
    assert found.row(0, named=True)["metric"] == "b"
    assert found.schema["ordinal"] == pl.UInt32
    summary = outlier_summary(table(a=a, b=b), ["a", "b"])
    assert summary["severe"].sum() >= 3


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1])
def test_metrics_that_are_nearly_constant_invent_no_outliers(value: float) -> None:
    values = np.full(100, value, np.float32)
    values[3] = 99
    assert outliers(table(m=values), ["m"]).is_empty()
    summary = outlier_summary(table(m=values), ["m"]).row(0, named=True)
    assert (summary["moderate"], summary["severe"], summary["low"]) == (0, 0, None)


def test_empty_tables_and_unknown_names() -> None:
    assert outliers(table(m=pl.Series([], dtype=pl.Float32)), ["m"]).is_empty()
    assert outliers(table(m=[1.0]), []).columns == [
        "ordinal",
        "item_id",
        "severity",
        "metric",
        "value",
        "low",
        "high",
    ]
    with pytest.raises(UnknownNameError, match="brightness"):
        outliers(table(brightness=[1.0]), ["brightnes"])
