"""What a user would lose: the one wrong shape of a class, or trust in it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.errors import ShapeError
from encord_active_widgets.metrics import masks
from encord_active_widgets.metrics.shapes import hu_moments, shape_outlier

IRREGULAR = np.array([[0.0, 0], [10, 1], [14, 7], [6, 12], [3, 5]])


def polygons(*shapes: np.ndarray, **columns) -> pl.DataFrame:
    return pl.DataFrame(
        {"kind": ["polygon"] * len(shapes), "points": [s.ravel().tolist() for s in shapes], **columns},
        schema_overrides={"points": pl.List(pl.Float64)},
    )


def ring(n: int, radius: float = 1.0) -> np.ndarray:
    angle = np.arange(n) / n * 2 * math.pi
    return radius * np.c_[np.cos(angle), np.sin(angle)]


def star(points: int = 5, inner: float = 0.5) -> np.ndarray:
    out = ring(2 * points)
    out[1::2] *= inner
    return out


def turned(shape: np.ndarray, degrees: float, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return shape @ np.array([[c, s], [-s, c]]) * scale + shift


def test_moments_of_known_shapes() -> None:
    square = pl.DataFrame(
        {"kind": ["box", "rotated_box", "box"], "x": [3.0] * 3, "y": [5.0] * 3, "w": [2.0, 2, 6], "h": [2.0] * 3}
    ).with_columns(angle=pl.Series([None, 33.0, None]))
    found = hu_moments(square)
    assert found[:2, 0] == pytest.approx(1 / 6)
    assert found[2, :2] == pytest.approx([(3 + 1 / 3) / 12, ((3 - 1 / 3) / 12) ** 2])
    assert found[:, 2:] == pytest.approx(0, abs=1e-12)
    many = 1000
    circle = hu_moments(polygons(ring(many, 7.0)))[0]
    assert circle[0] == pytest.approx(1 / (2 * math.pi), rel=1e-5)
    # A ring: (R^4 - r^4) / (2 pi (R^2 - r^2)^2)
    hollow = polygons(
        np.vstack([ring(many, 2.0), ring(many, 1.0)]),
        rings=pl.Series([[many, many]], dtype=pl.List(pl.UInt32)),
        holes=pl.Series([[1]], dtype=pl.List(pl.UInt32)),
    )
    assert hu_moments(hollow)[0, 0] == pytest.approx((16 - 1) / (2 * math.pi * 9), rel=1e-4)
    # An n-fold star has no second and third moments but the first.
    assert hu_moments(polygons(star()))[0, 1:] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shape", [IRREGULAR, star(4) * 5 + 10, IRREGULAR[:3]], ids=["irregular", "star", "triangle"])
def test_moments_are_those_of_opencv_on_a_fine_raster(shape: np.ndarray) -> None:
    cv2 = pytest.importorskip("cv2")
    drawn = cv2.fillPoly(
        np.zeros((2000, 2000), np.uint8), [np.round((shape - shape.min(0)) * 100 + 50).astype(np.int32)], 1
    )
    theirs = cv2.HuMoments(cv2.moments(drawn, binaryImage=True)).ravel()
    ours = hu_moments(polygons(shape))[0]
    mask = pl.DataFrame({"kind": ["mask"], "rle": [masks.encode(drawn)], "mask_h": [2000], "mask_w": [2000]})
    degrees = np.array([1, 2, 2, 2, 4, 3, 4])
    root = [np.sign(v) * np.abs(v) ** (1 / degrees) for v in (ours, theirs, hu_moments(mask)[0])]
    assert root[0] == pytest.approx(root[1], rel=0.03, abs=2e-3)
    assert root[2] == pytest.approx(root[1], rel=1e-4, abs=1e-4)


@settings(max_examples=100, deadline=None)
@given(st.floats(-360, 360), st.floats(1e-3, 1e3), st.floats(-1e4, 1e4))
def test_place_size_and_turn_do_not_matter_and_a_mirror_flips_the_last(angle, scale, shift) -> None:
    base = hu_moments(polygons(IRREGULAR))[0]
    moved = hu_moments(polygons(turned(IRREGULAR, angle, scale, shift)))[0]
    assert moved == pytest.approx(base, rel=1e-4, abs=1e-9)
    mirrored = hu_moments(polygons(IRREGULAR * [-1, 1]))[0]
    assert mirrored == pytest.approx([*base[:6], -base[6]])
    assert hu_moments(polygons(IRREGULAR[::-1]))[0] == pytest.approx(base)


@pytest.mark.parametrize("jitter", [0.01, 0.03, 0.05])
def test_a_star_among_circles_ranks_first(jitter: float) -> None:
    rng = np.random.default_rng(0)
    circles = [
        ring(30) * (1 + jitter * rng.normal(size=(30, 1))) * rng.uniform(5, 50) + rng.uniform(0, 500, 2)
        for _ in range(200)
    ]
    labels = polygons(*circles, turned(star(), 20, 30, 100))
    found = shape_outlier(hu_moments(labels), ["cell"] * 201)
    assert found.arg_max() == 200
    assert found[200] > 0.8
    assert found[:200].max() < 0.7


def test_classes_are_judged_by_themselves_and_small_ones_not_at_all() -> None:
    wide = pl.DataFrame(
        {"kind": ["box"] * 12, "x": [0.0] * 12, "y": [0.0] * 12, "w": [40.0] * 11 + [1.0], "h": [10.0] * 12}
    )
    codes = ["a"] * 4 + ["b"] * 8
    found = shape_outlier(hu_moments(wide), codes)
    assert found[:4].null_count() == 4
    assert found[4:11].to_list() == [0.0] * 7
    assert found[11] > 0.8
    assert found.dtype == pl.Float32


def test_mirrored_shapes_are_alike() -> None:
    shapes = [IRREGULAR * [1 if k % 2 else -1, 1] for k in range(20)]
    assert shape_outlier(hu_moments(polygons(*shapes)), [0] * 20).max() < 0.01


def test_what_has_no_shape_is_null() -> None:
    labels = pl.DataFrame(
        {
            "kind": ["polygon", "polygon", "point", "polyline", "classification", "box", "mask", "polygon"],
            "points": [
                [1.0, 1, 4, 5],
                [0.0, 0, 1, 1, 2, 2],
                [1.0, 2],
                [0.0, 0, 1, 1, 0, 1],
                None,
                None,
                None,
                [float("nan")] * 6,
            ],
            "w": [None, None, None, None, None, 0.0, None, None],
            "h": [None, None, None, None, None, 2.0, None, None],
            "x": [None, None, None, None, None, 0.0, None, None],
            "y": [None, None, None, None, None, 0.0, None, None],
            "rle": [None] * 6 + [b"junk", None],
        }
    )
    found = hu_moments(labels)
    assert np.isnan(found).all()
    assert shape_outlier(found, [0] * 8).null_count() == 8
    assert hu_moments(labels[:0]).shape == (0, 7)
    assert len(shape_outlier(np.empty((0, 7)), [])) == 0
    with pytest.raises(ShapeError):
        shape_outlier(found, [0])
