"""Run what a Markdown page shows: its Python blocks and its lines of the command line, in the order of the page.

A page runs in one namespace and one folder, beside `scenes` and `parts` (drawn by `examples/make_data.py` and
`examples/make_labels.py`). A block with `title="name"` is a file of that name and is written, not run. Of `sh` blocks
the lines that begin with `eaw` are run.
"""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

_BLOCK = re.compile(r"^```(\w+)(?: +title=\"([^\"]+)\")?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_NOT_RUN = {"start", "--install-completion"}
"""Commands that open JupyterLab or change the user's shell: asked for their help only."""
_MAY_FAIL = {"check", "merge"}
"""Commands whose exit code 1 is an answer."""


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    line: int
    text: str


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, with the line each begins at."""
    return [
        Block(m.group(1), m.group(2) or "", text.count("\n", 0, m.start(3)), m.group(3)) for m in _BLOCK.finditer(text)
    ]


def draw(repository: Path, folder: Path) -> Path:
    """Draw the pictures that all pages begin with."""
    examples = repository / "examples"
    runpy.run_path(str(examples / "make_data.py"))["make_scenes"](folder / "scenes", per_class=8)
    runpy.run_path(str(examples / "make_labels.py"))["make_parts"](folder / "parts")
    return folder


def copy_pictures(drawn: Path, folder: Path) -> None:
    for name in ("scenes", "parts"):
        shutil.copytree(drawn / name, folder / name)


def run(page: Path) -> dict[str, object]:
    """Run a page in the current folder and return its namespace; explorers are closed."""
    scope: dict[str, object] = {"__name__": page.stem}
    text = page.read_text("utf-8")
    try:
        for block in blocks(text):
            if block.title:
                Path(block.title).write_text(block.text, "utf-8")
            elif block.language == "python":
                code = compile("\n" * block.line + block.text, str(page), "exec", dont_inherit=True)
                exec(code, scope)
            elif block.language == "sh":
                for command in commands(block.text):
                    _call(command, f"{page.name}, the block at line {block.line}")
    finally:
        for value in list(scope.values()):
            if type(value).__name__ == "Explorer":
                value.close()  # type: ignore[attr-defined]
    return scope


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each `eaw` command of a shell block."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            if words[0] == "eaw":
                yield words[1:end]
            words = words[end + 1 :]


def _call(words: list[str], where: str) -> None:
    from encord_active_widgets.cli import app

    if _NOT_RUN & set(words):
        words = [words[0], "--help"] if words[0] == "start" else ["--help"]
    done = CliRunner().invoke(app, words)
    allowed = (0, 1) if words[0] in _MAY_FAIL else (0,)
    said = f"{done.output}\n{done.stderr}"
    assert done.exit_code in allowed, f"{where}: eaw {shlex.join(words)} gave {done.exit_code}\n{said}"
