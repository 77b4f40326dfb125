"""The Python half of an imitated host: real explorers in this process, whose messages a page fetches and delivers."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comm
from comm.base_comm import BaseComm
from playwright.sync_api import Page

Message = dict[str, Any]


class Kernel:
    """A kernel that answers on one thread, as ipykernel 6 does: while a cell runs, messages wait.

    Parameters
    ----------
    other_threads : bool
        Whether what another thread sends is delivered. Colab does not (its issues 6, 19, 3373 and 498).
    """

    def __init__(self, *, other_threads: bool = True) -> None:
        self.heard: list[Message] = []
        """Every message that the page sent, oldest first."""
        self.lost = 0
        """Messages that were sent from another thread, and dropped."""
        self.busy = False
        self.alive = True
        self._other_threads = other_threads
        self._thread = threading.current_thread()
        self._comms: dict[str, _Comm] = {}
        self._waiting: list[str] = []
        self._out: list[Message] = []

    def publish(self, message: Message) -> None:
        if threading.current_thread() is not self._thread and not self._other_threads:
            self.lost += 1
        else:
            self._out.append(message)

    def register(self, one: _Comm) -> None:
        self._comms[one.comm_id] = one

    def receive(self, text: str) -> list[Message]:
        """Take a message of the page; return all that is to be delivered by now, bytes in base64."""
        if not self.alive:
            return []
        if self.busy:
            self._waiting.append(text)
            return self.flush()
        self._handle(text)
        return self.flush()

    def _handle(self, text: str) -> None:
        message = json.loads(text)
        message["size"] = len(text)
        self.heard.append(message)
        buffers = [memoryview(base64.b64decode(b)) for b in message.get("buffers", [])]
        one = self._comms.get(message["comm_id"])
        if one is not None:
            one.handle_msg({"content": {"data": message["data"]}, "buffers": buffers, "metadata": {}})

    def idle(self) -> None:
        """End the cell that ran: what waited is handled."""
        self.busy = False
        for text in self._waiting:
            self._handle(text)
        self._waiting.clear()

    def flush(self) -> list[Message]:
        out, self._out = self._out, []
        return [{**m, "buffers": [base64.b64encode(b).decode() for b in m["buffers"]]} for m in out]

    def deliver(self, page: Page) -> None:
        """Deliver what Python sent of its own accord."""
        page.evaluate("messages => window.deliver(messages)", self.flush())


class _Comm(BaseComm):
    """A comm whose messages go to a kernel of ours."""

    def __init__(self, kernel: Kernel, **keys: Any) -> None:
        self._kernel = kernel
        super().__init__(**keys)
        kernel.register(self)

    def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any) -> None:
        # As on the wire: what JSON cannot carry fails here, and what is sent cannot change any more.
        sent = json.loads(json.dumps(data or {}, allow_nan=False))
        raw = [bytes(memoryview(b).cast("B")) for b in buffers or []]
        self._kernel.publish({"type": msg_type, "comm_id": self.comm_id, "data": sent, "buffers": raw})


@contextmanager
def in_this_process(*, other_threads: bool = True) -> Iterator[Kernel]:
    """Let widgets that are made from now on talk to an imitated kernel."""
    kernel = Kernel(other_threads=other_threads)
    before: Callable[..., BaseComm] = comm.create_comm
    comm.create_comm = lambda *_, **keys: _Comm(kernel, **keys)
    try:
        yield kernel
    finally:
        comm.create_comm = before
