"""Label metrics on 860,000 boxes of 118,000 images (COCO's size), made by a seed; masks against the peers.

    python benchmarks/bench_labels.py [--boxes 860000]

Goals: overlaps at least 10x faster than a NumPy loop over images; geometry at most 5x one Polars pass, which reads
the six columns it needs and writes six others. With BCCD (`EAW_SHARED_DATA` or ../shared/data) it also prints how
many boxes of real labels are duplicates at which IoU.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from encord_active_widgets.metrics import masks
from encord_active_widgets.metrics.geometry import geometry_metrics
from encord_active_widgets.metrics.overlap import label_overlaps, object_density
from encord_active_widgets.metrics.shapes import hu_moments, shape_outlier

ROOT = Path(__file__).resolve().parent.parent
IMAGES_PER_BOX = 118 / 860
WIDTH, HEIGHT = 640, 480
LOOP_IMAGES = 4_000
"""Images the NumPy loop is timed on; the whole is worked out from them."""
MASKS = 2_000


def best(work: Callable[[], object], times: int = 5) -> float:
    """Return the shortest wall time of some runs, after one to compile."""
    work()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def boxes(n: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    item = np.sort(rng.integers(0, round(n * IMAGES_PER_BOX), n))
    w, h = rng.uniform(2, 300, n), rng.uniform(2, 300, n)
    place = {"x": rng.uniform(0, 1, n) * (WIDTH - w), "y": rng.uniform(0, 1, n) * (HEIGHT - h), "w": w, "h": h}
    codes = {"item": item.astype(np.uint32), "class_code": rng.integers(0, 80, n)}
    return pl.DataFrame({"kind": pl.repeat("box", n, eager=True), **place, **codes})


def numpy_loop(labels: pl.DataFrame, images: int) -> np.ndarray:
    """Do what `label_overlaps` does, image by image, without the groups."""
    place, codes = labels.select("x", "y", "w", "h").to_numpy(), labels["class_code"].to_numpy()
    starts = np.searchsorted(labels["item"].to_numpy(), np.arange(images + 1))
    out = np.zeros((starts[-1], 2), np.float32)
    for a, b in pairwise(starts):
        if b - a < 2:
            continue
        low, high = place[a:b, :2], place[a:b, :2] + place[a:b, 2:]
        sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
        both = sides.clip(0).prod(axis=2)
        area = place[a:b, 2] * place[a:b, 3]
        iou = both / (area[:, None] + area - both)
        np.fill_diagonal(iou, 0)
        same = codes[a:b, None] == codes[a:b]
        out[a:b, 0] = np.where(same, iou, 0).max(axis=1)
        out[a:b, 1] = np.where(same, 0, iou).max(axis=1)
    return out


def of_boxes(n: int) -> None:
    labels = boxes(n)
    images = int(labels["item"].max()) + 1
    print(f"data: {n:,} boxes on {images:,} images of {WIDTH} x {HEIGHT}, seed 0")
    few = min(LOOP_IMAGES, images)
    loop = best(lambda: numpy_loop(labels, few), 2) * images / few
    ours = best(lambda: label_overlaps(labels))
    truth = numpy_loop(labels, few)
    found = label_overlaps(labels)[: len(truth)].select("max_iou_same_class", "max_iou_other_class").to_numpy()
    print(f"overlaps and duplicates {ours:7.3f} s   NumPy loop {loop:6.2f} s   {loop / ours:5.1f}x  (goal 10x)")
    print(f"{'':24s}greatest difference to the loop {np.abs(found - truth).max():.1e}")
    sizes = pl.DataFrame({"width": np.full(n, WIDTH), "height": np.full(n, HEIGHT)})
    numbers = pl.concat([labels.select("x", "y", "w", "h"), sizes.cast(pl.Float64)], how="horizontal")
    one = best(lambda: numbers.lazy().select(pl.all() * 2).collect())
    ours = best(lambda: geometry_metrics(labels, sizes))
    print(f"geometry, five metrics  {ours:7.3f} s   Polars pass {one:6.4f} s  {ours / one:5.1f}x  (goal at most 5x)")
    turned = labels.with_columns(kind=pl.lit("rotated_box"), angle=pl.col("x"))
    print(f"geometry, turned boxes  {best(lambda: geometry_metrics(turned, sizes), 2):7.3f} s")
    print(f"overlaps, turned boxes  {best(lambda: label_overlaps(turned), 1):7.3f} s")
    print(f"object density          {best(lambda: object_density(labels, sizes[:images], labels['item']), 2):7.3f} s")
    shape = best(lambda: shape_outlier(hu_moments(labels), labels["class_code"]), 1)
    print(f"shape outliers          {shape:7.3f} s")


def of_masks() -> None:
    import pycocotools.mask as pycoco

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    texts = []
    for _ in range(50):
        cx, cy, a, b = rng.uniform(100, 400), rng.uniform(100, 400), *rng.uniform(10, 150, 2)
        texts.append(masks.encode(((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1))
    texts *= MASKS // len(texts)
    few = texts[:200]

    def dicts(some: list[bytes]) -> list[dict]:
        return [{"size": [HEIGHT, WIDTH], "counts": text} for text in some]

    def chunks(function: Callable[[list], object]) -> None:
        for at in range(0, MASKS, 200):  # pycocotools counts its masks in a byte
            function(dicts(texts[at : at + 200]))

    peers = {"pycocotools": pycoco}
    try:
        import hotcoco.mask as hotcoco
    except ImportError:
        print("hotcoco is not installed: left out")
    else:
        peers["hotcoco"] = hotcoco
    ours = {
        "area": lambda: masks.area(texts, HEIGHT, WIDTH),
        "toBbox": lambda: masks.bounds(texts, HEIGHT, WIDTH),
        "iou": lambda: masks.iou(few, few, HEIGHT, WIDTH),
        "decode": lambda: [masks.decode(text, HEIGHT, WIDTH) for text in few],
    }
    runs = np.diff(masks.parse(texts, HEIGHT, WIDTH).starts).mean()
    print(f"data: {MASKS:,} masks of {WIDTH} x {HEIGHT}, {runs:.0f} runs each; iou 200 x 200, decode 200")
    for name, work in ours.items():
        times = [f"masks.py {best(work) * 1e3:6.1f} ms"]
        for peer, module in peers.items():
            function = getattr(module, name)
            if name == "iou":
                took = best(lambda f=function: f(dicts(few), dicts(few), [0] * len(few)))
            elif name == "decode":
                took = best(lambda f=function: [f(one) for one in dicts(few)])
            else:
                took = best(lambda f=function: chunks(f))
            times.append(f"{peer} {took * 1e3:6.1f} ms")
        print(f"{name:8s} {'   '.join(times)}")


def of_bccd(folder: Path) -> None:
    found = json.loads((folder / "annotations.json").read_text())["annotations"]
    place = pl.DataFrame([a["bbox"] for a in found], schema=["x", "y", "w", "h"], orient="row")
    codes = {"item": [a["image_id"] for a in found], "class_code": [a["category_id"] for a in found]}
    labels = place.with_columns(kind=pl.lit("box"), **{k: pl.Series(v, dtype=pl.UInt32) for k, v in codes.items()})
    groups = {
        t: label_overlaps(labels, t)["duplicate_group"].drop_nulls().n_unique() for t in (0.5, 0.6, 0.8, 0.9, 0.95)
    }
    print(f"bccd, {len(labels):,} boxes, duplicates: " + ", ".join(f"IoU {t}: {n} groups" for t, n in groups.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=860_000)
    chosen = parser.parse_args()
    names = ("numpy", "polars", "numba", "pycocotools")
    print("versions: " + ", ".join(f"{name} {version(name)}" for name in names) + f"; {os.cpu_count()} processors")
    of_boxes(chosen.boxes)
    of_masks()
    bccd = Path(os.environ.get("EAW_SHARED_DATA", ROOT.parent / "shared/data")) / "bccd"
    if bccd.is_dir():
        of_bccd(bccd)


if __name__ == "__main__":
    main()
