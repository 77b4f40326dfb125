"""What `Project.compute` does: find what is missing, compute it in stages, commit as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from . import schema
from .errors import EawError, InputError, unknown
from .jobs import Job
from .metrics import registry
from .schema import CONTENT_HASH, DUPLICATE_GROUP, ITEM, KEY, ORDINAL, PHASH, URI, VECTOR
from .state import newest_values
from .store.folder import resolve_address
from .vectors import DESCRIPTOR, EmbeddingSet

if TYPE_CHECKING:
    from .metrics.engine import PixelBatch
    from .project import Project

STAGES = ("pixels", "neighbours", "layout")
PIXEL_STAGE_VERSION = 1
_CUSTOM = "custom"
_STAGE = "compute"
_NEIGHBOURS = "neighbours"


@dataclass
class Plan:
    """What a call of `compute` was asked for."""

    stages: tuple[str, ...]
    metrics: tuple[str, ...] | None
    executor: Executor | None
    embedding: str | None = None


def make_plan(
    stages: str | Sequence[str] | None, metrics: str | Sequence[str] | None, executor: Executor | None
) -> Plan:
    """Check the arguments of `compute`."""
    chosen = STAGES if stages is None else (stages,) if isinstance(stages, str) else tuple(stages)
    for stage in chosen:
        if stage not in STAGES:
            raise unknown("stage", stage, STAGES)
    wanted = None
    if metrics is not None:
        wanted = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        known = [m.name for m in registry.registered(ITEM) if m.function is not None]
        for name in wanted:
            if name not in known:
                raise unknown("metric", name, known)
    if executor is not None and not isinstance(executor, Executor):
        raise InputError(f"executor is a {type(executor).__name__}.", "Pass a concurrent.futures.Executor.")
    return Plan(chosen, wanted, executor)


def run(project: Project, plan: Plan, job: Job) -> None:
    """Run the stages in order; raises what interrupts it, with all finished work committed."""
    wants_map = "layout" in plan.stages or "neighbours" in plan.stages
    if wants_map and "pixels" in plan.stages and plan.embedding is None:
        from .embeddings.layout import warm_up

        warm_up()
    if "pixels" in plan.stages:
        project._read_pending()
        _table(project, job)
        _pixels(project, plan, job)
    names = [plan.embedding] if plan.embedding else list(project.embeddings)
    for name in names:
        if job.cancelled.is_set():
            return
        vectors = project.embeddings[name]
        if len(vectors) == 0:
            continue
        if "layout" in plan.stages:
            _map(job, "first map", vectors, "pca")
        if "neighbours" in plan.stages:
            _neighbours(project, name, vectors, job)
        if "layout" in plan.stages and not job.cancelled.is_set():
            _map(job, "map", vectors, "umap")
            project.embeddings.prune(name)
    _custom(project, plan, job)


def _map(job: Job, stage: str, vectors: EmbeddingSet, layout: str) -> None:
    job.enter(stage, 1)
    vectors.make_layout(layout, cancel=job.cancelled)
    job.reach(1, 1)


# -- pixels ---------------------------------------------------------------------------------


def _pixels(project: Project, plan: Plan, job: Job) -> None:
    """Decode what has no values yet; then, apart, what lacks only a custom metric."""
    from .metrics import engine

    custom = tuple(m for m in _custom_metrics(plan) if m.needs == "pixels")
    have = newest_values(project._folder.pixels.read())
    done = have.filter(pl.col("computed") == PIXEL_STAGE_VERSION)
    fresh = _todo(project, done)
    works: list[tuple[pl.DataFrame, Sequence[str], Sequence[registry.MetricSpec]]] = [(fresh, engine.WANT_ALL, custom)]
    for spec in custom:
        known = done.filter(pl.col(spec.name).is_not_null()) if spec.name in done.columns else done.clear()
        late = _todo(project, known).join(fresh, on=CONTENT_HASH, how="anti", maintain_order="left")
        works.append((late, (), (spec,)))
    for todo, want, metrics in works:
        if todo.is_empty() or job.cancelled.is_set():
            continue
        job.enter("images", todo.height)
        sink = _PixelSink(project, complete=bool(want))
        engine.run(
            todo, sink, executor=plan.executor, custom=metrics, want=want, progress=job.reach, cancel=job.cancelled
        )


def _todo(project: Project, done: pl.DataFrame) -> pl.DataFrame:
    """Contents without values: each once, however many items have it; failed ones are not tried again."""
    level = project._snapshot().items
    frame = level.frame.select(CONTENT_HASH, URI)
    if level.alive is not None:
        frame = frame.filter(pl.Series(level.alive))
    frame = frame.drop_nulls(CONTENT_HASH).unique(CONTENT_HASH, keep="first", maintain_order=True)
    todo = frame.join(done.select(CONTENT_HASH), on=CONTENT_HASH, how="anti", maintain_order="left")
    failed = project._folder.problems.read().filter(pl.col("stage") == _STAGE)[KEY]
    todo = todo.filter(~pl.col(CONTENT_HASH).is_in(failed.implode()))
    addresses = [resolve_address(u, project._bases) for u in todo[URI]]
    return todo.with_columns(pl.Series(URI, addresses, dtype=pl.String))


def _table(project: Project, job: Job) -> None:
    """Metrics that compare an image's size with the others', kept as long as the sizes are the same."""
    from .metrics.table import table_metrics

    level = project._snapshot().items
    sizes = level.frame.select(ORDINAL, *(c for c in ("width", "height") if c in level.frame.columns))
    if sizes.width < 3 or sizes.is_empty():
        return
    job.enter("sizes", 1)
    frame = sizes.select(ORDINAL).hstack(table_metrics(sizes, seed=project.seed))
    _replace_values(project, "table", frame)
    job.reach(1, 1)


def _replace_values(project: Project, family: str, frame: pl.DataFrame) -> None:
    """Commit values unless they are there already."""
    table = project._folder.values(family)
    if not table.exists() or not table.read().equals(frame):
        table.replace(frame)


class _PixelSink:
    """Commits one finished batch: caches first, the row that says "computed" last."""

    def __init__(self, project: Project, *, complete: bool) -> None:
        self._project = project
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
            values = {**batch.metrics, **batch.custom} if self._complete else batch.custom
            frame = pl.DataFrame(
                {CONTENT_HASH: batch.content_hash, "written_ns": [time.time_ns()] * n, **known},
                schema_overrides={"computed": pl.Int32, PHASH: pl.UInt64},
            )
            project._folder.pixels.append(frame.with_columns(_column(k, v) for k, v in values.items()))
        if batch.problems:
            project._add_problems(
                [
                    {
                        "stage": _STAGE,
                        "where": p.address,
                        "what": p.what,
                        "why": p.why,
                        "remedy": p.remedy,
                        KEY: p.content_hash,
                    }
                    for p in batch.problems
                ]
            )


def _column(name: str, values: NDArray[Any]) -> pl.Series:
    """Store a value that is not a number as missing."""
    return pl.Series(name, np.asarray(values, dtype=np.float32)).fill_nan(None)


# -- neighbours -----------------------------------------------------------------------------


def _neighbours(project: Project, name: str, vectors: EmbeddingSet, job: Job) -> None:
    from .metrics.duplicates import duplicate_groups
    from .metrics.neighbours import neighbour_metrics

    suffix = "" if name == project.embeddings.default else f"_{name}"
    family = f"{_NEIGHBOURS}{suffix}"
    key = f"{vectors.key}-{len(vectors)}"
    table = project._folder.values(family)
    done = table.history()[0].get("key") if table.exists() else None
    if done == key:
        return
    job.enter("neighbours", len(vectors))
    graph = vectors.graph
    if job.cancelled.is_set():
        return
    values = neighbour_metrics(np.asarray(vectors.vectors), graph, seed=project.seed)
    columns: dict[str, pl.Series] = {ORDINAL: pl.Series(vectors.rows, dtype=pl.UInt32)}
    columns |= {f"{k}{suffix}": _column(f"{k}{suffix}", v) for k, v in values.items()}
    if not suffix:
        level = project._snapshot().items
        chosen = level.frame[CONTENT_HASH].gather(vectors.rows)
        phash = (
            np.zeros(len(vectors), np.uint64)
            if level.phash is None
            else level.phash.gather(vectors.rows).fill_null(0).to_numpy()
        )
        groups = duplicate_groups(chosen, phash, graph)
        columns[DUPLICATE_GROUP] = nullable_groups(groups)
    table.replace(pl.DataFrame(columns), cause={"key": key})
    job.reach(len(vectors), len(vectors))


def nullable_groups(groups: NDArray[np.integer]) -> pl.Series:
    """Return group numbers with null where an item is alone (-1)."""
    series = pl.Series(DUPLICATE_GROUP, groups.astype(np.int64))
    return series.set(series < 0, None)


# -- custom metrics on frames and embeddings --------------------------------------------------


def _custom_metrics(plan: Plan) -> list[registry.MetricSpec]:
    found = [m for m in registry.registered(ITEM) if m.function is not None]
    if plan.metrics is not None:
        found = [m for m in found if m.name in plan.metrics]
    return found


def _custom(project: Project, plan: Plan, job: Job) -> None:
    for spec in _custom_metrics(plan):
        if spec.needs == "pixels" or job.cancelled.is_set():
            continue
        job.enter(f"metric {spec.name}", 1)
        level = project._snapshot().items
        values = _on_frame(spec, level.frame) if spec.needs == "frame" else _on_embeddings(project, spec, level.n)
        if values.len() != level.n:
            raise EawError(
                f'The metric "{spec.name}" gave {values.len():,} values for {level.n:,} items.',
                "Return one value a row.",
            )
        frame = pl.DataFrame({ORDINAL: level.frame[ORDINAL], spec.name: values.cast(pl.Float32).fill_nan(None)})
        _replace_values(project, f"{_CUSTOM}-{spec.name}", frame)
        job.reach(1, 1)


def _on_frame(spec: registry.MetricSpec, frame: pl.DataFrame) -> pl.Series:
    assert spec.function is not None
    result = spec.function(frame)
    if isinstance(result, pl.Expr):
        return frame.select(result.alias(spec.name))[spec.name]
    return pl.Series(spec.name, result)


def _on_embeddings(project: Project, spec: registry.MetricSpec, n: int) -> pl.Series:
    assert spec.function is not None
    name = project.embeddings.default
    if name is None:
        return pl.Series(spec.name, [None] * n, dtype=pl.Float32)
    vectors = project.embeddings[name]
    values = np.asarray(spec.function(np.asarray(vectors.vectors)), dtype=np.float32)
    if values.shape != (len(vectors),):
        raise EawError(
            f'The metric "{spec.name}" returned shape {values.shape} for {len(vectors):,} vectors.',
            "Return one number a vector.",
        )
    out = np.full(n, np.nan, np.float32)
    out[vectors.rows] = values
    return pl.Series(spec.name, out)


def start(job: Job, work: Callable[[], None], *, background: bool) -> None:
    """Run `work` here or on a thread; either way the job says how it ended."""
    import threading

    def guarded() -> None:
        try:
            work()
            job.end("cancelled" if job.cancelled.is_set() else "done")
        except BaseException as error:
            job.error = None if isinstance(error, KeyboardInterrupt) else error
            job.end("cancelled" if isinstance(error, KeyboardInterrupt) else "failed", str(error))
            if not background:
                raise

    if not background:
        guarded()
        return
    job.thread = threading.Thread(target=guarded, name=f"eaw-{job.id}", daemon=True)
    job.thread.start()
