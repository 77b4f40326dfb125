"""An edit that was acknowledged is on the disk, whatever happens to the process afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl

KILLS = 20
ROWS = 300
_TAGGER = """
import sys
import encord_active_widgets as ea
p = ea.open(sys.argv[1])
run = int(sys.argv[2])
for i in range(10_000):
    name = f"t{run}-{i}"
    p.items.at([i % 300, (i * 7 + run) % 300]).tag(name)
    print(name, flush=True)
"""


def test_twenty_kills_right_after_saved_lose_nothing(tmp_path: Path) -> None:
    import encord_active_widgets as ea

    path = tmp_path / "kill.eaw"
    ea.Project.from_frame(pl.DataFrame({"path": [f"{i}.jpg" for i in range(ROWS)]}), path, read=False)
    rng = random.Random(5)
    saved: set[str] = set()
    for run in range(KILLS):
        tagger = subprocess.Popen(
            [sys.executable, "-c", _TAGGER, str(path), str(run)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert tagger.stdout is not None
            for _ in range(rng.randint(1, 6)):
                line = tagger.stdout.readline()
                assert line, "the tagging process ended early"
                saved.add(line.strip())
        finally:
            os.kill(tagger.pid, signal.SIGKILL)
            saved.update(tagger.communicate()[0].split())
    tags = dict(ea.open(path).tags.select("tag", "count").iter_rows())
    assert saved - set(tags) == set(), "acknowledged edits are gone"
    assert all(tags[name] in (1, 2) for name in saved)
    assert len(tags) <= len(saved) + KILLS, "at most the edit in flight of each run may be there without its word"


def test_two_processes_tagging_at_once_lose_nothing(tmp_path: Path) -> None:
    import encord_active_widgets as ea

    path = tmp_path / "two.eaw"
    ea.Project.from_frame(pl.DataFrame({"path": [f"{i}.jpg" for i in range(ROWS)]}), path, read=False)
    code = _TAGGER.replace("range(10_000)", "range(25)")
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(run)], stdout=subprocess.PIPE) for run in (0, 1)
    ]
    said = {name for process in both for name in process.communicate()[0].decode().split()}
    assert [process.returncode for process in both] == [0, 0]
    assert len(said) == 50
    assert said <= set(ea.open(path).tags["tag"])
