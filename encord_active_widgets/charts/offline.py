"""A chart that notebooks draw without a network: Altair's specification, in the words that hosts know."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from ..errors import InputError

CHARTS_REMEDY = 'pip install "encord_active_widgets[charts]"'
# As far from white as from JupyterLab's black: 4.3 to 1. A saved picture is read on either.
GREY = "#767a80"
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
# JupyterLab 4, Notebook 7 and VS Code draw this type with libraries of their own, but not Vega-Lite 6, which
# Altair 6 writes (https://github.com/microsoft/vscode-notebook-renderers/issues/241). These charts hold to what both
# versions know. Altair's own renderer asks a CDN.
_MIME = "application/vnd.vegalite.v5+json"
# A picture is laid out before it is known which font its reader has: with a wide one, no reader's names are cut off.
_MEASURED_WITH = "Verdana"
_PICTURE_PADDING = {"left": 2, "top": 2, "bottom": 2, "right": 12}
_DRAWN_AS = "5.20"
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
# No "Open in Vega Editor": it would send the data to a website.
_EMBED = {"actions": {"export": True, "source": False, "compiled": False, "editor": False}}

_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": _FONT,
    "padding": 8,
    "view": {"stroke": None},
    "title": {
        "color": GREY, "subtitleColor": GREY, "anchor": "start", "fontSize": 14, "fontWeight": 600,
        "subtitleFontSize": 12, "offset": 12,
    },
    "axis": {
        "labelColor": GREY, "titleColor": GREY, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500,
        "gridColor": GREY, "gridOpacity": 0.2, "domainColor": GREY, "domainOpacity": 0.6, "tickColor": GREY,
        "tickOpacity": 0.6, "labelLimit": 140,
    },
    "legend": {
        "labelColor": GREY, "titleColor": GREY, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500,
        "labelLimit": 120, "symbolStrokeWidth": 2.5,
    },
    "header": {"labelColor": GREY, "titleColor": GREY},
    "text": {"color": GREY},
}  # fmt: skip


class OfflineChart:
    """An Altair chart that notebooks draw without a network, in light and dark.

    The last line of a cell draws it. `a | b` puts two side by side, `a & b` one below the other.

    Attributes
    ----------
    chart : alt.Chart, alt.LayerChart or a concatenation
        As Altair builds it, without colours of text and background: for building on.
    """

    def __init__(self, chart: Any) -> None:
        self.chart = chart

    @property
    def altair(self) -> Any:
        """The finished chart of Altair, colours included; shown by Altair's own renderer."""
        chart = self.chart.copy()
        own = {} if is_undefined(chart.config) else _dict(chart.config)
        chart.config = _merged(_CONFIG, own)
        return chart

    def to_dict(self) -> dict[str, Any]:
        """Return the specification, one that both Vega-Lite 5 and 6 draw."""
        spec: dict[str, Any] = self.chart.to_dict(context={"pre_transform": False})  # whatever transformer is on
        spec["config"] = _merged(_CONFIG, spec.get("config", {}))
        spec["usermeta"] = _merged({"embedOptions": _EMBED}, spec.get("usermeta", {}))
        spec["$schema"] = _SCHEMA
        return spec

    def properties(self, **properties: Any) -> OfflineChart:
        """Return the chart with other properties of Altair: `width` and `height` in pixels, `title`."""
        return OfflineChart(self.chart.properties(**properties))

    def save(self, file: str | Path, **options: Any) -> None:
        """Write the chart to a file: .html, .json, .png, .svg or .pdf.

        Parameters
        ----------
        file : str or Path
        **options
            Of Altair's `save`: `scale_factor` of pictures; `inline=True` makes a .html that needs no network.
        """
        options["json_kwds"] = {"cls": _ScriptSafe, **options.get("json_kwds", {})}
        self.altair.save(str(file), **options)

    def to_svg(self) -> str:
        """Return the chart as a picture of SVG: no script, no network, for light and dark.

        Raises
        ------
        InputError
            The package that draws is not installed.
        """
        spec = self.to_dict()
        spec["config"] = _merged(spec["config"], {"padding": _PICTURE_PADDING, "font": _MEASURED_WITH})
        return _lean(load_vl_convert().vegalite_to_svg(spec, vl_version=_DRAWN_AS))

    def __or__(self, other: Any) -> OfflineChart:
        return _together(load_altair().hconcat(self.chart, _bare(other)))

    def __and__(self, other: Any) -> OfflineChart:
        return _together(load_altair().vconcat(self.chart, _bare(other)))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002
        if "google.colab" in sys.modules:  # draws HTML only, and is online by nature
            html = self.altair.to_html(
                fullhtml=False,
                output_div=f"chart-{uuid4().hex}",
                embed_options=dict(_EMBED),
                json_kwds={"cls": _ScriptSafe},
            )
            return {"text/html": html, "text/plain": repr(self)}
        return {_MIME: self.to_dict(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        title = self.chart.title
        text = "of Altair" if is_undefined(title) else getattr(title, "text", title)
        return f"<chart {text!r}: a notebook draws it; elsewhere use .save('chart.html')>"


class _ScriptSafe(json.JSONEncoder):
    """JSON that can stand in a script: a class named `</script>` does not end it."""

    def encode(self, o: Any) -> str:
        return super().encode(o).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def load_altair() -> ModuleType:
    """Return Altair.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import altair as alt
    except ImportError as error:
        raise InputError("Charts need Altair.", CHARTS_REMEDY) from error
    return alt


def load_vl_convert() -> ModuleType:
    """Return the package that draws charts without a browser.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise InputError("Pictures of charts need vl-convert.", CHARTS_REMEDY) from error
    return vl_convert


def can_draw() -> bool:
    """Tell whether charts can be made and drawn here."""
    from importlib.util import find_spec

    return find_spec("altair") is not None and find_spec("vl_convert") is not None


_TAG = re.compile(r"<[a-zA-Z][^<>]*>")
_SPOKEN = re.compile(r' (?:aria-[a-z]+|role|class|pointer-events)="[^"]*"')
"""What a picture on a page has no use for: half of the text. Its own alternative text says what it is."""
_MEASURED = f'font-family="{_MEASURED_WITH}"'
_READ_IN = f"font-family='{_FONT}'"


def _lean(svg: str) -> str:
    return _TAG.sub(lambda tag: _SPOKEN.sub("", tag[0]).replace(_MEASURED, _READ_IN), svg)


def _together(chart: Any) -> OfflineChart:
    return OfflineChart(chart.resolve_scale(color="independent", strokeDash="independent"))


def _bare(other: Any) -> Any:
    return other.chart if isinstance(other, OfflineChart) else other


def is_undefined(value: Any) -> bool:
    """Tell whether Altair holds nothing here."""
    return value is load_altair().Undefined


def _dict(config: Any) -> dict[str, Any]:
    found: dict[str, Any] = config if isinstance(config, dict) else config.to_dict()
    return found


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return both, the second first where they differ."""
    out = dict(below)
    for key, value in above.items():
        known = out.get(key)
        out[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return out
