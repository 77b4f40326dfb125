"""A difference as rows that can be looked at: what was added, removed or changed, with how it was and how it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..errors import unknown
from ..schema import (
    AFTER,
    BEFORE,
    CHANGE,
    CLASS_BEFORE,
    CLASS_NAME,
    CLASSIFICATION,
    CONTENT_HASH,
    ITEM,
    ITEM_ID,
    LABEL_ID,
    LABEL_LEVELS,
    OBJECT,
    ORDINAL,
)
from ..store.folder import ProjectFolder
from ..store.snapshots import PastFolder

if TYPE_CHECKING:
    from ..view import View
    from .differing import Difference

NOT_THERE = "not there"
"""What is said of a row on the side where there is none."""
_FAMILY = "difference"
_EDITS = (("retagged", "tags"), ("noted", "notes"), ("reviewed", "reviews"), ("divided anew", "splits"))
_TEXT_OF = {"noted": "note", "reviewed": "review", "divided anew": "split"}
_ON_IMAGES = {"added": "label added", "removed": "label removed"}
"""What an image is called whose labels came or went, and that did not itself."""
_SEPARATOR = "; "
_REMEASURED = "remeasured"
_MOST_METRICS = 3
"""Metrics whose earlier values are shown beside the present ones: those that changed most. More crowd the page."""


def difference_view(d: Difference, level: str, metric: str | None = None) -> View:
    """Return the rows that changed, removed ones included; see `Difference.view`."""
    if level not in (ITEM, *LABEL_LEVELS):
        raise unknown("level", level, (ITEM, *LABEL_LEVELS))
    drifted = _drifted(d, level, metric)
    old, new = d._levels[level].old, d._levels[level].new
    # Rows are never renumbered, so the state that knows more of them can show those of both.
    base, known = (d.before, old) if old.n > new.n else (d.after, new)
    parts = _told_of_images(d) if level == ITEM else _told_of_labels(d, level)
    told = _joined([*parts, _remeasured(d, level, drifted, metric)])
    shown = known.frame.select(ORDINAL, pl.col(known.key).alias("id")).join(
        told, on="id", how="left", maintain_order="left"
    )
    if level == ITEM and CLASS_NAME in old.frame.columns:
        was = old.frame.select(pl.col(ITEM_ID).alias("id"), pl.col(CLASS_NAME).alias(CLASS_BEFORE))
        shown = shown.join(was, on="id", how="left", maintain_order="left")
    for name in drifted:
        values = old.frame.select(pl.col(old.key).alias("id"), pl.col(name).cast(pl.Float32).alias(f"{name}_before"))
        shown = shown.join(values, on="id", how="left", maintain_order="left")
    of = base._folder
    folder = PastFolder(base.path, of.of) if isinstance(of, PastFolder) else ProjectFolder(base.path)
    folder.shown = {(level, _FAMILY): shown.drop("id")}
    for name in {ITEM, level}:
        s = d._levels[name]
        gone = s.was ^ s.is_  # on one side alone, whichever that is
        folder.shown_again[name] = np.flatnonzero(gone[: (s.old if base is d.before else s.new).n])
    project = type(base)(folder)
    project._card = {**project._card, "name": f"{d._project.name}: {d.names[0]} → {d.names[1]}"}
    views = {ITEM: project.items, OBJECT: project.objects, CLASSIFICATION: project.classifications}
    return views[level].filter(pl.col(CHANGE).is_not_null())


def _drifted(d: Difference, level: str, metric: str | None) -> list[str]:
    """Return the metrics of a level whose values of the same rows changed, the largest changes first.

    A change is measured in standard deviations that the metric had, so that metrics of any unit can be compared.
    """
    s = d._levels[level]
    names = [m for m in dict.fromkeys([*s.old.metrics, *s.new.metrics]) if _is_number(s, m)]
    if metric is not None and metric not in names:
        raise unknown(f"metric of {level}s", metric, names)
    changes: dict[str, float] = {}
    for name in (n for n in names if n in s.old.frame.columns and n in s.new.frame.columns):
        rows = np.flatnonzero(s.differs(name))
        if rows.size:
            by = (s.after(name, rows).cast(pl.Float64) - s.before(name, rows).cast(pl.Float64)).abs().fill_nan(None)
            spread = s.old.frame[name].cast(pl.Float64).fill_nan(None).std()
            changes[name] = float(by.sum()) / (spread if isinstance(spread, float) and spread > 0 else 1.0)
    first = [metric] if metric in changes else []
    return [n for n in dict.fromkeys([*first, *sorted(changes, key=lambda n: -changes[n])]) if n][:_MOST_METRICS]


def _is_number(s: Any, name: str) -> bool:
    types = [f.frame.schema[name] for f in (s.old, s.new) if name in f.frame.columns]
    return all(t.is_numeric() or t == pl.Boolean for t in types)


def _remeasured(d: Difference, level: str, drifted: list[str], metric: str | None) -> pl.DataFrame:
    """Say of rows how a metric was and is: of all where it is named, else of images with another content."""
    s = d._levels[level]
    frames = [pl.DataFrame(schema={"id": pl.String, CHANGE: pl.String, BEFORE: pl.String, AFTER: pl.String})]
    other = s.differs(CONTENT_HASH) if level == ITEM else np.zeros(s.was.size, np.bool_)
    for name in [metric] if metric is not None else drifted:
        rows = np.flatnonzero(s.differs(name) if metric is not None else s.differs(name) & other)
        said = [
            pl.when(pl.col(side).is_not_null()).then(pl.format(f"{name} {{}}", pl.col(side).round_sig_figs(3)))
            for side in ("was", "is")
        ]
        values = pl.DataFrame({
            "id": s.either(s.old.key, rows),
            "was": s.before(name, rows).cast(pl.Float64),
            "is": s.after(name, rows).cast(pl.Float64),
        })  # fmt: skip
        word = pl.when(pl.Series(other[rows])).then(pl.lit(None, pl.String)).otherwise(pl.lit(_REMEASURED))
        frames.append(values.select("id", word.alias(CHANGE), said[0].alias(BEFORE), said[1].alias(AFTER)))
    return pl.concat(frames)


def _told_of_images(d: Difference) -> list[pl.DataFrame]:
    """Say of each image that changed, or that carries what changed, how it was and is: `id`, three texts."""
    items = d.items.select(
        pl.col(ITEM_ID).alias("id"),
        CHANGE,
        pl.when(pl.col(CHANGE) == "added").then(pl.lit(NOT_THERE)).when(pl.col(CHANGE) == "renamed")
        .then("uri_before").alias(BEFORE),
        pl.when(pl.col(CHANGE) == "removed").then(pl.lit(NOT_THERE)).when(pl.col(CHANGE) == "renamed")
        .then("uri").alias(AFTER),
    )  # fmt: skip
    alone = items.filter(pl.col(CHANGE).is_in(["added", "removed"]))["id"].implode()
    labels = d.labels.filter(~pl.col(ITEM_ID).is_in(alone))
    words = labels.select(pl.col(ITEM_ID).alias("id"), pl.col(CHANGE).replace(_ON_IMAGES))
    edits = [_edited(getattr(d, part), word, pl.col(ITEM_ID), alone) for word, part in _EDITS]
    return [items, _counted(labels), words, *edits]


def _told_of_labels(d: Difference, level: str) -> list[pl.DataFrame]:
    mine = pl.col("level") == level
    labels = d.labels.filter(mine).select(
        pl.col(LABEL_ID).alias("id"),
        CHANGE,
        pl.when(pl.col(CHANGE) == "added").then(pl.lit(NOT_THERE)).otherwise("before").alias(BEFORE),
        pl.when(pl.col(CHANGE) == "removed").then(pl.lit(NOT_THERE)).otherwise("after").alias(AFTER),
    )
    alone = labels.filter(pl.col(CHANGE).is_in(["added", "removed"]))["id"].implode()
    edits = [_edited(getattr(d, part).filter(mine), word, pl.col("id"), alone) for word, part in _EDITS]
    return [labels, *edits]


def _counted(labels: pl.DataFrame) -> pl.DataFrame:
    """Say which classes labels had and have, image by image: "2 × RBC, WBC"."""
    sides = []
    for side in ("before", "after"):
        counts = labels.drop_nulls(side).group_by(ITEM_ID, side, maintain_order=True).agg(pl.len().alias("n"))
        word = pl.when(pl.col("n") > 1).then(pl.format("{} × {}", "n", side)).otherwise(side)
        told = counts.sort(ITEM_ID, side).group_by(ITEM_ID, maintain_order=True).agg(word.str.join(", ").alias(side))
        sides.append(told)
    both = sides[0].join(sides[1], on=ITEM_ID, how="full", coalesce=True)
    return both.select(
        pl.col(ITEM_ID).alias("id"), pl.lit(None, pl.String).alias(CHANGE), pl.col("before").alias(BEFORE),
        pl.col("after").alias(AFTER),
    )  # fmt: skip


def _edited(frame: pl.DataFrame, word: str, key: pl.Expr, alone: pl.Series) -> pl.DataFrame:
    """Say what edits of one kind changed: tags that went and came, else the texts; of new or lost rows just that."""
    if word == "retagged":
        sides: list[pl.Expr] = [
            pl.when(pl.col(c).list.len() > 0).then(pl.format("tags {}", pl.col(c).list.join(", ")))
            for c in ("removed", "added")
        ]
    else:
        sides = [pl.format(f"{_TEXT_OF[word]} {{}}", pl.col(c)) for c in ("before", "after")]
    said = pl.when(~key.is_in(alone)).then(pl.lit(word)).alias(CHANGE)
    return frame.select(key.alias("id"), said, sides[0].alias(BEFORE), sides[1].alias(AFTER))


def _joined(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Put what was said of one row together."""
    rows = pl.concat(parts, how="diagonal").group_by("id", maintain_order=True)
    words = [pl.col(c).drop_nulls().unique(maintain_order=True) for c in (CHANGE, BEFORE, AFTER)]
    joined = rows.agg(words[0].sort(), words[1], words[2])
    return joined.select(
        "id",
        pl.col(CHANGE).list.join(", "),
        *(
            pl.when(pl.col(c).list.len() > 0).then(pl.col(c).list.join(_SEPARATOR)).alias(c)
            for c in (BEFORE, AFTER)
        ),
    )  # fmt: skip
