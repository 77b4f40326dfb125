"""Commands about a project and this installation: `info`, `doctor`, `start`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .output import print_frame, print_json, say, tell
from .shell import AROUND, BROKEN, LOOKING, JsonOption, ProjectOption, command, opened


def add_to(app: typer.Typer) -> None:
    """Add these commands to the application."""
    command(app, "info", "info", "info --problems", "info --json --project photos.eaw", panel=LOOKING)(info)
    command(app, "doctor", "doctor", "doctor --json", panel=AROUND)(doctor)
    command(
        app,
        "start",
        "start --project photos.eaw",
        "start --notebook tour.ipynb --no-open",
        "start -- --no-browser --port 8890",
        panel=AROUND,
    )(start)


def info(
    project: ProjectOption = None,
    problems: Annotated[bool, typer.Option("--problems", help="List what could not be used, and what to do.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a project holds: counts, sizes, issues, and what to do next."""
    home = opened(project)
    if problems:
        frame = home.problems
        if as_json:
            print_json(frame)
        else:
            print_frame(frame, rows=100)
            tell(f"{frame.height:,} problems.")
        return
    if not as_json:
        say(repr(home))
        return
    computed = home.metrics().filter("computed")
    print_json({
        "name": home.name, "path": str(home.path), "items": len(home), "objects": len(home.objects),
        "classifications": len(home.classifications), "runs": home.predictions.df, "tags": home.tags,
        "embeddings": list(home.embeddings), "metrics": computed["name"].unique().sort().to_list(),
        "problems": home.problems.height,
    })  # fmt: skip


def doctor(as_json: JsonOption = False) -> None:
    """Check this installation; ends with exit code 1 where something is missing."""
    from ..diagnosis import doctor as examine

    found = examine(page=False)
    if as_json:
        print_json(found)
    else:
        print_frame(found, rows=found.height)
    if not found["ok"].all():
        raise typer.Exit(BROKEN)


def start(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Passed on to JupyterLab, after --.", metavar="[-- ARGUMENTS]")
    ] = None,
    project: ProjectOption = None,
    notebook: Annotated[
        Path | None,
        typer.Option("--notebook", help="The notebook to write; by default PROJECT.ipynb beside the project."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open it in JupyterLab.")] = True,
) -> None:
    """Open JupyterLab on a notebook that explores this project; one that is there is opened as it is.

    Needs the extra `lab`. With --no-open only the notebook is written.
    """
    home = opened(project)
    file = notebook if notebook is not None else home.path.resolve().with_suffix(".ipynb")
    if file.suffix != ".ipynb":
        raise InputError(f'"{file}" is no name of a notebook.', "Give one that ends in .ipynb.")
    if file.exists():
        tell(f"{file} is there already and stays as it is.")
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(notebook_of(home.path.resolve(), home.name), indent=1) + "\n", "utf-8")
    say(str(file))
    if not open_:
        return
    if importlib.util.find_spec("jupyterlab") is None:
        raise InputError(
            "JupyterLab is not installed here.",
            f'pip install "encord_active_widgets[lab]", or open {file} in the notebook host that you have.',
        )
    tell("Starting JupyterLab: Ctrl-C ends it.")
    done = subprocess.run([sys.executable, "-m", "jupyterlab", str(file), *(arguments or [])], check=False)
    raise typer.Exit(done.returncode)


def notebook_of(path: Path, name: str) -> dict[str, Any]:
    """Return a notebook that opens a project and explores it."""
    cells = [
        ("markdown", f"# {_plain(name)}\n\nRun the cells from above. What you tag here is kept in the project."),
        ("code", f"import polars as pl\n\nimport encord_active_widgets as ea\n\np = ea.open({str(path)!r})\np"),
        ("code", "p.compute()  # what is missing; interrupt it when you like"),
        ("code", "w = p.explore()\nw"),
        ("code", "w.selection.df  # what is selected, as a frame"),
        ("code", "p.outliers()"),
        ("code", "p.duplicates().groups"),
    ]
    return {
        "cells": [_cell(k, kind, text) for k, (kind, text) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _plain(text: str) -> str:
    """Return a name as Markdown shows it: nothing in it is markup."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>()#+-.!|" else c for c in text.replace("\n", " "))


def _cell(k: int, kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": kind, "id": f"cell-{k}", "metadata": {}, "source": text.splitlines(keepends=True)
    }  # fmt: skip
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}
