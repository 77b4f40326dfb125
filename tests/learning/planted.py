"""Real labels with faults planted in them, and predictions made from the truth with a model's noise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FAULTS = ("missed", "location", "class", "duplicate")
"""Planted: boxes removed, shifted by a third of a side, relabelled, doubled."""


@dataclass
class Planted:
    """A COCO file with faults, results of a model, and where the faults are.

    Attributes
    ----------
    removed : dict
        Image file to the boxes that were removed.
    faults : dict
        Kind to the ids of the annotations it was planted in.
    """

    coco: dict[str, Any]
    results: list[dict[str, Any]]
    removed: dict[str, list[list[float]]]
    faults: dict[str, set[int]]


def plant(truth: dict[str, Any], seed: int, share: float = 0.1, kinds: tuple[str, ...] = FAULTS) -> Planted:
    """Plant each kind in a share of the boxes, no two in one box; then predict the truth with noise.

    The model jitters boxes by 4 % of their sides, misses 3 %, answers another class for 2 %, and adds false boxes, 5 %
    of the number of true ones. Its confidence is 0.6 to 1 where it is right and 0.05 to 0.6 where it is false.
    """
    rng = np.random.default_rng(seed)
    names = {i["id"]: i["file_name"] for i in truth["images"]}
    boxes = [a for a in truth["annotations"] if a["bbox"][2] > 1 and a["bbox"][3] > 1]
    categories = [c["id"] for c in truth["categories"]]
    order, n = rng.permutation(len(boxes)), round(share * len(boxes))
    chosen = {kind: order[i * n : (i + 1) * n].tolist() for i, kind in enumerate(kinds)}
    removed: dict[str, list[list[float]]] = {}
    faults: dict[str, set[int]] = {kind: set() for kind in FAULTS}
    labels = [dict(a, id=i + 1) for i, a in enumerate(boxes)]
    for i in chosen.get("location", []):
        x, y, w, h = labels[i]["bbox"]
        across, sign = rng.random() < 0.5, 1 if rng.random() < 0.5 else -1
        labels[i]["bbox"] = [x + sign * w / 3 * across, y + sign * h / 3 * (not across), w, h]
        faults["location"].add(i + 1)
    for i in chosen.get("class", []):
        others = [c for c in categories if c != labels[i]["category_id"]]
        labels[i]["category_id"] = int(rng.choice(others))
        faults["class"].add(i + 1)
    copies = []
    for i in chosen.get("duplicate", []):
        x, y, w, h = labels[i]["bbox"]
        dx, dy = rng.uniform(-0.03, 0.03, 2)
        copies.append(dict(labels[i], id=len(labels) + len(copies) + 1, bbox=[x + dx * w, y + dy * h, w, h]))
        faults["duplicate"].add(i + 1)  # either of the two may go
        faults["duplicate"].add(copies[-1]["id"])
    gone = set(chosen.get("missed", []))
    for i in gone:
        removed.setdefault(names[boxes[i]["image_id"]], []).append(boxes[i]["bbox"])
    kept = [a for i, a in enumerate(labels) if i not in gone] + copies
    return Planted(dict(truth, annotations=kept), _predict(boxes, categories, truth, rng), removed, faults)


def _predict(boxes: list[dict], categories: list[int], truth: dict[str, Any], rng: np.random.Generator) -> list[dict]:
    out = []
    for a in boxes:
        if rng.random() < 0.03:
            continue
        x, y, w, h = a["bbox"]
        dx, dy, dw, dh = rng.normal(0, 0.04, 4)
        code = a["category_id"] if rng.random() > 0.02 else int(rng.choice(categories))
        box = [x + dx * w, y + dy * h, w * np.exp(dw), h * np.exp(dh)]
        out.append(_result(a["image_id"], code, box, rng.uniform(0.6, 1)))
    for _ in range(round(0.05 * len(boxes))):
        image, like = truth["images"][rng.integers(len(truth["images"]))], boxes[rng.integers(len(boxes))]["bbox"]
        x, y = rng.uniform(0, image["width"] - like[2]), rng.uniform(0, image["height"] - like[3])
        out.append(_result(image["id"], int(rng.choice(categories)), [x, y, *like[2:]], rng.uniform(0.05, 0.6)))
    return out


def _result(image: int, category: int, box: list[float], score: float) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [round(float(v), 3) for v in box],
        "score": float(score),
    }


def average_precision(hits: np.ndarray, total: int) -> float:
    """Return the mean of the precision at each of `total` faults; a fault that is not ranked counts 0."""
    hits = np.asarray(hits, bool)
    ranks = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).sum() / max(total, 1))


def scores_by_kind(planted: Planted, errors: Any, label_number: dict[str, int]) -> dict[str, float]:
    """Return the average precision of each planted kind, of a frame of errors ranked worst first."""
    out = {}
    for kind in FAULTS:
        rows = errors.filter(errors["kind"] == kind)
        if kind == "missed":
            hits, left = [], {k: [list(b) for b in v] for k, v in planted.removed.items()}
            for row in rows.iter_rows(named=True):
                places = left.get(Path(row["uri"]).name, [])
                box = [row[c] for c in "xywh"]
                best = max(range(len(places)), key=lambda i: _iou(places[i], box), default=None)
                hit = best is not None and _iou(places[best], box) >= 0.5
                hits.append(hit)
                if hit:
                    places.pop(best)
            total = sum(map(len, planted.removed.values()))
        else:
            numbers = [label_number[i] for i in rows["label_id"]]
            hits = [n in planted.faults[kind] for n in numbers]
            total = len(planted.faults[kind]) // (2 if kind == "duplicate" else 1)
        out[kind] = average_precision(np.array(hits), total)
    return out


def _iou(a: list[float], b: list[float]) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def read(path: Path) -> dict[str, Any]:
    """Read a COCO file."""
    return json.loads(path.read_text())
