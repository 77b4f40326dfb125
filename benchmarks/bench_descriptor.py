"""How much the built-in descriptor knows: leave-one-out 15-NN accuracy against simpler vectors.

    python benchmarks/bench_descriptor.py [--data ../shared/data] [--k 15]

On `cifar10_test` (10,000 images of 10 classes, chance 0.1) where it is; else on the 1,797
digits inside scikit-learn, which are grey and easy: only the order of the rows means much.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
BLOCK_ROWS = 1000


def load(data: Path) -> tuple[str, npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the set's name, its images (n, 32, 32, 3) and their classes."""
    folder = data / "cifar10_test"
    if not folder.is_dir():
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.repeat(np.repeat(digits.images, 4, 1), 4, 2) * (255 / 16)
        grey = images.astype(np.uint8)[..., np.newaxis]
        return "digits (scikit-learn)", np.repeat(grey, 3, axis=3), digits.target
    from encord_active_widgets.images.decode import decode

    images, classes = [], []
    for k, name in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for file in sorted(name.iterdir()):
            images.append(decode(file.read_bytes()))
            classes.append(k)
    return "cifar10_test", np.stack(images), np.array(classes)


def accuracy(vectors: F32, classes: npt.NDArray[np.int64], k: int) -> float:
    """Leave-one-out accuracy of the majority of the k most similar (cosine) others."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.maximum(norms, 1e-9)).astype(np.float32)
    right = 0
    for start in range(0, len(unit), BLOCK_ROWS):
        block = unit[start : start + BLOCK_ROWS] @ unit.T
        rows = np.arange(len(block))
        block[rows, rows + start] = -np.inf
        nearest = classes[np.argpartition(-block, k, axis=1)[:, :k]]
        votes = np.stack([(nearest == c).sum(1) for c in range(int(classes.max()) + 1)], 1)
        right += int((votes.argmax(1) == classes[start : start + BLOCK_ROWS]).sum())
    return right / len(unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--k", type=int, default=15)
    arguments = parser.parse_args()
    from encord_active_widgets.embeddings.descriptor import EDGE_DIM
    from encord_active_widgets.metrics.pixels import measure

    name, images, classes = load(arguments.data)
    measure(images[0])
    start = time.process_time()
    measured = [measure(image) for image in images]
    micros = (time.process_time() - start) / len(images) * 1e6
    vectors = np.stack([m.vector for m in measured])
    phash = np.array([m.phash for m in measured], np.uint64)
    bits = np.unpackbits(phash.view(np.uint8).reshape(len(phash), 8), axis=1)
    flat = images.reshape(len(images), -1).astype(np.float32)
    rows: list[tuple[str, F32]] = [
        ("raw pixels, mean of each image removed", flat - flat.mean(1, keepdims=True)),
        ("raw pixels", flat),
        ("perceptual hash (64 bits as ±1)", bits.astype(np.float32) * 2 - 1),
        ("descriptor, chroma part alone", vectors[:, EDGE_DIM:]),
        ("descriptor, edge part alone", vectors[:, :EDGE_DIM]),
        ("descriptor", vectors),
    ]
    print(f"{name}: {len(images)} images, {arguments.k} nearest neighbours, leave one out\n")
    print("| vector | dimensions | accuracy |\n|---|---|---|")
    for title, values in rows:
        score = accuracy(values, classes, arguments.k)
        print(f"| {title} | {values.shape[1]} | {score:.3f} |", flush=True)
    print(f"\nAll metrics, hash and descriptor of one image: {micros:.0f} µs CPU after decoding.")


if __name__ == "__main__":
    main()
