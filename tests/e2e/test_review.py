"""The review by keyboard: as fast as a person can look, nothing dropped, taken back, left and gone on with."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from .browser import NotebookPage
from .explorer import ANSWER_TIMEOUT_MS, ExplorerPage
from .test_look import CLIPPED, WIDTHS_PX, violations
from .test_main_job import opened

_CLASSES = ["bird", "boat", "cat", "dog", "food", "tree"]
_MAKE = """
import sys
from pathlib import Path
import numpy as np, polars as pl
import encord_active_widgets as ea
source, path, names = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
files = sorted(str(f) for f in source.iterdir())
rng = np.random.default_rng(0)
truth = rng.integers(0, len(names), len(files))
given = np.where(rng.random(len(files)) < 0.2, (truth + 1) % len(names), truth)
p = ea.Project.from_frame(pl.DataFrame({"path": files, "class_name": [names[i] for i in given]}), path)
table = rng.dirichlet(np.ones(len(names)), len(files)) * 0.3
table[np.arange(len(files)), truth] += 0.7
table /= table.sum(1, keepdims=True)
p.add_predictions("model", table, classes=names)
"""
_NOISY = """
import numpy as np
rng = np.random.default_rng(0)
o = p.objects.df.filter(pl.Series(rng.random(len(p.objects)) < 0.95))
n = o.height
found = o.select(
    "item_id", "class_name", *(pl.col(c) + rng.normal(0, 1, n) for c in "xy"), "w", "h",
    pl.Series("confidence", rng.uniform(0.7, 1, n)),
)
wrong, moved = pl.Series(rng.random(n) < 0.03), pl.Series(rng.random(n) < 0.03)
found = found.with_columns(
    pl.when(wrong).then(pl.lit("Platelets")).otherwise("class_name").alias("class_name"),
    pl.when(moved).then(pl.col("x") + pl.col("w") * 0.4).otherwise("x").alias("x"),
)
more = o.sample(40, seed=1).select("item_id", "class_name", pl.lit(4.0).alias("x"), pl.lit(4.0).alias("y"), "w", "h",
    pl.lit(0.95).alias("confidence"))
p.add_predictions("noisy", pl.concat([found, more]))
"""
_SETTLED = """panel => {
  const card = panel.querySelector('[data-testid=review-card]'), stage = panel.querySelector('.stage');
  return !card || (stage && stage.dataset.shown === card.dataset.at && card.querySelector('.review-asked'));
}"""


class ReviewPage:
    """The review of an explorer, as a person meets it."""

    def __init__(self, notebook: NotebookPage, explorer: ExplorerPage) -> None:
        self.notebook = notebook
        self.explorer = explorer
        self.page = notebook.page
        expect(self.panel).to_have_attribute("data-state", "ready", timeout=ANSWER_TIMEOUT_MS)

    def part(self, name: str) -> Locator:
        return self.explorer.part(name)

    @property
    def panel(self) -> Locator:
        return self.part("review")

    @property
    def at(self) -> int:
        """The entry one looks at, as its card says."""
        return int(self.part("review-card").get_attribute("data-at") or -1)

    def start(self) -> ReviewPage:
        """Click the picture, so that the keys are heard."""
        self.part("review-picture").click(position={"x": 20, "y": 20})
        return self

    def seen(self) -> ReviewPage:
        """Wait until the picture and the text of one entry are both there."""
        self.page.wait_for_function(_SETTLED, arg=self.panel.element_handle(), timeout=ANSWER_TIMEOUT_MS)
        return self

    def press(self, *keys: str) -> ReviewPage:
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def saved(self) -> ReviewPage:
        expect(self.part("review-saved")).to_have_text("saved", timeout=60_000)
        return self

    def counts(self) -> str:
        return " ".join(self.part("review-counts").inner_text().split())


def reviewed(notebook: NotebookPage, n: int = 0) -> ReviewPage:
    return ReviewPage(notebook, notebook.explorer(n))


@pytest.fixture(scope="session")
def answers_made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred photos with a class each, a fifth of them wrong, and a model that mostly knows better."""
    path = tmp_path_factory.mktemp("answers") / "answers.eaw"
    call = [sys.executable, "-c", _MAKE, str(shared_data / "photos"), str(path), ",".join(_CLASSES)]
    subprocess.run(call, check=True)
    return path


@pytest.fixture
def answers(answers_made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(answers_made, tmp_path / "answers.eaw"))


def _told(notebook: NotebookPage, source: str) -> Any:
    return ast.literal_eval(notebook.run_cell(source))


def test_a_keyboard_run_reviews_sixty_a_minute_and_drops_nothing(notebook: NotebookPage, answers: Path) -> None:
    ask = "errors = p.label_errors('model')\nw = errors.review(likely_only=False)\nw"
    notebook.open(opened(answers, ask), "review_fast")
    r = reviewed(notebook)
    queue = _told(notebook, "errors.df.select('item_id', 'given', 'suggested').rows()")
    r.start()
    third = r.panel.locator(".review-number").nth(2).get_attribute("title")
    keys = ["Enter", "x", "Enter", "3", "Enter", "x"]
    pressed: list[tuple[int, str]] = []

    def answer() -> None:
        at, key = r.at, keys[len(pressed) % len(keys)]
        r.press(key)
        pressed.append((at, key))

    # At a person's gait: look at picture and text, then answer.
    started = time.monotonic()
    for _ in range(60):
        r.seen()
        answer()
    minutes = (time.monotonic() - started) / 60
    assert 60 / minutes >= 60, f"{60 / minutes:.0f} a minute"
    print(f"{60 / minutes:.0f} a minute")
    # And far faster than any: nothing waits for the kernel.
    for _ in range(80):
        answer()
    assert [at for at, _ in pressed] == list(range(140)), "each answer went to the entry that was shown"
    r.saved()
    assert f"{len(queue) - 140} left" in r.counts()
    notebook.shot("review-fast", r.explorer.root)

    edits = _told(notebook, "p.history().filter(pl.col('kind') == 'review').height")
    assert edits == 140, "an edit for each answer"
    expected = {}
    for at, key in pressed:
        item, given, suggested = queue[at]
        new = {"Enter": suggested, "3": third}.get(key) or given
        if new != given:
            expected[item] = (given, new)
    changes = _told(notebook, "p.changes().select('item_id', 'before', 'after').rows()")
    assert {item: (before, after) for item, before, after in changes} == expected
    said = _told(notebook, "p.items.df.group_by('reviewed').len().rows()")
    answered = {"Enter": "accepted", "x": "rejected", "3": "changed"}
    wanted = {word: sum(answered[k] == word for _, k in pressed) for word in answered.values()}
    assert {word: n for word, n in said if word} == wanted


def test_answers_are_taken_back_and_a_review_goes_on_where_it_was_left(notebook: NotebookPage, answers: Path) -> None:
    ask = "w = errors.review(likely_only=False)\nw"
    notebook.open(opened(answers, "errors = p.label_errors('model')", ask), "review_undo")
    r = reviewed(notebook).start().seen()
    total = int(notebook.run_cell("len(errors)"))
    r.start().press("Enter", "x", "2", "Enter", "Enter", "u", "u", "x", "s")
    r.saved()
    assert "2 accepted" not in r.counts()
    assert r.counts() == f"1 accepted 1 changed 2 rejected {total - 4} left"
    assert r.at == 5, "skipped, not answered"
    r.press("c")
    r.page.keyboard.type("a new class")
    r.press("Enter")
    r.press("t")
    r.page.keyboard.type("doubtful")
    r.press("Enter", "n")
    r.page.keyboard.type("look again")
    r.press("Enter")
    r.saved()
    note = "p.items.df.filter(pl.col('note') == 'look again').height"
    assert _told(notebook, note) == 1
    assert _told(notebook, "len(p.items.filter(ea.tagged('doubtful')))") == 1
    assert _told(notebook, "p.changes().filter(pl.col('after') == 'a new class').height") == 1
    # The same view, reviewed in another cell: what was answered is not asked again, and this one hears of the other.
    notebook.run_cell(ask)
    other = reviewed(notebook, 1)
    assert f"{total - 5} left" in other.counts()
    assert other.at == 4
    other.start().seen().press("Enter").saved()
    expect(r.part("review-counts")).to_contain_text(f"{total - 6} left", timeout=ANSWER_TIMEOUT_MS)
    # Closed and opened again, it is where it was.
    notebook.page.keyboard.press("Escape")
    expect(other.panel).to_have_count(0)
    expect(other.part("review-button")).to_contain_text(str(total - 6))
    other.part("review-button").click()
    expect(other.panel).to_be_visible()
    other.press("u").saved()
    assert f"{total - 5} left" in other.counts()
    assert other.at == 4


def test_every_kind_of_error_of_a_detector_is_repaired(notebook: NotebookPage, bccd: Path, repository: Path) -> None:
    setup, *_ = opened(bccd)
    ask = "errors = p.label_errors('noisy')\nw = errors.review()\nw"
    notebook.open([f"{setup}\n{_NOISY}", ask], "review_objects")
    r = reviewed(notebook)
    chips = r.part("review-kinds").get_by_role("button")
    kinds = [text.split("\n")[0] for text in chips.all_inner_texts()]
    assert len(kinds) >= 3
    notebook.run_cell("labels = len(p.objects)")
    for kind in kinds:
        chips.filter(has_text=kind).click()
        r.start().seen()
        notebook.shot(f"review-{kind.lower()}", r.explorer.root)
        r.press("Enter").saved()
        chips.filter(has_text=kind).click()
    told = _told(notebook, "sorted(p.changes()['change'].to_list())")
    verbs = {
        "Class": "relabelled",
        "Missed": "added",
        "Spurious": "removed",
        "Misplaced": "moved",
        "Duplicate": "removed",
    }
    assert told == sorted(verbs[kind] for kind in kinds)
    r.start().press("g")
    expect(r.part("review-tiles")).to_be_visible()
    r.press("Shift+ArrowRight", "Shift+ArrowRight")
    expect(r.part("review-accept")).to_contain_text("Accept 3")
    before = _told(notebook, "p.history().height")
    r.part("review-tiles").locator(".review-tile").first.focus()
    r.press("x")
    r.saved()
    assert _told(notebook, "p.history().height") == before + 1, "several together are one edit"


def test_it_fits_every_width_in_light_and_dark_and_reads_well(
    notebook: NotebookPage, bccd: Path, repository: Path
) -> None:
    setup, *_ = opened(bccd)
    notebook.open([f"{setup}\n{_NOISY}", "w = p.label_errors('noisy').review()\nw"], "review_look")
    r = reviewed(notebook).start().seen()
    axe = repository / "js" / "node_modules" / "axe-core" / "axe.min.js"
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.execute("apputils:change-theme", theme=theme)
        expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        dark = "dark" if "Dark" in theme else "light"
        for width in WIDTHS_PX:
            notebook.page.set_viewport_size({"width": width + 130, "height": 900})
            r.seen()
            notebook.shot(f"review-{dark}-{width}", r.explorer.root)
            assert r.explorer.root.evaluate(CLIPPED) == [], f"cut off at {dark} {width}"
        assert violations(notebook, axe) == [], f"one entry, {dark}"
        r.start().press("g")
        expect(r.part("review-tiles").locator("img").first).to_be_visible(timeout=ANSWER_TIMEOUT_MS)
        r.press("x", "Shift+ArrowRight")
        r.saved()
        assert violations(notebook, axe) == [], f"tiles, {dark}"
        for width in WIDTHS_PX:
            notebook.page.set_viewport_size({"width": width + 130, "height": 900})
            notebook.shot(f"review-tiles-{dark}-{width}", r.explorer.root)
            assert r.explorer.root.evaluate(CLIPPED) == [], f"cut off at {dark} {width}"
        r.press("?")
        assert violations(notebook, axe) == [], f"keys, {dark}"
        r.press("?", "g")
    r.press("g")
    for _ in range(40):
        if r.part("review-done").count():
            break
        r.press("Control+a", "x")
        notebook.page.wait_for_timeout(50)
    expect(r.part("review-done")).to_be_visible()
    r.saved()
    notebook.shot("review-done", r.explorer.root)
    assert violations(notebook, axe) == [], "done"
