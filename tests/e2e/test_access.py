"""Who has no mouse, little room, other colours or other eyes gets the same explorer. Run on exported pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, expect

import encord_active_widgets as ea

from .conftest import SHOTS
from .explorer import EXPLORER, ExplorerPage
from .test_look import CLIPPED

SETTLE_MS = 600
Open = Callable[..., ExplorerPage]


@pytest.fixture(scope="module")
def page_file(scenes_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's images as one file, with the first twenty tagged."""
    import shutil

    p = ea.open(shutil.copytree(scenes_made, tmp_path_factory.mktemp("access") / "scenes.eaw"))
    p.items.head(20).tag("first ones")
    return Path(p.to_html(p.path.with_suffix(".html")).path)


@pytest.fixture
def shown(browser: Browser, page_file: Path) -> Iterator[Open]:
    contexts: list[BrowserContext] = []

    def start(width: int = 1280, height: int = 800, **options: object) -> ExplorerPage:
        context = browser.new_context(viewport={"width": width, "height": height}, bypass_csp=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.goto(page_file.as_uri())
        return ExplorerPage(page, page.locator(EXPLORER)).settled()

    yield start
    for context in contexts:
        context.close()


def host(e: ExplorerPage) -> Locator:
    return e.part("map").locator(".map-host")


def zoomed_in(e: ExplorerPage) -> int:
    """Zoom the map by keys until pictures are shown; return how many are."""
    e.part("map").locator(".map-overlay").focus()
    for _ in range(24):
        if int(host(e).get_attribute("data-pictures") or 0):
            break
        e.page.keyboard.press("+")
        e.page.wait_for_timeout(SETTLE_MS / 3)
    e.page.wait_for_timeout(SETTLE_MS)
    return int(host(e).get_attribute("data-pictures") or 0)


def test_the_map_is_read_and_selected_by_keys_alone(shown: Open) -> None:
    e = shown()
    keys = e.page.keyboard
    e.part("map").locator(".map-overlay").focus()
    keys.press("v")
    everything = e.expect_some_selected()
    keys.press("Escape")
    e.expect_selected(0)
    for _ in range(12):  # wherever the points of this map are, some stay on the screen
        keys.press("+")
    said = e.root.locator("[role=status].visually-hidden")
    expect(said).to_have_text(re.compile(r"images? on the screen"))
    keys.press("v")
    assert 0 < e.expect_some_selected() < everything


def test_zoomed_in_points_become_pictures_that_one_can_click_and_switch_off(shown: Open) -> None:
    e = shown()
    assert zoomed_in(e) > 0
    e.page.keyboard.press("m")
    expect(host(e)).to_have_attribute("data-pictures", "0")
    expect(e.part("map-pictures")).to_have_attribute("aria-pressed", "false")
    e.page.keyboard.press("m")
    expect(host(e)).not_to_have_attribute("data-pictures", "0")
    e.lasso()
    e.expect_some_selected()


def test_names_are_those_of_tags_or_none(shown: Open) -> None:
    e = shown()
    for choice, count in (("tags", "1"), ("no names", "0")):
        e.part("map-names").click()
        e.root.get_by_role("radio", name=choice, exact=True).check()
        e.page.keyboard.press("Escape")
        expect(host(e)).to_have_attribute("data-labels", count)


@pytest.mark.parametrize(("name", "width", "height", "ratio"), [("zoom-200", 640, 400, 2), ("cell-360", 360, 640, 1)])
def test_little_room_cuts_nothing_off(shown: Open, name: str, width: int, height: int, ratio: int) -> None:
    e = shown(width, height, device_scale_factor=ratio)
    e.page.screenshot(path=SHOTS / f"access-{name}.png")
    assert e.root.evaluate(CLIPPED) == []
    assert e.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


def test_forced_colours_still_show_what_is_pressed(shown: Open) -> None:
    e = shown(forced_colors="active")
    e.page.screenshot(path=SHOTS / "access-forced.png")
    color = "b => getComputedStyle(b).backgroundColor"
    assert e.part("tool-lasso").evaluate(color) != e.part("tool-box").evaluate(color)


@pytest.mark.parametrize("state", ["names", "columns", "copy", "zoomed"])
def test_axe_is_content_with_menus_and_pictures(shown: Open, repository: Path, state: str) -> None:
    for scheme in ("light", "dark"):
        e = shown(color_scheme=scheme, reduced_motion="reduce")
        if state == "zoomed":
            zoomed_in(e)
            e.page.keyboard.press("v")
        else:
            e.part({"names": "map-names", "columns": "facet-picker", "copy": "copy"}[state]).click()
        e.page.add_script_tag(path=repository / "js" / "node_modules" / "axe-core" / "axe.min.js")
        found = e.page.evaluate("async () => (await axe.run()).violations.map(v => `${v.id}: ${v.nodes[0].html}`)")
        assert found == [], scheme
