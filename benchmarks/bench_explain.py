"""What explains failure: 30 metrics of 200,000 rows, made by a seed; CPU seconds against scikit-learn and SciPy.

    python benchmarks/bench_explain.py [--rows 200000] [--metrics 30]

Goal: mutual information at least 5x faster than scikit-learn, for classes and for numbers, with equal results. It also
prints how high noise scores, and where a planted cause ranks.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from scipy import stats
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from encord_active_widgets.evaluation import information
from encord_active_widgets.evaluation import statistics as ours
from encord_active_widgets.evaluation.buckets import buckets

CAUSE = 12


def best(work: Callable[[], object], times: int = 3) -> float:
    """Return the fewest CPU seconds of some runs, after one to compile (other work on the machine counts less)."""
    work()
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def once(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def metrics(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return metrics of several shapes, whether a prediction is right, and its IoU."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, m)).astype(np.float32)
    x[:, 1::4] = np.exp(x[:, 1::4])
    x[:, 2::4] = np.where(rng.random((n, len(range(2, m, 4)))) < 0.5, 0, x[:, 2::4])
    cause = x[:, min(CAUSE, m - 1)].astype(np.float64)
    iou = 1 / (1 + np.exp(-1 - cause - rng.normal(size=n)))
    return x, rng.random(n) < iou, iou


def of_information(x: np.ndarray, right: np.ndarray, iou: np.ndarray) -> None:
    n, m = x.shape
    state = np.random.RandomState(0)
    noise = np.c_[state.standard_normal((n, m)), state.standard_normal(n)]
    peers = (("classes", right, mutual_info_classif), ("numbers", iou, mutual_info_regression))
    for name, outcome, peer in peers:
        mine = best(lambda y=outcome: information.mutual_information(x, y))
        theirs, wanted = once(lambda y=outcome, f=peer: f(x, y, random_state=0))
        gap = np.abs(information.mutual_information(x, outcome, noise=noise) - wanted).max()
        print(f"information, {name:9s} {mine:7.3f} s   scikit-learn {theirs:6.2f} s   {theirs / mine:5.1f}x  (goal 5x)")
        print(f"{'':22s}greatest difference {gap:.1e} nats")


def of_tests(x: np.ndarray, right: np.ndarray) -> None:
    m = x.shape[1]
    mine = best(lambda: ours.rank_correlation(x, right))
    theirs, _ = once(lambda: np.array([stats.spearmanr(x[:, j], right).statistic for j in range(m)]))
    print(f"rank correlation       {mine:7.3f} s   SciPy        {theirs:6.2f} s   {theirs / mine:5.1f}x")
    mine = best(lambda: ours.ks_2samp(x[right], x[~right]))
    theirs, _ = once(lambda: stats.ks_2samp(x[right], x[~right], method="asymp").statistic)
    print(f"Kolmogorov–Smirnov     {mine:7.3f} s   SciPy        {theirs:6.2f} s   {theirs / mine:5.1f}x")


def of_scores(x: np.ndarray, right: np.ndarray, iou: np.ndarray) -> None:
    cause = min(CAUSE, x.shape[1] - 1)
    for name, outcome in (("classes", right), ("numbers", iou)):
        took, found = once(lambda y=outcome: information.association(x, y))
        noise = np.delete(found.score, cause)
        rank = int((found.score > found.score[cause]).sum()) + 1
        print(
            f"association, {name:9s} {took:7.3f} s   cause ranks {rank} with {found.score[cause]:.3f}, "
            f"noise at most {noise.max():.4f}, mean {noise.mean():.5f}"
        )
    print(f"buckets, one metric    {best(lambda: buckets(x[:, 0], right)):7.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--metrics", type=int, default=30)
    chosen = parser.parse_args()
    names = ("numpy", "numba", "scikit-learn", "scipy")
    print("versions: " + ", ".join(f"{name} {version(name)}" for name in names) + f"; {os.cpu_count()} processors")
    x, right, iou = metrics(chosen.rows, chosen.metrics)
    print(f"data: {chosen.metrics} metrics of {chosen.rows:,} rows (float32), {1 - right.mean():.0%} failures, seed 0")
    of_information(x, right, iou)
    of_tests(x, right)
    of_scores(x, right, iou)


if __name__ == "__main__":
    main()
