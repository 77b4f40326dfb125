"""Predictions as rows: sliders that recount, chips and cells that filter, labels and predictions over each other."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from .browser import NotebookPage
from .test_look import CLIPPED, WIDTHS_PX, violations
from .test_main_job import opened

NOISY = """
rng = np.random.default_rng(0)
o = p.objects.df.filter(pl.Series(rng.random(len(p.objects)) < 0.9))
n = o.height
noisy = o.select(
    "item_id", "class_name",
    *(pl.col(c) + rng.normal(0, 6, n) if c in "xy" else pl.col(c) * np.exp(rng.normal(0, .08, n)) for c in "xywh"),
    pl.Series("confidence", rng.uniform(0.05, 1, n)),
)
noisy = noisy.with_columns(
    pl.when(pl.Series(rng.random(n) < 0.05)).then(pl.lit("WBC")).otherwise("class_name").alias("class_name")
)
p.add_predictions("noisy", noisy)
p.add_predictions("shifted", noisy.with_columns(pl.col("x") + 12))
"""


def test_sliders_recount_and_chips_filter(notebook: NotebookPage, bccd: Path) -> None:
    setup = opened(bccd, "w = p.explore()\nw.level = 'prediction:noisy'\nw")
    notebook.open([f"import numpy as np\n{setup[0]}\n{NOISY}\np.compute()", *setup[1:]], "models")
    e = notebook.explorer().wait_ready()
    total = int(notebook.run_cell("len(p.predictions['noisy'])"))
    e.expect_shown(total)
    e.settled()
    bar = e.part("modelbar")
    expect(bar).to_be_visible()
    notebook.shot("predictions", e.root)

    def counts() -> str:
        return " ".join(e.part(f"outcome-{o}").locator(".chip-n").inner_text() for o in ("TP", "FP", "FN"))

    def expected(iou: float, confidence: float) -> str:
        call = f"p.evaluate('noisy', iou={iou}, confidence={confidence})"
        return notebook.run_cell(f"c = {call}.counts; print(*(format(c[k], ',') for k in ('TP', 'FP', 'FN')))").strip()

    assert counts() == expected(0.5, 0.0)
    e.part("iou").fill("5")
    e.part("confidence").fill("0.4")
    assert counts() == expected(0.75, 0.4)
    e.part("outcome-FP").click()
    wrong = expected(0.75, 0.4).split()[1].replace(",", "")
    e.expect_shown(int(wrong))
    notebook.wait_cell("len(w.filtered)", wrong)
    assert notebook.run_cell("w.filtered.df['outcome'].unique().to_list(), w.model") == (
        "(['FP'], {'iou': 0.75, 'confidence': 0.4})"
    )
    e.part("evaluation").click()
    e.settled()
    notebook.shot("evaluation", e.root)
    e.part("outcome-FP").click()
    e.root.get_by_label("label RBC, predicted WBC").first.click()
    pairs = notebook.run_cell("p.evaluate('noisy', iou=0.75).confusion(confidence=0.4).filter(label='RBC')['WBC'][0]")
    e.expect_shown(int(pairs))
    e.tile(0).dblclick()
    expect(e.detail).to_be_visible()
    e.wait_ready()
    notebook.shot("prediction-detail", e.root)
    notebook.page.keyboard.press("Escape")
    e.part("outcome-FN").click()
    e.expect_shown(int(expected(0.75, 0.4).split()[2].replace(",", "")))
    assert notebook.run_cell("w.level") == "'object'"
    notebook.shot("missed", e.root)


def test_a_model_of_many_classes_fits_every_width_in_light_and_dark(
    notebook: NotebookPage, tmp_path: Path, repository: Path
) -> None:
    make = f"""
import numpy as np, polars as pl, encord_active_widgets as ea
from PIL import Image
from pathlib import Path
home, rng = Path({str(tmp_path)!r}), np.random.default_rng(0)
names = [f"class {{i}} <b>" for i in range(60)]
rows = []
for i in range(30):
    Image.fromarray(rng.integers(60, 200, (120, 160, 3), dtype=np.uint8)).save(home / f"{{i}}.png")
    rows += [{{"path": str(home / f"{{i}}.png"), "class_name": names[int(rng.integers(60))],
               "x": 12.0 * k, "y": float(rng.integers(80)), "w": 20.0, "h": 20.0}} for k in range(11)]
truth = pl.DataFrame(rows)
p = ea.Project.from_frame(truth, home / "p.eaw")
n = truth.height
guess = [c if rng.random() < 0.7 else names[int(rng.integers(60))] for c in truth["class_name"]]
p.add_predictions("many", truth.with_columns(
    pl.Series("class_name", guess), pl.col("x") + rng.normal(0, 2, n), confidence=pl.Series(rng.uniform(0, 1, n))))
p.compute()
w = p.predictions["many"].explore(); w
"""
    notebook.open([make], "many_classes")
    e = notebook.explorer().wait_ready()
    e.part("evaluation").click()
    expect(e.part("evaluation-panel")).to_be_visible()
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.execute("apputils:change-theme", theme=theme)
        expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        for width in WIDTHS_PX:
            notebook.page.set_viewport_size({"width": width + 130, "height": 900})
            e.wait_ready()
            name = f"models-{'dark' if 'Dark' in theme else 'light'}-{width}"
            notebook.shot(name, e.root)
            assert e.root.evaluate(CLIPPED) == [], f"cut off at {name}"
    assert e.root.evaluate("root => root.shadowRoot.querySelectorAll('b').length") == 3, "the rates alone are bold"
    notebook.execute("apputils:change-theme", theme="JupyterLab Light")
    axe = repository / "js" / "node_modules" / "axe-core" / "axe.min.js"
    assert violations(notebook, axe) == []
