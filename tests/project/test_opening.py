"""From a folder to a project and back: what a newcomer meets first."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EmptyFolderError, InputError, ProjectError, UnknownNameError


def test_200_photos_open_in_one_call_without_any_network(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    p = ea.Project.from_folder(shared_data / "photos", tmp_path / "p.eaw")
    assert len(p) == 200
    assert p.df["width"].min() == 86


def test_ten_thousand_images_in_class_folders_have_their_classes(shared_data: Path, tmp_path: Path) -> None:
    p = ea.Project.from_folder(shared_data / "cifar10_test", tmp_path / "p.eaw")
    counts = p.df["class_name"].value_counts()
    assert (len(p), counts.height, set(counts["count"])) == (10_000, 10, {1000})


def test_splits_above_class_folders_become_groups(pictures: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for i, file in enumerate(sorted(pictures.iterdir())):
        place = root / ("train" if i % 2 else "val") / ("cat" if i % 3 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    frame = ea.Project.from_folder(root, tmp_path / "p.eaw").df
    assert set(frame["group"]) == {"train", "val"}
    assert set(frame["class_name"]) == {"cat", "dog"}


@pytest.mark.parametrize("kind", ["glob", "list", "frame", "pandas"])
def test_globs_lists_and_frames_open_the_same_images(kind: str, pictures: Path, tmp_path: Path) -> None:
    files = sorted(str(f) for f in pictures.iterdir())
    frame = pl.DataFrame({"path": files, "class_name": ["a", "b"] * 6, "site": range(12)})
    source: Any = {
        "glob": str(pictures / "*.png"),
        "list": files,
        "frame": frame,
        "pandas": frame.to_pandas(),
    }[kind]
    p = ea.Project.from_folder(source, tmp_path / "p.eaw")
    assert sorted(p.df["uri"]) == files
    if kind in ("frame", "pandas"):
        assert p.df["class_name"].to_list() == ["a", "b"] * 6
        assert p.df["site"].to_list() == list(range(12))


def test_boxes_of_a_frame_become_objects(pictures: Path, tmp_path: Path) -> None:
    file = str(next(pictures.iterdir()))
    frame = pl.DataFrame(
        {"path": [file, file], "class_name": ["a", "b"], "x": [1, 2], "y": [3, 4], "w": [5, 6], "h": [7, 8]}
    )
    p = ea.Project.from_frame(frame, tmp_path / "p.eaw")
    assert len(p) == 1
    assert p.objects.df.select("class_name", "x", "y", "w", "h").rows() == [("a", 1, 3, 5, 7), ("b", 2, 4, 6, 8)]


def test_the_blood_cells_open_with_their_boxes_and_the_two_degenerate_ones_are_listed(
    shared_data: Path, tmp_path: Path
) -> None:
    bccd = shared_data / "bccd"
    p = ea.Project.from_coco(bccd / "annotations.json", images=bccd / "images", path=tmp_path / "p.eaw")
    assert (len(p), len(p.objects)) == (364, 4886)
    assert set(p.objects.df["class_name"]) == {"RBC", "WBC", "Platelets"}
    assert p.problems.height == 2
    assert p.problems["why"].str.contains("no area").all()


def test_a_folder_that_does_not_exist_offers_the_nearest_name(pictures: Path) -> None:
    with pytest.raises(EmptyFolderError, match="pictures"):
        ea.Project.from_folder(pictures.parent / "picturse")


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptyFolderError, match=r"\.jpg"):
        ea.Project.from_folder(tmp_path / "empty")


def test_a_project_is_never_written_into_a_folder_with_other_things(pictures: Path) -> None:
    before = sorted(pictures.iterdir())
    with pytest.raises(ProjectError, match="not empty"):
        ea.Project.from_folder(pictures, pictures)
    assert sorted(pictures.iterdir()) == before


def test_a_project_of_other_images_is_not_overwritten(pictures: Path, tmp_path: Path) -> None:
    ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    other = shutil.copytree(pictures, tmp_path / "other")
    with pytest.raises(ProjectError, match="already holds"):
        ea.Project.from_folder(other, tmp_path / "p.eaw")


def test_a_project_of_a_newer_version_is_refused_with_the_way_out(pictures: Path, tmp_path: Path) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    card = p.path / "project.json"
    card.write_text(card.read_text().replace('"format": 2', '"format": 99'))
    with pytest.raises(ProjectError, match="Upgrade"):
        ea.open(p.path)


def test_moving_the_project_folder_keeps_every_table(photos: ea.Project, tmp_path: Path) -> None:
    photos.filter(pl.col("width") > 400).tag("wide")
    before = photos.df
    moved = ea.open(shutil.move(photos.path, tmp_path / "elsewhere"))
    assert moved.df.equals(before)
    assert moved.tags.rows() == [("wide", 142, None)]


def test_images_moved_together_with_the_project_are_found(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    shutil.copytree(pictures, work / "pictures")
    monkeypatch.chdir(work)
    ea.Project.from_folder("pictures", "p.eaw")
    monkeypatch.chdir(tmp_path)
    shutil.move(work, tmp_path / "moved")
    p = ea.open(tmp_path / "moved" / "p.eaw")
    p.compute("pixels")
    assert p.df["brightness"].null_count() == 0


def test_opening_the_same_images_again_computes_nothing(photos: ea.Project, shared_data: Path) -> None:
    before = photos._folder.pixels.version()
    again = ea.Project.from_folder(shared_data / "photos", photos.path)
    again.compute()
    assert again._folder.pixels.version() == before
    assert again._folder.items.version() == photos._folder.items.version()


def test_a_renamed_file_keeps_its_id_tags_and_values(pictures: Path, tmp_path: Path) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    p.compute("pixels")
    p.items.head(1).tag("mine")
    before = p.df.row(0, named=True)
    (pictures / "00.png").rename(pictures / "renamed.png")
    version = p._folder.pixels.version()
    assert p.refresh().renamed == 1
    p.compute("pixels")
    after = p.filter(ea.tagged("mine")).df.row(0, named=True)
    assert after["uri"].endswith("renamed.png")
    assert (after["item_id"], after["brightness"]) == (before["item_id"], before["brightness"])
    assert p._folder.pixels.version() == version


def test_only_touched_content_is_computed_again(pictures: Path, tmp_path: Path) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    p.compute("pixels")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(pictures / "03.png")
    shutil.copy(pictures / "05.png", pictures / "copy of 05.png")
    done = p.refresh()
    assert (done.added, done.changed) == (1, 1)
    rows = p._folder.pixels.read().height
    p.compute("pixels")
    assert p._folder.pixels.read().height == rows + 1  # one new content; the copy shares the values of 05
    values = {Path(r["uri"]).name: r["brightness"] for r in p.df.iter_rows(named=True)}
    assert values["03.png"] == 0
    assert values["copy of 05.png"] == values["05.png"]
    assert len(set(p.ids)) == 13


def test_a_removed_item_is_gone_its_file_is_not_and_undo_brings_it_back(pictures: Path, tmp_path: Path) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    p.items.head(2).remove()
    assert len(p) == 10
    assert len(list(pictures.iterdir())) == 12
    p.undo()
    assert len(p) == 12


@pytest.mark.parametrize(
    "call",
    [lambda p: p.filter(pl.col("brightnes") < 1), lambda p: p.sort("brightnes"), lambda p: p.outliers("brightnes")],
)
def test_a_misspelt_column_offers_the_right_one(photos: ea.Project, call: Any) -> None:
    with pytest.raises(UnknownNameError, match="brightness"):
        call(photos)


def test_a_plain_bool_in_a_filter_is_explained(photos: ea.Project) -> None:
    with pytest.raises(InputError, match=r"pl\.col"):
        photos.filter("brightness" < "contrast")  # type: ignore[arg-type]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, encord_active_widgets as ea; ea.Project; "
        "heavy = 'umap numba hnswlib anywidget altair deltalake PIL sklearn pandas'.split(); "
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


def test_the_repr_says_what_is_there_and_what_to_do_next(photos: ea.Project, pictures: Path, tmp_path: Path) -> None:
    assert "200 images" in repr(photos)
    assert "p.explore()" in repr(photos)
    assert "p.compute()" in repr(ea.Project.from_folder(pictures, tmp_path / "raw.eaw"))


def test_columns_of_a_frame_that_are_named_like_ours_are_kept_under_another_name(
    pictures: Path, tmp_path: Path
) -> None:
    n = 12
    table = pl.DataFrame(
        {
            "path": sorted(str(f) for f in pictures.iterdir()),
            **{c: [f"{c} {i}" for i in range(n)] for c in ("uri", "tags", "width", "sharpness", "__tag__x", 'a "b" é')},
        }
    )
    p = ea.Project.from_frame(table, tmp_path / "p.eaw")
    p.compute("pixels")
    p.items.head(2).tag("x")
    frame = p.df
    assert frame["sharpness"].dtype == pl.Float32
    assert frame["width"].to_list() == [64] * n
    for name in ("uri_source", "tags_source", "width_source", "sharpness_source", "__tag__x", 'a "b" é'):
        assert frame[name][3] == f"{name.removesuffix('_source')} 3"
    assert len(p.filter(ea.tagged("x"), pl.col("__tag__x") == "__tag__x 1")) == 1


def test_a_project_of_the_first_version_is_brought_up_to_date(shared_data: Path, tmp_path: Path) -> None:
    p = ea.Project.from_coco(shared_data / "bccd" / "annotations.json", path=tmp_path / "p.eaw")
    before = p.objects.df
    old = p._folder.labels.read().select(
        "label_id", "item_id", pl.col("ordinal").cast(pl.Int64), "kind", "class_name",
        *(pl.col(c).cast(pl.Float32) for c in ("x", "y", "w", "h", "angle")),
        "track_id", "annotator", "source", "extra", "change_id",
    )  # fmt: skip
    shutil.rmtree(p.path / "labels")
    old.write_delta(p.path / "labels")
    card = p.path / "project.json"
    card.write_text(card.read_text().replace('"format": 2', '"format": 1'))
    q = ea.open(p.path)
    assert q.objects.df.equals(before)
    assert '"format": 2' in card.read_text()
    uri = q.df["uri"][0]
    q.add_labels(pl.DataFrame({"path": [uri], "class_name": "RBC", "points": [[0.1, 0, 9, 0, 9, 9]]}))
    assert q.objects.df["points"].to_list()[-1] == [0.1, 0, 9, 0, 9, 9]


def test_a_second_run_says_that_the_annotations_have_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 20}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}],
    }
    file = tmp_path / "c.json"

    def opened() -> ea.Project:
        file.write_text(json.dumps(data))
        return ea.Project.from_coco(file, images=tmp_path, path=tmp_path / "p.eaw")

    opened()
    opened()
    assert "keeps its labels" not in caplog.text
    data["annotations"][0]["category_id"] = 2
    assert opened().objects.df["class_name"].to_list() == ["x"]
    assert "keeps its labels" in caplog.text


def test_a_relabelled_project_says_that_its_metrics_are_of_before(tmp_path: Path) -> None:
    for i in range(3):
        Image.new("RGB", (20, 20), (i * 80, 0, 0)).save(tmp_path / f"{i}.png")
    frame = pl.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(3)], "class_name": "a", "x": 1, "y": 1})
    p = ea.Project.from_frame(frame.with_columns(w=8, h=pl.Series([3, 5, 8])), tmp_path / "p.eaw")
    p.compute()
    assert "labels have changed" not in repr(p)
    assert "3 in 1 class: a 3" in repr(p)
    p.add_predictions("m", p.objects.df.select(pl.col("uri").alias("path"), "class_name", *"xywh", confidence=0.5))
    assert "predictions m 3" in repr(p)
    p.objects.head(1).relabel("b")
    assert "labels have changed" in repr(p)
    p.compute()
    assert "labels have changed" not in repr(p)


def test_a_project_without_any_image_says_what_to_look_at(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no image")
    p = ea.Project.from_folder(tmp_path / "photos", tmp_path / "p.eaw")
    assert "p.add_images(…) · p.problems" in repr(p)
    assert "p.compute()" not in repr(p)
