"""One row of the diagnosis, and the sentence over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

PLAIN = "plain Python"


class Finding(NamedTuple):
    """What was found, whether it is well, and what to do; a remedy where it is well is a hint."""

    check: str
    found: str
    ok: bool = True
    remedy: str = ""


def verdict(host: str, rows: Sequence[Finding], *, answered: bool) -> Finding:
    """Sum up the findings in a sentence.

    >>> verdict("Colab", [Finding("anywidget", "missing", False)], answered=True).found
    '1 problem in Colab: anywidget.'
    """
    bad = [row.check for row in rows if not row.ok]
    if bad:
        problems = f"{len(bad)} problem{'s' if len(bad) > 1 else ''}"
        return Finding("verdict", f"{problems} in {host}: {', '.join(bad)}.", False)
    if answered:
        return Finding("verdict", f"Everything works in {host}, explorers too.")
    if host == PLAIN:
        return Finding("verdict", "All is well. Explorers need a notebook: this is plain Python.")
    return Finding("verdict", f"All is well in {host} as far as Python can tell; the page has not answered yet.")
