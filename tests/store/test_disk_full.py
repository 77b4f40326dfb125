"""A disk that fills up: what a user loses if the project breaks, or half an export stays."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import encord_active_widgets as ea
from encord_active_widgets.errors import DiskFullError, EawError
from encord_active_widgets.store.writing import Writing

LEVELS = ("items", "objects", "classifications")
_BLOCK = 4096
"""What a file takes at least, in bytes."""
_SIZE_BYTES = 24 << 20


class Mounted:
    """A real file system of 24 megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, leave: int) -> None:
        room = os.statvfs(self.path)
        size = self._filler.stat().st_size if self._filler.exists() else 0
        free = room.f_bavail * room.f_frsize - leave
        with self._filler.open("ab") as file:
            file.write(b"\0" * max(free, 0))
        assert self._filler.stat().st_size >= size

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


class Limited:
    """A folder in which no file may grow beyond a number of bytes: what needs no rights can imitate."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int) -> None:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(leave // 64, 64), hard))

    def free(self) -> None:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


Disk = Mounted | Limited


@pytest.fixture(params=["mounted", "limited"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    place = tmp_path / "disk"
    place.mkdir()
    if request.param == "limited":
        pytest.importorskip("resource", reason="this system has no limit on the size of files")
        limited = Limited(place)
        yield limited
        limited.free()
        return
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE_BYTES}", "none", str(place)]
    able = os.name == "posix" and shutil.which("mount") is not None
    if not able or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    yield Mounted(place)
    subprocess.run(["umount", "--lazy", str(place)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def sources(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty of the blood cell images, with their boxes."""
    import json

    home = tmp_path_factory.mktemp("sources")
    data = json.loads((shared_data / "bccd" / "annotations.json").read_text("utf-8"))
    data["images"] = data["images"][:30]
    kept = {i["id"] for i in data["images"]}
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] in kept]
    (home / "annotations.json").write_text(json.dumps(data))
    for image in data["images"]:
        shutil.copy(shared_data / "bccd" / "images" / image["file_name"], home)
    return home


@pytest.fixture(scope="module")
def computed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    """What an undisturbed project looks like; it also warms up what is compiled."""
    p = ea.Project.from_coco(sources / "annotations.json", sources, tmp_path_factory.mktemp("whole") / "cells.eaw")
    p.compute()
    return p


@pytest.fixture
def cells(computed: ea.Project, disk: Disk) -> ea.Project:
    """A computed, edited project on the small disk."""
    p = ea.open(shutil.copytree(computed.path, disk.path / "cells.eaw", ignore=shutil.ignore_patterns("*.lock")))
    p.items.head(2).tag("kept")
    return p


def frames(p: ea.Project) -> dict[str, pl.DataFrame]:
    return {name: getattr(p, name).df for name in LEVELS}


def same(now: dict[str, pl.DataFrame], then: dict[str, pl.DataFrame]) -> None:
    for name, frame in then.items():
        assert now[name].equals(frame), name


def files(folder: Path) -> set[str]:
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.name != "filler"}


def refused(disk: Disk, verb: Callable[[], Any], leave: int = _BLOCK) -> DiskFullError:
    """Do something while there is no room; return what the user is told."""
    disk.fill(leave)
    try:
        with pytest.raises(DiskFullError) as caught:
            verb()
    finally:
        disk.free()
    assert "Free some space" in caught.value.remedy
    return caught.value


def edits(p: ea.Project) -> dict[str, Callable[[], Any]]:
    ids = p.ids
    return {
        "tag": lambda: p.items.tag("x"),
        "untag": lambda: p.items.untag("kept"),
        "relabel": lambda: p.objects.head(3).relabel("odd"),
        "note": lambda: p.items.head(1).note("look"),
        "remove": lambda: p.items.head(1).remove(),
        "undo": p.undo,
        "rename": lambda: p.rename_tag("kept", "held"),
        "restore": lambda: p.restore("v0"),
        "add labels": lambda: p.add_labels(
            pl.DataFrame({"item_id": ids[:1], "class_name": "RBC", "x": 1.0, "y": 1.0, "w": 9.0, "h": 9.0})
        ),
        "predictions": lambda: p.add_predictions(
            "run", p.objects.df.select("item_id", "class_name", "x", "y", "w", "h", confidence=pl.lit(0.5))
        ),
        "embeddings": lambda: p.embeddings.__setitem__("mine", np.random.default_rng(0).normal(size=(len(p), 64))),
    }


def test_an_edit_that_finds_no_room_changes_nothing_and_works_when_there_is_some(cells: ea.Project, disk: Disk) -> None:
    cells.snapshot("v0")
    cells.items.head(3).tag("after")
    names = list(edits(cells))
    for name in names:
        then, steps, before = frames(cells), cells.history(), files(cells.path)
        error = refused(disk, edits(cells)[name], leave=0)
        assert "could not be written" in error.message, name
        left = {f for f in files(cells.path) - before if (cells.path / f).is_file()}
        assert {f for f in left if not f.startswith("cache/")} <= {"import.lock"}, name
        same(frames(cells), then)
        again = ea.open(cells.path)
        same(frames(again), then)
        assert again.history().equals(steps), name
        assert "run" not in again.predictions
    for name in names:
        edits(cells)[name]()
    assert cells.embeddings["mine"].dim == 64
    assert list(ea.open(cells.path).predictions) == ["run"]


@pytest.mark.parametrize("disk", ["mounted"], indirect=True)  # a limit on a file lets through all edits or none
def test_many_edits_until_the_disk_is_full_are_all_kept(cells: ea.Project, disk: Disk) -> None:
    disk.fill(256 * 1024)
    done: list[str] = []

    def one_more() -> None:
        cells.items.head(len(done) % 7 + 1).tag(f"tag {len(done)}")
        done.append(f"tag {len(done)}")

    with pytest.raises(DiskFullError):
        any(one_more() for _ in range(1000))
    assert 3 < len(done) < 1000
    assert cells.tags["tag"].to_list() == ["kept", *done]
    assert ea.open(cells.path).tags["tag"].to_list() == ["kept", *done]
    disk.free()
    cells.items.tag("more")
    assert ea.open(cells.path).tags["tag"].to_list() == ["kept", *done, "more"]


def test_a_snapshot_that_finds_no_room_leaves_none_and_its_name_free(cells: ea.Project, disk: Disk) -> None:
    cells.snapshot("v0")
    before = files(cells.path)
    assert '"v1"' in refused(disk, lambda: cells.snapshot("v1", note="n" * 500), leave=0).message
    assert files(cells.path) == before
    assert ea.open(cells.path).snapshots()["name"].to_list() == ["v0"]
    cells.snapshot("v1")
    assert not cells.diff("v0", "v1")


STRICT = {"at_most": {"label_errors": 0, "outliers": 0}}
EXPORTS: dict[str, Callable[[ea.Project, Path], Any]] = {
    "coco": lambda p, out: p.items.to_coco(out / "deep" / "all.json"),
    "coco with images": lambda p, out: p.items.to_coco(out / "deep" / "all.json", images="copy"),
    "voc": lambda p, out: p.items.to_voc(out / "voc"),
    "yolo": lambda p, out: p.items.to_yolo(out / "yolo", images="copy"),
    "csv": lambda p, out: p.objects.to_csv(out / "objects.csv"),
    "parquet": lambda p, out: p.objects.to_parquet(out / "objects.parquet"),
    "label studio": lambda p, out: p.items.to_label_studio(out / "ls.json", images="copy"),
    "cvat": lambda p, out: p.items.to_cvat(out / "cvat.xml", images="copy"),
    "page": lambda p, out: p.items.to_html(out / "page.html"),
    "report of a check": lambda p, out: p.check({"at_most": {"label_errors": 0, "outliers": 0}}).to_html(
        out / "check.html"
    ),
    "clone": lambda p, out: p.clone(out / "clone.eaw", images="copy"),
    "part": lambda p, out: p.items.head(20).clone(out / "part.eaw"),
}

COPYING = ("coco with images", "yolo", "label studio", "cvat")


@pytest.mark.parametrize("name", EXPORTS)
def test_half_an_export_does_not_stay_and_what_was_there_before_does(name: str, cells: ea.Project, disk: Disk) -> None:
    out, then = disk.path / "out", frames(cells)
    (out / "voc" / "Annotations").mkdir(parents=True)
    (out / "yours.txt").write_text("keep")
    before = files(disk.path)
    leaves = [0, 5 * _BLOCK, *([400 * 1024] if name in COPYING else [])]
    for leave in leaves:  # before the first file, and in the middle of it or of them
        refused(disk, lambda: EXPORTS[name](cells, out), leave)
        assert files(disk.path) - before <= {"cells.eaw/import.lock"}, leave
        assert (out / "yours.txt").read_text() == "keep"
    same(frames(ea.open(cells.path)), then)
    EXPORTS[name](cells, out)
    whole = {f: (out / f).read_bytes() for f in files(out) if (out / f).is_file()}
    assert len(whole) > 1
    if name not in ("clone", "part"):  # which refuse a folder that is there
        if name != "report of a check":  # which wants labels that were measured
            cells.objects.relabel("another")  # so that every file would be another
        for leave in (0, 5 * _BLOCK):
            refused(disk, lambda: EXPORTS[name](cells, out), leave)
            assert {f: (out / f).read_bytes() for f in files(out) if (out / f).is_file()} == whole, leave


def test_a_project_that_finds_no_room_is_not_begun(sources: Path, disk: Disk) -> None:
    home = disk.path / "new.eaw"

    def make() -> ea.Project:
        return ea.Project.from_coco(sources / "annotations.json", sources, home)

    for leave in (0, 2 * _BLOCK, 6 * _BLOCK):
        refused(disk, make, leave)
        assert not home.exists(), leave
    assert len(make()) == 30


@pytest.mark.parametrize("leave", [0, 64 * 1024, 400 * 1024])
def test_computing_goes_on_where_the_disk_was_full(leave: int, sources: Path, computed: ea.Project, disk: Disk) -> None:
    p = ea.Project.from_coco(sources / "annotations.json", sources, disk.path / "new.eaw")
    p.items.head(2).tag("kept")
    refused(disk, p.compute, leave)
    again = ea.open(p.path)
    assert len(again) == 30
    assert len(again.filter(ea.tagged("kept"))) == 2
    again.compute()
    for name in LEVELS:
        want, got = getattr(computed, name).df, getattr(again, name).df
        shown = [c for c in want.columns if c not in ("tags", "item_id", "label_id", "random", "added_at")]
        numbers = [c for c in shown if want[c].dtype.is_numeric()]
        assert got.select(shown).columns == shown
        for column in numbers:
            assert got[column].to_list() == pytest.approx(want[column].to_list(), nan_ok=True), column
    near = again.items.head(1).similar(5)
    assert len(near) == 5
    assert again.explore()._service.view.df.height == 30
    left = [f.name for f in p.path.rglob("*") if f.name.endswith(".tmp")]
    assert left == []


def test_files_of_one_export_come_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old.txt").write_text("old")

    def write(*, fail: bool) -> None:
        with Writing("the files") as writing:
            writing.text(tmp_path / "there" / "old.txt", "new")
            writing.text(tmp_path / "a" / "b" / "c.txt", "c")
            writing.new(tmp_path / "a" / "link").symlink_to(tmp_path)
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(fail=True)
    assert files(tmp_path) == {"there", "there/old.txt"}
    write(fail=False)
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "c"
    assert (tmp_path / "there" / "old.txt").read_text() == "new"


def test_other_faults_are_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Writing("x") as writing, writing.file(tmp_path / "a"):
        (tmp_path / "missing").read_text()
    with pytest.raises(EawError, match="mine"), Writing("x"):
        raise EawError("mine")
    assert files(tmp_path) == set()
