"""Copies of a project, whole or of a part: made beside their place, and there at once or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.image_names import file_names
from ..errors import InputError, unknown
from ..exchange.exporting import IMAGE_MODES, place_images
from ..schema import CHANGE_ID, ITEM_ID, REVISION, URI
from ..store.folder import resolve_address
from ..store.snapshots import PastFolder
from ..store.writing import room_for

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View

_IMAGES = "images"
_FIRST = ("_last_checkpoint", "_delta_log")
_LEFT_OUT = shutil.ignore_patterns("*.lock", "*.tmp")

Rows = NDArray[np.uint32]


def clone(project: Project, path: str | os.PathLike[str], *, images: str) -> Project:
    """Copy a whole project; see `Project.clone`."""
    if isinstance(project._folder, PastFolder):
        from .subset import write_part

        n = project._snapshot().items.n
        return _made(project, path, images, lambda home: write_part(project, np.arange(n, dtype=np.uint32), home))

    def write(home: Path) -> None:
        with project._folder.lock():
            _copy_folder(project.path, home)

    return _made(project, path, images, write)


def clone_view(view: View, path: str | os.PathLike[str], *, images: str) -> Project:
    """Copy the items of a view with all that is on them; see `View.clone`."""
    from .subset import write_part

    rows = view.items().rows
    if rows.size == 0:
        raise InputError("The view holds no items: there is nothing to clone.", "Check its filter.")
    return _made(view.project, path, images, lambda home: write_part(view.project, np.sort(rows), home))


def _made(project: Project, path: str | os.PathLike[str], images: str, write: Callable[[Path], None]) -> Project:
    if images not in IMAGE_MODES:
        raise unknown("way to place images", images, IMAGE_MODES)
    target = Path(path).expanduser()
    _refuse(project, target)
    with room_for(f'the clone "{target}"'), _beside(target) as home, project._lock:
        project._snapshot()
        write(home)
        made = type(project)(home)
        _rebase(project, made, target)
        _place_images(project, made, images)
        if isinstance(project._folder, PastFolder) or made._card.get("part"):
            made._card["name"] = target.stem
        made._folder.write_card(made._card)
    return type(project).open(target)


def _refuse(project: Project, target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f'"{target}" is a file.', "Give a folder that does not exist yet.")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(
            f'"{target}" is not empty; nothing was written.', "Give a folder that does not exist yet, or is empty."
        )
    if project.path.resolve() in (target.resolve(), *target.resolve().parents):
        raise InputError(f'"{target}" lies in the project itself.', "Give a folder elsewhere.")


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a folder to write into, which takes the place of `target` when all went well, and is gone else."""
    target.parent.mkdir(parents=True, exist_ok=True)
    home = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.tmp"
    home.mkdir()
    try:
        yield home
        if target.is_dir():
            target.rmdir()
        home.replace(target)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def _copy_folder(source: Path, home: Path) -> None:
    """Copy a project folder that others may be writing to.

    Of a table the log is copied before its rows: what the copied entries name is there already. Checkpoints come
    before entries, and the pointer to the last one before both.
    """
    for log in sorted(source.rglob("_delta_log")):
        new = home / log.relative_to(source)
        new.mkdir(parents=True)
        files = sorted(p for p in log.iterdir() if p.is_file() and not p.name.endswith((".lock", ".tmp")))
        for file in sorted(files, key=lambda p: p.name not in _FIRST):
            shutil.copy2(file, new / file.name)

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {n for n in names if n == "_delta_log"} | set(_LEFT_OUT(folder, names))

    shutil.copytree(source, home, dirs_exist_ok=True, ignore=left_out)


def _rebase(project: Project, made: Project, target: Path) -> None:
    """Let addresses that are relative be found from the new place."""
    source = dict(made._card.get("source", {}))
    if source.get("base_relative"):
        base = os.path.normpath(project.path.resolve() / source["base_relative"])
        try:
            source["base_relative"] = os.path.relpath(base, target.resolve())
        except ValueError:  # another drive
            source["base_relative"] = ""
        source["base"] = base
    made._card = {**made._card, "source": source}


def _place_images(project: Project, made: Project, images: str) -> None:
    """Put copies or links of images into the clone, and say in its items where they are."""
    if images == "reference" and not _inside(project, project._reader.raw_items[URI]).len():
        return
    made._snapshot()
    items = made._reader.raw_items
    local = items.filter(~pl.col(URI).str.contains("://", literal=True))
    if images == "reference":
        local = local.filter(pl.col(URI).is_in(_inside(project, local[URI]).implode()))
    if local.is_empty():
        return
    mode = "copy" if images == "reference" else images
    files = local.select(ITEM_ID, pl.col(URI).alias("old"), pl.col(URI).str.split_exact("#pts=", 1)).unnest(URI)
    unique = files["field_0"].unique(maintain_order=True)
    names = pl.Series(_safe(file_names(project, unique.to_list(), [None] * unique.len())), dtype=pl.String)
    known = pl.DataFrame({URI: unique, "file_name": names})
    present = known.filter(pl.Series([Path(resolve_address(u, project._bases)).exists() for u in unique]))
    place_images(project, present, made.path / _IMAGES, mode)
    mark = pl.when(pl.col("field_1").is_null()).then(pl.lit("")).otherwise(pl.lit("#pts=") + pl.col("field_1"))
    moved = files.join(present, left_on="field_0", right_on=URI, how="inner", maintain_order="left").select(
        ITEM_ID, (pl.lit(f"{_IMAGES}/") + pl.col("file_name") + mark).alias("new")
    )
    _readdress(made, items, moved)
    source = {**made._card["source"], "own_images": True}
    if images != "reference":  # the folder it was made from is not where its images are any more
        source |= {"format": "clone", "images": _IMAGES}
    made._card = {**made._card, "source": source}


def _inside(project: Project, addresses: pl.Series) -> pl.Series:
    """Return the addresses of images that lie in the project folder."""
    home = project.path.resolve()
    starts = {f"{home}{os.sep}", f"{project.path.absolute()}{os.sep}"}
    for base in project._bases:
        relative = os.path.relpath(home, base.resolve())
        starts.add("" if relative == "." else f"{relative}{os.sep}")
    candidate = pl.any_horizontal(pl.col(URI).str.starts_with(start) for start in sorted(starts))
    found = addresses.alias(URI).to_frame().filter(candidate)[URI]
    resolved = [Path(resolve_address(u, project._bases)).absolute() for u in found]
    return found.filter(pl.Series([home in p.resolve().parents for p in resolved], dtype=pl.Boolean))


def _readdress(made: Project, items: pl.DataFrame, moved: pl.DataFrame) -> None:
    """Write newer rows of items with other addresses."""
    from ..importing.ingest import commit

    change_id = uuid.uuid4().hex
    rows = items.join(moved, on=ITEM_ID, how="inner", maintain_order="left").with_columns(
        pl.col("new").alias(URI), pl.col(REVISION).fill_null(0) + 1, pl.lit(change_id).alias(CHANGE_ID)
    )
    made._folder.items.append(rows.drop("new"), durable=True)
    commit(made._folder, change_id, "p.clone(…)", items=0, labels=0, problems=0, cause="clone")


def _safe(names: list[str]) -> list[str]:
    """Keep names from climbing out of the folder they go into."""
    out, taken = [], set()
    for name in names:
        parts = [p for p in PurePath(name).parts if p not in ("..", os.sep) and ":" not in p]
        safe = "/".join(parts) or "image"
        n, stem = 1, PurePath(safe)
        while safe in taken:
            safe, n = str(stem.with_name(f"{stem.stem}_{n}{stem.suffix}")), n + 1
        taken.add(safe)
        out.append(safe)
    return out
