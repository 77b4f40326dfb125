"""Resolve an image's address (a local path or a `scheme://` URL) to its bytes."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import ImageError

# Two letters at least before the colon, so that `C://images` stays a Windows path.
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")

_FRAME = re.compile(r"#pts=-?\d+$")

_MOST_ADDRESS_CHARS = 300
"""Longest address shown whole in an error message."""


def scheme(address: str) -> str | None:
    """Return the URL scheme of an address in lower case, or None for a local path.

    >>> scheme("s3://bucket/cat.jpg"), scheme("photos/cat.jpg")
    ('s3', None)
    """
    found = _SCHEME.match(address)
    return found.group(1).lower() if found else None


def read_bytes(address: str) -> bytes:
    """Read the bytes at an address.

    Parameters
    ----------
    address : str
        A local path, a `file://` URL, any other `scheme://` address that fsspec (extra
        `remote`) can open, or a frame of a local video (extra `video`). Nothing is fetched
        unless the address names a scheme.

    Raises
    ------
    ImageError
        If there is nothing to read, with the reason and a remedy.
    """
    if is_frame(address):
        from .video import frame_bytes

        return frame_bytes(address)
    kind = scheme(address)
    if kind == "file":
        return _read_local(unquote(urlsplit(address).path))
    if kind is not None:
        return _read_remote(address, kind)
    return _read_local(address)


def is_frame(address: str) -> bool:
    """Tell whether an address names one frame of a video, `clip.mp4#pts=1024`.

    >>> is_frame("clip.mp4#pts=1024"), is_frame("a#b.jpg")
    (True, False)
    """
    return _FRAME.search(address) is not None


def video_of(address: str) -> str:
    """Return the file an address lies in: the video of a frame, any other address itself."""
    return _FRAME.sub("", address)


def _read_local(path: str) -> bytes:
    try:
        kind = Path(path).stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            # Opening a pipe would wait for a writer that never comes.
            raise ImageError(f"{shown(path)} is not a regular file.", "Remove the item.")
        # Unbuffered: one stat and one read, half the cost of a buffered file on tiny images.
        with Path(path).open("rb", buffering=0) as file:
            return file.readall()
    except FileNotFoundError as error:
        raise ImageError(
            f"There is no file at {shown(path)}.",
            "Restore it, or say where the images are now: p.relocate(FOLDER).",
        ) from error
    except IsADirectoryError as error:
        raise ImageError(f"{shown(path)} is a folder, not an image.", "Remove the item.") from error
    except PermissionError as error:
        raise ImageError(f"Reading {shown(path)} is not permitted.", "Change the file's permissions.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(f"{shown(path)} cannot be read: {reason}.", "Check the file and its disk.") from error


def _read_remote(address: str, kind: str) -> bytes:
    try:
        import fsspec
    except ImportError as error:
        raise ImageError(
            f"Reading {kind}:// addresses needs fsspec.",
            'Install it with: pip install "encord_active_widgets[cloud]"',
        ) from error
    try:
        with fsspec.open(address, "rb") as file:
            return bytes(file.read())
    except ImportError as error:  # e.g. s3fs or gcsfs for this scheme
        raise ImageError(
            f"Reading {kind}:// addresses needs another package: {error}.",
            "Install the package that the message names.",
        ) from error
    except Exception as error:  # every back end raises its own kinds
        raise ImageError(
            f"{shown(address)} cannot be read: {type(error).__name__}: {error}.",
            "Check the address, the network and the credentials.",
        ) from error


def shown(address: str) -> str:
    r"""Return an address fit for a message: printable, and shortened in the middle.

    >>> shown("caf\udce9.jpg")
    "'caf\\udce9.jpg'"
    """
    text = os.fspath(Path(address)) if scheme(address) is None else address
    if len(text) > _MOST_ADDRESS_CHARS:
        half = _MOST_ADDRESS_CHARS // 2
        text = f"{text[:half]}…{text[-half:]}"
    return repr(text)
