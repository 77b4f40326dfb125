"""What the edit log says: tags, removals and saved filters as a fold over its entries.

The log is append-only. Undo and redo are entries too, so every process that reads the same
entries arrives at the same state.
"""

from __future__ import annotations

import base64
import json
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schema import ITEM, LABEL, PREDICTION
from .rows import decode_mask, decode_rows

Mask = NDArray[np.bool_]
Codes = NDArray[np.uint8]

UNDO = "undo"
REDO = "redo"
TOOK = "took"
"""The kind of the entry that says which entries one merge brought: to undo it leaves them all out."""

DECISIONS = ("open", "accepted", "rejected", "changed", "removed")
"""What a review may say of a row; the place is the code that is kept."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One entry of the log. `payload` holds what its kind needs, see `fold`."""

    edit_id: str
    seq: int
    level: str
    kind: str
    encoding: str
    rows: bytes
    n: int
    payload: dict[str, Any]
    undoes: str | None

    @property
    def total(self) -> int:
        """The number of rows, of all parts that are of this kind."""
        return self.n + sum(int(o["n"]) for o in self._others())

    def _others(self) -> list[dict[str, Any]]:
        return [o for o in self.payload.get("also", []) if o.get("kind", self.kind) == self.kind]

    @property
    def text(self) -> str:
        """Say in a few words what this edit did."""
        n, levels = self.total, {self.level, *(o["level"] for o in self._others())}
        one = LABEL if len(levels) > 1 else PREDICTION if self.level.startswith(PREDICTION) else self.level
        noun = f"{n:,} {one}{'' if n == 1 else 's'}"
        say = _WORDS.get(self.kind)
        return self.kind if say is None else say(self.payload, noun, self.level)


def _tag_words(p: dict[str, Any], noun: str, _: str) -> str:
    parts = []
    if p.get("add"):
        parts.append(f"tagged {noun} {_quoted(p['add'])}")
    if p.get("remove"):
        parts.append(f"untagged {noun} {_quoted(p['remove'])}")
    return " and ".join(parts)


def _rename_words(p: dict[str, Any], _: str, __: str) -> str:
    verb, sign = ("merged", "into") if p.get("merge") else ("renamed", "to")
    return f'{verb} tag "{p["from"]}" {sign} "{p["to"]}"'


def _review_words(p: dict[str, Any], noun: str, _: str) -> str:
    return f"reopened {noun}" if p["decision"] == DECISIONS[0] else f"reviewed {noun}: {p['decision']}"


def _split_words(p: dict[str, Any], noun: str, _: str) -> str:
    parts = [p, *(o["payload"] for o in p.get("also", []) if o.get("kind") == "split")]
    return f"divided {noun} into {', '.join(dict.fromkeys(part['split'] for part in parts))}"


_WORDS: dict[str, Callable[[dict[str, Any], str, str], str]] = {
    "tag": _tag_words,
    "rename_tag": _rename_words,
    "delete_tag": lambda p, *_: f'deleted tag "{p["name"]}"',
    "create_tag": lambda p, *_: f'created tag "{p["name"]}"',
    "color_tag": lambda p, *_: f'coloured tag "{p["name"]}"',
    "remove": lambda _, noun, level: f"removed {noun} from the project" if level == ITEM else f"deleted {noun}",
    "relabel": lambda p, noun, _: f'relabelled {noun} "{p["class_name"]}"',
    "note": lambda p, noun, _: f"noted on {noun}" if p.get("text") else f"removed the note of {noun}",
    "review": _review_words,
    "split": _split_words,
    "correct": lambda _, noun, __: f"took corrections of {noun}",
    "apart": lambda _, noun, __: f"said that {noun} are no duplicates of each other",
    "revert": lambda p, *_: f'restored snapshot "{p["name"]}"',
    TOOK: lambda p, *_: f"merged {p['n']:,} edit{'' if p['n'] == 1 else 's'} of another copy",
    "merge": lambda p, *_: f"settled a merge, {p['conflicts']:,} conflict{'' if p['conflicts'] == 1 else 's'}",
    "collected": lambda p, *_: f'applied edits collected in "{p["page"]}"',
    "save_filter": lambda p, *_: f'saved filter "{p["name"]}"',
    "delete_filter": lambda p, *_: f'deleted filter "{p["name"]}"',
}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{n}"' for n in names)


@dataclass
class LevelEdits:
    """Tags and removals of one level, `n` rows."""

    n: int
    tags: dict[str, Mask] = field(default_factory=dict)
    colors: dict[str, str] = field(default_factory=dict)
    removed: Mask | None = None
    classes: NDArray[np.int32] | None = None
    """The class each row was given, as a place in `class_names`; -1 where it has its own."""
    class_names: tuple[str, ...] = ()
    splits: NDArray[np.int32] | None = None
    """The part each row was put into, as a place in `split_names`; -1 where it is in the one it came in."""
    split_names: tuple[str, ...] = ()
    notes: dict[int, str] = field(default_factory=dict)
    added: Mask | None = None
    """Suggested labels that were accepted; the others of that source are not there."""
    replaces: dict[int, int] = field(default_factory=dict)
    """Of an added label the row it stands in for."""
    verdicts: dict[str, Codes] = field(default_factory=dict)
    """What reviews said of rows, by what they were asked: places in `DECISIONS`."""
    apart: tuple[NDArray[np.int64], ...] = ()
    """Sets of rows that are no duplicates of each other; a row beyond `n` is not there yet."""

    def copied(self) -> LevelEdits:
        """Return edits that may be changed: masks are shared, as they are never written into."""
        return replace(
            self,
            tags=dict(self.tags),
            colors=dict(self.colors),
            notes=dict(self.notes),
            replaces=dict(self.replaces),
            verdicts=dict(self.verdicts),
        )

    def grown(self, n: int) -> LevelEdits:
        """Return the same edits over more rows."""
        if n == self.n:
            return self

        def wide(values: NDArray[Any], fill: int = 0) -> Any:
            out = np.full(n, fill, values.dtype)
            out[: min(n, self.n)] = values[:n]
            return out

        return replace(
            self,
            n=n,
            tags={k: wide(v) for k, v in self.tags.items()},
            colors=dict(self.colors),
            removed=None if self.removed is None else wide(self.removed),
            classes=None if self.classes is None else wide(self.classes, -1),
            splits=None if self.splits is None else wide(self.splits, -1),
            notes={k: v for k, v in self.notes.items() if k < n},
            added=None if self.added is None else wide(self.added),
            replaces={k: v for k, v in self.replaces.items() if k < n and v < n},
            verdicts={k: wide(v) for k, v in self.verdicts.items()},
        )


@dataclass
class Folded:
    """The state the whole log leads to."""

    levels: dict[str, LevelEdits] = field(default_factory=dict)
    filters: dict[str, Any] = field(default_factory=dict)
    done: list[Edit] = field(default_factory=list)
    undone: list[Edit] = field(default_factory=list)

    def level(self, name: str, n: int) -> LevelEdits:
        """Return one level's edits over `n` rows."""
        return self.levels.get(name, LevelEdits(n)).grown(n)


def effective(edits: Iterable[Edit]) -> tuple[list[Edit], list[Edit]]:
    """Walk the log and return the edits in force, and the undone ones that redo would bring back.

    A fresh edit ends the possibility of redo, as in any editor.
    """
    edits = list(edits)
    done: list[Edit] = []
    undone: list[Edit] = []
    ended: list[Edit] = []
    out = left_out(edits)
    for edit in edits:
        if edit.edit_id in out:
            continue
        if edit.kind == UNDO:
            undone += _taken(done, edit.undoes)
        elif edit.kind == REDO:
            # Where two logs were merged, an edit of the other one may stand between an undo and its redo.
            for back in _taken(undone, edit.undoes) or _taken(ended, edit.undoes):
                insort(done, back, key=lambda e: (e.seq, e.edit_id))
        else:
            done.append(edit)
            ended += undone
            undone.clear()
    return done, undone


def left_out(edits: Sequence[Edit]) -> set[str]:
    """Return the ids of the entries that only merges brought which are undone."""
    merges = {e.edit_id: set(e.payload["edits"]) for e in edits if e.kind == TOOK}
    if not merges:
        return set()
    undone: set[str] = set()
    for edit in edits:
        if edit.undoes in merges:
            undone = undone | {edit.undoes} if edit.kind == UNDO else undone - {edit.undoes}
    gone = set[str]().union(*(merges[i] for i in undone))
    return gone.difference(*(ids for i, ids in merges.items() if i not in undone))


def _taken(edits: list[Edit], edit_id: str | None) -> list[Edit]:
    """Take one edit out of a list; none where another process undid it first: undoing twice changes nothing."""
    for i in range(len(edits) - 1, -1, -1):
        if edits[i].edit_id == edit_id:
            return [edits.pop(i)]
    return []


def fold(edits: Iterable[Edit], sizes: Mapping[str, int]) -> Folded:
    """Compute the state of a log; `sizes` gives the number of rows a level has."""
    done, undone = effective(edits)
    state = Folded(done=done, undone=undone)
    for edit in done:
        apply(state, edit, sizes)
    return state


def apply(state: Folded, edit: Edit, sizes: Mapping[str, int]) -> None:
    """Apply one edit to `state` in place; masks are replaced, never written into."""
    if edit.kind in _ON_FILTERS:
        _ON_FILTERS[edit.kind](state.filters, edit.payload)
        return
    for part in parts(edit):
        if part.kind in _ON_FILTERS:
            _ON_FILTERS[part.kind](state.filters, part.payload)
            continue
        change = _ON_LEVEL.get(part.kind)
        n = sizes.get(part.level, 0)
        level = state.levels.get(part.level, LevelEdits(n)).grown(n)
        state.levels[part.level] = level
        if change is not None:  # a kind of a newer version is kept in the log and changes nothing here
            change(level, part)


def parts(edit: Edit) -> list[Edit]:
    """Return the edit part by part: what happens to several levels, or in several ways, is still one edit."""
    others = [
        replace(
            edit,
            level=o["level"],
            kind=o.get("kind", edit.kind),
            encoding=o["encoding"],
            rows=base64.b64decode(o["rows"]),
            n=o["n"],
            payload=o.get("payload", edit.payload),
        )
        for o in edit.payload.get("also", [])
    ]
    return [edit, *others]


def _tag(level: LevelEdits, edit: Edit) -> None:
    mask, tags = decode_mask(edit.encoding, edit.rows, level.n), level.tags
    for name in edit.payload.get("add", []):
        tags[name] = tags[name] | mask if name in tags else mask
    for name in edit.payload.get("remove", []):
        if name in tags:
            tags[name] = tags[name] & ~mask


def _create_tag(level: LevelEdits, edit: Edit) -> None:
    level.tags.setdefault(edit.payload["name"], np.zeros(level.n, np.bool_))
    _color_tag(level, edit)


def _delete_tag(level: LevelEdits, edit: Edit) -> None:
    level.tags.pop(edit.payload["name"], None)
    level.colors.pop(edit.payload["name"], None)


def _color_tag(level: LevelEdits, edit: Edit) -> None:
    color = edit.payload.get("color")
    if color:
        level.colors[edit.payload["name"]] = color
    else:
        level.colors.pop(edit.payload["name"], None)


def _remove(level: LevelEdits, edit: Edit) -> None:
    mask = decode_mask(edit.encoding, edit.rows, level.n)
    level.removed = mask if level.removed is None else level.removed | mask


def _restore(level: LevelEdits, edit: Edit) -> None:
    if level.removed is not None:
        level.removed = level.removed & ~decode_mask(edit.encoding, edit.rows, level.n)


def _add(level: LevelEdits, edit: Edit) -> None:
    mask = decode_mask(edit.encoding, edit.rows, level.n)
    level.added = mask if level.added is None else level.added | mask
    # Another process may have written the edit before this one has read the rows: it is folded again with them.
    pairs = ((int(new), old) for new, old in edit.payload.get("replaces", {}).items())
    level.replaces |= {new: old for new, old in pairs if max(new, old) < level.n}


def _withdraw(level: LevelEdits, edit: Edit) -> None:
    if level.added is not None:
        mask = decode_mask(edit.encoding, edit.rows, level.n)
        level.added = level.added & ~mask
        level.replaces = {new: old for new, old in level.replaces.items() if not mask[new]}


def _review(level: LevelEdits, edit: Edit) -> None:
    mask, asked = decode_mask(edit.encoding, edit.rows, level.n), edit.payload.get("about", "")
    old = level.verdicts.get(asked, np.zeros(level.n, np.uint8))
    new = np.where(mask, np.uint8(DECISIONS.index(edit.payload["decision"])), old)
    if new.any():
        level.verdicts[asked] = new
    else:
        level.verdicts.pop(asked, None)


def _apart(level: LevelEdits, edit: Edit) -> None:
    level.apart = (*level.apart, decode_rows(edit.encoding, edit.rows).astype(np.int64))


def _unite(level: LevelEdits, _: Edit) -> None:
    """Forget what was said to be no duplicates; those that hold are said again in the same edit."""
    level.apart = ()


Given = NDArray[np.int32] | None
"""The word each row was given, as a place in a list of words; -1 where it was given none."""


def _relabel(level: LevelEdits, edit: Edit) -> None:
    level.classes, level.class_names = _given(level, edit, level.classes, level.class_names, edit.payload["class_name"])


def _unlabel(level: LevelEdits, edit: Edit) -> None:
    level.classes = _taken_back(level, edit, level.classes)


def _split(level: LevelEdits, edit: Edit) -> None:
    level.splits, level.split_names = _given(level, edit, level.splits, level.split_names, edit.payload["split"])


def _unsplit(level: LevelEdits, edit: Edit) -> None:
    level.splits = _taken_back(level, edit, level.splits)


def _given(
    level: LevelEdits, edit: Edit, codes: Given, names: tuple[str, ...], name: str
) -> tuple[Given, tuple[str, ...]]:
    mask = decode_mask(edit.encoding, edit.rows, level.n)
    names = names if name in names else (*names, name)
    old = np.full(level.n, -1, np.int32) if codes is None else codes
    return np.where(mask, np.int32(names.index(name)), old), names


def _taken_back(level: LevelEdits, edit: Edit, codes: Given) -> Given:
    return None if codes is None else np.where(decode_mask(edit.encoding, edit.rows, level.n), np.int32(-1), codes)


def _note(level: LevelEdits, edit: Edit) -> None:
    text = edit.payload.get("text")
    for row in np.flatnonzero(decode_mask(edit.encoding, edit.rows, level.n)).tolist():
        if text:
            level.notes[row] = text
        else:
            level.notes.pop(row, None)


def _rename(level: LevelEdits, old: str, new: str) -> None:
    """Rename a tag in its place, or merge it into one that exists."""
    if old not in level.tags or old == new:
        return
    renamed: dict[str, Mask] = {}
    for name, mask in level.tags.items():
        if name == old and new in level.tags:
            continue
        renamed[new if name == old else name] = mask
    if new in level.tags:
        renamed[new] = level.tags[new] | level.tags[old]
    level.tags = renamed
    if old in level.colors:
        color = level.colors.pop(old)
        level.colors.setdefault(new, color)


_ON_LEVEL: dict[str, Callable[[LevelEdits, Edit], None]] = {
    "tag": _tag,
    "create_tag": _create_tag,
    "delete_tag": _delete_tag,
    "color_tag": _color_tag,
    "rename_tag": lambda level, edit: _rename(level, edit.payload["from"], edit.payload["to"]),
    "remove": _remove,
    "relabel": _relabel,
    "unlabel": _unlabel,
    "split": _split,
    "unsplit": _unsplit,
    "note": _note,
    "restore": _restore,
    "add": _add,
    "withdraw": _withdraw,
    "review": _review,
    "apart": _apart,
    "unite": _unite,
}
_ON_FILTERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "save_filter": lambda filters, payload: filters.update({payload["name"]: payload["filter"]}),
    "delete_filter": lambda filters, payload: filters.pop(payload["name"], None),
}


def parse_payload(text: str | None) -> dict[str, Any]:
    """Read a payload; an empty one is an empty dict."""
    return dict(json.loads(text)) if text else {}
