"""The named models, put together: one function for each, one dict of them.

A builder takes ``pooler`` ("adapter", "pooling" or "cropping"), ``generator`` (False leaves the mask generator out,
as the files of the warm-up stage do) and what the adapter is to have other than the published ones (``num_maps`` and so
on, see ``MaskAdapter``), and returns the untrained model with every setting that no weight shows.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from maskadapter.models.clip.clip import CellOrder, Clip
from maskadapter.models.maftplus import ContentDependentTransfer, NormPlacement
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
from maskadapter.models.segmenter import InferenceConfig, OpenVocabularySegmenter

# The embedded model's CLIP, in open_clip's own terms.
TINY_CLIP = {
    "embed_dim": 384,
    "vision_cfg": {"timm_model_name": "mobilenetv2_100", "timm_pool": "", "timm_proj": "mlp", "image_size": 512},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 192, "heads": 3, "layers": 2},
}

PoolerName = Literal["adapter", "pooling", "cropping"]
Builder = Callable[..., OpenVocabularySegmenter]

LONGER_896 = InputSize(896, 896)  # the longer side becomes 896. Source: official MIN_SIZE_TEST = MAX_SIZE_TEST = 896
# What configurations get that set no test size, as FC-CLIP's, MAFT+'s and the warm-up stage's. Source: detectron2
SHORTER_800 = InputSize(800, 1333)


def tiny(pooler: PoolerName = "pooling", generator: bool = True, **adapter: Any) -> OpenVocabularySegmenter:
    """The embedded model: MobileNetV2, a distilled text encoder, superpixels. Made by ``tools/tiny``, which chose the
    numbers on held-out training images; ``weights/tiny.md`` tells what it can do."""
    clip = Clip.build(TINY_CLIP, output_stride=16, templates=("{}", "a photo of a {}."))
    inference = InferenceConfig(InputSize(640, 640), seen_in="coco-panoptic", alpha=0.7, beta=0.9, join_touching=True)
    return OpenVocabularySegmenter(
        clip,
        RegionHead() if generator else None,
        pooler_of(pooler, clip, {"hidden_dim": 256, **adapter}, pooling="area"),
        inference,
    )


def tiny_mask2former(pooler: PoolerName = "pooling", generator: bool = True, **adapter: Any) -> OpenVocabularySegmenter:
    """The embedded model with a small Mask2Former generator in place of superpixels, to be trained on one's own data:
    no weights of it are published. Its sizes are a third of FC-CLIP's and were not searched for."""
    segmenter = tiny(pooler, generator=False, **adapter)
    segmenter.inference = replace(segmenter.inference, join_touching=False)
    if generator:
        clip = segmenter.clip
        pixels = PixelDecoder(clip.pyramid_dims, dim=96, mask_dim=96, num_layers=2, num_heads=4)
        masks = MaskDecoder(clip.embed_dim, 96, 96, num_queries=50, num_layers=4, num_heads=4, ffn_dim=384)
        segmenter.generator = Mask2FormerHead(pixels, masks)
    return segmenter


def fcclip_large(pooler: PoolerName = "adapter", generator: bool = True, **adapter: Any) -> OpenVocabularySegmenter:
    """FC-CLIP on ConvNeXt-L. Source: official FC-CLIP configurations, with and without Mask-Adapter."""
    size = LONGER_896 if pooler == "adapter" and generator else SHORTER_800
    alpha, beta = (0.7, 0.9) if pooler == "adapter" else (0.4, 0.8)
    inference = InferenceConfig(size, "coco-panoptic", alpha, beta)
    clip = Clip.build("convnext_large_d_320")
    return OpenVocabularySegmenter(
        clip,
        _mask2former(clip, num_queries=250) if generator else None,
        pooler_of(pooler, clip, adapter, mask_threshold=0.5),
        inference,
    )


def maftplus_base(pooler: PoolerName = "adapter", generator: bool = True, **adapter: Any) -> OpenVocabularySegmenter:
    """MAFT+ on ConvNeXt-B. Source: official maft configurations (semantic); the warm-up stage ran with PANOPTIC_ON."""
    published = pooler == "adapter" and generator
    inference = InferenceConfig(
        LONGER_896 if published else SHORTER_800,
        "coco-stuff",
        *_maftplus_weights(pooler, alpha=0.7),
        semantic_order="classes-first",
        overlap_threshold=0.7,
    )
    norm: NormPlacement = "sum" if generator else "update"
    return _maftplus("convnext_base_w_320", pooler, generator, inference, adapter, mask_threshold=0.45, norm=norm)


def maftplus_large(pooler: PoolerName = "adapter", generator: bool = True, **adapter: Any) -> OpenVocabularySegmenter:
    """MAFT+ on ConvNeXt-L. Source: official maft configurations, panoptic with adapter; upstream's semantic without."""
    published = pooler == "adapter" and generator
    inference = InferenceConfig(
        LONGER_896 if published else SHORTER_800,
        "coco-stuff",
        *_maftplus_weights(pooler, alpha=0.8),
        semantic_order="masks-first" if pooler == "adapter" else "classes-first",
        overlap_threshold=0.7,
    )
    norm: NormPlacement = "update" if pooler == "adapter" else "sum"
    return _maftplus("convnext_large_d_320", pooler, generator, inference, adapter, mask_threshold=0.4, norm=norm)


MODELS: dict[str, Builder] = {
    "tiny": tiny,
    "tiny-mask2former": tiny_mask2former,
    "fcclip-large": fcclip_large,
    "maftplus-base": maftplus_base,
    "maftplus-large": maftplus_large,
}


def _maftplus_weights(pooler: PoolerName, alpha: float) -> tuple[float, float]:
    """alpha and beta. MAFT+ itself has no ensemble: CLIP's opinion alone counts. Source: upstream maft_plus.py."""
    return (alpha, 1.0) if pooler == "adapter" else (1.0, 1.0)


def _maftplus(
    clip_config: str,
    pooler: PoolerName,
    generator: bool,
    inference: InferenceConfig,
    adapter: dict[str, Any],
    mask_threshold: float,
    norm: NormPlacement,
) -> OpenVocabularySegmenter:
    cell_order: CellOrder = "as-stored"
    clip = Clip.build(clip_config, cell_order=cell_order)
    return OpenVocabularySegmenter(
        clip,
        _mask2former(clip, num_queries=100) if generator else None,
        pooler_of(pooler, clip, adapter, mask_threshold),
        inference,
        ContentDependentTransfer(clip.embed_dim, norm=norm),
    )


def _mask2former(clip: Clip, num_queries: int) -> Mask2FormerHead:
    return Mask2FormerHead(PixelDecoder(clip.pyramid_dims), MaskDecoder(clip.embed_dim, num_queries=num_queries))


def pooler_of(
    name: PoolerName,
    clip: Clip,
    adapter: Mapping[str, Any] | None = None,
    mask_threshold: float = 0.5,
    pooling: Literal["inside", "area"] = "inside",
) -> Pooler:
    """The way from a mask to CLIP's embedding. adapter: what ``MaskAdapter`` takes. mask_threshold: see
    ``AdapterPooler``. pooling: see ``MaskPooling``."""
    if name == "adapter":
        return AdapterPooler(MaskAdapter(clip.embed_dim, **(adapter or {})), mask_threshold)
    if name == "cropping":
        return MaskCropping(clip.encode_whole, clip.image_size, clip.embed_dim)
    return MaskPooling(pooling)
