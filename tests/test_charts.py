"""Charts of an evaluation: what they say is what the frames say, and any notebook draws it without a network."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

alt = pytest.importorskip("altair")

from encord_active_widgets.charts import MOST_CELLS, MOST_CURVES, ModelCharts, OfflineChart  # noqa: E402
from encord_active_widgets.errors import InputError, ShapeError, UnknownNameError  # noqa: E402

HOSTILE = "</script><img src=x onerror=alert(1)>"


def evaluation(classes: list[str] | None = None, n: int = 400, seed: int = 0) -> SimpleNamespace:
    """An evaluation of made-up predictions: `n` a class."""
    rng = np.random.default_rng(seed)
    classes = classes or ["cat", "dog", HOSTILE]
    curves = []
    for name in [None, *classes]:
        confidence = np.sort(rng.random(n))[::-1]
        right = (rng.random(n) < confidence).cumsum()
        place = np.arange(1, n + 1)
        columns = {
            "class_name": [name] * n, "iou": [0.5] * n, "confidence": confidence, "precision": right / place,
            "recall": right / n, "f1": 2 * right / (place + n),
        }  # fmt: skip
        curves.append(pl.DataFrame(columns, schema_overrides={"class_name": pl.String}))
    names = ["background", *classes]
    counts = rng.integers(1, 9, (len(names), len(names)))
    k = len(classes)
    return SimpleNamespace(
        curves=pl.concat(curves),
        best=pl.concat([curve.sort("f1").tail(1) for curve in curves]),
        confusion_frame=pl.DataFrame(
            {
                "label": np.repeat(names, len(names)),
                "prediction": np.tile(names, len(names)),
                "count": counts.ravel(),
            }
        ),
        calibration=pl.DataFrame(
            {
                "bin_low": [0.0, 0.25, 0.5, 0.75], "bin_high": [0.25, 0.5, 0.75, 1.0],
                "confidence": [0.1, None, 0.6, 0.9], "accuracy": [0.2, None, 0.5, 0.9], "count": [10, 0, 20, 70],
            }
        ),
        per_class=pl.DataFrame(
            {
                "class_name": classes, "ap": rng.random(k), "ap50": rng.random(k), "precision": rng.random(k),
                "recall": rng.random(k), "f1": rng.random(k), "labels": np.arange(k), "predictions": np.arange(k),
            }
        ),
    )  # fmt: skip


def buckets(*metrics: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "metric": np.repeat(metrics, 3), "low": [0.0, 10, 1000] * len(metrics),
            "high": [10.0, 1000, 50_000] * len(metrics), "rate": [0.1, 0.2, 0.3] * len(metrics),
            "lower": [0.05, 0.1, 0.2] * len(metrics), "upper": [0.2, 0.3, 0.5] * len(metrics),
            "count": [5, 6, 7] * len(metrics),
        }
    )  # fmt: skip


IMPORTANCE = pl.DataFrame(
    {"metric": ["area", "brightness", HOSTILE], "score": [0.1, 0.9, 0.5], "correlation": [0.2, -0.8, None]}
)

EVERY = {
    "curves": lambda p: p.curves(),
    "f1": lambda p: p.f1(),
    "confusion": lambda p: p.confusion(),
    "confusion by prediction": lambda p: p.confusion("prediction"),
    "confusion counts": lambda p: p.confusion(None),
    "calibration": lambda p: p.calibration(),
    "per_class": lambda p: p.per_class(),
    "by_metric": lambda p: p.by_metric(buckets("area"), rate="share of labels missed", better="0 is best"),
    "by several metrics": lambda p: p.by_metric(buckets("area", "brightness")),
    "importance": lambda p: p.importance(IMPORTANCE),
    "two": lambda p: p.curves() | p.f1(),
    "below": lambda p: p.confusion() & p.per_class(),
}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())


def rows(chart: OfflineChart, column: str) -> list[dict[str, Any]]:
    """All rows of data in the chart that have this column; those of the largest set."""
    sets = [data for data in chart.to_dict()["datasets"].values() if data and column in data[0]]
    return max(sets, key=len)


def found(spec: Any, key: str) -> list[Any]:
    """All values of a key, anywhere in a specification."""
    if isinstance(spec, dict):
        return [v for k, v in spec.items() if k == key] + [f for v in spec.values() for f in found(v, key)]
    return [f for v in spec for f in found(v, key)] if isinstance(spec, list) else []


# -- every chart ----------------------------------------------------------------------------


@every
def test_notebooks_get_the_type_that_they_draw_without_a_network(make) -> None:
    chart = make(ModelCharts(evaluation()))
    bundle = chart._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "text/plain"}
    spec = bundle["application/vnd.vegalite.v5+json"]
    assert "/v5" in spec["$schema"]
    json.dumps(spec, allow_nan=False)  # NaN is no JSON: a notebook would show nothing
    assert not re.search(r'"url"|"href"|http(?!s://vega\.github\.io/schema)', json.dumps(spec))


@every
def test_charts_are_read_on_white_and_on_black(make) -> None:
    spec = make(ModelCharts(evaluation())).to_dict()
    assert spec["config"]["background"] == "transparent"
    assert spec["config"]["axis"]["labelColor"] == spec["config"]["title"]["color"] == "#767a80"
    assert spec["usermeta"]["embedOptions"]["actions"]["editor"] is False, "a click would send data to a website"


@every
def test_a_chart_of_the_same_numbers_is_the_same(make) -> None:
    assert make(ModelCharts(evaluation())).to_dict() == make(ModelCharts(evaluation())).to_dict()


def test_settings_of_the_users_altair_stay_and_do_not_disturb() -> None:
    before = (alt.renderers.active, alt.theme.active, alt.data_transformers.active)
    many = [f"class {i}" for i in range(80)]  # 6,561 cells: more rows than Altair allows by itself
    for make in EVERY.values():
        make(ModelCharts(evaluation(many, n=20)))._repr_mimebundle_()
    assert (alt.renderers.active, alt.theme.active, alt.data_transformers.active) == before


def test_a_name_of_a_class_does_not_become_markup_in_a_saved_page(tmp_path: Path) -> None:
    file = tmp_path / "chart.html"
    ModelCharts(evaluation()).confusion().save(file)
    page = file.read_text("utf-8")
    assert HOSTILE not in page
    assert "\\u003c/script>\\u003cimg" in page


def test_colab_gets_a_page_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    html = ModelCharts(evaluation()).confusion()._repr_mimebundle_()["text/html"]
    assert "vegaEmbed" in html
    assert HOSTILE not in html


def test_without_altair_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(InputError, match=re.escape('pip install "encord_active_widgets[charts]"')):
        ModelCharts(evaluation())


def test_the_finished_chart_of_altair_can_be_changed_and_saved(tmp_path: Path) -> None:
    chart = ModelCharts(evaluation()).per_class()
    assert chart.properties(width=99).to_dict()["width"] == 99
    assert chart.altair.to_dict()["config"]["background"] == "transparent"
    chart.save(tmp_path / "chart.json")
    assert json.loads((tmp_path / "chart.json").read_text("utf-8"))["layer"]
    assert "AP by class" in repr(chart)


@pytest.mark.parametrize("name", ["curves", "f1", "confusion", "calibration", "per_class"])
def test_nothing_to_draw_is_said_plainly(name: str) -> None:
    ev = evaluation()
    frames = {k: frame.clear() for k, frame in vars(ev).items()}
    with pytest.raises(InputError, match=r"^There are no "):
        getattr(ModelCharts(SimpleNamespace(**frames)), name)()


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="lower"):
        ModelCharts(evaluation()).by_metric(buckets("area").drop("lower"))


# -- curves ---------------------------------------------------------------------------------


def test_curves_of_many_classes_show_those_with_most_labels() -> None:
    chart = ModelCharts(evaluation([f"class {i}" for i in range(80)], n=30)).curves()
    shown = {row["class"] for row in rows(chart, "recall")}
    assert shown == {"all classes", *(f"class {i}" for i in range(80 - MOST_CURVES, 80))}
    assert "12 of 80 classes" in chart.to_dict()["title"]["subtitle"]


def test_classes_can_be_chosen_and_misspelt() -> None:
    p = ModelCharts(evaluation())
    assert {row["class"] for row in rows(p.curves(["dog"]), "recall")} == {"all classes", "dog"}
    with pytest.raises(UnknownNameError, match='"dog"'):
        p.curves(["dgo"])
    with pytest.raises(ShapeError, match="at most 12"):
        p.curves(["cat"] * 13)


def test_a_long_curve_is_thinned_but_keeps_its_ends() -> None:
    ev = evaluation(["cat"], n=20_000)
    drawn = [row for row in rows(ModelCharts(ev).curves(), "recall") if row["class"] == "cat"]
    whole = ev.curves.filter(class_name="cat").sort("confidence")
    assert len(drawn) < 400
    ends = {row["recall"] for row in drawn}
    assert {whole["recall"][0], whole["recall"][-1]} <= ends
    at = np.interp(drawn[len(drawn) // 2]["recall"], whole["recall"].reverse(), whole["precision"].reverse())
    assert drawn[len(drawn) // 2]["precision"] == pytest.approx(at, abs=0.01)


def test_a_class_named_like_all_classes_together_keeps_its_own_line() -> None:
    shown = {(row["class"], row["all"]) for row in rows(ModelCharts(evaluation(["all classes"])).f1(), "f1")}
    assert shown == {("all classes", False), ("(all classes)", True)}


def test_every_line_differs_in_hue_or_dash() -> None:
    spec = ModelCharts(evaluation([f"class {i}" for i in range(12)], n=30)).curves().to_dict()
    lines = next(layer["encoding"] for layer in spec["layer"] if layer["mark"]["type"] == "line")
    looks = list(zip(lines["color"]["scale"]["range"], map(str, lines["strokeDash"]["scale"]["range"]), strict=True))
    assert len(set(looks)) == len(looks) == 13


def test_the_best_confidence_is_marked() -> None:
    ev = evaluation()
    chart = ModelCharts(ev).f1()
    whole = ev.best.filter(pl.col("class_name").is_null()).row(0, named=True)
    assert f"best F1 {whole['f1']:.2f} at confidence {whole['confidence']:.2f}" in chart.to_dict()["title"]["subtitle"]
    marked = [data for data in chart.to_dict()["datasets"].values() if len(data) == 4]
    assert {row["class"] for row in marked[0]} == {"all classes", "cat", "dog", HOSTILE}


def test_curves_of_images_without_iou_are_drawn() -> None:
    ev = evaluation()
    ev.curves = ev.curves.with_columns(iou=pl.lit(None, pl.Float64))
    assert "subtitle" not in ModelCharts(ev).curves().to_dict()["title"]


# -- confusion ------------------------------------------------------------------------------


def test_the_background_closes_both_axes() -> None:
    spec = ModelCharts(evaluation()).confusion().to_dict()
    y, x = found(spec, "y")[0], found(spec, "x")[0]
    assert y["scale"]["domain"] == x["scale"]["domain"] == ["cat", "dog", HOSTILE, "background"]


@pytest.mark.parametrize("side", ["label", "prediction"])
def test_colours_are_shares_of_the_side_asked_for(side: str) -> None:
    cells = pl.DataFrame(rows(ModelCharts(evaluation()).confusion(side), "value"))
    sums = cells.group_by(side).agg(pl.col("value").sum())["value"]
    assert sums.to_list() == pytest.approx([1, 1, 1, 1], abs=1e-4)


@pytest.mark.parametrize(("n", "counted"), [(19, True), (20, False)])
def test_counts_stand_in_the_cells_while_there_is_room(n: int, counted: bool) -> None:
    spec = ModelCharts(evaluation([f"class {i}" for i in range(n)], n=10)).confusion().to_dict()
    assert ("text" in [mark["type"] for mark in found(spec, "mark")]) is counted


def test_eighty_classes_are_all_named_in_the_confusion_matrix() -> None:
    spec = ModelCharts(evaluation([f"class {i}" for i in range(80)], n=10)).confusion().to_dict()
    axis = found(spec, "y")[0]["axis"]
    assert axis["labelOverlap"] is False
    assert spec["height"] / 81 >= axis["labelFontSize"] - 1


def test_a_thousand_classes_keep_every_count() -> None:
    ev = evaluation([f"class {i}" for i in range(300)], n=3)
    cells = rows(ModelCharts(ev).confusion(), "value")
    assert sum(cell["count"] for cell in cells) == ev.confusion_frame["count"].sum()
    labels = {cell["label"] for cell in cells}
    assert len(labels) == MOST_CELLS + 2
    assert {"180 others", "background"} <= labels


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(InputError, match="normalise"):
        ModelCharts(evaluation()).confusion("rows")  # type: ignore[arg-type]


# -- calibration, classes, metrics ----------------------------------------------------------


def test_the_title_of_the_calibration_has_the_expected_error() -> None:
    title = ModelCharts(evaluation()).calibration().to_dict()["title"]["text"]
    assert f"{(10 * 0.1 + 20 * 0.1 + 70 * 0) / 100:.3f}" in title


def test_classes_stand_best_first_and_those_without_a_score_last() -> None:
    ev = evaluation()
    ev.per_class = ev.per_class.with_columns(ap=pl.Series([0.2, None, 0.9]))
    spec = ModelCharts(ev).per_class().to_dict()
    assert found(spec, "y")[0]["sort"] == [HOSTILE, "cat", "dog"]
    assert [row["text"] for row in rows(ModelCharts(ev).per_class(), "text")] == ["0.90", "0.20", "–"]


def test_classes_without_average_precision_are_sorted_by_f1() -> None:
    ev = evaluation()
    ev.per_class = ev.per_class.drop("ap", "ap50")
    p = ModelCharts(ev)
    assert p.per_class().to_dict()["title"]["text"] == "F1 by class"
    assert p.per_class("recall").to_dict()["title"]["text"] == "recall by class"
    with pytest.raises(UnknownNameError, match="recall"):
        p.per_class("recal")


def test_of_very_many_classes_the_lowest_are_drawn() -> None:
    ev = evaluation([f"class {i}" for i in range(200)], n=3)
    chart = ModelCharts(ev).per_class()
    drawn = sorted(row["ap"] for row in rows(chart, "ap"))
    assert drawn == pytest.approx(ev.per_class["ap"].sort().head(60).to_list(), abs=1e-5)


def test_buckets_are_told_apart_and_missing_values_have_their_own() -> None:
    p = ModelCharts(evaluation())
    assert [row["range"] for row in rows(p.by_metric(buckets("area")), "range")] == ["0 – 10", "10 – 1k", "1k – 50k"]
    near = buckets("area").with_columns(
        low=pl.Series([0.50001, 0.50002, None]), high=pl.Series([0.50002, 0.50003, None])
    )
    shown = [row["range"] for row in rows(p.by_metric(near), "range")]
    assert len(set(shown)) == 3
    assert shown[-1] == "no value"


def test_buckets_by_class_have_a_chart_each_on_one_scale() -> None:
    frame = pl.concat(
        buckets("area", "brightness").with_columns(class_name=pl.lit(name, pl.String)) for name in [None, "cat", "dog"]
    )
    spec = ModelCharts(evaluation()).by_metric(frame, rate="share missed").to_dict()
    titles = [title["text"] for title in found(spec, "title") if isinstance(title, dict) and "text" in title]
    assert titles == ["Share missed by metric", *["all classes", "cat", "dog"] * 2]
    domains = {json.dumps(y["scale"]["domain"]) for y in found(spec, "y") if y["field"] == "rate"}
    assert domains == {"[0.0, 0.5]"}


def test_metrics_stand_by_importance_and_one_without_correlation_is_grey() -> None:
    spec = ModelCharts(evaluation()).importance(IMPORTANCE).to_dict()
    assert found(spec, "y")[0]["sort"] == ["brightness", HOSTILE, "area"]
    (grey,) = [mark for mark in found(spec, "mark") if mark["type"] == "bar" and "color" in mark]
    assert grey["color"] == "#9a9da3"
