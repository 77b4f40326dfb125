"""Crops, mirrored copies and what is said not to be a duplicate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from encord_active_widgets.embeddings.descriptor import descriptor
from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.errors import ShapeError
from encord_active_widgets.metrics.alignment import SAME_EVERYWHERE, SAME_SCENE, edge_correlation
from encord_active_widgets.metrics.duplicate_pairs import KINDS, DuplicatePairs, find_pairs
from encord_active_widgets.metrics.duplicates import connected_groups, duplicate_groups, groups_at
from encord_active_widgets.metrics.mirroring import mirrored_hashes, mirrored_order
from encord_active_widgets.metrics.pixels import measure

N_PHOTOS = 60


def crop(share, off_centre=False):
    def change(image):
        w, h = round(image.width * (1 - share)), round(image.height * (1 - share))
        x, y = (image.width - w, image.height - h) if off_centre else ((image.width - w) // 2, (image.height - h) // 2)
        return image.crop((x, y, x + w, y + h))

    return change


def luma(image: Image.Image) -> np.ndarray:
    """Return the luma at 32 x 32 by another library's area average."""
    return np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), np.float32)


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[Image.Image]:
    return [Image.open(p).convert("RGB") for p in sorted((shared_data / "photos").glob("*.JPEG"))[:N_PHOTOS]]


def described(images):
    found = [measure(np.ascontiguousarray(np.asarray(i)), thumbnail=False) for i in images]
    return np.stack([f.vector for f in found]), np.array([f.phash for f in found], np.uint64)


CHANGES = {
    "crop of 2 %": crop(0.02),
    "crop of 2 %, off centre": crop(0.02, off_centre=True),
    "crop of 5 %": crop(0.05),
    "crop of 5 %, off centre": crop(0.05, off_centre=True),
    "15 % brighter": lambda i: i.point(lambda v: min(255, int(v * 1.15))),
    "mirrored": lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("name", CHANGES)
def test_cropped_and_mirrored_photos_find_their_original_and_nothing_else(photos, name):
    images = [*photos, *(CHANGES[name](p) for p in photos)]
    vectors, hashes = described(images)
    small = np.stack([luma(i) for i in images])
    groups = duplicate_groups(
        [str(i) for i in range(len(images))],
        hashes,
        knn_graph(vectors),
        vectors=vectors,
        mirror=mirrored_order(),
        pictures=lambda rows: small[rows],
    )
    assert groups.tolist() == [*range(N_PHOTOS), *range(N_PHOTOS)]


def test_mirroring_the_pixels_gives_what_is_derived_without_them(photos):
    vectors, hashes = described(photos)
    flipped = [p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in photos]
    _, truth = described(flipped)
    assert np.bitwise_count(mirrored_hashes(hashes) ^ truth).max() <= 2
    assert (mirrored_hashes(mirrored_hashes(hashes)) == hashes).all()
    direct = np.stack([descriptor(np.ascontiguousarray(np.asarray(f))) for f in flipped])
    assert np.abs(vectors[:, mirrored_order()] - direct).max() < 1e-3


def test_mirrored_copies_are_told_from_near_ones_and_need_a_vector_or_a_picture(photos):
    images = [*photos[:20], *(p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in photos[:20])]
    vectors, hashes = described(images)
    names = [str(i) for i in range(40)]
    small = np.stack([luma(i) for i in images])
    own = find_pairs(names, hashes, knn_graph(vectors), vectors=vectors, mirror=mirrored_order()).at(0.25)
    assert {KINDS[k] for k in own.kind} == {"mirrored"}
    assert own.distance.max() < 0.01
    # An embedding that cannot be mirrored: the pictures tell.
    other = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    seen = find_pairs(names, hashes, knn_graph(other), vectors=other, pictures=lambda rows: small[rows]).at(0.0)
    assert sorted(zip(seen.left.tolist(), seen.right.tolist(), strict=True)) == [(i, i + 20) for i in range(20)]
    assert len(find_pairs(names, hashes, knn_graph(other), vectors=other).at(2.0)) == 0


def test_different_photos_do_not_lie_over_each_other_and_crops_do(photos):
    small = np.stack([luma(p) for p in photos])
    a, b = np.triu_indices(N_PHOTOS, 1)
    agreement = edge_correlation(small[a], small[b], threads=2)
    assert agreement[:, 0].max() < SAME_SCENE - 0.15, "no two of the 1,770 pairs come near the limit"
    for share in (0.02, 0.05):
        cropped = np.stack([luma(crop(share)(p)) for p in photos])
        assert (edge_correlation(small, cropped)[:, 0] >= SAME_SCENE).mean() >= 0.96
    assert (edge_correlation(small, 0.5 * small + 40) > 0.98).all(), "brightness and contrast do not matter"
    assert (edge_correlation(small[a], small[b]) == agreement).all(), "threads change nothing"


def test_something_else_on_the_same_background_is_noticed(photos):
    small = np.stack([luma(p) for p in photos])
    changed = small.copy()
    changed[:, 8:24, 8:16] = small[::-1, 8:24, 8:16]  # another photo's middle
    whole, worst = edge_correlation(small, changed).T
    assert np.median(whole) > 0.6, "most of the picture is the same"
    assert (worst < SAME_EVERYWHERE).mean() > 0.9


def test_flat_and_missing_pictures_agree_with_nothing():
    flat = np.full((1, 32, 32), 90, np.float32)
    noise = np.random.default_rng(0).uniform(0, 255, (1, 32, 32)).astype(np.float32)
    assert edge_correlation(flat, noise)[0, 0] < SAME_SCENE
    assert edge_correlation(flat, flat)[0, 0] < SAME_SCENE
    vectors = np.ones((2, 4), np.float32) + np.array([[0, 0, 0, 0], [0, 0, 0, 1.5]], np.float32)
    hashes = np.array([0x5555_5555_5555_5555, 0x5555_5555_5555_5555 ^ 0xFFF], np.uint64)
    nothing = np.full((2, 32, 32), np.nan, np.float32)
    known = np.repeat(noise, 2, axis=0)
    for pictures, joined in ((nothing, False), (known, True)):
        groups = duplicate_groups(
            ["a", "b"], hashes, knn_graph(vectors), vectors=vectors, pictures=lambda rows, p=pictures: p[rows]
        )
        assert (groups >= 0).all() == joined


def test_vectors_of_another_length_are_refused():
    with pytest.raises(ShapeError, match="3 vectors do not fit 2 hashes"):
        find_pairs(["a", "b"], np.zeros(2, np.uint64), None, vectors=np.ones((3, 4), np.float32))


# -- thresholds, and what is said to be no duplicate ----------------------------------------------

N = 14
EDGES = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(0, N - 1), st.floats(0, 1, width=32)), min_size=1, max_size=30
).map(lambda edges: [(a, b, t) for a, b, t in edges if a != b] or [(0, 1, 0.5)])


def pairs_of(edges) -> DuplicatePairs:
    left, right, threshold = (np.array(column) for column in zip(*edges, strict=True))
    return DuplicatePairs(
        left, right, threshold.astype(np.float32), threshold.astype(np.float32), np.ones(len(left), np.uint8)
    )


@given(EDGES, st.floats(0, 1), st.floats(0, 1))
def test_a_wider_threshold_only_joins_groups(edges, one, other):
    narrow, wide = (groups_at(N, pairs_of(edges), t) for t in sorted([one, other]))
    for group in range(narrow.max() + 1):
        members = np.flatnonzero(narrow == group)
        assert len(set(wide[members].tolist())) == 1
        assert wide[members[0]] >= 0


@given(EDGES, st.lists(st.sets(st.integers(0, N - 1), min_size=2, max_size=4), max_size=3))
def test_what_was_said_apart_is_never_in_one_group_and_the_rest_stays_as_connected_as_it_can(edges, sets):
    pairs = pairs_of(edges)
    groups = groups_at(N, pairs, 1.0, [np.array(sorted(s)) for s in sets])
    for rows in sets:
        inside = [g for g in groups[sorted(rows)].tolist() if g >= 0]
        assert len(inside) == len(set(inside))
    plain = connected_groups(N, pairs.left, pairs.right)
    for group in range(plain.max() + 1):  # groups that nothing was said of are what they were
        members = set(np.flatnonzero(plain == group).tolist())
        if all(len(members & rows) < 2 for rows in sets):
            assert len(set(groups[sorted(members)].tolist())) == 1
    allowed = {frozenset((a, b)) for a, b, _ in edges}
    for group in range(groups.max() + 1):  # and each group hangs together by pairs that were found
        members = set(np.flatnonzero(groups == group).tolist())
        assert len(members) > 1
        reached = {min(members)}
        while more := {b for a in reached for b in members - reached if frozenset((a, b)) in allowed}:
            reached |= more
        assert reached == members
    # Nothing is left out that could be joined: any pair left across two groups would bring a set together.
    for a, b, _ in edges:
        if groups[a] == groups[b] >= 0:
            continue
        side = [{r} if groups[r] < 0 else set(np.flatnonzero(groups == groups[r]).tolist()) for r in (a, b)]
        assert any(len((side[0] | side[1]) & rows) > 1 for rows in sets)


def test_what_lies_between_two_that_are_apart_goes_to_the_nearer():
    pairs = pairs_of([(0, 1, 0.3), (1, 2, 0.1)])
    assert groups_at(3, pairs, 1.0).tolist() == [0, 0, 0]
    assert groups_at(3, pairs, 1.0, [np.array([0, 2])]).tolist() == [-1, 0, 0]
    assert groups_at(3, pairs, 1.0, [np.array([0, 2, 1])]).tolist() == [-1, -1, -1]
    assert groups_at(3, pairs, 1.0, [np.array([0, 2, 700])]).tolist() == [-1, 0, 0], "rows to come are no matter"
