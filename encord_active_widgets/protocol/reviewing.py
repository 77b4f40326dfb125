"""The review panel: what the page asks of a queue of questions, and how its answers become edits."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..curation.answering import answer
from ..curation.reviewing import MISSED, Queue
from ..errors import InputError
from ..schema import CLASS_NAME, ITEM, NOTE, OBJECT, URI, prediction_level
from .editing import Editing
from .overlays import drawn, skeletons
from .router import Buffers, Handler, Reply, finite
from .service import Service

_CAUSE = "review"
_MOST_ENTRIES = 64
_MOST_ANSWERS = 100_000
_MOST_OTHERS = 200
"""Other labels that are drawn faintly on an image."""

Drawn = dict[str, Any]


class Review:
    """The panel of one queue; see `panel.Panel`."""

    name = "review"

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._service: Service | None = None

    def attach(self, service: Service) -> dict[str, Handler]:
        """Return the requests by name."""
        self._service = service
        self._editing = Editing(service)
        return {
            "review.state": self.state,
            "review.get": self.get,
            "review.thumbs": self.thumbs,
            "review.decide": self.decide,
            "review.undo": lambda *_: self._step(redo=False),
            "review.redo": lambda *_: self._step(redo=True),
        }

    def describe(self) -> dict[str, Any]:
        """Return what the page needs at first."""
        queue = self._queue
        title = f"Label errors found by {queue.run}" if queue.run and queue.view.level == ITEM else "Review"
        return {
            "id": queue.id,
            "title": title,
            "level": queue.view.level,
            "total": len(queue),
            "done": self._done(),
            "kinds": queue.kinds,
            "decidable": queue.view.level != ITEM or any(k not in ("", "class") for k in queue.kinds),
            "open": True,
        }

    def _done(self) -> int:
        return int((self._queue.decisions() > 0).sum())

    # -- requests -------------------------------------------------------------------------------

    def state(self, _: dict[str, Any], __: Buffers) -> Reply:
        """Send what was answered so far, and what kind each question is of."""
        queue, codes = self._queue, self._queue.decisions()
        kinds = np.zeros(len(queue), np.uint8)
        for _level, kind, places in queue.groups:
            kinds[places] = queue.kinds.index(kind)
        head = {"id": queue.id, "total": len(queue), "done": int((codes > 0).sum()), "kinds": queue.kinds}
        return Reply(head, [codes.tobytes(), kinds.tobytes()])

    def get(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Send some questions with all that is drawn and said of them."""
        self._queue.check()
        at = max(int(content.get("at") or 0), 0)
        count = min(max(int(content.get("count") or 1), 0), _MOST_ENTRIES)
        part = self._queue.frame.slice(at, count)
        service = self._attached()
        snapshot = service.snapshot()
        shown = snapshot.levels[self._queue.view.level]
        items, objects = snapshot.items, snapshot.levels[OBJECT]
        shapes = _Shapes()
        labels = shapes.take(*drawn(objects, objects.frame[part["label_row"].drop_nulls()]))
        suggested: dict[int, Drawn] = {}
        if self._queue.run and part["prediction_row"].null_count() < part.height:
            found = snapshot.levels[prediction_level(self._queue.run)]
            suggested = shapes.take(*drawn(found, found.frame[part["prediction_row"].drop_nulls()]))
        others = self._others(part["item_row"], shapes)
        records = shown.frame[part["shown_row"]].select(
            shown.key, *(c for c in (URI, CLASS_NAME, NOTE) if c in shown.frame.columns)
        )
        sizes = items.frame[part["item_row"]].select("width", "height")
        codes = self._queue.decisions()
        entries = []
        for k, (asked, record, size) in enumerate(
            zip(part.iter_rows(named=True), records.iter_rows(named=True), sizes.iter_rows(named=True), strict=True)
        ):
            label = labels.get(asked["label_row"])
            uri = str(record[URI] or "")
            entries.append(
                {
                    "i": at + k,
                    "row": asked["shown_row"],
                    "id": record[shown.key],
                    "name": PurePath(uri.rsplit("/", 1)[-1]).name or uri,
                    "uri": uri,
                    **size,
                    **{c: asked[c] for c in ("kind", "given", "suggested", "score")},
                    "reason": asked["reason"] or "",
                    "decision": int(codes[at + k]),
                    "class_name": label[CLASS_NAME] if label else record.get(CLASS_NAME),
                    "tags": [t for t, m in shown.edits.tags.items() if m[asked["shown_row"]]],
                    "note": record.get(NOTE),
                    "label": label,
                    "suggestion": suggested.get(asked["prediction_row"]),
                    "others": [o for o in others.get(asked["item_row"], []) if o["row"] != asked["label_row"]],
                }
            )
        head = {"id": self._queue.id, "entries": entries, "skeletons": skeletons(service.project)}
        return Reply(finite(head), shapes.buffers())

    def _others(self, item_rows: pl.Series, shapes: _Shapes) -> dict[int, list[Drawn]]:
        """Return the labels that are on these images now."""
        objects = self._attached().snapshot().levels[OBJECT]
        if objects.item_rows is None or not objects.n:
            return {}
        wanted = item_rows.unique()
        mask = objects.item_rows.is_in(wanted.cast(objects.item_rows.dtype).implode()).to_numpy()
        rows = np.flatnonzero(mask if objects.alive is None else mask & objects.alive)
        owners = objects.item_rows.gather(rows).to_numpy()
        order = np.argsort(owners, kind="stable")
        rows, owners = rows[order], owners[order]
        start = np.searchsorted(owners, owners)
        few = np.arange(rows.size) - start < _MOST_OTHERS
        found = shapes.take(*drawn(objects, objects.frame[rows[few]]))
        out: dict[int, list[Drawn]] = {}
        for row, owner in zip(rows[few].tolist(), owners[few].tolist(), strict=True):
            out.setdefault(owner, []).append(found[row])
        return out

    def thumbs(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Send a small picture of each question: of the object asked about, else of the image."""
        self._queue.check()
        places = self._places(content.get("is"))[:_MOST_ENTRIES]
        service = self._attached()
        snapshot, pictures = service.snapshot(), service._pictures
        part = self._queue.frame[places]
        blobs: list[bytes] = [b""] * part.height
        shapes: list[Any] = [None] * part.height
        kinds, labels = part["kind"].to_list(), part["label_row"].to_list()
        groups: dict[str, list[int]] = {}
        for k, kind in enumerate(kinds):
            run = prediction_level(str(self._queue.run))
            groups.setdefault(run if kind == MISSED else ITEM if labels[k] is None else OBJECT, []).append(k)
        for name, mine in groups.items():
            column = {ITEM: "item_row", OBJECT: "label_row"}.get(name, "prediction_row")
            rows = part[column].gather(mine).to_numpy().astype(np.uint32)
            if name == ITEM:
                made: list[Any] = [None] * len(mine)
                small = pictures.thumbnails(snapshot.items, snapshot.items, rows)
            else:
                small, made = pictures.crops(snapshot.levels[name], snapshot.items, rows)
            for k, blob, shape in zip(mine, small, made, strict=True):
                blobs[k], shapes[k] = blob, shape
        offsets = np.concatenate([[0], np.cumsum([len(b) for b in blobs])]).astype("<u4")
        head = {"gen": content.get("gen"), "mime": "image/jpeg", "shapes": shapes}
        return Reply(head, [offsets.tobytes(), b"".join(blobs)])

    def decide(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Answer questions; the reply is sent when the edit is on the disk."""
        places = self._places(content.get("is"))
        done = answer(self._queue, places, str(content.get("decision", "")), content.get("class_name"), cause=_CAUSE)
        if done.left and not done.places.size:
            raise InputError(f"Nothing was answered: {done.why}.", "Look at it as it is now.")
        codes = self._queue.decisions()
        head = self._editing._edited().head
        if done.left:
            head["text"] = f"left as they are: {done.why}"
        return Reply({**head, "done": int((codes > 0).sum()), "decisions": codes[places].tolist()})

    def _step(self, *, redo: bool) -> Reply:
        before = self._queue.decisions()
        head = self._editing._undo(redo=redo).head
        after = self._queue.decisions()
        moved = np.flatnonzero(before != after)
        return Reply({**head, "at": int(moved[0]) if moved.size else None, "done": int((after > 0).sum())})

    def _places(self, given: Any) -> NDArray[np.int64]:
        if not isinstance(given, list) or len(given) > _MOST_ANSWERS or not all(_is_place(i) for i in given):
            raise InputError(f"{given!r:.40} are no questions.", 'Send "is" as a list of their numbers.')
        places = np.asarray(given, np.int64)
        if places.size and int(places.max()) >= len(self._queue):
            raise InputError(f"There is no question {int(places.max())}.", f"There are {len(self._queue):,}.")
        return places

    def _attached(self) -> Service:
        assert self._service is not None, "the explorer attaches its panels"
        return self._service


class _Shapes:
    """Puts what is drawn of several levels into the buffers of one reply."""

    def __init__(self) -> None:
        self._floats = 0
        self._coordinates: list[bytes] = []
        self._masks: list[bytes] = []

    def take(self, objects: list[Drawn], buffers: list[bytes]) -> dict[int, Drawn]:
        """Return the objects by row, pointing into the common buffers."""
        for one in objects:
            one["at"] += self._floats
            if one["mask"] is not None:
                one["mask"]["b"] += len(self._masks)
        self._coordinates.append(buffers[0])
        self._floats += len(buffers[0]) // 4
        self._masks += buffers[1:]
        return {one["row"]: one for one in objects}

    def buffers(self) -> list[bytes]:
        """Return the coordinates, then the runs of masks."""
        return [b"".join(self._coordinates), *self._masks]


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
