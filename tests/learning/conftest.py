"""Real probabilities with real and with planted label errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def mnist(shared_data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities, reviewed rows, and which of these are errors: fewer than 3 of 5 votes for the label."""
    folder = shared_data / "label_errors"
    reviewed = json.loads((folder / "mnist_mturk.json").read_text())
    rows = np.array([r["id"] for r in reviewed])
    wrong = np.array([r["mturk"]["given"] < 3 for r in reviewed])
    codes = np.load(folder / "mnist_test_set_original_labels.npy")
    return codes, np.load(folder / "mnist_test_set_pyx.npy"), rows, wrong


@pytest.fixture(scope="session")
def cifar(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of the CIFAR-10 test set."""
    folder = shared_data / "label_errors"
    codes = np.load(folder / "cifar10_test_set_original_labels.npy")
    return codes, np.load(folder / "cifar10_test_set_pyx.npy")


def flipped(codes: np.ndarray, share: float, seed: int, how: str = "uniform") -> np.ndarray:
    """Give a share of the rows another class: any, mostly one of a few for each class, or always the same."""
    rng = np.random.default_rng(seed)
    out, k = codes.copy(), int(codes.max()) + 1
    rows = rng.choice(len(codes), round(share * len(codes)), replace=False)
    if how == "uniform":
        out[rows] = (out[rows] + rng.integers(1, k, rows.size)) % k
        return out
    weights = rng.dirichlet(np.full(k - 1, 0.3 if how == "classes" else 1e-3), k)
    step = np.array([rng.choice(k - 1, p=weights[c]) for c in out[rows]])
    out[rows] = (out[rows] + 1 + step) % k
    return out
