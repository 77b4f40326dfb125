"""Build the browser bundles with npm, unless those that are there were built from these sources.

Standard library only: the wheel build (`hatch_build.py`), `make` and the tests all call it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

JS = Path(__file__).resolve().parent
BUNDLE = JS.parent / "encord_active_widgets" / "static" / "widget.js"
PAGE = BUNDLE.with_name("offline.js")
"""The script of exported pages; one build writes both."""
_BUILT_FROM = BUNDLE.with_name(".built-from")
_INSTALLED_FROM = JS / "node_modules" / ".installed-from"
_LOCKED = ("package.json", "package-lock.json")
_CONFIGURED = ("build.mjs", "tsconfig.json")


def build(*, force: bool = False) -> bool:
    """Bring the bundles up to date and say whether they were rebuilt.

    Raises
    ------
    RuntimeError
        npm is missing, or a build step failed; the message says what to do.
    """
    sources = [*_files(_LOCKED), *_files(_CONFIGURED), *sorted(p for p in (JS / "src").rglob("*") if p.is_file())]
    wanted = _fingerprint([*sources, JS.parent / "encord_active_widgets" / "_version.py"])
    if not force and BUNDLE.exists() and PAGE.exists() and _read(_BUILT_FROM) == wanted:
        return False
    install()
    _npm("run", "build")
    for file in (BUNDLE, PAGE):
        if not file.exists():
            raise RuntimeError(f"`npm run build` ended without writing {file}.")
    _BUILT_FROM.write_text(wanted, encoding="ascii")
    return True


def install() -> bool:
    """Install the locked npm packages, unless they are there."""
    wanted = _fingerprint(_files(_LOCKED))
    if _read(_INSTALLED_FROM) == wanted:
        return False
    _npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
    _INSTALLED_FROM.write_text(wanted, encoding="ascii")
    return True


def _npm(*arguments: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            "Building encord_active_widgets from a checkout needs Node.js 20 or newer with npm, and npm was not found. "
            "Install Node.js, or install a wheel, which carries the built widget."
        )
    # npm writes to stderr: a build front end may read our stdout.
    done = subprocess.run([npm, *arguments], cwd=JS, stdout=sys.stderr, check=False)
    if done.returncode:
        raise RuntimeError(f"`npm {' '.join(arguments)}` failed in {JS} (exit code {done.returncode}).")


def _files(names: Iterable[str]) -> list[Path]:
    return [JS / name for name in names if (JS / name).is_file()]


def _fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(JS.parent).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _read(stamp: Path) -> str:
    return stamp.read_text(encoding="ascii") if stamp.is_file() else ""


if __name__ == "__main__":
    try:
        rebuilt = install() if "--install-only" in sys.argv else build(force="--force" in sys.argv)
    except RuntimeError as error:
        sys.exit(str(error))
    print("done" if rebuilt else "up to date")
