"""How long `import encord_active_widgets` takes, against `import polars`, each in fresh processes in turn."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

REPEATS = 11
GOAL = 1.3


def cpu_seconds(module: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    times: dict[str, list[float]] = {"sys": [], "polars": [], "encord_active_widgets": []}
    for _ in range(REPEATS):
        for module, seconds in times.items():
            seconds.append(cpu_seconds(module))
    start = statistics.median(times["sys"])
    polars = statistics.median(times["polars"]) - start
    ours = statistics.median(times["encord_active_widgets"]) - start
    print(f"polars {polars * 1e3:.0f} ms, encord_active_widgets {ours * 1e3:.0f} ms CPU beyond an empty interpreter")
    print(f"ratio {ours / polars:.2f} (goal <= {GOAL})")


if __name__ == "__main__":
    main()
