"""README.md and the pages of docs/ tell the truth: files, targets, commands and metrics they name exist."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from .documents import blocks, commands

PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


@pytest.fixture(scope="module")
def texts(repository: Path) -> dict[Path, str]:
    files = [repository / name for name in PAGES]
    files += sorted(p for p in (repository / "docs").rglob("*.md"))
    return {f: f.read_text("utf-8") for f in files}


def test_the_table_of_metrics_is_the_registry(repository: Path) -> None:
    refreshed = runpy.run_path(str(repository / "tests" / "readme_tables.py"))["refreshed"]
    guide = (repository / "docs" / "guides" / "metrics.md").read_text("utf-8")
    assert refreshed(guide) == guide, "run `make readme`"


def test_every_file_that_is_named_is_there(texts: dict[Path, str], repository: Path) -> None:
    made = {"tests/e2e/.shots"}
    missing = []
    for page, text in texts.items():
        named = set(re.findall(r"`((?:docs|encord_active_widgets|examples|tests|benchmarks|js)/[\w./-]+)`", text))
        missing += [(page.name, n) for n in sorted(named - made) if not (repository / n).exists()]
    assert missing == []


def test_links_in_the_repository_lead_somewhere(texts: dict[Path, str], repository: Path) -> None:
    missing = []
    for page, text in texts.items():
        for target, anchor in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)(?:#([\w-]+))?\)", text):
            file = page.parent / target
            if not file.exists():
                missing.append((page.name, target))
            elif anchor and anchor not in _anchors(file.read_text("utf-8")):
                missing.append((page.name, f"{target}#{anchor}"))
    assert missing == []


def test_every_guide_is_reached_from_the_readme(texts: dict[Path, str], repository: Path) -> None:
    readme = texts[repository / "README.md"]
    guides = {f"docs/guides/{p.name}" for p in (repository / "docs" / "guides").glob("*.md")} | {"docs/migration.md"}
    assert {g for g in guides if g not in readme} == set()
    assert readme.count("\n") <= 260, "a newcomer reads it in one sitting: move detail into docs/guides"


def test_every_make_target_that_is_named_is_there(texts: dict[Path, str], repository: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (repository / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {t for text in texts.values() for t in re.findall(r"\bmake ([a-z]+)\b(?=[` ;\n])", "\n".join(_code(text)))}
    assert named <= targets


def test_every_command_that_is_named_is_there(texts: dict[Path, str]) -> None:
    import typer

    from encord_active_widgets.cli import app

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    said = set()
    for text in texts.values():
        for code in _code(text):
            said |= {words[0] for words in commands(code) if words and not words[0].startswith("-")}
    assert said <= known


def _code(text: str) -> list[str]:
    """Return what stands in shell blocks and in `…`."""
    inline = re.findall(r"`((?:eaw|make) [a-z][^`…']*)`", text)
    return [b.text for b in blocks(text) if b.language == "sh"] + inline


def _anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as code hosts and the site make them."""
    heads = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", h.lower()).strip().replace(" ", "-") for h in heads}
