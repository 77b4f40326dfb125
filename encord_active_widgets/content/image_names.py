"""What the images of a project are called outside of it: names of files, and the mark that tells projects apart."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..schema import CHANGE_ID, URI

if TYPE_CHECKING:
    from ..formats.known import Known
    from ..project import Project

_FRAME_SUFFIX = ".png"
_MARK_HEX = 8


def file_names(project: Project, uris: list[str], folders: list[str | None]) -> list[str]:
    """Return each image's name as its source calls it: relative to the image folder, and unlike others in `folders`."""
    given = [project._card.get("source", {}).get("images"), *(f for h in project._folder.headers() for f in _listed(h))]
    roots = sorted({f"{r.rstrip('/' + os.sep)}/" for r in given if isinstance(r, str) and r}, key=len, reverse=True)
    out: list[str] = []
    taken: set[tuple[str | None, str]] = set()
    for uri, folder in zip(uris, folders, strict=True):
        path, mark, pts = uri.partition("#pts=")
        root = next((r for r in roots if path.startswith(r)), None)
        name = PurePath(path).name if root is None else path[len(root) :]
        if mark:
            name = f"{PurePath(name).with_suffix('')}_{pts}{_FRAME_SUFFIX}"
        base, n = name, 1
        while (folder, name) in taken:
            stem = PurePath(base)
            name, n = str(stem.with_name(f"{stem.stem}_{n}{stem.suffix}")), n + 1
        taken.add((folder, name))
        out.append(name)
    return out


def _listed(header: dict[str, Any]) -> list[Any]:
    """Return the image folders that a header lists."""
    folders = header.get("folders")
    return folders if isinstance(folders, list) else []


def names_by_uri(project: Project) -> dict[str, str]:
    """Return the name of each image of a project, by its address."""
    uris = project._snapshot().items.frame[URI].to_list()
    return dict(zip(uris, file_names(project, uris, [None] * len(uris)), strict=True))


def mark_of(project: Project) -> str:
    """Return what tells a project from others, also where they give the same ids: it stays when the folder moves."""
    return str(project._folder.changes.read()[CHANGE_ID][0])[:_MARK_HEX]


def known_images(project: Project) -> Known:
    """Return what is known of a project's images, for files that come back."""
    from ..formats.known import Known

    items = project._snapshot().items.frame
    return Known.of(items, list(names_by_uri(project).values()), mark_of(project))
