"""Reading COCO: 860,000 boxes (BCCD's annotations repeated) and a set of polygons, against json.load; then crops.

    python benchmarks/bench_coco.py [--boxes 860000]

Goals: at most 2 times json.load; 64 crops cold in at most 300 ms, each image decoded once. Extra memory is the peak of
a process that reads, above what it had before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
_READ = """
import sys, time
from encord_active_widgets.formats.coco import read_coco
import encord_active_widgets.formats.json_kernels
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
open("/proc/self/clear_refs", "w").write("5")  # forget the peak that was inherited
base = peak()
times, source = [], None
for _ in range(3):
    del source  # else two readings are counted
    begin = time.perf_counter()
    source = read_coco(sys.argv[1], images=sys.argv[2])
    times.append(time.perf_counter() - begin)
print(source.labels.height, min(times[1:]), times[0], (peak() - base) / 1024)
"""
_LOAD = """
import json, sys, time
times = []
for _ in range(2):
    begin = time.perf_counter()
    with open(sys.argv[1]) as file:
        data = json.load(file)
    times.append(time.perf_counter() - begin)
    del data
print(min(times))
"""
_CROPS = """
import sys, time
import numpy as np
import encord_active_widgets as ea
from encord_active_widgets.protocol.service import Service
p = ea.open(sys.argv[1])
service = Service(p.items)
service.set_level("object")
service.spec()
time.sleep(3)  # the page lays itself out meanwhile
n = len(p.objects)
together = np.arange(64, dtype="<u4")
apart = np.linspace(100, n - 1, 64).astype("<u4")
for rows in (together, apart):
    begin = time.perf_counter()
    service.thumbs_get({}, [rows.tobytes()])
    print(time.perf_counter() - begin)
"""


def run(code: str, *arguments: object) -> list[float]:
    out = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True, text=True)
    return [float(v) for v in out.stdout.split()]


def repeated(source: Path, file: Path, n: int) -> None:
    """Write the annotations again and again, under new ids, until there are n."""
    data = json.loads(source.read_text())
    images, annotations, rounds = [], [], 0
    while len(annotations) < n:
        base = rounds * 1_000_000
        images += [{**i, "id": base + i["id"], "file_name": f"{rounds}/{i['file_name']}"} for i in data["images"]]
        annotations += [{**a, "id": base + a["id"], "image_id": base + a["image_id"]} for a in data["annotations"]]
        rounds += 1
    file.write_text(json.dumps({**data, "images": images, "annotations": annotations[:n]}))


def report(name: str, file: Path, folder: Path) -> None:
    read, load = run(_READ, file, folder), run(_LOAD, file)
    size = file.stat().st_size / 2**20
    print(
        f"{name:10s} {int(read[0]):>9,} annotations, {size:6.1f} MiB: {read[1]:.2f} s (first {read[2]:.2f}), json.load "
        f"{load[0]:.2f} s: ratio {read[1] / load[0]:.2f} (goal <= 2); extra memory {read[3]:.0f} MiB = "
        f"{read[3] / size:.1f} x the file"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=860_000)
    chosen = parser.parse_args()
    shared = Path(os.environ.get("EAW_SHARED_DATA", ROOT.parent / "shared/data"))
    if not shared.is_dir():
        print("no real annotations: set EAW_SHARED_DATA")
        return
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        repeated(shared / "bccd" / "annotations.json", folder / "boxes.json", chosen.boxes)
        report("boxes", folder / "boxes.json", folder)
        repeated(shared / "polygons" / "annotations.json", folder / "polygons.json", chosen.boxes // 20)
        report("polygons", folder / "polygons.json", folder)
        made = folder / "bccd.eaw"
        code = "import sys, encord_active_widgets as ea; ea.Project.from_coco(sys.argv[1], path=sys.argv[2])"
        subprocess.run([sys.executable, "-c", code, shared / "bccd" / "annotations.json", made], check=True)
        times = np.array(run(_CROPS, made)) * 1000
        print(f"64 crops, cold: {times[0]:.0f} ms from few images, {times[1]:.0f} ms from 64 images (goal <= 300)")


if __name__ == "__main__":
    main()
