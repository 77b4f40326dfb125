"""Commands that compute: `compute`, `metric list`, `metric add`, `metric run`."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import EawError, InputError, unknown
from . import completing
from .output import print_frame, print_json, quiet, say, tell
from .shell import MAKING, JsonOption, ProjectOption, command, group, opened

if TYPE_CHECKING:
    from ..metrics.registry import MetricSpec
    from ..project import Project

METRIC_FILES = "metric_files"
"""The folder of a project that holds the user's metrics, each a Python file."""

metrics = group("List the metrics, add your own, compute them.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the application."""
    command(app, "compute", "compute", "compute --stage pixels --stage neighbours --project photos.eaw", panel=MAKING)(
        compute
    )
    app.add_typer(metrics, name="metric", rich_help_panel=MAKING)


def compute(
    project: ProjectOption = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            "--stage", help="pixels, neighbours, labels, layout; all by default.", autocompletion=completing.stages
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what is missing: metrics, descriptors, neighbours, duplicates, the map.

    It can be interrupted: what is finished is kept, and the next call goes on.
    """
    chosen = opened(project)
    run_stages(chosen, stage)
    have = chosen.metrics().filter("computed")
    if as_json:
        print_json({"items": len(chosen), "metrics": have["name"].unique().sort().to_list()})
    else:
        say(f"{have.height:,} metrics of {len(chosen):,} images are there.")


def run_stages(project: Project, stages: list[str] | None = None) -> None:
    """Compute, with a progress bar where somebody watches."""
    from ..computing.pipeline import make_plan

    project._run(make_plan(stages or None, None, None), "compute", background=False, quiet=quiet())


@command(metrics, "list", "metric list", "metric list --level object --json")
def list_metrics(
    project: ProjectOption = None,
    level: Annotated[str | None, typer.Option("--level", help="Only those of item, object or classification.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List all metrics with formula, unit, range and direction; in a project also which are computed."""
    import polars as pl

    from ..metrics.registry import LEVELS, specs_frame

    found = None
    if project is not None:
        found = opened(project)
    else:
        with contextlib.suppress(InputError):  # the list is of use without a project, too
            found = opened(None)
    frame = (
        specs_frame().with_columns(pl.concat_list("low", "high").alias("range")).drop("low", "high")
        if found is None
        else found.metrics()
    )
    if level is not None:
        if level not in LEVELS:
            raise unknown("level", level, LEVELS)
        frame = frame.filter(pl.col("level") == level)
    if as_json:
        print_json(frame)
        return
    names = ["level", "name", "unit", "direction", *(["computed"] if "computed" in frame.columns else [])]
    print_frame(frame.select(names), rows=frame.height)


@command(metrics, "add", "metric add redness.py --project photos.eaw")
def add_metric(
    file: Annotated[Path, typer.Argument(help="A Python file with functions under @ea.metric.")],
    project: ProjectOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a file of this name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Keep a file of your own metrics in the project; `metric run` computes them.

    The file is executed once to see that it is sound, and copied into the project.
    """
    home = opened(project)
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f'"{file}" is no Python file.', "Give a .py file with functions under @ea.metric.")
    target = home.path / METRIC_FILES / file.name
    if target.exists() and not replace and target.read_bytes() != file.read_bytes():
        raise InputError(f'The project has another file "{file.name}".', "Pass --replace, or rename yours.")
    added = load_metrics(file)
    target.parent.mkdir(exist_ok=True)
    if not target.exists() or not target.samefile(file):
        shutil.copyfile(file, target)
    if as_json:
        print_json([{"name": s.name, "level": s.level, "file": str(target)} for s in added])
    else:
        say(f"Added {', '.join(s.name for s in added)}. Compute with: eaw metric run --project {home.path}")


@command(metrics, "run", "metric run", "metric run redness --project photos.eaw")
def run_metrics(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Metrics to compute; all of the project's by default.", autocompletion=completing.metrics),
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute the metrics that `metric add` put into the project.

    This executes the Python files in its folder `metric_files`: run it only where you trust them.
    No other command does.
    """
    from ..computing.pipeline import STAGES, make_plan

    home = opened(project)
    files = sorted((home.path / METRIC_FILES).glob("*.py"))
    if not files:
        raise InputError("The project has no metrics of its own.", "Add some: eaw metric add FILE.py.")
    known = {s.name: s for f in files for s in load_metrics(f)}
    for name in names or []:
        if name not in known:
            raise unknown("metric of this project", name, known)
    wanted = list(dict.fromkeys(names or known))
    before = set(home.problems["where"]) if home.problems.height else set()
    home._run(make_plan(STAGES, wanted, None), "metrics", background=False, quiet=quiet())
    done = home.metrics().filter("computed")["name"].unique().to_list()
    missing = [n for n in wanted if n not in done]
    if as_json:
        print_json({"computed": [n for n in wanted if n in done], "without_values": missing})
    else:
        say(f"Computed {', '.join(n for n in wanted if n in done) or 'nothing'}.")
    if missing:
        new = home.problems.height - len(before)
        tell(f"Without values: {', '.join(missing)}. {'See `eaw info --problems`.' if new else ''}".rstrip())


def load_metrics(file: Path) -> list[MetricSpec]:
    """Execute a Python file and return the metrics that it registers.

    Raises
    ------
    InputError
        It raises, or registers none.
    """
    from ..metrics.registry import registered

    before = registered()
    spec = importlib.util.spec_from_file_location(f"eaw_metrics_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise InputError(f'"{file}" is no Python file.', "Give a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except EawError:
        raise
    except Exception as error:
        raise InputError(f'"{file}" raises {type(error).__name__}: {error}.', "Correct the file.") from error
    added = [s for s in registered() if s.custom and not any(s is b for b in before)]
    if not added:
        raise InputError(f'"{file}" registers no metric.', "Write @ea.metric above a function.")
    return added
