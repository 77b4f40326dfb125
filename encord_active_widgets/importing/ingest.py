"""Bring what a reader found into the tables: read each new file once, give ids, commit as one change."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from .. import schema
from ..errors import EawError
from ..formats.shape_judging import misfit_masks
from ..formats.source import Fault, Source, refuse
from ..images.address import is_frame, read_bytes, video_of
from ..images.decode import probe
from ..metrics.hashes import content_hash
from ..schema import CHANGE_ID, CONTENT_HASH, ITEM_ID, ORDINAL, REVISION, URI
from ..store.folder import ProjectFolder, resolve_address

_CHUNK = 512
_ID_HEX = 16
_STAGE = "import"


@dataclass(frozen=True, repr=False)
class Ingested:
    """What one import changed, in numbers of rows.

    Attributes
    ----------
    added, changed, renamed : int
        Images.
    labels : int
        Labels that were added.
    faults : int
        What is listed in `p.problems`.
    labels_changed, labels_unchanged, labels_gone : int
        Of labels that were handed out and came back: those with another class or shape, those that are as they
        were, and those that annotators took away.
    """

    added: int = 0
    changed: int = 0
    renamed: int = 0
    labels: int = 0
    faults: int = 0
    labels_changed: int = 0
    labels_unchanged: int = 0
    labels_gone: int = 0

    def __repr__(self) -> str:
        images = _told(added=self.added, changed=self.changed, renamed=self.renamed)
        labels = _told(
            added=self.labels, changed=self.labels_changed, unchanged=self.labels_unchanged, gone=self.labels_gone
        )
        parts = [f"{noun}: {told}" for noun, told in (("images", images), ("labels", labels)) if told]
        listed = f"; {self.faults:,} listed in p.problems" if self.faults else ""
        return f"Ingested({'; '.join(parts) or 'nothing new'}{listed})"


def _told(**numbers: int) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in numbers.items() if n)


@dataclass(frozen=True)
class _Probed:
    content_hash: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    size: int = 0
    modified_ns: int = 0
    fault: Fault | None = None


def ingest(
    folder: ProjectFolder,
    source: Source,
    bases: Sequence[Path],
    *,
    known: pl.DataFrame,
    n_labels: int,
    read: bool = True,
    whole: bool = True,
    strict: bool = False,
    progress: bool = True,
    code: str = "",
) -> Ingested:
    """Add the new items of `source`, follow renamed and changed files, keep the rest.

    Parameters
    ----------
    folder : ProjectFolder
        Where to write; its import lock must be held.
    source : Source
        What a reader found.
    bases : sequence of Path
        Where relative addresses are looked for.
    known : pl.DataFrame
        The items the project has (`schema.ITEMS`).
    n_labels : int
        The number of label rows the project has.
    read : bool
        Read each file for its size and content hash. Without it only addresses are kept
        (for frames that bring their own columns) and files are first opened when needed.
    whole : bool
        `source` is all there should be: known files that are gone are listed as problems.
    strict : bool
        Raise what could not be used, missing and unreadable images too, before anything is written.
    progress : bool
        Show a progress bar when reading takes longer than a second.
    """
    change_id = uuid.uuid4().hex
    old = known.select(URI, ITEM_ID, ORDINAL, CONTENT_HASH, "bytes", "modified_ns", REVISION)
    joined = source.items.join(old, on=URI, how="left", maintain_order="left")
    addresses = [resolve_address(u, list(bases)) for u in joined[URI]]
    to_read = _stale(joined, addresses) if read else [False] * joined.height
    probed = _probe_all([a if r else None for a, r in zip(addresses, to_read, strict=True)], progress)
    faults = [*source.faults, *(p.fault for p in probed if p is not None and p.fault is not None)]
    present = set(source.items[URI])
    plan = _Rows(known, present, change_id, bases, read=read)
    for row, found in zip(_slim(joined), probed, strict=True):
        plan.take(row, found)
    if whole:
        faults += plan.gone()
    items = _frame(plan.rows, source.items if read else _with_sizes(source))
    faults += _odd_sizes(source, items)
    if source.labels is not None:
        source.labels, misfits = misfit_masks(source.labels, _unstated(source, items))
        faults += misfits
    if strict:
        refuse(faults)
    fresh = items.filter(pl.col(REVISION) == 0).select(URI, ITEM_ID)
    labels = label_rows(source.labels, fresh, change_id, n_labels)
    write_problems(folder, faults, whole=whole)
    if items.is_empty() and labels.is_empty():
        return Ingested(faults=len(faults))
    folder.items.append(items, durable=True)
    folder.labels.append(labels, durable=True)
    if source.header:
        folder.write_header(change_id, source.header)
    commit(folder, change_id, code, items=items.height, labels=labels.height, problems=len(faults))
    return Ingested(plan.added, plan.changed, plan.renamed, labels=labels.height, faults=len(faults))


def commit(
    folder: ProjectFolder, change_id: str, code: str, *, items: int, labels: int, problems: int, cause: str = _STAGE
) -> None:
    """Write the row that makes a change count; what came before it without one is ignored."""
    folder.changes.append(
        pl.DataFrame(
            {
                CHANGE_ID: [change_id], "at": [dt.datetime.now(dt.UTC)], "cause": [cause], "code": [code],
                "items": [items], "labels": [labels], "problems": [problems],
            },
            schema=dict(schema.CHANGES.columns),
        ),
        durable=True,
    )  # fmt: skip


def _with_sizes(source: Source) -> pl.DataFrame:
    """Take the sizes a source states, for images that are not opened now."""
    if source.sizes is None:
        return source.items
    sizes = source.sizes.with_columns(pl.col("width", "height").cast(pl.Int32, strict=False))
    return source.items.join(sizes, on=URI, how="left", maintain_order="left")


def _unstated(source: Source, items: pl.DataFrame) -> pl.DataFrame:
    """Return the sizes of images whose source does not state them: the others are listed by `_odd_sizes`."""
    sizes = items.select(URI, "width", "height")
    return sizes if source.sizes is None else sizes.join(source.sizes.drop_nulls(), on=URI, how="anti")


def _odd_sizes(source: Source, items: pl.DataFrame) -> list[Fault]:
    """List images that are not of the size their source states: its labels may not fit."""
    if source.sizes is None:
        return []
    said = source.sizes.rename({"width": "said_w", "height": "said_h"})
    both = items.select(URI, "width", "height").drop_nulls().join(said.drop_nulls(), on=URI)
    odd = both.filter((pl.col("width") != pl.col("said_w")) | (pl.col("height") != pl.col("said_h")))
    return [
        Fault(
            uri, "kept", f"the image has {w} × {h} px, its annotations say {said_w:g} × {said_h:g}",
            "check that its labels fit: boxes are in pixels of the size they were drawn on",
        )
        for uri, w, h, said_w, said_h in odd.iter_rows()
    ]  # fmt: skip


def _stale(joined: pl.DataFrame, addresses: Sequence[str]) -> list[bool]:
    """Tell which files must be read: new ones, and those whose size or time changed."""
    out = []
    for address, size, modified in zip(addresses, joined["bytes"], joined["modified_ns"], strict=True):
        if size is None or "://" in address:
            out.append(size is None)
            continue
        try:
            status = os.stat(video_of(address))
        except OSError:
            out.append(False)  # known and gone: kept, and listed by Project.refresh
            continue
        out.append(status.st_size != size or status.st_mtime_ns != modified)
    return out


def _probe_all(addresses: Sequence[str | None], progress: bool) -> list[_Probed | None]:
    from tqdm.auto import tqdm

    todo = [(i, a) for i, a in enumerate(addresses) if a is not None]
    out: list[_Probed | None] = [None] * len(addresses)
    bar = tqdm(total=len(todo), desc="reading", unit="image", delay=1.0, disable=not progress, leave=False)
    with ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        for i, probed in pool.map(_probe, todo, chunksize=_CHUNK):
            out[i] = probed
            bar.update()
    return out


def _probe(task: tuple[int, str]) -> tuple[int, _Probed]:
    i, address = task
    try:
        if is_frame(address):
            from ..images.video import probe_frame

            facts = probe_frame(address)
            size = (facts.width, facts.height, "RGB", facts.file_bytes, facts.modified_ns)
            return i, _Probed(facts.content_hash, *size)
        data = read_bytes(address)
        header = probe(data)
        modified = 0 if "://" in address else os.stat(address).st_mtime_ns
    except EawError as error:
        return i, _Probed(fault=Fault(address, "skipped", error.message, error.remedy))
    except OSError as error:
        reason = error.strerror or str(error)
        return i, _Probed(fault=Fault(address, "skipped", reason, "check that the file exists and may be read"))
    return i, _Probed(content_hash(data), header.width, header.height, header.mode, len(data), modified)


_Slim = tuple[str, str | None, int | None, int, str | None]


class _Rows:
    """Makes table rows of what was found: added, changed and renamed items."""

    def __init__(
        self, known: pl.DataFrame, present: set[str], change_id: str, bases: Sequence[Path], *, read: bool
    ) -> None:
        self.rows: list[dict[str, object]] = []
        self.added = self.changed = self.renamed = 0
        self._read = read
        self._stamp = {CHANGE_ID: change_id, "added_at": dt.datetime.now(dt.UTC)}
        self._next = known.height
        self._ids = set(known[ITEM_ID])
        missing = (r for r in _slim(known) if r[0] not in present and "://" not in r[0])
        self._absent = [r for r in missing if not Path(video_of(resolve_address(r[0], list(bases)))).exists()]
        self._lost: dict[str, list[_Slim]] = {}
        for row in self._absent:
            if row[4] is not None:
                self._lost.setdefault(row[4], []).append(row)

    def take(self, row: _Slim, found: _Probed | None) -> None:
        """Take one address of the source, with what reading its file gave (None: not read)."""
        uri, item_id, ordinal, revision, content = row
        if (found is None and (self._read or item_id is not None)) or (found is not None and found.fault is not None):
            return
        if item_id is not None:
            # A file touched without a change is written down too: its new time is not looked at again.
            self.changed += found is not None and found.content_hash != content
        else:
            match = self._lost.get(found.content_hash) if found is not None else None
            if match:
                _, item_id, ordinal, revision, _ = match.pop()
                self.renamed += 1
            else:
                item_id, ordinal, revision = _new_id(uri, self._ids), self._next, -1
                self._next += 1
                self.added += 1
        place = {ITEM_ID: item_id, ORDINAL: ordinal, URI: uri, REVISION: revision + 1}
        self.rows.append({**place, **self._stamp, **({} if found is None else _file_columns(found))})

    def gone(self) -> list[Fault]:
        """List known files that are not there any more and did not come back under another name."""
        moved = {row[ITEM_ID] for row in self.rows}
        return [
            Fault(
                uri, "kept", "the file is gone", "put it back, or take the item out with p.items.by_ids([…]).remove()"
            )
            for uri, item_id, *_ in self._absent
            if item_id not in moved
        ]


def _file_columns(found: _Probed) -> dict[str, object]:
    return {
        CONTENT_HASH: found.content_hash,
        "width": found.width,
        "height": found.height,
        "mode": found.mode,
        "bytes": found.size,
        "modified_ns": found.modified_ns,
    }


def _slim(joined: pl.DataFrame) -> Iterator[_Slim]:
    return joined.select(URI, ITEM_ID, ORDINAL, pl.col(REVISION).fill_null(0), CONTENT_HASH).iter_rows()


def _new_id(uri: str, taken: set[str]) -> str:
    """Give an id from the address: the same images opened twice get the same ids."""
    salt = 0
    while True:
        text = uri if salt == 0 else f"{uri}\0{salt}"
        new = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ID_HEX // 2).hexdigest()
        if new not in taken:
            taken.add(new)
            return new
        salt += 1


def _frame(rows: list[dict[str, object]], items: pl.DataFrame) -> pl.DataFrame:
    columns = {k: v for k, v in schema.ITEMS.columns.items() if k not in items.columns or k == URI}
    base = pl.DataFrame(rows, schema=columns, orient="row") if rows else pl.DataFrame(schema=columns)
    return base.join(items, on=URI, how="left", maintain_order="left")


def label_rows(
    labels: pl.DataFrame | None,
    owners: pl.DataFrame,
    change_id: str,
    first: int,
    counts: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Make table rows of labels: an id each, which says its item and its number on it.

    Parameters
    ----------
    labels : pl.DataFrame or None
        As a reader gives them, with `uri`.
    owners : pl.DataFrame
        `uri` and `item_id` of the items that may get labels; labels of others are left out.
    first : int
        The ordinal of the first one.
    counts : pl.DataFrame, optional
        `item_id` and `have`: how many labels items have already.
    """
    if labels is None or labels.is_empty():
        return schema.LABELS.empty()
    rows = labels.join(owners, on=URI, how="inner", maintain_order="left").drop(URI)
    have = pl.lit(0)
    if counts is not None and counts.height:
        rows = rows.join(counts, on=ITEM_ID, how="left", maintain_order="left")
        have = pl.col("have").fill_null(0)
    number = pl.int_range(pl.len()).over(ITEM_ID) + have
    rows = rows.with_columns(
        pl.concat_str(pl.col(ITEM_ID), pl.lit(":"), number.cast(pl.String)).alias(schema.LABEL_ID),
        pl.int_range(first, first + pl.len(), dtype=pl.Int64).cast(pl.UInt32).alias(ORDINAL),
        pl.lit(change_id).alias(CHANGE_ID),
    )
    return rows.select(
        pl.col(name).cast(dtype) if name in rows.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.LABELS.columns.items()
    )


def write_problems(folder: ProjectFolder, faults: Sequence[Fault], *, whole: bool) -> None:
    """Replace the problems of earlier imports, if this one looked at everything; keep those of computing."""
    old = folder.problems.read()
    kept = old.filter(pl.col("stage") != _STAGE) if whole else old
    new = pl.DataFrame(
        {
            "stage": [_STAGE] * len(faults),
            "where": [f.where for f in faults],
            "what": [f.what for f in faults],
            "why": [f.why for f in faults],
            "remedy": [f.remedy for f in faults],
            "key": [None] * len(faults),
        },
        schema=dict(schema.PROBLEMS.columns),
    )
    if not old.equals(merged := pl.concat([kept, new])):
        folder.problems.replace(merged)
