"""The explorer: map, histograms, grid and tag editor of a view, in a notebook cell."""

from __future__ import annotations

import base64
import logging
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import anywidget
import numpy as np
import polars as pl
import traitlets

from ..content.query_text import parse_query
from ..errors import InputError, known_name, whole_number
from ..protocol.code import filter_code, level_code, root_code, selection_code, view_code
from ..protocol.editing import Editing
from ..protocol.filters import EMPTY, to_expr
from ..protocol.panel import Panel
from ..protocol.parsing import from_expr
from ..protocol.router import Reply, Router
from ..protocol.service import Service
from ..schema import CLASS_NAME, ITEM
from ..store.rows import decode_rows, encode_rows
from ..view import View
from .bundle import esm
from .still import WIDTH_PX, draw, words

if TYPE_CHECKING:
    from ..exchange.exporting import Exported

log = logging.getLogger("encord_active_widgets")

_PYTHON = "py"
_DEFAULT_HEIGHT_PX = 640
_LEAST_HEIGHT_PX = 320
_AS_COLOURED = "color"
_NOTHING = {"rev": 0, "by": _PYTHON, "n": 0, "enc": "ids", "data": None}
_REFRESHING = (
    "hello",
    "tags.",
    "edits.",
    "filters.",
    "job.",
    "labels.",
    "notes.",
    "review.decide",
    "review.undo",
    "stacks.edit",
)
"""Requests after which the synced description of the project may be out of date."""
_links: dict[str, weakref.WeakSet[Explorer]] = {}


class Explorer(anywidget.AnyWidget):
    """An explorer on a view. Made by `project.explore()` or `view.explore()`.

    Examples
    --------
    >>> w = p.explore(color="class_name", sort="sharpness")  # doctest: +SKIP
    >>> w.selection.tag("review")                            # doctest: +SKIP
    >>> w.filter = pl.col("brightness") < 0.2                # doctest: +SKIP
    """

    _session = traitlets.Dict().tag(sync=True)
    _spec = traitlets.Dict().tag(sync=True)
    _selection = traitlets.Dict(dict(_NOTHING)).tag(sync=True)
    _filter = traitlets.Dict({"rev": 0, "by": _PYTHON, "spec": EMPTY}).tag(sync=True)
    _ui = traitlets.Dict({}).tag(sync=True, echo_update=False)
    _still = traitlets.Unicode("", help="The picture of a saved notebook: a PNG in base64.").tag(sync=True)
    height = traitlets.Int(_DEFAULT_HEIGHT_PX, help="Height of the explorer in pixels.").tag(sync=True)

    def __init__(
        self,
        view: View,
        *,
        color: str | None = None,
        sort: str | None = None,
        descending: bool = False,
        filter: pl.Expr | None = None,
        embedding: str | None = None,
        layout: str | None = None,
        labels: str | None = "color",
        pictures: bool = True,
        height: int = _DEFAULT_HEIGHT_PX,
        link: Explorer | str | None = None,
        panels: Sequence[Panel] = (),
    ) -> None:
        self._callbacks: list[Callable[[View], Any]] = []
        self._closed = False
        self._group = ""
        height = whole_number("height", height, least=_LEAST_HEIGHT_PX)
        self._service = Service(view)
        requests = {**self._service.handlers(), **Editing(self._service).handlers()}
        own = {
            "sync": self._sync,
            "code.get": self._code_get,
            "level.set": self._level_set,
            "model.missed": self._model_missed,
        }
        for panel in panels:
            requests |= panel.attach(self._service)
            self._service.panels[panel.name] = panel.describe
        self._router = Router({**requests, **own})
        self._kept: dict[str, dict[str, Any]] = {}
        super().__init__(
            _esm=esm(), _session=self._service.session_message(), _spec=self._service.spec(), height=height
        )
        ui: dict[str, Any] = {"rev": 1, "by": _PYTHON}
        if view.level != ITEM:
            ui["color"] = self._first_color()
        if color is not None:
            ui["color"] = self._column(color)
        if sort is not None:
            ui["sort"] = {"by": self._column(sort), "desc": descending}
        if embedding is not None:
            view.project.embeddings[embedding]
            ui["embedding"] = embedding
        if layout is not None:
            ui["layout"] = layout
        if labels != _AS_COLOURED:
            ui["labels"] = self._naming(labels)
        if not pictures:
            ui["pictures"] = False
        self._ui = ui
        self.on_msg(_weak(self, "_on_message"))
        self.observe(_weak(self, "_selection_changed"), names="_selection")
        self.observe(_weak(self, "_filter_changed"), names="_filter")
        self.observe(_weak(self, "_ui_changed"), names="_ui")
        if filter is not None:
            self.filter = filter
        if link is not None:
            self._join(link)

    # -- what the user reads and sets -----------------------------------------------------------

    @property
    def view(self) -> View:
        """The view this explorer shows: the one it was opened on, or, at another level, what belongs to it."""
        return self._service.view

    @property
    def level(self) -> str:
        """What one row is: `"item"`, `"object"` or `"prediction:<run>"`.

        Set it to switch; each level keeps its filter and selection.
        """
        return self._service.name

    @level.setter
    def level(self, value: str) -> None:
        old = self.level
        if value == old:
            return
        expressions = self._service.expressions
        self._service.set_level(value)
        self._kept[old] = {
            "_selection": self._selection, "_filter": self._filter, "_ui": self._ui, "expressions": expressions
        }  # fmt: skip
        coloured = {} if value == ITEM else {"color": self._first_color()}
        kept = self._kept.get(value, {"_selection": _NOTHING, "_filter": {"spec": EMPTY}, "_ui": coloured})
        self._service.expressions = kept.get("expressions", {})
        self._spec = self._service.spec()
        for name in ("_selection", "_filter", "_ui"):
            setattr(self, name, {**kept[name], "rev": _next_rev(getattr(self, name)), "by": _PYTHON})

    @property
    def selection(self) -> View:
        """What is selected, as a view that stays as it is; empty when nothing is.

        It has the columns of `view` alone as well: of predictions `outcome` and `reason`, of a search `distance`.
        Set it to a view, an id, a list of ids or of ordinals, or None to move the page.
        """
        view = self.view
        return View(view.project, view.level, extra=view._extra).at(self._rows())

    @selection.setter
    def selection(self, value: Any) -> None:
        rows = self._as_rows(value)
        encoded = encode_rows(rows)
        self._selection = {
            "rev": _next_rev(self._selection),
            "by": _PYTHON,
            "n": encoded.n,
            "enc": encoded.encoding,
            # Text: a host that shows the cell again, as Colab does, hands the page this state without its bytes.
            "data": base64.b64encode(encoded.data).decode() or None,
        }

    @property
    def filter(self) -> pl.Expr:
        """What passes the filter, as a Polars expression; `pl.lit(True)` when everything does.

        Set it to an expression, a list of expressions, or None. What the page cannot show
        as brushes and chips appears as one chip with its text.
        """
        level = self._service.level
        return to_expr(self._filter.get("spec", EMPTY), level, self._service.expressions)

    @filter.setter
    def filter(self, value: Any) -> None:
        level = self._service.level
        given = [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
        exprs = [parse_query(e) if isinstance(e, str) else e for e in given]
        self.view.filter(*exprs)  # raises on unknown columns, with the nearest names
        parts: list[Any] = []
        for expr in exprs:
            parts += from_expr(expr, level, self._service.expressions)["all"]
        spec = {"all": parts}
        self._service.evaluate(spec)  # raises before the page sees it
        self._filter = {"rev": _next_rev(self._filter), "by": _PYTHON, "spec": spec}

    @property
    def filtered(self) -> View:
        """The rows that pass the filter, in the order of the grid, as a view."""
        view = self.view.filter(self.filter)
        sort = self._ui.get("sort")
        return view.sort(sort["by"], descending=bool(sort.get("desc"))) if sort and sort.get("by") else view

    @property
    def color(self) -> str | None:
        """The column that colours the map."""
        return self._ui.get("color")

    @color.setter
    def color(self, value: str | None) -> None:
        self._set_ui(color=None if value is None else self._column(value))

    @property
    def labels(self) -> str | None:
        """What names the clusters of the map: `"color"`, a column with few values, `"tags"`, or None for no names.

        `"color"` names the values of the column that colours the map.
        """
        return cast("str | None", self._ui.get("labels", _AS_COLOURED))

    @labels.setter
    def labels(self, value: str | None) -> None:
        self._set_ui(labels=self._naming(value))

    @property
    def pictures(self) -> bool:
        """Whether the map shows pictures instead of points where it is zoomed in far enough."""
        return self._ui.get("pictures") is not False

    @pictures.setter
    def pictures(self, value: bool) -> None:
        self._set_ui(pictures=bool(value))

    @property
    def sort(self) -> tuple[str, bool] | None:
        """The column that orders the grid, and whether it descends. Set a name or a pair."""
        sort = self._ui.get("sort")
        return (sort["by"], bool(sort.get("desc"))) if sort and sort.get("by") else None

    @sort.setter
    def sort(self, value: str | tuple[str, bool] | None) -> None:
        if value is None:
            self._set_ui(sort=None)
            return
        by, descending = (value, False) if isinstance(value, str) else value
        self._set_ui(sort={"by": self._column(by), "desc": bool(descending)})

    @property
    def code(self) -> str:
        """Python that reproduces what the explorer shows: its filter and its order."""
        conditions = filter_code(self._filter.get("spec", EMPTY), self._service.expressions)
        return view_code(conditions, self._ui.get("sort"), root=root_code(self.view, self.model))

    def to_html(self, path: str | os.PathLike[str], **options: Any) -> Exported:
        """Write this explorer as one HTML file, standing as it stands now; see `View.to_html`.

        The page begins with this filter, order, colour, map and selection. All rows of `w.view` are in it: to hand
        on fewer, write `w.filtered.to_html(path)` or `w.selection.to_html(path)`.
        """
        look = {
            "filter": self._filter.get("spec", EMPTY),
            "expressions": self._service.expressions,
            "selected": self._rows(),
            "ui": dict(self._ui),
        }
        return self.view.project._to_html(self.view, path, look=look, **options)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return the live widget, and a picture for where no kernel runs."""
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None or self._closed:
            return shown
        data, metadata = shown
        try:
            said = words(self).text()
            picture = base64.b64encode(draw(self)).decode("ascii")
        except Exception:
            log.debug("An explorer is shown without a picture of it", exc_info=True)
            return shown
        self._still = picture
        about = {"alt": said, "width": WIDTH_PX}
        return {**data, "text/plain": said, "image/png": picture}, {**metadata, "image/png": about}

    def on_selection(self, callback: Callable[[View], Any]) -> Callable[[], None]:
        """Call `callback(view)` whenever the selection changes; return a function that stops it.

        The callback may run on another thread than your cells; what it raises is logged.

        Parameters
        ----------
        callback : callable
            Called with the selection, a View.

        Examples
        --------
        >>> stop = w.on_selection(lambda view: print(len(view)))  # doctest: +SKIP
        """
        self._callbacks.append(callback)

        def stop() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return stop

    def close(self) -> None:
        """Close the explorer and free what it holds."""
        self._closed = True
        self._callbacks.clear()
        super().close()

    def _first_color(self) -> str:
        return "outcome" if self._service.judge is not None and "outcome" in self._service.level.columns else CLASS_NAME

    def _model_missed(self, content: dict[str, Any], _: Any) -> Reply:
        """Show the labels that the run missed, at their own level."""
        judge = self._service.judge
        if judge is None:
            raise InputError("This level has no predictions.", "Switch to a run.")
        judge.set_state(content.get("iou"), content.get("confidence"))
        named = content.get("class")
        missed = judge.missed(self._service.snapshot(), named if isinstance(named, str) else None)
        self.level = missed.level
        encoded = encode_rows(missed.rows)
        frozen = {"enc": encoded.encoding, "data": base64.b64encode(encoded.data).decode(), "n": encoded.n}
        spec = {"all": [{"rows": frozen}]}
        self._filter = {"rev": _next_rev(self._filter), "by": _PYTHON, "spec": spec}
        return Reply({"n": encoded.n})

    def _ui_changed(self, change: Mapping[str, Any]) -> None:
        model, judge = change["new"].get("model"), self._service.judge
        if isinstance(model, dict) and judge is not None:
            judge.set_state(model.get("iou"), model.get("confidence"))

    @property
    def model(self) -> dict[str, float] | None:
        """Where the sliders of a run stand: `{"iou": 0.5, "confidence": 0.0}`; None at other levels.

        Set it to move them.
        """
        judge = self._service.judge
        return None if judge is None else {"iou": judge.state[0], "confidence": judge.state[1]}

    @model.setter
    def model(self, value: Mapping[str, float]) -> None:
        judge = self._service.judge
        if judge is None:
            raise InputError("This level has no predictions.", 'Set w.level = "prediction:<run>" first.')
        judge.evaluation(self._service.snapshot())
        judge.set_state(value.get("iou"), value.get("confidence"))
        self._set_ui(model=self.model)

    # -- messages -------------------------------------------------------------------------------

    def _on_message(self, _: Any, content: Any, buffers: list[Any]) -> None:
        self._router.dispatch(content, buffers or [], self._reply)
        name = str(content.get("op", "")) if isinstance(content, dict) else ""
        if name.startswith(_REFRESHING) and name != "tags.get":
            self._refresh()

    def _reply(self, content: dict[str, Any], buffers: list[Any]) -> None:
        if not self._closed:
            self.send(content, buffers)

    def _sync(self, content: dict[str, Any], buffers: Any) -> Any:
        reply = self._service.sync(content, buffers)
        if reply.head["what"]:
            self._refresh()
        return reply

    def _level_set(self, content: dict[str, Any], _: Any) -> Reply:
        self.level = str(content.get("level", ""))
        return Reply({})

    def _code_get(self, content: dict[str, Any], _: Any) -> Reply:
        if content.get("what") == "selection":
            ids = self.selection.ids.to_list()
            whole = View(self.view.project, self.view.level)
            return Reply({"code": selection_code(ids, len(whole), root=level_code(self.view.level))})
        return Reply({"code": self.code})

    def _refresh(self) -> None:
        """Bring the trait `_spec` up to date; nothing is sent when nothing changed."""
        spec = self._service.spec()
        if spec != self._spec:
            self._spec = spec

    def _selection_changed(self, change: Mapping[str, Any]) -> None:
        self._share("_selection", change["new"])
        if not self._callbacks:
            return
        view = self.selection
        for callback in list(self._callbacks):
            try:
                callback(view)
            except Exception:
                log.exception("A selection callback failed")

    def _filter_changed(self, change: Mapping[str, Any]) -> None:
        self._share("_filter", change["new"])

    # -- linked explorers -------------------------------------------------------------------------

    def _join(self, link: Explorer | str) -> None:
        """Share selection and filter with other explorers of the same project."""
        if isinstance(link, Explorer):
            if link.view.project.path != self.view.project.path:
                raise InputError("Explorers of two projects cannot be linked.", "Link explorers of one project.")
            link._group = link._group or f"{link._service.session}"
            _links.setdefault(link._group, weakref.WeakSet()).add(link)
            self._group = link._group
        else:
            self._group = f"{self.view.project.path}:{link}"
        # The others' state is taken over before this one is heard: joining changes nothing for them.
        first = next((w for w in _links.get(self._group, ()) if w is not self and not w._closed), None)
        if first is not None:
            self._service.expressions = first._service.expressions
            self._selection, self._filter = dict(first._selection), dict(first._filter)
        _links.setdefault(self._group, weakref.WeakSet()).add(self)

    def _share(self, name: str, value: Mapping[str, Any]) -> None:
        if not self._group:
            return
        for other in list(_links.get(self._group, ())):
            if other is not self and not other._closed and _content(getattr(other, name)) != _content(value):
                setattr(other, name, {**value, "rev": _next_rev(getattr(other, name)), "by": _PYTHON})

    # -- helpers ----------------------------------------------------------------------------------

    def _rows(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        data = self._selection.get("data")
        if not self._selection.get("n") or data is None:
            return np.empty(0, np.uint32)
        raw = base64.b64decode(data) if isinstance(data, str) else bytes(cast("memoryview", data))
        rows = decode_rows(str(self._selection.get("enc", "ids")), raw)
        return rows[rows < self._service.level.n]

    def _as_rows(self, value: Any) -> np.ndarray[Any, Any]:
        whole = View(self.view.project, self.view.level)
        if value is None:
            return np.empty(0, np.uint32)
        if isinstance(value, View):
            if value.project.path != self.view.project.path or value.level != self.view.level:
                raise InputError("The view is of another project or level.", "Give a view of what is shown.")
            return value.rows
        if isinstance(value, pl.Expr):
            return self.view.filter(value).rows
        if isinstance(value, pl.DataFrame):
            return whole.by_ids(value[self._service.level.key]).rows
        if isinstance(value, str):
            return whole.by_ids([value]).rows
        series = value if isinstance(value, pl.Series) else pl.Series(list(value))
        if series.dtype == pl.String:
            return whole.by_ids(series).rows
        return whole.at(series.to_numpy()).rows if series.len() else np.empty(0, np.uint32)

    def _column(self, name: str) -> str:
        columns = self._service.level.frame.columns
        known_name("column", name, columns)
        return name

    def _naming(self, value: str | None) -> str | None:
        """Return what names clusters, after a check that it can."""
        if value is None or value in (_AS_COLOURED, "tags"):
            return value
        name = self._column(value)
        kinds = {c["name"]: c for c in self._spec["columns"]}
        if kinds.get(name, {}).get("kind") != "category":
            raise InputError(
                f'"{name}" has no few values that could name clusters.',
                'Give a column of text with few distinct values, "tags", "color" or None.',
            )
        return name

    def _set_ui(self, **changes: Any) -> None:
        self._ui = {**self._ui, **changes, "rev": _next_rev(self._ui), "by": _PYTHON}


def _next_rev(trait: Mapping[str, Any]) -> int:
    """Return the number of a trait's next write: the newer one wins on both sides."""
    return int(trait.get("rev", 0)) + 1


def _content(value: Mapping[str, Any]) -> tuple[Any, ...]:
    data = value.get("data")
    return (
        value.get("n"),
        value.get("enc"),
        bytes(data) if data is not None and not isinstance(data, str) else data,
        str(value.get("spec")),
    )


def _weak(owner: Any, method: str) -> Callable[..., Any]:
    """Bind a method without keeping its object alive: a closed explorer must be freed."""
    reference = weakref.ref(owner)

    def call(*args: Any, **kwargs: Any) -> Any:
        target = reference()
        return None if target is None else getattr(target, method)(*args, **kwargs)

    return call
