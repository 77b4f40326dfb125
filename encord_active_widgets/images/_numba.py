"""The one place that knows numba: kernels are compiled once, cached on disk, and free the lock.

Import this module (and modules of kernels) inside functions: numba takes half a second.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")

_SOURCES = (
    "embeddings/describe.py",
    "embeddings/descriptor.py",
    "evaluation/information.py",
    "evaluation/keypoints.py",
    "evaluation/matching.py",
    "evaluation/shapes.py",
    "evaluation/statistics.py",
    "formats/brush.py",
    "formats/json_kernels.py",
    "images/_numba.py",
    "metrics/alignment.py",
    "metrics/geometry.py",
    "metrics/hashes.py",
    "metrics/kernels.py",
    "metrics/masks.py",
    "metrics/overlap.py",
    "metrics/rotated.py",
    "metrics/shapes.py",
    "metrics/sharpness.py",
    "metrics/whole.py",
)
"""Every file that holds kernels or constants they use (a test checks that none is missing)."""


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function over arrays: cached on disk, without the interpreter's lock.

    `fastmath` lets sums be vectorised; kernels therefore see finite numbers only.
    """
    return _compiled(function, fastmath=True)


def exact_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like `kernel`, but with every operation as IEEE 754 has it: a ratio on a threshold stays there."""
    return _compiled(function, fastmath=False)


def _compiled(function: Callable[P, R], *, fastmath: bool) -> Callable[P, R]:
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to cache in (read-only home): compiled in each process
        return cast("Callable[P, R]", numba.njit(**options)(function))
    # numba asks only whether the function's own file changed, but kernels call kernels of
    # other files: without this an upgrade could run old machine code.
    # https://numba.readthedocs.io/en/stable/developer/caching.html#limitations
    with contextlib.suppress(AttributeError):
        compiled._cache._cache_file._source_stamp = _sources_stamp()
    return cast("Callable[P, R]", compiled)


@cache
def _sources_stamp() -> str:
    """Return a hash of all sources of machine code."""
    package = Path(__file__).parent.parent
    digest = hashlib.blake2b(digest_size=16)
    for source in _SOURCES:
        digest.update((package / source).read_bytes())
    return digest.hexdigest()
