"""Small real projects for these tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import encord_active_widgets as ea


@pytest.fixture(scope="session")
def computed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A computed project of the 200 photos; copy it before changing it."""
    path = tmp_path_factory.mktemp("computed") / "photos.eaw"
    ea.Project.from_folder(shared_data / "photos", path).compute()
    return path


@pytest.fixture
def photos(computed: Path, tmp_path: Path) -> ea.Project:
    """A computed project of the 200 photos, to do with as one likes."""
    return ea.open(shutil.copytree(computed, tmp_path / "photos.eaw"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve small drawn images in a folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder
