"""The model. It imports timm and open_clip, which import torchvision: see ``system.torchvision_stub``."""

from maskadapter.system.torchvision_stub import declare_missing_schemas

declare_missing_schemas()

from maskadapter.models.builder import LONGER_896, MODELS, Architecture, build, pooler_of, published  # noqa: E402
from maskadapter.models.classifier import EncodedVocabulary, TextClassifier  # noqa: E402
from maskadapter.models.config import (  # noqa: E402
    AdapterConfig,
    InferenceConfig,
    ModelConfig,
    NormPlacement,
    PoolerName,
    UpstreamQuirks,
)
from maskadapter.models.mask_adapter import MaskAdapter, pooling_weights  # noqa: E402
from maskadapter.models.preprocess import InputSize, to_batch  # noqa: E402
from maskadapter.models.proposal_pruning import influential, pruned_embeddings  # noqa: E402
from maskadapter.models.segmenter import OpenVocabularySegmenter  # noqa: E402
