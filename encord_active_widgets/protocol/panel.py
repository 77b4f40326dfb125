"""What a panel over the explorer brings along: its requests, and what the page must know to draw it."""

from __future__ import annotations

from typing import Any, Protocol

from .router import Handler
from .service import Service


class Panel(Protocol):
    """A mode of the explorer that lies over map and grid: a review, stacks of duplicates."""

    name: str
    """Its key in the description of the explorer, `_spec["panels"]`; its requests begin with it and a dot."""

    def attach(self, service: Service) -> dict[str, Handler]:
        """Return the requests by name, for the explorer that the panel now belongs to."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what the page needs at first, in under 1 kB."""
        ...
