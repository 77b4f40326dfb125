"""Print the Python that reproduces what an explorer shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ..schema import run_of
from ..view import View
from .filters import Spec
from .parsing import code_of

_LINE = 88
_MOST_IDS = 1000
LEVELS = {"item": "p.items", "object": "p.objects", "classification": "p.classifications"}


def level_code(level: str) -> str:
    """Return the expression of a level's rows."""
    run = run_of(level)
    return LEVELS[level] if run is None else f"p.predictions[{run!r}]"


def filter_code(spec: Any, expressions: Mapping[str, pl.Expr]) -> list[str]:
    """Return one Python expression a top-level condition."""
    parts = spec["all"] if isinstance(spec, dict) and "all" in spec else [spec]
    return [_code(p, expressions) for p in parts]


def view_code(
    conditions: Sequence[str], sort: Mapping[str, Any] | None, *, root: str = "p.items", name: str = "view"
) -> str:
    """Return a statement that makes the view."""
    text = root
    if conditions:
        joined = ", ".join(conditions)
        text += f".filter({joined})" if len(joined) < _LINE else ".filter(\n    " + ",\n    ".join(conditions) + ",\n)"
    if sort and sort.get("by"):
        text += f".sort({sort['by']!r}{', descending=True' if sort.get('desc') else ''})"
    needs_io = "io.StringIO" in text
    needs_ea = "ea." in text
    header = [*(["import io"] if needs_io else []), "import polars as pl"]
    header += ["import encord_active_widgets as ea"] if needs_ea else []
    return "\n".join(header) + f"\n\n{name} = {text}\n"


def root_code(view: View, model: Mapping[str, float] | None = None) -> str:
    """Return an expression that makes the view an explorer was opened on; `model` is how a run's sliders stand."""
    text = level_code(view.level)
    if model is not None and view._extra is not None:
        text = (
            f"p.evaluate({run_of(view.level)!r}, iou={model['iou']:g}, confidence={model['confidence']:g}).predictions"
        )
        view = View(view.project, view.level, view._ops)
    if view._extra is not None:  # found by similarity: its own columns cannot be asked of other rows
        rows = view.rows
        return f"{text}.by_ids({_ids(view, rows)!r})" if rows.size <= _MOST_IDS else "w.view"
    for kind, *values in view._ops:
        if kind == "filter":
            text += f".filter({', '.join(code_of(e) for e in values[0])})"
        elif kind == "rows":
            if len(values[0]) > _MOST_IDS:
                return "w.view"
            text += f".by_ids({_ids(view, values[0])!r})"
        elif kind == "sort":
            by = repr(values[0]) if isinstance(values[0], str) else code_of(values[0])
            text += f".sort({by}{', descending=True' if values[1] else ''})"
        else:
            text += f".head({values[0]})"
    return text


def _ids(view: View, rows: Any) -> list[str]:
    level = view._state()
    return list(level.frame[level.key].gather(rows))


def selection_code(ids: Sequence[str], total: int, *, root: str = "p.items") -> str:
    """Return a statement that makes the same fixed view from its ids; `total` is the number of all rows."""
    if len(ids) == total:
        return f"view = {root}\n"
    if len(ids) > _MOST_IDS:
        return f'view = w.selection  # {len(ids):,} items; keep them with view.tag("…")\n'
    return f"view = {root}.by_ids({list(ids)!r})\n"


def _code(spec: Spec, expressions: Mapping[str, pl.Expr]) -> str:
    if "all" in spec or "any" in spec:
        key = "all" if "all" in spec else "any"
        parts = [_code(p, expressions) for p in spec[key]]
        if not parts:
            return f"pl.lit({key == 'all'})"
        if len(parts) == 1:
            return parts[0]
        return (" & " if key == "all" else " | ").join(f"({p})" for p in parts)
    if "not" in spec:
        return f"~({_code(spec['not'], expressions)})"
    return _clause(spec, expressions)


def _clause(spec: Spec, expressions: Mapping[str, pl.Expr]) -> str:
    if "col" in spec:
        return _column(spec)
    if "tag" in spec:
        return f"ea.tagged({spec['tag']!r})"
    if spec.get("untagged"):
        return "ea.untagged()"
    if "expr" in spec:
        return code_of(expressions[spec["expr"]]) if spec["expr"] in expressions else str(spec.get("text", ""))
    if "text" in spec:
        columns = spec.get("cols")
        return f"ea.contains({spec['text']!r}{f', columns={columns!r}' if columns else ''})"
    if "rows" in spec:
        return f"ea.rows({spec['rows']['enc']!r}, {spec['rows']['data']!r})"
    return "pl.lit(True)"


def _column(spec: Spec) -> str:
    column = f"pl.col({spec['col']!r})"
    if spec["op"] == "null":
        return f"{column}.is_null()"
    if spec["op"] == "in":
        values = [v for v in spec["values"] if v is not None]
        text = f"{column} == {values[0]!r}" if len(values) == 1 else f"{column}.is_in({values!r})"
        if None not in spec["values"]:
            return text
        return (
            f"{column}.is_null()" if not values else f"{column}.is_in({values!r}).fill_null(False) | {column}.is_null()"
        )
    low, high, closed = spec.get("lo"), spec.get("hi"), spec.get("closed", "left")
    if low is not None and high is not None:
        return f"{column}.is_between({low!r}, {high!r}{'' if closed == 'both' else f', closed={closed!r}'})"
    if low is not None:
        return f"{column} {'>=' if closed in ('left', 'both') else '>'} {low!r}"
    if high is not None:
        return f"{column} {'<=' if closed in ('right', 'both') else '<'} {high!r}"
    return f"{column}.is_not_null()"
