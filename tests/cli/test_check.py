"""A build fails when its data is faulty, and its log says why."""

from __future__ import annotations

import re

import polars as pl

import encord_active_widgets as ea


def test_a_check_passes_and_fails_by_its_exit_code(eaw, project, tmp_path):
    passed = eaw("check", "--json")
    assert passed.code == 0, passed.stdout
    assert passed.json["ok"] is True
    assert {m["measure"] for m in passed.json["measures"]} >= {"blurred", "duplicates", "outliers", "class_balance"}
    (tmp_path / "check.toml").write_text("[at_most]\nblurred = 0\n[at_least]\nobjects_per_image = 1000\nimages = 10\n")
    failed = eaw("check", "--html", "report.html")
    assert failed.code == 1
    assert re.search(r"objects_per_image\s+[\d.]+ objects\s+at least 1000\s+broken", failed.stdout)
    assert "objects_per_image" in failed.stderr.splitlines()[-1]
    assert "objects_per_image" in (tmp_path / "report.html").read_text()
    as_json = eaw("check", "--json")
    assert as_json.code == 1
    assert as_json.json["broken"] == [m["measure"] for m in as_json.json["measures"] if m["verdict"] == "broken"]


def test_limits_are_written_edited_and_used(eaw, project, tmp_path):
    assert eaw("check", "--write-limits").code == 0
    text = (tmp_path / "check.toml").read_text()
    assert "blurred = 0.05" in text
    again = eaw("check", "--write-limits")
    assert again.code == 2
    assert "exists" in again.stderr
    assert eaw("check").code == 0
    (tmp_path / "mine.toml").write_text('run = "own"\n[at_least]\nmap = 0.9\n[at_most]\nlabel_errors = 0.5\n')
    done = eaw("check", "mine.toml", "--json")
    assert done.code == 0, done.stderr
    assert len(done.json["measures"]) == 2
    (tmp_path / "wrong.toml").write_text("[at_most]\nblured = 0\n")
    wrong = eaw("check", "wrong.toml")
    assert (wrong.code, wrong.stdout) == (2, "")
    assert 'Did you mean "blurred"?' in wrong.stderr
    assert eaw("check", "missing.toml").code == 2


def test_a_build_script_gets_exit_codes_and_clean_streams(shell, project, tmp_path):
    ok = shell("check", "--json", cwd=tmp_path)
    assert (ok.code, ok.json["ok"]) == (0, True)
    assert ok.stderr == "All limits are kept.\n"
    project.objects.filter(pl.col("class_name") != "RBC").delete_label()
    stale = shell("check", cwd=tmp_path)
    assert stale.code == 2
    assert "eaw compute" in stale.stderr
    computed = shell("compute", "--json", cwd=tmp_path)
    assert (computed.code, computed.stderr) == (0, "")
    assert computed.json["items"] == 60
    (tmp_path / "check.toml").write_text("[at_least]\nclass_balance = 0.01\nobjects_per_image = 30\n")
    broken = shell("check", "--html", "r.html", cwd=tmp_path, script="encord-active-widgets")
    assert broken.code == 1
    assert broken.stderr.splitlines()[-1] == "1 broken: objects_per_image"
    assert ea.open(project.path).check(tmp_path / "check.toml").broken == ["objects_per_image"]
