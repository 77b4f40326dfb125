"""The descriptor's compiled loops. What they compute and why stands in `descriptor.py`."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..images._numba import kernel
from .descriptor import (
    BLOCK_FLOOR,
    CELLS,
    CHROMA_CELLS,
    CHROMA_FLOOR,
    CHROMA_WEIGHT,
    DESCRIPTOR_DIM,
    EDGE_DIM,
    ORIENTATIONS,
    POWER,
    SIDE_PX,
    usual_edges,
)

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

USUAL_MEAN, USUAL_SPREAD = usual_edges()
MAX_LEVEL = 255.0
TINY = 1e-12
LEAST_GRADIENT = 1e-3
"""Sum of gradients below which an image is flat: what rounding alone can make."""


def pooling(cells: int) -> tuple[npt.NDArray[np.int64], F32]:
    """Return for each pixel its two nearest cells and their triangular weights.

    Shapes (SIDE_PX, 2). Beyond the outer cells' centres a pixel counts for one cell less.
    """
    place = (np.arange(SIDE_PX) + 0.5) * cells / SIDE_PX - 0.5
    lower = np.floor(place).astype(np.int64)
    cell = np.stack([lower, lower + 1], axis=1)
    share = (place - lower)[:, np.newaxis]
    weight = np.concatenate([1.0 - share, share], axis=1)
    weight[(cell < 0) | (cell >= cells)] = 0.0
    return np.clip(cell, 0, cells - 1), weight.astype(np.float32)


EDGE_CELL, EDGE_SHARE = pooling(CELLS)
CHROMA_CELL, CHROMA_SHARE = pooling(CHROMA_CELLS)


@kernel
def describe(image: F32, out: F32) -> None:
    """Describe (3, 32, 32) planes in [0, 255]; `out` has `DESCRIPTOR_DIM` values, of length 1."""
    if not standardise(edges(image, out[:EDGE_DIM]), out[:EDGE_DIM]):
        # No edges, no direction: flat images differ by their brightness alone.
        angle = np.float32(math.pi / 2 / MAX_LEVEL) * image[1].mean()
        out[:EDGE_DIM] = np.float32(0)
        out[0], out[1] = np.cos(angle), np.sin(angle)
    chroma(image, out[EDGE_DIM:DESCRIPTOR_DIM])
    total = 0.0
    for k in range(DESCRIPTOR_DIM):
        total += out[k] * out[k]
    scale = np.float32(1.0 / math.sqrt(total))
    for k in range(DESCRIPTOR_DIM):
        out[k] *= scale


@kernel
def edges(image: F32, out: F32) -> np.float32:
    """Fill in histograms of orientation in cells, and return the sum of all gradients."""
    root = np.empty((SIDE_PX, SIDE_PX), np.float32)
    for y in range(SIDE_PX):
        for x in range(SIDE_PX):
            luma = (
                np.float32(0.299) * image[0, y, x]
                + np.float32(0.587) * image[1, y, x]
                + np.float32(0.114) * image[2, y, x]
            )
            root[y, x] = np.sqrt(luma * np.float32(1.0 / MAX_LEVEL))
    size = np.empty(SIDE_PX, np.float32)
    turn = np.empty(SIDE_PX, np.float32)
    cells = np.zeros((CELLS, CELLS, ORIENTATIONS), np.float32)
    for y in range(SIDE_PX):
        up, down = max(y - 1, 0), min(y + 1, SIDE_PX - 1)
        for x in range(SIDE_PX):
            across = root[y, min(x + 1, SIDE_PX - 1)] - root[y, max(x - 1, 0)]
            along = root[down, x] - root[up, x]
            size[x] = np.sqrt(across * across + along * along)
            turn[x] = orientation(across, along)
        for x in range(SIDE_PX):
            low = min(int(turn[x]), ORIENTATIONS)
            share = turn[x] - np.float32(low)
            low = low % ORIENTATIONS
            high = (low + 1) % ORIENTATIONS
            for i in range(2):
                for j in range(2):
                    weight = size[x] * EDGE_SHARE[y, i] * EDGE_SHARE[x, j]
                    cell = cells[EDGE_CELL[y, i], EDGE_CELL[x, j]]
                    cell[low] += weight * (np.float32(1) - share)
                    cell[high] += weight * share
    normalise_blocks(cells, out.reshape((CELLS, CELLS, ORIENTATIONS)))
    return np.float32(cells.sum())


@kernel
def orientation(across: np.float32, along: np.float32) -> np.float32:
    """Angle of a gradient in [0, ORIENTATIONS], by a polynomial of atan (error < 1e-4 turns).

    Coefficients: Abramowitz and Stegun 4.4.47.
    """
    a, b = abs(across), abs(along)
    ratio = min(a, b) / max(a, b, np.float32(TINY))
    s = ratio * ratio
    angle = ratio * (
        np.float32(0.9998660)
        + s
        * (
            np.float32(-0.3302995)
            + s * (np.float32(0.1801410) + s * (np.float32(-0.0851330) + s * np.float32(0.0208351)))
        )
    )
    angle = np.float32(math.pi / 2) - angle if b > a else angle
    angle = np.float32(math.pi) - angle if across < 0 else angle
    angle = np.float32(2 * math.pi) - angle if along < 0 else angle
    return angle * np.float32(ORIENTATIONS / (2 * math.pi))


@kernel
def normalise_blocks(cells: F32, out: F32) -> None:
    """Divide each cell by the energy of its 3x3 neighbours (edge cells repeat)."""
    energy = np.zeros((CELLS, CELLS), np.float32)
    for y in range(CELLS):
        for x in range(CELLS):
            for o in range(ORIENTATIONS):
                energy[y, x] += cells[y, x, o] * cells[y, x, o]
    for y in range(CELLS):
        for x in range(CELLS):
            block = np.float32(BLOCK_FLOOR)
            for i in range(-1, 2):
                for j in range(-1, 2):
                    block += energy[min(max(y + i, 0), CELLS - 1), min(max(x + j, 0), CELLS - 1)]
            scale = np.float32(1) / np.sqrt(block)
            for o in range(ORIENTATIONS):
                out[y, x, o] = cells[y, x, o] * scale


@kernel
def standardise(gradients: np.float32, values: F32) -> bool:
    """Compress, and express each value as its distance from what photos usually have.

    Returns False, and leaves the values, where there are no gradients.
    """
    if gradients < np.float32(LEAST_GRADIENT):
        return False
    total = np.float32(0)
    for k in range(EDGE_DIM):
        total += values[k] * values[k]
    scale = np.float32(1) / np.sqrt(max(total, np.float32(TINY)))
    total = np.float32(0)
    for k in range(EDGE_DIM):
        o = k % ORIENTATIONS
        value = ((values[k] * scale) ** np.float32(POWER) - USUAL_MEAN[o]) / USUAL_SPREAD[o]
        values[k] = value
        total += value * value
    scale = np.float32(1) / np.sqrt(max(total, np.float32(TINY)))
    for k in range(EDGE_DIM):
        values[k] *= scale
    return True


@kernel
def chroma(image: F32, out: F32) -> None:
    """Layout of the chroma channels (Cb, Cr of BT.601) in a coarse grid."""
    grid = out.reshape((CHROMA_CELLS, CHROMA_CELLS, 2))
    weights = np.zeros((CHROMA_CELLS, CHROMA_CELLS), np.float32)
    grid[:] = np.float32(0)
    unit = np.float32(1.0 / MAX_LEVEL)
    for y in range(SIDE_PX):
        for x in range(SIDE_PX):
            r, g, b = image[0, y, x] * unit, image[1, y, x] * unit, image[2, y, x] * unit
            blue = np.float32(-0.168736) * r - np.float32(0.331264) * g + np.float32(0.5) * b
            red = np.float32(0.5) * r - np.float32(0.418688) * g - np.float32(0.081312) * b
            for i in range(2):
                for j in range(2):
                    weight = CHROMA_SHARE[y, i] * CHROMA_SHARE[x, j]
                    row, column = CHROMA_CELL[y, i], CHROMA_CELL[x, j]
                    grid[row, column, 0] += weight * blue
                    grid[row, column, 1] += weight * red
                    weights[row, column] += weight
    total = np.float32(CHROMA_FLOOR)
    for y in range(CHROMA_CELLS):
        for x in range(CHROMA_CELLS):
            for c in range(2):
                value = grid[y, x, c] / weights[y, x]
                grid[y, x, c] = value
                total += value * value
    scale = np.float32(CHROMA_WEIGHT) / np.sqrt(total)
    for k in range(out.shape[0]):
        out[k] *= scale
