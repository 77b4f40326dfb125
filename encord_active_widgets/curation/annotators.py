"""Who drew the labels, how long it took, and how far others agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from ..computing.label_stage import QUALITY
from ..errors import InputError
from ..schema import CLASS_NAME, ITEM_ID, LABEL

if TYPE_CHECKING:
    from ..project import Project

_SECONDS_AN_HOUR = 3600.0
SCHEMA = {
    "annotator": pl.String, "labels": pl.Int64, "items": pl.Int64, "classes": pl.Int64,
    "seconds_total": pl.Float64, "seconds_median": pl.Float64, "labels_per_hour": pl.Float64,
    "class_quality": pl.Float64, "duplicates": pl.Int64,
}  # fmt: skip


def annotators(project: Project, labels: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return one row an annotator, the busiest first; of all labels, or of these.

    Returns
    -------
    pl.DataFrame
        `annotator`, `labels`, `items`, `classes` (how many of each), `seconds_total` and
        `seconds_median` (time a label took, where the source says it), `labels_per_hour`,
        `class_quality` (mean over their labels: how far neighbours have the same class, 0 to 1),
        `duplicates` (labels that lie on another of the same class). Null where it is unknown.

    Raises
    ------
    InputError
        The labels do not say who drew them.
    """
    frame = project._level(LABEL).alive_frame() if labels is None else labels
    if "annotator" not in frame.columns or frame["annotator"].null_count() == frame.height:
        raise InputError(
            "The labels do not say who drew them.",
            'Give a column "annotator" (and "seconds") with from_frame or add_labels.',
        )

    def have(name: str, dtype: type[pl.DataType]) -> pl.Expr:
        return pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype)

    rows = frame.with_columns(
        have("seconds", pl.Float64).alias("seconds"),
        have(QUALITY, pl.Float64).alias(QUALITY),
        have("duplicate_group", pl.Int64).alias("duplicate_group"),
    ).drop_nulls("annotator")
    timed = pl.col("seconds").is_not_null()
    table = rows.group_by("annotator").agg(
        pl.len().cast(pl.Int64).alias("labels"),
        pl.col(ITEM_ID).n_unique().cast(pl.Int64).alias("items"),
        pl.col(CLASS_NAME).n_unique().cast(pl.Int64).alias("classes"),
        pl.when(timed.any()).then(pl.col("seconds").sum()).alias("seconds_total"),
        pl.col("seconds").median().alias("seconds_median"),
        pl.when(pl.col("seconds").sum() > 0)
        .then(timed.sum() / pl.col("seconds").sum() * _SECONDS_AN_HOUR)
        .alias("labels_per_hour"),
        pl.col(QUALITY).mean(),
        pl.col("duplicate_group").is_not_null().sum().cast(pl.Int64).alias("duplicates"),
    )
    return table.select(pl.col(c).cast(t) for c, t in SCHEMA.items()).sort(
        ["labels", "annotator"], descending=[True, False]
    )
