"""The table of docs/guides/metrics.md, which is generated from the registry.

python tests/readme_tables.py --write
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import polars as pl

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "guides" / "metrics.md"
_METRICS = re.compile(r"(<!-- metrics:begin[^>]*-->\n).*?(<!-- metrics:end -->)", re.DOTALL)

_REPEATED = pl.col("level").is_in(["object", "classification"]) & pl.col("family").is_in(
    ["crops", "neighbours", "quality"]
)
"""Said of items already, but the class quality of objects."""
_LISTED = (pl.col("family") != "custom") & (
    ~_REPEATED | ((pl.col("family") == "quality") & (pl.col("level") == "object"))
)


def metrics_table() -> str:
    """Return the built-in metrics as a Markdown table."""
    from encord_active_widgets.metrics.registry import specs_frame

    lines = ["| of | metric | what it is | unit | range | how to read it |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['level']} | `{row['name']}` | {_cell(row['formula'])} | {row['unit'] or ''} "
        f"| {_range(row['low'], row['high'])} | {_cell(row['direction'])} |"
        for row in specs_frame().filter(_LISTED).iter_rows(named=True)
    ]
    return "\n".join(lines) + "\n"


def refreshed(text: str) -> str:
    """Return the guide with its table as it should be."""
    assert _METRICS.search(text), "docs/guides/metrics.md lacks the markers of its table"
    return _METRICS.sub(lambda m: m.group(1) + metrics_table() + m.group(2), text)


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f"{'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}".strip()


if __name__ == "__main__":
    new = refreshed(GUIDE.read_text("utf-8"))
    if "--write" in sys.argv:
        GUIDE.write_text(new, encoding="utf-8")
    sys.stdout.write(metrics_table())
