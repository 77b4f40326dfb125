"""What an embedder is: any callable from a batch of images to vectors, and what it may say of itself."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError
from ..images.fit import Fit, as_fit, as_size

Images = NDArray[np.uint8] | list[NDArray[np.uint8]]
"""(b, h, w, 3) uint8 RGB where a size is set, else a list of (h, w, 3) arrays."""

Vectors = NDArray[np.float32]

_MATRIX_NDIM = 2
_DEEPEST = 8


class Embedder(Protocol):
    """Anything that turns a batch of images into vectors; a plain function will do.

    It may carry attributes, which are read where they are there:

    name : str
        Kept with the vectors, so that those of two models are never mixed.
    size : int or (int, int)
        Side, or height and width, in pixels of the images it wants.
    fit : {"crop", "stretch", "pad"}
        How images are brought to that size; see `Project.embed`.
    batch_size : int
        How many images it wants at once.
    embed_text : callable
        The text tower; see `TextEmbedder`.

    Examples
    --------
    >>> def mean_colour(images):
    ...     return images.mean(axis=(1, 2))
    >>> p.embed("colour", mean_colour, size=32)  # doctest: +SKIP
    """

    def __call__(self, images: Any, /) -> Any:
        """Return b vectors: an array (b, d), a list of vectors or a tensor."""
        ...


@runtime_checkable
class TextEmbedder(Protocol):
    """An embedder whose vectors of texts lie in the space of its images, as those of CLIP do.

    Examples
    --------
    >>> class Colours:
    ...     name, size = "colours", 16
    ...     words = {"red": (255, 0, 0), "dark": (0, 0, 0)}
    ...     def __call__(self, images):
    ...         return images.mean(axis=(1, 2)) - 128
    ...     def embed_text(self, texts):
    ...         return [np.array(self.words[t]) - 128 for t in texts]
    >>> p.embed("colours", Colours())  # doctest: +SKIP
    >>> p.search("dark")               # doctest: +SKIP
    """

    def __call__(self, images: Any, /) -> Any:
        """Return b vectors for b images."""
        ...

    def embed_text(self, texts: list[str], /) -> Any:
        """Return n vectors for n texts."""
        ...


@dataclass(frozen=True, slots=True)
class Bound:
    """An embedder with the size and the fit that one set of vectors was made with."""

    embedder: Embedder
    size: tuple[int, int] | None
    fit: Fit

    @classmethod
    def of(cls, embedder: Any, size: Any = None, fit: str | None = None) -> Bound:
        """Join what the call says with what the embedder says of itself.

        Raises
        ------
        InputError
            It cannot be called, or wants another size than it is given.
        """
        if not callable(embedder):
            raise InputError(
                f"The embedder is a {type(embedder).__name__}, which cannot be called.",
                "Give a function of a batch of images, or ea.embedders.onnx(…), .torch(…) or .clip(…).",
            )
        own, given = as_size(getattr(embedder, "size", None)), as_size(size)
        if own is not None and given not in (None, own):
            raise InputError(f"{named(embedder)!r} takes images of {own}, not of {given}.", "Leave size= out.")
        return cls(embedder, own or given, as_fit(fit or getattr(embedder, "fit", None) or "crop"))

    @property
    def has_text(self) -> bool:
        """Whether texts can be embedded too."""
        return isinstance(self.embedder, TextEmbedder)

    @property
    def record(self) -> dict[str, Any]:
        """What is kept of it in the project: what it was, never its weights."""
        code = code_of(self.embedder)
        return {
            "name": named(self.embedder),
            "kind": kind_of(self.embedder),
            "size": list(self.size) if self.size else None,
            "fit": self.fit,
            "text": self.has_text,
            **({"code": code} if code is not None else {}),
        }

    def is_that_of(self, record: Mapping[str, Any]) -> bool:
        """Tell whether vectors with this record come from the same embedder."""
        mine = self.record
        same_code = "code" not in record or record["code"] == mine.get("code")  # older records do not tell
        return same_code and all(record.get(key) == value for key, value in mine.items() if key not in ("text", "code"))

    def images(self, images: Sequence[NDArray[np.uint8]], where: str) -> Vectors:
        """Embed images that have the size already."""
        batch: Images = np.stack(list(images)) if self.size else list(images)
        return as_vectors(self.embedder(batch), len(images), f'The embedder "{named(self.embedder)}"', where)

    def texts(self, texts: list[str]) -> Vectors:
        """Embed texts."""
        assert isinstance(self.embedder, TextEmbedder)
        who = f'The text tower of "{named(self.embedder)}"'
        return as_vectors(self.embedder.embed_text(texts), len(texts), who, f"{len(texts)} texts", "a text")


def named(embedder: Any) -> str:
    """Return the name an embedder gives itself, else that of the function or class."""
    own = getattr(embedder, "name", None) or getattr(embedder, "__qualname__", None)
    if own is None and hasattr(embedder, "func"):  # functools.partial
        return named(embedder.func)
    return str(own or type(embedder).__name__)


def code_of(embedder: Any) -> str | None:
    """Return a digest of what a function does whose name does not tell it from others; None where the name does.

    Every lambda has the same name, a function made by another one has that of its siblings, and a partial one that of
    the function it completes. Their code counts, and the plain values they carry.

    >>> code_of(lambda images: images.mean()) == code_of(lambda images: images.max())
    False
    """
    if getattr(embedder, "name", None):
        return None
    if not isinstance(embedder, functools.partial):
        name = getattr(embedder, "__qualname__", "")
        if not isinstance(embedder, types.FunctionType) or ("<lambda>" not in name and "<locals>" not in name):
            return None
    return hashlib.blake2b("\0".join(_told(embedder)).encode(), digest_size=8).hexdigest()


def _told(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield what tells one value from another; of objects whose content is not known, the type alone."""
    yield type(value).__name__
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        yield repr(value)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape} {hashlib.blake2b(value.tobytes()).hexdigest()}"
    elif depth < _DEEPEST:
        for part in _parts(value):
            yield from _told(part, depth + 1)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, functools.partial):
        return value.func, value.args, value.keywords
    if isinstance(value, types.FunctionType):
        cells = [c.cell_contents for c in value.__closure__ or () if c != types.CellType()]
        return value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, cells
    if isinstance(value, types.CodeType):
        return value.co_code, value.co_names, value.co_consts
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    return value if isinstance(value, (tuple, list)) else ()


def kind_of(embedder: Any) -> str:
    """Return `"onnx"`, `"torch"`, `"clip"`, or `"callable"` for anything of the user's."""
    return str(getattr(embedder, "kind", "callable"))


def as_vectors(result: Any, count: int, who: str, where: str, each: str = "an image") -> Vectors:
    """Take what an embedder returned as `count` vectors.

    Parameters
    ----------
    result : array, tensor, or list of either
        Of shape (count, d), any numeric dtype.
    count : int
        How many vectors there must be.
    who, where, each : str
        Named in the error.

    Returns
    -------
    ndarray, (count, d) float32

    Raises
    ------
    ShapeError
        Another number of rows, or no matrix.
    InputError
        Not numbers, or numbers that are not finite.
    """
    try:
        matrix = _matrix(result)
    except (ValueError, TypeError) as error:
        raise ShapeError(
            f"{who} returned a {type(result).__name__} for {where} that is no array: {error}.",
            f"Return numbers of shape ({count}, d): vectors of one length, one {each}.",
        ) from error
    if matrix.dtype.kind not in "fiu":
        raise InputError(
            f"{who} returned {matrix.dtype} for {where}, not numbers.", f"Return an array ({count}, d) of floats."
        )
    if matrix.ndim != _MATRIX_NDIM or matrix.shape[0] != count:
        what = f"{matrix.shape[0]:,} rows" if matrix.ndim == _MATRIX_NDIM else f"an array of shape {matrix.shape}"
        raise ShapeError(
            f"{who} returned {what} for {where}.", f"Return {count:,} rows of shape ({count}, d), one {each}, in order."
        )
    if matrix.shape[1] == 0:
        raise ShapeError(f"{who} returned vectors of length 0 for {where}.", "Return at least one number each.")
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(matrix, dtype=np.float32)
    wrong = ~np.isfinite(vectors).all(axis=1)
    if wrong.any():
        raise InputError(
            f"{who} returned NaN or infinity for {where}: {int(wrong.sum()):,} vectors, the first in row "
            f"{int(np.argmax(wrong))}.",
            "Look at that image and at the model's precision (float16 overflows beyond 65,504).",
        )
    return vectors


def _matrix(result: Any) -> NDArray[Any]:
    if isinstance(result, (list, tuple)):
        if any(isinstance(row, Mapping) for row in result):
            raise TypeError("it holds dictionaries")
        return np.stack([_numpy(row) for row in result]) if result else np.empty((0, 0), np.float32)
    if isinstance(result, (Mapping, str, bytes)) or result is None:
        raise TypeError("it is not an array")
    return _numpy(result)


def _numpy(values: ArrayLike | Any) -> NDArray[Any]:
    """Return an array of anything array-like; tensors come from their device, without their gradient."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        # NumPy has no bfloat16: single precision holds all of its values.
        if "bfloat16" in str(values.dtype):
            values = values.float()
        return np.asarray(values.numpy())
    return np.asarray(values)
