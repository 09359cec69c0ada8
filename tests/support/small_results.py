"""Results without a model."""

import numpy as np

from maskadapter.results.classification import Classification
from maskadapter.results.result_segment import classified
from maskadapter.types.compact_mask import CompactMask
from maskadapter.vocabulary.vocabulary import Vocabulary


def classification(classes, probs, masks=None) -> Classification:
    """Of probs (N, K), in which the row of an empty mask is NaN. masks: (N, H, W) bool; by default small and whole."""
    vocabulary, probs = Vocabulary.of(classes), np.asarray(probs, np.float32)
    masks = np.repeat(~np.isnan(probs).any(axis=1), 20).reshape(-1, 4, 5) if masks is None else masks
    found = classified([CompactMask.of(mask) for mask in masks], probs, vocabulary)
    return Classification(np.full((*masks.shape[1:], 3), 120, np.uint8), vocabulary, found)
