"""The named models: the published settings of each, and one function that puts its parts together."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from maskadapter.models.clip.clip import Clip
from maskadapter.models.config import AdapterConfig, InferenceConfig, ModelConfig, PoolerName, UpstreamQuirks
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_cropping import MaskCropping
from maskadapter.models.poolers.mask_pooling import MaskPooling
from maskadapter.models.poolers.pooler import Pooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead
from maskadapter.models.proposals.mask2former.mask_decoder import MaskDecoder
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder
from maskadapter.models.proposals.superpixels.region_head import RegionHead
from maskadapter.models.segmenter import OpenVocabularySegmenter

# The embedded model's CLIP, in open_clip's own terms.
TINY_CLIP = {
    "embed_dim": 384,
    "vision_cfg": {"timm_model_name": "mobilenetv2_100", "timm_pool": "", "timm_proj": "mlp", "image_size": 512},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 192, "heads": 3, "layers": 2},
}
LONGER_896 = InputSize(896, 896)  # the longer side becomes 896. Source: official MIN_SIZE_TEST = MAX_SIZE_TEST = 896
# The input size of configurations that set none, as FC-CLIP's, MAFT+'s and the warm-up stage's. Source: detectron2
SHORTER_800 = InputSize(800, 1333)


@dataclass(frozen=True)
class Architecture:
    """Which parts a model has.

    name: an entry of ``MODELS``. pooler: how masks become embeddings. generator: whether there is a mask generator; the
    files of the warm-up stage have none.
    """

    name: str
    pooler: PoolerName
    generator: bool = True

    def __str__(self) -> str:
        return f"{self.name} with {self.pooler}" + ("" if self.generator else ", without a mask generator")


Builder = Callable[[Architecture, ModelConfig], OpenVocabularySegmenter]


def build(architecture: Architecture, config: ModelConfig | None = None) -> OpenVocabularySegmenter:
    """Return the model with random weights. config: its settings; None for the published ones."""
    config = config or published(architecture)
    segmenter = MODELS[architecture.name](architecture, config)
    segmenter.quirks = config.quirks
    return segmenter


def published(architecture: Architecture) -> ModelConfig:
    """Return the settings that a named model was published with."""
    config = _PUBLISHED[architecture.name](architecture)
    return config if architecture.pooler == "adapter" else replace(config, adapter=None)


def _published_tiny(architecture: Architecture) -> ModelConfig:
    """Chosen by ``tools/tiny`` on held-out training images; see ``hub/weights/tiny.md``."""
    superpixels = architecture.name == "tiny"
    inference = InferenceConfig(InputSize(640, 640), "coco-panoptic", alpha=0.7, beta=0.9, join_touching=superpixels)
    return ModelConfig(inference, UpstreamQuirks(), AdapterConfig(hidden_dim=256))


def _published_fcclip(architecture: Architecture) -> ModelConfig:
    """Source: official FC-CLIP configurations, with and without Mask-Adapter."""
    with_adapter = architecture.pooler == "adapter"
    size = LONGER_896 if with_adapter and architecture.generator else SHORTER_800
    alpha, beta = (0.7, 0.9) if with_adapter else (0.4, 0.8)
    inference = InferenceConfig(size, "coco-panoptic", alpha, beta)
    return ModelConfig(inference, UpstreamQuirks(), AdapterConfig(mask_threshold=0.5))


def _published_maftplus_base(architecture: Architecture) -> ModelConfig:
    """Source: official maft configurations (semantic); the warm-up stage ran with PANOPTIC_ON."""
    quirks = UpstreamQuirks("as-stored", "sum" if architecture.generator else "update", "classes-first")
    return ModelConfig(_maftplus_inference(architecture, 0.7), quirks, AdapterConfig(mask_threshold=0.45))


def _published_maftplus_large(architecture: Architecture) -> ModelConfig:
    """Source: official maft configurations, panoptic with adapter; upstream's semantic without."""
    quirks = UpstreamQuirks("as-stored", "sum", "classes-first")
    if architecture.pooler == "adapter":
        quirks = UpstreamQuirks("as-stored", "update", "masks-first")
    return ModelConfig(_maftplus_inference(architecture, 0.8), quirks, AdapterConfig(mask_threshold=0.4))


def _maftplus_inference(architecture: Architecture, alpha: float) -> InferenceConfig:
    """MAFT+ itself has no ensemble: the out-of-vocabulary classifier alone counts. Source: upstream maft_plus.py."""
    with_adapter = architecture.pooler == "adapter"
    size = LONGER_896 if with_adapter and architecture.generator else SHORTER_800
    return InferenceConfig(size, "coco-stuff", alpha if with_adapter else 1.0, 1.0, overlap_threshold=0.7)


_PUBLISHED: dict[str, Callable[[Architecture], ModelConfig]] = {
    "tiny": _published_tiny,
    "tiny-mask2former": _published_tiny,
    "fcclip-large": _published_fcclip,
    "maftplus-base": _published_maftplus_base,
    "maftplus-large": _published_maftplus_large,
}


def _tiny(architecture: Architecture, config: ModelConfig) -> OpenVocabularySegmenter:
    """The embedded model: MobileNetV2, a distilled text encoder, superpixels."""
    clip = _tiny_clip()
    generator = RegionHead() if architecture.generator else None
    return OpenVocabularySegmenter(
        clip, generator, pooler_of(architecture.pooler, clip, config.adapter, MaskPooling("area")), config.inference
    )


def _tiny_mask2former(architecture: Architecture, config: ModelConfig) -> OpenVocabularySegmenter:
    """The embedded model with a small Mask2Former in place of superpixels, to be trained on one's own data: no weights
    of it are published. Its sizes are a third of FC-CLIP's and were not searched for."""
    clip, generator = _tiny_clip(), None
    if architecture.generator:
        pixels = PixelDecoder(clip.pyramid_dims, dim=96, mask_dim=96, num_layers=2, num_heads=4)
        masks = MaskDecoder(clip.embed_dim, 96, 96, num_queries=50, num_layers=4, num_heads=4, ffn_dim=384)
        generator = Mask2FormerHead(pixels, masks)
    return OpenVocabularySegmenter(
        clip, generator, pooler_of(architecture.pooler, clip, config.adapter, MaskPooling("area")), config.inference
    )


def _fcclip_large(architecture: Architecture, config: ModelConfig) -> OpenVocabularySegmenter:
    """FC-CLIP on ConvNeXt-L."""
    clip = Clip.build("convnext_large_d_320")
    generator = _mask2former(clip, num_queries=250) if architecture.generator else None
    return OpenVocabularySegmenter(
        clip, generator, pooler_of(architecture.pooler, clip, config.adapter), config.inference
    )


def _maftplus(architecture: Architecture, config: ModelConfig) -> OpenVocabularySegmenter:
    """MAFT+ on ConvNeXt-B or ConvNeXt-L."""
    clip = Clip.build("convnext_base_w_320" if architecture.name == "maftplus-base" else "convnext_large_d_320")
    return OpenVocabularySegmenter(
        clip,
        _mask2former(clip, num_queries=100) if architecture.generator else None,
        pooler_of(architecture.pooler, clip, config.adapter),
        config.inference,
        ContentDependentTransfer(clip.embed_dim),
    )


MODELS: dict[str, Builder] = {
    "tiny": _tiny,
    "tiny-mask2former": _tiny_mask2former,
    "fcclip-large": _fcclip_large,
    "maftplus-base": _maftplus,
    "maftplus-large": _maftplus,
}


def _tiny_clip() -> Clip:
    return Clip.build(TINY_CLIP, output_stride=16, templates=("{}", "a photo of a {}."))


def _mask2former(clip: Clip, num_queries: int) -> Mask2FormerHead:
    return Mask2FormerHead(PixelDecoder(clip.pyramid_dims), MaskDecoder(clip.embed_dim, num_queries=num_queries))


def pooler_of(
    name: PoolerName, clip: Clip, adapter: AdapterConfig | None = None, pooling: MaskPooling | None = None
) -> Pooler:
    """Return the module that turns masks into CLIP embeddings.

    adapter: of ``"adapter"``; None for the paper's. pooling: of ``"pooling"``; None for the published kind.
    """
    if name == "adapter":
        return AdapterPooler(MaskAdapter(clip.embed_dim, adapter or AdapterConfig()))
    if name == "cropping":
        return MaskCropping(clip.encode_whole, clip.image_size, clip.embed_dim)
    return pooling or MaskPooling()
