"""Train the image encoder: an EfficientNet-Lite2 whose features, pooled in a mask, match the text of its class.

It starts from ImageNet weights. Block 5 (120 channels) and the last map (1,280) together are the features; an MLP
projects them to 384. The first four blocks stay as they are, so that their output can be computed once per augmented
image; all later layers (90 % of the trunk) and the projection are trained. Losses, both cross entropies between an
embedding and the text embeddings of a list of names:
  - masks: the classes that the mask's label can be, one synonym of each of COCO's classes drawn at random; labels of
    the teachers (`labels.py`) count less than true ones;
  - masks and boxes: the original network's probabilities over ImageNet's 1,000 names (keeps the breadth that unseen
    classes need).

    python tools/tiny/image_encoder.py prepare --number 0 --shared ../shared --work build/tiny   # and 1, 2, 3
    python tools/tiny/image_encoder.py project --shared ../shared --work build/tiny
    python tools/tiny/image_encoder.py finetune --steps 3000 --shared ../shared --work build/tiny

`finetune` saves every 100 steps and goes on where it stopped. One thread: about 3 minutes for a pass of `prepare`, 2
for `project`, a second for a step of `finetune`. Reads `lite2.pt`, `pseudo_labels.pt`. Writes
`image_cache_<number>.pt`, `image_projection.pt`, `image_encoder.pt`.
"""

import argparse
import math
import random
import time
from collections import OrderedDict
from copy import deepcopy
from pathlib import Path

import torch
from augment import CROP, augmented, boxes, crop, fit, location_weights, normalize
from coco import Photo, splits, unlabelled_photos
from image_losses import Accuracy, Losses, Names
from labels import CLASSES, Labels
from lite2 import FEATURES, fold_norms, imagenet_probs, load, lower, unfold_norms, upper
from timm.layers import Mlp
from torch import nn
from torch.nn import functional as F

PROJECTION_STEPS = 2000
DROPOUT = 0.5  # on the pooled features: masks of 500 photos are soon learnt by heart
BATCH = 8
EVERY = 100  # steps between two saved states
AVERAGE = 0.998  # of the weights over the steps: what is measured and kept


class Projection(nn.Module):
    """MLP from features (..., 1400), set to mean 0 and deviation 1 first, to embeddings (..., 384)."""

    def __init__(self, samples: torch.Tensor):
        super().__init__()
        self.register_buffer("mean", samples.mean(0))
        self.register_buffer("deviation", samples.std(0).clamp_min(1e-3))
        self.mlp = Mlp(FEATURES, 768, 384, bias=(True, False))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.mlp(F.dropout((features - self.mean) / self.deviation, DROPOUT, self.training))

    def as_open_clip(self) -> dict[str, torch.Tensor]:
        """State of open_clip's `timm_proj: mlp` with the same result."""
        head = nn.Sequential(OrderedDict(mlp=deepcopy(self.mlp))).requires_grad_(False)
        head.mlp.fc1.weight /= self.deviation
        head.mlp.fc1.bias -= head.mlp.fc1.weight @ self.mean
        return head.state_dict()


@torch.no_grad()
def prepare(shared: Path, work: Path, number: int) -> None:
    """One pass: all labeled photos, plain in pass 0, else augmented, and every second unlabelled one."""
    trunk = load(work)[0].to(memory_format=torch.channels_last)
    labeled, unlabelled = splits(shared / "data/coco")[0], unlabelled_photos(shared / "data/coco")
    labels, rng, items, start = Labels(work), random.Random(number), [], time.time()

    def masks(photo: Photo):
        return lambda: labels.of(photo)

    donors = [masks(photo) for photo in labeled]
    for photo in labeled + unlabelled[number % 2 :: 2]:
        if number == 0 and "coco_photos" not in photo.path.parts:
            image, ids, names = labels.of(photo)
            image, ids = crop(*fit(image, ids, CROP), rng)
        else:
            image, ids, names = augmented(masks(photo), donors, rng)
        numbers = [i + 1 for i in range(len(names)) if (ids == i + 1).sum() >= 100]
        with torch.autocast("cpu", dtype=torch.bfloat16):  # a third of the time
            early = lower(trunk, normalize(image)[None].contiguous(memory_format=torch.channels_last))
            dense = upper(trunk, early)[0].float()
        weights = torch.cat([location_weights(ids, numbers), boxes(rng, 4)]) if numbers else boxes(rng, 4)
        items.append(
            {
                "early": early[0].half().contiguous(),
                "weights": weights.half(),
                "labels": torch.tensor([names[i - 1] for i in numbers], dtype=torch.long),
                "pooled": torch.einsum("rhw,chw->rc", weights, dense).half(),
            }
        )
        if len(items) % 100 == 0:
            print(number, len(items), f"{time.time() - start:.0f} s", flush=True)
    temporary = work / f"image_cache_{number}.tmp"
    torch.save(items, temporary)
    temporary.rename(work / f"image_cache_{number}.pt")


class Training:
    """What both steps need: cached images, the labels' meanings, the losses, the accuracy on held-out photos."""

    def __init__(self, shared: Path, work: Path):
        torch.manual_seed(0)
        paths = sorted(work.glob("image_cache_*.pt"))
        self.items = [item for path in paths for item in torch.load(path, weights_only=True)]
        self.trunk, self.classifier = load(work)
        self.labels, names = Labels(work), Names(shared, work)
        every = torch.cat([item["labels"] for item in self.items])
        counts = torch.bincount(every[every < CLASSES], minlength=CLASSES).float()
        self.losses = Losses(names, counts.clamp_min(1) ** -0.15 / (counts[counts > 0] ** -0.15).mean())
        self.pooled = torch.cat([item["pooled"] for item in self.items])
        self.projection = Projection(self.pooled[:: len(self.pooled) // 20000 + 1].float())
        self.accuracy = Accuracy(splits(shared / "data/coco")[1], self.trunk, names.coco)
        print(len(paths), "passes,", len(self.items), "images,", int(counts.sum()), "ground-truth masks of", len(every))

    def loss(self, embeddings: torch.Tensor, labels: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """(masks, teacher) of embeddings (N, 384). labels: (N,), -1 for none. pooled: (N, 1400), the original's."""
        known = labels >= 0
        classes, trust = self.labels.classes[labels[known]], self.labels.trust[labels[known]]
        masks = self.losses.masks(embeddings[known], classes, trust)
        return torch.stack([masks, self.losses.teacher(embeddings, imagenet_probs(self.classifier, pooled))])


def labels_of(item: dict) -> torch.Tensor:
    """Labels of all regions of an item, -1 for the boxes behind the masks."""
    return F.pad(item["labels"], (0, len(item["weights"]) - len(item["labels"])), value=-1)


def save(path: Path, trunk: dict, projection: Projection, losses: Losses, **more) -> None:
    """Write a state that `assemble.py` reads, and what is needed to go on."""
    state = {
        "trunk": trunk,
        "head": projection.as_open_clip(),
        "logit_scale": losses.scales["coco"].detach().clone(),
        "projection": projection.state_dict(),
        "scales": losses.scales.state_dict(),
        **more,
    }
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


def project(shared: Path, work: Path) -> None:
    """Train the projection alone, on the original network's pooled features: fast, and no random head spoils the
    trunk.
    """
    training = Training(shared, work)
    projection, pooled = training.projection, training.pooled
    labels = torch.cat([labels_of(item) for item in training.items])
    optimizer = torch.optim.AdamW([*projection.parameters(), *training.losses.parameters()], lr=0, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=PROJECTION_STEPS)
    for step in range(1, PROJECTION_STEPS + 1):
        chosen = torch.randint(len(pooled), (512,))
        features = pooled[chosen].float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            embeddings = projection.train()(features).float()
        losses = training.loss(embeddings, labels[chosen], features)
        optimizer.zero_grad(set_to_none=True)
        (losses[0] + 0.5 * losses[1]).backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            found = training.accuracy(training.trunk, projection.eval())
            print(step, [round(x, 3) for x in losses.tolist()], found, flush=True)
    save(work / "image_projection.pt", training.trunk.state_dict(), projection, training.losses)


def finetune(shared: Path, work: Path, steps: int) -> None:
    """Train trunk and projection together, from `image_projection.pt`, or on from `image_encoder.pt`."""
    training = Training(shared, work)
    trunk, projection = training.trunk.to(memory_format=torch.channels_last), training.projection
    path = work / "image_encoder.pt"
    start = torch.load(path if path.exists() else work / "image_projection.pt", weights_only=True)
    projection.load_state_dict(start["projection"])
    training.losses.scales.load_state_dict(start["scales"])
    groups = [
        {"params": fold_norms(trunk.requires_grad_(False)), "peak": 7e-5, "weight_decay": 0.01},
        {"params": [*projection.parameters(), *training.losses.parameters()], "peak": 2e-4, "weight_decay": 0.02},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0)
    average, step = deepcopy((trunk, projection)), 0
    if "optimizer" in start:
        trunk.load_state_dict(start["live_trunk"])
        projection.load_state_dict(start["live_projection"])
        average[0].load_state_dict(start["average_trunk"])
        average[1].load_state_dict(start["projection"])
        peaks = [group["peak"] for group in groups]
        optimizer.load_state_dict(start["optimizer"])
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["peak"] = peak
        step = start["step"]
    rng, order, running, begun = random.Random(step), [], torch.zeros(2), time.time()
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        if len(order) < BATCH:
            order = rng.sample(range(len(training.items)), len(training.items))
        batch = [training.items[order.pop()] for _ in range(BATCH)]
        early = torch.stack([item["early"] for item in batch]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):  # a fifth of the time
            dense = upper(trunk, early.float()).float()
        features = torch.cat(
            [torch.einsum("rhw,chw->rc", item["weights"].float(), dense[i]) for i, item in enumerate(batch)]
        )
        labels, pooled = (torch.cat([labels_of(i) for i in batch]), torch.cat([i["pooled"] for i in batch]).float())
        losses = training.loss(projection.train()(features), labels, pooled)
        optimizer.zero_grad(set_to_none=True)
        (losses[0] + 0.5 * losses[1]).backward()
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 5.0)
        optimizer.step()
        step += 1
        running += losses.detach()
        with torch.no_grad():
            share = min(AVERAGE, step / (step + 10))
            for mine, live in zip(average, (trunk, projection), strict=True):
                for kept, new in zip(mine.parameters(), live.parameters(), strict=True):
                    kept.lerp_(new, 1 - share)
        if step % 20 == 0:
            print(f"step {step} {time.time() - begun:.0f} s", [round(x / 20, 3) for x in running.tolist()], flush=True)
            running.zero_()
        if step % EVERY == 0 or step == steps:
            print("held out", training.accuracy(average[0], average[1].eval()), flush=True)
            save(
                path,
                unfold_norms(average[0]),
                average[1],
                training.losses,
                live_trunk=trunk.state_dict(),
                live_projection=projection.state_dict(),
                average_trunk=average[0].state_dict(),
                optimizer=optimizer.state_dict(),
                step=step,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "project", "finetune"])
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument("--number", type=int, default=0, help="of the pass of `prepare`: 0 plain, others augmented")
    parser.add_argument("--steps", type=int, default=3000, help="of `finetune`, all its runs together")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    if arguments.step == "prepare":
        prepare(arguments.shared, arguments.work, arguments.number)
    elif arguments.step == "project":
        project(arguments.shared, arguments.work)
    else:
        finetune(arguments.shared, arguments.work, arguments.steps)


if __name__ == "__main__":
    main()
