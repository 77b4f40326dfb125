"""Duplicates as stacks: the groups at any threshold, and what is done with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..computing.duplicate_stage import pairs_of
from ..content.duplicate_pairs import pairs_table
from ..curation.duplicates import KEEP_RULES, Duplicates, say_apart, split_column
from ..errors import InputError, unknown
from ..metrics.duplicate_pairs import CONTRADICTION, DISTANCE_THRESHOLD, KINDS
from ..schema import DUPLICATE_GROUP, ITEM, ORDINAL
from ..store.rows import decode_rows, encode_rows
from ..view import View
from .router import Buffers, Handler, Reply
from .service import Service

if TYPE_CHECKING:
    from ..metrics.duplicate_pairs import DuplicatePairs

_CAUSE = "explorer"
_MOST_THRESHOLD = CONTRADICTION * DISTANCE_THRESHOLD
_BINS = 50
_MOST_SPLITS = 254
_NO_SPLIT = 255
_TITLES = {"sharpest": "sharpest", "largest": "largest", "most_labelled": "most labelled", "first": "first added"}


class Stacks:
    """The panel of `p.duplicates().explore()`, and, closed at first, of every explorer of images.

    Parameters
    ----------
    view : View
        The images whose duplicates are shown.
    threshold, rule
        Where the page begins; see `Duplicates`.
    open_ : bool
        Whether the page begins with the stacks.
    """

    name = "stacks"

    def __init__(
        self, view: View, threshold: float = DISTANCE_THRESHOLD, rule: str = "sharpest", *, open_: bool = False
    ) -> None:
        self._project = view.project
        self._view = view if view._ops else None
        self._threshold = threshold
        self._rule = rule
        self._open = open_
        self._most = max(_MOST_THRESHOLD, self._threshold)
        self._pairs: tuple[int, DuplicatePairs] | None = None
        self._service: Service | None = None

    def attach(self, service: Service) -> dict[str, Handler]:
        """Return the requests by name."""
        self._service = service
        return {"stacks.get": self.get, "stacks.edit": self.edit}

    def describe(self) -> dict[str, Any]:
        """Return where the page begins."""
        return {
            "open": self._open,
            "threshold": self._threshold,
            "most": self._most,
            "rule": self._rule,
            "rules": [{"id": rule, "title": _TITLES[rule]} for rule in KEEP_RULES],
            "kinds": list(KINDS),
        }

    def get(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Send all stacks at a threshold.

        Buffers: where each group begins (u32, and the end), rows (u32), the place of the kept one in each
        group (u32), distances (f32, NaN unknown), what the rule looks at (f32, NaN missing), kinds (u8),
        splits (u8, 255 none).
        """
        threshold, rule = content.get("threshold", self._threshold), str(content.get("rule", self._rule))
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):
            raise InputError(f"The threshold {threshold!r:.40} is no number.", "Give a number from 0 to 2.")
        if rule not in KEEP_RULES:
            raise unknown("rule", rule, KEEP_RULES)
        found = Duplicates(self._project, threshold, self._view, pairs=self._known())
        self._threshold, self._rule = found.threshold, rule  # where a page that is reloaded begins
        frame = found.df
        starts = np.flatnonzero(np.diff(frame[DUPLICATE_GROUP].to_numpy(), prepend=-1))
        rows = frame[ORDINAL].to_numpy().astype("<u4")
        kept = np.flatnonzero(np.isin(rows, found.kept_rows(rule)))  # one a group, in their order
        looked_at = found.looked_at(rule)
        split = split_column(frame)
        names: list[str] = []
        codes = np.full(len(rows), _NO_SPLIT, np.uint8)
        if split is not None:
            texts = frame[split].cast(pl.String)
            names = texts.drop_nulls().unique().sort().to_list()[:_MOST_SPLITS]
            places = {name: i for i, name in enumerate(names)}
            codes = np.array([places.get(t, _NO_SPLIT) for t in texts], np.uint8)
        kinds = np.array([KINDS.index(k) for k in frame["kind"]], np.uint8)
        return Reply(
            {
                "threshold": threshold,
                "rule": rule,
                "groups": len(starts),
                "items": len(rows),
                "leaks": int(found.groups["leak"].sum()),
                "splits": names,
                "column": next(iter(KEEP_RULES[rule]), None),
                "joins": self._joins(),
            },
            [
                np.append(starts, len(rows)).astype("<u4").tobytes(),
                rows.tobytes(),
                (kept - starts).astype("<u4").tobytes(),
                frame["distance"].fill_null(float("nan")).to_numpy().astype("<f4").tobytes(),
                looked_at.astype("<f4").tobytes(),
                kinds.tobytes(),
                codes.tobytes(),
            ],
        )

    def edit(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Tag or remove rows, or say that they are no duplicates of each other; one edit."""
        service, what = self._at_items(), content.get("what")
        rows = decode_rows(str(content.get("enc", "ids")), bytes(buffers[0]) if buffers else b"")
        view = View(self._project, ITEM).at(rows[rows < service.level.n])
        if what == "tag":
            self._project._tag(view, add=[str(content.get("tag", ""))], cause=_CAUSE)
        elif what == "remove" and len(view):
            self._project._edit(ITEM, "remove", rows=encode_rows(view.rows), cause=_CAUSE, code="view.remove()")
        elif what == "not_duplicates":
            say_apart(self._project, view, cause=_CAUSE)
        elif what != "remove":
            raise InputError(f"{what!r:.40} cannot be done with stacks.", 'Send "tag", "remove" or "not_duplicates".')
        snapshot = service.snapshot()
        return Reply(
            {
                "revision": service.revise(),
                "saved": True,
                "tags": service.tag_list(snapshot.items),
                "undo": snapshot.undo,
                "redo": snapshot.redo,
            }
        )

    def _at_items(self) -> Service:
        assert self._service is not None
        if self._service.name != ITEM:
            raise InputError("Stacks are of images.", "Switch to images.")
        return self._service

    def _known(self) -> DuplicatePairs:
        """Return the pairs, read again only when another computation wrote them."""
        stamp = pairs_table(self._project._folder).stamp()
        if self._pairs is None or self._pairs[0] != stamp:
            pairs = pairs_of(self._project)
            self._pairs = (pairs_table(self._project._folder).stamp(), pairs)
        return self._pairs[1]

    def _joins(self) -> list[int]:
        """Count the pairs that begin to count in each fiftieth of the slider."""
        edges = np.linspace(0, self._most, _BINS + 1)
        counts: list[int] = np.histogram(self._known().threshold, edges)[0].tolist()
        return counts
