"""The verbs of versions: snapshots, what changed between them, copies of a project and their merging."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self, cast

import polars as pl

if TYPE_CHECKING:
    from ..history.differing import Difference
    from ..project import Project


class VersionVerbs:
    """Versions of a project; `Project` brings the tables."""

    def snapshot(self, name: str, note: str = "") -> None:
        """Keep the project as it is now under a name. Copies nothing and takes well under a second.

        It keeps which version each table has: `p.diff(name)` compares with it, `p.restore(name)` goes back to it,
        `p.at(name)` opens it. Images are not part of it: they are files of yours.

        Parameters
        ----------
        name : str
            Such as `"v1"`.
        note : str
            What it is about.

        Raises
        ------
        InputError
            The name is taken, or is none.

        Examples
        --------
        >>> p.snapshot("v1", note="before the review")  # doctest: +SKIP
        """
        from ..history.versions import take

        take(cast("Project", self), name, note)

    def snapshots(self) -> pl.DataFrame:
        """List the snapshots, oldest first: `name`, `at`, `note`, and how much there was of what.

        Returns
        -------
        pl.DataFrame
            One row a snapshot.
        """
        from ..history.versions import table

        return table(cast("Project", self))

    def delete_snapshot(self, name: str) -> None:
        """Forget a snapshot. Nothing else changes: what it named is part of the history of the tables.

        Parameters
        ----------
        name : str
            Name of the snapshot.
        """
        from ..store.snapshots import delete

        folder = cast("Project", self)._folder
        with folder.lock():
            delete(folder, name)

    def at(self, name: str) -> Self:
        """Open the project as it was at a snapshot: to be looked at, filtered, evaluated, exported; not changed.

        Parameters
        ----------
        name : str
            Name of the snapshot.

        Returns
        -------
        Project
            Read-only.

        Raises
        ------
        UnknownNameError
            There is no such snapshot.

        Examples
        --------
        >>> len(p.at("v1")), len(p)  # doctest: +SKIP
        """
        from ..history.versions import at

        return cast("Self", at(cast("Project", self), name))

    def restore(self, name: str) -> bool:
        """Bring the project back to a snapshot. It is one edit, which `p.undo()` takes back.

        Tags, notes, classes, deleted and removed rows, answers of reviews, saved filters, metrics, splits and runs
        are what they were; images and labels that were added since then are taken out. Image files are not
        touched: one that was changed since then stays changed. Nothing is lost: the log of edits goes on, and
        sets of embeddings that were made since then stay. A column that came with later rows stays too, without values.

        Parameters
        ----------
        name : str
            Name of the snapshot.

        Returns
        -------
        bool
            Whether anything was different.

        Raises
        ------
        UnknownNameError
            There is no such snapshot.
        """
        from ..history.versions import restore

        return restore(cast("Project", self), name)

    def diff(self, before: str, after: str | None = None) -> Difference:
        """Compare two snapshots, or a snapshot with the project as it is now.

        Parameters
        ----------
        before : str
            The name of a snapshot.
        after : str, optional
            That of another one; by default the present.

        Returns
        -------
        Difference
            Its repr says what changed; `.items`, `.labels`, `.tags`, `.notes`, `.reviews`, `.metrics`, `.runs` are
            frames, `.before` and `.after` the two projects; `.explore()` shows the changed images.

        Raises
        ------
        UnknownNameError
            There is no such snapshot.

        Examples
        --------
        >>> p.diff("v1").labels.filter(pl.col("change") == "relabelled")  # doctest: +SKIP
        """
        from ..history.differing import Difference

        return Difference(cast("Project", self), before, after)

    def clone(self, path: str | os.PathLike[str], *, images: str = "reference") -> Self:
        """Copy the whole project into another folder, with its history and snapshots; the two are independent.

        A clone knows that it is one: `p.merge(clone)` takes its edits back. See `View.clone` for a part of it.

        Parameters
        ----------
        path : path
            A folder that does not exist yet, or is empty.
        images : {"reference", "copy", "link"}
            Leave the images where they are, or put copies or links of them into the clone's folder `images`.
            Images that lie in the project folder itself are always copied.

        Returns
        -------
        Project
            The new project, opened.

        Raises
        ------
        InputError
            The folder is not empty, lies in this project, or `images` is none of these.
        """
        from ..history.cloning import clone

        return cast("Self", clone(cast("Project", self), path, images=images))

    def merge(self, other: Project | str | os.PathLike[str]) -> pl.DataFrame:
        """Take over the edits of a clone of this project, whole or of a part; return where they contradict ours.

        What only one side changed since they parted counts. Where both changed the same label, note, answer, split
        or saved filter in different ways, it stays as it was before they parted, and is listed: decide, and relabel.
        `a.merge(b)` and `b.merge(a)` lead to the same. Images and labels that were added to the clone
        come along; metrics, embeddings and runs do not: compute, and add the runs, here. Merging again
        takes what is new since then. One `p.undo()` takes back all edits that came with a merge.

        Parameters
        ----------
        other : Project or path
            The clone: a folder made by `clone`, or a copy of this project's folder made in any other way, as by git.

        Returns
        -------
        pl.DataFrame
            The conflicts: `kind` ("class", "note", "review", "split", "filter", or "deleted": one side deleted a label
            that the other relabelled), `level`, `id`, `item_id`, `uri`, `before` (which is in force), `ours`, `theirs`.

        Raises
        ------
        InputError
            The other one is no clone of this project, or is this project.

        Examples
        --------
        >>> p.items.clone("for_anna.eaw")      # doctest: +SKIP
        >>> conflicts = p.merge("for_anna.eaw")  # doctest: +SKIP
        """
        from ..history.merging import merge

        return merge(cast("Project", self), other)
