"""What an explorer asks of a project: columns, maps, thumbnails, rows, tags, jobs."""

from __future__ import annotations

import json
import math
import threading
import uuid
from pathlib import PurePath
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .. import __version__
from ..errors import InputError, unknown
from ..expressions import with_tag_columns
from ..project import Project
from ..schema import CLASS_NAME, ITEM, ITEM_ID, OBJECT, ORDINAL, TAGS, URI
from ..state import Level, Snapshot
from ..store.folder import resolve_address
from ..store.rows import encode_mask, pack_mask
from ..view import View
from . import PROTOCOL_VERSION
from .columns import ColumnCache, message
from .filters import Spec, to_expr
from .pictures import Pictures
from .router import Buffers, Handler, Reply, finite

Mask = NDArray[np.bool_]

_POSITION_STEPS = 65534
_NO_POSITION = 65535
_MOST_THUMBS = 64
_MOST_RECORDS = 200
_MOST_NEIGHBOURS = 100
_SPEC_BYTES = 20_000
_TITLES = {ITEM: "Images", OBJECT: "Objects"}
_NUMBER_KEYS = 9
_MOST_NEWS = 400


class Service:
    """Answers for one explorer on one view; safe to call from several threads."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.project: Project = view.project
        self.session = uuid.uuid4().hex
        self.expressions: dict[str, pl.Expr] = {}
        self._cache = ColumnCache()
        self._pictures = Pictures(self.project)
        self._base: tuple[int, Mask | None, NDArray[np.uint32] | None] | None = None
        self._revision = 0
        self._seen: tuple[Any, ...] = ()
        self._news: list[tuple[int, str]] = []
        self._lock = threading.RLock()

    def handlers(self) -> dict[str, Handler]:
        """Return the requests by name."""
        return {
            "hello": self.hello,
            "sync": self.sync,
            "base.get": self.base_get,
            "columns.get": self.columns_get,
            "embedding.get": self.embedding_get,
            "filter.eval": self.filter_eval,
            "order.get": self.order_get,
            "thumbs.get": self.thumbs_get,
            "image.get": self.image_get,
            "row.detail": self.row_detail,
            "rows.get": self.rows_get,
            "neighbors.get": self.neighbors_get,
            "tags.get": self.tags_get,
        }

    # -- state ------------------------------------------------------------------------------

    @property
    def level(self) -> Level:
        """The level this explorer shows, as it is now."""
        return self.project._level(self.view.level)

    def snapshot(self) -> Snapshot:
        """All levels, as they are now."""
        return self.project._snapshot()

    def revise(self) -> int:
        """Notice what changed since the last call; return the revision this explorer counts."""
        with self._lock:
            snapshot = self.snapshot()
            level = snapshot.levels[self.view.level]
            maps = tuple((e["name"], e["key"], *e["layouts"]) for e in self._embeddings())
            job = self.project._job
            seen = {
                "columns": id(level.frame),
                "tags": (id(level.edits.tags), snapshot.revision),
                "layout": maps,
                "jobs": None if job is None else (job.id, job.state),
            }
            if not self._seen or self._seen[0] != seen:
                old = self._seen[0] if self._seen else {}
                self._revision += 1
                self._news += [(self._revision, k) for k, v in seen.items() if old.get(k) != v]
                self._news = self._news[-_MOST_NEWS:]
                self._seen = (seen, level.frame)  # the frame is kept alive: its id must stay its own
            return self._revision

    def session_message(self) -> dict[str, Any]:
        """Return the trait `_session`."""
        return {"proto": PROTOCOL_VERSION, "id": self.session, "version": __version__}

    def spec(self) -> dict[str, Any]:
        """Return the trait `_spec`: everything the page needs to lay itself out, under 20 kB."""
        snapshot = self.snapshot()
        level = snapshot.levels[self.view.level]
        specs = self._metric_specs()
        columns = [message(c, level, specs) for c in self._cache.columns(level).values()]
        base = self._base_mask(snapshot)
        alive = level.n if level.alive is None else int(level.alive.sum())
        computed = "brightness" in level.metrics
        spec = {
            "n": level.n,
            "alive": alive,
            "revision": self.revise(),
            "level": self.view.level,
            "levels": [{"id": self.view.level, "title": _TITLES.get(self.view.level, self.view.level), "n": alive}],
            "project": {"name": self.project.name, "path": str(self.project.path)},
            "columns": columns,
            "embeddings": self._embeddings(),
            "tags": self.tag_list(level),
            "saved": self.saved(snapshot),
            "base": None if base is None else {"n": int(base.sum())},
            "state": "empty" if alive == 0 else "ready" if computed or len(self.project.embeddings) else "raw",
            "job": self._settled_job(),
            "problems": self.project.problems.height,
            "undo": snapshot.undo,
            "redo": snapshot.redo,
        }
        return fitted(finite(spec))

    def _metric_specs(self) -> dict[str, Any]:
        from ..metrics.registry import registered

        return {m.name: m for m in registered(self.view.level)}

    def _embeddings(self) -> list[dict[str, Any]]:
        if self.view.level != ITEM:
            return []
        sets = self.project.embeddings
        job = self.project._job
        running = job is not None and job.state == "running"
        at_hand = sets.loaded() if running else [sets[n] for n in sets]
        return [{"name": v.name, "dim": v.dim, "layouts": v.layouts, "key": v.key} for v in at_hand if v.layouts]

    def tag_list(self, level: Level) -> list[dict[str, Any]]:
        """Return the tags with their counts in this explorer's view."""
        base = self._base_mask(self.snapshot())
        keep = base if base is not None else level.alive
        return [
            {
                "name": name,
                "color": level.edits.colors.get(name),
                "count": int(mask.sum() if keep is None else (mask & keep).sum()),
                "key": i + 1 if i < _NUMBER_KEYS else None,
            }
            for i, (name, mask) in enumerate(level.edits.tags.items())
        ]

    @staticmethod
    def saved(snapshot: Snapshot) -> list[dict[str, Any]]:
        """Return the saved filters."""
        return [{"name": k, "filter": v} for k, v in snapshot.filters.items()]

    def _settled_job(self) -> dict[str, Any] | None:
        """Return the job without what changes by the moment: that travels with `sync`."""
        job = self.job()
        return None if job is None else {**job, "rate": None, "eta": None}

    def job(self) -> dict[str, Any] | None:
        """Return the running or last computation."""
        job = self.project._job
        return None if job is None else job.as_message()

    def _base_mask(self, snapshot: Snapshot) -> Mask | None:
        """Rows of the view this explorer was opened on; None when that is everything."""
        level = snapshot.levels[self.view.level]
        if self._base is None or self._base[0] != snapshot.revision:
            rows = None
            mask: Mask | None = level.alive
            if self.view._ops:
                rows = self.view.rows
                mask = np.zeros(level.n, np.bool_)
                mask[rows] = True
            self._base = (snapshot.revision, mask, rows)
        return self._base[1]

    # -- requests -----------------------------------------------------------------------------

    def hello(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Greet a page that was just opened or reloaded."""
        return Reply({"session": self.session, "revision": self.revise()})

    def sync(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Say whether anything changed since a revision; the explorer refreshes its traits itself."""
        revision, known = self.revise(), content.get("revision")
        since = known if isinstance(known, int) else 0
        what = sorted({k for r, k in self._news if r > since})
        return Reply({"revision": revision, "job": self.job(), "saved": True, "what": what})

    def base_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send the rows of the view."""
        snapshot = self.snapshot()
        mask = self._base_mask(snapshot)
        if mask is None:
            mask = np.ones(snapshot.levels[self.view.level].n, np.bool_)
        return Reply({"n": int(mask.sum())}, [pack_mask(mask)])

    def columns_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send one byte (or float) a row of some columns."""
        level, encoding = self.level, content.get("enc", "bins8")
        columns = self._cache.columns(level)
        out, data = [], []
        for name in content.get("names", []):
            if name not in columns:
                raise unknown("column", str(name), columns)
            chosen = "codes8" if encoding == "bins8" and columns[name].kind == "category" else encoding
            data.append(self._cache.encoded(level, name, chosen))
            out.append({"name": name, "enc": chosen})
        return Reply({"columns": out}, data)

    def embedding_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send a map as u16 steps over its bounds."""
        name = str(content.get("name") or self.project.embeddings.default)
        at_hand = {v.name: v for v in self.project.embeddings.loaded()}
        vectors = at_hand.get(name) or self.project.embeddings[name]
        layout = content.get("layout")
        layout = layout if layout in vectors.layouts else (vectors.layouts or ["pca"])[-1]
        positions = vectors.layout(layout)
        n = self.level.n
        bounds = [0.0, 1.0, 0.0, 1.0]
        axes = []
        for i in range(2):
            axis = np.full(n, _NO_POSITION, "<u2")
            if positions.shape[0]:
                values = positions[:, i].astype(np.float64)
                low, high = float(values.min()), float(values.max())
                span = high - low or 1.0
                axis[vectors.rows] = np.rint((values - low) / span * _POSITION_STEPS).astype(np.uint16)
                bounds[2 * i : 2 * i + 2] = [low, low + span]
            axes.append(axis.tobytes())
        return Reply({"bounds": bounds, "layout": layout, "name": name}, axes)

    def filter_eval(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Evaluate any filter; Python is the authority. Second buffer: rows where it is null."""
        value = self.evaluate(content.get("spec") or {"all": []})
        true = value.fill_null(value=False).to_numpy()
        return Reply(
            {"n": int(true.sum()), "nulls": value.null_count()},
            [pack_mask(true), pack_mask(value.is_null().to_numpy()) if value.null_count() else b""],
        )

    def evaluate(self, spec: Spec) -> pl.Series:
        """Evaluate a filter on every row: true, false or null."""
        level = self.level
        expr = to_expr(spec, level, self.expressions)
        rewritten = with_tag_columns(expr, level.tag_names)
        frame = level.query_frame
        if TAGS in rewritten.meta.root_names():
            frame = frame.with_columns(level.tags_of(np.arange(level.n)))
        value = frame.select(rewritten.alias("keep"))["keep"]
        if value.dtype != pl.Boolean:
            raise InputError(f"The filter gives {value.dtype}, not true or false.", "Compare with something.")
        return value if value.len() == level.n else pl.repeat(value[0], level.n, eager=True)

    def order_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send the permutation that sorts all rows by a column; missing values last, ties by row."""
        snapshot = self.snapshot()
        level = snapshot.levels[self.view.level]
        by, descending = content.get("by"), bool(content.get("desc"))
        if by is None:
            return Reply({}, [self._given_order(snapshot, level).astype("<u4").tobytes()])
        if by not in level.frame.columns:
            raise unknown("column", str(by), level.frame.columns)
        column = pl.col(by)
        if level.frame.schema[by].is_float():
            column = column.fill_nan(None)
        order = level.frame.select(
            pl.arg_sort_by(column, pl.col(ORDINAL), descending=[descending, False], nulls_last=[True, True])
        ).to_series()
        return Reply({}, [order.to_numpy().astype("<u4").tobytes()])

    def _given_order(self, snapshot: Snapshot, level: Level) -> NDArray[np.uint32]:
        """Rows in the order of the view first, then the others."""
        self._base_mask(snapshot)
        rows = self._base[2] if self._base is not None else None
        everything = np.arange(level.n, dtype=np.uint32)
        if rows is None:
            return everything
        rest = np.ones(level.n, np.bool_)
        rest[rows] = False
        return np.concatenate([rows, everything[rest]])

    def thumbs_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send up to 64 thumbnails; those not made yet are made now."""
        rows = _rows_of(buffers)[:_MOST_THUMBS]
        blobs = self._pictures.thumbnails(self.level, rows)
        offsets = np.concatenate([[0], np.cumsum([len(b) for b in blobs])]).astype("<u4")
        return Reply({"gen": content.get("gen"), "mime": "image/jpeg"}, [offsets.tobytes(), b"".join(blobs)])

    def image_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send one full image, not larger than asked."""
        level, row = self.level, _row(content, self.level)
        data, mime, width, height = self._pictures.image(level, row, int(content.get("max") or 0))
        full = level.frame.row(row, named=True)
        return Reply(
            {"w": width, "h": height, "mime": mime, "width": full.get("width"), "height": full.get("height")}, [data]
        )

    def row_detail(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send all that is known of one row."""
        snapshot = self.snapshot()
        level = snapshot.levels[self.view.level]
        row = _row(content, level)
        record = level.frame.row(row, named=True)
        specs = self._metric_specs()
        columns = self._cache.columns(level)
        values = []
        for name in columns:
            if name == CLASS_NAME:
                continue
            spec = specs.get(name)
            values.append(
                {
                    "name": name,
                    "value": _plain(record[name]),
                    "percentile": _percentile(level.frame[name], record[name]),
                    "unit": getattr(spec, "unit", "") or "",
                    "direction": getattr(spec, "direction", "") or "",
                    "metric": name in level.metrics,
                }
            )
        uri = str(record.get(URI) or "")
        objects = snapshot.levels[OBJECT].frame
        mine = objects.filter(pl.col(ITEM_ID) == record[ITEM_ID]) if objects.height else objects
        wanted = [c for c in ("x", "y", "w", "h", "angle", CLASS_NAME) if c in mine.columns]
        return Reply(
            {
                "row": row,
                "id": record[level.key],
                "uri": uri,
                "name": PurePath(uri.rsplit("/", 1)[-1]).name or uri,
                "width": record.get("width"),
                "height": record.get("height"),
                "class_name": record.get(CLASS_NAME),
                "tags": [k for k, m in level.edits.tags.items() if m[row]],
                "values": values,
                "objects": mine.select(pl.col("label_id").alias("id"), *wanted).to_dicts() if mine.height else [],
                "problems": self._problems_of(uri),
            }
        )

    def _problems_of(self, uri: str) -> list[str]:
        address = resolve_address(uri, self.project._bases)
        found = self.project.problems.filter(pl.col("where").is_in([uri, address]))
        return [f"{r['what']}: {r['why']}. {r['remedy']}" for r in found.iter_rows(named=True)]

    def rows_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send a few rows as records."""
        level = self.level
        rows = [int(r) for r in content.get("rows", [])][:_MOST_RECORDS]
        names = [c for c in content.get("columns") or [] if c in level.frame.columns] or [level.key, URI]
        valid = [r for r in rows if 0 <= r < level.n]
        frame = level.frame[valid].select(names)
        return Reply({"records": [{k: _plain(v) for k, v in r.items()} for r in frame.iter_rows(named=True)]})

    def neighbors_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send the nearest rows of one row, and their cosine distances."""
        row = _row(content, self.level)
        k = min(int(content.get("k") or 8), _MOST_NEIGHBOURS)
        rows, distances = self.project.embeddings.neighbours(row, k, content.get("embedding"))
        return Reply({}, [rows.astype("<u4").tobytes(), distances.astype("<f4").tobytes()])

    def tags_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send every tag with its rows."""
        level = self.level
        listed, data = self.tag_list(level), []
        for entry in listed:
            rows = encode_mask(level.edits.tags[entry["name"]])
            entry |= {"enc": rows.encoding, "n": rows.n}
            data.append(rows.data)
        return Reply({"tags": listed, "revision": self.revise()}, data)


def fitted(spec: dict[str, Any]) -> dict[str, Any]:
    """Shorten the longest level lists until the message is under 20 kB."""
    while len(json.dumps(spec)) > _SPEC_BYTES:
        listed = [c for c in spec["columns"] if c.get("levels")]
        if listed:
            worst = max(listed, key=lambda c: len(json.dumps(c["levels"])))
            worst["kind"] = "text"
            worst.pop("levels"), worst.pop("counts")
        elif len(spec["columns"]) > 1:
            spec["columns"].pop()
        else:
            break
    return spec


def _rows_of(buffers: Buffers) -> NDArray[np.uint32]:
    if not buffers:
        return np.empty(0, np.uint32)
    return np.frombuffer(bytes(buffers[0]), "<u4")


def _row(content: dict[str, Any], level: Level) -> int:
    row = content.get("row")
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < level.n:
        raise InputError(f"There is no row {row!r:.40}.", f"Rows go from 0 to {level.n - 1:,}.")
    return row


def _plain(value: Any) -> Any:
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
