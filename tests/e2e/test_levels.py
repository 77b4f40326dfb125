"""Objects as rows: the level switch, crops with outlines, every shape in the open image, edits of labels."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .browser import NotebookPage
from .test_main_job import opened


def test_objects_are_rows_with_their_own_map_tags_and_filters(notebook: NotebookPage, bccd: Path) -> None:
    notebook.open(opened(bccd, "w = p.explore(color='brightness', filter=pl.col('object_count') > 3); w"), "levels")
    e = notebook.explorer().wait_ready()
    images = e.shown()
    e.level("Objects")
    e.wait_ready()
    e.expect_shown(4886)
    e.settled()
    expect(e.tile(0).locator("svg path").first).to_have_attribute("d", re.compile("^M"))
    notebook.shot("objects-bccd", e.root)
    assert notebook.run_cell("w.level, w.view.level, len(w.filtered)") == "('object', 'object', 4886)"
    e.lasso()
    lassoed = e.expect_some_selected()
    assert notebook.run_cell("w.selection.level, w.selection.df.height") == f"('object', {lassoed})"
    e.brush("relative_area", 0.2, 0.6)
    brushed = e.expect_shown_other_than(4886)
    assert (
        int(notebook.run_cell("len(w.filtered)"))
        == int(notebook.run_cell("len(p.objects.filter(w.filter))"))
        == brushed
    )
    notebook.run_cell("w.filter = pl.col('class_name') == 'WBC'; w.color = 'class_name'")
    e.expect_shown(372)
    e.tile(0).click()
    e.tile(4).click(modifiers=["Shift"])
    e.type_tag("check")
    assert notebook.run_cell("w.selection.level, p.objects.filter(ea.tagged('check')).df['class_name'].to_list()") == (
        "('object', ['WBC', 'WBC', 'WBC', 'WBC', 'WBC'])"
    )
    assert notebook.run_cell("print(w.code)").strip().endswith("view = p.objects.filter(pl.col('class_name') == 'WBC')")
    e.level("Images")
    e.wait_ready()
    e.expect_shown(images)
    assert notebook.run_cell("len(p.items.filter(ea.tagged('check')))") == "0"
    e.level("Objects")
    e.expect_shown(372)
    notebook.run_cell("w.level = 'item'")
    e.expect_shown(images)


def test_the_class_of_a_selection_is_changed_noted_deleted_and_undone(notebook: NotebookPage, bccd: Path) -> None:
    notebook.open(opened(bccd, "w = p.explore(); w.level = 'object'; w"), "relabel")
    e = notebook.explorer().wait_ready()
    e.expect_shown(4886)
    before = notebook.run_cell("p.objects.df['class_name'][1]")
    e.tile(1).click()
    e.relabel("Neutrophil")
    notebook.wait_cell("p.objects.df['class_name'][1]", "'Neutrophil'")
    e.part("undo").click()
    notebook.wait_cell("p.objects.df['class_name'][1]", before)
    e.tile(1).dblclick()
    expect(e.detail).to_be_visible()
    e.detail.get_by_test_id("note").fill("<b>half</b> hidden")
    notebook.page.keyboard.press("Enter")
    notebook.wait_cell("p.objects.df['note'][1] if 'note' in p.objects.columns else None", "'<b>half</b> hidden'")
    notebook.shot("object-detail", e.root)
    notebook.page.keyboard.press("Escape")
    assert e.root.evaluate("root => root.shadowRoot.querySelectorAll('b').length") == 0


SHAPES = """
rows = [
    {"class_name": "turned", "x": 40, "y": 30, "w": 120, "h": 40, "angle": 30},
    {"class_name": "box", "x": 200, "y": 20, "w": 80, "h": 60},
    {"class_name": "holed",
     "points": [30,120,130,120,130,220,30,220, 60,150,100,150,100,190,60,190, 150,140,180,140,165,180],
     "rings": [4, 4, 3], "holes": [1]},
    {"class_name": "line", "kind": "polyline", "points": [200,120,230,160,260,110,290,170]},
    {"class_name": "spot", "kind": "point", "points": [320, 60]},
    {"class_name": "pose", "kind": "keypoints", "points": [320,120,350,150,330,200,370,210], "visibility": [2,1,2,0]},
    {"class_name": "cloud", "mask": (np.hypot(*np.mgrid[-200:100, -260:140]) < 40)},
]
"""


def test_every_shape_is_drawn(notebook: NotebookPage, tmp_path: Path) -> None:
    (tmp_path / "im").mkdir()
    make = f"""
import numpy as np, polars as pl, encord_active_widgets as ea
from PIL import Image
{SHAPES}
Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save({str(tmp_path / "im" / "a.png")!r})
p = ea.Project.from_folder({str(tmp_path / "im")!r}, {str(tmp_path / "p.eaw")!r}, labels=lambda _: rows, strict=True)
w = p.explore(); w
"""
    notebook.open([make], "shapes")
    e = notebook.explorer().wait_ready()
    e.tile(0).dblclick()
    expect(e.drawing).to_have_attribute("data-shapes", "7")
    e.wait_ready()
    notebook.shot("every-shape", e.root)
    found = e.colours_at(
        {
            "turned": (100, 50),
            "box": (240, 50),
            "solid": (45, 135),
            "hole": (80, 170),
            "second part": (165, 150),
            "cloud": (260, 200),
        }
    )
    plain = e.colours_at({"plain": (20, 290)})["plain"]
    assert found["hole"] == plain, "a hole is not filled"
    assert all(found[k] != plain for k in ("turned", "box", "solid", "second part", "cloud"))


def test_keypoints_are_joined_by_the_skeleton_of_their_category(notebook: NotebookPage, tmp_path: Path) -> None:
    points = [(200, 60), (150, 110), (250, 110), (200, 180), (150, 260), (250, 260)]
    seen = [2, 2, 2, 2, 1, 0]
    category = {"id": 1, "name": "person", "keypoints": list("abcdef")}
    category["skeleton"] = [[1, 2], [1, 3], [1, 4], [4, 5], [4, 6]]
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [145, 55, 110, 210], "area": 9000, "iscrowd": 0}
    person["keypoints"] = [v for (x, y), s in zip(points, seen, strict=True) for v in (x, y, s)]
    images = [{"id": 1, "file_name": "a.png", "width": 400, "height": 300}]
    data = {"images": images, "categories": [category], "annotations": [person]}
    (tmp_path / "a.json").write_text(json.dumps(data))
    make = f"""
import numpy as np, encord_active_widgets as ea
from PIL import Image
Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save({str(tmp_path / "a.png")!r})
p = ea.Project.from_coco({str(tmp_path / "a.json")!r}, {str(tmp_path)!r}, {str(tmp_path / "p.eaw")!r}, strict=True)
w = p.explore(); w
"""
    notebook.open([make], "skeleton")
    e = notebook.explorer().wait_ready()
    e.tile(0).dblclick()
    expect(e.drawing).to_have_attribute("data-shapes", "1")
    e.wait_ready()
    notebook.shot("skeleton", e.root)
    found = e.colours_at(
        {"bone": (200, 120), "to the hidden": (175, 220), "to the absent": (225, 220), "plain": (20, 20)}
    )
    assert found["bone"] != found["plain"]
    assert found["to the hidden"] != found["plain"]
    assert found["to the absent"] == found["plain"]


def test_real_polygons_with_parts(notebook: NotebookPage, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "polygons"
    make = f"""
import polars as pl, encord_active_widgets as ea
p = ea.Project.from_coco({str(source / "annotations.json")!r}, {str(source)!r}, {str(tmp_path / "p.eaw")!r})
w = p.explore(); w
"""
    notebook.open([make], "polygons")
    e = notebook.explorer().wait_ready()
    for i in range(3):
        e.tile(i).dblclick()
        row = e.row_of_tile(i)
        count = notebook.run_cell(f"p.items.at([{row}]).objects().df.height")
        expect(e.drawing).to_have_attribute("data-shapes", count)
        e.wait_ready()
        notebook.shot(f"polygons-{i}", e.root)
        e.detail.focus()
        notebook.page.keyboard.press("Escape")


@pytest.mark.parametrize("n", [1000])
def test_a_thousand_objects_on_one_image_stay_fluid(notebook: NotebookPage, tmp_path: Path, n: int) -> None:
    make = f"""
import numpy as np, polars as pl, encord_active_widgets as ea
from PIL import Image
Image.fromarray(np.full((900, 1200, 3), 120, np.uint8)).save({str(tmp_path / "a.png")!r})
rng = np.random.default_rng(0)
t = np.linspace(0, 2 * np.pi, 30, endpoint=False)
def one(i):
    x, y, r = rng.uniform(20, 1180), rng.uniform(20, 880), rng.uniform(6, 20)
    return {{"class_name": f"c{{i % 5}}", "points": np.stack([x + r * np.cos(t), y + r * np.sin(t)], 1).tolist()}}
many = [one(i) for i in range({n})]
p = ea.Project.from_folder([{str(tmp_path / "a.png")!r}], {str(tmp_path / "p.eaw")!r}, labels=lambda _: many)
w = p.explore(); w
"""
    notebook.open([make], "thousand")
    e = notebook.explorer().wait_ready()
    e.tile(0).dblclick()
    expect(e.drawing).to_have_attribute("data-shapes", str(n))
    frames = e.frames_while_wheeling()
    notebook.shot("thousand", e.root)
    assert sorted(frames)[len(frames) // 2] < 100, f"median frame {frames}"
