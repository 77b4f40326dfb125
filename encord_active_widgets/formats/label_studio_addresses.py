"""The addresses of Label Studio's images, and what they stand for outside of it."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ..schema import URI
from .folder import IMAGE_SUFFIXES
from .returned_rows import clean

_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of a file that is uploaded."""
_LOCAL = "/data/local-files/"


def is_image(text: str) -> bool:
    """Tell whether a text looks like the address of an image."""
    return PurePath(_path_of(text)).suffix.lower() in IMAGE_SUFFIXES or "://" in text or text.startswith("/data/")


def _path_of(text: str) -> str:
    """Return the path of an address, "" where it is none."""
    try:
        return urlsplit(text).path
    except ValueError:
        return ""


def image_of(data: dict[str, Any]) -> str | None:
    """Return the address of a task's image: under "image", else the first text that looks like one."""
    texts = [data.get("image"), *(v for k, v in data.items() if k != URI)]
    first = data.get("image")
    if isinstance(first, str) and first.strip():
        return first.strip()
    return next((t.strip() for t in texts if isinstance(t, str) and is_image(t)), None)


def addresses_of(address: str) -> list[str]:
    """Return the addresses that Label Studio's may stand for, the likeliest first."""
    path = _path_of(address)
    if path.startswith(_LOCAL):
        local = parse_qs(urlsplit(address).query).get("d", [""])[0]
        return [f"/{local.lstrip('/')}", local] if local else [address]
    if "/data/upload/" in path or path.startswith("upload/"):
        name = PurePath(unquote(path)).name
        return [_UPLOAD.sub("", name), name]
    if "://" in address:
        plain = address.partition("?")[0]
        return list(dict.fromkeys([address, plain, PurePath(unquote(path)).name or plain]))
    return [address, _UPLOAD.sub("", address)]


def text_of(value: Any) -> str:
    """Return a text or number as text, "" for anything else."""
    return clean(str(value)) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
