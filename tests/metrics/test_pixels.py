"""What a user would lose: numbers that mean what the metric table says."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from scipy.stats import rankdata

from encord_active_widgets.images.decode import decode
from encord_active_widgets.metrics.hashes import PHASH_RADIUS, content_hash, hamming
from encord_active_widgets.metrics.pixels import PIXEL_METRICS, fitted, measure
from encord_active_widgets.metrics.table import table_metrics

LUMA = np.array([0.299, 0.587, 0.114])


def metrics(pixels) -> dict[str, float]:
    array = np.ascontiguousarray(np.asarray(pixels, np.uint8))
    return dict(zip(PIXEL_METRICS, measure(array).values.astype(float).tolist(), strict=True))


def flat(*colour: int, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    return np.full((*size, 3), colour, np.uint8)


def auroc(faulty, sound) -> float:
    """Probability that a faulty image scores above a sound one (Mann and Whitney)."""
    ranks = rankdata(np.concatenate([faulty, sound]))
    n = len(faulty)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(sound)))


def reference(pixels: np.ndarray) -> dict[str, float]:
    """The definitions in plain NumPy, from colorsys-like HSV, on every pixel."""
    p = pixels.astype(np.float64)
    r, g, b = p[..., 0], p[..., 1], p[..., 2]
    luma = np.asarray(Image.fromarray(pixels).convert("L"))
    high, low = p.max(-1), p.min(-1)
    d = high - low
    safe = np.where(d > 0, d, 1)
    hue = np.select(
        [high == r, high == g],
        [60 * (g - b) / safe, 120 + 60 * (b - r) / safe],
        240 + 60 * (r - g) / safe,
    )
    hue = np.where(d > 0, hue % 360, np.nan)
    strong = (high >= 50) & (d >= high * 50 / 255)
    rg, yb = r - g, 0.5 * (r + g) - b
    share = np.bincount(luma.ravel(), minlength=256) / luma.size
    share = share[share > 0]
    return {
        "brightness": (p @ LUMA).mean() / 255,
        "contrast": luma.std() / 127.5,
        "red": (strong & ((hue <= 20) | (hue >= 340))).mean(),
        "green": (strong & (hue >= 70) & (hue <= 150)).mean(),
        "blue": (strong & (hue >= 180) & (hue <= 260)).mean(),
        "colourfulness": np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()),
        "saturation": (d / np.maximum(high, 1)).mean(),
        "entropy": -(share * np.log2(share)).sum(),
        "luma_p05": np.quantile(luma, 0.05, method="inverted_cdf") / 255,
        "luma_p99": np.quantile(luma, 0.99, method="inverted_cdf") / 255,
    }


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[Image.Image]:
    return [Image.open(f).convert("RGB") for f in sorted((shared_data / "photos").iterdir())]


@pytest.fixture(scope="module")
def measured(photos) -> list[dict[str, float]]:
    return [metrics(p) for p in photos]


def test_white_is_one_and_black_is_zero() -> None:
    assert metrics(flat(255, 255, 255))["brightness"] == pytest.approx(1, abs=1e-6)
    assert metrics(flat(0, 0, 0))["brightness"] == 0


def test_flat_colours_have_no_contrast_no_sharpness_no_entropy() -> None:
    for colour in ((0, 0, 0), (255, 255, 255), (10, 200, 30), (77, 77, 77)):
        m = metrics(flat(*colour))
        assert m["contrast"] == m["sharpness"] == m["entropy"] == 0
        assert m["blur"] == 1


def test_half_black_half_white_has_contrast_one_and_one_bit() -> None:
    image = flat(0, 0, 0)
    image[:, :15] = 255
    m = metrics(image)
    assert m["contrast"] == pytest.approx(1, abs=1e-6)
    assert m["entropy"] == pytest.approx(1, abs=1e-6)
    assert (m["luma_p05"], m["luma_p99"]) == (0, 1)


@pytest.mark.parametrize("name", ["red", "green", "blue"])
def test_pure_colours_count_once_and_grey_nowhere(name: str) -> None:
    colour = [255 * (name == n) for n in ("red", "green", "blue")]
    m = metrics(flat(*colour))
    assert [m[n] for n in ("red", "green", "blue")] == [c / 255 for c in colour]
    assert m["saturation"] == 1
    assert m["grayscale"] == 0
    for level in (0, 60, 128, 255):
        grey = metrics(flat(level, level, level))
        assert grey["red"] == grey["green"] == grey["blue"] == grey["saturation"] == 0
        assert grey["colourfulness"] == 0
        assert grey["grayscale"] == 1


def test_real_photos_equal_the_definitions_in_numpy(photos, measured) -> None:
    for photo, got in zip(photos[::4], measured[::4], strict=True):
        for name, value in reference(np.asarray(photo)).items():
            assert got[name] == pytest.approx(value, abs=2e-5, rel=2e-5), name


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 97]))
def test_any_size_has_finite_metrics_equal_to_the_definitions(height, width, seed, grain) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // grain), -(-width // grain), 3), np.uint8)
    image = np.ascontiguousarray(np.repeat(np.repeat(coarse, grain, 0), grain, 1)[:height, :width])
    result = measure(image)
    assert np.isfinite(result.values).all()
    assert np.isfinite(result.vector).all()
    assert np.linalg.norm(result.vector) == pytest.approx(1, abs=1e-5)
    got = dict(zip(PIXEL_METRICS, result.values.tolist(), strict=True))
    assert 0 <= got["sharpness"] <= 1
    assert got["blur"] == pytest.approx(1 - got["sharpness"], abs=1e-6)
    for name, value in reference(image).items():
        assert got[name] == pytest.approx(value, abs=5e-5, rel=5e-5), name


def boxes(values: np.ndarray, n: int, axis: int) -> np.ndarray:
    """Means over n equal intervals of an axis, from its integral between the samples."""
    size = values.shape[axis]
    total = np.cumsum(values, axis)
    total = np.concatenate([np.zeros_like(np.take(total, [0], axis)), total], axis)
    ends = np.linspace(0, size, n + 1)
    low = np.minimum(ends.astype(int), size - 1)
    share = (ends - low).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    at = np.take(total, low, axis) * (1 - share) + np.take(total, low + 1, axis) * share
    return np.diff(at, axis=axis) * n / size


def test_working_copies_are_exact_area_averages(photos) -> None:
    from encord_active_widgets.metrics import kernels

    for photo in photos[:12]:
        image = np.asarray(photo)
        rows, columns = fitted(*image.shape[:2], 256)
        small = np.empty((3, rows, columns), np.float32)
        sums, histograms = np.zeros(kernels.N_SUMS), np.zeros((4, 256), np.int64)
        kernels.scan(image, sums, histograms, small)
        expected = boxes(boxes(image.astype(np.float64), rows, 0), columns, 1)
        assert np.abs(small.transpose(1, 2, 0) - expected).max() < 1e-2
        assert small.min() >= 0
        assert small.max() <= 255 + 1e-2


def test_the_sharpest_possible_image_is_a_checkerboard() -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    value = metrics(np.repeat(board[..., None], 3, 2))["sharpness"]
    assert 0.99 < value <= 1


@pytest.mark.parametrize("how", ["LANCZOS", "BICUBIC", "BOX", "BILINEAR"])
def test_one_photo_has_one_sharpness_at_any_resolution(photos, how: str) -> None:
    large = [p for p in photos if max(p.size) >= 900]
    assert len(large) >= 5
    for photo in large:
        values = []
        for side in (900, 700, 500, 400):
            scale = side / max(photo.size)
            size = tuple(round(s * scale) for s in photo.size)
            values.append(metrics(photo.resize(size, Image.Resampling[how]))["sharpness"])
        assert (max(values) - min(values)) / np.mean(values) <= 0.05


def test_sharpness_falls_monotonically_under_blur(photos) -> None:
    for photo in photos[::10]:
        side = max(photo.size)
        radii = [side * share for share in (0, 0.0025, 0.005, 0.01, 0.02, 0.04)]
        values = [metrics(photo.filter(ImageFilter.GaussianBlur(r)))["sharpness"] for r in radii]
        assert all(a > b for a, b in pairwise(values)), values


def test_slightly_blurred_photos_are_told_from_sharp_ones(photos, measured) -> None:
    blurred = [p.filter(ImageFilter.GaussianBlur(0.005 * max(p.size))) for p in photos]
    score = auroc([metrics(b)["blur"] for b in blurred], [m["blur"] for m in measured])
    assert score >= 0.99


def scaled(photo: Image.Image, gain: float, lift: float = 0) -> np.ndarray:
    return np.clip(np.asarray(photo, np.float32) * gain + lift, 0, 255).astype(np.uint8)


FAULTS = {
    "dark": (lambda p: scaled(p, 0.12), "luma_p99", -1),
    "light": (lambda p: scaled(p, 0.25, 200), "luma_p05", 1),
    "blurry": (
        lambda p: p.filter(ImageFilter.GaussianBlur(0.012 * max(p.size))),
        "sharpness",
        -1,
    ),
    "low_information": (
        lambda p: scaled(Image.fromarray(np.asarray(p) // 86 * 86), 0.05, 90),
        "entropy",
        -1,
    ),
    "grayscale": (lambda p: p.convert("L").convert("RGB"), "grayscale", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_planted_fault_ranks_above_sound_photos(photos, measured, fault: str) -> None:
    plant, name, sign = FAULTS[fault]
    faulty = [sign * metrics(plant(p))[name] for p in photos[::2]]
    assert auroc(faulty, [sign * m[name] for m in measured]) >= 0.98


def test_odd_sizes_and_shapes_rank_above_usual_ones(photos) -> None:
    import polars as pl

    sizes = [p.size for p in photos]
    n = len(sizes)
    sizes += [(w // 12, h // 12) for w, h in sizes[:10]] + [(w * 8, h * 8) for w, h in sizes[:10]]
    sizes += [(w * 5, h) for w, h in sizes[:20]]
    frame = pl.DataFrame({"width": [s[0] for s in sizes], "height": [s[1] for s in sizes]})
    found = table_metrics(frame.with_row_index("ordinal"))
    assert auroc(found["odd_size"][n : n + 20], found["odd_size"][:n]) >= 0.95
    assert auroc(found["odd_aspect"][n + 20 :], found["odd_aspect"][:n]) >= 0.98


def test_unknown_sizes_have_no_score_and_random_is_stable_under_appending() -> None:
    import polars as pl

    frame = pl.DataFrame(
        {"ordinal": [0, 1, 2], "width": [10, None, 0], "height": [10, 5, 7]},
        schema={"ordinal": pl.UInt32, "width": pl.Int32, "height": pl.Int32},
    )
    found = table_metrics(frame, seed=3)
    assert found["odd_size"].to_list() == [0.0, None, None]
    assert found["random"].to_list()[:2] == table_metrics(frame.head(2), seed=3)["random"].to_list()
    many = table_metrics(pl.DataFrame({"ordinal": range(20_000), "width": 1, "height": 1}), seed=3)["random"].to_numpy()
    assert many[:3].tolist() == found["random"].to_list()
    assert abs(many.mean() - 0.5) < 0.01
    assert abs(np.histogram(many, 10, (0, 1))[0] / 2000 - 1).max() < 0.1
    assert table_metrics(frame, seed=4)["random"].to_list() != found["random"].to_list()


def phashes(images) -> np.ndarray:
    return np.array([measure(np.ascontiguousarray(i, np.uint8)).phash for i in images], np.uint64)


def test_copies_are_within_the_radius_and_unrelated_photos_are_not(photos) -> None:
    def quality_30(photo: Image.Image) -> np.ndarray:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=30)
        return decode(buffer.getvalue())

    def cropped(photo: Image.Image) -> np.ndarray:
        w, h = photo.size
        x, y = round(w * 0.01), round(h * 0.01)
        return np.asarray(photo.crop((x, y, w - x, h - y)))

    originals = phashes(photos)
    copies = {
        "JPEG quality 30": phashes(map(quality_30, photos)),
        "half size": phashes([p.resize((p.width // 2, p.height // 2)) for p in photos]),
        "2 % crop": phashes(map(cropped, photos)),
    }
    for name, found in copies.items():
        assert hamming(originals, found).max() <= PHASH_RADIUS, name
    distances = hamming(originals[:, None], originals[None])[np.triu_indices(len(photos), 1)]
    assert distances.min() > PHASH_RADIUS


def test_flat_images_of_different_colours_are_not_copies_of_one_another() -> None:
    grey = phashes([flat(v, v, v) for v in (0, 60, 128, 255)])
    assert hamming(grey[:, None], grey[None])[np.triu_indices(4, 1)].min() > PHASH_RADIUS
    again = phashes([flat(60, 60, 60, size=(90, 300))])
    assert again[0] == grey[1]


def test_content_hashes_are_the_standard_ones() -> None:
    import hashlib

    assert content_hash(b"photo") == hashlib.blake2b(b"photo", digest_size=16).hexdigest()
