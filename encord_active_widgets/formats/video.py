"""Videos, and videos taken apart into folders of images: one row a frame."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ..errors import EmptyFolderError, ImageError, InputError
from ..images.video import frame_address, frame_table
from ..schema import FRAME, GROUP, URI
from .folder import read_folder
from .source import Fault, Source, existing

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg"})
_DIGITS = re.compile(r"(\d+)")
_GLOB_CHARACTERS = frozenset("*?[")

PathLike = str | os.PathLike[str]


def read_video(videos: PathLike | Sequence[PathLike], *, every: int = 1) -> Source:
    """List the frames of local videos.

    Parameters
    ----------
    videos : path, pattern, folder or list
        The files; folders are searched with their sub-folders.
    every : int
        Take each k-th frame.

    Returns
    -------
    Source
        Items with `group` (the video), `frame` (its number in the video, from 0) and `time_s`.

    Raises
    ------
    EmptyFolderError
        There is no video.
    InputError
        `every` is below 1.
    """
    if every < 1:
        raise InputError(f"every={every} takes no frames.", "Give 1 for all, 2 for every other one, …")
    files, name, card = _files(videos)
    faults: list[Fault] = []
    parts: list[pl.DataFrame] = []
    for file, group in zip(files, _groups(files), strict=True):
        try:
            table = frame_table(file)
        except ImageError as error:
            faults.append(Fault(file, "skipped", error.message, error.remedy))
            continue
        chosen = table.filter(pl.col(FRAME) % every == 0)
        addresses = [frame_address(file, pts) for pts in chosen["pts"].to_list()]
        parts.append(chosen.select(pl.Series(URI, addresses), pl.lit(group).alias(GROUP), FRAME, "time_s"))
    if not parts:
        why = f" The first: {faults[0].why}" if faults else ""
        raise EmptyFolderError(
            f'There is no video that can be read in "{videos}".{why}', faults[0].remedy if faults else ""
        )
    return Source(pl.concat(parts), name, {**card, "every": every}, faults=faults, header={"format": "video"})


def _files(videos: PathLike | Sequence[PathLike]) -> tuple[list[str], str, dict[str, object]]:
    if not isinstance(videos, (str, os.PathLike)):
        files = [os.fspath(v) for v in videos]
        return files, "videos", {"format": "list"}
    text = os.fspath(videos)
    card: dict[str, object] = {"format": "video", "images": text}
    path = Path(text)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        return [str(p) for p in found], path.resolve().name, card
    if not path.exists() and any(c in _GLOB_CHARACTERS for c in text):
        root = Path(path.anchor) if path.is_absolute() else Path()
        pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else text
        return [str(p) for p in sorted(root.glob(pattern)) if p.suffix.lower() in VIDEO_SUFFIXES], "videos", card
    existing(path, "video")
    return [text], path.stem, card


def _groups(files: Sequence[str]) -> list[str]:
    """Name each video: its file name, with folders where names repeat."""
    names = [Path(f).name for f in files]
    return [n if names.count(n) == 1 else f for n, f in zip(names, files, strict=True)]


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
    rows = []
    for place, uris in by_folder.items():
        ordered = sorted(uris, key=_natural)
        numbers = [_last_number(u) for u in ordered]
        distinct = None not in numbers and len(set(numbers)) == len(numbers)
        group = os.path.relpath(place, root)
        for i, uri in enumerate(ordered):
            rows.append((uri, root.name if group == "." else group, numbers[i] if distinct else i))
    source.items = pl.DataFrame(rows, schema={URI: pl.String, GROUP: pl.String, FRAME: pl.Int32}, orient="row")
    source.card["sequences"] = True
    source.header = {"format": "frames"}
    return source


def _natural(uri: str) -> list[tuple[int, str]]:
    parts = _DIGITS.split(Path(uri).name)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def _last_number(uri: str) -> int | None:
    found = _DIGITS.findall(Path(uri).stem)
    return int(found[-1]) if found and len(found[-1]) < 9 else None
