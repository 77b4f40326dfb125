"""From the steps of a view to one lazy query, and the checks of what a filter may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ..content.levels import Level
from ..errors import InputError, UnknownNameError, unknown
from ..expressions import inner_of_has, tag_column, with_tag_columns
from ..schema import ITEM, ORDINAL, TAGS

Op = tuple[Any, ...]
"""A step: its kind and what it needs, such as `(HEAD, 10)`."""

FILTER, ROWS, SORT, HEAD = "filter", "rows", "sort", "head"


def compile_steps(ops: Sequence[Op], level: Level, extra: pl.DataFrame | None) -> pl.LazyFrame:
    """Compile the steps to one lazy query; `extra` has columns by ordinal that stand in for those of the level."""
    steps = list(ops)
    base = level.query_frame
    lazy: pl.LazyFrame
    if steps and steps[0][0] == ROWS:
        rows = steps.pop(0)[1]
        if level.alive is not None:
            rows = rows[level.alive[rows]]
        lazy = base[rows].lazy()
    else:
        lazy = base.lazy()
        if level.alive is not None:
            lazy = lazy.filter(pl.lit(pl.Series(level.alive)))
    if extra is not None:
        lazy = lazy.drop([c for c in extra.columns if c != ORDINAL], strict=False)
        lazy = lazy.join(extra.lazy(), on=ORDINAL, how="left", maintain_order="left")
    for step in steps:
        lazy = _step(lazy, step, level)
    return lazy


def _step(lazy: pl.LazyFrame, step: Op, level: Level) -> pl.LazyFrame:
    kind = step[0]
    if kind == FILTER:
        exprs = [with_tag_columns(e, level.tag_names) for e in step[1]]
        if any(TAGS in e.meta.root_names() for e in exprs):
            lazy = lazy.with_columns(_tag_list(level.tag_names))
        for found in level.has_columns(exprs):
            lazy = lazy.with_columns(pl.lit(found).gather(pl.col(ORDINAL)).alias(found.name))
        return lazy.filter(*exprs)
    if kind == SORT:
        by = pl.col(step[1]) if isinstance(step[1], str) else step[1]
        return lazy.sort(_nan_last(by, level, step[1]), descending=step[2], nulls_last=True, maintain_order=True)
    if kind == HEAD:
        return lazy.head(step[1])
    raise AssertionError(kind)


def _nan_last(by: pl.Expr, level: Level, name: str | pl.Expr) -> pl.Expr:
    """Order NaN with the missing values; a column without NaN stays a plain one, which sorts faster."""
    return by.fill_nan(None) if isinstance(name, str) and level.has_nan(name) else by


def _tag_list(names: Sequence[str]) -> pl.Expr:
    """Build `tags` inside a query, for expressions that treat it as a list."""
    if not names:
        return pl.lit([], dtype=pl.List(pl.String)).alias(TAGS)
    parts = [pl.when(pl.col(tag_column(n))).then(pl.lit(n)) for n in names]
    return pl.concat_list(parts).list.drop_nulls().alias(TAGS)


def no_column(name: str, level: Level, more: set[str]) -> UnknownNameError:
    """Build the error for a column that is not there: a metric without values, or a name that does not exist."""
    from ..metrics.registry import registered

    if any(spec.name == name for spec in registered() if spec.level in (level.name, ITEM)):
        return UnknownNameError(
            f'The metric "{name}" has no values for {level.name}s here.',
            "Call compute() on the project; where that was done, there is too little data for it.",
        )
    return unknown("column", name, level.columns | more)


def valid_expression(expr: Any, level: Level, extra: pl.DataFrame | None) -> pl.Expr:
    """Return what was given as a filter as an expression over columns that are there."""
    if isinstance(expr, str):
        from ..content.query_text import parse_query

        expr = parse_query(expr)
    if isinstance(expr, (bool, np.bool_)):
        raise InputError(
            "A filter got a plain True or False, not an expression.", 'Write pl.col("brightness") < 0.2, with pl.col.'
        )
    if not isinstance(expr, pl.Expr):
        raise InputError(
            f"A filter got a {type(expr).__name__}.", 'Write an expression such as pl.col("brightness") < 0.2.'
        )
    more = set(extra.columns) if extra is not None else set()
    for name in expr.meta.root_names():
        inner = inner_of_has(name)
        if inner is not None:
            _check_has(inner, level)
        elif name not in level.columns and name not in more:
            raise no_column(name, level, more)
    return expr


def _check_has(inner: pl.Expr, level: Level) -> None:
    if not level.below:
        raise InputError(
            f"ea.has looks from items at their labels; this is a view of {level.name}s.", "Filter directly."
        )
    known = [lower.columns for lower in level.below]
    names = inner.meta.root_names()
    if not any(all(n in columns for n in names) for columns in known):
        missing = next((n for n in names if not any(n in columns for columns in known)), names[0])
        raise unknown("column of labels", missing, frozenset().union(*known))
