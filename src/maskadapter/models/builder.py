"""The named models: the published settings of each, and one function that puts its parts together."""

from collections.abc import Callable
from dataclasses import dataclass

from maskadapter.models.clip.clip import Clip
from maskadapter.models.config import AdapterConfig, InferenceConfig, ModelConfig, UpstreamQuirks
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.names import CONVNEXT_NAMES, TINY_NAMES, PoolerName
from maskadapter.models.own_classes import OwnClasses
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_cropping import MaskCropping
from maskadapter.models.poolers.mask_pooling import MaskPooling, Pooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead, MaskDecoder
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder
from maskadapter.models.proposals.proposal_head import ProposalHead
from maskadapter.models.proposals.superpixels.region_head import RegionHead
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.results import SemanticOrder

# The embedded model's CLIP, in open_clip's own terms.
TINY_CLIP = {
    "embed_dim": 384,
    "vision_cfg": {"timm_model_name": "tf_efficientnet_lite2", "timm_pool": "", "timm_proj": "mlp", "image_size": 512},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 192, "heads": 3, "layers": 4},
}
LONGER_896 = InputSize(896, 896)  # the longer side becomes 896. Source: official MIN_SIZE_TEST = MAX_SIZE_TEST = 896
# The input size of configurations that set none, as FC-CLIP's, MAFT+'s and the warm-up stage's. Source: detectron2
SHORTER_800 = InputSize(800, 1333)


@dataclass(frozen=True)
class Architecture:
    """Which parts a model has."""

    name: str  # an entry of ``MODELS``
    pooler: PoolerName  # how masks become embeddings
    generator: bool = True  # whether there is a mask generator; the files of the warm-up stage have none

    def __str__(self) -> str:
        return f"{self.name} with {self.pooler}" + ("" if self.generator else ", without a mask generator")


def build(architecture: Architecture, config: ModelConfig | None = None) -> OpenVocabularySegmenter:
    """Return the model with random weights. config: its settings; None for the published ones."""
    config = config or published(architecture)
    segmenter = MODELS[architecture.name](architecture, config)
    if config.inference.own_classes:
        segmenter.own_classes = OwnClasses(config.inference.own_classes, segmenter.clip.embed_dim)
    return segmenter


def published(architecture: Architecture) -> ModelConfig:
    """Return the published settings of a named model. Source: the official configurations of FC-CLIP and maft, with
    and without Mask-Adapter. The embedded model's were chosen on training images: ``hub/weights/tiny.md``."""
    name, with_adapter, quirks = architecture.name, architecture.pooler == "adapter", UpstreamQuirks()
    size = LONGER_896 if with_adapter and architecture.generator else SHORTER_800
    if name.startswith("tiny"):
        inference = InferenceConfig(InputSize(640, 640), "coco-panoptic", 0.2, 0.9, join_touching=name == "tiny")
        adapter = AdapterConfig(hidden_dim=256)
    elif name == "fcclip-large":
        alpha, beta = (0.7, 0.9) if with_adapter else (0.4, 0.8)
        inference, adapter = InferenceConfig(size, "coco-panoptic", alpha, beta), AdapterConfig(mask_threshold=0.5)
    else:
        large = name == "maftplus-large"
        # MAFT+ itself has no ensemble: the out-of-vocabulary classifier alone counts. Source: upstream maft_plus.py
        alpha = (0.8 if large else 0.7) if with_adapter else 1.0
        inference = InferenceConfig(size, "coco-stuff", alpha, 1.0, overlap_threshold=0.7)
        adapter = AdapterConfig(mask_threshold=0.4 if large else 0.45)
        # Base and upstream's models are evaluated as semantic, large with adapter as panoptic; the warm-up stage ran
        # with PANOPTIC_ON.
        update = with_adapter if large else not architecture.generator
        order: SemanticOrder = "masks-first" if large and with_adapter else "classes-first"
        quirks = UpstreamQuirks("as-stored", "update" if update else "sum", order)
    return ModelConfig(inference, quirks, adapter if with_adapter else None)


def _tiny(architecture: Architecture, config: ModelConfig) -> OpenVocabularySegmenter:
    """The embedded model: EfficientNet-Lite2, a distilled text encoder, superpixels; or, in their place, a small
    Mask2Former of a third of FC-CLIP's sizes, of which no weights are published."""
    clip = Clip.build(TINY_CLIP, output_stride=16, joined=("res4",), templates=("{}", "a photo of a {}."))
    generator: ProposalHead | None = None
    if architecture.generator and architecture.name == "tiny":
        dims = clip.pyramid_dims
        generator = RegionHead(dims, dims["res4"] + clip.model.visual.trunk.num_features, clip.embed_dim)
    elif architecture.generator:
        pixels = PixelDecoder(clip.pyramid_dims, dim=96, mask_dim=96, num_layers=2, num_heads=4)
        masks = MaskDecoder(clip.embed_dim, 96, 96, num_queries=50, num_layers=4, num_heads=4, ffn_dim=384)
        generator = Mask2FormerHead(pixels, masks)
    pooler = pooler_of(architecture.pooler, clip, config.adapter, MaskPooling("area"))
    return OpenVocabularySegmenter(clip, generator, pooler, config.inference, quirks=config.quirks)


def _convnext(architecture: Architecture, config: ModelConfig) -> OpenVocabularySegmenter:
    """FC-CLIP on ConvNeXt-L, or MAFT+ on ConvNeXt-B or ConvNeXt-L."""
    clip = Clip.build("convnext_base_w_320" if architecture.name == "maftplus-base" else "convnext_large_d_320")
    fcclip, generator = architecture.name == "fcclip-large", None
    if architecture.generator:
        pixels, masks = PixelDecoder(clip.pyramid_dims), MaskDecoder(clip.embed_dim, num_queries=250 if fcclip else 100)
        generator = Mask2FormerHead(pixels, masks)
    pooler = pooler_of(architecture.pooler, clip, config.adapter)
    transfer = None if fcclip else ContentDependentTransfer(clip.embed_dim)
    return OpenVocabularySegmenter(clip, generator, pooler, config.inference, transfer, quirks=config.quirks)


MODELS: dict[str, Callable[[Architecture, ModelConfig], OpenVocabularySegmenter]] = {
    **dict.fromkeys(TINY_NAMES, _tiny),
    **dict.fromkeys(CONVNEXT_NAMES, _convnext),
}


def pooler_of(
    name: PoolerName, clip: Clip, adapter: AdapterConfig | None = None, pooling: MaskPooling | None = None
) -> Pooler:
    """Return the module that turns masks into CLIP embeddings. adapter: of ``"adapter"``; None for the paper's.
    pooling: of ``"pooling"``; None for the published kind."""
    if name == "adapter":
        return AdapterPooler(MaskAdapter(clip.embed_dim, adapter or AdapterConfig()))
    if name == "cropping":
        return MaskCropping(clip.encode_whole, clip.image_size, clip.embed_dim)
    return pooling or MaskPooling()
