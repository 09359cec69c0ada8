"""The result of classifying given masks."""

from dataclasses import dataclass, field

import numpy as np

from maskadapter.vocabulary import Vocabulary


@dataclass(frozen=True)
class Classification:
    """Class probabilities of N given masks. probs: (N, K) float32 over ``class_names``, each row sums to 1; the row of
    an empty mask, which has no class, is NaN."""

    vocabulary: Vocabulary = field(repr=False)
    probs: np.ndarray

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K display names."""
        return self.vocabulary.names

    @property
    def labels(self) -> np.ndarray:
        """(N,) int: the best class of every mask; -1 for an empty one."""
        return np.where(np.isnan(self.probs).any(axis=1), -1, self.probs.argmax(axis=1))

    @property
    def scores(self) -> np.ndarray:
        """(N,) float32, 0 to 1: the probability of the best class; NaN for an empty mask."""
        return self.probs.max(axis=1)

    def top(self, count: int = 5) -> list[list[tuple[str, float]]]:
        """The ``count`` most probable classes of each of the N masks with their probabilities, best first; none for an
        empty mask."""
        order, names = (-self.probs).argsort(axis=1, kind="stable")[:, :count], self.class_names
        rows = zip(self.probs, order, self.labels, strict=True)
        return [[(names[i], float(row[i])) for i in best if label >= 0] for row, best, label in rows]
