"""YOLO datasets in and out: every task, the classes' own numbers, and rows that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EawError, InputError, UnknownNameError
from encord_active_widgets.formats.yolo import read_yolo

NAMES = {0: "cat", 3: "dog"}


def dataset(folder: Path, rows: str, **more: object) -> Path:
    (folder / "images" / "train").mkdir(parents=True, exist_ok=True)
    (folder / "labels" / "train").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (200, 100)).save(folder / "images" / "train" / "a.png")
    Image.new("RGB", (200, 100)).save(folder / "images" / "train" / "empty.png")
    (folder / "labels" / "train" / "a.txt").write_text(rows)
    config = {"path": ".", "train": "images/train", "val": "images/train", "names": NAMES, **more}
    (folder / "data.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_boxes_have_pixels_and_the_classes_of_the_file(tmp_path: Path) -> None:
    p = ea.Project.from_yolo(
        dataset(tmp_path / "in", "0 0.5 0.5 0.2 0.4\n3 0.1 0.2 0.2 0.4\n"), tmp_path / "p.eaw", strict=True
    )
    assert p.objects.df.select("class_name", "kind", "x", "y", "w", "h").rows() == [
        ("cat", "box", 80.0, 30.0, 40.0, 40.0),
        ("dog", "box", 0.0, 0.0, 40.0, 40.0),
    ]
    assert p.df.select("group", "object_count").rows() == [("train", 2), ("train", 0)]


@pytest.mark.parametrize(
    ("task", "row", "kind"),
    [
        ("detect", "3 0.5123456789012345 0.5 0.25 0.125", "box"),
        ("segment", "3 0.1 0.1 0.9 0.1 0.8765432109876 0.9", "polygon"),
        ("obb", "3 0.3 0.2 0.5 0.5 0.4 0.7 0.2 0.4", "rotated_box"),
        ("pose", "3 0.5 0.5 0.4 0.6 0.4 0.4 2 0.6 0.6 1 0 0 0", "keypoints"),
    ],
)
def test_every_task_comes_back(tmp_path: Path, task: str, row: str, kind: str) -> None:
    more = {"kpt_shape": [3, 3]} if task == "pose" else {"task": task}
    if task == "obb":  # a true rectangle in pixels
        corners = np.array([(60, 20), (100, 50), (85, 70), (45, 40)]) / [200, 100]
        row = "3 " + " ".join(repr(float(v)) for v in corners.ravel())
    p = ea.Project.from_yolo(dataset(tmp_path / "in", row, **more), tmp_path / "p.eaw", strict=True)
    assert p.objects.df["kind"].to_list() == [kind]
    done = p.items.to_yolo(tmp_path / "out", verify=True)
    assert done.notes == []
    config = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert config["names"] == NAMES
    text = next((tmp_path / "out" / "labels").rglob("a.txt")).read_text()
    assert np.allclose([float(v) for v in text.split()], [float(v) for v in row.split()], atol=1e-12)
    q = ea.Project.from_yolo(tmp_path / "out", tmp_path / "q.eaw", strict=True)
    for name in ("x", "y", "w", "h"):
        assert q.objects.df[name].to_numpy() == pytest.approx(p.objects.df[name].to_numpy(), abs=1e-9)


def test_a_split_is_one_folder_each_and_other_kinds_are_boxes(shared_data: Path, tmp_path: Path) -> None:
    p = ea.Project.from_coco(shared_data / "bccd" / "annotations.json", path=tmp_path / "p.eaw")
    p.items.split(train=0.6, val=0.2, test=0.2, seed=2)
    done = p.items.to_yolo(tmp_path / "out", images="link", verify=True)
    assert done.labels == 4886
    counts = {s: len(list((tmp_path / "out" / "images" / s).iterdir())) for s in ("train", "val", "test")}
    assert counts == dict(p.df["split"].value_counts().iter_rows())
    q = ea.Project.from_yolo(tmp_path / "out" / "data.yaml", tmp_path / "q.eaw")
    assert q.objects.df["class_name"].value_counts(sort=True).equals(p.objects.df["class_name"].value_counts(sort=True))
    mask = [{"class_name": "m", "mask": np.ones((10, 10), bool)}, {"class_name": "b", "x": 1, "y": 1, "w": 2, "h": 2}]
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    m = ea.Project.from_folder([tmp_path / "a.png"], tmp_path / "m.eaw", labels=lambda _: mask)
    assert m.items.to_yolo(tmp_path / "mask", verify=True).notes == ["1 of kind mask: written as their bounding box"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("0 0.5 0.5 0.2", "at least three pairs"),
        ("0 0.5 0.5 1.2 0.4", "outside of the image"),
        ("0 50 50 20 40", "outside of the image"),
        ("0 0.5 0.5 0 0.4", "no area"),
        ("0 0.5 0.5 nan 0.4", "not finite"),
        ("0 0.5 0.5 1e999 0.4", "not finite"),
        ("7 0.5 0.5 0.2 0.4", "no class 7"),
        ("-1 0.5 0.5 0.2 0.4", "no class -1"),
        ("cat 0.5 0.5 0.2 0.4", "no number"),
        ("0 0.1 0.1 0.2 0.2 0.3", "at least three pairs"),
        ("0 0.1 0.1 0.2 0.2 0.3 7", "outside of the image"),
        ("9" * 5000 + " 0.5 0.5 0.2 0.4", "no class|no number"),
    ],
)
def test_rows_that_cannot_be_used_are_listed_by_file_and_line(tmp_path: Path, row: str, why: str) -> None:
    source = read_yolo(dataset(tmp_path, f"0 0.5 0.5 0.2 0.4\n\n{row}\n"))
    assert source.labels is not None
    assert source.labels.height == 1
    assert [f.where.endswith("a.txt:3") for f in source.faults] == [True]
    assert any(w in source.faults[0].why for w in why.split("|"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("!!python/object/apply:os.system ['touch hacked']", "YAML"),
        ("a: [", "YAML"),
        ("just text", "names and values"),
        ("train: images/train", "names of classes"),
        ("names: {a: 1}\ntrain: images/train", "names of classes"),
        ("names: [a]\ntrain: nowhere", "no images"),
        ("names: [a]\ntrain: 7", "no images"),
    ],
)
def test_a_yaml_that_builds_objects_or_says_nothing_is_refused(
    tmp_path: Path, text: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InputError, match=why):
        read_yolo(tmp_path)
    assert not (tmp_path / "hacked").exists()


def test_lists_of_images_and_an_unknown_task(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "0 0.5 0.5 0.2 0.4")
    (folder / "list.txt").write_text("./images/train/a.png\n")
    config = yaml.safe_load((folder / "data.yaml").read_text()) | {"train": ["list.txt"], "val": None}
    (folder / "data.yaml").write_text(yaml.safe_dump(config))
    source = read_yolo(folder)
    assert [Path(u).name for u in source.items["uri"]] == ["a.png"]
    assert source.labels is not None
    assert source.labels.height == 1
    with pytest.raises(UnknownNameError, match="detect"):
        read_yolo(folder, task="detec")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.sampled_from([None, "detect", "segment", "obb", "pose"]))
def test_no_row_crashes_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str, task: str | None) -> None:
    folder = dataset(tmp_path_factory.getbasetemp() / "yolofuzz", "")
    (folder / "labels" / "train" / "a.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    source = read_yolo(folder, task=task)
    assert source.labels is not None
    assert source.labels.filter(~(pl.col("w") > 0) & (pl.col("kind") == "box")).is_empty()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=120))
def test_no_yaml_crashes_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "yamlfuzz.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(EawError):
        read_yolo(file)
