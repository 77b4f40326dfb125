"""What a project knows of its images, for files that come back from another tool: which one is meant, and its size."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath

import polars as pl

from ..schema import ITEM_ID, URI


@dataclass
class Known:
    """Images of a project by id, by the name they were handed out under, and by the end of their address.

    Attributes
    ----------
    uris : dict
        Address by item id.
    sizes : dict
        (width, height) in pixels by address; images whose size is not known are left out.
    names : dict
        Address by the name an export gives an image.
    project : str
        What tells this project's labels from those of others: two projects may give the same ids.
    """

    uris: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    project: str = ""

    def __post_init__(self) -> None:
        self._addresses = frozenset(self.uris.values())
        self._by_name: dict[str, list[str]] = {}
        for uri in self.uris.values():
            self._by_name.setdefault(PurePath(uri).name, []).append(uri)

    @classmethod
    def of(cls, items: pl.DataFrame, names: list[str], project: str) -> Known:
        """Take the items of a project (`item_id`, `uri`, `width`, `height`) and the names that exports give them."""
        sized = items.select(URI, "width", "height").drop_nulls()
        return cls(
            dict(zip(items[ITEM_ID], items[URI], strict=True)),
            {u: (w, h) for u, w, h in sized.iter_rows()},
            dict(zip(names, items[URI], strict=True)),
            project,
        )

    def label(self, text: object) -> str | None:
        """Return the id of the label that a file speaks of, if it is one of this project."""
        project, mark, label_id = text.partition("/") if isinstance(text, str) else ("", "", "")
        return label_id if mark and project and project == self.project else None

    def find(self, name: str) -> str | None:
        """Return the address that is `name`, was handed out as it, or is the only one that ends with it."""
        if name in self._addresses:
            return name
        if name in self.names:
            return self.names[name]
        tail = name.lstrip("/")
        same = [u for u in self._by_name.get(PurePath(tail).name, []) if u == tail or u.endswith(f"/{tail}")]
        return same[0] if len(same) == 1 else None


def reference(project: str, label_id: str) -> str:
    """Return how a label is named in a file for annotators."""
    return f"{project}/{label_id}"
