"""Make a predictor for ``evaluate`` from a model and the switches that the paper's tables differ in."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import __version__ as pillow_version

from maskadapter.data import Dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.hub import ModelSource, assemble, facts, identified, is_bare, load
from maskadapter.hub.zoo import folder_sha256, sha256_of
from maskadapter.models import AdapterConfig, NormPlacement, OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler
from maskadapter.models.sources import SegmentAnything, is_source, mask_source, parsed
from maskadapter.pipelines.mask_files import MASK_SUFFIXES
from maskadapter.pipelines.predictor import MasksInFiles, Predictor, folder_facts
from maskadapter.pipelines.switches import GROUND_TRUTH, Branch, check_switches
from maskadapter.system.paths import user_path
from maskadapter.vocabulary import Vocabulary, competing_classes

_WEIGHT_OF_CLIP: Mapping[Branch, float] = {"in-vocabulary": 0.0, "out-of-vocabulary": 1.0}

# Source: the official configurations of these sets ask for the semantic result alone, and the official code then
# upsamples the class map instead of the masks. On A-150 each model has its own order.
_CLASSES_FIRST = ("ade20k-847", "pascal-context-459", "pascal-context-59", "pascal-voc-20")


def model_predictor(
    source: ModelSource,
    dataset: Dataset,
    *,
    device: str = "cpu",
    branch: Branch = "ensemble",
    alpha: float | None = None,
    beta: float | None = None,
    masks: str | Path | None = None,
    transfer_norm: NormPlacement | None = None,
    prune_proposals: bool = False,
    background: str | None = None,
) -> Predictor:
    """Load a model and return its predictor for the classes of a data set.

    source, device, prune_proposals: as ``maskadapter.load`` takes them; metrics are reproduced without pruning, and in
        fp32 unless the source has a precision.
    branch: see ``Branch``. alpha, beta: 0 to 1, the out-of-vocabulary classifier's weight for seen and unseen classes,
        instead of the model's own. transfer_norm: see ``ContentDependentTransfer``, instead of the model's own.
    masks: None for the model's own generator; ``ground-truth``, whose masks are only classified (metric ``masks``);
        ``sam:NAME``, ``segmenter:NAME`` or ``superpixels``; or a folder of masks or one file of them, see
        ``MasksInFiles``. All but the first are classified out of vocabulary.
    background: classes that compete with the data set's, as in ``segment``; the pixels that they win count as wrong.
        None or "none": every pixel gets a class of the data set, as in the paper.
    Raises MaskAdapterError for switches that contradict each other, and what ``load`` raises.
    """
    check_switches(branch, alpha, beta, masks, background)
    if masks not in (None, GROUND_TRUTH) and not is_source(str(masks)):
        masks = user_path(masks, MaskAdapterError)
    competing = competing_classes(dataset.vocabulary, background)
    segmenter, name_and_pooler, settings = _load(source, device)
    if masks is None and segmenter.generator is None:
        raise MaskAdapterError(
            f"{name_and_pooler[0]} has no mask generator: give masks (ground-truth, sam:NAME, superpixels or a folder)"
            ", or the segmenter's file as model and this one as adapter"
        )
    if segmenter.text_transfer is None and transfer_norm is not None:
        raise MaskAdapterError(f"{name_and_pooler[0]} has no text transfer, which MAFT+ has: leave transfer_norm out")
    own_or_source = masks is None or is_source(str(masks))
    if masks is not None and own_or_source:
        segmenter.mask_source = mask_source(str(masks), device)
    if prune_proposals and not (isinstance(segmenter.pooler, AdapterPooler) and own_or_source):
        raise MaskAdapterError("only proposals of a model with Mask-Adapter can be pruned: leave prune_proposals out")
    own, quirks = segmenter.inference, segmenter.quirks
    segmenter.inference = replace(
        own,
        alpha=_WEIGHT_OF_CLIP.get(branch, own.alpha if alpha is None else alpha),
        beta=_WEIGHT_OF_CLIP.get(branch, own.beta if beta is None else beta),
        prune_proposals=prune_proposals,
    )
    segmenter.quirks = replace(
        quirks,
        transfer_norm=transfer_norm or quirks.transfer_norm,
        semantic_order="classes-first" if dataset.name in _CLASSES_FIRST else quirks.semantic_order,
    )
    settings |= _mask_settings(segmenter, masks) | _settings(segmenter, dataset.vocabulary, branch, masks)
    if own_or_source:
        settings["background"] = (
            "none" if competing is None else (competing.name or ["|".join(names) for names in competing.classes])
        )
    encoded = segmenter.encode_text(dataset.vocabulary)
    if masks == GROUND_TRUTH:
        return Predictor(partial(segmenter.classify, classes=encoded), settings, ("masks",), own.seen_in)
    if masks is not None and not own_or_source:
        return Predictor(MasksInFiles(segmenter, encoded, Path(masks)), settings, None, own.seen_in)
    as_published = (masks, alpha, beta, competing) == (None,) * 4 and transfer_norm in (None, quirks.transfer_norm)
    if isinstance(segmenter.pooler, AdapterPooler):  # of another design than the paper's?
        design = replace(segmenter.pooler.adapter.config, mask_threshold=AdapterConfig.mask_threshold)
        as_published = as_published and design == AdapterConfig()
    predict = partial(segmenter.segment, classes=encoded, background=competing)
    return Predictor(predict, settings, None, own.seen_in, name_and_pooler if as_published else None)


def _load(source: ModelSource, device: str) -> tuple[OpenVocabularySegmenter, tuple[str, str], dict[str, Any]]:
    """The model, its name and pooler, and what the report says about its weights."""
    source = replace(source, precision=source.precision or "fp32")
    if is_bare(source.name):
        name, pooler = str(source.name), source.pooler or "pooling"
        return load(source, device=device), (name, pooler), {"model": f"a CLIP with {pooler}", **facts(name)}
    checkpoint, architecture = identified(source)
    files = {"weights": checkpoint.source} | ({"adapter's weights": checkpoint.adapter} if checkpoint.adapter else {})
    hashes = {what: f"{path.name}, sha256 {sha256_of(path)}" for what, path in files.items()}
    segmenter = assemble(checkpoint, architecture, device, source.precision or "fp32")
    return segmenter, (architecture.name, architecture.pooler), {"model": str(architecture), **hashes}


def _mask_settings(segmenter: OpenVocabularySegmenter, masks: str | Path | None) -> dict[str, Any]:
    if masks is None or masks == GROUND_TRUTH:
        return {"masks": "the model's own" if masks is None else GROUND_TRUTH}
    if is_source(str(masks)):
        settings: dict[str, Any] = {"masks": str(masks)}
        name = parsed(str(masks)).name
        if name and Path(name).is_dir():
            settings["weights of the masks"] = f"sha256 {folder_sha256(Path(name))}"
        if isinstance(segmenter.mask_source, SegmentAnything):
            settings["points"] = segmenter.mask_source.options.model_dump()
        return settings
    path = Path(masks).resolve()
    if path.is_file():
        return {"masks": f"{path.name}, sha256 {sha256_of(path)}"}
    files = (file for file in path.rglob("*") if file.suffix in MASK_SUFFIXES)
    return {"masks": f"folder {path.name}", **folder_facts(path, files)}


def _settings(
    segmenter: OpenVocabularySegmenter, vocabulary: Vocabulary, branch: Branch, masks: str | Path | None
) -> dict[str, Any]:
    inference, settings = segmenter.inference, dict[str, Any]()
    if masks is None:
        trained_on = inference.seen_in if isinstance(inference.seen_in, str) else "the model's own training list"
        seen = sum(inference.seen(vocabulary))
        settings |= {
            "branch": branch,
            "alpha": inference.alpha,
            "beta": inference.beta,
            "seen by the ensemble": f"{seen} of {len(vocabulary)}, which share a synonym with {trained_on}",
            "semantic order": segmenter.quirks.semantic_order,
            "overlap threshold": inference.overlap_threshold,
        }
        if inference.prune_proposals:
            settings["proposals"] = "pruned to those that can change the result"
    if segmenter.text_transfer is not None:
        settings["norm of the text transfer"] = segmenter.text_transfer.norm_placement
    if isinstance(segmenter.pooler, AdapterPooler):
        settings["mask threshold"] = segmenter.pooler.mask_threshold
    size, shorter = inference.input_size, f"shorter side {inference.input_size.shortest}, longer side at most "
    return settings | {
        "input size": f"{'longer side ' if size.shortest == size.longest else shorter}{size.longest}",
        "resized by": f"Pillow {pillow_version}, bilinear",
        "device": segmenter.clip.logit_scale.device.type,
        "precision": segmenter.precision,
    }
