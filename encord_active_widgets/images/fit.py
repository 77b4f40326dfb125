"""An image brought to the one size a model wants."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Fit = Literal["crop", "stretch", "pad"]
FITS: tuple[Fit, ...] = get_args(Fit)

MOST_SIDE_PX = 8192
"""A larger side is a slip of the pen: no model takes it, and a batch of such images fills the memory."""
_EPSILON = 1e-6
"""In pixels: a side that is whole but for rounding stays whole."""


def fit_to(pixels: npt.NDArray[np.uint8], size: tuple[int, int], fit: Fit) -> npt.NDArray[np.uint8]:
    """Resize an image to exactly `size`, by bicubic interpolation with antialiasing.

    Parameters
    ----------
    pixels : ndarray, (h, w, 3) uint8
    size : (int, int)
        Height and width wanted, in pixels.
    fit : {"crop", "stretch", "pad"}
        Take the largest centred part that has the wanted proportions, as most models were trained; squeeze the
        whole image into them; or keep the whole image in its own proportions with black beside it.

    Returns
    -------
    ndarray, (height, width, 3) uint8
        A new array, never a view of `pixels`.

    Examples
    --------
    >>> fit_to(np.zeros((30, 60, 3), np.uint8), (16, 16), "crop").shape
    (16, 16, 3)
    """
    from PIL import Image

    height, width = size
    rows, columns = pixels.shape[:2]
    if (rows, columns) == (height, width):
        return pixels.copy()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    box = (0.0, 0.0, float(columns), float(rows))
    wanted = (width, height)
    if fit == "crop":
        # What is left of the whole image resized to cover the size, its sides rounded down, and then cut around its
        # middle: the numbers of torchvision's Resize and CenterCrop, without making pixels that are cut away.
        scale = max(height / rows, width / columns)
        high, wide = max(height, int(rows * scale + _EPSILON)), max(width, int(columns * scale + _EPSILON))
        top, left = round((high - height) / 2), round((wide - width) / 2)
        across, along = columns / wide, rows / high
        box = (left * across, top * along, (left + width) * across, (top + height) * along)
        box = (box[0], box[1], min(box[2], float(columns)), min(box[3], float(rows)))
    elif fit == "pad":
        scale = min(height / rows, width / columns)
        wanted = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = np.asarray(image.resize(wanted, Image.Resampling.BICUBIC, box=box))
    if fit != "pad":
        return np.array(small)
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    out[top : top + small.shape[0], left : left + small.shape[1]] = small
    return out


def as_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return height and width of a size as users give it: one number, or both.

    >>> as_size(224), as_size((120, 160)), as_size(None)
    ((224, 224), (120, 160), None)
    """
    if size is None:
        return None
    both: tuple[Any, ...] = tuple(size) if isinstance(size, (tuple, list, np.ndarray)) else (size, size)
    if len(both) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < 1 for v in both):
        raise InputError(f"{size!r:.80} is no size of an image.", "Give the side in pixels, or (height, width).")
    if max(both) > MOST_SIDE_PX:
        raise InputError(
            f"Images of {both[0]:,} × {both[1]:,} px are too large for an embedder.",
            f"Give at most {MOST_SIDE_PX:,} px a side.",
        )
    return int(both[0]), int(both[1])


def as_fit(fit: str) -> Fit:
    """Check how images are brought to their size."""
    for known in FITS:
        if fit == known:
            return known
    raise InputError(f"fit={fit!r} is not known.", f"Give one of {', '.join(FITS)}.")
