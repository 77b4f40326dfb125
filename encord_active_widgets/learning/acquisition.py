"""Which rows to label next: strategies by name over plain arrays, without a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encord_active_widgets.embeddings.graph import Graph
from encord_active_widgets.embeddings.rows import unit_rows
from encord_active_widgets.errors import InputError, unknown

from .coverage import EXACT_FACILITY_ROWS, cluster_balance, facility_location, k_center, typical_first
from .mixing import Clusters, Distance, Facility, Mixed, Ranked, Term, mix, ranks

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

UNSURE = ("entropy", "least_confidence", "margin", "variance", "object_confidence")
"""Strategies that read predictions."""
COVERING = ("typicality", "k_center", "facility_location", "coverage", "cluster_balance")
"""Strategies that read an embedding."""
STRATEGIES = (*UNSURE, *COVERING, "random")
MOST_TYPICAL_CLUSTERS = 500
"""Clusters of the strategy "typicality" at most, as in its paper."""
DIVERSE_WEIGHT = 0.5
"""Share of coverage in `diverse=True`."""
_FARTHEST = 2.0
"""Cosine distance that nothing exceeds: the score of a pick before which there is nothing."""


@dataclass(frozen=True)
class Pool:
    """Rows to choose from.

    Attributes
    ----------
    covered : (m,) bool
        Rows that are never chosen, and count as covered already.
    scores : mapping of str to (m,) float
        Of the strategies that read predictions; high = choose first.
    vectors : (m, d) float32, optional
        NaN in rows that have none: these come last.
    graph : Graph, optional
        Neighbours of `vectors`; `needs_graph` says whether it is read.
    groups : (m,) int, optional
        Classes to spread the picks over, from 0; -1 for none.
    seed : int
        Decides between equal rows, draws clusters and the strategy "random".
    """

    covered: Mask
    scores: Mapping[str, Values] = field(default_factory=dict)
    vectors: NDArray[np.float32] | None = None
    graph: Graph | None = None
    groups: NDArray[np.int64] | None = None
    seed: int = 0

    def __len__(self) -> int:
        return int(self.covered.size)

    @cached_property
    def points(self) -> NDArray[np.float32]:
        """Unit vectors of the rows, (m, d)."""
        assert self.vectors is not None
        return unit_rows(np.ascontiguousarray(self.vectors, np.float32))[0]

    def part(self, rows: NDArray[np.int64]) -> Pool:
        """Return some rows in this order; neighbours that are not among them are dropped."""
        graph = self.graph
        if graph is not None:
            place = np.full(len(self) + 1, -1, np.int32)
            place[rows] = np.arange(rows.size, dtype=np.int32)
            near = place[graph.rows[rows]]
            graph = Graph(near, np.where(near >= 0, graph.distances[rows], np.inf).astype(np.float32))
        return Pool(
            self.covered[rows],
            {name: values[rows] for name, values in self.scores.items()},
            None if self.vectors is None else self.vectors[rows],
            graph,
            None if self.groups is None else self.groups[rows],
            self.seed,
        )


@dataclass(frozen=True)
class Ranking:
    """Rows in the order to label them.

    Attributes
    ----------
    rows : (m,) int64
    scores : (m,) float64
        Never rising; NaN for rows without a vector where one is needed.
    facts : mapping of str to (m,) float64
        What each strategy said of a row when it was taken: its score, the cosine distance to the nearest row before
        ("k_center"), the similarity it adds ("facility_location"), the rows of its cluster that were taken or covered
        before ("typicality", "cluster_balance").
    """

    rows: NDArray[np.int64]
    scores: Values
    facts: Mapping[str, Values]


def weights_of(strategy: str | Mapping[str, float], *, diverse: bool = False) -> dict[str, float]:
    """Judge a strategy, or a mixture of several; returns weights that sum to 1.

    "coverage" is another name of "facility_location", which it is returned as.

    Parameters
    ----------
    strategy : str or mapping of str to float
    diverse : bool
        Give coverage as much weight as all others together, unless it is among them.

    Raises
    ------
    UnknownNameError
        There is no such strategy.
    InputError
        Weights that are negative, no numbers, or all 0.
    """
    given = {strategy: 1.0} if isinstance(strategy, str) else strategy
    if not isinstance(given, Mapping):
        raise InputError(f"A strategy is a name, not {given!r:.60}.", 'Write "entropy", or {"entropy": 0.5, …}.')
    found: dict[str, float] = {}
    for name, weight in given.items():
        if name not in STRATEGIES:
            raise unknown("strategy", str(name), STRATEGIES)
        if not _is_number(weight) or weight < 0:
            raise InputError(f'The weight of "{name}" is {weight!r}.', "Give a number from 0.")
        key = "facility_location" if name == "coverage" else name
        found[key] = found.get(key, 0.0) + float(weight)
    whole = sum(found.values())
    if whole <= 0:
        raise InputError(f"The mixture {dict(given)} weighs nothing.", 'Write {"entropy": 0.5, "coverage": 0.5}.')
    found = {name: weight / whole for name, weight in found.items() if weight > 0}
    if diverse and not {"k_center", "facility_location"} & found.keys():
        found = {name: weight * (1 - DIVERSE_WEIGHT) for name, weight in found.items()}
        found["facility_location"] = DIVERSE_WEIGHT
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))


def needs_vectors(weights: Mapping[str, float]) -> bool:
    """Tell whether a mixture reads an embedding."""
    return any(name in COVERING for name in weights)


def needs_graph(weights: Mapping[str, float], rows: int, *, balanced: bool = False) -> bool:
    """Tell whether a mixture reads the neighbour graph of a pool of so many rows."""
    if weights.keys() == {"facility_location"} and not balanced:
        return rows > EXACT_FACILITY_ROWS
    return not weights.keys().isdisjoint(("typicality", "facility_location"))


def rank(weights: Mapping[str, float], n: int, pool: Pool) -> Ranking:
    """Order the rows to label next.

    Parameters
    ----------
    weights : mapping of str to float
        As `weights_of` returns it.
    n : int
        How many; cut to the rows that are not covered.
    pool : Pool

    Returns
    -------
    Ranking

    Examples
    --------
    >>> pool = Pool(np.array([False, True, False]), {"margin": np.array([0.2, 0.9, 0.4])})
    >>> rank({"margin": 1.0}, 5, pool).rows.tolist()
    [2, 0]
    """
    n = min(n, int((~pool.covered).sum()))
    # Everything below takes the first of equal rows: shuffled, that is a draw by the seed.
    order = np.random.default_rng(pool.seed).permutation(len(pool)).astype(np.int64)
    late = np.empty(0, np.int64)
    if needs_vectors(weights):
        assert pool.vectors is not None
        there = np.asarray(np.isfinite(pool.vectors).all(axis=1))[order]
        order, late = order[there], order[~there]
    ranking = _ranked(weights, n, pool.part(order))
    rows = order[ranking.rows]
    if rows.size == n:
        return Ranking(rows, ranking.scores, ranking.facts)
    own = {name: weight for name, weight in weights.items() if name not in COVERING} or {"random": 1.0}
    rest = _ranked(own, n - rows.size, pool.part(late))
    nothing = np.full(rest.rows.size, np.nan)
    return Ranking(
        np.concatenate([rows, late[rest.rows]]),
        np.concatenate([ranking.scores, nothing]),
        {name: np.concatenate([ranking.facts[name], rest.facts.get(name, nothing)]) for name in weights},
    )


def _ranked(weights: Mapping[str, float], n: int, pool: Pool) -> Ranking:
    """Order rows that all have what is needed; of equal rows the first."""
    n = min(n, int((~pool.covered).sum()))
    rng = np.random.default_rng(pool.seed)
    if len(weights) == 1 and pool.groups is None and n:
        (name,) = weights
        if name in COVERING:
            return _covering(name, n, pool, rng)
    if n == 0:
        return Ranking(np.empty(0, np.int64), np.empty(0), {name: np.empty(0) for name in weights})
    terms = [(weight, _term(name, pool, n, rng)) for name, weight in weights.items()]
    mixed = mix(terms, n, ~pool.covered, pool.groups)
    facts = {name: mixed.facts[:, i] for i, name in enumerate(weights)}
    return Ranking(mixed.rows, _scores(weights, mixed, pool), facts)


def _scores(weights: Mapping[str, float], mixed: Mixed, pool: Pool) -> Values:
    if pool.groups is not None or ("random" in weights and len(weights) == 1):
        return _places(mixed.rows.size)
    return mixed.facts[:, 0] if len(weights) == 1 else mixed.values


def _places(n: int) -> Values:
    """Return 1 for the first, falling in equal steps towards 0: scores where rows are taken in turns."""
    found: Values = 1 - np.arange(n) / max(n, 1)
    return found


def _covering(name: str, n: int, pool: Pool, rng: np.random.Generator) -> Ranking:
    if name == "k_center":
        picks = k_center(pool.points, n, pool.covered)
        gaps = picks.gains**2 / 2
        return Ranking(picks.rows, np.minimum(gaps, _FARTHEST), {name: gaps})
    if name == "facility_location":
        graph = pool.graph if len(pool) > EXACT_FACILITY_ROWS else None
        picks = facility_location(pool.points, n, pool.covered, graph=graph)
        return Ranking(picks.rows, picks.gains, {name: picks.gains})
    owners = _clusters(name, pool, n, rng)
    if name == "typicality":
        picks = typical_first(_typicality(pool), owners, n, pool.covered)
    else:
        picks = cluster_balance(owners, n, pool.covered, rng=rng)
    had = np.bincount(owners[pool.covered], minlength=int(owners.max(initial=0)) + 1)
    before = np.empty(picks.rows.size)
    for i, owner in enumerate(owners[picks.rows].tolist()):
        before[i] = had[owner]
        had[owner] += 1
    return Ranking(picks.rows, _places(picks.rows.size), {name: before})


def _term(name: str, pool: Pool, n: int, rng: np.random.Generator) -> Term:
    if name == "k_center":
        return Distance(pool.points, pool.covered)
    if name == "facility_location":
        assert pool.graph is not None
        return Facility(pool.graph, pool.covered)
    if name == "random":
        return Ranked(rng.random(len(pool)), ~pool.covered)
    if name in COVERING:
        owners = _clusters(name, pool, n, rng)
        typical = ranks(_typicality(pool)) if name == "typicality" else None
        return Clusters(owners, pool.covered, typical)
    return Ranked(pool.scores[name], ~pool.covered)


def _typicality(pool: Pool) -> Values:
    from encord_active_widgets.metrics.neighbours import typicality

    assert pool.graph is not None
    return typicality(pool.graph).astype(np.float64)


def _clusters(name: str, pool: Pool, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    from encord_active_widgets.metrics.neighbours import projected, spherical_kmeans

    wanted = None
    if name == "typicality":
        wanted = int(np.clip(int(pool.covered.sum()) + n, 1, MOST_TYPICAL_CLUSTERS))
    return spherical_kmeans(projected(pool.points, rng), rng, wanted)


__all__ = ["COVERING", "STRATEGIES", "UNSURE", "Pool", "Ranking", "needs_graph", "needs_vectors", "rank", "weights_of"]
