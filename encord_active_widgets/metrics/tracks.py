"""Objects along the frames of a video: what is missing, broken, swapped, covered or changed.

Only rows with a video (`group`) and a `frame` take part; nothing is compared across videos.
"Neighbouring" frames are consecutive frames that are there, whatever their numbers. Objects of
different frames are matched by the upright bounds of their boxes, turned ones included.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

WINDOW_FRAMES = 5
"""How far before and after an object's own frame its track is looked at."""
MATCH_IOU = 0.5
"""Overlap from which boxes of neighbouring frames are taken for one object."""
SEEN_IOU = 0.3
"""Overlap from which a box on a frame explains one that is expected there."""
SWAP_MARGIN = 0.1
"""How much better another track must explain a box than its own: boxes are not drawn to the pixel."""
PAIRS_AT_ONCE = 1 << 20
"""Pairs of boxes compared in one go: about 200 MB."""

_KEYS = ["group", "frame"]
_BOUNDS = ["left", "top", "wide", "high"]
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
          where that match has another track that goes on elsewhere, or this object's own track was elsewhere;
          0 where the tracks explain the two frames as well (within 0.1): where the match lies closer to where
          its own track goes on, or the step is the steady motion of three frames.
    """
    placed = _placed(objects, _frames(objects if items is None else items))
    tracked = placed.filter(pl.col("track_id").is_not_null()).sort("group", "track_id", "at", "row")
    out = objects.select("row").join(_along(tracked), on="row", how="left", maintain_order="left")
    out = out.join(_swaps(tracked), on="row", how="left", maintain_order="left").join(
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


def _placed(objects: pl.DataFrame, frames: pl.DataFrame) -> pl.DataFrame:
    """Return the objects of videos: `at`, codes of video, class and track (`g`, `c`, `t`), bounds (`left` …)."""
    plain = objects.with_columns(
        pl.col("angle").cast(pl.Float64).fill_null(0.0),
        pl.col("area").cast(pl.Float64),
        pl.col("track_id").cast(pl.String),
    )
    placed = plain.join(frames, on=_KEYS, how="inner", maintain_order="left")
    cos, sin = (getattr(pl.col("angle").radians(), name)().abs() for name in ("cos", "sin"))
    wide, high = pl.col("w") * cos + pl.col("h") * sin, pl.col("w") * sin + pl.col("h") * cos
    return placed.with_columns(
        pl.col("group").rank("dense").cast(pl.Int64).alias("g"),
        pl.col("class_name").fill_null("").rank("dense").cast(pl.Int64).alias("c"),
        pl.col("track_id").rank("dense").cast(pl.Int64).alias("t"),
        (pl.col("x") + pl.col("w") / 2 - wide / 2).alias("left"),
        (pl.col("y") + pl.col("h") / 2 - high / 2).alias("top"),
        wide.alias("wide"),
        high.alias("high"),
    )


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
    # Lines along an axis have no area: their lengths are compared.
    sides = ((pl.col(w), other_w), (pl.col(h), other_h))
    wide, high = (pl.min_horizontal(p, q) / pl.max_horizontal(p, q) for p, q in sides)
    flat = wide.fill_nan(1.0) * high.fill_nan(1.0)
    return pl.when(other_w.is_not_null()).then(pl.when(union > 0).then(common / union).otherwise(flat))


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
    over = ["group", "track_id"]
    starts = own.filter(pl.col("at") == pl.col("at").min().over(over), pl.col("at") > 0)
    ends = own.filter(pl.col("at") == pl.col("at").max().over(over))
    value = np.zeros(starts.height)
    for gap in range(1, WINDOW_FRAMES + 1):
        i, _, iou = _pairs(starts, ends.with_columns(pl.col("at") + gap), ["g", "c", "at"], MATCH_IOU)
        np.maximum.at(value, i, iou)
    return starts.select("row", pl.Series("taken_over", value)).filter(pl.col("taken_over") > 0)


def _swaps(tracked: pl.DataFrame) -> pl.DataFrame:
    """Find objects that lie where another track was on the frame before, while both tracks go on.

    Takes objects sorted by track and frame.
    """
    i, j, iou = _pairs(tracked, tracked.with_columns(pl.col("at") + 1), ["g", "at"], MATCH_IOU)
    kind, track, group, at = (tracked[c].to_numpy() for c in ("c", "t", "g", "at"))
    steady = _steady(tracked)
    # What the tracks themselves explain: an object by its own past, a box by where its track goes on.
    own, going = np.zeros(tracked.height), np.zeros(tracked.height)
    same = track[i] == track[j]
    np.maximum.at(own, i[same], iou[same])
    np.maximum.at(going, j[same], iou[same])
    alike = kind[i] == kind[j]
    i, j, iou, same = i[alike], j[alike], iou[alike], same[alike]
    best = np.lexsort((track[j], ~same, -iou, i))
    best = best[_first(i[best])]
    i, j, iou = i[best], j[best], iou[best]
    moment = pl.DataFrame({"g": group, "t": track, "at": at, "steady": steady})
    moment = moment.group_by("g", "t", "at").agg(pl.col("steady").max())
    # Where each of the two tracks goes on or comes from; null where it does not.
    asked = pl.DataFrame({"g": group[i], "t": track[j], "at": at[i], "u": track[i], "before": at[i] - 1})
    asked = asked.join(moment, on=["g", "t", "at"], how="left", maintain_order="left").join(
        moment.select("g", pl.col("t").alias("u"), pl.col("at").alias("before"), pl.lit(value=True).alias("was")),
        on=["g", "u", "before"], how="left", maintain_order="left",
    )  # fmt: skip
    was = asked["was"].fill_null(value=False).to_numpy()
    goes_on = asked["steady"].is_not_null().to_numpy()
    motion = np.where(was, steady[i], asked["steady"].fill_null(0.0).to_numpy())
    unexplained = iou > np.maximum(np.maximum(own[i], going[j]), motion) + SWAP_MARGIN
    found = (track[i] != track[j]) & (was | goes_on) & unexplained
    return pl.DataFrame({"row": tracked["row"].gather(i[found]), "inconsistent_track": iou[found]})


def _steady(tracked: pl.DataFrame) -> F64:
    """Return how well steady motion explains the step of a track to each object from the frame before.

    The IoU of the object with where the two frames before lead, or of the box before with where this object
    and the one after come from; the better of both, 0 where there are no three frames in a row.
    """
    over = ["g", "t"]
    boxes = tracked.select(_BOUNDS).to_numpy()
    at = tracked["at"].to_numpy()
    step = tracked.select(
        *(pl.int_range(pl.len()).shift(k).over(over).fill_null(-1).alias(f"k{k}") for k in (1, 2, -1)),
    )
    # Positions are counted within a track: rows of a track lie one after another.
    has = {k: (step[f"k{k}"] >= 0).to_numpy() for k in (1, 2, -1)}
    row = np.arange(tracked.height)
    near = {k: np.where(has[k], row - k, row) for k in has}
    right = {k: has[k] & (at[near[k]] == at - k) for k in has}
    value = np.zeros(tracked.height)
    led = right[1] & right[2]
    value[led] = _iou(boxes[led], 2 * boxes[near[1][led]] - boxes[near[2][led]])
    came = right[1] & right[-1]
    back = _iou(boxes[near[1][came]], 2 * boxes[came] - boxes[near[-1][came]])
    value[came] = np.maximum(value[came], back)
    return value


# -- pairs of boxes -------------------------------------------------------------------------------


def _iou(a: F64, b: F64) -> F64:
    """Return the IoU of each pair of upright boxes: left, top, width, height."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    union = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - common
    out: F64 = np.divide(common, union, out=np.zeros(len(a)), where=(union > 0) & (b[:, 2:] > 0).all(axis=1))
    return out


def _pairs(a: pl.DataFrame, b: pl.DataFrame, keys: list[str], least: float) -> tuple[I64, I64, F64]:
    """Find pairs of equal keys whose boxes overlap: rows of `a`, rows of `b`, and IoU from `least` on.

    An IoU of t needs t of the wider box's width in common, so the left edge of the other lies between
    (1 - t) / t widths before and 1 - t widths after: boxes are sorted by it, and few are compared.
    """
    boxes = [side.select(_BOUNDS).to_numpy() for side in (a, b)]
    rows = [np.flatnonzero(np.isfinite(box).all(axis=1) & (box[:, 2:] > 0).all(axis=1)) for box in boxes]
    if not rows[0].size or not rows[1].size:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    code = _codes(np.vstack([side.select(keys).to_numpy() for side in (a, b)]))
    left = [boxes[k][rows[k], 0] for k in (0, 1)]
    low = min(side.min() for side in left)
    span = max(side.max() for side in left) - low + 1.0
    # Key and place in one number; each key has a stretch of its own.
    base_a, base_b = code[rows[0]] * 2 * span, code[a.height + rows[1]] * 2 * span
    order = np.argsort(base_b + (left[1] - low), kind="stable")
    places = (base_b + (left[1] - low))[order]
    width = boxes[0][rows[0], 2]
    slack = 1e-9 * span + np.spacing(places[-1]) * 4
    begin = np.maximum(left[0] - low - width * (1 - least) / least, 0.0)
    end = np.minimum(left[0] - low + width * (1 - least), span)
    first = np.searchsorted(places, base_a + begin - slack, "left")
    counts = np.searchsorted(places, base_a + end + slack, "right") - first
    out: list[tuple[I64, I64, F64]] = []
    total = np.cumsum(counts)
    cuts = np.searchsorted(total, np.arange(PAIRS_AT_ONCE, total[-1], PAIRS_AT_ONCE), "left")
    for part in np.split(np.arange(len(counts)), np.unique(cuts)):
        n = counts[part]
        i = np.repeat(part, n)
        j = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first[part], n)
        row_a, row_b = rows[0][i], rows[1][order[j]]
        iou = _iou(boxes[0][row_a], boxes[1][row_b])
        kept = iou >= least
        out.append((row_a[kept], row_b[kept], iou[kept]))
    return np.concatenate([o[0] for o in out]), np.concatenate([o[1] for o in out]), np.concatenate([o[2] for o in out])


def _codes(keys: I64) -> F64:
    """Return a number for each row of whole numbers, the same for equal rows."""
    code = np.zeros(len(keys), np.int64)
    for column in keys.T:
        code = np.unique(code * (np.ptp(column) + 1) + column - column.min(), return_inverse=True)[1]
    return code.astype(np.float64)


def _first(values: I64) -> NDArray[np.bool_]:
    """Tell where a sorted array has a value for the first time."""
    return np.append(np.ones(min(1, len(values)), np.bool_), values[1:] != values[:-1])


# -- frames ---------------------------------------------------------------------------------------


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
    placed = _placed(objects, numbers)
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
    loose = placed.filter(pl.col("track_id").is_null())
    i, j, iou = _pairs(loose, loose.with_columns(pl.col("at") - 2), ["g", "c", "at"], MATCH_IOU)
    of_first, of_second = np.lexsort((j, -iou, i)), np.lexsort((i, -iou, j))
    best = np.zeros((2, len(i)), np.bool_)
    best[0, of_first[_first(i[of_first])]] = True
    best[1, of_second[_first(j[of_second])]] = True
    i, j = i[best.all(axis=0)], j[best.all(axis=0)]  # one object before is one object after
    boxes = loose.select(_BOUNDS).to_numpy()
    between = pl.DataFrame((boxes[i] + boxes[j]) / 2, schema=dict.fromkeys(_BOUNDS, pl.Float64))
    expected = between.with_columns(loose["group"].gather(i), loose["g"].gather(i), loose["at"].gather(i) + 1)
    seen, _, _ = _pairs(expected, placed, ["g", "at"], SEEN_IOU)
    missing = np.ones(expected.height, np.bool_)
    missing[seen] = False
    return expected.filter(pl.Series(missing, dtype=pl.Boolean)).select("group", "at")
