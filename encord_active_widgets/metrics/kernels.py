"""Compiled loops over pixels: one pass over the full image, then everything on small copies.

All arithmetic on pixels is float32 on integers below 2^24, hence exact where it says so.
Definitions and sources stand in `pixels.py`, `sharpness.py`, `hashes.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..images._numba import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

BAND_PIXELS = 2048
"""Pixels looked at together: in cache, exact in float32 sums, long enough for vectors."""

# Positions in the array of sums that `scan` fills.
SUM_RED, SUM_GREEN, SUM_BLUE = 0, 1, 2
SUM_RG2, SUM_YB2 = 3, 4
SUM_SATURATION = 5
COUNT_RED, COUNT_GREEN, COUNT_BLUE, COUNT_COLOURED = 6, 7, 8, 9
N_SUMS = 10

# Luma of ITU-R BT.601 in 16-bit fixed point, the integers Pillow's convert("L") uses.
LUMA_RED, LUMA_GREEN, LUMA_BLUE = 19595.0, 38470.0, 7471.0
LUMA_HALF = 32768.0
LUMA_UNIT = 1.0 / 65536.0

# A pixel has a hue where HSV value and saturation are both at least 50/255.
LEAST_VALUE = 50.0
LEAST_SATURATION = 50.0 / 255.0
GREY_TOLERANCE = 2.0
"""Channels of a grey pixel differ by at most this many of 255 steps."""


@kernel
def planes_of(flat: U8, red: F32, green: F32, blue: F32) -> None:
    """Split interleaved bytes into three planes."""
    for i in range(red.shape[0]):
        red[i] = np.float32(flat[3 * i])
        green[i] = np.float32(flat[3 * i + 1])
        blue[i] = np.float32(flat[3 * i + 2])


@kernel
def count_luma(red: F32, green: F32, blue: F32, luma: U8, histograms: I64) -> None:
    """Count the luma of n pixels in `histograms`; `luma` is scratch.

    `histograms` is (4, 256): neighbours are often equal, and one counter would wait for itself.
    """
    n = red.shape[0]
    for i in range(n):
        y = np.float32(LUMA_RED) * red[i] + np.float32(LUMA_GREEN) * green[i]
        y = y + np.float32(LUMA_BLUE) * blue[i] + np.float32(LUMA_HALF)
        luma[i] = np.uint8(np.int32(y * np.float32(LUMA_UNIT)))
    whole = n - n % 4
    for i in range(0, whole, 4):
        histograms[0, luma[i]] += 1
        histograms[1, luma[i + 1]] += 1
        histograms[2, luma[i + 2]] += 1
        histograms[3, luma[i + 3]] += 1
    for i in range(whole, n):
        histograms[0, luma[i]] += 1


@kernel
def sum_colours(red: F32, green: F32, blue: F32, sums: F64) -> None:
    """Add the colour statistics of n pixels to `sums`."""
    one, zero = np.float32(1), np.float32(0)
    s_r = s_g = s_b = s_rg = s_yb = s_sat = zero
    c_r = c_g = c_b = c_c = zero
    for i in range(red.shape[0]):
        r, g, b = red[i], green[i], blue[i]
        s_r += r
        s_g += g
        s_b += b
        rg, yb, turn = r - g, r + g - b - b, b - r
        s_rg += rg * rg
        s_yb += yb * yb
        high, low = max(r, g, b), min(r, g, b)
        d = high - low
        s_sat += d / max(high, one)
        # Single & so that nothing branches; the hue's sector comes from differences alone.
        hue = (high >= np.float32(LEAST_VALUE)) & (d >= high * np.float32(LEAST_SATURATION))
        is_red = hue & (r == high) & (abs(g - b) * np.float32(3) <= d)
        is_green = hue & (g == high) & (turn * np.float32(6) >= -d * np.float32(5))
        is_green &= turn * np.float32(2) <= d
        is_blue = hue & (b == high) & (rg * np.float32(3) <= d)
        c_r += one if is_red else zero
        c_g += one if is_green else zero
        c_b += one if is_blue else zero
        c_c += one if d > np.float32(GREY_TOLERANCE) else zero
    sums[SUM_RED] += s_r
    sums[SUM_GREEN] += s_g
    sums[SUM_BLUE] += s_b
    sums[SUM_RG2] += s_rg
    sums[SUM_YB2] += s_yb
    sums[SUM_SATURATION] += s_sat
    sums[COUNT_RED] += c_r
    sums[COUNT_GREEN] += c_g
    sums[COUNT_BLUE] += c_b
    sums[COUNT_COLOURED] += c_c


@kernel
def box_weights(size: int, out_size: int, first: I64, weights: F32) -> None:
    """Fill, for each of `out_size` boxes over `size` pixels, its first pixel and its weights.

    `weights` is (taps, out_size); they sum to 1 for each box. Boxes smaller than a pixel
    repeat it (enlarging).
    """
    step = size / out_size
    taps = weights.shape[0]
    for x in range(out_size):
        left, right = x * step, min((x + 1) * step, size * 1.0)
        start = min(int(left), size - 1)
        first[x] = start
        for t in range(taps):
            part = min(right, start + t + 1.0) - max(left, start + t * 1.0)
            weights[t, x] = np.float32(max(part, 0.0) / (right - left))


@kernel
def box_taps(size: int, out_size: int) -> int:
    """Return the most pixels that one of `out_size` boxes over `size` pixels touches."""
    return min(int(np.ceil(size / out_size)) + 1, size)


@kernel
def shrink_row(row: F32, first: I64, weights: F32, out: F32) -> None:
    """Apply the boxes of `box_weights` to one row, padded by as many zeros as there are taps."""
    if weights.shape[0] == 3:  # scales from 1 to 2: most photos; twice as fast unrolled
        for x in range(out.shape[0]):
            k = first[x]
            out[x] = weights[0, x] * row[k] + weights[1, x] * row[k + 1] + weights[2, x] * row[k + 2]
        return
    out[:] = np.float32(0)
    for t in range(weights.shape[0]):
        for x in range(out.shape[0]):
            out[x] += weights[t, x] * row[first[x] + t]


@kernel
def scan(image: U8, sums: F64, histograms: I64, small: F32) -> None:
    """Read an (h, w, 3) image once: its statistics, and its area average into `small`.

    `small` is (3, rows, columns), no larger than the image. Each of its pixels is the
    average of the (fractional) box it covers.
    """
    height, width = image.shape[0], image.shape[1]
    rows, columns = small.shape[1], small.shape[2]
    flat = image.reshape(-1)
    band = min(max(1, BAND_PIXELS // width), height)
    planes = np.empty((3, band * width), np.float32)
    luma = np.empty(band * width, np.uint8)
    first = np.empty(columns, np.int64)
    weights = np.empty((box_taps(width, columns), columns), np.float32)
    lines = np.zeros((3, width + weights.shape[0]), np.float32)
    box_weights(width, columns, first, weights)
    step = height / rows
    j = 0
    for start in range(0, height, band):
        stop = min(start + band, height)
        n = (stop - start) * width
        red, green, blue = planes[0, :n], planes[1, :n], planes[2, :n]
        planes_of(flat[start * width * 3 :], red, green, blue)
        count_luma(red, green, blue, luma, histograms)
        sum_colours(red, green, blue, sums)
        if rows == height and columns == width:
            for c in range(3):
                small[c, start:stop] = planes[c, :n].reshape((stop - start, width))
            continue
        for y in range(start, stop):
            at = (y - start) * width
            top = y * 1.0
            while j < rows:
                bottom = height * 1.0 if j == rows - 1 else (j + 1) * step
                weight = np.float32((min(bottom, y + 1.0) - top) / step)
                for c in range(3):
                    source, line = planes[c, at : at + width], lines[c]
                    for x in range(width):
                        line[x] += weight * source[x]
                if bottom > y + 1:
                    break
                for c in range(3):
                    shrink_row(lines[c], first, weights, small[c, j])
                lines[:] = np.float32(0)
                top = bottom
                j += 1
                if bottom >= y + 1:
                    break


@kernel
def shrink(image: F32, out: F32) -> None:
    """Area-average (c, h, w) planes into `out`; pixels are repeated where `out` is larger."""
    height, width = image.shape[1], image.shape[2]
    rows, columns = out.shape[1], out.shape[2]
    across_first = np.empty(columns, np.int64)
    across = np.empty((box_taps(width, columns), columns), np.float32)
    box_weights(width, columns, across_first, across)
    down_first = np.empty(rows, np.int64)
    down = np.empty((box_taps(height, rows), rows), np.float32)
    box_weights(height, rows, down_first, down)
    line = np.zeros(width + across.shape[0], np.float32)
    for c in range(image.shape[0]):
        for j in range(rows):
            line[:] = np.float32(0)
            for t in range(down.shape[0]):
                weight = down[t, j]
                if weight > 0:
                    source = image[c, down_first[j] + t]
                    for x in range(width):
                        line[x] += weight * source[x]
            shrink_row(line, across_first, across, out[c, j])


@kernel
def to_bytes(image: F32, out: U8) -> None:
    """Round (3, h, w) planes in [0, 255] to (h, w, 3) bytes."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            for c in range(3):
                out[y, x, c] = np.uint8(np.int32(image[c, y, x] + np.float32(0.5)))


@kernel
def luma_plane(image: F32, out: F32) -> None:
    """Luma (ITU-R BT.601) of (3, h, w) planes."""
    red, green, blue, luma = (
        image[0].reshape(-1),
        image[1].reshape(-1),
        image[2].reshape(-1),
        out.reshape(-1),
    )
    for i in range(luma.shape[0]):
        luma[i] = np.float32(0.299) * red[i] + np.float32(0.587) * green[i] + np.float32(0.114) * blue[i]


@kernel
def edge_energies(luma: F32) -> tuple[float, float]:
    """Return the sums of squared Laplacian and squared gradient over a luma plane.

    Both are those of the grid graph (each pixel and its up to four neighbours), so borders
    need no special case and their ratio cannot exceed 8, whatever the size.
    """
    height, width = luma.shape
    laplacian, gradient = 0.0, 0.0
    for y in range(height):
        up, down = max(y - 1, 0), min(y + 1, height - 1)
        line_l, line_g = np.float32(0), np.float32(0)
        for x in range(1, width - 1):
            centre = luma[y, x]
            right, below = luma[y, x + 1] - centre, luma[down, x] - centre
            value = right + below + (luma[y, x - 1] - centre) + (luma[up, x] - centre)
            line_l += value * value
            line_g += right * right + below * below
        for x in (0, width - 1):
            centre = luma[y, x]
            left, right = luma[y, max(x - 1, 0)] - centre, luma[y, min(x + 1, width - 1)] - centre
            below = luma[down, x] - centre
            value = left + right + below + (luma[up, x] - centre)
            line_l += value * value
            line_g += right * right + below * below
            if width == 1:
                break
        laplacian += float(line_l)
        gradient += float(line_g)
    return laplacian, gradient


@kernel
def low_frequencies(luma: F32, basis: F32, out: F32) -> None:
    """Return the lowest DCT-II coefficients: `basis @ luma @ basis.T`."""
    frequencies, side = basis.shape
    rows = np.zeros((frequencies, side), np.float32)
    for u in range(frequencies):
        for y in range(side):
            weight = basis[u, y]
            for x in range(side):
                rows[u, x] += weight * luma[y, x]
    for u in range(frequencies):
        for v in range(frequencies):
            total = np.float32(0)
            for x in range(side):
                total += rows[u, x] * basis[v, x]
            out[u, v] = total
