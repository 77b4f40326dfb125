"""`ea.doctor()`: what a user would look for in vain elsewhere, if it did not say it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import encord_active_widgets as ea
from encord_active_widgets.diagnosis import host, installation, live, machine
from encord_active_widgets.diagnosis.finding import Finding, verdict
from encord_active_widgets.widgets.host_check import HostCheck, pattern

GOOD: dict[str, Any] = {
    "host": "JupyterLab 4.6.6", "dark": True, "round_trip_ms": 12.0,
    "up": [{"bytes": 65_536, "ms": 9}, {"bytes": 786_432, "ms": 85.0}], "up_failed": "",
    "down": [{"bytes": 1_048_576, "ms": 20}, {"bytes": 5_242_880, "ms": 120.0}], "down_failed": "",
    "bytes_as": ["DataView"], "traits_ms": 30.0, "unasked": True, "drawing": "WebGL2", "during_cell": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def by_name(found: pl.DataFrame | list[Finding]) -> dict[str, dict[str, Any]]:
    rows = found.to_dicts() if isinstance(found, pl.DataFrame) else [f._asdict() for f in found]
    return {row["check"]: row for row in rows}


def test_this_installation_is_well_and_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    found = ea.doctor()
    assert found.columns == ["check", "found", "ok", "remedy"]
    assert found["ok"].all(), found.filter(~pl.col("ok")).rows()
    assert found.row(0)[:2] == ("verdict", "All is well. Explorers need a notebook: this is plain Python.")
    rows = by_name(found)
    assert rows["encord_active_widgets"]["found"] == ea.__version__
    assert rows["notebook host"]["found"] == "plain Python"
    assert f"{pl.thread_pool_size()} threads of Polars" in rows["threads"]["found"]
    assert rows["working folder"]["found"].startswith(f"{tmp_path} takes projects")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from encord_active_widgets.cli import app; app()", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, here = by_name(pl.DataFrame(json.loads(done.stdout))), by_name(ea.doctor())
    assert list(said) == list(here)
    free = {"working folder"}  # other processes write to the disk meanwhile
    assert {n: r for n, r in said.items() if n not in free} == {n: r for n, r in here.items() if n not in free}


def test_a_package_that_is_too_old_or_missing_comes_with_the_line_that_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = {
        "anywidget": "0.9.3",
        "ipywidgets": "7.8.1",
        "jupyterlab_widgets": "1.1.9",
        "hnswlib": None,
        "polars": "9.0",
    }
    real = installation._found
    monkeypatch.setattr(installation, "_found", lambda name: told[name] if name in told else real(name))
    found = ea.doctor()
    rows = by_name(found)
    assert {n for n, r in rows.items() if not r["ok"]} == {*told, "verdict"}
    assert 'pip install "anywidget>=0.9.21,<0.12"' in rows["anywidget"]["remedy"]
    assert 'pip install "ipywidgets>=8.1,<9"' in rows["ipywidgets"]["remedy"]
    assert 'pip install "polars>=2.0,<3"' in rows["polars"]["remedy"]
    assert "jupyterlab_widgets 3" in rows["jupyterlab_widgets"]["remedy"]
    assert "C++ compiler" in rows["hnswlib"]["remedy"]
    assert found.row(0)[1].startswith("5 problems in plain Python: polars, anywidget, ipywidgets, hnswlib, ")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to: /proc")
def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/proc/self")
    row = by_name(machine.rows())["working folder"]
    assert not row["ok"]
    assert "takes no project" in row["found"]
    assert "path=" in row["remedy"]


def test_a_folder_that_takes_files_but_no_project_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "my%20drive"
    odd.mkdir()
    monkeypatch.chdir(odd)
    row = by_name(machine.rows())["working folder"]
    assert not row["ok"]
    assert "%" in row["found"]
    assert list(odd.iterdir()) == []


def test_a_drive_that_refuses_commits_is_told_by_what_the_drive_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("Generic LocalFileSystem error: Function not implemented (os error 38)")

    monkeypatch.setattr(machine, "commit", refuse)
    row = by_name(machine.rows())["working folder"]
    assert not row["ok"]
    assert "os error 38" in row["found"]


def test_a_container_with_a_share_of_many_processors_gets_a_hint_and_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text, share in (("200000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("nonsense", None)):
        (tmp_path / "cpu.max").write_text(text)
        monkeypatch.setattr(machine, "_CGROUP_2", tmp_path / "cpu.max")
        monkeypatch.setattr(machine, "_CGROUP_1", (tmp_path / "none", tmp_path / "none"))
        seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        assert machine.processors() == (seen if share is None else min(seen, share))
    monkeypatch.setattr(machine, "processors", lambda: 1)
    monkeypatch.setattr(machine.pl, "thread_pool_size", lambda: 64)
    row = by_name(machine.rows())["threads"]
    assert row["ok"]
    assert 'os.environ["POLARS_MAX_THREADS"] = "1"' in row["remedy"]


# -- which host -------------------------------------------------------------------------------------------


def shell(kernel: bool = True, **names: Any) -> ModuleType:
    """Return a stand-in for IPython with a shell whose namespace holds `names`."""
    ipython = ModuleType("IPython")
    made = SimpleNamespace(user_ns=names, **({"kernel": object()} if kernel else {}))
    ipython.get_ipython = lambda: made  # type: ignore[attr-defined]
    return ipython


@pytest.mark.parametrize(
    ("variables", "ipython", "page", "name"),
    [
        ({}, shell(kernel=False), "", "IPython in a terminal"),
        ({}, shell(), "", "Jupyter"),
        ({}, shell(), "JupyterLab 4.6.6", "JupyterLab 4.6.6"),
        ({}, shell(), "Jupyter Notebook 7.6.5", "Jupyter Notebook 7.6.5"),
        ({"VSCODE_PID": "1"}, shell(), "", "VS Code"),
        ({}, shell(__vsc_ipynb_file__="/a.ipynb"), "VS Code", "VS Code"),
        ({"TERM_PROGRAM": "vscode"}, shell(), "", "Jupyter"),
        ({"SERVER_SOFTWARE": "voila/0.5.13"}, shell(), "", "Voila"),
        ({"COLAB_RELEASE_TAG": "x"}, shell(), "", "Colab"),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive", "COLAB_RELEASE_TAG": "x"}, shell(), "JupyterLab 4", "Kaggle"),
        ({"DATABRICKS_RUNTIME_VERSION": "16.4"}, shell(), "", "Databricks"),
    ],
)
def test_the_host_is_named(
    variables: dict[str, str], ipython: ModuleType, page: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("VSCODE_PID", "SERVER_SOFTWARE", "COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert host.here(page).found == name
    assert host.remedy(name)
    assert name in host.unseen(name)


def test_marimo_is_named_when_it_runs_and_not_when_it_is_only_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    marimo = ModuleType("marimo")
    running = [True]
    marimo.running_in_notebook = lambda: running[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    assert host.here("marimo 0.25.2").found == "marimo 0.25.2"
    running[0] = False
    assert not host.host_name().startswith("marimo")


# -- what the page measured ---------------------------------------------------------------------------------


def test_a_page_on_which_all_works_gets_a_verdict_without_a_but() -> None:
    told = live.judge(GOOD, [])
    assert told["well"]
    assert told["text"] == "Everything works in JupyterLab 4.6.6, explorers too."
    rows = {row["check"]: row for row in told["rows"]}
    assert rows["bytes to the kernel"]["found"] == "1 MiB of text, in 85 ms"
    assert rows["bytes to the page"]["found"] == "5 MiB as DataView, in 120 ms"
    assert rows["while a cell runs"]["found"] == "the kernel answers"


@pytest.mark.parametrize(
    ("spoilt", "check"),
    [
        ({"round_trip_ms": None}, "messages"),
        ({"up_failed": "786432 bytes: The kernel did not answer."}, "bytes to the kernel"),
        ({"down": [], "down_failed": "1048576 bytes came back changed"}, "bytes to the page"),
        ({"traits_ms": None}, "shared state"),
    ],
)
def test_what_a_host_loses_is_named_with_a_remedy(spoilt: dict[str, Any], check: str) -> None:
    told = live.judge({**GOOD, **spoilt}, [])
    assert not told["well"]
    assert check in told["text"]
    bad = [row for row in told["rows"] if not row["ok"]]
    assert [row["check"] for row in bad] == [check]
    assert bad[0]["remedy"]


@pytest.mark.parametrize("spoilt", [{"unasked": False}, {"during_cell": False}, {"drawing": "2-D canvas"}])
def test_what_the_explorer_does_without_is_no_problem(spoilt: dict[str, Any]) -> None:
    assert live.judge({**GOOD, **spoilt}, [])["well"]


def test_the_box_in_the_cell_lists_what_is_wrong_with_the_installation_too() -> None:
    missing = Finding("polars", "missing", False, "pip install polars")
    told = live.judge(GOOD, [Finding("numpy", "2.4"), missing])
    assert told["text"] == "1 problem in JupyterLab 4.6.6: polars."
    assert told["rows"][0] == missing._asdict()
    assert "numpy" not in {row["check"] for row in told["rows"]}


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), _JSON | st.lists(st.fixed_dictionaries({"bytes": _JSON}))))
def test_whatever_a_page_sends_is_judged_and_can_be_sent_back(facts: dict[str, Any]) -> None:
    told = live.judge(facts, [])
    json.dumps(told, allow_nan=False)
    assert told["well"] == all(row["ok"] for row in told["rows"])


def test_the_verdict_before_a_page_has_answered_claims_nothing_about_explorers() -> None:
    text = verdict("Colab", live.silent("Colab"), answered=False).found
    assert "Everything" not in text
    assert "has not answered" in text
    assert "enable_custom_widget_manager" in live.silent("Colab")[0].remedy


# -- the kernel's half ----------------------------------------------------------------------------------------


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> tuple[HostCheck, list[tuple[dict[str, Any], list[Any]]]]:
    made = HostCheck(lambda facts: live.judge(facts, []), "unseen")
    sent: list[tuple[dict[str, Any], list[Any]]] = []
    monkeypatch.setattr(made, "send", lambda content, buffers=None: sent.append((content, buffers or [])))
    return made, sent


def ask(check: HostCheck, op: str, **content: Any) -> None:
    check._on_message(check, {"v": 1, "id": "a:1", "op": op, **content}, [])


def test_bytes_come_back_in_both_forms_and_unchanged(check: Any) -> None:
    widget, sent = check
    data = pattern(786_432)
    ask(widget, "check.echo", b64=[base64.b64encode(data).decode()])
    head, back = sent[0]
    assert head["ok"]
    assert [type(b) for b in back] == [bytes, memoryview]
    assert all(bytes(b) == data for b in back)


@pytest.mark.parametrize("n", [1, 255, 256, 65_535, 65_536, 65_537, 200_000])
def test_both_halves_agree_on_the_bytes(n: int) -> None:
    i = np.arange(n, dtype=np.uint64)
    assert pattern(n) == ((i * 31 + (i >> 8) * 7) & 255).astype(np.uint8).tobytes()


@pytest.mark.parametrize("n", [0, -1, 10**9, "9", None, 1.5])
def test_a_page_cannot_ask_for_any_number_of_bytes(check: Any, n: Any) -> None:
    widget, sent = check
    ask(widget, "check.down", n=n)
    assert not sent[0][0]["ok"]


def test_five_mebibytes_go_down_in_messages_of_four_at_most(check: Any) -> None:
    widget, sent = check
    ask(widget, "check.down", n=5 * 2**20)
    assert [sum(len(b) for b in buffers) for _, buffers in sent] == [4 * 2**20, 2**20]
    assert b"".join(bytes(b) for _, buffers in sent for b in buffers) == pattern(5 * 2**20)


def test_what_the_page_sets_is_set_in_answer(check: Any) -> None:
    widget, _ = check
    widget.set_state({"_page": {"seen": 7}})
    assert widget._kernel == {"seen": 7}


def test_the_verdict_knows_whether_messages_are_answered_while_a_cell_runs(check: Any) -> None:
    widget, sent = check
    ask(widget, "check.done", facts=GOOD)
    assert widget.facts["during_cell"] is False
    aside = threading.Thread(target=ask, args=(widget, "check.done"), kwargs={"facts": GOOD})
    aside.start()
    aside.join()
    assert widget.facts["during_cell"] is True
    assert [head["well"] for head, _ in sent] == [True, True]
    ask(widget, "check.done", facts="none")
    assert not sent[-1][0]["ok"]


def test_a_host_that_draws_no_widgets_shows_what_to_do(check: Any) -> None:
    data, _ = check[0]._repr_mimebundle_()
    assert data["text/plain"] == "unseen"
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_frame_of_the_next_call_has_what_the_page_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from encord_active_widgets import diagnosis
    from encord_active_widgets.widgets import host_check

    shown: list[HostCheck] = []
    monkeypatch.setattr(diagnosis, "_asked", [])
    monkeypatch.setattr(host_check, "display", shown.append)
    first = by_name(ea.doctor(page=True))
    assert "ended" in first["page"]["found"]
    shown[0].facts = GOOD
    second = by_name(ea.doctor(page=True))
    assert second["verdict"]["found"] == "Everything works in JupyterLab 4.6.6, explorers too."
    assert second["drawing"]["found"] == "WebGL2"
    assert len(shown) == 2
