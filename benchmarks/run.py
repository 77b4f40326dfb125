"""Run the benchmarks: every `bench_*.py` here, each in its own process; names on the command line choose.

A benchmark is a script that prints a table of ratios (ours against a peer or a physical limit, measured in the
same run) and says which data it used. It reads real images from `EAW_SHARED_DATA` or `../shared/data`, and makes
its own where there are none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(chosen: list[str]) -> int:
    scripts = sorted(HERE.glob("bench_*.py"))
    if chosen:
        scripts = [s for s in scripts if any(c in s.stem for c in chosen)]
    if not scripts:
        print(f"No benchmark matches {chosen}; there are: {', '.join(s.stem for s in sorted(HERE.glob('bench_*.py')))}")
        return 2
    env = dict(os.environ)
    env.setdefault("EAW_SHARED_DATA", str(HERE.parent.parent / "shared" / "data"))
    failed = []
    for script in scripts:
        print(f"\n== {script.stem.removeprefix('bench_')}", flush=True)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, str(script)], cwd=HERE.parent, env=env, check=False)
        outcome = "done" if done.returncode == 0 else f"FAILED ({done.returncode})"
        print(f"   {outcome} in {time.perf_counter() - start:.0f} s")
        if done.returncode:
            failed.append(script.stem)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
