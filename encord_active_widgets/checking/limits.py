"""The limits of a check: a small TOML file, or a mapping of the same shape."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, nearest
from ..store.writing import Writing
from .measures import MEASURES, THRESHOLDS, Subject

if TYPE_CHECKING:
    from ..project import Project

AT_MOST, AT_LEAST, RUN, THRESHOLD = "at_most", "at_least", "run", "thresholds"
_KEYS = (RUN, AT_MOST, AT_LEAST, THRESHOLD)


@dataclass(frozen=True)
class Limits:
    """What a project is held against.

    Attributes
    ----------
    at_most, at_least : mapping of str to float
        Limits by measure.
    run : str or None
        The run that scores are of, and that judges labels.
    thresholds : mapping of str to float
        What the measures call blurred, dark, …; see `checking.measures.THRESHOLDS`.
    named : bool
        Whether somebody chose these limits. A measure that finds nothing to measure then breaks its limit; the
        shipped limits pass over it.
    """

    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    run: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    named: bool = True


def default_limits() -> Limits:
    """Return the shipped limits: what a set that is ready for training keeps within."""
    return Limits(
        {m.name: m.at_most for m in MEASURES.values() if m.at_most is not None},
        {m.name: m.at_least for m in MEASURES.values() if m.at_least is not None},
        named=False,
    )


def read_limits(source: str | os.PathLike[str] | Mapping[str, Any] | Limits | None) -> Limits:
    """Read limits from a TOML file, or a mapping of the same shape; None gives the shipped ones.

    Raises
    ------
    InputError
        The file cannot be read, a key is not known (the nearest are offered), a value is no number, or there is
        no limit at all.

    Examples
    --------
    >>> read_limits({"at_most": {"blurred": 0.1}}).at_most
    {'blurred': 0.1}
    >>> read_limits({"at_most": {"blured": 0.1}})
    Traceback (most recent call last):
    encord_active_widgets.errors.InputError: [at_most] of the limits has "blured". Did you mean "blurred"?
    """
    if source is None:
        return default_limits()
    if isinstance(source, Limits):
        return source
    where, table = ("the limits", dict(source)) if isinstance(source, Mapping) else _load(Path(source))
    for key in table:
        if key not in _KEYS:
            raise InputError(f'{where[0].upper() + where[1:]} have "{key}".', _known(key))
    run = table.get(RUN)
    if run is not None and not isinstance(run, str):
        raise InputError(f"run of {where} is {run!r}, not the name of a run.", 'Write run = "yolo".')
    limits = Limits(
        _numbers(table, AT_MOST, MEASURES, where),
        _numbers(table, AT_LEAST, MEASURES, where),
        run or None,
        _numbers(table, THRESHOLD, THRESHOLDS, where),
    )
    if not limits.at_most and not limits.at_least:
        raise InputError(f"{where[0].upper() + where[1:]} set no limit.", "Name one, such as blurred under [at_most].")
    for name in limits.at_most.keys() & limits.at_least.keys():
        if limits.at_least[name] > limits.at_most[name]:
            raise InputError(f'The limits of "{name}" exclude each other.', "Its at_least is above its at_most.")
    return limits


def _known(key: str) -> str:
    if key in MEASURES:
        return f'"{key}" stands under [{AT_MOST}] or [{AT_LEAST}].'
    return nearest(key, _KEYS)


def _load(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        return f'the limits in "{file}"', tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f'There is no file "{file}".', "Write one: eaw check --write-limits.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'"{file}" cannot be read: {error}.', "Give a TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f'"{file}" is no TOML: {error}.', "Write lines such as blurred = 0.05.") from error


def _numbers(table: Mapping[str, Any], key: str, known: Mapping[str, Any], where: str) -> dict[str, float]:
    part = table.get(key, {})
    if not isinstance(part, Mapping):
        raise InputError(f"[{key}] of {where} is no table.", "Write name = number lines below it.")
    out = {}
    for name, value in part.items():
        if name not in known:
            raise InputError(f'[{key}] of {where} has "{name}".', nearest(str(name), known))
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InputError(f"{name} under [{key}] of {where} is {value!r}, not a number.", f"Write {name} = 0.05.")
        out[str(name)] = float(value)
    return out


def write_limits(path: str | os.PathLike[str], project: Project | None = None, *, replace: bool = False) -> Path:
    """Write the shipped limits as a commented TOML file.

    Parameters
    ----------
    path : path
        The file.
    project : Project, optional
        What it has now is written beside each limit; limits on what it does not have are commented out.
    replace : bool
        Take the place of a file that exists.

    Raises
    ------
    InputError
        The file exists.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise InputError(f'"{target}" exists.', "Give another name, or take it away first.")
    lines = [
        "# Limits of `eaw check`. A measure whose line is taken out is not checked.",
        "# What is named here and cannot be measured breaks its limit.",
        "",
        '# run = "yolo"  # the run whose scores are held against limits, and that judges labels',
    ]
    subject = None if project is None else Subject(project, None, {})
    shipped = default_limits()
    for key, limits in ((AT_MOST, shipped.at_most), (AT_LEAST, shipped.at_least)):
        lines += ["", f"[{key}]"]
        for name, limit in limits.items():
            now = _now(subject, name)
            off = "# " if now == "" else ""
            unit = f" ({MEASURES[name].unit})" if MEASURES[name].unit else ""
            lines.append(f"{off}{name} = {limit:g}  # {MEASURES[name].what}{unit}{now or ''}")
    unset = [m for m in MEASURES.values() if m.at_most is None and m.at_least is None]
    lines += [f"# {m.name} = 0.5  # {m.what}" for m in unset]
    lines += ["", f"[{THRESHOLD}]", *(f"{name} = {value:g}  # {what}" for name, (value, what) in THRESHOLDS.items())]
    Writing(f'"{target}"').text(target, "\n".join([*lines, ""]))
    return target


def _now(subject: Subject | None, name: str) -> str | None:
    """Return what a project has now as a comment; empty where there is nothing to measure, None without a project."""
    if subject is None:
        return None
    value = MEASURES[name].measure(subject).value
    return "" if value is None else f"; now {value:.4g}"
