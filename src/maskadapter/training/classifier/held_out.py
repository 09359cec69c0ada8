"""Some of a data set's images, left out of training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskadapter.data import Dataset, Sample
from maskadapter.errors import RecipeError


class Part:
    """Some images of a data set, by their numbers in it. What is not said here is the data set's own."""

    def __init__(self, dataset: Dataset, numbers: Sequence[int]) -> None:
        self.name, self.vocabulary, self.task = dataset.name, dataset.vocabulary, dataset.task
        self.dataset, self.numbers = dataset, list(numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.numbers[index]]

    @property
    def fingerprint(self) -> list[Any]:
        """The data set's, if it has one, and the numbers."""
        return [getattr(self.dataset, "fingerprint", None), self.numbers]


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Part, Part]:
    """Split a data set at random: to train on, and the ``share`` (0 to 1, at least one image) that is held out."""
    if len(dataset) < 2:
        raise RecipeError(f"{dataset.name} has one image: one to train on and one to evaluate on are needed")
    count = min(max(1, round(share * len(dataset))), len(dataset) - 1)
    order = np.random.default_rng(seed).permutation(len(dataset)).tolist()
    return Part(dataset, sorted(order[count:])), Part(dataset, sorted(order[:count]))
