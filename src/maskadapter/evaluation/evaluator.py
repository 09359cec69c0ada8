"""Evaluate any predictor on any data set: each image once, by one process or many, and the metrics at the end."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import starmap
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from maskadapter.data import Dataset, Sample, require_masks
from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.evaluation.metrics.instance import TOP, ground_truth_instances, predicted_instances
from maskadapter.evaluation.metrics.mask_accuracy import Classify, classify_masks
from maskadapter.evaluation.metrics.panoptic import match_segments
from maskadapter.evaluation.metrics.semantic import Convention, confusion
from maskadapter.evaluation.partition import Partition
from maskadapter.evaluation.predictions import Predictions
from maskadapter.evaluation.records import Records
from maskadapter.evaluation.report import Report
from maskadapter.evaluation.scores import scores_of
from maskadapter.results import Instances, PanopticMap
from maskadapter.system.paths import user_path
from maskadapter.system.processes import rank_and_world_size
from maskadapter.system.progress import bar, busy
from maskadapter.system.read_ahead import read_ahead
from maskadapter.system.renamed import refuse_old_keywords

Metric = Literal["semantic", "panoptic", "instance", "masks"]
"""A group of numbers: mIoU and its kin, PQ, AP, or the accuracy of classifying the ground-truth masks."""

BY_TASK: Mapping[str, tuple[Metric, ...]] = {
    "semantic": ("semantic",),
    "panoptic": ("semantic", "panoptic", "instance"),
    "instance": ("instance",),
}
"""The metrics that the labels of a data set allow, by its task."""


class Result(Protocol):
    """The prediction for an image; a ``Segmentation`` is one. Only the methods that the metrics need are called."""

    def semantic(self) -> np.ndarray: ...  # (H, W) integers, class or -1
    def panoptic(self) -> PanopticMap: ...
    def instances(self, top: int) -> Instances: ...


Predict = Callable[[np.ndarray], Result]
"""Image (H, W, 3) uint8 -> result, at the image's size."""


@refuse_old_keywords
def evaluate(
    predict: Predict | Classify | Predictions,
    dataset: Dataset,
    output: str | Path,
    *,
    metrics: Sequence[Metric] | None = None,
    limit: int | None = None,
    convention: Convention = "detectron2-main",
    partition: Partition | None = None,
    settings: Mapping[str, Any] | None = None,
    reference: Mapping[str, float] | None = None,
    share: tuple[int, int] | None = None,
    patience: float = 1800.0,
) -> Report:
    """Evaluate ``predict`` on a data set and write ``report.json`` and ``report.md`` into the folder ``output``.

    predict: a function of an image that returns a result; for the metric ``masks`` a function of an image and masks
        that returns their classes; or predictions in files. Its classes have to be the data set's, in their order.
    metrics: None for everything that the data set's labels (``BY_TASK``) and the predictions allow. limit: only the
        first so many images. convention: see ``semantic.Convention``. partition: classes with means of their own.
    settings: what the predictions depend on, ready for JSON (model, weights' sha256, alpha ...), for the report. A run
        in the same folder is continued where it had the same; without them a folder that holds a run is refused.
    reference: figures to compare with, in percent, by the names of the report's numbers; left out of a part's report.
    share: (rank, number of processes); None takes what the launcher says, see ``system.processes``. Each process
        evaluates its share, waits for the others, which have to write into the same folder, and returns the same
        report; the first writes it. (0, 1) is for one process of many that evaluates alone. patience: seconds to wait
        without a new record of any process.

    While an image is evaluated, a thread reads the next. Each leaves a line in ``records-<rank>.jsonl``; images that
    have a line are not evaluated again, and the metrics are computed from the lines alone, whoever wrote them. Raises
    MaskAdapterError, one line: no ground truth in any image, an image or label that cannot be read, predictions that do
    not fit, a folder made with other settings or that cannot be written, a process that has ended. KeyboardInterrupt
    says how many images are done.
    """
    rank, world_size = rank_and_world_size() if share is None else share
    count = len(dataset) if limit is None else min(limit, len(dataset))
    if count < 1:
        raise MaskAdapterError(f"{dataset.name} has no images to evaluate: limit is {limit}, it has {len(dataset)}")
    chosen = _chosen(predict, dataset, metrics)
    require_masks(dataset, count)
    output = user_path(output, MaskAdapterError)
    records = Records(output)
    if not settings and rank < count:  # a process without a share may come when the others are done
        records.refuse_earlier(rank, world_size)
    records.match_settings({**_fixed(dataset, chosen), **(settings or {})})
    records.refresh()
    evaluator = _Evaluator(predict, dataset, chosen)
    todo = [index for index in records.missing(count) if index % world_size == rank]
    mine = len(range(rank, count, world_size))
    try:
        silent: AbstractContextManager[Callable[..., None]] = nullcontext(lambda steps: None)
        with bar("images", mine, done=mine - len(todo)) if rank == 0 else silent as advance:
            samples = ((index, read.result()) for index, read in read_ahead(dataset.__getitem__, todo))
            for _ in records.write(rank, starmap(evaluator, samples)):
                advance(1)
        records.refresh()
        with busy("waiting for the other processes"):
            _wait(records, count, patience)
    except KeyboardInterrupt:
        records.refresh()
        done = f"stopped: {count - len(records.missing(count)):,} of {count:,} images are done"
        raise KeyboardInterrupt(f"{done}, the same command goes on from there" if settings else done) from None
    images = [(record["name"], tuple(record["size"])) for record in records.read(count)]
    if isinstance(predict, Predictions):
        predict.check([name for name, _ in images], whole=count == len(dataset))
    with busy("computing the metrics"):
        scores = scores_of(lambda: records.read(count), chosen, dataset.vocabulary, convention, partition)
    if all(math.isnan(value) for value in scores.numbers.values()):
        reason = "AP is of things, and its ground truth has none" if chosen == ("instance",) else "no label counts"
        raise MaskAdapterError(f"{dataset.name} has nothing to score: {reason}")
    report = Report.of(scores, dataset, [size for _, size in images], settings or {}, reference or {})
    if rank == 0:
        report.save(output)
    return report


@dataclass(frozen=True)
class _Evaluator:
    """Makes the record of an image."""

    predict: Any
    dataset: Dataset
    metrics: tuple[Metric, ...]

    def __call__(self, index: int, sample: Sample) -> dict[str, Any]:
        facts = {"index": index, "name": sample.name, "size": list(sample.target.size)}
        try:
            self._check_labels(sample.target.classes, "the ground truth")
            return facts | self._parts(sample)
        except MaskError as error:
            raise MaskError(f"{sample.name}: {error}") from None

    def _parts(self, sample: Sample) -> dict[str, Any]:
        target, vocabulary = sample.target, self.dataset.vocabulary
        if "masks" in self.metrics:
            return {"masks": classify_masks(lambda *given: self._checked(self.predict(*given)), sample.image, target)}
        in_files = isinstance(self.predict, Predictions)
        result: Result = self._checked(self.predict.of(sample) if in_files else self.predict(sample.image))
        parts: dict[str, Any] = {}
        if "semantic" in self.metrics:
            labels = result.semantic()
            self._check_labels(labels)
            parts["semantic"] = confusion(labels, target.labels(), len(vocabulary)).tolist()
        if "panoptic" in self.metrics:
            panoptic = result.panoptic()
            self._check_labels([segment.label for segment in panoptic.segments])
            parts["panoptic"] = match_segments(panoptic, target)
        if "instance" in self.metrics:
            instances = result.instances(TOP)
            self._check_labels(instances.labels)
            if len(instances.masks) and instances.masks.shape[1:] != target.size:
                raise MaskError(f"the predicted masks have {instances.masks.shape[1:]} pixels, not {target.size}")
            ground_truth = ground_truth_instances(target, vocabulary.is_thing)
            parts["instance"] = {"ground_truth": ground_truth, "predicted": predicted_instances(instances)}
        return parts

    def _check_labels(self, labels: Any, whose: str = "the prediction") -> None:
        highest, count = np.max(labels, initial=-1), len(self.dataset.vocabulary)
        if highest >= count:
            raise MaskError(f"{whose} has class {highest}; {self.dataset.name} has {count} classes")

    def _checked(self, result: Any) -> Any:
        """The result, if its classes are the data set's."""
        expected = self.dataset.vocabulary.names
        names = getattr(result, "class_names", expected)
        if tuple(names) != expected:
            given = f"the predictions are of {len(names)} classes ({names[0]}, ...), which are not those of"
            raise MaskError(f"{given} {self.dataset.name} ({expected[0]}, ...): use dataset.vocabulary")
        return result


def _chosen(predict: object, dataset: Dataset, metrics: Sequence[Metric] | None) -> tuple[Metric, ...]:
    given = predict.metrics if isinstance(predict, Predictions) else BY_TASK["panoptic"]
    possible = tuple(metric for metric in BY_TASK[dataset.task] if metric in given)
    if metrics is None and not possible:
        task = f"{dataset.name} is labeled for the task '{dataset.task}'"
        raise MaskAdapterError(f"{task}, and the predictions are of {', '.join(given)}")
    if metrics is None or tuple(metrics) == ("masks",):
        return tuple(metrics or possible)
    if wrong := [metric for metric in metrics if metric not in possible]:
        choice = f"choose from {', '.join(possible)}, or 'masks' alone"
        raise MaskAdapterError(f"metric '{wrong[0]}' is not possible for {dataset.name} here: {choice}")
    return tuple(metric for metric in possible if metric in metrics)


def _fixed(dataset: Dataset, metrics: tuple[Metric, ...]) -> dict[str, Any]:
    """What the records depend on, whatever the predictor."""
    classes = repr((dataset.vocabulary.classes, dataset.vocabulary.is_thing)).encode()
    fixed: dict[str, Any] = {"maskadapter": version("maskadapter"), "data set": dataset.name, "task": dataset.task}
    fixed |= {"images": len(dataset), "classes": sha256(classes).hexdigest()[:16], "metrics": list(metrics)}
    labels = getattr(dataset, "fingerprint", None)  # not every data set has one
    return fixed | ({"labels": labels} if labels else {})


def _wait(records: Records, count: int, patience: float) -> None:
    """Wait until every image has its record; MaskAdapterError where none is added for ``patience`` seconds."""
    missing, since = records.missing(count), time.monotonic()
    while missing:
        if time.monotonic() - since > patience:
            todo = f"for {patience / 60:g} minutes: look why it ended, stop the others, and start all again"
            state = f"{len(missing):,} of {count:,} images are missing in {records.folder}"
            raise MaskAdapterError(f"{state}, and no other process has done one {todo}")
        time.sleep(min(0.2, patience))
        records.refresh()
        if len(left := records.missing(count)) < len(missing):
            missing, since = left, time.monotonic()
