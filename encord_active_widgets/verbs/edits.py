"""The verbs that change a project: tags, undo and redo, one history for Python and the explorer."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.levels import Level
from ..content.state import REMOVED_RUN, Snapshot, StateReader
from ..errors import InputError, known_name, whole_number
from ..schema import CHANGE_ID, CLASSIFICATION, ITEM, LABEL, PREDICTION, prediction_level, run_of
from ..store.fold import Edit
from ..store.folder import ProjectFolder
from ..store.parts import Part, edit_part, rows_of
from ..store.rows import RowSet, encode_rows

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View

_NO_ROWS = RowSet("ids", 0, b"")
_LONGEST_TAG = 200
_LONGEST_NOTE = 10_000


class EditVerbs:
    """Edits of a project; `Project` brings the state they work on."""

    _folder: ProjectFolder
    _lock: threading.RLock
    _reader: StateReader

    def _snapshot(self) -> Snapshot:
        raise AssertionError("Project has it")

    def _level(self, name: str) -> Level:
        return self._snapshot().levels[name]

    def undo(self, n: int = 1) -> list[str]:
        """Undo the last `n` edits, whoever made them; return what was undone.

        Parameters
        ----------
        n : int
            How many; all, where there are fewer.

        Raises
        ------
        InputError
            `n` is negative, or no whole number.

        Examples
        --------
        >>> p.undo(2)  # doctest: +SKIP
        """
        return self._step(n, "python", redo=False)

    def redo(self, n: int = 1) -> list[str]:
        """Bring back the last `n` undone edits.

        Parameters
        ----------
        n : int
            How many; all, where there are fewer.

        Returns
        -------
        list of str
            What was brought back, in words.

        Raises
        ------
        InputError
            `n` is negative, or no whole number.
        """
        return self._step(n, "python", redo=True)

    def apply_edits(self, file: str | os.PathLike[str]) -> pl.DataFrame:
        """Take back the tags and notes that were collected in a page of `View.to_html`, as one edit.

        Rows are found by their ids, so the project may have grown or changed since. What is so already changes
        nothing, and a note that was written or changed here in the meantime is kept and listed. Files of several
        readers may be applied one after another; `p.undo()` takes back the last of them.

        Parameters
        ----------
        file : path
            What "Download edits" wrote. A page of a clone fits too: clones share the project's id.

        Returns
        -------
        pl.DataFrame
            What could not be applied: `kind` ("tag", "untag" or "note"), `id`, `value`, `why`. Empty where all was.

        Raises
        ------
        InputError
            The file is of another project, of a newer version, or no such file; nothing is changed then.

        Examples
        --------
        >>> p.apply_edits("review.edits.json")  # doctest: +SKIP
        """
        from ..history.applying import apply_edits

        return apply_edits(cast("Project", self), file)

    def history(self) -> pl.DataFrame:
        """Everything that happened, oldest first: when, what, how many rows, cause, code, whether in force.

        Images, labels and runs that were added stand among the edits; they are none, so `undo` passes over them and
        `in_force` is null.

        Returns
        -------
        pl.DataFrame
            One row a change.
        """
        with self._lock:
            names = {run.stored: prediction_level(run.name) for run in self._snapshot().runs.values()}
            table = self._reader.log.history()
            added = _additions(self._folder.changes.read(), self._folder.runs.read(), table)
        known = pl.col("level").replace(names) if names else pl.col("level")
        gone = pl.col("level").str.starts_with(f"{PREDICTION}-")
        edits = table.with_columns(
            pl.when(gone & ~pl.col("level").is_in(list(names))).then(pl.lit(PREDICTION)).otherwise(known).alias("level")
        )
        return pl.concat([added, edits]).sort("at", nulls_last=True, maintain_order=True)

    def changes(self) -> pl.DataFrame:
        """List what edits changed in the labels: what goes with a corrected export.

        It compares what was read with what is there now: a label relabelled twice is one row, one that was undone
        is none. `p.items.to_coco("corrected.json")` writes the labels as they are now,
        `p.changes().write_csv("changes.csv")` what was done to them.

        Returns
        -------
        pl.DataFrame
            `change` ("relabelled", "removed", "added", "moved"), `level`, `label_id`, `item_id`, `uri`, classes
            `before` and `after`, boxes `x_before` … `h_before` and `x` … `h` (pixels), `score` and `reason` of
            the suggestion that was accepted, `at`, `cause`; oldest first. Images taken out have the level "item".
        """
        from ..history.changes import changes

        return changes(cast("Project", self))

    @property
    def tags(self) -> pl.DataFrame:
        """Tags of the items: `tag`, `count`, `color`."""
        level = self._snapshot().items
        alive = level.alive
        rows = [
            (k, int((v if alive is None else v & alive).sum()), level.edits.colors.get(k))
            for k, v in level.edits.tags.items()
        ]
        return pl.DataFrame(rows, schema={"tag": pl.String, "count": pl.Int64, "color": pl.String}, orient="row")

    def rename_tag(self, old: str, new: str) -> None:
        """Give a tag another name that no tag has yet.

        Parameters
        ----------
        old : str
            A tag that is there.
        new : str
            A name that no tag has.

        Raises
        ------
        InputError
            There is a tag of the new name: merge them.
        """
        self._known_tag(old)
        if new in self._snapshot().items.tag_names:
            raise InputError(f'There is a tag "{new}" already.', f'Use p.merge_tags("{old}", "{new}") to join them.')
        self._edit(
            ITEM, "rename_tag", payload={"from": old, "to": _tag_name(new)}, code=f"p.rename_tag({old!r}, {new!r})"
        )

    def merge_tags(self, old: str, into: str) -> None:
        """Put what carries `old` under the tag `into`, and drop `old`.

        Parameters
        ----------
        old : str
            The tag to drop.
        into : str
            The tag that its rows get.
        """
        self._known_tag(old)
        self._known_tag(into)
        payload = {"from": old, "to": into, "merge": True}
        self._edit(ITEM, "rename_tag", payload=payload, code=f"p.merge_tags({old!r}, {into!r})")

    def delete_tag(self, name: str) -> None:
        """Take a tag off everything.

        Parameters
        ----------
        name : str
            A tag that is there.
        """
        self._known_tag(name)
        self._edit(ITEM, "delete_tag", payload={"name": name}, code=f"p.delete_tag({name!r})")

    def color_tag(self, name: str, color: str | None) -> None:
        """Give a tag a colour, `"#rrggbb"`; None for the automatic one.

        Parameters
        ----------
        name : str
            A tag that is there.
        color : str or None
            `"#rrggbb"`, or None.
        """
        self._known_tag(name)
        self._edit(ITEM, "color_tag", payload={"name": name, "color": color}, code=f"p.color_tag({name!r}, {color!r})")

    def _known_tag(self, name: str, level: str = ITEM) -> None:
        known_name("tag", name, self._level(level).tag_names)

    @staticmethod
    def _valid_tag(name: str) -> str:
        return _tag_name(name)

    def _tag(
        self, view: View, *, add: Sequence[str] = (), remove: Sequence[str] = (), cause: str = "python"
    ) -> Edit | None:
        """Tag and untag the rows of a view as one edit."""
        added = [_tag_name(n) for n in add]
        known = set(self._level(view.level).tag_names)
        if cause == "python":
            for name in remove:
                known_name("tag", name, known)
        removed = [n for n in remove if n in known]
        rows = view.rows
        if rows.size == 0 or not (added or removed):
            return None
        code = f"view.tag({', '.join(map(repr, added))})" if added else f"view.untag({', '.join(map(repr, removed))})"
        payload = {k: v for k, v in (("add", added), ("remove", removed)) if v}
        return self._edit_rows(view, "tag", payload, cause=cause, code=code)

    def _relabel(self, view: View, class_name: Any, *, cause: str = "python") -> Edit | None:
        """Give the labels of a view another class; on items the class of the image."""
        name = class_name.strip() if isinstance(class_name, str) else ""
        if not name:
            raise InputError(f"{class_name!r} cannot be a class.", "Give a text that is not empty.")
        if run_of(view.level) is not None:
            raise InputError(
                "Predictions keep their class.", "Relabel view.items(), or the objects they were matched with."
            )
        content, code = {"class_name": name}, f"view.relabel({name!r})"
        if view.level != ITEM:
            return self._edit_rows(view, "relabel", content, cause=cause, code=code)
        rows = self._answers(view)
        if rows.size == 0:
            return None
        return self._edit(CLASSIFICATION, "relabel", rows=encode_rows(rows), payload=content, cause=cause, code=code)

    def _note(self, view: View, text: Any, *, cause: str = "python") -> Edit | None:
        if not isinstance(text, str) or len(text) > _LONGEST_NOTE:
            raise InputError(f"A note is a text of at most {_LONGEST_NOTE:,} characters.", "Shorten it.")
        return self._edit_rows(view, "note", {"text": text.strip()}, cause=cause, code=f"view.note({text.strip()!r})")

    def _answers(self, view: View) -> NDArray[np.uint32]:  # noqa: ARG002
        """Return one classification an item of a view; items without one get one whose class is open."""
        raise AssertionError("Project has it")

    def _edit_rows(
        self, view: View, kind: str, payload: dict[str, Any] | None = None, *, cause: str = "python", code: str = ""
    ) -> Edit | None:
        """Edit the rows of a view; objects and classifications together are one edit."""
        rows, content = view.rows, dict(payload or {})
        if rows.size == 0:
            return None
        if view.level != LABEL:
            return self._edit(view.level, kind, rows=encode_rows(rows), payload=content, cause=cause, code=code)
        frame = self._level(LABEL).frame[rows].select("level", "level_row")
        by_level = frame.group_by("level", maintain_order=True)
        parts = [edit_part(str(k[0]), kind, part["level_row"].to_numpy(), content) for k, part in by_level]
        return self._edit_parts(parts, cause=cause, code=code)

    def _edit_parts(self, parts: Sequence[Part], *, cause: str = "python", code: str = "") -> Edit:
        """Commit some parts as one edit."""
        first, *others = parts
        payload = {**first["payload"], "also": others} if others else first["payload"]
        return self._edit(first["level"], first["kind"], rows=rows_of(first), payload=payload, cause=cause, code=code)

    def _edit(
        self,
        level: str,
        kind: str,
        *,
        rows: RowSet = _NO_ROWS,
        payload: dict[str, Any] | None = None,
        cause: str = "python",
        code: str = "",
    ) -> Edit:
        with self._lock:
            self._snapshot()
            if run_of(level) is not None:
                level = self._level(level).stored
            edit = self._reader.log.append(level, kind, rows=rows, payload=payload, cause=cause, code=code)
            self._reader.publish()
        return edit

    def _step(self, n: int, cause: str, *, redo: bool) -> list[str]:
        n = whole_number("n", n)
        self._folder.writable()
        with self._lock:
            self._snapshot()
            log = self._reader.log
            edits = log.redo(n, cause=cause) if redo else log.undo(n, cause=cause)
            if any(e.kind == "revert" for e in edits):
                from ..history.versions import swap_tables

                swap_tables(cast("Project", self), edits, redo=redo)
            if edits:
                self._reader.publish()
        return [e.text for e in edits]


def _tag_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{name!r} cannot be a tag.", "Give a text that is not empty.")
    if len(name) > _LONGEST_TAG:
        raise InputError(f"A tag of {len(name)} characters is too long.", f"At most {_LONGEST_TAG} characters.")
    return name.strip()


_OPENED = "view.relabel(…)"
"""The code of a change that only makes room for the answers of an edit."""


def _additions(changes: pl.DataFrame, runs: pl.DataFrame, edits: pl.DataFrame) -> pl.DataFrame:
    """Return what was added as rows of the history."""
    named = runs.select(CHANGE_ID, "run", "kind")
    rows = []
    for row in changes.join(named, on=CHANGE_ID, how="left", maintain_order="left").iter_rows(named=True):
        found = _addition(row)
        if found is not None and row["code"] != _OPENED and row["cause"] != "review":
            level, what, n = found
            rows.append({
                "edit_id": row[CHANGE_ID], "at": row["at"], "level": level, "kind": "add", "what": what, "n": n,
                "in_force": None, "cause": row["cause"], "code": row["code"],
            })  # fmt: skip
    return pl.DataFrame(rows, schema=edits.schema)


def _addition(row: dict[str, Any]) -> tuple[str, str, int] | None:
    """Return the level, the words and the number of what one change added; None for nothing."""
    items, labels = row["items"] or 0, row["labels"] or 0
    if row["run"] is not None:
        level = prediction_level(row["run"])
        if row["kind"] == REMOVED_RUN:
            return level, f'removed run "{row["run"]}"', 0
        return level, f'added run "{row["run"]}" of {_counted(labels, PREDICTION)}', labels
    parts = [_counted(n, noun) for n, noun in ((items, "image"), (labels, LABEL)) if n]
    if not parts:
        return None
    return (ITEM if items else LABEL), f"added {' and '.join(parts)}", items or labels


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
