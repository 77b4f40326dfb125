"""One file holds what it should, is as small as promised, and nothing in the data can break out of it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, UnknownNameError
from encord_active_widgets.export.contents import short_addresses
from encord_active_widgets.export.pack import Pack, block
from encord_active_widgets.export.pictures import without_metadata

from .conftest import ReadPack, ReadPage

Read = Callable[[Path], ReadPage]
EVIL = "</script><img src=x onerror=alert(1)><!--"
MB = 1_000_000


class Elements(HTMLParser):
    """What a browser finds: elements with their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


# -- size -----------------------------------------------------------------------------------------------------


def test_ten_thousand_images_stay_under_40_mb(cifar: ea.Project, tmp_path: Path, taken_apart: Read) -> None:
    file = tmp_path / "cifar.html"
    done = cifar.to_html(file)
    page = taken_apart(file)
    assert page.size < 40 * MB
    assert (done.items, page.n, len(page.pictures())) == (10_000, 10_000, 10_000)
    assert all(page.pictures()), "every image has its picture"
    assert {Image.open(io.BytesIO(b)).size for b in page.pictures()[::500]} == {(32, 32)}, "no pixel was given up"


@pytest.mark.parametrize("limit", [0.9, 1.5, 4.0, 12.0])
def test_pictures_are_made_as_large_as_fits(
    photos: ea.Project, tmp_path: Path, taken_apart: Read, limit: float
) -> None:
    done = photos.to_html(tmp_path / "photos.html", max_mb=limit)
    page = taken_apart(done.path)
    assert page.size <= limit * MB
    sides = [max(Image.open(io.BytesIO(b)).size) for b in page.pictures()]
    (side,) = map(int, re.findall(r"at most (\d+) px", done.notes[0]))
    assert max(sides) == side
    assert page.size > limit * MB * 0.45, "room was left that a larger picture would have used"


def test_a_page_that_cannot_fit_is_refused_with_what_would(photos: ea.Project, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"thumbnails=(\d+) fits") as refused:
        photos.to_html(tmp_path / "p.html", thumbnails=512, max_mb=2)
    fits = int(re.search(r"thumbnails=(\d+) fits", str(refused.value))[1])  # type: ignore[index]
    photos.to_html(tmp_path / "p.html", thumbnails=fits, max_mb=2)
    with pytest.raises(InputError, match=r"view\.sample\((\d+)\)"):
        photos.to_html(tmp_path / "q.html", max_mb=0.5)
    with pytest.raises(InputError, match="Without any picture"):
        photos.to_html(tmp_path / "q.html", max_mb=0.1)
    assert not (tmp_path / "q.html").exists()
    assert [f.name for f in tmp_path.iterdir() if f.suffix == ".tmp"] == []


def test_a_page_without_pictures_holds_none(photos: ea.Project, tmp_path: Path, taken_apart: Read) -> None:
    done = photos.to_html(tmp_path / "p.html", thumbnails=0)
    assert taken_apart(done.path).pictures() == []
    assert "without pictures" in done.notes[0]


# -- what is in it --------------------------------------------------------------------------------------------


def test_only_the_rows_of_the_view_are_in_the_file_and_in_its_order(
    photos: ea.Project, tmp_path: Path, taken_apart: Read
) -> None:
    view = photos.filter(pl.col("brightness") < 0.4).sort("sharpness", descending=True)
    view.head(3).tag("first")
    page = taken_apart(view.to_html(tmp_path / "p.html").path)
    assert page.ids == view.ids.to_list()
    assert 0 < page.n < len(photos)
    assert page.numbers("sharpness").tolist() == view.df["sharpness"].to_list()
    other = photos.filter(pl.col("brightness") >= 0.4)
    names = [Path(u).name for u in other.df["uri"]]
    assert [n for n in names if n in json.dumps(page.data.head)] == [], "of other images not even a name is there"
    (tag,) = page.data.head["tags"]
    bits = np.unpackbits(np.frombuffer(page.data.buffers[tag["rows"]], np.uint8), bitorder="little")[: page.n]
    assert np.flatnonzero(bits).tolist() == [0, 1, 2]


def test_neighbours_and_maps_are_of_the_rows_shown(photos: ea.Project, tmp_path: Path, taken_apart: Read) -> None:
    view = photos.filter(pl.col("brightness") < 0.45)
    page = taken_apart(view.to_html(tmp_path / "p.html").path)
    (near,) = page.data.head["near"]
    rows = np.frombuffer(page.data.buffers[near["rows"]], "<u4").reshape(page.n, near["k"])
    vectors = photos.embeddings["descriptor"]
    mine = np.asarray(vectors.vectors, np.float64)[np.searchsorted(vectors.rows, view.rows)]
    unit = mine / np.linalg.norm(mine, axis=1, keepdims=True)
    distances = 1 - unit @ unit.T
    np.fill_diagonal(distances, np.inf)
    found = np.take_along_axis(distances, rows.astype(np.int64), axis=1)
    assert np.allclose(found, np.sort(distances, axis=1)[:, : near["k"]], atol=1e-5)
    for place in page.data.head["maps"]:
        x = np.frombuffer(page.data.buffers[place["x"]], "<u2")
        assert (x.min(), x.max()) == (0, 65534), "the map fills its pane"


def test_objects_are_cut_out_and_drawn_on_their_images(cells: ea.Project, tmp_path: Path, taken_apart: Read) -> None:
    view = cells.objects.filter(pl.col("class_name") == "WBC").head(40)
    done = view.to_html(tmp_path / "o.html")
    page = taken_apart(done.path)
    items = view.df["item_id"].unique(maintain_order=True).to_list()
    assert page.ids == view.ids.to_list()
    assert (done.items, len(page.pictures("images"))) == (len(items), len(items))
    assert len(page.pictures()) == 40
    drawn = sum(
        len(f["objects"]) for name, p in page.packs.items() if name.startswith("overlays-") for f in p.head["found"]
    )
    assert drawn == done.labels == cells.objects.df.filter(pl.col("item_id").is_in(items)).height


def test_the_disk_of_the_writer_stays_private(photos: ea.Project, tmp_path: Path, taken_apart: Read) -> None:
    uri = photos.df["uri"][0]
    assert Path(uri).is_absolute()
    short = taken_apart(photos.to_html(tmp_path / "short.html").path)
    assert short.texts("uri") == [Path(u).name for u in photos.df["uri"]]
    assert str(Path(uri).parent) not in short.text + json.dumps(short.data.head)
    assert str(photos.path) not in short.text + json.dumps(short.data.head)
    full = taken_apart(photos.to_html(tmp_path / "full.html", addresses="full").path)
    assert full.texts("uri") == photos.df["uri"].to_list()


def test_addresses_keep_what_tells_them_apart() -> None:
    given = ["/home/a/x/1.jpg", "/home/a/y/2.jpg", "rel/3.jpg", "s3://bucket/4.jpg", None]
    assert short_addresses(pl.Series("uri", given)).to_list() == [
        "x/1.jpg",
        "y/2.jpg",
        "rel/3.jpg",
        "s3://bucket/4.jpg",
        None,
    ]
    assert short_addresses(pl.Series("uri", ["C:\\d\\1.jpg", "C:\\d\\e\\2.jpg"])).to_list() == ["1.jpg", "e\\2.jpg"]
    assert short_addresses(pl.Series("uri", ["a.jpg"])).to_list() == ["a.jpg"]


def test_places_that_a_camera_wrote_are_not_handed_on(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x9286] = "at home"
    exif[0x010F] = "maker"
    plain = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(plain, "JPEG", exif=exif)
    assert b"maker" in plain.getvalue()
    cleaned = without_metadata(plain.getvalue())
    assert b"maker" not in cleaned
    assert Image.open(io.BytesIO(cleaned)).size == (20, 10)


# -- nothing breaks out ---------------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path: Path) -> ea.Project:
    for i, colour in enumerate(("teal", "red", "gold")):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{i}.png")
    table = pl.DataFrame({
        "path": [str(tmp_path / f"{i}.png") for i in range(3)], "class_name": [EVIL, "]]>", "\u2028'\""],
        f"col{EVIL}": [EVIL, "x", None], "number": [0.5, None, 0.25],
    })  # fmt: skip
    p = ea.Project.from_frame(table, tmp_path / "evil.eaw", name=EVIL)
    p.items.head(2).tag(EVIL)
    p.items.head(1).note(EVIL)
    return p


def test_names_cannot_break_out_of_the_page(hostile: ea.Project, tmp_path: Path, taken_apart: Read) -> None:
    page = taken_apart(hostile.to_html(tmp_path / "e.html", title=EVIL).path)
    found = Elements(page.text).found
    assert [t for t, _ in found if t == "img"] == []
    scripts = [a for t, a in found if t == "script"]
    assert {a.get("type") for a in scripts} == {"application/octet-stream", None}
    assert sum("type" not in a for a in scripts) == 1, "one script runs: ours"
    assert not any(k.startswith("on") for _, attributes in found for k in attributes)
    assert page.texts("class_name") == [EVIL, "]]>", "\u2028'\""], "and they arrive as they are"


def test_the_policy_lets_in_nothing_but_this_script(hostile: ea.Project, tmp_path: Path, taken_apart: Read) -> None:
    page = taken_apart(hostile.to_html(tmp_path / "e.html").path)
    (policy,) = [a["content"] for t, a in Elements(page.text).found if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(r.strip().split(" ", 1) for r in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "blob: data:"
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    for kind, text in (("script-src", script), ("style-src", style)):
        assert rules[kind] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert page.text.index("Content-Security-Policy") < page.text.index("<style>"), "it holds for all that follows"
    outside = re.findall(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", page.text)
    assert outside == []


@given(st.binary(max_size=200), st.lists(st.binary(max_size=30), max_size=4), st.text(max_size=30))
@hypothesis_settings(deadline=None, max_examples=60)
def test_what_is_packed_is_unpacked(first: bytes, others: list[bytes], text: str) -> None:
    for deflate in (True, False):
        pack = Pack()
        numbers = [pack.add(b) for b in [first, *others]]
        data = pack.encode({"text": text}, deflate=deflate)
        read = ReadPack(data)
        assert read.head["text"] == text
        assert [read.buffers[i] for i in numbers] == [first, *others]
        assert re.fullmatch(r'<script type="[a-z/-]+" data-eaw="x">[A-Za-z0-9+/=]+</script>\n', block("x", data))


# -- bad input ------------------------------------------------------------------------------------------------


def test_wrong_options_are_refused_by_name(photos: ea.Project, tmp_path: Path) -> None:
    file = tmp_path / "p.html"
    for options, error in (
        ({"tags": "colect"}, UnknownNameError), ({"addresses": "none"}, UnknownNameError),
        ({"color": "brightnes"}, UnknownNameError), ({"sort": "nope"}, UnknownNameError),
        ({"thumbnails": 3}, InputError), ({"thumbnails": True}, InputError), ({"max_mb": 0}, InputError),
    ):  # fmt: skip
        with pytest.raises(error):
            photos.to_html(file, **options)
    with pytest.raises(InputError, match="no rows"):
        photos.filter(pl.lit(False)).to_html(file)
    with pytest.raises(InputError, match="is a folder"):
        photos.to_html(tmp_path)
    assert not file.exists()


def test_an_unreadable_image_leaves_a_gap_that_is_told(tmp_path: Path, taken_apart: Read) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (40, 30), "teal").save(tmp_path / f"{name}.png")
    p = ea.Project.from_folder(tmp_path, tmp_path / "p.eaw")
    (tmp_path / "b.png").write_bytes(b"no picture")
    done = p.to_html(tmp_path / "p.html")
    assert sorted(map(bool, taken_apart(done.path).pictures())) == [False, True]
    assert "1 images cannot be read; their tiles are empty" in done.notes


def test_images_that_are_gone_are_shown_by_their_stored_thumbnails(
    photos: ea.Project, tmp_path: Path, taken_apart: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def gone(address: str) -> bytes:
        asked.append(address)
        raise FileNotFoundError(2, "No such file", address)

    monkeypatch.setattr("encord_active_widgets.images.address.read_bytes", gone)
    page = taken_apart(photos.to_html(tmp_path / "p.html").path)
    assert all(page.pictures())
    assert max(max(Image.open(io.BytesIO(b)).size) for b in page.pictures()) == 128
    assert len(asked) <= 32, "a sample told that they are gone"


def test_a_full_disk_leaves_the_old_page(photos: ea.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "p.html"
    file.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("encord_active_widgets.export.html.page", lambda **_: (full() for _ in range(1)))
    with pytest.raises(OSError, match="No space"):
        photos.to_html(file)
    assert file.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir() if f.suffix == ".tmp"] == []
