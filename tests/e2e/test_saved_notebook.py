"""A notebook that was saved with an explorer, and opened again where no kernel knows of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from .browser import NotebookPage
from .servers import Server
from .test_main_job import opened

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
SAVE_STATE = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"
MOST_STATE_BYTES = 200_000
TIMEOUT_MS = 15_000
_PICTURES = "() => [...document.querySelectorAll('.jp-OutputArea-output img')].map(i => [i.naturalWidth, i.alt])"


def saved(notebook: NotebookPage, server: Server, name: str, scenes: Path) -> dict[str, Any]:
    """Run, wait for the live widget, save; return what is in the file."""
    notebook.open(opened(scenes, "w = p.explore(color='class_name'); w"), name)
    notebook.explorer().wait_ready()
    assert notebook.page.evaluate(_PICTURES) == [], "the live widget is preferred to its picture"
    expect(notebook.explorer().part("still")).to_have_count(0)
    with notebook.page.expect_response(lambda r: name in r.url and r.request.method == "PUT"):
        notebook.save()
    return dict(json.loads((server.root / f"{name}.ipynb").read_text("utf-8")))


def outputs(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [o["data"] for c in document["cells"] for o in c.get("outputs", []) if WIDGET in o.get("data", {})]


def test_who_gets_the_notebook_sees_the_picture(notebook: NotebookPage, lab: Server, scenes: Path) -> None:
    document = saved(notebook, lab, "sent", scenes)
    ((data),) = outputs(document)
    assert len(data["image/png"]) < 70_000
    notebook.shut_down()
    # JupyterLab knows what it ran itself: one changed letter, and it is a stranger's.
    document["cells"][0]["source"] += "\n# sent by mail"
    for cell in document["cells"]:
        cell["metadata"].pop("trusted", None)
    (lab.root / "received.ipynb").write_text(json.dumps(document), "utf-8")
    notebook.open_file("received.ipynb")
    expect(notebook.page.locator(".jp-OutputArea-output img")).to_be_visible(timeout=TIMEOUT_MS)
    ((width, _),) = notebook.page.evaluate(_PICTURES)
    assert width == 760
    notebook.shot("saved-picture")


@pytest.mark.provokes("Cannot send|No live comm")
def test_a_notebook_saved_with_its_state_shows_it_until_the_cell_runs(
    notebook: NotebookPage, lab: Server, scenes: Path
) -> None:
    notebook.open(["1"], "settings")
    notebook.execute(SAVE_STATE)
    try:
        document = saved(notebook, lab, "state", scenes)
        states = document["metadata"]["widgets"][STATE]["state"].values()
        sizes = [len(json.dumps(s)) for s in states]
        assert max(sizes) > 50_000, "the explorer's state was saved"
        assert sum(sizes) < MOST_STATE_BYTES
        notebook.shut_down()
        notebook.open_file("state.ipynb")
        e = notebook.explorer()
        still = e.part("still")
        expect(still).to_be_visible(timeout=TIMEOUT_MS)
        expect(still.locator("img")).to_be_visible()
        expect(still).to_contain_text("run this cell")
        notebook.shot("saved-state", e.root)
        notebook.run_all()
        e.wait_ready()
        expect(e.part("still")).to_have_count(0)
    finally:
        notebook.execute(SAVE_STATE)
