"""What an explorer changes in a project: tags, undo, saved filters, jobs. Each goes through the project's own verbs."""

from __future__ import annotations

import json
from typing import Any

from ..errors import EawError, InputError
from ..schema import ITEM
from ..store.rows import decode_rows
from ..view import View
from .router import Buffers, Handler, Reply
from .service import Service

_CAUSE = "explorer"


class Editing:
    """The changing requests of one explorer; the reply is sent when the edit is on the disk."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._project = service.project

    def handlers(self) -> dict[str, Handler]:
        """Return the requests by name."""
        return {
            "tags.apply": self.tags_apply,
            "tags.create": self.tags_create,
            "tags.rename": self.tags_rename,
            "tags.delete": self.tags_delete,
            "tags.color": self.tags_color,
            "labels.relabel": self.labels_relabel,
            "labels.delete": self.labels_delete,
            "notes.set": self.notes_set,
            "edits.undo": lambda *_: self._undo(redo=False),
            "edits.redo": lambda *_: self._undo(redo=True),
            "filters.save": self.filters_save,
            "filters.delete": self.filters_delete,
            "job.start": self.job_start,
            "job.cancel": self.job_cancel,
        }

    def tags_apply(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Tag and untag some rows; the reply is sent when the edit is on the disk."""
        view = self._rows(content, buffers)
        self._project._tag(view, add=_names(content, "add"), remove=_names(content, "remove"), cause=_CAUSE)
        return self._edited()

    def _rows(self, content: dict[str, Any], buffers: Buffers) -> View:
        """Return the rows a request speaks of, as a view of the level that is shown."""
        data = bytes(buffers[0]) if buffers else b""
        rows = decode_rows(str(content.get("enc", "ids")), data)
        return View(self._project, self._service.name).at(rows[rows < self._service.level.n])

    def labels_relabel(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Give labels another class; on images the class of the image."""
        self._project._relabel(self._rows(content, buffers), str(content.get("class_name", "")), cause=_CAUSE)
        return self._edited()

    def labels_delete(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Delete labels."""
        view = self._rows(content, buffers)
        if view.level == ITEM:
            raise InputError("Images cannot be deleted here.", "Switch to objects to delete labels.")
        self._project._edit_rows(view, "remove", cause=_CAUSE, code="view.delete_label()")
        return self._edited()

    def notes_set(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        """Write a note on rows; an empty text removes it."""
        self._project._note(self._rows(content, buffers), str(content.get("text", "")), cause=_CAUSE)
        return self._edited()

    def tags_create(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Make a tag that nothing carries yet."""
        name = str(content.get("name", "")).strip()
        if name not in self._service.level.tag_names:
            self._edit("create_tag", {"name": self._project._valid_tag(name)})
        return self._edited()

    def tags_rename(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Rename a tag, or merge it into another."""
        old, new = str(content.get("from", "")), str(content.get("to", "")).strip()
        self._project._known_tag(old, self._service.name)
        exists = new in self._service.level.tag_names
        if exists and not content.get("merge"):
            raise InputError(f'There is a tag "{new}" already.', "Merge the two instead.")
        self._edit(
            "rename_tag", {"from": old, "to": self._project._valid_tag(new), **({"merge": True} if exists else {})}
        )
        return self._edited()

    def tags_delete(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Take a tag off everything."""
        self._project._known_tag(str(content.get("name", "")), self._service.name)
        self._edit("delete_tag", {"name": content["name"]})
        return self._edited()

    def tags_color(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Give a tag a colour."""
        self._project._known_tag(str(content.get("name", "")), self._service.name)
        color = content.get("color")
        if color is not None and not _is_color(color):
            raise InputError(f"{color!r:.40} is no colour.", 'Give "#rrggbb".')
        self._edit("color_tag", {"name": content["name"], "color": color})
        return self._edited()

    def _edit(self, kind: str, payload: dict[str, Any]) -> None:
        self._project._edit(self._service.name, kind, payload=payload, cause=_CAUSE)

    def _undo(self, *, redo: bool) -> Reply:
        texts = self._project._step(1, _CAUSE, redo=redo)
        text = f"{'redone' if redo else 'undone'}: {texts[0]}" if texts else f"nothing to {'redo' if redo else 'undo'}"
        head = self._edited().head
        return Reply({**head, "text": text})

    def _edited(self) -> Reply:
        snapshot = self._service.snapshot()
        return Reply(
            {
                "revision": self._service.revise(),
                "saved": True,
                "tags": self._service.tag_list(snapshot.levels[self._service.name]),
                "undo": snapshot.undo,
                "redo": snapshot.redo,
            }
        )

    # -- filters and jobs -------------------------------------------------------------------------

    def filters_save(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Keep a filter under a name, in the project."""
        name, spec = str(content.get("name", "")).strip(), content.get("spec") or {"all": []}
        if not name:
            raise InputError("A saved filter needs a name.", "Type one.")
        if '"expr"' in json.dumps(spec):
            raise InputError("A Python expression cannot be saved as a filter.", "Keep it in your notebook.")
        self._service.evaluate(spec)
        self._edit("save_filter", {"name": name, "filter": spec})
        return Reply({"saved": self._service.saved(self._service.snapshot())})

    def filters_delete(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Forget a saved filter."""
        self._edit("delete_filter", {"name": str(content.get("name", ""))})
        return Reply({"saved": self._service.saved(self._service.snapshot())})

    def job_start(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Start computing what is missing, in the background."""
        if content.get("kind") != "compute":
            raise EawError(f'Unknown job "{content.get("kind")}".', 'Start "compute".')
        self._project.compute(background=True)
        return Reply({"job": self._service.job()})

    def job_cancel(self, content: dict[str, Any], _: Buffers) -> Reply:
        """Stop a job; what is finished is kept."""
        job = self._project._job
        if job is not None and job.id == content.get("id", job.id):
            job.cancel()
        return Reply({"job": self._service.job()})


def _names(content: dict[str, Any], key: str) -> list[Any]:
    names = content.get(key) or []
    if not isinstance(names, list):
        raise InputError(f"{names!r:.40} is not a list of tags.", f'Send "{key}" as a list.')
    return names


def _is_color(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) == 7
        and value[0] == "#"
        and all(c in "0123456789abcdefABCDEF" for c in value[1:])
    )
