"""Rows of labels as a reader of another tool's file finds them, one by one, and the frame they become."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl

from ..schema import CLASS_NAME, EXTRA, LABEL_ID, LABELS, URI
from .frame import label_columns
from .source import Fault, valid_text

AT = "at"
"""When a label was given, as text that sorts by time: of several answers to one label the last counts."""
SENT = "sent"
"""What a label was when it was handed out; see `known.as_sent`."""
_COLUMNS = (
    URI, LABEL_ID, "kind", CLASS_NAME, "x", "y", "w", "h", "angle", "points", "visibility", "rle", "mask_h", "mask_w",
    "track_id", "annotator", "seconds", EXTRA,
)  # fmt: skip
_ROW = re.compile(r"^row (\d+)")


class Rows:
    """Collects labels and faults; each label knows where in the file it stands."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.damaged: set[str | None] = set()
        """Ids of labels that the file holds and that cannot be read: nobody took them away."""
        self._rows: list[dict[str, Any]] = []
        self._places: list[str] = []

    def add(self, row: dict[str, Any], extra: dict[str, Any], place: str) -> None:
        """Add one label; `extra` is what the file says of it besides."""
        said = {k: v for k, v in extra.items() if v}
        row[EXTRA] = clean(json.dumps(said, ensure_ascii=True, default=str)) if said else None
        self._rows.append(row)
        self._places.append(clean(place))

    def frame(self) -> tuple[pl.DataFrame, list[Fault]]:
        """Return the labels that can be used, and all faults, each with its place in the file."""
        columns = {c: LABELS.columns.get(c, pl.String) for c in _COLUMNS} | {AT: pl.String, SENT: pl.String}
        values = {c: [row.get(c) for row in self._rows] for c in columns}
        frame = pl.DataFrame({c: pl.Series(c, v, dtype=columns[c]) for c, v in values.items()})
        labels, faults = label_columns(frame, carry=(AT, SENT))
        for i, fault in enumerate(faults):
            if m := _ROW.match(fault.where):
                faults[i] = Fault(self._places[int(m[1])], fault.what, fault.why, fault.remedy)
                self.damaged |= {self._rows[int(m[1])].get(LABEL_ID)} if fault.what == "skipped" else set()
        return labels, [*self.faults, *faults]


def clean(text: str) -> str:
    """Return a text that tables can hold: halves of a character become question marks."""
    return text if valid_text(text) else text.encode("utf-8", "replace").decode()
