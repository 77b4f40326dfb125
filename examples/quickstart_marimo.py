"""The quickstart as a marimo app: cells that use the selection run again by themselves.

marimo run examples/quickstart_marimo.py
"""

import marimo

app = marimo.App(width="full", app_title="Explore images")


@app.cell
def _():
    import os

    import marimo as mo

    import encord_active_widgets as ea
    from make_data import make_scenes

    images = os.environ.get("EAW_QUICKSTART_IMAGES") or make_scenes("scenes")
    return ea, images, mo


@app.cell
def _(ea, images):
    p = ea.Project.from_folder(images)
    p.compute()
    return (p,)


@app.cell
def _(mo, p):
    color = "class_name" if "class_name" in p.items.columns else "brightness"
    w = mo.ui.anywidget(p.explore(color=color))
    w
    return (w,)


@app.cell
def _(mo, w):
    # marimo runs this cell again whenever the selection above changes
    w.value
    chosen = w.widget.selection.df
    mo.vstack([mo.md(f"**{chosen.height} selected**"), chosen.select("uri", "brightness", "sharpness", "tags")])


if __name__ == "__main__":
    app.run()
