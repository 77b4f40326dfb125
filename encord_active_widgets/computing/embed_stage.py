"""`Project.embed`: images decoded ahead in threads, embedded in batches, committed as they come."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..embeddings.embedder import Bound, named
from ..embeddings.reading import IMAGE, Cut, Reader, Work
from ..errors import EawError, InputError, ShapeError
from ..images.address import shown
from ..metrics.batch import Problem
from ..schema import CONTENT_HASH, EMBEDDING, ITEM, KEY, OBJECT, ORDINAL, URI, VECTOR, run_of
from ..store.folder import resolve_address
from . import pipeline
from .jobs import Job

if TYPE_CHECKING:
    from ..content.levels import Level
    from ..project import Project
    from ..view import View
    from .embedding_set import EmbeddingSet
    from .vectors import EmbeddingSets

BATCHIMAGES = 32
FLUSH_SECONDS = 2.0
FLUSH_ROWS = 4096
"""Finished vectors are committed after this long or this many rows, whichever is first."""

_STAGE = "embed"
_BYTES_A_NUMBER = 4
_MOST_BYTES = 2**31
"""Of the pixels of one batch."""


def embed(
    view: View,
    name: str,
    embedder: Any,
    *,
    batch_size: int | None,
    size: int | tuple[int, int] | None,
    fit: str | None,
    replace: bool,
) -> EmbeddingSet:
    """Embed the rows of a view that have no vector yet; see `Project.embed`."""
    project = view.project
    if view.level not in (ITEM, OBJECT) and run_of(view.level) is None:
        raise InputError(
            f"A view of {view.level}s has no images of its own.", "Embed items with p.embed, or view.objects()."
        )
    sets = project._embedding_sets(view.level)
    sets.check_name(name)
    bound = Bound.of(embedder, size, fit)
    wanted = batch_size if batch_size is not None else getattr(embedder, "batch_size", None) or BATCHIMAGES
    if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or wanted < 1:
        raise InputError(f"batch_size={wanted!r:.80} is no number of images.", "Give 1 or more.")
    if (
        bound.size is not None
        and (needed := min(int(wanted), len(view)) * bound.size[0] * bound.size[1] * 3) > _MOST_BYTES
    ):
        raise InputError(
            f"A batch of {wanted:,} images of {bound.size[0]:,} × {bound.size[1]:,} px takes {needed / 2**30:,.1f} GB.",
            "Give a smaller batch_size or size.",
        )

    def work(job: Job) -> None:
        if view.level == ITEM:
            project._read_pending()
        _Embedding(view, sets, name, bound, int(wanted), job).run(replace=replace)
        if name in sets and not job.cancelled.is_set():
            stages = ("neighbours", "labels", "layout")
            pipeline.run(project, pipeline.Plan(stages, (), None, embedding=(view.level, name)), job)

    project._work(work, f"embedding {name}")
    if name not in sets:
        raise InputError(
            f'No {_noun(view.level)} could be embedded into "{name}".',
            "See p.problems." if len(view) else "The view is empty: widen its filter.",
        )
    return sets[name]


class _Embedding:
    """One call of `embed`: what waits for the model, and what is finished and not yet committed."""

    def __init__(self, view: View, sets: EmbeddingSets, name: str, bound: Bound, batch_size: int, job: Job) -> None:
        self._view, self._sets, self._name, self._bound = view, sets, name, bound
        self._project: Project = view.project
        self._batch_size, self._job = batch_size, job
        self._table = self._project._folder.embedding(name, sets.stored)
        self._reader = Reader(bound, batch_size)
        self._finished: list[pl.DataFrame] = []
        self._problems: list[Problem] = []
        self._flushed_at = time.monotonic()
        self._dim: int | None = None
        self._leaving: pl.Series | None = None
        self._batches = self._done = self._total = 0

    def run(self, *, replace: bool) -> None:
        level = self._project._level(self._view.level)
        rows, hashes = self._view.rows, _content(self._project, level)
        todo = self._missing(level, rows, hashes, replace=replace)
        self._total = todo.size
        if not self._total:
            return
        self._job.enter(f"embedding {self._name}", self._total)
        try:
            self._embed(_works(self._project, level, todo, hashes))
        finally:  # an interrupt and an error of the model keep what was finished
            self._flush()
        self._table.compact()

    def _missing(
        self, level: Level, rows: NDArray[np.uint32], hashes: pl.Series, *, replace: bool
    ) -> NDArray[np.uint32]:
        """Return the rows without a vector of today's content, and note which stored ones must leave for them."""
        wanted = pl.DataFrame({KEY: level.frame[level.key].gather(rows), "now": hashes.gather(rows), ORDINAL: rows})
        if not self._table.exists():
            return rows
        stored = self._table.read()
        if CONTENT_HASH not in stored.columns:
            stored = stored.with_columns(pl.lit(None, dtype=pl.String).alias(CONTENT_HASH))
        same = pl.col(CONTENT_HASH).is_null() | pl.col(CONTENT_HASH).eq_missing(pl.col("now"))
        known = wanted.join(stored.select(KEY, CONTENT_HASH), on=KEY, how="inner")
        fresh = known.clear() if replace else known.filter(same)
        todo = wanted.join(fresh, on=KEY, how="anti", maintain_order="left")
        self._leaving = todo[KEY] if todo[KEY].is_in(stored[KEY].implode()).any() else None
        staying = stored.filter(~pl.col(KEY).is_in(todo[KEY].implode()))
        if staying.height:
            self._refuse_mixture()
            self._sets.keep_embedder(self._name, self._bound)
            self._dim = len(staying[VECTOR][0]) // _BYTES_A_NUMBER
        return todo[ORDINAL].to_numpy()

    def _refuse_mixture(self) -> None:
        """Refuse to put vectors of one embedder beside those of another: they cannot be compared."""
        record = self._sets.made_by(self._name)
        if record is None:
            raise InputError(
                f'The vectors of "{self._name}" were assigned, not made by an embedder.',
                "Give another name, or replace=True.",
            )
        if not self._bound.is_that_of(record):
            raise InputError(
                f'"{self._name}" was made by {_described(record)}, not by {_described(self._bound.record)}.',
                "Give another name, or replace=True for all rows.",
            )

    # -- the model ----------------------------------------------------------------------------

    def _embed(self, works: Sequence[Work]) -> None:
        waiting: list[Cut] = []
        with closing(self._reader.read(works)) as decoded:
            for cuts, problems, unseen in decoded:
                self._problems += problems
                self._done += unseen
                waiting += cuts
                while len(waiting) >= self._batch_size and not self._job.cancelled.is_set():
                    self._call(waiting[: self._batch_size])
                    waiting = waiting[self._batch_size :]
                if self._job.cancelled.is_set():
                    return
        if waiting:
            self._call(waiting)
        self._job.reach(self._total, self._total)

    def _call(self, batch: Sequence[Cut]) -> None:
        self._batches += 1
        where = f"batch {self._batches} ({len(batch)} images from {shown(batch[0].work.address)} on)"
        try:
            vectors = self._bound.images([cut.pixels for cut in batch], where)
        except EawError as error:
            raise type(error)(error.message, f"{error.remedy} {self._kept()}") from error
        except Exception as error:
            raise InputError(
                f'The embedder "{named(self._bound.embedder)}" failed on {where}: {type(error).__name__}: {error}',
                f"Correct it, or give a smaller batch_size if memory ran out. {self._kept()}",
            ) from error
        if self._dim not in (None, vectors.shape[1]):
            raise ShapeError(
                f'The embedder "{named(self._bound.embedder)}" returned vectors of {vectors.shape[1]} for {where}; '
                f'those before in "{self._name}" have {self._dim}.',
                f"Return one length, or give another name or replace=True. {self._kept()}",
            )
        self._dim = vectors.shape[1]
        counts = [len(cut.keys) for cut in batch]
        blobs = [row.tobytes() for row in vectors.astype("<f4", copy=False)]
        self._finished.append(
            pl.DataFrame(
                {
                    KEY: [key for cut in batch for key in cut.keys],
                    VECTOR: [blob for blob, count in zip(blobs, counts, strict=True) for _ in range(count)],
                    CONTENT_HASH: [cut.work.content_hash or None for cut in batch for _ in cut.keys],
                },
                schema={**EMBEDDING.columns, CONTENT_HASH: pl.String},
            )
        )
        self._done += sum(counts)
        self._job.reach(self._done, self._total)
        late = time.monotonic() - self._flushed_at >= FLUSH_SECONDS
        if late or sum(frame.height for frame in self._finished) >= FLUSH_ROWS:
            self._flush()

    def _kept(self) -> str:
        return "What was finished is kept; the next call goes on from there." if self._batches > 1 else ""

    # -- the project --------------------------------------------------------------------------

    def _flush(self) -> None:
        finished, self._finished = self._finished, []
        self._flushed_at = time.monotonic()
        if finished:
            frame = pl.concat(finished)
            if self._leaving is not None:
                # Old vectors leave when the first new ones are there, never before.
                stored = self._table.read()
                staying = stored.filter(~pl.col(KEY).is_in(self._leaving.implode()))
                self._table.replace(pl.concat([staying, frame], how="diagonal"))
                self._leaving = None
            else:
                # In this order a kill between the two leaves no vectors of which nobody knows who made them.
                self._sets.write_record(self._name, self._bound.record)
                self._table.append(frame)
            self._sets.write_record(self._name, self._bound.record)
            self._sets.keep_embedder(self._name, self._bound)
        problems, self._problems = self._problems, []
        if problems:
            self._list(problems)

    def _list(self, problems: Iterable[Problem]) -> None:
        """Add to `p.problems` what is not there from an earlier call."""
        known = self._project._folder.problems.read()
        seen = set(known.select("stage", "where", "what", "why").iter_rows())
        rows = [
            {
                "stage": _STAGE,
                "where": p.address,
                "what": p.what,
                "why": p.why,
                "remedy": p.remedy,
                KEY: p.content_hash if p.what == IMAGE and p.content_hash else None,
            }
            for p in problems
            if (_STAGE, p.address, p.what, p.why) not in seen
        ]
        if rows:
            self._project._add_problems(rows)


def _content(project: Project, level: Level) -> pl.Series:
    """Return the content hash of each row's image."""
    items = project._snapshot().items.frame
    hashes = items[CONTENT_HASH]
    return hashes if level.name == ITEM or level.item_rows is None else hashes.gather(level.item_rows)


def _works(project: Project, level: Level, rows: NDArray[np.uint32], hashes: pl.Series) -> list[Work]:
    """Group rows by the image they need, so that each is decoded once."""
    frame = pl.DataFrame(
        {
            KEY: level.frame[level.key].gather(rows),
            URI: level.frame[URI].gather(rows),
            CONTENT_HASH: hashes.gather(rows).fill_null(""),
            ORDINAL: rows,
        }
    )
    by = pl.when(pl.col(CONTENT_HASH) == "").then(pl.col(URI)).otherwise(pl.col(CONTENT_HASH))
    groups = frame.group_by(by.alias("image"), maintain_order=True).agg(
        pl.col(URI, CONTENT_HASH).first(), pl.col(KEY, ORDINAL)
    )
    bases, works = project._bases, []
    bounds = None
    if level.name != ITEM:
        from ..metrics.geometry import true_bounds

        bounds = true_bounds(level.frame).cast(pl.Float64).to_numpy()
    for uri, content, keys, ordinals in groups.select(URI, CONTENT_HASH, KEY, ORDINAL).iter_rows():
        boxes = None if bounds is None else bounds[ordinals]
        works.append(Work(resolve_address(uri, bases), content, keys, boxes))
    return works


def _described(record: dict[str, Any]) -> str:
    size = "×".join(map(str, record["size"])) if record.get("size") else "their own size"
    code = f", code and values {record['code']}" if "code" in record else ""
    return f'"{record.get("name")}" ({record.get("kind")}, images of {size}, fit {record.get("fit")}{code})'


def _noun(level: str) -> str:
    return "image" if level == ITEM else "object"
