"""What is put to the test: a model with the paper's switches, or the predictions of another program."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import __version__ as pillow_version

from maskadapter.data.catalog import known_set
from maskadapter.data.dataset import Dataset, Sample
from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.evaluation.evaluator import Metric
from maskadapter.evaluation.predictions import PanopticImages, Predictions, file_of, read_predictions
from maskadapter.hub.assembling import assemble
from maskadapter.hub.bare_clip import facts, is_bare
from maskadapter.hub.download import folder_sha256, sha256_of
from maskadapter.hub.loading import identified, load
from maskadapter.hub.model_source import ModelSource
from maskadapter.hub.model_zoo import WEIGHTS, WITHOUT_ENSEMBLE
from maskadapter.io.masks import read_masks
from maskadapter.models.build import Architecture
from maskadapter.models.config import AdapterConfig, NormPlacement
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.models.sources.mask_source import is_source, mask_source, parsed
from maskadapter.models.sources.segment_anything import SegmentAnything
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.image_sizes import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary

Branch = Literal["ensemble", "in", "out"]
"""Whose opinion of the generator's proposals counts: both, the generator's alone, the embedding's alone. Source: paper,
Tables 2 and 11."""

PROPOSALS = (".png", ".npy", ".json")
"""Ends of files of masks, the first that is there counts."""

_WEIGHT_OF_CLIP: Mapping[Branch, float] = {"in": 0.0, "out": 1.0}

_IN_THE_PAPER = {
    "ade20k-150": "A-150",
    "ade20k-847": "A-847",
    "pascal-context-459": "PC-459",
    "pascal-context-59": "PC-59",
    "pascal-voc-20": "PAS-20",
}

# Source: the official configurations of these sets ask for the semantic result alone, and the official code then
# enlarges the map of classes instead of the masks. On A-150 each model has its own order.
_CLASSES_FIRST = ("ade20k-847", "pascal-context-459", "pascal-context-59", "pascal-voc-20")


@dataclass(frozen=True)
class Subject:
    """What ``evaluate`` needs to know of what it judges.

    predict, metrics, settings, paper: its arguments. trained_on: the list that the model was trained on, for
    ``Split.of``; None where it is not known.
    """

    predict: Any
    settings: Mapping[str, Any]
    metrics: tuple[Metric, ...] | None = None
    trained_on: str | tuple[str, ...] | None = None
    paper: Mapping[str, float] = field(default_factory=dict)


def predictions_in(path: str | Path, dataset: Dataset, annotations: str | Path | None = None) -> Subject:
    """Predictions of another program, see ``read_predictions``."""
    predictions = read_predictions(path, dataset.vocabulary, annotations)
    path = Path(path).resolve()
    settings: dict[str, Any] = {"predictions": path.name}
    if path.is_dir():
        settings |= _contents(path, path.rglob("*.png"))
    else:
        settings["sha256"] = sha256_of(path)
        if isinstance(predictions, PanopticImages):
            settings |= _contents(predictions.folder.resolve(), (file.resolve() for file in predictions.images))
        if annotations is not None:
            settings["annotations"] = f"{Path(annotations).name}, sha256 {sha256_of(Path(annotations))}"
    return Subject(predictions, settings)


def _contents(folder: Path, files: Iterable[Path]) -> dict[str, Any]:
    """What tells a folder's files from those of another, without reading them."""
    listed = sorted((os.path.relpath(file, folder), file.stat().st_size) for file in files if file.is_file())
    return {"files": len(listed), "names and sizes": sha256(repr(listed).encode()).hexdigest()[:16]}


def model(
    source: ModelSource,
    dataset: Dataset,
    *,
    device: str = "cpu",
    branch: Branch = "ensemble",
    alpha: float | None = None,
    beta: float | None = None,
    proposals: str | Path = "generator",
    transfer_norm: NormPlacement | None = None,
    prune_proposals: bool = False,
) -> Subject:
    """A model of this project on a data set's classes; every pixel goes to one of them.

    source: which weights. device: as ``maskadapter.load`` takes it.
    branch: see ``Branch``. alpha, beta: 0 to 1, CLIP's weight for seen and unseen classes, instead of the model's own.
    proposals: ``generator``; ``ground-truth``, the ground-truth masks, of which only the names are judged (measure
        ``masks``); or, named by the embedding alone, another generator's, ``sam:NAME``, ``segmenter:NAME`` or
        ``superpixels``, or those in a folder, of every image ``<stem>.png``, ``.npy`` or ``.json`` as ``read_masks``
        takes them.
    transfer_norm: where MAFT+'s text transfer has its norm, see ``ContentDependentTransfer``, instead of the model's
        own place.
    fast: as ``maskadapter.load`` takes it; numbers that are to be reproduced are computed without.
    Raises MaskAdapterError for switches that contradict each other, and what ``load`` raises.
    """
    if proposals != "generator" and (branch == "in" or alpha is not None or beta is not None):
        raise MaskAdapterError("only the generator's own proposals have two opinions: leave branch, alpha and beta out")
    if branch != "ensemble" and (alpha is not None or beta is not None):
        raise MaskAdapterError(f"branch '{branch}' sets alpha and beta: leave them out")
    for weight, value in (("alpha", alpha), ("beta", beta)):
        if value is not None and not 0 <= value <= 1:
            raise MaskAdapterError(f"{weight} is {value}; a number from 0 to 1 is needed")
    other = mask_source(str(proposals), device) if is_source(str(proposals)) else None
    if proposals not in ("generator", "ground-truth") and other is None and not Path(proposals).is_dir():
        raise MaskAdapterError(
            f"no proposals '{proposals}': give generator, ground-truth, sam:NAME, segmenter:NAME, "
            "superpixels or a folder of masks"
        )
    segmenter, architecture, settings = _loaded(source, device)
    if proposals == "generator" and segmenter.generator is None:
        raise MaskAdapterError(
            f"{source.name} holds no mask generator: evaluate it with proposals ground-truth, sam:NAME, superpixels or a "
            "folder, or give the segmenter's file and this one as adapter"
        )
    proposed = proposals == "generator" or other is not None
    if other is not None:
        segmenter.mask_source = other
    if prune_proposals and (not proposed or not isinstance(segmenter.pooler, AdapterPooler)):
        raise MaskAdapterError("only the adapter of a generator's proposals can be computed in part: leave fast out")
    own, quirks = segmenter.inference, segmenter.quirks
    if segmenter.text_transfer is None and transfer_norm is not None:
        raise MaskAdapterError(f"{architecture.name} has no text transfer, which MAFT+ has: leave transfer-norm out")
    weight_of_clip = _WEIGHT_OF_CLIP.get(branch)
    segmenter.inference = replace(
        own,
        alpha=next(value for value in (weight_of_clip, alpha, own.alpha) if value is not None),
        beta=next(value for value in (weight_of_clip, beta, own.beta) if value is not None),
        prune_proposals=prune_proposals,
    )
    segmenter.quirks = replace(
        quirks,
        transfer_norm=transfer_norm or quirks.transfer_norm,
        semantic_order="classes-first" if dataset.name in _CLASSES_FIRST else quirks.semantic_order,
    )
    settings |= _told(segmenter, dataset.vocabulary, branch, proposals)
    encoded = segmenter.encode_text(dataset.vocabulary)
    trained_on = own.seen_in
    if proposals == "ground-truth":
        classify = lambda image, masks: segmenter.classify(image, masks, encoded)  # noqa: E731
        return Subject(classify, settings, ("masks",), trained_on)
    if not proposed:
        return Subject(GivenProposals(segmenter, encoded, Path(proposals)), settings, None, trained_on)
    as_published = other is None and alpha is None and beta is None and transfer_norm in (None, quirks.transfer_norm)
    adapter = segmenter.pooler.adapter.config if isinstance(segmenter.pooler, AdapterPooler) else None
    paper = published(architecture, dataset, branch, adapter) if as_published else {}
    predict = lambda image: segmenter.segment(image, encoded, background=None)  # noqa: E731
    return Subject(predict, settings, None, trained_on, paper)


def published(
    architecture: Architecture, dataset: Dataset, branch: Branch = "ensemble", adapter: AdapterConfig | None = None
) -> dict[str, float]:
    """The paper's figures for a model on a whole data set, in percent by measure; nothing where it has none.

    They are of the published adapter, and of the data set's semantic labels: on ADE20K those that follow from another
    truth are others. Of ``out`` the paper has A-150's alone (Table 2), of ``in`` none.
    """
    if dataset.name not in _IN_THE_PAPER or len(dataset) != known_set(dataset.name).splits["val"].count:
        return {}
    other_adapter = adapter and replace(adapter, mask_threshold=0.5) != AdapterConfig()
    if dataset.task != "semantic" or other_adapter:
        return {}
    which = (architecture.name, architecture.pooler)
    if branch == "out" and dataset.name == "ade20k-150" and which in WITHOUT_ENSEMBLE:
        return dict(zip(("mIoU seen", "mIoU unseen", "mIoU"), WITHOUT_ENSEMBLE[which], strict=True))
    figures = {(weights.model, weights.pooler): weights.miou for weights in WEIGHTS}
    if branch == "ensemble" and which in figures:
        return {"mIoU": figures[which][_IN_THE_PAPER[dataset.name]]}
    return {}


@dataclass(frozen=True)
class GivenProposals(Predictions):
    """Masks from files, named by a model's pooler."""

    segmenter: OpenVocabularySegmenter
    encoded: EncodedVocabulary
    folder: Path
    metrics = ("semantic", "panoptic", "instance")

    def source(self, name: str) -> Path | None:
        return file_of(self.folder, name, PROPOSALS)

    def of(self, sample: Sample) -> Segmentation:
        path, size = self.source(sample.name), sample.target.size
        if path is None:
            raise MaskError(f"no proposals in {self.folder}: {Path(sample.name).stem}{', '.join(PROPOSALS)} is needed")
        masks = read_masks(path, size, Path(sample.name).name)
        named = torch.from_numpy(self.segmenter.classify(sample.image, masks, self.encoded).probs)
        # Far from 0, so that what many masks lend to pixels outside of them does not add up.
        logits = torch.where(torch.from_numpy(masks), 30.0, -30.0)
        probs = torch.cat([named, torch.zeros(len(named), 1)], dim=1)
        settings = self.segmenter.inference
        return Segmentation(
            sample.image,
            self.encoded.vocabulary,
            logits,
            probs,
            ImageSizes(size, size, size),
            overlap_threshold=settings.overlap_threshold,
        )


def _loaded(source: ModelSource, device: str) -> tuple[OpenVocabularySegmenter, Architecture, dict[str, Any]]:
    """Load as ``load`` does, and return what the report states about the weights besides."""
    if is_bare(source.name):
        alone = Architecture(str(source.name), source.pooler or "pooling", generator=False)
        told = {"model": f"a CLIP with {alone.pooler}", **facts(str(source.name))}
        return load(source, device=device), alone, told
    checkpoint, architecture = identified(source)
    files = {"weights": checkpoint.source}
    if source.adapter is not None:
        files["adapter's weights"] = Path(source.adapter)
    told = {what: f"{path.name}, sha256 {sha256_of(path)}" for what, path in files.items()}
    return assemble(checkpoint, architecture, device), architecture, {"model": str(architecture), **told}


def _told(
    segmenter: OpenVocabularySegmenter, vocabulary: Vocabulary, branch: Branch, proposals: str | Path
) -> dict[str, Any]:
    """What the numbers depend on beside the weights."""
    inference = segmenter.inference
    told: dict[str, Any] = {"proposals": str(proposals)}
    if proposals not in ("generator", "ground-truth") and not is_source(str(proposals)):
        folder = Path(proposals).resolve()
        told["proposals"] = f"folder {folder.name}"
        told |= _contents(folder, (file for file in folder.rglob("*") if file.suffix in PROPOSALS))
    if is_source(str(proposals)):
        place = parsed(str(proposals)).name
        if place and Path(place).is_dir():
            told["weights of the masks"] = f"sha256 {folder_sha256(Path(place))}"
        if isinstance(segmenter.mask_source, SegmentAnything):
            told["points"] = segmenter.mask_source.options.model_dump()
    if proposals == "generator":
        trained = inference.seen_in if isinstance(inference.seen_in, str) else "the model's own training list"
        seen = sum(vocabulary.seen(Vocabulary.of(inference.seen_in)))
        told |= {
            "branch": branch,
            "alpha": inference.alpha,
            "beta": inference.beta,
            "seen by the ensemble": f"{seen} of {len(vocabulary)}, which share a synonym with {trained}",
            "semantic order": segmenter.semantic_order,
            "overlap threshold": inference.overlap_threshold,
        }
        if inference.prune_proposals:
            told["adapter"] = "computed for the proposals that can change the result"
    if segmenter.text_transfer is not None:
        told["norm of the text transfer"] = segmenter.text_transfer.norm_placement
    if isinstance(segmenter.pooler, AdapterPooler):
        told["mask threshold"] = segmenter.pooler.mask_threshold
    return told | {
        "input size": _size(inference.input_size),
        "resized by": f"Pillow {pillow_version}, bilinear",
        "device": segmenter.clip.logit_scale.device.type,
    }


def _size(size: InputSize) -> str:
    if size.shortest == size.longest:
        return f"longer side {size.longest}"
    return f"shorter side {size.shortest}, longer side at most {size.longest}"
