"""Mixtures of acquisition strategies: one greedy order over weighted terms, and class balance.

Every term says what each row would add now, from 0 to 1. What a row is by itself (its uncertainty, its typicality)
enters by its rank among the candidates, so that nats and distances can be weighed against each other. What it adds to
the rows chosen before it (the distance to the nearest of them, the rows it newly stands for) is divided by the
largest such gain at the start, and falls as rows are chosen. The row with the greatest weighted sum is taken, and so
on: relevance minus redundancy, as in maximal marginal relevance (Carbonell & Goldstein 1998); where the terms are
ranks and facility location the sum is submodular, and the greedy order within 1 - 1/e of the best (Wei, Iyer & Bilmes
2015). No term ever grows, so neither does the sum along the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings.farthest import Reach
from encord_active_widgets.embeddings.graph import Graph

from .coverage import GraphFacility, in_rounds

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Term(Protocol):
    """One part of a mixture."""

    @property
    def gains(self) -> Values:
        """What each row would add now, from 0 to 1, (m,)."""

    def fact(self, row: int) -> float:
        """Return the same of one row in the strategy's own unit, for the sentence that says why."""

    def pick(self, row: int) -> None:
        """Count a row as chosen."""


class Ranked:
    """A score that does not depend on what is chosen, by its rank among the candidates.

    Parameters
    ----------
    scores : (m,) float
        High = choose first.
    candidates : (m,) bool
    """

    def __init__(self, scores: ArrayLike, candidates: Mask) -> None:
        self._scores = np.asarray(scores, np.float64)
        self.gains: Values = np.zeros(self._scores.size)
        self.gains[candidates] = ranks(self._scores[candidates])

    def fact(self, row: int) -> float:
        """Return the score."""
        return float(self._scores[row])

    def pick(self, row: int) -> None:
        """Change nothing."""


class Distance:
    """The distance to the nearest row that is covered or chosen: k-center's gain.

    Parameters
    ----------
    points : (m, d) float32
        Unit vectors.
    covered : (m,) bool
    """

    def __init__(self, points: NDArray[np.float32], covered: Mask) -> None:
        self._reach = Reach(points)
        if covered.any():
            self._reach.add_all(np.flatnonzero(covered))
        self._largest = self._scale()

    def _scale(self) -> float:
        squared = self._reach.squared
        return float(squared.max(initial=0)) if squared.size and np.isfinite(squared).all() else np.inf

    @property
    def gains(self) -> Values:
        """Euclidean distances as shares of the largest at the start; 1 for all while nothing is chosen."""
        squared = np.maximum(self._reach.squared, 0)
        if np.isinf(self._largest):
            return np.ones(squared.size)
        if self._largest == 0:
            return np.zeros(squared.size)
        found: Values = np.sqrt(squared / self._largest)
        return found

    def fact(self, row: int) -> float:
        """Return the cosine distance to the nearest row before; infinite for the first."""
        return float(self._reach.squared[row]) / 2

    def pick(self, row: int) -> None:
        """Make a row a centre."""
        self._reach.add(row)
        if np.isinf(self._largest):
            self._largest = self._scale()


class Facility:
    """What a row would newly stand for on a neighbour graph: facility location's gain."""

    def __init__(self, graph: Graph, covered: Mask) -> None:
        self._standing = GraphFacility(graph, covered)
        left = self._standing.gains[~covered]
        self._largest = float(left.max(initial=0)) or 1.0

    @property
    def gains(self) -> Values:
        """Gains as shares of the largest at the start."""
        return self._standing.gains / self._largest

    def fact(self, row: int) -> float:
        """Return the sum of similarity that a row adds."""
        return float(self._standing.gains[row])

    def pick(self, row: int) -> None:
        """Let a row stand for its neighbours."""
        self._standing.pick(row)


class Clusters:
    """How few rows of a row's cluster are covered or chosen, times a score of its own.

    Parameters
    ----------
    owners : (m,) int
        Clusters from 0.
    covered : (m,) bool
    scores : (m,) float, optional
        From 0 to 1, such as the rank of typicality; 1 by default.
    """

    def __init__(self, owners: NDArray[np.int64], covered: Mask, scores: Values | None = None) -> None:
        self._owners = owners
        self._had = np.bincount(owners[covered], minlength=int(owners.max(initial=0)) + 1)
        self._scores = np.ones(owners.size) if scores is None else scores
        self._largest = 1.0
        self._largest = float(self.gains[~covered].max(initial=0)) or 1.0

    @property
    def gains(self) -> Values:
        """The score, divided by 1 + the rows of the cluster that are covered or chosen."""
        return self._scores / ((1 + self._had[self._owners]) * self._largest)

    def fact(self, row: int) -> float:
        """Return how many rows of the cluster are covered or chosen."""
        return float(self._had[self._owners[row]])

    def pick(self, row: int) -> None:
        """Count a row in its cluster."""
        self._had[self._owners[row]] += 1


@dataclass(frozen=True)
class Mixed:
    """Rows in the order they were taken.

    Attributes
    ----------
    rows : (m,) int64
    values : (m,) float64
        Weighted sums when they were taken, from 0 to 1.
    facts : (m, t) float64
        What each term said of the row then, in its own unit.
    """

    rows: NDArray[np.int64]
    values: Values
    facts: Values


def mix(
    terms: Sequence[tuple[float, Term]], n: int, candidates: Mask, groups: NDArray[np.int64] | None = None
) -> Mixed:
    """Take rows greedily by the weighted sum of terms; of equal rows the first.

    Parameters
    ----------
    terms : sequence of (weight, Term)
        Weights are scaled to sum to 1.
    n : int
        How many; cut to the candidates.
    candidates : (m,) bool
    groups : (m,) int, optional
        Classes from 0, -1 for none: each time a row of the class that has been taken least, among these the one with
        the greatest sum. Rows of no class come last.

    Returns
    -------
    Mixed
    """
    whole = sum(weight for weight, _ in terms)
    n = min(n, int(candidates.sum()))
    if all(isinstance(term, Ranked) for _, term in terms):
        return _sorted([(weight / whole, term) for weight, term in terms], n, candidates, groups)
    left = candidates.copy()
    rows, values, facts = np.empty(n, np.int64), np.empty(n), np.empty((n, len(terms)))
    turns = None if groups is None else _Turns(groups)
    for i in range(n):
        total = np.zeros(left.size)
        for weight, term in terms:
            total += weight / whole * term.gains
        total[~(left if turns is None else turns.next(left))] = -1
        row = int(total.argmax())
        rows[i], values[i] = row, total[row]
        left[row] = False
        for t, (_, term) in enumerate(terms):
            facts[i, t] = term.fact(row)
            term.pick(row)
        if turns is not None:
            turns.take(row)
    return Mixed(rows, values, facts)


def _sorted(terms: Sequence[tuple[float, Term]], n: int, candidates: Mask, groups: NDArray[np.int64] | None) -> Mixed:
    """Do the same where no term changes: a sort."""
    total = np.zeros(candidates.size)
    for weight, term in terms:
        total += weight * term.gains
    left = np.flatnonzero(candidates)
    if groups is None:
        rows = left[np.argsort(-total[left], kind="stable")][:n]
    else:
        classed = left[groups[left] >= 0]
        others = left[groups[left] < 0]
        others = others[np.argsort(-total[others], kind="stable")]
        rows = np.concatenate([classed[in_rounds(groups[classed], total[classed])], others])[:n]
    facts = [[term.fact(row) for _, term in terms] for row in rows.tolist()]
    return Mixed(rows, total[rows], np.array(facts, np.float64).reshape(rows.size, len(terms)))


class _Turns:
    """Whose turn it is: rows of the classes taken least, of no class only when there are no others."""

    def __init__(self, groups: NDArray[np.int64]) -> None:
        self._groups = groups
        self._taken = np.zeros(int(groups.max(initial=-1)) + 2, np.int64)
        self._taken[-1] = np.iinfo(np.int64).max  # that of -1

    def next(self, left: Mask) -> Mask:
        taken = self._taken[self._groups]
        due: Mask = left & (taken == taken[left].min())
        return due

    def take(self, row: int) -> None:
        if self._groups[row] >= 0:
            self._taken[self._groups[row]] += 1


def ranks(values: Values) -> Values:
    """Return each value's place among all, from 0 (lowest) to 1; equal values share the middle of theirs.

    >>> ranks(np.array([5.0, 1.0, 5.0])).tolist()
    [0.75, 0.0, 0.75]
    """
    if values.size <= 1:
        return np.ones(values.size)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    above = np.cumsum(counts)
    middle = above - (counts + 1) / 2
    found: Values = middle[place] / (values.size - 1)
    return found


__all__ = ["Clusters", "Distance", "Facility", "Mixed", "Ranked", "Term", "mix", "ranks"]
