"""The classes of predictions: what their numbers mean, and whether the project knows their names."""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from ..errors import InputError
from .run import Context

log = logging.getLogger("encord_active_widgets")

_SHOWN = 12
_ALIKE = 0.8
_FROM = {1: "0", -1: "1"}
"""Where numbers are counted from that become known by adding this."""


def given(classes: Sequence[str] | Mapping[int, str]) -> dict[int | str, str]:
    """Return names by number as they were passed.

    Raises
    ------
    InputError
        They are no names, or a list has one twice.
    """
    remedy = "Give a list of texts, or a mapping of numbers to them."
    if isinstance(classes, str):
        raise InputError(f"classes is one text ({classes!r:.80}).", remedy)
    if not isinstance(classes, Iterable):
        raise InputError(f"classes={classes!r:.80} are no names.", remedy)
    pairs = classes.items() if isinstance(classes, Mapping) else enumerate(classes)
    numbers: dict[int | str, str] = dict(pairs)
    values: list[Any] = list(numbers.values())
    if not values or not all(isinstance(v, str) and v.strip() for v in values):
        raise InputError("classes must be names.", remedy)
    name, times = Counter(numbers.values()).most_common(1)[0]
    if times > 1 and not isinstance(classes, Mapping):
        raise InputError(
            f'classes has "{name}" {times:,} times: a list gives each number a name of its own.',
            "Correct it, or pass {number: name, …} where several numbers mean one class.",
        )
    return numbers


def numbered(headers: list[dict[str, Any]]) -> tuple[dict[int | str, str], dict[int | str, str]]:
    """Return COCO's categories by their ids, and YOLO's classes by their numbers.

    A number that two sources give two names means nothing. Where no source has categories, numbers do for ids.
    """
    categories: dict[int | str, str] = {}
    numbers: dict[int | str, str] = {}
    doubtful: set[int | str] = set()
    for header in headers:
        for c in header.get("categories") or []:
            if isinstance(c, dict) and isinstance(c.get("id"), (int, str)) and "name" in c:
                categories.setdefault(c["id"], str(c["name"]))
        names = header.get("names") or {}
        for number, text in names.items() if isinstance(names, dict) else enumerate(names):
            key = int(number) if str(number).isdigit() else number
            if numbers.setdefault(key, str(text)) != str(text):
                doubtful.add(key)
    numbers = {k: v for k, v in numbers.items() if k not in doubtful}
    return categories or numbers, numbers


def by_number(numbers: pl.Series, context: Context, name: str) -> pl.Series:
    """Return the class of each number of a model; null where there is none.

    A number is a place in the classes that were passed, else a number of the project's YOLO data. It is never
    the id of a COCO category.

    Raises
    ------
    InputError
        Nothing says what numbers mean, or they are counted from another first number.
    """
    if not context.numbers:
        known = _quoted(context.drawn or context.known)
        raise InputError(
            f'"{name}" numbers its classes, and the project does not say what the numbers mean.',
            "Pass classes=[…]: the names in the order of the model's numbers, from 0."
            + (f" The project has {known}." if known else ""),
        )
    return _named(numbers, context.numbers, context, f'The class numbers in "{name}"')


def by_category(ids: pl.Series, context: Context, name: str) -> pl.Series:
    """Return the class of each id of a COCO category; null where there is none.

    Raises
    ------
    InputError
        No id is known, or they are counted from another first number.
    """
    found = _named(ids, context.categories, context, f'The category ids in "{name}"')
    if found.null_count() == found.len():
        known = ", ".join(map(str, list(context.categories)[:5])) or "none"
        raise InputError(
            f'0 of the {ids.n_unique():,} category ids in "{name}" are known (the first is {ids[0]}; '
            f"the project has {known}).",
            "Pass classes={number: name, …}.",
        )
    return found


def _named(numbers: pl.Series, names: Mapping[int | str, str], context: Context, what: str) -> pl.Series:
    keys = [str(k) for k in names]
    found = numbers.cast(pl.String).replace_strict(keys, list(names.values()), default=None, return_dtype=pl.String)
    distinct = numbers.drop_nulls().unique().cast(pl.Int64, strict=False)
    if context.explicit or distinct.is_empty() or distinct.null_count() or found.null_count() == numbers.null_count():
        return found
    for step, start in _FROM.items():
        if (distinct + step).cast(pl.String).is_in(keys).all():
            pairs = [(int(k) - step, n) for k, n in names.items() if str(k).lstrip("-").isdigit()]
            shown = ", ".join(f'{k}: "{n}"' for k, n in pairs[:_SHOWN]) + (", …" if len(pairs) > _SHOWN else "")
            unknown = found.null_count() - numbers.null_count()
            raise InputError(
                f"{what} look counted from {start}: {unknown:,} rows have an unknown one, and after "
                f"{'adding' if step > 0 else 'subtracting'} 1 all are known.",
                f"Pass classes={{{shown}}}.",
            )
    return found


def judge_names(names: pl.Series, context: Context, name: str) -> None:
    """Say which classes of a run no label has.

    Raises
    ------
    InputError
        None of them is known, and some are nearly names that are.
    """
    given = names.drop_nulls().unique(maintain_order=True).to_list()
    odd = [n for n in given if n not in context.known]
    if not odd or not context.known:
        return
    folded = {k.casefold(): k for k in context.known}
    meant = {n: folded[c[0]] for n in odd if (c := difflib.get_close_matches(n.casefold(), folded, 1, _ALIKE))}
    if len(odd) < len(given):
        log.warning('%s of the %s classes of "%s" are new: %s.', len(odd), len(given), name, _quoted(odd))
    elif meant:
        first = ", ".join(f'"{known}" for "{n}"' for n, known in list(meant.items())[:3])
        raise InputError(
            f'0 of the {len(given):,} classes of "{name}" are known: {_quoted(odd)}.',
            f"Did you mean {first}? Give them the names of the labels.",
        )
    else:
        text = '0 of the %s classes of "%s" are known: %s; the project has %s.'
        log.warning(text, len(given), name, _quoted(odd), _quoted(context.known))


def _quoted(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(f'"{n}"' for n in names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
