"""Commands that make a project or bring files into one: `init`, `import …`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, unknown
from . import completing
from .output import print_json, say, tell
from .shell import MAKING, JsonOption, ProjectOption, command, find_project, group, opened

if TYPE_CHECKING:
    import polars as pl

    from ..project import Project

ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="The folder that the file's image names start from.")
]
PlaceOption = Annotated[
    Path | None,
    typer.Option("--project", metavar="PATH", help="The project folder; by default one beside you, named by the data."),
]
AddOption = Annotated[bool, typer.Option("--add", help="Add the labels to a project that is there already.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Fail where anything cannot be used; write nothing then.")]
NameOption = Annotated[str | None, typer.Option("--name", help="The project's name.")]

imports = group("Bring files into a project: images with labels, or predictions.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the application."""
    command(app, "init", "init photos", "init photos --project photos.eaw --compute", panel=MAKING)(init)
    app.add_typer(imports, name="import", rich_help_panel=MAKING)


def init(
    folder: Annotated[str, typer.Argument(help="A folder of images, or a pattern such as 'photos/**/*.jpg'.")],
    project: PlaceOption = None,
    name: NameOption = None,
    sequences: Annotated[bool, typer.Option("--sequences", help="Sub-folders hold the frames of videos.")] = False,
    compute: Annotated[
        bool, typer.Option("--compute", help="Compute metrics, neighbours and the map at once.")
    ] = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a project of a folder of images; sub-folders become classes."""
    from ..project import Project

    made = Project.from_folder(folder, project, name=name, sequences=sequences, strict=strict)
    if compute:
        from .computing import run_stages

        run_stages(made)
    _report(made, as_json=as_json)


@command(imports, "folder", "import folder photos --project photos.eaw")
def import_folder(
    folder: Annotated[str, typer.Argument(help="A folder of images, or a pattern.")],
    project: PlaceOption = None,
    name: NameOption = None,
    sequences: Annotated[bool, typer.Option("--sequences", help="Sub-folders hold the frames of videos.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Add the images to a project that is there already.")] = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import images of a folder; sub-folders become classes."""
    from ..project import Project

    if add:
        existing = opened(project)
        existing.add_images(folder)
        _report(existing, as_json=as_json)
        return
    made = Project.from_folder(folder, project, name=name, sequences=sequences, strict=strict)
    _report(made, as_json=as_json)


@command(
    imports, "coco", "import coco annotations.json --images images --project parts.eaw",
    "import coco more.json --project parts.eaw --add",
)  # fmt: skip
def import_coco(
    annotations: Annotated[Path, typer.Argument(help="The JSON file.")],
    images: ImagesOption = None,
    project: PlaceOption = None,
    name: NameOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import images with COCO annotations: boxes, polygons, masks, keypoints."""
    from ..project import Project

    if add:
        _add_labels(project, annotations, "coco", images, strict=strict, as_json=as_json)
        return
    _report(Project.from_coco(annotations, images, project, name=name, strict=strict), as_json=as_json)


@command(imports, "voc", "import voc Annotations --images JPEGImages --project voc.eaw")
def import_voc(
    annotations: Annotated[Path, typer.Argument(help="The folder of XML files.")],
    images: Annotated[Path, typer.Option("--images", help="The folder of the images that they name.")],
    project: PlaceOption = None,
    name: NameOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import images with Pascal VOC annotations."""
    from ..project import Project

    if add:
        _add_labels(project, annotations, "voc", images, strict=strict, as_json=as_json)
        return
    _report(Project.from_voc(annotations, images, project, name=name, strict=strict), as_json=as_json)


@command(imports, "yolo", "import yolo data.yaml --project yolo.eaw")
def import_yolo(
    data: Annotated[Path, typer.Argument(help="data.yaml, or the folder that holds it.")],
    project: PlaceOption = None,
    task: Annotated[
        str | None, typer.Option("--task", help="detect, segment, obb or pose, where the file does not say.")
    ] = None,
    name: NameOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import a YOLO dataset: boxes, segments, rotated boxes, poses."""
    from ..project import Project

    if add:
        _add_labels(project, data, "yolo", None, strict=strict, as_json=as_json)
        return
    _report(Project.from_yolo(data, project, task=task, name=name, strict=strict), as_json=as_json)


@command(imports, "video", "import video clip.mp4 --every 10 --project clip.eaw")
def import_video(
    videos: Annotated[list[str], typer.Argument(help="Video files, a pattern, or a folder of them.")],
    project: PlaceOption = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Take each k-th frame.")] = 1,
    start: Annotated[int | None, typer.Option("--start", min=0, help="The frame to begin with.")] = None,
    stop: Annotated[int | None, typer.Option("--stop", min=0, help="The frame to end before.")] = None,
    name: NameOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import frames of local videos (needs the extra `video`)."""
    from ..project import Project

    given: Any = videos[0] if len(videos) == 1 else videos
    made = Project.from_video(given, project, every=every, start=start, stop=stop, name=name, strict=strict)
    _report(made, as_json=as_json)


@command(imports, "frame", "import frame rows.parquet --project rows.eaw", "import frame rows.csv --path-column image")
def import_frame(
    file: Annotated[
        Path, typer.Argument(help="A table (.csv, .parquet, .arrow, .ndjson) with a column of image paths.")
    ],
    project: PlaceOption = None,
    path_column: Annotated[str, typer.Option("--path-column", help="The column of image paths.")] = "path",
    name: NameOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import images and labels of a table with the columns path, class_name, x, y, w, h and others."""
    from ..project import Project

    frame = _table(file)
    if add:
        _add_labels(project, frame, None, None, strict=strict, as_json=as_json)
        return
    home = project if project is not None else Path(f"{name or file.stem}.eaw")
    made = Project.from_frame(frame, home, path_column=path_column, name=name or file.stem, strict=strict)
    _report(made, as_json=as_json)


@command(
    imports, "predictions", "import predictions results.json --run yolo --project parts.eaw",
    "import predictions runs/labels --run yolo --classes bolt,nut",
)  # fmt: skip
def import_predictions(
    file: Annotated[
        Path, typer.Argument(help="COCO results, a folder of YOLO or KITTI texts or PNG masks, a table, a pickle.")
    ],
    run: Annotated[str, typer.Option("--run", help="The name of the run.", autocompletion=completing.runs)],
    project: ProjectOption = None,
    classes: Annotated[
        str | None, typer.Option("--classes", help="Class names in the order of their numbers, with commas.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--format", help="What the file is, where its ending does not say so.")
    ] = None,
    box_format: Annotated[
        str, typer.Option("--box-format", help="xywh, xyxy or cxcywh; with n at the end in shares.")
    ] = "xywh",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a run of this name.")] = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import a model's predictions, beside the labels of a project."""
    names = None if classes is None else [c.strip() for c in classes.split(",")]
    found = opened(project).add_predictions(
        run, file, names, format=kind, box_format=box_format, replace=replace, strict=strict
    )
    if as_json:
        print_json({
            "run": found.name, "kind": found.kind, "predictions": found.predictions, "items": found.items,
            "skipped": found.skipped,
        })  # fmt: skip
    else:
        say(f"{found.predictions:,} predictions on {found.items:,} images added as {found.name!r} ({found.kind}).")
    if found.skipped:
        tell(f"{found.skipped:,} skipped: see `eaw info --problems`.")


def _table(file: Path) -> pl.DataFrame:
    import polars as pl

    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        ".csv": pl.read_csv, ".parquet": pl.read_parquet, ".arrow": pl.read_ipc, ".ndjson": pl.read_ndjson,
    }  # fmt: skip
    if file.suffix.lower() not in readers:
        raise unknown("kind of table", file.suffix, readers)
    if not file.is_file():
        raise InputError(f'There is no file "{file}".', "Check the path.")
    try:
        return readers[file.suffix.lower()](file)
    except pl.exceptions.PolarsError as error:
        raise InputError(f'"{file}" cannot be read: {str(error).splitlines()[0]}', "Check the file.") from error


def _add_labels(
    project: Path | None, labels: Any, kind: str | None, images: Path | None, *, strict: bool, as_json: bool
) -> None:
    existing = opened(find_project(project))
    done = existing.add_labels(labels, images=images, format=kind, strict=strict)
    tell(f"{done.labels:,} labels added, {done.labels_changed:,} changed.")
    _report(existing, as_json=as_json)


def _report(project: Project, *, as_json: bool) -> None:
    """Say what the project holds now."""
    problems = project.problems.height
    objects, answers = len(project.objects), len(project.classifications)
    if as_json:
        print_json({
            "project": str(project.path), "name": project.name, "items": len(project), "objects": objects,
            "classifications": answers, "problems": problems,
        })  # fmt: skip
        return
    parts = [f"{len(project):,} images"]
    parts += [f"{n:,} {noun}" for n, noun in ((objects, "objects"), (answers, "classes of images")) if n]
    say(f"{', '.join(parts)} in {project.path}")
    if problems:
        tell(f"{problems:,} problems: see `eaw info --problems`.")
