"""Pages of reports in a real browser: from the disk, without a network, in light and dark, narrow and printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

import encord_active_widgets as ea

from .browser import WatchedPage
from .conftest import SHOTS

AXE = """async () => (await axe.run()).violations
  .map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 140)).join(' | ')}`)"""
# Wider than the window: the page would scroll sideways. Tables scroll by themselves.
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
NOT_DRAWN = "() => [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"


@pytest.fixture(scope="module")
def pages(bccd_made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("pages")
    p = ea.open(bccd_made)
    compared = ea.compare_projects(p.items.head(120), p.sample(180, seed=4), names=("first 120", "any 180"))
    return {"report": p.report().to_html(home / "r.html"), "comparison": compared.to_html(home / "c.html")}


@pytest.fixture
def opened(context: BrowserContext) -> Iterator[WatchedPage]:
    context.set_offline(True)
    watched = WatchedPage(context.new_page(), SHOTS)
    yield watched
    assert [u for u in watched.requests if not u.startswith(("file:", "data:", "about:"))] == []
    assert watched.errors == []


def look(opened: WatchedPage, file: Path, scheme: str, width: int) -> Page:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(file.as_uri())
    assert page.evaluate(NOT_DRAWN) == []
    assert page.evaluate(TOO_WIDE) <= 0
    return page


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_page_is_readable_in_light_and_dark_and_nothing_is_wrong_with_it(
    opened: WatchedPage, pages: dict[str, Path], name: str, repository: Path
) -> None:
    axe = (repository / "js" / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
    for scheme in ("light", "dark"):
        page = look(opened, pages[name], scheme, 1280)
        opened.shot(f"{name}-{scheme}")
        page.evaluate(axe)  # through the debugger: the page's own policy lets no script in
        assert page.evaluate(AXE) == []
    ink, paper = page.evaluate(
        "() => [getComputedStyle(document.body).color, getComputedStyle(document.body).background]"
    )
    assert ink == "rgb(231, 233, 237)"
    assert "rgb(22, 24, 28)" in paper


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_page_fits_a_phone_and_paper(opened: WatchedPage, pages: dict[str, Path], name: str) -> None:
    page = look(opened, pages[name], "light", 360)
    opened.shot(f"{name}-phone")
    page.set_viewport_size({"width": 760, "height": 900})
    page.emulate_media(media="print", color_scheme="light")
    assert not page.locator("nav").is_visible()
    assert page.evaluate(TOO_WIDE) <= 0
    assert page.pdf().startswith(b"%PDF")
