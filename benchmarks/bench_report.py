"""Report on 10,000 real images, and compare two halves of them: seconds, and beside computing the same project."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthetic import make_project

import encord_active_widgets as ea

ROWS = 10_000
GOAL_S = 15.0


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def main() -> None:
    images = Path(os.environ.get("EAW_SHARED_DATA", "../shared/data")) / "cifar10_test"
    with tempfile.TemporaryDirectory() as home:
        if images.is_dir():
            p = ea.Project.from_folder(images, Path(home) / "p.eaw")
            computed, _ = timed(p.compute)
            print(f"data: {len(p):,} CIFAR-10 test images; computing them took {computed:.1f} s")
        else:
            p = make_project(Path(home) / "p.eaw", ROWS)
            print(f"data: {len(p):,} synthetic rows, without pictures")
        for again in ("first time in a process", "again"):
            made, report = timed(ea.open(p.path).report)
            written, file = timed(lambda report=report: report.to_html(Path(home) / "r.html"))
            size = file.stat().st_size / 1e6
            print(
                f"report, {again}: {made:.2f} s, its page {written:.2f} s, {size:.2f} MB (goal {GOAL_S:.0f} s in all)"
            )
        half = p.sample(len(p) // 2, seed=1)
        made, compared = timed(lambda: ea.compare_projects(p, half, names=("all", "half")))
        written, file = timed(lambda: compared.to_html(Path(home) / "c.html"))
        print(f"comparison: {made:.2f} s, its page {written:.2f} s, {file.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
