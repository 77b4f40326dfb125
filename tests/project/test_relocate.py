"""Images in one place, the project in another, and the mount has moved: nothing is lost, nothing is computed again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.errors import EmptyFolderError, InputError, ProjectError

N = 12


@pytest.fixture
def drive(tmp_path: Path) -> tuple[Path, ea.Project]:
    """Images below `content/drive`, as Colab mounts them, and a computed project below `kept`."""
    images = tmp_path / "content" / "drive" / "photos"
    rng = np.random.default_rng(3)
    for i in range(N):
        file = images / ("cat" if i % 2 else "dog") / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40 + i, 60, 3), dtype=np.uint8)).save(file)
    p = ea.Project.from_folder(images, tmp_path / "kept" / "p.eaw")
    p.compute("pixels")
    p.items.sample(3, seed=1).tag("mine")
    return images, p


def without_address(p: ea.Project) -> pl.DataFrame:
    return p.df.drop("uri").sort("item_id")


def test_a_mount_that_moved_is_followed_and_everything_else_stays(
    drive: tuple[Path, ea.Project], tmp_path: Path
) -> None:
    images, p = drive
    before, pixels = without_address(p), p._folder.pixels.version()
    shutil.move(tmp_path / "content", tmp_path / "mnt")
    p = ea.open(p.path)
    with pytest.raises(EmptyFolderError, match="relocate"):
        p.refresh()
    with pytest.raises(ProjectError, match="relocate"):
        ea.Project.from_folder(tmp_path / "mnt" / "drive" / "photos", p.path)
    done = p.relocate(tmp_path / "mnt" / "drive" / "photos")
    assert (done.renamed, done.added, done.faults) == (N, 0, 0)
    for again in (p, ea.open(p.path)):
        assert without_address(again).equals(before)
        assert all(Path(u).is_file() for u in again.df["uri"])
        assert again.tags.rows() == [("mine", 3, None)]
    refreshed = p.refresh()
    assert (refreshed.added, refreshed.renamed) == (0, 0)
    p.compute("pixels")
    assert p._folder.pixels.version() == pixels, "nothing was computed again"
    shutil.move(tmp_path / "mnt", tmp_path / "content")
    assert p.relocate(images).renamed == N
    assert set(p.df["uri"]) == {str(f) for f in images.rglob("*.png")}


def test_what_did_not_come_along_keeps_its_address_and_is_listed(
    drive: tuple[Path, ea.Project], tmp_path: Path
) -> None:
    images, p = drive
    new = tmp_path / "copied"
    shutil.copytree(images, new)
    (new / "dog" / "00.png").unlink()
    (new / "cat" / "01.png").write_bytes(b"another file")
    shutil.rmtree(images)
    done = p.relocate(new)
    assert (done.renamed, done.faults) == (N - 2, 2)
    listed = {Path(r["where"]).name: r["why"] for r in p.problems.iter_rows(named=True)}
    assert set(listed) == {"00.png", "01.png"}
    assert "is not there" in listed["00.png"]
    assert "bytes instead of" in listed["01.png"]
    assert len(p) == N


def test_a_wrong_folder_changes_nothing_and_says_what_was_looked_for(
    drive: tuple[Path, ea.Project], tmp_path: Path
) -> None:
    images, p = drive
    before, items = p.df, p._folder.items.version()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r'looked for, the first ".*empty/(cat|dog)/\d\d\.png"'):
        p.relocate(tmp_path / "empty")
    with pytest.raises(InputError, match="Mount the drive first"):
        p.relocate(tmp_path / "not mounted")
    with pytest.raises(InputError, match="was="):
        p.relocate(images, was="/somewhere/else")
    assert p.df.equals(before)
    assert p._folder.items.version() == items


def test_a_bucket_takes_the_place_of_a_mount_without_being_asked(drive: tuple[Path, ea.Project]) -> None:
    images, p = drive
    relative = {str(f.relative_to(images)) for f in images.rglob("*.png")}
    assert p.relocate("gs://bucket/photos/").renamed == N
    assert set(p.df["uri"]) == {f"gs://bucket/photos/{r}" for r in relative}
    assert p.relocate(images, was="gs://bucket/photos").renamed == N
    assert set(p.df["uri"]) == {str(images / r) for r in relative}


def test_a_part_of_the_images_is_moved_by_naming_what_it_replaces(
    drive: tuple[Path, ea.Project], tmp_path: Path
) -> None:
    images, p = drive
    shutil.move(images / "cat", tmp_path / "cats")
    assert p.relocate(tmp_path / "cats", was=images / "cat").renamed == N // 2
    assert all(Path(u).is_file() for u in p.df["uri"])


def test_rows_that_were_never_read_are_moved_by_their_names(tmp_path: Path) -> None:
    names = [f"/content/a/{i}.jpg" for i in range(5)]
    p = ea.Project.from_frame(pl.DataFrame({"path": names, "score": [0.1] * 5}), tmp_path / "p.eaw", read=False)
    for i in range(5):
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / f"{i}.jpg").write_bytes(b"x")
    assert p.relocate(tmp_path / "b").renamed == 5
    assert p.df["uri"].to_list() == [str(tmp_path / "b" / f"{i}.jpg") for i in range(5)]
