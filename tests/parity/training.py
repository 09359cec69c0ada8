"""One step of the official training, tensor by tensor: sampled masks, matches, losses, gradients, the optimizer."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.hub.checkpoints.key_names import to_ours
from maskadapter.models.classifier import EncodedVocabulary
from maskadapter.models.mask_adapter import pooling_weights
from maskadapter.models.preprocess import to_batch
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.training.adapter.iou_matching import mask_iou, match_by_iou, resize_masks, sample_matches
from maskadapter.training.adapter.stages import AdapterStage, Prepared
from maskadapter.training.batch import Batch, MaskTargets
from maskadapter.training.optimizer import parameter_groups
from maskadapter.training.recipe import Masks, TrainingQuirks
from maskadapter.types.encoded_image import ClipFeatures, ImageBatch, Proposals
from maskadapter.vocabulary.vocabulary import Vocabulary
from parity.fixture import Recording, Settings
from parity.stages import Comparison, Stages, near_thresholds

# What the three official packages do differently. Source: official code, see the recipes.
STAGES = {
    "fcclip": Masks(ground_truth=16, predicted=8, matching_threshold=0.4),
    "maft": Masks(ground_truth=16, predicted=8, matching_threshold=0.5),
    "mask_adapter": Masks(ground_truth=32),
}
QUIRKS = {
    "fcclip": TrainingQuirks(soft_mask_edges=True, unmatched_slots="empty"),
    "maft": TrainingQuirks(soft_mask_edges=True, unmatched_slots="full", detach_ground_truth=False),
    "mask_adapter": TrainingQuirks(),
}
LEARNING_RATE, CLIP_NORM = 1e-4, 1.0
WEIGHT_DECAY = {"fcclip": 0.05, "maft": 2e-5, "mask_adapter": 0.05}


def compare_step(recording: Recording, case: str, met: set[str]) -> Iterator[Comparison]:
    """All comparisons of one recorded training step. ``met`` is filled with the recorded keys that were used."""
    s = Stages(recording, case)
    segmenter = recording.build()
    segmenter.requires_grad_(False)
    segmenter.pooler.requires_grad_(True)
    segmenter.void_embedding.requires_grad_(_trains_void(recording.settings))
    settings = STAGES[recording.settings.package]
    slots = settings.ground_truth
    stage = AdapterStage(segmenter, settings, QUIRKS[recording.settings.package])
    if recording.golden:
        _stand_in(s, segmenter)
    batch = yield from _batch(s, segmenter)
    if segmenter.generator is not None and not recording.golden:
        yield from _proposals(s, segmenter, batch)
    generator = torch.Generator().manual_seed(recording.settings.train_seed)
    prepared = stage.prepare(batch, [generator] * len(batch.targets))

    yield from s.compare("clip_feature", prepared.features.dense)
    yield from s.compare("clip_vis_dense", prepared.features.projected)
    yield from s.compare("labels", prepared.labels[:, :slots])
    yield from s.compare("all_labels", prepared.labels)
    cells = prepared.masks.shape[-2:]
    masks = s.recorded("masks")
    if masks is not None:
        made = F.interpolate(masks.float(), cells, mode="bilinear")
        yield Comparison("masks", _error(prepared.masks[:, :slots], made), share=False)
    if settings.predicted:
        yield from _matches(s, stage, batch, prepared)
    yield from _losses(s, stage, prepared)
    yield from _update(s, stage, recording)
    met |= s.met


def compare_matching(recording: Recording, case: str, met: set[str]) -> Iterator[Comparison]:
    """The IoU matcher on constructed masks, with more matches than slots."""
    s = Stages(recording, case)
    settings = STAGES[recording.settings.package]
    generator = torch.Generator().manual_seed(recording.settings.match_seed)
    logits = s.need("pred_masks")
    size, labels = tuple(logits.shape[-2:]), []
    all_src, all_true = torch.zeros_like(s.need("src_masks")), torch.zeros_like(s.need("target_masks"))
    for index in range(len(logits)):
        small = resize_masks(s.need(f"gt_masks{index}"), size)
        iou = mask_iou(logits[index].sigmoid() >= settings.matching_threshold, small > 0.5)
        yield from s.compare(f"iou{index}", iou)
        matches = sample_matches(match_by_iou(iou, settings.iou_threshold, generator), settings.predicted, generator)
        chosen, true = matches
        all_src[index, : len(chosen)], all_true[index, : len(true)] = logits[index][chosen], small[true]
        classes = s.need(f"gt_labels{index}")[true]
        labels.append(F.pad(classes, (0, settings.predicted - len(classes)), value=-1))
    yield from s.compare("src_masks", all_src)
    yield from s.compare("target_masks", all_true)
    yield from s.compare("labels", torch.stack(labels))
    met |= s.met


class _Recorded(nn.Module):
    """Proposals that were recorded."""

    def __init__(self, mask_logits: Tensor) -> None:
        super().__init__()
        self.mask_logits = mask_logits

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        return Proposals(self.mask_logits)


class _RecordedTransfer(nn.Module):
    """Text embeddings that were recorded; they get no gradient, since MAFT+'s void embedding is frozen."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, rows: Tensor, projected: Tensor) -> Tensor:
        return self.rows


def _stand_in(s: Stages, segmenter: OpenVocabularySegmenter) -> None:
    """A golden file holds neither CLIP's trunk and text encoder, nor the generator, nor the transfer of text: what they
    gave takes their place."""
    assert s.recording.settings.package == "maft"
    features = ClipFeatures({}, s.need("clip_feature"), s.need("clip_vis_dense"))
    rows = s.need("text_classifier")
    segmenter.clip.encode_image = lambda images: features
    segmenter.clip.encode_text = lambda names: rows[0, :-1]
    segmenter.generator = _Recorded(s.need("mask_pred_results"))
    segmenter.text_transfer = _RecordedTransfer(rows)


def _batch(s: Stages, segmenter: OpenVocabularySegmenter) -> Iterator[Comparison]:
    images = [s.recorded(f"image{b}") for b in range(2)]
    sizes = [s.need(f"gt_masks{b}").shape[1:] for b in range(2)]
    images = to_batch(
        [
            np.zeros((*size, 3), np.uint8) if image is None else image.permute(1, 2, 0).numpy()
            for image, size in zip(images, sizes, strict=True)
        ],
        segmenter.clip.size_divisor,
    )
    targets = []
    for b in range(2):
        masks = s.need(f"gt_masks{b}").bool()
        padded = torch.zeros(len(masks), *images.shape[-2:], dtype=torch.bool)
        padded[:, : masks.shape[1], : masks.shape[2]] = masks
        targets.append(MaskTargets(padded, s.need(f"gt_classes{b}")).nonempty())
        yield from s.compare(f"targets{b}.masks", targets[b].masks.to(torch.uint8))
        yield from s.compare(f"targets{b}.labels", targets[b].classes)
    classes = tuple(map(tuple, s.recording.settings.train_classes))
    vocabulary = Vocabulary(classes, (True,) * len(classes))
    rows = segmenter.clip.encode_text(vocabulary.synonyms)
    yield from s.compare("text_classifier_novoid", rows)
    return Batch(images, targets, EncodedVocabulary(vocabulary, rows))


def _proposals(s: Stages, segmenter: OpenVocabularySegmenter, batch: Batch) -> Iterator[Comparison]:
    """The mask generator's masks. The recorded ones then take their place: what follows makes them binary."""
    with torch.no_grad():
        features = segmenter.clip.encode_image(batch.images)
        with near_thresholds(segmenter) as ambiguous:
            logits = segmenter.generator(ImageBatch(batch.images, ()), features).mask_logits
    yield from s.compare("mask_pred_results", logits, ambiguous=bool(ambiguous))
    segmenter.generator = _Recorded(s.need("mask_pred_results"))


def _matches(s: Stages, stage: AdapterStage, batch: Batch, prepared: Prepared) -> Iterator[Comparison]:
    """The stage's own masks against the recorded ones, which are at the size of the input; and the parts on the way."""
    segmenter, settings, slots = stage.segmenter, stage.masks, stage.masks.ground_truth
    with torch.no_grad():
        features = segmenter.clip.encode_image(batch.images)
        logits = segmenter.generator(ImageBatch(batch.images, ()), features).mask_logits
    for b, targets in enumerate(batch.targets):
        small = resize_masks(targets.masks, tuple(logits.shape[-2:]))
        yield from s.compare(f"iou{b}", mask_iou(logits[b].sigmoid() >= settings.matching_threshold, small > 0.5))
    yield from s.compare("mask_labels", prepared.labels[:, slots : slots + settings.predicted])
    yield from s.compare("match.matched_labels", prepared.labels[:, slots + settings.predicted :])
    cells, size = prepared.masks.shape[-2:], batch.images.shape[-2:]
    if s.recorded("mask_pred") is None:
        return
    # What is recorded at stride 4 comes to the input's size as the stage brings it there.
    src, true = s.need("match.matched_src_masks"), s.need("match.matched_target_masks")
    unmatched = prepared.labels[:, slots : slots + settings.predicted, None, None] == -1
    binary = (src.sigmoid() > segmenter.pooler.mask_threshold).float()
    assert bool((torch.where(unmatched, src, 0) == 0).all())
    upsampled = F.interpolate(binary, size, mode="bilinear")
    yield from s.compare("binary_src_masks", upsampled)
    yield from s.compare("src_masks", src)
    yield from s.compare("target_masks", F.interpolate(true, size, mode="bilinear"))
    made = F.interpolate(s.need("mask_pred"), cells, mode="bilinear")
    yield Comparison("mask_pred", _error(prepared.masks, made), share=False)


def _losses(s: Stages, stage: AdapterStage, prepared: Prepared) -> Iterator[Comparison]:
    segmenter, features = stage.segmenter, prepared.features
    with torch.no_grad():
        maps = segmenter.pooler.adapter(features.projected, prepared.masks)
        yield from s.compare("outputs", maps.flatten(1, 2))
        yield from s.compare("semantic_activation_maps", maps.flatten(1, 2))
        yield from s.compare("maps_for_pooling", pooling_weights(maps).flatten(1, 2))
        embeddings = segmenter.pooler.embed(features, prepared.masks, segmenter.clip.project)
        yield from s.compare("pooled_clip_feature", embeddings)
        text = segmenter.text_classifier(prepared.vocabulary)
        text = segmenter.transferred(text, features)
        yield from s.compare("text_classifier", text.weights)
        yield from s.compare("mask_cls_results", text.logits(embeddings, segmenter.clip.logit_scale))
    losses = stage(prepared, prepared.counts())
    sum(losses.values()).backward()
    for name, theirs in {"classification": "loss_ce", "consistency": "loss_cosine"}.items():
        if name in losses:
            yield _loss(s, theirs, losses[name])
            if s.recorded(f"{theirs}_unweighted") is not None:
                yield _loss(s, f"{theirs}_unweighted", losses[name] / stage.weights[name])


def _update(s: Stages, stage: AdapterStage, recording: Recording) -> Iterator[Comparison]:
    """Gradients, and the parameters after one step of AdamW on clipped gradients."""
    named = dict(stage.segmenter.named_parameters())
    for key in [key for key in recording.tensors if key.startswith("train.grad.")]:
        name = key.removeprefix("train.")
        yield from s.compare(name, named[to_ours(name.removeprefix("grad."))].grad)
    trained = [parameter for parameter in named.values() if parameter.requires_grad]
    assert all((parameter.grad is not None) for parameter in trained)
    norm = torch.nn.utils.clip_grad_norm_(trained, CLIP_NORM)
    if recording.settings.grad_norm is not None:
        yield Comparison("grad_norm", abs(float(norm) / recording.settings.grad_norm - 1), share=False)
    groups = parameter_groups(stage, _weight_decay(recording.settings), "official")
    torch.optim.AdamW(groups, lr=LEARNING_RATE).step()
    for key in [key for key in recording.tensors if key.startswith("train.after_step.")]:
        name = key.removeprefix("train.")
        yield from s.compare(name, named[to_ours(name.removeprefix("after_step."))].detach())


def _trains_void(settings: Settings) -> bool:
    """As recorded; golden files do not say, and MAFT+'s mixed stage alone freezes the void embedding."""
    if settings.trainable is None:
        return settings.package != "maft"
    return "void_embedding.weight" in settings.trainable


def _weight_decay(settings: Settings) -> float:
    return WEIGHT_DECAY[settings.package] if settings.weight_decay is None else settings.weight_decay


def _loss(s: Stages, name: str, ours: Tensor) -> Comparison:
    """The difference itself: 1 - cosine is a small number between large ones, and has few digits."""
    return Comparison(name, float((ours.detach() - s.need(name)).abs()), share=False)


def _error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())
