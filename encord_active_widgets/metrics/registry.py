"""What every metric says of itself, and the decorator that adds one.

The built-in definitions stand in `catalogue.py`; this module holds the type, the list of
registered functions and their checks.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, overload

import polars as pl

from ..errors import InputError, nearest, unknown

Level = Literal["item", "object", "classification"]
Needs = Literal["pixels", "frame", "embeddings"]

LEVELS: tuple[Level, ...] = ("item", "object", "classification")

PARAMETERS: dict[str, Needs] = {
    "pixels": "pixels",
    "image": "pixels",
    "labels": "frame",
    "items": "frame",
    "objects": "frame",
    "classifications": "frame",
    "frame": "frame",
    "df": "frame",
    "embeddings": "embeddings",
    "vectors": "embeddings",
}
"""What a metric function is given, by the name of its first parameter."""

TAKEN_COLUMNS = frozenset(
    (
        "item_id",
        "label_id",
        "ordinal",
        "content_hash",
        "frame",
        "uri",
        "width",
        "height",
        "mode",
        "bytes",
        "modified_ns",
        "group",
        "added_at",
        "kind",
        "class_name",
        "x",
        "y",
        "w",
        "h",
        "angle",
        "points",
        "rings",
        "rle",
        "track_id",
        "annotator",
        "source",
        "extra",
        "confidence",
        "probabilities",
        "tags",
        "change_id",
        "revision",
        "key",
        "vector",
        "phash",
        "duplicate_group",
        "mask_h",
        "mask_w",
        "holes",
        "visibility",
        "seconds",
        "note",
        "split",
        "layout",
        "notes",
        "selected",
        "path",
        "name",
        "id",
    )
)
"""Columns of the tables: a metric of that name would hide one."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class MetricSpec:
    """What a metric is: everything a user needs to read its values.

    `direction` says in a short phrase what low or high values mean; `needs` says what the
    function is given: `"pixels"` an (h, w, 3) uint8 array, `"frame"` the level's table (it
    returns an expression or a Series), `"embeddings"` an (n, d) array (it returns n values),
    None where the value is read from the items table. `good_for` and `pitfalls` tell when to use it,
    and when not to.
    """

    name: str
    level: Level
    family: str
    title: str
    formula: str
    unit: str
    range: tuple[float | None, float | None] | None
    direction: str
    source: str
    version: int
    dtype: pl.DataType | type[pl.DataType] = pl.Float32
    needs: Needs | None = None
    function: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    good_for: str = ""
    pitfalls: str = ""

    @property
    def custom(self) -> bool:
        """Whether a user registered it."""
        return self.family == CUSTOM


CUSTOM = "custom"

# Functions a user registered, by level and name. The registry is what the decorator is for;
# nothing else in the package writes it.
_custom: dict[tuple[str, str], MetricSpec] = {}


@overload
def metric(fn: F) -> F: ...
@overload
def metric(
    fn: None = None,
    *,
    level: Level = "item",
    name: str | None = None,
    range: tuple[float | None, float | None] | None = None,
    unit: str = "",
    direction: str = "",
    formula: str | None = None,
    version: int = 1,
) -> Callable[[F], F]: ...
def metric(
    fn: F | None = None,
    *,
    level: Level = "item",
    name: str | None = None,
    range: tuple[float | None, float | None] | None = None,  # noqa: A002 - the word users know
    unit: str = "",
    direction: str = "",
    formula: str | None = None,
    version: int = 1,
) -> F | Callable[[F], F]:
    """Register a function as a metric; it becomes a column of its level.

    The name of the first parameter says what the function is given: `pixels` (an
    (h, w, 3) uint8 RGB array, one call an image), `labels`, `items`, `frame` or `df` (the
    level's `pl.DataFrame`; return an expression or a Series), `embeddings` or `vectors`
    (an (n, d) float32 array; return n values).

    Parameters
    ----------
    fn : callable, optional
        The function, where the decorator is written without parentheses.
    level : {"item", "object", "classification"}
        Whose rows it describes. Functions of pixels describe items.
    name : str, optional
        The column; the function's name by default.
    range : tuple of float or None, optional
        Smallest and largest value there can be.
    unit, direction, formula : str, optional
        Shown beside the values; the formula defaults to the docstring's first line.
    version : int
        Raise it when the definition changes: stored values are then computed again.

    Returns
    -------
    function
        As it was given: it can still be called and tested.

    Examples
    --------
    >>> import numpy as np
    >>> @metric(range=(0, 1), direction="high = red")
    ... def redness_of_doctest(pixels: np.ndarray) -> float:
    ...     return float(pixels[..., 0].mean() / 255)
    >>> unregister("redness_of_doctest")
    """

    def add(function: F) -> F:
        spec = _spec(function, level, name, range, unit, direction, formula, version)
        _custom[spec.level, spec.name] = spec
        return function

    return add if fn is None else add(fn)


def _spec(
    function: Callable[..., Any],
    level: Level,
    name: str | None,
    limits: tuple[float | None, float | None] | None,
    unit: str,
    direction: str,
    formula: str | None,
    version: int,
) -> MetricSpec:
    if not callable(function):
        raise InputError(
            f"A metric must be a function, not {type(function).__name__}.",
            "Write @ea.metric above a def, or @ea.metric(level=…, range=…).",
        )
    column = str(getattr(function, "__name__", "metric")) if name is None else name
    if level not in LEVELS:
        raise InputError(f'Metric "{column}": there is no level "{level}".', nearest(str(level), LEVELS))
    _check_name(column, level)
    needs = _needs(function, column)
    if needs == "pixels" and level != "item":
        raise InputError(
            f'Metric "{column}": functions of pixels describe items, not {level}s.',
            'Use level="item", or a function of labels.',
        )
    if version < 1 or version != int(version):
        raise InputError(
            f'Metric "{column}": version {version!r} is not a whole number from 1.',
            "Count 1, 2, 3, … as the definition changes.",
        )
    return MetricSpec(
        name=column,
        level=level,
        family=CUSTOM,
        title=column.replace("_", " ").strip().capitalize(),
        formula=formula if formula is not None else _first_line(function),
        unit=unit,
        range=_limits(limits, column),
        direction=direction,
        source="registered by @ea.metric",
        version=version,
        needs=needs,
        function=function,
    )


def _check_name(column: str, level: Level) -> None:
    if not _NAME.fullmatch(column):
        raise InputError(
            f'"{column}" cannot be a metric\'s name.',
            'Use letters, digits and "_", for example name="redness".',
        )
    if column in TAKEN_COLUMNS:
        raise InputError(
            f'"{column}" is already a column of the tables.',
            f'Choose another name, for example name="{column}_score".',
        )
    from .catalogue import BUILT_IN

    if any(s.name == column and s.level == level for s in BUILT_IN):
        raise InputError(
            f'"{column}" is already a built-in metric.',
            f'Choose another name, for example name="my_{column}".',
        )


def _needs(function: Callable[..., Any], column: str) -> Needs:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    first = parameters[0].name if parameters else "(none)"
    if first not in PARAMETERS:
        raise InputError(
            f'Metric "{column}": its first parameter is "{first}", which says nothing of what it works on.',
            "Call it pixels (one image), labels, items, frame or df (the level's table), or "
            "embeddings or vectors (all vectors).",
        )
    more = [p.name for p in parameters[1:] if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if more:
        raise InputError(
            f'Metric "{column}" is called with one argument, but also wants {", ".join(more)}.',
            "Give the further parameters defaults.",
        )
    return PARAMETERS[first]


def _limits(limits: tuple[float | None, float | None] | None, column: str) -> tuple[float | None, float | None] | None:
    if limits is None:
        return None
    try:
        low, high = limits
        low = None if low is None else float(low)
        high = None if high is None else float(high)
    except (TypeError, ValueError) as error:
        raise InputError(
            f'Metric "{column}": range {limits!r} is not a pair of numbers.',
            "Write range=(0, 1), or (0, None) for an open end.",
        ) from error
    if low is not None and high is not None and not low < high:
        raise InputError(
            f'Metric "{column}": range ({low:g}, {high:g}) is empty.',
            "Put the smaller number first.",
        )
    return low, high


def _first_line(function: Callable[..., Any]) -> str:
    text = inspect.getdoc(function)
    return text.splitlines()[0] if text else ""


def unregister(name: str, level: str = "item") -> None:
    """Forget a registered function; its stored values stay a column."""
    if (level, name) not in _custom:
        raise unknown("registered metric", name, (n for (_, n) in _custom))
    del _custom[level, name]


def registered(level: str | None = None) -> list[MetricSpec]:
    """Return all metrics, built-in first, then custom in order of registration."""
    from .catalogue import BUILT_IN

    return [s for s in (*BUILT_IN, *_custom.values()) if level is None or s.level == level]


def get(name: str, level: str = "item") -> MetricSpec:
    """Return one metric, or raise an error that offers the nearest names."""
    specs = {s.name: s for s in registered(level)}
    if name not in specs:
        raise unknown("metric", name, specs)
    return specs[name]


def specs_frame() -> pl.DataFrame:
    """Return all metrics as a frame: what `p.metrics()` shows."""
    specs = registered()
    return pl.DataFrame(
        {
            "name": [s.name for s in specs],
            "level": [s.level for s in specs],
            "family": [s.family for s in specs],
            "title": [s.title for s in specs],
            "formula": [s.formula for s in specs],
            "unit": [s.unit for s in specs],
            "low": [None if s.range is None else s.range[0] for s in specs],
            "high": [None if s.range is None else s.range[1] for s in specs],
            "direction": [s.direction for s in specs],
            "source": [s.source for s in specs],
            "version": [s.version for s in specs],
            "needs": [s.needs for s in specs],
            "good_for": [s.good_for for s in specs],
            "pitfalls": [s.pitfalls for s in specs],
        },
        schema_overrides={"low": pl.Float64, "high": pl.Float64, "needs": pl.String},
    )
