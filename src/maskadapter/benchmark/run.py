"""Run the benchmark: the reference, the exact and the pruned computation side by side on the same images."""

import logging
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.comparison import Comparison
from maskadapter.benchmark.machine import machine_facts
from maskadapter.benchmark.models import LAYER_SCALE, benchmark_models, encode_classes
from maskadapter.benchmark.request import check_request, photo_readers
from maskadapter.hub import check_device
from maskadapter.models import MODELS, EncodedVocabulary, InputSize, OpenVocabularySegmenter, PrecisionName

logger = logging.getLogger(__name__)

TIMED = 5
"""Images that are timed; on further ones only the results are compared."""
TURNS = 5
"""How often the second class list is timed: it takes so little that one measurement says nothing."""


def benchmark(
    model: str = "fcclip-large",
    *,
    size: int = 896,
    images: str | Path | None = None,
    segments: str | Path | None = None,
    classes: Any = "ade20k-150",
    second_classes: Any = None,
    proposals: int = 250,
    device: str = "cpu",
    precision: PrecisionName = "fp32",
) -> dict[str, Any]:
    """Time the stages of a model on photos, and compare the pruned and the exact computation with the reference.

    model: a name, for random weights of its shapes, or a file of weights. With random weights, proposals, the choice
        of those that are not estimated, and agreement are those of the embedded model with its small adapter.
    size: pixels of the input's longer side, a multiple of 32 from 64. images: a folder, of which ``TIMED`` images are
        timed; None for five photos that come with scikit-image. segments: a folder of COCO panoptic; the adapter is
        timed on as many segments of it too.
    classes: whatever ``Vocabulary.of`` takes. second_classes: a second list, timed on the encoded first image.
    proposals: how many masks an image has at most; a file of weights has its own number.
    device: ``"cpu"``, ``"cuda"`` ... precision: of what is timed, as ``load`` takes it.

    Returns numbers ready for JSON: ``adapter_speedup_exact`` (on the segments where they are given),
    ``adapter_speedup_pruned``, ``segment_speedup_pruned`` (seconds of the reference over those of the other
    computation), ``agreement_pruned`` (share of pixels that get the same class as by the reference),
    ``peak_memory_gb_pruned`` and ``_exact`` (of the first image, beyond the weights), then the details.
    Raises MaskAdapterError for a size, device or model that cannot be measured, ImageError for the images.
    """
    check_request(model, size, images, segments, classes, second_classes)
    check_device(device)
    readers = photo_readers(images)
    timed, compared = benchmark_models(model, proposals, device, precision)
    timed.inference = replace(timed.inference, input_size=InputSize(size, size))
    encoded = encode_classes(timed, classes)
    comparison, second = Comparison(timed, compared, encoded), {}
    for number, (name, read) in enumerate(readers.items()):
        logger.info("image %d of %d: %s", number + 1, len(readers), name)
        image = read()
        if number == 0 and segments is not None:
            comparison.measure_on_segments(image, Path(segments), proposals)
        comparison.measure(name, image, timed=number < TIMED)
        if number == 0 and second_classes is not None:
            second = _time_second_class_list(timed, image, encoded, encode_classes(timed, second_classes))
    return {
        **comparison.report(),
        "second class list": second,
        "precision": timed.precision,
        "model": model if model not in MODELS else f"{model}, random weights, layer scale {LAYER_SCALE}",
        "proposals": f"{proposals}, of the embedded model with its adapter" if model in MODELS else "its own",
        "size": size,
        "classes": len(encoded.vocabulary),
        **machine_facts(device),
    }


def _time_second_class_list(
    segmenter: OpenVocabularySegmenter, image: np.ndarray, first: EncodedVocabulary, second: EncodedVocabulary
) -> dict[str, float]:
    """Measure what an ``EncodedImage`` saves: seconds, without the text encoder's, and the last over the first."""
    clock, *turns = (Clock(segmenter.clip.logit_scale.device) for _ in range(1 + TURNS))
    with clock.part("first list, from the image"):
        segmenter.segment(image, first, background=None)
    with clock.part("encoding the image"):
        encoded = segmenter.encode_image(image)
    for turn in turns:
        with turn.part("second list"):
            segmenter.segment(encoded, second, background=None)
    seconds = median(turn.seconds["second list"] for turn in turns)
    share = seconds / clock.seconds["first list, from the image"]
    return {**clock.seconds, "second list, from the encoded image": seconds, "second list over first": share}
