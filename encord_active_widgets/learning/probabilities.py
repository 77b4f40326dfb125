"""Judge the probabilities of a classifier beside the labels they are compared with.

=============================  ==================================================================================
input                          what becomes of it
=============================  ==================================================================================
value that is NaN, infinite    the row is left out and listed
value below 0                  the row is left out and listed
row that sums to 0             the row is left out and listed
row that does not sum to 1     it is divided by its sum, and listed
label of a class whose column  the row is left out and listed: a model that does not know a class cannot judge it
is 0 everywhere
row without a label (-1)       the row is left out; nothing is wrong with it, so it is not listed
no column, or one              refused: with one class there is nothing to confuse
=============================  ==================================================================================

A class that has no label and no probability anywhere changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_CLASS = -1
SUMS_TO = 1e-3
"""How far a row may sum from 1 and still be taken as it is: float32 probabilities of a thousand classes do."""
_MOST_ROWS_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """What was wrong with some rows, and what was done.

    Attributes
    ----------
    what : {"left out", "repaired"}
    why : str
    remedy : str
    rows : (m,) int64
        The rows, ascending.
    """

    what: str
    why: str
    remedy: str
    rows: I64

    def __str__(self) -> str:
        named = ", ".join(map(str, self.rows[:_MOST_ROWS_NAMED].tolist()))
        more = len(self.rows) - _MOST_ROWS_NAMED
        return f"{self.what}: {self.why} (row {named}{f' and {more:,} more' if more > 0 else ''}). {self.remedy}"


@dataclass(frozen=True)
class Judged:
    """Labels and probabilities that can be ranked, and what was wrong with the others.

    Attributes
    ----------
    codes : (m,) int64
        Class of each usable row, a column of `probabilities`.
    probabilities : (m, k) float64
        Rows sum to 1 within 1e-3.
    rows : (m,) int64
        Their places in what was given.
    classes : (k,) int64
        The columns that were kept; `codes` are places in them. A class without a label and without a probability is
        not among them.
    n : int
        How many rows were given.
    findings : tuple of Finding
    """

    codes: I64
    probabilities: F64
    rows: I64
    classes: I64
    n: int
    findings: tuple[Finding, ...] = ()

    def spread(self, values: F64) -> F64:
        """Return values of the usable rows in the places of all rows; NaN for the others."""
        if len(self.rows) == self.n:
            return values
        out = np.full(self.n, np.nan)
        out[self.rows] = values
        return out

    def flagged(self, chosen: Flags) -> Flags:
        """Return flags of the usable rows in the places of all rows; False for the others."""
        out = np.zeros(self.n, np.bool_)
        out[self.rows] = chosen
        return out


def judge(codes: ArrayLike, probabilities: ArrayLike) -> Judged:
    """Part what can be ranked from what cannot; see the table at the head of this module.

    Parameters
    ----------
    codes : (n,) int
        Class of each row, a column of `probabilities`; -1 where it has none.
    probabilities : (n, k) float
        A row an item, a column a class.

    Raises
    ------
    ShapeError
        The shapes do not fit.
    InputError
        One class alone, a label that is no column, or no row that can be used.

    Examples
    --------
    >>> found = judge([0, 1, 0], [[0.5, 0.5], [float("nan"), 1], [2, 2]])
    >>> found.rows.tolist(), found.probabilities.tolist(), [f.what for f in found.findings]
    ([0, 2], [[0.5, 0.5], [0.5, 0.5]], ['left out', 'repaired'])
    """
    labels, table = _shaped(codes, probabilities)
    n = len(labels)
    sums = np.einsum("ij->i", table)
    low = table.min(axis=1) if n else sums
    # A row without NaN and infinity has a finite sum and a finite minimum; max overflows the sum or is finite.
    numbers, positive = np.isfinite(sums), low >= 0
    fine = numbers & positive & (sums > 0)
    known = labels != NO_CLASS
    findings: list[Finding] = []

    def note(wrong: Flags, what: str, why: str, remedy: str) -> None:
        if wrong.any():
            findings.append(Finding(what, why, remedy, np.flatnonzero(wrong)))

    if not fine.all():
        note(~numbers, "left out", "a probability is no number", "Check the model's output for NaN and infinity.")
        note(numbers & ~positive, "left out", "a probability is negative", "Apply a softmax.")
        note(numbers & positive & (sums <= 0), "left out", "the probabilities sum to 0", "Apply a softmax.")
    keep = fine & known
    odd = keep & (np.abs(sums - 1) > SUMS_TO)
    never = np.flatnonzero(~(table[keep] if not keep.all() else table).any(axis=0))
    unknown = keep & np.isin(labels, never) if never.size else np.zeros(n, np.bool_)
    note(
        unknown,
        "left out",
        "the model gives their class no probability anywhere",
        "Judge them by a model that knows it.",
    )
    keep &= ~unknown
    note(
        odd & keep, "repaired", "the probabilities do not sum to 1; they were divided by their sum", "Apply a softmax."
    )
    if not keep.any():
        why = f" ({findings[0].why})" if findings else ""
        raise InputError(f"No row has both a label and probabilities that can be used{why}.", "Check both.")
    classes = np.setdiff1d(np.arange(table.shape[1]), never)
    if len(classes) < 2:
        raise InputError(
            "All probability is on one class, so no label can be told to be wrong.", "Give a column for each class."
        )
    rows = np.arange(n)
    if not keep.all() or odd.any():
        rows = np.flatnonzero(keep)
        labels, table, off = labels[rows], table[rows], odd[rows]
        table[off] /= sums[rows][off, None]
    if never.size:
        labels, table = np.searchsorted(classes, labels), np.ascontiguousarray(table[:, classes])
    return Judged(labels, table, rows, classes, n, tuple(findings))


def _shaped(codes: ArrayLike, probabilities: ArrayLike) -> tuple[I64, F64]:
    labels, table = np.asarray(codes), np.asarray(probabilities)
    if table.ndim != 2 or table.dtype.kind not in "fiu":
        raise ShapeError(
            f"Probabilities of shape {table.shape} ({table.dtype}) are no table.", "Give (items, classes)."
        )
    if labels.ndim != 1 or len(labels) != len(table):
        raise ShapeError(
            f"Labels of shape {labels.shape} do not fit {len(table):,} rows of probabilities.", "Give a label a row."
        )
    if labels.dtype.kind not in "iu":
        raise InputError(f"Labels of type {labels.dtype} are no class codes.", "Give integers, -1 for none.")
    if table.shape[1] < 2:
        raise InputError(
            f"Probabilities of {table.shape[1]} class tell no class from another.", "Give a column for each class."
        )
    if len(labels) and (labels.min() < NO_CLASS or labels.max() >= table.shape[1]):
        raise InputError(
            f"Labels go from {labels.min()} to {labels.max()}, but there are {table.shape[1]} columns.",
            "Number the classes by their columns, from 0; -1 is none.",
        )
    return labels.astype(np.int64, copy=False), np.ascontiguousarray(table, np.float64)
