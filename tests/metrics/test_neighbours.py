from __future__ import annotations

import numpy as np
import pytest

from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.errors import ShapeError
from encord_active_widgets.metrics import neighbours
from encord_active_widgets.metrics.neighbours import diversity_rank, neighbour_metrics

NAMES = {"uniqueness", "typicality", "diversity", "difficulty"}


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    """Three tight clusters of 200, and at row 600 one outlier."""
    rng = np.random.default_rng(0)
    centres = np.eye(3, 12)
    rows = np.vstack([c + 0.05 * rng.standard_normal((200, 12)) for c in centres])
    return np.vstack([rows, -np.ones((1, 12))]).astype(np.float32)


def test_uniqueness_is_the_distance_to_the_nearest_other_and_zero_for_copies(blobs):
    vectors = np.vstack([blobs, np.repeat(blobs[:1], 99, axis=0)])
    found = neighbour_metrics(vectors, knn_graph(vectors))["uniqueness"]
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = 1 - unit @ unit.T
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_allclose(found, np.maximum(distances.min(axis=1), 0), atol=1e-6)
    assert (found[np.r_[0, 601:700]] == 0).all()
    assert (found[1:601] > 0).all()


def test_an_outlier_is_unique_atypical_and_picked_early(blobs):
    found = neighbour_metrics(blobs, knn_graph(blobs))
    assert found.keys() == NAMES
    assert found["uniqueness"].argmax() == 600
    assert found["typicality"].argmin() == 600
    assert found["diversity"][600] >= 1 - 4 / 600
    assert ((found["typicality"] > 0) & (found["typicality"] <= 1)).all()


def test_the_prototype_of_a_cluster_is_easier_than_its_rim(blobs):
    found = neighbour_metrics(blobs, knn_graph(blobs))["difficulty"]
    unit = blobs / np.linalg.norm(blobs, axis=1, keepdims=True)
    from_centre = np.concatenate(
        [1 - part @ (part.mean(axis=0) / np.linalg.norm(part.mean(axis=0))) for part in np.split(unit[:600], 3)]
    )
    assert np.corrcoef(found[:600], from_centre)[0, 1] > 0.5


def test_diversity_is_gonzalez_farthest_point_order():
    points = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    distances = ((points[:, None].astype(np.float64) - points[None]) ** 2).sum(axis=2)
    at = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())
    order, reach = [at], distances[at].copy()
    while len(order) < len(points):
        reach[order] = -1
        order.append(int(reach.argmax()))
        reach = np.minimum(reach, distances[order[-1]])
    rank = diversity_rank(points, np.full((200, 1), -1, np.int32), np.full((200, 1), np.inf, np.float32))
    assert np.argsort(-rank).tolist() == order
    assert (rank.max(), rank.min()) == (1, 0)


def test_the_most_diverse_cover_the_data_better_than_chance_at_any_size(cifar_like, monkeypatch):
    monkeypatch.setattr(neighbours, "_EXACT_PAIRS", 200_000)  # 100 exact picks of 2,000, the rest by the graph
    vectors = cifar_like
    found = neighbour_metrics(vectors, knn_graph(vectors))["diversity"]
    assert np.unique(found).size == len(vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def farthest(chosen: np.ndarray) -> float:
        return float((1 - unit @ unit[chosen].T).min(axis=1).max())

    rng = np.random.default_rng(0)
    for count in (50, 400, 1_000):
        ours = farthest(np.argsort(-found)[:count])
        chance = np.mean([farthest(rng.choice(len(vectors), count, replace=False)) for _ in range(5)])
        assert ours < chance


@pytest.fixture(scope="module")
def cifar_like() -> np.ndarray:
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((6, 40))
    return (rng.standard_normal((2_000, 6)) @ basis + 0.1 * rng.standard_normal((2_000, 40))).astype(np.float32)


def test_copies_of_an_item_are_picked_last(cifar_like):
    vectors = np.vstack([cifar_like[:500], cifar_like[:100]])
    found = neighbour_metrics(vectors, knn_graph(vectors))["diversity"]
    pairs = np.sort(np.stack([found[:100], found[500:]]), axis=0)
    assert (pairs[0] <= 100 / 599).all()
    assert (pairs[1] > 100 / 599).all()


def test_the_same_seed_gives_the_same_values(cifar_like):
    graph = knn_graph(cifar_like)
    first, second = (neighbour_metrics(cifar_like, graph, seed=4) for _ in range(2))
    for name in NAMES:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_small_and_uniform_sets_get_finite_values(n):
    for vectors in (np.random.default_rng(0).standard_normal((n, 5)), np.ones((n, 5)), np.zeros((n, 5))):
        for name, values in neighbour_metrics(vectors, knn_graph(vectors)).items():
            assert values.shape == (n,), name
            assert values.dtype == np.float32
            assert np.isfinite(values).all(), name


def test_items_without_a_vector_have_no_values_and_disturb_nobody(cifar_like):
    vectors = cifar_like[:50].copy()
    vectors[[3, 7]] = np.nan
    kept = np.delete(np.arange(50), [3, 7])
    found = neighbour_metrics(vectors, knn_graph(vectors))
    alone = neighbour_metrics(vectors[kept], knn_graph(vectors[kept]))
    for name in NAMES:
        assert np.isnan(found[name][[3, 7]]).all()
        np.testing.assert_array_equal(found[name][kept], alone[name])


def test_a_graph_of_other_rows_is_refused(cifar_like):
    with pytest.raises(ShapeError):
        neighbour_metrics(cifar_like[:10], knn_graph(cifar_like[:9]))
