"""What predictions refer to: the images, ids and classes of the project they are added to; what readers hand back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

import polars as pl

from ..schema import URI
from .source import Fault, Source

PLACE = "place"
IMAGE = "image"
_SHOWN = 20


@dataclass(frozen=True)
class Context:
    """A project as readers of predictions see it.

    Attributes
    ----------
    items : pl.DataFrame
        `uri`, `width`, `height` (Int32 px, null where unknown) and `image_id` (String, the id in COCO
        annotations as text, null where unknown), in item order.
    classes : tuple of str
        The names that were passed, else those of the project: what the columns of probabilities are.
    categories : mapping
        Ids of COCO categories to names; may be empty.
    numbers : mapping
        Numbers of classes to names: those passed, else those of a YOLO data set; may be empty. COCO's ids
        are none.
    known : tuple of str
        All classes of the project, whatever was passed.
    drawn : tuple of str
        The classes of its objects, in the order in which they are numbered elsewhere.
    given : bool
        Classes were passed.
    explicit : bool
        They were passed with their numbers, which are then not doubted.
    only_objects : bool
        The project has objects, and no class of any image.
    """

    items: pl.DataFrame
    classes: tuple[str, ...]
    categories: Mapping[int | str, str]
    numbers: Mapping[int | str, str]
    known: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    given: bool = False
    explicit: bool = False
    only_objects: bool = False


@dataclass
class RunSource(Source):
    """Predictions as found. `skipped` counts the rows (or files) that cannot be used; `faults` shows some of each."""

    skipped: int = 0


@dataclass
class Skipped:
    """What cannot be used: how many rows, and the first of each reason by name."""

    faults: list[Fault] = field(default_factory=list)
    rows: int = 0

    def add(self, where: str, why: str, remedy: str) -> None:
        """List one row or file."""
        self.faults.append(Fault(where, "skipped", why, remedy))
        self.rows += 1

    def without(
        self, frame: pl.DataFrame, wrong: pl.Series, why: str, remedy: str, show: pl.Expr | None = None
    ) -> pl.DataFrame:
        """Leave rows out and list them: some by name and with their value of `show`, the others by their number."""
        if not wrong.any():
            return frame
        bad = frame.filter(wrong)
        self.rows += bad.height
        self.mention(bad, why, remedy, show, what="skipped")
        return frame.filter(~wrong)

    def mention(
        self, odd: pl.DataFrame, why: str, remedy: str, show: pl.Expr | None = None, *, what: str = "kept"
    ) -> None:
        """List rows: some by name and with their value of `show`, the others by their number."""
        first = odd.head(_SHOWN)
        values = [""] * first.height if show is None else [f" ({v!s:.60})" for v in first.select(show).to_series()]
        for place, value in zip(first[PLACE], values, strict=True):
            self.faults.append(Fault(str(place), what, f"{why}{value}", remedy))
        if odd.height > _SHOWN:
            more = f"{why} ({odd.height - _SHOWN:,} more)"
            self.faults.append(Fault("further rows", what, more, remedy))

    def named(self, name: str) -> list[Fault]:
        """Return the faults with the name of their source before their place."""
        return [
            Fault(f.where if f.where.startswith(name) else f"{name}: {f.where}", f.what, f.why, f.remedy)
            for f in self.faults
        ]


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


def find_ids(context: Context, ids: pl.Series) -> pl.Series:
    """Return the address of each id: that of COCO's images, else a file name, else a stem of the same number."""
    table = context.items.select(pl.col("image_id").alias("id"), URI).drop_nulls("id").unique("id", keep="none")
    found = pl.DataFrame({"id": ids}).join(table, on="id", how="left", maintain_order="left")[URI]
    if found.null_count() == found.len():
        found = find_items(context, ids)
    if found.null_count() == found.len():  # 139 is the image 000000000139.jpg
        stem = context.items.select(
            URI, pl.col(URI).str.extract(r"([0-9]+)\.[A-Za-z0-9]+$").str.strip_chars_start("0").alias("id")
        )
        table = stem.drop_nulls("id").unique("id", keep="none")
        found = pl.DataFrame({"id": ids.str.strip_chars_start("0")}).join(
            table, on="id", how="left", maintain_order="left"
        )[URI]
    return found
