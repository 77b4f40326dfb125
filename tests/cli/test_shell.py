"""The command line as a shell sees it: help, completion, exit codes, streams, the project it picks, its own metrics."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer.main

import encord_active_widgets as ea
from encord_active_widgets.cli import app
from encord_active_widgets.errors import EawError

EVERY = (
    "acquire", "apply-edits", "check", "clone", "compare", "compute", "diff", "doctor", "duplicates", "evaluate",
    "export", "history", "import coco", "import folder", "import frame", "import predictions", "import video",
    "import voc", "import yolo", "info", "init", "label-errors", "merge", "metric add", "metric list",
    "metric run", "query", "report", "restore", "snapshot", "snapshots", "start", "tag", "undo", "untag",
)  # fmt: skip


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        whole = f"{name} {word}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, whole)
        else:
            yield whole, command


def test_these_are_the_commands():
    assert sorted(name for name, _ in commands(typer.main.get_command(app))) == list(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_the_help_of_every_command_has_an_example_that_its_options_allow(eaw, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = eaw(*name.split(), "--help")
    assert done.code == 0
    assert f"$ eaw {name}" in done.stdout
    command = dict(commands(typer.main.get_command(app)))[name]
    options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    own = [line.partition(" -- ")[0] for line in command.epilog.splitlines()]
    used = {word for line in own for word in line.split() if word.startswith("--")}
    assert used <= options
    assert "--json" in options or name == "start"
    assert "--project" in options or name == "doctor"


def test_the_help_names_commands_and_exit_codes(eaw):
    done = eaw("--help")
    assert all(name.split()[0] in done.stdout for name in EVERY)
    assert "Exit codes: 0 done" in done.stdout
    assert eaw("--version").stdout.strip() == ea.__version__
    assert eaw().code == 2


def test_help_and_completion_start_without_heavy_modules():
    code = (
        "import sys; from encord_active_widgets.cli import app\n"
        "try: app(['query', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'polars', 'numpy', 'deltalake', 'numba', 'PIL', 'anywidget'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("script", ["eaw", "encord-active-widgets"])
def test_shells_get_a_completion_script_and_words(shell, script):
    variable = f"_{script.upper().replace('-', '_')}_COMPLETE"
    done = shell(script=script, **{variable: "source_bash"})
    assert done.code == 0, done.stderr
    assert variable in done.stdout
    assert "complete -o default -F" in done.stdout
    words = shell(script=script, **{variable: "complete_bash", "COMP_WORDS": f"{script} la", "COMP_CWORD": "1"})
    assert words.stdout.split() == ["label-errors"]
    formats = shell(script=script, **{variable: "complete_bash", "COMP_WORDS": f"{script} export c", "COMP_CWORD": "2"})
    assert formats.stdout.split() == ["coco", "csv", "cvat"]


def test_the_project_here_is_found_and_several_are_named(eaw, project, tmp_path, monkeypatch):
    assert eaw("query", "--count").stdout.strip() == "60"
    monkeypatch.chdir(project.path)
    assert eaw("query", "--count").stdout.strip() == "60"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.eaw").mkdir()
    assert eaw("query", "--count").code == 0
    shutil.copytree(project.path, tmp_path / "other.eaw")
    several = eaw("query", "--count")
    assert several.code == 2
    assert '"cells.eaw", "other.eaw"' in several.stderr
    monkeypatch.chdir(tmp_path / "empty.eaw")
    none = eaw("query", "--count")
    assert none.code == 2
    assert "eaw init FOLDER" in none.stderr


def test_wrong_usage_is_two_and_an_own_fault_is_three(shell, project, tmp_path):
    wrong = shell("query", "--limit", "many", cwd=tmp_path)
    assert (wrong.code, wrong.stdout) == (2, "")
    typo = shell("qurey", cwd=tmp_path)
    assert typo.code == 2
    assert "query" in typo.stderr
    newer = json.loads((project.path / "project.json").read_text()) | {"format": 999}
    (project.path / "project.json").write_text(json.dumps(newer))
    refused = shell("info", cwd=tmp_path)
    assert refused.code == 2
    assert "format 999" in refused.stderr
    assert "Traceback" not in refused.stderr
    code = (
        "import sys, encord_active_widgets.cli.shell as s\n"
        "s.find_project = lambda path: 1 / 0\n"
        "from encord_active_widgets.cli import app; app(['info'])"
    )
    fault = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert fault.returncode == 3
    assert fault.stdout == ""
    assert "ZeroDivisionError" in fault.stderr
    assert "please report it" in fault.stderr


def test_an_interrupt_says_that_nothing_is_lost(eaw, project, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("encord_active_widgets.cli.computing.run_stages", interrupted)
    done = eaw("compute")
    assert (done.code, done.stdout) == (130, "")
    assert done.stderr == "Interrupted: what was finished is kept.\n"


def test_json_is_pure_and_progress_stays_silent_in_a_pipe(shell, shared_data, tmp_path):
    made = shell("init", shared_data / "polygons", "--project", "p.eaw", "--compute", "--json", cwd=tmp_path)
    assert made.code == 0, made.stderr
    assert made.json["items"] == 3
    assert made.stderr == ""
    for words in (("info", "--json"), ("metric", "list", "--json"), ("query", "--json"), ("doctor", "--json")):
        done = shell(*words, cwd=tmp_path)
        assert done.code == 0, done.stderr
        assert done.json
        assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_shown_on_a_terminal_and_only_on_stderr(shared_data, tmp_path):
    import fcntl
    import pty
    import struct
    import termios

    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [str(Path(sys.executable).parent / "eaw"), "init", str(shared_data / "bccd" / "images")]
    command += ["--project", "p.eaw", "--compute", "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, cwd=tmp_path, env=environment) as running:
        os.close(end)
        shown = b""
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # Linux says so when the other end is closed
                break
            if not part:
                break
            shown += part
        out, _ = running.communicate()
    os.close(terminal)
    assert running.returncode == 0, shown.decode()
    assert json.loads(out)["items"] == 364
    assert b"%|" in shown


def test_a_reader_that_leaves_early_is_no_fault(project, tmp_path):
    script = Path(sys.executable).parent / "eaw"
    line = f"{script} query --level object --json | head -c 10"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("[")
    assert "Traceback" not in done.stderr


METRIC = """
import numpy as np

import encord_active_widgets as ea


@ea.metric(level="item", range=(0, 1), direction="high = red")
def redness_of_test(pixels: np.ndarray) -> float:
    return float(pixels[..., 0].mean() / 255)
"""


def test_own_metrics_are_kept_in_the_project_and_computed_on_demand(shell, project, tmp_path):
    (tmp_path / "redness.py").write_text(METRIC)
    added = shell("metric", "add", "redness.py", "--json", cwd=tmp_path)
    assert added.code == 0, added.stderr
    assert [m["name"] for m in added.json] == ["redness_of_test"]
    (tmp_path / "redness.py").unlink()
    done = shell("metric", "run", "--json", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.json == {"computed": ["redness_of_test"], "without_values": []}
    values = ea.open(project.path).df["redness_of_test"]
    assert values.is_between(0, 1).all()
    listed = shell("metric", "list", "--json", cwd=tmp_path).json
    (found,) = [m for m in listed if m["name"] == "redness_of_test"]
    assert found["computed"] is True
    unknown = shell("metric", "run", "rednes_of_test", cwd=tmp_path)
    assert unknown.code == 2
    assert 'Did you mean "redness_of_test"?' in unknown.stderr


def test_no_command_but_metric_run_executes_a_projects_files(shell, project, tmp_path):
    folder = project.path / "metric_files"
    folder.mkdir()
    (folder / "trap.py").write_text("open('marker', 'w').write('ran')\n")
    for words in (("info",), ("compute",), ("check",), ("metric", "list"), ("query",), ("label-errors", "own")):
        assert shell(*words, cwd=tmp_path).code == 0
        assert not (tmp_path / "marker").exists()
    done = shell("metric", "run", cwd=tmp_path)
    assert done.code == 2
    assert "registers no metric" in done.stderr
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [("x = 1\n", "registers no metric"), ("1 / 0\n", "raises ZeroDivisionError"), ("def (\n", "raises SyntaxError")],
)
def test_a_metric_file_that_is_none_is_refused_and_not_kept(shell, project, tmp_path, content, said):
    (tmp_path / "m.py").write_text(content)
    done = shell("metric", "add", "m.py", cwd=tmp_path)
    assert done.code == 2
    assert said in done.stderr
    assert not (project.path / "metric_files" / "m.py").exists()
    assert shell("metric", "run", cwd=tmp_path).code == 2
    assert shell("metric", "add", "missing.py", cwd=tmp_path).code == 2


def test_another_file_of_a_name_is_not_overwritten_unasked(shell, project, tmp_path):
    (tmp_path / "m.py").write_text(METRIC)
    assert shell("metric", "add", "m.py", cwd=tmp_path).code == 0
    assert shell("metric", "add", "m.py", cwd=tmp_path).code == 0
    (tmp_path / "m.py").write_text(METRIC.replace("redness_of_test", "red_of_test"))
    refused = shell("metric", "add", "m.py", cwd=tmp_path)
    assert refused.code == 2
    assert "--replace" in refused.stderr
    assert shell("metric", "add", "m.py", "--replace", cwd=tmp_path).code == 0


def test_metrics_are_listed_by_level_without_a_project_too(eaw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = eaw("metric", "list", "--level", "object", "--json").json
    assert {r["level"] for r in rows} == {"object"}
    assert {"name", "formula", "unit", "range", "direction", "version"} <= rows[0].keys()
    assert 'Did you mean "object"?' in eaw("metric", "list", "--level", "objekt").stderr


def test_info_says_what_python_says(eaw, project):
    assert eaw("info").stdout == f"{ea.open('cells.eaw')!r}\n"
    found = eaw("info", "--json").json
    assert (found["items"], found["objects"]) == (60, len(project.objects))
    assert [r["run"] for r in found["runs"]] == ["own"]
    assert eaw("info", "--problems", "--json").json == json.loads(json.dumps(project.problems.to_dicts()))


def test_compute_stops_at_a_stage_that_is_none(eaw, project):
    done = eaw("compute", "--stage", "pixel")
    assert done.code == 2
    assert 'Did you mean "pixels"?' in done.stderr
    assert eaw("compute", "--stage", "pixels", "--json").json["items"] == 60


def test_start_writes_a_notebook_that_runs(eaw, project, tmp_path, monkeypatch):
    done = eaw("start", "--no-open")
    assert done.code == 0, done.stderr
    file = tmp_path / "cells.ipynb"
    assert done.stdout.strip() == str(file)
    book = nbformat.read(file, 4)
    nbformat.validate(book)
    scope: dict[str, Any] = {}
    for cell in book.cells:
        if cell.cell_type == "code" and "explore" not in cell.source and "w." not in cell.source:
            exec(compile(cell.source, "cell", "exec"), scope)
    assert len(scope["p"]) == 60
    file.write_text(file.read_text().replace("p.outliers()", "p.outliers()  # mine"))
    again = eaw("start", "--no-open")
    assert "stays as it is" in again.stderr
    assert "# mine" in file.read_text()
    assert eaw("start", "--no-open", "--notebook", "x.txt").code == 2


def test_start_says_what_is_missing_without_jupyterlab(eaw, project, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "jupyterlab" else found(name, *a))
    done = eaw("start")
    assert done.code == 2
    assert 'pip install "encord_active_widgets[lab]"' in done.stderr


def test_start_opens_jupyterlab_on_that_notebook(eaw, project, tmp_path, monkeypatch):
    called: list[list[str]] = []

    def run(command, **_):
        called.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    assert eaw("start").code == 0
    assert eaw("start", "--", "--no-browser").code == 0
    plain = [sys.executable, "-m", "jupyterlab", str(tmp_path / "cells.ipynb")]
    assert called == [plain, [*plain, "--no-browser"]]


def test_start_runs_the_jupyterlab_that_is_installed(shell, project, tmp_path):
    from importlib.metadata import version

    done = shell("start", "--", "--version", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert version("jupyterlab") in done.stdout


def test_a_full_disk_or_a_forbidden_place_is_told(eaw, project, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device", "out.csv")

    monkeypatch.setattr("polars.DataFrame.write_csv", full)
    done = eaw("export", "csv", "out.csv")
    assert done.code == 2
    assert 'The disk is full (No space left on device): "out.csv" could not be written' in done.stderr
    assert "Free some space" in done.stderr
    assert len(ea.open(project.path)) == 60


def test_advice_is_in_the_words_of_the_command_line():
    from encord_active_widgets.cli.output import as_options

    error = EawError("It was not computed.", 'Call p.compute(), or pass replace=True and format="coco".')
    assert as_options(str(error)) == "It was not computed. Call eaw compute, or pass --replace and --format coco."


def test_the_module_is_the_command(project, tmp_path):
    command = [sys.executable, "-m", "encord_active_widgets", "info", "--json", "--project", str(project.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout)["items"] == len(project)
