"""What `Project.compute` does: find what is missing, compute it in stages, commit as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from .. import schema
from ..content.values import replace_values
from ..errors import EawError, InputError, unknown
from ..metrics import registry
from ..schema import DUPLICATE_GROUP, ITEM, ORDINAL
from ..store.writing import room_for
from . import label_stage, pixel_stage
from .embedding_set import EmbeddingSet
from .jobs import Job
from .pixel_stage import column
from .vectors import EmbeddingSets

if TYPE_CHECKING:
    from ..content.levels import Level
    from ..project import Project

STAGES = ("pixels", "neighbours", "labels", "layout")
_CUSTOM = "custom"
_NEIGHBOURS = "neighbours"
_PAIRS_VERSION = "-pairs2"
"""Grows with the rules of duplicates: groups of an older version are made anew."""


@dataclass
class Plan:
    """What a call of `compute` was asked for."""

    stages: tuple[str, ...]
    metrics: tuple[str, ...] | None
    executor: Executor | None
    embedding: tuple[str, str] | None = None
    """Only this set: its level and name."""


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
        known = [m.name for m in registry.registered() if m.function is not None]
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
        from ..embeddings.layout import warm_up

        warm_up()
    if "pixels" in plan.stages:
        project._read_pending()
        _table(project, job)
        pixels = [m for m in _custom_metrics(plan, ITEM) if m.needs == "pixels"]
        pixel_stage.run(project, pixels, plan.executor, job)
    if "labels" in plan.stages and plan.embedding is None:
        label_stage.geometry(project, job)
        label_stage.predictions(project)
    runs = [schema.prediction_level(run) for run in project._snapshot().runs]
    for level in (ITEM, *schema.LABEL_LEVELS, *runs):
        sets = project._embedding_sets(level)
        for name in list(sets):
            if plan.embedding in (None, (level, name)):
                _one_set(project, sets, name, plan, job)
    for level in (ITEM, *schema.LABEL_LEVELS):
        _custom(project, plan, level, job)


def _one_set(project: Project, sets: EmbeddingSets, name: str, plan: Plan, job: Job) -> None:
    """Make graph, neighbour metrics, class quality and maps of one embedding set."""
    if job.cancelled.is_set():
        return
    vectors = sets[name]
    if len(vectors) == 0:
        return
    if "layout" in plan.stages:
        _map(job, "first map", vectors, "pca")
    if "neighbours" in plan.stages:
        _neighbours(project, sets, name, vectors, job)
    if "labels" in plan.stages and not job.cancelled.is_set() and schema.run_of(sets.level) is None:
        label_stage.quality(project, sets, name, vectors, job)
    if "layout" in plan.stages and not job.cancelled.is_set():
        _map(job, "map", vectors, "umap")
        sets.prune(name)


def _map(job: Job, stage: str, vectors: EmbeddingSet, layout: str) -> None:
    job.enter(stage, 1)
    vectors.make_layout(layout, cancel=job.cancelled)
    job.reach(1, 1)


def _table(project: Project, job: Job) -> None:
    """Metrics that compare an image's size with the others', kept as long as the sizes are the same."""
    from ..metrics.table import table_metrics

    level = project._snapshot().items
    sizes = level.frame.select(ORDINAL, *(c for c in ("width", "height") if c in level.frame.columns))
    if sizes.width < 3 or sizes.is_empty():
        return
    job.enter("sizes", 1)
    frame = sizes.select(ORDINAL).hstack(table_metrics(sizes, seed=project.seed))
    replace_values(project, ITEM, "table", frame)
    job.reach(1, 1)


# -- neighbours -----------------------------------------------------------------------------


def _neighbours(project: Project, sets: EmbeddingSets, name: str, vectors: EmbeddingSet, job: Job) -> None:
    from ..content.duplicate_pairs import grouped_column
    from ..metrics.neighbours import neighbour_metrics
    from .duplicate_stage import find_pairs

    suffix = sets.suffix(name)
    family = f"{_NEIGHBOURS}{suffix}"
    whole = not suffix and sets.level == ITEM
    key = f"{vectors.key}-{len(vectors)}{_PAIRS_VERSION if whole else ''}"
    table = project._folder.values(family, sets.stored)
    done = table.history()[0].get("key") if table.exists() else None
    if done == key:
        return
    job.enter("neighbours", len(vectors))
    graph = vectors.graph
    if job.cancelled.is_set():
        return
    values = neighbour_metrics(np.asarray(vectors.vectors), graph, seed=project.seed)
    columns: dict[str, pl.Series] = {ORDINAL: pl.Series(vectors.rows, dtype=pl.UInt32)}
    columns |= {f"{k}{suffix}": column(f"{k}{suffix}", v) for k, v in values.items()}
    if whole:
        groups = grouped_column(find_pairs(project, vectors), int(vectors.rows[-1]) + 1, ())
        columns[DUPLICATE_GROUP] = groups.gather(vectors.rows)
    table.replace(pl.DataFrame(columns), cause={"key": key})
    job.reach(len(vectors), len(vectors))


# -- custom metrics on frames and embeddings --------------------------------------------------


def _custom_metrics(plan: Plan, level: str) -> list[registry.MetricSpec]:
    found = [m for m in registry.registered(level) if m.function is not None]
    if plan.metrics is not None:
        found = [m for m in found if m.name in plan.metrics]
    return found


def _custom(project: Project, plan: Plan, name: str, job: Job) -> None:
    for spec in _custom_metrics(plan, name):
        if spec.needs == "pixels" or job.cancelled.is_set():
            continue
        job.enter(f"metric {spec.name}", 1)
        level = project._level(name)
        if level.n == 0:
            continue
        values = _on_frame(spec, level.frame) if spec.needs == "frame" else _on_embeddings(project, spec, level)
        if values.len() != level.n:
            raise EawError(
                f'The metric "{spec.name}" gave {values.len():,} values for {level.n:,} {name}s.',
                "Return one value a row.",
            )
        frame = pl.DataFrame({ORDINAL: level.frame[ORDINAL], spec.name: values.cast(pl.Float32).fill_nan(None)})
        replace_values(project, name, f"{_CUSTOM}-{spec.name}", frame)
        job.reach(1, 1)


def _on_frame(spec: registry.MetricSpec, frame: pl.DataFrame) -> pl.Series:
    assert spec.function is not None
    result = spec.function(frame)
    if isinstance(result, pl.Expr):
        return frame.select(result.alias(spec.name))[spec.name]
    return pl.Series(spec.name, result)


def _on_embeddings(project: Project, spec: registry.MetricSpec, level: Level) -> pl.Series:
    assert spec.function is not None
    sets = project._embedding_sets(level.name)
    if sets.default is None:
        return pl.Series(spec.name, [None] * level.n, dtype=pl.Float32)
    vectors = sets[sets.default]
    values = np.asarray(spec.function(np.asarray(vectors.vectors)), dtype=np.float32)
    if values.shape != (len(vectors),):
        raise EawError(
            f'The metric "{spec.name}" returned shape {values.shape} for {len(vectors):,} vectors.',
            "Return one number a vector.",
        )
    out = np.full(level.n, np.nan, np.float32)
    out[vectors.rows] = values
    return pl.Series(spec.name, out)


def start(job: Job, work: Callable[[], None], *, background: bool) -> None:
    """Run `work` here or on a thread; either way the job says how it ended."""
    import threading

    def guarded() -> None:
        try:
            with room_for("what was computed"):
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
