"""What lies on the disk becomes a project, and what cannot be used is said."""

from __future__ import annotations

import json
import shutil

import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea


def test_a_folder_becomes_a_project_beside_the_user(eaw, shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = eaw("init", shared_data / "polygons", "--project", "three.eaw", "--json")
    assert done.code == 0, done.stderr
    assert done.json["items"] == len(ea.open("three.eaw")) == 3
    again = eaw("import", "folder", shared_data / "polygons", "--project", "three.eaw")
    assert again.code == 0
    assert "3 images" in again.stdout


def test_images_are_added_to_a_project_that_is_there(eaw, shared_data, tmp_path):
    home, more = tmp_path / "p.eaw", tmp_path / "more"
    assert eaw("init", shared_data / "polygons", "--project", home).code == 0
    more.mkdir()
    Image.new("RGB", (60, 50)).save(more / "new.png")
    refused = eaw("import", "folder", more, "--project", home)
    assert refused.code == 2
    assert "already holds a project" in refused.stderr
    assert eaw("import", "folder", more, "--project", home, "--add", "--json").json["items"] == 4


@pytest.mark.parametrize("kind", ["coco", "voc"])
def test_labelled_sets_are_imported_as_python_does_it(eaw, shared_data, tmp_path, kind):
    bccd, home = shared_data / "bccd", tmp_path / "p.eaw"
    if kind == "coco":
        words = ["coco", bccd / "annotations.json", "--images", bccd / "images"]
        same = ea.Project.from_coco(bccd / "annotations.json", bccd / "images", tmp_path / "q.eaw")
    else:
        folder = next(p.parent for p in (bccd / "voc").rglob("*.xml"))
        words = ["voc", folder, "--images", bccd / "images"]
        same = ea.Project.from_voc(folder, bccd / "images", tmp_path / "q.eaw")
    done = eaw("import", *words, "--project", home, "--json")
    assert done.code == 0, done.stderr
    assert done.json["objects"] == len(same.objects) > 4800
    assert done.json["problems"] == same.problems.height
    assert "eaw info --problems" not in done.stdout


def test_yolo_comes_back(eaw, project, tmp_path):
    assert eaw("export", "yolo", tmp_path / "yolo", "--images", "link").code == 0
    done = eaw("import", "yolo", tmp_path / "yolo" / "data.yaml", "--project", tmp_path / "y.eaw", "--json")
    assert done.code == 0, done.stderr
    assert done.json["objects"] == len(project.objects)


def test_frames_of_a_video_are_items(eaw, tmp_path):
    av = pytest.importorskip("av", reason="the extra video is not installed")
    with av.open(str(tmp_path / "clip.mp4"), "w") as clip:
        stream = clip.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for k in range(12):
            picture = av.VideoFrame.from_image(Image.new("RGB", (64, 64), (20 * k, 0, 0)))
            clip.mux(stream.encode(picture))
        clip.mux(stream.encode())
    done = eaw("import", "video", tmp_path / "clip.mp4", "--every", 3, "--project", tmp_path / "v.eaw", "--json")
    assert done.code == 0, done.stderr
    assert done.json["items"] == 4


def test_a_table_becomes_a_project_and_more_labels_are_added(eaw, shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted((shared_data / "photos").glob("*"))[:3]
    pl.DataFrame({"path": [str(f) for f in files], "class_name": ["a", "a", "b"]}).write_csv("rows.csv")
    done = eaw("import", "frame", "rows.csv", "--json")
    assert done.code == 0, done.stderr
    assert (done.json["project"], done.json["classifications"]) == ("rows.eaw", 3)
    boxes = {"path": [str(files[0])], "class_name": ["x"], "x": [1.0], "y": [1.0], "w": [20.0], "h": [20.0]}
    pl.DataFrame(boxes).write_parquet("boxes.parquet")
    added = eaw("import", "frame", "boxes.parquet", "--project", "rows.eaw", "--add", "--json")
    assert added.json["objects"] == 1
    (tmp_path / "rows.xlsx").write_bytes(b"no")
    assert "There is no kind of table" in eaw("import", "frame", "rows.xlsx").stderr


def test_labels_are_added_to_images_that_are_there(eaw, cells, shared_data, tmp_path):
    home = tmp_path / "p.eaw"
    assert eaw("init", shared_data / "bccd" / "images", "--project", home).code == 0
    done = eaw("import", "coco", cells / "annotations.json", "--project", home, "--add", "--json")
    assert done.code == 0, done.stderr
    assert done.json["items"] == 364
    assert done.json["objects"] > 600


def test_predictions_are_imported(eaw, cells, project, tmp_path):
    done = eaw("import", "predictions", cells / "results.json", "--run", "yolo", "--json")
    assert done.code == 0, done.stderr
    assert done.json["predictions"] == len(ea.open(project.path).predictions["yolo"]) > 600
    again = eaw("import", "predictions", cells / "results.json", "--run", "yolo")
    assert again.code == 2
    assert "pass --replace." in again.stderr
    assert eaw("import", "predictions", cells / "results.json", "--run", "yolo", "--replace").code == 0
    missing = eaw("import", "predictions", cells / "results.json", "--run", "y", "--project", tmp_path / "no")
    assert missing.code == 2
    assert "does not exist" in missing.stderr


def test_what_is_missing_is_said_and_advice_names_options(eaw, tmp_path):
    Image.new("RGB", (60, 50)).save(tmp_path / "a.png")
    made = ea.Project.from_folder([tmp_path / "a.png"], tmp_path / "p.eaw")
    table = tmp_path / "m.csv"
    table.write_text("path,class_name,confidence,x,y,w,h\na,cat,0.5,1,1,20,20\nb,cat,0.5,1,1,20,20\n")
    done = eaw("import", "predictions", table, "--run", "m", "--project", made.path)
    assert done.code == 0
    assert "1 skipped: see `eaw info --problems`." in done.stderr
    table.write_text("path,class_name,confidence,x,y,w,h\na,cat,0.5,0.1,0.1,0.2,0.2\n")
    done = eaw("import", "predictions", table, "--run", "n", "--project", made.path)
    assert done.code == 2
    assert "--box-format xywhn" in done.stderr


def test_strict_writes_nothing(eaw, shared_data, tmp_path):
    truth = shared_data / "bccd" / "annotations.json"
    home = tmp_path / "p.eaw"
    done = eaw("import", "coco", truth, "--images", shared_data / "bccd" / "images", "--project", home, "--strict")
    assert done.code == 2
    assert not home.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("init", "no-such-folder"),
        ("import", "coco", "no.json"),
        ("import", "voc", "no", "--images", "no"),
        ("import", "yolo", "no.yaml"),
        ("import", "frame", "no.csv"),
        ("import", "video", "no.mp4"),
    ],
)
def test_what_is_not_there_is_told_without_a_traceback(eaw, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    done = eaw(*words)
    assert done.code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("*.eaw")) == []


def test_a_damaged_file_is_bad_input_not_a_fault(eaw, shared_data, tmp_path):
    file = tmp_path / "a.json"
    shutil.copy(shared_data / "bccd" / "annotations.json", file)
    file.write_text(file.read_text()[:5000])
    done = eaw("import", "coco", file, "--images", tmp_path, "--project", tmp_path / "p.eaw")
    assert done.code == 2
    assert "Traceback" not in done.stderr
    assert json.dumps(str(tmp_path))[1:-1] in done.stderr
