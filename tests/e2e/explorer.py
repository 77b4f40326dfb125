"""The explorer as a person meets it: places to click, drags, and what it says. All hooks are in this file."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

EXPLORER = ".eaw-explorer"
READY_TIMEOUT_MS = 30_000
ANSWER_TIMEOUT_MS = 15_000
_LOOP_POINTS = 24


class ExplorerPage:
    """One explorer on a page; `root` is the host element of its shadow root."""

    def __init__(self, page: Page, root: Locator) -> None:
        self.page = page
        self.root = root

    # -- places -----------------------------------------------------------------------------

    def part(self, name: str) -> Locator:
        """Return a place by its test id; a locator pierces the open shadow root."""
        return self.root.get_by_test_id(name)

    def facet(self, column: str) -> Locator:
        return self.part(f"facet-{column}")

    def tile(self, n: int) -> Locator:
        """Return the tile at place `n` of the grid's order."""
        return self.part("grid").locator(f'.tile[data-index="{n}"]:not([hidden])')

    def row_of_tile(self, n: int) -> int:
        label = self.tile(n).get_attribute("aria-label") or ""
        found = re.match(r"image (\d+)", label)
        assert found, f"a tile says which row it is: {label!r}"
        return int(found[1])

    @property
    def detail(self) -> Locator:
        return self.part("detail")

    @property
    def drawing(self) -> Locator:
        """Return the canvas over the open image; `data-shapes` counts what is drawn on it."""
        return self.detail.locator(".stage canvas")

    @property
    def banner(self) -> Locator:
        """Return what is said when the kernel behind the explorer is gone."""
        return self.part("banner")

    @property
    def notice(self) -> Locator:
        return self.root.locator(".banner:not(.warn)")

    @property
    def empty(self) -> Locator:
        return self.part("grid").locator(".empty")

    @property
    def keys_list(self) -> Locator:
        return self.root.get_by_role("dialog", name="Keys")

    @property
    def conditions(self) -> Locator:
        return self.part("facets").locator(".condition")

    # -- what it says -----------------------------------------------------------------------

    def wait_ready(self, timeout: int = READY_TIMEOUT_MS) -> ExplorerPage:
        """Wait until the first complete drawing."""
        expect(self.root).to_have_attribute("data-eaw-ready", re.compile("."), timeout=timeout)
        return self

    def settled(self) -> ExplorerPage:
        """Wait until what is drawn stays as it is: every tile on the screen loaded and decoded, and two frames."""
        self.wait_ready()
        tiles = self.part("grid").locator(".tile:not([hidden])")
        expect(self.part("grid").locator(".tile.loading:not([hidden])")).to_have_count(0, timeout=ANSWER_TIMEOUT_MS)
        # Pictures are decoded aside: without this a tile can be drawn before its picture is.
        tiles.locator("img[src]").evaluate_all("images => Promise.allSettled(images.map(i => i.decode()))")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self

    def shown(self) -> int:
        """Return how many rows pass the filter, as the explorer says."""
        return _number(self.part("matching").inner_text())

    def selected(self) -> int:
        return _number(self.part("selected").inner_text())

    def expect_selected(self, n: int) -> None:
        expect(self.part("selected")).to_have_text(f"{n:,} selected", timeout=ANSWER_TIMEOUT_MS)

    def expect_some_selected(self, timeout: int = ANSWER_TIMEOUT_MS) -> int:
        expect(self.part("selected")).to_have_text(re.compile(r"^[1-9][\d,]* selected$"), timeout=timeout)
        return self.selected()

    def expect_shown(self, n: int) -> None:
        expect(self.part("matching")).to_have_text(re.compile(rf"^{n:,} of "), timeout=ANSWER_TIMEOUT_MS)

    def expect_shown_other_than(self, n: int, timeout: int = ANSWER_TIMEOUT_MS) -> int:
        expect(self.part("matching")).not_to_have_text(re.compile(rf"^{n:,} of "), timeout=timeout)
        return self.shown()

    def expect_saved(self) -> None:
        """Wait until the last edit is acknowledged as being on the disk."""
        expect(self.part("state")).to_have_text("saved", timeout=ANSWER_TIMEOUT_MS)

    def expect_tag(self, name: str, count: int) -> None:
        """Wait until the tag editor shows the tag with this many rows."""
        label = re.compile(rf"^{re.escape(name)}, .* {count:,} in all$")
        expect(self.part("tag-editor").get_by_role("button", name=label).first).to_be_visible(timeout=ANSWER_TIMEOUT_MS)

    # -- gestures ---------------------------------------------------------------------------

    def lasso(self, *, cx: float = 0.5, cy: float = 0.5, radius: float = 0.3, modifier: str | None = None) -> None:
        """Draw a closed loop on the map; centre and radius are shares of its width and height."""
        canvas = self.part("map").locator(".map-host")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None, "the map has no place on the page"
        turns = [2 * math.pi * i / _LOOP_POINTS for i in range(_LOOP_POINTS + 1)]
        points = [
            (
                box["x"] + box["width"] * (cx + radius * math.cos(turn)),
                box["y"] + box["height"] * (cy + radius * math.sin(turn)),
            )
            for turn in turns
        ]
        if modifier:
            self.page.keyboard.down(modifier)
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=2)
        self.page.mouse.up()
        if modifier:
            self.page.keyboard.up(modifier)

    def brush(self, column: str, start: float, end: float) -> None:
        """Brush the histogram of a column from one share of its width to another."""
        target = self.facet(column).locator(".metric-plot")
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert box is not None, f"the histogram of {column} has no place on the page"
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] * start, y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * (start + end) / 2, y, steps=4)
        self.page.mouse.move(box["x"] + box["width"] * end, y, steps=4)
        self.page.mouse.up()

    def level(self, title: str) -> None:
        """Switch to "Images" or "Objects"."""
        button = self.part("level").get_by_role("button", name=title)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true", timeout=ANSWER_TIMEOUT_MS)

    def relabel(self, name: str) -> None:
        """Give the selection a class, by the keyboard."""
        self.page.keyboard.press("c")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")

    def colours_at(self, points: dict[str, tuple[float, float]]) -> dict[str, tuple[int, ...]]:
        """Return the colours that the open image's drawing has at places in the image's pixels."""
        shot = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        box = self.detail.locator(".stage img").bounding_box()
        size = self.detail.locator(".stage img").evaluate("i => [i.naturalWidth, i.naturalHeight]")
        assert box is not None
        scale = box["width"] / size[0], box["height"] / size[1]
        return {
            name: tuple(int(v) for v in shot[int(box["y"] + y * scale[1]), int(box["x"] + x * scale[0])])
            for name, (x, y) in points.items()
        }

    def frames_while_wheeling(self, n: int = 12) -> list[float]:
        """Zoom the open image by the wheel; return the milliseconds between drawn frames."""
        box = self.detail.locator(".stage").bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.evaluate(_WATCH_FRAMES)
        for i in range(n):
            self.page.mouse.wheel(0, -120 if i % 4 < 2 else 120)
        return list(self.page.evaluate("() => { window.__eawWatch = false; return window.__eawFrames; }"))

    def lag_of(self, other: ExplorerPage, place: str, gesture: Callable[[], None]) -> float:
        """Return the milliseconds from the frame in which a text of this explorer changes to that of the other's."""
        texts = [e.part(place).element_handle() for e in (self, other)]
        self.page.evaluate(_WATCH_TEXTS, texts)
        gesture()
        self.page.wait_for_function("() => window.__eawChanged.every(t => t > 0)", timeout=ANSWER_TIMEOUT_MS)
        mine, its = self.page.evaluate("() => window.__eawChanged")
        return float(its - mine)

    def type_tag(self, name: str) -> None:
        field = self.part("tag-input")
        field.click()
        field.fill(name)
        field.press("Enter")


_WATCH_TEXTS = """elements => {
  const before = elements.map(e => e.textContent);
  window.__eawChanged = elements.map(() => 0);
  const step = now => {
    elements.forEach((e, i) => {
      if (!window.__eawChanged[i] && e.textContent !== before[i]) window.__eawChanged[i] = now;
    });
    if (window.__eawChanged.some(t => !t)) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}"""
_WATCH_FRAMES = """() => {
  window.__eawFrames = []; window.__eawWatch = true;
  let last = performance.now();
  const step = now => {
    window.__eawFrames.push(now - last);
    last = now;
    if (window.__eawWatch) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}"""


def _number(text: str) -> int:
    found = re.search(r"\d[\d,]*", text)
    assert found, f"no number in {text!r}"
    return int(found[0].replace(",", ""))
