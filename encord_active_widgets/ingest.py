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

from . import schema
from .errors import EawError
from .formats.source import Fault, Source
from .images.address import read_bytes
from .images.decode import probe
from .metrics.hashes import content_hash
from .schema import CHANGE_ID, CONTENT_HASH, ITEM_ID, ORDINAL, REVISION, URI
from .store.folder import ProjectFolder, resolve_address

_CHUNK = 512
_ID_HEX = 16
_STAGE = "import"


@dataclass(frozen=True)
class Ingested:
    """What one import changed, in numbers of rows."""

    added: int = 0
    changed: int = 0
    renamed: int = 0
    labels: int = 0
    faults: int = 0


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
    folder: ProjectFolder, source: Source, bases: Sequence[Path], *, known: pl.DataFrame, n_labels: int, read: bool = True,
    progress: bool = True, code: str = "",
) -> Ingested:  # fmt: skip
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
    rows, counts = _rows(joined, probed, known, set(source.items[URI]), change_id, read)
    items = _frame(rows, source.items)
    labels = _labels(source, known, items, change_id, n_labels)
    _write_problems(folder, faults)
    if items.is_empty() and labels.is_empty():
        return Ingested(faults=len(faults))
    folder.items.append(items, durable=True)
    folder.labels.append(labels, durable=True)
    folder.changes.append(
        pl.DataFrame(
            {
                CHANGE_ID: [change_id], "at": [dt.datetime.now(dt.UTC)], "cause": [_STAGE], "code": [code],
                "items": [items.height], "labels": [labels.height], "problems": [len(faults)],
            },
            schema=dict(schema.CHANGES.columns),
        ),
        durable=True,
    )  # fmt: skip
    return Ingested(*counts, labels=labels.height, faults=len(faults))


def _stale(joined: pl.DataFrame, addresses: Sequence[str]) -> list[bool]:
    """Tell which files must be read: new ones, and those whose size or time changed."""
    out = []
    for address, size, modified in zip(addresses, joined["bytes"], joined["modified_ns"], strict=True):
        if size is None or "://" in address:
            out.append(size is None)
            continue
        try:
            status = os.stat(address)
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
        data = read_bytes(address)
        header = probe(data)
        modified = 0 if "://" in address else os.stat(address).st_mtime_ns
    except EawError as error:
        return i, _Probed(fault=Fault(address, "skipped", error.message, error.remedy))
    except OSError as error:
        reason = error.strerror or str(error)
        return i, _Probed(fault=Fault(address, "skipped", reason, "check that the file exists and may be read"))
    return i, _Probed(content_hash(data), header.width, header.height, header.mode, len(data), modified)


def _rows(
    joined: pl.DataFrame, probed: Sequence[_Probed | None], known: pl.DataFrame, present: set[str], change_id: str, read: bool
) -> tuple[list[dict[str, object]], tuple[int, int, int]]:  # fmt: skip
    """Make the new table rows: added, changed and renamed items."""
    now = dt.datetime.now(dt.UTC)
    next_ordinal = known.height
    ids = set(known[ITEM_ID])
    lost = _lost_by_hash(known, present)
    rows: list[dict[str, object]] = []
    added = changed = renamed = 0
    for row, found in zip(_slim(joined), probed, strict=True):
        uri, item_id, ordinal, revision, added_hash = row
        if found is None and (read or item_id is not None):
            continue
        if found is not None and found.fault is not None:
            continue
        if item_id is not None and found is not None and found.content_hash == added_hash:
            changed_row = True  # touched, same content: remember the new time only
        else:
            changed_row = item_id is not None
            changed += changed_row
        if item_id is None:
            match = lost.get(found.content_hash) if found is not None else None
            if match:
                item_id, ordinal, revision = match.pop()
                renamed += 1
            else:
                item_id, ordinal, revision = _new_id(uri, ids), next_ordinal, -1
                next_ordinal += 1
                added += 1
        rows.append(
            {
                ITEM_ID: item_id, ORDINAL: ordinal, URI: uri, REVISION: revision + 1, CHANGE_ID: change_id, "added_at": now,
                **({
                    CONTENT_HASH: found.content_hash, "width": found.width, "height": found.height, "mode": found.mode,
                    "bytes": found.size, "modified_ns": found.modified_ns,
                } if found is not None else {}),
            }
        )  # fmt: skip
    return rows, (added, changed, renamed)


def _slim(joined: pl.DataFrame) -> Iterator[tuple[str, str | None, int | None, int, str | None]]:
    return joined.select(URI, ITEM_ID, ORDINAL, pl.col(REVISION).fill_null(0), CONTENT_HASH).iter_rows()  # type: ignore[return-value]


def _lost_by_hash(known: pl.DataFrame, present: set[str]) -> dict[str, list[tuple[str, int, int]]]:
    """Find known items whose file is gone, by content: a new file of that content is the same item renamed."""
    lost: dict[str, list[tuple[str, int, int]]] = {}
    for uri, item_id, ordinal, revision, key in _slim(known):
        if uri not in present and key is not None and "://" not in uri and not os.path.exists(uri):
            lost.setdefault(key, []).append((str(item_id), int(ordinal or 0), revision))
    return lost


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


def _labels(source: Source, known: pl.DataFrame, items: pl.DataFrame, change_id: str, n_labels: int) -> pl.DataFrame:
    """Give label rows their ids; only labels of items that this import added are new."""
    if source.labels is None or source.labels.is_empty():
        return schema.LABELS.empty()
    fresh = items.filter(pl.col(REVISION) == 0).select(URI, ITEM_ID)
    labels = source.labels.join(fresh, on=URI, how="inner", maintain_order="left")
    ids = [hashlib.blake2b(f"{change_id}:{i}".encode(), digest_size=_ID_HEX // 2).hexdigest() for i in range(labels.height)]
    return labels.drop(URI).with_columns(
        pl.Series(schema.LABEL_ID, ids, dtype=pl.String),
        pl.int_range(n_labels, n_labels + labels.height, dtype=pl.Int64, eager=True).cast(pl.UInt32).alias(ORDINAL),
        pl.lit(change_id).alias(CHANGE_ID),
    )


def _write_problems(folder: ProjectFolder, faults: Sequence[Fault]) -> None:
    """Replace the problems of earlier imports by those of this one; keep those of computing."""
    old = folder.problems.read()
    kept = old.filter(pl.col("stage") != _STAGE)
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
