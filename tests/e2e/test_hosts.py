"""The same widget in the other hosts: Notebook 7, marimo and Voila; and what `ea.doctor()` says in each."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import BrowserContext, expect

import encord_active_widgets as ea

from .browser import NotebookPage, WatchedPage
from .conftest import SHOTS
from .servers import voila
from .test_main_job import opened


def test_notebook_7_selects_and_tags(classic: NotebookPage, photos: Path) -> None:
    classic.open(opened(photos, "w = p.explore(); w"), "classic")
    e = classic.explorer().wait_ready()
    e.lasso()
    e.expect_some_selected()
    selected = e.selected()
    assert int(classic.run_cell("w.selection.df.height")) == selected
    e.type_tag("seen")
    e.expect_saved()
    assert int(classic.run_cell("len(p.filter(ea.tagged('seen')))")) == selected
    classic.shot("notebook7")
    assert_well(doctor_in(classic), "Jupyter Notebook 7")


def test_marimo_runs_dependent_cells_again_on_a_selection(
    marimo_app: Callable[[str], WatchedPage], photos: Path
) -> None:
    page = marimo_app(
        textwrap.dedent(f"""
        import marimo
        app = marimo.App(width="full")

        @app.cell
        def _():
            import marimo as mo
            import encord_active_widgets as ea
            p = ea.open({str(photos)!r})
            w = mo.ui.anywidget(p.explore())
            w
            return mo, p, w

        @app.cell
        def _(mo, w):
            w.value
            mo.md(f"rows: {{w.widget.selection.df.height}} tagged: {{int(w.widget.view.tags['count'].sum())}}")
            return

        if __name__ == "__main__":
            app.run()
        """).strip()
    )
    e = page.explorer().wait_ready(60_000)
    page.page.get_by_text("rows: 0").wait_for()
    e.lasso()
    e.expect_some_selected()
    selected = e.selected()
    page.page.get_by_text(f"rows: {selected} ").wait_for()
    e.type_tag("seen")
    e.expect_saved()
    assert e.root.get_attribute("data-theme") == "light", "the explorer follows marimo's light page"
    page.shot("marimo")


def test_two_explorers_in_marimo_do_not_share_state_by_accident(
    marimo_app: Callable[[str], WatchedPage], photos: Path
) -> None:
    page = marimo_app(
        textwrap.dedent(f"""
        import marimo
        app = marimo.App(width="full")

        @app.cell
        def _():
            import marimo as mo
            import encord_active_widgets as ea
            p = ea.open({str(photos)!r})
            a = mo.ui.anywidget(p.explore(height=400))
            b = mo.ui.anywidget(p.explore(height=400))
            mo.vstack([a, b])
            return ea

        @app.cell
        def _(ea):
            found = ea.doctor()
            return

        if __name__ == "__main__":
            app.run()
        """).strip()
    )
    first, second = page.explorer(0).wait_ready(60_000), page.explorer(1).wait_ready()
    first.lasso()
    first.expect_some_selected()
    second.expect_selected(0)
    box = page.page.get_by_test_id("host-check")
    expect(box.get_by_role("status")).to_have_text(re.compile("^Everything works in marimo "), timeout=20_000)


def test_voila_shows_an_explorer_that_selects_and_tags(context: BrowserContext, photos: Path, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [*opened(photos, 'w = p.explore(color="brightness"); w'), "found = ea.doctor()"]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(notebook, tmp_path / "page.ipynb")
    with voila(tmp_path / "page.ipynb", tmp_path / "home") as server:
        page = WatchedPage(context.new_page(), SHOTS)
        page.page.goto(server.url)
        e = page.explorer().wait_ready(60_000).settled()
        asked = len(page.requests)
        e.lasso()
        selected = e.expect_some_selected()
        e.type_tag("seen")
        e.expect_saved()
        assert len(ea.open(photos).filter(ea.tagged("seen"))) == selected
        box = page.page.get_by_test_id("host-check")
        expect(box).to_have_attribute("data-state", "ok", timeout=30_000)
        expect(box.get_by_role("status")).to_have_text("Everything works in Voila, explorers too.")
        page.shot("voila")
        assert [u for u in page.requests[asked:] if not u.startswith(("blob:", "data:"))] == []
        assert not [line for line in page.errors if "encord_active_widgets" in line], "Voila's own page has errors"


def test_doctor_lists_in_jupyterlab_what_the_page_measured(notebook: NotebookPage) -> None:
    notebook.open(["import encord_active_widgets as ea"], "doctor")
    found = doctor_in(notebook)
    assert_well(found, "JupyterLab 4")
    assert found["while a cell runs"]["found"] == "the kernel answers"
    assert "DataView" in found["bytes to the page"]["found"]
    assert found["unasked messages"]["found"] == "arrive"
    notebook.shot("doctor", notebook.page.get_by_test_id("host-check").first)


def doctor_in(page: NotebookPage) -> dict[str, dict[str, Any]]:
    """Let the host be tested in a cell, and return the rows by their names."""
    page.run_cell("found = ea.doctor()")
    expect(page.page.get_by_test_id("host-check")).to_have_attribute("data-state", "ok", timeout=20_000)
    said = page.run_cell("print(ea.doctor().write_json())")
    return {row["check"]: row for row in json.loads(said[said.index("[{") :])}


def assert_well(found: dict[str, dict[str, Any]], host: str) -> None:
    assert all(row["ok"] for row in found.values()), found
    assert found["notebook host"]["found"].startswith(host)
    assert found["verdict"]["found"].startswith(f"Everything works in {host}")
    assert found["bytes to the kernel"]["found"].startswith("1 MiB of text")
