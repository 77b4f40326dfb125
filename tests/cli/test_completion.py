"""TAB offers what is in the project, fast enough to type on, and never an error or a stranger's code."""

from __future__ import annotations

import pytest


@pytest.fixture
def offered(shell, tmp_path):
    """Return the words that bash is offered for a line, of which the last word is completed."""

    def complete(line: str) -> list[str]:
        words = f"eaw {line}"
        done = shell(_EAW_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")), cwd=tmp_path)
        assert (done.code, done.stderr) == (0, "")
        return done.stdout.split()

    return complete


def test_names_of_the_project_are_offered(offered, project):
    project.snapshot("first")
    project.snapshot("second")
    project.items.head(2).tag("crowded", "dim")
    project.objects.head(2).tag("cell")
    assert offered("evaluate ") == ["own"]
    assert offered("check --run o") == ["own"]
    assert offered("restore ") == ["second", "first"]
    assert offered("diff first s") == ["second"]
    assert offered("untag ") == ["crowded", "dim"]
    assert offered("tag --level object ") == ["cell"]
    assert offered("query --level ") == ["item", "object", "classification", "label", "prediction:own"]
    assert offered("query shar") == ["sharpness"]
    assert offered("query --columns uri,shar") == ["uri,sharpness"]
    assert offered("query --level prediction:own --sort confi") == ["confidence"]
    assert "class_name" in offered("query --level object --sort cl")
    assert offered("compute --stage n") == ["neighbours"]
    assert offered("acquire typ") == ["typicality"]


def test_nothing_is_offered_where_there_is_nothing_and_nothing_is_said(offered, tmp_path):
    for line in ("evaluate ", "restore ", "tag ", "query shar", "evaluate --project no/where.eaw "):
        assert offered(line) == []
    assert offered("query --level o") == ["object"]


def test_metrics_of_a_project_are_offered_without_executing_its_files(offered, project, tmp_path):
    folder = project.path / "metric_files"
    folder.mkdir()
    code = "import encord_active_widgets as ea\nopen('marker', 'w')\n"
    code += "@ea.metric()\ndef redness(pixels): ...\ndef other(): ...\n"
    (folder / "m.py").write_text(code)
    assert offered("metric run ") == ["redness"]
    (folder / "m.py").write_text("def (")
    assert offered("metric run ") == []
    assert not (tmp_path / "marker").exists()
