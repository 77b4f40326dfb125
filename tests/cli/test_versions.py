"""A shell keeps versions, says what changed and goes back."""

from __future__ import annotations

import encord_active_widgets as ea


def test_a_snapshot_is_kept_compared_and_restored(eaw, project):
    assert eaw("snapshot", "v1", "--note", "as read").code == 0
    assert eaw("tag", "late", "--query", "sharpness < 0.69").code == 0
    project.objects.head(1).relabel("Platelets")
    assert eaw("snapshot", "v2", "--json").json["snapshot"] == "v2"
    assert [s["name"] for s in eaw("snapshots", "--json").json] == ["v1", "v2"]
    told = eaw("diff", "v1")
    assert told.code == 0, told.stderr
    parts = eaw("diff", "v1", "v2", "--json").json
    assert {"items", "labels", "tags", "metrics", "runs"} <= parts.keys()
    assert len(parts["tags"]) >= 1
    assert [r["label_id"] for r in parts["labels"]] == [project.objects.ids[0]]
    assert eaw("diff", "v1", "--show", "labels", "--json").json["labels"] == parts["labels"]
    assert eaw("restore", "v1", "--json").json["changed"] is True
    assert ea.open(project.path).filter(ea.tagged("late")).ids.to_list() == []
    assert eaw("undo").stdout.startswith("undone: ")
    assert len(ea.open(project.path).filter(ea.tagged("late"))) > 0


def test_a_clone_of_some_images_comes_back(eaw, project):
    done = eaw("clone", "part.eaw", "--query", "sharpness < 0.69", "--json")
    assert done.code == 0, done.stderr
    part = ea.open("part.eaw")
    assert done.json["items"] == len(part) < len(project)
    part.items.head(2).tag("seen")
    assert eaw("merge", "part.eaw", "--project", project.path, "--json").json == []
    assert len(ea.open(project.path).filter(ea.tagged("seen"))) == 2


def test_names_that_are_taken_or_unknown_are_told(eaw, project):
    assert eaw("snapshot", "v1").code == 0
    taken = eaw("snapshot", "v1")
    assert (taken.code, taken.stdout) == (2, "")
    unknown = eaw("diff", "v2")
    assert unknown.code == 2
    assert "v1" in unknown.stderr
    assert eaw("restore", "v2").code == 2
    assert eaw("merge", "nothing.eaw").code == 2


def test_the_history_is_listed_and_nothing_is_left_to_undo(eaw, project):
    assert "added 60 images" in eaw("history").stdout
    done = eaw("undo")
    assert done.code == 0
    assert (done.stdout, done.stderr) == ("", "There is nothing to undo.\n")
