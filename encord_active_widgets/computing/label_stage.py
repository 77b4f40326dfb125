"""Metrics of labels: geometry, overlaps, shapes, tracks, and how far neighbours agree with their classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.frames import OBJECT_COUNT
from ..content.levels import Level
from ..content.values import is_fresh, replace_if_stale
from ..schema import (
    CLASS_NAME,
    CLASSIFICATION,
    DUPLICATE_GROUP,
    FRAME,
    GEOMETRY,
    GROUP,
    ITEM,
    ITEM_ID,
    OBJECT,
    ORDINAL,
    prediction_level,
)  # fmt: skip
from .jobs import Job
from .pixel_stage import column

if TYPE_CHECKING:
    from ..project import Project
    from .embedding_set import EmbeddingSet
    from .vectors import EmbeddingSets

VERSION = 1
"""Of the definitions below: stored values of another one are computed again."""
QUALITY = "class_quality"
_STEPS = 4


def geometry(project: Project, job: Job) -> None:
    """Compute what follows from the labels alone, unless they are the same as last time."""
    snapshot = project._snapshot()
    level = snapshot.levels[OBJECT]
    if level.n == 0:
        return
    key = _fingerprint(level, snapshot.items)
    if is_fresh(project, ITEM, "labels", key):
        return
    job.enter("labels", _STEPS)
    rows = level.alive_rows()
    assert level.item_rows is not None
    of_item = level.item_rows.gather(rows)
    sizes = snapshot.items.frame.select("width", "height")
    frame = level.frame[rows].with_columns(
        of_item.alias("item"),
        sizes["width"].gather(of_item).cast(pl.Float64).alias("width"),
        sizes["height"].gather(of_item).cast(pl.Float64).alias("height"),
    )
    families: list[tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]] = [
        ("geometry", _geometry),
        ("overlap", _overlap),
        ("shape", _shape),
    ]
    values = pl.DataFrame({ORDINAL: rows})
    for step, (family, measure) in enumerate(families):
        found = values.hstack(measure(frame))
        replace_if_stale(project, OBJECT, family, key, found)
        frame = frame.with_columns(found[c] for c in found.columns if c == "area")
        job.reach(step + 1, _STEPS)
        if job.cancelled.is_set():
            return
    _tracks(project, key, snapshot.items, rows, frame)
    _items(project, key, snapshot.items, frame)
    job.reach(_STEPS, _STEPS)


def is_behind(project: Project) -> bool:
    """Tell whether labels have changed since their metrics were computed."""
    snapshot = project._snapshot()
    level = snapshot.levels[OBJECT]
    if level.n == 0 or "area" not in level.metrics:
        return False
    return not is_fresh(project, ITEM, "labels", _fingerprint(level, snapshot.items))


def predictions(project: Project) -> None:
    """Measure the shapes of every run's predictions, unless they are the same as last time."""
    snapshot = project._snapshot()
    sizes = snapshot.items.frame.select(pl.col("width", "height").cast(pl.Float64))
    for run in snapshot.runs.values():
        level = snapshot.levels[prediction_level(run.name)]
        assert level.item_rows is not None
        if run.kind != "detection" or level.n == 0 or not sizes["width"].drop_nulls().len():
            continue
        sides = int(sizes.hash_rows(seed=0).sum() or 0)
        key = f"{VERSION}-{run.change_id}-{sides:x}"
        if is_fresh(project, run.stored, "overlap", key):
            continue
        frame = level.frame.with_columns(
            level.item_rows.alias("item"),
            sizes["width"].gather(level.item_rows).alias("width"),
            sizes["height"].gather(level.item_rows).alias("height"),
        )
        values = level.frame.select(ORDINAL)
        replace_if_stale(project, run.stored, "geometry", key, values.hstack(_geometry(frame)))
        overlap = _overlap(frame).drop(DUPLICATE_GROUP)
        replace_if_stale(project, run.stored, "overlap", key, values.hstack(overlap))


def _fingerprint(level: Level, items: Level) -> str:
    """Return a number that says which labels there are, on images of which size."""
    plain = [c for c in (*GEOMETRY, CLASS_NAME, "kind", "track_id") if c in level.frame.columns]
    frame = level.frame.select(ITEM_ID, *plain)
    hashes = frame.select(
        *(pl.col(c) for c in frame.columns if not isinstance(frame.schema[c], pl.List)),
        *(
            pl.col(c).list.eval(pl.element()).hash(seed=0)
            for c in frame.columns
            if isinstance(frame.schema[c], pl.List)
        ),
    ).hash_rows(seed=0)
    alive = "" if level.alive is None else f"-{hash(level.alive.tobytes()) & 0xFFFFFFFF:x}"
    context = items.frame.select(c for c in ("width", "height", GROUP, FRAME) if c in items.frame.columns)
    sides = int(context.hash_rows(seed=0).sum() or 0)
    return f"{VERSION}-{level.n}-{int(hashes.sum() or 0):x}{alive}-{items.n}-{sides:x}"


def _geometry(frame: pl.DataFrame) -> pl.DataFrame:
    from ..metrics.geometry import geometry_metrics

    return _stored(geometry_metrics(frame, frame.select("width", "height")))


def _overlap(frame: pl.DataFrame) -> pl.DataFrame:
    from ..metrics.overlap import label_overlaps

    found = label_overlaps(frame.with_columns(_codes(frame[CLASS_NAME]).alias("class_code")))
    return _stored(found).with_columns(found[DUPLICATE_GROUP].cast(pl.Int64))


def _shape(frame: pl.DataFrame) -> pl.DataFrame:
    from ..metrics.shapes import hu_moments, shape_outlier

    values = shape_outlier(hu_moments(frame), _codes(frame[CLASS_NAME]).to_numpy())
    return pl.DataFrame([column("shape_outlier", np.asarray(values))])


def _codes(names: pl.Series) -> pl.Series:
    return names.fill_null("").rank("dense").cast(pl.Int32) - 1


def _stored(frame: pl.DataFrame) -> pl.DataFrame:
    """Store numbers in single precision, and what is no number as missing."""
    floats = [c for c in frame.columns if c != DUPLICATE_GROUP]
    return frame.with_columns(pl.col(floats).cast(pl.Float32).fill_nan(None))


def _tracks(project: Project, key: str, items: Level, rows: NDArray[np.uint32], frame: pl.DataFrame) -> None:
    """Compare objects along the frames of each video."""
    frames = items.frame
    if any(c not in frames.columns or frames[c].null_count() == items.n for c in (GROUP, FRAME)):
        return
    from ..metrics.tracks import sequence_metrics, track_metrics

    context = items.alive_frame().select(ORDINAL, ITEM_ID, GROUP, FRAME)
    wanted = {"track_id": pl.String, "angle": pl.Float64, "area": pl.Float32}
    objects = (
        frame.drop([c for c in (GROUP, FRAME) if c in frame.columns])
        .with_columns(
            pl.Series("row", rows),
            *(pl.lit(None, dtype=t).alias(c) for c, t in wanted.items() if c not in frame.columns),
        )
        .join(context.select(ITEM_ID, GROUP, FRAME), on=ITEM_ID, how="left", maintain_order="left")
        .select("row", ITEM_ID, GROUP, FRAME, CLASS_NAME, "track_id", "x", "y", "w", "h", "angle", "area")
    )
    found = track_metrics(objects, context)
    ordered = pl.DataFrame({"row": rows}).join(found, on="row", how="left", maintain_order="left")
    replace_if_stale(
        project, OBJECT, "tracks", key, _stored(ordered.drop("row")).insert_column(0, pl.Series(ORDINAL, rows))
    )
    missing = context.join(
        sequence_metrics(context.drop(ORDINAL), objects), on=ITEM_ID, how="left", maintain_order="left"
    )
    values = missing.select(ORDINAL, pl.col("missing_objects").cast(pl.Float32))
    replace_if_stale(project, ITEM, "sequences", key, values)


def _items(project: Project, key: str, items: Level, frame: pl.DataFrame) -> None:
    """Compute what the objects say of their images."""
    from ..metrics.overlap import object_density

    sizes = items.frame.select(ORDINAL, "width", "height")
    density = object_density(frame, sizes, frame["item"])
    values = sizes.select(ORDINAL).with_columns(density.fill_nan(None))
    replace_if_stale(project, ITEM, "labels", key, values)


# -- classes and neighbours ---------------------------------------------------------------------


def quality(project: Project, sets: EmbeddingSets, name: str, vectors: EmbeddingSet, job: Job) -> None:
    """Score the class of every row of a set by its neighbours; images by the class they are given."""
    from ..metrics.quality import class_quality

    snapshot = project._snapshot()
    level = snapshot.levels[sets.level]
    if CLASS_NAME not in level.frame.columns or level.frame[CLASS_NAME].null_count() == level.n:
        return
    suffix = sets.suffix(name)
    classes = level.frame[CLASS_NAME]
    key = f"{VERSION}-{vectors.key}-{int(classes.hash(seed=0).sum() or 0):x}"
    family = f"quality{suffix}"
    if is_fresh(project, sets.level, family, key):
        return
    job.enter("class quality", 1)
    present = classes.gather(vectors.rows)
    codes = _codes(present).to_numpy().copy()
    codes[present.is_null().to_numpy()] = -1
    graph = vectors.graph
    scores = class_quality(codes, graph.rows, graph.distances)
    named = f"{QUALITY}{suffix}"
    values = pl.DataFrame({ORDINAL: vectors.rows}).with_columns(column(named, scores))
    replace_if_stale(project, sets.level, family, key, values)
    if sets.level == ITEM:
        _answers(project, snapshot.levels[CLASSIFICATION], values, family, key, named)
    job.reach(1, 1)


def _answers(project: Project, level: Level, values: pl.DataFrame, family: str, key: str, named: str) -> None:
    """Give the classifications of items the score of their item."""
    if level.n == 0 or level.item_rows is None:
        return
    rows = pl.DataFrame({"item": level.item_rows, ORDINAL: level.frame[ORDINAL]})
    found = rows.join(values.rename({ORDINAL: "item"}), on="item", how="left", maintain_order="left")
    replace_if_stale(project, CLASSIFICATION, family, key, found.select(ORDINAL, named))


__all__ = ["OBJECT_COUNT", "QUALITY", "geometry", "quality"]
