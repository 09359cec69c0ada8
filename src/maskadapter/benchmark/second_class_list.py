"""Time a second class list on an image that is already encoded, against the first list on the image itself."""

import numpy as np

from maskadapter.benchmark.clock import Clock
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter


def time_second_class_list(
    segmenter: OpenVocabularySegmenter, image: np.ndarray, first: EncodedVocabulary, second: EncodedVocabulary
) -> dict[str, float]:
    """Measure what an ``EncodedImage`` saves.

    image: (H, W, 3) uint8. first, second: class lists with their text embeddings: the text encoder's time is not part
    of either number. Returns the seconds of ``segment(image, first)``, of ``encode_image(image)`` and of
    ``segment(encoded, second)``, and the last as a share of the first. Background classes are left out, so that both
    calls compare with their list alone.
    """
    clock = Clock(segmenter.clip.logit_scale.device)
    with clock.part("first list, from the image"):
        segmenter.segment(image, first, background=None)
    with clock.part("encoding the image"):
        encoded = segmenter.encode_image(image)
    segmenter.segment(encoded, first, background=None)  # what runs first in a process is slower
    with clock.part("second list, from the encoded image"):
        segmenter.segment(encoded, second, background=None)
    seconds = clock.seconds
    share = seconds["second list, from the encoded image"] / seconds["first list, from the image"]
    return {**seconds, "second list over first": share}
