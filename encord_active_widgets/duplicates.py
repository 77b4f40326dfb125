"""Groups of duplicates of a project, and which of each group to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from .errors import InputError, unknown
from .schema import CONTENT_HASH, DUPLICATE_GROUP, ORDINAL
from .view import View

if TYPE_CHECKING:
    from .levels import Level
    from .project import Project

KEEP_RULES = {"sharpest": "sharpness", "largest": "area", "first": ORDINAL}
_LARGEST_COSINE_DISTANCE = 2.0


class Duplicates:
    """Groups of exact and near duplicates.

    Attributes
    ----------
    df : pl.DataFrame
        The items that have a duplicate, with `duplicate_group`, group by group.

    Examples
    --------
    >>> p.duplicates().keep("sharpest").tag("drop")  # doctest: +SKIP
    """

    def __init__(self, project: Project, threshold: float | None) -> None:
        self._project = project
        level = project._snapshot().items
        if DUPLICATE_GROUP not in level.frame.columns or level.phash is None:
            raise InputError("Duplicates were not computed yet.", "Call p.compute() first.")
        frame = level.frame
        if threshold is not None:
            frame = frame.with_columns(_regrouped(project, level, threshold))
        if level.alive is not None:
            frame = frame.filter(pl.Series(level.alive))
        frame = frame.filter(pl.col(DUPLICATE_GROUP).is_not_null())
        self.df = frame.filter(pl.len().over(DUPLICATE_GROUP) > 1).sort(DUPLICATE_GROUP, ORDINAL)

    def __len__(self) -> int:
        return int(self.df[DUPLICATE_GROUP].n_unique()) if self.df.height else 0

    def __repr__(self) -> str:
        spare = self.df.height - len(self)
        return f"{len(self):,} groups of duplicates: {self.df.height:,} items, {spare:,} could go\n{self.df}"

    @property
    def view(self) -> View:
        """All items that have a duplicate."""
        return self._project.items.at(self.df[ORDINAL].to_numpy())

    def keep(self, rule: str = "sharpest") -> View:
        """Choose one item of each group to keep, and return the **others**.

        Parameters
        ----------
        rule : {"sharpest", "largest", "first"}
            Keep the one with the highest sharpness, with the most pixels, or the first added.
        """
        if rule not in KEEP_RULES:
            raise unknown("rule", rule, KEEP_RULES)
        best = self.df.sort(KEEP_RULES[rule], descending=rule != "first", nulls_last=True, maintain_order=True)
        kept = best.unique(DUPLICATE_GROUP, keep="first", maintain_order=True)[ORDINAL]
        others = self.df.filter(~pl.col(ORDINAL).is_in(kept.implode()))
        return self._project.items.at(others[ORDINAL].to_numpy())


def _regrouped(project: Project, level: Level, threshold: float) -> pl.Series:
    """Group again with another embedding distance."""
    from .metrics.duplicates import duplicate_groups
    from .pipeline import nullable_groups

    if not 0 <= threshold <= _LARGEST_COSINE_DISTANCE:
        raise InputError(f"The threshold {threshold} is no cosine distance.", "Give a number from 0 to 2.")
    name = project.embeddings.default
    if name is None:
        raise InputError("There are no embeddings yet.", "Call p.compute() first.")
    vectors = project.embeddings[name]
    assert level.phash is not None
    groups = duplicate_groups(
        level.frame[CONTENT_HASH].gather(vectors.rows),
        level.phash.gather(vectors.rows).fill_null(0).to_numpy(),
        vectors.graph,
        distance_threshold=threshold,
    )
    out = np.full(level.n, -1, np.int64)
    out[vectors.rows] = groups
    return nullable_groups(out)
