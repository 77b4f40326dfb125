"""Random detection problems as COCO dicts, and what pycocotools says of them."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import polars as pl
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from encord_active_widgets.evaluation.average_precision import COCO_THRESHOLDS
from encord_active_widgets.evaluation.detection import detect


@st.composite
def problems(draw):
    """Crowds, stated areas, empty images, equal scores, more than 100 detections, classes without labels."""
    seed = draw(st.integers(0, 2**31))
    n_images = draw(st.integers(1, 5))
    n_classes = draw(st.integers(1, 4))
    n_labels = draw(st.integers(0, 40))
    n_predictions = draw(st.sampled_from([0, 1, 7, 60, 400]))
    crowds = draw(st.sampled_from([0.0, 0.2]))
    grid = draw(st.booleans())  # whole numbers: IoU falls exactly on thresholds
    levels = draw(st.sampled_from([2, 10, 10**6]))
    rng = np.random.default_rng(seed)

    def boxes(n):
        xy, wh = rng.uniform(0, 90, (n, 2)), np.exp(rng.uniform(0.5, 5, (n, 2)))
        out = np.column_stack([xy, wh])
        return np.maximum(np.round(out / 4) * 4, [0, 0, 4, 4]) if grid else out

    images = [{"id": 3 * i + 1, "width": 300, "height": 300, "file_name": f"{i}.jpg"} for i in range(n_images)]
    categories = [{"id": 5 * k + 2, "name": f"c{k}"} for k in range(n_classes)]
    truth = boxes(n_labels)
    annotations = [
        {
            "id": i + 1,
            "image_id": images[rng.integers(n_images)]["id"],
            "category_id": categories[rng.integers(max(n_classes - 1, 1))]["id"],
            "bbox": truth[i].tolist(),
            "area": float(truth[i, 2] * truth[i, 3] * rng.uniform(0.3, 1)),
            "iscrowd": int(rng.random() < crowds),
        }
        for i in range(n_labels)
    ]
    results = []
    for random_box in boxes(n_predictions):
        box = random_box
        if annotations and rng.random() < 0.7:
            near = annotations[rng.integers(n_labels)]
            moved = np.array(near["bbox"]) + rng.normal(0, 2, 4) * (0 if rng.random() < 0.3 else 1)
            moved = np.round(moved) if grid else moved
            image, category = near["image_id"], near["category_id"]
            box = np.maximum(moved, [0, 0, 1, 1])
            if rng.random() < 0.2:
                category = categories[rng.integers(n_classes)]["id"]
        else:
            image, category = images[rng.integers(n_images)]["id"], categories[rng.integers(n_classes)]["id"]
        score = float(rng.integers(1, levels + 1) / levels)
        results.append({"image_id": image, "category_id": category, "bbox": box.tolist(), "score": score})
    return {"images": images, "categories": categories, "annotations": annotations}, results


def reference(truth, results, *, kind="bbox", class_aware=True):
    """Evaluate by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = json.loads(json.dumps(truth))
        gt.createIndex()
        if results:
            dt = gt.loadRes(json.loads(json.dumps(results)))
        else:
            dt = COCO()
            dt.dataset = {**gt.dataset, "annotations": []}
            dt.createIndex()
        run = COCOeval(gt, dt, kind)
        run.params.useCats = int(class_aware)
        run.evaluate()
        run.accumulate()
    return run


def ours(truth, results, *, class_aware=True, shape="box"):
    """Evaluate the same by our columns."""
    item = {image["id"]: i for i, image in enumerate(truth["images"])}
    name = {c["id"]: c["name"] for c in truth["categories"]}
    classes = [c["name"] for c in truth["categories"]]

    def frame(rows, more):
        columns = {
            "item": [item[r["image_id"]] for r in rows],
            "class_name": [name[r["category_id"]] for r in rows],
            "kind": ["box"] * len(rows),
            **{c: [float(r["bbox"][i]) for r in rows] for i, c in enumerate("xywh")},
            **more,
        }
        types = {"item": pl.Int64, "class_name": pl.String, "kind": pl.String, **dict.fromkeys("xywh", pl.Float64)}
        return pl.DataFrame(columns, schema_overrides=types)

    extra = [json.dumps({"area": a["area"], "iscrowd": a["iscrowd"]}) for a in truth["annotations"]]
    labels = frame(truth["annotations"], {"extra": pl.Series(extra, dtype=pl.String)})
    predictions = frame(results, {"confidence": pl.Series([r["score"] for r in results], dtype=pl.Float64)})
    sizes = np.array([[i["width"], i["height"]] for i in truth["images"]])
    return detect(predictions, labels, sizes, classes, COCO_THRESHOLDS, shape=shape, class_aware=class_aware)
