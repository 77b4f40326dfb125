"""Every public error: what was wrong, where, and what to do next."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Collection, Iterable
from typing import Any

_MOST_NAMES_SHOWN = 12


class EawError(Exception):
    """Base of all errors raised on purpose by this package.

    Parameters
    ----------
    message : str
        What was wrong and where (the file, the column, the value).
    remedy : str
        What to do next; printed after the message.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message} {remedy}".strip())

    def __reduce__(self) -> tuple[type[EawError], tuple[str, str]]:
        # Batches run in other processes: both parts must survive pickling.
        return (type(self), (self.message, self.remedy))


class ImageError(EawError):
    """An image that cannot be read, or must not be (a decompression bomb)."""


class ProjectError(EawError):
    """A project folder that is missing, damaged, busy or made by a newer version."""


class DiskFullError(ProjectError, OSError):
    """No room for what was to be written; what was there before is as it was."""


class UnknownNameError(EawError, KeyError):
    """A column, metric, tag, embedding or run that does not exist."""

    def __str__(self) -> str:  # KeyError would print the repr
        return Exception.__str__(self)


class ShapeError(EawError, ValueError):
    """An array or frame whose length or shape does not fit."""


class InputError(EawError, ValueError):
    """An argument or a source file that cannot be used."""


class EmptyFolderError(InputError, FileNotFoundError):
    """A folder, file or pattern that does not exist or holds no image."""


def whole_number(name: str, value: Any, *, least: int = 0) -> int:
    """Check an argument that counts something.

    >>> whole_number("n", 3)
    3
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InputError(
            f"{name}={value!r:.80} is no number that can be used here.", f"Give a whole one, {least} or more."
        )
    return number


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a remedy that offers the names nearest to `name`.

    >>> nearest("brightnes", ["brightness", "contrast"])
    'Did you mean "brightness"?'
    """
    known = sorted(set(names))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(f'"{c}"' for c in close) + "?"
    if not known:
        return "There are none yet."
    shown = ", ".join(f'"{k}"' for k in known[:_MOST_NAMES_SHOWN])
    more = len(known) - _MOST_NAMES_SHOWN
    return f"Known: {shown}{f' and {more} more' if more > 0 else ''}."


def unknown(kind: str, name: Any, names: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that does not exist, with the nearest ones."""
    text = name if isinstance(name, str) else f"{name!r:.80}"
    return UnknownNameError(f'There is no {kind} "{text}".', nearest(text, names))


def known_name(kind: str, name: Any, names: Collection[str]) -> str:
    """Return a name that exists; whatever else is given is an unknown one.

    Raises
    ------
    UnknownNameError
        The nearest names are offered.
    """
    if not isinstance(name, str) or name not in names:
        raise unknown(kind, name, names)
    return name
