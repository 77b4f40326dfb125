"""Recall and cost of the neighbour index and graph against brute force; duplicates against planted copies.

    python benchmarks/bench_index.py [--data DIR] [--rows 10000]

Goal: recall@10 at least 0.99. Data: descriptors of `cifar10_test` and of `photos` where `--data`,
EAW_SHARED_DATA or ../shared/data has them; without them the digits of scikit-learn and no duplicates.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
from bench_map import ROOT, descriptors

from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.embeddings.index import NeighbourIndex
from encord_active_widgets.metrics.duplicates import duplicate_groups
from encord_active_widgets.metrics.near_hashes import pairs_within

K = 10
GOAL_RECALL = 0.99
QUERIES = 1_000
HASHES = 1_000_000


class Clock:
    """Wall and CPU seconds of a block."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu

    def __str__(self) -> str:
        return f"wall {self.wall:7.3f} s  cpu {self.cpu:7.3f} s"


def recall(distances: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of answers as near as the k-th true neighbour (copies are worth the same)."""
    return float((distances[:, : truth.shape[1]] <= truth[:, -1:] + 1e-6).mean())


def search(vectors: np.ndarray) -> None:
    """Print recall@10 and the cost of index and graph."""
    sample = np.random.default_rng(0).choice(len(vectors), min(QUERIES, len(vectors)), replace=False)
    queries = vectors[sample]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    with Clock() as brute:
        product = unit[sample] @ unit.T
        top = np.argpartition(product, -(K + 1), axis=1)[:, -(K + 1) :]
    gap = np.square(unit[top] - unit[sample][:, None]).sum(axis=2) / 2
    truth = np.sort(gap, axis=1)
    print(f"{'brute force (NumPy)':28s} {QUERIES:,} queries {brute}")
    for kind in ("hnswlib", "exact"):
        with Clock() as build:
            index = NeighbourIndex.build(vectors, kind=kind)
        with Clock() as query:
            _, distances = index.query(queries, K + 1)
        with Clock() as single:
            for row in queries[:100]:
                index.query(row[None], K + 1)
        with tempfile.TemporaryDirectory() as folder, Clock() as stored:
            index.save(Path(folder) / "index")
            NeighbourIndex.load(Path(folder) / "index")
        found = recall(distances[:, 1:], truth[:, 1:])
        print(
            f"{'index, ' + kind:28s} build {build}   {QUERIES:,} queries {query}  ({query.cpu / brute.cpu:.2f}x brute)"
        )
        print(
            f"{'':28s} one query {single.wall * 10:.2f} ms, save and load {stored.wall:.2f} s, "
            f"recall@{K} {found:.4f} (goal {GOAL_RECALL}: {'met' if found >= GOAL_RECALL else 'MISSED'})"
        )
    with Clock() as first:
        knn_graph(vectors)
    with Clock() as again:
        graph = knn_graph(vectors)
    every = len(vectors) / len(sample)
    found = recall(graph.distances[sample][:, :K], truth[:, 1:])
    print(f"{'graph of all rows, k=15':28s} first {first}   again {again}   recall@{K} {found:.4f}")
    print(f"{'':28s} {again.cpu / (brute.cpu * every):.2f}x the CPU of brute force on all rows")


def planted(data: Path) -> None:
    """Print what is found of copies planted among real images."""
    from PIL import Image

    from encord_active_widgets.images.decode import decode
    from encord_active_widgets.metrics.pixels import measure

    def described(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        found = [measure(np.ascontiguousarray(image), thumbnail=False) for image in images]
        return np.stack([f.vector for f in found]), np.array([f.phash for f in found], np.uint64)

    def jpeg(image: Image.Image) -> Image.Image:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=30)
        return Image.open(io.BytesIO(out.getvalue())).convert("RGB")

    def crop(image: Image.Image) -> Image.Image:
        x, y = round(0.01 * image.width), round(0.01 * image.height)
        return image.crop((x, y, image.width - x, image.height - y))

    changes = {"crop 2 %": crop, "JPEG q30": jpeg, "half size": lambda i: i.resize((i.width // 2, i.height // 2))}
    photos = [Image.fromarray(decode(p.read_bytes())) for p in sorted((data / "photos").glob("*.JPEG"))]
    vectors, hashes = described([np.asarray(p) for p in photos])
    n = len(photos)
    names = [str(i) for i in range(2 * n)]
    for name, change in changes.items():
        altered, altered_hashes = described([np.asarray(change(p)) for p in photos])
        both, both_hashes = np.vstack([vectors, altered]), np.concatenate([hashes, altered_hashes])
        groups = duplicate_groups(names, both_hashes, knn_graph(both))
        right = (groups[:n] == groups[n:]) & (groups[:n] >= 0)
        wrong = 2 * n - (groups < 0).sum() - 2 * len(np.unique(groups[groups >= 0]))
        bits = np.bitwise_count(hashes ^ altered_hashes)
        distance = np.square(vectors - altered).sum(axis=1) / 2
        print(
            f"photos, {name:10s} found {right.mean():6.1%}  joined wrongly {wrong}   bits {np.median(bits):.0f} "
            f"(at most {bits.max()})   distance {np.median(distance):.4f} (at most {distance.max():.4f})"
        )
    files = sorted((data / "cifar10_test").glob("*/*.jpg"))
    vectors, hashes = described([decode(f.read_bytes()) for f in files])
    with Clock() as clock:
        groups = duplicate_groups([str(f) for f in files], hashes, knn_graph(vectors))
    print(f"cifar10_test: {groups.max() + 1} groups of {(groups >= 0).sum()} images, {clock} (with the graph)")
    for group in range(groups.max() + 1):
        print("  " + " ".join(f"{files[i].parent.name}/{files[i].stem}" for i in np.flatnonzero(groups == group)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("EAW_SHARED_DATA", ROOT.parent / "shared/data"))
    )
    parser.add_argument("--rows", type=int, default=10_000)
    chosen = parser.parse_args()
    names = ("numpy", "numba", "hnswlib")
    print("versions: " + ", ".join(f"{name} {version(name)}" for name in names) + f"; {os.cpu_count()} processors")
    vectors, source = descriptors(chosen.data, chosen.rows)
    print(f"data: {source}: {vectors.shape[0]:,} x {vectors.shape[1]}")
    search(vectors)
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**64, HASHES, dtype=np.uint64))
    with Clock() as clock:
        pairs_within(hashes, 4)
    print(f"perceptual hashes: all pairs within 4 bits among {len(hashes):,}: {clock}")
    if (chosen.data / "photos").is_dir():
        planted(chosen.data)


if __name__ == "__main__":
    main()
