"""Time a second class list on an image that is already encoded, against the first list on the image itself."""

from statistics import median

import numpy as np

from maskadapter.benchmark.clock import Clock
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter

TURNS = 5
"""How often the second list is timed: it takes so little that one measurement says nothing."""


def time_second_class_list(
    segmenter: OpenVocabularySegmenter, image: np.ndarray, first: EncodedVocabulary, second: EncodedVocabulary
) -> dict[str, float]:
    """Measure what an ``EncodedImage`` saves.

    image: (H, W, 3) uint8. first, second: class lists with their text embeddings: the text encoder's time is not part
    of either number. Returns the seconds of ``segment(image, first)``, of ``encode_image(image)`` and of
    ``segment(encoded, second)``, the median of ``TURNS``, and the last as a share of the first. There is no background:
    pixels go to the classes of the list alone.
    """
    device = segmenter.clip.logit_scale.device
    clock = Clock(device)
    with clock.part("first list, from the image"):
        segmenter.segment(image, first, background=None)
    with clock.part("encoding the image"):
        encoded = segmenter.encode_image(image)
    turns = []
    for _ in range(TURNS):
        turn = Clock(device)
        with turn.part("second list"):
            segmenter.segment(encoded, second, background=None)
        turns.append(turn.seconds["second list"])
    first_seconds, second_seconds = clock.seconds["first list, from the image"], median(turns)
    return {
        **clock.seconds,
        "second list, from the encoded image": second_seconds,
        "second list over first": second_seconds / first_seconds,
    }
