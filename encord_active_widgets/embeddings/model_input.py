"""What image models take and give: normalised pixels in, one vector an image out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ShapeError

Layout = Literal["nchw", "nhwc"]
Tokens = Literal["mean", "first"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and deviation of the training images of ILSVRC, of pixels in [0, 1]: what most image models expect."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""The same of CLIP's training images (Radford et al., "Learning transferable visual models", ICML 2021)."""

PREFERRED_OUTPUTS = ("image_embeds", "embeddings", "embedding", "pooler_output", "features")
"""Names of outputs that hold one vector an image; the first of these that a model has is taken."""

_MAX_U8 = 255.0


class Normaliser:
    """Turns (b, h, w, 3) uint8 into `(pixel / 255 - mean) / std` in a model's layout and precision.

    Parameters
    ----------
    mean, std : sequence of 3 floats
        Of red, green and blue in [0, 1].
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        middle, spread = np.asarray(mean, np.float64), np.asarray(std, np.float64)
        if middle.shape != (3,) or spread.shape != (3,) or not np.isfinite(middle).all() or not (spread > 0).all():
            raise InputError(
                f"mean={mean!r} and std={std!r} do not describe three colours.",
                "Give three numbers each, for red, green and blue in [0, 1]; std above 0.",
            )
        self._scale = (1.0 / (_MAX_U8 * spread)).astype(np.float32)
        self._shift = (middle / spread).astype(np.float32)

    def __call__(self, images: NDArray[np.uint8], layout: Layout, dtype: Any = np.float32) -> NDArray[Any]:
        """Return the batch as the model takes it, C-contiguous."""
        values = images.astype(np.float32)
        values *= self._scale
        values -= self._shift
        if layout == "nchw":
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values, dtype=dtype)


def checked_batch(images: Any) -> NDArray[np.uint8]:
    """Return a batch as (b, h, w, 3) uint8, or say what was given instead."""
    try:
        batch = np.asarray(images)
    except ValueError as error:
        raise ShapeError("The images of a batch have different sizes.", "Give size=, so that all are equal.") from error
    if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[3] != 3:
        raise ShapeError(f"The batch has shape {batch.shape} and dtype {batch.dtype}.", "Give (b, h, w, 3) uint8, RGB.")
    return batch


def pooled(values: NDArray[Any], *, tokens: Tokens, layout: Layout, who: str) -> NDArray[Any]:
    """Return one vector an image.

    Feature maps, (b, c, h, w) or (b, h, w, c), are averaged over the image. Sequences of tokens (b, t, d) are
    averaged over the tokens, or with `tokens="first"` the first one is taken: the class token of a ViT.
    """
    if values.ndim == 2:
        return values
    if values.ndim == 4:
        return np.asarray(values.astype(np.float32).mean(axis=(2, 3) if layout == "nchw" else (1, 2)))
    if values.ndim == 3:
        return np.asarray(values[:, 0] if tokens == "first" else values.astype(np.float32).mean(axis=1))
    raise ShapeError(
        f"{who} gives an output of shape {values.shape}.",
        "Choose an output of vectors (b, d), tokens (b, t, d) or feature maps (b, c, h, w) with output=….",
    )


def checked_tokens(tokens: str) -> Tokens:
    """Check the rule for sequences of tokens."""
    if tokens == "mean":
        return "mean"
    if tokens == "first":
        return "first"
    raise InputError(f"tokens={tokens!r} is not known.", 'Give "mean" or "first".')


def preferred(names: Sequence[str], wanted: Sequence[str] = PREFERRED_OUTPUTS) -> str:
    """Return the output to take where the user names none.

    >>> preferred(["last_hidden_state", "pooler_output"])
    'pooler_output'
    """
    return next((name for name in wanted if name in names), names[0])


def picked(output: Any, wanted: str | int | None, who: str) -> Any:
    """Take one tensor out of what a module returned: a tensor, a tuple or a dictionary."""
    if isinstance(output, Mapping):
        names = [str(key) for key in output if output[key] is not None]
        if not names:
            raise InputError(f"{who} returned an empty dictionary.", "Return a tensor.")
        key = preferred(names) if wanted is None else wanted
        if key not in output:
            raise InputError(f"{who} has no output {key!r}.", f"It has: {', '.join(names)}.")
        return output[key]
    if isinstance(output, (list, tuple)):
        place = 0 if wanted is None else wanted
        if not isinstance(place, int) or not -len(output) <= place < len(output):
            raise InputError(f"{who} has no output {wanted!r}.", f"It returns {len(output)}: give output=0 and so on.")
        return output[place]
    if wanted is not None:
        raise InputError(f"{who} returns one tensor, not {wanted!r} among others.", "Leave output= out.")
    return output
