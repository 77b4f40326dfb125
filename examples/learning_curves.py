"""Learning curves of acquisition strategies, for `active_learning.ipynb` and `benchmarks/bench_acquire.py`.

A model is trained on the labels so far, `rank` (what `p.acquire` calls) chooses the next images from arrays, an oracle
labels them, and so on: rounds x seeds for every strategy, each seed with its own split and its own first labels, the
same for all strategies. So differences to random are paired by seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.learning.acquisition import UNSURE, Pool, rank, weights_of
from encord_active_widgets.learning.uncertainty import UNCERTAINTIES

STRATEGIES: dict[str, str | dict[str, float]] = {
    "random": "random",
    "entropy": "entropy",
    "least confidence": "least_confidence",
    "margin": "margin",
    "variance": "variance",
    "k-center": "k_center",
    "coverage": "coverage",
    "typicality": "typicality",
    "cluster balance": "cluster_balance",
    "entropy + coverage": {"entropy": 0.5, "coverage": 0.5},
    "margin + coverage": {"margin": 0.5, "coverage": 0.5},
}
T_95 = {3: 4.303, 4: 3.182, 5: 2.776, 8: 2.365, 10: 2.262}
"""Student's t for intervals of 95 %, by the number of seeds."""


def classifier() -> LogisticRegression:
    """A logistic regression, quick to train on a few hundred images."""
    return LogisticRegression(max_iter=200, tol=1e-3)


def components(vectors: np.ndarray, count: int = 64) -> np.ndarray:
    """Return the first principal components, of one overall spread: features that `classifier` learns quickly."""
    centred = vectors - vectors.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]
    found = centred @ axes
    return found / found.std() * 0.6


def curves(
    features: np.ndarray,
    vectors: np.ndarray,
    classes: np.ndarray,
    *,
    train: int,
    test: int,
    batch: int,
    rounds: int = 15,
    seeds: int = 5,
    strategies: Mapping[str, str | dict[str, float]] = STRATEGIES,
) -> pl.DataFrame:
    """Return `strategy`, `seed`, `labels`, `accuracy`: a row a strategy, seed and round.

    Parameters
    ----------
    features : (n, f) float
        What the model sees.
    vectors : (n, d) float32
        The embedding of the covering strategies.
    classes : (n,) int
        The truth: what the oracle answers.
    train, test : int
        Images to choose from, and images the model is tested on.
    batch : int
        Labels a round; as many are drawn at random to begin with.
    """
    rows = []
    with threadpool_limits(1):  # matrices this small are not worth waking a second thread
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(classes))
            pool, held = order[:train], order[train : train + test]
            graph = knn_graph(vectors[pool])
            for name, strategy in strategies.items():
                weights = weights_of(strategy)
                labelled = np.zeros(train, bool)
                labelled[:batch] = True
                for number in range(rounds):
                    known = pool[labelled]
                    model = classifier().fit(features[known], classes[known])
                    accuracy = model.score(features[held], classes[held])
                    rows.append((name, seed, int(labelled.sum()), accuracy))
                    p = model.predict_proba(features[pool]) if any(w in UNSURE for w in weights) else None
                    scores = {w: UNCERTAINTIES[w].score(p) for w in weights if w in UNSURE}
                    asked = Pool(labelled, scores, vectors[pool], graph, seed=1000 * seed + number)
                    labelled[rank(weights, batch, asked).rows] = True
    names = {"strategy": pl.String, "seed": pl.Int64, "labels": pl.Int64, "accuracy": pl.Float64}
    return pl.DataFrame(rows, schema=names, orient="row")


def against_random(found: pl.DataFrame) -> pl.DataFrame:
    """Return what each strategy gains over random: the mean accuracy of a curve, paired by seed.

    `gain` is the mean difference, `half` half its 95 % interval (Student's t over the seeds), `verdict` is
    "better" or "worse" where the interval leaves 0 out, else "no different".
    """
    area = found.group_by("strategy", "seed", maintain_order=True).agg(pl.col("accuracy").mean())
    base = area.filter(pl.col("strategy") == "random").select("seed", base="accuracy")
    seeds = base.height
    pairs = area.join(base, on="seed").with_columns(gain=pl.col("accuracy") - pl.col("base"))
    table = pairs.group_by("strategy", maintain_order=True).agg(
        pl.col("accuracy").mean().alias("mean accuracy"),
        pl.col("gain").mean(),
        half=pl.col("gain").std() * T_95[seeds] / seeds**0.5,
    )
    verdict = (
        pl.when(pl.col("gain") > pl.col("half"))
        .then(pl.lit("better"))
        .when(pl.col("gain") < -pl.col("half"))
        .then(pl.lit("worse"))
        .otherwise(pl.lit("no different"))
    )
    last = found.filter(pl.col("labels") == pl.col("labels").max()).group_by("strategy").agg(pl.col("accuracy").mean())
    table = table.join(last.rename({"accuracy": "in the end"}), on="strategy", maintain_order="left")
    return (
        table.filter(pl.col("strategy") != "random")
        .with_columns(verdict.alias("verdict"))
        .sort("gain", descending=True)
    )


def bands(found: pl.DataFrame) -> pl.DataFrame:
    """Return the mean curve of every strategy with its 95 % band over the seeds: `mean`, `low`, `high`."""
    seeds = found["seed"].n_unique()
    half = pl.col("accuracy").std() * T_95[seeds] / seeds**0.5
    return found.group_by("strategy", "labels", maintain_order=True).agg(
        mean=pl.col("accuracy").mean(),
        low=pl.col("accuracy").mean() - half,
        high=pl.col("accuracy").mean() + half,
    )


def in_words(table: pl.DataFrame) -> str:
    """Say which strategies beat random and which do not."""
    said = []
    for verdict, words in (
        ("better", "better than random"),
        ("no different", "not told apart from random"),
        ("worse", "worse than random"),
    ):
        rows = table.filter(pl.col("verdict") == verdict)
        names = ", ".join(
            f"{name} ({gain:+.3f} ± {half:.3f})" for name, gain, half in rows["strategy", "gain", "half"].rows()
        )
        said.append(f"{words}: {names or 'none'}")
    return "\n".join(said)


def chart(found: pl.DataFrame, title: str) -> Any:
    """Draw the curve of every strategy beside that of random, with bands of 95 % over the seeds."""
    import altair as alt

    from encord_active_widgets.charts.offline import OfflineChart

    curves_ = bands(found)
    names = [name for name in STRATEGIES if name != "random" and name in curves_["strategy"].unique()]
    parts = []
    for name in names:
        for line in (name, "random"):
            part = curves_.filter(pl.col("strategy") == line).drop("strategy")
            parts.append(
                part.with_columns(panel=pl.lit(name), line=pl.lit("random" if line == "random" else "strategy"))
            )
    colour = alt.Color(
        "line:N", title=None, scale=alt.Scale(domain=["strategy", "random"], range=["#2a8fd1", "#e69f00"])
    )
    base = alt.Chart().encode(x=alt.X("labels:Q", title="labels"), color=colour)
    band = base.mark_area(opacity=0.25).encode(
        y=alt.Y("low:Q", title="accuracy", scale=alt.Scale(zero=False)), y2="high:Q"
    )
    line = base.mark_line().encode(
        y="mean:Q", tooltip=["panel:N", "line:N", "labels:Q", alt.Tooltip("mean:Q", format=".3f")]
    )
    rows = alt.Data(values=pl.concat(parts).to_dicts())
    layers = alt.layer(band, line, data=rows).properties(width=140, height=120)
    panels = layers.facet(facet=alt.Facet("panel:N", title=None, sort=names), columns=5)
    return OfflineChart(panels.properties(title=title))
