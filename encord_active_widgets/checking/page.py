"""The report of a check: the limits in a table, and below it the worst examples of each."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ..pages import html as pages
from ..pages.html import Column, Html
from ..pages.pictures import gallery, tiles_of
from ..schema import CLASS_NAME, OBJECT

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View
    from .result import CheckResult

_COLUMNS = (
    Column("measure"), Column("shown", "value"), Column("limit"), Column("verdict", form="verdict"),
    Column("what", "what it is"), Column("note"),
)  # fmt: skip
_KINDS = {"ok": "good", "nothing to measure": "soft"}
_BROKEN = "bad"


def write_page(result: CheckResult, project: Project, worst: Mapping[str, View], path: Path) -> Path:
    """Write the report; the file is whole or not there.

    Raises
    ------
    InputError
        The path is a folder, or cannot be written.
    """
    broken = [name for name in worst if name in result.broken]
    others = [name for name in worst if name not in broken]
    sections = [_section(result, project, name, worst[name]) for name in [*broken, *others]]
    title = f"Check of {result.project}"
    body = pages.head(title, pages.made_at()) + _verdict(result) + _limits(result.df) + "".join(sections)
    return pages.write_page(pages.document(title, Html(body)), path, "check.html")


def _verdict(result: CheckResult) -> Html:
    if result.ok:
        return Html('<p class="good"><strong>All limits are kept.</strong></p>\n')
    listed = escape(", ".join(result.broken))
    return Html(f'<p class="bad"><strong>{len(result.broken)} broken: {listed}</strong></p>\n')


def _limits(checked: pl.DataFrame) -> Html:
    """Return all limits with what was measured."""
    values = [
        "–" if row["value"] is None else f"{row['value']:.4g} {row['unit'] or ''}".strip()
        for row in checked.iter_rows(named=True)
    ]
    shown = checked.with_columns(
        pl.Series("shown", values, dtype=pl.String),
        pl.format("{} {}", "direction", pl.col("limit").map_elements("{:g}".format, pl.String)).alias("limit"),
    )
    kinds = {verdict: _KINDS.get(verdict, _BROKEN) for verdict in checked["verdict"].unique()}
    return pages.table(shown, _COLUMNS, "Limits", most=checked.height, kinds=kinds)


def _section(result: CheckResult, project: Project, name: str, view: View) -> str:
    row = result.df.row(by_predicate=pl.col("measure").eq(name) & pl.col("measure").is_first_distinct(), named=True)
    frame = view.df
    why = [_why(r) for r in frame.iter_rows(named=True)]
    tiles = tiles_of(project, frame, why, boxes=view.level == OBJECT)
    return f"<section>\n<h2>{escape(name)}: {escape(row['what'])}</h2>\n{gallery(tiles)}</section>\n"


def _why(row: Mapping[str, object]) -> str:
    """Say of an example what its class is, and what is wrong with it."""
    given = str(row[CLASS_NAME]) if row.get(CLASS_NAME) else ""
    if row.get("suggested"):
        return f"{given} → {row['suggested']}"
    return f"{given} ({row['error']})".strip() if row.get("error") else given
