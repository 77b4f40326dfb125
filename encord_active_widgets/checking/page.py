"""The report of a check: one HTML file without scripts, links or anything from elsewhere."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from html import escape
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import polars as pl

from .._version import __version__
from ..errors import EawError, InputError
from ..schema import CLASS_NAME, CONTENT_HASH, ITEM_ID, OBJECT, URI
from ..store.folder import resolve_address

if TYPE_CHECKING:
    from ..project import Project
    from ..view import View
    from .result import CheckResult

_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e8eb); --paper: light-dark(#ffffff, #16191d);
  --line: light-dark(#d5d9de, #3a4047); --soft: light-dark(#59626c, #a0a8b1); --bad: light-dark(#a8121f, #ff8f8f);
  --good: light-dark(#14672f, #7fd69a); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); } .bad { color: var(--bad); } .good { color: var(--good); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .6rem; }
li { width: 9.5rem; } figure { margin: 0; } figcaption { font-size: .75rem; overflow-wrap: anywhere; }
svg { width: 100%; height: 7.5rem; display: block; background: light-dark(#eef0f2, #22272d); }
rect.mark { fill: none; stroke: #ff9500; stroke-width: 2; vector-effect: non-scaling-stroke; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_CLASSES = {"ok": "good", "nothing to measure": "soft"}


def write_page(result: CheckResult, project: Project, worst: Mapping[str, View], path: Path) -> Path:
    """Write the report; the file is whole or not there."""
    if path.is_dir():
        raise InputError(f'"{path}" is a folder.', f'Give a file, such as "{path / "check.html"}".')
    broken = [name for name in worst if name in result.broken]
    others = [name for name in worst if name not in broken]
    sections = [_section(result, project, name, worst[name]) for name in [*broken, *others]]
    text = _page(result, sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
    return path


def _page(result: CheckResult, sections: list[str]) -> str:
    name = escape(result.project)
    if result.ok:
        verdict = '<p class="good"><strong>All limits are kept.</strong></p>'
    else:
        listed = escape(", ".join(result.broken))
        verdict = f'<p class="bad"><strong>{len(result.broken)} broken: {listed}</strong></p>'
    at = dt.datetime.now(dt.UTC).isoformat(" ", "minutes").removesuffix("+00:00")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>Check of {name}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Check of {name}</h1>
<p class="soft">{at} UTC · encord_active_widgets {escape(__version__)}</p>
{verdict}
<div class="scroll" tabindex="0" role="region" aria-label="Limits">
<table>
<thead><tr><th scope="col">measure</th><th scope="col">value</th><th scope="col">limit</th>
<th scope="col">verdict</th><th scope="col">what it is</th></tr></thead>
<tbody>
{"".join(_row(row) for row in result.df.iter_rows(named=True))}</tbody>
</table>
</div>
{"".join(sections)}</main>
</body>
</html>
"""


def _row(row: dict[str, object]) -> str:
    value = "–" if row["value"] is None else f"{row['value']:.4g}"
    unit = f" {row['unit']}" if row["unit"] and row["value"] is not None else ""
    kind = _CLASSES.get(str(row["verdict"]), "bad")
    return (
        f'<tr><th scope="row">{escape(str(row["measure"]))}</th><td class="number">{value}{escape(unit)}</td>'
        f'<td class="number">{escape(str(row["direction"]))} {row["limit"]:g}</td>'
        f'<td class="{kind}">{escape(str(row["verdict"]))}</td>'
        f'<td>{escape(str(row["what"]))}<br><span class="soft">{escape(str(row["note"]))}</span></td></tr>\n'
    )


def _section(result: CheckResult, project: Project, name: str, view: View) -> str:
    row = result.df.row(by_predicate=pl.col("measure").eq(name) & pl.col("measure").is_first_distinct(), named=True)
    tiles = "".join(_tiles(project, view))
    return f"<section>\n<h2>{escape(name)}: {escape(row['what'])}</h2>\n<ul>\n{tiles}</ul>\n</section>\n"


def _tiles(project: Project, view: View) -> list[str]:
    frame = view.df
    columns = [ITEM_ID, CONTENT_HASH, "width", "height"]
    images = project.items.df.select(columns).rename({c: f"_{c}" for c in columns if c != ITEM_ID})
    rows = frame.join(images, on=ITEM_ID, how="left", maintain_order="left")
    stored = project._thumbnails.get(rows[f"_{CONTENT_HASH}"].fill_null("0" * 32).to_list())
    return [
        _tile(row, blob or _made(project, row[URI]), view.level)
        for row, blob in zip(rows.iter_rows(named=True), stored, strict=True)
    ]


def _made(project: Project, uri: str) -> bytes:
    """Make a small picture of an image that has none yet; empty where it cannot be read."""
    from ..images.address import read_bytes
    from ..images.decode import decode
    from ..images.thumbnails import encode_thumbnail

    try:
        return encode_thumbnail(decode(read_bytes(resolve_address(uri, project._bases))))
    except (EawError, OSError):
        return b""


def _tile(row: dict[str, object], blob: bytes, level: str) -> str:
    """Draw one example: the image, and around an object its box."""
    from ..images.thumbnails import sniff_mime

    title = PurePath(str(row[URI])).name
    shown = f"{title} · {row[CLASS_NAME]}" if row.get(CLASS_NAME) else title
    if row.get("suggested"):
        shown += f" → {row['suggested']}"
    elif row.get("error"):
        shown += f" ({row['error']})"
    width, height = row["_width"] or 1, row["_height"] or 1
    picture = ""
    if blob:
        data = f"data:{sniff_mime(blob)};base64,{base64.b64encode(blob).decode()}"
        picture = f'<image href="{data}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    mark = ""
    if level == OBJECT and row.get("x") is not None:
        mark = '<rect class="mark" ' + " ".join(
            f'{k}="{float(str(row[c])):g}"' for k, c in (("x", "x"), ("y", "y"), ("width", "w"), ("height", "h"))
        )
        mark += "/>"
    return (
        f'<li><figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(shown)}">{picture}{mark}</svg>'
        f"<figcaption>{escape(shown)}</figcaption></figure></li>\n"
    )
