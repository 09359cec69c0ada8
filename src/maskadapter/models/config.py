"""Settings of a model that its weights do not show: files of weights keep them in their metadata."""

from dataclasses import dataclass
from operator import or_
from typing import Literal

from maskadapter.models.preprocess import InputSize
from maskadapter.results import SemanticOrder
from maskadapter.vocabulary import Vocabulary

ProjectionLayout = Literal["channels-last", "as-stored"]
NormPlacement = Literal["sum", "update"]


@dataclass(frozen=True)
class AdapterConfig:
    """How a Mask-Adapter is built, and how masks are prepared for it. The defaults are the paper's, the others its
    ablations. Source: official NUM_CHANNELS and MASK_THRESHOLD (0.5 FC-CLIP, 0.45 MAFT+ base, 0.4 MAFT+ large)."""

    hidden_dim: int = 768  # channels inside the blocks
    num_blocks: int = 3  # ConvNeXt blocks
    num_maps: int = 16  # M, activation maps per mask
    patchify: Literal["two-3x3", "one-4x4"] = "two-3x3"  # two 3x3 convolutions of stride 2, or one of stride 4
    fusion: Literal["add", "concatenate"] = "add"  # add the embedded mask to the features, or concatenate the two
    use_features: bool = True  # False: the maps depend on the mask alone
    mask_threshold: float = 0.5  # 0 to 1; a pixel belongs to the mask where sigmoid(logit) exceeds it


@dataclass(frozen=True)
class InferenceConfig:
    """How a model segments an image. Source: the official configurations; ``builder.py`` holds the values.

    seen_in: class list of the mask generator's training, by name or as class names; what shares a synonym is seen.
    alpha, beta: 0 to 1, weight of the out-of-vocabulary classifier in the ensemble, for seen and for unseen classes.
    own_classes: names that were learned from images, see ``OwnClasses``; they are seen.
    prune_proposals: whether Mask-Adapter is computed only for the proposals that can change the result and the others
        are estimated. Chosen by the caller of ``load``; no file keeps it."""

    input_size: InputSize
    seen_in: str | tuple[str, ...]
    alpha: float
    beta: float
    overlap_threshold: float = 0.8  # 0 to 1, share of a mask that must stay visible in the panoptic result
    join_touching: bool = False  # whether touching segments of one class become one
    prune_proposals: bool = False
    own_classes: tuple[str, ...] = ()

    def seen(self, vocabulary: Vocabulary, background: int = 0) -> tuple[bool, ...]:
        """Return K flags: whether a class shares a synonym with the training list or, but for the last ``background``,
        with the own classes."""
        own = {name.casefold() for name in self.own_classes}
        learned = [not own.isdisjoint(map(str.casefold, names)) for names in vocabulary.classes]
        learned[len(learned) - background :] = [False] * background
        return tuple(map(or_, learned, vocabulary.seen(Vocabulary.of(self.seen_in))))


@dataclass(frozen=True)
class UpstreamQuirks:
    """Accidents of the official code that published weights depend on. The defaults compute what the papers describe.

    projection_layout: how the dense feature map (C, h, w) is lined up for CLIP's projection: ``"channels-last"`` gives
        it the channels of one location; ``"as-stored"``, with which MAFT+ was trained, reshapes the map to (h * w, C),
        which mixes channels and locations. Source: official visual_prediction_forward_convnext.
    transfer_norm: where MAFT+'s text transfer has its LayerNorm: ``"sum"`` computes LayerNorm(text + update),
        ``"update"`` text + LayerNorm(update). The official code switches by a test-time flag (PANOPTIC_ON False and
        True): MAFT+'s own models and base with adapter use "sum", large with adapter and both warm-ups "update".
    semantic_order: ``"masks-first"`` upsamples masks to the image, then combines them with the class probabilities;
        ``"classes-first"`` upsamples the combined low-resolution map, as the official code does where only the semantic
        result is asked for; see ``maskadapter.results.postprocessing``."""

    projection_layout: ProjectionLayout = "channels-last"
    transfer_norm: NormPlacement = "sum"
    semantic_order: SemanticOrder = "masks-first"


@dataclass(frozen=True)
class ModelConfig:
    """All settings of one model. adapter: None for a model without Mask-Adapter."""

    inference: InferenceConfig
    quirks: UpstreamQuirks = UpstreamQuirks()
    adapter: AdapterConfig | None = None
