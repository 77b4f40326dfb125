from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.embeddings.graph import knn_graph
from encord_active_widgets.errors import ShapeError
from encord_active_widgets.metrics.duplicates import connected_groups, duplicate_groups
from encord_active_widgets.metrics.near_hashes import pairs_within

RNG = np.random.default_rng(0)


def names(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def random_hashes(n: int) -> np.ndarray:
    return RNG.integers(0, 2**64, n, dtype=np.uint64)


def described(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    from encord_active_widgets.metrics.pixels import measure

    found = [measure(np.ascontiguousarray(image), thumbnail=False) for image in images]
    return np.stack([f.vector for f in found]), np.array([f.phash for f in found], np.uint64)


def groups_of(images: list[np.ndarray]) -> np.ndarray:
    vectors, hashes = described(images)
    return duplicate_groups(names(len(images)), hashes, knn_graph(vectors))


def crop(image):
    w, h = image.size
    return image.crop((round(0.01 * w), round(0.01 * h), w - round(0.01 * w), h - round(0.01 * h)))


def jpeg_q30(image):
    from PIL import Image

    out = io.BytesIO()
    image.save(out, "JPEG", quality=30)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


def half(image):
    return image.resize((image.width // 2, image.height // 2))


@pytest.mark.parametrize("change", [crop, jpeg_q30, half])
def test_altered_copies_of_real_photos_are_found_and_nothing_else(shared_data: Path, change):
    from PIL import Image

    photos = [Image.open(p).convert("RGB") for p in sorted((shared_data / "photos").glob("*.JPEG"))[:60]]
    groups = groups_of([np.asarray(p) for p in photos] + [np.asarray(change(p)) for p in photos])
    assert groups.tolist() == [*range(60), *range(60)]


def test_different_pictures_of_one_kind_are_not_joined(shared_data: Path):
    from encord_active_widgets.images.decode import decode

    # 1,000 aeroplanes: skies alike. Each pair joined was looked at and shows one picture.
    files = sorted((shared_data / "cifar10_test" / "airplane").glob("*.jpg"))
    groups = groups_of([decode(f.read_bytes()) for f in files])
    joined = {tuple(files[i].stem for i in np.flatnonzero(groups == g)) for g in range(groups.max() + 1)}
    assert len(joined) <= 12
    assert all(len(pair) <= 3 for pair in joined)


def test_a_hundred_copies_are_one_group():
    vectors = RNG.standard_normal((300, 16)).astype(np.float32)
    vectors[100:200] = vectors[100]
    hashes = random_hashes(300)
    hashes[100:200] = hashes[100]
    content = names(300)
    for same_bytes in (False, True):
        if same_bytes:
            content[100:200] = ["same"] * 100
        groups = duplicate_groups(content, hashes, knn_graph(vectors))
        assert (groups[100:200] == 0).all()
        assert (np.delete(groups, np.r_[100:200]) == -1).all()


def test_flat_images_are_not_joined_for_being_flat():
    flats = [np.full((64, 64, 3), grey, np.uint8) for grey in (0, 60, 128, 200, 255)]
    flats += [np.broadcast_to(np.uint8(c), (64, 64, 3)) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    assert (groups_of(flats) == -1).all()
    vectors = np.ones((4, 8), np.float32)  # one that cannot tell, with hashes that say nothing
    hashes = np.array([0, 0, 3, 2**64 - 1], np.uint64)
    assert (duplicate_groups(names(4), hashes, knn_graph(vectors)) == -1).all()
    assert duplicate_groups(["a", "b", "a", "c"], hashes, knn_graph(vectors)).tolist() == [0, -1, 0, -1]


def test_hashes_decide_where_there_is_no_embedding():
    hashes = random_hashes(50)
    hashes[9] = hashes[4] ^ np.uint64(0b1111)
    hashes[20] = hashes[30] ^ np.uint64(0b11111)
    groups = duplicate_groups(names(50), hashes, None)
    assert np.flatnonzero(groups == 0).tolist() == [4, 9]
    assert (groups >= 0).sum() == 2


def test_near_hashes_of_unlike_images_are_not_joined():
    vectors = np.repeat(np.eye(2, 30), 20, axis=0) + 0.01 * RNG.standard_normal((40, 30))
    hashes = random_hashes(40)
    hashes[25] = hashes[3] ^ np.uint64(1)
    assert (duplicate_groups(names(40), hashes, knn_graph(vectors, k=5)) == -1).all()
    assert (duplicate_groups(names(40), hashes, None) >= 0).sum() == 2


def test_nulls_and_empty_hashes_equal_nothing():
    content = pl.Series(["a", None, "", None, "", "a"])
    groups = duplicate_groups(content, np.zeros(6, np.uint64), None)
    assert groups.tolist() == [0, -1, -1, -1, -1, 0]


def test_no_items_and_wrong_lengths():
    assert duplicate_groups([], np.empty(0, np.uint64), None).tolist() == []
    with pytest.raises(ShapeError, match="2 content hashes, 3 perceptual hashes"):
        duplicate_groups(["a", "b"], np.zeros(3, np.uint64), None)


@given(
    st.integers(0, 8),
    st.lists(st.integers(0, 2**64 - 1), max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=9)), max_size=12),
)
def test_near_hashes_are_all_found_each_once(radius, base, changes):
    hashes = list(base)
    for source, bits in changes:
        if source < len(base):
            hashes.append(base[source] ^ sum(1 << b for b in bits))
    hashes = np.unique(np.array(hashes, np.uint64))
    left, right = pairs_within(hashes, radius)
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= radius
    truth = np.nonzero(np.triu(near, 1))
    assert (left.tolist(), right.tolist()) == (truth[0].tolist(), truth[1].tolist())


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
@settings(deadline=None)
def test_groups_are_the_connected_components(n, edges):
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    left = np.array([a % n for a, _ in edges], np.int64)
    right = np.array([b % n for _, b in edges], np.int64)
    truth = connected_components(coo_matrix((np.ones(len(left)), (left, right)), (n, n)), directed=False)[1]
    found = connected_groups(n, left, right)
    together = truth[:, None] == truth[None]
    alone = together.sum(axis=1) == 1
    assert ((found == -1) == alone).all()
    assert ((found[:, None] == found[None])[~alone][:, ~alone] == together[~alone][:, ~alone]).all()
