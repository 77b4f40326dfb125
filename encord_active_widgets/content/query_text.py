"""Read a query that was typed: a Polars expression as text, or the condition of an SQL query. Nothing is executed.

Python text is parsed to its syntax tree, and only what stands in the tables below is built from it: columns,
literals, operators, and methods of expressions that look at values. There is no `eval`, no attribute and no name
beside these, so a query may come from a file, a form or a build job.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from ..errors import InputError, nearest
from ..expressions import contains, has, labelled, tagged, untagged

_LONGEST = 10_000
"""Characters: a query is typed, and a deeper tree than this can hold would exhaust the stack."""
_PYTHON = re.compile(r"\b(?:pl|ea)\s*\.")
_SQL_REFUSED = re.compile(r"\b(select|from|table|values|unnest|read_\w+|scan_\w+)\b", re.IGNORECASE)
"""A condition needs none of these; with them SQL reads files (`SELECT … FROM read_csv(…)`)."""
_HELP = 'Write brightness < 0.2 AND class_name = "cat" as SQL, or pl.col("brightness") < 0.2 as Polars has it.'
_SQL_HELP = "Write a condition such as brightness < 0.2 AND class_name = 'cat'; a word goes as --text WORD."

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_FUNCTIONS: dict[str, Mapping[str, Callable[..., Any]]] = {
    "pl": {
        name: getattr(pl, name)
        for name in (
            "col", "lit", "when", "all_horizontal", "any_horizontal", "min_horizontal", "max_horizontal",
            "sum_horizontal", "mean_horizontal", "coalesce", "concat_str", "date", "datetime", "duration", "len",
        )
    },
    "ea": {"tagged": tagged, "untagged": untagged, "has": has, "contains": contains, "labelled": labelled},
}  # fmt: skip
_METHODS = frozenset((
    "abs", "and_", "or_", "not_", "xor", "eq", "ne", "lt", "le", "gt", "ge", "eq_missing", "ne_missing",
    "is_between", "is_in", "is_null", "is_not_null", "is_nan", "is_not_nan", "is_finite", "is_infinite",
    "is_duplicated", "is_unique", "is_first_distinct", "is_last_distinct", "is_close", "fill_null", "fill_nan",
    "alias", "cast", "clip", "round", "floor", "ceil", "sqrt", "cbrt", "log", "log10", "log1p", "exp", "sign", "mod",
    "pow", "rank", "quantile", "median", "mean", "std", "var", "min", "max", "sum", "first", "last", "count", "len",
    "n_unique", "null_count", "over", "then", "otherwise", "when", "any", "all", "has_nulls", "add", "sub", "mul",
    "truediv", "floordiv", "neg",
))  # fmt: skip
_SPACES: dict[str, frozenset[str]] = {
    "str": frozenset((
        "contains", "contains_any", "starts_with", "ends_with", "len_chars", "len_bytes", "to_lowercase",
        "to_uppercase", "strip_chars", "strip_prefix", "strip_suffix", "slice", "head", "tail", "find",
        "count_matches", "extract", "replace", "replace_all",
    )),
    "list": frozenset((
        "len", "contains", "first", "last", "get", "min", "max", "sum", "mean", "any", "all", "n_unique",
    )),
    "dt": frozenset((
        "year", "month", "day", "hour", "minute", "second", "weekday", "ordinal_day", "date", "timestamp",
        "total_seconds",
    )),
}  # fmt: skip
_DTYPES = frozenset(["Int64", "Int32", "Float64", "Float32", "String", "Boolean", "Date"])


def parse_query(text: str) -> pl.Expr:
    """Return the expression that a text means; nothing in it is executed.

    Parameters
    ----------
    text : str
        A Polars expression in Python, such as `pl.col("brightness") < 0.2` or `ea.tagged("review")`, or a
        condition in SQL, such as `brightness < 0.2 AND class_name LIKE 'c%'`.

    Returns
    -------
    pl.Expr

    Raises
    ------
    InputError
        The text is neither, or names something that a query may not use.

    Examples
    --------
    >>> str(parse_query('pl.col("w") * pl.col("h") > 100'))
    '[([(col("w")) * (col("h"))]) > (dyn int: 100)]'
    >>> parse_query('pl.col("uri").map_elements(print)')  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    InputError: A query may not use the method "map_elements".
    """
    written = text.strip()
    if not written or len(written) > _LONGEST:
        what = "is empty" if not written else f"has {len(written):,} characters, more than {_LONGEST:,}"
        raise InputError(f"The query {what}.", _HELP)
    if _PYTHON.search(written) is None:
        return _sql(written)
    try:
        body = ast.parse(written, mode="eval").body
        found = _value(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        why = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise InputError(f"The query {written!r:.120} is no Python expression: {why}.", _HELP) from error
    if not isinstance(found, pl.Expr):
        raise InputError(f"The query {written!r:.120} is no condition on columns.", _HELP)
    return found


def _sql(text: str) -> pl.Expr:
    refused = _SQL_REFUSED.search(text)
    if refused is not None:
        raise InputError(
            f'A query may not use "{refused[0]}": it is a condition on the columns, not a statement.',
            'Where that is a name or a text, write it in Python: pl.col("name") == "text".',
        )
    try:
        return pl.sql_expr(text)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"The query {text!r:.120} cannot be read: {_first_line(error)}.", _SQL_HELP) from error


def _value(node: ast.expr) -> Any:
    """Build the value of one node of the tree."""
    if isinstance(node, ast.Constant):
        if node.value is None or isinstance(node.value, (bool, int, float, str)):
            return node.value
        raise _refusal(node)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_value(n) for n in node.elts]
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            raise InputError('A query has "not", which asks for the truth of a whole column.', "Write ~ instead.")
        return _applied(node, _UNARY[type(node.op)], _operand(node.operand))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _operand(node.left), _operand(node.right)
        if isinstance(node.op, ast.Pow) and not isinstance(left, pl.Expr) and not isinstance(right, pl.Expr):
            raise InputError("A query has a power of two plain numbers.", "Write the number itself.")
        return _applied(node, _BINARY[type(node.op)], left, right)
    if isinstance(node, ast.BoolOp):
        raise InputError(
            'A query has "and" or "or", which ask for the truth of a whole column.',
            "Write & and |, with each condition in brackets.",
        )
    if isinstance(node, ast.Compare):
        return _comparison(node)
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Attribute):
        return _attribute(node)
    raise _refusal(node)


def _operand(node: ast.expr) -> Any:
    """Return what an operator works on: a number or an expression; a text only where Polars compares it."""
    value = _value(node)
    if not isinstance(value, (pl.Expr, int, float)) and not hasattr(value, "then"):
        return pl.lit(value)
    return value


def _applied(node: ast.expr, function: Callable[..., Any], *values: Any) -> Any:
    try:
        return function(*values)
    except (TypeError, ValueError, ArithmeticError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{_shown(node)} cannot be computed: {_first_line(error)}.", _HELP) from error


def _comparison(node: ast.Compare) -> Any:
    if len(node.ops) > 1:
        raise InputError(f"{_shown(node)} compares twice.", 'Write pl.col("x").is_between(low, high).')
    if any(isinstance(n, ast.Constant) and n.value is None for n in (node.left, *node.comparators)):
        raise InputError(f"{_shown(node)} compares with None, which is never true.", 'Write pl.col("x").is_null().')
    compare = _COMPARE.get(type(node.ops[0]))
    if compare is None:
        raise InputError(f"{_shown(node)} is no comparison of columns.", 'Write pl.col("x").is_in(["a", "b"]).')
    return _applied(node, compare, _value(node.left), _value(node.comparators[0]))


def _attribute(node: ast.Attribute) -> Any:
    """Return `pl.col.name`, or a type such as `pl.Int64`."""
    of = node.value
    if isinstance(of, ast.Name) and of.id == "pl" and node.attr in _DTYPES:
        return getattr(pl, node.attr)
    if _is_column(node) and not node.attr.startswith("_"):
        return pl.col(node.attr)
    raise _refusal(node)


def _call(node: ast.Call) -> Any:
    function = node.func
    if not isinstance(function, ast.Attribute) or any(k.arg is None for k in node.keywords):
        raise _refusal(node)
    called = _named(function) or _method(function)
    arguments = [_value(a) for a in node.args]
    return _applied(node, lambda: called(*arguments, **{str(k.arg): _value(k.value) for k in node.keywords}))


def _named(function: ast.Attribute) -> Callable[..., Any] | None:
    """Return a function of `pl` or `ea`; None where it is a method of something else."""
    of = function.value
    if not isinstance(of, ast.Name):
        return None
    if of.id not in _FUNCTIONS:
        raise _refusal(of)
    known = _FUNCTIONS[of.id]
    if function.attr not in known:
        raise InputError(f'A query may not use "{of.id}.{function.attr}".', nearest(function.attr, known))
    return known[function.attr]


def _method(function: ast.Attribute) -> Callable[..., Any]:
    of, name, known = function.value, function.attr, _METHODS
    space = of.attr if isinstance(of, ast.Attribute) and of.attr in _SPACES and not _is_column(of) else None
    if space is not None and isinstance(of, ast.Attribute):
        of, known = of.value, _SPACES[space]
    if name not in known:
        raise InputError(f'A query may not use the method "{name}".', nearest(name, known))
    value = _value(of)
    if not isinstance(value, pl.Expr) and not hasattr(value, "then") and not hasattr(value, "otherwise"):
        raise InputError(f"{_shown(of)} is no expression, so it has no method {name}.", _HELP)
    found: Callable[..., Any] = getattr(value if space is None else getattr(value, space), name)
    return found


def _is_column(node: ast.Attribute) -> bool:
    """Tell whether this is `pl.col.str`: a column that is named like a namespace."""
    of = node.value
    return isinstance(of, ast.Attribute) and of.attr == "col" and isinstance(of.value, ast.Name) and of.value.id == "pl"


def _refusal(node: ast.AST) -> InputError:
    return InputError(f"A query may not use {_shown(node)}.", _HELP)


def _shown(node: ast.AST) -> str:
    return f'"{ast.unparse(node):.80}"'


def _first_line(error: BaseException) -> str:
    """Return what the parser says, without the tree it prints behind it."""
    lines = str(error).strip().splitlines()
    return re.sub(r": [A-Z]\w*[({].*", "", lines[0])[:100].rstrip(".") if lines else type(error).__name__
