"""Expressions on tags, for use in any filter beside plain `pl.col(...)`."""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Sequence

import polars as pl
import polars.selectors as cs

from .errors import InputError
from .schema import CONTENT_HASH, ITEM_ID, ORDINAL, TAGS
from .store.rows import decode_rows

UNTAGGED_COLUMN = "\0untagged"
_TAG_PREFIX = "\0tag\0"
_HAS_PREFIX = "\0has\0"
"""With a character that no column of a user's has."""
_NOT_SEARCHED = (CONTENT_HASH, "mode", "encoding")


def tagged(*names: str) -> pl.Expr:
    """Rows that carry all the given tags.

    Works on any frame with a column `tags: List(String)`, such as `view.df`; inside
    `project.filter` it reads a Boolean column instead and is about as fast as one.

    Parameters
    ----------
    *names : str
        Tags; without one, rows that carry any.

    Returns
    -------
    polars.Expr
        To be combined with `&`, `|`, `~` and other expressions.

    Examples
    --------
    >>> pl.DataFrame({"tags": [["a"], []]}).filter(tagged("a")).height
    1
    """
    if not names:
        return ~untagged()
    expr = _one(names[0])
    for name in names[1:]:
        expr = expr & _one(name)
    return expr


def untagged() -> pl.Expr:
    """Return the expression for rows that carry no tag: `p.filter(ea.untagged())`."""
    return pl.col(TAGS).list.len() == 0


def contains(text: str, columns: Sequence[str] | None = None) -> pl.Expr:
    """Rows where a text column holds `text`, ignoring case.

    Parameters
    ----------
    text : str
        What to look for, taken literally.
    columns : sequence of str, optional
        Where to look; by default every text column but hashes and modes.

    Returns
    -------
    polars.Expr
        False where the text is missing.

    Examples
    --------
    >>> pl.DataFrame({"uri": ["a/Cat.jpg", "b.jpg"]}).filter(contains("cat")).height
    1
    """
    chosen = cs.by_name(*columns) if columns else cs.string() - cs.by_name(*_NOT_SEARCHED, require_all=False)
    found = chosen.cast(pl.String).str.to_lowercase().str.contains(text.lower(), literal=True)
    return pl.any_horizontal(found.fill_null(False))


def rows(encoding: str, data: str) -> pl.Expr:
    """Rows of a frozen selection, as `explorer.code` prints it: an encoding and base64 bytes.

    Parameters
    ----------
    encoding, data : str
        As printed.

    Returns
    -------
    polars.Expr
        For filters of the project it was printed in.

    Raises
    ------
    InputError
        The text is no encoded selection.
    """
    try:
        ordinals = decode_rows(encoding, base64.b64decode(data, validate=True))
    except (binascii.Error, TypeError) as error:
        raise InputError("A frozen selection is not readable.", "Freeze the selection again.") from error
    return pl.col(ORDINAL).is_in(pl.Series(ordinals, dtype=pl.UInt32).implode())


def has(expr: pl.Expr) -> pl.Expr:
    """Items that carry an object or a classification for which `expr` is true.

    For the filters of a project's items; `expr` speaks of the columns (and tags) of objects
    or of classifications.

    Parameters
    ----------
    expr : polars.Expr
        A condition on labels.

    Returns
    -------
    polars.Expr
        For filters of items alone.

    Raises
    ------
    InputError
        `expr` is no Polars expression.

    Examples
    --------
    >>> import encord_active_widgets as ea
    >>> p.filter(ea.has(pl.col("class_name") == "WBC"))  # doctest: +SKIP
    """
    if not isinstance(expr, pl.Expr):
        raise InputError(
            f"ea.has got a {type(expr).__name__}.", 'Write an expression such as pl.col("class_name") == "WBC".'
        )
    return pl.col(f"{_HAS_PREFIX}{_json(expr)}")


def labelled() -> pl.Expr:
    """Items that have a label: an object on them, or a class of their own.

    For the filters of a project's items, and for `exclude=` of `Project.acquire`.

    Returns
    -------
    polars.Expr
        For filters of items alone.

    Examples
    --------
    >>> import encord_active_widgets as ea
    >>> p.filter(~ea.labelled())  # doctest: +SKIP
    """
    return has(pl.col(ITEM_ID).is_not_null())


def inner_of_has(column: str) -> pl.Expr | None:
    """Return the condition inside `has`, given the name it goes by in a query; None for any other column."""
    if not column.startswith(_HAS_PREFIX):
        return None
    return pl.Expr.deserialize(io.StringIO(column[len(_HAS_PREFIX) :]), format="json")


def _one(name: str) -> pl.Expr:
    return pl.col(TAGS).list.contains(name)


def tag_column(name: str) -> str:
    """Name the Boolean column that stands for a tag inside a query."""
    return f"{_TAG_PREFIX}{name}"


def _json(expr: pl.Expr) -> str:
    return expr.meta.serialize(format="json")


def with_tag_columns(expr: pl.Expr, names: Sequence[str]) -> pl.Expr:
    """Rewrite `tagged` and `untagged` inside `expr` to the Boolean columns.

    Both forms mean the same; this one avoids building a list per row. Polars writes an
    expression as JSON, in which a sub-expression is a substring.
    """
    if TAGS not in expr.meta.root_names():
        return expr
    text = _json(expr)
    before = text
    for name in names:
        text = text.replace(_json(_one(name)), _json(pl.col(tag_column(name))))
    text = text.replace(_json(untagged()), _json(pl.col(UNTAGGED_COLUMN)))
    if text == before:
        return expr
    return pl.Expr.deserialize(io.StringIO(text), format="json")


def tree(expr: pl.Expr) -> object:
    """Return the expression as Polars' own JSON tree."""
    return json.loads(_json(expr))


def from_tree(node: object) -> pl.Expr:
    """Build an expression from a JSON tree."""
    return pl.Expr.deserialize(io.StringIO(json.dumps(node)), format="json")
