"""A report on a project or a view: what is in it, what is wrong with it, and how models do on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ..errors import InputError, unknown
from ..offline_chart import OfflineChart
from ..pages import counted, document, inline, made_at, write_page
from ..view import View
from .report_data import data_section
from .report_doubts import duplicates_section, errors_section
from .report_labels import labels_section
from .report_model import model_section
from .report_page import body
from .report_parts import Charts, Section, Subject

if TYPE_CHECKING:
    from ..project import Project


class Report:
    """What `p.report()` and `view.report()` give: shown as the last line of a cell, and written as one file.

    It says what was found when it was made. Its pages need no network and run no script.

    Attributes
    ----------
    title : str
        Its heading.
    view : View
        The images that it is about.
    summary : list of str
        The sentences at the top.
    frames : dict of str to pl.DataFrame
        All its tables, whole: `"issues"`, `"metrics"`, `"outliers"`, `"classes"`, `"label_errors"`,
        `"duplicate_groups"`, … and of each run `"<run> summary"`, `"<run> per class"`, `"<run> explained"`, ….
    charts : mapping of str to OfflineChart
        All its charts by name, to be shown, changed or saved; needs the extra `charts`.

    Examples
    --------
    >>> report = p.report()                        # doctest: +SKIP
    >>> report.summary[1]                          # doctest: +SKIP
    '7.0 % of the images (14 of 200) are darker than a brightness of 0.2.'
    >>> report.to_html("report.html")              # doctest: +SKIP
    """

    def __init__(self, title: str, subject: Subject, sections: list[Section]) -> None:
        self.title = title
        self.view = subject.items
        self._sections = sections
        self._headline = _headline(subject)
        self._line = f"{_about(subject)} · {made_at()}"
        self.frames: dict[str, pl.DataFrame] = {k: v for s in sections for k, v in s.frames.items()}

    @property
    def summary(self) -> list[str]:
        """The sentences at the top."""
        return [self._headline, *(text for s in self._sections for text, _ in s.sentences)]

    @property
    def missing(self) -> list[str]:
        """What could not be said, and which call makes it."""
        return [note for s in self._sections for note in s.notes]

    @cached_property
    def charts(self) -> Mapping[str, OfflineChart]:
        """All charts by name."""
        made = {n: make for s in self._sections for b in s.blocks if isinstance(b, Charts) for n, make in b.charts}
        return _Charts(made)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one HTML file: no network, no script, light and dark, fit for print.

        Parameters
        ----------
        path : path
            The file to write; its folder is made.

        Returns
        -------
        Path
            The file that was written.

        Raises
        ------
        InputError
            The path is a folder, or cannot be written.
        """
        return write_page(self._page, path, "report.html")

    @cached_property
    def _page(self) -> str:
        return document(self.title, body(self.title, self._line, self._headline, self._sections, cell=False))

    @cached_property
    def _cell(self) -> str:
        return inline(body(self.title, self._line, self._headline, self._sections, cell=True))

    def _repr_html_(self) -> str:
        return self._cell

    def __repr__(self) -> str:
        lines = [self.title, *(f"  - {text}" for text in self.summary)]
        return "\n".join([*lines, '  (.to_html("report.html") writes it as a page, .frames has the tables)'])


class _Charts(Mapping[str, OfflineChart]):
    """Charts that are made when they are asked for."""

    def __init__(self, makers: Mapping[str, Callable[[], OfflineChart]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> OfflineChart:
        if name not in self._makers:
            raise unknown("chart", name, self._makers)
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return f"Charts: {', '.join(self._makers) or 'none'}"


def make_report(view: View, run: str | None = None, title: str | None = None) -> Report:
    """Make a report on a view; see `View.report`."""
    if title is not None and not isinstance(title, str):
        raise InputError(f"title={title!r:.80} is no text.", 'Give one, such as title="Before cleaning".')
    subject = Subject(view, run)
    model, evaluated = model_section(subject)
    sections = [
        data_section(subject), labels_section(subject), model, errors_section(subject, evaluated),
        duplicates_section(subject),
    ]  # fmt: skip
    return Report(title or f"Report on {subject.project.name}", subject, sections)


def _about(s: Subject) -> str:
    """Say what the report is about, in one line."""
    project: Project = s.project
    if s.whole:
        return project.name
    what = "" if s.given.level == "item" else f", on which the view's {len(s.given):,} {s.given.level}s lie"
    return f"{project.name}: {s.n:,} of {len(project.items):,} images{what}"


def _headline(s: Subject) -> str:
    """Say how much there is."""
    if not s.n:
        what = "project" if not len(s.project.items) else "view"
        return f"There are no images in this {what}: there is nothing to report."
    parts = []
    if s.objects.height:
        parts.append(f"{counted(s.objects.height, 'object')} of {counted(s.objects['class_name'].n_unique(), 'class')}")
    if s.answers.height and not s.objects.height:
        parts.append(f"labels of {counted(s.answers['class_name'].n_unique(), 'class')}")
    if s.runs:
        parts.append(f"predictions of {counted(len(s.runs), 'run')}")
    rest = f", with {' and '.join(parts)}" if parts else ", without labels"
    of = "" if s.whole else f" of the {len(s.project.items):,} in the project"
    return f"There {'is' if s.n == 1 else 'are'} {counted(s.n, 'image')}{of}{rest}."
