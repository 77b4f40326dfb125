"""The lowest and the highest of each metric, as pictures: made by the build from pictures drawn here."""

from __future__ import annotations

import io
import runpy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from clip import draw_clip
from PIL import Image, ImageDraw
from studies import draw_studies

import encord_active_widgets as ea
from encord_active_widgets.metrics.registry import MetricSpec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PER_CLASS = 8
EACH_END = 4
TILE_PX = (176, 132)
"""Largest width and height of a picture on a page."""
MARGIN = 0.35
"""What is shown around an object, as a share of its longer side."""
INK = (230, 64, 40)


@dataclass(frozen=True)
class Shown:
    """A picture of a row, its value, and what it is."""

    key: str
    value: float
    said: str


@dataclass(frozen=True)
class Ends:
    """The rows at both ends of a metric: lowest first, highest first."""

    low: list[Shown]
    high: list[Shown]
    values: pl.Series


class Gallery:
    """Projects of drawn pictures, and the tiles cut from them."""

    def __init__(self, folder: Path) -> None:
        self.tiles: dict[str, bytes] = {}
        self._frames = _measured(folder)

    def ends(self, spec: MetricSpec) -> Ends | None:
        """Return the rows at both ends, from the first set of pictures where the metric tells rows apart."""
        for name, levels in self._frames.items():
            frame = levels[spec.level]
            if spec.name not in frame.columns:
                continue
            known = frame.filter(pl.col(spec.name).is_not_null() & pl.col(spec.name).is_finite())
            if known[spec.name].n_unique() < 2:
                continue
            # Shuffled first: of many rows with the same value, not only those that were drawn first.
            ordered = known.sample(fraction=1, shuffle=True, seed=5).sort(spec.name, maintain_order=True)
            column, each = ordered[spec.name], min(EACH_END, ordered.height // 2)
            low = _varied(ordered).head(each).filter(pl.col(spec.name) < column.max())
            high = _varied(ordered.reverse()).head(each).filter(pl.col(spec.name) > column.min())
            return Ends(self._shown(low, name, spec), self._shown(high, name, spec), known[spec.name])
        return None

    def _shown(self, rows: pl.DataFrame, name: str, spec: MetricSpec) -> list[Shown]:
        out = []
        for row in rows.iter_rows(named=True):
            key = f"{name}-{spec.level}-{row['ordinal']}"
            if key not in self.tiles:
                self.tiles[key] = _tile(row, crop=spec.level == "object")
            out.append(Shown(key, float(row[spec.name]), f"{Path(row['uri']).stem}, {row['class_name'] or 'no class'}"))
        return out


def _measured(folder: Path) -> dict[str, dict[str, pl.DataFrame]]:
    """Draw all pictures and compute all metrics; return the tables by set and level."""
    runpy.run_path(str(EXAMPLES / "make_data.py"))["make_scenes"](folder / "scenes", per_class=PER_CLASS)
    draw_studies(folder / "scenes" / "studies")
    runpy.run_path(str(EXAMPLES / "make_labels.py"))["make_parts"](folder / "parts")
    projects = {
        "scenes": ea.Project.from_folder(folder / "scenes", folder / "scenes.eaw"),
        "parts": ea.Project.from_coco(folder / "parts" / "annotations.json", path=folder / "parts.eaw"),
        "clip": ea.Project.from_frame(draw_clip(folder / "clip"), folder / "clip.eaw"),
    }
    frames = {}
    for name, project in projects.items():
        project.compute()
        views = {"item": project.items, "object": project.objects, "classification": project.classifications}
        frames[name] = {level: _named(view.df) for level, view in views.items()}
    return frames


def _varied(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the first study alone: beside it, scenes show what the value means."""
    study = pl.col("uri").str.contains("studies", literal=True)
    return frame.filter(~study | (study.cum_sum() == 1))


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    return frame if "class_name" in frame.columns else frame.with_columns(class_name=pl.lit(None, pl.String))


def _tile(row: dict[str, object], *, crop: bool) -> bytes:
    """Return a JPEG of the image, or of the object's surroundings with its outline."""
    with Image.open(str(row["uri"])) as file:
        image = file.convert("RGB")
    if crop:
        image = _outlined(image, row)
    image.thumbnail(TILE_PX, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _outlined(image: Image.Image, row: dict[str, object]) -> Image.Image:
    x, y, w, h = (float(str(row[c])) for c in "xywh")
    around = MARGIN * max(w, h)
    scale = max(1.0, 2 * TILE_PX[0] / (w + 2 * around))
    box = (
        max(0.0, x - around),
        max(0.0, y - around),
        min(float(image.width), x + w + around),
        min(float(image.height), y + h + around),
    )
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    shown = image.resize(size, Image.Resampling.BICUBIC, box)
    draw = ImageDraw.Draw(shown)
    for outline in _outlines(row, (x, y, w, h)):
        points = [((px - box[0]) * scale, (py - box[1]) * scale) for px, py in outline]
        draw.line([*points, points[0]], fill=INK, width=4, joint="curve")
    return shown


def _outlines(row: dict[str, object], box: tuple[float, float, float, float]) -> list[np.ndarray]:
    """Return the rings of the object, or its box."""
    points = row.get("points")
    if points is not None and row.get("kind") == "polygon":
        xy = np.asarray(points, np.float64).reshape(-1, 2)
        counts = row.get("rings") or [len(xy)]
        return np.split(xy, np.cumsum(counts)[:-1])
    x, y, w, h = box
    return [np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])]
