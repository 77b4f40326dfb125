"""Embedders from ONNX files and CLIP folders give the vectors that the model's own arithmetic gives."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.embeddings.model_input import IMAGENET_MEAN, IMAGENET_STD
from encord_active_widgets.errors import InputError, ShapeError, UnknownNameError
from encord_active_widgets.images.fit import fit_to

from . import tiny


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args, **kwargs):
        raise AssertionError(f"something wanted the network: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def by_hand(images: np.ndarray, weights: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the model's two outputs by NumPy in double precision: averaged feature map and vectors."""
    x = ((images / 255.0) - IMAGENET_MEAN) / IMAGENET_STD
    windows = sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2]
    maps = np.einsum("bhwcij,kcij->bkhw", windows, weights["kernel"].astype(float)) + weights["bias"][:, None, None]
    mean = np.maximum(maps, 0).mean(axis=(2, 3))
    return mean, mean @ weights["matrix"].T + weights["offset"]


def test_an_onnx_model_gives_what_numpy_computes_with_its_weights(tmp_path: Path, images: np.ndarray) -> None:
    weights = tiny.convolution(tmp_path / "net.onnx")
    embedder = ea.embedders.onnx(tmp_path / "net.onnx")
    means, vectors = by_hand(images, weights)
    assert (embedder.name, embedder.size, embedder.dim) == ("net", (16, 16), 5)
    assert embedder(images) == pytest.approx(vectors, abs=1e-4)
    of_map = ea.embedders.onnx(tmp_path / "net.onnx", output="map")
    assert of_map(images) == pytest.approx(means, abs=1e-4)
    assert of_map.dim == 4
    assert ea.embedders.onnx(tmp_path / "net.onnx", output=0)(images) == pytest.approx(means, abs=1e-4)


def test_a_model_for_exactly_so_many_images_gets_them_in_pieces(tmp_path: Path, images: np.ndarray) -> None:
    weights = tiny.convolution(tmp_path / "net.onnx", batch=4)
    out = ea.embedders.onnx(tmp_path / "net.onnx")(images)
    assert out == pytest.approx(by_hand(images, weights)[1], abs=1e-4)


def test_an_open_size_must_be_given_and_a_fixed_one_cannot_be_changed(tmp_path: Path, images: np.ndarray) -> None:
    weights = tiny.convolution(tmp_path / "open.onnx", side="side")
    with pytest.raises(InputError, match=r"open.*size="):
        ea.embedders.onnx(tmp_path / "open.onnx")
    out = ea.embedders.onnx(tmp_path / "open.onnx", size=16)(images)
    assert out == pytest.approx(by_hand(images, weights)[1], abs=1e-4)
    tiny.convolution(tmp_path / "fixed.onnx")
    with pytest.raises(InputError, match=r'"fixed.onnx" takes images of \[16, 16\], not of \[32, 32\]'):
        ea.embedders.onnx(tmp_path / "fixed.onnx", size=32)


@pytest.mark.parametrize(
    ("kind", "shape", "axes", "scale", "tolerance"),
    [
        (TensorProto.FLOAT, ("b", 8, 8, 3), (1, 2), 1 / 255, 1e-5),
        (TensorProto.FLOAT16, ("b", 3, 8, 8), (2, 3), 1 / 255, 1e-3),
        (TensorProto.DOUBLE, ("b", 3, 8, 8), (2, 3), 1 / 255, 1e-5),
        (TensorProto.UINT8, ("b", 3, 8, 8), (2, 3), 1, 1e-3),
        (TensorProto.UINT8, ("b", 8, 8, 3), (1, 2), 1, 1e-3),
    ],
)
def test_layouts_and_precisions_are_read_from_the_file(tmp_path, kind, shape, axes, scale, tolerance) -> None:
    path = tiny.mean_model(tmp_path / "mean.onnx", kind=kind, shape=shape, axes=axes)
    images = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    out = ea.embedders.onnx(path, mean=(0, 0, 0), std=(1, 1, 1))(images)
    assert out == pytest.approx(images.mean(axis=(1, 2)) * scale, abs=tolerance)


def test_token_sequences_become_their_mean_or_their_first_token(tmp_path: Path) -> None:
    path = tiny.tokens_model(tmp_path / "vit.onnx")
    images = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    raw = {"mean": (0, 0, 0), "std": (1, 1, 1)}
    assert ea.embedders.onnx(path, **raw)(images) == pytest.approx(images.mean(axis=(1, 2)) / 255, abs=1e-5)
    first = ea.embedders.onnx(path, tokens="first", **raw)(images)
    assert first == pytest.approx(images[:, 0, 0] / 255, abs=1e-6)
    with pytest.raises(InputError, match="mean"):
        ea.embedders.onnx(path, tokens="last")


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "pointer.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    for name, hint in (("text", "not an ONNX"), ("empty", "not an ONNX"), ("pointer", "git lfs pull")):
        with pytest.raises(InputError, match=hint) as caught:
            ea.embedders.onnx(tmp_path / f"{name}.onnx")
        assert f"{name}.onnx" in str(caught.value)
    with pytest.raises(InputError, match=r"no model file.*absent\.onnx"):
        ea.embedders.onnx(tmp_path / "absent.onnx")


def test_models_of_something_else_are_refused_by_what_they_take(tmp_path: Path, images: np.ndarray) -> None:
    rows = tiny.mean_model(tmp_path / "rows.onnx", shape=("b", 3), axes=(1,))
    with pytest.raises(InputError, match=r'"rows.onnx" takes pixels \[.b., 3\].*4 axes'):
        ea.embedders.onnx(rows)
    grey = tiny.mean_model(tmp_path / "grey.onnx", shape=("b", 1, 8, 8))
    with pytest.raises(InputError, match=r"takes 1 channels.*nchw"):
        ea.embedders.onnx(grey)
    ids = tiny.mean_model(tmp_path / "ids.onnx", kind=TensorProto.INT64)
    with pytest.raises(InputError, match=r"tensor\(int64\)"):
        ea.embedders.onnx(ids)
    vague = tiny.mean_model(tmp_path / "vague.onnx", shape=("b", "x", "y", "z"))
    with pytest.raises(InputError, match="layout="):
        ea.embedders.onnx(vague)
    with pytest.raises(InputError, match="nhwc"):
        ea.embedders.onnx(vague, layout="hwc")
    tiny.convolution(tmp_path / "net.onnx")
    with pytest.raises(UnknownNameError, match="pooler_output"):
        ea.embedders.onnx(tmp_path / "net.onnx", output="pooler_outputs")
    with pytest.raises(UnknownNameError, match="CPUExecutionProvider"):
        ea.embedders.onnx(tmp_path / "net.onnx", providers=["CPUExecutionProvide"])
    with pytest.raises(ShapeError, match="uint8"):
        ea.embedders.onnx(tmp_path / "net.onnx")(images.astype(np.float32))
    with pytest.raises(InputError, match=r'"net.onnx" cannot run on pixels \(7, 3, 8, 8\)'):
        ea.embedders.onnx(tmp_path / "net.onnx")(images[:, :8, :8])
    with pytest.raises(InputError, match="three colours"):
        ea.embedders.onnx(tmp_path / "net.onnx", std=(0, 1, 1))


@pytest.mark.parametrize(("package", "extra"), [("onnxruntime", "onnx"), ("tokenizers", "clip")])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, package: str, extra: str) -> None:
    folder = tiny.clip_folder(tmp_path / "clip")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package}.*encord_active_widgets\[{extra}\]"):
        ea.embedders.clip(folder)


def test_the_embedders_are_found_without_loading_a_runtime() -> None:
    code = (
        "import sys, encord_active_widgets as ea; ea.embedders.onnx, ea.embedders.torch, ea.embedders.clip\n"
        "print(*[m for m in ('onnxruntime', 'torch', 'tokenizers', 'huggingface_hub') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.split() == []


# -- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [32, 50, 224])
def test_a_photo_is_resized_and_cropped_as_models_were_trained(shared_data: Path, side: int) -> None:
    """The rounding of torchvision's Resize(side) and CenterCrop(side), which open_clip and timm use."""
    for path in sorted((shared_data / "photos").iterdir())[:40]:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        short, long = sorted(image.size)
        scaled = {short: side, long: int(side * long / short)}
        wide, high = (scaled[image.width], scaled[image.height]) if short != long else (side, side)
        left, top = round((wide - side) / 2), round((high - side) / 2)
        whole = image.resize((wide, high), Image.Resampling.BICUBIC)
        theirs = np.asarray(whole.crop((left, top, left + side, top + side)))
        ours = fit_to(np.asarray(image), (side, side), "crop")
        apart = np.abs(ours.astype(int) - theirs)
        assert (apart > 1).mean() < 1e-3
        assert apart.max() <= 4, "Pillow keeps the corners of a box in single precision"


def test_an_image_of_one_line_does_not_become_a_giant() -> None:
    line = np.zeros((1, 200_000, 3), np.uint8)
    line[:, 100_000 - 8 : 100_000 + 8] = 255
    assert fit_to(line, (224, 224), "crop").shape == (224, 224, 3)
    assert fit_to(line, (224, 224), "pad").shape == (224, 224, 3)


def test_padding_keeps_the_whole_image_in_its_proportions() -> None:
    pixels = np.full((10, 40, 3), 200, np.uint8)
    out = fit_to(pixels, (20, 20), "pad")
    lit = out[:, :, 0] > 0
    assert lit.any(axis=1).sum() == 5
    assert lit.any(axis=0).sum() == 20
    assert (fit_to(pixels, (20, 20), "stretch") == 200).all()


# -- CLIP -------------------------------------------------------------------------------------


def test_texts_and_images_of_clip_lie_in_one_space(tmp_path: Path, no_network: None) -> None:
    embedder = ea.embedders.clip(tiny.clip_folder(tmp_path / "colours"))
    assert (embedder.name, embedder.size, embedder.kind) == ("colours", (16, 16), "clip")
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 255
    assert embedder(red) == pytest.approx(np.array([[1, -1, -1]]), abs=1e-5)
    texts = embedder.embed_text(["red", "a dark street", "Blue green"])
    assert texts == pytest.approx(np.array([[1, -1, -1], np.full(3, -1 / 3), [-1, 0, 0]]), abs=1e-5)


def test_padding_does_not_count_where_the_model_takes_one_length(tmp_path: Path, no_network: None) -> None:
    embedder = ea.embedders.clip(tiny.clip_folder(tmp_path / "fixed", context=6, mask=True))
    texts = embedder.embed_text(["red", "a dark street", "red " * 40])
    assert texts == pytest.approx(np.array([[1, -1, -1], [-1, -1, -1], [6, -6, -6]]), abs=1e-5)


def test_one_file_of_both_towers_is_run_for_each(tmp_path: Path, no_network: None) -> None:
    apart = ea.embedders.clip(tiny.clip_folder(tmp_path / "apart"))
    both = ea.embedders.clip(tiny.clip_folder(tmp_path / "both", together=True))
    images = np.random.default_rng(2).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    assert both(images) == pytest.approx(apart(images))
    assert both.embed_text(["a red street"]) == pytest.approx(apart.embed_text(["a red street"]))
    with pytest.raises(InputError, match=r"ea\.embedders\.clip"):
        ea.embedders.onnx(tmp_path / "both" / "model.onnx", size=16)


def test_what_a_clip_folder_lacks_is_named(tmp_path: Path, no_network: None) -> None:
    folder = tiny.clip_folder(tmp_path / "clip")
    (folder / "onnx" / "text_model.onnx").rename(folder / "onnx" / "words.onnx")
    with pytest.raises(InputError, match=r"text tower.*words\.onnx.*text="):
        ea.embedders.clip(folder)
    assert ea.embedders.clip(folder, text="onnx/words.onnx").embed_text(["red"]).shape == (1, 3)
    with pytest.raises(InputError, match="no input of images"):
        ea.embedders.clip(folder, image="onnx/words.onnx", text="onnx/words.onnx")
    with pytest.raises(InputError, match="text tower takes input_ids"):
        ea.embedders.clip(folder, text="onnx/vision_model.onnx", image="onnx/vision_model.onnx")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json.*not a tokenizer"):
        ea.embedders.clip(folder, text="onnx/words.onnx")
    with pytest.raises(InputError, match="no folder"):
        ea.embedders.clip(tmp_path / "absent")


def test_nothing_is_fetched_unless_it_is_allowed(tmp_path, monkeypatch, no_network: None) -> None:
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"allow_download=True"):
        ea.embedders.clip("someone/colours")
    asked = []

    def fetched(repo: str, **options) -> str:
        asked.append((repo, options["local_files_only"]))
        return str(tiny.clip_folder(tmp_path / "fetched"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert ea.embedders.clip("someone/colours", allow_download=True).embed_text(["red"]).shape == (1, 3)
    ea.embedders.clip("someone/colours")
    assert asked == [("someone/colours", False), ("someone/colours", True)]


@pytest.mark.parametrize("together", [False, True])
def test_a_text_finds_planted_images_among_photos(shared_data, tmp_path, no_network, together: bool) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for file in sorted((shared_data / "photos").iterdir())[:30]:
        shutil.copy(file, folder)
    for word, colour in (("red", (240, 5, 9)), ("blue", (3, 8, 230)), ("dark", (12, 12, 12))):
        Image.new("RGB", (70, 50), colour).save(folder / f"{word}.png")
    p = ea.Project.from_folder(folder, tmp_path / "p.eaw")
    p.embed("clip", ea.embedders.clip(tiny.clip_folder(tmp_path / "colours", together=together)))
    assert len(p.embeddings["clip"]) == 33
    for text, name in (("red", "red.png"), ("a blue street", "blue.png"), ("A dark street", "dark.png")):
        assert Path(p.search(text, k=1).df["uri"][0]).name == name
    with pytest.raises(InputError, match=r'"clip" \(clip "colours"\)'):
        ea.open(p.path).search("a dark street")


def test_an_onnx_model_embeds_a_project_as_it_embeds_arrays(shared_data: Path, tmp_path: Path) -> None:
    weights = tiny.convolution(tmp_path / "net.onnx", side=32)
    p = ea.Project.from_folder(shared_data / "cifar10_test" / "frog", tmp_path / "frogs.eaw")
    some = p.items.head(100)
    vectors = some.embed("net", ea.embedders.onnx(tmp_path / "net.onnx"))
    images = np.stack([np.asarray(Image.open(u).convert("RGB")) for u in some.df["uri"]])
    assert np.asarray(vectors.vectors) == pytest.approx(by_hand(images, weights)[1], abs=0.02)
    assert p.embeddings.made_by("net")["kind"] == "onnx"


@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    fit=st.sampled_from(["crop", "stretch", "pad"]),
    grey=st.integers(0, 255),
)
def test_every_image_comes_to_every_size(shape, size, fit, grey: int) -> None:
    pixels = np.full((*shape, 3), grey, np.uint8)
    out = fit_to(pixels, size, fit)
    assert out.shape == (*size, 3)
    assert set(np.unique(out).tolist()) <= {grey, 0} if fit == "pad" else (out == grey).all()
    assert out.flags.owndata
    assert not np.shares_memory(out, pixels)
