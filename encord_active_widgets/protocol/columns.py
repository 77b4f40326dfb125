"""Columns as the browser gets them: kinds, histograms, and one byte a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..schema import CLASS_NAME, CONTENT_HASH, ITEM, ITEM_ID, LABEL_ID, OBJECT, ORDINAL, PREDICTION, PREDICTION_ID, URI

Bytes = NDArray[np.uint8]

NULL_CODE = 255
OTHER_CODE = 254
"""A category beyond the listed levels: not missing, but without a chip."""
MOST_LEVELS = 254
MOST_BINS = 64
_LEAST_BINS = 24
_TAIL = 0.002
_SAMPLE = 100_000
_TEXT_SHARE = 0.5
_FEW_LEVELS = 24
_MOST_DEFAULT_LEVELS = 60
_NEIGHBOUR_PREFIXES = ("uniqueness_", "typicality_", "diversity_", "difficulty_", "class_quality_")
_HIDDEN = frozenset({ORDINAL, ITEM_ID, LABEL_ID, PREDICTION_ID, CONTENT_HASH, URI, "added_at", "extra"})
_DEFAULT = {
    ITEM: ("brightness", "sharpness", "contrast", "uniqueness", "colourfulness", "object_count", "object_density"),
    PREDICTION: ("confidence", "iou", "relative_area", "aspect_ratio", "border_closeness"),
    OBJECT: ("class_quality", "relative_area", "aspect_ratio", "max_iou_same_class", "shape_outlier", "sharpness"),
}
"""What the side panel shows at first, by level."""
_MOST_DECIMALS = 9
_JUDGED = ("outcome", "reason", "label_class", "confidence", "iou")


@dataclass(frozen=True)
class Histogram:
    """Bins of a number column: bin i covers [edge i, edge i+1); the end bins are open."""

    low: float
    step: float
    bins: int
    decimals: int

    @property
    def edges(self) -> NDArray[np.float64]:
        """All bins + 1 edges, rounded so that they print short."""
        return np.array([round(self.low + i * self.step, self.decimals) for i in range(self.bins + 1)])


@dataclass(frozen=True)
class Column:
    """What is known of one column before its values travel."""

    name: str
    kind: str
    nulls: int
    histogram: Histogram | None = None
    levels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()


class ColumnCache:
    """Columns of one level's frame, described and encoded once."""

    def __init__(self) -> None:
        self._frame: pl.DataFrame | None = None
        self._columns: dict[str, Column] = {}
        self._encoded: dict[tuple[str, str], bytes] = {}
        self._fixed: Mapping[str, Column] = {}

    def columns(self, level: Level, fixed: Mapping[str, Column] | None = None) -> dict[str, Column]:
        """Describe every column that an explorer shows; `fixed` ones are described already."""
        self._fixed = fixed if fixed is not None else self._fixed
        if self._frame is not level.frame:
            old, old_columns, old_bytes = self._frame, self._columns, self._encoded
            self._frame, self._columns, self._encoded = level.frame, {}, {}
            for name in level.frame.columns:
                series = level.frame[name]
                if name in self._fixed:
                    self._columns[name] = self._fixed[name]
                    continue
                if old is not None and name in old_columns and old[name] is not None and _same(old[name], series):
                    self._columns[name] = old_columns[name]
                    self._encoded |= {k: v for k, v in old_bytes.items() if k[0] == name}
                    continue
                column = describe(series)
                if column is not None:
                    self._columns[name] = column
        return self._columns

    def encoded(self, level: Level, name: str, encoding: str) -> bytes:
        """Return a column's bytes: `bins8`, `codes8` (255 = missing) or `f32`."""
        column = self.columns(level)[name]
        key = (name, encoding)
        if key not in self._encoded:
            self._encoded[key] = encode(level.frame[name], column, encoding).tobytes()
        return self._encoded[key]


def _same(a: pl.Series, b: pl.Series) -> bool:
    return a.len() == b.len() and a.dtype == b.dtype and bool(a.equals(b, null_equal=True))


def describe(series: pl.Series) -> Column | None:
    """Find a column's kind and histogram or levels; None for one that is not shown."""
    name, dtype = series.name, series.dtype
    if name in _HIDDEN or series.null_count() == series.len():
        return None
    if dtype == pl.Boolean:
        return _category(series.cast(pl.String), always=True)
    if dtype.is_numeric():
        return Column(name, "number", int(_missing(series).sum()), _histogram(series))
    if dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum)):
        return _category(series.cast(pl.String), always=name == CLASS_NAME)
    return None


def _category(series: pl.Series, *, always: bool) -> Column:
    nulls = series.null_count()
    distinct = series.n_unique()
    present = series.len() - nulls
    if not always and distinct > _FEW_LEVELS and (distinct > MOST_LEVELS or distinct > present * _TEXT_SHARE):
        return Column(series.name, "text", nulls)
    table = series.drop_nulls().value_counts(sort=True, name="n").sort(["n", series.name], descending=[True, False])
    top = table.head(MOST_LEVELS)
    if 0 < table.height <= _FEW_LEVELS:  # digits, years, grades: people look for them in their own order
        values = top[series.name].cast(pl.Float64, strict=False)
        if values.is_finite().all() and not values.has_nulls():
            top = top[values.arg_sort()]
    return Column(series.name, "category", nulls, None, tuple(top[series.name]), tuple(top["n"]))


def _missing(series: pl.Series) -> pl.Series:
    return series.is_null() | series.is_nan() if series.dtype.is_float() else series.is_null()


def _histogram(series: pl.Series) -> Histogram:
    """Choose round bins over the bulk of the values; the tails fall into the end bins."""
    stride = max(series.len() // _SAMPLE, 1)
    values = series.gather_every(stride).cast(pl.Float64).fill_nan(None).drop_nulls()
    finite = values.filter(values.is_finite())
    if finite.is_empty():
        return Histogram(0.0, 1.0, 1, 0)
    low, high = float(finite.quantile(_TAIL) or 0), float(finite.quantile(1 - _TAIL) or 0)
    integer = series.dtype.is_integer()
    if not low < high:
        low, high = float(finite.min() or 0), float(finite.max() or 0)  # type: ignore[arg-type]
    if not low < high:
        step = 1.0 if integer else _nice(max(abs(low), 1.0) / MOST_BINS)
        return Histogram(_floor(low, step), step, 1, _decimals(step))
    step = _nice((high - low) / (MOST_BINS - 2))
    if integer:
        step = max(1.0, step)
    start = _floor(low, step)
    bins = min(math.floor((high - start) / step + 1e-9) + 1, MOST_BINS)
    return Histogram(start, step, max(bins, 1), _decimals(step))


def _nice(raw: float) -> float:
    """Round up to 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 2.5, 5, 10):
        if factor * power >= raw * (1 - 1e-9):
            return factor * power
    return 10 * power


def _decimals(step: float) -> int:
    for decimals in range(_MOST_DECIMALS + 1):
        if abs(round(step, decimals) - step) < step * 1e-6:
            return decimals
    return _MOST_DECIMALS


def _floor(value: float, step: float) -> float:
    return round(math.floor(value / step + 1e-9) * step, _decimals(step))


def encode(series: pl.Series, column: Column, encoding: str) -> NDArray[Any]:
    """Encode a column's values, one a row."""
    if encoding == "f32":
        return series.cast(pl.Float32, strict=False).fill_null(float("nan")).to_numpy().astype("<f4")
    if encoding == "bins8" and column.histogram is not None:
        return _bins(series, column.histogram)
    if encoding == "codes8" and column.kind == "category":
        codes = pl.Series(range(len(column.levels)), dtype=pl.UInt8)
        text = series.cast(pl.String)
        mapped = text.replace_strict(
            pl.Series(column.levels, dtype=pl.String), codes, default=OTHER_CODE, return_dtype=pl.UInt8
        )
        out = mapped.to_numpy().copy()
        out[text.is_null().to_numpy()] = NULL_CODE
        return out
    from ..errors import InputError

    raise InputError(
        f'The column "{column.name}" ({column.kind}) has no encoding "{encoding}".', "Use f32, bins8 or codes8."
    )


def _bins(series: pl.Series, histogram: Histogram) -> Bytes:
    """Sort values into bins with the comparisons Polars makes: in the column's own precision."""
    single = series.dtype == pl.Float32
    values = series.cast(pl.Float32 if single else pl.Float64).fill_null(float("nan")).to_numpy()
    edges = histogram.edges[1:-1].astype(np.float32 if single else np.float64)
    bins = np.searchsorted(edges, values, side="right").astype(np.uint8)
    bins[np.isnan(values)] = NULL_CODE
    return bins


def _is_stored_custom(name: str) -> bool:
    """Tell a custom metric whose function is not here from the neighbour metrics of a further embedding."""
    return not name.startswith(_NEIGHBOUR_PREFIXES)


def _is_default(column: Column, level: str, *, is_custom: bool) -> bool:
    """Tell whether the side panel shows a column at first."""
    if column.kind == "category":
        telling = 1 < len(column.levels) <= _MOST_DEFAULT_LEVELS and column.name != "mode"
        return telling or column.name == CLASS_NAME
    return column.name in _DEFAULT.get(level.partition(":")[0], ()) or is_custom


def message(column: Column, level: Level, specs: dict[str, Any]) -> dict[str, Any]:
    """Return what the browser is told of a column."""
    spec = specs.get(column.name)
    is_metric = column.name in level.metrics
    group = (
        "metrics"
        if is_metric
        else "labels"
        if column.name in (CLASS_NAME, "kind", "object_count", *_JUDGED)
        else "metadata"
    )
    out: dict[str, Any] = {
        "name": column.name,
        "title": column.name.replace("_", " "),
        "kind": column.kind,
        "group": group,
        "unit": getattr(spec, "unit", "") or "",
        "direction": getattr(spec, "direction", "") or "",
        "about": "",
        "range": list(spec.range) if spec is not None and spec.range is not None else None,
        "nulls": column.nulls,
        "default": _is_default(
            column,
            level.name,
            is_custom=is_metric and (_is_stored_custom(column.name) if spec is None else spec.custom),
        ),
    }
    if column.histogram is not None:
        h = column.histogram
        out["hist"] = {"lo": h.low, "step": h.step, "bins": h.bins, "decimals": h.decimals}
    if column.kind == "category":
        out["levels"], out["counts"] = list(column.levels), list(column.counts)
    return out
