"""Add a model's predictions to a project as one change, or take them out of it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from .. import schema
from ..computing import label_stage
from ..content.class_list import class_list, named_classes
from ..content.state import REMOVED_RUN, Run
from ..errors import InputError
from ..importing.ingest import commit
from ..schema import CHANGE_ID, CLASS_NAME, ITEM_ID, KIND_CLASSIFICATION, ORDINAL, PREDICTION_ID, URI, prediction_level
from .runs import CLASSIFYING, DETECTION, AddedRun

if TYPE_CHECKING:
    from ..formats.run import Context, RunSource
    from ..formats.source import Fault
    from ..project import Project
    from ..store.folder import ProjectFolder

_CAUSE = "predictions"
_LONGEST_NAME = 100


def add_run(
    project: Project,
    run: str,
    source: Any,
    classes: Sequence[str] | Mapping[int, str] | None,
    *,
    strict: bool,
    replaced: bool,
    **options: Any,
) -> AddedRun:
    """Read predictions and add them under a name; see `Project.add_predictions`."""
    from ..formats.predictions import read

    name = _run_name(run)
    runs = project._snapshot().runs
    if name in runs and not replaced:
        raise InputError(
            f'There is a run "{name}" already, of {runs[name].predictions:,} predictions.',
            "Choose another name, or pass replace=True.",
        )
    context = _context(project, classes)
    found = read(source, context, **options)
    if strict:
        found.strict()
    return _commit_run(project, name, found, context)


def remove_run(project: Project, run: str) -> None:
    """Take a run out of a project, and its problems; see `Project.remove_predictions`."""
    folder = project._folder
    with project._lock, folder.lock():
        old, change_id = project._run_named(run), uuid.uuid4().hex
        code = f"p.remove_predictions({run!r})"
        empty = schema.PREDICTIONS.empty()
        folder.runs.append(_run_row(change_id, old.name, REMOVED_RUN, [], empty, old.source, code), durable=True)
        commit(folder, change_id, code, items=0, labels=0, problems=0, cause=_CAUSE)
        write_problems(folder, prediction_level(old.name), [])


def _commit_run(project: Project, name: str, source: RunSource, context: Context) -> AddedRun:
    folder, change_id = project._folder, uuid.uuid4().hex
    with project._lock, folder.lock():
        items = project._snapshot().items.alive_frame().select(URI, ITEM_ID)
        assert source.labels is not None
        rows = _rows(source.labels, items, change_id)
        if rows.is_empty():
            raise InputError(
                f'No prediction of "{name}" can be used ({source.skipped:,} were skipped).',
                source.faults[0].why if source.faults else "The source is empty.",
            )
        kinds = rows["kind"].unique().to_list()
        if KIND_CLASSIFICATION in kinds and len(kinds) > 1:
            raise InputError(f'"{name}" mixes classes of images and objects on them.', "Add them as two runs.")
        kind = CLASSIFYING if kinds == [KIND_CLASSIFICATION] else DETECTION
        named = source.header.get("classes") or context.classes
        known = list(dict.fromkeys([*named, *rows[CLASS_NAME].drop_nulls().unique(maintain_order=True)]))
        code = f"p.add_predictions({name!r}, …)"
        folder.predictions(name).append(rows, durable=True)
        folder.runs.append(
            _run_row(change_id, name, kind, known, rows, str(source.card.get("source", source.name)), code),
            durable=True,
        )
        write_problems(folder, prediction_level(name), source.faults)
        commit(folder, change_id, code, items=0, labels=rows.height, problems=len(source.faults), cause=_CAUSE)
        label_stage.predictions(project)
        added = project._run_named(name)
        return AddedRun(**{f.name: getattr(added, f.name) for f in fields(Run)}, skipped=source.skipped)


def _run_name(run: Any) -> str:
    name = run.strip() if isinstance(run, str) else ""
    if not name or len(name) > _LONGEST_NAME or not name.strip(".") or any(ord(c) < 32 for c in name):
        raise InputError(f"{run!r:.80} cannot name a run.", f"Give a text of 1 to {_LONGEST_NAME} characters.")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{run!r:.80} is not Unicode.", "Give another name.") from error
    return name


def _context(project: Project, classes: Sequence[str] | Mapping[int, str] | None) -> Context:
    """Say what predictions may refer to: images, ids of images, classes and their numbers."""
    from ..formats.run import Context
    from ..formats.run_classes import given, numbered

    snapshot = project._snapshot()
    frame = snapshot.items.alive_frame()
    extra = (
        frame[schema.EXTRA]
        if schema.EXTRA in frame.columns
        else pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    )
    ids = extra.str.json_path_match("$.id")
    items = frame.select(
        ITEM_ID,
        URI,
        *(
            pl.col(c).cast(pl.Int32) if c in frame.columns else pl.lit(None, dtype=pl.Int32).alias(c)
            for c in ("width", "height")
        ),
    ).with_columns(ids.alias("image_id"))
    headers = project._folder.headers()
    labelled = [snapshot.levels[name].alive_frame()[CLASS_NAME].drop_nulls().unique() for name in schema.LABEL_LEVELS]
    used = sorted({name for names in labelled for name in names})
    objects, answers = (snapshot.levels[name].alive_frame().height for name in schema.LABEL_LEVELS)
    known = tuple(dict.fromkeys([*named_classes(headers), *used]))
    context = Context(
        items,
        known,
        *numbered(headers),
        known=known,
        drawn=tuple(class_list(project, schema.OBJECT)),
        only_objects=objects > 0 and answers == 0,
    )
    if classes is None:
        return context
    numbers = given(classes)
    explicit = isinstance(classes, Mapping)
    names = tuple(dict.fromkeys(numbers.values()))
    return replace(context, classes=names, categories=numbers, numbers=numbers, given=True, explicit=explicit)


def write_problems(folder: ProjectFolder, stage: str, faults: Sequence[Fault]) -> None:
    """List what a stage, such as a run, could not use, in place of what it could not use before."""
    old = folder.problems.read()
    columns = {c: [getattr(f, c) for f in faults] for c in ("where", "what", "why", "remedy")}
    rows = {"stage": [stage] * len(faults), **columns, schema.KEY: [None] * len(faults)}
    new = pl.DataFrame(rows, schema=dict(schema.PROBLEMS.columns))
    if not old.equals(merged := pl.concat([old.filter(pl.col("stage") != stage), new])):
        folder.problems.replace(merged)


def _rows(labels: pl.DataFrame, items: pl.DataFrame, change_id: str) -> pl.DataFrame:
    """Make table rows of predictions, item by item in the project's order."""
    owners = items.with_row_index("place")
    rows = labels.join(owners, on=URI, how="inner", maintain_order="left").sort("place", maintain_order=True)
    number = pl.int_range(pl.len()).over(ITEM_ID)
    rows = rows.with_columns(
        pl.concat_str(pl.col(ITEM_ID), pl.lit(":p"), number.cast(pl.String)).alias(PREDICTION_ID),
        pl.int_range(pl.len(), dtype=pl.Int64).cast(pl.UInt32).alias(ORDINAL),
        pl.lit(change_id).alias(CHANGE_ID),
    )
    return rows.select(
        pl.col(name).cast(dtype) if name in rows.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.PREDICTIONS.columns.items()
    )


def _run_row(
    change_id: str, name: str, kind: str, classes: Sequence[str], rows: pl.DataFrame, source: str, code: str
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            CHANGE_ID: [change_id],
            "run": [name],
            "at": [dt.datetime.now(dt.UTC)],
            "kind": [kind],
            "classes": [list(classes)],
            "predictions": [rows.height],
            "items": [rows[ITEM_ID].n_unique()],
            "source": [source],
            "code": [code],
        },
        schema=dict(schema.RUNS.columns),
    )
