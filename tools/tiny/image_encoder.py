"""Train the image encoder: a MobileNetV2 whose features, pooled in a mask, match the text of its class.

It starts from the ImageNet teacher. The layers up to stride 16 with 64 channels stay as they are, so that their
output can be computed once per augmented image; all later layers (85 % of the trunk) and the projection are
trained. Losses, all of them cross entropies between an embedding and the text embeddings of a list of names:
  - masks: the COCO class of the mask, one of its synonyms drawn at random, against the other classes;
  - masks and boxes: the ImageNet teacher's probabilities over its 1,000 names (keeps the breadth that unseen classes
  need);
  - feature locations: the ADE20K and PASCAL VOC teachers' probabilities over their 31 and 20 names.

    python tools/tiny/image_encoder.py prepare --shared ../shared --work build/tiny
    python tools/tiny/image_encoder.py project --shared ../shared --work build/tiny
    python tools/tiny/image_encoder.py finetune --shared ../shared --work build/tiny

One thread: about 15 minutes for `prepare`, 2 for `project`, `--minutes` for `finetune`. Reads `teachers.pt`,
`text_targets.pt`. Writes `image_cache.pt`, `image_projection.pt`, `image_encoder.pt`.
"""

import argparse
import math
import random
import time
from pathlib import Path

import torch
from augment import CROP, STRIDE, augmented, boxes, crop, fit, location_weights, normalize
from coco import Photo, splits
from image_losses import Accuracy, Losses, Names
from open_clip_import import open_clip  # noqa: F401  (makes timm importable)
from split_trunk import lower, upper, with_norms, without_norms
from teachers import build_trunk, load_teachers
from text_encoder import build_student
from torch import nn
from torch.nn import functional as F

PROJECTION_STEPS = 400
VARIANTS = 4
DROPOUT = 0.5  # on the pooled features: 10,000 masks from 322 photographs are soon learnt by heart


@torch.no_grad()
def prepare(photos: list[Photo], work: Path) -> None:
    teachers = load_teachers(work)
    trunk = teachers["imagenet"].trunk
    rng, items, start = random.Random(0), [], time.time()
    for variant in range(VARIANTS):
        for index, photo in enumerate(photos):
            if variant == 0:
                ids, labels = photo.masks()
                image, ids = crop(*fit(photo.image(), ids, CROP), rng)
            else:
                image, ids, labels = augmented(photos, index, rng)
            numbers = [i + 1 for i in range(len(labels)) if (ids == i + 1).sum() >= 100]
            x = normalize(image)[None]
            early = lower(trunk, x)
            weights = torch.cat([location_weights(ids, numbers), boxes(rng, 4)]) if numbers else boxes(rng, 4)
            pooled = torch.einsum("rhw,chw->rc", weights, upper(trunk, early)[0])
            item = {
                "early": early[0].half(),
                "weights": weights.half(),
                "labels": [labels[i - 1] for i in numbers],
                "teacher": pooled.half(),
            }
            if variant == 0:
                item["ade20k"] = F.adaptive_avg_pool2d(teachers["ade20k"](x), CROP // STRIDE)[0].half()
                item["pascal"] = teachers["pascal"](x)[0].half()
            items.append(item)
            if len(items) % 50 == 0:
                print(len(items), f"{time.time() - start:.0f} s", flush=True)
        torch.save(items, work / "image_cache.tmp")
        (work / "image_cache.tmp").rename(work / "image_cache.pt")


def save(trunk: dict, head: nn.Module, losses: Losses, path: Path) -> None:
    torch.save(
        {
            "trunk": trunk,
            "head": head.state_dict(),
            "logit_scale": losses.scales["coco"].detach(),
            "scales": losses.scales.state_dict(),
        },
        path,
    )


def prepare_losses(shared: Path, work: Path) -> tuple[list[dict], nn.Module, Losses, Accuracy]:
    """Cached images, the ImageNet teacher, the losses, and the accuracy on held-out photographs."""
    items = torch.load(work / "image_cache.pt", weights_only=True)
    teacher = load_teachers(work)["imagenet"]
    names = Names(shared, work)
    counts = torch.bincount(torch.tensor([label for item in items for label in item["labels"]]), minlength=133).float()
    losses = Losses(names, teacher.head[0], counts.clamp_min(1) ** -0.15 / (counts[counts > 0] ** -0.15).mean())
    print(len(items), "images,", int(counts.sum()), "masks", flush=True)
    return items, teacher, losses, Accuracy(splits(shared / "data/coco")[1], teacher.trunk, names.coco)


def project(shared: Path, work: Path) -> None:
    """Train the projection alone, on the teacher's own pooled features: fast, and no random head spoils the trunk."""
    torch.manual_seed(0)
    items, teacher, losses, accuracy = prepare_losses(shared, work)
    head = build_student().visual.head
    pooled = torch.cat([item["teacher"] for item in items]).float()
    labels = torch.cat(
        [torch.tensor(item["labels"] + [-1] * (len(item["teacher"]) - len(item["labels"]))) for item in items]
    )
    samples = []
    with torch.no_grad():
        for item in items:
            if "ade20k" in item:
                dense = upper(teacher.trunk, item["early"][None].float())[0].flatten(1)
                chosen = torch.randperm(dense.shape[1])[:64]
                samples.append(
                    [
                        x[:, chosen].T
                        for x in (dense, item["ade20k"].float().flatten(1), item["pascal"].float().flatten(1))
                    ]
                )
    location_features, ade20k, pascal = (torch.cat(parts) for parts in zip(*samples, strict=True))
    optimizer = torch.optim.AdamW([*head.parameters(), *losses.parameters()], lr=1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=PROJECTION_STEPS)
    for _ in range(PROJECTION_STEPS):
        chosen, places = torch.randint(len(pooled), (384,)), torch.randint(len(ade20k), (192,))
        embeddings, known = head(F.dropout(pooled[chosen], DROPOUT)), labels[chosen] >= 0
        vectors = head(F.dropout(location_features[places], DROPOUT))
        dense_loss = losses.locations("ade20k", vectors, ade20k[places]) + losses.locations(
            "pascal", vectors, pascal[places]
        )
        loss = (
            losses.masks(embeddings[known], labels[chosen][known])
            + 0.5 * losses.teacher(embeddings, pooled[chosen])
            + 0.6 * dense_loss
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"projection alone: held out {accuracy(teacher.trunk, head):.3f}", flush=True)
    save(teacher.trunk.state_dict(), head, losses, work / "image_projection.pt")


def finetune(shared: Path, work: Path, minutes: float) -> None:
    """Train trunk and projection together, from `image_projection.pt`."""
    torch.manual_seed(0)
    rng = random.Random(0)
    items, _, losses, accuracy = prepare_losses(shared, work)
    start_state = torch.load(work / "image_projection.pt", weights_only=True)
    losses.scales.load_state_dict(start_state["scales"])
    head = build_student().visual.head
    head.load_state_dict(start_state["head"])
    trunk = build_trunk()
    trunk.load_state_dict(start_state["trunk"])
    trunk = without_norms(trunk)
    trainable = [p for module in (*trunk.blocks[4:], trunk.conv_head) for p in module.parameters()]
    groups = [
        {"params": trainable, "peak": 4e-5, "weight_decay": 0.01},
        {"params": [*head.parameters(), *losses.parameters()], "peak": 2e-4, "weight_decay": 0.02},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0)
    order, start, step, running = [], time.time(), 0, torch.zeros(3)
    while (time.time() - start) / 60 < minutes:
        done = (time.time() - start) / 60 / minutes
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * min(1, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * done))
        if len(order) < 8:
            order = rng.sample(range(len(items)), len(items))
        batch = [items[order.pop()] for _ in range(8)]
        dense = upper(trunk, torch.stack([item["early"] for item in batch]).float())
        embeddings = head(
            F.dropout(
                torch.cat(
                    [torch.einsum("rhw,chw->rc", item["weights"].float(), dense[i]) for i, item in enumerate(batch)]
                ),
                DROPOUT,
            )
        )
        known = torch.cat(
            [torch.tensor(item["labels"] + [-1] * (len(item["teacher"]) - len(item["labels"]))) for item in batch]
        )
        parts = [
            losses.masks(embeddings[known >= 0], known[known >= 0]),
            losses.teacher(embeddings, torch.cat([item["teacher"] for item in batch]).float()),
        ]
        samples = []
        for i, item in enumerate(batch):
            if "ade20k" in item:
                chosen = torch.randperm(dense[i, 0].numel())[:96]
                vectors = head(dense[i].flatten(1)[:, chosen].T)
                samples += [
                    losses.locations(name, vectors, item[name].float().flatten(1)[:, chosen].T)
                    for name in ("ade20k", "pascal")
                ]
        parts.append(sum(samples) / len(samples) * 2 if samples else torch.zeros(()))
        loss = parts[0] + 0.5 * parts[1] + 0.3 * parts[2]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 5.0)
        optimizer.step()
        step += 1
        running += torch.stack([part.detach() for part in parts])
        if step % 20 == 0:
            score = f"held out {accuracy(trunk, head):.3f}" if step % 100 == 0 else ""
            minute, means = (time.time() - start) / 60, [round(float(x), 3) for x in running / 20]
            print(f"step {step} minute {minute:.1f} masks, teacher, locations {means} {score}", flush=True)
            running.zero_()
    print(f"end to end: held out {accuracy(trunk, head):.3f}, steps {step}", flush=True)
    save(with_norms(trunk), head, losses, work / "image_encoder.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "project", "finetune"])
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument("--minutes", type=float, default=14)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    training, _, _ = splits(arguments.shared / "data/coco")
    if arguments.step == "prepare":
        prepare(training, arguments.work)
    elif arguments.step == "project":
        project(arguments.shared, arguments.work)
    else:
        finetune(arguments.shared, arguments.work, arguments.minutes)


if __name__ == "__main__":
    main()
