"""Draw labelled images, with shapes of every kind and known mistakes, for the examples: no download.

    python examples/make_labels.py parts

writes 24 images of machine parts, `annotations.json` (COCO) and `truth.csv`, which names every planted mistake, and
the answers of two models, `model_a.json` and `model_b.json`. For the work on label errors there are `delivered.json`,
which has mistakes of five kinds, `delivered.csv`, which names them, `correct.json` without any, and the answers of two
models that learnt from other images: `detector.json`, and `short_sighted.json`, which misses most parts at the edge.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

MODELS = {"model_a.json": 0.3, "model_b.json": 0.15}
"""What two models answer, and how far they are off."""
DETECTOR_NOISE = 0.06
WIDTH_PX, HEIGHT_PX = 420, 300
IMAGES = 24
SEED = 11
EDGE = 0.62
"""`border_closeness` from which the short-sighted model misses most parts."""
COLOURS = {"washer": (196, 164, 92), "nut": (96, 128, 160), "bolt": (150, 84, 74), "plate": (108, 148, 112)}
CATEGORIES = {"washer": 1, "nut": 2, "bolt": 5, "plate": 9}

Points = NDArray[np.float64]


def _ring(x: float, y: float, radius: float, corners: int, turn: float = 0.0) -> Points:
    angle = turn + 2 * np.pi * np.arange(corners) / corners
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def _bar(x: float, y: float, length: float, width: float, turn: float) -> Points:
    corners = np.array([(-length, -width), (length, -width), (length, width), (-length, width)]) / 2
    cos, sin = np.cos(turn), np.sin(turn)
    return np.asarray(corners @ np.array([[cos, sin], [-sin, cos]]) + (x, y))


def _part(kind: str, x: float, y: float, size: float, rng: np.random.Generator) -> tuple[list[Points], Points | None]:
    """Return the outlines of a part and its hole."""
    turn = rng.uniform(0, np.pi)
    if kind == "washer":
        return [_ring(x, y, size, 28)], _ring(x, y, size * 0.5, 20)
    if kind == "nut":
        return [_ring(x, y, size, 6, turn)], _ring(x, y, size * 0.45, 16)
    if kind == "bolt":
        shaft = _bar(x, y, size * 2.6, size * 0.5, turn)
        head = _ring(x + np.cos(turn) * size * 1.5, y + np.sin(turn) * size * 1.5, size * 0.55, 6, turn)
        return [shaft, head], None
    return [_bar(x, y, size * 2.2, size * 1.5, turn * 0.2)], None


def _flat(points: Points) -> list[float]:
    return [round(float(v), 2) for v in points.ravel()]


def _box(parts: list[Points]) -> list[float]:
    all_points = np.concatenate(parts)
    low, high = all_points.min(axis=0), all_points.max(axis=0)
    return [round(float(v), 2) for v in (*low, *(high - low))]


def _results(annotations: list[dict[str, Any]], noise: float, seed: int) -> list[dict[str, Any]]:
    """Answer as a model would: boxes a little off, some missed, some of another class, some of nothing."""
    rng = np.random.default_rng(seed + round(100 * noise))
    categories = list(CATEGORIES.values())
    out = []
    for a in annotations:
        x, y, w, h = a["bbox"]
        if rng.random() > noise:
            box = [x + w * rng.normal(0, noise / 4), y + h * rng.normal(0, noise / 4), w, h]
            flipped = rng.random() < noise / 2
            code = int(rng.choice(categories)) if flipped else a["category_id"]
            score = rng.beta(2, 3) if flipped else rng.beta(6, 2)
            out.append((a["image_id"], code, box, score))
        if rng.random() < noise / 2:
            box = [rng.uniform(0, WIDTH_PX - 60), rng.uniform(0, HEIGHT_PX - 60), 60.0, 60.0]
            out.append((a["image_id"], int(rng.choice(categories)), box, rng.beta(2, 4)))
    return [
        {"image_id": i, "category_id": c, "bbox": [round(float(v), 1) for v in box], "score": round(float(s), 3)}
        for i, c, box, s in out
    ]


def _at_edge(box: list[float]) -> bool:
    x, y, w, h = box
    return max(abs(2 * x + w - WIDTH_PX) / (WIDTH_PX - w), abs(2 * y + h - HEIGHT_PX) / (HEIGHT_PX - h)) > EDGE


def _short_sighted(results: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Leave out four of five boxes that lie at the edge of their image."""
    rng = np.random.default_rng(seed + 1)
    return [r for r in results if rng.random() > 0.8 or not _at_edge(r["bbox"])]


def _deliver(correct: list[dict[str, Any]], seed: int) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Spoil some annotations, each in one way; return all as they are delivered, and (id, mistake)."""
    rng = np.random.default_rng(seed + 2)
    order = rng.permutation(len(correct)).tolist()
    take = max(3, len(correct) // 30)
    # a detector suggests boxes: only boxes are misplaced, so that its suggestion can take their place
    boxes = [i for i in order if "segmentation" not in correct[i]][:take]
    rest = [i for i in order if i not in boxes]
    spoilt = dict.fromkeys(boxes, "misplaced")
    spoilt |= {rest.pop(): mistake for mistake in ("wrong class", "left out", "drawn twice") for _ in range(take)}
    categories = list(CATEGORIES.values())
    out, truth = [], []
    new_id = 1 + max(a["id"] for a in correct)
    for i, annotation in enumerate(correct):
        mistake, a = spoilt.get(i), dict(annotation)
        w, h = a["bbox"][2:]
        if mistake == "wrong class":
            a["category_id"] = categories[(categories.index(a["category_id"]) + 1) % len(categories)]
        elif mistake == "misplaced":
            a |= _moved(a, 0.35 * w, 0.3 * h)
        if mistake != "left out":
            out.append(a)
        if mistake in {"wrong class", "left out", "misplaced"}:
            truth.append((a["id"], mistake))
        if mistake == "drawn twice":
            out.append({**a, "id": new_id, **_moved(a, *rng.uniform(-2, 2, 2))})
            truth.append((new_id, mistake))
            new_id += 1
    for image in rng.permutation(sorted({a["image_id"] for a in correct}))[:take].tolist():
        box = [8.0, HEIGHT_PX / 2 - 12.0, 30.0, 24.0]  # between two rows of parts, at the left border: nothing is there
        out.append({"id": new_id, "image_id": image, "category_id": CATEGORIES["plate"], "bbox": box,
                    "area": 720.0, "iscrowd": 0})  # fmt: skip
        truth.append((new_id, "of nothing"))
        new_id += 1
    return out, truth


def _moved(annotation: dict[str, Any], dx: float, dy: float) -> dict[str, Any]:
    x, y, w, h = annotation["bbox"]
    shifted: dict[str, Any] = {"bbox": [round(x + dx, 2), round(y + dy, 2), w, h]}
    if "segmentation" in annotation:
        offsets = (dx, dy)
        shifted["segmentation"] = [
            [round(v + offsets[i % 2], 2) for i, v in enumerate(ring)] for ring in annotation["segmentation"]
        ]
    return shifted


def make_parts(folder: str | Path, *, images: int = IMAGES, seed: int = SEED) -> Path:
    """Draw the images into `folder/images`, once, with `annotations.json` and `truth.csv` beside them.

    `model_a.json` and `model_b.json` are what two detectors might say of them, as COCO results; b is the better one.
    The other files are named above.
    Every fifth image has a label that is drawn twice, every sixth one of a wrong class.
    """
    home = Path(folder)
    if (home / "truth.csv").exists():
        return home
    rng = np.random.default_rng(seed)
    (home / "images").mkdir(parents=True, exist_ok=True)
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    correct: list[dict[str, Any]] = []
    truth: list[tuple[int, str]] = []
    names = list(COLOURS)

    def add(image: int, name: str, parts: list[Points], mistake: str = "", drawn: str = "") -> None:
        number = len(annotations) + 1
        shape = {} if name == "plate" else {"segmentation": [_flat(p) for p in parts]}
        annotations.append({"id": number, "image_id": image, "category_id": CATEGORIES[name], "bbox": _box(parts),
                            "area": round(_box(parts)[2] * _box(parts)[3], 1), "iscrowd": 0, **shape})  # fmt: skip
        if mistake:
            truth.append((number, mistake))
        if mistake != "drawn twice":
            correct.append({**annotations[-1], "category_id": CATEGORIES[drawn or name]})

    for i in range(1, images + 1):
        grey = rng.integers(205, 236)
        image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (int(grey), int(grey) - 4, int(grey) - 12))
        draw = ImageDraw.Draw(image)
        spots = [(x, y) for x in (80, 210, 340) for y in (80, 210)]
        rng.shuffle(spots)
        for k, (x, y) in enumerate(spots[: int(rng.integers(3, 7))]):
            name = names[int(rng.integers(len(names)))]
            size = float(rng.uniform(18, 30))
            outlines, hole = _part(name, x + rng.uniform(-16, 16), y + rng.uniform(-16, 16), size, rng)
            colour = tuple(int(np.clip(c + rng.normal(0, 8), 0, 255)) for c in COLOURS[name])
            for outline in outlines:
                draw.polygon([(px + 3, py + 4) for px, py in outline], fill=(150, 148, 144))
            for outline in outlines:
                draw.polygon([tuple(p) for p in outline], fill=colour, outline=(60, 56, 52))
            if hole is not None:
                draw.polygon([tuple(p) for p in hole], fill=(int(grey), int(grey) - 4, int(grey) - 12))
            wrong = names[(names.index(name) + 1) % len(names)] if i % 6 == 0 and k == 0 else ""
            add(i, wrong or name, outlines, "wrong class" if wrong else "", drawn=name)
            if i % 5 == 0 and k == 0:
                add(i, name, [o + rng.uniform(-1.5, 1.5, 2) for o in outlines], "drawn twice")
        soft = image.filter(ImageFilter.GaussianBlur(0.6))
        noisy = np.asarray(soft, np.float64) + rng.normal(0, 4, (HEIGHT_PX, WIDTH_PX, 1))
        file = f"part_{i:02d}.jpg"
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(home / "images" / file, quality=92)
        listed.append({"id": i, "file_name": file, "width": WIDTH_PX, "height": HEIGHT_PX})
    _write_labels(home, listed, annotations, correct, truth, seed)
    return home


def _write_labels(
    home: Path,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    correct: list[dict[str, Any]],
    truth: list[tuple[int, str]],
    seed: int,
) -> None:
    """Write the annotations, with and without mistakes, what is wrong with them, and what the models say."""
    delivered, planted = _deliver(correct, seed)
    categories = [{"id": v, "name": k, "supercategory": "part"} for k, v in CATEGORIES.items()]
    for name, rows in (("annotations", annotations), ("delivered", delivered), ("correct", correct)):
        info = {"description": "machine parts, drawn"}
        _write(home / f"{name}.json", {"info": info, "images": images, "annotations": rows, "categories": categories})
    for name, noise in MODELS.items():
        _write(home / name, _results(annotations, noise, seed))
    answers = _results(correct, DETECTOR_NOISE, seed)
    _write(home / "detector.json", answers)
    _write(home / "short_sighted.json", _short_sighted(answers, seed))
    for name, mistakes in (("delivered", planted), ("truth", truth)):  # the last one says that all is there
        with (home / f"{name}.csv").open("w", newline="", encoding="utf-8") as table:
            lines = csv.writer(table)
            lines.writerow(("annotation", "mistake"))
            lines.writerows(mistakes)


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content), "utf-8")


if __name__ == "__main__":
    print(make_parts(sys.argv[1] if len(sys.argv) > 1 else "parts").resolve())
