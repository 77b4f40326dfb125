"""The documentation runs as written, covers what there is, and its site is whole and fetches nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from encord_active_widgets.metrics.registry import specs_frame

from . import documents

ROOT = Path(__file__).resolve().parent.parent
NOT_RUN = {"reference", "metrics"}
"""Folders of pages without a story: they are made from docstrings and the registry."""
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name not in NOT_RUN),
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return documents.draw(ROOT, tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_page_runs_as_written(page: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from encord_active_widgets.metrics import registry

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_custom", {})
    monkeypatch.syspath_prepend(ROOT / "examples")
    documents.copy_pictures(drawn, tmp_path)
    scope = documents.run(page)
    if page.name == "README.md":
        assert scope["p"].tags.filter(tag="duplicate")["count"].item() > 0  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: a warning fails."""
    pytest.importorskip("mkdocstrings", reason='the site needs the extra: pip install "encord_active_widgets[docs]"')
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


class Loaded(HTMLParser):
    """What a page makes a browser fetch: scripts, styles, fonts, pictures, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        if tag in {"script", "img", "iframe", "source", "video", "audio", "embed"} and of.get("src"):
            self.addresses.append(of["src"] or "")
        if tag == "link" and of.get("rel") in {"stylesheet", "preload", "preconnect", "dns-prefetch", "icon"}:
            self.addresses.append(of.get("href") or "")


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    outside, missing = set(), set()
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        for address in loaded.addresses:
            if re.match(r"(\w+:)?//", address):
                outside.add((page.name, address))
            elif page.name != "404.html" and not address.startswith("data:"):
                file = page.parent / address.split("?")[0].split("#")[0]
                missing |= set() if file.exists() else {(page.name, address)}
    assert outside == set()
    assert missing == set()
    for style in site.rglob("*.css"):
        assert re.findall(r"@import|url\(\s*[\"']?(?:https?:)?//", style.read_text("utf-8")) == [], style.name


def test_every_metric_has_a_page_with_its_formula_and_pictures_at_both_ends(site: Path) -> None:
    built_in = specs_frame().filter(pl.col("family") != "custom")
    poor = []
    for row in built_in.iter_rows(named=True):
        page = (site / "metrics" / row["level"] / f"{row['name']}.html").read_text("utf-8")
        words = set(re.findall(r"[a-zA-Z]{4,}", re.sub(r"<[^>]+>", " ", page)))
        lowest, _, highest = page.partition('id="highest"')
        ends = [len(re.findall(r"pictures/[\w-]+\.jpg", part)) for part in (lowest, highest)]
        if min(ends) < 1 or not set(re.findall(r"[a-zA-Z]{4,}", row["formula"])) <= words:
            poor.append((row["level"], row["name"], ends))
    assert poor == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    import encord_active_widgets as ea

    reference = "".join(p.read_text("utf-8") for p in (site / "reference").glob("*.html"))
    anchors = set(re.findall(r'id="(encord_active_widgets[\w.]*)"', reference))
    last = {a.rpartition(".")[2] for a in anchors}
    renamed = {"open": "open_project", "__version__": "Project"}
    assert {n for n in ea.__all__ if renamed.get(n, n) not in last and n != "embedders"} == set()
    assert {"onnx", "torch", "clip"} <= last
