"""What the page is told of a run lets it count what Python counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EawError
from encord_active_widgets.protocol.service import Service


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    """Twelve images with boxes of three classes, a noisy run, a run of classes, and a run on its own."""
    home = tmp_path_factory.mktemp("judged")
    rng = np.random.default_rng(2)
    rows = []
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)).save(home / f"{i}.png")
        rows += [
            {"path": f"{home}/{i}.png", "class_name": "abc"[k % 3], "x": 10 + 30.0 * k, "y": 20.0, "w": 22.0, "h": 40.0}
            for k in range(int(rng.integers(1, 5)))
        ]
    p = ea.Project.from_frame(pl.DataFrame(rows), home / "p.eaw")
    frame = p.objects.df.select("uri", "class_name", "x", "y", "w", "h").rename({"uri": "path"})
    n = frame.height
    noisy = frame.with_columns(
        pl.col("x") + rng.normal(0, 5, n), pl.Series("confidence", rng.uniform(0.1, 1, n).round(2)),
        class_name=pl.when(pl.Series(rng.random(n) < 0.2)).then(pl.lit("c")).otherwise("class_name"),
    )  # fmt: skip
    p.add_predictions("noisy", pl.concat([noisy, noisy.head(5).with_columns(confidence=0.05)]))
    items = p.items.df.select(pl.col("uri").alias("path"), class_name=pl.lit("day"), confidence=pl.lit(0.75))
    p.items.head(8).relabel("day")
    p.items.at([8, 9]).relabel("night")
    p.add_predictions("classes", items)
    return p


def shown(project: ea.Project, run: str) -> Service:
    service = Service(project.items)
    service.set_level(f"prediction:{run}")
    return service


def tables(service: Service) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    model = service.spec()["model"]
    reply = service.model_get({"key": model["key"]}, [])
    n, t = reply.head["n"], max(1, len(model["thresholds"]))
    assert reply.head["label_bytes"] == 1
    sure, codes, verdict, label = reply.buffers
    return (
        model,
        np.frombuffer(sure, "<f4"),
        np.frombuffer(codes, "<u2"),
        np.frombuffer(verdict, np.uint8).reshape(t, n),
        np.frombuffer(label, np.uint8).reshape(t, n),
    )


@pytest.mark.parametrize("confidence", [0.0, 0.4])
def test_the_tables_count_what_an_evaluation_counts(project, confidence):
    model, sure, codes, verdict, label = tables(shown(project, "noisy"))
    k = len(model["classes"])
    for t, iou in enumerate(model["thresholds"]):
        ev = project.evaluate("noisy", iou=iou, confidence=confidence)
        on = sure >= np.float32(confidence)
        tp = int((on & (verdict[t] & 3 == 0)).sum())
        assert (tp, int((on & (verdict[t] & 3 == 1)).sum())) == (ev.counts["TP"], ev.counts["FP"])
        assert sum(model["labels"]) - tp == ev.counts["FN"]
        wrong = on & (verdict[t] & 3 == 1)
        names = pl.Series(model["reasons"]).gather((verdict[t][wrong] >> 2).astype(np.uint32) - 1)
        expected = ev.false_positives.df["reason"].value_counts(sort=True)
        assert dict(names.value_counts().iter_rows()) == dict(expected.iter_rows())
        matrix = np.zeros((k + 1, k), int)
        np.add.at(matrix, (label[t][on & (label[t] <= k)], codes[on & (label[t] <= k)]), 1)
        assert np.array_equal(matrix, ev.confusion.select(model["classes"]).to_numpy())


def test_the_columns_follow_the_sliders_in_a_fixed_order(project):
    service = shown(project, "noisy")
    before = [c for c in service.spec()["columns"] if c["name"] in ("outcome", "reason", "label_class")]
    service.judge.set_state(0.75, 0.5)
    after = service.spec()
    assert [c for c in after["columns"] if c["name"] in ("outcome", "reason", "label_class")] == before
    assert before[0]["levels"] == ["TP", "FP", "ignored"]
    ev = project.evaluate("noisy", iou=0.75, confidence=0.5)
    mine = service.level.frame.select("outcome", "reason", "label_class", "iou")
    assert mine.equals(ev.predictions.df.select("outcome", "reason", "label_class", "iou"))
    service.judge.set_state(0.33, 7)
    assert service.judge.state == (0.75, 0.5), "what was not evaluated, or is no confidence, leaves them"
    assert len(json.dumps(service.spec())) < 20_000


def test_an_image_brings_labels_and_predictions(project):
    service = shown(project, "noisy")
    head = service.row_detail({"row": 3}, []).head
    assert head["run"] == "noisy"
    assert {p["outcome"] for p in head["predictions"]} <= {"TP", "FP", "ignored"}
    assert head["focus"] in [p["id"] for p in head["predictions"]]
    images = Service(project.items)
    assert images.row_detail({"row": 0}, []).head["predictions"] == []
    assert images.row_detail({"row": 0, "run": "noisy"}, []).head["predictions"]
    assert images.row_detail({"row": 0, "run": "<b>"}, []).head["predictions"] == []


def test_classes_of_images_have_one_table(project):
    service = shown(project, "classes")
    model, _, _, verdict, _ = tables(service)
    assert (model["kind"], model["thresholds"], verdict.shape[0]) == ("classification", [], 1)
    counted = verdict[0] & 3
    assert (int((counted == 0).sum()), int((counted == 1).sum())) == (8, 2)
    assert service.thumbs_get({}, [np.arange(2, dtype="<u4").tobytes()]).head.get("shapes") is None
    assert service.judge.missed(service.snapshot(), None).level == "item"


def test_a_run_without_labels_is_shown_without_verdicts(tmp_path: Path):
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    p = ea.Project.from_folder([tmp_path / "a.png"], tmp_path / "p.eaw")
    p.add_predictions("m", [ea.Prediction("a.png", "<img src=x>", 0.5, box=(1, 1, 9, 9))])
    service = shown(p, "m")
    assert service.spec()["model"] is None
    assert service.spec()["n"] == 1
    with pytest.raises(EawError):
        Service(p.items).model_get({}, [])


def test_explorer_moves_between_sliders_and_missed_labels(project):
    w = project.explore()
    with pytest.raises(EawError):
        w.model = {"iou": 0.5, "confidence": 0.5}
    w.level = "prediction:noisy"
    assert w.color == "outcome"
    w.filter = pl.col("outcome") == "FP"
    w.model = {"iou": 0.75, "confidence": 0.3}
    ev = project.evaluate("noisy", iou=0.75, confidence=0.3)
    assert len(w.filtered) == ev.counts["FP"]
    scope = {"p": project}
    exec(w.code, scope)
    assert scope["view"].ids.equals(w.filtered.ids)
    w._model_missed({"class": "a", "iou": 0.75, "confidence": 0.3}, None)
    assert w.level == "object"
    assert w.filtered.ids.equals(ev.false_negatives.filter(pl.col("class_name") == "a").ids)
    with pytest.raises(EawError, match="level"):
        w.level = "prediction:none"
    w.close()


def test_predicted_keypoints_have_their_bones_where_no_label_has_any(tmp_path):
    names = ["labelled.png", "bare.png"]
    for name in names:
        Image.new("RGB", (100, 80)).save(tmp_path / name)
    points = {"keypoints": [10, 10, 2, 40, 30, 2, 60, 60, 2], "category_id": 1}
    truth = {
        "images": [{"id": i, "file_name": n, "width": 100, "height": 80} for i, n in enumerate(names)],
        "annotations": [{"id": 1, "image_id": 0, "bbox": [5, 5, 60, 60], "area": 3600, "num_keypoints": 3, **points}],
        "categories": [{"id": 1, "name": "arm", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2], [2, 3]]}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    p = ea.Project.from_coco(tmp_path / "truth.json", images=tmp_path, path=tmp_path / "p.eaw")
    (tmp_path / "found.json").write_text(json.dumps([{"image_id": 1, "score": 0.9, **points}]))
    p.add_predictions("m", tmp_path / "found.json")
    images = Service(p.items)
    head = images.row_detail({"row": 1, "run": "m"}, []).head
    assert head["objects"] == []
    assert [o["kind"] for o in head["predictions"]] == ["keypoints"]
    assert head["skeletons"] == {"arm": {"names": ["a", "b", "c"], "edges": [[0, 1], [1, 2]]}}
    assert images.row_detail({"row": 1}, []).head["skeletons"] == {}
