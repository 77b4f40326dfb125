"""`eaw report` and `eaw compare`: what Python says, on stdout, as JSON and as a page."""

from __future__ import annotations

import shutil

import encord_active_widgets as ea


def test_report_says_and_writes_what_python_does(eaw, project, tmp_path):
    wanted = ea.open(project.path).report()
    done = eaw("report", "--html", "out/report.html")
    assert done.code == 0, done.stderr
    assert "Written to out/report.html" in done.stderr
    assert (tmp_path / "out" / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert done.stdout.splitlines()[0] == wanted.title
    assert all(sentence in done.stdout for sentence in wanted.summary if "`" not in sentence)
    found = eaw("report", "--json", "--run", "own").json
    assert found["summary"] == wanted.summary
    assert [r["class_name"] for r in found["tables"]["classes"]] == wanted.frames["classes"]["class_name"].to_list()
    assert "outliers" in wanted.frames
    assert not any("item_id" in rows[0] for rows in found["tables"].values() if rows)
    assert eaw("report", "--query", "brightness < 0", "--json").json["summary"][0].startswith("There are no images")
    assert 'Did you mean "own"?' in eaw("report", "--run", "owm").stderr


def test_compare_says_how_another_project_differs(eaw, project, tmp_path):
    shutil.copytree(project.path, tmp_path / "later.eaw")
    done = eaw("compare", "later.eaw", "--project", "cells.eaw", "--name", "old", "--name", "new", "--html", "c.html")
    assert done.code == 0, done.stderr
    assert 'All 60 images of "old" and all 60 images of "new" are in both, byte for byte.' in done.stdout
    assert (tmp_path / "c.html").is_file()
    words = ("compare", "later.eaw", "--project", "cells.eaw", "--other-query", "sharpness < 0.7")
    found = eaw(*words, "--json").json
    kept = ea.open("later.eaw").filter("sharpness < 0.7")
    wanted = ea.compare_projects(project, kept)
    assert found["summary"] == wanted.summary
    assert [r["metric"] for r in found["tables"]["metrics"]] == wanted.metrics["metric"].to_list()
    once = eaw(*words, "--name", "old")
    assert (once.code, once.stdout) == (2, "")
    assert "--name train --name test" in once.stderr
    missing = eaw("compare", "none.eaw", "--project", "cells.eaw")
    assert missing.code == 2
    assert "does not exist" in missing.stderr
