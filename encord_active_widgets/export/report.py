"""A report on a project or a view: what is in it, what is wrong with it, and how models do on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from ..errors import InputError
from ..pages.html import counted
from ..schema import CLASS_NAME
from ..view import View
from .report_data import data_section
from .report_doubts import duplicates_section, errors_section
from .report_labels import labels_section
from .report_model import model_section
from .report_parts import Section, Subject
from .sectioned import Sectioned

if TYPE_CHECKING:
    from ..project import Project


class Report(Sectioned):
    """What `p.report()` and `view.report()` give: shown as the last line of a cell, and written as one file.

    It says what was found when it was made. Its pages need no network and run no script.

    Attributes
    ----------
    title : str
        Its heading.
    view : View
        The images that it is about.
    frames : dict of str to pl.DataFrame
        All its tables, whole: `"issues"`, `"metrics"`, `"outliers"`, `"classes"`, `"label_errors"`,
        `"duplicate_groups"`, … and of each run `"<run> summary"`, `"<run> per class"`, `"<run> explained"`, ….

    Examples
    --------
    >>> report = p.report()                        # doctest: +SKIP
    >>> report.summary[1]                          # doctest: +SKIP
    '7.0 % of the images (14 of 200) are darker than a brightness of 0.2.'
    >>> report.to_html("report.html")              # doctest: +SKIP
    """

    def __init__(self, title: str, subject: Subject, sections: list[Section]) -> None:
        super().__init__(title, _about(subject), _headline(subject), sections)
        self.view = subject.items


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
        parts.append(f"{counted(s.objects.height, 'object')} of {_classes(s.objects)}")
    if s.answers.height and not s.objects.height:
        parts.append(f"labels of {_classes(s.answers)}")
    if s.runs:
        parts.append(f"predictions of {counted(len(s.runs), 'run')}")
    rest = f", with {' and '.join(parts)}" if parts else ", without labels"
    of = "" if s.whole else f" of the {len(s.project.items):,} in the project"
    return f"There {'is' if s.n == 1 else 'are'} {counted(s.n, 'image')}{of}{rest}."


def _classes(labels: pl.DataFrame) -> str:
    return counted(labels[CLASS_NAME].drop_nulls().n_unique(), "class")
