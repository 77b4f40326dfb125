"""The classes of a project in one order, whatever rows a view holds: numbers of classes must not depend on a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..schema import CLASS_NAME, CLASSIFICATION, OBJECT

if TYPE_CHECKING:
    from ..project import Project


def named_classes(headers: list[dict[str, Any]]) -> list[str]:
    """Return the classes that sources name: YOLO's by number, COCO's categories in the order of the file."""
    found: list[str] = []
    for header in headers:
        names = header.get("names") or {}
        if isinstance(names, dict):
            found += [str(n) for _, n in sorted(names.items(), key=lambda pair: int(pair[0]))]
        for category in header.get("categories") or []:
            if isinstance(category, dict) and "name" in category:
                found.append(str(category["name"]))
    return list(dict.fromkeys(found))


def class_list(project: Project, level: str) -> list[str]:
    """Return every class of the objects, or of the images, of a project.

    First those that the sources name, in their order, then the others by name.
    """
    snapshot = project._snapshot()
    used = set(snapshot.levels[level].alive_frame()[CLASS_NAME].drop_nulls().unique())
    other = snapshot.levels[CLASSIFICATION if level == OBJECT else OBJECT]
    elsewhere = set(other.alive_frame()[CLASS_NAME].drop_nulls().unique()) - used
    named = [n for n in named_classes(project._folder.headers()) if n not in elsewhere]
    return list(dict.fromkeys([*named, *sorted(used)]))
