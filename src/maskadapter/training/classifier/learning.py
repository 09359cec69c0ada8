"""Learning classes of one's own: encode once, fit, keep what is best on held-out images, evaluate before and after."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from maskadapter.data import Dataset, require_masks
from maskadapter.errors import RecipeError
from maskadapter.evaluation import evaluate
from maskadapter.hub import IMAGE_ENCODER, ModelSource, assemble, identified, image_encoder_hash, save
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.processes import rank_and_world_size
from maskadapter.system.progress import bar
from maskadapter.system.run_folder import claim
from maskadapter.training.classifier.examples import Example, examples
from maskadapter.training.classifier.fitting import Fit
from maskadapter.training.classifier.held_out import Part, hold_out
from maskadapter.training.loss_watch import STILL, not_moved
from maskadapter.training.recipe import ClassifierRecipe, as_yaml
from maskadapter.training.run_folder import claim_run_folder, fingerprint

SUMMARY = "summary.txt"
"""The file in the run's folder that holds one line: accuracy before and after."""

_SHOWN = {"pACC": "pixel accuracy", "mIoU": "mIoU", "AP": "AP", "accuracy of segments": "ground-truth masks"}

_log = logging.getLogger(__name__)


def learn_classes(recipe: ClassifierRecipe, datasets: Sequence[Dataset], output: Path, device: str) -> Path:
    """Train the classifiers of a model on a data set and write the model; see ``train``.

    datasets: to train on, and what to evaluate on; without the second, ``data.held_out`` of the first is held out.
    """
    if rank_and_world_size()[1] > 1:
        raise RecipeError("the stage classifier runs in one process: start it without torchrun or accelerate launch")
    train, held_out = datasets if len(datasets) > 1 else hold_out(datasets[0], recipe.data.held_out, recipe.run.seed)
    count = min(recipe.evaluation.images or len(held_out), len(held_out))
    for dataset, images in ((train, None), (held_out, count)):
        require_masks(dataset, images)
    if train.vocabulary.classes != held_out.vocabulary.classes:
        raise RecipeError(f"the classes of {held_out.name} are not those of {train.name}: both splits need the same")
    path = output / "model.safetensors"
    claim_run_folder(output, recipe)
    facts = {what: _facts(part) for what, part in (("train", train), ("held out", held_out))}
    claim(output, facts, "data.yaml", RecipeError, (), results="examples/*/*")
    if path.exists() and (output / SUMMARY).exists():
        return path
    segmenter, name = _model(recipe, device)
    encoder = {IMAGE_ENCODER: image_encoder_hash(segmenter.state_dict())}
    claim(output, encoder, "weights.yaml", RecipeError, (), results="e*/*/*")  # examples, evaluations
    encoded = segmenter.encode_text(train.vocabulary)
    score = partial(_score, dataset=held_out, count=count, folder=output / "evaluation", run=fingerprint(recipe))
    before = score(segmenter, encoded, "before")
    stored = output / "examples"
    try:
        learned = list(examples(segmenter, train, len(train), stored / "train", "encoding images"))
        held = list(examples(segmenter, held_out, count, stored / "held-out", "encoding held-out images"))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped while encoding images; the same command goes on from there") from None
    _learn(recipe, segmenter, encoded, learned, held)
    after = score(segmenter, encoded, "after")
    save(segmenter, path, name, trained_by=as_yaml(recipe))
    share = f" ({recipe.data.held_out:.0%})" if len(datasets) == 1 else ""
    with write_atomically(output / SUMMARY) as temporary:
        temporary.write_text(_summary(before, after, f"{count:,} held-out images{share}") + "\n", encoding="utf-8")
    shutil.rmtree(stored)
    return path


def _model(recipe: ClassifierRecipe, device: str) -> tuple[OpenVocabularySegmenter, str]:
    checkpoint, architecture = identified(ModelSource(recipe.model.weights, adapter=recipe.model.adapter))
    segmenter = assemble(checkpoint, architecture, device)
    if segmenter.generator is None:
        raise RecipeError(f"{checkpoint.source} holds no mask generator: the stage classifier needs a segmenter's file")
    if segmenter.text_transfer is not None:
        raise RecipeError(f"{architecture.name} changes its text embeddings with each image: use tiny or fcclip-large")
    return segmenter, architecture.name


def _facts(part: Dataset) -> dict[str, object]:
    whole, numbers = (part.dataset, part.numbers) if isinstance(part, Part) else (part, None)
    return {"images": len(whole), "labels": getattr(whole, "fingerprint", None), "numbers": numbers}


def _learn(
    recipe: ClassifierRecipe,
    segmenter: OpenVocabularySegmenter,
    vocabulary: EncodedVocabulary,
    learned: Sequence[Example],
    held_out: Sequence[Example],
) -> None:
    """Give the model the classifiers that are best on the held-out images; its own where none is better."""

    def accuracy() -> float:
        right, labeled = zip(*(one.accuracy(segmenter, vocabulary) for one in held_out), strict=True)
        return 100 * sum(right) / max(1, sum(labeled))

    best, start = (segmenter.own_classes, segmenter.inference), accuracy()
    best_accuracy = start
    fit = Fit(segmenter, vocabulary, learned)
    first = last = fit.loss().item()
    with bar(f"training, loss {first:.2f}", len(recipe.run.penalties)) as advance:
        for penalty, last in fit.path(recipe.run.penalties, recipe.run.iterations):
            reached = accuracy()
            advance(1, f"training, loss {last:.2f}")
            numbers = f"loss {first:.2f} -> {last:.2f}, {start:.1f} -> {reached:.1f} % of held-out points"
            _log.info("penalty %g: %s", penalty, numbers)
            if reached > best_accuracy:
                best, best_accuracy = (deepcopy(fit.own), segmenter.inference), reached
    segmenter.own_classes, segmenter.inference = best
    segmenter.requires_grad_(False)
    if last > STILL * first:
        _log.warning("%s", not_moved(first, last, "check that the labels fit the images and the classes"))
    if best_accuracy == start:
        _log.warning("nothing that was learned helps on the held-out images: the model is as it was; label more images")


def _score(
    segmenter: OpenVocabularySegmenter,
    vocabulary: EncodedVocabulary,
    when: str,
    *,
    dataset: Dataset,
    count: int,
    folder: Path,
    run: str,
) -> Mapping[str, float]:
    """Percent by metric: of the segmented images, and of classifying their ground-truth masks."""
    common: dict[str, Any] = {"limit": count, "settings": {"run": run, "model": when}}
    segment = partial(segmenter.segment, classes=vocabulary, background=None)
    whole = evaluate(segment, dataset, folder / when / "segmentation", **common)
    classify = partial(segmenter.classify, classes=vocabulary)
    given = evaluate(classify, dataset, folder / when / "ground-truth-masks", metrics=("masks",), **common)
    return {**whole.numbers, "accuracy of segments": given.numbers["accuracy of segments"]}


def _summary(before: Mapping[str, float], after: Mapping[str, float], images: str) -> str:
    shown = [key for key in _SHOWN if key in before and (key != "AP" or "pACC" not in before)]
    pairs = [f"{_SHOWN[key]} {before[key]:.1f} -> {after[key]:.1f}" for key in shown]
    return f"{', '.join(pairs)} % on {images}"
