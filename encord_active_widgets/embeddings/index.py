"""The neighbour index of an embedding set: hnswlib where it pays, exact search elsewhere."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings import exact
from encord_active_widgets.embeddings.rows import (
    NO_ROW,
    Members,
    as_matrix,
    available_threads,
    distinct_rows,
    expand,
)
from encord_active_widgets.errors import InputError, ProjectError, ShapeError

_LOG = logging.getLogger(__name__)

EXACT_INDEX_ROWS = 4_096
"""Up to here exact search answers one query in about a millisecond, and there is nothing to build."""
EXACT_FALLBACK_ROWS = 100_000
"""Without hnswlib exact search serves up to here; beyond it, building an index is refused."""
LINKS = 16
"""hnswlib `M`: links of each vector and layer."""
EF_CONSTRUCTION = 100
EF_SEARCH = 128
"""Candidates kept while searching; see benchmarks/bench_index.py for recall at this value."""
_FORMAT = 1
_META_FILE = "index.npz"
_GRAPH_FILE = "index.hnsw"
_VECTORS_FILE = "vectors.npy"

Kind = Literal["hnswlib", "exact"]


class NeighbourIndex:
    """Nearest neighbours of vectors by cosine distance (1 - cos, in [0, 2]).

    Rows are numbered in the order they were given. Byte-equal rows are stored once and found together, at
    exactly equal distance. A row with a value that is not finite is never found and finds nothing; the
    zero vector has no direction: it finds only other zero vectors, at distance 0.

    Attributes
    ----------
    kind : {"hnswlib", "exact"}
    dim : int

    Examples
    --------
    >>> import numpy as np
    >>> index = NeighbourIndex.build(np.eye(3, dtype=np.float32))
    >>> rows, distances = index.query(np.array([[1.0, 0.5, 0.0]]), k=2)
    >>> rows.tolist(), distances.round(3).tolist()
    ([[0, 1]], [[0.10599999874830246, 0.5529999732971191]])
    """

    kind: Kind
    dim: int

    def __init__(self, dim: int, kind: Kind, *, seed: int = 0, threads: int = 0) -> None:
        self.dim = dim
        self.kind = kind
        self._seed = seed
        self._threads = threads or available_threads()
        self._owner: NDArray[np.int64] = np.empty(0, np.int64)  # distinct vector of each row; see _ZERO
        self._digests: NDArray[np.uint64] = np.empty(0, np.uint64)  # of each distinct vector
        self._members: Members | None = None  # rows of each distinct vector, made when asked
        self._unit: NDArray[np.float32] = np.empty((0, dim), np.float32)  # exact kind only
        self._hnsw: Any = None  # hnswlib kind only: it stores the vectors itself

    # -- made, saved, loaded ------------------------------------------------------------------

    @classmethod
    def build(
        cls,
        vectors: ArrayLike,
        *,
        metric: str = "cosine",
        seed: int = 0,
        threads: int = 0,
        kind: Kind | None = None,
    ) -> NeighbourIndex:
        """Index the rows of a matrix.

        Parameters
        ----------
        vectors : (n, d) float32
        metric : {"cosine"}
        seed : int
            Seeds the layer each vector gets in hnswlib.
        threads : int
            0 takes every processor. hnswlib links vectors in the order threads reach them, so only
            ``threads=1`` builds the same index twice; recall is the same either way. Exact search is
            always deterministic.
        kind : {"hnswlib", "exact"}, optional
            By default exact up to 4,096 rows and hnswlib beyond, or exact up to 100,000 rows (and one
            line in the log) where hnswlib is not installed.

        Raises
        ------
        InputError
            Another metric, or too many rows for exact search where hnswlib is missing.
        """
        if metric != "cosine":
            raise InputError(f'There is no distance "{metric}" for a neighbour index.', 'Use metric="cosine".')
        matrix = as_matrix(vectors)
        index = cls(matrix.shape[1], kind or _kind_for(len(matrix)), seed=seed, threads=threads)
        index.add(matrix)
        return index

    def save(self, path: str | Path) -> None:
        """Write the index as a folder, replacing what is there; vectors are stored once.

        Parameters
        ----------
        path : path of the folder
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            if self._hnsw is not None:
                self._hnsw.save_index(str(fresh / _GRAPH_FILE))
            else:
                np.save(fresh / _VECTORS_FILE, self._unit)
            np.savez(
                fresh / _META_FILE,
                format=_FORMAT,
                kind=self.kind,
                dim=self.dim,
                seed=self._seed,
                owner=self._owner,
                digests=self._digests,
            )
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    @classmethod
    def load(cls, path: str | Path, *, threads: int = 0) -> NeighbourIndex:
        """Read an index that `save` wrote.

        Raises
        ------
        FileNotFoundError
            Nothing is there.
        ProjectError
            It is damaged, was written by another version, or needs hnswlib and hnswlib is missing:
            build it again.
        """
        folder = Path(path)
        meta_path = folder / _META_FILE
        if not meta_path.exists():
            raise FileNotFoundError(f"No neighbour index at {folder}.")
        try:
            with np.load(meta_path, allow_pickle=False) as meta:
                known = int(meta["format"]) == _FORMAT
                kind: Kind = "hnswlib" if str(meta["kind"]) == "hnswlib" else "exact"
                index = cls(int(meta["dim"]), kind, seed=int(meta["seed"]), threads=threads)
                index._owner, index._digests = meta["owner"], meta["digests"]
            if not known:
                raise _unreadable(folder, "another version wrote it")
            if kind == "exact":
                index._unit = np.load(folder / _VECTORS_FILE, mmap_mode="r")
            elif len(index._digests):
                index._hnsw = index._new_hnsw()
                index._hnsw.load_index(str(folder / _GRAPH_FILE), max_elements=len(index._digests))
                index._hnsw.set_num_threads(index._threads)
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, ImportError, BadZipFile) as error:
            raise _unreadable(folder, str(error)) from error
        return index

    # -- used ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._owner)

    def __repr__(self) -> str:
        return f"NeighbourIndex({len(self):,} rows of {self.dim}, {self.kind})"

    def add(self, vectors: ArrayLike) -> None:
        """Add rows behind those already there; nothing that is there changes.

        Raises
        ------
        ShapeError
            The rows have another length than those of the index.
        """
        matrix = self._checked(vectors)
        new = distinct_rows(matrix)
        order = np.argsort(self._digests, kind="stable")
        at = np.searchsorted(self._digests, new.digests, sorter=order)
        at = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(new.digests), np.int64)
        known = self._digests[at] == new.digests if len(order) else np.zeros(len(new.digests), bool)
        first = len(self._digests)
        target = np.where(known, at, first + np.cumsum(~known) - 1)
        if not known.all():
            unit = new.unit if not known.any() else new.unit[~known]
            self._insert(unit, first)
            self._digests = np.concatenate([self._digests, new.digests[~known]])
        # A zero vector is owner -2 here, because the number of distinct vectors still grows.
        mapped = np.append(target, _ZERO)[np.minimum(new.owner, len(target))]
        self._owner = np.concatenate([self._owner, np.where(new.owner == NO_ROW, NO_ROW, mapped)])
        self._members = None

    def query(self, vectors: ArrayLike, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the k rows nearest to each vector, nearest first.

        Parameters
        ----------
        vectors : (m, d) float32
            A row of the index finds itself, at distance 0.
        k : int
            Cut to the number of rows in the index.

        Returns
        -------
        rows : (m, k) int64
            -1 where fewer rows can be found (for example, rows that are not finite never are).
        distances : (m, k) float32
            Cosine distances; infinite where the row is -1.

        Raises
        ------
        ShapeError
            The vectors have another length than those of the index.
        """
        asked = distinct_rows(self._checked(vectors))
        k = max(0, min(int(k), len(self)))
        near, distances = self._near(asked.unit, min(k, len(self._digests)))
        # The zero vector's list: the zero vectors, which Members keeps last.
        near = np.vstack([near, np.full((1, near.shape[1]), NO_ROW)])
        distances = np.vstack([distances, np.full((1, near.shape[1]), np.inf, np.float32)])
        if near.shape[1] == 0 and k > 0:
            near = np.full((len(near), 1), NO_ROW, np.int64)
            distances = np.full((len(near), 1), np.inf, np.float32)
        if k > 0:
            near[-1, 0], distances[-1, 0] = len(self._digests), 0.0
        rows, spread = expand(near, distances, self._rows_of, k)
        lines = asked.owner
        rows, spread = rows[lines], spread[lines]
        rows[lines == NO_ROW], spread[lines == NO_ROW] = NO_ROW, np.inf
        return rows, spread

    # -- inside -------------------------------------------------------------------------------

    @property
    def _rows_of(self) -> Members:
        if self._members is None:
            count = len(self._digests)
            owner = np.where(self._owner == _ZERO, count, self._owner)
            self._members = Members.of(owner, count + 1)
        return self._members

    def _checked(self, vectors: ArrayLike) -> NDArray[np.float32]:
        matrix = as_matrix(vectors)
        if matrix.shape[1] != self.dim:
            raise ShapeError(
                f"The index holds vectors of {self.dim} numbers; these have {matrix.shape[1]}.",
                "Use vectors of the same model, or build a new index.",
            )
        return matrix

    def _insert(self, unit: NDArray[np.float32], first: int) -> None:
        if self.kind == "exact":
            self._unit = np.concatenate([self._unit, unit]) if first else unit
            return
        if self._hnsw is None:
            self._hnsw = self._new_hnsw()
            self._hnsw.init_index(
                max_elements=len(unit), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=self._seed
            )
        else:
            self._hnsw.resize_index(first + len(unit))
        self._hnsw.add_items(unit, np.arange(first, first + len(unit)), num_threads=self._threads)

    def _new_hnsw(self) -> Any:
        import hnswlib

        # Squared Euclidean distance of unit vectors is twice their cosine distance, and is exactly zero
        # for equal ones, which hnswlib's own "cosine" is not.
        return hnswlib.Index(space="l2", dim=self.dim)

    def _near(self, unit: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find neighbours among the distinct vectors."""
        if self.kind == "exact" or k == 0 or len(unit) == 0:
            return exact.search(self._unit, unit, k)
        self._hnsw.set_ef(max(EF_SEARCH, 2 * k))
        try:
            labels, squared = self._hnsw.knn_query(unit, k=k, num_threads=self._threads)
        except RuntimeError:
            # hnswlib refuses when a search ends with fewer than k: look at everything instead.
            stored = np.asarray(self._hnsw.get_items(np.arange(len(self._digests))), np.float32)
            return exact.search(stored, unit, k)
        return labels.astype(np.int64), (squared / 2).astype(np.float32)


_ZERO = -2
"""Owner of zero vectors in an index, where the number of distinct vectors can grow."""


def _unreadable(folder: Path, why: str) -> ProjectError:
    return ProjectError(f"The neighbour index at {folder} cannot be read ({why}).", "Build it again.")


def _kind_for(rows: int) -> Kind:
    if rows <= EXACT_INDEX_ROWS:
        return "exact"
    try:
        import hnswlib  # noqa: F401
    except ImportError as error:
        if rows > EXACT_FALLBACK_ROWS:
            raise InputError(
                f"hnswlib is not installed, and {rows:,} vectors are too many for exact search "
                f"(at most {EXACT_FALLBACK_ROWS:,}).",
                "Install a C++ compiler, then: pip install hnswlib",
            ) from error
        _LOG.warning("hnswlib is not installed: exact NumPy search takes its place for %s vectors.", f"{rows:,}")
        return "exact"
    return "hnswlib"
