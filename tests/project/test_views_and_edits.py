"""Views and tags: the verbs a user types every minute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, ShapeError, UnknownNameError
from encord_active_widgets.view import View

DARK = pl.col("brightness") < 0.3


def test_a_view_equals_the_polars_filter_of_the_frame(photos: ea.Project) -> None:
    view = photos.filter(DARK, pl.col("width") > 400).sort("sharpness", descending=True)
    frame = photos.df.filter(DARK, pl.col("width") > 400).sort("sharpness", descending=True, nulls_last=True)
    assert view.df.equals(frame)
    assert view.ids.to_list() == frame["item_id"].to_list()
    assert len(view) == frame.height


def test_a_view_follows_the_state_but_a_selection_stays(photos: ea.Project) -> None:
    tagged = photos.filter(ea.tagged("night"))
    assert len(tagged) == 0
    photos.filter(DARK).tag("night")
    assert len(tagged) == len(photos.filter(DARK)) > 0
    kept = photos.items.by_ids(tagged.ids)
    photos.undo()
    assert len(tagged) == 0
    assert len(kept) > 0


def test_nothing_selected_is_an_empty_view_and_tags_nothing(photos: ea.Project) -> None:
    empty = photos.items.at([])
    assert len(empty) == 0
    assert empty.df.height == 0
    empty.tag("x")
    assert photos.tags.height == 0


@pytest.mark.parametrize(
    "expr",
    [
        ea.tagged("a"),
        ~ea.tagged("a"),
        ea.tagged("a", "b"),
        ea.untagged(),
        ~ea.untagged() & DARK,
        ea.tagged("a") | (ea.tagged("b") & ~DARK),
        pl.col("tags").list.len() > 1,
    ],
)
def test_tag_expressions_mean_the_same_in_a_project_and_on_a_frame(photos: ea.Project, expr: pl.Expr) -> None:
    photos.filter(DARK).tag("a")
    photos.filter(pl.col("width") > 400).tag("b")
    assert photos.filter(expr).ids.to_list() == photos.df.filter(expr)["item_id"].to_list()


def test_the_same_seed_draws_the_same_sample(photos: ea.Project) -> None:
    assert photos.sample(20, seed=3).ids.to_list() == photos.sample(20, seed=3).ids.to_list()
    assert photos.sample(20, seed=3).ids.to_list() != photos.sample(20, seed=4).ids.to_list()
    assert len(photos.sample(10_000)) == 200


def test_one_history_for_undo_redo_and_who_did_what(photos: ea.Project) -> None:
    photos.filter(DARK).tag("night")
    photos.rename_tag("night", "dark")
    photos.items.head(5).tag("first", "five")
    assert photos.undo(2) == ['tagged 5 items "first", "five"', 'renamed tag "night" to "dark"']
    assert photos.tags["tag"].to_list() == ["night"]
    assert photos.redo() == ['renamed tag "night" to "dark"']
    history = photos.history()
    assert history["kind"].to_list() == ["add", "tag", "rename_tag", "tag", "undo", "undo", "redo"]
    assert history.row(0, named=True)["what"] == "added 200 images"
    assert history["in_force"].to_list()[:2] == [None, True]
    assert history["at"].is_sorted()
    assert "view.tag('night')" in history["code"].to_list()


def test_tags_are_merged_deleted_and_misspelt_ones_are_refused(photos: ea.Project) -> None:
    photos.items.head(3).tag("a")
    photos.sort("ordinal", descending=True).head(3).tag("b")
    photos.merge_tags("a", "b")
    assert photos.tags.rows() == [("b", 6, None)]
    with pytest.raises(UnknownNameError, match='"b"'):
        photos.delete_tag("bb")
    with pytest.raises(UnknownNameError):
        photos.items.untag("zzz")
    with pytest.raises(InputError):
        photos.items.tag("  ")
    photos.delete_tag("b")
    assert photos.tags.height == 0


def test_objects_are_tagged_at_their_own_level(shared_data: Path, tmp_path: Path) -> None:
    bccd = shared_data / "bccd"
    p = ea.Project.from_coco(bccd / "annotations.json", images=bccd / "images", path=tmp_path / "p.eaw")
    cells = p.objects.filter(pl.col("class_name") == "WBC").tag("white")
    again = ea.open(p.path)
    assert len(again.objects.filter(ea.tagged("white"))) == len(cells) == 372
    assert again.tags.height == 0
    assert len(cells.items()) == cells.df["item_id"].n_unique()


_KILLED = """
import os, sys, polars as pl, encord_active_widgets as ea
p = ea.open(sys.argv[1])
p.items.head(int(sys.argv[2])).tag("t" + sys.argv[2])
print("saved", flush=True)
os.kill(os.getpid(), 9)
"""


def test_kill_9_right_after_saved_loses_nothing_twenty_times(photos: ea.Project) -> None:
    for i in range(1, 21):
        child = subprocess.run(
            [sys.executable, "-c", _KILLED, str(photos.path), str(i)], capture_output=True, text=True, check=False
        )
        assert child.stdout.strip() == "saved"
        assert child.returncode == -9
    assert {t: n for t, n, _ in ea.open(photos.path).tags.rows()} == {f"t{i}": i for i in range(1, 21)}


def test_every_tag_edit_is_flushed_to_the_disk_before_it_returns(
    photos: ea.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    flushed: list[str] = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (flushed.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real(fd))[1]
    )
    photos.items.head(1).tag("x")
    names = [Path(f).name for f in flushed if "edits" in f]
    assert any(n.endswith(".parquet") for n in names)
    assert any(n.endswith(".json") for n in names)
    assert "_delta_log" in names


def test_own_embeddings_rebuild_the_map_and_the_neighbour_metrics(photos: ea.Project) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 16)).astype(np.float32)
    vectors[7] = vectors[3]
    photos.embeddings["mine"] = vectors
    assert photos.embeddings["mine"].layouts == ["pca", "umap"]
    frame = photos.df
    assert frame["uniqueness_mine"][3] == frame["uniqueness_mine"][7] == 0
    near = photos.items.at([3]).similar(1, embedding="mine").df
    assert near["ordinal"].to_list() == [7]
    assert near["distance"][0] == pytest.approx(0, abs=1e-6)
    again = ea.open(photos.path)
    assert np.array_equal(again.embeddings["mine"].vectors, vectors)


@pytest.mark.parametrize("bad", [np.zeros((3, 4)), np.zeros(200), np.zeros((200, 4), dtype="U1")])
def test_an_array_of_the_wrong_shape_names_both_sides(photos: ea.Project, bad: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"array has"):
        photos.embeddings["mine"] = bad


def test_embeddings_by_id_leave_the_other_items_out(photos: ea.Project) -> None:
    chosen = photos.sample(50).ids
    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    photos.embeddings["some"] = pl.DataFrame({"item_id": chosen, "vector": vectors.tolist()})
    assert len(photos.embeddings["some"]) == 50
    assert photos.df["uniqueness_some"].null_count() == 150


def test_search_by_an_image_finds_itself_first(photos: ea.Project) -> None:
    uri = photos.df["uri"][17]
    found = photos.search(uri, k=3).df
    assert found["uri"][0] == uri
    assert found["distance"][0] == pytest.approx(0, abs=1e-5)
    assert found["distance"].is_sorted()


def test_similar_leaves_the_asked_items_out(photos: ea.Project) -> None:
    view = photos.items.at([1, 2])
    near = view.similar(5)
    assert len(near) == 5
    assert not set(near.ids) & set(view.ids)


def test_duplicates_keep_the_sharpest_and_return_the_others(pictures: Path, tmp_path: Path) -> None:
    import shutil

    for i in range(5):
        shutil.copy(pictures / "00.png", pictures / f"copy{i}.png")
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    p.compute()
    groups = p.duplicates()
    assert (len(groups), groups.df.height) == (1, 6)
    assert len(groups.keep("first")) == 5
    assert p.df.filter(pl.col("duplicate_group").is_not_null())["uniqueness"].to_list() == [0.0] * 6


def test_a_custom_metric_is_a_column_and_survives_without_its_function(photos: ea.Project) -> None:
    from encord_active_widgets.metrics.registry import unregister

    @ea.metric(range=(0, 1))
    def redness(pixels: np.ndarray) -> float:
        return float(pixels[..., 0].mean() / 255)

    @ea.metric
    def slimness(frame: pl.DataFrame) -> pl.Expr:
        return pl.col("width") / pl.col("height")

    @ea.metric
    def norm(embeddings: np.ndarray) -> np.ndarray:
        return np.linalg.norm(embeddings, axis=1)

    try:
        photos.compute()
        listed = photos.metrics().filter(pl.col("name").is_in(["redness", "slimness", "norm"]))
        assert listed["computed"].all()
        assert listed.height == 3
    finally:
        for name in ("redness", "slimness", "norm"):
            unregister(name)
    again = ea.open(photos.path)
    assert again.df.select(pl.col("redness", "slimness", "norm").null_count()).row(0) == (0, 0, 0)
    assert "redness" in again.metrics()["name"]
    assert len(again.filter(pl.col("redness") > 0.5)) > 0


def test_a_metric_of_pixels_is_computed_again_when_its_version_is_raised(photos: ea.Project) -> None:
    from encord_active_widgets.metrics.registry import unregister

    calls = []

    def define(version: int, value: float) -> None:
        @ea.metric(version=version)
        def constant(pixels: np.ndarray) -> float:
            calls.append(version)
            # of the second definition wide images have no value: that of the first must not stay
            return value if version == 1 or pixels.shape[1] <= pixels.shape[0] else float("nan")

    try:
        define(1, 1.0)
        photos.compute("pixels", metrics="constant")
        photos.compute("pixels", metrics="constant")
        assert calls == [1] * len(photos), "what is there is not computed again"
        define(2, 2.0)
        photos.compute("pixels", metrics="constant")
        assert calls == [1] * len(photos) + [2] * len(photos)
    finally:
        unregister("constant")
    for p in (photos, ea.open(photos.path)):
        wide = p.df["width"] > p.df["height"]
        assert 0 < wide.sum() < len(p)
        assert p.df["constant"].to_list() == [None if w else 2.0 for w in wide]
        assert [c for c in p.df.columns if "version" in c] == []


def test_uncommitted_rows_of_a_crashed_import_are_never_seen(photos: ea.Project) -> None:
    items = photos._folder.items.read().with_columns(
        pl.lit("crashed").alias("change_id"), (pl.col("ordinal") + 200), pl.col("item_id") + "x"
    )
    photos._folder.items.append(items)
    assert len(ea.open(photos.path)) == 200


def test_a_project_takes_all_its_images_along_as_a_view_does(photos: ea.Project, tmp_path: Path) -> None:
    shared = {name for name in dir(View) if name.startswith("to_")} | {"split", "dataset", "clone", "report"}
    assert shared <= set(dir(ea.Project))
    mine, its = photos.to_csv(tmp_path / "p.csv"), photos.items.to_csv(tmp_path / "v.csv")
    assert mine.items == its.items == len(photos)
    assert mine.path.read_bytes() == its.path.read_bytes()
    assert photos.split(train=0.5, val=0.25, test=0.25, seed=3).ids.equals(photos.ids)
    assert len(photos.dataset()) == len(photos)
