"""Label errors of a project: which labels a model, or their neighbours, speak against."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..curation.reviewing import answered_classes
from ..errors import InputError, known_name
from ..formats.source import Fault
from ..schema import (
    CLASS_NAME,
    CLASSIFICATION,
    CONFIDENCE,
    ITEM,
    OBJECT,
    ORDINAL,
    PROBABILITIES,
    prediction_level,
    run_of,
)  # fmt: skip
from ..view import View
from .adding import write_problems
from .runs import CLASSIFYING

if TYPE_CHECKING:
    from ..content.levels import Level
    from ..content.state import Run
    from ..embeddings.graph import Graph
    from ..learning.label_quality import LabelQuality
    from ..project import Project

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

log = logging.getLogger("encord_active_widgets")

KIND = "class"
_MOST_NAMED = 5
_LEAST_SHOWN = 0.005
_WEIGHTY = ", which weighs most: near ones and those of rare classes count more"


def label_errors(
    project: Project, run: str | None = None, *, method: str | None = None, view: View | None = None
) -> View:
    """Rank labels by how likely they are wrong; see `Project.label_errors`."""
    from ..learning.label_quality import METHODS, NEIGHBOURS

    if method is not None:
        known_name("method", method, METHODS)
    if view is not None and not isinstance(view, View):
        raise InputError(f"view={view!r:.80} is no view.", 'Give one, such as p.filter(ea.tagged("night")).')
    if view is not None and view.project.path != project.path:
        raise InputError("The view is of another project.", "Make it from this one.")
    if view is not None and run_of(view.level) is not None:
        raise InputError("The view is of predictions; labels can be wrong.", "Give view.items(), or p.objects.")
    if run is None:
        if method not in (None, NEIGHBOURS):
            raise InputError(f'The method "{method}" needs probabilities.', f"{_call_with_run(project, method)}.")
        return _by_neighbours(project, view)
    known = project._run_named(run)
    if known.kind == CLASSIFYING:
        return _by_neighbours(project, view, ITEM) if method == NEIGHBOURS else _by_model(project, known, method, view)
    if method is not None:
        raise InputError(
            f'"{run}" predicts objects, and the method "{method}" is of classes.',
            "Leave method out" + ("." if method != NEIGHBOURS else ", or call p.label_errors(view=p.objects)."),
        )
    from .object_mistakes import object_errors

    return object_errors(project, known, view)


def _call_with_run(project: Project, method: str | None) -> str:
    names = [r.name for r in project._snapshot().runs.values() if r.kind == CLASSIFYING]
    if names:
        return f'Name a run: p.label_errors("{names[0]}", method="{method}")'
    return 'Add some: p.add_predictions("my model", probabilities)'


# -- by a model -----------------------------------------------------------------------------------


def _by_model(project: Project, run: Run, method: str | None, view: View | None) -> View:
    from ..learning.label_quality import COMBINED, label_quality, neighbour_probabilities

    method = method or COMBINED
    snapshot = project._snapshot()
    level = snapshot.levels[prediction_level(run.name)]
    given = _answers(snapshot.levels[CLASSIFICATION], snapshot.items.n)
    if given.null_count() == given.len():
        raise InputError("The images have no classes to compare the predictions with.", "Add them: p.add_labels(…).")
    rows, table, whole = _probabilities(level, run, snapshot.items)
    labels = given.gather(rows)
    codes = _codes(labels, run.classes)
    faults = _strangers(run, labels, codes)
    around, graph_rows = None, np.empty(0, np.int64)
    if _has_embedding(project, ITEM):
        vectors = project.embeddings._named(None)
        graph_rows = vectors.rows.astype(np.int64)
        all_codes = _codes(given, run.classes)
        near = neighbour_probabilities(all_codes[graph_rows], vectors.graph.rows, len(run.classes))
        shares = np.bincount(all_codes[all_codes >= 0], minlength=len(run.classes)) / max((all_codes >= 0).sum(), 1)
        around = np.tile(shares, (len(rows), 1))
        place = np.full(snapshot.items.n, -1)
        place[graph_rows] = np.arange(graph_rows.size)
        has = place[rows] >= 0
        around[has] = near[place[rows[has]]]
    found = label_quality(codes, table, method=method, neighbours=around if method == COMBINED else None)
    uris = snapshot.items.frame["uri"]
    faults += [
        Fault(
            f'run "{run.name}"', "repaired" if f.what == "repaired" else "skipped",
            f"{f.why}: {_named(uris.gather(rows[f.rows]))}", f.remedy,
        )
        for f in found.findings
    ]  # fmt: skip
    _list(project, run.name, faults)
    says = table.argmax(axis=1)
    columns = {
        "row": rows,
        "given": labels,
        "says": pl.Series(run.classes, dtype=pl.String).gather(says),
        "says_p": table[np.arange(len(says)), says],
        "given_p": np.where(codes >= 0, table[np.arange(len(says)), np.maximum(codes, 0)], np.nan),
        "suggested_p": table[np.arange(len(says)), np.maximum(found.suggested, 0)],
        "whole": whole,
    }
    neighbours = _majority(project, given, rows) if graph_rows.size else None
    return _ranked(project, ITEM, found, columns, run.classes, view, neighbours)


def _answers(level: Level, n_items: int) -> pl.Series:
    """Return the class of each item, null for none; of several answers the first counts, as everywhere."""
    if level.n == 0:
        return pl.repeat(None, n_items, dtype=pl.String, eager=True)
    assert level.item_rows is not None
    rows = level.alive_rows()
    first = pl.DataFrame({"item": level.item_rows.gather(rows), CLASS_NAME: level.frame[CLASS_NAME].gather(rows)})
    first = first.unique("item", keep="first", maintain_order=True)
    items = pl.DataFrame({"item": pl.Series(np.arange(n_items), dtype=first.schema["item"])})
    return items.join(first, on="item", how="left", maintain_order="left")[CLASS_NAME]


def _probabilities(level: Level, run: Run, items: Level) -> tuple[I64, F64, pl.Series]:
    """Return the predicted items, their probabilities, and where a model gave them all.

    Where there is only the best class and its confidence, the rest is spread over the other classes evenly.
    """
    assert level.item_rows is not None
    alive = level.alive_rows()
    sure = level.frame[CONFIDENCE].gather(alive).fill_null(1.0)
    best = pl.DataFrame({"item": level.item_rows.gather(alive), "place": alive, "sure": sure})
    best = best.sort("sure", descending=True, maintain_order=True).unique("item", keep="first", maintain_order=True)
    best = best.sort("item")
    if items.alive is not None:
        best = best.filter(pl.Series(items.alive[best["item"].to_numpy()]))
    rows, frame = best["item"].to_numpy().astype(np.int64), level.frame[best["place"].to_numpy()]
    k, n = len(run.classes), best.height
    codes, top = _codes(frame[CLASS_NAME], run.classes), best["sure"].to_numpy()
    table = np.repeat(((1 - top) / max(k - 1, 1))[:, None], k, axis=1)
    table[np.arange(n), codes] = top
    lists = (
        frame[PROBABILITIES]
        if PROBABILITIES in frame.columns
        else pl.repeat(None, n, dtype=pl.List(pl.Float32), eager=True)
    )
    whole = lists.is_not_null()
    if whole.any():
        there = lists.filter(whole)
        width = int(there.list.len().max() or 0)  # type: ignore[arg-type]
        values = there.explode(empty_as_null=False, keep_nulls=False).cast(pl.Float64).fill_null(float("nan"))
        full = np.zeros((there.len(), k))
        full[:, :width] = values.to_numpy().reshape(there.len(), width)
        table[whole.to_numpy()] = full
    return rows, table, whole


def _codes(names: pl.Series, classes: tuple[str, ...]) -> I64:
    """Return the place of each name in the classes; -1 for none and for others."""
    codes = names.replace_strict(list(classes), list(range(len(classes))), default=-1, return_dtype=pl.Int64)
    return codes.fill_null(-1).to_numpy()


def _strangers(run: Run, labels: pl.Series, codes: I64) -> list[Fault]:
    """List labels of classes that the model does not know."""
    strange = labels.filter(pl.Series(codes < 0)).drop_nulls()
    if not strange.len():
        return []
    return [
        Fault(
            f'run "{run.name}"', "skipped",
            f"{strange.len():,} labels are of classes that the model does not know ({_named(strange.unique().sort())})",
            "Their errors cannot be found by this run; rank them by neighbours: p.label_errors().",
        )
    ]  # fmt: skip


def _named(names: pl.Series) -> str:
    more = names.len() - _MOST_NAMED
    return ", ".join(map(str, names.head(_MOST_NAMED))) + (f" and {more:,} more" if more > 0 else "")


def _list(project: Project, name: str, faults: list[Fault]) -> None:
    with project._lock, project._folder.lock():
        write_problems(project._folder, f"label_errors:{name}", faults)
    if faults:
        log.warning("%r: some labels are not ranked, or were judged by repaired probabilities: see p.problems.", name)


# -- by neighbours --------------------------------------------------------------------------------


def _by_neighbours(project: Project, view: View | None, level_name: str | None = None) -> View:
    from ..learning.label_quality import neighbour_quality

    name = level_name or _level_of(project, view)
    level = project._snapshot().levels[name]
    if not _has_embedding(project, name):
        where = "p" if name == ITEM else f"p.{name}s"
        runs = project._snapshot().runs
        other = (
            f'name a run: p.label_errors("{next(iter(runs))}")'
            if runs
            else 'add predictions: p.add_predictions("my model", source)'
        )
        raise InputError(
            f"Neighbours need embeddings of the {'images' if name == ITEM else 'objects'}, and there are none.",
            f'Call p.compute(), assign {where}.embeddings["name"] = vectors, or {other}.',
        )
    given = _given(project, name)
    vectors = project._embedding_sets(name)._named(None)
    rows = vectors.rows.astype(np.int64)
    labels = given.gather(rows)
    classes = tuple(labels.drop_nulls().unique().sort())
    if level.alive is not None:
        labels = labels.zip_with(pl.Series(level.alive[rows]), pl.repeat(None, rows.size, dtype=pl.String, eager=True))
    found = neighbour_quality(_codes(labels, classes), vectors.graph.rows, vectors.graph.distances)
    columns: dict[str, Any] = {"row": rows, "given": labels}
    better = pl.Series(classes, dtype=pl.String).gather(np.maximum(found.suggested, 0))
    better = better.zip_with(better.ne_missing(labels), pl.repeat(None, rows.size, dtype=pl.String, eager=True))
    return _ranked(project, name, found, columns, classes, view, _majority(project, given, rows, name, better))


def _level_of(project: Project, view: View | None) -> str:
    """Objects where they are asked for; else images where any has a class; else objects."""
    if view is not None and view.level != ITEM:
        return OBJECT if view.level == OBJECT else ITEM
    snapshot = project._snapshot()
    if len(snapshot.levels[CLASSIFICATION].alive_rows()):
        return ITEM
    if len(snapshot.levels[OBJECT].alive_rows()):
        return OBJECT
    raise InputError("The project has no labels.", "Add them: p.add_labels(…).")


def _has_embedding(project: Project, name: str) -> bool:
    return bool(len(project._embedding_sets(name)))


def _given(project: Project, name: str) -> pl.Series:
    snapshot = project._snapshot()
    if name == ITEM:
        return _answers(snapshot.levels[CLASSIFICATION], snapshot.items.n)
    return snapshot.levels[name].frame[CLASS_NAME]


def _majority(
    project: Project, given: pl.Series, rows: I64, name: str = ITEM, suggested: pl.Series | None = None
) -> pl.DataFrame:
    """Return, of rows of a level, the most frequent class among their neighbours, and how many have it of how many.

    Of rows with a suggestion it is the suggested class that is counted: it may weigh most without being most frequent.
    """
    vectors = project._embedding_sets(name)._named(None)
    graph: Graph = vectors.graph
    classes = tuple(given.drop_nulls().unique().sort())
    codes = _codes(given.gather(vectors.rows), classes)
    around = np.where(graph.rows >= 0, codes[np.maximum(graph.rows, 0)], -1)
    n, k = len(around), max(len(classes), 1)
    flat = (np.arange(n)[:, None] * k + around)[around >= 0]
    counts = np.bincount(flat, minlength=n * k).reshape(n, k)
    most = counts.argmax(axis=1) if n else np.empty(0, np.int64)
    if suggested is not None:
        wanted = _codes(suggested, classes)
        most = np.where(wanted >= 0, wanted, most)
    count = counts[np.arange(n), most]
    table = pl.DataFrame(
        {
            "row": vectors.rows.astype(np.int64),
            "near_class": pl.Series(classes, dtype=pl.String).gather(most) if classes else [None] * n,
            "near_count": count,
            "near": counts.sum(axis=1),
            "near_most": count == counts.max(axis=1, initial=0),
        }
    )
    return pl.DataFrame({"row": rows}).join(table, on="row", how="left", maintain_order="left").drop("row")


# -- ranked ---------------------------------------------------------------------------------------


def _ranked(
    project: Project,
    name: str,
    found: LabelQuality,
    columns: dict[str, Any],
    classes: tuple[str, ...],
    view: View | None,
    neighbours: pl.DataFrame | None,
) -> View:
    """Make the view: rows of a level, worst first, and what was found of each.

    What a person has said of a label's class is not in doubt any more: it is ranked, but not likely wrong.
    """
    frame = pl.DataFrame(columns).with_columns(
        pl.Series("score", 1 - found.quality),
        pl.Series("likely", found.likely),
        pl.Series("suggested", classes, dtype=pl.String).gather(np.maximum(found.suggested, 0)),
    )
    if neighbours is not None:
        frame = frame.hstack(neighbours)
    told = answered_classes(project._snapshot().levels[name].edits, frame["row"].to_numpy())
    frame = frame.with_columns(pl.col("likely") & ~pl.Series(told))[found.order]
    if view is not None:
        chosen = view if view.level == name else view.items() if name == ITEM else view._on_items(name)
        frame = frame.filter(pl.col("row").is_in(pl.Series(chosen.rows, dtype=pl.Int64).implode()))
    better = pl.when(pl.col("suggested") != pl.col("given")).then("suggested").alias("suggested")
    extra = frame.select(
        pl.col("row").cast(pl.UInt32).alias(ORDINAL),
        pl.lit(KIND).alias("kind"),
        "given",
        better,
        "score",
        "likely",
        _reason(frame.columns).alias("reason"),
    )
    rows = View(project, name).at(frame["row"].to_numpy())._ops
    return View(project, name, rows, extra)


def _reason(columns: list[str]) -> pl.Expr:
    parts = [pl.format("labelled {}", "given")]
    if "says" in columns:
        own, top = (_chance(c, beside) for c, beside in (("given_p", "says_p"), ("says_p", "given_p")))
        agrees = pl.format("; the model says {} ({})", "says", _chance("says_p", "suggested_p"))
        differs = (
            pl.when(pl.col("whole"))
            .then(pl.format("; the model says {} ({}) and {} ({})", "says", top, "given", own))
            .otherwise(pl.format("; the model says {} ({}), and nothing of other classes", "says", top))
        )
        parts.append(pl.when(pl.col("says") == pl.col("given")).then(agrees).otherwise(differs))
        # What is suggested need not be what the model says first.
        third = pl.col("whole") & (pl.col("suggested") != pl.col("says")) & (pl.col("suggested") != pl.col("given"))
        named = pl.format(" and {} ({})", "suggested", _chance("suggested_p", "says_p"))
        parts.append(pl.when(third).then(named).otherwise(pl.lit("")))
    if "near" in columns:
        several = pl.when(pl.col("near_count") == 1).then(pl.lit("is")).otherwise(pl.lit("are"))
        text = pl.format("; {} of {} neighbours {} {}", "near_count", "near", several, "near_class")
        weighty = pl.when(pl.col("near_most")).then(pl.lit("")).otherwise(pl.lit(_WEIGHTY))
        text = pl.concat_str(text, weighty)
        parts.append(pl.when(pl.col("near") > 0).then(text).otherwise(pl.lit("")))
    return pl.concat_str(parts)


def _chance(column: str, beside: str) -> pl.Expr:
    """Write a probability: two digits, more where the one beside it would be the same, and never a 0 or 1 that is none.

    Parameters
    ----------
    column, beside : str
        The probability, and the one that it is compared with.
    """
    value, other = pl.col(column), pl.col(beside)
    out = value.round(8).cast(pl.String)
    for digits in (6, 4, 2):
        short = value.round(digits)
        out = pl.when((short != other.round(digits)) | (value == other)).then(short.cast(pl.String)).otherwise(out)
    small, large = (value > 0) & (value < _LEAST_SHOWN), (value < 1) & (value > 1 - _LEAST_SHOWN)
    return pl.when(small).then(pl.lit("<0.01")).when(large).then(pl.lit(">0.99")).otherwise(out)
