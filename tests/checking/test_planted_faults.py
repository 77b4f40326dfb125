"""Each fault, planted alone into real images, breaks its own limit and no other: a build's log says what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageFilter

import encord_active_widgets as ea
from encord_active_widgets.checking import default_limits

N = 120
SHIPPED = default_limits()
# Among so few images more are far from the rest than among all of them.
LIMITS = {"run": "own", "at_most": {**SHIPPED.at_most, "outliers": 0.25}, "at_least": {**SHIPPED.at_least, "map": 0.8}}


@pytest.fixture(scope="module")
def whole(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 120 images of blood cells, and their computed project with splits and a run that is right."""
    home = tmp_path_factory.mktemp("whole")
    truth = json.loads((shared_data / "bccd" / "annotations.json").read_text("utf-8"))
    truth["images"] = truth["images"][:N]
    kept = {i["id"] for i in truth["images"]}
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] in kept and min(a["bbox"][2:]) > 0]
    (home / "cells.json").write_text(json.dumps(truth))
    (home / "images").mkdir()
    for image in truth["images"]:
        shutil.copy(shared_data / "bccd" / "images" / image["file_name"], home / "images")
    made = ea.Project.from_coco(home / "cells.json", images=home / "images", path=home / "cells.eaw")
    made.compute()
    made.items.split(train=0.6, val=0.4, test=0, groups="duplicate_group", seed=1)  # two images are of one field
    made.add_predictions("own", _predictions(made))
    assert made.check(LIMITS).ok, repr(made.check(LIMITS))
    return home


def _predictions(p: ea.Project) -> pl.DataFrame:
    return p.objects.df.select("item_id", "class_name", "x", "y", "w", "h", confidence=pl.lit(0.9))


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    """A folder with a clone of it and copies of its images, to be spoilt."""
    ea.open(whole / "cells.eaw").clone(tmp_path / "cells.eaw", images="copy")
    return tmp_path


def _files(home: Path) -> list[Path]:
    p = ea.open(home / "cells.eaw")
    return [p.path / uri for uri in p.df["uri"]]


def _redraw(home: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    for file in _files(home)[::16]:  # 8 of 120 are 6.7 %
        with Image.open(file) as picture:
            change(picture.convert("RGB")).save(file)


def blurred(home: Path) -> None:
    _redraw(home, lambda picture: picture.filter(ImageFilter.GaussianBlur(4)))


def dark(home: Path) -> None:
    _redraw(home, lambda picture: picture.point(lambda v: v // 5))


def overexposed(home: Path) -> None:
    _redraw(home, lambda picture: picture.point(lambda v: 225 + v // 9))


def unreadable(home: Path) -> None:
    file = _files(home)[5]
    file.write_bytes(file.read_bytes()[:4000])


def _copies(home: Path, n: int) -> list[str]:
    """Put copies of images of the training split beside them, with the labels of the images they copy."""
    p = ea.open(home / "cells.eaw")
    train = p.filter(pl.col("split") == "train").df.head(n)
    targets = []
    for k, uri in enumerate(train["uri"]):
        targets.append(str(shutil.copy(p.path / uri, home / f"copy{k}.jpg")))
    p.add_images(targets)
    new = dict(p.df.select("uri", "item_id").iter_rows())
    ids = dict(zip(train["item_id"], [new[t] for t in targets], strict=True))
    labels = p.objects.filter(pl.col("item_id").is_in(list(ids))).df
    p.add_labels(labels.select(pl.col("item_id").replace(ids), "class_name", "x", "y", "w", "h"))
    p.add_predictions("own", _predictions(p), replace=True)
    return [new[t] for t in targets]


def duplicates(home: Path) -> None:
    new = _copies(home, 8)
    ea.open(home / "cells.eaw").items.by_ids(new).split(train=1, val=0, test=0)


def leakage(home: Path) -> None:
    new = _copies(home, 1)
    ea.open(home / "cells.eaw").items.by_ids(new).split(train=0, val=1, test=0)


def label_errors(home: Path) -> None:
    """Give every tenth label another class."""
    p, rng = ea.open(home / "cells.eaw"), np.random.default_rng(0)
    objects = p.objects.df
    wrong = rng.permutation(objects.height)[: objects.height // 10]
    names = objects["class_name"].unique().sort().to_list()
    taken = objects[wrong]
    for name in names:
        mine = taken.filter(pl.col("class_name") == name)["label_id"]
        p.objects.by_ids(mine).relabel(names[(names.index(name) + 1) % len(names)])


def double_labels(home: Path) -> None:
    p = ea.open(home / "cells.eaw")
    p.add_labels(p.objects.df.head(60).select("item_id", "class_name", pl.col("x") + 1, "y", "w", "h"))


def class_balance(home: Path) -> None:
    p = ea.open(home / "cells.eaw")
    rare = p.objects.filter(pl.col("class_name") == "Platelets")
    p.objects.by_ids(rare.ids[4:]).delete_label()
    p.add_predictions("own", _predictions(p), replace=True)


def mean_precision(home: Path) -> None:
    p = ea.open(home / "cells.eaw")
    moved = _predictions(p).with_columns(pl.col("x") + pl.col("w") * 0.2)
    p.add_predictions("own", moved, replace=True)


PLANTED: dict[str, Callable[[Path], None]] = {
    "blurred": blurred, "dark": dark, "overexposed": overexposed, "unreadable": unreadable, "duplicates": duplicates,
    "leakage": leakage, "label_errors": label_errors, "double_labels": double_labels, "class_balance": class_balance,
    "map": mean_precision,
}  # fmt: skip
BESIDES = {
    "overexposed": {"outliers", "blurred"},  # so far from the rest that they are outliers, and without contrast
    "dark": {"outliers"},
    "blurred": {"outliers"},
    "double_labels": {"map", "label_errors"},  # the run has one box where the labels have two
    "label_errors": {"map", "double_labels"},
    "map": {"label_errors"},
    "unreadable": {"problems"},
}
"""What else is true of a project with this fault."""


@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_breaks_its_own_limit_and_is_named(fault: str, home: Path) -> None:
    PLANTED[fault](home)
    p = ea.open(home / "cells.eaw")
    p.refresh()
    p.compute()
    found = p.check(LIMITS)
    assert not found.ok
    assert fault in found.broken, repr(found)
    assert set(found.broken) <= {fault} | BESIDES.get(fault, set()), repr(found)
    line = next(line for line in repr(found).splitlines() if line.startswith(fault))
    assert "broken" in line
    assert len(found.worst(fault)) > 0


def test_a_build_fails_by_exit_code_and_its_log_and_page_name_the_fault(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from encord_active_widgets.cli import app

    monkeypatch.chdir(home)
    (home / "check.toml").write_text("[at_most]\nblurred = 0.05\nleakage = 0\nduplicates = 0.05\n")
    page = home / "check.html"

    def build() -> int:
        monkeypatch.setattr(sys, "argv", ["eaw", "check", "--html", str(page)])
        with pytest.raises(SystemExit) as ended:
            app()
        return int(ended.value.code or 0)

    assert build() == 0
    assert "All limits are kept" in capsys.readouterr().err
    leakage(home)
    ea.open(home / "cells.eaw").compute()
    assert build() == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == "1 broken: leakage"
    assert "leakage" in page.read_text("utf-8")
    assert "copy0.jpg" in page.read_text("utf-8")
