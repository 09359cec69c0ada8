"""Train the image encoder: a MobileNetV2 whose features, pooled under a mask, point at the text of what the mask shows.

It starts from the ImageNet teacher. The layers up to stride 16 with 64 channels stay as they are, so that their
output can be computed once per augmented image; all later layers (85 % of the trunk) and the projection are
trained. Losses, all of them cross entropies between an embedding and the text embeddings of a list of names:
  - masks: the COCO class of the mask, one of its synonyms drawn at random, against the other classes;
  - masks and boxes: the ImageNet teacher's probabilities over its 1,000 names (keeps the breadth that unseen words
  need);
  - cells: the ADE20K and PASCAL VOC teachers' probabilities over their 31 and 20 names.

    python tools/tiny/image_tower.py prepare --shared ../shared --work build/tiny
    python tools/tiny/image_tower.py project --shared ../shared --work build/tiny
    python tools/tiny/image_tower.py finetune --shared ../shared --work build/tiny

One thread: about 15 minutes for `prepare`, 2 for `project`, `--minutes` for `finetune`. Reads `teachers.pt`,
`text_targets.pt`. Writes `image_cache.pt`, `image_projection.pt`, `image_tower.pt`.
"""

import argparse
import math
import random
import time
from pathlib import Path

import torch
from augment import CROP, STRIDE, augmented, boxes, cell_weights, crop, fit, normalize
from coco import Photo, splits
from nouns import imagenet_names, read_vocabulary
from open_clip_import import open_clip  # noqa: F401  (makes timm importable)
from split_trunk import lower, upper, with_norms, without_norms
from teachers import ADE20K, PASCAL, build_trunk, load_teachers
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
            weights = torch.cat([cell_weights(ids, numbers), boxes(rng, 4)]) if numbers else boxes(rng, 4)
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


class Names:
    """Text embeddings of the lists that the losses classify over, each (K, 384) or, for COCO, synonyms per class."""

    def __init__(self, shared: Path, work: Path):
        data = torch.load(work / "text_targets.pt", weights_only=False)
        every = data["names"] + data["held_out"] + data["phrases"]
        row = {name: i for i, name in enumerate(every)}
        embeddings = data["targets"].float()

        def mean(names: list[str]) -> torch.Tensor:
            return F.normalize(embeddings[[row[name] for name in names if name in row]].mean(0), dim=-1)

        self.coco = [
            embeddings[[row[name] for name in names]]
            for names in read_vocabulary(shared / "vocabularies/coco_panoptic_with_prompt_eng.txt")
        ]
        self.imagenet = torch.stack(
            [mean(names[:2]) for names in imagenet_names(shared / "data/teachers/imagenet_labels.txt")]
        )
        self.ade20k = torch.stack([mean([name]) for name in ADE20K[1:]])
        self.pascal = torch.stack([mean([name.replace("tv monitor", "tv")]) for name in PASCAL[1:]])

    def draw_coco(self) -> torch.Tensor:
        """(133, 384): one synonym of each class at random, the first one half of the time."""
        return torch.stack(
            [group[0 if torch.rand(()) < 0.5 else int(torch.randint(len(group), ()))] for group in self.coco]
        )


def best_synonym(embeddings: torch.Tensor, groups: list[torch.Tensor]) -> torch.Tensor:
    """(N, D) unit rows -> (N, K) largest cosine over each class's synonyms."""
    return torch.stack([(embeddings @ group.T).amax(-1) for group in groups], -1)


class Losses(nn.Module):
    """The module's three losses on unit embeddings; one learned scale each."""

    def __init__(self, names: Names, imagenet_head: list[torch.Tensor], class_weights: torch.Tensor):
        super().__init__()
        self.names, self.imagenet_head, self.class_weights = names, imagenet_head, class_weights
        self.scales = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(math.log(20.0))) for name in ("coco", "imagenet", "ade20k", "pascal")}
        )

    def logits(self, name: str, embeddings: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return self.scales[name].exp().clamp(max=100) * F.normalize(embeddings, dim=-1) @ rows.T

    def masks(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(
            self.logits("coco", embeddings, self.names.draw_coco()),
            labels,
            weight=self.class_weights,
            label_smoothing=0.05,
        )

    def teacher(self, embeddings: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        weight, bias = self.imagenet_head
        target = F.linear(pooled, weight[1:, :, 0, 0], bias[1:]).softmax(-1)
        return F.cross_entropy(self.logits("imagenet", embeddings, self.names.imagenet), target)

    def cells(self, name: str, embeddings: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
        """embeddings (N, D), probs (N, 1 + K): the first entry is `other`, which has no words; its share does not
        count.
        """
        known = 1 - probs[:, 0]
        target = probs[:, 1:] / known[:, None].clamp_min(1e-4)
        return (
            F.cross_entropy(self.logits(name, embeddings, getattr(self.names, name)), target, reduction="none") * known
        ).mean()


class Metric:
    """Accuracy on the ground-truth masks of photographs, with the frozen part computed once."""

    def __init__(self, photos: list[Photo], trunk: nn.Module, groups: list[torch.Tensor], longest: int = 640):
        self.groups, self.entries = groups, []
        for photo in photos:
            ids, labels = photo.masks()
            image, ids = fit(photo.image(), ids, longest)
            height, width = (side // STRIDE * STRIDE for side in ids.shape)
            image, ids = image[:height, :width], ids[:height, :width]
            numbers = [i + 1 for i in range(len(labels)) if (ids == i + 1).any()]
            with torch.no_grad():
                early = lower(trunk, normalize(image)[None])
            self.entries.append((early, cell_weights(ids, numbers), torch.tensor([labels[i - 1] for i in numbers])))

    @torch.no_grad()
    def __call__(self, trunk: nn.Module, head: nn.Module) -> float:
        right = total = 0
        for early, weights, labels in self.entries:
            embeddings = F.normalize(head(torch.einsum("rhw,chw->rc", weights, upper(trunk, early)[0])), dim=-1)
            right += int((best_synonym(embeddings, self.groups).argmax(-1) == labels).sum())
            total += len(labels)
        return right / total


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


def prepare_losses(shared: Path, work: Path) -> tuple[list[dict], nn.Module, Losses, Metric]:
    """-> cached images, the ImageNet teacher, the losses, the measure on held-out photographs."""
    items = torch.load(work / "image_cache.pt", weights_only=True)
    teacher = load_teachers(work)["imagenet"]
    names = Names(shared, work)
    counts = torch.bincount(torch.tensor([label for item in items for label in item["labels"]]), minlength=133).float()
    losses = Losses(names, teacher.head[0], counts.clamp_min(1) ** -0.15 / (counts[counts > 0] ** -0.15).mean())
    print(len(items), "images,", int(counts.sum()), "masks", flush=True)
    return items, teacher, losses, Metric(splits(shared / "data/coco")[1], teacher.trunk, names.coco)


def project(shared: Path, work: Path) -> None:
    """The projection alone, on the teacher's own pooled features: fast, and the trunk is not torn by a random head
    later.
    """
    torch.manual_seed(0)
    items, teacher, losses, metric = prepare_losses(shared, work)
    head = build_student().visual.head
    pooled = torch.cat([item["teacher"] for item in items]).float()
    labels = torch.cat(
        [torch.tensor(item["labels"] + [-1] * (len(item["teacher"]) - len(item["labels"]))) for item in items]
    )
    cells = []
    with torch.no_grad():
        for item in items:
            if "ade20k" in item:
                dense = upper(teacher.trunk, item["early"][None].float())[0].flatten(1)
                chosen = torch.randperm(dense.shape[1])[:64]
                cells.append(
                    [
                        x[:, chosen].T
                        for x in (dense, item["ade20k"].float().flatten(1), item["pascal"].float().flatten(1))
                    ]
                )
    cell_features, ade20k, pascal = (torch.cat(parts) for parts in zip(*cells, strict=True))
    optimizer = torch.optim.AdamW([*head.parameters(), *losses.parameters()], lr=1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=PROJECTION_STEPS)
    for _ in range(PROJECTION_STEPS):
        chosen, places = torch.randint(len(pooled), (384,)), torch.randint(len(ade20k), (192,))
        embeddings, known = head(F.dropout(pooled[chosen], DROPOUT)), labels[chosen] >= 0
        vectors = head(F.dropout(cell_features[places], DROPOUT))
        dense_loss = losses.cells("ade20k", vectors, ade20k[places]) + losses.cells("pascal", vectors, pascal[places])
        loss = (
            losses.masks(embeddings[known], labels[chosen][known])
            + 0.5 * losses.teacher(embeddings, pooled[chosen])
            + 0.6 * dense_loss
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"projection alone: held out {metric(teacher.trunk, head):.3f}", flush=True)
    save(teacher.trunk.state_dict(), head, losses, work / "image_projection.pt")


def finetune(shared: Path, work: Path, minutes: float) -> None:
    """Trunk and projection together, from `image_projection.pt`."""
    torch.manual_seed(0)
    rng = random.Random(0)
    items, _, losses, metric = prepare_losses(shared, work)
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
        cells = []
        for i, item in enumerate(batch):
            if "ade20k" in item:
                chosen = torch.randperm(dense[i, 0].numel())[:96]
                vectors = head(dense[i].flatten(1)[:, chosen].T)
                cells += [
                    losses.cells(name, vectors, item[name].float().flatten(1)[:, chosen].T)
                    for name in ("ade20k", "pascal")
                ]
        parts.append(sum(cells) / len(cells) * 2 if cells else torch.zeros(()))
        loss = parts[0] + 0.5 * parts[1] + 0.3 * parts[2]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 5.0)
        optimizer.step()
        step += 1
        running += torch.stack([part.detach() for part in parts])
        if step % 20 == 0:
            score = f"held out {metric(trunk, head):.3f}" if step % 100 == 0 else ""
            minute, means = (time.time() - start) / 60, [round(float(x), 3) for x in running / 20]
            print(f"step {step} minute {minute:.1f} masks, teacher, cells {means} {score}", flush=True)
            running.zero_()
    print(f"end to end: held out {metric(trunk, head):.3f}, steps {step}", flush=True)
    save(with_norms(trunk), head, losses, work / "image_tower.pt")


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
