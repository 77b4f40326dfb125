r"""Sharpness in [0, 1]: how fine the edges of an image are, whatever its size and contrast.

The image is area-averaged to `WORKING_SIDE_PX` on its long side (smaller images are taken
as they are), so that the same photo at several resolutions gets the same value. On the luma
:math:`x` of that copy, with :math:`L` the Laplacian of the pixel grid's graph,

.. math:: r = \sqrt{\frac{\lVert Lx \rVert^2 - 20 n \sigma^2}{x^\top L x + n}},

the Laplacian's deviation normalised by the gradient's: the energy-weighted mean fineness of
the edges, the same at any contrast. The subtrahend is what rounding to 8 bits alone
contributes (:math:`\sigma^2` is its variance after averaging). The eigenvalues of L are at
most 8, so :math:`r \le \sqrt 8`, reached by a checkerboard. The fineness of a copy is
:math:`f = (1 + 1/\sqrt 8)\, r / (1 + r)`, and sharpness is 0.75 f at 256 px plus 0.25 f at
64 px, which still tells strong from extreme blur when no fine edge is left. Flat images have 0.

Gaussian blur damps high eigenvalues more than low ones, so sharpness falls monotonically
under it. `blur` is 1 - sharpness. Images smaller than 256 px are judged by the pixels they
have: an icon can be sharp, but its value does not compare with that of a photo.

Sources: Laplacian and gradient energies as focus measures: Pertuz, Puig and Garcia,
"Analysis of focus measure operators for shape-from-focus", Pattern Recognition 46 (2013),
LAP1/LAP4 and GRA1; Pech-Pacheco et al., ICPR 2000 (deviation of the Laplacian). Their
quotient, the fixed working size and the noise floor are this package's.
"""

from __future__ import annotations

import math

WORKING_SIDE_PX = 256
"""Long side of the copy that sharpness is computed on."""

COARSE_SIDE_PX = 64
COARSE_WEIGHT = 0.25
"""Share of the coarse copy: it tells strong blur from extreme blur, where no fine edge is left."""

NOISE_FLOOR = 1.0
"""Squared gradient (luma steps) that counts as noise: flat images are not divided by zero."""

ROUNDING_VARIANCE = (0.299**2 + 0.587**2 + 0.114**2) / 12.0
"""Variance of luma that rounding three channels to 8 bits makes (uniform errors)."""

LAPLACIAN_GAIN = 20.0
"""Energy of the Laplacian of white noise of variance 1: 4² + 4 · 1²."""

LARGEST_RATIO = math.sqrt(8.0)
"""Square root of the largest eigenvalue of the Laplacian of a pixel grid."""
