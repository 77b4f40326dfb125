"""The entries of an edit log for a project whose rows have other numbers: a part of it, or a clone that grew apart."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import EDITS
from .fold import parse_payload
from .reasons import renumbered
from .rows import RowSet, decode_rows, encode_rows

Map = NDArray[np.int64]
"""The new number of each row; -1 where it is not there."""


def translate(entries: pl.DataFrame, maps: Mapping[str, Map]) -> pl.DataFrame:
    """Return the same entries, with their ids and places, speaking of other rows.

    Parameters
    ----------
    entries : pl.DataFrame
        As `EditLog.frame` returns them.
    maps : mapping of str to ndarray of int64
        By level; the rows of levels that are not in it keep their numbers. Rows that are not there are left out.
    """
    out = []
    for row in entries.iter_rows(named=True):
        payload = parse_payload(row["payload"])
        # The tables of a restored snapshot are those of the project it was restored in.
        payload.pop("tables", None)
        rows = _moved(maps.get(row["level"]), row["encoding"] or "ids", row["rows"] or b"", row["n"] or 0)
        if row["level"] in maps:
            payload = _moved_payload(payload, maps[row["level"]])
        payload["also"] = [_moved_part(part, maps) for part in payload.get("also", [])]
        if not payload["also"]:
            del payload["also"]
        text = json.dumps(payload, ensure_ascii=False)
        out.append({**row, "encoding": rows.encoding, "rows": rows.data, "n": rows.n, "payload": text})
    return pl.DataFrame(out, schema=dict(EDITS.columns), orient="row")


def _moved_part(part: dict[str, Any], maps: Mapping[str, Map]) -> dict[str, Any]:
    place = maps.get(part["level"])
    if place is None:
        return part
    rows = _moved(place, part["encoding"], base64.b64decode(part["rows"]), part["n"])
    moved = {**part, "encoding": rows.encoding, "rows": base64.b64encode(rows.data).decode(), "n": rows.n}
    return {**moved, "payload": _moved_payload(part["payload"], place)} if "payload" in part else moved


def _moved(place: Map | None, encoding: Any, data: bytes, n: int) -> RowSet:
    if place is None:
        return RowSet(encoding, n, data)
    old = decode_rows(encoding, data)
    new = place[old[old < place.size]]
    return encode_rows(new[new >= 0])


def _moved_payload(payload: dict[str, Any], place: Map) -> dict[str, Any]:
    """Renumber what a payload says of rows: labels that stand in for others or are spoken of for them, and reasons."""

    def number(row: Any) -> int:
        return int(place[int(row)]) if 0 <= int(row) < place.size else -1

    out = dict(payload)
    for link in {"replaces", "asked"} & payload.keys():
        pairs = [(number(new), number(old)) for new, old in payload[link].items()]
        out[link] = {str(new): old for new, old in pairs if new >= 0 and old >= 0}
    return renumbered(out, number)
