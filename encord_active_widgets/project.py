"""The project: images, metrics, embeddings, tags and views of one folder, as Polars frames."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from . import schema
from .computing.jobs import Job
from .computing.vectors import EmbeddingSets
from .content.state import Snapshot, StateReader
from .errors import InputError, unknown
from .formats.source import Source
from .schema import CLASSIFICATION, ITEM, LABEL, OBJECT
from .store.folder import ProjectFolder
from .verbs.edits import EditVerbs
from .verbs.making import Making
from .verbs.runs import RunVerbs
from .verbs.versions import VersionVerbs
from .verbs.view_exports import ViewExports
from .view import View

if TYPE_CHECKING:
    from .checking import CheckResult, Limits
    from .computing.embedding_set import EmbeddingSet
    from .curation.duplicates import Duplicates
    from .curation.reviewing import Queue
    from .embeddings.embedder import Embedder
    from .exchange.exporting import Exported
    from .export.report import Report
    from .images.thumbnails import ThumbnailStore
    from .widgets.explorer import Explorer

QUALITY_METRICS = (
    "sharpness", "brightness", "contrast", "entropy", "luma_p05", "luma_p99", "odd_size", "odd_aspect", "uniqueness"
)  # fmt: skip


class Project(Making, EditVerbs, RunVerbs, VersionVerbs, ViewExports):
    """A folder of tables about images, explored and edited in a notebook.

    Make one with `Project.from_folder`, `from_frame`, `from_coco`, `from_voc`, `from_yolo`, `from_video`
    or `from_huggingface`; reopen it with `open`.

    Examples
    --------
    >>> p = ea.Project.from_folder("photos/")              # doctest: +SKIP
    >>> p.compute()                                        # doctest: +SKIP
    >>> p.filter(pl.col("sharpness") < 0.3).tag("blurry")  # doctest: +SKIP
    >>> p.explore()                                        # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str] | ProjectFolder) -> None:
        self._folder = path if isinstance(path, ProjectFolder) else ProjectFolder(Path(path).expanduser())
        card = self._folder.card()
        if card["format"] < schema.FORMAT_VERSION:
            self._folder.migrate()
            card = self._folder.card()
        self._card = self._folder.keep_up(card)
        self._lock = threading.RLock()
        self._reader = StateReader(self._folder)
        self._job: Job | None = None
        self._sets = {level: EmbeddingSets(self, level) for level in (ITEM, *schema.LABEL_LEVELS)}
        self._thumbnail_store: ThumbnailStore | None = None
        self.seed = 0

    # -- what is there ----------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The project's name."""
        return str(self._card.get("name", self.path.stem))

    @property
    def path(self) -> Path:
        """The project folder."""
        return self._folder.path

    @property
    def items(self) -> View:
        """All images, as a view."""
        return View(self, ITEM)

    @property
    def objects(self) -> View:
        """All objects (boxes, polygons, masks, keypoints …), as a view."""
        return View(self, OBJECT)

    @property
    def classifications(self) -> View:
        """All class answers on images, as a view."""
        return View(self, CLASSIFICATION)

    @property
    def labels(self) -> View:
        """All objects and classifications together, as a view."""
        return View(self, LABEL)

    def annotators(self) -> pl.DataFrame:
        """One row an annotator, the busiest first: labels, items, time, how far neighbours agree, doubles.

        Returns
        -------
        pl.DataFrame
            `annotator`, `labels`, `items`, `classes`, `seconds_total`, `seconds_median`, `labels_per_hour`,
            `class_quality` (mean over their labels, 0 to 1), `duplicates`; null where it is unknown.

        Raises
        ------
        InputError
            The labels do not say who drew them.
        """
        from .curation.annotators import annotators

        return annotators(self)

    @property
    def df(self) -> pl.DataFrame:
        """`project.items.df`."""
        return self.items.df

    @property
    def lf(self) -> pl.LazyFrame:
        """`project.items.lf`."""
        return self.items.lf

    @property
    def ids(self) -> pl.Series:
        """`project.items.ids`."""
        return self.items.ids

    def __len__(self) -> int:
        return len(self.items)

    def filter(self, *exprs: pl.Expr | str) -> View:
        """Items where every Polars expression is true; see `View.filter`.

        Parameters
        ----------
        *exprs : polars.Expr or str
            Conditions; all must hold. A text is read as a condition in SQL or as a Polars expression, never executed.

        Returns
        -------
        View
            Evaluated against the current state each time it is asked.

        Examples
        --------
        >>> p.filter(pl.col("brightness") < 0.2, ~ea.tagged("seen"))  # doctest: +SKIP
        """
        return self.items.filter(*exprs)

    def sort(self, by: str | pl.Expr, *, descending: bool = False) -> View:
        """Items in the order of a column.

        Parameters
        ----------
        by : str or polars.Expr
            A column, or what to order by.
        descending : bool
            The largest first.

        Returns
        -------
        View
            Rows without a value come last.

        Examples
        --------
        >>> p.sort("sharpness").head(12).tag("look")  # doctest: +SKIP
        """
        return self.items.sort(by, descending=descending)

    def sample(self, n: int, *, seed: int = 0) -> View:
        """`n` items drawn at random.

        Parameters
        ----------
        n : int
            How many; all, where there are fewer.
        seed : int
            The same seed draws the same items.

        Returns
        -------
        View
            Fixed: it stays these items.
        """
        return self.items.sample(n, seed=seed)

    @property
    def embeddings(self) -> EmbeddingSets:
        """Named embedding sets of the items; assign `(n, d)` arrays or frames with ids.

        Those of objects are at `p.objects.embeddings`.
        """
        return self._sets[ITEM]

    def _embedding_sets(self, level: str) -> EmbeddingSets:
        if schema.run_of(level) is not None:
            return self._sets.setdefault(self._level(level).stored, EmbeddingSets(self, level))
        if level not in self._sets:
            raise InputError(f"A view of {level}s has no embeddings.", "Use p.objects or p.classifications.")
        return self._sets[level]

    @property
    def problems(self) -> pl.DataFrame:
        """What was skipped or repaired: `stage`, `where`, `what`, `why`, `remedy`."""
        level = self._snapshot().items
        frame = self._folder.problems.read()
        current = level.frame[schema.CONTENT_HASH].implode()
        stored = frame.filter(pl.col(schema.KEY).is_null() | pl.col(schema.KEY).is_in(current))
        return stored.drop(schema.KEY).unique(maintain_order=True)

    def metrics(self) -> pl.DataFrame:
        """Every metric: `name`, `formula`, `unit`, `range`, `direction`, `version` and whether it is computed.

        Returns
        -------
        pl.DataFrame
            One row a metric; `good_for` and `pitfalls` say when to use it.
        """
        from .metrics.registry import specs_frame

        snapshot = self._snapshot()
        frame = specs_frame()
        have, rows = [], []
        specs = set(zip(frame["name"], frame["level"], strict=True))
        for name in (ITEM, *schema.LABEL_LEVELS):
            level = snapshot.levels[name]
            have += [(c, name) for c in level.metrics if level.frame[c].null_count() < level.n]
            rows += [{"name": c, "level": name, "family": "stored"} for c in level.metrics if (c, name) not in specs]
        if rows:
            frame = pl.concat([frame, pl.DataFrame(rows)], how="diagonal")
        known = pl.DataFrame(have, schema={"name": pl.String, "level": pl.String}, orient="row")
        frame = frame.join(known.with_columns(pl.lit(value=True).alias("computed")), on=["name", "level"], how="left")
        limits = pl.concat_list("low", "high").alias("range")
        return frame.with_columns(limits, pl.col("computed").fill_null(value=False)).drop("low", "high")

    def outliers(self, *metrics: str) -> pl.DataFrame:
        """Items far from the rest, once each with their worst metric.

        Moderate lies beyond 1.5, severe beyond 2.5 interquartile ranges of the quartiles.
        By default the metrics of image quality are looked at, not those of content such as
        colour shares; name others to have them.

        Parameters
        ----------
        *metrics : str
            Columns to look at; the metrics of quality by default.

        Returns
        -------
        pl.DataFrame
            One row an item: its worst metric, the value, and how far it lies out.

        Raises
        ------
        UnknownNameError
            There is no such metric; the nearest names are offered.
        """
        from .metrics.outliers import outliers

        level = self._snapshot().items
        for name in metrics:
            if name not in level.metrics:
                raise unknown("metric", name, level.metrics)
        return outliers(level.alive_frame(), list(metrics or [m for m in QUALITY_METRICS if m in level.metrics]))

    def duplicates(self, threshold: float | None = None, *, view: View | None = None) -> Duplicates:
        """Group the items that show the same picture: copies, other sizes, crops, mirrored ones.

        Parameters
        ----------
        threshold : float, optional
            Cosine distance of the default embedding, 0 to 2: up to it two neighbours with near perceptual
            hashes are duplicates, and up to twice it two with all but equal hashes, or whose edges agree when
            one is laid over the other. 0.25 by default, as for the column `duplicate_group`; 0 leaves equal
            vectors and equal files.
        view : View, optional
            Only these items; a chain may go through others.

        Returns
        -------
        Duplicates
            With `.df`, `.groups`, `.leaks`, `.keep(rule)`, `.stack(group)`, `.not_duplicates(view)`, `.explore()`.

        Raises
        ------
        InputError
            Nothing was computed yet, or the threshold is none.
        """
        from .curation.duplicates import Duplicates

        return Duplicates(self, threshold, view)

    def not_duplicates(self, items: View | Sequence[str] | pl.Series) -> View:
        """Say that items are no duplicates of each other; return them.

        An edit like a tag: in the one history, taken back by `undo()`, and kept when duplicates are computed
        again or asked for at another threshold. No two of these items come into one group any more, neither
        in `p.duplicates()` nor in the column `duplicate_group`. Each of them may still be a duplicate of a
        further item; where that would join two of them, it goes to the nearer one.

        Parameters
        ----------
        items : View or ids
            Two items or more.

        Raises
        ------
        InputError
            Fewer than two items, or a view of labels.
        """
        from .curation.duplicates import say_apart

        return say_apart(self, items)

    def check(
        self, limits: str | os.PathLike[str] | Mapping[str, Any] | Limits | None = None, *, run: str | None = None
    ) -> CheckResult:
        """Hold the project against limits: faulty images and labels, class balance, scores of a run, leakage.

        Parameters
        ----------
        limits : path, mapping or Limits, optional
            A TOML file with the tables `at_most`, `at_least` and `thresholds` and the key `run`, or a mapping of
            the same shape; by default the shipped limits. `eaw check --write-limits` writes them as a file to be
            edited; `checking.MEASURES` lists what can be limited. A measure that somebody limited and that finds
            nothing to measure breaks its limit; the shipped limits pass over it.
        run : str, optional
            The run whose scores are checked, and that judges labels; by default that of the limits.

        Returns
        -------
        CheckResult
            `.ok`, `.broken` (names), `.df` (one row a limit), `.worst(measure)` (a view), `.to_html(path)`.

        Raises
        ------
        InputError
            The limits cannot be used (unknown names offer the nearest), or metrics were not computed.

        Examples
        --------
        >>> result = p.check({"at_most": {"blurred": 0.02, "leakage": 0}})  # doctest: +SKIP
        >>> result.ok, result.broken                                        # doctest: +SKIP
        """
        from .checking import check

        return check(self, limits, run)

    def search(
        self,
        image: Any = None,
        *,
        text: str | None = None,
        vector: Any = None,
        k: int = 10,
        embedding: str | None = None,
        embedder: Any = None,
    ) -> View:
        """Return the items nearest to an image, a text or a vector, nearest first.

        The view's `df` has a column `distance`: cosine distance, 0 (same) to 2. Texts are always far from
        images in absolute terms (about 0.7 with CLIP): their order counts.

        Parameters
        ----------
        image : path, bytes or ndarray (h, w, 3) uint8, optional
            By default it is searched with the built-in descriptor. A `str` that is no file and does not look
            like the address of one is taken as a text.
        text : str, optional
            Searched in a set that was made by an embedder with a text tower; see `ea.embedders.clip`.
        vector : array (d,) or (m, d), optional
            Of the model that made the set `embedding`.
        k : int
            How many.
        embedding : str, optional
            The set to search in.
        embedder : callable, optional
            The embedder that made the set, where it was not used in this session.

        Raises
        ------
        InputError
            A text, or an image in a set of yours, and no embedder at hand that could embed it.
        ImageError
            There is no image at that address.

        Examples
        --------
        >>> p.search("photos/cat.jpg")                         # doctest: +SKIP
        >>> p.embed("clip", ea.embedders.clip("models/clip"))  # doctest: +SKIP
        >>> p.search("a dark street", k=20)                    # doctest: +SKIP
        """
        from .computing.searching import search

        return search(self.embeddings, image, text=text, vector=vector, k=k, embedding=embedding, embedder=embedder)

    # -- computing --------------------------------------------------------------------------

    def compute(
        self,
        stages: str | Sequence[str] | None = None,
        metrics: str | Sequence[str] | None = None,
        executor: Executor | None = None,
        background: bool = False,
    ) -> Job:
        """Compute what is missing: metrics of images, objects and labels, descriptors, neighbours, maps.

        Each image is decoded once, for itself and for the objects on it. Finished images are
        committed every few seconds: after an interrupt, or a kill, the next call computes only
        what is missing.

        Parameters
        ----------
        stages : str or list, optional
            Of `"pixels"`, `"neighbours"`, `"labels"`, `"layout"`; all by default.
        metrics : str or list, optional
            Custom metrics to compute; all registered ones by default.
        executor : concurrent.futures.Executor, optional
            Where batches run; threads by default.
        background : bool
            Return at once; open explorers fill in as columns arrive. `job.wait()` waits.
        """
        from .computing import pipeline

        plan = pipeline.make_plan(stages, metrics, executor)
        return self._run(plan, "compute", background=background)

    def embed(
        self,
        name: str,
        embedder: Embedder,
        *,
        batch_size: int | None = None,
        size: int | tuple[int, int] | None = None,
        fit: str | None = None,
        view: View | None = None,
        replace: bool = False,
    ) -> EmbeddingSet:
        """Make vectors of the images with any model, and the neighbours, metrics and map that follow from them.

        Only images without a vector of their present content are embedded: call it again after an interrupt, an
        error of the model or new images, and it goes on. Each image is decoded once, in threads, ahead of the
        model. Finished vectors are committed every two seconds. Images that cannot be read are listed in
        `p.problems` and have no vector. What made the set is kept with it (its name, never weights), so that
        vectors of two models are not mixed.

        Parameters
        ----------
        name : str
            Of the set, as in `p.embeddings[name]`.
        embedder : callable
            Gets a batch and returns its vectors: an array (b, d) of any numeric dtype, a list of vectors, or
            a torch tensor. With a size the batch is (b, h, w, 3) uint8 RGB, else a list of (h, w, 3) arrays.
            See `ea.embedders` for ONNX files, torch modules and CLIP.
        batch_size : int, optional
            Images a call; what the embedder says, else 32.
        size : int or (int, int), optional
            Bring images to this side, or height and width, in pixels; what the embedder says by default.
        fit : {"crop", "stretch", "pad"}, optional
            How: the largest centred part in those proportions (default), the whole image squeezed, or the whole
            image with black beside it.
        view : View, optional
            Embed these rows only. A view of objects or predictions embeds their crops, as
            `p.objects.embed(…)` does.
        replace : bool
            Embed all of these rows again. The old vectors leave when the first new ones are there.

        Returns
        -------
        EmbeddingSet

        Raises
        ------
        ShapeError
            Another number of rows than images, or a vector of another length than those before.
        InputError
            Values that are not finite, an embedder that raised or is not that of the set; what was finished
            is kept.

        Examples
        --------
        >>> def mean_colour(images):
        ...     return images.mean(axis=(1, 2))
        >>> p.embed("colour", mean_colour, size=32)                                # doctest: +SKIP
        >>> p.objects.embed("dino", ea.embedders.onnx("dino.onnx"))                # doctest: +SKIP
        """
        from .computing.embed_stage import embed

        chosen = self.items if view is None else view
        return embed(chosen, name, embedder, batch_size=batch_size, size=size, fit=fit, replace=replace)

    def _run(self, plan: Any, title: str, *, background: bool, quiet: bool = False) -> Job:
        from .computing import pipeline

        return self._work(lambda job: pipeline.run(self, plan, job), title, background=background, quiet=quiet)

    def _work(self, work: Callable[[Job], None], title: str, *, background: bool = False, quiet: bool = False) -> Job:
        """Run one computation at a time, here with a progress bar or on a thread."""
        from .computing import pipeline

        self._folder.writable()
        with self._lock:
            if self._job is not None and self._job.state == "running":
                if background:
                    return self._job
                raise InputError("A computation is already running.", "Wait with job.wait(), or job.cancel() it.")
            job = self._job = Job(title)
        if background:
            pipeline.start(job, lambda: work(job), background=True)
            return job
        from .computing.progress import shown

        with shown(job, quiet=quiet):
            pipeline.start(job, lambda: work(job), background=False)
        return job

    def _after_embedding(self, name: str, level: str) -> None:
        """Rebuild the index, metrics and map of one set."""
        from .computing import pipeline

        plan = pipeline.Plan(("neighbours", "labels", "layout"), (), None, embedding=(level, name))
        self._run(plan, f"embedding {name}", background=False)

    # -- seen -------------------------------------------------------------------------------

    def explore(self, **options: Any) -> Explorer:
        """Open an explorer in the notebook cell.

        Parameters
        ----------
        color : str, optional
            The column that colours the map.
        sort : str, optional
            The column that orders the grid; `descending=True` turns it round.
        filter : pl.Expr, optional
            What to show at first.
        embedding, layout : str, optional
            Which map.
        labels : str or None
            What names the clusters of the map: `"color"` (the column that colours it, the default), a column with
            few values such as `"class_name"`, `"tags"`, or None for no names.
        pictures : bool
            Whether the map shows pictures where it is zoomed in far enough; True by default.
        height : int
            Pixels; 640 by default.
        **options
            The above, all by name.

        Returns
        -------
        Explorer
            With `.selection`, `.filter`, `.color`, `.sort`, `.code`, `.on_selection(fn)`.

        Examples
        --------
        >>> w = p.explore(color="class_name", sort="sharpness")  # doctest: +SKIP
        >>> w.selection.tag("review")  # doctest: +SKIP
        """
        return self._explore(self.items, **options)

    @property
    def _view(self) -> View:
        return self.items

    def _report(self, view: View, run: str | None, title: str | None) -> Report:
        from .export.report import make_report

        return make_report(view, run, title)

    def _to_html(self, view: View, path: str | os.PathLike[str], **options: Any) -> Exported:
        from .export.html import write_html

        return write_html(view, path, **options)

    def _explore(self, view: View, **options: Any) -> Explorer:
        from .protocol.stacks import Stacks
        from .widgets.explorer import Explorer

        if view.level == ITEM and "panels" not in options:
            options["panels"] = (Stacks(view),)
        return Explorer(view, **options)

    def _review(self, queue: Queue, **options: Any) -> Explorer:
        from .protocol.reviewing import Review

        return self._explore(queue.view, panels=(Review(queue),), **options)

    def _stacks(self, duplicates: Duplicates, rule: str, **options: Any) -> Explorer:
        from .protocol.stacks import Stacks

        view = self.items if duplicates._view is None else duplicates._view
        return self._explore(view, panels=(Stacks(view, duplicates.threshold, rule, open_=True),), **options)

    def __repr__(self) -> str:
        from .summary import describe

        return describe(self)

    # -- inside -----------------------------------------------------------------------------

    @property
    def _bases(self) -> list[Path]:
        source = self._card.get("source", {})
        bases = []
        if source.get("own_images"):  # a clone that has copies or links of them
            bases.append(self.path.resolve())
        if source.get("base_relative"):
            bases.append(Path(os.path.normpath(self.path.resolve() / source["base_relative"])))
        if source.get("base"):
            bases.append(Path(source["base"]))
        return [*bases, Path.cwd()]

    @property
    def _thumbnails(self) -> ThumbnailStore:
        if self._thumbnail_store is None:
            from .images.thumbnails import ThumbnailStore

            self._thumbnail_store = ThumbnailStore(self._folder.cache / "thumbnails")
        return self._thumbnail_store

    def _snapshot(self) -> Snapshot:
        with self._lock:
            return self._reader.snapshot()

    def _answers(self, view: View) -> NDArray[np.uint32]:
        from .importing.labelling import open_answers

        return open_answers(self, view)

    def _read_pending(self) -> None:
        """Read the files of items that were added without being opened."""
        frame = self._snapshot().items.frame
        pending = frame.filter(pl.col(schema.CONTENT_HASH).is_null()).select(schema.URI)
        if pending.height:
            self._ingest(Source(pending, self.name, {}), whole=False, code="p.compute()")

    def _add_problems(self, rows: Sequence[dict[str, Any]]) -> None:
        self._folder.problems.append(pl.DataFrame(rows, schema=dict(schema.PROBLEMS.columns)))


def open_project(path: str | os.PathLike[str]) -> Project:
    """Open a project folder; see `Project.open`."""
    return Project.open(path)
