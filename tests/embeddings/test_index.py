from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from encord_active_widgets.embeddings import index as index_module
from encord_active_widgets.embeddings.index import NeighbourIndex
from encord_active_widgets.errors import EawError, InputError, ProjectError, ShapeError

RNG = np.random.default_rng(0)


def brute_force(base: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    a = base.astype(np.float64) / np.linalg.norm(base, axis=1, keepdims=True)
    b = queries.astype(np.float64) / np.linalg.norm(queries, axis=1, keepdims=True)
    distances = 1 - b @ a.T
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(distances, rows, axis=1)


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), truth.tolist(), strict=False)]))


@pytest.mark.parametrize("kind", ["exact", "hnswlib"])
def test_nearest_items_and_distances_match_brute_force_on_real_descriptors(cifar, kind):
    index = NeighbourIndex.build(cifar, kind=kind)
    queries = cifar[::20]
    truth, distances = brute_force(cifar, queries, 10)
    rows, found = index.query(queries, 10)
    assert index.kind == kind
    assert recall(rows, truth) >= 0.99
    same = rows == truth
    np.testing.assert_allclose(found[same], distances[same], atol=2e-6)


@pytest.mark.parametrize("kind", ["exact", "hnswlib"])
def test_a_saved_index_answers_the_same_after_loading(tmp_path, kind):
    vectors = RNG.standard_normal((300, 24)).astype(np.float32)
    vectors[7] = vectors[3]
    vectors[8] = 0
    vectors[9] = np.nan
    index = NeighbourIndex.build(vectors, kind=kind)
    index.save(tmp_path / "deep" / "index")
    index.save(tmp_path / "deep" / "index")  # replaces
    again = NeighbourIndex.load(tmp_path / "deep" / "index")
    assert (len(again), again.dim, again.kind) == (300, 24, kind)
    for a, b in zip(index.query(vectors, 5), again.query(vectors, 5), strict=False):
        np.testing.assert_array_equal(a, b)
    again.add(vectors[:1])
    assert set(again.query(vectors[:1], 2)[0][0]) == {0, 300}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["index"]


def test_a_missing_or_damaged_index_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        NeighbourIndex.load(tmp_path / "none")
    NeighbourIndex.build(np.eye(3)).save(tmp_path / "index")
    (tmp_path / "index" / "index.npz").write_bytes(b"PK not a zip")
    with pytest.raises(ProjectError, match="Build it again"):
        NeighbourIndex.load(tmp_path / "index")


@pytest.mark.parametrize("kind", ["exact", "hnswlib"])
def test_added_items_are_found_and_old_rows_keep_their_numbers(kind):
    first, second = RNG.standard_normal((2, 200, 16)).astype(np.float32)
    second[5] = first[9]
    grown = NeighbourIndex.build(first, kind=kind)
    grown.add(second)
    rows, distances = grown.query(np.vstack([first, second]), 2)
    assert rows[5, 0] == 5
    assert rows[200 + 6, 0] == 206
    assert rows[9].tolist() == [9, 205]
    assert distances[9].tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["exact", "hnswlib"])
def test_copies_beyond_k_and_vectors_without_direction_are_handled(kind):
    vectors = RNG.standard_normal((200, 16)).astype(np.float32)
    vectors[50:150] = vectors[50]
    vectors[10] = vectors[11] = 0
    vectors[20] = np.inf
    rows, distances = NeighbourIndex.build(vectors, kind=kind).query(vectors, 12)
    assert (distances[50:150] == 0).all()
    assert ((rows[50:150] >= 50) & (rows[50:150] < 150)).all()
    assert rows[10].tolist() == [10, 11] + [-1] * 10
    assert np.isinf(distances[10, 2:]).all()
    assert (rows[20] == -1).all()
    assert not np.isin([10, 11, 20], np.delete(rows, [10, 11, 20], axis=0)).any()


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_tiny_sets_answer_with_what_there_is(n, tmp_path):
    index = NeighbourIndex.build(np.eye(4, dtype=np.float32)[:n])
    rows, distances = index.query(np.ones((2, 4), np.float32), 10)
    assert rows.shape == distances.shape == (2, n)
    index.save(tmp_path / "i")
    assert len(NeighbourIndex.load(tmp_path / "i")) == n


def test_exact_search_is_the_same_every_time_and_hnswlib_with_one_thread():
    vectors = RNG.standard_normal((2_000, 32)).astype(np.float32)
    for kind in ("exact", "hnswlib"):
        a, b = (NeighbourIndex.build(vectors, kind=kind, threads=1, seed=3).query(vectors, 10) for _ in range(2))
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_without_hnswlib_exact_search_takes_over_with_one_line(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "hnswlib", None)  # import hnswlib now fails
    vectors = RNG.standard_normal((5_000, 8)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        index = NeighbourIndex.build(vectors)
    assert index.kind == "exact"
    assert len(caplog.records) == 1
    assert "exact" in caplog.text
    truth, _ = brute_force(vectors, vectors[:20], 5)
    np.testing.assert_array_equal(index.query(vectors[:20], 5)[0], truth)


def test_without_hnswlib_too_many_vectors_are_refused_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(InputError, match="pip install hnswlib"):
        NeighbourIndex.build(np.ones((index_module.EXACT_FALLBACK_ROWS + 1, 1), np.float32))


def test_vectors_of_another_length_are_refused():
    index = NeighbourIndex.build(np.eye(4))
    with pytest.raises(ShapeError, match="4 numbers; these have 3"):
        index.query(np.ones((1, 3)), 1)
    with pytest.raises(EawError):
        NeighbourIndex.build(np.eye(4), metric="euclidean")
