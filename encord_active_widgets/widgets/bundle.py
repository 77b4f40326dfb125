"""The browser bundle that the explorer ships."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ..errors import EawError

BUNDLE = Path(__file__).parent.parent / "static" / "widget.js"


@cache
def esm() -> str | Path:
    """Return the bundle's text, or its path while it is developed (ANYWIDGET_HMR=1).

    A path makes anywidget keep a reference to every instance for ever (anywidget issue 929),
    so it is used only where hot reloading is wanted.
    """
    if os.environ.get("ANYWIDGET_HMR") == "1":
        return BUNDLE
    try:
        return BUNDLE.read_text("utf-8")
    except FileNotFoundError as error:
        raise EawError(
            f'The browser bundle "{BUNDLE}" is missing.',
            "In a checkout run `make setup`; otherwise reinstall encord_active_widgets from a wheel.",
        ) from error
