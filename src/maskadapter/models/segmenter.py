"""The whole method: CLIP, a mask generator, an embedding of masks, and the ensemble of the two opinions."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.errors import MaskAdapterError
from maskadapter.io.images import read_image
from maskadapter.io.masks import mask_parts
from maskadapter.models.classifier import TextClassifier
from maskadapter.models.clip.clip import Clip
from maskadapter.models.clip.text_cache import TextCache
from maskadapter.models.config import InferenceConfig, UpstreamQuirks
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.ensemble import geometric_ensemble, with_void
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.poolers.pooler import Decide, Pooler
from maskadapter.models.preprocess import InputSize, resize, to_batch
from maskadapter.models.proposal_pruning import influential
from maskadapter.models.sources.given_masks import at_stride_4
from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.results.classification import Classification
from maskadapter.results.postprocessing import SemanticOrder
from maskadapter.results.segmentation import Segmentation
from maskadapter.system.atomic_files import readable
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.image_sizes import ImageSizes
from maskadapter.types.proposals import Proposals
from maskadapter.vocabulary.vocabulary import BACKGROUND, Vocabulary

Classes = Any  # whatever Vocabulary.of takes

# Words closer than this share of the list's pairs are taken to mean the same. Chosen on 50 COCO training images with
# the embedded model: a plateau from 0.90 to 0.98, see docs/everyday.md.
CONFUSABLE = 0.97


class Generator(Protocol):
    """Anything that proposes masks."""

    def __call__(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        """images (B, 3, H, W) normalized and padded; the features and text embeddings are there for those that use
        them."""
        ...


class OpenVocabularySegmenter(nn.Module):
    """Segment an image by any words, or name given masks. Source: paper, figure 2 and section 3.4.

    Args:
        clip: image and text encoder.
        generator: proposes masks and, unless its class logits are None, classifies them (in-vocabulary). None: the
            weights hold no generator (warm-up files); ``classify`` works, ``segment`` does not.
        embedding: from masks to CLIP embeddings (out-of-vocabulary): mask pooling or Mask-Adapter.
        inference: settings.
        text_transfer: MAFT+'s content-dependent transfer, used for the out-of-vocabulary side alone.
        text_cache: remembers text embeddings; only for weights that do not change any more.
        quirks: accidents of the official code to reproduce; None leaves the parts as they are.
    """

    def __init__(
        self,
        clip: Clip,
        generator: nn.Module | None,
        pooler: Pooler,
        inference: InferenceConfig,
        text_transfer: ContentDependentTransfer | None = None,
        text_cache: TextCache | None = None,
        quirks: UpstreamQuirks | None = None,
    ) -> None:
        super().__init__()
        self.clip = clip
        self.generator: Generator | None = generator
        self.pooler = pooler
        self.text_transfer = text_transfer
        self.text_cache = text_cache
        self.void_embedding = nn.Embedding(1, clip.embed_dim)
        self.inference = inference
        self.semantic_order: SemanticOrder = "masks-first"
        if quirks is not None:
            self.quirks = quirks

    @property
    def quirks(self) -> UpstreamQuirks:
        """The accidents of the official code that this model reproduces. Setting them changes how its parts compute."""
        transfer_norm = UpstreamQuirks.transfer_norm
        if self.text_transfer is not None:
            transfer_norm = self.text_transfer.norm_placement
        return UpstreamQuirks(self.clip.projection_layout, transfer_norm, self.semantic_order)

    @quirks.setter
    def quirks(self, quirks: UpstreamQuirks) -> None:
        self.clip.projection_layout = quirks.projection_layout
        if self.text_transfer is not None:
            self.text_transfer.norm_placement = quirks.transfer_norm
        self.semantic_order = quirks.semantic_order

    @torch.inference_mode()
    def encode(self, classes: Classes, things: Iterable[str] | None = None) -> EncodedVocabulary:
        """Text embeddings of classes. classes: whatever ``Vocabulary.of`` takes; things: names that count as things."""
        if isinstance(classes, EncodedVocabulary):
            vocabulary = Vocabulary.of(classes.vocabulary, things)
            return EncodedVocabulary(vocabulary, classes.rows.to(self.clip.logit_scale))
        vocabulary = Vocabulary.of(classes, things)
        if self.text_cache is None:
            return EncodedVocabulary(vocabulary, self.clip.encode_text(vocabulary.synonyms))
        rows = self.text_cache.rows(vocabulary.synonyms, self.clip.encode_text)
        return EncodedVocabulary(vocabulary, rows.to(self.clip.logit_scale))

    @torch.inference_mode()
    def segment(
        self,
        image: Any,
        classes: Classes,
        things: Iterable[str] | None = None,
        background: Classes | None = BACKGROUND,
        masks: Any = None,
    ) -> Segmentation:
        """Segment one image.

        image: whatever ``read_image`` takes. classes: words (see ``Vocabulary.of``) or what ``encode`` returned.
        things: names of the classes that are counted one by one; without it see ``Vocabulary.of``.
        background: words that stand for the rest of the world and compete with the classes, but for those that mean
            nearly the same as one of them; pixels that they win are none of the classes. None or "none": every pixel
            goes to one of the classes, as data sets are evaluated.
        masks: as ``classify`` takes them, instead of the generator's; the embedding alone names them.
        Raises ImageError, VocabularyError, MaskError, or MaskAdapterError when the weights hold no mask generator.
        """
        if self.generator is None and masks is None:
            raise MaskAdapterError(
                "these weights hold no mask generator: give masks, load them with masks='sam:NAME', or load a "
                "segmenter's file with adapter=<this file>"
            )
        file_name, image = _file_name(image), read_image(image)
        batch, sizes = self.prepare(image)
        given = None if masks is None else self._cells(masks, sizes, file_name).to(batch)[None]
        encoded = self.encode(classes, things)
        competing = encoded if background in (None, "none") else self._among(encoded, background)
        mask_logits, probs = self(batch, competing, given)
        _refuse_nan(probs)
        return Segmentation(
            image,
            encoded.vocabulary,
            mask_logits[0],
            probs[0],
            sizes,
            competing.vocabulary.names[len(encoded.vocabulary) :],
            self.semantic_order,
            self.inference.overlap_threshold,
            self.inference.join_touching,
            file_name=file_name or "image.png",
            activate=partial(self.activation_maps, image),
        )

    @torch.inference_mode()
    def classify(self, image: Any, masks: Any, classes: Classes) -> Classification:
        """Name given masks: the embedding alone decides, no generator, no void.

        masks: (N, H, W) bool at the image's own size, a file, COCO annotations, detections: whatever ``mask_parts``
            takes; they may overlap or be empty.
        """
        file_name, image = _file_name(image), read_image(image)
        batch, sizes = self.prepare(image)
        mask_logits = self._cells(masks, sizes, file_name).to(batch)
        encoded = self.encode(classes)
        features = self.clip.encode_image(batch)
        logits = self.out_of_vocabulary_logits(batch, features, mask_logits[None], self.text_classifier(encoded))
        _refuse_nan(logits)
        return Classification(encoded.vocabulary, logits[0, :, :-1].softmax(dim=-1).float().cpu().numpy())

    @torch.inference_mode()
    def activation_maps(self, image: Any, masks: Any) -> ActivationMaps:
        """Where CLIP's features are pooled for each mask. image, masks: as in ``classify``."""
        file_name, image = _file_name(image), read_image(image)
        batch, sizes = self.prepare(image)
        mask_logits = self._cells(masks, sizes, file_name).to(batch)
        weights = self.pooler.weights(self.clip.encode_image(batch), mask_logits[None])
        return ActivationMaps(weights[0].float().cpu().numpy(), sizes)

    def prepare(self, image: np.ndarray, size: InputSize | None = None) -> tuple[Tensor, ImageSizes]:
        """(H, W, 3) uint8 -> a batch of one, (1, 3, h, w) normalized and padded, and the sizes on the way. size: of the
        input instead of the model's own."""
        original = (image.shape[0], image.shape[1])
        resized = (size or self.inference.input_size).of(original)
        batch = to_batch([resize(image, resized)], self.clip.size_divisor, self.clip.logit_scale.device)
        return batch, ImageSizes(padded=(batch.shape[-2], batch.shape[-1]), resized=resized, original=original)

    def forward(
        self, images: Tensor, encoded: EncodedVocabulary, mask_logits: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """images: (B, 3, H, W), normalized and padded. mask_logits: given masks instead of the generator's, (B, N, h,
        w). Returns mask logits (B, N, h, w) and probabilities (B, N, K + 1)."""
        text = self.text_classifier(encoded)
        features = self.clip.encode_image(images)
        if mask_logits is None:
            assert self.generator is not None
            proposals = self.generator(images, features, text)
        else:
            proposals = Proposals(mask_logits)
        decide = None
        if self.inference.prune_proposals:
            decide = partial(self.influential, proposals, vocabulary=encoded.vocabulary)
        out_logits = self.out_of_vocabulary_logits(images, features, proposals.mask_logits, text, decide)
        return proposals.mask_logits, self.combine(proposals, out_logits, encoded.vocabulary)

    def influential(self, proposals: Proposals, out_logits: Tensor, vocabulary: Vocabulary) -> Tensor:
        """(B, N) bool: which proposals can change the result. out_logits: (B, N, K + 1), a guess at CLIP's opinion."""
        probs = self.combine(proposals, out_logits, vocabulary)
        return torch.stack([influential(*one) for one in zip(proposals.mask_logits, probs, strict=True)])

    def text_classifier(self, encoded: EncodedVocabulary) -> TextClassifier:
        """Text rows with the void embedding, a learned unit vector, as the last."""
        void = F.normalize(self.void_embedding.weight, dim=-1)
        return TextClassifier(torch.cat([encoded.rows.to(void), void]), encoded.vocabulary.group_sizes)

    def out_of_vocabulary_logits(
        self,
        images: Tensor,
        features: ClipFeatures,
        mask_logits: Tensor,
        text: TextClassifier,
        decide: Decide | None = None,
    ) -> Tensor:
        """CLIP's own opinion of masks (B, N, h, w): class logits (B, N, K + 1), void last.

        decide: a guess at these logits -> (B, N) bool, of which masks they are to be computed with care; without it
        those of all are.
        """
        if self.text_transfer is not None:
            text = text.with_rows(self.text_transfer(text.rows, features.projected))

        def logits(embeddings: Tensor) -> Tensor:
            return text.logits(embeddings, self.clip.logit_scale)

        careful = None if decide is None else lambda guess: decide(logits(guess))
        return logits(self.pooler(images, features, mask_logits, self.clip.project, careful))

    def combine(self, proposals: Proposals, out_logits: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Probabilities (B, N, K + 1), void last: the generator's opinion and CLIP's, (B, N, K + 1), or CLIP's alone
        where the generator has none."""
        if proposals.class_logits is None:
            void = proposals.void_probs
            probs = out_logits[..., :-1].softmax(dim=-1)
            void = torch.zeros_like(probs[..., 0]) if void is None else void.to(probs)
            return torch.cat([probs * (1 - void[..., None]), void[..., None]], dim=-1)
        settings, class_logits = self.inference, proposals.class_logits
        seen = torch.tensor(vocabulary.seen(Vocabulary.of(settings.seen_in)), device=out_logits.device)
        probs = geometric_ensemble(class_logits[..., :-1], out_logits[..., :-1], seen, settings.alpha, settings.beta)
        return with_void(probs, class_logits)

    def _cells(self, masks: Any, sizes: ImageSizes, file_name: str | None) -> Tensor:
        """Masks as ``mask_parts`` takes them -> (N, h, w) logits at stride 4 of the input."""
        parts = mask_parts(masks, sizes.original, file_name)
        return torch.cat([at_stride_4(torch.from_numpy(part), sizes) for part in parts])

    def _among(self, encoded: EncodedVocabulary, background: Classes) -> EncodedVocabulary:
        limit = self.encode(BACKGROUND).confusable_similarity(CONFUSABLE)
        return encoded.with_background(self.encode(background), limit)


def _refuse_nan(numbers: Tensor) -> None:
    if not bool(numbers.isfinite().all()):
        raise MaskAdapterError(
            "the model computes no numbers (NaN or infinity): its weights are broken, or too large for their type; "
            "run maskadapter models check on them"
        )


def _file_name(image: Any) -> str | None:
    return readable(Path(image).name) if isinstance(image, str | Path) else None  # it goes into JSON
