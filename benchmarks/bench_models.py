"""Evaluate 200,000 detections on 5,000 images against pycocotools and hotcoco, each in a process of its own.

    python benchmarks/bench_models.py [--predictions 200000]

Ours starts from the project's tables and makes AP, matches, reasons and curves; the peers read the same labels and
predictions from JSON and make AP alone. Goals: 50 times faster than pycocotools at a quarter of its memory, at most
twice hotcoco's time. Memory is the peak of the process above what it had after its imports; what the tables take in
memory stays, and is given apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_PEAK = """
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
def begin():
    open("/proc/self/clear_refs", "w").write("5")
    return peak()
"""
_OURS = (
    _PEAK
    + """
import sys, time
import encord_active_widgets as ea
import hotcoco, encord_active_widgets.evaluation.matching
p = ea.open(sys.argv[1])
empty, t0 = begin(), time.perf_counter()
p.objects.df, p.predictions["model"].df
reading, base = time.perf_counter() - t0, begin()
t0 = time.perf_counter()
def run():
    ev = p.evaluate("model")
    return ev, (ev.summary, ev.matches, ev.per_class)
ev, _ = run()
first = time.perf_counter() - t0
used = peak() - base
times = []
for _ in range(3):
    t0 = time.perf_counter()
    ev, _ = run()
    times.append(time.perf_counter() - t0)
t0 = time.perf_counter(); ev.curves; curves = time.perf_counter() - t0
print(first, min(times), used, base - empty, reading, ev.map, curves)
"""
)
_PEER = (
    _PEAK
    + """
import sys, time, io, contextlib
if sys.argv[3] == "pycocotools":
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
else:
    from hotcoco import COCO, COCOeval
base, t0 = begin(), time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    gt = COCO(sys.argv[1]); dt = gt.loadRes(sys.argv[2])
    run = COCOeval(gt, dt, "bbox"); run.evaluate(); run.accumulate(); run.summarize()
print(time.perf_counter() - t0, peak() - base, run.stats[0])
"""
)
_MAKE = """
import sys, encord_active_widgets as ea
p = ea.Project.from_coco(sys.argv[1], path=sys.argv[3], images=sys.argv[4], read=False)
import time; t0 = time.perf_counter(); p.add_predictions("model", sys.argv[2]); print(time.perf_counter() - t0)
"""


def synthetic(
    folder: Path, n_images: int, n_labels: int, n_predictions: int, k: int = 80, seed: int = 0
) -> tuple[Path, Path]:
    """Write labels and detections like a model's: most near a label, the sure ones nearer."""
    rng = np.random.default_rng(seed)
    image, code = np.sort(rng.integers(0, n_images, n_labels)), rng.integers(0, k, n_labels)
    boxes = np.column_stack([rng.uniform(0, 500, (n_labels, 2)), np.exp(rng.uniform(2, 5.2, (n_labels, 2)))])
    of = rng.integers(0, n_labels, n_predictions)
    score = np.round(rng.random(n_predictions), 5)
    noise = rng.normal(0, 0.03 + 0.25 * (1 - score[:, None]), (n_predictions, 4))
    found = boxes[of].copy()
    found[:, :2] += noise[:, :2] * found[:, 2:]
    found[:, 2:] *= np.exp(noise[:, 2:])
    found = np.maximum(np.round(found, 2), [0, 0, 1, 1])
    answer = np.where(rng.random(n_predictions) < 0.85, code[of], rng.integers(0, k, n_predictions))
    truth = {
        "images": [{"id": i + 1, "file_name": f"{i:06d}.jpg", "width": 640, "height": 640} for i in range(n_images)],
        "categories": [{"id": i + 1, "name": f"class {i}"} for i in range(k)],
        "annotations": [
            {"id": i + 1, "image_id": int(image[i]) + 1, "category_id": int(code[i]) + 1, "iscrowd": 0,
             "bbox": np.round(boxes[i], 2).tolist(), "area": float(np.prod(np.round(boxes[i, 2:], 2)))}
            for i in range(n_labels)
        ],
    }  # fmt: skip
    results = [
        {"image_id": int(image[of[i]]) + 1, "category_id": int(answer[i]) + 1, "bbox": found[i].tolist(),
         "score": float(score[i])}
        for i in range(n_predictions)
    ]  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "truth.json", folder / "results.json"


def run(code: str, *arguments: object) -> list[float]:
    out = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True, text=True)
    return [float(v) for v in out.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=int, default=200_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        truth, results = synthetic(folder, 5000, 36_000, chosen.predictions)
        added = run(_MAKE, truth, results, folder / "p.eaw", folder)
        run(_OURS, folder / "p.eaw")  # kernels are compiled once an installation
        first, ours, memory, held, reading, score, curves = run(_OURS, folder / "p.eaw")
        hot, hot_memory, hot_score = min(run(_PEER, truth, results, "hotcoco") for _ in range(3))
        slow, slow_memory, slow_score = run(_PEER, truth, results, "pycocotools")
        print(f"add {chosen.predictions:,} predictions: {added[0]:.2f} s")
        print(f"opening the tables: {reading:.2f} s, {held:.0f} MiB that stay")
        print(
            f"ours         {ours:6.2f} s (first {first:.2f}), {memory:5.0f} MiB, mAP {score:.9f}; curves {curves:.2f} s"
        )
        ratio = f"ours {ours / hot:.2f} x (goal <= 2)"
        print(f"hotcoco      {hot:6.2f} s, {hot_memory:5.0f} MiB, mAP {hot_score:.9f}: {ratio}")
        ratio = f"ours {slow / ours:.0f} x faster (goal >= 50), memory {memory / slow_memory:.2f} (goal <= 0.25)"
        print(f"pycocotools  {slow:6.2f} s, {slow_memory:5.0f} MiB, mAP {slow_score:.9f}: {ratio}")


if __name__ == "__main__":
    main()
