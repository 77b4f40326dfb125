"""Computed projects of real images, and a reader of exported pages that shares no code with the writer."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import encord_active_widgets as ea

_BLOCK = re.compile(r'<script type="application/octet-stream" data-eaw="([a-z0-9-]+)">([A-Za-z0-9+/=]*)</script>')


class ReadPack:
    def __init__(self, data: bytes) -> None:
        body = zlib.decompress(data[1:], -zlib.MAX_WBITS) if data[0] else data[1:]
        (size,) = struct.unpack_from("<I", body)
        self.head: dict[str, Any] = json.loads(body[4 : 4 + size])
        first = -(-(4 + size) // 8) * 8
        self.buffers = [body[first + at : first + at + n] for at, n in self.head["buffers"]]


class ReadPage:
    """An exported page, taken apart."""

    def __init__(self, file: Path) -> None:
        self.text = file.read_text("utf-8")
        self.size = file.stat().st_size
        self.packs = {name: ReadPack(base64.b64decode(text)) for name, text in _BLOCK.findall(self.text)}
        self.data = self.packs["data"]

    @property
    def n(self) -> int:
        return int(self.data.head["spec"]["n"])

    def texts(self, name: str) -> list[str | None]:
        column = self.data.head["columns"][name]
        places = np.frombuffer(self.data.buffers[column["places"]], "<u4")
        return [None if i == 0xFFFFFFFF else column["texts"][i] for i in places.tolist()]

    def numbers(self, name: str) -> np.ndarray[Any, Any]:
        column = self.data.head["columns"][name]
        return np.frombuffer(self.data.buffers[column["values"]], "<f4" if column["bits"] == 32 else "<f8")

    @property
    def ids(self) -> list[str | None]:
        return self.texts(self.data.head["key"])

    def pictures(self, album: str = "tiles") -> list[bytes]:
        out = []
        for name, pack in self.packs.items():
            if re.fullmatch(rf"{album}-\d+", name):
                ends = [0, *np.frombuffer(pack.buffers[pack.head["ends"]], "<u4").tolist()]
                blob = pack.buffers[pack.head["pictures"]]
                out += [blob[a:b] for a, b in itertools.pairwise(ends)]
        return out


@pytest.fixture(scope="session")
def taken_apart() -> Callable[[Path], ReadPage]:
    return ReadPage


@pytest.fixture(scope="session")
def cifar(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    """All 10,000 images of `cifar10_test`, with everything computed; nobody changes it."""
    p = ea.Project.from_folder(shared_data / "cifar10_test", tmp_path_factory.mktemp("cifar") / "cifar.eaw")
    p.compute()
    return p


@pytest.fixture(scope="session")
def photos_made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    p = ea.Project.from_folder(shared_data / "photos", tmp_path_factory.mktemp("photos") / "photos.eaw")
    p.compute()
    return p.path


@pytest.fixture
def photos(photos_made: Path, tmp_path: Path) -> ea.Project:
    """The 200 photos, to do with as one likes."""
    return ea.open(shutil.copytree(photos_made, tmp_path / "photos.eaw"))


@pytest.fixture(scope="session")
def cells(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    """Blood cells with boxes; nobody changes it."""
    home = tmp_path_factory.mktemp("cells")
    p = ea.Project.from_coco(shared_data / "bccd" / "annotations.json", shared_data / "bccd" / "images", home / "b.eaw")
    p.compute()
    return p
