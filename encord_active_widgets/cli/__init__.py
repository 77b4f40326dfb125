"""The command line: `encord-active-widgets`, short `eaw`. One file a group of commands; each is thin over Python."""

from __future__ import annotations

from typing import Annotated

import typer

from . import checks, computing, importing, models, reporting, rows, system, versions
from .output import say
from .shell import EXIT_CODES, Group, Shell

app = Shell(
    help="Look at the images behind a model: projects, labels, predictions, without a notebook.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=Group,
)


def _version(wanted: bool) -> None:
    if wanted:
        from .._version import __version__

        say(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Look at the images behind a model: projects, labels, predictions, without a notebook."""


for part in (importing, computing, rows, models, reporting, versions, checks, system):
    part.add_to(app)

__all__ = ["app"]
