"""Predictions that become labels: rows that are written once, and count as long as an edit says so."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from .. import schema
from ..content.succession import inherited
from ..errors import InputError
from ..importing.ingest import commit
from ..schema import (
    CHANGE_ID,
    CLASS_NAME,
    CONFIDENCE,
    EXTRA,
    ITEM_ID,
    LABEL_ID,
    OBJECT,
    ORDINAL,
    PREDICTION_ID,
    SUGGESTED_SOURCE,
    prediction_level,
)

if TYPE_CHECKING:
    from ..content.levels import Level
    from ..project import Project

SAME_OBJECT_IOU = 0.5
"""Two labels of a class whose boxes overlap so much are taken to be of one object."""
_CAUSE = "review"
_HANDED = {"track_id": pl.String, "annotator": pl.String, "seconds": pl.Float64, EXTRA: pl.String}


class SuggestedLabels:
    """The labels that are, or can be, made of one run's predictions."""

    def __init__(self, project: Project, run: str) -> None:
        self._project, self._run = project, run
        self._predictions = project._level(prediction_level(run))

    @property
    def _objects(self) -> Level:
        return self._project._level(OBJECT)

    def sources(self, rows: pl.Series) -> pl.Series:
        """Say of predictions what labels made of them are marked with."""
        ids = self._predictions.frame[PREDICTION_ID].gather(rows)
        change = self._predictions.stored.rsplit("-", 1)[-1]  # a run that takes the place of another has other shapes
        return f"{SUGGESTED_SOURCE}{self._run}/{change}/" + ids

    def made_of(self, part: pl.DataFrame) -> pl.DataFrame:
        """Add to questions the label that was made of their prediction, where one counts now.

        Parameters
        ----------
        part : pl.DataFrame
            Questions of a queue; where it has `label`, the one that stands in that label's place is meant.

        Returns
        -------
        pl.DataFrame
            With `made` (its row; null for none), `made_class`, `made_dead` (it was deleted since), `made_on` (another
            took its place) and `made_touched` (it was given another class since).
        """
        level = self._objects
        added, links = level.edits.added, level.edits.replaces
        found: dict[str, Any] = {"made": pl.Int64, "made_class": pl.String,
                                 **dict.fromkeys(("made_dead", "made_on", "made_touched"), pl.Boolean)}  # fmt: skip
        if added is None or not added.any() or "source" not in level.frame.columns:
            return part.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in found.items())
        rows = np.flatnonzero(added)
        base = self._project._reader._base[OBJECT][0]
        instead = np.array([links.get(int(r), -1) for r in rows], np.int64)
        on = np.isin(rows, [old for new, old in links.items() if added[new]])
        frame = level.frame[rows].select("source", pl.col(CLASS_NAME).alias("made_class")).with_columns(
            pl.Series("made", rows, dtype=pl.Int64),
            pl.Series("made_dead", self.removed(pl.Series(rows))),
            pl.Series("made_on", on),
            base[CLASS_NAME].gather(rows).alias("was"),
            pl.Series("instead", instead),
        )  # fmt: skip
        frame = frame.with_columns(pl.col("made_class").ne_missing(pl.col("was")).alias("made_touched"))
        asked = part.with_columns(
            self.sources(part["prediction_row"]).alias("source"),
            (pl.col("label") if "label" in part.columns else pl.lit(-1, dtype=pl.Int64)).alias("instead"),
        )
        frame = frame.select("source", "instead", *found).unique(["source", "instead"], keep="first")
        return asked.join(frame, on=["source", "instead"], how="left", maintain_order="left").drop("source", "instead")

    def removed(self, rows: pl.Series) -> pl.Series:
        """Tell which labels were deleted by an edit."""
        n = self._objects.n
        own = self._project._reader.log.state.level(OBJECT, n).removed
        return pl.Series(np.zeros(rows.len(), np.bool_) if own is None else own[rows.to_numpy()], dtype=pl.Boolean)

    def other_kinds(self, part: pl.DataFrame) -> pl.Series:
        """Tell which suggestions have a shape of another kind than their label: it cannot take that one's place."""
        labels = self._objects.frame["kind"].gather(part["label"])
        return labels != self._predictions.frame["kind"].gather(part["prediction_row"])

    def doubles(self, part: pl.DataFrame) -> pl.Series:
        """Tell for which predictions there is a label of the class `wanted` on the same object, or will be.

        Compared are the bounding boxes; the labels that were made of the prediction itself do not count. Of several
        predictions of one object the surest becomes a label.
        """
        from ..metrics.geometry import true_bounds

        level = self._objects
        if part.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        found = self._predictions.frame[part["prediction_row"]]
        sure = (
            found[CONFIDENCE].fill_null(1.0) if CONFIDENCE in found.columns else pl.repeat(1.0, part.height, eager=True)
        )
        asked = true_bounds(found).with_columns(
            part["item_row"].cast(pl.UInt32), part["wanted"], self.sources(part["prediction_row"]).alias("of"),
            sure.rank("ordinal", descending=True).cast(pl.Int64).alias("rank"), pl.int_range(part.height).alias("i"),
        )  # fmt: skip
        here = asked.drop("i")
        if level.n:
            assert level.item_rows is not None
            near = level.item_rows.is_in(part["item_row"].unique().cast(level.item_rows.dtype).implode())
            rows = np.flatnonzero(near.to_numpy() if level.alive is None else near.to_numpy() & level.alive)
            none = pl.repeat(None, rows.size, dtype=pl.String, eager=True)
            there = true_bounds(level.frame[rows]).with_columns(
                level.item_rows.gather(rows).cast(pl.UInt32).alias("item_row"),
                level.frame[CLASS_NAME].gather(rows).alias("wanted"),
                (level.frame["source"].gather(rows) if "source" in level.frame.columns else none).alias("of"),
                pl.lit(0, dtype=pl.Int64).alias("rank"),
            )
            here = pl.concat([there.select(here.columns), here])
        pairs = asked.join(here, on=["item_row", "wanted"], how="inner", suffix="_h")
        pairs = pairs.filter(pl.col("of").ne_missing(pl.col("of_h")), pl.col("rank_h") < pl.col("rank"))
        width, height = (
            (pl.min_horizontal(f"{a}1", f"{a}1_h") - pl.max_horizontal(f"{a}0", f"{a}0_h")).clip(lower_bound=0)
            for a in "xy"
        )
        one, other = ((pl.col(f"x1{s}") - pl.col(f"x0{s}")) * (pl.col(f"y1{s}") - pl.col(f"y0{s}")) for s in ("", "_h"))
        same = pairs.filter(width * height >= SAME_OBJECT_IOU * (one + other - width * height), one > 0)
        left: set[int] = {0}  # the ranks of what is a label, and what becomes one
        out = np.zeros(part.height, np.bool_)
        beside = dict(same.group_by("i").agg("rank_h").iter_rows())
        for i, rank in asked.sort("rank").select("i", "rank").iter_rows():
            out[i] = not left.isdisjoint(beside.get(i, ()))
            if not out[i]:
                left.add(rank)
        return pl.Series(out)

    def rows(self, part: pl.DataFrame, names: pl.Series, *, of: str | None = None) -> pl.Series:
        """Return the label rows of predictions under these classes; those that are not there yet are written.

        Parameters
        ----------
        part : pl.DataFrame
            Questions of a queue.
        names : pl.Series
            The class of each.
        of : str, optional
            The column with the labels whose place they take: these hand on what is not their shape.

        Raises
        ------
        InputError
            A class is missing.
        """
        if names.null_count():
            raise InputError("A label needs a class.", "Give it another class instead of accepting it.")
        shapes = self._predictions.frame[part["prediction_row"]]
        wanted = pl.DataFrame({"source": self.sources(part["prediction_row"]), CLASS_NAME: names.cast(pl.String)})
        columns: list[dict[str, Any]] = [{}] * part.height
        if of is not None:
            geometry = [c for c in ("kind", *schema.GEOMETRY) if c in shapes.columns]
            base = self._project._reader._base[OBJECT][0]
            old = base[part[of]].select(LABEL_ID, *(c for c in _HANDED if c in base.columns)).to_dicts()
            columns = inherited(list(zip(old, shapes.select(geometry).to_dicts(), strict=True)))
        handed = {c: pl.Series(c, [h.get(c) for h in columns], dtype=t) for c, t in _HANDED.items()}
        wanted = wanted.with_columns(handed.values())
        rows = self._known_rows(wanted)
        if rows.null_count():
            fresh = rows.is_null().arg_true()
            _write(self._project, shapes[fresh], wanted[fresh])
            self._project._snapshot()
            rows = self._known_rows(wanted)
        return rows.cast(pl.Int64)

    def _known_rows(self, wanted: pl.DataFrame) -> pl.Series:
        own = self._project._reader._base[OBJECT][0]  # its class when it was written, not what it was changed to
        if "source" not in own.columns:
            return pl.repeat(None, wanted.height, dtype=pl.UInt32, eager=True)
        own = own.filter(pl.col("source").is_in(wanted["source"].implode()))
        missing = [pl.lit(None, dtype=t).alias(c) for c, t in _HANDED.items() if c not in own.columns]
        keys = ["source", CLASS_NAME, *_HANDED]
        known = own.with_columns(missing).select(*keys, ORDINAL).unique(keys, keep="first")
        return wanted.join(known, on=keys, how="left", nulls_equal=True, maintain_order="left")[ORDINAL]


def _write(project: Project, predictions: pl.DataFrame, named: pl.DataFrame) -> None:
    """Append predictions to the labels; they count once an edit says so."""
    folder = project._folder
    with folder.lock():
        table = folder.labels.read()
        first = int(table[ORDINAL].max() or 0) + 1 if table.height else 0  # type: ignore[arg-type]
        counts = dict(table.group_by(ITEM_ID).len().iter_rows())
        ids = []
        for item in predictions[ITEM_ID]:
            ids.append(f"{item}:{counts.get(item, 0)}")
            counts[item] = counts.get(item, 0) + 1
        change_id = uuid.uuid4().hex
        shape = [c for c in ("kind", *schema.GEOMETRY) if c in predictions.columns]
        rows = predictions.select(ITEM_ID, *shape).with_columns(
            *named.get_columns(),
            pl.Series(LABEL_ID, ids, dtype=pl.String),
            pl.int_range(first, first + predictions.height, dtype=pl.Int64, eager=True).cast(pl.UInt32).alias(ORDINAL),
            pl.lit(change_id).alias(CHANGE_ID),
        )
        empty = [pl.lit(None, dtype=t).alias(c) for c, t in schema.LABELS.columns.items() if c not in rows.columns]
        folder.labels.append(rows.with_columns(empty).select(*schema.LABELS.columns), durable=True)
        commit(folder, change_id, "view.accept()", items=0, labels=rows.height, problems=0, cause=_CAUSE)
