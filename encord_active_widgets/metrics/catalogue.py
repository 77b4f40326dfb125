"""The built-in metrics in words: one entry a column."""

from __future__ import annotations

import polars as pl

from .advice import advised
from .label_catalogue import label_metrics
from .registry import MetricSpec, Needs

_HASLER = "Hasler and Süsstrunk, SPIE 5007 (2003), section 7"
_LUMA = "ITU-R BT.601 luma"
_HSV = "HSV: Smith, SIGGRAPH 1978"
_UNIT = (0.0, 1.0)

Range = tuple[float | None, float | None] | None


def _file(
    name: str,
    title: str,
    formula: str,
    unit: str,
    direction: str,
    dtype: type[pl.DataType] = pl.Int32,
) -> MetricSpec:
    return MetricSpec(
        name=name,
        level="item",
        family="file",
        title=title,
        formula=formula,
        unit=unit,
        range=(0.0, None),
        direction=direction,
        source="file header, EXIF orientation applied",
        version=1,
        dtype=dtype,
    )


def _pixels(name: str, title: str, formula: str, unit: str, limits: Range, direction: str, source: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        level="item",
        family="pixels",
        title=title,
        formula=formula,
        unit=unit,
        range=limits,
        direction=direction,
        source=source,
        version=1,
        needs="pixels",
    )


def _derived(
    name: str,
    title: str,
    family: str,
    formula: str,
    limits: Range,
    direction: str,
    source: str,
    needs: Needs,
    dtype: type[pl.DataType] = pl.Float32,
) -> MetricSpec:
    return MetricSpec(
        name=name,
        level="item",
        family=family,
        title=title,
        formula=formula,
        unit="",
        range=limits,
        direction=direction,
        source=source,
        version=1,
        dtype=dtype,
        needs=needs,
    )


_OF_IMAGES: tuple[MetricSpec, ...] = (
    _file("width", "Width", "columns of pixels", "px", "high = wide"),
    _file("height", "Height", "rows of pixels", "px", "high = tall"),
    _file("area", "Area", "width * height", "px²", "high = many pixels", pl.Int64),
    _file(
        "aspect_ratio",
        "Aspect ratio",
        "width / height",
        "",
        "low = upright, high = wide",
        pl.Float32,
    ),
    _file("file_size", "File size", "bytes of the file", "B", "high = large file", pl.Int64),
    _pixels(
        "brightness",
        "Brightness",
        "mean of luma / 255",
        "",
        _UNIT,
        "low = dark, high = bright",
        _LUMA,
    ),
    _pixels(
        "contrast",
        "Contrast",
        "standard deviation of luma / 127.5",
        "",
        _UNIT,
        "low = flat, high = half black, half white",
        _LUMA,
    ),
    _pixels(
        "sharpness",
        "Sharpness",
        "0.75 f(256 px) + 0.25 f(64 px), f(s) = (1 + 1/√8) r / (1 + r), r = √((Σ Laplacian² - rounding) / "
        "(Σ gradient² + n)) of luma, image area-averaged to s on its long side",
        "",
        _UNIT,
        "low = blurred, high = fine edges",
        "own; after Pertuz et al., Pattern Recognition 46 (2013), LAP1 and GRA1",
    ),
    _pixels(
        "blur",
        "Blur",
        "1 - sharpness",
        "",
        _UNIT,
        "low = fine edges, high = blurred",
        "see sharpness",
    ),
    _pixels(
        "red",
        "Red",
        "share of pixels with hue within 20° of red, HSV saturation and value ≥ 50/255",
        "",
        _UNIT,
        "high = much red",
        _HSV,
    ),
    _pixels(
        "green",
        "Green",
        "share of pixels with hue 70° to 150°, HSV saturation and value ≥ 50/255",
        "",
        _UNIT,
        "high = much green",
        _HSV,
    ),
    _pixels(
        "blue",
        "Blue",
        "share of pixels with hue 180° to 260°, HSV saturation and value ≥ 50/255",
        "",
        _UNIT,
        "high = much blue",
        _HSV,
    ),
    _pixels(
        "colourfulness",
        "Colourfulness",
        "√(var rg + var yb) + 0.3 √(mean² rg + mean² yb), rg = R - G, yb = (R + G)/2 - B",
        "",
        (0.0, None),
        "low = grey, about 45 = moderately colourful, above 100 = extremely",
        _HASLER,
    ),
    _pixels(
        "saturation",
        "Saturation",
        "mean of HSV saturation",
        "",
        _UNIT,
        "low = grey, high = vivid",
        _HSV,
    ),
    _pixels(
        "grayscale",
        "Greyscale",
        "1 where fewer than 0.1 % of pixels have channels more than 2/255 apart, else 0",
        "",
        _UNIT,
        "1 = no colour",
        "definition",
    ),
    _pixels(
        "entropy",
        "Entropy",
        "-Σ p log₂ p over the 256 levels of luma",
        "bit",
        (0.0, 8.0),
        "low = little information",
        "Shannon (1948)",
    ),
    _pixels(
        "luma_p05",
        "Luma, 5th percentile",
        "smallest luma that at least 5 % of pixels do not exceed, / 255",
        "",
        _UNIT,
        "high = overexposed: even the shadows are bright",
        _LUMA,
    ),
    _pixels(
        "luma_p99",
        "Luma, 99th percentile",
        "smallest luma that at least 99 % of pixels do not exceed, / 255",
        "",
        _UNIT,
        "low = underexposed: even the lights are dark",
        _LUMA,
    ),
    _derived(
        "odd_size",
        "Odd size",
        "table",
        "d / (1 + d), d = |s - median s| / (IQR s / 2 + 0.5), s = log₂ √area",
        _UNIT,
        "high = much smaller or larger than the others",
        "own; robust z-score on a logarithmic scale",
        "frame",
    ),
    _derived(
        "odd_aspect",
        "Odd aspect ratio",
        "table",
        "1 - min(width, height) / max(width, height)",
        _UNIT,
        "high = long and narrow",
        "CleanVision's odd_aspect_ratio score, complemented",
        "frame",
    ),
    _derived(
        "random",
        "Random",
        "table",
        "uniform number from the seed and the row's ordinal",
        _UNIT,
        "none: for unbiased samples",
        "splitmix64: Steele, Lea and Flood, OOPSLA 2014",
        "frame",
    ),
    _derived(
        "uniqueness",
        "Uniqueness",
        "neighbours",
        "cosine distance to the nearest other item; exactly 0 for copies",
        (0.0, 2.0),
        "low = has a near copy",
        "definition",
        "embeddings",
    ),
    _derived(
        "typicality",
        "Typicality",
        "neighbours",
        "1 / (1 + mean Euclidean distance of unit vectors to the 15 nearest)",
        (0.0, 1.0),
        "low = far from everything, high = in a dense region",
        "Hacohen, Dekel and Weinshall, ICML 2022",
        "embeddings",
    ),
    _derived(
        "diversity",
        "Diversity rank",
        "neighbours",
        "place in the farthest-point order (each next item is the farthest from those before), 1 = first, 0 = last",
        (0.0, 1.0),
        "high = take these first to cover the data",
        "Gonzalez (1985); Sener and Savarese, ICLR 2018 (k-center)",
        "embeddings",
    ),
    _derived(
        "difficulty",
        "Difficulty",
        "neighbours",
        "cosine distance to the centre of the item's k-means cluster (one for 50 items, at most 100)",
        (0.0, 2.0),
        "low = a prototype, high = unlike its cluster",
        "Sorscher et al., NeurIPS 2022",
        "embeddings",
    ),
)

BUILT_IN: tuple[MetricSpec, ...] = tuple(advised(s) for s in (*_OF_IMAGES, *label_metrics(_OF_IMAGES)))
