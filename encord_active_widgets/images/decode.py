"""Bytes to upright RGB pixels, safely: one function for every kind of image file.

Upright RGB and greyscale JPEGs go through simplejpeg (libjpeg-turbo straight into NumPy);
everything else, and every JPEG it refuses, goes through Pillow, whose verdict is final.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from . import jpeg

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
"""(h, w, 3) uint8 RGB, upright."""

_MODES_OF_COMPONENTS = {1: "L", 3: "RGB", 4: "CMYK"}
_PLAIN_COMPONENTS = (1, 3)
_BITS_A_CHANNEL = 8
_MAX_U16 = 65535
_MAX_U8 = 255
_WHITE = 255

_BROWSER_MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}
_BROWSER_MODES = frozenset(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"))
_PASS_THROUGH_BYTES = 8 * 1024 * 1024
"""Larger files are re-encoded for the detail view: one message stays small."""

_VIEW_QUALITY = 92
"""JPEG quality of a re-encoded detail view: faults of the photo stay visible."""

_REPLACE = "Replace the file or remove the item."


@dataclass(frozen=True, slots=True)
class Header:
    """What an image says of itself before its pixels are read.

    `width` and `height` are in pixels after EXIF orientation; `mode` is Pillow's name of
    the stored pixel format, `frames` is above 1 for animations and multi-page files.
    """

    width: int
    height: int
    mode: str
    format: str
    frames: int
    orientation: int


def probe(data: bytes) -> Header:
    """Read an image's header, without its pixels.

    Raises
    ------
    ImageError
        If the bytes are no image, or it has more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    plain = jpeg.read_header(data)
    if plain is not None and plain.components in _MODES_OF_COMPONENTS and plain.width:
        _refuse_bomb(plain.width, plain.height)
        if plain.height:  # 0 means "given later" (T.81 B.2.5): left to Pillow
            swapped = plain.orientation in jpeg.TRANSPOSED
            width, height = plain.width, plain.height
            return Header(
                width=height if swapped else width,
                height=width if swapped else height,
                mode=_MODES_OF_COMPONENTS[plain.components],
                format="JPEG",
                frames=1,
                orientation=plain.orientation,
            )
    with _open(data) as image:
        return _header(image)


def decode(data: bytes) -> Pixels:
    """Decode an image to upright RGB.

    EXIF orientation is applied, transparency is laid over white, 16 bits are scaled to 8,
    CMYK and palettes are converted, and the first frame of an animation is taken.

    Parameters
    ----------
    data : bytes
        A whole file.

    Returns
    -------
    ndarray, (h, w, 3) uint8, C-contiguous

    Raises
    ------
    ImageError
        If the bytes are no image, are cut short or corrupt, or make a decompression bomb.
    """
    pixels = _decode_plain_jpeg(data, jpeg.read_header(data), None)
    return _decode_pillow(data) if pixels is None else pixels


class Decoder:
    """Decodes many images into one buffer that grows to the largest (one per thread).

    The array returned by `decode` is overwritten by the next call of the same thread:
    large photos would otherwise pay for fresh pages every time.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def decode(self, data: bytes) -> tuple[Pixels, Header | None]:
        """Return the pixels, and the header where it was cheap to have (plain JPEGs)."""
        found = jpeg.read_header(data)
        if found is not None:
            pixels = _decode_plain_jpeg(data, found, self._buffer(found))
            if pixels is not None:
                mode = _MODES_OF_COMPONENTS[found.components]
                return pixels, Header(found.width, found.height, mode, "JPEG", 1, jpeg.UPRIGHT)
        return _decode_pillow(data), None

    def _buffer(self, header: jpeg.JpegHeader) -> Pixels | None:
        limit = _pixel_limit()
        if limit is not None and header.width * header.height > limit:
            return None  # refused by the caller before anything is allocated
        size = header.width * header.height * 3
        buffer: Pixels | None = getattr(self._local, "buffer", None)
        if buffer is None or buffer.size < size:
            buffer = np.empty(size, np.uint8)
            self._local.buffer = buffer
        return buffer[:size]


def encode_view(data: bytes, max_side: int) -> tuple[bytes, str, int, int]:
    """Encode an image for the detail view.

    The original bytes pass through where a browser shows them right: a web format,
    upright, one frame, small enough. Everything else becomes a JPEG no larger than
    `max_side`.

    Returns
    -------
    tuple
        The bytes, their MIME type, and the width and height in pixels of what they hold.
    """
    header = probe(data)
    if (
        header.format in _BROWSER_MIME
        and header.mode in _BROWSER_MODES
        and header.orientation == jpeg.UPRIGHT
        and header.frames == 1
        and max(header.width, header.height) <= max_side
        and len(data) <= _PASS_THROUGH_BYTES
    ):
        return data, _BROWSER_MIME[header.format], header.width, header.height
    pixels = _decode_plain_jpeg(data, jpeg.read_header(data), None, least_side=max_side)
    if pixels is None:
        pixels = _decode_pillow(data)
    pixels = shrink(pixels, max_side)
    height, width = pixels.shape[:2]
    return encode_jpeg(pixels, _VIEW_QUALITY, subsampling="444"), "image/jpeg", width, height


def shrink(pixels: Pixels, max_side: int) -> Pixels:
    """Return the image with its long side at most `max_side`, by Lanczos; never enlarged."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.asarray(small)


def encode_jpeg(pixels: Pixels, quality: int, subsampling: str = "420") -> bytes:
    """Encode (h, w, 3) uint8 pixels as a JPEG."""
    import simplejpeg

    out: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", subsampling, True)
    return out


def _decode_plain_jpeg(
    data: bytes, header: jpeg.JpegHeader | None, buffer: Pixels | None, least_side: int = 0
) -> Pixels | None:
    """Decode by libjpeg-turbo, or return None where Pillow must judge."""
    if (
        header is None
        or header.components not in _PLAIN_COMPONENTS
        or header.bits != _BITS_A_CHANNEL
        or header.orientation != jpeg.UPRIGHT
        or header.width * header.height == 0
    ):
        return None
    _refuse_bomb(header.width, header.height)
    import simplejpeg

    # DCT-scaled decoding, for the detail view only: both sides stay at least as asked.
    long_side = max(header.width, header.height)
    scaled = 0 < least_side < long_side
    least_width = -(-header.width * least_side // long_side) if scaled else 0
    least_height = -(-header.height * least_side // long_side) if scaled else 0
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=least_height, min_width=least_width, buffer=buffer
        )
    except ValueError:
        return None
    return pixels


def _decode_pillow(data: bytes) -> Pixels:
    with _open(data) as image:
        header = _header(image)
        try:
            image.load()
            # Asked again after loading: Pillow turns TIFFs itself and drops their tag.
            orientation = _orientation(image)
            pixels = _to_rgb(image)
        except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ...
            raise _undecodable(header.format, error) from error
    return np.ascontiguousarray(_upright(pixels, orientation))


def _open(data: bytes) -> Image.Image:
    """Open with Pillow; the size is checked before any pixel is allocated."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise ImageError("The file is empty (0 bytes).", _REPLACE)
    try:
        image = Image.open(io.BytesIO(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bomb(str(error)) from error
    except UnidentifiedImageError as error:
        start = data[:12]
        raise ImageError(
            f"The bytes are not an image of a known format (they start with {start!r}).", _REPLACE
        ) from error
    except Exception as error:
        raise _undecodable("image", error) from error
    _refuse_bomb(*image.size)
    if not image.width or not image.height:
        raise ImageError(f"The image has no pixels ({image.width}x{image.height}).", _REPLACE)
    return image


def _header(image: Image.Image) -> Header:
    orientation = _orientation(image)
    width, height = image.size
    if orientation in jpeg.TRANSPOSED and image.format != "TIFF":  # Pillow swaps a TIFF's itself
        width, height = height, width
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 - a damaged later frame does not spoil the first
        frames = 1
    return Header(width, height, image.mode, image.format or "", frames, orientation)


def _orientation(image: Image.Image) -> int:
    from PIL import ExifTags

    try:
        value = image.getexif().get(ExifTags.Base.Orientation, jpeg.UPRIGHT)
    except Exception:  # noqa: BLE001 - damaged EXIF: the image is shown as stored, as browsers do
        return jpeg.UPRIGHT
    return value if value in range(1, 9) else jpeg.UPRIGHT


def _to_rgb(image: Image.Image) -> Pixels:
    """Convert any Pillow mode to (h, w, 3) uint8."""
    from PIL import Image

    mode = image.mode
    if mode.startswith("I"):
        return _gray_to_rgb(_scale_integers(np.asarray(image)))
    if mode == "F":
        return _gray_to_rgb(_scale_floats(np.asarray(image)))
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, (_WHITE, _WHITE, _WHITE, _WHITE))
        return np.asarray(Image.alpha_composite(ground, rgba).convert("RGB"))
    return np.asarray(image if mode == "RGB" else image.convert("RGB"))


def _scale_integers(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Scale 16-bit greys by 257; 32-bit ones by their maximum where it is above 16 bits."""
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high <= _MAX_U16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return _scale_floats(values.astype(np.float64))


def _scale_floats(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Scale floats in [0, 1] by 255, others from their finite minimum to their maximum."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = float(values[finite].min()), float(values[finite].max())
    if low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    spread = high - low
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (np.where(finite, values, low) - low) / (spread if spread > 0 else 1.0)
        return np.asarray(np.rint(scaled * _MAX_U8), np.uint8)


def _gray_to_rgb(gray: npt.NDArray[np.uint8]) -> Pixels:
    return np.repeat(gray[:, :, np.newaxis], 3, axis=2)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation (CIPA DC-008, tag 274)."""
    if orientation in jpeg.TRANSPOSED:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _pixel_limit() -> int | None:
    """Return Pillow's limit: one setting for users who trust their giant images."""
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS


def _refuse_bomb(width: int, height: int) -> None:
    limit = _pixel_limit()
    if limit is not None and width * height > limit:
        raise _bomb(f"{width}x{height} pixels are more than the limit of {limit:,}.")


def _bomb(what: str) -> ImageError:
    return ImageError(
        f"The image could be a decompression bomb: {what}",
        "If you trust it, raise PIL.Image.MAX_IMAGE_PIXELS and call p.compute() again.",
    )


def _undecodable(kind: str, error: Exception) -> ImageError:
    return ImageError(
        f"The {kind or 'image'} is cut short or corrupt ({type(error).__name__}: {error}).",
        _REPLACE,
    )
