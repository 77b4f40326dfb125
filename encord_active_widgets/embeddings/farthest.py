"""Farthest points: how far every row is from the nearest of some centres, kept exactly as centres are added."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from encord_active_widgets.embeddings.rows import available_threads

_AXES = 15
"""Principal axes of the short form; with the length of the rest a row's short form fills one cache line."""
_SAMPLE_ROWS = 20_000
_ROUNDING = 1e-5
"""Share of the largest squared length by which a single-precision distance may be off; skipping allows for it."""
_THREAD_CELLS = 2_000_000
_THREAD_ROWS = 16_384
"""Numbers, and rows at once, from which two threads are faster than one."""
_BLOCK_CENTRES = 512
_BLOCK_ROWS = 4_096
_CANDIDATES = 4_096
"""Rows kept up to date while picking: their short forms stay in the processor's cache."""


class Reach:
    """Squared distance of every row to the nearest centre.

    A row is first compared by a short form (15 principal axes and the length of what is left), whose distance
    is never greater than the true one; then in single precision, axis by axis until it is too far; and only
    rows that seem to come nearer are measured in double precision. The result is that of the plain loop in
    double precision.

    Parameters
    ----------
    points : (n, d) float32
        Finite Euclidean coordinates.

    Attributes
    ----------
    squared : (n,) float64
        Squared distance to the nearest centre; infinite before the first one, -1 for the centres themselves.
    """

    def __init__(self, points: NDArray[np.float32]) -> None:
        self._points = np.ascontiguousarray(points, np.float32)
        n = len(self._points)
        self.squared = np.full(n, np.inf)
        self._all = np.arange(n)
        self._short, largest = _short_form(self._points)
        self._norms = np.einsum("nd,nd->n", self._points, self._points)
        self._slack = np.float32(_ROUNDING * largest)
        threads = available_threads() if self._points.size >= _THREAD_CELLS else 1
        # Its threads end with the executor, and that with this object.
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._threads = threads

    def add(self, row: int) -> None:
        """Make a row a centre; every other row is looked at."""
        self.squared[row] = -1
        self._nearer(self._all, np.array([row], np.int64))

    def add_all(self, rows: NDArray[np.integer]) -> None:
        """Make many rows centres at once."""
        self.squared[rows] = -1
        self._nearer_to_many(np.flatnonzero(self.squared > 0), np.asarray(rows, np.int64))

    def farthest(self, allowed: NDArray[np.bool_] | None = None) -> int:
        """Return the row farthest from all centres, the first of equal ones; -1 where none is left.

        Parameters
        ----------
        allowed : (n,) bool, optional
            Only these rows.
        """
        left = self.squared if allowed is None else np.where(allowed, self.squared, -1)
        row = int(left.argmax()) if left.size else -1
        return row if row >= 0 and left[row] >= 0 else -1

    def take_farthest(self, picks: int, *, whole: bool = False) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Make the farthest row a centre, again and again; there must be a centre already.

        Distances only fall, so a row need not be looked at while what was last known of it is below the
        farthest. A few thousand candidates are kept up to date pick by pick; when the farthest of them is no
        longer beyond all others, the next candidates catch up with all centres since in one matrix product.

        Parameters
        ----------
        picks : int
            At most; it ends sooner where all rows that are left lie on a centre.
        whole : bool
            Bring `squared` up to date for all rows in the end.

        Returns
        -------
        rows : (m,) int64
            In the order of picking; of equally far rows the first.
        gaps : (m,) float64
            Squared distance of each to the centres before it.
        """
        n = len(self.squared)
        order, gaps = np.empty(min(picks, n), np.int64), np.empty(min(picks, n))
        seen = np.zeros(n, np.int64)  # centres of `order` that a row has been compared with
        size, picked = _CANDIDATES, 0
        active, beyond = self._candidates(size)
        while picked < order.size:
            values = self.squared[active]
            at = int(values.argmax()) if active.size else -1
            if at >= 0 and values[at] > max(beyond, 0.0):
                order[picked], gaps[picked] = active[at], values[at]
                self.squared[active[at]] = -1
                picked += 1
                self._nearer(active, order[picked - 1 : picked])
                seen[active] = picked
                size = _CANDIDATES
                continue
            if beyond <= 0:
                break
            again = (seen[active] == picked).all() and at >= 0 and values[at] >= beyond
            size = min(size * 4, n) if again else size  # more rows at one distance than candidates
            active, _ = self._candidates(size)
            self._catch_up(active, seen, order[:picked])
            active, beyond = self._candidates(size, active)
        if whole:
            self._catch_up(self._all, seen, order[:picked])
        return order[:picked], gaps[:picked]

    def _candidates(self, size: int, rows: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], float]:
        """Return the rows that were last known farthest, ascending, and the distance of the next."""
        n = len(self.squared)
        if rows is not None:
            others = self.squared.copy()
            others[rows] = -1
            return rows, float(others.max(initial=-1))
        if size >= n:
            return self._all, -1.0
        top = np.argpartition(self.squared, n - size - 1)
        return np.sort(top[n - size :]), float(self.squared[top[n - size - 1]])

    def _catch_up(self, rows: NDArray[np.int64], seen: NDArray[np.int64], centres: NDArray[np.int64]) -> None:
        behind = rows[(seen[rows] < centres.size) & (self.squared[rows] > 0)]
        # Few large products, though some rows meet a centre twice: small ones wait for each other's threads.
        behind = behind[np.argsort(seen[behind], kind="stable")]
        for at in range(0, behind.size, _BLOCK_ROWS):
            part = behind[at : at + _BLOCK_ROWS]
            self._nearer_to_many(part, centres[seen[part[0]] :])
        seen[rows] = centres.size

    def _nearer(self, rows: NDArray[np.int64], centres: NDArray[np.int64]) -> None:
        from encord_active_widgets.embeddings import kernels

        work = partial(kernels.nearer, self._points, self._short, self.squared, self._slack, centres, rows)
        if self._pool is None or rows.size < _THREAD_ROWS:
            work(0, rows.size)
        else:
            edges = [rows.size * i // self._threads for i in range(self._threads + 1)]
            list(self._pool.map(work, edges[:-1], edges[1:]))

    def _nearer_to_many(self, rows: NDArray[np.int64], centres: NDArray[np.int64]) -> None:
        """Do the same by blocks of matrix products: faster for many pairs."""
        from encord_active_widgets.embeddings import kernels

        for at in range(0, centres.size, _BLOCK_CENTRES):
            some = centres[at : at + _BLOCK_CENTRES]
            doubled = -2 * self._points[some].T
            for start in range(0, rows.size, _BLOCK_ROWS):
                part = rows[start : start + _BLOCK_ROWS]
                products = self._points[part] @ doubled
                kernels.nearer_by_block(self._points, self._norms, products, self.squared, self._slack, part, some)


def central_row(points: NDArray[np.float32], among: NDArray[np.integer] | None = None) -> int:
    """Return the row nearest to the mean of some rows (all by default): where an order without centres begins."""
    rows = np.arange(len(points)) if among is None else np.asarray(among)
    part = points[rows]
    return int(rows[np.square(part - part.mean(axis=0, dtype=np.float64)).sum(axis=1).argmin()])


def _short_form(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return coordinates that never exaggerate a distance, and the largest squared length."""
    n, dim = points.shape
    if n == 0:
        return np.zeros((0, _AXES + 1), np.float32), 0.0
    step = max(1, n // _SAMPLE_ROWS)
    mean = points[::step].mean(axis=0)
    sample = points[::step] - mean
    axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))[1][:, ::-1][:, :_AXES].astype(np.float32)
    short = np.zeros((n, _AXES + 1), np.float32)
    largest = 0.0
    for at in range(0, n, _BLOCK_ROWS):
        part = points[at : at + _BLOCK_ROWS] - mean
        turned = part @ axes
        whole = np.square(part, dtype=np.float64).sum(axis=1)
        rest = np.maximum(whole - np.square(turned, dtype=np.float64).sum(axis=1), 0)
        short[at : at + _BLOCK_ROWS, : axes.shape[1]] = turned
        short[at : at + _BLOCK_ROWS, _AXES] = np.sqrt(rest) if dim > _AXES else 0
        largest = max(largest, float(whole.max()))
    # Distances are between uncentred rows, whose own rounding is that of their lengths.
    return short, max(largest, float(np.square(points[::step], dtype=np.float64).sum(axis=1).max()))


__all__ = ["Reach", "central_row"]
