"""Commands about models and what they show: `evaluate`, `label-errors`, `duplicates`, `acquire`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, unknown
from . import completing
from .output import print_frame, print_json, tell
from .shell import MODELS, JsonOption, ProjectOption, QueryOption, chosen, command, opened

if TYPE_CHECKING:
    import polars as pl

    from ..project import Project
    from ..view import View

TagOption = Annotated[str | None, typer.Option("--tag", help="Put this tag on them.", autocompletion=completing.tags)]
OutOption = Annotated[Path | None, typer.Option("--out", help="Also write them as .csv or .parquet.", metavar="FILE")]


class Keep(StrEnum):
    """Which of a group of duplicates stays."""

    SHARPEST = "sharpest"
    LARGEST = "largest"
    MOST_LABELLED = "most_labelled"
    FIRST = "first"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the application."""
    command(
        app, "evaluate", "evaluate yolo", "evaluate yolo --query 'brightness < 0.3' --per-class --json", panel=MODELS
    )(evaluate)
    command(app, "label-errors", "label-errors", "label-errors yolo --limit 50 --tag suspect", panel=MODELS)(
        label_errors
    )
    command(
        app,
        "duplicates",
        "duplicates",
        "duplicates --keep sharpest --tag drop",
        "duplicates --leaks --json",
        panel=MODELS,
    )(duplicates)
    command(
        app,
        "acquire",
        "acquire entropy 100 --run resnet --tag next",
        "acquire entropy=0.5,coverage=0.5 50 --out next.csv",
        panel=MODELS,
    )(acquire)


def evaluate(
    run: Annotated[str, typer.Argument(help="The run.", autocompletion=completing.runs)],
    project: ProjectOption = None,
    query: QueryOption = None,
    iou: Annotated[list[float] | None, typer.Option("--iou", help="IoU thresholds; COCO's by default.")] = None,
    confidence: Annotated[float, typer.Option("--confidence", min=0, max=1, help="Leave out less sure ones.")] = 0.0,
    per_class: Annotated[bool, typer.Option("--per-class", help="One row a class.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a run with the labels: mAP and AR as COCO defines them, or accuracy, precision, recall, F1."""
    home = opened(project)
    view = None if query is None else chosen(home, "item", query)
    found = home.evaluate(run, sorted(iou) if iou else None, view, confidence=confidence)
    frame = found.per_class if per_class else found.summary
    if as_json:
        values: object = frame if per_class else dict(zip(frame["metric"], frame["value"], strict=True))
        print_json(values)
    else:
        print_frame(frame, rows=frame.height)


def label_errors(
    run: Annotated[
        str | None,
        typer.Argument(help="A run; without one, neighbours alone are asked.", autocompletion=completing.runs),
    ] = None,
    project: ProjectOption = None,
    method: Annotated[
        str | None, typer.Option("--method", help="How labels are ranked.", autocompletion=completing.methods)
    ] = None,
    query: QueryOption = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many rows.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Rank all labels, not only the likely errors.")] = False,
    tag: TagOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """List labels that are probably wrong, the worst first, with what they should be and why."""
    import polars as pl

    home = opened(project)
    looked = None if query is None else chosen(home, "item", query)
    found = home.label_errors(run, method=method, view=looked)
    frame = found.df
    if not everything:
        frame = frame.filter(pl.col("likely"))
    total, frame = frame.height, frame.head(limit)
    _given(frame, out)
    if tag is not None and frame.height:
        _tag_rows(home, found, frame, tag)
    names = ["uri", "kind", "given", "suggested", "score", "reason"]
    names = [c for c in names if c in frame.columns and not (c == "kind" and "error_id" not in frame.columns)]
    if as_json:
        keys = [c for c in ("error_id", "item_id", "label_id", "prediction_id", "likely") if c in frame.columns]
        print_json(frame.select([*keys, *names]))
        return
    print_frame(frame.select(names), rows=frame.height)
    tell(f"{total:,} {'labels' if everything else 'likely errors'}, {frame.height:,} shown.")


def _tag_rows(home: Project, found: View, frame: pl.DataFrame, tag: str) -> None:
    """Tag what the errors are about: the label, else the image it is missing on."""
    if "label_id" not in frame.columns:
        found.by_ids(frame[found._state().key]).tag(tag)
        return
    named = frame.filter(frame["label_id"].is_not_null())
    if named.height:
        home.objects.by_ids(named["label_id"].unique(maintain_order=True)).tag(tag)
    missed = frame.filter(frame["label_id"].is_null())
    if missed.height:
        home.items.by_ids(missed["item_id"].unique(maintain_order=True)).tag(tag)


def duplicates(
    project: ProjectOption = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=0, max=2, help="Cosine distance up to which neighbours count.")
    ] = None,
    keep: Annotated[Keep | None, typer.Option("--keep", help="List the others of each group: what could go.")] = None,
    leaks: Annotated[bool, typer.Option("--leaks", help="Only groups that lie in several splits.")] = False,
    tag: TagOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """List groups of images that show the same picture. Nothing is removed: tag, then decide."""
    import polars as pl

    home = opened(project)
    found = home.duplicates(threshold)
    if keep is not None:
        view = found.keep(keep.value)
        frame = view.df
        if leaks:
            groups = found.groups.filter("leak")["duplicate_group"]
            frame = frame.filter(pl.col("duplicate_group").is_in(groups.implode()))
        names = ["duplicate_group", "item_id", "uri", "kept", "distance"]
    else:
        frame = found.df.filter("leak") if leaks else found.df
        names = ["duplicate_group", "item_id", "uri", "kind", "leak", "distance"]
    _given(frame, out)
    if tag is not None and frame.height:
        home.items.by_ids(frame["item_id"]).tag(tag)
    if as_json:
        print_json(frame.select(names))
        return
    print_frame(frame.select([n for n in names if n != "item_id"]), rows=50)
    tell(f"{frame['duplicate_group'].n_unique() if frame.height else 0:,} groups, {frame.height:,} images listed.")


def acquire(
    strategy: Annotated[
        str,
        typer.Argument(
            help="entropy, margin, coverage, typicality …, or a mixture by weights.",
            autocompletion=completing.strategies,
        ),
    ],
    n: Annotated[int, typer.Argument(min=1, help="How many images.")],
    project: ProjectOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="The run whose predictions are asked.", autocompletion=completing.runs)
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(
            "--exclude",
            help="Leave these rows out, such as those labelled already.",
            autocompletion=completing.condition,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed chooses the same images.")] = 0,
    tag: TagOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the images to label next, with a score and a reason each."""
    home = opened(project)
    options: dict[str, Any] = {"seed": seed}
    if run is not None:
        options["run"] = run
    if exclude is not None:
        from ..content.query_text import parse_query

        options["exclude"] = parse_query(exclude)
    view = home.acquire(_mixture(strategy), n, **options)
    frame = view.df
    _given(frame, out)
    if tag is not None and frame.height:
        view.tag(tag)
    if as_json:
        print_json(frame.select("item_id", "uri", "score", "reason"))
        return
    print_frame(frame.select("uri", "score", "reason"), rows=20)
    tell(f"{frame.height:,} images chosen.")


def _mixture(strategy: str) -> str | dict[str, float]:
    """Read `entropy=0.5,coverage=0.5` as a mixture; a name alone stays one."""
    if "=" not in strategy:
        return strategy
    out = {}
    for part in strategy.split(","):
        name, _, weight = part.partition("=")
        try:
            out[name.strip()] = float(weight)
        except ValueError as error:
            raise InputError(f'"{part}" is no weight of a strategy.', "Write entropy=0.5,coverage=0.5.") from error
    return out


def _given(frame: pl.DataFrame, out: Path | None) -> None:
    """Write rows as a table, where a file was named."""
    if out is None:
        return
    from ..exchange.exporting import flat
    from ..store.writing import Writing

    suffix = out.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise unknown("kind of table", suffix, (".csv", ".parquet"))
    if not out.parent.is_dir():
        raise InputError(f'There is no folder "{out.parent}".', "Make it, or name another file.")
    with Writing(f'"{out}"') as writing, writing.file(out) as temporary:
        if suffix == ".csv":
            flat(frame).write_csv(temporary)
        else:
            frame.write_parquet(temporary)
    tell(f"{frame.height:,} rows written to {out}")
