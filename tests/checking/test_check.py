"""A check keeps faulty data out of training: clean sets pass, each planted fault is named."""

from __future__ import annotations

import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageFilter

import encord_active_widgets as ea
from encord_active_widgets.checking import MEASURES, default_limits, read_limits, write_limits
from encord_active_widgets.checking.measures import THRESHOLDS
from encord_active_widgets.errors import InputError

PLANTED = {"blurred", "dark", "overexposed", "duplicates", "unreadable", "double_labels", "label_errors", "leakage"}


@pytest.fixture(scope="module")
def clean(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    """`bccd` as it was published, computed."""
    home = tmp_path_factory.mktemp("clean") / "bccd.eaw"
    made = ea.Project.from_coco(shared_data / "bccd" / "annotations.json", shared_data / "bccd" / "images", home)
    made.compute()
    return made


@pytest.fixture(scope="module")
def faulty(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    """`bccd` with faults: images blurred, darkened, washed out, copied into another split, cut off; boxes doubled,
    a tenth relabelled, some outside of their image."""
    folder = tmp_path_factory.mktemp("faulty")
    truth = json.loads((shared_data / "bccd" / "annotations.json").read_text("utf-8"))
    files = [i["file_name"] for i in truth["images"]]
    (folder / "images").mkdir()
    for k, name in enumerate(files):
        source, target = shared_data / "bccd" / "images" / name, folder / "images" / name
        picture = Image.open(source) if k % 12 < 3 else None
        if picture is None:
            shutil.copy(source, target)
        elif k % 12 == 0:
            picture.filter(ImageFilter.GaussianBlur(6)).save(target)
        elif k % 12 == 1:
            picture.point(lambda v: v // 6).save(target)
        else:
            picture.point(lambda v: 235 + v // 13).save(target)
    for name in files[40:48]:
        whole = (folder / "images" / name).read_bytes()
        (folder / "images" / name).write_bytes(whole[: len(whole) // 3])
    copies = []
    for k in range(30):
        name = f"copy{k:02d}.jpg"
        shutil.copy(folder / "images" / files[100 + k], folder / "images" / name)
        copies.append({"id": 10_000 + k, "file_name": name, "width": 640, "height": 480})
    rng = np.random.default_rng(0)
    boxes = []
    for k, box in enumerate(a for a in truth["annotations"] if min(a["bbox"][2:]) > 0):
        others = [c["id"] for c in truth["categories"] if c["id"] != box["category_id"]]
        boxes.append(box | {"category_id": int(rng.choice(others))} if k % 10 == 3 else box)
        if k % 10 == 7:
            boxes.append(box | {"id": 100_000 + k})
    (folder / "annotations.json").write_text(
        json.dumps(truth | {"images": truth["images"] + copies, "annotations": boxes})
    )
    made = ea.Project.from_coco(folder / "annotations.json", folder / "images", folder / "faulty.eaw")
    made.items.split(train=0.5, val=0.5, test=0, seed=1)
    made.compute()
    made.add_predictions("own", [{k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9}
                                 for a in truth["annotations"] if min(a["bbox"][2:]) > 0])  # fmt: skip
    return made


def test_bccd_passes_the_shipped_limits(clean):
    found = clean.check()
    assert found.ok, repr(found)
    assert found.broken == []
    assert "all limits are kept" in repr(found)
    assert set(found.df["measure"]) == default_limits().at_most.keys() | default_limits().at_least.keys()


def test_planted_faults_break_the_shipped_limits_by_name(faulty):
    found = faulty.check(run="own")
    assert not found.ok
    assert set(found.broken) >= PLANTED, repr(found)
    for name in PLANTED:
        assert name in repr(found)


def test_values_are_what_polars_counts(clean):
    found = dict(clean.check().df.select("measure", "value").rows())
    items, objects = clean.df, clean.objects.df
    counts = objects["class_name"].value_counts(sort=True)["count"]
    severe = clean.outliers().filter(pl.col("severity") == "severe").height
    expected = {
        "images": 364,
        "blurred": items.filter(pl.col("sharpness") < 0.65).height / 364,
        "dark": items.filter(pl.col("brightness") < 0.2).height / 364,
        "duplicates": len(clean.duplicates().keep("first")) / 364,
        "outliers": severe / 364,
        "class_balance": counts[-1] / counts[0],
        "double_labels": objects.filter(pl.col("max_iou_same_class") > 0.8).height / objects.height,
        "label_errors": clean.label_errors().df["likely"].sum() / objects.height,
        "problems": 2 / (364 + objects.height + 2),
        "unreadable": 0,
    }
    assert {k: found[k] for k in expected} == pytest.approx(expected)


def test_worst_examples_come_worst_first(faulty):
    found = faulty.check()
    blurred = found.worst("blurred").df["sharpness"].to_list()
    assert blurred == sorted(blurred)
    assert blurred[0] == faulty.df.filter(pl.max_horizontal("width", "height") >= 256)["sharpness"].min()
    assert found.worst("double_labels").level == "object"
    assert {"train", "val"} == set(found.worst("leakage").df["split"])
    with pytest.raises(ea.EawError, match="blurred"):
        found.worst("blured")


def test_scores_of_a_run_are_limited_in_their_direction(faulty):
    summary = dict(faulty.evaluate("own").summary.rows())
    score = summary["mAP@[.5:.95]"]
    kept = faulty.check({"run": "own", "at_least": {"map": score - 0.01}, "at_most": {"map": score + 0.01}})
    assert kept.ok
    assert kept.df["value"].to_list() == pytest.approx([score, score])
    assert faulty.check({"at_least": {"map": score + 0.01}}, run="own").broken == ["map"]
    assert faulty.check({"at_least": {"map_50": 0.99}}, run="own").broken == ["map_50"]
    with pytest.raises(ea.EawError, match='There is no run "won"'):
        faulty.check(run="won")


def test_a_classifier_is_checked_too(shared_data, tmp_path):
    folder = tmp_path / "images"
    for name in ("airplane", "automobile"):
        (folder / name).mkdir(parents=True)
        for file in sorted((shared_data / "cifar10_test" / name).iterdir())[:20]:
            shutil.copy(file, folder / name)
    made = ea.Project.from_folder(folder, tmp_path / "p.eaw")
    made.compute()
    right = np.tile([[0.9, 0.1]], (40, 1))
    made.add_predictions("lazy", right, classes=["airplane", "automobile"])
    found = made.check(
        {"at_least": {"accuracy": 0.6, "class_balance": 1}, "at_most": {"label_errors": 0.2}}, run="lazy"
    )
    values = dict(found.df.select("measure", "value").rows())
    assert values["accuracy"] == 0.5
    assert values["class_balance"] == 1
    assert values["label_errors"] == pytest.approx(made.label_errors("lazy").df["likely"].mean())
    assert "accuracy" in found.broken
    assert made.check({"at_least": {"map": 0.1}}, run="lazy").df["verdict"].to_list() == ["not measured"]


def test_what_cannot_be_measured_breaks_a_limit_that_somebody_set(clean):
    found = clean.check({"at_most": {"leakage": 0}, "at_least": {"map": 0.5}})
    assert found.broken == ["leakage", "map"]
    assert found.df["verdict"].to_list() == ["not measured", "not measured"]
    assert not found.ok
    shipped = clean.check().df.filter(pl.col("measure") == "leakage")
    assert shipped["verdict"].item() == "nothing to measure"


def test_a_limit_that_is_just_met_is_kept(clean):
    share = 10 / 364
    assert clean.df.filter(pl.col("sharpness") < 0.65).height == 10
    assert clean.check({"at_most": {"blurred": share}}).ok
    assert not clean.check({"at_most": {"blurred": share - 1e-6}}).ok
    assert not clean.check({"at_least": {"images": 364.5}}).ok


def test_thresholds_move_what_counts_as_faulty(clean):
    strict = {"at_most": {"blurred": 0.5}, "thresholds": {"sharpness": 0.7}}
    expected = clean.filter(pl.col("sharpness") < 0.7)
    assert clean.check(strict).df["value"].item() == pytest.approx(len(expected) / 364)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[at_most]\nblured = 0.1", 'Did you mean "blurred"?'),
        ("[at_mots]\nblurred = 0.1", 'Did you mean "at_most"?'),
        ("blurred = 0.1", r'"blurred" stands under \[at_most\]'),
        ("[thresholds]\nsharpnes = 0.1", 'Did you mean "sharpness"?'),
        ("[at_most]\nblurred = true", "not a number"),
        ('[at_most]\nblurred = "5 %"', "not a number"),
        ("[at_most]\nblurred = nan", "not a number"),
        ("[at_most]\nblurred = {max = 1}", "not a number"),
        ("at_most = 3", "is no table"),
        ("run = 3\n[at_most]\nblurred = 1", "not the name of a run"),
        ("[at_most]\nmap = 0.2\n[at_least]\nmap = 0.5", "exclude each other"),
        ("[at_most]", "set no limit"),
        ("", "set no limit"),
        ("[at_most\n", "is no TOML"),
    ],
)
def test_a_wrong_file_of_limits_is_refused(tmp_path, text, said):
    file = tmp_path / "check.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        read_limits(file)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="write-limits"):
        read_limits(tmp_path / "no.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_limits(tmp_path / "b.toml")


def test_written_limits_are_those_that_are_shipped(clean, tmp_path):
    whole = read_limits(write_limits(tmp_path / "a.toml"))
    shipped = default_limits()
    assert (whole.at_most, whole.at_least) == (shipped.at_most, shipped.at_least)
    mine = write_limits(tmp_path / "b.toml", clean)
    assert "# leakage = 0" in mine.read_text()
    assert clean.check(mine).ok
    assert all(f"{name} = " in mine.read_text() for name in MEASURES)
    with pytest.raises(InputError, match="exists"):
        write_limits(mine)


def test_a_project_without_metrics_says_what_to_call(shared_data, tmp_path):
    made = ea.Project.from_folder(shared_data / "polygons", tmp_path / "p.eaw")
    with pytest.raises(InputError, match="compute"):
        made.check()
    assert made.check({"at_least": {"images": 3}}).ok


def test_labels_that_changed_are_not_judged_by_old_metrics(clean, tmp_path):
    mine = ea.open(shutil.copytree(clean.path, tmp_path / "p.eaw"))
    mine.objects.head(3).delete_label()
    with pytest.raises(InputError, match="compute"):
        mine.check()
    assert mine.check({"at_most": {"blurred": 0.1}}).ok


class Page(HTMLParser):
    """What a report holds: tags, addresses and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_report_stands_alone_and_shows_the_worst(faulty, tmp_path):
    found = faulty.check(run="own")
    file = found.to_html(tmp_path / "deep" / "report.html")
    text = file.read_text("utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "form", "object"} & set(page.tags)
    assert page.addresses
    assert all(a.startswith("data:image/") for a in page.addresses)
    assert "default-src 'none'" in text
    for name in found.broken:
        assert name in page.text
    for name, view in found._worst.items():
        assert Path(view.df["uri"][0]).name in text, name
    assert page.tags.count("img") >= 12
    assert re.search(r"(RBC|WBC|Platelets) → (RBC|WBC|Platelets)", page.text)
    assert "(duplicate)" in page.text
    assert len(text) < 2_000_000
    assert re.search(r"color-scheme:\s*light dark", text)
    import base64

    for address in page.addresses[:5]:
        Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).verify()


def test_names_in_a_report_are_text_not_markup(shared_data, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    sharp = min((shared_data / "photos").glob("*"))
    evil = "<script>alert(1)<"
    Image.open(sharp).convert("RGB").resize((300, 300)).filter(ImageFilter.GaussianBlur(9)).save(folder / "a<u>&.jpg")
    for k in range(3):
        shutil.copy(sharp, folder / f"{k}.jpg")
    made = ea.Project.from_folder(folder, tmp_path / "p.eaw", name=f"{evil}/script>")
    made.classifications  # noqa: B018 - read once
    made.items.relabel("<img src=x onerror=alert(1)>")
    made.compute()
    text = made.check({"at_most": {"blurred": 0}}).to_html(tmp_path / "r.html").read_text("utf-8")
    page = Page(text)
    assert not {"script", "u"} & set(page.tags)
    assert all(a.startswith("data:image/") for a in page.addresses)
    assert "a<u>&.jpg" in page.text
    with pytest.raises(InputError, match="is a folder"):
        made.check({"at_most": {"blurred": 0}}).to_html(tmp_path)


def test_the_guide_names_every_measure_with_its_shipped_limit_and_every_threshold(repository):
    guide = (repository / "docs" / "guides" / "check.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", guide, re.MULTILINE))
    shipped = {
        m.name: f"at most {m.at_most:g}" if m.at_most is not None else f"at least {m.at_least:g}"
        for m in MEASURES.values()
        if m.at_most is not None or m.at_least is not None
    }
    assert rows == {name: shipped.get(name, "none") for name in MEASURES}
    for name, (value, _) in THRESHOLDS.items():
        assert f"`{name}` {value:g}" in guide
