"""What this installation and this notebook can do."""

from __future__ import annotations

import importlib.util
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import polars as pl

from ._version import __version__

_PACKAGES = ("polars", "deltalake", "numpy", "pillow", "simplejpeg", "anywidget", "ipywidgets", "umap-learn", "hnswlib")
_HOSTS = (("google.colab", "Colab"), ("marimo", "marimo"), ("ipykernel", "Jupyter (or VS Code)"))


def doctor() -> pl.DataFrame:
    """Check the installation: one row a check, with what was found and what to do.

    Returns
    -------
    pl.DataFrame
        Columns `check`, `found`, `ok`, `remedy`.
    """
    rows = [("encord_active_widgets", __version__, True, ""), ("Python", platform.python_version(), True, "")]
    rows += [_package(name) for name in _PACKAGES]
    rows.append(_bundle())
    rows.append(("notebook", _host(), True, ""))
    return pl.DataFrame(rows, schema=["check", "found", "ok", "remedy"], orient="row")


def _package(name: str) -> tuple[str, str, bool, str]:
    try:
        return name, version(name), True, ""
    except PackageNotFoundError:
        remedy = f"pip install {name}"
        if name == "hnswlib":
            remedy += " needs a C++ compiler; without it exact search works up to 100,000 items"
        return name, "missing", False, remedy


def _bundle() -> tuple[str, str, bool, str]:
    from pathlib import Path

    file = Path(__file__).parent / "static" / "widget.js"
    if not file.exists():
        return "browser bundle", "missing", False, "in a checkout run `make setup`; otherwise reinstall"
    return "browser bundle", f"{file.stat().st_size / 1000:.0f} kB", True, ""


def _host() -> str:
    for module, name in _HOSTS:
        if module in sys.modules:
            return name
    return (
        "none (plain Python)"
        if importlib.util.find_spec("IPython") is None or "IPython" not in sys.modules
        else "IPython"
    )
