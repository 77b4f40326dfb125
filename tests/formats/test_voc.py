"""Pascal VOC in and out."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EawError, EmptyFolderError, InputError
from encord_active_widgets.formats.voc import read_voc

SAME = ("item_id", "uri", "kind", "class_name", "x", "y", "w", "h")


def voc(folder: Path, objects: str, *, name: str = "a", head: str = "", filename: str = "a.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(folder / "a.png")
    file = folder / f"{name}.xml"
    file.write_text(f"{head}<annotation><filename>{filename}</filename>{objects}</annotation>", "utf-8")
    return file


def box(x0: object = 1, y0: object = 2, x1: object = 9, y1: object = 8, name: str = "cat", more: str = "") -> str:
    corners = f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
    return f"<object><name>{name}</name>{more}<bndbox>{corners}</bndbox></object>"


def test_bccd_through_voc_and_through_coco_gives_equal_tables(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "bccd"
    a = ea.Project.from_voc(data / "voc", data / "images", tmp_path / "voc.eaw")
    b = ea.Project.from_coco(data / "annotations.json", data / "images", tmp_path / "coco.eaw")
    assert a.objects.df.select("label_id", *SAME).equals(b.objects.df.select("label_id", *SAME))
    shown = ["item_id", "uri", "width", "height", "object_count", "content_hash"]
    assert a.df.select(shown).equals(b.df.select(shown))
    assert a.problems.height == b.problems.height == 2
    assert a.problems["why"].to_list() == b.problems["why"].to_list()


def test_bccd_is_written_and_read_again(shared_data: Path, tmp_path: Path) -> None:
    p = ea.Project.from_voc(shared_data / "bccd" / "voc", shared_data / "bccd" / "images", tmp_path / "p.eaw")
    done = p.items.head(40).to_voc(tmp_path / "out", images="link", verify=True)
    assert done.notes == []
    q = ea.Project.from_voc(tmp_path / "out" / "Annotations", tmp_path / "out" / "JPEGImages", tmp_path / "q.eaw")
    wanted = [c for c in (*SAME, "extra") if c not in ("item_id", "uri")]
    assert q.objects.df.select(wanted).equals(p.items.head(40).objects().df.select(wanted))


def test_turned_boxes_polygons_and_unknown_children_are_kept(tmp_path: Path) -> None:
    objects = (
        "<object><name>t</name><rotated_bndbox><cx>20</cx><cy>10</cy><w>8</w><h>4</h><angle>0.5</angle></rotated_bndbox></object>"
        "<object><name>p</name><polygon><x1>1</x1><y1>1</y1><x2>9.25</x2><y2>1</y2><x3>5</x3><y3>7</y3></polygon></object>"
        + box(
            more="<difficult>1</difficult><part><name>head</name></part><part><name>tail</name></part>",
            name="a &amp; b",
        )
    )
    p = ea.Project.from_voc(voc(tmp_path / "in", objects), tmp_path / "in", tmp_path / "p.eaw", strict=True)
    frame = p.objects.df
    assert frame["kind"].to_list() == ["rotated_box", "polygon", "box"]
    assert frame.row(0, named=True)["x"] == 16
    assert frame["angle"][0] == pytest.approx(28.6479, abs=1e-4)
    assert frame["class_name"][2] == "a & b"
    assert '"difficult": "1"' in frame["extra"][2]
    p.items.to_voc(tmp_path / "out", images="copy", verify=True)
    q = ea.Project.from_voc(tmp_path / "out" / "Annotations", tmp_path / "out" / "JPEGImages", tmp_path / "q.eaw")
    assert q.objects.df["points"].to_list() == frame["points"].to_list()
    assert q.objects.df["angle"][0] == pytest.approx(frame["angle"][0], abs=1e-12)
    assert q.objects.df["extra"].to_list() == frame["extra"].to_list()


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        (box(x1=1), "no area"),
        (box(x0="nan"), "four finite numbers"),
        (box(x0="1e999"), "four finite numbers"),
        (box(x0="9" * 1_000_001), "more than a million"),
        (box(x0="left"), "four finite numbers"),
        (box(name=""), "no name"),
        ("<object><name>x</name></object>", "no bndbox"),
        ("<object><name>x</name><polygon><x1>1</x1><y1>1</y1></polygon></object>", "three points"),
        ("<object>" * 40 + "</object>" * 40, "nested"),
    ],
)
def test_what_cannot_be_used_is_listed_and_the_rest_read(tmp_path: Path, objects: str, why: str) -> None:
    voc(tmp_path, objects, name="bad")
    voc(tmp_path, box(), name="good", filename="good.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    source = read_voc(tmp_path, images=tmp_path)
    assert source.labels is not None
    assert source.labels.height == 1
    assert why in source.faults[0].why
    assert "bad.xml" in source.faults[0].where


def test_an_entity_bomb_is_refused_and_nothing_is_fetched(tmp_path: Path) -> None:
    bomb = (
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'
    )
    (tmp_path / "secret.txt").write_text("secret")
    fetch = f'<!DOCTYPE a [<!ENTITY a SYSTEM "file://{tmp_path}/secret.txt">]>'
    voc(tmp_path, box(name="&c;"), head=bomb, name="bomb")
    voc(tmp_path, box(name="&a;"), head=fetch, name="fetch")
    with pytest.raises(InputError, match="declares entities"):
        read_voc(tmp_path, images=tmp_path)


def test_names_that_climb_out_empty_folders_and_rubbish_are_named(tmp_path: Path) -> None:
    voc(tmp_path, box(), filename="../../etc/passwd.png", name="climb")
    with pytest.raises(InputError, match="leaves the image folder"):
        read_voc(tmp_path / "climb.xml", images=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptyFolderError, match="no XML"):
        read_voc(tmp_path / "empty", images=tmp_path)
    with pytest.raises(EmptyFolderError):
        read_voc(tmp_path / "climb.xml", images=tmp_path / "nowhere")


def test_files_of_a_sub_folder_find_their_own_images(tmp_path: Path) -> None:
    for place in ("1.png", "x/1.png", "y/2.png"):
        (tmp_path / "im" / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "im" / place)
    for place, filename in (("1", "1.png"), ("x/1", "1.png"), ("y/2", "")):
        file = (tmp_path / "A" / place).with_suffix(".xml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<annotation><filename>{filename}</filename>{box()}</annotation>")
    for files in (tmp_path / "A", str(tmp_path / "A" / "**" / "*.xml")):
        source = read_voc(files, images=tmp_path / "im")
        found = sorted(Path(u).relative_to(tmp_path / "im").as_posix() for u in source.items["uri"])
        assert found == ["1.png", "x/1.png", "y/2.png"]
        assert source.faults == []


def test_an_image_that_was_guessed_is_said_and_strict_refuses_it(tmp_path: Path) -> None:
    voc(tmp_path, box(), filename="renamed.png")
    source = read_voc(tmp_path, images=tmp_path)
    assert [Path(u).name for u in source.items["uri"]] == ["a.png"]
    assert [(f.what, '"renamed.png"' in f.why) for f in source.faults] == [("kept", True)]
    with pytest.raises(InputError, match=r"renamed\.png"):
        ea.Project.from_voc(tmp_path, tmp_path, tmp_path / "p.eaw", strict=True)
    voc(tmp_path, box(), filename="a")  # names without a suffix are a custom of their own
    assert read_voc(tmp_path, images=tmp_path).faults == []


def test_what_a_file_says_of_its_image_comes_back(tmp_path: Path) -> None:
    about = "<folder>VOC</folder><source><database>d &amp; e</database></source><segmented>0</segmented><my>1</my>"
    voc(tmp_path / "in", about + box())
    p = ea.Project.from_voc(tmp_path / "in", tmp_path / "in", tmp_path / "p.eaw", strict=True)
    done = p.items.to_voc(tmp_path / "out", images="copy", verify=True)
    assert done.notes == []
    q = ea.Project.from_voc(tmp_path / "out" / "Annotations", tmp_path / "out" / "JPEGImages", tmp_path / "q.eaw")
    assert q.df["extra"].to_list() == p.df["extra"].to_list()
    assert '"database": "d & e"' in p.df["extra"][0]
    assert "<folder>VOC</folder>" in (tmp_path / "out" / "Annotations" / "a.xml").read_text()
    p.items.to_coco(tmp_path / "c" / "c.json", images="copy", verify=True)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.binary(max_size=40))
def test_no_content_crashes_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "vocfuzz"
    file = voc(folder, box(name="x", more="<z/>"))
    body = file.read_bytes()
    file.write_bytes(body[: len(body) // 2] + text.encode("utf-8", "surrogatepass") + data + body[len(body) // 2 :])
    try:
        source = read_voc(folder, images=folder)
    except EawError:
        return
    assert source.labels is not None
    assert source.labels.filter(pl.col("w") <= 0).is_empty()
