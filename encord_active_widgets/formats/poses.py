"""What models say about keypoints beside their place: a visibility or a score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SURE = 0.5
VISIBILITIES = (0, 1, 2)


def are_scores(values: NDArray[np.float64]) -> bool:
    """Tell whether third values of keypoints are scores: some are no whole numbers."""
    return bool((values != np.round(values)).any())


def seen(values: NDArray[Any], *, scores: bool) -> list[int]:
    """Return visibilities: 0 absent, 1 hidden, 2 visible.

    Scores above 0.5 are visible, others above 0 hidden, 0 and below absent: so for COCO results,
    `ea.Prediction` and Ultralytics alike.
    """
    found = np.where(values > _SURE, 2, np.where(values > 0, 1, 0)) if scores else np.asarray(values, np.int64)
    return [int(v) for v in found]
