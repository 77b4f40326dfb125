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


@st.composite
def people(draw, most_predictions=3):
    """People with keypoints: crowds, some without any, equal scores, one or two classes, any number of keypoints."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    k = draw(st.sampled_from([17, 17, 5]))
    order = draw(st.permutations(range(draw(st.integers(1, 5)))))
    images = [{"id": 3 * i + 1, "width": 300, "height": 300, "file_name": f"{i}.jpg"} for i in order]
    categories = [{"id": 5 * i + 2, "name": f"c{i}"} for i in range(2)]
    annotations, results = [], []
    for i in range(draw(st.integers(1, 25))):
        side, corner = np.exp(rng.uniform(2, 5, 2)), rng.uniform(0, 150, 2)
        points = corner + rng.uniform(0, 1, (k, 2)) * side
        marked = rng.integers(0, 3, k) * (rng.random() > 0.2)
        image, category = images[rng.integers(len(images))]["id"], categories[rng.integers(2)]["id"]
        annotations.append(
            {
                "id": i + 1,
                "image_id": image,
                "category_id": category,
                "bbox": [*corner.tolist(), *side.tolist()],
                "area": float(side.prod() * rng.uniform(0.3, 1)),
                "iscrowd": int(rng.random() < 0.1),
                "keypoints": np.column_stack([points, marked]).ravel().tolist(),
                "num_keypoints": int((marked > 0).sum()),
            }
        )
        for _ in range(rng.integers(0, most_predictions + 1)):
            moved = points + rng.normal(0, rng.choice([0, 1, 3, 9]), points.shape)
            results.append(
                {
                    "image_id": image,
                    "category_id": category if rng.random() < 0.8 else categories[rng.integers(2)]["id"],
                    "keypoints": np.column_stack([moved, np.ones(k)]).ravel().tolist(),
                    "score": float(rng.integers(1, 6) / 5),
                }
            )
    return {"images": images, "categories": categories, "annotations": annotations}, results


def reference(truth, results, *, kind="bbox", class_aware=True, sigmas=None):
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
        if kind == "keypoints" and sigmas is not None:
            run.params.kpt_oks_sigmas = np.array(sigmas)
        run.evaluate()
        run.accumulate()
    return run


def our_people(truth, results, **options):
    """Evaluate keypoints by our columns, images in the order of their ids."""
    item = {image["id"]: i for i, image in enumerate(sorted(truth["images"], key=lambda image: image["id"]))}
    name = {c["id"]: c["name"] for c in truth["categories"]}

    def frame(rows, boxes, more):
        triples = [np.reshape(r["keypoints"], (-1, 3)) for r in rows]
        return pl.DataFrame(
            {
                "item": pl.Series([item[r["image_id"]] for r in rows], dtype=pl.Int64),
                "class_name": pl.Series([name[r["category_id"]] for r in rows], dtype=pl.String),
                "kind": pl.Series(["keypoints"] * len(rows), dtype=pl.String),
                "points": pl.Series([t[:, :2].ravel().tolist() for t in triples], dtype=pl.List(pl.Float64)),
                "visibility": pl.Series([t[:, 2].astype(int).tolist() for t in triples], dtype=pl.List(pl.UInt8)),
                **{c: pl.Series([float(b[i]) for b in boxes], dtype=pl.Float64) for i, c in enumerate("xywh")},
                **more,
            }
        )

    kept = ("area", "iscrowd", "num_keypoints")
    extra = pl.Series([json.dumps({k: a[k] for k in kept}) for a in truth["annotations"]], dtype=pl.String)
    labels = frame(truth["annotations"], [a["bbox"] for a in truth["annotations"]], {"extra": extra})
    confidence = pl.Series([r["score"] for r in results], dtype=pl.Float64)
    predictions = frame(results, [[0, 0, 1, 1]] * len(results), {"confidence": confidence})
    sizes = np.full((len(item), 2), 300)
    classes = [c["name"] for c in truth["categories"]]
    options = {"max_detections": 20, **options}
    return detect(predictions, labels, sizes, classes, COCO_THRESHOLDS, shape="keypoints", **options)


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


def project(truth, results, home):
    """Make a project of a problem without images, and add the results as the run "m"."""
    import encord_active_widgets as ea

    home.mkdir(parents=True, exist_ok=True)
    (home / "truth.json").write_text(json.dumps(truth))
    p = ea.Project.from_coco(home / "truth.json", home, home / "p.eaw", read=False)
    if results:
        (home / "results.json").write_text(json.dumps(results))
        p.add_predictions("m", home / "results.json")
    return p


def small(boxes, *, classes=("a", "b"), images=2):
    """A problem of a few boxes: (image, class, x, y, w, h)."""
    return {
        "images": [{"id": i, "width": 200, "height": 200, "file_name": f"{i}.jpg"} for i in range(images)],
        "categories": [{"id": i, "name": n} for i, n in enumerate(classes)],
        "annotations": [
            {"id": i + 1, "image_id": b[0], "category_id": classes.index(b[1]), "bbox": list(b[2:])}
            for i, b in enumerate(boxes)
        ],
    }


def answers(*rows, classes=("a", "b")):
    """Results: (image, class, confidence, x, y, w, h)."""
    return [{"image_id": r[0], "category_id": classes.index(r[1]), "score": r[2], "bbox": list(r[3:])} for r in rows]
