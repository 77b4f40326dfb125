"""The examples' planted faults are found by what the quickstart calls, and by nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path

import polars as pl
import pytest

import encord_active_widgets as ea


@pytest.fixture(scope="module")
def scenes(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ea.Project, pl.DataFrame]:
    """The quickstart's project, and its items with the fault that was planted in each."""
    home = tmp_path_factory.mktemp("scenes")
    make = runpy.run_path(str(repository / "examples" / "make_data.py"))["make_scenes"]
    project = ea.Project.from_folder(make(home / "scenes"), home / "scenes.eaw")
    project.compute()
    truth = pl.read_csv(home / "scenes" / "truth.csv")
    name = pl.col("uri").str.split("/").list.tail(2).list.join("/")
    items = project.items.df.with_columns(name.alias("path")).join(truth, on="path", how="left")
    assert items["fault"].drop_nulls().len() == truth.height
    return project, items


def split(items: pl.DataFrame, fault: str, metric: str) -> tuple[pl.Series, pl.Series]:
    clean = items.filter(pl.col("fault").is_null() | pl.col("fault").is_in(["wrong_class", "exact_duplicate"]))
    return items.filter(pl.col("fault") == fault)[metric], clean[metric]


@pytest.mark.parametrize(
    ("fault", "metric", "low"),
    [("blurred", "sharpness", True), ("dark", "brightness", True), ("odd_size", "odd_size", False)],
)
def test_a_planted_fault_stands_out_from_every_sound_image(
    scenes: tuple[ea.Project, pl.DataFrame], fault: str, metric: str, low: bool
) -> None:
    spoilt, sound = split(scenes[1], fault, metric)
    assert spoilt.len() == 8
    assert (spoilt.max() < sound.min()) if low else (spoilt.min() > sound.max())


def test_overexposed_images_have_bright_shadows(scenes: tuple[ea.Project, pl.DataFrame]) -> None:
    spoilt, sound = split(scenes[1], "overexposed", "luma_p05")
    assert spoilt.median() > sound.quantile(0.95)


def test_every_copy_is_grouped_with_its_original_and_nothing_else_is(
    scenes: tuple[ea.Project, pl.DataFrame],
) -> None:
    project, items = scenes
    copies = items.drop_nulls("of").filter(pl.col("fault") != "wrong_class")
    wanted = {frozenset(pair) for pair in copies.select("path", "of").iter_rows()}
    grouped = project.duplicates().df.join(items.select("item_id", "path"), on="item_id")
    found = {
        frozenset(paths) for (paths,) in grouped.group_by("duplicate_group").agg("path").select("path").iter_rows()
    }
    assert found == wanted


def test_images_filed_under_the_wrong_class_have_neighbours_of_another(
    scenes: tuple[ea.Project, pl.DataFrame],
) -> None:
    project, items = scenes
    moved = items.filter(pl.col("fault") == "wrong_class")
    right = 0
    for row in moved.iter_rows(named=True):
        nearest = project.items.by_ids([row["item_id"]]).similar(5).df["class_name"]
        right += nearest.mode().to_list() == [row["of"]]
    assert right >= 7, "the neighbours of a misfiled image name its true class"


def test_the_active_learning_notebook_runs_without_the_photographs_and_asserts_its_own_result(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels chosen beat labels drawn: the last cell says so, or fails."""
    import shutil
    import subprocess
    import sys

    for name in ("active_learning.ipynb", "learning_curves.py"):
        shutil.copy(repository / "examples" / name, tmp_path)
    monkeypatch.setenv("EAW_SHARED_DATA", str(tmp_path / "nowhere"))
    code = (
        "import nbformat, nbclient; n = nbformat.read('active_learning.ipynb', as_version=4); "
        "nbclient.NotebookClient(n, timeout=600).execute(); "
        "print([o['text'] for c in n.cells for o in c.get('outputs', []) if 'text' in o][-1])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "better than random: " in done.stdout
    assert "margin + coverage" in done.stdout.split("not told apart")[0]
