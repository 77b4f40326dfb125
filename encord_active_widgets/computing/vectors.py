"""Embedding sets of a project by name: vectors by row, kept as tables, searched and compared."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, ShapeError, known_name, whole_number
from ..schema import CONTENT_HASH, EMBEDDING, ITEM, KEY, ORDINAL, VECTOR, run_of
from ..store.durable import write_json
from ..view import View
from .embedding_set import DESCRIPTOR, EmbeddingSet, Rows, latest, materialise
from .given_vectors import aligned, queries

if TYPE_CHECKING:
    from ..content.levels import Level
    from ..embeddings.embedder import Bound
    from ..project import Project

_VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")


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
        ids, matrix = aligned(vectors, level)
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
        query, k = queries(vectors), whole_number("k", k)
        if query.shape[1] != chosen.dim:
            raise ShapeError(
                f'The query has {query.shape[1]} numbers; "{chosen.name}" has vectors of {chosen.dim}.',
                "Embed the query with the same model.",
            )
        nobody = np.empty(0, np.uint32)
        if within is None:
            found, distances = chosen.index.query(query, min(k, len(chosen)))
            return self._ranked(chosen, found.ravel(), distances.ravel(), nobody, k)
        from ..embeddings import exact
        from ..embeddings.rows import unit_rows

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
        before = latest(home, folder)
        rows, vectors = materialise(folder, joined)
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


def _identical(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return len(a) == len(b) and a[0] == b[0] and all(x is y for x, y in zip(a[1:], b[1:], strict=True))
