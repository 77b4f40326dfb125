"""Pickles of predictions, through an unpickler that knows our own class and NumPy arrays, and nothing else."""

from __future__ import annotations

import dataclasses
import importlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EawError, InputError
from .prediction import Prediction

_MOST_BYTES = 4 * 1024**3
_REMEDY = "Save a list of ea.Prediction."
_PREDICTION = {("encord_active_widgets", "Prediction"), (Prediction.__module__, "Prediction")}


class _Unpickler(pickle.Unpickler):
    """Finds exactly what a list of predictions needs. Nothing found here runs code of the file's choosing.

    What a pickle may change by its instructions (attributes of classes and functions) are copies that are
    thrown away with the unpickler.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.loaded = type("Prediction", (Prediction,), {})
        core = importlib.import_module("numpy._core.multiarray")

        def encode(text: Any, encoding: Any = "latin1") -> bytes:
            return _latin1(text, encoding)

        def from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> NDArray[Any]:
            flat = np.frombuffer(buffer, dtype=dtype)
            return flat.reshape(shape, order=order) if axes is None else flat.reshape(shape).transpose(axes)

        self._allowed: dict[tuple[str, str], Any] = {("_codecs", "encode"): encode}
        self._allowed |= dict.fromkeys(_PREDICTION, self.loaded)
        self._allowed |= {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}
        for module in ("numpy._core", "numpy.core"):
            self._allowed[f"{module}.multiarray", "_reconstruct"] = core._reconstruct
            self._allowed[f"{module}.multiarray", "scalar"] = core.scalar
            self._allowed[f"{module}.numeric", "_frombuffer"] = from_buffer

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed class or function.

        Raises
        ------
        InputError
            Any other; it is named, and was not loaded.
        """
        if (module, name) in self._allowed:
            return self._allowed[module, name]
        raise InputError(
            f'The pickle asks for "{module}.{name}", which is refused; nothing was run.',
            "Save a list of ea.Prediction, or write COCO results.",
        )

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to things outside the file."""
        raise InputError(
            f"The pickle refers to something outside of it ({pid!r:.60}), which is refused.", "Save plain data."
        )


def _latin1(text: Any, encoding: Any) -> bytes:
    """Do what old pickles ask of `_codecs.encode`: turn a text back into bytes, by this one encoding."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "iso-8859-1"):
        raise InputError("The pickle asks for an encoding that is refused.", "Save it anew with this Python.")
    return text.encode("latin-1")


def load_predictions(path: Path) -> list[Prediction]:
    """Read a pickled list of `Prediction` without running anything that the file brings.

    Raises
    ------
    InputError
        The file is no such pickle, or asks for anything but predictions and arrays.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise InputError(f'"{path}" has {size:,} bytes.', "Write Parquet or COCO results.")
    reader = _Unpickler(io.BytesIO(path.read_bytes()))
    try:
        found = reader.load()
    except EawError:
        raise
    except Exception as error:
        raise InputError(
            f'"{path}" is no pickle of predictions: {type(error).__name__}: {str(error)[:120]}.', _REMEDY
        ) from error
    if type(found) is reader.loaded:
        found = [found]
    if not isinstance(found, (list, tuple)) or not all(type(p) is reader.loaded for p in found):
        raise InputError(f'"{path}" holds a {type(found).__name__}, not a list of predictions.', _REMEDY)
    if not found:
        raise InputError(f'"{path}" holds an empty list.', "Save at least one prediction.")
    return [_clean(i, vars(p)) for i, p in enumerate(found)]


def _clean(i: int, values: dict[str, Any]) -> Prediction:
    """Make a prediction of what one of the file holds."""
    fields = {f.name for f in dataclasses.fields(Prediction)}
    odd = sorted(values.keys() ^ fields)
    if odd:
        raise InputError(f'Prediction {i} of the pickle has other fields than it should ("{odd[0]}").', _REMEDY)
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf":
            raise InputError(f'"{name}" of prediction {i} is an array of {value.dtype}, not of numbers.', _REMEDY)
    return Prediction(**values)
