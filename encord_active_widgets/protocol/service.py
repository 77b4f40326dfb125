"""What an explorer asks of a project: columns, maps, thumbnails, rows, tags."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..errors import InputError, unknown
from ..schema import ORDINAL, URI
from ..store.rows import encode_mask, pack_mask
from .described import Described
from .detail import plain, row_detail
from .filters import Spec, to_expr
from .overlays import has_shapes
from .router import Buffers, Handler, Reply

_POSITION_STEPS = 65534
_NO_POSITION = 65535
_MOST_THUMBS = 64
_MOST_RECORDS = 200
_MOST_NEIGHBOURS = 100


class Service(Described):
    """Answers for one explorer on one view; safe to call from several threads."""

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

    def thumbs_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send up to 64 thumbnails; those not made yet are made now."""
        rows = _rows_of(buffers)[:_MOST_THUMBS]
        level, shapes = self.level, None
        if has_shapes(level):
            blobs, shapes = self._pictures.crops(level, self.snapshot().items, rows)
        else:
            blobs = self._pictures.thumbnails(level, self.snapshot().items, rows)
        offsets = np.concatenate([[0], np.cumsum([len(b) for b in blobs])]).astype("<u4")
        head = {"gen": content.get("gen"), "mime": "image/jpeg", **({"shapes": shapes} if shapes is not None else {})}
        return Reply(head, [offsets.tobytes(), b"".join(blobs)])

    def image_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send one full image, not larger than asked."""
        level, row = self.level, _row(content, self.level)
        data, mime, width, height = self._pictures.image(level, row, int(content.get("max") or 0))
        full = self.snapshot().items.frame.select("width", "height").row(self._item_row(level, row), named=True)
        return Reply(
            {"w": width, "h": height, "mime": mime, "width": full.get("width"), "height": full.get("height")}, [data]
        )

    def model_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send the verdicts on all predictions at every threshold."""
        if self.judge is None:
            raise InputError("This level has no predictions.", "Switch to a run.")
        head, data = self.judge.tables(self.snapshot())
        return Reply(head, data)

    def row_detail(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send all that is known of one row."""
        return row_detail(self, _row(content, self.level), content.get("run"))

    def rows_get(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Send a few rows as records."""
        level = self.level
        rows = [int(r) for r in content.get("rows", [])][:_MOST_RECORDS]
        names = [c for c in content.get("columns") or [] if c in level.frame.columns] or [level.key, URI]
        valid = [r for r in rows if 0 <= r < level.n]
        frame = level.frame[valid].select(names)
        return Reply({"records": [{k: plain(v) for k, v in r.items()} for r in frame.iter_rows(named=True)]})

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


def _rows_of(buffers: Buffers) -> NDArray[np.uint32]:
    if not buffers:
        return np.empty(0, np.uint32)
    return np.frombuffer(bytes(buffers[0]), "<u4")


def _row(content: dict[str, Any], level: Level) -> int:
    row = content.get("row")
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < level.n:
        raise InputError(f"There is no row {row!r:.40}.", f"Rows go from 0 to {level.n - 1:,}.")
    return row
