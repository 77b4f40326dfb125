"""Labels as rows: walking between levels, editing them, adding more, dividing and handing them on."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, ProjectError, UnknownNameError
from encord_active_widgets.exchange.partition import divide

CELLS = {"a.png": ["RBC", "RBC", "WBC"], "b.png": ["RBC"], "c.png": []}


@pytest.fixture
def cells(tmp_path: Path) -> ea.Project:
    """Three images with four boxes, one every ten pixels."""
    rows = []
    for name, classes in CELLS.items():
        Image.new("RGB", (60, 40), (200, 90, 90)).save(tmp_path / name)
        rows += [
            {
                "path": str(tmp_path / name),
                "class_name": c,
                "x": 10.0 * i,
                "y": 5.0,
                "w": 8.0,
                "h": 6.0,
                "annotator": "ann",
            }
            for i, c in enumerate(classes)
        ] or [
            {
                "path": str(tmp_path / name),
                "class_name": None,
                "x": None,
                "y": None,
                "w": None,
                "h": None,
                "annotator": None,
            }
        ]
    return ea.Project.from_frame(pl.DataFrame(rows), tmp_path / "p.eaw")


def names(view: ea.View) -> list[str]:
    return [Path(u).name for u in view.df["uri"]]


def test_items_are_found_by_their_objects_and_objects_by_their_items(cells: ea.Project) -> None:
    white = pl.col("class_name") == "WBC"
    assert names(cells.filter(ea.has(white))) == ["a.png"]
    assert names(cells.filter(~ea.has(white))) == ["b.png", "c.png"]
    assert names(cells.filter(ea.has(white) | ea.has(pl.col("x") == 0))) == ["a.png", "b.png"]
    assert names(cells.filter(ea.has(pl.col("x") >= 0), pl.col("object_count") < 2)) == ["b.png"]
    assert names(cells.objects.filter(white).items()) == ["a.png"]
    assert cells.filter(ea.has(white)).objects().df["class_name"].to_list() == ["RBC", "RBC", "WBC"]
    assert len(cells.sort("uri", descending=True).objects()) == 4
    assert cells.sort("uri", descending=True).objects().df["class_name"].to_list()[0] == "RBC"
    assert len(cells.objects.filter(white).objects()) == 1


def test_has_names_what_does_not_exist(cells: ea.Project) -> None:
    with pytest.raises(UnknownNameError, match="class_name"):
        cells.filter(ea.has(pl.col("classname") == "WBC"))
    with pytest.raises(InputError, match="this is a view of objects"):
        cells.objects.filter(ea.has(pl.col("x") > 0))
    with pytest.raises(InputError, match=r"ea\.has got"):
        ea.has("WBC")  # type: ignore[arg-type]


def test_a_relabelled_object_counts_as_its_new_class_until_undone(cells: ea.Project) -> None:
    white = pl.col("class_name") == "WBC"
    cells.objects.filter(white).relabel("RBC")
    assert cells.objects.df["class_name"].to_list() == ["RBC"] * 4
    assert len(cells.filter(ea.has(white))) == 0
    assert cells.history()["what"][-1] == 'relabelled 1 object "RBC"'
    assert ea.open(cells.path).objects.df["class_name"].to_list() == ["RBC"] * 4
    cells.undo()
    assert cells.objects.df["class_name"].to_list() == ["RBC", "RBC", "WBC", "RBC"]
    cells.redo()
    assert len(cells.objects.filter(white)) == 0


def test_deleted_labels_leave_every_count_and_come_back(cells: ea.Project) -> None:
    cells.objects.filter(pl.col("x") == 0).tag("first").delete_label()
    assert len(cells.objects) == 2
    assert cells.df["object_count"].to_list() == [2, 0, 0]
    assert cells.history()["what"][-1] == "deleted 2 objects"
    with pytest.raises(InputError, match="holds no labels"):
        cells.items.delete_label()
    cells.undo()
    assert cells.df["object_count"].to_list() == [3, 1, 0]
    assert len(cells.objects.filter(ea.tagged("first"))) == 2


def test_an_image_gets_a_class_changes_it_and_loses_it_again(cells: ea.Project) -> None:
    cells.items.head(2).relabel("good")
    assert cells.df["class_name"].to_list() == ["good", "good", None]
    assert len(cells.classifications) == 2
    cells.items.head(1).relabel("bad")
    assert cells.df["class_name"].to_list() == ["bad", "good", None]
    assert len(cells.classifications) == 2
    assert cells.undo(2) == ['relabelled 1 classification "bad"', 'relabelled 2 classifications "good"']
    assert len(cells.classifications) == 0
    cells.redo(2)
    assert ea.open(cells.path).df["class_name"].to_list() == ["bad", "good", None]


def test_labels_are_objects_and_answers_together_in_one_edit(cells: ea.Project) -> None:
    cells.items.head(1).relabel("good")
    assert len(cells.labels) == 5
    cells.labels.filter(pl.col("class_name").is_in(["good", "WBC"])).tag("look")
    assert len(cells.objects.filter(ea.tagged("look"))) == len(cells.classifications.filter(ea.tagged("look"))) == 1
    assert cells.undo() == ['tagged 2 labels "look"']
    assert cells.labels.tags.filter(pl.col("count") > 0).is_empty()


def test_notes_are_a_column_that_can_be_searched(cells: ea.Project) -> None:
    cells.items.head(1).note("out of <focus>")
    cells.objects.head(1).note("check")
    assert names(cells.filter(ea.contains("FOCUS"))) == ["a.png"]
    assert cells.objects.df["note"].to_list() == ["check", None, None, None]
    cells.items.head(1).note("")
    assert "note" not in cells.df.columns
    cells.undo()
    assert cells.df["note"][0] == "out of <focus>"
    with pytest.raises(InputError, match="characters"):
        cells.items.note("x" * 20_000)
    with pytest.raises(InputError, match="class"):
        cells.objects.relabel("  ")


def test_labels_are_added_once_to_images_that_are_there(cells: ea.Project, tmp_path: Path) -> None:
    more = pl.DataFrame(
        {"path": ["a.png", "c.png", "zz.png"], "class_name": "P", "x": 1.0, "y": 1.0, "w": 2.0, "h": 2.0}
    )
    before = cells.objects.ids.to_list()
    assert cells.add_labels(more).labels == 2
    assert cells.add_labels(more).labels == 0
    assert cells.df["object_count"].to_list() == [4, 1, 1]
    assert cells.objects.ids.to_list()[:4] == before
    assert cells.objects.ids.n_unique() == 6
    assert "not in the project" in cells.problems["why"][0]
    assert ea.open(cells.path).df["object_count"].to_list() == [4, 1, 1]
    with pytest.raises(InputError, match="No image with labels is in the project: 1 looked for"):
        cells.add_labels(pl.DataFrame({"path": ["q.png"], "class_name": "P", "x": 1.0, "y": 1.0, "w": 2.0, "h": 2.0}))
    file = tmp_path / "more.json"
    file.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "b.png"}],
                "categories": [{"id": 5, "name": "N"}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "bbox": [1, 1, 1, 1]}],
            }
        )
    )
    assert cells.add_labels(file).labels == 1
    by_id = pl.DataFrame({"item_id": cells.ids[2], "class_name": ["M"]})
    assert cells.add_labels(by_id).labels == 1
    assert cells.df["class_name"].to_list() == [None, None, "M"]


def test_own_label_files_are_read_by_a_function(tmp_path: Path) -> None:
    for i in range(4):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{i}.png")
    (tmp_path / "0.txt").write_text("cat 1 2 3 4")

    def own(image: str) -> Any:
        file = Path(image).with_suffix(".txt")
        if Path(image).stem == "3":
            raise RuntimeError("broken file")
        if Path(image).stem == "2":
            mask = np.zeros((20, 20), bool)
            mask[2:5, 3:9] = True
            return [{"class_name": "m", "mask": mask, "note": 7}, "dog", 5, {"x": 1, "y": 1, "w": 0, "h": 1}]
        if not file.exists():
            return None
        name, *box = file.read_text().split()
        return {"class_name": name, **dict(zip("xywh", map(float, box), strict=True))}

    p = ea.Project.from_folder(tmp_path, tmp_path / "p.eaw", labels=own)
    assert p.objects.df.select("class_name", "kind", "x", "y", "w", "h").rows() == [
        ("cat", "box", 1.0, 2.0, 3.0, 4.0),
        ("m", "mask", 3.0, 2.0, 6.0, 3.0),
    ]
    assert p.classifications.df["class_name"].to_list() == ["dog"]
    assert sorted(p.problems["why"]) == [
        "its box has no area (width 0, height 1)",
        "label 2 is a int, not a class name or a dict",
        "the label function raised RuntimeError: broken file",
    ]
    with pytest.raises(InputError, match="strict"):
        ea.Project.from_folder(tmp_path, tmp_path / "q.eaw", labels=own, strict=True)
    assert not (tmp_path / "q.eaw").exists()


def test_a_frame_with_wrong_types_is_mended_or_listed(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    path = str(tmp_path / "a.png")
    frame = pl.DataFrame(
        {
            "path": [path] * 5,
            "class_name": [1, 2, 3, 4, 5],
            "x": ["1", "x", "3", "4", "inf"],
            "y": [1] * 5,
            "w": [2] * 5,
            "h": [2, 2, -2, 2, 2],
        }
    )
    p = ea.Project.from_frame(frame, tmp_path / "p.eaw")
    assert p.objects.df.select("class_name", "x").rows() == [("1", 1.0), ("4", 4.0)]
    assert p.problems.height == 3
    bad = pl.DataFrame(
        {
            "path": [path] * 4,
            "points": pl.Series(
                [[1, 2, 3], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4], [1, 2, 3, 4, 5, float("nan")]],
                dtype=pl.List(pl.Float64),
                strict=False,
            ),
            "kind": ["polygon", "polygon", "polygon", "blob"],
        }
    )
    q = ea.Project.from_frame(bad, tmp_path / "q.eaw")
    assert len(q.objects) == 1
    assert q.problems.height == 3


def test_annotators_are_told_apart(cells: ea.Project, tmp_path: Path) -> None:
    path = str(tmp_path / "b.png")
    cells.add_labels(
        pl.DataFrame(
            {
                "path": [path] * 2,
                "class_name": ["RBC", "X"],
                "x": [30.0, 20.0],
                "y": 5.0,
                "w": 8.0,
                "h": 6.0,
                "annotator": "bob",
                "seconds": [10.0, 30.0],
            }
        )
    )
    table = cells.annotators()
    assert table.select("annotator", "labels", "items", "classes").rows() == [("ann", 4, 2, 2), ("bob", 2, 1, 2)]
    assert table.select("seconds_total", "seconds_median", "labels_per_hour").rows()[1] == (40.0, 20.0, 180.0)
    assert table["seconds_total"][0] is None
    with pytest.raises(InputError, match="who drew"):
        ea.Project.from_folder(tmp_path, tmp_path / "q.eaw").annotators()


# -- dividing ----------------------------------------------------------------------------------------


def test_a_seed_divides_the_same_way_and_no_group_is_torn_apart(shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "cifar10_test").rglob("*.jp*g"))[::10]
    frame = pl.DataFrame(
        {
            "path": map(str, files),
            "class_name": [f.parent.name for f in files],
            "group": [f"v{i // 7}" for i in range(len(files))],
        }
    )
    p = ea.Project.from_frame(frame, tmp_path / "p.eaw")
    p.items.split(train=0.7, val=0.2, test=0.1, seed=3)
    first = p.df["split"]
    assert first.value_counts().sort("count")["count"].to_list() == [100, 200, 700]
    assert p.items.split(train=0.7, val=0.2, test=0.1, seed=3).df["split"].equals(first)
    assert not p.items.split(train=0.7, val=0.2, test=0.1, seed=4).df["split"].equals(first)
    by = p.items.split(train=0.7, val=0.2, test=0.1, by="class_name").df.group_by("class_name", "split").len()
    assert by.filter(pl.col("split") == "val")["len"].to_list() == [20] * 10
    groups = p.items.split(train=0.5, val=0.5, test=0, by="class_name", groups="group").df
    assert groups.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    counts = groups.group_by("class_name", "split").len()["len"]
    assert counts.min() >= 40
    assert ea.open(p.path).df["split"].equals(groups["split"])
    p.filter(pl.col("class_name") == "cat").split(train=1, val=0, test=0)
    assert (
        p.df.filter(pl.col("class_name") != "cat")["split"] == groups.filter(pl.col("class_name") != "cat")["split"]
    ).all()


def test_a_division_is_an_edit_that_all_levels_show(cells: ea.Project) -> None:
    """Objects and predictions carry the split of their image; undo, redo and the history know of it."""
    boxes = cells.objects.df.select("item_id", "class_name", "x", "y", "w", "h", confidence=pl.lit(0.5))
    cells.add_predictions("m", boxes)
    before = cells.df
    assert cells.items.split(train=1, val=0, test=1, seed=2).df["split"].value_counts().height == 2
    divided = cells.df
    split = dict(divided.select("item_id", "split").iter_rows())
    for view in (cells.objects, cells.predictions["m"], cells.labels):
        assert [split[i] for i in view.df["item_id"]] == view.df["split"].to_list()
    n = len(cells)
    assert cells.history().row(-1, named=True)["n"] == n
    assert cells.history()["what"][-1] == f"divided {n} items into train, test"
    cells.items.split(train=1, val=0, test=1, seed=2)
    assert cells.history()["kind"].to_list().count("split") == 1  # divided like this already
    assert cells.undo() == [f"divided {n} items into train, test"]
    assert cells.df.equals(before)
    assert "split" not in cells.objects.df.columns
    cells.redo()
    assert cells.df.equals(divided)
    assert ea.open(cells.path).df.equals(divided)


def test_a_division_of_before_edits_had_it_still_counts(cells: ea.Project) -> None:
    """Projects of earlier versions keep the column as values; an edit goes on top of it, and undo uncovers it."""
    rows = pl.DataFrame({"ordinal": cells.df["ordinal"].cast(pl.UInt32), "split": ["val"] * len(cells)})
    cells._folder.values("split", "item").replace(rows)
    p = ea.open(cells.path)
    assert p.df["split"].to_list() == ["val"] * len(p)
    p.items.head(1).split(train=1, val=0, test=0)
    assert p.df["split"].to_list() == ["train", *["val"] * (len(p) - 1)]
    assert p.objects.df["split"].unique().sort().to_list() == ["train", "val"]
    p.undo()
    assert p.df["split"].to_list() == ["val"] * len(p)


def test_splits_are_written_as_lists(cells: ea.Project, tmp_path: Path) -> None:
    cells.items.head(2).split(train=1, val=1, test=0)
    cells.items.to_lists(tmp_path / "lists")
    found = {f.stem: f.read_text().splitlines() for f in (tmp_path / "lists").iterdir()}
    assert {k: len(v) for k, v in found.items()} == {"train": 1, "val": 1, "rest": 1}
    assert sorted(line for lines in found.values() for line in lines) == cells.df["uri"].sort().to_list()


def test_objects_are_shared_out_by_class(shared_data: Path, tmp_path: Path) -> None:
    p = ea.Project.from_coco(shared_data / "bccd" / "annotations.json", path=tmp_path / "p.eaw")
    p.items.split(by="objects", seed=1)
    split = p.df.select("item_id", "split")
    share = p.objects.df.join(split, on="item_id").group_by("class_name").agg((pl.col("split") == "train").mean())
    assert share["split"].is_between(0.78, 0.82).all()


def test_dividing_refuses_what_cannot_be(cells: ea.Project) -> None:
    for shares in ({"train": -1.0}, {"train": 0, "val": 0, "test": 0}, {"train": float("nan")}):
        with pytest.raises(InputError, match="shares"):
            cells.items.split(**shares)
    with pytest.raises(UnknownNameError, match="no column"):
        cells.items.split(by="class_nam")
    with pytest.raises(InputError, match="Divide its items"):
        cells.objects.split()
    assert divide(np.ones((0, 1)), np.array([1.0])).size == 0


# -- handing on --------------------------------------------------------------------------------------


def test_a_view_is_a_dataset_that_workers_can_be_sent(cells: ea.Project) -> None:
    data = pickle.loads(pickle.dumps(cells.items.dataset()))
    assert len(data) == 3
    assert data.classes == ["RBC", "WBC"]
    image, target = data[0]
    assert image.shape == (40, 60, 3)
    assert target["boxes"].tolist() == [[0, 5, 8, 11], [10, 5, 18, 11], [20, 5, 28, 11]]
    assert target["labels"].tolist() == [0, 0, 1]
    assert data[-1][1]["boxes"].shape == (0, 4)
    with pytest.raises(IndexError):
        data[3]
    crops = cells.objects.dataset(lambda image: image.shape)
    assert [crops[i] for i in range(4)] == [((6, 8, 3), 0), ((6, 8, 3), 0), ((6, 8, 3), 1), ((6, 8, 3), 0)]
    both = cells.items.dataset(lambda image, target: (image.sum(), len(target["labels"])))
    assert both[1][1] == 1
    assert cells.items.dataset(target="class")[0][1] == -1
    assert data[np.int64(0)][0].shape == (40, 60, 3)
    for several in (slice(0, 2), [0, 1], "a"):
        with pytest.raises(InputError, match="one row at a time"):
            data[several]  # type: ignore[index]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_are_written_and_checked(cells: ea.Project, tmp_path: Path, kind: str) -> None:
    for view in (cells.items, cells.objects.filter(pl.col("class_name") == "RBC")):
        view.tag("x")
        done = getattr(view, f"to_{kind}")(tmp_path / f"t.{kind}", verify=True)
        assert done.verified
        read = pl.read_parquet(done.path) if kind == "parquet" else pl.read_csv(done.path)
        assert read.height == len(view)
        assert "tags" in read.columns


def test_an_export_of_a_view_holds_that_view_only(cells: ea.Project, tmp_path: Path) -> None:
    white = cells.objects.filter(pl.col("class_name") == "WBC")
    done = white.to_coco(tmp_path / "out" / "w.json", images="link", verify=True)
    written = json.loads(done.path.read_text())
    assert (done.items, done.labels) == (1, 1)
    assert [c["name"] for c in written["categories"]] == ["WBC"]
    assert (tmp_path / "out" / "images" / "a.png").is_symlink()
    with pytest.raises(InputError, match="nothing to write"):
        cells.filter(pl.col("object_count") > 99).to_coco(tmp_path / "no.json")
    with pytest.raises(UnknownNameError, match="copy"):
        cells.items.to_coco(tmp_path / "no.json", images="cop")
    assert not (tmp_path / "no.json").exists()


@pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])
def test_objects_without_a_class_are_refused_before_anything_is_written(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    boxes = {"path": str(tmp_path / "a.png"), "x": [1.0, 2.0], "y": 1.0, "w": 3.0, "h": 3.0, "class_name": ["c", None]}
    p = ea.Project.from_frame(pl.DataFrame(boxes), tmp_path / "p.eaw")
    out = tmp_path / "deep" / "out.json"
    with pytest.raises(InputError, match=r"1 object has no class\. Relabel them, or filter them out"):
        getattr(p.items, f"to_{kind}")(out, verify=True)
    assert not out.parent.exists()
    p.objects.filter(pl.col("class_name").is_null()).relabel("c")
    assert getattr(p.items, f"to_{kind}")(out, images="copy", verify=True).labels == 2


def test_a_damaged_export_is_noticed(cells: ea.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from encord_active_widgets.formats import coco_writer

    real = coco_writer._short
    monkeypatch.setattr(coco_writer, "_short", lambda v: real(v) + 1)
    with pytest.raises(ProjectError, match="differs"):
        cells.items.to_coco(tmp_path / "out.json", images="copy", verify=True)


def test_masks_of_another_size_than_their_image_are_listed_however_they_come(tmp_path: Path) -> None:
    for i in range(2):
        Image.new("RGB", (30, 20)).save(tmp_path / f"{i}.png")

    def own(image: str) -> Any:
        return {"class_name": "m", "mask": np.ones((20, 30) if Path(image).stem == "0" else (9, 9), bool)}

    p = ea.Project.from_folder(tmp_path, tmp_path / "p.eaw", labels=own)
    assert len(p.objects) == 1
    assert p.problems["why"].to_list() == ["its mask has 9 × 9 px, the image 30 × 20"]
    q = ea.Project.from_folder(tmp_path, tmp_path / "q.eaw")
    assert (q.add_labels(own).labels, q.add_labels(own).labels) == (1, 0)
    assert q.problems["why"][0] == "its mask has 9 × 9 px, the image 30 × 20"
    with pytest.raises(InputError, match="9 × 9"):
        ea.Project.from_folder(tmp_path, tmp_path / "r.eaw", labels=own, strict=True)


def test_dividing_a_part_leaves_the_others_where_they_were(shared_data: Path, tmp_path: Path) -> None:
    p = ea.Project.from_coco(shared_data / "bccd" / "annotations.json", path=tmp_path / "p.eaw")
    p.items.split(seed=1)
    p.items.to_yolo(tmp_path / "yolo")
    q = ea.Project.from_yolo(tmp_path / "yolo" / "data.yaml", path=tmp_path / "q.eaw")
    assert q.df["split"].value_counts().sort("split").rows() == p.df["split"].value_counts().sort("split").rows()
    before = q.df["split"].to_list()
    q.items.head(10).split(train=0, val=0, test=1)
    assert q.df["split"].to_list() == ["test"] * 10 + before[10:]
