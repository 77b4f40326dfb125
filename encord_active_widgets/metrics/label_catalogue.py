"""The built-in metrics of labels in words, and what labels say of their images: one entry a column."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from .registry import Level, MetricSpec

_UNIT = (0.0, 1.0)
_PASCAL = "Everingham et al., IJCV 88 (2010), section 4.2"


def _spec(
    name: str,
    title: str,
    family: str,
    formula: str,
    unit: str,
    limits: tuple[float | None, float | None] | None,
    direction: str,
    source: str,
    *,
    level: Level = "object",
    dtype: type[pl.DataType] = pl.Float32,
) -> MetricSpec:
    return MetricSpec(
        name=name,
        level=level,
        family=family,
        title=title,
        formula=formula,
        unit=unit,
        range=limits,
        direction=direction,
        source=source,
        version=1,
        dtype=dtype,
        needs="frame",
    )


_QUALITY = _spec(
    "class_quality",
    "Class quality",
    "quality",
    "share of the nearest 15 that have the same class, each weighted by 1 / (cosine distance + 0.001) and "
    "by 1 / √(size of its class)",
    "",
    _UNIT,
    "low = the neighbours say another class",
    "distance-weighted k-NN: Dudani, IEEE Trans. SMC 6 (1976), with balanced classes",
)

GEOMETRY: tuple[MetricSpec, ...] = (
    _spec(
        "area", "Area", "geometry",
        "w * h of a box; parts united and holes left out of a polygon; pixels of a mask",
        "px²", (0.0, None), "high = large", "definition",
    ),
    _spec(
        "relative_area", "Relative area", "geometry", "area / (width * height of the image)", "", (0.0, None),
        "low = small in its image", "definition",
    ),
    _spec(
        "aspect_ratio", "Aspect ratio", "geometry",
        "w / h of the object's own sides, its rotation taken out; of polygons and masks those of the smallest "
        "rectangle around them",
        "", (0.0, None), "low = upright, high = wide", "definition",
    ),
    _spec(
        "perimeter", "Perimeter", "geometry", "length of the outline; of a polyline its length", "px", (0.0, None),
        "high = long outline", "definition",
    ),
    _spec(
        "border_closeness", "Border closeness", "geometry",
        "max over both axes of |left margin - right margin| / (left margin + right margin)",
        "", _UNIT, "0 = in the centre, 1 = touches the border", "own",
    ),
    _spec(
        "max_iou_same_class", "Largest IoU, same class", "overlap",
        "largest intersection over union with another object of the same class on the image", "", _UNIT,
        "high = perhaps drawn twice", _PASCAL,
    ),
    _spec(
        "max_iou_other_class", "Largest IoU, other class", "overlap",
        "largest intersection over union with an object of another class on the image", "", _UNIT,
        "high = two classes for one thing", _PASCAL,
    ),
    _spec(
        "shape_outlier", "Shape outlier", "shape",
        "d / (1 + d), d = distance of the seven Hu moments, on a signed logarithmic scale, from the median of the "
        "class in robust units",
        "", _UNIT, "high = shaped unlike its class", "Hu, IRE Trans. Information Theory 8 (1962)",
    ),
)  # fmt: skip

TRACKS: tuple[MetricSpec, ...] = (
    _spec(
        "occlusion_risk", "Occlusion risk", "tracks",
        "max(0, 1 - area / median area of the track in the frames around)", "", _UNIT,
        "high = smaller than before and after: perhaps covered", "own",
    ),
    _spec(
        "shape_change", "Shape change", "tracks",
        "1 - IoU of the object's own rectangle with its earlier ones in the track, centres and rotation taken out",
        "", _UNIT, "high = changed its form along the track", "own",
    ),
    _spec(
        "broken_track", "Broken track", "tracks",
        "how surely the track went on from one that broke off, or came back after a gap", "", _UNIT,
        "high = the track is broken here", "own",
    ),
    _spec(
        "inconsistent_class", "Inconsistent class", "tracks",
        "1 - share of the track's objects that have this class", "", _UNIT, "high = the class flips along the track",
        "own",
    ),
    _spec(
        "inconsistent_track", "Inconsistent track", "tracks",
        "IoU with the object of the frame before that lies there under another track", "", _UNIT,
        "high = two tracks swapped their ids", "own",
    ),
)  # fmt: skip

OF_ITEMS: tuple[MetricSpec, ...] = (
    _spec(
        "object_count", "Object count", "labels", "number of objects", "", (0.0, None), "high = crowded", "definition",
        level="item", dtype=pl.Int64,
    ),
    _spec(
        "object_density", "Object density", "labels",
        "share of the image that its objects cover together, overlaps counted once", "", _UNIT,
        "low = empty, high = full", "definition", level="item",
    ),
    _spec(
        "missing_objects", "Missing objects", "sequences",
        "number of objects that are on the frames before and after, but not on this one", "", (0.0, None),
        "above 0 = labels are missing", "own", level="item",
    ),
    replace(_QUALITY, level="item", title="Image class quality"),
)  # fmt: skip

OF_CLASSIFICATIONS: tuple[MetricSpec, ...] = (replace(_QUALITY, level="classification"),)


def label_metrics(items: tuple[MetricSpec, ...]) -> tuple[MetricSpec, ...]:
    """Return all metrics of labels, those of pixels and neighbours on crops included."""
    crops = tuple(
        replace(
            s,
            level="object",
            family="crops" if s.family == "pixels" else s.family,
            formula=f"of the crop: {s.formula}" if s.family == "pixels" else s.formula.replace("item", "object"),
            needs=None,
        )
        for s in items
        if s.family in ("pixels", "neighbours")
    )
    return (*OF_ITEMS, *GEOMETRY, *crops, _QUALITY, *TRACKS, *OF_CLASSIFICATIONS)
