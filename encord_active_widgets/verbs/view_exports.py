"""The verbs that take rows of a view, or all images of a project, along: datasets, copies, files, pages, reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ..exchange.dataset import ImageDataset
    from ..exchange.exporting import Exported
    from ..export.report import Report
    from ..formats.encord import Sent
    from ..project import Project
    from ..view import View


class ViewExports:
    """What becomes of rows elsewhere; a `View` brings its rows, a `Project` all its images."""

    __slots__ = ()

    @property
    def _view(self) -> View:
        return cast("View", self)

    def split(
        self,
        *,
        train: float = 0.8,
        val: float = 0.1,
        test: float = 0.1,
        by: str | None = None,
        groups: str | Sequence[str] | None = None,
        seed: int = 0,
    ) -> View:
        """Divide these items into train, val and test: the column `split`, as one edit that can be undone.

        Items that are not in this view stay in the part they are in. The same seed divides the same items the same
        way.

        Parameters
        ----------
        train, val, test : float
            Shares; they are scaled to sum to 1.
        by : str, optional
            Stratify by this column (`"class_name"`, or `"objects"` for the classes of the objects).
        groups : str or list of str, optional
            Columns whose values must not be torn apart: `"group"` (videos), `"duplicate_group"`.
        seed : int
            Of the random order in which items are shared out.

        Returns
        -------
        View
            This view.
        """
        from ..exchange.partition import write_split

        write_split(self._view, {"train": train, "val": val, "test": test}, by=by, groups=groups, seed=seed)
        return self._view

    def dataset(self, transform: Callable[..., Any] | None = None, *, target: str | None = None) -> ImageDataset:
        """Return these rows as a map-style dataset: `len(d)` and `d[i]`, as `torch.utils.data.DataLoader` takes it.

        See `ImageDataset` for what `d[i]` holds.

        Parameters
        ----------
        transform : callable, optional
            Called as `transform(image)` or `transform(image, target)`; see `ImageDataset`.
        target : {"class", "objects"}, optional
            By default `"objects"` where the items carry objects.

        Returns
        -------
        ImageDataset
            A fixed list of these rows.
        """
        from ..exchange.dataset import ImageDataset

        return ImageDataset(self._view, transform, target=target)

    def clone(self, path: str | os.PathLike[str], *, images: str = "reference") -> Project:
        """Make a project of its own of these items and all that is on them; the two are independent.

        Labels, tags, notes, predictions, metrics, embeddings and the history of edits come along. Of a view of labels
        the images with all their labels are meant. `p.merge(clone)` takes the clone's edits back.

        Parameters
        ----------
        path : path
            A folder that does not exist yet, or is empty.
        images : {"reference", "copy", "link"}
            As for `Project.clone`.

        Returns
        -------
        Project
            The new project, opened.

        Raises
        ------
        InputError
            The view is empty, the folder is not, or `images` is none of these.

        Examples
        --------
        >>> p.filter(ea.tagged("night")).clone("night.eaw", images="copy")  # doctest: +SKIP
        """
        from ..history.cloning import clone_view

        return clone_view(self._view, path, images=images)

    def to_coco(self, path: str | os.PathLike[str], *, images: str = "reference", verify: bool = False) -> Exported:
        """Write these items and their labels as COCO JSON; what was read from COCO comes out as it was.

        Parameters
        ----------
        path : path
            The JSON file.
        images : {"reference", "copy", "link"}
            Leave the images where they are, or put them into a folder `images` beside the file.
        verify : bool
            Read what was written and compare it with what is here.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.

        Examples
        --------
        >>> p.filter(~ea.tagged("drop")).to_coco("clean.json", verify=True)  # doctest: +SKIP
        """
        from ..exchange.exporting import export

        return export(self._view, "coco", path, images=images, verify=verify)

    def to_yolo(
        self, path: str | os.PathLike[str], *, images: str = "copy", verify: bool = False, task: str | None = None
    ) -> Exported:
        """Write a YOLO dataset: `data.yaml`, `images/`, `labels/`, a folder a split; class ids follow the source's.

        Parameters
        ----------
        path : path
            The folder to write.
        images : {"copy", "link", "reference"}
            Whether images are copied beside the labels, linked, or left where they are.
        verify : bool
            Read what was written and compare.
        task : str, optional
            What the rows of the label files say (boxes, segments, rotated boxes, poses); by the labels by default.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from ..exchange.exporting import export

        return export(self._view, "yolo", path, images=images, verify=verify, task=task)

    def to_voc(self, path: str | os.PathLike[str], *, images: str = "reference", verify: bool = False) -> Exported:
        """Write Pascal VOC: one XML an image in the folder `Annotations`.

        Parameters
        ----------
        path : path
            The folder to write.
        images : {"copy", "link", "reference"}
            Whether images are copied beside the labels, linked, or left where they are.
        verify : bool
            Read what was written and compare.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from ..exchange.exporting import export

        return export(self._view, "voc", path, images=images, verify=verify)

    def to_label_studio(
        self,
        path: str | os.PathLike[str],
        *,
        predictions: str | Sequence[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        images: str = "reference",
        verify: bool = False,
    ) -> Exported:
        """Write these items as tasks for Label Studio; `p.add_labels` reads what comes back.

        Labels become one annotation a task: rectangles (turned ones too), polygons, key points, brush masks and
        choices. Each brings its id back, so that a correction is known as one. Beside the file the labeling
        interface is written, as XML with the classes of the project.

        Parameters
        ----------
        path : path
            The JSON file; the interface goes to the same name with `.interface.xml`.
        predictions : str or list of str, optional
            Runs that are offered as pre-annotations, with their name and confidence.
        root : path, optional
            The folder that Label Studio serves (its `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`); files are
            addressed from it. By default the root of the file system.
        images : {"reference", "copy", "link"}
            Leave the images where they are, or put them into a folder `images` beside the file.
        verify : bool
            Read what was written and compare it with what is here.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.

        Examples
        --------
        >>> chosen = p.sample(50)  # doctest: +SKIP
        >>> chosen.to_label_studio("tasks.json", predictions="yolo")  # doctest: +SKIP
        >>> p.add_labels("export.json")  # doctest: +SKIP
        """
        from ..exchange.handing import to_label_studio

        return to_label_studio(self._view, path, predictions=predictions, root=root, images=images, verify=verify)

    def to_cvat(
        self,
        path: str | os.PathLike[str],
        *,
        predictions: str | Sequence[str] | None = None,
        images: str = "reference",
        verify: bool = False,
    ) -> Exported:
        """Write these items and their labels as "CVAT for images 1.1"; `p.add_labels` reads what comes back.

        Make the task with the labels in `<name>.labels.json` (CVAT's raw constructor), upload the images under the
        names in the file, then upload the annotations. The labels have an attribute `label_id`, by which a
        correction is known as one.

        Parameters
        ----------
        path : path
            The XML file.
        predictions : str or list of str, optional
            Runs whose predictions are written besides, as shapes of the source "auto": what is not deleted in CVAT
            comes back as a label.
        images : {"reference", "copy", "link"}
            Leave the images where they are, or put them into a folder `images` beside the file.
        verify : bool
            Read what was written and compare it with what is here.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from ..exchange.handing import to_cvat

        return to_cvat(self._view, path, predictions=predictions, images=images, verify=verify)

    def to_encord(
        self,
        *,
        dataset_hash: str | None = None,
        title: str | None = None,
        project_hash: str | None = None,
        predictions: str | None = None,
        client: Any = None,
        ssh_key: str | os.PathLike[str] | None = None,
    ) -> Sent:
        """Upload these images to Encord, and their labels to a project there: they leave this machine.

        Nothing else here sends anything away, and nothing does before this call. It needs the extra `encord`. Images
        are put into a dataset under `<name>.<item id><suffix>`; one that is there already is not uploaded again.
        With a project, labels are written into its label rows, as far as its ontology has an object of this name
        and shape, or a classification with this option; a row that has labels already is left as it is.

        Parameters
        ----------
        dataset_hash : str, optional
            The dataset the images go to.
        title : str, optional
            Instead of it: the title of a dataset that is made.
        project_hash : str, optional
            The project that gets the labels; the dataset is attached to it.
        predictions : str, optional
            A run whose predictions are written besides, with their confidence and as not drawn by hand.
        client : encord.EncordUserClient, optional
            A connection that is there.
        ssh_key : path, optional
            Instead of it: the private key to connect with; by default what the SDK finds in its environment.

        Returns
        -------
        Sent
            `dataset_hash`, how many images were uploaded or there already, how many labels were written, and
            `notes` on what was not.

        Raises
        ------
        InputError
            Neither a dataset nor a title, or the SDK is not installed.
        """
        from ..exchange.handing import to_encord

        return to_encord(
            self._view, dataset_hash=dataset_hash, title=title, project_hash=project_hash, predictions=predictions,
            client=client, ssh_key=ssh_key,
        )  # fmt: skip

    def to_lists(self, folder: str | os.PathLike[str]) -> Exported:
        """Write the addresses of each split to `<split>.txt`, one a line; items without one to `rest.txt`.

        Parameters
        ----------
        folder : path
            The folder to write.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from ..exchange.exporting import export

        return export(self._view, "lists", folder)

    def to_csv(self, path: str | os.PathLike[str], *, verify: bool = False) -> Exported:
        """Write `df` as CSV; lists are written as JSON text.

        Parameters
        ----------
        path : path
            The file to write; its folder is made.
        verify : bool
            Read what was written and compare.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from ..exchange.exporting import export

        return export(self._view, "csv", path, verify=verify)

    def to_parquet(self, path: str | os.PathLike[str], *, verify: bool = False) -> Exported:
        """Write `df` as Parquet.

        Parameters
        ----------
        path : path
            The file to write; its folder is made.
        verify : bool
            Read what was written and compare.

        Returns
        -------
        Exported
            What was written where, and in `.notes` what the format has no words for.
        """
        from ..exchange.exporting import export

        return export(self._view, "parquet", path, verify=verify)

    # -- seen ---------------------------------------------------------------------------

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        thumbnails: int | None = None,
        tags: str = "collect",
        color: str | None = None,
        sort: str | None = None,
        descending: bool = False,
        addresses: str = "short",
        max_mb: float = 40.0,
    ) -> Exported:
        """Write an explorer of these rows as one HTML file that opens by a double click, without Python or a network.

        It has the map, the grid, histograms and filters, search, similar images, and an open image with its labels
        drawn. Only these rows are in the file. Tags and notes made in the page come back by `p.apply_edits(file)`.

        Parameters
        ----------
        path : path
            The file to write.
        title : str, optional
            Its heading; the project's name by default.
        thumbnails : int, optional
            The long side of pictures in pixels; by default the largest of some sizes, 768 to 32, that fits into
            `max_mb`. 0 leaves pictures out.
        tags : {"collect", "read-only"}
            Whether a reader may tag and note, and download what was made, or only look.
        color, sort : str, optional
            The columns that colour the map and order the grid at first; `descending` turns the order round.
        addresses : {"short", "full"}
            Whether addresses of files begin after the folder that all of them lie in, or are written whole.
        max_mb : float
            How large the file may be, in megabytes (1,000,000 bytes).

        Returns
        -------
        Exported
            Its `notes` say how large the file and its pictures are.

        Raises
        ------
        InputError
            There are no rows, or they do not fit: the remedy says what would.

        Examples
        --------
        >>> p.filter(pl.col("sharpness") < 0.3).to_html("blurry.html", title="Too blurry?")  # doctest: +SKIP
        >>> p.apply_edits("Too-blurry.edits.json")                                           # doctest: +SKIP
        """
        return self._view._project._to_html(
            self._view, path, title=title, thumbnails=thumbnails, tags=tags, color=color, sort=sort,
            descending=descending, addresses=addresses, max_mb=max_mb,
        )  # fmt: skip

    def report(self, run: str | None = None, title: str | None = None) -> Report:
        """Report on these rows: data, labels, models, label errors and duplicates, with the worst examples.

        Of labels, or of predictions, it reports on their images, with these labels alone. What is not there yet is
        left out, and the report says which call makes it.

        Parameters
        ----------
        run : str, optional
            Evaluate this run only, and judge labels by it; by default all, and the first one.
        title : str, optional
            Its heading; the project's name by default.

        Returns
        -------
        Report
            The last line of a cell shows it; `.to_html(path)` writes one file. `.summary` is the list of sentences
            at its top, `.frames` has its tables, `.charts` its charts.

        Raises
        ------
        UnknownNameError
            There is no such run.

        Examples
        --------
        >>> p.filter(ea.tagged("night")).report(run="yolo").to_html("night.html")  # doctest: +SKIP
        """
        return self._view._project._report(self._view, run, title)
