"""The endless sequence of training batches: which samples each step sees, a pure function of the seed and the step.

The step number is the only state: training can resume at any step, and the batch of a step is the same however many
processes share it, without communication.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from maskadapter.data.dataset import Dataset, KnowsClasses
from maskadapter.errors import DatasetError, RecipeError

_BLOCK = 4096  # steps for which the data sets are drawn at once


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample of a step. source: index of the data set. index: within it. number: position in the training."""

    source: int
    index: int
    number: int


class TrainingOrder:
    """The order of the batches of a training on one or several data sets.

    A batch comes from one data set, because its masks are classified among the classes of that data set; the data set
    is drawn by ``ratios``. Within a data set every sample comes once an epoch, in a new order each time; with repeat
    factors, as often as its factor says.

    batch_size: samples in a step, over all processes. seed: of the order. ratios: relative number of steps of each data
    set, any positive numbers; None for equal shares. repeat_thresholds: t of LVIS's repeat-factor sampling for each
    data set; None samples evenly.
    Raises RecipeError: a data set smaller than a batch, ratios of the wrong number or sign; DatasetError: a repeat
    threshold for a data set that does not know which classes are in an image.
    Source: paper, Table 7; official MULTI_DATASET_GROUPING (batches of one data set), DATASET_RATIO, REPEAT_THRESHOLD.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        batch_size: int,
        seed: int = 0,
        ratios: Sequence[float] | None = None,
        repeat_thresholds: Sequence[float | None] | None = None,
    ) -> None:
        for dataset in datasets:
            if (count := len(dataset)) < batch_size:
                problem = f"'{dataset.name}' has {count} images, fewer than a batch of {batch_size}"
                raise RecipeError(f"{problem}; set batch_size to {count} or less")
        ratios = [1.0] * len(datasets) if ratios is None else ratios
        if len(ratios) != len(datasets) or not all(0 < ratio < math.inf for ratio in ratios):
            raise RecipeError(f"ratios are {list(ratios)}; {len(datasets)} positive numbers are needed, one for each")
        self.batch_size, self._seed = batch_size, seed
        self._shares = np.array(ratios, dtype=float) / sum(ratios)
        thresholds = [None] * len(datasets) if repeat_thresholds is None else repeat_thresholds
        self._epochs = [
            _Epochs(_factors(dataset, threshold), (seed, number))
            for number, (dataset, threshold) in enumerate(zip(datasets, thresholds, strict=True))
        ]

    def batches(self, first: int = 0, process: int = 0, processes: int = 1) -> Iterator[list[Draw]]:
        """Yield this process's share of every batch from step ``first`` on, without end.

        process: rank of this process among ``processes``; its share is a contiguous part of the batch.
        Raises RecipeError where the batch cannot be divided evenly.
        """
        share, rest = divmod(self.batch_size, processes)
        if rest:
            problem = f"a batch of {self.batch_size} cannot be divided among {processes} processes"
            raise RecipeError(f"{problem}; set batch_size to a multiple of {processes}")
        return self._batches(first, slice(process * share, (process + 1) * share))

    def _batches(self, first: int, part: slice) -> Iterator[list[Draw]]:
        begun = np.zeros(len(self._epochs), dtype=int)  # batches of each data set before this block
        for block in range(first // _BLOCK):
            begun += np.bincount(self._sources(block), minlength=len(begun))
        block, within = divmod(first, _BLOCK)
        while True:
            sources = self._sources(block)
            begun += np.bincount(sources[:within], minlength=len(begun))
            for place in range(within, _BLOCK):
                source = int(sources[place])
                samples = range(begun[source] * self.batch_size, (begun[source] + 1) * self.batch_size)[part]
                number = (block * _BLOCK + place) * self.batch_size + part.start
                yield [Draw(source, self._epochs[source][at], number + i) for i, at in enumerate(samples)]
                begun[source] += 1
            block, within = block + 1, 0

    def _sources(self, block: int) -> np.ndarray:
        """Return the data set of each step of a block, (_BLOCK,) int."""
        rng = np.random.default_rng((self._seed, len(self._shares), block))  # no epoch has this seed
        return rng.choice(len(self._shares), size=_BLOCK, p=self._shares)


class _Epochs:
    """The endless sequence of one data set's samples. Epochs differ in length: repeat factors are rounded at random."""

    def __init__(self, factors: np.ndarray, seed: tuple[int, int]) -> None:
        self._factors, self._seed = factors, seed
        self._starts = [0]  # of the epochs computed so far, and of the next one
        self._epoch, self._order = -1, np.zeros(0, dtype=int)

    def __getitem__(self, position: int) -> int:
        while position >= self._starts[-1]:
            self._starts.append(self._starts[-1] + len(self._indices(len(self._starts) - 1)))
        epoch = int(np.searchsorted(self._starts, position, side="right")) - 1
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._indices(epoch)
        return int(self._order[position - self._starts[epoch]])

    def _indices(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((*self._seed, epoch))
        # Source: detectron2 RepeatFactorTrainingSampler: a factor of 2.3 is 3 in three epochs of ten.
        whole = np.floor(self._factors)
        repeats = whole + (rng.random(len(whole)) < self._factors - whole)
        return rng.permutation(np.repeat(np.arange(len(whole)), repeats.astype(int)))


def repeat_factors(classes: Sequence[Collection[int]], threshold: float = 0.001) -> np.ndarray:
    """Compute how often each of n images is repeated in an epoch, (n,) float of at least 1, by its rarest class.

    classes: the classes in each image. A class in a share f of the images has the factor max(1, sqrt(threshold / f));
    an image has the largest factor of its classes, and 1 where it has none.
    Source: Gupta et al. 2019 (LVIS), appendix B; detectron2 repeat_factors_from_category_frequency.
    """
    shown = Counter(number for image in classes for number in set(image))
    factor = {number: max(1.0, math.sqrt(threshold * len(classes) / count)) for number, count in shown.items()}
    return np.array([max((factor[number] for number in image), default=1.0) for image in classes])


def _factors(dataset: Dataset, threshold: float | None) -> np.ndarray:
    if threshold is None:
        return np.ones(len(dataset))
    if not isinstance(dataset, KnowsClasses):
        problem = f"'{dataset.name}' does not know which classes are in an image without reading it"
        raise DatasetError(f"{problem}; leave repeat_threshold out")
    return repeat_factors([dataset.classes_of(index) for index in range(len(dataset))], threshold)
