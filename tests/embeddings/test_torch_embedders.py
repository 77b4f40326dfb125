"""Torch modules as embedders; skipped where torch is not installed, since it is too large to ask of every run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, ShapeError

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'encord_active_widgets[torch]'")
nn = torch.nn


class Net(nn.Module):
    """Conv, dropout and batch norm: a module that gives other numbers while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(torch.relu(self.conv(x))))


class Outputs(nn.Module):
    """Hands out what it is told to, made from the mean colour of each image."""

    def __init__(self, give) -> None:
        super().__init__()
        self.give = give

    def forward(self, x):
        return self.give(x)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


RAW = {"mean": (0, 0, 0), "std": (1, 1, 1), "size": 16}


def colours(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2)) / 255


def test_a_module_in_training_embeds_as_in_evaluation_and_stays_in_training(images: np.ndarray) -> None:
    torch.manual_seed(0)
    net = Net()
    net.norm.running_mean[:] = torch.linspace(-1, 1, 6)
    net.train()
    net.conv.eval()  # a part that was frozen stays frozen
    statistics = net.norm.running_mean.clone()
    embedder = ea.embedders.torch(net, size=16)
    out = embedder(images)
    modes = {name: part.training for name, part in net.named_modules()}
    assert modes == {"": True, "conv": False, "norm": True, "drop": True}
    assert torch.equal(net.norm.running_mean, statistics)
    x = (images / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    net.eval()
    with torch.no_grad():
        maps = net(torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float32)))
    assert out == pytest.approx(maps.numpy().mean(axis=(2, 3)), abs=1e-5)
    assert (embedder.name, embedder.dim, out.dtype) == ("Net", 6, np.float32)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


@pytest.mark.parametrize(
    ("give", "options"),
    [
        (lambda x: x.mean((2, 3)), {}),
        (lambda x: x, {}),
        (lambda x: x.flatten(2).transpose(1, 2), {}),
        (lambda x: (x.mean((2, 3)), x[:, :1]), {}),
        (lambda x: [x[:, :1], x], {"output": 1}),
        (lambda x: {"last_hidden_state": x[:, :1], "pooler_output": x.mean((2, 3))}, {}),
        (lambda x: {"a": x[:, :1], "b": x}, {"output": "b"}),
        (lambda x: {"skipped": None, "a": x}, {}),
        (lambda x: x.mean((2, 3)).double(), {}),
        (lambda x: x.mean((2, 3)).bfloat16(), {}),
    ],
    ids=["vectors", "map", "tokens", "tuple", "list", "dict", "key", "none", "double", "bfloat16"],
)
def test_outputs_of_every_usual_kind_are_taken(images: np.ndarray, give, options) -> None:
    out = ea.embedders.torch(Outputs(give), **RAW, **options)(images)
    assert out == pytest.approx(colours(images), abs=4e-3)


def test_the_first_token_is_taken_where_it_is_asked_for(images: np.ndarray) -> None:
    module = Outputs(lambda x: x.flatten(2).transpose(1, 2))
    assert ea.embedders.torch(module, tokens="first", **RAW)(images) == pytest.approx(images[:, 0, 0] / 255, abs=1e-6)


def test_the_input_has_the_precision_and_the_device_of_the_weights(images: np.ndarray) -> None:
    seen = []

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))

        def forward(self, x):
            seen.append((x.dtype, x.device.type, tuple(x.shape)))
            return x.mean((2, 3)) * self.weight

    out = ea.embedders.torch(Half(), **RAW, device="cpu")(images)
    assert seen == [(torch.bfloat16, "cpu", (5, 3, 16, 16))]
    assert out == pytest.approx(colours(images), abs=1e-2)


def test_misuse_is_named(images: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"function, not a torch\.nn\.Module"):
        ea.embedders.torch(lambda x: x)
    with pytest.raises(InputError, match=r"no output 'c'.*a, b"):
        ea.embedders.torch(Outputs(lambda x: {"a": x, "b": x}), output="c", **RAW)(images)
    with pytest.raises(InputError, match="no output 2"):
        ea.embedders.torch(Outputs(lambda x: (x, x)), output=2, **RAW)(images)
    with pytest.raises(InputError, match="one tensor"):
        ea.embedders.torch(Outputs(lambda x: x), output=1, **RAW)(images)
    with pytest.raises(InputError, match="returned a float"):
        ea.embedders.torch(Outputs(lambda x: 1.0), **RAW)(images)
    with pytest.raises(ShapeError, match=r'"Outputs" gives an output of shape \(5, 3, 16, 16, 1\)'):
        ea.embedders.torch(Outputs(lambda x: x[..., None]), **RAW)(images)


def test_a_module_embeds_real_photos_and_its_text_part_finds_them(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for file in sorted((shared_data / "photos").iterdir())[:30]:
        shutil.copy(file, folder)
    p = ea.Project.from_folder(folder, tmp_path / "p.eaw")
    module = Outputs(lambda x: x.mean((2, 3)) - 0.5)
    words = {"dark": torch.full((3,), -1.0), "bright": torch.full((3,), 1.0)}
    embedder = ea.embedders.torch(module, **RAW, text=lambda texts: torch.stack([words[t] for t in texts]))
    vectors = np.asarray(p.embed("module", embedder, batch_size=7).vectors, dtype=float)
    cosine = vectors @ np.full(3, -1.0) / np.linalg.norm(vectors, axis=1) / np.sqrt(3)
    assert p.search("dark", k=1).rows.tolist() == [int(np.argmax(cosine))]
    assert p.search("bright", k=1).rows.tolist() == [int(np.argmin(cosine))]
    assert p.embeddings.made_by("module") == {
        "name": "Outputs", "kind": "torch", "size": [16, 16], "fit": "crop", "text": True
    }  # fmt: skip


def test_tensors_of_a_plain_function_are_taken(shared_data: Path, tmp_path: Path) -> None:
    weight = torch.ones(3, requires_grad=True)

    def embedder(images):
        return torch.from_numpy(images).float().mean((1, 2)) * weight

    folder = tmp_path / "photos"
    folder.mkdir()
    for file in sorted((shared_data / "photos").iterdir())[:9]:
        shutil.copy(file, folder)
    p = ea.Project.from_folder(folder, tmp_path / "p.eaw")
    whole = np.asarray(p.embed("tensor", embedder, size=8).vectors)
    rows = np.asarray(p.embed("rows", lambda images: list(embedder(images)), size=8).vectors)
    arrays = np.asarray(p.embed("arrays", lambda images: images.mean(axis=(1, 2)), size=8).vectors)
    assert np.array_equal(whole, rows)
    assert whole == pytest.approx(arrays, abs=1e-3)
