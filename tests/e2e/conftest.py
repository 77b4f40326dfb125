"""Real servers and a real browser for the end-to-end tests; skipped with a reason where there is no Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from .browser import NotebookPage, WatchedPage, chromium, launched
from .servers import Server, jupyter, marimo

SHOTS = Path(__file__).parent / ".shots"
VIEWPORT = {"width": 1280, "height": 900}
# Lines that hosts print of their own accord, on a notebook without any widget too.
_HOST_NOISE = re.compile(
    r"favicon|/api/(me|kernels|sessions|contents)|ResizeObserver loop|source ?map"
    r"|reading 'schema'.*/static/notebook/notebook_core",  # Notebook 7.6 at every start
    re.IGNORECASE | re.DOTALL,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    items.sort(key=lambda item: here in item.path.parents)  # the quick tests speak first
    missing = chromium() is None
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if missing and not os.environ.get("CI"):  # in CI a missing browser is a failure
                item.add_marker(pytest.mark.skip(reason="no Chromium: install it, or set CHROMIUM=/path/to/chromium"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


_FAILED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab with an empty token, no news, its own folders."""
    with jupyter(tmp_path_factory.mktemp("lab_root"), tmp_path_factory.mktemp("lab_home")) as server:
        yield server


@pytest.fixture(scope="session")
def notebook7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyter(
        tmp_path_factory.mktemp("notebook_root"), tmp_path_factory.mktemp("notebook_home"), app="notebook"
    ) as server:
        yield server


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh browser profile; a trace is kept only where the test failed."""
    context = browser.new_context(viewport=VIEWPORT, device_scale_factor=1, reduced_motion="reduce")
    context.tracing.start(screenshots=True, snapshots=True)
    yield context
    failed = request.node.stash.get(_FAILED, True)
    if failed:
        SHOTS.mkdir(exist_ok=True)
        for i, page in enumerate(context.pages):
            page.screenshot(path=SHOTS / f"failed-{request.node.name}-{i}.png")
        context.tracing.stop(path=SHOTS / f"failed-{request.node.name}.zip")
    else:
        context.tracing.stop()
    context.close()


def _quiet(watched: WatchedPage, request: pytest.FixtureRequest) -> None:
    """Every test ends with a clean console and no request off this machine, unless it says what it provokes."""
    if request.node.stash.get(_FAILED, True):
        return
    expected = request.node.get_closest_marker("provokes")
    patterns = [re.compile(p) for p in (expected.args if expected else ())]
    foreign = [u for u in watched.requests if not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|blob:|data:|about:", u)]
    assert foreign == [], "something asked for an address off this machine"
    left = [e for e in watched.errors if not _HOST_NOISE.search(e) and not any(p.search(e) for p in patterns)]
    assert left == [], "the page reported errors"


@pytest.fixture
def notebook(lab: Server, context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[NotebookPage]:
    """An empty JupyterLab page: `notebook.open(cells, name)`."""
    page = NotebookPage(context.new_page(), lab, SHOTS)
    yield page
    page.shut_down()
    _quiet(page, request)


@pytest.fixture
def classic(notebook7: Server, context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[NotebookPage]:
    """An empty Notebook 7 page."""
    page = NotebookPage(context.new_page(), notebook7, SHOTS, path="notebooks")
    yield page
    page.shut_down()
    _quiet(page, request)


@pytest.fixture
def marimo_app(
    context: BrowserContext, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], WatchedPage]]:
    """Start a marimo notebook given as source, and open it."""
    stack = []
    pages = []

    def start(source: str) -> WatchedPage:
        file = tmp_path / "app.py"
        file.write_text(source, encoding="utf-8")
        running = marimo(file, tmp_path / "home")
        server = running.__enter__()
        stack.append(running)
        page = WatchedPage(context.new_page(), SHOTS)
        page.page.goto(server.url)
        pages.append(page)
        return page

    yield start
    for page in pages:
        _quiet(page, request)
    for running in stack:
        running.__exit__(None, None, None)


# -- projects -----------------------------------------------------------------------------

_MAKE = """
import sys
import encord_active_widgets as ea
kind, source, path = sys.argv[1:]
p = ea.Project.from_coco(source + "/annotations.json", source + "/images", path) if kind == "coco" \\
    else ea.Project.from_folder(source, path)
p.compute()
"""


def _make(kind: str, source: Path, path: Path) -> Path:
    """Make and compute a project in a process of its own, as a user's earlier session did."""
    subprocess.run([sys.executable, "-c", _MAKE, kind, str(source), str(path)], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def photos_made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make("folder", shared_data / "photos", tmp_path_factory.mktemp("made") / "photos.eaw")


@pytest.fixture(scope="session")
def bccd_made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make("coco", shared_data / "bccd", tmp_path_factory.mktemp("made") / "bccd.eaw")


@pytest.fixture(scope="session")
def scenes_made(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's own images as a project: no real data needed."""
    folder = tmp_path_factory.mktemp("scenes")
    subprocess.run([sys.executable, str(repository / "examples" / "make_data.py"), str(folder / "scenes")], check=True)
    return _make("folder", folder / "scenes", folder / "scenes.eaw")


@pytest.fixture
def photos(photos_made: Path, tmp_path: Path) -> Path:
    """A computed project of the 200 photos, of this test's own."""
    return Path(shutil.copytree(photos_made, tmp_path / "photos.eaw"))


@pytest.fixture
def bccd(bccd_made: Path, tmp_path: Path) -> Path:
    """A computed project of blood cells with boxes."""
    return Path(shutil.copytree(bccd_made, tmp_path / "bccd.eaw"))


@pytest.fixture
def scenes(scenes_made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scenes_made, tmp_path / "scenes.eaw"))


@pytest.fixture(scope="session", autouse=True)
def _no_old_shots() -> None:
    shutil.rmtree(SHOTS, ignore_errors=True)
