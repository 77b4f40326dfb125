"""The project: images, metrics, embeddings, tags and views of one folder, as Polars frames."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from . import schema
from .edits import EditVerbs
from .errors import InputError, unknown
from .formats.source import Source
from .jobs import Job
from .making import Making
from .runs import RunVerbs
from .schema import CLASSIFICATION, ITEM, LABEL, OBJECT
from .state import Snapshot, StateReader
from .store.folder import ProjectFolder
from .vectors import EmbeddingSets
from .view import View

if TYPE_CHECKING:
    from .duplicates import Duplicates
    from .images.thumbnails import ThumbnailStore
    from .widgets.explorer import Explorer

QUALITY_METRICS = (
    "sharpness", "brightness", "contrast", "entropy", "luma_p05", "luma_p99", "odd_size", "odd_aspect", "uniqueness"
)  # fmt: skip


class Project(Making, EditVerbs, RunVerbs):
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

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder = ProjectFolder(Path(path).expanduser())
        self._card = self._folder.card()
        if self._card["format"] < schema.FORMAT_VERSION:
            self._folder.migrate()
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
        """One row an annotator: labels, items, time, how far others agree; see `summary.annotators`."""
        from .annotators import annotators

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
        """Items where every Polars expression is true; see `View.filter`."""
        return self.items.filter(*exprs)

    def sort(self, by: str | pl.Expr, *, descending: bool = False) -> View:
        """Items in the order of a column."""
        return self.items.sort(by, descending=descending)

    def sample(self, n: int, *, seed: int = 0) -> View:
        """`n` items drawn at random."""
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
        """Every metric: `name`, `formula`, `unit`, `range`, `direction`, `version` and whether it is computed."""
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
        """
        from .metrics.outliers import outliers

        level = self._snapshot().items
        for name in metrics:
            if name not in level.metrics:
                raise unknown("metric", name, level.metrics)
        return outliers(level.alive_frame(), list(metrics or [m for m in QUALITY_METRICS if m in level.metrics]))

    def duplicates(self, threshold: float | None = None) -> Duplicates:
        """Return groups of exact and near duplicates; `threshold` is a cosine distance."""
        from .duplicates import Duplicates

        return Duplicates(self, threshold)

    def search(self, image: Any = None, *, vector: Any = None, k: int = 10, embedding: str | None = None) -> View:
        """Return the items nearest to an image (path, bytes or (h, w, 3) uint8) or a vector.

        The view's `df` has a column `distance`: cosine distance, 0 (same) to 2. An image
        is searched by the built-in descriptor; for your own embeddings pass `vector=`.
        """
        if (image is None) == (vector is None):
            raise InputError("search needs an image or a vector.", "Give one of the two.")
        if vector is None:
            from .vectors import DESCRIPTOR, image_vector

            if embedding not in (None, DESCRIPTOR):
                raise InputError(
                    f'An image cannot be searched in "{embedding}": only the built-in descriptor embeds images here.',
                    "Embed it with your model and pass vector=….",
                )
            vector, embedding = image_vector(image), DESCRIPTOR
        return self.embeddings.search(vector, k, embedding)

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
        from . import pipeline

        plan = pipeline.make_plan(stages, metrics, executor)
        return self._run(plan, "compute", background=background)

    def _run(self, plan: Any, title: str, *, background: bool, quiet: bool = False) -> Job:
        from . import pipeline

        with self._lock:
            if self._job is not None and self._job.state == "running":
                if background:
                    return self._job
                raise InputError("A computation is already running.", "Wait with job.wait(), or job.cancel() it.")
            job = self._job = Job(title)
        if background:
            pipeline.start(job, lambda: pipeline.run(self, plan, job), background=True)
            return job
        from .progress import shown

        with shown(job, quiet=quiet):
            pipeline.start(job, lambda: pipeline.run(self, plan, job), background=False)
        return job

    def _after_embedding(self, name: str, level: str) -> None:
        """Rebuild the index, metrics and map of one set."""
        from . import pipeline

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
        height : int
            Pixels; 640 by default.

        Returns
        -------
        Explorer
            With `.selection`, `.filter`, `.color`, `.sort`, `.code`, `.on_selection(fn)`.
        """
        return self._explore(self.items, **options)

    def _explore(self, view: View, **options: Any) -> Explorer:
        from .widgets.explorer import Explorer

        return Explorer(view, **options)

    def __repr__(self) -> str:
        from .summary import describe

        return describe(self)

    # -- inside -----------------------------------------------------------------------------

    @property
    def _bases(self) -> list[Path]:
        source = self._card.get("source", {})
        bases = []
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
        from .labelling import open_answers

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
