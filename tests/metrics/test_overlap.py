"""What a user would lose: a duplicate missed, or one invented; a crowded image called empty."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encord_active_widgets.errors import InputError, ShapeError
from encord_active_widgets.metrics import masks
from encord_active_widgets.metrics.overlap import box_iou, label_overlaps, object_density, rotated_iou

shapely = pytest.importorskip("shapely")

SCHEMA = {
    "kind": pl.String,
    "class_name": pl.String,
    **dict.fromkeys(("x", "y", "w", "h", "angle"), pl.Float64),
    "points": pl.List(pl.Float64),
    "rings": pl.List(pl.UInt32),
    "holes": pl.List(pl.UInt32),
    "rle": pl.Binary,
    "mask_h": pl.Int32,
    "mask_w": pl.Int32,
    "item": pl.UInt32,
}


def frame(*rows: dict) -> pl.DataFrame:
    filled = [{"class_name": "a", "item": 0, **row} for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in SCHEMA} for row in filled], schema=SCHEMA, strict=False)


def box(x: float, y: float, w: float, h: float, name: str = "a", item: int = 0, **more) -> dict:
    return {"kind": "box", "x": x, "y": y, "w": w, "h": h, "class_name": name, "item": item, **more}


def mask(image: np.ndarray) -> dict:
    return {"kind": "mask", "rle": masks.encode(image), "mask_h": image.shape[0], "mask_w": image.shape[1]}


def polygon(*rings, holes: list | None = None) -> dict:
    flat = [float(v) for ring in rings for v in np.asarray(ring, float).ravel()]
    return {"kind": "polygon", "points": flat, "rings": [np.asarray(r).size // 2 for r in rings], "holes": holes}


def as_shapely(boxes: np.ndarray):
    angle = np.radians(boxes[:, 4])
    c, s = np.cos(angle), np.sin(angle)
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    u, v = corner[:, 0] * boxes[:, 2:3], corner[:, 1] * boxes[:, 3:4]
    x = boxes[:, :1] + boxes[:, 2:3] / 2 + u * c[:, None] - v * s[:, None]
    y = boxes[:, 1:2] + boxes[:, 3:4] / 2 + u * s[:, None] + v * c[:, None]
    return shapely.polygons(np.stack([x, y], axis=-1))


def turned_pairs(n: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)

    def some() -> np.ndarray:
        sides = np.exp(rng.uniform(-4, 5, (n, 2)))
        angle = np.where(rng.random(n) < 0.3, rng.choice([0, 90, 180, 270, -90, 45, 360], n), rng.uniform(-400, 400, n))
        return np.c_[rng.uniform(0, 60, (n, 2)) - sides / 2, sides, angle]

    a, b = some(), some()
    part = n // 10
    b[:part] = a[:part]  # the same
    b[part : 2 * part] = a[part : 2 * part] + np.array([0, 0, 0, 0, 180])  # the same, turned over
    inner = slice(2 * part, 3 * part)  # contained
    b[inner] = a[inner]
    b[inner, :2] += a[inner, 2:4] / 4
    b[inner, 2:4] /= 2
    beside = slice(3 * part, 4 * part)  # touching along a side
    a[beside, 4] = 0
    b[beside] = a[beside]
    b[beside, 0] += a[beside, 2]
    b[4 * part : 5 * part, :2] = a[4 * part : 5 * part, :2]
    return a, b


def test_turned_boxes_overlap_as_shapely_says() -> None:
    a, b = turned_pairs()
    first, second = as_shapely(a), as_shapely(b)
    both = shapely.area(shapely.intersection(first, second))
    theirs = both / (shapely.area(first) + shapely.area(second) - both)
    theirs[: len(a) // 5] = 1.0  # GEOS calls a few boxes and themselves, turned over, disjoint
    assert np.abs(rotated_iou(a, b) - theirs).max() < 1e-6
    assert (theirs > 0).mean() > 0.4
    straight = shapely.box(a[:, 0], a[:, 1], a[:, 0] + a[:, 2], a[:, 1] + a[:, 3])
    other = shapely.box(b[:, 0], b[:, 1], b[:, 0] + b[:, 2], b[:, 1] + b[:, 3])
    both = shapely.area(shapely.intersection(straight, other))
    theirs = both / (shapely.area(straight) + shapely.area(other) - both)
    assert np.abs(box_iou(a[:, :4], b[:, :4]) - theirs).max() < 1e-6


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=10, max_size=10))
def test_overlap_is_symmetric_and_bounded(v: list) -> None:
    a = np.array([[v[0], v[1], abs(v[2]), abs(v[3]), v[4] * 10]])
    b = np.array([[v[5], v[6], abs(v[7]), abs(v[8]), v[9] * 10]])
    forth, back = rotated_iou(a, b)[0], rotated_iou(b, a)[0]
    assert 0 <= forth <= 1
    assert forth == pytest.approx(back, abs=1e-6)


def loop(labels: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    boxes, names, items = labels.select("x", "y", "w", "h").to_numpy(), labels["class_name"].to_numpy(), labels["item"]
    same, other = np.zeros(len(labels)), np.zeros(len(labels))
    for item in items.unique():
        rows = np.flatnonzero((items == item).to_numpy())
        for i in rows:
            for j in rows[rows != i]:
                into = same if names[i] == names[j] else other
                into[i] = max(into[i], box_iou(boxes[[i]], boxes[[j]])[0])
    return same, other


def test_highest_overlaps_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    rows = [
        box(*rng.uniform(0, 50, 2), *rng.uniform(1, 40, 2), str(rng.integers(3)), int(item))
        for item in [*rng.integers(0, 40, 150), *[99] * 60]  # one crowded image
    ]
    labels = frame(*rows)
    found = label_overlaps(labels)
    same, other = loop(labels)
    assert found["max_iou_same_class"].to_numpy() == pytest.approx(same, abs=1e-6)
    assert found["max_iou_other_class"].to_numpy() == pytest.approx(other, abs=1e-6)
    assert (found["duplicate_group"].is_not_null() == (found["max_iou_same_class"] >= 0.8)).all()
    coded = labels.drop("class_name").with_columns(class_code=labels["class_name"].cast(pl.Int32))
    assert label_overlaps(coded).equals(found)


def test_three_stacked_boxes_are_one_group_and_other_classes_none() -> None:
    found = label_overlaps(
        frame(
            box(500, 0, 5, 5),
            box(0, 0, 10, 10),
            box(0, 0, 10, 10, "b"),
            box(1, 0, 10, 10),
            box(2, 0, 10, 10),  # 0.82 with the one before, 0.67 with the first
            box(0, 0, 10, 10, item=7),
            box(0, 0, 10, 10, item=7),
            box(0, 0, 10, 10, "", item=8),
        ).with_columns(class_name=pl.when(pl.col("class_name") != "").then("class_name"))
    )
    assert found["duplicate_group"].to_list() == [None, 0, None, 0, 0, 1, 1, None]
    assert found["max_iou_other_class"].to_list()[:3] == [0.0, 1.0, 1.0]
    assert found.row(0) == (0.0, 0.0, None)
    assert found.schema == {
        "max_iou_same_class": pl.Float32,
        "max_iou_other_class": pl.Float32,
        "duplicate_group": pl.Int64,
    }


def test_the_order_of_rows_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    labels = frame(*[box(*rng.uniform(0, 20, 2), 15, 15, "a", int(i)) for i in rng.integers(0, 30, 300)])
    order = rng.permutation(300)
    found, mixed = label_overlaps(labels), label_overlaps(labels[order])
    assert mixed.drop("duplicate_group").equals(found.drop("duplicate_group")[order])
    pairs = found["duplicate_group"].to_numpy()[order][:, None] == found["duplicate_group"].to_numpy()[order]
    again = mixed["duplicate_group"].to_numpy()
    assert (pairs == (again[:, None] == again)).all()


def test_pairs_of_all_kinds() -> None:
    square = np.array([[10, 10], [30, 10], [30, 30], [10, 30]])
    drawn = np.zeros((50, 60), bool)
    drawn[10:30, 10:30] = True
    padded = np.zeros((70, 60), bool)
    padded[10:30, 10:30] = True
    kinds = [
        box(10, 10, 20, 20),
        box(10, 10, 20, 20) | {"kind": "rotated_box", "angle": 90.0},
        box(10, 10, 20, 20) | {"kind": "rotated_box", "angle": 90.0 + 1e-9},
        polygon(square),
        polygon([10, 10, 30, 10, 30, 20, 10, 20], [30, 30, 10, 30, 10, 20, 30, 20]),
        mask(drawn),
        mask(padded),
    ]
    for a in kinds:
        for b in kinds:
            assert label_overlaps(frame(a, b))["max_iou_same_class"].to_list() == pytest.approx([1, 1], abs=1e-6)
        found = label_overlaps(frame(a, box(20, 10, 20, 20)))
        assert found["max_iou_same_class"].to_list() == pytest.approx([1 / 3] * 2, abs=1e-6)
    hollow = polygon(square, square / 2 + 10, holes=[1])  # 100 of 400 gone
    for other in (kinds[0], kinds[5]):
        assert label_overlaps(frame(hollow, other))["max_iou_same_class"][0] == pytest.approx(0.75)


def test_what_covers_nothing_overlaps_nothing() -> None:
    pose = box(0, 0, 10, 10) | {"kind": "keypoints"}
    line = {"kind": "polyline", "points": [0.0, 0, 10, 10]}
    rows = frame(box(0, 0, 10, 10), pose, line, {"kind": "point", "points": [1.0, 1]}, {"kind": "classification"})
    found = label_overlaps(rows)
    assert found["max_iou_same_class"].to_list() == [0, 0, None, None, None]
    assert label_overlaps(frame(pose, pose))["duplicate_group"].to_list() == [0, 0]
    bad = [box(0, 0, math.nan, 1), box(0, 0, 0, 0), box(0, 0, 0, 0), polygon([1, 1, 2, 2]), polygon([1, 1, 2, 2])]
    assert label_overlaps(frame(*bad))["max_iou_same_class"].to_list() == [None, 0, 0, 0, 0]
    assert label_overlaps(rows[:0]).shape == (0, 3)


def test_polygons_overlap_as_shapely_says() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        rings = [rng.uniform(0, 100, (rng.integers(3, 12), 2)) for _ in range(2)]
        a, b = (shapely.make_valid(shapely.Polygon(r)) for r in rings)
        both = a.intersection(b).area
        found = label_overlaps(frame(*[polygon(r) for r in rings]))
        assert found["max_iou_same_class"][0] == pytest.approx(both / (a.area + b.area - both), abs=1e-5)


def test_wrong_arguments() -> None:
    labels = frame(box(0, 0, 1, 1))
    for threshold in (0, -1, 1.1, math.nan):
        with pytest.raises(InputError):
            label_overlaps(labels, threshold)
    with pytest.raises(InputError, match="item"):
        label_overlaps(labels.drop("item"))
    with pytest.raises(ShapeError):
        box_iou(np.zeros((2, 4)), np.zeros((3, 4)))
    with pytest.raises(ShapeError):
        rotated_iou(np.zeros((2, 4)), np.zeros((2, 4)))
    with pytest.raises(InputError):
        box_iou([[0, 0, math.nan, 1]], [[0, 0, 1, 1]])
    sizes = pl.DataFrame({"width": [10], "height": [10]})
    for item in ([1], [-1], [0.5]):
        with pytest.raises(InputError):
            object_density(labels, sizes, item)
    with pytest.raises(ShapeError):
        object_density(labels, sizes, [0, 0])


def test_density_counts_overlaps_once_and_only_inside() -> None:
    sizes = pl.DataFrame({"width": [100, 100, None, 100, 100], "height": [50] * 5})
    rows = [
        (0, box(0, 0, 20, 10)),
        (0, box(10, 0, 20, 10)),
        (1, box(90, -5, 20, 10)),
        (2, box(0, 0, 5, 5)),
        (4, {"kind": "point", "points": [1.0, 1]}),
    ]
    found = object_density(frame(*[r for _, r in rows]), sizes, [i for i, _ in rows])
    assert found.to_list() == pytest.approx([0.06, 0.01, None, 0, 0])
    assert (found.name, found.dtype) == ("object_density", pl.Float32)
    assert object_density(frame(*[r for _, r in rows])[:0], sizes, np.empty(0, np.int64)).to_list() == [
        0,
        0,
        None,
        0,
        0,
    ]


def test_density_of_boxes_turned_boxes_polygons_and_masks() -> None:
    rng = np.random.default_rng(4)
    frame_ = shapely.box(0, 0, 100, 50)
    sizes = pl.DataFrame({"width": [100], "height": [50]})
    for k in range(150):
        n = rng.integers(1, 12)
        boxes = np.c_[
            rng.uniform(-20, 100, n), rng.uniform(-20, 50, n), rng.uniform(1, 40, (n, 2)), rng.uniform(0, 360, n)
        ]
        if k % 2:
            boxes[:, 4] = 0
        shapes = list(as_shapely(boxes))
        rows = [box(*b[:4]) | {"kind": "rotated_box", "angle": float(b[4])} for b in boxes]
        if k % 3 == 0:
            ring = rng.uniform(-10, 110, (6, 2))
            shapes.append(shapely.make_valid(shapely.Polygon(ring)))
            rows.append(polygon(ring))
        tolerance = 1e-6
        if k % 5 == 0:
            drawn = np.zeros((50, 100), bool)
            drawn[10:20, 30:60] = True
            shapes.append(shapely.box(30, 10, 60, 20))
            rows.append(mask(drawn))
            tolerance = 0.01
        truth = shapely.union_all(shapes).intersection(frame_).area / 5000
        assert object_density(frame(*rows), sizes, [0] * len(rows))[0] == pytest.approx(truth, abs=tolerance)
