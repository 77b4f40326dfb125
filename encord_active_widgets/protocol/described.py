"""What the page must know to lay itself out: counts, columns, levels, tags, jobs."""

from __future__ import annotations

import json
from typing import Any

from .. import __version__
from ..content.levels import Level
from ..content.state import Snapshot
from ..schema import CLASS_NAME, CLASSIFICATION, ITEM, OBJECT, PREDICTION, run_of
from . import PROTOCOL_VERSION
from .columns import message
from .router import finite
from .shown import Shown

_SPEC_BYTES = 20_000
_TITLES = {ITEM: "Images", OBJECT: "Objects"}
_NOUNS = {ITEM: "image", OBJECT: "object", CLASSIFICATION: "class"}
_MOST_CLASSES = 255
_NUMBER_KEYS = 9


class Described(Shown):
    """An explorer's view with the description that its page gets."""

    def session_message(self) -> dict[str, Any]:
        """Return the trait `_session`."""
        return {"proto": PROTOCOL_VERSION, "id": self.session, "version": __version__}

    def spec(self) -> dict[str, Any]:
        """Return the trait `_spec`: everything the page needs to lay itself out, under 20 kB."""
        snapshot = self.snapshot()
        level = self._level_of(snapshot)
        specs = self._metric_specs()
        columns = [message(c, level, specs) for c in self._columns(level).values()]
        base = self._base_mask(snapshot)
        alive = level.n if level.alive is None else int(level.alive.sum())
        computed = "brightness" in level.metrics
        spec = {
            "n": level.n,
            "alive": alive,
            "revision": self.revise(),
            "level": self._name,
            "levels": self._levels(snapshot),
            "noun": _NOUNS.get(self._name, PREDICTION),
            "classes": self._classes(snapshot),
            "model": None if self.judge is None else self.judge.describe(snapshot),
            "project": {"name": self.project.name, "path": str(self.project.path)},
            "columns": columns,
            "embeddings": self._embeddings(),
            "tags": self.tag_list(level),
            "saved": self.saved(snapshot),
            "base": None if base is None else {"n": int(base.sum())},
            "panels": {name: describe() for name, describe in self.panels.items()},
            "state": "empty" if alive == 0 else "ready" if computed or len(self._sets()) else "raw",
            "job": self._settled_job(),
            "problems": self.project.problems.height,
            "undo": snapshot.undo,
            "redo": snapshot.redo,
        }
        return fitted(finite(spec))

    def _levels(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """List the levels that can be switched to: those that have rows."""
        names = self._switched(snapshot)
        if self._name not in names:
            names.append(self._name)
        out = []
        for name in names:
            run = run_of(name)
            if run is not None and name not in self._views:  # its frame is read when it is looked at
                n = snapshot.runs[run].predictions
            else:
                level = snapshot.levels[name]
                n = level.n if level.alive is None else int(level.alive.sum())
            if n or run is not None or name == self._name:
                out.append(
                    {"id": name, "title": run or _TITLES.get(name, name), "n": n, **({"run": run} if run else {})}
                )
        return out

    def _classes(self, snapshot: Snapshot) -> list[str] | None:
        """List the classes that rows of this level may be given; predictions keep theirs."""
        if run_of(self._name) is not None:
            return None
        level = snapshot.levels[OBJECT if self._name == OBJECT else CLASSIFICATION]
        found = level.frame[CLASS_NAME].drop_nulls().value_counts(sort=True)[CLASS_NAME].to_list()
        named = [n for h in self.project._folder.headers() for n in _header_classes(h)]
        return list(dict.fromkeys([*found, *named]))[:_MOST_CLASSES]

    def tag_list(self, level: Level) -> list[dict[str, Any]]:
        """Return the tags with their counts in this explorer's view."""
        base = self._base_mask(self.snapshot())
        keep = base if base is not None else level.alive
        return [
            {
                "name": name,
                "color": level.edits.colors.get(name),
                "count": int(mask.sum() if keep is None else (mask & keep).sum()),
                "key": i + 1 if i < _NUMBER_KEYS else None,
            }
            for i, (name, mask) in enumerate(level.edits.tags.items())
        ]

    @staticmethod
    def saved(snapshot: Snapshot) -> list[dict[str, Any]]:
        """Return the saved filters."""
        return [{"name": k, "filter": v} for k, v in snapshot.filters.items()]

    def _settled_job(self) -> dict[str, Any] | None:
        """Return the job without what changes by the moment: that travels with `sync`."""
        job = self.job()
        return None if job is None else {**job, "rate": None, "eta": None}

    def job(self) -> dict[str, Any] | None:
        """Return the running or last computation."""
        job = self.project._job
        return None if job is None else job.as_message()


def _header_classes(header: dict[str, Any]) -> list[str]:
    categories = header.get("categories") or []
    names = header.get("names") or {}
    return [
        *(str(c["name"]) for c in categories if isinstance(c, dict) and "name" in c),
        *(str(n) for n in (names.values() if isinstance(names, dict) else [])),
    ]


def fitted(spec: dict[str, Any]) -> dict[str, Any]:
    """Shorten the longest level lists until the message is under 20 kB."""
    while len(json.dumps(spec)) > _SPEC_BYTES:
        listed = [c for c in spec["columns"] if c.get("levels")]
        if len(json.dumps(spec["classes"])) > _SPEC_BYTES // 4:
            spec["classes"] = spec["classes"][: len(spec["classes"]) // 2]
        elif listed:
            worst = max(listed, key=lambda c: len(json.dumps(c["levels"])))
            worst["kind"] = "text"
            worst.pop("levels"), worst.pop("counts")
        elif len(spec["columns"]) > 1:
            spec["columns"].pop()
        else:
            break
    return spec
