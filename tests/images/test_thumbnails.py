"""What a user would lose: the pictures in the grid."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from encord_active_widgets.errors import ShapeError
from encord_active_widgets.images import thumbnails
from encord_active_widgets.images.decode import decode
from encord_active_widgets.images.thumbnails import ThumbnailStore, encode_thumbnail
from encord_active_widgets.metrics.hashes import content_hash


def blob(k: int) -> bytes:
    return f"picture {k}".encode() * (k % 5 + 1)


def names(numbers) -> list[str]:
    return [content_hash(blob(k)) for k in numbers]


def append(path: str, start: int) -> None:
    store = ThumbnailStore(path)
    for k in range(start, start + 40, 4):
        store.append(names(range(k, k + 4)), [blob(i) for i in range(k, k + 4)])


def test_what_was_put_in_comes_out_in_any_order(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path / "thumbnails")
    assert store.get(names(range(3))) == [None] * 3
    assert store.known() == set()
    store.append(names(range(100)), [blob(k) for k in range(100)])
    store.append(names(range(90, 200)), [blob(k) for k in range(90, 200)])
    wanted = [150, 3, 777, 3, 0, 199]
    assert store.get(names(wanted)) == [blob(k) if k < 200 else None for k in wanted]
    assert store.known() == set(names(range(200)))
    assert ThumbnailStore(tmp_path / "thumbnails").get(names([42])) == [blob(42)]
    assert store.get([]) == []


def test_a_second_notebook_sees_what_the_first_adds(tmp_path: Path) -> None:
    one, two = ThumbnailStore(tmp_path), ThumbnailStore(tmp_path)
    assert two.get(names([1])) == [None]
    one.append(names([1]), [blob(1)])
    assert two.get(names([1])) == [blob(1)]


def test_many_appends_are_merged_and_nothing_is_lost(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(thumbnails, "_MOST_PARTS", 6)
    store, reader = ThumbnailStore(tmp_path), ThumbnailStore(tmp_path)
    for k in range(40):
        store.append(names([k]), [blob(k)])
        assert reader.get(names([k])) == [blob(k)]
    assert len(list(tmp_path.iterdir())) <= 7
    assert reader.get(names(range(40))) == [blob(k) for k in range(40)]


def test_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append, args=(str(tmp_path), k * 40)) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    store = ThumbnailStore(tmp_path)
    assert store.get(names(range(80))) == [blob(k) for k in range(80)]


def test_deleting_the_folder_or_damaging_a_part_costs_only_pictures(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path / "t")
    store.append(names([1]), [blob(1)])
    store.append(names([2]), [blob(2)])
    parts = sorted((tmp_path / "t").iterdir(), key=lambda f: f.stat().st_mtime_ns)
    parts[0].write_bytes(b"nonsense")
    fresh = ThumbnailStore(tmp_path / "t")
    assert fresh.get(names([1, 2])) == [None, blob(2)]
    shutil.rmtree(tmp_path / "t")
    assert fresh.known() == set()
    fresh.append(names([3]), [blob(3)])
    assert fresh.get(names([2, 3])) == [None, blob(3)]


def test_a_kill_leaves_whole_parts_only(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from tests.images.test_thumbnails import *\n"
        "store = ThumbnailStore(sys.argv[1])\n"
        "for k in range(100000):\n"
        "    store.append(names([k]), [blob(k)]); print(k, flush=True)\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last = -1
    for line in process.stdout:
        last = int(line)
        if last >= 25:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    process.wait()
    store = ThumbnailStore(tmp_path)
    assert store.get(names(range(last + 1))) == [blob(k) for k in range(last + 1)]


def test_thumbnails_are_small_and_look_like_their_photo(shared_data: Path) -> None:
    for file in sorted((shared_data / "photos").iterdir())[:10]:
        pixels = decode(file.read_bytes())
        data = encode_thumbnail(pixels)
        small = decode(data)
        assert max(small.shape) == min(128, max(pixels.shape))
        assert len(data) < 12_000
        assert abs(small.mean() - pixels.mean()) < 2


def test_wrong_lengths_and_hashes_are_named(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path)
    with pytest.raises(ShapeError, match="2 hashes"):
        store.append(names([1, 2]), [b"x"])
    with pytest.raises(ShapeError, match="hexadecimal"):
        store.get(["not a hash"])
    store.append(names([1]), [b""])
    assert store.known() == set()
    assert np.array_equal(store.get(names([1])), [None])
