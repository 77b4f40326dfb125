"""Measures of images: size of the set, faults of pictures, duplicates, outliers, leakage."""

from __future__ import annotations

import polars as pl

from ..schema import ORDINAL
from .subject import IMAGES, WORST, Found, Subject, measure

_LEAST_SIDE_PX = 256
"""Sharpness of smaller images is another scale; see `p.metrics()`."""


@measure("number of images", "images", at_least=1)
def images(s: Subject) -> Found:
    """Count the images."""
    return Found(float(s.items.height), f"{s.items.height:,} images")


@measure("images that cannot be decoded", IMAGES, at_most=0.0)
def unreadable(s: Subject) -> Found:
    """Images without pixel metrics after they were computed."""
    s.needs("brightness", of=s.items)
    return s.share_of_items(s.items.filter(pl.col("brightness").is_null()), by=ORDINAL)


@measure("rows of the source that were skipped or repaired", "share of images and labels", at_most=0.01)
def problems(s: Subject) -> Found:
    """Rows of `p.problems` beside all rows that were read."""
    n = s.project.problems.height
    total = s.items.height + len(s.project.labels) + n
    return Found(n / total if total else None, f"{n:,} listed in p.problems")


@measure("blurred images", IMAGES, at_most=0.05)
def blurred(s: Subject) -> Found:
    """Images below the threshold of sharpness, small ones left out."""
    s.needs("sharpness", of=s.items)
    large = pl.max_horizontal("width", "height") >= _LEAST_SIDE_PX
    return s.share_of_items(s.items.filter(pl.col("sharpness") < s.at["sharpness"], large), by="sharpness")


@measure("dark images", IMAGES, at_most=0.05)
def dark(s: Subject) -> Found:
    """Images below the threshold of brightness."""
    s.needs("brightness", of=s.items)
    return s.share_of_items(s.items.filter(pl.col("brightness") < s.at["dark"]), by="brightness")


@measure("overexposed images", IMAGES, at_most=0.05)
def overexposed(s: Subject) -> Found:
    """Images above the threshold of brightness."""
    s.needs("brightness", of=s.items)
    faulty = s.items.filter(pl.col("brightness") > s.at["overexposed"])
    return s.share_of_items(faulty, by="brightness", descending=True)


@measure("images that are copies of another and could go", IMAGES, at_most=0.05)
def duplicates(s: Subject) -> Found:
    """All but one of each group of duplicates."""
    if not s.items.height:
        return Found(None, "there are no images")
    spare = s.duplicates.keep("first")
    n, total = len(spare), s.items.height
    groups = f"in {len(s.duplicates):,} groups"
    return Found(n / total, f"{n:,} of {total:,} images, {groups}", s.rows("item", s.duplicates.df.head(WORST)))


@measure("images far from the rest in a quality metric (2.5 interquartile ranges)", IMAGES, at_most=0.1)
def outliers(s: Subject) -> Found:
    """Severe outliers; see `p.outliers()`."""
    s.needs("sharpness", of=s.items)
    if not s.items.height:
        return Found(None, "there are no images")
    severe = s.project.outliers().filter(pl.col("severity") == "severe")
    worst = s.rows("item", severe.head(WORST))
    return Found(severe.height / s.items.height, f"{severe.height:,} of {s.items.height:,} images", worst)


@measure("images that have a duplicate in another split", IMAGES, at_most=0.0)
def leakage(s: Subject) -> Found:
    """Images of groups of duplicates that lie in several splits."""
    from ..curation.duplicates import split_column

    name = split_column(s.items)
    if name is None or s.items[name].drop_nulls().n_unique() < 2:
        return Found(None, "there are no splits (a column split)")
    leaking = s.duplicates.df.filter("leak")
    worst = s.rows("item", leaking.head(WORST))
    return Found(leaking.height / s.items.height, f"{leaking.height:,} of {s.items.height:,} images", worst)
