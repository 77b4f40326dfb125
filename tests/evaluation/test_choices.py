"""What an evaluation is asked: wrong arguments are named, choices never crash, names lead where they say."""

import logging

import numpy as np
import polars as pl
import pytest

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, UnknownNameError

from .coco_sets import answers, project, small

BOXES = [(0, "a", 10, 10, 40, 40), (0, "b", 100, 10, 40, 40), (1, "b", 50, 50, 60, 60)]
FOUND = [
    (0, "a", 0.9, 10, 10, 40, 40),
    (0, "a", 0.8, 100, 10, 40, 40),
    (0, "b", 0.6, 10, 150, 40, 40),
    (1, "b", 0.3, 50, 50, 60, 60),
]


@pytest.fixture
def p(tmp_path):
    return project(small(BOXES), answers(*FOUND), tmp_path)


@pytest.mark.parametrize("empty", [lambda p: p.filter(ea.tagged("nihgt")), lambda p: p.items.head(0)])
def test_a_mistyped_tag_says_that_the_view_is_empty(p, empty):
    p.items.head(1).tag("night")
    with pytest.raises(InputError, match="The view holds no images"):
        empty(p).evaluate("m")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("iou", "x"), ("iou", True), ("iou", ["x"]), ("iou", [[0.5], [0.5, 0.6]]), ("iou", float("nan")),
        ("confidence", "x"), ("confidence", True), ("confidence", 1.1), ("confidence", float("nan")),
        ("max_detections", 1.5), ("max_detections", True), ("max_detections", 0), ("view", "night"),
        ("class_aware", "no"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(p, argument, value):
    with pytest.raises(InputError, match=f"{argument}=") as error:
        p.evaluate("m", **{argument: value})
    assert error.value.remedy


def test_sigmas_of_boxes_are_refused(p):
    with pytest.raises(InputError, match="sigmas are of keypoints"):
        p.evaluate("m", sigmas=[0.1])


@pytest.mark.parametrize("iou", [0.5, np.float32(0.5), np.array([0.5, 0.75]), (0.5,), 1])
def test_numbers_of_numpy_are_numbers(p, iou):
    assert p.evaluate("m", iou=iou, max_detections=np.int64(10), confidence=np.float64(0)).counts["TP"] == 2


def test_without_classes_every_class_keeps_its_recall(p):
    ev = p.evaluate("m", iou=0.5, class_aware=False)
    rows = {r["class_name"]: r for r in ev.per_class.iter_rows(named=True)}
    assert list(rows) == ["all classes", "a", "b"]
    assert (rows["all classes"]["tp"], rows["all classes"]["fp"], rows["all classes"]["fn"]) == (3, 1, 0)
    assert rows["all classes"]["ap"] == ev.map
    assert (rows["b"]["recall"], rows["b"]["labels"], rows["b"]["precision"]) == (1.0, 2, None)
    assert ev.curves["class_name"].unique().to_list() == [None]
    assert ev.curves["recall"].max() == 1.0
    c = p.compare("m", "m", class_aware=False)
    assert c.per_class.height == 3
    assert c.per_class["recall_difference"].to_list() == [0.0] * 3
    assert repr(ev)
    pytest.importorskip("altair")
    for chart in (ev.plot.per_class, ev.plot.curves, ev.plot.f1, ev.plot.confusion, ev.plot.calibration):
        assert chart()


def test_the_direction_of_every_score_is_said(p):
    ev = p.evaluate("m", iou=0.5)
    assert ev.summary["metric"].to_list()[-2:] == ["FN rate", "ECE"]
    for shown in (repr(ev), repr(p.compare("m", "m"))):
        assert "FN rate (0 is best)" in shown
        assert "ECE (0 is best)" in shown
    assert "1 is best unless marked" in repr(ev)
    assert "where 0 is best, a" in repr(p.compare("m", "m"))


def test_classes_named_like_the_matrix_keep_their_cells(tmp_path):
    names = ("background", "label", "label_")
    boxes = [(0, "background", 10, 10, 40, 40), (0, "label", 100, 10, 40, 40), (1, "label_", 50, 50, 60, 60)]
    found = [
        (0, "background", 0.9, 10, 10, 40, 40),
        (0, "background", 0.8, 100, 10, 40, 40),
        (0, "label", 0.7, 10, 150, 40, 40),
        (1, "label_", 0.6, 50, 50, 60, 60),
    ]
    ev = project(small(boxes, classes=names), answers(*found, classes=names), tmp_path).evaluate("m", iou=0.5)
    table = ev.confusion
    assert table.columns == ["label", *table["label"]]
    assert table.columns[1:] == ["background", "label__", "label_", "background_"]
    for row in table.iter_rows(named=True):
        for name in table.columns[1:]:
            assert len(ev.cell(row["label"], name)) == row[name], (row["label"], name)
    assert ev.cell("label", "background").df["confidence"].to_list() == [0.8]
    assert ev.cell("background_", "label").level == "prediction:m"
    assert ev.predictions.df.filter(pl.col("confidence") == 0.7)["label_class"].to_list() == ["background_"]
    with pytest.raises(UnknownNameError, match="There is no class"):
        ev.cell("a", "label")


def test_the_confidence_leaves_the_curves_whole(p):
    assert p.evaluate("m", iou=0.5, confidence=0.7).curves.equals(p.evaluate("m", iou=0.5).curves)


def people_of(k, **more):
    return {"keypoints": [v for i in range(k) for v in (20 + 5 * i, 30 + 7 * (i % 3), 2)], **more}


def test_keypoints_against_boxes_are_said_to_be_compared_as_boxes(tmp_path, caplog):
    results = [{"image_id": 0, "category_id": 0, "score": 0.5, **people_of(17)}]
    p = project(small(BOXES), results, tmp_path)
    with caplog.at_level(logging.WARNING, "encord_active_widgets"):
        ev = p.evaluate("m")
    assert "not by OKS" in caplog.text
    assert "keypoints are compared by their boxes, not by OKS" in repr(ev)
    caplog.clear()
    p.evaluate("m", shape="box")
    assert not caplog.text
    with pytest.raises(InputError, match="No label has keypoints"):
        p.evaluate("m", shape="keypoints")


def test_people_without_keypoints_are_neither_found_nor_missed(tmp_path):
    truth = small([(0, "a", 10, 10, 120, 60), (1, "a", 10, 10, 120, 60)])
    truth["annotations"][0] |= people_of(17, area=5000, iscrowd=0, num_keypoints=17)
    truth["annotations"][1] |= {"keypoints": [0] * 51, "num_keypoints": 0, "area": 5000, "iscrowd": 0}
    results = [{"image_id": i, "category_id": 0, "score": 0.5, **people_of(17)} for i in (0, 1)]
    ev = project(truth, results, tmp_path).evaluate("m")
    assert ev.map == pytest.approx(1.0)
    assert ev.counts["TP"] == 1
    assert (ev.counts["FP"], ev.counts["FN"]) == (0, 0)
    assert ev.predictions.df["outcome"].to_list() == ["TP", "ignored"]
    boxes = project(truth, results, tmp_path / "b").evaluate("m", shape="box")
    assert "not by OKS" in repr(boxes)
    with pytest.raises(InputError, match="have no keypoints"):
        project(truth, answers(*FOUND), tmp_path / "c").evaluate("m", shape="keypoints")


def many(tmp_path, *, wrong):
    boxes = [(i % 2, "a", 5 * i, 4 * i, 10 + i, 12) for i in range(30)]
    tops = [170 if wrong and i % 3 == 0 else 4 * i for i in range(30)]
    found = [(*b[:2], 0.5 + i / 100, b[2], tops[i], *b[4:]) for i, b in enumerate(boxes)]
    return project(small(boxes), answers(*found), tmp_path).evaluate("m", iou=0.5)


def test_a_metric_that_never_changes_explains_nothing(tmp_path):
    why = many(tmp_path, wrong=True).explain(by_class=True)
    told = {*why.df.select("of", "metric").unique().iter_rows()}
    assert ("image", "width") not in told, "all images are 200 px wide"
    assert ("prediction", "area") in told
    assert why.top("precision", 99)["score"].null_count() == 0
    assert why.buckets("width", of="image").height == 1, "but it can be asked for"


def test_where_all_are_right_there_is_nothing_to_explain(tmp_path):
    shown = repr(many(tmp_path, wrong=False).explain())
    assert "precision: all 30 predictions are right, so nothing can explain a difference" in shown
    assert "recall: all 30 labels were found" in shown
    assert "correlation" not in shown


def test_buckets_name_whose_metrics_there_are(tmp_path):
    why = many(tmp_path, wrong=True).explain()
    with pytest.raises(InputError, match=r'of="zz".*of="image" or of="prediction"'):
        why.buckets("area", of="zz")
    with pytest.raises(InputError, match=r'of="image" or of="label"'):
        why.buckets("area", "recall", of="prediction")
    with pytest.raises(UnknownNameError, match='no metric of the label "area"'):
        why.buckets("area", "recall", of="label")  # of labels none are computed yet
    assert why.buckets("area", of="prediction").height > 1


def test_whose_metric_it_is_says_which_question_is_meant(tmp_path):
    ev = many(tmp_path, wrong=True)
    ev._project.compute("labels")
    why = ev.explain()
    assert why.buckets("area", of="label").equals(why.buckets("area", "recall", of="label"))
    assert why.view("area", 0, of="label").level == "object"


def test_of_several_answers_for_an_image_the_surest_counts(tmp_path):
    from encord_active_widgets.content.levels import Level
    from encord_active_widgets.models.evaluating import _classification

    truth = pl.DataFrame({"item_id": ["x", "y"], "label_id": ["p", "q"], "class_name": ["a", "b"]})
    given = pl.DataFrame(
        {
            "item_id": ["x", "x", "y"],
            "prediction_id": ["1", "2", "3"],
            "class_name": ["b", "a", "b"],
            "confidence": [0.4, 0.6, 0.5],
        }
    )
    edits = type("Edits", (), {"removed": None, "tags": {}})()
    labels = Level("classification", truth, "label_id", edits, item_rows=pl.Series([0, 1]))
    predictions = Level("prediction:m", given, "prediction_id", edits, item_rows=pl.Series([0, 0, 1]))
    run = type("Run", (), {"name": "m", "classes": ("a", "b")})()
    snapshot = type("Snapshot", (), {"levels": {"classification": labels}})()
    ev = _classification(None, run, None, snapshot, np.array([0, 1]), predictions, 0.0)
    assert ev.accuracy == 1.0
    assert ev.confusion.rows() == [("a", 1, 0), ("b", 0, 1)]


def test_a_mask_of_another_size_is_told_of(caplog):
    from encord_active_widgets.evaluation.shapes import drawn

    frame = pl.DataFrame(
        {"item": [0], "kind": ["mask"], "x": [1.0], "y": [1.0], "w": [2.0], "h": [2.0], "rle": [b"4"], "mask_h": [2],
         "mask_w": [2]}
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "encord_active_widgets"):
        assert drawn(frame, np.array([[8, 8]]))[0]["size"] == [8, 8]
    assert "1 masks are not of the size of their image" in caplog.text
