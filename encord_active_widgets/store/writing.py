"""Write files so that all of them come to be, or none; and tell a full disk from other faults."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import DiskFullError

_FULL = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))
"""No space left, a quota used up, a file above the largest that is allowed."""
_SHORT_WRITE = "requested and"
"""NumPy says "65536 requested and 4096 written", and nothing else."""
_FREE = "Free some space and do it again."


def is_full(error: BaseException) -> bool:
    """Tell whether a write failed for want of space; delta-rs and Polars say so in their text alone."""
    if getattr(error, "errno", None) in _FULL:
        return True
    text = str(error)
    said = any(os.strerror(code) in text for code in _FULL)
    return said or (isinstance(error, OSError) and _SHORT_WRITE in text)


@contextlib.contextmanager
def room_for(what: str) -> Iterator[None]:
    """Say what could not be written where the disk is full.

    Parameters
    ----------
    what : str
        The file or part, as the message calls it.

    Raises
    ------
    DiskFullError
        In place of what the system, Polars, NumPy or delta-rs raises.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        reason = os.strerror(getattr(error, "errno", None) or errno.ENOSPC)
        raise DiskFullError(
            f"The disk is full ({reason}): {what} could not be written. What was there is as it was.", _FREE
        ) from error


class Writing:
    """Files of one export: all of them come to be, or none.

    Inside of a `with` block files take their places at its end, once all of them are on the disk: an older export in
    the same folder is replaced as a whole, or stays what it was. Outside of one, each file takes its place by itself.

    Examples
    --------
    >>> with Writing("the labels") as writing:          # doctest: +SKIP
    ...     writing.text(folder / "a.txt", "one")
    ...     writing.text(folder / "b.txt", "two")
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._made: list[Path] = []
        self._staged: dict[Path, Path] | None = None
        self._outer = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._outer.enter_context(room_for(self._what))
        self._outer.enter_context(self._all_or_none())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outer.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def _all_or_none(self) -> Iterator[None]:
        staged: dict[Path, Path] = {}
        self._staged = staged
        try:
            yield
            for path, temporary in staged.items():
                self._place(temporary, path)
        except BaseException:
            for temporary in staged.values():
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
            self._take_away()
            raise
        finally:
            self._staged = None

    def folder(self, path: Path) -> None:
        """Make a folder and those above it, as far as they are missing."""
        missing = []
        while not path.exists():
            missing.append(path)
            path = path.parent
        for part in reversed(missing):
            part.mkdir(exist_ok=True)
            self._made.append(part)

    def new(self, path: Path) -> Path:
        """Return a path at which a file or link is made next; its folder is made."""
        self.folder(path.parent)
        if not path.exists() and not path.is_symlink():
            self._made.append(path)
        return path

    @contextlib.contextmanager
    def file(self, path: Path) -> Iterator[Path]:
        """Give a temporary path to write to, which takes the place of the file in the end."""
        self.folder(path.parent)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            yield temporary
            if self._staged is None:
                self._place(temporary, path)
            else:
                self._staged[path] = temporary
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def _place(self, temporary: Path, path: Path) -> None:
        self.new(path)
        temporary.replace(path)

    def text(self, path: Path, text: str) -> None:
        """Write a file of UTF-8 text."""
        with self.file(path) as temporary:
            temporary.write_text(text, "utf-8")

    def _take_away(self) -> None:
        for path in reversed(self._made):
            with contextlib.suppress(OSError):  # a folder that somebody else put something into stays
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink(missing_ok=True)
