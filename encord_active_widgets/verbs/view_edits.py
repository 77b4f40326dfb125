"""The verbs of a view that change its rows, and the answers of a review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError
from ..schema import ITEM, run_of
from ..store.rows import encode_rows

if TYPE_CHECKING:
    from ..view import View
    from ..widgets.explorer import Explorer


class ViewEdits:
    """Edits of the rows of a view; `View` brings the rows."""

    __slots__ = ()

    @property
    def _view(self) -> View:
        return cast("View", self)

    def tag(self, *names: str) -> View:
        """Add tags to these rows; durable when it returns, and undone by `project.undo()`.

        Like all edits it returns the rows it changed, which stay these rows.

        Parameters
        ----------
        *names : str
            One tag or more.

        Returns
        -------
        View
            The same rows, as they were when it was called.

        Examples
        --------
        >>> p.filter(pl.col("brightness") < 0.2).tag("dark")  # doctest: +SKIP
        >>> p.undo()  # doctest: +SKIP
        """
        chosen = self._view._fixed()
        self._view._project._tag(chosen, add=names)
        return chosen

    def untag(self, *names: str) -> View:
        """Take tags off these rows; without names, all of them.

        Parameters
        ----------
        *names : str
            Tags to take off; all of them without a name.

        Returns
        -------
        View
            The same rows, as they were when it was called.
        """
        chosen = self._view._fixed()
        self._view._project._tag(chosen, remove=names or tuple(self._view._state().tag_names))
        return chosen

    def remove(self) -> None:
        """Take these items out of the project. The files stay; `project.undo()` brings them back.

        Raises
        ------
        InputError
            The view is not one of items.
        """
        if self._view._level != ITEM:
            raise InputError(
                f"A view of {self._view._level}s cannot be removed.", "Delete labels with view.delete_label()."
            )
        self._view._project._edit(ITEM, "remove", rows=encode_rows(self._view.rows), code="view.remove()")

    def relabel(self, class_name: str) -> View:
        """Give these labels another class, as an edit that `project.undo()` takes back.

        On a view of items the class of the image itself is meant: an answer that is there is
        changed, an image without one gets one.

        Parameters
        ----------
        class_name : str
            The class they get.

        Returns
        -------
        View
            The same rows, as they were when it was called.

        Raises
        ------
        InputError
            `class_name` is empty.
        """
        chosen = self._view._fixed()
        self._view._project._relabel(chosen, class_name)
        return chosen

    def delete_label(self) -> None:
        """Delete these objects or classifications, as an edit that `project.undo()` takes back.

        Raises
        ------
        InputError
            A view of items or of predictions.
        """
        if run_of(self._view._level) is not None:
            raise InputError("Predictions are not deleted one by one.", "Remove the run: p.remove_predictions(…).")
        if self._view._level == ITEM:
            raise InputError(
                "A view of items holds no labels to delete.", "Write view.objects().delete_label(), or view.remove()."
            )
        self._view._project._edit_rows(self._view, "remove", code="view.delete_label()")

    def note(self, text: str) -> View:
        """Write a note on these rows, shown as the column `note`; an empty text removes it.

        Parameters
        ----------
        text : str
            What to write; an empty text removes the note.

        Returns
        -------
        View
            The same rows, as they were when it was called.
        """
        chosen = self._view._fixed()
        self._view._project._note(chosen, text)
        return chosen

    def review(self, *, likely_only: bool = True, **options: Any) -> Explorer:
        """Open the review of these rows in the notebook cell: one question after the other, by keyboard.

        Rows of `p.label_errors(…)` ask whether the suggestion is right, predictions whether they should become
        labels, others whether the row is right as it is. Enter accepts, X rejects, 1–9 gives another class,
        U takes back, ? shows all keys. Answers are edits in the project's one history, so a review can be left
        and goes on where it was: what was answered is not asked again. See `accept` and `reject` for what they do.

        Parameters
        ----------
        likely_only : bool
            Of rows with a column `likely`, ask only about those that are.
        **options
            As for `Project.explore`.

        Returns
        -------
        Explorer
            The review: the last line of the cell shows it.
        """
        from ..curation.reviewing import queue_of

        return self._view._project._review(queue_of(self._view, likely_only=likely_only), **options)

    def accept(self, *, likely_only: bool = True, answered: bool = False) -> View:
        """Accept the suggestion of each of these rows, as one edit; what `review` does with Enter.

        A class: the label gets the suggested one. A missed object: the prediction becomes a label. A spurious or
        double label: it is deleted. A badly placed one: it gets the predicted shape, and keeps all else. Rows that
        nothing is suggested for by their kind, such as those of `p.items`, are recorded as right. `p.changes()` lists
        what was changed.

        Left as they are, and counted in a warning of the log: rows that were answered before; labels that have another
        class or place than when this view was made, or are gone; polygons and the like where the suggested place is a
        box; missed objects where a label of their class is by now (an IoU of 0.5); rows of `p.label_errors` without a
        suggestion.

        Parameters
        ----------
        likely_only : bool
            Of rows with a column `likely`, accept only those that are.
        answered : bool
            Also accept what was answered before, which takes the earlier answers back. A label that was made of a
            prediction and deleted since comes back.

        Returns
        -------
        View
            The rows that were accepted.

        Raises
        ------
        InputError
            No suggestion can take its label's place (a box that of a polygon), or the run that it is of was replaced
            or removed; nothing is changed then.
        """
        return self._answered("accept", likely_only=likely_only, answered=answered)

    def reject(self, *, likely_only: bool = True, answered: bool = False) -> View:
        """Say of each of these rows that its label is right as it is, as one edit: it is not asked about again.

        The column `reviewed` keeps the answers: "accepted", "rejected", "changed" (another class), "removed". The
        label stays as it is now; only an earlier answer to the same question is taken back (with `answered=True`).

        Parameters
        ----------
        likely_only : bool
            Of rows with a column `likely`, only those that are.
        answered : bool
            Also reject what was answered before; it is left as it is otherwise, and counted in a warning of the log.

        Returns
        -------
        View
            The rows that were rejected.

        Raises
        ------
        InputError
            The run that found them was replaced or removed.
        """
        return self._answered("reject", likely_only=likely_only, answered=answered)

    def _answered(self, decision: str, *, likely_only: bool, answered: bool) -> View:
        from ..curation.answering import answer_view

        return answer_view(self._view, decision, likely_only=likely_only, answered=answered)
