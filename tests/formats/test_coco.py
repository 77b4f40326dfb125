"""COCO in and out: nothing that can be used is lost, nothing that cannot be used is silent."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

import encord_active_widgets as ea
from encord_active_widgets.errors import EawError, InputError
from encord_active_widgets.formats.coco import read_coco
from encord_active_widgets.metrics import masks

BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}


def coco(folder: Path, annotations: Any, **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), "red").save(folder / "a.png")
    whole = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": annotations,
        **more,
    }
    file = folder / "coco.json"
    file.write_text(json.dumps(whole), "utf-8")
    return file


def read(folder: Path, annotations: Any, **more: Any) -> Any:
    return read_coco(coco(folder, annotations, **more), images=folder)


def test_real_polygons_stay_whole_and_come_back_deep_equal(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "polygons" / "annotations.json"
    p = ea.Project.from_coco(file, shared_data / "polygons", tmp_path / "p.eaw")
    assert len(p.objects) == 12
    parts = [1 if r is None else len(r) for r in p.objects.df["rings"]]
    assert sorted(parts)[-2:] == [2, 4]
    assert p.problems.is_empty()
    p.items.to_coco(tmp_path / "out.json", verify=True)
    before, after = (json.loads(f.read_text()) for f in (file, tmp_path / "out.json"))
    assert before == after
    assert json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def test_bccd_comes_back_but_for_its_two_degenerate_boxes(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "bccd" / "annotations.json"
    p = ea.Project.from_coco(file, path=tmp_path / "p.eaw")
    assert p.problems.height == 2
    assert p.problems["why"].str.contains("no area").all()
    p.items.to_coco(tmp_path / "out.json", verify=True)
    given_, got = json.loads(file.read_text()), json.loads((tmp_path / "out.json").read_text())
    given_["annotations"] = [a for a in given_["annotations"] if a["bbox"][2] > 0]
    assert json.dumps(got, sort_keys=True) == json.dumps(given_, sort_keys=True)


def test_everything_a_file_may_hold_comes_back_deep_equal(tmp_path: Path) -> None:
    mask = np.zeros((30, 40), np.uint8, order="F")
    mask[3:9, 4:20] = 1
    packed = coco_mask.encode(mask)
    annotations = [
        {
            **BOX,
            "id": 11,
            "iscrowd": 0,
            "area": 12.25,
            "bbox": [0.1, 0.30000000000000004, 3.7, 4e-3],
            "attributes": {"a": [1, None]},
        },
        {
            **BOX,
            "id": 3,
            "category_id": 7,
            "segmentation": [[1, 1, 9, 1, 9, 8.123456789012345], [20, 20, 30, 20, 30, 29, 20, 29]],
            "area": 1,
        },
        {**BOX, "id": 4, "segmentation": {"size": [30, 40], "counts": packed["counts"].decode()}, "iscrowd": 1},
        {**BOX, "id": 5, "segmentation": {"size": [30, 40], "counts": masks.counts(packed["counts"]).tolist()}},
        {**BOX, "id": 6, "segmentation": [], "track_id": 9},
        {
            **BOX,
            "id": 8,
            "keypoints": [1, 2, 2, 0, 0, 0, 5.5, 6, 1],
            "num_keypoints": 2,
            "segmentation": [[1, 1, 9, 1, 9, 8]],
        },
        {"id": 9, "image_id": 1, "category_id": 7, "segmentation": [[1.5, 1, 9, 1, 9, 8]]},
        {**BOX, "id": 10, "keypoints": [0, 0, 0], "num_keypoints": 0},
    ]
    more = {
        "info": {"year": 2024, "description": "ä<b>"},
        "licenses": [{"id": 1, "url": None}],
        "type": "instances",
        "images": [
            {"id": 1, "file_name": "a.png", "width": 40, "height": 30, "license": 1, "date_captured": None},
            {"id": 99, "file_name": "a2.png", "flickr_url": "x"},
        ],
        "categories": [
            {"id": 1, "name": "cat", "supercategory": "animal", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2]]},
            {"id": 7, "name": "dog", "color": [1, 2]},
            {"id": 90, "name": "unused"},
        ],
    }
    file = coco(tmp_path / "in", annotations, **more)
    Image.new("RGB", (5, 5)).save(tmp_path / "in" / "a2.png")
    p = ea.Project.from_coco(file, tmp_path / "in", tmp_path / "p.eaw", strict=True)
    assert p.objects.df["kind"].to_list() == ["box", "polygon", "mask", "mask", "box", "keypoints", "polygon", "box"]
    p.items.to_coco(tmp_path / "out.json", verify=True)
    assert json.loads((tmp_path / "out.json").read_text("utf-8")) == json.loads(file.read_text("utf-8"))
    p.compute(["pixels", "labels"])
    p.objects.filter(pl.col("kind") == "mask").relabel("fox")
    p.items.to_coco(tmp_path / "changed.json", verify=True)
    changed = json.loads((tmp_path / "changed.json").read_text("utf-8"))
    assert changed["categories"][-1] == {"id": 91, "name": "fox"}
    assert [a["category_id"] for a in changed["annotations"]] == [1, 7, 91, 91, 1, 1, 7, 1]


def test_the_least_a_file_can_hold_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"images":[{"id":"x","file_name":"a.png"}]}')
    source = read_coco(tmp_path / "c.json", images=tmp_path)
    assert source.items.height == 1
    assert source.labels.is_empty()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"bbox": [1, 2, float("nan"), 4]}, "four finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "no area"),
        ({"bbox": [1, 2, 0, 4]}, "no area"),
        ({"bbox": ["1", 2, 3, 4]}, "four finite numbers"),
        ({"bbox": [1, 2, 3, 4, 5]}, "four finite numbers"),
        ({"bbox": [1, 2, 3, 1e400]}, "four finite numbers"),
        ({"bbox": None}, "four finite numbers"),
        ({"bbox": [1, 2, 3, "10" * 500_000]}, "four finite numbers"),
        ({"category_id": 3}, "category_id is not in categories"),
        ({"category_id": None}, "category_id is not in categories"),
        ({"image_id": 12}, "image_id is not in images"),
        ({"image_id": True}, "image_id is not in images"),
        ({"id": [1]}, "its id is no number or text"),
    ],
)
def test_what_cannot_be_used_is_listed_and_the_rest_read(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    source = read(tmp_path, [{**BOX, **change}, {**BOX, "id": 2}])
    assert source.labels.height == 1
    assert [why in f.why for f in source.faults] == [True]
    assert "annotations[0]" in source.faults[0].where
    assert source.faults[0].remedy
    with pytest.raises(InputError, match=r"annotations\[0\]"):
        source.strict()


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [["a", 2, 3, 4, 5, 6]],
        {"size": [30, 40], "counts": [5, 5]},
        {"size": [30, 40], "counts": "x\u00e4"},
        {"size": [-1, 40], "counts": [1]},
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"counts": [1]},
        "polygon",
        7,
    ],
)
def test_a_shape_that_cannot_be_used_leaves_its_box_and_its_text(tmp_path: Path, segmentation: Any) -> None:
    source = read(tmp_path, [{**BOX, "segmentation": segmentation}])
    assert source.labels["kind"].to_list() == ["box"]
    assert json.dumps(json.loads(source.labels["extra"][0])["segmentation"]) == json.dumps(segmentation)
    if not isinstance(segmentation, (str, int)):
        assert [f.what for f in source.faults] == ["repaired"]


def test_ids_used_twice_keep_the_first(tmp_path: Path) -> None:
    source = read(
        tmp_path,
        [BOX, {**BOX, "bbox": [5, 5, 5, 5]}],
        images=[
            {"id": 1, "file_name": "a.png"},
            {"id": 1, "file_name": "b.png"},
            {"id": 2, "file_name": "../x.png"},
            {"id": 3},
        ],
    )
    assert source.labels["x"].to_list() == [1]
    assert source.items.height == 1
    assert sum("used before" in f.why for f in source.faults) == 2
    assert sum("leaves the image folder" in f.why for f in source.faults) == 1


def test_ids_may_be_texts_and_may_be_mixed(tmp_path: Path) -> None:
    source = read(
        tmp_path,
        [{**BOX, "id": "z", "image_id": "1"}, {**BOX, "id": 5, "image_id": 1, "category_id": "c"}],
        images=[{"id": "1", "file_name": "s.png"}, {"id": 1, "file_name": "n.png"}],
        categories=[{"id": 1, "name": "cat"}, {"id": "c", "name": "dog"}],
    )
    assert [Path(u).name for u in source.labels["uri"]] == ["s.png", "n.png"]
    assert source.labels["class_name"].to_list() == ["cat", "dog"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "nul",
        '{"images":[}',
        '{"images":[{"id":1,}]}',
        '{"images":7}',
        "[" * 5000,
        '{"images":[{"id":01,"file_name":"a"}]}',
        '{"images":[]} x',
        '{"images":[{"a":"\n"}]}',
    ],
)
def test_what_is_no_coco_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=r"c\.json"):
        read_coco(tmp_path / "c.json", images=tmp_path)


def test_images_of_another_size_than_the_file_says_are_listed(tmp_path: Path) -> None:
    file = coco(tmp_path / "in", [BOX], images=[{"id": 1, "file_name": "a.png", "width": 400, "height": 300}])
    p = ea.Project.from_coco(file, tmp_path / "in", tmp_path / "p.eaw")
    assert len(p.objects) == 1
    assert p.problems["why"].to_list() == ["the image has 40 × 30 px, its annotations say 400 × 300"]


def test_missing_images_are_listed_and_their_labels_wait(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}]
    file = coco(tmp_path / "in", [BOX, {**BOX, "id": 2, "image_id": 2}], images=images)
    p = ea.Project.from_coco(file, tmp_path / "in", tmp_path / "p.eaw")
    assert (len(p), len(p.objects)) == (1, 1)
    assert "gone.png" in p.problems["where"][0]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["id", "image_id", "category_id", "bbox", "segmentation", "keypoints", "zz"]),
            _json,
            max_size=6,
        )
        | _json,
        max_size=5,
    ),
    st.lists(
        st.fixed_dictionaries({"id": st.integers(0, 3) | st.text(max_size=2), "file_name": st.text(max_size=6)})
        | _json,
        max_size=4,
    ),
)
def test_no_content_crashes_the_reader(tmp_path_factory: pytest.TempPathFactory, annotations: Any, images: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    file = folder / "c.json"
    file.write_text(
        json.dumps(
            {
                "images": [{"id": 0, "file_name": "a.png"}, *images],
                "annotations": annotations,
                "categories": [{"id": 1, "name": "x"}],
            }
        )
    )
    try:
        source = read_coco(file, images=folder)
    except EawError:
        return
    assert source.labels["kind"].is_not_null().all()
    assert source.labels.select("x", "y", "w", "h").to_numpy().__abs__().max(initial=0) < 1e10


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300, max_value=1e9), min_size=2, max_size=2)
)
def test_numbers_are_read_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, sides: list[float]) -> None:
    source = read(tmp_path_factory.getbasetemp() / "bits", [{**BOX, "bbox": [-sides[0], sides[1], *sides]}])
    assert source.labels.select("x", "y", "w", "h").row(0) == (-sides[0], sides[1], *sides)


def test_whole_numbers_are_written_as_they_were_read(tmp_path: Path) -> None:
    """10 stays 10 and 10.0 stays 10.0: the file is the same text, but for spaces and the order of keys."""
    annotations = [
        {**BOX, "id": 1, "bbox": [10.0, 2.5, 3.0, 4.0]},
        {**BOX, "id": 2, "bbox": [10, 2.5, 3, 4]},
        {**BOX, "id": 3, "bbox": [10, 2.0, 3, 4.25], "area": 9.0},
        {**BOX, "id": 4, "bbox": [1.0, 1.0, 8.0, 7.0], "segmentation": [[1.0, 1.0, 9.0, 1.0, 9.0, 8.0]]},
        {**BOX, "id": 5, "bbox": [1.0, 1.0, 8.0, 7.0], "segmentation": [[1, 1, 9, 1, 9, 8]]},
        {**BOX, "id": 6, "bbox": [1e-7, 0.1, 8.05, 7.5], "segmentation": [[1.05, 1.1, 9.01, 1.2, 9.3, 8.4]]},
        {**BOX, "id": 7, "keypoints": [1.0, 2.0, 2, 5.5, 6.0, 1], "num_keypoints": 2, "bbox": [1.0, 2.0, 4.5, 4.0]},
        {**BOX, "id": 9, "keypoints": [1.5, 2, 2, 0, 0, 0, 3.0, 4.25, 1], "num_keypoints": 2},
        {**BOX, "id": 8, "bbox": [1, 2, 3, 4], "segmentation": {"counts": [10, 4, 1186], "size": [30, 40]}},
    ]
    file = coco(tmp_path / "in", annotations)
    p = ea.Project.from_coco(file, tmp_path / "in", tmp_path / "p.eaw", strict=True)
    p.items.to_coco(tmp_path / "out.json", verify=True)
    before, after = (json.loads(f.read_text("utf-8")) for f in (file, tmp_path / "out.json"))
    assert list(before) == list(after)
    assert json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


@given(st.lists(st.one_of(st.integers(1, 50), st.integers(1, 50).map(float), st.floats(1, 50)), min_size=4, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_mix_of_spellings_comes_back(tmp_path_factory: pytest.TempPathFactory, box: list[float]) -> None:
    home = tmp_path_factory.mktemp("spell")
    file = coco(home, [{**BOX, "bbox": box}])
    ea.Project.from_coco(file, home, home / "p.eaw").items.to_coco(home / "out.json")
    (written,) = json.loads((home / "out.json").read_text("utf-8"))["annotations"]
    assert json.dumps(written["bbox"]) == json.dumps(box)


def test_masks_of_another_size_or_without_a_pixel_leave_their_box(tmp_path: Path) -> None:
    small = {"counts": [10, 1990], "size": [40, 50]}
    none = {"counts": [1200], "size": [30, 40]}
    right = {"counts": [10, 4, 1186], "size": [30, 40]}
    rows = [{**BOX, "id": i, "segmentation": s} for i, s in enumerate((small, none, right))]
    del rows[1]["bbox"]
    source = read(tmp_path, rows)
    assert source.labels["kind"].to_list() == ["box", "mask"]
    assert sorted(f.why for f in source.faults) == [
        "it has no bbox and no shape that can be used",
        "its mask cannot be used: it is 40 × 50 px (height × width), its image 30 × 40.",
    ]


def test_ids_written_as_decimals_are_whole_numbers(tmp_path: Path) -> None:
    images = [{"id": 1.0, "file_name": "a.png", "width": 40.0, "height": 30.0}]
    rows = [{**BOX, "id": 5.0, "image_id": 1.0, "category_id": 7.0}]
    categories = [{"id": 7.0, "name": "dog"}]
    file = coco(tmp_path, rows, images=images, categories=categories)
    p = ea.Project.from_coco(file, tmp_path, tmp_path / "p.eaw", strict=True)
    assert p.objects.df["class_name"].to_list() == ["dog"]
    p.items.to_coco(tmp_path / "out.json", verify=True)
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(file.read_text())


def test_a_file_name_with_a_dot_before_it_is_the_same_file(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "./a.png", "width": 40, "height": 30}]
    p = ea.Project.from_coco(coco(tmp_path, [BOX], images=images), tmp_path, tmp_path / "p.eaw", strict=True)
    p.items.to_coco(tmp_path / "out.json", verify=True)
    assert json.loads((tmp_path / "out.json").read_text())["images"] == images


def test_categories_that_share_an_id_or_a_name_are_listed(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "a"}, {"id": 1, "name": "z"}, {"id": 2, "name": "b"}, {"id": 3, "name": "b"}]
    source = read(tmp_path, [{**BOX, "category_id": i, "id": i} for i in (1, 2, 3)], categories=categories)
    assert source.labels["class_name"].to_list() == ["a", "b", "b"]
    assert [(f.what, f.why.split(",")[0]) for f in source.faults] == [
        ("skipped", "its id was used before"),
        ("kept", 'it has the name "b" of category 2: they are one class here'),
    ]


def test_damaged_bytes_never_crash_the_scanner(tmp_path: Path) -> None:
    whole = coco(tmp_path, [{**BOX, "segmentation": [[1, 2, 3, 4, 5, 6]]}]).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(400):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] = rng.integers(0, 256)
        (tmp_path / "c.json").write_bytes(bytes(data[: rng.integers(1, len(data) + 1)]))
        try:
            read_coco(tmp_path / "c.json", images=tmp_path)
        except EawError:
            continue


def test_kinds_that_coco_lacks_come_back_from_our_own_key(tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    rows = [
        {"class_name": "r", "x": 10.0, "y": 20.0, "w": 30.0, "h": 10.0, "angle": 30.0},
        {"class_name": "l", "kind": "polyline", "points": [(1, 2), (3, 4.5)]},
        {"class_name": "p", "kind": "point", "points": [(7, 8)]},
        {
            "class_name": "h",
            "points": [0, 0, 50, 0, 50, 50, 0, 50, 10, 10, 20, 10, 20, 20],
            "rings": [4, 3],
            "holes": [1],
        },
    ]
    p = ea.Project.from_folder([tmp_path / "a.png"], tmp_path / "p.eaw", labels=lambda _: rows, strict=True)
    assert p.objects.df["kind"].to_list() == ["rotated_box", "polyline", "point", "polygon"]
    done = p.items.to_coco(tmp_path / "out.json", images="copy", verify=True)
    assert len(done.notes) == 3
    back = ea.Project.from_coco(tmp_path / "out.json", tmp_path / "images", tmp_path / "q.eaw").objects.df
    for name in ("kind", "class_name", "x", "y", "w", "h", "angle", "points", "rings", "holes"):
        assert back[name].to_list() == p.objects.df[name].to_list(), name


def test_a_large_file_is_read_in_seconds(tmp_path: Path) -> None:
    n = 100_000
    text = ",".join(
        f'{{"id":{i},"image_id":1,"category_id":1,"bbox":[{i % 30},1.5,3,4],"iscrowd":0}}' for i in range(n)
    )
    file = coco(tmp_path, [])
    file.write_text(file.read_text().replace('"annotations": []', f'"annotations": [{text}]'))
    read_coco(file, images=tmp_path)
    start = time.perf_counter()
    labels = read_coco(file, images=tmp_path).labels
    ours = time.perf_counter() - start
    start = time.perf_counter()
    json.loads(file.read_bytes())
    assert labels.height == n
    assert ours < 5 * (time.perf_counter() - start) + 0.5
