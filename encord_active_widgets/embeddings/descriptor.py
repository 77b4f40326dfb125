r"""The built-in descriptor: an embedding of classical parts, without weights or torch.

It finds images of similar layout, shapes and colours. A learned embedding (CLIP, DINO, your
own model) knows what things *are* and is better for anything semantic: hand one over with
`p.embeddings["mine"] = vectors`.

Parts, on the image area-averaged to 32x32:

edges (400 values)
    Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): gradients of the square
    root of luma, 16 signed orientations, 5x5 cells with linear interpolation in place and
    angle, each cell divided by the energy of its 3x3 neighbours. Then the values are
    compressed by a power of 0.7 (Perronnin et al., ECCV 2010, use 0.5), and each is expressed
    as its distance from what its orientation has on average, in deviations: natural images
    have more horizontal and vertical edges, which would hide the rest.
chroma (32 values)
    Means of Cb and Cr in 4x4 cells (the colour layout of MPEG-7, without its transform),
    at 0.3 of the length of the edges.

The whole is L2-normalised, so a dot product is a cosine. Weights and sizes were chosen by
leave-one-out 15-nearest-neighbour accuracy; `benchmarks/bench_descriptor.py` prints the table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DESCRIPTOR_NAME = "descriptor"
DESCRIPTOR_VERSION = 1

SIDE_PX = 32
"""Side of the square copy that is described."""

CELLS = 5
ORIENTATIONS = 16
CHROMA_CELLS = 4
EDGE_DIM = CELLS * CELLS * ORIENTATIONS
CHROMA_DIM = CHROMA_CELLS * CHROMA_CELLS * 2
DESCRIPTOR_DIM = EDGE_DIM + CHROMA_DIM

BLOCK_FLOOR = 1.0
"""Energy that counts as noise: blocks without edges are not blown up."""

POWER = 0.7
CHROMA_WEIGHT = 0.3
CHROMA_FLOOR = 0.003
"""Squared length of chroma that counts as noise: greys have none."""

# Mean and deviation of the compressed edge values in photographs, for angles of 0, 22.5, 45,
# 67.5 and 90 degrees between gradient and row. The other quadrants mirror them.
_QUADRANT_MEAN = (0.0908, 0.0792, 0.0791, 0.0831, 0.0990)
_QUADRANT_SPREAD = (0.0714, 0.0591, 0.0615, 0.0599, 0.0769)


def usual_edges() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return mean and deviation of edge values for each of the 16 orientations."""
    quarter = ORIENTATIONS // 4
    turn = np.arange(ORIENTATIONS) % (2 * quarter)
    folded = np.minimum(turn, 2 * quarter - turn)
    mean = np.array(_QUADRANT_MEAN, np.float32)[folded]
    return mean, np.array(_QUADRANT_SPREAD, np.float32)[folded]


def descriptor(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Describe one image.

    Parameters
    ----------
    pixels : ndarray, (h, w, 3) uint8
        RGB.

    Returns
    -------
    ndarray, (DESCRIPTOR_DIM,) float32
        Of length 1, for any image of at least one pixel.
    """
    from ..metrics.pixels import planes
    from .describe import describe

    out = np.empty(DESCRIPTOR_DIM, np.float32)
    describe(planes(pixels, SIDE_PX), out)
    return out
