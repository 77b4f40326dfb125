"""Pages that imitate a host, served to the browser from this folder under names that exist nowhere else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Frame, Page, Route

from ..browser import WatchedPage
from ..explorer import EXPLORER, ExplorerPage
from .kernel import Kernel

HERE = Path(__file__).parent
# Sizes that VS Code gives the page that holds a notebook's outputs (vscode issue 225808).
WEBVIEW_HEIGHT_PX = 33_554_426
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
LIGHT = {
    "editor-background": "#ffffff", "editor-foreground": "#3b3b3b", "foreground": "#3b3b3b",
    "panel-border": "#e5e5e5", "focusBorder": "#005fb8", "textLink-foreground": "#005fb8",
    "input-background": "#ffffff", "notebook-cellEditorBackground": "#f8f8f8",
    "button-background": "#005fb8", "font-family": "'Segoe WPC', 'Segoe UI', sans-serif",
}  # fmt: skip
DARK = {
    "editor-background": "#1f1f1f", "editor-foreground": "#cccccc", "foreground": "#cccccc",
    "panel-border": "#2b2b2b", "focusBorder": "#0078d4", "textLink-foreground": "#4daafc",
    "input-background": "#313131", "notebook-cellEditorBackground": "#181818",
    "button-background": "#0078d4", "font-family": "'Segoe WPC', 'Segoe UI', sans-serif",
}  # fmt: skip
CONTRAST = {
    "editor-background": "#000000", "editor-foreground": "#ffffff", "foreground": "#ffffff",
    "contrastBorder": "#6fc3df", "panel-border": "#6fc3df", "focusBorder": "#f38518", "textLink-foreground": "#21a6ff",
    "input-background": "#000000", "notebook-cellEditorBackground": "#000000",
    "font-family": "'Segoe WPC', 'Segoe UI', sans-serif",
}  # fmt: skip


def _shipped(package: str, file: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / file


class HostPage(WatchedPage):
    """An imitated host with a kernel in this process behind it."""

    start = ""

    def __init__(self, page: Page, kernel: Kernel, shots: Path) -> None:
        super().__init__(page, shots)
        self.kernel = kernel
        shipped = {
            "/ipywidgets.js": _shipped("widgetsnbextension", "static/extension.js"),
            "/anywidget.js": _shipped("anywidget", "nbextension/index.js"),
        }

        def serve(route: Route) -> None:
            path = urlsplit(route.request.url).path
            file = shipped.get(path) or HERE / path.lstrip("/")
            if file.is_file():
                route.fulfill(body=file.read_bytes(), content_type=_TYPES[file.suffix])
            else:
                route.fulfill(status=404)

        page.route("https://*.invalid/**", serve)
        page.expose_binding("kernel", lambda _, text: kernel.receive(text))
        page.goto(self.start)
        page.wait_for_function("() => window.deliver && window.show")

    def show(self, widget: Any) -> None:
        """Display a widget as a cell's output does."""
        widget._repr_mimebundle_()
        self.kernel.deliver(self.page)
        self.page.evaluate("id => window.show(id)", widget.model_id)

    def output(self, n: int = 0) -> Frame:
        """Return the frame that an output lies in."""
        raise NotImplementedError

    def explorer(self, n: int = 0) -> ExplorerPage:
        raise NotImplementedError


class Colab(HostPage):
    """Colab: a frame an output, of another origin each."""

    start = "https://notebook.invalid/colab_notebook.html"

    def output(self, n: int = 0) -> Frame:
        element = self.page.locator("iframe").nth(n).element_handle()
        frame = element.content_frame() if element else None
        assert frame is not None
        return frame

    def explorer(self, n: int = 0) -> ExplorerPage:
        place = self.page.frame_locator("iframe").nth(n)
        return ExplorerPage(self.page, place.locator(EXPLORER))


class VSCode(HostPage):
    """VS Code: one webview for every output of the notebook."""

    start = "https://window.invalid/vscode_window.html"

    def __init__(self, page: Page, kernel: Kernel, shots: Path, height: int = WEBVIEW_HEIGHT_PX) -> None:
        super().__init__(page, kernel, shots)
        page.locator("iframe").evaluate("(frame, height) => { frame.style.height = `${height}px`; }", height)
        self.theme("vscode-light", LIGHT)

    def theme(self, kind: str, variables: dict[str, str]) -> None:
        self.page.evaluate("([kind, variables]) => window.setTheme(kind, variables)", [kind, variables])
        self.page.evaluate(
            "colour => document.documentElement.style.setProperty('--editor', colour)", variables["editor-background"]
        )

    def output(self, n: int = 0) -> Frame:
        assert n == 0
        element = self.page.locator("iframe").element_handle()
        frame = element.content_frame() if element else None
        assert frame is not None
        return frame

    def explorer(self, n: int = 0) -> ExplorerPage:
        place = self.page.frame_locator("iframe")
        return ExplorerPage(self.page, place.locator(EXPLORER).nth(n))
