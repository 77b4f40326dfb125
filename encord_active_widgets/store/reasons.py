"""Why rows were changed, as it is kept with an edit: a score and a sentence a row, packed where there are many."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_PLAIN, _PACKED = "why", "why_packed"
_MOST_PLAIN = 200
"""Reasons that stay readable in the log; more are compressed, to about a tenth."""

Why = list[Any]
"""`[score, reason]`; either may be None."""


def kept_reasons(told: Iterable[tuple[int, float | None, str | None]]) -> dict[str, Any]:
    """Return what goes into the payload of an edit: nothing where nothing was told.

    >>> kept_reasons([(7, 0.9, "the model says cat"), (8, None, None)])
    {'why': {'7': [0.9, 'the model says cat']}}
    """
    return _kept({str(row): [score, why] for row, score, why in told if score is not None or why is not None})


def _kept(reasons: Mapping[str, Why]) -> dict[str, Any]:
    if not reasons:
        return {}
    if len(reasons) <= _MOST_PLAIN:
        return {_PLAIN: dict(reasons)}
    text = json.dumps(reasons, ensure_ascii=False, separators=(",", ":")).encode()
    return {_PACKED: base64.b64encode(zlib.compress(text)).decode()}


def reasons_of(payload: Mapping[str, Any]) -> dict[int, Why]:
    """Return the reasons that a payload keeps, by row."""
    found = dict(payload.get(_PLAIN, {}))
    if _PACKED in payload:
        found |= json.loads(zlib.decompress(base64.b64decode(payload[_PACKED])))
    return {int(row): why for row, why in found.items()}


def renumbered(payload: Mapping[str, Any], numbers: Callable[[int], int]) -> dict[str, Any]:
    """Return the payload with its reasons under other rows; those of rows without a number are left out.

    Parameters
    ----------
    payload : mapping
    numbers : callable
        From a row to its new number; below 0 where it has none.
    """
    rest = {k: v for k, v in payload.items() if k not in (_PLAIN, _PACKED)}
    moved = {str(new): why for row, why in reasons_of(payload).items() if (new := numbers(row)) >= 0}
    return {**rest, **_kept(moved)}
