"""How the explorer looks and reads: widths, themes, accessibility. Screenshots are kept in `.shots`."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from .browser import NotebookPage, WatchedPage
from .explorer import ExplorerPage
from .test_main_job import opened

WIDTHS_PX = (640, 900, 1280, 1600)
CLIPPED = """root => {
  const out = [], frame = root.getBoundingClientRect();
  const controls = 'button, input, select, [role=gridcell], [role=tab]';
  const walk = node => { for (const el of node.querySelectorAll(controls)) {
    const box = el.getBoundingClientRect(), style = getComputedStyle(el);
    if (!box.width || style.visibility === 'hidden' || el.closest('[aria-hidden=true], [inert]')) continue;
    const scrolls = (() => { for (let p = el.parentElement; p; p = p.parentElement) {
      const s = getComputedStyle(p); if (/auto|scroll/.test(s.overflowX + s.overflowY)) return true;
    } return false; })();
    if (!scrolls && (box.left < frame.left - 1 || box.right > frame.right + 1)) out.push(el.outerHTML.slice(0, 120));
  } };
  walk(root.shadowRoot); return out;
}"""


def pixels(e: ExplorerPage) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(e.root.screenshot())).convert("L"), dtype=np.float64)


def violations(notebook: NotebookPage, axe: Path) -> list[str]:
    """Return what axe finds in the explorer."""
    notebook.page.add_script_tag(path=axe)
    found: list[str] = notebook.page.evaluate(
        """async () => (await axe.run('.eaw-explorer')).violations
          .map(v => `${v.id}: ${v.nodes.map(n => n.target).join(' ')}`)"""
    )
    return found


def test_it_fits_every_width_in_light_and_dark(notebook: NotebookPage, scenes: Path) -> None:
    notebook.open(opened(scenes, "w = p.explore(color='class_name', sort='sharpness'); w"), "look")
    e = notebook.explorer().wait_ready()
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.execute("apputils:change-theme", theme=theme)
        expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        for width in WIDTHS_PX:
            notebook.page.set_viewport_size({"width": width + 130, "height": 900})
            e.wait_ready()
            expect(e.part("map")).to_be_visible()
            name = f"{'dark' if 'Dark' in theme else 'light'}-{width}"
            notebook.shot(name, e.root)
            assert e.root.evaluate(CLIPPED) == [], f"cut off at {name}"
        mean = float(pixels(e).mean())
        assert mean < 110 if "Dark" in theme else mean > 145, "the explorer follows the theme"
    notebook.execute("apputils:change-theme", theme="JupyterLab Light")


def test_nothing_selected_and_nothing_matching_are_said(notebook: NotebookPage, scenes: Path) -> None:
    notebook.open(opened(scenes, "w = p.explore(filter=pl.col('brightness') > 2); w"), "nothing")
    e = notebook.explorer().wait_ready()
    e.expect_shown(0)
    expect(e.empty).to_be_visible()
    notebook.shot("nothing-matches", e.root)


@pytest.mark.parametrize("state", ["plain", "filtered", "detail", "keys"])
def test_axe_finds_nothing_to_complain_about(
    notebook: NotebookPage, scenes: Path, repository: Path, state: str
) -> None:
    axe = repository / "js" / "node_modules" / "axe-core" / "axe.min.js"
    assert axe.exists(), "axe-core is a development dependency of js/"
    notebook.open(opened(scenes, "w = p.explore(color='class_name'); w"), f"axe_{state}")
    e = notebook.explorer().wait_ready()
    if state == "filtered":
        notebook.run_cell("w.filter = (pl.col('brightness') < 0.6) & ~ea.untagged() | (pl.col('sharpness') > 0.2)")
        notebook.run_cell("w.selection = p.sample(20)")
        e.expect_selected(20)
    if state == "detail":
        e.tile(0).dblclick()
        expect(e.detail).to_be_visible()
    if state == "keys":
        e.tile(0).focus()
        notebook.page.keyboard.press("?")
        expect(e.keys_list).to_be_visible()
    e.wait_ready()
    found = violations(notebook, axe)
    notebook.shot(f"axe-{state}", e.root)
    assert found == []


def test_the_keyboard_alone_selects_tags_and_looks(notebook: NotebookPage, scenes: Path) -> None:
    notebook.open(opened(scenes, "w = p.explore(); w"), "keyboard")
    e = notebook.explorer().wait_ready()
    keys = notebook.page.keyboard
    e.tile(0).focus()
    keys.press("Space")
    e.expect_selected(1)
    keys.press("Shift+ArrowRight")
    keys.press("Shift+ArrowRight")
    e.expect_selected(3)
    keys.press("t")
    keys.type("by keys")
    keys.press("Enter")
    e.expect_saved()
    assert int(notebook.run_cell("len(p.filter(ea.tagged('by keys')))")) == 3
    e.tile(0).focus()
    keys.press("Enter")
    expect(e.detail).to_be_visible()
    keys.press("Escape")
    expect(e.detail).to_be_hidden()


def test_without_webgl_the_map_is_drawn_all_the_same(notebook: NotebookPage, scenes: Path) -> None:
    notebook.page.add_init_script(
        """const real = HTMLCanvasElement.prototype.getContext, offscreen = OffscreenCanvas.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
          return /webgl/.test(kind) ? null : real.call(this, kind, ...rest) };
        OffscreenCanvas.prototype.getContext = function (kind, ...rest) {
          return /webgl/.test(kind) ? null : offscreen.call(this, kind, ...rest) };"""
    )
    notebook.open(opened(scenes, "w = p.explore(color='class_name'); w"), "no_webgl")
    e = notebook.explorer().wait_ready()
    expect(e.notice).to_contain_text("WebGL")
    e.lasso()
    e.expect_some_selected()
    notebook.shot("no-webgl", e.root)


def ink(watched: WatchedPage, e: ExplorerPage) -> float:
    """Return the spread of grey values of the map: nothing drawn is near zero."""
    shot = e.part("map").screenshot()
    return float(np.asarray(Image.open(io.BytesIO(shot)).convert("L"), dtype=np.float64).std())


def test_the_map_keeps_its_points_when_scrolled_away_and_back(notebook: NotebookPage, scenes: Path) -> None:
    filler = "from IPython.display import HTML; HTML('<div style=\"height:2400px\">.</div>')"
    notebook.open(opened(scenes, "w = p.explore(color='class_name'); w", filler), "scroll")
    e = notebook.explorer().wait_ready()
    before = ink(notebook, e)
    assert before > 5
    notebook.page.get_by_text(".", exact=True).last.scroll_into_view_if_needed()
    e.root.scroll_into_view_if_needed()
    e.wait_ready()
    assert ink(notebook, e) > 0.8 * before
