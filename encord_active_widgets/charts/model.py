"""Charts of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from ..errors import InputError, ShapeError, unknown
from .offline import GREY, OfflineChart, load_altair
from .parts import (
    BLUE,
    NEUTRAL,
    ORANGE,
    RAMP,
    SCORES,
    TENTHS,
    Series,
    bucket_chart,
    checked_frame,
    end_values,
    few_ticks,
    finished,
    grouped_cells,
    has_number,
    hovered,
    inline_data,
    largest_classes,
    not_empty,
    thinned,
    tooltips,
    unit_axis,
    with_class,
    with_text,
)

MOST_CURVES = 12
"""Classes in a chart of lines: six hues, solid and dashed."""
MOST_BARS = 60
MOST_PANELS = 6
MOST_COUNTED_CELLS = 20
"""Classes on a side up to which a cell has room for its count."""

_NEED_A_FRAME = ("by_metric", "importance")


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
        series = Series(rows)
        base = alt.Chart(inline_data(rows)).encode(
            x=unit_axis("recall", "recall: share of labels found (1 is best)"),
            y=unit_axis("precision", "precision: share of predictions right (1 is best)"),
            color=series.color(),
        )
        lines, dots = hovered(base, rows, ["class", "recall", "precision", "confidence"])
        return finished(lines + dots, "Precision by recall", notes, width=420, height=370)

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
        series = Series(rows)
        best = with_class(checked_frame(self._ev.best, ("class_name", "confidence", "f1"), "best confidences"))
        best = best.filter(pl.col("class").is_in(series.names)).drop_nulls(["confidence", "f1"])
        whole = best.filter("all")
        x, y = (
            unit_axis("confidence", "confidence: predictions below it are left out"),
            unit_axis("f1", "F1 (1 is best)"),
        )
        base = alt.Chart(inline_data(rows)).encode(x=x, y=y, color=series.color())
        lines, dots = hovered(base, rows, ["class", "confidence", "f1", "precision", "recall"])
        parts = [lines, dots]
        if whole.height:
            rule = alt.Chart(inline_data(whole)).mark_rule(color=GREY, strokeDash=[2, 3])
            parts.append(rule.encode(x="confidence:Q"))
            at = whole.row(0, named=True)
            notes = [f"all classes: best F1 {at['f1']:.2f} at confidence {at['confidence']:.2f}", *notes]
        marks = alt.Chart(inline_data(best)).mark_point(filled=True, size=70, shape="diamond", opacity=1)
        parts.append(marks.encode(x=x, y=y, color=series.color(), tooltip=tooltips(["class", "confidence", "f1"])))
        return finished(
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

        Raises
        ------
        InputError
            The normalisation is none of those.
        """
        alt = load_altair()
        if normalise not in ("label", "prediction", None):
            raise InputError(f"normalise is {normalise!r}.", 'Pass "label", "prediction" or None.')
        frame = checked_frame(self._ev.confusion_frame, ("label", "prediction", "count"), "confusion matrix")
        frame, rows, columns, notes = grouped_cells(frame)
        over = pl.col("count").sum().over(normalise) if normalise else pl.lit(1)
        frame = not_empty(frame.filter(pl.col("count") > 0), "counts").with_columns(
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
        color = alt.Color("value:Q", title=title).scale(type="sqrt", domain=[0, top], range=list(RAMP))
        ticks = {"values": [0, 0.1, 0.25, 0.5, 0.75, 1], "format": "%"} if normalise else {"tickCount": 5}
        color = color.legend(gradientLength=min(240, int(n * cell)), titleLimit=200, **ticks)
        tips = [alt.Tooltip("label:N"), alt.Tooltip("prediction:N"), alt.Tooltip("count:Q", format=",d")]
        if normalise:
            tips.append(alt.Tooltip("value:Q", title=f"share of {normalise}", format=".1%"))
        base = alt.Chart(inline_data(frame)).encode(x=x, y=y)
        chart = base.mark_rect().encode(color=color, tooltip=tips)
        if counted:
            text = base.mark_text(fontSize=11, tooltip=None).encode(
                text=alt.Text("count:Q", format=",d" if most < 10_000 else ".3~s"),
                color=alt.condition(f"datum.value > {0.25 * top}", alt.value("#111111"), alt.value("#ffffff")),
            )
            chart = chart + text
        chart = chart.properties(view=alt.ViewBackground(fill=RAMP[0], stroke=None))
        size: dict[str, Any] = {"width": round(len(columns) * cell), "height": round(len(rows) * cell)}
        return finished(chart, "Confusion matrix", ["rows: labels, columns: predictions", *notes], **size)

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
        frame = checked_frame(self._ev.calibration, columns, "calibration")
        frame = not_empty(frame.filter(pl.col("count") > 0), "calibration")
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
        base = alt.Chart(inline_data(frame.with_columns(zero=0))).encode(tooltip=tips)
        bars = base.mark_rect(color=BLUE, opacity=0.85, stroke=BLUE).encode(
            x=alt.X("bin_low:Q", title=None, scale=unit, axis=alt.Axis(labels=False, values=TENTHS)),
            x2="bin_high:Q",
            y=y,
            y2="zero:Q",
        )
        ends = alt.Chart(alt.InlineData([{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]))
        diagonal = ends.mark_line(color=GREY, strokeDash=[4, 4]).encode(x=x, y=y)
        gaps = base.mark_rule(color=ORANGE, strokeWidth=3).encode(x=x, y=y, y2="confidence:Q")
        dots = base.mark_point(color=ORANGE, filled=True, size=50, opacity=1).encode(x=x, y=y)
        upper = alt.layer(bars, diagonal, gaps, dots).properties(width=380, height=380)
        below = base.mark_rect(color=GREY, opacity=0.6, stroke=GREY).encode(
            x=alt.X("bin_low:Q", title="confidence", scale=unit, axis=alt.Axis(values=TENTHS)),
            x2="bin_high:Q",
            y=alt.Y("count:Q", title="predictions", axis=few_ticks()),
            y2="zero:Q",
        )
        chart = alt.vconcat(upper, below.properties(width=380, height=60), spacing=6)
        notes = ["orange: from the mean confidence to the accuracy", "below the diagonal: surer than right"]
        return finished(chart, f"Calibration: expected error (ECE) {ece:.3f}, 0 is best", notes, lines=True)

    def per_class(self, by: str | None = None) -> OfflineChart:
        """Draw a bar a class, the best class first.

        Parameters
        ----------
        by : "ap", "ap50", "precision", "recall" or "f1", optional
            By default `ap`, and `f1` where there is none. Of very many classes the 60 lowest are drawn.

        Returns
        -------
        OfflineChart

        Raises
        ------
        UnknownNameError
            There is no such score.
        InputError
            No class has a score.
        """
        alt = load_altair()
        frame = checked_frame(self._ev.per_class, ("class_name",), "classes")
        known = [c for c in SCORES if c in frame.columns and frame[c].null_count() < frame.height]
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
        tips = [alt.Tooltip("class:N"), *(alt.Tooltip(f"{c}:Q", title=SCORES[c], format=".3f") for c in known)]
        tips += [alt.Tooltip(f"{c}:Q", format=",d") for c in extra]
        base = alt.Chart(inline_data(with_text(table, by))).encode(
            y=alt.Y("class:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False)), tooltip=tips
        )
        title = f"{SCORES[by]} (1 is best)"
        bars = base.mark_bar(color=BLUE, height={"band": 0.75}).encode(
            x=alt.X(f"{by}:Q", title=title, scale=alt.Scale(domain=[0, 1]))
        )
        size: dict[str, Any] = {"width": 420, "height": max(60, 19 * table.height)}
        return finished(bars + end_values(base), f"{SCORES[by]} by class", notes, **size)

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
        table = checked_frame(frame, ("metric", "low", "high", "rate", "lower", "upper", "count"), "buckets")
        table = table if "class_name" in table.columns else table.with_columns(class_name=pl.lit(None, pl.String))
        table = with_class(table.sort("metric", "low", nulls_last=True, maintain_order=True))
        n = table.filter(~pl.col("all"))["class"].n_unique()
        table = table.filter(pl.col("all") | pl.col("class").is_in(largest_classes(table, "count", MOST_PANELS)))
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
                [bucket_chart(panel, scale, axis, named=several, narrow=several or len(names) > 1) for panel in parts]
            )
        if several:
            grids = [alt.concat(*row, columns=3, spacing=20) for row in rows]
            chart = grids[0] if len(grids) == 1 else alt.vconcat(*grids, spacing=28)
        else:
            chart = rows[0][0] if len(rows) == 1 else alt.concat(*(row[0] for row in rows), columns=2, spacing=28)
        title = f"{rate[:1].upper()}{rate[1:]} by {names[0] if len(names) == 1 else 'metric'}"
        notes = ["band: confidence interval"]
        notes += [f"{MOST_PANELS} of {n} classes"] if n > MOST_PANELS else []
        return finished(chart, title, notes)

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
        table = checked_frame(frame, ("metric", "score", "correlation"), "metrics").sort("score", descending=True)
        shown = table.drop_nulls("score").head(MOST_BARS)
        shown = not_empty(shown, "metrics with a score")
        color = alt.Color("correlation:Q", title="correlation").scale(
            domain=[-1, 0, 1], range=[ORANGE, NEUTRAL, BLUE], interpolate="rgb"
        )
        color = color.legend(gradientLength=120, values=[-1, -0.5, 0, 0.5, 1], format="+.1f")
        order = shown["metric"].to_list()
        channels = {
            "y": alt.Y("metric:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=240)),
            "tooltip": [
                alt.Tooltip("metric:N"),
                alt.Tooltip("score:Q", title="importance", format=".3f"),
                alt.Tooltip("correlation:Q", format="+.3f"),
            ],
        }
        x = alt.X("score:Q", title="importance (0: none, 1: decides alone)", scale=alt.Scale(domain=[0, 1]))
        # a bar without a place on a scale of colours would be left out: those are a layer of their own
        known, rest = (shown.filter(test) for test in has_number("correlation"))
        bars = alt.Chart(inline_data(known)).mark_bar(height={"band": 0.75}).encode(**channels, x=x, color=color)
        grey = alt.Chart(inline_data(rest)).mark_bar(height={"band": 0.75}, color=NEUTRAL).encode(**channels, x=x)
        values = end_values(alt.Chart(inline_data(with_text(shown, "score"))).encode(**channels))
        notes = [f"the first {MOST_BARS} of {table.height} metrics"] if table.height > shown.height else []
        size: dict[str, Any] = {"width": 420, "height": max(60, 19 * shown.height)}
        return finished(bars + grey + values, "Importance of metrics", notes, **size)

    def _lines(self, x: str, y: str, classes: Sequence[str] | None) -> tuple[pl.DataFrame, list[str]]:
        """Return the points to draw, thinned, and what the subtitle should say."""
        frame = checked_frame(
            self._ev.curves, ("class_name", "iou", "confidence", "precision", "recall", "f1"), "curves"
        )
        notes = []
        iou = frame.select(pl.col("iou").min()).item()
        if iou is not None:
            frame = frame.filter(pl.col("iou") == iou)
            notes.append(f"IoU {iou:g}")
        rows = with_class(frame.drop_nulls([x, y]))
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
        rows = not_empty(rows, "curves").sort("place", "confidence", descending=[False, True])
        return thinned(rows, x, y).drop("iou", "place"), notes

    def _most_labelled(self, known: Sequence[str]) -> list[str]:
        table = getattr(self._ev, "per_class", None)
        if len(known) <= MOST_CURVES or table is None or "labels" not in table.columns:
            return list(known[:MOST_CURVES])
        most = table.filter(pl.col("class_name").is_in(known)).sort("labels", descending=True, maintain_order=True)
        return [str(name) for name in most["class_name"].head(MOST_CURVES)]
