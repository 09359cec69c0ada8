"""Encode several images at once: those that the networks take at one size go through them together, eight at a time."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from maskadapter.io import read_input
from maskadapter.models.clip.clip import Clip
from maskadapter.models.preprocess import refuse_strip
from maskadapter.models.proposals.proposal_head import ProposalHead
from maskadapter.models.sources.source_names import MaskSource
from maskadapter.types import ClipFeatures, EncodedImage, ImageBatch, ImageSizes, Proposals

TOGETHER = 8  # at most; measured on an H200, see docs/performance.md


class Encoder(Protocol):
    """What a model does for a batch of images."""

    clip: Clip
    generator: ProposalHead | None
    mask_source: MaskSource | None

    def refreeze(self) -> None: ...
    def encode_image(self, image: Any) -> EncodedImage: ...
    def prepare(self, image: np.ndarray) -> tuple[ImageBatch, ImageSizes]: ...
    def mask_embeddings(self, inputs: ImageBatch, features: ClipFeatures, proposals: Proposals) -> Tensor | None: ...


def takes_batches(model: Encoder) -> bool:
    """Whether several images can go through the model together: not with a mask source, and not with a proposal head
    that proposes another number of masks in each image."""
    return model.mask_source is None and model.generator is not None and model.generator.fixed_number


@torch.inference_mode()
def encode_images(model: Encoder, images: Sequence[Any]) -> list[EncodedImage]:
    """Encode images, see ``OpenVocabularySegmenter.encode_images``."""
    if len(images) < 2 or not takes_batches(model):
        return [model.encode_image(image) for image in images]
    assert model.generator is not None
    model.refreeze()
    with ThreadPoolExecutor(TOGETHER) as pool:  # while a GPU waits
        read = list(pool.map(read_input, images))
        prepared = list(pool.map(model.prepare, [pixels for pixels, _ in read]))
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (_, sizes) in enumerate(prepared):
        refuse_strip(sizes.original, sizes.resized, model.clip.size_divisor)
        groups[sizes.padded].append(number)
    encoded: dict[int, EncodedImage] = {}
    batches = (
        numbers[start : start + TOGETHER] for numbers in groups.values() for start in range(0, len(numbers), TOGETHER)
    )
    for numbers in batches:
        alone = [prepared[number][0] for number in numbers]
        inputs = ImageBatch(torch.cat([one.pixels for one in alone]), [one.images[0] for one in alone])
        features = model.clip.encode_image(inputs.pixels)
        proposals = model.generator(inputs, features)
        embeddings = model.mask_embeddings(inputs, features, proposals)
        for place, number in enumerate(numbers):
            own = None if embeddings is None else embeddings[place : place + 1].clone()
            pixels, file_name, sizes = *read[number], prepared[number][1]
            own_features, own_proposals = features.of_image(place), proposals.of_image(place)
            encoded[number] = EncodedImage(pixels, file_name, sizes, own_features, own_proposals, own)
    return [encoded[number] for number in range(len(images))]
