"""Run the benchmark: the reference, the exact and the pruned computation side by side on the same images."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskadapter.benchmark.comparison import Comparison, Precision
from maskadapter.benchmark.machine import machine_facts
from maskadapter.benchmark.models import LAYER_SCALE, benchmark_models, encode_classes
from maskadapter.benchmark.photos import photo_readers
from maskadapter.benchmark.second_class_list import time_second_class_list
from maskadapter.errors import MaskAdapterError
from maskadapter.hub import check_device
from maskadapter.models import MODELS, InputSize

logger = logging.getLogger(__name__)

TIMED = 5
"""Images that are timed; on further ones only the results are compared."""


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
    precision: Precision = "fp32",
) -> dict[str, Any]:
    """Time the stages of a model on photos, and compare the pruned and the exact computation with the reference.

    model: a name, for random weights of its shapes, or a file of weights. Random weights propose and classify nothing
        that makes sense: the proposals, and the choice of those that the pruned computation does not estimate, are then
        those of the embedded model with its small adapter, and so is the agreement. The seconds are those of the large
        shapes.
    size: pixels of the input's longer side, a multiple of 32 from 64. images: a folder, of which ``TIMED`` images are
        timed; None for five photos that come with scikit-image. segments: a folder of COCO panoptic; the adapter is
        timed on as many segments of it too.
    classes: whatever ``Vocabulary.of`` takes. second_classes: as ``classes``; given, the second list is timed on the
        encoded first image. proposals: how many masks an image has at most; a file of weights has its own number.
    device: ``"cpu"``, ``"cuda"`` ... precision: ``"bf16"`` computes what is timed under PyTorch's autocast.

    Returns numbers ready for JSON: ``adapter_speedup_exact`` (on the segments where they are given),
    ``adapter_speedup_pruned``, ``segment_speedup_pruned`` (seconds of the reference over those of the other
    computation), ``agreement_pruned`` (share of pixels that get the same class as by the reference),
    ``peak_memory_gb_pruned`` (of the first image, beyond the weights), then the details.
    Raises MaskAdapterError for a size, device or model that cannot be measured, ImageError for the images.
    """
    if size % 32 or size < 64:
        raise MaskAdapterError(f"size is {size}; a multiple of 32 of at least 64 is needed")
    check_device(device)
    readers = photo_readers(images)
    timed, compared = benchmark_models(model, proposals, device)
    timed.inference = replace(timed.inference, input_size=InputSize(size, size))
    encoded = encode_classes(timed, classes)
    comparison, second = Comparison(timed, compared, encoded, precision), {}
    for number, (name, read) in enumerate(readers.items()):
        logger.info("image %d of %d: %s", number + 1, len(readers), name)
        image = read()
        if number == 0 and segments is not None:
            comparison.measure_on_segments(image, Path(segments), proposals)
        comparison.measure(name, image, timed=number < TIMED)
        if number == 0 and second_classes is not None:
            second = time_second_class_list(timed, image, encoded, encode_classes(timed, second_classes))
    return {
        **comparison.report(),
        "second class list": second,
        "precision": precision,
        "model": model if model not in MODELS else f"{model}, random weights, layer scale {LAYER_SCALE}",
        "proposals": f"{proposals}, of the embedded model with its adapter" if model in MODELS else "its own",
        "size": size,
        "classes": len(encoded.vocabulary),
        **machine_facts(device),
    }
