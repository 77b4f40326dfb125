"""`p.report()` on real images: its sentences say what was counted without it, and its page is text and pictures."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, UnknownNameError

from .reading import expect_plain

EVIL = "<img src=x onerror=alert(1)>"


def said(report: Any, pattern: str) -> re.Match[str]:
    """Return the one sentence of the summary that fits."""
    found = [m for s in report.summary if (m := re.search(pattern, s))]
    assert len(found) == 1, (pattern, report.summary)
    return found[0]


def count(match: re.Match[str], group: int = 1) -> int:
    return int(match[group].replace(",", ""))


@pytest.fixture(scope="session")
def cell_report(cells: ea.Project) -> Any:
    return cells.report()


@pytest.fixture(scope="session")
def judged(cifar: ea.Project, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """The report on CIFAR-10's test images with a real model's predictions; given and predicted classes by image."""
    home = shared_data / "label_errors"
    given = np.load(home / "cifar10_test_set_original_labels.npy")
    probabilities = np.load(home / "cifar10_test_set_pyx.npy")
    p = ea.open(shutil.copytree(cifar.path, tmp_path_factory.mktemp("judged") / "cifar.eaw"))
    names = sorted(f.name for f in (shared_data / "cifar10_test").iterdir() if f.is_dir())
    place: dict[str, int] = {}
    for c, name in enumerate(names):
        files = sorted(f.name for f in (shared_data / "cifar10_test" / name).iterdir())
        place |= {f"{name}/{f}": int(i) for f, i in zip(files, np.flatnonzero(given == c), strict=True)}
    order = [place["/".join(Path(u).parts[-2:])] for u in p.df["uri"]]
    p.add_predictions("resnet", probabilities[order], classes=names)
    return p.report(), given, probabilities


# -- sentences --------------------------------------------------------------------------------------


def test_dark_photos_are_counted_as_pillow_counts_them(photos, shared_data):
    means = []
    for file in sorted((shared_data / "photos").iterdir()):
        with Image.open(file) as image:
            means.append(np.asarray(image.convert("L"), np.float64).mean() / 255)
    report = photos.report()
    match = said(report, r"^(\S+) % of the images \((\d+) of 200\) are darker than a brightness of 0\.2\.$")
    assert count(match, 2) == sum(m < 0.2 for m in means)
    assert float(match[1]) == pytest.approx(count(match, 2) / 2)
    assert "There are 200 images, without labels." in report.summary
    table = report.frames["issues"]
    assert table.filter(issue="dark")["images"].item() == count(match, 2)


def test_objects_and_classes_are_those_of_the_file(cell_report, shared_data):
    truth = json.loads((shared_data / "bccd" / "annotations.json").read_text())
    names = {c["id"]: c["name"] for c in truth["categories"]}
    kept = [a for a in truth["annotations"] if min(a["bbox"][2:]) > 0]
    counts = pl.Series([names[a["category_id"]] for a in kept]).value_counts(sort=True)
    (most, n), (least, few) = counts.row(0), counts.row(-1)
    match = said(cell_report, r'^"(\w+)" is the most frequent of 3 classes with (\d+) % of the objects \(([\d,]+) of')
    assert (match[1], count(match, 2), count(match, 3)) == (most, round(100 * n / len(kept)), n)
    assert f'"{least}" is the rarest with {few}' in match.string
    assert f"with {len(kept):,} objects of 3 classes" in cell_report.summary[0]
    sides = np.array([a["bbox"][2:] for a in kept])
    match = said(cell_report, r"^The median object is (\d+) × (\d+) px; (\S+) % are small")
    assert (count(match), count(match, 2)) == tuple(int(v) for v in np.median(sides, axis=0))
    assert float(match[3]) == pytest.approx(100 * (sides.prod(axis=1) < 32**2).mean(), abs=0.05)


def test_objects_drawn_twice_are_those_that_overlap(cell_report, cells):
    twice = 0
    for _, group in cells.objects.df.group_by("item_id", "class_name"):
        x, y, w, h = (group[c].to_numpy().astype(np.float64) for c in "xywh")
        right, bottom = x + w, y + h
        wide = np.minimum(right[:, None], right) - np.maximum(x[:, None], x)
        high = np.minimum(bottom[:, None], bottom) - np.maximum(y[:, None], y)
        shared = wide.clip(0) * high.clip(0)
        iou = shared / (w * h + (w * h)[:, None] - shared)
        np.fill_diagonal(iou, 0)
        twice += int((iou.max(axis=1) > 0.8).sum())
    assert count(said(cell_report, r"\((\d+) of 4,886\) lie on another of their class")) == twice
    assert cell_report.frames["double_labels"].height == twice


def test_a_models_score_is_that_of_its_probabilities(judged):
    report, given, probabilities = judged
    told = probabilities.argmax(axis=1)
    match = said(report, r'^Run "resnet" gets (\d+) % of 10,000 images right')
    assert count(match) == round(100 * (told == given).mean())
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    f1 = [2 * ((told == c) & (given == c)).sum() / ((told == c).sum() + (given == c).sum()) for c in range(10)]
    best, worst = int(np.argmax(f1)), int(np.argmin(f1))
    assert f'best on "{names[best]}" (F1 {f1[best]:.2f}), worst on "{names[worst]}" ({f1[worst]:.2f})' in match.string
    wrong = np.bincount(told[(given == worst) & (told != worst)], minlength=10)
    assert f'takes most often for "{names[int(wrong.argmax())]}" ({wrong.max()} of 1,000)' in match.string
    match = said(report, r"its mean confidence is (\S+), and (\d+) % of its predictions are right")
    assert float(match[1]) == pytest.approx(probabilities.max(axis=1).mean(), abs=0.005)


def test_labels_that_are_probably_wrong_are_as_many_as_asking_for_them_gives(judged):
    report = judged[0]
    likely = report.view.project.label_errors("resnet").df.filter("likely")
    match = said(report, r'\(([\d,]+) of 10,000\) are probably wrong, judged by run "resnet"')
    assert count(match) == likely.height
    pairs = likely.group_by("given", "suggested").len().sort("len", descending=True)
    given, suggested, n = pairs.row(0)
    assert f'most often "{given}" that should be "{suggested}" ({n})' in match.string


def test_duplicates_are_as_many_as_could_go(judged):
    found = judged[0].view.project.duplicates()
    match = said(judged[0], r"\((\d+) of 10,000\) could go: (\d+) groups of duplicates")
    assert (count(match), count(match, 2)) == (found.df.height - len(found), len(found))


# -- views, what is missing --------------------------------------------------------------------------


def test_of_a_view_only_its_rows_are_reported(cells):
    white = cells.objects.filter(pl.col("class_name") == "WBC")
    report = white.report(title="White cells")
    assert repr(report).startswith("White cells\n")
    assert f"{len(white)} objects of 1 class" in report.summary[0]
    assert report.frames["classes"]["class_name"].to_list() == ["WBC"]
    assert len(report.view) == white.df["item_id"].n_unique()
    some = cells.items.head(30).report()
    assert some.summary[0].startswith("There are 30 images of the 364 in the project")
    assert some.frames["classes"]["count"].sum() == len(cells.items.head(30).objects())


def test_an_empty_project_and_an_empty_view_say_so(photos, tmp_path):
    nothing = photos.filter(pl.col("brightness") > 2).report()
    assert nothing.summary == ["There are no images in this view: there is nothing to report."]
    expect_plain(nothing.to_html(tmp_path / "n.html").read_text("utf-8"))
    photos.items.remove()
    empty = photos.report()
    assert empty.summary == ["There are no images in this project: there is nothing to report."]
    expect_plain(empty._repr_html_())


def test_what_was_not_computed_is_said_with_the_call(shared_data, tmp_path):
    report = ea.Project.from_folder(shared_data / "photos", tmp_path / "bare.eaw").report()
    assert any("No metrics of the images were computed yet. Call `p.compute()`" in m for m in report.missing)
    assert report.summary[0] == "There are 200 images, without labels."
    page = expect_plain(report.to_html(tmp_path / "r.html").read_text("utf-8"))
    assert "p.compute()" in page.text


def test_unknown_runs_and_places_that_cannot_be_written_are_refused(photos, judged):
    with pytest.raises(UnknownNameError, match='Did you mean "resnet"'):
        judged[0].view.report(run="resnett")
    with pytest.raises(InputError, match="no predictions yet"):
        photos.report(run="yolo")
    with pytest.raises(InputError, match="is no text"):
        photos.report(title=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is a folder"):
        photos.report().to_html(photos.path)


# -- pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["cells", "judged"])
def test_the_page_holds_every_sentence_the_worst_pictures_and_nothing_that_runs(of, request, tmp_path):
    report = request.getfixturevalue("cell_report") if of == "cells" else request.getfixturevalue(of)[0]
    file = report.to_html(tmp_path / "new" / "report.html")
    page, cell = expect_plain(file.read_text("utf-8")), expect_plain(report._repr_html_())
    for sentence in report.summary:
        words = sentence.replace("`", "")
        assert words.partition("(p.problems")[0] in page.text
        assert words.partition("(p.problems")[0] in cell.text
    assert len(page.pictures) > 25
    assert [a for a in page.alternatives if not a] == [], "every picture has a text for those who do not see it"
    assert file.stat().st_size < 2_000_000
    assert [f.name for f in file.parent.iterdir()] == ["report.html"]


def test_names_in_data_do_not_become_markup(photos, tmp_path):
    frame = photos.df.select(pl.col("uri").alias("path")).head(60)
    frame = frame.with_columns(class_name=pl.Series([EVIL, "</style>", "`a` & b"] * 20))
    p = ea.Project.from_frame(frame, path=tmp_path / "evil.eaw", name=EVIL)
    p.compute(stages=["pixels"])
    p.add_predictions(EVIL[5:20].strip(), p.df.select("uri", "class_name", confidence=pl.lit(0.7)))
    report = p.report(title=EVIL)
    page = expect_plain(report.to_html(tmp_path / "r.html").read_text("utf-8"))
    expect_plain(report._repr_html_())
    assert EVIL in page.text


@pytest.mark.parametrize("package", ["altair", "vl_convert"])
def test_without_the_packages_that_draw_the_rest_is_there(cells, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    report = cells.items.head(40).report()
    page = expect_plain(report.to_html(tmp_path / "r.html").read_text("utf-8"))
    assert 'Charts are left out: they need pip install "encord_active_widgets[charts]" .' in page.text
    assert not [a for a in page.alternatives if a.startswith("Chart")]
    assert len(page.pictures) > 10
    assert report.frames["metrics"].height > 15


def test_charts_and_tables_are_there_by_name(cell_report):
    assert {"brightness", "sharpness", "object size"} <= set(cell_report.charts)
    assert cell_report.charts["brightness"].to_dict()["title"]["text"] == "Brightness"
    assert {"issues", "metrics", "outliers", "classes", "label_metrics", "duplicates"} <= set(cell_report.frames)
