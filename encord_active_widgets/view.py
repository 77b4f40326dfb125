"""A view: a filtered, sorted slice of one level, with the same verbs as the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .content.levels import Level
from .errors import InputError, unknown, whole_number
from .schema import CLASSIFICATION, ITEM, ITEM_ID, OBJECT, ORDINAL, PREDICTION, TAGS, prediction_level, run_of
from .verbs.view_edits import ViewEdits
from .verbs.view_exports import ViewExports
from .verbs.view_query import FILTER, HEAD, ROWS, SORT, Op, compile_steps, no_column, valid_expression

if TYPE_CHECKING:
    from .computing.embedding_set import EmbeddingSet
    from .computing.vectors import EmbeddingSets
    from .embeddings.embedder import Embedder
    from .models.evaluated import Evaluation
    from .project import Project
    from .widgets.explorer import Explorer

Rows = NDArray[np.uint32]
SCORE_COLUMNS = ("distance", "score", "reason")


class View(ViewEdits, ViewExports):
    """An immutable slice of the items (or labels) of a project.

    A view made by `filter` is an expression: it is evaluated against the current state each
    time it is asked. A view made from ids, such as `explorer.selection` or `view.sample`,
    stays what was selected. Nothing selected is an empty view, never everything.

    Examples
    --------
    >>> dark = p.filter(pl.col("brightness") < 0.2, ~ea.tagged("reviewed"))  # doctest: +SKIP
    >>> len(dark), dark.df, dark.ids  # doctest: +SKIP
    """

    __slots__ = ("_extra", "_level", "_ops", "_project")

    def __init__(
        self, project: Project, level: str = ITEM, ops: tuple[Op, ...] = (), extra: pl.DataFrame | None = None
    ) -> None:
        self._project = project
        self._level = level
        self._ops = ops
        self._extra = extra  # columns by ordinal that belong to this view alone: distance, score, reason

    # -- what it is ---------------------------------------------------------------------

    @property
    def project(self) -> Project:
        """The project this view looks at."""
        return self._project

    @property
    def level(self) -> str:
        """`"item"`, `"object"`, `"classification"`, `"label"` for the last two together, or `"prediction:<run>"`."""
        return self._level

    @property
    def df(self) -> pl.DataFrame:
        """The rows as a frame: ids, address, metadata, metrics and `tags: List(String)`."""
        level = self._state()
        rows = self._rows(level)
        # Find the rows with the few columns that decide, then fetch the others for these rows only.
        whole = rows.size == level.n and not self._ops
        frame = level.frame if whole else level.frame[rows]
        out = frame.with_columns(level.tags_of(rows))
        if self._extra is not None:
            out = out.drop(self._own_columns, strict=False)
            out = out.join(self._extra, on=ORDINAL, how="left", maintain_order="left")
        return out

    @property
    def lf(self) -> pl.LazyFrame:
        """The same rows as a lazy frame."""
        return self.df.lazy()

    @property
    def rows(self) -> Rows:
        """Ordinals (u32) of the rows, in the view's order."""
        return self._rows(self._state())

    @property
    def ids(self) -> pl.Series:
        """Ids of the rows, in the view's order."""
        level = self._state()
        return level.frame[level.key].gather(self._rows(level))

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `df`."""
        own = self._own_columns
        return [*(c for c in self._state().frame.columns if c not in own), TAGS, *own]

    @property
    def tags(self) -> pl.DataFrame:
        """How many rows of this view carry each tag: `tag`, `count`."""
        level, rows = self._state(), self.rows
        counts = [(k, int(v[rows].sum())) for k, v in level.edits.tags.items()]
        return pl.DataFrame(counts, schema={"tag": pl.String, "count": pl.Int64}, orient="row")

    def __len__(self) -> int:
        return int(self._rows(self._state()).size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.df.iter_rows(named=True)

    def __repr__(self) -> str:
        total = len(View(self._project, self._level))
        noun = PREDICTION if run_of(self._level) is not None else self._level
        return f"View of {len(self):,} of {total:,} {noun}s in {self._project.name!r}\n{self.df}"

    # -- narrower views -----------------------------------------------------------------

    def filter(self, *exprs: pl.Expr | str) -> View:
        """Keep the rows where every Polars expression is true.

        Parameters
        ----------
        *exprs : polars.Expr or str
            Conditions; all must hold. A text is read as a condition in SQL or as a Polars expression, never executed.

        Returns
        -------
        View
            Evaluated against the current state each time it is asked.

        Raises
        ------
        UnknownNameError
            An expression names a column that does not exist; the nearest names are offered.

        Examples
        --------
        >>> view.filter(pl.col("blur") > 0.6, ea.untagged())  # doctest: +SKIP
        """
        level = self._state()
        checked = tuple(valid_expression(e, level, self._extra) for e in exprs)
        return self._with((FILTER, checked))

    def sort(self, by: str | pl.Expr, *, descending: bool = False) -> View:
        """Order the rows by a column; rows without a value come last.

        Parameters
        ----------
        by : str or polars.Expr
            A column, or what to order by.
        descending : bool
            The largest first.

        Returns
        -------
        View
            In that order.

        Raises
        ------
        UnknownNameError
            There is no such column; the nearest names are offered.
        """
        level = self._state()
        if not isinstance(by, (str, pl.Expr)):
            raise InputError(f"{by!r:.80} is nothing to sort by.", "Give a column, or a Polars expression.")
        names = [by] if isinstance(by, str) else by.meta.root_names()
        for name in names:
            self._known(name, level)
        return self._with((SORT, by, descending))

    def head(self, n: int = 10) -> View:
        """Keep the first `n` rows.

        Parameters
        ----------
        n : int
            How many; all, where there are fewer.

        Returns
        -------
        View
            The first rows.

        Raises
        ------
        InputError
            `n` is negative.
        """
        return self._with((HEAD, whole_number("n", n)))

    def sample(self, n: int, *, seed: int = 0) -> View:
        """Draw `n` rows at random without repetition; the same seed draws the same rows.

        Asking for more rows than there are gives all of them.

        Parameters
        ----------
        n : int
            How many rows.
        seed : int
            The same seed draws the same rows.

        Returns
        -------
        View
            Fixed: it stays these rows, in their order.

        Raises
        ------
        InputError
            `n` is negative.
        """
        rows, n = self.rows, whole_number("n", n)
        chosen = np.random.default_rng(seed).choice(rows.size, size=min(n, rows.size), replace=False)
        return self.at(rows[np.sort(chosen)])

    def at(self, rows: Sequence[int] | NDArray[np.integer]) -> View:
        """Return the fixed view of these ordinals, in this order; columns of this view alone are kept.

        Parameters
        ----------
        rows : sequence of int
            Ordinals: the column `ordinal` of `df`.

        Returns
        -------
        View
            Fixed.

        Raises
        ------
        InputError
            An ordinal is not among the rows.
        """
        try:
            array = np.atleast_1d(np.asarray(rows, dtype=np.int64))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{rows!r:.80} are no rows.", "Give a list of ordinals.") from error
        n = self._state().n
        if array.size and (array.min() < 0 or array.max() >= n):
            wrong = int(array[(array < 0) | (array >= n)][0])
            raise InputError(f"Row {wrong} is not among the {n:,} rows.", "Give ordinals below the row count.")
        return self._made(((ROWS, array.astype(np.uint32)),))

    def by_ids(self, ids: Sequence[str] | pl.Series) -> View:
        """Return the fixed view of these ids, in this order; unknown ids raise.

        Parameters
        ----------
        ids : sequence of str, or pl.Series
            As in the columns `item_id` or `label_id`.

        Returns
        -------
        View
            Fixed.

        Raises
        ------
        UnknownNameError
            There is no row with such an id.
        """
        level = self._state()
        try:
            named = pl.Series(level.key, ids, dtype=pl.String)
        except TypeError as error:
            raise InputError(f"{ids!r:.80} are no ids.", "Give a list of texts.") from error
        wanted = named.to_frame()
        found = wanted.join(level.frame.select(level.key, ORDINAL), on=level.key, how="left", maintain_order="left")
        missing = found.filter(pl.col(ORDINAL).is_null())[level.key]
        if missing.len():
            raise unknown(f"{self._level} with the id", missing[0], level.frame[level.key].head(1000).to_list())
        return self.at(found[ORDINAL].to_numpy())

    def items(self) -> View:
        """Return the items of these labels, each once (of items: the view itself)."""
        if self._level == ITEM:
            return self
        return View(self._project, ITEM).by_ids(self.df[ITEM_ID].unique(maintain_order=True))

    def objects(self) -> View:
        """Return the objects on these items, item by item (of objects: the view itself)."""
        return self if self._level == OBJECT else self._on_items(OBJECT)

    def classifications(self) -> View:
        """Return the class answers on these items, item by item."""
        return self if self._level == CLASSIFICATION else self._on_items(CLASSIFICATION)

    def predictions(self, run: str) -> View:
        """Return what a run predicted on these items, item by item.

        Parameters
        ----------
        run : str
            Name of the run.

        Returns
        -------
        View
            Of the level `"prediction:<run>"`.

        Raises
        ------
        UnknownNameError
            There is no such run.
        """
        self._project._run_named(run)
        return self._on_items(prediction_level(run))

    def evaluate(self, run: str, **options: Any) -> Evaluation:
        """Evaluate a run's predictions on these items alone; see `Project.evaluate`.

        Parameters
        ----------
        run : str
            Name of the run.
        **options
            As for `Project.evaluate`.

        Returns
        -------
        Evaluation
            Of these items alone.

        Examples
        --------
        >>> p.filter(ea.tagged("night")).evaluate("yolo").summary  # doctest: +SKIP
        """
        return self._project.evaluate(run, view=self, **options)

    def acquire(self, strategy: str | Mapping[str, float] = "entropy", n: int = 100, **options: Any) -> View:
        """Choose which of these items to label next; see `Project.acquire`.

        Parameters
        ----------
        strategy : str or dict
            A name, or shares of several: `{"entropy": 0.5, "coverage": 0.5}`.
        n : int
            How many items.
        **options
            As for `Project.acquire`.

        Returns
        -------
        View
            The choice, with the columns `score` and `reason`.
        """
        return self._project.acquire(strategy, n, view=self, **options)

    def _on_items(self, name: str) -> View:
        level = self._project._snapshot().levels[name]
        mine = pl.DataFrame({ITEM_ID: self.items().ids}).with_row_index("place")
        found = level.alive_frame().select(ITEM_ID, ORDINAL).join(mine, on=ITEM_ID, how="inner")
        return View(self._project, name).at(found.sort("place", ORDINAL)[ORDINAL].to_numpy())

    @property
    def embeddings(self) -> EmbeddingSets:
        """Embedding sets of this level: `p.objects.embeddings["dino"] = vectors`."""
        return self._project._embedding_sets(self._level)

    def embed(self, name: str, embedder: Embedder, **options: Any) -> EmbeddingSet:
        """Make vectors of these images, or of the crops of these objects; see `Project.embed`.

        Parameters
        ----------
        name : str
            Name of the set of vectors.
        embedder : callable
            From a batch of images to vectors.
        **options
            As for `Project.embed`.

        Returns
        -------
        EmbeddingSet
            The set that was made or completed.
        """
        return self._project.embed(name, embedder, view=self, **options)

    def search(self, image: Any = None, *, k: int = 10, **options: Any) -> View:
        """Return those of these rows that are nearest to an image, a text or a vector; see `Project.search`.

        Items are searched by their images, objects by their crops.

        Parameters
        ----------
        image : path, image, array, str or vector
            What to look for; a text where the embedder reads texts.
        k : int
            How many rows.
        **options
            As for `Project.search`.

        Returns
        -------
        View
            Nearest first, with the column `distance` (cosine, 0 to 2).
        """
        from .computing.searching import search

        return search(self.embeddings, image, k=k, within=self.rows if self._ops else None, **options)

    def similar(self, k: int = 10, *, embedding: str | None = None) -> View:
        """Return the `k` rows nearest to these rows, themselves left out, nearest first.

        Items have items as neighbours, objects have objects. The view's `df` has a column
        `distance`: cosine distance, 0 (same) to 2, to the nearest row of this view.

        Parameters
        ----------
        k : int
            How many rows.
        embedding : str, optional
            The set of vectors to use; the default one otherwise.

        Returns
        -------
        View
            Fixed, with the column `distance`.

        Examples
        --------
        >>> p.items.head(1).similar(5).df.select("uri", "distance")  # doctest: +SKIP
        """
        return self.embeddings.similar(self, k, embedding)

    def _fixed(self) -> View:
        """Return the rows as they are now: an edit may take them out of their own filter."""
        return self._made(((ROWS, self.rows),))

    # -- shown --------------------------------------------------------------------------

    def explore(self, **options: Any) -> Explorer:
        """Open an explorer on these rows; see `Project.explore`.

        Parameters
        ----------
        **options
            As for `Project.explore`.

        Returns
        -------
        Explorer
            The last line of the cell shows it.
        """
        return self._project._explore(self, **options)

    # -- inside -------------------------------------------------------------------------

    def _state(self) -> Level:
        return self._project._snapshot().levels[self._level]

    def _with(self, op: Op) -> View:
        return self._made((*self._ops, op))

    def _exported(self) -> View:
        """Return the rows that go into another tool's file: as they are now, without columns of this view alone."""
        return self if self._extra is None else View(self._project, self._level, ((ROWS, self.rows),))

    def _made(self, ops: tuple[Op, ...]) -> View:
        """Return a view of the same kind, with the same columns of its own, after other steps."""
        return type(self)(self._project, self._level, ops, self._extra)

    @property
    def _own_columns(self) -> list[str]:
        """Columns that belong to this view alone; they stand in for columns of the level with the same names."""
        return [c for c in self._extra.columns if c != ORDINAL] if self._extra is not None else []

    def _known(self, name: str, level: Level) -> None:
        extra = set(self._extra.columns) if self._extra is not None else set()
        if name not in level.columns and name not in extra:
            raise no_column(name, level, extra)

    def _rows(self, level: Level) -> Rows:
        if not self._ops:
            return level.alive_rows()
        return (
            compile_steps(self._ops, level, self._extra).select(ORDINAL).collect()[ORDINAL].to_numpy().astype(np.uint32)
        )
