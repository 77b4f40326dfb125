"""Hashes of content: exact (bytes) and perceptual (what the picture shows).

The perceptual hash is a DCT hash (Zauner, "Implementation and Benchmarking of Perceptual
Image Hash Functions", 2010, section 3.2.1): luma area-averaged to 32x32, its DCT-II, and for
each of 64 low frequencies the coefficient's sign. It differs in two points, both measured:
the frequencies are the 64 with the smallest u² + v² instead of a square of 8x8, and the bit
is the sign instead of "above the median". Both make unrelated images differ more at the same
tolerance to crops.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt

CONTENT_HASH_BYTES = 16
"""128 bits: an accidental collision among 10^12 images has a chance below 10^-14."""

PHASH_SIDE_PX = 32
PHASH_BITS = 64
PHASH_FREQUENCIES = 12
"""Frequencies in each direction; the 64 kept are the lowest of these 144, without the mean."""

PHASH_RADIUS = 10
"""Bits in which copies may differ: JPEG quality 30 (at most 2 on 200 photos), half size (1), a
2 % crop about the centre (7) or off one corner (11, and 99.8 % of them within 10).

Unrelated images of plain content can be as close: 97 of the 5 * 10^7 pairs of CIFAR-10's test
images are within 10 bits. Of those, the 40 whose descriptors are also within a cosine distance
of `CONFIRMING_DISTANCE` are the same picture, seen one by one; so a pair within the radius is
a candidate that the descriptor confirms (99 % of the copies above are within it).
"""

CONFIRMING_DISTANCE = 0.2
"""Cosine distance of the built-in descriptor at which a candidate is the same picture."""


def content_hash(data: bytes) -> str:
    """Return the BLAKE2b hash of a file's bytes as 32 hexadecimal characters.

    >>> len(content_hash(b"any bytes"))
    32
    """
    return hashlib.blake2b(data, digest_size=CONTENT_HASH_BYTES).hexdigest()


def dct_basis(frequencies: int, side: int) -> npt.NDArray[np.float32]:
    """Return the first rows of the orthonormal DCT-II of length `side`."""
    k = np.arange(frequencies)[:, np.newaxis]
    x = np.arange(side)[np.newaxis, :]
    basis = np.cos(math.pi * k * (2 * x + 1) / (2 * side)) * math.sqrt(2.0 / side)
    basis[k[:, 0] == 0] *= math.sqrt(0.5)
    return basis.astype(np.float32)


def low_frequency_order() -> npt.NDArray[np.int64]:
    """Return the `PHASH_BITS` positions (row-major in 12x12) of the hash, lowest first."""
    u, v = np.divmod(np.arange(PHASH_FREQUENCIES**2), PHASH_FREQUENCIES)
    return np.lexsort((u, u * u + v * v))[1 : PHASH_BITS + 1]


def hamming(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Return the number of differing bits of perceptual hashes, element by element.

    >>> int(hamming(np.uint64(0b1011), np.uint64(0b0010)))
    2
    """
    return np.bitwise_count(np.bitwise_xor(a, b))
