"""Read a Polars expression as a filter the explorer can show; what it cannot show becomes one chip."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..content.levels import Level
from ..expressions import from_tree, inner_of_has, labelled, tree
from ..schema import TAGS
from .filters import Spec

_MIRRORED = {"Lt": "Gt", "LtEq": "GtEq", "Gt": "Lt", "GtEq": "LtEq", "Eq": "Eq", "NotEq": "NotEq"}
_CLOSED = {"Both": "both", "Left": "left", "Right": "right", "None": "none"}


def from_expr(expr: pl.Expr, level: Level, expressions: dict[str, pl.Expr]) -> Spec:
    """Turn an expression into a filter; unknown parts are stored in `expressions` under a new key.

    The filter means exactly what the expression means: parts are only translated where
    the translation compiles back to the same rows.
    """
    spec = _node(tree(expr), level, expressions)
    return spec if "all" in spec else {"all": [spec]}


def _node(node: Any, level: Level, expressions: dict[str, pl.Expr]) -> Spec:
    found = _translate(node, level, expressions)
    return found if found is not None else _opaque(node, expressions)


def _opaque(node: Any, expressions: dict[str, pl.Expr]) -> Spec:
    expr = from_tree(node)
    for key, known in expressions.items():
        if known.meta.eq(expr):
            return {"expr": key, "text": code_of(expr)}
    key = f"e{len(expressions) + 1}"
    expressions[key] = expr
    return {"expr": key, "text": code_of(expr)}


def _translate(node: Any, level: Level, expressions: dict[str, pl.Expr]) -> Spec | None:
    if not isinstance(node, dict):
        return None
    if "BinaryExpr" in node:
        return _binary(node["BinaryExpr"], level, expressions)
    if "Function" in node:
        return _function(node["Function"], level, expressions)
    return None


def _binary(node: dict[str, Any], level: Level, expressions: dict[str, pl.Expr]) -> Spec | None:
    op, left, right = node["op"], node["left"], node["right"]
    if op in ("And", "LogicalAnd", "Or", "LogicalOr"):
        key = "all" if op.endswith("And") else "any"
        parts: list[Spec] = []
        for side in (left, right):
            part = _node(side, level, expressions)
            parts.extend(part.get(key, [part]))
        return {key: parts}
    if op not in _MIRRORED:
        return None
    if "Column" not in left and not _is_tag_count(left):
        left, right, op = right, left, _MIRRORED[op]
    if _is_tag_count(left):
        value = _literal(right)
        if value == 0 and op == "Eq":
            return {"untagged": True}
        return {"not": {"untagged": True}} if value == 0 and op in ("Gt", "NotEq") else None
    name = left.get("Column")
    value = _literal(right)
    if not isinstance(name, str) or name not in level.frame.columns or value is None:
        return None
    return _comparison(name, op, value, level)


def _comparison(name: str, op: str, value: Any, level: Level) -> Spec | None:
    numeric = level.frame.schema[name].is_numeric()
    if numeric and isinstance(value, (int, float)) and not isinstance(value, bool):
        ranges: dict[str, Spec] = {
            "Lt": {"lo": None, "hi": value, "closed": "left"},
            "LtEq": {"lo": None, "hi": value, "closed": "right"},
            "Gt": {"lo": value, "hi": None, "closed": "right"},
            "GtEq": {"lo": value, "hi": None, "closed": "left"},
            "Eq": {"lo": value, "hi": value, "closed": "both"},
        }
        return {"col": name, "op": "between", **ranges[op]} if op in ranges else None
    if level.frame.schema[name] == pl.String and isinstance(value, str) and op in ("Eq", "NotEq"):
        clause: Spec = {"col": name, "op": "in", "values": [value]}
        return clause if op == "Eq" else {"not": clause}
    return None


def _function(node: dict[str, Any], level: Level, expressions: dict[str, pl.Expr]) -> Spec | None:
    function, inputs = node["function"], node["input"]
    boolean = function.get("Boolean") if isinstance(function, dict) else None
    if boolean == "Not":
        return {"not": _node(inputs[0], level, expressions)}
    if boolean == "IsNull" and (name := _column(inputs[0], level)):
        return {"col": name, "op": "null"}
    if boolean == "IsNotNull" and (name := _column(inputs[0], level)):
        return {"not": {"col": name, "op": "null"}}
    if boolean == "AllHorizontal":
        return {"all": [_node(i, level, expressions) for i in inputs]}
    if isinstance(boolean, dict) and "IsBetween" in boolean:
        return _is_between(inputs, boolean["IsBetween"]["closed"], level)
    if isinstance(boolean, dict) and "IsIn" in boolean:
        return _is_in(inputs, level)
    if isinstance(function, dict) and "Contains" in function.get("ListExpr", {}) and inputs[0] == {"Column": TAGS}:
        value = _literal(inputs[1])
        return {"tag": value} if isinstance(value, str) else None
    return None


def _is_between(inputs: list[Any], closed: str, level: Level) -> Spec | None:
    name, low, high = _column(inputs[0], level), _literal(inputs[1]), _literal(inputs[2])
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (low, high))
    if not name or not numbers or not level.frame.schema[name].is_numeric():
        return None
    return {"col": name, "op": "between", "lo": low, "hi": high, "closed": _CLOSED[closed]}


def _is_in(inputs: list[Any], level: Level) -> Spec | None:
    name = _column(inputs[0], level)
    if not name or level.frame.schema[name] != pl.String or "Literal" not in inputs[1]:
        return None
    try:
        values = pl.select(from_tree(inputs[1])).to_series().explode().to_list()
    except pl.exceptions.PolarsError:
        return None
    if not all(isinstance(v, str) for v in values):
        return None
    return {"col": name, "op": "in", "values": values}


def _column(node: Any, level: Level) -> str | None:
    name = node.get("Column") if isinstance(node, dict) else None
    return name if isinstance(name, str) and name in level.frame.columns else None


def _is_tag_count(node: Any) -> bool:
    function = node.get("Function") if isinstance(node, dict) else None
    return (
        isinstance(function, dict)
        and function["function"] == {"ListExpr": "Length"}
        and function["input"] == [{"Column": TAGS}]
    )


def _literal(node: Any) -> Any:
    """Return the value of a plain number, text or truth; None for anything else, such as a date."""
    value, kind = (node.get("Literal") if isinstance(node, dict) else None), ""
    while isinstance(value, dict) and len(value) == 1:
        ((kind, value),) = value.items()
    plain = kind in _PLAIN or kind.startswith(("Int", "UInt", "Float"))
    return value if plain and isinstance(value, (str, int, float)) else None


_PLAIN = frozenset({"Str", "String", "Boolean"})
_OPERATORS = {
    "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">=", "Eq": "==", "NotEq": "!=", "And": "&", "LogicalAnd": "&",
    "Or": "|", "LogicalOr": "|", "Plus": "+", "Minus": "-", "Multiply": "*", "Divide": "/", "TrueDivide": "/",
    "Modulus": "%", "FloorDivide": "//", "Xor": "^",
}  # fmt: skip


def code_of(expr: pl.Expr) -> str:
    """Write an expression as Python; where a part has no known spelling, as its own JSON."""
    node = tree(expr)
    text = _code(node)
    if text is not None:
        if isinstance(node, dict) and "Literal" in node:
            return f"pl.lit({text})"
        return text.removeprefix("(").removesuffix(")") if _wrapped(text) else text
    import json

    return f"pl.Expr.deserialize(io.StringIO({json.dumps(node)!r}), format='json')"


def _wrapped(text: str) -> bool:
    """Tell whether the first bracket closes at the very end."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return i == len(text) - 1 and text.startswith("(")
    return False


def _code(node: Any) -> str | None:
    if not isinstance(node, dict):
        return None
    if "Column" in node:
        return _column_code(node["Column"])
    if "Literal" in node:
        value = _literal(node)
        return repr(value) if value is not None else None
    if "BinaryExpr" in node:
        inner = node["BinaryExpr"]
        left, right = _code(inner["left"]), _code(inner["right"])
        if left is None or right is None or inner["op"] not in _OPERATORS:
            return None
        return f"({left} {_OPERATORS[inner['op']]} {right})"
    if "Function" in node:
        return _function_code(node["Function"])
    return None


def _column_code(name: str) -> str:
    """Write a column, or the condition on labels that goes by its name."""
    inner = inner_of_has(name)
    if inner is None:
        return f"pl.col({name!r})"
    return "ea.labelled()" if labelled().meta.root_names() == [name] else f"ea.has({code_of(inner)})"


def _receiver(node: dict[str, Any], text: str) -> str:
    """Write what a method is called on: a method binds tighter than `~`, and a number has none of ours."""
    if "Literal" in node:
        return f"pl.lit({text})"
    return f"({text})" if text.startswith("~") else text


def _function_code(node: dict[str, Any]) -> str | None:
    function, inputs = node["function"], [_code(i) for i in node["input"]]
    if not isinstance(function, dict) or not inputs or inputs[0] is None:
        return None
    first = _receiver(node["input"][0], inputs[0])
    boolean = function.get("Boolean")
    if boolean == "Not":
        return f"~{first}"
    if boolean in ("IsNull", "IsNotNull"):
        return f"{first}.{'is_null' if boolean == 'IsNull' else 'is_not_null'}()"
    if isinstance(boolean, dict) and "IsBetween" in boolean and None not in inputs:
        closed = _CLOSED[boolean["IsBetween"]["closed"]]
        return f"{first}.is_between({inputs[1]}, {inputs[2]}{'' if closed == 'both' else f', closed={closed!r}'})"
    if isinstance(boolean, dict) and "IsIn" in boolean:
        try:
            values = pl.select(from_tree(node["input"][1])).to_series().explode().to_list()
        except pl.exceptions.PolarsError:
            return None
        return f"{first}.is_in({values!r})"
    text = function.get("StringExpr")
    if isinstance(text, dict) and "Contains" in text and None not in inputs:
        literal = text["Contains"].get("literal")
        return f"{first}.str.contains({inputs[1]}{', literal=True' if literal else ''})"
    if text == "StartsWith" and None not in inputs:
        return f"{first}.str.starts_with({inputs[1]})"
    if text == "EndsWith" and None not in inputs:
        return f"{first}.str.ends_with({inputs[1]})"
    lists = function.get("ListExpr")
    if isinstance(lists, dict) and "Contains" in lists and None not in inputs:
        return f"{first}.list.contains({inputs[1]})"
    return f"{first}.list.len()" if lists == "Length" else None
