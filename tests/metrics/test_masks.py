"""What a user would lose: a mask read wrongly, or a file of junk that ends the session."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.errors import InputError, ShapeError
from encord_active_widgets.metrics import masks

pycoco = pytest.importorskip("pycocotools.mask")


def random_masks(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    out = []
    for k in range(n):
        h, w = rng.integers(1, 50, 2)
        if k % 3:
            y, x = np.mgrid[:h, :w]
            a, b = rng.uniform(1, 20, 2)
            out.append(((x - w / 2) / a) ** 2 + ((y - h / 2) / b) ** 2 < 1)
        else:
            out.append(rng.random((h, w)) < rng.random())
    return [*out, np.zeros((7, 5), bool), np.ones((7, 5), bool)]


def reference(mask: np.ndarray) -> dict:
    return pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))


def test_masks_are_those_of_pycocotools_byte_for_byte() -> None:
    for mask in random_masks(300):
        h, w = mask.shape
        theirs = reference(mask)
        assert masks.encode(mask) == masks.encode(mask.astype(np.float32) * 7) == theirs["counts"]
        assert (masks.decode(theirs["counts"], h, w) == mask).all()
        runs = masks.counts(theirs["counts"])
        assert masks.compress(runs.tolist()) == masks.compress(runs.astype(float)) == theirs["counts"]
        uncompressed = pycoco.frPyObjects({"size": [h, w], "counts": runs.tolist()}, h, w)
        assert uncompressed["counts"] == masks.compress(runs)


def test_area_bounds_and_outline_of_a_batch() -> None:
    given = random_masks(300, seed=1)
    texts = [reference(m)["counts"] for m in given]
    h, w = np.array([m.shape for m in given]).T
    assert masks.area(texts, h, w).tolist() == [int(m.sum()) for m in given]
    theirs = np.stack([pycoco.toBbox(reference(m)) for m in given])
    assert np.array_equal(masks.bounds(texts, h, w), theirs)
    runs = masks.parse(texts, h, w)
    _, measures = masks.measure_masks(runs.counts, runs.starts, runs.heights)
    for mask, found in zip(given, measures, strict=True):
        padded = np.pad(mask, 1).astype(int)
        sides = sum(np.abs(np.diff(padded, axis=k)).sum() for k in (0, 1))
        assert found[1] == (sides or -1)


def test_overlap_and_merge_are_those_of_pycocotools() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        h, w = (int(v) for v in rng.integers(1, 40, 2))
        theirs = [reference(rng.random((h, w)) < rng.random()) for _ in range(5)]
        texts = [t["counts"] for t in theirs]
        assert masks.iou(texts, texts[:3], h, w) == pytest.approx(pycoco.iou(theirs, theirs[:3], [0] * 3))
        for intersect in (False, True):
            assert masks.merge(texts, h, w, intersect=intersect) == pycoco.merge(theirs, intersect)["counts"]
    assert masks.merge([], 3, 4) == masks.encode(np.zeros((3, 4)))
    empty = masks.encode(np.zeros((4, 4)))
    assert masks.iou([empty], [empty], 4, 4).tolist() == [[0.0]]
    assert masks.iou([], [empty], 4, 4).shape == (0, 1)


def test_runs_of_length_zero_change_nothing() -> None:
    """Writers other than COCO's own split runs: 3 inside, 0 outside, 2 inside."""
    split, whole = masks.compress([2, 3, 0, 2, 5]), masks.compress([2, 5, 5])
    for texts in ([split], [whole]):
        runs = masks.parse(texts, 4, 3)
        bounds, measures = masks.measure_masks(runs.counts, runs.starts, runs.heights)
        assert (bounds.tolist(), measures[0, 1]) == ([[0.0, 0.0, 2.0, 4.0]], 12.0)
    assert (masks.decode(split, 4, 3) == masks.decode(whole, 4, 3)).all()
    assert masks.iou([split], [whole], 4, 3).tolist() == [[1.0]]
    assert masks.merge([split, split], 4, 3) == whole


BAD = [
    (b"ZZZZ", 10, 10),  # wrong sum
    (b"\xff\xfe", 3, 3),  # no characters
    (b" 1", 3, 3),
    (b"oooooooooooooooo", 10, 10),  # a number without end
    (b"5o", 3, 3),  # cut short
    (b"O3", 3, 3),  # negative
    (b"", 3, 3),
    (b"0", 0, 5),
    (b"0", -3, 5),
    (b"0", 100_000, 1_000_000),
    (b"0", float("nan"), 3),
    (b"0", 1.5, 3),
    (b"9", 2**40, 2**40),
    (b"``P;", 3, 3),
]


@pytest.mark.parametrize(("text", "h", "w"), BAD)
def test_junk_is_a_named_error(text: bytes, h: float, w: float) -> None:
    for function in (masks.area, masks.bounds):
        with pytest.raises(InputError):
            function([text], h, w)
    with pytest.raises(InputError):
        masks.decode(text, h, w)
    assert masks.parse([text, None], h, w, strict=False).faults.all()


def test_a_mask_too_large_to_draw_is_still_measured() -> None:
    text = masks.compress([5, 10, 2**31 - 15])
    assert masks.area([text], 2**15, 2**16).tolist() == [10]
    with pytest.raises(InputError, match="too large"):
        masks.decode(text, 2**15, 2**16)


@pytest.mark.parametrize("counts", [[-1], [1.5], ["a"], [[1]], [2**32], [float("nan")], [None], [10**30]])
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_counts_that_are_none(counts: list) -> None:
    with pytest.raises(InputError):
        masks.compress(counts)


def test_what_is_no_mask() -> None:
    for bad in (np.zeros(3), np.zeros((0, 3)), np.zeros((2, 2, 2)), np.array([["a"]])):
        with pytest.raises(InputError):
            masks.encode(bad)
    with pytest.raises(InputError):
        masks.counts(3)  # type: ignore[arg-type]
    with pytest.raises(ShapeError):
        masks.area([b"1", b"1"], [1, 1, 1], 1)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.integers(-2, 50), st.integers(-2, 50))
def test_any_bytes_are_a_mask_or_an_error(text: bytes, h: int, w: int) -> None:
    try:
        drawn = masks.decode(text, h, w)
    except InputError:
        return
    assert drawn.shape == (h, w)
    assert masks.area([text], h, w)[0] == drawn.sum()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=30))
def test_text_and_counts_are_two_forms_of_one_thing(counts: list[int]) -> None:
    assert masks.counts(masks.compress(counts)).tolist() == counts
