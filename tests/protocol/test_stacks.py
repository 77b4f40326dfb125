"""What the page of stacks is told, and what it may do."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import encord_active_widgets as ea
from encord_active_widgets.protocol.router import Router
from encord_active_widgets.protocol.service import Service
from encord_active_widgets.protocol.stacks import Stacks
from encord_active_widgets.store.rows import encode_rows


@pytest.fixture(scope="module")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stacks")
    files = sorted((shared_data / "photos").glob("*.JPEG"))[:10]
    rows = [{"path": str(f), "split": "train"} for f in files]
    for i, file in enumerate(files[:4]):
        for k in range(1 + i % 2):
            shutil.copy(file, home / f"{i}{k}.jpg")
            rows.append({"path": str(home / f"{i}{k}.jpg"), "split": "test" if i < 2 else "train"})
    p = ea.Project.from_frame(pl.DataFrame(rows), home / "p.eaw")
    p.compute(["pixels", "neighbours"])
    return home / "p.eaw"


@pytest.fixture
def project(made: Path, tmp_path: Path) -> ea.Project:
    return ea.open(shutil.copytree(made, tmp_path / "p.eaw"))


class Page:
    def __init__(self, project: ea.Project, threshold: float | None = None) -> None:
        self.service = Service(project.items)
        self.panel = Stacks(project.items, 0.25 if threshold is None else threshold, open_=True)
        self.router = Router(self.panel.attach(self.service))
        self.service.panels[self.panel.name] = self.panel.describe

    def ask(self, op: str, *buffers: bytes, **content: Any) -> tuple[dict[str, Any], list[bytes]]:
        out: list[Any] = []
        self.router.dispatch({"v": 1, "id": "t:1", "op": op, **content}, list(buffers), lambda c, b: out.append((c, b)))
        return out[0]

    def edit(self, rows: list[int], **content: Any) -> dict[str, Any]:
        encoded = encode_rows(np.array(rows))
        return self.ask("stacks.edit", encoded.data, enc=encoded.encoding, n=encoded.n, **content)[0]


def stacks_of(buffers: list[bytes]) -> list[list[int]]:
    starts, rows = np.frombuffer(buffers[0], "<u4"), np.frombuffer(buffers[1], "<u4")
    return [rows[a:b].tolist() for a, b in pairwise(starts.tolist())]


@pytest.mark.parametrize("threshold", [0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("rule", ["sharpest", "largest", "most_labelled", "first"])
def test_the_page_sees_what_the_call_returns(project: ea.Project, threshold: float, rule: str) -> None:
    head, buffers = Page(project).ask("stacks.get", threshold=threshold, rule=rule)
    d = project.duplicates(threshold)
    truth = d.df.group_by("duplicate_group", maintain_order=True).agg("ordinal")["ordinal"].to_list()
    stacks = stacks_of(buffers)
    assert stacks == truth
    kept = np.frombuffer(buffers[2], "<u4")
    others = {row for rows, k in zip(stacks, kept, strict=True) for i, row in enumerate(rows) if i != k}
    assert others == set(d.keep(rule).rows.tolist())
    assert np.frombuffer(buffers[3], "<f4").tolist() == d.df["distance"].to_list()
    assert [["exact", "near", "mirrored"][k] for k in buffers[5]] == d.df["kind"].to_list()
    assert [head["splits"][s] for s in buffers[6]] == d.df["split"].to_list()
    assert (head["groups"], head["items"], head["leaks"]) == (len(d), d.df.height, 2)
    assert (head["column"] is None) == (rule == "first")


def test_a_page_that_is_reloaded_begins_where_it_was(project: ea.Project) -> None:
    page = Page(project, 0.1)
    assert page.service.spec()["panels"]["stacks"]["threshold"] == 0.1
    page.ask("stacks.get", threshold=0.3, rule="first")
    told = page.service.spec()["panels"]["stacks"]
    assert (told["threshold"], told["rule"], told["most"]) == (0.3, "first", 0.5)


def test_each_edit_is_one_edit_of_the_project(project: ea.Project) -> None:
    page = Page(project)
    rows = project.duplicates().keep().rows.tolist()
    assert page.edit(rows, what="tag", tag="drop")["undo"] == f'tagged {len(rows)} items "drop"'
    assert project.filter(ea.tagged("drop")).rows.tolist() == sorted(rows)
    assert page.edit(project.duplicates().stack(0).rows.tolist(), what="not_duplicates")["ok"]
    assert stacks_of(page.ask("stacks.get")[1]) == [
        part["ordinal"].to_list()
        for _, part in project.duplicates().df.group_by("duplicate_group", maintain_order=True)
    ]
    assert page.edit(rows, what="remove")["redo"] is None
    assert page.ask("stacks.get")[0]["groups"] == 0
    assert project.history()["cause"].to_list()[-3:] == ["explorer"] * 3
    project.undo(3)
    assert page.ask("stacks.get")[0]["groups"] == 4


def test_what_cannot_be_is_refused_with_a_remedy(project: ea.Project) -> None:
    page = Page(project)
    before = project.history().height
    for content in (
        {"what": "eat"},
        {"what": "tag", "tag": " "},
        {"what": "not_duplicates"},
    ):
        told = page.edit([1], **content)
        assert not told["ok"]
        assert told["error"]["hint"]
    for content in ({"threshold": "x"}, {"threshold": 3}, {"rule": "best"}, {"threshold": True}):
        assert not page.ask("stacks.get", **content)[0]["ok"]
    assert page.edit([], what="remove")["ok"]
    page.service.set_level("object")
    assert not page.edit([1, 2], what="remove")["ok"]
    assert project.history().height == before


def test_it_opens_as_a_widget_and_follows_the_project(project: ea.Project) -> None:
    w = project.duplicates(0.2).explore(rule="largest")
    assert w._spec["panels"]["stacks"]["rule"] == "largest"
    assert len(w.view) == len(project)
    with pytest.raises(ea.errors.UnknownNameError):
        project.duplicates().explore(rule="best")
    w.close()
    part = project.items.head(11)
    assert len(project.duplicates(view=part).explore().view) == 11
