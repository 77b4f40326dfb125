"""Which notebook host this is, by what hosts leave in a kernel's environment, and what to do where widgets fail."""

from __future__ import annotations

import os
import sys

from .finding import PLAIN, Finding

_IN_THE_CLOUD = (
    ("KAGGLE_KERNEL_RUN_TYPE", "Kaggle"),  # before Colab: its images are derived from Colab's
    ("COLAB_RELEASE_TAG", "Colab"),
    ("DATABRICKS_RUNTIME_VERSION", "Databricks"),
)
_REMEDIES = {
    "Colab": "run `from google.colab import output; output.enable_custom_widget_manager()`, then this cell again",
    "VS Code": "install its extension Jupyter, choose a kernel that has ipywidgets, and agree where it asks to load "
    "scripts of widgets; Output > Jupyter says what failed",
    "Kaggle": "install the package in the first cell, reload the page and run all; Internet must be on",
    "Databricks": "widgets need Runtime 13 or newer, this package one with Python 3.11; run all after the installation",
    "marimo": "wrap it: mo.ui.anywidget(p.explore())",
    "Voila": "install voila beside ipywidgets 8, and look at what its terminal says",
}
_IN_JUPYTER = (
    "install jupyterlab_widgets and anywidget where the Jupyter server runs (which may be another environment than "
    "this kernel's), then reload the page"
)


def here(page: str = "") -> Finding:
    """Return the row that names the host.

    Parameters
    ----------
    page : str
        What the page calls itself: only it can tell JupyterLab from Notebook.
    """
    name = host_name()
    if page and (name in {PLAIN, "Jupyter"} or page.startswith(name)):
        name = page
    if sys.platform == "emscripten":
        remedy = "Polars and Delta Lake's writer are not there for this Python: use a Jupyter with a kernel of its own"
        return Finding("notebook host", "a browser's own Python (JupyterLite)", False, remedy)
    return Finding("notebook host", name)


def host_name() -> str:
    """Name the host as far as the kernel can know it."""
    for variable, name in _IN_THE_CLOUD:
        if variable in os.environ:
            return name
    if "google.colab" in sys.modules:
        return "Colab"
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return "marimo"
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return PLAIN
    if getattr(shell, "kernel", None) is None:
        return "IPython in a terminal"
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return "Voila"
    # VS Code names the file to its kernels; its terminals, and what is started from them, have variables only.
    if "__vsc_ipynb_file__" in shell.user_ns or "VSCODE_PID" in os.environ:
        return "VS Code"
    return "Jupyter"


def remedy(host: str) -> str:
    """Say what to do where this host shows no widget."""
    return next((text for name, text in _REMEDIES.items() if host.startswith(name)), _IN_JUPYTER)


def unseen(host: str) -> str:
    """Return what stands where a widget should be."""
    return f"This host ({host}) draws no widgets here. What to do: {remedy(host)}."
