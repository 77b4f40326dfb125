"""One compiled call per image: metrics, perceptual hash, descriptor and thumbnail pixels.

The formulas and their sources stand in `pixels.py`, `sharpness.py` and `hashes.py`.
"""

from __future__ import annotations

import math

import numpy as np

from ..embeddings.describe import describe
from ..embeddings.descriptor import SIDE_PX
from ..images._numba import kernel
from . import hashes, kernels
from .kernels import F32, F64, I64, U8
from .sharpness import (
    COARSE_SIDE_PX,
    COARSE_WEIGHT,
    LAPLACIAN_GAIN,
    LARGEST_RATIO,
    NOISE_FLOOR,
    ROUNDING_VARIANCE,
)

LEVELS = 256
MAX_LEVEL = 255.0
HALF_RANGE = 127.5
LOW_PERCENTILE, HIGH_PERCENTILE = 0.05, 0.99

COLOURED_SHARE = 0.001
"""An image is greyscale where fewer than this share of its pixels have a colour."""

MEAN_WEIGHT = 0.3
"""Weight of the mean against the deviation in Hasler and Süsstrunk's colourfulness."""

FLAT_COEFFICIENT = 2.0
"""An image whose DCT coefficients are all smaller (in luma steps) shows nothing to hash."""

PHASH_ORDER = hashes.low_frequency_order()
PHASH_BASIS = hashes.dct_basis(hashes.PHASH_FREQUENCIES, hashes.PHASH_SIDE_PX)

# The order of PIXEL_METRICS in pixels.py.
BRIGHTNESS, CONTRAST, SHARPNESS, BLUR, RED, GREEN, BLUE = range(7)
COLOURFULNESS, SATURATION, GRAYSCALE, ENTROPY, LUMA_LOW, LUMA_HIGH = range(7, 13)


@kernel
def measure(pixels: U8, rows: int, columns: int, values: F32, vector: F32, tile: U8) -> np.uint64:
    """Measure (h, w, 3) pixels; `rows` and `columns` are the size of the working copy.

    Fills `values` (metrics), `vector` (descriptor) and `tile` (thumbnail, may be empty), and
    returns the perceptual hash.
    """
    sums = np.zeros(kernels.N_SUMS, np.float64)
    histograms = np.zeros((4, LEVELS), np.int64)
    small = np.empty((3, rows, columns), np.float32)
    kernels.scan(pixels, sums, histograms, small)
    n = pixels.shape[0] * pixels.shape[1]
    colour_values(sums, n, values)
    luma_values(histograms, n, values)

    luma = np.empty((rows, columns), np.float32)
    kernels.luma_plane(small, luma)
    shrinking = max(1.0, max(rows, columns) / COARSE_SIDE_PX)
    coarse_rows = max(1, int(rows / shrinking + 0.5))
    coarse = np.empty((1, coarse_rows, max(1, int(columns / shrinking + 0.5))), np.float32)
    kernels.shrink(luma.reshape((1, rows, columns)), coarse)
    fine_edges, coarse_edges = fineness(luma, n), fineness(coarse[0], n)
    values[SHARPNESS] = (1.0 - COARSE_WEIGHT) * fine_edges + COARSE_WEIGHT * coarse_edges
    values[BLUR] = np.float32(1.0) - values[SHARPNESS]

    square = np.empty((3, SIDE_PX, SIDE_PX), np.float32)
    kernels.shrink(small, square)
    describe(square, vector)
    if tile.shape[0] > 0:
        if tile.shape[0] == rows and tile.shape[1] == columns:
            kernels.to_bytes(small, tile)
        else:
            reduced = np.empty((3, tile.shape[0], tile.shape[1]), np.float32)
            kernels.shrink(small, reduced)
            kernels.to_bytes(reduced, tile)
    plane = np.empty((SIDE_PX, SIDE_PX), np.float32)
    kernels.luma_plane(square, plane)
    return perceptual_hash(plane, sums, n)


@kernel
def fineness(luma: F32, n: int) -> float:
    """Return in [0, 1] how fine the edges of a luma plane are that was averaged from n pixels."""
    laplacian, gradient = kernels.edge_energies(luma)
    size = luma.shape[0] * luma.shape[1]
    rounding = LAPLACIAN_GAIN * ROUNDING_VARIANCE * size * size / n
    ratio = math.sqrt(max(laplacian - rounding, 0.0) / (gradient + NOISE_FLOOR * size))
    return min((1.0 + 1.0 / LARGEST_RATIO) * ratio / (1.0 + ratio), 1.0)


@kernel
def colour_values(sums: F64, n: int, values: F32) -> None:
    """Fill the metrics that come from sums over channels."""
    red = sums[kernels.SUM_RED] / n
    green = sums[kernels.SUM_GREEN] / n
    blue = sums[kernels.SUM_BLUE] / n
    values[BRIGHTNESS] = (0.299 * red + 0.587 * green + 0.114 * blue) / MAX_LEVEL
    mean_rg = red - green
    mean_yb = 0.5 * (red + green) - blue
    # The kernel sums R + G - 2B, twice the paper's yb.
    var_rg = max(sums[kernels.SUM_RG2] / n - mean_rg * mean_rg, 0.0)
    var_yb = max(sums[kernels.SUM_YB2] / (4.0 * n) - mean_yb * mean_yb, 0.0)
    mean = math.sqrt(mean_rg * mean_rg + mean_yb * mean_yb)
    values[COLOURFULNESS] = math.sqrt(var_rg + var_yb) + MEAN_WEIGHT * mean
    values[SATURATION] = sums[kernels.SUM_SATURATION] / n
    values[RED] = sums[kernels.COUNT_RED] / n
    values[GREEN] = sums[kernels.COUNT_GREEN] / n
    values[BLUE] = sums[kernels.COUNT_BLUE] / n
    values[GRAYSCALE] = 1.0 if sums[kernels.COUNT_COLOURED] < COLOURED_SHARE * n else 0.0


@kernel
def luma_values(histograms: I64, n: int, values: F32) -> None:
    """Fill the metrics that come from the histogram of luma."""
    total, squares, entropy = 0.0, 0.0, 0.0
    below, low, high = 0, -1, -1
    for level in range(LEVELS):
        count = histograms[0, level] + histograms[1, level] + histograms[2, level] + histograms[3, level]
        if count == 0:
            continue
        total += count * level
        squares += count * level * level
        share = count / n
        entropy -= share * math.log2(share)
        below += count
        if low < 0 and below >= LOW_PERCENTILE * n:
            low = level
        if high < 0 and below >= HIGH_PERCENTILE * n:
            high = level
    variance = squares / n - (total / n) * (total / n)
    values[CONTRAST] = math.sqrt(max(variance, 0.0)) / HALF_RANGE
    values[ENTROPY] = max(entropy, 0.0)
    values[LUMA_LOW] = low / MAX_LEVEL
    values[LUMA_HIGH] = high / MAX_LEVEL


@kernel
def perceptual_hash(plane: F32, sums: F64, n: int) -> np.uint64:
    """Return the DCT hash of a 32x32 luma plane; that of a flat image is drawn from its colour."""
    side = hashes.PHASH_FREQUENCIES
    coefficients = np.empty((side, side), np.float32)
    kernels.low_frequencies(plane, PHASH_BASIS, coefficients)
    flat = coefficients.reshape(-1)
    bits, largest = np.uint64(0), np.float32(0)
    for k in range(hashes.PHASH_BITS):
        value = flat[PHASH_ORDER[k]]
        bits = (bits << np.uint64(1)) | (np.uint64(1) if value > 0 else np.uint64(0))
        largest = max(largest, abs(value))
    if largest < np.float32(FLAT_COEFFICIENT):
        # All flat images would share a hash: white and black are not copies of one another.
        colour = np.uint64(0)
        for channel in range(3):
            colour = colour * np.uint64(LEVELS) + np.uint64(sums[channel] / n + 0.5)
        return mix(colour)
    return bits


@kernel
def mix(value: np.uint64) -> np.uint64:
    """Spread an integer over 64 bits (splitmix64; Steele, Lea and Flood, OOPSLA 2014)."""
    z = value + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
