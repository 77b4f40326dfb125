"""What a person sees first of a column: its values, in the order in which they look for them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from encord_active_widgets.protocol.columns import NULL_CODE, describe, encode


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["3", "10", "1", "3", "10", "10", None], ["1", "3", "10"]),  # numbers by value, whatever their counts
        (["-1", "2.5", "2.5", "0"], ["-1", "0", "2.5"]),
        (["cat", "3", "3", "10"], ["3", "10", "cat"]),  # not all are numbers: the most frequent first
        (["nan", "1", "1"], ["1", "nan"]),
        (["b", "a", "a"], ["a", "b"]),
    ],
)
def test_values_that_are_numbers_stand_in_their_own_order(values: list[str | None], shown: list[str]) -> None:
    series = pl.Series("class_name", values, dtype=pl.String)
    column = describe(series)
    assert column is not None
    assert list(column.levels) == shown
    assert list(column.counts) == [values.count(level) for level in shown]
    codes = encode(series, column, "codes8")
    assert [None if code == NULL_CODE else shown[code] for code in codes] == values
    assert codes.dtype == np.uint8
