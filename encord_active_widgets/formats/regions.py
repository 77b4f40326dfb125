"""What the regions of annotation tools have in common: numbers that are some, ellipses, and why a region is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..schema import KIND_POLYGON
from .geometry_columns import MOST_PX

_ELLIPSE_CORNERS = 64

Row = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """Why a region is no shape, and what to do."""

    why: str
    remedy: str


def number(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and abs(found) <= MOST_PX else None


def ellipse(centre: tuple[float, float], radii: tuple[float, float], angle: float) -> Row | Found:
    """Return an ellipse in pixels, turned by `angle` degrees clockwise, as a polygon."""
    if min(radii) <= 0:
        return Found("its ellipse has no area", "draw it again")
    turn = math.radians(angle)
    cos, sin = math.cos(turn), math.sin(turn)
    points: list[float] = []
    for i in range(_ELLIPSE_CORNERS):
        at = 2 * math.pi * i / _ELLIPSE_CORNERS
        a, b = radii[0] * math.cos(at), radii[1] * math.sin(at)
        points += [centre[0] + a * cos - b * sin, centre[1] + a * sin + b * cos]
    note = f"it is an ellipse, kept as a polygon of {_ELLIPSE_CORNERS} corners"
    return {"kind": KIND_POLYGON, "points": points, "note": note}
