"""What a project knows of its images, for files that come back from another tool: which one is meant, and its size."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import PurePath

import polars as pl

from ..schema import ITEM_ID, URI

_SENT = "~"


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
        return self._parts(text)[0]

    def sent(self, text: object) -> str | None:
        """Return what a file tells of that label when it was handed out; see `as_sent`. Older files do not."""
        return self._parts(text)[1]

    def _parts(self, text: object) -> tuple[str | None, str | None]:
        project, mark, named = text.partition("/") if isinstance(text, str) else ("", "", "")
        if not mark or not project or project != self.project:
            return None, None
        label_id, _, sent = named.partition(_SENT)
        return label_id, sent or None

    def find(self, name: str) -> str | None:
        """Return the address that is `name`, was handed out as it, or is the only one that ends with it."""
        if name in self._addresses:
            return name
        if name in self.names:
            return self.names[name]
        tail = name.lstrip("/")
        same = [u for u in self._by_name.get(PurePath(tail).name, []) if u == tail or u.endswith(f"/{tail}")]
        return same[0] if len(same) == 1 else None


def reference(project: str, label_id: str, sent: str) -> str:
    """Return how a label is named in a file for annotators.

    >>> reference("0a1b2c3d", "5f0e:3", as_sent(17, "cat"))
    '0a1b2c3d/5f0e:3~11-6a8b12bb'
    """
    return f"{project}/{label_id}{_SENT}{sent}"


def as_sent(moment: int, class_name: str | None) -> str:
    """Say what a label was when it was handed out: after which edit, and a digest of its class.

    Its shape need not be told: a label that gets another one is a new label.
    """
    return f"{moment:x}-{class_digest(class_name)}"


def class_digest(class_name: str | None) -> str:
    """Return eight hexadecimal digits that say which class it is."""
    return hashlib.blake2b((class_name or "").encode("utf-8", "replace"), digest_size=4).hexdigest()
