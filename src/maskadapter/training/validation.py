"""Evaluation during training: metrics on seen and unseen classes after every so many steps. Source: paper, figure 7."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from maskadapter.data import Dataset, require_masks
from maskadapter.evaluation import Partition, evaluate
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.training.logged_metrics import LOGGED_METRICS


class Validation:
    """Evaluates a model between two steps. Reports lie in ``<output>/evaluation/step-<n>/<data set>``.

    run: fingerprint of the recipe, so that records of another run are not reused. images: at most so many of each data
    set; 0 takes all. A model without mask generator is evaluated by the classes of ground-truth masks.
    """

    def __init__(self, datasets: Sequence[Dataset], output: Path, run: str, images: int = 0) -> None:
        for dataset in datasets:  # not after hours of training
            require_masks(dataset, images or None)
        self._datasets, self._output, self._run, self._images = datasets, output, run, images

    def __call__(self, segmenter: OpenVocabularySegmenter, step: int) -> Mapping[str, float]:
        """Numbers in percent by data set and metric: those of ``LOGGED_METRICS`` that the report has."""
        numbers: dict[str, float] = {}
        generates = segmenter.generator is not None
        training = {module: module.training for module in segmenter.modules()}
        segmenter.eval()  # stochastic depth may be on
        for dataset in self._datasets:
            encoded = segmenter.encode_text(dataset.vocabulary)
            segment = partial(segmenter.segment, classes=encoded, background=None)
            report = evaluate(
                segment if generates else partial(segmenter.classify, classes=encoded),
                dataset,
                self._output / "evaluation" / f"step-{step:08d}" / dataset.name,
                metrics=None if generates else ("masks",),
                limit=self._images or None,
                partition=Partition.of("synonyms", dataset.vocabulary, segmenter.inference.seen_in),
                settings={"run": self._run, "step": step},
            )
            found = report.numbers
            numbers |= {f"{dataset.name}/{name}": found[name] for name in LOGGED_METRICS if name in found}
        for module, was in training.items():
            module.training = was
        return numbers
