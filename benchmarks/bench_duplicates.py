"""Duplicates: planted copies beside CleanVision's, pairs among real images, and what groups cost beside the search.

    python benchmarks/bench_duplicates.py [--data ../shared/data] [--cleanvision /path/to/python] [--rows 60000]

Each of the 200 photographs of `photos` is planted once as a copy of one kind, saved as JPEG of quality 95 (but for
the one of quality 30), and both are read as a user's project reads them. Found: the copy is in its original's group.
False: pairs in one group that are not a copy and its original. `--cleanvision` names a Python that has CleanVision
(it brings its own pins); its exact and near duplicates are counted in the same way. "2 %" is the share of width and of
height that goes, half of it at each side, or all of it anywhere ("off centre").

Without the shared data only the costs are measured, on digits of scikit-learn.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from bench_map import PAD_PX, ROOT
from PIL import Image

from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.images.decode import decode
from encord_active_widgets.metrics.alignment import ALIGNED_SIDE_PX
from encord_active_widgets.metrics.duplicate_pairs import find_pairs
from encord_active_widgets.metrics.duplicates import duplicate_groups, groups_at
from encord_active_widgets.metrics.mirroring import mirrored_order
from encord_active_widgets.metrics.pixels import measure, planes

ROUNDS = 3
SLIDER_STEPS = 50
CLEANVISION = """
import json, sys
from cleanvision import Imagelab
if __name__ == "__main__":
    lab = Imagelab(data_path=sys.argv[1])
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    print("SETS" + json.dumps([s for k in ("exact_duplicates", "near_duplicates") for s in lab.info[k]["sets"]]))
"""


def crop(total: float, rng: np.random.Generator | None = None) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        w, h = round(image.width * (1 - total)), round(image.height * (1 - total))
        room = image.width - w, image.height - h
        x, y = (room[0] // 2, room[1] // 2) if rng is None else (rng.integers(0, r + 1) for r in room)
        return image.crop((int(x), int(y), int(x) + w, int(y) + h))

    return change


def brighter(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(image, np.float32) * 1.15, 0, 255).astype(np.uint8))


def kinds() -> dict[str, tuple[Callable[[Image.Image], Image.Image], int]]:
    """Return the changes by name, with the quality they are saved in."""
    return {
        "crop of 2 %": (crop(0.02), 95),
        "crop of 2 %, off centre": (crop(0.02, np.random.default_rng(2)), 95),
        "crop of 5 %": (crop(0.05), 95),
        "crop of 5 %, off centre": (crop(0.05, np.random.default_rng(5)), 95),
        "crop of 10 %": (crop(0.10), 95),
        "JPEG quality 30": (lambda i: i, 30),
        "half size": (lambda i: i.resize((max(1, i.width // 2), max(1, i.height // 2))), 95),
        "15 % brighter": (brighter, 95),
        "mirrored": (lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 95),
    }


class Described:
    """Vectors, hashes and small luma of images, as the pixel stage makes them."""

    def __init__(self, images: list[np.ndarray]) -> None:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(_describe, images))
        self.vectors = np.stack([f[0] for f in found])
        self.hashes = np.array([f[1] for f in found], np.uint64)
        self.luma = np.stack([f[2] for f in found])

    def groups(self) -> np.ndarray:
        return duplicate_groups(
            [str(i) for i in range(len(self.hashes))],
            self.hashes,
            knn_graph(self.vectors),
            vectors=self.vectors,
            mirror=mirrored_order(),
            pictures=lambda rows: self.luma[rows],
        )


def _describe(image: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    pixels = np.ascontiguousarray(image)
    found = measure(pixels)
    small = planes(pixels if found.thumbnail is None else found.thumbnail, ALIGNED_SIDE_PX)
    return found.vector.copy(), found.phash, 0.299 * small[0] + 0.587 * small[1] + 0.114 * small[2]


def scores(groups: np.ndarray, n: int) -> tuple[float, int]:
    """Return the share of copies in their original's group, and the pairs in one group that are no such pair."""
    right = (groups[:n] == groups[n:]) & (groups[:n] >= 0)
    sizes = np.bincount(groups[groups >= 0], minlength=1)
    return float(right.mean()), int((sizes * (sizes - 1) // 2).sum() - right.sum())


def cleanvision(python: str, folder: Path) -> list[list[str]]:
    out = subprocess.run([python, "-c", CLEANVISION, str(folder)], check=True, capture_output=True, text=True).stdout
    return json.loads(next(line for line in out.splitlines() if line.startswith("SETS"))[4:])


def planted(data: Path, python: str | None) -> None:
    """Print recall and false pairs by kind."""
    files = sorted((data / "photos").glob("*.JPEG"))
    photos = [Image.fromarray(decode(f.read_bytes())) for f in files]
    originals = [np.asarray(p) for p in photos]
    n = len(photos)
    other = "" if python is None else "   CleanVision found   false pairs"
    print(f"{n} photographs, one copy of each        found   false pairs{other}")
    for name, (change, quality) in kinds().items():
        blobs = []
        for photo in photos:
            out = io.BytesIO()
            change(photo).save(out, "JPEG", quality=quality)
            blobs.append(out.getvalue())
        found, false = scores(Described([*originals, *(decode(b) for b in blobs)]).groups(), n)
        text = f"{name:36s} {found:7.1%} {false:8d}"
        if python is not None:
            with tempfile.TemporaryDirectory() as home:
                for i, (file, blob) in enumerate(zip(files, blobs, strict=True)):
                    (Path(home) / f"{i:03d}_a.jpg").write_bytes(file.read_bytes())
                    (Path(home) / f"{i:03d}_b.jpg").write_bytes(blob)
                groups = np.full(2 * n, -1)
                for k, members in enumerate(cleanvision(python, Path(home))):
                    for member in members:
                        stem = Path(member).stem
                        groups[int(stem[:3]) + n * (stem[-1] == "b")] = k
            found, false = scores(groups, n)
            text += f"      {found:7.1%} {false:16d}"
        print(text)


def among_real(data: Path, python: str | None) -> None:
    """Print what is joined among images that are all meant to be different."""
    files = sorted((data / "cifar10_test").glob("*/*.jpg"))
    groups = Described([decode(f.read_bytes()) for f in files]).groups()
    pairs = int(sum(s * (s - 1) // 2 for s in np.bincount(groups[groups >= 0])))
    print(f"cifar10_test: {groups.max() + 1} groups of {(groups >= 0).sum()} images, {pairs} pairs; look at them:")
    for group in range(groups.max() + 1):
        print("  " + " ".join(f"{files[i].parent.name}/{files[i].stem}" for i in np.flatnonzero(groups == group)))
    if python is not None:
        sets = cleanvision(python, data / "cifar10_test")
        print(f"CleanVision: {len(sets)} groups of {sum(map(len, sets))} images")


def cost(data: Path, rows: int) -> None:
    """Print what groups cost beside the search they build on."""
    files = sorted((data / "cifar10_test").glob("*/*.jpg"))
    rng = np.random.default_rng(0)
    images: list[np.ndarray] = []
    if files:
        for file in files:
            padded = np.pad(decode(file.read_bytes()), ((PAD_PX, PAD_PX), (PAD_PX, PAD_PX), (0, 0)), mode="reflect")
            for _ in range(-(-rows // len(files))):
                top, left = rng.integers(0, 2 * PAD_PX + 1, 2)
                tile = padded[top : top + 32, left : left + 32]
                images.append(tile[:, ::-1] if rng.random() < 0.5 else tile)
    else:
        from sklearn.datasets import load_digits

        for digit in load_digits().images[rng.integers(0, 1797, rows)]:
            noisy = np.kron(digit * 15, np.ones((4, 4))) + rng.normal(0, 8, (32, 32))
            images.append(np.repeat(np.clip(noisy, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2))
    known = Described(images[:rows])
    names = [str(i) for i in range(len(known.hashes))]
    plain = {"vectors": known.vectors, "mirror": mirrored_order()}
    ways = {"with vectors": plain, "and pictures": {**plain, "pictures": lambda rows: known.luma[rows]}}
    start = Described(images[:1_000])
    start.groups()  # loads and compiles
    print(f"{len(names):,} descriptors of crops and flips, {ROUNDS} rounds: groups over the search they build on")
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        graph = knn_graph(known.vectors)
        search = time.perf_counter() - begin
        for way, extra in ways.items():
            begin = time.perf_counter()
            groups = duplicate_groups(names, known.hashes, graph, **extra)
            spent = time.perf_counter() - begin
            ratios[way].append((search + spent) / search)
            print(
                f"  {way}: search {search:.2f} s, groups {spent:.2f} s: {groups.max() + 1:,} of {(groups >= 0).sum():,}"
            )
    for way, found in ratios.items():
        print(f"  {way}: both take {np.median(found):.2f} x the search alone ({min(found):.2f}-{max(found):.2f})")
    few = Described(images[: min(rows, 10_000)])
    pairs = find_pairs(
        names[: len(few.hashes)], few.hashes, knn_graph(few.vectors), vectors=few.vectors, mirror=mirrored_order()
    )
    start = time.perf_counter()
    for t in np.linspace(0, 0.5, SLIDER_STEPS):
        groups_at(len(few.hashes), pairs, float(t))
    each = (time.perf_counter() - start) / SLIDER_STEPS * 1000
    print(f"one step of the slider, {len(few.hashes):,} items, {len(pairs):,} pairs: {each:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("EAW_SHARED_DATA", ROOT.parent / "shared/data"))
    )
    parser.add_argument("--cleanvision", metavar="PYTHON", default=os.environ.get("EAW_CLEANVISION"))
    parser.add_argument("--rows", type=int, default=60_000)
    chosen = parser.parse_args()
    if (chosen.data / "photos").is_dir():
        planted(chosen.data, chosen.cleanvision)
        among_real(chosen.data, chosen.cleanvision)
    cost(chosen.data, chosen.rows)


if __name__ == "__main__":
    main()
