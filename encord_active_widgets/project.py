"""The project: images, metrics, embeddings, tags and views of one folder, as Polars frames."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from . import schema
from .edits import EditVerbs
from .errors import InputError, ProjectError, unknown
from .formats.coco import read_coco
from .formats.folder import read_folder
from .formats.frame import read_frame
from .formats.source import Source, existing
from .jobs import Job
from .schema import CLASSIFICATION, ITEM, OBJECT
from .state import Snapshot, StateReader
from .store.folder import SUFFIX, ProjectFolder
from .store.rows import RowSet
from .vectors import EmbeddingSets
from .view import View

if TYPE_CHECKING:
    from .duplicates import Duplicates
    from .images.thumbnails import ThumbnailStore
    from .ingest import Ingested
    from .widgets.explorer import Explorer

QUALITY_METRICS = (
    "sharpness", "brightness", "contrast", "entropy", "luma_p05", "luma_p99", "odd_size", "odd_aspect", "uniqueness"
)  # fmt: skip
_NO_ROWS = RowSet("ids", 0, b"")
_LONGEST_TAG = 200


class Project(EditVerbs):
    """A folder of tables about images, explored and edited in a notebook.

    Make one with `Project.from_folder`, `from_frame` or `from_coco`; reopen it with `open`.

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
        self._lock = threading.RLock()
        self._reader = StateReader(self._folder)
        self._job: Job | None = None
        self._embeddings = EmbeddingSets(self)
        self._thumbnail_store: ThumbnailStore | None = None
        self.seed = 0

    # -- making and opening ---------------------------------------------------------------

    @classmethod
    def from_folder(
        cls,
        images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | pl.DataFrame,
        path: str | os.PathLike[str] | None = None,
        *,
        recursive: bool = True,
        classes: bool | None = None,
        name: str | None = None,
    ) -> Project:
        """Make a project from images, or reopen the one made from them before.

        Parameters
        ----------
        images : path, pattern, list of paths, or frame with a column `path`
            A folder (`"photos/"`), a pattern (`"photos/**/*.jpg"`), or files.
        path : path, optional
            The project folder; `./<name>.eaw` by default.
        recursive : bool
            Look into sub-folders.
        classes : bool, optional
            Whether sub-folders are classes; by default they are where every image lies in
            one of at least two sub-folders, below `train/`, `val/`, `test/` if present.
        name : str, optional
            A name to show; the folder's by default.

        Raises
        ------
        EmptyFolderError
            The folder does not exist or holds no image; similar names are offered.
        ProjectError
            `path` is a file, another project or a folder with other content.
        """
        if isinstance(images, (pl.DataFrame, pl.LazyFrame)) or hasattr(images, "__arrow_c_stream__"):
            return cls.from_frame(images, path, name=name)
        source = read_folder(images, recursive=recursive, classes=classes)
        return cls._from_source(source, path, name, code=f"Project.from_folder({_shown(images)})")

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        path: str | os.PathLike[str] | None = None,
        *,
        path_column: str = "path",
        name: str | None = None,
        read: bool = True,
    ) -> Project:
        """Make a project from a data frame with a column of image paths.

        Parameters
        ----------
        frame : data frame
            Polars, pandas, Arrow … with the column `path`; optionally `class_name`, boxes
            (`x`, `y`, `w`, `h` in pixels, one row a box), `group`, and metadata columns.
            A metadata column named like one of ours is kept as `<name>_source`.
        path : path, optional
            The project folder; `./<name>.eaw` by default.
        path_column : str
            The column of addresses.
        read : bool
            Open every file now. With `False` the files are not touched: useful for a
            million rows that bring their own columns.
        """
        source = read_frame(frame, path=path_column)
        return cls._from_source(source, path, name, read=read, code="Project.from_frame(frame)")

    @classmethod
    def from_coco(
        cls,
        annotations: str | os.PathLike[str],
        images: str | os.PathLike[str],
        path: str | os.PathLike[str] | None = None,
        *,
        name: str | None = None,
    ) -> Project:
        """Make a project from COCO annotations: images, categories and boxes.

        What cannot be used is skipped and listed in `project.problems`.
        """
        source = read_coco(annotations, images=images)
        return cls._from_source(source, path, name, code=f"Project.from_coco({str(annotations)!r})")

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Project:
        """Open a project folder."""
        folder = Path(path).expanduser()
        if not folder.exists():
            existing(folder, "project folder")
        return cls(folder)

    @classmethod
    def _from_source(
        cls, source: Source, path: str | os.PathLike[str] | None, name: str | None, *, read: bool = True, code: str
    ) -> Project:
        title = name or source.name
        home = Path(path).expanduser() if path is not None else Path(f"{title}{SUFFIX}")
        folder = ProjectFolder(home)
        if not folder.is_project():
            folder.create(title, {**source.card, **_bases_card(home)})
        project = cls(home)
        old = project._card.get("source", {})
        if not _same_source(old, source.card):
            raise ProjectError(
                f'"{home}" already holds a project made from {old.get("images") or old.get("format")}.',
                f'Open it with ea.open("{home}"), add to it with p.add_images(…), or give another path=….',
            )
        project._ingest(source, read=read, code=code)
        return project

    def add_images(self, images: Any, *, recursive: bool = True, classes: bool | None = None) -> Ingested:
        """Add images, from whatever `from_folder` or `from_frame` takes.

        Known files are skipped; a renamed file keeps its id and values.
        """
        if isinstance(images, (str, os.PathLike, list, tuple)):
            return self._ingest(
                read_folder(images, recursive=recursive, classes=classes), whole=False, code="p.add_images(…)"
            )
        return self._ingest(read_frame(images), whole=False, code="p.add_images(frame)")

    def refresh(self) -> Ingested:
        """Look at the source again: new, changed and renamed files. Nothing is removed.

        Files that are gone are listed in `problems`; take them out with
        `p.filter(...).remove()`. Only new content is computed by the next `compute`.
        """
        card = self._card.get("source", {})
        level = self._snapshot().items
        if card.get("format") == "folder":
            source = read_folder(card["images"], recursive=card.get("recursive", True), classes=card.get("classes"))
        elif card.get("format") == "coco":
            source = read_coco(card["annotations"], images=card["images"])
        else:
            source = Source(level.frame.select(schema.URI), self.name, {})
        return self._ingest(source, code="p.refresh()")

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
        """All objects (boxes), as a view."""
        return View(self, OBJECT)

    @property
    def classifications(self) -> View:
        """All class answers on images, as a view."""
        return View(self, CLASSIFICATION)

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
        """Named embedding sets; assign `(n, d)` arrays or frames with ids."""
        return self._embeddings

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

        level = self._snapshot().items
        frame = specs_frame()
        have = [c for c in level.metrics if level.frame[c].null_count() < level.n]
        extra = [c for c in level.metrics if c not in set(frame["name"])]
        if extra:
            rows = {"name": extra, "level": [ITEM] * len(extra), "family": ["stored"] * len(extra)}
            frame = pl.concat([frame, pl.DataFrame(rows)], how="diagonal")
        limits = pl.concat_list("low", "high").alias("range")
        return frame.with_columns(limits, pl.col("name").is_in(have).alias("computed")).drop("low", "high")

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
        frame = level.frame if level.alive is None else level.frame.filter(pl.Series(level.alive))
        return outliers(frame, list(metrics or [m for m in QUALITY_METRICS if m in level.metrics]))

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
        """Compute what is missing: image metrics, hashes, descriptor, thumbnails, neighbours, map.

        Each image is decoded once. Finished images are committed every few seconds: after
        an interrupt, or a kill, the next call computes only what is missing.

        Parameters
        ----------
        stages : str or list, optional
            Of `"pixels"`, `"neighbours"`, `"layout"`; all by default.
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

    def _after_embedding(self, name: str) -> None:
        """Rebuild the index, metrics and map of one set."""
        from . import pipeline

        self._run(
            pipeline.Plan(("neighbours", "layout"), (), None, embedding=name), f"embedding {name}", background=False
        )

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

    def _ingest(self, source: Source, *, read: bool = True, whole: bool = True, code: str = "") -> Ingested:
        from .ingest import ingest
        from .metrics.registry import registered

        taken = {m.name for m in registered(ITEM) if not m.custom} | {"object_count"}
        # Rows that bring their own values instead of files keep their names, and win over ours.
        clashing = [c for c in source.items.columns if read and c in taken]
        source.items = source.items.rename({c: f"{c}_source" for c in clashing})
        with self._lock, self._folder.lock():
            self._snapshot()
            n_labels = self._folder.labels.read().height
            known = self._reader.raw_items
            return ingest(
                self._folder, source, self._bases, known=known, n_labels=n_labels, read=read, whole=whole, code=code
            )

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


def _bases_card(home: Path) -> dict[str, str]:
    """Remember where relative addresses start, absolutely and relative to the project."""
    here = Path.cwd()
    try:
        relative = os.path.relpath(here, home.resolve())
    except ValueError:  # another drive
        relative = ""
    return {"base": str(here), "base_relative": relative}


def _same_source(old: dict[str, Any], new: dict[str, Any]) -> bool:
    keys = ("format", "images", "annotations")
    return all(_place(old.get(k)) == _place(new.get(k)) for k in keys)


def _place(value: Any) -> Any:
    return str(Path(value).absolute()) if isinstance(value, str) and os.sep in value else value


def _shown(images: Any) -> str:
    return repr(os.fspath(images)) if isinstance(images, (str, os.PathLike)) else f"{len(images)} paths"
