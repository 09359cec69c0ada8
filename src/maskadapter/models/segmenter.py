"""The whole method: CLIP, a proposal head, a pooler of masks, and the ensemble of two classifiers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.io import read_input
from maskadapter.models.classifier import EncodedVocabulary, TextClassifier, refuse_nan
from maskadapter.models.clip.clip import Clip
from maskadapter.models.clip.text_cache import TextCache
from maskadapter.models.config import InferenceConfig, UpstreamQuirks
from maskadapter.models.ensemble import geometric_ensemble, with_void
from maskadapter.models.examples import ExampleCache, with_examples
from maskadapter.models.frozen_parts import KeepsFrozenParts
from maskadapter.models.image_batches import TOGETHER, encode_images, takes_batches
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.names import Precision
from maskadapter.models.own_classes import OwnClasses
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import MaskPooling, Pooler, is_empty
from maskadapter.models.preprocess import InputSize, refuse_strip, resize, to_batch
from maskadapter.models.proposal_pruning import pruned_embeddings
from maskadapter.models.proposals.proposal_head import ProposalHead
from maskadapter.models.sources.mask_logits import mask_logits
from maskadapter.models.sources.source_names import MaskSource, given_by_user
from maskadapter.results import ActivationMaps, Classification, Segmentation, SemanticOrder, classified, masks_of
from maskadapter.system.renamed import refuse_old_attribute
from maskadapter.types import ClipFeatures, EncodedImage, ImageBatch, ImageSizes, Proposals
from maskadapter.vocabulary import BACKGROUND, COMPETING, Vocabulary, competing_classes, split_examples, warn_of_scripts

Classes = Any  # whatever Vocabulary.of takes, and an Example wherever that takes a name
# Synonyms with a higher cosine than this share of the list's pairs are taken to mean the same. See docs/everyday.md
CONFUSABLE = 0.97


class OpenVocabularySegmenter(KeepsFrozenParts):
    """Segment an image into any classes, or classify given masks. Source: paper, figure 2 and section 3.4.

    generator: proposes and classifies masks (in-vocabulary). Without one ``classify`` works, ``segment`` needs masks.
    pooler: from masks to CLIP embeddings (out-of-vocabulary): mask pooling, mask cropping or Mask-Adapter.
    text_transfer: MAFT+'s content-dependent transfer, used by the out-of-vocabulary classifier alone.
    text_cache: remembers text embeddings; only for weights that do not change any more.
    quirks: accidents of the official code to reproduce; None leaves the parts as they are.
    ``mask_source`` may be set: its masks then take the place of the proposal head's. ``own_classes`` may be set: what
    was learned about classes from images then takes the place of their text embeddings."""

    def __init__(
        self,
        clip: Clip,
        generator: ProposalHead | None,
        pooler: Pooler,
        inference: InferenceConfig,
        text_transfer: ContentDependentTransfer | None = None,
        text_cache: TextCache | None = None,
        quirks: UpstreamQuirks | None = None,
    ) -> None:
        super().__init__()
        self.clip, self.generator, self.pooler = clip, generator, pooler
        self.text_transfer, self.text_cache = text_transfer, text_cache
        self.void_embedding, self.inference = nn.Embedding(1, clip.embed_dim), inference
        self.mask_source: MaskSource | None = None
        self.example_cache = ExampleCache()
        self.own_classes: OwnClasses | None = None
        self.precision: Precision = "fp32"  # of its heavy parts, set by ``keep_in``
        self.semantic_order: SemanticOrder = "masks-first"
        if quirks is not None:
            self.quirks = quirks

    @property
    def quirks(self) -> UpstreamQuirks:
        """The accidents of the official code that this model reproduces. Setting them changes how its parts compute."""
        transfer_norm = self.text_transfer.norm_placement if self.text_transfer else UpstreamQuirks.transfer_norm
        return UpstreamQuirks(self.clip.projection_layout, transfer_norm, self.semantic_order)

    @quirks.setter
    def quirks(self, quirks: UpstreamQuirks) -> None:
        self.clip.projection_layout = quirks.projection_layout
        if self.text_transfer is not None:
            self.text_transfer.norm_placement = quirks.transfer_norm
        self.semantic_order = quirks.semantic_order

    @property
    def images_together(self) -> int:
        """How many images are best encoded at once: one on a CPU, which is not faster with more."""
        return TOGETHER if self.clip.logit_scale.is_cuda and takes_batches(self) else 1

    def __getattr__(self, name: str) -> Any:
        refuse_old_attribute(name)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_old_attribute(name)
        super().__setattr__(name, value)

    @torch.inference_mode()
    def encode_text(self, classes: Classes, things: Iterable[str] | None = None) -> EncodedVocabulary:
        """Text embeddings of classes, computed once for many images. classes: whatever ``Vocabulary.of`` takes, an
        ``Example`` wherever that takes a name, or an encoded vocabulary. things: as that takes them."""
        self._refuse_converted()
        known = classes if isinstance(classes, EncodedVocabulary) else None
        classes, examples = split_examples(known.vocabulary if known else classes)
        vocabulary = Vocabulary.of(classes, things)
        if known is None and self.clip.reads_latin_alone:
            warn_of_scripts(vocabulary)
        encode = self.text_cache.text_embeddings if self.text_cache else self.clip.encode_text
        embeddings = (known.text_embeddings if known else encode(vocabulary.synonyms)).to(self.clip.logit_scale)
        encoded = EncodedVocabulary(vocabulary, embeddings, shown=known.shown if known else ())
        return with_examples(encoded, examples, self, self.example_cache) if examples else encoded

    @torch.inference_mode()
    def encode_image(self, image: Any, masks: Any = None) -> EncodedImage:
        """Compute what does not depend on classes; ``segment``, ``classify``, ``activation_maps`` take it as the image.

        image: what ``read_input`` takes or returned, or an ``EncodedImage``, to use its features for other masks.
        masks: as in ``segment``. Raises ImageError, MaskError."""
        self._refuse_converted()
        self.refreeze()  # a walk over all modules: once an image, and for no list of classes alone
        features, proposals, given = None, None, None
        if isinstance(image, EncodedImage):
            if masks is None:
                return image
            pixels, file_name, features = image.image, image.file_name, image.features
        else:
            pixels, file_name = read_input(image)
            masks = self.mask_source if masks is None else masks
        inputs, sizes = self.prepare(pixels)
        refuse_strip(sizes.original, sizes.resized, self.clip.size_divisor)
        if masks is not None:
            logits, given = mask_logits(masks, pixels, sizes, file_name, inputs.pixels.device)
            proposals = Proposals(logits[None])
        features = features or self.clip.encode_image(inputs.pixels)
        if proposals is None and self.generator is not None:
            proposals = self.generator(inputs, features)
        embeddings = None if proposals is None else self.mask_embeddings(inputs, features, proposals)
        kept = proposals and proposals.in_bytes()
        found = (replace(features, pyramid={}), kept, embeddings, given)
        return EncodedImage(pixels, file_name, sizes, *found, given_by_user(masks))

    def encode_images(self, images: Sequence[Any]) -> list[EncodedImage]:
        """Encode several images, each as ``encode_image`` does; of one size, eight together: faster on a GPU."""
        return encode_images(self, images)

    @torch.inference_mode()
    def segment(
        self,
        image: Any,
        classes: Classes,
        things: Iterable[str] | None = None,
        background: Classes | None = BACKGROUND,
        masks: Any = None,
    ) -> Segmentation:
        """Segment one image into the given classes.

        image: whatever ``read_image`` takes, or an ``EncodedImage``. classes, things: as in ``encode_text``.
        background: classes that compete with yours, but for those that mean nearly the same as one of yours; pixels
            that they win belong to no class. "auto": those of COCO-Stuff, and none where ``classes`` is a built-in
            list or the masks are given. None or "none": every pixel goes to one of your classes, as in evaluation.
        masks: as in ``classify``, in place of the model's own proposals, for the out-of-vocabulary classifier alone.
            Each stays one segment of the result, with exactly its pixels; an empty one has no class.
        Raises ImageError, VocabularyError, MaskError, or MaskAdapterError when the weights hold no proposal head."""
        encoded = self.encode_image(image, masks)
        if encoded.proposals is None:
            needed = "give masks, load them with masks='sam:NAME', or load a segmenter's file with adapter=<this file>"
            raise MaskAdapterError(f"these weights hold no mask generator: {needed}")
        vocabulary = self.encode_text(classes, things)
        competing, count, background_list = vocabulary, len(vocabulary.vocabulary), None
        others = competing_classes(vocabulary.vocabulary, background, encoded.given_by_user)
        if others is not None:
            usual = self.encode_text(COMPETING)
            others = usual if others == usual.vocabulary else self.encode_text(others)
            competing = vocabulary.with_background(others, usual.confusable_similarity(CONFUSABLE))
            background_list = others.vocabulary.name
        probs, estimated = self.class_probs(encoded.features, encoded.proposals, encoded.mask_embeddings, competing)
        refuse_nan(probs)
        logits, names, fixed = encoded.proposals.mask_logits[0], competing.vocabulary.names, None
        if encoded.given_masks is not None:
            numbers = probs[0].float().cpu().numpy()
            fixed = classified(encoded.given_masks, numbers, vocabulary.vocabulary, (*names[count:], "(nothing)"))
            logits = logits.new_zeros(0, *logits.shape[1:])  # of no further use, and large
        found = (encoded.image, vocabulary.vocabulary, logits, probs[0], encoded.sizes)
        inference, file_name = self.inference, encoded.file_name or "image.png"
        settings = (self.semantic_order, inference.overlap_threshold, inference.join_touching, file_name)
        return Segmentation(*found, names[count:], *settings, background_list, fixed, estimated)

    @torch.inference_mode()
    def classify(self, image: Any, masks: Any, classes: Classes) -> Classification:
        """Classify given masks by the out-of-vocabulary classifier alone: no proposal head, no void.

        image, classes: as in ``segment``. masks: whatever ``mask_parts`` takes, as (N, H, W) bool at the image's own
            size, a file, COCO annotations, detections; they may overlap. An empty mask has no class; however small
            another is, it has one. Or a ``MaskSource``, which gets the original image, or the name of one such as
            ``"sam:NAME"``, which is loaded for this call."""
        encoded, vocabulary = self.encode_image(image, masks), self.encode_text(classes)
        if encoded.proposals is None or encoded.given_masks is None:
            raise MaskError("no masks were given: classify needs masks; segment finds some of its own")
        embeddings, classifier = self.given_embeddings(encoded), self.text_classifier(vocabulary)
        logits = self.out_of_vocabulary_logits(encoded.features, embeddings, classifier)
        refuse_nan(logits)
        probs = logits[0, :, :-1].softmax(dim=-1).float()
        probs[is_empty(encoded.proposals.mask_logits)[0]] = torch.nan  # nothing of the image was pooled
        found = classified(encoded.given_masks, probs.cpu().numpy(), vocabulary.vocabulary)
        return Classification(encoded.image, vocabulary.vocabulary, found, encoded.file_name or "image.png")

    @torch.inference_mode()
    def activation_maps(self, image: Any, masks: Any) -> ActivationMaps:
        """Where CLIP's features are pooled for each mask; nowhere for an empty one. image, masks: as in ``classify``,
        or a ``Segmentation`` for its largest segments, as its ``save`` draws them."""
        if isinstance(masks, Segmentation):
            masks = masks_of(masks.largest_segments(), masks.size)
        encoded = image if isinstance(image, EncodedImage) else self.encode_image(image, masks=[])  # features alone
        features, sizes = encoded.features, encoded.sizes
        logits, _ = mask_logits(masks, encoded.image, sizes, encoded.file_name, features.dense.device)
        weights = self.pooler.weights(features, self._as_given(features, logits[None]))[0]
        weights[is_empty(logits[None])[0]] = 0
        return ActivationMaps(weights.float().cpu().numpy(), sizes)

    def prepare(self, image: np.ndarray, size: InputSize | None = None) -> tuple[ImageBatch, ImageSizes]:
        """A batch of one image (H, W, 3) uint8, normalized and padded, and its sizes. size: instead of the model's."""
        original = (image.shape[0], image.shape[1])
        resized = (size or self.inference.input_size).of(original)
        images = [resize(image, resized)]
        pixels = to_batch(images, self.clip.size_divisor, self.clip.logit_scale.device)
        return ImageBatch(pixels, images), ImageSizes((pixels.shape[-2], pixels.shape[-1]), resized, original)

    def forward(self, inputs: ImageBatch, vocabulary: EncodedVocabulary) -> tuple[Tensor, Tensor]:
        """Mask logits (B, N, h, w) of the proposal head, and their class probabilities (B, N, K + 1), void last."""
        assert self.generator is not None
        features = self.clip.encode_image(inputs.pixels)
        proposals = self.generator(inputs, features)
        embeddings = self.mask_embeddings(inputs, features, proposals)
        return proposals.mask_logits, self.class_probs(features, proposals, embeddings, vocabulary)[0]

    def mask_embeddings(self, inputs: ImageBatch, features: ClipFeatures, proposals: Proposals) -> Tensor | None:
        """CLIP embeddings of proposals (B, N, D); None where they are pruned, which depends on the classes."""
        if self.inference.prune_proposals and isinstance(self.pooler, AdapterPooler):
            return None
        made = proposals.class_embeddings is not None
        mask_logits = proposals.mask_logits if made else self._as_given(features, proposals.mask_logits)
        return self.pooler(inputs.pixels, features, mask_logits, self.clip.project)

    def given_embeddings(self, encoded: EncodedImage) -> Tensor:
        """CLIP embeddings (1, N, D) of the masks that an image was encoded with, all computed, none pruned."""
        if encoded.mask_embeddings is not None:
            return encoded.mask_embeddings
        assert isinstance(self.pooler, AdapterPooler)
        assert encoded.proposals is not None
        return self.pooler.embed(encoded.features, self.pooler.binary(encoded.proposals.mask_logits), self.clip.project)

    def _as_given(self, features: ClipFeatures, mask_logits: Tensor) -> Tensor:
        """Logits (B, N, h, w) of masks from outside the model, of which the pooler shall lose none."""
        return self.pooler.keep_small(features, mask_logits) if isinstance(self.pooler, MaskPooling) else mask_logits

    def class_probs(
        self, features: ClipFeatures, proposals: Proposals, embeddings: Tensor | None, vocabulary: EncodedVocabulary
    ) -> tuple[Tensor, np.ndarray | None]:
        """Class probabilities of proposals (B, N, K + 1), void last, and which of the first image's follow from an
        estimate, (N,) bool, where proposals are pruned. embeddings: of ``mask_embeddings``."""
        text = self.text_classifier(vocabulary)
        class_logits = self.class_logits(proposals, text)
        text = self.transferred(text, features)

        def probs(embeddings: Tensor) -> Tensor:
            out_logits = text.logits(embeddings, self.clip.logit_scale)
            probs = self.combine(class_logits, out_logits, vocabulary.vocabulary, vocabulary.background)
            if class_logits is None:  # given masks: an empty one has no class
                void = F.one_hot(probs.new_tensor(probs.shape[-1] - 1).long()).to(probs)
                probs = torch.where(is_empty(proposals.mask_logits)[..., None], void, probs)
            return probs

        if embeddings is not None:
            return probs(embeddings), None
        assert isinstance(self.pooler, AdapterPooler)
        masks = proposals.mask_logits.float()
        embeddings, computed = pruned_embeddings(self.pooler, features, masks, self.clip.project, probs)
        return probs(embeddings), computed.estimated[0].cpu().numpy()

    def _refuse_converted(self) -> None:
        if (found := self.clip.logit_scale.dtype) != torch.float32:
            raise MaskAdapterError(f"this model was converted to {found}: load it again, with precision='bf16'")

    def text_classifier(self, vocabulary: EncodedVocabulary) -> TextClassifier:
        """Text embeddings as a classifier, with the void embedding, a learned unit vector, as the last."""
        void = F.normalize(self.void_embedding.weight, dim=-1)
        weights = torch.cat([vocabulary.text_embeddings.to(void), void])
        return TextClassifier(weights, vocabulary.vocabulary.group_sizes, vocabulary.names)

    def transferred(self, text: TextClassifier, features: ClipFeatures) -> TextClassifier:
        """The out-of-vocabulary classifier of each image: the text classifier itself, or what MAFT+ makes of it."""
        if self.text_transfer is not None:
            text = replace(text, weights=self.text_transfer(text.weights, features.projected))
        return self.own_classes.out_of_vocabulary(text) if self.own_classes else text

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor | None:
        """The in-vocabulary classifier: (B, N, K + 1), void last; None for masks that no proposal head made."""
        if self.generator is None or proposals.class_embeddings is None:
            return None
        text = self.own_classes.in_vocabulary(text) if self.own_classes else text
        return self.generator.class_logits(proposals, text)

    def out_of_vocabulary_logits(self, features: ClipFeatures, mask_embeddings: Tensor, text: TextClassifier) -> Tensor:
        """The out-of-vocabulary classifier: class logits (B, N, K + 1) of mask embeddings (B, N, D), void last."""
        return self.transferred(text, features).logits(mask_embeddings, self.clip.logit_scale)

    def combine(
        self, class_logits: Tensor | None, out_logits: Tensor, vocabulary: Vocabulary, background: int = 0
    ) -> Tensor:
        """Probabilities (B, N, K + 1), void last, of the in-vocabulary and the out-of-vocabulary classifier; of the
        second alone, without void, where there is no first. background: how many classes, the last, only compete."""
        if class_logits is None:
            return F.pad(out_logits[..., :-1].softmax(dim=-1), (0, 1))  # nothing predicts void
        alpha, beta = self.inference.alpha, self.inference.beta
        seen = torch.tensor(self.inference.seen(vocabulary, background), device=out_logits.device)
        probs = geometric_ensemble(class_logits[..., :-1], out_logits[..., :-1], seen, alpha, beta)
        return with_void(probs, class_logits)
