"""A report as a page: what its sections hold, in HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from html import escape

from ..charts.offline import CHARTS_REMEDY, OfflineChart, can_draw
from ..errors import EawError, InputError
from ..pages.html import Html, facts, head, paragraph, table, told
from ..pages.pictures import gallery
from .report_parts import Block, Charts, Pictures, Rows, Section, Stacks

_MOST_SVG_BYTES = 250_000
"""A chart above would make the page heavy; its table is there."""
_NO_CHARTS = f"Charts are left out: they need `{CHARTS_REMEDY}`."


def body(title: str, line: str, headline: str, sections: Sequence[Section], *, cell: bool) -> Html:
    """Return the page's content; in a notebook's cell, sections are folded but for the first."""
    parts: list[str] = [head(title, line)]
    if not cell:
        links = "".join(f'<a href="#{s.key}">{escape(s.title)}</a>\n' for s in sections)
        parts.append(f'<nav aria-label="Sections">\n{links}</nav>\n')
    parts.append(told([("In all", [(headline, "")]), *((s.title, s.sentences) for s in sections)]))
    if not can_draw() and any(isinstance(b, Charts) for s in sections for b in s.blocks):
        parts.append(paragraph(_NO_CHARTS, "soft"))
    if cell:
        parts.append('<div style="margin-top:1.4rem">\n')
        parts += [_folded(s, open_=i == 0) for i, s in enumerate(sections)]
        parts.append("</div>\n")
    else:
        parts += [f'<section id="{s.key}">\n<h2>{escape(s.title)}</h2>\n{content(s)}</section>\n' for s in sections]
    return Html("".join(parts))


def _folded(section: Section, *, open_: bool) -> str:
    brief = " · ".join(f"{value} {name}" for name, value, _ in section.facts[:3])
    aside = f'<span class="soft">{escape(brief)}</span>' if brief else ""
    return (
        f'<details class="part"{" open" if open_ else ""}><summary><h2>{escape(section.title)}</h2> {aside}</summary>\n'
        f"{content(section)}</details>\n"
    )


def content(section: Section) -> Html:
    """Return a section without its heading; drawn once."""
    if not section.drawn:
        section.drawn = _content(section)
    return Html(section.drawn)


def _content(section: Section) -> Html:
    parts = [facts(section.facts), *(_block(b) for b in section.blocks)]
    parts += [paragraph(note, "soft note") for note in (*section.notes, *section.remarks)]
    return Html("".join(parts))


def _block(block: Block) -> str:
    if isinstance(block, Charts):
        return _charts(block)
    if isinstance(block, Rows):
        return _rows(block)
    if isinstance(block, Stacks):
        return _stacks(block)
    return _pictures(block)


def _charts(block: Charts) -> str:
    if not can_draw():
        return ""
    drawn = [chart_picture(name, make) for name, make in block.charts]
    shown = [d for d in drawn if d]
    title = f"<h3>{escape(block.title)}</h3>\n" if block.title else ""
    return f'{title}<div class="charts{" wide" if block.wide else ""}">\n{"".join(shown)}</div>\n' if shown else ""


def chart_picture(name: str, make: partial[OfflineChart] | object) -> str:
    """Draw a chart as a picture in the page; empty where there is nothing to draw."""
    try:
        svg = make().to_svg()  # type: ignore[operator]
    except InputError:
        return ""
    if len(svg) > _MOST_SVG_BYTES:
        return ""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="Chart: {escape(name)}">\n'


def _rows(block: Rows) -> str:
    if block.frame.is_empty():
        return ""
    rows = table(block.frame, block.columns, block.title or "Table", most=block.most)
    if block.folded:
        return f'<details class="more"><summary>{escape(block.title)}</summary>\n{rows}</details>\n'
    return (f"<h3>{escape(block.title)}</h3>\n" if block.title else "") + rows


def _pictures(block: Pictures) -> str:
    try:
        tiles = block.make()
    except EawError:  # a picture less is no reason for no report
        return ""
    if not tiles:
        return ""
    return f"<h3>{escape(block.title)}</h3>\n{paragraph(block.note, 'soft')}{gallery(tiles)}"


def _stacks(block: Stacks) -> str:
    stacks = block.make()
    if not stacks:
        return ""
    inner = "".join(f"<div>{paragraph(title, 'soft')}{gallery(tiles)}</div>\n" for title, tiles in stacks)
    return f'<h3>{escape(block.title)}</h3>\n{paragraph(block.note, "soft")}<div class="stacks">\n{inner}</div>\n'
