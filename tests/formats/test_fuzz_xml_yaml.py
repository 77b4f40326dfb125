"""Planted and random bad input for the readers of XML, YAML and datasets: named errors and faults, nothing else."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from encord_active_widgets.errors import EawError, InputError
from encord_active_widgets.formats.huggingface import read_huggingface
from encord_active_widgets.formats.source import Source
from encord_active_widgets.formats.voc import read_voc
from encord_active_widgets.formats.voc_writer import write_voc
from encord_active_widgets.formats.yolo import read_yolo
from encord_active_widgets.formats.yolo_writer import write_yolo

BOX = "<object><name>c</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>"
HEAD = "names: [c, d]\ntrain: images/train\n"
ROW = "0 0.5 0.5 0.2 0.2\n"
NOT_UTF8 = pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode here")


def image(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(file)


def voc(folder: Path, body: str, filename: str = "a.png") -> Source:
    image(folder / "a.png")
    (folder / "a.xml").write_text(f"<annotation><filename>{filename}</filename>{body}</annotation>", "utf-8")
    return read_voc(folder, images=folder)


def yolo(folder: Path, text: str = HEAD, rows: bytes | str = ROW, listed: bytes | None = None) -> Source:
    image(folder / "images" / "train" / "a.png")
    (folder / "labels" / "train").mkdir(parents=True, exist_ok=True)
    (folder / "labels" / "train" / "a.txt").write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    (folder / "data.yaml").write_bytes(text.encode())
    if listed is not None:
        (folder / "list.txt").write_bytes(listed)
    return read_yolo(folder)


def labels(source: Source) -> pl.DataFrame:
    assert source.labels is not None
    return source.labels


def items(*names: str, split: str | None = None) -> pl.DataFrame:
    n = len(names)
    return pl.DataFrame(
        {
            "item_id": [f"i{k}" for k in range(n)],
            "file_name": list(names),
            "width": [40] * n,
            "height": [30] * n,
            "split": pl.Series([split] * n, dtype=pl.String),
        }
    )


def label(**more: Any) -> pl.DataFrame:
    row = {
        "item_id": "i0", "kind": "box", "class_name": "c", "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0, "angle": None,
        "points": None, "rings": None, "visibility": None, "track_id": None, "extra": None, **more,
    }  # fmt: skip
    types = {
        "class_name": pl.String, "extra": pl.String, "track_id": pl.String, "angle": pl.Float64,
        "points": pl.List(pl.Float64), "rings": pl.List(pl.UInt32), "visibility": pl.List(pl.UInt8),
    }  # fmt: skip
    return pl.DataFrame([row], schema_overrides=types)


def voc_again(folder: Path, rows: pl.DataFrame, *names: str) -> tuple[list[str], Source]:
    for name in names or ("a.png",):
        image(folder / "img" / name)
    notes = write_voc(items(*(names or ("a.png",))), rows, folder / "out").notes
    return notes, read_voc(folder / "out", images=folder / "img")


# -- XML in ------------------------------------------------------------------------------------------


def test_a_filename_longer_than_any_file_falls_back_to_the_stem(tmp_path: Path) -> None:
    source = voc(tmp_path, BOX, "x" * 5000 + ".png")
    assert [Path(u).name for u in source.items["uri"]] == ["a.png"]
    assert [(f.what, "does not exist" in f.why, len(f.why) < 200) for f in source.faults] == [("kept", True, True)]


def test_the_stem_finds_images_only(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a.xml").write_text(f"<annotation><filename>gone.png</filename>{BOX}</annotation>")
    assert [Path(u).name for u in read_voc(tmp_path, images=tmp_path).items["uri"]] == ["gone.png"]


@pytest.mark.parametrize("junk", ["\n" * 900_000, "&amp;" * 900_000, "\n<b/>" * 300_000])
def test_text_in_a_million_pieces_is_read_in_linear_time(tmp_path: Path, junk: str) -> None:
    start = time.process_time()
    voc(tmp_path, f"<junk>{junk}</junk>{BOX}")
    assert time.process_time() - start < 5  # 10 s and more when every piece was added to the whole


@NOT_UTF8
def test_an_annotation_whose_own_name_is_not_utf8_is_listed_readably(tmp_path: Path) -> None:
    voc(tmp_path, BOX)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.xml")).write_text("<annotation>")
    source = read_voc(tmp_path, images=tmp_path)
    assert [f.where.endswith(r"\xff.xml") for f in source.faults] == [True]


def test_images_given_as_a_file_and_a_folder_called_xml(tmp_path: Path) -> None:
    voc(tmp_path, BOX)
    (tmp_path / "b.xml").mkdir()
    source = read_voc(tmp_path, images=tmp_path / "a.png")
    assert ["cannot be read" in f.why for f in source.faults] == [True]


# -- XML out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        "[1, 2]", "oops", '{"bndbox": {"xmin": 7}, "polygon": [[1, 2]], "name": "other"}', '{"a\\u00b2": 1}',
        '{"bad key": 1}', '{"a": "\\ud800"}', '{"a":' * 40 + "1" + "}" * 40, '{"a\\u0000": 1, "#": 2, "": 3}',
    ],
)  # fmt: skip
def test_extra_of_other_formats_never_spoils_the_shape(tmp_path: Path, extra: str) -> None:
    notes, source = voc_again(tmp_path, label(extra=extra))
    assert labels(source).select("kind", "class_name", "x", "y", "w", "h").rows() == [("box", "c", 1.0, 2.0, 3.0, 4.0)]
    assert bool(notes) == ("ud800" not in extra)


def test_every_name_the_parser_takes_comes_back(tmp_path: Path) -> None:
    extra = {"größe": "1", "a:b": "x & y", "part": [{"name": "h"}, {"name": "t"}], "line": "1\r2\n3"}
    notes, source = voc_again(tmp_path, label(extra=json.dumps(extra)))
    assert notes == []
    assert json.loads(labels(source)["extra"][0]) == extra


def test_one_ring_is_a_polygon_and_other_kinds_name_themselves(tmp_path: Path) -> None:
    ring = label(kind="polygon", points=[1.0, 1.0, 9.0, 1.0, 5.0, 7.0], rings=[3])
    notes, source = voc_again(tmp_path / "one", ring)
    assert notes == []
    assert labels(source)["points"].to_list() == [[1.0, 1.0, 9.0, 1.0, 5.0, 7.0]]
    notes, source = voc_again(tmp_path / "points", label(kind="keypoints", points=[1.0, 1.0], visibility=[2]))
    assert notes == ["1 of kind keypoints: written as their bounding box"]
    assert labels(source).select("kind", "extra").rows() == [("box", '{"kind": "keypoints"}')]


def test_images_that_differ_in_their_suffix_keep_their_own_labels(tmp_path: Path) -> None:
    rows = pl.concat([label(), label(item_id="i1", class_name="d")])
    _, source = voc_again(tmp_path, rows, "a.png", "a.jpg")
    found = {Path(u).name: c for u, c in labels(source).select("uri", "class_name").rows()}
    assert found == {"a.png": "c", "a.jpg": "d"}


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../../out.png"])
def test_nothing_is_written_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="leaves the folder"):
        write_voc(items(name), label(), tmp_path / "deep" / "voc")
    with pytest.raises(InputError, match="leaves the folder"):
        write_yolo(items(name), label(), tmp_path / "deep" / "yolo", names={0: "c"})
    with pytest.raises(InputError, match="folder of a split"):
        write_yolo(items("a.png", split="../../up"), label(), tmp_path / "deep" / "yolo", names={0: "c"})
    assert not list(tmp_path.rglob("*.xml"))
    assert not list(tmp_path.rglob("*.txt"))


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=8,
    ),
    st.text(min_size=1, max_size=8).map(lambda s: f"n{s}n"),
    st.tuples(*[st.floats(-1e6, 1e6)] * 2, *[st.floats(1e-3, 1e6)] * 2),
)
def test_whatever_extra_holds_is_written_as_xml_that_reads(
    tmp_path_factory: pytest.TempPathFactory, extra: Any, name: str, box: tuple[float, ...]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "vocextra"
    shape = dict(zip("xywh", box, strict=True))
    _, source = voc_again(folder, label(extra=json.dumps(extra), class_name=name, **shape))
    assert source.faults == []
    row = labels(source).row(0, named=True)
    assert row["kind"] == "box"
    for key, value in shape.items():
        assert row[key] == pytest.approx(value, rel=1e-12, abs=1e-9)


# -- YAML --------------------------------------------------------------------------------------------

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12))
TAGS = [
    '!!int ""', '!!float ""', "!!bool x", "!!timestamp x", '!!int "0x"', "{<<: 1}", "{[1]: 2}", "!!omap [1]",
    "2020-99-99", "1" * 5000, "&a [*a]", "!!python/name:os.system", "!!python/object/new:os.system [x]",
]  # fmt: skip


@pytest.mark.parametrize("value", TAGS)
def test_values_that_do_not_fit_their_tags_are_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match=r"data\.yaml"):
        yolo(tmp_path, f"{HEAD}zz: {value}\n")


@pytest.mark.parametrize("text", [LAUGHS, MERGES], ids=["lists", "merges"])
def test_a_bomb_of_anchors_does_not_go_off(tmp_path: Path, text: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError, match="anchors"):
        yolo(tmp_path, HEAD + text)
    assert time.process_time() - start < 5


def test_plain_anchors_are_read(tmp_path: Path) -> None:
    source = yolo(tmp_path, "base: &b [c, d]\nnames: *b\ntrain: images/train\n")
    assert source.header["names"] == {"0": "c", "1": "d"}


@pytest.mark.parametrize("value", ['"\\ud800"', ".nan", "[.inf]", "{a: !!binary aGk=}"])
def test_only_what_json_can_hold_stays_in_the_header(tmp_path: Path, value: str) -> None:
    source = yolo(tmp_path, f"{HEAD}zz: {value}\nauthor: me\n")
    assert source.header["extra"] == {"author": "me"}
    json.dumps(source.header, allow_nan=False, ensure_ascii=False).encode()


def test_a_class_name_or_split_that_is_not_unicode_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not Unicode"):
        yolo(tmp_path, 'names: ["\\ud800"]\ntrain: images/train\n')
    source = yolo(tmp_path, 'names: [c]\ntrain: images/train\nval: "images/\\ud800"\n')
    assert len(source.faults) == 1
    source.faults[0].why.encode()


@pytest.mark.parametrize("line", [b"/", b"a\x00b.png", b"\xff\xfe"])
def test_lines_of_a_list_that_are_no_paths_are_listed(tmp_path: Path, line: bytes) -> None:
    image(tmp_path / "images" / "val" / "b.png")
    source = yolo(tmp_path, "names: [c]\ntrain: list.txt\nval: images/val\n", listed=line + b"\n")
    assert source.items.height == 1
    assert len(source.faults) == 1
    assert "list.txt" in source.faults[0].where


def test_byte_order_marks_of_other_systems_are_passed_over(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    text = "\ufeffnames: [c]\ntrain: list.txt\n"
    source = yolo(tmp_path, text, mark + ROW.encode(), mark + b"./images/train/a.png\n")
    assert labels(source).height == 1
    assert source.faults == []


@NOT_UTF8
def test_an_image_whose_name_is_not_utf8_is_listed(tmp_path: Path) -> None:
    image(tmp_path / "images" / "train" / "a.png")
    os.link(tmp_path / "images" / "train" / "a.png", os.fsencode(tmp_path / "images" / "train") + b"/\xff.png")
    source = yolo(tmp_path)
    assert source.items.height == 1
    assert [f.why for f in source.faults] == ["the file name is not UTF-8"]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("0.7 0.5 0.5 0.2 0.2", "no class 0.7"),
        ("-0.5 0.5 0.5 0.2 0.2", "no class -0.5"),
        ("0 " + "9" * 1_000_000 + " 0.5 0.2 0.2", "not finite"),
        (b"\xff\xfe0 0.5", "cannot be read"),
    ],
)
def test_a_row_is_never_read_as_something_near_it(tmp_path: Path, rows: bytes | str, why: str) -> None:
    source = yolo(tmp_path, rows=rows)
    assert labels(source).is_empty()
    assert [why in f.why for f in source.faults] == [True]


def test_classes_written_as_decimals_and_visibility_between_two(tmp_path: Path) -> None:
    assert labels(yolo(tmp_path, rows="1.0 0.5 0.5 0.2 0.2"))["class_name"].to_list() == ["d"]
    source = yolo(tmp_path, HEAD + "kpt_shape: [1, 3]\n", "0 0.5 0.5 0.2 0.2 0.5 0.5 1.7\n")
    assert ["visibility" in f.why for f in source.faults] == [True]


def test_labels_that_one_file_cannot_hold_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="share the label file"):
        write_yolo(items("a.png", "a.jpg"), label(), tmp_path, names={0: "c"})
    assert len(write_yolo(items("a.png", "a.jpg"), label().clear(), tmp_path, names={0: "c"}).files) == 2


@pytest.mark.parametrize("name", [None, "unheard of"])
def test_an_object_without_a_class_number_is_named(tmp_path: Path, name: str | None) -> None:
    with pytest.raises(InputError, match="has no number"):
        write_yolo(items("a.png"), label(class_name=name), tmp_path, names={0: "c"})


VALUES = st.sampled_from(
    [*TAGS, "images/train", "[c, d]", "{0: c, 7: d}", "[3, 3]", "~", "-1", "3", "yes", '"\\0"', "."]
)
KEYS = st.sampled_from(["path", "train", "val", "valid", "test", "names", "nc", "kpt_shape", "task", "zz"])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_no_data_yaml_crashes_the_reader(tmp_path_factory: pytest.TempPathFactory, config: dict[str, str]) -> None:
    folder = tmp_path_factory.getbasetemp() / "yamlkeys"
    try:
        source = yolo(folder, HEAD * ("names" not in config) + "".join(f"{k}: {v}\n" for k, v in config.items()))
    except EawError:
        return
    json.dumps(source.header, allow_nan=False)
    assert source.items["group"].null_count() == 0


NUMBERS = st.one_of(
    st.floats(-0.002, 1.002).map(repr), st.sampled_from(["nan", "inf", "-0", "1e999", "0", "1", "2", "0x1", "1_0", "٣"])
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["0", "1", "7", "1.0", "x"]),
    st.lists(NUMBERS, max_size=14),
    st.sampled_from([None, "detect", "segment", "obb", "pose"]),
    st.sampled_from(["", "kpt_shape: [2, 3]\n", "kpt_shape: [3, 2]\n"]),
)
def test_no_numbers_give_a_shape_that_is_not_finite(
    tmp_path_factory: pytest.TempPathFactory, code: str, numbers: list[str], task: str | None, shape: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "yolonumbers"
    yolo(folder, HEAD + shape, " ".join([code, *numbers]))
    source = read_yolo(folder, task=task)
    frame = labels(source)
    assert frame.height + len(source.faults) == 1
    for name in "xywh":
        assert frame[name].is_finite().all()
    assert frame.filter(
        pl.col("kind").is_in(["box", "rotated_box"]) & ((pl.col("w") <= 0) | (pl.col("h") <= 0))
    ).is_empty()


# -- datasets ----------------------------------------------------------------------------------------


class Rows:
    """What the reader asks of a dataset, without the library."""

    def __init__(self, rows: list[Any], columns: dict[str, Any] | None) -> None:
        self.rows, self.features, self.column_names = rows, columns, list(columns or {})

    def __iter__(self) -> Any:
        return iter(self.rows)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def test_a_dataset_without_columns_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="columns"):
        read_huggingface(Rows([{"image": png()}], None), folder=tmp_path)


@pytest.mark.parametrize(
    ("value", "n"), [({"bytes": bomb(), "path": None}, 2), ({"path": "x" * 5000}, 1), ("x" * 5000, 1), ("a\0b", 1)]
)
def test_bombs_and_texts_that_are_no_paths_are_left_to_the_importer_or_listed(
    tmp_path: Path, value: Any, n: int
) -> None:
    source = read_huggingface(Rows([{"image": value}, {"image": {"bytes": png()}}], {"image": None}), folder=tmp_path)
    assert source.items.height == n
    assert len(source.faults) == 2 - n


@pytest.mark.parametrize("box", [5, "1234", [None, 1, 2, 3], [float("nan"), 1, 2, 3], [10**400, 1, 2, 3], [1, 2, 3]])
@pytest.mark.parametrize("box_format", ["xywh", "xyxy"])
def test_a_box_that_is_none_is_listed(tmp_path: Path, box: Any, box_format: str) -> None:
    rows = [{"image": {"bytes": png()}, "objects": [{"bbox": box, "category": "\ud800"}]}]
    source = read_huggingface(Rows(rows, {"image": None, "objects": None}), folder=tmp_path, box_format=box_format)
    assert ["four finite numbers" in f.why for f in source.faults] == [True]
    assert labels(source).is_empty()


def test_a_dataset_in_the_format_of_numpy_keeps_its_classes_and_boxes(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    inner = {
        "bbox": datasets.List(datasets.List(datasets.Value("float32"))),
        "category": datasets.List(datasets.ClassLabel(names=["x", "y"])),
    }
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]), "objects": inner}
    )
    rows = {
        "image": [{"bytes": png(), "path": None}],
        "label": [1],
        "objects": [{"bbox": [[1, 2, 3, 4]], "category": [1]}],
    }
    plain = datasets.Dataset.from_dict(rows, features=features)
    for data in (plain, plain.with_format("numpy"), plain.with_format("numpy", columns=["label"])):
        source = read_huggingface(data, folder=tmp_path)
        assert labels(source)["class_name"].to_list() == ["dog", "y"]
        assert labels(source)["w"].to_list() == [None, 3.0]
