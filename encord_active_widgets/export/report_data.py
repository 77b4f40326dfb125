"""The section on data: how many images, of which size and format, how their metrics lie, and the odd ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import PurePath
from typing import Any

import polars as pl

from ..charts.distributions import histogram
from ..charts.offline import OfflineChart
from ..curation.duplicates import split_column
from ..metrics.outliers import outliers
from ..metrics.registry import MetricSpec, registered
from ..pages.html import Column, counted, number, percent
from ..pages.pictures import Tile, tiles_of
from ..project import QUALITY_METRICS
from ..schema import ITEM, ORDINAL, URI
from .report_parts import (
    GOOD,
    LEAST_SHARPNESS_SIDE_PX,
    MOST_TILES,
    PLAIN,
    WARN,
    Charts,
    Pictures,
    Rows,
    Section,
    Subject,
    mostly,
    rounded,
    share,
    spread,
)

DRAWN = ("brightness", "contrast", "sharpness", "entropy", "saturation", "aspect_ratio", "file_size", "uniqueness")
"""Metrics that are drawn; those of a user's own come besides."""
_MOST_DRAWN = 12
_COMPUTE = "Call `p.compute()` for metrics, duplicates and a map."
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def data_section(s: Subject) -> Section:
    """Return what there is to say of the images."""
    section = Section("data", "Data")
    if not s.n:
        section.notes.append("There are no images here. Add some with `p.add_images(…)`, or look at another view.")
        section.frames["images"] = s.frame
        return section
    section.facts += _facts(s)
    _splits(s, section)
    _unreadable(s, section)
    if not s.measured:
        _problems(s, section)
        section.notes.append(f"No metrics of the images were computed yet. {_COMPUTE}")
        return section
    issues = _issues(s, section)
    _distributions(s, section)
    _examples(s, section, issues)
    _outliers(s, section)
    _problems(s, section)
    return section


def _facts(s: Subject) -> list[tuple[str, str, str]]:
    total = len(s.project.items)
    out = [("images", f"{s.n:,}", "" if s.whole else f"of {total:,}")]
    sized = s.frame.drop_nulls(["width", "height"])
    if sized.height:
        widths, heights = sized["width"], sized["height"]
        pairs = sized.select("width", "height").unique().height
        middle = f"{rounded(widths)} × {rounded(heights)} px"
        least, most = sized.sort("area")[0], sized.sort("area")[-1]
        spread_ = f"{least['width'][0]} × {least['height'][0]} to {most['width'][0]} × {most['height'][0]}"
        out.append(("size" if pairs == 1 else "size (median)", middle, "" if pairs == 1 else spread_))
    formats = s.frame[URI].map_elements(_format, pl.String).value_counts(sort=True)
    names = [f"{name}" for name, _ in formats.head(2).iter_rows()]
    more = f"and {formats.height - 2} more" if formats.height > 2 else ""
    if formats.height > 1:
        more = ", ".join(f"{name} {n:,}" for name, n in formats.head(4).iter_rows())
    out.append(("format" if formats.height == 1 else "formats", ", ".join(names), more))
    if "file_size" in s.frame.columns and s.frame["file_size"].drop_nulls().len():
        out.append(("files", _size(float(s.frame["file_size"].sum())), ""))
    if "grayscale" in s.frame.columns:
        grey = int((s.frame["grayscale"] == 1).sum())
        out.append(("greyscale", f"{grey:,}", percent(grey, s.n) if grey else ""))
    return out


def _format(uri: str) -> str:
    suffix = PurePath(re.split(r"[?#]", uri, maxsplit=1)[0]).suffix.lstrip(".").upper()
    return {"JPG": "JPEG", "TIF": "TIFF"}.get(suffix, suffix) or "other"


def _size(n: float) -> str:
    for size, unit in _UNITS:
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f} B"


def _splits(s: Subject, section: Section) -> None:
    column = split_column(s.frame)
    if column is None:
        return
    counts = s.frame[column].value_counts(sort=True).rename({column: "split", "count": "images"})
    counts = counts.with_columns((pl.col("images") / s.n).alias("share"), pl.col("split").fill_null("none"))
    section.frames["splits"] = counts
    section.blocks.append(
        Rows("Splits", counts, [Column("split"), Column("images", form=",d"), Column("share", form="share")])
    )


def _unreadable(s: Subject, section: Section) -> None:
    if s.measured:
        broken = s.frame.filter(pl.col("brightness").is_null())
        section.facts.append(("unreadable", f"{broken.height:,}", ""))
        if broken.height:
            section.say(f"{share(broken.height, s.n, 'images')} cannot be read{mostly(broken, s)}.", WARN)
            section.frames["unreadable"] = broken


def _problems(s: Subject, section: Section) -> None:
    problems = s.project.problems
    if problems.height:
        section.frames["problems"] = problems
        found = counted(problems.height, "row") if problems.height == 1 else f"{problems.height:,} rows"
        section.say(f"{found} of the source could not be used as they were (`p.problems`).", WARN)
        columns = [Column("where"), Column("what"), Column("why"), Column("remedy")]
        section.blocks.append(Rows(f"Problems ({problems.height:,})", problems, columns, most=12, folded=True))


# -- what is wrong ----------------------------------------------------------------------------------


def _issues(s: Subject, section: Section) -> list[tuple[str, str, pl.DataFrame]]:
    """Count dark, overexposed and blurred images; return what, by which metric, and the rows, the worst first."""
    at, f = s.thresholds, s.frame
    kinds: list[tuple[str, str, str, pl.DataFrame]] = [
        ("dark", "brightness", f"darker than a brightness of {at['dark']:g}",
         f.filter(pl.col("brightness") < at["dark"]).sort("brightness")),
        ("overexposed", "brightness", f"brighter than {at['overexposed']:g}",
         f.filter(pl.col("brightness") > at["overexposed"]).sort("brightness", descending=True)),
    ]  # fmt: skip
    large = f.filter(pl.max_horizontal("width", "height") >= LEAST_SHARPNESS_SIDE_PX)
    if large.height:
        blurred = large.filter(pl.col("sharpness") < at["sharpness"]).sort("sharpness")
        kinds.append(("blurred", "sharpness", f"blurred (sharpness below {at['sharpness']:g})", blurred))
    rows, out = [], []
    for name, metric, words, faulty in kinds:
        where = mostly(faulty, s)
        rows.append({"issue": name, "images": faulty.height, "share": faulty.height / s.n, "where": where.strip("; ")})
        if faulty.height:
            verb = "is" if faulty.height == 1 else "are"
            section.say(f"{share(faulty.height, s.n, 'images')} {verb} {words}{where}.", WARN)
            out.append((name, metric, faulty))
    schema = {"issue": pl.String, "images": pl.Int64, "share": pl.Float64, "where": pl.String}
    section.frames["issues"] = pl.DataFrame(rows, schema=schema)
    clean = [name for name, _, _, faulty in kinds if not faulty.height]
    if clean:
        last = clean[-1] if len(clean) == 1 else f"{', '.join(clean[:-1])} or {clean[-1]}"
        section.say(f"Of {counted(s.n, 'image')} none is {last}.", GOOD)
    if not large.height:
        section.notes.append(
            f"Sharpness is not judged: no image has a side of {LEAST_SHARPNESS_SIDE_PX} px, and for smaller ones it is "
            "another scale."
        )
    return out


def _distributions(s: Subject, section: Section) -> None:
    specs = {spec.name: spec for spec in registered(ITEM)}
    names = [c for c in s.project._snapshot().items.metrics if c in s.frame.columns and _is_number(s.frame[c])]
    table = metric_table(s.frame, names, specs)
    section.frames["metrics"] = table
    own = [n for n in names if n not in specs or specs[n].custom]
    drawn = [n for n in (*DRAWN, *own) if n in names and varies(s.frame[n])][:_MOST_DRAWN]
    charts = [(f"{n}", partial(metric_chart, s.frame[n], specs.get(n), n, s.thresholds)) for n in drawn]
    if charts:
        section.blocks.append(Charts(charts, "How the metrics lie"))
    section.blocks.append(Rows(f"All {table.height} metrics of images", table, METRIC_COLUMNS, most=60, folded=True))


METRIC_COLUMNS = (
    Column("metric"), Column("unit"), Column("p05", "5 % below", ".3g"), Column("median", form=".3g"),
    Column("p95", "95 % below", ".3g"), Column("missing", form=",d"), Column("direction", "what it says"),
)  # fmt: skip


def metric_table(frame: pl.DataFrame, names: Sequence[str], specs: dict[str, MetricSpec]) -> pl.DataFrame:
    """Return one row a metric: unit, direction, quantiles, and how many values are missing."""
    rows: list[dict[str, Any]] = []
    for name in names:
        spec = specs.get(name)
        rows.append({
            "metric": name, "unit": spec.unit if spec else "", "direction": spec.direction if spec else "",
            **spread(frame[name]),
        })  # fmt: skip
    schema = {
        "metric": pl.String, "unit": pl.String, "direction": pl.String, "values": pl.Int64, "missing": pl.Int64,
        "p05": pl.Float64, "median": pl.Float64, "p95": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def metric_chart(values: pl.Series, spec: MetricSpec | None, name: str, at: dict[str, float]) -> OfflineChart:
    """Draw one metric; what is called faulty in orange."""
    limits: dict[str, float] = {}
    if name == "brightness":
        limits = {"below": at["dark"], "above": at["overexposed"]}
    title = spec.title if spec else name
    note = spec.direction if spec else ""
    known = values.cast(pl.Float64).drop_nulls().to_numpy()
    return histogram(known, title, _short(note), unit=spec.unit if spec else "", **limits)


def varies(values: pl.Series) -> bool:
    """Tell whether there is more than one value: what is the same everywhere needs no chart."""
    return values.drop_nulls().n_unique() > 1


def _short(note: str, most: int = 44) -> str:
    return note if len(note) <= most else note[: note.rfind(" ", 0, most)].rstrip(",; ") + " …"


def _is_number(values: pl.Series) -> bool:
    return values.dtype.is_numeric()


# -- pictures ---------------------------------------------------------------------------------------


def _examples(s: Subject, section: Section, issues: list[tuple[str, str, pl.DataFrame]]) -> None:
    titles = {"dark": "The darkest", "overexposed": "The brightest", "blurred": "The most blurred"}
    for name, metric, faulty in issues:
        section.blocks.append(
            Pictures(titles[name], f"`{metric}`, the worst first", partial(_tiles, s, faulty.head(MOST_TILES), metric))
        )


def _tiles(s: Subject, rows: pl.DataFrame, metric: str) -> list[Tile]:
    return tiles_of(s.project, rows, [f"{metric} {number(v)}" for v in rows[metric]])


def _outliers(s: Subject, section: Section) -> None:
    names = [m for m in QUALITY_METRICS if m in s.frame.columns]
    found = outliers(s.frame, names)
    section.frames["outliers"] = found
    severe = found.filter(pl.col("severity") == "severe")
    section.facts.append(
        ("severe outliers", f"{severe.height:,}", percent(severe.height, s.n) if severe.height else "")
    )
    if severe.is_empty():
        section.say("No image lies far from the rest in a quality metric (2.5 interquartile ranges).", GOOD)
        return
    counts = severe["metric"].value_counts(sort=True).sort("count", "metric", descending=[True, False])
    name, n = counts.row(0)
    rows = s.frame.join(severe.select(ORDINAL), on=ORDINAL, how="semi")
    how = f"mostly by their {name} ({n:,})" if n * 2 > severe.height else f"most often by their {name} ({n:,})"
    verb = "lies" if severe.height == 1 else "lie"
    section.say(
        f"{share(severe.height, s.n, 'images')} {verb} far from the rest in a quality metric, {how}{mostly(rows, s)}.",
        WARN if severe.height > 0.02 * s.n else PLAIN,
    )
    # Of each metric the farthest first: one metric with many outliers would fill the page.
    mixed = severe.sort(pl.int_range(pl.len()).over("metric"), maintain_order=True).head(MOST_TILES)
    shown = mixed.join(s.frame.select(ORDINAL, URI), on=ORDINAL, how="left", maintain_order="left")
    note = "outside 2.5 interquartile ranges, the farthest of each metric first"
    section.blocks.append(Pictures("Outliers", note, partial(_outlier_tiles, s, shown)))


def _outlier_tiles(s: Subject, shown: pl.DataFrame) -> list[Tile]:
    why = [
        f"{r['metric']} {number(r['value'])}; others {number(r['low'])} to {number(r['high'])}"
        for r in shown.iter_rows(named=True)
    ]
    return tiles_of(s.project, shown, why)
