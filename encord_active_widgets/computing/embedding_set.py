"""One set of vectors, and the index, graph and maps made from them.

All of it lies in the cache, in a folder named by a fingerprint of the rows it was made
from, and is rebuilt when that no longer fits.
"""

from __future__ import annotations

import contextlib
import os
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import EawError, unknown
from ..schema import ORDINAL, VECTOR
from ..store.writing import room_for

if TYPE_CHECKING:
    from ..embeddings.graph import Graph
    from ..embeddings.index import NeighbourIndex

Vectors = NDArray[np.float32]
Rows = NDArray[np.uint32]

DESCRIPTOR = "descriptor"
GRAPH_K = 15
LAYOUTS = ("pca", "umap")


class EmbeddingSet:
    """One named set of vectors, for the rows that have one.

    Attributes
    ----------
    rows : ndarray of uint32, shape (m,)
        Ordinals of the items that have a vector, ascending.
    vectors : ndarray of float32, shape (m, d)
        Their vectors, memory-mapped, aligned with `rows`.
    """

    def __init__(self, name: str, folder: Path, rows: Rows, vectors: Vectors, before: Path | None) -> None:
        self.name = name
        self.rows = rows
        self.vectors = vectors
        self._folder = folder
        self._before = before
        self.mark = ""
        self.seen: tuple[Any, ...] = ()
        self._lock = threading.RLock()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return int(self.rows.size)

    def __repr__(self) -> str:
        maps = ", ".join(self.layouts) or "none yet"
        return f"EmbeddingSet({self.name!r}, {len(self):,} vectors of {self.dim}, maps: {maps})"

    @property
    def key(self) -> str:
        """Fingerprint of the rows and the table version; changes when either does."""
        return self._folder.name

    @cached_property
    def index(self) -> NeighbourIndex:
        """The nearest-neighbour index, built when first needed."""
        from ..embeddings.index import NeighbourIndex

        with self._lock:
            path = self._folder / "index"
            with contextlib.suppress(FileNotFoundError, EawError, ValueError, RuntimeError):
                return NeighbourIndex.load(path)
            index = NeighbourIndex.build(np.asarray(self.vectors))
            index.save(path)
            return index

    @cached_property
    def graph(self) -> Graph:
        """The k-nearest-neighbour graph over `rows` positions (not ordinals), self left out."""
        from ..embeddings.graph import EXACT_GRAPH_ROWS, Graph, knn_graph

        with self._lock:
            path = self._folder / "graph.npz"
            with contextlib.suppress(OSError, ValueError, KeyError), np.load(path) as stored:
                return Graph(stored["rows"], stored["distances"])
            index = self.index if len(self) > EXACT_GRAPH_ROWS else None  # below, the graph is exact without it
            graph = knn_graph(np.asarray(self.vectors), k=GRAPH_K, index=index)
            _save(path, lambda p: np.savez(p, rows=graph.rows, distances=graph.distances))
            return graph

    @property
    def layouts(self) -> list[str]:
        """Maps that are ready: `"pca"`, `"umap"`."""
        return [name for name in LAYOUTS if (self._folder / f"{name}.npy").exists()]

    def layout(self, name: str) -> Vectors:
        """Return positions (m, 2) aligned with `rows`.

        Parameters
        ----------
        name : str
            Of `layouts`.

        Raises
        ------
        UnknownNameError
            There is no such map.
        """
        try:
            return np.load(self._folder / f"{name}.npy")  # type: ignore[no-any-return]
        except (OSError, ValueError) as error:
            raise unknown(f'map of "{self.name}"', name, self.layouts) from error

    def make_layout(self, name: str, *, cancel: threading.Event | None = None, seed: int = 0) -> bool:
        """Make a map unless it is there; tell whether anything was made.

        Items added since the last map are placed without moving the old ones, as long as
        they are fewer than these.
        """
        from ..embeddings.layout import pca_layout, umap_layout

        path = self._folder / f"{name}.npy"
        if path.exists():
            return False
        positions: Vectors | None = self._grown(name)
        if positions is None and name == "pca":
            positions = pca_layout(np.asarray(self.vectors), seed=seed)
        elif positions is None:
            positions = umap_layout(np.asarray(self.vectors), self.graph, seed=seed, cancel=cancel)
        if cancel is not None and cancel.is_set():
            return False
        self._keep(name, positions)
        return True

    def inherit(self) -> None:
        """Carry the maps of the set's earlier state over, so that a map is there after an edit."""
        for name in LAYOUTS:
            positions = None if name in self.layouts else self._grown(name)
            if positions is not None:
                self._keep(name, positions)

    def _keep(self, name: str, positions: Vectors) -> None:
        _save(self._folder / f"{name}.npy", lambda p: np.save(p, np.asarray(positions, dtype=np.float32)))

    def _grown(self, name: str) -> Vectors | None:
        """Extend the map of the set's earlier state, where that holds most of these rows."""
        from ..embeddings.index import NeighbourIndex
        from ..embeddings.layout import place

        if self._before is None or not (self._before / f"{name}.npy").exists():
            return None
        try:
            old_rows, old = np.load(self._before / "rows.npy"), np.load(self._before / f"{name}.npy")
            old_vectors = np.load(self._before / "vectors.npy", mmap_mode="r")
        except (OSError, ValueError):
            return None
        common, mine, theirs = np.intersect1d(self.rows, old_rows, return_indices=True)
        if common.size * 2 < self.rows.size or old_vectors.shape[1] != self.dim:
            return None
        same = (np.asarray(self.vectors)[mine] == old_vectors[theirs]).all(axis=1)
        mine, theirs = mine[same], theirs[same]
        if mine.size * 2 < self.rows.size:
            return None
        out = np.empty((self.rows.size, 2), np.float32)
        out[mine] = old[theirs]
        new = np.setdiff1d(np.arange(self.rows.size), mine)
        if new.size:
            index = NeighbourIndex.build(np.asarray(self.vectors)[mine])
            out[new] = place(np.asarray(self.vectors)[new], index, old[theirs])
        return out


def materialise(folder: Path, joined: pl.DataFrame) -> tuple[Rows, Vectors]:
    """Write the joined vectors once and map them into memory."""
    with contextlib.suppress(OSError, ValueError):
        rows = np.load(folder / "rows.npy")
        return rows, np.load(folder / "vectors.npy", mmap_mode="r")
    rows = joined[ORDINAL].to_numpy().astype(np.uint32)
    lengths = joined[VECTOR].bin.size().unique().to_list()
    dim = (lengths[0] // 4) if lengths else 0
    if len(lengths) > 1:
        # An older version of the descriptor lies beside the new one: keep the new length.
        dim = int(joined[VECTOR].bin.size().to_numpy()[-1]) // 4
        keep = joined[VECTOR].bin.size() == dim * 4
        joined, rows = joined.filter(keep), rows[keep.to_numpy()]
    data = np.frombuffer(b"".join(joined[VECTOR].to_list()), "<f4").reshape(rows.size, dim)
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "vectors.npy", lambda p: np.save(p, data))
    _save(folder / "rows.npy", lambda p: np.save(p, rows))
    return rows, np.load(folder / "vectors.npy", mmap_mode="r")


def latest(home: Path, without: Path) -> Path | None:
    """Return the folder that was written last, but for one: what it holds can be grown instead of made anew."""
    if not home.is_dir():
        return None
    folders = [p for p in home.iterdir() if p.is_dir() and p != without and (p / "rows.npy").exists()]
    return max(folders, key=lambda p: p.stat().st_mtime_ns, default=None)


def _save(path: Path, write: Any) -> None:
    """Write a cache file under another name, then rename: never seen half-written."""
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        with room_for(f'"{path.name}", a cache,'):
            write(temporary)
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
