"""What all commands share: options, the group that turns errors into exit codes, the project they work on."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from ..errors import EawError, InputError
from . import completing
from .output import as_options

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View

DONE, BROKEN, WRONG_INPUT, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: all went well; a check found something; wrong usage or input; a fault of this package."""

EXIT_CODES = (
    "Exit codes: 0 done · 1 a check found something · 2 wrong usage or input · 3 a fault of this program · "
    "130 interrupted. Results go to stdout, progress and errors to stderr."
)
_CARD = "project.json"
_SUFFIX = ".eaw"
_LIBRARY_ERRORS = ("polars", "deltalake")
F = TypeVar("F", bound=Callable[..., Any])

ProjectOption = Annotated[
    Path | None, typer.Option("--project", help="The project folder; by default the only *.eaw here.", metavar="PATH")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
QueryOption = Annotated[
    str | None,
    typer.Option(
        "--query",
        "-q",
        help="Only these rows: a Polars expression, or an SQL condition.",
        autocompletion=completing.condition,
    ),
]
TextOption = Annotated[str | None, typer.Option("--text", help="Only rows with this text in a text column.")]
LevelOption = Annotated[
    str,
    typer.Option(
        "--level",
        help="item, object, classification, label, or prediction:RUN.",
        metavar="LEVEL",
        autocompletion=completing.levels,
    ),
]


class Shell(typer.Typer):
    """The application as a shell starts it: without progress bars where nobody watches."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line of this process."""
        if not sys.stderr.isatty():
            os.environ.setdefault("TQDM_DISABLE", "1")  # read by tqdm when it is imported, which is later
        return super().__call__(*args, **kwargs)


class Group(TyperGroup):
    """A group of commands whose errors are told without a traceback, each kind with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; end the process with the exit code that its error stands for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            typer.echo("Interrupted: what was finished is kept.", err=True)
            raise typer.Exit(INTERRUPTED) from error
        except EawError as error:
            typer.echo(f"Error: {as_options(str(error))}", err=True)
            raise typer.Exit(WRONG_INPUT) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            place = f' "{error.filename}"' if error.filename else ""
            typer.echo(f"Error: the system says: {error.strerror or error}{place}.", err=True)
            raise typer.Exit(WRONG_INPUT) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("typer", "click"):  # its own errors, exits and aborts
                raise
            traceback.print_exc()
            typer.echo("This is a fault of encord_active_widgets, not of your input: please report it.", err=True)
            raise typer.Exit(INTERNAL) from error


MAKING, LOOKING, MODELS, VERSIONS, AROUND = "Make", "Look and edit", "Judge", "Go back", "Around it"
"""Headings of the list of commands."""


def group(text: str) -> typer.Typer:
    """Make a group of commands."""
    return typer.Typer(help=text, no_args_is_help=True, cls=Group)


def command(to: typer.Typer, name: str, *examples: str, panel: str | None = None) -> Callable[[F], F]:
    """Add a command to a group, with examples below its help, under a heading of the list of commands."""
    shown = "\n\n".join(f"$ eaw {line}" for line in examples)
    add: Callable[[F], F] = to.command(name, epilog=f"Examples:\n\n{shown}", rich_help_panel=panel)
    return add


# -- the project ------------------------------------------------------------------------------


def find_project(path: Path | None) -> Path:
    """Return the folder of the project: the one that is named, this folder if it is one, or the only `*.eaw` in it.

    Raises
    ------
    InputError
        There is none here, or there are several.
    """
    if path is not None:
        return path
    here = Path()
    if (here / _CARD).is_file():
        return here
    found = sorted(p for p in here.glob(f"*{_SUFFIX}") if (p / _CARD).is_file())
    if not found:
        raise InputError(
            "There is no project in this folder.", "Name it with --project PATH, or make one: eaw init FOLDER."
        )
    if len(found) > 1:
        names = ", ".join(f'"{p}"' for p in found)
        raise InputError(f"There are several projects here: {names}.", "Name one with --project PATH.")
    return found[0]


def opened(path: Path | None) -> Project:
    """Open the project that a command works on."""
    from ..project import Project

    return Project.open(find_project(path))


def level_of(project: Project, level: str) -> View:
    """Return all rows of a level by its name.

    Raises
    ------
    UnknownNameError
        There is no such level, or no such run.
    """
    from ..errors import unknown
    from ..schema import run_of

    run = run_of(level)
    if run is not None:
        return project.predictions[run]
    views = {"item": "items", "object": "objects", "classification": "classifications", "label": "labels"}
    if level not in views:
        raise unknown("level", level, [*views, *(f"prediction:{name}" for name in project.predictions)])
    found: View = getattr(project, views[level])
    return found


def chosen(project: Project, level: str, query: str | None, text: str | None = None) -> View:
    """Return the rows of a level that a query keeps; all without one.

    Raises
    ------
    InputError
        The query cannot be read, names what is not there, or compares what cannot be compared.
    """
    import polars as pl

    view = level_of(project, level)
    if query is not None:
        from ..content.query_text import parse_query

        view = view.filter(parse_query(query))
    if text is not None:
        from ..expressions import contains

        view = view.filter(contains(text))
    try:
        len(view)
    except pl.exceptions.PolarsError as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(f"The query cannot be answered: {why}.", "Compare numbers with numbers.") from error
    return view
