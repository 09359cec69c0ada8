"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.models.builder import LONGER_896, MODELS, Architecture, build, pooler_of, published
from maskadapter.models.classifier import MAX_LOGIT_SCALE, EncodedVocabulary, TextClassifier
from maskadapter.models.clip import Clip, TextCache
from maskadapter.models.config import AdapterConfig, InferenceConfig, ModelConfig, NormPlacement, UpstreamQuirks
from maskadapter.models.ensemble import ensemble_logits
from maskadapter.models.mask_adapter import MaskAdapter, pool_with_maps, pooling_weights
from maskadapter.models.own_classes import OwnClasses
from maskadapter.models.precision import choose_precision, keep_in, refuse_misfit
from maskadapter.models.preprocess import PIXEL_MEAN, PIXEL_STD, InputSize, to_batch
from maskadapter.models.proposal_pruning import ComputedProposals, pruned_embeddings
from maskadapter.models.segmenter import CONFUSABLE, OpenVocabularySegmenter
