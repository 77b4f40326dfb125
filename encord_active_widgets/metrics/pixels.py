r"""Image metrics, perceptual hash, descriptor and thumbnail from one decoded image.

Luma is ITU-R BT.601, :math:`Y = 0.299 R + 0.587 G + 0.114 B`. Statistics of luma and colour
are taken over every pixel; sharpness, hash, descriptor and thumbnail come from an exact area
average of the image made in the same pass.

Hue shares: a pixel counts where HSV value and saturation are at least 50/255 and its hue is
within 20 degrees of red (0), in 70 to 150 (green) or in 180 to 260 (blue).

Sources: Hasler and Süsstrunk, "Measuring colourfulness in natural images", SPIE 5007 (2003),
section 7; Smith, "Color gamut transform pairs", SIGGRAPH 1978 (HSV); Shannon (1948).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..embeddings.descriptor import DESCRIPTOR_DIM
from ..images.thumbnails import THUMBNAIL_SIDE_PX
from .sharpness import WORKING_SIDE_PX

PIXEL_METRICS = (
    "brightness",
    "contrast",
    "sharpness",
    "blur",
    "red",
    "green",
    "blue",
    "colourfulness",
    "saturation",
    "grayscale",
    "entropy",
    "luma_p05",
    "luma_p99",
)
"""Names of the metrics that `measure` returns, in its order."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All that one image gives: values in the order of `PIXEL_METRICS`, and what needs pixels."""

    values: npt.NDArray[np.float32]
    phash: int
    vector: npt.NDArray[np.float32]
    thumbnail: npt.NDArray[np.uint8] | None
    """(h, w, 3) uint8, its long side `THUMBNAIL_SIDE_PX`; None where the image is no larger."""


def measure(
    pixels: npt.NDArray[np.uint8],
    *,
    thumbnail: bool = True,
    values: npt.NDArray[np.float32] | None = None,
    vector: npt.NDArray[np.float32] | None = None,
) -> Measured:
    """Measure one image.

    Parameters
    ----------
    pixels : ndarray, (h, w, 3) uint8
        RGB, upright, C-contiguous.
    thumbnail : bool
        Whether a small copy is wanted.
    values, vector : ndarray, optional
        Rows of a batch's arrays to write into; made where absent.

    Examples
    --------
    >>> white = np.full((8, 8, 3), 255, np.uint8)
    >>> float(measure(white).values[PIXEL_METRICS.index("brightness")])
    1.0
    """
    from . import whole

    height, width = pixels.shape[:2]
    rows, columns = fitted(height, width, WORKING_SIDE_PX)
    small_rows, small_columns = 0, 0
    if thumbnail and (height > THUMBNAIL_SIDE_PX or width > THUMBNAIL_SIDE_PX):
        small_rows, small_columns = fitted(height, width, THUMBNAIL_SIDE_PX)
    tile = np.empty((small_rows, small_columns, 3), np.uint8)
    if values is None:
        values = np.empty(len(PIXEL_METRICS), np.float32)
    if vector is None:
        vector = np.empty(DESCRIPTOR_DIM, np.float32)
    phash = whole.measure(pixels, rows, columns, values, vector, tile)
    return Measured(values, int(phash), vector, tile if small_rows else None)


def planes(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.float32]:
    """Area-average an image to (3, side, side) planes, by the way `measure` takes."""
    from . import kernels

    rows, columns = fitted(pixels.shape[0], pixels.shape[1], WORKING_SIDE_PX)
    small = np.empty((3, rows, columns), np.float32)
    kernels.scan(
        np.ascontiguousarray(pixels),
        np.zeros(kernels.N_SUMS, np.float64),
        np.zeros((4, 256), np.int64),
        small,
    )
    square = np.empty((3, side, side), np.float32)
    kernels.shrink(small, square)
    return square


def fitted(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the size that fits an image's long side into `side`; never larger than the image.

    >>> fitted(300, 400, 256), fitted(20, 30, 256), fitted(1, 10_000, 256)
    ((192, 256), (20, 30), (1, 256))
    """
    long_side = max(height, width)
    if long_side <= side:
        return height, width
    scale = side / long_side
    return max(1, round(height * scale)), max(1, round(width * scale))
