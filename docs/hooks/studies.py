"""Pictures whose values are known beforehand: the ends of the scales that drawn scenes do not reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX = 192

_GREY = np.linspace(0, 255, SIDE_PX).astype(np.uint8)


def draw_studies(folder: Path) -> None:
    """Draw flat colours, a checkerboard, noise, a ramp and odd formats into `folder`, without loss."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    noise = np.random.default_rng(3).integers(0, 256, (SIDE_PX, SIDE_PX, 3))
    pictures = {
        "black": _flat(0, 0, 0),
        "white": _flat(255, 255, 255),
        "grey": _flat(128, 128, 128),
        "red": _flat(220, 30, 30),
        "green": _flat(40, 180, 50),
        "blue": _flat(30, 60, 220),
        "ramp": np.repeat(np.broadcast_to(_GREY, (SIDE_PX, SIDE_PX))[..., None], 3, axis=2),
        "checkerboard": np.repeat((255 * ((rows // 12 + columns // 12) % 2))[..., None], 3, axis=2),
        "noise": noise,
        "strip": np.tile(noise[:24], (1, 2, 1)),
        "tower": np.tile(noise[:, :28], (2, 1, 1)),
    }
    for name, pixels in pictures.items():
        Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(folder / f"{name}.png")


def _flat(*colour: int) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (SIDE_PX, SIDE_PX, 3))
