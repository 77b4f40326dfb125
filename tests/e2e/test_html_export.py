"""An exported page in a real browser: opened from the disk with the network off, it filters as Polars does."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

import encord_active_widgets as ea

from .browser import WatchedPage
from .conftest import SHOTS, VIEWPORT
from .explorer import EXPLORER, ExplorerPage

TIMEOUT_MS = 15_000
ROUNDS = 8
TEN = 10
EVIL = "</script><img src=x onerror=document.title='hacked'>"
_LOCAL = re.compile(r"^(file|blob|data|about):")


_WATCH = """
addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.blockedURI} ${e.violatedDirective}`));
window.__copied = '';
Object.defineProperty(navigator, 'clipboard', {value: {writeText: async text => { window.__copied = text; }}});
"""
_AXE = """async () => (await axe.run()).violations
  .map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 140)).join(' | ')}`)"""
_RUN_A_SCRIPT = """() => {
  const script = document.createElement('script');
  script.textContent = 'window.ran = 1';
  document.body.append(script);
  return window.ran ?? 'refused';
}"""


class Exported(WatchedPage):
    """An exported page, opened by a double click as it were."""

    def __init__(self, page: Page, file: Path) -> None:
        super().__init__(page, SHOTS)
        page.add_init_script(_WATCH)
        page.goto(file.as_uri())
        self.e = ExplorerPage(page, page.locator(EXPLORER)).wait_ready()

    def condition(self) -> str:
        """Return the Polars code that the status line shows."""
        return self.e.root.locator(".filter-text").inner_text().strip()

    def download(self) -> dict[str, Any]:
        with self.page.expect_download() as download:
            self.page.get_by_test_id("download").click()
        return dict(json.loads(Path(download.value.path()).read_text("utf-8")))


Open = Callable[..., Exported]


@pytest.fixture
def offline(context: BrowserContext) -> Iterator[Open]:
    """Open a file without a network; afterwards nothing was asked for and nothing complained."""
    context.set_offline(True)
    opened: list[Exported] = []

    def start(file: Path, **options: Any) -> Exported:
        page = context.new_page()
        page.set_viewport_size(options.get("viewport", VIEWPORT))
        page.emulate_media(color_scheme=options.get("scheme", "light"))
        opened.append(Exported(page, file))
        return opened[-1]

    yield start
    for one in opened:
        assert [u for u in one.requests if not _LOCAL.match(u)] == [], "the page asked for something"
        assert one.errors == [], "the page complained"


@pytest.fixture(scope="module")
def cifar_made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    p = ea.Project.from_folder(shared_data / "cifar10_test", tmp_path_factory.mktemp("cifar") / "cifar.eaw")
    p.compute()
    p.filter(pl.col("brightness") < 0.3).tag("dark")
    p.filter(pl.col("colourfulness") > 60).tag("colourful")
    p.to_html(p.path.with_suffix(".html"), title="CIFAR-10")
    return p.path


@pytest.fixture
def cifar(cifar_made: Path, tmp_path: Path) -> ea.Project:
    return ea.open(shutil.copytree(cifar_made, tmp_path / "cifar.eaw"))


# -- filters --------------------------------------------------------------------------------------------------


def test_filters_by_hand_give_the_ids_that_polars_gives(offline: Open, cifar: ea.Project, cifar_made: Path) -> None:
    page = offline(cifar_made.with_suffix(".html"))
    e, draw = page.e, random.Random(4)
    expected: dict[str, list[str]] = {}
    for i in range(ROUNDS):
        for column in draw.sample(
            ["brightness", "contrast", "sharpness", "uniqueness", "colourfulness"], draw.choice([1, 1, 2])
        ):
            start = draw.uniform(0.05, 0.6)
            e.brush(column, start, start + draw.uniform(0.15, 0.35))
        if draw.random() < 0.6:
            for name in draw.sample(["cat", "dog", "ship", "frog", "truck"], 3):
                chip = e.facet("class_name").get_by_role("button", name=re.compile(rf"^{name}"))
                chip.click(modifiers=["Alt"] if draw.random() < 0.3 else [])
        if draw.random() < 0.5:
            e.part("facet-tags").get_by_role(
                "button", name=re.compile(draw.choice(["^dark", "^untagged"]))
            ).first.click()
        if draw.random() < 0.4:
            e.part("search").fill(draw.choice(["01", "CAT/", "p/0"]))
            e.part("search").press("Enter")
        if i % 3 == 2 and e.root.get_by_role("button", name="match any").count():
            e.root.get_by_role("button", name="match any").click()
        e.settled()
        shown = cifar.filter(*eval(f"[{page.condition()}]", {"pl": pl, "ea": ea}))
        e.expect_shown(len(shown))
        expected[f"round {i}"] = sorted(shown.ids)
        e.part("select-all").click()
        e.expect_selected(len(shown))
        if len(shown):
            e.type_tag(f"round {i}")
            e.expect_tag(f"round {i}", len(shown))
            page.page.locator(".statusbar").get_by_role("button", name="clear", exact=True).click()
        e.part("clear-filter").click()
        e.expect_shown(len(cifar))
    assert sum(0 < len(ids) < len(cifar) for ids in expected.values()) >= ROUNDS - 2, "the filters filter"
    found = {t["tag"]: sorted(t["add"]) for t in page.download()["tags"]}
    assert found == {name: ids for name, ids in expected.items() if ids}


def test_orders_are_those_of_polars(offline: Open, cifar: ea.Project, cifar_made: Path) -> None:
    e = offline(cifar_made.with_suffix(".html")).e
    for by, descending in (("uniqueness", False), ("sharpness", True), ("class_name", True)):
        e.part("sort").select_option(by)
        if (e.part("direction").get_attribute("aria-label") == "Descending") != descending:
            e.part("direction").click()
        e.settled()
        rows = cifar.sort(by, descending=descending).rows[:12].tolist()
        assert [e.row_of_tile(i) for i in range(12)] == rows


def test_what_a_notebook_filtered_by_any_expression_is_what_the_page_begins_with(
    offline: Open, photos: Path, tmp_path: Path
) -> None:
    p = ea.open(photos)
    w = p.explore(sort="sharpness", descending=True, color="brightness")
    w.filter = [pl.col("brightness").rank() > 50, pl.col("contrast") < 0.4321]
    w.selection = w.filtered.head(3)
    file = tmp_path / "w.html"
    w.to_html(file)
    page = offline(file)
    page.e.settled()
    page.e.expect_shown(len(w.filtered))
    page.e.expect_selected(3)
    assert [page.e.row_of_tile(i) for i in range(6)] == w.filtered.rows[:6].tolist()
    page.e.part("copy").click()
    page.page.get_by_role("menuitem", name="What is selected, by id").click()
    page.page.wait_for_function("window.__copied.includes('by_ids')")
    scope: dict[str, Any] = {"p": p}
    exec(page.page.evaluate("window.__copied"), scope)
    assert sorted(scope["view"].ids) == sorted(w.selection.ids)
    w.close()


# -- tags -----------------------------------------------------------------------------------------------------


def test_tags_and_notes_travel_back_into_the_project(offline: Open, photos: Path, tmp_path: Path) -> None:
    p = ea.open(photos)
    p.items.head(4).tag("old")
    page = offline(Path(p.to_html(tmp_path / "p.html", title="Which are blurred?").path))
    e = page.e.settled()
    expect(page.page.get_by_test_id("download")).to_be_disabled()
    e.tile(1).click()
    e.tile(5).click(modifiers=["Shift"])
    e.expect_selected(5)
    e.type_tag("blurred")
    e.expect_tag("blurred", 5)
    old = e.part("tag-editor").get_by_role("button", name=re.compile("^old,"))
    old.click()  # on all of them: some have it
    e.expect_tag("old", 6)
    old.click()
    e.expect_tag("old", 1)
    e.tile(7).dblclick()
    expect(e.detail).to_be_visible()
    note = e.detail.get_by_test_id("note")
    note.fill("the left half is sharp")
    note.press("Enter")
    e.part("detail-close").click()
    expect(page.page.get_by_test_id("collected")).to_have_text("6 images changed")
    e.part("undo").click()
    expect(page.page.get_by_test_id("collected")).to_have_text("5 images changed")
    e.part("redo").click()
    expect(page.page.get_by_test_id("collected")).to_have_text("6 images changed")
    with page.page.expect_download() as download:
        page.page.get_by_test_id("download").click()
    assert download.value.suggested_filename == "Which-are-blurred.edits.json"
    expect(page.page.get_by_test_id("collected")).to_have_text("6 images changed, downloaded")
    file = tmp_path / "edits.json"
    download.value.save_as(file)
    assert "ordinal" not in file.read_text()
    ids = p.ids.to_list()
    assert p.apply_edits(file).height == 0
    assert p.filter(ea.tagged("blurred")).ids.to_list() == ids[1:6]
    assert p.filter(ea.tagged("old")).ids.to_list() == ids[:1]
    assert p.filter(pl.col("note").is_not_null()).df.select("item_id", "note").rows() == [
        (ids[7], "the left half is sharp")
    ]
    assert len(p.undo()) == 1
    assert p.filter(ea.tagged("old")).ids.to_list() == ids[:4]


def test_a_closed_tab_loses_nothing(offline: Open, photos: Path, tmp_path: Path) -> None:
    file = Path(ea.open(photos).to_html(tmp_path / "p.html").path)
    page = offline(file)
    page.e.settled().tile(2).click()
    page.e.type_tag("kept")
    page.e.expect_tag("kept", 1)
    asked: list[str] = []
    page.page.on("dialog", lambda d: (asked.append(d.type), d.accept()))
    page.page.reload()
    assert asked == ["beforeunload"], "leaving with edits that were not downloaded asks first"
    page.e.wait_ready()
    page.e.expect_tag("kept", 1)
    expect(page.page.get_by_test_id("collected")).to_have_text("1 image changed")
    page.download()
    page.page.reload()
    assert asked == ["beforeunload"], "nor does it ask when all is downloaded"


def test_a_read_only_page_changes_nothing(offline: Open, photos: Path, tmp_path: Path) -> None:
    p = ea.open(photos)
    p.items.head(4).tag("old")
    p.items.head(1).note("look here")
    page = offline(Path(p.to_html(tmp_path / "p.html", tags="read-only").path))
    e = page.e.settled()
    assert page.page.get_by_test_id("download").count() == 0
    assert e.part("tag-input").count() == 0
    assert e.part("undo").count() == 0
    e.tile(0).click()
    expect(e.part("tag-editor").get_by_role("button", name=re.compile("^old"))).to_be_disabled()
    page.page.keyboard.press("1")
    expect(page.page.get_by_text("This page is read-only")).to_be_visible()
    e.expect_tag("old", 4)
    e.tile(0).dblclick()
    expect(e.detail.get_by_text("look here")).to_be_visible()
    assert e.detail.get_by_test_id("note").count() == 0


# -- levels ---------------------------------------------------------------------------------------------------


def test_an_open_image_shows_its_labels(offline: Open, bccd: Path, tmp_path: Path) -> None:
    p = ea.open(bccd)
    page = offline(Path(p.items.head(20).to_html(tmp_path / "b.html").path))
    page.e.settled().tile(3).dblclick()
    n = p.items.at([3]).objects().df.height
    expect(page.e.drawing).to_have_attribute("data-shapes", str(n), timeout=TIMEOUT_MS)
    page.shot("export-detail")


def test_objects_are_shown_cut_out_and_tagged_at_their_own_level(offline: Open, bccd: Path, tmp_path: Path) -> None:
    p = ea.open(bccd)
    view = p.objects.filter(pl.col("class_name") == "WBC").sort("area", descending=True)
    page = offline(Path(view.to_html(tmp_path / "o.html").path))
    e = page.e.settled()
    e.expect_shown(len(view))
    assert page.page.locator(".tile:not([hidden]) svg path").count() > 0
    page.page.locator('.tile[data-index="0"]').click()
    e.type_tag("largest")
    e.expect_tag("largest", 1)
    file = tmp_path / "edits.json"
    file.write_text(json.dumps(page.download()))
    assert p.apply_edits(file).height == 0
    assert p.objects.filter(ea.tagged("largest")).ids.to_list() == view.ids.to_list()[:1]


def test_sliders_of_a_run_recount_without_python(offline: Open, bccd: Path, tmp_path: Path) -> None:
    p = ea.open(bccd)
    rng = np.random.default_rng(0)
    labels = p.items.head(40).objects().df
    shift = {c: pl.col(c) + pl.Series(rng.normal(0, 6, labels.height)) for c in ("x", "y")}
    noisy = labels.select(
        "item_id",
        "class_name",
        shift["x"],
        shift["y"],
        "w",
        "h",
        pl.Series("confidence", rng.uniform(0.05, 1, labels.height)),
    )
    p.add_predictions("noisy", noisy)
    page = offline(Path(p.predictions["noisy"].to_html(tmp_path / "r.html").path))
    e = page.e.settled()
    e.part("iou").fill("5")
    e.part("confidence").fill("0.4")
    counts = p.evaluate("noisy", iou=0.75, confidence=0.4).counts
    for outcome in ("TP", "FP", "FN"):
        expect(e.part(f"outcome-{outcome}").locator(".chip-n")).to_have_text(f"{counts[outcome]:,}")
    e.part("outcome-FP").click()
    e.expect_shown(counts["FP"])
    e.part("outcome-FN").click()
    expect(page.page.get_by_text("works in a notebook only")).to_be_visible()


# -- safe and accessible --------------------------------------------------------------------------------------


def test_hostile_names_stay_text_and_nothing_can_be_loaded(context: BrowserContext, tmp_path: Path) -> None:
    for i in range(3):
        Image.new("RGB", (60, 40), (60 * i, 90, 120)).save(tmp_path / f"{i}.png")
    table = pl.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(3)], "class_name": [EVIL, "b", "b"]})
    p = ea.Project.from_frame(table, tmp_path / "evil.eaw", name=EVIL)
    p.items.tag(EVIL)
    p.items.note(EVIL)
    context.set_offline(True)
    page = Exported(context.new_page(), Path(p.to_html(tmp_path / "e.html").path))
    page.e.settled().tile(0).dblclick()
    expect(page.e.detail.get_by_test_id("note")).to_have_value(EVIL)
    assert page.page.title() == EVIL
    assert page.page.get_by_text(EVIL).count() > 0
    assert page.errors == []
    blocked = page.page.evaluate(
        """() => new Promise(done => {
          addEventListener('securitypolicyviolation', e => done(e.effectiveDirective));
          const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image);
        })"""
    )
    assert blocked == "img-src"
    assert page.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'loaded', () => 'refused')") == "refused"
    assert page.page.evaluate(_RUN_A_SCRIPT) == "refused"


@pytest.mark.parametrize("state", ["collecting", "read-only", "open", "narrow"])
def test_axe_finds_nothing_to_complain_about(
    browser: Browser, photos: Path, tmp_path: Path, repository: Path, state: str
) -> None:
    p = ea.open(photos)
    p.items.head(4).tag("old")
    file = Path(p.to_html(tmp_path / "p.html", tags="read-only" if state == "read-only" else "collect").path)
    viewport = {"width": 640, "height": 700} if state == "narrow" else VIEWPORT
    # The checker is put in past the policy, which lets no script in.
    context = browser.new_context(viewport=viewport, reduced_motion="reduce", bypass_csp=True)
    try:
        page = Exported(context.new_page(), file)
        page.e.settled().tile(1).click()
        if state == "open":
            page.e.tile(1).dblclick()
            expect(page.e.detail).to_be_visible()
        page.page.add_script_tag(path=repository / "js" / "node_modules" / "axe-core" / "axe.min.js")
        found = page.page.evaluate(_AXE)
        assert found == []
    finally:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("n", [TEN, 10_000])
def test_it_looks_like_the_explorer(offline: Open, cifar_made: Path, tmp_path: Path, scheme: str, n: int) -> None:
    p = ea.open(cifar_made)
    file = cifar_made.with_suffix(".html") if n > TEN else Path(p.sample(TEN).to_html(tmp_path / "ten.html").path)
    page = offline(file, scheme=scheme)
    page.e.settled()
    page.e.expect_shown(n)
    shot = np.asarray(Image.open(page.shot(f"export-{n}-{scheme}")).convert("L"), np.float64)
    assert (np.median(shot) > 200) == (scheme == "light")
    grid = page.e.part("grid").bounding_box()
    assert grid is not None
    tiles = shot[int(grid["y"]) + 10 : int(grid["y"]) + 100, int(grid["x"]) + 10 : int(grid["x"]) + 600]
    assert tiles.std() > 20, "pictures are drawn"
    height = page.page.evaluate("document.documentElement.scrollHeight - innerHeight")
    assert height <= 0, "the explorer fills the window, and no more"
