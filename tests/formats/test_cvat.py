"""CVAT in and out: "CVAT for images 1.1"."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EawError, EmptyFolderError, InputError
from encord_active_widgets.formats.cvat import read_cvat
from encord_active_widgets.formats.cvat_writer import row_runs

# What https://docs.cvat.ai/docs/manual/advanced/xml_format/ asks of images tasks: attributes of each element.
_NUMBER = re.compile(r"^-?\d+(\.\d+)?(e-?\d+)?$")
_POINTS = re.compile(r"^-?[\d.e-]+,-?[\d.e-]+(;-?[\d.e-]+,-?[\d.e-]+)*$")
_RUNS = re.compile(r"^\d+(, \d+)*$")
_FLAG, _WHOLE, _TEXT, _SOURCE = (
    re.compile("^[01]$"),
    re.compile(r"^-?\d+$"),
    re.compile("."),
    re.compile("^(manual|auto)$"),
)
_ANY_SHAPE = {"label": _TEXT, "source": _SOURCE, "occluded": _FLAG, "z_order": _WHOLE}
REQUIRED = {
    "box": {**_ANY_SHAPE, **dict.fromkeys(("xtl", "ytl", "xbr", "ybr"), _NUMBER)},
    "polygon": {**_ANY_SHAPE, "points": _POINTS},
    "polyline": {**_ANY_SHAPE, "points": _POINTS},
    "points": {**_ANY_SHAPE, "points": _POINTS},
    "mask": {**_ANY_SHAPE, "rle": _RUNS, **dict.fromkeys(("left", "top", "width", "height"), _WHOLE)},
    "tag": {"label": _TEXT, "source": _SOURCE},
}
ALLOWED = {"box": {"rotation", "group_id"}}
TASK = ["name", "size", "mode", "overlap", "flipped", "labels"]
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta/>'


def check_published_structure(file: Path) -> None:
    """Check an export against the published description of the format."""
    root = ET.parse(file).getroot()
    assert root.tag == "annotations"
    assert root.findtext("version") == "1.1"
    assert [e.tag for e in root.find("meta/task")] == TASK
    assert root.findtext("meta/task/mode") == "annotation"
    images = root.findall("image")
    assert int(root.findtext("meta/task/size")) == len(images)
    named: dict[str, set[str]] = {}
    for label in root.findall("meta/task/labels/label"):
        assert [e.tag for e in label] == ["name", "type", "attributes"]
        for attribute in label.findall("attributes/attribute"):
            assert [e.tag for e in attribute] == ["name", "mutable", "input_type", "default_value", "values"]
            assert attribute.findtext("input_type") in ("select", "checkbox", "radio", "number", "text")
        named[label.findtext("name")] = {a.findtext("name") for a in label.findall("attributes/attribute")}
    for i, image in enumerate(images):
        assert set(image.attrib) == {"id", "name", "width", "height"}
        assert image.attrib["id"] == str(i)
        for element in image:
            wanted = REQUIRED[element.tag]
            assert set(wanted) <= set(element.attrib) <= set(wanted) | ALLOWED.get(element.tag, set())
            for key, pattern in wanted.items():
                assert pattern.match(element.attrib[key]), (element.tag, key, element.attrib[key])
            assert {a.attrib["name"] for a in element} <= named[element.attrib["label"]]
            assert all(a.tag == "attribute" and set(a.attrib) == {"name"} for a in element)
    beside = json.loads(file.with_suffix(".labels.json").read_text("utf-8"))
    assert {c["name"]: {a["name"] for a in c["attributes"]} for c in beside} == named


def drawn(folder: Path) -> ea.Project:
    images = folder / "images"
    (images / "sub").mkdir(parents=True, exist_ok=True)
    for n in ("a.png", "sub/a.png"):
        Image.new("RGB", (64, 48), (40, 90, 200)).save(images / n)
    mask = np.zeros((48, 64), np.uint8)
    mask[5:20, 7:31] = 1
    mask[9:12, 10:15] = 0
    rows = [
        {"class_name": "box", "x": 1.125, "y": 2.25, "w": 30.5, "h": 20.0625},
        {"class_name": "turned", "x": 10, "y": 12, "w": 20, "h": 8, "angle": 33.3},
        {"class_name": "area", "points": [1, 1, 40.5, 3.25, 20, 30.125]},
        {"class_name": "parts", "points": [1, 1, 9, 1, 9, 9, 30, 30, 40, 30, 40, 40], "rings": [3, 3]},
        {"class_name": "line", "kind": "polyline", "points": [3, 4, 50, 40, 20.5, 10]},
        {"class_name": "dot", "kind": "point", "points": [33.5, 44.25]},
        {"class_name": "pose", "kind": "keypoints", "points": [5, 5, 20, 10, 0, 0], "visibility": [2, 1, 0]},
        {"class_name": 'ma"s<k', "mask": mask, "track_id": "7"},
        {"class_name": "sunny"},
    ]
    other = [{"class_name": "box", "x": 0, "y": 0, "w": 64, "h": 48}]
    return ea.Project.from_folder(
        images, folder / "p.eaw", classes=False, labels=lambda path: other if "sub" in path else rows
    )


def back(source: Path, target: Path, *changes: tuple[str, str]) -> Path:
    """Do what annotators do: change what was handed out."""
    text = source.read_text("utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    target.write_text(text, "utf-8")
    return target


def export(path: Path, shapes: str, *, name: str = "a.png", more: str = "") -> Path:
    image = f'<image id="0" name="{name}" width="64" height="48">{shapes}</image>'
    path.write_text(f"{HEAD}{image}{more}</annotations>", "utf-8")
    return path


def test_bccd_goes_out_in_the_published_structure_and_comes_back_equal(shared_data: Path, tmp_path: Path) -> None:
    bccd = shared_data / "bccd"
    p = ea.Project.from_coco(bccd / "annotations.json", bccd / "images", tmp_path / "p.eaw")
    done = p.items.to_cvat(tmp_path / "annotations.xml", verify=True)
    assert (done.items, done.labels, done.notes, done.verified) == (364, 4886, [], True)
    check_published_structure(tmp_path / "annotations.xml")
    q = ea.Project.from_folder(bccd / "images", tmp_path / "q.eaw", classes=False)
    assert q.add_labels(tmp_path / "annotations.xml").labels == 4886
    shown = ["label_id", "item_id", "uri", "kind", "class_name", "x", "y", "w", "h"]
    assert p.objects.df.sort("label_id").select(shown).equals(q.objects.df.sort("label_id").select(shown))
    assert p.add_labels(tmp_path / "annotations.xml").labels_unchanged == 4886


def test_every_kind_of_label_comes_back_as_it_was(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    done = p.items.to_cvat(tmp_path / "c.xml", verify=True)
    check_published_structure(tmp_path / "c.xml")
    assert [n.split(": ")[0] for n in done.notes] == ["1 polygons of several parts"]
    q = ea.Project.from_folder(tmp_path / "images", tmp_path / "q.eaw", classes=False)
    assert q.add_labels(tmp_path / "c.xml").labels == 10
    shown = ["item_id", "kind", "class_name", "angle", "points", "visibility", "rle", "mask_h", "mask_w", "track_id"]
    a, b = (x.objects.df.sort("class_name", "item_id").filter(pl.col("class_name") != "parts") for x in (p, q))
    for one, other in zip(a.iter_rows(named=True), b.iter_rows(named=True), strict=True):
        assert {k: one[k] for k in shown} == {k: other[k] for k in shown}
        assert np.allclose([one[c] for c in "xywh"], [other[c] for c in "xywh"], rtol=0, atol=1e-9)
    assert q.df["class_name"].to_list() == p.df["class_name"].to_list()


def test_polygons_of_coco_come_back(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "polygons"
    p = ea.Project.from_coco(data / "annotations.json", data, tmp_path / "p.eaw")
    p.items.to_cvat(tmp_path / "c.xml", verify=True)
    check_published_structure(tmp_path / "c.xml")
    done = p.add_labels(tmp_path / "c.xml")
    assert (done.labels, done.labels_changed, done.labels_unchanged) == (0, 0, len(p.objects))


def test_two_digits_after_the_point_are_no_correction_and_a_moved_corner_is(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.items.to_cvat(tmp_path / "c.xml")
    rounded = re.sub(r"\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", (tmp_path / "c.xml").read_text("utf-8"))
    (tmp_path / "r.xml").write_text(rounded, "utf-8")
    done = p.add_labels(tmp_path / "r.xml")
    assert (done.labels, done.labels_changed, done.labels_unchanged) == (0, 0, 10)
    changed = back(
        tmp_path / "c.xml",
        tmp_path / "d.xml",
        ('label="area"', 'label="field"'),
        ('xtl="1.125"', 'xtl="3.125"'),
        ('<tag label="sunny"', '<tag label="rainy"'),
    )
    done = p.add_labels(changed)
    assert (done.labels, done.labels_changed, done.labels_unchanged) == (0, 3, 7)
    assert sorted(p.changes()["change"]) == ["moved", "relabelled", "relabelled"]
    assert p.df["class_name"][0] == "rainy"
    assert p.objects.df.filter(pl.col("class_name") == "box", pl.col("x") == 3.125).height == 1
    assert len(p.objects) == 9
    assert p.add_labels(changed).labels_changed == 0
    p.undo()
    assert p.changes().is_empty()
    assert len(p.objects) == 9


def test_images_of_one_name_in_two_folders_get_their_own_labels(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.filter(pl.col("uri").str.contains("sub")).to_cvat(tmp_path / "c.xml")
    q = ea.Project.from_folder(tmp_path / "images", tmp_path / "q.eaw", classes=False)
    q.add_labels(tmp_path / "c.xml")
    assert [Path(u).parent.name for u in q.objects.df["uri"]] == ["sub"]


def test_a_name_that_is_unlike_others_in_a_small_view_is_not_taken_for_another_image(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (64, 48)).save(tmp_path / folder / "a.png")
    p = ea.Project.from_folder([tmp_path / "x" / "a.png", tmp_path / "y" / "a.png"], tmp_path / "p.eaw", classes=False)
    second = p.filter(pl.col("uri").str.contains("/y/"))
    second.to_cvat(tmp_path / "c.xml")
    assert 'name="a_1.png"' in (tmp_path / "c.xml").read_text()
    shape = '<box label="b" xtl="1" ytl="1" xbr="4" ybr="9"/>'
    p.add_labels(export(tmp_path / "e.xml", shape, name="a_1.png"))
    assert p.objects.df["item_id"].to_list() == second.ids.to_list()


def test_the_archive_and_the_folder_that_cvat_exports_are_read(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.items.to_cvat(tmp_path / "out" / "annotations.xml")
    with zipfile.ZipFile(tmp_path / "task.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "out" / "annotations.xml", "annotations.xml")
        archive.writestr("images/a.png", b"")
    for i, source in enumerate((tmp_path / "task.zip", tmp_path / "out")):
        q = ea.Project.from_folder(tmp_path / "images", tmp_path / f"q{i}.eaw", classes=False)
        assert q.add_labels(source).labels == 10
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("x.txt", "x")
    with pytest.raises(InputError, match=r"no annotations\.xml"):
        p.add_labels(tmp_path / "other.zip")
    (tmp_path / "broken.zip").write_bytes((tmp_path / "task.zip").read_bytes()[:200])
    with pytest.raises(InputError, match="no archive"):
        p.add_labels(tmp_path / "broken.zip")


def test_voc_and_cvat_are_told_apart_by_their_root(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    p.filter(~pl.col("uri").str.contains("sub")).to_voc(tmp_path / "voc")
    q = ea.Project.from_folder(tmp_path / "images" / "a.png", tmp_path / "q.eaw", classes=False)
    assert q.add_labels(tmp_path / "voc" / "Annotations" / "a.xml", images=tmp_path / "images").labels == 7
    p.items.to_cvat(tmp_path / "c.xml")
    with pytest.raises(EawError):
        q.add_labels(tmp_path / "c.xml", format="voc")
    with pytest.raises(InputError, match="its root is"):
        q.add_labels(tmp_path / "voc" / "Annotations" / "a.xml", format="cvat")


def test_what_a_shape_says_besides_is_kept_and_goes_out_again(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "a.png")
    p = ea.Project.from_folder(tmp_path / "images", tmp_path / "p.eaw", classes=False)
    shapes = (
        '<box label="plate" xtl="7.33" ytl="8.92" xbr="15.52" ybr="18.94" occluded="1" z_order="4" source="auto" '
        'group_id="3"><attribute name="colour">dark &amp; blue</attribute></box>'
    )
    assert p.add_labels(export(tmp_path / "e.xml", shapes)).labels == 1
    said = json.loads(p.objects.df["extra"][0])["cvat"]
    assert said == {
        "occluded": "1", "z_order": "4", "source": "auto", "group_id": "3", "attributes": {"colour": "dark & blue"}
    }  # fmt: skip
    p.items.to_cvat(tmp_path / "c.xml", verify=True)
    box = ET.parse(tmp_path / "c.xml").getroot().find("image/box")
    assert {k: box.attrib[k] for k in ("occluded", "z_order", "group_id")} == {
        "occluded": "1", "z_order": "4", "group_id": "3"
    }  # fmt: skip
    assert {a.attrib["name"]: a.text for a in box}["colour"] == "dark & blue"


def test_a_mask_is_the_runs_of_its_rows() -> None:
    mask = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    assert row_runs(mask) == [1, 3, 2]
    assert row_runs(1 - mask) == [0, 1, 3, 2]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_runs_of_rows_sum_to_the_mask(h: int, w: int, seed: int) -> None:
    mask = (np.random.default_rng(seed).random((h, w)) < 0.5).astype(np.uint8)
    runs = row_runs(mask)
    assert np.array_equal(np.repeat(np.arange(len(runs)) % 2, runs).reshape(h, w), mask)


def test_predictions_go_out_as_shapes_of_a_machine(tmp_path: Path) -> None:
    p = drawn(tmp_path)
    rows = {"item_id": p.df["item_id"].to_list(), "class_name": ["box", "new"], "confidence": [0.9, 0.4]}
    p.add_predictions("m", pl.DataFrame({**rows, "x": [1.0, 2.0], "y": [1.0, 2.0], "w": [9.0, 9.0], "h": [5.0, 5.0]}))
    p.items.to_cvat(tmp_path / "c.xml", predictions="m", verify=True)
    check_published_structure(tmp_path / "c.xml")
    boxes = ET.parse(tmp_path / "c.xml").getroot().findall("image/box[@source='auto']")
    said = [{a.attrib["name"]: a.text for a in b} for b in boxes]
    assert [(s["model"], s["confidence"]) for s in said] == [("m", "0.9"), ("m", "0.4")]
    assert p.add_labels(tmp_path / "c.xml").labels == 2  # what annotators left there


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ('<box label="a" xtl="1" ytl="1" xbr="1" ybr="9"/>', "no area"),
        ('<box label="a" xtl="nan" ytl="1" xbr="4" ybr="9"/>', "no finite numbers"),
        ('<box xtl="1" ytl="1" xbr="4" ybr="9"/>', "no label"),
        ('<box label="a" xtl="1" ytl="1" xbr="4"/>', "no finite numbers"),
        ('<polygon label="a" points="1,1;2,2"/>', "fewer than three"),
        ('<polygon label="a" points="1,1;2"/>', "no finite numbers"),
        ('<polyline label="a" points="1,1"/>', "fewer than two"),
        ('<points label="a" points=""/>', "no finite numbers"),
        ('<mask label="a" rle="1, 2" left="0" top="0" width="9" height="9"/>', "pixels, its box"),
        ('<mask label="a" rle="a" left="0" top="0" width="1" height="1"/>', "whole numbers"),
        ('<mask label="a" rle="4" left="0" top="0" width="2" height="2"/>', "is empty"),
        ('<mask label="a" rle="0, 4" left="63" top="0" width="2" height="2"/>', "does not lie"),
        ('<mask label="a" rle="0, 4"/>', "where it lies"),
        ('<cuboid label="a" xtl1="1"/>', "cuboid"),
        ('<skeleton label="a"/>', "no points"),
        ('<ellipse label="a" cx="5" cy="5" rx="0" ry="2"/>', "no area"),
        ('<blob label="a"/>', "no shape"),
    ],
)
def test_what_cannot_be_used_is_listed_with_its_place_and_the_rest_read(tmp_path: Path, shape: str, why: str) -> None:
    good = '<box label="b" xtl="1" ytl="1" xbr="4" ybr="9"/>'
    source = read_cvat(export(tmp_path / "e.xml", shape + good))
    assert source.labels.height == 1
    assert why in source.faults[0].why
    assert source.faults[0].where.startswith("e.xml: image a.png")


def test_skeletons_and_ellipses_and_turned_boxes_are_read(tmp_path: Path) -> None:
    shapes = (
        '<skeleton label="person"><points label="1" occluded="0" outside="0" points="1,2"/>'
        '<points label="2" occluded="1" outside="0" points="3,4"/>'
        '<points label="3" outside="1" points="0,0"/></skeleton>'
        '<ellipse label="egg" cx="20" cy="10" rx="8" ry="4" rotation="90"/>'
        '<box label="b" xtl="1" ytl="1" xbr="4" ybr="9" rotation="30.00"/>'
    )
    source = read_cvat(export(tmp_path / "e.xml", shapes, more='<track id="0" label="car"/>'))
    pose, egg, box = source.labels.iter_rows(named=True)
    assert (pose["points"], pose["visibility"]) == ([1, 2, 3, 4, 0, 0], [2, 1, 0])
    assert np.allclose([egg[c] for c in "xywh"], [16, 2, 8, 16])
    assert (box["kind"], box["angle"], box["x"], box["w"]) == ("rotated_box", 30, 1, 3)
    assert {f.what for f in source.faults} == {"skipped", "kept"}
    assert any("tracks of a video" in f.why for f in source.faults)


def test_an_entity_bomb_is_refused_and_nothing_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    bombs = (
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        f'<!DOCTYPE a [<!ENTITY b SYSTEM "file://{tmp_path}/secret.txt">]>',
    )
    for bomb in bombs:
        tag = '<tag label="x"><attribute name="q">&b;</attribute></tag>'
        text = f'{bomb}<annotations><image name="a.png">{tag}</image></annotations>'
        (tmp_path / "e.xml").write_text(text)
        with pytest.raises(InputError, match="declares entities"):
            read_cvat(tmp_path / "e.xml")
    (tmp_path / "e.xml").write_text("<annotations>" + "<x>" * 40 + "</x>" * 40 + "</annotations>")
    with pytest.raises(InputError, match="nested"):
        read_cvat(tmp_path / "e.xml")
    (tmp_path / "e.xml").write_text(f"<annotations><x>{'y' * 1_000_001}</x></annotations>")
    with pytest.raises(InputError, match="million"):
        read_cvat(tmp_path / "e.xml")
    with pytest.raises(EmptyFolderError):
        read_cvat(tmp_path / "nowhere.xml")


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ea.Project, bytes]:
    folder = tmp_path_factory.mktemp("rubbish")
    p = drawn(folder)
    p.items.to_cvat(folder / "c.xml")
    return p, (folder / "c.xml").read_bytes()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_broken_files_give_named_errors_and_leave_usable_labels(
    handed: tuple[ea.Project, bytes], data: st.DataObject
) -> None:
    p, text = handed
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 40))
    new = data.draw(
        st.one_of(st.binary(max_size=4), st.sampled_from([b'"', b"<", b"-1", b"nan", b"1e999", b"&#0;", b""]))
    )
    file = p.path.parent / "w.xml"
    file.write_bytes(text[:at] + new + text[at + cut :] if data.draw(st.booleans()) else text[:at])
    from encord_active_widgets.importing.labelling import read_labels

    labels: Any = None
    try:
        labels = read_labels(p, file, images=None, kind="cvat").labels
    except EawError:
        return
    assert labels["kind"].null_count() == 0
    boxes = labels.filter(pl.col("kind").is_in(["box", "rotated_box"]))
    assert bool(((boxes["w"] > 0) & (boxes["h"] > 0)).all())
    assert bool(labels["x"].is_finite().fill_null(value=True).all())
