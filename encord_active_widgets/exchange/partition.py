"""Divide items into train, val and test: at random, stratified, and without tearing groups apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError, unknown
from ..schema import CLASS_NAME, ITEM, ITEM_ID, OBJECT, ORDINAL, SPLIT
from ..store.parts import edit_part

if TYPE_CHECKING:
    from ..view import View

_PASSES = 8
_LEAST_GAIN = 1e-12
OBJECTS = "objects"
"""What `by=` is to be for the classes of the objects on an item."""


def write_split(
    view: View, shares: Mapping[str, float], *, by: str | None, groups: str | Sequence[str] | None, seed: int
) -> None:
    """Divide the items of a view, as one edit of the column `split`; see `View.split`.

    Raises
    ------
    InputError
        Shares that are negative or all 0, or a view of labels.
    UnknownNameError
        A column that does not exist.
    """
    if view.level != ITEM:
        raise InputError(f"A view of {view.level}s cannot be divided.", "Divide its items: view.items().split(…).")
    names = [n for n, share in shares.items() if share > 0]
    if any(not np.isfinite(s) or s < 0 for s in shares.values()) or not names:
        raise InputError(f"The shares {dict(shares)} cannot be used.", "Give numbers from 0, at least one above it.")
    project = view.project
    level = project._snapshot().items
    frame = level.frame[view.rows]
    for name in [*([by] if by and by != OBJECTS else []), *_listed(groups)]:
        if name not in frame.columns:
            raise unknown("column", name, [*frame.columns, OBJECTS])
    units = _units(frame, _listed(groups))
    counts = _counts(view, frame, by, units)
    wanted = np.array([shares[n] for n in names], np.float64)
    place = divide(counts, wanted / wanted.sum(), seed=seed)
    codes = place[units]
    had = frame[SPLIT].cast(pl.String) if SPLIT in frame.columns else None
    if had is not None and had.equals(pl.Series(names, dtype=pl.String).gather(codes)):
        return  # divided like this already
    rows = frame[ORDINAL].to_numpy()
    parts = [
        edit_part(ITEM, "split", rows[codes == i], {"split": n}) for i, n in enumerate(names) if (codes == i).any()
    ]
    if parts:
        said = ", ".join(f"{k}={v!r}" for k, v in {**shares, "by": by, "groups": groups, "seed": seed}.items())
        project._edit_parts(parts, code=f"view.split({said})")


def _listed(groups: str | Sequence[str] | None) -> list[str]:
    return [] if groups is None else [groups] if isinstance(groups, str) else list(groups)


def _units(frame: pl.DataFrame, groups: list[str]) -> NDArray[np.int64]:
    """Return for each item the number of the unit that must stay together.

    Items that share a value in any of the columns belong together, also through others; an
    item without a value is alone.
    """
    n = frame.height
    parent = np.arange(n)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for name in groups:
        rows = frame.select(pl.col(name), pl.int_range(pl.len()).alias("row")).drop_nulls(name)
        first = rows.with_columns(pl.col("row").first().over(name).alias("first"))
        for row, other in zip(first["row"].to_list(), first["first"].to_list(), strict=True):
            if row != other:
                a, b = root(row), root(other)
                parent[max(a, b)] = min(a, b)
    roots = np.array([root(i) for i in range(n)]) if groups else parent
    return np.asarray(np.unique(roots, return_inverse=True)[1], np.int64)


def _counts(view: View, frame: pl.DataFrame, by: str | None, units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count, for each unit, its items and what of each stratum they hold: (units, 1 + strata)."""
    n_units = int(units.max()) + 1 if units.size else 0
    size = np.bincount(units, minlength=n_units).astype(np.float64)[:, None]
    if by is None:
        return size
    if by == OBJECTS:
        objects = view.project._snapshot().levels[OBJECT].alive_frame().select(ITEM_ID, CLASS_NAME)
        places = pl.DataFrame({ITEM_ID: frame[ITEM_ID], "unit": units})
        pairs = objects.join(places, on=ITEM_ID, how="inner")
    else:
        pairs = pl.DataFrame({"unit": units, CLASS_NAME: frame[by].cast(pl.String)})
    codes = (pairs[CLASS_NAME].fill_null("").rank("dense").cast(pl.Int64) - 1).to_numpy()
    strata = int(codes.max()) + 1 if codes.size else 0
    table = np.zeros((n_units, strata))
    np.add.at(table, (pairs["unit"].to_numpy(), codes), 1)
    return np.hstack([size, table])


def divide(counts: NDArray[np.float64], shares: NDArray[np.float64], *, seed: int = 0) -> NDArray[np.int64]:
    """Choose a part for each unit so that every column is shared out as wanted.

    Units are taken in random order, the largest first, each going where it brings the parts
    nearest to what they should hold: the iterative stratification of Sechidis, Tsoumakas and
    Vlahavas (ECML PKDD 2011) with whole groups as units. Then single units move as long as that
    helps.

    Parameters
    ----------
    counts : (n, c) float
        What each unit holds of each column.
    shares : (p,) float
        What each part should get; they sum to 1.

    Returns
    -------
    (n,) int
        The part of each unit.
    """
    n = len(counts)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    totals = counts.sum(axis=0)
    if counts.shape[1] == 1 and (counts == 1).all():
        out = np.empty(n, np.int64)
        cuts = np.rint(np.cumsum(shares) * n).astype(int)
        out[order] = np.searchsorted(cuts, np.arange(n), side="right").clip(max=len(shares) - 1)
        return out
    # Rare strata are shared out before common ones; among equals the larger units.
    rarity = (counts / np.maximum(totals, 1)).max(axis=1)
    order = order[np.argsort(-rarity[order], kind="stable")]
    missing = shares[:, None] * totals[None, :]
    weight = 1 / np.maximum(totals, 1) ** 2
    out = np.empty(n, np.int64)
    for i in order.tolist():
        held = counts[i]
        some = np.flatnonzero(held)
        gain = ((2 * missing[:, some] - held[some]) * held[some] * weight[some]).sum(axis=1)
        out[i] = int(gain.argmax())
        missing[out[i], some] -= held[some]
    for _ in range(_PASSES):
        if not _improve(counts, missing, weight, out, order):
            break
    return out


def _improve(
    counts: NDArray[np.float64],
    missing: NDArray[np.float64],
    weight: NDArray[np.float64],
    out: NDArray[np.int64],
    order: NDArray[np.int64],
) -> bool:
    """Move units one by one where that brings the parts nearer to their shares; tell whether any moved."""
    moved = False
    for i in order[::-1].tolist():
        some = np.flatnonzero(counts[i])
        held = counts[i, some]
        worse = ((held + missing[out[i], some] - missing[:, some]) * held * weight[some]).sum(axis=1)
        worse[out[i]] = 0
        best = int(worse.argmin())
        if worse[best] < -_LEAST_GAIN:
            missing[out[i], some] += held
            missing[best, some] -= held
            out[i] = best
            moved = True
    return moved
