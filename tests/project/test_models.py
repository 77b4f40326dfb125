"""Models beside labels: evaluation in closed form and on real data, views behind every number, comparison, edits."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError


def made(tmp_path: Path, truth: list[tuple], images: int = 2, name: str = "p") -> ea.Project:
    """A project of plain images with boxes (image, class, x, y, w, h)."""
    folder = tmp_path / "images"
    folder.mkdir(exist_ok=True)
    for i in range(images):
        Image.fromarray(np.full((200, 200, 3), 60 + i, np.uint8)).save(folder / f"{i}.png")
    names = sorted({t[1] for t in truth}) or ["a"]
    data = {
        "images": [{"id": i + 1, "file_name": f"{i}.png", "width": 200, "height": 200} for i in range(images)],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(names)],
        "annotations": [
            {"id": i + 1, "image_id": t[0] + 1, "category_id": names.index(t[1]) + 1, "bbox": list(t[2:])}
            for i, t in enumerate(truth)
        ],
    }
    (tmp_path / f"{name}.json").write_text(json.dumps(data))
    return ea.Project.from_coco(tmp_path / f"{name}.json", folder, tmp_path / f"{name}.eaw")


def predicted(*rows: tuple) -> pl.DataFrame:
    """Predictions (image, class, confidence, x, y, w, h)."""
    names = ("path", "class_name", "confidence", "x", "y", "w", "h")
    return pl.DataFrame([(f"{r[0]}.png", *r[1:]) for r in rows], schema=names, orient="row")


TRUTH = [(0, "a", 10, 10, 40, 40), (0, "a", 100, 10, 40, 40), (0, "b", 10, 100, 40, 40), (1, "b", 50, 50, 60, 60)]


@pytest.fixture
def project(tmp_path: Path) -> ea.Project:
    p = made(tmp_path, TRUTH)
    p.add_predictions(
        "m",
        predicted(
            (0, "a", 0.9, 10, 10, 40, 40),  # right
            (0, "a", 0.8, 12, 10, 40, 40),  # again
            (0, "b", 0.7, 100, 10, 40, 40),  # of another class
            (0, "b", 0.6, 30, 100, 40, 40),  # beside: IoU 1/3
            (0, "a", 0.5, 25, 100, 40, 40),  # beside, and of another class
            (1, "a", 0.4, 150, 150, 40, 40),  # on nothing
            (1, "b", 0.3, 50, 50, 60, 60),  # right
        ),
    )
    return p


def test_outcomes_reasons_and_partners(project):
    ev = project.evaluate("m", iou=0.5)
    frame = ev.predictions.df.sort("confidence", descending=True)
    assert frame["outcome"].to_list() == ["TP", "FP", "FP", "FP", "FP", "FP", "TP"]
    assert frame["reason"].to_list() == [None, "duplicate", "class", "location", "both", "background", None]
    assert frame["label_class"].to_list() == ["a", "background", "a", "background", "background", "background", "b"]
    labels = ev.labels.df.sort("label_id")
    names = labels["class_name"] + labels["x"].cast(pl.Int64).cast(pl.String)
    assert dict(zip(names, labels["reason"], strict=True)) == {
        "a10": None, "a100": "class", "b10": "location", "b50": None,
    }  # fmt: skip
    assert ev.counts == pytest.approx(
        {"TP": 2, "FP": 5, "FN": 2, "precision": 2 / 7, "recall": 0.5, "F1": 4 / 11, "FN rate": 0.5}
    )
    matches = ev.matches
    assert matches.height == 11
    first = matches.filter(pl.col("confidence") == 0.9).row(0, named=True)
    assert first["partner_class"] == "a"
    assert first["iou"] == 1.0
    back = matches.filter(pl.col("id") == first["partner"]).row(0, named=True)
    assert (back["outcome"], back["partner"], back["confidence"]) == ("TP", first["id"], None)


def test_the_confusion_matrix_has_a_background(project):
    table = project.evaluate("m", iou=0.5).confusion
    assert table.columns == ["label", "a", "b", "background"]
    assert table.rows() == [("a", 1, 1, 0), ("b", 0, 1, 1), ("background", 3, 1, 0)]
    assert project.evaluate("m", iou=0.5).confusion(confidence=0.65).rows() == [
        ("a", 1, 1, 0), ("b", 0, 0, 2), ("background", 1, 0, 0),
    ]  # fmt: skip
    ev = project.evaluate("m", iou=0.5)
    assert ev.cell("a", "b").df["confidence"].to_list() == [0.7]
    assert ev.cell("b", "background").df["x"].to_list() == [10]
    assert ev.cell("b", "background").level == "object"


def test_a_confidence_leaves_out_what_is_below(project):
    ev = project.evaluate("m", iou=0.5, confidence=0.35)
    assert ev.counts["TP"] == 1
    assert ev.labels.df.filter(pl.col("x") == 50)["reason"].to_list() == ["confidence"]
    assert ev.predictions.df.filter(pl.col("confidence") == 0.3)["outcome"].to_list() == ["ignored"]
    assert ev.map == project.evaluate("m", iou=0.5).map, "AP uses all predictions"


def test_precision_recall_and_f1_in_closed_form(tmp_path):
    """Precision 0.3 and recall 0.2 give F1 0.24."""
    truth = [(0, "a", 10 * (i % 15), 12 * (i // 15), 8, 8) for i in range(15)]
    p = made(tmp_path, truth, images=1)
    right = [(0, "a", 0.9, *t[2:]) for t in truth[:3]]
    wrong = [(0, "a", 0.8, 10 * i, 150, 8, 8) for i in range(7)]
    p.add_predictions("m", predicted(*right, *wrong))
    counts = p.evaluate("m").counts
    assert (counts["precision"], counts["recall"], counts["F1"]) == (0.3, 0.2, pytest.approx(0.24))
    curves = p.evaluate("m").curves.filter(pl.col("class_name").is_null())
    assert curves.select("confidence", "precision", "recall", "f1").rows() == [
        (0.9, 1.0, 0.2, pytest.approx(1 / 3)), (0.8, 0.3, 0.2, pytest.approx(0.24)),
    ]  # fmt: skip
    assert p.evaluate("m").best["confidence"].to_list() == [0.9, 0.9]


def test_calibration_in_closed_form(tmp_path):
    truth = [(0, "a", 20 * i, 10, 15, 15) for i in range(6)]
    p = made(tmp_path, truth, images=1)
    sure = [(0, "a", 0.95, *t[2:]) for t in truth[:4]]
    p.add_predictions("m", predicted(*sure, *[(0, "a", 0.55, 20 * i, 100, 15, 15) for i in range(4)]))
    ev = p.evaluate("m")
    used = ev.calibration.filter(pl.col("count") > 0)
    assert used.select("bin_low", "bin_high", "accuracy", "count").rows() == [
        (0.5, pytest.approx(0.6), 0.0, 4),
        (0.9, 1.0, 1.0, 4),
    ]
    assert ev.ece == pytest.approx((0.55 + 0.05) / 2)


def test_a_view_has_scores_of_its_own(project):
    whole = project.evaluate("m", iou=0.5)
    tagged = project.items.head(1).tag("night")
    part = project.filter(ea.tagged("night")).evaluate("m", iou=0.5)
    assert part.counts["TP"] + project.items.at([1]).evaluate("m", iou=0.5).counts["TP"] == whole.counts["TP"]
    assert len(part.predictions) == 5
    assert len(tagged.predictions("m")) == 5
    project.items.head(1).remove()
    assert project.evaluate("m", iou=0.5).counts["TP"] == 1


def test_edits_of_labels_change_the_scores(project):
    before = project.evaluate("m", iou=0.5).counts
    project.objects.filter(pl.col("x") == 100).relabel("b")
    assert project.evaluate("m", iou=0.5).counts["TP"] == before["TP"] + 1
    project.objects.filter(pl.col("x") == 10, pl.col("class_name") == "b").delete_label()
    assert project.evaluate("m", iou=0.5).counts["FN"] == before["FN"] - 2
    project.undo(2)
    assert project.evaluate("m", iou=0.5).counts == before


def test_predictions_are_tagged_noted_and_undone(project):
    view = project.evaluate("m", iou=0.5).false_positives.filter(pl.col("reason") == "duplicate")
    view.tag("twice").note("look")
    reopened = ea.open(project.path)
    found = reopened.predictions["m"].filter(ea.tagged("twice"))
    assert found.df["note"].to_list() == ["look"]
    history = reopened.history()
    assert history["level"].to_list()[-3:] == ["prediction:m"] * 3
    assert history["kind"].to_list()[-3:] == ["add", "tag", "note"]
    assert 'added run "m" of ' in history["what"][-3]
    reopened.undo(2)
    assert len(reopened.predictions["m"].filter(ea.tagged("twice"))) == 0
    with pytest.raises(InputError, match="keep their class"):
        view.relabel("b")
    with pytest.raises(InputError, match="not deleted one by one"):
        view.delete_label()


def test_what_is_selected_among_predictions_says_what_became_of_it(project):
    w = project.explore()
    w.level = "prediction:m"
    w.filter = pl.col("outcome") == "FP"
    w.selection = w.filtered
    assert w.selection.df["outcome"].to_list() == ["FP"] * len(w.filtered) != []
    assert w.selection.df["reason"].to_list() == w.filtered.df["reason"].to_list()
    w.close()


@pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])
def test_predictions_are_not_written_as_if_they_were_labels(project, tmp_path, kind):
    target = tmp_path / "out.json"
    with pytest.raises(InputError, match=r"Predictions are no labels.*to_csv"):
        getattr(project.predictions["m"], f"to_{kind}")(target)
    assert not target.exists()


def test_two_runs_are_compared(project):
    project.add_predictions("n", predicted((0, "a", 0.9, 100, 10, 40, 40), (0, "b", 0.9, 10, 100, 40, 40)))
    c = project.compare("m", "n", iou=0.5)
    assert c.only_a.df["x"].to_list() == [10, 50]
    assert c.only_b.df["x"].to_list() == [100, 10]
    assert (len(c.both), len(c.neither)) == (0, 0)
    assert c.p_value == 1.0
    assert c.found.rows() == [("a", 0, 1, 1, 0), ("b", 0, 1, 1, 0)]
    row = c.summary.filter(metric="recall").row(0)
    assert row == ("recall", 0.5, 0.5, 0.0)
    assert set(c.per_class["class_name"]) == {"a", "b"}


def test_without_labels_or_runs_it_says_what_to_do(tmp_path):
    p = made(tmp_path, [], images=1)
    with pytest.raises(InputError, match="no predictions yet"):
        p.evaluate("m")
    p.add_predictions("m", predicted((0, "a", 0.5, 1, 1, 5, 5)))
    with pytest.raises(InputError, match="no objects to compare"):
        p.evaluate("m")


@pytest.mark.parametrize("iou", [0, 1.5, [], [0.6, 0.5], [0.5, 0.5]])
def test_odd_thresholds_are_refused(project, iou):
    with pytest.raises(InputError, match="IoU thresholds"):
        project.evaluate("m", iou=iou)


def test_turned_boxes_are_compared_as_they_lie(tmp_path):
    p = made(tmp_path, [], images=1)
    p.add_labels(
        pl.DataFrame(
            {
                "path": ["0.png"],
                "class_name": ["a"],
                "x": [20.0],
                "y": [80.0],
                "w": [120.0],
                "h": [20.0],
                "angle": [45.0],
            }
        )
    )
    frame = predicted((0, "a", 0.9, 20, 80, 120, 20), (0, "a", 0.8, 20, 80, 120, 20))
    p.add_predictions("m", frame.with_columns(angle=pl.Series([40.0, 0.0])))
    ev = p.evaluate("m", iou=0.5)
    assert ev.predictions.df["outcome"].to_list() == ["TP", "FP"]
    assert ev.map == pytest.approx(1.0)


# -- real data ------------------------------------------------------------------------------------


def reference(truth: Path, results: list[dict], kind: str) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO(str(truth))
        run = COCOeval(gt, gt.loadRes(results), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats.tolist()


@pytest.fixture(scope="module")
def cells(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ea.Project, Path, list[dict]]:
    """BCCD with perturbed predictions; its two boxes without area left out of the file that both sides read."""
    home = tmp_path_factory.mktemp("cells")
    data = json.loads((shared_data / "bccd" / "annotations.json").read_text())
    data["annotations"] = [a for a in data["annotations"] if min(a["bbox"][2:]) > 0]
    (home / "truth.json").write_text(json.dumps(data))
    rng = np.random.default_rng(4)
    results = []
    for a in data["annotations"]:
        for _ in range(rng.integers(0, 3)):
            x, y, w, h = a["bbox"]
            box = [x + rng.normal(0, 0.1) * w, y + rng.normal(0, 0.1) * h, w * np.exp(rng.normal(0, 0.1)), h]
            category = a["category_id"] if rng.random() < 0.9 else int(rng.integers(1, 4))
            score = round(float(rng.uniform()), 2)
            results.append({"image_id": a["image_id"], "category_id": category, "bbox": box, "score": score})
    for i in range(7):  # beside their image: wrong predictions all the same
        image, score = data["images"][i]["id"], round(float(rng.uniform(0.5, 1)), 2)
        results.append({"image_id": image, "category_id": 1, "bbox": [700.0, 500.0, 20.0, 20.0], "score": score})
    (home / "results.json").write_text(json.dumps(results))
    p = ea.Project.from_coco(home / "truth.json", shared_data / "bccd" / "images", home / "p.eaw")
    p.add_predictions("noisy", home / "results.json")
    return p, home / "truth.json", results


ORDER = ("mAP@[.5:.95]", "mAP@.5", "mAP@.75", "mAP small", "mAP medium", "mAP large",
         "AR@1", "AR@10", "AR@100", "AR small", "AR medium", "AR large")  # fmt: skip


def test_cells_equal_pycocotools(cells):
    p, truth, results = cells
    summary = dict(p.evaluate("noisy").summary.iter_rows())
    expected = reference(truth, results, "bbox")
    assert [summary[k] if summary[k] is not None else -1 for k in ORDER] == pytest.approx(expected, abs=1e-9)


def test_masks_equal_pycocotools(cells, tmp_path):
    from pycocotools import mask as coco

    _, truth, results = cells
    data = json.loads(truth.read_text())
    keep = {i["id"] for i in data["images"][:30]}
    data["images"] = [i for i in data["images"] if i["id"] in keep]
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] in keep]

    def oval(box: list[float], n: int) -> list[float]:
        t = np.linspace(0, 2 * np.pi, n, endpoint=False)
        x, y, w, h = box
        return np.stack([x + w / 2 * (1 + np.cos(t)), y + h / 2 * (1 + np.sin(t))], 1).ravel().tolist()

    for i, a in enumerate(data["annotations"]):
        a["segmentation"] = [oval(a["bbox"], 12)]
        if i % 10 == 0:
            whole = coco.merge(coco.frPyObjects(a["segmentation"], 480, 640))
            a["segmentation"] = {"size": [480, 640], "counts": whole["counts"].decode()}
            a["iscrowd"] = int(i % 20 == 0)
    file = tmp_path / "masks.json"
    file.write_text(json.dumps(data))
    found = []
    for r in results:
        if r["image_id"] in keep:
            rle = coco.merge(coco.frPyObjects([oval(r["bbox"], 9)], 480, 640))
            if coco.area(rle):
                rle["counts"] = rle["counts"].decode()
                found.append({k: r[k] for k in ("image_id", "category_id", "score")} | {"segmentation": rle})
    (tmp_path / "found.json").write_text(json.dumps(found))
    p = ea.Project.from_coco(file, truth.parent, tmp_path / "m.eaw", read=False)
    p.add_predictions("m", tmp_path / "found.json")
    ev = p.evaluate("m")
    assert ev.found.shape == "mask"
    summary = dict(ev.summary.iter_rows())
    expected = reference(file, found, "segm")
    assert [summary[k] if summary[k] is not None else -1 for k in ORDER] == pytest.approx(expected, abs=1e-9)
    outcomes = ev.predictions.df["outcome"]
    assert (outcomes == "ignored").sum() > 0, "crowds are there"


def test_the_confusion_matrix_equals_a_slow_count(cells):
    """The surest prediction first takes the free label it lies on most, of whatever class."""
    p, truth, results = cells
    data = json.loads(truth.read_text())
    codes = {c["id"]: i for i, c in enumerate(data["categories"])}
    expected = np.zeros((4, 4), int)
    for image in data["images"]:
        labels = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        free = set(range(len(labels)))
        found = [r for r in results if r["image_id"] == image["id"] and r["score"] >= 0.3]
        for r in sorted(found, key=lambda r: -r["score"]):
            shares = [(iou(r["bbox"], labels[j]["bbox"]), j) for j in free]
            best = max(((v, j) for v, j in shares if v >= 0.5), default=None)
            if best:
                free.discard(best[1])
            row = codes[labels[best[1]]["category_id"]] if best else 3
            expected[row, codes[r["category_id"]]] += 1
        for j in free:
            expected[codes[labels[j]["category_id"]], 3] += 1
    ours = p.evaluate("noisy").confusion(confidence=0.3).select(pl.exclude("label")).to_numpy()
    assert np.array_equal(ours, expected)


def iou(a: list[float], b: list[float]) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(wide, 0) * max(high, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


@pytest.fixture(scope="module")
def cifar(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ea.Project, np.ndarray, np.ndarray]:
    """The CIFAR-10 test set and a real model's probabilities, in the order of the project's items."""
    errors = shared_data / "label_errors"
    labels = np.load(errors / "cifar10_test_set_original_labels.npy")
    probabilities = np.load(errors / "cifar10_test_set_pyx.npy")
    p = ea.Project.from_folder(shared_data / "cifar10_test", tmp_path_factory.mktemp("cifar") / "p.eaw")
    classes = sorted(p.items.df["class_name"].unique())
    taken = dict.fromkeys(range(10), 0)
    files = {k: p.items.df.filter(class_name=n).sort("uri")["uri"].to_list() for k, n in enumerate(classes)}
    row_of = {}
    for i, k in enumerate(labels.tolist()):
        row_of[files[k][taken[k]]] = i
        taken[k] += 1
    order = np.array([row_of[u] for u in p.items.df["uri"]])
    return p, labels[order], probabilities[order]


def test_cifar_accuracy_and_confusion_equal_numpy(cifar):
    p, labels, probabilities = cifar
    p.add_predictions("model", probabilities, sorted(p.items.df["class_name"].unique()))
    ev = p.evaluate("model")
    answers = probabilities.argmax(axis=1)
    assert ev.accuracy == pytest.approx(0.9294)
    assert ev.accuracy == (answers == labels).mean()
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (labels, answers), 1)
    assert np.array_equal(ev.confusion.select(pl.exclude("label")).to_numpy(), expected)
    wrong = ev.cell("cat", "dog")
    assert len(wrong) == expected[3, 5]
    from sklearn.metrics import f1_score, log_loss

    assert dict(ev.summary.iter_rows())["macro F1"] == pytest.approx(f1_score(labels, answers, average="macro"))
    assert ev.log_loss == pytest.approx(
        log_loss(labels, probabilities / probabilities.sum(axis=1, keepdims=True)), rel=1e-5
    )


def test_a_planted_cause_is_named(shared_data, tmp_path):
    """A tenth of one class is darkened and its predictions made wrong: brightness explains it best."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "images"
    answers = []
    for name in ("cat", "dog", "ship"):
        (folder / name).mkdir(parents=True)
        for i, file in enumerate(sorted((shared_data / "cifar10_test" / name).iterdir())[:400]):
            dark = name == "cat" and i % 10 == 0
            with Image.open(file) as picture:
                values = np.asarray(picture.convert("RGB"))
            target = folder / name / f"{i:04d}.png"
            Image.fromarray((values * 0.15).astype(np.uint8) if dark else values).save(target)
            answers.append((f"{target}", "dog" if dark else name, float(rng.uniform(0.5, 1))))
    p = ea.Project.from_folder(folder, tmp_path / "p.eaw")
    p.compute("pixels")
    p.add_predictions("m", pl.DataFrame(answers, schema=["path", "class_name", "confidence"], orient="row"))
    found = p.evaluate("m").explain()
    top = found.top("precision")
    assert top["metric"][0] in ("brightness", "luma_p99"), top
    assert "brightness" in top["metric"].head(3).to_list()
    assert found.df.filter(pl.col("metric") == "random")["score"].max() in (None, pytest.approx(0, abs=0.02))
    table = found.buckets("brightness")
    assert table["rate"][0] < 0.75 < table["rate"][1:].min()
    view = found.view("brightness", 0)
    assert len(view) == table["count"][0]
    assert (view.items().df["brightness"] <= table["high"][0]).all()
    by_class = p.evaluate("m").explain(by_class=True).df
    assert set(by_class["class_name"].drop_nulls()) >= {"dog"}


def test_runs_that_came_and_went_stand_in_the_history(project):
    project.items.head(1).tag("seen")
    project.remove_predictions("m")
    history = project.history()
    assert history["what"].to_list()[-3:][0].startswith('added run "m" of ')
    assert history["what"].to_list()[-2:] == ['tagged 1 item "seen"', 'removed run "m"']
    assert history["in_force"].to_list()[-3:] == [None, True, None]
    assert project.undo() == ['tagged 1 item "seen"']
