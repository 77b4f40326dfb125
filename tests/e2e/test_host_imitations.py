"""Colab and VS Code, imitated: pages that behave as the published sources of their widget managers do.

The bundle, anywidget's and ipywidgets' own scripts, and the explorer in Python are the real ones; what lies between is
written here after the sources that each file in `hosts/` names. What cannot be imitated is listed in
`docs/guides/hosts.md`, to be looked at by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import BrowserContext, expect

import encord_active_widgets as ea
from encord_active_widgets.diagnosis import installation
from encord_active_widgets.diagnosis.host import unseen
from encord_active_widgets.diagnosis.live import judge
from encord_active_widgets.widgets.host_check import HostCheck

from .conftest import SHOTS
from .explorer import ExplorerPage
from .hosts.kernel import Kernel, in_this_process
from .hosts.pages import CONTRAST, DARK, LIGHT, WEBVIEW_HEIGHT_PX, Colab, HostPage, VSCode

MEBIBYTE = 1024 * 1024
N_ROWS = 1_000_000
_CONTROLS = ".topbar button, .topbar select, .statusbar button, .map-choice button, .map-tools button"
HOSTS: dict[str, type[HostPage]] = {"colab": Colab, "vscode": VSCode}
_OURS = re.compile(r"^(https://(notebook|window|webview|output-\d+)\.invalid/|blob:|data:)")
_SILENT_MS = 22_000

Start = Callable[[str], HostPage]


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a million rows in a mounted drive, with a column of their own; no file is read."""
    rng = np.random.default_rng(0)
    names = pl.select(pl.format("/content/drive/MyDrive/{}.jpg", pl.int_range(N_ROWS))).to_series()
    table = pl.DataFrame({"path": names, "score": rng.random(N_ROWS, dtype=np.float32)})
    path = tmp_path_factory.mktemp("million") / "million.eaw"
    ea.Project.from_frame(table, path, read=False)
    return path


@pytest.fixture
def host(context: BrowserContext) -> Iterator[Start]:
    """Open an imitated host; afterwards its console is clean and nothing was asked of another place."""
    running = []
    pages: list[HostPage] = []

    def start(name: str) -> HostPage:
        kernel = in_this_process(other_threads=name != "colab")
        running.append(kernel)
        pages.append(HOSTS[name](context.new_page(), kernel.__enter__(), SHOTS))
        return pages[-1]

    yield start
    for page in pages:
        assert [u for u in page.requests if not _OURS.match(u)] == []
        assert page.errors == []
    for kernel in running:
        kernel.__exit__(None, None, None)


def sizes(kernel: Kernel) -> list[int]:
    return [message["size"] for message in kernel.heard]


@pytest.mark.parametrize("name", HOSTS)
def test_a_lasso_becomes_a_frame_and_a_tag_is_committed(host: Start, photos: Path, name: str) -> None:
    page = host(name)
    p = ea.open(photos)
    w = p.explore(color="brightness")
    page.show(w)
    e = page.explorer().wait_ready()
    e.lasso()
    selected = e.expect_some_selected()
    assert w.selection.df.height == selected
    e.type_tag("seen")
    e.expect_saved()
    assert len(ea.open(photos).filter(ea.tagged("seen"))) == selected, "the tag is in the project on the disk"
    e.settled()
    page.shot(f"imitated-{name}")
    w.filter = pl.col("brightness") < 0.4
    page.kernel.deliver(page.page)
    e.expect_shown(len(p.filter(pl.col("brightness") < 0.4)))
    e.tile(0).dblclick()
    expect(e.detail.locator(".stage img")).to_have_js_property("complete", True)
    assert not any(message["buffers"] for message in page.kernel.heard), "bytes go up as text, which no host loses"
    assert max(sizes(page.kernel)) <= MEBIBYTE


@pytest.mark.parametrize("name", HOSTS)
def test_a_million_rows_travel_in_small_messages(host: Start, million: Path, name: str) -> None:
    p = ea.open(million)
    page = host(name)
    w = p.explore()
    page.show(w)
    e = page.explorer().wait_ready(60_000)
    w.selection = p.filter(pl.col("score") < 0.5)  # scattered rows: the largest selection there is, a bitset
    page.kernel.deliver(page.page)
    e.expect_selected(len(p.filter(pl.col("score") < 0.5)))
    e.root.get_by_text("invert", exact=True).click()
    wanted = p.filter(pl.col("score") >= 0.5)
    e.expect_selected(len(wanted))
    expect(e.part("state")).to_have_text("saved", timeout=30_000)
    assert np.array_equal(w.selection.rows, wanted.rows)
    e.type_tag(f"half in {name}")
    e.expect_saved()
    assert len(p.filter(ea.tagged(f"half in {name}"))) == len(wanted)
    assert MEBIBYTE / 8 < max(sizes(page.kernel)) <= MEBIBYTE


def test_a_second_output_in_colab_shows_the_same_though_it_shares_nothing(host: Start, photos: Path) -> None:
    page = host("colab")
    p = ea.open(photos)
    w = p.explore()
    w.selection = p.sample(31, seed=1)
    page.show(w)
    first = page.explorer().wait_ready()
    first.expect_selected(31)
    page.show(w)
    second = page.explorer(1).wait_ready()
    second.expect_selected(31)
    first.type_tag("shared")
    first.expect_saved()
    second.expect_tag("shared", 31)


def test_work_in_the_background_fills_in_colab_by_itself(host: Start, shared_data: Path, tmp_path: Path) -> None:
    page = host("colab")
    p = ea.Project.from_folder(shared_data / "photos", tmp_path / "raw.eaw")
    w = p.explore()
    page.show(w)
    e = page.explorer().wait_ready()
    expect(e.facet("sharpness")).to_have_count(0)
    p.compute(stages=["pixels"], background=True)
    e.facet("sharpness").wait_for(timeout=60_000)
    assert page.kernel.lost == 0, "nothing is sent from another thread, for Colab would drop it"


@pytest.mark.parametrize("name", HOSTS)
def test_a_running_cell_delays_python_but_not_the_page(host: Start, photos: Path, name: str) -> None:
    page = host(name)
    w = ea.open(photos).explore()
    page.show(w)
    e = page.explorer().wait_ready().settled()
    n = e.shown()
    page.kernel.busy = True
    e.brush("brightness", 0.1, 0.4)
    shown = e.expect_shown_other_than(n, 3_000)
    e.lasso()
    selected = e.expect_some_selected(3_000)
    expect(e.part("state")).to_have_text("kernel busy", timeout=5_000)
    assert len(w.selection) == 0
    page.kernel.idle()
    page.kernel.deliver(page.page)
    expect(e.part("state")).to_have_text("saved", timeout=10_000)
    assert (len(w.selection), len(w.filtered)) == (selected, shown)


def test_a_restart_in_vs_code_is_said_at_once(host: Start, photos: Path) -> None:
    page = host("vscode")
    page.show(ea.open(photos).explore())
    e = page.explorer().wait_ready()
    page.page.evaluate("() => window.restart()")
    expect(e.banner).to_contain_text("re-run this cell", timeout=10_000)
    expect(e.part("state")).to_have_text("disconnected")


def test_a_restart_in_colab_is_not_an_endless_spinner(host: Start, photos: Path, context: BrowserContext) -> None:
    context.clock.install()
    page = host("colab")
    page.show(ea.open(photos).explore())
    e = page.explorer().wait_ready().settled()
    page.kernel.alive = False
    expect(e.part("state")).to_have_text("kernel busy", timeout=10_000)
    context.clock.fast_forward(_SILENT_MS)
    expect(e.part("silent")).to_contain_text("if it was restarted, re-run this cell")
    expect(e.part("state")).to_have_text("no answer")
    page.shot("imitated-colab-silent")
    page.kernel.alive = True
    expect(e.part("silent")).to_be_hidden(timeout=10_000)


@pytest.mark.parametrize(
    ("kind", "variables", "dark"),
    [
        ("vscode-light", LIGHT, False),
        ("vscode-dark", DARK, True),
        ("vscode-high-contrast", CONTRAST, True),
        ("vscode-high-contrast-light", {**LIGHT, "contrastBorder": "#0f4a85"}, False),
    ],
)
def test_vs_code_themes_are_followed_and_no_white_shows(
    host: Start, scenes: Path, kind: str, variables: dict[str, str], dark: bool
) -> None:
    page = host("vscode")
    page.show(ea.open(scenes).explore())
    e = page.explorer().wait_ready()
    assert isinstance(page, VSCode)
    page.theme(kind, variables)
    expect(e.root).to_have_attribute("data-theme", "dark" if dark else "light")
    behind = e.root.evaluate("host => getComputedStyle(host).backgroundColor")
    inside = e.part("explorer").evaluate("app => getComputedStyle(app).backgroundColor")
    wanted = tuple(int(variables["editor-background"][i : i + 2], 16) for i in (1, 3, 5))
    assert behind == inside == f"rgb{wanted}"
    page.shot(f"imitated-{kind}")


def test_colab_turns_dark_while_it_is_open(host: Start, scenes: Path) -> None:
    page = host("colab")
    page.show(ea.open(scenes).explore())
    e = page.explorer().wait_ready()
    assert e.root.get_attribute("data-theme") == "light"
    page.page.evaluate("() => window.setTheme('dark')")
    expect(e.root).to_have_attribute("data-theme", "dark")
    e.settled()
    page.shot("imitated-colab-dark")


@pytest.mark.parametrize("width", [300, 640])
def test_a_narrow_panel_of_a_webview_33_million_pixels_high_cuts_nothing_off(
    host: Start, photos: Path, width: int
) -> None:
    page = host("vscode")
    page.page.set_viewport_size({"width": width, "height": 700})
    page.show(ea.open(photos).explore())
    e = page.explorer().wait_ready().settled()
    assert page.output().evaluate("() => innerHeight") == WEBVIEW_HEIGHT_PX
    app = e.part("explorer")
    assert app.evaluate("a => [a.scrollWidth <= a.clientWidth, a.offsetHeight]") == [True, 640]
    assert page.output().evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert cut_off(e) == []
    page.shot(f"imitated-vscode-{width}")
    e.lasso()
    e.expect_some_selected()


@pytest.mark.parametrize(("name", "form"), [("colab", "Uint8Array"), ("vscode", "DataView")])
def test_doctor_says_in_the_cell_what_the_host_carries(host: Start, name: str, form: str) -> None:
    page = host(name)
    rows = installation.rows()
    check = HostCheck(lambda facts: judge(facts, rows), unseen("this host"))
    page.show(check)
    box = page.page.frame_locator("iframe").get_by_test_id("host-check")
    expect(box).to_contain_text("changing what both sides keep", timeout=30_000)
    expect(box).to_have_attribute("data-state", "ok", timeout=10_000)
    page.shot(f"imitated-{name}-doctor")
    assert check.facts is not None
    assert check.facts["up"][-1]["bytes"] * 4 / 3 == MEBIBYTE
    assert MEBIBYTE < max(sizes(page.kernel)) < MEBIBYTE * 1.01
    assert check.facts["down"][-1]["bytes"] == 5 * MEBIBYTE
    assert check.facts["bytes_as"] == [form]
    assert not check.facts["unasked"]
    assert page.kernel.lost == (name == "colab"), "Colab drops what another thread sends"
    assert box.get_by_role("row", name=re.compile("while a cell runs messages wait")).count() == 1


def cut_off(e: ExplorerPage) -> list[str]:
    """Return the controls of the bars and of the map that lie outside the explorer or on each other."""
    boxes = {}
    app = e.part("explorer").bounding_box()
    assert app is not None
    for i, control in enumerate(e.root.locator(_CONTROLS).all()):
        box = control.bounding_box()
        if box is not None and box["width"] and control.is_visible():
            boxes[f"{i}: {control.get_attribute('aria-label') or control.inner_text()}"] = box
    outside = [
        name
        for name, box in boxes.items()
        if box["x"] < app["x"] - 1 or box["x"] + box["width"] > app["x"] + app["width"] + 1
    ]
    names = list(boxes)
    on_each_other = [f"{a} on {b}" for i, a in enumerate(names) for b in names[i + 1 :] if _overlap(boxes[a], boxes[b])]
    return outside + on_each_other


def _overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    return all(a[k] + 1 < b[k] + b[s] and b[k] + 1 < a[k] + a[s] for k, s in (("x", "width"), ("y", "height")))
