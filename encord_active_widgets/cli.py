"""The command line: `encord-active-widgets import predictions FILE --run NAME`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from .errors import EawError

app = typer.Typer(
    help="Look at the images behind a model: projects, labels, predictions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
imports = typer.Typer(help="Bring files into a project.", no_args_is_help=True)
app.add_typer(imports, name="import")

_FAILED = 1


@app.callback()
def main() -> None:
    """Look at the images behind a model: projects, labels, predictions."""


@imports.callback()
def import_() -> None:
    """Bring files into a project."""


@imports.command("predictions")
def import_predictions(
    file: Annotated[
        Path, typer.Argument(help="COCO results, a folder of YOLO or KITTI texts or PNG masks, a table, a pickle.")
    ],
    run: Annotated[str, typer.Option(help="The name of the run.")],
    project: Annotated[Path, typer.Option(help="The project folder.")] = Path(),
    classes: Annotated[str | None, typer.Option(help="Class names in the order of their numbers, with commas.")] = None,
    kind: Annotated[
        str | None, typer.Option("--format", help="What the file is, where its ending does not say so.")
    ] = None,
    box_format: Annotated[str, typer.Option(help="xywh, xyxy or cxcywh; with n at the end in shares.")] = "xywh",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a run of this name.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where anything cannot be used.")] = False,
) -> None:
    """Add a model's predictions to a project."""
    from .project import Project

    try:
        opened = Project.open(project)
        names = None if classes is None else [c.strip() for c in classes.split(",")]
        found = opened.add_predictions(
            run, file, names, format=kind, box_format=box_format, replace=replace, strict=strict
        )
    except EawError as error:
        typer.echo(_as_options(f"{error}"), err=True)
        raise typer.Exit(_FAILED) from error
    typer.echo(f"{found.predictions:,} predictions on {found.items:,} images added as {found.name!r} ({found.kind}).")
    if found.skipped:
        typer.echo(f"{found.skipped:,} skipped: see project.problems.", err=True)


def _as_options(text: str) -> str:
    """Write what Python's users are advised to pass as the options of this command."""

    def option(found: re.Match[str]) -> str:
        name, value = found["name"].replace("_", "-"), found["text"] or ""
        return f"--{name}" + (f" {value}" if value else " NAME,NAME,…" if name == "classes" else "")

    return re.sub(
        r'\b(?P<name>format|box_format|replace|strict|classes)=(?:"(?P<text>[^"]*)"|True|\[…\])', option, text
    )
