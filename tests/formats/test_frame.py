"""Frames and records of labels: what is given is kept, what is odd is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError
from encord_active_widgets.formats.frame import label_columns, read_frame
from encord_active_widgets.formats.shape_judging import misfit_masks
from encord_active_widgets.formats.source import Source

BOX = ("x", "y", "w", "h")
TRIANGLE = [10.0, 10.0, 20.0, 10.0, 10.0, 20.0]


@pytest.fixture
def picture(tmp_path: Path) -> str:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def judge(*rows: dict[str, Any]) -> tuple[pl.DataFrame, list[str]]:
    """What becomes of rows of a frame: the labels, and why the others are none."""
    names = dict.fromkeys(k for row in rows for k in row)
    columns = {
        k: pl.Series(k, [r.get(k) for r in rows], dtype=pl.Object if k == "mask" else None, strict=False) for k in names
    }
    frame = pl.DataFrame({"uri": ["a.png"] * len(rows), **columns})
    labels, faults = label_columns(frame)
    return labels, [f.why for f in faults]


def from_records(picture: str, home: Path, *labels: Any) -> ea.Project:
    return ea.Project.from_folder([picture], home, labels=lambda _: list(labels))


def test_a_box_that_is_given_beside_points_is_kept_bit_for_bit(picture: str, tmp_path: Path) -> None:
    mask = np.zeros((30, 40), bool)
    mask[2:5, 3:9] = True
    given = {"x": 0.1, "y": 1 / 3, "w": 30.3, "h": 20.7}
    pose = {"points": TRIANGLE, "visibility": [2, 1, 0]}
    p = from_records(
        picture, tmp_path / "p.eaw",
        {"class_name": "p", "points": TRIANGLE, **given}, {"class_name": "p", "points": TRIANGLE},
        {"class_name": "k", **pose, **given}, {"class_name": "m", "mask": mask, **given}, {"class_name": "b", **given},
    )  # fmt: skip
    boxes = p.objects.df.select(BOX).rows()
    assert boxes == [tuple(given.values()), (10, 10, 10, 10), *[tuple(given.values())] * 3]
    p.objects.to_parquet(tmp_path / "labels.parquet")
    again = pl.read_parquet(tmp_path / "labels.parquet").with_columns(path=pl.lit(picture))
    q = ea.Project.from_frame(again, tmp_path / "q.eaw", strict=True)
    assert q.objects.df.select(*BOX, "kind", "points").equals(p.objects.df.select(*BOX, "kind", "points"))


def test_points_nobody_labelled_do_not_stretch_the_box() -> None:
    pose = {"points": [10.0, 10.0, 20.0, 25.0, 0.0, 0.0], "visibility": [2, 1, 0]}
    unseen = {"points": [0.0, 0.0, 0.0, 0.0], "visibility": [0, 0]}
    boxed = {**unseen, "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0}
    ring = {"points": TRIANGLE, "kind": "polygon"}
    labels, faults = judge(pose, unseen, boxed, ring)
    assert labels.select(BOX).rows() == [(10, 10, 10, 15), (1, 2, 3, 4), (10, 10, 10, 10)]
    assert faults == ["none of its points is labelled and it has no box"]


def test_empty_masks_and_masks_of_another_size_are_listed(picture: str, tmp_path: Path) -> None:
    mask = np.ones((30, 40), bool)
    p = from_records(picture, tmp_path / "p.eaw", {"class_name": "m", "mask": mask}, {"class_name": "m", "mask": ~mask})
    assert len(p.objects) == 1
    assert p.problems["why"].to_list() == ["its mask is empty"]
    labels, _ = judge({"mask": mask}, {"mask": mask.T}, {"x": 1.0, "y": 1.0, "w": 2.0, "h": 2.0})
    sizes = pl.DataFrame({"uri": ["a.png"], "width": [40], "height": [30]})
    kept, faults = misfit_masks(labels, sizes)
    assert kept["kind"].to_list() == ["mask", "box"]
    assert [f.why for f in faults] == ["its mask has 30 × 40 px, the image 40 × 30"]
    for unknown in (sizes.clear(), sizes.with_columns(pl.lit(None, pl.Int64).alias(c) for c in ("width", "height"))):
        assert misfit_masks(labels, unknown)[0].height == 3


@pytest.mark.parametrize("name", ["bbox", "Box", "bounding_box"])
@pytest.mark.parametrize("value", [[1, 2, 3, 4], "[1, 2, 3, 4]", {"x": 1, "y": 2}])
def test_a_column_of_whole_boxes_is_refused_not_kept_as_metadata(name: str, value: Any) -> None:
    frame = pl.DataFrame({"path": ["a.png"], "class_name": ["c"], name: [value]})
    with pytest.raises(InputError, match=f'"{name}" looks like boxes.*w = x1 - x0'):
        read_frame(frame)
    box = {c: [1.0] for c in BOX}
    assert read_frame(frame.with_columns(**{c: pl.lit(1.0) for c in box})).labels is not None
    assert read_frame(pl.DataFrame({"path": ["a.png"], name: ["a, b"]})).labels is None


@pytest.mark.parametrize("name", ["holes", "rings", "visibility"])
def test_true_and_false_are_no_places_of_holes(name: str, picture: str, tmp_path: Path) -> None:
    row = {"class_name": "p", "points": TRIANGLE}
    for value in ([True, False, True], "[true, false, true]"):
        assert judge({**row, name: value})[1][0].lower() == f'"{name}" holds true and false'
    for value in ([0, True], np.array([True])):
        p = from_records(picture, tmp_path / f"{len(value)}.eaw", {**row, name: value}, {**row, "rings": [3]})
        assert p.problems["why"].to_list() == [f'"{name}" holds True and False']
        assert len(p.objects) == 1


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"holes": [0]}, "all of its parts are holes"),
        ({"rings": [3], "holes": [0]}, "all of its parts are holes"),
        ({"holes": [1]}, "its holes do not fit its points"),
        ({"holes": [-1]}, '"holes" is not List(UInt32)'),
        ({"holes": [0.5]}, '"holes" is not List(UInt32)'),
        ({"rings": [2]}, "its rings do not fit its points"),
        ({"visibility": [2, 2]}, "its visibility does not fit its points"),
        ({"visibility": [2, 2, 3]}, "its visibility is not 0, 1 or 2"),
        ({"visibility": [2, 2, 300]}, '"visibility" is not List(UInt8)'),
        ({"w": -1.0, "x": 1.0, "y": 1.0, "h": 2.0}, "its box has no area (width -1, height 2)"),
    ],
)
def test_parts_that_do_not_fit_are_named(more: dict[str, Any], why: str) -> None:
    labels, faults = judge({"points": TRIANGLE, **more}, {"points": TRIANGLE})
    assert faults == [why]
    assert labels.height == 1


def test_an_angle_is_asked_for_in_degrees() -> None:
    frame = pl.DataFrame({"uri": ["a"], "x": 1.0, "y": 1.0, "w": 2.0, "h": 2.0, "angle": ["steep"], "seconds": [1.0]})
    assert [f.remedy for f in label_columns(frame)[1]] == ["give it in degrees"]


def test_labels_that_are_no_function_are_refused(picture: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels='labels\.json' cannot be called"):
        ea.Project.from_folder([picture], tmp_path / "p.eaw", labels="labels.json")  # type: ignore[arg-type]
    assert not (tmp_path / "p.eaw").exists()


def test_masks_drawn_and_masks_as_counts_stand_side_by_side() -> None:
    counts = {"rle": b"5223", "mask_h": 7, "mask_w": 2}
    labels, faults = judge({"mask": np.ones((4, 3), bool)}, counts)
    assert faults == []
    assert labels["mask_h"].to_list() == [4, 7]
    assert labels["rle"].to_list()[1] == b"5223"


def test_a_source_without_labels_has_no_misfits() -> None:
    source = Source(pl.DataFrame({"uri": ["a"]}), "s", {}, labels=pl.DataFrame({"uri": ["a"], "kind": ["box"]}))
    assert source.labels is not None
    assert misfit_masks(source.labels, pl.DataFrame({"uri": ["a"], "width": [1], "height": [1]}))[1] == []
