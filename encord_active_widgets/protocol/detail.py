"""All that is known of one row: its values, labels, predictions, problems."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Any

import polars as pl

from ..content.state import Snapshot
from ..project import Project
from ..schema import CLASS_NAME, ITEM, KIND_KEYPOINTS, NOTE, OBJECT, URI, run_of
from ..store.folder import resolve_address
from .overlays import drawn_objects, skeletons
from .router import Reply
from .shown import Shown


def row_detail(shown: Shown, row: int, run: Any) -> Reply:
    """Return all that is known of one row, and what a run predicted on its item."""
    snapshot = shown.snapshot()
    level = shown._level_of(snapshot)
    record = level.frame.row(row, named=True)
    specs = shown._metric_specs()
    columns = shown._columns(level)
    values = []
    for name in columns:
        if name in (CLASS_NAME, NOTE):
            continue
        spec = specs.get(name)
        values.append(
            {
                "name": name,
                "value": plain(record[name]),
                "percentile": _percentile(level.frame[name], record[name]),
                "unit": getattr(spec, "unit", "") or "",
                "direction": getattr(spec, "direction", "") or "",
                "metric": name in level.metrics,
            }
        )
    uri = str(record.get(URI) or "")
    item_row = shown._item_row(level, row)
    item = snapshot.items.frame.row(item_row, named=True)
    objects, buffers_out = drawn_objects(snapshot.levels[OBJECT], item_row)
    predicted = _predicted(shown, snapshot, run, item_row, buffers_out)
    has_keypoints = any(o["kind"] == KIND_KEYPOINTS for o in [*objects, *predicted["predictions"]])
    return Reply(
        {
            "row": row,
            "id": record[level.key],
            "uri": uri,
            "name": PurePath(uri.rsplit("/", 1)[-1]).name or uri,
            "width": item.get("width"),
            "height": item.get("height"),
            "class_name": record.get(CLASS_NAME),
            "note": record.get(NOTE),
            "tags": [k for k, m in level.edits.tags.items() if m[row]],
            "values": values,
            "focus": record[level.key] if level.name != ITEM else None,
            "objects": objects,
            **predicted,
            "skeletons": skeletons(shown.project) if has_keypoints else {},
            "problems": _problems_of(shown.project, uri),
        },
        buffers_out,
    )


def _predicted(shown: Shown, snapshot: Snapshot, wanted: Any, item_row: int, buffers: list[bytes]) -> dict[str, Any]:
    """Return what a run predicted on an item; its coordinates and masks are added to the buffers."""
    run = run_of(shown.name) or (wanted if wanted in snapshot.runs else None)
    out: dict[str, Any] = {"runs": list(snapshot.runs), "run": run}
    if run is None:
        return {**out, "predictions": []}
    found, more = drawn_objects(shown.judge_of(run).judged(snapshot), item_row)
    first = len(buffers)
    buffers.extend(more)
    for entry in found:
        if entry["mask"] is not None:
            entry["mask"]["b"] += first
    return {**out, "predictions": found, "predictions_buffer": first}


def _problems_of(project: Project, uri: str) -> list[str]:
    address = resolve_address(uri, project._bases)
    found = project.problems.filter(pl.col("where").is_in([uri, address]))
    return [f"{r['what']}: {r['why']}. {r['remedy']}" for r in found.iter_rows(named=True)]


def plain(value: Any) -> Any:
    """Return a value as JSON has it; what JSON lacks as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _percentile(series: pl.Series, value: Any) -> float | None:
    """Share of values below, half of the equal ones counted."""
    if value is None or not series.dtype.is_numeric() or math.isnan(value):
        return None
    n = series.len() - series.null_count()
    below, same = int((series < value).sum() or 0), int((series == value).sum() or 0)
    return (below + same / 2) / n if n else None
