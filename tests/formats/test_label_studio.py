"""Label Studio in and out: the loop of handing out and taking back."""

from __future__ import annotations

import json
import math
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EawError, InputError, ProjectError
from encord_active_widgets.formats.brush import decode_brush, encode_brush
from encord_active_widgets.formats.label_studio import read_label_studio
from encord_active_widgets.formats.label_studio_shapes import shape
from encord_active_widgets.formats.label_studio_writer import _value, percent
from encord_active_widgets.metrics import masks

# https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions, as JSON schema.
_PERCENT = {"type": "number"}
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def _region(kind: str, required: list[str], properties: dict[str, Any], *, sized: bool = True) -> dict[str, Any]:
    value = {"type": "object", "required": required, "properties": properties}
    sizes = ["original_width", "original_height"] if sized else []
    return {"properties": {"type": {"const": kind}, "value": value}, "required": ["value", *sizes]}


RESULT = {
    "type": "object",
    "required": ["id", "type", "from_name", "to_name", "value"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "from_name": {"type": "string"},
        "to_name": {"const": "image"},
        "original_width": {"type": "integer", "minimum": 1},
        "original_height": {"type": "integer", "minimum": 1},
        "image_rotation": {"const": 0},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "oneOf": [
        _region(
            "rectanglelabels",
            ["x", "y", "width", "height", "rotation", "rectanglelabels"],
            {**dict.fromkeys(("x", "y", "width", "height", "rotation"), _PERCENT), "rectanglelabels": _NAMES},
        ),
        _region(
            "polygonlabels",
            ["points", "polygonlabels"],
            {
                "points": {
                    "type": "array",
                    "minItems": 2,
                    "items": {"type": "array", "items": _PERCENT, "minItems": 2, "maxItems": 2},
                },
                "polygonlabels": _NAMES,
            },
        ),
        _region(
            "keypointlabels",
            ["x", "y", "width", "keypointlabels"],
            {"x": _PERCENT, "y": _PERCENT, "width": _PERCENT, "keypointlabels": _NAMES},
        ),
        _region(
            "brushlabels",
            ["format", "rle", "brushlabels"],
            {
                "format": {"const": "rle"},
                "rle": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
                "brushlabels": _NAMES,
            },
        ),
        _region("choices", ["choices"], {"choices": _NAMES}, sized=False),
    ],
}
_RESULTS = {"type": "array", "items": RESULT, "minItems": 1}
TASKS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "object",
                "required": ["image"],
                "properties": {"image": {"type": "string", "minLength": 1}},
            },
            "annotations": {
                "type": "array",
                "items": {"type": "object", "required": ["result"], "properties": {"result": _RESULTS}},
            },
            "predictions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["model_version", "score", "result"],
                    "properties": {
                        "model_version": {"type": "string"},
                        "score": {"type": "number"},
                        "result": _RESULTS,
                    },
                },
            },
        },
    },
}
SHAPE = ("item_id", "kind", "class_name", "x", "y", "w", "h")


def drawn(folder: Path, name: str = "p") -> ea.Project:
    """Make a project with every kind of label on two images of 64 × 48 px."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for n in "ab":
        Image.new("RGB", (64, 48), (40, 90, 200)).save(images / f"{n}.png")
    mask = np.zeros((48, 64), np.uint8)
    mask[5:20, 7:31] = 1
    mask[9:12, 10:15] = 0
    labels = {
        "a.png": [
            {"class_name": "box", "x": 1.1, "y": 2.2, "w": 30.3, "h": 20.7},
            {"class_name": "turned", "x": 10, "y": 12, "w": 20, "h": 8, "angle": 33.3},
            {"class_name": "area", "points": [1, 1, 40.5, 3.25, 20, 30.125]},
            {"class_name": "parts", "points": [1, 1, 9, 1, 9, 9, 30, 30, 40, 30, 40, 40], "rings": [3, 3]},
            {"class_name": "line", "kind": "polyline", "points": [3, 4, 50, 40, 20.5, 10]},
            {"class_name": "dot", "kind": "point", "points": [33.3, 44.4]},
            {"class_name": "pose", "kind": "keypoints", "points": [5, 5, 20, 10, 0, 0], "visibility": [2, 1, 0]},
            {"class_name": "mask", "mask": mask},
            {"class_name": "sunny"},
        ],
        "b.png": [{"class_name": "box", "x": 0, "y": 0, "w": 64, "h": 48}],
    }
    return ea.Project.from_folder(
        images, folder / f"{name}.eaw", classes=False, labels=lambda path: labels[Path(path).name]
    )


def tasks_of(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def returned(file: Path, target: Path, change: Any) -> Path:
    """Do what annotators do: change what was handed out."""
    tasks = tasks_of(file)
    for i, task in enumerate(tasks):
        task["id"] = 100 + i
        for j, annotation in enumerate(task["annotations"]):
            annotation |= {"id": 1000 + 10 * i + j, "completed_by": {"id": 1, "email": "ann@example.org"}}
            annotation |= {"lead_time": 12.0, "was_cancelled": False, "updated_at": "2026-01-01T10:00:00Z"}
    change(tasks)
    target.write_text(json.dumps(tasks), "utf-8")
    return target


def near(a: Any, b: Any) -> bool:
    return (a is None and b is None) or bool(np.abs(np.asarray(a, float) - np.asarray(b, float)).max() <= 1e-6)


# -- out ------------------------------------------------------------------------------------------------


def test_bccd_goes_out_in_the_published_format_and_comes_back_equal(shared_data: Path, tmp_path: Path) -> None:
    bccd = shared_data / "bccd"
    p = ea.Project.from_coco(bccd / "annotations.json", bccd / "images", tmp_path / "p.eaw")
    done = p.items.to_label_studio(tmp_path / "tasks.json", verify=True)
    assert (done.items, done.labels, done.notes, done.verified) == (364, 4886, [], True)
    jsonschema.validate(tasks_of(tmp_path / "tasks.json")[:60], TASKS)
    q = ea.Project.from_folder(bccd / "images", tmp_path / "q.eaw", classes=False)
    assert q.add_labels(tmp_path / "tasks.json").labels == 4886
    a, b = (x.objects.df.sort("item_id", "label_id") for x in (p, q))
    assert a.select("label_id", "item_id", "uri", "kind", "class_name").equals(
        b.select("label_id", "item_id", "uri", "kind", "class_name")
    )
    assert float(np.abs(a.select("x", "y", "w", "h").to_numpy() - b.select("x", "y", "w", "h").to_numpy()).max()) < 1e-6


def test_every_kind_of_label_goes_out_in_the_published_format_and_comes_back(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    done = p.items.to_label_studio(tmp_path / "tasks.json", verify=True)
    jsonschema.validate(tasks_of(tmp_path / "tasks.json"), TASKS)
    assert [n.split(": ")[0] for n in done.notes] == ["1 polygons of several parts", "1 lines", "1 poses"]
    q = ea.Project.from_folder(tmp_path / "images", tmp_path / "q.eaw", classes=False)
    assert q.add_labels(tmp_path / "tasks.json").labels == 10
    a, b = (x.objects.df.sort("class_name", "item_id") for x in (p, q))
    assert a["kind"].to_list() == b["kind"].to_list()
    for one, other in zip(a.iter_rows(named=True), b.iter_rows(named=True), strict=True):
        assert near([one[c] for c in ("x", "y", "w", "h")], [other[c] for c in ("x", "y", "w", "h")]), one["class_name"]
        assert (one["rle"], one["mask_h"], one["mask_w"]) == (other["rle"], other["mask_h"], other["mask_w"])
        assert near(one["angle"] or 0, other["angle"] or 0)
        if one["class_name"] not in ("parts", "pose"):
            assert near(one["points"], other["points"])
    pose = b.filter(pl.col("class_name") == "pose").row(0, named=True)
    assert (pose["visibility"], pose["points"][:4]) == ([2, 1, 0], [5, 5, 20, 10])
    assert q.classifications.df["class_name"].to_list() == ["sunny"]


def test_polygons_of_several_parts_keep_their_area(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "polygons"
    p = ea.Project.from_coco(data / "annotations.json", data, tmp_path / "p.eaw")
    p.items.to_label_studio(tmp_path / "tasks.json", verify=True)
    jsonschema.validate(tasks_of(tmp_path / "tasks.json"), TASKS)
    q = ea.Project.from_folder(p.df["uri"].to_list(), tmp_path / "q.eaw", classes=False)
    q.add_labels(tmp_path / "tasks.json")

    def area(points: list[float]) -> float:
        x, y = np.asarray(points).reshape(-1, 2).T
        return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)

    by_id = dict(zip(q.objects.df["label_id"], q.objects.df["points"], strict=True))
    several = 0
    for row in p.objects.df.iter_rows(named=True):
        parts = row.get("rings") or [len(row["points"]) // 2]
        cuts = np.cumsum([0, *parts]) * 2
        wanted = sum(area(row["points"][a:b]) for a, b in pairwise(cuts))
        assert area(by_id[row["label_id"]]) == pytest.approx(wanted, rel=1e-9)
        several += len(parts) > 1
    assert several


def test_a_verified_export_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    from encord_active_widgets.exchange.verifying import compare_returned
    from encord_active_widgets.importing.labelling import read_labels

    p = drawn(tmp_path)
    p.items.to_label_studio(tmp_path / "t.json")
    tasks = tasks_of(tmp_path / "t.json")
    tasks[0]["annotations"][0]["result"][0]["value"]["x"] += 1e-4
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    source = read_labels(p, tmp_path / "t.json", images=None, kind=None)
    with pytest.raises(ProjectError, match="1 labels"):
        compare_returned(tmp_path / "t.json", source, p.df, p.labels.df)


def test_predictions_are_offered_with_their_model_and_score_and_no_label_is_made_of_them(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    rows = {"item_id": p.df["item_id"].to_list(), "class_name": ["box", "box"], "confidence": [0.9, 0.4]}
    p.add_predictions("m", pl.DataFrame({**rows, "x": [1.0, 2.0], "y": [1.0, 2.0], "w": [9.0, 9.0], "h": [5.0, 5.0]}))
    p.filter(pl.col("uri").str.ends_with("b.png")).to_label_studio(tmp_path / "t.json", predictions="m", verify=True)
    tasks = tasks_of(tmp_path / "t.json")
    jsonschema.validate(tasks, TASKS)
    assert [(q["model_version"], q["score"]) for q in tasks[0]["predictions"]] == [("m", 0.4)]
    assert tasks[0]["predictions"][0]["result"][0]["score"] == 0.4
    assert p.add_labels(tmp_path / "t.json").labels == 0
    accepted = json.loads(json.dumps(tasks[0]["predictions"][0]["result"]))

    def accept(tasks: Any) -> None:
        tasks[0]["annotations"][0]["result"] += accepted

    back = returned(tmp_path / "t.json", tmp_path / "back.json", accept)
    assert p.add_labels(back).labels == 1
    assert p.add_labels(back) == p.add_labels(back)
    assert len(p.objects) == 10
    with pytest.raises(EawError, match="no run"):
        p.items.to_label_studio(tmp_path / "t.json", predictions="mm")


def test_the_interface_holds_the_tools_in_use_and_the_classes(tmp_path: Path) -> None:
    from xml.etree import ElementTree as ET

    p = drawn(tmp_path)
    p.items.to_label_studio(tmp_path / "t.json")
    root = ET.parse(tmp_path / "t.interface.xml").getroot()
    assert root.tag == "View"
    assert root.find("Image").attrib["value"] == "$image"
    tools = {e.attrib["name"]: e.tag for e in root if e.tag != "Image"}
    assert tools == {
        "box": "RectangleLabels",
        "polygon": "PolygonLabels",
        "keypoint": "KeyPointLabels",
        "brush": "BrushLabels",
        "class": "Choices",
    }
    used = {r["from_name"] for t in tasks_of(tmp_path / "t.json") for a in t["annotations"] for r in a["result"]}
    assert used == set(tools)
    assert "turned" in {label.attrib["value"] for label in root.find("RectangleLabels")}
    assert [c.attrib["value"] for c in root.find("Choices")] == ["sunny"]


def test_addresses_are_those_that_label_studio_serves(tmp_path: Path) -> None:
    drawn(tmp_path)
    (tmp_path / "images").rename(tmp_path / "my images")
    p = ea.Project.from_folder(tmp_path / "my images", tmp_path / "q.eaw", classes=False)
    p.items.to_label_studio(tmp_path / "t.json", root=tmp_path)
    assert tasks_of(tmp_path / "t.json")[0]["data"]["image"] == "/data/local-files/?d=my%20images/a.png"
    p.items.to_label_studio(tmp_path / "out" / "t.json", root=tmp_path / "out", images="copy")
    assert tasks_of(tmp_path / "out" / "t.json")[1]["data"]["image"] == "/data/local-files/?d=images/b.png"
    assert (tmp_path / "out" / "images" / "b.png").exists()
    with pytest.raises(InputError, match="root="):
        p.items.to_label_studio(tmp_path / "t.json", root=tmp_path / "out")
    with pytest.raises(InputError, match="nothing to hand over"):
        p.items.head(0).to_label_studio(tmp_path / "t.json")
    with pytest.raises(InputError, match=r"no name of a \.json file"):
        p.items.to_label_studio(tmp_path / "out")


# -- the loop -------------------------------------------------------------------------------------------


def test_the_loop_of_choosing_annotating_and_taking_back_is_one_story(shared_data: Path, tmp_path: Path) -> None:
    bccd = shared_data / "bccd"
    p = ea.Project.from_coco(bccd / "annotations.json", bccd / "images", tmp_path / "p.eaw")
    chosen = p.sample(5, seed=1)
    chosen.to_label_studio(tmp_path / "t.json", verify=True)
    before = {r["label_id"]: r for r in chosen.objects().df.iter_rows(named=True)}
    seen: dict[str, str] = {}

    def annotate(tasks: Any) -> None:
        results = tasks[0]["annotations"][0]["result"]
        seen["renamed"] = results[0]["meta"]["label_id"].partition("/")[2].partition("~")[0]
        results[0]["value"]["rectanglelabels"] = ["Platelets" if "WBC" in str(results[0]) else "WBC"]
        seen["moved"] = results[1]["meta"]["label_id"].partition("/")[2].partition("~")[0]
        results[1]["value"]["x"] += 100 * 3 / 640
        seen["gone"] = results.pop(2)["meta"]["label_id"].partition("/")[2].partition("~")[0]
        region = {"type": "rectanglelabels", "from_name": "box", "to_name": "image", "id": "Dx_aB91ISN"}
        value = {"x": 50, "y": 50, "width": 10, "height": 10, "rotation": 0, "rectanglelabels": ["RBC"]}
        results.append({**region, "original_width": 640, "original_height": 480, "value": value})

    back = returned(tmp_path / "t.json", tmp_path / "back.json", annotate)
    done = p.add_labels(back)
    assert (done.labels, done.labels_changed, done.labels_gone) == (1, 2, 1)
    assert done.labels_unchanged == len(before) - 3
    assert len(p.objects) == 4887  # one more; the moved one took the place of the old one
    changes = p.changes()
    assert set(changes["change"]) == {"relabelled", "moved"}
    moved = changes.filter(pl.col("change") == "moved").row(0, named=True)
    assert moved["x"] - moved["x_before"] == pytest.approx(3, abs=1e-6)
    assert "took it away" in p.problems["why"].to_list()[-1]
    new = p.objects.df.filter(pl.col("annotator") == "ann@example.org", pl.col("w") == 64).row(0, named=True)
    assert near([new[c] for c in ("x", "y", "w", "h")], [320, 240, 64, 48])
    history = p.history()
    assert history["what"].to_list()[:2] == ["added 364 images and 4,886 labels", "added 1 label"]
    assert history["kind"].to_list() == ["add", "add", "correct"]
    assert history["at"].is_sorted()
    again = p.add_labels(back)
    assert (again.labels, again.labels_changed, len(p.objects)) == (0, 0, 4887)
    p.undo()
    assert p.changes().is_empty()
    rows = p.objects.by_ids([seen["moved"], seen["renamed"]]).df
    for row in rows.iter_rows(named=True):
        assert row["class_name"] == before[row["label_id"]]["class_name"]
        assert row["x"] == before[row["label_id"]]["x"]
    assert len(p.objects) == 4887
    assert p.add_labels(back).labels_changed == 2
    assert len(p.objects) == 4887
    assert p.history()["kind"].to_list() == ["add", "add", "correct", "undo", "correct"]
    assert ea.open(p.path).objects.df["x"].sum() == p.objects.df["x"].sum()
    p.add_labels(back, delete_gone=True)
    assert len(p.objects) == 4886
    assert seen["gone"] not in p.objects.ids.to_list()
    p.undo()
    assert seen["gone"] in p.objects.ids.to_list()


def test_a_class_of_an_image_that_was_corrected_is_an_edit_and_a_new_one_is_added(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.items.to_label_studio(tmp_path / "t.json")

    def annotate(tasks: Any) -> None:
        choice = next(r for r in tasks[0]["annotations"][0]["result"] if r["type"] == "choices")
        choice["value"]["choices"] = ["rainy"]
        del choice["id"], choice["meta"]  # an annotator that answered anew
        new = {"type": "choices", "from_name": "class", "to_name": "image", "id": "x", "value": {"choices": ["foggy"]}}
        tasks[1]["annotations"][0]["result"].append(new)

    done = p.add_labels(returned(tmp_path / "t.json", tmp_path / "b.json", annotate))
    assert (done.labels, done.labels_changed, done.labels_gone) == (1, 1, 0)
    assert p.df["class_name"].to_list() == ["rainy", "foggy"]
    p.undo()
    assert p.df["class_name"].to_list() == ["sunny", "foggy"]


def test_labels_of_another_project_are_not_taken_for_corrections(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.items.to_label_studio(tmp_path / "t.json")
    q = ea.Project.from_folder(
        tmp_path / "images",
        tmp_path / "q.eaw",
        classes=False,
        labels=lambda _: {"class_name": "z", "x": 5, "y": 5, "w": 5, "h": 5},
    )
    assert q.objects.ids[0] in p.objects.ids.to_list()  # the same id for another label
    done = q.add_labels(tmp_path / "t.json")
    assert (done.labels, done.labels_changed) == (10, 0)
    assert len(q.objects) == 11


def test_who_drew_a_label_and_its_track_go_along(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "a.png")
    row = {"class_name": "z", "x": 5, "y": 5, "w": 5, "h": 5, "annotator": "bob", "track_id": "7"}
    p = ea.Project.from_folder(tmp_path / "images", tmp_path / "p.eaw", classes=False, labels=lambda _: row)
    p.items.to_label_studio(tmp_path / "t.json", verify=True)
    q = ea.Project.from_folder(tmp_path / "images", tmp_path / "q.eaw", classes=False)
    q.add_labels(tmp_path / "t.json")
    assert q.objects.df.select("annotator", "track_id").rows() == [("bob", "7")]


def test_what_was_deleted_here_meanwhile_stays_deleted_and_is_said(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.items.to_label_studio(tmp_path / "t.json")
    p.objects.filter(pl.col("class_name") == "area").delete_label()

    def annotate(tasks: Any) -> None:
        result = tasks[0]["annotations"][0]["result"]
        next(r for r in result if "area" in str(r["value"]))["value"]["polygonlabels"] = ["field"]

    done = p.add_labels(returned(tmp_path / "t.json", tmp_path / "b.json", annotate))
    assert (done.labels, done.labels_changed, len(p.objects)) == (0, 0, 8)
    assert "deleted here meanwhile" in p.problems["why"][-1]


def test_two_annotators_on_one_task_are_both_kept_and_their_time_is_shared_out(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.filter(pl.col("uri").str.ends_with("b.png")).to_label_studio(tmp_path / "t.json")

    def annotate(tasks: Any) -> None:
        first = tasks[0]["annotations"][0]
        second = json.loads(json.dumps(first)) | {"id": 7, "completed_by": 5, "lead_time": 30, "updated_at": "2027"}
        second["result"][0]["value"]["width"] = 50
        extra = json.loads(json.dumps(second["result"][0])) | {"id": "new", "meta": {}}
        extra["value"]["y"] = 50
        extra["value"]["height"] = 25
        second["result"].append(extra)
        cancelled = json.loads(json.dumps(first)) | {"was_cancelled": True}
        tasks[0]["annotations"] += [second, cancelled]

    back = returned(tmp_path / "t.json", tmp_path / "b.json", annotate)
    done = p.add_labels(back)
    # The later answer corrects the label, the other annotator's stays as a label of their own beside it.
    assert (done.labels, done.labels_changed, done.labels_unchanged) == (2, 1, 0)
    mine = p.objects.df.filter(pl.col("uri").str.ends_with("b.png"))
    assert mine.filter(pl.col("annotator") == "5")["seconds"].to_list() == [15.0, 15.0]
    assert "cancelled by ann@example.org" in " ".join(p.problems["why"])
    n = len(p.objects)
    again = p.add_labels(back)
    assert (again.labels, again.labels_changed, len(p.objects)) == (0, 0, n)


def test_json_min_is_read_too(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.items.to_label_studio(tmp_path / "t.json")
    rows = []
    for i, task in enumerate(tasks_of(tmp_path / "t.json")):
        row: dict[str, Any] = {**task["data"], "id": i, "annotator": 3, "annotation_id": 50 + i, "lead_time": 4.0}
        for r in task["annotations"][0]["result"]:
            if r["type"] == "choices":
                row["class"] = r["value"]["choices"][0]
            elif r["type"] != "keypointlabels" or "point" not in r["meta"]:
                size = {k: r[k] for k in ("original_width", "original_height")}
                row.setdefault(r["from_name"], []).append({**r["value"], **size})
        rows.append(row)
    rows[0]["box"][0]["rectanglelabels"] = ["cat"]
    (tmp_path / "min.json").write_text(json.dumps(rows))
    done = p.add_labels(tmp_path / "min.json")
    assert (done.labels, done.labels_changed, done.labels_gone) == (0, 1, 1)  # JSON-MIN cannot say what a pose is
    assert "cat" in p.objects.df["class_name"].to_list()
    q = ea.Project.from_folder(tmp_path / "images", tmp_path / "q.eaw", classes=False)
    assert q.add_labels(tmp_path / "min.json").labels == 9
    assert q.objects.df["annotator"].unique().to_list() == ["3"]


# -- in -------------------------------------------------------------------------------------------------


def export(path: Path, results: list[Any], *, image: str = "a.png", **task: Any) -> Path:
    annotation = {"id": 1, "result": results, "was_cancelled": False, "completed_by": 10, "lead_time": 4.288}
    path.write_text(json.dumps([{"id": 1, "data": {"image": image}, "annotations": [annotation], **task}]))
    return path


def rectangle(**value: Any) -> dict[str, Any]:
    base = {"x": 50.8, "y": 5.5, "width": 12.4, "height": 10.5, "rotation": 0, "rectanglelabels": ["Moonwalker"]}
    return {
        "id": "Dx_aB91ISN", "from_name": "tag", "to_name": "img", "source": "$image", "type": "rectanglelabels",
        "original_width": 200, "original_height": 100, "value": {**base, **value},
    }  # fmt: skip


def test_the_example_of_the_documentation_is_read(tmp_path: Path) -> None:
    source = read_label_studio(export(tmp_path / "e.json", [rectangle()], image="https://example.com/1.jpg"))
    row = source.labels.row(0, named=True)
    assert near([row[c] for c in ("x", "y", "w", "h")], [101.6, 5.5, 24.8, 10.5])
    assert (row["class_name"], row["annotator"], row["seconds"]) == ("Moonwalker", "10", 4.288)
    assert source.faults == []


def test_a_turned_rectangle_lies_where_label_studio_draws_it(tmp_path: Path) -> None:
    # 90° clockwise about its upper left corner: a box to the right becomes one below, to the left of the corner.
    source = read_label_studio(export(tmp_path / "e.json", [rectangle(x=50, y=10, width=10, height=20, rotation=90)]))
    row = source.labels.row(0, named=True)
    centre = (row["x"] + row["w"] / 2, row["y"] + row["h"] / 2)
    assert near(centre, (100 - 20 / 2, 10 + 20 / 2))
    assert (row["kind"], row["angle"]) == ("rotated_box", 90)


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/3/1a2b3c4d-a.png",
        "https://example.com/bucket/a.png?X-Signature=abc",
        "s3://bucket/images/a.png",
        "/data/local-files/?d=images/a.png",
        "images/a.png",
        "a.png",
    ],
)
def test_addresses_of_label_studio_find_their_image(tmp_path: Path, image: str) -> None:
    p = drawn(tmp_path)
    assert p.add_labels(export(tmp_path / "e.json", [rectangle()], image=image)).labels == 1
    assert p.objects.df.filter(pl.col("class_name") == "Moonwalker")["uri"][0].endswith("a.png")


def test_an_image_of_two_names_alike_is_not_guessed(tmp_path: Path) -> None:
    for n in ("x", "y"):
        (tmp_path / n).mkdir()
        Image.new("RGB", (64, 48)).save(tmp_path / n / "a.png")
    p = ea.Project.from_folder(tmp_path, tmp_path / "p.eaw", classes=False)
    assert p.add_labels(export(tmp_path / "e.json", [rectangle()], image="/data/local-files/?d=y/a.png")).labels == 1
    assert p.objects.df["uri"][0].endswith("y/a.png")
    with pytest.raises(InputError, match="is in the project"):
        p.add_labels(export(tmp_path / "e.json", [rectangle()], image="/data/upload/1/1a2b3c4d-a.png"))


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (rectangle(x="left"), "no per cent"),
        (rectangle(x=1e9), "no per cent"),
        (rectangle(width=0), "no area"),
        (rectangle(rectanglelabels=[]), "no class"),
        (rectangle(x=101), "outside its image"),
        (rectangle(x=-20), "outside its image"),
        (rectangle(y=150, rotation=10), "outside its image"),
        (
            {**rectangle(), "value": {"points": [[101, 2], [120, 4], [105, 9]], "polygonlabels": ["a"]}},
            "outside its image",
        ),
        (rectangle(rotation=None), "no per cent"),
        ({**rectangle(), "image_rotation": 90}, "turned in Label Studio"),
        ({**rectangle(), "original_width": None}, "no size"),
        ({"type": "textarea", "value": {"text": ["hello"]}}, "draws no label"),
        ({"type": "relation", "from_id": "a", "to_id": "b"}, "draws no label"),
        ({"type": "choices", "value": {"choices": [["a", "b"]]}}, "no list of texts"),
        ({**rectangle(), "value": {"points": [[1, 2], [3, 4]], "polygonlabels": ["a"]}}, "fewer than three"),
        ({**rectangle(), "value": {"points": [[1, 2], [3]], "polygonlabels": ["a"]}}, "no per cent"),
        ({**rectangle(), "value": {"format": "rle", "rle": [1, 2, 3], "brushlabels": ["a"]}}, "too early"),
        ({**rectangle(), "value": {"rle": [0, 1, 56, 128, 57, 39, 127, 0], "brushlabels": ["a"]}}, "mask"),
        ({**rectangle(), "value": {"rle": "abc", "brushlabels": ["a"]}}, "no list of bytes"),
        (5, "no object"),
    ],
)
def test_what_cannot_be_used_is_listed_with_its_place_and_the_rest_read(tmp_path: Path, result: Any, why: str) -> None:
    source = read_label_studio(export(tmp_path / "e.json", [result, rectangle()]))
    assert source.labels.height == 1
    assert why in source.faults[0].why
    assert source.faults[0].where.startswith("e.json: task 1")


def test_what_is_odd_but_plain_is_kept_and_listed(tmp_path: Path) -> None:
    ellipse = {**rectangle(), "type": "ellipselabels"}
    ellipse["value"] = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0, "ellipselabels": ["egg"]}
    source = read_label_studio(export(tmp_path / "e.json", [rectangle(x=-3), ellipse]))
    assert source.labels["kind"].to_list() == ["box", "polygon"]
    assert near(source.labels.row(1, named=True)["x"], 80)
    assert [f.what for f in source.faults] == ["kept", "kept"]
    assert "partly outside its image" in source.faults[0].why
    assert source.labels.row(0, named=True)["x"] == -6  # as it was drawn
    beside = {"id": "Dx_aB91ISN", "type": "choices", "from_name": "quality", "value": {"choices": ["blurred"]}}
    source = read_label_studio(export(tmp_path / "e.json", [rectangle(), beside]))
    assert source.labels.height == 1
    assert json.loads(source.labels["extra"][0])["label_studio"]["beside"] == {"quality": {"choices": ["blurred"]}}


def test_an_export_without_sizes_takes_those_of_the_project(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    result = rectangle(x=50, y=50, width=25, height=25)
    del result["original_width"], result["original_height"]
    assert p.add_labels(export(tmp_path / "e.json", [result])).labels == 1
    row = p.objects.df.filter(pl.col("class_name") == "Moonwalker").row(0, named=True)
    assert [row[c] for c in ("x", "y", "w", "h")] == [32, 24, 16, 12]


def test_coco_and_label_studio_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.items.to_coco(tmp_path / "c.json")
    p.items.to_label_studio(tmp_path / "l.json")
    one = tmp_path / "one.json"
    one.write_text(json.dumps(tasks_of(tmp_path / "l.json")[0]))
    q = ea.Project.from_folder(tmp_path / "images", tmp_path / "q.eaw", classes=False)
    assert q.add_labels(one).labels == 9
    r = ea.Project.from_folder(tmp_path / "images", tmp_path / "r.eaw", classes=False)
    assert r.add_labels(tmp_path / "c.json", images=tmp_path / "images").labels == 9
    with pytest.raises(InputError, match="expected an object"):
        r.add_labels(tmp_path / "l.json", format="coco")
    results = tmp_path / "results.json"
    results.write_text('[{"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.5}]')
    with pytest.raises(InputError, match="add_predictions"):
        r.add_labels(results)


# -- laws -----------------------------------------------------------------------------------------------

coordinate = st.floats(0, 4000, allow_nan=False)


@given(coordinate, st.integers(1, 20_000))
def test_a_coordinate_comes_back_from_per_cent(value: float, side: int) -> None:
    assert abs(percent(value, side) * side / 100 - value) <= 1e-6


@given(
    st.tuples(coordinate, coordinate, st.floats(0.5, 2000), st.floats(0.5, 2000)),
    st.floats(-720, 720),
    st.tuples(st.integers(1000, 5000), st.integers(1000, 5000)),
)
def test_a_turned_box_comes_back_where_it_was(box: tuple[float, ...], angle: float, size: tuple[int, int]) -> None:
    row = dict(zip(("x", "y", "w", "h"), box, strict=True)) | {"kind": "rotated_box", "angle": angle, "points": None}
    _, value, meta = _value(row, size)
    found = shape({"meta": meta}, value, size)
    assert isinstance(found, dict)
    assert found["kind"] == "rotated_box"
    assert near([found[c] for c in ("x", "y", "w", "h", "angle")], [*box, angle])


def reference_decode(packed: list[int]) -> np.ndarray:
    """Unpack by the description of thi.ng's rle-pack, a bit at a time, as text."""
    bits = "".join(f"{b:08b}" for b in packed)
    at = 0

    def take(n: int) -> int:
        nonlocal at
        at += n
        return int(bits[at - n : at], 2)

    n, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < n:
        same, length = take(1), take(sizes[take(2)]) + 1
        out += [take(word)] * length if same else [take(word) for _ in range(length)]
    return np.array(out)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_brush_mask_is_packed_as_label_studio_unpacks_it(h: int, w: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    mask = np.repeat(np.repeat(rng.random((h, w)) < share, 3, axis=0), 3, axis=1)
    packed = encode_brush(mask.astype(np.uint8))
    assert np.array_equal(reference_decode(packed).reshape(*mask.shape, 4)[..., 3] > 0, mask)
    assert np.array_equal(decode_brush(packed, *mask.shape), mask)


def test_literal_runs_of_label_studio_are_unpacked() -> None:
    # Four values a pixel, not repeated: as its editor writes strokes with soft edges.
    values = [10, 20, 30, 0, 10, 20, 30, 255]
    bits = f"{8:032b}{7:05b}" + "".join(f"{s - 1:04b}" for s in (3, 4, 8, 16)) + "000" + f"{7:03b}"
    bits += "".join(f"{v:08b}" for v in values)
    bits += "0" * (-len(bits) % 8)
    packed = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert decode_brush(packed, 1, 2).tolist() == [[0, 1]]
    with pytest.raises(InputError, match="too early"):
        decode_brush(packed[:-2], 1, 2)


def test_a_long_mask_is_packed_in_runs_that_fit() -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[100:290] = 1
    assert np.array_equal(reference_decode(encode_brush(mask))[3::4].reshape(300, 400) > 0, mask)
    assert masks.area([masks.encode(decode_brush(encode_brush(mask), 300, 400))], 300, 400).tolist() == [190 * 400]


# -- rubbish --------------------------------------------------------------------------------------------

_WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([]), st.just({}), st.just([[1]]),
    st.just("\ud800"), st.just(10**400),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for k, v in inner for p in places(v, (*path, k)))]


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ea.Project, str]:
    folder = tmp_path_factory.mktemp("rubbish")
    p = drawn(folder)
    p.items.to_label_studio(folder / "t.json")
    shutil.copy(folder / "t.json", folder / "w.json")
    return p, (folder / "t.json").read_text("utf-8")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_wrong_values_anywhere_give_named_errors_and_leave_usable_labels(
    handed: tuple[ea.Project, str], data: st.DataObject
) -> None:
    p, text = handed
    tasks = json.loads(text)
    path = data.draw(st.sampled_from([q for q in places(tasks) if "rle" not in q[:-1]]))
    wrong = data.draw(_WRONG)
    if path:
        at = tasks
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = wrong
    else:
        tasks = wrong
    file = p.path.parent / "w.json"
    file.write_text(json.dumps(tasks))
    from encord_active_widgets.importing.labelling import read_labels

    try:
        labels = read_labels(p, file, images=None, kind="label_studio").labels
    except EawError:
        return
    assert labels is not None
    assert labels["kind"].null_count() == 0
    boxes = labels.filter(pl.col("kind").is_in(["box", "rotated_box"]))
    assert bool(((boxes["w"] > 0) & (boxes["h"] > 0)).all())
    assert bool(labels["x"].is_finite().fill_null(value=True).all())
    assert all(math.isfinite(v) for r in labels["points"].drop_nulls() for v in r)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_files_that_are_cut_off_are_refused_and_nothing_is_written(
    handed: tuple[ea.Project, str], data: st.DataObject
) -> None:
    p, text = handed
    file = p.path.parent / "w.json"
    file.write_text(text[: data.draw(st.integers(0, len(text.rstrip()) - 1))])
    before = len(p.labels)
    with pytest.raises(EawError):
        p.add_labels(file)
    assert len(p.labels) == before
