"""Objects along the frames of a video: what is missing, broken, swapped, covered or changed.

Only rows with a video (`group`) and a `frame` take part; nothing is compared across videos.
"Neighbouring" frames are consecutive frames that are there, whatever their numbers.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

F64 = NDArray[np.float64]

WINDOW_FRAMES = 5
"""How far before and after an object's own frame its track is looked at."""
MATCH_IOU = 0.5
"""Overlap from which boxes of neighbouring frames are taken for one object."""
SEEN_IOU = 0.3
"""Overlap from which a box on a frame explains one that is expected there."""

_KEYS = ["group", "frame"]
_TRACK_METRICS = ("occlusion_risk", "shape_change", "broken_track", "inconsistent_class", "inconsistent_track")


def track_metrics(objects: pl.DataFrame, items: pl.DataFrame | None = None) -> pl.DataFrame:
    r"""Compare each object with the rest of its track and with the frame before.

    Parameters
    ----------
    objects : pl.DataFrame
        `row`, `item_id`, `group`, `frame`, `class_name`, `track_id`, `x`, `y`, `w`, `h` (px),
        `angle` (degrees, null = 0), `area` (px²); one row an object.
    items : pl.DataFrame, optional
        `group` and `frame` of every frame, so that those without any object count as gaps.

    Returns
    -------
    pl.DataFrame
        `row` and five Float32 columns, null where they have no meaning:

        - `occlusion_risk` = max(0, 1 - area / median area of the track within five frames, itself left out);
        - `shape_change` = 1 - min(IoU with the appearance before, IoU with the track's median sides), both
          of the object's own rectangle, centres and rotation taken out (where a track has turned boxes, which
          side is called the width does not matter): a slow change is seen by the second;
        - `broken_track` = IoU with the end of another track of the same class that stopped up to five frames
          before, at the first object of a track; 1 - 1 / (gap + 1) where the track itself left out frames;
        - `inconsistent_class` = 1 - share of the track's objects that have this class;
        - `inconsistent_track` = IoU (from 0.5) with the best match of the same class on the frame before,
          where that match has another track that goes on elsewhere, or this object's own track was elsewhere.
    """
    plain = objects.with_columns(
        pl.col("angle").cast(pl.Float64).fill_null(0.0),
        pl.col("area").cast(pl.Float64),
        pl.col("track_id").cast(pl.String),
    )
    frames = _frames(objects if items is None else items)
    placed = plain.join(frames, on=_KEYS, how="inner", maintain_order="left")
    tracked = placed.filter(pl.col("track_id").is_not_null()).sort("group", "track_id", "at", "row")
    along = _along(tracked)
    out = objects.select("row").join(along, on="row", how="left", maintain_order="left")
    swaps = _swaps(placed.filter(pl.col("track_id").is_not_null()))
    out = out.join(swaps, on="row", how="left", maintain_order="left").join(
        tracked.select("row", pl.lit(value=True).alias("tracked")), on="row", how="left", maintain_order="left"
    )
    zero = pl.when(pl.col("tracked")).then(pl.col("inconsistent_track").fill_null(0.0))
    return out.with_columns(zero.alias("inconsistent_track")).select(
        "row", *(pl.col(c).cast(pl.Float32) for c in _TRACK_METRICS)
    )


def _frames(items: pl.DataFrame) -> pl.DataFrame:
    """Return the frames of each video, numbered from 0: `group`, `frame`, `at`."""
    frames = items.select(_KEYS).drop_nulls().unique()
    return frames.with_columns((pl.col("frame").rank("dense").over("group").cast(pl.Int64) - 1).alias("at"))


def _along(tracked: pl.DataFrame) -> pl.DataFrame:
    """Compute what needs only the objects of one track, and the ends of others."""
    over = ["group", "track_id"]
    turned = (pl.col("angle") != 0).any().over(over)
    own = tracked.with_columns(
        pl.when(turned).then(pl.max_horizontal("w", "h")).otherwise(pl.col("w")).alias("own_w"),
        pl.when(turned).then(pl.min_horizontal("w", "h")).otherwise(pl.col("h")).alias("own_h"),
    )
    own = own.with_columns(
        _same_centre("own_w", "own_h", pl.col("own_w").shift(1).over(over), pl.col("own_h").shift(1).over(over)).alias(
            "step"
        ),
        _same_centre("own_w", "own_h", pl.col("own_w").median().over(over), pl.col("own_h").median().over(over)).alias(
            "usual"
        ),
        (pl.col("frame") - pl.col("frame").shift(1).over(over)).alias("gap"),
        (pl.col("at") - pl.col("at").shift(1).over(over)).alias("skipped"),
        pl.len().over(over).alias("n"),
        (1 - pl.len().over([*over, "class_name"]) / pl.len().over(over)).alias("inconsistent_class"),
    )
    first = pl.col("step").is_null()
    change = (
        pl.when(pl.col("n") == 1).then(None).when(first).then(0.0).otherwise(1 - pl.min_horizontal("step", "usual"))
    )
    resumed = pl.when(pl.col("skipped") > 1).then(1 - 1 / pl.col("skipped"))
    own = own.with_columns(change.alias("shape_change"), resumed.alias("resumed"), first.alias("first"))
    own = own.join(_occlusion(own), on="row", how="left", maintain_order="left")
    own = own.join(_taken_over(own), on="row", how="left", maintain_order="left")
    broken = pl.max_horizontal("resumed", "taken_over").fill_null(0.0)
    return own.select("row", "occlusion_risk", "shape_change", broken.alias("broken_track"), "inconsistent_class")


def _same_centre(w: str, h: str, other_w: pl.Expr, other_h: pl.Expr) -> pl.Expr:
    """Return the IoU of two rectangles laid on one centre."""
    common = pl.min_horizontal(pl.col(w), other_w) * pl.min_horizontal(pl.col(h), other_h)
    union = pl.col(w) * pl.col(h) + other_w * other_h - common
    return pl.when(other_w.is_not_null()).then(common / union)


def _occlusion(own: pl.DataFrame) -> pl.DataFrame:
    """Compare each area with the median of the track's areas around, its own left out."""
    over = ["group", "track_id"]
    around = [k for k in range(-WINDOW_FRAMES, WINDOW_FRAMES + 1) if k]
    near = [
        pl.when((pl.col("at").shift(k).over(over) - pl.col("at")).abs() <= WINDOW_FRAMES)
        .then(pl.col("area").shift(k).over(over))
        .alias(f"a{k}")
        for k in around
    ]
    areas = own.select("row", "area", *near)
    table = areas.select(f"a{k}" for k in around).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = np.isfinite(table).any(axis=1)
    median = np.full(len(table), np.nan)
    if known.any():
        median[known] = np.nanmedian(table[known], axis=1)
    area = areas["area"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        risk = np.maximum(0.0, 1 - area / median)
    return pl.DataFrame({"row": areas["row"], "occlusion_risk": risk}).with_columns(
        pl.col("occlusion_risk").fill_nan(None)
    )


def _taken_over(own: pl.DataFrame) -> pl.DataFrame:
    """Find tracks that begin where another of the same class stopped a few frames before."""
    starts = own.filter("first", pl.col("at") > 0).select(
        "row", "group", "class_name", "track_id", "at", "x", "y", "w", "h"
    )
    over = ["group", "track_id"]
    last = pl.col("at") == pl.col("at").max().over(over)
    ends = own.filter(last).select("group", "class_name", "track_id", "at", "x", "y", "w", "h")
    pairs = starts.join(ends, on=["group", "class_name"], how="inner", suffix="_before").filter(
        pl.col("at_before") < pl.col("at"),
        pl.col("at") - pl.col("at_before") <= WINDOW_FRAMES,
        pl.col("track_id") != pl.col("track_id_before"),
    )
    iou = pairs.with_columns(_iou(pairs, "_before").alias("iou")).filter(pl.col("iou") >= MATCH_IOU)
    return iou.group_by("row").agg(pl.col("iou").max().alias("taken_over"))


def _iou(pairs: pl.DataFrame, suffix: str) -> pl.Series:
    """Return the IoU of each pair of axis-aligned boxes."""
    a = pairs.select("x", "y", "w", "h").to_numpy().astype(np.float64)
    b = pairs.select(f"{c}{suffix}" for c in "xywh").to_numpy().astype(np.float64)
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    union = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - common
    return pl.Series(np.divide(common, union, out=np.zeros(len(a)), where=union > 0))


def _swaps(tracked: pl.DataFrame) -> pl.DataFrame:
    """Find objects that lie where another track was on the frame before, while both tracks go on."""
    columns = ["group", "class_name", "track_id", "at", "x", "y", "w", "h"]
    now = tracked.select("row", *columns)
    before = tracked.select(columns).with_columns(pl.col("at") + 1)
    pairs = now.join(before, on=["group", "class_name", "at"], how="inner", suffix="_before")
    pairs = pairs.with_columns(_iou(pairs, "_before").alias("iou")).filter(pl.col("iou") >= MATCH_IOU)
    best = pairs.sort("row", "iou", descending=[False, True]).unique("row", keep="first", maintain_order=True)
    other = best.filter(pl.col("track_id") != pl.col("track_id_before"))
    # The other track goes on elsewhere on this frame, or this one was elsewhere on the frame before.
    there = tracked.select("group", "track_id", "at").unique().with_columns(pl.lit(value=True).alias("there"))
    goes_on = there.rename({"track_id": "track_id_before", "there": "goes_on"})
    was = there.with_columns(pl.col("at") + 1).rename({"there": "was"})
    found = other.join(goes_on, on=["group", "track_id_before", "at"], how="left").join(
        was, on=["group", "track_id", "at"], how="left"
    )
    sure = pl.col("goes_on").fill_null(value=False) | pl.col("was").fill_null(value=False)
    return found.filter(sure).select("row", pl.col("iou").alias("inconsistent_track"))


def sequence_metrics(items: pl.DataFrame, objects: pl.DataFrame) -> pl.DataFrame:
    """Count, for each frame, the objects that are on frames before and after but not on it.

    Parameters
    ----------
    items : pl.DataFrame
        `item_id`, `group`, `frame` of every frame, also of those without objects.
    objects : pl.DataFrame
        As for `track_metrics`.

    Returns
    -------
    pl.DataFrame
        `item_id` and `missing_objects` (Float32; null for items that belong to no video). Tracks
        count where they leave out up to five frames; objects without a track where the frame before
        and the frame after have boxes of one class that overlap by half, and nothing of it is here.
    """
    numbers = _frames(items)
    frames = items.join(numbers, on=_KEYS, how="inner", maintain_order="left")
    placed = objects.join(numbers, on=_KEYS, how="inner", maintain_order="left").with_columns(
        pl.col("track_id").cast(pl.String)
    )
    gaps = pl.concat([_track_gaps(placed), _box_gaps(placed)])
    counts = gaps.group_by("group", "at").agg(pl.len().cast(pl.Float32).alias("missing_objects"))
    counted = frames.join(counts, on=["group", "at"], how="left").with_columns(pl.col("missing_objects").fill_null(0.0))
    return items.select("item_id").join(
        counted.select("item_id", "missing_objects").unique("item_id"), on="item_id", how="left", maintain_order="left"
    )


def _track_gaps(placed: pl.DataFrame) -> pl.DataFrame:
    """List the frames that tracks leave out: `group`, `at`."""
    tracks = placed.filter(pl.col("track_id").is_not_null()).select("group", "track_id", "at").unique()
    tracks = tracks.sort("group", "track_id", "at").with_columns(
        pl.col("at").shift(1).over("group", "track_id").alias("before")
    )
    holes = tracks.filter(pl.col("at") - pl.col("before") > 1, pl.col("at") - pl.col("before") <= WINDOW_FRAMES + 1)
    spans = holes.select("group", pl.int_ranges(pl.col("before") + 1, pl.col("at")).alias("at"))
    return spans.explode("at").select("group", pl.col("at").cast(pl.Int64))


def _box_gaps(placed: pl.DataFrame) -> pl.DataFrame:
    """List what boxes without tracks leave out: `group`, `at`, once for each missing object."""
    loose = placed.filter(pl.col("track_id").is_null()).select("row", "group", "class_name", "at", "x", "y", "w", "h")
    after = loose.with_columns(pl.col("at") - 2)
    around = loose.join(after, on=["group", "class_name", "at"], how="inner", suffix="_after")
    around = around.with_columns(_iou(around, "_after").alias("iou")).filter(pl.col("iou") >= MATCH_IOU)
    around = around.sort("row", "iou", descending=[False, True]).unique("row", keep="first", maintain_order=True)
    expected = around.with_columns(
        (pl.col("at") + 1).alias("at"), *(((pl.col(c) + pl.col(f"{c}_after")) / 2).alias(c) for c in "xywh")
    ).select("row", "group", "class_name", "at", "x", "y", "w", "h")
    here = expected.join(
        placed.select("group", "at", "x", "y", "w", "h"), on=["group", "at"], how="inner", suffix="_here"
    )
    seen = here.with_columns(_iou(here, "_here").alias("iou")).filter(pl.col("iou") >= SEEN_IOU)["row"]
    return expected.filter(~pl.col("row").is_in(seen.implode())).select("group", pl.col("at").cast(pl.Int64))
