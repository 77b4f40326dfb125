"""Batches of images to columns: one decode each, any executor, bounded memory, resumable.

A batch is a pure function of addresses (`compute_batch`), so it runs in a thread, in another
process or on another machine. `run` keeps a few batches in flight and hands finished ones
to a `sink` about every two seconds: what the sink has stored, a kill cannot take back.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import polars as pl

from ..errors import InputError
from .batch import METRICS, THUMBNAILS, VECTORS, WANT_ALL, Crops, PixelBatch, Problem, compute_batch, merge
from .registry import MetricSpec

__all__ = [
    "METRICS",
    "THUMBNAILS",
    "VECTORS",
    "WANT_ALL",
    "PixelBatch",
    "Problem",
    "compute_batch",
    "merge",
    "run",
    "warm_up",
]

FLUSH_SECONDS = 2.0
FLUSH_ROWS = 4096
"""The sink is called after this long or this many rows, whichever is first."""

FIRST_BATCH_IMAGES = 8
MOST_BATCH_IMAGES = 512
BATCH_SECONDS = 0.4
"""Batches grow or shrink to take about this long: progress, cancelling and flushing stay live."""

BATCHES_AHEAD = 2
"""Batches in flight for each worker: one runs, one waits."""

Sink = Callable[[PixelBatch], None]
Progress = Callable[[int, int], None]


def warm_up() -> threading.Thread:
    """Load (at first use: compile) the kernels in the background; join the thread to wait."""
    thread = threading.Thread(target=_warm_up, name="eaw-pixel-warm-up", daemon=True)
    thread.start()
    return thread


def _warm_up() -> None:
    from .pixels import measure

    measure(np.zeros((2, 2, 3), np.uint8))


def run(
    todo: pl.DataFrame,
    sink: Sink,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    custom: Sequence[MetricSpec] = (),
    want: Sequence[str] = WANT_ALL,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> None:
    """Compute all of `todo` and hand the results to `sink` as they come.

    Parameters
    ----------
    todo : pl.DataFrame
        Columns `content_hash` and `uri` (strings), one row an image; optionally the objects on
        it, `objects` (list of ordinals) and `boxes` (flat list of x0, y0, x1, y1).
    sink : callable
        Called with a merged `PixelBatch` about every 2 s or 4,096 rows, on this thread.
    executor : concurrent.futures.Executor, optional
        A thread pool of `workers` (default: one a core) where absent. It is not shut down.
    workers : int, optional
        Workers of the executor: how many batches are kept in flight.
    custom : sequence of MetricSpec
        Registered functions of pixels.
    want : sequence of str
        What to compute; see `compute_batch`.
    progress : callable, optional
        Called as `progress(done, total)` on this thread after each batch.
    cancel : threading.Event, optional
        When it is set, what is finished is handed over and `run` returns.

    Raises
    ------
    KeyboardInterrupt
        After pending batches are cancelled and finished ones are handed over.
    """
    missing = {"content_hash", "uri"} - set(todo.columns)
    if missing:
        raise InputError(
            f"The work list lacks the column {', '.join(sorted(missing))}.",
            "Pass content_hash and uri.",
        )
    if todo.height == 0:
        return
    count = workers or os.cpu_count() or 1
    used = ThreadPoolExecutor(count, "eaw-pixels") if executor is None else executor
    try:
        _Run(todo, sink, used, count, custom, want, progress, cancel).go()
    finally:
        if used is not executor:
            used.shutdown(wait=True, cancel_futures=True)


class _Run:
    """One call of `run`: what is in flight, what is finished and not yet handed over."""

    def __init__(
        self,
        todo: pl.DataFrame,
        sink: Sink,
        executor: Executor,
        workers: int,
        custom: Sequence[MetricSpec],
        want: Sequence[str],
        progress: Progress | None,
        cancel: threading.Event | None,
    ) -> None:
        self._addresses: list[str] = todo["uri"].to_list()
        self._hashes: list[str] = todo["content_hash"].fill_null("").to_list()
        self._crops = _crops_of(todo)
        self._sink = sink
        self._executor = executor
        self._in_flight_most = workers * BATCHES_AHEAD
        self._custom = tuple(custom)
        self._want = tuple(want)
        self._progress = progress
        self._cancel = cancel
        self._flying: dict[Future[tuple[PixelBatch, float]], int] = {}
        self._finished: list[PixelBatch] = []
        self._failed_metrics: set[str] = set()
        self._next = 0
        self._done = 0
        self._batch_images = FIRST_BATCH_IMAGES
        self._flushed_at = time.monotonic()

    def go(self) -> None:
        try:
            while self._submit():
                done, _ = wait(self._flying, timeout=FLUSH_SECONDS, return_when=FIRST_COMPLETED)
                self._collect(done)
                if self._due():
                    self._flush()
                if self._cancel is not None and self._cancel.is_set():
                    self._stop()
                    return
        except KeyboardInterrupt:
            self._stop()
            raise
        except BaseException:
            for future in self._flying:
                future.cancel()
            raise
        self._flush()

    def _submit(self) -> bool:
        """Fill up what is in flight; return whether anything is left to wait for."""
        total = len(self._addresses)
        while self._next < total and len(self._flying) < self._in_flight_most:
            stop = min(self._next + self._batch_images, total)
            future = self._executor.submit(
                _timed_batch,
                self._addresses[self._next : stop],
                self._hashes[self._next : stop],
                self._custom,
                self._want,
                self._crops[self._next : stop] if self._crops is not None else None,
            )
            self._flying[future] = stop - self._next
            self._next = stop
        return bool(self._flying)

    def _collect(self, done: set[Future[tuple[PixelBatch, float]]]) -> None:
        for future in done:
            images = self._flying.pop(future)
            try:
                batch, seconds = future.result()
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                if not self._custom:
                    raise
                raise InputError(
                    f"The custom metrics cannot be sent to the executor: {error}.",
                    "Define them in a module that the workers can import, or leave out executor=.",
                ) from error
            self._finished.append(self._once(batch))
            self._done += images
            self._adapt(images, seconds)
            if self._progress is not None:
                self._progress(self._done, len(self._addresses))

    def _adapt(self, images: int, seconds: float) -> None:
        """Aim at batches of `BATCH_SECONDS`, changing at most fourfold at a time."""
        fitting = images * BATCH_SECONDS / max(seconds, 1e-3)
        bounded = min(max(fitting, images / 4), images * 4)
        self._batch_images = int(min(max(bounded, 1), MOST_BATCH_IMAGES))

    def _once(self, batch: PixelBatch) -> PixelBatch:
        """Keep one problem for each failing metric of the whole run."""
        kept = []
        for problem in batch.problems:
            of_image = problem.what in ("image", "objects")
            if of_image or problem.what not in self._failed_metrics:
                kept.append(problem)
            if not of_image:
                self._failed_metrics.add(problem.what)
        return replace(batch, problems=kept)

    def _due(self) -> bool:
        late = time.monotonic() - self._flushed_at >= FLUSH_SECONDS
        return late or sum(map(len, self._finished)) >= FLUSH_ROWS

    def _flush(self) -> None:
        finished, self._finished = self._finished, []
        self._flushed_at = time.monotonic()
        if finished:
            self._sink(merge(finished))

    def _stop(self) -> None:
        """Cancel what waits, take what runs to its end (under a second), hand it over."""
        running = {f for f in self._flying if not f.cancel()}
        wait(running)
        self._collect({f for f in running if f.exception() is None})
        self._flush()


def _timed_batch(
    addresses: Sequence[str],
    hashes: Sequence[str],
    custom: Sequence[MetricSpec],
    want: Sequence[str],
    crops: Sequence[Crops | None] | None,
) -> tuple[PixelBatch, float]:
    """Compute a batch and say how long it took where it ran."""
    start = time.perf_counter()
    return compute_batch(addresses, hashes, custom, want, crops), time.perf_counter() - start


def _crops_of(todo: pl.DataFrame) -> list[Crops | None] | None:
    """Return each image's objects and their boxes."""
    if "objects" not in todo.columns or todo["objects"].null_count() == todo.height:
        return None
    return [
        None if rows is None else (rows.to_numpy(), boxes.to_numpy().reshape(-1, 4))
        for rows, boxes in zip(todo["objects"], todo["boxes"], strict=True)
    ]
