"""How good the model is while it is trained: the curve of seen and unseen classes. Source: paper, figure 7."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from maskadapter.data.dataset import Dataset
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.evaluation.partition import Split
from maskadapter.models.segmenter import OpenVocabularySegmenter

WATCHED = tuple(f"{m}{s}" for m in ("mIoU", "accuracy of segments", "PQ", "AP") for s in ("", " seen", " unseen"))


class Watch:
    """Evaluates a model between two steps. Reports lie in ``<output>/evaluation/step-<n>/<data set>``.

    datasets: what on. run: what the weights depend on, so that records of another run are not taken for this one's.
    images: of each at most so many; 0 takes all. Of a model with a mask generator the segmentation is judged, of one
    without (a warm-up from a CLIP encoder) the names of ground-truth masks.
    """

    def __init__(self, datasets: Sequence[Dataset], output: Path, run: str, images: int = 0) -> None:
        self._datasets, self._output, self._run, self._images = datasets, output, run, images

    def __call__(self, segmenter: OpenVocabularySegmenter, step: int) -> Mapping[str, float]:
        """Numbers in percent by data set and measure, those of ``WATCHED`` that there are."""
        numbers: dict[str, float] = {}
        training = {module: module.training for module in segmenter.modules()}
        segmenter.eval()  # stochastic depth may be on
        for dataset in self._datasets:
            encoded = segmenter.encode_text(dataset.vocabulary)
            predict = partial(segmenter.segment, classes=encoded, background=None)
            report = evaluate(
                predict if segmenter.generator is not None else partial(segmenter.classify, classes=encoded),
                dataset,
                self._output / "evaluation" / f"step-{step:08d}" / dataset.name,
                metrics=None if segmenter.generator is not None else ("masks",),
                limit=self._images or None,
                split=Split.of("synonyms", dataset.vocabulary, segmenter.inference.seen_in),
                settings={"run": self._run, "step": step},
            )
            numbers |= {f"{dataset.name}/{name}": report.numbers[name] for name in WATCHED if name in report.numbers}
        for module, was in training.items():
            module.training = was
        return numbers
