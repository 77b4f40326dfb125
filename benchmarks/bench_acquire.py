"""What to label next: k-center and facility location against plain loops, learning curves against random.

    python benchmarks/bench_acquire.py [--rows 100000] [--picks 1000] [--skip-curves]

Goals: k-center at least 5x faster than the textbook NumPy loop, with the same picks; at least two strategies beat
random beyond their 95 % intervals (15 rounds x 5 seeds, paired by seed). Data: vectors made by a seed (of no
structure, and on a sheet of 12 dimensions with noise); the digits of scikit-learn; descriptors of `cifar10_test` where
EAW_SHARED_DATA or ../shared/data has it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl

import encord_active_widgets as ea
from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.learning.coverage import facility_location, k_center

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from learning_curves import against_random, components, curves, in_words  # noqa: E402

DIM = 128
GOAL = 5.0
BATCH = 20


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def textbook(x: np.ndarray, picks: int, first: int) -> list[int]:
    """Gonzalez' loop: the distance to the new centre, the minimum, the largest."""
    found = [first]
    nearest = ((x - x[first]) ** 2).sum(axis=1)
    while len(found) < picks:
        at = int(nearest.argmax())
        found.append(at)
        nearest = np.minimum(nearest, ((x - x[at]) ** 2).sum(axis=1))
    return found


def by_products(x: np.ndarray, picks: int, first: int) -> list[int]:
    """The same from matrix products, |x|^2 + |c|^2 - 2 xc: the fastest plain NumPy."""
    norms = np.einsum("nd,nd->n", x, x)
    found = [first]
    nearest = norms + norms[first] - 2 * (x @ x[first])
    while len(found) < picks:
        at = int(nearest.argmax())
        found.append(at)
        nearest = np.minimum(nearest, norms + norms[at] - 2 * (x @ x[at]))
    return found


def of_k_center(rows: int, picks: int) -> None:
    rng = np.random.default_rng(0)
    sheet = rng.standard_normal((rows, 12)) @ rng.standard_normal((12, DIM)) + 0.3 * rng.standard_normal((rows, DIM))
    k_center(sheet[:1000].astype(np.float32), 10)  # compiles, or loads what was compiled
    for name, vectors in {"no structure": rng.standard_normal((rows, DIM)), "a noisy sheet": sheet}.items():
        x = unit(vectors)
        start = time.perf_counter()
        ours = k_center(x, picks, first=0).rows.tolist()
        took = time.perf_counter() - start
        start = time.perf_counter()
        book = textbook(x, picks, 0)
        slow = time.perf_counter() - start
        start = time.perf_counter()
        by_products(x, picks, 0)
        product = time.perf_counter() - start
        exact = textbook(x.astype(np.float64), picks, 0)
        ratio = slow / took
        print(
            f"k-center, {picks:,} of {rows:,} x {DIM}, {name}: {took:.2f} s; textbook loop {slow:.2f} s, {ratio:.1f}x "
            f"(goal {GOAL:.0f}x: {'met' if ratio >= GOAL else 'MISSED'}); by matrix products {product:.2f} s, "
            f"{product / took:.1f}x"
        )
        same = next((i for i, (a, b) in enumerate(zip(ours, book, strict=True)) if a != b), picks)
        print(
            f"    picks: the loop's in double precision {'the same' if ours == exact else 'OTHERS'}; "
            f"in single precision, the first {same:,} the same in order, {len(set(ours) & set(book)):,} of all"
        )


def of_facility_location(rows: int, picks: int) -> None:
    rng = np.random.default_rng(1)
    x = unit(rng.standard_normal((rows, 12)) @ rng.standard_normal((12, DIM)) + 0.3 * rng.standard_normal((rows, DIM)))
    start = time.perf_counter()
    graph = knn_graph(x)
    made = time.perf_counter() - start
    start = time.perf_counter()
    facility_location(x, picks, graph=graph)
    took = time.perf_counter() - start
    print(f"facility location, {picks:,} of {rows:,}: {took:.2f} s on a graph that is there (making it {made:.1f} s)")
    few = x[:4_000]
    start = time.perf_counter()
    exact = facility_location(few, 200)
    took = time.perf_counter() - start
    similar = (1 + few @ few.T) / 2
    start = time.perf_counter()
    served, total = np.zeros(len(few), np.float32), 0.0
    for _ in range(20):
        gains = np.maximum(similar - served[:, None], 0).sum(axis=0)
        total += float(gains.max())
        served = np.maximum(served, similar[:, int(gains.argmax())])
    plain = (time.perf_counter() - start) * 10
    agrees = abs(exact.gains[:20].sum() / total - 1) < 1e-4
    print(
        f"facility location, 200 of 4,000, every pair: {took:.2f} s; plain greedy {plain:.1f} s (20 picks x 10); "
        f"sums {'agree' if agrees else 'DIFFER'}"
    )


def of_project(rows: int) -> None:
    """Time the call itself on as many small items, probabilities and vectors."""
    from PIL import Image

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as home:
        Image.new("RGB", (8, 8)).save(Path(home) / "a.png")
        frame = pl.DataFrame({"path": [f"{home}/{i}.png" for i in range(rows)]})
        p = ea.Project.from_frame(frame, Path(home) / "p.eaw", read=False)
        p.add_predictions("m", rng.dirichlet(np.ones(10), rows), classes=[str(k) for k in range(10)])
        p.items.head(rows // 10).tag("done")
        for strategy in ("entropy", "margin"):
            start = time.perf_counter()
            p.acquire(strategy, 1_000, exclude=ea.tagged("done"))
            print(f'p.acquire("{strategy}", 1000) of {rows:,} items: {time.perf_counter() - start:.2f} s')


def of_curves(data: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    sets = {"digits": (pixels, pixels, digits.target, 1200, 597)}
    if (data / "cifar10_test").is_dir():
        with tempfile.TemporaryDirectory() as home:
            p = ea.Project.from_folder(data / "cifar10_test", Path(home) / "p.eaw")
            p.compute(stages="pixels")
            found = p.embeddings["descriptor"]
            vectors = np.array(found.vectors)
            classes = np.unique(p.df["class_name"].to_numpy()[found.rows], return_inverse=True)[1]
        sets["cifar10_test"] = (components(vectors), vectors, classes, 3000, 2000)
    for name, (features, vectors, classes, train, test) in sets.items():
        start = time.perf_counter()
        found = curves(features, vectors, classes, train=train, test=test, batch=BATCH)
        table = against_random(found)
        base = found.filter(pl.col("strategy") == "random")["accuracy"].mean()
        print(f"{name}: 15 rounds of {BATCH} labels, 5 seeds; random {base:.3f}; {time.perf_counter() - start:.0f} s")
        for row in table.iter_rows(named=True):
            print(
                f"    {row['strategy']:20s} {row['mean accuracy']:.3f}  {row['gain']:+.3f} ± {row['half']:.3f}  "
                f"{row['verdict']}; in the end {row['in the end']:.3f}"
            )
        print("  " + in_words(table).replace("\n", "\n  "))
        better = int((table["verdict"] == "better").sum())
        print(f"  {better} beat random beyond their intervals (goal 2: {'met' if better >= 2 else 'MISSED'})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--picks", type=int, default=1_000)
    parser.add_argument("--skip-curves", action="store_true")
    chosen = parser.parse_args()
    names = ("numpy", "numba", "scikit-learn", "polars")
    print("versions: " + ", ".join(f"{name} {version(name)}" for name in names) + f"; {os.cpu_count()} processors")
    of_k_center(chosen.rows, chosen.picks)
    of_facility_location(chosen.rows, chosen.picks)
    of_project(chosen.rows)
    if not chosen.skip_curves:
        of_curves(Path(os.environ.get("EAW_SHARED_DATA", ROOT.parent / "shared/data")))


if __name__ == "__main__":
    main()
