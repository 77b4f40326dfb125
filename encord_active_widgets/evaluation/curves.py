"""Precision, recall and F1 by confidence, the best confidence, confusion, and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..schema import CLASS_NAME, CONFIDENCE

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

BACKGROUND = "background"
BINS = 10
"""Of confidence, for the calibration: of equal width."""


def curves(codes: I64, confidence: F64, right: Flags, labels_of_class: I64, classes: Sequence[str]) -> pl.DataFrame:
    """Return precision, recall and F1 at every confidence, for each class and for all together.

    Parameters
    ----------
    codes : (p,) int64
        Class of each prediction that counts.
    confidence : (p,) float64
    right : (p,) bool
    labels_of_class : (k,) int64
        How many labels there are to find.
    classes : sequence of str
        Names.

    Returns
    -------
    pl.DataFrame
        `class_name` (null for all classes together), `confidence`, `precision`, `recall`, `f1`: the
        values when every prediction at least so sure counts. One row a distinct confidence, falling.
        Recall and F1 are null where there is no label. F1 = 2 P R / (P + R).
    """
    frame = pl.DataFrame({"code": codes, CONFIDENCE: confidence, "right": right})
    whole = frame.with_columns(pl.lit(-1, dtype=pl.Int64).alias("code"))
    table = pl.concat([whole, frame]).sort("code", CONFIDENCE, descending=[False, True])
    table = table.with_columns(
        pl.col("right").cast(pl.Int64).cum_sum().over("code").alias("tp"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("code").alias("n"),
    )
    last = (pl.col("code") != pl.col("code").shift(-1)) | (pl.col(CONFIDENCE) != pl.col(CONFIDENCE).shift(-1))
    table = table.filter(last.fill_null(value=True))
    names = pl.DataFrame(
        {
            "code": np.arange(-1, len(classes)),
            CLASS_NAME: pl.Series([None, *classes], dtype=pl.String),
            "labels": np.concatenate([[labels_of_class.sum()], labels_of_class]),
        }
    )
    recall = pl.when(pl.col("labels") > 0).then(pl.col("tp") / pl.col("labels"))
    return table.join(names, on="code", how="left", maintain_order="left").select(
        CLASS_NAME, CONFIDENCE, (pl.col("tp") / pl.col("n")).alias("precision"), recall.alias("recall"),
        (pl.when(pl.col("labels") > 0).then(2 * pl.col("tp") / (pl.col("n") + pl.col("labels")))).alias("f1"),
    )  # fmt: skip


def best(table: pl.DataFrame) -> pl.DataFrame:
    """Return the confidence with the highest F1 of each class (null: all together), the lowest of equal ones."""
    known = table.drop_nulls("f1").with_row_index("place")
    top = known.sort(["f1", "place"], descending=[True, True]).unique(CLASS_NAME, keep="first", maintain_order=True)
    return top.sort("place").drop("place")


def confusion_table(rows: I64, columns: I64, n_rows: int, n_columns: int) -> I64:
    """Count pairs: (n_rows, n_columns)."""
    counts = np.bincount(rows * n_columns + columns, minlength=n_rows * n_columns)
    return counts.reshape(n_rows, n_columns).astype(np.int64)


def calibration(confidence: F64, right: Flags, bins: int = BINS) -> tuple[pl.DataFrame, float | None]:
    """Compare how sure a model is with how often it is right.

    Returns
    -------
    frame : pl.DataFrame
        A row a bin of confidence: `bin_low`, `bin_high`, `confidence` (mean), `accuracy`, `count`; the
        means are null in an empty bin.
    ece : float or None
        Expected calibration error, Σ count / n · |accuracy - confidence| (Guo et al. 2017,
        https://arxiv.org/abs/1706.04599), 0 is best; None without predictions.
    """
    edges = np.linspace(0, 1, bins + 1)
    at = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(at, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(at, confidence, minlength=bins) / count
        accuracy = np.bincount(at, right.astype(np.float64), minlength=bins) / count
    n = int(count.sum())
    ece = float(np.nansum(count * np.abs(accuracy - mean)) / n) if n else None
    columns: dict[str, Any] = {
        "bin_low": edges[:-1], "bin_high": edges[1:], CONFIDENCE: mean, "accuracy": accuracy, "count": count,
    }  # fmt: skip
    return pl.DataFrame(columns).with_columns(pl.col(CONFIDENCE, "accuracy").fill_nan(None)), ece


def rates(tp: int, fp: int, fn: int) -> dict[str, float | None]:
    """Return precision, recall, F1 and FN rate = FN / (TP + FN); None where there is nothing to divide by."""
    return {
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
        "F1": 2 * tp / (2 * tp + fp + fn) if tp + fn else None,
        "FN rate": fn / (tp + fn) if tp + fn else None,
    }
