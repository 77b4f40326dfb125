"""Clones: what a user loses if a copy is not whole, not independent, or is left half made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, UnknownNameError

LEVELS = ("items", "objects", "classifications")


def _frames(p: ea.Project) -> dict[str, pl.DataFrame]:
    return {name: getattr(p, name).df for name in LEVELS}


def _vectors(p: ea.Project) -> dict[str, tuple[float, ...]]:
    found = p.objects.embeddings["shape"]
    ids = p.objects._state().frame["label_id"].gather(found.rows)
    return dict(zip(ids, map(tuple, np.asarray(found.vectors).tolist()), strict=True))


@pytest.fixture(scope="module")
def cells_path(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of blood cells, computed, edited, with a run of predictions and an embedding of objects."""
    data = json.loads((shared_data / "bccd" / "annotations.json").read_text())
    data["images"] = data["images"][:40]
    kept = {image["id"] for image in data["images"]}
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] in kept]
    home = tmp_path_factory.mktemp("cells")
    (home / "cells.json").write_text(json.dumps(data))
    p = ea.Project.from_coco(home / "cells.json", images=shared_data / "bccd" / "images", path=home / "cells.eaw")
    p.compute()
    objects = p.objects.df
    p.add_predictions("yolo", objects.select("item_id", "class_name", "x", "y", "w", "h", confidence=pl.lit(0.5)))
    p.objects.embeddings["shape"] = objects.select("w", "h").to_numpy()
    p.items.head(20).tag("first", "second")
    p.items.head(30).untag("second")
    p.objects.filter(pl.col("class_name") == "WBC").tag("white")
    p.objects.head(7).relabel("odd")
    p.items.head(5).note("look")
    p.items.head(3).relabel("smear")
    p.predictions["yolo"].head(4).tag("doubtful")
    p.items.split(seed=3)
    p.items.sample(2, seed=5).remove()
    return p.path


@pytest.fixture
def cells(cells_path: Path, tmp_path: Path) -> ea.Project:
    """A copy to do with as one likes."""
    return ea.open(shutil.copytree(cells_path, tmp_path / "cells.eaw"))


def test_a_clone_has_everything_and_neither_knows_of_the_other(cells: ea.Project, tmp_path: Path) -> None:
    cells.snapshot("v1")
    then = _frames(cells)
    clone = cells.clone(tmp_path / "clone.eaw")
    for name, frame in then.items():
        assert getattr(clone, name).df.equals(frame), name
    assert clone.history().equals(cells.history())
    assert clone.snapshots().equals(cells.snapshots())
    assert clone.embeddings["descriptor"].layouts == cells.embeddings["descriptor"].layouts
    assert clone.evaluate("yolo").summary.equals(cells.evaluate("yolo").summary)
    clone.items.tag("theirs")
    cells.objects.head(2).relabel("ours")
    clone.items.head(3).remove()
    assert "theirs" not in cells.tags["tag"]
    assert "ours" not in clone.objects.df["class_name"].to_list()
    assert len(cells) == then["items"].height
    clone.undo(2)
    assert clone.items.df.equals(then["items"])


def test_a_part_has_what_belongs_to_its_images_and_nothing_else(cells: ea.Project, tmp_path: Path) -> None:
    view = cells.filter(pl.col("object_count") > 18).sort("brightness")
    ids = set(view.ids)
    part = view.clone(tmp_path / "part.eaw")
    for name in LEVELS:
        whole = getattr(cells, name).df.filter(pl.col("item_id").is_in(list(ids))).drop("ordinal")
        mine = getattr(part, name).df.drop("ordinal")
        assert mine.equals(whole.select(mine.columns)), name
        lost = [c for c in whole.columns if c not in mine.columns]
        assert all(whole[c].null_count() == whole.height for c in lost), lost
    theirs = cells.predictions["yolo"].df.filter(pl.col("item_id").is_in(list(ids)))
    mine = part.predictions["yolo"].df
    assert mine.select("prediction_id", "tags", "x").equals(theirs.select("prediction_id", "tags", "x"))
    assert _vectors(part).items() <= _vectors(cells).items()
    assert len(_vectors(part)) == len(part.objects)
    assert part.embeddings["descriptor"].layouts == cells.embeddings["descriptor"].layouts
    assert part.evaluate("yolo").map == pytest.approx(cells.evaluate("yolo", view=view).map)
    assert ids.isdisjoint(set(cells.ids) - ids)
    assert set(part.duplicates(0.25).df["item_id"]) <= set(cells.duplicates(0.25).df["item_id"]) & ids


def test_the_edits_of_a_part_can_be_undone_one_by_one_as_in_the_whole(cells: ea.Project, tmp_path: Path) -> None:
    part = cells.items.head(10).clone(tmp_path / "part.eaw")
    ids = part.ids.to_list()
    for _ in range(9):
        cells.undo()
        part.undo()
        for name in ("items", "objects"):
            whole = getattr(cells, name).df.filter(pl.col("item_id").is_in(ids))
            mine = getattr(part, name).df
            assert mine["tags"].to_list() == whole["tags"].to_list()
            assert mine["class_name"].to_list() == whole["class_name"].to_list()


def test_a_part_computes_on_and_is_exported(cells: ea.Project, tmp_path: Path) -> None:
    part = cells.objects.filter(pl.col("class_name") == "WBC").head(5).clone(tmp_path / "part.eaw")
    assert set(part.ids) == set(cells.objects.filter(pl.col("class_name") == "WBC").head(5).df["item_id"])
    assert len(part.objects) > 5
    part.compute()
    assert part.df["sharpness"].null_count() == 0
    part.items.to_coco(tmp_path / "part.json", verify=True)
    whole = {c["name"] for c in json.loads((tmp_path / "part.json").read_text())["categories"]}
    assert {"RBC", "WBC", "Platelets"} <= whole


@pytest.mark.parametrize("images", ["copy", "link"])
@pytest.mark.parametrize("whole", [True, False])
def test_copied_and_linked_images_are_found_when_the_originals_are_gone_or_moved(
    pictures: Path, tmp_path: Path, images: str, whole: bool
) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    p.items.head(2).tag("a")
    source = p if whole else p.items.head(5)
    clone = source.clone(tmp_path / "deep" / "clone.eaw", images=images)
    assert all(u.startswith("images/") for u in clone.df["uri"])
    assert clone.ids.to_list() == (p.ids if whole else p.ids[:5]).to_list()
    if images == "copy":
        shutil.rmtree(pictures)
    moved = ea.open(shutil.move(clone.path, tmp_path / "moved.eaw"))
    moved.compute("pixels")
    assert moved.df["brightness"].null_count() == 0
    done = moved.refresh()
    assert (done.added, done.changed, done.renamed) == (0, 0, 0)
    assert moved.tags.rows() == [("a", 2, None)]


def test_referenced_images_with_relative_addresses_are_found_from_the_clone(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    p = ea.Project.from_folder("pictures", "p.eaw")
    clone = p.clone("elsewhere/deep/clone.eaw")
    monkeypatch.chdir("/")
    again = ea.open(tmp_path / "elsewhere" / "deep" / "clone.eaw")
    again.compute("pixels")
    assert again.df["brightness"].null_count() == 0
    assert clone.path.name == "clone.eaw"


def test_images_inside_the_project_come_along(tmp_path: Path) -> None:
    home = tmp_path / "p.eaw"
    p = ea.Project.from_frame(pl.DataFrame({"path": ["x.png"]}), home, read=False)
    (home / "images").mkdir()
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(home / "images" / "in.png")
    p.add_images(pl.DataFrame({"path": [str(home / "images" / "in.png")]}))
    clone = p.clone(tmp_path / "clone.eaw")
    shutil.rmtree(home)
    clone.compute("pixels")
    assert clone.df.filter(pl.col("uri") == "images/in.png")["brightness"].null_count() == 0


def test_a_clone_of_the_past_is_the_project_as_it_was(cells: ea.Project, tmp_path: Path) -> None:
    cells.snapshot("v1")
    then = _frames(cells)
    cells.undo(3)
    cells.objects.relabel("all")
    clone = cells.at("v1").clone(tmp_path / "past.eaw")
    for name, frame in then.items():
        assert getattr(clone, name).df.equals(frame), name
    clone.items.tag("it can be changed")


def test_bad_places_are_refused_and_nothing_is_written(cells: ea.Project, tmp_path: Path) -> None:
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "yours.txt").write_text("keep")
    file.write_text("keep")
    for path in (full, file, cells.path, cells.path / "inside"):
        for source in (cells, cells.items.head(2)):
            with pytest.raises(InputError):
                source.clone(path)
    with pytest.raises(InputError, match="no items"):
        cells.filter(pl.lit(value=False)).clone(tmp_path / "none.eaw")
    with pytest.raises(UnknownNameError, match="copy"):
        cells.clone(tmp_path / "c.eaw", images="cpoy")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cells.eaw", "file", "full"]
    (tmp_path / "empty").mkdir()
    assert len(cells.clone(tmp_path / "empty")) == len(cells)


def test_a_clone_that_is_interrupted_leaves_nothing(
    cells: ea.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("encord_active_widgets.history.cloning.place_images", stopped)
    for source in (cells, cells.items.head(4)):
        with pytest.raises(KeyboardInterrupt):
            source.clone(tmp_path / "half.eaw", images="copy")
    assert [p.name for p in tmp_path.iterdir()] == ["cells.eaw"]
