"""What a label hands on to the one that takes its place: all but its shape.

A label of another shape is a new row, so that the old one can come back. Who drew it, how long that took, its track,
its number and whatever else its file said of it are written with the new row; its tags and its note are edits, and
follow as parts of the edit that puts the new label in its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from ..schema import EXTRA, GEOMETRY, LABELS, SUGGESTED_SOURCE
from ..store.parts import Part, edit_part
from .levels import Level

RETURNED_SOURCE = f"{SUGGESTED_SOURCE}returned"
"""Where labels are from that annotators gave another shape."""
_OF_SHAPE = frozenset(("bbox", "segmentation", "keypoints", "encord_active_widgets"))
"""What COCO keeps of an annotation's shape, and we with it: it is that of the old label."""
_KEPT = ("track_id", "annotator", "seconds")

Row = Mapping[str, Any]


def inherited(pairs: Sequence[tuple[Row, Row]]) -> list[dict[str, Any]]:
    """Return `track_id`, `annotator`, `seconds` and `extra` of labels that take the place of others.

    What a new one says itself counts; of `extra` the numbers that follow from the shape are counted again.

    Parameters
    ----------
    pairs : sequence of (mapping, mapping)
        Rows of an old and a new label; columns that are missing count as null. The new one has the new shape.
    """
    said = [{k: v for k, v in _parsed(o.get(EXTRA)).items() if k not in _OF_SHAPE or not v} for o, _ in pairs]
    measured = [i for i, extra in enumerate(said) if "area" in extra]
    for i, area in zip(measured, _areas([pairs[i][1] for i in measured]), strict=True):
        said[i]["area"] = area
    out = []
    for extra, (old, new) in zip(said, pairs, strict=True):
        if "num_keypoints" in extra:
            extra["num_keypoints"] = sum(1 for v in new.get("visibility") or () if v > 0)
        whole = extra | _parsed(new.get(EXTRA))
        kept = {c: new.get(c) if new.get(c) is not None else old.get(c) for c in _KEPT}
        out.append({**kept, EXTRA: json.dumps(whole, ensure_ascii=False) if whole else None})
    return out


def _parsed(extra: str | None) -> dict[str, Any]:
    try:
        found = json.loads(extra) if extra else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _areas(rows: Sequence[Row]) -> list[float]:
    """Return the areas of shapes in square pixels."""
    if not rows:
        return []
    from ..metrics.geometry import shapes_of

    columns = {c: LABELS.columns[c] for c in ("kind", *GEOMETRY)}
    frame = pl.DataFrame({c: pl.Series(c, [r.get(c) for r in rows], dtype=t) for c, t in columns.items()})
    return [max(float(a), 0.0) for a in shapes_of(frame).measures[:, 0]]


def handed_on(level: Level, old: Sequence[int], new: Sequence[int]) -> list[Part]:
    """Return the parts of an edit that give labels the tags and notes of those whose place they take.

    Parameters
    ----------
    level : Level
        That of the labels, as it is now, the new ones included.
    old, new : sequence of int
        Their rows, pair by pair.
    """
    if not len(old):
        return []
    before, after = np.asarray(old, np.int64), np.asarray(new, np.int64)
    parts = []
    for tag, mask in level.edits.tags.items():
        for verb, rows in (("add", mask[before] & ~mask[after]), ("remove", mask[after] & ~mask[before])):
            if rows.any():
                parts.append(edit_part(level.name, "tag", after[rows], {verb: [tag]}))
    texts: dict[str, list[int]] = {}
    notes = level.edits.notes
    for a, b in zip(before.tolist(), after.tolist(), strict=True):
        if notes.get(a) != notes.get(b):
            texts.setdefault(notes.get(a, ""), []).append(b)
    return [*parts, *(edit_part(level.name, "note", np.array(rows), {"text": text}) for text, rows in texts.items())]
