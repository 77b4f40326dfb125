"""What to label next, through a project: real probabilities, real boxes, exclusion, balance, seeds, bad input."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy.special import entr

import encord_active_widgets as ea
from encord_active_widgets.errors import InputError, UnknownNameError

CLASSES = 10


@pytest.fixture(scope="module")
def cifar(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ea.Project, np.ndarray]:
    """Every fifth CIFAR-10 test image with a real model's probabilities, and these, aligned with the items."""
    files = sorted(shared_data.glob("cifar10_test/*/*.jpg"))
    labels = np.load(shared_data / "label_errors" / "cifar10_test_set_original_labels.npy")
    given = np.load(shared_data / "label_errors" / "cifar10_test_set_pyx.npy")
    names = sorted({f.parent.name for f in files})
    table = np.empty_like(given)
    for k, name in enumerate(names):  # file k of a class is the k-th image of that class in the original order
        table[[i for i, f in enumerate(files) if f.parent.name == name]] = given[labels == k]
    kept = [str(f) for f in files[::5]]
    frame = pl.DataFrame({"path": kept, "class_name": [f.parent.name for f in files[::5]]})
    project = ea.Project.from_frame(frame, tmp_path_factory.mktemp("cifar") / "c.eaw")
    project.compute(["pixels", "neighbours"])
    by_uri = dict(zip(kept, table[::5], strict=True))
    order = np.stack([by_uri[u] for u in project.items.df["uri"]])
    order /= order.sum(axis=1, keepdims=True)
    project.add_predictions("resnet", order, classes=names)
    project.items.head(300).tag("done")
    return project, order


def ordinals(view: ea.View) -> list[int]:
    return view.df["ordinal"].to_list()


FORMULAS = {
    "entropy": lambda p: entr(p).sum(axis=1),
    "least_confidence": lambda p: 1 - p.max(axis=1),
    "margin": lambda p: 1 - np.diff(np.sort(p, axis=1)[:, -2:], axis=1)[:, 0],
    "variance": lambda p: (1 - np.square(p).sum(axis=1)) * 10 / 9,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_least_sure_images_of_a_real_model_come_first(cifar, name):
    project, p = cifar
    view = project.acquire(name, 100)
    wanted = np.sort(FORMULAS[name](p.astype(np.float32).astype(np.float64)))[::-1][:100]
    np.testing.assert_allclose(view.df["score"], wanted, atol=1e-5)
    np.testing.assert_allclose(FORMULAS[name](p[ordinals(view)]), view.df["score"], atol=1e-5)
    assert len(view) == 100
    assert view.df.columns[-2:] == ["score", "reason"]


def test_a_reason_says_the_numbers(cifar):
    project, p = cifar
    view = project.acquire("entropy", 3, diverse=True)
    first = view.df.row(0, named=True)
    row = p[first["ordinal"]]
    names = project._snapshot().runs["resnet"].classes
    best, second = (names[k] for k in np.argsort(-row)[:2])
    assert f"entropy {entr(row).sum():.2f} of at most 2.30 nats: {best} {row.max():.2f}, {second} " in first["reason"]
    assert "to the nearest chosen one" in first["reason"]
    assert "cosine distance" in project.acquire("k_center", 3).df["reason"][2]


STRATEGIES = ["entropy", "k_center", "coverage", "facility_location", "typicality", "cluster_balance", "random"]
MIXTURES = [
    {"entropy": 0.5, "coverage": 0.5},
    {"margin": 2, "typicality": 1, "random": 1},
    {"variance": 1, "k_center": 1},
]


@pytest.mark.parametrize("strategy", [*STRATEGIES, *MIXTURES], ids=str)
def test_every_strategy_keeps_to_what_is_left_and_to_its_seed(cifar, strategy):
    project, _ = cifar
    done = set(ordinals(project.filter(ea.tagged("done"))))
    view = project.acquire(strategy, 60, exclude=ea.tagged("done"), seed=3)
    picks = ordinals(view)
    assert len(set(picks)) == 60
    assert not done & set(picks)
    assert view.df["score"].is_sorted(descending=True)
    assert view.df["score"].is_finite().all()
    assert view.df["reason"].str.len_chars().min() > 10
    assert picks == ordinals(project.acquire(strategy, 60, exclude=ea.tagged("done"), seed=3))
    view.tag("next")
    assert ordinals(view) == picks, "the view stays what was chosen"
    project.undo()


def test_coverage_is_the_name_of_facility_location(cifar):
    project, _ = cifar
    assert ordinals(project.acquire("coverage", 20)) == ordinals(project.acquire("facility_location", 20))


@pytest.mark.parametrize("strategy", ["k_center", "coverage"])
def test_excluded_images_count_as_covered(cifar, strategy):
    """A second batch goes on where the first ended: together they are one order."""
    project, _ = cifar
    both = ordinals(project.acquire(strategy, 40))
    project.items.at(both[:20]).tag("batch 1")
    second = ordinals(project.acquire(strategy, 20, exclude=ea.tagged("batch 1")))
    project.undo()
    assert second == both[20:]


def test_several_conditions_and_views_exclude_together_and_a_view_bounds_the_choice(cifar):
    project, _ = cifar
    some = project.items.head(500)
    left = some.acquire("margin", 100, exclude=[ea.tagged("done"), "class_name = 'airplane'", some.sample(50, seed=1)])
    frame = left.df
    assert set(frame["ordinal"]) <= set(range(300, 500))
    assert not set(frame["ordinal"]) & set(ordinals(some.sample(50, seed=1)))
    assert "airplane" not in set(frame["class_name"])


def test_more_than_is_left_is_all_of_it_and_a_warning(cifar):
    project, _ = cifar
    with pytest.warns(UserWarning, match=r"asked for 900 items; 200 are left") as caught:
        view = project.items.head(500).acquire("entropy", 900, exclude=ea.tagged("done"))
    assert len(view) == 200
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="0 are left"):
        nothing = project.acquire({"entropy": 1, "coverage": 1}, 5, exclude=pl.col("uri").is_not_null())
    assert nothing.df.height == 0
    assert {"score", "reason"} <= set(nothing.df.columns)
    assert len(project.acquire("coverage", 0)) == 0


@pytest.mark.parametrize("strategy", ["entropy", "coverage", {"entropy": 0.5, "coverage": 0.5}])
def test_balance_spreads_the_choice_over_classes(cifar, strategy):
    project, p = cifar
    counts = project.acquire(strategy, 100, balance="class_name").df["class_name"].value_counts()["count"]
    assert counts.to_list() == [10] * CLASSES
    view = project.acquire(strategy, 105, balance="predicted")
    predicted = np.bincount(p[ordinals(view)].argmax(axis=1), minlength=CLASSES)
    assert set(predicted) == {10, 11}
    assert view.df["score"].is_sorted(descending=True)
    plain = project.acquire("entropy", 100).df["class_name"].value_counts()["count"]
    assert plain.max() > 13, "without balance the confusing classes fill the batch"


def test_a_diverse_batch_covers_more_of_the_images(cifar):
    project, p = cifar
    unit = np.asarray(project.embeddings["descriptor"].vectors, np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)

    def covered(view: ea.View) -> float:
        return float((unit @ unit[ordinals(view)].T).max(axis=1).mean())

    diverse, plain = (project.acquire("entropy", 100, diverse=flag) for flag in (True, False))
    assert covered(diverse) > covered(plain)
    unsure = entr(p).sum(axis=1)
    assert unsure[ordinals(diverse)].mean() > 3 * unsure.mean(), "and is still far less sure than the rest"


def test_the_shared_graph_is_read_and_never_made_again(cifar, monkeypatch):
    project, _ = cifar
    from encord_active_widgets.embeddings import graph
    from encord_active_widgets.learning import acquisition

    monkeypatch.setattr(acquisition, "EXACT_FACILITY_ROWS", 0)
    fresh = ea.open(project.path)
    monkeypatch.setattr(graph, "knn_graph", lambda *a, **k: pytest.fail("the graph was computed again"))
    for strategy in ("coverage", "typicality", {"entropy": 1, "coverage": 1}):
        assert len(fresh.acquire(strategy, 30)) == 30


def test_images_without_a_vector_come_last_without_a_score(cifar):
    project, _ = cifar
    vectors = np.random.default_rng(0).standard_normal((1_900, 8)).astype(np.float32)
    frame = project.items.df.select("item_id").head(1_900).with_columns(vector=pl.Series(vectors.tolist()))
    project.embeddings["some"] = frame
    for strategy in ("k_center", "coverage", "typicality", "cluster_balance", {"entropy": 1, "coverage": 1}):
        view = project.acquire(strategy, 2_000, embedding="some")
        assert set(ordinals(view)[-100:]) == set(range(1_900, 2_000))
        assert view.df["score"][-100:].is_null().all()
        assert view.df["score"][:-100].is_not_null().all()
        assert view.df["reason"][-100:].str.starts_with("no embedding").all()
    late = project.acquire({"entropy": 1, "coverage": 1}, 2_000, embedding="some").df["reason"][-100:]
    unsure = late.str.extract(r"entropy ([\d.]+) ").cast(pl.Float64)
    assert unsure.is_sorted(descending=True)


# -- detections -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ea.Project:
    """BCCD with predictions made from its boxes; every tenth image has none."""
    home = tmp_path_factory.mktemp("bccd")
    project = ea.Project.from_coco(
        shared_data / "bccd" / "annotations.json", shared_data / "bccd" / "images", home / "b.eaw"
    )
    rng = np.random.default_rng(0)
    with_some = project.items.df["item_id"].gather_every(10, offset=0)
    boxes = project.objects.df.filter(~pl.col("item_id").is_in(with_some.implode()))
    project.add_predictions(
        "yolo",
        boxes.select("item_id", "class_name", "x", "y", "w", "h").with_columns(
            confidence=pl.Series(rng.beta(4, 2, boxes.height))
        ),
    )
    return project


@pytest.mark.parametrize(("how", "function"), [("mean", np.mean), ("max", np.max), ("sum", np.sum)])
@pytest.mark.parametrize("name", ["entropy", "object_confidence"])
def test_images_are_scored_over_their_real_detections(cells, how, function, name):
    formula = (lambda c: entr(c) + entr(1 - c)) if name == "entropy" else (lambda c: 1 - c)
    by_item = cells.predictions["yolo"].df.group_by("item_id").agg("confidence")
    truth = {i: function(formula(np.array(c))) for i, c in by_item.iter_rows()}
    frame = cells.acquire(name, len(cells), aggregate=how).df
    wanted = [truth.get(i, 0.0) for i in frame["item_id"]]
    np.testing.assert_allclose(frame["score"], wanted, atol=1e-9)
    assert frame["score"].is_sorted(descending=True)
    without = len(cells) - len(truth)
    assert without > 30
    assert frame["reason"].tail(without).str.contains("no prediction here: counted as 0.00").all()
    assert (
        frame["reason"][0].count("RBC") + frame["reason"][0].count("WBC") + frame["reason"][0].count("Platelets") == 1
    )


@pytest.mark.parametrize("name", ["entropy", "least_confidence", "margin", "variance", "object_confidence"])
def test_what_a_detector_found_nothing_on_can_come_first(cells, name):
    first = cells.acquire(name, 30, empty=1.5)
    assert first.df["score"].to_list() == [1.5] * 30
    assert first.df["item_id"].is_in(cells.predictions["yolo"].df["item_id"].implode()).sum() == 0
    other = cells.acquire(name, 30, empty=1.5, seed=1)
    assert set(other.ids) != set(first.ids), "which of the equals is the seed's to say"


def test_objects_balance_by_the_rarest_class_on_an_image(cells):
    view = cells.acquire("object_confidence", 60, balance="predicted")
    on = {}
    for item, name in cells.predictions["yolo"].df.select("item_id", "class_name").iter_rows():
        on.setdefault(item, set()).add(name)
    images = {name: sum(name in names for names in on.values()) for name in ("RBC", "WBC", "Platelets")}
    rarest = [min(on[i], key=lambda name: (images[name], name)) for i in view.ids]
    counts = {name: rarest.count(name) for name in images}
    left = {name: sum(min(s, key=lambda n: (images[n], n)) == name for s in on.values()) for name in images}
    assert all(counts[name] == min(left[name], max(counts.values())) or counts[name] >= 19 for name in images), counts


# -- nothing to go by -----------------------------------------------------------------------------


@pytest.fixture
def plain(pictures: Path, tmp_path: Path) -> ea.Project:
    return ea.Project.from_folder(pictures, tmp_path / "p.eaw")


def table(n: int) -> pl.DataFrame:
    return pl.DataFrame({"class_name": ["a", "b"] * (n // 2)})


def test_no_predictions_says_which_call_makes_them(plain):
    with pytest.raises(InputError, match=r"p\.add_predictions\("):
        plain.acquire("entropy")
    with pytest.raises(InputError, match=r"p\.add_predictions\("):
        plain.acquire("random", balance="predicted")
    with pytest.raises(InputError, match=r"p\.add_predictions\("):
        plain.acquire("entropy", run="resnet")


def test_no_embeddings_says_which_call_makes_them(plain):
    for strategy in ("k_center", "coverage", "typicality", "cluster_balance", {"random": 1, "coverage": 1}):
        with pytest.raises(InputError, match=r"p\.compute\(\)"):
            plain.acquire(strategy, 3)
    assert len(plain.acquire("random", 3)) == 3


def test_of_several_runs_one_must_be_named(plain):
    p = np.random.default_rng(0).dirichlet([1, 1], 12)
    for name in ("one", "two"):
        plain.add_predictions(name, p, classes=["a", "b"])
    with pytest.raises(InputError, match=r'2 runs: "one", "two".*run='):
        plain.acquire("entropy", 3)
    assert len(plain.acquire("entropy", 3, run="two")) == 3
    with pytest.raises(UnknownNameError, match='"one"'):
        plain.acquire("entropy", 3, run="onne")
    assert len(plain.acquire("random", 3)) == 3


def test_what_was_predicted_on_some_images_only_never_raises(plain):
    p = pl.DataFrame({"path": ["00.png", "01.png"], "class_name": ["a", "b"], "confidence": [0.9, 0.6]})
    plain.add_predictions("m", p)
    for name in ("entropy", "least_confidence", "margin", "variance", "object_confidence"):
        frame = plain.acquire(name, 12).df
        assert Path(frame["uri"][0]).name == "01.png"
        assert frame["score"].to_list()[2:] == [0.0] * 10
    view = plain.acquire("entropy", 12, balance="predicted")
    assert [Path(u).name for u in view.df["uri"][:2]] == ["01.png", "00.png"]


def test_nothing_to_balance_by(plain):
    with pytest.raises(InputError, match='balance="predicted"'):
        plain.acquire("random", 3, balance="class_name")
    plain.items.head(4).relabel("cat")
    with pytest.raises(InputError, match='None of the 8 items that are left has a value of "class_name"'):
        plain.acquire("random", 3, balance="class_name", exclude=ea.labelled())
    with pytest.raises(UnknownNameError, match="column"):
        plain.acquire("random", 3, balance="weather")


def test_labelled_is_what_has_a_class_or_an_object(plain, cells):
    assert len(plain.filter(ea.labelled())) == 0
    plain.items.head(4).relabel("cat")
    assert ordinals(plain.filter(ea.labelled())) == [0, 1, 2, 3]
    assert len(plain.acquire("random", 8, exclude=ea.labelled())) == 8
    plain.undo()
    assert len(plain.filter(ea.labelled())) == 0
    objects = set(cells.objects.df["item_id"])
    assert set(cells.filter(ea.labelled()).ids) == objects
    with pytest.raises(InputError):
        cells.objects.filter(ea.labelled())


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("entropie", {}, 'Did you mean "entropy"'),
        ({"entropy": -1}, {}, "weight"),
        ({"entropy": float("nan")}, {}, "weight"),
        ({"entropy": "much"}, {}, "weight"),
        ({"random": 0}, {}, "weighs nothing"),
        ({}, {}, "weighs nothing"),
        (7, {}, "A strategy is a name"),
        ("random", {"n": -1}, "number of items"),
        ("random", {"n": 2.5}, "number of items"),
        ("random", {"n": True}, "number of items"),
        ("random", {"aggregate": "median"}, '"mean"'),
        ("random", {"empty": float("nan")}, "empty"),
        ("random", {"exclude": True}, "expression"),
        ("random", {"exclude": pl.col("brightnes") > 1}, "column"),
        ("random", {"run": "yolo"}, "add_predictions"),
        ("random", {"embedding": "dino"}, "embedding"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_remedy(plain, strategy, options, message):
    with pytest.raises((InputError, UnknownNameError), match=message):
        plain.acquire(strategy, **{"n": 3, **options})


def test_zero_vectors_and_one_image_are_no_special_cases(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / "black.png")
    project = ea.Project.from_folder(folder, tmp_path / "one.eaw")
    project.compute(["pixels", "neighbours"])
    for strategy in ("k_center", "coverage", "typicality", "cluster_balance", {"random": 1, "coverage": 1}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(project.acquire(strategy, 1)) == 1
