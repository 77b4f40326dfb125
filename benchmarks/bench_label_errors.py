"""Label errors against cleanlab: speed on 1,000,000 x 10 probabilities, errors that people confirmed, planted errors.

    python benchmarks/bench_label_errors.py [--rows 1000000] [--seeds 5]

Goals: ranking and flagged set not slower than cleanlab's (one job, and its default); AUROC and average precision on the
reviewed MNIST labels at least those of every method of `get_label_quality_scores`; precision at the number of flipped
labels of CIFAR-10 at least that of `find_label_issues`; every kind of planted fault in BCCD found with an average
precision of at least 0.8. Intervals are those of 2,000 bootstrap samples of the 100 reviewed labels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score, roc_auc_score

import encord_active_widgets as ea
from encord_active_widgets.learning.label_quality import COMBINED, METHODS, NEIGHBOURS, label_quality

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.learning.conftest import flipped  # noqa: E402
from tests.learning.planted import FAULTS, plant, read, scores_by_kind  # noqa: E402

CLEANLAB = [
    ("self_confidence", False), ("self_confidence", True), ("normalized_margin", False), ("normalized_margin", True),
    ("confidence_weighted_entropy", False),
]  # fmt: skip
RESAMPLES = 2_000


def best(work: Callable[[], object], times: int = 3) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def speed(n: int) -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.full(10, 0.1), n)
    codes = (table.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(0, 9)
    ranked = {"return_indices_ranked_by": "self_confidence"}

    def theirs(**options: object) -> None:
        np.argsort(get_label_quality_scores(codes, table, method="self_confidence"), kind="stable")
        find_label_issues(codes, table, **options)

    print(f"{n:,} x 10 probabilities: scores of all rows, their order, and the flagged set")
    one, usual = best(lambda: theirs(n_jobs=1, **ranked)), best(lambda: theirs(**ranked))
    print(f"  cleanlab, one job {one:.2f} s; its default {usual:.2f} s")
    for method in METHODS:
        if method != NEIGHBOURS:
            ours = best(lambda m=method: label_quality(codes, table, method=m))
            print(f"  {method:<28} {ours:.2f} s, {one / ours:.1f} and {usual / ours:.1f} times faster (goal >= 1)")


def rankings(codes: np.ndarray, table: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for method in METHODS:
        if method not in (NEIGHBOURS, "confident_learning"):
            yield f"ours, {method}", 1 - label_quality(codes, table, method=method).quality
    for method, adjusted in CLEANLAB:
        scores = get_label_quality_scores(codes, table, method=method, adjust_pred_probs=adjusted)
        yield f"cleanlab, {method}{', adjusted' if adjusted else ''}", -scores


def mnist(folder: Path) -> None:
    codes = np.load(folder / "mnist_test_set_original_labels.npy")
    table = np.load(folder / "mnist_test_set_pyx.npy")
    reviewed = json.loads((folder / "mnist_mturk.json").read_text())
    rows = np.array([r["id"] for r in reviewed])
    wrong = np.array([r["mturk"]["given"] < 3 for r in reviewed])
    rng = np.random.default_rng(0)
    samples = [s for s in rng.integers(0, rows.size, (RESAMPLES, rows.size)) if 0 < wrong[s].sum() < rows.size]
    print(f"\nMNIST, {rows.size} labels reviewed by five people, {wrong.sum()} errors")
    found = {name: scores[rows] for name, scores in rankings(codes, table)}
    for name, scores in found.items():
        cells = []
        for measure in (roc_auc_score, average_precision_score):
            low, high = np.quantile([measure(wrong[s], scores[s]) for s in samples], (0.025, 0.975))
            cells.append(f"{measure(wrong, scores):.3f} ({low:.2f} to {high:.2f})")
        print(f"  {name:<44} AUROC {cells[0]}, AP {cells[1]}")


def cifar(folder: Path, seeds: int) -> None:
    truth = np.load(folder / "cifar10_test_set_original_labels.npy")
    table = np.load(folder / "cifar10_test_set_pyx.npy")
    print(f"\nCIFAR-10 test set with flipped labels, mean of {seeds} seeds: AP; precision at the number flipped")
    for how in ("uniform", "classes", "pairs"):
        for share in (0.02, 0.05, 0.2):
            ap: dict[str, list[float]] = {}
            at_n: dict[str, list[float]] = {}
            sets = []
            for seed in range(seeds):
                codes = flipped(truth, share, seed, how)
                wrong = codes != truth
                for name, scores in rankings(codes, table):
                    ap.setdefault(name, []).append(average_precision_score(wrong, scores))
                    chosen = np.argsort(-scores, kind="stable")[: wrong.sum()]
                    at_n.setdefault(name, []).append(wrong[chosen].mean())
                found, theirs = label_quality(codes, table), find_label_issues(codes, table, n_jobs=1)
                half = found.quality < 0.5
                sets.append(
                    [
                        wrong[theirs].mean(), wrong[found.order[: theirs.sum()]].mean(), wrong[found.likely].mean(),
                        wrong[half].mean(), (wrong & half).sum() / wrong.sum(),
                    ]
                )  # fmt: skip
            ours = f"ours, {COMBINED}"
            peer = max((n for n in ap if n.startswith("cleanlab")), key=lambda n: np.mean(ap[n]))
            issues, equal, likely, half, recall = np.mean(sets, axis=0)
            print(
                f"  {how:<8} {share:.0%}: {np.mean(ap[ours]):.4f}; {np.mean(at_n[ours]):.3f}, the best of cleanlab "
                f"({peer.removeprefix('cleanlab, ')}) {np.mean(ap[peer]):.4f}; {np.mean(at_n[peer]):.3f}. "
                f"find_label_issues {issues:.3f}, as many of ours {equal:.3f}; ours likely {likely:.3f}; "
                f"score > 0.5 {half:.3f} (recall {recall:.3f})"
            )


def bccd(folder: Path, seeds: int) -> None:
    truth = read(folder / "annotations.json")
    print(f"\nBCCD, a tenth of the boxes with each fault, {seeds} seeds: average precision")
    table = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as home:
            planted = plant(truth, seed)
            (Path(home) / "labels.json").write_text(json.dumps(planted.coco))
            (Path(home) / "results.json").write_text(json.dumps(planted.results))
            p = ea.Project.from_coco(Path(home) / "labels.json", folder / "images", Path(home) / "p.eaw", read=False)
            p.add_predictions("model", Path(home) / "results.json")
            number = pl.col("extra").str.json_path_match("$.id").cast(pl.Int64)
            ids = dict(p.objects.df.select("label_id", number).iter_rows())
            table.append(scores_by_kind(planted, p.label_errors("model").df, ids))
    for kind in FAULTS:
        values = [row[kind] for row in table]
        print(f"  {kind:<10} {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f}; goal >= 0.8)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    speed(chosen.rows)
    data = Path(os.environ.get("EAW_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not (data / "label_errors").is_dir():
        print(f"no real labels at {data}: the tables of MNIST, CIFAR-10 and BCCD are left out")
        return
    mnist(data / "label_errors")
    cifar(data / "label_errors", chosen.seeds)
    bccd(data / "bccd", chosen.seeds)


if __name__ == "__main__":
    main()
