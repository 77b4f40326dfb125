"""`p.embed`: a model of the user's is run over the images, and nothing it finished is lost."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.computing import embed_stage
from encord_active_widgets.embeddings import reading
from encord_active_widgets.errors import ImageError, InputError, ShapeError, UnknownNameError

WORDS = {"red": (1, -1, -1), "dark": (-1, -1, -1), "bright": (1, 1, 1)}


def mean_colour(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2)) - 128


class Counting:
    """A mean colour that remembers what it was called with, and can stop at a batch."""

    name, size, batch_size = "counting", 16, 8

    def __init__(self, stop_at: int = 10**9, stop: BaseException | None = None) -> None:
        self.calls: list[tuple[tuple[int, ...], np.dtype]] = []
        self._stop_at, self._stop = stop_at, stop

    def __call__(self, images):
        if len(self.calls) + 1 == self._stop_at and self._stop is not None:
            raise self._stop
        self.calls.append((images.shape, images.dtype))
        return mean_colour(images)

    @property
    def seen(self) -> int:
        return sum(shape[0] for shape, _ in self.calls)


class Colours(Counting):
    """The same with a text tower."""

    name = "colours"

    def embed_text(self, texts):
        return [np.mean([WORDS.get(w, (0, 0, 0)) for w in t.split()], axis=0) for t in texts]


@pytest.fixture
def cifar(shared_data: Path, tmp_path: Path) -> ea.Project:
    """120 real 32×32 images of three classes."""
    folder = tmp_path / "cifar"
    for name in ("airplane", "frog", "ship"):
        (folder / name).mkdir(parents=True)
        for file in sorted((shared_data / "cifar10_test" / name).iterdir())[:40]:
            shutil.copy(file, folder / name)
    return ea.Project.from_folder(folder, tmp_path / "cifar.eaw")


@pytest.fixture
def drawn(pictures: Path, tmp_path: Path) -> ea.Project:
    """Twelve drawn images of 64×64."""
    return ea.Project.from_folder(pictures, tmp_path / "drawn.eaw")


def pixels_of(uri: str) -> np.ndarray:
    with Image.open(uri) as image:
        return np.asarray(image.convert("RGB"))


# -- vectors ----------------------------------------------------------------------------------


def test_each_image_gets_the_vector_the_function_gives_for_it(cifar: ea.Project) -> None:
    vectors = cifar.embed("colour", mean_colour, size=32, batch_size=50)
    expected = np.stack([pixels_of(u).mean(axis=(0, 1)) - 128 for u in cifar.df["uri"]])
    assert vectors.rows.tolist() == list(range(120))
    assert np.abs(np.asarray(vectors.vectors) - expected).max() < 0.5
    assert vectors.layouts == ["pca", "umap"]
    assert cifar.embeddings.made_by("colour")["name"] == "mean_colour"


def test_batches_are_equal_arrays_with_a_size_and_lists_of_whole_images_without(photos: ea.Project) -> None:
    counting = Counting()
    photos.embed("counting", counting)
    assert {(shape[1:], kind) for shape, kind in counting.calls} == {((16, 16, 3), np.dtype(np.uint8))}
    assert [shape[0] for shape, _ in counting.calls] == [8] * 25
    sizes = []

    def whole(images):
        assert isinstance(images, list)
        sizes.extend(i.shape for i in images)
        return [i.mean(axis=(0, 1)) for i in images]

    photos.embed("whole", whole, batch_size=16)
    items = photos.df
    assert sizes == [(h, w, 3) for h, w in zip(items["height"], items["width"], strict=True)]


def test_neighbour_metrics_and_similarity_follow(photos: ea.Project) -> None:
    photos.embed("colour", mean_colour, size=32)
    assert photos.df["uniqueness_colour"].null_count() == 0
    vectors = np.asarray(photos.embeddings["colour"].vectors, dtype=float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit[7]), kind="stable")
    found = photos.items.at([7]).similar(3, embedding="colour")
    assert found.rows.tolist() == [r for r in nearest.tolist() if r != 7][:3]


@pytest.mark.parametrize(
    "shape_up",
    [
        lambda v: v.astype(np.float64),
        lambda v: v.astype(np.float16),
        lambda v: v.tolist(),
        list,
        lambda v: tuple(row.astype(np.float64) for row in v),
        lambda v: np.round(v).astype(np.int64),
    ],
    ids=["float64", "float16", "lists", "rows", "tuple", "integers"],
)
def test_vectors_of_every_usual_kind_are_taken(drawn: ea.Project, shape_up) -> None:
    def embedder(images):
        return shape_up(mean_colour(images))

    found = np.asarray(drawn.embed("colour", embedder, size=64).vectors)
    expected = np.stack([pixels_of(u).mean(axis=(0, 1)) - 128 for u in drawn.df["uri"]])
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 0.6


def test_objects_are_embedded_by_their_crops_and_each_image_is_decoded_once(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shared_data / "bccd"
    p = ea.Project.from_coco(source / "annotations.json", images=source / "images", path=tmp_path / "bccd.eaw")
    view = p.items.head(12).objects()
    read = []
    original = reading.read_bytes
    monkeypatch.setattr(reading, "read_bytes", lambda a: read.append(a) or original(a))
    vectors = view.embed("crops", lambda images: [i.mean(axis=(0, 1)) for i in images], batch_size=10)
    assert sorted(read) == sorted(set(read))
    assert len(read) == 12
    frame = p.objects.df.filter(pl.col("ordinal").is_in(pl.Series(vectors.rows).implode()))
    assert len(vectors) == len(view) == frame.height
    for row, vector in zip(frame.iter_rows(named=True), np.asarray(vectors.vectors), strict=True):
        pixels = pixels_of(row["uri"])
        x0, y0 = max(int(np.floor(row["x"])), 0), max(int(np.floor(row["y"])), 0)
        x1, y1 = int(np.ceil(row["x"] + row["w"])), int(np.ceil(row["y"] + row["h"]))
        assert vector == pytest.approx(pixels[y0:y1, x0:x1].mean(axis=(0, 1)), abs=1.0)
    assert list(p.embeddings) == []
    with pytest.raises(InputError, match="classification"):
        p.classifications.embed("x", mean_colour)


# -- going on ---------------------------------------------------------------------------------


def test_an_interrupt_keeps_what_was_finished_and_the_next_call_does_the_rest(photos: ea.Project) -> None:
    stopped = Counting(stop_at=6, stop=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        photos.embed("counting", stopped)
    assert len(photos.embeddings["counting"]) == 5 * 8
    rest = Counting()
    vectors = ea.open(photos.path).embed("counting", rest)
    assert (len(vectors), rest.seen) == (200, 160)
    once = np.asarray(photos.embed("once", Counting()).vectors)
    assert np.array_equal(np.asarray(vectors.vectors), once)
    again = Counting()
    photos.embed("counting", again)
    assert again.seen == 0


def test_a_cancelled_job_keeps_what_was_finished(photos: ea.Project) -> None:
    def cancelling(images):
        assert photos._job is not None
        photos._job.cancel()
        return mean_colour(images)

    assert len(photos.embed("some", cancelling, size=16, batch_size=8)) == 8
    assert photos._job is not None
    assert photos._job.state == "cancelled"


def test_new_and_changed_images_are_embedded_and_no_others(cifar: ea.Project, shared_data: Path) -> None:
    cifar.embed("counting", Counting())
    folder = Path(cifar.df["uri"][0]).parent
    files = sorted((shared_data / "cifar10_test" / "cat").iterdir())
    for file in files[:5]:
        shutil.copy(file, folder / f"new-{file.name}")
    changed = folder / Path(cifar.df["uri"][0]).name
    shutil.copy(files[7], changed)
    cifar.refresh()
    assert len(cifar) == 125
    rest = Counting()
    vectors = cifar.embed("counting", rest)
    assert (len(vectors), rest.seen) == (125, 6)
    row = int(np.flatnonzero(cifar.df["uri"].str.ends_with(changed.name).to_numpy())[0])
    small = np.asarray(Image.open(files[7]).convert("RGB").resize((16, 16), Image.Resampling.BICUBIC))
    assert np.asarray(vectors.vectors)[row] == pytest.approx(small.mean(axis=(0, 1)) - 128, abs=1.0)


def test_equal_images_are_embedded_once(pictures: Path, tmp_path: Path) -> None:
    shutil.copy(pictures / "03.png", pictures / "copy.png")
    p = ea.Project.from_folder(pictures, tmp_path / "copies.eaw")
    counting = Counting()
    vectors = np.asarray(p.embed("counting", counting).vectors)
    assert (len(p), len(vectors), counting.seen) == (13, 13, 12)
    assert np.array_equal(vectors[3], vectors[12])


def test_a_view_embeds_its_rows_alone(drawn: ea.Project) -> None:
    assert drawn.embed("some", mean_colour, size=8, view=drawn.items.at([4, 2])).rows.tolist() == [2, 4]
    counting = Counting()
    assert drawn.items.at([1, 2]).embed("few", counting).rows.tolist() == [1, 2]
    assert len(drawn.embed("some", mean_colour, size=8)) == 12


def test_vectors_of_two_embedders_are_not_mixed(drawn: ea.Project) -> None:
    half = drawn.items.at([0, 1, 2, 3, 4, 5])
    half.embed("set", mean_colour, size=8)
    with pytest.raises(InputError, match=r'"mean_colour" \(callable.*"counting".*replace=True'):
        drawn.embed("set", Counting())
    with pytest.raises(InputError, match=r"8×8.*16×16"):
        drawn.embed("set", mean_colour, size=16)
    assert len(drawn.embeddings["set"]) == 6
    drawn.embeddings["own"] = np.ones((12, 3))
    with pytest.raises(InputError, match="assigned"):
        drawn.embed("own", mean_colour, size=8)
    before = np.asarray(drawn.embeddings["set"].vectors).copy()
    with pytest.raises(InputError, match="ValueError: no"):
        drawn.embed("set", Counting(stop_at=1, stop=ValueError("no")), replace=True)
    assert np.array_equal(np.asarray(drawn.embeddings["set"].vectors), before)
    assert len(drawn.embed("set", Counting(), replace=True)) == 12
    assert drawn.embeddings.made_by("set")["name"] == "counting"
    drawn.embeddings["set"] = np.ones((12, 3))
    assert drawn.embeddings.made_by("set") is None


def test_vectors_of_two_lambdas_closures_or_partials_are_not_mixed(drawn: ea.Project) -> None:
    def scaled(by: float) -> Callable[[list], list]:
        return lambda images: [np.array([im.mean() * by, 1.0]) for im in images]

    def summed(images: list, *, power: int) -> list:
        return [np.array([im.mean() ** power, 1.0]) for im in images]

    half = drawn.items.head(6)
    for name, one, other in (
        ("closure", scaled(1.0), scaled(2.0)),
        ("partial", functools.partial(summed, power=1), functools.partial(summed, power=2)),
        ("lambda", lambda images: [np.array([im.mean(), 1]) for im in images],
         lambda images: [np.array([im.max(), 1]) for im in images]),
    ):  # fmt: skip
        half.embed(name, one)
        with pytest.raises(InputError, match="not by"):
            drawn.embed(name, other)
        drawn.embed(name, one)
        assert len(drawn.embeddings[name]) == len(drawn)
        assert ea.open(drawn.path).embed(name, one) is not None
    drawn.embed("closure", scaled(1.0))  # made again, it is the same


@pytest.mark.parametrize(("size", "batch"), [(10**9, 1), ((9000, 10), 1), (8192, 32)])
def test_sizes_that_would_fill_the_memory_are_refused(drawn: ea.Project, size: Any, batch: int) -> None:
    with pytest.raises(InputError, match=r"too large|takes"):
        drawn.embed("big", lambda images: images, size=size, batch_size=batch)


# -- bad input --------------------------------------------------------------------------------


def second(drawn: ea.Project, spoil) -> str:
    """Spoil the second batch of five; return the error's text after checking that the first was kept."""
    calls = []

    def embedder(images):
        calls.append(len(images))
        return mean_colour(images) if len(calls) == 1 else spoil(mean_colour(images))

    with pytest.raises((ShapeError, InputError)) as caught:
        drawn.embed("bad", embedder, size=8, batch_size=5)
    assert len(drawn.embeddings["bad"]) == 5
    assert "batch 2 (5 images from" in str(caught.value)
    assert "05.png" in str(caught.value)
    assert "What was finished is kept" in str(caught.value)
    return str(caught.value)


def with_nan(v: np.ndarray) -> np.ndarray:
    v[3, 1] = np.nan
    return v


def raising(v: np.ndarray) -> np.ndarray:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v[:-1], "returned 4 rows"),
        (lambda v: np.concatenate([v, v]), "returned 10 rows"),
        (lambda v: v[:, 0], r"shape \(5,\)"),
        (lambda v: v[:, :, None], r"shape \(5, 3, 1\)"),
        (lambda v: v[:, :2], "vectors of 2.*have 3"),
        (lambda v: v[:, :0], "length 0"),
        (with_nan, "NaN or infinity.*1 vectors, the first in row 3"),
        (lambda v: v.astype(float) * 1e300, "NaN or infinity"),
        (lambda v: {"vectors": v}, "dict"),
        (lambda v: None, "NoneType"),
        (lambda v: [v[0, :2], *v[1:]], "no array"),
        (lambda v: v.astype(str), "not numbers"),
        (lambda v: v.astype(complex), "not numbers"),
        (raising, "RuntimeError: out of memory.*smaller batch_size"),
    ],
)
def test_a_batch_of_wrong_vectors_is_named_and_the_ones_before_are_kept(drawn, spoil, message) -> None:
    import re

    assert re.search(message, second(drawn, spoil))


def test_unreadable_images_are_listed_and_the_others_get_their_vectors(pictures: Path, tmp_path: Path) -> None:
    (pictures / "broken.png").write_bytes((pictures / "01.png").read_bytes()[:200])
    p = ea.Project.from_folder(pictures, tmp_path / "broken.eaw")
    (pictures / "02.png").write_bytes((pictures / "05.png").read_bytes())
    (pictures / "07.png").unlink()
    lost = [r for r, u in enumerate(p.df["uri"]) if Path(u).name in ("broken.png", "02.png", "07.png")]
    counting = Counting()
    vectors = p.embed("counting", counting)
    assert sorted(set(range(len(p))) - set(vectors.rows.tolist())) == lost
    assert counting.seen == 10
    listed = p.problems.filter(pl.col("stage") == "embed")
    named = {Path(w).name: why for w, why in listed.select("where", "why").iter_rows()}
    assert "changed" in named["02.png"]
    assert "no file" in named["07.png"]
    p.embed("counting", Counting())
    assert p.problems.filter(pl.col("stage") == "embed").height == listed.height
    with pytest.raises(InputError, match=r"No image could be embedded.*p\.problems"):
        p.items.at(lost).embed("none", Counting())
    with pytest.raises(InputError, match="view is empty"):
        p.filter(pl.lit(False)).embed("none", Counting())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "descriptor"}, "built-in"),
        ({"name": "a/b"}, "cannot name"),
        ({"embedder": "resnet"}, "cannot be called"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"size": -1}, "no size"),
        ({"size": (8, 8, 3)}, "no size"),
        ({"fit": "zoom"}, "crop, stretch, pad"),
        ({"embedder": Counting(), "size": 99}, "takes images of"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_anything_runs(drawn, options, message) -> None:
    call = {"name": "x", "embedder": mean_colour, "size": 8} | options
    with pytest.raises(InputError, match=message):
        drawn.embed(call.pop("name"), call.pop("embedder"), **call)
    assert list(drawn.embeddings) == []


# -- searching --------------------------------------------------------------------------------


@pytest.fixture
def street(photos: ea.Project, tmp_path: Path, shared_data: Path) -> ea.Project:
    """Forty real photos, and among them one image that is red and one that is dark."""
    folder = tmp_path / "street"
    folder.mkdir()
    for file in sorted((shared_data / "photos").iterdir())[:40]:
        shutil.copy(file, folder)
    for name, colour in (("red", (250, 4, 2)), ("dark", (9, 9, 9))):
        Image.new("RGB", (50, 40), colour).save(folder / f"{name}.png")
    return ea.Project.from_folder(folder, tmp_path / "street.eaw")


def names(view: ea.View) -> list[str]:
    return [Path(u).name for u in view.df["uri"]]


def test_a_text_finds_the_images_it_describes(street: ea.Project) -> None:
    street.embed("colours", Colours())
    assert names(street.search("a dark street", k=3))[0] == "dark.png"
    assert names(street.search(text="red", k=1)) == ["red.png"]
    found = street.search("a dark street", k=42)
    vectors = np.asarray(street.embeddings["colours"].vectors, dtype=float)
    cosine = vectors @ np.full(3, -1) / np.linalg.norm(vectors, axis=1) / np.sqrt(3)
    assert found.df["distance"].to_numpy() == pytest.approx(1 - np.sort(cosine)[::-1], abs=1e-5)


def test_an_image_is_searched_in_an_own_set_with_the_sets_embedder(street: ea.Project) -> None:
    street.embed("colours", Colours())
    uri = street.df["uri"][11]
    assert names(street.search(uri, embedding="colours", k=1)) == [Path(uri).name]
    assert names(street.search(np.full((9, 9, 3), (250, 4, 2), np.uint8), embedding="colours", k=1)) == ["red.png"]
    assert names(street.search(Path(uri), embedder=Colours(), k=1)) == [Path(uri).name]


def test_a_later_session_says_which_embedder_is_needed_and_takes_it(street: ea.Project) -> None:
    street.embed("colours", Colours())
    later = ea.open(street.path)
    with pytest.raises(
        InputError, match=r"'a dark street'.*text.*made \"colours\" \(callable \"colours\"\).*embedder="
    ):
        later.search("a dark street")
    with pytest.raises(InputError, match=r'made by "colours" \(callable\).*embedder='):
        later.search(later.df["uri"][0], embedding="colours")
    assert names(later.search("a dark street", embedder=Colours(), k=1)) == ["dark.png"]
    assert names(later.search("red", k=1)) == ["red.png"]


def test_paths_and_texts_are_not_confused(street: ea.Project, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"There is no image 'a dark street', so it is a text.*ea\.embedders\.clip"):
        street.search("a dark street")
    street.embed("colours", Colours())
    for address in ("missing.jpg", "photos/missing", str(tmp_path / "missing"), "clip.mp4#pts=3"):
        with pytest.raises(ImageError, match=r"There is no image.*text="):
            street.search(address)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (50, 40), (250, 4, 2)).save(tmp_path / "dark", format="png")
    assert street.search("dark", embedding="colours", k=1).df["uri"][0].endswith("red.png"), "a file is an image"
    assert names(street.search(text="dark", k=1)) == ["dark.png"]
    with pytest.raises(ImageError, match=r"is a folder.*text="):
        street.search("street")
    for nothing in ("", "  "):
        with pytest.raises((InputError, ImageError)):
            street.search(nothing)
    with pytest.raises(InputError, match="one of the three"):
        street.search("dark", text="dark")
    with pytest.raises(InputError, match="one of the three"):
        street.search()


def test_searches_that_cannot_be_answered_say_what_to_do(street: ea.Project) -> None:
    street.embed("counting", Counting())
    street.embed("colours", Colours())
    with pytest.raises(InputError, match=r'made by "counting", which has no text tower'):
        street.search("dark", embedding="counting")
    with pytest.raises(InputError, match="no text tower"):
        street.search(text="dark", embedder=Counting())
    with pytest.raises(UnknownNameError, match="colours"):
        street.search(text="dark", embedding="colour")
    street.embeddings["own"] = np.random.default_rng(0).normal(size=(42, 3))
    with pytest.raises(InputError, match=r"were assigned.*embedder=.*vector="):
        street.search(text="dark", embedding="own")
    assert len(street.search(text="dark", embedding="own", embedder=Colours(), k=4)) == 4
    other = Colours()
    other.name = "other"
    with pytest.raises(InputError, match=r'"other" made no set here.*embedding='):
        street.search(text="dark", embedder=other)


def test_a_view_is_searched_among_its_own_rows(street: ea.Project) -> None:
    street.embed("colours", Colours())
    some = street.items.at([3, 9, 14, 30])
    found = some.search("dark", k=3)
    everything = street.search("dark", k=42)
    assert found.rows.tolist() == [r for r in everything.rows.tolist() if r in (3, 9, 14, 30)][:3]
    distances = dict(everything.df.select("ordinal", "distance").iter_rows())
    assert found.df["distance"].to_list() == pytest.approx([distances[r] for r in found.rows.tolist()], abs=1e-6)
    assert len(some.search("dark", k=10)) == 4
    assert len(street.filter(pl.lit(False)).search("dark")) == 0


def test_objects_are_searched_by_their_crops(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "bccd"
    p = ea.Project.from_coco(source / "annotations.json", images=source / "images", path=tmp_path / "bccd.eaw")
    p.items.head(10).objects().embed("colours", Colours())
    vectors = p.objects.embeddings["colours"]
    cosine = np.asarray(vectors.vectors) @ np.full(3, -1) / np.linalg.norm(np.asarray(vectors.vectors), axis=1)
    assert p.objects.search("dark", k=1).rows.tolist() == [int(vectors.rows[np.argmax(cosine)])]


def test_finished_vectors_are_committed_while_the_model_still_works(photos: ea.Project, monkeypatch) -> None:
    monkeypatch.setattr(embed_stage, "FLUSH_ROWS", 24)
    stored = []

    def embedder(images):
        stored.append(photos._folder.embedding("colour").read().height)
        return mean_colour(images)

    photos.embed("colour", embedder, size=8, batch_size=8)
    assert stored[:7] == [0, 0, 0, 24, 24, 24, 48], "a kill loses no more than what waits for the next commit"


def test_objects_outside_their_image_are_listed_and_have_no_vector(pictures: Path, tmp_path: Path) -> None:
    files = sorted(str(f) for f in pictures.iterdir())[:3]
    boxes = pl.DataFrame(
        {"path": files, "class_name": ["a", "b", "c"], "x": [4.0, 500.0, 40.0], "y": [4.0, 500.0, 40.0]}
    ).with_columns(w=pl.lit(50.0), h=pl.lit(50.0))
    p = ea.Project.from_frame(boxes, tmp_path / "boxes.eaw")
    shapes = []

    def embedder(images):
        shapes.extend(i.shape for i in images)
        return [i.mean(axis=(0, 1)) for i in images]

    assert p.objects.embed("crops", embedder).rows.tolist() == [0, 2]
    assert sorted(shapes) == [(24, 24, 3), (50, 50, 3)]
    listed = p.problems.filter(pl.col("stage") == "embed")
    assert listed["what"].to_list() == ["objects"]
    assert "outside" in listed["why"][0]
