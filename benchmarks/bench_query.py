"""Filter by three ranges and a tag, sort, take 200, at 1,000,000 rows x 30 metrics.

Against one hand-written Polars query over a frame with a Boolean column a tag.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from synthetic import make_project

import encord_active_widgets as ea

ROWS = 1_000_000
ROUNDS = 15
TAKE = 200


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        p = make_project(Path(folder) / "p.eaw", ROWS)
        rng = np.random.default_rng(1)
        p.items.at(np.flatnonzero(rng.random(ROWS) < 0.17)).tag("review")
        p.items.at(np.flatnonzero(rng.random(ROWS) < 0.5)).tag("keep")
        ranges = (
            pl.col("brightness").is_between(0.2, 0.9),
            pl.col("contrast").is_between(0.1, 0.9),
            pl.col("sharpness").is_between(0.3, 0.8),
        )
        level = p._snapshot().items
        hand = level.frame.with_columns(
            review=pl.Series(level.edits.tags["review"]), keep=pl.Series(level.edits.tags["keep"])
        )

        def ours() -> pl.DataFrame:
            return p.filter(*ranges, ea.tagged("review")).sort("m00").head(TAKE).df

        def peer() -> pl.DataFrame:
            return hand.lazy().filter(*ranges, pl.col("review")).sort("m00").head(TAKE).collect()

        assert ours()["m00"].equals(peer()["m00"])  # ties may come in another order
        pairs = [(timed(ours), timed(peer)) for _ in range(ROUNDS)]
        mine, theirs = (statistics.median(t) for t in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(
            f"query, {ROWS:,} rows: ours {mine * 1e3:.1f} ms, hand-written Polars {theirs * 1e3:.1f} ms, "
            f"ratio {ratio:.2f} (goal 1.5)"
        )
        tag = timed(lambda: p.items.at(np.arange(100_000)).tag("bulk"))
        undo = timed(p.undo)
        print(f"tag 100,000 rows durably: {tag * 1e3:.0f} ms; undo: {undo * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
