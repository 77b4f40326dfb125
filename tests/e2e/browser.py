"""Headless Chromium from the system's packages, and the page of a notebook driven by it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from .explorer import EXPLORER, ExplorerPage
from .servers import Server

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",  # WebGL2 without a GPU
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--disable-lcd-text",
]
OPEN_TIMEOUT_MS = 60_000
RUN_TIMEOUT_MS = 120_000
_TRY_AGAIN_MS = 150
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

# The status alone is idle before the session exists, and flickers: wait until it stays idle and nothing is queued.
_KERNEL_IDLE = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  const kernel = panel?.sessionContext?.session?.kernel;
  const cells = panel?.content?.widgets ?? [];
  const busy = kernel?.status !== 'idle' || kernel?.connectionStatus !== 'connected'
    || cells.some(c => c.inputArea?.promptNode?.textContent?.includes('*'));
  window.__eawIdle = busy ? 0 : (window.__eawIdle ?? 0) + 1;
  return window.__eawIdle >= 4;
}"""
_RUN_CELL = """async (source) => {
  const panel = jupyterapp.shell.currentWidget, notebook = panel.content;
  const shared = notebook.model.sharedModel;
  shared.insertCell(shared.cells.length, {cell_type: 'code', source, metadata: {trusted: true}});
  notebook.activeCellIndex = shared.cells.length - 1;
  await jupyterapp.commands.execute('notebook:run-cell');
  return notebook.widgets.at(-1).model.outputs.toJSON();
}"""
_OUTPUTS = """() => jupyterapp.shell.currentWidget.content.widgets
  .filter(c => c.model.type === 'code').map(c => c.model.outputs.toJSON())"""


def chromium() -> str | None:
    """Return the browser: the one `CHROMIUM` names, else the first that is installed."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class WatchedPage:
    """A page that remembers every error it showed and every address it asked for."""

    def __init__(self, page: Page, shots: Path) -> None:
        self.page = page
        self.shots = shots
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error} {error.stack}"))
        page.on("console", lambda line: self.errors.append(f"console: {line.text}") if line.type == "error" else None)
        page.on("request", lambda request: self.requests.append(request.url))

    def shot(self, name: str, target: Locator | None = None) -> Path:
        path = self.shots / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        (target or self.page).screenshot(path=path)
        return path

    def explorer(self, n: int = 0) -> ExplorerPage:
        return ExplorerPage(self.page, self.page.locator(EXPLORER).nth(n))


class NotebookPage(WatchedPage):
    """One notebook in JupyterLab or Notebook 7."""

    def __init__(self, page: Page, server: Server, shots: Path, *, path: str = "lab/tree") -> None:
        super().__init__(page, shots)
        self.server = server
        self._path = path

    def open(self, cells: Sequence[str], name: str, *, run: bool = True, timeout: int = RUN_TIMEOUT_MS) -> NotebookPage:
        """Write a notebook with these code cells, open it and run all."""
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        nbformat.write(notebook, self.server.root / f"{name}.ipynb")
        self.open_file(f"{name}.ipynb")
        if run:
            self.run_all(timeout)
        return self

    def open_file(self, file: str) -> NotebookPage:
        self.page.goto(f"{self.server.url}/{self._path}/{file}" + ("?reset" if "lab" in self._path else ""))
        self.wait_idle(OPEN_TIMEOUT_MS)
        if "lab" in self._path:
            self.page.evaluate(
                """() => { if (!jupyterapp.shell.leftCollapsed)
                  void jupyterapp.commands.execute('application:toggle-left-area') }"""
            )
        return self

    def wait_idle(self, timeout: int = RUN_TIMEOUT_MS) -> None:
        self.page.evaluate("() => { window.__eawIdle = 0 }")
        self.page.wait_for_function(_KERNEL_IDLE, timeout=timeout, polling=100)

    def run_all(self, timeout: int = RUN_TIMEOUT_MS) -> None:
        """Run every cell and wait for the end; an error in a cell fails here, with its traceback."""
        self.page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_idle(timeout)
        for outputs in self.outputs():
            _text(outputs)

    def outputs(self) -> list[list[dict[str, Any]]]:
        return list(self.page.evaluate(_OUTPUTS))

    def run_cell(self, source: str) -> str:
        """Append a cell, run it and return the text it printed or showed."""
        outputs = self.page.evaluate(_RUN_CELL, source)
        self.wait_idle()
        return _text(outputs)

    def wait_cell(self, source: str, text: str, tries: int = 20) -> None:
        """Run a cell again until it shows this text."""
        found = ""
        for _ in range(tries):
            found = self.run_cell(source)
            if found == text:
                return
            self.page.wait_for_timeout(_TRY_AGAIN_MS)
        raise AssertionError(f"{source} is {found}, not {text}")

    def execute(self, command: str, **arguments: Any) -> None:
        self.page.evaluate("([c, a]) => void jupyterapp.commands.execute(c, a)", [command, arguments])

    def restart_kernel(self) -> None:
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.wait_idle(OPEN_TIMEOUT_MS)

    def n_cells(self) -> int:
        return int(self.page.evaluate("() => jupyterapp.shell.currentWidget.content.model.sharedModel.cells.length"))

    def save(self) -> None:
        self.page.evaluate("() => jupyterapp.shell.currentWidget.context.save()")

    def shut_down(self) -> None:
        self.page.evaluate("async () => { await window.jupyterapp?.shell?.currentWidget?.sessionContext?.shutdown() }")


def _text(outputs: Sequence[dict[str, Any]]) -> str:
    """Join what a cell printed and showed as text; an error raises with its traceback."""
    parts = []
    for output in outputs:
        if output["output_type"] == "error":
            raise AssertionError(f"{output['ename']}: {output['evalue']}\n" + "\n".join(output["traceback"]))
        if output["output_type"] == "stream":
            parts += [] if output["name"] == "stderr" else [_joined(output["text"])]
        elif "text/plain" in output.get("data", {}):
            parts.append(_joined(output["data"]["text/plain"]))
    return "".join(parts).strip()


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
