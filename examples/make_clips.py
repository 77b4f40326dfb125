"""Draw two short video clips with known faults and labels along tracks, for the examples: no download.

    python examples/make_clips.py clips

writes `street.mp4` and `harbour.mp4` (48 frames each), `labels.csv` (a box a row, with its track) and `truth.csv`,
which names what was planted. Needs PyAV: pip install "encord_active_widgets[video]".
"""

from __future__ import annotations

import csv
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from make_data import city, sea

FRAMES = 48
RATE_HZ = 12
SEED = 3
COVERED = range(14, 18)
"""Frames of the street on which something covers the lens."""
BLURRED = range(30, 34)
"""Frames of the harbour that are out of focus."""
UNLABELLED = 22
"""A frame of the street whose boxes were forgotten."""
FLIPPED = 40
"""A frame of the street on which the bus is called a car."""

Box = tuple[str, str, int, int, int, int]
"""Class, track, x, y, w, h in pixels."""


def _street(i: int) -> list[Box]:
    return [("car", "car 1", 10 + 5 * i, 176, 42, 20), ("bus", "bus 1", 252 - 4 * i, 200, 64, 30)]


def _harbour(i: int) -> list[Box]:
    return [("boat", "boat 1", 20 + 4 * i, 150 + round(3 * np.sin(i / 4)), 50, 22)]


def _drawn(background: Image.Image, boxes: list[Box]) -> Image.Image:
    image = background.copy()
    draw = ImageDraw.Draw(image)
    for name, _, x, y, w, h in boxes:
        body = {"car": (206, 62, 54), "bus": (240, 190, 60), "boat": (250, 246, 236)}[name]
        if name == "boat":
            draw.polygon([(x, y + h // 2), (x + w, y + h // 2), (x + w - 10, y + h), (x + 10, y + h)], fill=body)
            draw.polygon([(x + w // 2, y), (x + w // 2, y + h // 2), (x + w - 8, y + h // 2)], fill=(214, 84, 66))
            continue
        draw.rounded_rectangle((x, y, x + w, y + h - 4), 5, fill=body)
        draw.rectangle((x + w // 5, y + 3, x + w - w // 5, y + h // 2 - 2), fill=(150, 190, 214))
        for wheel in (x + w // 5, x + w - w // 5):
            draw.ellipse((wheel - 4, y + h - 8, wheel + 4, y + h), fill=(30, 30, 34))
    return image


def _written(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"crf": "18"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def make_clips(folder: str | Path, *, seed: int = SEED) -> Path:
    """Draw the clips into `folder`, once: a folder made before is kept.

    `labels.csv` has the columns `group` (the clip), `frame` (from 0), `class_name`, `track_id`, `x`, `y`, `w`, `h`;
    `truth.csv` has `group`, `frame`, `fault`.
    """
    home = Path(folder)
    if (home / "truth.csv").exists():
        return home
    home.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    labels: list[tuple[Any, ...]] = []
    truth: list[tuple[str, int, str]] = []
    for name, scene, boxes_of in (("street.mp4", city, _street), ("harbour.mp4", sea, _harbour)):
        background = scene(rng)
        frames = []
        for i in range(FRAMES):
            fault, drawn = "", _drawn(background, boxes_of(i))
            noisy = np.asarray(drawn, np.float64) + rng.normal(0, 2, (drawn.height, drawn.width, 1))
            image = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
            if name == "street.mp4" and i in COVERED:
                image, fault = Image.new("RGB", image.size, (7, 6, 8)), "covered"
            elif name == "harbour.mp4" and i in BLURRED:
                image, fault = image.filter(ImageFilter.GaussianBlur(5)), "blurred"
            frames.append(np.asarray(image))
            boxes = [] if fault == "covered" else boxes_of(i)
            if name == "street.mp4" and i == UNLABELLED:
                boxes, fault = [], "unlabelled"
            elif name == "street.mp4" and i == FLIPPED:
                boxes, fault = [("car", *box[1:]) for box in boxes], "class flips"
            labels += [(name, i, *box) for box in boxes]
            if fault:
                truth.append((name, i, fault))
        _written(home / name, frames)
    for file, header, rows in (
        ("labels.csv", ("group", "frame", "class_name", "track_id", "x", "y", "w", "h"), labels),
        ("truth.csv", ("group", "frame", "fault"), truth),
    ):
        with (home / file).open("w", newline="", encoding="utf-8") as table:
            lines = csv.writer(table)
            lines.writerow(header)
            lines.writerows(rows)
    return home


if __name__ == "__main__":
    print(make_clips(sys.argv[1] if len(sys.argv) > 1 else "clips").resolve())
