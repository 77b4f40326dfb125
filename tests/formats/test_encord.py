"""Encord: the calls an upload makes, recorded, and held against the SDK itself where it is installed."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError
from encord_active_widgets.formats.encord import title_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own use of pydantic
    encord = pytest.importorskip("encord", reason="the Encord SDK is not installed: pip install encord")
    from encord import Dataset, EncordUserClient, Project
    from encord.objects import LabelRowV2, OntologyStructure, Shape
    from encord.objects.attributes import RadioAttribute
    from encord.ontology import Ontology
    from encord.orm.dataset import StorageLocation
    from encord.orm.storage import CustomerProvidedImageMetadata

DATASET, PROJECT = "0b7c0f5e-0000-4000-8000-000000000001", "0b7c0f5e-0000-4000-8000-000000000002"
CONTRACT = {
    (EncordUserClient, "create_with_ssh_private_key"): {"ssh_private_key_path"},
    (EncordUserClient, "create_dataset"): {"dataset_title", "dataset_type"},
    (EncordUserClient, "get_dataset"): {"dataset_hash"},
    (EncordUserClient, "get_project"): {"project_hash"},
    (Dataset, "list_data_rows"): set(),
    (Dataset, "upload_image"): {"file_path", "title"},
    (Project, "list_datasets"): set(),
    (Project, "add_datasets"): {"dataset_hashes"},
    (Project, "list_label_rows_v2"): {"data_hashes"},
    (Project, "create_bundle"): set(),
    (LabelRowV2, "initialise_labels"): {"bundle"},
    (LabelRowV2, "get_object_instances"): set(),
    (LabelRowV2, "get_classification_instances"): set(),
    (LabelRowV2, "add_object_instance"): {"object_instance"},
    (LabelRowV2, "add_classification_instance"): {"classification_instance"},
    (LabelRowV2, "save"): {"bundle"},
}
"""Every call an upload makes, with the parameters it passes."""


class Cloud:
    """Encord as far as an upload sees it: its objects refuse calls that the SDK's would, and record the others."""

    def __init__(self, structure: OntologyStructure, size: tuple[int, int] = (64, 48)) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.titles: dict[str, str] = {}
        self.structure = structure
        self.size = size
        self.rows: dict[str, LabelRowV2] = {}
        self.saved: list[str] = []
        self.attached: list[str] = []
        self.client = create_autospec(EncordUserClient, instance=True)
        self.dataset = create_autospec(Dataset, instance=True)
        self.project = create_autospec(Project, instance=True)
        self.client.create_dataset.side_effect = self._create
        self.client.get_dataset.side_effect = lambda dataset_hash: self._log("get_dataset", dataset_hash, self.dataset)
        self.client.get_project.side_effect = lambda project_hash: self._log("get_project", project_hash, self.project)
        self.dataset.list_data_rows.side_effect = lambda: [_Row(t, u) for t, u in self.titles.items()]
        self.dataset.upload_image.side_effect = self._upload
        self.project.ontology_structure = structure
        self.project.list_datasets.side_effect = lambda: [_Attached(d) for d in self.attached]
        self.project.add_datasets.side_effect = self.attached.extend
        self.project.list_label_rows_v2.side_effect = lambda data_hashes: [self._label_row(h) for h in data_hashes]
        self.project.create_bundle.return_value.__enter__.return_value = "bundle"

    def _log(self, name: str, value: Any, result: Any) -> Any:
        self.calls.append((name, value))
        return result

    def _create(self, dataset_title: str, dataset_type: StorageLocation) -> Any:
        assert dataset_type is StorageLocation.CORD_STORAGE
        return self._log("create_dataset", dataset_title, _Attached(DATASET))

    def _upload(self, file_path: str, title: str) -> dict[str, str]:
        assert Path(file_path).read_bytes()[:4] == b"\x89PNG"
        self.titles[title] = f"hash-of-{title}"
        return self._log("upload_image", title, {"data_hash": self.titles[title]})

    def _label_row(self, data_hash: str) -> Any:
        """Return the SDK's own label row, without its calls to the server."""
        if data_hash not in self.rows:
            ontology = create_autospec(Ontology, instance=True)
            ontology.structure = self.structure
            about = CustomerProvidedImageMetadata(
                mime_type="image/png", file_size=9, width=self.size[0], height=self.size[1]
            )
            self.rows[data_hash] = LabelRowV2.from_media_metadata(ontology, about)
        own = self.rows[data_hash]
        row = create_autospec(LabelRowV2, instance=True)
        row.data_hash = data_hash
        row.save.side_effect = lambda bundle: self.saved.append(data_hash)
        for name in ("get_object_instances", "get_classification_instances", "add_object_instance",
                     "add_classification_instance"):  # fmt: skip
            getattr(row, name).side_effect = getattr(own, name)
        return row

    def written(self, name: str) -> list[dict[str, Any]]:
        """Return what the SDK would send of one image's objects."""
        row = next(r for h, r in self.rows.items() if h.startswith(f"hash-of-{name}."))
        return next(iter(row.to_encord_dict()["data_units"].values()))["labels"]["objects"]


class _Row:
    def __init__(self, title: str, uid: str) -> None:
        self.title, self.uid = title, uid


class _Attached:
    def __init__(self, dataset_hash: str) -> None:
        self.dataset_hash = dataset_hash


def ontology() -> OntologyStructure:
    structure = OntologyStructure()
    for name, kind in (
        ("box", Shape.BOUNDING_BOX), ("turned", Shape.ROTATABLE_BOUNDING_BOX), ("area", Shape.POLYGON),
        ("ring", Shape.POLYGON), ("line", Shape.POLYLINE), ("dot", Shape.POINT), ("mask", Shape.BITMASK),
    ):  # fmt: skip
        structure.add_object(name, kind)
    weather = structure.add_classification().add_attribute(RadioAttribute, "weather")
    weather.add_option("sunny")
    weather.add_option("rainy")
    return structure


@pytest.fixture
def project(tmp_path: Path) -> ea.Project:
    images = tmp_path / "images"
    images.mkdir()
    for n in "ab":
        Image.new("RGB", (64, 48)).save(images / f"{n}.png")
    mask = np.zeros((48, 64), np.uint8)
    mask[5:20, 7:31] = 1
    labels = {
        "a.png": [
            {"class_name": "box", "x": 16, "y": 12, "w": 32, "h": 24},
            {"class_name": "turned", "x": 16, "y": 12, "w": 32, "h": 24, "angle": 30},
            {"class_name": "area", "points": [0, 0, 32, 0, 32, 24]},
            {"class_name": "ring", "points": [0, 0, 32, 0, 32, 24, 20, 4, 24, 4, 24, 8], "rings": [3, 3], "holes": [1]},
            {"class_name": "line", "kind": "polyline", "points": [0, 0, 32, 24]},
            {"class_name": "dot", "kind": "point", "points": [32, 24]},
            {"class_name": "mask", "mask": mask},
            {"class_name": "sunny"},
            {"class_name": "snowy"},
            {"class_name": "rainy"},
            {"class_name": "unknown", "x": 1, "y": 1, "w": 3, "h": 3},
        ],
        "b.png": [],
    }
    return ea.Project.from_folder(
        images, tmp_path / "p.eaw", classes=False, labels=lambda path: labels[Path(path).name]
    )


@pytest.mark.parametrize(
    ("where", "names"), list(CONTRACT.items()), ids=[f"{c.__name__}.{call}" for c, call in CONTRACT]
)
def test_the_sdk_has_every_call_that_an_upload_makes(where: tuple[type, str], names: set[str]) -> None:
    parameters = inspect.signature(getattr(*where)).parameters
    assert names <= set(parameters)
    others = [p for n, p in parameters.items() if n not in names and n != "self"]
    assert all(p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in others)


def test_a_selection_becomes_a_dataset_and_goes_up_once(project: ea.Project) -> None:
    cloud = Cloud(ontology())
    sent = project.items.to_encord(title="to label", client=cloud.client)
    names = [title_of(f"{n}.png", i) for n, i in zip("ab", project.df["item_id"], strict=True)]
    assert cloud.calls == [
        ("create_dataset", "to label"), ("get_dataset", DATASET), ("upload_image", names[0]), ("upload_image", names[1])
    ]  # fmt: skip
    assert (sent.dataset_hash, sent.uploaded, sent.there_already, sent.labels) == (DATASET, 2, 0, 0)
    assert sent.notes == ["11 labels are not written: give project_hash=…"]
    cloud.calls.clear()
    again = project.items.to_encord(dataset_hash=DATASET, client=cloud.client)
    assert (again.uploaded, again.there_already) == (0, 2)
    assert cloud.calls == [("get_dataset", DATASET)]


def test_labels_land_where_they_are_as_the_sdk_would_send_them(project: ea.Project) -> None:
    cloud = Cloud(ontology())
    sent = project.items.to_encord(dataset_hash=DATASET, project_hash=PROJECT, client=cloud.client)
    assert cloud.attached == [DATASET]
    assert sent.labels == 8
    assert len(cloud.saved) == 1
    found = {o["name"]: o for o in cloud.written("a")}
    assert set(found) == {"box", "turned", "area", "ring", "line", "dot", "mask"}
    assert found["box"]["boundingBox"] == {"x": 0.25, "y": 0.25, "w": 0.5, "h": 0.5}
    assert found["turned"]["rotatableBoundingBox"] == {"x": 0.25, "y": 0.25, "w": 0.5, "h": 0.5, "theta": 30.0}
    assert [len(contour) for contour in found["ring"]["polygons"][0]] == [6, 6]
    assert found["line"]["polyline"]["1"] == {"x": 0.5, "y": 0.5}
    assert found["dot"]["point"]["0"] == {"x": 0.5, "y": 0.5}
    assert (found["mask"]["bitmask"]["width"], found["mask"]["bitmask"]["height"]) == (64, 48)
    from encord.objects.bitmask import BitmaskCoordinates

    mask = BitmaskCoordinates.from_dict(found["mask"]).to_numpy_array()
    assert int(mask.sum()) == 15 * 24
    assert bool(mask[5:20, 7:31].all())
    assert sorted(n.partition(" ")[2].partition(":")[0] for n in sent.notes) == [
        'classes "snowy"', "further answers to one classification", 'labels "unknown"'
    ]  # fmt: skip


def test_labels_that_are_there_already_are_left_as_they_are(project: ea.Project) -> None:
    cloud = Cloud(ontology())
    project.items.to_encord(dataset_hash=DATASET, project_hash=PROJECT, client=cloud.client)
    again = project.items.to_encord(dataset_hash=DATASET, project_hash=PROJECT, client=cloud.client)
    assert again.labels == 0
    assert "left as they are" in again.notes[0]
    assert cloud.attached == [DATASET]
    assert len(cloud.written("a")) == 7


def test_predictions_go_up_with_their_confidence_and_as_not_drawn_by_hand(project: ea.Project) -> None:
    items = project.df["item_id"]
    frame = pl.DataFrame(
        {
            "item_id": [items[1]],
            "class_name": ["box"],
            "confidence": [0.5],
            "x": [0.0],
            "y": [0.0],
            "w": [8.0],
            "h": [6.0],
        }
    )
    project.add_predictions("m", frame)
    cloud = Cloud(ontology())
    project.items.to_encord(dataset_hash=DATASET, project_hash=PROJECT, predictions="m", client=cloud.client)
    [box] = cloud.written("b")
    assert (box["confidence"], box["manualAnnotation"]) == (0.5, False)


def test_misuse_is_named_before_anything_leaves(project: ea.Project, tmp_path: Path) -> None:
    cloud = Cloud(ontology())
    with pytest.raises(InputError, match="one dataset"):
        project.items.to_encord(client=cloud.client)
    with pytest.raises(InputError, match="one dataset"):
        project.items.to_encord(dataset_hash=DATASET, title="x", client=cloud.client)
    with pytest.raises(InputError, match="no file"):
        project.items.to_encord(title="x", ssh_key=tmp_path / "nowhere")
    with pytest.raises(InputError, match="nothing to hand over"):
        project.items.head(0).to_encord(title="x", client=cloud.client)
    assert cloud.calls == []


def test_the_sdk_is_not_imported_before_the_call() -> None:
    code = "import sys, encord_active_widgets, encord_active_widgets.formats.encord; sys.exit('encord' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
