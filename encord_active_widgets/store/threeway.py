"""Two histories of one project become one: the state both agree on, and where they do not.

Each is compared with what they have in common. What one side changed counts; where both changed the
same thing in different ways it stays as it was, and is reported: nobody's word is taken for the other's.
Swapping the sides gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .between import class_names, or_none, split_names
from .fold import DECISIONS, Folded, LevelEdits

Values = NDArray[Any]
CLASS, NOTE, REVIEW, DELETED, FILTER, SPLIT = "class", "note", "review", "deleted", "filter", "split"


@dataclass(frozen=True)
class Conflict:
    """One thing that both sides changed in different ways.

    Attributes
    ----------
    kind : str
        `"class"`, `"note"`, `"review"`, `"split"`, `"deleted"` (deleted here, given another class there) or
        `"filter"`.
    row : int or None
        In its level; None of a saved filter.
    before, ours, theirs : str or None
        A class or a split that is None is the one that the row came with.
    """

    kind: str
    level: str
    row: int | None
    before: str | None
    ours: str | None
    theirs: str | None


@dataclass
class _Sides:
    """One level at the common state and on both sides, and in the union of both logs."""

    name: str
    base: LevelEdits
    ours: LevelEdits
    theirs: LevelEdits
    union: LevelEdits
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def n(self) -> int:
        return self.base.n

    def report(self, kind: str, rows: NDArray[np.bool_], *columns: Sequence[str | None]) -> None:
        found = np.flatnonzero(rows).tolist()
        self.conflicts += [Conflict(kind, self.name, r, *v) for r, *v in zip(found, *columns, strict=True)]


def settle(
    base: Folded, ours: Folded, theirs: Folded, union: Folded, sizes: Mapping[str, int]
) -> tuple[Folded, list[Conflict]]:
    """Return the state that two histories lead to together, and their conflicts.

    Parameters
    ----------
    base : Folded
        What the entries that both logs have say.
    ours, theirs : Folded
        What each log says.
    union : Folded
        What all entries of both say, in their order: it gives what has no sides, such as the order of tags.
    sizes : mapping of str to int
        The number of rows of each level.
    """
    out = Folded()
    conflicts: list[Conflict] = []
    for name in sorted({*base.levels, *ours.levels, *theirs.levels, *union.levels} & sizes.keys()):
        n = sizes[name]
        sides = _Sides(name, base.level(name, n), ours.level(name, n), theirs.level(name, n), union.level(name, n))
        out.levels[name] = _level(sides)
        conflicts += sides.conflicts
    out.filters = _of_dicts(base.filters, ours.filters, theirs.filters)
    conflicts += _filter_conflicts(base.filters, ours.filters, theirs.filters)
    return out, conflicts


def _pick(base: Values, ours: Values, theirs: Values) -> tuple[Values, NDArray[np.bool_]]:
    """Take what one side changed; where both did, and not alike, the common value. Return also where."""
    by_us, by_them = ours != base, theirs != base
    clash = by_us & by_them & (ours != theirs)
    return np.where(clash, base, np.where(by_us, ours, theirs)), clash


def _level(s: _Sides) -> LevelEdits:
    base, ours, theirs, n = s.base, s.ours, s.theirs, s.n
    removed, _ = _pick(*(or_none(e.removed, n) for e in (base, ours, theirs)))
    added, _ = _pick(*(or_none(e.added, n) for e in (base, ours, theirs)))
    names = sorted({*base.class_names, *ours.class_names, *theirs.class_names})
    torn = _torn(s, names)
    classes = _classes(s, names, but=torn)
    removed = np.where(torn, or_none(base.removed, n), removed)
    classes = np.where(torn, class_names(base, names), classes)
    parts = sorted({*base.split_names, *ours.split_names, *theirs.split_names})
    return LevelEdits(
        n,
        tags=_tags(s),
        colors=_of_dicts(base.colors, ours.colors, theirs.colors),
        removed=removed,
        classes=classes,
        class_names=tuple(names),
        splits=_splits(s, parts),
        split_names=tuple(parts),
        notes=_notes(s),
        added=added,
        replaces=dict(s.union.replaces),
        verdicts=_verdicts(s),
        apart=s.union.apart,
    )


def _tags(s: _Sides) -> dict[str, NDArray[np.bool_]]:
    """Take the tags in the order of both logs; one that a side deleted is there if the other gave it to more rows."""
    out = {}
    everywhere = dict.fromkeys([*s.union.tags, *sorted({*s.base.tags, *s.ours.tags, *s.theirs.tags})])
    for tag in everywhere:
        mask, _ = _pick(*(e.tags.get(tag, np.zeros(s.n, np.bool_)) for e in (s.base, s.ours, s.theirs)))
        here, _ = _pick(*(np.array([tag in e.tags]) for e in (s.base, s.ours, s.theirs)))
        if here[0] or mask.any():
            out[tag] = mask
    return out


def _classes(s: _Sides, names: list[str], but: NDArray[np.bool_]) -> NDArray[np.int32]:
    sides = [class_names(e, names) for e in (s.base, s.ours, s.theirs)]
    classes, clash = _pick(*sides)
    clash &= ~but  # told of already
    s.report(CLASS, clash, *(_named(codes[clash], names) for codes in sides))
    return classes.astype(np.int32)


def _splits(s: _Sides, names: list[str]) -> NDArray[np.int32] | None:
    if not names:
        return None
    sides = [split_names(e, names) for e in (s.base, s.ours, s.theirs)]
    splits, clash = _pick(*sides)
    s.report(SPLIT, clash, *(_named(codes[clash], names) for codes in sides))
    return splits.astype(np.int32)


def _torn(s: _Sides, names: list[str]) -> NDArray[np.bool_]:
    """Find the labels that one side deleted and the other gave another class."""
    removed = [or_none(e.removed, s.n) for e in (s.base, s.ours, s.theirs)]
    classes = [class_names(e, names) for e in (s.base, s.ours, s.theirs)]
    alive = ~removed[0]
    here = alive & removed[1] & ~removed[2] & (classes[2] != classes[0])
    there = alive & removed[2] & ~removed[1] & (classes[1] != classes[0])
    torn = here | there
    before = _named(classes[0][torn], names)
    told: list[list[str | None]] = []
    for gone, codes in ((here[torn], classes[1][torn]), (there[torn], classes[2][torn])):
        told.append([DELETED if g else v for g, v in zip(gone.tolist(), _named(codes, names), strict=True)])
    s.report(DELETED, torn, before, *told)
    return np.asarray(torn)


def _notes(s: _Sides) -> dict[int, str]:
    base, ours, theirs = s.base.notes, s.ours.notes, s.theirs.notes
    for row in sorted(ours.keys() | theirs.keys() | base.keys()):
        b, a, t = base.get(row), ours.get(row), theirs.get(row)
        if a not in (b, t) and t != b:
            s.conflicts.append(Conflict(NOTE, s.name, row, b, a, t))
    return _of_dicts(base, ours, theirs)


def _verdicts(s: _Sides) -> dict[str, NDArray[np.uint8]]:
    out = {}
    for about in sorted({*s.base.verdicts, *s.ours.verdicts, *s.theirs.verdicts}):
        sides = [e.verdicts.get(about, np.zeros(s.n, np.uint8)) for e in (s.base, s.ours, s.theirs)]
        codes, clash = _pick(*sides)
        s.report(REVIEW, clash, *([DECISIONS[c] for c in v[clash].tolist()] for v in sides))
        if codes.any():
            out[about] = codes
    return out


def _of_dicts(base: Mapping[Any, Any], ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> dict[Any, Any]:
    """Take what one side changed of each entry; where both did, and not alike, the common one."""
    out = {}
    for key in sorted({*base, *ours, *theirs}, key=str):
        b, a, t = base.get(key), ours.get(key), theirs.get(key)
        value = t if a in (b, t) else a if t == b else b
        if value is not None:
            out[key] = value
    return out


def _filter_conflicts(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> Iterator[Conflict]:
    for key in sorted({*base, *ours, *theirs}):
        b, a, t = base.get(key), ours.get(key), theirs.get(key)
        if a not in (b, t) and t != b:
            yield Conflict(FILTER, "", None, *(None if v is None else f"{key}: {v}" for v in (b, a, t)))


def _named(codes: NDArray[np.integer], names: list[str]) -> list[str | None]:
    return [None if c < 0 else names[c] for c in codes.tolist()]
