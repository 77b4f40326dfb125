"""Snapshot, compare, restore, clone and merge a project of 1,000,000 images x 30 metrics with 1,000,000 tags.

A snapshot is compared with copying the same folder, the way to keep a version without one.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from synthetic import make_project

import encord_active_widgets as ea

ROWS = 1_000_000
ROUNDS = 7
GOAL_S = 1.0


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        p = make_project(Path(home) / "p.eaw", ROWS)
        rng = np.random.default_rng(0)
        p.items.at(np.flatnonzero(rng.random(ROWS) < 0.5)).tag("keep")
        p.items.at(np.flatnonzero(rng.random(ROWS) < 0.5)).tag("review")
        before = size(p.path)
        warm = [timed(lambda i=i: p.snapshot(f"v{i}")) for i in range(ROUNDS)]
        grown = size(p.path) - before
        copied = timed(lambda: shutil.copytree(p.path, Path(home) / "copy"))
        shutil.rmtree(Path(home) / "copy")
        print(f"snapshot of {ROWS:,} images: {statistics.median(warm) * 1e3:.0f} ms, the slowest of {ROUNDS} "
              f"{max(warm) * 1e3:.0f} ms (goal {GOAL_S:.0f} s), {grown / ROUNDS / 1e3:.1f} kB each")  # fmt: skip
        print(f"copying its {before / 1e6:.0f} MB folder, from memory and without waiting for the disk: {copied:.2f} s")
        fresh = ea.open(p.path)
        opened, taken = timed(lambda: fresh.snapshot("cold")), timed(lambda: fresh.snapshot("cold again"))
        print(f"a snapshot of a project that was just opened: {opened:.2f} s; again {taken:.2f} s")
        p.items.at(np.flatnonzero(rng.random(ROWS) < 0.3)).tag("later")
        p.items.at(np.arange(100_000)).untag("keep")
        p.items.at(np.arange(500)).remove()
        opening = timed(lambda: p.diff("v0"))
        d = p.diff("v0")
        parts = {name: timed(lambda name=name: getattr(d, name)) for name in ("items", "labels", "tags", "metrics")}
        print(
            f"difference: opening both states {opening:.2f} s, "
            + ", ".join(f"{k} {v:.2f} s" for k, v in parts.items())
            + f"; {d.tags.height:,} retagged"
        )
        back = timed(lambda: p.restore("v0"))
        print(f"restore: {back:.2f} s, its undo {timed(p.undo):.2f} s, at {timed(lambda: p.at('v0').df):.2f} s")
        whole = timed(lambda: p.clone(Path(home) / "clone.eaw"))
        part = timed(lambda: p.sample(10_000).clone(Path(home) / "part.eaw"))
        other = ea.open(Path(home) / "part.eaw")
        other.items.tag("theirs")
        merged = timed(lambda: p.merge(other))
        print(f"clone of all: {whole:.2f} s, of 10,000: {part:.2f} s; merging these back: {merged:.2f} s")


if __name__ == "__main__":
    main()
