"""A folder with everything that goes wrong in it: the rest loads, and each fault is right or listed."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError
from encord_active_widgets.protocol.router import Router
from encord_active_widgets.protocol.service import Service

BOMB_SIDE = 30_000
EVIL = "a \"quoted\" 'name' <img onerror=alert(1)> 🙈.jpg"
LISTED = ("truncated.jpg", "zero.jpg", "text.jpg", "bomb.png", "broken link.jpg")


def _bomb() -> bytes:
    """A PNG of 30,000 × 30,000 pixels in a few hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    row = b"\0" * (1 + BOMB_SIDE // 8)
    body = b"".join(packer.compress(row) for _ in range(BOMB_SIDE)) + packer.flush()
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def faulty(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ea.Project, Path]:
    folder = tmp_path_factory.mktemp("faulty") / "photos"
    folder.mkdir()
    photos = sorted((shared_data / "photos").iterdir())[:12]
    for photo in photos:
        shutil.copy(photo, folder)
    whole = photos[0].read_bytes()
    picture = Image.open(io.BytesIO(whole)).convert("RGB")
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "zero.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no image")
    (folder / "bomb.png").write_bytes(_bomb())
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(folder / "sixteen.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    clear = Image.new("P", (40, 30), 0)
    clear.putpalette([255, 0, 0, 0, 0, 255])
    clear.save(folder / "palette.png", transparency=0)
    frames = [Image.new("RGB", (20, 10), c) for c in ("red", "blue")]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (80, 40), "green").save(folder / "turned.jpg", exif=exif)
    Image.new("RGB", (1, 1), "white").save(folder / "one.png")
    shutil.copy(photos[1], folder / EVIL)
    (folder / os.fsdecode(b"not utf8 \xff.jpg")).write_bytes(whole)
    (folder / "broken link.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop").symlink_to(folder)
    before = sorted(folder.iterdir())
    p = ea.Project.from_folder(folder, folder.parent / "p.eaw")
    p.compute()
    assert sorted(folder.iterdir()) == before, "nothing is written beside the images"
    return p, folder


def _row(p: ea.Project, name: str) -> dict[str, Any]:
    return p.filter(pl.col("uri").str.ends_with(name)).df.row(0, named=True)


def test_every_sound_photo_is_there_and_computed(faulty: tuple[ea.Project, Path]) -> None:
    p, _ = faulty
    photos = p.filter(pl.col("uri").str.ends_with(".JPEG"))
    assert len(photos) == 12
    assert photos.df["brightness"].null_count() == 0


def test_strange_but_sound_files_are_read_right(faulty: tuple[ea.Project, Path]) -> None:
    p, _ = faulty
    assert _row(p, "sixteen.png")["brightness"] == pytest.approx(0.5, abs=0.01)
    assert (_row(p, "turned.jpg")["width"], _row(p, "turned.jpg")["height"]) == (40, 80)
    assert _row(p, "turned.jpg")["green"] == 1
    assert _row(p, "palette.png")["brightness"] == 1, "transparent pixels lie over white"
    assert _row(p, "animated.gif")["red"] == 1, "the first frame counts"
    assert _row(p, "one.png")["brightness"] == 1
    cmyk, rgb = _row(p, "cmyk.jpg"), p.df.row(0, named=True)
    assert cmyk["brightness"] is not None
    assert rgb["brightness"] is not None
    assert _row(p, EVIL)["width"] is not None


@pytest.mark.parametrize("name", LISTED)
def test_every_faulty_file_is_listed_with_a_reason_and_a_remedy(faulty: tuple[ea.Project, Path], name: str) -> None:
    p, _ = faulty
    found = p.problems.filter(pl.col("where").str.contains(name, literal=True))
    assert found.height == 1, p.problems["where"].to_list()
    assert all(found["why"].str.len_chars() > 5)
    assert all(found["remedy"].str.len_chars() > 5)


def test_a_name_that_is_not_utf8_is_listed_too(faulty: tuple[ea.Project, Path]) -> None:
    p, _ = faulty
    assert p.problems["where"].str.contains("not utf8", literal=True).sum() == 1


def test_the_link_loop_is_walked_once(faulty: tuple[ea.Project, Path]) -> None:
    p, _ = faulty
    names = [Path(u).name for u in p.df["uri"]]
    assert len(names) == len(set(names))


def test_the_explorer_answers_for_every_row_of_it(faulty: tuple[ea.Project, Path]) -> None:
    p, _ = faulty
    router = Router(Service(p.items).handlers())
    replies: list[dict[str, Any]] = []
    for row in range(len(p)):
        for op in ("row.detail", "image.get", "neighbors.get"):
            router.dispatch(
                {"id": f"t:{row}", "op": op, "row": row, "k": 3, "max": 500}, [], lambda c, _: replies.append(c)
            )
    rows = np.arange(len(p), dtype="<u4").tobytes()
    router.dispatch({"id": "t:x", "op": "thumbs.get"}, [rows], lambda c, _: replies.append(c))
    refused = [r for r in replies if not r["ok"]]
    assert all(r["error"]["code"] == "ImageError" for r in refused), "only an unreadable image may be refused"
    assert len(refused) <= 1  # the truncated one has a good header: it is an item, listed as a problem
    assert json.dumps(replies, allow_nan=False)


def _coco(tmp_path: Path, **changes: Any) -> Path:
    image = Image.new("RGB", (50, 40))
    (tmp_path / "images").mkdir(exist_ok=True)
    image.save(tmp_path / "images" / "a.png")
    data: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 40}],
        "categories": [{"id": 7, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]}],
        **changes,
    }
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(data))
    return file


def _box(i: int, **changes: Any) -> dict[str, Any]:
    return {"id": i, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], **changes}


def test_annotations_that_cannot_be_used_are_skipped_and_listed_one_by_one(tmp_path: Path) -> None:
    bad = [
        _box(2, bbox=[1, 2, float("nan"), 4]),
        _box(3, bbox=[1, 2, float("inf"), 4]),
        _box(4, bbox=["1", 2, 3, 4]),
        _box(5, bbox=[1, 2, 3]),
        _box(6, bbox=[1, 2, 0, 4]),
        _box(7, bbox=[1, 2, -3, 4]),
        _box(8, image_id=99),
        _box(9, category_id=99),
        _box(1),
        _box(10, bbox=[10**400, 0, 1, 1]),
        {"no": "annotation"},
        "text",
    ]
    p = ea.Project.from_coco(_coco(tmp_path, annotations=[_box(1), *bad]), tmp_path / "images", tmp_path / "p.eaw")
    assert len(p.objects) == 1
    assert p.problems.height == len(bad)


def test_paths_that_climb_out_of_the_image_folder_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (5, 5)).save(tmp_path / "secret.png")
    images = [
        {"id": 1, "file_name": "a.png"},
        {"id": 2, "file_name": "../secret.png"},
        {"id": 3, "file_name": "/etc/passwd"},
    ]
    p = ea.Project.from_coco(_coco(tmp_path, images=images), tmp_path / "images", tmp_path / "p.eaw")
    assert len(p) == 1
    assert p.problems.height == 2
    assert p.problems["why"].str.contains("leaves the image folder").all()


def test_minimal_coco_without_info_or_crowd_opens(tmp_path: Path) -> None:
    p = ea.Project.from_coco(_coco(tmp_path), tmp_path / "images", tmp_path / "p.eaw")
    assert (len(p), len(p.objects), p.problems.height) == (1, 1, 0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": 3}', '{"images": []}', "[" * 100_000])
def test_a_file_that_is_no_coco_says_so_and_writes_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ea.EawError, match=r"a\.json"):
        ea.Project.from_coco(tmp_path / "a.json", tmp_path / "images", tmp_path / "p.eaw")
    assert not (tmp_path / "p.eaw").exists()


def test_strict_refuses_missing_images_too_and_leaves_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    data = {
        "images": [{"id": i, "file_name": f"{n}.png", "width": 20, "height": 20} for i, n in enumerate("ab")],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 5, 5]} for i in range(2)],
        "categories": [{"id": 1, "name": "x"}],
    }
    (tmp_path / "c.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"no file at .*b\.png.*strict=True"):
        ea.Project.from_coco(tmp_path / "c.json", images=tmp_path, path=tmp_path / "p.eaw", strict=True)
    assert not (tmp_path / "p.eaw").exists()
    p = ea.Project.from_coco(tmp_path / "c.json", images=tmp_path, path=tmp_path / "p.eaw")
    assert (len(p), len(p.objects), p.problems.height) == (1, 1, 1)


def test_a_project_without_any_readable_image_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    p = ea.Project.from_frame(pl.DataFrame({"path": ["gone/a.png", "gone/b.png"]}), tmp_path / "p.eaw")
    assert len(p) == 0
    assert "(2 tried)" in caplog.text


@pytest.mark.parametrize("name", ["with space", "é ü", "a#b", "a%b", "{x}", "日本"])
def test_a_project_lives_under_any_ordinary_folder_name(name: str, pictures: Path, tmp_path: Path) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / name / "p.eaw")
    p.items.head(2).tag("x")
    p.items.head(1).note("y")
    again = ea.open(p.path)
    assert (len(again), len(again.filter(ea.tagged("x"))), again.df["note"][0]) == (12, 2, "y")


@pytest.mark.parametrize("name", ["a[1]", "a%20b", "a|b"])
def test_a_folder_name_that_tables_cannot_have_is_refused_at_once(name: str, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another folder"):
        ea.Project.from_folder(pictures, tmp_path / name / "p.eaw")
    assert not (tmp_path / name / "p.eaw").exists()
