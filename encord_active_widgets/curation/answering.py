"""Answers to the questions of a review: what each changes, as one edit, and what is left as it is.

An answer takes back the earlier one to the same question, and nothing else: what somebody changed by hand since stays.
A suggestion is not taken over where its label has another class or place by now, or is gone, and a missed object not
where a label of its class is by now.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..content.succession import handed_on
from ..errors import InputError, unknown
from ..schema import ITEM, OBJECT, run_of
from ..store.fold import DECISIONS
from ..store.parts import Part, edit_part
from ..store.reasons import kept_reasons
from ..view import View
from .reviewing import (
    ACCEPTED,
    CHANGED,
    CLASS,
    DUPLICATE,
    LOCATION,
    MISSED,
    OPEN,
    PLAIN,
    REJECTED,
    REMOVED,
    SPURIOUS,
    Places,
    Queue,
    answered_elsewhere,
    queue_of,
)
from .suggested_labels import SuggestedLabels

if TYPE_CHECKING:
    from ..content.levels import Level
    from .labels_asked import LabelsAsked

log = logging.getLogger("encord_active_widgets")

VERBS = {"accept": ACCEPTED, "reject": REJECTED, "class": CHANGED, "remove": REMOVED, "clear": OPEN}
STALE = "whose label was changed or deleted since"
DOUBLE = "where a label of the class is already"
ANSWERED = "answered before (answered=True answers them again)"
UNSUGGESTED = "without a suggestion"
_OURS = ~(pl.col("dead") & pl.col("gone"))
"""What an answer deletes, also where an earlier one did already: only the newest answer is looked at later."""
UNLIKE = "whose label has a shape of another kind (a polygon, say) than the suggestion (a box)"


@dataclass
class Answered:
    """What became of an answer.

    Attributes
    ----------
    places : (n,) int64
        The questions that were answered.
    left : dict of str to int
        How many were left as they are, by why.
    """

    places: Places
    left: dict[str, int] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """Say what was left, in words; empty where nothing was."""
        return ", ".join(f"{n:,} {why}" for why, n in self.left.items())


def answer(
    queue: Queue, places: Sequence[int] | Places, decision: str, class_name: str | None = None, *, cause: str = "python"
) -> Answered:
    """Answer questions, as one edit; an earlier answer to them is taken back by it.

    Parameters
    ----------
    queue : Queue
    places : sequence of int
        Which questions.
    decision : {"accept", "reject", "class", "remove", "clear"}
        Accept the suggestion; keep the label and do not ask again; give it another class; delete the label; or open
        the question again.
    class_name : str, optional
        The class, for "class".

    Raises
    ------
    InputError
        The answer does not fit what is asked, or the run was replaced or removed; nothing is changed then.
    """
    if decision not in VERBS:
        raise unknown("decision", decision, VERBS)
    chosen = np.unique(np.asarray(places, np.int64))
    if chosen.size and (chosen[0] < 0 or chosen[-1] >= len(queue)):
        raise InputError(f"There is no question {int(chosen[-1])}.", f"They go from 0 to {len(queue) - 1:,}.")
    name = class_name.strip() if isinstance(class_name, str) else ""
    if decision == "class" and not name:
        raise InputError("Another class needs a name.", "Give one that is not empty.")
    if not chosen.size:
        return Answered(chosen)
    with queue.project._lock:
        queue.check()
        work = _Work(queue, chosen, VERBS[decision], name)
        entries = work.entries()
        if not entries and work.done.left.keys() == {UNLIKE}:
            raise InputError(
                f"Nothing was answered: {work.done.why}.",
                "Reject it, or have it drawn again: view.to_label_studio(…), view.to_cvat(…).",
            )
        if entries:
            code = f"view.{decision}()" if decision in ("accept", "reject") else f"view.review(): {decision}"
            queue.project._edit_parts(entries, cause=cause, code=code)
    return work.done


def answer_view(view: View, decision: str, *, likely_only: bool, answered: bool) -> View:
    """Accept or reject the rows of a view; see `View.accept`. Returns those that were."""
    with view.project._lock:
        queue = queue_of(view, likely_only=likely_only)
        frame, left = queue.frame.with_row_index("place"), {}
        if not answered:
            fresh = pl.Series(queue.decisions() == OPEN)
            left[ANSWERED] = int((~fresh).sum())
            frame = frame.filter(fresh)
        if "suggested" in view.columns:
            bare = pl.col("kind") == PLAIN
            if decision == "accept":
                left[UNSUGGESTED] = frame.filter(bare).height
                frame = frame.filter(~bare)
            else:  # without a suggestion, too, it says that the label is right
                kinds = pl.when(pl.col("kind") == PLAIN).then(pl.lit(CLASS)).otherwise("kind").alias("kind")
                queue = Queue(queue.view, queue.frame.with_columns(kinds), queue.run, queue.bound)
        found = answer(queue, frame["place"].to_numpy().astype(np.int64), decision)
        done = view.at(queue.frame["view_row"].gather(found.places).to_numpy())
    told = Answered(found.places, {why: n for why, n in (left | found.left).items() if n})
    if told.left:
        log.warning("%s left %s of %s rows as they are: %s.", decision, f"{sum(told.left.values()):,}",
                    f"{len(queue):,}", told.why)  # fmt: skip
    return done


class _Work:
    """Works out what an answer changes: the parts of one edit."""

    def __init__(self, queue: Queue, places: Places, code: int, name: str) -> None:
        self.queue, self.project = queue, queue.project
        self.asked = queue.frame[places].with_columns(pl.Series("place", places, dtype=pl.Int64))
        self.code, self.name = code, name
        self.parts: list[Part] = []
        self.done = Answered(np.empty(0, np.int64))
        self._classes: dict[int, str | None] = {}
        """The class that this answer gives to labels of objects: one may be moved by it as well."""

    def entries(self) -> list[Part]:
        if self.code == REMOVED and (self.asked["level"] == ITEM).any():
            raise InputError(
                "An image has no label to delete here.", "Reject it, tag it, or take it out: view.remove()."
            )
        answered = []
        groups = self.asked.group_by("level", "kind", maintain_order=True)
        for (level, kind), part in sorted(groups, key=lambda group: group[0][1] == LOCATION):
            act = {MISSED: self._missed, LOCATION: self._moved}.get(str(kind))
            kept = act(part) if act is not None else self._in_place(part, str(level), str(kind))
            self._verdict(kept, str(level), str(kind))
            answered.append(kept["place"])
        self.done.places = np.sort(pl.concat(answered).to_numpy())
        # All reviews first: they are what the edit is called after.
        return sorted(self.parts, key=lambda p: p["kind"] != "review")

    def _verdict(self, kept: pl.DataFrame, level: str, kind: str) -> None:
        told: dict[str, Any] = {}
        if self.code in (ACCEPTED, CHANGED, REMOVED) and not (kind == MISSED and self.code != REMOVED):
            told = _why(kept, kept["row"])
        self._part(level, "review", kept["row"], {"decision": DECISIONS[self.code], "about": kind, **told})
        other = answered_elsewhere(kind) if self.code == OPEN else None
        said = None if other is None else self._level(level).edits.verdicts.get(other)
        if said is not None:
            rows = kept["row"].filter(pl.Series(said[kept["row"].to_numpy()] != OPEN))
            self._part(level, "review", rows, {"decision": DECISIONS[OPEN], "about": other})

    def _part(self, level: str, kind: str, rows: pl.Series, payload: dict[str, Any] | None = None) -> None:
        if rows.len():
            stored = self._level(level).stored if run_of(level) is not None else level
            self.parts.append(edit_part(stored, kind, rows.to_numpy(), payload))

    def _leave(self, frame: pl.DataFrame, keep: pl.Series, why: str) -> pl.DataFrame:
        """Drop questions that the answer does not fit any more, and count them."""
        left = frame.height - int(keep.sum())
        if left:
            self.done.left[why] = self.done.left.get(why, 0) + left
        return frame.filter(keep)

    # -- a label in its place -------------------------------------------------------------------

    def _in_place(self, part: pl.DataFrame, level: str, kind: str) -> pl.DataFrame:
        """Answer about a class, a label that may be too many, or a row as it is."""
        from .labels_asked import LabelsAsked

        labels = LabelsAsked(self.project, level, kind)
        told = labels.told(part)
        frame = self._leave(told, self._fits(told, kind), STALE)
        deletes = self.code == REMOVED or (self.code == ACCEPTED and kind in (SPURIOUS, DUPLICATE))
        if deletes:
            deleted = frame.filter(_OURS)
            self._part(labels.level, "remove", deleted["label"], labels.links(deleted))
            self._set_class(labels, deleted.with_columns(pl.col("without").alias("wanted")))
            return frame
        self._part(labels.level, "restore", frame.filter(pl.col("dead") & ~pl.col("gone"))["label"])
        if kind != PLAIN or self.code in (CHANGED, OPEN):
            there = frame.filter(~pl.col("gone"))
            self._set_class(labels, there.with_columns(self._wanted(there, kind).alias("wanted")))
        return frame

    def _fits(self, part: pl.DataFrame, kind: str) -> pl.Series:
        """Tell which labels are still what was asked about; to keep one as it is fits always."""
        other = pl.col("without").ne_missing(pl.col("given"))
        if self.code in (REJECTED, OPEN, REMOVED):
            return pl.repeat(value=True, n=part.height, dtype=pl.Boolean, eager=True)
        if self.code == CHANGED or kind == PLAIN:
            stale = pl.col("gone")
        elif kind == CLASS:
            if part["suggested"].null_count():
                raise InputError("A question has no suggestion to accept.", "Give a class, or reject it.")
            stale = pl.col("gone") | pl.col("corrected") | (other & pl.col("without").ne_missing(pl.col("suggested")))
        else:
            stale = ~pl.col("gone") & (pl.col("moved") | (other & ~pl.col("classed")))
        return part.select(~stale).to_series()

    def _wanted(self, frame: pl.DataFrame, kind: str) -> pl.Series:
        """Return the class each label should have after the answer."""
        if self.code == CHANGED:
            return pl.Series([self.name] * frame.height, dtype=pl.String)
        return frame["suggested"] if self.code == ACCEPTED and kind == CLASS else frame["without"]

    def _set_class(self, labels: LabelsAsked, frame: pl.DataFrame) -> None:
        """Give labels the class `wanted`, and note which one they had `without` the answer."""
        if labels.level == OBJECT:
            self._classes |= dict(frame.select("row", "wanted").iter_rows())
        other = pl.col("now").ne_missing(pl.col("wanted")) | pl.col("without").ne_missing(pl.col("wanted"))
        changed = labels.with_answers(frame.filter(other))
        for (name, was), rows in changed.group_by("wanted", "without", maintain_order=True):
            verb, given = ("unlabel", {}) if name is None else ("relabel", {"class_name": name})
            self._part(labels.level, verb, rows["label"], {**given, "was": was, **labels.links(rows)})

    # -- a label in another place ---------------------------------------------------------------

    def _moved(self, part: pl.DataFrame) -> pl.DataFrame:
        from .labels_asked import LabelsAsked

        labels = LabelsAsked(self.project, OBJECT, LOCATION)
        suggested = SuggestedLabels(self.project, str(self.queue.run))
        frame = suggested.made_of(labels.told(part, follow=False))
        there = pl.col("made").is_not_null()
        if self.code == ACCEPTED:
            other = pl.col("without").ne_missing(pl.col("given")) & ~pl.col("classed")
            frame = self._leave(
                frame, frame.select(there | ~(pl.col("gone") | pl.col("moved") | other)).to_series(), STALE
            )
            frame = self._leave(frame, frame["made"].is_not_null() | ~suggested.other_kinds(frame), UNLIKE)
            self._move(frame, suggested)
            return frame
        if self.code in (CHANGED, REMOVED):
            lost = pl.col("gone") if self.code == CHANGED else pl.lit(value=False)
            fits = frame.select(pl.when(there).then(~pl.col("made_on")).otherwise(~lost)).to_series()
            frame = self._leave(frame, fits, STALE)
            back = frame.filter(there)
        else:  # what was deleted, or moved again, since it was moved stays so
            back = frame.filter(there & ~pl.col("made_on") & ~pl.col("made_dead"))
        self._part(OBJECT, "withdraw", back["made"])
        never = frame.filter(~there)
        again = pl.concat([back.with_columns(pl.col("made_class").alias("without")), never.filter(~pl.col("gone"))])
        if self.code == REMOVED:
            self._part(OBJECT, "remove", frame.filter(_OURS)["label"])
            self._set_class(labels, again.with_columns(pl.col("without").alias("wanted")))
            return frame
        self._part(OBJECT, "restore", again.filter(pl.col("dead"))["label"])
        self.parts += handed_on(self._level(OBJECT), back["made"].to_list(), back["label"].to_list())
        self._set_class(labels, again.with_columns(self._wanted(again, LOCATION).alias("wanted")))
        return frame

    def _move(self, frame: pl.DataFrame, suggested: SuggestedLabels) -> None:
        """Put labels of the suggested shape in the place of others; what is told of these is told of them."""
        stands = frame.filter(pl.col("made").is_not_null())
        self._part(OBJECT, "restore", stands.filter(pl.col("made_dead") & ~pl.col("made_on"))["made"])
        frame = frame.filter(pl.col("made").is_null())
        if frame.is_empty():
            return
        rows = suggested.rows(frame, frame["given"], of="label")
        level = self._level(OBJECT)
        self._part(OBJECT, "remove", frame["label"])
        links = dict(zip(map(str, rows.to_list()), frame["label"].to_list(), strict=True))
        self._part(OBJECT, "add", rows, {"replaces": links})
        removed = suggested.removed(rows)
        self._part(OBJECT, "restore", rows.filter(removed))
        wanted = [self._classes.get(r, c) for r, c in frame.select("row", "without").iter_rows()]
        named = pl.DataFrame({"row": rows, "wanted": pl.Series(wanted, dtype=pl.String)})
        other = level.frame["class_name"].gather(rows).ne_missing(named["wanted"])
        for (name,), mine in named.filter(other).group_by("wanted", maintain_order=True):
            verb, given = ("unlabel", {}) if name is None else ("relabel", {"class_name": name})
            self._part(OBJECT, verb, mine["row"], given)
        self.parts += handed_on(level, frame["label"].to_list(), rows.to_list())

    # -- an object without a label --------------------------------------------------------------

    def _missed(self, part: pl.DataFrame) -> pl.DataFrame:
        suggested = SuggestedLabels(self.project, str(self.queue.run))
        frame = suggested.made_of(part)
        there = pl.col("made").is_not_null()
        if self.code not in (ACCEPTED, CHANGED):
            touched = (~pl.col("made_dead") & pl.col("made_touched")) | pl.col("made_on")
            if self.code != REMOVED:
                frame = self._leave(frame, frame.select(~touched.fill_null(value=False)).to_series(), STALE)
            self._part(OBJECT, "withdraw", frame.filter(there)["made"])
            return frame
        names = frame["suggested"] if self.code == ACCEPTED else pl.Series([self.name] * frame.height, dtype=pl.String)
        frame = frame.with_columns(names.alias("wanted"))
        frame = self._leave(frame, ~suggested.doubles(frame), DOUBLE)
        if frame.is_empty():
            return frame
        rows = suggested.rows(frame, frame["wanted"])
        level = self._level(OBJECT)
        frame = frame.with_columns(rows.alias("new"))
        self._part(OBJECT, "add", rows, _why(frame, rows))
        # A label that was deleted by hand since comes back; one that another has taken the place of does not.
        on = pl.col("made_on").fill_null(value=False)
        self._part(OBJECT, "restore", frame.filter(suggested.removed(rows) & ~frame.select(on).to_series())["new"])
        instead = frame.filter(there & (pl.col("made") != pl.col("new")))
        self._part(OBJECT, "withdraw", instead["made"])
        self.parts += handed_on(level, instead["made"].to_list(), instead["new"].to_list())
        return frame

    def _level(self, name: str) -> Level:
        return self.project._level(name)


def _why(part: pl.DataFrame, rows: pl.Series) -> dict[str, Any]:
    """Keep the reasons with the edit, for the list of changes."""
    told = part.select(pl.Series("row", rows), pl.col("score").round(4), "reason")
    return kept_reasons(told.iter_rows())
