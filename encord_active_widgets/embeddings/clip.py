"""CLIP embedders from ONNX files: an image tower, a text tower and a tokenizer in one folder (extra `clip`).

ONNX and not torch, since two towers and a tokenizer then cost a hundredth of the installation, and the same files
are what the usual exporters write. Models at hand in torch go through `ea.embedders.torch(…, text=…)`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .model_input import CLIP_MEAN, CLIP_STD
from .onnx import OnnxEmbedder, OnnxSession

IMAGE_FILES = ("vision_model.onnx", "image_model.onnx", "visual.onnx", "image.onnx")
TEXT_FILES = ("text_model.onnx", "textual.onnx", "text.onnx")
BOTH_FILE = "model.onnx"
"""One model of both towers, as `optimum-cli export onnx` writes it."""
TOKENIZER_FILE = "tokenizer.json"
_FOLDERS = ("", "onnx")
_WANTED_FILES = [
    f"{folder}{name}{data}"
    for folder in ("", "onnx/")
    for name in (IMAGE_FILES[0], TEXT_FILES[0])
    for data in ("", "_data", ".data")
] + [TOKENIZER_FILE, "tokenizer_config.json", "preprocessor_config.json", "config.json"]
"""What is fetched from a hub, where that is allowed."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+\Z")
_TEXT_OUTPUTS = ("text_embeds", "embeddings", "embedding", "sentence_embedding", "pooler_output", "features")
_IDS, _MASK = "input_ids", "attention_mask"
_USUAL_CONTEXT = 77
"""Tokens that CLIP's text tower reads (Radford et al. 2021, section 2.4)."""
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class ClipEmbedder(OnnxEmbedder):
    """Images and texts in one space; made by `ea.embedders.clip`."""

    kind = "clip"

    def __init__(self, text: _TextTower, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._text = text

    def __repr__(self) -> str:
        return super().__repr__().replace("OnnxEmbedder", "ClipEmbedder", 1)

    def embed_text(self, texts: list[str], /) -> NDArray[Any]:
        """Embed texts; returns (n, d). What is longer than the model reads is cut off."""
        return self._text(texts)


class _TextTower:
    """Tokenizer and text model; one text at a time, so that none is padded where the model takes any length."""

    def __init__(
        self, session: OnnxSession, tokenizer: Path, *, context: int | None, others: Mapping[str, NDArray[Any]]
    ) -> None:
        self._session = session
        self._others = dict(others)
        ids = [n for n in session.inputs if n not in others and n != _MASK]
        if len(ids) != 1 or session.inputs[ids[0]].type not in _INTEGERS:
            found = ", ".join(f"{n} {i.type}" for n, i in session.inputs.items())
            raise InputError(
                f"{session.who} takes {found}; a text tower takes {_IDS} and perhaps {_MASK}, of int64 or int32.",
                "Give the text model with text=….",
            )
        self._entry = ids[0]
        self._dtype = _INTEGERS[session.inputs[ids[0]].type]
        self._output = session.output(None, _TEXT_OUTPUTS)
        shape = session.inputs[ids[0]].shape
        fixed = shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None
        if fixed is not None and context not in (None, fixed):
            raise InputError(f"{session.who} takes {fixed} tokens, not {context}.", "Leave context= out.")
        self._length = context or fixed
        self._tokenizer = _tokenizer(tokenizer)
        self._pad = _padding(self._tokenizer, tokenizer.parent)
        most = self._length or _longest(tokenizer.parent)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=most)

    def __call__(self, texts: list[str]) -> NDArray[Any]:
        rows = [self._one(text) for text in texts]
        return np.concatenate(rows) if rows else np.empty((0, 0), np.float32)

    def _one(self, text: str) -> NDArray[Any]:
        ids = self._tokenizer.encode(text).ids
        if not ids:
            raise InputError(f"The tokenizer makes no tokens of {text!r}.", "Give a text with a word in it.")
        length = self._length or len(ids)
        tokens = np.full((1, length), self._pad, self._dtype)
        tokens[0, : len(ids)] = ids
        feeds: dict[str, NDArray[Any]] = {self._entry: tokens, **self._others}
        if _MASK in self._session.inputs:
            mask = _INTEGERS.get(self._session.inputs[_MASK].type, np.int64)
            feeds[_MASK] = (np.arange(length) < len(ids)).astype(mask)[np.newaxis]
        out = self._session.run(self._output, feeds)
        if out.ndim != 2 or len(out) != 1:
            raise InputError(
                f'{self._session.who} gives {out.shape} as "{self._output}" for one text; it must give one vector.',
                "Export the text tower with its projection (text_embeds).",
            )
        return out


def clip(
    model: str | os.PathLike[str],
    *,
    image: str | os.PathLike[str] | None = None,
    text: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    size: int | tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    context: int | None = None,
    fit: str = "crop",
    providers: Sequence[Any] | None = None,
    name: str | None = None,
    allow_download: bool = False,
) -> ClipEmbedder:
    """Make an embedder of images and texts from a CLIP model in ONNX files.

    Parameters
    ----------
    model : path or str
        A folder with the two towers, `vision_model.onnx` and `text_model.onnx` (in it or in its folder `onnx`),
        or one `model.onnx` of both, and `tokenizer.json`. Other names are given by the next three parameters. A
        name of a model on the Hugging Face hub, `"owner/model"`, is looked for among the files that are already
        on this machine.
    image, text, tokenizer : path, optional
        Files, relative to the folder.
    size, mean, std : optional
        As in `ea.embedders.onnx`; by default what `preprocessor_config.json` says, else those of CLIP.
    context : int, optional
        Pad every text to so many tokens. By default texts are not padded, unless the model takes one length
        only. SigLIP models were trained with 64.
    fit : {"crop", "stretch", "pad"}
        How images are brought to the size; see `Project.embed`.
    providers : sequence, optional
        Execution providers of onnxruntime; CUDA where it is there, else the processor.
    name : str, optional
        Kept with the vectors; the folder's name by default.
    allow_download : bool
        Fetch what is missing of `"owner/model"` from the hub. Without it nothing leaves or enters the machine.

    Raises
    ------
    InputError
        A file is missing or is no model, or onnxruntime or tokenizers is not installed.

    Examples
    --------
    >>> p.embed("clip", ea.embedders.clip("models/clip-vit-base-patch32"))  # doctest: +SKIP
    >>> p.search("a dark street")                                           # doctest: +SKIP
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        folder = _from_hub(os.fspath(model), download=allow_download)
    image_file = _file(folder, image, (*IMAGE_FILES, BOTH_FILE), "image tower", "image")
    text_file = _file(folder, text, (*TEXT_FILES, BOTH_FILE), "text tower", "text")
    tokenizer_file = _file(folder, tokenizer, (TOKENIZER_FILE,), "tokenizer", "tokenizer")
    pictures = OnnxSession(image_file, providers)
    words = pictures if text_file == image_file else OnnxSession(text_file, providers)
    entries = [n for n, i in pictures.inputs.items() if len(i.shape or ()) == 4]
    if len(entries) != 1:
        raise InputError(f"{pictures.who} has no input of images.", "Give the image model with image=….")
    said = _preprocessing(folder)
    options: dict[str, Any] = {
        "size": size or (None if _is_fixed(pictures.inputs[entries[0]].shape) else said.get("size", 224)),
        "mean": mean or said.get("mean", CLIP_MEAN),
        "std": std or said.get("std", CLIP_STD),
        "layout": "auto",
        "output": pictures.output(None),
        "fit": fit,
        "tokens": "first",
        "name": name or folder.resolve().name,
    }
    together = words is pictures
    others = {n: _nothing(i) for n, i in pictures.inputs.items() if n != entries[0]}
    if others and not together:
        raise InputError(
            f"{pictures.who} takes {', '.join(others)} beside the images.", "Give the image model alone with image=…."
        )
    blank: dict[str, NDArray[Any]] = {}
    if together:
        side = pictures.inputs[entries[0]]
        blank[entries[0]] = _nothing(side, free=options["size"] if isinstance(options["size"], int) else 224)
    tower = _TextTower(words, tokenizer_file, context=context, others=blank)
    return ClipEmbedder(tower, pictures, entries[0], others=others, **options)


def _from_hub(model: str, *, download: bool) -> Path:
    """Return the folder of a hub model; from the network only with `download`."""
    if not _HUB_NAME.match(model):
        raise InputError(f'There is no folder "{model}".', "Give a folder with the model's ONNX files.")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise _clip_needed("huggingface_hub") from error
    try:
        return Path(snapshot_download(model, allow_patterns=_WANTED_FILES, local_files_only=not download))
    except Exception as error:
        if download:
            raise InputError(
                f'"{model}" could not be fetched: {type(error).__name__}: {error}', "Check its name and the network."
            ) from error
        raise InputError(
            f'"{model}" is neither a folder nor among the models on this machine.',
            "Give a folder with its ONNX files, or allow_download=True to fetch it from the Hugging Face hub.",
        ) from error


def _file(folder: Path, given: str | os.PathLike[str] | None, names: Sequence[str], what: str, parameter: str) -> Path:
    tried = [folder / given] if given is not None else [folder / inner / n for n in names for inner in _FOLDERS]
    for file in tried:
        if file.is_file():
            return file
    there = sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.suffix in (".onnx", ".json"))
    found = ", ".join(there[:12]) or "no .onnx and no .json file"
    looked = f'"{given}"' if given is not None else " or ".join(names)
    raise InputError(f'"{folder}" holds no {what} ({looked}). There is: {found}.', f"Name the file with {parameter}=….")


def _tokenizer(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _clip_needed("tokenizers") from error
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:
        raise InputError(
            f'"{file}" is not a tokenizer: {error}', "Give the tokenizer.json that belongs to the text model."
        ) from error


def _clip_needed(package: str) -> InputError:
    return InputError(f"CLIP models need {package}.", 'Install it with: pip install "encord_active_widgets[clip]"')


def _padding(tokenizer: Any, folder: Path) -> int:
    """Return the token that fills up a text: the tokenizer's own, that of its configuration, or 0."""
    own = tokenizer.padding
    if own is not None:
        return int(own["pad_id"])
    token = _read_json(folder / "tokenizer_config.json").get("pad_token")
    if isinstance(token, Mapping):
        token = token.get("content")
    found = tokenizer.token_to_id(token) if isinstance(token, str) else None
    return 0 if found is None else int(found)


def _longest(folder: Path) -> int:
    inner = _read_json(folder / "config.json").get("text_config")
    most = inner.get("max_position_embeddings") if isinstance(inner, Mapping) else None
    return most if isinstance(most, int) and most > 0 else _USUAL_CONTEXT


def _preprocessing(folder: Path) -> dict[str, Any]:
    """Read size, mean and deviation of the images from `preprocessor_config.json`."""
    read = _read_json(folder / "preprocessor_config.json")
    found: dict[str, Any] = {}
    for key in ("crop_size", "size"):
        value = read.get(key)
        if isinstance(value, Mapping):
            value = (value["height"], value["width"]) if "height" in value and "width" in value else None
        if value is not None and "size" not in found:
            found["size"] = value
    for key in ("mean", "std"):
        if isinstance(read.get(f"image_{key}"), list):
            found[key] = read[f"image_{key}"]
    return found


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        value = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f'"{file}" is not JSON: {error}.', "Fetch the model's files again.") from error
    return value if isinstance(value, dict) else {}


def _is_fixed(shape: Sequence[Any]) -> bool:
    sides = shape[2:] if shape[1] == 3 else shape[1:3]
    return all(isinstance(side, int) for side in sides)


def _nothing(entry: Any, free: int = 1) -> NDArray[Any]:
    """Return zeros for an input that does not matter: the text while images are embedded, and the other way round."""
    dtypes = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, **_INTEGERS}
    shape = [side if isinstance(side, int) else (1 if axis == 0 else free) for axis, side in enumerate(entry.shape)]
    if len(shape) == 4 and not isinstance(entry.shape[1], int) and not isinstance(entry.shape[3], int):
        shape[1] = 3
    return np.zeros(shape, dtypes.get(entry.type, np.float32))
