"""Metrics along tracks keep to their definitions whatever the order and the number of rows."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

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
