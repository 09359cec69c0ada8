"""The official warm-up package's evaluation of ground-truth masks, up to the class of every mask and the semantic
result.

It has quirks that are followed here and nowhere in the package: masks are stretched to the padded size instead of being
padded, and the softmax is taken twice. Its panoptic and instance results, made from such numbers by thresholds that
belong to logits, are left out by name.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from maskadapter.models.classifier import EncodedVocabulary
from maskadapter.types.target import Target
from parity.fixture import Recording
from parity.stages import Comparison, Stages, compare_adapter, compare_inputs

LEFT_OUT = ("panoptic_seg", "inst_pred_masks", "inst_scores", "inst_pred_classes")


@torch.inference_mode()
def compare_ground_truth_masks(recording: Recording, case: str, met: set[str]) -> Iterator[Comparison]:
    s = Stages(recording, case)
    segmenter = recording.build()
    features, rows = yield from compare_inputs(s, segmenter)
    labels = s.need("labels").numpy()
    target = Target.of_labels(np.where(labels == 255, -1, labels))
    yield from s.compare("gt_class_label", torch.from_numpy(target.classes)[None].float())
    masks = torch.from_numpy(target.masks())[None].float()
    yield from s.compare("adapter.in_masks", masks)
    yield from compare_adapter(s, segmenter, features, masks)

    text = segmenter.text_classifier(EncodedVocabulary(recording.settings.vocabulary, rows))
    yield from s.compare("text_classifier_in_decoder", text.weights)
    if segmenter.text_transfer is not None:
        text = segmenter.transferred(text, features)
        yield from s.compare("text_classifier_after_cdt", text.weights)
    yield from s.compare("text_classifier_final", text.weights)
    logits = text.logits(segmenter.pooler.embed(features, masks, segmenter.clip.project), segmenter.clip.logit_scale)
    yield from s.compare("out_vocab_logits_with_void", logits)
    probs = logits.softmax(dim=-1)
    yield from s.compare("mask_cls_results", probs)
    stretched = F.interpolate(masks, s.need("images_tensor").shape[-2:], mode="bilinear")
    yield from s.compare("mask_pred_results", stretched)
    sizes = recording.settings.frames[case]
    cropped = stretched[..., : sizes["resized"][0], : sizes["resized"][1]]
    sized = F.interpolate(cropped, tuple(sizes["original"]), mode="bilinear")[0]
    yield from s.compare("mask_pred_post_sigmoid", sized)
    class_probs = probs[0].softmax(dim=-1)[:, :-1]
    yield from s.compare("mask_cls_result", class_probs)
    yield from s.compare("sem_seg", torch.einsum("nk,nhw->khw", class_probs, sized))
    met |= s.met | {f"{case}.{name}" for name in LEFT_OUT}
