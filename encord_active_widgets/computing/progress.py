"""The progress bar of a computation that runs in the cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .jobs import Job

_SHOWN_AFTER_S = 0.5


@contextmanager
def shown(job: Job, *, quiet: bool = False) -> Iterator[None]:
    """Show one bar for all stages of a job: stage, rate and remaining time."""
    if quiet:
        yield
        return
    from tqdm.auto import tqdm

    bar = tqdm(total=0, desc=job.title, unit="", delay=_SHOWN_AFTER_S, dynamic_ncols=True)
    if bar.disable:  # TQDM_DISABLE in the environment; such a bar has no text and no total to change
        yield
        return

    def update(job: Job) -> None:
        if bar.desc.removesuffix(": ") != job.stage:
            bar.set_description(job.stage, refresh=False)
            bar.reset(total=job.total)
        bar.total = job.total
        bar.update(job.done - bar.n)

    job.on_change = update
    try:
        yield
    finally:
        job.on_change = None
        if job.state == "done":
            bar.set_description("computed", refresh=False)
        bar.close()
