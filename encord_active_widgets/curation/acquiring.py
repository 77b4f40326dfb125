"""What to label next: a project's items ranked by need, with a score and a sentence that says why."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, unknown
from ..learning.acquisition import UNSURE, Pool, Ranking, needs_graph, needs_vectors, rank, weights_of
from ..learning.uncertainty import AGGREGATES, UNCERTAINTIES, aggregate, bernoulli
from ..schema import CLASS_NAME, CONFIDENCE, ITEM, ITEM_ID, ORDINAL, PROBABILITIES, prediction_level
from ..view import View

if TYPE_CHECKING:
    from ..project import Project

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Rows = NDArray[np.uint32]
Strategy = str | Mapping[str, float]
Excluded = pl.Expr | str | View

PREDICTED = "predicted"
"""What `balance=` is to be for the classes that the run predicts."""
_OBJECT_CONFIDENCE = "object_confidence"


def acquire(
    project: Project,
    strategy: Strategy,
    n: int,
    *,
    run: str | None,
    embedding: str | None,
    view: View | None,
    exclude: Excluded | Sequence[Excluded] | None,
    aggregate: str,
    balance: str | None,
    diverse: bool,
    empty: float,
    seed: int,
) -> View:
    """Rank items by need; see `Project.acquire`."""
    weights = weights_of(strategy, diverse=diverse)
    if not _is_count(n):
        raise InputError(f"acquire cannot choose {n!r} items.", "Give a number of items, 0 or more.")
    if aggregate not in AGGREGATES:
        raise unknown("aggregate", str(aggregate), AGGREGATES)
    if not np.isfinite(empty):
        raise InputError(f"empty is {empty!r}.", "Give the score of items that nothing was predicted on, a number.")
    rows = (project.items if view is None else view.items()).rows
    covered = np.isin(rows, _excluded(project, exclude))
    predictions = None
    if balance == PREDICTED or any(name in UNSURE for name in weights):
        predictions = _Predictions.of(project, _the_run(project, run), rows)
    elif run is not None:
        project._run_named(run)
    scores = {
        name: predictions.by_item(name, aggregate, empty)
        for name in weights
        if predictions is not None and name in UNSURE
    }
    groups = names = None
    if balance is not None:
        names = _classes(project, rows, balance, predictions)
        groups = _codes(names, ~covered, balance)
    pool = Pool(covered, scores, groups=groups, seed=seed)
    if needs_vectors(weights):
        pool = _with_vectors(project, pool, rows, embedding, weights)
    elif embedding is not None:
        project.embeddings._named(embedding)
    left = int((~covered).sum())
    if n > left:
        warnings.warn(
            f"acquire was asked for {n:,} items; {left:,} are left after exclude, and it returns all of them.",
            stacklevel=3,
        )
    ranking = rank(weights, int(n), pool)
    extra = pl.DataFrame(
        {
            ORDINAL: rows[ranking.rows],
            "score": pl.Series(ranking.scores, dtype=pl.Float64).fill_nan(None),
            "reason": pl.Series(_reasons(weights, ranking, predictions, aggregate, names), dtype=pl.String),
        }
    )
    chosen = View(project, ITEM).at(rows[ranking.rows])
    return View(project, ITEM, chosen._ops, extra)


def _is_count(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and bool(n >= 0)


# -- what there is to choose from -----------------------------------------------------------------


def _excluded(project: Project, exclude: Excluded | Sequence[Excluded] | None) -> Rows:
    """Return the rows that any of the conditions holds for."""
    if exclude is None:
        return np.empty(0, np.uint32)
    single = isinstance(exclude, (pl.Expr, str, View)) or not isinstance(exclude, Sequence)
    parts: list[Any] = [exclude] if single else list(exclude)  # type: ignore[arg-type]
    found = [part.items().rows if isinstance(part, View) else project.items.filter(part).rows for part in parts]
    return np.unique(np.concatenate([np.empty(0, np.uint32), *found]))


def _the_run(project: Project, run: str | None) -> str:
    if run is not None:
        return project._run_named(run).name
    runs = list(project._snapshot().runs)
    if not runs:
        raise InputError(
            "There are no predictions to be unsure of.",
            'Call p.add_predictions("my model", probabilities) first, or take a strategy that needs none: '
            '"typicality", "coverage", "k_center", "cluster_balance", "random".',
        )
    if len(runs) > 1:
        named = ", ".join(f'"{name}"' for name in runs)
        raise InputError(f"There are {len(runs)} runs: {named}.", f'Say which: p.acquire(…, run="{runs[-1]}").')
    return runs[0]


def _with_vectors(
    project: Project, pool: Pool, rows: Rows, embedding: str | None, weights: Mapping[str, float]
) -> Pool:
    """Bring the vectors and, where it is read, the shared neighbour graph of the rows."""
    from ..embeddings.graph import Graph

    chosen = project.embeddings._named(embedding)
    order = np.searchsorted(chosen.rows, rows)
    place = np.minimum(order, max(len(chosen) - 1, 0))
    there = chosen.rows[place] == rows if len(chosen) else np.zeros(rows.size, bool)
    vectors = np.full((rows.size, chosen.dim), np.nan, np.float32)
    vectors[there] = chosen.vectors[place[there]]
    graph = None
    if len(chosen) and needs_graph(weights, int(there.sum()), balanced=pool.groups is not None):
        whole = chosen.graph
        renamed = np.full(len(chosen) + 1, -1, np.int32)
        renamed[place[there]] = np.flatnonzero(there).astype(np.int32)
        near = np.full((rows.size, whole.k), -1, np.int32)
        near[there] = renamed[whole.rows[place[there]]]
        gaps = np.full(near.shape, np.inf, np.float32)
        gaps[there] = whole.distances[place[there]]
        graph = Graph(near, np.where(near >= 0, gaps, np.inf).astype(np.float32))
    return Pool(pool.covered, pool.scores, vectors, graph, pool.groups, pool.seed)


def _classes(project: Project, rows: Rows, balance: str, predictions: _Predictions | None) -> pl.Series:
    """Return what the picks are to be spread over, a value a row."""
    if balance == PREDICTED:
        assert predictions is not None
        return predictions.classes_of_items(rows.size)
    frame = project._snapshot().items.frame
    if balance in frame.columns:
        return frame[balance].gather(rows).cast(pl.String)
    if balance == CLASS_NAME:
        raise InputError(
            "The project has no classes of images to balance by.", f'Pass balance="{PREDICTED}" for those of a run.'
        )
    raise unknown("column", str(balance), [*frame.columns, PREDICTED])


def _codes(names: pl.Series, candidates: NDArray[np.bool_], balance: str) -> I64:
    if candidates.any() and names.filter(pl.Series(candidates)).null_count() == int(candidates.sum()):
        raise InputError(
            f'None of the {int(candidates.sum()):,} items that are left has a value of "{balance}" to balance by.',
            f'Pass balance="{PREDICTED}" for the classes that a run predicts, or leave balance out.',
        )
    return (names.rank("dense").cast(pl.Int64) - 1).fill_null(-1).to_numpy()


# -- predictions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Predictions:
    """Predictions of one run on the rows of a pool.

    Attributes
    ----------
    places : (m,) int64
        The row of each.
    confidence : (m,) float64
        NaN where a model gave none.
    table : (m, k) float32
        Probabilities; empty where the run has none.
    listed : (m,) bool
        Which predictions have probabilities.
    names : list of str
        Classes of the columns of `table`.
    """

    detects: bool
    rows: int
    places: I64
    classes: pl.Series
    confidence: F64
    table: NDArray[np.float32]
    listed: NDArray[np.bool_]
    names: tuple[str, ...]

    @classmethod
    def of(cls, project: Project, run: str, rows: Rows) -> _Predictions:
        snapshot = project._snapshot()
        level, about = snapshot.levels[prediction_level(run)], snapshot.runs[run]
        where = pl.DataFrame({ITEM_ID: snapshot.items.frame[ITEM_ID].gather(rows)}).with_row_index("place")
        columns = [ITEM_ID, CLASS_NAME, CONFIDENCE, *([PROBABILITIES] if PROBABILITIES in level.columns else [])]
        frame = level.alive_frame().select(columns).join(where, on=ITEM_ID, how="inner", maintain_order="left")
        listed = np.zeros(frame.height, np.bool_)
        table = np.empty((0, 0), np.float32)
        if PROBABILITIES in frame.columns:
            listed = frame[PROBABILITIES].is_not_null().to_numpy()
            lists = frame[PROBABILITIES].drop_nulls()
            if lists.len():
                flat = lists.explode(empty_as_null=False, keep_nulls=False).to_numpy()
                table = np.zeros((frame.height, flat.size // lists.len()), np.float32)
                table[listed] = flat.reshape(lists.len(), -1)
        return cls(
            about.kind == "detection",
            rows.size,
            frame["place"].cast(pl.Int64).to_numpy(),
            frame[CLASS_NAME],
            frame[CONFIDENCE].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
            table,
            listed,
            about.classes,
        )

    def each(self, strategy: str) -> F64:
        """Score every prediction, (m,)."""
        if strategy == _OBJECT_CONFIDENCE:
            return 1 - self.confidence
        score = UNCERTAINTIES[strategy].score
        out = np.full(self.places.size, np.nan)
        single = ~self.listed & ~np.isnan(self.confidence)
        out[single] = score(bernoulli(self.confidence[single]))
        if self.listed.any():
            out[self.listed] = score(self.table[self.listed])
        return out

    def by_item(self, strategy: str, how: str, empty: float) -> F64:
        """Score every row."""
        return aggregate(self.each(strategy), self.places, self.rows, how, empty=empty)

    def most(self, strategy: str) -> float:
        """Return the highest score of one prediction."""
        k = self.table.shape[1] if self.listed.any() else 2
        return UNCERTAINTIES[strategy].most(k)

    def classes_of_items(self, n: int) -> pl.Series:
        """Return the predicted class of every row: of several objects the class that fewest images have."""
        frame = pl.DataFrame({"place": self.places, "class": self.classes, "confidence": self.confidence}).drop_nulls(
            "class"
        )
        if self.detects:
            rarity = frame.unique(["place", "class"]).group_by("class").len()
            frame = frame.join(rarity, on="class").sort("len", "class")
        else:
            frame = frame.with_columns(pl.col("confidence").fill_nan(-1)).sort("confidence", descending=True)
        first = frame.unique("place", keep="first", maintain_order=True).select("place", "class")
        every = pl.DataFrame({"place": np.arange(n)})
        return every.join(first, on="place", how="left", maintain_order="left")["class"]


# -- why ------------------------------------------------------------------------------------------


def _reasons(
    weights: Mapping[str, float],
    ranking: Ranking,
    predictions: _Predictions | None,
    how: str,
    names: pl.Series | None,
) -> list[str]:
    """Say why each row was taken, the weightiest strategy first."""
    parts: list[list[str]] = []
    for name in sorted(weights, key=lambda name: -weights[name]):
        facts = ranking.facts[name]
        if name in UNSURE:
            assert predictions is not None
            parts.append(_unsure(name, facts, ranking.rows, predictions, how))
        else:
            parts.append([_sentence(name, fact) for fact in facts.tolist()])
    if names is not None:
        taken = names.gather(ranking.rows).to_list()
        parts.append(
            [f'of "{name}" in turn' if name is not None else "of no class, so after the others" for name in taken]
        )
    late = np.isnan(ranking.scores)
    out = []
    for i, said in enumerate(zip(*parts, strict=True)):
        some = ["no embedding, so it comes last"] if late[i] else []
        out.append("; ".join([*some, *(text for text in said if text)]))
    return out


def _sentence(name: str, fact: float) -> str:
    """Put what a strategy that reads no predictions found in words; nothing where it found nothing."""
    if name == "random":
        return "drawn by chance"
    if np.isnan(fact):
        return ""
    if name == "k_center":
        if np.isinf(fact):
            return "a first image: nothing was chosen before"
        return f"{fact:.2f} (cosine distance) from the nearest image chosen or excluded before"
    if name == "facility_location":
        return f"adds {fact:.1f} to the similarity of all images to the nearest chosen one"
    if name == "typicality":
        return f"the most typical left in its cluster, of which {fact:.0f} were chosen or excluded before"
    return f"of a cluster of which {fact:.0f} were chosen or excluded before"


def _unsure(name: str, facts: F64, rows: I64, predictions: _Predictions, how: str) -> list[str]:
    each = predictions.each(name)
    counts = np.bincount(predictions.places, minlength=predictions.rows)[rows].tolist()
    # The least sure prediction of every row: written last.
    known = np.flatnonzero(~np.isnan(each))
    worst = np.full(predictions.rows, -1, np.int64)
    by_score = known[np.argsort(each[known], kind="stable")]
    worst[predictions.places[by_score]] = by_score
    out = []
    for fact, count, at in zip(facts.tolist(), counts, worst[rows].tolist(), strict=True):
        if at < 0:
            out.append(f"no prediction here: counted as {fact:.2f}")
            continue
        value = _value(name, fact, predictions, how if predictions.detects or count > 1 else "")
        if not predictions.detects:
            out.append(f"{value}: {_shares(predictions, at)}")
        else:
            objects = "1 object" if count == 1 else f"{count:,} objects"
            out.append(f"{value} of {objects}; the least sure: {_shares(predictions, at)}")
    return out


def _value(name: str, fact: float, predictions: _Predictions, how: str) -> str:
    word = f"{how} " if how else ""
    if name == _OBJECT_CONFIDENCE:
        said = {"mean": "mean confidence", "max": "lowest confidence"}.get(how, "confidence")
        if how == "sum":
            return f"confidence short of 1 by {fact:.2f} in all"
        return f"{said} {1 - fact:.2f}"
    unit = UNCERTAINTIES[name].unit
    limit = "" if how == "sum" else f" of at most {predictions.most(name):.2f}"
    return f"{word}{name.replace('_', ' ')} {fact:.2f}{limit}{unit}"


def _shares(predictions: _Predictions, at: int) -> str:
    """Name the two likeliest classes of a prediction, or the one with its confidence."""
    if predictions.listed[at]:
        row = predictions.table[at]
        top = np.argsort(-row, kind="stable")[:2].tolist()
        return ", ".join(f"{predictions.names[k]} {row[k]:.2f}" for k in top)
    return f"{predictions.classes[at] or 'no class'} {predictions.confidence[at]:.2f}"


__all__ = ["PREDICTED", "acquire"]
