"""What reports have in common: sections behind a summary, shown in a cell and written as a page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import polars as pl

from ..charts.offline import OfflineChart
from ..errors import unknown
from ..pages.html import document, inline, made_at, write_page
from .report_page import body
from .report_parts import Charts, Section


class Sectioned:
    """Sections behind a summary. It says what was found when it was made; its pages need no network, no script.

    Attributes
    ----------
    title : str
        Its heading.
    frames : dict of str to pl.DataFrame
        All its tables, whole.
    """

    _file = "report.html"

    def __init__(self, title: str, about: str, headline: str, sections: list[Section]) -> None:
        self.title = title
        self._sections = sections
        self._headline = headline
        self._line = f"{about} · {made_at()}"
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
        """All charts by name, to be shown, changed or saved; needs the extra `charts`."""
        made = {n: make for s in self._sections for b in s.blocks if isinstance(b, Charts) for n, make in b.charts}
        return _Charts(made)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write it as one HTML file: no network, no script, light and dark, fit for print.

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
        return write_page(self._page, path, self._file)

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
        return "\n".join([*lines, f'  (.to_html("{self._file}") writes it as a page, .frames has the tables)'])


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
