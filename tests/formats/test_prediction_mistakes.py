"""Predictions that would be read as something else than they mean: refused with a hint, or listed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, ShapeError

SIZE = (100, 80)
NAMES = ("RBC", "WBC", "Platelets")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abcd":
        Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def project(images: Path, tmp_path: Path) -> ea.Project:
    """Four images of COCO with the ids 11 to 14; categories 1, 2, 3, as most of COCO's data sets have them."""
    truth = {
        "images": [
            {"id": 11 + i, "file_name": f"{n}.png", "width": SIZE[0], "height": SIZE[1]} for i, n in enumerate("abcd")
        ],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(NAMES)],
        "annotations": [{"id": i, "image_id": 11, "category_id": i, "bbox": [10, 10, 30, 20]} for i in (1, 2, 3)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    return ea.Project.from_coco(tmp_path / "truth.json", images, tmp_path / "p.eaw")


@pytest.fixture
def yolo(images: Path, tmp_path: Path) -> ea.Project:
    """The same images of a YOLO data set: classes 0, 1, 2."""
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.1 0.1\n")
    (tmp_path / "data.yaml").write_text(json.dumps({"path": f"{tmp_path}", "train": "images", "names": list(NAMES)}))
    return ea.Project.from_yolo(tmp_path / "data.yaml", tmp_path / "y.eaw")


@pytest.fixture
def answers(images: Path, tmp_path: Path) -> ea.Project:
    """The same images with classes of their own."""
    frame = pl.DataFrame({"path": [f"{images}/{n}.png" for n in "abcd"], "class_name": ["cat", "cat", "dog", "dog"]})
    return ea.Project.from_frame(frame, tmp_path / "c.eaw")


def result(image: int = 11, category: int = 1, box: tuple = (10, 10, 30, 20), score: object = 0.5, **more: object):
    return {"image_id": image, "category_id": category, "bbox": list(box), "score": score, **more}


def boxes(*rows: tuple, names: tuple = ("x", "y", "w", "h")) -> pl.DataFrame:
    """Boxes on one image, of one class."""
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        path=pl.lit("a.png"), class_name=pl.lit("RBC"), confidence=pl.lit(0.5)
    )


def texts(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def classes(project: ea.Project, run: str = "m") -> list[str]:
    return project.predictions[run].df["class_name"].to_list()


def detections(*numbers: int) -> SimpleNamespace:
    n = len(numbers)
    return SimpleNamespace(
        xyxy=np.tile([10.0, 10, 40, 30], (n, 1)), confidence=np.full(n, 0.5), class_id=np.array(numbers), mask=None,
        data={},
    )  # fmt: skip


def ultralytics(names: object, numbers: list[int], **more: object) -> SimpleNamespace:
    n = len(numbers)
    shape = SimpleNamespace(
        xyxy=np.tile([10.0, 10, 40, 30], (n, 1)), conf=np.full(n, 0.5), cls=np.array(numbers, float)
    )
    rest = {"obb": None, "masks": None, "keypoints": None, "probs": None} | more
    return SimpleNamespace(path="/elsewhere/a.png", names=names, boxes=shape, **rest)


# -- numbers of classes ------------------------------------------------------------------------------


def png(tmp_path: Path, *values: int) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir(exist_ok=True)
    picture = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for i, value in enumerate(values):
        picture[10 * i : 10 * i + 9, 5:20] = value
    Image.fromarray(picture).save(folder / "a.png")
    return folder


def test_a_models_numbers_are_not_taken_for_ids_of_categories(project, tmp_path):
    text = "0 0.5 0.5 0.2 0.2 0.9\n1 0.5 0.5 0.2 0.2 0.8\n2 0.5 0.5 0.2 0.2 0.7\n"
    sources = (texts(tmp_path, a=text), {"a.png": detections(0, 1, 2)}, [ultralytics({}, [0, 1, 2])])
    for source in (*sources, png(tmp_path, 1, 2)):
        with pytest.raises(InputError, match=r'Pass classes=\[…\].*The project has "RBC", "WBC", "Platelets"'):
            project.add_predictions("m", source)
    for source in sources:
        project.add_predictions("m", source, NAMES, replace=True)
        assert classes(project) == list(NAMES)
    project.add_predictions("m", png(tmp_path, 1, 2), ["background", *NAMES], replace=True)
    assert classes(project) == ["RBC", "WBC"]


def test_a_models_numbers_are_those_of_the_yolo_data_it_was_trained_on(yolo, tmp_path):
    yolo.add_predictions("m", texts(tmp_path, a="2 0.5 0.5 0.2 0.2 0.9\n"))
    assert classes(yolo) == ["Platelets"]
    yolo.add_predictions("n", {"a.png": detections(1, 9)})
    assert classes(yolo, "n") == ["WBC"]


def test_numbers_counted_from_another_first_one_are_not_shifted_to_a_neighbour(project, yolo, tmp_path):
    with pytest.raises(InputError, match=r'counted from 0.*classes=\{0: "RBC", 1: "WBC", 2: "Platelets"\}'):
        project.add_predictions("m", [result(category=c) for c in (0, 1, 1, 2)])
    run = project.add_predictions("m", [result(category=c) for c in (0, 1)], {0: "RBC", 1: "WBC", 2: "Platelets"})
    assert (run.skipped, classes(project)) == (0, ["RBC", "WBC"])
    with pytest.raises(InputError, match=r'counted from 1.*classes=\{1: "RBC"'):
        project.add_predictions("n", [result(category=c) for c in (1, 3)], NAMES)
    with pytest.raises(InputError, match="counted from 1"):
        yolo.add_predictions("n", texts(tmp_path, a="3 0.5 0.5 0.2 0.2 0.9\n1 0.5 0.5 0.2 0.2 0.9\n"))
    with pytest.raises(InputError, match="counted from 1"):
        project.add_predictions("n", png(tmp_path, 1, 2, 3), NAMES)


def test_names_that_come_with_detections_are_used(project):
    project.add_predictions("m", [ultralytics({0: "WBC"}, [0])])
    found = detections(7)
    found.data = {"class_name": np.array(["Platelets"])}
    project.add_predictions("n", {"a.png": found})
    assert classes(project) + classes(project, "n") == ["WBC", "Platelets"]


@pytest.mark.parametrize(
    ("given", "message"), [(["cat"] * 10, '"cat" 10 times'), ("RBC,WBC", "one text"), ([], "must be names")]
)
def test_a_list_of_classes_that_is_none_is_not_taken(project, given, message):
    with pytest.raises(InputError, match=message):
        project.add_predictions("m", [result()], given)


# -- keypoints ----------------------------------------------------------------------------------------


def test_keypoints_with_scores_are_not_absent(project):
    pose = [10, 10, 0.9, 20, 20, 0.3, 30, 30, 0.0]
    project.add_predictions("coco", [result(keypoints=pose), result(keypoints=[10, 10, 1.0] * 3)])
    project.add_predictions("mine", [ea.Prediction("a", "RBC", keypoints=k) for k in (pose, np.reshape(pose, (3, 3)))])
    keypoints = SimpleNamespace(data=np.reshape(pose, (1, 3, 3)))
    project.add_predictions("ultralytics", [ultralytics({0: "RBC"}, [0], keypoints=keypoints)])
    seen = {run: project.predictions[run].df["visibility"].to_list() for run in project.predictions}
    assert seen == {"coco": [[2, 1, 0], [2, 2, 2]], "mine": [[2, 1, 0]] * 2, "ultralytics": [[2, 1, 0]]}


def test_visibilities_stay_what_they_are(project):
    project.add_predictions("m", [result(keypoints=[10, 10, 2, 20, 20, 1, 0, 0, 0])])
    assert project.predictions["m"].df["visibility"].to_list() == [[2, 1, 0]]


@pytest.mark.parametrize("pose", [[(1, 2, 3)], [(1, 2, 0.5), (1, 2, 2)], [1, 2, 3, 4], [], "text", [(1, 2, np.nan)]])
def test_keypoints_that_are_none_are_named(project, pose):
    with pytest.raises(InputError, match=r"[Pp]rediction 1"):
        project.add_predictions(
            "m", [ea.Prediction("a", "RBC", box=(1, 2, 3, 4)), ea.Prediction("a", "RBC", keypoints=pose)]
        )


@pytest.mark.parametrize("pose", [[1, 2, 7], [1, 2], [1, 2, float("nan")], "text"])
def test_keypoints_that_are_none_do_not_become_a_box(project, pose):
    run = project.add_predictions("m", [result(), result(keypoints=pose)])
    assert (run.predictions, run.skipped, project.problems.height) == (1, 1, 1)


# -- probabilities and answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"cat": 0.5, "dgo": 0.5}, InputError, '"dgo".*Did you mean "dog"'),
        ({"cat": 0.5}, InputError, "prediction 1 sums to 0.5"),
        ([0.5, 0.3, 0.2], ShapeError, "prediction 1.*3 classes do not fit 2"),
        ([1.5, -0.5], InputError, "prediction 1.*negative"),
        ([float("nan"), 1], InputError, "prediction 1.*no number"),
        ([None, "x"], InputError, "prediction 1 are no numbers"),
    ],
)
def test_probabilities_of_one_prediction_are_judged_as_an_array_is(answers, given, error, message):
    good = ea.Prediction("a", "cat", 0.5, probabilities={"cat": 0.75, "dog": 0.25})
    with pytest.raises(error, match=message):
        answers.add_predictions("m", [good, ea.Prediction("b", "cat", 0.5, probabilities=given)])
    if isinstance(given, list) and len(given) == 3:
        frame = pl.DataFrame({"path": ["a"], "class_name": ["cat"], "probabilities": [given]})
        with pytest.raises(error, match="row 0"):
            answers.add_predictions("m", frame)
    answers.add_predictions("m", [good, ea.Prediction("b", "dog", 0.5)])
    assert answers.predictions["m"].df["probabilities"].to_list() == [[0.75, 0.25], None]


def test_probabilities_of_ultralytics_are_in_the_order_of_its_names(answers):
    probs = SimpleNamespace(data=np.array([0.75, 0.25]))
    run = answers.add_predictions("m", [ultralytics({0: "dog", 1: "cat"}, [], probs=probs)])
    assert (run.classes, classes(answers)) == (("dog", "cat"), ["dog"])


def test_of_several_answers_for_an_image_the_surest_counts_and_the_others_are_listed(answers):
    frame = pl.DataFrame(
        {"path": ["a", "a", "b", "a"], "class_name": ["cat", "dog", "cat", "cat"], "confidence": [0.2, 0.7, 0.5, 0.1]}
    )
    run = answers.add_predictions("m", frame)
    assert (classes(answers), run.predictions, run.skipped) == (["dog", "cat"], 2, 2)
    assert answers.problems["why"].to_list() == ["its image has a surer class (cat)"] * 2
    with pytest.raises(InputError, match="surer class"):
        answers.add_predictions("n", frame, strict=True)


def test_objects_without_their_boxes_do_not_become_classes_of_images(project, answers):
    frame = pl.DataFrame({"path": ["a"], "class_name": ["RBC"], "confidence": [0.5]})
    for source in (frame, [ea.Prediction("a", "RBC", 0.5)]):
        with pytest.raises(InputError, match="have no shape"):
            project.add_predictions("m", source)
    assert answers.add_predictions("m", frame.with_columns(class_name=pl.lit("cat"))).kind == "classification"


# -- what was skipped -----------------------------------------------------------------------------------


def test_a_run_says_how_much_of_it_is_missing(project, caplog):
    data = [result(), *(result(image=99 + i) for i in range(30))]
    with caplog.at_level(logging.WARNING, "encord_active_widgets"):
        run = project.add_predictions("m", data)
    assert (run.predictions, run.skipped) == (1, 30)
    assert "30 skipped" in repr(run)
    assert 'Only 1 of the 31 image ids in "the results" are in the project' in caplog.text
    assert "skipped" not in repr(project.add_predictions("n", [result()]))


def test_problems_go_with_the_run_they_are_of(project):
    odd = [result(), result(box=(1, 1, 0, 5))]
    project.add_predictions("m", odd)
    project.add_predictions("n", odd)
    assert project.problems["stage"].to_list() == ["prediction:m", "prediction:n"]
    project.add_predictions("m", [result()], replace=True)
    assert project.problems["stage"].to_list() == ["prediction:n"]
    project.remove_predictions("n")
    assert ea.open(project.path).problems.is_empty()


# -- boxes ----------------------------------------------------------------------------------------------


def test_pixels_in_yolo_texts_are_not_taken_for_shares(yolo, tmp_path):
    with pytest.raises(InputError, match="is in pixels"):
        yolo.add_predictions("m", texts(tmp_path, a="0 0.5 0.5 0.2 0.2 0.9\n0 50 40 20 16 0.9\n"))


@pytest.mark.parametrize(
    ("frame", "box_format", "message"),
    [
        (boxes((10, 10, 30, 20)), "xywhn", 'pixels.*Pass box_format="xywh"'),
        (boxes((10, 10, 30, 20)), "xyxyn", 'pixels.*Pass box_format="xyxy"'),
        (boxes((0.1, 0.1, 0.3, 1.2)), "xywh", 'Pass box_format="xywhn"'),
        (boxes((0.1, 0.1, 0.3, 0.9)), "xyxy", 'Pass box_format="xyxyn"'),
        (boxes(*[(40, 10, 30, 20)] * 2, *[(10, 10, 30, 20)] * 3), "xyxy", 'Pass box_format="xywh"'),
        (boxes(*[(0.4, 0.1, 0.3, 0.2)] * 5), "xyxyn", 'Pass box_format="xywhn"'),
        (boxes((10, 10, 40, 30), names=("xmin", "ymin", "xmax", "ymax")), "xywh", "look like corners"),
        (boxes((10, 10, 40, 30), names=("x1", "y1", "x2", "y2")), "xywh", "look like corners"),
        (boxes((10, 10, 40, 30), names=("left", "top", "right", "bottom")), "xywh", "look like corners"),
    ],
)
def test_boxes_written_in_another_way_are_refused_with_the_right_one(project, frame, box_format, message):
    with pytest.raises(InputError, match=message):
        project.add_predictions("m", frame, box_format=box_format)


def test_boxes_beside_a_mask_are_not_judged(project):
    rings = [[10, 10, 40, 10, 40, 30]]
    assert project.add_predictions("m", [result(box=(0, 0, 0, 0), segmentation=rings)]).predictions == 1


def test_boxes_beside_their_image_are_listed_and_count_as_wrong(project):
    frame = boxes((10, 10, 30, 20), (100, 10, 30, 20), (10, -20, 30, 20), (500, 10, 30, 20), (90, 70, 30, 30))
    run = project.add_predictions("m", frame)
    assert (run.predictions, run.skipped) == (5, 0)
    assert project.problems["where"].to_list() == [f"the frame: row {i}" for i in (1, 2, 3)]
    assert project.problems["what"].to_list() == ["kept"] * 3
    assert "x 100.0 y 10.0" in project.problems["why"][0]
    # Turned, this one reaches into the image.
    turned = boxes((101, 30, 30, 4)).with_columns(angle=pl.lit(0.0), w=pl.lit(4), h=pl.lit(30))
    with pytest.raises(InputError, match="beside its image"):
        project.add_predictions("n", turned, strict=True)
    project.add_predictions("n", turned.with_columns(angle=pl.lit(90.0)), strict=True)


def test_three_boxes_that_only_fit_as_corners_are_refused(project):
    corners = [(60, 50, 95, 75), (55, 40, 90, 70), (60, 45, 99, 79)]
    with pytest.raises(InputError, match=r"xyxy"):
        project.add_predictions("m", boxes(*corners))
    assert project.add_predictions("m", boxes(*corners), box_format="xyxy").predictions == 3


def test_classes_that_are_no_names_are_named(project):
    with pytest.raises(InputError, match="classes=5"):
        project.add_predictions("m", boxes((10, 10, 30, 20)), classes=5)


# -- masks ----------------------------------------------------------------------------------------------


def test_masks_of_another_size_and_empty_ones_are_listed(project):
    def mask(height: int, width: int, side: int) -> np.ndarray:
        values = np.zeros((height, width), bool)
        values[:side, :side] = True
        return values

    masks = [mask(80, 100, 9), mask(40, 50, 9), mask(80, 100, 0)]
    run = project.add_predictions("m", [ea.Prediction("a", "RBC", mask=m) for m in masks])
    assert (run.predictions, run.skipped) == (1, 2)
    assert {w.split(":")[1].strip() for w in project.problems["where"]} == {"prediction 1", "prediction 2"}
    assert any("mask 50 × 40, image 100 × 80 px" in w for w in project.problems["why"])
    rles = [{"size": [80, 100], "counts": [0, 9, 7991]}, {"size": [8, 10], "counts": [0, 9, 71]}]
    rles.append({"size": [80, 100], "counts": [8000]})
    assert project.add_predictions("n", [result(segmentation=r) for r in rles]).skipped == 2


# -- names of classes -----------------------------------------------------------------------------------


def test_a_class_that_is_spelt_otherwise_is_not_a_new_one(project, caplog):
    frame = boxes((10, 10, 30, 20))
    with pytest.raises(InputError, match=r'0 of the 1 classes.*Did you mean "RBC" for "rbc"'):
        project.add_predictions("m", frame.with_columns(class_name=pl.lit("rbc")))
    with caplog.at_level(logging.WARNING, "encord_active_widgets"):
        project.add_predictions("m", frame.with_columns(class_name=pl.lit("person")))
        assert '0 of the 1 classes of "the frame" are known: "person"' in caplog.text
        caplog.clear()
        project.add_predictions("n", pl.concat([frame, frame.with_columns(class_name=pl.lit("person"))]))
        assert '1 of the 2 classes of "the frame" are new: "person"' in caplog.text
        caplog.clear()
        project.add_predictions("o", frame)
        assert not caplog.text


# -- small things ---------------------------------------------------------------------------------------


def test_ids_written_as_floats_are_ids(project, tmp_path):
    (tmp_path / "r.json").write_text('[{"image_id": 11.0, "category_id": 2.0, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    project.add_predictions("m", tmp_path / "r.json")
    assert classes(project) == ["WBC"]


@pytest.mark.parametrize(
    ("score", "shown"), [('"0.9"', '("0.9")'), ("true", "(true)"), ("null", "(null)"), ("1.5", "(1.5)")]
)
def test_a_confidence_that_is_none_is_shown_as_the_file_has_it(project, tmp_path, score, shown):
    text = json.dumps([result(), result(score="HERE")]).replace('"HERE"', score)
    (tmp_path / "r.json").write_text(text)
    project.add_predictions("m", tmp_path / "r.json")
    assert project.problems["why"][0].endswith(shown)


def test_a_confidence_of_an_object_that_is_none_is_shown(project):
    good, box = ea.Prediction("a", "RBC", box=(1, 2, 3, 4)), (1, 2, 3, 4)
    odd = [ea.Prediction("a", "RBC", c, box=box) for c in ("high", float("nan"), True)]
    project.add_predictions("m", [good, *odd])
    assert [w.rpartition(" ")[2] for w in project.problems["why"]] == ["('high')", "(NaN)", "(True)"]


def test_texts_of_kitti_are_recognised(yolo, tmp_path):
    line = "RBC 0.00 0 1.5 11.0 10.0 41.0 30.0 1.5 1.6 3.2 2.0 1.7 14.0 1.6 0.9\n"
    with pytest.raises(InputError, match='format="kitti"'):
        yolo.add_predictions("m", texts(tmp_path, a=line))


def test_results_in_memory_are_read_as_from_a_file(project):
    data = [result(image=np.int64(11), score=np.float32(0.5))]
    for i, source in enumerate((data, {"annotations": data}, iter(data))):
        project.add_predictions(f"{i}", source)
        assert project.predictions[f"{i}"].df.select("x", "confidence").rows() == [(10, 0.5)]
    one = ultralytics({0: "RBC"}, [0])
    for i, source in enumerate((one, [one], iter([one]))):
        project.add_predictions(f"u{i}", source)
        assert classes(project, f"u{i}") == ["RBC"]


@pytest.mark.parametrize("source", [7, object(), [object()], [["a", "b"]], {1, 2}, None])
def test_what_is_no_source_is_told_what_would_be(project, source):
    with pytest.raises(InputError, match=r"list of COCO results"):
        project.add_predictions("m", source)


def test_detections_without_their_image_are_told_how_to_name_it(project):
    with pytest.raises(InputError, match=r"\{image: detections\}"):
        project.add_predictions("m", detections(0))
