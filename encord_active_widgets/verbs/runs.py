"""The verbs of models: predictions added under a name, evaluated, compared, and what they say against the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..content.state import Run, Snapshot
from ..errors import InputError, known_name

if TYPE_CHECKING:
    from ..curation.acquiring import Excluded
    from ..models.comparing import Comparison
    from ..models.evaluated import Evaluation
    from ..models.object_mistakes import LabelErrors
    from ..models.runs import AddedRun, Runs
    from ..project import Project
    from ..view import View


class RunVerbs:
    """Predictions of a project; `Project` brings the state they work on."""

    def _snapshot(self) -> Snapshot:
        raise AssertionError("Project has it")

    def _run_named(self, name: str) -> Run:
        """Return what is known of a run.

        Raises
        ------
        UnknownNameError
            There is no such run; the nearest names are offered.
        """
        runs = self._snapshot().runs
        if not runs:
            raise InputError("The project has no predictions yet.", f'Call p.add_predictions("{name}", source).')
        return runs[known_name("run", name, runs)]

    @property
    def predictions(self) -> Runs:
        """The runs by name: `p.predictions["yolo"]` is a view, `p.predictions.df` lists them."""
        from ..models.runs import Runs

        return Runs(cast("Project", self))

    def add_predictions(
        self,
        run: str,
        source: Any,
        classes: Sequence[str] | Mapping[int, str] | None = None,
        *,
        format: str | None = None,  # noqa: A002 - as everywhere in these calls
        box_format: str = "xywh",
        replace: bool = False,
        strict: bool = False,
    ) -> AddedRun:
        """Add a model's predictions under a name. All of them land in one change, or none.

        Parameters
        ----------
        run : str
            The name; runs live side by side.
        source : path, frame, array or list
            - COCO results (`.json`, or the list itself: bbox, segmentation or keypoints, with `score`)
            - a folder of YOLO (`class x y w h confidence`) or KITTI (`format="kitti"`) text files, or
              of PNG masks (`format="masks"`)
            - a data frame, `.csv` or `.parquet`: `path` (or `item_id`), `class_name`, `confidence` and a
              shape as in `Project.from_frame`; without a shape it is a classification
            - a list of `ea.Prediction`, or a `.pkl` of one, read by an unpickler that allows nothing else
            - probabilities (n, k) of a classifier, aligned with `p.items`; an array or `.npy`
            - `{image: supervision.Detections}`, or Ultralytics results
        classes : sequence or mapping of str, optional
            Names by the model's class numbers. By default numbers are those of the YOLO data that the
            project was made of; `category_id` in COCO results is the id of the project's COCO category.
        format : {"coco", "yolo", "yolo-segment", "kitti", "masks", "pickle", "frame", "probabilities"}, optional
            What `source` is, where its ending does not say so.
        box_format : {"xywh", "xyxy", "cxcywh", "xywhn", "xyxyn", "cxcywhn"}
            What the numbers of boxes mean; with "n" they are shares of the image.
        replace : bool
            Take the place of a run of this name. Its tags go with it.
        strict : bool
            Raise where something cannot be used, instead of listing it in `p.problems`.

        Returns
        -------
        AddedRun
            With `.predictions` and `.items`, the numbers of both, and `.skipped`, of what could not be used.

        Raises
        ------
        InputError
            The name is taken, nothing fits the project, the source is none of the above or plainly means
            something else than it is read as.

        Examples
        --------
        >>> p.add_predictions("yolo", "results.json")  # doctest: +SKIP
        """
        from ..models.adding import add_run

        return add_run(
            cast("Project", self), run, source, classes,
            strict=strict, replaced=replace, format=format, box_format=box_format,
        )  # fmt: skip

    def remove_predictions(self, run: str) -> None:
        """Take a run out of the project, and its problems. Its rows stay in the table's history.

        Parameters
        ----------
        run : str
            Name of the run.
        """
        from ..models.adding import remove_run

        remove_run(cast("Project", self), run)

    def evaluate(
        self,
        run: str,
        iou: float | Sequence[float] | None = None,
        view: View | None = None,
        *,
        shape: str | None = None,
        class_aware: bool = True,
        confidence: float = 0.0,
        max_detections: int | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> Evaluation:
        """Compare a run's predictions with the labels.

        Labels that were skipped when they were added (`p.problems` lists them) are not missed here;
        COCO's tools count them.

        Parameters
        ----------
        run : str
            The name of the run.
        iou : float or sequence of float, optional
            IoU thresholds; by default 0.5, 0.55, … 0.95, as COCO has them. Matches and curves are those
            of the first.
        view : View, optional
            Only these items: a tag's own mAP.
        shape : {"box", "mask", "keypoints"}, optional
            What is laid over each other. By default keypoints (by OKS) where all predictions have them
            and labels do too, masks (and polygons) where all predictions have them, else boxes; turned
            boxes are compared as they lie.
        class_aware : bool
            A prediction is right only with the label's class. False asks for the place alone.
        confidence : float
            Predictions below count for nothing in matches, precision, recall and confusion. AP and AR
            use all of them, as COCO does.
        max_detections : int, optional
            How many predictions of a class on an image count, the surest first; by default 100, of
            keypoints 20, as COCO has it.
        sigmas : sequence of float, optional
            How far each keypoint may be off, as a share of its object's size; by default COCO's for 17
            keypoints, else 0.05 each.

        Returns
        -------
        Evaluation
            Its repr is a small table; `.summary`, `.per_class`, `.curves`, `.confusion()`, `.matches`,
            `.calibration` are frames, `.false_positives` … are views.

        Raises
        ------
        InputError
            There are no labels to compare with.
        UnknownNameError
            There is no such run.

        Examples
        --------
        >>> ev = p.evaluate("yolo")  # doctest: +SKIP
        >>> ev.summary, ev.false_positives.df  # doctest: +SKIP
        """
        from ..models.evaluating import evaluate

        return evaluate(
            cast("Project", self),
            self._run_named(run),
            iou=iou,
            view=view,
            shape=shape,
            class_aware=class_aware,
            confidence=confidence,
            max_detections=max_detections,
            sigmas=sigmas,
        )

    def acquire(
        self,
        strategy: str | Mapping[str, float] = "entropy",
        n: int = 100,
        *,
        run: str | None = None,
        embedding: str | None = None,
        view: View | None = None,
        exclude: Excluded | Sequence[Excluded] | None = None,
        aggregate: str = "mean",
        balance: str | None = None,
        diverse: bool = False,
        empty: float = 0.0,
        seed: int = 0,
    ) -> View:
        """Choose the items to label next, those of most need first.

        Parameters
        ----------
        strategy : str or mapping of str to float
            By a run's predictions, from its probabilities p (of a detection that has only a confidence, from
            p and 1 - p):

            - `"entropy"`: -Σ p ln p, in nats, 0 to ln k
            - `"least_confidence"`: 1 - max p
            - `"margin"`: 1 - (the largest p - the second)
            - `"variance"`: 1 - the variance of p over the largest it can be
            - `"object_confidence"`: 1 - confidence

            By an embedding, without any model; what `exclude` leaves out counts as covered already:

            - `"facility_location"`, or `"coverage"`: every image gets a similar one among the chosen
            - `"k_center"`: each is the farthest from all chosen before; takes outliers first
            - `"typicality"`: the most typical image of each cluster (TypiClust); for the very first labels
            - `"cluster_balance"`: clusters in turns

            Or `"random"`. A mapping mixes several by weight, `{"entropy": 0.5, "coverage": 0.5}`: what an image is
            by itself enters by its rank, what it adds to those chosen before by its share of the largest gain at
            the start, and the greatest weighted sum is taken each time; see `learning.mixing`.
        n : int
            How many; more than are left gives all of them, and a warning.
        run : str, optional
            Whose predictions; may be left out where there is one run.
        embedding : str, optional
            Which embedding; the first of `p.embeddings` by default.
        view : View, optional
            Choose among these items only, and let only those of them that are excluded count as covered.
        exclude : expression, view, or a list of them, optional
            Items not to choose: `ea.labelled()`, `ea.tagged("done")`. They count as covered; to leave out a test
            split that stands for nothing, pass the others as `view`.
        aggregate : {"mean", "max", "sum"}
            How the scores of an item's predictions are brought together. The sum favours crowded images, the
            maximum one doubtful object among many sure ones.
        balance : str, optional
            Spread the choice over the values of a column such as `"class_name"`, or over the classes the run
            predicts (`"predicted"`; of several objects the class that fewest images have): each time one of the
            class taken least. Items without a value come last.
        diverse : bool
            Give coverage as much weight as the strategy: `{strategy: 0.5, "coverage": 0.5}`. A batch of the
            least sure images alone is often one image many times.
        empty : float
            Score of items that nothing was predicted on. By default 0, the lowest: nothing there is unsure. With
            `"object_confidence"` pass 1 to see what a detector found nothing on first.
        seed : int
            Decides between items of equal need, and draws clusters and the random order. The same seed on the
            same data chooses the same items.

        Returns
        -------
        View
            Fixed, of items in the order to label them. Its `df` has the columns `score` (Float64, never rising:
            the strategy's own measure; the weighted sum of a mixture; the place in the order, from 1 down to 0,
            where items are taken in turns or at random) and `reason`, a sentence with the numbers. Items without
            an embedding where one is needed come last, without a score.

        Raises
        ------
        InputError
            There are no predictions, several runs to choose from, no embeddings, nothing to balance by, weights
            that cannot be used.
        UnknownNameError
            There is no such strategy, run, embedding or column.

        References
        ----------
        Settles, "Active Learning Literature Survey", 2009; Sener & Savarese 2018 (k-center); Wei, Iyer & Bilmes 2015
        (facility location); Hacohen, Dekel & Weinshall 2022 (typicality).

        Examples
        --------
        >>> p.acquire("entropy", n=200, run="resnet", exclude=ea.labelled(), diverse=True).df  # doctest: +SKIP
        """
        from ..curation.acquiring import acquire

        return acquire(
            cast("Project", self),
            strategy,
            n,
            run=run,
            embedding=embedding,
            view=view,
            exclude=exclude,
            aggregate=aggregate,
            balance=balance,
            diverse=diverse,
            empty=empty,
            seed=seed,
        )

    def label_errors(
        self, run: str | None = None, *, method: str | None = None, view: View | None = None
    ) -> View | LabelErrors:
        """Rank labels by how likely they are wrong, worst first.

        Three cases:

        - *A run of a classifier*: a view of items, one row a labelled and predicted image. All are ranked.
        - *A run of a detector*: `LabelErrors`, one row an error: "missed", "spurious", "location", "class",
          "duplicate"; see `learning.detection_quality` for what each score is.
        - *No run*: neighbours in the default embedding tell. The classes of images are looked at where images
          have any, else those of objects; `view=p.objects` asks for objects.

        Columns of the result: `kind`, `given` and `suggested` classes (null where they do not apply: `suggested` is
        null where nothing is better, or where there should be no label), `score` in [0, 1], high where the label is
        more likely wrong, `likely`, which says what the method calls an error, and `reason`. What a review has
        answered is ranked too, but not called likely: the column `reviewed` says what the answer was.

        Parameters
        ----------
        run : str, optional
            The name of a run. Its predictions must be of a model that did not learn from these labels, else it
            repeats their errors.
        method : str, optional
            For classes: "combined" (default with a run), "self_confidence", "normalized_margin",
            "confidence_weighted_entropy", "confident_learning", or "neighbours" (default without a run); see
            `learning.label_quality`. With "combined" the score is the probability that the label is wrong, and the
            neighbours of an image count as a second opinion where there are embeddings.
        view : View, optional
            Rank only what is on these items, or these objects. What labels are like is learnt from all.

        Returns
        -------
        View or LabelErrors
            Fixed: it says what was found when it was called. Labels that are left out, because the model cannot judge
            them, are listed in `p.problems`; items without a label or a prediction are not ranked.

        Raises
        ------
        InputError
            There are no labels, no predictions and no embeddings, or nothing to tell apart.
        UnknownNameError
            There is no such run or method.

        Examples
        --------
        >>> errors = p.label_errors("resnet")                         # doctest: +SKIP
        >>> errors.filter("likely").head(20).review()                 # doctest: +SKIP
        >>> p.label_errors("yolo").filter(pl.col("kind") == "missed") # doctest: +SKIP
        """
        from ..models.mistakes import label_errors

        return label_errors(cast("Project", self), run, method=method, view=view)

    def compare(self, a: str, b: str, view: View | None = None, **options: Any) -> Comparison:
        """Compare two runs on the same labels: differences by class, and what each finds that the other misses.

        Parameters
        ----------
        a, b : str
            Names of runs.
        view : View, optional
            Only these items.
        **options
            As for `evaluate`.

        Returns
        -------
        Comparison
            With `.summary`, `.per_class`, `.only_a`, `.only_b`, `.both`, `.neither`.
        """
        from ..models.comparing import Comparison

        return Comparison(self.evaluate(a, view=view, **options), self.evaluate(b, view=view, **options))
