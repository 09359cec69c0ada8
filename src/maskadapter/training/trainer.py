"""The training loop: batches in, checkpoints and a model out, on one process or many. ``train`` is the entry point."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import torch

from maskadapter.data import Dataset, FreeText, require_masks
from maskadapter.data.loading import LoadedBatch, TrainingOrder, TrainingTransform, load_batches
from maskadapter.errors import MaskAdapterError, RecipeError
from maskadapter.hub import IMAGE_ENCODER, first_form, image_encoder_hash, save
from maskadapter.models import TINY_NAMES, EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.system.stop_signals import StopSignals
from maskadapter.training.accelerator import Device, accelerator_for
from maskadapter.training.adapter.stages import AdapterStage
from maskadapter.training.classifier.learning import learn_classes
from maskadapter.training.generator.stage import MaskGeneratorStage
from maskadapter.training.initial_weights import initial_model
from maskadapter.training.loss_watch import LossWatch
from maskadapter.training.recipe import AnyRecipe, ClassifierRecipe, Recipe, as_yaml
from maskadapter.training.run_folder import Checkpoints, RunLog, claim_run_folder
from maskadapter.training.training_step import NotFiniteError, TrainingStep

Evaluate = Callable[[OpenVocabularySegmenter, int], Mapping[str, float]]
"""(model, step) -> numbers for the log."""

_STEPS_WITHOUT_MASKS = 100  # from the start of the run; images without objects are fine among others

_log = logging.getLogger(__name__)


def train(
    recipe: AnyRecipe,
    datasets: Sequence[Dataset],
    output: str | Path,
    evaluate: Evaluate | None = None,
    device: Device = None,
) -> Path:
    """Train by a recipe and write the model; a run that was stopped goes on from its newest checkpoint.

    datasets: what ``recipe.data.train`` names, in that order; for the stage ``classifier`` the second, if there is one,
    is held out. output: the run's folder: ``recipe.yaml`` (resolved),
    ``versions.json``, ``log.jsonl``, ``checkpoints/``, ``tensorboard/`` where that is installed, and at the end
    ``model.safetensors``, which is returned. evaluate: called every ``recipe.evaluation.every`` steps and at the end.
    device: "cpu", or None, which leaves the choice to Accelerate.

    The main process logs every step (DEBUG; ``step`` and ``iterations`` of the record) and the numbers of ``log.jsonl``
    (INFO). The result depends on the recipe and the data, not on where a run was stopped, nor on the number of workers;
    nor, for the adapter's stages with ``loss_normalization: global``, and but for rounding, of processes.

    Raises RecipeError: a batch that does not divide, a folder with another run. MaskAdapterError: no Accelerate; data
    without a mask; a loss that is not finite. KeyboardInterrupt after Ctrl-C or SIGTERM, with a checkpoint written.
    """
    if isinstance(recipe, ClassifierRecipe):
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        return learn_classes(recipe, datasets, Path(output), chosen)
    return _Run(recipe, datasets, Path(output), evaluate, device).to_the_end()


class _Run:
    def __init__(
        self, recipe: Recipe, datasets: Sequence[Dataset], output: Path, evaluate: Evaluate | None, device: Device
    ) -> None:
        self.recipe, self.datasets, self.output, self.evaluate = recipe, datasets, output, evaluate
        run = recipe.run
        for dataset in datasets:
            require_masks(dataset)
        free_text = [isinstance(dataset, FreeText) and recipe.stage != "generator" for dataset in datasets]
        known = [None if free else dataset.vocabulary for free, dataset in zip(free_text, datasets, strict=True)]
        self.accelerator = accelerator_for(recipe, output, device)
        parts = self.accelerator.num_processes * run.accumulate
        if run.batch_size % parts:
            raise RecipeError(
                f"run.batch_size {run.batch_size} cannot be shared by {self.accelerator.num_processes} processes in "
                f"{run.accumulate} parts each: a multiple of {parts} is needed"
            )
        ratios = [part.ratio for part in recipe.data.train]
        thresholds = [part.repeat_threshold or None for part in recipe.data.train]
        self.order = TrainingOrder(datasets, run.batch_size, run.seed, ratios, thresholds)
        self.segmenter = initial_model(recipe).to(self.accelerator.device)
        encoded = [None if vocabulary is None else self.segmenter.encode_text(vocabulary) for vocabulary in known]
        # A tensor that was made in inference mode cannot take part in a computation with gradients.
        vocabularies = [one and EncodedVocabulary(one.vocabulary, one.text_embeddings.clone()) for one in encoded]
        self.training_step = TrainingStep(recipe, self.segmenter, self._stage(), vocabularies, self.accelerator)
        self.checkpoints = Checkpoints(output / "checkpoints", run.keep)
        self.frozen = {IMAGE_ENCODER: image_encoder_hash(self.segmenter.state_dict())}
        self.step = 0  # how many are done
        self.watch = LossWatch(run.iterations, [])

    def _stage(self) -> AdapterStage | MaskGeneratorStage:
        if self.recipe.stage == "generator":
            first, names = self.datasets[0].vocabulary.name, [d.vocabulary.synonyms for d in self.datasets]
            # What the mask generator is trained on: the name of a vocabulary, or all classes.
            seen_in = first if len(names) == 1 and first else tuple(dict.fromkeys(chain.from_iterable(names)))
            self.segmenter.inference = replace(self.segmenter.inference, seen_in=seen_in)
            return MaskGeneratorStage(self.segmenter)
        return AdapterStage(self.segmenter, self.recipe.masks, self.recipe.upstream_quirks, self.recipe.loss)

    def to_the_end(self) -> Path:
        main = self.accelerator.is_main_process
        if main:
            claim_run_folder(self.output, self.recipe)
        self.accelerator.wait_for_everyone()
        self.accelerator.init_trackers("tensorboard")
        self._resume()
        log = RunLog(self.output / "log.jsonl", self.step, self.accelerator)
        with StopSignals() as stop:
            self._loop(log, stop)
        path = self.output / "model.safetensors"
        if main:
            save(self.segmenter, path, self.recipe.model.architecture, trained_by=as_yaml(self.recipe))
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return path

    def _loop(self, log: RunLog, stop: StopSignals) -> None:
        run, first, masks = self.recipe.run, self.step, 0.0
        self._report_step()
        if self._due() and not log.evaluated(self.step):  # a run may have been stopped during an evaluation
            self._evaluate(log, stop)
        for loaded in self._batches():
            if self.step == run.iterations:
                break
            try:
                numbers = self.training_step(loaded, self.step, stop.noted)
            except NotFiniteError as error:
                last = self.checkpoints.last()
                kept = f"the checkpoint of step {last:,} is kept" if last else "no checkpoint was written yet"
                raise MaskAdapterError(f"{error}: {kept}; lower optimizer.lr, or use run.precision=fp32") from None
            self.step += 1
            self._report_step(numbers["loss"])
            warning = self.watch.add(numbers["loss"])
            if warning and self.accelerator.is_main_process:
                _log.warning("%s", warning)
            stopped, ended = bool(numbers.pop("stop")), self.step == run.iterations
            masks += numbers["masks"]
            if self.step == first + _STEPS_WITHOUT_MASKS or (ended and not first):
                self._require_some(masks)
            if ended or self.step % run.log_every == 0:
                self._add_to(log, numbers)
            if stopped or ended or self._due() or self.step % run.save_every == 0:
                if self.accelerator.is_main_process:
                    state = self.training_step.state() | {"losses": self.watch.history} | self.frozen
                    self.checkpoints.write(self.step, state)
                self.accelerator.wait_for_everyone()
            if stopped:
                raise stop.interruption(
                    f"stopped after step {self.step:,} of {run.iterations:,}; the same command goes on from there"
                )
            if self._due():
                self._evaluate(log, stop)

    def _require_some(self, masks: float) -> None:
        """Raise MaskAdapterError where no process has had a mask: what such steps write would look like a model."""
        if not self.accelerator.reduce(torch.tensor(masks, device=self.accelerator.device), "sum"):
            problem = f"no image had a mask in the steps up to {self.step:,}, so nothing was learned"
            raise MaskAdapterError(f"{problem}: data.crop or data.scale may leave nothing of the masks")

    def _batches(self) -> Iterator[LoadedBatch]:
        data, run = self.recipe.data, self.recipe.run
        chosen = (data.crop, data.scale, data.flip, data.color)
        tasks = [dataset.task for dataset in self.datasets]
        transforms = [TrainingTransform(*chosen, "corner" if task == "semantic" else "center") for task in tasks]
        draws = self.order.batches(self.step, self.accelerator.process_index, self.accelerator.num_processes)
        return iter(load_batches(self.datasets, transforms, draws, run.seed, data.workers))

    def _report_step(self, loss: float | None = None) -> None:
        if self.accelerator.is_main_process:
            place = {"step": self.step, "iterations": self.recipe.run.iterations}
            _log.debug("step %d of %d", *place.values(), extra={**place, "loss": loss})

    def _add_to(self, log: RunLog, numbers: Mapping[str, float]) -> None:
        log.add(self.step, numbers)
        if self.accelerator.is_main_process:
            _log.info("step %d: %s", self.step, ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()))

    def _due(self) -> bool:
        every, asked = self.recipe.evaluation.every, self.evaluate is not None and self.step > 0
        return asked and every > 0 and (self.step % every == 0 or self.step == self.recipe.run.iterations)

    def _evaluate(self, log: RunLog, stop: StopSignals) -> None:
        assert self.evaluate is not None
        with stop.left_alone():  # the checkpoint is written, and an evaluation goes on where it was
            numbers = self.evaluate(self.segmenter, self.step)
        self._add_to(log, {f"evaluation/{name}": value for name, value in numbers.items()})

    def _resume(self) -> None:
        found = self.checkpoints.newest()
        steps = self.accelerator.gather(torch.tensor([found[0] if found else 0], device=self.accelerator.device))
        if len(set(steps.tolist())) > 1:
            raise MaskAdapterError(
                f"the processes find checkpoints of different steps ({', '.join(map(str, steps.tolist()))}): all "
                "machines need the same --output folder, on a shared disk"
            )
        if found is not None:
            self.step, state = found
            self._require_the_same_encoder(state.get(IMAGE_ENCODER))
            self.training_step.load_state(state)
            self.watch = LossWatch(self.recipe.run.iterations, state.get("losses", [math.nan] * self.step))

    def _require_the_same_encoder(self, before: str | None) -> None:
        """Raise where what was trained belongs to another CLIP. before: None in checkpoints of version 0.2."""
        if before is None and self.recipe.model.architecture in TINY_NAMES:
            raise first_form(self.output)
        if before not in (None, self.frozen[IMAGE_ENCODER]):
            weights = self.recipe.model.weights
            raise RecipeError(f"{self.output} was begun with other values of {weights}: choose another folder")
