"""How a project comes to be: from folders, frames, label files and videos."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, cast

import polars as pl

from ..errors import DiskFullError, InputError, ProjectError
from ..formats.coco import read_coco
from ..formats.folder import read_folder
from ..formats.frame import read_frame
from ..formats.source import Source, existing
from ..store.folder import SUFFIX, ProjectFolder
from ..store.writing import room_for
from .adding import Adding

log = logging.getLogger("encord_active_widgets")

PathLike = str | os.PathLike[str]
Transformer = Callable[[str], Any]


class Making(Adding):
    """Constructors of a project."""

    def __init__(self, path: PathLike) -> None:  # noqa: ARG002
        raise AssertionError("Project has it")

    @classmethod
    def from_folder(
        cls,
        images: PathLike | Sequence[PathLike] | pl.DataFrame,
        path: PathLike | None = None,
        *,
        recursive: bool = True,
        classes: bool | None = None,
        labels: Transformer | None = None,
        sequences: bool = False,
        name: str | None = None,
        strict: bool = False,
    ) -> Self:
        """Make a project from images, or reopen the one made from them before.

        Parameters
        ----------
        images : path, pattern, list of paths, or frame with a column `path`
            A folder (`"photos/"`), a pattern (`"photos/**/*.jpg"`), or files.
        path : path, optional
            The project folder; `./<name>.eaw` by default.
        recursive : bool
            Look into sub-folders.
        classes : bool, optional
            Whether sub-folders are classes; by default they are where every image lies in
            one of at least two sub-folders, below `train/`, `val/`, `test/` if present.
        labels : callable, optional
            Reads your own label files: called with the path of each image, it returns what is
            on it: None, a class name, or dicts such as `{"class_name": "cat", "x": 10, "y": 20,
            "w": 30, "h": 40}` or `{"class_name": "road", "points": [(0, 0), (9, 0), (9, 9)]}`.
            See `formats.records.read_records` for all keys.
        sequences : bool
            Each sub-folder is a video taken apart: its files are frames in natural order.
        name : str, optional
            A name to show; the folder's by default.
        strict : bool
            Raise where something would be skipped and listed in `problems`.

        Returns
        -------
        Project
            Of the kind it was called on.

        Raises
        ------
        EmptyFolderError
            The folder does not exist or holds no image; similar names are offered.
        ProjectError
            `path` is a file, another project or a folder with other content.

        Examples
        --------
        >>> p = ea.Project.from_folder("photos", classes=True)  # doctest: +SKIP
        """
        if isinstance(images, (pl.DataFrame, pl.LazyFrame)) or hasattr(images, "__arrow_c_stream__"):
            return cls.from_frame(images, path, name=name, strict=strict)
        if sequences:
            from ..formats.video import read_frame_folders

            source = read_frame_folders(cast("PathLike", images))
        else:
            source = read_folder(images, recursive=recursive, classes=classes)
        if labels is not None:
            from ..formats.records import read_records

            read_records(source, labels)
        return cls._from_source(source, path, name, strict=strict, code=f"Project.from_folder({_shown(images)})")

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        path: PathLike | None = None,
        *,
        path_column: str = "path",
        name: str | None = None,
        read: bool = True,
        strict: bool = False,
    ) -> Self:
        """Make a project from a data frame with a column of image paths.

        Parameters
        ----------
        frame : data frame
            Polars, pandas, Arrow … with the column `path`; optionally `class_name`, one label a
            row (`x`, `y`, `w`, `h` in pixels, `angle`, `points`, `rle` …: the columns of
            `p.objects.df`), `group`, `frame`, and metadata columns. A metadata column named
            like one of ours is kept as `<name>_source`.
        path : path, optional
            The project folder; `./<name>.eaw` by default.
        path_column : str
            The column of addresses.
        read : bool
            Open every file now. With `False` the files are not touched: useful for a
            million rows that bring their own columns.
        strict : bool
            Raise where something would be skipped and listed in `problems`.
        name : str, optional
            A name to show; that of the source by default.

        Returns
        -------
        Project
            Of the kind it was called on.
        """
        source = read_frame(frame, path=path_column)
        return cls._from_source(source, path, name, read=read, strict=strict, code="Project.from_frame(frame)")

    @classmethod
    def from_coco(
        cls,
        annotations: PathLike,
        images: PathLike | None = None,
        path: PathLike | None = None,
        *,
        name: str | None = None,
        read: bool = True,
        strict: bool = False,
    ) -> Self:
        """Make a project from COCO annotations: boxes, polygons, masks, keypoints.

        What cannot be used is skipped and listed in `project.problems`. All else is kept, so
        that `p.items.to_coco(…)` writes what was read.

        Parameters
        ----------
        annotations : path
            The JSON file.
        images : path, optional
            The folder that `file_name` starts from; by default `images` beside the file, or
            the file's own folder.
        path, name, strict
            As in `from_folder`.
        read : bool
            Open every image now; with False the sizes in the file are believed.

        Returns
        -------
        Project
            Of the kind it was called on.

        Examples
        --------
        >>> p = ea.Project.from_coco("annotations.json", images="images")  # doctest: +SKIP
        """
        source = read_coco(annotations, images=images)
        code = f"Project.from_coco({str(annotations)!r})"
        return cls._from_source(source, path, name, read=read, strict=strict, code=code)

    @classmethod
    def from_voc(
        cls,
        annotations: PathLike | Sequence[PathLike],
        images: PathLike,
        path: PathLike | None = None,
        *,
        name: str | None = None,
        strict: bool = False,
    ) -> Self:
        """Make a project from Pascal VOC: a folder of XML files, and the images they name.

        Parameters
        ----------
        annotations : path
            The folder of XML files.
        images : path
            The folder of the images that they name.
        path : path, optional
            The project folder; `./<name>.eaw` by default.
        name : str, optional
            A name to show; that of the source by default.
        strict : bool
            Raise where something would be skipped and listed in `problems`.

        Returns
        -------
        Project
            Of the kind it was called on.
        """
        from ..formats.voc import read_voc

        source = read_voc(annotations, images=images)
        return cls._from_source(source, path, name, strict=strict, code=f"Project.from_voc({_shown(annotations)})")

    @classmethod
    def from_yolo(
        cls,
        data: PathLike,
        path: PathLike | None = None,
        *,
        task: str | None = None,
        name: str | None = None,
        strict: bool = False,
    ) -> Self:
        """Make a project from a YOLO dataset: `data.yaml`, or the folder that holds it.

        Parameters
        ----------
        data : path
            Names the images of each split and the classes, as Ultralytics writes it.
        task : {"detect", "segment", "obb", "pose"}, optional
            What the label files hold; found out from the file where it says so, else from the rows.
        path : path, optional
            The project folder; `./<name>.eaw` by default.
        name : str, optional
            A name to show; that of the source by default.
        strict : bool
            Raise where something would be skipped and listed in `problems`.

        Returns
        -------
        Project
            Of the kind it was called on.
        """
        from ..formats.yolo import read_yolo

        source = read_yolo(data, task=task)
        return cls._from_source(source, path, name, strict=strict, code=f"Project.from_yolo({str(data)!r})")

    @classmethod
    def from_video(
        cls,
        videos: PathLike | Sequence[PathLike],
        path: PathLike | None = None,
        *,
        every: int = 1,
        start: int | None = None,
        stop: int | None = None,
        name: str | None = None,
        strict: bool = False,
    ) -> Self:
        """Make a project of the frames of local videos, one row a frame (needs the extra `video`).

        Frames are not written out: each is found by its presentation time when it is needed.

        Parameters
        ----------
        videos : path, pattern, folder or list
            The files.
        every : int
            Take each k-th frame.
        start, stop : int, optional
            Frame numbers to begin with, and to end before.
        path : path, optional
            The project folder; `./<name>.eaw` by default.
        name : str, optional
            A name to show; that of the source by default.
        strict : bool
            Raise where something would be skipped and listed in `problems`.

        Returns
        -------
        Project
            Of the kind it was called on.
        """
        from ..formats.video import read_video

        source = read_video(videos, every=every, start=start, stop=stop)
        return cls._from_source(source, path, name, strict=strict, code=f"Project.from_video({_shown(videos)})")

    @classmethod
    def from_huggingface(
        cls,
        dataset: Any,
        path: PathLike | None = None,
        *,
        name: str | None = None,
        strict: bool = False,
    ) -> Self:
        """Make a project from a Hugging Face image dataset that is at hand; nothing is downloaded.

        Images that are files stay where they are; others are written once into the project.

        Parameters
        ----------
        dataset : datasets.Dataset or DatasetDict
            At hand; its splits become the column `split`.
        path : path, optional
            The project folder; `./<name>.eaw` by default.
        name : str, optional
            A name to show; that of the source by default.
        strict : bool
            Raise where something would be skipped and listed in `problems`.

        Returns
        -------
        Project
            Of the kind it was called on.
        """
        from ..formats.huggingface import read_huggingface

        title = name or "dataset"
        home = Path(path).expanduser() if path is not None else Path(f"{title}{SUFFIX}")
        folder = ProjectFolder(home)
        if not folder.is_project():
            folder.create(title, {"format": "huggingface", **_bases_card(home)})
        source = read_huggingface(dataset, folder=home / "images")
        return cls._from_source(source, home, title, strict=strict, code="Project.from_huggingface(dataset)")

    @classmethod
    def open(cls, path: PathLike) -> Self:
        """Open a project folder.

        Parameters
        ----------
        path : path
            The folder.

        Returns
        -------
        Project
            Of the kind it was called on.
        """
        folder = Path(path).expanduser()
        if not folder.exists():
            existing(folder, "project folder")
        return cls(folder)

    @classmethod
    def _from_source(
        cls, source: Source, path: PathLike | None, name: str | None, *, read: bool = True, strict: bool, code: str
    ) -> Self:
        if strict:
            source.strict()
        title = name or source.name
        home = Path(path).expanduser() if path is not None else Path(f"{title}{SUFFIX}")
        folder = ProjectFolder(home)
        existed, empty_place = folder.is_project(), not home.exists()
        try:
            with room_for(f'the project "{home}"'):
                if not existed:
                    folder.create(title, {**source.card, "labels": source.digest(), **_bases_card(home)})
                project = cls(home)
                _refuse_another(project._card.get("source", {}), source.card, home)
                done = project._ingest(source, read=read, strict=strict, code=code)
        except (InputError, DiskFullError):
            if empty_place:
                shutil.rmtree(home, ignore_errors=True)  # nothing is in it yet, and nothing half-made stays
            raise
        if existed:
            _tell_other_labels(project, source)
        if done.faults and project._snapshot().items.alive_frame().is_empty():
            log.warning("No image of %s could be read (%s tried): p.problems says why.", title, f"{done.faults:,}")
        return project


def _bases_card(home: Path) -> dict[str, str]:
    """Remember where relative addresses start, absolutely and relative to the project."""
    here = Path.cwd()
    try:
        relative = os.path.relpath(here, home.resolve())
    except ValueError:  # another drive
        relative = ""
    return {"base": str(here), "base_relative": relative}


def _refuse_another(old: dict[str, Any], new: dict[str, Any], home: Path) -> None:
    """Refuse to read a source into a project that was made from another one.

    Raises
    ------
    ProjectError
        What the project was made from.
    """
    keys = ("format", "images", "annotations")
    if any(_place(old.get(k)) != _place(new.get(k)) for k in keys):
        raise ProjectError(
            f'"{home}" already holds a project made from {old.get("images") or old.get("format")}.',
            f'Open it with ea.open("{home}"), add to it with p.add_images(…) or p.add_labels(…), '
            "p.relocate(…) if its images lie elsewhere now, or give another path=….",
        )


def _place(value: Any) -> Any:
    return str(Path(value).absolute()) if isinstance(value, str) and os.sep in value else value


def _shown(images: Any) -> str:
    return repr(os.fspath(images)) if isinstance(images, (str, os.PathLike)) else f"{len(images)} paths"


def _tell_other_labels(project: Any, source: Source) -> None:
    """Say that a project made before keeps its labels, where the source has others by now."""
    before = project._card.get("source", {}).get("labels")
    if before is not None and before != source.digest():
        log.warning(
            'The project "%s" was made before and keeps its labels; its source, or the way it is read, has others '
            "now. Add labels with p.add_labels(…), or make the project anew under another path.",
            project.path,
        )
