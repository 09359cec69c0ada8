"""A whole segmenter with small random weights."""

import torch

from maskadapter.models.clip.clip import Clip
from maskadapter.models.config import AdapterConfig, InferenceConfig
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import MaskPooling
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead, MaskDecoder
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder
from maskadapter.models.segmenter import OpenVocabularySegmenter

CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"timm_model_name": "convnext_atto", "timm_pool": "", "timm_proj": "mlp", "image_size": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
CLASSES = ["cat", ("sofa", "couch"), "wall"]


def small(pooler: str = "adapter", generator: bool = True, maft: bool = False) -> OpenVocabularySegmenter:
    torch.manual_seed(0)
    clip = Clip.build(
        CLIP, templates=("a photo of a {}.", "{}"), projection_layout="as-stored" if maft else "channels-last"
    )
    parts = PixelDecoder(clip.pyramid_dims, 32, 32, 1, 4), MaskDecoder(32, 32, 32, 10, 3, 4, 16)
    return OpenVocabularySegmenter(
        clip,
        Mask2FormerHead(*parts) if generator else None,
        AdapterPooler(MaskAdapter(32, AdapterConfig(32))) if pooler == "adapter" else MaskPooling(),
        InferenceConfig(InputSize(96, 96), "coco-panoptic", alpha=0.7, beta=0.9),
        ContentDependentTransfer(32, 4) if maft else None,
    ).eval()
