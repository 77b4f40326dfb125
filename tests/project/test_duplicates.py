"""Duplicates of a project: what is known of each, which is kept, what is no duplicate, and what leaks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea


@pytest.fixture(scope="module")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos; of some a byte-equal copy, a crop, a mirrored one, a smaller one, in other splits, with boxes."""
    home = tmp_path_factory.mktemp("duplicates")
    files = sorted((shared_data / "photos").glob("*.JPEG"))[:12]
    rows = [{"path": str(f), "split": "train"} for f in files]

    def add(name: str, image: Image.Image, split: str | None) -> None:
        image.save(home / name, quality=95)
        rows.append({"path": str(home / name), "split": split})

    shutil.copy(files[0], home / "same.jpg")
    rows.append({"path": str(home / "same.jpg"), "split": "train"})
    first = Image.open(files[0]).convert("RGB")
    add("smaller.jpg", first.resize((first.width // 2, first.height // 2)), "train")
    second = Image.open(files[1]).convert("RGB")
    dx, dy = round(second.width * 0.025), round(second.height * 0.025)
    add("crop.jpg", second.crop((dx, dy, second.width - dx, second.height - dy)), "test")
    third = Image.open(files[2]).convert("RGB")
    add("mirror.jpg", third.transpose(Image.Transpose.FLIP_LEFT_RIGHT), None)
    p = ea.Project.from_frame(pl.DataFrame(rows), home / "p.eaw")
    p.compute(["pixels", "neighbours"])
    return home / "p.eaw"


@pytest.fixture
def project(made: Path, tmp_path: Path) -> ea.Project:
    return ea.open(shutil.copytree(made, tmp_path / "p.eaw"))


def names(frame: pl.DataFrame) -> list[str]:
    return [Path(uri).stem.split("_")[0] for uri in frame["uri"]]


def test_each_says_its_group_kind_and_distance(project: ea.Project) -> None:
    d = project.duplicates()
    assert (len(d), d.df.height) == (3, 7)
    kinds = {Path(r["uri"]).stem: (r["kind"], r["distance"]) for r in d.df.iter_rows(named=True)}
    assert kinds["same"] == ("exact", 0.0)
    assert kinds["smaller"][0] == "near"
    assert 0 < kinds["crop"][1] < 0.4
    assert kinds["mirror"][0] == "mirrored"
    assert kinds["mirror"][1] < 0.01
    vectors = project.embeddings["descriptor"].vectors
    crop = d.df.filter(pl.col("uri").str.ends_with("crop.jpg"))
    pair = d.df.filter(pl.col("duplicate_group") == crop["duplicate_group"][0])["ordinal"].to_list()
    assert kinds["crop"][1] == pytest.approx(1 - float(vectors[pair[0]] @ vectors[pair[1]]), abs=1e-5)
    groups = d.groups
    assert groups["size"].to_list() == [3, 2, 2]
    assert groups["kind"].to_list() == ["near", "near", "mirrored"]
    assert "3 groups of duplicates, 1 in several splits: 7 items, 4 could go" in repr(d)


def test_the_column_of_the_frame_says_the_same(project: ea.Project) -> None:
    column = project.df.select("item_id", "duplicate_group").drop_nulls()
    assert dict(column.iter_rows()) == dict(project.duplicates().df.select("item_id", "duplicate_group").iter_rows())


def test_a_group_in_several_splits_leaks_and_a_missing_split_is_none(project: ea.Project) -> None:
    d = project.duplicates()
    assert d.groups["leak"].to_list() == [False, True, False]
    assert d.groups["splits"].to_list() == [["train"], ["test", "train"], ["train"]]
    assert len(d.leaks) == 2
    assert "crop" in names(d.leaks.df)
    project.items.split(train=0.5, val=0, test=0.5, groups="duplicate_group")
    assert len(project.duplicates().leaks) == 0


def test_groups_that_name_splits_count_as_splits_and_videos_do_not(tmp_path: Path, pictures: Path) -> None:
    for group, leaks in ((("train", "valid"), 2), (("video 1", "video 2"), 0)):
        for i in range(2):
            shutil.copy(pictures / "00.png", pictures / f"copy{i}.png")
        rows = [{"path": str(pictures / f"copy{i}.png"), "group": part} for i, part in enumerate(group)]
        p = ea.Project.from_frame(pl.DataFrame(rows), tmp_path / f"{leaks}.eaw")
        p.compute(["pixels", "neighbours"])
        assert len(p.duplicates()) == 1
        assert len(p.duplicates().leaks) == leaks


@pytest.mark.parametrize(("rule", "column"), [("sharpest", "sharpness"), ("largest", "area")])
def test_keep_leaves_the_best_of_each_and_returns_the_others(project: ea.Project, rule: str, column: str) -> None:
    d = project.duplicates()
    others = d.keep(rule)
    assert len(others) == d.df.height - len(d)
    kept = d.df.filter(~pl.col("item_id").is_in(others.ids.implode()))
    best = d.df.group_by("duplicate_group").agg(pl.col(column).max()).sort("duplicate_group")
    assert kept.sort("duplicate_group")[column].to_list() == best[column].to_list()
    told = others.df.join(d.df.select("item_id", "duplicate_group"), left_on="kept", right_on="item_id")
    assert (told["duplicate_group"] == told["duplicate_group_right"]).all()
    assert told["distance"].null_count() == 0


def test_equals_are_decided_by_the_first_added(project: ea.Project) -> None:
    d = project.duplicates()
    same = d.df.filter(pl.col("uri").str.ends_with("same.jpg"))["item_id"][0]
    for rule in ("first", "sharpest", "largest", "most_labelled"):  # its original has the same bytes
        assert same in d.keep(rule).ids.to_list()
    assert all("n0" in Path(u).stem for u in project.items.df.filter(
        pl.col("item_id").is_in(d.keep("first").df["kept"].implode()))["uri"])  # fmt: skip


def test_the_most_labelled_is_kept(tmp_path: Path, pictures: Path) -> None:
    for i in range(3):
        shutil.copy(pictures / "00.png", pictures / f"copy{i}.png")
    boxes = [("copy0", 1), ("copy1", 3), ("copy2", 2)]
    rows = [
        {"path": str(pictures / f"{n}.png"), "class_name": "a", "x": 1.0 + k, "y": 1.0, "w": 5.0, "h": 5.0}
        for n, count in boxes
        for k in range(count)
    ]
    p = ea.Project.from_frame(pl.DataFrame(rows), tmp_path / "p.eaw")
    p.compute(["pixels", "neighbours"])
    assert names(p.duplicates().keep("most_labelled").df) == ["copy0", "copy2"]
    p.objects.filter(pl.col("uri").str.ends_with("copy1.png")).delete_label()
    assert names(p.duplicates().keep("most_labelled").df) == ["copy0", "copy1"]


def test_tagging_and_removing_the_others_is_one_undo(project: ea.Project) -> None:
    n = len(project)
    project.duplicates().keep("sharpest").tag("drop")
    assert len(project.filter(ea.tagged("drop"))) == 4
    assert len(project.undo()) == 1
    assert project.tags["count"].to_list() in ([], [0])
    project.duplicates().keep("sharpest").remove()
    assert (len(project), len(project.duplicates())) == (n - 4, 0)
    project.undo()
    assert (len(project), len(project.duplicates())) == (n, 3)


def test_what_is_no_duplicate_is_remembered(project: ea.Project) -> None:
    d = project.duplicates()
    left = d.not_duplicates(d.stack(1))
    assert (len(left), len(project.duplicates()), len(project.duplicates(1.5))) == (2, 2, 2)
    assert project.df["duplicate_group"].drop_nulls().n_unique() == 2
    assert project.history()["what"][-1] == "said that 2 items are no duplicates of each other"

    again = ea.open(project.path)
    again.items.head(1).tag("later")
    again.compute(["pixels", "neighbours"])
    for p in (again, ea.open(project.path)):
        assert len(p.duplicates()) == 2
        assert p.df["duplicate_group"].drop_nulls().n_unique() == 2
    assert again.undo(2)[1].startswith("said that")
    assert len(again.duplicates()) == 3
    assert len(project.duplicates()) == 3, "another process undid it"
    again.redo()
    assert len(project.duplicates()) == 2


def test_two_of_three_that_are_apart_are_never_together_and_the_third_goes_to_the_nearer(project: ea.Project) -> None:
    three = project.duplicates().stack(0)
    first, same, smaller = three.ids.to_list()
    project.not_duplicates([first, smaller])
    ids = project.duplicates().stack(0).ids.to_list()
    assert ids == [first, same], "the byte-equal one is nearer"
    project.not_duplicates([first, same])
    assert not set(project.duplicates().view.ids) >= {first, same}


def test_items_that_are_added_later_find_their_groups_again(project: ea.Project, tmp_path: Path) -> None:
    project.not_duplicates(project.duplicates().stack(2))
    source = Path(project.df["uri"][5])
    shutil.copy(source, tmp_path / "late.jpg")
    project.add_images([str(tmp_path / "late.jpg")])
    assert len(project.duplicates()) == 2, "not computed yet: as before"
    project.compute(["pixels", "neighbours"])
    d = project.duplicates()
    assert len(d) == 3
    assert "late" in names(d.df)


def test_a_view_has_the_groups_of_its_items(project: ea.Project) -> None:
    train = project.filter(pl.col("split") == "train")
    d = project.duplicates(view=train)
    assert (len(d), d.df.height) == (1, 3)
    assert len(project.duplicates(view=train.head(0))) == 0


def test_a_lower_threshold_parts_and_zero_leaves_equal_files(project: ea.Project) -> None:
    sizes = [project.duplicates(t).df.height for t in (0, 0.01, 0.1, 0.25, 0.5, 2)]
    assert sizes == sorted(sizes)
    assert names(project.duplicates(0).df)[-1] == "same"
    assert len(project.duplicates(0)) == 1


def test_a_project_of_an_older_version_and_without_caches_is_read_all_the_same(project: ea.Project) -> None:
    shutil.rmtree(project.path / "metrics" / "pair")
    shutil.rmtree(project.path / "cache" / "thumbnails", ignore_errors=True)
    p = ea.open(project.path)
    assert len(p.duplicates()) == 3, "pictures are read from the files"
    assert (project.path / "metrics" / "pair").is_dir()


def test_mistakes_are_named(project: ea.Project, pictures: Path, tmp_path: Path) -> None:
    d = project.duplicates()
    with pytest.raises(ea.errors.UnknownNameError, match='no rule "sharp"'):
        d.keep("sharp")
    with pytest.raises(ea.errors.UnknownNameError, match='no group of duplicates "99"'):
        d.stack(99)
    with pytest.raises(ea.errors.InputError, match="threshold -1 is no cosine distance"):
        project.duplicates(-1)
    with pytest.raises(ea.errors.InputError, match="is no cosine distance"):
        project.duplicates(float("nan"))
    with pytest.raises(ea.errors.InputError, match="1 item cannot be told apart"):
        project.not_duplicates(project.items.head(1))
    with pytest.raises(ea.errors.InputError, match="view of objects has no duplicates"):
        project.not_duplicates(project.objects)
    with pytest.raises(ea.errors.UnknownNameError):
        d.not_duplicates(["nobody", "else"])
    raw = ea.Project.from_folder(pictures, tmp_path / "raw.eaw")
    with pytest.raises(ea.errors.InputError, match=r"Call p\.compute"):
        raw.duplicates()


def test_a_hundred_copies_are_one_group_and_one_is_kept(tmp_path: Path, pictures: Path) -> None:
    for i in range(100):
        shutil.copy(pictures / "03.png", pictures / f"copy{i:03d}.png")
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    p.compute(["pixels", "neighbours"])
    d = p.duplicates()
    assert d.groups["size"].to_list() == [101]
    assert len(d.keep()) == 100
    assert np.unique(d.df["distance"]).tolist() == [0.0]
