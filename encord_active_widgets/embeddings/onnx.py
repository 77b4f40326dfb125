"""Embedders from ONNX files, run by onnxruntime (extra `onnx`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EawError, InputError, unknown
from ..images.fit import as_fit, as_size
from .model_input import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PREFERRED_OUTPUTS,
    Layout,
    Normaliser,
    checked_batch,
    checked_tokens,
    pooled,
    preferred,
)

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Asked for in this order where they are there; others are used when they are named."""

_ERRORS_ONLY = 3
_LFS_POINTER = b"version https://git-lfs"
_MOST_REASON_CHARS = 300
_IMAGE_NDIM = 4


class OnnxSession:
    """A model file opened by onnxruntime, with errors that name it."""

    def __init__(self, path: str | os.PathLike[str], providers: Sequence[Any] | None = None) -> None:
        self.path = Path(path).expanduser()
        self.who = f'The model "{self.path.name}"'
        self._session = _opened(self.path, providers)
        self.inputs: dict[str, Any] = {i.name: i for i in self._session.get_inputs()}
        self.outputs: dict[str, Any] = {o.name: o for o in self._session.get_outputs()}

    def output(self, wanted: str | int | None, names: Sequence[str] = PREFERRED_OUTPUTS) -> str:
        """Return the name of an output; an unknown one raises, with those there are."""
        known = list(self.outputs)
        if wanted is None:
            return preferred(known, names)
        if isinstance(wanted, int):
            if not -len(known) <= wanted < len(known):
                raise InputError(f"{self.who} has no output {wanted}.", f"It has: {', '.join(known)}.")
            return known[wanted]
        if wanted not in known:
            raise unknown(f'output of "{self.path.name}"', wanted, known)
        return wanted

    def run(self, output: str, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Run the model for one of its outputs."""
        try:
            return np.asarray(self._session.run([output], dict(feeds))[0])
        except Exception as error:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in feeds.items())
            raise InputError(
                f"{self.who} cannot run on {shapes}: {_reason(error)}",
                "Check size= and layout= against what it was exported for; a smaller batch_size needs less memory.",
            ) from error


class OnnxEmbedder:
    """An ONNX image model as an embedder; made by `ea.embedders.onnx`.

    Attributes
    ----------
    name : str
        The file's name without its ending.
    size : (int, int)
        Height and width of the images it takes, in pixels.
    dim : int or None
        Length of its vectors, where the file says so.
    """

    kind = "onnx"

    def __init__(
        self,
        session: OnnxSession,
        entry: str,
        *,
        size: int | tuple[int, int] | None,
        mean: Sequence[float],
        std: Sequence[float],
        layout: str,
        output: str,
        fit: str,
        tokens: str,
        name: str | None,
        others: Mapping[str, NDArray[Any]],
    ) -> None:
        self._session, self._entry, self._output, self._others = session, entry, output, dict(others)
        self.name = name or session.path.stem
        self.fit = as_fit(fit)
        self._tokens = checked_tokens(tokens)
        self._normalise = Normaliser(mean, std)
        shape, kind = session.inputs[entry].shape, session.inputs[entry].type
        if kind not in _DTYPES:
            raise InputError(
                f'{session.who} takes {kind} as "{entry}".', "Export it for float, float16, double or uint8 images."
            )
        self._dtype = _DTYPES[kind]
        self._layout = _layout(layout, shape, session.who)
        self.size = _size(as_size(size), shape[2:] if self._layout == "nchw" else shape[1:3], session.who)
        self._at_once = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        given = session.outputs[output].shape
        axis = 1 if len(given) == _IMAGE_NDIM and self._layout == "nchw" else -1
        self.dim: int | None = given[axis] if len(given) > 1 and isinstance(given[axis], int) else None

    def __repr__(self) -> str:
        height, width = self.size
        return f"OnnxEmbedder({self.name!r}, images {height}×{width}, vectors of {self.dim or '?'})"

    def __call__(self, images: Any, /) -> NDArray[Any]:
        """Embed (b, h, w, 3) uint8 images; returns (b, d)."""
        batch = checked_batch(images)
        count = self._at_once or len(batch)
        return np.concatenate([self._part(batch[i : i + count]) for i in range(0, len(batch), count)])

    def _part(self, batch: NDArray[np.uint8]) -> NDArray[Any]:
        n = len(batch)
        if self._at_once is not None and n < self._at_once:  # a model for exactly so many: repeat the last one
            batch = np.concatenate([batch, np.repeat(batch[-1:], self._at_once - n, axis=0)])
        if self._dtype is np.uint8:
            values = batch if self._layout == "nhwc" else np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        else:
            values = self._normalise(batch, self._layout, self._dtype)
        out = self._session.run(self._output, {self._entry: values, **self._others})
        return pooled(out, tokens=self._tokens, layout=self._layout, who=self._session.who)[:n]


def onnx(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    layout: str = "auto",
    output: str | int | None = None,
    fit: str = "crop",
    tokens: str = "mean",
    providers: Sequence[Any] | None = None,
    name: str | None = None,
) -> OnnxEmbedder:
    """Make an embedder of an ONNX image model.

    Parameters
    ----------
    path : path
        The `.onnx` file. Its input is a batch of images, (b, 3, h, w) or (b, h, w, 3), of float32, float16,
        float64 or uint8.
    size : int or (int, int), optional
        Side, or height and width, in pixels; needed where the file leaves it open.
    mean, std : sequence of 3 floats
        A pixel enters as `(pixel / 255 - mean) / std`; ImageNet's by default. Models that take uint8 get the
        pixels as they are.
    layout : {"auto", "nchw", "nhwc"}
        Where the three colours stand; auto reads it from the file.
    output : str or int, optional
        The output to take. By default the first of `image_embeds`, `embeddings`, `embedding`,
        `pooler_output`, `features` that there is, else the first of all.
    fit : {"crop", "stretch", "pad"}
        How images are brought to the size; see `Project.embed`.
    tokens : {"mean", "first"}
        What becomes of an output of token sequences (b, t, d): their mean, or the first (class) token.
        Feature maps (b, c, h, w) are averaged over the image.
    providers : sequence, optional
        Execution providers of onnxruntime; CUDA where it is there, else the processor.
    name : str, optional
        Kept with the vectors; the file's name by default.

    Raises
    ------
    InputError
        No such file, not an ONNX model, an input that is no batch of images, or onnxruntime is not installed.

    Examples
    --------
    >>> p.embed("dino", ea.embedders.onnx("dinov2_small.onnx", size=224, tokens="first"))  # doctest: +SKIP
    """
    session = OnnxSession(path, providers)
    entries = [n for n, i in session.inputs.items() if len(i.shape or ()) == _IMAGE_NDIM]
    if len(session.inputs) != 1 or len(entries) != 1:
        found = ", ".join(f"{n} {list(i.shape or ())}" for n, i in session.inputs.items()) or "nothing"
        raise InputError(
            f"{session.who} takes {found}; an embedder takes one batch of images, with 4 axes.",
            "Export the image part alone; a CLIP model with a text part is opened by ea.embedders.clip.",
        )
    return OnnxEmbedder(
        session,
        entries[0],
        size=size,
        mean=mean,
        std=std,
        layout=layout,
        output=session.output(output),
        fit=fit,
        tokens=tokens,
        name=name,
        others={},
    )


def _opened(path: Path, providers: Sequence[Any] | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "Running ONNX models needs onnxruntime.", 'Install it with: pip install "encord_active_widgets[onnx]"'
        ) from error
    if not path.is_file():
        raise InputError(f'There is no model file at "{path}".', "Check the path.")
    available = onnxruntime.get_available_providers()
    chosen = list(providers) if providers is not None else [p for p in _PROVIDERS if p in available]
    for provider in chosen:
        named = provider[0] if isinstance(provider, tuple) else provider
        if named not in available:
            raise unknown("provider of onnxruntime", str(named), available)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(str(path), sess_options=options, providers=chosen)
    except EawError:
        raise
    except Exception as error:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
        remedy = "Export the model again, and check that the file came whole, with its .onnx_data if it has one."
        if start == _LFS_POINTER:
            remedy = "It is a Git LFS pointer: fetch the file itself with `git lfs pull`."
        raise InputError(f'"{path}" is not an ONNX model that can be run: {_reason(error)}', remedy) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MOST_REASON_CHARS else f"{text[:_MOST_REASON_CHARS]}…"


def _layout(layout: str, shape: Sequence[Any], who: str) -> Layout:
    channels = {"nchw": shape[1], "nhwc": shape[3]}
    if layout == "auto":
        layout = "nchw" if channels["nchw"] == 3 else "nhwc" if channels["nhwc"] == 3 else ""
        if not layout and any(isinstance(c, int) for c in channels.values()):
            layout = "nchw" if isinstance(channels["nchw"], int) else "nhwc"
        if not layout:
            raise InputError(
                f"{who} does not say where its colours stand: {list(shape)}.", 'Give layout="nchw" or "nhwc".'
            )
    if layout not in channels:
        raise InputError(f"layout={layout!r} is not known.", 'Give "nchw", "nhwc" or "auto".')
    if isinstance(channels[layout], int) and channels[layout] != 3:
        raise InputError(
            f"{who} takes {channels[layout]} channels in an input of {list(shape)} ({layout}); images have 3.",
            "Export a model of RGB images, or give another layout.",
        )
    return "nchw" if layout == "nchw" else "nhwc"


def _size(given: tuple[int, int] | None, sides: Sequence[Any], who: str) -> tuple[int, int]:
    """Return the size to use: what the file fixes, else what the user gives."""
    fixed = [s if isinstance(s, int) and s > 0 else None for s in sides]
    wanted = given or (fixed[0], fixed[1])
    if wanted[0] is None or wanted[1] is None:
        raise InputError(f"{who} leaves the size of its images open.", "Give size=…, the side in pixels.")
    if any(f is not None and f != w for f, w in zip(fixed, wanted, strict=True)):
        raise InputError(f"{who} takes images of {list(sides)}, not of {list(wanted)}.", "Leave size= out.")
    return wanted[0], wanted[1]
