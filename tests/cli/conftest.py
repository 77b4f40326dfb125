"""The command line on real data: called in this process, or as a user's shell calls it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import encord_active_widgets as ea
from encord_active_widgets.cli import app

IMAGES = 60


@pytest.fixture(scope="session")
def cells(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A computed project of the first 60 images of `bccd`, with a run of its own boxes; copy before changing it."""
    folder = tmp_path_factory.mktemp("cells")
    truth = json.loads((shared_data / "bccd" / "annotations.json").read_text("utf-8"))
    kept = truth["images"][:IMAGES]
    ids = {i["id"] for i in kept}
    truth = truth | {"images": kept, "annotations": [a for a in truth["annotations"] if a["image_id"] in ids]}
    (folder / "annotations.json").write_text(json.dumps(truth))
    made = ea.Project.from_coco(folder / "annotations.json", shared_data / "bccd" / "images", folder / "cells.eaw")
    made.compute()
    boxes = [{k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9} for a in truth["annotations"]]
    (folder / "results.json").write_text(json.dumps([b for b in boxes if min(b["bbox"][2:]) > 0]))
    made.add_predictions("own", folder / "results.json")
    return folder


@pytest.fixture
def project(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ea.Project:
    """A copy of it in the current folder, to do with as one likes."""
    monkeypatch.chdir(tmp_path)
    return ea.open(shutil.copytree(cells / "cells.eaw", tmp_path / "cells.eaw"))


class Called:
    """What a command gave."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr

    @property
    def json(self) -> Any:
        """Stdout as JSON: it must be nothing else."""
        return json.loads(self.stdout)


@pytest.fixture
def eaw() -> Callable[..., Called]:
    """Call the command line in this process."""

    def call(*words: object, stdin: str | None = None) -> Called:
        done = CliRunner().invoke(app, [str(w) for w in words], input=stdin, prog_name="eaw")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Called(done.exit_code, done.stdout, done.stderr)

    return call


@pytest.fixture
def shell() -> Callable[..., Called]:
    """Call the command line as a shell does."""

    def call(*words: object, script: str = "eaw", cwd: Path | None = None, **environment: str) -> Called:
        command = [str(Path(sys.executable).parent / script), *map(str, words)]
        env = {**os.environ, **environment}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)
        return Called(done.returncode, done.stdout, done.stderr)

    return call
