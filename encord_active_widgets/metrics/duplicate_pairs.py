"""Pairs of items that show the same picture, and the evidence for each: found once, for every threshold.

A pair carries the smallest threshold at which it counts, so that another threshold is a comparison of
numbers: a slider regroups without looking at anything again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from encord_active_widgets.embeddings.graph import Graph
from encord_active_widgets.embeddings.rows import available_threads
from encord_active_widgets.errors import ShapeError

from .hashes import PHASH_BITS
from .near_hashes import pairs_within

PHASH_RADIUS = 4
"""Differing bits at which the perceptual hash alone says duplicate, also of a mirrored copy."""
DISTANCE_THRESHOLD = 0.25
"""Cosine distance at which the embedding says duplicate, if the hash agrees by and large."""
PHASH_AGREES = 8
"""Differing bits up to which the hash agrees by and large."""
PHASH_WORTH_A_LOOK = 20
"""Differing bits up to which two neighbours are laid over each other."""
PHASH_NEAR = 12
"""Differing bits beyond which the edges have to agree in every part of the picture."""
CONTRADICTION = 2.0
"""The embedding objects to near hashes, or to edges that agree, beyond this many times the threshold."""
KINDS = ("exact", "near", "mirrored")
EXACT, NEAR, MIRRORED = range(len(KINDS))

_PLAIN_BITS = 16
"""A hash with fewer bits set, or clear, than this says that the image has hardly any structure."""
ALONE = -1
_CHUNK_PAIRS = 65_536
_LOOK_PAIRS = 16_384

Rows = NDArray[np.int64]
Ends = tuple[Rows, Rows]
Pictures = Callable[[Rows], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class DuplicatePairs:
    """Pairs that count as duplicates from some threshold on; a pair may be there by several kinds of evidence.

    Attributes
    ----------
    left, right : (m,) int64
    threshold : (m,) float32
        The smallest `distance_threshold` at which the pair counts.
    distance : (m,) float32
        Cosine distance of the two vectors, of a mirrored pair that to the mirrored image; 0 for equal content,
        NaN where it is not known.
    kind : (m,) uint8
        Place in `KINDS`.
    """

    left: Rows
    right: Rows
    threshold: NDArray[np.float32]
    distance: NDArray[np.float32]
    kind: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, chosen: NDArray[np.bool_] | Rows) -> DuplicatePairs:
        return DuplicatePairs(
            self.left[chosen], self.right[chosen], self.threshold[chosen], self.distance[chosen], self.kind[chosen]
        )

    def at(self, threshold: float) -> DuplicatePairs:
        """Return the pairs that count at a threshold."""
        return self[self.threshold <= np.float32(threshold)]


def find_pairs(
    content_hash: Sequence[str] | pl.Series,
    phash: ArrayLike,
    graph: Graph | None,
    *,
    vectors: NDArray[np.float32] | None = None,
    mirror: NDArray[np.integer] | None = None,
    pictures: Pictures | None = None,
    phash_radius: int = PHASH_RADIUS,
) -> DuplicatePairs:
    """Collect all evidence of duplicates; see `duplicates.duplicate_groups` for the rules.

    Parameters
    ----------
    content_hash, phash, graph, vectors, mirror, pictures, phash_radius
        As `duplicate_groups` takes them.

    Raises
    ------
    ShapeError
        The arguments have different lengths.
    """
    hashes = np.ascontiguousarray(phash, dtype=np.uint64)
    n = len(hashes)
    if len(content_hash) != n or (graph is not None and len(graph) != n):
        raise ShapeError(
            f"{len(content_hash):,} content hashes, {n:,} perceptual hashes"
            + (f" and a graph of {len(graph):,} rows" if graph is not None else "")
            + " do not fit together.",
            "Give one value a row.",
        )
    if vectors is not None and len(vectors) != n:
        raise ShapeError(f"{len(vectors):,} vectors do not fit {n:,} hashes.", "Give one vector a row.")
    evidence = _Evidence(hashes, graph, vectors, mirror, pictures)
    left, right = _equal(content_hash)
    nothing = np.zeros(len(left), np.float32)
    found = [_pairs((left, right), nothing, nothing, EXACT), evidence.hashes_near(phash_radius)]
    if graph is not None:
        found.append(evidence.vectors_near())
    if vectors is not None or pictures is not None:
        found.append(evidence.mirrored(phash_radius))
    if graph is not None and pictures is not None:
        found.append(evidence.edges_agree())
    return DuplicatePairs(
        *(np.concatenate([getattr(p, f) for p in found]) for f in ("left", "right", "threshold", "distance", "kind"))
    )


def _pairs(ends: Ends, threshold: NDArray[np.floating], distance: NDArray[np.floating], kind: int) -> DuplicatePairs:
    keep = np.isfinite(threshold)
    return DuplicatePairs(
        ends[0][keep].astype(np.int64),
        ends[1][keep].astype(np.int64),
        threshold[keep].astype(np.float32),
        distance[keep].astype(np.float32),
        np.full(int(keep.sum()), kind, np.uint8),
    )


class _Evidence:
    """The kinds of evidence that need hashes; each gives pairs with the threshold from which they count."""

    def __init__(
        self,
        hashes: NDArray[np.uint64],
        graph: Graph | None,
        vectors: NDArray[np.float32] | None,
        mirror: NDArray[np.integer] | None,
        pictures: Pictures | None,
    ) -> None:
        bits = np.bitwise_count(hashes)
        self.hashes = hashes
        self.telling = (bits >= _PLAIN_BITS) & (bits <= PHASH_BITS - _PLAIN_BITS)
        self.graph = graph if graph is not None and graph.k > 0 else None
        self.vectors = vectors
        self.mirror = mirror
        self.pictures = pictures

    def hashes_near(self, radius: int) -> DuplicatePairs:
        """Pair items by perceptual hash, unless their embeddings object."""
        first, (left, right) = self._distinct()
        a, b = pairs_within(self.hashes[first], radius)
        ends = np.concatenate([left, first[a]]), np.concatenate([right, first[b]])
        distance = self._distances(*ends)
        return _pairs(ends, np.nan_to_num(distance, nan=0.0, posinf=np.inf) / CONTRADICTION, distance, NEAR)

    def mirrored(self, radius: int) -> DuplicatePairs:
        """Pair items of which one's hash is that of the other's mirror image."""
        from .mirroring import mirrored_hashes

        first, _ = self._distinct()
        mine = self.hashes[first]
        both, place = np.unique(np.concatenate([mine, mirrored_hashes(mine)]), return_inverse=True)
        a, b = pairs_within(both, radius)
        plain, turned = np.full(len(both), ALONE), np.full(len(both), ALONE)
        plain[place[: len(first)]] = first
        turned[place[len(first) :]] = first
        left, right = np.concatenate([plain[a], plain[b], plain]), np.concatenate([turned[b], turned[a], turned])
        keep = (left != ALONE) & (right != ALONE) & (left < right)  # each pair comes from both its sides
        ends = left[keep], right[keep]
        if self.vectors is not None and self.mirror is not None:
            distance = self._mirrored_distances(*ends)
            return _pairs(ends, np.nan_to_num(distance, nan=np.inf) / CONTRADICTION, distance, MIRRORED)
        # An embedding whose mirrored vector is not known: the pictures decide, or nothing does.
        unknown = np.full(len(ends[0]), np.nan, np.float32)
        if self.pictures is None:
            return _pairs(ends, unknown, unknown, MIRRORED)
        agree = self._agree(*ends, np.zeros(len(ends[0]), np.uint8), turned=True)
        return _pairs(ends, np.where(agree, 0.0, np.nan), unknown, MIRRORED)

    def vectors_near(self) -> DuplicatePairs:
        """Pair graph neighbours by distance, unless their hashes object or say nothing."""
        left, right, distance, _ = self._neighbours(2.0, PHASH_AGREES)
        return _pairs((left, right), distance, distance, NEAR)

    def edges_agree(self) -> DuplicatePairs:
        """Lay graph neighbours over each other whose hashes are not far apart, and compare their edges."""
        left, right, distance, bits = self._neighbours(CONTRADICTION * DISTANCE_THRESHOLD, PHASH_WORTH_A_LOOK)
        once = np.unique(np.minimum(left, right) * len(self.hashes) + np.maximum(left, right), return_index=True)[1]
        look = once[(bits[once] > PHASH_RADIUS) & (distance[once] > 0)]
        left, right, distance = left[look], right[look], distance[look]
        agree = self._agree(left, right, bits[look])
        return _pairs((left, right), np.where(agree, distance / CONTRADICTION, np.nan), distance, NEAR)

    def _neighbours(self, limit: float, bits: int) -> tuple[Rows, Rows, NDArray[np.float32], NDArray[np.uint8]]:
        """Return the graph's pairs up to a distance whose hashes differ in at most so many bits."""
        graph = self.graph
        if graph is None:
            nobody = np.empty(0, np.int64)
            return nobody, nobody, np.empty(0, np.float32), np.empty(0, np.uint8)
        rows, places = np.nonzero((graph.distances <= limit) & (graph.rows >= 0) & self.telling[:, None])
        others = graph.rows[rows, places].astype(np.int64)
        differ = np.bitwise_count(self.hashes[rows] ^ self.hashes[others])
        keep = self.telling[others] & (differ <= bits)
        rows, places, others, differ = rows[keep], places[keep], others[keep], differ[keep]
        return rows, others, graph.distances[rows, places], differ

    def _distinct(self) -> tuple[Rows, Ends]:
        """Return one row a telling hash, and the pairs that chain rows of equal hashes."""
        rows = np.flatnonzero(self.telling)
        order = rows[np.argsort(self.hashes[rows], kind="stable")]
        same = self.hashes[order[1:]] == self.hashes[order[:-1]]
        first = order[np.concatenate([[True], ~same])] if len(order) else order
        return first, (order[:-1][same], order[1:][same])

    def _distances(self, left: Rows, right: Rows) -> NDArray[np.float32]:
        """Return how far apart pairs are; NaN where one has no vector, infinite where the graph denies it."""
        if self.graph is None:
            return np.full(len(left), np.nan, np.float32)
        out = np.empty(len(left), np.float32)
        for at in range(0, len(left), _CHUNK_PAIRS):
            part = slice(at, at + _CHUNK_PAIRS)
            out[part] = (
                _graph_distances(self.graph, left[part], right[part])
                if self.vectors is None
                else _cosine(self.vectors[left[part]], self.vectors[right[part]])
            )
        silent = (self.graph.rows[left, 0] == ALONE) | (self.graph.rows[right, 0] == ALONE)
        out[silent] = np.nan
        return out

    def _mirrored_distances(self, left: Rows, right: Rows) -> NDArray[np.float32]:
        assert self.vectors is not None
        out = np.empty(len(left), np.float32)
        for at in range(0, len(left), _CHUNK_PAIRS):
            part = slice(at, at + _CHUNK_PAIRS)
            out[part] = _cosine(self.vectors[left[part]], self.vectors[right[part]][:, self.mirror])
        return out

    def _agree(self, left: Rows, right: Rows, bits: NDArray[np.uint8], *, turned: bool = False) -> NDArray[np.bool_]:
        """Tell of which pairs the pictures show the same scene; unreadable ones show nothing."""
        from .alignment import SAME_EVERYWHERE, SAME_SCENE, edge_correlation

        assert self.pictures is not None
        out = np.zeros(len(left), np.bool_)
        for at in range(0, len(left), _LOOK_PAIRS):
            part = slice(at, at + _LOOK_PAIRS)
            rows, places = np.unique(np.concatenate([left[part], right[part]]), return_inverse=True)
            small = self.pictures(rows)
            a, b = small[places[: len(left[part])]], small[places[len(left[part]) :]]
            known = np.isfinite(a[:, 0, 0]) & np.isfinite(b[:, 0, 0])
            b = b[known, :, ::-1] if turned else b[known]
            whole, worst = edge_correlation(a[known], b, threads=available_threads()).T
            near = bits[part][known] <= PHASH_NEAR
            out[at + np.flatnonzero(known)] = (whole >= SAME_SCENE) & (near | (worst >= SAME_EVERYWHERE))
        return out


def _equal(content_hash: Sequence[str] | pl.Series) -> Ends:
    """Pair every item with the first of equal content."""
    frame = pl.DataFrame({"hash": pl.Series("hash", content_hash, dtype=pl.String)}).with_row_index("row")
    joined = (
        frame.filter(pl.col("hash").is_not_null(), pl.col("hash") != "")
        .with_columns(first=pl.col("row").min().over("hash"))
        .filter(pl.col("first") != pl.col("row"))
    )
    return joined["first"].to_numpy().astype(np.int64), joined["row"].to_numpy().astype(np.int64)


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return cosine distances row by row; NaN where a vector is missing or zero."""
    lengths = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.einsum("ij,ij->i", a, b) / lengths
    return np.where(lengths > 0, np.clip(1 - cosine, 0, 2), np.nan).astype(np.float32)


def _graph_distances(graph: Graph, left: Rows, right: Rows) -> NDArray[np.float32]:
    """Return distances of near neighbours; of items that share one, the larger of the two to it.

    Among more copies than the graph has places, two need not list each other, but they list the same.
    """
    near = [graph.rows[rows] for rows in (left, right)]
    gaps = [np.where(graph.rows[rows] == ALONE, np.inf, graph.distances[rows]) for rows in (left, right)]
    direct = [
        np.where(near[0] == right[:, None], gaps[0], np.inf).min(axis=1),
        np.where(near[1] == left[:, None], gaps[1], np.inf).min(axis=1),
    ]
    shared = (near[0][:, :, None] == near[1][:, None, :]) & (near[0] != ALONE)[:, :, None]
    through = np.where(shared, np.maximum(gaps[0][:, :, None], gaps[1][:, None, :]), np.inf).min(axis=(1, 2))
    found: NDArray[np.float32] = np.minimum(np.minimum(*direct), through).astype(np.float32)
    return found
