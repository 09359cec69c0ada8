"""Train a small CLIP from whole images and captions."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from checkpoints import load, rate, report, save
from clip import SmallClip, contrastive_loss
from world import WORDS, clip_scenes, render


@dataclass(frozen=True)
class ClipTraining:
    """Steps of ``batch`` new images each."""

    steps: int = 1200
    batch: int = 128
    peak: float = 2e-3
    channels: int = 64
    blocks: int = 5


def train_clip(folder: Path, seed: int, settings: ClipTraining) -> SmallClip:
    """Train a CLIP, from the last checkpoint ``folder/clip-<seed>.pt`` if there is one."""
    torch.manual_seed(seed)
    model = SmallClip(WORDS, settings.channels, settings.blocks).to(memory_format=torch.channels_last)
    path = folder / f"clip-{seed}.pt"
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.peak, weight_decay=0.01)
    state, first = load(path), 0
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    scenes, losses, start = clip_scenes(seed), [], time.process_time()
    for step in range(first, settings.steps):
        numbers = range(step * settings.batch, (step + 1) * settings.batch)
        images, _ = render(scenes, numbers)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, settings.steps, settings.peak, warmup=200)
        loss = contrastive_loss(
            model.encode_whole(images), model.encode_captions([scenes.caption(i) for i in numbers]), model.logit_scale
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 100 == 0 or step + 1 == settings.steps:
            seconds, start = time.process_time() - start, time.process_time()
            values = {"loss": sum(losses) / len(losses), "retrieval": retrieval(model), "cpu_seconds": seconds}
            report(path.with_suffix(".log"), step=step + 1, **{key: round(value, 4) for key, value in values.items()})
            losses = []
            save(path, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1})
    return model.eval().requires_grad_(False)


@torch.no_grad()
def retrieval(model: SmallClip, count: int = 500) -> float:
    """Share of new images whose own caption is the nearest of ``count``."""
    scenes = clip_scenes(-1)
    embedded = torch.cat([model.encode_whole(render(scenes, part)[0]) for part in _parts(count)])
    captions = model.encode_captions([scenes.caption(i) for i in range(count)])
    return float(((embedded @ captions.T).argmax(dim=1) == torch.arange(count)).float().mean())


def _parts(count: int, size: int = 100) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
