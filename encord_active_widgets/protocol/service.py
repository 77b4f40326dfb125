"""What an explorer asks of a project: columns, maps, thumbnails, rows, tags, jobs."""

from __future__ import annotations

import json
import math
import threading
import uuid
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .. import __version__
from ..computing.vectors import EmbeddingSets
from ..content.levels import Level
from ..content.state import Snapshot
from ..errors import InputError, unknown
from ..project import Project
from ..schema import (
    CLASS_NAME,
    CLASSIFICATION,
    ITEM,
    KIND_CLASSIFICATION,
    KIND_KEYPOINTS,
    NOTE,
    OBJECT,
    ORDINAL,
    PREDICTION,
    URI,
    prediction_level,
    run_of,
)  # fmt: skip
from ..store.folder import resolve_address
from ..store.rows import encode_mask, pack_mask
from ..view import View
from . import PROTOCOL_VERSION
from .columns import Column, ColumnCache, message
from .filters import Spec, to_expr
from .judged import Judge
from .overlays import drawn_objects
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
_NOUNS = {ITEM: "image", OBJECT: "object", CLASSIFICATION: "class"}
_MOST_CLASSES = 255
_NUMBER_KEYS = 9
_MOST_NEWS = 400


class Service:
    """Answers for one explorer on one view; safe to call from several threads."""

    def __init__(self, view: View) -> None:
        self._name = view.level
        self._views = {view.level: view}
        self._judges: dict[str, Judge] = {}
        self.project: Project = view.project
        self.session = uuid.uuid4().hex
        self.expressions: dict[str, pl.Expr] = {}
        self.panels: dict[str, Callable[[], dict[str, Any]]] = {}
        self._caches: dict[str, ColumnCache] = {}
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
            "model.get": self.model_get,
        }

    def _cache(self) -> ColumnCache:
        return self._caches.setdefault(self._name, ColumnCache())

    def set_level(self, name: str) -> None:
        """Show another level: of a view's items the objects or the predictions on them, and back.

        Raises
        ------
        UnknownNameError
            There is no such level.
        """
        known = self._switched(self.snapshot())
        if name not in known and name != self._name:
            raise unknown("level", name, known)
        with self._lock:
            if name not in self._views:
                first = next(iter(self._views.values()))
                whole = not first._ops
                self._views[name] = (
                    View(self.project, name) if whole else first.items() if name == ITEM else first._on_items(name)
                )
            self._name = name
            if name != ITEM:
                self._pictures.warm_up()
            self._base = None
            self.expressions = {}

    # -- state ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The level this explorer shows, by name."""
        return self._name

    @property
    def view(self) -> View:
        """The view this explorer shows; one of predictions carries what became of them."""
        view, judge = self._views[self._name], self.judge
        extra = None if judge is None else judge.more(self.snapshot())
        return view if extra is None else View(self.project, self._name, view._ops, extra)

    @property
    def judge(self) -> Judge | None:
        """The verdicts on the predictions shown; None at other levels."""
        if run_of(self._name) is None:
            return None
        with self._lock:
            if self._name not in self._judges:
                self._judges[self._name] = Judge(self._views[self._name])
            return self._judges[self._name]

    @property
    def level(self) -> Level:
        """The level this explorer shows, as it is now."""
        return self._level_of(self.snapshot())

    def _level_of(self, snapshot: Snapshot) -> Level:
        judge = self.judge
        return snapshot.levels[self._name] if judge is None else judge.judged(snapshot)

    def _columns(self, level: Level) -> dict[str, Column]:
        judge = self.judge
        fixed = {} if judge is None else judge.fixed_columns(self.snapshot())
        return self._cache().columns(level, fixed)

    def snapshot(self) -> Snapshot:
        """All levels, as they are now."""
        return self.project._snapshot()

    def revise(self) -> int:
        """Notice what changed since the last call; return the revision this explorer counts."""
        with self._lock:
            snapshot = self.snapshot()
            level = snapshot.levels[self._name]
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
        level = self._level_of(snapshot)
        specs = self._metric_specs()
        columns = [message(c, level, specs) for c in self._columns(level).values()]
        base = self._base_mask(snapshot)
        alive = level.n if level.alive is None else int(level.alive.sum())
        computed = "brightness" in level.metrics
        spec = {
            "n": level.n,
            "alive": alive,
            "revision": self.revise(),
            "level": self._name,
            "levels": self._levels(snapshot),
            "noun": _NOUNS.get(self._name, PREDICTION),
            "classes": self._classes(snapshot),
            "model": None if self.judge is None else self.judge.describe(snapshot),
            "project": {"name": self.project.name, "path": str(self.project.path)},
            "columns": columns,
            "embeddings": self._embeddings(),
            "tags": self.tag_list(level),
            "saved": self.saved(snapshot),
            "base": None if base is None else {"n": int(base.sum())},
            "panels": {name: describe() for name, describe in self.panels.items()},
            "state": "empty" if alive == 0 else "ready" if computed or len(self._sets()) else "raw",
            "job": self._settled_job(),
            "problems": self.project.problems.height,
            "undo": snapshot.undo,
            "redo": snapshot.redo,
        }
        return fitted(finite(spec))

    def _levels(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """List the levels that can be switched to: those that have rows."""
        names = self._switched(snapshot)
        if self._name not in names:
            names.append(self._name)
        out = []
        for name in names:
            run = run_of(name)
            if run is not None and name not in self._views:  # its frame is read when it is looked at
                n = snapshot.runs[run].predictions
            else:
                level = snapshot.levels[name]
                n = level.n if level.alive is None else int(level.alive.sum())
            if n or run is not None or name == self._name:
                out.append(
                    {"id": name, "title": run or _TITLES.get(name, name), "n": n, **({"run": run} if run else {})}
                )
        return out

    @staticmethod
    def _switched(snapshot: Snapshot) -> list[str]:
        return [ITEM, OBJECT, *(prediction_level(run) for run in snapshot.runs)]

    def _classes(self, snapshot: Snapshot) -> list[str] | None:
        """List the classes that rows of this level may be given; predictions keep theirs."""
        if run_of(self._name) is not None:
            return None
        level = snapshot.levels[OBJECT if self._name == OBJECT else CLASSIFICATION]
        found = level.frame[CLASS_NAME].drop_nulls().value_counts(sort=True)[CLASS_NAME].to_list()
        named = [n for h in self.project._folder.headers() for n in _header_classes(h)]
        return list(dict.fromkeys([*found, *named]))[:_MOST_CLASSES]

    def _metric_specs(self) -> dict[str, Any]:
        from ..metrics.registry import registered

        return {m.name: m for m in registered(OBJECT if run_of(self._name) is not None else self._name)}

    def _embeddings(self) -> list[dict[str, Any]]:
        sets = self._sets()
        job = self.project._job
        running = job is not None and job.state == "running"
        at_hand = sets.loaded() if running else [sets[n] for n in sets]
        return [{"name": v.name, "dim": v.dim, "layouts": v.layouts, "key": v.key} for v in at_hand if v.layouts]

    def _sets(self) -> EmbeddingSets:
        return self.project._embedding_sets(self._name)

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
        level = self._level_of(snapshot)
        if self._base is None or self._base[0] != snapshot.revision:
            rows = None
            mask: Mask | None = level.alive
            if self._views[self._name]._ops:
                rows = self._views[self._name].rows
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
            mask = np.ones(self._level_of(snapshot).n, np.bool_)
        return Reply({"n": int(mask.sum())}, [pack_mask(mask)])

    def columns_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send one byte (or float) a row of some columns."""
        level, encoding = self.level, content.get("enc", "bins8")
        columns = self._columns(level)
        out, data = [], []
        for name in content.get("names", []):
            if name not in columns:
                raise unknown("column", str(name), columns)
            chosen = "codes8" if encoding == "bins8" and columns[name].kind == "category" else encoding
            data.append(self._cache().encoded(level, name, chosen))
            out.append({"name": name, "enc": chosen})
        return Reply({"columns": out}, data)

    def embedding_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send a map as u16 steps over its bounds."""
        sets = self._sets()
        name = str(content.get("name") or sets.default)
        at_hand = {v.name: v for v in sets.loaded()}
        vectors = at_hand.get(name) or sets[name]
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
        value = level.evaluate(to_expr(spec, level, self.expressions))
        if value.dtype != pl.Boolean:
            raise InputError(f"The filter gives {value.dtype}, not true or false.", "Compare with something.")
        return value if value.len() == level.n else pl.repeat(value[0], level.n, eager=True)

    def order_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send the permutation that sorts all rows by a column; missing values last, ties by row."""
        snapshot = self.snapshot()
        level = self._level_of(snapshot)
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
        level, shapes = self.level, None
        if level.item_rows is not None and level.name != CLASSIFICATION and self._has_shapes(level):
            blobs, shapes = self._pictures.crops(level, self.snapshot().items, rows)
        else:
            blobs = self._pictures.thumbnails(level, self.snapshot().items, rows)
        offsets = np.concatenate([[0], np.cumsum([len(b) for b in blobs])]).astype("<u4")
        head = {"gen": content.get("gen"), "mime": "image/jpeg", **({"shapes": shapes} if shapes is not None else {})}
        return Reply(head, [offsets.tobytes(), b"".join(blobs)])

    @staticmethod
    def _has_shapes(level: Level) -> bool:
        """Tell whether rows are objects; the classes that a model gave to images have no place on them."""
        return level.name == OBJECT or bool(level.n and level.frame["kind"][0] != KIND_CLASSIFICATION)

    def image_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send one full image, not larger than asked."""
        level, row = self.level, _row(content, self.level)
        data, mime, width, height = self._pictures.image(level, row, int(content.get("max") or 0))
        full = self.snapshot().items.frame.select("width", "height").row(self._item_row(level, row), named=True)
        return Reply(
            {"w": width, "h": height, "mime": mime, "width": full.get("width"), "height": full.get("height")}, [data]
        )

    def row_detail(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send all that is known of one row."""
        snapshot = self.snapshot()
        level = self._level_of(snapshot)
        row = _row(content, level)
        record = level.frame.row(row, named=True)
        specs = self._metric_specs()
        columns = self._columns(level)
        values = []
        for name in columns:
            if name in (CLASS_NAME, NOTE):
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
        item_row = self._item_row(level, row)
        item = snapshot.items.frame.row(item_row, named=True)
        objects, buffers_out = drawn_objects(snapshot.levels[OBJECT], item_row)
        predicted = self._predicted(snapshot, content.get("run"), item_row, buffers_out)
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
                "skeletons": self._skeletons() if any(o["kind"] == KIND_KEYPOINTS for o in objects) else {},
                "problems": self._problems_of(uri),
            },
            buffers_out,
        )

    def _predicted(self, snapshot: Snapshot, wanted: Any, item_row: int, buffers: list[bytes]) -> dict[str, Any]:
        """Return what a run predicted on an item; its coordinates and masks are added to the buffers."""
        run = run_of(self._name) or (wanted if wanted in snapshot.runs else None)
        out: dict[str, Any] = {"runs": list(snapshot.runs), "run": run}
        if run is None:
            return {**out, "predictions": []}
        name = prediction_level(run)
        judge = self.judge or self._judges.setdefault(name, Judge(self._on_level(name)))
        found, more = drawn_objects(judge.judged(snapshot), item_row)
        first = len(buffers)
        buffers.extend(more)
        for entry in found:
            if entry["mask"] is not None:
                entry["mask"]["b"] += first
        return {**out, "predictions": found, "predictions_buffer": first}

    def _on_level(self, name: str) -> View:
        first = next(iter(self._views.values()))
        return first._on_items(name) if first._ops else View(self.project, name)

    def model_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send the verdicts on all predictions at every threshold."""
        if self.judge is None:
            raise InputError("This level has no predictions.", "Switch to a run.")
        head, data = self.judge.tables(self.snapshot())
        return Reply(head, data)

    def _skeletons(self) -> dict[str, Any]:
        """Return the names and bones of each class's keypoints, as COCO's categories give them."""
        found: dict[str, Any] = {}
        for header in self.project._folder.headers():
            for c in header.get("categories") or []:
                if isinstance(c, dict) and isinstance(c.get("keypoints"), list):
                    bones = [b for b in c.get("skeleton") or [] if isinstance(b, list) and len(b) == 2]
                    edges = [[int(i) - 1 for i in b] for b in bones if all(isinstance(i, int) and i > 0 for i in b)]
                    found[str(c.get("name"))] = {"names": [str(k) for k in c["keypoints"]], "edges": edges}
        return found

    @staticmethod
    def _item_row(level: Level, row: int) -> int:
        return row if level.item_rows is None else int(level.item_rows[row])

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
        rows, distances = self._sets().neighbours(row, k, content.get("embedding"))
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


def _header_classes(header: dict[str, Any]) -> list[str]:
    categories = header.get("categories") or []
    names = header.get("names") or {}
    return [
        *(str(c["name"]) for c in categories if isinstance(c, dict) and "name" in c),
        *(str(n) for n in (names.values() if isinstance(names, dict) else [])),
    ]


def fitted(spec: dict[str, Any]) -> dict[str, Any]:
    """Shorten the longest level lists until the message is under 20 kB."""
    while len(json.dumps(spec)) > _SPEC_BYTES:
        listed = [c for c in spec["columns"] if c.get("levels")]
        if len(json.dumps(spec["classes"])) > _SPEC_BYTES // 4:
            spec["classes"] = spec["classes"][: len(spec["classes"]) // 2]
        elif listed:
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
