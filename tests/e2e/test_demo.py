"""`make demo HEADLESS=1` and the notebooks in `examples/`: what a newcomer runs first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from .browser import NotebookPage

RUN_TIMEOUT_MS = 300_000


def test_the_quickstart_runs_on_real_photos(notebook: NotebookPage, repository: Path, shared_data: Path) -> None:
    """The same notebook as `make demo`, pointed at real images."""
    root = notebook.server.root
    (root / "make_data.py").write_text((repository / "examples" / "make_data.py").read_text())
    document = nbformat.read(repository / "examples" / "quickstart.ipynb", as_version=4)
    point = f"import os\nos.environ['EAW_QUICKSTART_IMAGES'] = {str(shared_data / 'photos')!r}"
    document.cells.insert(0, nbformat.v4.new_code_cell(point))
    nbformat.write(document, root / "quickstart.ipynb")
    notebook.open_file("quickstart.ipynb")
    notebook.run_all(RUN_TIMEOUT_MS)
    e = notebook.explorer().wait_ready()
    e.root.scroll_into_view_if_needed()  # a cell out of view has no text
    e.expect_shown(len(list((shared_data / "photos").iterdir())))
    notebook.shot("quickstart-photos")


def test_the_headless_demo_writes_its_page_and_picture(repository: Path, tmp_path: Path) -> None:
    env = dict(os.environ, PYTHONPATH=str(repository / "tests"), EAW_DEMO=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "e2e.demo", "--headless"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "quickstart.html").read_text("utf-8")
    assert page.count("data:image/png;base64") >= 2
    assert "Traceback" not in page
    assert (tmp_path / "quickstart.png").stat().st_size > 50_000


@pytest.mark.parametrize("name", ["active_learning.ipynb", "quickstart.ipynb"])
def test_notebooks_are_kept_without_outputs(repository: Path, name: str) -> None:
    document = json.loads((repository / "examples" / name).read_text("utf-8"))
    assert "widgets" not in document["metadata"]
    for cell in document["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
