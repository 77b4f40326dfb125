"""What this installation and this notebook host can do: `ea.doctor()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from . import installation, machine
from .finding import Finding, verdict
from .host import here, unseen
from .live import judge, live_rows, silent

if TYPE_CHECKING:
    from ..widgets.host_check import HostCheck

__all__ = ["doctor"]

_SCHEMA = {"check": pl.String, "found": pl.String, "ok": pl.Boolean, "remedy": pl.String}
_asked: list[HostCheck] = []
"""The checks that were shown: they answer when their cells have ended."""


def doctor(*, page: bool | None = None) -> pl.DataFrame:
    """Check the installation and the notebook host: one row a check, with what was found and what to do.

    In a notebook a small box below the cell tries the host out: a message of 1 MiB to the kernel and 5 MiB back, bytes
    in both forms, changes of what page and kernel both keep, messages that nobody asked for, and drawing. The box
    shows the verdict as soon as the cell has ended, and the next call has it in its frame.

    Parameters
    ----------
    page : bool, optional
        Whether to try the page. By default where a notebook's kernel runs this.

    Returns
    -------
    pl.DataFrame
        Columns `check`, `found`, `ok`, `remedy`. The first row, `verdict`, sums up. A remedy where `ok` is true is a
        hint.

    Examples
    --------
    >>> found = ea.doctor()
    >>> found.columns
    ['check', 'found', 'ok', 'remedy']
    >>> found.row(0)[0]
    'verdict'
    """
    rows = [*installation.rows(), *machine.rows()]
    asked = _may_have_page() if page is None else page
    facts = _try_page(rows) if asked else None
    host = here("" if facts is None else str(facts.get("host", "")))
    live = live_rows(facts) if facts is not None else silent(host.found) if asked else []
    found = [*rows, host, *live]
    return pl.DataFrame([verdict(host.found, found, answered=facts is not None), *found], schema=_SCHEMA, orient="row")


def _may_have_page() -> bool:
    from ..widgets.host_check import has_page

    return has_page()


def _try_page(rows: list[Finding]) -> dict[str, Any] | None:
    """Show a check; return what the page of the one before it measured, if that has answered.

    This one cannot answer yet: what a widget says first waits until the cell that made it has ended, in kernels with
    several threads too.
    """
    from ..widgets.host_check import HostCheck, display

    known = next((check.facts for check in reversed(_asked) if check.facts is not None), None)
    check = HostCheck(lambda facts: judge(facts, rows), unseen(here().found))
    _asked.append(check)
    display(check)
    return known
