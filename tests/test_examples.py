"""The examples: planted faults are found and nothing else is; every notebook runs, offline, and holds its word."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import polars as pl
import pytest

import encord_active_widgets as ea


@pytest.fixture(scope="module")
def scenes(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ea.Project, pl.DataFrame]:
    """The quickstart's project, and its items with the fault that was planted in each."""
    home = tmp_path_factory.mktemp("scenes")
    make = runpy.run_path(str(repository / "examples" / "make_data.py"))["make_scenes"]
    project = ea.Project.from_folder(make(home / "scenes"), home / "scenes.eaw")
    project.compute()
    truth = pl.read_csv(home / "scenes" / "truth.csv")
    name = pl.col("uri").str.split("/").list.tail(2).list.join("/")
    items = project.items.df.with_columns(name.alias("path")).join(truth, on="path", how="left")
    assert items["fault"].drop_nulls().len() == truth.height
    return project, items


def split(items: pl.DataFrame, fault: str, metric: str) -> tuple[pl.Series, pl.Series]:
    clean = items.filter(pl.col("fault").is_null() | pl.col("fault").is_in(["wrong_class", "exact_duplicate"]))
    return items.filter(pl.col("fault") == fault)[metric], clean[metric]


@pytest.mark.parametrize(
    ("fault", "metric", "low"),
    [("blurred", "sharpness", True), ("dark", "brightness", True), ("odd_size", "odd_size", False)],
)
def test_a_planted_fault_stands_out_from_every_sound_image(
    scenes: tuple[ea.Project, pl.DataFrame], fault: str, metric: str, low: bool
) -> None:
    spoilt, sound = split(scenes[1], fault, metric)
    assert spoilt.len() == 8
    assert (spoilt.max() < sound.min()) if low else (spoilt.min() > sound.max())


def test_overexposed_images_have_bright_shadows(scenes: tuple[ea.Project, pl.DataFrame]) -> None:
    spoilt, sound = split(scenes[1], "overexposed", "luma_p05")
    assert spoilt.median() > sound.quantile(0.95)


def test_every_copy_is_grouped_with_its_original_and_nothing_else_is(
    scenes: tuple[ea.Project, pl.DataFrame],
) -> None:
    project, items = scenes
    copies = items.drop_nulls("of").filter(pl.col("fault") != "wrong_class")
    wanted = {frozenset(pair) for pair in copies.select("path", "of").iter_rows()}
    grouped = project.duplicates().df.join(items.select("item_id", "path"), on="item_id")
    found = {
        frozenset(paths) for (paths,) in grouped.group_by("duplicate_group").agg("path").select("path").iter_rows()
    }
    assert found == wanted


def test_images_filed_under_the_wrong_class_have_neighbours_of_another(
    scenes: tuple[ea.Project, pl.DataFrame],
) -> None:
    project, items = scenes
    moved = items.filter(pl.col("fault") == "wrong_class")
    right = 0
    for row in moved.iter_rows(named=True):
        nearest = project.items.by_ids([row["item_id"]]).similar(5).df["class_name"]
        right += nearest.mode().to_list() == [row["of"]]
    assert right >= 7, "the neighbours of a misfiled image name its true class"


# -- the notebooks ------------------------------------------------------------------------------------------

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
NAMES = [notebook.stem for notebook in NOTEBOOKS]
WORKFLOWS = {
    "active_learning", "clean_folder", "coco_project", "colab", "custom_metrics", "hosts_check", "label_errors",
    "model_evaluation", "own_embeddings", "queries", "quickstart", "versions", "video",
}  # fmt: skip
SLOWEST_FIRST = ("active_learning", "quickstart", "queries", "own_embeddings")
AT_ONCE = 2
LONGEST_S = 600
MOST_CPU_S = 90.0
"""A notebook is for reading, not for waiting. The first that runs after an installation compiles kernels, too."""
DISTRIBUTIONS = {"PIL": "pillow", "av": "av", "sklearn": "scikit-learn"}
NOT_HERE = {"google"}
"""What only a host has: imported there alone."""

EXECUTE = """
import os, sys, nbclient, nbformat
document = nbformat.read("notebook.ipynb", as_version=4)
try:
    nbclient.NotebookClient(document, timeout=int(sys.argv[1])).execute()
finally:
    spent = os.times()
    document["metadata"]["cpu_s"] = spent.children_user + spent.children_system
    nbformat.write(document, "executed.ipynb")
"""

NO_NETWORK = """
# Imported by Python at its start: whatever leads off this machine is refused and written down.
import socket

LOCAL = ("127.", "::1", "localhost")


def refuse(where):
    with open({log!r}, "a") as log:
        log.write(f"{{where}}\\n")
    raise OSError(f"no network in this test: {{where}}")


def guarded(name):
    real = getattr(socket.socket, name)

    def connect(self, address):
        if isinstance(address, tuple) and not str(address[0]).startswith(LOCAL):
            refuse(address)
        return real(self, address)

    return connect


socket.socket.connect, socket.socket.connect_ex = guarded("connect"), guarded("connect_ex")
look_up = socket.getaddrinfo


def getaddrinfo(host, *rest, **named):
    if host is not None and not str(host).startswith(LOCAL):
        refuse(host)
    return look_up(host, *rest, **named)


socket.getaddrinfo = getaddrinfo
"""


COLAB = """
# Stands for what a Colab runtime has loaded before the first cell runs.
import sys, types
from pathlib import Path

asked = []
package, colab = types.ModuleType("google"), types.ModuleType("google.colab")
colab.asked, package.colab = asked, colab
colab.drive = types.SimpleNamespace(mount=lambda path: (asked.append(path), Path(path, "MyDrive").mkdir(parents=True)))
colab.output = types.SimpleNamespace(enable_custom_widget_manager=lambda: asked.append("widgets"))
sys.modules.update({"google": package, "google.colab": colab})
"""


def execute(notebook: Path, home: Path, *, colab: bool = False) -> nbformat.NotebookNode:
    """Run a notebook in a folder of its own, beside the scripts it imports, and return it with its outputs.

    With `colab`, what is `/content` there is a folder in `home`, and a last cell prints what was asked of Colab.
    """
    home.mkdir()
    guard = home / ".guard"
    guard.mkdir()
    shutil.copy(notebook, home / "notebook.ipynb")
    if colab:
        document = nbformat.read(notebook, as_version=4)
        for cell in document.cells:
            if cell.cell_type == "code":
                cell["source"] = cell["source"].replace('"/content', f'"{home.as_posix()}/content')
        report = "import google.colab\n\nprint(google.colab.asked)"
        first = nbformat.v4.new_code_cell(COLAB)
        document.cells = [first, *document.cells, nbformat.v4.new_code_cell(report)]
        nbformat.write(document, home / "notebook.ipynb")
    for script in EXAMPLES.glob("*.py"):
        shutil.copy(script, home)
    log = guard / "network.txt"
    (guard / "sitecustomize.py").write_text(NO_NETWORK.format(log=str(log)), "utf-8")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("EAW_", "JUPYTER"))}
    env |= {
        "PYTHONPATH": str(guard),
        "EAW_SHARED_DATA": str(home / "nowhere"),
        "IPYTHONDIR": str(guard / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(guard / "runtime"),
        "OMP_NUM_THREADS": "1",  # two notebooks share two cores
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", EXECUTE, str(LONGEST_S)]
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{notebook.name}: {done.stderr[-4000:]}"
    assert not log.exists(), f"{notebook.name} reached out: {log.read_text()}"
    return nbformat.read(home / "executed.ipynb", as_version=4)


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[nbformat.NotebookNode]]]:
    """The notebooks that were asked for, two at a time."""
    wanted = {
        item.callspec.params.get("name", "")
        for item in request.session.items
        if "running" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec")
    }
    home = tmp_path_factory.mktemp("notebooks")
    order = sorted(wanted & set(NAMES), key=lambda n: SLOWEST_FIRST.index(n) if n in SLOWEST_FIRST else 99)
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {name: pool.submit(execute, EXAMPLES / f"{name}.ipynb", home / name) for name in order}
    pool.shutdown(cancel_futures=True)


def printed(document: nbformat.NotebookNode) -> str:
    return "\n".join(o["text"] for c in document.cells for o in c.get("outputs", ()) if "text" in o)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_offline_and_its_assertion_holds(
    running: dict[str, Future[nbformat.NotebookNode]], name: str
) -> None:
    if name == "video":
        pytest.importorskip("av", reason='videos need the extra: pip install "encord_active_widgets[video]"')
    document = running[name].result()
    assert 0 < document["metadata"]["cpu_s"] < MOST_CPU_S
    shown = [o for c in document.cells for o in c.get("outputs", ())]
    widgets = [
        o for o in shown if "application/vnd.jupyter.widget-view+json" in o.get("data", {}) and "image/png" in o["data"]
    ]
    assert len(widgets) == sum("explore(" in c or ".review(" in c for c in code_of(EXAMPLES / f"{name}.ipynb"))
    if name == "active_learning":
        said = printed(document)
        assert "better than random: " in said
        assert "margin + coverage" in said.split("not told apart")[0], "labels chosen beat labels drawn"


def test_the_colab_notebook_takes_the_other_way_in_colab(tmp_path: Path) -> None:
    home = tmp_path / "colab"
    document = execute(EXAMPLES / "colab.ipynb", home, colab=True)
    drive = f"{home.as_posix()}/content/drive"
    assert printed(document).splitlines()[-1] == str([drive, "widgets"]), "Drive and custom widgets, once each"
    kept = Path(drive, "MyDrive", "my_dataset")
    assert (kept / "images.zip").exists()
    assert (kept / "too_dark.html").exists()
    assert len(ea.open(kept / "scenes.eaw").filter(ea.tagged("too dark"))) > 0, "what stays when the runtime ends"
    assert not (home / "work").exists(), "nothing beside the notebook"


def code_of(notebook: Path) -> list[str]:
    """Return the code cells, without magics."""
    document = nbformat.read(notebook, as_version=4)
    return [
        re.sub(r"^(\s*)%.*$", r"\1pass", c.source, flags=re.MULTILINE) for c in document.cells if c.cell_type == "code"
    ]


def test_every_workflow_has_a_notebook_and_a_line_in_the_list() -> None:
    assert set(NAMES) >= WORKFLOWS
    text = (EXAMPLES / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.ipynb\) \| .{30,} \| \d+ \|$", text, re.MULTILINE)
    assert sorted(listed) == [(name, name) for name in NAMES]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    document = json.loads(notebook.read_text("utf-8"))
    assert "widgets" not in document["metadata"]
    for cell in document["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
def test_a_notebook_says_what_it_is_about_before_its_first_cell(notebook: Path) -> None:
    first = nbformat.read(notebook, as_version=4).cells[0]
    title, paragraph, *_ = [part for part in first.source.split("\n\n") if part.strip()]
    assert first.cell_type == "markdown"
    assert re.fullmatch(r"# [^\n]+", title)
    assert len(paragraph) >= 80
    assert not paragraph.startswith(("#", "|", "-")), "a paragraph in words"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
def test_a_notebook_ends_with_an_assertion_on_its_own_result(notebook: Path) -> None:
    last = nbformat.read(notebook, as_version=4).cells[-1]
    assert last.cell_type == "code"
    made = {n.id for cell in code_of(notebook)[:-1] for n in names(cell, ast.Store)}
    asserted = [s for s in ast.walk(ast.parse(last.source)) if isinstance(s, ast.Assert)]
    assert len(asserted) >= (3 if notebook.stem in WORKFLOWS else 1)
    assert isinstance(ast.parse(last.source).body[-1], ast.Assert)
    used = {n.id for n in names(last.source, ast.Load)}
    assert used & made, "it looks at what the cells above made"


def names(code: str, context: type[ast.expr_context]) -> list[ast.Name]:
    return [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name) and isinstance(n.ctx, context)]


@pytest.mark.parametrize("notebook", [EXAMPLES / f"{n}.ipynb" for n in sorted(WORKFLOWS)], ids=lambda n: n.stem)
def test_what_an_explorer_shows_is_set_and_read_in_python(notebook: Path) -> None:
    cells = code_of(notebook)
    opened = [i for i, cell in enumerate(cells) if "explore(" in cell]
    sets = [i for i, cell in enumerate(cells) if re.search(r"\b\w\.selection = ", cell)]
    reads = [i for i, cell in enumerate(cells) if re.search(r"\b\w\.selection\.(df|tag|ids)", cell)]
    if opened:
        assert sets
        assert reads
        assert opened[0] <= sets[0] <= reads[-1]


@pytest.mark.parametrize("file", [*NOTEBOOKS, *sorted(EXAMPLES.glob("*.py"))], ids=lambda f: f.name)
def test_an_example_imports_only_what_the_package_declares_and_names_no_address(file: Path) -> None:
    declared = set()
    project = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text("utf-8"))["project"]
    for line in [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]:
        declared.add(re.split(r"[\s\[<>=;]", line)[0].lower())
    own = {script.stem for script in EXAMPLES.glob("*.py")} | {"encord_active_widgets"}
    code = code_of(file) if file.suffix == ".ipynb" else [file.read_text("utf-8")]
    for cell in code:
        for node in ast.walk(ast.parse(cell)):
            found = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            found += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {f.partition(".")[0] for f in found} - own - set(sys.stdlib_module_names) - NOT_HERE:
                assert DISTRIBUTIONS.get(name, name).lower() in declared, f"{name} in {file.name}"
        assert not re.search(r"\b(https?|ftp|s3|gs)://", cell)
