"""Charts of data: how values lie, how many of each class there are, and how two sets differ in both."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .offline import OfflineChart, load_altair
from .parts import BLUE, NEUTRAL, ORANGE, few_ticks, finished, inline_data

F64 = NDArray[np.float64]

MOST_CLASS_BARS = 25
"""Classes in a chart of bars; the others are counted together."""
MOST_METRIC_BARS = 20
BINS = 30
_SMALL = {"width": 276, "height": 176}
_ROW_PX = 20
_LONG_TAIL = 200.0
"""Ratio of the 99th to the 1st percentile above which an axis of positive values is logarithmic."""


def histogram(
    values: ArrayLike,
    title: str,
    note: str = "",
    *,
    unit: str = "",
    below: float | None = None,
    above: float | None = None,
) -> OfflineChart:
    """Draw how values lie: bars, and a dashed line at the median.

    Parameters
    ----------
    values : (n,) float
        Those that are not finite are left out.
    title, note : str
        Above the bars: what it is, and what low and high mean.
    unit : str
        Below them.
    below, above : float, optional
        Bars that lie wholly beyond these are orange: what is called faulty.

    Raises
    ------
    InputError
        There is no value.
    """
    alt = load_altair()
    known = _finite(values, title)
    edges, log = _edges(known)
    counts = np.histogram(np.clip(known, edges[0], edges[-1]), edges)[0]
    faulty = np.zeros(counts.size, bool)
    if below is not None:
        faulty |= edges[1:] <= below + 1e-9
    if above is not None:
        faulty |= edges[:-1] >= above - 1e-9
    rows = pl.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts, "faulty": faulty})
    scale = _axis_scale(edges, log=log)
    x = alt.X("low:Q", title=unit or None, scale=scale, axis=_axis(edges))
    bars = alt.Chart(inline_data(rows.with_columns(zero=0))).mark_rect(stroke=None).encode(
        x=x, x2="high:Q", y=alt.Y("count:Q", title=None, axis=few_ticks()), y2="zero:Q",
        color=alt.condition("datum.faulty", alt.value(ORANGE), alt.value(BLUE)),
        tooltip=[alt.Tooltip("low:Q", title="from", format=".3~g"), alt.Tooltip("high:Q", title="to", format=".3~g"),
                 alt.Tooltip("count:Q", format=",d")],
    )  # fmt: skip
    middle = pl.DataFrame({"low": [float(np.median(known))]})
    rule = alt.Chart(inline_data(middle)).mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=NEUTRAL)
    return _small(bars + rule.encode(x=x), title, note)


def class_counts(frame: pl.DataFrame, title: str, noun: str = "labels") -> OfflineChart:
    """Draw how many there are of each class, the most frequent first.

    Parameters
    ----------
    frame : pl.DataFrame
        `class_name` and `count`.
    title, noun : str
        Above the bars, and below them.
    """
    alt = load_altair()
    table = frame.select(pl.col("class_name").fill_null("no class").alias("class"), "count")
    table = table.sort("count", "class", descending=[True, False])
    if table.is_empty():
        raise InputError("There are no classes to draw.", "Add labels.")
    notes = []
    if table.height > MOST_CLASS_BARS:
        rest = table[MOST_CLASS_BARS:]
        notes = [
            f"the {MOST_CLASS_BARS} most frequent of {table.height} classes; {rest['count'].sum():,} in the others"
        ]
        table = table.head(MOST_CLASS_BARS)
    table = table.with_columns(pl.col("count").map_elements(lambda n: f"{n:,}", pl.String).alias("text"))
    order = table["class"].to_list()
    y = alt.Y("class:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=180))
    base = alt.Chart(inline_data(table)).encode(
        y=y, x=alt.X("count:Q", title=noun, axis=alt.Axis(tickCount=4, labelExpr="format(datum.value, '~s')"))
    )
    chart = base.mark_bar(color=BLUE, height={"band": 0.72}) + base.mark_text(align="left", dx=4, fontSize=11).encode(
        text="text:N"
    )
    return finished(chart, title, notes, width=340, height=max(40, _ROW_PX * table.height))


def two_histograms(
    a: ArrayLike, b: ArrayLike, names: tuple[str, str], title: str, note: str = "", unit: str = ""
) -> OfflineChart:
    """Draw how the values of two sets lie, each as shares of its own.

    Parameters
    ----------
    a, b : (n,), (m,) float
    names : (str, str)
        Of the sets.
    title, note, unit : str
        As for `histogram`.
    """
    alt = load_altair()
    first, second = _finite(a, title), _finite(b, title)
    edges, log = _edges(np.concatenate([first, second]), bins=24)
    parts = []
    for name, known in zip(names, (first, second), strict=True):
        share = np.histogram(np.clip(known, edges[0], edges[-1]), edges)[0] / known.size
        parts.append(pl.DataFrame({"at": edges, "share": np.append(share, 0.0), "set": [name] * edges.size}))
    x = alt.X("at:Q", title=unit or None, scale=_axis_scale(edges, log=log), axis=_axis(edges))
    y = alt.Y("share:Q", title=None, axis=alt.Axis(tickCount=2, format="%"))
    base = alt.Chart(inline_data(pl.concat(parts))).encode(x=x, y=y, color=_two_colours(names))
    # Stacking would add the shares of one set onto the other's.
    area = base.mark_area(interpolate="step-after", opacity=0.18).encode(y=y.stack(None))
    line = base.mark_line(interpolate="step-after", strokeWidth=1.8)
    return _small(area + line, title, note)


def two_shares(frame: pl.DataFrame, names: tuple[str, str], title: str) -> OfflineChart:
    """Draw the share of each class in two sets, the class that differs most first.

    Parameters
    ----------
    frame : pl.DataFrame
        `class_name`, `share_a`, `share_b`.
    names : (str, str)
    title : str
    """
    alt = load_altair()
    table = frame.with_columns((pl.col("share_a") - pl.col("share_b")).abs().alias("gap"))
    table = table.sort("gap", "class_name", descending=[True, False])
    notes = (
        [f"the {MOST_CLASS_BARS} that differ most of {table.height} classes"] if table.height > MOST_CLASS_BARS else []
    )
    table = table.head(MOST_CLASS_BARS)
    order = table["class_name"].to_list()
    long = pl.concat(
        table.select(pl.col("class_name").alias("class"), pl.col(column).alias("share"), pl.lit(name).alias("set"))
        for name, column in zip(names, ("share_a", "share_b"), strict=True)
    )
    y = alt.Y("class:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=180))
    chart = alt.Chart(inline_data(long)).mark_bar().encode(
        y=y, x=alt.X("share:Q", title="share of each set", axis=alt.Axis(tickCount=4, format="%")),
        yOffset=alt.YOffset("set:N", sort=list(names)), color=_two_colours(names),
        tooltip=["class:N", "set:N", alt.Tooltip("share:Q", format=".1%")],
    )  # fmt: skip
    return finished(chart, title, notes, width=340, height=max(60, 26 * table.height))


def effects(frame: pl.DataFrame, title: str) -> OfflineChart:
    """Draw how far two sets differ in each of several things; those that are significant in colour.

    Parameters
    ----------
    frame : pl.DataFrame
        `name`, `effect` (0 to 1) and `significant`, in the order to draw.
    title : str
    """
    alt = load_altair()
    if frame.is_empty():
        raise InputError("There is nothing to draw.", "Compare projects that have metrics: p.compute().")
    notes = [f"the first {MOST_METRIC_BARS} of {frame.height}"] if frame.height > MOST_METRIC_BARS else []
    table = frame.select("name", "effect", "significant").head(MOST_METRIC_BARS)
    table = table.with_columns(pl.col("effect").map_elements(lambda v: f"{v:.2f}", pl.String).alias("text"))
    notes.append("orange: significant" if table["significant"].any() else "none is significant")
    order = table["name"].to_list()
    y = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=220))
    x = alt.X(
        "effect:Q", title="0 = same, 1 = no value in common", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5)
    )
    base = alt.Chart(inline_data(table)).encode(x=x, y=y)
    color = alt.condition("datum.significant", alt.value(ORANGE), alt.value(NEUTRAL))
    chart = base.mark_bar(height={"band": 0.72}).encode(color=color)
    chart = chart + base.mark_text(align="left", dx=4, fontSize=11).encode(text="text:N")
    return finished(chart, title, notes, width=360, height=max(40, _ROW_PX * table.height))


def two_maps(points: F64, in_b: NDArray[np.bool_], names: tuple[str, str], title: str, note: str = "") -> OfflineChart:
    """Draw two sets as points on one map.

    Parameters
    ----------
    points : (n, 2) float
    in_b : (n,) bool
        Which of them are of the second set.
    names : (str, str)
    title, note : str
    """
    alt = load_altair()
    sets = pl.Series("set", [names[int(v)] for v in in_b], dtype=pl.String)
    rows = pl.DataFrame({"x": points[:, 0].round(4), "y": points[:, 1].round(4)}).with_columns(sets)
    rows = rows.sample(fraction=1.0, shuffle=True, seed=0)  # else one set lies on top of the other
    bare = alt.Axis(labels=False, ticks=False, title=None, grid=False)
    chart = alt.Chart(inline_data(rows)).mark_circle(size=14, opacity=0.55).encode(
        x=alt.X("x:Q", axis=bare, scale=alt.Scale(zero=False)), y=alt.Y("y:Q", axis=bare, scale=alt.Scale(zero=False)),
        color=_two_colours(names),
    )  # fmt: skip
    return finished(chart, title, [note] if note else [], width=360, height=300)


def _two_colours(names: tuple[str, str]) -> Any:
    alt = load_altair()
    return alt.Color("set:N", scale=alt.Scale(domain=list(names), range=[BLUE, ORANGE]), sort=list(names)).legend(
        title=None, orient="bottom", offset=2, symbolOpacity=1
    )


def _small(chart: Any, title: str, note: str) -> OfflineChart:
    """Finish a chart of which four stand in a row: all of one size, axes included."""
    alt = load_altair()
    more = {"subtitle": note, "subtitleFontSize": 11} if note else {}
    text = alt.TitleParams(title, fontSize=13, offset=8, **more)
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    return OfflineChart(chart.properties(title=text, description=title, autosize=fit, **_SMALL))


def _finite(values: ArrayLike, title: str) -> F64:
    array = np.asarray(values, np.float64)
    known = array[np.isfinite(array)]
    if not known.size:
        raise InputError(f"There are no values of {title} to draw.", "Call p.compute().")
    return known


def _edges(known: F64, bins: int = BINS) -> tuple[F64, bool]:
    """Return the edges of bars, and whether they are even on a logarithmic axis.

    The outermost 0.2 % at either end are counted into the last bars: one far off would leave a single bar.
    """
    low, high = np.quantile(known, [0.002, 0.998])
    least, most = float(known.min()), float(known.max())
    if most - least <= max(4 * (high - low), 1e-12):
        low, high = least, most
    if not high > low:
        wide = max(abs(low) * 0.05, 0.5)
        return np.linspace(low - wide, high + wide, 12), False
    log = bool(low > 0 and np.quantile(known, 0.99) / max(np.quantile(known, 0.01), 1e-300) >= _LONG_TAIL)
    if np.array_equal(known, np.rint(known)) and high - low <= 2 * bins and not log:
        step = max(1, math.ceil((high - low + 1) / bins))
        edges = np.arange(math.floor(low), math.ceil(high) + step + 1, step, dtype=np.float64) - 0.5
    else:
        edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    return np.asarray(edges, np.float64), log


def _axis_scale(edges: F64, *, log: bool) -> Any:
    alt = load_altair()
    return alt.Scale(
        domain=[float(edges[0]), float(edges[-1])], nice=False, zero=False, type="log" if log else "linear"
    )


def _axis(edges: F64) -> Any:
    alt = load_altair()
    # "~s" writes 100m for 0.1
    numbers = "~s" if max(abs(float(edges[0])), abs(float(edges[-1]))) >= 1000 else ".4~g"
    return alt.Axis(tickCount=4, labelExpr=f"format(datum.value, '{numbers}')", grid=False)
