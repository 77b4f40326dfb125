"""Videos, and videos taken apart into folders of images: one row a frame."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ..errors import EmptyFolderError, ImageError, InputError
from ..images.address import shown
from ..images.video import MARK, frame_table, pyav
from ..schema import FRAME, GROUP, URI
from .folder import read_folder
from .source import Fault, Source, existing, valid_text

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg"})
_DIGITS = re.compile(r"([0-9]+)")
_MOST_DIGITS = 9
"""Longer numbers in file names (dates, hashes) are no frame numbers, and do not fit 32 bits."""
_GLOB_CHARACTERS = frozenset("*?[")
_PROJECT_SUFFIX = ".eaw"

PathLike = str | os.PathLike[str]


def read_video(
    videos: PathLike | Sequence[PathLike], *, every: int = 1, start: int | None = None, stop: int | None = None
) -> Source:
    """List the frames of local videos.

    Parameters
    ----------
    videos : path, pattern, folder or list
        The files; folders are searched with their sub-folders.
    every : int
        Take each k-th frame.
    start, stop : int, optional
        Take frames from number `start` on (0 is the first) and before number `stop`, of each video.

    Returns
    -------
    Source
        Items with `group` (the video), `frame` (its number in the video, from 0) and `time_s` (from its first frame).

    Raises
    ------
    EmptyFolderError
        There is no video.
    InputError
        `every` is below 1, `start` or `stop` below 0, or PyAV is not installed.
    """
    _check(every, start, stop)
    files, groups, name, card = _files(videos)
    faults: list[Fault] = []
    parts: list[pl.DataFrame] = []
    for file, group in zip(files, groups, strict=True):
        if not valid_text(file):
            faults.append(Fault(shown(file), "skipped", "the file name is not UTF-8", "rename the file"))
            continue
        try:
            table = frame_table(file)
        except ImageError as error:
            faults.append(Fault(file, "skipped", error.message, error.remedy))
            continue
        address = pl.lit(file + MARK) + pl.col("pts").cast(pl.String)
        chosen = table[start or 0 : stop].gather_every(every)
        parts.append(chosen.select(address.alias(URI), pl.lit(group).alias(GROUP), FRAME, "time_s"))
    if not any(part.height for part in parts):
        raise _nothing(videos, faults, taken=bool(parts))
    limits = {key: value for key, value in (("start", start), ("stop", stop)) if value is not None}
    card = {"format": "video", **card, "every": every, **limits}
    return Source(pl.concat(parts), name, card, faults=faults, header={"format": "video"})


def _check(every: int, start: int | None, stop: int | None) -> None:
    if every < 1:
        raise InputError(f"every={every} takes no frames.", "Give 1 for all, 2 for every other one, …")
    for name, number in (("start", start), ("stop", stop)):
        if number is not None and number < 0:
            raise InputError(f"{name}={number} is no number of a frame.", "Count from 0, the first frame.")
    try:
        pyav()
    except ImageError as error:
        raise InputError(error.message, error.remedy) from error


def _nothing(videos: object, faults: Sequence[Fault], *, taken: bool) -> EmptyFolderError:
    if taken:
        return EmptyFolderError(f'No video in "{videos}" has frames there.', "Give a smaller start or a larger stop.")
    if faults:
        return EmptyFolderError(
            f'There is no video that can be read in "{videos}". The first: {faults[0].why}', faults[0].remedy
        )
    return EmptyFolderError(f'There is no video in "{videos}".', f"Looked for {', '.join(sorted(VIDEO_SUFFIXES))}.")


def _files(videos: PathLike | Sequence[PathLike]) -> tuple[list[str], list[str], str, dict[str, object]]:
    """Return the files, what each is called, a name for all, and how to find them again."""
    if not isinstance(videos, (str, os.PathLike)):
        files = list(dict.fromkeys(os.fspath(v) for v in videos))
        return files, _names(files), "videos", {"images": files}
    text = os.fspath(videos)
    path = Path(text)
    if path.is_dir():
        files, groups = _found(path, "**/*")
        return files, groups, path.resolve().name or "videos", {"images": text}
    if not path.exists() and any(c in _GLOB_CHARACTERS for c in text):
        fixed = [not any(c in _GLOB_CHARACTERS for c in part) for part in path.parts].index(False)
        root = Path(*path.parts[:fixed])
        existing(root, "folder")
        files, groups = _found(root, str(Path(*path.parts[fixed:])))
        return files, groups, root.resolve().name or "videos", {"images": text}
    existing(path, "video")
    return [text], [path.name], path.stem, {"images": text}


def _found(root: Path, pattern: str) -> tuple[list[str], list[str]]:
    """List the videos below a folder and their places in it; nothing hidden, nothing of a project's own."""
    files, groups = [], []
    for path in sorted(root.glob(pattern)):
        place = path.relative_to(root)
        own = any(part.startswith(".") or part.endswith(_PROJECT_SUFFIX) for part in place.parts)
        if path.suffix.lower() in VIDEO_SUFFIXES and not own and path.is_file():
            files.append(str(path))
            groups.append(place.as_posix())
    return files, groups


def _names(files: Sequence[str]) -> list[str]:
    """Name each file of a list: its name, with all its folders where that is not its alone."""
    names = [Path(f).name for f in files]
    count = Counter(names)
    return [n if count[n] == 1 else Path(f).as_posix() for n, f in zip(names, files, strict=True)]


def read_frame_folders(folder: PathLike) -> Source:
    """Read videos that lie as folders of images: each folder with images is one sequence.

    Items get `group` (the folder) and `frame`: the number in the file name where all have one and
    no two share it, else the place in natural order (`frame_2` before `frame_10`).
    """
    source = read_folder(folder, classes=False)
    root = Path(folder)
    by_folder: dict[str, list[str]] = {}
    for uri in source.items[URI]:
        by_folder.setdefault(str(Path(uri).parent), []).append(uri)
    rows: list[tuple[str, str, int]] = []
    for place, uris in by_folder.items():
        relative = Path(os.path.relpath(place, root)).as_posix()
        group = root.resolve().name if relative == "." else relative
        rows.extend((uri, group, number) for number, uri in _numbered(uris))
    source.items = pl.DataFrame(rows, schema={URI: pl.String, GROUP: pl.String, FRAME: pl.Int32}, orient="row")
    source.card["sequences"] = True
    source.header = {"format": "frames"}
    return source


def _numbered(uris: Sequence[str]) -> list[tuple[int, str]]:
    """Return the files of one folder in order, each with its number."""
    found = {uri: _last_number(uri) for uri in uris}
    numbers = {number: uri for uri, number in found.items() if number is not None}
    if len(numbers) == len(uris):
        return sorted(numbers.items())
    return list(enumerate(sorted(uris, key=_natural)))


def _natural(uri: str) -> list[tuple[int, str]]:
    """Return what sorts names by their numbers; texts and numbers alternate in every name."""
    parts = _DIGITS.split(Path(uri).name)
    return [(int(part), part) if i % 2 else (0, part) for i, part in enumerate(parts)]


def _last_number(uri: str) -> int | None:
    found = _DIGITS.findall(Path(uri).stem)
    return int(found[-1]) if found and len(found[-1]) <= _MOST_DIGITS else None
