"""The shape of labels, whatever their place, size and turn: Hu's moments, and who differs from its class.

Moments are exact integrals, not sums over pixels: Green's theorem along the sides of rings, rectangles for the
runs of masks. A hole counts against the ring around it; parts that overlap count twice, as drawn.

Sources: Hu, "Visual Pattern Recognition by Moment Invariants", 1962; Steger, "On the Calculation of Arbitrary
Moments of Polygons", 1996.

Import this module inside functions: it loads numba.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ..errors import ShapeError
from ..images._numba import kernel
from .geometry import BOX, CONVEX, KEYPOINTS, MASK, POLYGON, Shapes, shapes_of
from .masks import wide

F64 = NDArray[np.float64]

N_HU = 7
LEAST_MEMBERS = 5
"""A class with fewer shapes has no usual one."""
DEGREES = np.array([1, 2, 2, 2, 4, 3, 4])
"""Powers of the second and third moments in each of Hu's: roots of these degrees are all of one scale."""
HU_OF_CIRCLE = 1 / (2 * math.pi)
"""The least first moment there is."""
EPSILON = 0.05
"""Where the logarithm begins: at the square, whose first moment is 5 % above the circle's.

Symmetric shapes have moments of 0 in theory and noise in practice: circles drawn by hand (radii that vary by 1
to 10 %) have roots of 0.001 to 0.01. Below EPSILON the scale is linear, so that such noise stays small.
"""
LEAST_SPREAD = 0.05
"""Differences of the log scale that count as none in a class whose members are all alike."""
TO_SIGMA = 1.4826
"""Standard deviations in a median absolute deviation, of normal values."""


def hu_moments(labels: pl.DataFrame) -> F64:
    """Return Hu's seven invariant moments of each label.

    Returns
    -------
    (n, 7) float64
        NaN for labels without area. Equal for shapes that differ in place, size and turn; mirrored shapes differ
        in the sign of the seventh. Boxes differ in nothing but their aspect; keypoints are their box.

    Examples
    --------
    >>> square = pl.DataFrame({"kind": ["box"], "x": [3.0], "y": [5.0], "w": [2.0], "h": [2.0]})
    >>> float(hu_moments(square)[0, 0].round(6))
    0.166667
    """
    shapes = shapes_of(labels)
    out = np.zeros((len(labels), N_HU))
    out[~_hu_all(shapes, out)] = np.nan
    return out


def shape_outlier(hu: ArrayLike, class_codes: Sequence[Any] | NDArray[Any] | pl.Series) -> pl.Series:
    """Tell how far the shape of each label is from the usual one of its class.

    Parameters
    ----------
    hu : (n, 7) float64
        From `hu_moments`.
    class_codes : (n,) integers or strings
        Class of each label.

    Returns
    -------
    pl.Series
        `shape_outlier`, Float32 in [0, 1): d / (1 + d), where d is the root mean square over the seven moments of
        the distance from the class's median in robust deviations: 0.5 is one deviation, 0.8 four. Null for labels
        without area or class, and in classes with fewer than 5 shapes.

    Notes
    -----
    Each moment is brought to one scale: the root r of its degree (the first: its excess over the circle's), then
    sign(r) log(1 + |r| / 0.05). The seventh counts without its sign, so that a car that faces left is not far
    from those that face right. A deviation is 1.48 times the median absolute deviation, but at least 0.05.

    Raises
    ------
    ShapeError
        The arguments do not fit together.
    """
    values = np.asarray(hu, np.float64)
    codes = pl.Series("class", class_codes)
    if values.ndim != 2 or values.shape[1] != N_HU or len(values) != len(codes):
        raise ShapeError(
            f"Moments of shape {values.shape} do not fit {len(codes):,} classes.", "Pass hu_moments of the same labels."
        )
    with np.errstate(invalid="ignore"):
        roots = np.sign(values) * np.abs(values) ** (1 / DEGREES)
        roots[:, 0] = np.maximum(values[:, 0] / HU_OF_CIRCLE - 1, 0.0)
        roots[:, -1] = np.abs(roots[:, -1])
        scaled = np.sign(roots) * np.log1p(np.abs(roots) / EPSILON)
    names = [f"h{k}" for k in range(N_HU)]
    frame = pl.DataFrame(scaled, schema=names).with_columns(codes)
    usable = pl.all_horizontal(pl.col(names).is_finite()) & pl.col("class").is_not_null()
    off = {k: pl.col(k) - pl.col(k).median().over("class") for k in names}
    spread = {k: pl.max_horizontal(pl.col(k).abs().median().over("class") * TO_SIGMA, LEAST_SPREAD) for k in names}
    far = pl.mean_horizontal((pl.col(k) / spread[k]) ** 2 for k in names).sqrt()
    found = (
        frame.lazy()
        .with_row_index("row")
        .filter(usable)
        .with_columns(**off)
        .select("row", far=pl.when(pl.len().over("class") >= LEAST_MEMBERS).then(far))
        .select("row", shape_outlier=(pl.col("far") / (1 + pl.col("far"))).cast(pl.Float32).clip(0.0, BELOW_ONE))
        .collect()
    )
    rows = pl.DataFrame({"place": codes}).with_row_index("row")
    return rows.join(found, on="row", how="left", maintain_order="left")["shape_outlier"]


BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))


# -- compiled -------------------------------------------------------------------------------------


@kernel
def _hu_all(s: Shapes, out: F64) -> NDArray[np.bool_]:
    n = s.form.shape[0]
    known = np.zeros(n, np.bool_)
    third = np.empty(10, np.float64)
    for i in range(n):
        form = s.form[i]
        third[:] = 0.0
        if form in (BOX, KEYPOINTS):
            w, h = s.bounds[i, 2] - s.bounds[i, 0], s.bounds[i, 3] - s.bounds[i, 1]
            known[i] = w > 0 and h > 0
            if known[i]:
                third[XX], third[YY] = w / h / 12, h / w / 12
        elif form in (CONVEX, POLYGON):
            known[i] = _ring_moments(s, i, third)
        elif form == MASK:
            known[i] = _run_moments(s.runs[s.run_first[i] : s.run_end[i]], s.heights[i], third)
        if known[i]:
            _hu(third, out[i])
    return known


# Places of the moments in one array.
ONE, X, Y, XX, XY, YY, XXX, XXY, XYY, YYY = range(10)


@kernel
def _hu(m: F64, out: F64) -> None:
    """Hu's seven from moments about the centre of a shape of area 1."""
    a, b = m[XX] - m[YY], 2 * m[XY]
    p, q = m[XXX] - 3 * m[XYY], 3 * m[XXY] - m[YYY]
    u, v = m[XXX] + m[XYY], m[XXY] + m[YYY]
    out[0] = m[XX] + m[YY]
    out[1] = a * a + b * b
    out[2] = p * p + q * q
    out[3] = u * u + v * v
    out[4] = p * u * (u * u - 3 * v * v) + q * v * (3 * u * u - v * v)
    out[5] = a * (u * u - v * v) + 2 * b * u * v
    out[6] = q * u * (u * u - 3 * v * v) - p * v * (3 * u * u - v * v)


@kernel
def _ring_moments(s: Shapes, i: int, m: F64) -> bool:
    """Fill the moments of rings about their centre, of area 1; False if they have no area."""
    low, high = s.ring_starts[s.ring_first[i]], s.ring_starts[s.ring_end[i]]
    ox, oy = (s.bounds[i, 0] + s.bounds[i, 2]) / 2, (s.bounds[i, 1] + s.bounds[i, 3]) / 2
    extent = max(s.bounds[i, 2] - s.bounds[i, 0], s.bounds[i, 3] - s.bounds[i, 1])
    if high - low < 3 or extent <= 0:
        return False
    scale = 1 / extent
    for turn in range(2):
        m[:] = 0.0
        for r in range(s.ring_first[i], s.ring_end[i]):
            _add_ring(s.points[s.ring_starts[r] : s.ring_starts[r + 1]], s.holes[r], ox, oy, scale, m)
        if m[ONE] <= LEAST_AREA:
            return False
        if turn == 0:
            ox, oy = ox + m[X] / m[ONE] / scale, oy + m[Y] / m[ONE] / scale
            scale /= math.sqrt(m[ONE])
    return True


LEAST_AREA = 1e-12
"""Share of its bounds (squared) below which a ring is a line."""


@kernel
def _add_ring(ring: F64, hole: bool, ox: float, oy: float, scale: float, m: F64) -> None:
    n = ring.shape[0]
    part = np.zeros(10, np.float64)
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        x, y = (ring[i, 0] - ox) * scale, (ring[i, 1] - oy) * scale
        u, v = (ring[j, 0] - ox) * scale, (ring[j, 1] - oy) * scale
        a = x * v - u * y
        part[ONE] += a / 2
        part[X] += a * (x + u) / 6
        part[Y] += a * (y + v) / 6
        part[XX] += a * (x * x + x * u + u * u) / 12
        part[YY] += a * (y * y + y * v + v * v) / 12
        part[XY] += a * (2 * x * y + x * v + u * y + 2 * u * v) / 24
        part[XXX] += a * (x + u) * (x * x + u * u) / 20
        part[YYY] += a * (y + v) * (y * y + v * v) / 20
        part[XXY] += a * (x * x * (3 * y + v) + 2 * x * u * (y + v) + u * u * (y + 3 * v)) / 60
        part[XYY] += a * (y * y * (3 * x + u) + 2 * y * v * (x + u) + v * v * (x + 3 * u)) / 60
    positive = (part[ONE] >= 0) != hole
    for k in range(10):
        m[k] += part[k] if positive else -part[k]


@kernel
def _run_moments(runs: NDArray[np.uint32], h: int, m: F64) -> bool:
    """Fill the moments of a mask about its centre, of area 1: a run is up to three rectangles."""
    ox, oy, scale = 0.0, 0.0, 1.0
    for turn in range(2):
        m[:] = 0.0
        at = 0
        for j in range(runs.shape[0]):
            n = wide(runs[j])
            if j % 2 and n:
                first, last = at // h, (at + n - 1) // h
                top, bottom = at - first * h, at + n - last * h
                if first == last:
                    _add_rectangle(first, first + 1, top, bottom, ox, oy, scale, m)
                else:
                    _add_rectangle(first, first + 1, top, h, ox, oy, scale, m)
                    _add_rectangle(first + 1, last, 0, h, ox, oy, scale, m)
                    _add_rectangle(last, last + 1, 0, bottom, ox, oy, scale, m)
            at += n
        if m[ONE] <= 0:
            return False
        if turn == 0:
            ox, oy, scale = m[X] / m[ONE], m[Y] / m[ONE], 1 / math.sqrt(m[ONE])
    return True


@kernel
def _add_rectangle(x0: int, x1: int, y0: int, y1: int, ox: float, oy: float, scale: float, m: F64) -> None:
    w, h = (x1 - x0) * scale, (y1 - y0) * scale
    x, y = ((x0 + x1) / 2 - ox) * scale, ((y0 + y1) / 2 - oy) * scale
    a = w * h
    xx, yy = x * x + w * w / 12, y * y + h * h / 12
    m[ONE] += a
    m[X] += a * x
    m[Y] += a * y
    m[XX] += a * xx
    m[XY] += a * x * y
    m[YY] += a * yy
    m[XXX] += a * x * (x * x + w * w / 4)
    m[XXY] += a * xx * y
    m[XYY] += a * x * yy
    m[YYY] += a * y * (y * y + h * h / 4)
