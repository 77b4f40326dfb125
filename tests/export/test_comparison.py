"""`ea.compare_projects` on real images: its numbers are those of scipy, its sentences those of its numbers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy import stats
from scipy.spatial.distance import pdist

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, UnknownNameError

from .reading import expect_plain

EVIL = "<img src=x onerror=alert(1)>"
RELATIVE = {"odd_size", "uniqueness", "typicality", "diversity", "difficulty", "class_quality"}


def halves(p: ea.Project) -> tuple[ea.View, ea.View]:
    first = p.sample(p.df.height // 2, seed=3)
    return first, p.filter(~pl.col("item_id").is_in(first.ids.implode()))


@pytest.fixture(scope="session")
def both(photos_made: Path, cifar: ea.Project) -> tuple[ea.Project, ea.Project]:
    return ea.open(photos_made), cifar


@pytest.fixture(scope="session")
def compared(both) -> Any:
    return ea.compare_projects(*both)


@pytest.fixture(scope="session")
def lit(cifar) -> Any:
    """Darker and brighter images of one project."""
    return ea.compare_projects(
        cifar.filter("brightness < 0.45"), cifar.filter("brightness >= 0.45"), names=("darker", "brighter")
    )


# -- metrics ----------------------------------------------------------------------------------------


def test_every_metric_is_compared_as_scipy_does(compared, both):
    a, b = (p.df for p in both)
    table = compared.metrics
    numeric = {c for c in a.columns if c in b.columns and a[c].dtype.is_numeric() and a[c].n_unique() > 1}
    known = {c for c in numeric if c in both[0].metrics()["name"].to_list()} | {"width", "height"}
    assert set(table["metric"]) == known - RELATIVE - {"random", "blur"}
    for row in table.iter_rows(named=True):
        x, y = (f[row["metric"]].cast(pl.Float64).drop_nulls().to_numpy() for f in (a, b))
        wanted = stats.ks_2samp(x, y, method="asymp")  # 2,000,000 pairs: beyond what is exact
        assert row["ks"] == pytest.approx(wanted.statistic), row["metric"]
        assert row["p_value"] == pytest.approx(wanted.pvalue, rel=1e-6, abs=1e-300), row["metric"]
        assert row["delta"] == pytest.approx(2 * stats.mannwhitneyu(y, x).statistic / (len(x) * len(y)) - 1)
        assert (row["n_a"], row["n_b"]) == (200, 10_000)
        assert (row["median_a"], row["median_b"]) == (pytest.approx(np.median(x)), pytest.approx(np.median(y)))


def test_p_values_are_corrected_over_all_levels_as_benjamini_and_hochberg_do(cells):
    c = ea.compare_projects(cells.items.head(120), cells.sample(180, seed=4), names=("a", "b"))
    table = c.metrics
    assert set(table["level"]) == {"item", "object"}
    assert table["p_adjusted"].to_list() == pytest.approx(stats.false_discovery_control(table["p_value"]).tolist())
    assert table["significant"].to_list() == (table["p_adjusted"] <= 0.05).to_list()
    assert table["ks"].is_sorted(descending=True)
    n = table.filter(level="object", significant=True).height
    of = table.filter(level="object").height
    assert any(s.startswith(f"{n} of {of} metrics of objects differ significantly") for s in c.summary)


def test_what_depends_on_the_rest_of_a_project_is_compared_within_one_only(compared, lit):
    assert not set(compared.metrics["metric"]) & RELATIVE
    assert {"uniqueness", "typicality", "diversity", "difficulty"} <= set(lit.metrics["metric"])


def test_halves_drawn_at_random_do_not_differ(cifar):
    c = ea.compare_projects(*halves(cifar), names=("one half", "the other"))
    assert not c.metrics["significant"].any()
    assert c.embeddings["p_value"][0] > 0.05
    assert c.embeddings["own_neighbours"][0] == pytest.approx(0.5, abs=0.02)
    assert f"None of the {c.metrics.filter(level='item').height} metrics of images differs significantly." in c.summary
    assert any("do not differ significantly" in s and "descriptor" in s for s in c.summary)
    assert any(s.startswith("The shares of the 10 classes do not differ significantly") for s in c.summary)


def test_darker_images_are_told_from_brighter_ones(lit, cifar):
    top = lit.metrics.row(0, named=True)
    assert (top["metric"], top["ks"], top["delta"]) == ("brightness", 1, 1)
    assert lit.embeddings["p_value"][0] == 0.001
    assert lit.embeddings["own_neighbours"][0] > 0.55
    medians = [cifar.filter(e).df["brightness"].median() for e in ("brightness < 0.45", "brightness >= 0.45")]
    said = next(s for s in lit.summary if "metrics of images" in s)
    assert f"most brightness (median {medians[0]:.3g} → {medians[1]:.3g}, KS 1.00)" in said


# -- embeddings, classes, images ---------------------------------------------------------------------


def test_the_discrepancy_is_that_of_the_vectors(cells):
    rbf_kernel = pytest.importorskip("sklearn.metrics.pairwise").rbf_kernel
    views = cells.items.head(100), cells.sample(150, seed=9)
    c = ea.compare_projects(*views, names=("a", "b"))
    vectors = cells.embeddings["descriptor"]
    a, b = (np.asarray(vectors.vectors, np.float64)[np.isin(vectors.rows, v.rows)] for v in views)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    gamma = 1 / (2 * np.median(pdist(np.concatenate([a, b]))) ** 2)
    aa, bb, ab = rbf_kernel(a, gamma=gamma), rbf_kernel(b, gamma=gamma), rbf_kernel(a, b, gamma=gamma)
    n, m = len(a), len(b)
    wanted = (aa.sum() - n) / (n * (n - 1)) + (bb.sum() - m) / (m * (m - 1)) - 2 * ab.mean()
    row = c.embeddings.row(0, named=True)
    assert (row["embedding"], row["n_a"], row["n_b"]) == ("descriptor", 100, 150)
    assert row["mmd_squared"] == pytest.approx(wanted, abs=1e-6)


def test_shares_of_classes_are_counted(lit, cifar):
    counts = [
        cifar.filter(e).df["class_name"].value_counts(normalize=True).sort("class_name")
        for e in ("brightness < 0.45", "brightness >= 0.45")
    ]
    shares = np.array([f["proportion"].to_numpy() for f in counts])
    table = lit.classes.sort("class_name")
    assert table["class_name"].to_list() == counts[0]["class_name"].to_list()
    assert table["share_a"].to_numpy() == pytest.approx(shares[0])
    assert table["share_b"].to_numpy() == pytest.approx(shares[1])
    assert table["difference"].to_numpy() == pytest.approx(shares[1] - shares[0])
    most = int(np.abs(shares[1] - shares[0]).argmax())
    said = next(s for s in lit.summary if s.startswith("The shares of classes differ by"))
    assert f"by {50 * np.abs(shares[1] - shares[0]).sum():.0f} % of the labels (p = 0.001)" in said
    assert f'most changed is "{counts[0]["class_name"][most]}"' in said


def test_a_class_that_is_in_one_set_alone_is_named(cifar):
    c = ea.compare_projects(
        cifar.filter(pl.col("class_name").is_in(["cat", "dog"])).sample(300),
        cifar.filter(pl.col("class_name").is_in(["cat", "ship", "truck"])).sample(300),
        names=("pets", "mixed"),
    )
    assert '1 class of "pets" is not in "mixed": "dog".' in c.summary
    alone = next(s for s in c.summary if s.startswith('2 classes of "mixed" are not in "pets": '))
    assert set(re.findall(r'"(\w+)"', alone)) == {"mixed", "pets", "ship", "truck"}


def test_sizes_and_images_that_are_in_both_are_counted(both, shared_data):
    photos = both[0]
    sizes = []
    for file in sorted((shared_data / "photos").iterdir()):
        with Image.open(file) as image:
            sizes.append(image.size)
    c = ea.compare_projects(photos, photos.items.head(50), names=("all", "some"))
    assert c.sizes["count_a"].sum() == 200
    assert c.sizes["count_b"].sum() == 50
    for row in c.sizes.head(20).iter_rows(named=True):
        assert row["count_a"] == sizes.count((row["width"], row["height"]))
        assert row["share_b"] == row["count_b"] / 50
    assert (
        '25 % of the images of "all" (50 of 200) and all 50 images of "some" are in both, byte for byte.' in c.summary
    )
    apart = ea.compare_projects(photos.items.head(50), photos.items.sort("uri", descending=True).head(50))
    assert "No image is in both." in apart.summary
    width, height = (int(np.median([s[i] for s in sizes])) for i in (0, 1))
    said = ea.compare_projects(*both).summary
    assert f'The median image of "photos" has {width} × {height} px, that of "cifar10_test" 32 × 32 px.' in said


def test_labels_that_are_compared_are_those_of_the_views(cells):
    c = ea.compare_projects(
        cells.objects.filter(pl.col("class_name") != "RBC"), cells.objects.filter(pl.col("class_name") == "RBC")
    )
    counts = dict(cells.objects.df["class_name"].value_counts().iter_rows())
    wanted = {k: (0 if k == "RBC" else n, n if k == "RBC" else 0) for k, n in counts.items()}
    assert {r[0]: r[1:3] for r in c.classes.iter_rows()} == wanted


def test_the_same_seed_gives_the_same_numbers(both):
    first, again = (ea.compare_projects(*both, seed=5) for _ in range(2))
    assert first.summary == again.summary
    for name, frame in first.frames.items():
        assert frame.equals(again.frames[name]), name
    assert first._page.replace(first._line, "") == again._page.replace(again._line, "")


# -- embeddings of users ------------------------------------------------------------------------------


def test_embeddings_of_other_models_are_not_compared(photos, tmp_path):
    other = ea.open(shutil.copytree(photos.path, tmp_path / "other.eaw"))
    rng = np.random.default_rng(0)
    photos.embeddings["dino"], other.embeddings["dino"] = rng.normal(size=(200, 8)), rng.normal(size=(200, 6))
    photos.embeddings["same"], other.embeddings["same"] = rng.normal(size=(200, 8)), rng.normal(1, 1, size=(200, 8))
    c = ea.compare_projects(photos, other, names=("a", "b"))
    assert c.embeddings["embedding"].to_list() == ["descriptor", "same"]
    assert '"dino" is not compared: it is made by other models in the two projects.' in c.missing
    assert c.embeddings.filter(embedding="same")["p_value"].item() == 0.001
    assert c.embeddings.filter(embedding="descriptor")["own_neighbours"].item() < 0.5, "each image has its twin"
    only = ea.compare_projects(photos, other, names=("a", "b"), embedding="same")
    assert only.embeddings["embedding"].to_list() == ["same"]
    with pytest.raises(UnknownNameError, match='Did you mean "same"'):
        ea.compare_projects(photos, other, embedding="sane")


# -- pages ------------------------------------------------------------------------------------------


def test_the_page_says_what_the_summary_says_and_fetches_nothing(compared, tmp_path):
    file = compared.to_html(tmp_path / "new" / "c.html")
    page = expect_plain(file.read_text("utf-8"))
    cell = expect_plain(compared._repr_html_())
    for sentence in compared.summary:
        assert sentence in page.text
        assert sentence in cell.text
        assert f"  - {sentence}" in repr(compared)
    charts = [a for a in page.alternatives if a.startswith("Chart: ")]
    assert [f"Chart: {n}" for n in compared.charts] == charts
    assert len(page.pictures) == len(charts) + 16
    assert file.stat().st_size < 1_000_000


def test_charts_are_there_by_name(lit):
    spec = lit.charts["brightness"].to_dict()
    assert "darker" in str(spec)
    assert {"metrics of images", "map of descriptor", "classes"} <= set(lit.charts)
    with pytest.raises(UnknownNameError, match='Did you mean "brightness"'):
        lit.charts["brightnes"]


def test_names_of_classes_and_sets_do_not_become_markup(photos, tmp_path):
    evil = photos.df.select(pl.col("uri").alias("path")).with_columns(
        class_name=pl.Series([EVIL if i % 3 else "`a` & b" for i in range(200)])
    )
    p = ea.Project.from_frame(evil, path=tmp_path / "evil.eaw", name=EVIL)
    p.compute(stages=["pixels"])
    c = ea.compare_projects(p, p.items.head(90), names=(EVIL, "</style><script>alert(1)</script>"), title=EVIL)
    page = expect_plain(c.to_html(tmp_path / "c.html").read_text("utf-8"))
    expect_plain(c._repr_html_())
    assert EVIL in page.text


def test_without_the_package_that_draws_the_page_says_so(both, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    c = ea.compare_projects(both[0], both[0].items.head(100), names=("a", "b"))
    page = expect_plain(c.to_html(tmp_path / "c.html").read_text("utf-8"))
    assert 'Charts are left out: they need pip install "encord_active_widgets[charts]" .' in page.text
    assert not [a for a in page.alternatives if a.startswith("Chart")]
    assert c.metrics.height > 10


def test_what_was_not_computed_is_said_with_the_call(photos, shared_data, tmp_path):
    bare = ea.Project.from_folder(shared_data / "photos", tmp_path / "bare.eaw")
    c = ea.compare_projects(photos, bare)
    said = " ".join(c.missing)
    assert 'No metrics of the images of "photos (b)" were computed yet. Call `p.compute()`.' in said
    assert "There is no embedding that both have." in said
    assert 'Classes are not compared: "photos (a)" and "photos (b)" have no labels.' in said
    assert c.embeddings.height == c.classes.height == 0
    assert {"width", "height"} <= set(c.metrics["metric"]), "sizes are known without computing"
    expect_plain(c._repr_html_())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": "ab"}, "does not name both"), ({"names": ("a", "")}, "does not name both"),
        ({"names": ("a", "a")}, 'Both are called "a"'), ({"alpha": 1.5}, "alpha=1.5 is no level of significance"),
        ({"title": 3}, "title=3 is no text"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_with_a_remedy(both, options, said):
    with pytest.raises(InputError, match=re.escape(said)):
        ea.compare_projects(*both, **options)


def test_what_is_no_set_of_images_is_refused(both):
    with pytest.raises(InputError, match=re.escape('b is a str. Give a project or a view; ea.open("photos.eaw")')):
        ea.compare_projects(both[0], "photos.eaw")
    with pytest.raises(InputError, match='There are no images in "cifar10_test"'):
        ea.compare_projects(both[0], both[1].filter(pl.col("brightness") > 2))
    with pytest.raises(InputError, match="is a folder"):
        ea.compare_projects(both[0], both[0].items.head(20)).to_html(both[0].path)


def test_very_few_images_are_compared_as_far_as_they_go(both):
    c = ea.compare_projects(both[0].items.head(1), both[0].items.sort("uri", descending=True).head(3))
    assert not c.metrics["significant"].any()
    assert '"descriptor" is not compared: a side has fewer than 5 vectors.' in c.missing
    expect_plain(c._repr_html_())
