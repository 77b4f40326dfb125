"""Metrics of labels in a project: computed once, following edits, and finding planted mistakes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import encord_active_widgets as ea
from encord_active_widgets.metrics.registry import unregister

LABEL_METRICS = (
    "area", "relative_area", "aspect_ratio", "perimeter", "border_closeness", "max_iou_same_class",
    "max_iou_other_class", "shape_outlier", "class_quality", "brightness", "contrast", "sharpness", "blur", "red",
    "green", "blue", "colourfulness", "saturation", "uniqueness", "typicality",
)  # fmt: skip


@pytest.fixture(scope="session")
def bccd_computed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "bccd.eaw"
    ea.Project.from_coco(shared_data / "bccd" / "annotations.json", path=path).compute()
    return path


@pytest.fixture
def bccd(bccd_computed: Path, tmp_path: Path) -> ea.Project:
    return ea.open(shutil.copytree(bccd_computed, tmp_path / "bccd.eaw"))


def test_every_object_of_a_real_set_has_every_metric(bccd: ea.Project) -> None:
    frame = bccd.objects.df
    assert frame.select(LABEL_METRICS).null_count().sum_horizontal()[0] == 0
    assert bccd.df["object_density"].is_between(0, 1).all()
    assert bccd.df["object_count"].sum() == 4886
    assert frame["area"].to_numpy() == pytest.approx((frame["w"] * frame["h"]).to_numpy(), rel=1e-6)
    touching = frame.filter((pl.col("x") <= 0) | (pl.col("y") <= 0))
    assert (touching["border_closeness"] == 1).all()
    assert frame["duplicate_group"].drop_nulls().n_unique() == 8
    told = bccd.metrics().filter(pl.col("level") == "object", pl.col("computed"))["name"]
    assert set(LABEL_METRICS) <= set(told)


def test_the_density_counts_overlaps_once(bccd: ea.Project) -> None:
    item = bccd.sort("object_count", descending=True).head(1)
    covered = np.zeros((480, 640), bool)
    for x, y, w, h in item.objects().df.select("x", "y", "w", "h").iter_rows():
        covered[int(max(y, 0)) : int(y + h), int(max(x, 0)) : int(x + w)] = True
    assert item.df["object_density"][0] == pytest.approx(covered.mean(), abs=1e-4)


def test_nothing_is_computed_twice_and_all_of_it_again_after_an_edit(bccd: ea.Project) -> None:
    tables = ["labels"], ["geometry", "overlap", "shape", "quality", "crops"]
    before = {f: bccd._folder.values(f, "object").version() for f in tables[1]}
    bccd.compute()
    assert before == {f: bccd._folder.values(f, "object").version() for f in tables[1]}
    white = bccd.objects.filter(pl.col("class_name") == "WBC").head(1)
    quality = white.df["class_quality"][0]
    white.relabel("RBC")
    crowded = bccd.objects.filter(pl.col("max_iou_same_class") > 0.9).head(1)
    items = crowded.items()
    crowded.delete_label()
    bccd.compute()
    assert white.df["class_quality"][0] < quality
    assert items.objects().df["max_iou_same_class"].max() < 0.9
    assert bccd._folder.values("crops", "object").version() == before["crops"]
    bccd.undo(2)
    bccd.compute()
    assert white.df["class_quality"][0] == pytest.approx(quality)


def test_labels_added_later_are_measured_without_measuring_the_others_again(bccd: ea.Project) -> None:
    row = bccd.df.row(0, named=True)
    bccd.add_labels(pl.DataFrame({"path": [row["uri"]], "class_name": "RBC", "x": 1.0, "y": 2.0, "w": 50.0, "h": 60.0}))
    rows = bccd._folder.values("crops", "object").read().height
    bccd.compute()
    assert bccd._folder.values("crops", "object").read().height == rows + 1
    assert bccd.objects.df[-1].select(LABEL_METRICS).null_count().sum_horizontal()[0] == 0
    assert len(bccd.objects.embeddings["descriptor"]) == 4887


def test_swapped_classes_of_objects_stand_out(bccd: ea.Project) -> None:
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(4886, 244, replace=False))
    classes = bccd.objects.df["class_name"]
    names = ["RBC", "WBC", "Platelets"]
    for name in names:
        of_name = chosen[(classes.gather(chosen) == name).to_numpy()]
        bccd.objects.at(of_name).relabel(names[(names.index(name) + 1) % 3])
    bccd.compute()
    flipped = np.zeros(4886, bool)
    flipped[chosen] = True
    assert roc_auc_score(flipped, -bccd.objects.df["class_quality"].to_numpy()) > 0.99


def cifar(shared_data: Path) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """Return files in the original order, their classes, the model's probabilities and the names of classes."""
    errors = shared_data / "label_errors"
    labels = np.load(errors / "cifar10_test_set_original_labels.npy")
    names = sorted(f.name for f in (shared_data / "cifar10_test").iterdir() if f.is_dir())
    waiting = {k: iter(sorted((shared_data / "cifar10_test" / k).iterdir())) for k in names}
    files = [str(next(waiting[names[c]])) for c in labels]
    return files, labels, np.load(errors / "cifar10_test_set_pyx.npy").astype(np.float32), names


def test_flipped_classes_of_cifar_images_are_found(shared_data: Path, tmp_path: Path) -> None:
    files, labels, probabilities, names = cifar(shared_data)
    rng = np.random.default_rng(0)
    flipped = np.zeros(10_000, bool)
    flipped[rng.choice(10_000, 500, replace=False)] = True
    given = np.where(flipped, (labels + rng.integers(1, 10, 10_000)) % 10, labels)
    frame = pl.DataFrame({"path": files, "class_name": [names[c] for c in given]})
    p = ea.Project.from_frame(frame, tmp_path / "p.eaw")
    p.compute(["pixels", "neighbours", "labels"])
    p.embeddings["model"] = probabilities
    answers = p.classifications.df
    assert answers["item_id"].equals(p.ids)
    score = roc_auc_score(flipped, -answers["class_quality_model"].fill_null(0.5).to_numpy())
    built_in = roc_auc_score(flipped, -answers["class_quality"].fill_null(0.5).to_numpy())
    print(f"AUROC of 5 % flips: probabilities {score:.3f}, built-in descriptor {built_in:.3f}")
    assert score >= 0.90
    assert built_in > 0.70
    assert p.df["class_quality_model"].equals(answers["class_quality_model"])


def test_own_embeddings_and_own_metrics_of_objects(bccd: ea.Project) -> None:
    vectors = bccd.objects.df.select("w", "h", "brightness").to_numpy()
    bccd.objects.embeddings["size"] = vectors
    assert list(bccd.objects.embeddings) == ["descriptor", "size"]
    assert list(bccd.embeddings) == ["descriptor"]
    near = bccd.objects.head(1).similar(5, embedding="size")
    assert near.level == "object"
    assert len(near) == 5
    assert "class_quality_size" in bccd.objects.columns

    @ea.metric(level="object")
    def slimness(labels: pl.DataFrame) -> pl.Expr:
        return pl.col("w") / pl.col("h")

    try:
        bccd.compute()
        assert bccd.objects.df["slimness"].to_numpy() == pytest.approx(
            bccd.objects.df["aspect_ratio"].to_numpy(), rel=1e-6
        )
    finally:
        unregister("slimness", "object")
    assert "slimness" in ea.open(bccd.path).objects.columns


def test_objects_of_removed_images_leave_and_come_back(bccd: ea.Project) -> None:
    some = bccd.items.head(3)
    gone = len(some.objects())
    some.remove()
    assert len(bccd.objects) == 4886 - gone
    bccd.compute()
    bccd.undo()
    assert len(bccd.objects) == 4886


def test_an_object_outside_of_its_image_is_listed_and_the_rest_measured(bccd: ea.Project) -> None:
    uri = bccd.df["uri"][0]
    bccd.add_labels(pl.DataFrame({"path": [uri], "class_name": "RBC", "x": 5000.0, "y": 2.0, "w": 50.0, "h": 60.0}))
    bccd.compute()
    assert bccd.objects.df["brightness"].null_count() == 1
    assert "outside" in bccd.problems["why"].str.join(" ")[0]
