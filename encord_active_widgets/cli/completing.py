"""Words that a shell offers after TAB: names of runs, tags, columns, snapshots of the project that a line works on.

Nothing of a project is executed, and what cannot be read offers nothing: a shell must not print errors while one types.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..project import Project

Words = Callable[[typer.Context, str], list[str]]
_LEVELS = ("item", "object", "classification", "label")


def _quietly(words: Callable[[typer.Context], Iterable[str]]) -> Words:
    """Offer those of some words that begin like what was typed; none where finding them fails."""

    def offered(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return [w for w in dict.fromkeys(words(ctx)) if w.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - whatever it is, it is told when the command runs
            return []

    offered.__doc__ = words.__doc__
    return offered


def _project(ctx: typer.Context) -> Project:
    from .shell import opened

    return opened(ctx.params.get("project"))


@_quietly
def snapshots(ctx: typer.Context) -> Iterable[str]:
    """Names of snapshots, the newest first."""
    from ..store.folder import ProjectFolder
    from ..store.snapshots import records
    from .shell import find_project

    return [r.name for r in reversed(records(ProjectFolder(find_project(ctx.params.get("project")))))]


@_quietly
def runs(ctx: typer.Context) -> Iterable[str]:
    """Names of runs."""
    return list(_project(ctx).predictions)


@_quietly
def levels(ctx: typer.Context) -> Iterable[str]:
    """Levels, those of runs included."""
    try:
        return [*_LEVELS, *(f"prediction:{name}" for name in _project(ctx).predictions)]
    except Exception:  # noqa: BLE001 - without a project the others are of use
        return _LEVELS


@_quietly
def tags(ctx: typer.Context) -> Iterable[str]:
    """Tags of the level that the line names."""
    from .shell import level_of

    view = level_of(_project(ctx), ctx.params.get("level") or "item")
    return view._state().tag_names


@_quietly
def columns(ctx: typer.Context) -> Iterable[str]:
    """Columns of the level that the line names."""
    from .shell import level_of

    return level_of(_project(ctx), ctx.params.get("level") or "item").columns


def many_columns(ctx: typer.Context, incomplete: str) -> list[str]:
    """Columns with commas between them."""
    done, comma, last = incomplete.rpartition(",")
    return [f"{done}{comma}{name}" for name in columns(ctx, last)]


def condition(ctx: typer.Context, incomplete: str) -> list[str]:
    """Columns that a condition begins with, or goes on with after a blank or a bracket."""
    cut = max(incomplete.rfind(c) for c in " (") + 1
    return [incomplete[:cut] + name for name in columns(ctx, incomplete[cut:])]


@_quietly
def stages(ctx: typer.Context) -> Iterable[str]:  # noqa: ARG001 - as the others
    """Stages of computing."""
    from ..computing.pipeline import STAGES

    return STAGES


@_quietly
def strategies(ctx: typer.Context) -> Iterable[str]:  # noqa: ARG001
    """Strategies of acquisition."""
    from ..learning.acquisition import STRATEGIES

    return STRATEGIES


@_quietly
def methods(ctx: typer.Context) -> Iterable[str]:  # noqa: ARG001
    """Ways to rank labels."""
    from ..learning.label_quality import METHODS

    return METHODS


@_quietly
def metrics(ctx: typer.Context) -> Iterable[str]:
    """Metrics that `metric add` put into the project; their files are read and not executed."""
    from .computing import METRIC_FILES
    from .shell import find_project

    found = []
    for file in sorted((find_project(ctx.params.get("project")) / METRIC_FILES).glob("*.py")):
        functions = (n for n in ast.parse(file.read_text("utf-8")).body if isinstance(n, ast.FunctionDef))
        found += [f.name for f in functions if any("metric" in ast.unparse(d) for d in f.decorator_list)]
    return found
