"""`make demo`: the quickstart in a JupyterLab with folders of its own; `--headless` runs it without a screen.

Works in `demo/`, on copies, so that the notebook in git stays without outputs.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import signal
import threading
from pathlib import Path

import nbformat

from .browser import NotebookPage, chromium, launched
from .explorer import EXPLORER
from .servers import jupyter

ROOT = Path(__file__).resolve().parent.parent.parent
DEMO = Path(os.environ.get("EAW_DEMO") or ROOT / "demo")
NOTEBOOK = "quickstart.ipynb"
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
RUN_TIMEOUT_MS = 600_000
VIEWPORT = {"width": 1440, "height": 1000}


def prepare() -> Path:
    """Copy the notebook and what it imports; a copy that was worked on is kept."""
    DEMO.mkdir(exist_ok=True)
    shutil.copy(ROOT / "examples" / "make_data.py", DEMO)
    if not (DEMO / NOTEBOOK).exists():
        shutil.copy(ROOT / "examples" / NOTEBOOK, DEMO)
    return DEMO


def show() -> None:
    """Open JupyterLab and stay until Ctrl-C."""
    folder = prepare()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with jupyter(folder, DEMO / ".jupyter", open_browser=f"/lab/tree/{NOTEBOOK}") as server:
        print(f"JupyterLab runs at {server.url}/lab/tree/{NOTEBOOK}\nRun all cells, then play. Ctrl-C here stops it.")
        try:
            stop.wait()
        except KeyboardInterrupt:
            print("\nStopped. Your work stays in demo/.")


def run_headless() -> tuple[Path, Path]:
    """Run every cell in a real JupyterLab; return the page and the picture it wrote."""
    if chromium() is None:
        raise SystemExit("No Chromium found: install it, or set CHROMIUM=/path/to/chromium.")
    (DEMO / NOTEBOOK).unlink(missing_ok=True)
    folder = prepare()
    html, picture = DEMO / "quickstart.html", DEMO / "quickstart.png"
    with jupyter(folder, DEMO / ".jupyter") as server, launched() as browser:
        context = browser.new_context(viewport=VIEWPORT, device_scale_factor=1, reduced_motion="reduce")
        page = NotebookPage(context.new_page(), server, DEMO)
        page.open_file(NOTEBOOK)
        page.run_all(RUN_TIMEOUT_MS)
        pictures = []
        for n in range(page.page.locator(EXPLORER).count()):
            explorer = page.explorer(n)
            explorer.root.scroll_into_view_if_needed()
            explorer.settled()
            pictures.append(explorer.root.screenshot())
        picture.write_bytes(pictures[0])
        page.save()
        page.shut_down()
        context.close()
    html.write_text(_as_html(folder / NOTEBOOK, pictures), encoding="utf-8")
    return html, picture


def _as_html(notebook: Path, pictures: list[bytes]) -> str:
    """Convert the executed notebook to one page that needs no network; explorers become pictures."""
    from nbconvert import HTMLExporter

    document = nbformat.read(notebook, as_version=4)
    left = iter(pictures)
    for cell in document.cells:
        for output in cell.get("outputs", ()):
            if WIDGET_MIME in output.get("data", {}) and "Explorer" in output["data"].get("text/plain", ""):
                output["data"] = {"image/png": base64.b64encode(next(left)).decode()}
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", embed_widgets=False)
    page, _ = exporter.from_notebook_node(document)
    return str(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--headless", action="store_true", help="run all cells without a screen and write demo/")
    if parser.parse_args().headless:
        for file in run_headless():
            print(f"wrote {file}")
    else:
        show()


if __name__ == "__main__":
    main()
