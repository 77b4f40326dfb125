"""Metrics along tracks keep to their definitions whatever the order and the number of rows."""

from __future__ import annotations

import time
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encord_active_widgets.metrics import tracks
from encord_active_widgets.metrics.tracks import sequence_metrics, track_metrics

SCHEMA = {
    "item_id": pl.String,
    "group": pl.String,
    "frame": pl.Int32,
    "class_name": pl.String,
    "track_id": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
    "w": pl.Float64,
    "h": pl.Float64,
    "angle": pl.Float64,
    "area": pl.Float64,
}


def frame(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_row_index("row")


def track(
    sizes: list[tuple[float, float]],
    *,
    angle: list[float | None] | None = None,
    track_id: str | None = "t",
    group: str = "v",
) -> list[tuple[object, ...]]:
    return [
        (f"{group}{i}", group, i, "car", track_id, 10.0, 10.0, w, h, None if angle is None else angle[i], w * h)
        for i, (w, h) in enumerate(sizes)
    ]


def test_a_shrinking_track_changes_and_a_constant_one_does_not() -> None:
    slow = track_metrics(frame(track([(40 * 0.9**i, 20 * 0.9**i) for i in range(12)])))["shape_change"]
    steady = track_metrics(frame(track([(40, 20)] * 12)))["shape_change"]
    assert steady.max() == 0
    assert slow[-1] > 0.5
    assert slow[1:].min() > 0.15


def test_a_turn_is_no_change_of_shape() -> None:
    turning = track_metrics(frame(track([(40, 20)] * 4 + [(20, 40)] * 2, angle=[0, 30, 60, 80, 90, 95])))
    assert turning["shape_change"].max() == pytest.approx(0)
    stretched = track_metrics(frame(track([(40, 20)] * 4 + [(20, 40)] * 2)))
    assert stretched["shape_change"][4] > 0.3


def test_no_track_and_no_video_mean_no_answer() -> None:
    loose = track_metrics(frame(track([(40, 20)] * 3, track_id=None)))
    assert loose.drop("row", "broken_track").null_count().sum_horizontal()[0] == 12
    lone = track_metrics(frame(track([(40, 20)])))
    assert lone["occlusion_risk"][0] is None
    no_video = frame(track([(40, 20)] * 3)).with_columns(pl.lit(None, dtype=pl.String).alias("group"))
    assert track_metrics(no_video).drop("row").null_count().sum_horizontal()[0] == 15
    assert track_metrics(frame([])).height == 0
    assert sequence_metrics(frame([]).select("item_id", "group", "frame"), frame([])).height == 0


def test_a_track_that_goes_on_under_a_new_name_is_broken_there() -> None:
    rows = track([(40, 20)] * 10)
    rows = [(*r[:4], "t" if r[2] < 6 else "u", *r[5:]) for r in rows if r[2] != 6]
    found = track_metrics(frame(rows))
    assert found.filter(pl.col("broken_track") > 0)["row"].to_list() == [6]
    assert found["broken_track"][6] == pytest.approx(1)


def test_boxes_without_tracks_are_missed_on_the_frame_between() -> None:
    rows = [r for r in track([(40, 20)] * 7, track_id=None) if r[2] != 3]
    objects = frame(rows)
    items = pl.DataFrame(
        {"item_id": [f"v{i}" for i in range(7)], "group": "v", "frame": pl.Series(range(7), dtype=pl.Int32)}
    )
    assert sequence_metrics(items, objects)["missing_objects"].to_list() == [0, 0, 0, 1, 0, 0, 0]


def test_the_order_of_rows_changes_nothing_and_many_rows_take_seconds() -> None:
    rng = np.random.default_rng(0)
    n = 200_000
    objects = pl.DataFrame(
        {
            "row": np.arange(n, dtype=np.uint32),
            "item_id": [f"i{k // 20}" for k in range(n)],
            "group": [f"v{k // 2000}" for k in range(n)],
            "frame": (np.arange(n) // 20 % 100).astype(np.int32),
            "class_name": rng.choice(["a", "b"], n),
            "track_id": [f"t{k % 20}" for k in range(n)],
            "x": rng.uniform(0, 900, n),
            "y": rng.uniform(0, 900, n),
            "w": rng.uniform(5, 90, n),
            "h": rng.uniform(5, 90, n),
            "angle": np.zeros(n),
            "area": rng.uniform(20, 900, n),
        }
    )
    start = time.perf_counter()
    found = track_metrics(objects)
    assert time.perf_counter() - start < 20
    shuffled = track_metrics(objects.sample(fraction=1, shuffle=True, seed=1)).sort("row")
    assert shuffled.equals(found)


def moving(name: str, path: list[tuple[float, float]], **more: object) -> list[tuple[object, ...]]:
    """Draw a track of 40 x 20 boxes at places, one a frame."""
    kind, first = more.get("kind", "car"), int(str(more.get("first", 0)))
    return [
        (f"v{i}", "v", i, kind, name, float(x), float(y), 40.0, 20.0, None, 800.0)
        for i, (x, y) in enumerate(path, start=first)
    ]


def swapped(rows: list[tuple[object, ...]]) -> list[tuple[object, object]]:
    found = frame(rows).join(track_metrics(frame(rows)), on="row")
    chosen = found.filter(pl.col("inconsistent_track") > 0)
    return chosen.select("frame", "track_id").sort("frame", "track_id").rows()


def test_traffic_is_no_swap_of_ids() -> None:
    queue = [row for k in range(5) for row in moving(f"t{k}", [(40 * (k + i), 0) for i in range(8)])]
    assert swapped(queue) == []  # each car stands where the one before it stood
    crossing = moving("a", [(8 * i, 0) for i in range(20)]) + moving("b", [(152 - 8 * i, 0) for i in range(20)])
    assert swapped(crossing) == []
    newcomer = moving("a", [(2 * i, 0) for i in range(10)]) + moving("b", [(10, 4)] * 5, first=5)
    assert swapped(newcomer) == []
    twice = moving("a", [(2 * i, 0) for i in range(10)]) + moving("b", [(2 * i, 0) for i in range(10)])
    assert swapped(twice) == []


def test_ids_that_change_places_are_found_at_the_change_alone() -> None:
    a, b = [(3 * i, 0) for i in range(12)], [(150 - 3 * i, 60) for i in range(12)]
    for_good = moving("a", a[:6] + b[6:]) + moving("b", b[:6] + a[6:])
    assert swapped(for_good) == [(6, "a"), (6, "b")]
    once = moving("a", [*a[:6], b[6], *a[7:]]) + moving("b", [*b[:6], a[6], *b[7:]])
    assert swapped(once) == [(6, "a"), (6, "b"), (7, "a"), (7, "b")]
    over_a_class = moving("a", a[:6] + b[6:]) + moving("b", b[:6] + a[6:], kind="bus")
    assert swapped(over_a_class) == []


def test_turned_boxes_are_matched_where_they_lie() -> None:
    # Both rows draw the same rectangle: 40 x 20, upright and by its other side.
    there, same = ("car", None, 10.0, 20.0, 40.0, 20.0, 0.0, 800.0), ("car", None, 20.0, 10.0, 20.0, 40.0, 90.0, 800.0)
    rows = [(f"v{i}", "v", i, *(same if i == 3 else there)) for i in range(6)]
    items = frame(rows).select("item_id", "group", "frame")
    assert sequence_metrics(items, frame(rows))["missing_objects"].sum() == 0
    stopped = [(f"v{i}", "v", i, "car", f"t{i // 3}", *(same if i > 2 else there)[2:]) for i in range(6)]
    assert track_metrics(frame(stopped))["broken_track"].to_list() == pytest.approx([0, 0, 0, 1, 0, 0])


def test_lines_without_area_have_a_shape() -> None:
    lines = frame(track([(40, 0)] * 3 + [(20, 0)]))
    found = track_metrics(lines)
    assert found["shape_change"].to_list() == pytest.approx([0, 0, 0, 0.5])
    assert not found.select(pl.col("shape_change", "broken_track", "inconsistent_track").is_nan().any()).row(0)[0]


def test_one_missing_object_is_counted_once_and_long_gaps_are_not() -> None:
    items = pl.DataFrame({"item_id": [f"v{i}" for i in range(20)], "group": "v"}).with_columns(
        pl.int_range(20, dtype=pl.Int32).alias("frame")
    )
    drawn_twice = [r for r in track([(40, 20)] * 7, track_id=None) if r[2] != 3] * 2
    assert sequence_metrics(items, frame(drawn_twice))["missing_objects"][3] == 1
    away = [r for r in track([(40, 20)] * 20) if not 4 <= int(str(r[2])) < 9]
    assert sequence_metrics(items, frame(away))["missing_objects"].to_list() == [0] * 4 + [1] * 5 + [0] * 11
    long_away = [r for r in track([(40, 20)] * 20) if not 4 <= int(str(r[2])) < 10]
    assert sequence_metrics(items, frame(long_away))["missing_objects"].sum() == 0


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.5]), st.sampled_from([3, 1 << 20]))
def test_pairs_are_those_of_comparing_all(seed: int, least: float, at_once: int) -> None:
    rng = np.random.default_rng(seed)
    sides = []
    for n in rng.integers(0, 60, 2):
        boxes = rng.uniform([0, 0, 10, 10], [20, 20, 40, 40], (n, 4)) * rng.choice([1] * 8 + [1e-3, 0], (n, 4))
        boxes[rng.random(n) < 0.1, 0] = np.nan
        columns = {"left": boxes[:, 0], "top": boxes[:, 1], "wide": boxes[:, 2], "high": boxes[:, 3]}
        sides.append(pl.DataFrame({**columns, "g": rng.integers(0, 2, n), "at": rng.integers(0, 3, n)}))
    with mock.patch.object(tracks, "PAIRS_AT_ONCE", at_once):
        i, j, iou = tracks._pairs(*sides, ["g", "at"], least)
    found = {(int(p), int(q)): v for p, q, v in zip(i, j, iou, strict=True)}
    expected = {}
    for p, a in enumerate(sides[0].rows()):
        for q, b in enumerate(sides[1].rows()):
            wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
            high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
            if a[4:] == b[4:] and np.isfinite([*a, *b]).all() and min(a[2], a[3], b[2], b[3], wide, high) > 0:
                expected[p, q] = wide * high / (a[2] * a[3] + b[2] * b[3] - wide * high)
    assert found == pytest.approx({k: v for k, v in expected.items() if v >= least})
