"""The closed set of filters that travels between browser and Python, and its meaning in Polars.

A filter is JSON: a clause, or `{"all": [...]}`, `{"any": [...]}`, `{"not": ...}`. No code and
no SQL crosses the wire. Python is the authority on what a clause means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from ..content.levels import Level
from ..errors import InputError, UnknownNameError, nearest, unknown
from ..expressions import contains, rows, tagged, untagged

Spec = dict[str, Any]
EMPTY: Spec = {"all": []}
_MOST_DEPTH = 32
_MOST_VALUES = 10_000
_CLOSED = ("left", "right", "both", "none")


def to_expr(spec: Any, level: Level, expressions: Mapping[str, pl.Expr]) -> pl.Expr:
    """Compile a filter to one expression over a level's frame.

    Parameters
    ----------
    spec : dict
        The filter.
    level : Level
        Gives the columns; an unknown one raises.
    expressions : mapping
        Python expressions the browser knows by key only.

    Raises
    ------
    InputError
        A clause of an unknown shape, or one nested too deep.
    UnknownNameError
        A column that does not exist.
    """
    return _compile(spec, level, expressions, 0)


def _compile(spec: Any, level: Level, expressions: Mapping[str, pl.Expr], depth: int) -> pl.Expr:
    if depth > _MOST_DEPTH:
        raise InputError(f"A filter is nested more than {_MOST_DEPTH} deep.", "Make it flatter.")
    if not isinstance(spec, dict):
        raise InputError(f"A filter is not a clause: {spec!r:.120}.", "See the filter section of the docs.")
    if "all" in spec or "any" in spec:
        key = "all" if "all" in spec else "any"
        parts = spec[key]
        if not isinstance(parts, list):
            raise InputError(f'"{key}" is not a list.', "Give a list of clauses.")
        if not parts:
            return pl.lit(True) if key == "all" else pl.lit(False)
        compiled = [_compile(p, level, expressions, depth + 1) for p in parts]
        out = compiled[0]
        for part in compiled[1:]:
            out = out & part if key == "all" else out | part
        return out
    if "not" in spec:
        return ~_compile(spec["not"], level, expressions, depth + 1)
    return _clause(spec, level, expressions)


def _clause(spec: Spec, level: Level, expressions: Mapping[str, pl.Expr]) -> pl.Expr:
    if "col" in spec:
        name = spec["col"]
        if name not in level.frame.columns:
            # An undo may have taken it: the condition stays, so that a redo brings both back.
            raise UnknownNameError(
                f'A condition of the filter is about the column "{name}", which is not there.',
                f"Remove the condition, or redo what was undone. {nearest(str(name), level.frame.columns)}",
            )
        return _column_clause(spec, pl.col(name), level.frame.schema[name])
    if "tag" in spec:
        return tagged(str(spec["tag"]))
    if spec.get("untagged"):
        return untagged()
    if "text" in spec and "expr" not in spec:
        return _text(str(spec["text"]), spec.get("cols"), level)
    if "rows" in spec:
        frozen = spec["rows"] if isinstance(spec["rows"], dict) else {}
        return rows(str(frozen.get("enc")), str(frozen.get("data")))
    if "expr" in spec:
        if spec["expr"] not in expressions:
            raise InputError("An expression of an earlier session is gone.", "Set explorer.filter again.")
        return expressions[spec["expr"]]
    raise InputError(f"Unknown filter clause {spec!r:.120}.", "Use col, tag, untagged, text, rows or expr.")


def _column_clause(spec: Spec, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    operation = spec.get("op")
    if operation == "null":
        return column.is_null()
    if operation == "in":
        values = spec.get("values")
        if not isinstance(values, list) or len(values) > _MOST_VALUES:
            raise InputError('"in" needs a list of values.', f"At most {_MOST_VALUES:,}.")
        present = [v for v in values if v is not None]
        if dtype == pl.Boolean:
            present = [str(v).lower() == "true" for v in present]
        out = column.is_in(pl.Series(present, dtype=dtype, strict=False).implode())
        return out.fill_null(False) | column.is_null() if None in values else out
    if operation == "between":
        return _between(spec, column)
    raise InputError(f'Unknown operation "{operation}" on a column.', "Use between, in or null.")


def _between(spec: Spec, column: pl.Expr) -> pl.Expr:
    low, high, closed = spec.get("lo"), spec.get("hi"), spec.get("closed", "left")
    if closed not in _CLOSED or not all(v is None or _is_number(v) for v in (low, high)):
        raise InputError(f"A range is not readable: {spec!r:.120}.", "Give lo and hi as numbers or null.")
    if low is None and high is None:
        return column.is_not_null()
    if low is not None and high is not None:
        return column.is_between(low, high, closed=closed)
    kept: pl.Expr
    if low is not None:
        kept = column >= low if closed in ("left", "both") else column > low
    else:
        kept = column <= high if closed in ("right", "both") else column < high
    return kept


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(needle: str, columns: Any, level: Level) -> pl.Expr:
    for name in columns or []:
        if name not in level.frame.columns:
            raise unknown("column", str(name), level.frame.columns)
    return contains(needle, columns or None)


def walk(spec: Any, visit: Callable[[Spec], None]) -> None:
    """Call `visit` on every clause of a filter."""
    if not isinstance(spec, dict):
        return
    for key in ("all", "any"):
        for part in spec.get(key, []) if isinstance(spec.get(key), list) else []:
            walk(part, visit)
    if "not" in spec:
        walk(spec["not"], visit)
    if not {"all", "any", "not"} & spec.keys():
        visit(spec)
