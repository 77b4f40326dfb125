"""The sections of a comparison: images and sizes, metrics, embeddings, classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import polars as pl

from ..charts.distributions import effects, two_histograms, two_maps, two_shares
from ..errors import unknown
from ..evaluation.two_samples import PERMUTATIONS
from ..history.comparing_projects import (
    CLASSES,
    EMBEDDINGS,
    LEAST_VECTORS,
    MOST_VECTORS,
    ClassShift,
    EmbeddingShift,
    Numbers,
    compared_classes,
    compared_embeddings,
    compared_metrics,
    compared_sizes,
    farthest,
    finite,
    in_both,
    shared_metrics,
)
from ..metrics.registry import registered
from ..pages.html import Column, counted, number, percent
from ..pages.pictures import Tile, tiles_of
from ..schema import CLASS_NAME, CLASSIFICATION, ITEM, OBJECT
from .comparison_sides import Sides, said_p
from .report_parts import GOOD, MOST_TILES, PLAIN, WARN, Charts, Pictures, Rows, Section, Subject, rounded, share

LARGE = 0.1
"""A Kolmogorov–Smirnov distance, or a share of labels, from which a difference is called more than slight."""
_MOST_DRAWN, _MOST_NAMED, _MOST_METRICS, _MOST_SIZES = 8, 3, 12, 10
_MOST_EMBEDDINGS = 3
_MOST_POINTS = 400
_SIZES = ("width", "height")
_OF = {ITEM: "images", OBJECT: "objects", CLASSIFICATION: "class answers"}


def images_section(s: Sides) -> Section:
    """Return what there is to say of the images themselves: sizes, and those that are in both."""
    section = Section("images", "Images")
    frame = compared_sizes(s.a.frame, s.b.frame)
    section.frames["sizes"] = frame
    section.facts += [(f"images of {name}", f"{x.n:,}", "") for name, x in zip(s.names, s.both, strict=True)]
    _shared(s, section)
    _size_sentence(s, section, frame)
    if frame.height > 1:
        shown = frame.with_columns(size=pl.format("{}\u00a0×\u00a0{}", "width", "height"))
        columns = [Column("size", "size, px"), Column("share_a", s.names[0], "share"),
                   Column("share_b", s.names[1], "share")]  # fmt: skip
        section.blocks.append(Rows("Sizes", shown, columns, most=_MOST_SIZES))
    return section


def _shared(s: Sides, section: Section) -> None:
    of_a, of_b = in_both(s.a.frame, s.b.frame)
    section.facts.append(("in both, byte for byte", f"{of_a:,}", ""))
    if not of_a:
        section.say("No image is in both.")
        return
    first, second = s.names
    said = share(of_a, s.a.n, f'images of "{first}"')
    other = share(of_b, s.b.n, f'images of "{second}"')
    section.say(f"{said} and {other[0].lower()}{other[1:]} are in both, byte for byte.")
    section.remarks.append("Images that are in both make the two look more alike than their other images are.")


def _size_sentence(s: Sides, section: Section, frame: pl.DataFrame) -> None:
    if frame.is_empty():
        return
    if frame.height == 1:
        section.say(f"All images have {frame['width'][0]:,} × {frame['height'][0]:,} px.", GOOD)
        return
    medians = [f"{rounded(x.frame['width'])} × {rounded(x.frame['height'])} px" for x in s.both]
    first, second = s.names
    if medians[0] == medians[1]:
        section.say(f"The median image has {medians[0]} in both.")
    else:
        section.say(f'The median image of "{first}" has {medians[0]}, that of "{second}" {medians[1]}.', PLAIN)


# -- metrics ----------------------------------------------------------------------------------------


def metrics_section(s: Sides) -> Section:
    """Return how the metrics differ."""
    section = Section("metrics", "Metrics")
    levels, left_out = _levels(s)
    table = compared_metrics(levels, s.alpha)
    section.frames["metrics"] = table
    if left_out:
        names = ", ".join(dict.fromkeys(left_out))
        section.remarks.append(f"Left out, because their values depend on the other rows of a project: {names}.")
    missing = [n for n, x in zip(s.names, s.both, strict=True) if not x.measured]
    if missing:
        named = " and ".join(f'"{n}"' for n in missing)
        section.notes.append(f"No metrics of the images of {named} were computed yet. Call `p.compute()`.")
    if table.is_empty():
        section.notes.append("There is no metric that both have, with more than one value.")
        return section
    for level in levels:
        _metrics_sentence(section, level.level, table.filter(pl.col("level") == level.level))
    significant = table.filter("significant").height
    section.facts += [
        ("metrics", f"{table.height}", ""), ("differ significantly", f"{significant}", f"at {percent(s.alpha, 1)}"),
        ("largest distance (KS)", f"{table['ks'][0]:.2f}", str(table["metric"][0])),
    ]  # fmt: skip
    _metrics_charts(s, section, levels, table)
    shown = table.with_columns(what=pl.format("{} of {}", "metric", pl.col("level").replace(_OF)))
    columns = [
        Column("what", "metric"), Column("median_a", f"median, {s.names[0]}", ".3g"),
        Column("median_b", f"median, {s.names[1]}", ".3g"), Column("ks", "KS", ".2f"),
        Column("delta", "Cliff's delta", "+.2f"), Column("p_adjusted", "p, corrected", ".2g"),
    ]  # fmt: skip
    section.blocks.append(Rows(f"All {table.height} metrics", shown, columns, most=120, folded=True))
    section.remarks.append(
        "KS: the largest distance of the two distribution functions, 0 = same, 1 = no value in common. Cliff's delta: "
        f"how much more often a value of {s.names[1]} is above one of {s.names[0]} than below. p-values: two-sample "
        "Kolmogorov–Smirnov, corrected for the number of metrics by Benjamini and Hochberg; conservative where values "
        "are tied."
    )
    return section


def _levels(s: Sides) -> tuple[list[Numbers], list[str]]:
    out, left_out = [], []
    for level in (ITEM, OBJECT, CLASSIFICATION):
        frames = [x.frame if level == ITEM else x.objects if level == OBJECT else x.answers for x in s.both]
        computed = [list(x.project._snapshot().levels[level].metrics) for x in s.both]
        if level == ITEM:  # known of images that were never computed
            computed = [[*(c for c in _SIZES if c not in names), *names] for names in computed]
        names, relative = shared_metrics(frames[0], frames[1], (computed[0], computed[1]), one_project=s.one_project)
        left_out += relative
        if names:
            out.append(Numbers(level, frames[0], frames[1], names))
    return out, left_out


def _metrics_sentence(section: Section, level: str, table: pl.DataFrame) -> None:
    if table.is_empty():
        return
    of, n = _OF[level], table.height
    differ = table.filter("significant")
    if differ.is_empty():
        one = f"The only metric of {of}, {table['metric'][0]}, does not differ significantly."
        section.say(one if n == 1 else f"None of the {n} metrics of {of} differs significantly.", GOOD)
        return
    named = [
        f"{r['metric']} (median {number(r['median_a'])} → {number(r['median_b'])}, KS {r['ks']:.2f})"
        for r in differ.head(_MOST_NAMED).iter_rows(named=True)
    ]
    slight = float(differ["ks"][0]) < LARGE
    how = ", slightly" if slight else ", most" if differ.height > 1 else ":"
    what = f"{differ.height} of {n} metrics of {of} {'differs' if differ.height == 1 else 'differ'}"
    what = what if n > 1 else f"The only metric of {of} differs"
    section.say(f"{what} significantly{how} {', '.join(named)}.", PLAIN if slight else WARN)


def _metrics_charts(s: Sides, section: Section, levels: list[Numbers], table: pl.DataFrame) -> None:
    titles = {(str(spec.level), spec.name): (spec.title, spec.unit) for level in _OF for spec in registered(level)}
    bars = []
    for level in table["level"].unique(maintain_order=True):
        named = table.filter(pl.col("level") == level).with_columns(name=pl.col("metric"), effect=pl.col("ks"))
        if named.height == 1:  # it has its histograms below
            continue
        title = f"How far metrics of {_OF[level]} lie apart (KS)"
        bars.append((f"metrics of {_OF[level]}", partial(effects, named, title)))
    section.blocks.append(Charts(bars, wide=True))
    frames = {x.level: x for x in levels}
    charts = []
    for row in table.head(_MOST_DRAWN).iter_rows(named=True):
        level, metric = frames[row["level"]], row["metric"]
        title, unit = titles.get((level.level, metric), (metric, ""))
        if level.level != ITEM:
            title = f"{title}, {_OF[level.level]}"
        name = f"{level.level} {metric}" if level.level != ITEM else metric
        note = f"KS {row['ks']:.2f}" + ("" if row["significant"] else ", not significant")
        values = finite(level.a[metric]), finite(level.b[metric])
        charts.append((name, partial(two_histograms, *values, s.names, title, note, unit)))
    section.blocks.append(Charts(charts, "The metrics that differ most"))


# -- embeddings -------------------------------------------------------------------------------------


def embeddings_section(s: Sides, embedding: str | None) -> Section:
    """Return how the vectors differ."""
    section = Section("embeddings", "Embeddings")
    found: list[EmbeddingShift] = []
    for name in _common(s, section, embedding):
        sets = [x.project.embeddings[name] for x in s.both]
        shift = compared_embeddings(sets[0], sets[1], (s.a.items.rows, s.b.items.rows), seed=s.seed)
        if shift is None:
            section.notes.append(f'"{name}" is not compared: a side has fewer than {LEAST_VECTORS} vectors.')
        else:
            found.append(shift)
    section.frames["embeddings"] = pl.DataFrame([shift.row() for shift in found], schema=EMBEDDINGS)
    for shift in found:
        _embedding_sentence(s, section, shift)
    if found:
        _embedding_blocks(s, section, found)
    return section


def _common(s: Sides, section: Section, embedding: str | None) -> list[str]:
    """Return the embeddings that can be compared; say why others cannot."""
    first, second = (x.project.embeddings for x in s.both)
    both = [name for name in first if name in second]
    if embedding is not None:
        if embedding not in both:
            raise unknown("embedding of both", embedding, both)
        both = [embedding]
    out = []
    for name in both:
        made = [sets.made_by(name) for sets in (first, second)]
        if first[name].dim != second[name].dim or (all(made) and made[0] != made[1]):
            section.notes.append(f'"{name}" is not compared: it is made by other models in the two projects.')
        else:
            out.append(name)
    if not both:
        section.notes.append("There is no embedding that both have. `p.compute()` makes the built-in one.")
    if len(out) > _MOST_EMBEDDINGS:
        section.remarks.append(f"The first {_MOST_EMBEDDINGS} embeddings are compared; `embedding=` chooses one.")
    return out[:_MOST_EMBEDDINGS]


def _embedding_sentence(s: Sides, section: Section, shift: EmbeddingShift) -> None:
    by = f'By the embedding "{shift.name}"'
    if shift.p_value > s.alpha:
        section.say(f"{by} the images do not differ significantly ({said_p(shift.p_value)}).", GOOD)
        return
    section.say(
        f"{by} the images differ ({said_p(shift.p_value)}): {percent(shift.own, 1)} of an image's nearest ones are of "
        "its own set; 50 % would be if nothing told the sets apart.",
        WARN if shift.own >= 0.5 + LARGE else PLAIN,
    )


def _embedding_blocks(s: Sides, section: Section, found: list[EmbeddingShift]) -> None:
    first = found[0]
    section.facts += [
        ("nearest of the own set", percent(first.own, 1), "50 % = alike"),
        ("discrepancy (MMD²)", f"{first.squared:.2g}".replace("-", "−"), said_p(first.p_value)),
    ]  # fmt: skip
    charts = []
    for shift in found:
        in_b = np.arange(len(shift.points)) >= shift.rows_a.size
        # Drawn at random, so the first of each are any; a picture of all would be heavy.
        shown = np.r_[np.flatnonzero(~in_b)[:_MOST_POINTS], np.flatnonzero(in_b)[:_MOST_POINTS]]
        points = np.asarray(shift.points[shown], np.float64)
        title = f'Both by "{shift.name}"'
        make = partial(two_maps, points, in_b[shown], s.names, title, "first two principal components")
        charts.append((f"map of {shift.name}", make))
    section.blocks.append(Charts(charts, wide=True))
    if len(found) > 1:
        columns = [Column("embedding"), Column("own_neighbours", "nearest of the own set", "share"),
                   Column("mmd_squared", "MMD²", ".2g"), Column("p_value", "p", ".2g")]  # fmt: skip
        section.blocks.append(Rows("Embeddings", section.frames["embeddings"], columns))
    _least_alike(section, s.a, first.name, farthest(s.a.frame, first.rows_a, first.nearest_a, MOST_TILES), s.names)
    _least_alike(
        section, s.b, first.name, farthest(s.b.frame, first.rows_b, first.nearest_b, MOST_TILES), s.names[::-1]
    )
    drawn = f", {MOST_VECTORS:,} of each set" if max(first.rows_a.size, first.rows_b.size) == MOST_VECTORS else ""
    section.remarks.append(
        f"MMD: the maximum mean discrepancy with a Gaussian kernel{drawn}; its p-value is by {PERMUTATIONS} mixtures "
        "of both (Gretton et al. 2012)."
    )


def _least_alike(section: Section, side: Subject, embedding: str, rows: pl.DataFrame, names: Sequence[str]) -> None:
    rows = rows.filter(pl.col("distance") > 0)
    note = f'by "{embedding}", the farthest from any of {names[1]} first'
    section.blocks.append(Pictures(f"Of {names[0]}, least like {names[1]}", note, partial(_tiles, side, rows)))


def _tiles(side: Subject, rows: pl.DataFrame) -> list[Tile]:
    return tiles_of(side.project, rows, [f"distance {number(v)}" for v in rows["distance"]])


# -- classes ----------------------------------------------------------------------------------------


def classes_section(s: Sides) -> Section:
    """Return how the shares of classes differ."""
    section = Section("classes", "Classes")
    pairs = [("object", s.a.objects, s.b.objects), ("label", s.a.answers, s.b.answers)]
    for noun, a, b in pairs:
        shift = compared_classes(a, b, seed=s.seed)
        if shift is not None:
            key = "image_classes" if "classes" in section.frames else "classes"
            section.frames[key] = shift.frame
            _classes(s, section, shift, noun, "Classes of images" if key != "classes" else "Classes")
    if "classes" not in section.frames:
        section.frames["classes"] = pl.DataFrame(schema=CLASSES)
        none = [f'"{n}"' for n, x in zip(s.names, s.both, strict=True) if not x.objects.height + x.answers.height]
        why = (
            f"{' and '.join(none)} {'have' if len(none) > 1 else 'has'} no labels"
            if none
            else "labels are of two kinds"
        )
        section.notes.append(f"Classes are not compared: {why}.")
    return section


def _classes(s: Sides, section: Section, shift: ClassShift, noun: str, title: str) -> None:
    frame, (first, second) = shift.frame, s.names
    top = frame.row(0, named=True)
    changed = (
        f'most changed is "{top[CLASS_NAME]}", {percent(top["share_a"], 1)} of the {noun}s of "{first}" and '
        f'{percent(top["share_b"], 1)} of those of "{second}"'
    )
    if frame.height == 1:
        section.say(f'Both have one class, "{top[CLASS_NAME]}".')
    elif shift.p_value > s.alpha:
        section.say(f"The shares of the {frame.height} classes do not differ significantly "
                    f"({said_p(shift.p_value)}).", GOOD)  # fmt: skip
    else:
        section.say(
            f"The shares of classes differ by {percent(shift.distance, 1)} of the {noun}s ({said_p(shift.p_value)}); "
            f"{changed}.",
            WARN if shift.distance >= LARGE else PLAIN,
        )
    for mine, other, column in ((first, second, "count_b"), (second, first, "count_a")):
        alone = frame.filter(pl.col(column) == 0)
        if alone.height:
            count = "count_a" if column == "count_b" else "count_b"
            alone = alone.sort(count, CLASS_NAME, descending=[True, False])
            named = ", ".join(f'"{c}"' for c in alone[CLASS_NAME].head(_MOST_NAMED))
            more = f" and {alone.height - _MOST_NAMED} more" if alone.height > _MOST_NAMED else ""
            section.say(f'{counted(alone.height, "class")} of "{mine}" {"is" if alone.height == 1 else "are"} not in '
                        f'"{other}": {named}{more}.', WARN)  # fmt: skip
    section.facts.append((f"classes of {noun}s" if noun == "object" else "classes of images", f"{frame.height}", ""))
    section.facts.append(("shares differ by", percent(shift.distance, 1), said_p(shift.p_value)))
    if frame.height > 1:
        section.blocks.append(Charts([(title.lower(), partial(two_shares, frame, s.names, title))], wide=True))
    columns = [Column(CLASS_NAME, "class"), Column("count_a", first, ",d"), Column("share_a", "share", "share"),
               Column("count_b", second, ",d"), Column("share_b", "share", "share")]  # fmt: skip
    section.blocks.append(Rows(f"All {frame.height} classes", frame, columns, most=200, folded=True))
