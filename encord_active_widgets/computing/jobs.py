"""One running computation of a project, seen by progress bars and by open explorers alike."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_RATE_AFTER_S = 0.5


@dataclass
class Job:
    """Progress of a computation: stage, done of total, rate and remaining time."""

    title: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    stage: str = ""
    done: int = 0
    total: int = 0
    state: str = "running"
    message: str = ""
    started: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    thread: threading.Thread | None = None
    on_change: Callable[[Job], None] | None = None
    """Called on the working thread after every step."""

    def enter(self, stage: str, total: int) -> None:
        """Begin a stage of `total` steps."""
        self.stage, self.total, self.done = stage, total, 0
        self.started = time.monotonic()
        self._tell()

    def reach(self, done: int, total: int) -> None:
        """Say that `done` of `total` steps are finished."""
        self.done, self.total = done, total
        self._tell()

    def end(self, state: str, message: str = "") -> None:
        """Say how it ended: done, failed or cancelled."""
        self.state, self.message = state, message
        self.finished.set()

    def _tell(self) -> None:
        if self.on_change is not None:
            self.on_change(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job ended; return whether it has. Raises what the job raised."""
        ended = self.finished.wait(timeout)
        if ended and self.error is not None:
            raise self.error
        return ended

    def cancel(self) -> None:
        """Ask the job to stop; what is finished is kept."""
        self.cancelled.set()

    @property
    def rate(self) -> float | None:
        """Steps a second since the stage began."""
        if self.state != "running":
            return None
        elapsed = time.monotonic() - self.started
        return self.done / elapsed if elapsed > _RATE_AFTER_S and self.done else None

    @property
    def eta(self) -> float | None:
        """Seconds the stage still needs at this rate."""
        rate = self.rate
        return (self.total - self.done) / rate if rate and self.state == "running" else None

    def as_message(self) -> dict[str, Any]:
        """Return what an explorer shows."""
        return {
            "id": self.id,
            "title": self.title,
            "stage": self.stage,
            "done": self.done,
            "total": self.total,
            "rate": self.rate,
            "eta": self.eta,
            "state": self.state,
            "message": self.message,
        }

    def __repr__(self) -> str:
        return f"Job({self.title}: {self.state}, {self.stage} {self.done:,}/{self.total:,})"
