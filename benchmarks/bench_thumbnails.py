"""How long 64 random thumbnails take among a million, and what the store keeps in memory.

python benchmarks/bench_thumbnails.py [--n 1000000] [--bytes 1000]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

PART_ROWS = 4096
ROUNDS = 50
GRID_TILES = 64


def resident_mb() -> float:
    """Return this process's private memory; mapped pages of the cache are not in it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--bytes", type=int, default=1_000)
    arguments = parser.parse_args()
    from encord_active_widgets.images.thumbnails import ThumbnailStore

    rng = np.random.default_rng(0)
    names = [os.urandom(16).hex() for _ in range(arguments.n)]
    with tempfile.TemporaryDirectory() as folder:
        writer = ThumbnailStore(folder)
        start = time.perf_counter()
        for at in range(0, arguments.n, PART_ROWS):
            part = names[at : at + PART_ROWS]
            writer.append(part, [os.urandom(16) * (arguments.bytes // 16) for _ in part])
        wrote = time.perf_counter() - start
        del writer
        before = resident_mb()
        store = ThumbnailStore(folder)
        start = time.perf_counter()
        store.get(names[:1])
        opened = time.perf_counter() - start
        times = []
        for _ in range(ROUNDS):
            wanted = [names[int(k)] for k in rng.integers(arguments.n, size=GRID_TILES)]
            start = time.perf_counter()
            found = store.get(wanted)
            times.append(time.perf_counter() - start)
            assert None not in found
        print(
            f"{arguments.n:,} thumbnails of {arguments.bytes} bytes in {sum(1 for _ in Path(folder).iterdir())} parts"
        )
        print(f"written in {wrote:.1f} s (with fsync and merging), opened in {opened * 1e3:.0f} ms")
        print(
            f"64 random: median {statistics.median(times) * 1e3:.1f} ms, "
            f"worst {max(times) * 1e3:.1f} ms (page cache warm)"
        )
        print(f"private memory: {resident_mb() - before:+.0f} MB")


if __name__ == "__main__":
    main()
