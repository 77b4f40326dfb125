"""The same widget in the other hosts: Notebook 7 and marimo."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

from .browser import NotebookPage, WatchedPage
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
            return

        if __name__ == "__main__":
            app.run()
        """).strip()
    )
    first, second = page.explorer(0).wait_ready(60_000), page.explorer(1).wait_ready()
    first.lasso()
    first.expect_some_selected()
    second.expect_selected(0)
