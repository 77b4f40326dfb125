"""What a user would lose: finished images, or a whole run because of one bad file."""

from __future__ import annotations

import re
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from encord_active_widgets.errors import InputError
from encord_active_widgets.images.decode import probe
from encord_active_widgets.metrics import engine, registry
from encord_active_widgets.metrics.hashes import content_hash
from encord_active_widgets.metrics.pixels import PIXEL_METRICS


def redness(pixels: np.ndarray) -> float:
    return float(pixels[..., 0].mean())


def spec(function, name: str) -> registry.MetricSpec:
    made = registry.metric(name=name)(function)
    found = registry.get(name)
    registry.unregister(name)
    assert made is function
    return found


def work(files) -> pl.DataFrame:
    names = [str(f) for f in files]
    return pl.DataFrame({"uri": names, "content_hash": [content_hash(Path(n).read_bytes()) for n in names]})


def collect(todo: pl.DataFrame, **options) -> engine.PixelBatch:
    batches: list[engine.PixelBatch] = []
    engine.run(todo, batches.append, **options)
    return engine.merge(batches) if batches else engine.PixelBatch()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for k in range(60):
        size = rng.integers(1, 300, 2)
        pixels = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k:03}.{'jpg' if k % 2 else 'png'}")
    return tmp_path


def test_every_image_comes_back_once_with_everything(shared_data: Path) -> None:
    files = sorted((shared_data / "photos").iterdir())
    todo = work(files)
    seen: list[tuple[int, int]] = []
    got = collect(todo, progress=lambda done, total: seen.append((done, total)))
    assert sorted(got.content_hash) == sorted(todo["content_hash"])
    assert not got.problems
    assert seen[-1] == (200, 200)
    assert set(got.metrics) == set(PIXEL_METRICS)
    assert all(len(v) == 200 and np.isfinite(v).all() for v in got.metrics.values())
    assert np.allclose(np.linalg.norm(got.vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(got.phash)) == 200
    for blob in got.thumbnails:
        assert max(probe(blob).width, probe(blob).height) <= 128
    tiny = np.array([len(b) for b in got.thumbnails])
    assert 1_000 < tiny.mean() < 8_000


def test_rows_belong_to_their_images_whatever_the_order(folder: Path) -> None:
    todo = work(sorted(folder.iterdir()))
    one_by_one = {h: engine.compute_batch([u], [h]) for u, h in todo.select("uri", "content_hash").iter_rows()}
    got = collect(todo, workers=3)
    for k, found in enumerate(got.content_hash):
        alone = one_by_one[found]
        assert got.phash[k] == alone.phash[0]
        assert np.array_equal(got.vectors[k], alone.vectors[0])
        assert got.thumbnails[k] == alone.thumbnails[0]
        assert all(got.metrics[n][k] == alone.metrics[n][0] for n in PIXEL_METRICS)


def test_threads_and_processes_give_the_same(folder: Path) -> None:
    todo = work(sorted(folder.iterdir())[:12])
    custom = (spec(redness, "redness"),)
    here = collect(todo, custom=custom)
    with ProcessPoolExecutor(1) as pool:
        there = collect(todo, custom=custom, executor=pool, workers=1)
    order_here, order_there = np.argsort(here.content_hash), np.argsort(there.content_hash)
    assert np.array_equal(here.vectors[order_here], there.vectors[order_there])
    assert np.array_equal(here.custom["redness"][order_here], there.custom["redness"][order_there])


def test_custom_metrics_that_cannot_travel_say_so(folder: Path) -> None:
    todo = work(sorted(folder.iterdir())[:3])
    custom = (spec(lambda pixels: 1.0, "homeless"),)
    with ProcessPoolExecutor(1) as pool, pytest.raises(InputError, match="cannot be sent"):
        collect(todo, custom=custom, executor=pool, workers=1)


def test_bad_files_become_problems_and_the_rest_is_computed(folder: Path) -> None:
    good = folder / "001.jpg"
    (folder / "cut.jpg").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a photo")
    todo = work(sorted(folder.iterdir()))
    (folder / "003.jpg").unlink()
    (folder / "005.jpg").write_bytes(good.read_bytes())
    got = collect(todo)
    bad = {Path(p.address).name: p for p in got.problems}
    assert set(bad) == {"cut.jpg", "empty.jpg", "text.jpg", "003.jpg", "005.jpg"}
    assert all(p.why and p.remedy and p.what == "image" for p in bad.values())
    assert "refresh" in bad["005.jpg"].remedy
    assert bad["005.jpg"].content_hash in set(todo["content_hash"])
    assert len(got) == 58


def test_a_failing_custom_metric_is_one_problem_and_missing_values(folder: Path) -> None:
    def broken(pixels: np.ndarray) -> float:
        if pixels.shape[0] > 100:
            raise ValueError("too tall")
        return pixels.shape[0]

    got = collect(work(sorted(folder.iterdir())), custom=(spec(broken, "broken"),))
    values = got.custom["broken"]
    assert len(values) == 60
    assert np.isnan(values).any()
    assert np.isfinite(values).any()
    assert len(got.problems) == 1
    assert got.problems[0].what == 'metric "broken"'
    assert "too tall" in got.problems[0].why
    assert Path(got.problems[0].address).name in got.problems[0].why


def test_a_custom_metric_may_spoil_its_argument_without_harm(folder: Path) -> None:
    kept: list[np.ndarray] = []

    def rude(pixels: np.ndarray) -> float:
        kept.append(pixels)
        value = float(pixels.mean())
        pixels[:] = 0
        return value

    todo = work(sorted(folder.iterdir())[:9])
    got, plain = collect(todo, custom=(spec(rude, "rude"),), workers=1), collect(todo, workers=1)
    here, there = np.argsort(got.content_hash), np.argsort(plain.content_hash)  # batches end in any order
    assert np.array_equal(got.vectors[here], plain.vectors[there])
    assert (got.custom["rude"] > 0).all()


def test_only_what_is_wanted_is_made(folder: Path) -> None:
    todo = work(sorted(folder.iterdir())[:5])
    only = collect(todo, want=(), custom=(spec(redness, "redness"),))
    assert len(only.custom["redness"]) == 5
    assert not only.metrics
    assert not only.thumbnails
    small = collect(todo, want=(engine.THUMBNAILS,))
    assert len(small.thumbnails) == 5
    assert not small.metrics


class Interrupting(Executor):
    """Runs batches at once; Ctrl-C arrives when the fifth one is handed over."""

    def __init__(self) -> None:
        self.submitted = 0

    def submit(self, fn, /, *args, **kwargs) -> Future:
        self.submitted += 1
        if self.submitted == 5:
            raise KeyboardInterrupt
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_an_interrupt_keeps_every_finished_image(folder: Path) -> None:
    kept: list[engine.PixelBatch] = []
    with pytest.raises(KeyboardInterrupt):
        engine.run(work(sorted(folder.iterdir())), kept.append, executor=Interrupting(), workers=2)
    hashes = [h for b in kept for h in b.content_hash]
    assert len(hashes) == len(set(hashes)) == 4 * engine.FIRST_BATCH_IMAGES


def test_cancelling_returns_what_is_finished(folder: Path) -> None:
    cancel = threading.Event()
    kept: list[engine.PixelBatch] = []
    engine.run(
        work(sorted(folder.iterdir())),
        kept.append,
        workers=1,
        cancel=cancel,
        progress=lambda done, total: cancel.set(),
    )
    assert 0 < sum(map(len, kept)) < 60


def test_memory_is_bounded_by_batches_in_flight() -> None:
    waiting: list[int] = []

    class Counting(Executor):
        def submit(self, fn, /, *args, **kwargs) -> Future:
            waiting.append(len(args[0]))
            future: Future = Future()
            future.set_result(fn(*args, **kwargs))
            return future

    todo = pl.DataFrame({"uri": ["/nowhere"] * 20_000, "content_hash": [""] * 20_000})
    problems = 0

    def sink(batch: engine.PixelBatch) -> None:
        nonlocal problems
        problems += len(batch.problems)

    engine.run(todo, sink, executor=Counting(), workers=1)
    assert problems == 20_000
    assert max(waiting) <= engine.MOST_BATCH_IMAGES


def test_a_sink_that_fails_stops_the_run_with_its_error(folder: Path) -> None:
    def full(batch: engine.PixelBatch) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        engine.run(work(sorted(folder.iterdir())), full)


def test_small_web_images_are_their_own_thumbnails(folder: Path) -> None:
    path = folder / "small.jpg"
    Image.new("RGB", (32, 32), "red").save(path)
    assert engine.compute_batch([str(path)], [""]).thumbnails == [path.read_bytes()]


def test_nothing_to_do_and_a_wrong_frame() -> None:
    assert len(collect(work([]).cast(pl.String))) == 0
    with pytest.raises(InputError, match="uri"):
        engine.run(pl.DataFrame({"content_hash": ["a"]}), lambda batch: None)


def test_importing_the_engine_loads_no_compiler() -> None:
    import subprocess
    import sys

    code = "import sys, encord_active_widgets.metrics.engine as e; print('numba' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_every_file_with_kernels_is_known_to_the_cache() -> None:
    import encord_active_widgets
    from encord_active_widgets.images import _numba

    package = Path(encord_active_widgets.__file__).parent
    mark = re.compile("^@(exact_)?kernel$", re.MULTILINE)
    with_kernels = {str(f.relative_to(package)) for f in package.rglob("*.py") if mark.search(f.read_text())}
    assert with_kernels <= set(_numba._SOURCES)
