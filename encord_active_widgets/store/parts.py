"""Parts of an edit: what happens to several levels, or in several ways, is one entry that lists them under `also`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rows import RowSet, encode_rows

Part = dict[str, Any]


def edit_part(
    level: str, kind: str, rows: RowSet | NDArray[np.integer], payload: Mapping[str, Any] | None = None
) -> Part:
    """Return one part: what happens to some rows of a level."""
    encoded = rows if isinstance(rows, RowSet) else encode_rows(np.asarray(rows))
    data = base64.b64encode(encoded.data).decode()
    return {"level": level, "kind": kind, "encoding": encoded.encoding, "rows": data, "n": encoded.n,
            "payload": dict(payload or {})}  # fmt: skip


def rows_of(part: Part) -> RowSet:
    """Return the rows of a part."""
    return RowSet(part["encoding"], part["n"], base64.b64decode(part["rows"]))
