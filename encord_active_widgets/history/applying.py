"""Take back what readers of an exported page collected: a file of tags and notes, by the ids of rows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..errors import EawError, InputError
from ..schema import ITEM, LABEL_LEVELS, ORDINAL, prediction_level
from ..store.parts import Part, edit_part
from ..verbs.edits import _LONGEST_NOTE, _tag_name

if TYPE_CHECKING:
    from ..project import Project

FORMAT = "encord_active_widgets edits"
VERSION = 1
LEFT_OUT: dict[str, Any] = {"kind": pl.String, "id": pl.String, "value": pl.String, "why": pl.String}

_CAUSE = "page"
_NOTE_KEYS = ("id", "text", "before")
_MOST_BYTES = 512 * 1024 * 1024
_REMEDY = 'Give the file that "Download edits" of an exported page wrote.'
_UNKNOWN = "there is no such row here"
_REMOVED = "it was removed from the project"
_OVERTAKEN = "its note here was changed after the page was made"

Rows = NDArray[np.uint32]


@dataclass(frozen=True)
class _Edits:
    """What a file says, checked."""

    level: str
    page: str
    tags: list[tuple[str, list[str], list[str]]]
    notes: list[tuple[str, str, str]]


@dataclass
class _Found:
    """The rows of a level by id, and what was asked of ids that are not there."""

    level: Level
    left: list[tuple[str, str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rows = dict(self.level.frame.select(self.level.key, ORDINAL).iter_rows())

    def rows(self, kind: str, ids: Sequence[str], value: str) -> Rows:
        return np.array([r for i in ids if (r := self.row(kind, i, value)) is not None], np.uint32)

    def row(self, kind: str, key: str, value: str) -> int | None:
        row = self._rows.get(key)
        alive = self.level.alive
        if row is None or (alive is not None and not alive[row]):
            self.left.append((kind, key, value, _UNKNOWN if row is None else _REMOVED))
            return None
        return int(row)


def apply_edits(project: Project, file: str | os.PathLike[str]) -> pl.DataFrame:
    """Apply an edits file; see `Project.apply_edits`."""
    if not isinstance(file, (str, os.PathLike)):
        raise InputError(f"{file!r:.80} is no file.", 'Give the path of what "Download edits" wrote.')
    edits = _read(project, Path(file).expanduser())
    project._folder.writable()
    with project._lock:
        snapshot = project._snapshot()
        known = [ITEM, *LABEL_LEVELS, *(prediction_level(run) for run in snapshot.runs)]
        if edits.level not in known:
            raise InputError(
                f'The edits are of "{edits.level}", which this project does not have.', f"It has {', '.join(known)}."
            )
        found = _Found(snapshot.levels[edits.level])
        parts = [*_tag_parts(found, edits), *_note_parts(found, edits)]
        if parts:
            payload = {"page": edits.page, "also": parts}
            project._edit(edits.level, "collected", payload=payload, cause=_CAUSE, code=f"p.apply_edits({str(file)!r})")
    return pl.DataFrame(found.left, schema=LEFT_OUT, orient="row")


def _tag_parts(found: _Found, edits: _Edits) -> list[Part]:
    """Return what changes: the entries count in their order, as edits do."""
    has, wanted = found.level.edits.tags, dict[str, NDArray[np.bool_]]()
    nobody = np.zeros(found.level.n, np.bool_)
    for tag, add, remove in edits.tags:
        mask = wanted.setdefault(tag, has.get(tag, nobody).copy())
        mask[found.rows("tag", add, tag)] = True
        mask[found.rows("untag", remove, tag)] = False
    out = []
    for tag, mask in wanted.items():
        before = has.get(tag, nobody)
        for key, rows in (("add", np.flatnonzero(mask & ~before)), ("remove", np.flatnonzero(before & ~mask))):
            if rows.size:
                out.append(edit_part(found.level.stored, "tag", rows, {key: [tag]}))
    return out


def _note_parts(found: _Found, edits: _Edits) -> list[Part]:
    out = []
    for key, text, before in edits.notes:
        row = found.row("note", key, text)
        if row is None:
            continue
        now = found.level.edits.notes.get(row, "")
        if now == text:
            continue
        if now != before:
            found.left.append(("note", key, text, _OVERTAKEN))
        else:
            out.append(edit_part(found.level.stored, "note", np.array([row]), {"text": text}))
    return out


# -- the file ---------------------------------------------------------------------------------------------


def _read(project: Project, file: Path) -> _Edits:
    data = _parsed(file)
    if data.get("format") != FORMAT:
        raise InputError(f'"{file}" is no file of edits.', _REMEDY)
    version = data.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise InputError(
            f'"{file}" has version {version!r:.20} of the format; this version reads up to {VERSION}.',
            "Upgrade: pip install --upgrade encord_active_widgets.",
        )
    source = _dict(file, data, "project")
    if source.get("id") != project._card["id"]:
        raise InputError(
            f'"{file}" holds edits of another project, {source.get("name")!r:.80} (id {source.get("id")!r:.40}); this '
            f"is {project.name!r} (id {project._card['id']!r}).",
            "Open the project that the page was made from, or a clone of it, which has the same id.",
        )
    page = _dict(file, data, "page").get("title")
    tags = [_tag_entry(file, entry) for entry in _list(file, data, "tags")]
    notes = [_note_entry(file, entry) for entry in _list(file, data, "notes")]
    return _Edits(str(data.get("level", "")), str(page or file.stem)[:200], tags, notes)


def _parsed(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InputError(f'"{file}" is too large for a file of edits.', _REMEDY)
        data = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise InputError(f'"{file}" cannot be read: {error.strerror or error}.', _REMEDY) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f'"{file}" is no JSON: {error}.', _REMEDY) from error
    if not isinstance(data, dict):
        raise InputError(f'"{file}" is no file of edits.', _REMEDY)
    return data


def _tag_entry(file: Path, entry: Any) -> tuple[str, list[str], list[str]]:
    if not isinstance(entry, dict):
        raise _damaged(file, "tags", entry)
    try:
        name = _tag_name(entry.get("tag"))
    except EawError as error:
        raise InputError(f'"{file}": {error.message}', error.remedy) from error
    return name, _ids(file, entry, "add"), _ids(file, entry, "remove")


def _note_entry(file: Path, entry: Any) -> tuple[str, str, str]:
    values = [entry.get(k) for k in _NOTE_KEYS] if isinstance(entry, dict) else []
    texts = [v for v in values if isinstance(v, str)]
    if len(texts) != len(_NOTE_KEYS) or len(texts[1]) > _LONGEST_NOTE:
        raise _damaged(file, "notes", entry)
    return texts[0], texts[1].strip(), texts[2]


def _ids(file: Path, entry: dict[str, Any], key: str) -> list[str]:
    ids = entry.get(key, [])
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise _damaged(file, key, ids)
    return list(dict.fromkeys(ids))


def _dict(file: Path, data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if not isinstance(value, dict):
        raise _damaged(file, key, value)
    return value


def _list(file: Path, data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise _damaged(file, key, value)
    return value


def _damaged(file: Path, key: str, value: Any) -> InputError:
    return InputError(f'"{file}" is damaged: its "{key}" is {value!r:.60}.', _REMEDY)
