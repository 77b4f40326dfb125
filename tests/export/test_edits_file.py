"""What readers collected comes back as one edit, by ids; nothing is guessed, nothing of another project is taken."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, ProjectError

N = 12
Write = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> ea.Project:
    table = pl.DataFrame({"path": [f"{i}.jpg" for i in range(N)], "class_name": ["cat", "dog"] * (N // 2)})
    p = ea.Project.from_frame(table, tmp_path / "p.eaw", read=False)
    p.items.at([0, 1]).tag("old")
    return p


def contents(p: ea.Project, **changes: Any) -> dict[str, Any]:
    card = json.loads((p.path / "project.json").read_text())
    return {
        "format": "encord_active_widgets edits", "version": 1, "project": {"id": card["id"], "name": card["name"]},
        "page": {"id": "a", "title": "Review", "made": "2026-01-01T00:00:00+00:00"},
        "collected": "2026-01-02T00:00:00Z",
        "level": "item", "key": "item_id", "tags": [], "notes": [], **changes,
    }  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(p: ea.Project, **changes: Any) -> Path:
        file = tmp_path / "review.edits.json"
        file.write_text(json.dumps(contents(p, **changes)))
        return file

    return made


def tags(p: ea.Project) -> dict[str, list[str]]:
    return dict(p.items.df.select("item_id", "tags").iter_rows())


def notes(p: ea.Project) -> dict[str, str]:
    frame = p.items.df
    return {} if "note" not in frame.columns else dict(frame.drop_nulls("note").select("item_id", "note").iter_rows())


def test_tags_and_notes_are_one_edit_that_can_be_undone(project: ea.Project, write: Write) -> None:
    ids, before = project.ids.to_list(), tags(project)
    file = write(
        project,
        tags=[{"tag": "new", "add": ids[2:5], "remove": []}, {"tag": "old", "add": [ids[3]], "remove": [ids[0]]}],
        notes=[{"id": ids[5], "text": "blurred?", "before": ""}, {"id": ids[6], "text": "both", "before": ""}],
    )
    left = project.apply_edits(file)
    assert left.height == 0
    assert list(left.columns) == ["kind", "id", "value", "why"]
    expected = before | {ids[0]: [], ids[2]: ["new"], ids[3]: ["old", "new"], ids[4]: ["new"]}
    assert tags(project) == expected
    assert notes(project) == {ids[5]: "blurred?", ids[6]: "both"}
    last = project.history().row(-1, named=True)
    assert (last["what"], last["cause"]) == ('applied edits collected in "Review"', "page")
    assert project.undo() == ['applied edits collected in "Review"']
    assert (tags(project), notes(project)) == (before, {})
    project.redo()
    assert tags(ea.open(project.path)) == expected


def test_applying_twice_changes_nothing(project: ea.Project, write: Write) -> None:
    ids = project.ids.to_list()
    file = write(
        project, tags=[{"tag": "new", "add": ids[:3], "remove": []}], notes=[{"id": ids[1], "text": "x", "before": ""}]
    )
    project.apply_edits(file)
    n = project.history().height
    assert project.apply_edits(file).height == 0
    assert project.history().height == n


def test_what_cannot_be_applied_is_listed_and_the_rest_is_done(project: ea.Project, write: Write) -> None:
    ids = project.ids.to_list()
    project.items.by_ids([ids[4]]).remove()
    project.items.by_ids([ids[5]]).note("ours")
    file = write(
        project,
        tags=[{"tag": "new", "add": [ids[2], "nobody", ids[4]], "remove": []}],
        notes=[{"id": ids[5], "text": "theirs", "before": ""}, {"id": ids[6], "text": "fine", "before": ""}],
    )
    left = project.apply_edits(file)
    assert sorted(left.select("kind", "id", "value").rows()) == sorted([
        ("tag", "nobody", "new"), ("tag", ids[4], "new"), ("note", ids[5], "theirs")
    ])  # fmt: skip
    assert tags(project)[ids[2]] == ["new"]
    assert notes(project) == {ids[5]: "ours", ids[6]: "fine"}, "our newer note is kept"


def test_rows_are_found_by_id_after_the_project_grew(project: ea.Project, write: Write, tmp_path: Path) -> None:
    ids = project.ids.to_list()
    file = write(project, tags=[{"tag": "new", "add": ids[-2:], "remove": []}])
    part = project.items.at(range(N - 1, N - 5, -1)).clone(tmp_path / "part.eaw")
    assert part.ids.to_list() != ids[-4:] or len(part) == 4
    assert part.apply_edits(file).height == 0, "a clone has the project's id, and other numbers"
    assert sorted(part.filter(ea.tagged("new")).ids) == sorted(ids[-2:])
    conflicts = project.merge(part)
    assert conflicts.height == 0
    assert sorted(project.filter(ea.tagged("new")).ids) == sorted(ids[-2:])


def test_edits_of_another_project_are_refused(project: ea.Project, write: Write, tmp_path: Path) -> None:
    other = ea.Project.from_frame(pl.DataFrame({"path": ["a.jpg"]}), tmp_path / "other.eaw", read=False)
    file = write(project, tags=[{"tag": "new", "add": other.ids.to_list(), "remove": []}])
    with pytest.raises(InputError, match="edits of another project") as refused:
        other.apply_edits(file)
    assert "a clone of it" in refused.value.remedy
    assert other.history().filter(pl.col("kind") == "collected").height == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "something"}, "no file of edits"),
        ({"version": 2}, "reads up to 1"),
        ({"version": "1"}, "reads up to 1"),
        ({"level": "prediction:gone"}, "does not have"),
        ({"tags": {}}, "damaged"),
        ({"tags": [{"tag": "", "add": []}]}, "cannot be a tag"),
        ({"tags": [{"tag": "t" * 300, "add": []}]}, "too long"),
        ({"tags": [{"tag": "t", "add": [1]}]}, "damaged"),
        ({"tags": ["t"]}, "damaged"),
        ({"notes": [{"id": "a", "text": None, "before": ""}]}, "damaged"),
        ({"notes": [{"id": "a", "text": "x" * 20_000, "before": ""}]}, "damaged"),
        ({"project": None}, "damaged"),
        ({"page": 3}, "damaged"),
    ],
)
def test_a_damaged_file_changes_nothing(project: ea.Project, write: Write, change: dict[str, Any], said: str) -> None:
    n = project.history().height
    with pytest.raises(InputError, match=said):
        project.apply_edits(write(project, **change))
    assert project.history().height == n


@pytest.mark.parametrize("text", ["", "[1, 2", "[]", "null", "[" * 5000, "\ufeff{}", "<html>"])
def test_what_is_no_edits_file_is_refused(project: ea.Project, tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, "utf-8")
    with pytest.raises(InputError):
        project.apply_edits(file)
    with pytest.raises(InputError, match="cannot be read"):
        project.apply_edits(tmp_path / "missing.json")


def test_a_project_as_it_was_takes_no_edits(project: ea.Project, write: Write) -> None:
    project.snapshot("v1")
    file = write(project, tags=[{"tag": "new", "add": project.ids.to_list(), "remove": []}])
    with pytest.raises((ProjectError, InputError)):
        project.at("v1").apply_edits(file)


_names = st.sampled_from(["a", "b", "old", "</script>", "ü"])
_entry = st.fixed_dictionaries(
    {"tag": _names, "add": st.sets(st.integers(0, N + 2)), "remove": st.sets(st.integers(0, N + 2))}
)


@given(st.lists(_entry, max_size=5))
@hypothesis_settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_undo_of_any_file_is_what_was_before(
    project: ea.Project, tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    """The state is what a plain loop over the file makes of it, and undo gives back what was there."""
    ids = [*project.ids.to_list(), "x", "y", "z"]
    before = tags(project)
    expected = copy.deepcopy(before)
    written = []
    for e in entries:
        add, remove = [[ids[i] for i in sorted(e[k])] for k in ("add", "remove")]
        written.append({"tag": e["tag"], "add": add, "remove": remove})
    file = tmp_path / "any.json"
    file.write_text(json.dumps(contents(project, tags=written)))
    merged = {k: set(v) for k, v in expected.items()}
    for e in written:
        for i in e["add"]:
            merged.get(i, set()).add(e["tag"])
        for i in e["remove"]:
            merged.get(i, set()).discard(e["tag"])
    n = project.history().height
    left = project.apply_edits(file)
    assert {k: set(v) for k, v in tags(project).items()} == merged
    assert set(left["id"]) <= {"x", "y", "z"}
    if project.history().height > n:
        project.undo()
    assert tags(project) == before
