"""Predictions of classifiers: a probability a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, ShapeError
from ..schema import CLASS_NAME, CONFIDENCE, PROBABILITIES, URI
from .run import IMAGE, PLACE, Context, RunSource
from .run_source import run_source

_SUMS_TO = 1e-3


def read_probabilities(
    values: NDArray[Any], context: Context, uris: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> RunSource:
    """Read a classifier's probabilities.

    Parameters
    ----------
    values : (n, k) float
        A row an item, a column a class; rows sum to 1.
    context : Context
    uris : sequence of str, optional
        The images of the rows; by default the project's items in their order.
    classes : sequence of str, optional
        The classes of the columns; by default the project's.

    Raises
    ------
    ShapeError
        The rows are not those of the items, or the columns not those of the classes.
    InputError
        A value is negative or no number, or a row does not sum to 1.
    """
    names = list(classes or context.classes)
    addresses = list(uris) if uris is not None else context.items[URI].to_list()
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise ShapeError(
            f"Probabilities of shape {array.shape} ({array.dtype}) are no table.", "Give (items, classes)."
        )
    if len(array) != len(addresses):
        raise ShapeError(
            f"{len(array):,} rows of probabilities do not fit {len(addresses):,} images.", "Give a row an item."
        )
    _judge_width(array.shape[1], names, "Probabilities")
    table = array.astype(np.float64)
    _judge_table(table, lambda row: f"row {row}")
    best = table.argmax(axis=1)
    frame = pl.DataFrame(
        {
            IMAGE: addresses,
            CLASS_NAME: pl.Series(names, dtype=pl.String).gather(best),
            CONFIDENCE: np.minimum(table[np.arange(len(table)), best], 1.0),
            PROBABILITIES: pl.Series(table.astype(np.float32), dtype=pl.Array(pl.Float32, len(names))).arr.to_list(),
        }
    ).with_columns(pl.format("row {}", pl.int_range(pl.len())).alias(PLACE))
    return run_source(frame, context, "the probabilities", classes=names)


def judge_column(column: pl.Series, places: pl.Series, classes: Sequence[str]) -> None:
    """Judge lists of probabilities as a table of them is judged; nulls have none.

    Raises
    ------
    ShapeError
        A list is not of the number of classes.
    InputError
        A value is negative or no number, or a list does not sum to 1.
    """
    there, where = column.drop_nulls(), places.filter(column.is_not_null())
    sizes = there.list.len()
    wrong = sizes != len(classes)
    if wrong.any():
        _judge_width(sizes.filter(wrong)[0], list(classes), f"The probabilities of {where.filter(wrong)[0]}, those")
    if there.len():
        values = there.cast(pl.List(pl.Float64)).explode(empty_as_null=False, keep_nulls=False)
        table = values.fill_null(float("nan")).to_numpy().reshape(-1, len(classes))
        _judge_table(table, lambda row: str(where[row]))


def _judge_width(n: int, names: Sequence[str], what: str) -> None:
    if n != len(names):
        raise ShapeError(
            f"{what} of {n} classes do not fit {len(names)} classes ({', '.join(names[:5])} …).",
            "Pass classes=[…] in the order of the columns.",
        )


def _judge_table(table: NDArray[np.float64], where: Callable[[int], str]) -> None:
    good = (np.isfinite(table) & (table >= 0)).all(axis=1)
    if not good.all():
        first = where(int(np.flatnonzero(~good)[0]))
        raise InputError(
            f"The probabilities of {first} have a value that is negative or no number.", "Apply a softmax."
        )
    sums = table.sum(axis=1)
    odd = np.abs(sums - 1) > _SUMS_TO
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise InputError(
            f"{int(odd.sum()):,} rows of the probabilities do not sum to 1; {where(row)} sums to {sums[row]:.4g}.",
            "Apply a softmax, or divide by the sums.",
        )
