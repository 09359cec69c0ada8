"""The same model with another pooler, to show side by side what Mask-Adapter changes."""

from dataclasses import replace

from maskadapter.hub.loading import identified, load
from maskadapter.hub.model_source import DEFAULT, ModelSource
from maskadapter.models import TINY_NAMES, OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler, MaskPooling


def with_other_pooler(segmenter: OpenVocabularySegmenter, source: ModelSource) -> OpenVocabularySegmenter | None:
    """Return a model that shares everything with ``segmenter`` but its pooler: mask pooling where that has an adapter,
    and the adapter where it is the embedded model with mask pooling. None for others, which have no adapter.

    source: what ``segmenter`` was loaded from."""
    has_adapter = isinstance(segmenter.pooler, AdapterPooler)
    if source.name == DEFAULT and source.adapter is None and source.pooler != "cropping":
        other = replace(source, pooler="pooling" if has_adapter else "adapter", precision=segmenter.precision)
        pooler = load(other, device=segmenter.clip.logit_scale.device).pooler
    elif has_adapter:
        tiny = identified(source, may_download=False)[1].name in TINY_NAMES
        pooler = MaskPooling("area" if tiny else "inside")
    else:
        return None
    parts = (segmenter.clip, segmenter.generator, pooler, segmenter.inference)
    shared = (segmenter.text_transfer, segmenter.text_cache, segmenter.quirks)
    found = OpenVocabularySegmenter(*parts, *shared)
    found.void_embedding, found.own_classes = segmenter.void_embedding, segmenter.own_classes
    found.precision, found.mask_source = segmenter.precision, segmenter.mask_source
    return found.requires_grad_(False).eval()
