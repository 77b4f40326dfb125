"""Requests in, replies out: dispatch by name, typed errors, large replies in parts.

Knows no widget: what sends the messages is passed in.
"""

from __future__ import annotations

import base64
import binascii
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors import EawError

log = logging.getLogger("encord_active_widgets")

PART_BYTES = 4 * 1024 * 1024
MOST_REQUEST_BYTES = 1024 * 1024
_VERSION = 1

Buffers = Sequence[bytes | memoryview]
Send = Callable[[dict[str, Any], list[bytes | memoryview]], None]


class Reply(NamedTuple):
    """A reply's header and its buffers."""

    head: dict[str, Any]
    buffers: list[bytes] = []  # noqa: RUF012 - never written to


Handler = Callable[[dict[str, Any], Buffers], Reply]


class Router:
    """Named handlers; every request gets exactly one reply, an error included."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers

    def dispatch(self, content: Any, buffers: Buffers, send: Send) -> None:
        """Answer one message; what is not a request of ours is ignored."""
        if not isinstance(content, dict) or not isinstance(content.get("id"), str) or "op" not in content:
            return
        request = content["id"]
        try:
            reply = self._answer(content, buffers)
        except EawError as error:
            send(_error(request, type(error).__name__, error.message, error.remedy), [])
            return
        except Exception as error:
            log.exception("The request %s failed", content.get("op"))
            send(_error(request, "internal", f"{type(error).__name__}: {error}", "See the log of the kernel."), [])
            return
        for message, parts in split(request, reply):
            send(message, parts)

    def _answer(self, content: dict[str, Any], buffers: Buffers) -> Reply:
        name = content["op"]
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            raise EawError(f'Unknown request "{name}".', "The page and the kernel run different versions: reload both.")
        reply = handler(content, _bytes_of(content, buffers))
        return Reply(finite(reply.head), reply.buffers)


def _bytes_of(content: dict[str, Any], buffers: Buffers) -> Buffers:
    """Return the bytes of a request: pages spell them in the message, for not every host carries bytes up."""
    spelt = content.get("b64", [])
    if not isinstance(spelt, list) or not all(isinstance(text, str) for text in spelt):
        raise EawError("The request's bytes are not texts.", "Page and kernel run different versions: reload both.")
    if sum(map(len, spelt)) + sum(memoryview(b).nbytes for b in buffers) > MOST_REQUEST_BYTES:
        raise EawError("The request is larger than 1 MiB.", "Send fewer rows at a time.")
    try:
        return [*(base64.b64decode(text, validate=True) for text in spelt), *buffers]
    except binascii.Error as error:
        raise EawError(f"The request's bytes cannot be read: {error}.", "Reload the page.") from error


def split(request: str, reply: Reply) -> list[tuple[dict[str, Any], list[bytes | memoryview]]]:
    """Cut a reply into messages of at most `PART_BYTES`; a small one stays whole."""
    if sum(len(b) for b in reply.buffers) <= PART_BYTES:
        return [({"v": _VERSION, "re": request, "ok": True, **reply.head}, list(reply.buffers))]
    parts: list[tuple[list[dict[str, int]], list[bytes | memoryview]]] = [([], [])]
    room = PART_BYTES
    for i, buffer in enumerate(reply.buffers):
        view, at = memoryview(buffer), 0
        while at < len(view) or (at == 0 and len(view) == 0):
            if room == 0:
                parts.append(([], []))
                room = PART_BYTES
            piece = view[at : at + room]
            parts[-1][0].append({"b": i, "at": at, "len": len(view)})
            parts[-1][1].append(piece)
            at += len(piece)
            room -= len(piece)
            if len(view) == 0:
                break
    out: list[tuple[dict[str, Any], list[bytes | memoryview]]] = []
    for i, (pieces, data) in enumerate(parts):
        message: dict[str, Any] = {
            "v": _VERSION,
            "re": request,
            "ok": True,
            "part": i,
            "of": len(parts),
            "pieces": pieces,
        }
        if i == len(parts) - 1:
            message["head"] = reply.head
        out.append((message, data))
    return out


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot carry by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value


def _error(request: str, code: str, message: str, hint: str) -> dict[str, Any]:
    return {"v": _VERSION, "re": request, "ok": False, "error": {"code": code, "message": message, "hint": hint}}
