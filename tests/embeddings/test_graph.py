from __future__ import annotations

import numpy as np
import pytest

from encord_active_widgets.embeddings import graph as graph_module
from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.embeddings.index import NeighbourIndex


def truth_of(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = 1 - unit @ unit.T
    np.fill_diagonal(distances, np.inf)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(distances, rows, axis=1)


def test_the_graph_of_real_descriptors_matches_brute_force(cifar):
    assert len(cifar) > graph_module._NUMPY_ROWS  # so that the compiled search is what is tested
    graph = knn_graph(cifar, k=15)
    rows, distances = truth_of(cifar, 15)
    found = np.mean([len(set(a) & set(b)) / 15 for a, b in zip(graph.rows.tolist(), rows.tolist(), strict=False)])
    assert found >= 0.99
    np.testing.assert_allclose(graph.distances[:, 0], distances[:, 0], atol=0.02)
    assert (graph.rows != np.arange(len(cifar))[:, None]).all()
    assert (np.diff(graph.distances, axis=1) >= 0).all()


def test_vectors_whose_dimensions_all_matter_still_get_their_neighbours():
    vectors = np.random.default_rng(0).standard_normal((5_000, 160)).astype(np.float32)
    graph = knn_graph(vectors, k=10)
    rows, _ = truth_of(vectors, 10)
    assert (
        np.mean([len(set(a) & set(b)) / 10 for a, b in zip(graph.rows.tolist(), rows.tolist(), strict=False)]) >= 0.99
    )


def test_the_same_vectors_give_the_same_graph(cifar):
    a, b = knn_graph(cifar, seed=1), knn_graph(cifar, seed=1)
    np.testing.assert_array_equal(a.rows, b.rows)
    np.testing.assert_array_equal(a.distances, b.distances)


@pytest.mark.parametrize("n", [300, 6_000])
def test_copies_have_distance_zero_however_many_there_are(n):
    vectors = np.random.default_rng(0).standard_normal((n, 20)).astype(np.float32)
    vectors[100:200] = vectors[100]
    vectors[250] = vectors[251]
    graph = knn_graph(vectors, k=15)
    assert (graph.distances[100:200] == 0).all()
    assert ((graph.rows[100:200] >= 100) & (graph.rows[100:200] < 200)).all()
    assert (graph.rows[100:200] != np.arange(100, 200)[:, None]).all()
    assert graph.rows[250, 0] == 251
    assert graph.distances[250, 0] == 0 < graph.distances[250, 1]
    rest = np.delete(np.arange(n), np.r_[100:200, 250, 251])
    assert (graph.distances[rest] > 0).all()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_small_sets_get_as_many_neighbours_as_there_are(n):
    for vectors in (np.random.default_rng(0).standard_normal((n, 5)), np.ones((n, 5)), np.zeros((n, 5))):
        graph = knn_graph(vectors, k=15)
        assert graph.rows.shape == (n, max(0, n - 1))
        assert all(sorted([i, *row]) == list(range(n)) for i, row in enumerate(graph.rows.tolist()))
        assert np.isfinite(graph.distances).all()


def test_items_without_a_vector_neither_have_nor_are_neighbours():
    vectors = np.random.default_rng(0).standard_normal((30, 5)).astype(np.float32)
    vectors[[3, 7]] = np.nan
    graph = knn_graph(vectors, k=15)
    assert (graph.rows[[3, 7]] == -1).all()
    assert not np.isin([3, 7], graph.rows).any()
    assert (np.delete(graph.rows, [3, 7], axis=0) >= 0).all()


def test_beyond_the_exact_limit_the_index_is_asked(cifar, monkeypatch):
    monkeypatch.setattr(graph_module, "EXACT_GRAPH_ROWS", 1_000)
    vectors = cifar.copy()
    vectors[40:80] = vectors[40]
    graph = knn_graph(vectors, k=10, index=NeighbourIndex.build(vectors))
    assert (graph.rows != np.arange(len(vectors))[:, None]).all()
    assert (graph.distances[40:80] == 0).all()
    monkeypatch.undo()
    truth = knn_graph(vectors, k=10)
    kept = np.delete(np.arange(len(vectors)), np.r_[40:80])
    same = [
        len(set(a) & set(b)) / 10 for a, b in zip(graph.rows[kept].tolist(), truth.rows[kept].tolist(), strict=False)
    ]
    assert np.mean(same) >= 0.98
