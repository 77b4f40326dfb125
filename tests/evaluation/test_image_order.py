"""Scores of a project are those of pycocotools, whatever the order of its images and however many scores tie."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import encord_active_widgets as ea

from .coco_sets import people, problems, project, reference

COLUMNS = {"mAP@[.5:.95]": 0, "mAP@.5": 1, "mAP@.75": 2, "mAP small": 3, "mAP medium": 4, "mAP large": 5,
           "AR@1": 6, "AR@10": 7, "AR@100": 8, "AR small": 9, "AR medium": 10, "AR large": 11}  # fmt: skip
OF_PEOPLE = {"mAP@[.5:.95]": 0, "mAP@.5": 1, "mAP@.75": 2, "mAP medium": 3, "mAP large": 4, "AR@20": 5,
             "AR medium": 8, "AR large": 9}  # fmt: skip
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def same_scores(ev, expected, names):
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        expected.summarize()
    summary = dict(ev.summary.iter_rows())
    ours = [-1 if summary[k] is None else summary[k] for k in names]
    assert ours == pytest.approx([expected.stats[i] for i in names.values()], abs=1e-9)


@SLOW
@given(problems(), st.randoms(use_true_random=False), st.sampled_from([int, str]))
def test_ties_across_shuffled_images_do_not_change_ap(tmp_path_factory, problem, rng, kind):
    truth, results = problem
    if not results or not truth["annotations"]:
        return
    renamed = {image["id"]: kind(rng.randrange(10**6) * 10 + i) for i, image in enumerate(truth["images"])}
    truth = {
        **truth,
        "images": [{**image, "id": renamed[image["id"]]} for image in truth["images"]],
        "annotations": [{**a, "image_id": renamed[a["image_id"]]} for a in truth["annotations"]],
    }
    results = [{**r, "image_id": renamed[r["image_id"]]} for r in results]
    rng.shuffle(truth["images"])
    ev = project(truth, results, tmp_path_factory.mktemp("p")).evaluate("m")
    expected = reference(truth, results)
    same_scores(ev, expected, COLUMNS)
    classes = [c["name"] for c in truth["categories"]]
    at = [classes.index(c) for c in ev.classes]
    np.testing.assert_allclose(ev.found.scores.precision, expected.eval["precision"][:, :, at], atol=1e-9)
    judged = {}
    order = {row["uri"]: i for i, row in enumerate(ev.view.df.iter_rows(named=True))}
    assert len(order) == len(truth["images"])
    for image in expected.evalImgs:
        if image is not None and image["aRng"] == [0, 1e5**2]:
            for d, row in enumerate(image["dtIds"]):
                wrong = "FP" if not image["dtMatches"][0, d] else "TP"
                judged[row - 1] = "ignored" if image["dtIgnore"][0, d] else wrong
    rows = ev.predictions.df
    keys = [(r["uri"].rsplit("/", 1)[-1], r["class_name"], r["confidence"]) for r in rows.iter_rows(named=True)]
    files = {image["id"]: image["file_name"] for image in truth["images"]}
    names = {c["id"]: c["name"] for c in truth["categories"]}
    theirs = [(files[r["image_id"]], names[r["category_id"]], r["score"]) for r in results]
    mine, other = [], []
    for key, outcome in zip(keys, rows["outcome"], strict=True):
        mine.append((*key, outcome))
    for i, key in enumerate(theirs):
        other.append((*key, judged.get(i, "ignored")))
    assert sorted(mine) == sorted(other)


@SLOW
@given(people())
def test_a_keypoint_run_has_cocos_ap_not_that_of_its_boxes(tmp_path_factory, problem):
    truth, results = problem
    if not results or not any(a["num_keypoints"] for a in truth["annotations"]):
        return
    if len(truth["annotations"][0]["keypoints"]) != 51:
        return
    ev = project(truth, results, tmp_path_factory.mktemp("p")).evaluate("m", max_detections=20)
    assert ev.found.shape == "keypoints"
    same_scores(ev, reference(truth, results, kind="keypoints"), OF_PEOPLE)
    assert "at OKS 0.5" in repr(ev)
    assert "compared as keypoints" in repr(ev)


@pytest.mark.parametrize("order", ["reversed", "shuffled", "as listed"])
def test_cells_with_ties_in_another_image_order_equal_pycocotools(shared_data, tmp_path, order):
    data = json.loads((shared_data / "bccd" / "annotations.json").read_text())
    data["annotations"] = [a for a in data["annotations"] if min(a["bbox"][2:]) > 0]
    rng = np.random.default_rng(4)
    results = []
    for a in data["annotations"]:
        for _ in range(rng.integers(0, 3)):
            x, y, w, h = a["bbox"]
            box = [x + rng.normal(0, 0.1) * w, y + rng.normal(0, 0.1) * h, w * np.exp(rng.normal(0, 0.1)), h]
            score = round(float(rng.uniform()), 2)
            found = {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": box, "score": score}
            results.append(found)
    if order == "reversed":
        data["images"].reverse()
    elif order == "shuffled":
        rng.shuffle(data["images"])
    p = project(data, results, tmp_path)
    same_scores(p.evaluate("m"), reference(data, results), COLUMNS)
    backwards = p.items.at(np.arange(len(p.items))[::-1])
    assert backwards.evaluate("m").map == p.evaluate("m").map, "the order of a view changes nothing"


def test_images_without_coco_ids_are_scored_in_the_order_of_the_items(tmp_path):
    import polars as pl

    names = [f"{i}.jpg" for i in (2, 0, 1)]
    box = {"x": 1.0, "y": 1.0, "w": 20.0, "h": 20.0}
    labels = pl.DataFrame({"path": names, "class_name": "a", **{k: [v] * 3 for k, v in box.items()}})
    for name in names:
        from PIL import Image

        Image.new("RGB", (50, 50)).save(tmp_path / name)
    p = ea.Project.from_frame(
        labels.with_columns(path=pl.lit(f"{tmp_path}/") + pl.col("path")), path=tmp_path / "p.eaw"
    )
    p.add_predictions("m", labels.with_columns(confidence=0.5, x=pl.Series([30.0, 1.0, 1.0])))
    first, *_ = (p.items.at([i]) for i in range(3))
    assert first.evaluate("m").map == 0.0
    assert p.evaluate("m", iou=0.5).map == pytest.approx(67 / 101 * 2 / 3), "the wrong one comes first"
