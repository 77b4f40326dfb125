"""A view as a map-style dataset, in the shape that PyTorch's loaders take, without PyTorch."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..content.class_list import class_list
from ..errors import InputError, unknown
from ..schema import CLASS_NAME, CLASSIFICATION, ITEM, ITEM_ID, LABEL_ID, OBJECT, URI
from ..store.folder import resolve_address

if TYPE_CHECKING:
    from ..view import View

TARGETS = ("class", "objects")


class ImageDataset:
    """The rows of a view as `(image, target)` pairs; made by `view.dataset()`.

    `image` is (h, w, 3) uint8, upright RGB; of a view of objects it is the object's crop.
    `target` is

    - for `"class"`: the number of the row's class in `classes`, -1 where it has none;
    - for `"objects"`: a dict with `boxes` (k, 4) float32 x0, y0, x1, y1 in pixels, `labels` (k,)
      int64, `item_id`, `label_ids`, `points` (list of k flat float arrays or None), `rings` and `holes`
      (as in `p.objects.df`).

    The object holds addresses and arrays, no project: it can be sent to worker processes, and
    stays as it is when the project changes.

    Parameters
    ----------
    view : View
        Whose rows.
    transform : callable, optional
        Called as `transform(image)`, or as `transform(image, target)` where it takes two
        arguments; what it returns takes the place of the image, or of both.
    target : {"class", "objects"}, optional
        By default `"objects"` where the items carry objects, else `"class"`.

    Examples
    --------
    >>> loader = torch.utils.data.DataLoader(p.items.dataset(), collate_fn=list)  # doctest: +SKIP
    """

    def __init__(self, view: View, transform: Callable[..., Any] | None = None, *, target: str | None = None) -> None:
        if target is not None and target not in TARGETS:
            raise unknown("target", target, TARGETS)
        if target == "objects" and view.level != ITEM:
            raise InputError(f"A view of {view.level}s has one class a row.", 'Leave out target="objects".')
        if transform is not None and not callable(transform):
            raise InputError(f"{transform!r:.60} cannot be called.", "Pass a function of an image (and its target).")
        frame = view.df
        self._addresses = [resolve_address(u, view.project._bases) for u in frame[URI]]
        self._transform = transform
        self._two = _takes_two(transform)
        self.ids: list[str] = frame[ITEM_ID if view.level == ITEM else LABEL_ID].to_list()
        objects = view.objects().df if view.level == ITEM else frame
        self.target = target or ("objects" if view.level == ITEM and objects.height else "class")
        names = (
            objects[CLASS_NAME]
            if self.target == "objects"
            else frame[CLASS_NAME]
            if CLASS_NAME in frame.columns
            else None
        )
        level = OBJECT if self.target == "objects" or view.level == OBJECT else CLASSIFICATION
        self.classes: list[str] = [] if names is None else class_list(view.project, level)
        self._codes = np.full(frame.height, -1, np.int64) if names is None else self._numbers(names)
        self._crops: NDArray[np.float64] | None = None
        self._objects: list[dict[str, Any]] = []
        if view.level == OBJECT:
            self._crops = _corners(frame)
        elif self.target == "objects":
            self._objects = self._by_item(frame, objects)

    def __len__(self) -> int:
        return len(self._addresses)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Decode one image and return it with its target.

        Raises
        ------
        IndexError
            Beyond the last row.
        InputError
            A slice or a list.
        ImageError
            The image cannot be read.
        """
        from ..images.address import read_bytes
        from ..images.decode import decode

        try:
            index = operator.index(index)
        except TypeError as error:
            raise InputError(
                f"A dataset gives one row at a time, not {index!r:.60}.", "Ask for one index, or cut the view before."
            ) from error
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"{index} is beyond the {n} rows.")
        index %= n
        image = decode(read_bytes(self._addresses[index]))
        if self._crops is not None:
            image = _cut(image, self._crops[index])
        target: Any = self._objects[index] if self._objects else int(self._codes[index])
        if self._transform is None:
            return image, target
        if self._two:
            both: tuple[Any, Any] = self._transform(image, target)
            return both
        return self._transform(image), target

    def __repr__(self) -> str:
        return f"ImageDataset({len(self):,} rows, {len(self.classes)} classes, target={self.target!r})"

    def _numbers(self, names: pl.Series) -> NDArray[np.int64]:
        order = {name: i for i, name in enumerate(self.classes)}
        return np.array([order.get(name, -1) for name in names], np.int64)

    def _by_item(self, items: pl.DataFrame, objects: pl.DataFrame) -> list[dict[str, Any]]:
        corners, codes = _corners(objects).astype(np.float32), self._codes
        points = objects["points"].to_list() if "points" in objects.columns else [None] * objects.height
        parts, holes = (
            objects[name].to_list() if name in objects.columns else [None] * objects.height
            for name in ("rings", "holes")
        )
        rows: dict[str, list[int]] = {}
        for i, item_id in enumerate(objects[ITEM_ID]):
            rows.setdefault(item_id, []).append(i)
        ids = objects[LABEL_ID].to_list()
        return [
            {
                "boxes": corners[mine].reshape(-1, 4),
                "labels": codes[mine],
                "item_id": item_id,
                "label_ids": [ids[i] for i in mine],
                "points": [None if points[i] is None else np.asarray(points[i]) for i in mine],
                "rings": [parts[i] for i in mine],
                "holes": [holes[i] for i in mine],
            }
            for item_id in items[ITEM_ID]
            for mine in [rows.get(item_id, [])]
        ]


def _corners(objects: pl.DataFrame) -> NDArray[np.float64]:
    from ..metrics.geometry import true_bounds

    if objects.is_empty():
        return np.empty((0, 4))
    return true_bounds(objects).to_numpy()


def _cut(image: NDArray[np.uint8], corners: NDArray[np.float64]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(corners[:2]), 0, [width - 1, height - 1]).astype(int)
    x1, y1 = np.clip(np.ceil(corners[2:]), [x0 + 1, y0 + 1], [width, height]).astype(int)
    return np.ascontiguousarray(image[y0:y1, x0:x1])


def _takes_two(transform: Callable[..., Any] | None) -> bool:
    import inspect

    if transform is None:
        return False
    try:
        parameters = inspect.signature(transform).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    return len(needed) == 2
