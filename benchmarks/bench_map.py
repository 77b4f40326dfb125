"""The map of 60,000 real descriptors against umap-learn, each in a fresh process on the same array.

Prints wall and CPU seconds, their ratio, and the trustworthiness of both maps. The goal: at most half the
wall time, trustworthiness within 0.005. Then the first map of 2,000 items, with the caches of compiled code
cold (an empty NUMBA_CACHE_DIR) and warm: under 20 s.

    python benchmarks/bench_map.py [--data DIR] [--rows 60000] [--skip-peer]

Data: `cifar10_test` (six seeded crops and flips of each image, described by the built-in descriptor) where
`--data` or EAW_SHARED_DATA or ../shared/data has it, else the digits of scikit-learn, jittered; it says which.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
COPIES = 6
PAD_PX = 4
TRUST_ROWS = 5_000
TRUST_NEIGHBOURS = 15
FIRST_MAP_ROWS = 2_000
GOAL_RATIO = 0.5
GOAL_TRUST = 0.005
GOAL_FIRST_S = 20.0

OURS = """
import json, os, sys, time
begin = time.perf_counter()
import numpy as np
vectors = np.load(sys.argv[1])
from encord_active_widgets.embeddings.index import NeighbourIndex
from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.embeddings.layout import umap_layout, warm_up
marks = {"start": time.perf_counter() - begin}
def mark(name, since):
    marks[name] = time.perf_counter() - since
    return time.perf_counter()
at = time.perf_counter()
warming = warm_up()
index = NeighbourIndex.build(vectors)
at = mark("index", at)
graph = knn_graph(vectors, 15, index)
at = mark("graph", at)
positions = umap_layout(vectors, graph, seed=0)
mark("layout", at)
np.save(sys.argv[2], positions)
t = os.times()
print(json.dumps({"wall": time.perf_counter() - begin, "cpu": t.user + t.system, "parts": marks, "index": index.kind}))
"""

PEER = """
import json, os, sys, time
begin = time.perf_counter()
import numpy as np
vectors = np.load(sys.argv[1])
import umap
positions = umap.UMAP().fit_transform(vectors)
np.save(sys.argv[2], positions)
t = os.times()
print(json.dumps({"wall": time.perf_counter() - begin, "cpu": t.user + t.system}))
"""


def fresh(code: str, *arguments: str, cache: str | None = None) -> dict:
    """Run code in a new interpreter and return what it prints as JSON; `cache` is where numba keeps code."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = cache
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def descriptors(data: Path, rows: int) -> tuple[np.ndarray, str]:
    """Return `rows` real descriptors and where they come from."""
    files = sorted((data / "cifar10_test").glob("*/*.jpg"))
    rng = np.random.default_rng(0)
    if not files:
        from sklearn.datasets import load_digits

        digits = load_digits().data.astype(np.float32)
        chosen = digits[rng.integers(0, len(digits), rows)]
        return chosen + rng.normal(0, 1.0, chosen.shape).astype(np.float32), "scikit-learn digits with noise"
    from encord_active_widgets.images.decode import decode
    from encord_active_widgets.metrics.pixels import measure

    copies = -(-rows // len(files))
    found = []
    for file in files:
        padded = np.pad(decode(file.read_bytes()), ((PAD_PX, PAD_PX), (PAD_PX, PAD_PX), (0, 0)), mode="reflect")
        side = padded.shape[0] - 2 * PAD_PX
        for _ in range(copies):
            top, left = rng.integers(0, 2 * PAD_PX + 1, 2)
            tile = padded[top : top + side, left : left + side]
            tile = tile[:, ::-1] if rng.random() < 0.5 else tile
            found.append(measure(np.ascontiguousarray(tile), thumbnail=False).vector.copy())
    mixed = np.random.default_rng(1).permutation(len(found))[:rows]
    return np.stack(found)[mixed], f"cifar10_test, {copies} crops and flips of each of {len(files):,} images"


def trust(vectors: np.ndarray, positions: np.ndarray) -> float:
    """Return trustworthiness on a fixed sample."""
    from sklearn.manifold import trustworthiness

    sample = np.random.default_rng(0).choice(len(vectors), min(TRUST_ROWS, len(vectors)), replace=False)
    return float(trustworthiness(vectors[sample], positions[sample], n_neighbors=TRUST_NEIGHBOURS))


def line(name: str, done: dict, quality: float | None = None) -> None:
    """Print one measured run."""
    parts = " ".join(f"{k} {v:.1f}" for k, v in done.get("parts", {}).items())
    text = f"{name:34s} wall {done['wall']:7.1f} s   cpu {done['cpu']:7.1f} s"
    print(text + (f"   trust {quality:.4f}" if quality is not None else "") + (f"   [{parts}]" if parts else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("EAW_SHARED_DATA", ROOT.parent / "shared/data"))
    )
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--skip-peer", action="store_true", help="do not run umap-learn")
    chosen = parser.parse_args()
    names = ("numpy", "numba", "hnswlib", "umap-learn", "pynndescent", "scikit-learn")
    print("versions: " + ", ".join(f"{name} {version(name)}" for name in names) + f"; {os.cpu_count()} processors")
    vectors, source = descriptors(chosen.data, chosen.rows)
    print(f"data: {source}: {vectors.shape[0]:,} x {vectors.shape[1]}")
    with tempfile.TemporaryDirectory() as folder:
        array, map_, peer_map = (f"{folder}/{name}.npy" for name in ("vectors", "ours", "peer"))
        np.save(array, vectors)
        cold = fresh(OURS, array, map_, cache=f"{folder}/cold")
        quality = trust(vectors, np.load(map_))
        line("ours, compiled code not cached", cold, quality)
        warm = fresh(OURS, array, map_, cache=f"{folder}/cold")
        line("ours, compiled code cached", warm, trust(vectors, np.load(map_)))
        if not chosen.skip_peer:
            peer = fresh(PEER, array, peer_map)
            peer_quality = trust(vectors, np.load(peer_map))
            line("umap-learn defaults", peer, peer_quality)
            for name, done in (("not cached", cold), ("cached", warm)):
                print(
                    f"ratio, {name}: wall {done['wall'] / peer['wall']:.3f}, cpu {done['cpu'] / peer['cpu']:.3f} "
                    f"(goal: wall at most {GOAL_RATIO}); trustworthiness {quality - peer_quality:+.4f} "
                    f"(goal: not below -{GOAL_TRUST})"
                )
        np.save(array, vectors[:FIRST_MAP_ROWS])
        for name, cache in (("cold", f"{folder}/first"), ("warm", f"{folder}/first")):
            first = fresh(OURS, array, map_, cache=cache)
            line(
                f"first map of {FIRST_MAP_ROWS:,}, {name} caches", first, trust(vectors[:FIRST_MAP_ROWS], np.load(map_))
            )
            print(f"  goal: under {GOAL_FIRST_S:.0f} s: {'met' if first['wall'] < GOAL_FIRST_S else 'MISSED'}")


if __name__ == "__main__":
    main()
