"""Vectors the embedding tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    from sklearn.datasets import load_digits

    return load_digits().data.astype(np.float32)


@pytest.fixture(scope="session")
def cifar(shared_data: Path) -> np.ndarray:
    """Descriptors of 6,000 real images: enough for the compiled search and hnswlib to take over."""
    from encord_active_widgets.images.decode import decode
    from encord_active_widgets.metrics.pixels import measure

    files = sorted((shared_data / "cifar10_test").glob("*/*.jpg"))
    chosen = np.random.default_rng(0).permutation(len(files))[:6_000]
    return np.stack([measure(decode(files[i].read_bytes()), thumbnail=False).vector.copy() for i in chosen])
