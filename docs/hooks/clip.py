"""Draw frames of a video with labels that break along their tracks: pictures for the pages of track metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageDraw

WIDTH_PX, HEIGHT_PX = 320, 200
FRAMES = 16
NIGHT_FRAMES = 3
"""The first ones are seen by a night camera, without colour."""
GROUND = (222, 220, 212)
COLOURS = {"car": (176, 84, 70), "van": (84, 120, 158), "bus": (98, 142, 104)}

Row = dict[str, object]


def draw_clip(folder: Path) -> pl.DataFrame:
    """Draw three lanes of traffic into `folder` and return one row a label.

    The car of lane one goes behind a wall and comes out smaller for some frames, the van of lane two changes its form,
    the track of the bus breaks off and goes on under another name; the labels of two frames are left out, the class of
    one flips, two tracks swap their names, and two vehicles have a second label of another class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for frame in range(FRAMES):
        image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), GROUND)
        draw = ImageDraw.Draw(image)
        for y in (66, 133):
            draw.line([(0, y), (WIDTH_PX, y)], fill=(248, 248, 244), width=3)
        boxes = _boxes(frame)
        for lane, (name, box) in enumerate(boxes):
            x, y, w, h = box
            draw.rectangle([x, y, x + w, y + h], fill=COLOURS[name], outline=(60, 56, 52))
            draw.rectangle([x + w * 0.65, y + 4, x + w * 0.85, y + h - 4], fill=(206, 220, 228))
            if frame in {5, 11} and lane == 2:
                continue  # labels that were forgotten
            claimed = "van" if (lane, frame) == (0, 12) else name
            rows.append(_row(folder, frame, claimed, _track(lane, frame), box))
            if (lane, frame) in {(1, 2), (2, 7)}:  # one thing, two classes
                rows.append(_row(folder, frame, "car", None, (x + 3, y - 2, w - 4, h + 1)))
        noise = np.random.default_rng(frame).normal(0, 3, (HEIGHT_PX, WIDTH_PX, 1))
        shown = image.convert("L").convert("RGB") if frame < NIGHT_FRAMES else image
        pixels = np.clip(np.asarray(shown, np.float64) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"frame_{frame:02d}.jpg", quality=92)
    return pl.DataFrame(rows)


def _boxes(frame: int) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Return the vehicles of a frame, lane by lane."""
    covered = 0.45 if 6 <= frame <= 8 else 1.0
    longer = 1.0 + 0.5 * max(0, frame - 9) / 6
    return [
        ("car", (14.0 + 14 * frame, 18.0, 56 * covered, 32.0)),
        ("van", (20.0 + 9 * frame, 84.0, 60 * longer, 34.0 / longer)),
        ("bus", (8.0 + 12 * frame, 148.0, 84.0, 36.0)),
    ]


def _track(lane: int, frame: int) -> str:
    name = ("car 1", "van 1", "bus 1")[lane]
    if lane == 2 and frame > 11:
        return "bus 2"
    if frame == 14 and lane < 2:
        return ("van 1", "car 1")[lane]
    return name


def _row(folder: Path, frame: int, name: str, track: str | None, box: tuple[float, float, float, float]) -> Row:
    x, y, w, h = box
    return {
        "path": str(folder / f"frame_{frame:02d}.jpg"),
        "group": "traffic",
        "frame": frame,
        "class_name": name,
        "track_id": track,
        "x": x,
        "y": y,
        "w": w,
        "h": h,
    }
