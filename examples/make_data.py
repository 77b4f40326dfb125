"""Draw a small data set of scenes with known faults, for the examples: no download, no real people.

    python examples/make_data.py scenes

writes about 300 JPEG images in class sub-folders and `truth.csv`, which names every planted fault.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

WIDTH_PX, HEIGHT_PX = 320, 240
PER_CLASS = 36
JPEG_QUALITY = 90
SEED = 7
FAULTS_EACH = 8

Colour = tuple[float, float, float]
Rng = np.random.Generator


# -- drawing ------------------------------------------------------------------------------


def _gradient(top: Colour, bottom: Colour, bend: float = 1.0) -> NDArray[np.float64]:
    t = np.linspace(0, 1, HEIGHT_PX)[:, None, None] ** bend
    column = np.asarray(top) * (1 - t) + np.asarray(bottom) * t
    return np.broadcast_to(column, (HEIGHT_PX, WIDTH_PX, 3)).copy()


def _ridge(rng: Rng, level: float, rough: float, octaves: int = 6) -> NDArray[np.float64]:
    """Return the height (pixels from the top) of a line of hills: sines of halving size."""
    x = np.linspace(0, 1, WIDTH_PX)
    line = np.zeros(WIDTH_PX)
    for octave in range(octaves):
        line += np.sin(2 * np.pi * (x * 2**octave * rng.uniform(0.6, 1.4) + rng.uniform())) * 0.55**octave
    return (level - rough * line / 2) * HEIGHT_PX


def _fill_below(
    pixels: NDArray[np.float64], line: NDArray[np.float64], colour: Colour, fade: Colour | None = None
) -> None:
    rows = np.arange(HEIGHT_PX)[:, None]
    below = rows >= line[None, :]
    depth = np.clip((rows - line[None, :]) / (HEIGHT_PX - line[None, :].min() + 1), 0, 1)[..., None]
    ground = np.asarray(colour) * (1 - depth) + np.asarray(fade or colour) * depth
    pixels[below] = np.broadcast_to(ground, pixels.shape)[below]


def _glow(
    pixels: NDArray[np.float64], x: float, y: float, radius: float, colour: Colour, strength: float = 1.0
) -> None:
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    distance = np.hypot(columns - x * WIDTH_PX, rows - y * HEIGHT_PX) / radius
    disc = np.clip((1 - distance) * radius, 0, 1)[..., None]
    halo = (strength * np.exp(-((distance / 2.4) ** 2)) * 0.6)[..., None]
    light = np.clip(disc + halo, 0, 1)
    pixels[:] = pixels * (1 - light) + np.asarray(colour) * light


def _clouds(pixels: NDArray[np.float64], rng: Rng, colour: Colour, amount: float) -> None:
    """Lay streaks of cloud over the upper part: smooth noise, stretched sideways."""
    field = np.zeros((HEIGHT_PX, WIDTH_PX))
    for cells, weight in ((3, 1.0), (6, 0.6), (12, 0.3)):
        noise = Image.fromarray(rng.random((cells + 2, cells)).astype(np.float32))
        field += weight * np.asarray(noise.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC))
    high, low = np.quantile(field, (0.95, rng.uniform(0.35, 0.7)))
    cover = np.clip((field - low) / (high - low), 0, 1) * np.linspace(amount, 0, HEIGHT_PX)[:, None]
    pixels[:] = pixels * (1 - cover[..., None]) + np.asarray(colour) * cover[..., None]


def _grain(pixels: NDArray[np.float64], rng: Rng, amount: float) -> NDArray[np.uint8]:
    noisy = pixels + rng.normal(0, amount, pixels.shape[:2])[..., None]
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _tinted(rng: Rng, colour: Colour, spread: float = 16) -> Colour:
    r, g, b = np.clip(np.asarray(colour) + rng.normal(0, spread, 3), 0, 255)
    return float(r), float(g), float(b)


def _ink(colour: Colour, factor: float = 1.0) -> tuple[int, int, int]:
    r, g, b = (int(np.clip(c * factor, 0, 255)) for c in colour)
    return r, g, b


# -- classes ------------------------------------------------------------------------------


def mountains(rng: Rng) -> Image.Image:
    """Draw blue ridges behind one another, the last ones with snow."""
    pixels = _gradient(_tinted(rng, (118, 168, 214)), _tinted(rng, (226, 232, 236)), 0.8)
    _clouds(pixels, rng, (250, 250, 252), rng.uniform(0.2, 0.9))
    near = np.asarray(_tinted(rng, (38, 62, 74)))
    far = np.asarray(_tinted(rng, (150, 176, 198)))
    count = int(rng.integers(3, 6))
    for i in range(count):
        t = (i + 1) / count
        line = _ridge(rng, 0.34 + 0.5 * t, 0.34 - 0.16 * t, 7)
        r, g, b = far * (1 - t) + near * t
        _fill_below(pixels, line, (r, g, b))
        if i < 2:
            snow = line[None, :] + rng.uniform(8, 24) + 5 * np.sin(np.arange(WIDTH_PX) / rng.uniform(3, 7))[None, :]
            rows = np.arange(HEIGHT_PX)[:, None]
            cap = (rows >= line[None, :]) & (rows < snow) & (line[None, :] < np.quantile(line, 0.45))
            pixels[cap] = pixels[cap] * 0.25 + np.asarray((244, 247, 250)) * 0.75
    return Image.fromarray(_grain(pixels, rng, 4))


def sunset(rng: Rng) -> Image.Image:
    """Draw a low sun over dark hills or water."""
    pixels = _gradient(_tinted(rng, (72, 44, 108)), _tinted(rng, (252, 158, 84)), 1.2)
    _clouds(pixels, rng, _tinted(rng, (250, 132, 110)), rng.uniform(0.5, 1.0))
    x, y = rng.uniform(0.08, 0.92), rng.uniform(0.3, 0.66)
    _glow(pixels, x, y, rng.uniform(14, 34), (255, 226, 160), rng.uniform(0.8, 1.3))
    level, rough = rng.uniform(0.58, 0.76), rng.uniform(0.04, 0.2)
    for i in range(int(rng.integers(1, 4))):
        shade = _tinted(rng, (70 - 18 * i, 34 - 8 * i, 62 - 14 * i), 6)
        _fill_below(pixels, _ridge(rng, level + 0.1 * i, rough), shade)
    return Image.fromarray(_grain(pixels, rng, 4))


def forest(rng: Rng) -> Image.Image:
    """Draw rows of conifers in mist."""
    pixels = _gradient(_tinted(rng, (188, 206, 204)), _tinted(rng, (142, 172, 150)))
    image = Image.fromarray(_grain(pixels, rng, 2))
    green = _tinted(rng, (34, 78, 52), 12)
    for row in range(4):
        t = row / 3
        draw = ImageDraw.Draw(image)
        colour = _ink(tuple(c * (0.35 + 0.65 * t) + 170 * (0.65 - 0.65 * t) for c in green))  # type: ignore[arg-type]
        base = HEIGHT_PX * (0.52 + 0.16 * row)
        for _ in range(int(26 - 5 * row)):
            cx, tall = rng.uniform(-10, WIDTH_PX + 10), rng.uniform(40, 64) * (0.7 + 0.55 * t)
            foot = base + rng.uniform(-6, 14)
            for k in range(4):
                wide, top = tall * (0.12 + 0.07 * k), foot - tall + tall * 0.2 * k
                draw.polygon([(cx, top), (cx - wide, top + tall * 0.36), (cx + wide, top + tall * 0.36)], fill=colour)
        draw.rectangle((0, min(base + 14, HEIGHT_PX - 1), WIDTH_PX, HEIGHT_PX), fill=_ink(colour, 0.96))
        if row < 2:
            image = image.filter(ImageFilter.GaussianBlur(1.4 - row * 0.7))
    return Image.fromarray(_grain(np.asarray(image, dtype=np.float64), rng, 5))


def city(rng: Rng) -> Image.Image:
    """Draw towers with lit windows at night."""
    pixels = _gradient(_tinted(rng, (44, 50, 104), 8), _tinted(rng, (206, 128, 140), 14), 1.1)
    stars = rng.integers(0, (HEIGHT_PX // 2, WIDTH_PX), (70, 2))
    pixels[stars[:, 0], stars[:, 1]] = 235
    if rng.random() < 0.6:
        _glow(pixels, rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.25), rng.uniform(7, 13), (240, 238, 214), 0.5)
    image = Image.fromarray(_grain(pixels, rng, 2))
    draw = ImageDraw.Draw(image)
    for layer in range(2):
        left = -20.0
        while left < WIDTH_PX:
            wide, top = rng.uniform(26, 54), HEIGHT_PX * rng.uniform(0.28 + 0.18 * layer, 0.66 + 0.12 * layer)
            wall = _tinted(rng, (84, 74, 116) if layer == 0 else (38, 36, 64), 5)
            draw.rectangle((left, top, left + wide, HEIGHT_PX), fill=_ink(wall))
            lamp = ((255, 214, 128), (255, 236, 190), (160, 206, 255))[int(rng.integers(3))]
            for wy in np.arange(top + 6, HEIGHT_PX - 4, 10):
                for wx in np.arange(left + 5, left + wide - 6, 9):
                    if rng.random() < 0.46:
                        draw.rectangle((wx, wy, wx + 4, wy + 5), fill=_ink(lamp, rng.uniform(0.55, 1)))
            left += wide + rng.uniform(0, 12)
    return image


def sea(rng: Rng) -> Image.Image:
    """Draw waves under a pale sky, with a sail."""
    horizon = rng.uniform(0.26, 0.6)
    pixels = _gradient(_tinted(rng, (126, 188, 226)), _tinted(rng, (232, 240, 240)), 0.7)
    _clouds(pixels, rng, (252, 252, 252), rng.uniform(0.4, 1.0))
    _fill_below(
        pixels, np.full(WIDTH_PX, horizon * HEIGHT_PX), _tinted(rng, (84, 166, 182)), _tinted(rng, (12, 66, 104))
    )
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(float)
    depth = np.clip((rows / HEIGHT_PX - horizon) / (1 - horizon), 0.004, 1)
    swell, chop = rng.uniform(4, 10), rng.uniform(8, 22)
    wave = np.sin(swell / depth + 1.8 * np.sin(columns / (chop + 46 * depth) + rng.uniform(0, 6)) + rng.uniform(0, 6))
    foam = (wave > 0.78) & (rows > horizon * HEIGHT_PX)
    pixels[foam] = pixels[foam] * 0.6 + 235 * 0.4
    image = Image.fromarray(_grain(pixels, rng, 4))
    if rng.random() < 0.75:
        x, y, tall = rng.uniform(40, 280), horizon * HEIGHT_PX + rng.uniform(6, 34), rng.uniform(26, 46)
        draw = ImageDraw.Draw(image)
        draw.polygon([(x, y - tall), (x, y), (x + tall * 0.55, y)], fill=(250, 248, 240))
        draw.polygon(
            [(x - 2, y - tall * 0.8), (x - 2, y), (x - tall * 0.32, y)], fill=_ink(_tinted(rng, (222, 92, 72)))
        )
        draw.chord((x - tall * 0.5, y - 4, x + tall * 0.62, y + 14), 0, 180, fill=(70, 48, 44))
    return image


def desert(rng: Rng) -> Image.Image:
    """Draw dunes with lit and shaded sides."""
    pixels = _gradient(_tinted(rng, (96, 166, 218)), _tinted(rng, (242, 226, 196)), 0.9)
    _clouds(pixels, rng, (255, 244, 228), rng.uniform(0.0, 0.7))
    if rng.random() < 0.5:
        _glow(pixels, rng.uniform(0.15, 0.85), rng.uniform(0.14, 0.3), rng.uniform(10, 16), (255, 246, 214), 0.6)
    for i in range(int(rng.integers(3, 5))):
        line = _ridge(rng, 0.5 + 0.14 * i, 0.16, 3)
        _fill_below(pixels, line, _tinted(rng, (232, 184, 118), 9), _tinted(rng, (176, 116, 66), 9))
        rows = np.arange(HEIGHT_PX)[:, None]
        shade = (rows > line[None, :]) & (rows < line[None, :] + 46 * np.clip(np.gradient(line), 0, 1)[None, :])
        pixels[shade] *= 0.78
    ripple = 5 * np.sin(np.mgrid[:HEIGHT_PX, :WIDTH_PX][0] * 0.9 + np.sin(np.arange(WIDTH_PX) / 16)[None, :] * 3)
    sand = pixels[..., 0] > pixels[..., 2] * 1.25
    pixels[sand] += ripple[sand][:, None]
    return Image.fromarray(_grain(pixels, rng, 6))


def flowers(rng: Rng) -> Image.Image:
    """Draw a meadow of round blossoms."""
    pixels = _gradient(_tinted(rng, (150, 190, 98)), _tinted(rng, (58, 118, 56)))
    image = Image.fromarray(_grain(pixels, rng, 14))
    draw = ImageDraw.Draw(image)
    palette = [(236, 84, 104), (250, 196, 70), (246, 244, 240), (166, 102, 206), (250, 140, 70)]
    main = palette[int(rng.integers(len(palette)))]
    for _ in range(160):
        x, y = rng.uniform(0, WIDTH_PX), rng.uniform(0, HEIGHT_PX)
        draw.line((x, y, x + rng.uniform(-7, 7), y - rng.uniform(10, 24)), fill=_ink(_tinted(rng, (52, 122, 52), 20)))
    spots = sorted(
        rng.uniform((0, 20), (WIDTH_PX, HEIGHT_PX), (int(rng.integers(26, 60)), 2)).tolist(), key=lambda s: s[1]
    )
    for x, y in spots:
        size = 3 + 11 * y / HEIGHT_PX
        colour = _ink(_tinted(rng, main if rng.random() < 0.8 else palette[int(rng.integers(len(palette)))], 10))
        turn, petals = rng.uniform(0, 6.3), int(rng.integers(5, 8))
        for k in range(petals):
            a = turn + 2 * np.pi * k / petals
            px, py = x + size * 0.8 * np.cos(a), y + size * 0.7 * np.sin(a)
            draw.ellipse((px - size * 0.55, py - size * 0.5, px + size * 0.55, py + size * 0.5), fill=colour)
        draw.ellipse((x - size * 0.4, y - size * 0.36, x + size * 0.4, y + size * 0.36), fill=(246, 206, 84))
    return image


def shapes(rng: Rng) -> Image.Image:
    """Draw a poster of flat overlapping figures."""
    paper = _tinted(rng, (244, 238, 226), 5)
    image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), _ink(paper))
    palette = [(228, 88, 60), (28, 110, 140), (246, 190, 72), (40, 44, 60), (120, 172, 132)]
    for _ in range(int(rng.integers(6, 12))):
        layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
        draw = ImageDraw.Draw(layer)
        x, y, r = rng.uniform(20, 300), rng.uniform(20, 220), rng.uniform(18, 62)
        colour = (*_ink(_tinted(rng, palette[int(rng.integers(len(palette)))], 6)), int(rng.integers(190, 245)))
        kind = int(rng.integers(4))
        if kind == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        elif kind == 1:
            draw.regular_polygon((x, y, r), int(rng.integers(3, 7)), rotation=int(rng.integers(360)), fill=colour)
        elif kind == 2:
            draw.arc((x - r, y - r, x + r, y + r), rng.uniform(0, 180), rng.uniform(180, 360), fill=colour, width=12)
        else:
            draw.line(
                (x, y, rng.uniform(0, WIDTH_PX), rng.uniform(0, HEIGHT_PX)), fill=colour, width=int(rng.integers(4, 12))
            )
        image.paste(layer, mask=layer)
    return image


CLASSES: dict[str, Callable[[Rng], Image.Image]] = {
    f.__name__: f for f in (city, desert, flowers, forest, mountains, sea, shapes, sunset)
}


# -- faults -------------------------------------------------------------------------------


def _blurred(image: Image.Image, rng: Rng) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(3.0, 6.0))))


def _dark(image: Image.Image, rng: Rng) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.08, 0.16)))


def _overexposed(image: Image.Image, rng: Rng) -> Image.Image:
    light = np.asarray(image, dtype=np.float64) * rng.uniform(1.9, 2.4) + rng.uniform(60, 90)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def _cropped(image: Image.Image, _: Rng) -> Image.Image:
    return image.crop((3, 2, WIDTH_PX - 3, HEIGHT_PX - 3))


def _odd_size(image: Image.Image, rng: Rng) -> Image.Image:
    if rng.random() < 0.5:
        return image.crop((0, HEIGHT_PX // 3, WIDTH_PX, HEIGHT_PX // 3 + 40))
    return image.resize((36, 27), Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def make_scenes(folder: str | Path, *, per_class: int = PER_CLASS, seed: int = SEED) -> Path:
    """Draw the scenes into `folder/<class>/<class>_NN.jpg`, once: a folder made before is kept.

    Parameters
    ----------
    folder : path
        Where to write; `truth.csv` (columns `path`, `fault`, `of`) lies beside the images.
    per_class : int
        Scenes of each of the eight classes, before faults are added.
    seed : int
        The same seed draws the same bytes.
    """
    home = Path(folder)
    if (home / "truth.csv").exists():
        return home
    rng = np.random.default_rng(seed)
    draft = home.with_name(home.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    scenes: dict[str, Image.Image] = {}
    for name, draw in CLASSES.items():
        (draft / name).mkdir(parents=True)
        for i in range(per_class):
            scenes[f"{name}/{name}_{i:02d}.jpg"] = draw(rng)
    files = {path: _jpeg(image) for path, image in scenes.items()}
    truth = _plant(files, scenes, rng)
    for path, data in files.items():
        (draft / path).write_bytes(data)
    with (draft / "truth.csv").open("w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table)
        rows.writerow(("path", "fault", "of"))
        rows.writerows(truth)
    draft.replace(home)
    return home


def _plant(files: dict[str, bytes], scenes: dict[str, Image.Image], rng: Rng) -> list[tuple[str, str, str]]:
    """Spoil or copy scenes, each at most once; return (path, fault, path it was made from)."""
    untouched = list(scenes)
    rng.shuffle(untouched)
    truth: list[tuple[str, str, str]] = []
    for fault, spoil in (
        ("blurred", _blurred),
        ("dark", _dark),
        ("overexposed", _overexposed),
        ("odd_size", _odd_size),
    ):
        # a night scene is dark and a poster flat by nature: leave those classes out of the light faults
        fit = [p for p in untouched if not p.startswith(("city/", "shapes/"))][:FAULTS_EACH]
        for path in fit:
            untouched.remove(path)
            files[path] = _jpeg(spoil(scenes[path], rng))
            truth.append((path, fault, ""))
    for fault in ("exact_duplicate", "recompressed", "cropped"):
        for _ in range(FAULTS_EACH // 2):
            path = untouched.pop()
            copy = path.replace(".jpg", f"_{fault[0]}.jpg")
            image = _cropped(scenes[path], rng) if fault == "cropped" else scenes[path]
            files[copy] = (
                files[path] if fault == "exact_duplicate" else _jpeg(image, 40 if fault == "recompressed" else 88)
            )
            truth.append((copy, fault, path))
    names = list(CLASSES)
    for _ in range(FAULTS_EACH):
        path = untouched.pop()
        drawn = path.split("/")[0]
        claimed = names[(names.index(drawn) + int(rng.integers(1, len(names)))) % len(names)]
        moved = f"{claimed}/{claimed}_x{len(truth):02d}.jpg"
        files[moved] = files.pop(path)
        truth.append((moved, "wrong_class", drawn))
    return truth


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", default="scenes")
    arguments = parser.parse_args()
    print(make_scenes(arguments.folder).resolve())
