"""The parts of a model that become files: what each takes, what it gives, and which sides of that are dynamic."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskadapter.errors import MaskAdapterError
from maskadapter.models import MaskAdapter, OpenVocabularySegmenter, pool_with_maps
from maskadapter.models.clip import ConvolutionalEncoder
from maskadapter.models.poolers import AdapterPooler, MaskPooling
from maskadapter.models.proposals.superpixels import SHAPE_FEATURES, RegionHead
from maskadapter.types import ClipFeatures, ImageBatch

IMAGE, POOLING, ADAPTER, REGIONS, TEXT, TRANSFER = "image", "pooling", "adapter", "regions", "text", "transfer"

_FEATURE = {2: "h", 3: "w"}
DYNAMIC: Mapping[str, Mapping[int, str]] = {
    "pixels": {2: "height", 3: "width"},
    "dense": _FEATURE,
    "projected": _FEATURE,
    "mask_logits": {1: "masks", 2: "mask_height", 3: "mask_width"},
    "pooled": {0: "regions"},
    "shapes": {0: "regions"},
    "tokens": {0: "prompts", 1: "length"},
    "text_embeddings": {0: "names"},
}
"""Of each input of a graph the axes whose length may change, and what the length is called."""


@dataclass(frozen=True)
class Graph:
    """One file: a module that is traced. name: of the file, without ``.onnx``. inputs: an example of each.
    outputs: their names."""

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]


class ImageGraph(nn.Module):
    """Everything about an image that networks compute before they see a mask or a class."""

    def __init__(self, segmenter: OpenVocabularySegmenter) -> None:
        super().__init__()
        self.clip, self.generator = segmenter.clip, segmenter.generator

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """pixels (1, 3, H, W) -> dense (1, C, h, w), projected (1, D, h, w) and, of a Mask2Former, mask_logits
        (1, N, H / 4, W / 4) and class_embeddings (1, N, D), or of the embedded model boundary_logits (1, 2, H / 2,
        W / 2)."""
        features = self.clip.encode_image(pixels)
        both = features.dense, features.projected
        if isinstance(self.generator, RegionHead):
            return *both, self.generator.boundaries(pixels, features.pyramid)
        if self.generator is None:
            return both
        proposals = self.generator(ImageBatch(pixels, ()), features)
        assert proposals.class_embeddings is not None
        return *both, proposals.mask_logits, proposals.class_embeddings


class AdapterGraph(nn.Module):
    """Mask-Adapter as the paper writes it: every mask at every feature location. See ``MaskAdapter``."""

    def __init__(self, segmenter: OpenVocabularySegmenter) -> None:
        super().__init__()
        assert isinstance(segmenter.pooler, AdapterPooler)
        self.adapter: MaskAdapter = segmenter.pooler.adapter
        self.clip = segmenter.clip

    def forward(self, dense: Tensor, projected: Tensor, mask_logits: Tensor) -> Tensor:
        """dense (1, C, h, w), projected (1, D, h, w), mask_logits (1, N, H, W) -> mask_embeddings (1, N, D)."""
        masks = (mask_logits.sigmoid() > self.adapter.config.mask_threshold).transpose(0, 1)
        maps = self.adapter(projected.expand(masks.shape[0], -1, -1, -1), masks)[:, 0]
        return pool_with_maps(maps, dense[0], self.clip.project)[None]


class PoolingGraph(nn.Module):
    """Mask pooling and CLIP's projection. See ``MaskPooling``."""

    def __init__(self, segmenter: OpenVocabularySegmenter) -> None:
        super().__init__()
        self.pooler, self.clip = segmenter.pooler, segmenter.clip

    def forward(self, dense: Tensor, mask_logits: Tensor) -> Tensor:
        """dense (1, C, h, w), mask_logits (1, N, H, W) -> mask_embeddings (1, N, D)."""
        return self.pooler(dense, ClipFeatures({}, dense, dense), mask_logits, self.clip.project)


class RegionGraph(nn.Module):
    """What the embedded model's proposal head computes of its regions. See ``RegionHead``."""

    def __init__(self, generator: RegionHead) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, pooled: Tensor, shapes: Tensor) -> tuple[Tensor, Tensor]:
        """pooled (N, C) dense features, shapes (N, 24) -> class_embeddings (N, D), objectness (N,) before the cut."""
        return self.generator.embed(pooled), self.generator.objectness(shapes)[:, 0]


class TextGraph(nn.Module):
    """The text encoder, which has to be of CLIP's own kind."""

    def __init__(self, segmenter: OpenVocabularySegmenter) -> None:
        super().__init__()
        self.clip = segmenter.clip

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (P, L) int64, ids of P prompts, cut to the longest -> text_embeddings (P, D), unit vectors."""
        text = self.clip.causal_text
        assert text is not None
        return text.embed(tokens)


@torch.no_grad()
def graphs_of(segmenter: OpenVocabularySegmenter) -> list[Graph]:
    """Return the files that a model becomes. Raises MaskAdapterError, one line, for what no file can hold."""
    _refuse_what_cannot_be_exported(segmenter)
    clip, generator, divisor = segmenter.clip, segmenter.generator, segmenter.clip.size_divisor
    device = clip.logit_scale.device
    pixels = torch.randn(1, 3, 4 * divisor, 6 * divisor, generator=torch.Generator().manual_seed(0)).to(device)
    found = dict(zip(names := _image_outputs(segmenter), ImageGraph(segmenter)(pixels), strict=True))
    dense, projected = found["dense"], found["projected"]
    height, width = pixels.shape[-2:]
    masks = torch.linspace(-1, 1, 5 * height * width // 16, device=device).view(1, 5, height // 4, width // 4)
    graphs = [Graph(IMAGE, ImageGraph(segmenter), {"pixels": pixels}, tuple(names))]
    given = {"dense": dense, "projected": projected, "mask_logits": masks}
    if isinstance(segmenter.pooler, AdapterPooler):
        graphs.append(Graph(ADAPTER, AdapterGraph(segmenter), given, ("mask_embeddings",)))
    else:
        del given["projected"]
        graphs.append(Graph(POOLING, PoolingGraph(segmenter), given, ("mask_embeddings",)))
    if isinstance(generator, RegionHead):
        pooled, shapes = dense.new_zeros(5, dense.shape[1]), dense.new_zeros(5, SHAPE_FEATURES)
        outputs = ("class_embeddings", "objectness")
        graphs.append(Graph(REGIONS, RegionGraph(generator), {"pooled": pooled, "shapes": shapes}, outputs))
    tokens = clip.tokenizer(["a cat", "a dog", "grass"])[:, :6].to(device)
    graphs.append(Graph(TEXT, TextGraph(segmenter), {"tokens": tokens}, ("text_embeddings",)))
    if segmenter.text_transfer is not None:
        given = {"text_embeddings": dense.new_zeros(5, clip.embed_dim), "projected": projected}
        graphs.append(Graph(TRANSFER, segmenter.text_transfer, given, ("transferred",)))
    return graphs


def _image_outputs(segmenter: OpenVocabularySegmenter) -> list[str]:
    if segmenter.generator is None:
        return ["dense", "projected"]
    regions = isinstance(segmenter.generator, RegionHead)
    return ["dense", "projected", *(["boundary_logits"] if regions else ["mask_logits", "class_embeddings"])]


def _refuse_what_cannot_be_exported(segmenter: OpenVocabularySegmenter) -> None:
    clip, pooler = segmenter.clip, segmenter.pooler
    if not isinstance(pooler, AdapterPooler | MaskPooling):
        problem = "mask cropping encodes every mask as an image of its own, which cannot be exported"
        raise MaskAdapterError(f"{problem}: export the model with pooler adapter or pooling")
    if not isinstance(clip.image_encoder, ConvolutionalEncoder):
        problem = "vision transformers, whose positions are interpolated to the image's size, are not exported"
        raise MaskAdapterError(f"{problem}: export a model with a convolutional CLIP")
    if not (clip.causal_text and clip.reads_latin_alone):
        raise MaskAdapterError("only OpenAI's text encoder and tokenizer are exported, and this CLIP has others")
    if segmenter.own_classes is not None:
        raise MaskAdapterError("classes that were learned from images are not exported: export the model without them")
