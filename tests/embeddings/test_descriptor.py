"""What a user would lose: a map and neighbours that mean something without any model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encord_active_widgets.embeddings.descriptor import DESCRIPTOR_DIM, descriptor
from encord_active_widgets.metrics.pixels import measure


def test_neighbours_of_real_images_share_their_class_more_than_pixels_do(shared_data: Path) -> None:
    vectors, pixels, classes = [], [], []
    for k, folder in enumerate(sorted((shared_data / "cifar10_test").iterdir())):
        for file in sorted(folder.iterdir())[:250]:
            image = np.asarray(Image.open(file).convert("RGB"))
            vectors.append(descriptor(image))
            pixels.append(image.ravel() - image.mean())
            classes.append(k)

    def accuracy(rows) -> float:
        unit = np.asarray(rows, np.float32)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        similar = unit @ unit.T
        np.fill_diagonal(similar, -np.inf)
        near = np.asarray(classes)[np.argsort(-similar, axis=1)[:, :15]]
        votes = np.stack([(near == c).sum(1) for c in range(10)], 1)
        return float((votes.argmax(1) == classes).mean())

    ours, raw = accuracy(vectors), accuracy(pixels)
    assert ours > raw + 0.12
    assert ours > 0.45  # of 2,500 images; the whole set is in benchmarks/


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (31, 33), (700, 20)])
@pytest.mark.parametrize("level", [0, 7, 255])
def test_tiny_and_flat_images_have_a_vector_of_length_one(size, level: int) -> None:
    vector = descriptor(np.full((*size, 3), level, np.uint8))
    assert vector.shape == (DESCRIPTOR_DIM,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_black_and_white_are_not_the_same_picture() -> None:
    black, grey, white = (descriptor(np.full((9, 9, 3), v, np.uint8)) for v in (0, 128, 255))
    assert black @ white < 0.1
    assert 0.5 < black @ grey < 0.9


def test_copies_have_equal_vectors_bit_for_bit(shared_data: Path) -> None:
    for file in sorted((shared_data / "photos").iterdir())[:10]:
        image = np.asarray(Image.open(file).convert("RGB"))
        assert np.array_equal(descriptor(image), descriptor(image.copy()))
        assert np.array_equal(descriptor(image), measure(image).vector)


def test_small_changes_move_a_photo_less_than_another_photo_does(shared_data: Path) -> None:
    photos = [Image.open(f).convert("RGB") for f in sorted((shared_data / "photos").iterdir())[:60]]
    vectors = np.stack([descriptor(np.asarray(p)) for p in photos])
    halves = np.stack([descriptor(np.asarray(p.resize((p.width // 2, p.height // 2)))) for p in photos])
    own = (vectors * halves).sum(1)
    others = vectors @ vectors.T
    np.fill_diagonal(others, -1)
    assert own.min() > others.max()
