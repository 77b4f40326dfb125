"""YOLO datasets in and out: every task, the classes' own numbers, and rows that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_masks

import encord_active_widgets as ea
from encord_active_widgets.errors import EawError, InputError, UnknownNameError
from encord_active_widgets.formats.outlines import joined, mask_rings
from encord_active_widgets.formats.yolo import read_yolo
from encord_active_widgets.metrics import masks
from encord_active_widgets.metrics.geometry import geometry_metrics

NAMES = {0: "cat", 3: "dog"}
NO_SPLIT = (
    "no images are in val: validation would be on the images of training; "
    "divide them first with view.split(train=0.8, val=0.2, test=0)"
)


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
    assert [n for n in done.notes if n != NO_SPLIT] == []
    config = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert config["names"] == NAMES
    text = next((tmp_path / "out" / "labels").rglob("a.txt")).read_text()
    assert np.allclose([float(v) for v in text.split()], [float(v) for v in row.split()], atol=1e-12)
    q = ea.Project.from_yolo(tmp_path / "out", tmp_path / "q.eaw", strict=True)
    for name in ("x", "y", "w", "h"):
        assert q.objects.df[name].to_numpy() == pytest.approx(p.objects.df[name].to_numpy(), abs=1e-9)


def test_a_split_is_one_folder_each(shared_data: Path, tmp_path: Path) -> None:
    p = ea.Project.from_coco(shared_data / "bccd" / "annotations.json", path=tmp_path / "p.eaw")
    p.items.split(train=0.6, val=0.2, test=0.2, seed=2)
    done = p.items.to_yolo(tmp_path / "out", images="link", verify=True)
    assert done.labels == 4886
    counts = {s: len(list((tmp_path / "out" / "images" / s).iterdir())) for s in ("train", "val", "test")}
    assert counts == dict(p.df["split"].value_counts().iter_rows())
    q = ea.Project.from_yolo(tmp_path / "out" / "data.yaml", tmp_path / "q.eaw")
    assert q.objects.df["class_name"].value_counts(sort=True).equals(p.objects.df["class_name"].value_counts(sort=True))


def drawn(folder: Path, *labels: dict[str, Any]) -> ea.Project:
    """A project of one image of 200 × 100 px with these labels."""
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (200, 100)).save(folder / "a.png")
    return ea.Project.from_folder([folder / "a.png"], folder / "p.eaw", labels=lambda _: list(labels), strict=True)


def area(p: ea.Project) -> list[float]:
    sizes = pl.DataFrame({"width": [200] * len(p.objects), "height": [100] * len(p.objects)})
    found: list[float] = geometry_metrics(p.objects.df, sizes)["area"].to_list()
    return found


def test_what_the_border_cuts_off_is_said(tmp_path: Path) -> None:
    over = {"class_name": "b", "x": -10, "y": 10, "w": 30, "h": 20}
    away = {"class_name": "b", "x": 300, "y": 10, "w": 30, "h": 20}
    inside = {"class_name": "b", "x": 0, "y": 0, "w": 200, "h": 100}
    ring = {"class_name": "p", "points": [190, 10, 230, 10, 190, 40]}
    boxes = drawn(tmp_path / "boxes", over, away, inside)
    done = boxes.items.to_yolo(tmp_path / "b", verify=True)
    assert done.notes[:2] == ["1 box reaches over the border and is cut there", "1 outside of their images: left out"]
    assert done.labels == 2
    q = ea.Project.from_yolo(tmp_path / "b", tmp_path / "q.eaw", strict=True)
    assert q.objects.df["x"].to_list() == pytest.approx([0, 0], abs=1e-9)
    assert q.objects.df["w"].to_list() == pytest.approx([20, 200])
    done = drawn(tmp_path / "rings", ring, over, over, away).items.to_yolo(tmp_path / "r", verify=True)
    assert done.notes[:3] == [
        "2 boxes reach over the border and are cut there",
        "1 outline reaches over the border: points outside of the image are moved onto it",
        "1 outside of their images: left out",
    ]
    turned = [{**over, "angle": 10}, {**away, "angle": 10}]
    done = drawn(tmp_path / "obb", *turned).items.to_yolo(tmp_path / "o", verify=True)
    assert done.notes[0] == "1 outside of their images: left out"


def test_what_has_no_area_is_left_out_and_said(tmp_path: Path) -> None:
    point = {"class_name": "b", "kind": "point", "points": [10, 10]}
    box = {"class_name": "b", "x": 0, "y": 0, "w": 20, "h": 10}
    ring = {"class_name": "p", "points": [9, 10, 30, 10, 19, 40]}
    for name, labels, n in (("b", [point, box], 1), ("r", [point, box, ring], 2)):
        done = drawn(tmp_path / name, *labels).items.to_yolo(tmp_path / f"out{name}", verify=True)
        assert done.labels == n
        assert "1 without area: left out" in done.notes


def test_masks_stay_the_region_they_were(tmp_path: Path) -> None:
    yy, xx = np.mgrid[:100, :200]
    disc = (xx - 60.5) ** 2 + (yy - 50) ** 2 < 40**2
    ring = disc & ((xx - 60) ** 2 + (yy - 50) ** 2 > 20**2)
    block = np.zeros((100, 200), bool)
    block[20:61, 30:170] = True
    two = block.copy()
    two[:, 90:100] = False
    two[70, 3] = True
    shapes = [block, disc, ring, two]
    p = drawn(tmp_path / "in", *({"class_name": "m", "mask": m} for m in shapes))
    done = p.items.to_yolo(tmp_path / "out", verify=True)
    assert done.notes == [
        "4 of kind mask: written as the outline of their pixels",
        "2 of several parts or with holes: joined into one ring by lines without width",
        NO_SPLIT,
    ]
    q = ea.Project.from_yolo(tmp_path / "out", tmp_path / "q.eaw", strict=True)
    assert q.objects.df["kind"].to_list() == ["polygon"] * 4
    assert area(q) == pytest.approx([float(m.sum()) for m in shapes], rel=1e-6)
    assert q.objects.df.select("x", "y", "w", "h").row(0) == pytest.approx((30, 20, 140, 41))
    for points, mask in zip(q.objects.df["points"], shapes, strict=True):
        rle = coco_masks.merge(coco_masks.frPyObjects([points.to_list()], 100, 200))
        again = masks.decode(rle["counts"], 100, 200) > 0
        assert (again & mask).sum() / (again | mask).sum() >= 0.99


def test_parts_and_holes_of_a_polygon_are_one_segment_of_the_same_area(tmp_path: Path) -> None:
    square = np.array([(0, 0), (30, 0), (30, 30), (0, 30)], float)
    right, below = np.array((100, 5)), np.array((150, 60))
    parts = [square, square[::-1] + right, square * 0.5 + below, square / 3 + 5]
    row = {"class_name": "p", "points": np.concatenate(parts), "rings": [4] * 4, "holes": [3]}
    p = drawn(tmp_path / "in", row)
    done = p.items.to_yolo(tmp_path / "out", verify=True)
    assert done.notes[0] == "1 of several parts or with holes: joined into one ring by lines without width"
    q = ea.Project.from_yolo(tmp_path / "out", tmp_path / "q.eaw", strict=True)
    assert q.objects.df["kind"].to_list() == ["polygon"]
    assert area(q) == pytest.approx([900 + 900 + 225 - 100], rel=1e-5)
    assert area(q) == pytest.approx(area(p), rel=1e-5)


@settings(max_examples=200, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_every_mask_has_an_outline_that_encloses_its_pixels_and_no_others(mask: Any) -> None:
    rings = mask_rings(masks.encode(mask), *mask.shape)
    if not rings:
        assert not mask.any()
        return
    start = joined(rings)
    end = np.roll(start, -1, axis=0)
    assert (start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]).sum() / 2 == mask.sum()
    steep = start[:, 1] != end[:, 1]
    for y, x in np.ndindex(mask.shape):  # a ray to the right crosses the outline of what holds the pixel's centre
        cy = y + 0.5 + 1e-7
        crossed = steep & ((start[:, 1] > cy) != (end[:, 1] > cy))
        a, b = start[crossed], end[crossed]
        at = a[:, 0] + (cy - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
        assert (at > x + 0.5).sum() % 2 == mask[y, x]


def test_poses_keep_their_points_and_what_flips_into_what(tmp_path: Path) -> None:
    row = "3 0.5 0.5 0.4 0.6 0.4 0.4 2 0.6 0.6 1\n"
    more = {"kpt_shape": [2, 3], "flip_idx": [1, 0], "download": "print(1)"}
    p = ea.Project.from_yolo(dataset(tmp_path / "in", row, **more), tmp_path / "p.eaw", strict=True)
    p.items.to_yolo(tmp_path / "out", verify=True)
    config = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert (config["flip_idx"], config["kpt_shape"]) == ([1, 0], [2, 3])
    assert "download" not in config
    pose = {"class_name": "cat", "kind": "keypoints", "points": [10, 10, 250, 50], "visibility": [2, 2]}
    done = drawn(tmp_path / "far", {**pose, "x": 5, "y": 5, "w": 20, "h": 20}).items.to_yolo(
        tmp_path / "q", verify=True
    )
    assert done.notes[0] == "1 points of poses outside of their images: written as not labelled"
    unsaid = {k: v for k, v in pose.items() if k != "visibility"} | {"points": [10, 10, 50, 50]}
    drawn(tmp_path / "all", unsaid).items.to_yolo(tmp_path / "r", verify=True)
    q = ea.Project.from_yolo(tmp_path / "r", tmp_path / "r.eaw", strict=True)
    assert q.objects.df["points"].to_list() == [[10, 10, 50, 50]]


def test_folders_and_splits_are_those_that_were_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for place in ("train/sub dir/é1.png", "train/a.png", "val/a.png"):
        file = folder / "images" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 100)).save(file)
        label = (folder / "labels" / place).with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.2 0.4\n" if place.startswith("train") else "3 0.5 0.5 0.2 0.4\n")
    config = {"path": ".", "train": "images/train", "val": "images/val", "names": NAMES}
    (folder / "data.yaml").write_text(yaml.safe_dump(config))
    p = ea.Project.from_yolo(folder, tmp_path / "p.eaw", strict=True)
    assert p.items.df["split"].to_list() == ["train", "train", "val"]
    done = p.items.to_yolo(tmp_path / "out", verify=True)
    assert done.notes == []
    for kind in ("images", "labels"):
        was, now = (
            sorted(f.relative_to(top).as_posix() for f in (top / kind).rglob("*") if f.is_file())
            for top in (folder, tmp_path / "out")
        )
        assert now == was


def test_a_set_without_labels_is_written_and_a_set_without_split_says_so(tmp_path: Path) -> None:
    p = drawn(tmp_path / "in")
    done = p.items.to_yolo(tmp_path / "out", verify=True)
    assert done.verified
    assert done.notes == ["there are no classes: trainers want at least one name", NO_SPLIT]
    assert len(ea.Project.from_yolo(tmp_path / "out", tmp_path / "q.eaw", strict=True).objects) == 0


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


def test_parts_that_lie_on_each_other_are_told(tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    outer, inner, apart = [5, 5, 60, 5, 60, 70, 5, 70], [20, 20, 20, 40, 40, 40, 40, 20], [70, 5, 90, 5, 90, 20, 70, 20]
    rows = [
        {"class_name": "nested", "points": [*outer, *inner], "rings": [4, 4]},
        {"class_name": "apart", "points": [*outer, *apart], "rings": [4, 4]},
        {"class_name": "hole", "points": [*outer, *inner], "rings": [4, 4], "holes": [1]},
    ]
    p = ea.Project.from_folder([tmp_path / "a.png"], tmp_path / "p.eaw", labels=lambda _: rows, strict=True)
    notes = p.items.to_yolo(tmp_path / "y", task="segment", verify=True).notes
    assert "1 of parts that lie on each other: what they share counts twice" in notes
