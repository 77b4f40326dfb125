"""What the mirrored image would have as its hash and its descriptor, without looking at it again.

Mirroring left and right turns the sign of every odd horizontal frequency, and keeps the others: bits of the
perceptual hash flip. A gradient at the angle a comes to lie in the mirrored cell at the angle 180 degrees - a:
values of the descriptor change places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..embeddings.descriptor import CELLS, CHROMA_CELLS, DESCRIPTOR_DIM, EDGE_DIM, ORIENTATIONS
from .hashes import PHASH_BITS, PHASH_FREQUENCIES, low_frequency_order


def mirrored_hashes(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the perceptual hashes of the mirrored images, (n,) uint64.

    Two bits may come out otherwise than by mirroring the pixels: where a frequency is all but absent.
    """
    odd = low_frequency_order() % PHASH_FREQUENCIES % 2 == 1
    flips = sum(1 << (PHASH_BITS - 1 - int(bit)) for bit in np.flatnonzero(odd))
    return hashes ^ np.uint64(flips)


def mirrored_order() -> NDArray[np.int64]:
    """Return where the values of a mirrored image's descriptor stand in the image's own, (432,).

    Examples
    --------
    >>> order = mirrored_order()
    >>> bool((order[order] == np.arange(len(order))).all())
    True
    """
    out = np.empty(DESCRIPTOR_DIM, np.int64)
    edges = np.arange(EDGE_DIM).reshape(CELLS, CELLS, ORIENTATIONS)
    turned = (ORIENTATIONS // 2 - np.arange(ORIENTATIONS)) % ORIENTATIONS
    out[:EDGE_DIM] = edges[:, ::-1][:, :, turned].ravel()
    chroma = EDGE_DIM + np.arange(DESCRIPTOR_DIM - EDGE_DIM).reshape(CHROMA_CELLS, CHROMA_CELLS, 2)
    out[EDGE_DIM:] = chroma[:, ::-1].ravel()
    return out
