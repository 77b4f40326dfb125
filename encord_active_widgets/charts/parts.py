"""Parts that charts are made of: colours, axes, data inside the chart, and the finish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import polars as pl
import polars.selectors as cs

from ..errors import InputError
from .offline import GREY, OfflineChart, load_altair

MOST_CELLS = 120
"""Classes on a side of a heat map; the others are counted together."""
POINTS = 160
"""Of a curve: as many as its pixels can show."""

# Okabe & Ito's hues, told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/).
HUES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_SOLID, _DASHED = [1, 0], [5, 3]
BLUE, ORANGE, NEUTRAL = "#4a7fe0", "#e0852b", "#9a9da3"
# The explorer's ramp (js/src/views/palette.ts): dark at nothing, so a faint mistake stands out from no mistake.
RAMP = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
_LAST = ("no prediction", "background")  # no classes: they close an axis

SCORES = {"ap": "AP", "ap50": "AP at IoU 0.5", "precision": "precision", "recall": "recall", "f1": "F1"}
TENTHS = [i / 10 for i in range(11)]


# -- parts of charts -------------------------------------------------------------------------


class Series:
    """The lines of a chart: `class` names each, `all` says which one is all classes together."""

    def __init__(self, rows: pl.DataFrame) -> None:
        seen = rows.select("class", "all").unique("class", maintain_order=True).sort("all", descending=True)
        self.names: list[str] = seen["class"].to_list()
        self.whole: list[bool] = seen["all"].to_list()

    def _ranks(self) -> list[int]:
        """Return the place of each class among the classes."""
        return [i - sum(self.whole) for i in range(len(self.names))]

    def color(self) -> Any:
        """Return a hue a class; grey is all classes together."""
        hues = [GREY if w else HUES[i % 6] for i, w in zip(self._ranks(), self.whole, strict=True)]
        return load_altair().Color(
            "class:N", scale=load_altair().Scale(domain=self.names, range=hues), legend=self._legend()
        )

    def dash(self) -> Any:
        """Return the dashes of lines: six hues go round twice."""
        dashes = [_SOLID if w or i % 12 < 6 else _DASHED for i, w in zip(self._ranks(), self.whole, strict=True)]
        scale = load_altair().Scale(domain=self.names, range=dashes)
        return load_altair().StrokeDash("class:N", scale=scale, legend=self._legend())

    def _legend(self) -> Any:
        if len(self.names) == 1:
            return None
        return load_altair().Legend(title=None, symbolType="stroke", symbolSize=300, symbolOpacity=1)


def hovered(base: Any, rows: pl.DataFrame, tips: Sequence[str]) -> tuple[Any, Any]:
    """Return the lines, which a click in the legend brings out, and the dot under the mouse."""
    alt = load_altair()
    key = chart_key(rows)
    chosen = alt.selection_point(f"chosen_{key}", fields=["class"], bind="legend")
    # not pointerover: older JupyterLabs know the mouse only
    near = alt.selection_point(f"near_{key}", nearest=True, on="mouseover", clear="mouseout", empty=False)
    lines = base.mark_line(strokeJoin="round").encode(
        order=alt.Order("confidence:Q"),
        strokeDash=Series(rows).dash(),
        strokeWidth=alt.condition("datum.all", alt.value(4), alt.value(1.6)),
        opacity=alt.condition(chosen, alt.value(0.95), alt.value(0.12)),
    )
    dots = base.mark_point(filled=True, size=80).encode(
        opacity=alt.condition(near, alt.value(1), alt.value(0)), tooltip=tooltips(tips)
    )
    # both on one layer: Altair would name both layers as views of each once charts stand side by side
    return lines, dots.properties(name=f"dots_{key}").add_params(chosen, near)


def chart_key(rows: pl.DataFrame) -> str:
    """Return a name for the selections of a chart: charts of other rows stand beside it, saved ones stay the same."""
    return f"{crc32(rows.write_json().encode()):x}"


def tooltips(columns: Sequence[str]) -> Any:
    """Return what is shown beside the mouse."""
    alt = load_altair()
    return [
        alt.Tooltip("class:N") if c == "class" else alt.Tooltip(f"{c}:Q", title=SCORES.get(c, c), format=".3f")
        for c in columns
    ]


def bucket_chart(table: pl.DataFrame, scale: Any, title: str, *, named: bool, narrow: bool) -> Any:
    """Draw one metric of one class: the rate of every bucket, and the count strip."""
    alt = load_altair()
    order = range_names(table["low"].to_list(), table["high"].to_list())
    table = table.with_columns(range=pl.Series(order, dtype=pl.String))
    width = max(180, min(300 if narrow else 560, 40 * len(order)))
    x = alt.X("range:O", sort=order, axis=alt.Axis(labelAngle=-40, labelOverlap=False), title=table["metric"][0])
    low = alt.Y("lower:Q", title=title, scale=scale)
    tips = [
        alt.Tooltip("range:O", title="bucket"),
        alt.Tooltip("rate:Q", format=".3~g"),
        alt.Tooltip("lower:Q", title="interval from", format=".3~g"),
        alt.Tooltip("upper:Q", title="interval to", format=".3~g"),
        alt.Tooltip("count:Q", format=",d"),
    ]
    base = alt.Chart(inline_data(table.drop("all", "class")))
    top = base.encode(x=x.axis(labels=False, ticks=False, title=None), tooltip=tips)
    known = top.transform_filter("isValid(datum.low)")  # rows without the metric are no neighbours of the others
    band = known.mark_area(color=BLUE, opacity=0.25).encode(y=low, y2="upper:Q")
    ends = top.mark_rule(color=BLUE, opacity=0.6).encode(y=low, y2="upper:Q")
    line = known.mark_line(color=BLUE, strokeWidth=2).encode(y=alt.Y("rate:Q", title=title, scale=scale))
    dots = top.mark_point(color=BLUE, filled=True, size=60, opacity=1).encode(y=alt.Y("rate:Q", scale=scale))
    size = {"title": alt.TitleParams(table["class"][0], fontSize=12, offset=4)} if named else {}
    upper = alt.layer(band, ends, line, dots).properties(width=width, height=200, **size)
    strip = base.mark_bar(color=GREY, opacity=0.6).encode(
        x=x, y=alt.Y("count:Q", title="count", axis=few_ticks()), tooltip=tips
    )
    return alt.vconcat(upper, strip.properties(width=width, height=50), spacing=6)


def range_names(low: Sequence[float | None], high: Sequence[float | None]) -> list[str]:
    """Return "low – high" of each bucket, with the digits that tell them apart; "no value" where there is no metric."""
    out: list[str] = []
    for digits in (3, 4, 6, 9, 17):
        out = [
            "no value" if a is None or b is None else f"{_short(a, digits)} – {_short(b, digits)}"
            for a, b in zip(low, high, strict=True)
        ]
        if len(set(out)) == len(out):
            break
    return out


def _short(value: float, digits: int) -> str:
    """Return a number as people write it: 0.123, 45.6, 1.2k, 3M.

    >>> [_short(v, 3) for v in (0.12345, 45.0, 1234.5, 3e6)]
    ['0.123', '45', '1.23k', '3M']
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.{digits}g}{unit}"
    return f"{value:.{digits}g}"


def with_text(table: pl.DataFrame, column: str) -> pl.DataFrame:
    """Add `at` and `text`: what stands at the end of a bar, a dash where there is no value."""
    values = table[column].fill_nan(None).to_list()
    text = ["–" if value is None else f"{value:.2f}" for value in values]
    return table.with_columns(pl.Series("text", text, dtype=pl.String), at=pl.col(column).fill_nan(None).fill_null(0))


def end_values(base: Any) -> Any:
    """Return the numbers at the ends of bars; see `with_text`."""
    return base.mark_text(align="left", dx=4, fontSize=11).encode(x="at:Q", text="text:N")


def has_number(column: str) -> tuple[pl.Expr, pl.Expr]:
    """Return two tests of rows: with a number there, without one."""
    there = pl.col(column).is_finite().fill_null(value=False)
    return there, ~there


def unit_axis(column: str, title: str) -> Any:
    """Return a channel from 0 to 1."""
    alt = load_altair()
    kind = alt.Y if column in ("precision", "f1") else alt.X
    return kind(f"{column}:Q", title=title, scale=alt.Scale(domain=[0, 1]))


def few_ticks() -> Any:
    """Return an axis of counts for a low strip."""
    # each by itself: one format for all would write 0k beside 2k
    return load_altair().Axis(tickCount=2, labelExpr="format(datum.value, '~s')")


def finished(chart: Any, title: str, notes: Sequence[str], *, lines: bool = False, **size: Any) -> OfflineChart:
    """Return the chart with its title, and remarks below that: in one line, or a line each."""
    alt = load_altair()
    subtitle = list(notes) if lines else " · ".join(notes)
    text = alt.TitleParams(title, subtitle=subtitle) if notes else alt.TitleParams(title)
    return OfflineChart(chart.properties(title=text, description=title, **size))


# -- data ------------------------------------------------------------------------------------


def checked_frame(frame: Any, columns: Sequence[str], what: str) -> pl.DataFrame:
    """Check the columns of a frame that is to be drawn."""
    if not isinstance(frame, pl.DataFrame):
        raise InputError(f"There is no frame of {what}.", "Pass an evaluation, or a Polars frame.")
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise InputError(f"The {what} have no column {missing[0]!r}.", f"Needed: {', '.join(columns)}.")
    return not_empty(frame, what)


def not_empty(frame: pl.DataFrame, what: str) -> pl.DataFrame:
    """Return the frame; raise where it has no rows."""
    if frame.is_empty():
        raise InputError(f"There are no {what} to draw.", "Evaluate predictions of labelled images.")
    return frame


def with_class(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `all` and `class`: a name for all classes together that no class has."""
    taken = set(frame["class_name"].unique())
    name = "all classes"
    while name in taken:
        name = f"({name})"
    return frame.with_columns(
        pl.col("class_name").is_null().alias("all"), pl.col("class_name").fill_null(name).alias("class")
    ).drop("class_name")


def largest_classes(table: pl.DataFrame, column: str, n: int) -> list[str]:
    """Return the classes with the largest sums of a column."""
    totals = table.filter(~pl.col("all")).group_by("class", maintain_order=True).agg(pl.col(column).sum())
    return totals.sort(column, descending=True, maintain_order=True)["class"].head(n).to_list()


def thinned(rows: pl.DataFrame, x: str, y: str) -> pl.DataFrame:
    """Keep points at even steps along each line, and both its ends."""
    step = (pl.col(x).diff().fill_null(0) ** 2 + pl.col(y).diff().fill_null(0) ** 2).sqrt().cum_sum()
    at = (step / pl.max_horizontal(step.max(), pl.lit(1e-9)) * POINTS).floor()
    first = (at != at.shift(1)).fill_null(value=True)
    last = pl.int_range(pl.len()) == pl.len() - 1
    return rows.filter((first | last).over("class"))


def grouped_cells(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str], list[str], list[str]]:
    """Return the cells, the names of rows and columns in order, and notes; rare classes become one."""
    frame = frame.select(pl.col("label", "prediction").fill_null("no class"), pl.col("count").cast(pl.Int64))
    names = _ordered(pl.concat([frame["label"], frame["prediction"].rename("label")]))
    if len(names) <= MOST_CELLS:
        return frame, _ordered(frame["label"]), _ordered(frame["prediction"]), []
    totals = frame.group_by("label").agg(pl.col("count").sum()).sort("count", "label", descending=[True, False])
    kept = totals.filter(~pl.col("label").is_in(_LAST))["label"].head(MOST_CELLS).to_list()
    rest = [n for n in names if n not in {*kept, *_LAST}]
    other = f"{len(rest)} others"
    frame = frame.with_columns(pl.col("label", "prediction").replace(dict.fromkeys(rest, other)))
    frame = frame.group_by("label", "prediction", maintain_order=True).agg(pl.col("count").sum())
    order = [n for n in names if n in {*kept}] + [other] + [n for n in _LAST if n in names]
    rows, columns = ([n for n in order if n in present] for present in (set(frame["label"]), set(frame["prediction"])))
    return frame, rows, columns, [f"{MOST_CELLS} of {len(kept) + len(rest)} classes: those with most labels"]


def _ordered(names: pl.Series) -> list[str]:
    """Return the distinct names as they come, what is no class last."""
    seen = names.unique(maintain_order=True).to_list()
    return [n for n in seen if n not in _LAST] + [n for n in _LAST if n in seen]


def inline_data(frame: pl.DataFrame) -> Any:
    """Return rows as data in the chart: no file, no limit, no setting of the user's Altair in between."""
    floats = cs.float()
    clean = frame.with_columns(pl.when(floats.is_finite()).then(floats.cast(pl.Float64).round_sig_figs(6)))
    return load_altair().InlineData(clean.to_dicts())
