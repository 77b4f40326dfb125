"""What a user would lose: an area, an aspect or a closeness to the border that is not true."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.errors import InputError, ShapeError
from encord_active_widgets.metrics import masks
from encord_active_widgets.metrics.geometry import GEOMETRY_METRICS, geometry_metrics, true_bounds
from encord_active_widgets.metrics.rotated import corners_of_all, covered_area, is_simple, upright_aspect

shapely = pytest.importorskip("shapely")

SCHEMA = {
    "kind": pl.String,
    **dict.fromkeys(("x", "y", "w", "h", "angle"), pl.Float64),
    "points": pl.List(pl.Float64),
    "rings": pl.List(pl.UInt32),
    "holes": pl.List(pl.UInt32),
    "rle": pl.Binary,
    "mask_h": pl.Int32,
    "mask_w": pl.Int32,
}


def frame(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in SCHEMA} for row in rows], schema=SCHEMA, strict=False)


def box(x: float, y: float, w: float, h: float, angle: float | None = None, kind: str = "box") -> dict:
    return {"kind": kind, "x": x, "y": y, "w": w, "h": h, "angle": angle}


def polygon(*rings: np.ndarray | list, holes: list | None = None, kind: str = "polygon") -> dict:
    flat = [float(v) for ring in rings for v in np.asarray(ring, float).ravel()]
    sizes = [np.asarray(ring).size // 2 for ring in rings] if len(rings) > 1 else None
    return {"kind": kind, "points": flat, "rings": sizes, "holes": holes}


def mask(image: np.ndarray) -> dict:
    return {"kind": "mask", "rle": masks.encode(image), "mask_h": image.shape[0], "mask_w": image.shape[1]}


def measure(*rows: dict, size: tuple[float, float] = (100, 50)) -> pl.DataFrame:
    return geometry_metrics(
        frame(*rows), pl.DataFrame({"width": [size[0]] * len(rows), "height": [size[1]] * len(rows)})
    )


def one(row: dict, size: tuple[float, float] = (100, 50)) -> dict:
    return measure(row, size=size).row(0, named=True)


SQUARE = [0, 0, 10, 0, 10, 10, 0, 10]
INNER = [2, 2, 4, 2, 4, 4, 2, 4]


def test_kinds_are_measured_as_what_they_are() -> None:
    drawn = np.zeros((50, 100), bool)
    drawn[10:20, 30:70] = True
    cases = [
        (box(10, 5, 20, 10), (200, 0.04, 2, 60)),
        (box(10, 5, 20, 10, 90.0, "rotated_box"), (200, 0.04, 2, 60)),
        (box(10, 5, 20, 10, kind="keypoints"), (200, 0.04, 2, 60)),
        (polygon(SQUARE), (100, 0.02, 1, 40)),
        (polygon(SQUARE, INNER, holes=[1]), (96, 0.0192, 1, 48)),
        (polygon(SQUARE, INNER), (100, 0.02, 1, 48)),
        (polygon(SQUARE, [20, 0, 30, 0, 30, 10, 20, 10]), (200, 0.04, 3, 80)),
        (polygon([0, 0, 10, 10, 10, 0, 0, 10]), (50, 0.01, 1, 20 + 2 * math.sqrt(200))),
        (polygon([0, 0, 3, 4, 3, 9], kind="polyline"), (None, None, None, 10)),
        (polygon([3, 4], kind="point"), (None, None, None, None)),
        (mask(drawn), (400, 0.08, 4, 100)),
        ({"kind": "classification"}, (None, None, None, None)),
    ]
    found = measure(*[row for row, _ in cases])
    assert found.columns == list(GEOMETRY_METRICS)
    assert set(found.dtypes) == {pl.Float32}
    for (row, expected), got in zip(cases, found.iter_rows(), strict=True):
        for value, truth in zip(got[:4], expected, strict=True):
            assert value == (truth if truth is None else pytest.approx(truth, rel=1e-6)), row


@pytest.mark.parametrize(
    ("row", "closeness"),
    [
        (box(40, 20, 20, 10), 0.0),
        (box(0, 20, 20, 10), 1.0),
        (box(80, 20, 20, 10), 1.0),
        (box(40, -5, 20, 10), 1.0),
        (box(0, 20, 100, 10), 1.0),
        (box(-10, -10, 200, 200), 1.0),
        (box(300, 20, 10, 10), 1.0),
        (box(10, 20, 20, 10), 0.75),  # margins 10 and 70
        (box(40, 10, 20, 10), 0.5),  # margins 10 and 30
        (box(40, 5, 20, 40, 90.0, "rotated_box"), 0.0),
        (box(40, 0, 20, 50, 90.0, "rotated_box"), 0.0),  # turned away from the border
        (box(30, 15, 40, 20, 45.0, "rotated_box"), 0.0),
        (box(0, 15, 40, 20, 90.0, "rotated_box"), 0.75),  # turned it reaches from 10 to 30
        (polygon([30, 10, 50, 10, 50, 40, 30, 40]), 0.25),
        (polygon([25, 25], kind="point"), 0.5),
        (polygon([50, 25, 50, 50], kind="polyline"), 1.0),
    ],
)
def test_border_closeness(row: dict, closeness: float) -> None:
    assert one(row)["border_closeness"] == pytest.approx(closeness, abs=1e-6)


def test_turned_bounds_are_those_of_the_corners() -> None:
    rng = np.random.default_rng(0)
    n = 2000
    boxes = np.c_[rng.uniform(-50, 50, (n, 2)), rng.uniform(0, 60, (n, 2)), rng.uniform(-720, 720, n)]
    boxes[:200, 4] = rng.choice([0, 90, 180, 270, -90, 360], 200)
    theirs = np.array(
        [
            shapely.affinity.rotate(shapely.box(x, y, x + w, y + h), a, origin=(x + w / 2, y + h / 2)).bounds
            for x, y, w, h, a in boxes
        ]
    )
    labels = pl.DataFrame(boxes, schema=["x", "y", "w", "h", "angle"]).with_columns(kind=pl.lit("rotated_box"))
    assert np.abs(true_bounds(labels).to_numpy() - theirs).max() < 1e-9
    mixed = pl.concat([labels.select(pl.all()), labels.head(1).with_columns(kind=pl.lit("other"))])
    assert np.abs(true_bounds(mixed).to_numpy()[:-1] - theirs).max() < 1e-9
    assert true_bounds(mixed).row(-1) == (None,) * 4


def test_both_ways_to_measure_boxes_agree() -> None:
    """All-box frames take a shorter way than mixed ones."""
    rng = np.random.default_rng(1)
    rows = [box(*rng.uniform(-20, 60, 2), *rng.uniform(0, 60, 2), a) for a in [None, 0.0, 90.0, 13.0, -200.0] * 40]
    rows += [box(0, 0, 0, 5), box(0, 0, 5, 0), box(0, 0, -1, 5), box(0, math.nan, 1, 1), box(0, 0, 1, math.inf)]
    rows += [box(0, 0, 1, 1, math.nan), box(1e300, 0, 1, 1), {"kind": "box"}]
    plain, mixed = measure(*rows), measure(*rows, {"kind": "classification"})[:-1]
    assert plain.equals(mixed)
    assert plain["area"][-6:].null_count() == 6
    assert plain["aspect_ratio"][-8:].null_count() == 8
    assert plain["area"][-8] == 0


def test_polygons_are_measured_as_shapely_does() -> None:
    rng = np.random.default_rng(2)
    for k in range(400):
        rings = [rng.uniform(0, 100, (rng.integers(3, 20), 2)) for _ in range(rng.integers(1, 4))]
        hole = rng.uniform(20, 80, (5, 2)) if k % 2 else None
        parts = shapely.union_all([shapely.make_valid(shapely.Polygon(r)) for r in rings])
        if hole is not None:
            parts = parts.difference(shapely.make_valid(shapely.Polygon(hole)))
        row = polygon(*rings, *([] if hole is None else [hole]), holes=None if hole is None else [len(rings)])
        found = one(row)
        assert found["area"] == pytest.approx(parts.area, rel=1e-5, abs=1e-4)
        length = sum(shapely.LinearRing(r).length for r in [*rings, *([] if hole is None else [hole])])
        assert found["perimeter"] == pytest.approx(length, rel=1e-5)
        for ring in rings:
            assert is_simple(ring) == shapely.Polygon(ring).is_valid


def smallest_aspect(points: np.ndarray) -> float:
    """Try every side of shapely's hull; rectangles about a triangle are equal, the most upright counts."""
    corners = np.asarray(shapely.convex_hull(shapely.MultiPoint(points)).exterior.coords)
    found = []
    steps = np.diff(corners, axis=0)
    for u in steps / np.linalg.norm(steps, axis=1, keepdims=True):
        along, across = np.ptp(corners @ u), np.ptp(corners @ [-u[1], u[0]])
        found.append((along * across, min(abs(u)), along / across if abs(u[0]) >= abs(u[1]) else across / along))
    least = min(found)[0] * (1 + 1e-9)
    return min((tilt, aspect) for area, tilt, aspect in found if area <= least)[1]


def test_aspect_is_that_of_the_smallest_rectangle() -> None:
    rng = np.random.default_rng(3)
    for _ in range(500):
        points = rng.normal(size=(rng.integers(3, 60), 2)) * rng.uniform(0.1, 100, 2)
        assert upright_aspect(points) == pytest.approx(smallest_aspect(points), rel=1e-6)
    long = np.array([[0.0, 0], [40, 0], [40, 10], [0, 10]])
    for degrees, aspect in [(0, 4), (30, 4), (44, 4), (46, 0.25), (90, 0.25), (135.5, 4), (180, 4)]:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        assert one(polygon(long @ np.array([[c, s], [-s, c]])))["aspect_ratio"] == pytest.approx(aspect, rel=1e-5)


def test_aspect_and_outline_of_masks_are_those_of_their_pixels() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        h, w = rng.integers(1, 40, 2)
        drawn = rng.random((h, w)) < rng.choice([0.02, 0.5, 0.98])
        if not drawn.any():
            continue
        y, x = np.nonzero(drawn)
        corners = np.concatenate([np.c_[x + a, y + b] for a in (0, 1) for b in (0, 1)]).astype(float)
        bounds = true_bounds(frame(mask(drawn))).row(0)
        assert bounds == (x.min(), y.min(), x.max() + 1, y.max() + 1)
        ours, theirs = one(mask(drawn))["aspect_ratio"], smallest_aspect(corners)
        assert ours == pytest.approx(theirs, rel=1e-4) or ours == pytest.approx(1 / theirs, rel=1e-4)


def test_bad_geometry_is_null_and_never_a_crash() -> None:
    rows = [
        polygon([0, 0, math.nan, 1, 2, 2]),
        polygon([0, 0, math.inf, 1, 2, 2]),
        {"kind": "polygon", "points": [1.0, 2, 3]},
        {"kind": "polygon", "points": []},
        {"kind": "polygon"},
        {"kind": "polygon", "points": [0.0, 0, 1, 0, 1, 1], "rings": [3, 3]},
        {"kind": "polygon", "points": [0.0, 0, 1, 0, 1, 1], "rings": [3], "holes": [1]},
        {"kind": "mask", "rle": b"~~~", "mask_h": 5, "mask_w": 5},
        {"kind": "mask", "rle": b"0", "mask_h": 2**31 - 1, "mask_w": 2**31 - 1},
        {"kind": "mask", "rle": b"1", "mask_h": None, "mask_w": 5},
        {"kind": "mask", "rle": masks.encode(np.zeros((5, 5))), "mask_h": 5, "mask_w": 5},
        {"kind": "mask"},
        {"kind": "no such kind"},
        {"kind": None, "x": 1.0, "y": 1.0, "w": 1.0, "h": 1.0},
    ]
    assert measure(*rows).null_count().row(0) == (len(rows),) * 5
    two = one(polygon([1, 1, 4, 5]))
    assert (two["area"], two["perimeter"], two["aspect_ratio"]) == (0, 10, None)
    same = one(polygon([1, 1, 1, 1, 1, 1]))
    assert (same["area"], same["perimeter"], same["aspect_ratio"]) == (0, 0, None)


def test_unknown_sizes_wrong_frames_and_none_at_all() -> None:
    labels = frame(box(0, 0, 5, 5), box(1, 1, 5, 5), box(1, 1, 5, 5), box(1, 1, 5, 5))
    sizes = pl.DataFrame({"width": [None, 0.0, math.nan, 20.0], "height": [10.0] * 4})
    found = geometry_metrics(labels, sizes)
    assert found["area"].null_count() == 0
    assert found["relative_area"].is_null().to_list() == [True, True, True, False]
    assert found["border_closeness"].is_null().to_list() == [True, True, True, False]
    assert geometry_metrics(labels[:0], sizes[:0]).shape == (0, 5)
    assert true_bounds(labels[:0]).shape == (0, 4)
    with pytest.raises(ShapeError):
        geometry_metrics(labels, sizes[:1])
    with pytest.raises(InputError):
        geometry_metrics(labels.with_columns(points=pl.lit("a")).with_columns(kind=pl.lit("polygon")), sizes)


def test_giant_polygons_are_answered_in_time() -> None:
    """The sides of 20,000 random vertices cross a hundred million times: sampled, not solved."""
    points = np.random.default_rng(5).uniform(0, 100, (20_000, 2))
    assert one(polygon(points))["area"] == pytest.approx(5000, rel=0.05)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=3, max_size=12))
def test_rings_on_a_grid_follow_the_even_odd_rule(vertices: list) -> None:
    """Sides that lie on each other, repeated vertices, spikes: where overlays go wrong."""
    ring = np.array(vertices, float)
    xs = (np.arange(8 * 16) + 0.5) / 16
    x, y = (a.ravel() for a in np.meshgrid(xs + 1e-4, xs + 2e-4))
    inside = np.zeros(len(x), bool)
    for (ax, ay), (bx, by) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if ax != bx:
            across = (ax <= x) != (bx <= x)
            inside ^= across & (ay + (x - ax) / (bx - ax) * (by - ay) < y)
    ours = covered_area(ring, np.array([len(ring)]), np.array([0]), np.zeros(1, bool), 1)
    assert ours == pytest.approx(inside.mean() * 64, abs=1.5)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.1, 1e3), st.floats(0.1, 1e3), st.floats(-720, 720))
def test_a_turned_box_is_the_polygon_of_its_corners(x, y, w, h, angle) -> None:
    corners = corners_of_all(np.array([[x, y, w, h, angle]]))
    size = (5000.0, 5000.0)
    a, b = one(box(x, y, w, h, angle, "rotated_box"), size), one(polygon(corners), size)
    for name in ("area", "relative_area", "perimeter"):
        assert a[name] == pytest.approx(b[name], rel=1e-4)
    assert a["border_closeness"] == pytest.approx(b["border_closeness"], abs=1e-4)
