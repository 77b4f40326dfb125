"""What an installation takes on the disk, and an import of seconds: the core wheel beside peers, each in a fresh venv.

Sizes are the sum of the files below site-packages, without compiled bytecode. Packages come from the configured index;
where it cannot be reached, only what can be installed is measured. Imports are CPU seconds of a fresh process beyond an
empty one, the median of several, after one that fills the caches.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

REPEATS = 7
ROOT = Path(__file__).resolve().parent.parent
PEERS = {"cleanvision": "cleanvision", "jupyter-scatter": "jscatter"}
"""What is installed, and what is imported."""
MB = 1e6
_LARGEST = 6


def uv() -> str:
    found = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    assert found, "uv is not in this environment: run `make setup`"
    return found


def wheel(folder: Path) -> str:
    command = [uv(), "build", "--wheel", "--quiet", "--python", sys.executable, "--out-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return str(made)


def installed(what: str, home: Path) -> float | None:
    """Install into a fresh environment; return the seconds it took, or None where it cannot be had."""
    subprocess.run([uv(), "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    begin = time.perf_counter()
    command = [uv(), "pip", "install", "--quiet", "--no-cache", "--python", str(home / "bin" / "python"), what]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        print(f"{what}: not installed here: {done.stderr.strip().splitlines()[-1]}")
        return None
    return time.perf_counter() - begin


def size(home: Path) -> tuple[int, Counter[str]]:
    """Return the bytes of an environment's packages, and those of each folder."""
    (packages,) = home.glob("lib/python*/site-packages")
    parts: Counter[str] = Counter()
    for file in packages.rglob("*"):
        if file.is_file() and not file.is_symlink() and file.suffix != ".pyc":
            parts[file.relative_to(packages).parts[0]] += file.stat().st_size
    return sum(parts.values()), parts


def import_seconds(python: Path, module: str) -> float:
    def once(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(python), "-c", code], check=True, cwd="/", capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    once(f"import {module}")
    pairs = [(once("pass"), once(f"import {module}")) for _ in range(REPEATS)]
    return statistics.median(b for _, b in pairs) - statistics.median(a for a, _ in pairs)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        ours = wheel(home / "dist")
        print(f"the wheel: {Path(ours).stat().st_size / MB:.2f} MB")
        for what, module in {ours: "encord_active_widgets", **PEERS}.items():
            place = home / module
            seconds = installed(what, place)
            if seconds is None:
                continue
            total, parts = size(place)
            count = len(list(place.glob("lib/python*/site-packages/*.dist-info")))
            cpu = import_seconds(place / "bin" / "python", module)
            name = module if what == ours else what
            print(
                f"{name}: {total / MB:.0f} MB in {count} packages, installed in {seconds:.0f} s, import {cpu:.2f} s CPU"
            )
            print("   " + ", ".join(f"{n} {b / MB:.0f}" for n, b in parts.most_common(_LARGEST)))


if __name__ == "__main__":
    main()
