"""The labels that questions are about: what they are now, and what they would be without the answers so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.succession import RETURNED_SOURCE
from ..schema import CLASS_NAME, CLASSIFICATION, ITEM, ITEM_ID, ORDINAL
from ..store.fold import Edit, parts
from ..store.rows import decode_mask
from ..view import View
from .reviewing import ACCEPTED, CHANGED, CLASS, OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..content.levels import Level
    from ..project import Project

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NONE = -1
_ASKED = "asked"


class LabelsAsked:
    """The labels behind the questions of one kind at one level; of images, the first class each has.

    Attributes
    ----------
    level : str
        The level of the labels.
    """

    def __init__(self, project: Project, asked: str, kind: str) -> None:
        self._project, self._asked, self._kind = project, asked, kind
        self.level = CLASSIFICATION if asked == ITEM else asked

    @property
    def _now(self) -> Level:
        return self._project._level(self.level)

    def told(self, part: pl.DataFrame, *, follow: bool = True) -> pl.DataFrame:
        """Add to questions what their labels are.

        Parameters
        ----------
        part : pl.DataFrame
            Questions of a queue, with `row` and `given`.
        follow : bool
            Where another label took the place of the one asked about, speak of that.

        Returns
        -------
        pl.DataFrame
            The questions with `label` (its row; null for none), `now` and `without` (its class, and the one it would
            have if the question had not been answered), `dead` (it was deleted) and `gone` (not by an answer to the
            question), `moved` (another label stands in its place) and `corrected` (one that annotators drew), `classed`
            (its class was settled by a review).
        """
        level = self._now
        rows = part["row"].cast(pl.Int64).to_numpy()
        first = self._first_answers(rows) if self._asked == ITEM else rows
        label, moved = self._followed(first, level)
        corrected = np.zeros(label.size, np.bool_)
        if moved.any() and "source" in level.frame.columns:
            sources = level.frame["source"].gather(label[moved])
            corrected[moved] = (sources == RETURNED_SOURCE).fill_null(value=False).to_numpy()
        if not follow:
            label = first
        there = label >= 0
        safe = np.maximum(label, 0)
        known = pl.Series(there)
        now = level.frame[CLASS_NAME].gather(safe) if level.n else pl.Series([None] * label.size, dtype=pl.String)
        now = now.zip_with(known, pl.repeat(None, label.size, dtype=pl.String, eager=True))
        dead = there & self._removed(level)[safe] if level.n else np.zeros(label.size, np.bool_)
        without, gone = self._without_answers(part, rows, first, label, now, dead)
        said = self._project._level(self._asked).edits.verdicts.get(CLASS)
        classed = np.zeros(rows.size, np.bool_) if said is None else np.isin(said[rows], (ACCEPTED, CHANGED))
        return part.with_columns(
            pl.Series("label", label, dtype=pl.Int64).replace(_NONE, None),
            now.alias("now"),
            pl.Series("without", without, dtype=pl.String),
            pl.Series("dead", dead),
            pl.Series("gone", gone),
            pl.Series("moved", moved),
            pl.Series("corrected", corrected),
            pl.Series("classed", classed),
        )

    def with_answers(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the questions with a label each: images without a class get one that is open."""
        if self._asked != ITEM or frame.is_empty():
            return frame
        rows = self._project._answers(View(self._project, ITEM).at(frame["row"].to_numpy()))
        owners = self._now.item_rows
        assert owners is not None
        mine = pl.DataFrame({"row": owners.gather(rows).cast(frame.schema["row"]), "label": rows.astype(np.int64)})
        return frame.drop("label").join(mine, on="row", how="inner", maintain_order="left")

    def links(self, frame: pl.DataFrame) -> dict[str, dict[str, int]]:
        """Return, for the payload of a change, which question a label stands for that is not the one asked about."""
        if self._asked == ITEM:
            return {}
        found = {str(label): row for row, label in frame.select("row", "label").iter_rows() if row != label}
        return {_ASKED: found} if found else {}

    # -- inside ---------------------------------------------------------------------------------

    def _removed(self, level: Level) -> Flags:
        """Tell which labels were deleted themselves, not with their image and not as ones that wait."""
        own = self._project._reader.log.state.level(level.stored, level.n).removed
        return np.zeros(level.n, np.bool_) if own is None else own

    def _first_answers(self, rows: Rows) -> Rows:
        """Return the class label of each image that counts; -1 for none."""
        level = self._now
        frame = level.frame.select(ITEM_ID, ORDINAL, CLASS_NAME).filter(pl.Series(~self._removed(level)))
        first = frame.sort(pl.col(CLASS_NAME).is_null(), ORDINAL).unique(ITEM_ID, keep="first", maintain_order=True)
        items = self._project._level(ITEM).frame.select(ITEM_ID)[rows]
        found = items.join(first, on=ITEM_ID, how="left", maintain_order="left")[ORDINAL]
        return found.cast(pl.Int64).fill_null(_NONE).to_numpy()

    def _followed(self, rows: Rows, level: Level) -> tuple[Rows, Flags]:
        """Return the labels that stand in the place of these now, and where that is another one."""
        links = level.edits.replaces
        if not links:
            return rows, np.zeros(rows.size, np.bool_)
        added = level.edits.added
        later = {old: new for new, old in links.items() if added is not None and added[new]}
        out = rows.copy()
        for i, row in enumerate(rows.tolist()):
            last, seen = row, {row}
            while (following := later.get(last)) is not None and following not in seen:
                seen.add(following)
                last = following
            out[i] = last
        return out, out != rows

    def _without_answers(
        self, part: pl.DataFrame, rows: Rows, first: Rows, label: Rows, now: pl.Series, dead: Flags
    ) -> tuple[list[str | None], Flags]:
        """Return class and deletion as they would be if the question had not been answered.

        What an answer gave counts as given by it as long as it is so; anything else was done by hand since.
        """
        without, gone = now.to_list(), dead.copy()
        given, classes = part["given"].to_list(), now.to_list()
        base = self._project._reader._base.get(self.level)
        n = self._now.n
        for edit, hits in self._answers(rows):
            for change in parts(edit):
                if change.level != self._now.stored or change.kind not in ("relabel", "unlabel", "remove"):
                    continue
                touched = decode_mask(change.encoding, change.rows, n)
                for new, old in change.payload.get(_ASKED, {}).items():
                    touched[old] |= touched[int(new)]
                mine = (label[hits] >= 0) & (touched[label[hits]] | touched[first[hits]])
                for i in hits[mine].tolist():
                    if change.kind == "remove":
                        gone[i] = False
                        continue
                    own = base[0][CLASS_NAME][int(label[i])] if base is not None and change.kind == "unlabel" else None
                    if classes[i] == change.payload.get("class_name", own):
                        without[i] = change.payload.get("was", given[i])
        return without, gone

    def _answers(self, rows: Rows) -> Iterator[tuple[Edit, Rows]]:
        """Yield the newest answer in force to each question, with the places of the questions it answered."""
        level = self._project._level(self._asked)
        said = level.edits.verdicts.get(self._kind)
        if said is None:
            return
        left = np.flatnonzero(said[rows] != OPEN)
        for edit in reversed(self._project._reader.log.state.done if left.size else []):
            if edit.kind != "review":
                continue
            hit = np.zeros(left.size, np.bool_)
            for part in parts(edit):
                if part.kind == "review" and part.level == level.stored and part.payload.get("about", "") == self._kind:
                    hit |= decode_mask(part.encoding, part.rows, level.n)[rows[left]]
            if hit.any():
                yield edit, left[hit]
                left = left[~hit]
                if not left.size:
                    return
