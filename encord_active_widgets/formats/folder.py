"""Images in folders: recursive listing, globs, lists of paths, class sub-folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

import polars as pl

from ..errors import EmptyFolderError, InputError
from ..schema import CLASS_NAME, KIND_CLASSIFICATION, URI
from .source import Fault, Source, existing, valid_text

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
_GLOB_CHARACTERS = frozenset("*?[")
_PROJECT_SUFFIX = ".eaw"
_LEAST_CLASSES = 2


def read_folder(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    recursive: bool = True,
    classes: bool | None = None,
) -> Source:
    """List the images of a folder, a glob pattern or a list of paths.

    Parameters
    ----------
    images : path, pattern, or list of paths
        A folder (`"photos/"`), a pattern (`"photos/**/*.jpg"`), or files.
    recursive : bool
        Look into sub-folders.
    classes : bool, optional
        Whether sub-folders are classes. By default they are where every image lies in one
        of at least two sub-folders (below a split such as `train/`, if there is one).

    Raises
    ------
    EmptyFolderError
        The folder does not exist, or holds no image.
    """
    faults: list[Fault] = []
    if isinstance(images, (str, os.PathLike)):
        root, found, card = _one(images, recursive, faults)
        name = root.resolve().name or "images"
    else:
        root, card = None, {"format": "list"}
        found = [os.fspath(p) for p in images]
        name = "images"
    uris = []
    for uri in found:
        if valid_text(uri):
            uris.append(uri)
        else:
            shown = os.fsencode(uri).decode("utf-8", "backslashreplace")
            faults.append(Fault(shown, "skipped", "the file name is not UTF-8", "rename the file"))
    if not uris and not faults:
        raise EmptyFolderError(
            f'There is no image in "{images}".',
            f"Looked for {', '.join(sorted(IMAGE_SUFFIXES))}{'' if recursive else ' (not in sub-folders)'}.",
        )
    items = pl.DataFrame({URI: uris}, schema={URI: pl.String}).unique(maintain_order=True)
    source = Source(items, name, {**card, "classes": classes, "recursive": recursive}, faults=faults)
    if root is not None and classes is not False:
        _add_classes(source, root, forced=classes is True)
    return source


def _one(
    images: str | os.PathLike[str], recursive: bool, faults: list[Fault]
) -> tuple[Path, list[str], dict[str, object]]:
    text = os.fspath(images)
    if "://" in text:
        return Path(text.rsplit("/", 1)[-1]), _remote(text), {"format": "folder", "images": text}
    path = Path(text)
    if not path.exists() and any(c in _GLOB_CHARACTERS for c in text):
        root = Path(*_fixed_prefix(PurePath(text)))
        existing(root, "folder")
        pattern = str(PurePath(text).relative_to(root))
        found = sorted(str(p) for p in root.glob(pattern) if p.suffix.lower() in IMAGE_SUFFIXES)
        return root, found, {"format": "folder", "images": text}
    existing(path, "folder")
    if path.is_file():
        return path.parent, [text], {"format": "folder", "images": text}
    return path, list(_walk(path, recursive, faults, set())), {"format": "folder", "images": text}


def _fixed_prefix(pattern: PurePath) -> Iterator[str]:
    """Yield the parts of a pattern before the first wildcard."""
    yield "."
    for part in pattern.parts:
        if any(c in _GLOB_CHARACTERS for c in part):
            return
        yield part


def _walk(folder: Path, recursive: bool, faults: list[Fault], seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yield image files in name order; follow links to folders once each."""
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        faults.append(Fault(_shown(folder), "skipped", error.strerror or str(error), "check the folder's permissions"))
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name.endswith(_PROJECT_SUFFIX):
            continue
        is_image = PurePath(entry.name).suffix.lower() in IMAGE_SUFFIXES
        try:
            is_folder = entry.is_dir()
            if is_image and not is_folder:
                entry.stat()
        except OSError as error:
            faults.append(Fault(_shown(entry.path), "skipped", error.strerror or str(error), "mend or remove the link"))
            continue
        if is_folder:
            if recursive:
                yield from _walk(Path(entry.path), recursive, faults, seen)
        elif is_image:
            yield entry.path


def _shown(path: str | Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _remote(address: str) -> list[str]:
    try:
        import fsspec
    except ImportError as error:
        raise InputError(
            f'"{address}" is a remote address.', 'pip install "encord_active_widgets[cloud]" to read it.'
        ) from error
    system, root = fsspec.core.url_to_fs(address)
    scheme = address.split("://", 1)[0]
    found = system.find(root) if system.isdir(root) else system.glob(root)
    return [f"{scheme}://{p.lstrip('/') if scheme != 'file' else p}" for p in sorted(found) if _is_image_name(p)]


def _is_image_name(name: str) -> bool:
    return PurePath(name).suffix.lower() in IMAGE_SUFFIXES


def _add_classes(source: Source, root: Path, *, forced: bool) -> None:
    """Read class names, and splits, from the folder names."""
    places = [_folders_below(uri, root) for uri in source.items[URI]]
    splits = [p[0] if p and p[0].lower() in SPLIT_NAMES else None for p in places]
    has_splits = bool(places) and all(s is not None for s in splits)
    names = [(p[1:] if has_splits else p)[:1] for p in places]
    depths = {len(p) - has_splits for p in places}
    distinct = {n[0] for n in names if n}
    if forced:
        if not distinct:
            raise InputError(
                f'There are no class sub-folders in "{root}".', "Expected images at <folder>/<class>/<image>."
            )
    elif depths != {1} or len(distinct) < _LEAST_CLASSES:
        return
    if has_splits:
        source.items = source.items.with_columns(group=pl.Series(splits, dtype=pl.String))
    source.labels = pl.DataFrame(
        {
            URI: source.items[URI],
            "kind": pl.repeat(KIND_CLASSIFICATION, source.items.height, eager=True),
            CLASS_NAME: [n[0] if n else None for n in names],
        },
        schema={URI: pl.String, "kind": pl.String, CLASS_NAME: pl.String},
    ).drop_nulls(CLASS_NAME)


def _folders_below(uri: str, root: Path) -> tuple[str, ...]:
    try:
        return PurePath(uri).relative_to(root).parts[:-1]
    except ValueError:
        return ()


def within(root: str | os.PathLike[str], names: Iterable[str]) -> tuple[list[str | None], list[Fault]]:
    """Join file names of an annotation file to the image folder; refuse those that climb out."""
    base = os.fspath(root)
    joined: list[str | None] = []
    faults: list[Fault] = []
    for name in names:
        if ".." not in name and not name.startswith(("/", "\\")) and ":" not in name:
            joined.append(os.path.join(base, name))  # a million names: no path object each
            continue
        parts = PurePath(name.replace("\\", "/")).parts
        if os.path.isabs(name) or ".." in parts:
            faults.append(
                Fault(name, "skipped", f'the path leaves the image folder "{base}"', "put the image inside the folder")
            )
            joined.append(None)
        else:
            joined.append(os.path.join(base, name))
    return joined, faults
