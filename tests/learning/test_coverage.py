"""Covering orders against plain loops, best sets by brute force, and clusters that must not be missed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.embeddings import farthest
from encord_active_widgets.embeddings.farthest import Reach
from encord_active_widgets.embeddings.graph import Graph, knn_graph
from encord_active_widgets.errors import InputError, ShapeError
from encord_active_widgets.learning import coverage
from encord_active_widgets.learning.acquisition import Pool, rank, weights_of
from encord_active_widgets.learning.coverage import (
    cluster_balance,
    facility_location,
    in_rounds,
    k_center,
    typical_first,
)


def textbook(points: np.ndarray, n: int, centres: list[int]) -> list[int]:
    """Gonzalez' loop in double precision, every distance looked at."""
    x = points.astype(np.float64)
    nearest = np.min([((x - x[c]) ** 2).sum(axis=1) for c in centres], axis=0)
    nearest[centres] = -1
    picks = []
    for _ in range(n):
        at = int(nearest.argmax())
        picks.append(at)
        nearest = np.minimum(nearest, ((x - x[at]) ** 2).sum(axis=1))
        nearest[picks] = -1
    return picks


def unit(points: np.ndarray) -> np.ndarray:
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def clouds() -> dict[str, np.ndarray]:
    """Points of three kinds: of no structure, on a thin sheet, and on a grid full of equal distances."""
    rng = np.random.default_rng(0)
    sheet = rng.standard_normal((9_000, 4)) @ rng.standard_normal((4, 40)) + 0.05 * rng.standard_normal((9_000, 40))
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3).repeat(2, axis=0)
    return {
        "isotropic": unit(rng.standard_normal((9_000, 48))),
        "sheet": sheet.astype(np.float32),
        "grid": grid.astype(np.float32),
    }


@pytest.mark.parametrize("name", ["isotropic", "sheet", "grid"])
@pytest.mark.parametrize("covered", [0, 3, 300])
def test_k_center_picks_what_the_textbook_loop_picks(clouds, name, covered):
    points = clouds[name]
    mask = np.zeros(len(points), bool)
    mask[np.random.default_rng(1).choice(len(points), min(covered, len(points) // 4), replace=False)] = True
    n = 200
    found = k_center(points, n, mask, first=5)
    if covered:
        assert found.rows.tolist() == textbook(points, n, np.flatnonzero(mask).tolist())
    else:
        assert found.rows.tolist() == [5, *textbook(points, n - 1, [5])]
        assert np.isinf(found.gains[0])
    assert not mask[found.rows].any()
    gains = found.gains[np.isfinite(found.gains)]
    assert (np.diff(gains) <= 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 5), st.integers(1, 8))
def test_few_candidates_at_a_time_change_no_pick(seed, rows, dim, size):
    points = np.random.default_rng(seed).integers(0, 4, (rows, dim)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(farthest, "_CANDIDATES", size)
        found = k_center(points, rows, first=0).rows.tolist()
    assert found == [0, *textbook(points, rows - 1, [0])]


def test_reaches_are_true_distances_after_picking(clouds):
    points = clouds["sheet"]
    reach = Reach(points)
    reach.add(0)
    rows, _ = reach.take_farthest(50, whole=True)
    x = points.astype(np.float64)
    truth = np.min([((x - x[c]) ** 2).sum(axis=1) for c in [0, *rows]], axis=0)
    left = reach.squared >= 0
    np.testing.assert_allclose(reach.squared[left], truth[left], rtol=1e-12)
    assert set(np.flatnonzero(~left)) == {0, *rows.tolist()}


def test_the_middle_comes_first_and_copies_last():
    points = np.array([[0, 0], [4, 0], [2, 0.1], [4, 0], [0, 0]], np.float32)
    assert k_center(points, 9).rows.tolist() == [2, 0, 1, 3, 4]


def facility_value(similar: np.ndarray, chosen: list[int]) -> float:
    return float(similar[:, chosen].max(axis=1).sum()) if chosen else 0.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sparse", [False, True])
def test_facility_location_is_at_least_63_percent_of_the_best_set(seed, sparse):
    rng = np.random.default_rng(seed)
    points = unit(rng.standard_normal((14, 3)))
    graph = knn_graph(points, k=4) if sparse else None
    similar = (1 + points.astype(np.float64) @ points.T) / 2
    if graph is not None:
        similar = np.eye(14)
        for i in range(14):
            for j, gap in zip(graph.rows[i], graph.distances[i], strict=True):
                similar[i, j] = similar[j, i] = max(1 - gap, 0)
    found = facility_location(points, 4, graph=graph)
    value = facility_value(similar, found.rows.tolist())
    best = max(facility_value(similar, list(c)) for c in combinations(range(14), 4))
    assert value >= (1 - 1 / np.e) * best
    assert found.gains.sum() == pytest.approx(value, rel=1e-5)
    assert (np.diff(found.gains) <= 1e-6).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_facility_location_picks_the_largest_gain_each_time(sparse):
    """Neither the lazy bounds nor the gains kept by hand may hide a better row."""
    rng = np.random.default_rng(3)
    points = unit(rng.standard_normal((300, 6)))
    graph = knn_graph(points, k=8) if sparse else None
    covered = np.zeros(300, bool)
    covered[rng.choice(300, 30, replace=False)] = True
    similar = (1 + points.astype(np.float64) @ points.T) / 2
    if graph is not None:
        near = np.zeros((300, 300))
        near[np.arange(300)[:, None], graph.rows] = np.maximum(1 - graph.distances.astype(np.float64), 0)
        similar = np.maximum(near, near.T)
        np.fill_diagonal(similar, 1)
    served = similar[:, covered].max(axis=1)
    left = ~covered
    found = facility_location(points, 40, covered, graph=graph)
    for row, gain in zip(found.rows, found.gains, strict=True):
        gains = np.where(left, np.maximum(similar - served[:, None], 0).sum(axis=0), -1)
        assert left[row]
        assert gain == pytest.approx(gains[row], rel=1e-4)
        assert gains[row] >= gains.max() * (1 - 1e-5)
        served = np.maximum(served, similar[:, row])
        left[row] = False


def test_rounds_are_even_and_the_best_come_first():
    groups = np.array([0, 0, 0, 0, 1, 1, 2])
    scores = np.array([9, 8, 7, 6, 3, 4, 1])
    assert in_rounds(groups, scores).tolist() == [0, 5, 6, 1, 4, 2, 3]
    assert in_rounds(groups, scores, [2, 0, 1]).tolist() == [5, 4, 6, 0, 1, 2, 3]
    assert in_rounds(groups, scores, weight=[1, 2, 3]).tolist()[:3] == [6, 5, 0]


def test_typiclust_takes_the_most_typical_of_the_largest_cluster_without_labels():
    clusters = np.array([0] * 5 + [1] * 3 + [2] * 4)
    typical = np.linspace(0.1, 0.9, 12)
    covered = np.zeros(12, bool)
    covered[4] = True  # cluster 0 has a label
    found = typical_first(typical, clusters, 3, covered)
    assert found.rows.tolist() == [11, 7, 3]
    np.testing.assert_allclose(found.gains, typical[[11, 7, 3]])


def test_cluster_balance_fills_up_what_was_neglected():
    clusters = np.repeat([0, 1, 2], 20)
    covered = np.zeros(60, bool)
    covered[:6] = True
    found = cluster_balance(clusters, 12, covered, rng=np.random.default_rng(0))
    assert np.bincount(clusters[np.r_[np.flatnonzero(covered), found.rows]]).tolist() == [6, 6, 6]
    assert found.gains.max() == 1


@pytest.fixture(scope="module")
def islands() -> tuple[np.ndarray, np.ndarray]:
    """Thirty islands of 40; the scores of one are above those of all others."""
    rng = np.random.default_rng(2)
    centres = rng.standard_normal((30, 16)) * 3
    points = np.repeat(centres, 40, axis=0) + 0.2 * rng.standard_normal((1_200, 16))
    scores = rng.random(1_200)
    scores[:40] += 1
    return points.astype(np.float32), scores


@pytest.mark.parametrize(
    "strategy",
    [
        "k_center",
        "coverage",
        "typicality",
        "cluster_balance",
        {"entropy": 0.5, "coverage": 0.5},
        {"entropy": 0.5, "k_center": 0.5},
        {"entropy": 0.5, "typicality": 0.5},
        {"entropy": 0.5, "cluster_balance": 0.5},
    ],
)
def test_a_covering_choice_reaches_more_clusters_than_the_highest_scores(islands, strategy):
    points, scores = islands
    pool = Pool(np.zeros(1_200, bool), {"entropy": scores}, points, knn_graph(points))
    top = rank({"entropy": 1.0}, 30, pool).rows // 40
    assert np.unique(top).size == 1, "the highest scores alone lie on one island"
    found = rank(weights_of(strategy), 30, pool)
    assert np.unique(found.rows // 40).size >= 12
    assert (np.diff(found.scores) <= 1e-9).all()


@pytest.mark.parametrize("strategy", [*("k_center", "coverage", "typicality", "cluster_balance", "random", "entropy")])
def test_the_same_seed_picks_the_same_rows_and_another_decides_ties_otherwise(strategy):
    points = np.tile(unit(np.random.default_rng(0).standard_normal((30, 5))), (10, 1))  # ten copies of each
    scores = np.zeros(300)

    def picks(seed: int) -> list[int]:
        pool = Pool(np.zeros(300, bool), {"entropy": scores}, points, knn_graph(points), seed=seed)
        return rank(weights_of(strategy), 12, pool).rows.tolist()

    assert picks(4) == picks(4)
    assert picks(4) != picks(5)
    assert len(set(picks(4))) == 12


def test_points_that_are_no_numbers_and_masks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="NaN"):
        k_center([[0.0], [np.nan]], 1)
    with pytest.raises(ShapeError, match="covered"):
        k_center([[0.0], [1.0]], 1, [True])
    with pytest.raises(InputError, match="from 0"):
        facility_location([[0.0], [1.0]], -1)
    with pytest.raises(ShapeError, match="graph"):
        facility_location([[0.0], [1.0]], 1, graph=Graph(np.empty((0, 1), np.int32), np.empty((0, 1), np.float32)))
    assert k_center(np.empty((0, 3)), 4).rows.size == 0
    assert facility_location(np.ones((2, 2)), 4, [True, True]).rows.size == 0
    assert coverage.EXACT_FACILITY_ROWS > 0
