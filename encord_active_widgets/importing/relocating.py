"""Follow images that were moved: a drive mounted elsewhere, a folder renamed, a dataset copied to another machine."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ..errors import InputError
from ..formats.source import Fault
from ..images.address import video_of
from ..schema import CHANGE_ID, ITEM_ID, REVISION, URI
from ..store.folder import resolve_address
from .ingest import Ingested, commit, write_problems

if TYPE_CHECKING:
    from ..project import Project

_REMOTE = "://"
_PUT_BACK = "put it there, and call p.relocate(…) again"


def relocate(project: Project, images: str | os.PathLike[str], was: str | os.PathLike[str] | None) -> Ingested:
    """Write the new addresses of all items below `was`; see `Project.relocate`."""
    project._folder.writable()
    new = _folder(images)
    with project._lock, project._folder.lock():
        project._snapshot()
        items = project._reader.raw_items
        old = _place(project, items[URI]) if was is None else _without_slash(os.fspath(was))
        mine = items.filter(pl.col(URI).str.starts_with(f"{old}{_slash(old)}"))
        if mine.is_empty():
            raise InputError(
                f'No image of this project lies in "{old}".', f"Say where they lay: was={_common(items)!r}."
            )
        moved = mine.select(ITEM_ID, URI, "bytes", (pl.lit(f"{new}{_slash(new)}") + _rest(old, new)).alias("new"))
        found, faults = _there(moved, project._bases)
        if found.is_empty():
            raise InputError(
                f'No image is in "{new}": {moved.height:,} looked for, the first "{moved["new"][0]}".',
                f'Give the folder that has taken the place of "{old}", or was= what it replaces of the old addresses.',
            )
        _write(project, items, found, len(faults))
        write_problems(project._folder, faults, whole=False)
        _keep_source(project, old, new)
    return Ingested(renamed=found.height, faults=len(faults))


def _folder(images: str | os.PathLike[str]) -> str:
    text = os.fspath(images)
    if _REMOTE in text:
        return _without_slash(text)
    path = Path(text).expanduser().absolute()
    if not path.is_dir():
        raise InputError(
            f'There is no folder "{path}".', "Mount the drive first, or give the folder that holds the images."
        )
    return _without_slash(str(path))


def _place(project: Project, uris: pl.Series) -> str:
    """Return the folder the project was made from, or else the one that all its images lie in."""
    named = project._card.get("source", {}).get("images")
    if isinstance(named, str):
        named = _without_slash(named)
        if uris.str.starts_with(f"{named}{_slash(named)}").all():
            return named
    return _common(uris.to_frame())


def _common(items: pl.DataFrame) -> str:
    """Return the longest folder that all addresses begin with."""
    first, last = items[URI].min(), items[URI].max()
    if not isinstance(first, str) or not isinstance(last, str):
        return ""
    alike = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return _without_slash(first[: max(first.rfind("/", 0, alike), first.rfind(os.sep, 0, alike)) + 1])


def _there(moved: pl.DataFrame, bases: list[Path]) -> tuple[pl.DataFrame, list[Fault]]:
    """Part what is at its new place from what is not, or is of another size; remote files are taken as there."""
    kept, faults = [], []
    for old, new, size in moved.select(URI, "new", "bytes").iter_rows():
        fault = None if _REMOTE in new else _fault(old, video_of(new), size, is_video=video_of(new) != new)
        # What still lies at the old place is used from there, and is no problem.
        if fault is not None and not Path(video_of(resolve_address(old, bases))).exists():
            faults.append(fault)
        kept.append(fault is None)
    return moved.filter(pl.Series(kept, dtype=pl.Boolean)), faults


def _fault(old: str, new: str, size: int | None, *, is_video: bool) -> Fault | None:
    try:
        found = os.stat(new).st_size  # noqa: PTH116 - addresses come by the million: text is ten times cheaper
    except OSError:
        return Fault(old, "kept", f'the file is gone, and "{new}" is not there', _PUT_BACK)
    if size is not None and found != size and not is_video:
        return Fault(old, "kept", f'"{new}" has {found:,} bytes instead of {size:,}', "add it with p.add_images(…)")
    return None


def _write(project: Project, items: pl.DataFrame, found: pl.DataFrame, problems: int) -> None:
    change_id = uuid.uuid4().hex
    rows = items.join(found.select(ITEM_ID, "new"), on=ITEM_ID, how="inner", maintain_order="left").with_columns(
        pl.col("new").alias(URI), pl.col(REVISION).fill_null(0) + 1, pl.lit(change_id).alias(CHANGE_ID)
    )
    project._folder.items.append(rows.drop("new"), durable=True)
    commit(project._folder, change_id, "p.relocate(…)", items=rows.height, labels=0, problems=problems)


def _keep_source(project: Project, old: str, new: str) -> None:
    """Let `p.refresh()` look at the new place from now on."""
    source: dict[str, Any] = dict(project._card.get("source", {}))
    named = source.get("images")
    if not isinstance(named, str) or not f"{_without_slash(named)}{_slash(named)}".startswith(f"{old}{_slash(old)}"):
        return
    source["images"] = new + _without_slash(named)[len(old) :]
    card = {**project._folder.card(), "source": source}
    project._folder.write_card(card)
    project._card = card


def _rest(old: str, new: str) -> pl.Expr:
    """Return what comes after the old folder, with the slashes of the new one."""
    rest = pl.col(URI).str.slice(len(old) + 1)
    return rest if _slash(old) == _slash(new) else rest.str.replace_all(_slash(old), _slash(new), literal=True)


def _slash(folder: str) -> str:
    return "/" if _REMOTE in folder else os.sep


def _without_slash(text: str) -> str:
    return text.rstrip("/" + os.sep) or os.sep
