"""What a user installs: complete, small, offline, and quick to import."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

BUNDLE_LIMIT_BYTES = 150_000
PACKED = re.compile(r'"([A-Za-z0-9+/]{10000,}=*)"')
HEAVY = (
    "altair", "anywidget", "deltalake", "hnswlib", "ipywidgets", "IPython", "numba", "pandas", "PIL", "pyarrow",
    "scipy", "simplejpeg", "sklearn", "umap",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `pip wheel` makes it from this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        pytest.skip("uv is not in this environment: run `make setup`")
    command = [uv, "build", "--wheel", "--quiet", "--python", sys.executable, "--out-dir", str(out), str(repository)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def bundle(repository: Path) -> str:
    file = repository / "encord_active_widgets" / "static" / "widget.js"
    if not file.exists():
        pytest.fail("the widget is not built: run `make bundle`")
    return file.read_text("utf-8")


@pytest.fixture(scope="module")
def app(bundle: str) -> str:
    """The code that the bundle carries deflated."""
    (packed,) = PACKED.findall(bundle)
    return zlib.decompress(base64.b64decode(packed), wbits=-zlib.MAX_WBITS).decode()


def test_an_installed_wheel_shows_the_widget_without_node(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        packed = archive.read("encord_active_widgets/static/widget.js")
    assert "encord_active_widgets/py.typed" in names
    assert 1_000 < len(packed) <= BUNDLE_LIMIT_BYTES
    left = [
        n for n in names if n.startswith(("tests/", "js/", "benchmarks/")) or re.search(r"\.(map|pyc|nbi|nbc|ts)$", n)
    ]
    assert left == [], "the wheel carries what a user does not need"


def test_a_wheel_installs_and_imports_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"  # in front, and -P: the wheel's files, not the checkout's
        "import encord_active_widgets as ea\n"
        "from encord_active_widgets.widgets.bundle import BUNDLE\n"
        "print(BUNDLE.stat().st_size, ea.__file__)"
    )
    out = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    size, file = out.stdout.split()
    assert int(size) > 1_000
    assert Path(file).is_relative_to(target)


@pytest.mark.parametrize("part", ["bundle", "app"])
def test_the_widget_loads_nothing_from_the_network(part: str, request: pytest.FixtureRequest) -> None:
    bundle = request.getfixturevalue(part)
    imports = re.findall(r"""(?:\bfrom|\bimport)\s*\(?\s*["'`](https?:)?//""", bundle)
    assert imports == []
    assert re.findall(r"""@import|\bimportScripts\b|new\s+WebSocket|\bXMLHttpRequest\b""", bundle) == []
    hosts = set(re.findall(r"https?://([a-z0-9.-]+)", bundle, re.IGNORECASE))
    assert hosts <= {"www.w3.org"}, "only namespace names of SVG and HTML may look like addresses"


def test_the_bundle_is_small_enough_to_be_sent_with_every_widget(bundle: str) -> None:
    assert len(bundle.encode()) <= BUNDLE_LIMIT_BYTES
    assert bundle.endswith("\n"), "anywidget takes a text of one line that ends like a file name for a path"


def test_importing_the_package_loads_none_of_the_heavy_parts() -> None:
    code = f"import sys, encord_active_widgets; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.split() == []


def test_every_public_name_can_be_used_and_completed() -> None:
    import encord_active_widgets as ea

    for name in ea.__all__:
        assert getattr(ea, name) is not None
    assert set(ea.__all__) <= set(dir(ea))


def test_a_misspelt_name_offers_the_right_one() -> None:
    import encord_active_widgets as ea

    with pytest.raises(AttributeError, match="Project"):
        _ = ea.Projekt


def test_the_lock_file_carries_no_addresses(repository: Path) -> None:
    assert "://" not in (repository / "js" / "package-lock.json").read_text("utf-8")
