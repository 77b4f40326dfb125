"""README.md tells the truth: its code runs in order, its tables are current, its files exist."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text("utf-8")


def test_the_five_minute_tour_runs_as_written(
    readme: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(repository / "examples" / "make_data.py"))["make_scenes"]("scenes", per_class=8)
    runpy.run_path(str(repository / "examples" / "make_labels.py"))["make_parts"]("parts")
    scope: dict[str, object] = {}
    blocks = list(re.finditer(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE))
    assert len(blocks) >= 8
    try:
        for block in blocks:
            line = readme.count("\n", 0, block.start(1))
            code = compile("\n" * line + block.group(1), "README.md", "exec", dont_inherit=True)
            exec(code, scope)
        assert scope["p"].tags.filter(tag="duplicate")["count"].item() > 0  # type: ignore[attr-defined]
    finally:
        for name in {"w", "w2", "w3", "w4"} & scope.keys():
            scope[name].close()  # type: ignore[attr-defined]


def test_the_table_of_metrics_is_the_registry(readme: str, repository: Path) -> None:
    refreshed = runpy.run_path(str(repository / "tests" / "readme_tables.py"))["refreshed"]
    assert refreshed(readme) == readme, "run `make docs`"


def test_every_file_the_readme_names_is_there(readme: str, repository: Path) -> None:
    named = set(re.findall(r"`((?:examples|tests|benchmarks|js)/[\w./-]+)`", readme))
    named |= set(re.findall(r"\]\((?!https?:|#)([^)]+)\)", readme))
    made = {"tests/e2e/.shots"}
    assert [n for n in sorted(named - made) if not (repository / n).exists()] == []


def test_every_make_target_the_readme_names_is_there(readme: str, repository: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (repository / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", readme)) - {"it"} <= targets
