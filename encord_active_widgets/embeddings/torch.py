"""Embedders from torch modules (extra `torch`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..images.fit import as_fit, as_size
from .model_input import IMAGENET_MEAN, IMAGENET_STD, Normaliser, checked_batch, checked_tokens, picked, pooled

if TYPE_CHECKING:
    from collections.abc import Iterator

_TORCH_NEEDED = 'Install it with: pip install "encord_active_widgets[torch]"'


class TorchEmbedder:
    """A torch module as an embedder; made by `ea.embedders.torch`.

    Attributes
    ----------
    name : str
        The module's class, unless another was given.
    size : (int, int)
        Height and width of the images it takes, in pixels.
    dim : int or None
        Length of its vectors, known after the first batch.
    """

    kind = "torch"

    def __init__(
        self,
        module: Any,
        *,
        size: int | tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        device: Any,
        output: str | int | None,
        fit: str,
        tokens: str,
        name: str | None,
    ) -> None:
        self._module = module if device is None else module.to(device)
        self._device = device
        self._output = output
        self._normalise = Normaliser(mean, std)
        self._tokens = checked_tokens(tokens)
        self.name = name or type(module).__name__
        found = as_size(size)
        if found is None:
            raise InputError("A torch module does not say which size it takes.", "Give size=, 224 for most models.")
        self.size = found
        self.fit = as_fit(fit)
        self.dim: int | None = None

    def __repr__(self) -> str:
        height, width = self.size
        return f"{type(self).__name__}({self.name!r}, images {height}×{width}, vectors of {self.dim or '?'})"

    def __call__(self, images: Any, /) -> NDArray[Any]:
        """Embed (b, h, w, 3) uint8 images; returns (b, d) float32."""
        import torch

        batch = torch.from_numpy(self._normalise(checked_batch(images), "nchw"))
        weight = next((p for p in self._module.parameters() if p.is_floating_point()), None)
        device = self._device if weight is None else weight.device
        dtype = torch.float32 if weight is None else weight.dtype
        who = f'The module "{self.name}"'
        with _evaluating(self._module), torch.inference_mode():
            result = picked(self._module(batch.to(device=device, dtype=dtype)), self._output, who)
            if not isinstance(result, torch.Tensor):
                raise InputError(f"{who} returned a {type(result).__name__}.", "Choose a tensor with output=….")
            values = result.float().cpu().numpy()
        out = np.asarray(pooled(values, tokens=self._tokens, layout="nchw", who=who))
        self.dim = int(out.shape[1])
        return out


class TorchTextEmbedder(TorchEmbedder):
    """A torch module of images together with a function that embeds texts in the same space."""

    def __init__(self, module: Any, text: Callable[[list[str]], Any], **options: Any) -> None:
        super().__init__(module, **options)
        self._text = text

    def embed_text(self, texts: list[str], /) -> Any:
        """Embed texts: returns (n, d)."""
        import torch

        with _evaluating(self._module), torch.inference_mode():
            return self._text(list(texts))


def torch(
    module: Any,
    *,
    size: int | tuple[int, int] = 224,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    device: Any = None,
    output: str | int | None = None,
    text: Callable[[list[str]], Any] | None = None,
    fit: str = "crop",
    tokens: str = "mean",
    name: str | None = None,
) -> TorchEmbedder:
    """Make an embedder of a torch module that takes images (b, 3, h, w).

    It runs in evaluation mode and without gradients; afterwards each part is in the mode it was in before.

    Parameters
    ----------
    module : torch.nn.Module
        Returns a tensor, or a tuple or dictionary of tensors: vectors (b, d), feature maps (b, c, h, w), which
        are averaged over the image, or token sequences (b, t, d).
    size : int or (int, int)
        Side, or height and width, in pixels of the images it takes.
    mean, std : sequence of 3 floats
        A pixel enters as `(pixel / 255 - mean) / std`, in the precision of the module's weights.
    device : str or torch.device, optional
        Move the module there; by default it stays where it is.
    output : str or int, optional
        Which of several outputs: a key or a place. By default the first of `image_embeds`, `embeddings`,
        `embedding`, `pooler_output`, `features` that there is, else the first.
    text : callable, optional
        From a list of texts to vectors (n, d) in the same space; `p.search("a dark street")` uses it.
    fit : {"crop", "stretch", "pad"}
        How images are brought to the size; see `Project.embed`.
    tokens : {"mean", "first"}
        What becomes of token sequences: their mean, or the first (class) token.
    name : str, optional
        Kept with the vectors; the name of the module's class by default.

    Raises
    ------
    InputError
        Not a module, or torch is not installed.

    Examples
    --------
    >>> body = torch.nn.Sequential(*list(resnet.children())[:-1])                 # doctest: +SKIP
    >>> p.embed("resnet", ea.embedders.torch(body, name="resnet50"))              # doctest: +SKIP

    An open_clip model, its weights in a local file:

    >>> tokenize = open_clip.get_tokenizer("ViT-B-32")                            # doctest: +SKIP
    >>> clip = ea.embedders.torch(                                                # doctest: +SKIP
    ...     model.visual, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD,
    ...     text=lambda texts: model.encode_text(tokenize(texts)),
    ... )
    """
    try:
        from torch.nn import Module
    except ImportError as error:
        raise InputError("Running torch modules needs torch.", _TORCH_NEEDED) from error
    if not isinstance(module, Module):
        raise InputError(
            f"ea.embedders.torch got a {type(module).__name__}, not a torch.nn.Module.",
            "Any other callable goes to p.embed as it is.",
        )
    options: dict[str, Any] = {
        "size": size,
        "mean": mean,
        "std": std,
        "device": device,
        "output": output,
        "fit": fit,
        "tokens": tokens,
        "name": name,
    }
    return TorchEmbedder(module, **options) if text is None else TorchTextEmbedder(module, text, **options)


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Set every part to evaluation, and afterwards back to the mode it was in, which may differ by part."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
