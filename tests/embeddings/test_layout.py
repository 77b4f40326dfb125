from __future__ import annotations

import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from encord_active_widgets.embeddings import layout as layout_module
from encord_active_widgets.embeddings.fuzzy import fuzzy_edges
from encord_active_widgets.embeddings.graph import Graph, knn_graph
from encord_active_widgets.embeddings.index import NeighbourIndex
from encord_active_widgets.embeddings.layout import pca_layout, place, umap_layout, warm_up
from encord_active_widgets.errors import ShapeError

SAME_QUALITY = 0.005


@pytest.fixture(scope="session")
def umap_learn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap
        import umap.umap_
    return umap


def test_pca_matches_the_singular_value_decomposition(digits):
    unit = digits / np.linalg.norm(digits, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    truth = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    found = pca_layout(digits)
    for axis in range(2):
        assert abs(np.corrcoef(truth[:, axis], found[:, axis])[0, 1]) > 0.9999


def test_edge_weights_are_those_of_umap_learn(digits, umap_learn):
    graph = knn_graph(digits, k=14)
    rows = np.hstack([np.arange(len(digits))[:, None], graph.rows])
    distances = np.hstack([np.zeros((len(digits), 1), np.float32), graph.distances])
    truth = umap_learn.umap_.fuzzy_simplicial_set(
        digits, 15, np.random.RandomState(0), "cosine", knn_indices=rows, knn_dists=distances
    )[0].tocsr()
    edges = fuzzy_edges(graph)
    np.testing.assert_array_equal(edges.starts, truth.indptr)
    truth.sort_indices()
    np.testing.assert_array_equal(edges.tails, truth.indices)
    np.testing.assert_allclose(edges.weights, truth.data, atol=1e-3)


def test_the_curve_is_that_of_umap_learn(umap_learn):
    a, b = umap_learn.umap_.find_ab_params(1.0, 0.1)
    np.testing.assert_allclose([layout_module.CURVE_A, layout_module.CURVE_B], [a, b], rtol=1e-4)


@pytest.mark.parametrize("name", ["digits", "cifar"])
def test_maps_are_as_trustworthy_as_those_of_umap_learn(name, request, umap_learn):
    vectors = request.getfixturevalue(name)[:2_500]
    ours = umap_layout(vectors, knn_graph(vectors), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = umap_learn.UMAP(metric="cosine", random_state=0).fit_transform(vectors)
    quality = [trustworthiness(vectors, y, n_neighbors=15, metric="cosine") for y in (ours, theirs)]
    assert quality[0] >= quality[1] - SAME_QUALITY, quality


def test_the_same_seed_gives_the_same_map_on_any_number_of_threads(cifar, monkeypatch):
    graph = knn_graph(cifar)
    monkeypatch.setattr(layout_module, "EPOCHS_SMALL", 20)
    maps = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(layout_module, "available_threads", lambda threads=threads: threads)
        maps.append(umap_layout(cifar, graph, seed=5))
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])
    assert not np.array_equal(maps[0], umap_layout(cifar, graph, seed=6))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_small_and_uniform_sets_get_a_finite_map(n):
    for vectors in (np.random.default_rng(0).standard_normal((n, 5)), np.ones((n, 5)), np.zeros((n, 5))):
        graph = knn_graph(vectors, k=15)
        for positions in (pca_layout(vectors), umap_layout(vectors, graph)):
            assert positions.shape == (n, 2)
            assert positions.dtype == np.float32
            assert np.isfinite(positions).all()


def test_one_dimension_is_enough_for_a_map():
    vectors = np.array([[1.0], [-1.0], [2.0], [-3.0]])
    assert np.isfinite(umap_layout(vectors, knn_graph(vectors))).all()


def test_items_without_a_vector_have_no_position_and_disturb_nobody():
    vectors = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    vectors[[3, 7]] = np.nan
    positions = umap_layout(vectors, knn_graph(vectors))
    assert np.isnan(positions[[3, 7]]).all()
    kept = np.delete(np.arange(60), [3, 7])
    np.testing.assert_array_equal(positions[kept], umap_layout(vectors[kept], knn_graph(vectors[kept])))


def test_progress_is_told_and_cancelling_stops_early(digits):
    graph, seen, cancel = knn_graph(digits), [], threading.Event()

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            cancel.set()

    positions = umap_layout(digits, graph, progress=progress, cancel=cancel)
    assert [done for done, _ in seen] == [1, 2, 3]
    assert np.isfinite(positions).all()


def test_a_map_can_start_from_given_positions(digits):
    graph = knn_graph(digits)
    cancelled = threading.Event()
    cancelled.set()
    init = np.random.default_rng(0).standard_normal((len(digits), 2)).astype(np.float32)
    np.testing.assert_array_equal(umap_layout(digits, graph, init=init, cancel=cancelled), init)
    with pytest.raises(ShapeError):
        umap_layout(digits, graph, init=init[:3])
    with pytest.raises(ShapeError):
        umap_layout(digits[:5], graph)


def test_new_items_land_among_their_like_and_old_ones_stay(digits):
    from sklearn.datasets import load_digits

    kinds = load_digits().target
    old, new = digits[:1_500], digits[1_500:]
    positions = umap_layout(old, knn_graph(old))
    before = positions.copy()
    placed = place(new, NeighbourIndex.build(old), positions)
    np.testing.assert_array_equal(positions, before)
    nearest = ((placed[:, None] - positions[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (kinds[:1_500][nearest] == kinds[1_500:]).mean() > 0.85


def test_a_copy_is_placed_on_its_twin_and_odd_vectors_get_what_is_sensible(digits):
    old = digits[:300]
    positions = pca_layout(old)
    new = np.stack([old[42], np.zeros(64), np.full(64, np.nan)]).astype(np.float32)
    placed = place(new, NeighbourIndex.build(old), positions)
    np.testing.assert_array_equal(placed[0], positions[42])
    np.testing.assert_allclose(placed[1], positions.mean(axis=0), atol=1e-5)
    assert np.isnan(placed[2]).all()
    empty = place(new, NeighbourIndex.build(np.empty((0, 64), np.float32)), np.empty((0, 2)))
    assert empty[:2].tolist() == [[0, 0], [0, 0]]


def test_items_missing_from_the_map_do_not_pull_newcomers_away(digits):
    old = digits[:300]
    positions = pca_layout(old)
    positions[::2] = np.nan
    assert np.isfinite(place(digits[300:400], NeighbourIndex.build(old), positions)).all()


def test_warming_up_ends_and_importing_costs_no_compiler():
    warm_up().join(timeout=120)
    code = (
        "import sys, encord_active_widgets.embeddings.layout, encord_active_widgets.metrics.neighbours, "
        "encord_active_widgets.metrics.duplicates; "
        "print([m for m in ('numba', 'umap', 'hnswlib', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_graph_without_edges_is_still_a_map():
    vectors = np.eye(5, dtype=np.float32)
    graph = Graph(np.full((5, 2), -1, np.int32), np.full((5, 2), np.inf, np.float32))
    assert np.isfinite(umap_layout(vectors, graph)).all()
