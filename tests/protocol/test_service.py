"""What the page is told: every request, every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

import encord_active_widgets as ea
from encord_active_widgets.protocol.editing import Editing
from encord_active_widgets.protocol.router import PART_BYTES, Reply, Router, split
from encord_active_widgets.protocol.service import Service
from encord_active_widgets.store.rows import decode_mask, encode_rows

from .test_filters import SPECS, make_level

N = 60


@pytest.fixture
def project(tmp_path: Path) -> ea.Project:
    rng = np.random.default_rng(0)
    frame = make_level().frame.head(N)
    table = pl.DataFrame(
        {"path": frame["uri"], "class_name": frame["class_name"], "score": frame["brightness"], "size": frame["width"]}
    )
    p = ea.Project.from_frame(table, tmp_path / "p.eaw", read=False)
    p.items.at(np.flatnonzero(rng.random(N) < 0.3)).tag("review")
    return p


class Page:
    """One page: asks and remembers."""

    def __init__(self, service: Service) -> None:
        self.router = Router({**service.handlers(), **Editing(service).handlers()})

    def ask(self, op: str, *buffers: bytes, **content: Any) -> tuple[dict[str, Any], list[bytes]]:
        out: list[tuple[dict[str, Any], list[bytes]]] = []
        self.router.dispatch(
            {"v": 1, "id": "t:1", "op": op, **content},
            list(buffers),
            lambda c, b: out.append((c, [bytes(x) for x in b])),
        )
        assert len(out) == 1
        json.dumps(out[0][0], allow_nan=False)
        return out[0]


@given(spec=SPECS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_kernel_and_a_view_agree_on_every_filter(spec: dict[str, Any], project: ea.Project) -> None:
    text = json.dumps(spec).replace('"brightness"', '"score"')
    service = Service(project.items)
    head, (mask, nulls) = Page(service).ask("filter.eval", spec=json.loads(text))
    kept = np.flatnonzero(decode_mask("bitset", mask, N))
    from encord_active_widgets.protocol.filters import to_expr

    expr = to_expr(json.loads(text), service.level, {})
    assert kept.tolist() == project.filter(expr).rows.tolist()
    assert head["n"] == kept.size
    assert not (decode_mask("bitset", nulls, N)[kept]).any()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("by", ["score", "size", "class_name"])
def test_the_grid_is_ordered_as_polars_orders(project: ea.Project, by: str, descending: bool) -> None:
    _, (order,) = Page(Service(project.items)).ask("order.get", by=by, desc=descending)
    expected = project.df.sort(by, "ordinal", descending=[descending, False], nulls_last=[True, True])["ordinal"]
    assert np.frombuffer(order, "<u4").tolist() == expected.to_list()


def test_a_view_keeps_its_own_order_and_shows_only_its_rows(project: ea.Project) -> None:
    view = project.items.at([9, 3, 5])
    page = Page(Service(view))
    assert Service(view).spec()["base"] == {"n": 3}
    _, (order,) = page.ask("order.get", by=None)
    assert np.frombuffer(order, "<u4")[:3].tolist() == [9, 3, 5]
    head, (mask,) = page.ask("base.get")
    assert np.flatnonzero(decode_mask("bitset", mask, N)).tolist() == [3, 5, 9]
    assert head["n"] == 3


def test_tagging_renaming_merging_and_undo_are_one_history(project: ea.Project) -> None:
    page = Page(Service(project.items))
    rows = encode_rows(np.array([1, 2, 3]))
    reply, _ = page.ask("tags.apply", rows.data, enc=rows.encoding, add=["<b>night</b>"])
    assert reply["saved"]
    assert project.filter(ea.tagged("<b>night</b>")).rows.tolist() == [1, 2, 3]
    page.ask("tags.rename", **{"from": "<b>night</b>", "to": "dark"})
    refused, _ = page.ask("tags.rename", **{"from": "dark", "to": "review"})
    assert not refused["ok"]
    page.ask("tags.rename", **{"from": "dark", "to": "review", "merge": True})
    assert project.tags["tag"].to_list() == ["review"]
    assert page.ask("edits.undo")[0]["text"] == 'undone: merged tag "dark" into "review"'
    assert project.tags["tag"].to_list() == ["review", "dark"]
    assert page.ask("edits.redo")[0]["ok"]
    assert page.ask("tags.color", name="review", color="#ff0000")[0]["tags"][0]["color"] == "#ff0000"
    assert not page.ask("tags.color", name="review", color="url(x)")[0]["ok"]
    assert page.ask("tags.delete", name="review")[0]["tags"] == []
    assert set(project.history()["cause"]) == {"import", "python", "explorer"}


def test_tags_travel_in_the_smallest_form_and_come_back_equal(project: ea.Project) -> None:
    head, buffers = Page(Service(project.items)).ask("tags.get")
    tag = head["tags"][0]
    assert (
        np.flatnonzero(decode_mask(tag["enc"], buffers[0], N)).tolist()
        == project.filter(ea.tagged("review")).rows.tolist()
    )


def test_saved_filters_stay_in_the_project(project: ea.Project) -> None:
    spec = {"all": [{"tag": "review"}]}
    page = Page(Service(project.items))
    page.ask("filters.save", name="mine", spec=spec)
    assert Service(ea.open(project.path).items).spec()["saved"] == [{"name": "mine", "filter": spec}]
    assert not page.ask("filters.save", name="bad", spec={"col": "nope", "op": "null"})[0]["ok"]
    assert page.ask("filters.delete", name="mine")[0]["saved"] == []


@pytest.mark.parametrize(
    ("op", "content"),
    [
        ("nothing", {}),
        ("row.detail", {"row": N}),
        ("row.detail", {"row": "1; drop"}),
        ("columns.get", {"names": ["nope"]}),
        ("order.get", {"by": "nope"}),
        ("filter.eval", {"spec": {"sql": "x"}}),
        ("embedding.get", {"name": "nope"}),
        ("job.start", {"kind": "rm"}),
        ("tags.rename", {"from": "nope", "to": "x"}),
        ("tags.apply", {"enc": "zip"}),
        ("image.get", {"row": 0}),
        (["a"], {}),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(
    project: ea.Project, op: Any, content: dict[str, Any]
) -> None:
    reply, _ = Page(Service(project.items)).ask(op, **content)
    assert not reply["ok"]
    assert reply["error"]["message"]
    assert reply["error"]["code"] != "internal"


def test_messages_of_others_are_ignored_and_large_ones_refused(project: ea.Project) -> None:
    page = Page(Service(project.items))
    out: list[Any] = []
    for content in (None, "x", {}, {"id": 3, "op": "hello"}, {"re": "a:1"}):
        page.router.dispatch(content, [], lambda c, b: out.append(c))
    assert out == []
    assert "1 MiB" in page.ask("tags.apply", b"\0" * (1024 * 1024 + 1), enc="bitset")[0]["error"]["message"]


def test_a_large_reply_comes_in_parts_that_make_the_same_bytes() -> None:
    rng = np.random.default_rng(0)
    buffers = [rng.bytes(PART_BYTES + 17), b"", rng.bytes(5), rng.bytes(2 * PART_BYTES)]
    messages = split("a:1", Reply({"n": 1}, buffers))
    wholes: dict[int, bytearray] = {}
    for i, (message, pieces) in enumerate(messages):
        assert message["part"] == i
        assert sum(len(p) for p in pieces) <= PART_BYTES
        for piece, data in zip(message["pieces"], pieces, strict=True):
            whole = wholes.setdefault(piece["b"], bytearray(piece["len"]))
            whole[piece["at"] : piece["at"] + len(data)] = data
    assert [bytes(wholes[i]) for i in range(4)] == buffers
    assert messages[-1][0]["head"] == {"n": 1}


def test_the_description_stays_under_20_kilobytes_however_wide_the_table(tmp_path: Path) -> None:
    n = 300
    table = {"path": [f"{i}.jpg" for i in range(n)]}
    table |= {f"column_{k:03d}": [f"some longer value {i % 200}" for i in range(n)] for k in range(120)}
    p = ea.Project.from_frame(pl.DataFrame(table), tmp_path / "p.eaw", read=False)
    assert len(json.dumps(Service(p.items).spec())) < 20_000


def test_removed_rows_are_hidden_and_their_ordinals_stay(project: ea.Project) -> None:
    project.items.at([0, 7]).remove()
    service = Service(project.items)
    _, (mask,) = Page(service).ask("base.get")
    assert np.flatnonzero(~decode_mask("bitset", mask, N)).tolist() == [0, 7]
    assert service.spec()["alive"] == N - 2


def test_not_a_number_reaches_the_page_as_missing(tmp_path: Path) -> None:
    table = pl.DataFrame({"path": ["a.jpg", "b.jpg"], "score": [float("nan"), float("inf")]})
    p = ea.Project.from_frame(table, tmp_path / "p.eaw", read=False)
    page = Page(Service(p.items))
    values = {v["name"]: v["value"] for v in page.ask("row.detail", row=0)[0]["values"]}
    assert values["score"] is None
    page.ask("row.detail", row=1)
    page.ask("columns.get", names=["score"], enc="bins8")
