"""The command that a build runs: `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import completing
from .output import as_options, print_json, say, tell
from .shell import BROKEN, MODELS, JsonOption, ProjectOption, command, opened

DEFAULT_FILE = "check.toml"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the application."""
    command(
        app, "check", "check", "check check.toml --html report.html --project parts.eaw", "check --write-limits",
        "check --run yolo --json", panel=MODELS,
    )(check)  # fmt: skip


def check(
    limits: Annotated[
        Path | None, typer.Argument(help="A TOML file of limits; ./check.toml if there is one, else the shipped ones.")
    ] = None,
    project: ProjectOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="The run whose scores are checked.", autocompletion=completing.runs)
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a report with the worst examples.")] = None,
    write_limits: Annotated[
        bool, typer.Option("--write-limits", help="Write the shipped limits to the file, to be edited, and end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold a project against limits: blur, duplicates, outliers, class balance, label errors, mAP, leakage.

    Ends with exit code 1 where a limit is broken, and names it: a build fails then.
    """
    home = opened(project)
    if write_limits:
        from ..checking import write_limits as write

        written = write(limits or Path(DEFAULT_FILE), home)
        if as_json:
            print_json({"written": str(written)})
        else:
            say(f"Limits written to {written}: edit them, then run eaw check {written}")
        return
    if limits is None and Path(DEFAULT_FILE).is_file():
        limits = Path(DEFAULT_FILE)
        tell(f"Limits are those of ./{DEFAULT_FILE}.")
    found = home.check(limits, run=run)
    if html is not None:
        tell(f"Report written to {found.to_html(html)}")
    if as_json:
        print_json({"project": found.project, "ok": found.ok, "broken": found.broken, "measures": found.df})
    else:
        from ..checking.result import table

        say(as_options(table(found.df)))
    if not found.ok:
        tell(f"{len(found.broken)} broken: {', '.join(found.broken)}")
        raise typer.Exit(BROKEN)
    tell("All limits are kept.")
