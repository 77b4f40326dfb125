"""Two projects or views side by side: whether their images, metrics, vectors and classes are drawn alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from ..errors import InputError
from ..pages.html import counted
from ..project import Project
from ..view import View
from .comparison_sections import classes_section, embeddings_section, images_section, metrics_section
from .comparison_sides import Sides
from .report_parts import Subject
from .sectioned import Sectioned

if TYPE_CHECKING:
    from .report_parts import Section


class ProjectComparison(Sectioned):
    """What `ea.compare_projects(a, b)` gives: shown as the last line of a cell, and written as one file.

    Attributes
    ----------
    title : str
        Its heading.
    names : (str, str)
        Of both sets.
    a, b : View
        The images of both.
    frames : dict of str to pl.DataFrame
        All its tables, whole: `"metrics"`, `"embeddings"`, `"classes"` (of objects; else of class answers),
        `"image_classes"` where there are both, `"sizes"`. Columns that end in `_a` and `_b` are of the first and the
        second set.

    Examples
    --------
    >>> c = ea.compare_projects(train, test)                          # doctest: +SKIP
    >>> c.metrics.filter("significant")["metric"].to_list()           # doctest: +SKIP
    ['brightness', 'contrast']
    >>> c.to_html("train_and_test.html")                              # doctest: +SKIP
    """

    _file = "comparison.html"

    def __init__(self, title: str, sides: Sides, sections: list[Section]) -> None:
        about = " · ".join(_about(s, name) for s, name in zip(sides.both, sides.names, strict=True))
        super().__init__(title, about, _headline(sides), sections)
        self.names = sides.names
        self.a, self.b = sides.a.items, sides.b.items

    @property
    def metrics(self) -> pl.DataFrame:
        """One row a metric, the largest difference first.

        `level`, `metric`, `n_a`, `n_b`, `median_a`, `median_b`; `ks`, the two-sample Kolmogorov–Smirnov distance, 0 to
        1; `delta`, Cliff's delta: above 0, b has higher values; `p_value`, and `p_adjusted` by Benjamini and Hochberg
        over all rows; `significant`.
        """
        return self.frames["metrics"]

    @property
    def embeddings(self) -> pl.DataFrame:
        """One row an embedding: `mmd_squared`, `p_value`, `own_neighbours`.

        The maximum mean discrepancy is that of up to 1,000 images of each set. `own_neighbours` is the share of an
        image's five nearest that are of its own set: 0.5 where nothing tells the sets apart, 1 where everything does.
        """
        return self.frames["embeddings"]

    @property
    def classes(self) -> pl.DataFrame:
        """One row a class, most changed first: `count_a`, `count_b`, `share_a`, `share_b`, `difference` (b less a)."""
        return self.frames["classes"]

    @property
    def sizes(self) -> pl.DataFrame:
        """One row a size in pixels, most frequent first: `width`, `height`, `count_a`, `count_b`, `share_a`, …."""
        return self.frames["sizes"]


def compare_projects(
    a: Project | View,
    b: Project | View,
    *,
    names: Sequence[str] | None = None,
    embedding: str | None = None,
    alpha: float = 0.05,
    title: str | None = None,
    seed: int = 0,
) -> ProjectComparison:
    """Say how two sets of images differ: training and field, before and after, one site and another.

    Each metric that both have is compared by the two-sample Kolmogorov–Smirnov test, with p-values corrected for the
    number of metrics (Benjamini & Hochberg 1995); embeddings by the maximum mean discrepancy with a Gaussian kernel
    and a permutation test (Gretton et al. 2012); classes by the total variation of their shares, with whole images
    mixed. Sizes, and images that are in both, are counted.

    A test says whether a difference is more than chance, not whether it matters: of many images, the smallest
    difference is significant. Read `ks`, `delta`, `own_neighbours` and shares for how large it is.

    Parameters
    ----------
    a, b : Project or View
        Of labels, their images are compared, with these labels alone. Views of one project can be compared too.
    names : (str, str), optional
        What to call them; by default the projects' names.
    embedding : str, optional
        The only one to compare; by default all that both have, made by the same model.
    alpha : float
        Up to this (corrected) p-value a difference is significant.
    title : str, optional
        Of the page.
    seed : int
        Of what is drawn at random: the same seed gives the same numbers.

    Returns
    -------
    ProjectComparison
        The last line of a cell shows it; `.to_html(path)` writes one file. `.summary` is the list of sentences at its
        top; `.metrics`, `.embeddings`, `.classes`, `.sizes` are frames, `.charts` its charts.

    Raises
    ------
    InputError
        One of them has no images, or is neither a project nor a view.
    UnknownNameError
        There is no such embedding in both.

    Examples
    --------
    >>> ea.compare_projects(p.filter(pl.col("split") == "train"), p.filter(pl.col("split") == "test"),
    ...                     names=("train", "test"))                                     # doctest: +SKIP
    """
    first, second = Subject(_view(a, "a"), None), Subject(_view(b, "b"), None)
    called = _names(names, first, second)
    for subject, name in zip((first, second), called, strict=True):
        if not subject.n:
            raise InputError(f'There are no images in "{name}".', "Compare projects, or views, that have images.")
    if not 0 < alpha < 1:
        raise InputError(f"alpha={alpha!r:.80} is no level of significance.", "Give one such as alpha=0.05.")
    if title is not None and not isinstance(title, str):
        raise InputError(f"title={title!r:.80} is no text.", 'Give one, such as title="Summer and winter".')
    sides = Sides(first, second, called, float(alpha), seed)
    sections = [
        images_section(sides), metrics_section(sides), embeddings_section(sides, embedding), classes_section(sides),
    ]  # fmt: skip
    return ProjectComparison(title or f"{sides.names[0]} and {sides.names[1]}", sides, sections)


def _view(given: Any, which: str) -> View:
    if isinstance(given, View):
        return given
    if isinstance(given, Project):
        return given.items
    raise InputError(
        f"{which} is a {type(given).__name__}.", 'Give a project or a view; ea.open("photos.eaw") opens one.'
    )


def _names(names: Any, a: Subject, b: Subject) -> tuple[str, str]:
    if names is None:
        first, second = a.project.name, b.project.name
        return (first, second) if first != second else (f"{first} (a)", f"{second} (b)")
    if isinstance(names, str) or len(names) != 2 or not all(isinstance(n, str) and n.strip() for n in names):
        raise InputError(f"names={names!r:.80} does not name both.", 'Give two, such as names=("train", "test").')
    if names[0] == names[1]:
        raise InputError(f'Both are called "{names[0]}".', 'Give two names, such as names=("train", "test").')
    return names[0], names[1]


def _about(s: Subject, name: str) -> str:
    whole = f"{counted(s.n, 'image')}" if s.whole else f"{s.n:,} of {len(s.project.items):,} images"
    of = "" if s.whole or s.project.name == name else f" of {s.project.name}"
    return f"{name}: {whole}{of}"


def _headline(sides: Sides) -> str:
    parts = []
    for s, name in zip(sides.both, sides.names, strict=True):
        labels = s.objects.height or s.answers.height
        noun = "object" if s.objects.height else "label"
        parts.append(f'"{name}" has {counted(s.n, "image")}' + (f" and {counted(labels, noun)}" if labels else ""))
    return f"{parts[0]}; {parts[1]}."
