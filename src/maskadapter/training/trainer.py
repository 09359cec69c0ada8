"""The loop: batches in, losses down, checkpoints out, on one process or many. ``train`` is all that a user calls."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from maskadapter.data.dataset import Dataset
from maskadapter.data.loading.batches import LoadedBatch, load_batches
from maskadapter.data.loading.sampling import TrainingOrder
from maskadapter.data.loading.transforms import TrainingTransform
from maskadapter.errors import MaskAdapterError, RecipeError
from maskadapter.hub.saving import save
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.preprocess import to_batch
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.system.progress import bar
from maskadapter.training.accelerator import accelerator_for
from maskadapter.training.adapter.stages import AdapterStage, Batch, PredictedMasks
from maskadapter.training.checkpoints import Checkpoints
from maskadapter.training.generator.stage import GeneratorStage
from maskadapter.training.mask_targets import MaskTargets
from maskadapter.training.optimizer import in_steps, parameter_groups, polynomial
from maskadapter.training.recipe import Recipe, as_yaml
from maskadapter.training.run_folder import settle
from maskadapter.training.run_log import RunLog
from maskadapter.training.start import start
from maskadapter.training.stop_signals import StopSignals

Evaluate = Callable[[OpenVocabularySegmenter, int], Mapping[str, float]]
"""(model, step) -> numbers for the log."""


def train(
    recipe: Recipe,
    datasets: Sequence[Dataset],
    output: str | Path,
    evaluate: Evaluate | None = None,
    device: Literal["cpu"] | None = None,
) -> Path:
    """Train by a recipe and write the model; a run that was stopped goes on where its newest checkpoint stands.

    datasets: what ``recipe.data.train`` names, in that order. output: the run's folder: ``recipe.yaml`` (resolved),
        ``versions.json``, ``log.jsonl``, ``checkpoints/``, ``tensorboard/`` where that is installed, and at the end
        ``model.safetensors``, which is returned. evaluate: called every ``recipe.evaluation.every`` steps and at the
        end. device: "cpu", or None, which leaves the choice to Accelerate.

    The result depends on the recipe and the data, not on where a run was stopped, nor on the number of workers; nor,
    for the adapter's stages with ``loss.normalize: global``, and but for rounding, on the number of processes.

    Raises RecipeError: a batch that does not divide, a folder with another run. MaskAdapterError: a loss that is no
    number; the newest good checkpoint is kept. KeyboardInterrupt after Ctrl-C or SIGTERM, with a checkpoint written.
    """
    return _Run(recipe, datasets, Path(output), evaluate, device).to_the_end()


class _Run:
    """One run of training."""

    def __init__(
        self,
        recipe: Recipe,
        datasets: Sequence[Dataset],
        output: Path,
        evaluate: Evaluate | None,
        device: Literal["cpu"] | None,
    ) -> None:
        self.recipe, self.datasets, self.output, self.evaluate = recipe, datasets, output, evaluate
        run = recipe.run
        self.accelerator = accelerator_for(recipe, output, device)
        parts = self.accelerator.num_processes * run.accumulate
        if run.batch_size % parts:
            raise RecipeError(
                f"run.batch_size {run.batch_size} cannot be shared by {self.accelerator.num_processes} processes in "
                f"{run.accumulate} parts each: a multiple of {parts} is needed"
            )
        self.order = TrainingOrder(
            datasets,
            run.batch_size,
            run.seed,
            [part.ratio for part in recipe.data.train],
            [part.repeat_threshold or None for part in recipe.data.train],
        )
        self.segmenter = start(recipe).to(self.accelerator.device)
        if recipe.stage == "generator":
            self.segmenter.inference = replace(self.segmenter.inference, seen_in=_seen_in(datasets))
        self.vocabularies = [_encoded(self.segmenter, dataset) for dataset in datasets]
        self.stage = _stage_of(recipe, self.segmenter)
        self.trained = {name: p for name, p in self.segmenter.named_parameters() if p.requires_grad}
        groups = parameter_groups(self.stage, recipe.optimizer.weight_decay, recipe.optimizer.decayed)
        optimizer = torch.optim.AdamW(groups, lr=recipe.optimizer.lr)
        self.wrapped, self.optimizer = self.accelerator.prepare(self.stage, optimizer)
        self.rate = _rate(recipe)
        self.checkpoints = Checkpoints(output / "checkpoints", run.keep)
        self.step = 0  # how many are done

    def to_the_end(self) -> Path:
        run = self.recipe.run
        main = self.accelerator.is_main_process
        if main:
            settle(self.output, self.recipe)
        self.accelerator.wait_for_everyone()
        self.accelerator.init_trackers("tensorboard")
        self._resume()
        log = RunLog(self.output / "log.jsonl", self.step, self.accelerator)
        with (
            StopSignals() as stop,
            bar("training", run.iterations, self.step) if main else nullcontext(lambda steps: None) as advance,
        ):
            if self._due() and not log.evaluated(self.step):  # a run may have been stopped in an evaluation
                self._evaluate(log, stop)
            for loaded in self._batches():
                if self.step == run.iterations:
                    break
                numbers = self._update(loaded, stop.noted)
                self.step += 1
                advance(1)
                stopped = bool(numbers.pop("stop"))
                if self.step % run.log_every == 0 or self.step == run.iterations:
                    log.add(self.step, numbers)
                if stopped or self._due() or self.step % run.save_every == 0 or self.step == run.iterations:
                    self._save()
                if stopped:
                    raise KeyboardInterrupt(
                        f"stopped after step {self.step:,} of {run.iterations:,}; the same command goes on from there"
                    )
                if self._due():
                    self._evaluate(log, stop)
        path = self.output / "model.safetensors"
        if main:
            save(self.segmenter, path, self.recipe.model.name, trained_by=as_yaml(self.recipe))
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return path

    def _batches(self) -> Iterator[LoadedBatch]:
        data, run = self.recipe.data, self.recipe.run
        transforms = [
            TrainingTransform(
                data.crop, data.scale, data.flip, data.color, "corner" if dataset.task == "semantic" else "center"
            )
            for dataset in self.datasets
        ]
        draws = self.order.batches(self.step, self.accelerator.process_index, self.accelerator.num_processes)
        return iter(load_batches(self.datasets, transforms, draws, run.seed, data.workers))

    def _update(self, loaded: LoadedBatch, stop: bool) -> dict[str, float]:
        """One step of the optimizer. Returns what is logged: losses as means over all processes, masks and seconds of
        this one; and ``stop``, above 0 where any process was told to stop."""
        run, accelerator, began = self.recipe.run, self.accelerator, time.perf_counter()
        torch.manual_seed(_seed(run.seed, self.step, accelerator.process_index))  # stochastic depth draws from it
        size = len(loaded.samples) // run.accumulate
        parts = [slice(i * size, (i + 1) * size) for i in range(run.accumulate)]
        with accelerator.autocast():
            prepared = [self.stage.prepare(*self._batch(loaded, part)) for part in parts]
        counts = torch.stack([part.counts() for part in prepared])
        divisors = counts
        # Mask2Former's own rule for its masks is the global one.
        if self.recipe.loss.normalize == "global" or self.recipe.stage == "generator":
            divisors = accelerator.reduce(counts.mean(dim=0), "mean").expand_as(counts)
        totals: dict[str, Tensor] = {}
        for index, (part, divisor) in enumerate(zip(prepared, divisors, strict=True)):
            last = index == len(prepared) - 1
            with nullcontext() if last else accelerator.no_sync(self.wrapped):
                losses = self.wrapped(part, divisor)
                accelerator.backward(torch.stack(list(losses.values())).sum() / len(parts))
            for name, loss in losses.items():
                totals[name] = totals.get(name, torch.zeros_like(loss)) + loss.detach() / len(parts)
        told = torch.stack([*totals.values(), totals[next(iter(totals))].new_tensor(float(stop))])
        *values, stopped = accelerator.reduce(told, "mean").tolist()
        if not all(map(math.isfinite, values)):
            self._refuse(loaded, "the loss", dict(zip(totals, values, strict=True)))
        rate = self.recipe.optimizer.lr * self.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = accelerator.clip_grad_norm_(self.trained.values(), self.recipe.optimizer.clip_norm or math.inf)
        # With fp16 the scaler meets such gradients, skips the step and scales less.
        if accelerator.scaler is None and norm is not None and not math.isfinite(float(norm)):
            self._refuse(loaded, "the gradient", dict(zip(totals, values, strict=True)))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {
            **dict(zip(totals, values, strict=True)),
            "lr": rate,
            "gradient": float(norm) if norm is not None else math.nan,
            "masks": float(counts[:, 0].sum()),
            "seconds": time.perf_counter() - began,
            "stop": stopped,
        }

    def _batch(self, loaded: LoadedBatch, part: slice) -> tuple[Batch, list[torch.Generator]]:
        device, divisor = self.accelerator.device, self.segmenter.clip.size_divisor
        images = to_batch([sample.image for sample in loaded.samples[part]], divisor, device)
        targets = [_padded(MaskTargets.of(sample.target).kept().to(device), images) for sample in loaded.samples[part]]
        seeds = [_seed(self.recipe.run.seed, draw.number) for draw in loaded.draws[part]]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        raw_images = [sample.image for sample in loaded.samples[part]]
        return Batch(images, targets, self.vocabularies[loaded.source], raw_images), generators

    def _refuse(self, loaded: LoadedBatch, what: str, losses: Mapping[str, float]) -> None:
        names = ", ".join(sample.name for sample in loaded.samples[:4])
        last = self.checkpoints.last()
        kept = f"the checkpoint of step {last:,} is kept" if last else "no checkpoint was written yet"
        told = ", ".join(f"{name} {value}" for name, value in losses.items())
        raise MaskAdapterError(
            f"{what} is no number at step {self.step + 1:,} ({told}; this process's images: {names}): {kept}; "
            "lower optimizer.lr, or use run.precision=fp32"
        )

    def _due(self) -> bool:
        """Whether the model is to be evaluated after this step."""
        every = self.recipe.evaluation.every
        if self.evaluate is None or not every or not self.step:
            return False
        return self.step % every == 0 or self.step == self.recipe.run.iterations

    def _evaluate(self, log: RunLog, stop: StopSignals) -> None:
        assert self.evaluate is not None
        with stop.left_alone():  # the checkpoint is written, and an evaluation goes on where it was
            numbers = self.evaluate(self.segmenter, self.step)
        log.add(self.step, {f"evaluation/{name}": value for name, value in numbers.items()})

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            state = {
                "trained": {name: parameter.detach().cpu() for name, parameter in self.trained.items()},
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else {},
            }
            self.checkpoints.write(self.step, state)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        found = self.checkpoints.newest()
        steps = self.accelerator.gather(torch.tensor([found[0] if found else 0], device=self.accelerator.device))
        if len(set(steps.tolist())) > 1:
            raise MaskAdapterError(
                f"the processes find checkpoints of different steps ({', '.join(map(str, steps.tolist()))}): all "
                "machines need the same --output folder, on a shared disk"
            )
        if found is None:
            return
        self.step, state = found
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state["trained"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])


def _stage_of(recipe: Recipe, segmenter: OpenVocabularySegmenter) -> AdapterStage | GeneratorStage:
    if recipe.stage == "generator":
        return GeneratorStage(segmenter)
    masks, loss = recipe.masks, recipe.loss
    predicted = None
    if recipe.stage == "mixed":
        settings = masks.model_dump(exclude={"ground_truth", "predicted"})
        predicted = PredictedMasks(slots=masks.predicted, **settings)
    return AdapterStage(segmenter, masks.ground_truth, predicted, loss.classification, loss.consistency)


def _rate(recipe: Recipe) -> Callable[[int], float]:
    schedule = recipe.schedule
    if schedule.kind == "steps":
        return in_steps(list(schedule.milestones), schedule.factor, schedule.warmup, schedule.warmup_factor)
    return polynomial(recipe.run.iterations, schedule.power, schedule.warmup, schedule.warmup_factor)


def _seen_in(datasets: Sequence[Dataset]) -> str | tuple[str, ...]:
    """What the generator knows from now on."""
    if len(datasets) == 1 and datasets[0].vocabulary.name is not None:
        return datasets[0].vocabulary.name
    return tuple(dict.fromkeys(name for dataset in datasets for name in dataset.vocabulary.synonyms))


def _encoded(segmenter: OpenVocabularySegmenter, dataset: Dataset) -> EncodedVocabulary:
    encoded = segmenter.encode_text(dataset.vocabulary)
    # What inference mode made cannot take part in a computation with gradients.
    return EncodedVocabulary(encoded.vocabulary, encoded.text_embeddings.clone())


def _padded(targets: MaskTargets, images: Tensor) -> MaskTargets:
    height, width = images.shape[-2] - targets.masks.shape[-2], images.shape[-1] - targets.masks.shape[-1]
    return MaskTargets(torch.nn.functional.pad(targets.masks, (0, width, 0, height)), targets.classes)


def _seed(*numbers: int) -> int:
    """One seed for a place in a run."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
