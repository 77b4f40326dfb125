"""A project of synthetic rows, made through the store as an import makes it: no images are opened."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl

import encord_active_widgets as ea
from encord_active_widgets import schema
from encord_active_widgets.store.folder import ProjectFolder

CLASSES = ("bird", "boat", "dog", "food", "instrument", "other")


def make_project(path: Path, n: int, metrics: int = 30, seed: int = 0) -> ea.Project:
    """Write `n` items with `metrics` float columns, a class each, and a 2-D map."""
    rng = np.random.default_rng(seed)
    folder = ProjectFolder(path)
    folder.create("synthetic", {"format": "frame"})
    now = dt.datetime.now(dt.UTC)
    ids = pl.int_range(n, eager=True).cast(pl.String).str.zfill(16)
    items = pl.DataFrame(
        {
            schema.ITEM_ID: ids,
            schema.ORDINAL: pl.int_range(n, eager=True).cast(pl.UInt32),
            schema.CONTENT_HASH: ids,
            schema.URI: "images/" + ids + ".jpg",
            "width": rng.integers(100, 2000, n),
            "height": rng.integers(100, 2000, n),
            "bytes": rng.integers(10_000, 500_000, n),
        }
    ).with_columns(pl.lit("c").alias(schema.CHANGE_ID), pl.lit(0).alias(schema.REVISION), pl.lit(now).alias("added_at"))
    folder.items.append(items)
    names = ["brightness", "contrast", "sharpness", *(f"m{i:02d}" for i in range(metrics - 3))]
    labels = pl.DataFrame(
        {
            schema.LABEL_ID: ids,
            schema.ITEM_ID: ids,
            schema.ORDINAL: items[schema.ORDINAL],
            "kind": pl.repeat(schema.KIND_CLASSIFICATION, n, eager=True),
            schema.CLASS_NAME: pl.Series(rng.choice(CLASSES, n)),
            schema.CHANGE_ID: pl.repeat("c", n, eager=True),
        }
    )
    folder.labels.append(labels)
    folder.values("synthetic").append(
        pl.DataFrame({schema.ORDINAL: items[schema.ORDINAL], **{k: rng.random(n, dtype=np.float32) for k in names}})
    )
    folder.changes.append(
        pl.DataFrame(
            {schema.CHANGE_ID: ["c"], "at": [now], "cause": ["bench"], "code": [""]},
            schema_overrides={"at": schema.UTC_MICROSECONDS},
        )
    )
    return ea.open(path)
