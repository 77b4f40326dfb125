"""Embedding sets of a project: vectors by row, and the index, graph and maps made from them.

The vectors are a table; everything else lies in the cache, in a folder named by a
fingerprint of the rows it was made from, and is rebuilt when that no longer fits.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .errors import EawError, InputError, ShapeError, known_name, unknown, whole_number
from .formats.source import as_polars
from .schema import CONTENT_HASH, EMBEDDING, ITEM, KEY, ORDINAL, VECTOR, run_of
from .store.durable import write_json
from .store.writing import room_for
from .view import View

if TYPE_CHECKING:
    from .embeddings.embedder import Bound
    from .embeddings.graph import Graph
    from .embeddings.index import NeighbourIndex
    from .levels import Level
    from .project import Project

Vectors = NDArray[np.float32]
Rows = NDArray[np.uint32]

DESCRIPTOR = "descriptor"
GRAPH_K = 15
LAYOUTS = ("pca", "umap")
_VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_MATRIX_NDIM = 2


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
        from .embeddings.index import NeighbourIndex

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
        from .embeddings.graph import EXACT_GRAPH_ROWS, Graph, knn_graph

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
        from .embeddings.layout import pca_layout, umap_layout

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
        from .embeddings.index import NeighbourIndex
        from .embeddings.layout import place

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


class EmbeddingSets(Mapping[str, EmbeddingSet]):
    """`project.embeddings`: named sets, assigned like a dict.

    Examples
    --------
    >>> p.embeddings["dino"] = vectors            # (n, d), aligned with p.items.df  # doctest: +SKIP
    >>> p.embeddings["dino"] = frame              # columns item_id and vector       # doctest: +SKIP
    """

    def __init__(self, project: Project, level: str = ITEM) -> None:
        self._project = project
        self.level = level
        self._loaded: dict[str, EmbeddingSet] = {}
        self.at_hand: dict[str, Bound] = {}
        """Embedders of this session by the name of their set, the one used last at the end."""

    @property
    def stored(self) -> str:
        """What the level's tables are kept under."""
        return self.level if run_of(self.level) is None else self._project._level(self.level).stored

    def __iter__(self) -> Iterator[str]:
        names = self._project._folder.embeddings(self.stored)
        return iter(sorted(names, key=lambda n: (n != DESCRIPTOR, n)))

    def __len__(self) -> int:
        return len(self._project._folder.embeddings(self.stored))

    def __contains__(self, name: object) -> bool:
        return name in self._project._folder.embeddings(self.stored)

    def __repr__(self) -> str:
        return (
            "\n".join(repr(self[n]) for n in self)
            or "no embeddings yet: call p.compute(), or assign p.embeddings[name]"
        )

    def __getitem__(self, name: str) -> EmbeddingSet:
        with self._project._lock:
            known_name("embedding", name, list(self))
            level = self._project._level(self.level)
            return self._load(name, level)

    def __setitem__(self, name: str, vectors: Any) -> None:
        """Store vectors and rebuild the index, the map and the neighbour metrics for them.

        Raises
        ------
        ShapeError
            The length differs from the number of rows of the level, or rows have different lengths.
        InputError
            A name that cannot be a folder, or numbers that are not finite.
        """
        self.check_name(name)
        self._project._folder.writable()
        level = self._project._level(self.level)
        ids, matrix = _aligned(vectors, level)
        data = np.ascontiguousarray(matrix, dtype="<f4")
        blobs = [row.tobytes() for row in data]
        frame = pl.DataFrame({KEY: ids, VECTOR: blobs}, schema=dict(EMBEDDING.columns))
        with self._project._lock:
            self.at_hand.pop(name, None)
            self._record(name).unlink(missing_ok=True)
            self._project._folder.embedding(name, self.stored).replace(frame)
            self._loaded.pop(name, None)
        self._project._after_embedding(name, self.level)

    @staticmethod
    def check_name(name: Any) -> None:
        """Raise where a name cannot be that of a set of the user's."""
        if not isinstance(name, str) or not _VALID_NAME.match(name):
            raise InputError(f"{name!r} cannot name an embedding.", "Use letters, digits, dots, dashes, underscores.")
        if name == DESCRIPTOR:
            raise InputError('"descriptor" is the built-in set.', "Give yours another name.")

    # -- embedders --------------------------------------------------------------------------

    def made_by(self, name: str) -> dict[str, Any] | None:
        """Return what embedder made a set: `name`, `kind`, `size`, `fit`, `text`; None for assigned vectors."""
        try:
            record = json.loads(self._record(name).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and isinstance(record.get("name"), str) else None

    def write_record(self, name: str, record: dict[str, Any]) -> None:
        """Keep what made a set beside its table, unless it says so already."""
        if self.made_by(name) != record:
            self._record(name).parent.mkdir(parents=True, exist_ok=True)
            write_json(self._record(name), record)

    def keep_embedder(self, name: str, bound: Bound) -> None:
        """Have an embedder at hand for queries in its set."""
        self.at_hand.pop(name, None)
        self.at_hand[name] = bound

    def _record(self, name: str) -> Path:
        # The underscore keeps Delta's vacuum from taking it for a file of a forgotten commit.
        return self._project._folder.embedding(name, self.stored).path / "_embedder.json"

    @property
    def default(self) -> str | None:
        """The set that similarity and the map use when none is named."""
        names = list(self)
        return names[0] if names else None

    def suffix(self, name: str) -> str:
        """Return what the metrics of a set carry at the end of their names: nothing for the default set."""
        return "" if name == self.default else f"_{name}"

    def similar(self, view: View, k: int, embedding: str | None = None) -> View:
        """Find the items nearest to a view; see `View.similar`.

        Parameters
        ----------
        view : View
            The rows to find neighbours of.
        k : int
            How many.
        embedding : str, optional
            The set to use; the default one otherwise.

        Returns
        -------
        View
            Nearest first, with the column `distance`.

        Raises
        ------
        InputError
            None of the rows that have a vector has one with a direction: they hold only zeros.
        """
        chosen, k = self._named(embedding), whole_number("k", k)
        wanted = view.rows if view.level == self.level else self._translated(view)
        positions = np.flatnonzero(np.isin(chosen.rows, wanted))
        if positions.size == 0:
            return View(self._project, self.level).at([])
        query = np.asarray(chosen.vectors)[positions]
        if not query.any():
            raise InputError(
                f'The vectors of these rows in "{chosen.name}" hold only zeros: nothing is near to them.',
                "Choose other rows, or name another set with embedding=….",
            )
        found, distances = chosen.index.query(query, min(k + int(wanted.size), len(chosen)))
        return self._ranked(chosen, found.ravel(), distances.ravel(), wanted, k)

    def search(
        self, vectors: NDArray[Any], k: int, embedding: str | None = None, *, within: Rows | None = None
    ) -> View:
        """Find the items nearest to one or several vectors (d,) or (m, d), among some rows where these are given.

        Parameters
        ----------
        vectors : array
            (d,) or (m, d).
        k : int
            How many.
        embedding : str, optional
            The set to use; the default one otherwise.
        within : array of u32, optional
            Ordinals to look among.

        Returns
        -------
        View
            Nearest first, with the column `distance`.

        Raises
        ------
        ShapeError
            The vectors have another length than those of the set.
        InputError
            A vector has no direction: it holds NaN or infinity, or only zeros.
        """
        chosen = self._named(embedding)
        query, k = _queries(vectors), whole_number("k", k)
        if query.shape[1] != chosen.dim:
            raise ShapeError(
                f'The query has {query.shape[1]} numbers; "{chosen.name}" has vectors of {chosen.dim}.',
                "Embed the query with the same model.",
            )
        nobody = np.empty(0, np.uint32)
        if within is None:
            found, distances = chosen.index.query(query, min(k, len(chosen)))
            return self._ranked(chosen, found.ravel(), distances.ravel(), nobody, k)
        from .embeddings import exact
        from .embeddings.rows import unit_rows

        places = np.flatnonzero(np.isin(chosen.rows, within))
        base, _ = unit_rows(np.asarray(chosen.vectors)[places])
        found, distances = exact.search(base, unit_rows(query)[0], min(k, places.size))
        rows = np.where(found >= 0, np.append(places, -1)[found], -1)
        return self._ranked(chosen, rows.ravel(), distances.ravel(), nobody, k)

    def neighbours(self, row: int, k: int, embedding: str | None = None) -> tuple[Rows, NDArray[np.float32]]:
        """Return ordinals and cosine distances of the items nearest to one row."""
        near = self.similar(View(self._project, self.level).at([row]), k, embedding)
        frame = near.df
        if frame.is_empty():
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        return frame[ORDINAL].to_numpy().astype(np.uint32), frame["distance"].to_numpy().astype(np.float32)

    def _translated(self, view: View) -> Rows:
        """Return the rows of this level that belong to a view of another."""
        if self.level == ITEM:
            return view.items().rows
        return view._on_items(self.level).rows

    def _named(self, embedding: str | None) -> EmbeddingSet:
        name = self.default if embedding is None else embedding
        if name is None:
            raise InputError(
                "There are no embeddings yet.", 'Call p.compute(), or assign p.embeddings["name"] = vectors.'
            )
        return self[name]

    def _ranked(
        self, chosen: EmbeddingSet, found: NDArray[np.integer], distances: NDArray[np.floating], without: Rows, k: int
    ) -> View:
        """Keep the nearest distance of each row, leave some out, take `k`."""
        near = pl.DataFrame(
            {ORDINAL: chosen.rows[np.maximum(found, 0)], "distance": distances.astype(np.float32), "ok": found >= 0}
        )
        ranked = (
            near.filter(pl.col("ok"), ~pl.col(ORDINAL).is_in(pl.Series(without).implode()))
            .group_by(ORDINAL, maintain_order=True)
            .agg(pl.col("distance").min())
            .sort("distance", ORDINAL)
            .head(k)
        )
        view = View(self._project, self.level).at(ranked[ORDINAL].to_numpy())
        return View(self._project, self.level, view._ops, ranked)

    def _load(self, name: str, level: Level) -> EmbeddingSet:
        table = self._project._folder.embedding(name, self.stored)
        key_column = CONTENT_HASH if name == DESCRIPTOR and self.level == ITEM else level.key
        keys = level.frame.select(ORDINAL, pl.col(key_column).alias(KEY))
        if level.alive is not None:
            keys = keys.filter(pl.Series(level.alive))
        stamp = table.stamp()
        known = self._loaded.get(name)
        seen = (stamp, level.frame, level.alive)
        if known is not None and _identical(known.seen, seen):
            return known
        mark = f"{stamp}-{level.n}-{int(keys.hash_rows(seed=0).sum() or 0):x}"
        if known is not None and known.mark == mark:
            known.seen = seen
            return known
        stored = table.read().select(KEY, VECTOR).unique(KEY, keep="last", maintain_order=True)
        joined = keys.join(stored, on=KEY, how="inner", maintain_order="left")
        digest = int(joined.select(ORDINAL, VECTOR).hash_rows(seed=0).sum() or 0) if joined.height else 0
        home = self._project._folder.cache / "embeddings" / self.stored / name
        folder = home / f"{digest:016x}-{joined.height}"
        before = _latest(home, folder)
        rows, vectors = _materialise(folder, joined)
        loaded = EmbeddingSet(name, folder, rows, vectors, before)
        loaded.inherit()
        loaded.mark, loaded.seen = mark, seen
        self._loaded[name] = loaded
        return loaded

    def loaded(self) -> list[EmbeddingSet]:
        """Return the sets this process has at hand, without looking at the tables."""
        return [self._loaded[n] for n in self if n in self._loaded]

    def prune(self, name: str) -> None:
        """Delete caches of earlier states of a set, once the current one has its map."""
        current = self[name]
        home = current._folder.parent
        if "umap" in current.layouts:
            for folder in home.iterdir():
                if folder != current._folder:
                    shutil.rmtree(folder, ignore_errors=True)


def image_vector(image: Any) -> Vectors:
    """Embed one image (path, bytes, or (h, w, 3) uint8) with the built-in descriptor.

    Raises
    ------
    ShapeError
        An array of another shape or dtype.
    ImageError
        An image that cannot be read.
    """
    from .embeddings.descriptor import descriptor

    return descriptor(image_pixels(image))


def image_pixels(image: Any) -> NDArray[np.uint8]:
    """Return an image given as a path, bytes, or (h, w, 3) uint8 as upright RGB pixels; see `image_vector`."""
    from .images.address import read_bytes
    from .images.decode import decode

    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ShapeError(
                f"The image has shape {image.shape} and dtype {image.dtype}.", "Give (h, w, 3) uint8, RGB."
            )
        return np.ascontiguousarray(image)
    if not isinstance(image, (bytes, bytearray, memoryview, str, os.PathLike)):
        raise InputError(
            f"A {type(image).__name__} is no image.", "Give a path, its bytes, or an array (h, w, 3) of uint8."
        )
    data = bytes(image) if isinstance(image, (bytes, bytearray, memoryview)) else read_bytes(os.fspath(image))
    return decode(data)


def _queries(vectors: Any) -> Vectors:
    """Return what is searched for as (m, d) float32."""
    try:
        query = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise InputError(f"{vectors!r:.80} is no vector.", "Give numbers of shape (d,) or (m, d).") from error
    if query.ndim != _MATRIX_NDIM:
        raise ShapeError(f"The query has shape {query.shape}.", "Give one vector (d,), or several (m, d).")
    if not np.isfinite(query).all():
        raise InputError("The vector to search for holds NaN or infinity.", "Give finite numbers.")
    if query.size and not query.any(axis=1).all():
        raise InputError("The vector to search for holds only zeros: it has no direction.", "Embed the query again.")
    return query


def _identical(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return len(a) == len(b) and a[0] == b[0] and all(x is y for x, y in zip(a[1:], b[1:], strict=True))


def _aligned(vectors: Any, level: Level) -> tuple[pl.Series, Vectors]:
    """Return ids and a float32 matrix from an array aligned by row, or a frame with ids."""
    if hasattr(vectors, "columns") or isinstance(vectors, (pl.LazyFrame, dict)):
        return _from_frame(as_polars(vectors, "embedding"), level)
    matrix = np.asarray(vectors)
    if matrix.ndim != _MATRIX_NDIM or matrix.dtype.kind not in "fiu":
        raise ShapeError(
            f"The array has shape {matrix.shape} and dtype {matrix.dtype}.", "Give a numeric array of shape (n, d)."
        )
    rows = level.alive_rows()
    if matrix.shape[0] != rows.size:
        raise ShapeError(
            f"The array has {matrix.shape[0]:,} rows; the project has {rows.size:,} {level.name}s.",
            f"Give one row for each, in the order of df, or a frame with the columns {level.key} and vector.",
        )
    _finite(matrix)
    return level.frame[level.key].gather(rows), matrix


def _from_frame(frame: pl.DataFrame, level: Level) -> tuple[pl.Series, Vectors]:
    names = [c for c in frame.columns if c != level.key and isinstance(frame.schema[c], (pl.List, pl.Array))]
    if level.key not in frame.columns or len(names) != 1:
        raise ShapeError(
            f"The frame has the columns {frame.columns}.", f"Give {level.key} and one column of lists of numbers."
        )
    frame = frame.drop_nulls([level.key, names[0]])
    strange = frame.filter(~pl.col(level.key).is_in(level.frame[level.key].implode()))
    if strange.height:
        raise unknown(
            f"{level.name} with the id", str(strange[level.key][0]), level.frame[level.key].head(1000).to_list()
        )
    lengths = frame[names[0]].cast(pl.List(pl.Float32)).list.len().unique()
    if lengths.len() != 1:
        raise ShapeError(f"The vectors have different lengths: {sorted(lengths.to_list())[:5]}.", "Give one length.")
    matrix = frame[names[0]].cast(pl.List(pl.Float32)).explode().to_numpy().reshape(frame.height, -1)
    _finite(matrix)
    return frame[level.key], matrix


def _finite(matrix: NDArray[Any]) -> None:
    bad = ~np.isfinite(matrix).all(axis=1) if matrix.size else np.zeros(0, bool)
    if bad.any():
        raise InputError(
            f"{int(bad.sum()):,} vectors hold NaN or infinity, the first in row {int(np.argmax(bad))}.",
            "Leave these rows out by passing a frame with ids and vectors.",
        )


def _materialise(folder: Path, joined: pl.DataFrame) -> tuple[Rows, Vectors]:
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


def _latest(home: Path, without: Path) -> Path | None:
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
