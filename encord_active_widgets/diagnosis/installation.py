"""Packages and their versions, and the browser bundle."""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from .._version import __version__
from .finding import Finding

_NEEDED = ("polars", "deltalake", "numpy", "pillow", "simplejpeg", "anywidget", "ipywidgets", "umap-learn", "hnswlib")
_OF_THE_HOST = (
    # The kernel's environment may not be the server's: missing here is no fault.
    ("ipykernel", (6, 0), ""),
    ("jupyterlab_widgets", (3, 0), "ipywidgets 8 needs jupyterlab_widgets 3: pip install -U jupyterlab_widgets"),
    ("widgetsnbextension", (4, 0), "ipywidgets 8 needs widgetsnbextension 4: pip install -U widgetsnbextension"),
)
_HOSTS = ("jupyterlab", "notebook", "voila", "marimo")
_EXTRAS = {
    "charts": "altair", "video": "av", "cloud": "fsspec", "interchange": "narwhals", "onnx": "onnxruntime",
    "torch": "torch", "encord": "encord",
}  # fmt: skip
_NO_COMPILER = " needs a C++ compiler; without it exact search works up to 100,000 items"


def rows() -> list[Finding]:
    """Return the findings about what is installed."""
    ranges = _ranges()
    return [
        Finding("encord_active_widgets", __version__),
        Finding("Python", platform.python_version()),
        *(_needed(name, *ranges.get(name, ("", ""))) for name in _NEEDED),
        _bundle(),
        *(_of_the_host(*one) for one in _OF_THE_HOST if _found(one[0]) or "ipykernel" in sys.modules),
        Finding("hosts installed here", ", ".join(f"{n} {v}" for n in _HOSTS if (v := _found(n))) or "none"),
        Finding("extras installed", ", ".join(extra for extra, name in _EXTRAS.items() if _found(name)) or "none"),
    ]


def _found(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _ranges() -> dict[str, tuple[str, str]]:
    """Return the least and the first refused version of each package, as this one declares them."""
    try:
        declared = requires("encord_active_widgets") or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        return {}
    out = {}
    for line in declared:
        if name := re.match(r"[\w.-]+", line):
            least, below = (re.search(rf"{mark}\s*([\d.]+)", line) for mark in (">=", "<"))
            out[name[0].lower()] = (least[1] if least else "", below[1] if below else "")
    return out


def _needed(name: str, least: str, below: str) -> Finding:
    found = _found(name)
    if found is None:
        return Finding(name, "missing", False, f"pip install {name}" + (_NO_COMPILER if name == "hnswlib" else ""))
    wanted = ",".join(f"{mark}{v}" for mark, v in ((">=", least), ("<", below)) if v)
    at = numbers(found)
    if (least and at < numbers(least)) or (below and at >= numbers(below)):
        return Finding(name, found, False, f'pip install "{name}{wanted}", then restart the kernel')
    return Finding(name, found)


def _of_the_host(name: str, least: tuple[int, ...], advice: str) -> Finding:
    found = _found(name)
    if found is None:
        return Finding(name, "not in this environment", True, "fine where the notebook's server has it")
    return Finding(name, found, numbers(found) >= least, "" if numbers(found) >= least else advice)


def _bundle() -> Finding:
    file = Path(__file__).parent.parent / "static" / "widget.js"
    if not file.exists():
        return Finding("browser bundle", "missing", False, "in a checkout run `make setup`; otherwise reinstall")
    return Finding("browser bundle", f"{file.stat().st_size / 1000:.0f} kB")


def numbers(text: str) -> tuple[int, ...]:
    """Return a version's numbers, to compare by.

    >>> numbers("0.11.0rc1") > numbers("0.9.21")
    True
    """
    return tuple(int(n) for n in re.match(r"[\d.]*", text)[0].split(".") if n)  # type: ignore[index]
