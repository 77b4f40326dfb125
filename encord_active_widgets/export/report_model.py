"""The section on models: scores of each run, by class, its curves, its confusions, and what goes with its errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..charts import ModelCharts
from ..charts.offline import OfflineChart
from ..errors import EawError
from ..models.evaluated import LOW
from ..pages.html import Column, counted, percent
from ..pages.pictures import Tile, file_name, tiles_of
from ..schema import CLASS_NAME, CONFIDENCE, ITEM_ID, URI
from .report_parts import MOST_TILES, PLAIN, WARN, Charts, Pictures, Rows, Section, Subject, share

if TYPE_CHECKING:
    from ..models.evaluated import Evaluation

MOST_RUNS = 4
"""Runs that are drawn; of all there is a table."""
_SHOWN = ("mAP@[.5:.95]", "mAP@.5", "accuracy", "precision", "recall", "F1", "macro F1", "ECE")
_SHORT = {"mAP@[.5:.95]": "mAP", "mAP@.5": "mAP at IoU 0.5", "ECE": "calibration error"}
_MISSED = {
    "nothing": "no prediction is near", "location": "one of their class is near, but not well placed",
    "class": "only other classes are predicted there", "both": "one of another class is near",
    "shared": "the prediction on them took another label", "confidence": "their prediction is below the confidence",
}  # fmt: skip
_WRONG = {
    "background": "nothing is there", "location": "badly placed", "class": "another class is there",
    "both": "near something of another class", "duplicate": "the object was found already",
}  # fmt: skip
_TARGETS = {
    "precision": "whether a prediction is right", "recall": "whether a label is found",
    "localisation": "how well right predictions are placed",
}  # fmt: skip
_TOLD_SCORE = 0.02
"""Share of the outcome a metric must explain to be spoken of."""
_TAKEN = 0.02
"""Share of a class that is taken for one other class, from which on that is spoken of."""
_SURE = 0.02
"""Difference of confidence and accuracy that is spoken of."""


def model_section(s: Subject) -> tuple[Section, dict[str, Evaluation]]:
    """Return what there is to say of the runs, and their evaluations."""
    section, evaluated = Section("model", "Model"), dict[str, "Evaluation"]()
    if not s.runs:
        section.notes.append('There are no predictions. `p.add_predictions("my model", "results.json")` adds a run.')
        return section, evaluated
    if not s.n:
        section.notes.append("There are no images to evaluate.")
        return section, evaluated
    for run in s.runs:
        try:
            found = s.project.evaluate(run, view=s.items)
            _ = found.summary
        except EawError as error:
            section.notes.append(f'Run "{run}" cannot be evaluated: {error}')
            continue
        evaluated[run] = found
    if not evaluated:
        return section, evaluated
    if s.given.level != "item":
        section.remarks.append("Runs are compared with all labels on these images.")
    table = _table(evaluated)
    section.frames["runs"] = table
    if len(evaluated) > 1:
        columns = [Column("run"), *(Column(c, _SHORT.get(c, c), ".3f") for c in table.columns[2:]),
                   Column("predictions", form=",d")]  # fmt: skip
        section.blocks.append(Rows("Runs", table, columns))
    if len(evaluated) > MOST_RUNS:
        section.remarks.append(f"The first {MOST_RUNS} runs are drawn; `run=` chooses one.")
    for run, found in list(evaluated.items())[:MOST_RUNS]:
        _one(s, section, run, found, single=len(evaluated) == 1)
    return section, evaluated


def _table(evaluated: dict[str, Evaluation]) -> pl.DataFrame:
    rows = []
    for run, found in evaluated.items():
        scores = dict(found.summary.iter_rows())
        rows.append({"run": run, "predictions": len(found.predictions), **{k: scores.get(k) for k in _SHOWN}})
    schema = {"run": pl.String, "predictions": pl.Int64, **dict.fromkeys(_SHOWN, pl.Float64)}
    table = pl.DataFrame(rows, schema=schema)
    return table.select(c for c in table.columns if table[c].null_count() < table.height)


def _one(s: Subject, section: Section, run: str, ev: Evaluation, *, single: bool) -> None:
    scores = dict(ev.summary.iter_rows())
    if single:
        for name in _SHOWN:
            value = scores.get(name)
            if value is not None:
                section.facts.append((_SHORT.get(name, name), f"{value:.3f}", "0 is best" if name in LOW else ""))
    section.frames[f"{run} summary"] = ev.summary
    section.frames[f"{run} per class"] = ev.per_class
    section.frames[f"{run} confusion"] = ev.confusion_frame
    _score_sentence(section, run, ev, scores)
    _calibration_sentence(section, run, ev)
    _missed_sentence(section, run, ev)
    charts = [("per class", lambda p: p.per_class()), ("confusion", lambda p: p.confusion()),
              ("curves", lambda p: p.curves()), ("calibration", lambda p: p.calibration())]  # fmt: skip
    section.blocks.append(
        Charts([(f"{run} {name}", partial(_drawn, ev, draw)) for name, draw in charts], f'Run "{run}"', wide=True)
    )
    _per_class(section, ev)
    _explained(section, run, ev)
    _pictures(s, section, run, ev)


def _drawn(ev: Evaluation, draw: Callable[[ModelCharts], OfflineChart]) -> OfflineChart:
    return draw(ModelCharts(ev))


# -- sentences --------------------------------------------------------------------------------------


def _score_sentence(section: Section, run: str, ev: Evaluation, scores: dict[str, Any]) -> None:
    by = "ap" if ev.kind == "detection" else "f1"
    classes = ev.per_class.filter(pl.col(by).is_not_null() & (pl.col("labels") > 0)).sort(by, CLASS_NAME)
    if ev.kind == "detection":
        value, half = scores.get("mAP@[.5:.95]"), scores.get("mAP@.5")
        if value is None:
            return
        said = f'Run "{run}" reaches mAP {value:.2f}' + (f" ({half:.2f} at IoU 0.5)" if half is not None else "")
    else:
        value = scores.get("accuracy")
        if value is None:
            return
        n = ev.confusion_frame["count"].sum()
        said = f'Run "{run}" gets {percent(value, 1)} of {n:,} images right'
    if classes.height > 1:
        name = "AP" if by == "ap" else "F1"
        low, high = classes.row(0, named=True), classes.row(-1, named=True)
        said += f': best on "{high[CLASS_NAME]}" ({name} {high[by]:.2f}), worst on "{low[CLASS_NAME]}" ({low[by]:.2f})'
        taken = _most_taken(ev, str(low[CLASS_NAME]))
        said += f", which it takes most often for {taken}" if taken else ""
    section.say(said + ".")


def _most_taken(ev: Evaluation, name: str) -> str:
    """Say for which class a class is taken most often."""
    rows = ev.confusion_frame.filter(
        pl.col("label") == name, pl.col("prediction") != name,
        ~pl.col("prediction").is_in(["background", "no prediction"]), pl.col("count") > 0,
    )  # fmt: skip
    if rows.is_empty():
        return ""
    row = rows.sort("count", "prediction", descending=[True, False]).row(0, named=True)
    total = int(ev.confusion_frame.filter(pl.col("label") == name)["count"].sum())
    if row["count"] < _TAKEN * total:
        return ""
    return f'"{row["prediction"]}" ({row["count"]:,} of {total:,})'


def _calibration_sentence(section: Section, run: str, ev: Evaluation) -> None:
    table = ev.calibration.filter(pl.col("count") > 0)
    if table.is_empty() or ev.ece is None:
        return
    weights = table["count"].to_numpy()
    sure, right = (float(np.average(table[c].to_numpy(), weights=weights)) for c in ("confidence", "accuracy"))
    if abs(sure - right) < _SURE and ev.ece < 2 * _SURE:
        section.say(f'"{run}" is as sure as it is right (calibration error {ev.ece:.3f}).')
        return
    way = "surer than it is right" if sure > right else "less sure than it is right"
    section.say(
        f'"{run}" is {way}: its mean confidence is {sure:.2f}, and {percent(right, 1)} of its predictions are right '
        f"(calibration error {ev.ece:.2f}).",
        WARN if ev.ece > 0.1 else PLAIN,
    )


def _missed_sentence(section: Section, run: str, ev: Evaluation) -> None:
    if ev.kind != "detection":
        return
    labels = ev.labels.df.filter(pl.col("outcome") != "ignored")
    missed = labels.filter(pl.col("outcome") == "FN")
    section.frames[f"{run} missed"] = missed
    if missed.is_empty():
        return
    reasons = missed["reason"].drop_nulls().value_counts(sort=True).sort("count", "reason", descending=[True, False])
    name, n = reasons.row(0)
    why = _MISSED.get(name, name)
    section.say(f'"{run}" misses {share(missed.height, labels.height, "labels").lower()}; for {n:,} of them, {why}.')


# -- tables, charts, pictures -----------------------------------------------------------------------


def _per_class(section: Section, ev: Evaluation) -> None:
    table = ev.per_class
    columns = [Column(CLASS_NAME, "class"), Column("labels", form=",d"), Column("predictions", form=",d"),
               *(Column(c, t, ".3f") for c, t in (("ap", "AP"), ("ap50", "AP at IoU 0.5"), ("precision", "precision"),
                                                 ("recall", "recall"), ("f1", "F1"))),
               Column("fp", "wrong", ",d"), Column("fn", "missed", ",d")]  # fmt: skip
    by = "ap" if "ap" in table.columns else "f1"
    section.blocks.append(Rows("By class", table.sort(by, CLASS_NAME, nulls_last=True), columns))


def _explained(section: Section, run: str, ev: Evaluation) -> None:
    try:
        found = ev.explain()
    except EawError as error:
        section.notes.append(f'What goes with the errors of "{run}" is not known: {error}')
        return
    section.frames[f"{run} explained"] = found.df
    charts: list[tuple[str, Callable[[], OfflineChart]]] = []
    for target in found.targets[: 2 if ev.kind == "detection" else 1]:
        top = found.top(target, 10).drop_nulls("score")
        if top.is_empty():
            continue
        first = top.row(0, named=True)
        metric, of = str(first["metric"]), str(first["of"])
        if first["score"] >= _TOLD_SCORE:
            way = _way(first["correlation"])
            section.say(
                f'With "{run}", {_TARGETS[target]} goes most with {metric} of the {of}: '
                f"it explains {percent(first['score'], 1)} of the difference{way}."
            )
        try:
            buckets = found.buckets(metric, target, of=of, n=8)
        except EawError:
            continue
        section.frames[f"{run} {target} by {metric}"] = buckets
        if first["score"] < _TOLD_SCORE:
            continue
        rate = "share of predictions right" if target == "precision" else "share of labels found"
        charts.append((f"{run} {target}", partial(_by_metric, ev, buckets, rate)))
    top = found.top(found.targets[0], 8).drop_nulls("score")
    if top.height:
        charts.insert(0, (f"{run} importance", partial(_importance, ev, top)))
    if charts:
        section.blocks.append(Charts(charts, "What goes with its errors", wide=True))


def _way(correlation: float | None) -> str:
    if correlation is None or abs(correlation) < 0.05:
        return ", low and high values alike"
    return f"; {'high' if correlation > 0 else 'low'} values go with success (correlation {correlation:+.2f})".replace(
        "-", "−"
    )


def _by_metric(ev: Evaluation, buckets: pl.DataFrame, rate: str) -> OfflineChart:
    return ModelCharts(ev).by_metric(buckets, rate=rate, better="1 is best")


def _importance(ev: Evaluation, top: pl.DataFrame) -> OfflineChart:
    frame = top.select((pl.col("metric") + " (" + pl.col("of") + ")").alias("metric"), "score", "correlation")
    return ModelCharts(ev).importance(frame)


def _pictures(s: Subject, section: Section, run: str, ev: Evaluation) -> None:
    wrong = ev.false_positives.df
    if not wrong.height:
        return
    section.frames[f"{run} wrong"] = wrong
    surest = wrong.sort(CONFIDENCE, descending=True, nulls_last=True).unique(ITEM_ID, keep="first", maintain_order=True)
    shown = surest.head(MOST_TILES)
    section.blocks.append(
        Pictures("Surest when wrong", f"{counted(wrong.height, 'wrong prediction')}; the surest of each image first",
                 partial(_wrong_tiles, s, shown, boxes=ev.kind == "detection"))
    )  # fmt: skip


def _wrong_tiles(s: Subject, shown: pl.DataFrame, *, boxes: bool) -> list[Tile]:
    names, why = [], []
    for row in shown.iter_rows(named=True):
        names.append(
            f"{row[CLASS_NAME]} {row[CONFIDENCE]:.2f}" if row[CONFIDENCE] is not None else str(row[CLASS_NAME])
        )
        label = row.get("label_class")
        said = f"labelled {label}" if label and label != "background" else ""
        reason = _WRONG.get(str(row["reason"]), str(row["reason"] or "")) if boxes or not said else ""
        why.append(" · ".join(p for p in (reason, said, file_name(str(row[URI]))) if p))
    return tiles_of(s.project, shown, why, boxes=boxes, names=names)
