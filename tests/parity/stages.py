"""Every stage of one case, ours beside what the official code recorded, in the order of computation.

Each stage starts from our own result of the stage before, with two exceptions. A stage whose weights a golden file
leaves out passes the recorded result on. And where a threshold stands between two stages, the recorded masks are put
in: on another processor a logit of 2e-6 may come out as -3e-6, and one location more or less in a mask moves everything
behind it. Such a flip is looked for by itself: it is allowed only where the recorded logit lies within rounding of the
threshold.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.ensemble import geometric_ensemble, with_void
from maskadapter.models.mask_adapter import pooling_weights
from maskadapter.models.preprocess import resize, to_batch
from maskadapter.models.segmenter import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.results import postprocessing as postprocess
from maskadapter.results.upsampling import Upsampler
from maskadapter.types.encoded_image import ClipFeatures, ImageSizes
from parity.fixture import Recording

NO_IMAGES = torch.empty(0)  # neither way of embedding here looks at the images


def sampled(scores: Tensor) -> Tensor:
    """(K, H, W) -> every thirteenth pixel: the part of a score map that golden files keep."""
    return scores[:, ::13, ::13]


# Of the largest logit: a logit nearer to its threshold than this may come out on the other side of it.
NEAR = 1e-4


class Comparison(NamedTuple):
    """error: max |a - b| / max |b|, or the share of differing entries where ``share``. ambiguous: something before this
    stage depends on a logit within rounding of its threshold, and the recording holds nothing to put in its place."""

    stage: str
    error: float
    share: bool
    ambiguous: bool = False


class Stages:
    """Compares, and remembers which recorded tensors were met."""

    def __init__(self, recording: Recording, case: str) -> None:
        self.recording, self.case = recording, case
        self.met: set[str] = set()

    def recorded(self, name: str) -> Tensor | None:
        key = f"{self.case}.{name}"
        tensor = self.recording.get(key)
        if tensor is not None:
            self.met.add(key)
        return tensor

    def need(self, name: str) -> Tensor:
        tensor = self.recorded(name)
        assert tensor is not None, f"{self.recording.name} holds no {self.case}.{name}"
        return tensor

    def compare(self, name: str, ours: Tensor | np.ndarray, ambiguous: bool = False) -> Iterator[Comparison]:
        theirs = self.recorded(name)
        if theirs is None:
            return
        ours = torch.as_tensor(ours)
        assert ours.shape == theirs.shape, f"{name}: ours {tuple(ours.shape)}, recorded {tuple(theirs.shape)}"
        if theirs.is_floating_point():
            error = (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12)
            yield Comparison(name, float(error), share=False, ambiguous=ambiguous)
        else:
            yield Comparison(name, float((ours.long() != theirs.long()).float().mean()), share=True)

    def compare_binary(self, name: str, ours: Tensor, logits: Tensor, threshold: float = 0.0) -> Iterator[Comparison]:
        """Bool masks made of ``logits``, recorded under ``name``; flips within rounding of the threshold do not
        count."""
        theirs = self.recorded(name)
        if theirs is not None:
            yield Comparison(name, flips(ours, theirs.bool(), logits, threshold), share=True)


def flips(ours: Tensor, theirs: Tensor, logits: Tensor, threshold: float = 0.0) -> float:
    """Share of entries that differ although their logit is not within rounding of the threshold."""
    certain = (logits - threshold).abs() > NEAR * logits.abs().max()
    return float(((ours != theirs) & certain).float().mean())


def attended(mask_logits: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Where the queries of a decoder layer may look, (B, N, h * w) bool, and the logits that say so. Source: official
    MultiScaleMaskedTransformerDecoder: the masks at the level's size, everywhere where a mask is empty."""
    logits = F.interpolate(mask_logits, size, mode="bilinear", align_corners=False).flatten(-2)
    inside = logits.sigmoid() >= 0.5
    return inside | ~inside.any(dim=-1, keepdim=True), logits


@contextmanager
def near_thresholds(segmenter: OpenVocabularySegmenter) -> Iterator[list[str]]:
    """Collects which decoder layers get masks with logits within rounding of their threshold."""
    decoder, found = segmenter.generator.mask_decoder, []
    masks_of = decoder.masks

    def watched(queries: Tensor, pixels: Tensor) -> Tensor:
        logits = masks_of(queries, pixels)
        if bool((logits.abs() < NEAR * logits.abs().max()).any()):
            found.append("mask logits")
        return logits

    with mock.patch.object(decoder, "masks", watched):
        yield found


@torch.inference_mode()
def compare_case(recording: Recording, case: str, met: set[str]) -> Iterator[Comparison]:
    """All comparisons of one case. ``met`` is filled with the recorded keys that were used."""
    s = Stages(recording, case)
    segmenter = recording.build()
    features, rows = yield from compare_inputs(s, segmenter)
    encoded = EncodedVocabulary(recording.settings.vocabulary, rows)
    text = segmenter.text_classifier(encoded)
    yield from s.compare("text_classifier_in_decoder", text.weights)

    if recording.holds("generator."):
        class_logits, mask_logits = yield from _generator(s, segmenter, features, text)
    else:
        class_logits, mask_logits = s.need("pred_logits"), s.need("pred_masks")
    threshold = segmenter.pooler.mask_threshold
    masks = mask_logits.sigmoid() > threshold
    yield from s.compare_binary("adapter.in_masks", masks, mask_logits, float(torch.tensor(threshold).logit()))
    recorded_masks = s.recorded("adapter.in_masks")
    masks = masks if recorded_masks is None else recorded_masks.bool()
    yield from compare_adapter(s, segmenter, features, masks)
    if recording.holds("clip.model.visual.head.") and (
        segmenter.text_transfer is None or recording.holds("text_transfer.")
    ):
        out_logits = yield from _out_vocabulary(s, segmenter, features, torch.where(masks, 10.0, -10.0), text)
    else:
        out_logits = s.need("out_vocab_logits_with_void")
    probs = yield from _ensemble(s, class_logits, out_logits)
    recorded_probs = s.recorded("mask_cls_probs")
    yield from _results(s, mask_logits, probs if recorded_probs is None else recorded_probs)
    met |= s.met


def compare_inputs(s: Stages, segmenter: OpenVocabularySegmenter) -> Iterator[Comparison]:
    """From the image, or from the recorded features where a golden file begins."""
    if s.recording.golden:
        stages = ("res2", "res3", "res4", "res5") if s.recording.holds("generator.") else ("res5",)
        pyramid = {name: s.need(f"clip.{name}") for name in stages}
        features = ClipFeatures(pyramid, dense=pyramid["res5"], projected=s.need("clip_vis_dense_proj"))
        return features, s.need("text_classifier_novoid")

    original, image = s.recorded("orig_uint8_hwc"), s.recorded("image_uint8_chw")
    resized = resize(original.numpy(), tuple(image.shape[1:]))
    yield from s.compare("image_uint8_chw", np.ascontiguousarray(resized.transpose(2, 0, 1)))
    images = to_batch([resized], segmenter.clip.size_divisor)
    yield from s.compare("images_tensor", images)
    seen = _record_outputs({"stem": segmenter.clip.model.visual.trunk.stem})
    features = segmenter.clip.encode_image(images)
    yield from s.compare("clip.stem", seen["stem"])
    for name, level in features.pyramid.items():
        yield from s.compare(f"clip.{name}", level)
    yield from s.compare("clip.clip_vis_dense", features.dense)
    rows = segmenter.clip.encode_text(s.recording.settings.vocabulary.synonyms)
    yield from s.compare("text_classifier_novoid", rows)
    yield from s.compare("clip_vis_dense_proj", features.projected)
    return features, rows


def _generator(
    s: Stages, segmenter: OpenVocabularySegmenter, features: ClipFeatures, text: TextClassifier
) -> Iterator[Comparison]:
    decoder = segmenter.generator.mask_decoder
    pixel_embedding, levels = segmenter.generator.pixel_decoder(features.pyramid)
    for i, level in enumerate(levels):
        yield from s.compare(f"pixdec.multi_scale{i}", level)
    yield from s.compare("pixdec.mask_features", pixel_embedding)

    recorded_masks = [s.recorded(f"dec.pred_masks{i}") for i in range(len(decoder.layers))]
    looks: list[Comparison] = []
    for i, (layer, recorded) in enumerate(zip(decoder.layers, recorded_masks, strict=True)):
        if recorded is not None:
            size = levels[i % decoder.NUM_LEVELS].shape[-2:]
            layer.register_forward_pre_hook(partial(_look_where_recorded, f"dec.attention{i}", recorded, size, looks))
    seen = _record_outputs({str(i): layer for i, layer in enumerate(decoder.layers)})
    with near_thresholds(segmenter) as ambiguous:
        mask_logits, _ = decoder(pixel_embedding, levels)
    yield from looks
    queries = [decoder.query_feat.weight[None], *(seen[str(i)] for i in range(len(decoder.layers)))]
    for i, (query, recorded) in enumerate(zip(queries, recorded_masks, strict=False)):
        masks = decoder.masks(query, pixel_embedding)
        yield from s.compare(f"dec.pred_masks{i}", masks)
        masks = masks if recorded is None else recorded
        embeddings = decoder.class_embeddings(query, pixel_embedding, masks)
        yield from s.compare(f"dec.pred_logits{i}", text.logits(embeddings, decoder.logit_scale))
    uncertain = bool(ambiguous) and recorded_masks[0] is None
    yield from s.compare("pred_masks", mask_logits, uncertain)
    mask_logits = s.need("pred_masks")
    embeddings = decoder.class_embeddings(queries[-1], pixel_embedding, mask_logits)
    class_logits = text.logits(embeddings, decoder.logit_scale)
    yield from s.compare("pred_logits", class_logits, uncertain)
    return s.need("pred_logits") if uncertain else class_logits, mask_logits


def _look_where_recorded(
    stage: str,
    recorded: Tensor,
    size: torch.Size,
    found: list[Comparison],
    layer: nn.Module,
    inputs: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """Put the recorded masks in as what a layer's queries may attend to, its last input."""
    theirs, logits = attended(recorded, size)
    # A mask that is empty or not by one uncertain location is uncertain everywhere.
    uncertain = (logits.amax(dim=-1, keepdim=True).abs() < NEAR * logits.abs().max()).expand_as(theirs)
    found.append(Comparison(stage, flips(inputs[-1] | uncertain, theirs | uncertain, logits), share=True))
    return (*inputs[:-1], theirs)


def compare_adapter(
    s: Stages, segmenter: OpenVocabularySegmenter, features: ClipFeatures, masks: Tensor
) -> Iterator[Comparison]:
    """masks: (B, N, H, W), bool or 0 to 1."""
    adapter = segmenter.pooler.adapter
    parts = {"mask_downscaling": adapter.patchify, "fuse": adapter.fuse, "norm": adapter.norm, "final": adapter.final}
    parts |= {f"cnext{i}": block for i, block in enumerate(adapter.blocks, start=1)}
    seen = _record_outputs(parts)
    maps = adapter(features.projected, masks)
    for name, output in seen.items():
        yield from s.compare(f"adapter.{name}", output)
    yield from s.compare("adapter.raw_maps", maps.flatten(1, 2))
    weights = pooling_weights(maps)
    yield from s.compare("maps_for_pooling", weights.flatten(1, 2))
    if s.recording.holds("clip.model.visual.head."):
        pooled = torch.einsum("bnml,bcl->bnmc", weights, features.dense.flatten(-2))
        yield from s.compare("pooled_after_clip_head", segmenter.clip.project(pooled).flatten(1, 2))
        embeddings = segmenter.pooler.embed(features, masks, segmenter.clip.project)
        yield from s.compare("pooled_clip_feature", embeddings)


def _out_vocabulary(
    s: Stages, segmenter: OpenVocabularySegmenter, features: ClipFeatures, mask_logits: Tensor, text: TextClassifier
) -> Iterator[Comparison]:
    weights = text.weights
    if segmenter.text_transfer is not None:
        weights = segmenter.text_transfer(text.weights, features.projected)
        yield from s.compare("text_classifier_after_cdt", weights)
    yield from s.compare("text_classifier_final", weights)
    embeddings = segmenter.pooler(NO_IMAGES, features, mask_logits, segmenter.clip.project)
    out_logits = segmenter.out_of_vocabulary_logits(features, embeddings, text)
    yield from s.compare("out_vocab_logits_with_void", out_logits)
    return out_logits


def _ensemble(s: Stages, class_logits: Tensor, out_logits: Tensor) -> Iterator[Comparison]:
    in_probs, out_probs = class_logits[..., :-1].softmax(-1), out_logits[..., :-1].softmax(-1)
    yield from s.compare("in_vocab_cls_results", in_probs)
    yield from s.compare("out_vocab_cls_probs", out_probs)
    seen = torch.tensor(s.recording.settings.seen)
    yield from s.compare("category_overlapping_mask", seen)
    alpha, beta = s.recording.settings.alpha, s.recording.settings.beta
    logs = [(1 - weight) * in_probs.log() + weight * out_probs.log() for weight in (alpha, beta)]
    yield from s.compare("cls_logits_seen", logs[0] * seen)
    yield from s.compare("cls_logits_unseen", logs[1] * ~seen)
    yield from s.compare("cls_results", torch.where(seen, *logs))

    class_probs = geometric_ensemble(class_logits[..., :-1], out_logits[..., :-1], seen, alpha, beta)
    probs = with_void(class_probs, class_logits)
    yield from s.compare("is_void_prob", probs[..., -1:])
    yield from s.compare("mask_cls_probs", probs)
    yield from s.compare("mask_cls_results", (probs + 1e-8).log())
    yield from s.compare("mask_cls_result", probs[0, :, :-1])
    return probs


def _results(s: Stages, mask_logits: Tensor, probs: Tensor) -> Iterator[Comparison]:
    settings = s.recording.settings
    sizes = ImageSizes(**{name: tuple(size) for name, size in settings.frames[s.case].items()})
    padded = sizes.padded
    whole = Upsampler(mask_logits[0], ImageSizes(padded, padded, padded))
    yield from s.compare("mask_pred_results", whole.logits(slice(0, padded[0]))[None])
    masks = Upsampler(mask_logits[0], sizes)
    if settings.masks_first:
        yield from s.compare("mask_pred_post_sigmoid", masks.logits(slice(0, sizes.original[0])).sigmoid())
    else:
        yield from s.compare("mask_pred_post_sigmoid", whole.logits(slice(0, padded[0])).sigmoid())
    order = "masks-first" if settings.masks_first else "classes-first"
    scores = torch.cat([tile for _, tile in postprocess.semantic_scores(masks, probs[0], order)], dim=1)
    yield from s.compare("sem_seg", scores)
    yield from s.compare("sem_seg_sampled", sampled(scores))

    if s.recorded("panoptic_seg") is not None:
        panoptic = postprocess.panoptic_map(
            masks, probs[0], settings.vocabulary.is_thing, settings.overlap_threshold, settings.score_threshold
        )
        yield from s.compare("panoptic_seg", panoptic.ids)
        ours = [{"id": x.id, "isthing": x.is_thing, "category_id": x.label} for x in panoptic.segments]
        yield Comparison("segments_info", float(ours != settings.segments[s.case]), share=True)
    if s.recorded("inst_scores") is not None:
        yield from _instances(s, masks, probs[0])


def _instances(s: Stages, masks: Upsampler, probs: Tensor) -> Iterator[Comparison]:
    """As a set: the official order is that of an unsorted top-k. Pairs are found by class and mask."""
    settings = s.recording.settings
    found = postprocess.instances(masks, probs, settings.vocabulary.is_thing, settings.top_instances)
    classes, scores = s.recorded("inst_pred_classes").numpy(), s.recorded("inst_scores").numpy()
    images = s.recorded("inst_pred_masks").numpy().astype(bool)
    assert len(found.scores) == len(scores), f"{len(found.scores)} instances, {len(scores)} recorded"
    left = list(range(len(scores)))
    score_error, differing = 0.0, 0.0
    for label, score, mask in zip(found.labels, found.scores, found.masks, strict=True):
        same = [j for j in left if classes[j] == label]
        assert same, f"class {label} is found more often than recorded"
        best = min(same, key=lambda j: ((images[j] != mask).mean(), abs(scores[j] - score)))
        left.remove(best)
        score_error = max(score_error, abs(float(scores[best]) - float(score)))
        differing = max(differing, float((images[best] != mask).mean()))
    yield Comparison("inst_scores", score_error / float(scores.max()), share=False)
    yield Comparison("inst_pred_masks", differing, share=True)


def _record_outputs(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}
    for name, module in modules.items():
        module.register_forward_hook(lambda _, __, output, name=name: outputs.__setitem__(name, output))
    return outputs
