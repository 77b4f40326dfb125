"""The section on labels: classes, how many on an image, how large, what looks odd, and who drew them."""

from __future__ import annotations

from functools import partial

import polars as pl

from ..charts.distributions import class_counts, histogram
from ..charts.offline import OfflineChart
from ..computing.label_stage import QUALITY, is_behind
from ..curation.annotators import annotators
from ..errors import EawError
from ..metrics.registry import MetricSpec, registered
from ..pages.html import Column, counted, number, percent
from ..pages.pictures import Tile, file_name, tiles_of
from ..schema import CLASS_NAME, CLASSIFICATION, ITEM_ID, LABEL, OBJECT, URI
from .report_data import METRIC_COLUMNS, metric_chart, metric_table, varies
from .report_parts import (
    GOOD,
    MOST_CLASS_ROWS,
    MOST_TILES,
    PLAIN,
    WARN,
    Charts,
    Pictures,
    Rows,
    Section,
    Subject,
    rounded,
    share,
)

_SMALL_PX = 32.0
"""Sides of a square of COCO's small objects."""
_LOW_QUALITY = 0.1
_RARE = 0.1
"""Number of the rarest class beside the most frequent one, below which it is said as a warning."""
DRAWN = ("relative_area", "aspect_ratio", "border_closeness", "max_iou_same_class", QUALITY)


def labels_section(s: Subject) -> Section:
    """Return what there is to say of the labels."""
    section = Section("labels", "Labels")
    if not s.objects.height and not s.answers.height:
        where = "on these images" if s.n else "here"
        section.notes.append(
            f"There are no labels {where}. `p.add_labels(…)` adds them from COCO, VOC, YOLO, a frame, …"
        )
        return section
    if is_behind(s.project):
        section.notes.append("Labels have changed since their metrics were computed. Call `p.compute()`.")
    for level, frame, noun in ((OBJECT, s.objects, "object"), (CLASSIFICATION, s.answers, "class label")):
        if frame.height:
            _classes(s, section, level, frame, noun)
    if s.objects.height:
        _sizes(s, section)
    level, frame = (OBJECT, s.objects) if s.objects.height else (CLASSIFICATION, s.answers)
    _metrics(s, section, level, frame)
    if s.objects.height:
        _odd_objects(s, section)
    _annotators(s, section)
    return section


def _classes(s: Subject, section: Section, level: str, frame: pl.DataFrame, noun: str) -> None:
    total = frame.height
    sized = [pl.max_horizontal("w", "h").median().alias("side")] if "w" in frame.columns else []
    quality = [pl.col(QUALITY).mean()] if QUALITY in frame.columns else []
    table = frame.group_by(CLASS_NAME).agg(
        pl.len().cast(pl.Int64).alias("count"),
        pl.col(ITEM_ID).n_unique().cast(pl.Int64).alias("images"),
        *sized,
        *quality,
    )
    table = table.with_columns((pl.col("count") / total).alias("share")).sort(
        "count", CLASS_NAME, descending=[True, False], nulls_last=True
    )
    section.frames["classes" if level == OBJECT or not s.objects.height else "image_classes"] = table
    section.facts += [(f"{noun}s" if not noun.endswith("s") else noun, f"{total:,}", ""),
                      ("classes", f"{table.drop_nulls(CLASS_NAME).height:,}", "")]  # fmt: skip
    named = table.drop_nulls(CLASS_NAME)
    if named.height == 1:
        section.say(f'All {total:,} {noun}s are of one class, "{named[CLASS_NAME][0]}".')
    elif named.height:
        most, least = named.row(0, named=True), named.row(-1, named=True)
        _balance(section, named, most, least, total, noun)
    title = "Classes" if noun == "object" or not s.objects.height else "Classes of images"
    many = table.height > MOST_CLASS_ROWS
    if many:  # fewer have their bars in the table
        chart = (f"{level} classes", partial(class_counts, table, title, f"{noun}s"))
        section.blocks.append(Charts([chart], wide=True))
    columns = [Column(CLASS_NAME, "class"), Column("count", f"{noun}s", ",d"), Column("share", form="share"),
               Column("images", form=",d"), Column("side", "longer side, px", ".0f"),
               Column(QUALITY, "class quality", ".2f")]  # fmt: skip
    if not sized:
        columns = [c for c in columns if c.name not in ("side", "images")]
    section.blocks.append(Rows(f"All {table.height} classes" if many else title, table, columns, 200, folded=many))


def _balance(
    section: Section, named: pl.DataFrame, most: dict[str, object], least: dict[str, object], total: int, noun: str
) -> None:
    first, last = int(str(most["count"])), int(str(least["count"]))
    if first == last:
        section.say(f"The {named.height} classes are balanced: each has {first:,} {noun}s.", GOOD)
        return
    section.say(
        f'"{most[CLASS_NAME]}" is the most frequent of {named.height} classes with {percent(first, total)} of the '
        f'{noun}s ({first:,} of {total:,}); "{least[CLASS_NAME]}" is the rarest with {last:,}: '
        f"one to every {first / last:.3g}.",
        WARN if last < _RARE * first else PLAIN,
    )


def _sizes(s: Subject, section: Section) -> None:
    objects, n = s.objects, s.objects.height
    on = objects[ITEM_ID].n_unique()
    empty = s.n - on
    section.facts.append(("objects an image", f"{n / max(s.n, 1):.3g}", ""))
    section.facts.append(("images without", f"{empty:,}", percent(empty, s.n) if empty else ""))
    if empty and s.given.level not in (OBJECT, LABEL):
        section.say(f"{share(empty, s.n, 'images')} {'has' if empty == 1 else 'have'} no object.",
                    WARN if empty > s.n / 4 else PLAIN)  # fmt: skip
    sized = objects.filter(pl.col("w").is_finite() & pl.col("h").is_finite())
    if not sized.height:
        return
    small = sized.filter(pl.col("w") * pl.col("h") < _SMALL_PX**2).height
    section.say(
        f"The median object is {rounded(sized['w'])} × {rounded(sized['h'])} px; "
        + (f"{percent(small, sized.height)} are small (less than {_SMALL_PX:g}² px, as COCO has it)."
           if small else f"none is small (less than {_SMALL_PX:g}² px, as COCO has it).")
    )  # fmt: skip
    counts = s.frame.select(ITEM_ID).join(objects.group_by(ITEM_ID).len(), on=ITEM_ID, how="left")["len"].fill_null(0)
    section.frames["objects_per_image"] = (
        counts.value_counts().rename({"len": "objects", "count": "images"}).sort("objects")
    )
    side = (sized["w"] * sized["h"]).clip(0, None).sqrt()
    section.blocks.append(
        Charts(
            [
                ("objects an image", partial(histogram, counts.to_numpy(), "Objects an image", "how crowded it is")),
                ("object size", partial(histogram, side.filter(side > 0).to_numpy(), "Size of objects",
                                        "square root of width × height", unit="px")),
            ],
            "",
        )
    )  # fmt: skip
    flat = sized.filter(pl.min_horizontal("w", "h") < s.thresholds["least_side"])
    boxes = flat.filter(pl.col("kind").is_in(["box", "rotated_box", "polygon", "mask"]))
    if boxes.height:
        section.frames["degenerate"] = boxes
        verb = "has" if boxes.height == 1 else "have"
        section.say(f"{share(boxes.height, n, 'objects')} {verb} a side below {s.thresholds['least_side']:g} px.", WARN)


def _metrics(s: Subject, section: Section, level: str, frame: pl.DataFrame) -> None:
    specs: dict[str, MetricSpec] = {spec.name: spec for spec in registered(level)}
    names = [
        c for c in s.project._snapshot().levels[level].metrics if c in frame.columns and frame[c].dtype.is_numeric()
    ]
    if not names:
        section.notes.append("No metrics of the labels were computed yet. Call `p.compute()`.")
        return
    table = metric_table(frame, names, specs)
    section.frames["label_metrics"] = table
    own = [n for n in names if n not in specs or specs[n].custom]
    drawn = [n for n in (*DRAWN, *own) if n in names and varies(frame[n])]
    charts = [(f"label {n}", partial(metric_chart, frame[n], specs.get(n), n, s.thresholds)) for n in drawn[:8]]
    _merge(section, charts)
    section.blocks.append(Rows(f"All {table.height} metrics of labels", table, METRIC_COLUMNS, most=60, folded=True))
    if QUALITY in names:
        odd = frame.filter(pl.col(QUALITY) < _LOW_QUALITY)
        if odd.height:
            noun = "objects" if level == OBJECT else "images"
            verb = "looks" if odd.height == 1 else "look"
            section.say(
                f"{share(odd.height, frame.height, noun)} {verb} like another class than their own "
                f"(class quality below {_LOW_QUALITY:g}: nearly all neighbours have other classes).", PLAIN,
            )  # fmt: skip


def _merge(section: Section, charts: list[tuple[str, partial[OfflineChart]]]) -> None:
    """Put small charts beside the small charts that are there."""
    for i in range(len(section.blocks) - 1, -1, -1):
        block = section.blocks[i]
        if isinstance(block, Charts) and any(name == "object size" for name, _ in block.charts):
            section.blocks[i] = Charts([*block.charts, *charts], "How labels lie")
            return
    if charts:
        section.blocks.append(Charts(charts, "How labels lie"))


def _odd_objects(s: Subject, section: Section) -> None:
    objects = s.objects
    column = "max_iou_same_class"
    if column in objects.columns:
        twice = objects.filter(pl.col(column) > s.thresholds["double_iou"]).sort(column, descending=True)
        if twice.height:
            section.frames["double_labels"] = twice
            section.say(
                f"{share(twice.height, objects.height, 'objects')} lie on another of their class "
                f"(IoU above {s.thresholds['double_iou']:g}): the same thing was drawn twice.", WARN,
            )  # fmt: skip
            section.blocks.append(Pictures("Drawn twice", "the largest overlap with a label of the same class first",
                                           partial(_object_tiles, s, _one_each(twice), column, "IoU")))  # fmt: skip
    if QUALITY in objects.columns and objects[CLASS_NAME].drop_nulls().n_unique() > 1:
        odd = objects.filter(pl.col(QUALITY) < _LOW_QUALITY).sort(QUALITY)
        if odd.height:
            make = partial(_object_tiles, s, _one_each(odd), QUALITY, "class quality")
            section.blocks.append(Pictures("Unlike their class", "the lowest class quality first", make))


def _one_each(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep one object of an image: the worst."""
    return frame.unique(ITEM_ID, keep="first", maintain_order=True).head(MOST_TILES)


def _object_tiles(s: Subject, frame: pl.DataFrame, column: str, words: str) -> list[Tile]:
    names = [str(c) if c is not None else "no class" for c in frame[CLASS_NAME]]
    files = [file_name(str(u)) for u in frame[URI]]
    why = [f"{words} {number(v)} · {file}" for v, file in zip(frame[column], files, strict=True)]
    return tiles_of(s.project, frame, why, boxes=True, names=names)


def _annotators(s: Subject, section: Section) -> None:
    parts = [f for f in (s.objects, s.answers) if f.height and "annotator" in f.columns]
    if not parts:
        return
    try:
        table = annotators(s.project, pl.concat(parts, how="diagonal_relaxed"))
    except EawError:
        return
    section.frames["annotators"] = table
    columns = [
        Column("annotator"), Column("labels", form=",d"), Column("items", "images", ",d"), Column("classes", form=",d"),
        Column("seconds_median", "seconds a label", ".3g"), Column("labels_per_hour", "labels an hour", ",.0f"),
        Column("class_quality", "class quality", ".2f"), Column("duplicates", "drawn twice", ",d"),
    ]  # fmt: skip
    section.blocks.append(Rows("Annotators", table, columns))
    busiest = table.row(0, named=True)
    section.say(
        f'{counted(table.height, "annotator")} drew the labels; "{busiest["annotator"]}" drew '
        f"{percent(busiest['labels'], sum(table['labels'].to_list()))} of them."
    )
