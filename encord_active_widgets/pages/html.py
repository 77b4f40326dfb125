"""Pages that are read, not worked with: one HTML file, or a cell's output, without scripts or anything from elsewhere.

All text that comes from data passes `escape`; what goes in as `Html` is markup already.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NewType

import polars as pl

from .._version import __version__
from ..errors import DiskFullError, InputError
from ..store.writing import room_for

Html = NewType("Html", str)

# Colours are made of the text's own colour, so the same markup stands in a light page, a dark notebook and on paper.
_STYLE = """
.eaw-page { --line: color-mix(in srgb, currentColor 17%, transparent);
  --soft: color-mix(in srgb, currentColor 68%, transparent); --faint: color-mix(in srgb, currentColor 5%, transparent);
  --bar: #4a7fe0; --bad: #d23f31; --good: #23874b; --warn: #c9771b;
  max-width: 72rem; margin: 0 auto; line-height: 1.5; font-size: 15px;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
.eaw-page * { box-sizing: border-box; }
.eaw-page h1 { font-size: 1.75rem; line-height: 1.2; font-weight: 650; margin: 0 0 .35rem; overflow-wrap: anywhere; }
.eaw-page h2 { font-size: 1.3rem; line-height: 1.3; font-weight: 620; margin: 0; }
.eaw-page h3 { font-size: 1rem; line-height: 1.35; font-weight: 620; margin: 1.9rem 0 .5rem; }
.eaw-page p { margin: .3rem 0; max-width: 68ch; overflow-wrap: anywhere; }
.eaw-page .soft { color: var(--soft); }
.eaw-page .note { margin-top: 1.1rem; font-size: .93rem; } .eaw-page .note + .note { margin-top: .5rem; }
.eaw-page .bad { color: var(--bad); } .eaw-page .good { color: var(--good); }
.eaw-page code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; padding: .08em .3em;
  border-radius: 4px; background: var(--faint); color: inherit; }
.eaw-page nav { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: 1rem 0 0; font-size: .93rem; }
.eaw-page nav a { color: inherit; text-decoration-color: var(--line); text-underline-offset: .25em; }
.eaw-page nav a:hover { text-decoration-color: currentColor; }
.eaw-page a:focus-visible, .eaw-page summary:focus-visible, .eaw-page .scroll:focus-visible {
  outline: 2px solid var(--bar); outline-offset: 2px; border-radius: 2px; }
.eaw-page section, .eaw-page details.part { margin-top: 2.6rem; padding-top: 1.3rem;
  border-top: 1px solid var(--line); }
.eaw-page summary { cursor: pointer; }
.eaw-page details.part { margin-top: 0; padding: .75rem 0; }
.eaw-page details.part > summary h2 { display: inline; font-size: 1.1rem; }
.eaw-page details.part > summary .soft { margin-left: .6rem; }
.eaw-page details.more { margin-top: 1.1rem; }
.eaw-page details.more > summary { color: var(--soft); }
.eaw-page dl.told { display: grid; grid-template-columns: max-content 1fr; gap: .55rem 1.6rem; margin: 1.5rem 0 0;
  padding: 1.1rem 1.4rem; border-radius: 10px; background: var(--faint); }
.eaw-page dl.told dt { padding-top: .34rem; }
.eaw-page dl.told dd { font-size: inherit; font-weight: inherit; line-height: inherit; min-width: 0; }
.eaw-page ul.told { list-style: none; margin: 0; padding: 0; }
.eaw-page ul.told li { position: relative; margin: 0; padding: .28rem 0 .28rem 1.25rem; overflow-wrap: anywhere; }
.eaw-page ul.told li::before { content: ""; position: absolute; left: 0; top: .82rem; width: .5rem; height: .5rem;
  border-radius: 50%; background: var(--soft); opacity: .55; }
.eaw-page ul.told li.good { color: inherit; }
.eaw-page ul.told li.warn::before { background: var(--warn); opacity: 1; }
.eaw-page ul.told li.good::before { background: var(--good); opacity: 1; }
.eaw-page dl.facts { display: flex; flex-wrap: wrap; gap: .9rem 2.8rem; margin: 1.1rem 0 .4rem; }
.eaw-page dl.facts div { min-width: 0; }
.eaw-page dt { color: var(--soft); font-size: .85rem; font-weight: 400; }
.eaw-page dd { margin: 0; font-size: 1.35rem; line-height: 1.3; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.eaw-page dd small { font-size: .8rem; font-weight: 400; color: var(--soft); }
.eaw-page .scroll { overflow-x: auto; margin-top: .8rem; }
.eaw-page table { border-collapse: collapse; width: auto; margin: 0; font-size: .9rem; color: inherit; border: 0; }
.eaw-page tr, .eaw-page tbody tr:nth-child(odd), .eaw-page tbody tr:hover { background: transparent; }
.eaw-page th, .eaw-page td { text-align: left; padding: .38rem 1.9rem .38rem 0; border: 0;
  border-bottom: 1px solid var(--line); vertical-align: top; font-weight: 400; max-width: 34rem;
  overflow-wrap: break-word; white-space: normal; }
.eaw-page thead th { color: var(--soft); font-size: .85rem; vertical-align: bottom; }
.eaw-page tbody th { font-weight: 550; }
.eaw-page thead th, .eaw-page td.verdict { white-space: nowrap; }
.eaw-page .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.eaw-page td.share { min-width: 9.5rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
.eaw-page td.share i { display: inline-block; vertical-align: baseline; height: .62em; margin-right: .5em;
  border-radius: 2px; background: var(--bar); }
.eaw-page .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 16.5rem), 1fr));
  align-items: start; gap: 1.2rem 1.2rem; margin-top: .9rem; }
.eaw-page .charts.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 31rem), 1fr)); gap: 1.8rem 2rem; }
.eaw-page .charts img { display: block; max-width: 100%; height: auto; margin: 0; }
.eaw-page .tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.6rem, 1fr)); gap: 1rem .9rem;
  margin: .7rem 0 0; padding: 0; list-style: none; }
.eaw-page figure { margin: 0; min-width: 0; }
.eaw-page .tiles li { margin: 0; min-width: 0; }
.eaw-page .tiles img, .eaw-page .tiles .none { display: block; width: 100%; height: 7.6rem; object-fit: contain;
  border-radius: 6px; background: var(--faint); margin: 0; }
.eaw-page figcaption { font-size: .75rem; line-height: 1.4; margin-top: .3rem; overflow-wrap: anywhere; }
.eaw-page figcaption b { display: block; font-weight: 500; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.eaw-page figcaption span { color: var(--soft); display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 4; overflow: hidden; }
.eaw-page .stacks { display: grid; grid-template-columns: repeat(auto-fill, minmax(17.5rem, 1fr)); gap: 1rem 1.6rem; }
.eaw-page .stacks .tiles { grid-template-columns: repeat(auto-fill, minmax(6.2rem, 1fr)); gap: .5rem;
  margin-top: .4rem; }
.eaw-page .stacks .tiles img { height: 6.2rem; }
.eaw-page footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .85rem; }
@media (max-width: 40rem) {
  .eaw-page dl.told { grid-template-columns: 1fr; gap: 0; padding: .7rem 1.1rem 1rem; }
  .eaw-page th, .eaw-page td { padding-right: 1.1rem; }
  .eaw-page td.share { min-width: 8rem; }
}
@media print {
  .eaw-page { font-size: 12px; max-width: none; }
  .eaw-page nav { display: none; }
  .eaw-page h2, .eaw-page h3 { break-after: avoid; }
  .eaw-page figure, .eaw-page tr, .eaw-page ul.told li, .eaw-page dl.facts,
  .eaw-page .charts > * { break-inside: avoid; }
  .eaw-page section { margin-top: 1.4rem; padding-top: .8rem; }
  .eaw-page details::details-content { content-visibility: visible; block-size: auto; }
  .eaw-page .scroll { overflow: visible; }
  .eaw-page ul.told li::before, .eaw-page td.share i { print-color-adjust: exact; }
}
"""
_DOCUMENT_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; padding: 2.2rem clamp(1rem, 4vw, 2.5rem) 3rem; color: light-dark(#1b1e24, #e7e9ed);
  background: light-dark(#ffffff, #16181c); }
.eaw-page { --bar: light-dark(#2f66d8, #6f9ff5); --bad: light-dark(#a8121f, #ff8f8f);
  --good: light-dark(#14672f, #7fd69a); --warn: light-dark(#c26a00, #f0a93c); }
@media print { :root { color-scheme: light; font-size: 12.5px; } body { padding: 0; } }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

MOST_ROWS = 20
"""Of a table on a page; the frame behind it has all."""


def document(title: str, body: Html) -> str:
    """Return a whole page: it follows its reader's light or dark theme, and prints.

    Parameters
    ----------
    title : str
        Of the window.
    body : Html
        What is on it.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="generator" content="encord_active_widgets {escape(__version__)}">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{_STYLE}{_DOCUMENT_STYLE}</style>
</head>
<body>
<main class="eaw-page">
{body}</main>
</body>
</html>
"""


def inline(body: Html) -> str:
    """Return what a notebook shows below a cell: the same markup, in the colours of the notebook."""
    return f'<div class="eaw-page"><style>{_STYLE}</style>\n{body}</div>'


def write_page(text: str, path: str | os.PathLike[str], example: str) -> Path:
    """Write a page; the file is whole or not there.

    Raises
    ------
    InputError
        The path is a folder, or cannot be written.
    """
    target = Path(path).expanduser()
    if target.is_dir():
        raise InputError(f'"{target}" is a folder.', f'Give a file, such as "{target / example}".')
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with room_for(f'"{target}"'):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, "utf-8")
            temporary.replace(target)
    except DiskFullError:
        raise
    except OSError as error:
        raise InputError(f'"{target}" cannot be written: {error}.', "Give a file in a folder of yours.") from error
    finally:
        if temporary.is_file():
            temporary.unlink()
    return target


def made_at() -> str:
    """Return the time to the minute, in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(" ", "minutes").removesuffix("+00:00") + " UTC"


# -- pieces -----------------------------------------------------------------------------------------


def head(title: str, told: str) -> Html:
    """Return the heading, and a line below it."""
    return Html(f'<header>\n<h1>{escape(title)}</h1>\n<p class="soft">{escape(told)}</p>\n</header>\n')


def paragraph(text: str, kind: str = "") -> Html:
    """Return a paragraph; what stands between backticks is code."""
    return Html(f"<p{_classed(kind)}>{marked_up(text)}</p>\n")


def marked_up(text: str) -> Html:
    """Escape a text; what stands between backticks becomes code.

    >>> marked_up("call `p.compute()` & wait")
    'call <code>p.compute()</code> &amp; wait'
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a lone one is a character as any other
        return Html(escape(text))
    return Html("".join(f"<code>{escape(p)}</code>" if i % 2 else escape(p) for i, p in enumerate(parts)))


def told(groups: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> Html:
    """Return sentences, group by group, each a name and sentences with their kind: "warn", "good" or ""."""
    parts = []
    for name, sentences in groups:
        items = "".join(f"<li{_classed(kind)}>{_unbroken(text)}</li>\n" for text, kind in sentences)
        if items:
            parts.append(f'<dt>{escape(name)}</dt>\n<dd><ul class="told">\n{items}</ul></dd>\n')
    return Html(f'<dl class="told">\n{"".join(parts)}</dl>\n') if parts else Html("")


def _unbroken(text: str) -> str:
    """Return a sentence whose per cents, pixels and p-values do not end up alone on the next line."""
    return re.sub(r"(?<=\d) (?=%|px)|(?<=\bp) (?=[=<] ?\d)|(?<=\bKS) (?=\d)", "\u00a0", marked_up(text))


def facts(values: Sequence[tuple[str, str, str]]) -> Html:
    """Return a few large numbers: each a name, a value, and a remark behind it."""
    parts = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f' <small>{escape(more)}</small>' if more else ''}</dd>"
        "</div>\n"
        for name, value, more in values
    )
    return Html(f'<dl class="facts">\n{"".join(parts)}</dl>\n') if values else Html("")


@dataclass(frozen=True)
class Column:
    """How a column of a frame stands in a table.

    Attributes
    ----------
    name : str
        In the frame.
    title : str
        Above it; the name by default.
    form : str
        "text", "code", "share" (0 to 1, drawn as a bar too), "verdict" (coloured by its kind), or a format of numbers
        such as ",d" or ".3f".
    """

    name: str
    title: str = ""
    form: str = "text"


def table(
    frame: pl.DataFrame,
    columns: Sequence[Column],
    label: str,
    *,
    most: int = MOST_ROWS,
    kinds: Mapping[str, str] | None = None,
) -> Html:
    """Return rows of a frame as a table that scrolls sideways where it is wide.

    Parameters
    ----------
    frame : pl.DataFrame
    columns : sequence of Column
        Those to show, the one that names the row first.
    label : str
        What is in it, for readers who cannot see it.
    most : int
        Rows to show.
    kinds : mapping of str to str, optional
        "good", "bad" or "soft" for each verdict.
    """
    shown = [c for c in columns if c.name in frame.columns]
    top = "".join(
        f'<th scope="col"{_classed("number" if _is_number(c) else "")}>{escape(c.title or c.name)}</th>' for c in shown
    )
    rows = "".join(f"<tr>{_cells(row, shown, kinds or {})}</tr>\n" for row in frame.head(most).iter_rows(named=True))
    more = frame.height - most
    rest = f'<p class="soft">… and {more:,} more.</p>\n' if more > 0 else ""
    return Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">\n<table>\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n{rest}"
    )


def _cells(row: Mapping[str, Any], columns: Sequence[Column], kinds: Mapping[str, str]) -> str:
    first, *others = columns
    cells = "".join(_cell(row[c.name], c, kinds) for c in others)
    return f'<th scope="row">{_value(row[first.name], first)}</th>{cells}'


def _cell(value: Any, column: Column, kinds: Mapping[str, str]) -> str:
    if column.form == "verdict":
        kind = kinds.get(str(value), "")
        return f"<td{_classed(f'verdict {kind}'.strip())}>{escape(str(value))}</td>"
    if column.form == "share" and value is not None:
        width = min(max(float(value), 0.0), 1.0) * 4.2
        bar = f'<i style="width:{width:.2f}rem"></i>' if width > 0 else ""
        return f'<td class="share">{bar}{_value(value, column)}</td>'
    return f"<td{_classed('number' if _is_number(column) else '')}>{_value(value, column)}</td>"


def _value(value: Any, column: Column) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "–"
    if column.form == "share":
        return escape(percent(float(value), 1.0))
    if column.form == "code":
        return f"<code>{escape(str(value))}</code>"
    if column.form == "text" or isinstance(value, str):
        return marked_up(str(value))
    return escape(format(value, column.form).replace("-", "−"))


def _is_number(column: Column) -> bool:
    return column.form not in ("text", "code", "share", "verdict")


def _classed(kind: str) -> str:
    return f' class="{escape(kind)}"' if kind else ""


# -- numbers in words -------------------------------------------------------------------------------


def percent(n: float, total: float) -> str:
    """Return a share in per cent, with the digits it deserves; never 0 or 100 where it is not.

    >>> [percent(n, 1000) for n in (0, 0.2, 3, 34, 120, 999.9, 1000)]
    ['0 %', '0.02 %', '0.3 %', '3.4 %', '12 %', '99.9 %', '100 %']
    """
    if total <= 0 or n <= 0:
        return "0 %"
    share = 100 * n / total
    if n >= total:
        return "100 %"
    if share > 99:
        return f"{min(share, 99.9):.1f} %"
    return f"{share:.0f} %" if share >= 9.95 else f"{share:.2g} %" if share < 0.95 else f"{share:.1f} %"


def counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "image"), counted(2000, "class")
    ('1 image', '2,000 classes')
    """
    plural = f"{noun}es" if noun.endswith(("s", "x", "ch")) else f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"


def number(value: float | None) -> str:
    """Return a number with three digits that count, as people write it.

    >>> [number(v) for v in (0.12345, 45.0, 1234.5, 3e6, 0.0, None)]
    ['0.123', '45', '1,230', '3,000,000', '0', '–']
    """
    if value is None or math.isnan(value):
        return "–"
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


__all__ = [
    "MOST_ROWS", "Column", "Html", "counted", "document", "facts", "head", "inline", "made_at", "marked_up", "number",
    "paragraph", "percent", "table", "told", "write_page",
]  # fmt: skip
