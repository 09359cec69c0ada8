"""The model. It imports timm and open_clip, which import torchvision: see ``system.torchvision_stub``."""

# ruff: noqa: E402
from maskadapter.system.torchvision_stub import declare_missing_schemas

declare_missing_schemas()

from maskadapter.models.builder import LONGER_896, MODELS, Architecture, build, pooler_of, published
from maskadapter.models.classifier import EncodedVocabulary, TextClassifier
from maskadapter.models.config import (
    AdapterConfig,
    InferenceConfig,
    ModelConfig,
    NormPlacement,
    PoolerName,
    UpstreamQuirks,
)
from maskadapter.models.mask_adapter import MaskAdapter, pooling_weights
from maskadapter.models.preprocess import InputSize, to_batch
from maskadapter.models.proposal_pruning import influential, pruned_embeddings
from maskadapter.models.segmenter import OpenVocabularySegmenter
