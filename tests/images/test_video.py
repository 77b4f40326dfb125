"""Videos: every frame is the frame that is shown at its time, in any order and from any thread."""

from __future__ import annotations

import io
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EmptyFolderError, ImageError, InputError
from encord_active_widgets.formats.video import read_frame_folders, read_video
from encord_active_widgets.images import video
from encord_active_widgets.images.video import frame_address, frame_bytes, frame_pixels, frame_table, video_size

av = pytest.importorskip("av")

BITS, CELL_PX = 8, 16
SIZE = (96, CELL_PX * BITS)


def coded(i: int) -> NDArray[np.uint8]:
    """Draw a frame that says its number in black and white cells, which survive any compression."""
    image = np.full((*SIZE, 3), 110, np.uint8)
    for bit in range(BITS):
        image[:32, bit * CELL_PX : (bit + 1) * CELL_PX] = 235 if i >> bit & 1 else 20
    image[60:80, 4 + i % 90 : 24 + i % 90] = (200, 60, 40)
    return image


def number_of(pixels: NDArray[np.uint8]) -> int:
    centres = pixels[8:24, CELL_PX // 2 :: CELL_PX].mean(axis=(0, 2))
    return sum(1 << bit for bit, v in enumerate(centres) if v > 128)


def write(
    path: Path,
    times: list[int],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    start: int = 0,
    frames: list[NDArray[np.uint8]] | None = None,
) -> Path:
    """Encode frames at the given milliseconds; with B-frames and a key frame every twelve."""
    with av.open(str(path), "w") as container:
        usual = {"g": "12", "bf": "2"} if codec == "libx264" else {"g": "12"}
        stream = container.add_stream(codec, rate=30, options=options or usual)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(coded(i) if frames is None else frames[i], format="rgb24")
            frame.pts, frame.time_base = time + start, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred frames at a rate that varies between 9 and 200 a second."""
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.integers(5, 110, 100)).tolist()
    return write(tmp_path_factory.mktemp("video") / "clip.mp4", times)


def test_each_time_gives_its_own_frame_in_any_order(clip: Path) -> None:
    table = frame_table(str(clip))
    assert table["frame"].to_list() == list(range(100))
    assert table["pts"].is_sorted()
    assert np.diff(table["time_s"]).std() > 0.02
    assert 8 <= table["key"].sum() < 40
    addresses = [frame_address(str(clip), t) for t in table["pts"]]
    assert [number_of(frame_pixels(a)) for a in addresses] == list(range(100))
    order = np.random.default_rng(1).permutation(100)
    assert [number_of(frame_pixels(addresses[i])) for i in order] == order.tolist()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: number_of(frame_pixels(addresses[i])), order))
    assert found == order.tolist()


OPEN_GROUPS = {"g": "12", "bf": "3", "x264-params": "open-gop=1"}
REFRESHED = {"bf": "0", "x264-params": "intra-refresh=1:keyint=12"}
B_FRAMES = {"g": "12", "bf": "2"}


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("open.mp4", "libx264", OPEN_GROUPS),
        ("refreshed.mp4", "libx264", REFRESHED),
        ("refreshed.mkv", "libx264", REFRESHED),
        ("between.mp4", "mpeg4", B_FRAMES),
        ("between.avi", "mpeg4", B_FRAMES),
        ("open.avi", "libx264", OPEN_GROUPS),
        ("hidden.webm", "libvpx", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    ],
)
def test_frames_shown_before_their_key_frame_and_streams_without_times_are_exact(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    file = str(write(tmp_path / name, list(range(0, 60 * 40, 40)), codec=codec, options=options))
    addresses = [frame_address(file, pts) for pts in frame_table(file)["pts"]]
    assert len(set(addresses)) == 60
    in_order = [frame_pixels(a) for a in addresses]
    assert [number_of(pixels) for pixels in in_order] == list(range(60))
    for i in np.random.default_rng(2).permutation(60):
        np.testing.assert_array_equal(frame_pixels(addresses[i]), in_order[i])


def test_packets_tell_the_frames_that_decoding_gives(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [clip, write(tmp_path / "open.mkv", list(range(0, 4000, 40)), options=OPEN_GROUPS, start=700)]
    told = [frame_table(str(f)) for f in files]
    monkeypatch.setattr(video, "_FRAME_A_PACKET", frozenset())
    for file, table in zip(files, told, strict=True):
        assert table.equals(frame_table(str(file)))
        with av.open(str(file)) as container:
            assert table["pts"].to_list() == [frame.pts for frame in container.decode(video=0)]


def test_a_pass_in_order_decodes_each_frame_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeks: list[int] = []
    seek = video._Reader._seek
    monkeypatch.setattr(video._Reader, "_seek", lambda self, pts: seeks.append(pts) or seek(self, pts))
    monkeypatch.setattr(video, "_readers", video._Readers())
    for pts in frame_table(str(clip))["pts"]:
        frame_pixels(frame_address(str(clip), pts))
    assert len(seeks) <= 1


TURNS = {
    "upright": ((1, 0, 0, 1), lambda p: p),
    "a quarter to the right": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "a quarter to the left": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "upside down": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
}


@pytest.mark.parametrize("turn", TURNS)
def test_videos_are_shown_as_their_camera_was_held(tmp_path: Path, turn: str) -> None:
    (a, b, c, d), turned = TURNS[turn]
    plain = write(tmp_path / "plain.mp4", [0, 40, 80])
    data = bytearray(plain.read_bytes())
    matrix = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    data[matrix : matrix + 36] = struct.pack(">9i", *(v << 16 for v in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)
    (tmp_path / "held.mp4").write_bytes(data)
    held = str(tmp_path / "held.mp4")
    expected = turned(frame_pixels(frame_address(str(plain), 0)))
    np.testing.assert_array_equal(frame_pixels(frame_address(held, 0)), expected)
    assert video_size(held) == expected.shape[1::-1]
    with Image.open(io.BytesIO(frame_bytes(frame_address(held, 0)))) as image:
        assert (image.format, image.mode) == ("BMP", "RGB")
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_names_that_look_like_addresses_and_damage_stay_in_bounds(clip: Path, tmp_path: Path) -> None:
    odd = tmp_path / "cam-10:30 #2.mp4"
    odd.write_bytes(clip.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert read_video(odd.name).items.height == 100
    for address in (
        "clip.mp4",
        frame_address(str(clip), -5),
        frame_address(str(clip), 10**30),
        str(tmp_path) + "#pts=0",
    ):
        with pytest.raises(ImageError) as caught:
            frame_bytes(address)
        assert caught.value.remedy
    source = str(write(tmp_path / "whole.mkv", list(range(0, 4000, 40))))
    data = Path(source).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    cut = str(tmp_path / "cut.mkv")
    table = frame_table(cut)
    assert 0 < table.height < 100
    assert number_of(frame_pixels(frame_address(cut, table["pts"][5]))) == 5


def test_without_pyav_the_install_line_is_given(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(video, "_readers", video._Readers())
    for call, kind in ((lambda: frame_bytes(f"{clip}#pts=0"), ImageError), (lambda: read_video(clip), InputError)):
        with pytest.raises(kind, match=r'pip install "encord_active_widgets\[video\]"'):
            call()


def test_videos_of_a_folder_are_told_apart_and_nothing_else_is_read(clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    for place in ("a/x.mp4", "b/x.MP4", "b/._x.mp4", "p.eaw/x.mp4", ".cache/x.mp4"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(data)
    (tmp_path / "folder.mp4").mkdir()
    whole = read_video(tmp_path, every=50)
    assert whole.faults == []
    assert whole.items["group"].to_list() == ["a/x.mp4"] * 2 + ["b/x.MP4"] * 2
    assert whole.card == {"format": "video", "images": str(tmp_path), "every": 50}
    assert read_video(tmp_path / "*" / "x.mp4").items["group"].unique().to_list() == ["a/x.mp4"]
    listed = read_video([tmp_path / "a/x.mp4", tmp_path / "b/x.MP4", tmp_path / "a/x.mp4"], start=10, stop=40, every=10)
    assert listed.items["frame"].to_list() == [10, 20, 30] * 2
    assert listed.items["uri"].is_unique().all()
    assert listed.items["time_s"][0] > 0
    assert read_video(**_arguments(listed.card)).items.equals(listed.items)
    with pytest.raises(EmptyFolderError, match="frames there"):
        read_video(clip, start=100)
    with pytest.raises(InputError, match="stop"):
        read_video(clip, stop=-1)
    with pytest.raises(EmptyFolderError, match="no video"):
        read_video(str(tmp_path / "*.mkv"))


def _arguments(card: dict[str, object]) -> dict[str, object]:
    return {"videos" if key == "images" else key: value for key, value in card.items() if key != "format"}


@pytest.mark.parametrize(("name", "codec"), [("late.mkv", "libx264"), ("old.avi", "mpeg4"), ("late.mov", "mpeg4")])
def test_other_containers_and_a_late_first_frame(tmp_path: Path, name: str, codec: str) -> None:
    file = write(tmp_path / name, list(range(0, 40 * 40, 40)), codec=codec, start=0 if name.endswith("avi") else 5000)
    table = frame_table(str(file))
    assert table.height == 40
    assert table["time_s"][0] == 0
    for i in (39, 0, 13, 12, 30):
        assert number_of(frame_pixels(frame_address(str(file), table["pts"][i]))) == i


def test_a_time_without_a_frame_and_what_is_no_video_are_named(clip: Path, tmp_path: Path) -> None:
    table = frame_table(str(clip))
    with pytest.raises(ImageError, match="no frame at the time"):
        frame_pixels(frame_address(str(clip), int(table["pts"][5]) + 1))
    (tmp_path / "bad.mp4").write_bytes(b"not a video" * 50)
    for path in (tmp_path / "bad.mp4", tmp_path / "gone.mp4"):
        with pytest.raises(ImageError, match=path.name):
            frame_table(str(path))
    source = read_video([clip, tmp_path / "bad.mp4"])
    assert source.items.height == 100
    assert "bad.mp4" in source.faults[0].where
    with pytest.raises(EmptyFolderError, match="no video"):
        read_video(tmp_path)
    with pytest.raises(InputError, match="every"):
        read_video(clip, every=0)


def test_a_video_is_a_project_of_its_frames(clip: Path, tmp_path: Path) -> None:
    p = ea.Project.from_video(clip, tmp_path / "p.eaw", every=10)
    assert p.df["frame"].to_list() == list(range(0, 100, 10))
    assert p.df["group"].unique().to_list() == ["clip.mp4"]
    assert p.df.select("width", "height").unique().rows() == [(SIZE[1], SIZE[0])]
    p.compute()
    assert p.df["brightness"].null_count() == 0
    assert p.problems.is_empty()
    again = ea.open(p.path)
    assert again.refresh().changed == 0
    image, _ = again.items.dataset()[3]
    assert number_of(image) == 30
    done = again.items.head(2).to_coco(tmp_path / "out.json", images="copy", verify=True)
    assert len(list((done.path.parent / "images").iterdir())) == 2


def test_folders_of_frames_are_sequences_in_natural_order(tmp_path: Path) -> None:
    for place, names in {"a": ["f_2.png", "f_10.png", "f_1.png"], "b": ["x.png", "y9.png"]}.items():
        (tmp_path / "in" / place).mkdir(parents=True)
        for i, name in enumerate(names):
            Image.new("RGB", (8 + i, 8)).save(tmp_path / "in" / place / name)
    source = read_frame_folders(tmp_path / "in")
    assert source.items.select("group", "frame").rows() == [("a", 1), ("a", 2), ("a", 10), ("b", 0), ("b", 1)]
    p = ea.Project.from_folder(tmp_path / "in", tmp_path / "p.eaw", sequences=True)
    assert p.df["frame"].to_list() == [1, 2, 10, 0, 1]
    assert "class_name" not in p.df.columns


# -- tracks drawn, encoded and flagged -------------------------------------------------------------


def _scene(i: int, n: int) -> list[tuple[str, str, int, int, int, int]]:
    """What is on frame i: class, track, x, y, w, h; the truth before mistakes."""
    return [("car", "a", 4 + i, 10, 20, 14), ("car", "b", 100 - i, 40, 20, 14), ("bus", "c", 40, 70, 30, 20)][:n]


def test_mistakes_along_tracks_are_flagged_and_nothing_leaks_between_videos(tmp_path: Path) -> None:
    n = 30
    rows: list[dict[str, object]] = []
    for name in ("one.mp4", "two.mp4"):
        frames = []
        for i in range(n):
            image = np.full((*SIZE, 3), 90, np.uint8)
            for _, _, x, y, w, h in _scene(i, 3):
                image[y : y + h, x : x + w] = (210, 200, 60)
            frames.append(image)
        file = write(tmp_path / name, [i * 30 + i * i for i in range(n)], frames=frames)
        for i, pts in enumerate(frame_table(str(file))["pts"]):
            for cls, track, x, y, w, h in _scene(i, 3):
                kind, at, wide = cls, track, w
                if name == "one.mp4":
                    if i == 12:
                        continue  # the empty middle frame
                    if i == 6 and track == "c":
                        kind = "car"  # a class flip
                    if i >= 20 and track in "ab":
                        at = {"a": "b", "b": "a"}[track]  # swapped ids
                    if i == 16 and track == "c":
                        wide = 9  # covered for the most part
                rows.append({"path": frame_address(str(file), pts), "class_name": kind, "track_id": at, "x": x, "y": y,
                             "w": wide, "h": h})  # fmt: skip
    p = ea.Project.from_video([tmp_path / "one.mp4", tmp_path / "two.mp4"], tmp_path / "p.eaw")
    p.add_labels(pl.DataFrame(rows))
    p.compute("labels")
    one, two = (p.objects.df.filter(pl.col("group") == g) for g in ("one.mp4", "two.mp4"))
    items = p.df.filter(pl.col("missing_objects") > 0)
    assert items.select("group", "frame", "missing_objects").rows() == [("one.mp4", 12, 3.0)]
    flip = one.sort("inconsistent_class").row(-1, named=True)
    assert (flip["frame"], flip["track_id"]) == (6, "c")
    covered = one.sort("occlusion_risk").row(-1, named=True)
    assert (covered["frame"], covered["track_id"]) == (16, "c")
    assert covered["occlusion_risk"] == pytest.approx(0.7, abs=0.01)
    assert covered["shape_change"] == pytest.approx(0.7, abs=0.01)
    swapped = one.filter(pl.col("inconsistent_track") > 0)
    assert swapped.select("frame", "track_id").sort("track_id").rows() == [(20, "a"), (20, "b")]
    assert one.filter(pl.col("broken_track") > 0)["frame"].unique().to_list() == [13]
    for metric in ("occlusion_risk", "shape_change", "broken_track", "inconsistent_class", "inconsistent_track"):
        assert two[metric].max() == pytest.approx(0, abs=1e-6), metric
