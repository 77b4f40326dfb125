"""The frame of a page: everything in it is its own, and its policy lets nothing in from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from .._version import __version__
from ..errors import EawError

SCRIPT = Path(__file__).parent.parent / "static" / "offline.js"
_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b1e24, #e7e9ed); --paper: light-dark(#ffffff, #16181c);
  --line: light-dark(#e2e5e9, #33373e); --soft: light-dark(#5d6673, #a2a9b4); --accent: light-dark(#2459c9, #7ba6ff);
  --on-accent: light-dark(#ffffff, #10131a); --hover: light-dark(#f2f4f7, #2a2e35);
  --bad: light-dark(#a8121f, #ff8f8f); }
* { box-sizing: border-box; }
html, body { height: 100%; }
body { margin: 0; display: flex; flex-direction: column; color: var(--ink); background: var(--paper);
  font: 13px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 14px; padding: 9px 14px;
  border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 15px; font-weight: 600; overflow-wrap: anywhere; }
header p { margin: 0; color: var(--soft); }
header .room { flex: 1; }
header button { align-self: center; font: inherit; font-weight: 600; padding: 4px 12px; border-radius: 5px;
  cursor: pointer; color: var(--ink); background: transparent; border: 1px solid var(--line); }
header button:hover:enabled { background: var(--hover); }
header button.ready { color: var(--on-accent); background: var(--accent); border-color: var(--accent); }
header button:disabled { color: var(--soft); cursor: default; }
header button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
main { flex: 1; min-height: 0; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.said { margin: 2rem auto; max-width: 40rem; padding: 0 1rem; font-size: 15px; }
.bad { color: var(--bad); }
@media (forced-colors: active) { header button.ready { border-color: Highlight; } }
@media print { header button { display: none; } }
"""


def page(*, title: str, told: str, blocks: Iterable[str]) -> Iterator[str]:
    """Yield the text of a page, piece by piece.

    Parameters
    ----------
    title : str
        Its heading.
    told : str
        What it holds, in one line.
    blocks : iterable of str
        The elements that carry the data.

    Raises
    ------
    EawError
        The script is not built.
    """
    script = offline_script()
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(_STYLE)}; img-src blob: data:; "
        "base-uri 'none'; form-action 'none'"
    )
    yield f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="encord_active_widgets {escape(__version__)}">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>{escape(told)}</p>
</header>
<main id="explorer">
<h2 class="unseen">Explorer</h2>
<p class="said" id="said">Opening…</p>
<noscript><p class="said">This page needs JavaScript. It loads nothing: all of it is in this file.</p></noscript>
</main>
"""
    yield from blocks
    yield f"<script>{script}</script>\n</body>\n</html>\n"


def offline_script() -> str:
    """Return the page's script.

    Raises
    ------
    EawError
        It is not built.
    """
    try:
        script = SCRIPT.read_text("utf-8")
    except FileNotFoundError as error:
        raise EawError(
            f'The script "{SCRIPT}" is missing.',
            "In a checkout run `make setup`; otherwise reinstall encord_active_widgets from a wheel.",
        ) from error
    if "</script" in script.lower() or "<!--" in script:
        raise EawError(f'"{SCRIPT}" would end its own element.', "Build it again: python js/bundle.py --force.")
    return script


def _hash(text: str) -> str:
    """Return the source expression that allows exactly this inline text (Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
