"""What a user would lose: a folder with one bad file, or colours and turns that are wrong."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encord_active_widgets.errors import ImageError
from encord_active_widgets.images import address, decode, jpeg

ORIENTATION_TAG = 0x0112


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width: int = 48, height: int = 32) -> Image.Image:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_real_photos_decode_to_the_pixels_pillow_shows(shared_data: Path) -> None:
    for file in sorted((shared_data / "photos").iterdir())[:40]:
        data = file.read_bytes()
        with Image.open(file) as image:
            expected = np.asarray(image.convert("RGB"))
        assert np.array_equal(decode.decode(data), expected), file.name
        header = decode.probe(data)
        assert (header.width, header.height) == expected.shape[1::-1]
        assert header.format == "JPEG"


def test_a_reused_buffer_gives_the_same_pixels_for_large_small_large(shared_data: Path) -> None:
    files = sorted((shared_data / "photos").iterdir(), key=lambda f: f.stat().st_size)
    decoder = decode.Decoder()
    for file in (files[-1], files[0], files[-1]):
        data = file.read_bytes()
        assert np.array_equal(decoder.decode(data)[0], decode.decode(data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_turned_photos_stand_upright_with_the_size_that_is_shown(orientation: int, kind: str) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = encoded(scene(), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    got = decode.decode(data)
    assert np.array_equal(got, expected)
    header = decode.probe(data)
    assert (header.height, header.width) == got.shape[:2]


def test_16_bit_greys_are_scaled_not_cut() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    got = decode.decode(encoded(Image.fromarray(ramp), "PNG"))
    assert np.abs(got[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1
    assert np.array_equal(got[..., 0], got[..., 2])


def test_cmyk_photos_have_their_colours() -> None:
    data = encoded(scene().convert("CMYK"), "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(decode.decode(data), expected)
    assert decode.probe(data).mode == "CMYK"


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    clear.putpixel((0, 0), (255, 0, 0, 255))
    got = decode.decode(encoded(clear, "PNG"))
    assert got[0, 0].tolist() == [255, 0, 0]
    assert (got[1:] == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 255, 0, 255, 0])
    palette.putpixel((0, 0), 0)
    data = encoded(palette, "PNG", transparency=1)
    got = decode.decode(data)
    assert got[0, 0].tolist() == [0, 0, 255]
    assert (got[1:] == 255).all()


def test_animations_show_their_first_frame() -> None:
    frames = [Image.new("RGB", (6, 5), c) for c in ("red", "lime")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode.probe(data).frames == 2
    assert decode.decode(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "HSV", "LAB"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (33, 2)])
def test_every_mode_and_tiny_size_becomes_rgb(mode: str, size: tuple[int, int]) -> None:
    if mode == "F":
        image = Image.fromarray(np.full(size[::-1], 0.5, np.float32))
    elif mode == "I;16":
        image = Image.fromarray(np.full(size[::-1], 700, np.uint16))
    else:
        image = Image.new(mode, size)
    data = encoded(image, "TIFF" if mode in ("F", "LAB") else "PNG") if mode != "HSV" else b""
    if not data:
        return
    got = decode.decode(data)
    assert got.shape == (size[1], size[0], 3)
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous


def test_a_bomb_is_refused_before_its_pixels_are_made() -> None:
    for size in ((30_000, 30_000), (10_000, 9_000)):  # Pillow's error, and its mere warning
        data = png_header(*size)
        for read in (decode.probe, decode.decode):
            with pytest.raises(ImageError, match="bomb") as caught:
                read(data)
            assert "MAX_IMAGE_PIXELS" in caught.value.remedy


def test_a_jpeg_that_claims_to_be_huge_is_refused() -> None:
    data = bytearray(encoded(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    for read in (decode.probe, decode.decode, decode.Decoder().decode):
        with pytest.raises(ImageError, match="bomb"):
            read(bytes(data))


@pytest.mark.parametrize("keep", [0, 1, 2, 10, 100, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_cut_files_are_named_not_guessed(keep: float, kind: str) -> None:
    whole = encoded(scene(200, 150), kind)
    size = int(keep) if keep >= 1 or keep == 0 else int(len(whole) * keep)
    with pytest.raises(ImageError) as caught:
        decode.decode(whole[:size])
    assert caught.value.remedy


def test_cut_real_photos_are_refused(shared_data: Path) -> None:
    for file in sorted((shared_data / "photos").iterdir())[:20]:
        data = file.read_bytes()
        with pytest.raises(ImageError, match="cut short"):
            decode.decode(data[: len(data) // 2])


def test_text_named_jpg_is_not_an_image() -> None:
    for read in (decode.probe, decode.decode):
        with pytest.raises(ImageError, match="not an image"):
            read(b"Dear Sir or Madam, this is not a photo." * 5)


def test_random_damage_never_ends_in_anything_but_pixels_or_an_image_error() -> None:
    rng = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        whole = encoded(scene(), kind)
        for _ in range(60):
            damaged = bytearray(whole)
            for _ in range(int(rng.integers(1, 8))):
                damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
            for read in (decode.probe, decode.decode):
                with contextlib.suppress(ImageError):
                    read(bytes(damaged))


def test_the_detail_view_passes_web_images_through_and_converts_the_rest() -> None:
    plain = encoded(scene(), "JPEG")
    assert decode.encode_view(plain, 100) == (plain, "image/jpeg", 48, 32)
    data, mime, width, height = decode.encode_view(plain, 24)
    assert (mime, width, height) == ("image/jpeg", 24, 16)
    assert decode.probe(data).width == 24
    data, mime, width, height = decode.encode_view(encoded(scene(), "TIFF"), 100)
    assert (mime, width, height) == ("image/jpeg", 48, 32)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    data, mime, width, height = decode.encode_view(encoded(scene(), "JPEG", exif=exif), 100)
    assert (width, height) == (32, 48)
    assert decode.probe(data).orientation == jpeg.UPRIGHT


def test_addresses_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    for bad in (tmp_path / "missing.jpg", tmp_path, tmp_path / "a\0b.jpg"):
        with pytest.raises(ImageError) as caught:
            address.read_bytes(str(bad))
        assert caught.value.remedy
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    with pytest.raises(ImageError):
        address.read_bytes(str(loop))


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match="regular"):
        address.read_bytes(str(pipe))


def test_names_of_any_bytes_and_file_urls_are_read(tmp_path: Path) -> None:
    import os

    for name in ('it\'s "<img onerror>" 🐈.jpg', os.fsdecode(b"caf\xe9.jpg"), "100% a#b?.jpg"):
        path = tmp_path / name
        path.write_bytes(b"bytes")
        assert address.read_bytes(str(path)) == b"bytes"
    path = tmp_path / "with space.jpg"
    path.write_bytes(b"bytes")
    assert address.read_bytes(path.as_uri()) == b"bytes"


def test_remote_addresses_are_read_through_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://folder/cat.jpg", "wb") as file:
        file.write(b"bytes")
    assert address.read_bytes("memory://folder/cat.jpg") == b"bytes"
    with pytest.raises(ImageError, match="nothing-such"):
        address.read_bytes("nothing-such://x/y.jpg")


@pytest.mark.parametrize(
    "options",
    [
        {"keep_rgb": True},
        {"progressive": True},
        {"subsampling": 2},
        {"subsampling": 1, "restart_marker_rows": 1},
        {"optimize": True, "quality": 20},
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_flavour_of_jpeg_has_pillows_pixels(options: dict[str, int], mode: str) -> None:
    if mode == "L" and "keep_rgb" in options:
        pytest.skip("greyscale has no RGB to keep")
    data = encoded(scene(131, 77).convert(mode), "JPEG", **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(decode.decode(data), expected)
    assert np.array_equal(decode.Decoder().decode(data)[0], expected)
