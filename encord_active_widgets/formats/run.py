"""What predictions refer to: the images, ids and classes of the project they are added to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

import polars as pl

from ..schema import URI


@dataclass(frozen=True)
class Context:
    """A project as readers of predictions see it.

    Attributes
    ----------
    items : pl.DataFrame
        `uri`, `width`, `height` (Int32 px, null where unknown) and `image_id` (String, the id in COCO
        annotations as text, null where unknown), in item order.
    classes : tuple of str
        Names of classes, in the order of their codes where the source had codes.
    categories : mapping
        Ids of COCO categories, or numbers of YOLO classes, to names; may be empty.
    """

    items: pl.DataFrame
    classes: tuple[str, ...]
    categories: Mapping[int | str, str]


def find_items(context: Context, names: pl.Series) -> pl.Series:
    """Return the address of the image that each name means: an address, a file name or its stem; null for none.

    A file name or a stem counts only where one image alone has it.
    """
    texts = names.cast(pl.String).to_list()
    ends = [None if t is None else PurePath(t).name for t in texts]
    tops = [None if t is None else PurePath(t).stem for t in texts]
    uris = context.items[URI]
    files = pl.Series([PurePath(u).name for u in uris.to_list()], dtype=pl.String)
    stems = pl.Series([PurePath(u).stem for u in uris.to_list()], dtype=pl.String)
    found = pl.repeat(None, names.len(), dtype=pl.String, eager=True)
    for keys, wanted in ((uris, texts), (files, ends), (stems, texts), (stems, tops)):
        table = pl.DataFrame({"name": keys, "found": uris}).unique("name", keep="none")
        hit = pl.DataFrame({"name": pl.Series(wanted, dtype=pl.String)}).join(
            table, on="name", how="left", maintain_order="left"
        )["found"]
        found = found.zip_with(found.is_not_null(), hit)
    return found.alias(URI)
