"""The edits that lead from one state to another: what restoring a snapshot and settling a merge append."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schema import ITEM
from .fold import DECISIONS, Folded, LevelEdits
from .parts import Part, edit_part
from .rows import encode_mask, encode_rows

Mask = NDArray[np.bool_]
_WORD = {"relabel": "class_name", "split": "split"}
"""Where the payload of an edit keeps the word it gives."""


def parts_between(now: Folded, then: Folded, sizes: Mapping[str, int]) -> list[Part]:
    """Return what to do to `now` to have `then`: nothing where they say the same.

    Parameters
    ----------
    now, then : Folded
    sizes : mapping of str to int
        The number of rows of each level; of levels that are not in it nothing is known, and they are left alone.
    """
    found: list[Part] = []
    for name in sorted({*now.levels, *then.levels}):
        if name in sizes:
            found += _of_level(name, now.level(name, sizes[name]), then.level(name, sizes[name]))
    return [*found, *_of_filters(now.filters, then.filters)]


def class_names(level: LevelEdits, names: list[str]) -> NDArray[np.int32]:
    """Return the class that edits gave each row as a place in `names`; -1 where they gave none."""
    return _places(level.n, level.classes, level.class_names, names)


def split_names(level: LevelEdits, names: list[str]) -> NDArray[np.int32]:
    """Return the part that edits put each row into as a place in `names`; -1 where they put it into none."""
    return _places(level.n, level.splits, level.split_names, names)


def _places(n: int, codes: NDArray[np.int32] | None, own: tuple[str, ...], names: list[str]) -> NDArray[np.int32]:
    if codes is None:
        return np.full(n, -1, np.int32)
    return np.array([*(names.index(name) for name in own), -1], np.int32)[codes]


def or_none(mask: Mask | None, n: int) -> Mask:
    """Return a mask also where there is none."""
    return np.zeros(n, np.bool_) if mask is None else mask


def _of_level(name: str, now: LevelEdits, then: LevelEdits) -> Iterator[Part]:
    n = now.n
    yield from _of_tags(name, now, then)
    old, new = or_none(now.removed, n), or_none(then.removed, n)
    yield from _part(name, "remove", new & ~old)
    yield from _part(name, "restore", old & ~new)
    yield from _of_added(name, now, then)
    names = list(dict.fromkeys([*now.class_names, *then.class_names]))
    yield from _of_words(name, class_names(now, names), class_names(then, names), names, ("relabel", "unlabel"))
    names = list(dict.fromkeys([*now.split_names, *then.split_names]))
    yield from _of_words(name, split_names(now, names), split_names(then, names), names, ("split", "unsplit"))
    yield from _of_notes(name, now, then)
    for about in dict.fromkeys([*now.verdicts, *then.verdicts]):
        blank = np.zeros(n, np.uint8)
        said, wanted = now.verdicts.get(about, blank), then.verdicts.get(about, blank)
        for code in np.unique(wanted[said != wanted]).tolist():
            payload = {"decision": DECISIONS[code], "about": about}
            yield from _part(name, "review", (said != wanted) & (wanted == code), payload)
    if not _same_sets(now.apart, then.apart):
        yield edit_part(name, "unite", encode_rows(np.empty(0, np.uint32)), {})
        for rows in then.apart:
            yield edit_part(name, "apart", encode_rows(rows), {})


def _of_words(
    level: str, now: NDArray[np.int32], then: NDArray[np.int32], names: list[str], kinds: tuple[str, str]
) -> Iterator[Part]:
    """Give rows the words they had, by edits of the first kind, or take them back, by those of the second."""
    give, take_back = kinds
    for code in np.unique(then[now != then]).tolist():
        rows = (now != then) & (then == code)
        yield from _part(level, give, rows, {_WORD[give]: names[code]}) if code >= 0 else _part(level, take_back, rows)


def _of_tags(name: str, now: LevelEdits, then: LevelEdits) -> Iterator[Part]:
    """Bring tags, their rows, their colours and their order to what they were."""
    wanted = list(then.tags)
    kept = [t for t in now.tags if t in then.tags]
    same = next((i for i, (a, b) in enumerate(zip(kept, wanted, strict=False)) if a != b), len(kept))
    for tag in [*(t for t in now.tags if t not in then.tags), *kept[same:]]:  # the latter come again in their order
        yield edit_part(name, "delete_tag", encode_rows(np.empty(0, np.uint32)), {"name": tag})
    for i, tag in enumerate(wanted):
        fresh = i >= same
        color, had = then.colors.get(tag), None if fresh else now.colors.get(tag)
        if fresh:
            yield edit_part(name, "create_tag", encode_rows(np.empty(0, np.uint32)), {"name": tag, "color": color})
        elif color != had:
            yield edit_part(name, "color_tag", encode_rows(np.empty(0, np.uint32)), {"name": tag, "color": color})
        old = np.zeros(now.n, np.bool_) if fresh else now.tags[tag]
        yield from _part(name, "tag", then.tags[tag] & ~old, {"add": [tag]})
        yield from _part(name, "tag", old & ~then.tags[tag], {"remove": [tag]})


def _of_added(name: str, now: LevelEdits, then: LevelEdits) -> Iterator[Part]:
    """Bring accepted suggestions to what they were; one that stands in for another label now is added anew."""
    old, new = or_none(now.added, now.n), or_none(then.added, now.n)
    relinked = np.zeros(now.n, np.bool_)
    for row in now.replaces.keys() | then.replaces.keys():
        relinked[row] = now.replaces.get(row) != then.replaces.get(row)
    added = new & (~old | relinked)
    links = {str(row): was for row, was in then.replaces.items() if added[row]}
    yield from _part(name, "withdraw", old & (~new | relinked))
    yield from _part(name, "add", added, {"replaces": links} if links else None)


def _of_notes(name: str, now: LevelEdits, then: LevelEdits) -> Iterator[Part]:
    texts: dict[str, list[int]] = {}
    for row in now.notes.keys() | then.notes.keys():
        if now.notes.get(row) != then.notes.get(row):
            texts.setdefault(then.notes.get(row, ""), []).append(row)
    for text, rows in sorted(texts.items()):
        yield edit_part(name, "note", encode_rows(np.array(rows)), {"text": text})


def _of_filters(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[Part]:
    none = encode_rows(np.empty(0, np.uint32))
    for name in now:
        if name not in then:
            yield edit_part(ITEM, "delete_filter", none, {"name": name})
    for name, value in then.items():
        if name not in now or now[name] != value:
            yield edit_part(ITEM, "save_filter", none, {"name": name, "filter": value})


def _part(level: str, kind: str, rows: Mask, payload: dict[str, Any] | None = None) -> Iterator[Part]:
    if rows.any():
        yield edit_part(level, kind, encode_mask(rows), payload or {})


def _same_sets(a: tuple[NDArray[np.int64], ...], b: tuple[NDArray[np.int64], ...]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
