"""What is added to a project later: images, labels, and where its images lie now."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import schema
from ..content.state import Snapshot, StateReader
from ..errors import EmptyFolderError
from ..formats.coco import read_coco
from ..formats.folder import read_folder
from ..formats.frame import read_frame
from ..formats.source import Source
from ..schema import ITEM
from ..store.folder import ProjectFolder

if TYPE_CHECKING:
    from ..importing.ingest import Ingested
    from ..project import Project

PathLike = str | os.PathLike[str]


class Adding:
    """What adds to a project that is there; `Project` brings the tables."""

    _card: dict[str, Any]
    _folder: ProjectFolder
    _lock: threading.RLock
    _reader: StateReader

    def _snapshot(self) -> Snapshot:
        raise AssertionError("Project has it")

    @property
    def _bases(self) -> list[Path]:
        raise AssertionError("Project has it")

    def add_images(self, images: Any, *, recursive: bool = True, classes: bool | None = None) -> Ingested:
        """Add images, from whatever `from_folder` or `from_frame` takes.

        Known files are skipped; a renamed file keeps its id and values.

        Parameters
        ----------
        images : path, pattern, list of paths, or frame
            What to add.
        recursive : bool
            Look into sub-folders.
        classes : bool, optional
            Whether sub-folders are classes; found out by default.

        Returns
        -------
        Ingested
            How many are new, known, and what was skipped.
        """
        if isinstance(images, (str, os.PathLike, list, tuple)):
            return self._ingest(
                read_folder(images, recursive=recursive, classes=classes), whole=False, code="p.add_images(…)"
            )
        return self._ingest(read_frame(images), whole=False, code="p.add_images(frame)")

    def add_labels(
        self,
        labels: Any,
        *,
        images: PathLike | None = None,
        format: str | None = None,  # noqa: A002 - the word users know
        strict: bool = False,
        delete_gone: bool = False,
    ) -> Ingested:
        """Add labels to images that are in the project; take back what annotators corrected.

        What was handed out with `view.to_label_studio` or `view.to_cvat` is known again: a label that is as it was
        adds nothing, one with another class or shape becomes an edit (all of them one, which `p.undo()` takes
        back and `p.changes()` lists), what was drawn besides is added. What annotators took away stays, and is
        listed in `p.problems`, unless `delete_gone`.

        What was changed here since it was handed out stays so: only what annotators changed is taken over, and what
        both changed in different ways is listed in `p.problems` and stays as it is here.

        Parameters
        ----------
        labels : path, data frame or callable
            A COCO file (`.json`), a folder of VOC files, a YOLO `data.yaml`; an export of Label Studio ("JSON" or
            "JSON-MIN") or of CVAT ("CVAT for images 1.1": the archive or its `annotations.xml`); a frame with
            `path` or `item_id` and the columns of `p.objects.df`; or a function as `from_folder` takes.
        images : path, optional
            The folder that the file's names start from; by default the images are found by name.
        format : {"coco", "voc", "yolo", "label_studio", "cvat"}, optional
            Where the file does not tell.
        strict : bool
            Raise where something would be skipped and listed in `problems`.
        delete_gone : bool
            Delete labels that were handed out to Label Studio and that annotators took away, as an edit; not those
            that were changed here since, or may be among what cannot be read in the file.

        Returns
        -------
        Ingested
            How many were added; of those that came back how many were changed, unchanged or gone. Labels that are
            there already are not added again.

        Raises
        ------
        InputError
            No labels, or none of their images is in the project.
        """
        from ..importing.labelling import add_labels, read_labels

        source = read_labels(cast("Project", self), labels, images=images, kind=format)
        if strict:
            source.strict()
        return add_labels(cast("Project", self), source, code="p.add_labels(…)", delete_gone=delete_gone)

    def refresh(self) -> Ingested:
        """Look at the source again: new, changed and renamed files. Nothing is removed.

        Files that are gone are listed in `problems`; take them out with
        `p.filter(...).remove()`. Only new content is computed by the next `compute`.

        Returns
        -------
        Ingested
            How many are new, changed and renamed.

        Raises
        ------
        EmptyFolderError
            The source is not there any more; `relocate` says where it is now.
        """
        try:
            source = self._reread(self._card.get("source", {}))
        except EmptyFolderError as error:
            remedy = f"{error.remedy} If the images lie elsewhere now: p.relocate(FOLDER)."
            raise EmptyFolderError(error.message, remedy.strip()) from error
        return self._ingest(source, code="p.refresh()")

    def relocate(self, images: PathLike, *, was: PathLike | None = None) -> Ingested:
        """Say where the images lie now: a drive mounted elsewhere, a folder renamed, another machine.

        Only addresses change: ids, tags, labels, metrics, embeddings and history stay, and nothing is computed
        again. No image is read; a file counts as the same where its name below the folder and its size are. What is
        not at the new place keeps its old address, and is listed in `problems` if it is not there either. Called the
        other way round it goes back.

        Parameters
        ----------
        images : path or remote address
            The folder that holds the images now.
        was : path, optional
            The beginning of the old addresses that it replaces; by default the folder that the project was made
            from, or the one that all images lie in.

        Returns
        -------
        Ingested
            How many images have a new address (`renamed`), and how many are listed in `problems` (`faults`).

        Raises
        ------
        InputError
            The folder is not there or holds none of the images, or none lies below `was`; nothing is changed then.

        Examples
        --------
        >>> p.relocate("/content/drive/MyDrive/photos")        # doctest: +SKIP
        >>> p.relocate("gs://bucket/photos", was="/mnt/data")  # doctest: +SKIP
        """
        from ..importing.relocating import relocate

        return relocate(cast("Project", self), images, was)

    def _reread(self, card: dict[str, Any]) -> Source:
        kind = card.get("format")
        if kind == "folder":
            return read_folder(card["images"], recursive=card.get("recursive", True), classes=card.get("classes"))
        if kind == "coco":
            return read_coco(card["annotations"], images=card["images"])
        if kind == "voc":
            from ..formats.voc import read_voc

            return read_voc(card["annotations"], images=card["images"])
        if kind == "yolo":
            from ..formats.yolo import read_yolo

            return read_yolo(card["annotations"], task=card.get("task"))
        if kind == "video":
            from ..formats.video import read_video

            return read_video(
                card["images"], every=card.get("every", 1), start=card.get("start"), stop=card.get("stop")
            )
        return Source(self._snapshot().items.frame.select(schema.URI), str(card.get("name", "")), {})

    def _ingest(
        self, source: Source, *, read: bool = True, whole: bool = True, strict: bool = False, code: str = ""
    ) -> Ingested:
        from ..importing.ingest import ingest
        from ..metrics.registry import registered

        taken = {m.name for m in registered(ITEM) if not m.custom}
        # Rows that bring their own values instead of files keep their names, and win over ours.
        clashing = [c for c in source.items.columns if read and c in taken]
        source.items = source.items.rename({c: f"{c}_source" for c in clashing})
        with self._lock, self._folder.lock():
            self._snapshot()
            n_labels = self._folder.labels.read().height
            known = self._reader.raw_items
            return ingest(
                self._folder,
                source,
                self._bases,
                known=known,
                n_labels=n_labels,
                read=read,
                whole=whole,
                strict=strict,
                code=code,
            )
