"""Predictions from everywhere: what is read, what is refused, and how that is said."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, ShapeError

SIZE = (100, 80)


@pytest.fixture
def project(tmp_path: Path) -> ea.Project:
    """Three images with two classes, read from COCO: ids 11, 12, 13; categories 3 and 7."""
    (tmp_path / "images").mkdir()
    for name in "abc":
        Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    truth = {
        "images": [
            {"id": 11 + i, "file_name": f"{n}.png", "width": SIZE[0], "height": SIZE[1]} for i, n in enumerate("abc")
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 11, "category_id": 3, "bbox": [10, 10, 30, 20]},
            {"id": 2, "image_id": 12, "category_id": 7, "bbox": [40, 30, 20, 20]},
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    return ea.Project.from_coco(tmp_path / "truth.json", tmp_path / "images", tmp_path / "p.eaw")


def result(image: int, category: int, box: list[float], score: float, **more: object) -> dict[str, object]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score, **more}


GOOD = [result(11, 3, [11, 10, 30, 20], 0.9), result(12, 7, [41, 30, 20, 20], 0.8), result(13, 3, [1, 1, 9, 9], 0.3)]


def written(tmp_path: Path, data: object, name: str = "results.json") -> Path:
    file = tmp_path / name
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    return file


def rows(project: ea.Project, run: str = "m") -> list[tuple]:
    names = ("uri", "class_name", "confidence", "x", "y", "w", "h")
    frame = project.predictions[run].df.select(names)
    return [(Path(r[0]).stem, *r[1:]) for r in frame.iter_rows()]


EXPECTED = [("a", "cat", 0.9, 11, 10, 30, 20), ("b", "dog", 0.8, 41, 30, 20, 20), ("c", "cat", 0.3, 1, 1, 9, 9)]


def test_coco_results(project, tmp_path):
    run = project.add_predictions("m", written(tmp_path, GOOD))
    assert (run.predictions, run.items, run.kind, run.classes) == (3, 3, "detection", ("cat", "dog"))
    assert rows(project) == EXPECTED
    assert ea.open(project.path).predictions["m"].df.equals(project.predictions["m"].df)


def test_masks_polygons_and_keypoints_of_coco(project, tmp_path):
    from pycocotools import mask as reference

    inside = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    inside[10:30, 20:50] = 1
    rle = reference.encode(np.asfortranarray(inside))
    rle["counts"] = rle["counts"].decode()
    data = [
        {"image_id": 11, "category_id": 3, "score": 0.5, "segmentation": rle},
        {
            "image_id": 11,
            "category_id": 3,
            "score": 0.5,
            "segmentation": [[1, 1, 9, 1, 9, 9], [20, 20, 30, 20, 30, 30]],
        },
        {"image_id": 12, "category_id": 7, "score": 0.5, "keypoints": [1, 2, 2, 5, 6, 1, 0, 0, 0]},
    ]
    project.add_predictions("m", written(tmp_path, data))
    frame = project.predictions["m"].df
    assert frame["kind"].to_list() == ["mask", "polygon", "keypoints"]
    assert frame.select("x", "y", "w", "h").row(0) == (20, 10, 30, 20)
    assert frame["rings"].to_list() == [None, [3, 3], None]
    assert frame["visibility"].to_list() == [None, None, [2, 1, 0]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"score": 1.5}, "from 0 to 1"),
        ({"score": None}, "from 0 to 1"),
        ({"image_id": 99}, "not in the project"),
        ({"category_id": 99}, "category is not known"),
        ({"bbox": [1, 2, 3]}, ""),
        ({"bbox": [1, 2, 0, 5]}, "no area"),
        ({"bbox": [1, 2, "x", 5]}, ""),
    ],
)
def test_what_cannot_be_used_is_listed_and_the_rest_is_there(project, tmp_path, change, why):
    project.add_predictions("m", written(tmp_path, [*GOOD, {**GOOD[0], **change}]))
    assert rows(project) == EXPECTED
    problems = project.problems.filter(pl.col("where").str.contains("results.json"))
    assert problems.height == 1
    assert why in problems["why"][0]
    with pytest.raises(InputError):
        project.add_predictions("n", tmp_path / "results.json", strict=True)
    assert "n" not in project.predictions


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([result(1, 3, [1, 1, 5, 5], 0.5), result(2, 3, [1, 1, 5, 5], 0.5)], "0 of the 2 image ids"),
        ([result(11, 1, [1, 1, 5, 5], 0.5)], "0 of the 1 category ids"),
        ([], "no predictions"),
        ("", "is empty"),
        ("[{", "not JSON"),
        ('"text"', "not JSON"),
        ([{"image_id": 11, "category_id": 3, "bbox": [1, 1, 5, 5]}], 'no "score"'),
        ([result(11, 3, [0.1, 0.1, 0.2, 0.2], 0.5)] * 9, "shares of the image"),
        ([result(11, 3, [60, 50, 90, 75], 0.5)] * 9, 'box_format="xyxy"'),
    ],
)
def test_files_that_do_not_fit_are_refused_whole(project, tmp_path, data, message):
    with pytest.raises(InputError) as error:
        project.add_predictions("m", written(tmp_path, data))
    assert message in f"{error.value}"
    assert len(project.predictions) == 0


def test_box_formats_agree(project, tmp_path):
    boxes = {
        "xyxy": lambda x, y, w, h: [x, y, x + w, y + h],
        "cxcywh": lambda x, y, w, h: [x + w / 2, y + h / 2, w, h],
        "xywhn": lambda x, y, w, h: [x / 100, y / 80, w / 100, h / 80],
    }
    for name, turned in boxes.items():
        data = [{**r, "bbox": turned(*r["bbox"])} for r in GOOD]
        project.add_predictions(name, written(tmp_path, data), box_format=name)
        assert [pytest.approx(v) if isinstance(v, float) else v for r in EXPECTED for v in r] == [
            v for r in rows(project, name) for v in r
        ]


def test_a_name_is_taken_once_and_replaced_on_request(project, tmp_path):
    file = written(tmp_path, GOOD)
    project.add_predictions("m", file)
    project.predictions["m"].head(1).tag("look")
    with pytest.raises(InputError, match="replace=True"):
        project.add_predictions("m", file)
    project.add_predictions("m", written(tmp_path, GOOD[:2], "two.json"), replace=True)
    assert len(project.predictions["m"]) == 2
    assert project.predictions["m"].tags.is_empty()
    project.add_predictions("other", file)
    assert list(project.predictions) == ["m", "other"]
    project.remove_predictions("m")
    assert list(ea.open(project.path).predictions) == ["other"]
    with pytest.raises(ea.EawError, match='There is no run "m"'):
        project.predictions["m"]


@pytest.mark.parametrize("name", ["", "  ", "..", "a" * 200, "a\x07b", 7])
def test_odd_names_are_refused(project, tmp_path, name):
    with pytest.raises(InputError, match="name a run"):
        project.add_predictions(name, written(tmp_path, GOOD))


@pytest.mark.parametrize("name", ["../up", "a/b", "C:\\x", "ünïcode", "<b>", "a b"])
def test_any_other_name_is_a_folder_of_its_own(project, tmp_path, name):
    project.add_predictions(name, written(tmp_path, GOOD))
    assert rows(project, name) == EXPECTED
    assert {p.parent.name for p in (project.path / "predictions").glob("*/_delta_log")} != set()
    assert not (tmp_path / "up").exists()


def test_yolo_texts(project, tmp_path):
    folder = tmp_path / "yolo"
    folder.mkdir()
    (folder / "a.txt").write_text("3 0.26 0.25 0.3 0.25 0.9\n")
    (folder / "b.txt").write_text("7 0.51 0.5 0.2 0.25 0.8\n9 0.5 0.5 0.1 0.1 0.5\n1 2\n")
    (folder / "zzz.txt").write_text("3 0.5 0.5 0.1 0.1 0.5\n")
    project.add_predictions("m", folder, {3: "cat", 7: "dog"})
    assert [r[:3] for r in rows(project)] == [e[:3] for e in EXPECTED[:2]]
    assert np.allclose([r[3:] for r in rows(project)], [e[3:] for e in EXPECTED[:2]])
    assert project.problems.height == 3
    (folder / "a.txt").write_text("3 0.1 0.1 0.4 0.1 0.4 0.5 0.7\n")
    project.add_predictions("s", folder, {3: "cat"}, format="yolo-segment")
    assert project.predictions["s"].df["points"].to_list() == [pytest.approx([10, 8, 40, 8, 40, 40])]


def test_kitti_texts(project, tmp_path):
    folder = tmp_path / "kitti"
    folder.mkdir()
    (folder / "a.txt").write_text(
        "cat 0.00 0 1.5 11.0 10.0 41.0 30.0 1.5 1.6 3.2 2.0 1.7 14.0 1.6 0.9\n"
        "DontCare -1 -1 -10 1 1 9 9 -1 -1 -1 -1 -1 -1 -1\n"
    )
    project.add_predictions("m", folder, format="kitti")
    assert rows(project) == EXPECTED[:1]
    assert json.loads(project.predictions["m"].df["extra"][0])["rotation_y"] == 1.6


def test_png_masks(project, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    values = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    values[10:30, 20:50], values[40:50, 60:70], values[0:5, 0:5] = 3, 7, 255
    Image.fromarray(values).save(folder / "a.png")
    Image.fromarray(values[:10]).save(folder / "b.png")
    project.add_predictions("m", folder, {3: "cat", 7: "dog"})
    frame = project.predictions["m"].df
    assert frame.select("class_name", "kind", "x", "y", "w", "h").rows() == [
        ("cat", "mask", 20, 10, 30, 20), ("dog", "mask", 60, 40, 10, 10),
    ]  # fmt: skip
    assert "its image 100 × 80" in project.problems["why"][0]


def objects() -> list[ea.Prediction]:
    return [
        ea.Prediction("a.png", "cat", 0.9, box=(11, 10, 30, 20)),
        ea.Prediction("b", "dog", 0.8, box=[41, 30, 20, 20]),
        ea.Prediction("c.png", "cat", 0.3, box=np.array([1, 1, 9, 9])),
    ]


def test_prediction_objects(project):
    project.add_predictions("m", objects())
    assert rows(project) == EXPECTED
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[3:7, 2:9] = True
    project.add_predictions(
        "shapes",
        [
            ea.Prediction("a.png", "cat", mask=mask),
            ea.Prediction("a.png", "cat", polygon=[(1, 1), (9, 1), (9, 9)]),
            ea.Prediction("a.png", "cat", box=(10, 10, 20, 10), angle=30, extra={"why": "<b>"}),
            ea.Prediction("a.png", "cat", keypoints=[(1, 2, 2), (3, 4, 0)]),
        ],
    )
    assert project.predictions["shapes"].df["kind"].to_list() == ["mask", "polygon", "rotated_box", "keypoints"]


def test_a_frame(project):
    frame = pl.DataFrame(EXPECTED, schema=["path", "class_name", "score", "x", "y", "w", "h"], orient="row")
    project.add_predictions("m", frame)
    assert rows(project) == EXPECTED
    by_id = project.items.df.select("item_id").with_columns(class_name=pl.lit("cat"), confidence=0.5)
    project.items.relabel("cat")
    assert project.add_predictions("c", by_id.to_pandas()).kind == "classification"
    with pytest.raises(InputError, match="no column of images"):
        project.add_predictions("x", pl.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match='"class_name"'):
        project.add_predictions("x", pl.DataFrame({"path": ["a"]}))


def test_detections_of_other_libraries_by_their_shape(project):
    detections = SimpleNamespace(
        xyxy=np.array([[11, 10, 41, 30.0]]), confidence=np.array([0.9]), class_id=np.array([3]), mask=None, data={}
    )
    project.add_predictions("supervision", {"a.png": detections}, {3: "cat"})
    assert rows(project, "supervision") == EXPECTED[:1]

    class Tensor:
        def __init__(self, values):
            self.values = np.asarray(values, np.float64)

        def cpu(self):
            return self

        def numpy(self):
            return self.values

    boxes = SimpleNamespace(xyxy=Tensor([[11, 10, 41, 30]]), conf=Tensor([0.9]), cls=Tensor([0]))
    result = SimpleNamespace(
        path="/elsewhere/a.png", names={0: "cat"}, boxes=boxes, obb=None, masks=None, keypoints=None
    )
    project.add_predictions("ultralytics", [result])
    assert rows(project, "ultralytics") == EXPECTED[:1]


# -- pickles ----------------------------------------------------------------------------------------


def test_a_pickle_of_predictions(project, tmp_path):
    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps(objects()))
    project.add_predictions("m", file)
    assert rows(project) == EXPECTED
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        file.write_bytes(pickle.dumps(objects(), protocol=protocol))
        if protocol >= 2:  # older ones need copyreg, which is refused
            project.add_predictions("m", file, replace=True)
        else:
            with pytest.raises(InputError, match="refused"):
                project.add_predictions("m", file, replace=True)


class Evil:
    def __init__(self, call, *arguments):
        self.what = (call, arguments)

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize("hidden", ["alone", "in a list", "in a prediction"])
def test_a_malicious_pickle_runs_nothing(project, tmp_path, hidden):
    marker = tmp_path / "ran"
    for call, arguments, name in (
        (os.system, (f"touch {marker}",), "system"),
        (eval, (f"open({str(marker)!r}, 'w').close()",), "eval"),
        (getattr, (marker, "touch"), "getattr"),
        (Path, (str(marker),), "Path"),
    ):
        evil: object = Evil(call, *arguments)
        evil = [evil] if hidden == "in a list" else evil
        evil = [ea.Prediction("a.png", "cat", 0.9, extra={"x": evil})] if hidden == "in a prediction" else evil
        file = tmp_path / "evil.pkl"
        file.write_bytes(pickle.dumps(evil))
        with pytest.raises(InputError, match="refused; nothing was run") as error:
            project.add_predictions("m", file)
        assert name in str(error.value)
        assert not marker.exists()
    assert len(project.predictions) == 0


def test_a_pickle_cannot_change_what_stays(project, tmp_path):
    """Instructions that set attributes of classes and functions reach copies only."""
    before = ea.Prediction.__eq__, np.ndarray, np.frombuffer
    name = b"encord_active_widgets.formats.prediction\nPrediction\n"
    # GLOBAL Prediction; (None, {"__eq__": "gone"}); BUILD; STOP
    file = tmp_path / "build.pkl"
    file.write_bytes(b"c" + name + b"(NU\x00d(U\x06__eq__U\x04gonedtb.")
    with pytest.raises(InputError):
        project.add_predictions("m", file)
    file.write_bytes(b"c" + name + b"(N(U\x06__eq__U\x04gonedtb.")
    with pytest.raises(InputError):
        project.add_predictions("m", file)
    assert (ea.Prediction.__eq__, np.ndarray, np.frombuffer) == before


@pytest.mark.parametrize("data", [b"", b"no pickle", b"\x80\x04]", b"\x80\x05}.", b"\x80\x04K\x01."])
def test_other_pickles_are_refused(project, tmp_path, data):
    file = tmp_path / "m.pkl"
    file.write_bytes(data)
    with pytest.raises(InputError):
        project.add_predictions("m", file)


# -- probabilities ------------------------------------------------------------------------------------


def test_probabilities_become_classes(project):
    project.add_predictions("m", np.array([[0.9, 0.1], [0.25, 0.75], [0.5, 0.5]]))
    frame = project.predictions["m"].df
    assert frame.select("class_name", "confidence").rows() == [("cat", 0.9), ("dog", 0.75), ("cat", 0.5)]
    assert frame["probabilities"].to_list()[1] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.full((3, 3), 1 / 3), ShapeError, "3 classes do not fit 2"),
        (np.full((2, 2), 0.5), ShapeError, "2 rows of probabilities do not fit 3"),
        (np.array([[0.5, 0.5], [0.5, 0.6], [1, 0]]), InputError, "row 1 sums to 1.1"),
        (np.array([[0.5, 0.5], [np.nan, 0.6], [1, 0]]), InputError, "row 1"),
        (np.array([[0.5, 0.5], [0.5, 0.5], [2, -1]]), InputError, "row 2"),
        (np.zeros(3), ShapeError, "no table"),
    ],
)
def test_probabilities_that_are_none(project, values, error, message):
    with pytest.raises(error, match=message):
        project.add_predictions("m", values)
    assert len(project.predictions) == 0


def test_a_kill_between_rows_and_commit_leaves_nothing(project, tmp_path, monkeypatch):
    """All rows of a run land in one commit, or none."""
    from encord_active_widgets.models import adding

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(adding, "commit", die)
    with pytest.raises(KeyboardInterrupt):
        project.add_predictions("m", objects())
    monkeypatch.undo()
    assert len(ea.open(project.path).predictions) == 0
    project.add_predictions("m", objects())
    assert rows(ea.open(project.path)) == EXPECTED
