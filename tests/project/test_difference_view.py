"""A difference to look at, on real images: what a user loses if a change is not shown, or shown with wrong values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageFilter

import encord_active_widgets as ea
from encord_active_widgets.errors import UnknownNameError
from encord_active_widgets.history.differing import Difference
from encord_active_widgets.protocol.router import Router

N = 40
REMOVED, RELABELLED, TAGGED, UNTAGGED, NOTED, BLURRED, LABELS_GONE = [3, 4], [0, 8], [10, 11], [12], [14], 20, 16


@pytest.fixture(scope="module")
def p(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    """Forty images of blood cells with a run, a snapshot "v1", and every kind of change after it."""
    home = tmp_path_factory.mktemp("cells")
    data = json.loads((shared_data / "bccd" / "annotations.json").read_text("utf-8"))
    data["images"], late = data["images"][:N], data["images"][N]
    kept = {image["id"] for image in data["images"]}
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] in kept]
    (home / "cells.json").write_text(json.dumps(data))
    (home / "images").mkdir()
    for image in data["images"]:
        shutil.copy(shared_data / "bccd" / "images" / image["file_name"], home / "images")
    made = ea.Project.from_coco(home / "cells.json", images=home / "images", path=home / "cells.eaw")
    made.compute()
    boxes = made.objects.df.select("item_id", "class_name", pl.col("x") + 3, "y", "w", "h", confidence=pl.lit(0.9))
    made.add_predictions("yolo", boxes)
    made.items.head(13).tag("first")
    made.snapshot("v1")
    ids = made.ids
    white = made.objects.filter(pl.col("class_name") == "WBC")
    white.filter(pl.col("item_id").is_in([ids[i] for i in RELABELLED])).relabel("Platelets")
    made.objects.filter(pl.col("item_id") == ids[LABELS_GONE]).head(2).delete_label()
    made.items.by_ids(ids.gather(TAGGED)).tag("second")
    made.items.by_ids(ids.gather(UNTAGGED)).untag("first")
    made.items.by_ids(ids.gather(NOTED)).note("look")
    file = home / "images" / Path(made.df["uri"][BLURRED]).name
    Image.open(file).filter(ImageFilter.GaussianBlur(5)).save(file)
    shutil.copy(shared_data / "bccd" / "images" / late["file_name"], home / "images" / "late.jpg")
    made.refresh()
    made.add_images([str(home / "images" / "late.jpg")])
    made.items.by_ids(ids.gather(REMOVED)).remove()
    made.compute()
    return made


@pytest.fixture(scope="module")
def d(p: ea.Project) -> Difference:
    return p.diff("v1")


def _states(p: ea.Project, level: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows that were there and that are there, by id."""
    key = "item_id" if level == "items" else "label_id"
    past, now = (getattr(project, level).df for project in (p.at("v1"), p))
    return {r[key]: r for r in past.to_dicts()}, {r[key]: r for r in now.to_dicts()}


def test_frames_say_what_the_two_states_say(p: ea.Project, d: Difference) -> None:
    was, is_ = _states(p, "items")
    change = dict(d.items.select("item_id", "change").rows())
    assert {i for i, c in change.items() if c == "removed"} == was.keys() - is_.keys()
    assert {i for i, c in change.items() if c == "added"} == is_.keys() - was.keys()
    assert [c for c in change.values() if c not in ("removed", "added")] == ["changed"]
    assert d.items.filter(pl.col("change") == "changed")["uri"][0] == was[p.at("v1").ids[BLURRED]]["uri"]
    retagged = {i for i in was.keys() & is_.keys() if was[i]["tags"] != is_[i]["tags"]}
    told = d.tags.filter(pl.col("level") == "item", pl.col("id").is_in(list(was.keys() & is_.keys())))
    assert {r["id"]: (r["before"], r["after"]) for r in told.to_dicts()} == {
        i: (was[i]["tags"], is_[i]["tags"]) for i in retagged
    }
    old, new = _states(p, "objects")
    labels = {c: set(f["label_id"]) for (c,), f in d.labels.group_by("change")}
    both = old.keys() & new.keys()
    assert labels["removed"] == old.keys() - new.keys()
    assert labels["relabelled"] == {i for i in both if old[i]["class_name"] != new[i]["class_name"]}
    assert 0 < len(labels["relabelled"]) < len(labels["removed"])


def test_every_object_that_changed_is_shown_as_it_was_and_is(p: ea.Project, d: Difference) -> None:
    old, new = _states(p, "objects")
    changed = {i for i in old.keys() | new.keys() if _class(old, i) != _class(new, i)}
    shown = {r["label_id"]: r for r in d.view("object").df.to_dicts()}
    assert shown.keys() == changed
    for i, row in shown.items():
        assert (row["before"], row["after"]) == (_class(old, i), _class(new, i))
    assert {r["change"] for r in shown.values()} == {"removed", "relabelled"}


def _class(rows: dict[str, Any], label: str) -> str:
    return str(rows[label]["class_name"]) if label in rows else "not there"


def test_every_image_that_changed_is_shown_as_it_was_and_is(p: ea.Project, d: Difference) -> None:
    ids = p.at("v1").ids
    shown = {r["item_id"]: r for r in d.view().df.to_dicts()}
    expected = {
        i for k in (REMOVED, RELABELLED, TAGGED, UNTAGGED, NOTED, [BLURRED, LABELS_GONE]) for i in ids.gather(k)
    }
    assert shown.keys() == expected | {p.ids[-1]}
    assert [shown[ids[i]]["change"] for i in REMOVED] == ["removed"] * 2
    assert [shown[ids[i]]["after"] for i in REMOVED] == ["not there"] * 2
    assert [(shown[ids[i]]["change"], shown[ids[i]]["after"]) for i in TAGGED] == [("retagged", "tags second")] * 2
    assert [(shown[ids[i]]["change"], shown[ids[i]]["before"]) for i in UNTAGGED] == [("retagged", "tags first")]
    assert (shown[ids[14]]["change"], shown[ids[14]]["after"]) == ("noted", "note look")
    assert (shown[p.ids[-1]]["change"], shown[p.ids[-1]]["before"]) == ("added", "not there")
    old, new = _states(p, "objects")
    for i in RELABELLED:
        changed = [k for k, r in old.items() if r["item_id"] == ids[i] and r["class_name"] != new[k]["class_name"]]
        assert shown[ids[i]]["change"] == "relabelled"
        n = f"{len(changed)} × " if len(changed) > 1 else ""
        assert (shown[ids[i]]["before"], shown[ids[i]]["after"]) == (f"{n}WBC", f"{n}Platelets")


def test_metrics_that_drifted_stand_beside_what_they_were(p: ea.Project, d: Difference) -> None:
    from scipy.stats import ks_2samp

    past, now = p.at("v1").df, p.df
    for metric in ("sharpness", "brightness", "uniqueness"):
        row = d.metrics.filter(pl.col("metric") == metric, pl.col("level") == "item").row(0, named=True)
        assert row["ks"] == pytest.approx(ks_2samp(past[metric].drop_nulls(), now[metric].drop_nulls()).statistic)
        assert (row["mean_before"], row["mean_after"]) == pytest.approx((past[metric].mean(), now[metric].mean()))
    seen = d.view().df
    blurred = seen.filter(pl.col("change") == "changed").row(0, named=True)
    values = [f.filter(pl.col("item_id") == blurred["item_id"])["sharpness"].item() for f in (past, now)]
    assert values[1] < values[0] - 0.1
    assert (blurred["sharpness_before"], blurred["sharpness"]) == pytest.approx(tuple(values))
    assert f"sharpness {values[0]:.3g}" in blurred["before"]
    assert f"sharpness {values[1]:.3g}" in blurred["after"]
    joined = seen.join(past.select("item_id", was="sharpness"), on="item_id", how="left")
    assert joined["sharpness_before"].to_list() == joined["was"].to_list()


def test_all_rows_with_another_value_of_a_metric_can_be_asked_for(p: ea.Project, d: Difference) -> None:
    both = p.at("v1").df.select("item_id", was="uniqueness").join(p.df.select("item_id", "uniqueness"), on="item_id")
    moved = set(both.filter(pl.col("was").ne_missing(pl.col("uniqueness")))["item_id"])
    seen = d.view(metric="uniqueness").df
    assert moved
    assert moved <= set(seen["item_id"])
    assert set(seen["item_id"]) == moved | set(d.view().df["item_id"])
    assert seen.filter(pl.col("change") == "remeasured").height > 0
    with pytest.raises(UnknownNameError, match='Did you mean "uniqueness"'):
        d.view(metric="uniquenes")


def test_a_run_is_measured_against_the_labels_of_its_time(p: ea.Project, d: Difference) -> None:
    row = d.runs.row(0, named=True)
    then, now = p.at("v1").evaluate("yolo").map, p.evaluate("yolo").map
    assert (row["run"], row["change"], row["measure"]) == ("yolo", "same", "mAP@[.5:.95]")
    assert (row["before"], row["after"]) == pytest.approx((then, now))
    assert row["difference"] == pytest.approx(now - then)
    assert now < then, "labels were changed away from what the run says"
    assert f"{then:.4g} → {now:.4g}" in repr(d)


def test_the_explorer_shows_all_of_it_and_answers_for_what_is_gone(p: ea.Project, d: Difference) -> None:
    w = d.explore()
    service = w._service
    columns = {c["name"]: c for c in service.spec()["columns"]}
    assert {"change", "before", "after", "sharpness_before"} <= columns.keys()
    assert w.color == "change"
    shown = service.view
    gone = shown.filter(pl.col("change") == "removed")
    assert gone.ids.to_list() == p.at("v1").ids.gather(REMOVED).to_list()
    replies: list[tuple[dict[str, Any], list[Any]]] = []
    router = Router(service.handlers())
    rows = np.asarray(gone.rows, dtype="<u4")
    for op, about, data in (
        ("thumbs.get", {}, [rows.tobytes()]),
        ("row.detail", {"row": int(rows[0]), "k": 0}, []),
        ("image.get", {"row": int(rows[0]), "max": 200}, []),
    ):
        router.dispatch({"id": f"t:{op}", "op": op, **about}, data, lambda c, b: replies.append((c, b)))
    assert all(reply["ok"] for reply, _ in replies), replies
    assert replies[2][1], "the picture of an image that was removed"
    was = p.at("v1").objects.filter(pl.col("item_id") == gone.ids[0])
    assert json.dumps(replies[1][0]).count("not there") >= 1
    assert len(was) > 0
    w.filter = pl.col("change") == "relabelled"
    assert set(w.filtered.ids) == set(p.at("v1").ids.gather(RELABELLED))
    w.close()
    assert "change" not in p.items.columns
    assert not [c for c in p.items.columns if c.endswith("_before")]


def test_looking_at_a_difference_changes_nothing_and_edits_go_into_the_project(p: ea.Project, tmp_path: Path) -> None:
    mine = ea.open(shutil.copytree(p.path, tmp_path / "cells.eaw"))
    before, steps = mine.df, mine.history().height
    seen = mine.diff("v1").view("object").filter(pl.col("change") == "relabelled")
    assert mine.df.equals(before)
    assert mine.history().height == steps
    seen.tag("look again")
    assert set(mine.objects.filter(ea.tagged("look again")).ids) == set(seen.ids)
    seen.relabel("WBC")
    assert mine.diff("v1").labels.filter(pl.col("change") == "relabelled").is_empty()
    mine.undo()
    again = mine.diff("v1").view("object").filter(pl.col("change").str.contains("relabelled"))
    assert set(again.df["change"]) == {"relabelled, retagged"}
    assert len(again) == len(seen)


def test_a_difference_can_be_sent_as_a_page(d: Difference, tmp_path: Path) -> None:
    done = d.view().to_html(tmp_path / "difference.html", color="change")
    assert done.items == d.view().df.height
    assert "v1 → now" in done.path.read_text("utf-8")
