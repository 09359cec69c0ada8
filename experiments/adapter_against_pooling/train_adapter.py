"""Train an adapter or a control by the package's stages, on scenes of seen classes."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from checkpoints import load, rate, report, save
from clip import SmallClip
from poolers import segmenter
from proposals import Imprecise
from torch import nn
from world import adapter_scenes, render

from maskadapter.data.scenes.scenes import Scenes
from maskadapter.models.classifier import EncodedVocabulary
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.training.adapter.stages import AdapterStage
from maskadapter.training.batch import Batch, MaskTargets
from maskadapter.training.recipe import Masks
from maskadapter.types.target import Target
from maskadapter.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True)
class AdapterTraining:
    """Steps of ``batch`` new images, in each of the two stages."""

    warmup: int = 500
    mixed: int = 150
    batch: int = 16
    ground_truth_slots: int = 4
    predicted_slots: int = 3
    peak: float = 1e-3
    weight_decay: float = 0.05


def train_adapter(
    folder: Path, kind: str, clip: SmallClip, seed: int, settings: AdapterTraining, mixed: bool = False
) -> OpenVocabularySegmenter:
    """Run the warm-up, or with ``mixed`` the mixed stage after it, from the last checkpoint if there is one."""
    name = f"{kind.replace(' ', '-')}-{seed}"
    if mixed:
        model = train_adapter(folder, kind, clip, seed, settings)
        return _train(
            folder / f"{name}-mixed.pt", model, settings.mixed, settings, seed + 500, settings.predicted_slots
        )
    return _train(folder / f"{name}.pt", segmenter(kind, clip, seed), settings.warmup, settings, seed)


def _train(
    path: Path, model: OpenVocabularySegmenter, steps: int, settings: AdapterTraining, seed: int, predicted: int = 0
) -> OpenVocabularySegmenter:
    adapter: nn.Module = model.pooler.adapter  # type: ignore
    model.generator = generator = Imprecise(seed) if predicted else None
    stage = AdapterStage(model, Masks(ground_truth=settings.ground_truth_slots, predicted=predicted))
    peak = settings.peak / 10 if predicted else settings.peak
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=peak, weight_decay=settings.weight_decay)
    state, first = load(path), 0
    if state is not None:
        adapter.load_state_dict(state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    scenes = adapter_scenes(seed)
    vocabulary = seen_vocabulary(scenes, model.clip)  # type: ignore
    losses, start = [], time.process_time()
    for step in range(first, steps):
        numbers = range(step * settings.batch, (step + 1) * settings.batch)
        images, targets = render(scenes, numbers)
        if generator is not None:
            generator.show(targets, step)
        rngs = [torch.Generator().manual_seed(number) for number in numbers]
        batch = Batch(images, [_targets(target, scenes) for target in targets], vocabulary)
        prepared = stage.prepare(batch, rngs)
        parts = stage(prepared, prepared.counts())
        loss = torch.stack(list(parts.values())).sum()
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak, warmup=50)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 50 == 0 or step + 1 == steps:
            seconds, start = time.process_time() - start, time.process_time()
            report(
                path.with_suffix(".log"),
                step=step + 1,
                loss=round(sum(losses) / len(losses), 4),
                cpu_seconds=round(seconds, 1),
            )
            losses = []
            save(path, {"adapter": adapter.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1})
    model.generator = None
    return model.eval()


def seen_vocabulary(scenes: Scenes, clip: SmallClip) -> EncodedVocabulary:
    """The training vocabulary: the seen classes."""
    names = [name for name, seen in zip(scenes.vocabulary.names, scenes.seen, strict=True) if seen]
    return EncodedVocabulary(Vocabulary.of(names), clip.encode_text(names).detach())


def _targets(target: Target, scenes: Scenes) -> MaskTargets:
    """Targets whose classes index the seen classes."""
    rank = torch.tensor(scenes.seen).cumsum(0) - 1
    targets = MaskTargets.of(target)
    return MaskTargets(targets.masks, rank[targets.classes])
