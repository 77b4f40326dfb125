"""The sections on labels that are probably wrong, and on pictures that are there twice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..errors import EawError
from ..models.mistakes import label_errors
from ..pages.html import Column, counted, percent
from ..pages.pictures import Tile, file_name, tiles_of
from ..schema import CLASSIFICATION, DUPLICATE_GROUP, ITEM, ITEM_ID, OBJECT, URI
from .report_parts import GOOD, MOST_TILES, PLAIN, WARN, Pictures, Rows, Section, Stacks, Subject, share

if TYPE_CHECKING:
    from ..curation.duplicates import Duplicates
    from ..models.evaluated import Evaluation
    from ..view import View

_MOST_STACKS, _MOST_IN_A_STACK = 9, 6
_KINDS = {
    "missed": "missing", "spurious": "on nothing", "location": "badly placed", "class": "of the wrong class",
    "duplicate": "drawn twice",
}  # fmt: skip
_TWO_OF_A_KIND = 2


def errors_section(s: Subject, evaluated: dict[str, Evaluation]) -> Section:
    """Return which labels are probably wrong: by the first run that can be evaluated, else by neighbours."""
    section = Section("label_errors", "Label errors")
    total = s.objects.height + s.answers.height
    if not total or not s.n:
        section.notes.append("There are no labels to judge. `p.add_labels(…)` adds them.")
        return section
    run = next(iter(evaluated), None)
    try:
        found = label_errors(s.project, run, view=_scope(s))
    except EawError as error:
        section.notes.append(f"Labels cannot be judged: {error}")
        return section
    frame = found.df
    likely = frame.filter("likely")
    if run is None or getattr(evaluated.get(run), "kind", "") == "classification":
        total = (s.answers if found.level in (ITEM, CLASSIFICATION) else s.objects).height or total
    else:
        total = s.objects.height
    by = f'run "{run}"' if run is not None else "their neighbours"
    section.frames["label_errors"] = frame
    kinds = _by_kind(frame)
    section.frames["label_errors_by_kind"] = kinds
    missed = likely.filter(pl.col("kind") == "missed").height
    section.facts.append(("probably wrong", f"{likely.height - missed:,}", f"of {total:,}"))
    if missed:
        section.facts.append(("probably missing", f"{missed:,}", ""))
    section.facts.append(("judged by", by, ""))
    if run is None:
        section.remarks.append(
            "A model sees more than neighbours do: with `p.add_predictions(…)`, of one that did not learn from these "
            "labels, missing and badly placed labels are found too."
        )
    if likely.is_empty():
        section.say(f"No label is probably wrong, judged by {by}.", GOOD)
        return section
    section.say(_sentence(likely, kinds, total, by), WARN if likely.height > 0.02 * total else PLAIN)
    if kinds.filter(pl.col("likely") > 0).height > 1:
        columns = [
            Column("what", "what is wrong"),
            Column("likely", "probably", ",d"),
            Column("errors", "suspected", ",d"),
        ]
        section.blocks.append(Rows("Kinds", kinds.filter(pl.col("errors") > 0), columns))
    confused = _confused(likely)
    section.frames["label_errors_classes"] = confused
    if confused.height:
        columns = [Column("given", "labelled"), Column("suggested", "probably"), Column("count", "labels", ",d")]
        section.blocks.append(Rows("Classes taken for another", confused, columns, most=10))
    shown = _shown(likely)
    section.blocks.append(
        Pictures("Most probably wrong", "the worst of each kind, one an image",
                 partial(_tiles, s, shown, boxes=found.level != ITEM and "x" in shown.columns))
    )  # fmt: skip
    call = f'p.label_errors("{run}").review()' if run is not None else "p.label_errors().review()"
    section.remarks.append(f"`{call}` asks about each; a review is one edit that can be undone.")
    return section


def _scope(s: Subject) -> View:
    return s.given if s.given.level in (OBJECT, CLASSIFICATION) else s.items


def _by_kind(frame: pl.DataFrame) -> pl.DataFrame:
    counts = frame.group_by("kind").agg(pl.len().cast(pl.Int64).alias("errors"), pl.col("likely").sum().cast(pl.Int64))
    what = pl.col("kind").replace_strict(_KINDS, default=pl.col("kind")).alias("what")
    return counts.with_columns(what).sort("likely", "kind", descending=[True, False])


def _sentence(likely: pl.DataFrame, kinds: pl.DataFrame, total: int, by: str) -> str:
    n = likely.height
    verb = "is" if n == 1 else "are"
    missed = likely.filter(pl.col("kind") == "missed").height
    # A missing label is none of the labels there are, so the share is of what is there.
    said = (
        f"{share(n - missed, total, 'labels')} {verb} probably wrong, judged by {by}"
        if n > missed
        else f"No label is probably wrong, judged by {by}"
    )
    named = [f"{c:,} {what}" for what, c, kind in kinds.select("what", "likely", "kind").iter_rows()
             if c and kind != "missed"]  # fmt: skip
    if len(named) > 1:
        said += f": {', '.join(named)}"
    else:
        confused = _confused(likely)
        if confused.height and confused["count"][0] >= _TWO_OF_A_KIND:
            a, b, c = confused.row(0)
            said += f', most often "{a}" that should be "{b}" ({c:,})'
    if missed:
        said += f"; {counted(missed, 'label')} {'is' if missed == 1 else 'are'} probably missing"
    return said + "."


def _confused(likely: pl.DataFrame) -> pl.DataFrame:
    rows = likely.filter(pl.col("kind") == "class").drop_nulls(["given", "suggested"])
    counts = rows.group_by("given", "suggested").agg(pl.len().cast(pl.Int64).alias("count"))
    return counts.sort("count", "given", "suggested", descending=[True, False, False])


def _shown(likely: pl.DataFrame) -> pl.DataFrame:
    """Return the worst of each kind in turns, each image once."""
    worst = likely.sort("score", descending=True, maintain_order=True)
    worst = worst.unique(ITEM_ID, keep="first", maintain_order=True)
    return worst.sort(pl.int_range(pl.len()).over("kind"), maintain_order=True).head(MOST_TILES)


def _tiles(s: Subject, shown: pl.DataFrame, *, boxes: bool) -> list[Tile]:
    names, why = [], []
    for row in shown.iter_rows(named=True):
        given, suggested = row["given"], row["suggested"]
        names.append(f"{given or 'nothing'} → {suggested}" if suggested else str(given or row["kind"]))
        why.append(_without_ids(f"{row['reason']} · score {row['score']:.2f}", row))
    return tiles_of(s.project, shown, why, boxes=boxes, names=names)


def _without_ids(text: str, row: dict[str, Any]) -> str:
    """Leave out ids that stand in a reason: they say nothing to a reader."""
    item = str(row.get(ITEM_ID, ""))
    words = [w for w in text.split(" ") if not (item and w.startswith(f"{item}:"))]
    return " ".join(words)


# -- duplicates -------------------------------------------------------------------------------------


def duplicates_section(s: Subject) -> Section:
    """Return the groups of pictures that show the same, and those that lie in several splits."""
    section = Section("duplicates", "Duplicates")
    if not s.n:
        section.notes.append("There are no images here.")
        return section
    try:
        found = s.project.duplicates(view=s.items)
    except EawError as error:
        section.notes.append(f"Duplicates are not known yet: {error}")
        return section
    groups = found.groups
    section.frames["duplicates"], section.frames["duplicate_groups"] = found.df, groups
    spare = found.df.height - len(found)
    leaks = int(groups["leak"].sum()) if groups.height else 0
    section.facts += [
        ("groups", f"{len(found):,}", ""),
        ("could go", f"{spare:,}", percent(spare, s.n) if spare else ""),
    ]
    from ..curation.duplicates import split_column

    split = split_column(s.frame)
    several = split is not None and s.frame[split].drop_nulls().n_unique() > 1
    section.facts.append(
        ("in several splits", f"{leaks:,}" if several else "–", "" if several else "there are no splits")
    )
    if not len(found):
        section.say("No image is a duplicate of another.", GOOD)
        return section
    kinds = groups["kind"].value_counts(sort=True)
    named = ", ".join(f"{n:,} {kind}" for kind, n in kinds.iter_rows())
    section.say(
        f"{share(spare, s.n, 'images')} could go: {counted(len(found), 'group')} of duplicates ({named}).",
        WARN if spare > 0.01 * s.n else PLAIN,
    )  # fmt: skip
    if several:
        if leaks:
            verb = "lies" if leaks == 1 else "lie"
            section.say(
                f"{counted(leaks, 'group')} {verb} in several splits: a model is tested on what it has seen.", WARN
            )
            section.frames["leaks"] = found.leaks.df
        else:
            section.say("No group of duplicates lies in several splits.", GOOD)
    section.blocks.append(
        Stacks("Stacks", "leaks first, then the largest", partial(_stacks, s, found, split if several else None))
    )
    section.remarks.append('`p.duplicates().keep("sharpest").tag("drop")` tags all but the sharpest of each group.')
    return section


def _stacks(s: Subject, found: Duplicates, split: str | None) -> list[tuple[str, list[Tile]]]:
    order = found.groups.sort("leak", "size", "duplicate_group", descending=[True, True, False]).head(_MOST_STACKS)
    out = []
    for group in order.iter_rows(named=True):
        rows = found.df.filter(pl.col(DUPLICATE_GROUP) == group[DUPLICATE_GROUP])
        shown = rows.head(_MOST_IN_A_STACK)
        why = [_told(row, split) for row in shown.iter_rows(named=True)]
        more = f", {group['size'] - shown.height:,} more" if group["size"] > shown.height else ""
        leak = ", in several splits" if group["leak"] else ""
        title = f"{group['size']:,} {group['kind']}{more}{leak}"
        names = [file_name(str(u)) for u in shown[URI]]
        out.append((title, tiles_of(s.project, shown, why, names=names)))
    return out


def _told(row: dict[str, Any], split: str | None) -> str:
    parts = [str(row[split])] if split and row.get(split) else []
    if row["distance"] is not None and np.isfinite(row["distance"]):
        parts.append("equal file" if row["kind"] == "exact" else f"distance {row['distance']:.3f}")
    return " · ".join(parts)


__all__ = ["duplicates_section", "errors_section"]
