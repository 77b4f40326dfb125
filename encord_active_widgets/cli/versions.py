"""Commands that go back: `snapshot`, `snapshots`, `diff`, `restore`, `history`, `undo`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import completing
from .output import print_frame, print_json, say, tell
from .rows import Images
from .shell import BROKEN, VERSIONS, JsonOption, ProjectOption, QueryOption, chosen, command, opened


class Part(StrEnum):
    """What two versions can differ in."""

    ITEMS = "items"
    LABELS = "labels"
    TAGS = "tags"
    NOTES = "notes"
    REVIEWS = "reviews"
    METRICS = "metrics"
    RUNS = "runs"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the application."""
    command(app, "snapshot", "snapshot v1 --note 'before cleaning'", panel=VERSIONS)(snapshot)
    command(app, "snapshots", "snapshots", "snapshots --json", panel=VERSIONS)(snapshots)
    command(app, "diff", "diff v1", "diff v1 v2 --show labels --json", "diff v1 --html changed.html", panel=VERSIONS)(
        diff
    )
    command(app, "restore", "restore v1", panel=VERSIONS)(restore)
    command(
        app, "clone", "clone for_anna.eaw --query 'ea.tagged(\"anna\")'", "clone copy.eaw --images copy", panel=VERSIONS
    )(clone)
    command(app, "merge", "merge for_anna.eaw", panel=VERSIONS)(merge)
    command(app, "history", "history", "history --json", panel=VERSIONS)(history)
    command(app, "undo", "undo", "undo 3", panel=VERSIONS)(undo)


def snapshot(
    name: Annotated[str, typer.Argument(help="The snapshot's name.")],
    note: Annotated[str, typer.Option("--note", help="What it is.")] = "",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep the project as it is now under a name; nothing is copied."""
    home = opened(project)
    home.snapshot(name, note=note)
    if as_json:
        print_json({"snapshot": name, "note": note, "project": str(home.path)})
    else:
        say(f"Snapshot {name!r} of {len(home):,} images kept.")


def snapshots(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the snapshots, oldest first."""
    frame = opened(project).snapshots()
    if as_json:
        print_json(frame)
    else:
        print_frame(frame, rows=100)


def diff(
    old: Annotated[str, typer.Argument(help="The snapshot to compare with.", autocompletion=completing.snapshots)],
    new: Annotated[
        str | None,
        typer.Argument(
            help="A later snapshot; by default the project as it is now.", autocompletion=completing.snapshots
        ),
    ] = None,
    show: Annotated[
        Part | None, typer.Option("--show", help="Only this part: items, labels, tags, notes, reviews, metrics, runs.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write the changed images, removed ones too, as a page.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changed between two snapshots, or since one: added, removed, relabelled, retagged; metrics; mAP."""
    home = opened(project)
    found = home.diff(old, new)
    if html is not None:
        view = found.view()
        if len(view):
            tell(f"{len(view):,} images written to {view.to_html(html, color='change').path}")
        else:
            tell("No image changed: no page was written.")
    if as_json:
        print_json({part.value: getattr(found, part.value) for part in ([show] if show is not None else Part)})
    elif show is not None:
        print_frame(getattr(found, show.value), rows=100)
    else:
        say(repr(found))


def restore(
    name: Annotated[str, typer.Argument(help="The snapshot to go back to.", autocompletion=completing.snapshots)],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the project back to a snapshot, as an edit that `undo` takes back."""
    home = opened(project)
    changed = home.restore(name)
    if as_json:
        print_json({"restored": name, "changed": changed, "items": len(home)})
    else:
        say(f"{home.name!r} {'is' if changed else 'was'} as in {name!r}: {len(home):,} images.")


def clone(
    path: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or is empty.")],
    project: ProjectOption = None,
    query: QueryOption = None,
    images: Annotated[Images, typer.Option("--images", help="reference, copy or link.")] = Images.REFERENCE,
    as_json: JsonOption = False,
) -> None:
    """Copy the project, or the images of a query, into another folder; `merge` takes its edits back."""
    home = opened(project)
    whole = query is None
    made = (home if whole else chosen(home, "item", query)).clone(path, images=images.value)
    if as_json:
        print_json({"project": str(made.path), "items": len(made)})
    else:
        say(f"{len(made):,} images cloned to {made.path}")


def merge(
    other: Annotated[Path, typer.Argument(help="A clone of the project.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take over the edits of a clone; ends with exit code 1 where both changed the same, and lists it."""
    conflicts = opened(project).merge(other)
    if as_json:
        print_json(conflicts)
    elif conflicts.height:
        print_frame(conflicts, rows=100)
    else:
        say("Merged without conflicts.")
    if conflicts.height:
        tell(f"{conflicts.height:,} conflicts: what is listed stays as it was before; decide and relabel.")
        raise typer.Exit(BROKEN)


def history(
    project: ProjectOption = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="The newest so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show what was done to the project, by whom, and whether it is in force."""
    frame = opened(project).history().tail(limit)
    if as_json:
        print_json(frame)
    else:
        print_frame(frame.select("at", "level", "what", "n", "in_force", "cause"), rows=limit)


def undo(
    n: Annotated[int, typer.Argument(min=1, help="How many edits.")] = 1,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back the last edits, whoever made them."""
    undone = opened(project).undo(n)
    if as_json:
        print_json({"undone": undone})
        return
    for text in undone:
        say(f"undone: {text}")
    if not undone:
        tell("There is nothing to undo.")
