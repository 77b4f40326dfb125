"""Commands that say what is there in sentences and pages: `report`, `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from . import completing
from .output import as_options, print_json, say, tell
from .shell import MODELS, JsonOption, LevelOption, ProjectOption, QueryOption, chosen, command, opened

if TYPE_CHECKING:
    from ..export.sectioned import Sectioned

HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write it as one HTML file.", metavar="FILE")]
_ID = "item_id"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the application."""
    command(
        app, "report", "report", "report --html report.html --run yolo", "report --query 'brightness < 0.2' --json",
        panel=MODELS,
    )(report)  # fmt: skip
    command(
        app, "compare", "compare field.eaw --project train.eaw --html shift.html",
        "compare cells.eaw --query \"split = 'train'\" --other-query \"split = 'test'\" --name train --name test",
        panel=MODELS,
    )(compare)  # fmt: skip


def report(
    html: HtmlOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Report on this run only.", autocompletion=completing.runs)
    ] = None,
    query: QueryOption = None,
    level: LevelOption = "item",
    title: Annotated[str | None, typer.Option("--title", help="Its heading.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is in a project and what is wrong with it: data, labels, models, label errors, duplicates."""
    _tell(chosen(opened(project), level, query).report(run, title), html, as_json=as_json)


def compare(
    other: Annotated[Path, typer.Argument(help="The project to compare with.", metavar="OTHER")],
    html: HtmlOption = None,
    query: QueryOption = None,
    other_query: Annotated[
        str | None, typer.Option("--other-query", help="Only these rows of the other project.", metavar="CONDITION")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="What to call the two; give it twice.", metavar="NAME")
    ] = None,
    embedding: Annotated[str | None, typer.Option("--embedding", help="The only embedding to compare.")] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Up to this p-value a difference is significant.")] = 0.05,
    title: Annotated[str | None, typer.Option("--title", help="Its heading.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how the images of another project differ: metrics, embeddings, classes, sizes."""
    from ..export.comparison import compare_projects

    if name and len(name) != 2:
        raise InputError(f"--name is given {len(name)} times.", "Give it twice: --name train --name test.")
    first = chosen(opened(project), "item", query)
    second = chosen(opened(other), "item", other_query)
    found = compare_projects(first, second, names=name or None, embedding=embedding, alpha=alpha, title=title)
    _tell(found, html, as_json=as_json)


def _tell(found: Sectioned, html: Path | None, *, as_json: bool) -> None:
    """Print the summary, or as JSON also the tables that count; those of single images are for Python."""
    written = None if html is None else found.to_html(html)
    if written is not None:
        tell(f"Written to {written}")
    if as_json:
        tables = {name: frame for name, frame in found.frames.items() if _ID not in frame.columns}
        print_json({"title": found.title, "summary": found.summary, "missing": found.missing, "tables": tables})
        return
    say(found.title)
    for sentence in found.summary:
        say(as_options(f"  - {sentence}"))
    for note in found.missing:
        tell(as_options(f"  {note.replace('`p.add_labels(…)`', '`eaw import … --add`')}"))
