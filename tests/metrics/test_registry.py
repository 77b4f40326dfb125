"""What a user would lose: a metric of their own, or an error that says how to write one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from encord_active_widgets.errors import InputError, UnknownNameError
from encord_active_widgets.metrics import registry
from encord_active_widgets.metrics.pixels import PIXEL_METRICS


@pytest.fixture(autouse=True)
def _forget_metrics():
    before = set(registry._custom)
    yield
    for key in set(registry._custom) - before:
        del registry._custom[key]


def test_a_bare_decorator_and_one_with_arguments_register() -> None:
    @registry.metric
    def redness(pixels: np.ndarray) -> float:
        """Mean of the red channel."""
        return float(pixels[..., 0].mean())

    @registry.metric(level="object", range=(0, None), unit="", direction="high = wide", version=3)
    def slimness(labels: pl.DataFrame) -> pl.Expr:
        return pl.col("w") / pl.col("h")

    @registry.metric(name="spread", formula="std of a row")
    def anything(embeddings: np.ndarray) -> np.ndarray:
        return embeddings.std(1)

    assert redness(np.zeros((1, 1, 3))) == 0
    assert registry.get("redness").needs == "pixels"
    assert registry.get("redness").formula == "Mean of the red channel."
    assert registry.get("slimness", "object").needs == "frame"
    assert registry.get("slimness", "object").range == (0.0, None)
    assert registry.get("slimness", "object").version == 3
    assert registry.get("spread").needs == "embeddings"
    assert [s.name for s in registry.registered("object") if s.custom] == ["slimness"]
    frame = registry.specs_frame()
    assert set(frame.filter(family="custom")["name"]) >= {"redness", "slimness", "spread"}


def test_defining_a_metric_again_replaces_it() -> None:
    for version in (1, 2):

        @registry.metric(version=version)
        def mine(pixels: np.ndarray) -> float:
            return 0.0

    assert [s.version for s in registry.registered() if s.name == "mine"] == [2]


@pytest.mark.parametrize(
    ("define", "says"),
    [
        (lambda: registry.metric(lambda picture: 0.0, name="a"), "pixels"),
        (lambda: registry.metric(lambda: 0.0, name="a"), "first parameter"),
        (lambda: registry.metric(lambda pixels, other: 0.0, name="a"), "other"),
        (lambda: registry.metric(lambda pixels: 0.0), "cannot be a metric's name"),
        (lambda: registry.metric(name="ordinal")(lambda pixels: 0.0), "already a column"),
        (lambda: registry.metric(name="brightness")(lambda pixels: 0.0), "built-in"),
        (lambda: registry.metric(name="a", level="object")(lambda pixels: 0.0), "describe items"),
        (lambda: registry.metric(name="a", level="itm")(lambda pixels: 0.0), '"item"'),
        (lambda: registry.metric(name="a", range=(1, 0))(lambda pixels: 0.0), "empty"),
        (lambda: registry.metric(name="a", range=3)(lambda pixels: 0.0), "pair"),
        (lambda: registry.metric(name="a", version=0)(lambda pixels: 0.0), "version"),
        (lambda: registry.metric("redness"), "function"),
    ],
)
def test_misuse_says_what_to_do(define, says: str) -> None:
    with pytest.raises(InputError) as caught:
        define()
    assert says in str(caught.value)
    assert caught.value.remedy


def test_unknown_metrics_offer_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="sharpness"):
        registry.get("sharpnes")


def test_every_metric_is_described_in_full() -> None:
    frame = registry.specs_frame().filter(pl.col("family") != "custom")
    names = frame["name"].to_list()
    assert frame.select("name", "level").is_unique().all()
    assert set(PIXEL_METRICS) == set(frame.filter(family="pixels")["name"])
    for name in ("width", "height", "area", "aspect_ratio", "file_size", "odd_size", "odd_aspect", "random"):
        assert name in names
    for name in ("uniqueness", "typicality", "diversity", "difficulty"):
        assert name in names
    for column in ("title", "formula", "direction", "source", "family", "level", "good_for", "pitfalls"):
        assert frame[column].str.len_chars().min() > 0, column
    assert (frame["version"] >= 1).all()
