"""Duplicates as stacks: a live threshold, keep rules, "not duplicates" remembered, one undo."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .browser import NotebookPage
from .explorer import ANSWER_TIMEOUT_MS, ExplorerPage
from .test_look import CLIPPED, WIDTHS_PX, violations
from .test_main_job import opened

_MAKE = """
import io, sys
from pathlib import Path
import polars as pl
from PIL import Image
import encord_active_widgets as ea

source, home = Path(sys.argv[1]), Path(sys.argv[2])
home.mkdir(parents=True)


def crop(image, share):
    x, y = round(image.width * share / 2), round(image.height * share / 2)
    return image.crop((x, y, image.width - x, image.height - y))


changes = [
    lambda i: i, lambda i: crop(i, 0.02), lambda i: crop(i, 0.05), lambda i: i.resize((i.width // 2, i.height // 2)),
    lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), lambda i: i.point(lambda v: min(255, int(v * 1.15))),
]
rows = []
for n, file in enumerate(sorted(source.glob("*.JPEG"))[:60]):
    image = Image.open(file).convert("RGB")
    rows.append({"path": str(file), "class_name": "photo", "split": "train"})
    for k in range(n % 3 if n < 24 else 0):
        copy = home / f"{n:02d}_{k}.jpg"
        changes[(n + 2 * k) % len(changes)](image).save(copy, quality=92)
        rows.append({"path": str(copy), "class_name": "copy", "split": ("train", "val", "test")[(n // 4 + k) % 3]})
p = ea.Project.from_frame(pl.DataFrame(rows), home / "p.eaw")
p.compute(["pixels", "neighbours"])
"""


@pytest.fixture(scope="session")
def stacked_made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty photos, some with altered copies in other splits, computed in a process of its own."""
    home = tmp_path_factory.mktemp("stacked") / "images"
    subprocess.run([sys.executable, "-c", _MAKE, str(shared_data / "photos"), str(home)], check=True)
    return home / "p.eaw"


@pytest.fixture
def stacked(stacked_made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stacked_made, tmp_path / "p.eaw"))


def shown(e: ExplorerPage) -> int:
    return int(e.part("stacks").get_attribute("data-groups") or 0)


def expect_groups(e: ExplorerPage, n: int) -> None:
    expect(e.part("stacks")).to_have_attribute("data-groups", str(n), timeout=ANSWER_TIMEOUT_MS)


def test_the_threshold_regroups_and_equals_the_call(notebook: NotebookPage, stacked: Path) -> None:
    notebook.open(opened(stacked, "w = p.duplicates(0.2).explore(); w"), "stacks")
    e = notebook.explorer().wait_ready()
    expect_groups(e, int(notebook.run_cell("len(p.duplicates(0.2))")))
    notebook.shot("stacks", e.root)
    for step in (0, 4, 20, 60):
        e.part("threshold").fill(str(step))
        call = f"p.duplicates({step / 200})"
        spare = int(notebook.run_cell(f"len({call}.keep('sharpest'))"))
        n = int(notebook.run_cell(f"len({call})"))
        expect_groups(e, n)
        expect(e.part("stacks-count")).to_have_text(
            f"{n} {'group' if n == 1 else 'groups'}, {n + spare} images, {spare} could go"
        )
    e.part("threshold").fill("0")
    notebook.shot("stacks-none", e.root)


def test_keep_and_tag_is_what_the_call_returns_and_one_undo(notebook: NotebookPage, stacked: Path) -> None:
    notebook.open(opened(stacked, "w = p.duplicates().explore(); w"), "stacks_keep")
    e = notebook.explorer().wait_ready()
    groups = int(notebook.run_cell("len(p.duplicates())"))
    expect_groups(e, groups)
    for rule, title in (("largest", "largest"), ("first", "first added"), ("sharpest", "sharpest")):
        e.part("keep-rule").get_by_role("button", name=title).click()
        e.part("tag-others").click()
        e.part("tag-others-input").fill(rule)
        e.part("tag-others-input").press("Enter")
        e.expect_saved()
        same = f"set(p.filter(ea.tagged({rule!r})).ids) == set(p.duplicates().keep({rule!r}).ids)"
        notebook.wait_cell(same, "True")
    notebook.shot("stacks-tagged", e.root)
    e.part("undo").click()
    notebook.wait_cell("len(p.filter(ea.tagged('sharpest')))", "0")
    assert notebook.run_cell("len(p.filter(ea.tagged('first'))) > 0") == "True"

    spare, n = int(notebook.run_cell("len(p.duplicates().keep())")), int(notebook.run_cell("len(p)"))
    e.part("remove-others").click()
    expect_groups(e, 0)
    notebook.wait_cell("len(p)", str(n - spare))
    e.root.get_by_role("button", name="Undo", exact=True).click()
    expect_groups(e, groups)
    assert int(notebook.run_cell("len(p)")) == n


def test_another_one_can_be_kept_and_what_is_no_duplicate_is_remembered(notebook: NotebookPage, stacked: Path) -> None:
    notebook.open(opened(stacked, "w = p.duplicates().explore(); w"), "stacks_apart")
    e = notebook.explorer().wait_ready()
    groups = int(notebook.run_cell("len(p.duplicates())"))
    expect_groups(e, groups)
    keys = notebook.page.keyboard
    first = e.part("stack").first
    tiles = first.locator("[data-place]")
    other = next(i for i in range(tiles.count()) if tiles.nth(i).get_attribute("aria-pressed") == "false")
    row = tiles.nth(other).get_attribute("data-row")
    tiles.nth(other).click()
    expect(tiles.nth(other)).to_contain_text("kept: your choice")
    keys.press("ArrowLeft" if other else "ArrowRight")
    keys.press("k")
    expect(tiles.nth(other)).not_to_contain_text("kept")
    tiles.nth(other).click()
    e.part("tag-others").click()
    e.part("tag-others-input").fill("drop")
    e.part("tag-others-input").press("Enter")
    e.expect_saved()
    notebook.wait_cell(f"{row} in p.filter(ea.tagged('drop')).df['ordinal']", "False")

    tiles.first.focus()
    keys.press("Enter")
    expect(e.detail).to_be_visible()
    notebook.shot("stacks-detail", e.root)
    keys.press("Escape")
    expect(e.detail).to_be_hidden()
    tiles.first.focus()
    keys.press("n")
    expect_groups(e, groups - 1)
    assert notebook.run_cell("len(p.duplicates()), p.df['duplicate_group'].drop_nulls().n_unique()") == (
        f"({groups - 1}, {groups - 1})"
    )
    notebook.run_cell("p = ea.open(p.path); p.compute(['pixels', 'neighbours'])")
    assert int(notebook.run_cell("len(p.duplicates(0.4))")) <= groups
    assert int(notebook.run_cell("len(p.duplicates())")) == groups - 1
    assert "no duplicates" in notebook.run_cell("p.history()['what'][-1]")
    keys_target = e.part("stacks-list")
    keys_target.locator("[data-place]").first.focus()
    keys.press("Control+z")
    expect_groups(e, groups)


def test_only_leaks_and_back_to_the_explorer(notebook: NotebookPage, stacked: Path) -> None:
    notebook.open(opened(stacked, "w = p.duplicates().explore(); w"), "stacks_leaks")
    e = notebook.explorer().wait_ready()
    leaks = int(notebook.run_cell("p.duplicates().groups['leak'].sum()"))
    assert 0 < leaks < int(notebook.run_cell("len(p.duplicates())"))
    e.part("only-leaks").click()
    expect_groups(e, leaks)
    expect(e.part("stack").first.locator(".stack-leak")).to_be_visible()
    notebook.shot("stacks-leaks", e.root)
    e.part("stacks-close").click()
    expect(e.part("stacks")).to_be_hidden()
    expect(e.part("map")).to_be_visible()
    e.part("stacks-button").click()
    expect_groups(e, leaks)


def test_stacks_fit_every_width_in_light_and_dark_and_axe_is_content(
    notebook: NotebookPage, stacked: Path, repository: Path
) -> None:
    notebook.open(opened(stacked, "w = p.duplicates().explore(); w"), "stacks_look")
    e = notebook.explorer().wait_ready()
    expect(e.part("stack").first).to_be_visible()
    axe = repository / "js" / "node_modules" / "axe-core" / "axe.min.js"
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.execute("apputils:change-theme", theme=theme)
        expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        for width in WIDTHS_PX:
            notebook.page.set_viewport_size({"width": width + 130, "height": 900})
            e.wait_ready()
            expect(e.part("stacks-list").locator("img").first).to_be_visible()
            name = f"stacks-{'dark' if 'Dark' in theme else 'light'}-{width}"
            notebook.shot(name, e.root)
            assert e.root.evaluate(CLIPPED) == [], f"cut off at {name}"
        assert violations(notebook, axe) == []
    notebook.execute("apputils:change-theme", theme="JupyterLab Light")


def test_any_explorer_of_images_leads_to_them_even_before_anything_is_computed(
    notebook: NotebookPage, shared_data: Path, tmp_path: Path
) -> None:
    source = tmp_path / "images"
    source.mkdir()
    for i, file in enumerate(sorted((shared_data / "photos").glob("*.JPEG"))[:8]):
        shutil.copy(file, source / f"{i}.jpg")
    shutil.copy(source / "3.jpg", source / "again.jpg")
    made = (
        f"import encord_active_widgets as ea\np = ea.Project.from_folder({str(source)!r}, {str(tmp_path / 'p.eaw')!r})"
    )
    notebook.open([made, "w = p.explore(); w"], "stacks_raw")
    e = notebook.explorer().wait_ready()
    e.part("stacks-button").click()
    expect(e.part("stacks-empty")).to_contain_text("not computed yet")
    notebook.shot("stacks-raw", e.root)
    notebook.run_cell("p.compute(['pixels', 'neighbours'])")
    expect_groups(e, 1)
    expect(e.part("stack").locator("[data-place]").first).to_contain_text("exact")
    e.part("stacks-close").click()
    expect(e.part("map")).to_be_visible()
