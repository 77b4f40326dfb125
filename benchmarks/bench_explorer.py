"""Open an explorer on 1,000,000 synthetic rows: time to the first answer, memory, bytes on the wire."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import make_project

ROWS = 1_000_000
KILO = 1000
_MEGABYTE = 1e6


def _memory_kb(field: str) -> int:
    """Read resident memory (VmRSS) or its peak (VmHWM) of this process, Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def child(path: str) -> None:
    """Open the project, then the explorer; print what it cost as JSON."""
    import encord_active_widgets as ea
    from encord_active_widgets.store.rows import encode_rows

    p = ea.open(path)
    len(p)
    p.items.filter().head(1).df  # noqa: B018 - the project itself is loaded before the clock starts
    import encord_active_widgets.widgets.explorer  # noqa: F401 - imports are measured elsewhere

    before = _memory_kb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    started = time.perf_counter()
    w = p.explore(color="class_name")
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    w._router.dispatch({"v": 1, "id": "b:1", "op": "hello"}, [], lambda c, b: sent.append((c, list(b))))
    first = time.perf_counter() - started
    w._router.dispatch(
        {"v": 1, "id": "b:2", "op": "columns.get", "names": ["class_name"], "enc": "codes8"},
        [],
        lambda c, b: sent.append((c, list(b))),
    )
    w._router.dispatch(
        {"v": 1, "id": "b:3", "op": "embedding.get", "name": "map", "layout": "pca"},
        [],
        lambda c, b: sent.append((c, list(b))),
    )
    wire = sum(len(json.dumps(c)) + sum(len(x) for x in b) for c, b in sent) + len(json.dumps(w._spec))
    after = _memory_kb("VmHWM")
    half = encode_rows(np.flatnonzero(np.random.default_rng(0).random(ROWS) < 0.5))
    print(
        json.dumps({"first_s": first, "extra_mb": (after - before) / KILO, "wire": wire, "selection": len(half.data)})
    )


def main() -> None:
    if len(sys.argv) > 1:
        child(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.eaw"
        p = make_project(path, ROWS)
        p._folder.embedding("map")
        _with_map(p)
        result = json.loads(
            subprocess.run([sys.executable, __file__, str(path)], check=True, capture_output=True, text=True).stdout
        )
    print(
        f"explorer, {ROWS:,} rows: first answer after {result['first_s']:.2f} s (goal 2), "
        f"extra memory {result['extra_mb']:.0f} MB (goal 400)"
    )
    print(
        f"wire: points with a colour column {result['wire'] / _MEGABYTE:.2f} MB (goal 6, jupyter-scatter 16); "
        f"half of them selected {result['selection'] / KILO:.0f} kB (goal 125)"
    )


def _with_map(p: Any) -> None:
    """Give the project a small embedding and a map, as `compute` leaves them."""
    import polars as pl

    from encord_active_widgets.schema import EMBEDDING, KEY, VECTOR

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((ROWS, 2)).astype("<f4")
    raw = vectors.tobytes()
    blobs = [raw[i : i + 8] for i in range(0, len(raw), 8)]
    p._folder.embedding("map").append(pl.DataFrame({KEY: p.items.ids, VECTOR: blobs}, schema=dict(EMBEDDING.columns)))
    chosen = p.embeddings["map"]
    np.save(chosen._folder / "pca.npy", np.asarray(chosen.vectors))


if __name__ == "__main__":
    main()
