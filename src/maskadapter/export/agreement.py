"""Compare exported files with the model that they were made of, on photos."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.errors import MaskAdapterError
from maskadapter.export.graphs import ADAPTER, IMAGE, POOLING, REGIONS, TEXT, TRANSFER, Graph
from maskadapter.export.onnx_files import OnnxFile
from maskadapter.models import InputSize, OpenVocabularySegmenter
from maskadapter.models.proposals.superpixels import RegionHead
from maskadapter.types import ClipFeatures, Proposals

LARGEST = 1e-3
"""Difference to PyTorch from which a file is refused, as a share of the output's largest value."""
_MASKS = 20  # that the pooler is compared on, for each photo
_NAMES = ("cat", "cup", "a person on a very long staircase", "sky", "grass", "Bücherregal 2000")

Outputs = list[np.ndarray]
Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Sample:
    """Inputs of one file, and what PyTorch makes of them."""

    graph: str
    inputs: Mapping[str, Tensor]
    outputs: Outputs


def differences(samples: list[Sample], files: Mapping[str, Path]) -> dict[str, float]:
    """Return for each file the largest difference to PyTorch, as a share of an output's largest value. Raises
    MaskAdapterError, one line: a file that onnxruntime refuses, or with other outputs."""
    return {name: max(_compared(samples, name, path, _largest)) for name, path in files.items()}


def losses(samples: list[Sample], files: Mapping[str, Path]) -> dict[str, float]:
    """As ``differences``, but the root mean square of the difference as a share of that of the output: of files whose
    numbers are rounded, where the largest difference says little."""
    return {name: max(_compared(samples, name, path, _mean_square)) for name, path in files.items()}


def refuse_disagreement(found: Mapping[str, float], files: Mapping[str, Path]) -> None:
    """Raise MaskAdapterError, one line, where a file differs by more than ``LARGEST``."""
    for name, difference in found.items():
        if not difference <= LARGEST:  # NaN too
            problem = f"{files[name].name} differs from PyTorch by {difference:.2g} of its largest value"
            raise MaskAdapterError(f"{problem}, and at most {LARGEST:g} is allowed: export the model again")


@torch.inference_mode()
def samples_of(segmenter: OpenVocabularySegmenter, graphs: list[Graph]) -> list[Sample]:
    """What PyTorch computes on two photos, wide and at the model's size, and upright and at half of that, and on a few
    class names: by the same path as ``segment`` and not by the graphs' own."""
    modules = {graph.name: graph for graph in graphs}
    longest, shortest = segmenter.inference.input_size.longest, segmenter.inference.input_size.shortest
    photos = (
        (skimage.data.coffee(), InputSize(shortest, longest)),
        (
            skimage.data.astronaut()[:, 150:400],
            InputSize(shortest // 2, longest // 2),
        ),
    )
    found = list(_of_text(segmenter))
    for photo, size in photos:
        found += _of_photo(segmenter, modules, photo, size)
    return found


def _of_text(segmenter: OpenVocabularySegmenter) -> Iterator[Sample]:
    clip, text = segmenter.clip, segmenter.clip.causal_text
    assert text is not None
    tokens = clip.tokenizer(list(_NAMES)).to(clip.logit_scale.device)
    longest = int(tokens.argmax(dim=-1).max()) + 1
    for length in (longest, clip.model.context_length):
        yield Sample(TEXT, {"tokens": tokens[:, :length]}, _outputs(text.embed(tokens)))


def _of_photo(
    segmenter: OpenVocabularySegmenter, graphs: Mapping[str, Graph], photo: np.ndarray, size: InputSize
) -> Iterator[Sample]:
    inputs, _ = segmenter.prepare(photo, size)
    clip, generator = segmenter.clip, segmenter.generator
    features = clip.encode_image(inputs.pixels)
    found = [features.dense, features.projected]
    masks = _quarters(inputs.pixels)
    if isinstance(generator, RegionHead):
        found.append(generator.boundaries(inputs.pixels, features.pyramid))
        ((_, pooled, shapes),) = generator.proposed(inputs, features)
        regions = {"pooled": pooled, "shapes": shapes}
        yield Sample(REGIONS, regions, _outputs(generator.embed(pooled), generator.objectness(shapes)[:, 0]))
    elif generator is not None:
        proposals: Proposals = generator(inputs, features)
        assert proposals.class_embeddings is not None
        found += [proposals.mask_logits, proposals.class_embeddings]
        masks = torch.cat([masks, proposals.mask_logits[:, :_MASKS]], dim=1)
    yield Sample(IMAGE, {"pixels": inputs.pixels}, _outputs(*found))
    features = ClipFeatures({}, features.dense, features.projected)
    embeddings = segmenter.pooler(inputs.pixels, features, masks, clip.project)
    pooler = graphs[ADAPTER if ADAPTER in graphs else POOLING]
    given = {"dense": features.dense, "projected": features.projected, "mask_logits": masks}
    yield Sample(pooler.name, {name: given[name] for name in pooler.inputs}, _outputs(embeddings))
    if segmenter.text_transfer is not None:
        text = F.normalize(torch.randn(7, clip.embed_dim, generator=torch.Generator().manual_seed(0)), dim=-1)
        text = text.to(features.dense)
        transferred = _outputs(segmenter.text_transfer(text, features.projected))
        yield Sample(TRANSFER, {"text_embeddings": text, "projected": features.projected}, transferred)


def _quarters(pixels: Tensor) -> Tensor:
    """Mask logits (1, 5, H / 4, W / 4) of the four quarters of an input (1, 3, H, W), and of an empty mask."""
    masks = pixels.new_full((1, 5, pixels.shape[-2] // 4, pixels.shape[-1] // 4), -10)
    height, width = masks.shape[-2] // 2, masks.shape[-1] // 2
    for number, mask in enumerate(masks[0, :4]):
        top, left = number // 2 * height, number % 2 * width
        mask[top : top + height, left : left + width] = 10
    return masks


def _outputs(*tensors: Tensor) -> Outputs:
    return [tensor.cpu().numpy() for tensor in tensors]


def _compared(samples: list[Sample], name: str, path: Path, measure: Measure) -> Iterator[float]:
    file = OnnxFile(path)
    for sample in samples:
        if sample.graph == name:
            outputs = file(sample.inputs)
            shapes = [one.shape for one in outputs], [one.shape for one in sample.outputs]
            if shapes[0] != shapes[1]:
                raise MaskAdapterError(f"{path} gives outputs of other shapes than the model: export the model again")
            for output, expected in zip(outputs, sample.outputs, strict=True):
                yield measure(output, expected)


def _largest(output: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(output - expected).max() / np.abs(expected).max())


def _mean_square(output: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.square(output - expected).mean() / np.square(expected).mean()))
