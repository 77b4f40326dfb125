"""What `help()` and the reference say: every public call with its parameters, what it returns and what it raises."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_type_hints

import pytest

import encord_active_widgets as ea

PUBLIC = [
    "project.Project",
    "verbs.making.Making",
    "verbs.adding.Adding",
    "verbs.edits.EditVerbs",
    "verbs.runs.RunVerbs",
    "verbs.versions.VersionVerbs",
    "view.View",
    "verbs.view_edits.ViewEdits",
    "verbs.view_exports.ViewExports",
    "widgets.explorer.Explorer",
    "curation.duplicates.Duplicates",
    "computing.vectors.EmbeddingSets",
    "computing.embedding_set.EmbeddingSet",
    "models.evaluated.Evaluation",
    "models.evaluated_objects.DetectionEvaluation",
    "models.evaluated_classes.ClassificationEvaluation",
    "models.explaining.Explanation",
    "models.comparing.Comparison",
    "charts.ModelCharts",
    "models.object_mistakes.LabelErrors",
    "history.differing.Difference",
    "checking.result.CheckResult",
    "checking.limits.Limits",
    "exchange.exporting.Exported",
    "exchange.dataset.ImageDataset",
    "formats.prediction.Prediction",
    "metrics.registry.MetricSpec",
]
INSIDE = {
    "Duplicates": {"kept_rows", "looked_at"},
    "EmbeddingSets": {"check_name", "keep_embedder", "made_by", "neighbours", "prune", "suffix", "write_record"},
    "EmbeddingSet": {"make_layout"},
    "DetectionEvaluation": {"label_codes"},
}
"""Called by other files of the package, not by users."""
MAIN = [
    "Making.from_folder",
    "Making.from_coco",
    "Project.filter",
    "Project.sort",
    "Project.explore",
    "View.filter",
    "ViewEdits.tag",
    "View.similar",
    "View.evaluate",
    "ViewExports.to_coco",
    "EditVerbs.undo",
    "VersionVerbs.at",
    "Explorer.on_selection",
    "RunVerbs.evaluate",
    "RunVerbs.add_predictions",
    "RunVerbs.label_errors",
    "RunVerbs.acquire",
    "Project.check",
    "Project.embed",
]
"""Calls that a newcomer meets first: each shows one."""


def _classes() -> Iterator[type]:
    for path in PUBLIC:
        module, _, name = path.rpartition(".")
        yield getattr(import_module(f"encord_active_widgets.{module}"), name)


def _calls() -> Iterator[tuple[str, Any]]:
    for cls in _classes():
        for name, member in vars(cls).items():
            if not name.startswith("_") and name not in INSIDE.get(cls.__name__, ()):
                function = getattr(member, "__func__", member)
                if inspect.isfunction(function) and function.__module__.startswith("encord_active_widgets"):
                    yield f"{cls.__name__}.{name}", function
    for name in ("contains", "doctor", "has", "labelled", "metric", "open", "rows", "tagged", "untagged"):
        yield name, getattr(ea, name)
    for name in ("onnx", "torch", "clip"):
        yield f"embedders.{name}", getattr(ea.embedders, name)


CALLS = dict(_calls())


def _parameters(function: Any) -> list[str]:
    return [n for n in inspect.signature(function).parameters if n not in {"self", "cls"}]


def _refers(doc: str) -> bool:
    """Tell whether the text sends to a call that documents the same parameters."""
    return re.search(r"\bsee `[\w.]+`", doc, re.IGNORECASE) is not None


@pytest.mark.parametrize("name", CALLS)
def test_a_public_call_says_what_it_takes_gives_and_refuses(name: str) -> None:
    function = CALLS[name]
    doc = inspect.getdoc(function) or ""
    first, _, rest = doc.partition("\n")
    assert first.endswith((".", ":")) or rest.startswith("\n"), "the first line is one sentence"
    for parameter in _parameters(function):
        listed = re.search(rf"^\*{{0,2}}(\w+, )*\*{{0,2}}{parameter}(, \*{{0,2}}\w+)*( :|$)", doc, re.MULTILINE)
        assert listed or _refers(doc) or f"`{parameter}" in doc, f'"{parameter}" is not described'
    source = inspect.getsource(function)
    if re.search(r"raise (InputError|unknown|ProjectError|ShapeError)\b", source):
        assert "\nRaises\n" in doc or first.startswith("Refuse"), "what it raises is not told"
    gives = inspect.signature(function).return_annotation
    if gives not in {None, "None", "NoReturn", inspect.Signature.empty}:
        assert re.search(r"\breturns?\b", doc, re.IGNORECASE) or _refers(doc), f"what it returns is not told: {gives}"


@pytest.mark.parametrize("cls", list(_classes()), ids=lambda c: c.__name__)
def test_a_public_class_and_its_properties_are_described(cls: type) -> None:
    assert cls.__doc__
    for name, member in vars(cls).items():
        if isinstance(member, property) and not name.startswith("_"):
            assert member.fget is not None
            assert member.fget.__doc__, f"{cls.__name__}.{name}"


@pytest.mark.parametrize("name", MAIN)
def test_the_calls_a_newcomer_meets_show_an_example(name: str) -> None:
    assert ">>>" in (CALLS[name].__doc__ or "")


def test_everything_public_is_typed() -> None:
    bare = []
    for name, function in CALLS.items():
        if name == "metric":
            continue  # its overloads are
        annotated = set(function.__annotations__)
        bare += [f"{name}({p})" for p in _parameters(function) if p not in annotated]
        bare += [name] if "return" not in annotated else []
    assert bare == []
    assert get_type_hints(ea.tagged)
