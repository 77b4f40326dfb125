"""Embedders for `Project.embed`: ONNX files, torch modules, CLIP with its text tower.

Nothing here is needed for a plain function of a batch of images, which `Project.embed` takes as it is.
"""

from __future__ import annotations

from .embeddings.clip import ClipEmbedder, clip
from .embeddings.embedder import Embedder, TextEmbedder
from .embeddings.onnx import OnnxEmbedder, onnx
from .embeddings.torch import TorchEmbedder, torch

__all__ = [
    "ClipEmbedder",
    "Embedder",
    "OnnxEmbedder",
    "TextEmbedder",
    "TorchEmbedder",
    "clip",
    "onnx",
    "torch",
]
