"""Explore, clean and tag image datasets inside a notebook cell.

>>> import encord_active_widgets as ea
>>> p = ea.Project.from_folder("photos/")   # doctest: +SKIP
>>> p.compute()                             # doctest: +SKIP
>>> w = p.explore()                         # doctest: +SKIP
>>> w.selection.tag("review")               # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import embedders
    from .curation.duplicates import Duplicates
    from .diagnosis import doctor
    from .errors import EawError
    from .export.comparison import compare_projects
    from .expressions import contains, has, labelled, rows, tagged, untagged
    from .formats.prediction import Prediction
    from .metrics.registry import metric
    from .project import Project
    from .project import open_project as open
    from .view import View
    from .widgets.explorer import Explorer

# Imported on first use: `import encord_active_widgets` costs Polars and NumPy, nothing more.
_WHERE = {
    "Duplicates": "curation.duplicates",
    "EawError": "errors",
    "Explorer": "widgets.explorer",
    "Prediction": "formats.prediction",
    "Project": "project",
    "View": "view",
    "compare_projects": "export.comparison",
    "contains": "expressions",
    "doctor": "diagnosis",
    "embedders": "embedders",
    "has": "expressions",
    "labelled": "expressions",
    "metric": "metrics.registry",
    "open": "project:open_project",
    "rows": "expressions",
    "tagged": "expressions",
    "untagged": "expressions",
}

__all__ = [
    "Duplicates",
    "EawError",
    "Explorer",
    "Prediction",
    "Project",
    "View",
    "__version__",
    "compare_projects",
    "contains",
    "doctor",
    "embedders",
    "has",
    "labelled",
    "metric",
    "open",
    "rows",
    "tagged",
    "untagged",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        from .errors import nearest

        raise AttributeError(f'encord_active_widgets has no "{name}". {nearest(name, __all__)}')
    module, _, attribute = _WHERE[name].partition(":")
    found = import_module(f"{__name__}.{module}")
    value = found if module == name else getattr(found, attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
