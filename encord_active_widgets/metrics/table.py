"""Metrics that compare an image's size with all others: functions over whole columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

F64 = npt.NDArray[np.float64]

LEAST_SPREAD_OCTAVES = 0.5
"""Spread of sizes below which an image is not odd: a collection of one size has IQR 0."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def table_metrics(frame: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """Return `odd_size`, `odd_aspect` and `random` for a frame of items.

    Parameters
    ----------
    frame : pl.DataFrame
        Columns `ordinal`, `width` and `height` (pixels; null where unknown).
    seed : int
        Of `random`.

    Returns
    -------
    pl.DataFrame
        Three Float32 columns, one row for each row of `frame`.
    """
    width = frame["width"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    height = frame["height"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return pl.DataFrame(
        {
            "odd_size": odd_size(width, height).astype(np.float32),
            "odd_aspect": odd_aspect(width, height).astype(np.float32),
            "random": random_scores(frame["ordinal"].to_numpy(), seed),
        },
    ).with_columns(pl.all().fill_nan(None))


def odd_size(width: npt.ArrayLike, height: npt.ArrayLike) -> F64:
    r"""Return in [0, 1) how far each image's size lies from the usual one.

    With :math:`s = \log_2 \sqrt{w h}` (octaves of the mean side), the score is
    :math:`d / (1 + d)`, :math:`d = |s - \mathrm{median}| / (\mathrm{IQR}/2 + 0.5)`:
    an image of the median size has 0, one at the quartiles of widely spread sizes less
    than 1/2, one 16 times smaller among equal ones 0.89.

    >>> odd_size([100] * 7 + [10], [100] * 7 + [10]).round(2).tolist()[-2:]
    [0.0, 0.87]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        octaves = 0.5 * np.log2(np.asarray(width, np.float64) * np.asarray(height, np.float64))
    finite = octaves[np.isfinite(octaves)]
    if not len(finite):
        return np.full(octaves.shape, np.nan)
    low, middle, high = np.quantile(finite, (0.25, 0.5, 0.75))
    octaves[~np.isfinite(octaves)] = np.nan
    distance = np.abs(octaves - middle) / ((high - low) / 2 + LEAST_SPREAD_OCTAVES)
    return np.asarray(distance / (1 + distance))


def odd_aspect(width: npt.ArrayLike, height: npt.ArrayLike) -> F64:
    """Return `1 - short side / long side`: 0 for a square, near 1 for a thin strip.

    >>> odd_aspect([50, 400], [50, 100]).tolist()
    [0.0, 0.75]
    """
    w, h = np.asarray(width, np.float64), np.asarray(height, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - np.minimum(w, h) / np.maximum(w, h))


def random_scores(ordinals: npt.ArrayLike, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return a uniform number in [0, 1) for each ordinal, the same for the same seed.

    Appending rows does not change those before (splitmix64 of seed and ordinal).
    """
    with np.errstate(over="ignore"):
        start = np.uint64(seed % 2**64) * _MIX_2
        z = (np.asarray(ordinals).astype(np.uint64) + np.uint64(1)) * _GOLDEN + start
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        z = z ^ (z >> np.uint64(31))
    # 24 bits: a float32 just below 1 must not round up to it.
    return ((z >> np.uint64(40)).astype(np.float32)) * np.float32(2.0**-24)
