"""Labels that come back from Label Studio and CVAT: only what the annotators changed is taken over."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import encord_active_widgets as ea
from encord_active_widgets.curation.answering import answer
from encord_active_widgets.curation.reviewing import Queue

TOOLS = ("label_studio", "cvat")
BOX = {"class_name": "cat", "x": 8.0, "y": 8.0, "w": 16.0, "h": 16.0}


def made(folder: Path, n: int = 3, **more: Any) -> ea.Project:
    """`n` cats on one image, and a class for the whole image."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 50)).save(images / "a.png")
    rows = [{**BOX, "x": 8.0 + 24 * i, **more} for i in range(n)]
    return ea.Project.from_folder(
        images, folder / "p.eaw", classes=False, labels=lambda _: [*rows, {"class_name": "day"}]
    )


def move_here(p: ea.Project, row: int, x: float) -> None:
    """Accept a prediction that a label should lie elsewhere."""
    p.add_predictions("m", pl.DataFrame([{"path": p.df["uri"][0], **BOX, "x": x, "confidence": 0.9}]))
    asked = {"level": "object", "row": row, "item_row": 0, "shown_row": 0, "kind": "location", "given": "cat",
             "suggested": "cat", "score": 0.9, "reason": "",
             "label_row": row, "prediction_row": 0, "view_row": 0}  # fmt: skip
    queue = Queue(p.items, pl.DataFrame([asked]), "m", p._run_named("m"))
    assert answer(queue, [0], "accept").places.tolist() == [0]


class Sent:
    """A file as annotators have it: labels by their place in it, to be renamed, moved and deleted."""

    def __init__(self, p: ea.Project, tool: str, folder: Path, name: str = "sent") -> None:
        self._tool = tool
        self.file = folder / (f"{name}.json" if tool == "label_studio" else f"{name}.xml")
        getattr(p.items, f"to_{tool}")(self.file)
        self._text = self.file.read_text("utf-8")

    def _change(self, change: Callable[[Any], None]) -> None:
        if self._tool == "label_studio":
            tasks = json.loads(self._text)
            tasks[0]["annotations"][0] |= {"completed_by": 5, "updated_at": "2026"}
            change(tasks[0]["annotations"][0]["result"])
            self._text = json.dumps(tasks)
        else:
            root = ET.fromstring(self._text)
            change(root.find("image"))
            self._text = ET.tostring(root, encoding="unicode")

    def rename(self, i: int, name: str) -> Sent:
        def change(regions: Any) -> None:
            if self._tool == "cvat":
                regions[i].set("label", name)
            else:
                value = regions[i]["value"]
                value["choices" if "choices" in value else "rectanglelabels"] = [name]

        self._change(change)
        return self

    def move(self, i: int, by: float) -> Sent:
        def change(regions: Any) -> None:
            if self._tool == "cvat":
                for key in ("xtl", "xbr"):
                    regions[i].set(key, str(float(regions[i].get(key)) + by))
            else:
                regions[i]["value"]["x"] += by  # the image is 100 px wide

        self._change(change)
        return self

    def delete(self, i: int) -> Sent:
        self._change(lambda regions: regions.remove(regions[i]))
        return self

    def take(self, change: Callable[[Any], None]) -> Sent:
        self._change(change)
        return self

    def back(self, p: ea.Project, **options: Any) -> Any:
        target = self.file.with_stem(f"{self.file.stem}_back")
        target.write_text(self._text, "utf-8")
        return p.add_labels(target, **options)


def seen(p: ea.Project) -> list[tuple[str, float]]:
    return [(c, round(x, 6)) for c, x in p.objects.df.sort("x").select("class_name", "x").rows()]


CATS = [("cat", 8.0), ("cat", 32.0), ("cat", 56.0)]


@pytest.mark.parametrize("tool", TOOLS)
def test_what_was_changed_here_meanwhile_is_not_reverted_by_labels_that_come_back_as_they_were(
    tool: str, tmp_path: Path
) -> None:
    p = made(tmp_path)
    sent = Sent(p, tool, tmp_path)
    p.objects.at([0]).relabel("dog")
    p.items.relabel("night")
    move_here(p, 1, 40.0)
    wanted = seen(p)
    assert ("dog", 8.0) in wanted
    assert ("cat", 40.0) in wanted
    done = sent.back(p)
    assert seen(p) == wanted
    assert p.df["class_name"].to_list() == ["night"]
    assert (done.labels, done.labels_changed, done.labels_unchanged, done.faults) == (0, 0, 4, 0)


@pytest.mark.parametrize("tool", TOOLS)
def test_changes_of_both_sides_come_together_and_what_both_changed_is_listed(tool: str, tmp_path: Path) -> None:
    p = made(tmp_path)
    sent = Sent(p, tool, tmp_path)
    p.objects.at([0]).relabel("dog")
    p.objects.at([1]).relabel("dog")
    p.objects.at([2]).relabel("dog")
    sent.move(0, 2).rename(1, "fox").rename(2, "dog")
    done = sent.back(p)
    assert seen(p) == [("dog", 10.0), ("dog", 32.0), ("dog", 56.0)]
    assert (done.labels, done.labels_changed, done.labels_unchanged, done.faults) == (0, 1, 2, 1)
    why = p.problems.row(-1, named=True)
    assert why["why"] == 'its class was changed both here ("dog") and by the annotators ("fox")'
    label = p.objects.df.filter(pl.col("x") == 32)["label_id"][0]
    assert f'p.labels.by_ids(["{label}"]).relabel("fox")' in why["remedy"]
    sent.back(p)
    assert seen(p) == [("dog", 10.0), ("dog", 32.0), ("dog", 56.0)]
    p.undo()
    assert seen(p) == [("dog", 8.0), ("dog", 32.0), ("dog", 56.0)]


@pytest.mark.parametrize("tool", TOOLS)
def test_annotators_may_go_on_with_the_file_they_have(tool: str, tmp_path: Path) -> None:
    p = made(tmp_path)
    sent = Sent(p, tool, tmp_path)
    assert sent.rename(0, "dog").move(1, 2).back(p).labels_changed == 2
    assert sent.rename(0, "fox").move(1, 2).rename(1, "dog").back(p).labels_changed == 2
    assert seen(p) == [("fox", 8.0), ("dog", 36.0), ("cat", 56.0)]
    p.objects.filter(pl.col("x") == 36).relabel("newt")  # by hand, after it came back
    again = sent.back(p)
    assert (again.labels_changed, again.faults) == (0, 0)
    assert seen(p) == [("fox", 8.0), ("newt", 36.0), ("cat", 56.0)]
    # A label that is handed out anew starts from what it is then.
    anew = Sent(p, tool, tmp_path, "anew")
    assert anew.rename(-1, "dog").back(p).labels_changed == 1
    assert ("dog", 36.0) in seen(p)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_label_that_both_moved_stays_as_it_is_here(tool: str, tmp_path: Path) -> None:
    p = made(tmp_path, 1)
    sent = Sent(p, tool, tmp_path).move(0, 4).rename(0, "dog")
    move_here(p, 0, 15.0)
    assert seen(p) == [("cat", 15.0)]
    done = sent.back(p)
    assert seen(p) == [("dog", 15.0)]  # the class was theirs alone
    assert (done.labels, done.labels_changed, done.faults) == (0, 1, 1)
    assert "its shape was changed both here" in p.problems["why"][-1]


def test_a_label_of_another_shape_keeps_its_tags_note_track_and_who_drew_it(tmp_path: Path) -> None:
    p = made(tmp_path, 1, track_id="7", annotator="bob", seconds=3.0)
    p.objects.tag("odd")
    p.objects.note("look")
    sent = Sent(p, "cvat", tmp_path).move(0, 2)
    p.objects.relabel("dog")
    sent.back(p)
    row = p.objects.df.row(0, named=True)
    assert (row["x"], row["class_name"], row["tags"], row["note"]) == (10.0, "dog", ["odd"], "look")
    assert (row["track_id"], row["annotator"], row["seconds"]) == ("7", "bob", 3.0)
    p.undo(2)
    assert seen(p) == [("cat", 8.0)]


def test_labels_that_cannot_be_read_are_not_deleted_as_if_taken_away(tmp_path: Path) -> None:
    p = made(tmp_path)
    sent = Sent(p, "label_studio", tmp_path)

    def damage(regions: Any) -> None:
        regions[0]["value"]["width"] = "wide"
        del regions[0]["id"], regions[0]["meta"]
        regions.append({"type": "textarea", "from_name": "t", "value": {"text": ["hm"]}, "id": "zz"})

    sent.take(damage)
    done = sent.back(p, delete_gone=True)
    assert seen(p) == CATS
    assert done.labels_gone == 0
    assert "cannot be read in the file" in " ".join(p.problems["why"])
    # A text beside the labels is no label that could not be read.
    other = Sent(p, "label_studio", tmp_path, "other").take(lambda regions: regions.append(
        {"type": "textarea", "from_name": "t", "value": {"text": ["hm"]}, "id": "zz"}))  # fmt: skip
    assert other.delete(0).back(p, delete_gone=True).labels_gone == 1
    assert seen(p) == CATS[1:]


def test_an_edit_here_outlives_a_deletion_there(tmp_path: Path) -> None:
    p = made(tmp_path)
    sent = Sent(p, "label_studio", tmp_path).delete(0).delete(0)
    p.objects.at([0]).relabel("dog")
    done = sent.back(p, delete_gone=True)
    assert done.labels_gone == 1
    assert seen(p) == [("dog", 8.0), ("cat", 56.0)]
    assert "took it away, and it was given another class or shape here" in " ".join(p.problems["why"])


def test_answers_without_ids_are_not_doubled_beside_what_was_moved_here(tmp_path: Path) -> None:
    p = made(tmp_path, 1)
    sent = Sent(p, "label_studio", tmp_path)

    def anew(regions: Any) -> None:
        for region in regions:
            region.pop("id"), region.pop("meta")

    sent.take(anew)
    move_here(p, 0, 15.0)
    done = sent.back(p)
    assert (done.labels, done.labels_changed) == (0, 0)
    assert seen(p) == [("cat", 15.0)]


def test_a_label_drawn_in_the_tool_keeps_the_class_it_was_given_here(tmp_path: Path) -> None:
    p = made(tmp_path, 1)
    sent = Sent(p, "label_studio", tmp_path)

    def draw(regions: Any) -> None:
        value = {"x": 70, "y": 10, "width": 10, "height": 10, "rotation": 0, "rectanglelabels": ["cat"]}
        regions.append({"type": "rectanglelabels", "from_name": "box", "to_name": "image", "id": "Dx_aB91ISN",
                        "original_width": 100, "original_height": 50, "value": value})  # fmt: skip

    sent.take(draw)
    assert sent.back(p).labels == 1
    p.objects.filter(pl.col("x") == 70).relabel("dog")
    assert sent.back(p).labels_changed == 0
    assert seen(p) == [("cat", 8.0), ("dog", 70.0)]
    assert sent.rename(2, "fox").back(p).faults == 1
    assert seen(p) == [("cat", 8.0), ("dog", 70.0)]


def test_files_handed_out_before_they_told_what_was_sent_are_still_taken_back(tmp_path: Path) -> None:
    p = made(tmp_path)
    sent = Sent(p, "label_studio", tmp_path)
    sent._text = re.sub(r"~[0-9a-f]+-[0-9a-f]{8}", "", sent._text)
    assert "~" not in sent._text
    assert sent.rename(0, "dog").move(1, 2).back(p).labels_changed == 2
    assert seen(p) == [("dog", 8.0), ("cat", 34.0), ("cat", 56.0)]
    p.objects.at([0]).relabel("newt")
    assert sent.back(p).labels_changed == 0
    assert ("newt", 8.0) in seen(p)


STEPS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2), st.sampled_from(["cat", "dog", "fox"])), min_size=1, max_size=5
)


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_a_class_is_that_of_the_side_that_changed_it(tool: str, tmp_path: Path, steps: list) -> None:
    if not (tmp_path / "p.eaw").exists():
        made(tmp_path)
    p = ea.open(tmp_path / "p.eaw")
    sent = Sent(p, tool, tmp_path)
    here, there = ["cat"] * 3, ["cat"] * 3
    for ours, i, name in steps:
        (here if ours else there)[i] = name
        if ours:
            p.objects.at([i]).relabel(name)
        else:
            sent.rename(i, name)
    sent.back(p)
    wanted = [h if t == "cat" or h != "cat" else t for h, t in zip(here, there, strict=True)]
    assert [c for c, _ in seen(p)] == wanted
    conflicts = [i for i in range(3) if "cat" not in (here[i], there[i]) and here[i] != there[i]]
    taken = [i for i in range(3) if there[i] != "cat" and here[i] == "cat"]
    again = sent.back(p)
    assert (again.labels, again.labels_changed, again.faults) == (0, 0, len(conflicts))
    p.undo(len([s for s in steps if s[0]]) + bool(taken))
    assert seen(p) == CATS
