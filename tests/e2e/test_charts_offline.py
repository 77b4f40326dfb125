"""Charts of an evaluation draw without a network, where the last line of a cell is one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from .browser import NotebookPage, WatchedPage

pytest.importorskip("altair")

_EVALUATION = """
from types import SimpleNamespace
import polars as pl
from encord_active_widgets.charts import ModelCharts
rows = [(None, 5), ("cat", 4), ("<img src=x onerror=alert(1)>", 3)]
curves = pl.DataFrame([
    {"class_name": name, "iou": 0.5, "confidence": 1 - i / 10, "precision": 1 - i / 20, "recall": i / (n + 8),
     "f1": i / 20} for name, n in rows for i in range(1, 10)
], schema_overrides={"class_name": pl.String})
names = ["background", "cat", "<img src=x onerror=alert(1)>"]
ev = SimpleNamespace(
    curves=curves,
    best=curves.filter(pl.col("confidence") < 0.15),
    per_class=pl.DataFrame({"class_name": names[1:], "ap": [0.7, 0.4], "labels": [10, 20]}),
    confusion_frame=pl.DataFrame(
        [{"label": a, "prediction": b, "count": 3 + 40 * (a == b)} for a in names for b in names]
    ),
)
ev.plot = ModelCharts(ev)
""".strip()


# A chart is drawn once its canvas has pixels of many colours: an empty one is transparent.
_DRAWN = """n => {
  const charts = [...document.querySelectorAll('.vega-embed canvas')];
  return charts.length === n && charts.every(canvas => {
    const {width, height} = canvas;
    if (!width) return false;
    const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    return new Set(new Uint32Array(pixels.buffer)).size > 100;
  });
}"""
_CELLS = [_EVALUATION, "ev.plot.curves()", "ev.plot.confusion()", "ev.plot.curves() | ev.plot.f1()"]
_TIMEOUT_MS = 20_000


@pytest.mark.parametrize("host", ["notebook", "classic"])
def test_charts_draw_offline_in_jupyter(host: str, request: pytest.FixtureRequest) -> None:
    page: NotebookPage = request.getfixturevalue(host)  # which fails where anything asks off this machine
    page.open(_CELLS, f"charts-{host}")
    page.page.wait_for_function(_DRAWN, arg=3, timeout=_TIMEOUT_MS)
    page.shot(f"charts-{host}")
    menu = page.page.locator(".vega-actions").first.text_content() or ""
    assert "Save as PNG" in menu
    assert "Editor" not in menu, "it would send the data to a website"
    page.page.locator(".vega-embed canvas").nth(1).hover(position={"x": 200, "y": 130})  # the cell in the middle
    tip = page.page.locator("#vg-tooltip-element.visible")
    tip.get_by_text("<img src=x onerror=alert(1)>").first.wait_for()
    assert tip.locator("img").count() == 0, "a name of a class became markup"


def test_charts_draw_offline_in_marimo(marimo_app: Callable[[str], WatchedPage]) -> None:
    cells = [_EVALUATION, *_CELLS[1:3]]
    body = "".join(
        f"\n@app.cell\ndef _({'' if i == 0 else 'ev'}):\n{textwrap.indent(cell, '    ')}\n"
        f"    return{' (ev,)' if i == 0 else ''}\n"
        for i, cell in enumerate(cells)
    )
    page = marimo_app(f"import marimo\napp = marimo.App()\n{body}\nif __name__ == '__main__':\n    app.run()\n")
    page.page.wait_for_function(_DRAWN, arg=2, timeout=_TIMEOUT_MS)
    page.shot("charts-marimo")
