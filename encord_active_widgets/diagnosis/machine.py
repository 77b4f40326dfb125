"""Processors, threads and the folder that projects go to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from ..errors import EawError
from ..importing.ingest import commit
from ..store.folder import ProjectFolder
from .finding import Finding

_LEAST_FREE_BYTES = 10**9
_CGROUP_2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_1 = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))


def rows() -> list[Finding]:
    """Return the findings about the machine and the working folder."""
    return [_threads(), _folder(Path.cwd())]


def _threads() -> Finding:
    allowed, pool = processors(), pl.thread_pool_size()
    found = f"{allowed} processor{'s' if allowed > 1 else ''}; {pool} threads of Polars"
    if pool > 2 * allowed:
        hint = f'quicker with os.environ["POLARS_MAX_THREADS"] = "{allowed}" before Polars is imported'
        return Finding("threads", found, True, hint)
    return Finding("threads", found)


def processors() -> int:
    """Return how many processors this process may use: a container's share may be less than the machine has."""
    try:
        seen = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        seen = os.cpu_count() or 1
    quota = _quota()
    return seen if quota is None else max(1, min(seen, round(quota)))


def _quota() -> float | None:
    """Return the share of processors that a container has, or None without a limit."""
    try:
        limit, period = _CGROUP_2.read_text("ascii").split()
    except (OSError, ValueError):
        try:
            limit, period = (file.read_text("ascii").strip() for file in _CGROUP_1)
        except OSError:
            return None
    try:
        share = float(limit) / float(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return share if share > 0 else None


def _folder(place: Path) -> Finding:
    """Try a project in the working folder: mounted drives take files, and some of them no commits."""
    elsewhere = f"work in another folder, or give projects a path=, for instance below {tempfile.gettempdir()}"
    try:
        with _scratch(place) as scratch:
            folder = ProjectFolder(scratch)
            folder.create("doctor", {})
            with folder.lock():
                commit(folder, "doctor", "ea.doctor()", items=0, labels=0, problems=0)
    except (EawError, OSError) as error:
        reason = error.message if isinstance(error, EawError) else error.strerror or str(error)
        return Finding("working folder", f"{place} takes no project: {reason}", False, elsewhere)
    except Exception as error:  # noqa: BLE001 - the Delta library has kinds of its own; what they say is the finding
        return Finding("working folder", f"{place} takes no project: {type(error).__name__}: {error}", False, elsewhere)
    free = shutil.disk_usage(place).free
    if free < _LEAST_FREE_BYTES:
        return Finding("working folder", f"{free / 1e6:,.0f} MB free in {place}", False, f"make room, or {elsewhere}")
    return Finding("working folder", f"{place} takes projects, {free / 1e9:,.0f} GB free")


@contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix=".eaw-doctor-", dir=place))
    try:
        yield home / "try.eaw"
    finally:
        shutil.rmtree(home, ignore_errors=True)
