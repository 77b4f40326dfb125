"""What a user installs: complete, small, offline, and quick to import."""

from __future__ import annotations

import base64
import contextlib
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from email.message import Message
from pathlib import Path

import pytest

BUNDLE_LIMIT_BYTES = 150_000
PAGE_LIMIT_BYTES = 400_000
PACKED = re.compile(r'"([A-Za-z0-9+/]{10000,}=*)"')
NO_NETWORK = re.compile(r"Failed to fetch|dns error|error sending request|Connection refused")
HEAVY = (
    "altair", "anywidget", "deltalake", "hnswlib", "ipywidgets", "IPython", "numba", "pandas", "PIL", "pyarrow",
    "scipy", "simplejpeg", "sklearn", "umap",
)  # fmt: skip


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv", path=Path(sys.executable).parent)
    if found is None:
        pytest.skip("uv is not in this environment: run `make setup`")
    return found


@pytest.fixture(scope="module")
def built(uv: str, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of this checkout."""
    out = tmp_path_factory.mktemp("dist")
    for kind in ("--wheel", "--sdist"):  # each from the checkout, as `make build` and `pip wheel` do
        command = [uv, "build", kind, "--quiet", "--python", sys.executable, "--out-dir", str(out), str(repository)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (made,) = built.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def without_node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with every program of this machine but Node's."""
    folder = tmp_path_factory.mktemp("bin")
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for program in place.iterdir() if place.is_dir() else ():
            if not program.name.startswith(("node", "npm", "npx", "eaw", "encord-active")):
                with contextlib.suppress(FileExistsError):  # the first of a name counts
                    (folder / program.name).symlink_to(program)
    assert shutil.which("node", path=str(folder)) is None
    return str(folder)


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
        page = archive.read("encord_active_widgets/static/offline.js")
    assert "encord_active_widgets/py.typed" in names
    assert 1_000 < len(packed) <= BUNDLE_LIMIT_BYTES
    assert 1_000 < len(page) <= PAGE_LIMIT_BYTES, "what makes exported pages work"
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


USED = """
import sys
import numpy as np
from PIL import Image
import encord_active_widgets as ea
for i in range(3):
    Image.fromarray(np.full((20, 30, 3), 60 * i, np.uint8)).save(f"photos/{i}.png")
ea.Project.from_folder("photos", "photos.eaw")
p = ea.open("photos.eaw")
p.items.head(2).tag("seen")
w = p.explore()
assert len(w._esm) > 1_000, "the widget's code travels with it"
assert len(w.selection) == 0
w.close()
assert len(p.filter(ea.tagged("seen"))) == 2
print(ea.__file__)
"""


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_what_is_released_installs_and_runs_without_node(
    kind: str, uv: str, built: Path, without_node: str, tmp_path: Path
) -> None:
    (archive,) = built.glob(kind)
    home = tmp_path / "venv"
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | {"PATH": without_node}
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True, env=env)
    scripts = home / ("Scripts" if sys.platform == "win32" else "bin")
    install = [uv, "pip", "install", "--quiet", "--python", str(scripts / "python"), str(archive)]
    done = subprocess.run(install, capture_output=True, text=True, check=False, env=env)
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip(f"the dependencies cannot be fetched here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    (tmp_path / "photos").mkdir()

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)

    used = run(scripts / "python", "-c", USED)
    assert used.returncode == 0, used.stderr
    assert Path(used.stdout.strip()).is_relative_to(home)
    for script in ("eaw", "encord-active-widgets"):
        told = run(scripts / script, "--help")
        assert told.returncode == 0, told.stderr
        assert "label-errors" in told.stdout
    counted = run(scripts / "eaw", "query", "--count")
    assert counted.stdout == "3\n", counted.stderr


def test_the_source_distribution_carries_what_a_wheel_and_the_site_are_built_of(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {n.partition("/")[2] for n in packed.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "js/package.json",
        "mkdocs.yml",
    } <= names
    assert {"encord_active_widgets/static/widget.js", "encord_active_widgets/static/offline.js"} <= names
    assert not [n for n in names if "node_modules" in n or n.endswith((".pyc", ".nbi", ".nbc"))]


EXTRAS = {"video", "onnx", "torch", "clip", "cloud", "encord", "lab", "docs", "dev"}
PARTS = {"charts", "interchange", "test", "lint", "bench"}
"""Further ones: small parts of the first, or what `dev` is made of."""


def test_the_metadata_says_what_is_true(metadata: Message) -> None:
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS | PARTS
    classifiers = metadata.get_all("Classifier", [])
    versions = [c.rpartition(" ")[2] for c in classifiers if re.search(r":: 3\.\d+$", c)]
    assert versions == ["3.11", "3.12", "3.13"]
    assert metadata["Requires-Python"] == f">={versions[0]}"
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in versions, "what is tested here is what is claimed"
    assert "Typing :: Typed" in classifiers
    assert metadata["License-Expression"] == "Apache-2.0"
    assert not metadata.get_all("Project-URL"), "no address is named that does not exist"
    needed = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert not [r for r in needed if re.match(r"(torch|onnx|av|jupyterlab|fsspec|altair|encord|pytest)\b", r)]
    dev = [r for r in metadata.get_all("Requires-Dist", []) if re.search(r"extra == ['\"]dev['\"]", r)]
    names = {re.split(r"[^A-Za-z0-9_.-]", r)[0].replace("_", "-").lower() for r in dev}
    assert {"pytest", "ruff", "mypy", "mkdocs-material", "cleanvision", "jupyterlab"} <= names


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_all_extras_can_be_had_together_on_every_python_that_is_named(version: str, uv: str, wheel: Path) -> None:
    wanted = f"encord_active_widgets[{','.join(sorted(EXTRAS | PARTS))}] @ {wheel.as_uri()}"
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--python-version", version, "-"]
    done = subprocess.run(command, input=wanted, capture_output=True, text=True, check=False)
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip(f"the index of packages cannot be reached here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    found = {re.split(r"[\s=@]", line)[0] for line in done.stdout.splitlines() if re.match(r"[a-z]", line)}
    assert {"av", "onnxruntime", "torch", "tokenizers", "fsspec", "encord", "jupyterlab", "mkdocs-material"} <= found
    assert {"ruff", "pytest", "cleanvision", "polars", "deltalake"} <= found


def test_every_extra_that_a_message_or_a_page_names_exists(repository: Path) -> None:
    files = [*(repository / "encord_active_widgets").rglob("*.py"), *(repository / "docs").rglob("*.md")]
    files += [repository / "README.md", repository / "CONTRIBUTING.md", *(repository / "examples").glob("*.*")]
    named = {}
    for file in files:
        if file.suffix in (".py", ".md", ".ipynb"):
            for extras in re.findall(r"encord_active_widgets\[([a-z,]+)\]", file.read_text("utf-8")):
                named |= dict.fromkeys(extras.split(","), file)
    assert {"lab", "video", "charts", "cloud"} <= named.keys()
    assert {k: v for k, v in named.items() if k not in EXTRAS | PARTS} == {}


@pytest.fixture(scope="module")
def page_script(repository: Path) -> str:
    return (repository / "encord_active_widgets" / "static" / "offline.js").read_text("utf-8")


def test_the_script_of_exported_pages_can_stand_in_a_page(page_script: str) -> None:
    assert len(page_script.encode()) <= PAGE_LIMIT_BYTES
    assert "</script" not in page_script.lower()
    assert "<!--" not in page_script


@pytest.mark.parametrize("part", ["bundle", "app", "page_script"])
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
