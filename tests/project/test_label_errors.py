"""`p.label_errors`: real labels with planted faults through the whole public path, what was found, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, UnknownNameError

from ..learning.planted import FAULTS, plant, read, scores_by_kind

COLUMNS = [
    "error_id", "kind", "item_id", "uri", "label_id", "prediction_id", "given", "suggested", "score", "likely",
    "reason", "confidence", "iou", "x", "y", "w", "h", "item_row", "label_row", "prediction_row", "ordinal", "tags",
]  # fmt: skip
CLASSES = ["cat", "dog", "owl"]


def plain(folder: Path, n: int, size: int = 40) -> list[str]:
    """Draw images of one colour each."""
    folder.mkdir(exist_ok=True)
    for i in range(n):
        Image.fromarray(np.full((size, size, 3), 3 * i % 250, np.uint8)).save(folder / f"{i:03d}.png")
    return [str(folder / f"{i:03d}.png") for i in range(n)]


@pytest.fixture
def animals(tmp_path: Path) -> tuple[ea.Project, np.ndarray]:
    """Sixty images of three classes, and probabilities that speak against the labels of rows 4 and 7."""
    paths = plain(tmp_path / "animals", 60)
    names = [CLASSES[i % 3] for i in range(60)]
    p = ea.Project.from_frame(pl.DataFrame({"path": paths, "class_name": names}), path=tmp_path / "animals.eaw")
    rng = np.random.default_rng(0)
    table = rng.dirichlet([1, 1, 1], 60) * 0.2 + 0.8 * np.eye(3)[np.arange(60) % 3]
    table[4], table[7] = [0.96, 0.02, 0.02], [0.02, 0.08, 0.9]
    return p, table / table.sum(axis=1, keepdims=True)


@pytest.fixture
def cells(shared_data: Path, tmp_path: Path) -> tuple[ea.Project, object]:
    return planted_project(shared_data, tmp_path, 0)


def planted_project(shared_data: Path, tmp_path: Path, seed: int) -> tuple[ea.Project, object]:
    """BCCD with faults, as a project with a run."""
    planted = plant(read(shared_data / "bccd" / "annotations.json"), seed)
    (tmp_path / "labels.json").write_text(json.dumps(planted.coco))
    (tmp_path / "results.json").write_text(json.dumps(planted.results))
    p = ea.Project.from_coco(
        tmp_path / "labels.json", shared_data / "bccd" / "images", tmp_path / "cells.eaw", read=False
    )
    p.add_predictions("model", tmp_path / "results.json")
    return p, planted


# -- objects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_planted_fault_is_found(shared_data, tmp_path, seed):
    p, planted = planted_project(shared_data, tmp_path, seed)
    errors = p.label_errors("model").df
    numbers = p.objects.df.select("label_id", pl.col("extra").str.json_path_match("$.id").cast(pl.Int64).alias("id"))
    found = scores_by_kind(planted, errors, dict(numbers.iter_rows()))
    assert min(found.values()) >= 0.8, found
    assert set(found) == set(FAULTS)


def test_errors_are_a_view(cells, tmp_path):
    p, _ = cells
    errors = p.label_errors("model")
    frame = errors.df
    assert frame.columns == COLUMNS
    assert errors.columns == COLUMNS
    assert len(errors) == frame.height
    assert frame["error_id"].n_unique() == frame.height
    assert frame["score"].is_sorted(descending=True)
    assert frame.filter("likely")["score"].min() > 0.1
    missed = errors.filter(pl.col("kind") == "missed").sort("confidence", descending=True).head(5)
    assert missed.df["label_id"].null_count() == 5
    assert missed.run == "model"
    assert type(missed.sample(2)) is type(errors)
    ids = errors.sample(4, seed=3).ids
    assert errors.by_ids(ids).df["error_id"].to_list() == ids.to_list()
    assert [row["error_id"] for row in errors.by_ids(ids)] == ids.to_list()
    again = ea.open(p.path).label_errors("model")
    assert again.by_ids(ids).df["score"].to_list() == errors.by_ids(ids).df["score"].to_list(), "ids are stable"
    errors.to_parquet(tmp_path / "errors.parquet", verify=True)
    assert pl.read_parquet(tmp_path / "errors.parquet").height == frame.height
    errors.head(20).to_csv(tmp_path / "errors.csv", verify=True)
    with pytest.raises(UnknownNameError, match='mean "kind"'):
        errors.filter(pl.col("kinds") == "missed")
    assert "label errors found by 'model'" in repr(errors)
    counts = errors.by_kind
    assert counts.columns == ["kind", "errors", "likely"]
    assert dict(counts.select("kind", "errors").iter_rows()) == dict(frame["kind"].value_counts().iter_rows())


def test_each_kind_says_what_is_given_and_what_is_suggested(cells):
    p, _ = cells
    errors = p.label_errors("model")
    of = {
        kind: errors.filter(pl.col("kind") == kind).df
        for kind in ("missed", "spurious", "location", "class", "duplicate")
    }
    assert of["missed"]["given"].null_count() == of["missed"].height
    assert of["missed"]["suggested"].null_count() == 0
    assert (of["class"]["given"] != of["class"]["suggested"]).all()
    assert (of["location"]["given"] == of["location"]["suggested"]).all()
    for kind in ("spurious", "duplicate"):
        assert of[kind]["suggested"].null_count() == of[kind].height
    for kind, source in (
        ("missed", p.predictions["model"]),
        ("location", p.predictions["model"]),
        ("class", p.objects),
    ):
        rows = of[kind]["label_row" if kind == "class" else "prediction_row"]
        assert of[kind].select("x", "y", "w", "h").equals(source.at(rows).df.select("x", "y", "w", "h"))
    assert (
        of["class"]["reason"]
        .str.contains(r"^labelled \w+; the model says \w+ \([01]\.\d+\) with an IoU of 0\.\d")
        .all()
    )
    assert of["duplicate"]["reason"].str.contains("is on the same object, with an IoU of").all()
    assert of["missed"]["reason"].str.contains(r"^the model sees \w+ here").all()
    for frame in of.values():
        assert frame["reason"].null_count() == 0


def test_errors_lead_to_items_labels_and_predictions(cells):
    p, _ = cells
    errors = p.label_errors("model").head(40)
    frame = errors.df
    assert errors.items().ids.to_list() == frame["item_id"].unique(maintain_order=True).to_list()
    assert errors.objects().ids.to_list() == frame["label_id"].drop_nulls().unique(maintain_order=True).to_list()
    ids = frame["prediction_id"].drop_nulls().unique(maintain_order=True).to_list()
    assert errors.predictions().ids.to_list() == ids
    assert errors.objects().level == "object"
    assert errors.predictions().level == "prediction:model"


def test_tags_and_notes_go_to_the_items(cells):
    p, _ = cells
    errors = p.label_errors("model").head(3)
    errors.tag("check").note("see the labels")
    assert set(p.filter(ea.tagged("check")).ids) == set(errors.items().ids)
    assert p.filter(ea.tagged("check")).df["note"].unique().to_list() == ["see the labels"]
    assert set(p.label_errors("model").filter(ea.tagged("check")).items().ids) == set(errors.items().ids)
    assert errors.df["tags"].to_list() == [["check"]] * 3
    errors.untag("check")
    assert len(p.filter(ea.tagged("check"))) == 0
    for refused in (lambda: errors.relabel("RBC"), errors.delete_label, errors.remove):
        with pytest.raises(InputError, match=r"accept\(\).*review\(\)"):
            refused()


def test_an_error_goes_with_its_label_and_with_its_item(cells):
    p, _ = cells
    errors = p.label_errors("model")
    doubled = errors.by_ids(errors.filter(pl.col("kind") == "duplicate", "likely").head(5).ids)
    doubled.objects().delete_label()
    assert len(doubled) == 0
    p.undo()
    assert len(doubled) == 5
    first = errors.by_ids(errors.ids[:1])
    first.items().remove()
    assert len(first) == 0


def test_a_view_of_errors_exports_its_items(cells, tmp_path):
    p, _ = cells
    errors = p.label_errors("model").head(10)
    written = errors.to_coco(tmp_path / "errors.json")
    assert written.items == len(errors.items())


def test_a_replaced_run_takes_its_predictions_along(cells, tmp_path):
    p, planted = cells
    errors = p.label_errors("model")
    p.add_predictions("model", planted.results[:50], replace=True)
    with pytest.raises(InputError, match="was replaced"):
        errors.predictions()
    assert len(errors.items())


def test_a_view_narrows_what_is_looked_at(cells):
    p, _ = cells
    some = p.items.head(10)
    errors = p.label_errors("model", view=some)
    assert len(errors) > 0
    assert set(errors.df["item_id"]) <= set(some.ids)
    platelets = p.objects.filter(pl.col("class_name") == "Platelets")
    assert set(p.label_errors("model", view=platelets).df["given"]) == {"Platelets"}


def test_polygons_are_judged_by_their_boxes(shared_data, tmp_path):
    source = shared_data / "polygons"
    file = next(source.rglob("*.json"))
    data = json.loads(file.read_text())
    p = ea.Project.from_coco(file, file.parent, tmp_path / "polygons.eaw")
    shapes = p.objects.df
    assert set(shapes["kind"]) <= {"polygon", "mask"}
    truth = shapes.select(
        pl.col("uri").alias("path"), "class_name", "x", "y", "w", "h", pl.lit(0.9).alias("confidence")
    )
    p.add_predictions("model", truth[1:])
    errors = p.label_errors("model").filter("likely").df
    assert errors.filter(pl.col("label_id") != shapes["label_id"][0]).is_empty()
    assert len(data["annotations"]) >= shapes.height


# -- classes ----------------------------------------------------------------------------------------------------------


def test_labels_that_a_model_speaks_against_come_first(animals):
    p, table = animals
    p.add_predictions("net", table, classes=CLASSES)
    errors = p.label_errors("net")
    frame = errors.df
    assert errors.level == "item"
    assert len(errors) == 60
    assert frame["ordinal"][:2].sort().to_list() == [4, 7]
    first = frame.filter(pl.col("ordinal") == 4).row(0, named=True)
    assert (first["kind"], first["given"], first["suggested"], first["likely"]) == ("class", "dog", "cat", True)
    assert first["reason"] == "labelled dog; the model says cat (0.96) and dog (0.02)"
    right = frame.filter(pl.col("ordinal") == 0).row(0, named=True)
    assert right["suggested"] is None
    assert right["reason"].startswith("labelled cat; the model says cat (0.")
    assert frame["score"].is_between(0, 1).all()
    assert frame["score"].is_sorted(descending=True)


def test_a_close_call_of_the_model_is_not_told_as_a_tie_or_as_certain(animals):
    p, table = animals
    table[4], table[7], table[9], table[1] = [0.5004, 0.4996, 0], [1e-6, 0, 1 - 1e-6], [0.34, 0.33, 0.33], [0, 0, 1]
    p.add_predictions("net", table, classes=CLASSES)
    frame = p.label_errors("net").df.sort("ordinal")
    told = frame["reason"].to_list()
    assert told[4] == "labelled dog; the model says cat (0.5004) and dog (0.4996)"
    assert told[7] == "labelled dog; the model says owl (>0.99) and dog (0.0)"
    assert told[1] == "labelled dog; the model says owl (1.0) and dog (0.0)"
    for row in frame.filter(pl.col("suggested").is_not_null()).iter_rows(named=True):
        assert f"{row['suggested']} (" in row["reason"], "the probability of what is suggested is told"
    for reason, given, says in zip(told, frame["given"], table.argmax(axis=1), strict=True):
        numbers = dict(re.findall(r"(\w+) \(([\d.]+)\)", reason))
        best = CLASSES[says]
        if best != given and best in numbers and given in numbers:
            assert float(numbers[best]) > float(numbers[given])


def test_columns_of_the_ranking_can_be_asked_of_every_view_made_of_it(animals):
    p, table = animals
    p.add_predictions("net", table, classes=CLASSES)
    errors = p.label_errors("net")
    likely = errors.filter("likely")
    assert likely.filter(pl.col("given") == "dog").sort("score").df["suggested"].null_count() == 0
    for made in (errors.head(3), errors.sample(3), errors.by_ids(errors.ids[:3]), errors.at([4, 7]), errors.tag("t")):
        assert {"kind", "given", "suggested", "score", "likely", "reason"} <= set(made.df.columns)
        assert made.df["score"].null_count() == 0
        assert made.sort("score").columns == errors.columns


def test_the_projects_own_columns_do_not_hide_those_of_the_ranking(tmp_path):
    paths = plain(tmp_path / "i", 12)
    names = [CLASSES[i % 2] for i in range(12)]
    frame = pl.DataFrame({"path": paths, "class_name": names, "score": [5.0] * 12, "reason": ["mine"] * 12})
    p = ea.Project.from_frame(frame, path=tmp_path / "p.eaw")
    p.add_predictions("net", np.tile([0.7, 0.3], (12, 1)), classes=CLASSES[:2])
    errors = p.label_errors("net", method="self_confidence")
    assert errors.df["score"].round(4).to_list() == [0.7] * 6 + [0.3] * 6
    assert errors.filter(pl.col("score") > 0.5).df.height == 6
    assert p.items.df["score"].to_list() == [5.0] * 12


def test_relabelling_is_seen_by_the_next_ranking(animals):
    p, table = animals
    p.add_predictions("net", table, classes=CLASSES)
    p.items.at([4]).relabel("cat")
    frame = p.label_errors("net").df.filter(pl.col("ordinal") == 4)
    assert frame["given"].to_list() == ["cat"]
    assert frame["suggested"].to_list() == [None]


@pytest.mark.parametrize(
    "method", ["self_confidence", "normalized_margin", "confidence_weighted_entropy", "confident_learning"]
)
def test_other_methods_can_be_chosen(animals, method):
    p, table = animals
    p.add_predictions("net", table, classes=CLASSES)
    frame = p.label_errors("net", method=method).df
    assert frame["ordinal"][:2].sort().to_list() == [4, 7]
    assert frame.filter("likely")["ordinal"].sort().to_list() == [4, 7]


def test_a_run_with_the_best_class_alone_is_used_as_far_as_it_goes(animals):
    p, table = animals
    best = table.argmax(axis=1)
    rows = pl.DataFrame(
        {"path": p.items.df["uri"], "class_name": [CLASSES[b] for b in best], "confidence": table.max(axis=1)}
    )
    p.add_predictions("top", rows)
    frame = p.label_errors("top").df
    assert frame["ordinal"][:2].sort().to_list() == [4, 7]
    assert frame.filter(pl.col("ordinal") == 4)["reason"].item() == (
        "labelled dog; the model says cat (0.96), and nothing of other classes"
    )


def test_items_without_a_label_or_a_prediction_are_not_ranked(tmp_path):
    paths = plain(tmp_path / "i", 20)
    names = [None if i in (3, 5) else CLASSES[i % 2] for i in range(20)]
    p = ea.Project.from_frame(pl.DataFrame({"path": paths, "class_name": names}), path=tmp_path / "p.eaw")
    rows = pl.DataFrame({"path": paths[:15], "class_name": CLASSES[0], "confidence": 0.8})
    p.add_predictions("part", rows, classes=CLASSES[:2])
    assert p.label_errors("part").df["ordinal"].sort().to_list() == [i for i in range(15) if i not in (3, 5)]


def test_classes_that_the_model_does_not_know_are_listed_and_the_others_ranked(animals, caplog):
    p, table = animals
    p.items.at([10, 11]).relabel("newt")
    p.add_predictions("net", table, classes=CLASSES)
    errors = p.label_errors("net")
    assert len(errors) == 58
    problem = p.problems.filter(pl.col("stage") == "label_errors:net")
    assert problem.height == 1
    assert "2 labels are of classes that the model does not know (newt)" in problem["why"].item()
    assert "p.problems" in caplog.text
    p.undo()
    p.label_errors("net")
    assert p.problems.filter(pl.col("stage") == "label_errors:net").is_empty(), "it is listed as long as it is so"


def test_a_view_ranks_its_own_items_by_what_all_labels_teach(animals):
    p, table = animals
    p.add_predictions("net", table, classes=CLASSES)
    whole, part = p.label_errors("net").df, p.label_errors("net", view=p.items.head(10)).df
    assert part.height == 10
    both = part.join(whole, on="item_id", suffix="_whole")
    assert (both["score"] == both["score_whole"]).all()


# -- neighbours -------------------------------------------------------------------------------------------------------


def clustered(n: int, seed: int = 0) -> np.ndarray:
    """Vectors of three clusters, one a class."""
    rng = np.random.default_rng(seed)
    return (np.eye(3)[np.arange(n) % 3].repeat(4, axis=1) + rng.normal(0, 0.05, (n, 12))).astype(np.float32)


def test_neighbours_alone_find_wrong_classes_of_images(animals):
    p, _ = animals
    vectors = clustered(60)
    vectors[4] = vectors[0] + 0.01
    p.embeddings["mine"] = vectors
    errors = p.label_errors()
    first = errors.df.row(0, named=True)
    assert (errors.level, first["ordinal"], first["given"], first["suggested"]) == ("item", 4, "dog", "cat")
    assert first["likely"]
    assert first["reason"] == "labelled dog; 15 of 15 neighbours are cat"
    assert errors.df["likely"].sum() == 1


def test_the_neighbours_told_of_are_those_that_speak_for_the_suggestion(tmp_path):
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [90, 40, 20])
    names = [CLASSES[c] for c in codes]
    p = ea.Project.from_frame(
        pl.DataFrame({"path": plain(tmp_path / "i", 150), "class_name": names}), path=tmp_path / "p.eaw"
    )
    p.embeddings["mine"] = np.eye(3, 16)[codes] + rng.normal(0, 0.5, (150, 16))
    errors = p.label_errors(method="neighbours").df
    doubted = errors.filter(pl.col("suggested").is_not_null())
    told = doubted["reason"].str.extract(r"neighbours (?:is|are) (\w+)")
    assert told.equals(doubted["suggested"].alias("reason"))
    graph = p.embeddings["mine"].graph
    rarer = 0
    for row in doubted.iter_rows(named=True):
        around = [names[i] for i in graph.rows[row["ordinal"]] if i >= 0]
        count = around.count(row["suggested"])
        assert f"; {count} of {len(around)} neighbours" in row["reason"]
        fewer = count < max(map(around.count, CLASSES))
        assert ("weighs most" in row["reason"]) == fewer
        rarer += fewer
    assert rarer


def test_neighbours_are_a_second_opinion_beside_a_model(animals):
    p, table = animals
    p.add_predictions("net", table, classes=CLASSES)
    p.embeddings["mine"] = clustered(60)
    reasons = p.label_errors("net").df["reason"]
    assert reasons.str.contains(r"\d+ of 15 neighbours are \w+$").all()
    assert p.label_errors("net", method="neighbours").df["reason"].str.contains("the model").sum() == 0


def test_neighbours_alone_find_wrong_classes_of_objects(shared_data, tmp_path):
    data = read(shared_data / "bccd" / "annotations.json")
    p = ea.Project.from_coco(
        shared_data / "bccd" / "annotations.json", shared_data / "bccd" / "images", tmp_path / "p.eaw", read=False
    )
    names = sorted(c["name"] for c in data["categories"])
    codes = p.objects.df["class_name"].replace_strict(names, range(3)).to_numpy()
    rng = np.random.default_rng(0)
    p.objects.embeddings["mine"] = np.eye(3)[codes].repeat(4, axis=1) + rng.normal(0, 0.2, (len(codes), 12))
    wrong = np.sort(rng.choice(len(codes), 240, replace=False))
    for code in range(3):
        p.objects.at(wrong[codes[wrong] == code]).relabel(names[(code + 1) % 3])
    errors = p.label_errors()
    assert errors.level == "object"
    frame = errors.df.sort("ordinal")
    flags = np.isin(frame["ordinal"].to_numpy(), wrong)
    assert roc_auc_score(flags, frame["score"]) > 0.98
    assert average_precision_score(flags, frame["score"]) > 0.9
    assert set(frame["kind"]) == {"class"}
    written = errors.head(50).to_coco(tmp_path / "out.json")
    assert written.labels == 50, "columns of the ranking do not get into the shapes"


def test_classes_of_images_go_first_and_a_view_of_objects_asks_for_these(animals):
    p, _ = animals
    p.add_labels(pl.DataFrame({"path": p.items.df["uri"], "class_name": [CLASSES[i % 3] for i in range(60)],
                               "x": 1.0, "y": 1.0, "w": 9.0, "h": 9.0}))  # fmt: skip
    p.embeddings["mine"] = clustered(60)
    p.objects.embeddings["mine"] = clustered(60)
    assert p.label_errors().level == "item"
    assert p.label_errors(view=p.objects.head(30)).level == "object"
    assert len(p.label_errors(view=p.objects.head(30))) == 30


# -- bad input --------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_named_with_the_call_that_makes_it(animals, tmp_path):
    p, table = animals
    with pytest.raises(InputError, match=r"no predictions yet\. Call p\.add_predictions\(\"net\""):
        p.label_errors("net")
    with pytest.raises(InputError, match=r"need embeddings of the images.*p\.compute\(\).*p\.add_predictions"):
        p.label_errors()
    with pytest.raises(InputError, match=r"needs probabilities\. Add some: p\.add_predictions"):
        p.label_errors(method="self_confidence")
    p.add_predictions("net", table, classes=CLASSES)
    with pytest.raises(UnknownNameError, match=r'There is no run "nett".*"net"'):
        p.label_errors("nett")
    with pytest.raises(UnknownNameError, match='mean "normalized_margin"'):
        p.label_errors("net", method="normalised_margin")
    with pytest.raises(InputError, match=r'Name a run: p\.label_errors\("net", method="combined"\)'):
        p.label_errors(method="combined")
    with pytest.raises(InputError, match="is no view"):
        p.label_errors("net", view="all")
    with pytest.raises(InputError, match="view is of predictions"):
        p.label_errors("net", view=p.predictions["net"])
    bare = ea.Project.from_frame(pl.DataFrame({"path": plain(tmp_path / "b", 3)}), path=tmp_path / "b.eaw")
    with pytest.raises(InputError, match=r"no labels\. Add them: p\.add_labels"):
        bare.label_errors()
    with pytest.raises(InputError, match="of another project"):
        p.label_errors("net", view=bare.items)
    bare.add_predictions("net", np.tile([0.5, 0.5], (3, 1)), classes=["a", "b"])
    with pytest.raises(InputError, match=r"no classes to compare.*p\.add_labels"):
        bare.label_errors("net")


def test_one_class_tells_nothing(tmp_path):
    frame = pl.DataFrame({"path": plain(tmp_path / "i", 5), "class_name": "cat"})
    p = ea.Project.from_frame(frame, path=tmp_path / "p.eaw")
    p.add_predictions("net", np.ones((5, 1)), classes=["cat"])
    with pytest.raises(InputError, match="tell no class from another"):
        p.label_errors("net")
    p.embeddings["mine"] = np.eye(5, dtype=np.float32)
    with pytest.raises(InputError, match="fewer than two classes"):
        p.label_errors()


def test_methods_of_classes_are_refused_for_objects(cells):
    p, _ = cells
    with pytest.raises(InputError, match="predicts objects"):
        p.label_errors("model", method="self_confidence")
    with pytest.raises(InputError, match=r"need embeddings of the objects.*name a run: p\.label_errors\(\"model\"\)"):
        p.label_errors()


def test_items_without_labels_or_without_predictions_raise_nothing(cells):
    p, planted = cells
    some = p.items.head(3)
    some.objects().delete_label()
    assert set(p.label_errors("model", view=some).df["kind"]) == {"missed"}
    p.add_predictions("few", planted.results[:5])
    away = p.items.filter(~pl.col("item_id").is_in(p.predictions["few"].df["item_id"].implode()))
    found = p.label_errors("few", view=away)
    assert set(found.df["kind"]) <= {"duplicate"}, "doubled labels need no predictions"
    assert found.predictions().ids.is_empty()
    none = p.label_errors("few", view=p.items.head(5)).filter(pl.col("score") > 2)
    assert (len(none), len(none.items()), len(none.objects()), none.df.columns) == (0, 0, 0, COLUMNS)


def test_a_label_without_a_class_gets_the_predicted_one(tmp_path):
    paths = plain(tmp_path / "i", 6)
    labels = pl.DataFrame({"path": paths, "class_name": ["cat"] * 5 + [None], "x": 5.0, "y": 5.0, "w": 20.0, "h": 20.0})
    p = ea.Project.from_frame(labels, path=tmp_path / "p.eaw")
    p.add_predictions("m", labels.with_columns(pl.lit("cat").alias("class_name"), pl.lit(0.9).alias("confidence")))
    row = p.label_errors("m").filter("likely").df.row(0, named=True)
    assert (row["kind"], row["given"], row["suggested"], row["item_row"]) == ("class", None, "cat", 5)
    assert row["reason"].startswith("labelled something without a class; the model says cat (0.9)")
