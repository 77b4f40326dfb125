"""Measures of labels, and scores of a run."""

from __future__ import annotations

import polars as pl

from ..schema import CLASS_NAME, ITEM_ID, KIND_CLASSIFICATION, LABEL_ID, ORDINAL
from ..view import View
from .subject import IMAGES, LABELS_SHARE, PLAIN, WORST, Found, Subject, measure

_SOLID_KINDS = ("box", "rotated_box", "polygon", "mask")


@measure("number of the rarest class beside the most frequent one", "ratio", at_least=0.01)
def class_balance(s: Subject) -> Found:
    """Compare classes of objects, or those of images where there are no objects."""
    level = s.project.objects if s.objects.height else s.project.classifications
    frame = level.df.drop_nulls(CLASS_NAME)
    counts = frame[CLASS_NAME].value_counts(sort=True)
    if not counts.height:
        return Found(None, "there are no classes")
    most, least = counts.row(0), counts.row(-1)
    rare = frame.filter(pl.col(CLASS_NAME) == least[0]).head(WORST)
    note = f'"{least[0]}" {least[1]:,} to "{most[0]}" {most[1]:,}'
    return Found(least[1] / most[1], note, level.at(rare[ORDINAL].to_numpy()))


@measure("mean number of objects on an image", "objects", at_least=None)
def objects_per_image(s: Subject) -> Found:
    """Count the objects, per image."""
    if not s.items.height:
        return Found(None, "there are no images")
    return Found(s.objects.height / s.items.height, f"{s.objects.height:,} objects on {s.items.height:,} images")


@measure("images without any object", IMAGES, at_most=0.25)
def without_objects(s: Subject) -> Found:
    """Images that no object lies on, in a project that has objects."""
    if not s.objects.height:
        return Found(None, "there are no objects")
    empty = s.items.join(s.objects.select(ITEM_ID).unique(), on=ITEM_ID, how="anti")
    return s.share_of_items(empty, by=ORDINAL)


@measure("labels without an area, or outside of their image", LABELS_SHARE, at_most=0.005)
def degenerate_labels(s: Subject) -> Found:
    """Boxes, polygons and masks whose shorter side is below the threshold, or whose centre is not on the image."""
    if not s.objects.height:
        return Found(None, "there are no objects")
    sized = s.objects.join(
        s.items.select(ITEM_ID, pl.col("width").alias("_width"), pl.col("height").alias("_height")),
        on=ITEM_ID, how="left", maintain_order="left",
    )  # fmt: skip
    x, y = pl.col("x") + pl.col("w") / 2, pl.col("y") + pl.col("h") / 2
    outside = (x < 0) | (y < 0) | (x > pl.col("_width")) | (y > pl.col("_height"))
    side = pl.min_horizontal("w", "h")
    solid = sized.filter(pl.col("kind").is_in(_SOLID_KINDS)).with_columns(side.alias("_side"))
    faulty = solid.filter((pl.col("_side") < s.at["least_side"]) | outside.fill_null(value=False))
    return s.share_of_objects(faulty, by="_side")


@measure("labels that are drawn twice", LABELS_SHARE, at_most=0.02)
def double_labels(s: Subject) -> Found:
    """Objects that lie on another of their class."""
    if not s.objects.height:
        return Found(None, "there are no objects")
    s.needs("max_iou_same_class", of=s.objects)
    column = "max_iou_same_class"
    return s.share_of_objects(s.objects.filter(pl.col(column) > s.at["double_iou"]), by=column, descending=True)


@measure("labels that are probably wrong", LABELS_SHARE, at_most=0.05)
def label_errors(s: Subject) -> Found:
    """Likely errors of `p.label_errors(run)`: by the run where there is one, else by neighbours."""
    labels = s.project.labels.df
    if not labels.height:
        return Found(None, "there are no labels")
    few = labels[CLASS_NAME].drop_nulls().n_unique() < 2
    if few and s.run is None:
        return Found(None, "there are fewer than two classes to tell apart")
    ranked = s.project.label_errors(s.run)
    total = s.objects.height
    if not total or (s.run is None and ranked.level == "item") or getattr(s.evaluation, "kind", "") == "classification":
        total = labels.filter(pl.col("kind") == KIND_CLASSIFICATION).height
    likely = ranked.df.filter("likely")
    by = "judged by neighbours" if s.run is None else f"judged by {s.run!r}"
    return Found(likely.height / total if total else None, f"{likely.height:,} of {total:,} labels, {by}",
                 _errors(s, likely))  # fmt: skip


def _errors(s: Subject, likely: pl.DataFrame) -> View | None:
    """Return the labels that errors are about, the worst of each kind first; images where only objects are missed."""
    if likely.is_empty():
        return None
    key = LABEL_ID if LABEL_ID in likely.columns and likely[LABEL_ID].drop_nulls().len() else ITEM_ID
    about = likely.drop_nulls(key).unique(key, keep="first", maintain_order=True)
    about = about.sort(pl.int_range(pl.len()).over("kind"), maintain_order=True).head(WORST)
    level = s.project.objects if key == LABEL_ID else s.project.items
    rows = level.by_ids(about[key])
    extra = pl.DataFrame({ORDINAL: rows.rows, "suggested": about["suggested"], "error": about["kind"]})
    return View(s.project, level.level, rows._ops, extra)


@measure("mAP of the run, IoU 0.5 to 0.95 as COCO has it", PLAIN)
def map(s: Subject) -> Found:  # noqa: A001 - the name users know
    """Mean average precision of a detector."""
    return _score(s, "mAP@[.5:.95]")


@measure("mAP of the run at IoU 0.5", PLAIN)
def map_50(s: Subject) -> Found:
    """Mean average precision of a detector at one threshold."""
    return _score(s, "mAP@.5")


@measure("share of images that the run classifies right", PLAIN)
def accuracy(s: Subject) -> Found:
    """Accuracy of a classifier."""
    return _score(s, "accuracy")


@measure("F1 of the run, the mean over classes", PLAIN)
def macro_f1(s: Subject) -> Found:
    """Macro F1 of a classifier."""
    return _score(s, "macro F1")


def _score(s: Subject, name: str) -> Found:
    if s.evaluation is None:
        runs = list(s.project.predictions)
        return Found(None, f'no run is named (run = "{runs[0]}")' if runs else "there are no predictions")
    scores = dict(zip(*s.evaluation.summary, strict=True))
    if name not in scores:
        return Found(None, f"{s.run!r} is a {s.evaluation.kind} run, which has no {name}")
    value = scores[name]
    return Found(None if value is None else float(value), f"{name} of {s.run!r}", _wrong(s))


def _wrong(s: Subject) -> View | None:
    """Return the images with the most errors of the run."""
    errors = s.evaluation.false_negatives.df
    if errors.is_empty():
        return None
    counts = errors[ITEM_ID].value_counts(sort=True).head(WORST)
    return s.project.items.by_ids(counts[ITEM_ID])
