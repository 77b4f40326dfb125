"""Tiny ONNX models with weights that a test can compute with, and a tiny CLIP of colours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

OPSET, IR_VERSION = 17, 9
WORDS = {"red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1), "dark": (-1, -1, -1), "bright": (1, 1, 1)}
VOCABULARY = ["[PAD]", "[UNK]", *WORDS, "a", "street"]


def save(path: Path, nodes, inputs, outputs, weights=None) -> Path:
    """Write a model; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        [numpy_helper.from_array(v, k) for k, v in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def convolution(path: Path, *, side: int | str = 16, batch: int | str = "b") -> dict[str, np.ndarray]:
    """Conv, Relu, GlobalAveragePool, Gemm on (b, 3, side, side), with the feature map as the first output."""
    rng = np.random.default_rng(3)
    weights = {
        "kernel": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "bias": rng.normal(size=4).astype(np.float32),
        "matrix": rng.normal(size=(5, 4)).astype(np.float32),
        "offset": rng.normal(size=5).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel", "bias"], ["raw"], strides=[2, 2]),
        helper.make_node("Relu", ["raw"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "offset"], ["pooler_output"], transB=1),
    ]
    outputs = [("map", TensorProto.FLOAT, [batch, 4, None, None]), ("pooler_output", TensorProto.FLOAT, [batch, 5])]
    save(path, nodes, [("pixels", TensorProto.FLOAT, [batch, 3, side, side])], outputs, weights)
    return weights


def mean_model(path: Path, *, kind=TensorProto.FLOAT, shape=("b", 3, 8, 8), axes=(2, 3)) -> Path:
    """Average each colour, in single precision whatever comes in."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["single"], ["out"], axes=list(axes), keepdims=0),
    ]
    return save(path, nodes, [("pixels", kind, list(shape))], [("out", TensorProto.FLOAT, [shape[0], 3])])


def tokens_model(path: Path) -> Path:
    """Hand out the pixels as a sequence of 64 tokens of 3 numbers, as a ViT does."""
    nodes = [
        helper.make_node("Reshape", ["pixels", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["last_hidden_state"], perm=[0, 2, 1]),
    ]
    return save(
        path,
        nodes,
        [("pixels", TensorProto.FLOAT, ["b", 3, 8, 8])],
        [("last_hidden_state", TensorProto.FLOAT, ["b", 64, 3])],
        {"shape": np.array([0, 3, 64], np.int64)},
    )


def word_table() -> np.ndarray:
    """One vector a word; padding has one that would spoil a text it is counted in."""
    table = np.zeros((len(VOCABULARY), 3), np.float32)
    table[0] = (50, -20, 30)
    for word, vector in WORDS.items():
        table[VOCABULARY.index(word)] = vector
    return table


def clip_folder(folder: Path, *, together: bool = False, context: int | None = None, mask: bool = False) -> Path:
    """Write a CLIP of colours: an image is its mean colour, a text the mean of its words' colours."""
    folder.mkdir(parents=True, exist_ok=True)
    image = [helper.make_node("ReduceMean", ["pixel_values"], ["image_embeds"], axes=[2, 3], keepdims=0)]
    text = [helper.make_node("Gather", ["table", "input_ids"], ["words"])]
    if mask:
        text += [
            helper.make_node("Cast", ["attention_mask"], ["there"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["there", "last"], ["weights"]),
            helper.make_node("Mul", ["words", "weights"], ["counted"]),
            helper.make_node("ReduceSum", ["counted", "middle"], ["text_embeds"], keepdims=0),
        ]
    else:
        text += [helper.make_node("ReduceMean", ["words"], ["text_embeds"], axes=[1], keepdims=0)]
    length = context or "tokens"
    pixels = ("pixel_values", TensorProto.FLOAT, ["images", 3, "height", "width"])
    ids = [("input_ids", TensorProto.INT64, ["texts", length])]
    ids += [("attention_mask", TensorProto.INT64, ["texts", length])] if mask else []
    image_out = ("image_embeds", TensorProto.FLOAT, ["images", 3])
    text_out = ("text_embeds", TensorProto.FLOAT, ["texts", 3])
    weights = {"table": word_table()}
    if mask:
        weights |= {"last": np.array([2], np.int64), "middle": np.array([1], np.int64)}
    if together:
        save(folder / "model.onnx", image + text, [*ids, pixels], [text_out, image_out], weights)
    else:
        (folder / "onnx").mkdir(exist_ok=True)
        save(folder / "onnx" / "vision_model.onnx", image, [pixels], [image_out])
        save(folder / "onnx" / "text_model.onnx", text, ids, [text_out], weights)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "crop_size": {"height": 16, "width": 16}}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    return folder
