"""Pages that the build makes: a page a metric, and those that the root of the repository holds already.

Called by MkDocs (`hooks` in mkdocs.yml). A new metric gets its page, and a new file in `docs/guides` its place in the
navigation, by themselves.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from gallery import Ends, Gallery, Shown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from encord_active_widgets.metrics.registry import MetricSpec, registered

ROOT = Path(__file__).resolve().parents[2]
FROM_ROOT = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples/index.md",
}
HIDE_NAVIGATION = "---\nhide:\n  - navigation\n---\n\n"
LEVELS = {"item": "Of images", "object": "Of objects", "classification": "Of class answers"}
VIEWS = {"item": "p", "object": "p.objects", "classification": "p.classifications"}
_TABLE_ROW = re.compile(r"^\| (item|object|classification) \| `(\w+)` \|", re.MULTILINE)
_MARKDOWN_LINK = re.compile(r"\]\((?!\w+:|#)([^)#]+)(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put metrics, and guides that mkdocs.yml does not name, into the navigation."""
    nav: list[dict[str, Any]] = config.nav or []
    for section in nav:
        if "Guides" in section:
            listed = {page for entry in section["Guides"] for page in entry.values()}
            found = sorted(f"guides/{f.name}" for f in (ROOT / "docs" / "guides").glob("*.md"))
            section["Guides"] += [page for page in found if page not in listed]
        if "Metrics" in section:
            section["Metrics"] += [
                {title: [{s.title: _page(s)} for s in registered(level)]} for level, title in LEVELS.items()
            ]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of the root and the pages of metrics with their pictures."""
    for name, page in FROM_ROOT.items():
        text = (HIDE_NAVIGATION if page == "index.md" else "") + _relinked((ROOT / name).read_text("utf-8"))
        files.append(File.generated(config, page, content=text))
    for example in sorted((ROOT / "examples").glob("*.ipynb")):  # to be downloaded
        files.append(File.generated(config, f"examples/{example.name}", abs_src_path=str(example)))
    picture = ROOT / "examples" / "quickstart.png"
    files.append(File.generated(config, "assets/quickstart.png", abs_src_path=str(picture)))
    with tempfile.TemporaryDirectory(prefix="gallery-") as folder:
        gallery = Gallery(Path(folder))
        for spec in registered():
            text = metric_page(spec, gallery.ends(spec))
            files.append(File.generated(config, _page(spec), content=text))
    for key, picture_bytes in gallery.tiles.items():
        files.append(File.generated(config, f"metrics/pictures/{key}.jpg", content=picture_bytes))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Link the names in the table of metrics to their pages."""
    if page.file.src_uri != "guides/metrics.md":
        return markdown
    return _TABLE_ROW.sub(lambda m: f"| {m[1]} | [`{m[2]}`](../metrics/{m[1]}/{m[2]}.md) |", markdown)


def on_post_build(*, config: MkDocsConfig) -> None:
    """Write the search index as a script too: a page opened from the disk may not read JSON."""
    folder = Path(config.site_dir) / "search"
    index = (folder / "search_index.json").read_text("utf-8")
    (folder / "search_index.js").write_text(f"var __index = {index}", "utf-8")


def metric_page(spec: MetricSpec, ends: Ends | None) -> str:
    """Return the page of a metric."""
    facts = [
        ("formula", spec.formula),
        ("unit", spec.unit or "none"),
        ("range", _range(spec)),
        ("how to read it", spec.direction),
        ("version", f"{spec.version}; values of an earlier one are computed again"),
        ("source", spec.source),
    ]
    lines = [
        f"# {spec.title}",
        "",
        f"`{spec.name}`, a number {LEVELS[spec.level].lower()}, of the family *{spec.family}*.",
        "",
        "| | |",
        "|---|---|",
        *(f"| **{name}** | {_cell(text)} |" for name, text in facts),
        "",
    ]
    if spec.good_for:
        lines += [f"**Good for.** {_plain(spec.good_for)}", "", f"**Mind.** {_plain(spec.pitfalls)}", ""]
    if ends is not None:
        lines += [*_gallery("Lowest", ends.low), *_gallery("Highest", ends.high)]
        low, middle, high = (ends.values.quantile(q) for q in (0.05, 0.5, 0.95))
        lines += [
            f"Of {ends.values.len()} drawn here: median {_number(middle)}, 90 % in {_number(low)} … {_number(high)}.",
            "",
        ]
    lines += ["## Ask for them", "", "```python", *_calls(spec), "```", ""]
    return "\n".join(lines)


def _calls(spec: MetricSpec) -> list[str]:
    view = VIEWS[spec.level]
    return [
        f'{view}.sort("{spec.name}").head(12)  # the lowest',
        f'{view}.sort("{spec.name}", descending=True).head(12).tag("look")  # the highest',
        f'{view}.explore(color="{spec.name}", sort="{spec.name}")',
    ]


def _gallery(title: str, shown: list[Shown]) -> list[str]:
    figures = [
        line
        for tile in shown
        for line in (
            "<figure markdown>",
            f"![{tile.said}: {_number(tile.value)}](../pictures/{tile.key}.jpg)",
            f"<figcaption>{_number(tile.value)}</figcaption>",
            "</figure>",
        )
    ]
    return [f"## {title}", "", '<div class="gallery" markdown>', *figures, "</div>", ""]


def _page(spec: MetricSpec) -> str:
    return f"metrics/{spec.level}/{spec.name}.md"


def _range(spec: MetricSpec) -> str:
    low, high = spec.range or (None, None)
    return f"{'−∞' if low is None else f'{low:g}'} … {'∞' if high is None else f'{high:g}'}"


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _plain(text: str) -> str:
    """Keep `*`, `_` and `|` of a formula from being markup."""
    return re.sub(r"([*_|<])", r"\\\1", text)


def _cell(text: str) -> str:
    return _plain(text).replace("\n", " ")


def _relinked(text: str) -> str:
    """Turn links that hold in the root of the repository into links of the site."""

    def moved(found: re.Match[str]) -> str:
        target, anchor = found[1], found[2] or ""
        if target in FROM_ROOT:
            target = FROM_ROOT[target]
        elif target.startswith("examples/") and target.endswith(".png"):
            target = f"assets/{Path(target).name}"
        else:
            target = target.removeprefix("docs/")
        return f"]({target}{anchor})"

    return _MARKDOWN_LINK.sub(moved, text)
