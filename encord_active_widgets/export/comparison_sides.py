"""The two sets that a comparison is about, and numbers as its sentences write them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .report_parts import Subject


@dataclass(frozen=True)
class Sides:
    """Two sets of images.

    Attributes
    ----------
    a, b : Subject
    names : (str, str)
    alpha : float
        Up to this p-value a difference is significant.
    seed : int
    """

    a: Subject
    b: Subject
    names: tuple[str, str]
    alpha: float
    seed: int

    @property
    def both(self) -> tuple[Subject, Subject]:
        """Both, in order."""
        return self.a, self.b

    @property
    def one_project(self) -> bool:
        """Whether both are rows of the same project."""
        return self.a.project is self.b.project or self.a.project.path == self.b.project.path


def said_p(p: float) -> str:
    """Return a p-value in words.

    >>> said_p(0.0123), said_p(0.5), said_p(1e-9)
    ('p = 0.012', 'p = 0.5', 'p < 0.0001')
    """
    if math.isnan(p):
        return "p unknown"
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
