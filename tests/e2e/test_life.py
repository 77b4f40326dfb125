"""What happens around the explorer: reloads, restarts, kills, other keys, other cells, no network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .browser import NotebookPage
from .explorer import EXPLORER
from .test_main_job import opened

_LISTENING = """
def listening():
    "Inodes of this process's listening TCP sockets."
    import os
    mine = set()
    for fd in os.listdir('/proc/self/fd'):
        try:
            mine.add(os.readlink(f'/proc/self/fd/{fd}'))
        except OSError:
            pass
    found = set()
    for table in ('tcp', 'tcp6', 'unix'):
        for line in open(f'/proc/net/{table}').read().splitlines()[1:]:
            parts = line.split()
            up, inode = (parts[3] == '00010000', parts[6]) if table == 'unix' else (parts[3] == '0A', parts[9])
            if up and f'socket:[{inode}]' in mine:
                found.add(inode)
    return found
before = listening()
"""


def test_a_page_reload_brings_back_selection_and_filter(notebook: NotebookPage, photos: Path) -> None:
    notebook.open(opened(photos, "w = p.explore(); w"), "reload")
    e = notebook.explorer().wait_ready()
    e.brush("brightness", 0.2, 0.7)
    e.lasso()
    e.expect_some_selected()
    selected, shown = e.selected(), e.shown()
    notebook.save()
    notebook.page.reload()
    notebook.wait_idle()
    e = notebook.explorer().wait_ready()
    e.expect_selected(selected)
    e.expect_shown(shown)
    notebook.shot("reloaded")


@pytest.mark.provokes(r"Cannot send|Comm|WebSocket|model not found|Connection lost|Canceled future")
def test_a_kernel_restart_is_said_and_the_cell_can_run_again(notebook: NotebookPage, photos: Path) -> None:
    notebook.open(opened(photos, "w = p.explore(); w"), "restart")
    e = notebook.explorer().wait_ready()
    notebook.restart_kernel()
    expect(e.banner).to_contain_text("restarted", timeout=15_000)
    notebook.shot("kernel-restarted")
    notebook.run_all()
    e = notebook.explorer().wait_ready()
    expect(e.banner).to_be_hidden()


def test_notebook_shortcuts_do_not_fire_inside_the_explorer(notebook: NotebookPage, photos: Path) -> None:
    notebook.open(opened(photos, "w = p.explore(); w"), "shortcuts")
    e = notebook.explorer().wait_ready()
    cells = notebook.n_cells()
    counts = notebook.run_cell("print(get_ipython().execution_count)")
    e.tile(0).click()
    for key in ("b", "a", "d", "d", "x", "m", "Control+Enter"):
        notebook.page.keyboard.press(key)
    e.part("map").click()
    for key in ("b", "d", "d", "Shift+Enter"):
        notebook.page.keyboard.press(key)
    assert notebook.n_cells() == cells + 1
    assert notebook.run_cell("print(get_ipython().execution_count)") == str(int(counts) + 1)


def test_running_the_cell_five_times_leaves_one_live_explorer(notebook: NotebookPage, photos: Path) -> None:
    notebook.open(opened(photos), "again")
    for _ in range(5):
        notebook.page.evaluate(
            """async () => { const nb = jupyterapp.shell.currentWidget.content;
              const s = nb.model.sharedModel;
              if (s.cells.length < 2) s.insertCell(1, {cell_type: 'code', source: 'w = p.explore(); w'});
              nb.activeCellIndex = 1; await jupyterapp.commands.execute('notebook:run-cell'); }"""
        )
        notebook.wait_idle()
        notebook.explorer().wait_ready()
    assert notebook.page.locator(EXPLORER).count() == 1
    import_count = (
        "import gc; gc.collect(); sum(isinstance(o, ea.Explorer) and not o._closed for o in gc.get_objects())"
    )
    assert int(notebook.run_cell(import_count)) <= 5


def test_the_explorer_answers_while_a_cell_is_busy(notebook: NotebookPage, photos: Path) -> None:
    notebook.open(opened(photos, "w = p.explore(); w"), "busy")
    e = notebook.explorer().wait_ready()
    n = e.shown()
    notebook.page.evaluate(
        """() => { const nb = jupyterapp.shell.currentWidget.content; const s = nb.model.sharedModel;
          s.insertCell(s.cells.length, {cell_type: 'code', source: 'import time; time.sleep(8); done = True'});
          nb.activeCellIndex = s.cells.length - 1; void jupyterapp.commands.execute('notebook:run-cell'); }"""
    )
    e.brush("brightness", 0.1, 0.4)
    e.expect_shown_other_than(n, 3_000)
    e.lasso()
    e.expect_some_selected(3_000)
    notebook.wait_idle()
    assert int(notebook.run_cell("len(w.selection)")) == e.selected()


def test_the_kernel_listens_on_nothing_new(notebook: NotebookPage, photos: Path) -> None:
    notebook.open([_LISTENING, *opened(photos, "w = p.explore(); w")], "sockets")
    e = notebook.explorer().wait_ready()
    e.lasso()
    e.tile(0).dblclick()
    expect(e.detail).to_be_visible()
    assert notebook.run_cell("len(listening() - before)") == "0"


@pytest.mark.provokes(r"Cannot send|Comm|WebSocket|model not found|Connection lost|Canceled future|Kernel")
def test_an_edit_shown_as_saved_survives_kill_9(notebook: NotebookPage, photos: Path) -> None:
    notebook.open(opened(photos, "w = p.explore(); w"), "kill")
    e = notebook.explorer().wait_ready()
    pid = int(notebook.run_cell("import os; os.getpid()"))
    notebook.run_cell("w.selection = p.sample(31)")
    e.expect_selected(31)
    e.type_tag("kept")
    e.expect_saved()
    os.kill(pid, signal.SIGKILL)
    code = "import sys, encord_active_widgets as ea; print(len(ea.open(sys.argv[1]).filter(ea.tagged('kept'))))"
    out = subprocess.run([sys.executable, "-c", code, str(photos)], check=True, capture_output=True, text=True)
    assert int(out.stdout) == 31
    notebook.wait_idle()  # JupyterLab restarts the kernel
    expect(e.banner).to_be_visible(timeout=15_000)


def test_an_undo_that_takes_a_column_away_says_which_condition_no_longer_works(
    notebook: NotebookPage, photos: Path
) -> None:
    notebook.open(
        opened(
            photos,
            "p.items.split(train=1, val=0, test=1, seed=1)\nw = p.explore(color='split')\n"
            "w.filter = pl.col('split') == 'train'\nw",
        ),
        "column_gone",
    )
    e = notebook.explorer().wait_ready()
    n = int(notebook.run_cell("len(p)"))
    e.expect_shown(n // 2)
    e.tile(0).focus()
    notebook.page.keyboard.press("Control+z")
    expect(e.part("undo")).to_be_disabled()
    expect(e.root.get_by_role("alert")).to_contain_text('about the column "split", which is not there')
    expect(e.part("color").locator("option:checked")).to_have_text("none")
    expect(e.conditions).to_have_text("split = train")
    notebook.shot("column-gone")
    notebook.run_cell("p.redo()")
    e.expect_shown(n // 2)
    notebook.shot("column-back")
