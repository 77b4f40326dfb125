"""The tables of a project: column names, dtypes and keys. The only place that spells them.

Delta Lake gives unsigned integers back as signed ones and keeps no row order, so every
frame is cast to its schema on the way in and out, and sorted by its key when read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

FORMAT_VERSION = 2
"""Version of the folder layout; a newer one is refused, an older one migrated."""

UTC_MICROSECONDS = pl.Datetime("us", "UTC")

# Levels: what one row of an explorer is.
ITEM = "item"
OBJECT = "object"
CLASSIFICATION = "classification"
LABEL = "label"
"""Objects and classifications together; its edits are kept at their own two levels."""
LABEL_LEVELS = (OBJECT, CLASSIFICATION)
PREDICTION = "prediction"
"""What the levels of predictions begin with: that of the run "yolo" is `prediction:yolo`."""

# Label kinds.
KIND_BOX = "box"
KIND_ROTATED_BOX = "rotated_box"
KIND_POLYGON = "polygon"
KIND_POLYLINE = "polyline"
KIND_POINT = "point"
KIND_KEYPOINTS = "keypoints"
KIND_MASK = "mask"
KIND_CLASSIFICATION = "classification"
OBJECT_KINDS = (
    KIND_BOX, KIND_ROTATED_BOX, KIND_POLYGON, KIND_POLYLINE, KIND_POINT, KIND_KEYPOINTS, KIND_MASK
)  # fmt: skip
KINDS = (*OBJECT_KINDS, KIND_CLASSIFICATION)

# Columns that code in several rooms names.
ITEM_ID = "item_id"
LABEL_ID = "label_id"
PREDICTION_ID = "prediction_id"
CONFIDENCE = "confidence"
PROBABILITIES = "probabilities"
ORDINAL = "ordinal"
CONTENT_HASH = "content_hash"
URI = "uri"
CLASS_NAME = "class_name"
TAGS = "tags"
NOTE = "note"
REVIEWED = "reviewed"
EXTRA = "extra"
GROUP = "group"
FRAME = "frame"
SPLIT = "split"
CHANGE_ID = "change_id"
REVISION = "revision"
KEY = "key"
VECTOR = "vector"
PHASH = "phash"
DUPLICATE_GROUP = "duplicate_group"
CHANGE = "change"
CLASS_BEFORE = "class_before"
BEFORE = "before"
AFTER = "after"


@dataclass(frozen=True)
class TableSchema:
    """Columns of one table, in order; `open` tables may carry further columns."""

    name: str
    columns: Mapping[str, pl.DataType | type[pl.DataType]]
    key: str
    open: bool = False
    stored: Mapping[str, pl.DataType | type[pl.DataType]] = field(default_factory=dict)
    """Columns whose dtype on disk differs, because Delta has no unsigned integers."""

    def to_disk(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Cast a frame to what Delta can hold; missing columns become typed nulls."""
        out = []
        for name, dtype in self.columns.items():
            disk = self.stored.get(name, dtype)
            if name not in frame.columns:
                out.append(pl.lit(None, dtype=disk).alias(name))
            elif dtype == pl.UInt64:
                out.append(pl.col(name).cast(pl.UInt64).reinterpret(signed=True))
            else:
                out.append(pl.col(name).cast(disk))
        if self.open:
            out.extend(_storable(frame, n) for n in frame.columns if n not in self.columns)
        return frame.select(out)

    def from_disk(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Cast a frame read from Delta back to the dtypes the code works with."""
        out = []
        for name, dtype in self.columns.items():
            if name not in frame.columns:
                out.append(pl.lit(None, dtype=dtype).alias(name))
            elif dtype == pl.UInt64:
                out.append(pl.col(name).cast(pl.Int64).reinterpret(signed=False))
            else:
                out.append(pl.col(name).cast(dtype))
        if self.open:
            out.extend(pl.col(n) for n in frame.columns if n not in self.columns)
        return frame.select(out)

    def empty(self) -> pl.DataFrame:
        """Return a frame of no rows with this schema."""
        return pl.DataFrame(schema=dict(self.columns))


def _storable(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Cast a metadata column to a dtype that Delta's writer takes."""
    dtype = frame.schema[name]
    if dtype == pl.Null or isinstance(dtype, (pl.Categorical, pl.Enum)):
        return pl.col(name).cast(pl.String)
    if dtype in (pl.UInt8, pl.UInt16, pl.UInt32):
        return pl.col(name).cast(pl.Int64)
    if dtype == pl.UInt64:
        return pl.col(name).cast(pl.Float64)
    if isinstance(dtype, pl.Array):
        return pl.col(name).cast(pl.List(dtype.inner))
    if dtype == pl.Object:
        return pl.col(name).map_elements(str, return_dtype=pl.String)
    if isinstance(dtype, (pl.Duration, pl.Time)):
        return pl.col(name).cast(pl.String)
    return pl.col(name)


ITEMS = TableSchema(
    "items",
    {
        ITEM_ID: pl.String,
        ORDINAL: pl.UInt32,
        CONTENT_HASH: pl.String,
        "frame": pl.Int32,
        URI: pl.String,
        "width": pl.Int32,
        "height": pl.Int32,
        "mode": pl.String,
        "bytes": pl.Int64,
        "modified_ns": pl.Int64,
        "group": pl.String,
        "added_at": UTC_MICROSECONDS,
        CHANGE_ID: pl.String,
        REVISION: pl.Int32,
    },
    key=ORDINAL,
    open=True,
    stored={ORDINAL: pl.Int64},
)

LABELS = TableSchema(
    "labels",
    {
        LABEL_ID: pl.String,
        ITEM_ID: pl.String,
        ORDINAL: pl.UInt32,
        "kind": pl.String,
        CLASS_NAME: pl.String,
        "x": pl.Float64,
        "y": pl.Float64,
        "w": pl.Float64,
        "h": pl.Float64,
        "angle": pl.Float64,
        "points": pl.List(pl.Float64),
        "rings": pl.List(pl.UInt32),
        "holes": pl.List(pl.UInt32),
        "visibility": pl.List(pl.UInt8),
        "rle": pl.Binary,
        "mask_h": pl.Int32,
        "mask_w": pl.Int32,
        "track_id": pl.String,
        "annotator": pl.String,
        "seconds": pl.Float64,
        "source": pl.String,
        EXTRA: pl.String,
        CHANGE_ID: pl.String,
    },
    key=ORDINAL,
    stored={
        ORDINAL: pl.Int64,
        "rings": pl.List(pl.Int64),
        "holes": pl.List(pl.Int64),
        "visibility": pl.List(pl.Int64),
    },
)
"""One row a label. Coordinates are pixels in double precision, so that what was read is written back unchanged.

`x, y, w, h` is the rectangle of a box, unrotated; `angle` turns it about its centre, in degrees clockwise
as seen (y points down). Of every other shape it is the axis-aligned bounds. `points` is flat (x0, y0, x1,
…); `rings` counts the vertices of each part of a polygon, `holes` lists the parts that are cut out.
`rle` is a mask of `mask_h` by `mask_w` pixels as COCO's compressed counts. `extra` is JSON text of what
the source had besides.
"""

PREDICTIONS = TableSchema(
    "predictions",
    {
        **{PREDICTION_ID if name == LABEL_ID else name: dtype for name, dtype in LABELS.columns.items()},
        CONFIDENCE: pl.Float64,
        PROBABILITIES: pl.List(pl.Float32),
    },
    key=ORDINAL,
    stored=LABELS.stored,
)
"""One row a prediction of one run: a label, and how sure the model is of it. `probabilities` are those of the
run's classes, in their order, where a model gives them all."""

RUNS = TableSchema(
    "runs",
    {
        CHANGE_ID: pl.String,
        "run": pl.String,
        "at": UTC_MICROSECONDS,
        "kind": pl.String,
        "classes": pl.List(pl.String),
        "predictions": pl.Int64,
        "items": pl.Int64,
        "source": pl.String,
        "code": pl.String,
    },
    key="at",
)
"""One row a run that was added; a later one of the same name takes its place, one of kind "removed" ends it."""

GEOMETRY = (
    "x", "y", "w", "h", "angle", "points", "rings", "holes", "visibility", "rle", "mask_h", "mask_w"
)  # fmt: skip

CHANGES = TableSchema(
    "changes",
    {
        CHANGE_ID: pl.String,
        "at": UTC_MICROSECONDS,
        "cause": pl.String,
        "code": pl.String,
        "items": pl.Int64,
        "labels": pl.Int64,
        "problems": pl.Int64,
    },
    key="at",
)

EDITS = TableSchema(
    "edits",
    {
        "edit_id": pl.String,
        "seq": pl.Int64,
        "at": UTC_MICROSECONDS,
        "level": pl.String,
        "kind": pl.String,
        "encoding": pl.String,
        "rows": pl.Binary,
        "n": pl.Int64,
        "payload": pl.String,
        "undoes": pl.String,
        "cause": pl.String,
        "code": pl.String,
    },
    key="seq",
)

PROBLEMS = TableSchema(
    "problems",
    {
        "stage": pl.String,
        "where": pl.String,
        "what": pl.String,
        "why": pl.String,
        "remedy": pl.String,
        KEY: pl.String,
    },
    key="where",
)

EMBEDDING = TableSchema("embedding", {KEY: pl.String, VECTOR: pl.Binary}, key=KEY, open=True)
"""Vectors by id. Those that `Project.embed` made carry the `content_hash` of the image they were made from."""

PIXEL_METRICS = TableSchema(
    "pixels",
    {CONTENT_HASH: pl.String, "computed": pl.Int32, "written_ns": pl.Int64, PHASH: pl.UInt64},
    key=CONTENT_HASH,
    open=True,
    stored={PHASH: pl.Int64},
)
"""Metric values of an image's content. `computed` is the version of the pixel stage, null on a row
that only adds a custom metric; where several rows have a value, the one written last counts."""

VALUES = TableSchema("values", {ORDINAL: pl.UInt32}, key=ORDINAL, open=True, stored={ORDINAL: pl.Int64})
"""Metric values by row: neighbours, custom metrics."""


def prediction_level(run: str) -> str:
    """Return the level of a run's predictions."""
    return f"{PREDICTION}:{run}"


def run_of(level: str) -> str | None:
    """Return the run whose predictions a level holds; None for other levels."""
    start, _, run = level.partition(":")
    return run if start == PREDICTION and run else None


SUGGESTED_SOURCE = "suggestion:"
"""What `source` of a label begins with that a model suggested: it counts once a review accepted it. The id of the
prediction follows."""

HIDDEN_ITEM_COLUMNS = ("modified_ns", CHANGE_ID, REVISION)
"""Bookkeeping that no user frame shows."""

RESERVED_COLUMNS = frozenset(
    [*ITEMS.columns, *LABELS.columns, *PREDICTIONS.columns, TAGS, NOTE, REVIEWED, PHASH, DUPLICATE_GROUP]
)
"""Names that neither metadata nor a custom metric may take."""
