"""One step of the optimizer, on one process or many: batch in, weights changed, numbers for the log out."""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.data import Sample
from maskadapter.data.loading import LoadedBatch
from maskadapter.errors import MaskAdapterError
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter, to_batch
from maskadapter.training.adapter.free_text import FreeTextClasses
from maskadapter.training.adapter.stages import AdapterStage
from maskadapter.training.batch import Batch, MaskTargets, Rngs
from maskadapter.training.generator.stage import MaskGeneratorStage
from maskadapter.training.optimizer import learning_rate_factor, parameter_groups
from maskadapter.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


class NotFiniteError(MaskAdapterError):
    """A loss or a gradient that is NaN or infinite."""


class TrainingStep:
    """The optimizer of a run. segmenter: on the accelerator's device; what requires a gradient is trained.
    vocabularies: the classes of each data set, None for free text."""

    def __init__(
        self,
        recipe: Recipe,
        segmenter: OpenVocabularySegmenter,
        stage: AdapterStage | MaskGeneratorStage,
        vocabularies: list[EncodedVocabulary | None],
        accelerator: "Accelerator",
    ) -> None:
        self._recipe, self._segmenter, self._stage = recipe, segmenter, stage
        self._vocabularies, self._accelerator = vocabularies, accelerator
        self._free_text = FreeTextClasses(segmenter, accelerator)
        self.trained = {name: p for name, p in segmenter.named_parameters() if p.requires_grad}
        groups = parameter_groups(stage, recipe.optimizer.weight_decay, recipe.upstream_quirks.decayed_parameters)
        optimizer = torch.optim.AdamW(groups, lr=recipe.optimizer.lr)
        self._wrapped, self._optimizer = accelerator.prepare(stage, optimizer)
        self._factor = learning_rate_factor(recipe)

    def __call__(self, loaded: LoadedBatch, step: int, stop: bool) -> dict[str, float]:
        """Change the weights once. step: how many are done. stop: whether this process was asked to stop.

        Returns numbers for the log, the losses as means over all processes; ``stop`` is above 0 where any process was
        asked to. Raises NotFiniteError; the weights are then unchanged.
        """
        began, accelerator = time.perf_counter(), self._accelerator
        torch.manual_seed(seed_of(self._recipe.run.seed, step, accelerator.process_index))  # for stochastic depth
        losses, counts = self._backward(loaded)
        reduced = torch.stack([*losses.values(), next(iter(losses.values())).new_tensor(float(stop))])
        *values, stopped = accelerator.reduce(reduced, "mean").tolist()
        means = dict(zip(losses, values, strict=True))
        names = ", ".join(sample.name for sample in loaded.samples[:4])
        stated = ", ".join(f"{name} {value}" for name, value in means.items())
        where = f"is not finite at step {step + 1:,} ({stated}; this process's images: {names})"
        if not all(map(math.isfinite, values)):
            raise NotFiniteError(f"the loss {where}")
        rate = self._recipe.optimizer.lr * self._factor(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        norm = accelerator.clip_grad_norm_(self.trained.values(), self._recipe.optimizer.clip_norm or math.inf)
        # With fp16 the scaler meets such gradients, skips the step and scales less.
        if accelerator.scaler is None and norm is not None and not math.isfinite(float(norm)):
            raise NotFiniteError(f"the gradient {where}")
        self._optimizer.step()
        self._optimizer.zero_grad()
        return {
            **means,
            "loss": sum(values),
            "lr": rate,
            "gradient": float(norm) if norm is not None else math.nan,
            "masks": float(counts[:, 0].sum()),
            "seconds": time.perf_counter() - began,
            "stop": stopped,
        }

    def state(self) -> dict[str, Any]:
        scaler = self._accelerator.scaler
        return {
            "trained": {name: parameter.detach().cpu() for name, parameter in self.trained.items()},
            "optimizer": self._optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else {},
        }

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        for name, parameter in self.trained.items():
            parameter.copy_(state["trained"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._accelerator.scaler and state["scaler"]:
            self._accelerator.scaler.load_state_dict(state["scaler"])

    def _backward(self, loaded: LoadedBatch) -> tuple[dict[str, Tensor], Tensor]:
        """Gradients of a batch in ``run.accumulate`` parts; this process's mean losses, and the counts of each part."""
        accelerator, count = self._accelerator, self._recipe.run.accumulate
        size, vocabulary, samples = len(loaded.samples) // count, self._vocabularies[loaded.source], loaded.samples
        if vocabulary is None:  # of all parts together: the more classes compete, the more a mask teaches
            vocabulary, samples = self._free_text.of(samples)
        with accelerator.autocast():
            parts = (slice(i * size, (i + 1) * size) for i in range(count))
            batches = ((self._batch(samples[part], vocabulary), self._rngs(loaded, part)) for part in parts)
            prepared = [self._stage.prepare(*batch) for batch in batches]
        counts = torch.stack([part.counts() for part in prepared])
        # Mask2Former's own rule for its masks is the global one.
        overall = self._recipe.upstream_quirks.loss_normalization == "global" or self._recipe.stage == "generator"
        divisors = accelerator.reduce(counts.mean(dim=0), "mean").expand_as(counts) if overall else counts
        totals: dict[str, Tensor] = {}
        for index, (part, divisor) in enumerate(zip(prepared, divisors, strict=True), start=1):
            with nullcontext() if index == count else accelerator.no_sync(self._wrapped):
                losses = self._wrapped(part, divisor)
                accelerator.backward(torch.stack(list(losses.values())).sum() / count)
            for name, loss in losses.items():
                totals[name] = totals.get(name, torch.zeros_like(loss)) + loss.detach() / count
        return totals, counts

    def _batch(self, samples: Sequence[Sample], vocabulary: EncodedVocabulary) -> Batch:
        device, raw_images = self._accelerator.device, [sample.image for sample in samples]
        images = to_batch(raw_images, self._segmenter.clip.size_divisor, device)
        targets = []
        for sample in samples:
            own = MaskTargets.of(sample.target).nonempty().to(device)
            height, width = images.shape[-2] - own.masks.shape[-2], images.shape[-1] - own.masks.shape[-1]
            targets.append(MaskTargets(F.pad(own.masks, (0, width, 0, height)), own.classes))
        return Batch(images, targets, vocabulary, raw_images)

    def _rngs(self, loaded: LoadedBatch, part: slice) -> Rngs:
        seed = self._recipe.run.seed
        return [torch.Generator().manual_seed(seed_of(seed, draw.number)) for draw in loaded.draws[part]]


def seed_of(*numbers: int) -> int:
    """One seed from several numbers, such as the run's seed and the step."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
