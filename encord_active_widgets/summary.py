"""What a project prints: counts, sizes, the worst issues and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from .computing.label_stage import is_behind
from .schema import CLASS_NAME, DUPLICATE_GROUP, OBJECT
from .store.fold import DECISIONS

if TYPE_CHECKING:
    from .content.levels import Level
    from .project import Project

_MEGAPIXEL = 1e6
_LOW_SHARPNESS = 0.65
"""Between photos as they are (0.70 and more) and the same blurred by 0.5 % of their long side (median 0.58)."""
_LEAST_SIDE_PX = 256
_DARK = 0.2
_BRIGHT = 0.9
_MOST_TAGS = 6
_LOW_QUALITY = 0.1
QUALITY = "class_quality"


def describe(project: Project) -> str:
    """Describe a project in a few lines of plain text."""
    snapshot = project._snapshot()
    level = snapshot.items
    frame = level.alive_frame()
    lines = [f"Project {project.name!r} · {frame.height:,} images · {project.path}"]
    lines += _sizes(frame)
    lines += _labels(frame, snapshot.levels[OBJECT])
    lines += _runs(project)
    lines += _tags(level)
    lines += _issues(frame)
    lines += _label_issues(frame, snapshot.levels[OBJECT])
    lines += _reviewed(project)
    problems = project.problems.height
    if problems:
        lines.append(f"  problems    {problems:,} listed in p.problems")
    lines.append(f"  next        {_next(level, project)}")
    return "\n".join(lines)


def _sizes(frame: pl.DataFrame) -> list[str]:
    known = frame.drop_nulls(["width", "height"]) if "width" in frame.columns else frame.clear()
    if known.is_empty():
        return []
    small, large = known.sort("area")[0], known.sort("area")[-1]
    total = float(known["area"].cast(pl.Float64).sum() or 0) / _MEGAPIXEL
    span = f"{small['width'][0]}×{small['height'][0]} to {large['width'][0]}×{large['height'][0]} px"
    return [f"  size        {span}, {total:,.1f} megapixels in all" if total >= 0.05 else f"  size        {span}"]


def _labels(frame: pl.DataFrame, objects: Level) -> list[str]:
    lines = []
    if CLASS_NAME in frame.columns:
        named = frame[CLASS_NAME].drop_nulls()
        without = frame.height - named.len()
        counts = named.value_counts(sort=True)
        top = ", ".join(f"{c} {n:,}" for c, n in counts.head(5).iter_rows())
        more = f"{' …' if counts.height > 5 else ''}{f' ({without:,} images have none)' if without else ''}"
        if counts.height:
            lines.append(f"  classes     {counts.height:,}: {top}{more}")
    alive = objects.alive_frame()
    if alive.height:
        counts = alive[CLASS_NAME].value_counts(sort=True)
        top = ", ".join(f"{c} {n:,}" for c, n in counts.head(5).iter_rows())
        lines.append(
            f"  objects     {alive.height:,} in {counts.height:,} class{'' if counts.height == 1 else 'es'}: {top}"
        )
    return lines


def _runs(project: Project) -> list[str]:
    runs = list(project._snapshot().runs.values())
    if not runs:
        return []
    shown = ", ".join(f"{r.name} {r.predictions:,}" for r in runs[:_MOST_TAGS])
    more = f" and {len(runs) - _MOST_TAGS} more" if len(runs) > _MOST_TAGS else ""
    return [f"  predictions {shown}{more}"]


def _tags(level: Level) -> list[str]:
    if not level.edits.tags:
        return []
    parts = [f"{k} {int(v.sum()):,}" for k, v in list(level.edits.tags.items())[:_MOST_TAGS]]
    more = len(level.edits.tags) - _MOST_TAGS
    return [f"  tags        {', '.join(parts)}{f' and {more} more' if more > 0 else ''}"]


def _issues(frame: pl.DataFrame) -> list[str]:
    if "sharpness" not in frame.columns:
        return []
    found = [
        ("blurry", _blurry(frame), f"sharpness < {_LOW_SHARPNESS}"),
        ("dark", frame.filter(pl.col("brightness") < _DARK).height, f"brightness < {_DARK}"),
        ("overexposed", frame.filter(pl.col("brightness") > _BRIGHT).height, f"brightness > {_BRIGHT}"),
    ]
    if DUPLICATE_GROUP in frame.columns:
        grouped = frame.filter(pl.col(DUPLICATE_GROUP).is_not_null())
        spare = grouped.height - grouped[DUPLICATE_GROUP].n_unique()
        found.append(("duplicates", max(spare, 0), "p.duplicates()"))
    shown = [f"{n:,} {what} ({how})" for what, n, how in found if n]
    return [f"  issues      {'; '.join(shown) if shown else 'none of the common ones'}"]


def _label_issues(items: pl.DataFrame, level: Level) -> list[str]:
    """Name what is odd about the labels, and how to see it."""
    frame = level.alive_frame()
    found = []
    if DUPLICATE_GROUP in frame.columns:
        grouped = frame.filter(pl.col(DUPLICATE_GROUP).is_not_null())
        spare = grouped.height - grouped[DUPLICATE_GROUP].n_unique()
        found.append((f"{spare:,} drawn twice (objects: max_iou_same_class)", spare))
    if QUALITY in frame.columns:
        odd = frame.filter(pl.col(QUALITY) < _LOW_QUALITY).height
        found.append((f"{odd:,} unlike their class (objects: {QUALITY} < {_LOW_QUALITY})", odd))
    if "missing_objects" in items.columns:
        lacking = items.filter(pl.col("missing_objects") > 0).height
        found.append((f"{lacking:,} frames lack objects (missing_objects > 0)", lacking))
    shown = [text for text, n in found if n]
    return [f"  labels      {'; '.join(shown)}"] if shown else []


def _reviewed(project: Project) -> list[str]:
    """Say what reviews answered, at all levels."""
    state = project._reader.log.state
    counts = dict.fromkeys(DECISIONS[1:], 0)
    for edits in state.levels.values():
        for codes in edits.verdicts.values():
            for code, name in enumerate(DECISIONS[1:], 1):
                counts[name] += int((codes == code).sum())
    shown = ", ".join(f"{name} {n:,}" for name, n in counts.items() if n)
    return [f"  reviewed    {shown} (p.changes())"] if shown else []


def _blurry(frame: pl.DataFrame) -> int:
    """Count blurred images; smaller ones than the working size of the metric are another scale."""
    large = pl.max_horizontal("width", "height") >= _LEAST_SIDE_PX
    return frame.filter(pl.col("sharpness") < _LOW_SHARPNESS, large).height


def _next(level: Level, project: Project) -> str:
    if level.alive_frame().is_empty():
        return "p.add_images(…)" + (" · p.problems" if project.problems.height else "")
    if "sharpness" not in level.metrics:
        return "p.compute() for metrics, duplicates and a map"
    if not project.embeddings:
        return "p.compute()"
    if is_behind(project):
        return "p.compute(), for labels have changed since their metrics were computed"
    run = next(iter(project._snapshot().runs), None)
    wrong = f" · p.label_errors({run!r}).review()" if run is not None else ""
    return f"p.explore() · p.outliers() · p.duplicates(){wrong}"
