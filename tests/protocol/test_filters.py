"""Filters: the page and Polars must mean the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import encord_active_widgets as ea
from encord_active_widgets.content.state import Level
from encord_active_widgets.errors import InputError, UnknownNameError
from encord_active_widgets.protocol.code import filter_code
from encord_active_widgets.protocol.columns import describe, encode
from encord_active_widgets.protocol.filters import to_expr
from encord_active_widgets.protocol.parsing import code_of, from_expr
from encord_active_widgets.store.fold import LevelEdits

N = 400


def make_level(seed: int = 0) -> Level:
    rng = np.random.default_rng(seed)
    values = pl.Series("brightness", rng.random(N).astype(np.float32))
    frame = pl.DataFrame(
        {
            "item_id": [f"i{k}" for k in range(N)],
            "uri": [f"photos/{k}.jpg" for k in range(N)],
            "class_name": rng.choice(["cat", "dog", None], N).tolist(),
            "brightness": values.set(pl.Series(rng.random(N) < 0.1), None),
            "width": rng.integers(10, 2000, N),
            "ordinal": pl.Series(range(N), dtype=pl.UInt32),
        }
    )
    tags = {"review": rng.random(N) < 0.3, 'say "hi"': rng.random(N) < 0.1}
    return Level("item", frame, "item_id", LevelEdits(N, tags), ("brightness",))


LEVEL = make_level()


def rows(expr: pl.Expr, level: Level = LEVEL) -> list[int]:
    frame = level.frame.with_columns(level.tags_of(np.arange(level.n)))
    return frame.filter(expr)["ordinal"].to_list()


_numbers = st.one_of(st.none(), st.floats(-0.2, 1.2).map(lambda v: round(v, 2)))
_clauses = st.one_of(
    st.builds(
        lambda lo, hi, c: {"col": "brightness", "op": "between", "lo": lo, "hi": hi, "closed": c},
        _numbers,
        _numbers,
        st.sampled_from(["left", "right", "both", "none"]),
    ),
    st.builds(
        lambda v: {"col": "class_name", "op": "in", "values": v},
        st.lists(st.sampled_from(["cat", "dog", "bird", None]), min_size=1, max_size=3, unique=True),
    ),
    st.builds(lambda t: {"tag": t}, st.sampled_from(["review", 'say "hi"', "never"])),
    st.just({"untagged": True}),
    st.just({"col": "brightness", "op": "null"}),
    st.builds(lambda t: {"text": t}, st.sampled_from(["photos/1", "CAT", "zebra"])),
)
SPECS = st.recursive(
    _clauses,
    lambda inner: st.one_of(
        st.builds(lambda p: {"all": p}, st.lists(inner, max_size=3)),
        st.builds(lambda p: {"any": p}, st.lists(inner, max_size=3)),
        st.builds(lambda p: {"not": p}, inner),
    ),
    max_leaves=6,
)


@given(SPECS)
@settings(max_examples=200, deadline=None)
def test_the_code_the_widget_prints_selects_the_rows_it_shows(spec: dict[str, Any]) -> None:
    expected = rows(to_expr(spec, LEVEL, {}))
    printed = filter_code(spec, {})
    expr = pl.lit(True)
    for condition in printed:
        expr = expr & eval(condition, {"pl": pl, "ea": ea})  # what a user would paste
    assert rows(expr) == expected


@given(SPECS)
@settings(max_examples=200, deadline=None)
def test_an_expression_set_from_python_keeps_its_meaning_in_the_page(spec: dict[str, Any]) -> None:
    expr = to_expr(spec, LEVEL, {})
    known: dict[str, pl.Expr] = {}
    again = from_expr(expr, LEVEL, known)
    assert rows(to_expr(again, LEVEL, known)) == rows(expr)


@pytest.mark.parametrize(
    ("expr", "clause"),
    [
        (pl.col("brightness") < 0.2, {"col": "brightness", "op": "between", "lo": None, "hi": 0.2, "closed": "left"}),
        (pl.col("brightness") >= 0.2, {"col": "brightness", "op": "between", "lo": 0.2, "hi": None, "closed": "left"}),
        (pl.col("class_name") == "cat", {"col": "class_name", "op": "in", "values": ["cat"]}),
        (pl.col("class_name").is_in(["cat", "dog"]), {"col": "class_name", "op": "in", "values": ["cat", "dog"]}),
        (ea.tagged("review"), {"tag": "review"}),
        (ea.untagged(), {"untagged": True}),
        (~ea.tagged("review"), {"not": {"tag": "review"}}),
    ],
)
def test_simple_expressions_become_brushes_and_chips(expr: pl.Expr, clause: dict[str, Any]) -> None:
    assert from_expr(expr, LEVEL, {}) == {"all": [clause]}


def test_what_the_page_cannot_show_becomes_one_chip_with_its_text() -> None:
    known: dict[str, pl.Expr] = {}
    expr = (pl.col("width") * 2 > pl.col("brightness")) & (pl.col("brightness") > 0.5)
    spec = from_expr(expr, LEVEL, known)
    assert [("expr" in part, part.get("col")) for part in spec["all"]] == [(True, None), (False, "brightness")]
    assert spec["all"][0]["text"] == "(pl.col('width') * 2) > pl.col('brightness')"
    assert rows(to_expr(spec, LEVEL, known)) == rows(expr)


def test_code_of_an_unknown_function_still_evaluates_to_the_same_rows() -> None:
    import io

    expr = pl.col("brightness").rank() > 100
    assert rows(eval(code_of(expr), {"pl": pl, "io": io})) == rows(expr)


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (ea.labelled(), "ea.labelled()"),
        (~ea.labelled(), "~ea.labelled()"),
        (ea.has(pl.col("class_name") == "nut"), "ea.has(pl.col('class_name') == 'nut')"),
        ((pl.col("width") > 9) | ea.has(ea.tagged("seen")), "(pl.col('width') > 9) | ea.has(ea.tagged('seen'))"),
    ],
)
def test_a_condition_on_labels_is_written_as_it_was_asked(expr: pl.Expr, text: str) -> None:
    written = code_of(expr)
    assert eval(written, {"pl": pl, "ea": ea}).meta.eq(expr)
    assert written.replace("pl.col('tags').list.contains('seen')", "ea.tagged('seen')") == text


@pytest.mark.parametrize(
    "spec",
    [
        {"col": "brightness", "op": "like"},
        {"col": "brightness", "op": "between", "lo": "0; import os"},
        {"all": "everything"},
        {"sql": "drop table"},
        [],
        {"col": "brightness", "op": "in", "values": "cat"},
        {"rows": {"enc": "ids", "data": "!!"}},
        {"expr": "e99"},
    ],
)
def test_a_page_cannot_smuggle_anything_but_filters(spec: Any) -> None:
    with pytest.raises(InputError):
        to_expr(spec, LEVEL, {})


def test_a_filter_nested_a_thousand_deep_is_refused() -> None:
    spec: dict[str, Any] = {"tag": "review"}
    for _ in range(1000):
        spec = {"not": spec}
    with pytest.raises(InputError):
        to_expr(spec, LEVEL, {})


def test_an_unknown_column_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="brightness"):
        to_expr({"col": "brightnes", "op": "null"}, LEVEL, {})


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6), st.floats(-1e5, 1e5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_brush_on_bins_selects_what_polars_selects(seed: int, scale: float, shift: float, single: bool) -> None:
    rng = np.random.default_rng(seed)
    dtype = pl.Float32 if single else pl.Float64
    series = pl.Series("v", rng.standard_normal(500) * scale + shift, dtype=dtype)
    column = describe(series)
    assert column is not None
    assert column.histogram is not None
    bins, edges = encode(series, column, "bins8"), column.histogram.edges
    assert column.histogram.bins <= 64
    frame = pl.DataFrame({"v": series})
    for start in range(0, column.histogram.bins, 7):
        for stop in range(start + 1, column.histogram.bins, 9):
            kept = (bins >= start) & (bins < stop) & (bins != 255)
            low = None if start == 0 else float(edges[start])
            expr = pl.col("v") < float(edges[stop])
            if low is not None:
                expr = pl.col("v").is_between(low, float(edges[stop]), closed="left")
            assert (frame.select(expr)["v"].to_numpy() == kept).all()


def test_dates_and_truths_survive_the_page_and_the_printed_code() -> None:
    import datetime as dt
    import io

    level = make_level()
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2021, 2, 3), eager=True)[:N]
    frame = level.frame.with_columns(day=days, flag=pl.Series([True, False, None, True] * (N // 4)))
    level = Level("item", frame, "item_id", level.edits)
    for expr in (pl.col("day") > dt.date(2020, 3, 1), pl.col("flag"), ~pl.col("flag"), pl.col("flag") == True):  # noqa: E712
        known: dict[str, pl.Expr] = {}
        spec = from_expr(expr, level, known)
        assert rows(to_expr(spec, level, known), level) == rows(expr, level)
        printed = filter_code(spec, known)
        assert rows(eval(printed[0], {"pl": pl, "ea": ea, "io": io}), level) == rows(expr, level)
