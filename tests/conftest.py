"""Fixtures of every test: the real images, where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images (`photos`, `bccd`, …): `EAW_SHARED_DATA`, else `../shared/data` beside the checkout."""
    named = os.environ.get("EAW_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}: set EAW_SHARED_DATA to the folder that holds photos/ and bccd/")
    return folder
