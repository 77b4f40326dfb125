"""Charts of an evaluation: Altair specifications that notebooks draw without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from zlib import crc32

import polars as pl
import polars.selectors as cs

from .errors import InputError, ShapeError, unknown
from .offline_chart import GREY, OfflineChart, load_altair

MOST_CURVES = 12
"""Classes in a chart of lines: six hues, solid and dashed."""
MOST_BARS = 60
MOST_CELLS = 120
"""Classes on a side of a heat map; the others are counted together."""
MOST_PANELS = 6
MOST_COUNTED_CELLS = 20
"""Classes on a side up to which a cell has room for its count."""
POINTS = 160
"""Of a curve: as many as its pixels can show."""

# Okabe & Ito's hues, told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/).
_HUES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_SOLID, _DASHED = [1, 0], [5, 3]
_BLUE, _ORANGE, _NEUTRAL = "#4a7fe0", "#e0852b", "#9a9da3"
# The explorer's ramp (js/src/views/palette.ts): dark at nothing, so a faint mistake stands out from no mistake.
_RAMP = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
_LAST = ("no prediction", "background")  # no classes: they close an axis


class ModelCharts:
    """Charts of an evaluation: `ev.plot.curves()`.

    Parameters
    ----------
    ev : Evaluation
        Or any object with the frames `curves`, `best`, `confusion_frame`, `calibration` and `per_class`.
    """

    def __init__(self, ev: Any) -> None:
        load_altair()
        self._ev = ev

    def __repr__(self) -> str:
        names = [name for name in dir(self) if not name.startswith("_")]
        return "Charts: " + ", ".join(f".{name}(…)" if name in _NEED_A_FRAME else f".{name}()" for name in names)

    def curves(self, classes: Sequence[str] | None = None) -> OfflineChart:
        """Draw precision by recall: a line a class, and a bold one for all classes together.

        Parameters
        ----------
        classes : sequence of str, optional
            At most 12; by default those with the most labels. Hover a line for the confidence, click a name in the
            legend to bring its line out (shift adds another).

        Returns
        -------
        OfflineChart
        """
        alt = load_altair()
        rows, notes = self._lines("recall", "precision", classes)
        rows = rows.drop("f1")
        series = _Series(rows)
        base = alt.Chart(_data(rows)).encode(
            x=_share("recall", "recall: share of labels found (1 is best)"),
            y=_share("precision", "precision: share of predictions right (1 is best)"),
            color=series.color(),
        )
        lines, dots = _hovered(base, rows, ["class", "recall", "precision", "confidence"])
        return _finished(lines + dots, "Precision by recall", notes, width=420, height=370)

    def f1(self, classes: Sequence[str] | None = None) -> OfflineChart:
        """Draw F1 by confidence, with the best confidence marked on each line.

        Parameters
        ----------
        classes : sequence of str, optional
            At most 12; by default those with the most labels.

        Returns
        -------
        OfflineChart
        """
        alt = load_altair()
        rows, notes = self._lines("confidence", "f1", classes)
        series = _Series(rows)
        best = _named(_table(self._ev.best, ("class_name", "confidence", "f1"), "best confidences"))
        best = best.filter(pl.col("class").is_in(series.names)).drop_nulls(["confidence", "f1"])
        whole = best.filter("all")
        x, y = _share("confidence", "confidence: predictions below it are left out"), _share("f1", "F1 (1 is best)")
        base = alt.Chart(_data(rows)).encode(x=x, y=y, color=series.color())
        lines, dots = _hovered(base, rows, ["class", "confidence", "f1", "precision", "recall"])
        parts = [lines, dots]
        if whole.height:
            rule = alt.Chart(_data(whole)).mark_rule(color=GREY, strokeDash=[2, 3])
            parts.append(rule.encode(x="confidence:Q"))
            at = whole.row(0, named=True)
            notes = [f"all classes: best F1 {at['f1']:.2f} at confidence {at['confidence']:.2f}", *notes]
        marks = alt.Chart(_data(best)).mark_point(filled=True, size=70, shape="diamond", opacity=1)
        parts.append(marks.encode(x=x, y=y, color=series.color(), tooltip=_tips(["class", "confidence", "f1"])))
        return _finished(
            alt.layer(*parts), "F1 by confidence", [*notes, "diamonds: best confidence"], width=420, height=320
        )

    def confusion(self, normalise: Literal["label", "prediction"] | None = "label") -> OfflineChart:
        """Draw the confusion matrix: a row a label's class, a column a predicted class.

        Parameters
        ----------
        normalise : "label", "prediction" or None
            Colour by the share of the row, of the column, or by the count. Cells without a count stay dark.

        Returns
        -------
        OfflineChart
        """
        alt = load_altair()
        if normalise not in ("label", "prediction", None):
            raise InputError(f"normalise is {normalise!r}.", 'Pass "label", "prediction" or None.')
        frame = _table(self._ev.confusion_frame, ("label", "prediction", "count"), "confusion matrix")
        frame, rows, columns, notes = _grouped_cells(frame)
        over = pl.col("count").sum().over(normalise) if normalise else pl.lit(1)
        frame = _filled(frame.filter(pl.col("count") > 0), "counts").with_columns(
            (pl.col("count") / over).alias("value")
        )
        most = frame.select(pl.col("count").max()).item()
        top = 1 if normalise else most
        title = f"share of the {normalise}'s {'row' if normalise == 'label' else 'column'}" if normalise else "count"

        n = max(len(rows), len(columns))
        counted = n <= MOST_COUNTED_CELLS
        cell = min(48.0, max(720 / n, 34.0)) if counted else max(9.0, 520 / n)
        font = 11 if counted else min(11, cell + 0.5)
        axis = {"labelFontSize": font, "labelPadding": 3, "ticks": False, "domain": False, "grid": False}
        axis |= {"labelOverlap": False, "labelLimit": 130}
        y = alt.Y("label:N", sort=rows, scale=alt.Scale(domain=rows, padding=0.02), title="label").axis(**axis)
        x = alt.X("prediction:N", sort=columns, scale=alt.Scale(domain=columns, padding=0.02), title="prediction")
        x = x.axis(**axis, labelAngle=-45 if counted else -90, labelAlign="right")
        color = alt.Color("value:Q", title=title).scale(type="sqrt", domain=[0, top], range=list(_RAMP))
        ticks = {"values": [0, 0.1, 0.25, 0.5, 0.75, 1], "format": "%"} if normalise else {"tickCount": 5}
        color = color.legend(gradientLength=min(240, int(n * cell)), titleLimit=200, **ticks)
        tips = [alt.Tooltip("label:N"), alt.Tooltip("prediction:N"), alt.Tooltip("count:Q", format=",d")]
        if normalise:
            tips.append(alt.Tooltip("value:Q", title=f"share of {normalise}", format=".1%"))
        base = alt.Chart(_data(frame)).encode(x=x, y=y)
        chart = base.mark_rect().encode(color=color, tooltip=tips)
        if counted:
            text = base.mark_text(fontSize=11, tooltip=None).encode(
                text=alt.Text("count:Q", format=",d" if most < 10_000 else ".3~s"),
                color=alt.condition(f"datum.value > {0.25 * top}", alt.value("#111111"), alt.value("#ffffff")),
            )
            chart = chart + text
        chart = chart.properties(view=alt.ViewBackground(fill=_RAMP[0], stroke=None))
        size = {"width": round(len(columns) * cell), "height": round(len(rows) * cell)}
        return _finished(chart, "Confusion matrix", ["rows: labels, columns: predictions", *notes], **size)

    def calibration(self) -> OfflineChart:
        """Draw a reliability diagram: how often predictions of a confidence are right.

        Returns
        -------
        OfflineChart
            Bars below the diagonal: surer than right. The title has the expected calibration error,
            ECE = Σ count / n · |accuracy - confidence| (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
        """
        alt = load_altair()
        columns = ("bin_low", "bin_high", "confidence", "accuracy", "count")
        frame = _table(self._ev.calibration, columns, "calibration")
        frame = _filled(frame.filter(pl.col("count") > 0), "calibration")
        n = int(frame["count"].sum())
        ece = float((frame["count"] * (frame["accuracy"] - frame["confidence"]).abs()).sum() / n)
        unit = alt.Scale(domain=[0, 1], nice=False)
        y = alt.Y("accuracy:Q", title="accuracy: share right (1 is best)", scale=unit)
        x = alt.X("confidence:Q", title=None, scale=unit)
        tips = [
            *(alt.Tooltip(f"{c}:Q", title=t, format=".2f") for c, t in (("bin_low", "from"), ("bin_high", "to"))),
            alt.Tooltip("confidence:Q", title="mean confidence", format=".3f"),
            alt.Tooltip("accuracy:Q", format=".3f"),
            alt.Tooltip("count:Q", title="predictions", format=",d"),
        ]
        base = alt.Chart(_data(frame.with_columns(zero=0))).encode(tooltip=tips)
        bars = base.mark_rect(color=_BLUE, opacity=0.85, stroke=_BLUE).encode(
            x=alt.X("bin_low:Q", title=None, scale=unit, axis=alt.Axis(labels=False, values=_TENTHS)),
            x2="bin_high:Q",
            y=y,
            y2="zero:Q",
        )
        ends = alt.Chart(alt.InlineData([{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]))
        diagonal = ends.mark_line(color=GREY, strokeDash=[4, 4]).encode(x=x, y=y)
        gaps = base.mark_rule(color=_ORANGE, strokeWidth=3).encode(x=x, y=y, y2="confidence:Q")
        dots = base.mark_point(color=_ORANGE, filled=True, size=50, opacity=1).encode(x=x, y=y)
        upper = alt.layer(bars, diagonal, gaps, dots).properties(width=380, height=380)
        below = base.mark_rect(color=GREY, opacity=0.6, stroke=GREY).encode(
            x=alt.X("bin_low:Q", title="confidence", scale=unit, axis=alt.Axis(values=_TENTHS)),
            x2="bin_high:Q",
            y=alt.Y("count:Q", title="predictions", axis=_few_ticks()),
            y2="zero:Q",
        )
        chart = alt.vconcat(upper, below.properties(width=380, height=60), spacing=6)
        notes = ["orange: from the mean confidence to the accuracy", "below the diagonal: surer than right"]
        return _finished(chart, f"Calibration: expected error (ECE) {ece:.3f}, 0 is best", notes)

    def per_class(self, by: str | None = None) -> OfflineChart:
        """Draw a bar a class, the best class first.

        Parameters
        ----------
        by : "ap", "ap50", "precision", "recall" or "f1", optional
            By default `ap`, and `f1` where there is none. Of very many classes the 60 lowest are drawn.

        Returns
        -------
        OfflineChart
        """
        alt = load_altair()
        frame = _table(self._ev.per_class, ("class_name",), "classes")
        known = [c for c in _SCORES if c in frame.columns and frame[c].null_count() < frame.height]
        if by is not None and by not in known:
            raise unknown("score of classes", by, known)
        if not known:
            raise InputError("No class has a score.", "Evaluate predictions of labelled images.")
        by = by or ("ap" if "ap" in known else "f1" if "f1" in known else known[0])
        extra = [c for c in ("labels", "predictions") if c in frame.columns]
        table = frame.select(pl.col("class_name").alias("class"), *known, *extra).sort(
            by, "class", descending=[True, False], nulls_last=True
        )
        table = table.with_columns(pl.col("class").fill_null("no class"))
        notes = [f"{table.height} classes", *(["–: no score"] if frame[by].null_count() else [])]
        if table.height > MOST_BARS:
            notes = [f"the {MOST_BARS} lowest of {table.height} classes"]
            table = table.drop_nulls(by).tail(MOST_BARS)
        order = table["class"].to_list()
        tips = [alt.Tooltip("class:N"), *(alt.Tooltip(f"{c}:Q", title=_SCORES[c], format=".3f") for c in known)]
        tips += [alt.Tooltip(f"{c}:Q", format=",d") for c in extra]
        base = alt.Chart(_data(_with_text(table, by))).encode(
            y=alt.Y("class:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False)), tooltip=tips
        )
        title = f"{_SCORES[by]} (1 is best)"
        bars = base.mark_bar(color=_BLUE, height={"band": 0.75}).encode(
            x=alt.X(f"{by}:Q", title=title, scale=alt.Scale(domain=[0, 1]))
        )
        size = {"width": 420, "height": max(60, 19 * table.height)}
        return _finished(bars + _values(base), f"{_SCORES[by]} by class", notes, **size)

    def by_metric(self, frame: pl.DataFrame, *, rate: str = "rate", better: str = "") -> OfflineChart:
        """Draw a rate by bucket of a metric: its interval as a band, and below it how many rows a bucket has.

        Parameters
        ----------
        frame : pl.DataFrame
            `metric`, `low`, `high` (ends of the bucket), `rate`, `lower`, `upper` (ends of its interval), `count`,
            and optionally `class_name`. Several metrics make several charts.
        rate : str
            What the rate is, for the title: "share of labels missed".
        better : str
            Its direction, for the axis: "0 is best".

        Returns
        -------
        OfflineChart
        """
        alt = load_altair()
        table = _table(frame, ("metric", "low", "high", "rate", "lower", "upper", "count"), "buckets")
        table = table if "class_name" in table.columns else table.with_columns(class_name=pl.lit(None, pl.String))
        table = _named(table.sort("metric", "low", nulls_last=True, maintain_order=True))
        n = table.filter(~pl.col("all"))["class"].n_unique()
        table = table.filter(pl.col("all") | pl.col("class").is_in(_most(table, "count", MOST_PANELS)))
        ends = [float(value or 0) for value in table.select(pl.col("lower").min(), pl.col("upper").max()).row(0)]
        scale = alt.Scale(domain=[min(0.0, ends[0]), max(ends[1], 1e-9)], nice=True)
        axis = f"{rate} ({better})" if better else rate
        names = frame["metric"].unique(maintain_order=True).to_list()
        several = table["class"].n_unique() > 1
        rows = []
        for name in names:
            panels = table.filter(metric=name).sort(~pl.col("all"), "class", maintain_order=True)
            parts = panels.partition_by("class", maintain_order=True)
            rows.append(
                [_buckets(panel, scale, axis, named=several, narrow=several or len(names) > 1) for panel in parts]
            )
        if several:
            grids = [alt.concat(*row, columns=3, spacing=20) for row in rows]
            chart = grids[0] if len(grids) == 1 else alt.vconcat(*grids, spacing=28)
        else:
            chart = rows[0][0] if len(rows) == 1 else alt.concat(*(row[0] for row in rows), columns=2, spacing=28)
        title = f"{rate[:1].upper()}{rate[1:]} by {names[0] if len(names) == 1 else 'metric'}"
        notes = ["band: confidence interval"]
        notes += [f"{MOST_PANELS} of {n} classes"] if n > MOST_PANELS else []
        return _finished(chart, title, notes)

    def importance(self, frame: pl.DataFrame) -> OfflineChart:
        """Draw how much each metric has to do with failure.

        Parameters
        ----------
        frame : pl.DataFrame
            `metric`, `score` (0 to 1), `correlation` (-1 to 1, or null).

        Returns
        -------
        OfflineChart
            The length of a bar is the score, its colour the correlation; of very many metrics the first 60.
        """
        alt = load_altair()
        table = _table(frame, ("metric", "score", "correlation"), "metrics").sort("score", descending=True)
        shown = table.drop_nulls("score").head(MOST_BARS)
        shown = _filled(shown, "metrics with a score")
        color = alt.Color("correlation:Q", title="correlation").scale(
            domain=[-1, 0, 1], range=[_ORANGE, _NEUTRAL, _BLUE], interpolate="rgb"
        )
        color = color.legend(gradientLength=120, values=[-1, -0.5, 0, 0.5, 1], format="+.1f")
        order = shown["metric"].to_list()
        channels = {
            "y": alt.Y("metric:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False)),
            "tooltip": [
                alt.Tooltip("metric:N"),
                alt.Tooltip("score:Q", title="importance", format=".3f"),
                alt.Tooltip("correlation:Q", format="+.3f"),
            ],
        }
        x = alt.X("score:Q", title="importance (0: none, 1: decides alone)", scale=alt.Scale(domain=[0, 1]))
        # a bar without a place on a scale of colours would be left out: those are a layer of their own
        known, rest = (shown.filter(test) for test in _has("correlation"))
        bars = alt.Chart(_data(known)).mark_bar(height={"band": 0.75}).encode(**channels, x=x, color=color)
        grey = alt.Chart(_data(rest)).mark_bar(height={"band": 0.75}, color=_NEUTRAL).encode(**channels, x=x)
        values = _values(alt.Chart(_data(_with_text(shown, "score"))).encode(**channels))
        notes = [f"the first {MOST_BARS} of {table.height} metrics"] if table.height > shown.height else []
        size = {"width": 420, "height": max(60, 19 * shown.height)}
        return _finished(bars + grey + values, "Importance of metrics", notes, **size)

    def _lines(self, x: str, y: str, classes: Sequence[str] | None) -> tuple[pl.DataFrame, list[str]]:
        """Return the points to draw, thinned, and what the subtitle should say."""
        frame = _table(self._ev.curves, ("class_name", "iou", "confidence", "precision", "recall", "f1"), "curves")
        notes = []
        iou = frame.select(pl.col("iou").min()).item()
        if iou is not None:
            frame = frame.filter(pl.col("iou") == iou)
            notes.append(f"IoU {iou:g}")
        rows = _named(frame.drop_nulls([x, y]))
        known = rows.filter(~pl.col("all"))["class"].unique(maintain_order=True).to_list()
        if classes is None:
            shown = self._most_labelled(known)
            if len(known) > len(shown):
                notes.append(f"{len(shown)} of {len(known)} classes: those with most labels")
        else:
            shown = [classes] if isinstance(classes, str) else list(classes)
            if len(shown) > MOST_CURVES:
                raise ShapeError(f"{len(shown)} classes are too many lines.", f"Pass at most {MOST_CURVES}.")
            for name in shown:
                if name not in known:
                    raise unknown("class with a curve", name, known)
        place = pl.col("class").replace_strict({c: i for i, c in enumerate(shown)}, default=len(shown)).alias("place")
        rows = rows.filter(pl.col("all") | pl.col("class").is_in(shown)).with_columns(
            pl.when("all").then(-1).otherwise(place).alias("place")
        )
        rows = _filled(rows, "curves").sort("place", "confidence", descending=[False, True])
        return _thinned(rows, x, y).drop("iou", "place"), notes

    def _most_labelled(self, known: Sequence[str]) -> list[str]:
        table = getattr(self._ev, "per_class", None)
        if len(known) <= MOST_CURVES or table is None or "labels" not in table.columns:
            return list(known[:MOST_CURVES])
        most = table.filter(pl.col("class_name").is_in(known)).sort("labels", descending=True, maintain_order=True)
        return [str(name) for name in most["class_name"].head(MOST_CURVES)]


_NEED_A_FRAME = ("by_metric", "importance")
_SCORES = {"ap": "AP", "ap50": "AP at IoU 0.5", "precision": "precision", "recall": "recall", "f1": "F1"}
_TENTHS = [i / 10 for i in range(11)]


# -- parts of charts -------------------------------------------------------------------------


class _Series:
    """The lines of a chart: `class` names each, `all` says which one is all classes together."""

    def __init__(self, rows: pl.DataFrame) -> None:
        seen = rows.select("class", "all").unique("class", maintain_order=True).sort("all", descending=True)
        self.names: list[str] = seen["class"].to_list()
        self.whole: list[bool] = seen["all"].to_list()

    def _ranks(self) -> list[int]:
        """Return the place of each class among the classes."""
        return [i - sum(self.whole) for i in range(len(self.names))]

    def color(self) -> Any:
        hues = [GREY if w else _HUES[i % 6] for i, w in zip(self._ranks(), self.whole, strict=True)]
        return load_altair().Color(
            "class:N", scale=load_altair().Scale(domain=self.names, range=hues), legend=self._legend()
        )

    def dash(self) -> Any:
        dashes = [_SOLID if w or i % 12 < 6 else _DASHED for i, w in zip(self._ranks(), self.whole, strict=True)]
        scale = load_altair().Scale(domain=self.names, range=dashes)
        return load_altair().StrokeDash("class:N", scale=scale, legend=self._legend())

    def _legend(self) -> Any:
        if len(self.names) == 1:
            return None
        return load_altair().Legend(title=None, symbolType="stroke", symbolSize=300, symbolOpacity=1)


def _hovered(base: Any, rows: pl.DataFrame, tips: Sequence[str]) -> tuple[Any, Any]:
    """Return the lines, which a click in the legend brings out, and the dot under the mouse."""
    alt = load_altair()
    key = _key(rows)
    chosen = alt.selection_point(f"chosen_{key}", fields=["class"], bind="legend")
    # not pointerover: older JupyterLabs know the mouse only
    near = alt.selection_point(f"near_{key}", nearest=True, on="mouseover", clear="mouseout", empty=False)
    lines = base.mark_line(strokeJoin="round").encode(
        order=alt.Order("confidence:Q"),
        strokeDash=_Series(rows).dash(),
        strokeWidth=alt.condition("datum.all", alt.value(4), alt.value(1.6)),
        opacity=alt.condition(chosen, alt.value(0.95), alt.value(0.12)),
    )
    dots = base.mark_point(filled=True, size=80).encode(
        opacity=alt.condition(near, alt.value(1), alt.value(0)), tooltip=_tips(tips)
    )
    # both on one layer: Altair would name both layers as views of each once charts stand side by side
    return lines, dots.properties(name=f"dots_{key}").add_params(chosen, near)


def _key(rows: pl.DataFrame) -> str:
    """Return a name for the selections of a chart: charts of other rows stand beside it, saved ones stay the same."""
    return f"{crc32(rows.write_json().encode()):x}"


def _tips(columns: Sequence[str]) -> Any:
    alt = load_altair()
    return [
        alt.Tooltip("class:N") if c == "class" else alt.Tooltip(f"{c}:Q", title=_SCORES.get(c, c), format=".3f")
        for c in columns
    ]


def _buckets(table: pl.DataFrame, scale: Any, title: str, *, named: bool, narrow: bool) -> Any:
    """Draw one metric of one class: the rate of every bucket, and the count strip."""
    alt = load_altair()
    order = _ranges(table["low"].to_list(), table["high"].to_list())
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
    base = alt.Chart(_data(table.drop("all", "class")))
    top = base.encode(x=x.axis(labels=False, ticks=False, title=None), tooltip=tips)
    known = top.transform_filter("isValid(datum.low)")  # rows without the metric are no neighbours of the others
    band = known.mark_area(color=_BLUE, opacity=0.25).encode(y=low, y2="upper:Q")
    ends = top.mark_rule(color=_BLUE, opacity=0.6).encode(y=low, y2="upper:Q")
    line = known.mark_line(color=_BLUE, strokeWidth=2).encode(y=alt.Y("rate:Q", title=title, scale=scale))
    dots = top.mark_point(color=_BLUE, filled=True, size=60, opacity=1).encode(y=alt.Y("rate:Q", scale=scale))
    size = {"title": alt.TitleParams(table["class"][0], fontSize=12, offset=4)} if named else {}
    upper = alt.layer(band, ends, line, dots).properties(width=width, height=200, **size)
    strip = base.mark_bar(color=GREY, opacity=0.6).encode(
        x=x, y=alt.Y("count:Q", title="count", axis=_few_ticks()), tooltip=tips
    )
    return alt.vconcat(upper, strip.properties(width=width, height=50), spacing=6)


def _ranges(low: Sequence[float | None], high: Sequence[float | None]) -> list[str]:
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


def _with_text(table: pl.DataFrame, column: str) -> pl.DataFrame:
    """Add `at` and `text`: what stands at the end of a bar, a dash where there is no value."""
    values = table[column].fill_nan(None).to_list()
    text = ["–" if value is None else f"{value:.2f}" for value in values]
    return table.with_columns(pl.Series("text", text, dtype=pl.String), at=pl.col(column).fill_nan(None).fill_null(0))


def _values(base: Any) -> Any:
    return base.mark_text(align="left", dx=4, fontSize=11).encode(x="at:Q", text="text:N")


def _has(column: str) -> tuple[pl.Expr, pl.Expr]:
    """Return two tests of rows: with a number there, without one."""
    there = pl.col(column).is_finite().fill_null(value=False)
    return there, ~there


def _share(column: str, title: str) -> Any:
    """Return a channel from 0 to 1."""
    alt = load_altair()
    kind = alt.Y if column in ("precision", "f1") else alt.X
    return kind(f"{column}:Q", title=title, scale=alt.Scale(domain=[0, 1]))


def _few_ticks() -> Any:
    return load_altair().Axis(tickCount=2, format="~s")


def _finished(chart: Any, title: str, notes: Sequence[str], **size: int) -> OfflineChart:
    alt = load_altair()
    text = alt.TitleParams(title, subtitle=" · ".join(notes)) if notes else alt.TitleParams(title)
    return OfflineChart(chart.properties(title=text, description=title, **size))


# -- data ------------------------------------------------------------------------------------


def _table(frame: Any, columns: Sequence[str], what: str) -> pl.DataFrame:
    """Check the columns of a frame that is to be drawn."""
    if not isinstance(frame, pl.DataFrame):
        raise InputError(f"There is no frame of {what}.", "Pass an evaluation, or a Polars frame.")
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise InputError(f"The {what} have no column {missing[0]!r}.", f"Needed: {', '.join(columns)}.")
    return _filled(frame, what)


def _filled(frame: pl.DataFrame, what: str) -> pl.DataFrame:
    if frame.is_empty():
        raise InputError(f"There are no {what} to draw.", "Evaluate predictions of labelled images.")
    return frame


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `all` and `class`: a name for all classes together that no class has."""
    taken = set(frame["class_name"].unique())
    name = "all classes"
    while name in taken:
        name = f"({name})"
    return frame.with_columns(
        pl.col("class_name").is_null().alias("all"), pl.col("class_name").fill_null(name).alias("class")
    ).drop("class_name")


def _most(table: pl.DataFrame, column: str, n: int) -> list[str]:
    totals = table.filter(~pl.col("all")).group_by("class", maintain_order=True).agg(pl.col(column).sum())
    return totals.sort(column, descending=True, maintain_order=True)["class"].head(n).to_list()


def _thinned(rows: pl.DataFrame, x: str, y: str) -> pl.DataFrame:
    """Keep points at even steps along each line, and both its ends."""
    step = (pl.col(x).diff().fill_null(0) ** 2 + pl.col(y).diff().fill_null(0) ** 2).sqrt().cum_sum()
    at = (step / pl.max_horizontal(step.max(), pl.lit(1e-9)) * POINTS).floor()
    first = (at != at.shift(1)).fill_null(value=True)
    last = pl.int_range(pl.len()) == pl.len() - 1
    return rows.filter((first | last).over("class"))


def _grouped_cells(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str], list[str], list[str]]:
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


def _data(frame: pl.DataFrame) -> Any:
    """Return rows as data in the chart: no file, no limit, no setting of the user's Altair in between."""
    floats = cs.float()
    clean = frame.with_columns(pl.when(floats.is_finite()).then(floats.cast(pl.Float64).round_sig_figs(6)))
    return load_altair().InlineData(clean.to_dicts())
