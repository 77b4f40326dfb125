"""Hugging Face datasets, made here: their images, classes and boxes become a project."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError
from encord_active_widgets.formats.huggingface import read_huggingface

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def png(i: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), i * 40, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def classes() -> Any:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "site": datasets.Value("string"),
        }
    )
    rows = {
        "image": [{"bytes": png(i), "path": None} for i in range(4)],
        "label": [0, 1, 1, -1],
        "site": ["a", "b", "a", "b"],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def test_a_dict_of_splits_becomes_groups_and_classes(tmp_path: Path) -> None:
    whole = classes()
    both = datasets.DatasetDict({"train": whole.select([0, 1, 2]), "test": whole.select([3])})
    p = ea.Project.from_huggingface(both, tmp_path / "p.eaw", strict=True)
    assert p.df.select("class_name", "group", "site").rows() == [
        ("cat", "train", "a"),
        ("dog", "train", "b"),
        ("dog", "train", "a"),
        (None, "test", "b"),
    ]
    p.compute("pixels")
    assert p.df["brightness"].to_numpy() == pytest.approx([0, 40 / 255, 80 / 255, 120 / 255], abs=1e-3)
    assert len(ea.Project.from_huggingface(both, tmp_path / "p.eaw")) == 4
    assert len(list((tmp_path / "p.eaw" / "images").iterdir())) == 4


def test_boxes_and_images_that_are_files_stay_where_they_are(tmp_path: Path) -> None:
    files = []
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(png(i))
        files.append(str(tmp_path / f"{i}.png"))
    inner = {
        "bbox": datasets.List(datasets.List(datasets.Value("float32"))),
        "category": datasets.List(datasets.ClassLabel(names=["x", "y"])),
    }
    features = datasets.Features({"image": datasets.Image(), "objects": inner, "image_id": datasets.Value("int64")})
    objects = [{"bbox": [[1, 2, 3, 4], [5, 5, 0, 1]], "category": [1, 0]}, {"bbox": [], "category": []}]
    data = datasets.Dataset.from_dict({"image": files, "objects": objects, "image_id": [7, 8]}, features=features)
    p = ea.Project.from_huggingface(data, tmp_path / "p.eaw")
    assert p.df["uri"].to_list() == files
    assert p.objects.df.select("class_name", "x", "y", "w", "h").rows() == [("y", 1.0, 2.0, 3.0, 4.0)]
    assert p.problems["why"].to_list() == ["its box has no area (width 0, height 1)"]
    assert p.df["image_id"].to_list() == [7, 8]
    corners = read_huggingface(data, folder=tmp_path / "i", box_format="xyxy")
    assert corners.labels is not None
    assert corners.labels.select("w", "h").rows() == [(2.0, 2.0)]


def test_what_is_no_image_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Hugging Face dataset"):
        read_huggingface([1, 2], folder=tmp_path)
    with pytest.raises(InputError, match="no column of images"):
        read_huggingface(datasets.Dataset.from_dict({"text": ["a"]}), folder=tmp_path)
    with pytest.raises(InputError, match="box format"):
        read_huggingface(classes(), folder=tmp_path, box_format="xyhw")
