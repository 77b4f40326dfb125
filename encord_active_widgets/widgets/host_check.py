"""A widget that tries out what the host carries between page and kernel, and shows the verdict in the cell."""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from ..errors import InputError
from ..protocol.router import Buffers, Reply, Router
from .bundle import esm

log = logging.getLogger("encord_active_widgets")

_MOST_DOWN_BYTES = 16 * 1024 * 1024
_UNASKED_AFTER_S = 0.05
_REPEATS = 65_536
"""Bytes after which `pattern` begins again: 256 runs of 256."""

Facts = dict[str, Any]
Judge = Callable[[Facts], dict[str, Any]]


class HostCheck(anywidget.AnyWidget):
    """The kernel's half of `ea.doctor()`: it answers what the page tries, and words the verdict on what it measured.

    Parameters
    ----------
    judge : callable
        Given what the page measured (and `during_cell`: whether messages are answered while a cell runs), it returns
        what the page shows: `well`, `text`, and `rows` of `check`, `found`, `ok`, `remedy`.
    unseen : str
        What a host shows that draws no widgets.
    """

    _session = traitlets.Dict().tag(sync=True)
    _page = traitlets.Dict({}, help="Set by the page, to see whether it arrives.").tag(sync=True)
    _kernel = traitlets.Dict({}, help="Set here in answer to it.").tag(sync=True)

    def __init__(self, judge: Judge, unseen: str) -> None:
        self._judge, self._unseen = judge, unseen
        self._main = threading.main_thread()
        self.facts: Facts | None = None
        """What the page measured; None until it has answered."""
        self._router = Router({
            "check.echo": self._echo, "check.down": self._down, "check.unasked": self._push, "check.done": self._done
        })  # fmt: skip
        super().__init__(_esm=esm(), _session={"id": uuid.uuid4().hex, "kind": "check"})
        self.on_msg(self._on_message)
        self.observe(self._page_changed, names="_page")

    def _on_message(self, _: Any, content: Any, buffers: list[Any]) -> None:
        self._router.dispatch(content, buffers or [], self.send)

    def _page_changed(self, change: Mapping[str, Any]) -> None:
        self._kernel = dict(change["new"])

    def _echo(self, _: dict[str, Any], buffers: Buffers) -> Reply:
        """Send back what came, once as bytes and once as a view: hosts have lost either."""
        back: list[Any] = [part for b in buffers for part in (bytes(b), memoryview(bytearray(b)))]
        return Reply({}, back)

    def _down(self, content: dict[str, Any], _: Buffers) -> Reply:
        n = content.get("n")
        if not isinstance(n, int) or not 0 < n <= _MOST_DOWN_BYTES:
            raise InputError("So many bytes cannot be asked for.", f"Ask for 1 to {_MOST_DOWN_BYTES}.")
        return Reply({"n": n}, [pattern(n)])

    def _push(self, _: dict[str, Any], __: Buffers) -> Reply:
        """Send something of our own accord, from another thread: Colab drops it, so the explorer never relies on it."""

        def later() -> None:
            time.sleep(_UNASKED_AFTER_S)
            self.send({"v": 1, "check": "unasked"})

        threading.Thread(target=later, name="eaw-unasked", daemon=True).start()
        return Reply({})

    def _done(self, content: dict[str, Any], _: Buffers) -> Reply:
        facts = content.get("facts")
        if not isinstance(facts, dict):
            raise InputError("The page sent no facts.", "Reload the page and run the cell again.")
        self.facts = {**facts, "during_cell": threading.current_thread() is not self._main}
        return Reply(self._judge(self.facts))

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return the widget, and a sentence for where widgets are not drawn."""
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None:
            return shown
        data, metadata = shown
        return {**data, "text/plain": self._unseen}, metadata


def pattern(n: int) -> bytes:
    """Return the bytes that the page expects: byte `i` is `31 i + 7 (i >> 8)`, modulo 256."""
    import numpy as np

    i = np.arange(min(n, _REPEATS), dtype=np.uint32)
    once = (i * 31 + (i >> 8) * 7).astype(np.uint8).tobytes()
    return (once * (n // len(once) + 1))[:n] if n else b""


def has_page() -> bool:
    """Tell whether a notebook's kernel runs this code, so that a page may be there to answer."""
    return _shell() is not None or _in_marimo()


def display(check: HostCheck) -> None:
    """Show the check in the output of the running cell."""
    if _in_marimo():
        import marimo

        marimo.output.append(marimo.ui.anywidget(check))
        return
    from IPython.display import display as show

    show(check)


def _shell() -> Any:
    """Return IPython's shell where it belongs to a kernel; a terminal has one too, and no page."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None


def _in_marimo() -> bool:
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())
