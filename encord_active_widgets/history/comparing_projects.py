"""How two sets of images differ, in numbers: metrics, vectors, classes, sizes, and what they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import CLASS_NAME, CONTENT_HASH, ITEM_ID, ORDINAL

if TYPE_CHECKING:
    from ..computing.embedding_set import EmbeddingSet

F64 = NDArray[np.float64]

MOST_VECTORS = 1_000
"""Of each set, drawn at random: the kernel has a number for each pair."""
LEAST_VECTORS = 5
_MOST_IMAGES = 20_000
"""Of both sets together, for the p-value of classes."""
RELATIVE = frozenset(
    {
        "odd_size", "uniqueness", "typicality", "diversity", "difficulty", "class_quality", "shape_outlier",
    }
)  # fmt: skip
"""Metrics that say how a row lies among the others of its project: with other others the same row has other values."""
_NOT_COMPARED = frozenset({"random", "blur"})
"""Drawn at random; and 1 - sharpness, which would be the same test once more."""
METRICS: dict[str, Any] = {
    "level": pl.String, "metric": pl.String, "n_a": pl.Int64, "n_b": pl.Int64, "median_a": pl.Float64,
    "median_b": pl.Float64, "ks": pl.Float64, "delta": pl.Float64, "p_value": pl.Float64, "p_adjusted": pl.Float64,
    "significant": pl.Boolean,
}  # fmt: skip
CLASSES: dict[str, Any] = {
    CLASS_NAME: pl.String, "count_a": pl.Int64, "count_b": pl.Int64, "share_a": pl.Float64, "share_b": pl.Float64,
    "difference": pl.Float64,
}  # fmt: skip
EMBEDDINGS: dict[str, Any] = {
    "embedding": pl.String, "n_a": pl.Int64, "n_b": pl.Int64, "mmd_squared": pl.Float64, "bandwidth": pl.Float64,
    "p_value": pl.Float64, "own_neighbours": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Numbers:
    """The rows of one level in both sets, and the metrics that both have.

    Attributes
    ----------
    level : str
    a, b : pl.DataFrame
    metrics : sequence of str
        Columns of both.
    """

    level: str
    a: pl.DataFrame
    b: pl.DataFrame
    metrics: Sequence[str]


def shared_metrics(
    a: pl.DataFrame, b: pl.DataFrame, computed: tuple[Sequence[str], Sequence[str]], *, one_project: bool
) -> tuple[list[str], list[str]]:
    """Return the metrics to compare, and those that are left out as they depend on the rest of a project.

    Parameters
    ----------
    a, b : pl.DataFrame
    computed : (sequence of str, sequence of str)
        Metrics of each side.
    one_project : bool
        Both are rows of the same project.
    """
    both = [m for m in computed[0] if m in computed[1] and m not in _NOT_COMPARED]
    both = [m for m in both if all(m in f.columns and _is_number(f[m]) for f in (a, b))]
    if one_project:
        return both, []
    return [m for m in both if m not in RELATIVE], [m for m in both if m in RELATIVE]


def _is_number(values: pl.Series) -> bool:
    return values.dtype.is_numeric() or values.dtype == pl.Boolean


def compared_metrics(levels: Sequence[Numbers], alpha: float) -> pl.DataFrame:
    """Compare each metric by the two-sample Kolmogorov–Smirnov test; the largest difference first.

    p-values are corrected by Benjamini and Hochberg over all metrics of all levels. What has one and the same value
    everywhere is left out: there is nothing to test.
    """
    from ..evaluation.statistics import benjamini_hochberg, ks_2samp
    from ..evaluation.two_samples import cliffs_delta

    rows: list[dict[str, Any]] = []
    for level in levels:
        for metric in level.metrics:
            a, b = finite(level.a[metric]), finite(level.b[metric])
            if not a.size or not b.size or min(a.min(), b.min()) == max(a.max(), b.max()):
                continue
            statistic, p = ks_2samp(a, b)
            rows.append({
                "level": level.level, "metric": metric, "n_a": a.size, "n_b": b.size,
                "median_a": float(np.median(a)), "median_b": float(np.median(b)), "ks": float(statistic[0]),
                "delta": cliffs_delta(a, b), "p_value": float(p[0]),
            })  # fmt: skip
    adjusted = benjamini_hochberg([r["p_value"] for r in rows]).tolist()
    for row, value in zip(rows, adjusted, strict=True):
        row |= {"p_adjusted": value, "significant": value <= alpha}
    return pl.DataFrame(rows, schema=METRICS).sort("ks", "level", "metric", descending=[True, False, False])


def finite(values: pl.Series) -> F64:
    """Return the values that are finite numbers."""
    array: F64 = values.drop_nulls().cast(pl.Float64).to_numpy()
    return array[np.isfinite(array)]


# -- classes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassShift:
    """How the shares of classes differ.

    Attributes
    ----------
    frame : pl.DataFrame
        `class_name`, `count_a`, `count_b`, `share_a`, `share_b`, `difference` (b less a), most changed first.
    distance : float
        Total variation, 0 to 1: the share of labels that would have to change class.
    p_value : float
        By mixing whole images.
    """

    frame: pl.DataFrame
    distance: float
    p_value: float


def compared_classes(a: pl.DataFrame, b: pl.DataFrame, *, seed: int) -> ClassShift | None:
    """Compare the classes of labels, each a row with `item_id` and `class_name`; None where a side has none."""
    from ..evaluation.two_samples import shares_test

    named = [f.select(ITEM_ID, CLASS_NAME).drop_nulls(CLASS_NAME) for f in (a, b)]
    if any(f.is_empty() for f in named):
        return None
    counts = [f[CLASS_NAME].value_counts(name=f"count_{side}") for f, side in zip(named, "ab", strict=True)]
    frame = counts[0].join(counts[1], on=CLASS_NAME, how="full", coalesce=True)
    frame = frame.with_columns(pl.col(f"count_{s}").fill_null(0).cast(pl.Int64) for s in "ab")
    frame = frame.with_columns((pl.col(f"count_{s}") / pl.col(f"count_{s}").sum()).alias(f"share_{s}") for s in "ab")
    frame = frame.with_columns((pl.col("share_b") - pl.col("share_a")).alias("difference"))
    frame = frame.sort(pl.col("difference").abs(), CLASS_NAME, descending=[True, False]).select(
        pl.col(c).cast(t) for c, t in CLASSES.items()
    )
    order = {name: i for i, name in enumerate(frame[CLASS_NAME].to_list())}
    tables = [_counted(f, order) for f in named]
    table = np.concatenate(tables)
    in_b = np.arange(len(table)) >= len(tables[0])
    if len(table) > _MOST_IMAGES:
        kept = np.random.default_rng(seed).choice(len(table), _MOST_IMAGES, replace=False)
        table, in_b = table[kept], in_b[kept]
    _, p = shares_test(table, in_b, seed=seed)
    return ClassShift(frame, float(frame["difference"].abs().sum()) / 2, p)


def _counted(labels: pl.DataFrame, order: Mapping[str, int]) -> F64:
    """Return how many labels of each class are on each image, (images, classes)."""
    images = labels[ITEM_ID].rank("dense").to_numpy().astype(np.int64) - 1
    classes = labels[CLASS_NAME].replace_strict(order, return_dtype=pl.Int64).to_numpy()
    out = np.zeros((int(images.max()) + 1, len(order)))
    np.add.at(out, (images, classes), 1)
    return out


# -- vectors ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EmbeddingShift:
    """How the vectors of two sets differ; rows were drawn at random where a set has many.

    Attributes
    ----------
    name : str
        Of the embedding.
    squared, p_value, bandwidth : float
        Of the maximum mean discrepancy, by permutation.
    own : float
        The share of a row's five nearest that are of its own set: 0.5 = nothing tells the sets apart.
    rows_a, rows_b : ndarray of uint32
        Ordinals of the images that were drawn.
    nearest_a, nearest_b : ndarray of float64
        Cosine distance of each of them to the nearest one of the other set.
    points : ndarray, (n_a + n_b, 2)
        First two principal components of both.
    """

    name: str
    squared: float
    p_value: float
    bandwidth: float
    own: float
    rows_a: NDArray[np.uint32]
    rows_b: NDArray[np.uint32]
    nearest_a: F64
    nearest_b: F64
    points: NDArray[np.float32]

    def row(self) -> dict[str, Any]:
        """Return it as a row of the frame of embeddings."""
        return {
            "embedding": self.name, "n_a": self.rows_a.size, "n_b": self.rows_b.size, "mmd_squared": self.squared,
            "bandwidth": self.bandwidth, "p_value": self.p_value, "own_neighbours": self.own,
        }  # fmt: skip


def compared_embeddings(
    a: EmbeddingSet, b: EmbeddingSet, rows: tuple[NDArray[np.uint32], NDArray[np.uint32]], *, seed: int
) -> EmbeddingShift | None:
    """Compare vectors of length one, as everywhere here: their distances then say what cosine says.

    Parameters
    ----------
    a, b : EmbeddingSet
        With vectors of one length.
    rows : (ndarray of uint32, ndarray of uint32)
        Ordinals of the images to compare.
    seed : int
        Of what is drawn, and of the mixtures.

    Returns
    -------
    EmbeddingShift or None
        None where a side has fewer than five vectors.
    """
    from ..embeddings.layout import pca_layout
    from ..evaluation.two_samples import mmd_test, neighbours_of_own_set

    rng = np.random.default_rng(seed)
    drawn = [_drawn(s, wanted, rng) for s, wanted in zip((a, b), rows, strict=True)]
    if min(len(vectors) for _, vectors in drawn) < LEAST_VECTORS:
        return None
    (rows_a, first), (rows_b, second) = drawn
    found = mmd_test(first, second, seed=seed)
    cosine = 1 - first @ second.T
    return EmbeddingShift(
        a.name, found.squared, found.p_value, found.bandwidth, neighbours_of_own_set(first, second), rows_a, rows_b,
        np.clip(cosine.min(axis=1), 0, None), np.clip(cosine.min(axis=0), 0, None),
        pca_layout(np.concatenate([first, second]).astype(np.float32)),
    )  # fmt: skip


def _drawn(
    vectors: EmbeddingSet, wanted: NDArray[np.uint32], rng: np.random.Generator
) -> tuple[NDArray[np.uint32], F64]:
    """Return some rows and their vectors, of length one; a vector of zeros is none."""
    places = np.flatnonzero(np.isin(vectors.rows, wanted))
    if places.size > MOST_VECTORS:
        places = np.sort(rng.choice(places, MOST_VECTORS, replace=False))
    chosen = np.asarray(vectors.vectors[places], np.float64)
    lengths = np.linalg.norm(chosen, axis=1)
    kept = np.isfinite(lengths) & (lengths > 0)
    # Mixed, so that the first ones are any: the test of neighbours takes as many from each set.
    order = rng.permutation(int(kept.sum()))
    return vectors.rows[places[kept]][order], (chosen[kept] / lengths[kept, None])[order]


# -- images -----------------------------------------------------------------------------------------


def compared_sizes(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Return how often each size in pixels is in both sets: `width`, `height`, `count_a`, … most frequent first."""
    sides = [f.drop_nulls(["width", "height"]) for f in (a, b)]
    counts = [
        f.group_by("width", "height").agg(pl.len().cast(pl.Int64).alias(f"count_{side}"))
        for f, side in zip(sides, "ab", strict=True)
    ]
    frame = counts[0].join(counts[1], on=["width", "height"], how="full", coalesce=True)
    frame = frame.with_columns(pl.col(f"count_{s}").fill_null(0) for s in "ab")
    totals = {s: max(f.height, 1) for s, f in zip("ab", sides, strict=True)}
    frame = frame.with_columns((pl.col(f"count_{s}") / totals[s]).alias(f"share_{s}") for s in "ab")
    return frame.sort(pl.col("share_a") + pl.col("share_b"), "width", "height", descending=[True, False, False])


def in_both(a: pl.DataFrame, b: pl.DataFrame) -> tuple[int, int]:
    """Return how many images of each set are in the other too, byte for byte."""
    if CONTENT_HASH not in a.columns or CONTENT_HASH not in b.columns:
        return 0, 0
    first, second = (
        f.join(other.select(CONTENT_HASH).unique(), on=CONTENT_HASH, how="semi").height for f, other in ((a, b), (b, a))
    )
    return first, second


def farthest(frame: pl.DataFrame, rows: NDArray[np.uint32], nearest: F64, n: int) -> pl.DataFrame:
    """Return the n images that are least like any of the other set, with `distance`."""
    table = pl.DataFrame({ORDINAL: rows, "distance": nearest}, schema_overrides={ORDINAL: frame.schema[ORDINAL]})
    table = table.sort("distance", ORDINAL, descending=[True, False]).head(n)
    return table.join(frame, on=ORDINAL, how="inner", maintain_order="left")
