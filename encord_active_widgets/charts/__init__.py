"""Charts: Altair specifications that notebooks draw without a network."""

from .model import MOST_BARS, MOST_COUNTED_CELLS, MOST_CURVES, MOST_PANELS, ModelCharts
from .offline import OfflineChart
from .parts import MOST_CELLS, POINTS

__all__ = [
    "MOST_BARS", "MOST_CELLS", "MOST_COUNTED_CELLS", "MOST_CURVES", "MOST_PANELS", "POINTS", "ModelCharts",
    "OfflineChart",
]  # fmt: skip
