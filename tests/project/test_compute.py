"""Computing: nothing twice, nothing lost, and the explorer sees it happen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import encord_active_widgets as ea
from encord_active_widgets.protocol.router import Router
from encord_active_widgets.protocol.service import Service

_COMPUTE = """
import sys
import encord_active_widgets as ea
from encord_active_widgets.computing import pixel_stage
real = pixel_stage._PixelSink.__call__
def told(self, batch):
    real(self, batch)
    print(len(batch.content_hash), flush=True)
pixel_stage._PixelSink.__call__ = told
from encord_active_widgets.metrics import engine
engine.FLUSH_ROWS = 128
ea.open(sys.argv[1]).compute("pixels")
"""


@pytest.fixture
def thousand(shared_data: Path, tmp_path: Path) -> ea.Project:
    files = [str(f) for c in ("cat", "dog") for f in sorted((shared_data / "cifar10_test" / c).iterdir())]
    return ea.Project.from_folder(files, tmp_path / "p.eaw")


def _once(p: ea.Project) -> None:
    """Every content has exactly one complete row."""
    pixels = p._folder.pixels.read()
    assert pixels["content_hash"].n_unique() == pixels.height == p.df["content_hash"].n_unique()
    assert p.df["brightness"].null_count() == 0


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_stop_in_the_middle_keeps_what_was_committed_and_the_next_call_does_the_rest_once(
    thousand: ea.Project, kind: signal.Signals
) -> None:
    command = [sys.executable, "-c", _COMPUTE, str(thousand.path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    told = int(child.stdout.readline())
    os.kill(child.pid, kind)
    told += sum(int(n) for n in child.communicate()[0].split())
    kept = ea.open(thousand.path)._folder.pixels.read().height
    assert told <= kept <= len(thousand)
    again = ea.open(thousand.path)
    again.compute("pixels")
    _once(again)


def test_an_interrupt_in_this_process_keeps_finished_images(
    thousand: ea.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from encord_active_widgets.computing.pixel_stage import _PixelSink
    from encord_active_widgets.metrics import engine

    monkeypatch.setattr(engine, "FLUSH_ROWS", 64)
    real: Any = _PixelSink.__call__
    calls: list[int] = []

    def interrupted(self: _PixelSink, batch: Any) -> None:
        real(self, batch)
        calls.append(len(batch.content_hash))
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_PixelSink, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        thousand.compute("pixels")
    monkeypatch.undo()
    assert thousand._folder.pixels.read().height == sum(calls) > 0
    thousand.compute("pixels")
    _once(thousand)


def test_in_the_background_the_explorer_sees_progress_and_columns(pictures: Path, tmp_path: Path) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    service = Service(p.items)
    router = Router({**service.handlers()})
    before = service.spec()
    assert (before["state"], before["job"]) == ("raw", None)
    job = p.compute(background=True)
    assert job.wait(120)
    replies: list[dict[str, Any]] = []
    router.dispatch({"id": "a:1", "op": "sync", "revision": before["revision"]}, [], lambda c, _: replies.append(c))
    assert {"columns", "layout"} <= set(replies[0]["what"])
    assert replies[0]["job"]["state"] == "done"
    after = service.spec()
    assert after["state"] == "ready"
    assert after["embeddings"][0]["layouts"] == ["pca", "umap"]


def test_a_failure_in_the_background_is_told_not_swallowed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    monkeypatch.setattr(
        "encord_active_widgets.computing.pixel_stage.run", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    job = p.compute(background=True)
    with pytest.raises(OSError, match="disk full"):
        job.wait(60)
    assert (job.state, job.message) == ("failed", "disk full")


def test_any_executor_may_do_the_work(pictures: Path, tmp_path: Path) -> None:
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    seen: set[str] = set()

    class Watched(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            seen.add(threading.current_thread().name)
            return super().submit(*args, **kwargs)

    with Watched(1) as executor:
        p.compute("pixels", executor=executor)
    assert seen
    _once(p)


def test_new_images_are_placed_without_moving_the_old_ones(thousand: ea.Project, shared_data: Path) -> None:
    thousand.compute()
    old = {n: thousand.embeddings["descriptor"].layout(n) for n in ("pca", "umap")}
    birds = [str(f) for f in sorted((shared_data / "cifar10_test" / "bird").iterdir())[:20]]
    thousand.add_images(birds)
    thousand.compute()
    vectors = thousand.embeddings["descriptor"]
    assert len(vectors) == len(thousand)
    for name, positions in old.items():
        assert np.array_equal(vectors.layout(name)[: len(positions)], positions)
        assert np.isfinite(vectors.layout(name)).all()
    assert thousand.df["uniqueness"].null_count() == 0


@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_few_or_equal_images_have_a_map_too(n: int, pictures: Path, tmp_path: Path) -> None:
    files = sorted(str(f) for f in pictures.iterdir())[:n]
    p = ea.Project.from_folder(files, tmp_path / "p.eaw")
    p.compute()
    p.embeddings["same"] = np.ones((n, 4), np.float32)
    for name in ("descriptor", "same"):
        assert np.isfinite(p.embeddings[name].layout("umap")).all()


def test_unknown_stages_and_metrics_offer_the_right_ones(photos: ea.Project) -> None:
    with pytest.raises(ea.EawError, match="pixels"):
        photos.compute("pixel")
    with pytest.raises(ea.EawError, match="no metric"):
        photos.compute(metrics="nothing")


def test_outliers_equal_the_quartiles_of_numpy(photos: ea.Project) -> None:
    values = photos.df["brightness"].cast(pl.Float64).to_numpy()
    low, high = np.quantile(values, (0.25, 0.75))
    expected = np.flatnonzero((values < low - 1.5 * (high - low)) | (values > high + 1.5 * (high - low)))
    assert sorted(photos.outliers("brightness")["ordinal"]) == expected.tolist()


def test_files_added_without_being_opened_are_read_when_computing(pictures: Path, tmp_path: Path) -> None:
    files = [*sorted(str(f) for f in pictures.iterdir()), str(pictures / "gone.png")]
    p = ea.Project.from_frame(pl.DataFrame({"path": files, "site": range(13)}), tmp_path / "p.eaw", read=False)
    before = p.ids.to_list()
    p.compute("pixels")
    assert p.ids.to_list() == before
    assert p.df["site"].to_list() == list(range(13))
    assert p.df["brightness"].null_count() == 1
    assert p.df["width"].null_count() == 1
    assert p.problems["where"].to_list() == [files[-1]]


def test_adding_images_keeps_the_problems_of_the_first_import(pictures: Path, tmp_path: Path) -> None:
    (pictures / "broken.png").write_bytes(b"no image")
    p = ea.Project.from_folder(pictures, tmp_path / "p.eaw")
    assert p.problems.height == 1
    p.add_images([str(pictures / "00.png")])
    assert p.problems.height == 1
    (pictures / "broken.png").unlink()
    p.refresh()
    assert p.problems.height == 0


@pytest.mark.parametrize("disabled", ["", "1"])
def test_a_bar_switched_off_in_the_environment_stops_nothing(disabled: str, pictures: Path, tmp_path: Path) -> None:
    code = f"import encord_active_widgets as ea; ea.Project.from_folder({str(pictures)!r}, 'p.eaw').compute('pixels')"
    environment = {**os.environ, "TQDM_DISABLE": disabled}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ea.open(tmp_path / "p.eaw").df["brightness"].null_count() == 0
    if disabled:
        assert "%|" not in done.stderr
