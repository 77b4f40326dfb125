"""What a page holds of a view: its rows alone, numbered anew from 0 in the order of the view."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..computing.embedding_set import EmbeddingSet
from ..content.levels import Level
from ..expressions import _NOT_SEARCHED
from ..protocol.columns import Column, ColumnCache, message
from ..protocol.filters import Spec, to_expr, walk
from ..protocol.router import finite
from ..protocol.service import Service
from ..schema import CLASS_NAME, NOTE, ORDINAL, URI
from ..store.fold import LevelEdits
from ..store.rows import decode_rows, encode_rows, pack_mask
from .pack import Pack

Rows = NDArray[np.uint32]

NEIGHBOURS = 12
"""As many as an open image shows."""
_MOST_RECOMPUTED = 20_000
"""Up to here the neighbours among some of the rows are found anew; of all rows they are at hand."""
_MISSING = 0xFFFFFFFF
_ABSOLUTE = r"^(?:/|[A-Za-z]:/|file://)"
_STEPS = 65534
_NO_POSITION = 65535


@dataclass(frozen=True)
class Chosen:
    """Some rows of a level, as a level of their own."""

    service: Service
    whole: Level
    rows: Rows
    part: Level
    columns: Mapping[str, Column]
    cache: ColumnCache


def choose(service: Service, rows: Rows, *, full_addresses: bool) -> Chosen:
    """Take some rows out of what a service shows."""
    whole = service.level
    frame = whole.frame[rows].with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ORDINAL))
    if URI in frame.columns and not full_addresses:
        frame = frame.with_columns(short_addresses(frame[URI]))
    edits = LevelEdits(
        rows.size,
        tags={name: mask[rows] for name, mask in whole.edits.tags.items()},
        colors=dict(whole.edits.colors),
    )
    part = replace(whole, frame=frame, edits=edits, phash=None, below=(), item_rows=None)
    cache = ColumnCache()
    judge = service.judge
    fixed = {} if judge is None else judge.fixed_columns(service.snapshot())
    return Chosen(service, whole, rows, part, cache.columns(part, fixed), cache)


def short_addresses(addresses: pl.Series) -> pl.Series:
    """Leave out the folder that all local files lie in: where a disk keeps them is nobody else's business."""
    text = pl.col(URI).str.replace_all("\\", "/", literal=True)
    is_local = text.str.contains(_ABSOLUTE).fill_null(value=False)
    frame = addresses.alias(URI).to_frame()
    folders = frame.filter(is_local).select(text.str.replace(r"/[^/]*$", "/").alias(URI))[URI]
    if folders.is_empty():
        return addresses
    first, last = str(folders.min()), str(folders.max())  # what these two begin with all others do
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    n = first.rfind("/", 0, same) + 1
    return frame.select(pl.when(is_local).then(pl.col(URI).str.slice(n)).otherwise(pl.col(URI)))[URI]


def described(chosen: Chosen, *, title: str, collects: bool) -> dict[str, Any]:
    """Return the page's `_spec`: what the explorer lays itself out by."""
    service, part = chosen.service, chosen.part
    snapshot = service.snapshot()
    whole_spec = service.spec()
    specs = service._metric_specs()
    level = {"id": service.name, "title": _level_title(whole_spec, service.name), "n": part.n}
    return finite({  # type: ignore[no-any-return]
        "n": part.n,
        "alive": part.n,
        "revision": 1,
        "level": service.name,
        "levels": [level | ({"run": service.judge.run} if service.judge is not None else {})],
        "noun": whole_spec["noun"],
        "classes": None,
        "model": None if service.judge is None else service.judge.describe(snapshot),
        "project": {"name": title, "path": ""},
        "columns": [message(c, part, specs) for c in chosen.columns.values()],
        "embeddings": [],
        "tags": [],
        "saved": [],
        "base": None,
        "panels": {},
        "state": "ready",
        "job": None,
        "problems": 0,
        "undo": None,
        "redo": None,
        "offline": {"collects": collects},
    })  # fmt: skip


def _level_title(spec: Mapping[str, Any], name: str) -> str:
    return next((str(entry["title"]) for entry in spec["levels"] if entry["id"] == name), name)


def packed_columns(chosen: Chosen, pack: Pack) -> dict[str, Any]:
    """Return every column that is shown, searched or says what a row is, by name."""
    frame, columns = chosen.part.frame, chosen.columns
    own = {chosen.part.key, URI, "width", "height", CLASS_NAME, NOTE}
    out: dict[str, Any] = {}
    for name in frame.columns:
        series = frame[name]
        column = columns.get(name)
        text = series.dtype == pl.String or isinstance(series.dtype, (pl.Categorical, pl.Enum, pl.Boolean))
        if column is None and not (name in own or (series.dtype == pl.String and name not in _NOT_SEARCHED)):
            continue
        if text:
            out[name] = _texts(series.cast(pl.String), pack)
            if column is not None and column.kind == "category":
                out[name]["codes"] = pack.add(chosen.cache.encoded(chosen.part, name, "codes8"))
        elif series.dtype.is_numeric():
            out[name] = _numbers(series, pack)
            if column is not None:
                out[name]["codes"] = pack.add(chosen.cache.encoded(chosen.part, name, "bins8"))
    return out


def searched(frame: pl.DataFrame) -> list[str]:
    """List the columns that a search for a text looks in, as `ea.contains` does."""
    return [n for n, dtype in frame.schema.items() if dtype == pl.String and n not in _NOT_SEARCHED]


def _texts(series: pl.Series, pack: Pack) -> dict[str, Any]:
    """Encode texts as places in the sorted list of those there are: their order is that of Polars."""
    levels = series.drop_nulls().unique().sort()
    places = series.replace_strict(
        levels, pl.int_range(levels.len(), dtype=pl.UInt32, eager=True), default=None, return_dtype=pl.UInt32
    ) if levels.len() else pl.Series([None] * series.len(), dtype=pl.UInt32)  # fmt: skip
    return {"texts": levels.to_list(), "places": pack.add(places.fill_null(_MISSING).to_numpy().astype("<u4"))}


def _numbers(series: pl.Series, pack: Pack) -> dict[str, Any]:
    """Encode numbers in their own precision; integers and decimals as double."""
    single = series.dtype == pl.Float32
    values = series.cast(pl.Float32 if single else pl.Float64).fill_null(float("nan")).to_numpy()
    return {"bits": 32 if single else 64, "values": pack.add(values.astype("<f4" if single else "<f8"))}


def packed_tags(part: Level, pack: Pack) -> list[dict[str, Any]]:
    """Return each tag with a bit a row."""
    return [
        {"name": name, "color": part.edits.colors.get(name), "rows": pack.add(pack_mask(mask))}
        for name, mask in part.edits.tags.items()
    ]


def packed_maps(chosen: Chosen, pack: Pack) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what the page is told of the embeddings, their maps, and the nearest rows of each row."""
    sets = chosen.service._sets()
    told, maps, near = [], [], []
    for name in sets:
        vectors = sets[name]
        places = _places(vectors, chosen.rows)
        if not vectors.layouts or not (places >= 0).any():
            continue
        told.append({"name": name, "dim": vectors.dim, "layouts": vectors.layouts, "key": vectors.key})
        for layout in vectors.layouts:
            x, y = (pack.add(axis) for axis in _steps(vectors.layout(layout), places))
            maps.append({"name": name, "layout": layout, "x": x, "y": y})
        found = _neighbours(vectors, places)
        if found is not None:
            rows, distances = found
            near.append({"name": name, "k": rows.shape[1], "rows": pack.add(rows), "distances": pack.add(distances)})
    return told, maps, near


def _places(vectors: EmbeddingSet, rows: Rows) -> NDArray[np.int64]:
    """Return where each row's vector is; -1 where it has none."""
    at = np.searchsorted(vectors.rows, rows)
    found = at < vectors.rows.size
    found[found] = vectors.rows[at[found]] == rows[found]
    return np.where(found, at, -1)


def _steps(positions: NDArray[np.float32], places: NDArray[np.int64]) -> list[NDArray[np.uint16]]:
    """Return both axes in u16 steps over what is shown."""
    out = []
    has = places >= 0
    for i in range(2):
        values = positions[places[has], i].astype(np.float64)
        low, high = float(values.min()), float(values.max())
        axis = np.full(places.size, _NO_POSITION, "<u2")
        axis[has] = np.rint((values - low) / ((high - low) or 1.0) * _STEPS).astype(np.uint16)
        out.append(axis)
    return out


def _neighbours(vectors: EmbeddingSet, places: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the nearest shown rows of each shown row and their cosine distances; None where that takes too long."""
    has = np.flatnonzero(places >= 0)
    mine = places[has]
    if mine.size < 2:
        return None
    if mine.size == len(vectors):
        graph, back = vectors.graph, np.full(len(vectors) + 1, -1, np.int64)
        back[mine] = has
        rows, distances = back[graph.rows[mine]], graph.distances[mine]
    elif mine.size <= _MOST_RECOMPUTED:
        from ..embeddings.graph import knn_graph

        graph = knn_graph(np.asarray(vectors.vectors)[mine], k=min(NEIGHBOURS, mine.size - 1))
        rows, distances = np.append(has, -1)[graph.rows], graph.distances
    else:
        return None
    k = min(NEIGHBOURS, rows.shape[1])
    out = np.full((places.size, k), _MISSING, "<u4")
    far = np.full((places.size, k), np.inf, "<f4")
    out[has] = np.where(rows[:, :k] >= 0, rows[:, :k], _MISSING)
    far[has] = distances[:, :k]
    return out, far


def packed_verdicts(chosen: Chosen, pack: Pack) -> dict[str, Any] | None:
    """Return what became of predictions at every threshold, row by row."""
    judge = chosen.service.judge
    if judge is None or judge.describe(chosen.service.snapshot()) is None:
        return None
    head, (sure, codes, verdict, labels) = judge.tables(chosen.service.snapshot())
    n, rows = chosen.whole.n, chosen.rows
    wide = "<u2" if head["label_bytes"] == 2 else "u1"
    tables = [
        np.frombuffer(sure, "<f4")[rows],
        np.frombuffer(codes, "<u2")[rows],
        np.frombuffer(verdict, "u1").reshape(-1, n)[:, rows],
        np.frombuffer(labels, wide).reshape(-1, n)[:, rows],
    ]
    return {"n": rows.size, "label_bytes": head["label_bytes"], "tables": [pack.add(t) for t in tables]}


def moved_rows(chosen: Chosen, rows: NDArray[np.integer]) -> Rows:
    """Return the numbers in the page of rows of the project; those that are not in it are left out."""
    new = np.full(chosen.whole.n, -1, np.int64)
    new[chosen.rows] = np.arange(chosen.rows.size)
    found = new[rows[rows < chosen.whole.n]]
    kept: Rows = found[found >= 0].astype(np.uint32)
    return kept


def moved_filter(chosen: Chosen, spec: Spec, pack: Pack) -> tuple[Spec, dict[str, Any]]:
    """Return a filter that speaks of the page's rows, and the answers to what only Polars can evaluate."""
    answers: dict[str, Any] = {}
    expressions = chosen.service.expressions

    def visit(clause: Spec) -> None:
        if "expr" in clause and clause["expr"] not in answers:
            value = chosen.whole.evaluate(to_expr(clause, chosen.whole, expressions)).gather(chosen.rows)
            true = value.fill_null(value=False).to_numpy()
            answers[clause["expr"]] = [pack.add(pack_mask(true)), pack.add(pack_mask(value.is_null().to_numpy()))]

    walk(spec, visit)
    return _moved(chosen, spec), answers


def _moved(chosen: Chosen, spec: Any) -> Any:
    if isinstance(spec, list):
        return [_moved(chosen, s) for s in spec]
    if not isinstance(spec, dict):
        return spec
    if isinstance(spec.get("rows"), dict):
        frozen = spec["rows"]
        rows = moved_rows(chosen, decode_rows(str(frozen["enc"]), base64.b64decode(frozen["data"])))
        encoded = encode_rows(rows)
        return {"rows": {"enc": encoded.encoding, "data": base64.b64encode(encoded.data).decode(), "n": encoded.n}}
    return {k: _moved(chosen, v) if k in ("all", "any", "not") else v for k, v in spec.items()}
