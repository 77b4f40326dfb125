"""What commands write: results to stdout, as tables or JSON; remarks to stderr, in the words of the command line."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import polars as pl


def say(text: str) -> None:
    """Write a result to stdout."""
    typer.echo(text)


def tell(text: str) -> None:
    """Write a remark to stderr: never part of a result."""
    typer.echo(text, err=True)


def quiet() -> bool:
    """Tell whether nobody watches the progress."""
    return not sys.stderr.isatty()


_WORDS = (
    (re.compile(r"\bp\.compute\(\)|\bcompute\(\)(?: on the project)?"), "eaw compute"),
    (re.compile(r"\bp\.problems\b|\bproject\.problems\b"), "`eaw info --problems`"),
    (
        re.compile(r'\bp\.add_predictions\("(?P<run>[^"]*)", (?:source|probabilities)\)'),
        r'eaw import predictions FILE --run "\g<run>"',
    ),
    (re.compile(r"\bp\.add_labels\(…\)"), "--add"),
)
_OPTION = re.compile(r'\b(?P<name>format|box_format|replace|strict|classes|images)=(?:"(?P<text>[^"]*)"|True|\[…\]|…)')


def as_options(text: str) -> str:
    """Write what Python's users are advised to call or pass as commands and options."""

    def option(found: re.Match[str]) -> str:
        name, value = found["name"].replace("_", "-"), found["text"] or ""
        return f"--{name}" + (f" {value}" if value else " NAME,NAME,…" if name == "classes" else "")

    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return _OPTION.sub(option, text)


def print_frame(frame: pl.DataFrame, *, rows: int = 20) -> None:
    """Write a frame as a plain table: whole texts, at most `rows` rows."""
    import polars as pl

    shown = frame.head(rows)
    with pl.Config(
        tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=80, tbl_width_chars=_width(), tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True, tbl_formatting="UTF8_BORDERS_ONLY", float_precision=4,
        thousands_separator=False, fmt_table_cell_list_len=8,
    ):  # fmt: skip
        say(str(shown))
    if frame.height > shown.height:
        tell(f"… and {frame.height - shown.height:,} more rows: --limit shows more.")


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 1000


def print_json(value: Any) -> None:
    """Write a frame (as a list of rows) or a plain value as JSON: NaN as null, bytes as base64, dates as ISO text."""
    import json

    say(json.dumps(_plain(value), ensure_ascii=False, indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dicts"):
        return _plain(value.to_dicts())
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if value is None or isinstance(value, (str, int)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
