"""Everything that needs pixels: each image is decoded once, for itself and for the objects on it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .. import schema
from ..content.frames import VERSION_OF, newest_values
from ..metrics import registry
from ..schema import CONTENT_HASH, KEY, OBJECT, ORDINAL, PHASH, URI, VECTOR, prediction_level
from ..store.folder import resolve_address
from .embedding_set import DESCRIPTOR
from .jobs import Job

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..metrics.engine import PixelBatch
    from ..project import Project

PIXEL_STAGE_VERSION = 1
CROPS = "crops"
_STAGE = "compute"
_OBJECTS = "objects"


def run(project: Project, custom: Sequence[registry.MetricSpec], executor: Executor | None, job: Job) -> None:
    """Decode what has no values yet; then, apart, what lacks only a custom metric or the values of its objects."""
    from ..metrics import engine

    have = newest_values(project._folder.pixels.read())
    done = have.filter(pl.col("computed") == PIXEL_STAGE_VERSION)
    crops = _missing_crops(project)
    fresh = _todo(project, done)
    rest = _todo(project, done.clear()).join(fresh, on=CONTENT_HASH, how="anti", maintain_order="left")
    late_crops = rest.join(crops, on=CONTENT_HASH, how="inner", maintain_order="left")
    fresh = fresh.join(crops, on=CONTENT_HASH, how="left", maintain_order="left")
    works: list[tuple[pl.DataFrame, Sequence[str], Sequence[registry.MetricSpec], str]] = [
        (fresh, engine.WANT_ALL, custom, OBJECT),
        (late_crops, (), (), OBJECT),
    ]
    whole = _todo(project, done.clear())
    for run in project._snapshot().runs.values():
        if run.kind == "detection":
            level = prediction_level(run.name)
            predicted = whole.join(_missing_crops(project, level), on=CONTENT_HASH, how="inner", maintain_order="left")
            works.append((predicted, (), (), level))
    for spec in custom:
        known = done.filter(_as_defined(spec, done))
        late = _todo(project, known).join(fresh, on=CONTENT_HASH, how="anti", maintain_order="left")
        works.append((late, (), (spec,), OBJECT))
    for todo, want, metrics, level in works:
        if todo.is_empty() or job.cancelled.is_set():
            continue
        crops_only = not want and not metrics
        job.enter(("objects" if level == OBJECT else "predictions") if crops_only else "images", todo.height)
        sink = _PixelSink(project, complete=bool(want), level=level, versions={m.name: m.version for m in metrics})
        engine.run(todo, sink, executor=executor, custom=metrics, want=want, progress=job.reach, cancel=job.cancelled)


def _as_defined(spec: registry.MetricSpec, done: pl.DataFrame) -> pl.Expr:
    """Rows that have a value of the metric as it is defined now; values without a version are of the first."""
    if spec.name not in done.columns:
        return pl.lit(value=False)
    version = f"{VERSION_OF}{spec.name}"
    of = pl.col(version).fill_null(1) if version in done.columns else pl.lit(1)
    return pl.col(spec.name).is_not_null() & (of == spec.version)


def _missing_crops(project: Project, name: str = OBJECT) -> pl.DataFrame:
    """List objects (or predictions) whose crop was not measured, by image: `content_hash`, `objects`, `boxes`."""
    empty = pl.DataFrame(schema={CONTENT_HASH: pl.String, "objects": pl.List(pl.UInt32), "boxes": pl.List(pl.Float64)})
    snapshot = project._snapshot()
    level, items = snapshot.levels[name], snapshot.items.frame
    if level.n == 0 or CONTENT_HASH not in items.columns:
        return empty
    table = project._folder.values(CROPS, level.stored)
    missing = np.ones(level.n, bool) if level.alive is None else level.alive.copy()
    if table.exists():
        known = table.read()[ORDINAL].to_numpy()
        missing[known[known < level.n]] = False
    if not missing.any():
        return empty
    from ..metrics.geometry import true_bounds

    rows = np.flatnonzero(missing).astype(np.uint32)
    bounds = true_bounds(level.frame[rows]).to_numpy()
    assert level.item_rows is not None
    frame = pl.DataFrame(
        {
            CONTENT_HASH: items[CONTENT_HASH].gather(level.item_rows.gather(rows)),
            "objects": rows,
            "boxes": pl.Series(bounds, dtype=pl.Array(pl.Float64, 4)).arr.to_list(),
        }
    )
    grouped = frame.drop_nulls(CONTENT_HASH).group_by(CONTENT_HASH, maintain_order=True)
    return grouped.agg("objects", pl.col("boxes").explode())


def _todo(project: Project, done: pl.DataFrame) -> pl.DataFrame:
    """Contents without values: each once, however many items have it; failed ones are not tried again."""
    level = project._snapshot().items
    frame = level.alive_frame().select(CONTENT_HASH, URI)
    frame = frame.drop_nulls(CONTENT_HASH).unique(CONTENT_HASH, keep="first", maintain_order=True)
    todo = frame.join(done.select(CONTENT_HASH), on=CONTENT_HASH, how="anti", maintain_order="left")
    failed = project._folder.problems.read().filter(pl.col("stage") == _STAGE, pl.col("what") == "image")[KEY]
    todo = todo.filter(~pl.col(CONTENT_HASH).is_in(failed.implode()))
    addresses = [resolve_address(u, project._bases) for u in todo[URI]]
    return todo.with_columns(pl.Series(URI, addresses, dtype=pl.String))


class _PixelSink:
    """Commits one finished batch: caches first, the row that says "computed" last."""

    def __init__(self, project: Project, *, complete: bool, level: str, versions: Mapping[str, int]) -> None:
        self._project = project
        self._versions = versions
        self._level = level
        self._complete = complete

    def __call__(self, batch: PixelBatch) -> None:
        project, n = self._project, len(batch.content_hash)
        if n and self._complete:
            project._thumbnails.append(batch.content_hash, batch.thumbnails)
            blobs = [row.tobytes() for row in np.ascontiguousarray(batch.vectors, "<f4")]
            project._folder.embedding(DESCRIPTOR).append(
                pl.DataFrame({KEY: batch.content_hash, VECTOR: blobs}, schema=dict(schema.EMBEDDING.columns))
            )
        if n:
            known = {"computed": [PIXEL_STAGE_VERSION] * n, PHASH: batch.phash} if self._complete else {}
            known |= {f"{VERSION_OF}{name}": [self._versions[name]] * n for name in batch.custom}
            values = {**batch.metrics, **batch.custom} if self._complete else batch.custom
            frame = pl.DataFrame(
                {CONTENT_HASH: batch.content_hash, "written_ns": [time.time_ns()] * n, **known},
                schema_overrides={"computed": pl.Int32, PHASH: pl.UInt64}
                | {f"{VERSION_OF}{name}": pl.Int32 for name in batch.custom},
            )
            project._folder.pixels.append(frame.with_columns(column(k, v) for k, v in values.items()))
        if batch.crop_rows.size:
            self._crops(batch)
        if batch.problems:
            project._add_problems(
                [
                    {
                        "stage": _STAGE,
                        "where": p.address,
                        "what": p.what,
                        "why": p.why,
                        "remedy": p.remedy,
                        KEY: p.content_hash if p.what != _OBJECTS else None,
                    }
                    for p in batch.problems
                ]
            )

    def _crops(self, batch: PixelBatch) -> None:
        project, rows = self._project, batch.crop_rows
        level = project._level(self._level)
        measured = np.isfinite(batch.crop_vectors).all(axis=1)
        ids = level.frame[level.key].gather(rows[measured])
        blobs = [v.tobytes() for v in np.ascontiguousarray(batch.crop_vectors[measured], "<f4")]
        project._folder.embedding(DESCRIPTOR, level.stored).append(
            pl.DataFrame({KEY: ids, VECTOR: blobs}, schema=dict(schema.EMBEDDING.columns))
        )
        frame = pl.DataFrame({ORDINAL: rows}).with_columns(column(k, v) for k, v in batch.crop_metrics.items())
        project._folder.values(CROPS, level.stored).append(frame)


def column(name: str, values: NDArray[Any]) -> pl.Series:
    """Store a value that is not a number as missing."""
    return pl.Series(name, np.asarray(values, dtype=np.float32)).fill_nan(None)
