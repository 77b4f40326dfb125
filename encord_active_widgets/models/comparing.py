"""Two runs side by side: differences by class, and the labels only one of them finds."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ..errors import InputError
from ..schema import CLASS_NAME, ORDINAL
from ..view import View
from .evaluated import marked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .evaluated import Evaluation

_RATES = ("ap", "ap50", "ar", "precision", "recall", "f1")


class Comparison:
    """What `p.compare("a", "b")` gives: every difference is b less a.

    Above 0 means that b is better; of FN rate, ECE and log loss, of which 0 is best, that a is.

    Attributes
    ----------
    a, b : Evaluation
    """

    def __init__(self, a: Evaluation, b: Evaluation) -> None:
        if a.kind != b.kind:
            raise InputError(f'"{a.run}" is a {a.kind}, "{b.run}" a {b.kind}.', "Compare two runs of the same kind.")
        self.a, self.b = a, b

    @property
    def summary(self) -> pl.DataFrame:
        """`metric`, `a`, `b`, `difference`."""
        pair = self.a.summary.rename({"value": "a"}).join(
            self.b.summary.rename({"value": "b"}), on="metric", how="inner", maintain_order="left"
        )
        return pair.with_columns((pl.col("b") - pl.col("a")).alias("difference"))

    @property
    def per_class(self) -> pl.DataFrame:
        """One row a class: each score of a and of b, and the difference; most changed first.

        Without `class_aware` the first row is "all classes", and the classes have a recall alone.
        """
        rates = [c for c in _RATES if c in self.a.per_class.columns]
        left = self.a.per_class.select(CLASS_NAME, "labels", *rates)
        right = self.b.per_class.select(CLASS_NAME, pl.col("labels").alias("labels_b"), *rates)
        both = left.join(right, on=CLASS_NAME, how="full", coalesce=True, suffix="_b")
        shown = both.select(
            CLASS_NAME,
            pl.coalesce("labels", "labels_b"),
            *(
                expression
                for c in rates
                for expression in (
                    pl.col(c).alias(f"{c}_a"),
                    pl.col(f"{c}_b"),
                    (pl.col(f"{c}_b") - pl.col(c)).alias(f"{c}_difference"),
                )
            ),
        )
        change = [pl.col(f"{c}_difference").abs() for c in (rates[0], "recall")]
        return shown.sort(*change, descending=True, nulls_last=True)

    # -- labels -----------------------------------------------------------------------------

    @cached_property
    def labels(self) -> View:
        """All labels, with the columns `in_a` and `in_b`: the outcome (TP or FN) in each."""
        a, b = (e.labels for e in (self.a, self.b))
        frames = [v.df.select(ORDINAL, pl.col("outcome").alias(name)) for v, name in ((a, "in_a"), (b, "in_b"))]
        both = frames[0].join(frames[1], on=ORDINAL, how="inner", maintain_order="left")
        return View(a.project, a.level, View(a.project, a.level).at(both[ORDINAL].to_numpy())._ops, both)

    @property
    def only_a(self) -> View:
        """The labels that a finds and b misses."""
        return self.labels.filter(pl.col("in_a") == "TP", pl.col("in_b") == "FN")

    @property
    def only_b(self) -> View:
        """The labels that b finds and a misses."""
        return self.labels.filter(pl.col("in_b") == "TP", pl.col("in_a") == "FN")

    @property
    def both(self) -> View:
        """The labels that both find."""
        return self.labels.filter(pl.col("in_a") == "TP", pl.col("in_b") == "TP")

    @property
    def neither(self) -> View:
        """The labels that both miss: hard ones, or wrong ones."""
        return self.labels.filter(pl.col("in_a") == "FN", pl.col("in_b") == "FN")

    @property
    def p_value(self) -> float | None:
        """How likely a difference at least so large would be if both found labels equally well.

        The exact McNemar test (two-sided) on the labels that only one of them finds; None where there are none.
        """
        return mcnemar(len(self.only_a), len(self.only_b))

    @property
    def found(self) -> pl.DataFrame:
        """How many labels each finds, by class: `class_name`, `both`, `only_a`, `only_b`, `neither`."""
        table = self.labels.df.filter(pl.col("in_a") != "ignored")
        a, b = pl.col("in_a") == "TP", pl.col("in_b") == "TP"
        counts = {"both": a & b, "only_a": a & ~b, "only_b": b & ~a, "neither": ~a & ~b}
        return (
            table.group_by(CLASS_NAME).agg(e.sum().cast(pl.Int64).alias(k) for k, e in counts.items()).sort(CLASS_NAME)
        )

    def __repr__(self) -> str:
        p = self.p_value
        table = self.summary
        width = max(len(marked(m)) for m in table["metric"])
        lines = [
            f"a = {self.a.run!r}, b = {self.b.run!r} on {len(self.a.view):,} images",
            "  (a, b, and b less a: above 0 b is better; where 0 is best, a)",
        ]
        for metric, a, b, change in table.iter_rows():
            cells = ["–" if v is None else f"{v:.3f}" for v in (a, b)]
            more = "–" if change is None else f"{change:+.3f}"
            lines.append(f"  {marked(metric):<{width}}  {cells[0]:>6}  {cells[1]:>6}  {more}")
        lines.append(
            f"  labels found by both {len(self.both):,}, only by a {len(self.only_a):,}, "
            f"only by b {len(self.only_b):,}, by neither {len(self.neither):,}"
            + ("" if p is None else f" (McNemar p = {p:.2g})")
        )
        return "\n".join(lines)


def mcnemar(only_a: int, only_b: int) -> float | None:
    """Return the exact two-sided p-value of the McNemar test: binomial with one half.

    >>> round(mcnemar(1, 5), 4)
    0.2188
    """
    n, k = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return None
    logs: NDArray[np.float64] = np.array(
        [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k + 1)]
    )
    tail = float(np.exp(logs - n * math.log(2)).sum())
    return min(1.0, 2 * tail)
