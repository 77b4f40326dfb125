"""Give a notebook an empty folder of its own, so that it can be run again, and beside the others."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def fresh_folder(name: str) -> Path:
    """Make `work/<name>` beside this file the current folder; what an earlier run left there is removed."""
    folder = HERE / "work" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    if str(HERE) not in sys.path:  # a kernel looks for modules in the current folder, which was this one
        sys.path.insert(0, str(HERE))
    return folder
