"""The command line does what Python does, and says what went wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

import encord_active_widgets as ea


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "encord-active-widgets"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_predictions_are_imported(shared_data, tmp_path):
    truth = shared_data / "bccd" / "annotations.json"
    made = ea.Project.from_coco(truth, shared_data / "bccd" / "images", tmp_path / "p.eaw")
    boxes = json.loads(truth.read_text())["annotations"][:50]
    results = [{k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.5} for a in boxes]
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results))
    done = run("import", "predictions", file, "--run", "yolo", "--project", made.path)
    assert done.returncode == 0, done.stderr
    assert "50 predictions" in done.stdout
    assert len(ea.open(made.path).predictions["yolo"]) == 50
    again = run("import", "predictions", file, "--run", "yolo", "--project", made.path)
    assert again.returncode == 1
    assert "pass --replace." in again.stderr
    assert run("import", "predictions", file, "--run", "yolo", "--project", tmp_path / "no").returncode == 1


def test_help_names_the_options():
    done = run("import", "predictions", "--help")
    assert done.returncode == 0
    assert "--run" in done.stdout


def test_what_is_missing_is_said_and_advice_names_options(tmp_path):
    Image.new("RGB", (60, 50)).save(tmp_path / "a.png")
    made = ea.Project.from_folder([tmp_path / "a.png"], tmp_path / "p.eaw")
    table = tmp_path / "m.csv"
    table.write_text("path,class_name,confidence,x,y,w,h\na,cat,0.5,1,1,20,20\nb,cat,0.5,1,1,20,20\n")
    done = run("import", "predictions", table, "--run", "m", "--project", made.path)
    assert done.returncode == 0
    assert "1 skipped: see project.problems." in done.stderr
    table.write_text("path,class_name,confidence,x,y,w,h\na,cat,0.5,0.1,0.1,0.2,0.2\n")
    done = run("import", "predictions", table, "--run", "n", "--project", made.path)
    assert done.returncode == 1
    assert "--box-format xywhn" in done.stderr
