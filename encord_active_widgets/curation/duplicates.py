"""Groups of duplicates of a project: stacks to look at, which of each to keep, and what is no duplicate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..computing.duplicate_stage import pairs_of
from ..content.duplicate_pairs import within
from ..errors import InputError, unknown
from ..schema import DUPLICATE_GROUP, GROUP, ITEM, ITEM_ID, ORDINAL, SPLIT, URI
from ..store.rows import encode_rows
from ..view import View

if TYPE_CHECKING:
    from ..metrics.duplicate_pairs import DuplicatePairs
    from ..project import Project
    from ..widgets.explorer import Explorer

LABEL_COUNT = "label_count"
KEEP_RULES = {
    "sharpest": ("sharpness", "area"),
    "largest": ("area", "sharpness"),
    "most_labelled": (LABEL_COUNT, "sharpness", "area"),
    "first": (),
}
"""What decides, and then what decides between equals; the one added first in the end."""
_LARGEST_COSINE_DISTANCE = 2.0
_SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "dev"})
_STATE = ("distance", "kind", "leak")


class Duplicates:
    """Groups of exact and near duplicates.

    Attributes
    ----------
    df : pl.DataFrame
        The items that have a duplicate, group by group: the columns of `p.df`, and

        - `duplicate_group`: the number of the group;
        - `distance`: cosine distance (Float32) to the nearest of its group, 0 for equal files, of a mirrored
          copy that to the mirror image; null where it is not known;
        - `kind`: `"exact"` (equal bytes as another), `"near"`, or `"mirrored"` (left and right exchanged);
        - `leak`: whether its group lies in several splits.
    threshold : float
        The cosine distance up to which neighbours count; see `Project.duplicates`.

    Examples
    --------
    >>> d = p.duplicates()                        # doctest: +SKIP
    >>> d.groups.filter("leak")                   # doctest: +SKIP
    >>> d.not_duplicates(d.stack(3))              # doctest: +SKIP
    >>> p.duplicates().keep("sharpest").remove()  # doctest: +SKIP
    """

    def __init__(
        self,
        project: Project,
        threshold: float | None = None,
        view: View | None = None,
        *,
        pairs: DuplicatePairs | None = None,
    ) -> None:
        from ..metrics.duplicate_pairs import DISTANCE_THRESHOLD

        self._project = project
        try:
            self.threshold = DISTANCE_THRESHOLD if threshold is None else float(threshold)
        except (TypeError, ValueError) as error:
            raise InputError(f"threshold={threshold!r:.80} is no distance.", "Give one from 0 to 2.") from error
        if not 0 <= self.threshold <= _LARGEST_COSINE_DISTANCE:
            raise InputError(f"The threshold {threshold} is no cosine distance.", "Give a number from 0 to 2.")
        if view is not None and view.level != ITEM:
            raise InputError(f"A view of {view.level}s has no duplicates.", "Give its items: view.items().")
        self._view = view
        self._level = project._snapshot().items
        self._pairs = pairs_of(project) if pairs is None else pairs
        self.df = self._members()

    def __len__(self) -> int:
        return int(self.df[DUPLICATE_GROUP].n_unique()) if self.df.height else 0

    def __repr__(self) -> str:
        spare = self.df.height - len(self)
        leaks = self.groups["leak"].sum()
        told = f", {leaks:,} in several splits" if leaks else ""
        return f"{len(self):,} groups of duplicates{told}: {self.df.height:,} items, {spare:,} could go\n{self.df}"

    # -- what there is ------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """All items that have a duplicate."""
        return self._at(self.df)

    @property
    def groups(self) -> pl.DataFrame:
        """One row a group: `duplicate_group`, `size`, `kind`, `splits`, `leak`, `distance`.

        `kind` is `"exact"` where all files are equal, `"mirrored"` where one is mirrored, else `"near"`;
        `splits` lists the splits it lies in (the column `split`, or `group` where that names splits);
        `leak` says that these are several; `distance` is the largest of its items'.
        """
        split = split_column(self.df)
        names = pl.lit(None, dtype=pl.String) if split is None else pl.col(split).cast(pl.String)
        return self.df.group_by(DUPLICATE_GROUP, maintain_order=True).agg(
            pl.len().cast(pl.Int64).alias("size"),
            pl.when((pl.col("kind") == "exact").all())
            .then(pl.lit("exact"))
            .when((pl.col("kind") == "mirrored").any())
            .then(pl.lit("mirrored"))
            .otherwise(pl.lit("near"))
            .alias("kind"),
            names.drop_nulls().unique().sort().alias("splits"),
            pl.col("leak").first(),
            pl.col("distance").max(),
        )

    @property
    def leaks(self) -> View:
        """The items of groups that lie in several splits: what a model is tested on, it has seen."""
        return self._at(self.df.filter("leak"))

    def stack(self, group: int) -> View:
        """Return the items of one group, by its number in `duplicate_group`.

        Parameters
        ----------
        group : int
            As in `df` and `groups`.

        Raises
        ------
        UnknownNameError
            There is no such group.
        """
        chosen = self.df.filter(pl.col(DUPLICATE_GROUP) == group)
        if chosen.is_empty():
            raise unknown("group of duplicates", str(group), map(str, self.df[DUPLICATE_GROUP].unique().to_list()))
        return self._at(chosen)

    # -- what to do with it -------------------------------------------------------------------

    def keep(self, rule: str = "sharpest") -> View:
        """Choose one item of each group to keep, and return the **others**, to tag or to remove.

        Parameters
        ----------
        rule : {"sharpest", "largest", "most_labelled", "first"}
            Keep the one with the highest sharpness (of equals the one with the most pixels), with the most
            pixels (the sharpest), with the most objects and classes (the sharpest, the one with the most
            pixels), or the one added first, which also decides between what is equal in all of these. A
            missing value is less than any other.

        Returns
        -------
        View
            Fixed, with the columns `kept` (the id of the one to keep in its place) and `distance`.

        Examples
        --------
        >>> p.duplicates().keep("largest").tag("drop")  # one edit; p.undo() takes it back  # doctest: +SKIP
        """
        chosen = self.kept_rows(rule)
        by_group = self.df.filter(pl.col(ORDINAL).is_in(pl.Series(chosen).implode()))
        kept = by_group.select(DUPLICATE_GROUP, pl.col(ITEM_ID).alias("kept"))
        others = self.df.filter(~pl.col(ORDINAL).is_in(pl.Series(chosen).implode()))
        extra = others.select(ORDINAL, DUPLICATE_GROUP, "distance").join(
            kept, on=DUPLICATE_GROUP, how="left", maintain_order="left"
        )
        view = self._at(others)
        return View(self._project, ITEM, view._ops, extra.select(ORDINAL, "kept", "distance"))

    def kept_rows(self, rule: str = "sharpest") -> NDArray[np.uint32]:
        """Return the ordinal of the item that a rule keeps, group by group; see `keep`."""
        if rule not in KEEP_RULES:
            raise unknown("rule", rule, KEEP_RULES)
        frame = self.df
        if LABEL_COUNT in KEEP_RULES[rule]:
            frame = frame.with_columns(self._label_counts())
        names = [n for n in KEEP_RULES[rule] if n in frame.columns]
        best = frame.select(
            DUPLICATE_GROUP,
            ORDINAL,
            *(pl.col(n).fill_nan(None) if frame.schema[n].is_float() else pl.col(n) for n in names),
        ).sort([DUPLICATE_GROUP, *names, ORDINAL], descending=[False, *(True for _ in names), False], nulls_last=True)
        kept = best.unique(DUPLICATE_GROUP, keep="first", maintain_order=True)
        return kept[ORDINAL].to_numpy().astype(np.uint32)

    def looked_at(self, rule: str) -> NDArray[np.float32]:
        """Return what a rule looks at first, of each row of `df`; NaN where it is missing, or nothing is."""
        name = next(iter(KEEP_RULES[rule]), None)
        if name == LABEL_COUNT:
            return self._label_counts().cast(pl.Float32).to_numpy()
        if name is None or name not in self.df.columns:
            return np.full(self.df.height, np.nan, np.float32)
        return self.df[name].cast(pl.Float32).fill_null(float("nan")).to_numpy()

    def not_duplicates(self, items: View | Sequence[str] | pl.Series) -> Duplicates:
        """Say that items are no duplicates of each other, for good; return the groups that are left.

        See `Project.not_duplicates`.

        Parameters
        ----------
        items : View or ids
            Two items or more.
        """
        self._project.not_duplicates(items)
        return Duplicates(self._project, self.threshold, self._view)

    def explore(self, *, rule: str = "sharpest", **options: Any) -> Explorer:
        """Open the groups as stacks in the notebook cell: look, move the threshold, keep, tag, remove.

        Parameters
        ----------
        rule : str
            Which of each stack is kept at first; see `keep`.
        **options
            As `Project.explore` takes them.

        Returns
        -------
        Explorer
            The last line of the cell shows it.

        Raises
        ------
        UnknownNameError
            There is no such rule.
        """
        if rule not in KEEP_RULES:
            raise unknown("rule", rule, KEEP_RULES)
        return self._project._stacks(self, rule, **options)

    # -- inside -------------------------------------------------------------------------------

    def _at(self, frame: pl.DataFrame) -> View:
        return self._project.items.at(frame[ORDINAL].to_numpy())

    def _members(self) -> pl.DataFrame:
        """Return the items that have a duplicate, with what is known of each."""
        level = self._level
        groups, distance, kind = grouped(self._pairs, level.n, self.threshold, level.edits.apart)
        member = groups >= 0
        if level.alive is not None:
            member &= level.alive
        if self._view is not None:
            mine = np.zeros(level.n, np.bool_)
            mine[self._view.rows] = True
            member &= mine
        counts = np.bincount(groups[member], minlength=1)
        rows = np.flatnonzero(member)
        rows = rows[counts[groups[rows]] > 1]
        rows = rows[np.argsort(groups[rows], kind="stable")]
        frame = level.frame[rows].drop(DUPLICATE_GROUP, *_STATE, strict=False)
        frame = frame.with_columns(
            pl.Series(DUPLICATE_GROUP, groups[rows]),
            pl.Series("distance", distance[rows]).fill_nan(None),
            pl.Series("kind", kind)[rows],
        )
        split = split_column(frame)
        leak = pl.lit(value=False) if split is None else pl.col(split).drop_nulls().n_unique().over(DUPLICATE_GROUP) > 1
        first = [ITEM_ID, URI, DUPLICATE_GROUP, "distance", "kind", "leak", *([split] if split else [])]
        return frame.with_columns(leak.alias("leak")).select(*first, pl.all().exclude(first))

    def _label_counts(self) -> pl.Series:
        """Count the objects and classes on each of the items."""
        level = self._level
        counts = np.zeros(level.n, np.int64)
        for below in level.below:
            if below.item_rows is not None and below.n:
                rows = below.item_rows.to_numpy()
                counts += np.bincount(rows if below.alive is None else rows[below.alive], minlength=level.n)
        return pl.Series(LABEL_COUNT, counts[self.df[ORDINAL].to_numpy()])


def grouped(
    pairs: DuplicatePairs, n: int, threshold: float, apart: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.float32], pl.Series]:
    """Group items by pairs; return group, distance to the nearest of the group, and kind of each item.

    Returns
    -------
    groups : (n,) int64
        -1 = alone.
    distance : (n,) float32
        NaN where it is not known.
    kind : (n,) strings
    """
    from ..metrics.duplicate_pairs import KINDS
    from ..metrics.duplicates import groups_at

    known = within(pairs, n)
    groups = groups_at(n, known, threshold, apart)
    inside = known.at(threshold)
    inside = inside[(groups[inside.left] >= 0) & (groups[inside.left] == groups[inside.right])]
    ends = np.concatenate([inside.left, inside.right])
    distance = np.full(n, np.inf, np.float32)
    np.minimum.at(distance, ends, np.nan_to_num(np.tile(inside.distance, 2), nan=np.inf))
    kind = np.full(n, len(KINDS), np.uint8)
    np.minimum.at(kind, ends, np.tile(inside.kind, 2))
    names = pl.Series([*KINDS, None], dtype=pl.String).gather(kind)
    return groups, np.where(np.isfinite(distance), distance, np.float32(np.nan)), names


def split_column(frame: pl.DataFrame) -> str | None:
    """Return the column that says to which split an item belongs: `split`, or `group` where it names splits."""
    if SPLIT in frame.columns:
        return SPLIT
    if GROUP not in frame.columns:
        return None
    names = frame[GROUP].drop_nulls().unique().str.to_lowercase().to_list()
    return GROUP if names and all(name in _SPLIT_NAMES for name in names) else None


def say_apart(project: Project, items: View | Sequence[str] | pl.Series, *, cause: str = "python") -> View:
    """Remember that items are no duplicates of each other; see `Project.not_duplicates`."""
    view = items if isinstance(items, View) else project.items.by_ids(items)
    if view.level != ITEM:
        raise InputError(f"A view of {view.level}s has no duplicates.", "Give its items: view.items().")
    chosen = view._fixed()
    if len(chosen) < 2:
        raise InputError(
            f"{len(chosen)} item cannot be told apart from others.", "Give two items or more, such as dups.stack(0)."
        )
    project._edit(ITEM, "apart", rows=encode_rows(chosen.rows), cause=cause, code="p.not_duplicates(view)")
    return chosen
