"""A view: a filtered, sorted slice of one level, with the same verbs as the project."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .errors import InputError, UnknownNameError, unknown, whole_number
from .expressions import inner_of_has, tag_column, with_tag_columns
from .levels import Level
from .schema import CLASSIFICATION, ITEM, ITEM_ID, OBJECT, ORDINAL, PREDICTION, TAGS, prediction_level, run_of
from .store.rows import encode_rows

if TYPE_CHECKING:
    from .dataset import ImageDataset
    from .embeddings.embedder import Embedder
    from .evaluated import Evaluation
    from .export.report import Report
    from .exporting import Exported
    from .formats.encord import Sent
    from .project import Project
    from .vectors import EmbeddingSet, EmbeddingSets
    from .widgets.explorer import Explorer

Rows = NDArray[np.uint32]
Op = tuple[Any, ...]

_FILTER, _ROWS, _SORT, _HEAD = "filter", "rows", "sort", "head"
SCORE_COLUMNS = ("distance", "score", "reason")


class View:
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
        checked = tuple(_check(e, level, self._extra) for e in exprs)
        return self._with((_FILTER, checked))

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
        return self._with((_SORT, by, descending))

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
        return self._with((_HEAD, whole_number("n", n)))

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
        return self._made(((_ROWS, array.astype(np.uint32)),))

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
        from .searching import search

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
        return self._made(((_ROWS, self.rows),))

    # -- edits --------------------------------------------------------------------------

    def tag(self, *names: str) -> View:
        """Add tags to these rows; durable when it returns, and undone by `project.undo()`.

        Like all edits it returns the rows it changed, which stay these rows.

        Parameters
        ----------
        *names : str
            One tag or more.

        Returns
        -------
        View
            The same rows, as they were when it was called.

        Examples
        --------
        >>> p.filter(pl.col("brightness") < 0.2).tag("dark")  # doctest: +SKIP
        >>> p.undo()  # doctest: +SKIP
        """
        chosen = self._fixed()
        self._project._tag(chosen, add=names)
        return chosen

    def untag(self, *names: str) -> View:
        """Take tags off these rows; without names, all of them.

        Parameters
        ----------
        *names : str
            Tags to take off; all of them without a name.

        Returns
        -------
        View
            The same rows, as they were when it was called.
        """
        chosen = self._fixed()
        self._project._tag(chosen, remove=names or tuple(self._state().tag_names))
        return chosen

    def remove(self) -> None:
        """Take these items out of the project. The files stay; `project.undo()` brings them back.

        Raises
        ------
        InputError
            The view is not one of items.
        """
        if self._level != ITEM:
            raise InputError(f"A view of {self._level}s cannot be removed.", "Delete labels with view.delete_label().")
        self._project._edit(ITEM, "remove", rows=encode_rows(self.rows), code="view.remove()")

    def relabel(self, class_name: str) -> View:
        """Give these labels another class, as an edit that `project.undo()` takes back.

        On a view of items the class of the image itself is meant: an answer that is there is
        changed, an image without one gets one.

        Parameters
        ----------
        class_name : str
            The class they get.

        Returns
        -------
        View
            The same rows, as they were when it was called.

        Raises
        ------
        InputError
            `class_name` is empty.
        """
        chosen = self._fixed()
        self._project._relabel(chosen, class_name)
        return chosen

    def delete_label(self) -> None:
        """Delete these objects or classifications, as an edit that `project.undo()` takes back.

        Raises
        ------
        InputError
            A view of items or of predictions.
        """
        if run_of(self._level) is not None:
            raise InputError("Predictions are not deleted one by one.", "Remove the run: p.remove_predictions(…).")
        if self._level == ITEM:
            raise InputError(
                "A view of items holds no labels to delete.", "Write view.objects().delete_label(), or view.remove()."
            )
        self._project._edit_rows(self, "remove", code="view.delete_label()")

    def note(self, text: str) -> View:
        """Write a note on these rows, shown as the column `note`; an empty text removes it.

        Parameters
        ----------
        text : str
            What to write; an empty text removes the note.

        Returns
        -------
        View
            The same rows, as they were when it was called.
        """
        chosen = self._fixed()
        self._project._note(chosen, text)
        return chosen

    # -- reviewed -----------------------------------------------------------------------

    def review(self, *, likely_only: bool = True, **options: Any) -> Explorer:
        """Open the review of these rows in the notebook cell: one question after the other, by keyboard.

        Rows of `p.label_errors(…)` ask whether the suggestion is right, predictions whether they should become
        labels, others whether the row is right as it is. Enter accepts, X rejects, 1–9 gives another class,
        U takes back, ? shows all keys. Answers are edits in the project's one history, so a review can be left
        and goes on where it was: what was answered is not asked again. See `accept` and `reject` for what they do.

        Parameters
        ----------
        likely_only : bool
            Of rows with a column `likely`, ask only about those that are.
        **options
            As for `Project.explore`.

        Returns
        -------
        Explorer
            The review: the last line of the cell shows it.
        """
        from .reviewing import queue_of

        return self._project._review(queue_of(self, likely_only=likely_only), **options)

    def accept(self, *, likely_only: bool = True, answered: bool = False) -> View:
        """Accept the suggestion of each of these rows, as one edit; what `review` does with Enter.

        A class: the label gets the suggested one. A missed object: the prediction becomes a label. A spurious or
        double label: it is deleted. A badly placed one: it gets the predicted shape, and keeps all else. Rows that
        nothing is suggested for by their kind, such as those of `p.items`, are recorded as right. `p.changes()` lists
        what was changed.

        Left as they are, and counted in a warning of the log: rows that were answered before; labels that have another
        class or place than when this view was made, or are gone; polygons and the like where the suggested place is a
        box; missed objects where a label of their class is by now (an IoU of 0.5); rows of `p.label_errors` without a
        suggestion.

        Parameters
        ----------
        likely_only : bool
            Of rows with a column `likely`, accept only those that are.
        answered : bool
            Also accept what was answered before, which takes the earlier answers back. A label that was made of a
            prediction and deleted since comes back.

        Returns
        -------
        View
            The rows that were accepted.

        Raises
        ------
        InputError
            No suggestion can take its label's place (a box that of a polygon), or the run that it is of was replaced
            or removed; nothing is changed then.
        """
        return self._answered("accept", likely_only=likely_only, answered=answered)

    def reject(self, *, likely_only: bool = True, answered: bool = False) -> View:
        """Say of each of these rows that its label is right as it is, as one edit: it is not asked about again.

        The column `reviewed` keeps the answers: "accepted", "rejected", "changed" (another class), "removed". The
        label stays as it is now; only an earlier answer to the same question is taken back (with `answered=True`).

        Parameters
        ----------
        likely_only : bool
            Of rows with a column `likely`, only those that are.
        answered : bool
            Also reject what was answered before; it is left as it is otherwise, and counted in a warning of the log.

        Returns
        -------
        View
            The rows that were rejected.

        Raises
        ------
        InputError
            The run that found them was replaced or removed.
        """
        return self._answered("reject", likely_only=likely_only, answered=answered)

    def _answered(self, decision: str, *, likely_only: bool, answered: bool) -> View:
        from .answering import answer_view

        return answer_view(self, decision, likely_only=likely_only, answered=answered)

    # -- taken along --------------------------------------------------------------------

    def split(
        self,
        *,
        train: float = 0.8,
        val: float = 0.1,
        test: float = 0.1,
        by: str | None = None,
        groups: str | Sequence[str] | None = None,
        seed: int = 0,
    ) -> View:
        """Divide these items into train, val and test, written as the column `split`.

        The column is a value like a metric, not an edit: dividing again replaces it, `undo` does not
        bring an earlier one back, and the same seed does.

        Parameters
        ----------
        train, val, test : float
            Shares; they are scaled to sum to 1.
        by : str, optional
            Stratify by this column (`"class_name"`, or `"objects"` for the classes of the objects).
        groups : str or list of str, optional
            Columns whose values must not be torn apart: `"group"` (videos), `"duplicate_group"`.
        seed : int
            The same seed divides the same items the same way.

        Returns
        -------
        View
            This view.
        """
        from .partition import write_split

        write_split(self, {"train": train, "val": val, "test": test}, by=by, groups=groups, seed=seed)
        return self

    def dataset(self, transform: Callable[..., Any] | None = None, *, target: str | None = None) -> ImageDataset:
        """Return these rows as a map-style dataset: `len(d)` and `d[i]`, as `torch.utils.data.DataLoader` takes it.

        See `ImageDataset` for what `d[i]` holds.

        Parameters
        ----------
        transform : callable, optional
            Called as `transform(image)` or `transform(image, target)`; see `ImageDataset`.
        target : {"class", "objects"}, optional
            By default `"objects"` where the items carry objects.

        Returns
        -------
        ImageDataset
            A fixed list of these rows.
        """
        from .dataset import ImageDataset

        return ImageDataset(self, transform, target=target)

    def clone(self, path: str | os.PathLike[str], *, images: str = "reference") -> Project:
        """Make a project of its own of these items and all that is on them; the two are independent.

        Labels, tags, notes, predictions, metrics, embeddings and the history of edits come along. Of a view of labels
        the images with all their labels are meant. `p.merge(clone)` takes the clone's edits back.

        Parameters
        ----------
        path : path
            A folder that does not exist yet, or is empty.
        images : {"reference", "copy", "link"}
            As for `Project.clone`.

        Returns
        -------
        Project
            The new project, opened.

        Raises
        ------
        InputError
            The view is empty, the folder is not, or `images` is none of these.

        Examples
        --------
        >>> p.filter(ea.tagged("night")).clone("night.eaw", images="copy")  # doctest: +SKIP
        """
        from .cloning import clone_view

        return clone_view(self, path, images=images)

    def to_coco(self, path: str | os.PathLike[str], *, images: str = "reference", verify: bool = False) -> Exported:
        """Write these items and their labels as COCO JSON; what was read from COCO comes out as it was.

        Parameters
        ----------
        path : path
            The JSON file.
        images : {"reference", "copy", "link"}
            Leave the images where they are, or put them into a folder `images` beside the file.
        verify : bool
            Read what was written and compare it with what is here.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.

        Examples
        --------
        >>> p.filter(~ea.tagged("drop")).to_coco("clean.json", verify=True)  # doctest: +SKIP
        """
        from .exporting import export

        return export(self, "coco", path, images=images, verify=verify)

    def to_yolo(
        self, path: str | os.PathLike[str], *, images: str = "copy", verify: bool = False, task: str | None = None
    ) -> Exported:
        """Write a YOLO dataset: `data.yaml`, `images/`, `labels/`, a folder a split; class ids follow the source's.

        Parameters
        ----------
        path : path
            The folder to write.
        images : {"copy", "link", "reference"}
            Whether images are copied beside the labels, linked, or left where they are.
        verify : bool
            Read what was written and compare.
        task : str, optional
            What the rows of the label files say (boxes, segments, rotated boxes, poses); by the labels by default.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from .exporting import export

        return export(self, "yolo", path, images=images, verify=verify, task=task)

    def to_voc(self, path: str | os.PathLike[str], *, images: str = "reference", verify: bool = False) -> Exported:
        """Write Pascal VOC: one XML an image in the folder `Annotations`.

        Parameters
        ----------
        path : path
            The folder to write.
        images : {"copy", "link", "reference"}
            Whether images are copied beside the labels, linked, or left where they are.
        verify : bool
            Read what was written and compare.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from .exporting import export

        return export(self, "voc", path, images=images, verify=verify)

    def to_label_studio(
        self,
        path: str | os.PathLike[str],
        *,
        predictions: str | Sequence[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        images: str = "reference",
        verify: bool = False,
    ) -> Exported:
        """Write these items as tasks for Label Studio; `p.add_labels` reads what comes back.

        Labels become one annotation a task: rectangles (turned ones too), polygons, key points, brush masks and
        choices. Each brings its id back, so that a correction is known as one. Beside the file the labeling
        interface is written, as XML with the classes of the project.

        Parameters
        ----------
        path : path
            The JSON file; the interface goes to the same name with `.interface.xml`.
        predictions : str or list of str, optional
            Runs that are offered as pre-annotations, with their name and confidence.
        root : path, optional
            The folder that Label Studio serves (its `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`); files are
            addressed from it. By default the root of the file system.
        images : {"reference", "copy", "link"}
            Leave the images where they are, or put them into a folder `images` beside the file.
        verify : bool
            Read what was written and compare it with what is here.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.

        Examples
        --------
        >>> chosen = p.sample(50)  # doctest: +SKIP
        >>> chosen.to_label_studio("tasks.json", predictions="yolo")  # doctest: +SKIP
        >>> p.add_labels("export.json")  # doctest: +SKIP
        """
        from .handing import to_label_studio

        return to_label_studio(self, path, predictions=predictions, root=root, images=images, verify=verify)

    def to_cvat(
        self,
        path: str | os.PathLike[str],
        *,
        predictions: str | Sequence[str] | None = None,
        images: str = "reference",
        verify: bool = False,
    ) -> Exported:
        """Write these items and their labels as "CVAT for images 1.1"; `p.add_labels` reads what comes back.

        Make the task with the labels in `<name>.labels.json` (CVAT's raw constructor), upload the images under the
        names in the file, then upload the annotations. The labels have an attribute `label_id`, by which a
        correction is known as one.

        Parameters
        ----------
        path : path
            The XML file.
        predictions : str or list of str, optional
            Runs whose predictions are written besides, as shapes of the source "auto": what is not deleted in CVAT
            comes back as a label.
        images : {"reference", "copy", "link"}
            Leave the images where they are, or put them into a folder `images` beside the file.
        verify : bool
            Read what was written and compare it with what is here.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from .handing import to_cvat

        return to_cvat(self, path, predictions=predictions, images=images, verify=verify)

    def to_encord(
        self,
        *,
        dataset_hash: str | None = None,
        title: str | None = None,
        project_hash: str | None = None,
        predictions: str | None = None,
        client: Any = None,
        ssh_key: str | os.PathLike[str] | None = None,
    ) -> Sent:
        """Upload these images to Encord, and their labels to a project there: they leave this machine.

        Nothing else here sends anything away, and nothing does before this call. It needs the extra `encord`. Images
        are put into a dataset under `<name>.<item id><suffix>`; one that is there already is not uploaded again.
        With a project, labels are written into its label rows, as far as its ontology has an object of this name
        and shape, or a classification with this option; a row that has labels already is left as it is.

        Parameters
        ----------
        dataset_hash : str, optional
            The dataset the images go to.
        title : str, optional
            Instead of it: the title of a dataset that is made.
        project_hash : str, optional
            The project that gets the labels; the dataset is attached to it.
        predictions : str, optional
            A run whose predictions are written besides, with their confidence and as not drawn by hand.
        client : encord.EncordUserClient, optional
            A connection that is there.
        ssh_key : path, optional
            Instead of it: the private key to connect with; by default what the SDK finds in its environment.

        Returns
        -------
        Sent
            `dataset_hash`, how many images were uploaded or there already, how many labels were written, and
            `notes` on what was not.

        Raises
        ------
        InputError
            Neither a dataset nor a title, or the SDK is not installed.
        """
        from .handing import to_encord

        return to_encord(
            self, dataset_hash=dataset_hash, title=title, project_hash=project_hash, predictions=predictions,
            client=client, ssh_key=ssh_key,
        )  # fmt: skip

    def to_lists(self, folder: str | os.PathLike[str]) -> Exported:
        """Write the addresses of each split to `<split>.txt`, one a line; items without one to `rest.txt`.

        Parameters
        ----------
        folder : path
            The folder to write.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from .exporting import export

        return export(self, "lists", folder)

    def to_csv(self, path: str | os.PathLike[str], *, verify: bool = False) -> Exported:
        """Write `df` as CSV; lists are written as JSON text.

        Parameters
        ----------
        path : path
            The file to write; its folder is made.
        verify : bool
            Read what was written and compare.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from .exporting import export

        return export(self, "csv", path, verify=verify)

    def to_parquet(self, path: str | os.PathLike[str], *, verify: bool = False) -> Exported:
        """Write `df` as Parquet.

        Parameters
        ----------
        path : path
            The file to write; its folder is made.
        verify : bool
            Read what was written and compare.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from .exporting import export

        return export(self, "parquet", path, verify=verify)

    # -- seen ---------------------------------------------------------------------------

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        thumbnails: int | None = None,
        tags: str = "collect",
        color: str | None = None,
        sort: str | None = None,
        descending: bool = False,
        addresses: str = "short",
        max_mb: float = 40.0,
    ) -> Exported:
        """Write an explorer of these rows as one HTML file that opens by a double click, without Python or a network.

        It has the map, the grid, histograms and filters, search, similar images, and an open image with its labels
        drawn. Only these rows are in the file. Tags and notes made in the page come back by `p.apply_edits(file)`.

        Parameters
        ----------
        path : path
            The file to write.
        title : str, optional
            Its heading; the project's name by default.
        thumbnails : int, optional
            The long side of pictures in pixels; by default the largest of some sizes, 768 to 32, that fits into
            `max_mb`. 0 leaves pictures out.
        tags : {"collect", "read-only"}
            Whether a reader may tag and note, and download what was made, or only look.
        color, sort : str, optional
            The columns that colour the map and order the grid at first; `descending` turns the order round.
        addresses : {"short", "full"}
            Whether addresses of files begin after the folder that all of them lie in, or are written whole.
        max_mb : float
            How large the file may be, in megabytes (1,000,000 bytes).

        Returns
        -------
        Exported
            Its `notes` say how large the file and its pictures are.

        Raises
        ------
        InputError
            There are no rows, or they do not fit: the remedy says what would.

        Examples
        --------
        >>> p.filter(pl.col("sharpness") < 0.3).to_html("blurry.html", title="Too blurry?")  # doctest: +SKIP
        >>> p.apply_edits("Too-blurry.edits.json")                                           # doctest: +SKIP
        """
        return self._project._to_html(
            self, path, title=title, thumbnails=thumbnails, tags=tags, color=color, sort=sort, descending=descending,
            addresses=addresses, max_mb=max_mb,
        )  # fmt: skip

    def report(self, run: str | None = None, title: str | None = None) -> Report:
        """Report on these rows: data, labels, models, label errors and duplicates, with the worst examples.

        Of labels, or of predictions, it reports on their images, with these labels alone. What is not there yet is
        left out, and the report says which call makes it.

        Parameters
        ----------
        run : str, optional
            Evaluate this run only, and judge labels by it; by default all, and the first one.
        title : str, optional
            Its heading; the project's name by default.

        Returns
        -------
        Report
            The last line of a cell shows it; `.to_html(path)` writes one file. `.summary` is the list of sentences
            at its top, `.frames` has its tables, `.charts` its charts.

        Raises
        ------
        UnknownNameError
            There is no such run.

        Examples
        --------
        >>> p.filter(ea.tagged("night")).report(run="yolo").to_html("night.html")  # doctest: +SKIP
        """
        return self._project._report(self, run, title)

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
        return self if self._extra is None else View(self._project, self._level, ((_ROWS, self.rows),))

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
            raise _no_column(name, level, extra)

    def _rows(self, level: Level) -> Rows:
        if not self._ops:
            return level.alive_rows()
        return self._lazy(level).select(ORDINAL).collect()[ORDINAL].to_numpy().astype(np.uint32)

    def _lazy(self, level: Level) -> pl.LazyFrame:
        """Compile the steps to one lazy query."""
        steps = list(self._ops)
        base = level.query_frame
        lazy: pl.LazyFrame
        if steps and steps[0][0] == _ROWS:
            rows = steps.pop(0)[1]
            if level.alive is not None:
                rows = rows[level.alive[rows]]
            lazy = base[rows].lazy()
        else:
            lazy = base.lazy()
            if level.alive is not None:
                lazy = lazy.filter(pl.lit(pl.Series(level.alive)))
        if self._extra is not None:
            lazy = lazy.drop(self._own_columns, strict=False)
            lazy = lazy.join(self._extra.lazy(), on=ORDINAL, how="left", maintain_order="left")
        for step in steps:
            lazy = self._step(lazy, step, level)
        return lazy

    def _step(self, lazy: pl.LazyFrame, step: Op, level: Level) -> pl.LazyFrame:
        kind = step[0]
        if kind == _FILTER:
            exprs = [with_tag_columns(e, level.tag_names) for e in step[1]]
            if any(TAGS in e.meta.root_names() for e in exprs):
                lazy = lazy.with_columns(_tag_list(level.tag_names))
            for found in level.has_columns(exprs):
                lazy = lazy.with_columns(pl.lit(found).gather(pl.col(ORDINAL)).alias(found.name))
            return lazy.filter(*exprs)
        if kind == _SORT:
            by = pl.col(step[1]) if isinstance(step[1], str) else step[1]
            return lazy.sort(_nan_last(by, level, step[1]), descending=step[2], nulls_last=True, maintain_order=True)
        if kind == _HEAD:
            return lazy.head(step[1])
        raise AssertionError(kind)


def _nan_last(by: pl.Expr, level: Level, name: str | pl.Expr) -> pl.Expr:
    """Order NaN with the missing values; a column without NaN stays a plain one, which sorts faster."""
    return by.fill_nan(None) if isinstance(name, str) and level.has_nan(name) else by


def _tag_list(names: Sequence[str]) -> pl.Expr:
    """Build `tags` inside a query, for expressions that treat it as a list."""
    if not names:
        return pl.lit([], dtype=pl.List(pl.String)).alias(TAGS)
    parts = [pl.when(pl.col(tag_column(n))).then(pl.lit(n)) for n in names]
    return pl.concat_list(parts).list.drop_nulls().alias(TAGS)


def _no_column(name: str, level: Level, more: set[str]) -> UnknownNameError:
    """Build the error for a column that is not there: a metric without values, or a name that does not exist."""
    from .metrics.registry import registered

    if any(spec.name == name for spec in registered() if spec.level in (level.name, ITEM)):
        return UnknownNameError(
            f'The metric "{name}" has no values for {level.name}s here.',
            "Call compute() on the project; where that was done, there is too little data for it.",
        )
    return unknown("column", name, level.columns | more)


def _check(expr: Any, level: Level, extra: pl.DataFrame | None) -> pl.Expr:
    if isinstance(expr, str):
        from .query_text import parse_query

        expr = parse_query(expr)
    if isinstance(expr, (bool, np.bool_)):
        raise InputError(
            "A filter got a plain True or False, not an expression.", 'Write pl.col("brightness") < 0.2, with pl.col.'
        )
    if not isinstance(expr, pl.Expr):
        raise InputError(
            f"A filter got a {type(expr).__name__}.", 'Write an expression such as pl.col("brightness") < 0.2.'
        )
    more = set(extra.columns) if extra is not None else set()
    for name in expr.meta.root_names():
        inner = inner_of_has(name)
        if inner is not None:
            _check_has(inner, level)
        elif name not in level.columns and name not in more:
            raise _no_column(name, level, more)
    return expr


def _check_has(inner: pl.Expr, level: Level) -> None:
    if not level.below:
        raise InputError(
            f"ea.has looks from items at their labels; this is a view of {level.name}s.", "Filter directly."
        )
    known = [lower.columns for lower in level.below]
    names = inner.meta.root_names()
    if not any(all(n in columns for n in names) for columns in known):
        missing = next((n for n in names if not any(n in columns for columns in known)), names[0])
        raise unknown("column of labels", missing, frozenset().union(*known))
