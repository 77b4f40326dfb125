"""Commands on rows: `query`, `tag`, `untag`, `export`, `apply-edits`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, unknown
from . import completing
from .output import print_frame, print_json, say, tell
from .shell import LOOKING, JsonOption, LevelOption, ProjectOption, QueryOption, TextOption, chosen, command, opened

if TYPE_CHECKING:
    from ..view import View

_KEYS = ("item_id", "label_id", "prediction_id", "uri", "class_name", "confidence")
_MOST_SHOWN = 8
"""Columns of a table, where none are asked for."""


class Format(StrEnum):
    """What an export writes."""

    COCO = "coco"
    YOLO = "yolo"
    VOC = "voc"
    CSV = "csv"
    PARQUET = "parquet"
    LABEL_STUDIO = "label-studio"
    CVAT = "cvat"
    LISTS = "lists"
    HTML = "html"


class Images(StrEnum):
    """Where an export leaves the images."""

    REFERENCE = "reference"
    COPY = "copy"
    LINK = "link"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the application."""
    command(
        app, "query", "query 'brightness < 0.2 AND sharpness < 0.5' --limit 10",
        """query 'ea.tagged("review") & (pl.col("class_name") == "cat")' --json""",
        "query 'relative_area < 0.01' --level object --ids", panel=LOOKING,
    )(query)  # fmt: skip
    command(app, "tag", "tag 'too dark' --query 'brightness < 0.2'", "tag drop --ids ids.txt", panel=LOOKING)(tag)
    command(app, "untag", "untag 'too dark' --query 'brightness > 0.15'", "untag drop --all", panel=LOOKING)(untag)
    command(
        app, "export", "export coco corrected.json", "export yolo train --query 'sharpness > 0.5' --images link",
        "export label-studio tasks.json --query 'ea.tagged(\"relabel\")' --predictions yolo",
        "export html review.html --query 'sharpness < 0.3' --title 'Too blurry?'", panel=LOOKING,
    )(export)  # fmt: skip
    command(app, "apply-edits", "apply-edits Too-blurry.edits.json", panel=LOOKING)(apply)


def query(
    condition: Annotated[
        str | None,
        typer.Argument(
            help="A Polars expression, or an SQL condition; all rows without.", autocompletion=completing.condition
        ),
    ] = None,
    project: ProjectOption = None,
    level: LevelOption = "item",
    text: TextOption = None,
    sort: Annotated[
        str | None, typer.Option("--sort", help="Order by this column.", autocompletion=completing.columns)
    ] = None,
    descending: Annotated[bool, typer.Option("--descending", help="The largest first.")] = False,
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="Columns to show, with commas.", autocompletion=completing.many_columns),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="At most so many rows; a table shows 20.")] = None,
    count: Annotated[bool, typer.Option("--count", help="Print only how many there are.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Print only the ids, one a line.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show rows that meet a condition, as a table, as JSON, as ids, or counted.

    The condition is read, never executed: it can name columns, compare, combine and call a list of harmless methods.
    """
    home = opened(project)
    view = chosen(home, level, condition, text)
    if sort is not None:
        view = view.sort(sort, descending=descending)
    if limit is not None:
        view = view.head(limit)
    if count:
        if as_json:
            print_json({"count": len(view)})
        else:
            say(str(len(view)))
        return
    if ids:
        if as_json:
            print_json(view.ids.to_list())
        else:
            for one in view.ids:
                say(one)
        return
    frame = view.df
    named = _columns(frame.columns, columns, condition, sort)
    if as_json:
        print_json(frame.select(named) if columns is not None else frame)
        return
    print_frame(frame.select(named), rows=20 if limit is None else limit)
    tell(f"{frame.height:,} rows.")


def _columns(known: list[str], columns: str | None, condition: str | None, sort: str | None) -> list[str]:
    """Return which columns a table shows: those asked for, else keys and what the query speaks of."""
    if columns is not None:
        named = [c.strip() for c in columns.split(",") if c.strip()]
        for name in named:
            if name not in known:
                raise unknown("column", name, known)
        return named
    spoken: list[str] = []
    if condition is not None:
        from ..content.query_text import parse_query

        spoken = parse_query(condition).meta.root_names()
    wanted = dict.fromkeys([*_KEYS, *spoken, *([sort] if sort else []), "tags"])
    return [c for c in wanted if c in known][: max(_MOST_SHOWN, len(_KEYS) + len(spoken) + 2)]


IdsOption = Annotated[
    Path | None, typer.Option("--ids", help="Only the ids in this file, one a line; - reads them from stdin.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All rows of the level.")]


def tag(
    names: Annotated[list[str], typer.Argument(help="The tags.", autocompletion=completing.tags)],
    query: QueryOption = None,
    ids: IdsOption = None,
    text: TextOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    level: LevelOption = "item",
    as_json: JsonOption = False,
) -> None:
    """Put tags on rows, as one edit that can be undone."""
    view = _edited(project, level, query, text, ids, everything=everything)
    view.tag(*names)
    _said("tagged", view, names, as_json=as_json)


def untag(
    names: Annotated[list[str], typer.Argument(help="The tags.", autocompletion=completing.tags)],
    query: QueryOption = None,
    ids: IdsOption = None,
    text: TextOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    level: LevelOption = "item",
    as_json: JsonOption = False,
) -> None:
    """Take tags off rows, as one edit that can be undone."""
    view = _edited(project, level, query, text, ids, everything=everything)
    view.untag(*names)
    _said("untagged", view, names, as_json=as_json)


def _edited(
    project: Path | None, level: str, query: str | None, text: str | None, ids: Path | None, *, everything: bool
) -> View:
    """Return the rows that an edit is for; they must be named, for nothing named is not everything."""
    if query is None and ids is None and text is None and not everything:
        raise InputError("No rows are named.", "Give --query, --text or --ids, or --all for all of them.")
    view = chosen(opened(project), level, query, text)
    if ids is not None:
        lines = typer.get_text_stream("stdin").read() if str(ids) == "-" else ids.read_text("utf-8")
        wanted = [line.strip() for line in lines.splitlines() if line.strip()]
        named = view.by_ids(wanted)
        view = named if query is None and text is None else view.by_ids(_both(view, wanted))
    return view._fixed()


def _both(view: View, ids: list[str]) -> list[str]:
    kept = set(view.ids)
    return [i for i in ids if i in kept]


def _said(verb: str, view: View, names: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({verb: len(view), "level": view.level, "tags": names})
    else:
        say(f"{len(view):,} {view.level}s {verb}: {', '.join(names)}")


def export(
    kind: Annotated[Format, typer.Argument(metavar="FORMAT", help=", ".join(f.value for f in Format))],
    file: Annotated[Path, typer.Argument(help="The file, or the folder of yolo, voc and lists.")],
    project: ProjectOption = None,
    query: QueryOption = None,
    text: TextOption = None,
    level: LevelOption = "item",
    images: Annotated[
        Images | None, typer.Option("--images", help="reference, copy or link; yolo copies by default.")
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            "--predictions", help="Runs to offer besides (label-studio, cvat).", autocompletion=completing.runs
        ),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read what was written and compare.")] = False,
    title: Annotated[str | None, typer.Option("--title", help="Heading of an html page.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="An html page that collects no tags.")] = False,
    thumbnails: Annotated[
        int | None, typer.Option("--thumbnails", help="Longer side of an html page's pictures, in pixels; 0 for none.")
    ] = None,
    max_mb: Annotated[float | None, typer.Option("--max-mb", help="How large an html page may be; 40.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write rows and their labels, as they are now, in another tool's format, or as a page to look at."""
    view = chosen(opened(project), level, query, text)
    options: dict[str, Any] = {} if kind in (Format.LISTS, Format.HTML) else {"verify": verify}
    if images is not None:
        if kind in (Format.CSV, Format.PARQUET, Format.LISTS, Format.HTML):
            raise InputError(f"--images says nothing of {kind.value}.", "Leave it out.")
        options["images"] = images.value
    if predictions:
        if kind not in (Format.LABEL_STUDIO, Format.CVAT):
            raise InputError(f"--predictions says nothing of {kind.value}.", "Use it with label-studio or cvat.")
        options["predictions"] = predictions
    page = {"title": title, "thumbnails": thumbnails, "max_mb": max_mb, "tags": "read-only" if read_only else None}
    asked = {name: value for name, value in page.items() if value is not None}
    if asked and kind is not Format.HTML:
        raise InputError(f"{', '.join(asked)}: only of html pages.", "Leave it out, or export html.")
    options |= asked
    done = getattr(view, f"to_{kind.value.replace('-', '_')}")(file, **options)
    if as_json:
        print_json({
            "path": str(done.path), "items": done.items, "labels": done.labels, "notes": done.notes,
            "verified": done.verified,
        })  # fmt: skip
    else:
        checked = ", read again and compared" if done.verified else ""
        say(f"{done.items:,} images and {done.labels:,} labels written to {done.path}{checked}")
    for note in done.notes:
        tell(f"note: {note}")


def apply(
    file: Annotated[Path, typer.Argument(help='What "Download edits" of an exported page wrote.')],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back the tags and notes that were collected in an exported page, as one edit that can be undone."""
    home = opened(project)
    left = home.apply_edits(file)
    if as_json:
        print_json({"left_out": left.to_dicts()})
        return
    say(f"Applied; {left.height:,} could not be." if left.height else "Applied.")
    if left.height:
        print_frame(left)
