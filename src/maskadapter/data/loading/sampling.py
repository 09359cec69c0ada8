"""Which samples a training sees, step by step, without end: a pure function of the seed and the step.

Nothing is stored but the number of the step, so a training goes on anywhere, and no process has to be told what the
others draw: the batch of a step is the same however many processes share it.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from maskadapter.data.dataset import Dataset
from maskadapter.errors import DatasetError, RecipeError

# Source: Gupta et al. 2019 (LVIS), appendix B.
REPEAT_THRESHOLD = 0.001

_BLOCK = 4096  # steps whose data sets are drawn at once


@runtime_checkable
class KnowsClasses(Protocol):
    """A data set that says what an image shows without reading the image."""

    def classes_of(self, index: int) -> Collection[int]: ...


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample of a training. number: its place in the whole training, 0 first, which no other draw has."""

    source: int
    index: int
    number: int


class TrainingOrder:
    """The batches of a training on one or several data sets.

    A batch comes from one data set, since the classes of the data set are what its masks are told apart by; which one
    is drawn by ``ratios``. Within a data set every sample comes once before any comes again, in a new order each time;
    with repeat factors, as often as its factor says.

    Args:
        datasets: what is trained on. ratios: how the steps are shared out among them, any positive numbers; None for
            equal shares.
        batch_size: samples in a step, over all processes.
        repeat_thresholds: t of LVIS's repeat-factor sampling for each data set; None samples evenly.

    Raises RecipeError: a data set smaller than a batch, ratios that do not fit. DatasetError: a repeat threshold for a
    data set that cannot say which classes an image shows.
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
            if len(dataset) < batch_size:
                raise RecipeError(
                    f"'{dataset.name}' has {len(dataset)} images, fewer than a batch of {batch_size}; "
                    f"set batch_size to {len(dataset)} or less"
                )
        ratios = [1.0] * len(datasets) if ratios is None else ratios
        if len(ratios) != len(datasets) or not all(0 < ratio < math.inf for ratio in ratios):
            raise RecipeError(f"ratios are {list(ratios)}; {len(datasets)} positive numbers are needed, one a data set")
        self.batch_size = batch_size
        self._seed = seed
        self._shares = np.array(ratios, dtype=float) / sum(ratios)
        thresholds = [None] * len(datasets) if repeat_thresholds is None else repeat_thresholds
        self._epochs = [
            _Epochs(_factors(dataset, threshold), (seed, number))
            for number, (dataset, threshold) in enumerate(zip(datasets, thresholds, strict=True))
        ]

    def batches(self, first: int = 0, process: int = 0, processes: int = 1) -> Iterator[list[Draw]]:
        """This process's part of every batch from step ``first`` on, without end: neighbors in the batch.

        Raises RecipeError where the batch cannot be shared out evenly.
        """
        share, rest = divmod(self.batch_size, processes)
        if rest:
            raise RecipeError(
                f"a batch of {self.batch_size} cannot be shared out among {processes} processes; "
                f"set batch_size to a multiple of {processes}"
            )
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
        """(_BLOCK,) int: which data set each step of a block takes."""
        if len(self._shares) == 1:
            return np.zeros(_BLOCK, dtype=int)
        random = np.random.default_rng((self._seed, len(self._shares), block))  # the epochs' have smaller numbers there
        return random.choice(len(self._shares), size=_BLOCK, p=self._shares)


class _Epochs:
    """The endless list of one data set's samples. Epochs need not be equally long: factors are rounded at random."""

    def __init__(self, factors: np.ndarray, seed: tuple[int, int]) -> None:
        self._factors = factors
        self._seed = seed
        self._starts = [0]  # of the epochs that are known, and of the one after
        self._order = np.zeros(0, dtype=int)
        self._epoch = -1

    def __getitem__(self, position: int) -> int:
        while position >= self._starts[-1]:
            self._starts.append(self._starts[-1] + len(self._indices(len(self._starts) - 1)))
        epoch = int(np.searchsorted(self._starts, position, side="right")) - 1
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._indices(epoch)
        return int(self._order[position - self._starts[epoch]])

    def _indices(self, epoch: int) -> np.ndarray:
        random = np.random.default_rng((*self._seed, epoch))
        # Source: detectron2 RepeatFactorTrainingSampler: a factor of 2.3 is 3 in three epochs of ten.
        whole = np.floor(self._factors)
        repeats = whole + (random.random(len(whole)) < self._factors - whole)
        return random.permutation(np.repeat(np.arange(len(whole)), repeats.astype(int)))


def repeat_factors(classes: Sequence[Collection[int]], threshold: float = REPEAT_THRESHOLD) -> np.ndarray:
    """(n,) float, 1 or more: how often each of n images comes in an epoch, by the rarest class that it shows.

    classes: what each image shows. A class that a share f of the images shows counts max(1, sqrt(threshold / f)); a
    image counts as much as the greatest of its classes, one without classes 1.
    Source: Gupta et al. 2019 (LVIS), appendix B; detectron2 repeat_factors_from_category_frequency.
    """
    shown: dict[int, int] = {}
    for image in classes:
        for number in set(image):
            shown[number] = shown.get(number, 0) + 1
    factor = {number: max(1.0, math.sqrt(threshold * len(classes) / count)) for number, count in shown.items()}
    return np.array([max((factor[number] for number in image), default=1.0) for image in classes])


def _factors(dataset: Dataset, threshold: float | None) -> np.ndarray:
    if threshold is None:
        return np.ones(len(dataset))
    if not isinstance(dataset, KnowsClasses):
        raise DatasetError(
            f"'{dataset.name}' cannot say which classes an image shows without reading it; "
            "leave repeat_threshold out, or train on instances or panoptic segments"
        )
    return repeat_factors([dataset.classes_of(index) for index in range(len(dataset))], threshold)
