"""Hatchling hook: a wheel or editable install from a checkout carries a freshly built widget."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_BUNDLES = ("encord_active_widgets/static/widget.js", "encord_active_widgets/static/offline.js")


class CustomBuildHook(BuildHookInterface):
    """Build the bundles before files are collected; an unpacked sdist already holds them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before a wheel, an sdist or an editable install is put together."""
        root = Path(self.root)
        if (root / "PKG-INFO").exists():  # an sdist: no Node.js needed to install it
            for bundle in _BUNDLES:
                if not (root / bundle).exists():
                    raise RuntimeError(f"This source distribution lacks {bundle}: it was built wrongly.")
            return
        spec = importlib.util.spec_from_file_location("bundle", root / "js" / "bundle.py")
        if spec is None or spec.loader is None:
            raise RuntimeError("js/bundle.py is missing from this checkout.")
        builder = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(builder)
        builder.build()
