"""Fuzz the readers of labels by coverage: nothing but named errors may come out, nothing half-written may stay.

python tests/fuzz_readers.py coco|voc|yolo|yaml|frame|label_studio|cvat [-max_total_time=600]

Run by hand (`make fuzz`); the same readers are fuzzed in shorter form by hypothesis in every test run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["encord_active_widgets.formats"]):
    from encord_active_widgets.errors import EawError
    from encord_active_widgets.formats import coco, cvat, frame, label_studio, voc, yolo

import numpy as np
import polars as pl
from PIL import Image

HOME = Path(tempfile.mkdtemp(prefix="eaw-fuzz-"))
_COCO = (
    b'{"images":[{"id":1,"file_name":"a.png","width":4,"height":4}],"categories":[{"id":1,"name":"c"}],'
    b'"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,2,2],"segmentation":[[0,0,1,0,1,1]],'
    b'"keypoints":[1,1,2],"iscrowd":0},{"id":2,"image_id":1,"category_id":1,"segmentation":{"size":[4,4],"counts":"02"}}]}'
)
_VOC = (
    b"<annotation><filename>a.png</filename><object><name>c</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax>"
    b"<ymax>2</ymax></bndbox></object></annotation>"
)
_YOLO = b"0 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.9 0.1 0.5 0.9\n"
_YAML = b"path: .\ntrain: images\nnames: {0: c}\nkpt_shape: [1, 3]\n"
_TASKS = (
    b'[{"id":1,"data":{"image":"/data/upload/1/1a2b3c4d-a.png"},"annotations":[{"id":2,"lead_time":1.5,"completed_by":1,'
    b'"result":[{"id":"r","type":"rectanglelabels","original_width":4,"original_height":4,"value":{"x":1,"y":1,'
    b'"width":50,"height":50,"rotation":30,"rectanglelabels":["c"]}},{"original_width":4,"original_height":4,"value":'
    b'{"points":[[0,0],[9,0],[9,9]],"polygonlabels":["c"]}},{"original_width":1,"original_height":2,"value":{"format":'
    b'"rle","rle":[0,0,0,8,57,27,192,240,2,127,128],"brushlabels":["c"]}},{"value":{"choices":["c"]}}]}]}]'
)
_CVAT = (
    b'<annotations><image id="0" name="a.png" width="4" height="4"><box label="c" xtl="1" ytl="1" xbr="2" ybr="3" '
    b'rotation="30"><attribute name="a">b</attribute></box><polygon label="c" points="0,0;1,0;1,1"/><mask label="c" '
    b'rle="0, 1, 3" left="0" top="0" width="2" height="2"/><tag label="c"/><skeleton label="c"><points points="1,1"/>'
    b'</skeleton><ellipse label="c" cx="1" cy="1" rx="1" ry="1"/></image></annotations>'
)
SEEDS = {
    "coco": [_COCO],
    "voc": [_VOC],
    "yolo": [_YOLO],
    "yaml": [_YAML],
    "frame": [_COCO],
    "label_studio": [_TASKS],
    "cvat": [_CVAT],
}


def prepare() -> None:
    (HOME / "images").mkdir()
    (HOME / "labels").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(HOME / "images" / "a.png")
    (HOME / "data.yaml").write_bytes(_YAML)


def check(labels: pl.DataFrame | None) -> None:
    if labels is None or labels.is_empty():
        return
    assert labels["kind"].null_count() == 0
    boxes = labels.filter(pl.col("kind").is_in(["box", "rotated_box"]))
    assert bool((boxes["w"] > 0).all())
    assert bool(labels["x"].is_finite().fill_null(value=True).all())


def one(kind: str, data: bytes) -> None:
    try:
        if kind == "coco":
            (HOME / "c.json").write_bytes(data)
            check(coco.read_coco(HOME / "c.json", images=HOME / "images").labels)
        elif kind == "voc":
            (HOME / "v.xml").write_bytes(data)
            check(voc.read_voc(HOME / "v.xml", images=HOME / "images").labels)
        elif kind == "label_studio":
            (HOME / "t.json").write_bytes(data)
            check(label_studio.read_label_studio(HOME / "t.json").labels)
        elif kind == "cvat":
            (HOME / "cvat.xml").write_bytes(data)
            check(cvat.read_cvat(HOME / "cvat.xml").labels)
        elif kind == "yolo":
            (HOME / "labels" / "a.txt").write_bytes(data)
            for task in (None, "obb", "pose"):
                check(yolo.read_yolo(HOME / "data.yaml", task=task).labels)
        elif kind == "yaml":
            (HOME / "fuzz.yaml").write_bytes(data)
            check(yolo.read_yolo(HOME / "fuzz.yaml").labels)
        else:
            check(frame.label_columns(rows(atheris.FuzzedDataProvider(data)))[0])
    except EawError:
        return


def rows(given: atheris.FuzzedDataProvider) -> pl.DataFrame:
    """Make a frame of label columns with values of any type."""
    columns: dict[str, list[object]] = {"uri": ["a", "b"]}
    for name in ("x", "y", "w", "h", "angle", "kind", "class_name", "points", "rle", "mask_h", "mask_w", "visibility"):
        if not given.ConsumeBool():
            continue
        makers = (
            given.ConsumeFloat,
            lambda: given.ConsumeInt(4),
            lambda: given.ConsumeUnicodeNoSurrogates(6),
            lambda: [given.ConsumeFloat() for _ in range(given.ConsumeIntInRange(0, 8))],
            lambda: given.ConsumeBytes(6),
            lambda: None,
        )
        make = makers[given.ConsumeIntInRange(0, len(makers) - 1)]
        columns[name] = [make(), None if given.ConsumeBool() else make()]
    return pl.DataFrame({k: pl.Series(k, v, strict=False) for k, v in columns.items()})


def main() -> None:
    kind = sys.argv.pop(1)
    prepare()
    corpus = HOME / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(SEEDS[kind]):
        (corpus / str(i)).write_bytes(seed)
    atheris.Setup([sys.argv[0], "-max_len=4096", *sys.argv[1:], str(corpus)], lambda data: one(kind, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
