"""Damage a folder of images in ways that happen: files cut off on the way, black bars of films.

    python examples/make_damage.py scenes

puts files that cannot be read beside the images that `make_data.py` drew.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SEED = 5


def add_unreadable(folder: str | Path) -> list[str]:
    """Put three files into a sub-folder of images that look like images and are none; return their names."""
    home = Path(folder)
    place = min(p for p in home.iterdir() if p.is_dir())
    whole = min(place.glob("*.jpg")).read_bytes()
    files = {"cut_off.jpg": whole[: len(whole) // 3], "empty.jpg": b"", "a_page.jpg": b"<html>404 not found</html>"}
    for name, data in files.items():
        (place / name).write_bytes(data)
    return sorted(files)


def add_bars(folder: str | Path, count: int = 20, *, seed: int = SEED) -> dict[str, float]:
    """Lay black bars over top and bottom of some images, as films have them; return the covered share of each.

    The keys are addresses below the folder: `class/name.jpg`. Files are written again in place.
    """
    home = Path(folder)
    files = sorted(home.glob("*/*.jpg"))
    rng = np.random.default_rng(seed)
    shares = {}
    for i in sorted(rng.choice(len(files), count, replace=False)):
        image = Image.open(files[i]).convert("RGB")
        bar = round(image.height * rng.uniform(0.06, 0.16))
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, image.width, bar - 1), fill=0)
        draw.rectangle((0, image.height - bar, image.width, image.height), fill=0)
        image.save(files[i], quality=90)
        shares[files[i].relative_to(home).as_posix()] = 2 * bar / image.height
    return shares


if __name__ == "__main__":
    print(*add_unreadable(sys.argv[1] if len(sys.argv) > 1 else "scenes"), sep="\n")
