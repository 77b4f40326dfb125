"""What Python computes about models and labels, a shell prints: the same numbers."""

from __future__ import annotations

import polars as pl
import pytest

import encord_active_widgets as ea


def test_a_run_is_evaluated_with_the_numbers_of_python(eaw, project):
    expected = dict(project.evaluate("own").summary.rows())
    assert eaw("evaluate", "own", "--json").json == pytest.approx(expected, nan_ok=True)
    assert expected["mAP@[.5:.95]"] > 0.99
    classes = eaw("evaluate", "own", "--per-class", "--json").json
    assert [c["class_name"] for c in classes] == project.evaluate("own").per_class["class_name"].to_list()
    dim = eaw("evaluate", "own", "--query", "sharpness < 0.69", "--iou", 0.75, "--json").json
    view = project.filter(pl.col("sharpness") < 0.69)
    assert dim == pytest.approx(dict(project.evaluate("own", [0.75], view).summary.rows()), nan_ok=True)
    assert "mAP" in eaw("evaluate", "own").stdout
    unknown = eaw("evaluate", "won")
    assert (unknown.code, unknown.stdout) == (2, "")
    assert 'Did you mean "own"?' in unknown.stderr


def test_a_relabelled_cell_is_named_as_a_label_error_and_tagged(eaw, project):
    victim = project.objects.filter(pl.col("class_name") == "WBC").head(1)
    label = victim.ids[0]
    victim.relabel("RBC")
    project.compute()
    for words in (["own"], ["--all"]):
        rows = eaw("label-errors", *words, "--limit", 10, "--json").json
        assert label in [r["label_id"] for r in rows]
        (found,) = [r for r in rows if r["label_id"] == label][:1]
        assert (found["given"], found["suggested"]) == ("RBC", "WBC")
        assert 0 <= found["score"] <= 1
    done = eaw("label-errors", "own", "--tag", "suspect", "--out", "errors.csv")
    assert done.code == 0, done.stderr
    assert label in ea.open(project.path).objects.filter(ea.tagged("suspect")).ids.to_list()
    assert label in pl.read_csv("errors.csv")["label_id"].to_list()
    assert "likely errors" in done.stderr


def test_duplicates_are_listed_kept_and_tagged(eaw, project, tmp_path, shared_data):
    copy = tmp_path / "again.jpg"
    copy.write_bytes((shared_data / "bccd" / "images" / "BloodImage_00007.jpg").read_bytes())
    project.add_images([copy])
    project.compute()
    rows = eaw("duplicates", "--json").json
    pairs = [r for r in rows if r["kind"] == "exact"]
    assert {r["uri"].rsplit("/", 1)[-1] for r in pairs} == {"again.jpg", "BloodImage_00007.jpg"}
    done = eaw("duplicates", "--keep", "first", "--tag", "drop", "--out", "drop.parquet")
    assert done.code == 0, done.stderr
    dropped = ea.open(project.path).filter(ea.tagged("drop"))
    assert str(copy) in dropped.df["uri"].to_list()
    assert dropped.ids.sort().to_list() == pl.read_parquet("drop.parquet")["item_id"].sort().to_list()
    assert eaw("duplicates", "--leaks", "--json").json == []
    assert eaw("duplicates", "--threshold", 3).code == 2


def test_the_next_images_are_those_python_chooses(eaw, project):
    expected = project.acquire("coverage", 5, seed=3)
    assert [r["item_id"] for r in eaw("acquire", "coverage", 5, "--seed", 3, "--json").json] == expected.ids.to_list()
    mixed = eaw("acquire", "object_confidence=0.5,coverage=0.5", 5, "--run", "own", "--tag", "next", "--json")
    assert mixed.code == 0, mixed.stderr
    chosen = [r["item_id"] for r in mixed.json]
    assert ea.open(project.path).filter(ea.tagged("next")).ids.sort().to_list() == sorted(chosen)
    others = eaw("acquire", "coverage", 5, "--exclude", 'ea.tagged("next")', "--json").json
    assert not {r["item_id"] for r in others} & set(chosen)
    assert all(r["reason"] for r in others)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("acquire", "entropi", 5), 'Did you mean "entropy"?'),
        (("acquire", "entropy=much", 5), "is no weight of a strategy"),
        (("acquire", "entropy", 0), "greater than or equal to 1"),
        (("label-errors", "won"), 'Did you mean "own"?'),
        (("label-errors", "--method", "neighbors"), "neighbours"),
        (("label-errors", "--out", "errors.xlsx"), "There is no kind of table"),
        (("duplicates", "--keep", "best"), "best"),
        (("duplicates", "--out", "no/where.csv"), 'There is no folder "no".'),
    ],
)
def test_wrong_words_are_told_with_a_remedy(eaw, project, words, said):
    done = eaw(*words)
    assert done.code == 2
    assert done.stdout == ""
    assert said in " ".join(done.stderr.split())
